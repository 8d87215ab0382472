"""How rank 0 learns who has died or failed; tests/training/test_together.py does it with real processes."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gan_exp.errors import TrainingFault, UserError
from gan_exp.runtime import lifeline as lifeline_module
from gan_exp.runtime.lifeline import Lifeline, RankFailed

BROKEN = RuntimeError("[gloo/transport/tcp/pair.cc] Connection closed by peer")


class Store:
    """What torch's store does for a lifeline."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def set(self, key: str, value: str) -> None:
        self.values[key] = value

    def get(self, key: str) -> bytes:
        while key not in self.values:
            time.sleep(0.001)
        return self.values[key].encode()


@contextmanager
def two_others() -> Iterator[tuple[Lifeline, socket.socket, socket.socket]]:
    """The lifeline of rank 0 of three, and the other ends. A stranger's connection is refused."""
    store, made = Store(), list[Lifeline]()
    thread = threading.Thread(target=lambda: made.append(Lifeline(0, 3, "127.0.0.1", store, 60.0)))
    thread.start()
    port, token = store.get("lifeline").decode().split()
    others = []
    for words in ("wrong 1", f"{token} 1", f"{token} 2"):
        others.append(socket.create_connection(("127.0.0.1", int(port))))
        others[-1].sendall(f"{words}\n".encode())
    stranger, first, second = others
    thread.join()
    assert stranger.recv(1) == b""
    try:
        yield made[0], first, second
    finally:
        made[0].close()
        for connection in (*others, *lifeline_module._until_the_end):
            connection.close()
        lifeline_module._until_the_end.clear()


def tell(connection: socket.socket, **message: object) -> None:
    connection.sendall(json.dumps({"failed": True, "code": 1, "trace": "its traceback", **message}).encode() + b"\n")


def test_one_that_dies_is_named_though_another_notices_first() -> None:
    with two_others() as (lifeline, first, second):
        tell(second, kind="exchange", text=f"RuntimeError: {BROKEN}")
        time.sleep(0.05)
        first.close()
        cause = lifeline.cause_of(BROKEN)
        assert isinstance(cause, RankFailed) and str(cause) == "process 1 of 3 has died"
        own = TrainingFault("of this one")
        assert lifeline.cause_of(own) is own


@pytest.mark.parametrize(
    ("kind", "made"),
    [("input", UserError), ("training", TrainingFault), ("memory", MemoryError), ("other", RankFailed)],
)
def test_the_failure_of_another(kind: str, made: type[Exception]) -> None:
    with two_others() as (lifeline, _, second):
        tell(second, kind=kind, text="what happened")
        cause = lifeline.cause_of(BROKEN)
        assert isinstance(cause, made) and str(cause) == "process 2 of 3: what happened"
        assert cause.__notes__ == ["its traceback"]


def test_those_that_leave_as_they_should() -> None:
    with two_others() as (lifeline, first, second):
        for connection in (first, second):
            connection.sendall(b'{"failed": false}\n')
            connection.close()
        time.sleep(0.05)
        error = ValueError("of this one")
        assert lifeline.cause_of(error) is error
