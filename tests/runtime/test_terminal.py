"""Words, paths and commands are never broken, at any width."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gan_exp.runtime import terminal as wrapping
from gan_exp.runtime.terminal import report, say, shorten, wrap

PATH = "outputs/2026-11-26/10-10-39-mlp-digits/samples/step-00004000.png"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("it all fits", ["it all fits"]),
        ("three words and a few more of them", ["three words and a", "few more of them"]),
        (f"samples in {PATH}", ["samples in", PATH]),
        ("interrupted; continue with: gan-exp resume run", ["interrupted;", "continue with:", "gan-exp resume run"]),
        ("say `gan-exp train lr=1` or name it", ["say", "`gan-exp train lr=1`", "or name it"]),
        ("use gan-exp train lr=1; or name it", ["use", "gan-exp train lr=1;", "or name it"]),
        (
            "gan-exp: lr: must be above zero",
            ["gan-exp: lr: must be", "above zero"],
        ),  # the prefix is not a command
        ("it is in '/x/Fotos (2024)/ä', where", ["it is in", "'/x/Fotos (2024)/ä',", "where"]),
        ("what can't be: D's loss", ["what can't be: D's", "loss"]),
        ("step 1/2  loss 3.5000  left", ["step 1/2  loss", "3.5000  left"]),
        (
            "next:\n  gan-exp resume latest steps=8000\nor not",
            ["next:", "  gan-exp resume latest steps=8000", "or not"],
        ),
        ("", [""]),
        ("\nafter an empty line", ["", "after an empty line"]),
    ],
)
def test_whole_pieces(text: str, lines: list[str]) -> None:
    assert wrap(text, 20) == lines


@given(st.lists(st.text("ab/=.", min_size=1, max_size=30), min_size=1), st.integers(1, 50))
def test_no_word_is_broken_and_none_is_lost(words: list[str], width: int) -> None:
    lines = wrap(" ".join(words), width)
    assert " ".join(lines).split() == words
    assert all(len(line) <= width or " " not in line for line in lines)


def test_later_lines_are_indented() -> None:
    assert wrap("one two three", 9, indent="  ") == ["one two", "  three"]


def test_text_is_shortened_at_words() -> None:
    assert shorten("mlp on digits", 13) == "mlp on digits"
    assert shorten("mlp on digits", 12) == "mlp on …"
    assert shorten("mlp on digits", 8) == "mlp on …" and shorten("mlp on digits", 2) == "…"


def test_a_terminal_gets_lines_and_a_pipe_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    sentence = f"the samples of the last step, after which the training has ended, are in {PATH}"
    terminal, pipe = Terminal(), io.StringIO()
    say(sentence, terminal)
    say(sentence, pipe)
    assert terminal.getvalue().splitlines() == [sentence.removesuffix(f" {PATH}"), PATH]
    assert pipe.getvalue() == sentence + "\n"


def test_an_error_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    written = Terminal()
    monkeypatch.setattr(wrapping.sys, "stderr", written)
    report(f"steps=3: the run is at step 4000 already; give more steps than that ({PATH})")
    first, second = written.getvalue().splitlines()
    assert first.startswith("gan-exp: steps=3: ") and len(first) <= 80 and second == f"({PATH})"
