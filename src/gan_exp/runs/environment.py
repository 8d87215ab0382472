"""The machine and the versions with which a run was made."""

import platform
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

import gan_exp
from gan_exp.runtime.device import describe_device

PACKAGES = ("torch", "torchvision", "numpy", "hydra-core", "omegaconf", "tensorboard", "scikit-learn", "pillow")


def describe_environment(
    device: torch.device, command: Sequence[str] | None = None, processes: int = 1
) -> dict[str, Any]:
    """Versions, device, git state and `command` (None: this process's), as plain values."""
    return {
        "gan_exp": gan_exp.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "command": sys.argv[1:] if command is None else list(command),
        "packages": {name: _version(name) for name in PACKAGES},
        "device": describe_device(device, processes),
        "cuda": torch.version.cuda if device.type == "cuda" else None,
        "threads": torch.get_num_threads(),
        "processes": processes,
        "git": _git_state(),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git_state() -> dict[str, Any] | None:
    """The commit of the repository in the current directory, None outside one."""
    commit = _git("rev-parse", "HEAD")
    return (
        None if commit is None else {"commit": commit, "changed_files": len((_git("status", "-s") or "").splitlines())}
    )


def _git(*arguments: str) -> str | None:
    try:
        result = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip()
