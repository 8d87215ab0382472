"""`python -m benchmarks.search`: searches of 30 trials with two workers, one process killed; TPE beside random search.

Each repeat is one search with each sampler. The best trial of each is trained again with seeds that no search has used,
since the best of 30 noisy scores flatters. Searches that have finished are not repeated; one that was stopped goes on.
"""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev

from benchmarks.machine import describe_machine, sentence
from benchmarks.search.results import Found, NewSeeds, read_search, read_seeds
from benchmarks.tables import ROOT, as_markdown, as_text, write_section

DOCUMENT = ROOT / "docs/search.md"
RESULTS = Path(__file__).with_name("results")
SAMPLERS = ("tpe", "random")
SPACE = (
    "lr=log(1e-5,1e-1)",
    "batch_size=choice(16,32,64)",
    "loss=choice(non_saturating,hinge,lsgan)",
    "ema_halflife_kimg=interval(0,10)",
)
SETTINGS = (
    "dataset=digits",
    "model=mlp",
    "model.generator.widths=[64]",
    "model.discriminator.widths=[64]",
    "evaluate_count=1000",
    "sample_every_steps=1000",
    "checkpoint_every_steps=100",
    "device=cpu",
)
METRIC = "fid"


def main() -> int:
    options = _options()
    machine = describe_machine(1)
    print(sentence(machine), flush=True)
    rows = [("sampler", "best of the search", f"the same, {options.new_seeds} new seeds", "complete trials")]
    for sampler in SAMPLERS:
        found = [_searched(sampler, repeat, options) for repeat in range(options.repeats)]
        again = [_with_new_seeds(sampler, repeat, options) for repeat in range(options.repeats)]
        rows.append(_row(sampler, found, again))
    print(as_text(rows), flush=True)
    if options.docs:
        words = " ".join(f"`{word}`" for word in (*SPACE, *SETTINGS))
        protocol = (
            f"Mean and standard deviation over {options.repeats} searches with each sampler: {options.trials} trials "
            f"of {options.steps} steps, {options.workers} at a time, {METRIC} (lower is better) over {words}. The "
            "process of a run of each sampler's first search was killed."
        )
        text = f"{as_markdown(rows)}\n\n{protocol}\n{sentence(machine)}."
        write_section(DOCUMENT, "search", text, "benchmarks.search")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search", description=__doc__)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--new-seeds", type=int, default=5, help="of each best trial's second measurement")
    parser.add_argument("--out", type=Path, default=RESULTS, help="where the searches are")
    parser.add_argument("--docs", action="store_true", help="write the table into docs/search.md")
    return parser.parse_args()


def _searched(sampler: str, repeat: int, options: argparse.Namespace) -> Found:
    """One search; in the first of each sampler the process of a run is killed after a while."""
    place = options.out / f"{sampler}-{repeat}"
    words = ["search", "--dir", str(place), "--trials", str(options.trials), "--workers", str(options.workers)]
    words += ["--metric", METRIC, "--sampler", f"{sampler}(seed={repeat})", *SPACE, *SETTINGS, f"steps={options.steps}"]
    running = subprocess.Popen([sys.executable, "-m", "gan_exp", *words], stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    killed = repeat > 0 or place.exists()
    for line in running.stdout:
        if not killed and line.startswith("trial "):
            killed = _kill_a_run(place)
        if line.startswith("trial ") or "killed" in line:
            print(f"{place.name}: {line}", end="", flush=True)
    if running.wait() != 0:
        raise SystemExit(f"{place.name}: ended with exit code {running.returncode}")
    return read_search(place, METRIC)


def _kill_a_run(place: Path) -> bool:
    """kill -9 for the process of a run that is being trained, if there is one now."""
    from gan_exp.runs.run_dir import RunDir

    for path in sorted(place.glob("trials/*")):
        status = RunDir(path).read_status()
        if status.get("state") == "running" and status.get("step", 0) > 0:
            os.kill(int(status["pid"]), signal.SIGKILL)
            return True
    return False


def _with_new_seeds(sampler: str, repeat: int, options: argparse.Namespace) -> NewSeeds:
    place = options.out / f"{sampler}-{repeat}"
    runs = place / "new-seeds"
    for seed in range(100, 100 + options.new_seeds):
        run = runs / str(seed)
        if not (run / "status.json").exists():
            words = ["train", "--config-dir", str(place), "experiment=best", f"seed={seed}", "display=quiet"]
            subprocess.run([sys.executable, "-m", "gan_exp", *words, f"hydra.run.dir={run}"], check=True)
    return read_seeds(runs, METRIC)


def _row(sampler: str, found: Sequence[Found], again: Sequence[NewSeeds]) -> tuple[str, ...]:
    return (
        sampler,
        spread([one.best for one in found]),
        spread([one.mean for one in again]),
        f"{sum(one.complete for one in found)} of {sum(one.trials for one in found)}",
    )


def spread(values: Sequence[float]) -> str:
    return f"{mean(values):.3g} ± {stdev(values):.2g}" if len(values) > 1 else f"{values[0]:.3g}"


if __name__ == "__main__":
    sys.exit(main())
