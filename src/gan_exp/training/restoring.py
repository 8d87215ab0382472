"""The state of a run from its checkpoint, if it is the same experiment with the same data."""

import shlex
from typing import Any

from gan_exp.config.overrides import differing_keys, leaves
from gan_exp.config.schema import Config
from gan_exp.data.packed import DataSpec, PackedImages
from gan_exp.errors import UserError
from gan_exp.runs.checkpoint import data_spec
from gan_exp.runs.run_dir import RunDir
from gan_exp.training.state import TrainingState


def refuse_another_experiment(config: Config, run: RunDir, checkpoint: dict[str, Any]) -> None:
    before = checkpoint.get("config") or run.read_config()  # format 1 did not hold it
    differing = differing_keys(before, config.model_dump(mode="json"))
    if differing:
        were = ", ".join(f"{key}={leaves(before)[key]}" for key in differing)
        raise UserError(
            f"{', '.join(differing)}: can't change in the middle of a run, it would be another experiment ({run.path} "
            f"was trained with {were}); train it as a new one with `gan-exp train`"
        )
    step = checkpoint.get("step", 0)
    if config.steps < step:
        raise UserError(f"steps={config.steps}: the run is at step {step} already; give more steps than that")


def restore(state: TrainingState, data: PackedImages, checkpoint: dict[str, Any], run: RunDir) -> None:
    """Load the checkpoint into `state`. Raises UserError if the data is not what it was trained on."""
    if data_spec(checkpoint) != data.spec:
        raise UserError(
            f"{run.path}: was trained on {_describe(data_spec(checkpoint))}, the data now is {_describe(data.spec)}; "
            f"restore the data that it was trained on{_labels_ignored(data)}"
        )
    if checkpoint.get("data_digest", data.digest) != data.digest:
        raise UserError(
            f"{run.path}: the data has changed since the run began (its digest is {data.digest}, it was "
            f"{checkpoint['data_digest']}); restore the data that it was trained on{_labels_ignored(data)}, or "
            f"train a new run from its weights: gan-exp train --from {shlex.quote(str(run.path))}"
        )
    try:
        state.load_state_dict(checkpoint)
    except (RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise UserError(
            f"{run.path}: its checkpoints don't fit its config.yaml any more ({str(error).splitlines()[0]}); "
            f"restore the values, or the version of gan-exp, that it was trained with"
        ) from error


def _labels_ignored(data: PackedImages) -> str:
    """A remedy where a file has the labels, which an earlier version, or a folder without the file, did not read."""
    file = (data.reading or {}).get("labels_file")
    return f", or set dataset.labels=folders if it was without {file}" if file else ""


def _describe(spec: DataSpec) -> str:
    channels, height, width = spec.image_shape
    kind = f"images of {height}x{width}x{channels}" if spec.extent is None else f"points within {spec.extent:g}"
    return f"{kind} in {spec.num_classes} classes" if spec.num_classes else f"{kind} without labels"
