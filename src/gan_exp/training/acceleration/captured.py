"""Whole steps captured in CUDA graphs: Python runs a step once, the GPU repeats it without Python.

The kernels of a graph find their data where it was when they were recorded. Latents and batches are drawn outside,
as without a graph, and copied there; random numbers come from generators that get the seeds of the step before each
replay; learning rates and penalty weights are numbers on the device. Everything else that Python does within a step
must be the same each time: a network that counts its calls needs the plain step.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import zip_longest
from typing import NamedTuple, cast

import torch
from torch import Tensor

from gan_exp.optimizers import KerasAdam
from gan_exp.penalties import RngFor
from gan_exp.training.acceleration import capturable
from gan_exp.training.acceleration.capturable import OnDevice
from gan_exp.training.acceleration.cuda_recorder import CaptureFailed, CudaRecorder, Recorder
from gan_exp.training.acceleration.programs import Programs
from gan_exp.training.acceleration.report_ring import Keys, ReportRing
from gan_exp.training.acceleration.static_inputs import StaticInputs
from gan_exp.training.state import TrainingState
from gan_exp.training.step import train_step
from gan_exp.training.step_types import StepConfig, StepReport, UpdateInputs

WARM_UPS = 3  # of each pattern before its capture; as many as in torch.cuda.make_graphed_callables


class Pattern(NamedTuple):
    """The decisions that Python takes within a step, for each of D's updates. Each pattern has its own graph."""

    penalised: tuple[bool, ...]
    augment_moves: tuple[bool, ...]
    measured: bool  # in all updates of the step

    @property
    def decisions(self) -> list[tuple[bool, ...]]:
        """Those of each of D's updates."""
        return list(zip_longest(self.penalised, self.augment_moves, fillvalue=False))


class Request(NamedTuple):
    """Random numbers that the step draws: for which update (D's in order, then G's) and for which purpose."""

    update: int
    purpose: str


@dataclass(frozen=True)
class Recording:
    report: Keys
    replay: Callable[[], None]
    generators: Sequence[torch.Generator]
    gradients: Sequence[Tensor | None]


class WarmUps:
    """The number of a pattern's warm-ups, and the actions of the latest, which the capture must repeat."""

    def __init__(self) -> None:
        self.count = 0
        self.requests: list[Request] = []
        self.updates: list[int] = []  # of each optimizer


def unfit(state: TrainingState, device: torch.device, beta2_scheduled: bool = False) -> str | None:
    """The reason why the steps can't be captured, as half a sentence; None where none is known beforehand."""
    if device.type != "cuda":
        return "CUDA graphs need a CUDA GPU"
    optimizers = (state.generator_optimizer, state.discriminator_optimizer)
    reasons = [capturable.unfit(optimizer, beta2_scheduled) for optimizer in optimizers]
    return next((reason for reason in reasons if reason is not None), None)


