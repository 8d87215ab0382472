"""The memory and the cores that this machine, or the container's limit, gives to processes."""

import math
import os
from contextlib import suppress
from pathlib import Path

MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")


def available_memory() -> int | None:
    """Bytes that new processes can take; None where the system doesn't say."""
    found = [value for value in (_of_the_machine(), _of_the_container()) if value is not None]
    return min(found, default=None)


def _of_the_machine() -> int | None:
    with suppress(OSError, ValueError, IndexError):
        for line in MEMINFO.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def _of_the_container() -> int | None:
    with suppress(OSError, ValueError):
        limit = int((CGROUP / "memory.max").read_text())  # "max" without a limit
        return max(0, limit - int((CGROUP / "memory.current").read_text()))
    return None


def usable_cores() -> int:
    """Those that this process may use; at least one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):
        quota, period = (CGROUP / "cpu.max").read_text().split()  # "max 100000" without a limit
        cores = min(cores, math.ceil(int(quota) / int(period)))
    return max(1, cores)


def private_memory() -> int | None:
    """Bytes that this process shares with no other; None where the system doesn't say."""
    with suppress(OSError, ValueError, IndexError):
        lines = Path(f"/proc/{os.getpid()}/smaps_rollup").read_text().splitlines()
        return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))
    return None
