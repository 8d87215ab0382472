"""Sample grids of several recipes side by side: after the same time, and at the end."""

import shutil
import statistics
from pathlib import Path
from typing import Any

from benchmarks.quality.report import Results, called, train_seconds
from benchmarks.tables import Table
from gan_exp.runs.run_dir import RunDir


def side_by_side(results: Results, folder: Path, base: Path) -> Table:
    """A column for each experiment with the grids of its first seed, copied into `folder`; links are from `base`.

    The time is that of the recipe that ends first; of the others it shows the last grid that was drawn until then.
    Empty where there are fewer than two.
    """
    first = {name: runs[0] for name, runs in results.items() if _grids(runs[0])}
    if len(first) < 2:
        return []
    seconds = {name: statistics.fmean(map(train_seconds, results[name])) for name in first}
    budget = min(seconds.values())
    early, last = [f"after {budget:,.0f} s"], ["at the end"]
    folder.mkdir(parents=True, exist_ok=True)
    for name, run in first.items():
        grids = _grids(run)
        end = max(grids)
        step = max((one for one in grids if one <= end * budget / seconds[name]), default=min(grids))
        kept = _keep(grids[step], folder / f"quality-{name}-early.png", base)
        early.append(f"![{name}, {step:,} steps]({kept})")
        kept = _keep(grids[end], folder / f"quality-{name}.png", base)
        last.append(f"![{name}, {end:,} steps]({kept}) {seconds[name]:,.0f} s")
    return [["", *(called(run) for run in first.values())], early, last]


def _grids(run: dict[str, Any]) -> dict[int, Path]:
    return dict(RunDir(run["run"]).list_sample_grids()) if "run" in run else {}


def _keep(grid: Path, copy: Path, base: Path) -> str:
    shutil.copyfile(grid, copy)
    return copy.relative_to(base).as_posix()
