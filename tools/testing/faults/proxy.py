"""A TCP proxy before PostgreSQL: it sees what is sent, speaks TLS where the server does not; holds, loses, delays."""

import ssl
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from socket import IPPROTO_TCP, SHUT_RDWR, SO_LINGER, SOL_SOCKET, TCP_NODELAY, create_connection, create_server, socket
from threading import Event, Thread

SSL_REQUEST = struct.pack("!ii", 8, 80877103)  # https://www.postgresql.org/docs/current/protocol-message-formats.html
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: what is closed so is reset
WAIT_SECONDS = 20


class Sender(Enum):
    """Who sends the bytes."""

    CLIENT = "client"
    SERVER = "server"


class Halt:
    """A place in what is sent at which a connection halts: what comes before it has arrived, nothing else does."""

    def __init__(self, sender: Sender, at: bytes) -> None:
        self.sender = sender
        self.at = at
        self._reached = Event()
        self._decided = Event()
        self._is_cut = False
        self._ends: tuple[socket, ...] = ()

    def wait(self) -> None:
        """Wait until a connection has come there."""
        assert self._reached.wait(WAIT_SECONDS), "the proxy has not seen it in time"

    def go_on(self) -> None:
        """Let what was held arrive."""
        self._decided.set()

    def cut(self) -> None:
        """Reset the connection, on both sides; what was held is lost."""
        self._is_cut = True
        self._decided.set()

    def reached(self, client: socket, server: socket) -> bool:
        """Hold the connection until it is decided what becomes of it, and return whether it goes on."""
        self._ends = client, server
        self._reached.set()
        self._decided.wait()
        if self._is_cut:
            for end in self._ends:
                reset(end)
        return not self._is_cut


class Proxy:
    """Forwards connections of its port to another. `certificate` makes it the TLS end of a server that has none."""

    def __init__(self, target: tuple[str, int], certificate: ssl.SSLContext | None = None) -> None:
        self.sent = bytearray()  # what clients sent, as the server got it
        self.latency_seconds = 0.0  # of each answer
        self.one_byte_at_a_time = False
        self.is_black_hole = False  # what is sent is taken, and nothing answered
        self._halt: Halt | None = None
        self._halts: list[Halt] = []
        self._cut_answer_to = b""
        self._cuts_left = 0
        self.target = target  # of the next connection
        self._certificate = certificate
        self._listening = create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._clients: list[socket] = []
        self._threads = [Thread(target=self._accept)]
        self._threads[0].start()

    def cut_answers_to(self, message: bytes, times: int) -> None:
        """Forward the message to the server; its answer reaches no client, whose connection is closed instead."""
        self._cut_answer_to, self._cuts_left = message, times

    def halt_at(self, at: bytes, sender: Sender = Sender.CLIENT) -> Halt:
        """Halt the next connection on which these bytes are sent, before they arrive."""
        self._halt = Halt(sender, at)
        self._halts.append(self._halt)
        return self._halt

    def cut_all(self) -> None:
        """Reset every connection there is."""
        for client in self._clients:
            reset(client)

    def close(self) -> None:
        self._listening.shutdown(SHUT_RDWR)
        self._threads[0].join()
        self._listening.close()
        self.is_black_hole = False
        for halt in self._halts:
            halt.cut()
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
        with suppress(OSError), create_connection(self.target) as server:  # ends when one of the two is gone
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
                before = b""
                while data := client.recv(65536):
                    self.sent += data
                    before = self._pass_on(data, before, Sender.CLIENT, client, server)
            finally:
                with suppress(OSError):
                    server.shutdown(SHUT_RDWR)
                answers.join()
        client.close()

    def _forward_answers(self, server: socket, client: socket) -> None:
        with suppress(OSError):
            before = b""
            while data := server.recv(65536):
                if self._cuts_left and self.sent.endswith(self._cut_answer_to):
                    self._cuts_left -= 1
                    break
                time.sleep(self.latency_seconds)
                before = self._pass_on(data, before, Sender.SERVER, client, server)
        with suppress(OSError):
            client.shutdown(SHUT_RDWR)

    def _pass_on(self, data: bytes, before: bytes, sender: Sender, client: socket, server: socket) -> bytes:
        """Forward bytes as the faults of this proxy have it, and return those by which a place may begin."""
        target = server if sender is Sender.CLIENT else client
        halt = self._halt
        begun = before[-(len(halt.at) - 1) :] if halt else b""  # it may begin in what has arrived, not end there
        if halt and halt.sender is sender and halt.at in begun + data:
            self._halt = None  # of several connections the first
            place = (begun + data).index(halt.at) - len(begun)
            self._send(target, data[: max(0, place)])
            data = data[max(0, place) :]
            if not halt.reached(client, server):
                raise ConnectionResetError
        if not self.is_black_hole:
            self._send(target, data)
        return (before + data)[-100:]

    def _send(self, target: socket, data: bytes) -> None:
        if self.one_byte_at_a_time:
            for byte in data:
                target.sendall(bytes([byte]))
        else:
            target.sendall(data)


def reset(end: socket) -> None:
    """Reset a connection; a thread that reads from it sees the end."""
    with suppress(OSError):
        end.setsockopt(SOL_SOCKET, SO_LINGER, RESET)
        end.shutdown(SHUT_RDWR)


@contextmanager
def proxy(target: tuple[str, int], certificate: ssl.SSLContext | None = None) -> Iterator[Proxy]:
    running = Proxy(target, certificate)
    try:
        yield running
    finally:
        running.close()
