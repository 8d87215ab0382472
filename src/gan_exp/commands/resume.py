"""`gan-exp resume RUN [key=value ...]`: go on in the same directory, as if the run had never stopped."""

import shlex
from functools import partial
from pathlib import Path

from gan_exp.commands.arguments import RUN_HELP, Parser
from gan_exp.commands.cluster import Cluster, refuse_if_on_cluster, submit_run, take_cluster, with_choices
from gan_exp.commands.over_ranks import over_ranks
from gan_exp.commands.train_run import train_run
from gan_exp.errors import UserError
from gan_exp.runs.run_dir import RunDir
from gan_exp.runs.run_names import find, is_run_or_sweep, is_sweep
from gan_exp.runs.submissions import has_submissions, read_submissions
from gan_exp.runtime.paths import expand_user
from gan_exp.runtime.processes import refuse_multiple_processes
from gan_exp.runtime.ranks import ALONE, Ranks
from gan_exp.runtime.signals import stop_if_asked


def run(arguments: list[str]) -> int:
    if "--help" in arguments or "-h" in arguments:  # without other processes
        return _run(arguments, ALONE)
    return over_ranks(partial(_run, arguments))


def _run(arguments: list[str], ranks: Ranks) -> int:
    arguments, cluster = take_cluster(arguments)
    parser = Parser("resume", "Continue a run from its newest checkpoint, or the unfinished runs of a sweep.")
    parser.add_argument("run", metavar="RUN", help=f"{RUN_HELP}; or a sweep's directory")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help=(
        "steps, log_every_steps, sample_every_steps, checkpoint_every_steps, keep_checkpoints, "
        "check_resources, evaluate_every_steps, evaluate_count, best_metric, display, "
        "fast_path, device.*, dataset.root if the data has moved; "
        "for a sweep: values for more runs, such as 'seed=range(0,5)'"
    ))  # fmt: skip
    parser.add_argument("--config-dir", metavar="DIR", help="for a sweep: the folder with your own YAML files")
    parser.add_argument("--jobs", metavar="N", help="for a sweep: runs at a time (default: as many as fit)")
    parser.add_argument("--on-failure", metavar="WHAT", help="for a sweep: continue (default) or stop")
    # For --help; `take_cluster` has taken them.
    parser.add_argument("--slurm", nargs="?", metavar="FILE", help=(
        "submit what is left to a cluster, with the keys slurm.* (gan-exp train --help slurm); --slurm=FILE reads them"
    ))  # fmt: skip
    parser.add_argument("--wait", action="store_true", help="with --slurm: stay until all jobs have ended")
    parser.add_trust()
    options = parser.parse_intermixed_args(arguments)

    from gan_exp.config.targets import trust

    trust(options.trust)
    if "=" in options.run and not is_run_or_sweep(expand_user(options.run, "RUN")):
        words = shlex.join(["resume", "latest", options.run, *options.overrides])
        raise UserError(f"{options.run}: the run comes first: gan-exp {words}")
    path = expand_user(options.run, "RUN")
    if cluster is not None:
        refuse_multiple_processes("--slurm")
    if cluster is not None and has_submissions(path) and not is_run_or_sweep(path):
        return _submit_again(path, options.overrides, cluster)
    place = find(options.run)
    if cluster is None and has_submissions(place):
        refuse_if_on_cluster(place)
    if is_sweep(place):
        from gan_exp.commands import sweep
        from gan_exp.sweeps.words import choices

        refuse_multiple_processes("a sweep")
        own = options.config_dir and str(expand_user(options.config_dir, "--config-dir"))
        chosen = choices(options.jobs, options.on_failure)
        cluster = cluster and with_choices(cluster, chosen)
        return sweep.resume(place, options.overrides, own, chosen, cluster)
    for option, value in (
        ("config-dir", options.config_dir),
        ("jobs", options.jobs),
        ("on-failure", options.on_failure),
    ):
        if value is not None:
            raise UserError(f"--{option} {value}: a run needs none, only a sweep does")
    return _resume_run(options.run, options.overrides, cluster, ranks)


def _submit_again(place: Path, overrides: list[str], cluster: Cluster) -> int:
    """A single run that was submitted and lost before it began."""
    from gan_exp.config.check import check
    from gan_exp.config.overrides import apply_overrides
    from gan_exp.config.targets import trusted_modules
    from gan_exp.sweeps.job import Job

    config = check(apply_overrides(read_submissions(place)[0].config, overrides))
    return submit_run(Job(config.model_dump(mode="json"), str(place), trusted=trusted_modules()), cluster)


def _resume_run(name: str, overrides: list[str], cluster: Cluster | None, ranks: Ranks) -> int:
    run_dir = RunDir.open(name)
    if cluster is not None:
        return _submit_run(run_dir, overrides, cluster)

    from gan_exp.config.check import check
    from gan_exp.config.overrides import apply_overrides

    saved = run_dir.read_config()
    check(saved)  # before the overrides hide what is wrong with it
    config = check(apply_overrides(saved, overrides))
    return train_run(config, str(run_dir.path), "resume", overrides, ranks, name)


def _submit_run(run_dir: RunDir, overrides: list[str], cluster: Cluster) -> int:
    from gan_exp.config.check import check
    from gan_exp.config.overrides import apply_overrides, refuse_another_experiment
    from gan_exp.config.targets import trusted_modules
    from gan_exp.sweeps.job import Job

    saved = run_dir.read_config()
    check(saved)
    plain = check(apply_overrides(saved, overrides)).model_dump(mode="json")
    stop_if_asked()
    refuse_another_experiment(saved, plain, run_dir.path)
    return submit_run(Job(plain, str(run_dir.path), trusted=trusted_modules()), cluster)
