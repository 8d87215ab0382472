"""The machine of a measurement, and its load."""

import os
import platform
import subprocess
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch


def busy_seconds() -> float:
    """CPU time of all processes since the machine started, including time that the hypervisor took."""
    user, nice, system, _, _, interrupts, soft_interrupts, stolen = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    )
    ticks = user + nice + system + interrupts + soft_interrupts + stolen
    return ticks / os.sysconf("SC_CLK_TCK")


def describe_machine(threads: int, keras_python: Path | None = None) -> dict[str, Any]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "date": date.today().isoformat(),
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "threads": threads,
        "memory_gib": round(memory, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "widest_simd": torch.backends.cpu.get_cpu_capability(),
        "load_before": round(os.getloadavg()[0], 2),
        "versions": {"python": platform.python_version(), "torch": version("torch"), **_versions(keras_python)},
    }


def sentence(machine: dict[str, Any]) -> str:
    threads = f"{machine['threads']} thread{'s' * (machine['threads'] > 1)}"
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    return (
        f"{machine['date']}, {machine['cpu']} ({machine['widest_simd']}), {machine['cores']} cores, "
        f"{machine['memory_gib']:.0f} GiB, {machine['system']}, {threads}, "
        f"load {machine['load_before']} before the start; {versions}"
    )


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _versions(python: Path | None) -> dict[str, str]:
    """Of the packages in another environment."""
    if python is None:
        return {}
    code = (
        "from importlib.metadata import distributions as d\n"
        "names = {'keras': 'keras', 'tensorflow': 'tensorflow', 'tensorflow_cpu': 'tensorflow', 'jax': 'jax'}\n"
        "[print(names[n], x.version) for x in d() if (n := x.metadata['Name'].replace('-', '_').lower()) in names]"
    )
    listed = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False).stdout
    return dict(line.split() for line in sorted(listed.splitlines()))
