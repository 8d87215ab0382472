"""From a run's directory to the content of one of its checkpoints."""

from pathlib import Path
from typing import Any

from torch import nn

from gan_exp.config.check import check
from gan_exp.config.schema import Config
from gan_exp.errors import UserError
from gan_exp.runs.checkpoint import load_checkpoint, load_newest
from gan_exp.runs.run_dir import RunDir
from gan_exp.runtime.paths import expand_user
from gan_exp.runtime.terminal import say


def load_content(run_dir: RunDir, checkpoint: str | None) -> tuple[Config, dict[str, Any]]:
    """The run's configuration, and the content of its newest checkpoint or of the one named.

    Says which checkpoints it passes over because they are damaged.
    """
    config = check(run_dir.read_config())
    if checkpoint is None:
        content, passed_over = load_newest(run_dir)
        for sentence in passed_over:
            say(f"skipped: {sentence}")
        return config, content
    return config, load_checkpoint(find_checkpoint(run_dir, checkpoint))


def find_checkpoint(run_dir: RunDir, name: str) -> Path:
    """The checkpoint `name`: `best`, a step, a path, or a file's name in the run. Raises UserError, which lists all."""
    if name == "best" and not run_dir.best.is_file():
        raise UserError("--checkpoint best: the run kept none; train with evaluate_every_steps=1000 to keep it")
    kept = {str(step): path for step, path in run_dir.list_checkpoints()}
    if run_dir.best.is_file():
        kept["best"] = run_dir.best
    for path in (kept.get(name), expand_user(name, "--checkpoint"), run_dir.checkpoints / name):
        if path is not None and path.is_file():
            return path
    raise UserError(f"--checkpoint {name}: no such checkpoint; {run_dir.path} has {', '.join(kept) or 'none yet'}")


def load_weights(network: nn.Module, weights: Any, run_dir: RunDir, checkpoint: str | None) -> None:
    """Load `weights` into `network` for inference. Raises UserError if they don't fit it."""
    try:
        network.load_state_dict(weights)
    except (RuntimeError, TypeError, AttributeError) as error:  # other layers, other sizes, or no tensors at all
        raise UserError(
            f"{checkpoint or run_dir.path}: the weights don't fit the model in {run_dir.config} "
            f"({str(error).splitlines()[-1].strip()})"
        ) from error
    network.eval().requires_grad_(False)
