"""S3 as payloads meet it: one bucket, whose objects can be missing, denied or slow."""

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.response import StreamingBody

from tools.testing.aws.service import Service, refusal

BUCKET = "payloads"


@dataclass
class FakeS3(Service):
    """The objects of one bucket, by key."""

    objects: dict[str, bytes] = field(default_factory=dict)
    denies: Callable[[str, str], str] = lambda operation, key: ""  # an error code for an object
    read: list[str] = field(default_factory=list)  # keys of the bodies that were asked for

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        self._call("get_object")
        code = self.denies("get", Key) or ("" if Bucket == BUCKET else "NoSuchBucket")
        if code or Key not in self.objects:
            raise refusal(code or "NoSuchKey", "GetObject")
        self.read.append(Key)
        content = self.objects[Key]
        return {"Body": StreamingBody(io.BytesIO(content), len(content)), "ContentLength": len(content)}

    def delete_objects(self, *, Bucket: str, Delete: dict[str, Any]) -> dict[str, Any]:
        self._call("delete_objects")
        assert (Bucket, Delete["Quiet"]) == (BUCKET, True)
        errors = []
        for key in [entry["Key"] for entry in Delete["Objects"]]:
            if code := self.denies("delete", key):
                errors.append({"Key": key, "Code": code, "Message": "the text quotes the key"})
            else:
                self.objects.pop(key, None)
        return {"Errors": errors} if errors else {}
