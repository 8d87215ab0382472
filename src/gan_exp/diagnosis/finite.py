"""Whether two networks hold finite numbers only, which tensors do not, and how large a loss may be."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

# A loss, penalty or gradient beyond it has a square that float32 can't hold: norms and Adam's averages of squares turn
# infinite. No run that learns comes near it: if nothing bounds D (wgan without clip or penalty), Adam moves each
# weight by about the learning rate a step, which brings the logits of three wide layers to some 1e12 in 100,000 steps.
LARGEST = torch.finfo(torch.float32).max ** 0.5  # 1.8e19

Networks = Mapping[str, nn.Module]


def all_finite(networks: Networks, *tensors: Tensor) -> bool:
    """All weights, buffers and gradients, and `tensors`; waits for the device."""
    found = (*tensors, *(value for part in (_weights, _gradients) for _, value in part(networks)))
    checked = [_of_32_bits(value) for value in found if value.is_floating_point()]
    return bool(_total(checked, on_gpu=checked[0].is_cuda).isfinite())


def _of_32_bits(value: Tensor) -> Tensor:
    """The sum [] of 16-bit values, such as a frozen backbone's, since a sum of float16 numbers is at most 65,504."""
    return value if value.element_size() >= 4 else value.sum(dtype=torch.float32)


def _total(values: Sequence[Tensor], on_gpu: bool) -> Tensor:
    """A sum [] that is not finite if one of the values is not, which is faster than testing each."""
    if on_gpu:  # a few kernels for all of them; a CPU would take five times as long
        return get_total_norm(values, norm_type=1.0)
    return torch.stack([value.sum() for value in values]).sum()


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
