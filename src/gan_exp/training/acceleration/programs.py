"""Compiled steps: for each pattern of Python's decisions one program, which is then warmed up and recorded."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gan_exp.optimizers import KerasAdam
from gan_exp.training.acceleration.capturable import WRITTEN_OUT_OPTIONS, OnDevice
from gan_exp.training.acceleration.fused_adam import BOOKKEEPING
from gan_exp.training.acceleration.report_ring import Keys
from gan_exp.training.acceleration.traced import Backend, Traced, TraceFailed, values_kept
from gan_exp.training.state import TrainingState
from gan_exp.training.step_types import StepConfig

# Compiling the article's step took 1 s (with a warm cache) to 18 s on an H100, and saved 0.32 ms a step.
EARNS_BACK = 25_000  # steps: between the two


def pays(state: TrainingState, steps: int) -> str | None:
    """The reason not to compile a run of so many steps unasked, as half a sentence; None where it pays."""
    if torch.are_deterministic_algorithms_enabled():
        return "device.deterministic is set"
    layers = [layer for network in state.networks.values() for layer in network.modules()]
    if any(isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) for layer in layers):
        return "compiling convolutions takes minutes"
    return None if steps >= EARNS_BACK else f"compiling pays from {EARNS_BACK:,} steps on"


def unfit(state: TrainingState, config: StepConfig) -> str | None:
    """The reason why the steps can't be compiled, as half a sentence; None where none is known beforehand."""
    if state.augment is not None or config.instance_noise > 0:
        return "what D sees is drawn anew in each step"
    if getattr(config.penalty, "draws", False):
        return f"{type(config.penalty).__name__} draws random numbers in each step"
    for optimizer in (state.generator_optimizer, state.discriminator_optimizer):
        name, known = type(optimizer).__name__, WRITTEN_OUT_OPTIONS | BOOKKEEPING
        if type(optimizer) not in (torch.optim.Adam, torch.optim.AdamW, KerasAdam):
            return f"{name} has no form that can be compiled"
        others = [key for group in optimizer.param_groups for key, value in group.items() if value and key not in known]
        if others:
            return f"{name} with {others[0]} has no form that can be compiled"
    return None


@dataclass(frozen=True)
class Program:
    run: Traced
    report: Keys
    parameters: Sequence[nn.Parameter]  # that get gradients
    updates: Sequence[int]  # of each optimizer


class Programs:
    """`say` is told how long each compilation took, or why there is none: then the step runs as it is written."""

    def __init__(self, say: Callable[[str], None] = lambda line: None, backend: Backend | None = "inductor") -> None:
        self._say, self._backend = say, backend
        self._made: dict[Hashable, Program] = {}
        self._failed = False

    def forget(self) -> None:
        """The tensors that the programs change are no longer those of the run."""
        self._made = {}

    def run(
        self, pattern: Hashable, step: Callable[[], Keys], state: TrainingState, optimizers: Sequence[OnDevice]
    ) -> Keys:
        """What `step` does and returns."""
        if self._failed:
            return step()
        if pattern not in self._made:
            try:
                self._made[pattern] = self._compile(step, state, optimizers)
            except TraceFailed as failure:
                self._failed = True
                self._say(f"steps: not compiled ({failure})")
                return step()
        program = self._made[pattern]
        for parameter, gradient in zip(program.parameters, program.run(), strict=True):
            parameter.grad = gradient
        for optimizer, updates in zip(optimizers, program.updates, strict=True):
            optimizer.updates = updates
        return program.report

    def _compile(self, step: Callable[[], Keys], state: TrainingState, optimizers: Sequence[OnDevice]) -> Program:
        for optimizer in optimizers:
            optimizer.make_state()
        kept = _changed(state, optimizers)
        with values_kept(kept):
            report = step()  # makes all else that a first step makes, such as room for its report
            for optimizer in optimizers:
                optimizer.drop_unused_state()
        parameters = [
            parameter
            for parameter in (*state.generator_parameters, *state.discriminator_parameters)
            if parameter.grad is not None
        ]

        def traceable() -> list[Tensor]:
            step()
            return [parameter.grad for parameter in parameters if parameter.grad is not None]

        traced = Traced(traceable, kept, self._backend)
        self._say(f"steps: compiled in {traced.seconds:.0f} s")
        return Program(traced, report, parameters, [optimizer.updates for optimizer in optimizers])


def _changed(state: TrainingState, optimizers: Sequence[OnDevice]) -> list[Tensor]:
    """All tensors that a step changes."""
    found = [value for network in state.networks.values() for value in (*network.parameters(), *network.buffers())]
    states = [state for optimizer in optimizers for state in optimizer.optimizer.state.values()]
    return [*found, *(value for state in states for value in state.values() if isinstance(value, Tensor))]
