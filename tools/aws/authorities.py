"""The certificate authorities of RDS and Aurora, fetched anew: `python -m tools.aws.authorities`.

https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html
"""

import re
import ssl
import sys
import time
from hashlib import sha256
from typing import Any
from urllib.request import urlopen

from tools.project import PROJECT

URL = "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"
FILE = PROJECT / "layers" / "common" / "sluice" / "postgres" / "rds-global-bundle.pem"
ROOT = re.compile(r"Amazon RDS (?:Beta |Preview )?(\S+) Root CA \w+ G\d+")


class NotOfRds(Exception):
    """A file holds something else than the authorities of RDS: says what."""


def regions(bundle: str) -> set[str]:
    """Return the regions of which a bundle has a root that is valid. Raises NotOfRds."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=bundle)
    except (ssl.SSLError, ValueError):
        raise NotOfRds("holds no certificates") from None
    found = set()
    certificates: list[dict[str, Any]] = context.get_ca_certs()
    for certificate in certificates:
        subject = dict(name_and_value for (name_and_value,) in certificate["subject"])
        if subject.get("organizationalUnitName") != "Amazon RDS":
            raise NotOfRds(f"holds an authority that is not of Amazon RDS: {subject.get('commonName')}")
        root = ROOT.fullmatch(subject["commonName"])
        if root and ssl.cert_time_to_seconds(certificate["notAfter"]) > time.time():
            found.add(root[1])
    return found


def renew(bundle: str) -> str:
    """Put a bundle into the layer, and return what is told of it. Raises NotOfRds where it lacks a region."""
    before, after = regions(FILE.read_text()), regions(bundle)
    if lost := before - after:
        raise NotOfRds(f"has no authority of {', '.join(sorted(lost))}")
    FILE.write_text(bundle)
    new = ", ".join(sorted(after - before)) or "none"
    return f"{len(after)} regions, new ones: {new}; SHA-256 {sha256(bundle.encode()).hexdigest()}"


def main() -> int:
    try:
        with urlopen(URL, timeout=30) as answer:  # seconds
            print(renew(answer.read().decode()))
    except (NotOfRds, OSError) as error:
        print(f"{URL}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
