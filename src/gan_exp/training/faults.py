"""The fault that ended a run: a sentence for the user, status.json for commands, and the traceback in the log."""

import errno
import re
import shlex
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch

from gan_exp.diagnosis.divergence import Divergence
from gan_exp.diagnosis.verdicts import diverged
from gan_exp.errors import TrainingFault, UserError
from gan_exp.runs.run_dir import RunDir
from gan_exp.runtime.lifeline import RankFailed


def explain(error: Exception, run: RunDir, what_would_fit: Callable[[], str]) -> Exception:
    """The fault in one sentence; the log has the rest. `what_would_fit` is asked when the memory ran out."""
    if isinstance(error, TrainingFault | UserError):
        return error
    go_on = f"gan-exp resume {shlex.quote(str(run.path))}"
    if _out_of_memory(error):
        return TrainingFault(
            f"{run.path}: out of memory; train anew with {what_would_fit()}. Or free memory and continue with: {go_on}"
        )
    if isinstance(error, OSError):
        return TrainingFault(f"{run.path}: {_disk_trouble(error, run)}, then continue with: {go_on}")
    if isinstance(error, RankFailed):
        return TrainingFault(f"{run.path}: {error}; continue from the newest checkpoint with: {go_on}")
    return TrainingFault(f"{type(error).__name__}: {error} (the traceback is in {run.log})")


def explain_trial(error: Exception, what_would_fit: Callable[[], str]) -> Exception:
    """The fault in a step that was tried before there is a run."""
    return TrainingFault(f"out of memory; train with {what_would_fit()}") if _out_of_memory(error) else error


def _out_of_memory(error: Exception) -> bool:
    """On the GPU there is a class for it; on the CPU torch raises a RuntimeError."""
    on_cpu = isinstance(error, RuntimeError) and re.search(r"not enough memory|can't allocate memory", str(error))
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or bool(on_cpu)


def _disk_trouble(error: OSError, run: RunDir) -> str:
    what = f"{error.strerror or error}" + (f" ({error.filename})" if error.filename else "")
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"the disk is full or the file too large: {what}; make room"
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return f"can't be written any more: {what}; make it writable"
    if error.errno == errno.ENOENT:
        gone = "a part of the run directory" if run.config.exists() else "the run directory"
        return f"{gone} vanished: {what}; restore it"
    return f"{what}; repair the disk"


def write_failure(run: RunDir, step: int, error: Exception, fault: Exception) -> None:
    """Into status.json and the log, as far as the disk allows; `fault` is what `explain` returned for `error`."""
    details: dict[str, Any] = {"train_seconds": run.trained_seconds()}
    if isinstance(error, Divergence):
        step = error.step  # the first that was not finite, not the one at which it was noticed
        details["doctor"] = [diverged(str(error), error.remedies).plain()]
    with suppress(OSError):
        run.write_status("failed", step, str(fault), **details)
    if not isinstance(error, TrainingFault | UserError):
        with suppress(OSError), run.log.open("a", encoding="utf-8") as log:
            traceback.print_exception(error, file=log)
