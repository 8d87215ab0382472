"""`gan-exp train [key=value ...]`: a new run, or with -m one for each combination."""

from functools import partial

from gan_exp.commands.cluster import Cluster, submit_run, take_cluster, with_choices
from gan_exp.commands.launch import launch
from gan_exp.commands.over_ranks import over_ranks
from gan_exp.commands.train_help import help_text
from gan_exp.commands.train_run import train_run
from gan_exp.commands.train_words import help_topics, parse
from gan_exp.config.catalog import config_dirs
from gan_exp.config.check import check
from gan_exp.config.hydra_support import label
from gan_exp.config.overrides import apply_overrides
from gan_exp.config.targets import trust, trusted_modules
from gan_exp.runs.new_directories import NewDirectories
from gan_exp.runs.run_dir import RunDir
from gan_exp.runs.run_names import usual_directory
from gan_exp.runtime.files import make_unique_directory
from gan_exp.runtime.paths import expand_user
from gan_exp.runtime.processes import refuse_multiple_processes
from gan_exp.runtime.ranks import Ranks
from gan_exp.runtime.signals import stop_if_asked


def run(arguments: list[str]) -> int:
    if "--help" in arguments or "-h" in arguments:
        print(help_text(help_topics(arguments), config_dirs(arguments)))
        return 0
    return over_ranks(partial(_run, arguments))


def _run(arguments: list[str], ranks: Ranks) -> int:
    arguments, cluster = take_cluster(arguments)
    words = parse(arguments)
    trust(words.trust)
    if cluster is not None:
        refuse_multiple_processes("--slurm")
    cluster = cluster and with_choices(cluster, words.choices)
    if words.again is not None:
        return _run_again(words.again, words.for_hydra, words.choices.may_continue, cluster, ranks)
    return launch(words.for_hydra, words.choices, cluster, ranks)


def _run_again(path: str, overrides: list[str], may_continue: bool, cluster: Cluster | None, ranks: Ranks) -> int:
    """A new run with the configuration of an old one."""
    from gan_exp.sweeps.job import Job

    places = [word.partition("=")[2] for word in overrides if word.startswith("hydra.run.dir=")]
    overrides = [word for word in overrides if not word.startswith("hydra.run.dir=")]
    config = check(apply_overrides(RunDir.open(path).read_config(), overrides))
    stop_if_asked()
    new = NewDirectories([str(expand_user(place, "hydra.run.dir")) for place in places])
    usual = usual_directory(label(config.name))
    directory = str(expand_user(places[-1], "hydra.run.dir")) if places else make_unique_directory(usual)
    with new.removed_if_unused(directory, made=not places):
        if cluster is not None:
            job = Job(config.model_dump(mode="json"), directory, words=tuple(overrides), trusted=trusted_modules())
            return submit_run(job, cluster)
        return train_run(config, directory, "start or continue" if may_continue else "start", None, ranks)
