"""From the words of jobs to their checked configurations, through Hydra."""

import json
import os
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple, cast

from gan_exp.config.check import check
from gan_exp.config.compose import resolved
from gan_exp.config.hydra_support import job_label
from gan_exp.config.mistakes.hydra_errors import explain
from gan_exp.config.schema import Config
from gan_exp.errors import UserError
from gan_exp.runtime.signals import stop_if_asked
from gan_exp.sweeps.job import Job, Outcome, refuse_processes


class Composed(NamedTuple):
    jobs: list[Job]
    refused: dict[int, Outcome]  # by the numbers of those jobs whose configurations can't be trained


def checked_config(composed: Any) -> Config:
    """The checked configuration from Hydra's without its node hydra. Raises UserError or OmegaConf's errors."""
    return check(resolved(composed))


def compose_jobs(
    loader: Any,
    master: Any,
    words_of_jobs: Iterable[Sequence[str]],
    constants: Collection[str],
    options: Sequence[str] = (),
    trusted: Sequence[str] = (),
) -> Composed:
    """A job for each list of words; of equal ones the first.

    `loader` is Hydra's, `master` the sweep's own configuration, and `constants` are the keys with one value in it.
    `options` go before the words in each run's record. Raises Hydra's errors for words that make no configuration.
    """
    from omegaconf.errors import OmegaConfBaseException

    jobs: list[Job] = []
    refused: dict[int, Outcome] = {}
    seen: set[str] = set()
    for number, words in enumerate(words_of_jobs):
        stop_if_asked()
        directory, own_words, composed = _compose(loader, master, list(words), number)
        plain: dict[str, Any] = {}
        try:
            plain = checked_config(composed).model_dump(mode="json")
            refuse_processes(plain)
        except (UserError, OmegaConfBaseException) as error:
            refused[number] = Outcome(2, explain(error, own_words))
        content = json.dumps(plain or own_words, sort_keys=True)
        if content in seen:
            refused.pop(number, None)
            continue
        seen.add(content)
        label = job_label(own_words, constants)
        jobs.append(Job(plain, directory, number, label, (*options, *own_words), tuple(trusted)))
    return Composed(jobs, refused)


def _compose(loader: Any, master: Any, words: list[str], number: int) -> tuple[str, list[str], Any]:
    """The directory of the run, its words without Hydra's, and its configuration, in which ${hydra:...} is known."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf, open_dict, read_write
    from omegaconf.errors import OmegaConfBaseException

    config = loader.load_sweep_config(master, words)
    with open_dict(config):
        config.hydra.job.id = config.hydra.job.num = number
    HydraConfig.instance().set_config(config)
    directory = os.path.join(str(config.hydra.sweep.dir), str(config.hydra.sweep.subdir))  # noqa: PTH118
    with read_write(config.hydra.runtime), open_dict(config.hydra.runtime):
        config.hydra.runtime.output_dir = os.path.abspath(directory)  # noqa: PTH100
    HydraConfig.instance().set_config(config)
    try:
        own_words = list(config.hydra.overrides.task)
    except OmegaConfBaseException:  # one interpolates a missing key, for which the run is refused
        own_words = cast(list[str], OmegaConf.to_container(config.hydra.overrides.task, resolve=False))
    return directory, own_words, OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
