"""Builds what a checked configuration names: data, networks, optimizers, and the settings of the step."""

import copy
import inspect
from typing import Any, cast

import torch
from torch import nn

from gan_exp.config.schema import Config
from gan_exp.config.targets import build_node, resolve_target
from gan_exp.data.packed import DataSpec, PackedImages, Part
from gan_exp.errors import UserError
from gan_exp.models.checkpointing import with_checkpointing
from gan_exp.models.merging import merge_groups
from gan_exp.models.parts import with_layout
from gan_exp.models.spectral import normalise_spectrally
from gan_exp.runtime.no_compiler import leave_compiler_out
from gan_exp.runtime.randomness import Streams
from gan_exp.runtime.ranks import ALONE, Ranks
from gan_exp.training.precision import Precision
from gan_exp.training.state import TrainingState
from gan_exp.training.step_types import StepConfig

SPARE_GPU_MEMORY = 2.0  # a data set goes to the GPU if it fits this many times in what is free


def build(config: Config, path: str, **injected: Any) -> Any:
    """Call what the node at `path` names with the node's arguments and `injected`; None if there is no such node."""
    node = config.node(path)
    return None if node is None else build_node(path, node, **injected)


def build_data(config: Config, device: torch.device) -> PackedImages:
    """The packed data set to train on, resized as configured, on the GPU when it fits."""
    data = _build_part(config, "train")
    assert data is not None
    if device.type == "cuda" and data.images.nbytes * SPARE_GPU_MEMORY < torch.cuda.mem_get_info(device)[0]:
        data = data.to(device)
    return data


def refuse_alike(config: Config, data: PackedImages) -> None:
    """Raises UserError if there is a single image to train on, or copies of one."""
    images = data.images
    if any(not torch.equal(images[0], images[place]) for place in range(len(images) - 1, 0, -1)):
        return
    root = config.dataset.get("root")
    named = f"dataset={config.dataset['name']}" if root is None else f"dataset.root={root}"
    held = "1 image" if len(images) == 1 else f"{len(images):,} images, which are all the same"
    raise UserError(f"{named}: holds {held}, and a GAN learns from images that differ; add more, dozens at least")


def build_held_out(config: Config) -> PackedImages | None:
    """The images that are not trained on, made like the others: the set's test part, or its share `dataset.held_out`.

    None if there is neither. In the memory of the host.
    """
    return _build_part(config, "held_out")


def _build_part(config: Config, part: Part) -> PackedImages | None:
    share = config.dataset.get("held_out", 0.0)
    takes_part = "part" in inspect.signature(resolve_target("dataset", config.dataset["_target_"])).parameters

    def read(part: Part) -> PackedImages | None:
        return cast(PackedImages | None, build(config, "dataset", **({"part": part} if takes_part else {})))

    if share == 0:
        data = read(part) if part == "train" or takes_part else None
        return None if data is None else _resize(config, data)
    if takes_part and read("held_out") is not None:
        raise UserError(
            f"dataset.held_out={share:g}: {config.dataset['name']} has a separate test part already; "
            f"set dataset.held_out=0"
        )
    data = read("train")
    assert data is not None
    try:
        data = data.split_by_hash(share)[0 if part == "train" else 1]
    except ValueError as error:
        raise UserError(f"dataset.held_out={share:g}: {error}; choose another share, such as 0.1") from error
    return _resize(config, data)


def _resize(config: Config, data: PackedImages) -> PackedImages:
    if config.dataset.get("mirror") and data.extent is not None:
        raise UserError(
            f"dataset.mirror=true: {config.dataset['name']} has points, which have no left and right; "
            f"set dataset.mirror=false"
        )
    resize = config.dataset.get("resize")
    if resize is not None:
        if data.extent is not None:
            raise UserError(
                f"dataset.resize={resize}: {config.dataset['name']} has points, which can't be resized; "
                f"set dataset.resize=null"
            )
        height, width = (resize, resize) if isinstance(resize, int) else resize
        return data.resized(height, width)
    return data


def build_generator(config: Config, spec: DataSpec) -> nn.Module:
    given = {"latent_dim": config.latent_dim, "image_shape": spec.image_shape, **_classes(config, spec)}
    return with_layout(build(config, "model.generator", **given))


