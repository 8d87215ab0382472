"""The memory and the cores that this machine, or the container's limit, gives to processes."""

import math
import os
from contextlib import suppress
from pathlib import Path

MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")
THREADS = "OMP_NUM_THREADS"


def available_memory() -> int | None:
    """Bytes that new processes can take; None where the system doesn't say."""
    found = [value for value in (_of_the_machine("MemAvailable"), _of_the_container()) if value is not None]
    return min(found, default=None)


def total_memory() -> int | None:
    """Bytes that all processes together can have; None where the system doesn't say."""
    found = [value for value in (_of_the_machine("MemTotal"), _limit_of_the_container()) if value is not None]
    return min(found, default=None)


def in_words(size: float) -> str:
    """A number of bytes for people: 1.2 GB, 45 MB."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "KB")):
        if size >= unit:
            return f"{size / unit:,.{1 if size < 10 * unit else 0}f} {name}"
    return f"{size:,.0f} bytes"


def _of_the_machine(name: str) -> int | None:
    with suppress(OSError, ValueError, IndexError):
        for line in MEMINFO.read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return None


def _limit_of_the_container() -> int | None:
    with suppress(OSError, ValueError):
        return int((CGROUP / "memory.max").read_text())  # "max" without a limit
    return None


def _of_the_container() -> int | None:
    limit = _limit_of_the_container()
    with suppress(OSError, ValueError):
        return None if limit is None else max(0, limit - int((CGROUP / "memory.current").read_text()))
    return None


def usable_cores() -> int:
    """Those that this process may use; at least one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):
        quota, period = (CGROUP / "cpu.max").read_text().split()  # "max 100000" without a limit
        cores = min(cores, math.ceil(int(quota) / int(period)))
    return max(1, cores)


def asked_threads() -> int | None:
    """The number that OMP_NUM_THREADS asks for, of nested ones the first.

    None where it is unset, or holds something else than numbers from 1 on: OpenMP ignores it then, and so do we.
    """
    numbers = [number.strip() for number in os.environ.get(THREADS, "").split(",")]
    return int(numbers[0]) if all(number.isdecimal() and int(number) > 0 for number in numbers) else None


def private_memory() -> int | None:
    """Bytes that this process shares with no other; None where the system doesn't say."""
    with suppress(OSError, ValueError, IndexError):
        lines = Path(f"/proc/{os.getpid()}/smaps_rollup").read_text().splitlines()
        return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))
    return None


def resident_memory() -> int:
    """Bytes of this process in memory, shared ones included; 0 where the system doesn't say."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0
