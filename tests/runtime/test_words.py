"""Words that depend on a number."""

import re
from pathlib import Path

import pytest

import gan_exp
from gan_exp.runtime.words import plural, there_are

ROOT = Path(gan_exp.__file__).parent


@pytest.mark.parametrize(
    ("count", "noun", "words"),
    [(1, "step", "1 step"), (0, "step", "0 steps"), (2000, "held-out image", "2,000 held-out images"),
     (3, "class", "3 classes"), (1, "class", "1 class")],
)  # fmt: skip
def test_a_number_and_its_noun(count: int, noun: str, words: str) -> None:
    assert plural(count, noun) == words
    assert there_are(count, noun) == f"there {'is' if count == 1 else 'are'} {words}"


def test_nobody_adds_the_letter_by_himself() -> None:
    own = re.compile(r"""\{['"]s['"] \* \((?!len\(broken\))""")  # of a verb, it stands with one
    found = [path.name for path in ROOT.rglob("*.py") if own.search(path.read_text(encoding="utf-8"))]
    assert not found, f"{found}: plural() of runtime/words.py does it"
