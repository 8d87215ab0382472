"""Tensors sent to a device."""

from typing import Any

import torch

from gan_exp.runtime.randomness import Streams
from gan_exp.runtime.transfer import LARGEST_BLOCK, Ahead, send


class FakeTensor:
    """Says what was asked of it."""

    device = torch.device("cpu")

    def pin_memory(self) -> Any:
        return Pinned()


class Pinned:
    def to(self, device: torch.device, non_blocking: bool = False) -> Any:
        return device, non_blocking


def test_a_gpu_is_sent_tensors_without_waiting_for_it() -> None:
    cuda: Any = torch.device("cuda")
    fake: Any = FakeTensor()
    assert send(fake, cuda) == (cuda, True)


def test_what_is_there_stays_where_it_is() -> None:
    tensor = torch.arange(3)
    assert send(tensor, torch.device("cpu")) is tensor


def test_what_is_made_ahead_is_the_same() -> None:
    """In whatever order it is asked for, and in shorter blocks where it is large."""
    cpu = torch.device("cpu")
    ahead = Ahead(lambda number: torch.full((2,), number), cpu, 4)
    assert [ahead(number).tolist() for number in (6, 7, 8, 0, 9)] == [[n, n] for n in (6, 7, 8, 0, 9)]
    made: list[int] = []

    def make(number: int) -> torch.Tensor:
        made.append(number)
        return torch.zeros(LARGEST_BLOCK // 2, dtype=torch.uint8)

    large = Ahead(make, cpu, 4)
    large(1)
    assert made == [1, 0, 1]
    streams = [Streams(3, ahead=count) for count in (1, 5)]
    for step in (3, 4, 5, 12):
        one, other = (each.latents(step, "generator", 4, 2, slice(1, 3)) for each in streams)
        assert torch.equal(one, other)
