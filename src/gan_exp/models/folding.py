"""A 3x3 convolution beside a doubling or halving of the image, as one 4x4 convolution of stride 2.

Nearest upsampling and the mean of 2x2 pixels are linear, so they can be folded into the weights: 16 products for each
four pixels of the larger image instead of 36, and no larger image in between. Each is the other's transpose.
"""

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d, conv_transpose2d, interpolate

FEW = 32  # pixels of the smaller image, up to which folding the weights takes as long as it saves


def convolve_doubled(layer: nn.Conv2d, features: Tensor, size: tuple[int, int] | None = None) -> Tensor:
    """The 3x3 `layer`, padded by 1, on `features` [N, C, H, W] of which each pixel becomes four.

    `size` is what they are enlarged to; one less than twice their height or width cuts the last pixels off.
    """
    height, width = features.shape[2:]
    doubled = 2 * height, 2 * width
    if size not in (None, doubled) or height * width <= FEW:  # folded weights would still see what is cut off
        return layer(interpolate(features, size or doubled))  # type: ignore[no-any-return]
    weight = 4 * _folded(layer.weight).flip(2, 3).transpose(0, 1)
    return conv_transpose2d(features, weight, layer.bias, stride=2, padding=1)


def convolve_halved(layer: nn.Conv2d, features: Tensor) -> Tensor:
    """The means of 2x2 pixels (of fewer at an odd edge) of the 3x3 `layer`, padded by 1, on `features` [N, C, H, W]."""
    height, width = features.shape[2:]
    if height % 2 or width % 2 or height * width <= 4 * FEW:
        return avg_pool2d(layer(features), 2, ceil_mode=True)
    return conv2d(features, _folded(layer.weight), layer.bias, stride=2, padding=1)


def _folded(weight: Tensor) -> Tensor:
    """[outputs, inputs, 4, 4]: the mean of four 3x3 kernels, one pixel apart."""
    return avg_pool2d(weight, 2, stride=1, padding=1)
