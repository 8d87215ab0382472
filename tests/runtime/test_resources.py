"""Memory and cores, within a container too."""

from pathlib import Path

import pytest

from gan_exp.runtime import resources


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in the place of the kernel's files."""
    monkeypatch.setattr(resources, "CGROUP", tmp_path)
    monkeypatch.setattr(resources, "MEMINFO", tmp_path / "meminfo")
    return tmp_path


def test_memory(machine: Path) -> None:
    assert resources.available_memory() is None
    (machine / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    4000 kB\n")
    assert resources.available_memory() == 4000 * 1024
    (machine / "memory.max").write_text("max\n")
    (machine / "memory.current").write_text("1000\n")
    assert resources.available_memory() == 4000 * 1024
    (machine / "memory.max").write_text("3000\n")
    assert resources.available_memory() == 2000


@pytest.mark.parametrize(("limit", "cores"), [("", 6), ("max 100000", 6), ("250000 100000", 3), ("50000 100000", 1)])
def test_cores(limit: str, cores: int, machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(6)))
    if limit:
        (machine / "cpu.max").write_text(limit)
    assert resources.usable_cores() == cores


@pytest.mark.parametrize(
    ("given", "threads"),
    [("4", 4), ("4,2", 4), (" 3 ", 3), ("", None), ("0", None), ("many", None), ("4,x", None), (None, None)],
)
def test_asked_threads(given: str | None, threads: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if given is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    assert resources.asked_threads() == threads
