"""What runs on the cluster: submitit loads a `SubmittedJob` there and calls it."""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from gan_exp.runs.submissions import write_word
from gan_exp.runtime.signals import STOPPING, asked_to_stop, recording_signals
from gan_exp.runtime.terminal import report
from gan_exp.sweeps.job import Job, Outcome, train
from gan_exp.sweeps.slurm.code_state import CodeState, change_since

PATIENCE_S = 60.0  # for what follows a SIGTERM; Slurm kills a cancelled job after 30 s unless configured otherwise


@dataclass(frozen=True)
class SubmittedJob:
    """Trains `job`, and is requeued when Slurm preempts it or its time is over; the run then continues exactly.

    submitit's handler of the warning signal (SIGUSR2) writes this object down again, requeues the job and ends the
    process. While a run trains, the signal is only recorded, as everywhere in gan-exp: the run saves a checkpoint after
    its current step, and submitit's handler is called then.
    """

    job: Job
    code: CodeState
    folder: str  # of the submission

    def __call__(self) -> None:
        note = change_since(self.code, self.job.trusted)
        if note:
            report(note)
        self._write("running", note=note)
        outcome = self._train()
        self._write("ended", note=note, **asdict(outcome))
        if not outcome.finished:
            sys.exit(outcome.code)  # for Slurm: its state becomes FAILED

    def checkpoint(self) -> Any:
        """Called by submitit's handler: the job that is requeued."""
        from submitit.helpers import DelayedSubmission

        self._write("requeued")
        return DelayedSubmission(self)

    def _train(self) -> Outcome:
        """Train until the run ends or somebody stops it.

        SIGTERM may announce a preemption, after which the process must be alive for Slurm to requeue it, or be the
        end. So the run saves a checkpoint, waits for what follows, and goes on if nothing does.
        """
        preempting = _preemption_signal()
        while True:
            with _recording() as received:
                outcome = train(self.job)
            if outcome.code <= 128:
                return outcome
            if preempting in received:
                self._requeue(preempting)
            if signal.SIGTERM not in received:
                return outcome
            report(f"waiting {PATIENCE_S:.0f} s for what follows SIGTERM")
            _sleep(PATIENCE_S)

    def _requeue(self, preempting: signal.Signals) -> None:
        """Call submitit's handler, which requeues the job and ends the process."""
        try:
            signal.raise_signal(preempting)
        except Exception as error:  # too many timeouts, or scontrol has refused
            self._write("ended", **asdict(Outcome(1, " ".join(str(error).split()), can_go_on=True)))
            raise

    def _write(self, state: Any, **details: Any) -> None:
        write_word(Path(self.folder), job_id(), state, **details)


def job_id() -> str:
    """The cluster's name for the job of this process: 4711, or 4711_3 in an array."""
    from submitit.core.job_environment import JobEnvironment

    return str(JobEnvironment().job_id)


def _preemption_signal() -> signal.Signals:
    from submitit.core.job_environment import JobEnvironment

    return signal.Signals[f"SIG{JobEnvironment.USR_SIG}"]


def _sleep(seconds: float) -> None:
    """A signal's handler runs in between, and may end the process."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(0.2, left))


@contextmanager
def _recording() -> Iterator[list[int]]:
    """Record signals as everywhere, but let no second one end the process at once: srun may pass one on twice.

    Yields the list of those that have arrived. Afterwards submitit's handlers are in place again.
    """
    received: list[int] = []
    with recording_signals():
        for number in {signal.SIGTERM, _preemption_signal()} & set(STOPPING):
            record: Any = signal.getsignal(number)

            def note(number: int, frame: FrameType | None, record: Any = record) -> None:
                received.append(number)
                if asked_to_stop() is None:
                    record(number, frame)

            signal.signal(number, note)
        yield received
