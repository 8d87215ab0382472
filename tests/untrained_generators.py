"""Generators of small images or points that nobody has trained, and which answer in a millisecond."""

from types import ModuleType

import pytest
import torch

from builders import small_config
from gan_exp.data.packed import DataSpec
from gan_exp.generators.trained import TrainedGenerator
from gan_exp.training.build import build_generator

CLASSES = ("ant", "bee", "cat")


def untrained(model: str = "mlp", channels: int = 1, conditional: bool = False) -> TrainedGenerator:
    """Takes latents of 8 numbers; its weights are large enough that every image is another one."""
    points = model == "points"
    config = small_config(model, f"conditional={conditional}", *(["dataset=ring"] if points else []))
    spec = DataSpec((2, 1, 1), 0, 1.5) if points else DataSpec((channels, 8, 8), len(CLASSES))
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        network = build_generator(config, spec).eval().requires_grad_(False)
        for parameter in network.parameters():
            parameter.copy_(torch.randn_like(parameter) / 2)
    return TrainedGenerator(network, config, spec, CLASSES if conditional else (), 7)


def use(generator: TrainedGenerator, command: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the command explore it, whatever run is named."""
    monkeypatch.setattr(command, "load_generator", lambda *_: generator)
