"""Single updates and steps, plain or captured."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from builders import small_config
from gan_exp.data.packed import Batch
from gan_exp.display.live import Display
from gan_exp.penalties import RngFor
from gan_exp.runs.run_dir import RunDir
from gan_exp.runtime.device import prepare_device
from gan_exp.training.acceleration.captured import CapturedStep
from gan_exp.training.acceleration.cuda_recorder import Recorder
from gan_exp.training.assembly import make_trainer
from gan_exp.training.build import build_data, build_state, build_step_config
from gan_exp.training.state import TrainingState
from gan_exp.training.step import update_discriminator, update_generator
from gan_exp.training.step_types import DiscriminatorReport, StepConfig, StepReport, UpdateInputs, no_rng


def discriminator_step(
    state: TrainingState,
    config: StepConfig,
    batch: Batch,
    latents: Tensor,
    rng_for: RngFor = no_rng,
    penalty_weight: float = 1.0,
    fake_images: Tensor | None = None,
    measured: bool = False,
) -> DiscriminatorReport:
    """One update of D alone."""
    return update_discriminator(
        state, config, UpdateInputs(latents, batch, rng_for, penalty_weight, measured), fake_images
    )


def generator_step(
    state: TrainingState,
    config: StepConfig,
    latents: Tensor,
    rng_for: RngFor = no_rng,
    batch: Batch | None = None,
    fake_images: Tensor | None = None,
    measured: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """One update of G alone."""
    return update_generator(state, config, UpdateInputs(latents, batch, rng_for, measured=measured), fake_images)


class Setup:
    """`recorder` is made from the state; None is that of CUDA. `warnings` are the reasons that a captured step gave."""

    def __init__(
        self,
        overrides: tuple[str, ...],
        folder: Path,
        captured: bool = False,
        recorder: Callable[[TrainingState], Recorder] | None = None,
        state: dict[str, Any] | None = None,
    ) -> None:
        self.config = small_config(*overrides, "fast_path=plain")
        device = prepare_device(self.config.device)
        data = build_data(self.config, device)
        self.state = build_state(self.config, data.spec, device)
        if state is not None:
            self.state.load_state_dict(copy.deepcopy(state))
        run = RunDir.create(folder, self.config.model_dump(mode="json"), {})
        with Display("quiet", run.log, "", 1) as display:  # these tests run single steps only
            self.trainer = make_trainer(self.config, run, self.state, data, device, display)
        self.trainer.log.close()
        self.warnings: list[str] = []
        self.reports: list[StepReport] = []
        self.recorder: Any = None if recorder is None else recorder(self.state)
        self._step_fn = self.trainer.step_fn
        if captured:
            scheduled = self.config.schedule.beta2 is not None
            self._step_fn = CapturedStep(
                self.state, build_step_config(self.config), device, scheduled, self.warnings.append, self.recorder
            )
        self.trainer.step_fn = self._noted

    def _noted(self, *inputs: Any) -> StepReport:
        report = self._step_fn(*inputs)
        self.reports.append(copy.deepcopy(report))  # the next step may write over it
        return report

    def train(self, steps: int) -> "Setup":
        for _ in range(steps):
            self.trainer._train_step()
        return self

    @property
    def outcome(self) -> dict[str, Any]:
        state = self.state.state_dict()
        return {**state, "window": self.trainer.running_means.state_dict(), "reports": self.reports}


def tensors_of(state: TrainingState) -> list[Tensor]:
    """All tensors that a step changes."""
    networks = [state.generator, state.discriminator, *([] if state.augment is None else [state.augment])]
    found = [value for network in networks for value in (*network.parameters(), *network.buffers())]
    for optimizer in (state.generator_optimizer, state.discriminator_optimizer):
        found += [value for of in optimizer.state.values() for value in of.values() if isinstance(value, torch.Tensor)]
    return found
