"""The display in a notebook: one place below the cell, drawn anew; tests/api/test_notebook.py has a kernel."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from gan_exp.display.live import Display
from gan_exp.display.notebook import NotebookView, in_notebook

METRICS = {
    "loss/discriminator": 0.5,
    "loss/generator": 1.25,
    "accuracy/discriminator": 0.75,
    "accuracy/real": 0.9,
    "accuracy/fake": 0.6,
}
IMAGES = torch.arange(2 * 64, dtype=torch.uint8).mul(2).view(2, 1, 8, 8)


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What the page below the cell has shown: the first is displayed, the others take its place."""
    pages: list[str] = []

    def display(html: Any, display_id: bool) -> Any:
        assert display_id and not pages
        pages.append(html.data)
        return SimpleNamespace(update=lambda html: pages.append(html.data))

    ipython = pytest.importorskip("IPython")
    monkeypatch.setattr(ipython, "get_ipython", lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setattr(sys.modules["IPython.display"], "display", display)
    yield pages


def show(mode: str, log: Path) -> Display:
    with Display(mode, log, "mlp on digits", 200) as display:
        display.show_title()
        display.say("run directory: outputs/<run>")
        display.start(0)
        display.set_preview(IMAGES)
        display.update(100, METRICS)
        display.stop()
        display.say("finished")
    return display


def test_it_is_drawn_in_place(cell: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert show("auto", tmp_path / "log.txt").live
    assert "mlp on digits" in cell[0] and "interrupting the kernel saves and stops" in cell[0]
    assert "data:image/png" not in cell[0] and "outputs/&lt;run&gt;" in cell[0]
    last = cell[-1]
    assert "0.5000" in last and "100/200" in last and last.count("data:image/png;base64,") == 1
    assert "finished" in last and "interrupting" not in last and "\x1b" not in last
    assert capsys.readouterr().out == ""  # all of it is in that place
    assert "run directory: outputs/<run>" in (tmp_path / "log.txt").read_text()


@pytest.mark.parametrize("mode", ["plain", "quiet"])
def test_lines_or_nothing_if_the_user_wants_it(
    mode: str, cell: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    show(mode, tmp_path / "log.txt")
    assert cell == [] and ("step 100/200" in capsys.readouterr().out) is (mode == "plain")


def test_a_terminal_of_ipython_is_no_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    ipython = pytest.importorskip("IPython")
    assert not in_notebook()
    monkeypatch.setattr(ipython, "get_ipython", lambda: SimpleNamespace())
    assert not in_notebook()
    monkeypatch.delitem(sys.modules, "IPython")
    assert not in_notebook()


def test_a_page_that_is_gone_does_not_end_the_run(
    cell: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("the connection is closed")

    monkeypatch.setattr(NotebookView, "refresh", fail)
    assert not show("auto", tmp_path / "log.txt").live
    log = (tmp_path / "log.txt").read_text()
    assert log.count("nothing more can be shown: the connection is closed") == 1 and log.endswith("finished\n")
