"""Measures the generators of runs, one after another; what the runs share is computed once."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from gan_exp.errors import UserError
from gan_exp.generators.evaluation_help import offer, shared
from gan_exp.runs.run_dir import RunDir
from gan_exp.runs.run_names import short_name
from gan_exp.runtime.ranks import ALONE, Ranks
from gan_exp.runtime.words import plural

if TYPE_CHECKING:
    import torch
    from torch import nn

    from gan_exp.config.schema import Config
    from gan_exp.data.packed import DataSpec, PackedImages
    from gan_exp.evaluation.evaluator import Evaluator, Measurement
    from gan_exp.metrics.metric import Metric


@dataclass(frozen=True)
class Choices:
    """How generators are measured: each as `gan-exp evaluate --help` tells; None stands for what is usual."""

    features: str | None = None
    count: int | None = None
    seeds: int = 5
    split: str = "train"


class Loaded(NamedTuple):
    """A run's generator, and the data it was trained on."""

    config: "Config"
    content: dict[str, Any]  # of the checkpoint
    spec: "DataSpec"
    device: "torch.device"
    generator: "nn.Module"
    data: "PackedImages"
    held_out: "PackedImages | None"


class RunEvaluator:
    """Measures one run after another; what runs on the same data share is computed once.

    `metrics` are those asked for; None stands for all that the data allows. This is the first of `ranks`, which the
    others help.
    """

    def __init__(self, choices: Choices, metrics: "tuple[Metric, ...] | None", ranks: Ranks = ALONE) -> None:
        from gan_exp.evaluation.division import Division

        self._division = Division(ranks)
        self._choices, self._metrics = choices, metrics
        self._evaluators: dict[tuple[Any, ...], Evaluator] = {}
        self._data: dict[str, tuple[PackedImages, PackedImages | None]] = {}  # with what is held out

    def evaluate(
        self, run_dir: RunDir, checkpoint: str | None, say: Callable[[str], None]
    ) -> "tuple[dict[str, Any], tuple[Metric, ...]]":
        """The report of a run's newest checkpoint, or of the one named, and the metrics in it.

        Writes evaluation.json, the picture and TensorBoard's scalars.
        """
        loaded = self._load(run_dir, checkpoint)
        offer(self._division.ranks, loaded.config, loaded.spec, loaded.generator.state_dict())
        with self._division.leading():
            return self._measure(run_dir, checkpoint, loaded, say)

    def _measure(
        self, run_dir: RunDir, checkpoint: str | None, loaded: Loaded, say: Callable[[str], None]
    ) -> "tuple[dict[str, Any], tuple[Metric, ...]]":
        from gan_exp.evaluation.evaluator import default_count
        from gan_exp.evaluation.report import make_report
        from gan_exp.evaluation.seeds import measure_seeds

        choices = self._choices
        count = choices.count or default_count(loaded.data)
        say(
            f"{short_name(run_dir.path)} at step {loaded.content['step']:,}: measuring {plural(count, 'sample')} of "
            f"each of {plural(choices.seeds, 'seed')} against images of {loaded.config.dataset['name']}"
        )
        evaluator = self._evaluator(loaded, say)
        logits = partial(_discriminator_logits, run_dir, loaded, checkpoint)
        measurements = measure_seeds(evaluator, loaded.generator, count, choices.seeds, logits, say)
        about = _about(loaded)
        report = make_report(about, loaded.data, loaded.held_out, choices.split, evaluator, count, measurements)
        _keep(run_dir, report, measurements[0], loaded.data)
        return report, evaluator.metrics

    def _evaluator(self, loaded: Loaded, say: Callable[[str], None]) -> "Evaluator":
        from gan_exp.evaluation.availability import measurable_metrics
        from gan_exp.evaluation.evaluator import Evaluator
        from gan_exp.evaluation.features.choice import build_features, build_panel, usual_features
        from gan_exp.evaluation.few import notes

        choices, data, held_out = self._choices, loaded.data, loaded.held_out
        self._division.say = say
        reals = data if choices.split == "train" else held_out
        if reals is None:
            raise UserError("--split held_out: this run trained on all of its images; train with dataset.held_out=0.1")
        features = choices.features or usual_features(data)
        metrics = self._metrics or measurable_metrics(data, held_out, features, reals, say)
        key = (data.digest, None if held_out is None else held_out.digest, features, str(loaded.device))
        if key not in self._evaluators:
            extractor = build_features(features, data, held_out, loaded.device, say)
            panel = build_panel(metrics, data, held_out, loaded.device, say)
            of_run = loaded.config.latent_dim, loaded.config.conditional
            for line in notes(data, held_out, reals, extractor):
                say(line)
            self._evaluators[key] = Evaluator(*of_run, data, held_out, reals, extractor, metrics, panel, self._division)
        return self._evaluators[key].for_run(loaded.config.latent_dim, loaded.config.conditional)

    def _load(self, run_dir: RunDir, checkpoint: str | None) -> Loaded:
        """The generator is the averaged one, where there is one."""
        from gan_exp.generators.loading import load_content, load_weights
        from gan_exp.runs.checkpoint import data_spec
        from gan_exp.runtime.device import prepare_device
        from gan_exp.training.build import build_data, build_generator, build_held_out

        config, content = load_content(run_dir, checkpoint)
        ranks = self._division.ranks
        device, spec = prepare_device(shared(config.device, ranks), ranks=ranks), data_spec(content)
        generator = build_generator(config, spec)
        load_weights(generator, content.get("generator_ema", content["generator"]), run_dir, checkpoint)
        key = json.dumps([config.dataset, str(device)])
        if key not in self._data:
            self._data[key] = build_data(config, device), build_held_out(config)
        data, held_out = self._data[key]
        if content.get("data_digest", data.digest) != data.digest:
            raise UserError(
                f"{run_dir.path}: the data has changed since the run began; restore the data that it was trained on"
            )
        return Loaded(config, content, spec, device, generator.to(device), data, held_out)


