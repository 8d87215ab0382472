"""`python -m benchmarks.speed.startup`: start-up times of commands, and the memory of the article's run.

Each command is its own process, as a user starts it. The commands are run alternately, so that a drift of the machine
affects all of them. The output of the command shows when the first step is done.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.machine import describe_machine, sentence
from benchmarks.speed.data import load_images, mnist_folder
from benchmarks.speed.measure import thread_variables
from benchmarks.speed.report import save_results, spread, write_section
from benchmarks.tables import as_markdown, as_text

GAN_EXP = str(Path(sys.executable).with_name("gan-exp"))
FIRST = "step 1/"


def seconds_to_end(words: list[str], folder: Path, environment: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(words, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def seconds_to_first_step(words: list[str], folder: Path, environment: dict[str, str]) -> float:
    """Until the line of the first step is printed; then the run is ended."""
    began = time.perf_counter()
    words = [*words, "log_every_steps=1", "display=plain"]
    with subprocess.Popen(words, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        seconds = next((time.perf_counter() - began for line in process.stdout if line.startswith(FIRST)), None)
        process.kill()
    assert seconds is not None, f"{' '.join(words)} ended before its first step"
    return seconds


def peak_mebibytes(words: list[str], folder: Path, environment: dict[str, str]) -> float:
    """The largest resident set of the process until its end."""
    process = subprocess.Popen(words, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"{' '.join(words)} failed"
    return usage.ru_maxrss / 1024


def write_mnist(root: Path) -> None:
    """Files that torchvision takes for MNIST, with drawn strokes in them."""
    folder = root / "MNIST/raw"
    folder.mkdir(parents=True)
    for part, count in (("train", 60_000), ("t10k", 10_000)):
        sizes = np.array([count, 28, 28], ">i4").tobytes()
        (folder / f"{part}-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03" + sizes + load_images(count).tobytes())
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01" + sizes[:4] + bytes(count))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=9, help="runs of each command after a warm-up (default 9)")
    parser.add_argument("--data", type=mnist_folder, help="the folder that holds MNIST/raw (default: drawn strokes)")
    parser.add_argument("--quick", action="store_true", help="one run of each, to test that it runs")
    parser.add_argument("--docs", action="store_true", help="write the table into docs/performance.md")
    options = parser.parse_args()
    repeats = 1 if options.quick else options.repeats
    machine = describe_machine(options.threads)
    print(sentence(machine), flush=True)
    with tempfile.TemporaryDirectory(prefix="gan-exp-bench-") as place:
        folder = Path(place)
        root = Path(options.data) if options.data else folder / "data"
        if not options.data:
            write_mnist(root)
        environment = {**os.environ, **thread_variables(options.threads), "GAN_EXP_DATA": str(root)}
        threads = f"device.threads={options.threads}"
        plain = [GAN_EXP, "train", "device=cpu", threads]
        article = [GAN_EXP, "train", "experiment=article", "device=cpu", threads]
        memory = "gan-exp train experiment=article, peak memory"
        commands: dict[str, tuple[Callable[..., float], list[str], str]] = {
            "python -c pass (for comparison)": (seconds_to_end, [sys.executable, "-c", "pass"], "s"),
            "gan-exp --help": (seconds_to_end, [GAN_EXP, "--help"], "s"),
            "gan-exp train --help": (seconds_to_end, [GAN_EXP, "train", "--help"], "s"),
            "gan-exp train, until the first step": (seconds_to_first_step, plain, "s"),
            "gan-exp train experiment=article, until the first step": (seconds_to_first_step, article, "s"),
            memory: (peak_mebibytes, [*article, "steps=1000"], "MiB"),
        }
        found: dict[str, list[float]] = {name: [] for name in commands}
        for number in range(repeats + 1):
            for name, (take, words, _) in commands.items():
                if take is peak_mebibytes and number % 3 != 1:
                    continue  # a third of the runs: it takes long and hardly varies
                value = take(words, folder, environment)
                if number > 0:  # the first one may read files from the disk
                    found[name].append(value)
    rows = [["command", "median (quartiles)"]]
    for name, (_, _, unit) in commands.items():
        rows.append([name, f"{spread(found[name], 2 if unit == 's' else 0)} {unit}"])
    print(as_text(rows))
    save_results("startup", {"machine": machine, "found": found, "medians": _medians(found)})
    if options.docs:
        counts = f"{repeats} runs of each command ({len(found[memory])} for memory)"
        write_section("start-up", f"{as_markdown(rows)}\n\n{counts}. {sentence(machine)}.")
    return 0


def _medians(found: dict[str, list[float]]) -> dict[str, float]:
    return {name: statistics.median(values) for name, values in found.items()}


if __name__ == "__main__":
    sys.exit(main())
