"""The doctor's verdicts in the terminal, in the log and in TensorBoard."""

import io
from pathlib import Path

from rich.console import Console, Group

from gan_exp.diagnosis.troubles import HEALTHY
from gan_exp.diagnosis.verdicts import Verdict
from gan_exp.display.live import Display
from gan_exp.display.summary import closing_table
from gan_exp.display.verdicts import as_markdown, verdict_line, verdict_table
from gan_exp.runs.run_dir import RunDir

STALLED = Verdict("stalled", 12000, "no nearer than before", "You can stop.", ("schedule=cosine", "lr=5e-05"))
MEMORISING = Verdict("memorising", 900, "70% are copies", "Too few images.", ("augment=diffaugment",))
FINE = Verdict(HEALTHY, 500, "D is right on 70%", "Go on.")


def rendered(what: object, width: int = 100) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(what)
    return console.export_text()


def test_one_line_at_any_width() -> None:
    """The advice is left out first, then verdicts, word by word."""
    output = "doctor: memorising since step 900, stalled since step 12,000"
    lines = {width: verdict_line([MEMORISING, STALLED], width).plain for width in (86, 81, 80, 60, 59, 30)}
    assert lines[86] == f"{output}; try augment=diffaugment"
    assert lines[81] == lines[80] == lines[60] == output
    assert lines[59] == "doctor: memorising since step 900, stalled since step …"
    assert lines[30] == "doctor: memorising since …"
    for width in (86, 59, 30):
        assert rendered(Group(verdict_line([MEMORISING, STALLED], width)), width).count("\n") == 1
    assert verdict_line([FINE], 80).plain == "doctor: healthy since step 500"
    styles = [str(verdict_line([verdict], 80).spans[0].style) for verdict in (FINE, STALLED)]
    assert styles == ["green", "yellow"]


def test_a_table_with_all_of_it() -> None:
    output = rendered(verdict_table(STALLED))
    rows = (
        "evidence  no nearer than before",
        "meaning   You can stop.",
        "to try    schedule=cosine",
        "or        lr=5e-05",
    )
    assert output.startswith("stalled since step 12,000") and all(row in output for row in rows)


def test_markdown_for_tensorboard() -> None:
    first, meaning, *_ = as_markdown([STALLED, FINE]).split("\n\n")
    assert first == "**stalled since step 12,000: no nearer than before; try schedule=cosine or lr=5e-05**"
    assert meaning == STALLED.meaning


def test_the_display_prints_a_new_verdict_once(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    with Display("quiet", log, "a run", 20000) as display:
        display.show_verdicts((FINE,))  # at the start of a resumed run: not new
        display.show_verdicts((MEMORISING,), 900)
        display.show_verdicts((MEMORISING, STALLED), 12100)
        display.show_verdicts((STALLED,), 12200)
        display.show_verdicts((FINE,), 13000)
    output = [line.split(" doctor at ")[1].split(":")[:2] for line in log.read_text().splitlines()]
    assert output == [
        ["step 900", " memorising since step 900"],
        ["step 12100", " stalled since step 12,000"],
        ["step 13000", " healthy since step 500"],
    ]


def test_the_closing_table_has_the_verdicts(tmp_path: Path) -> None:
    output = rendered(closing_table(RunDir(tmp_path), {}, 1.0, 10, (MEMORISING, STALLED)), width=200)
    assert "memorising since step 900: 70% are copies; try augment=diffaugment" in output and "stalled since" in output
