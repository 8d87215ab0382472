"""The record of a run's machine and versions."""

import json
import platform
import subprocess
from pathlib import Path

import pytest
import torch

import gan_exp
from gan_exp.runs import environment
from gan_exp.runs.environment import describe_environment

CPU = torch.device("cpu")


def git(*arguments: str) -> str:
    identity = ["-c", "user.name=someone", "-c", "user.email=someone@example.org"]
    return subprocess.run(["git", *identity, *arguments], check=True, capture_output=True, text=True).stdout.strip()


def test_versions_and_device(in_tmp: Path) -> None:
    found = describe_environment(CPU)
    assert json.loads(json.dumps(found)) == found  # plain values
    assert found["gan_exp"] == gan_exp.__version__ and found["python"] == platform.python_version()
    assert found["packages"]["torch"] == torch.__version__.split("+")[0] or found["packages"]["torch"]
    assert all(found["packages"].values()) and found["device"].startswith("CPU") and found["cuda"] is None


def test_outside_a_repository(in_tmp: Path) -> None:
    assert describe_environment(CPU)["git"] is None


def test_inside_a_repository(in_tmp: Path) -> None:
    git("init")
    (in_tmp / "a").write_text("1")
    git("add", "a")
    git("commit", "-m", "first")
    assert describe_environment(CPU)["git"] == {"commit": git("rev-parse", "HEAD"), "changed_files": 0}
    (in_tmp / "a").write_text("2")
    (in_tmp / "b").write_text("new")
    assert describe_environment(CPU)["git"]["changed_files"] == 2


def test_without_git(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert describe_environment(CPU)["git"] is None


def test_a_package_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "PACKAGES", ("no-such-package",))
    assert describe_environment(CPU)["packages"] == {"no-such-package": None}
