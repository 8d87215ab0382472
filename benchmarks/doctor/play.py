"""Plays the runs one after the other, each in a directory of its own below `folder`."""

import contextlib
import io
import time
from pathlib import Path

from benchmarks.doctor.photographs import write_photographs
from benchmarks.doctor.runs import RHYTHM, Run
from gan_exp.cli import main
from gan_exp.run_dir import RunDir


def directory(folder: Path, run: Run, seed: int) -> Path:
    return folder / f"{run.name.replace(' ', '-').replace(',', '')}-{seed}"


def is_played(folder: Path, run: Run, seed: int) -> bool:
    """To its end, a failure included."""
    return RunDir(directory(folder, run, seed)).read_status().get("state") in ("finished", "failed")


def overrides(run: Run) -> tuple[str, ...]:
    """With {photographs} where that folder belongs."""
    return (*RHYTHM, *run.overrides) if run.short else run.overrides


def play(folder: Path, run: Run, seed: int) -> None:
    """Train it where it was not, on the threads that OMP_NUM_THREADS says. Seeds differ between trials only."""
    place = directory(folder, run, seed)
    if (place / "status.json").exists():
        return
    began = time.process_time()
    photographs = folder.resolve() / "photographs"
    words = [word.format(photographs=photographs) for word in overrides(run)]
    if words != overrides(run):
        write_photographs(photographs)
    words += [f"seed={seed}", "display=quiet", "device=cpu", f"hydra.run.dir={place}"]
    told = io.StringIO()
    with contextlib.redirect_stderr(told), contextlib.redirect_stdout(told):
        code = main(["train", *words])
    print(f"{run.name}: exit code {code}, {time.process_time() - began:.1f} CPU s {told.getvalue()[-300:]}", flush=True)
    if code not in (0, 1):
        raise SystemExit(f"{run.name}: {told.getvalue()}")
