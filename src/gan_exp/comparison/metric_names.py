"""What users call metrics: the tags of runs, scores without the name of their features, and `seconds`."""

from collections import Counter
from collections.abc import Iterable
from typing import Literal

from gan_exp.comparison.records import SCORES, RunRecord, score_of
from gan_exp.errors import LISTABLE, UserError, did_you_mean

SECONDS = "seconds"  # spent on training


def is_score(tag: str) -> bool:
    """Whether `tag` is of an evaluation, the package's or the user's own: running means are named group/name."""
    return "/" not in tag and tag != SECONDS


def direction(tag: str | None) -> Literal["lower", "higher"] | None:
    """In which a metric gets better; None if in neither, or if it isn't known."""
    if tag == SECONDS:
        return "lower"
    entry = None if tag is None else score_of(tag)
    return None if entry is None else entry.better


def resolve_tag(name: str, records: Iterable[RunRecord]) -> str:
    """The tag that `name` means: one of a run, or a score's name without its features. Raises UserError."""
    known = list(dict.fromkeys(tag for record in records for tag in record.tags))
    if name in known:
        return name
    if name in SCORES:
        fitting = [tag for tag in known if score_of(tag) is SCORES[name]]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise UserError(f"{name}: of which features? the runs have {' and '.join(fitting)}")
    if score_of(name) is not None and not any(map(is_score, known)):
        raise UserError(f"{name}: none of the runs has been evaluated; do so with gan-exp evaluate RUN ...")
    scores = [tag for tag in known if is_score(tag)]
    short = [entry.name for tag in scores if (entry := score_of(tag)) is not None]
    hint = did_you_mean(name, [*known, *short], otherwise=f"known are {', '.join(scores[:LISTABLE] or known)}")
    raise UserError(f"{name}: no run has such a metric; {hint}")


def usual_metric(records: Iterable[RunRecord]) -> str | None:
    """The score by which most of the runs chose their best checkpoint, as far as it was measured."""
    found: Counter[str] = Counter()
    for record in records:
        tags = dict.fromkeys(tag for one in record.evaluations for tag in one.scores)
        wanted = SCORES.get(str(record.configuration.get("best_metric", "fid")))
        named = [tag for tag in tags if wanted is not None and score_of(tag) is wanted]
        directed = [tag for tag in tags if direction(tag) is not None]
        found.update((named or directed)[:1])
    return found.most_common(1)[0][0] if found else None
