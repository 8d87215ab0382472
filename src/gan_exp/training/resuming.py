"""Continue a run that is there, with other values of the keys that may change."""

from collections.abc import Sequence

from gan_exp.config.check import check
from gan_exp.config.overrides import apply_overrides, differing_keys, reads_otherwise
from gan_exp.runs.run_dir import RunDir
from gan_exp.runtime.ranks import ALONE, Ranks
from gan_exp.runtime.signals import stop_if_asked


def resume_run(run: RunDir, overrides: Sequence[str], in_sweep: bool = False, ranks: Ranks = ALONE) -> bool:
    """Train on from the newest checkpoint; false if the run has finished and `overrides` ask for no more steps.

    A finished run whose data has moved is told the new place, and its data is compared.

    Raises UserError if they would make another experiment of it.
    """
    saved = run.read_config()
    before = check(saved).model_dump(mode="json")
    config = check(apply_overrides(saved, overrides))
    stop_if_asked()
    with run.locked():
        status = run.read_status()
        finished = status.get("state") == "finished" and config.steps == status.get("step")
        plain = config.model_dump(mode="json")
        if finished and not differing_keys(before, plain) and not reads_otherwise(before, plain):
            return False

        from gan_exp.training.session import continue_run  # imports torch

        continue_run(config, run, in_sweep, ranks)
    return True
