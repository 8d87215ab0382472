"""CUDA's side of a captured step: the stream of the warm-up and the capture, the graph, and what stands in its way."""

import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol, TypeVar

import torch

SYNCHRONISES = "called a synchronizing CUDA operation"  # as torch's sync debug mode says it

Result = TypeVar("Result")


class CaptureFailed(Exception):
    """What was run can't be recorded; the message is the reason. Nothing was computed."""


class Recorder(Protocol):
    """What a device does for `CapturedStep`."""

    def warm_up(self, run: Callable[[], Result]) -> Result:
        """Run at once, in such a way that it can be recorded next."""
        ...

    def record(
        self, run: Callable[[], Result], generators: Sequence[torch.Generator]
    ) -> tuple[Result, Callable[[], None]]:
        """Run without computing anything: the result, which each call of the replay fills anew. Raises CaptureFailed.

        All random numbers come from `generators`, with the seeds that they have when it is replayed.
        """
        ...


class CudaRecorder:
    """Graphs of one device. They share their memory, since one runs at a time and none reads another's results."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        with torch.cuda.device(device):
            self._stream = torch.cuda.Stream()
            self._pool = torch.cuda.graph_pool_handle()
        self._obstacle: str | None = None

    def warm_up(self, run: Callable[[], Result]) -> Result:
        """On the capture's own stream: autograd's nodes would remember another one."""
        current = torch.cuda.current_stream(self.device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            before = torch.cuda.get_sync_debug_mode()
            torch.cuda.set_sync_debug_mode("warn")
            try:
                result = run()
            finally:
                torch.cuda.set_sync_debug_mode(before)
        current.wait_stream(self._stream)
        waits = any(SYNCHRONISES in str(warning.message) for warning in caught)
        self._obstacle = "the step waits for the GPU, which no graph can" if waits else None
        return result

    def record(
        self, run: Callable[[], Result], generators: Sequence[torch.Generator]
    ) -> tuple[Result, Callable[[], None]]:
        # A capture that fails half-way can leave CUDA in a bad state, so what can be seen before is not tried.
        if self._obstacle is not None:
            raise CaptureFailed(self._obstacle)
        current = torch.cuda.current_stream(self.device)
        graph = torch.cuda.CUDAGraph()
        for generator in generators:
            graph.register_generator_state(generator)
        try:
            # The outer block brings back the current stream even where the end of the capture raises.
            with (
                torch.cuda.device(self.device),
                torch.cuda.stream(current),
                torch.cuda.graph(graph, pool=self._pool, stream=self._stream),
            ):
                result = run()
        except (RuntimeError, CaptureFailed) as error:
            with suppress(RuntimeError):
                graph.reset()
            raise CaptureFailed(_reason(error)) from error
        return result, graph.replay


def _reason(error: BaseException) -> str:
    """The first line of what went wrong first: the end of a broken capture raises once more."""
    while error.__context__ is not None:
        error = error.__context__
    return str(error).splitlines()[0] if str(error) else type(error).__name__
