"""The server of the page: on the loopback address, for requests that name it, and for its own page alone.

A library for such pages would bring what must not be here: gradio reports its use and, but for its newest versions,
loads fonts and scripts from elsewhere; streamlit reports its use unless a file forbids it; both weigh more than torch's
own dependencies. A page of three kinds of answers needs neither.
"""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any
from urllib.parse import urlsplit

from gan_exp.errors import UserError
from gan_exp.runtime.files import json_text
from gan_exp.runtime.signals import Interrupted
from gan_exp.runtime.terminal import report

HOST = "127.0.0.1"
FIRST_PORT, PORTS = 7900, 20  # the first that is free is taken
OWN_NAMES = ("127.0.0.1", "localhost", "::1")  # the last of a tunnel to this machine, such as that of ssh -L
LARGEST_QUESTION = 1 << 20  # bytes; two latents of thousands of numbers
IDLE_S = 60  # after which a connection is closed; the browser opens another one

Answer = Callable[[bytes], bytes | dict[str, Any]]  # from the body of a request to a PNG file or to JSON


class PageServer(ThreadingHTTPServer):
    """Serves `page` and `answers`, by their paths. Raises OSError if the port is taken."""

    daemon_threads = True

    def __init__(self, port: int, page: str, policy: str, answers: Mapping[str, Answer]) -> None:
        self.page, self.policy, self.answers = page.encode(), policy, answers
        super().__init__((HOST, port), _Handler)

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.server_port}/"

    def server_bind(self) -> None:
        """HTTPServer's would ask the network for this machine's name, which may take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that closes a connection early is no error, and all others are answered in `_Handler`."""


def start(port: int | None, page: str, policy: str, answers: Mapping[str, Answer]) -> PageServer:
    """A server at `port`, or at the first of some that is free. Raises UserError if the port can't be used."""
    wanted = range(FIRST_PORT, FIRST_PORT + PORTS) if port is None else [port]
    for number in wanted:
        try:
            return PageServer(number, page, policy, answers)
        except (OSError, OverflowError) as error:
            fault = error
    raise UserError(f"--port {wanted[-1]}: can't be used ({fault}); try another") from fault


class _Handler(BaseHTTPRequestHandler):
    server: PageServer
    protocol_version = "HTTP/1.1"
    timeout = IDLE_S
    disable_nagle_algorithm = True  # with it, a short answer may wait for the browser's acknowledgement
    wbufsize = -1

    def do_GET(self) -> None:
        if self._refused():
            return
        if self.path.partition("?")[0] == "/":
            self._send(HTTPStatus.OK, "text/html; charset=utf-8", self.server.page)
        else:
            self.send_error(HTTPStatus.NOT_FOUND, "there is one page here, at /")

    def do_POST(self) -> None:
        if self._refused():
            return
        body, answer = self._read(), self.server.answers.get(self.path)
        if body is None:
            return
        if answer is None:
            self.send_error(HTTPStatus.NOT_FOUND, f"known are {', '.join(self.server.answers)}")
            return
        try:
            found = answer(body)
        except UserError as error:
            self._say(HTTPStatus.BAD_REQUEST, str(error))
        except Interrupted:  # the main thread ends the server
            self.close_connection = True
        except Exception as error:  # the page lives on, whatever the network does
            report(sentence := f"{self.path}: {type(error).__name__}: {' '.join(str(error).split())}")
            self._say(HTTPStatus.INTERNAL_SERVER_ERROR, sentence)
        else:
            kind = "image/png" if isinstance(found, bytes) else "application/json"
            self._send(HTTPStatus.OK, kind, found if isinstance(found, bytes) else json_text(found).encode())

    def _refused(self) -> bool:
        """Whether the request is refused: another page may have sent it, by a name that leads here (DNS rebinding).

        Other pages' scripts can send no JSON here without asking first, and the answer to OPTIONS is no.
        """
        hosts, origin = self.headers.get_all("Host", []), self.headers.get("Origin")
        if len(hosts) != 1 or _name(hosts[0]) not in OWN_NAMES:
            self.send_error(HTTPStatus.FORBIDDEN, f"this page is at {self.server.address}")
        elif origin is not None and origin != f"http://{hosts[0]}":
            self.send_error(HTTPStatus.FORBIDDEN, "other pages may not ask here")
        elif self.command == "POST" and self.headers.get_content_type() != "application/json":
            self.send_error(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "questions are application/json")
        else:
            return False
        return True

    def _read(self) -> bytes | None:
        """The body; None if it is refused."""
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdecimal()):
            self.send_error(HTTPStatus.LENGTH_REQUIRED, "a question needs its Content-Length")
        elif len(length) > 9 or int(length) > LARGEST_QUESTION:
            self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a question has at most {LARGEST_QUESTION} bytes")
        else:
            return self.rfile.read(int(length))
        return None

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """As http.server does, but as plain text; the connection ends, since the body may not have been read."""
        self.close_connection = True
        self._say(code, message or HTTPStatus(code).phrase)

    def _say(self, code: int, sentence: str) -> None:
        self._send(code, "text/plain; charset=utf-8", sentence.encode())

    def _send(self, code: int, kind: str, content: bytes) -> None:
        self.send_response_only(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Content-Security-Policy", self.server.policy)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a slider asks ten times a second."""


def _name(host: str) -> str | None:
    """The name in a header `name:port`; None if it is none."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None
