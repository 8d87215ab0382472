"""The doctor's verdicts as a line, as Markdown for TensorBoard, and as a table."""

from collections.abc import Sequence

from rich.text import Text

from gan_exp.diagnosis.troubles import EARLY, HEALTHY
from gan_exp.diagnosis.verdicts import Verdict
from gan_exp.display.console import NamedRows
from gan_exp.runtime.terminal import shorten

STYLES = {HEALTHY: "green", EARLY: "dim"}


def verdict_line(verdicts: Sequence[Verdict], width: int) -> Text:
    """The verdicts in one line of at most `width`, because the live display has a fixed height."""
    titles = ", ".join(verdict.title for verdict in verdicts)
    remedy = verdicts[0].remedies[0] if verdicts[0].remedies else ""
    advice = f"; try {remedy}" if remedy else ""
    line = Text("doctor: ", style="dim")
    if len(line) + len(titles) + len(advice) > width:
        titles, advice = shorten(titles, width - len(line)), ""
    line.append(titles, style=STYLES.get(verdicts[0].name, "yellow"))
    return line.append(advice, style="dim")


def as_markdown(verdicts: Sequence[Verdict]) -> str:
    return "\n\n".join(f"**{verdict.line()}**\n\n{verdict.meaning}" for verdict in verdicts)


def verdict_table(verdict: Verdict) -> NamedRows:
    """A verdict with its evidence, meaning and remedies."""
    table = NamedRows(verdict.title)
    table.add("evidence", verdict.evidence)
    table.add("meaning", verdict.meaning)
    for number, remedy in enumerate(verdict.remedies):
        table.add("to try" if number == 0 else "or", remedy)
    return table
