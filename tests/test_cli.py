import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from builders import logged_lines
from forked import fork_command
from gan_exp import __version__, cli
from gan_exp.commands import dashboard, launch
from gan_exp.errors import TrainingFault, UserError
from gan_exp.runs.run_dir import RunDir
from waiting import LONGEST_WAIT_S

HEAVY = ("torch", "torchvision", "hydra", "omegaconf", "pydantic", "numpy", "rich", "yaml")


@pytest.mark.parametrize("words", [[], ["-h"], ["--help"], ["help"]])
def test_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 0
    printed = capsys.readouterr().out
    for command in cli.COMMANDS:
        assert f"\n  {command} " in printed


@pytest.mark.parametrize("words", [["help", "train"], ["--help", "train"], ["train", "help"], ["train", "-h"]])
def test_help_of_a_command(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 0
    assert "usage: gan-exp train" in capsys.readouterr().out


def test_help_of_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["help", "trian"]) == 2
    assert "did you mean train?" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["-V", "--version"])
def test_version(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([word]) == 0
    assert capsys.readouterr().out == f"gan-exp {__version__}\n"


def test_floats_of_a_program_that_calls_it_stay_as_they_are(in_tmp: Path, tiny: list[str]) -> None:
    """Training flushes denormal numbers, for Python's own arithmetic as well."""
    assert cli.main(["train", *tiny]) == 0
    assert sys.float_info.min / 4 > 0


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_each_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = cli.main([command, "--help"])
    except SystemExit as end:  # argparse's way
        code = end.code
    assert code == 0
    assert f"usage: gan-exp {command}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("trian", "did you mean train?"),
        ("smaple", "did you mean sample?"),
        ("lr=1", "did you mean gan-exp train lr=1?"),
        ("--quiet", "known are train, resume"),
    ],
)
def test_unknown_command(word: str, hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([word]) == 2
    assert capsys.readouterr().err.startswith(f"gan-exp: {word}: no such command; {hint}")


@pytest.mark.parametrize("words", [[], ["--help"], ["--version"], ["nonsense"]])
def test_nothing_heavy_is_imported_before_a_command_is_chosen(words: list[str]) -> None:
    assert imported_by(words) == []


@pytest.mark.parametrize(
    "words",
    [
        ["train", "--help"],
        ["completion", "bash"],
        ["__complete", "gan-exp train mod"],
        ["dashboard", "--help"],
        ["doctor", "--help"],
        ["evaluate", "--help"],
    ],
)
def test_help_and_tab_need_no_torch(words: list[str]) -> None:
    assert not {"torch", "hydra", "omegaconf"} & set(imported_by(words))


def test_a_run_on_a_cpu_imports_no_compiler(tmp_path: Path) -> None:
    """It would take a second and 150 MB: the first optimizer would import it, and tensors without values."""
    modules = ("torch", "torch._dynamo", "torch._inductor", "sympy", "torch.fx.experimental.symbolic_shapes")
    run = ["train", "steps=2", "penalty=r1", "augment=ada", "ema_halflife_kimg=1", "device=cpu"]
    assert imported_by([*run, f"hydra.run.dir={tmp_path / 'run'}"], modules) == ["torch"]
    assert imported_by(["resume", str(tmp_path / "run"), "steps=3"], modules) == ["torch"]


def imported_by(words: list[str], modules: Sequence[str] = HEAVY) -> list[str]:
    program = (
        "import sys\n"
        "from gan_exp.cli import main\n"
        "try:\n"
        "    main(sys.argv[1:])\n"
        "except SystemExit:\n"
        "    pass\n"
        f"print('imported:', *[name for name in {modules} if name in sys.modules])\n"
    )
    result = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=True)
    return result.stdout.rpartition("imported:")[2].split()


def test_python_m_is_the_same() -> None:
    result = subprocess.run([sys.executable, "-m", "gan_exp", "--version"], capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, f"gan-exp {__version__}\n")
    result = subprocess.run([sys.executable, "-m", "gan_exp", "nonsense"], capture_output=True, text=True)
    assert result.returncode == 2


def test_a_reader_that_leaves_is_no_error() -> None:
    # `gan-exp train --help | head -1`, where head is gone before anything is written
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; sys.stdin.read(); from gan_exp.cli import main; sys.exit(main(['--help']))",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    process.stdout.close()
    process.stdin.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 0


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (UserError("lr=0: no"), 2, "gan-exp: lr=0: no\n"),
        (UserError("name=a\nb: no"), 2, "gan-exp: name=a b: no\n"),
        (UserError("name=\x1b[31mé\ud800\u202e: no"), 2, "gan-exp: name=\\x1b[31mé\\ud800\\u202e: no\n"),
        (TrainingFault("diverged"), 1, "gan-exp: diverged\n"),
        (KeyboardInterrupt(), 130, "gan-exp: interrupted\n"),
    ],
)
def test_exit_codes(
    error: BaseException,
    code: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(_: list[str]) -> int:
        raise error

    monkeypatch.setattr(dashboard, "run", fail)
    assert cli.main(["dashboard"]) == code
    assert capsys.readouterr().err == message


def test_ctrl_c_before_the_first_step(
    in_tmp: Path, tiny: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(launch, "checked_config", interrupt)
    assert cli.main(["train", *tiny]) == 130
    assert capsys.readouterr().err == "gan-exp: interrupted\n"
    assert not Path("outputs").exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_real_signal_ends_a_run_that_can_be_resumed(number: signal.Signals, in_tmp: Path, tiny: list[str]) -> None:
    endless = [f"{key}=1000000" for key in ("steps", "sample_every_steps", "checkpoint_every_steps")]
    process = fork_command(in_tmp, "train", *tiny, *endless, "hydra.run.dir=run")
    status = Path("run/status.json")
    deadline = time.monotonic() + LONGEST_WAIT_S
    while not (status.exists() and json.loads(status.read_text())["step"] >= 1):
        assert process.poll() is None, process.communicate(LONGEST_WAIT_S)
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(number)
    said, complained = process.communicate(LONGEST_WAIT_S)
    assert process.returncode == 128 + number and complained == ""
    assert f"continue with: gan-exp resume {Path('run').resolve()}" in said

    ended = json.loads(status.read_text())
    assert (ended["state"], ended["reason"]) == ("interrupted", number.name)
    assert RunDir("run").checkpoint(ended["step"]).exists()

    steps = ended["step"] + 2
    assert cli.main(["resume", "run", f"steps={steps}"]) == 0
    assert json.loads(status.read_text())["state"] == "finished"
    logged = [line["step"] for line in logged_lines(Path("run/metrics.jsonl"))]
    assert logged == list(range(1, steps + 1))
