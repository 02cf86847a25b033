"""Messages by a seed: logins shaped like the original data, with repeated devices, and orders; and junk."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from ipaddress import IPv4Address
from typing import Any
from uuid import UUID

# As in the original data.
NULL_LOCALE_SHARE = 0.29
THREE_PART_SHARE = 0.45
LOCALES = "AF BR CA CN DE FR GB GT ID IT JP KE KR MX MY NG PH PL PT RU SE TH UA US VN ZA".split()
ODD_VERSIONS = ("6.02", "2.00", "0.96", "2.3", "2.3.0", "0.26", "2.6", "0.2.6")
ODD_VERSION_SHARE = 0.05

JUNK_SHARE = 0.05
# The original data has no duplicates; here some come again with the same device, the same address, or both.
REPEAT_SHARE = 0.15

type Login = dict[str, Any]


@dataclass(frozen=True)
class Message:
    """What is sent to the queue. The body of a valid one holds made-up personal data, and an id of its own."""

    body: str = field(repr=False)
    valid: bool


def messages(count: int, seed: int) -> list[Message]:
    """Return the same messages for the same seed, all kinds of junk among them once there are 180 or more."""
    source = random.Random(seed)
    junk_count = round(count * JUNK_SHARE)
    logins = _logins(count, source)
    kinds = [JUNK[number % len(JUNK)] for number in range(junk_count)]
    made = [Message(json.dumps(login), valid=True) for login in logins[junk_count:]]
    made += [Message(spoil(login), valid=False) for spoil, login in zip(kinds, logins, strict=False)]
    source.shuffle(made)
    return made


def orders(count: int, seed: int) -> list[Message]:
    """Return the same orders for the same seed, every tenth of them junk."""
    source = random.Random(seed)
    return [_order(source, junk=number % 10 == 9) for number in range(count)]


def _order(source: random.Random, junk: bool) -> Message:
    prices = [Decimal(source.randrange(100, 50_000)) / 100 for _ in range(source.randint(1, 4))]
    order = {
        "order_id": str(UUID(int=source.getrandbits(128), version=4)),
        "placed_at": source.randrange(1_600_000_000, 1_700_000_000),
        "status": source.choice(("new", "paid", "sent")),
        "total": str(sum(prices)),
        "customer": {
            "email": f"customer{source.randrange(40)}@{source.choice(('example.com', 'Example.COM', 'example.org'))}",
            "name": source.choice(("Ada", "Grace", "Alan")),
            "phone": f"+44 20 7946 0{source.randrange(1000):03}",
        },
        "lines": [{"sku": f"S-{source.randrange(100)}", "quantity": 1, "price": str(price)} for price in prices],
        "ip": None if source.random() < 0.2 else str(IPv4Address(source.getrandbits(32))),
    }
    if junk:
        spoiled: Login = source.choice(({"status": "lost"}, {"total": "1.999"}, {"customer": None}, {"lines": [{}]}))
        order |= spoiled
    return Message(json.dumps(order), valid=not junk)


def _logins(count: int, source: random.Random) -> list[Login]:
    logins: list[Login] = []
    for _ in range(count):
        login = _login(source)
        if logins and source.random() < REPEAT_SHARE:
            again = source.choice([("device_id",), ("ip",), ("device_id", "ip")])
            earlier = source.choice(logins)
            login |= {name: earlier[name] for name in again}
        logins.append(login)
    return logins


def _login(source: random.Random) -> Login:
    return {
        "user_id": str(UUID(int=source.getrandbits(128), version=4)),
        "app_version": _version(source),
        "device_type": source.choice(("android", "ios")),
        "ip": str(IPv4Address(source.getrandbits(32))),  # an eighth of them multicast, reserved or loopback
        "locale": None if source.random() < NULL_LOCALE_SHARE else source.choice(LOCALES),
        "device_id": f"{source.randrange(1000):03}-{source.randrange(100):02}-{source.randrange(10_000):04}",
    }


def _version(source: random.Random) -> str:
    if source.random() < ODD_VERSION_SHARE:
        return source.choice(ODD_VERSIONS)
    parts = 3 if source.random() < THREE_PART_SHARE else 2
    return ".".join(str(source.randrange(10)) for _ in range(parts))


def _without(login: Login, name: str) -> Login:
    return {key: value for key, value in login.items() if key != name}


JUNK: tuple[Callable[[Login], str], ...] = (
    lambda _: '{"foo": "oops_wrong_msg_type", "bar": "123"}',  # the one of the original data
    lambda login: json.dumps(login)[:-1],
    lambda login: json.dumps([login]),
    lambda login: json.dumps(login | {"device_type": 7}),
    lambda login: json.dumps(login | {"user_id": None}),
    lambda login: json.dumps(_without(login, "device_id")),
    lambda login: json.dumps(login | {"ip": "999.1.2.3"}),
    lambda login: json.dumps(login | {"app_version": "2.x"}),
    lambda login: json.dumps(login | {"app_version": "1.1000"}),
)
