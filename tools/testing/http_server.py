"""An HTTP server on a free port of 127.0.0.1, for whatever answers requests."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import NamedTuple

SET_HERE = ("connection", "content-length", "transfer-encoding")  # an answer's own do not count


class Request(NamedTuple):
    """What a client asks."""

    method: str
    path: str
    headers: Message
    body: bytes

    @property
    def target(self) -> str:
        """The operation, as `AmazonSSM.GetParameter`, where a header and not the path says it."""
        return str(self.headers.get("X-Amz-Target", ""))


class Answer(NamedTuple):
    """What a client is told."""

    status: int
    headers: Mapping[str, str]
    body: bytes


type Respond = Callable[[Request], Answer | None]  # with None the connection is closed without an answer


@contextmanager
def serving(respond: Respond) -> Iterator[str]:
    """Serve every method; yields the URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            answer = respond(Request(self.command, self.path, self.headers, self.rfile.read(length)))
            if answer is None:
                return
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                if name.lower() not in SET_HERE:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_PUT = do_DELETE = do_HEAD = do_POST

        def log_message(self, format: str, *arguments: object) -> None:
            pass  # what it serves is no output of ours

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            if not isinstance(sys.exception(), OSError):  # else the caller was killed, or has waited long enough
                super().handle_error(request, client_address)  # type: ignore[arg-type]

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
