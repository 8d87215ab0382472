"""A run's TensorBoard: scalars, sparse histograms, samples, the configuration, hparams, a dashboard of the game."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.summary_pb2 import Summary
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

# G beside D, as the game is read: https://github.com/tensorflow/tensorboard, custom scalars plugin.
LAYOUT = {
    "the game": {
        "losses": ["Multiline", ["loss/discriminator", "loss/generator"]],
        "accuracy of D": ["Multiline", ["accuracy/real", "accuracy/fake", "accuracy/discriminator"]],
        "gradient norms": ["Multiline", ["gradient_norm/discriminator", "gradient_norm/generator"]],
        "learning rates": ["Multiline", ["learning_rate/discriminator", "learning_rate/generator"]],
    }
}
HPARAM_METRICS = ("loss/discriminator", "loss/generator", "accuracy/discriminator")  # as they stand at the end

HOUSEKEEPING = ("name", "display", "keep_checkpoints", "grid_rows", "grid_columns", "device", "dataset.root")


class TensorBoardLog:
    """Writes to `path`; `resumed_at` hides what an earlier process wrote for later steps than that."""

    def __init__(self, path: Path, config: Mapping[str, Any], config_text: str, resumed_at: int | None) -> None:
        purge = None if resumed_at is None else resumed_at + 1
        self._writer = SummaryWriter(str(path), purge_step=purge, flush_secs=10)
        if resumed_at is None:
            self._writer.add_custom_scalars(LAYOUT)
            self._writer.add_text("config", "\n".join(f"    {line}" for line in config_text.splitlines()))
            for summary in hparams(hyperparameters(config), dict.fromkeys(HPARAM_METRICS, 0.0)):
                self._writer._get_file_writer().add_summary(summary)

    def add_scalars(self, metrics: Mapping[str, float], step: int) -> None:
        for tag, value in metrics.items():
            self._writer.add_scalar(tag, value, step)

    def add_logits(self, real_logits: Tensor, fake_logits: Tensor, step: int) -> None:
        """Histograms of what D says of one batch of each kind."""
        self._writer.add_histogram("logits/real", real_logits, step)
        self._writer.add_histogram("logits/fake", fake_logits, step)

    def add_png(self, tag: str, png: bytes, size: tuple[int, int], channels: int, step: int) -> None:
        """A picture of `size` (height, width) that is encoded already: encoding it anew costs 39 ms."""
        image = Summary.Image(height=size[0], width=size[1], colorspace=channels, encoded_image_string=png)
        summary = Summary(value=[Summary.Value(tag=tag, image=image)])
        self._writer._get_file_writer().add_summary(summary, step)

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


def hyperparameters(config: Mapping[str, Any], prefix: str = "") -> dict[str, bool | int | float | str]:
    """What may explain a difference between two runs: dotted keys and values that the hparams plugin takes.

    No None and no lists (it refuses them), no housekeeping, and the name of a class where a group has nothing else.
    """
    found: dict[str, bool | int | float | str] = {}
    for key, value in config.items():
        if prefix + key in HOUSEKEEPING or key.endswith("_every_steps"):
            continue
        if isinstance(value, Mapping):
            found.update(hyperparameters(value, f"{prefix}{key}."))
        elif key == "_target_" and value is not None:
            found[prefix.rstrip(".")] = str(value).rpartition(".")[2]
        elif isinstance(value, bool | int | float | str):
            found[prefix + key] = value
        elif value is not None:
            found[prefix + key] = str(value)
    return found
