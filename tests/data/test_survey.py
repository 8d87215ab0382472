"""Near-duplicates: what counts as one."""

import pytest
import torch
from torch import Tensor

from gan_exp.data.survey import survey

NOISE = torch.randint(256, (3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def coarse(*channels: int) -> Tensor:
    """The same pattern of squares in each channel, times these shares of 255."""
    pattern = torch.randint(2, (8, 9), generator=torch.Generator().manual_seed(1)).float()
    large = pattern.repeat_interleave(4, 0).repeat_interleave(4, 1)[:, :32]
    return torch.stack([large * channel for channel in channels]).byte()


@pytest.mark.parametrize(
    ("one", "other", "near"),
    [
        (NOISE, NOISE, False),  # a copy
        (NOISE, (NOISE.int() + 3).clamp(0, 255).byte(), True),
        (coarse(200, 200, 200), coarse(170, 170, 170), True),  # a little darker
        (coarse(250, 250, 250), coarse(60, 60, 60), False),  # much darker
        (coarse(240, 60, 0), coarse(60, 240, 0), False),  # of another colour
    ],
)
def test_a_pair(one: Tensor, other: Tensor, near: bool) -> None:
    found = survey(torch.stack([one, other]).numpy())
    assert found.near == near and found.pairs == ([(0, 1)] if near else [])
