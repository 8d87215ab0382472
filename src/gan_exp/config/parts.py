"""Batches in parts: what divides them, and BatchNorm, whose statistics depend on them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gan_exp.config.schema import Config
from gan_exp.errors import UserError

if TYPE_CHECKING:
    from torch import nn


def refuse_uneven_parts(config: Config, processes: int = 1) -> None:
    """Raises UserError if micro-batches don't divide what each process has of a batch, or would divide packs.

    One that is larger than that is no limit: a configuration fits any number of processes.
    """
    size, rows = config.micro_batch_size, config.batch_size // processes
    if size is None or size >= rows or (rows % size == 0 and size % config.pac == 0):
        return
    fitting = [part for part in range(config.pac, size + 1, config.pac) if rows % part == 0]
    of_process = f"the {rows} images that each of {processes} processes has of a batch"
    divided = f"batch_size={rows}" if processes == 1 else of_process
    packs = f" and be a multiple of pac={config.pac}" if config.pac > 1 else ""
    raise UserError(
        f"micro_batch_size={size}: must divide {divided}{packs}; "
        f"set micro_batch_size={max(fitting, default=config.pac)}"
    )


def images_at_once(batch_size: int, micro_batch_size: int | None, processes: int) -> int:
    """Those that BatchNorm takes its statistics from: what goes through the networks of all processes at once."""
    return min(batch_size, (micro_batch_size or batch_size) * processes)


def refuse_other_statistics(
    before: Mapping[str, Any], config: Config, networks: "Mapping[str, nn.Module]", processes: int = 1
) -> None:
    """Raises UserError if BatchNorm would take its statistics from other parts than in the checkpoint `before`."""
    normalising, size, micro_batch_size = _normalising(networks), config.batch_size, config.micro_batch_size
    old = images_at_once(size, before.get("config", {}).get("micro_batch_size"), before.get("processes", 1))
    new = images_at_once(size, micro_batch_size, processes)
    if not normalising or old == new:
        return
    remedy = "start another number of processes" if old % processes else f"set micro_batch_size={old // processes}"
    raise UserError(
        f"micro_batch_size={'null' if micro_batch_size is None else micro_batch_size}: BatchNorm in {normalising} has "
        f"taken its statistics from {old} images at a time, and would take them from {new}, which can't change in the "
        f"middle of a run; {remedy}, or train a new run"
    )


def statistics_of_parts(config: Config, networks: "Mapping[str, nn.Module]", processes: int = 1) -> list[str]:
    """A line about the networks that micro-batches change."""
    size, normalising = images_at_once(config.batch_size, config.micro_batch_size, processes), _normalising(networks)
    if size == config.batch_size or not normalising:
        return []
    return [
        f"micro_batch_size={config.micro_batch_size}: BatchNorm in {normalising} takes its statistics from {size} "
        f"images at a time, not from all {config.batch_size}"
    ]


def _normalising(networks: "Mapping[str, nn.Module]") -> str:
    """The networks with BatchNorm, in words."""
    return " and ".join(f"the {name}" for name, network in networks.items() if batch_norm_of(network) is not None)


def batch_norm_of(network: "nn.Module") -> str | None:
    """The name of its first BatchNorm, where it has one."""
    from torch.nn.modules.batchnorm import _BatchNorm

    return next((name for name, layer in network.named_modules() if isinstance(layer, _BatchNorm)), None)
