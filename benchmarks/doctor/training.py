"""Trains the runs one after the other, each in its own directory below `folder`."""

import contextlib
import io
import time
from pathlib import Path

from benchmarks.doctor.photographs import write_photographs
from benchmarks.doctor.runs import BASE, INTERVALS, Run
from gan_exp.cli import main
from gan_exp.runs.run_dir import RunDir


def directory(folder: Path, run: Run, seed: int) -> Path:
    return folder / f"{run.name.replace(' ', '-').replace(',', '')}-{seed}"


def has_ended(folder: Path, run: Run, seed: int) -> bool:
    """Whether the run finished or failed."""
    return RunDir(directory(folder, run, seed)).read_status().get("state") in ("finished", "failed")


def overrides(run: Run) -> tuple[str, ...]:
    """With the placeholder {photographs} for that folder."""
    base = () if any(word.startswith("experiment=") for word in run.overrides) else BASE  # a recipe says all itself
    return (*base, *INTERVALS, *run.overrides) if run.short else (*base, *run.overrides)


def train(folder: Path, run: Run, seed: int) -> None:
    """Train the run unless its directory exists, with as many threads as OMP_NUM_THREADS says."""
    place = directory(folder, run, seed)
    if (place / "status.json").exists():
        return
    began = time.process_time()
    photographs = folder.resolve() / "photographs"
    words = [word.format(photographs=photographs) for word in overrides(run)]
    if words != overrides(run):
        write_photographs(photographs)
    words += [f"seed={seed}", "display=quiet", "device=cpu", f"hydra.run.dir={place}"]
    printed = io.StringIO()
    with contextlib.redirect_stderr(printed), contextlib.redirect_stdout(printed):
        code = main(["train", *words])
    seconds = time.process_time() - began
    print(f"{run.name}: exit code {code}, {seconds:.1f} CPU s {printed.getvalue()[-300:]}", flush=True)
    if code not in (0, 1):
        raise SystemExit(f"{run.name}: {printed.getvalue()}")
