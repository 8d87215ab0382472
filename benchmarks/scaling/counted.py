"""`python -m benchmarks.scaling.counted`: the memory that a step takes and gives back, plain and with checkpointing.

Nothing is measured: the step runs on tensors without values, as when a run tells what it will need, on any machine.
"""

import argparse
import sys
from collections.abc import Sequence

import torch

from benchmarks.tables import ROOT, Table, as_markdown, as_text, write_section
from gan_exp.config.check import check
from gan_exp.config.compose import compose
from gan_exp.data.packed import PackedImages
from gan_exp.training.build import build_state
from gan_exp.training.needs import run_needs

STEPS = (
    ("mlp", 64, "r1"),
    ("dcgan", 64, "none"),
    ("resnet", 64, "none"),
    ("resnet", 64, "r1"),
    ("fastgan", 64, "none"),
    ("fastgan", 64, "r1_r2"),
    ("r3gan", 32, "none"),
    ("r3gan", 32, "r1_r2"),
)
PENALTIES = {"none": "", "r1": ", R1", "r1_r2": ", R1 and R2"}


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling.counted", description=__doc__.splitlines()[0])
    parser.add_argument("--docs", action="store_true", help="write the table into docs/performance.md")
    options = parser.parse_args(words)
    rows = [["networks", "plain", "`model.checkpointing=true`", "share"]]
    for model, side, penalty in STEPS:
        rows.append(row(model, side, penalty))
        print(rows[-1], flush=True)
    print(as_text(rows))
    if options.docs:
        _write(rows)
    return 0


def row(model: str, side: int, penalty: str) -> list[str]:
    given = [f"model={model}", f"penalty={penalty}", f"batch_size={64 if model == 'mlp' else 32}"]
    given += ["loss=rpgan"] if model == "r3gan" else []
    plain, less = (passing([*given, f"model.checkpointing={value}"], side) for value in ("false", "true"))
    sizes = [f"{size / 1e6:,.0f} MB" for size in (plain, less)]
    return [named(model, side, penalty), *sizes, f"{less / plain:.0%}"]


def named(model: str, side: int, penalty: str) -> str:
    return f"{model}, {side}x{side}{PENALTIES[penalty]}"


def passing(words: Sequence[str], side: int) -> int:
    """Bytes at the peak of a step, beyond what there is between steps."""
    config = check(compose([*words, "device=cpu"]).plain)
    data = PackedImages(torch.zeros(1, 3, side, side, dtype=torch.uint8))
    cpu = torch.device("cpu")
    step = run_needs(config, build_state(config, data.spec, cpu), data, cpu, ".").step
    assert step.peak is not None
    return step.peak - step.lasting


def _write(rows: Table) -> None:
    write_section(ROOT / "docs/performance.md", "checkpointing", as_markdown(rows), "benchmarks.scaling.counted")


if __name__ == "__main__":
    sys.exit(main())
