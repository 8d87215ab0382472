"""Sentences in a terminal: broken at spaces, never within a word, a path or a command; in a pipe one line each."""

import re
import shutil
import sys
from typing import TextIO

# A command up to the end of its clause or what is quoted, so that it can be copied in one piece; or a word. With the
# spaces before it.
PIECE = re.compile(r"(\s*)(\S*\bgan-exp (?:(?![;`)]|, |\. |\s\s).)*[;`),.]*\S*|'[^']+'(?!\w)\S*|\S+)")


def wrap(text: str, width: int, indent: str = "") -> list[str]:
    """Lines of at most `width`, but for a longer piece, which has one of its own; `indent` begins all but the first.

    A line of `text` that begins with a space stays whole: it is a command or a path to copy.
    """
    lines: list[str] = []
    for given in text.split("\n"):
        line = ""
        for space, piece in PIECE.findall("" if given.startswith(" ") else given):
            if line.strip() and len(line) + len(space) + len(piece) > width:
                lines.append(line)
                line = indent + piece
            else:
                line += (space if line.strip() else indent * bool(lines)) + piece
        lines.append(given if given.startswith(" ") else line)
    return lines


def shorten(text: str, width: int) -> str:
    """As many whole words of `text` as fit."""
    if len(text) <= width:
        return text
    return f"{text[: max(0, width - 1)].rpartition(' ')[0]} …".lstrip()


def say(text: str, stream: TextIO | None = None) -> None:
    """Print `text`, with its words whole where `stream` (stdout) is a terminal."""
    stream = stream or sys.stdout
    if stream.isatty():
        text = "\n".join(wrap(text, shutil.get_terminal_size().columns))
    print(text, file=stream, flush=True)


def report(sentence: str) -> None:
    """One sentence on stderr, whatever the values in it hold: no break of theirs, no control character."""
    line = " ".join(sentence.split())
    shown = (letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in line)
    say(f"gan-exp: {''.join(shown)}", sys.stderr)
