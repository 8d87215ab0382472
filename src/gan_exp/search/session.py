"""A search from its first line to its last: what is searched, each trial as it ends, and what was found."""

from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial

from gan_exp.config.compose import compose
from gan_exp.config.own_images import told
from gan_exp.errors import UserError
from gan_exp.runtime.paths import path_from_here
from gan_exp.runtime.signals import Interrupted, asked_to_stop
from gan_exp.runtime.terminal import say
from gan_exp.runtime.words import plural
from gan_exp.search.place import Place
from gan_exp.search.result import EXPERIMENTS, front, importances, row_of, rows, write_experiments, write_history
from gan_exp.search.show import closing_table, counts, importance_lines, trial_line
from gan_exp.search.trial import Setting
from gan_exp.search.worker import Worker

SEEDS_TO_CHECK = 100  # the first of the seeds that measure the best once more: no trial has used them


@dataclass
class Session:
    place: Place
    setting: Setting
    study: optuna.Study
    count: int  # of trials, those that others train included
    slots: int

    def run(self) -> int:
        """The exit code: 0 if there is a best trial. Raises Interrupted if a signal has ended it."""
        self._introduce()
        worker = Worker(
            self.study,
            self.place.storage(),
            self.setting,
            self.place.directory,
            self.count,
            self.slots,
            say,
            self._tell,
        )
        worker.run()
        self._write()
        stopped_by = asked_to_stop()
        if stopped_by is not None:
            found = counts(rows(self.study)) or "no trial begun"
            say(f"stopped by {stopped_by.name}: {found}; the same command goes on")
            raise Interrupted(stopped_by, reported=True)
        return self._close()

    def _introduce(self) -> None:
        question = self.setting.question
        searched = " ".join(f"{one.name}={one.text}" for one in question.space.parameters)
        goals = ", ".join(f"{one.metric} ({one.better} is better)" for one in question.objectives)
        seeds = f", the mean of {question.seeds} seeds each" if question.seeds > 1 else ""
        for line in told(self._chosen()):
            say(line)
        found = rows(self.study)
        there = f"; {counts(found)} so far" if found else ""
        say(f"search: {plural(self.count, 'trial')} of {searched} for {goals}{seeds}, {self.slots} at a time{there}")

    def _chosen(self) -> list[str]:
        """What is chosen for a folder of images, as far as all trials have it."""
        space = self.setting.question.space
        searched = {parameter.key for parameter in space.parameters}
        if "dataset=folder" not in space.constants or searched & {"model", "experiment"}:
            return []
        lines: list[str] = compose(space.constants, self.setting.config_dirs).plain["chosen"]
        return [line for line in lines if line.partition("=")[0] not in searched]

    def _tell(self, trial: FrozenTrial) -> None:
        found = rows(self.study)
        row = row_of(trial)
        say(trial_line(self.setting.question, row, found, self.count))
        try:
            write_history(self.place.directory, self.setting.question, found)
            if row in front(self.setting.question, found):
                self._write()
        except (OSError, UserError) as error:  # the study has it all, and the end writes it again
            say(f"warning: what was found can't be written now ({error})")

    def _write(self) -> list[str]:
        found = rows(self.study)
        write_history(self.place.directory, self.setting.question, found)
        return write_experiments(self.place.directory, self.setting, found, self.place.shown)

    def _close(self) -> int:
        found = rows(self.study)
        names = self._write()
        say(f"search: {plural(len(found), 'trial')}: {counts(found)}")
        if not names:
            say(f"no trial is complete; the causes: {path_from_here(self.place.directory / 'history.csv')}")
            return 1
        closing_table(self.setting.question, found)
        for line in importance_lines(importances(self.study, self.setting.question)):
            say(line)
        files = ["history.csv", *(f"{EXPERIMENTS}/{name}.yaml" for name in names)]
        say(f"written: {', '.join(f'{self.place.shown}/{file}' for file in files)}")
        say(self._next())
        return 0

    def _next(self) -> str:
        """How to train the best, and to measure it without the luck of having been chosen."""
        place, own, copy = self.place.shown, self.setting.config_dirs, ""
        if own:  # --config-dir takes one folder
            place = path_from_here(Path(own[0]))
            copy = f"\n  cp {self.place.shown}/{EXPERIMENTS}/best.yaml {place}/{EXPERIMENTS}/"
        seeds = f"'seed=range({SEEDS_TO_CHECK},{SEEDS_TO_CHECK + 5})'"
        again = f"gan-exp train -m --config-dir {place} experiment=best {seeds}"
        return f"next (the best of many is partly luck; new seeds tell how good it is):{copy}\n  {again}"
