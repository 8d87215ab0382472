"""Tensors sent to a device."""

from typing import Any

import torch

from gan_exp.runtime.transfer import send


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
