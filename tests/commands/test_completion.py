import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gan_exp.cli import main
from gan_exp.commands import COMMANDS
from gan_exp.commands.completion import SCRIPTS, candidates
from gan_exp.config.catalog import groups
from gan_exp.runs.run_names import find

BASH = """
source ./script
COMP_LINE=$1; COMP_POINT=${#COMP_LINE}
_gan_exp 2>/dev/null
printf '%s\\n' "${COMPREPLY[@]}"
"""
# Outside its line editor zsh has no compadd: what the script would hand to it is printed.
ZSH = """
compdef() { [[ "$*" == "_gan_exp gan-exp" ]] }
compadd() { while [[ "$1" != -- ]]; do shift; done; shift; print -l -- "$@" }
source ./script || exit 1
LBUFFER=$1; _gan_exp
"""
FISH = "source ./script; complete --do-complete $argv[1]"


def in_bash(line: str) -> list[str]:
    return shell(["bash", "--norc", "-c", BASH, "bash", line])


def in_zsh(line: str) -> list[str]:
    return shell(["zsh", "-f", "-c", ZSH, "zsh", line])


def in_fish(line: str) -> list[str]:
    return shell(["fish", "--no-config", "-c", FISH, line])


def shell(command: list[str]) -> list[str]:
    """What a shell offers; `script` is the completion script, and gan-exp is that of this environment."""
    Path("script").write_text(script_for(command[0]))
    path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
    result = subprocess.run(command, capture_output=True, text=True, check=True, env={"PATH": path, "HOME": "."})
    return [line for line in result.stdout.splitlines() if line]


def script_for(name: str) -> str:
    return SCRIPTS[name]


SHELLS: dict[str, Callable[[str], list[str]]] = {
    name: complete for name, complete in {"bash": in_bash, "zsh": in_zsh, "fish": in_fish}.items() if shutil.which(name)
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_prints_the_script(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", name]) == 0
    printed = capsys.readouterr().out
    assert printed == SCRIPTS[name]
    assert "gan-exp completion" in printed.splitlines()[0]


def test_refuses_other_shells(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "tcsh"]) == 2
    assert "tcsh" in capsys.readouterr().err


@pytest.mark.parametrize("name", SHELLS)
def test_in_a_real_shell(name: str, in_tmp: Path) -> None:
    complete = SHELLS[name]
    assert complete("gan-exp tr") == ["train"]
    assert sorted(complete("gan-exp ")) == sorted(COMMANDS)
    assert "lr=" in complete("gan-exp train ")
    assert complete("gan-exp train optimizer.discriminator.b") == ["optimizer.discriminator.betas="]
    # bash wants only what follows the =, the others the whole word.
    begin = "" if name == "bash" else "model="
    assert sorted(complete("gan-exp train lr=1 model=")) == [f"{begin}{option}" for option in sorted(groups()["model"])]
    assert complete("gan-exp train model=dc") == [f"{begin}dcgan"]
    assert complete("gan-exp train -m model=mlp,dc") == [f"{begin}mlp,dcgan"]


def test_bash_is_there() -> None:
    assert "bash" in SHELLS  # or the test above would test nothing


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("gan-exp res", ["resume"]),
        ("gan-exp nothing", []),
        ("gan-exp train model=m", ["model=mlp"]),
        (
            "gan-exp train penalty=",
            [f"penalty={name}" for name in ("dragan", "none", "r1", "r1_r2", "r1_r2_fd", "wgan_gp")],
        ),
        ("gan-exp train experiment=a", ["experiment=article"]),
        ("gan-exp train sample_", ["sample_every_steps="]),
        ("gan-exp train model.generator.w", ["model.generator.widths="]),
        ("gan-exp train model=dcgan model.generator.w", ["model.generator.width="]),
        ("gan-exp train penalty=none penalty.g", []),
        ("gan-exp train penalty=r1 penalty.g", ["penalty.gamma="]),
        (
            "gan-exp train experiment=ring model.generator.s",
            [f"model.generator.{key}=" for key in ("scale", "signs")],
        ),
        ("gan-exp train dataset=folder dataset.m", ["dataset.max_megapixels=", "dataset.mirror="]),
        ("gan-exp train --help penalty=r", ["penalty=r1", "penalty=r1_r2", "penalty=r1_r2_fd"]),
        ("gan-exp train conditional=", ["conditional=false", "conditional=true"]),
        ("gan-exp train dataset=folder dataset.skip_broken=t", ["dataset.skip_broken=true"]),
        ("gan-exp train lr=", []),
        ("gan-exp help tr", ["train"]),
        ("gan-exp help train dataset=ri", ["dataset=ring"]),
        ("gan-exp resume latest st", ["steps="]),
        ("gan-exp resume latest --slurm slurm.t", ["slurm.time="]),
        ("gan-exp train --slurm=a.yaml slurm.p", ["slurm.partition="]),
        ("gan-exp train slurm.p", []),
        ("gan-exp search --metric fid,se", ["fid,seconds"]),
        ("gan-exp search --metric reco", ["recognised"]),
        ("gan-exp search --sampler t", ["tpe"]),
        ("gan-exp search --pruner m", ["median"]),
        ("gan-exp search model=m", ["model=mlp"]),
        ("gan-exp search --dir found sample_", ["sample_every_steps="]),
        ("gan-exp completion ", ["bash", "fish", "zsh"]),
        ("gan-exp unknown ", []),
    ],
)
def test_candidates(line: str, expected: list[str]) -> None:
    assert candidates(line) == expected


