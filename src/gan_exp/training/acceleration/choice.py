"""Chooses the StepFn of a run: the plain one, or a faster one with the same numbers up to rounding."""

from collections.abc import Callable
from functools import partial

import torch

from gan_exp.training.acceleration.captured import CapturedStep, unfit
from gan_exp.training.acceleration.manual import ManualStep
from gan_exp.training.state import TrainingState
from gan_exp.training.step import train_step
from gan_exp.training.step_types import StepConfig, StepFn


def choose_step(
    fast_path: str,
    state: TrainingState,
    step_config: StepConfig,
    device: torch.device,
    beta2_scheduled: bool = False,
    warn: Callable[[str], None] = lambda line: None,
) -> tuple[StepFn, str]:
    """The StepFn, and a line that says which it is and why; `warn` gets another line if a capture fails later.

    The choice depends on the configuration and the kind of device alone, so that a resumed run gets the same one.
    """
    plain = partial(train_step, state, step_config)
    if fast_path != "plain" and (reason_of_parts := step_config.parts):
        return plain, f"steps: plain ({reason_of_parts})"
    try:
        match (fast_path, device.type):
            case ("graph", _):  # only where it is asked for
                if reason := unfit(state, device, beta2_scheduled):
                    raise ValueError(reason)
                gave_up = lambda why: warn(f"steps: no longer captured ({why})")  # noqa: E731
                captured = CapturedStep(state, step_config, device, beta2_scheduled, gave_up)
                return captured, "steps: captured in CUDA graphs"
            case ("auto", "cpu"):
                return ManualStep(state, step_config), (
                    "steps: with a manual backward pass (fast_path=plain uses autograd)"
                )
            case ("auto", "cuda"):
                return plain, "steps: plain (on cuda, fast_path=graph captures them)"
            case ("auto", kind):
                return plain, f"steps: plain (on {kind})"
            case _:
                return plain, "steps: plain"
    except ValueError as reason:
        return plain, f"steps: plain ({reason})"
