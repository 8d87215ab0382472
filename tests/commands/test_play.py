import signal
import threading
import urllib.error
import urllib.request
import webbrowser
from pathlib import Path

import pytest

from builders import refused
from gan_exp.cli import main
from gan_exp.commands import play
from gan_exp.data.packed import DataSpec
from gan_exp.generators.trained import TrainedGenerator
from gan_exp.play.server import FIRST_PORT
from gan_exp.runtime.signals import Interrupted
from waiting import LONGEST_WAIT_S


def fetch(address: str) -> str:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(address, timeout=LONGEST_WAIT_S) as response:
        content: bytes = response.read()
    return content.decode()


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that a browser was asked to show."""
    shown: list[str] = []
    monkeypatch.setattr(webbrowser, "open", shown.append)
    return shown


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch, shown: list[str]) -> list[str]:
    """The page that was there, once at the first address, when SIGINT ended the command."""
    pages: list[str] = []

    def wait_for(_: threading.Thread) -> None:
        pages.append(fetch(shown[0] if shown else f"http://127.0.0.1:{FIRST_PORT}/"))
        raise Interrupted(signal.SIGINT, reported=True)

    monkeypatch.setattr(play, "wait_for", wait_for)
    return pages


def test_the_page_is_there_until_a_signal(
    trained: Path,
    shown: list[str],
    interrupted: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    assert main(["play", str(trained), "--checkpoint", "2"]) == 130
    (address,) = shown
    assert capsys.readouterr().out == f"{trained} at step 2: {address} (Ctrl-C ends it)\n"
    assert "<h1>mlp-digits</h1>" in interrupted[0] and "mlp on digits, step 2" in interrupted[0]
    with pytest.raises(urllib.error.URLError):
        fetch(address)


def test_no_browser_is_opened(
    trained: Path, shown: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --no-open, and on a Linux without a display. A server that ends by itself is a fault."""
    monkeypatch.setattr(play, "wait_for", lambda thread: None)
    monkeypatch.setattr("sys.platform", "linux")
    for name, words in (("DISPLAY", []), ("NOTHING", ["--no-open"])):
        monkeypatch.setenv("DISPLAY", ":0")
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        monkeypatch.delenv(name, raising=False)
        assert main(["play", str(trained), *words]) == 1
        assert capsys.readouterr().err == "gan-exp: the page's server ended by itself; start it again\n"
    assert shown == []


def test_what_can_not_be_shown(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(trained)
    for port in ("70000", "0"):
        assert f"--port {port}: must be a whole number from 1 to 65535" in refused(
            ["play", run, "--port", port], capsys
        )
    assert "--checkpoint 9: no such checkpoint" in refused(["play", run, "--checkpoint", "9"], capsys)
    assert "which run?" in refused(["play"], capsys)
    monkeypatch.setattr(TrainedGenerator, "spec", DataSpec((2, 1, 1), 0, 1.5), raising=False)
    monkeypatch.setattr(TrainedGenerator, "__init__", lambda *_: None)
    assert "makes points of the plane, not images" in refused(["play", run], capsys)
