"""Trains a run to its end, and writes into its status how it ended: finished, interrupted, failed, or at once."""

import shlex
import signal
from collections.abc import Callable
from contextlib import suppress

from gan_exp.display.live import Display
from gan_exp.display.summary import closing_table, next_commands
from gan_exp.evaluation.in_training import TrainingEvaluation
from gan_exp.runs.run_dir import RunDir
from gan_exp.runtime.ranks import Ranks
from gan_exp.runtime.signals import Interrupted, before_forced_exit
from gan_exp.runtime.terminal import report
from gan_exp.training.faults import explain, write_failure
from gan_exp.training.needs import Needs
from gan_exp.training.run_log import RunLog
from gan_exp.training.trainer import Trainer


def train_to_the_end(
    needs: Needs, run: RunDir, make: Callable[[], Trainer], display: Display, in_sweep: bool, ranks: Ranks
) -> None:
    """Make the trainer, let it train, and write how that ended.

    Suggests the next commands, unless a sweep does so for all of its runs.
    """
    trainer: Trainer | None = None
    try:
        trainer = make()
        first_step = trainer.state.step
        with (
            before_forced_exit(lambda found: _leave_at_once(run, found, display)),
            ranks.before_end(lambda failure: _leave_without(run, failure, display, needs)),
        ):
            stopped_by = trainer.train()
        step, log = trainer.state.step, trainer.log
        assert isinstance(log, RunLog)
        if stopped_by is not None:
            run.write_status("interrupted", step, stopped_by.name, **log.status)
            display.say(f"interrupted at step {step}; continue with: gan-exp resume {shlex.quote(str(run.path))}")
            raise Interrupted(stopped_by, reported=True)
        log.animate()
        run.write_status("finished", step, **log.status)
    except Exception as error:
        cause = ranks.cause_of(error)
        fault = explain(cause, run, needs.after_running_out)
        write_failure(run, 0 if trainer is None else trainer.state.step, cause, fault)
        display.stop()
        raise fault from cause
    display.show(closing_table(run, log.metrics, trainer.seconds, step - first_step, log.verdicts))
    display.show_preview()
    if isinstance(trainer.evaluation, TrainingEvaluation):
        display.say(trainer.evaluation.closing_line())
    if not in_sweep:
        display.say(next_commands(run, 2 * step))


def _leave_without(run: RunDir, failure: Exception, display: Display, needs: Needs) -> None:
    """After the failure of another rank, without which this one is stuck."""
    kept = run.list_checkpoints()
    fault = explain(failure, run, needs.after_running_out)
    write_failure(run, kept[-1][0] if kept else 0, failure, fault)
    display.stop()
    report(str(fault))


def _leave_at_once(run: RunDir, found: signal.Signals, display: Display) -> None:
    """After a second signal: write the status and a last line; it may have come in the middle of anything."""
    kept = run.list_checkpoints()
    step = kept[-1][0] if kept else 0
    with suppress(OSError):
        run.write_status("interrupted", step, found.name, train_seconds=run.trained_seconds())
    display.stop()
    display.say(f"stopped at once; continue from step {step} with: gan-exp resume {shlex.quote(str(run.path))}")
