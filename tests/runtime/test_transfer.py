"""Tensors sent to a device."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from gan_exp.runtime import transfer
from gan_exp.runtime.randomness import Streams
from gan_exp.runtime.transfer import LARGEST_BLOCK, Ahead, SideStream, send


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


class FakeStream:
    """Notes what was asked of it."""

    def __init__(self, name: str, asked: list[str]) -> None:
        self.name, self._asked = name, asked

    def wait_stream(self, other: "FakeStream") -> None:
        self._asked.append(f"{self.name} waits for {other.name}")

    def wait_event(self, event: "FakeEvent") -> None:
        self._asked.append(f"{self.name} waits for the copies")

    def record_event(self, event: "FakeEvent") -> "FakeEvent":
        self._asked.append(f"event on {self.name}")
        return event


class FakeEvent:
    asked: list[str]

    def __init__(self, blocking: bool) -> None:
        assert blocking  # a thread that waits must not spin

    def synchronize(self) -> None:
        self.asked.append("Python waits")


class OnGpu:
    """A tensor of a GPU, with or without room for another one."""

    def __init__(self, asked: list[str], room: bool = True, copy: bool = False) -> None:
        self.asked, self.room, self.copy = asked, room, copy

    def detach(self) -> "OnGpu":
        return self

    def clone(self) -> "OnGpu":
        if not self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.asked.append("copied on the GPU")
        return OnGpu(self.asked, copy=True)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What CUDA is asked to do, in order."""
    found: list[str] = []
    steps, side = FakeStream("steps", found), FakeStream("side", found)
    within = [steps]

    @contextmanager
    def stream(chosen: FakeStream) -> Iterator[None]:
        within.append(chosen)
        yield
        within.pop()

    def fetched(tensor: OnGpu) -> str:
        found.append(f"sent on {within[-1].name}")
        return "a copy" if tensor.copy else "itself"

    FakeEvent.asked = found
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: side)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: steps)
    monkeypatch.setattr(torch.cuda, "stream", stream)
    monkeypatch.setattr(torch.cuda, "Event", FakeEvent)
    monkeypatch.setattr(transfer, "_fetched", fetched)
    return found


def test_a_snapshot_is_sent_beside_the_steps(asked: list[str]) -> None:
    """Copied on the GPU in the order of its work, then sent on the other stream; only the thread waits."""
    some: Any = [OnGpu(asked)]
    found, arrived = SideStream(torch.device("cuda")).snapshot(some)
    before = ["copied on the GPU", "side waits for steps", "sent on side", "event on side"]
    assert (found, asked) == (["a copy"], before)
    arrived()
    assert asked == [*before, "Python waits"]


def test_without_room_for_a_snapshot_the_steps_wait(asked: list[str]) -> None:
    """Else the next one would overwrite what is being sent."""
    some: Any = [OnGpu(asked, room=False)]
    found, arrived = SideStream(torch.device("cuda")).snapshot(some)
    before = ["side waits for steps", "sent on side", "event on side", "steps waits for the copies"]
    assert (found, asked) == (["itself"], before)
    arrived()
    assert asked == [*before, "Python waits"]
