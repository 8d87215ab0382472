"""The server answers its own page on this machine, and nobody else."""

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from gan_exp.errors import UserError
from gan_exp.play import server
from gan_exp.play.server import LARGEST_QUESTION, PageServer, start
from waiting import LONGEST_WAIT_S


def answer(body: bytes) -> bytes | dict[str, Any]:
    if body == b"refuse":
        raise UserError("at: must be below 1")
    if body == b"fail":
        raise RuntimeError("the network\nfell over")
    return {"heard": body.decode()} if body else b"\x89PNG"


@pytest.fixture
def running() -> Iterator[PageServer]:
    with PageServer(0, "<p>hello</p>", "default-src 'none'", {"/image": answer}) as running:
        thread = threading.Thread(target=running.serve_forever, args=[0.01])
        thread.start()
        yield running
        running.shutdown()
        thread.join()


Reply = tuple[int, dict[str, str], str]


class Client:
    """One connection, which stays open."""

    def __init__(self, running: PageServer) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", running.server_port, timeout=LONGEST_WAIT_S)

    def __call__(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Reply:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        self.connection.request(method, path, body, given)
        response = self.connection.getresponse()
        return response.status, dict(response.headers), response.read().decode(errors="replace")


@pytest.fixture
def client(running: PageServer) -> Iterator[Client]:
    client = Client(running)
    yield client
    client.connection.close()


JSON = "application/json"


def test_the_page_and_its_answers(client: Client) -> None:
    status, headers, text = client("GET", "/")
    assert (status, text) == (200, "<p>hello</p>") and headers["Content-Type"].startswith("text/html")
    assert headers["Content-Security-Policy"] == "default-src 'none'" and headers["Cache-Control"] == "no-store"
    assert not any(name.startswith("Access-Control") for name in headers) and "Server" not in headers
    used = client.connection.sock
    status, headers, text = client("POST", "/image", b"a question", Content_Type=JSON)
    assert (status, json.loads(text)) == (200, {"heard": "a question"})
    assert client("POST", "/image", b"", Content_Type=JSON)[1]["Content-Type"] == "image/png"
    assert client.connection.sock is used  # it stayed open


def test_it_listens_on_the_loopback_address_alone(running: PageServer) -> None:
    assert running.server_address[0] == "127.0.0.1" and running.address == f"http://127.0.0.1:{running.server_port}/"


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "LOCALHOST:80", "[::1]:9000"])
def test_a_tunnel_may_have_another_port(client: Client, host: str) -> None:
    assert client("GET", "/", Host=host)[0] == 200
    assert client("POST", "/image", b"x", Host=host, Origin=f"http://{host}", Content_Type=JSON)[0] == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example:80", "localhost@evil.example", "[bad", "", "169.254.169.254"]
)
def test_other_hosts_are_refused(client: Client, host: str) -> None:
    """A page elsewhere whose name leads here, after its browser has loaded it (DNS rebinding)."""
    for method, path in (("GET", "/"), ("POST", "/image")):
        status, headers, text = client(method, path, b"{}", Host=host, Content_Type=JSON)
        assert status == 403 and text.startswith("this page is at http://127.0.0.1:") and "hello" not in text
        assert headers["Connection"] == "close"


def test_two_hosts_are_refused(running: PageServer) -> None:
    with socket.create_connection(running.server_address) as plain:  # type: ignore[arg-type]
        plain.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
        assert plain.recv(1000).startswith(b"HTTP/1.1 403")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example", "Content_Type": JSON}, 403),
        ({"Origin": "null", "Content_Type": JSON}, 403),
        ({"Content_Type": "text/plain"}, 415),  # what a page elsewhere may send without asking
        ({"Content_Type": "application/x-www-form-urlencoded"}, 415),
        ({}, 415),
    ],
)
def test_other_pages_are_refused(client: Client, headers: dict[str, str], status: int) -> None:
    assert client("POST", "/image", b"x", **headers)[0] == status
    assert client("OPTIONS", "/image", Origin="http://evil.example")[0] == 501


def test_faults_are_sentences_and_it_goes_on(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    status, headers, text = client("POST", "/image", b"refuse", Content_Type=JSON)
    assert (status, text) == (400, "at: must be below 1") and headers["Content-Type"].startswith("text/plain")
    assert capsys.readouterr().err == ""
    status, _, text = client("POST", "/image", b"fail", Content_Type=JSON)
    assert (status, text) == (500, "/image: RuntimeError: the network fell over")
    assert capsys.readouterr().err == f"gan-exp: {text}\n"
    assert client("POST", "/image", b"x", Content_Type=JSON)[0] == 200


@pytest.mark.parametrize(
    ("length", "status"), [(str(LARGEST_QUESTION + 1), 413), ("9" * 5000, 413), ("-1", 411), ("x", 411), (None, 411)]
)
def test_the_size_of_a_question_is_bounded(client: Client, length: str | None, status: int) -> None:
    client.connection.putrequest("POST", "/image")
    client.connection.putheader("Content-Type", JSON)
    if length is not None:
        client.connection.putheader("Content-Length", length)
    client.connection.endheaders()
    assert client.connection.getresponse().status == status


def test_there_is_nothing_else(client: Client) -> None:
    for path in ("/image", "/../../etc/passwd", "/favicon.ico", "http://evil.example/"):
        assert client("GET", path, Host="localhost")[0] == 404
    assert client("POST", "/", b"{}", Content_Type=JSON)[::2] == (404, "known are /image")


def test_no_noise_for_what_is_no_request(running: PageServer, capfd: pytest.CaptureFixture[str]) -> None:
    for nonsense in (b"\x16\x03\x01 hello\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\n"):
        with socket.create_connection(running.server_address) as plain:  # type: ignore[arg-type]
            plain.sendall(nonsense)
            plain.shutdown(socket.SHUT_WR)
            plain.recv(1000)
    assert capfd.readouterr() == ("", "")


def test_the_next_free_port_is_taken(running: PageServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "FIRST_PORT", running.server_port)
    with start(None, "", "", {}) as other:
        assert running.server_port < other.server_port <= running.server_port + server.PORTS


@pytest.mark.parametrize("port", [None, 70_000])
def test_a_port_that_can_not_be_used(running: PageServer, port: int | None) -> None:
    port = port or running.server_port
    with pytest.raises(UserError, match=f"--port {port}: can't be used"):
        start(port, "", "", {})
