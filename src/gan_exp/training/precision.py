"""In which precision the networks compute in a training step; everything else is in float32.

`bf16`: convolutions and matrix products take bfloat16 numbers (8 significant bits instead of 24) and sum in float32.
Weights, optimizers, the average, BatchNorm's statistics, images, logits, losses and the sums of penalties stay in
float32. So do grids, samples and evaluations, whatever the precision of the training.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Literal, cast

import torch
from torch import Tensor, nn

from gan_exp.models.parts import autocasting
from gan_exp.runtime.device import has_bf16

Precision = Literal["float32", "tf32", "bf16"]


def computing_in(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """For one forward pass: autocast keeps the weights that it has converted until the context ends, and no longer."""
    if precision != "bf16":
        return nullcontext()
    return autocasting(device.type, torch.bfloat16)


def in_float32(result: Tensor) -> Tensor:
    """A network's `result`, which losses and penalties take in no less than float32."""
    return result.float() if result.dtype == torch.bfloat16 else result


def choose_precision(
    wanted: str, device: torch.device, networks: Mapping[str, nn.Module], against_bf16: str | None = None
) -> tuple[Precision, str]:
    """What `device.precision` stands for on this device, and a line that says so, also of what is outside of the steps.

    `against_bf16` is a setting that bfloat16 numbers are too coarse for.

    `auto`: bf16 for convolutional networks on a GPU that has it. On an H100 it made R3GAN's layers several times as
    fast, and the penalties' gradients were right within 1 %; an MLP gains nothing. A CPU stays with float32, so that
    results don't depend on its model.
    """
    if wanted != "auto":
        return cast(Precision, wanted), f"precision: {wanted}{_warning(wanted, device)}{_beside(wanted)}"
    convolutional = any(isinstance(layer, nn.Conv2d) for network in networks.values() for layer in network.modules())
    if not convolutional or not has_bf16(device):
        return "float32", "precision: float32"
    if device.type == "cuda" and against_bf16 is not None:
        return "float32", f"precision: float32 (bfloat16 is too coarse for {against_bf16})"
    if device.type == "cuda":
        line = "precision: bf16 in the networks (device.precision=float32 is slower and more exact)"
        return "bf16", f"{line}{_beside('bf16')}"
    return "float32", "precision: float32 (this CPU has instructions for device.precision=bf16, which is often faster)"


def _beside(precision: str) -> str:
    return "" if precision == "float32" else "; grids, evaluations and samples are in float32"


def _warning(wanted: str, device: torch.device) -> str:
    if wanted == "bf16" and not has_bf16(device):
        return f"; {_name(device)} has no instructions for it: device.precision=float32 is likely faster"
    if wanted == "tf32" and not (device.type == "cuda" and has_bf16(device)):
        return f"; {_name(device)} has no such numbers and computes in float32"
    return ""


def _name(device: torch.device) -> str:
    return {"cuda": "this GPU", "cpu": "this CPU"}.get(device.type, "this device")
