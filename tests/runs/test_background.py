"""Checkpoints that a thread writes: the content of the instant, in order, and no error is lost."""

import threading
from typing import Any

import pytest
import torch

from gan_exp.runs.background import Writer


def test_the_content_is_that_of_the_instant() -> None:
    """However soon the next step changes the weights."""
    may_write, written = threading.Event(), list[Any]()
    weight = torch.ones(3, requires_grad=True)
    writer = Writer(threaded=True)

    def job(content: dict[str, Any]) -> None:
        may_write.wait(10)
        written.append(content)

    writer.do({"generator": {"weight": weight, "names": ["a"]}, "step": 1}, job)
    with torch.no_grad():
        weight.zero_()
    may_write.set()
    writer.wait()
    (content,) = written
    assert torch.equal(content["generator"].pop("weight"), torch.ones(3))
    assert content == {"generator": {"names": ["a"]}, "step": 1}


def test_one_is_pending_at_most_and_they_are_written_in_order() -> None:
    running, most, order = 0, 0, []
    writer = Writer(threaded=True)

    def job(content: dict[str, Any]) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        order.append(content["step"])
        running -= 1

    for step in range(20):
        writer.do({"step": step}, job)
    writer.wait()
    assert most == 1 and order == list(range(20))


@pytest.mark.parametrize("threaded", [False, True])
def test_a_full_disk_is_told_once(threaded: bool) -> None:
    writer = Writer(threaded)

    def fail(content: dict[str, Any]) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        writer.do({}, fail)
        writer.join()  # in its place an error of the training would be told
        writer.wait()
    writer.wait()


def test_without_a_thread_nothing_is_copied() -> None:
    """On a CPU all is as if there were no writer."""
    weight = torch.ones(3)
    Writer().do({"weight": weight}, lambda content: None if content["weight"] is weight else pytest.fail("copied"))
