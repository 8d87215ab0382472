"""Whole steps captured in CUDA graphs: Python plays a step once, the GPU plays it again without Python.

The kernels of a graph find their data where it was when they were recorded. Latents and batches are drawn outside, as
ever, and copied there; random numbers come from generators that get the step's own seeds before each replay; learning
rates and penalty weights are numbers on the device. What else Python does within a step must be the same each time: a
network of one's own that counts its calls needs the plain player.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple, cast

import torch
from torch import Tensor

from gan_exp.augment import ADA
from gan_exp.data.packed import Batch
from gan_exp.optimizers import KerasAdam
from gan_exp.penalties import Draw
from gan_exp.training.acceleration import capturable
from gan_exp.training.acceleration.capturable import OnDevice
from gan_exp.training.acceleration.cuda_recorder import CaptureFailed, CudaRecorder, Recorder
from gan_exp.training.state import TrainingState
from gan_exp.training.step import DiscriminatorReport, Rules, StepReport, Turn, play_step

WARM_UPS = 3  # of each pattern before its capture, as torch.cuda.make_graphed_callables has it


class Pattern(NamedTuple):
    """What Python decides within a step, for each of D's updates: each pattern has a graph of its own."""

    penalised: tuple[bool, ...]
    augment_moves: tuple[bool, ...]
    measured: bool  # of all of the step's updates


class Request(NamedTuple):
    """Random numbers that the step draws: in which turn (D's in order, then G's) and for what."""

    turn: int
    purpose: str


@dataclass(frozen=True)
class Recording:
    report: StepReport
    replay: Callable[[], None]
    generators: Sequence[torch.Generator]
    gradients: Sequence[Tensor | None]


class Seen:
    """What the latest warm-up of a pattern did, which its capture must do again."""

    def __init__(self) -> None:
        self.count = 0
        self.requests: list[Request] = []
        self.updates: list[int] = []  # of each optimizer


def unfit(state: TrainingState, device: torch.device, beta2_scheduled: bool = False) -> str | None:
    """Why the steps of a game can't be captured, in half a sentence; None where they can, as far as one can see."""
    if device.type != "cuda":
        return "CUDA graphs need a CUDA GPU"
    optimizers = (state.generator_optimizer, state.discriminator_optimizer)
    reasons = [capturable.unfit(optimizer, beta2_scheduled) for optimizer in optimizers]
    return next((reason for reason in reasons if reason is not None), None)


