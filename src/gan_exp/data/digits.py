"""The digits that scikit-learn carries: real data that needs no download."""

import torch

from gan_exp.data.packed import PackedImages


def digits() -> PackedImages:
    """1,797 handwritten digits of 8x8 pixels (Alpaydin and Kaynak 1998, UCI), values 0-16 spread to 0-255."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = torch.from_numpy(bunch.images).mul(255 / 16).round().byte().unsqueeze(1)
    return PackedImages(images, torch.from_numpy(bunch.target).long(), tuple(str(name) for name in bunch.target_names))
