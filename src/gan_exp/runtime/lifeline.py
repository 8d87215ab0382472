"""How each of several processes learns that another has died or failed, whatever it is busy with.

An exchange of tensors may wait for ever for a process that is gone (with NCCL it does), and rank 0 may be busy for an
hour. So each has a connection to rank 0, on which a thread listens: the system closes it when a process dies.
"""

import json
import os
import re
import secrets
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from gan_exp.errors import TrainingFault, UserError
from gan_exp.runtime.signals import Interrupted, stop_if_asked
from gan_exp.runtime.terminal import report

GRACE_S = 10.0  # for the main thread to end the run in its own way, before the listening thread ends the process
NEWS_S = 3.0  # until the cause of a broken exchange is known
TASK = "GAN_EXP_TASK"  # the environment variable with which processes started by device.processes learn what to train
BROKEN = "exchange"  # the kind of a failure that another rank has caused
PATIENCE_S = 60.0  # for the last words of rank 0
_until_the_end: list[socket.socket] = []
LONG = 1 << 20  # bytes of a message


class RankFailed(Exception):
    """Another process of this training has died or failed."""


class Lifeline:
    """The connection of this rank to rank 0, or of rank 0 to all others. `store` tells them where rank 0 listens."""

    def __init__(self, rank: int, count: int, address: str, store: Any, limit_s: float) -> None:
        self._rank, self._count = rank, count
        self._news = threading.Event()
        self._failure: Exception | None = None  # of another rank
        self._has_failed = False  # by itself, and not since another one's end broke an exchange
        self._before_end: Callable[[Exception], None] = lambda failure: report(str(failure))
        self._left, self._first_has_ended = threading.Event(), threading.Event()
        self._sockets = _meet(rank, count, address, store, limit_s)
        for other, connection in self._sockets.items():
            listen = self._listen_to_others if rank == 0 else self._listen_to_first
            threading.Thread(target=listen, args=(other, connection), name=f"rank {other}", daemon=True).start()

    def cause_of(self, error: Exception) -> Exception:
        """The failure of another rank, if an exchange broke by it; else `error`."""
        if isinstance(error, UserError | TrainingFault):
            return error
        if isinstance(error, RuntimeError):
            self._news.wait(NEWS_S)
        return self._failure or error

    @contextmanager
    def before_end(self, call: Callable[[Exception], None]) -> Iterator[None]:
        """If the process must be ended while it is stuck because another has failed, call `call` with that before."""
        before, self._before_end = self._before_end, call
        try:
            yield
        finally:
            self._before_end = before

    def leave(self, error: BaseException | None = None) -> None:
        """Tell rank 0, or all others, that this one ends, and whether by a failure: then they end too."""
        message: dict[str, Any] = {"failed": False}
        if error is not None:
            message = {"failed": True, "code": _exit_code(error), **_described(error)}
            self._has_failed = message["kind"] != BROKEN
        for connection in self._sockets.values():
            with suppress(OSError):
                connection.sendall(json.dumps(message).encode() + b"\n")

    def close(self) -> None:
        """The last call: the exchange of tensors is over, and the threads may go.

        The first process ends first, since a launcher that sees another end sends a signal to it, which might come
        while it still writes. So it keeps its connections until the system closes them.
        """
        self._left.set()
        if self._rank == 0:
            _until_the_end.extend(self._sockets.values())
        else:
            self._first_has_ended.wait(PATIENCE_S)
            for connection in self._sockets.values():
                connection.close()

    def _listen_to_others(self, other: int, connection: socket.socket) -> None:
        """In rank 0: it ends the run by itself where an exchange breaks, and is ended where it doesn't."""
        message = _receive(connection)
        if self._left.is_set() or (message is not None and not message["failed"]):
            return
        who = f"process {other} of {self._count}"
        broken = message is not None and message["kind"] == BROKEN
        if self._failure is None or not (broken or self._news.is_set()):
            self._failure = RankFailed(f"{who} has died") if message is None else _failure(message, who)
        if not broken:  # by a third one, whose end is the cause
            self._news.set()
        if not self._left.wait(GRACE_S):
            with suppress(BaseException):
                self._before_end(self._failure)
            os._exit(1)

    def _listen_to_first(self, _: int, connection: socket.socket) -> None:
        """In the others, which hold nothing that is not also in rank 0."""
        message = _receive(connection)
        connection.settimeout(PATIENCE_S)
        with suppress(OSError):
            connection.recv(1)  # nothing comes: it returns when rank 0 has ended
        says_so = self._rank == 1 and TASK not in os.environ  # else the process that started it does
        if message is None and says_so and not self._has_failed:
            report(f"process 0 of {self._count}, which writes the run, has died; continue with: gan-exp resume latest")
        if message is None or message["failed"]:
            os._exit(1 if message is None else message["code"])
        self._first_has_ended.set()


