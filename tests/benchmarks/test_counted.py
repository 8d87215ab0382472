"""The table of what a step takes with checkpointing."""

from typing import Any

import pytest
from benchmarks.scaling import counted
from benchmarks.tables import ROOT


def test_each_step_is_counted_plain_and_with_checkpointing(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"false": 80_000_000, "true": 20_000_000}
    asked: list[tuple[list[str], int]] = []

    def passing(words: list[str], side: int) -> int:
        asked.append((words, side))
        return sizes[words[-1].removeprefix("model.checkpointing=")]

    written: list[Any] = []
    monkeypatch.setattr(counted, "passing", passing)
    monkeypatch.setattr(counted, "_write", written.append)
    assert counted.main(["--docs"]) == 0
    (rows,) = written
    assert [row[0] for row in rows[1:]] == [counted.named(*step) for step in counted.STEPS]
    assert all(row[1:] == ["80 MB", "20 MB", "25%"] for row in rows[1:]) and len(asked) == 2 * len(counted.STEPS)
    assert asked[-1][0] == ["model=r3gan", "penalty=r1_r2", "batch_size=32", "loss=rpgan", "model.checkpointing=true"]


def test_checkpointing_takes_less() -> None:
    words = ["model=mlp", "penalty=none", "batch_size=64"]
    plain, less = (counted.passing([*words, f"model.checkpointing={value}"], 16) for value in ("false", "true"))
    assert 0 < less < plain


def test_the_documentation_has_its_rows() -> None:
    text = (ROOT / "docs/performance.md").read_text(encoding="utf-8")
    section = text.split("<!-- begin: checkpointing ")[1].split("<!-- end: checkpointing -->")[0]
    found = [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("|")][2:]
    assert found == [counted.named(*step) for step in counted.STEPS]