@pytest.mark.parametrize("option", ["--config-dir mine", "-cd mine"])
def test_yaml_of_ones_own(option: str, in_tmp: Path) -> None:
    Path("mine/model").mkdir(parents=True)
    Path("mine/model/own.yaml").write_text("# mine\nname: own\ngenerator:\n  depth: 3\n")
    assert candidates(f"gan-exp train {option} model=o") == ["model=own"]
    assert candidates(f"gan-exp train {option} model=own model.generator.") == ["model.generator.depth="]


@pytest.mark.parametrize("command", ["resume", "sample", "evaluate", "doctor", "export", "play", "dashboard"])
def test_runs(command: str, in_tmp: Path) -> None:
    Path("outputs/2026-01-02/one").mkdir(parents=True)
    Path("outputs/.hidden").mkdir()
    Path("outputs/file").touch()
    assert candidates(f"gan-exp {command} ") == ["latest", "outputs/"]
    assert candidates(f"gan-exp {command} outputs/") == ["outputs/2026-01-02/"]
    assert candidates(f"gan-exp {command} nowhere/") == []
    for name in ("Bücher", "it's", "my run", "b[1]"):  # a shell would read the others as something else
        Path(name).mkdir()
    assert candidates(f"gan-exp {command} ") == ["Bücher/", "latest", "outputs/"]


def test_names_of_runs(in_tmp: Path) -> None:
    for place in (
        "2026-01-02/10-10-39-mlp-digits",
        "2026-01-02/11-00-00-sweep/0-lr=1",
        "2026-01-02/12-00-00-sweep/0-lr=1",
    ):
        Path("outputs", place).mkdir(parents=True)
        Path("outputs", place, "config.yaml").touch()
    Path("outputs/2026-01-02/11-00-00-sweep/multirun.yaml").touch()
    Path("outputs/2026-01-02/it's").mkdir()
    Path("outputs/2026-01-02/it's/config.yaml").touch()
    of_sweeps = ["11-00-00-sweep/0-lr=1", "12-00-00-sweep/0-lr=1"]
    for command in ("sample", "export", "play", "resume", "evaluate", "doctor", "runs", "compare"):
        assert candidates(f"gan-exp {command} 10") == ["10-10-39-mlp-digits"]
        sweep = ["11-00-00-sweep"] * (command not in ("sample", "export", "play"))
        assert candidates(f"gan-exp {command} 1") == ["10-10-39-mlp-digits", *sweep, *of_sweeps]
        assert all(find(name) for name in candidates(f"gan-exp {command} 1"))