def _exit_code(error: BaseException) -> int:
    return error.exit_code if isinstance(error, Interrupted) else 2 if isinstance(error, UserError) else 1


def _described(error: BaseException) -> dict[str, str]:
    import torch

    of_memory = (MemoryError, torch.OutOfMemoryError)
    kind = BROKEN if isinstance(error, RuntimeError) and re.search("gloo|nccl", str(error), re.IGNORECASE) else "other"
    for name, kinds in {"input": (UserError,), "training": (TrainingFault,), "memory": of_memory}.items():
        if isinstance(error, kinds):
            kind = name
    return {
        "kind": kind,
        "text": str(error) if kind in ("input", "training") else f"{type(error).__name__}: {error}",
        "trace": "".join(traceback.format_exception(error))[-LONG // 4 :],
    }


def _failure(message: dict[str, Any], who: str) -> Exception:
    """What rank 0 raises for the failure of another."""
    kinds: dict[str, type[Exception]] = {"input": UserError, "training": TrainingFault, "memory": MemoryError}
    failure = kinds.get(message["kind"], RankFailed)(f"{who}: {message['text']}")
    failure.add_note(message["trace"])
    return failure


def _meet(rank: int, count: int, address: str, store: Any, limit_s: float) -> dict[int, socket.socket]:
    """Connections by the rank at the other end; only processes that can read the store get one."""
    if rank > 0:
        port, token = store.get("lifeline").decode().split()
        connection = socket.create_connection((address, int(port)), timeout=limit_s)
        connection.sendall(f"{token} {rank}\n".encode())
        return {0: _kept_alive(connection)}
    token, found = secrets.token_hex(16), dict[int, socket.socket]()
    until = time.monotonic() + limit_s
    with _server(address) as server:
        store.set("lifeline", f"{server.getsockname()[1]} {token}")
        server.settimeout(0.5)
        while len(found) < count - 1:
            stop_if_asked()
            try:
                connection, _ = server.accept()
            except TimeoutError:
                if time.monotonic() > until:
                    raise
                continue
            connection.settimeout(10.0)
            words = _read_line(connection).decode(errors="replace").split()
            if len(words) == 2 and secrets.compare_digest(words[0].encode(), token.encode()) and words[1].isdecimal():
                found[int(words[1])] = _kept_alive(connection)
            else:
                connection.close()
    return found


def _server(address: str) -> socket.socket:
    """On a free port; other machines reach it only if the address is one that they know."""
    if address in ("127.0.0.1", "localhost"):
        return socket.create_server(("127.0.0.1", 0))
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", 0))


def _kept_alive(connection: socket.socket) -> socket.socket:
    """Blocking, and broken half a minute after the other machine has vanished."""
    connection.settimeout(None)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return connection


def _receive(connection: socket.socket) -> dict[str, Any] | None:
    """The one message of a rank; None if it has died without one."""
    try:
        message = json.loads(_read_line(connection) or b"null")
    except (OSError, ValueError):
        return None
    return message if isinstance(message, dict) else None


def _read_line(connection: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n") and len(line) < LONG:
        more = connection.recv(1 << 16)
        if not more:
            return b""
        line += more
    return line
