"""What the configuration leaves open is decided here: the score of the best checkpoint, precision, threads, merging.

Each decision returns the configuration with its value, which the run keeps: a resumed run finds nothing left open.
"""

from collections.abc import Callable
from typing import cast

import torch

from gan_exp.config.contradictions import needs_float32
from gan_exp.config.schema import Config
from gan_exp.data.packed import PackedImages
from gan_exp.evaluation.in_training import choose_best_metric, refuse_unmeasurable
from gan_exp.models.merging import grouped_layers, merge_groups
from gan_exp.runtime.resources import usable_cores
from gan_exp.runtime.threads import choose_threads
from gan_exp.runtime.words import plural
from gan_exp.training.assembly import trial_step
from gan_exp.training.build import build_state
from gan_exp.training.faults import explain_trial
from gan_exp.training.merging_choice import PAYS_FROM, choose_merging
from gan_exp.training.precision import Precision, choose_precision
from gan_exp.training.state import TrainingState


def decide_best_metric(config: Config, data: PackedImages) -> Config:
    """With the score that `best_metric=auto` stands for. Raises UserError if this data can't have the score."""
    best_metric = choose_best_metric(config.best_metric, data)
    if config.evaluate_every_steps:
        refuse_unmeasurable(best_metric, data, config.dataset["name"])
    return config.model_copy(update={"best_metric": best_metric})


def decide_precision(config: Config, state: TrainingState, device: torch.device) -> tuple[Config, str]:
    """With what `device.precision=auto` stands for, and a line that says it."""
    precision, line = choose_precision(config.device.precision, device, state.networks, needs_float32(config))
    return _on_device(config, precision=precision), line


def decide_merging(config: Config, state: TrainingState, device: torch.device, ranks: int) -> tuple[Config, list[str]]:
    """With `device.merged_groups`, which the networks then have, and lines that say why, unless the user set it."""
    networks = state.networks.values()
    shapes = [layer.shape for layer in grouped_layers(networks)]
    wanted = config.device.merged_groups
    if wanted is not None:
        known = {shape.name for shape in shapes}
        unknown = [word for word in wanted if word.partition(":")[0] not in known]
        return config, [f"groups: {', '.join(unknown)} is of no layer of these networks"] if unknown else []
    if device.type != "cuda" or not shapes or config.device.deterministic or config.steps < PAYS_FROM:
        return _on_device(config, merged_groups=[]), []
    rows = config.batch_size // ranks
    precision = cast(Precision, config.device.precision)
    factors, why = choose_merging(shapes, min(rows, config.micro_batch_size or rows), precision, device)
    merge_groups(networks, factors)
    return _on_device(config, merged_groups=[f"{name}:{factor}" for name, factor in factors.items()]), [why]


def decide_threads(
    config: Config,
    data: PackedImages,
    device: torch.device,
    what_would_fit: Callable[[], str],
    seconds_at_least: float = 0.0,
) -> tuple[Config, str | None]:
    """With `device.threads`, and a line that says why, unless the user set it to what the machine can run at once.

    Steps are tried for this, unless each would take long; where the memory is too small for them, `what_would_fit` is
    asked.
    """
    if config.device.threads is not None:
        return config, _too_many(config.device.threads)

    def make_step() -> Callable[[], object]:
        return trial_step(config, build_state(config, data.spec, device), data, device)  # the run's stay untouched

    try:
        choice = choose_threads(make_step, device, config.device.deterministic, None, seconds_at_least)
    except RuntimeError as error:
        raise explain_trial(error, what_would_fit) from error
    if choice is None:
        return config, None
    threads, why = choice
    return _on_device(config, threads=threads), why


def _too_many(threads: int) -> str | None:
    cores = usable_cores()
    if threads <= cores:
        return None
    return (
        f"device.threads={threads}: this machine has {plural(cores, 'core')}, and further threads slow it down; "
        f"without device.threads the fastest number is measured"
    )


def _on_device(config: Config, **values: object) -> Config:
    return config.model_copy(update={"device": config.device.model_copy(update=values)})
