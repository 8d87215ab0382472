"""A run stopped at any instant and resumed equals one never stopped: each system call, kills, signals, sweeps."""

import random
import re
import shutil
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from crash.compare import differences
from crash.processes import (
    begin_or_go_on,
    ended,
    explore,
    finish,
    start,
    stop,
    train_killed,
    train_whole,
    wait_for,
    words_for,
)
from gan_exp.runs.run_dir import RunDir

pytestmark = pytest.mark.crash_long
CONFIGURATIONS = {
    "r1-lazy": ("mlp", 900, "penalty=r1", "penalty.every=4", "schedule=cosine", "n_critic=2"),
    "keras": ("mlp", 900, "sampling=with_replacement", "split_updates=true", "inference_fakes=true",
              "penalty=none", "reuse_fakes=false", "optimizer=keras_adam"),
    "ada": ("mlp", 400, "augment=ada", "augment.every=2", "augment.images_to_one=9000", "instance_noise=0.1",
            "loss=hinge"),
    "no-ema": ("dcgan", 500, "ema_halflife_kimg=0", "optimizer=rmsprop", "schedule=linear", "loss=lsgan"),
    "diffaugment": ("dcgan", 300, "conditional=true", "augment=diffaugment", "optimizer=adamw", "loss=minimax"),
    "spectral": ("resnet", 150, "spectral_norm=true", "loss=hinge", "conditional=true", "n_critic=2"),
    "r3gan": ("r3gan", 100, "loss=rpgan", "penalty=r1_r2", "schedule=r3gan", "conditional=true"),
    "ring": ("points", 700, "dataset=ring", "dataset.count=500", "pac=2", "loss=rpgan", "penalty=r1_r2",
             "latent_dim=2"),
    "clipped": ("mlp", 700, "pac=2", "loss=wgan", "loss.clip=0.05", "n_critic=3", "optimizer=rmsprop"),
    "wgan-gp": ("mlp", 700, "penalty=wgan_gp", "penalty.every=3", "n_critic=2", "loss=wgan", "optimizer=sgd"),
    "dragan": ("dcgan", 250, "penalty=dragan", "schedule=cosine", "loss.label_smoothing=0.1", "seed=7"),
    "grid": ("points", 900, "dataset=grid", "dataset.count=500", "sampling=with_replacement", "latent_dim=2"),
}  # fmt: skip
SELDOM = ("log_every_steps=7", "sample_every_steps=40", "checkpoint_every_steps=15", "keep_checkpoints=3")
KILLS = 3  # of each: 36 in all


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_killed_at_random(name: str, tmp_path: Path) -> None:
    """Several times over, each time by SIGKILL, and resumed from the command line."""
    model, steps, *overrides = CONFIGURATIONS[name]
    words = words_for(model, *overrides, *SELDOM, steps=steps)
    train_killed(tmp_path, words, KILLS, len(name), train_whole(tmp_path, words))
    assert differences(tmp_path / "whole", tmp_path / "run") == []


@pytest.mark.parametrize("options", [["--kills=8"], ["--states=60", "--again=6"]], ids=["first", "again"])
def test_every_system_call(options: list[str], tmp_path: Path) -> None:
    """Killed before each, in the middle of each write, or without power; also while it resumes."""
    done = explore(tmp_path, words_for("mlp", "penalty=r1"), *options)
    assert done.returncode == 0, done.stdout + done.stderr


def test_many_system_calls_of_another_recipe(tmp_path: Path) -> None:
    """One that logs nothing at a checkpoint's step and keeps more from step to step."""
    settings = ("loss=lsgan", "conditional=true", "augment=ada", "augment.every=2", "log_every_steps=5")
    done = explore(tmp_path, words_for("r3gan", *settings), "--states=200")
    assert done.returncode == 0, done.stdout + done.stderr


CALLS = "write,fsync,rename,link,unlink,mkdir,ftruncate"


