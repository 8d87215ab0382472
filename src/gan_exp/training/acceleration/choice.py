"""Which step_fn plays a run's steps: the plain one, or a faster one of the same numbers to rounding."""

from collections.abc import Callable
from functools import partial

import torch

from gan_exp.config.schema import Config
from gan_exp.training.acceleration.captured import CapturedStep, unfit
from gan_exp.training.acceleration.manual import ManualStep
from gan_exp.training.state import TrainingState
from gan_exp.training.step import StepConfig, StepFn, train_step


def choose_step(
    config: Config, state: TrainingState, step_config: StepConfig, device: torch.device, tell: Callable[[str], None]
) -> tuple[StepFn, str]:
    """The step_fn, and a line that says which it is and why; `tell` gets another where it has to give up later.

    What is chosen follows from the configuration and the kind of device alone, so that a resumed run goes on as it was.
    """
    plain = partial(train_step, state, step_config)
    try:
        match (config.fast_path, device.type):
            case ("graph", _):
                return _captured(config, state, step_config, device, tell), "steps: captured in CUDA graphs"
            case ("auto", "cpu"):
                return ManualStep(
                    state, step_config
                ), "steps: with a derived backward pass (fast_path=plain does without)"
            case ("auto", kind):
                return plain, f"steps: plain (on {kind}" + (
                    ", fast_path=graph captures them)" if kind == "cuda" else ")"
                )
            case _:
                return plain, "steps: plain"
    except ValueError as reason:
        return plain, f"steps: plain ({reason})"


def _captured(
    config: Config, state: TrainingState, step_config: StepConfig, device: torch.device, tell: Callable[[str], None]
) -> CapturedStep:
    """Only where it is asked for. Raises ValueError where the game can't be captured."""
    beta2_scheduled = config.schedule.beta2 is not None
    if reason := unfit(state, device, beta2_scheduled):
        raise ValueError(reason)
    return CapturedStep(
        state, step_config, device, beta2_scheduled, lambda why: tell(f"steps: no longer captured ({why})")
    )
