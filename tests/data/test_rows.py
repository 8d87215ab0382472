"""Some rows of a tensor stand for their copy, which is made only when all of them are needed at once."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gan_exp.data.packed import Batches, PackedImages, Sampling
from gan_exp.data.rows import Rows, rows_of

WHOLE = torch.arange(10 * 3 * 2 * 2, dtype=torch.uint8).view(10, 3, 2, 2)
MASK = torch.tensor([1, 0, 1, 1, 0, 0, 1, 1, 1, 0]).bool()
COPY = WHOLE[MASK]
INDICES = torch.tensor([[5, 0], [2, 2]])
SAMPLINGS: tuple[Sampling, ...] = ("with_replacement", "shuffled")
PARTLY: list[Callable[[Tensor], Any]] = [
    lambda images: images[2],
    lambda images: images[1:5],
    lambda images: images[INDICES],
    lambda images: images[0, 1],
    lambda images: images[:, 0],
    lambda images: images[INDICES[0], :, 1],
    lambda images: torch.cat(list(images.split(4))),
    lambda images: torch.stack(list(images)),
    lambda images: images.to(torch.device("cpu")),
    lambda images: torch.tensor([*images.shape, len(images), images.ndim, images.nbytes, images.is_cuda]),
]
WHOLLY: list[Callable[[Tensor], Any]] = [
    lambda images: images.float().mean(0),
    lambda images: torch.cat([images, images]),
    lambda images: torch.where(torch.gt(images, 5), torch.tensor(1), images),
    lambda images: images == COPY,
    lambda images: (255 - images) // 2 > images,
    lambda images: ~images & 3,
    lambda images: np.asarray(images),
    lambda images: torch.flatten(images, start_dim=1),
    lambda images: images.cpu().contiguous().numpy(),
]


@pytest.mark.parametrize(("look", "copies"), [*((look, False) for look in PARTLY), *((look, True) for look in WHOLLY)])
def test_rows_behave_as_their_copy(look: Callable[[Tensor], Any], copies: bool) -> None:
    rows = rows_of(WHOLE, MASK)
    assert np.array_equal(np.asarray(look(rows)), np.asarray(look(COPY)))
    assert ("copied" in vars(rows)) == copies


def test_the_parts_of_a_data_set_are_not_copied_to_be_trained_on() -> None:
    whole = torch.randint(256, (200, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    data = PackedImages(whole, torch.arange(200) % 3)
    for part, share in zip(data.split_by_hash(0.3), (0.6, 0.15), strict=True):
        copied = PackedImages(torch.stack(list(part.images)), part.labels)
        assert part.digest == copied.digest and part.spec == copied.spec
        for sampling in SAMPLINGS:
            one, other = (Batches(images, 32, sampling, 0, mirror=True).draw(3) for images in (part, copied))
            assert torch.equal(one.images, other.images) and torch.equal(one.labels, other.labels)  # type: ignore[arg-type]
        again = part.split_by_hash(share)[0]  # a part of a part
        assert len(again.images) < len(part.images)
        assert again.digest == PackedImages(torch.stack(list(again.images)), again.labels).digest
        assert isinstance(part.images, Rows) and "copied" not in vars(part.images)
