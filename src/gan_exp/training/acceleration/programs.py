"""Compiled steps: one program for each kind of update and each of Python's decisions; then warmed up and recorded."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gan_exp.optimizers import KerasAdam
from gan_exp.training.acceleration.capturable import WRITTEN_OUT_OPTIONS, OnDevice
from gan_exp.training.acceleration.draws import Draws
from gan_exp.training.acceleration.fused_adam import BOOKKEEPING
from gan_exp.training.acceleration.report_ring import Keys
from gan_exp.training.acceleration.traced import Backend, Traced, TraceFailed, values_kept
from gan_exp.training.acceleration.trees import Tree
from gan_exp.training.state import TrainingState
from gan_exp.training.step import train_step, update_discriminator, update_generator
from gan_exp.training.step_types import DiscriminatorReport, StepConfig, StepReport, UpdateInputs

# Compiling the article's step took 1 s (with a warm cache) to 18 s on an H100, and saved 0.32 ms a step.
EARNS_BACK = 25_000  # steps: between the two


def pays(state: TrainingState, steps: int) -> str | None:
    """The reason not to compile a run of so many steps unasked, as half a sentence; None where it pays."""
    if torch.are_deterministic_algorithms_enabled():
        return "device.deterministic is set"
    layers = [layer for network in state.networks.values() for layer in network.modules()]
    if any(isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) for layer in layers):
        return "its gain with convolutions has not been measured; fast_path=compiled tries it"
    return None if steps >= EARNS_BACK else f"compiling pays from {EARNS_BACK:,} steps on"


def unfit(state: TrainingState) -> str | None:
    """The reason why the steps can't be compiled, as half a sentence; None where none is known beforehand."""
    for optimizer in (state.generator_optimizer, state.discriminator_optimizer):
        name, known = type(optimizer).__name__, WRITTEN_OUT_OPTIONS | BOOKKEEPING
        if type(optimizer) not in (torch.optim.Adam, torch.optim.AdamW, KerasAdam):
            return f"{name} has no form that can be compiled"
        others = [key for group in optimizer.param_groups for key, value in group.items() if value and key not in known]
        if others:
            return f"{name} with {others[0]} has no form that can be compiled"
    return None


class Piece(NamedTuple):
    """A part of a step that is compiled by itself."""

    key: Hashable  # of Python's decisions: pieces with the same key have one program
    run: Callable[[Sequence[UpdateInputs]], Any]
    inputs: Sequence[UpdateInputs]


@dataclass(frozen=True)
class Program:
    run: Traced
    draws: Draws
    parameters: Sequence[nn.Parameter]  # that get gradients
    result: Tree
    updates: Sequence[int]  # of each optimizer


