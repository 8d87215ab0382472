"""A run from Python: what it recorded, and its generator."""

import base64
import html
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from gan_exp.api.guest import one_of, plainly, words_of
from gan_exp.config.targets import trusting
from gan_exp.errors import UserError, did_you_mean
from gan_exp.runs.metrics_log import read_metrics
from gan_exp.runs.run_dir import RunDir
from gan_exp.runtime.paths import path_from_here

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from gan_exp.comparison.evaluations import Evaluation
    from gan_exp.comparison.records import RunRecord
    from gan_exp.diagnosis.verdicts import Verdict
    from gan_exp.generators.trained import TrainedGenerator

POINTS = 2500  # in a plot

Place = str | os.PathLike[str]  # `latest`, a run's directory, or its short name


@plainly
def load(
    run: Place = "latest",
    checkpoint: str | int | None = None,
    average: bool = True,
    trust: Sequence[str] = (),
    device: str = "cpu",
) -> "Run":
    """The run in a directory, or the one with that short name; `latest` is the newest under outputs/ here.

    `checkpoint` is `best`, a step, or a file (None: the newest). `average=False` takes the generator in training in the
    place of the averaged one. `trust` names the modules of your own whose classes the run may name; the module of a
    notebook is `__main__`. `device` is where images are made: auto, cpu, cuda or mps. Reads nothing but the run's
    directory; PyTorch is imported when images are made or a checkpoint is named.

    Raises UserError if there is no such run or checkpoint.
    """
    run_dir = RunDir.open(os.fspath(run))
    if checkpoint is not None:
        from gan_exp.generators.loading import find_checkpoint

        checkpoint = str(checkpoint)
        find_checkpoint(run_dir, checkpoint)
    one_of("device", device, ("auto", "cpu", "cuda", "mps"))
    return Run(run_dir, checkpoint, average, words_of(trust, "trust", "mypackage"), device)


