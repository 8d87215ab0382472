"""Steps with each network's parameters in one buffer, traced whole and compiled, and steps in CUDA graphs."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.fx.experimental.proxy_tensor import make_fx

Network = Callable[..., Tensor]


class Flat:
    """A network with its parameters in one buffer, so that Adam is one kernel; 4D weights channels last if asked."""

    def __init__(self, network: nn.Module, lr: float, betas: tuple[float, float], channels_last: bool = False) -> None:
        self.network, self.lr, self.betas = network, lr, betas
        named = dict(network.named_parameters())
        self.names = list(named)
        self.shapes = [(value.shape, channels_last and value.ndim == 4) for value in named.values()]
        self.buffer = self._line([value.detach() for value in named.values()])
        self.first, self.second = torch.zeros_like(self.buffer), torch.zeros_like(self.buffer)
        self.updates = torch.zeros((), device=self.buffer.device)

    def _line(self, values: Sequence[Tensor]) -> Tensor:
        placed = zip(values, self.shapes, strict=True)
        return torch.cat([(v.permute(0, 2, 3, 1) if last else v).reshape(-1) for v, (_, last) in placed])

    def views(self) -> list[Tensor]:
        """The parameters, as they are now."""
        parts = self.buffer.detach().split([shape.numel() for shape, _ in self.shapes])
        return [_shaped(part, *shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def __call__(self, views: Sequence[Tensor], *inputs: Tensor) -> Tensor:
        return functional_call(self.network, dict(zip(self.names, views, strict=True)), inputs)

    def update(self, loss_of: Callable[[Network], Tensor]) -> Tensor:
        """One update of Adam by the loss that `loss_of` computes with the network; the loss, detached."""
        views = [view.requires_grad_() for view in self.views()]
        loss = loss_of(lambda *inputs: self(views, *inputs))
        gradient = self._line(torch.autograd.grad(loss, views))
        beta1, beta2 = self.betas
        self.updates.add_(1)
        self.first.lerp_(gradient, 1 - beta1)
        self.second.lerp_(gradient.square(), 1 - beta2)
        scale = self.lr / (1 - beta1**self.updates)
        deviation = (self.second / (1 - beta2**self.updates)).sqrt() + 1e-8
        self.buffer.sub_(scale * self.first / deviation)
        return loss.detach()


def _shaped(part: Tensor, shape: torch.Size, last: bool) -> Tensor:
    if not last:
        return part.view(shape)
    outputs, inputs, height, width = shape
    return part.view(outputs, height, width, inputs).permute(0, 3, 1, 2)


def traced(step: Callable[[], Any], device: str, compiled: bool = True) -> Callable[[], Any]:
    """`step` as one list of operations, its derivatives and updates included, which torch.compile then takes.

    Tensors that it closes over stay the same ones. Tracing runs the step once.
    """
    nothing = torch.zeros((), device=device)  # there is no trace without an input
    graph = make_fx(lambda zero: step())(nothing)
    run = torch.compile(graph) if compiled else graph

    def run_once() -> Any:
        with torch.no_grad():
            return run(nothing)

    return run_once


def captured(
    step: Callable[[], Any], generators: Sequence[torch.Generator] = (), warm_ups: int = 3
) -> Callable[[], None]:
    """`step` in a CUDA graph: its replay."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(warm_ups):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    for generator in generators:
        graph.register_generator_state(generator)
    # The outer block brings back the current stream where the end of the capture raises.
    with torch.cuda.stream(torch.cuda.current_stream()), torch.cuda.graph(graph, stream=stream):
        step()
    return partial(_replay, graph, step)


def _replay(graph: torch.cuda.CUDAGraph, kept: Callable[[], Any]) -> None:
    """`kept` holds the tensors that the graph finds by their addresses."""
    graph.replay()
