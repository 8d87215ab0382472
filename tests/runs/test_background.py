"""What a thread writes beside the training: the content of the instant, in order, and no error is lost."""

import threading
import time
from collections import OrderedDict
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from beside import LateCopies
from gan_exp.runs.background import Writer


class Pair(NamedTuple):
    first: Tensor
    second: Tensor | None


def test_the_content_is_that_of_the_instant() -> None:
    """However soon the next step changes the weights, and however late the copies arrive."""
    may_write, written = threading.Event(), list[Any]()
    weight = torch.ones(3, requires_grad=True)
    writer = Writer(LateCopies())

    writer.do(lambda content: may_write.wait(10), None)  # until then the thread asks for no other copy
    writer.do(written.append, {"generator": {"weight": weight, "names": ["a"]}, "pair": Pair(weight, None), "step": 1})
    with torch.no_grad():
        weight.zero_()
    may_write.set()
    writer.wait()
    (content,) = written
    assert torch.equal(content["generator"].pop("weight"), torch.ones(3))
    pair = content.pop("pair")
    assert type(pair) is Pair and torch.equal(pair.first, torch.ones(3)) and pair.second is None
    assert content == {"generator": {"names": ["a"]}, "step": 1}


def test_what_is_there_twice_is_copied_once_and_keeps_what_belongs_to_it() -> None:
    """A file holds the tensor once, and a state_dict the versions of its layers."""
    weight, written = torch.ones(3), list[Any]()
    state = OrderedDict(weight=weight)
    state._metadata = {"": {"version": 2}}  # type: ignore[attr-defined]
    writer = Writer(LateCopies())
    writer.do(written.append, {"generator": state, "generator_ema": [weight]})
    writer.wait()
    (content,) = written
    assert content["generator"]["weight"] is content["generator_ema"][0] is not weight
    assert type(content["generator"]) is OrderedDict and content["generator"]._metadata == {"": {"version": 2}}
    assert state["weight"] is weight


def test_jobs_are_done_in_order_and_one_at_a_time() -> None:
    running, most, order = 0, 0, []
    writer = Writer(LateCopies())

    def job(content: dict[str, Any]) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        order.append(content["step"])
        running -= 1

    for step in range(20):
        writer.do(job, {"step": step}, large=step % 3 == 0)
    writer.wait()
    assert most == 1 and order == list(range(20))


def test_one_large_content_is_held_at_most() -> None:
    """Small ones, such as grids, wait for nothing; the next checkpoint waits until the one before is on the disk."""
    may_write, began = threading.Event(), threading.Event()
    done: list[str] = []
    writer = Writer(LateCopies())

    def slow(name: str) -> None:
        began.set()
        may_write.wait(10)
        done.append(name)

    writer.do(slow, "checkpoint 5", large=True)
    writer.do(done.append, "grid 6")
    began.wait(10)
    assert done == []
    threading.Timer(0.05, may_write.set).start()
    writer.do(done.append, "checkpoint 10", large=True)
    assert done[:1] == ["checkpoint 5"]
    writer.wait()
    assert done == ["checkpoint 5", "grid 6", "checkpoint 10"]


@pytest.mark.parametrize("copies", [None, LateCopies()])
def test_a_full_disk_is_told_once(copies: LateCopies | None) -> None:
    writer = Writer(copies)

    def fail(content: dict[str, Any]) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        writer.do(fail, {})
        writer.join()  # in its place an error of the training would be told
        writer.wait()
    writer.wait()


def test_nothing_follows_what_could_not_be_written() -> None:
    """And the next job tells of it, whatever it is."""
    may_fail, done = threading.Event(), list[str]()
    writer = Writer(LateCopies())

    def fail(content: object) -> None:
        may_fail.wait(10)
        raise OSError(28, "No space left on device")

    writer.do(fail, None, large=True)
    writer.do(done.append, "a grid")
    may_fail.set()
    writer.join()
    with pytest.raises(OSError, match="No space left"):
        writer.do(done.append, "the next line of metrics.jsonl")
    assert done == []


def test_nor_what_is_still_waiting_when_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread comes to the jobs behind only after the error was raised."""
    told, done = threading.Event(), list[str]()
    writer = Writer(LateCopies())
    run = writer._run

    def late(job: Any, content: Any, arrived: Any) -> None:
        if job == done.append:
            told.wait(10)
        run(job, content, arrived)

    def fail(content: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer, "_run", late)
    failing = threading.Event()
    writer.do(lambda content: failing.wait(10) and fail(content), None)
    writer.do(done.append, "a grid")
    writer.do(done.append, "a checkpoint")
    failing.set()
    while writer._error is None:
        time.sleep(0.001)
    with pytest.raises(OSError, match="No space left"):
        writer.do(done.append, "the next line of metrics.jsonl")
    told.set()
    writer.wait()
    assert done == []


def test_without_a_thread_nothing_is_copied() -> None:
    """On a CPU all is as if there were no writer."""
    weight = torch.ones(3)
    Writer().do(lambda content: None if content["weight"] is weight else pytest.fail("copied"), {"weight": weight})