class Run:
    """A run: its records, its generator, and what the doctor says. Made by `load`, `train` and `resume`.

    Properties read the run's files each time, so they follow a run that is being trained.
    """

    def __init__(
        self,
        run_dir: RunDir,
        checkpoint: str | None = None,
        average: bool = True,
        trust: Sequence[str] = (),
        device: str = "cpu",
    ) -> None:
        self._dir, self._checkpoint, self._average = run_dir, checkpoint, average
        self._trust, self._device = tuple(trust), device

    @property
    def path(self) -> Path:
        """The run's directory."""
        return self._dir.path

    @property
    def checkpoint(self) -> str | None:
        """The checkpoint that samples and evaluations are of; None: the newest."""
        return self._checkpoint

    @property
    def average(self) -> bool:
        """Whether the generator is the averaged one, if the run keeps an average."""
        return self._average

    @property
    def trusted(self) -> tuple[str, ...]:
        """The modules of the user's own whose classes the run may name."""
        return self._trust

    @property
    def state(self) -> str:
        """running, finished, failed, stopped, stale (its process is gone) or unknown."""
        return self._record().state

    @property
    def step(self) -> int:
        """The number of training steps so far."""
        return self._record().step

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """The configuration, nested and read-only: run.config["optimizer"]["generator"]["lr"]."""
        return _frozen(self._dir.read_config())  # type: ignore[no-any-return]

    @property
    def metrics(self) -> list[dict[str, float]]:
        """A row for each step that was logged, sampled or evaluated: `step`, and values by TensorBoard tag.

        A row has only what was recorded at its step, and no value that isn't finite. `pandas.DataFrame(run.metrics)`
        makes a table of it.
        """
        rows: dict[float, dict[str, float]] = {}
        for line in read_metrics(self._dir.metrics) if self._dir.metrics.exists() else []:
            if isinstance(line, dict) and "step" in line:
                rows.setdefault(line["step"], {}).update(line)
        return [rows[step] for step in sorted(rows)]

    @plainly
    def curve(self, tag: str) -> tuple[list[float], list[float]]:
        """Steps and values of one metric, such as `loss/generator`: for `plt.plot(*run.curve("loss/generator"))`.

        Raises UserError if the run has recorded no such metric.
        """
        rows = self.metrics
        found = [(row["step"], row[tag]) for row in rows if tag in row]
        if not found:
            known = sorted({name for row in rows for name in row} - {"step"})
            hint = did_you_mean(tag, known) if known else "it has recorded none yet"
            raise UserError(f"{tag}: {path_from_here(self.path)} has no such metric; {hint}")
        return [step for step, _ in found], [value for _, value in found]

    @property
    def evaluations(self) -> "tuple[Evaluation, ...]":
        """The evaluations in training and those of `evaluate`, in the order of the steps."""
        return self._record().evaluations

    def doctor(self) -> "tuple[Verdict, ...]":
        """The doctor's verdicts with evidence and remedies, the gravest first."""
        from gan_exp.diagnosis.examination import examine

        return examine(self._dir)[1]

    @cached_property
    @plainly
    def generator(self) -> "TrainedGenerator":
        """The generator itself; `generator.network` is the `torch.nn.Module`."""
        from gan_exp.generators.trained import TrainedGenerator
        from gan_exp.runtime.device import inference_device, own_settings
        from gan_exp.runtime.randomness import random_state_kept

        with trusting(self._trust), random_state_kept(), own_settings():
            device = inference_device(self._device)
            return TrainedGenerator.from_run(self._dir, self._checkpoint, self._average, device)

    @plainly
    def sample(
        self,
        count: int = 16,
        *,
        seed: int = 0,
        label: str | int | None = None,
        truncation: float | None = None,
        start: int = 0,
    ) -> "Tensor":
        """Images as floats [count, C, H, W] in [-1, 1]; of a run on points [count, 2, 1, 1] in the data's own units.

        Image i is a function of (checkpoint, seed, i), whatever the count; the first is `start`. `label` is the name or
        number of a class; by default the classes of a conditional run alternate. `truncation` t keeps latents within
        [-t, t]: images are less odd and less varied.
        """
        return self._draw(count, seed, label, truncation, start)[0]

    @plainly
    def grid(
        self,
        count: int | None = None,
        *,
        columns: int | None = None,
        seed: int = 0,
        label: str | int | None = None,
        truncation: float | None = None,
        start: int = 0,
    ) -> "Image":
        """The same samples in rows as a PIL image; of points a plot.

        `count` is 16 by default, of a conditional run 8 for each class, and of points 2,500. Without `columns` each
        class has a row with its name, and other samples make a square.
        """
        from gan_exp.data.packed import to_uint8
        from gan_exp.generators.sample_files import as_picture, usual_count

        if columns is not None and columns < 1:
            raise UserError(f"columns={columns}: must be at least 1")
        spec, names = self.generator.spec, self.generator.class_names
        if count is None:
            count = POINTS if spec.extent is not None else usual_count(len(names) if label is None else 0, otherwise=16)
        samples, labels = self._draw(count, seed, label, truncation, start)
        images = samples if spec.extent is not None else to_uint8(samples)
        return as_picture(images, labels, spec, names, columns)

    def _draw(
        self, count: int, seed: int, label: str | int | None, truncation: float | None, start: int
    ) -> "tuple[Tensor, Tensor | None]":
        """The images and their labels."""
        for name, value, least in (("count", count, 1), ("seed", seed, 0), ("start", start, 0)):
            if value < least:
                raise UserError(f"{name}={value}: must be at least {least}")
        if truncation is not None and not truncation > 0:
            raise UserError(f"truncation={truncation:g}: must be above 0")
        from gan_exp.runtime.device import inference_device, own_settings

        generator, indices = self.generator, range(start, start + count)
        with own_settings():
            inference_device(self._device)  # sets its precision
            labels, latents = generator.labels(indices, label), generator.latents(seed, indices)
            if truncation is not None:
                latents = generator.truncate(latents, truncation)
            return generator.images(latents, labels), labels

    def _record(self) -> "RunRecord":
        from gan_exp.comparison.records import read_runs

        for record in read_runs([self.path]):
            return record
        raise UserError(f"{self.path}: its configuration can't be read any more")

    def __repr__(self) -> str:
        record = self._record()
        which = "" if self._checkpoint is None else f", checkpoint {self._checkpoint}"
        return f"<Run {path_from_here(self.path)}: {record.state} at step {record.step:,} of {record.steps:,}{which}>"

    def _repr_html_(self) -> str:
        """For notebooks: how the run stands, and its newest grid of samples."""
        record = self._record()
        rows = {
            "run": path_from_here(self.path),
            "state": f"{record.state} at step {record.step:,} of {record.steps:,}",
            **{tag: f"{value:.4g}" for tag, value in record.logged.items() if tag.startswith("loss/")},
            "doctor": record.verdict,
        }
        cells = "".join(f"<tr><th>{name}</th><td>{html.escape(text)}</td></tr>" for name, text in rows.items() if text)
        grids = self._dir.list_sample_grids()
        picture = base64.b64encode(grids[-1][1].read_bytes()).decode() if grids else ""
        shown = f'<img alt="samples" src="data:image/png;base64,{picture}">' if picture else ""
        return f"<table>{cells}</table>{shown}"


def as_list(runs: "Run | Place | Iterable[Run | Place]") -> "list[Run | Place]":
    """One run, or several."""
    return [runs] if isinstance(runs, Run | str | os.PathLike) else list(runs)


def path_of(run: "Run | Place") -> str:
    """As the commands take it."""
    return os.fspath(run.path if isinstance(run, Run) else run)


def _frozen(value: Any) -> Any:
    """`value` with read-only mappings and tuples in the place of dicts and lists."""
    if isinstance(value, dict):
        return MappingProxyType({key: _frozen(item) for key, item in value.items()})
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
