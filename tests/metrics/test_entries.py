"""The entries against all that reads them: the docs, TensorBoard's table, and the functions' own limits."""

import re
from pathlib import Path

import pytest
import torch

from gan_exp.metrics.embedding import Embedding
from gan_exp.metrics.entries import BY_NAME, KID, MANIFOLDS, METRICS
from gan_exp.metrics.inputs import MetricInputs, Reference
from gan_exp.metrics.metric import Metric
from gan_exp.metrics.neighbours import K_NEAREST
from gan_exp.runs.charts import HPARAM_METRICS

PAGE = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")
SCORES = [score for metric in METRICS for score in metric.scores]


def test_the_docs_table_is_that_of_the_entries() -> None:
    rows = [("`--metrics`", "score", "meaning", "better"), ("---", "---", "---", "---")]
    for metric in METRICS:
        for score in metric.scores:
            name = f"`{metric.name}`" if score is metric.scores[0] else ""
            rows.append((name, f"`{score.tag('*')}`", score.meaning, score.better or ""))
    table = re.search(r"^\| `--metrics` \| score .*?(?=\n\n)", PAGE, flags=re.DOTALL | re.MULTILINE)
    assert table is not None
    assert [tuple(cell.strip() for cell in line.split("|")[1:-1]) for line in table[0].splitlines()] == rows


def test_names_are_unique() -> None:
    assert len(BY_NAME) == len(METRICS) and len({score.name for score in SCORES}) == len(SCORES)


def test_scores_of_the_hparams_table_are_scores() -> None:
    tags = {f"evaluation/{score.tag('cnn')}" for score in SCORES}
    assert {tag for tag in HPARAM_METRICS if tag.startswith("evaluation/")} <= tags


def test_manifolds_ask_for_as_many_images_as_their_function() -> None:
    assert MANIFOLDS.least_reals == K_NEAREST + 1


@pytest.mark.parametrize("metric", [metric for metric in METRICS if not metric.needs], ids=lambda metric: metric.name)
def test_each_returns_the_scores_that_it_names(metric: Metric) -> None:
    features = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    inputs = MetricInputs(torch.zeros(40, 1, 2, 2), Embedding(features + 0.1), 0, Reference(features))
    assert list(metric.measure(inputs)) == [score.name for score in metric.scores]


def test_what_is_computed_of_the_data_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = Reference(torch.randn(20, 3))
    inputs = MetricInputs(torch.zeros(20, 1, 2, 2), Embedding(torch.randn(20, 3)), 0, reference)
    first = KID.measure(inputs)
    monkeypatch.setattr("gan_exp.metrics.distances.KernelReference", None)
    assert KID.measure(inputs) == first
