"""A worker: asks the study for trials, trains as many at a time as it may, and tells the study how they ended."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from gan_exp.config.hydra_support import label
from gan_exp.errors import UserError
from gan_exp.runtime.signals import asked_to_stop
from gan_exp.search.claims import Claims
from gan_exp.search.space import Space
from gan_exp.search.study import ERRORS
from gan_exp.search.trial import Ended, Setting, TrialTraining

POLL_S = 0.2
LOOK_S = 5.0  # between two looks for trials of dead workers
PATIENCE_S = 600.0  # with a database that can't be reached any more
RUN, CAUSE, DIVERGED, SURPLUS = "run", "cause", "diverged", "surplus"  # attributes of a trial
TRIALS = "trials"  # the folder of their runs


@dataclass
class _Slot:
    trial: optuna.Trial
    training: TrialTraining | None  # None: its values make no configuration
    ended: Ended | None = None


class Worker:
    """Trains trials of `study` until `count` have ended, `slots` at a time; `tell` is called when one has ended.

    Other workers may do the same. The last state of a trial that is stopped is kept, and the trial given back.
    """

    def __init__(
        self,
        study: optuna.Study,
        storage: BaseStorage,
        setting: Setting,
        directory: Path,
        count: int,
        slots: int,
        say: Callable[[str], None],
        tell: Callable[[FrozenTrial], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._study, self._setting, self._directory = study, setting, directory
        self._count, self._limit, self._say, self._tell, self._clock = count, slots, say, tell, clock
        self.claims = Claims(study, storage, directory, clock)
        self._slots: list[_Slot] = []
        self._looked_at = clock()
        self._changed = True  # since the last look for trials to begin
        self._exhausted = self._waits = False
        study.stop = self._note_exhaustion  # type: ignore[method-assign]  # grids call it after their last point

    def _note_exhaustion(self) -> None:
        self._exhausted = True

    def run(self) -> None:
        """Raises UserError if the database stays out of reach; what was trained is kept then."""
        failing_since: float | None = None
        try:
            while asked_to_stop() is None:
                try:
                    if self.tick():
                        return
                    failing_since = None
                except ERRORS as error:
                    failing_since = self._bear(error, failing_since)
                time.sleep(POLL_S)
        finally:
            self._leave()

    def _bear(self, error: Exception, since: float | None) -> float:
        """Wait for a database that can't be reached; training goes on meanwhile."""
        reason = " ".join(str(error).split())[:200]
        if since is None:
            self._say(f"warning: the database can't be reached ({reason}); training goes on, trying again")
            return self._clock()
        if self._clock() - since > PATIENCE_S:
            raise UserError(f"the database can't be reached any more ({reason}); the same command goes on") from error
        return since

    def tick(self) -> bool:
        """One look at everything; whether the search has ended."""
        for slot in list(self._slots):
            self._advance(slot)
        if self.claims.is_beat_due():
            lost = self.claims.beat([slot.trial for slot in self._slots])
            self._drop([slot for slot in self._slots if slot.trial in lost])
        if not self._changed and self._clock() - self._looked_at < LOOK_S:
            return False
        self._changed, self._looked_at = False, self._clock()
        for number in self.claims.give_back_dead():
            self._say(f"trial {number}: its worker has died; it goes on from its checkpoint")
        while len(self._slots) < self._limit and self._ask():
            pass
        unfinished = self._study.get_trials(deepcopy=False, states=UNFINISHED)
        if unfinished and not self._slots and not self._waits:
            self._waits = True
            numbers = ", ".join(str(trial.number) for trial in unfinished)
            self._say(f"waiting for other workers' trials: {numbers}")
        return not unfinished and not self._slots

    def _ask(self) -> bool:
        """Begin a trial: one that was given back, or a new one. False if there is nothing to begin."""
        if asked_to_stop() is not None:
            return False
        trials = self._study.get_trials(deepcopy=False)
        waiting = any(trial.state is TrialState.WAITING for trial in trials)
        if not waiting and (self._exhausted or len(counted(trials)) >= self._count):
            return False
        trial = self._study.ask(self._setting.question.space.distributions)
        self.claims.claim(trial)
        trials = self._study.get_trials(deepcopy=False)
        if len([one for one in counted(trials) if one.number < trial.number]) >= self._count:
            trial.set_user_attr(SURPLUS, True)  # two workers have begun the last one
            self._study.tell(trial, state=TrialState.FAIL)
            return False
        self._begin(trial, trials[trial.number])
        return True

    def _begin(self, trial: optuna.Trial, known: FrozenTrial) -> None:
        space = self._setting.question.space
        name = known.user_attrs.get(RUN) or f"{trial.number}-{label(','.join(short_words(space, trial.params)))}"
        slot = _Slot(trial, None)
        self._slots.append(slot)
        trial.set_user_attr(RUN, name)
        place = self._directory / TRIALS / name
        try:
            slot.training = TrialTraining(self._setting, trial, place, list(known.intermediate_values))
        except UserError as error:
            slot.ended = Ended("failed", cause=str(error))
        self._advance(slot)

    def _advance(self, slot: _Slot) -> None:
        if slot.ended is None and slot.training is not None:
            slot.ended = slot.training.advance()
        if slot.ended is not None:
            self._conclude(slot, slot.ended)

    def _conclude(self, slot: _Slot, ended: Ended) -> None:
        """Tell the study. A diverged trial counts as pruned there: a failed one would teach the sampler nothing."""
        state = {"complete": TrialState.COMPLETE, "failed": TrialState.FAIL}.get(ended.state, TrialState.PRUNED)
        try:
            if ended.cause:
                slot.trial.set_user_attr(CAUSE, ended.cause)
            if ended.state == "diverged":
                slot.trial.set_user_attr(DIVERGED, True)
            self._study.tell(slot.trial, list(ended.values) or None, state)
        except (ValueError, RuntimeError) as error:
            if isinstance(error, ERRORS) and not isinstance(error, optuna.exceptions.UpdateFinishedTrialError):
                raise
            self._drop([slot])  # another worker, that took this one for dead, has told
            return
        self._slots.remove(slot)
        self._changed = True
        self._tell(self._study.get_trials(deepcopy=False)[slot.trial.number])

    def _drop(self, slots: Sequence[_Slot]) -> None:
        for slot in slots:
            self._say(f"trial {slot.trial.number}: another worker has taken it over")
            if slot.training is not None:
                slot.training.stop()
            self._slots.remove(slot)

    def _leave(self) -> None:
        """Stop what is being trained, wait until it is saved, and give its trials back.

        A run that has finished meanwhile is found so by the next worker.
        """
        training = [slot.training for slot in self._slots if slot.training is not None]
        for one in training:
            one.stop()
        while not all(one.has_stopped() for one in training):
            time.sleep(POLL_S)
        for slot in self._slots:
            with suppress(*ERRORS):  # the next worker will find that this one is dead
                self.claims.give_back(slot.trial.number)
        self.claims.close()


UNFINISHED = (TrialState.RUNNING, TrialState.WAITING)


def counted(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Those that count towards the number of trials."""
    return [trial for trial in trials if not trial.user_attrs.get(SURPLUS)]


def short_words(space: Space, values: dict[str, Any]) -> list[str]:
    """The searched words of a trial for people: numbers with a few digits."""
    return [
        f"{parameter.name}={value:.3g}" if isinstance(value := values[parameter.name], float) else parameter.word(value)
        for parameter in space.parameters
    ]
