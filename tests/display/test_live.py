"""The display in a terminal, a pipe, a dumb terminal, without colours, and in quiet mode."""

import io
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch

from gan_exp.display import console as console_module
from gan_exp.display import live as display_module
from gan_exp.display.live import Display
from gan_exp.losses import Balance
from waiting import LONGEST_WAIT_S

METRICS = {
    "loss/discriminator": 0.5,
    "loss/generator": 1.25,
    "accuracy/discriminator": 0.75,
    "accuracy/real": 0.9,
    "accuracy/fake": 0.6,
}
ESCAPE = "\x1b["
COLOUR = re.compile(r"\x1b\[[\d;]*\b(3[0-8]|4[0-8]|9[0-7])\b")
IMAGES = torch.arange(2 * 64, dtype=torch.uint8).mul(2).view(2, 1, 8, 8)


@pytest.fixture(autouse=True)
def no_wishes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """The display takes this for a terminal of 120 columns."""
    written = io.StringIO()
    pretended = partial(console_module.QuietPipeConsole, file=written, force_terminal=True, width=120, height=40)
    monkeypatch.setattr(console_module, "QuietPipeConsole", pretended)
    yield written


def show_run(mode: str, log: Path) -> Display:
    """Call a display as the training loop does."""
    with Display(mode, log, "mlp on digits", 200) as display:
        display.show_title()
        display.say("run directory: outputs/[bold]run[/]")
        display.start(0)
        display.step = 100
        display.update(100, METRICS)
        display.set_preview(IMAGES)
        display.step = 150
        display.update(200, {**METRICS, "loss/generator": 2.5})
        display.stop()
        display.show_preview()
    return display


def test_plain_lines_in_a_pipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert not show_run("auto", tmp_path / "log.txt").live
    written = capsys.readouterr().out
    assert ESCAPE not in written and "\r" not in written
    title, *lines = written.splitlines()
    assert title == "mlp on digits" and lines[0] == "run directory: outputs/[bold]run[/]"  # paths aren't markup
    assert re.fullmatch(
        r"step 100/200  D loss 0\.5000, accuracy 75\.0% \(real 90\.0%, fake 60\.0%\)  G loss 1\.2500  "
        r"[\d,]+\.\d steps/s, \d+:\d\d:\d\d left",
        lines[1],
    )
    assert lines[2].startswith("step 200/200") and "G loss 2.5000" in lines[2] and lines[2].endswith("0:00:00 left")
    assert len(lines) == 3 + 4  # the preview: eight rows of pixels, two to a line
    assert all(set(line) <= set(" .:-=+*#%@") for line in lines[3:])


def test_losses_are_shown_beside_their_balance(terminal: io.StringIO, tmp_path: Path) -> None:
    """They distinguish the two scales, 1.386 for a sum of two terms and 0.693 for their mean."""
    with Display("live", tmp_path / "log.txt", "mlp on digits", 200) as display:
        display.show_balance(Balance(1.38629, None))
        display.start(0)
        display.update(100, METRICS)
    shown = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", terminal.getvalue())
    assert "if D can't distinguish fakes from reals: D's loss 1.3863\n" in (tmp_path / "log.txt").read_text()
    assert re.search(r"discriminator +0\.5000 +1\.3863 ", shown)
    assert re.search(r"generator +1\.2500 +▁ ", shown)  # whose loss has no such value


def test_the_log_holds_the_lines(tmp_path: Path) -> None:
    for mode in ("plain", "quiet"):
        log = tmp_path / mode
        show_run(mode, log)
        lines = log.read_text().splitlines()
        assert len(lines) == 4 and all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", line) for line in lines)
        assert "step 100/200" in lines[2] and ESCAPE not in "".join(lines)


def test_quiet_prints_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_run("quiet", tmp_path / "log.txt")
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_quiet_prints_nothing_in_a_terminal(tmp_path: Path, terminal: io.StringIO) -> None:
    assert not show_run("quiet", tmp_path / "log.txt").live
    assert terminal.getvalue() == ""


def test_live_in_a_terminal(tmp_path: Path, terminal: io.StringIO) -> None:
    assert show_run("auto", tmp_path / "log.txt").live
    written = terminal.getvalue()
    assert COLOUR.search(written) and "\x1b[?25l" in written and written.count("\x1b[?25h") == 1  # the cursor is back
    assert "step 100/200" not in written  # the table shows it
    last = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", written).split("mlp on digits")[-1]
    assert re.search(r"discriminator\s+0\.5000\s+▁▁\s+75% \(reals 90%, fakes 60%\)", last)
    assert re.search(r"generator\s+2\.5000\s+▁█\s+fools D with 40%", last)
    assert re.search(r"200/200 100% [\d,]+\.\d steps/s, 0:00:00 left", last)
    assert "▀" in last


def test_the_live_displays_title_and_samples_are_printed_once(tmp_path: Path, terminal: io.StringIO) -> None:
    """The title is not printed before, and the samples that it leaves behind are not printed again."""
    show_run("auto", tmp_path / "log.txt")
    said, *drawn = re.split(r"\x1b\[2K", terminal.getvalue())  # rich clears each line that it draws anew
    assert said.count("mlp on digits") == 1 and drawn
    last = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", drawn[-1])
    assert last.count("▀" * 18) == 4 and last.rstrip().endswith("▀")  # and the hint is gone


