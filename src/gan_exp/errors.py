"""The faults that a user can mend, each told in one sentence that names the key, the value and the remedy."""

import difflib
import sys
from collections.abc import Iterable

from gan_exp.wrapping import say

LISTABLE = 20  # names that a sentence can hold


class UserError(Exception):
    """Bad input: shown as one line without a traceback, exit code 2."""


class TrainingFault(Exception):
    """A run that can't go on: its state is kept, shown as one line, exit code 1."""


def unknown_key(key: str, known: Iterable[str]) -> str:
    """The sentence for a key that doesn't exist."""
    names = list(known)
    hint = did_you_mean(key, names) if names else f"{key.rpartition('.')[0]} has none that can be set"
    return f"{key}: unknown key; {hint}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The nearest of `known`, or all of them where they are few."""
    names = list(known)
    nearest = difflib.get_close_matches(word, names, n=1)
    if nearest:
        return f"did you mean {nearest[0]}?"
    return f"known are {', '.join(names)}" if len(names) <= LISTABLE else "see gan-exp train --help"


def tell(sentence: str) -> None:
    """One sentence on stderr, whatever the values in it hold: no break of theirs, no control character."""
    line = " ".join(sentence.split())
    shown = (letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in line)
    say(f"gan-exp: {''.join(shown)}", sys.stderr)