def build_discriminator(config: Config, spec: DataSpec) -> nn.Module:
    channels, height, width = spec.image_shape
    given = {"image_shape": (channels * config.pac, height, width), **_classes(config, spec)}
    discriminator = cast(nn.Module, build(config, "model.discriminator", **given))
    if config.spectral_norm:
        normalise_spectrally(discriminator)
    return with_layout(discriminator)


def _classes(config: Config, spec: DataSpec) -> dict[str, int]:
    """Only conditional training passes `num_classes`, so that other networks need no such argument."""
    if not config.conditional:
        return {}
    if spec.num_classes == 0:
        raise UserError(f"conditional=true: {config.dataset['name']} has no labels; set conditional=false")
    return {"num_classes": spec.num_classes}


def build_state(config: Config, spec: DataSpec, device: torch.device) -> TrainingState:
    """Both networks as (seed) starts them, the same on every device, with their optimizers."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(Streams(config.seed).at(0, "weights").initial_seed())
        generator = build_generator(config, spec).to(device)
        discriminator = build_discriminator(config, spec).to(device)
    if config.model.checkpointing:
        for network in (generator, discriminator):
            try:
                with_checkpointing(network)
            except ValueError as error:
                raise UserError(f"model.checkpointing=true: {error}; set model.checkpointing=false") from error
    average = copy.deepcopy(generator).requires_grad_(False) if config.ema_halflife_kimg > 0 else generator
    _merge_groups(config, generator, discriminator)  # not of the average: its samples are other batches, in float32
    return TrainingState(
        generator=generator,
        discriminator=discriminator,
        generator_ema=average,
        generator_optimizer=build_optimizer(config, "optimizer.generator", generator, device),
        discriminator_optimizer=build_optimizer(config, "optimizer.discriminator", discriminator, device),
        augment=_build_augment(config, spec, device),
    )


def _merge_groups(config: Config, *networks: nn.Module) -> None:
    words = [word.split(":") for word in config.device.merged_groups or ()]
    try:
        merge_groups(networks, {name: int(factor) for name, factor in words})
    except ValueError as error:
        raise UserError(f"device.merged_groups={error}") from error


def _build_augment(config: Config, spec: DataSpec, device: torch.device) -> nn.Module | None:
    if config.node("augment") is None:
        return None
    if spec.extent is not None:
        raise UserError(f"augment: {config.dataset['name']} has points, which can't be augmented; set augment=none")
    augment: nn.Module = build(config, "augment")
    return augment.to(device)


def build_optimizer(config: Config, path: str, network: nn.Module, device: torch.device) -> torch.optim.Optimizer:
    """Fused where the optimizer can be: one pass over the memory (1.7 times faster than the plain one on a CPU).

    A lazy penalty rescales nothing here: it is added to the loss of its update, so there is one optimizer step an
    update. StyleGAN2's lr c and beta^c with c = k / (k + 1) are for a penalty that takes an optimizer step of its own.
    """
    node = cast(dict[str, Any], config.node(path))
    target = resolve_target(path, node["_target_"])
    can_fuse = "fused" in inspect.signature(target).parameters and device.type in ("cpu", "cuda")
    fused: dict[str, Any] = {"fused": True} if can_fuse and "fused" not in node and "foreach" not in node else {}
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if isinstance(target, type) and issubclass(target, torch.optim.Optimizer):
        leave_compiler_out(target)
    return cast(torch.optim.Optimizer, build(config, path, params=trainable, **fused))


def build_step_config(config: Config, ranks: Ranks = ALONE) -> StepConfig:
    size = config.micro_batch_size
    return StepConfig(
        loss=build(config, "loss"),
        penalty=build(config, "penalty"),
        conditional=config.conditional,
        pac=config.pac,
        instance_noise=config.instance_noise,
        split_updates=config.split_updates,
        inference_fakes=config.inference_fakes,
        reuse_fakes=config.reuse_fakes,
        micro_batch_size=None if size is None or size >= config.batch_size // ranks.count else size,
        ranks=ranks,
        checkpointing=config.model.checkpointing,
        precision=cast(Precision, config.device.precision),
    )
