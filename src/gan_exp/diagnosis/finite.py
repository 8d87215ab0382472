"""Whether two networks hold finite numbers only, which tensors do not, and how large a loss may be."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

# A loss, penalty or gradient beyond it has a square that float32 can't hold: norms and Adam's averages of squares turn
# infinite. No run that learns comes near it: if nothing bounds D (wgan without clip or penalty), Adam moves each
# weight by about the learning rate a step, which brings the logits of three wide layers to some 1e12 in 100,000 steps.
LARGEST = torch.finfo(torch.float32).max ** 0.5  # 1.8e19

Networks = Mapping[str, nn.Module]


def all_finite(networks: Networks, *tensors: Tensor) -> bool:
    """All weights, buffers and gradients, and `tensors`; waits for the device."""
    checked = (*tensors, *(value for part in (_weights, _gradients) for _, value in part(networks)))
    # A sum is not finite if one of its terms is not, and takes a fifth of the time of testing each.
    return bool(torch.stack([value.sum().isfinite() for value in checked]).all())


def broken_parts(networks: Networks) -> list[str]:
    """The names of the first weight and of the first gradient that are not finite."""
    firsts = (
        next((name for name, value in part(networks) if not value.isfinite().all()), None)
        for part in (_weights, _gradients)
    )
    return [name for name in firsts if name is not None]


def _weights(networks: Networks) -> Iterator[tuple[str, Tensor]]:
    for name, network in networks.items():
        for key, value in network.state_dict().items():
            yield f"{name}.{key}", value


def _gradients(networks: Networks) -> Iterator[tuple[str, Tensor]]:
    """Those of the last update of each network."""
    for name, network in networks.items():
        for key, parameter in network.named_parameters():
            if parameter.grad is not None:
                yield f"the gradient of {name}.{key}", parameter.grad
