"""Payloads: the bodies of messages whose producers have offloaded them to S3, read with bounds, deleted if declared."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import batched
from threading import Lock
from typing import Any, NamedTuple
from uuid import uuid4

from sluice.aws import clients
from sluice.deadline import Deadline
from sluice.declaration.offloading import MOST_BYTES, Pointer, ToS3, pointer_in
from sluice.declaration.route import Queued, head_of
from sluice.failures import Outage, Rejected
from sluice.telemetry import logger

MISSING = "payload_missing"  # the reason: there is no such object
THREADS = 8
CHUNK_BYTES = 1_048_576
START_SECONDS = 25  # left for a read that begins: the client gives up after 21
READ_SECONDS = 10  # left for a read that goes on
DELETED_AT_ONCE = 1000  # objects


class Unread(NamedTuple):
    """Why a payload was not read this time: the message has to come again."""

    why: str


class Payloads:
    """The payloads of a queue's messages, in the stack's bucket."""

    def __init__(self, offloaded: ToS3, bucket: str) -> None:
        self._offloaded = offloaded
        self._bucket = bucket

    @property
    def are_deleted(self) -> bool:
        """Whether an object goes once its message is done with."""
        return self._offloaded.after == "delete"

    @property
    def at_once(self) -> int:
        """How many payloads of the largest size fit into a batch."""
        return MOST_BYTES // self._offloaded.max_bytes

    def read(self, bodies: Sequence[str], deadline: Deadline) -> list[str | Rejected | Unread]:
        """Return what each body is or points to, or why that cannot be had.

        Raises Outage when payloads could not be read, and S3 has answered for none.
        """
        pointers = {index: pointer for index, body in enumerate(bodies) if (pointer := pointer_in(body)) is not None}
        if not pointers:
            return [*bodies]
        from concurrent.futures import ThreadPoolExecutor  # for streams alone that take bodies from S3

        room = _Room(MOST_BYTES)
        with ThreadPoolExecutor(THREADS) as pool:
            read = pool.map(lambda pointer: self._read(pointer, room, deadline), pointers.values())
            found = dict(zip(pointers, read, strict=True))
        unread = [one for one in found.values() if isinstance(one, Unread)]
        if unread and not room.has_answer:
            raise Outage(min(unread, key=lambda one: not one.why.startswith("s3: ")).why)
        return [found.get(index, body) for index, body in enumerate(bodies)]

    def probe(self) -> None:
        """Ask for an object that is not there. Raises Outage unless S3 says so."""
        try:
            self._get(f"{self._offloaded.prefix}{uuid4()}")
        except clients.errors() as error:
            if clients.reason(error) != "NoSuchKey":
                raise Outage(f"s3: {clients.reason(error)}") from None  # the text may hold the key

    def delete(self, bodies: Iterable[str]) -> None:
        """Delete the objects that the bodies point to, if so declared. What S3 keeps is counted in the log."""
        pointers = [pointer for body in bodies if (pointer := pointer_in(body)) is not None]
        keys = {one.key for one in pointers if self._offloaded.fault(one, self._bucket) is None}
        if not self.are_deleted or not keys:
            return
        for some in batched(sorted(keys), DELETED_AT_ONCE):
            objects = [{"Key": key} for key in some]
            try:
                answer = clients.client("s3").delete_objects(
                    Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True}
                )
            except clients.errors() as error:
                logger.warning("payloads not deleted", extra={"count": len(some), "error": clients.reason(error)})
            else:
                for code, count in _counted(answer.get("Errors", [])):
                    logger.warning("payloads not deleted", extra={"count": count, "error": code})

    def _read(self, pointer: Pointer, room: "_Room", deadline: Deadline) -> str | Rejected | Unread:
        fault = self._offloaded.fault(pointer, self._bucket)
        if fault is not None:
            return fault
        if room.is_full or not deadline.allows(START_SECONDS):
            return Unread("out of time")
        try:
            found = self._get(pointer.key)
            with closing(found["Body"]) as body:
                answer = self._body(body, int(found["ContentLength"]), room, deadline)
        except clients.errors() as error:
            if clients.reason(error) != "NoSuchKey":
                return Unread(f"s3: {clients.reason(error)}")  # the text may hold the key
            answer = Rejected(MISSING)
        if not isinstance(answer, Unread):
            room.has_answer = True
        return answer

    def _body(self, body: Any, size: int, room: "_Room", deadline: Deadline) -> str | Rejected | Unread:
        if size > self._offloaded.max_bytes:
            return Rejected("payload_too_large")
        if not room.take(size):
            return Unread("out of memory")
        chunks = []
        for chunk in body.iter_chunks(CHUNK_BYTES):
            if not deadline.allows(READ_SECONDS):
                return Unread("s3: too slow")
            chunks.append(chunk)
        try:
            return b"".join(chunks).decode()
        except UnicodeDecodeError:
            return Rejected("not_json")

    def _get(self, key: str) -> Any:
        return clients.client("s3").get_object(Bucket=self._bucket, Key=key)


class _Room:
    """The memory that payloads may take, for threads to share."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._lock = Lock()
        self.is_full = False
        self.has_answer = False  # S3 has answered for one object: then its failure for others is no outage

    def take(self, size: int) -> bool:
        """Take so many bytes, unless fewer are left."""
        with self._lock:
            self.is_full = self.is_full or size > self._left
            self._left -= 0 if self.is_full else size
            return not self.is_full


def of(queued: Queued, bucket: str | None) -> Payloads | None:
    """Return the payloads of a queue, or None where its declaration takes none. Raises Outage."""
    offloaded = head_of(queued).offloaded
    if offloaded is None:
        return None
    if bucket is None:
        raise Outage(f"setting: PAYLOAD_BUCKET: must be set, since {queued.stream_name} takes payloads from S3")
    return Payloads(offloaded, bucket)


def _counted(errors: Iterable[dict[str, Any]]) -> Iterator[tuple[str, int]]:
    codes = [str(error.get("Code")) for error in errors]
    yield from ((code, codes.count(code)) for code in dict.fromkeys(codes))
