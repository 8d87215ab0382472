"""The pages' tables have the words of the programs that write them: a change of one must change the other."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from benchmarks.doctor.__main__ import summary
from benchmarks.doctor.__main__ import table as verdict_table
from benchmarks.doctor.runs import SHORT, Run
from benchmarks.doctor.usual import USUAL
from benchmarks.quality.experiments import COMPARISONS, Comparison
from benchmarks.quality.report import table as score_table
from benchmarks.speed.comparisons import Comparison as Race
from benchmarks.speed.comparisons import comparisons
from benchmarks.speed.measure import Chunk
from benchmarks.speed.report import table as time_table
from benchmarks.tables import ROOT, as_markdown


def section(page: str, name: str) -> str:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    found = re.search(rf"<!-- begin: {name} .*?-->\n(.*?)\n<!-- end: {name} -->", text, re.DOTALL)
    assert found is not None, f"{page} has no section {name}"
    return found[1]


def test_each_program_finds_its_place_on_the_page() -> None:
    """What has none is written at the page's end; no section stands twice."""
    assert all(section("performance.md", name) for name in ("GPU", "needs", "checkpointing", "speed precision"))
    for page in (ROOT / "docs").glob("*.md"):
        names = re.findall(r"<!-- begin: (.*?) \(", page.read_text(encoding="utf-8"))
        assert len(names) == len(set(names)), page


@pytest.mark.parametrize(("name", "runs"), [("usual", USUAL), ("short", SHORT)])
def test_verdicts(name: str, runs: Sequence[Run]) -> None:
    text = section("doctor.md", f"verdicts {name}")
    counts, verdicts = text.split("\n\n")
    assert counts.splitlines()[0] == summary([]).splitlines()[0]
    assert [row.split("|")[1] for row in counts.splitlines()] == [row.split("|")[1] for row in summary([]).splitlines()]
    assert verdicts.startswith(verdict_table([]).splitlines()[0].removesuffix(" |"))
    known = {f"| {run.name} | {run.setting} | {' or '.join(run.expected)} |" for run in runs}
    assert all("|".join(row.split("|")[:4]) + "|" in known for row in verdicts.splitlines()[2:])


@pytest.mark.parametrize("comparison", COMPARISONS, ids=lambda comparison: comparison.name)
def test_scores(comparison: Comparison) -> None:
    text = section("results.md", f"quality {comparison.name}")
    if comparison.needs and text.startswith("Not measured: "):
        return
    head, line, *published = as_markdown(score_table(comparison, {})).splitlines()
    assert text.startswith(f"{head}\n{line}\n| `experiment=")
    assert all(row in text for row in published)
    assert f" {comparison.protocol}." in text


def test_the_overview_of_results_repeats_the_tables() -> None:
    """Each mean +- deviation of the page's first table stands in the table below it."""
    overview, _, rest = (ROOT / "docs/results.md").read_text(encoding="utf-8").partition("\n## ")
    below = rest.splitlines()
    rows = [row for row in overview.splitlines() if row.startswith("| [`experiment=")]
    for row in rows:
        recipe = row.split("`")[1]
        measured = next(line for line in below if line.startswith(f"| `{recipe}` | ") and "![" not in line)
        assert all(value in measured for value in re.findall(r"[\d.,]+ \+- [\d.,]*\d", row)), recipe
    assert len(rows) == 6


@pytest.mark.parametrize("race", comparisons(None, Path("python")), ids=lambda race: race.name)
def test_speeds(race: Race) -> None:
    text = section("performance.md", f"speed {race.name}")
    rows = time_table(race, {loop.name: [Chunk(1, 1.0, 1.0, 0.0, 1)] for loop in race.loops})
    assert text.startswith(f"**{race.title}**\n\n{as_markdown(rows[:1])}\n")
    assert all(f"\n| {row[0]} | " in text for row in rows[1:])
