"""`gan-exp train --help`: all there is to set, and 80 columns."""

import os
import shutil
import sys

import pytest

from gan_exp.cli import main
from gan_exp.commands.train_help import help_text
from gan_exp.config.catalog import groups, settings_of
from gan_exp.errors import UserError


@pytest.mark.parametrize("group", groups())
def test_every_key_of_every_option(group: str) -> None:
    printed = help_text([group])
    prefix = "" if group == "experiment" else f"{group}."
    for option, path in groups()[group].items():
        part = printed.partition(f"{group}={option}  ")[2].partition("\n\n")[0]
        assert part == help_text([f"{group}={option}"]).partition("  ")[2]
        for setting in settings_of(path):
            (line,) = (line for line in part.splitlines() if line.startswith(f"  {prefix}{setting.key} "))
            assert setting.comment in line
    assert "${" not in printed and "???" not in printed


def test_what_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--help", "dataset=folder", "penalty=none,r1"]) == 0
    printed = capsys.readouterr().out
    for piece in (
        "dataset=folder  your own images",
        "  dataset.root            (needed)    your folder: dataset.root=path/to/images",
        "~/.cache/gan-exp/packed or $GAN_EXP_CACHE",
        "penalty=none  no penalty on the discriminator\n  no keys\n",
        "  penalty.gamma  0.1         strength",
    ):
        assert piece in printed
    assert "usage" not in printed


@pytest.mark.parametrize(
    ("topics", "line"),
    [
        (["lr"], "  lr                      (depends)   learning rate of both networks"),
        (["steps=20"], "  steps                   (depends)   generator updates"),
        (["model=points", "model.generator.scale"], "\n\n  model.generator.scale   1.0         unit of length inside"),
        (["experiment=ring"], "  chooses  dataset=ring model=points loss=non_saturating penalty=r1_r2"),
    ],
)
def test_a_key(topics: list[str], line: str) -> None:
    assert line in help_text(topics)


@pytest.mark.parametrize(
    ("topic", "sentence"),
    [
        ("dataset=foldr", "dataset=foldr: no such option; did you mean folder?"),
        ("epochs", "epochs: unknown key; a run's length is given in steps"),
        ("penalty.weight", "penalty=wgan_gp penalty.weight="),
    ],
)
def test_what_does_not_exist(topic: str, sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        help_text([topic])
    assert sentence in str(caught.value)


@pytest.mark.parametrize("topics", [[], *([group] for group in groups())])
def test_a_terminal_of_80_columns(topics: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: os.terminal_size((80, 24)))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    narrow = help_text(topics)
    assert max(map(len, narrow.splitlines())) <= 80
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False)
    assert narrow.split() == help_text(topics).split()


def test_descriptions_are_whole() -> None:
    """A description is the first line of an option's file; none goes on in the second."""
    for option in (path for options in groups().values() for path in options.values()):
        described = [line for line in option.read_text().splitlines() if not line.startswith("# @package")]
        following = described[1] if len(described) > 1 else ""
        assert not described[0].endswith((" between", " of", " the", " and", ",")), option
        assert not (following.startswith("# ") and following[2].islower() and described[0][-1].isalpha()), option
