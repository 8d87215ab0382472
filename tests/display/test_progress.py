import pytest

from gan_exp.display import progress
from gan_exp.display.progress import WorkProgress


def test_lines_in_a_pipe(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: clock[0])
    with WorkProgress(4000, "samples") as work:
        for _ in range(4):
            clock[0] += 6
            work.advance(1000)
    assert capsys.readouterr().out == "2,000 of 4,000 samples; 167 a second, 0:00:12 left\n"


def test_a_bar_in_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    clock = [0.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: clock[0])
    with WorkProgress(40, "samples") as work:
        work.advance(10)
        assert capsys.readouterr().out == ""  # what ends at once shows nothing
        clock[0] += 2
        work.advance(10)
        assert "20/40" in capsys.readouterr().out
    with WorkProgress(1, "samples") as work:
        clock[0] += 20
        work.advance(1)
    assert "1/1" not in capsys.readouterr().out
