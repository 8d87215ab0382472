"""From a checked configuration to the things it names."""

import copy
import inspect
import math
from typing import Any, cast

import torch
from torch import nn

from gan_exp.config import Config, resolve_target
from gan_exp.data.packed import Batches, PackedImages
from gan_exp.errors import UserError
from gan_exp.ranges import ImageShape
from gan_exp.state import TrainingState
from gan_exp.step import Rules
from gan_exp.streams import Streams

SPARE_GPU_MEMORY = 2.0  # a data set goes to the GPU if it fits this many times in what is free


def build(config: Config, path: str, **injected: Any) -> Any:
    """Call what the node at `path` names with the node's arguments and `injected`; None where there is no such node."""
    node = config.node(path)
    if node is None:
        return None
    target = resolve_target(path, node["_target_"])
    arguments = {key: value for key, value in node.items() if key != "_target_"}
    try:
        return target(**injected, **arguments)
    except (ValueError, TypeError, RuntimeError) as error:  # torch's RuntimeError: no memory for such sizes
        raise UserError(f"{path}: {error}") from error


def build_data(config: Config, device: torch.device) -> PackedImages:
    """The packed data set, resized as configured, on the GPU when it fits."""
    data: PackedImages = build(config, "dataset")
    resize = config.dataset.get("resize")
    if resize is not None:
        height, width = (resize, resize) if isinstance(resize, int) else resize
        data = data.resized(height, width)
    if device.type == "cuda" and data.images.nbytes * SPARE_GPU_MEMORY < torch.cuda.mem_get_info(device)[0]:
        data = data.to(device)
    return data


def build_batches(config: Config, data: PackedImages) -> Batches:
    return Batches(data, config.batch_size, config.sampling, config.seed)


def build_generator(config: Config, image_shape: ImageShape) -> nn.Module:
    return cast(nn.Module, build(config, "model.generator", latent_dim=config.latent_dim, image_shape=image_shape))


def build_state(config: Config, image_shape: ImageShape, device: torch.device) -> TrainingState:
    """Both networks as (seed) starts them, the same on every device, with their optimizers."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(Streams(config.seed).at(0, "weights").initial_seed())
        generator = build_generator(config, image_shape)
        discriminator = cast(nn.Module, build(config, "model.discriminator", image_shape=image_shape))
    # Convolutions are up to 1.4 times faster with channels last; matrix products don't mind.
    generator = generator.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    discriminator = discriminator.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return TrainingState(
        generator=generator,
        discriminator=discriminator,
        generator_ema=copy.deepcopy(generator).requires_grad_(False) if config.ema_halflife_kimg > 0 else generator,
        generator_optimizer=_build_optimizer(config, "optimizer.generator", generator, device),
        discriminator_optimizer=_build_optimizer(config, "optimizer.discriminator", discriminator, device),
    )


def _build_optimizer(config: Config, path: str, network: nn.Module, device: torch.device) -> torch.optim.Optimizer:
    """Fused where the optimizer can be: one pass over the memory (1.7 times faster than the plain one on a CPU)."""
    node = cast(dict[str, Any], config.node(path))
    target = resolve_target(path, node["_target_"])
    can_fuse = "fused" in inspect.signature(target).parameters and device.type in ("cpu", "cuda")
    fused = {"fused": True} if can_fuse and "fused" not in node and "foreach" not in node else {}
    return cast(torch.optim.Optimizer, build(config, path, params=network.parameters(), **fused))


def build_rules(config: Config) -> Rules:
    return Rules(
        loss=build(config, "loss"),
        penalty=build(config, "penalty"),
        split_updates=config.split_updates,
        inference_fakes=config.inference_fakes,
    )


def count_parameters(network: nn.Module) -> int:
    return sum(math.prod(parameter.shape) for parameter in network.parameters())
