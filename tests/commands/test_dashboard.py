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
from gan_exp.run_dir import RunDir

LONGEST_WAIT_S = 120


def fetch(address: str) -> bytes:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(address, timeout=LONGEST_WAIT_S) as response:
        content: bytes = response.read()
    return content


def test_tensorboard_shows_the_runs(run: Path) -> None:
    shutil.copytree(run, "outputs/2026-01-02/one")
    RunDir("outputs/2026-01-02/one").point_latest_here()
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
        while not (runs := json.loads(fetch(f"{address[0]}data/runs"))):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert runs == ["2026-01-02/one/tensorboard"]  # once, though outputs/latest leads there too
        tags = json.loads(fetch(f"{address[0]}data/plugin/scalars/tags"))
        assert "loss/generator" in tags["2026-01-02/one/tensorboard"]
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=LONGEST_WAIT_S) == 130
    finally:
        guard.cancel()
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


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


def test_a_server_that_ends_by_itself_is_told(run: Path) -> None:
    """In a process of its own: TensorBoard's imports warn of their own age."""
    code = (
        "import sys, threading, time; from tensorboard import program; from gan_exp.cli import main\n"
        "serve = threading.Thread(target=time.sleep, args=(0.1,), name='TensorBoard')\n"
        "program.TensorBoard.launch = lambda self: serve.start() or 'http://localhost:6006/'\n"
        "sys.exit(main(['dashboard', 'run']))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=LONGEST_WAIT_S)
    assert ended.returncode == 1
    assert "TensorBoard over run ended by itself" in ended.stderr and ended.stderr.count("\n") == 1
