"""Which curves share a chart, and the order of the charts."""

from collections.abc import Iterable, Mapping
from typing import Any

from gan_exp.comparison.evaluations import TAG
from gan_exp.comparison.records import score_of
from gan_exp.report.thinning import tag_order

# Sections of the page, the ones that answer a question first: title, groups of tags, and for whom they are open.
SECTIONS = (
    ("Evaluations during training", ("evaluation",), ("one", "many")),
    ("Losses and accuracy", ("loss", "accuracy"), ("one", "many")),
    ("Samples beside the data", ("samples", "discriminator"), ("one",)),
    ("Gradient norms", ("gradient_norm", "gradient_norm_max"), ()),
)
DETAILS = "Evaluations in detail"
OTHERS = "Everything else"
SIDES = ("generator", "discriminator", "real", "fake")  # tags that end with these share a chart


def chart_sections(
    tags: Iterable[str], spans: Mapping[str, int], many: bool, first: str | None = None
) -> list[dict[str, Any]]:
    """Sections of charts; the page draws an open one at once. The score `first` comes before the others."""
    groups: dict[tuple[str, bool], dict[str, list[str]]] = {}
    for tag in sorted(tags, key=lambda tag: (tag != f"{TAG}{first}", tag_order(tag))):
        group = tag.partition("/")[0]
        groups.setdefault(_section(tag, many), {}).setdefault(group, []).append(tag)
    titles = [title for title, _, _ in SECTIONS]
    order = [titles[0], DETAILS, *titles[1:], OTHERS]
    return [
        {
            "title": title,
            "open": opened,
            "charts": [chart for group, inside in found.items() for chart in _charts(group, inside, spans, many)],
        }
        for (title, opened), found in sorted(groups.items(), key=lambda one: order.index(one[0][0]))
    ]


def _section(tag: str, many: bool) -> tuple[str, bool]:
    """Its title, and whether it is open."""
    group = tag.partition("/")[0]
    score = score_of(tag.removeprefix(TAG)) if tag.startswith(TAG) else None
    if score is not None and score.detail:
        return DETAILS, False
    for title, groups, opened in SECTIONS:
        if group in groups:
            return title, ("many" if many else "one") in opened
    return OTHERS, False


def _charts(group: str, tags: list[str], spans: Mapping[str, int], many: bool) -> Iterable[dict[str, Any]]:
    together = [side for side in SIDES if f"{group}/{side}" in tags] if not many and group != "evaluation" else []
    if len(together) > 1:
        lines = [{"tag": f"{group}/{side}", "label": side} for side in together]
        yield {"title": group.replace("_", " "), "note": _note(f"{group}/{together[0]}", spans), "lines": lines}
    for tag in tags:
        name = tag.partition("/")[2]
        if len(together) < 2 or name not in together:
            title = name if group == "evaluation" else tag
            yield {"title": title, "note": _note(tag, spans), "lines": [{"tag": tag, "label": name or tag}]}


def _note(tag: str, spans: Mapping[str, int]) -> str:
    """The direction that is better, and whether points were put together."""
    score = score_of(tag.removeprefix(TAG)) if tag.startswith(TAG) else None
    parts = [f"{score.better} is better"] if score is not None and score.better else []
    if tag in spans:
        parts.append(f"mean, lowest and highest of every {spans[tag]:,} steps")
    return "; ".join(parts)