class CapturedPlayer:
    """Plays the steps of a game as `play_step` does: the same numbers up to the rounding of a learning rate.

    The first steps are played kernel by kernel, as a warm-up; they count like all others, and in the same arithmetic.
    Where a capture fails, `tell` gets the reason, the state is as before, and all steps are played like the first. The
    next step overwrites the tensors of a report.
    """

    def __init__(
        self,
        state: TrainingState,
        rules: Rules,
        device: torch.device,
        beta2_scheduled: bool = False,
        tell: Callable[[str], None] = lambda reason: None,
        recorder: Recorder | None = None,
    ) -> None:
        self.state, self.rules, self.device = state, rules, device
        self._beta2_scheduled, self._tell = beta2_scheduled, tell
        self._recorder = recorder or CudaRecorder(device)
        self._parameters = [*state.generator_parameters, *state.discriminator_parameters]
        self._inputs: StaticTurns | None = None
        self._failed = False
        self._begin()

    def __call__(self, turns: Sequence[Turn], generator_turn: Turn) -> StepReport:
        if any(optimizer.stale for optimizer in self._optimizers):
            self._begin()
        for optimizer in self._optimizers:
            optimizer.refresh()
        given = [*turns, generator_turn]
        if self._inputs is None:
            self._inputs = StaticTurns(given, self.rules.conditional, self.device)
        self._inputs.fill(given)
        pattern = self._pattern(turns, generator_turn.measured)
        seen = self._seen.setdefault(pattern, Seen())
        if pattern not in self._recordings and seen.count >= WARM_UPS and not self._failed:
            self._capture(pattern, given)
        if pattern in self._recordings:
            report = self._replay(self._recordings[pattern], seen, given)
        else:
            report = self._warm_up(pattern, given)
        self._count(seen, given)
        return report

    def _begin(self) -> None:
        """With the tensors that are there now; what was recorded of others is forgotten."""
        optimizers = (self.state.generator_optimizer, self.state.discriminator_optimizer)
        self._optimizers = [OnDevice(optimizer, self.device, self._beta2_scheduled) for optimizer in optimizers]
        generator, discriminator = (cast(torch.optim.Optimizer, optimizer) for optimizer in self._optimizers)
        # The same networks with counters of its own, which a capture would bring into disorder.
        self._played = replace(self.state, generator_optimizer=generator, discriminator_optimizer=discriminator)
        self._seen: dict[Pattern, Seen] = {}
        self._recordings: dict[Pattern, Recording] = {}
        self._shown: Recording | None = None  # whose gradients the parameters have

    def _pattern(self, turns: Sequence[Turn], measured: bool) -> Pattern:
        penalised = tuple(self.rules.penalty is not None and bool(turn.penalty_weight > 0) for turn in turns)
        augment, moves = self.state.augment, tuple[bool, ...]()
        if isinstance(augment, ADA):
            update = self.state.images_seen // len(turns[0].latents)
            moves = tuple((update + k + 1) % augment.every == 0 for k in range(len(turns)))
        return Pattern(penalised, moves, measured)

    def _play(self, pattern: Pattern, draws: Sequence[Draw]) -> StepReport:
        assert self._inputs is not None
        *turns, generator_turn = self._inputs.turns(draws, pattern.penalised, pattern.measured)
        self._played.images_seen = self.state.images_seen
        for optimizer in self._optimizers:
            optimizer.updates = 0
        return play_step(self._played, self.rules, turns, generator_turn)

    def _warm_up(self, pattern: Pattern, given: Sequence[Turn]) -> StepReport:
        requests: list[Request] = []

        def draw(turn: int, purpose: str) -> torch.Generator:
            requests.append(Request(turn, purpose))
            return given[turn].draw(purpose)

        draws = [partial(draw, number) for number in range(len(given))]
        report = self._recorder.warm_up(partial(self._play, pattern, draws))
        seen = self._seen[pattern]
        seen.count += 1
        seen.requests, seen.updates = requests, [optimizer.updates for optimizer in self._optimizers]
        self._shown = None
        return report

    def _capture(self, pattern: Pattern, given: Sequence[Turn]) -> None:
        """Nothing is computed, and neither weights nor random numbers move."""
        requests = self._seen[pattern].requests
        generators = [torch.Generator(self.device) for _ in requests]
        waiting = list(zip(requests, generators, strict=True))

        def draw(turn: int, purpose: str) -> torch.Generator:
            if not waiting or waiting[0][0] != Request(turn, purpose):
                raise CaptureFailed(f"random numbers for {purpose} are not drawn in the same order each time")
            return waiting.pop(0)[1]

        draws = [partial(draw, number) for number in range(len(given))]
        before = [parameter.grad for parameter in self._parameters]
        try:
            report, replay = self._recorder.record(partial(self._play, pattern, draws), generators)
        except CaptureFailed as failure:
            self._failed = True
            self._show(before)
            self.state.freeze_discriminator(False)
            self._tell(str(failure))
            return
        gradients = [parameter.grad for parameter in self._parameters]
        self._recordings[pattern] = self._shown = Recording(report, replay, generators, gradients)

    def _replay(self, recording: Recording, seen: Seen, given: Sequence[Turn]) -> StepReport:
        for (turn, purpose), generator in zip(seen.requests, recording.generators, strict=True):
            generator.manual_seed(given[turn].draw(purpose).initial_seed())
        recording.replay()
        if self._shown is not recording:  # gradients are looked at where a checkpoint is saved
            self._show(recording.gradients)
            self._shown = recording
        return _copied(recording.report)  # the next replay writes into the same tensors

    def _show(self, gradients: Sequence[Tensor | None]) -> None:
        for parameter, gradient in zip(self._parameters, gradients, strict=True):
            parameter.grad = gradient

    def _count(self, seen: Seen, given: Sequence[Turn]) -> None:
        """What Python knows of a step; a replay does not tell it."""
        self.state.step += 1
        self.state.images_seen += sum(len(turn.latents) for turn in given[:-1])
        for on_device, updates in zip(self._optimizers, seen.updates, strict=True):
            if isinstance(on_device.optimizer, KerasAdam):
                on_device.optimizer.advance(updates)


def _copied(report: StepReport) -> StepReport:
    updates = [
        DiscriminatorReport(*(None if value is None else value.clone() for value in update))  # type: ignore[arg-type]
        for update in report.discriminator
    ]
    norm = report.generator_gradient_norm
    return StepReport(updates, report.generator_loss.clone(), None if norm is None else norm.clone())


class StaticTurns:
    """What a step reads, always at the same place: D's turns, then G's."""

    def __init__(self, given: Sequence[Turn], conditional: bool, device: torch.device) -> None:
        self._latents = [turn.latents.clone() for turn in given]
        self._images = [None if turn.batch is None else turn.batch.images.clone() for turn in given]
        self._labels = [
            turn.batch.labels.clone()
            if conditional and turn.batch is not None and turn.batch.labels is not None
            else None
            for turn in given
        ]
        self._weights = [capturable.DeviceNumber(device) for _ in given]

    def fill(self, given: Sequence[Turn]) -> None:
        for number, turn in enumerate(given):
            self._latents[number].copy_(turn.latents)
            self._weights[number].set(cast(float, turn.penalty_weight))
            images, labels = self._images[number], self._labels[number]
            if images is not None:
                assert turn.batch is not None
                images.copy_(turn.batch.images)
            if labels is not None:
                assert turn.batch is not None and turn.batch.labels is not None
                labels.copy_(turn.batch.labels)

    def turns(self, draws: Sequence[Draw], penalised: Sequence[bool], measured: bool) -> list[Turn]:
        """With `draws` for the random numbers; a penalty where `penalised` says so (G's turn has none)."""
        there = [*penalised, False]
        return [
            Turn(
                self._latents[number],
                # A penalty may want gradients of the images, which what is filled must not have.
                None if (images := self._images[number]) is None else Batch(images.detach(), self._labels[number]),
                draw,
                self._weights[number].value if there[number] else 0.0,
                measured,
            )
            for number, draw in enumerate(draws)
        ]
