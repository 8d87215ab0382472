"""Processes that train one run: as torchrun and device.processes start them, and in the environment of srun."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from builders import logged_lines, make_config
from gan_exp.cli import main
from gan_exp.errors import UserError
from gan_exp.runs.checkpoint import load_checkpoint
from gan_exp.runs.run_dir import RunDir
from gan_exp.runtime.ranks import Ranks
from gan_exp.training import session
from gan_exp.training.together import refuse_uneven, threads_for
from started_ranks import ENDLESS, TINY, ends, srun, wait_until_they_train

RUN = ("steps=10", "schedule=constant", *TINY, "hydra.run.dir=run")


def assert_alike(one: Path, other: Path) -> None:
    """The same numbers but for the order of sums."""
    for network in ("generator", "discriminator", "generator_ema"):
        first, second = (load_checkpoint(path)[network] for path in (one, other))
        for name in first:
            torch.testing.assert_close(first[name], second[name], rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_a_run_goes_on_with_any_number_of_processes(in_tmp: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Begun under torchrun on two, continued on one, and again on two; it equals that of one process."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "gan_exp", "train"]
    done = subprocess.run([*torchrun, *RUN], capture_output=True, text=True, check=True)
    assert done.stdout.count("mlp on digits (8x8x1), 2 processes on the CPU, each with 1 thread\n") == 1
    assert done.stdout.count("step 10/10") == 1
    run = RunDir("run")
    assert run.read_environment()["processes"] == run.read_status()["processes"] == 2
    assert main(["resume", "run", "steps=15"]) == 0
    assert run.read_status()["processes"] == 1
    capfd.readouterr()
    assert main(["resume", "run", "steps=20", "device.processes=2"]) == 0
    printed = capfd.readouterr()
    assert printed.out.count("2 processes on the CPU") == 1 and printed.err == ""
    assert run.read_status()["processes"] == 2 and run.read_config()["device"]["processes"] == 2
    assert [line["step"] for line in logged_lines(run.metrics)] == [5, 10, 15, 20]
    assert main(["train", *RUN, "steps=20", "hydra.run.dir=alone"]) == 0
    assert_alike(run.checkpoint(20), RunDir("alone").checkpoint(20))

    start = ["train", "--from", "alone", "--keep", "average,optimizers", "steps=5"]
    ranks = ends(srun(in_tmp, 2, *start, "hydra.run.dir=started"))  # all have the optimizers' moments
    assert [rank.returncode for rank in ranks] == [0, 0], ranks
    assert main([*start, "hydra.run.dir=started alone"]) == 0
    assert_alike(RunDir("started").checkpoint(5), RunDir("started alone").checkpoint(5))


@pytest.mark.slow
def test_a_signal_to_any_stops_all_and_one_that_dies_ends_all(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    ranks = srun(tmp_path, 2, "train", *ENDLESS, "hydra.run.dir=run")
    wait_until_they_train(ranks, run)
    ranks[1].send_signal(signal.SIGTERM)
    first, second = ends(ranks)
    assert (first.returncode, second.returncode) == (143, 143) and second.stdout == second.stderr == ""
    status = run.read_status()
    assert (status["state"], status["reason"]) == ("interrupted", "SIGTERM") and first.stderr == ""
    assert run.list_checkpoints()[-1][0] == status["step"]
    assert first.stdout.splitlines()[-1] == (
        f"interrupted at step {status['step']}; continue with: gan-exp resume {run.path}"
    )

    ranks = srun(tmp_path, 2, "resume", "run")
    wait_until_they_train(ranks, run)
    ranks[1].kill()
    first, second = ends(ranks)
    assert (first.returncode, second.returncode) == (1, -signal.SIGKILL) and second.stderr == ""
    assert first.stderr == (
        f"gan-exp: {run.path}: process 1 of 2 has died; continue from the newest checkpoint with: "
        f"gan-exp resume {run.path}\n"
    )
    assert run.read_status()["state"] == "failed"


@pytest.mark.slow
def test_bad_input_is_one_sentence(in_tmp: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Also where the processes find it, and nothing is left behind."""
    words = ("dataset=folder", "dataset.root=nowhere", "device.processes=2", "hydra.run.dir=run")
    assert main(["train", *TINY, *words]) == 2
    printed = capfd.readouterr()
    assert printed.err.startswith("gan-exp: dataset.root=nowhere: ") and printed.err.count("\n") == 1
    assert printed.out == "" and list(in_tmp.iterdir()) == []
    ranks = ends(srun(in_tmp, 2, "train", "-m", *TINY, "seed=0,1"))
    assert [rank.returncode for rank in ranks] == [2, 2] and ranks[1].stderr == ""
    assert ranks[0].stderr.startswith("gan-exp: -m: needs one process") and ranks[0].stderr.count("\n") == 1
    assert list(in_tmp.iterdir()) == []


def test_what_is_refused_before_processes_are_started(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, sentence in (
        (["device.processes=3"], "batch_size=8: can't be divided evenly among 3 processes; set batch_size=6 or 9"),
        (["device.processes=2", "pac=8"], "batch_size=8: can't be divided evenly among 2 processes in packs of pac=8"),
        (["device.processes=0"], "device.processes=0: "),
        (["-m", "device.processes=2", "seed=0,1"], "device.processes=2: each run of a sweep"),
    ):
        began = time.perf_counter()
        assert main(["train", *TINY, *words]) == 2
        assert sentence in capsys.readouterr().err, time.perf_counter() - began
    assert not list(in_tmp.glob("outputs/*/*/config.yaml"))
    with pytest.raises(UserError, match=r"^device.processes=2: only `gan-exp train` and `gan-exp resume` start proc"):
        session.start_run(make_config("device.processes=2"), "run")


def test_threads_are_divided_and_kept_for_the_same_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gan_exp.training.together.usable_cores", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    config, given = make_config(), make_config("device.threads=5")
    four = Ranks(0, 4, 0, 4)
    assert threads_for(config, Ranks()) is None and threads_for(config, four) == 2
    assert threads_for(given, Ranks()) == threads_for(given, four) == 5
    assert threads_for(config, four, {"threads": 3, "processes": 4}) == 3
    assert threads_for(config, four, {"threads": 8}) == 2  # a checkpoint of one process
    assert threads_for(given, four, {"threads": 5}) == 2 and threads_for(config, Ranks(), {"processes": 4}) == 8
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert threads_for(config, four) == 1
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "torchrun")  # which sets it to 1 for want of a better guess
    assert threads_for(config, four) == 2


def test_the_others_read_data_that_is_ready(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first has downloaded and packed it, and nothing is written before all are ready."""
    order: list[str] = []
    prepare = session.build_data

    def prepared(*given: Any) -> Any:
        order.append("data")
        return prepare(*given)

    def bring_in(*_: Any) -> None:
        assert not Path("run").exists()
        order.append("others")

    monkeypatch.setattr(session, "build_data", prepared)
    monkeypatch.setattr(session, "bring_in", bring_in)
    session.start_run(make_config("steps=1", *TINY, "display=quiet"), "run")
    assert order == ["data", "others"]


def test_an_even_division_is_not_refused() -> None:
    refuse_uneven(make_config("batch_size=8", "pac=2"), 4)
    with pytest.raises(UserError, match=r"^batch_size=3: can't .* among 4 processes; set batch_size=4, or start"):
        refuse_uneven(make_config("batch_size=3"), 4)
