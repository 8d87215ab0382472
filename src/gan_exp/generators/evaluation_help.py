"""`gan-exp evaluate` in several processes: the first evaluates, the others draw samples and extract features for it."""

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from gan_exp.config.targets import TRUST_VARIABLE, trusted_modules
from gan_exp.runtime.ranks import Ranks
from gan_exp.runtime.resources import usable_cores

if TYPE_CHECKING:
    import torch

    from gan_exp.config.schema import Config, DeviceConfig
    from gan_exp.data.packed import DataSpec


class _Offer(NamedTuple):
    """All that another process needs to have the same generator."""

    config: dict[str, Any]
    trusted: str
    spec: "DataSpec"
    weights: "dict[str, torch.Tensor]"


def offer(ranks: Ranks, config: "Config", spec: "DataSpec", weights: "dict[str, torch.Tensor]") -> None:
    """Give the other ranks the generator that is measured next; they `serve` it then."""
    if ranks.count > 1:
        on_cpu = {name: value.cpu() for name, value in weights.items()}
        ranks.broadcast(_Offer(config.model_dump(mode="json"), ",".join(trusted_modules()), spec, on_cpu))


def help_evaluate(ranks: Ranks) -> int:
    """What a rank other than the first does, until it lets the others go; returns the exit code."""
    from gan_exp.config.check import check
    from gan_exp.evaluation.division import Division
    from gan_exp.evaluation.sampling import Sampler
    from gan_exp.runtime.device import prepare_device
    from gan_exp.training.build import build_generator

    division = Division(ranks)
    while not isinstance(work := ranks.wait_for_work(), int):
        os.environ[TRUST_VARIABLE] = work.trusted
        config = check(work.config)
        division.device = prepare_device(shared(config.device, ranks), ranks=ranks)
        generator = build_generator(config, work.spec)
        generator.load_state_dict(work.weights)
        division.serve(Sampler(generator.to(division.device), work.spec))
    return work


def shared(config: "DeviceConfig", ranks: Ranks) -> "DeviceConfig":
    """The settings of a run, with threads for each of several processes on this machine."""
    if ranks.local_count == 1:
        return config
    share = max(1, usable_cores() // ranks.local_count)
    return config.model_copy(update={"threads": min(config.threads or share, share)})
