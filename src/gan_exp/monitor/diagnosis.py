"""Verdicts of the doctor as a line, as Markdown for TensorBoard, and as a table."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from gan_exp.diagnosis.signs import HEALTHY
from gan_exp.diagnosis.verdicts import Verdict


def verdict_line(verdicts: Sequence[Verdict]) -> Text:
    """What holds, in one line that never wraps: the live display has a fixed height."""
    told = ", ".join(f"{verdict.name} since step {verdict.since:,}" for verdict in verdicts)
    remedy = verdicts[0].remedies[0] if verdicts[0].remedies else ""
    line = Text("doctor: ", style="dim", no_wrap=True, overflow="ellipsis")
    line.append(told, style="green" if verdicts[0].name == HEALTHY.name else "yellow")
    return line.append(f"; try {remedy}" if remedy else "", style="dim")


def as_markdown(verdicts: Sequence[Verdict]) -> str:
    return "\n\n".join(f"**{verdict.line()}**\n\n{verdict.meaning}" for verdict in verdicts)


def verdict_table(verdict: Verdict) -> Table:
    """Named rows below the verdict."""
    title = f"{verdict.name} since step {verdict.since:,}"
    table = Table(title=title, title_justify="left", title_style="bold", box=None, show_header=False)
    table.padding = (0, 2, 0, 0)
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    table.add_row("evidence", Text(verdict.evidence))
    table.add_row("meaning", Text(verdict.meaning))
    for number, remedy in enumerate(verdict.remedies):
        table.add_row("to try" if number == 0 else "or", Text(remedy))
    return table
