"""Tensors on their way to the device, and back from it beside its work."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

AHEAD = 64  # draws that are sent to a GPU at once: each copy of its own would cost more than the drawing
LARGEST_BLOCK = 2**24  # bytes


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """`tensor` on the device. CUDA is not waited for: an ordinary copy returns when the GPU has done all its work."""
    if device.type != "cuda" or tensor.device.type != "cpu":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def ahead_on(device: torch.device) -> int:
    """How many draws to make at a time for this device."""
    return AHEAD if device.type == "cuda" else 1


class Ahead:
    """`make(number)` on the device, made for `count` consecutive numbers at a time and sent at once.

    Whoever asks gets the same tensor, whatever was asked for before; large tensors come in shorter blocks.
    """

    def __init__(self, make: Callable[[int], Tensor], device: torch.device, count: int) -> None:
        self._make, self._device, self._count = make, device, count
        self._size: int | None = None  # of a block
        self._first, self._block = -1, torch.empty(0)

    def __call__(self, number: int) -> Tensor:
        if self._count == 1:
            return send(self._make(number), self._device)
        if self._size is None:
            self._size = max(1, min(self._count, LARGEST_BLOCK // max(1, self._make(number).nbytes)))
        first, place = number - number % self._size, number % self._size
        if first != self._first:
            made = [self._make(each) for each in range(first, first + self._size)]
            self._first, self._block = first, send(torch.stack(made), self._device)
        return self._block[place]


class SideStream:
    """Brings tensors of a GPU to the CPU on a stream of its own: neither Python nor the next steps wait for it."""

    def __init__(self, device: torch.device) -> None:
        self._device, self._stream = device, torch.cuda.Stream(device)

    def snapshot(self, tensors: Sequence[Tensor]) -> tuple[list[Tensor], Callable[[], None]]:
        """Copies in pinned memory of what `tensors` hold after the work so far, and a function that waits for them.

        The next steps may overwrite `tensors`, since they are copied on the GPU first, at its own memory's rate. Where
        there is no room for that, the steps wait until the CPU has them.
        """
        current = torch.cuda.current_stream(self._device)
        kept: list[Tensor] | None
        try:
            kept = [tensor.detach().clone() for tensor in tensors]
        except torch.OutOfMemoryError:
            kept = None
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            found = [_fetched(tensor) for tensor in tensors] if kept is None else [_fetched(each) for each in kept]
            complete = self._stream.record_event(torch.cuda.Event(blocking=True))
        if kept is None:
            current.wait_event(complete)

        def arrived() -> None:
            complete.synchronize()
            if kept is not None:
                kept.clear()  # their memory is used again only now

        return found, arrived


def _fetched(tensor: Tensor) -> Tensor:
    if tensor.device.type == "cpu":
        return tensor.detach().clone()
    return torch.empty_like(tensor, device="cpu", pin_memory=True).copy_(tensor.detach(), non_blocking=True)
