"""Which worker trains which trial, and how the trial of a dead worker is given back.

A worker is one process of `gan-exp search`. Each trial that it trains names it, and has a number that it changes now
and then. A worker in the same directory and on the same machine is dead as soon as the lock that it held is free; of
others that is concluded from a number that no longer changes, by this machine's clock alone.
"""

import secrets
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout
from optuna import Study, Trial
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

BEAT_S = 15.0
GRACE_S = 120.0  # several beats, and a pause of the database
OWNER, BEAT = "worker", "worker_beat"
FOLDER = ".workers"


class Claims:
    """This worker's claims on trials of `study`, in the search's `directory`."""

    def __init__(
        self, study: Study, storage: BaseStorage, directory: Path, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._study, self._storage, self._clock = study, storage, clock
        self._host, self._folder = socket.gethostname(), directory / FOLDER
        self.name = f"{self._host}:{secrets.token_hex(4)}"
        self._folder.mkdir(exist_ok=True)
        self._lock = FileLock(self._lock_of(self.name))
        with suppress(NotImplementedError):  # a file system without locks: only the beats count
            self._lock.acquire(timeout=0)
        self._last_beat = clock()
        self._seen: dict[int, tuple[object, float]] = {}  # by trial: owner and beat, and when they were first seen

    def close(self) -> None:
        self._lock.release()
        with suppress(OSError):
            self._lock_of(self.name).unlink(missing_ok=True)

    def _lock_of(self, name: str) -> Path:
        return self._folder / f"{name.partition(':')[2]}.lock"

    def claim(self, trial: Trial) -> None:
        trial.set_user_attr(OWNER, self.name)

    def owns(self, trial: FrozenTrial) -> bool:
        return trial.state is TrialState.RUNNING and trial.user_attrs.get(OWNER) == self.name

    def is_beat_due(self) -> bool:
        return self._clock() - self._last_beat >= BEAT_S

    def beat(self, trials: list[Trial]) -> list[Trial]:
        """Show that this worker lives. Returns those of `trials` that another one has taken over."""
        self._last_beat = self._clock()
        lost = [trial for trial in trials if not self.owns(self._current(trial.number))]
        for trial in trials:
            if trial not in lost:
                trial.set_user_attr(BEAT, secrets.token_hex(4))
        return lost

    def give_back(self, number: int) -> None:
        """Let any worker take the trial; it keeps its number, parameters and directory."""
        trial_id = self._current(number)._trial_id
        self._storage.set_trial_user_attr(trial_id, OWNER, None)
        self._storage.set_trial_state_values(trial_id, TrialState.WAITING)
        self._seen.pop(number, None)

    def give_back_dead(self) -> list[int]:
        """Give back the trials of dead workers; returns their numbers."""
        running = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        dead = [trial.number for trial in running if not self.owns(trial) and self._is_dead(trial)]
        for number in dead:
            self.give_back(number)
        return dead

    def _is_dead(self, trial: FrozenTrial) -> bool:
        owner = str(trial.user_attrs.get(OWNER) or "")
        if owner.startswith(f"{self._host}:") and self._lock_of(owner).exists():
            with suppress(NotImplementedError, OSError):
                return _is_free(self._lock_of(owner))
        sign = (owner, trial.user_attrs.get(BEAT))
        if self._seen.get(trial.number, (None, 0.0))[0] != sign:
            self._seen[trial.number] = (sign, self._clock())
        return self._clock() - self._seen[trial.number][1] >= GRACE_S

    def _current(self, number: int) -> FrozenTrial:
        return self._study.get_trials(deepcopy=False)[number]


def _is_free(path: Path) -> bool:
    try:
        with FileLock(path, timeout=0):
            return True
    except Timeout:
        return False