def test_the_last_line_has_room_for_the_echo_of_ctrl_c(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a full line ^C begins another one, and the next redraw would be a line too low."""
    written = io.StringIO()
    pretended = partial(console_module.QuietPipeConsole, file=written, force_terminal=True, width=80, height=24)
    monkeypatch.setattr(console_module, "QuietPipeConsole", pretended)
    with Display("live", tmp_path / "log.txt", "a title of many words " * 9, 200) as display:
        display.show_balance(Balance(1.3863, 0.6931))
        display.start(0)
        display.update(100, METRICS)
        display.set_preview(IMAGES.repeat(9, 1, 1, 1))
        display._live.refresh()  # type: ignore[union-attr]
        drawn = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", written.getvalue()).splitlines()
        assert len(drawn[-1]) < 40 and all(len(line) <= 80 for line in drawn)


def test_live_before_the_first_numbers(tmp_path: Path, terminal: io.StringIO) -> None:
    with Display("live", tmp_path / "log.txt", "title", 10) as display:
        display.start(0)
    assert "generator" in terminal.getvalue() and "…" in terminal.getvalue() and "0/10" in terminal.getvalue()


def test_the_terminal_is_restored_after_an_error(tmp_path: Path, terminal: io.StringIO) -> None:
    with pytest.raises(ZeroDivisionError), Display("live", tmp_path / "log.txt", "title", 10) as display:
        display.start(0)
        raise ZeroDivisionError
    assert terminal.getvalue().count("\x1b[?25h") == 1


def test_lines_are_printed_above_the_live_display(tmp_path: Path, terminal: io.StringIO) -> None:
    with Display("live", tmp_path / "log.txt", "the title", 10) as display:
        display.start(0)
        display.say("SIGINT: saving")
    assert terminal.getvalue().index("SIGINT: saving") < terminal.getvalue().rindex("the title")


def test_a_dumb_terminal_gets_plain_lines(
    tmp_path: Path, terminal: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert not show_run("auto", tmp_path / "log.txt").live
    assert "step 100/200" in terminal.getvalue() and "\x1b[?25l" not in terminal.getvalue()


def test_plain_in_a_terminal(tmp_path: Path, terminal: io.StringIO) -> None:
    assert not show_run("plain", tmp_path / "log.txt").live
    assert "step 100/200" in terminal.getvalue() and "\x1b[?25l" not in terminal.getvalue()


def test_no_color_is_respected(tmp_path: Path, terminal: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert show_run("auto", tmp_path / "log.txt").live
    written = terminal.getvalue()
    assert not COLOUR.search(written) and "▀" not in written
    assert "@" in written  # the preview in shades of punctuation


def test_long_lines_are_not_cut_in_a_pipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Display("plain", tmp_path / "log.txt", "title", 10) as display:
        display.say("word " * 100)
    assert capsys.readouterr().out.count("\n") == 1


def test_a_resumed_run_counts_its_own_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rate is that of this process: 50 steps in 10 seconds, whatever an earlier one did."""
    clock = iter([100.0, 110.0])
    monkeypatch.setattr(display_module.time, "perf_counter", lambda: next(clock))
    with Display("quiet", tmp_path / "log.txt", "title", 2000) as display:
        display.start(1000)
        display.update(1050, METRICS)
    assert (tmp_path / "log.txt").read_text().rstrip().endswith("5.0 steps/s, 0:03:10 left")


def test_more_than_a_day_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 100.0])
    monkeypatch.setattr(display_module.time, "perf_counter", lambda: next(clock))
    with Display("quiet", tmp_path / "log.txt", "title", 1001) as display:
        display.start(0)
        display.update(1, METRICS)
    assert (tmp_path / "log.txt").read_text().rstrip().endswith("27:46:40 left")


class ClosedTerminal(io.StringIO):
    """A terminal whose window was closed: every write fails."""

    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")


@pytest.mark.parametrize("mode", ["plain", "live"])
def test_a_closed_terminal_does_not_end_the_run(mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = ClosedTerminal()
    pretended = partial(console_module.QuietPipeConsole, file=file, force_terminal=True, width=120, height=40)
    monkeypatch.setattr(console_module, "QuietPipeConsole", pretended)
    display = show_run(mode, tmp_path / "log.txt")
    assert display.console.quiet and "nothing more can be shown: " in (tmp_path / "log.txt").read_text()
    assert "step 200/200" in (tmp_path / "log.txt").read_text()


@pytest.mark.slow
def test_a_closed_pipe_does_not_end_the_run(tmp_path: Path) -> None:
    """`gan-exp train | head -1`: rich alone would end the process."""
    code = (
        "import sys, time; from pathlib import Path; from gan_exp.display.live import Display\n"
        "with Display('plain', Path(sys.argv[1]), 'the title', 9) as display:\n"
        "    for step in range(9):\n"
        "        display.say('x' * 9999); time.sleep(0.02)\n"
        "Path(sys.argv[2]).touch()\n"
    )
    done = tmp_path / "done"
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "log.txt"), str(done)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    _, output = process.communicate(timeout=LONGEST_WAIT_S)
    assert process.returncode == 0 and output == b"" and done.exists()


def test_a_full_disk_causes_no_traceback_from_the_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Display("quiet", Path("/dev/full"), "the title", 9) as display:
        display.say("nobody can write this down")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("seconds", "told_at"), [(0.05, 21), (10.0, 2)])
def test_the_time_is_told_after_the_first_steps(
    seconds: float, told_at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, after some steps or seconds, and without the first step, which is slower; not of a run of a few seconds."""
    now = 0.0
    monkeypatch.setattr(display_module.time, "monotonic", lambda: now)
    for total, told in ((1000, True), (25, False)) if seconds < 1 else ((1000, True),):
        with Display("quiet", log := tmp_path / f"log-{total}-{seconds}.txt", "title", total) as display:
            display.start(0)
            for step in range(1, 26):
                now += 100 if step == 1 else seconds
                display.step = step
                said = log.exists() and "time: about" in log.read_text()
                assert said is (told and step >= told_at)
        if told:
            assert f"for {1000 - told_at:,} steps" in log.read_text() and log.read_text().count("time: ") == 1
