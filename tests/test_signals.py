"""Signals: raised at once, or noted first and raised the second time; nohup is respected."""

import signal
import threading

import pytest

from gan_exp.signals import STOPPING, Interrupted, StopRequest, raising_interrupted


@pytest.mark.parametrize("number", STOPPING)
def test_at_once(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Interrupted) as ended, raising_interrupted():
        signal.raise_signal(number)
    assert ended.value.signal is number and ended.value.exit_code == 128 + number
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("number", STOPPING)
def test_noted_first(number: signal.Signals) -> None:
    stop = StopRequest()
    with stop.noting():
        assert stop.received is None
        signal.raise_signal(number)
        assert stop.received is number
        with pytest.raises(Interrupted):  # any second one
            signal.raise_signal(signal.SIGTERM)


def test_both_within_each_other() -> None:
    with pytest.raises(Interrupted), raising_interrupted():
        with StopRequest().noting():
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)


def test_nohup_is_respected() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with raising_interrupted():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_interruption_is_no_fault() -> None:
    assert not issubclass(Interrupted, Exception)


def test_other_threads_can_train_too() -> None:
    """Python lets only the main thread handle signals."""
    found: list[object] = []

    def train() -> None:
        with StopRequest().noting():
            found.append(1)

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert found == [1]
