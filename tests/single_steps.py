"""Helpers for tests of single updates: small networks on a batch of random images."""

import torch
from torch import Tensor, nn

from builders import small_config
from gan_exp.data.packed import Batch, DataSpec
from gan_exp.runtime.randomness import Streams
from gan_exp.training.build import build_state, build_step_config
from gan_exp.training.state import TrainingState
from gan_exp.training.step_types import StepConfig

SHAPE = (1, 8, 8)
SPEC = DataSpec(SHAPE, num_classes=10)
CPU = torch.device("cpu")


def make(model: str, *overrides: str) -> tuple[TrainingState, StepConfig]:
    config = small_config(model, *overrides)
    return build_state(config, SPEC, CPU), build_step_config(config)


def real_batch(seed: int = 0) -> Batch:
    images = torch.randint(256, (16, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    return Batch(images, torch.arange(16) % 10)


def latents(seed: int = 1) -> Tensor:
    return torch.randn(16, 8, generator=torch.Generator().manual_seed(seed))


def rng_for(purpose: str) -> torch.Generator:
    return Streams(0).at(0, purpose)


def parameters(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.named_parameters()}


def buffers(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.named_buffers()}


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> list[bool]:
    return [not torch.equal(before[name], after[name]) for name in before]
