"""The runs in a sweep's directory: those that its jobs go on with, and the threads that they have found."""

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from gan_exp.config.anew import chosen_once
from gan_exp.config.check import check
from gan_exp.config.overrides import differing_keys, leaves
from gan_exp.errors import UserError
from gan_exp.runs.run_dir import RunDir
from gan_exp.runs.run_names import list_runs
from gan_exp.runtime.words import plural
from gan_exp.sweeps.job import Job
from gan_exp.sweeps.trial import kind_of

Runs = Sequence[tuple[RunDir, Mapping[str, Any]]]


def read_runs(sweep: Path) -> Runs:
    """The runs in a sweep's directory with their configurations, whatever their directories are called, as far as they
    can be read."""
    return list(_configurations(sweep))


def _configurations(sweep: Path) -> Iterator[tuple[RunDir, dict[str, Any]]]:
    for path in list_runs(sweep):
        with suppress(UserError):
            yield RunDir(path), RunDir(path).read_config()


def going_on(job: Job, runs: Runs) -> Job:
    """The job with the directory and the configuration of its run, if that has begun; by what it trains.

    The directory need not be the expected one: an older version named it otherwise, or the user's hydra.sweep.subdir.
    Raises UserError if the expected directory holds another experiment.
    """
    for run, found in runs:
        if _same_place(run.path, job.run.path):
            return _with_run(job, run, found)
    keys = [word.partition("=")[0].lstrip("+") for word in job.words]
    for run, found in runs:
        if not differing_keys(found, job.config) and _same_values(found, job.config, keys):
            return _with_run(job, run, found)
    return replace(job, go_on=True)


def _same_place(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _with_run(job: Job, run: RunDir, found: Mapping[str, Any]) -> Job:
    own = check(dict(found)).model_dump(mode="json")  # it may have been resumed with more steps
    differing = differing_keys(own, chosen_once(job.config, own, job.words))
    if differing:
        raise UserError(f"{', '.join(differing)}: {run.path} was begun with other values; use those again")
    return replace(job, config=own, directory=str(run.path), go_on=True)


def _same_values(found: Mapping[str, Any], wanted: Mapping[str, Any], keys: Sequence[str]) -> bool:
    """Whether the values of `keys` agree, also of keys that may change during a run: steps=100,200."""
    first, second = leaves(found), leaves(wanted)
    return all(
        _as_kept(leaf, first.get(leaf, value)) == _as_kept(leaf, value)
        for leaf, value in second.items()
        if value is not None and any(leaf == key or leaf.startswith(f"{key}.") for key in keys)
    )


def _as_kept(leaf: str, value: Any) -> Any:
    """Runs keep paths in full (`with_absolute_paths`)."""
    is_path = leaf in ("dataset.root", "dataset.cache", "dataset.labels") and isinstance(value, str)
    return str(Path.cwd() / value) if is_path else value


def finished_sentence(job: Job) -> str | None:
    """None if there is something left to train."""
    status = job.run.read_status()
    if not job.go_on or status.get("state") != "finished" or status.get("step", 0) < job.config["steps"]:
        return None
    return f"{shlex.quote(str(job.run.path))} is finished ({plural(status['step'], 'step')})"


def threads_found(runs: Runs) -> dict[str, int]:
    """The number of threads that earlier runs of each kind have found.

    The later ones take it over: it depends on what else the machine does, and the last bits depend on it.
    """
    found: dict[str, int] = {}
    for _, config in runs:
        with suppress(KeyError, TypeError):
            threads = config["device"]["threads"]
            if isinstance(threads, int) and 0 < threads <= (os.cpu_count() or 1):
                found.setdefault(kind_of(config), threads)
    return found
