"""What a run leaves on the disk, written in order: at once on a CPU, by a thread beside the next steps of a GPU.

The sequence of writes is the same either way. So a run that is killed leaves a beginning of what it would have left.
"""

import copy
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from torch import Tensor

Content = TypeVar("Content")
Arrived = Callable[[], object]


class Copies(Protocol):
    """How tensors come to the CPU while the device goes on."""

    def snapshot(self, tensors: Sequence[Tensor]) -> tuple[list[Tensor], Arrived]:
        """Copies on the CPU of what `tensors` hold after the device's work so far, whatever is written to them later.

        They are complete when the function returned beside them has been called, by any thread.
        """
        ...


class Writer:
    """Does its jobs in order, each with its content as it is when the job is given.

    With `copies` a thread does them. What a job raised is then raised by the next call of `do` or `wait`, and all
    jobs behind it are left out: nothing follows what could not be written. Without `copies` each job is done at once,
    since on a CPU a thread would take the cores from the step.
    """

    def __init__(self, copies: Copies | None = None) -> None:
        self._copies = copies
        self._thread = ThreadPoolExecutor(1, "writer")
        self._newest: Future[None] | None = None
        self._large: Future[None] | None = None  # the newest with a large content
        self._error: BaseException | None = None  # of the job that was the last
        self._told = False

    @property
    def beside(self) -> bool:
        """Whether the jobs are done beside the training."""
        return self._copies is not None

    def do(self, job: Callable[[Content], object], content: Content, large: bool = False) -> None:
        """`job(content)`. Of `large` contents one is held at most: the next one waits until that is written."""
        if self._copies is None:
            job(content)
            return
        if large and self._large is not None:
            self._large.result()
        self._raise()
        copied, arrived = _snapshot(content, self._copies)
        self._newest = self._thread.submit(self._run, job, copied, arrived)
        if large:
            self._large = self._newest

    def wait(self) -> None:
        """Until all is written. Raises what a job raised."""
        self.join()
        self._raise()

    def join(self) -> None:
        """The same, and leaves the error to `wait`."""
        if self._newest is not None:
            self._newest.result()

    def _raise(self) -> None:
        if self._error is not None and not self._told:
            self._told = True
            raise self._error

    def _run(self, job: Callable[[Any], object], content: Any, arrived: Arrived) -> None:
        if self._error is not None:
            return
        try:
            arrived()
            job(content)
        except BaseException as error:  # it belongs to whoever gives the next job, or waits
            self._error = error


def _snapshot(content: Content, copies: Copies) -> tuple[Content, Arrived]:
    """A copy of plain containers with tensors; one that is there several times is copied once."""
    found: dict[int, Tensor] = {}
    _replaced(content, lambda tensor: found.setdefault(id(tensor), tensor))
    copied, arrived = copies.snapshot(list(found.values()))
    known = dict(zip(found, copied, strict=True))
    made: Content = _replaced(content, lambda tensor: known[id(tensor)])
    return made, arrived


def _replaced(value: Any, of: Callable[[Tensor], Tensor]) -> Any:
    """Copies of all containers in `value`, with other tensors in them."""
    if isinstance(value, Tensor):
        return of(value)
    if isinstance(value, dict):
        made = copy.copy(value)  # with the versions of the layers, which `state_dict` returns as an attribute
        for key, each in value.items():
            made[key] = _replaced(each, of)
        return made
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_replaced(each, of) for each in value))
    if isinstance(value, list | tuple):
        return type(value)(_replaced(each, of) for each in value)
    return value
