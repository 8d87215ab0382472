"""The pages' tables have the words of the programs that write them: whoever changes one changes the other."""

import re
from collections.abc import Sequence

import pytest
from benchmarks.doctor.__main__ import summary
from benchmarks.doctor.__main__ import table as verdict_table
from benchmarks.doctor.runs import SHORT, Run
from benchmarks.doctor.usual import USUAL
from benchmarks.tables import ROOT


def section(page: str, name: str) -> str:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    found = re.search(rf"<!-- begin: {name} .*?-->\n(.*?)\n<!-- end: {name} -->", text, re.DOTALL)
    assert found is not None, f"{page} has no section {name}"
    return found[1]


@pytest.mark.parametrize(("name", "runs"), [("usual", USUAL), ("short", SHORT)])
def test_verdicts(name: str, runs: Sequence[Run]) -> None:
    text = section("doctor.md", f"verdicts {name}")
    counts, verdicts = text.split("\n\n")
    assert counts.splitlines()[0] == summary([]).splitlines()[0]
    assert [row.split("|")[1] for row in counts.splitlines()] == [row.split("|")[1] for row in summary([]).splitlines()]
    assert verdicts.startswith(verdict_table([]).splitlines()[0].removesuffix(" |"))
    known = {f"| {run.name} | {run.setting} | {' or '.join(run.expected)} |" for run in runs}
    assert all("|".join(row.split("|")[:4]) + "|" in known for row in verdicts.splitlines()[2:])