def _about(loaded: Loaded) -> dict[str, Any]:
    config = loaded.config
    return {
        "step": loaded.content["step"],
        "dataset": config.dataset["name"],
        "resize": config.dataset.get("resize"),
        "averaged_generator": config.ema_halflife_kimg > 0,
        "conditional": config.conditional,
    }


def _discriminator_logits(run_dir: RunDir, loaded: Loaded, checkpoint: str | None, samples: "torch.Tensor") -> Any:
    from gan_exp.evaluation.discriminator import discriminator_logits
    from gan_exp.generators.loading import load_weights
    from gan_exp.runs.checkpoint import data_spec
    from gan_exp.training.build import build_discriminator

    config = loaded.config
    discriminator = build_discriminator(config, data_spec(loaded.content))
    load_weights(discriminator, loaded.content["discriminator"], run_dir, checkpoint)
    discriminator = discriminator.to(loaded.device)
    return discriminator_logits(discriminator, loaded.data, loaded.held_out, samples, config.pac, config.conditional)


def _keep(run_dir: RunDir, report: dict[str, Any], first: "Measurement", data: "PackedImages") -> None:
    """In the run's directory: the report, samples beside their neighbours, and points in TensorBoard."""
    from gan_exp.display.images import encode_png
    from gan_exp.display.pairs import neighbour_grid
    from gan_exp.runs.tensorboard import TensorBoardLog
    from gan_exp.runtime.files import json_text, write_atomically

    step, features = report["step"], report["protocol"]["features"]["name"]
    try:
        if first.nearest is not None and data.extent is None:
            picture = encode_png(neighbour_grid(first.samples, data.images, first.nearest))
            write_atomically(run_dir.neighbours(step, features), picture)
            report["neighbours"] = run_dir.neighbours(step, features).name
        write_atomically(run_dir.evaluation(step, features), json_text(report, indent=2) + "\n")
        metrics = report["metrics"].items()
        finite = {f"evaluation/{name}": value["mean"] for name, value in metrics if value["mean"] is not None}
        log = TensorBoardLog(run_dir.tensorboard)
        log.add_scalars(finite, step)
        log.close()
    except OSError as error:
        raise UserError(f"{run_dir.path}: can't be written ({error.strerror or error}); make it writable") from error
