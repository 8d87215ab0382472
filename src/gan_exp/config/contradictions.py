"""Settings that are each right by themselves and don't go together.

They are refused at two moments. `refuse_contradictions` names what no run may have, and is part of every check. The two
`refuse_new...` name what no new run may begin with, though runs of earlier versions did and may go on: the first needs
the configuration alone, the second the networks and the device. The needs of a loss, penalty or augmentation are
attributes of its class (see the docstrings of `losses.py`, `penalties.py` and `augment/`).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gan_exp.config.catalog import option_of
from gan_exp.config.parts import batch_norm_of, refuse_uneven_parts
from gan_exp.config.schema import Config
from gan_exp.config.targets import resolve_target
from gan_exp.errors import UserError

if TYPE_CHECKING:  # a check that finds a mistake first needs no torch
    import torch
    from torch import nn


LEAST_DIFFERENCE = 0.1  # of two images, from which on bfloat16 logits tell them apart: docs/performance.md


def refuse_contradictions(config: Config) -> None:
    """Raises UserError for settings that no run may have."""
    if config.split_updates and config.node("penalty") is not None:
        raise UserError("split_updates=true can't be combined with a penalty: set penalty=none or split_updates=false")
    if config.split_updates and not hasattr(_class(config, "loss"), "real"):
        raise UserError(
            "split_updates=true needs a loss with a term for reals and one for fakes: set loss=non_saturating"
        )
    if config.reuse_fakes and config.inference_fakes:
        raise UserError(
            "reuse_fakes=true makes fakes in training mode, inference_fakes=true in inference mode: set one to false"
        )
    if config.batch_size % config.pac:
        raise UserError(f"batch_size={config.batch_size}: must be a multiple of pac={config.pac}")
    refuse_uneven_parts(config)
    if config.pac > 1 and config.conditional:
        raise UserError(
            f"pac={config.pac}: D can't be given one label for several images; set conditional=false or pac=1"
        )
    too_small = needs_float32(config)
    if config.device.precision == "bf16" and too_small is not None:
        raise UserError(
            f"{too_small}: bfloat16 rounds such small differences away; set penalty.sigma={LEAST_DIFFERENCE:g} or "
            f"device.precision=float32"
        )
    if config.schedule.augment is not None and not hasattr(_class(config, "augment"), "scale_p"):
        raise UserError(
            "schedule.augment: there is no augment.p that it could multiply; set augment=pipeline or "
            "augment=diffaugment, or leave schedule.augment out"
        )


def refuse_new(config: Config) -> None:
    """Raises UserError for settings that no new run may begin with, whatever its networks."""
    _refuse_blind_augmentation(config)
    _refuse_two_bounds(config)
    if config.schedule.beta2 is not None:
        for network in ("generator", "discriminator"):
            node = getattr(config.optimizer, network)
            if "betas" not in node:
                name = node["_target_"].rpartition(".")[2]
                raise UserError(f"schedule.beta2: {name} has no betas; set optimizer=adam, or another schedule")


def refuse_new_with(config: Config, networks: "Mapping[str, nn.Module]", device: "torch.device") -> None:
    """Raises UserError for settings that no new run may begin with, given its networks and their device."""
    _refuse_mixed_gradients(config, networks["discriminator"])
    _refuse_single_samples(config, networks)
    _refuse_differences(config, networks["discriminator"])
    for network in ("generator", "discriminator"):
        if getattr(config.optimizer, network).get("capturable") and device.type != "cuda":
            raise UserError(f"optimizer.{network}.capturable=true: is for CUDA; leave it out on {device.type}")


def choices(config: Config) -> list[str]:
    """The defaults that follow from other settings, each in a line."""
    lines = []
    bound, weight_bound = _gradient_bound(config), _weight_bound(config)
    if weight_bound is not None and weight_bound[1] is None and bound:
        lines.append(f"{weight_bound[0]}=null: D's weights are not clipped, since {bound} bounds D")
    if config.model.discriminator.get("batch_norm") is False and _says(config, "penalty", "per_sample"):
        lines.append(
            "model.discriminator.batch_norm=false: the penalty is on each image's gradient, which BatchNorm would mix"
        )
    if config.schedule.penalty is not None and config.node("penalty") is None:
        lines.append("schedule.penalty: nothing to schedule, since penalty=none")
    if config.schedule.ema is not None and config.ema_halflife_kimg == 0:
        lines.append("schedule.ema: nothing to schedule, since ema_halflife_kimg=0")
    if config.dataset.get("mirror", False) and _says(config, "dataset", "one_sided"):
        name = config.dataset["name"]
        lines.append(f"dataset.mirror=true: {name} has digits or letters, of which G will learn mirrored ones too")
    return lines


def _class(config: Config, group: str) -> Any:
    """What the group's node names; None if it names nothing."""
    node = config.node(group)
    return None if node is None else resolve_target(group, node["_target_"])


