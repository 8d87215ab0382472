"""Stops a run at every instant, within one process: `main`, whose arguments are PLACE -- WORDS of train.

Trains one run that is never stopped. Trains it again, and before each system call (and in the middle of each write)
records the state that a killed process would leave on the disk, and those that a power cut might. Resumes from each of
these states, equal ones once, and compares. Each is resumed in a forked child, since importing PyTorch takes longer
than the whole run.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from crash.disk import Disk, write_tree
from crash.syscalls import Watched

OVERLOOKED = ("log.txt", ".lock")  # states that differ in these only are resumed once


def main() -> None:
    parser = argparse.ArgumentParser(prog="crash.driver", description=__doc__)
    parser.add_argument("place", type=Path, help="an empty directory")
    parser.add_argument("--states", type=int, help="try so many, chosen by --seed (all)")
    parser.add_argument("--again", type=int, default=0, help="try all states of so many resumed runs too")
    parser.add_argument("--prepared", type=Path, help="directory of directories, each with a stopped `run`")
    parser.add_argument("--kills", type=int, default=0, help="really kill so many processes")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("words", nargs="+")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # a forked child would wait forever for the threads of its parent
    os.chdir(options.place)
    chosen = random.Random(options.seed)

    from gan_exp.cli import main as gan_exp

    assert gan_exp(["train", *options.words, "hydra.run.dir=whole"]) == 0  # here, so that the children need no imports
    again = ["train", "--again", "whole", "hydra.run.dir=run"]
    Path("record/run").mkdir(parents=True)
    states, calls = _record(Path("record"), Path("states"), again)

    def choose(among: list[Path], count: int | None) -> list[Path]:
        return among if count is None else sorted(chosen.sample(among, min(count, len(among))))

    tried = choose(states, options.states)
    for number, state in enumerate(choose([s for s in states if (s / "run/config.yaml").exists()], options.again)):
        resumed = Path(f"again-{number}")
        shutil.copytree(state, resumed)
        tried += choose(_record(resumed, Path(f"states-{number}"), ["resume", "run"])[0], options.states)
    if options.prepared is not None:
        tried += sorted(options.prepared.iterdir())
    tried += [_kill(Path(f"killed/{number}"), chosen.randrange(calls), again) for number in range(options.kills)]
    faults = _check_all(tried, options.processes)
    print(json.dumps({"states": len(states), "calls": calls, "tried": len(tried), "faults": faults}, indent=2))
    sys.exit(bool(faults))


def _record(place: Path, states: Path, words: list[str]) -> tuple[list[Path], int]:
    """The states of `place`/run while `words` run, each in its own directory, and the number of calls."""
    shutil.copytree("whole", place / "whole")
    states = states.absolute()
    status = _wait(_fork(lambda: _recording(states, words), place))
    assert status == 0, (place / "output").read_text()
    found = sorted(path.relative_to(Path.cwd()) for path in states.iterdir() if path.is_dir())
    return found, int((states / "calls").read_text())


def _recording(states: Path, words: list[str]) -> int:
    seen: set[int] = set()
    calls = 0
    disk = Disk(Path("run").resolve())

    def note(words: str) -> None:
        nonlocal calls
        calls += 1
        for kind, tree in disk.states():
            content = hash(frozenset(item for item in tree.items() if item[0] not in OVERLOOKED))
            if content not in seen:
                seen.add(content)
                state = states / f"{len(seen):05}"
                write_tree(tree, state / "run")
                (state / "when").write_text(f"{words} (call {calls}): {kind}")

    states.mkdir()
    code = _watched(disk, note, words)
    (states / "calls").write_text(str(calls))
    return code


def _kill(place: Path, call: int, words: list[str]) -> Path:
    """A real SIGKILL at one of the calls; returns `place`."""
    left = call

    def kill(_: str) -> None:
        nonlocal left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    (place / "run").mkdir(parents=True)
    shutil.copytree("whole", place / "whole")
    (place / "when").write_text(f"killed at call {call}")
    status = _wait(_fork(lambda: _watched(Disk(Path("run").resolve()), kill, words), place))
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, _read(place / "output")
    return place


def _watched(disk: Disk, at: Callable[[str], None], words: list[str]) -> int:
    from gan_exp.cli import main as gan_exp

    with Watched(disk, at).watching():
        code = gan_exp(words)
        at("at the end")
    return code


def _check_all(states: list[Path], processes: int) -> list[str]:
    """Resume from each state and compare; a sentence for each that differs from the run that was never stopped."""
    whole = Path("whole").absolute()
    running: dict[int, Path] = {}
    rest: Iterator[Path] = iter(states)
    faults: list[str] = []
    while True:
        while len(running) < processes and (state := next(rest, None)) is not None:
            running[_fork(lambda: _check(whole), state)] = state
        if not running:
            return faults
        pid, status = os.wait()
        state = running.pop(pid)
        if status:
            faults.append(f"{state}: {_read(state / 'when')}: {_read(state / 'output')[-2000:]}")
        else:
            shutil.rmtree(state)


def _check(whole: Path) -> int:
    from crash.compare import differences
    from gan_exp.cli import main as gan_exp

    begun = Path("run/config.yaml").exists()
    code = gan_exp(["resume", "run"])
    if not begun:
        return 0 if code == 2 else 1  # it says that nothing has begun
    found = differences(whole, Path("run")) if code == 0 else [f"exit code {code}"]
    print(*found, sep="\n")
    return 1 if found else 0


def _read(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


def _fork(act: Callable[[], int], place: Path) -> int:
    """Run `act` in a child in the directory `place`, with its output in `output` there and `act`'s exit code."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        os.chdir(place)
        output = os.open("output", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        code = act()
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _wait(pid: int) -> int:
    return os.waitpid(pid, 0)[1]
