"""What each of the processes does that `device.processes` starts. Not for users."""

import json
import os

from gan_exp.commands.over_ranks import over_ranks
from gan_exp.commands.train_run import Task, train_run
from gan_exp.config.check import check
from gan_exp.runtime.lifeline import TASK
from gan_exp.runtime.ranks import Ranks


def run(_: list[str]) -> int:
    return over_ranks(_lead)


def _lead(ranks: Ranks) -> int:
    task = Task(**json.loads(os.environ[TASK]))
    return train_run(check(task.config), task.directory, task.how, task.words, ranks, task.name)
