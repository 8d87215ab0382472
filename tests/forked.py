"""Processes which signals, deaths and full disks reach, forked from this one: torch is imported already."""

import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, NoReturn

from gan_exp.cli import main
from gan_exp.runtime.signals import STOPPING

INTERVAL_S = 0.005


class Forked:
    """Ends with what `act` returns; `communicate` and the rest are those of subprocess.Popen with text in pipes."""

    def __init__(self, act: Callable[[], int], place: Path, environ: Mapping[str, str] | None = None) -> None:
        self.returncode: int | None = None
        self._outputs = [tempfile.TemporaryFile(), tempfile.TemporaryFile()]  # noqa: SIM115
        place.mkdir(parents=True, exist_ok=True)
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            _live(act, place, dict(os.environ if environ is None else environ), self._outputs)

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self, timeout: float) -> int:
        until = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(INTERVAL_S)
        assert self.returncode is not None
        return self.returncode

    def communicate(self, timeout: float) -> tuple[str, str]:
        """What it has printed, when it has ended."""
        self.wait(timeout)
        for file in self._outputs:
            file.seek(0)
        printed, complaints = (file.read().decode() for file in self._outputs)
        return printed, complaints

    def __del__(self) -> None:
        for file in self._outputs:
            file.close()

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def fork_command(
    place: Path, *words: str, environ: Mapping[str, str] | None = None, first: Callable[[], object] = lambda: None
) -> Forked:
    """`gan-exp WORDS` in `place`; `first` is called before it in the process."""

    def act() -> int:
        first()
        sys.argv = ["gan-exp", *words]
        return main()

    return Forked(act, place, environ)


def _live(act: Callable[[], int], place: Path, environ: dict[str, str], outputs: list[IO[bytes]]) -> NoReturn:
    code = 70
    try:
        os.setsid()
        for number in STOPPING:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        os.chdir(place)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for descriptor, file in enumerate(outputs, 1):
            os.dup2(file.fileno(), descriptor)
        sys.stdin, sys.stdout, sys.stderr = map(os.fdopen, range(3), "rww")
        os.environ.clear()
        os.environ.update(environ)
        sys.path[:0] = filter(None, environ.get("PYTHONPATH", "").split(os.pathsep))
        code = act()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    except BaseException:
        code = 1
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