class Programs:
    """`say` is told how long each compilation took, or why there is none: then the step runs as it is written.

    Updates of D that differ in their inputs alone have one program. G's is compiled together with the last of D's where
    it reuses the fakes, or where that is the only one.
    """

    def __init__(self, say: Callable[[str], None] = lambda line: None, backend: Backend | None = "inductor") -> None:
        self._say, self._backend = say, backend
        self._failed = False

    def begin(
        self,
        state: TrainingState,
        config: StepConfig,
        optimizers: Sequence[OnDevice],
        write: Callable[[StepReport], Keys],
    ) -> None:
        """From now on the step changes these tensors; `write` is its end. All programs of before are forgotten."""
        self._state, self._config, self._optimizers, self._write = state, config, optimizers, write
        self.made: dict[Hashable, Program] = {}

    def run(self, decisions: Sequence[Hashable], given: Sequence[UpdateInputs]) -> Keys:
        """What `train_step` does with the inputs of D's updates and then G's; what `write` returns.

        `decisions` are those that Python takes in each of D's updates.
        """
        if len(decisions) == 1:  # the end is compiled too, which makes fewer kernels
            keys: Keys = self._run(Piece(("step", *decisions), self._whole_step, given))
            return keys
        apart, seen, reports = len(decisions) - self._config.reuse_fakes, self._state.images_seen, []
        for decision, inputs in zip(decisions[:apart], given[:apart], strict=True):
            reports.append(self._run(Piece(("D", decision), self._update_discriminator, [inputs])))
            self._state.images_seen = seen + len(reports) * inputs.batch_size
        rest = self._run(Piece(("G", *decisions[apart:]), self._updates, given[apart:]))
        return self._write(rest._replace(discriminator=[*reports, *rest.discriminator]))

    def _whole_step(self, inputs: Sequence[UpdateInputs]) -> Keys:
        return self._write(self._updates(inputs))

    def _update_discriminator(self, inputs: Sequence[UpdateInputs]) -> DiscriminatorReport:
        return update_discriminator(self._state, self._config, inputs[0])

    def _updates(self, inputs: Sequence[UpdateInputs]) -> StepReport:
        *of_discriminator, of_generator = inputs
        if of_discriminator:
            return train_step(self._state, self._config, of_discriminator, of_generator)
        return StepReport([], *update_generator(self._state, self._config, of_generator))

    def _run(self, piece: Piece) -> Any:
        if not self._failed and piece.key not in self.made:
            try:
                self.made[piece.key] = self._compile(piece)
            except TraceFailed as failure:
                self._failed = True
                self._say(f"steps: not compiled ({failure})")
        if self._failed:
            return piece.run(piece.inputs)
        program = self.made[piece.key]
        found = program.run(*Tree(piece.inputs).tensors, *program.draws.made(piece.inputs))
        for parameter, gradient in zip(program.parameters, found, strict=False):
            parameter.grad = gradient
        for optimizer, updates in zip(self._optimizers, program.updates, strict=True):
            optimizer.updates += updates
        return program.result.filled(found[len(program.parameters) :])

    def _compile(self, piece: Piece) -> Program:
        parameters = [*self._state.generator_parameters, *self._state.discriminator_parameters]
        gradients, counts = [each.grad for each in parameters], [each.updates for each in self._optimizers]
        images_seen = self._state.images_seen
        try:
            return self._traced(piece, parameters)
        finally:
            self._state.images_seen = images_seen
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient
            for optimizer, count in zip(self._optimizers, counts, strict=True):
                optimizer.updates = count

    def _traced(self, piece: Piece, parameters: Sequence[nn.Parameter]) -> Program:
        for optimizer in self._optimizers:
            optimizer.make_state()
            optimizer.updates = 0
        kept, draws, given = _changed(self._state, self._optimizers), Draws(), Tree(piece.inputs)
        images_seen = self._state.images_seen
        with values_kept(kept):
            result = Tree(piece.run(draws.noted(piece.inputs)))  # makes all else that a first step makes
            for optimizer in self._optimizers:
                optimizer.drop_unused_state()
        changed = [parameter for parameter in parameters if parameter.grad is not None]
        updates = [optimizer.updates for optimizer in self._optimizers]

        def traceable(*tensors: Tensor) -> list[Tensor]:
            self._state.images_seen = images_seen
            inputs = given.filled(tensors[: len(given.tensors)])
            found = piece.run(draws.given(inputs, tensors[len(given.tensors) :]))
            return [*(each.grad for each in changed if each.grad is not None), *Tree(found).tensors]

        traced = Traced(traceable, [*given.tensors, *draws.made(piece.inputs)], kept, self._backend)
        self._say(f"steps: compiled in {traced.seconds:.0f} s")
        return Program(traced, draws, changed, result, updates)


def _changed(state: TrainingState, optimizers: Sequence[OnDevice]) -> list[Tensor]:
    """All tensors that a step changes."""
    networks = [*state.networks.values(), *([] if state.augment is None else [state.augment])]
    found = [value for network in networks for value in (*network.parameters(), *network.buffers())]
    states = [state for optimizer in optimizers for state in optimizer.optimizer.state.values()]
    return [*found, *(value for state in states for value in state.values() if isinstance(value, Tensor))]
