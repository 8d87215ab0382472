"""Verdicts of the doctor as a line, as Markdown for TensorBoard, and as a table."""

from collections.abc import Sequence

from rich.text import Text

from gan_exp.diagnosis.signs import EARLY, HEALTHY
from gan_exp.diagnosis.verdicts import Verdict
from gan_exp.display.console import NamedRows
from gan_exp.runtime.terminal import shorten

STYLES = {HEALTHY: "green", EARLY: "dim"}


def verdict_line(verdicts: Sequence[Verdict], width: int) -> Text:
    """What holds, in one line whatever the width: the live display has a fixed height."""
    told = ", ".join(verdict.title for verdict in verdicts)
    remedy = verdicts[0].remedies[0] if verdicts[0].remedies else ""
    advice = f"; try {remedy}" if remedy else ""
    line = Text("doctor: ", style="dim")
    if len(line) + len(told) + len(advice) > width:
        told, advice = shorten(told, width - len(line)), ""
    line.append(told, style=STYLES.get(verdicts[0].name, "yellow"))
    return line.append(advice, style="dim")


def as_markdown(verdicts: Sequence[Verdict]) -> str:
    return "\n\n".join(f"**{verdict.line()}**\n\n{verdict.meaning}" for verdict in verdicts)


def verdict_table(verdict: Verdict) -> NamedRows:
    """Named rows below the verdict."""
    table = NamedRows(verdict.title)
    table.add("evidence", verdict.evidence)
    table.add("meaning", verdict.meaning)
    for number, remedy in enumerate(verdict.remedies):
        table.add("to try" if number == 0 else "or", remedy)
    return table
