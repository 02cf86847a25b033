"""A TCP proxy before PostgreSQL: it sees what is sent, speaks TLS where the server does not, and loses answers."""

import ssl
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socket import IPPROTO_TCP, SHUT_RDWR, TCP_NODELAY, create_connection, create_server, socket
from threading import Thread

SSL_REQUEST = struct.pack("!ii", 8, 80877103)  # https://www.postgresql.org/docs/current/protocol-message-formats.html


class Proxy:
    """Forwards connections of its port to another. `certificate` makes it the TLS end of a server that has none."""

    def __init__(self, target: tuple[str, int], certificate: ssl.SSLContext | None = None) -> None:
        self.sent = bytearray()  # what clients sent, as the server got it
        self._cut_answer_to = b""
        self._cuts_left = 0
        self._target = target
        self._certificate = certificate
        self._listening = create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._clients: list[socket] = []
        self._threads = [Thread(target=self._accept)]
        self._threads[0].start()

    def cut_answers_to(self, message: bytes, times: int) -> None:
        """Forward the message to the server; its answer reaches no client, whose connection is closed instead."""
        self._cut_answer_to, self._cuts_left = message, times

    def close(self) -> None:
        self._listening.shutdown(SHUT_RDWR)
        self._threads[0].join()
        self._listening.close()
        for client in self._clients:
            with suppress(OSError):
                client.shutdown(SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listening.accept()
                self._clients.append(client)
                self._threads.append(Thread(target=self._serve, args=(client,)))
                self._threads[-1].start()

    def _serve(self, client: socket) -> None:
        with suppress(OSError), create_connection(self._target) as server:  # ends when one of the two is gone
            for end in (client, server):
                end.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
            if self._certificate:
                self.sent += client.recv(len(SSL_REQUEST))
                client.sendall(b"S")
                client = self._certificate.wrap_socket(client, server_side=True)
                self._clients.append(client)
            answers = Thread(target=self._forward_answers, args=(server, client))
            answers.start()
            try:
                while data := client.recv(65536):
                    self.sent += data
                    server.sendall(data)
            finally:
                server.shutdown(SHUT_RDWR)
                answers.join()
        client.close()

    def _forward_answers(self, server: socket, client: socket) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                if self._cuts_left and self.sent.endswith(self._cut_answer_to):
                    self._cuts_left -= 1
                    break
                client.sendall(data)
        with suppress(OSError):
            client.shutdown(SHUT_RDWR)


@contextmanager
def proxy(target: tuple[str, int], certificate: ssl.SSLContext | None = None) -> Iterator[Proxy]:
    running = Proxy(target, certificate)
    try:
        yield running
    finally:
        running.close()