class CapturedStep:
    """A StepFn with the numbers of `train_step` up to the rounding of a learning rate.

    The first steps run kernel by kernel, as a warm-up; they are steps of the run like all others. If a capture fails,
    `warn` gets the reason, the state stays as it was, and all later steps run kernel by kernel. With `programs` the
    step is compiled before its warm-up.
    """

    def __init__(
        self,
        state: TrainingState,
        config: StepConfig,
        device: torch.device,
        beta2_scheduled: bool = False,
        warn: Callable[[str], None] = lambda reason: None,
        recorder: Recorder | None = None,
        programs: Programs | None = None,
    ) -> None:
        self._programs = programs
        self.state, self.config, self.device = state, config, device
        self._beta2_scheduled, self._warn = beta2_scheduled, warn
        self._recorder = recorder or CudaRecorder(device)
        self._parameters = [*state.generator_parameters, *state.discriminator_parameters]
        self._inputs: StaticInputs | None = None
        self._ring = ReportRing(device)
        self._failed = False
        self._reset()

    def __call__(self, discriminator_inputs: Sequence[UpdateInputs], generator_inputs: UpdateInputs) -> StepReport:
        if any(optimizer.stale for optimizer in self._optimizers):
            self._reset()
        for optimizer in self._optimizers:
            optimizer.refresh()
        given = [*discriminator_inputs, generator_inputs]
        if self._inputs is None:
            self._inputs = StaticInputs(given, self.config.conditional, self.device)
        self._inputs.fill(given)
        self._ring.choose()
        # Each pattern is compiled on its own. So all of them measure then, which costs nothing in few kernels.
        pattern = self._pattern(discriminator_inputs, generator_inputs.measured or self._programs is not None)
        warm_ups = self._warm_ups.setdefault(pattern, WarmUps())
        if pattern not in self._recordings and warm_ups.count >= WARM_UPS and not self._failed:
            self._capture(pattern, given)
        if pattern in self._recordings:
            keys = self._replay(self._recordings[pattern], warm_ups, given)
        else:
            keys = self._warm_up(pattern, given)
        self._count(warm_ups, given)
        return self._ring.read(keys, generator_inputs.measured)

    def _reset(self) -> None:
        """Use the present tensors of the optimizers, and forget all recordings."""
        optimizers = (self.state.generator_optimizer, self.state.discriminator_optimizer)
        written_out = self._programs is not None
        self._optimizers = [OnDevice(each, self.device, self._beta2_scheduled, written_out) for each in optimizers]
        generator, discriminator = (cast(torch.optim.Optimizer, optimizer) for optimizer in self._optimizers)
        # The same networks with other counters, since a capture counts steps that are not computed.
        self._replica = replace(self.state, generator_optimizer=generator, discriminator_optimizer=discriminator)
        if self._programs is not None:
            self._programs.begin(self._replica, self.config, self._optimizers, self._ring.write)
        self._warm_ups: dict[Pattern, WarmUps] = {}
        self._recordings: dict[Pattern, Recording] = {}
        self._attached: Recording | None = None  # whose gradients are those of the parameters

    def _pattern(self, discriminator_inputs: Sequence[UpdateInputs], measured: bool) -> Pattern:
        penalised = tuple(
            self.config.penalty is not None and bool(inputs.penalty_weight > 0) for inputs in discriminator_inputs
        )
        adaptive, moves = self.state.adaptive, tuple[bool, ...]()
        if adaptive is not None:
            update = self.state.images_seen // len(discriminator_inputs[0].latents)
            moves = tuple(adaptive.moves_at(update + k) for k in range(len(discriminator_inputs)))
        return Pattern(penalised, moves, measured)

    def _run(self, pattern: Pattern, rng_for_each: Sequence[RngFor]) -> Keys:
        assert self._inputs is not None
        inputs = self._inputs.read(rng_for_each, pattern.penalised, pattern.measured)
        self._replica.images_seen = self.state.images_seen
        for optimizer in self._optimizers:
            optimizer.updates = 0
        if self._programs is not None:
            return self._programs.run(pattern.decisions, inputs)
        *discriminator_inputs, generator_inputs = inputs
        return self._ring.write(train_step(self._replica, self.config, discriminator_inputs, generator_inputs))

    def _warm_up(self, pattern: Pattern, given: Sequence[UpdateInputs]) -> Keys:
        requests: list[Request] = []

        def rng_for(update: int, purpose: str) -> torch.Generator:
            requests.append(Request(update, purpose))
            return given[update].rng_for(purpose)

        rng_for_each = [partial(rng_for, number) for number in range(len(given))]
        keys = self._recorder.warm_up(partial(self._run, pattern, rng_for_each))
        warm_ups = self._warm_ups[pattern]
        warm_ups.count += 1
        warm_ups.requests, warm_ups.updates = requests, [optimizer.updates for optimizer in self._optimizers]
        self._attached = None
        return keys

    def _capture(self, pattern: Pattern, given: Sequence[UpdateInputs]) -> None:
        """Record the step. It computes nothing: weights and random generators stay as they are."""
        requests = self._warm_ups[pattern].requests
        generators = [torch.Generator(self.device) for _ in requests]
        waiting = list(zip(requests, generators, strict=True))

        def rng_for(update: int, purpose: str) -> torch.Generator:
            if not waiting or waiting[0][0] != Request(update, purpose):
                raise CaptureFailed(f"random numbers for {purpose} are not drawn in the same order each time")
            return waiting.pop(0)[1]

        rng_for_each = [partial(rng_for, number) for number in range(len(given))]
        before = [parameter.grad for parameter in self._parameters]
        try:
            keys, replay = self._recorder.record(partial(self._run, pattern, rng_for_each), generators)
        except CaptureFailed as failure:
            self._failed = True
            self._attach(before)
            self.state.freeze_discriminator(False)
            self._warn(str(failure))
            return
        gradients = [parameter.grad for parameter in self._parameters]
        self._recordings[pattern] = self._attached = Recording(keys, replay, generators, gradients)

    def _replay(self, recording: Recording, warm_ups: WarmUps, given: Sequence[UpdateInputs]) -> Keys:
        for (update, purpose), generator in zip(warm_ups.requests, recording.generators, strict=True):
            generator.manual_seed(given[update].rng_for(purpose).initial_seed())
        recording.replay()
        if self._attached is not recording:  # a checkpoint is saved only after a look at them
            self._attach(recording.gradients)
            self._attached = recording
        return recording.report

    def _attach(self, gradients: Sequence[Tensor | None]) -> None:
        for parameter, gradient in zip(self._parameters, gradients, strict=True):
            parameter.grad = gradient

    def _count(self, warm_ups: WarmUps, given: Sequence[UpdateInputs]) -> None:
        """Advance the counters that Python keeps, which a replay does not change."""
        self.state.step += 1
        self.state.images_seen += sum(len(inputs.latents) for inputs in given[:-1])
        for on_device, updates in zip(self._optimizers, warm_ups.updates, strict=True):
            if isinstance(on_device.optimizer, KerasAdam):
                on_device.optimizer.advance(updates)
