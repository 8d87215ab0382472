"""The evaluations that a run has kept, with their protocols: those in training and those of `gan-exp evaluate`."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from gan_exp.metrics.entries import METRICS
from gan_exp.runtime.words import plural

TAG = "evaluation/"  # before a score's name in metrics.jsonl
FEATURES = tuple(f"{score.name}_" for metric in METRICS for score in metric.scores if score.of_features)


class Value(NamedTuple):
    """A score of one generator: `sd` is over `n` seeds of samples, None of a single one. `mean` is None if infinite.

    `data` is the same score of real images, where it was measured.
    """

    mean: float | None
    sd: float | None = None
    n: int = 1
    data: float | None = None


@dataclass(frozen=True)
class Protocol:
    """All that must be equal before scores of two generators may be compared; `str` says it in a few words.

    What an evaluation in training does not write down is None; it is never equal to one of `gan-exp evaluate`.
    """

    in_training: bool
    samples: int | None
    features: str  # the name of the extractor
    digest: str | None = None  # of the extractor
    split: str = "train"
    reals: int | None = None
    dataset: str = ""
    data_digest: str | None = None
    data_settings: str = ""  # of the data set in the run's configuration, where there is no digest

    def __str__(self) -> str:
        count = "an unknown number of samples" if self.samples is None else plural(self.samples, "sample")
        made = "during training" if self.in_training else "by gan-exp evaluate"
        features = self.features + (f" {self.digest}" if self.digest else "")
        return f"{made}, {count}, features {features or 'unknown'}, {self.dataset} ({self.split})"

    def differences(self, other: "Protocol") -> list[str]:
        """What differs, as parts of a sentence: `samples: 5,000 and 10,000`."""
        pairs = {name: (getattr(self, name), getattr(other, name)) for name in self.__dataclass_fields__}
        return [f"{name.replace('_', ' ')}: {one} and {two}" for name, (one, two) in pairs.items() if one != two]


@dataclass(frozen=True)
class Evaluation:
    """The scores of a run's generator at `step`, by name (`fid_cnn`, `panel`)."""

    step: int
    scores: Mapping[str, Value]
    protocol: Protocol
    seeds: int = 1


def evaluations_in_training(lines: Iterable[Mapping[str, Any]], config: Mapping[str, Any]) -> list[Evaluation]:
    """From those `lines` of metrics.jsonl that hold scores; `config` is the run's, with dotted keys."""
    count, dataset = _whole(config.get("evaluate_count")), str(config.get("dataset.name", ""))
    data_settings = _data_settings(config)
    found = []
    for line in lines:
        scores = {tag.removeprefix(TAG): Value(number(value)) for tag, value in line.items() if tag.startswith(TAG)}
        features = next((tag.removeprefix(name) for tag in scores for name in FEATURES if tag.startswith(name)), "")
        protocol = Protocol(True, count, features, dataset=dataset, data_settings=data_settings)
        found.append(Evaluation(int(line["step"]), scores, protocol))
    return found


def number(value: Any) -> float | None:
    """`value` if it is a finite number: what others have written into a run's files may be anything."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and math.isfinite(value) else None


def _whole(value: Any) -> int | None:
    return None if number(value) is None else int(value)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


NO_OTHER_DATA = ("._target_", ".name", ".root", ".cache", ".license", ".mirror")


def _data_settings(config: Mapping[str, Any]) -> str:
    """Of the same data in another place the path differs, so paths are left out. Only batches are mirrored."""
    return " ".join(
        f"{key.removeprefix('dataset.')}={value}"
        for key, value in config.items()
        if key.startswith("dataset.") and not key.endswith(NO_OTHER_DATA)
    )


def read_evaluation(path: Path) -> Evaluation | None:
    """A file that `gan-exp evaluate` wrote; None if it is something else."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        protocol = report.get("protocol", {})
        features = protocol.get("features", {})
        scores = {
            str(tag): Value(
                number(value["mean"]), number(value.get("sd")), len(value.get("values", [0])), number(value.get("data"))
            )
            for tag, value in report["metrics"].items()
        }
        return Evaluation(
            int(report["step"]),
            scores,
            Protocol(
                False,
                _whole(protocol.get("samples")),
                str(features.get("name", "")),
                _text(features.get("digest")),
                str(protocol.get("split", "train")),
                _whole(protocol.get("reals")),
                str(protocol.get("dataset", "")),
                _text(protocol.get("data_digest")),
            ),
            len(protocol.get("seeds", [0])),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
