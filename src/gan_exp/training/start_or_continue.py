"""Start a run in a directory, or continue the one that is there: for jobs that a cluster may start again."""

import shlex
from collections.abc import Sequence

from gan_exp.config.anew import chosen_once
from gan_exp.config.check import check
from gan_exp.config.metrics import AUTO
from gan_exp.config.overrides import refuse_another_experiment
from gan_exp.config.schema import Config
from gan_exp.runs.run_dir import RunDir
from gan_exp.runtime.ranks import ALONE, Ranks
from gan_exp.runtime.terminal import say
from gan_exp.runtime.words import plural
from gan_exp.training.session import continue_run, start_run


def start_or_continue(
    config: Config,
    directory: str,
    in_sweep: bool = False,
    command: Sequence[str] | None = None,
    ranks: Ranks = ALONE,
) -> None:
    """Train what `config` says in `directory`, as if it had never been stopped; a finished run stays as it is.

    Raises UserError if the directory holds another experiment.
    """
    run = RunDir(directory)
    if not run.config.exists():
        start_run(config, directory, in_sweep, command, ranks)
        return
    before = check(run.read_config())
    plain = chosen_once(config.model_dump(mode="json"), before.model_dump(mode="json"), command or ())
    config = check(plain) if config.chosen else config
    refuse_another_experiment(before.model_dump(mode="json"), config.model_dump(mode="json"), run.path)
    for key in ("threads", "merged_groups"):  # the run has found its own, on which the last bits depend
        if getattr(config.device, key) is None:
            device = config.device.model_copy(update={key: getattr(before.device, key)})
            config = config.model_copy(update={"device": device})
    if config.best_metric == AUTO:
        config = config.model_copy(update={"best_metric": before.best_metric})
    with run.locked():
        status = run.read_status()
        if status.get("state") == "finished" and status.get("step", 0) >= config.steps:
            say(f"{shlex.quote(str(run.path))} is finished ({plural(status['step'], 'step')})")
        else:
            continue_run(config, run, in_sweep, ranks)
