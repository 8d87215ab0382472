"""`gan-exp train [key=value ...]`: a new run, or with -m one for each combination."""

from functools import partial
from pathlib import Path
from typing import Any

from gan_exp.commands.cluster import Cluster, submit_run, take_cluster, with_choices
from gan_exp.commands.launch import launch
from gan_exp.commands.over_ranks import over_ranks
from gan_exp.commands.train_help import help_text
from gan_exp.commands.train_run import How, train_run
from gan_exp.commands.train_words import Words, help_topics, parse
from gan_exp.config.anew import anew
from gan_exp.config.catalog import config_dirs
from gan_exp.config.check import check
from gan_exp.config.hydra_support import label
from gan_exp.config.targets import trust, trusted_modules
from gan_exp.errors import UserError
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
    if words.again is not None or words.start is not None:
        return _run_like_another(words, cluster, ranks)
    return launch(words.for_hydra, words.choices, cluster, ranks)


def _run_like_another(words: Words, cluster: Cluster | None, ranks: Ranks) -> int:
    """A new run with the configuration of an old one, which may start from an old one's weights."""
    from gan_exp.sweeps.job import Job

    given, folders = _without_folders(words.for_hydra)
    places = [word.partition("=")[2] for word in given if word.startswith("hydra.run.dir=")]
    overrides = [word for word in given if not word.startswith("hydra.run.dir=")]
    saved, own = _saved(words)
    whole = check(saved).model_dump(mode="json")  # with every key, or refused
    config = check(anew({**whole, **own}, overrides, folders))
    stop_if_asked()
    new = NewDirectories([str(expand_user(place, "hydra.run.dir")) for place in places])
    usual = usual_directory(label(config.name))
    directory = str(expand_user(places[-1], "hydra.run.dir")) if places else make_unique_directory(usual)
    with new.removed_if_unused(directory, made=not places):
        if cluster is not None:
            job = Job(config.model_dump(mode="json"), directory, words=tuple(overrides), trusted=trusted_modules())
            return submit_run(job, cluster)
        how: How = "start or continue" if words.choices.may_continue else "start"
        return train_run(config, directory, how, None, ranks)


def _saved(words: Words) -> tuple[dict[str, Any], dict[str, Any]]:
    """The configuration that a new run takes over, and its own values of keys that say where it starts."""
    if words.start is None:
        assert words.again is not None
        return RunDir.open(words.again).read_config(), {}
    file = expand_user(words.start.run, "--from")
    run = None if file.is_file() else RunDir.open(words.start.run)
    start: dict[str, Any] = {"start_from": str(file.resolve() if run is None else run.path)}
    start["start_keep"] = ["average"] if words.start.keep is None else words.start.keep
    if words.again is not None:
        return RunDir.open(words.again).read_config(), start
    if run is not None:
        return run.read_config(), start
    from gan_exp.runs.checkpoint import load_checkpoint

    saved = load_checkpoint(file).get("config")
    if saved is None:
        raise UserError(f"--from {file}: an old checkpoint, without its configuration; name the run instead")
    return saved, start


def _without_folders(words: list[str]) -> tuple[list[str], list[Path]]:
    """The words without --config-dir, and the folders that it names."""
    options = ("--config-dir", "-cd")
    behind = [number for number, word in enumerate(words) if word in options]
    return [word for n, word in enumerate(words) if n not in behind and n - 1 not in behind], config_dirs(words)
