"""Which player plays a run's steps: the plain one, or a faster one of the same numbers to rounding."""

from functools import partial

import torch

from gan_exp.config import Config
from gan_exp.derived import DerivedPlayer
from gan_exp.state import TrainingState
from gan_exp.step import Player, Rules, play_step


def choose_player(config: Config, state: TrainingState, rules: Rules, device: torch.device) -> tuple[Player, str]:
    """The player, and a line that says which it is and why.

    What is chosen follows from the configuration and the kind of device alone, so that a resumed run goes on as it was.
    """
    plain = partial(play_step, state, rules)
    if config.fast_path == "plain":
        return plain, "steps: plain"
    if device.type != "cpu":
        return plain, f"steps: plain (there is no fast path for {device.type})"
    try:
        return DerivedPlayer(state, rules), "steps: with a derived backward pass (fast_path=plain does without)"
    except ValueError as reason:
        return plain, f"steps: plain ({reason})"
