"""Groups of runs compared: what differs, metrics over seeds, ranked by one of them; and the runs that don't count."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from gan_exp.comparison.evaluations import Evaluation, Protocol
from gan_exp.comparison.grouping import Group, group_runs
from gan_exp.comparison.metric_names import SECONDS, direction, is_score, resolve_tag, usual_metric
from gan_exp.comparison.records import SCORES, RunRecord, score_of
from gan_exp.comparison.statistics import LEVEL, Summary, against_best, rank

MAIN = ("panel", "fid", "recognised", "modes", "high_quality", "coverage")  # shown beside the metric that ranks


@dataclass(frozen=True)
class Row:
    """A group with its metrics, over `counting` runs. `p` is that of its difference from the best; None: no test."""

    group: Group
    values: Mapping[str, Summary]
    counting: int
    p: float | None = None
    failed: int = 0  # runs of the group that failed: its means are of those that did not

    @property
    def is_worse(self) -> bool:
        """Its difference from the best is larger than the spread explains."""
        return self.p is not None and self.p < LEVEL


@dataclass(frozen=True)
class Comparison:
    """`rows` are ranked by the metric `by` if there is one: groups without a value of it come last.

    `aside` are runs that don't count, with the reason. `tags` are the metrics to show, `by` first.
    """

    keys: tuple[str, ...]  # the settings in which the groups differ
    by: str | None
    better: Literal["lower", "higher"] | None
    tags: tuple[str, ...]
    rows: tuple[Row, ...]
    protocol: Protocol | None
    at_best: bool
    steps: tuple[int, ...]  # of the evaluations
    aside: tuple[tuple[RunRecord, str], ...]
    failed: tuple[RunRecord, ...]
    notes: tuple[str, ...]

    def is_best(self, row: Row) -> bool:
        return self.by is not None and row is self.rows[0] and self.by in row.values

    def difference(self, row: Row) -> str:
        """That of `row` from the best in a few words."""
        if self.is_best(row):
            return "best"
        if self.by is None or self.by not in row.values:
            return "no value"
        if row.p is None:
            return "not tested" + " (1 run)" * (1 in (row.counting, self.rows[0].counting))
        p = f"p={row.p:.2g}" if row.p >= 0.001 else "p<0.001"
        return f"worse, {p}" if row.is_worse else f"unclear, {p}"


def compare(
    records: Sequence[RunRecord],
    by: str | None = None,
    metrics: Sequence[str] | None = None,
    at_best: bool = False,
    source: Literal["training", "evaluate"] | None = None,
) -> Comparison:
    """Compare the finished runs among `records`.

    `by` ranks and is tested (None: the score that selected the best checkpoints, where there are evaluations);
    `metrics` are shown beside it (None: the usual ones). The scores are of the newest evaluations, or of the best ones
    during training, all with one protocol: that which most runs have, or the one of `source`. Raises UserError for a
    metric that no run has.
    """
    failed = [record for record in records if record.state == "failed"]
    aside = [(record, _unfinished(record)) for record in records if record.state not in ("finished", "failed")]
    groups = group_runs(records)
    aside += [pair for group in groups for pair in _repeats(group)]
    repeated = _ids(aside)
    finished = [record for record in records if record.state == "finished" and id(record) not in repeated]
    by = resolve_tag(by, records) if by is not None else usual_metric(finished)
    chosen, protocol, others = _choose_evaluations(finished, by, at_best, source)
    aside += others
    counting = {id(record) for record in finished} - _ids(others)
    rows = [_row(group, chosen, counting) for group in groups]
    tags = _tags(by, metrics, records, rows)
    better = direction(by)
    rows = _ranked(rows, by, better)
    return Comparison(
        keys=tuple(groups[0].settings) if groups else (),
        by=by,
        better=better,
        tags=tuple(tags),
        rows=tuple(rows),
        protocol=protocol,
        at_best=at_best,
        steps=tuple(one.step for one in chosen.values()),
        aside=tuple(aside),
        failed=tuple(failed),
        notes=tuple(_notes(rows, by, better)),
    )


def _ids(pairs: Iterable[tuple[RunRecord, str]]) -> set[int]:
    return {id(record) for record, _ in pairs}


def _repeats(group: Group) -> Iterable[tuple[RunRecord, str]]:
    """Finished runs with the seed of a later one: equal runs would make the spread look smaller than it is."""
    newest = {record.seed: record for record in group.runs if record.state == "finished"}
    for record in group.runs:
        if record.state == "finished" and newest[record.seed] is not record:
            yield record, f"the same as {newest[record.seed].name}, seed {record.seed} included"


def _unfinished(record: RunRecord) -> str:
    how = {"stale": "its process is gone", "unknown": "it has no status"}.get(record.state, record.state)
    return f"{how} at step {record.step:,} of {record.steps:,}"


def _choose_evaluations(
    records: Sequence[RunRecord], by: str | None, at_best: bool, source: str | None
) -> tuple[dict[int, Evaluation], Protocol | None, list[tuple[RunRecord, str]]]:
    """An evaluation of each run (by the record's id) with one protocol, the protocol, and the runs that have none."""
    tag = by if by is not None and is_score(by) else None
    found = {id(record): _candidates(record, tag, at_best, source) for record in records}
    count = Counter(protocol for candidates in found.values() for protocol in candidates)
    if not count:
        return {}, None, []
    protocol = max(count, key=lambda one: (count[one], not one.in_training, one.samples or 0))
    chosen = {place: candidates[protocol] for place, candidates in found.items() if protocol in candidates}
    if tag is None:
        return chosen, protocol, []
    aside = [(record, _why_not(found[id(record)], protocol, source)) for record in records if id(record) not in chosen]
    if not at_best:
        aside += _at_other_steps(records, chosen)
    return chosen, protocol, aside


def _candidates(record: RunRecord, tag: str | None, at_best: bool, source: str | None) -> dict[Protocol, Evaluation]:
    """The newest evaluation of each protocol, or that of the best checkpoint."""
    best = record.best
    return {
        one.protocol: one
        for one in record.evaluations
        if (tag is None or tag in one.scores)
        and (not at_best or (best is not None and one.step == best.step))
        and (source is None or one.protocol.in_training == (source == "training"))
    }


def _why_not(candidates: Iterable[Protocol], wanted: Protocol, source: str | None) -> str:
    for protocol in candidates:
        return f"measured with another protocol ({', '.join(wanted.differences(protocol))})"
    return "not evaluated" + ("" if source is None else f" ({source})")


def _at_other_steps(records: Sequence[RunRecord], chosen: dict[int, Evaluation]) -> list[tuple[RunRecord, str]]:
    """Remove the evaluations of an earlier step than others that trained as long."""
    latest: dict[int, int] = {}
    for record in records:
        if id(record) in chosen:
            latest[record.steps] = max(latest.get(record.steps, 0), chosen[id(record)].step)
    aside = []
    for record in records:
        evaluation = chosen.get(id(record))
        if evaluation is not None and evaluation.step < latest[record.steps]:
            del chosen[id(record)]
            aside.append((record, f"evaluated at step {evaluation.step:,}, others at {latest[record.steps]:,}"))
    return aside


def _row(group: Group, chosen: Mapping[int, Evaluation], counting: set[int]) -> Row:
    values: dict[str, list[float]] = {}
    for record in group.runs:
        if id(record) not in counting:
            continue
        evaluation = chosen.get(id(record))
        scores = {} if evaluation is None else {tag: value.mean for tag, value in evaluation.scores.items()}
        for tag, value in {**scores, **record.logged, SECONDS: record.seconds}.items():
            if value is not None:
                values.setdefault(tag, []).append(value)
    finished = {record.seed for record in group.runs if record.state == "finished"}
    failed = sum(record.state == "failed" and record.seed not in finished for record in group.runs)
    summaries = {tag: Summary(tuple(each)) for tag, each in values.items()}
    return Row(group, summaries, sum(id(record) in counting for record in group.runs), failed=failed)


def _tags(
    by: str | None, metrics: Sequence[str] | None, records: Sequence[RunRecord], rows: Sequence[Row]
) -> list[str]:
    if metrics is not None:
        others = [resolve_tag(name, records) for name in metrics]
    else:
        there = dict.fromkeys(tag for row in rows for tag in row.values)
        others = [tag for name in MAIN for tag in there if score_of(tag) is SCORES[name]]
        others += [tag for tag in (SECONDS,) if tag in there]
    return list(dict.fromkeys([*([] if by is None else [by]), *others]))


def _ranked(rows: Sequence[Row], by: str | None, better: Literal["lower", "higher"] | None) -> list[Row]:
    if by is None or better is None:
        return list(rows)
    having = [row for row in rows if by in row.values]
    summaries = [row.values[by] for row in having]
    if not summaries:
        return list(rows)
    order = rank(summaries, better)
    ps = against_best(summaries, order[0])
    ranked = [replace(having[place], p=ps[place]) for place in order]
    return ranked + [row for row in rows if by not in row.values]


def _notes(rows: Sequence[Row], by: str | None, better: Literal["lower", "higher"] | None) -> Iterable[str]:
    """What a reader must know before he believes the table."""
    if by is not None and better is None:
        yield f"{by} has no better direction, so nothing is ranked"
    for row in rows:
        if row.failed and row.values:
            runs = len(row.group.runs)
            yield f"{row.group.label}: {row.failed} of {runs} runs failed; its means are of the others alone"
    measured = [row.values[by] for row in rows if by in row.values] if by is not None else []
    if len(measured) > 1 and all(summary.n == 1 for summary in measured):
        yield "one run of each: how much the seed changes is unknown; train several: seed=range(0,5)"
