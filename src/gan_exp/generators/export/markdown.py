"""Pieces of Markdown."""

from collections.abc import Iterable, Sequence


def code(text: object) -> str:
    """As code in a line, whatever the text holds: class names are those of a user's folders."""
    return "`" + " ".join(str(text).replace("`", "'").split()) + "`"


def python(lines: str) -> str:
    return f"```python\n{lines.strip()}\n```"


def bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
