"""Checkpoints beside the training: the state is copied at once, a thread writes it while the next steps run."""

from collections.abc import Callable
from threading import Thread
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only


class Writer:
    """Does its jobs in order, at most one of them pending: the next one waits for it.

    What a job raised is raised by the next call of `do` or `wait`. Without `threaded` each is done at once: on a CPU a
    thread would take the cores from the step.
    """

    def __init__(self, threaded: bool = False) -> None:
        self._threaded = threaded
        self._thread: Thread | None = None
        self._error: BaseException | None = None

    def do(self, content: dict[str, Any], job: Callable[[dict[str, Any]], object]) -> None:
        """`job(content)`, with the content as it is now."""
        self.wait()
        if not self._threaded:
            job(content)
            return
        copied, arrived = snapshot(content)
        self._thread = Thread(target=self._run, args=(copied, arrived, job), name="checkpoint writer")
        self._thread.start()

    def wait(self) -> None:
        """Until all is written. Raises what a job raised."""
        self.join()
        error, self._error = self._error, None
        if error is not None:
            raise error

    def join(self) -> None:
        """The same, and leaves the error to `wait`."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(
        self, content: dict[str, Any], arrived: Callable[[], object], job: Callable[[dict[str, Any]], object]
    ) -> None:
        try:
            arrived()
            job(content)
        except BaseException as error:  # it belongs to whoever waits
            self._error = error


def snapshot(content: dict[str, Any]) -> tuple[dict[str, Any], Callable[[], object]]:
    """A copy on the CPU of all tensors in plain containers, and a function that waits until it is complete.

    From a GPU it goes into pinned memory, in the order of the GPU's work: after the steps so far, before the next ones.
    Python does not wait for it.
    """
    copied: dict[str, Any] = tree_map_only(Tensor, _copy, content)
    if not torch.cuda.is_initialized():
        return copied, lambda: None
    event = torch.cuda.Event()
    event.record()
    return copied, event.synchronize


def _copy(tensor: Tensor) -> Tensor:
    tensor = tensor.detach()
    if tensor.device.type != "cuda":
        return tensor.clone()
    return torch.empty_like(tensor, device="cpu", pin_memory=True).copy_(tensor, non_blocking=True)
