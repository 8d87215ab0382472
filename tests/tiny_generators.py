"""A generator of 8x8 images that nobody has trained, and which answers in a millisecond."""

import torch

from builders import small_config
from gan_exp.data.packed import DataSpec
from gan_exp.generators.trained import TrainedGenerator
from gan_exp.training.build import build_generator

CLASSES = ("zero", "one", "</script><b>two")


def tiny_generator(conditional: bool = False, model: str = "mlp", channels: int = 1) -> TrainedGenerator:
    """Takes latents of 8 numbers; its weights are large enough that every image is another one."""
    config = small_config(model, f"conditional={conditional}", "name=tiny")
    spec = DataSpec((channels, 8, 8), len(CLASSES))
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        network = build_generator(config, spec).eval().requires_grad_(False)
        for parameter in network.parameters():
            parameter.copy_(torch.randn_like(parameter) / 2)
    return TrainedGenerator(network, config, spec, CLASSES if conditional else (), 1234)
