"""Settings that are each right and together no game: refused before a new run writes anything, or told in a line.

Runs that were begun with them may go on.
"""

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from gan_exp.config.schema import Config
from gan_exp.config.targets import augment_adapts, resolve_target
from gan_exp.errors import UserError
from gan_exp.losses import Wasserstein
from gan_exp.penalties import DRAGAN, WGANGP


def refuse_contradictions(config: Config, networks: Mapping[str, nn.Module], device: torch.device) -> None:
    """Of the settings with one another and with the networks that were built. Raises UserError."""
    _refuse_two_bounds(config)
    _refuse_mixed_gradients(config, networks["discriminator"])
    _refuse_single_samples(config, networks)
    for network in ("generator", "discriminator"):
        node = getattr(config.optimizer, network)
        if node.get("capturable") and device.type != "cuda":
            raise UserError(f"optimizer.{network}.capturable=true: is for CUDA; leave it out on {device.type}")
        if config.schedule.beta2 is not None and "betas" not in node:
            name = node["_target_"].rpartition(".")[2]
            raise UserError(f"schedule.beta2: {name} has no betas; set optimizer=adam, or another schedule")


def choices(config: Config) -> list[str]:
    """What follows from other settings by default, each in a line."""
    lines = []
    bound = _bound(config)
    if _names(config, "loss", Wasserstein) and config.loss.get("clip", 0.01) is None and bound:
        lines.append(f"loss.clip=null: D's weights are not clipped, {bound} bounds it")
    if config.model.discriminator.get("batch_norm") is False and _names(config, "penalty", WGANGP):
        lines.append(
            "model.discriminator.batch_norm=false: the penalty is on each image's gradient, which BatchNorm would mix"
        )
    if config.schedule.penalty is not None and config.node("penalty") is None:
        lines.append("schedule.penalty: nothing to schedule, since penalty=none")
    if config.schedule.ema is not None and config.ema_halflife_kimg == 0:
        lines.append("schedule.ema: nothing to schedule, since ema_halflife_kimg=0")
    return lines


def _names(config: Config, path: str, kind: type) -> bool:
    node = config.node(path)
    if node is None:
        return False
    target = resolve_target(path, node["_target_"])
    return isinstance(target, type) and issubclass(target, kind)


def _bound(config: Config) -> str | None:
    """What holds the norm of D's gradient at 1 or below, beside clipped weights."""
    if _names(config, "penalty", WGANGP):
        return "penalty=wgan_gp"
    if _names(config, "penalty", DRAGAN):
        return "penalty=dragan"
    return "spectral_norm=true" if config.spectral_norm else None


def _refuse_two_bounds(config: Config) -> None:
    clip, bound = config.loss.get("clip"), _bound(config)
    if clip is None or bound is None or not _names(config, "loss", Wasserstein):
        return
    raise UserError(
        f"loss.clip={clip:g}: weights that small can't give what {bound} asks for; leave loss.clip out, or set "
        f"loss.clip=null"
    )


def _batch_norm_of(network: nn.Module) -> str | None:
    """The name of its first BatchNorm, where it has one."""
    return next((name for name, layer in network.named_modules() if isinstance(layer, _BatchNorm)), None)


def _refuse_mixed_gradients(config: Config, discriminator: nn.Module) -> None:
    """WGAN-GP's penalty is on the gradient of each image on its own (Gulrajani et al. 2017, section 4)."""
    name = _batch_norm_of(discriminator)
    if name is None or not _names(config, "penalty", WGANGP):
        return
    remedy = "model.discriminator.batch_norm=false, " if "batch_norm" in config.model.discriminator else ""
    raise UserError(
        f"penalty=wgan_gp: takes the gradient of each image's own logit, and D's BatchNorm ({name}) mixes the images "
        f"of a batch; set {remedy}penalty=r1, or a model whose D has no BatchNorm (mlp, resnet)"
    )


def _refuse_single_samples(config: Config, networks: Mapping[str, nn.Module]) -> None:
    """BatchNorm of a batch of one makes of each unit its bias, whatever came in."""
    for network, rows in (("generator", config.batch_size), ("discriminator", config.batch_size // config.pac)):
        name = _batch_norm_of(networks[network])
        if name is not None and rows == 1:
            packed = f" and pac={config.pac}" if network == "discriminator" and config.pac > 1 else ""
            raise UserError(
                f"batch_size={config.batch_size}{packed}: the {network}'s BatchNorm ({name}) needs more than one "
                f"sample in a batch, of one nothing is left; set batch_size={2 * config.batch_size} or more"
            )


def check_new(config: Config) -> None:
    """Refuse what runs of before were begun with, and may go on with, but none should be begun with again."""
    loss = resolve_target("loss", config.loss["_target_"])
    if augment_adapts(config) and getattr(loss, "boundary", 0.0) is None:
        raise UserError(
            f"augment=ada steers its p by the signs of D's logits, which mean nothing to {loss.__name__}; set "
            f"augment=pipeline augment.p=0.3 schedule=augment_ramp, whose p grows along a cosine"
        )
