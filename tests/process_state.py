"""What a process has once, and a test may change: put back, so that no test depends on those before it."""

import logging
import os
import random
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gan_exp.runtime.signals import STOPPING

THREADS = int(os.environ.get("OMP_NUM_THREADS", "1"))


@contextmanager
def process_unchanged(temporary: Path | None = None) -> Iterator[None]:
    """Whatever is done within. Modules from files below `temporary` are forgotten: another test has others so named."""
    back = [_environment(), _imports(temporary), _logging(), _signals(), _hydra(), _working_directory()]
    _seed()
    try:
        yield
    finally:
        _reset_torch()
        for put_back in back:
            put_back()


def _environment() -> Callable[[], None]:
    before = dict(os.environ)

    def put_back() -> None:
        if os.environ != before:
            for name in set(os.environ) - set(before):
                del os.environ[name]
            os.environ.update(before)

    return put_back


def _imports(temporary: Path | None) -> Callable[[], None]:
    path, words, modules = list(sys.path), list(sys.argv), set(sys.modules)

    def put_back() -> None:
        sys.path[:], sys.argv = path, words
        for name in set(sys.modules) - modules if temporary else ():
            place = getattr(sys.modules[name], "__file__", None)
            if place is not None and Path(place).is_relative_to(str(temporary)):
                del sys.modules[name]

    return put_back


def _logging() -> Callable[[], None]:
    log = logging.getLogger()
    level, handlers, disabled = log.level, list(log.handlers), log.manager.disable

    def put_back() -> None:
        log.setLevel(level)
        log.handlers[:] = handlers
        logging.disable(disabled)

    return put_back


def _signals() -> Callable[[], None]:
    before = {number: signal.getsignal(number) for number in STOPPING}

    def put_back() -> None:
        for number, handler in before.items():
            if signal.getsignal(number) != handler:
                signal.signal(number, handler)

    return put_back


def _hydra() -> Callable[[], None]:
    """`gan-exp train` puts classes of its own into Hydra."""
    before = _of_hydra()

    def put_back() -> None:
        for name in before:
            setattr(sys.modules["hydra._internal.hydra"], name, before[name])

    return put_back


def _of_hydra() -> dict[str, Any]:
    module = sys.modules.get("hydra._internal.hydra")
    return {} if module is None else {name: getattr(module, name) for name in ("Hydra", "ConfigLoaderImpl")}


def _working_directory() -> Callable[[], None]:
    before = Path.cwd()

    def put_back() -> None:
        try:
            moved = Path.cwd() != before
        except FileNotFoundError:  # it was removed
            moved = True
        if moved:
            os.chdir(before)

    return put_back


def _seed() -> None:
    """The generators that all of a process share: each test draws the same, whatever drew before it."""
    random.seed(0)
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed(0)
    if torch := sys.modules.get("torch"):
        torch.default_generator.manual_seed(0)


def _reset_torch() -> None:
    if torch := sys.modules.get("torch"):
        torch.set_flush_denormal(False)
        torch.set_float32_matmul_precision("highest")
        if torch.get_num_threads() != THREADS:
            torch.set_num_threads(THREADS)  # another number sums in another order
        torch.set_default_dtype(torch.float32)
        torch.set_grad_enabled(True)
        if torch.are_deterministic_algorithms_enabled():  # turning them off imports much
            torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.benchmark = torch.backends.cudnn.deterministic = False
