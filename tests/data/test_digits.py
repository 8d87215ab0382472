"""The digits that come with scikit-learn."""

import torch
from sklearn.datasets import load_digits

from gan_exp.data.digits import digits


def test_digits() -> None:
    data = digits()
    assert data.image_shape == (1, 8, 8) and len(data.images) == 1797
    assert data.images.min() == 0 and data.images.max() == 255
    assert data.labels is not None and data.labels.dtype == torch.int64
    assert data.classes == tuple("0123456789")
    bunch = load_digits()
    assert data.labels.tolist() == bunch.target.tolist()
    # 17 shades, evenly spread: nothing is lost.
    assert torch.equal((data.images[:, 0].double() * 16 / 255).round(), torch.from_numpy(bunch.images))
