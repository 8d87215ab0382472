"""Chooses the StepFn of a run: the plain one, or a faster one with the same numbers up to rounding."""

from collections.abc import Callable
from functools import partial

import torch

from gan_exp.training.acceleration import programs
from gan_exp.training.acceleration.captured import CapturedStep, unfit
from gan_exp.training.acceleration.manual import ManualStep
from gan_exp.training.acceleration.programs import Programs
from gan_exp.training.state import TrainingState
from gan_exp.training.step import train_step
from gan_exp.training.step_types import StepConfig, StepFn

Say = Callable[[str], None]


def choose_step(
    fast_path: str,
    state: TrainingState,
    step_config: StepConfig,
    device: torch.device,
    beta2_scheduled: bool = False,
    warn: Say = lambda line: None,
    steps: int = 0,
) -> tuple[StepFn, str]:
    """The StepFn, and a line that says which it is and why.

    `warn` gets another line when the step has been compiled, or if that or a capture fails later. `steps` are those of
    the whole run. The choice depends on the configuration and the kind of device alone, so that a resumed run gets the
    same one.
    """
    plain = partial(train_step, state, step_config)
    if fast_path != "plain" and (reason_of_parts := step_config.parts):
        return plain, f"steps: plain ({reason_of_parts})"
    try:
        match (fast_path, device.type):
            case ("graph" | "compiled", _) | ("auto", "cuda"):
                if reason := unfit(state, device, beta2_scheduled):
                    raise ValueError(reason)
                why_not = _why_not_compiled(fast_path, state, steps)
                made = Programs(warn) if why_not is None else None
                how = "compiled, then captured in CUDA graphs" if made else f"captured in CUDA graphs{why_not}"
                gave_up = lambda why: warn(f"steps: no longer captured ({why})")  # noqa: E731
                step_fn = CapturedStep(state, step_config, device, beta2_scheduled, gave_up, programs=made)
                return step_fn, f"steps: {how}"
            case ("auto", "cpu"):
                return ManualStep(state, step_config), (
                    "steps: with a manual backward pass (fast_path=plain uses autograd)"
                )
            case ("auto", kind):
                return plain, f"steps: plain (on {kind})"
            case _:
                return plain, "steps: plain"
    except ValueError as reason:
        return plain, f"steps: plain ({reason})"


def _why_not_compiled(fast_path: str, state: TrainingState, steps: int) -> str | None:
    """In parentheses, empty where nobody asked for it; None: it is compiled."""
    if fast_path == "graph":
        return ""
    reason = programs.unfit(state)
    if reason is None and fast_path == "auto":
        reason = programs.pays(state, steps)
    return None if reason is None else f" (not compiled: {reason})"
