"""The faults that a user can mend, each told in one sentence that names the key, the value and the remedy."""

import difflib
from collections.abc import Iterable, Sequence

LISTABLE = 20  # names that a sentence can hold
NEAR = 0.75  # how alike two words must be for one to be meant by the other: gpu is not cpu


class UserError(Exception):
    """Bad input: shown as one line without a traceback, exit code 2."""


class TrainingFault(Exception):
    """A run that can't go on: its state is kept, shown as one line, exit code 1."""


def similarity(word: str, name: str) -> float:
    """0 to 1: how likely `word` is `name` mistyped, cut short or written out."""
    one, other = (text.lower().replace("-", "_") for text in (word, name))
    inside = (len(one) >= 4 and one in other) or (len(other) >= 6 and other in one)
    shuffled = len(one) >= 3 and sorted(one) == sorted(other)
    alike = difflib.SequenceMatcher(None, one, other).ratio()
    return max(alike, 0.8 if inside or shuffled else 0.0)


def did_you_mean(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """The nearest of `known`; where none is near `otherwise`, or all of them."""
    names = list(known)
    nearest = max(names, key=lambda name: similarity(word, name), default="")
    if nearest and similarity(word, nearest) >= NEAR:
        return f"did you mean {nearest}?"
    return otherwise or f"known are {', '.join(names)}"


def or_list(names: Sequence[str]) -> str:
    """a, b or c."""
    return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
