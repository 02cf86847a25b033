"""Payload offloading: a message that only points to its body, an object in S3, as SQS's extended client sends it.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-managing-large-messages.html
"""

from dataclasses import dataclass
from typing import Literal, get_args

import msgspec

from sluice.failures import DeclarationError, Rejected

MIB = 1_048_576
MOST_BYTES = 32 * MIB  # of payloads in a batch: with characters of four bytes, 800 of the function's 1024 MB
CLASSES = Literal[
    "software.amazon.payloadoffloading.PayloadS3Pointer",
    "com.amazon.sqs.javamessaging.MessageS3Pointer",  # of clients before version 2
]
BUCKET, KEY = "/1/s3BucketName", "/1/s3Key"  # in the pointer

type After = Literal["keep", "delete"]


class Pointer(msgspec.Struct, frozen=True):
    """Where a payload is. The key is its producer's choice, so no log has it."""

    bucket: str = msgspec.field(name="s3BucketName")
    key: str = msgspec.field(name="s3Key")

    def __repr__(self) -> str:
        return "Pointer()"


@dataclass(frozen=True, kw_only=True)
class ToS3:
    """How a stream takes payloads that its producers offload to the stack's bucket.

    `after` says what becomes of an object once its message is stored or purged.
    """

    prefix: str = ""  # of the keys
    max_bytes: int = 4 * MIB  # of an object
    after: After = "keep"

    def check(self) -> None:
        """Raise DeclarationError when it says what cannot be."""
        if not isinstance(self.prefix, str):
            raise DeclarationError("ToS3: the prefix is a text, that of the objects' keys")
        if isinstance(self.max_bytes, bool) or not isinstance(self.max_bytes, int):
            raise DeclarationError("ToS3: max_bytes is a number of bytes")
        if not 0 < self.max_bytes <= MOST_BYTES // 2:
            raise DeclarationError(
                f"ToS3: max_bytes must be from 1 to {MOST_BYTES // 2}, half of what a batch may hold"
            )
        if self.after not in get_args(After.__value__):
            raise DeclarationError('ToS3: after is "keep" or "delete"')

    def fault(self, pointer: Pointer, bucket: str) -> Rejected | None:
        """Return why a pointer is not followed, if it leads elsewhere."""
        if pointer.bucket != bucket:
            return Rejected("payload_elsewhere", BUCKET)
        if not pointer.key.startswith(self.prefix) or not _is_key(pointer.key):
            return Rejected("payload_elsewhere", KEY)
        return None


def checked(name: str, said: object) -> ToS3 | None:
    """Return what a stream or route says of offloaded payloads. Raises DeclarationError."""
    if said is None:
        return None
    if not isinstance(said, ToS3):
        raise DeclarationError(f"{name}: offloaded is ToS3(…), which says how payloads are taken from S3")
    try:
        said.check()
    except DeclarationError as error:
        raise DeclarationError(f"{name}: {error}") from None
    return said


def pointer_in(text: str | bytes) -> Pointer | None:
    """Return the pointer that a body is, or None when it is something else."""
    if text[:1] not in ("[", b"["):
        return None
    try:
        return _POINTER.decode(text)[1]
    except (ValueError, RecursionError):
        return None


def _is_key(key: str) -> bool:
    """Tell whether S3 takes a key. The segments `.` and `..` would lead out of the prefix on the way."""
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        return False
    return 0 < size <= 1024 and {".", ".."}.isdisjoint(key.split("/"))


_POINTER = msgspec.json.Decoder(tuple[CLASSES, Pointer])
