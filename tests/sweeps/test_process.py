"""Jobs in processes of their own: their ends, their output, and what becomes of them without a parent."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import pytest

from builders import assert_same, in_each_step, small_config
from gan_exp.runs.checkpoint import load_checkpoint
from gan_exp.sweeps import process
from gan_exp.sweeps.job import Job, Outcome, train
from gan_exp.sweeps.process import JobProcess, start
from waiting import LONGEST_WAIT_S

ENDLESS = ("steps=10000000", "log_every_steps=10")


def job(directory: str, *words: str, go_on: bool = False) -> Job:
    return Job(small_config("mlp", *(words or ("steps=3",))).model_dump(mode="json"), directory, go_on=go_on)


def wait_until_it_trains(running: JobProcess) -> None:
    while running.job.run.read_status().get("step", 0) < 10 and running.poll() is None:
        time.sleep(0.01)


@pytest.mark.slow
def test_the_server_makes_what_a_run_alone_makes(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process has the parent's variables, whenever the server was started, and takes a signal at any time."""
    monkeypatch.setattr(process, "CONTEXT", multiprocessing.get_context("forkserver"))
    forkserver._forkserver._stop()  # type: ignore[attr-defined]
    with monkeypatch.context() as then:
        then.setenv("OMP_NUM_THREADS", "2")
        process.prepare()
    assert start(job("one")).wait(LONGEST_WAIT_S) == Outcome(0)
    assert train(job("two")) == Outcome(0)
    assert_same(*(load_checkpoint(job(name).run.checkpoint(3)) for name in ("one", "two")))
    assert not {"three", "four"} & {path.name for path in in_tmp.iterdir()}
    running = start(job("three", *ENDLESS), gpu="")
    running.stop(signal.SIGINT)  # before it can handle one
    outcome = running.wait(LONGEST_WAIT_S)
    assert outcome is not None and outcome.code == 130 and outcome.can_go_on == job("three").run.config.exists()
    monkeypatch.setenv("GAN_EXP_TRUST", "mine")
    refused = start(job("two"))
    outcome = refused.wait(LONGEST_WAIT_S)
    assert outcome is not None and outcome.code == 2 and outcome.cause in refused.log.read_text()


def test_an_outcome_and_what_was_printed(in_tmp: Path, capfd: pytest.CaptureFixture[str]) -> None:
    running = start(job("run", "steps=3", "display=plain"))
    assert running.wait(LONGEST_WAIT_S) == Outcome(0) == running.poll()
    assert "run directory: run" in running.log.read_text()
    assert capfd.readouterr() == ("", "")
    running.stop()  # it has ended: nothing happens


def test_a_refused_job_leaves_nothing(in_tmp: Path) -> None:
    refused = job("run")
    refused.config["steps"] = 0
    outcome = start(refused).wait(LONGEST_WAIT_S)
    assert outcome is not None and outcome.code == 2 and list(in_tmp.iterdir()) == []


def test_a_directory_that_cannot_be_made(in_tmp: Path) -> None:
    Path("file").touch()
    outcome = start(job("file/run")).wait(LONGEST_WAIT_S)
    assert outcome is not None and outcome.code == 2 and "can't be written" in outcome.cause


def test_a_fault_is_in_the_log(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Any:
        raise ZeroDivisionError("in a step")

    in_each_step(monkeypatch, fail)
    running = start(job("run"))
    outcome = running.wait(LONGEST_WAIT_S)
    assert outcome is not None and outcome.code == 1 and "ZeroDivisionError: in a step" in outcome.cause
    assert "Traceback" in running.log.read_text() and 'raise ZeroDivisionError("in a step")' in running.log.read_text()


def test_stopped_killed_and_gone_on_with(in_tmp: Path) -> None:
    """The end is that of a run never stopped."""
    running = start(job("run", *ENDLESS))
    wait_until_it_trains(running)
    assert running.poll() is None
    running.stop()
    stopped = running.wait(LONGEST_WAIT_S)
    assert stopped == Outcome(143, "interrupted by SIGTERM", can_go_on=True)
    running = start(job("run", *ENDLESS, go_on=True))
    while running.job.run.read_status()["state"] != "running":
        time.sleep(0.01)
    running.kill()
    killed = running.wait(LONGEST_WAIT_S)
    assert killed is not None and (killed.code, killed.can_go_on, killed.failed) == (-9, True, True)
    assert "memory" in killed.cause


def test_what_a_process_died_of() -> None:
    assert process._cause_of_death(-signal.SIGSEGV) == "killed by SIGSEGV"
    assert process._cause_of_death(255) == "its process ended with exit code 255 and said nothing"


PARENT = """
import sys, time
from gan_exp.sweeps.process import start
from gan_exp.sweeps.job import Job
import json
if __name__ == "__main__":
    running = start(Job(json.load(open("config.json")), "run"))
    while running.job.run.read_status().get("step", 0) < 10:
        time.sleep(0.01)
    print(running.pid, flush=True)
    time.sleep(10000)
"""


@pytest.mark.slow
def test_without_its_parent_a_job_saves_and_ends(in_tmp: Path) -> None:
    import json

    Path("config.json").write_text(json.dumps(job("run", *ENDLESS).config))
    Path("parent.py").write_text(PARENT)
    parent = subprocess.Popen([sys.executable, "parent.py"], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    with pytest.raises(ProcessLookupError):
        while True:
            os.kill(pid, 0)
            time.sleep(0.05)
    status = job("run").run.read_status()
    assert status["state"] == "interrupted" and status["reason"] == "SIGTERM"
    assert job("run").run.list_checkpoints()[-1][0] == status["step"]
