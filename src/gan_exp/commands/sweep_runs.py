"""The runs in a sweep's directory: those to continue, and the values that later ones take over from earlier ones."""

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from gan_exp.config.check import check
from gan_exp.config.overrides import differing_keys, leaves
from gan_exp.config.schema import Config
from gan_exp.errors import UserError
from gan_exp.runs.run_dir import RunDir
from gan_exp.runs.run_names import list_runs
from gan_exp.runtime.terminal import say

RESUMING = "GAN_EXP_RESUMING"  # a variable, so that the processes of a parallel sweep see it too


@contextmanager
def resuming() -> Iterator[None]:
    """Within this block runs that have begun are continued."""
    os.environ[RESUMING] = "1"
    try:
        yield
    finally:
        del os.environ[RESUMING]


def is_resuming() -> bool:
    return RESUMING in os.environ


def configurations(sweep: Path) -> Iterator[tuple[RunDir, dict[str, Any]]]:
    """The runs in a sweep's directory, whatever their directories are called, as far as they can be read."""
    for path in list_runs(sweep):
        with suppress(UserError):
            yield RunDir(path), RunDir(path).read_config()


def find_begun(place: Path, expected: RunDir, config: Config, words: Sequence[str]) -> RunDir | None:
    """The run of the sweep in `place` that is the job's with `words`, if it has begun; by what it trains.

    Its directory need not be the `expected` one: an older version named it otherwise, or the user's hydra.sweep.subdir.
    """
    if expected.config.exists():
        return expected
    wanted = config.model_dump(mode="json")
    keys = [word.partition("=")[0].lstrip("+") for word in words]
    for run, found in configurations(place):
        if not differing_keys(found, wanted) and _same_values(found, wanted, keys):
            return run
    return None


def _same_values(found: Mapping[str, Any], wanted: Mapping[str, Any], keys: Sequence[str]) -> bool:
    """Whether the values of `keys` agree, also of keys that may change during a run: steps=100,200."""
    first, second = leaves(found), leaves(wanted)
    return all(
        first.get(leaf, value) == value
        for leaf, value in second.items()
        if value is not None and any(leaf == key or leaf.startswith(f"{key}.") for key in keys)
    )


def with_threads(config: Config, place: Path) -> Config:
    """`config` with the number of threads that a run of the sweep in `place` has found for the same networks.

    Found once, it is the same for all: it depends on what else the machine does, and the last bits depend on it.
    """
    device = config.device
    if device.threads is not None or device.deterministic or "OMP_NUM_THREADS" in os.environ:
        return config
    wanted = config.model_dump(mode="json")
    for _, found in configurations(place):
        with suppress(KeyError, TypeError):
            threads = found["device"]["threads"]
            same = all(found[key] == wanted[key] for key in ("model", "batch_size", "dataset"))
            if same and isinstance(threads, int) and 0 < threads <= (os.cpu_count() or 1):
                return config.model_copy(update={"device": device.model_copy(update={"threads": threads})})
    return config


def go_on(config: Config, run: RunDir) -> None:
    """Finish a run of the sweep that is resumed. Raises UserError if `config` would be another experiment."""
    from gan_exp.training.session import continue_run

    own = check(run.read_config())  # it may have been resumed with more steps
    differing = differing_keys(own.model_dump(mode="json"), config.model_dump(mode="json"))
    if differing:
        raise UserError(f"{', '.join(differing)}: {run.path} was begun with other values; use those again")
    with run.locked():
        status = run.read_status()
        if status.get("state") == "finished" and status.get("step") == own.steps:
            say(f"{shlex.quote(str(run.path))} is finished ({own.steps} steps)")
        else:
            continue_run(own, run, in_sweep=True)
