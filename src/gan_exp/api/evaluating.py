"""Measure generators from Python."""

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal, overload

from gan_exp.api.guest import guest, one_of, plainly, words_of
from gan_exp.api.run import Place, Run, as_list, path_of
from gan_exp.comparison.evaluations import Evaluation, read_evaluation
from gan_exp.errors import UserError
from gan_exp.evaluation.features.names import FEATURES
from gan_exp.runs.run_dir import RunDir
from gan_exp.runtime.terminal import say

if TYPE_CHECKING:
    from gan_exp.generators.run_evaluator import RunEvaluator

Features = Literal["cnn", "ssl", "inception", "random", "pixels"]


@overload
def evaluate(  # type: ignore[overload-overlap]  # one string is a run, though it is also a list of strings
    runs: Run | Place,
    *,
    metrics: Sequence[str] | None = None,
    features: Features | None = None,
    count: int | None = None,
    seeds: int = 5,
    split: Literal["train", "held_out"] = "train",
    trust: Sequence[str] = (),
    quiet: bool = False,
) -> Evaluation: ...


@overload
def evaluate(
    runs: Iterable[Run | Place],
    *,
    metrics: Sequence[str] | None = None,
    features: Features | None = None,
    count: int | None = None,
    seeds: int = 5,
    split: Literal["train", "held_out"] = "train",
    trust: Sequence[str] = (),
    quiet: bool = False,
) -> list[Evaluation]: ...


@plainly
def evaluate(
    runs: Run | Place | Iterable[Run | Place],
    *,
    metrics: Sequence[str] | None = None,
    features: Features | None = None,
    count: int | None = None,
    seeds: int = 5,
    split: Literal["train", "held_out"] = "train",
    trust: Sequence[str] = (),
    quiet: bool = False,
) -> Evaluation | list[Evaluation]:
    """Measure a run's generator against its data, or those of several runs, as `gan-exp evaluate` does.

    The checkpoint is that with which the run was loaded. `metrics` are some of fid, kid, manifolds, ..., or of
    your own by their dotted names (None: all that the data allows). `features` are those of a classifier trained on the
    data (cnn), of the network of published scores (inception, downloaded once), or pixels. `count` is the number of
    samples for each of the seeds 0 to `seeds` - 1. `split="held_out"` compares with images that were not trained on.

    Takes some minutes, with a line of progress now and then unless `quiet`. `found.scores["fid_cnn"]` has the `mean`,
    the `sd` over the seeds, and the same score of real `data`. All of it is also written beside the checkpoint.

    Raises UserError for bad input and what can't be measured.
    """
    from gan_exp.config.metrics import resolve_metrics

    one_of("features", features, (None, *FEATURES))
    one_of("split", split, ("train", "held_out"))
    for name, value in (("count", count), ("seeds", seeds)):
        if value is not None and value < 1:
            raise UserError(f"{name}={value}: must be at least 1")
    several = not isinstance(runs, Run | str | os.PathLike)
    listed = [run if isinstance(run, Run) else Run(RunDir.open(path_of(run))) for run in as_list(runs)]
    trusted = [*words_of(trust, "trust", "mypackage"), *(module for run in listed for module in run.trusted)]
    with guest(trusted):
        from gan_exp.generators.run_evaluator import Choices, RunEvaluator

        asked = None if metrics is None else resolve_metrics("metrics", words_of(metrics, "metrics", "fid"))
        evaluator = RunEvaluator(Choices(features, count, seeds, split), asked)
        found = [_measure(evaluator, run, quiet) for run in listed]
    return found if several else found[0]


def _measure(evaluator: "RunEvaluator", run: Run, quiet: bool) -> Evaluation:
    if not run.average:
        raise UserError("average=False: the averaged generator is measured, if the run keeps an average; leave it out")
    run_dir = RunDir(run.path)
    report, _ = evaluator.evaluate(run_dir, run.checkpoint, (lambda line: None) if quiet else say)
    written = read_evaluation(run_dir.evaluation(report["step"], report["protocol"]["features"]["name"]))
    assert written is not None
    return written
