"""The exceptions that end a command with one sentence, and suggestions for misspelt words."""

import difflib
from collections.abc import Iterable, Sequence

LISTABLE = 20  # the most names that a sentence lists
NEAR = 0.75  # the least similarity of a suggestion: gpu does not suggest cpu


class UserError(Exception):
    """Bad input: one sentence that names key, value and remedy, shown without a traceback; exit code 2."""


class TrainingFault(Exception):
    """A run that can't continue: its state is kept, and one sentence is shown; exit code 1."""


def similarity(word: str, name: str) -> float:
    """0 to 1; 0.8 or more where one word contains the other or has the same letters in another order."""
    one, other = (text.lower().replace("-", "_") for text in (word, name))
    inside = (len(one) >= 4 and one in other) or (len(other) >= 6 and other in one)
    shuffled = len(one) >= 3 and sorted(one) == sorted(other)
    alike = difflib.SequenceMatcher(None, one, other).ratio()
    return max(alike, 0.8 if inside or shuffled else 0.0)


def did_you_mean(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """A suggestion of the most similar of `known`; if none is similar enough, `otherwise` or a list of all."""
    names = list(known)
    nearest = max(names, key=lambda name: similarity(word, name), default="")
    if nearest and similarity(word, nearest) >= NEAR:
        return f"did you mean {nearest}?"
    return otherwise or f"known are {', '.join(names)}"


def or_list(names: Sequence[str]) -> str:
    """For example "a, b or c"."""
    return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
