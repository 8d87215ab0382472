"""The state of a run: what its status says, unless the process that it names is gone."""

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gan_exp.runs.run_dir import RunDir

# `stopped`: by a signal. `stale`: its files say that it runs, but its process is gone. `unknown`: there is no status.
# `waiting`: a job without a directory yet; who knows of such jobs (a sweep, a cluster's queue) adds their records.
STATES = ("running", "finished", "failed", "stopped", "stale", "waiting", "unknown")


def state_of(run: RunDir, status: Mapping[str, Any]) -> str:
    """One of STATES; `status` is the run's."""
    state = str(status.get("state", "unknown"))
    if state == "interrupted":
        return "stopped"
    if state == "running" and status.get("host") == socket.gethostname() and not _lives(status.get("pid"), run.lock):
        return "stale"
    return state


def _lives(pid: Any, lock: Path) -> bool:
    """Whether the process trains: it exists, and it holds the run's lock, unless another one has its number now."""
    if not isinstance(pid, int) or pid < 1:
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # another user's
        return True
    return _is_held(lock)


def _is_held(lock: Path) -> bool:
    """Whether a process holds `lock`; true where that can't be known."""
    try:
        import fcntl

        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    except (ImportError, OSError):  # a system or a file system without such locks
        return True
    return False