def _says(config: Config, group: str, attribute: str) -> bool:
    """Whether the group's class has this attribute, and it is true."""
    return bool(getattr(_class(config, group), attribute, False))


def _chosen(config: Config, group: str) -> str:
    return f"{group}={option_of(group, getattr(config, group)['_target_'])}"


def _gradient_bound(config: Config) -> str | None:
    """The setting that bounds the norm of D's gradient; beside it the weights need no bound."""
    if _says(config, "penalty", "bounds_gradient"):
        return _chosen(config, "penalty")
    return "spectral_norm=true" if config.spectral_norm else None


def _weight_bound(config: Config) -> tuple[str, float | None] | None:
    """The key that bounds D's weights, and its value; None if the loss has no such key."""
    key = getattr(_class(config, "loss"), "weight_bound", None)
    return (f"loss.{key}", config.loss[key]) if key in config.loss else None


def _refuse_two_bounds(config: Config) -> None:
    bound, weight_bound = _gradient_bound(config), _weight_bound(config)
    if bound is None or weight_bound is None or weight_bound[1] is None:
        return
    key, value = weight_bound
    raise UserError(
        f"{key}={value:g}: weights that small contradict {bound}, which bounds D's gradient; set {key}=null"
    )


def _refuse_blind_augmentation(config: Config) -> None:
    loss = _class(config, "loss")
    if hasattr(_class(config, "augment"), "observe") and getattr(loss, "boundary", 0.0) is None:
        raise UserError(
            f"{_chosen(config, 'augment')} adapts its p by the signs of D's logits, which have no meaning for "
            f"{loss.__name__}; set augment=pipeline augment.p=0.3 schedule=augment_ramp, whose p grows along a cosine"
        )


def _refuse_mixed_gradients(config: Config, discriminator: "nn.Module") -> None:
    name = batch_norm_of(discriminator)
    if name is None or not _says(config, "penalty", "per_sample"):
        return
    remedy = "model.discriminator.batch_norm=false, " if "batch_norm" in config.model.discriminator else ""
    raise UserError(
        f"{_chosen(config, 'penalty')}: takes the gradient of each image's own logit, and D's BatchNorm ({name}) mixes "
        f"the images of a batch; set {remedy}penalty=r1, or a model whose D has no BatchNorm (mlp, resnet)"
    )


def needs_float32(config: Config) -> str | None:
    """The setting with which networks must not compute in bfloat16; `device.precision=auto` heeds it. None: none."""
    if _says(config, "penalty", "same_network") and config.penalty["sigma"] < LEAST_DIFFERENCE:
        return f"penalty.sigma={config.penalty['sigma']:g}"
    return None


def _refuse_differences(config: Config, discriminator: "nn.Module") -> None:
    """Finite differences between two forward passes, which must differ by the images alone."""
    if not _says(config, "penalty", "same_network"):
        return
    from gan_exp.models.spectral import turning_layer

    name = turning_layer(discriminator)
    if name is not None:
        raise UserError(
            f"{_chosen(config, 'penalty')}: compares two forward passes of D, and D's spectral norm ({name}) changes "
            f"it in each; leave the norm to spectral_norm=true, or set penalty=r1_r2, which is exact"
        )


def _refuse_single_samples(config: Config, networks: "Mapping[str, nn.Module]") -> None:
    """BatchNorm subtracts the batch's mean: of a single sample only the bias is left."""
    size = min(config.batch_size, config.micro_batch_size or config.batch_size)
    key = "batch_size" if size == config.batch_size else "micro_batch_size"
    for network, rows in (("generator", size), ("discriminator", size // config.pac)):
        name = batch_norm_of(networks[network])
        if name is not None and rows == 1:
            packed = f" and pac={config.pac}" if network == "discriminator" and config.pac > 1 else ""
            raise UserError(
                f"{key}={size}{packed}: the {network}'s BatchNorm ({name}) needs more than one sample in a batch; "
                f"set {key}={2 * size} or more"
            )
