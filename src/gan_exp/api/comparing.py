"""Compare runs from Python."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gan_exp.api.guest import one_of, plainly, words_of
from gan_exp.api.run import Place, Run, as_list, path_of
from gan_exp.comparison import comparison, formats
from gan_exp.comparison.places import read_places


@dataclass(frozen=True, repr=False)
class Comparison(comparison.Comparison):
    """`rows` are groups of runs that differ in the seed alone, ranked by the metric `by`: the best is the first.

    A row has `group.settings`, `values[metric].mean`, `.sd` and `.n`, and `p`, the p-value of its difference from the
    best. Printed it is a table in Markdown, which a notebook shows as such.
    """

    def plain(self) -> dict[str, Any]:
        """Plain values, as `gan-exp compare --json` prints them, with the values of each seed."""
        return formats.plain(self)

    def __repr__(self) -> str:
        return formats.markdown(self)

    def _repr_markdown_(self) -> str:
        return formats.markdown(self)


@plainly
def compare(
    runs: "Run | Place | Iterable[Run | Place]",
    by: str | None = None,
    metrics: Sequence[str] | None = None,
    *,
    checkpoint: Literal["last", "best"] = "last",
    scores: Literal["training", "evaluate"] | None = None,
) -> Comparison:
    """What differs between runs, and metrics over their seeds, ranked, as `gan-exp compare` does.

    `runs` are runs, sweeps, or folders with some of them. `by` is the metric that ranks (None: that of the best
    checkpoints), `metrics` are shown beside it. `checkpoint="best"` takes the scores of the best evaluation during
    training, and `scores` those of evaluations during training, or of `evaluate` (None: those that most runs have).

    Raises UserError if a place holds no runs, or no run has such a metric.
    """
    one_of("checkpoint", checkpoint, ("last", "best"))
    one_of("scores", scores, (None, "training", "evaluate"))
    metrics = None if metrics is None else words_of(metrics, "metrics", "recall_cnn")
    records = read_places([path_of(run) for run in as_list(runs)])
    found = comparison.compare(records, by, metrics, checkpoint == "best", scores)
    return Comparison(**vars(found))
