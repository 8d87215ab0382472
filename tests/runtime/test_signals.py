"""Signals: recorded, acted upon where it is safe, and forced by a second one; nohup is respected."""

import importlib
import inspect
import pickle
import pkgutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import gan_exp
from gan_exp.runtime import signals
from gan_exp.runtime.signals import (
    STOPPING,
    Abandoned,
    Interrupted,
    abandoning,
    asked_to_stop,
    before_forced_exit,
    deferring,
    recording_signals,
    stop_if_asked,
    waiting,
)


class Left(BaseException):
    """Replaces the end of the process."""


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The exit codes of processes that ended at once."""
    codes: list[int] = []

    def leave(code: int) -> None:
        codes.append(code)
        raise Left

    monkeypatch.setattr(signals.os, "_exit", leave)
    yield codes


@pytest.fixture(autouse=True)
def no_nohup() -> Iterator[None]:
    """Restores the default of SIGHUP, in case the suite was started by nohup, which ignores it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", STOPPING)
def test_nothing_happens_until_it_is_safe(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with recording_signals():
        stop_if_asked()
        assert asked_to_stop() is None
        signal.raise_signal(number)
        assert asked_to_stop() is number
        with pytest.raises(Interrupted) as ended:
            stop_if_asked()
    assert ended.value.signal is number and ended.value.exit_code == 128 + number
    assert signal.getsignal(number) is before
    assert asked_to_stop() is None


def test_deferring_raises_nothing_and_abandoning_raises_abandoned() -> None:
    with recording_signals(), deferring():
        signal.raise_signal(signal.SIGTERM)
        stop_if_asked()
        with pytest.raises(Abandoned), abandoning():
            stop_if_asked()
        stop_if_asked()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_the_process(number: signal.Signals, left: list[int], capsys: Any) -> None:
    with recording_signals():
        signal.raise_signal(signal.SIGUSR1)
        with pytest.raises(Left):
            signal.raise_signal(number)
    assert left == [128 + number]
    assert capsys.readouterr().err == f"gan-exp: ended at once by {number.name}\n"


def test_the_callback_before_a_forced_exit_runs_once(left: list[int], capsys: Any) -> None:
    called: list[signal.Signals] = []

    def callback(number: signal.Signals) -> None:
        called.append(number)
        signal.raise_signal(signal.SIGTERM)  # the process doesn't wait for this either

    with recording_signals(), before_forced_exit(callback):
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(Left):
            signal.raise_signal(signal.SIGINT)
    assert called == [signal.SIGINT] and left[0] == 128 + signal.SIGTERM
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2])
def test_a_repeated_warning_does_not_end_the_process(number: signal.Signals, left: list[int]) -> None:
    """A terminal that is closed sends SIGHUP twice."""
    with recording_signals():
        signal.raise_signal(number)
        signal.raise_signal(number)
        assert asked_to_stop() is number
    assert left == []


def test_code_that_waits_for_a_network_is_interrupted_at_once() -> None:
    with recording_signals(), pytest.raises(Interrupted), waiting():
        signal.raise_signal(signal.SIGINT)
    with recording_signals():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(Interrupted), waiting():
            pytest.fail("it was too late to begin")


def test_nested_blocks_change_nothing() -> None:
    with recording_signals():
        with recording_signals():
            signal.raise_signal(signal.SIGTERM)
        assert asked_to_stop() is signal.SIGTERM


def test_nohup_is_respected() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with recording_signals():
            signal.raise_signal(signal.SIGHUP)
            assert asked_to_stop() is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_interruption_is_no_exception() -> None:
    assert not issubclass(Interrupted, Exception)


def test_other_threads_can_train_too() -> None:
    """Python lets only the main thread handle signals."""
    found: list[object] = []

    def train() -> None:
        with recording_signals():
            stop_if_asked()
            found.append(1)

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert found == [1]


def test_signals_are_handled_before_torch_is_imported() -> None:
    program = (
        "import importlib, signal, sys\n"
        "from gan_exp import cli\n"
        "handler = lambda: signal.getsignal(signal.SIGTERM)\n"
        "importlib.import_module = lambda name: sys.exit(f'{handler().__name__} {\"torch\" in sys.modules}')\n"
        "cli.main(['train'])\n"
    )
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False).stderr
    assert output == "_handle False\n"


def raised_here() -> Iterator[type[BaseException]]:
    """Every exception of the package."""
    for module in pkgutil.walk_packages(gan_exp.__path__, "gan_exp."):
        if not module.name.endswith("__main__"):
            for found in vars(importlib.import_module(module.name)).values():
                if inspect.isclass(found) and issubclass(found, BaseException) and found.__module__ == module.name:
                    yield found


@pytest.mark.parametrize("kind", sorted(raised_here(), key=lambda kind: kind.__name__), ids=lambda kind: kind.__name__)
def test_exceptions_cross_processes(kind: type[BaseException]) -> None:
    """A job of a parallel sweep sends its exceptions to the main process, which must be able to unpickle them."""
    values = {"number": signal.SIGTERM, "reported": True, "step": 3}
    own = inspect.signature(kind).parameters if "__init__" in vars(kind) else {}
    error = kind(*[values.get(name, "a sentence") for name in own] or ["a sentence"])
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind and str(copy) == str(error) and vars(copy) == vars(error)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_wait_for_a_thread_without_another_word(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = iter([None, signal.Signals(number)])
    monkeypatch.setattr(signals, "asked_to_stop", lambda: next(asked))
    serving = threading.Event()
    server = threading.Thread(target=serving.wait)
    server.start()
    with pytest.raises(Interrupted) as caught:
        signals.wait_for(server)
    serving.set()
    server.join()
    assert caught.value.exit_code == 128 + number and caught.value.reported


def test_within_another_program_a_second_ctrl_c_does_not_end_it(left: list[int]) -> None:
    with recording_signals(embedded=True), deferring():
        signal.raise_signal(signal.SIGINT)
        with recording_signals(), pytest.raises(KeyboardInterrupt):  # as a run does
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(Left):
            signal.raise_signal(signal.SIGTERM)
    assert left == [128 + signal.SIGTERM]
