"""Text in a terminal, wrapped at spaces but never within a path or a command; in a pipe one line per sentence."""

import re
import shutil
import sys
from typing import TextIO

# A command up to the end of its clause, a quotation, or a word, with the spaces before it. Commands and quotations are
# kept whole, so that they can be copied.
PIECE = re.compile(r"(\s*)(\S*\bgan-exp (?:(?![;`)]|, |\. |\s\s).)*[;`),.]*\S*|'[^']+'(?!\w)\S*|\S+)")


def wrap(text: str, width: int, indent: str = "") -> list[str]:
    """`text` as lines of at most `width`; a longer word or command gets a line for itself. `indent` begins all but the
    first. A line of `text` that begins with a space stays whole: it is a command or a path to copy.
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
    """As many whole words of `text` as fit into `width` columns, with an ellipsis where some are left out."""
    if len(text) <= width:
        return text
    return f"{text[: max(0, width - 1)].rpartition(' ')[0]} …".lstrip()


def say(text: str, stream: TextIO | None = None) -> None:
    """Print `text` to `stream` (None: stdout), wrapped if that is a terminal."""
    stream = stream or sys.stdout
    if stream.isatty():
        text = "\n".join(wrap(text, shutil.get_terminal_size().columns))
    print(text, file=stream, flush=True)


def report(sentence: str) -> None:
    """Print one line on stderr; line breaks and control characters in `sentence` are replaced."""
    say(f"gan-exp: {visible(' '.join(sentence.split()))}", sys.stderr)


def visible(text: str) -> str:
    """With an escape sequence in the place of each character that moves the cursor or shows nothing."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
