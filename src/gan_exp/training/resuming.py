"""Continue a run that is there, with other values of the keys that may change."""

from collections.abc import Sequence

from gan_exp.config.check import check
from gan_exp.config.overrides import apply_overrides, differing_keys
from gan_exp.runs.run_dir import RunDir
from gan_exp.runtime.ranks import ALONE, Ranks
from gan_exp.runtime.signals import stop_if_asked


def resume_run(run: RunDir, overrides: Sequence[str], in_sweep: bool = False, ranks: Ranks = ALONE) -> bool:
    """Train on from the newest checkpoint; false if the run has finished and `overrides` ask for no more steps.

    Raises UserError if they would make another experiment of it.
    """
    saved = run.read_config()
    check(saved)
    config = check(apply_overrides(saved, overrides))
    stop_if_asked()
    with run.locked():
        status = run.read_status()
        finished = status.get("state") == "finished" and config.steps == status.get("step")
        if finished and not differing_keys(saved, config.model_dump(mode="json")):
            return False

        from gan_exp.training.session import continue_run  # imports torch

        continue_run(config, run, in_sweep, ranks)
    return True
