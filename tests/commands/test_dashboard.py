import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from gan_exp.cli import main
from gan_exp.commands.dashboard import find_runs
from gan_exp.runs.run_dir import RunDir
from gan_exp.runs.tensorboard import TensorBoardLog
from waiting import LONGEST_WAIT_S

pytestmark = pytest.mark.slow


def fetch(address: str, question: bytes | None = None) -> bytes:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    asked = urllib.request.Request(address, question, {"Content-Type": "application/json"})
    with direct.open(asked, timeout=LONGEST_WAIT_S) as response:
        content: bytes = response.read()
    return content


def test_tensorboard_shows_the_runs(run: Path) -> None:
    shutil.copytree(run, "outputs/2026-01-02/one")
    log = TensorBoardLog(Path("outputs/2026-01-03/two/tensorboard"))
    log.add_hyperparameters({**RunDir(run).read_config(), "steps": 9})
    log.close()
    RunDir("outputs/2026-01-02/one").link_latest()
    process = subprocess.Popen(
        [sys.executable, "-m", "gan_exp", "dashboard", "--host", "127.0.0.1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stderr is not None
    guard = threading.Timer(LONGEST_WAIT_S, process.kill)
    guard.start()
    try:
        said = process.stdout.readline()
        address = re.search(r"http://127\.0\.0\.1:\d+/", said)
        assert address is not None, said + process.stderr.read()
        assert b"TensorBoard" in fetch(address[0])
        deadline = time.monotonic() + LONGEST_WAIT_S
        while len(runs := json.loads(fetch(f"{address[0]}data/runs"))) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert sorted(runs) == ["one", "two"]  # once, though outputs/latest leads there too
        tags = json.loads(fetch(f"{address[0]}data/plugin/scalars/tags"))
        assert "loss/generator" in tags["one"]
        question = json.dumps({"experimentName": "", "includeMetrics": True}).encode()
        answer = json.loads(fetch(f"{address[0]}data/plugin/hparams/experiment", question))
        differing = {info["name"] for info in answer["hparamInfos"] if info["differs"]}
        assert differing == {"steps"} and answer["hparamInfos"][0]["name"] == "steps"
        assert "loss/generator" in {info["name"]["tag"] for info in answer["metricInfos"]}
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=LONGEST_WAIT_S) == 130
    finally:
        guard.cancel()
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def events(path: str) -> Path:
    place = Path(path, "tensorboard")
    place.mkdir(parents=True)
    (place / "events.out.tfevents.1.host").touch()
    return place.resolve()


def test_runs_have_short_names(in_tmp: Path) -> None:
    """Neither the day nor what all have; the day where the rest is there already."""
    expected = {
        "10-10-39-mlp-digits": events("outputs/2026-01-02/10-10-39-mlp-digits"),
        "12-00-00/0-lr=1": events("outputs/2026-01-02/12-00-00-sweep/0-lr=1"),
        "2026-01-03/10-10-39-mlp-digits": events("outputs/2026-01-03/10-10-39-mlp-digits"),
        "own": events("outputs/own"),
    }
    Path("outputs/empty/tensorboard").mkdir(parents=True)
    assert find_runs(Path("outputs")) == expected
    assert find_runs(Path("outputs/own")) == {"own": expected["own"]}
    assert find_runs(Path("outputs/empty")) == {}


def test_links_are_followed_but_to_what_is_shown_anyway(in_tmp: Path) -> None:
    """A tree of links shows its runs, as does a linked folder; nothing is there twice, and no circle is walked."""
    own, elsewhere = events("outputs/2026-01-02/own"), events("elsewhere/deep/other")
    Path("outputs/latest").symlink_to("2026-01-02/own")
    Path("outputs/up").symlink_to("..")
    Path("outputs/linked").symlink_to("../elsewhere")
    Path("outputs/again").symlink_to("../elsewhere/deep")
    Path("elsewhere/circle").symlink_to(Path("elsewhere").resolve())
    Path("outputs/broken").symlink_to("nowhere")
    found = find_runs(Path("outputs"))
    assert sorted(place.resolve() for place in found.values()) == sorted([own, elsewhere])
    assert set(found) == {"own", "again/other"}


def test_the_newest_run_is_none_of_outputs_if_it_lies_elsewhere(in_tmp: Path) -> None:
    """`gan-exp runs` doesn't list it there either, and `latest` would be another run with each that is trained."""
    events("outputs/2026-01-02/own")
    events("elsewhere/newest")
    Path("outputs/latest").symlink_to("../elsewhere/newest")
    assert set(find_runs(Path("outputs"))) == {"own"}
    assert set(find_runs(Path("outputs/latest"))) == {"newest"}
    Path("links").mkdir()
    for name in ("a", "b"):
        Path("links", name).symlink_to(events(f"far/{name}").parent)
    assert set(find_runs(Path("links"))) == {"a", "b"}
    Path("to_links").symlink_to("links")
    assert set(find_runs(Path("to_links"))) == {"a", "b"}


def test_no_directory(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dashboard"]) == 2
    assert capsys.readouterr().err.startswith("gan-exp: outputs: no such directory; train a run first")
    assert main(["dashboard", "latest"]) == 2
    assert "there is no run under outputs/ here" in capsys.readouterr().err


@pytest.mark.parametrize("port", ["0", "-1", "abc"])
def test_ports_that_are_none(port: str, in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dashboard", ".", f"--port={port}"]) == 2
    assert f"{port}: must be a whole number of at least 1" in capsys.readouterr().err


def test_ports_that_cannot_be_had(in_tmp: Path) -> None:
    """In processes of their own: TensorBoard has begun to read before it finds that it can't listen."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for port in (taken.getsockname()[1], 99999):
            words = ["dashboard", ".", "--host", "127.0.0.1", "--port", str(port)]
            finished = subprocess.run(
                [sys.executable, "-m", "gan_exp", *words], capture_output=True, text=True, timeout=LONGEST_WAIT_S
            )
            assert finished.returncode == 2
            assert finished.stderr.startswith(f"gan-exp: --host 127.0.0.1 --port {port}: can't be used (")
            assert finished.stderr.count("\n") == 1


def test_a_server_that_ends_by_itself_is_reported(in_tmp: Path) -> None:
    """In a process of its own: TensorBoard's imports warn of their own age."""
    code = (
        "import sys, threading, time; from tensorboard import program; from gan_exp.cli import main\n"
        "serve = threading.Thread(target=time.sleep, args=(0.1,), name='TensorBoard')\n"
        "program.TensorBoard.launch = lambda self: serve.start() or 'http://localhost:6006/'\n"
        "sys.exit(main(['dashboard', 'nothing']))"
    )
    Path("nothing").mkdir()
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=LONGEST_WAIT_S)
    assert ended.returncode == 1
    assert "TensorBoard over nothing ended by itself" in ended.stderr and ended.stderr.count("\n") == 1
    assert "there are no runs below nothing yet" in ended.stdout
