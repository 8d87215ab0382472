"""The metrics that `best_metric` and `--metrics` may name: the package's entries, and ones of the user's own."""

from collections.abc import Iterable

from gan_exp.config.targets import import_allowed
from gan_exp.errors import UserError, did_you_mean
from gan_exp.metrics.entries import BY_NAME, METRICS
from gan_exp.metrics.metric import Metric, Score

AUTO = "auto"  # as `best_metric`: the panel, or `fid` where the data has none
SELECTING = {
    score.name: (metric, score)
    for metric in METRICS
    for score in metric.scores
    if metric.in_training and score.better is not None
}


def resolve_metrics(option: str, names: Iterable[str]) -> tuple[Metric, ...]:
    """The entries with these names, each once. Raises UserError for a name that is none."""
    metrics = tuple(dict.fromkeys(_resolve(option, name) for name in names))
    if not metrics:
        raise UserError(f"{option}: no metric is named; known are {', '.join(BY_NAME)}")
    return metrics


def resolve_best(name: str, option: str = "best_metric") -> tuple[Metric, Score]:
    """The score that selects the best checkpoint, and its metric; of a metric of the user's own its first score.

    `option` is what named it. Raises UserError for a name that is none.
    """
    if "." not in name:
        if name not in SELECTING:
            listed = f"must be {', '.join(map(repr, (*SELECTING, AUTO)))} or a metric of your own by its dotted name"
            hint = did_you_mean(name, SELECTING, otherwise=" ").strip()
            raise UserError(f"{_shown(option, name)}: {f'no such score; {hint}' if hint else listed}")
        return SELECTING[name]
    metric = _resolve(option, name)
    if metric.scores[0].better is None:
        raise UserError(
            f"{_shown(option, name)}: its first score, {metric.scores[0].name}, has no better direction; give it "
            'better="lower" or better="higher"'
        )
    return metric, metric.scores[0]


def _resolve(option: str, name: str) -> Metric:
    if "." not in name:
        if name not in BY_NAME:
            raise UserError(f"{option}: {name}: no such metric; {did_you_mean(name, BY_NAME)}")
        return BY_NAME[name]
    what = _shown(option, name)
    metric = import_allowed(what, name, ("gan_exp.metrics",))
    if not isinstance(metric, Metric):
        raise UserError(f"{what}: is not a gan_exp.metrics.metric.Metric")
    taken = {score.name for other in METRICS if other is not metric for score in other.scores}
    for score in metric.scores:
        if score.name in taken:
            raise UserError(f"{what}: the package has a score {score.name} itself; give yours another name")
    return metric


def _shown(option: str, name: str) -> str:
    """As it is written: a key of the configuration, or an option of a command."""
    return f"{option}={name}" if option.isidentifier() else f"{option} {name}"