def test_killed_by_the_kernel(tmp_path: Path) -> None:
    """`strace` injects the signal, so that nothing in Python knows the call."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    if subprocess.run([strace, "-f", "-o", tmp_path / "probe", "true"], check=False).returncode:
        pytest.skip("strace may not trace processes here")
    words = ["train", *words_for("mlp", "penalty=r1"), "hydra.run.dir=run"]
    log = tmp_path / "calls"
    counted = start(tmp_path / "counted", *words, through=[strace, "-f", "-y", f"--trace={CALLS}", "-o", str(log)])
    assert ended(counted).returncode == 0
    instants = _calls_within(log.read_text().splitlines(), str(tmp_path / "counted/run"))
    prepared = tmp_path / "states/prepared"
    for call, number in random.Random(1).sample(instants, 10):
        place = prepared / f"{call}-{number}"
        inject = [strace, "-f", f"--trace={call}", f"--inject={call}:signal=KILL:when={number}", "-o", "/dev/null"]
        assert ended(start(place, *words, through=inject)).returncode == -signal.SIGKILL, place
        (place / "run").mkdir(exist_ok=True)
    done = explore(prepared.parent, words_for("mlp", "penalty=r1"), "--states=0", "--prepared=prepared")
    assert done.returncode == 0, done.stdout + done.stderr


def _calls_within(lines: list[str], directory: str) -> list[tuple[str, int]]:
    """The first process's calls that concern `directory`, each with its number among calls of the same name."""
    counts: Counter[str] = Counter()
    found = []
    for pid, text in (line.split(maxsplit=1) for line in lines):
        call = text.partition("(")[0]
        if pid == lines[0].split()[0] and call.isidentifier():
            counts[call] += 1
            if directory in text:
                found.append((call, counts[call]))
    assert {"fsync", "rename", "write"} <= {call for call, _ in found}
    return found


STOPPING = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], float]:
    """A run never stopped, its words, and the seconds before its loop."""
    place = tmp_path_factory.mktemp("never-stopped")
    words = words_for("mlp", "schedule=cosine", *SELDOM, "display=plain", steps=600)
    return place / "whole", words, train_whole(place, words)


@pytest.mark.parametrize("number", STOPPING)
def test_asked_to_stop(number: signal.Signals, whole: tuple[Path, list[str], float], tmp_path: Path) -> None:
    """As it starts, as it trains, as it resumes: the exit code names the signal, and the suggested command works."""
    reference, words, startup = whole
    run = RunDir(tmp_path / "run")
    chosen = random.Random(int(number))
    for early in (True, False, True):
        process = start(tmp_path, *begin_or_go_on(tmp_path, words))
        if not early:
            wait_for(process, run.checkpoint(30))
        done = stop(process, number, chosen.uniform(0.05, 0.4) * startup if early else chosen.uniform(0, 0.3))
        assert done.returncode == 128 + number, done
        assert "Traceback" not in done.stderr
        suggested = re.search(r"continue with: gan-exp resume (\S+)", done.stdout)
        assert suggested or early
        if suggested is not None:
            assert (tmp_path / suggested[1]).resolve() == run.path
            status = run.read_status()
            assert (status["state"], status["reason"]) == ("interrupted", number.name)
    finish(tmp_path, *begin_or_go_on(tmp_path, words))
    assert differences(reference, run.path, only_last=True) == []


def test_asked_twice(whole: tuple[Path, list[str], float], tmp_path: Path) -> None:
    """The process ends at once, and the last checkpoint is whole."""
    reference, words, _ = whole
    run = RunDir(tmp_path / "run")
    process = start(tmp_path, *begin_or_go_on(tmp_path, words))
    wait_for(process, run.checkpoint(60))
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    assert ended(process).returncode == 130
    finish(tmp_path, "resume", "run")
    assert differences(reference, run.path, only_last=True) == []


def test_a_sweep(tmp_path: Path) -> None:
    """Killed in one of its runs and between them, and resumed as a whole."""
    words = ["train", "-m", "lr=1e-3,3e-3,5e-3", *words_for("mlp", *SELDOM, steps=300)]
    finish(tmp_path, *words, "hydra.sweep.dir=whole")
    chosen = random.Random(0)
    process = start(tmp_path, *words, "hydra.sweep.dir=sweep")
    for number in range(2):
        while not list(tmp_path.glob(f"sweep/{number}-*/checkpoints/step-*5.pt")):
            assert process.poll() is None, process.communicate()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(chosen.uniform(0, 0.5))
        process.kill()
        assert ended(process).returncode == -signal.SIGKILL
        process = start(tmp_path, "resume", "sweep")
    done = ended(process)
    assert done.returncode == 0, done.stderr
    runs = sorted(path.name for path in (tmp_path / "whole").iterdir() if path.is_dir())
    assert len(runs) == 3
    for name in runs:
        assert differences(tmp_path / "whole" / name, tmp_path / "sweep" / name) == [], name
