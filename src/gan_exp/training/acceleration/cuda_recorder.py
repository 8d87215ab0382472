"""The CUDA part of a captured step: the stream of warm-up and capture, the graph, and reasons why there is none."""

import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol, TypeVar

import torch

SYNCHRONISES = "called a synchronizing CUDA operation"  # in the warnings of torch's sync debug mode

Result = TypeVar("Result")


class CaptureFailed(Exception):
    """The step can't be recorded, for the reason in the message. Nothing was computed."""


class Recorder(Protocol):
    """The part of `CapturedStep` that depends on the device."""

    def warm_up(self, run: Callable[[], Result]) -> Result:
        """Run it now, in a way that allows to record it next."""
        ...

    def record(
        self, run: Callable[[], Result], generators: Sequence[torch.Generator]
    ) -> tuple[Result, Callable[[], None]]:
        """Run it without computing anything. Returns its result and a replay, which writes into the result's tensors.

        All random numbers come from `generators`, with the seeds that they have at the replay. Raises CaptureFailed.
        """
        ...


class CudaRecorder:
    """Graphs of one device. They share memory, since one runs at a time and none reads the results of another."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        with torch.cuda.device(device):
            self._stream = torch.cuda.Stream()
            self._pool = torch.cuda.graph_pool_handle()
        self._obstacle: str | None = None

    def warm_up(self, run: Callable[[], Result]) -> Result:
        """On the capture's stream: autograd's nodes keep the stream that they were made on."""
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
        # A capture that fails half-way can leave CUDA in a bad state, so a known obstacle is not tried.
        if self._obstacle is not None:
            raise CaptureFailed(self._obstacle)
        current = torch.cuda.current_stream(self.device)
        graph = torch.cuda.CUDAGraph()
        for generator in generators:
            graph.register_generator_state(generator)
        try:
            # The outer block restores the current stream even where the end of the capture raises. Only this thread's
            # calls can spoil the capture: the one that writes checkpoints may wait for its copies meanwhile.
            with (
                torch.cuda.device(self.device),
                torch.cuda.stream(current),
                torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"),
            ):
                result = run()
        except (RuntimeError, CaptureFailed) as error:
            with suppress(RuntimeError):
                graph.reset()
            raise CaptureFailed(_reason(error)) from error
        return result, graph.replay


def _reason(error: BaseException) -> str:
    """The first line of the first error: the end of a broken capture raises another one."""
    while error.__context__ is not None:
        error = error.__context__
    return str(error).splitlines()[0] if str(error) else type(error).__name__
