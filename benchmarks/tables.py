"""Tables for the terminal and for the documentation, where each generated part stands between two comments."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
Table = list[list[str]]  # the first row holds the headings


def as_text(rows: Table) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        first, *others = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        lines.append("  ".join(["", first.strip().ljust(widths[0]), *others]).rstrip())
    return "\n".join(lines)


def as_markdown(rows: Table) -> str:
    head, *body = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([head, "|" + "---|" * len(rows[0]), *body])


def write_section(document: Path, name: str, text: str, writer: str, introduction: str = "") -> None:
    """Replace the text between the two comments of `name`, or append both; a new document starts with `introduction`.

    The comment names `writer`, the program that writes there, for readers who would change it by hand.
    """
    begin, end = f"<!-- begin: {name} (written by {writer}) -->", f"<!-- end: {name} -->"
    content = document.read_text(encoding="utf-8") if document.exists() else introduction
    if begin not in content:
        content = f"{content.rstrip()}\n\n{begin}\n{end}\n"
    before, _, rest = content.partition(begin)
    _, _, after = rest.partition(end)
    document.write_text(f"{before}{begin}\n{text.strip()}\n{end}{after}", encoding="utf-8")
