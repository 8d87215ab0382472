"""A run's TensorBoard events: scalars, histograms, pictures, the configuration, hparams and a custom dashboard."""

import os
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter
from torch import Tensor
from torch.utils.tensorboard.summary import custom_scalars, histogram, hparams
from torch.utils.tensorboard.summary import text as summary_text

from gan_exp.losses import Balance
from gan_exp.runs.charts import HPARAM_METRICS, LAYOUT
from gan_exp.runtime.files import sync_directory

HISTOGRAM_BINS = 30
NO_BALANCE = Balance()
BALANCE = "{:.4f} is the loss if D can't distinguish fakes from reals: near it, neither network wins."
NO_HPARAMS = (
    "name",
    "display",
    "keep_checkpoints",
    "check_resources",
    "grid_rows",
    "grid_columns",
    "dataset.root",
    "dataset.license",
    "device.index",
)
NAMED = ("dataset.", "model.", "device.")  # groups with a key `name`


class TensorBoardLog:
    """Writes a file of events into `path`; with `resumed_at`, later events of earlier files are hidden.

    Each loss is written with its `balance`. Every method `add_...` raises OSError where its event can't be written,
    and leaves the others intact. torch's SummaryWriter writes in a thread, which can't report a full disk.
    """

    def __init__(self, path: Path, resumed_at: int | None = None, balance: Balance = NO_BALANCE) -> None:
        self._path = path
        named = balance._asdict().items()
        self._balance = {f"loss/{network}": value for network, value in named if value is not None}
        path.mkdir(parents=True, exist_ok=True)
        # TensorBoard reads the files of a directory in the order of their names. It must be the order of writing, also
        # for two files in one second, and after the clock was set back.
        earlier = [int(file.name.split(".")[3]) for file in path.glob("events.out.tfevents.[0-9]*")]
        second = max(int(time.time()), 1 + max(earlier, default=0))
        name = f"events.out.tfevents.{second:010d}.{socket.gethostname()}.{os.getpid()}.{id(self)}"
        self._file = (path / name).open("wb")
        self._records = RecordWriter(self._file)
        try:
            self._write(Event(file_version="brain.Event:2"))
            if resumed_at is not None:
                self._write(Event(step=resumed_at + 1, session_log=SessionLog(status=SessionLog.START)))
        except BaseException:
            self._file.close()
            raise

    def add_layout(self) -> None:
        rows = {row: {title: ["Multiline", tags] for title, tags in charts.items()} for row, charts in LAYOUT.items()}
        self._add(0, custom_scalars(rows))

    def add_hyperparameters(self, config: Mapping[str, Any]) -> None:
        self._add(0, *hparams(hyperparameters(config), dict.fromkeys(HPARAM_METRICS, 0.0)))

    def add_scalars(self, metrics: Mapping[str, float], step: int) -> None:
        values = {tag: Summary.Value(tag=tag, simple_value=value) for tag, value in metrics.items()}
        for tag, balance in self._balance.items():
            if tag not in values:
                continue
            beside = tag.replace("loss/", "loss_balance/")
            values[tag].metadata.plugin_data.plugin_name = "scalars"
            values[tag].metadata.summary_description = BALANCE.format(balance)
            values[beside] = Summary.Value(tag=beside, simple_value=balance)
        self._add(step, Summary(value=values.values()))

    def add_histogram(self, tag: str, values: Tensor, step: int) -> None:
        """Computed in float64, so that bins fit between neighbouring float32 values."""
        self._add(step, histogram(tag, values.double().cpu().numpy(), HISTOGRAM_BINS))

    def add_text(self, tag: str, markdown: str, step: int) -> None:
        self._add(step, summary_text(tag, markdown))

    def add_png(self, tag: str, png: bytes, shape: Sequence[int], step: int) -> None:
        """An encoded picture of `shape` (channels, height, width); encoding it again would take 39 ms."""
        channels, height, width = shape
        image = Summary.Image(height=height, width=width, colorspace=channels, encoded_image_string=png)
        self._add(step, Summary(value=[Summary.Value(tag=tag, image=image)]))

    def sync(self) -> None:
        """Make what was added survive a power cut."""
        self._file.flush()
        os.fsync(self._file.fileno())
        sync_directory(self._path)

    def close(self) -> None:
        self._file.close()

    def _add(self, step: int, *summaries: Summary) -> None:
        for summary in summaries:
            self._write(Event(step=step, summary=summary))
        self._file.flush()  # a TensorBoard that is open shows complete events at once

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        self._records.write(event.SerializeToString())


def hyperparameters(config: Mapping[str, Any], prefix: str = "") -> dict[str, int | float | str]:
    """The settings that may explain a difference between two runs, as dotted keys for the hparams plugin.

    A group has the name of its option or its class under its own key, "none" where it is switched off; None is left
    out elsewhere. Booleans and lists become text: the plugin shows the former as numbers and refuses the latter. An
    optimizer's learning rate is included only where it differs from the run's.
    """
    found: dict[str, int | float | str] = {}
    for key, value in config.items():
        if prefix + key in NO_HPARAMS or key.endswith("_every_steps"):
            continue
        if isinstance(value, Mapping):
            found.update(hyperparameters(value, f"{prefix}{key}."))
        elif key == "_target_":
            found.setdefault(prefix.rstrip("."), "none" if value is None else str(value).rpartition(".")[2])
        elif key == "name" and prefix in NAMED:
            found[prefix.rstrip(".")] = value
        elif isinstance(value, int | float | str) and not isinstance(value, bool):
            found[prefix + key] = value
        elif value is not None:
            found[prefix + key] = str(value).lower() if isinstance(value, bool) else str(value)
    for key in ("optimizer.discriminator.lr", "optimizer.generator.lr"):
        if found.get(key) == found.get("lr"):
            found.pop(key, None)
    return found
