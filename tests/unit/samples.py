"""Samples of three public shapes, made up: a push to a repository, an event of payments, an uplink of a sensor."""

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

PEOPLE = [  # of nobody; none of these words may be in what is written or printed
    ("Qadira Zembla", "qadira.zembla@kn4ry-mail.com", "qzembla", "198.51.100.23", "+442079460123"),
    ("Tiberius Oxlade", "tiberius@kn4ry-mail.com", "toxlade", "198.51.100.77", "+442079460456"),
    ("Wilhelmina Fjord", "w.fjord@kn4ry-post.org", "wfjord", "203.0.113.200", "+442079460789"),
]
CANARIES = ["kn4ry", "zembla", "oxlade", "fjord", "tiberius", "198.51.100.23", "203.0.113.200", "20794604"]
START = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)


def lines(records: list[dict[str, Any]]) -> str:
    return "".join(f"{json.dumps(record)}\n" for record in records)


def pushes(count: int = 18) -> list[dict[str, Any]]:
    """Return pushes as GitHub's webhook has them, shortened."""
    source = random.Random(1)
    return [_push(source, number) for number in range(count)]


def payments(count: int = 60) -> list[dict[str, Any]]:
    """Return events as Stripe has them, shortened."""
    source = random.Random(2)
    return [_payment(source, number) for number in range(count)]


def uplinks(count: int = 30) -> list[dict[str, Any]]:
    """Return uplinks of sensors as The Things Stack has them, shortened."""
    source = random.Random(3)
    return [_uplink(source, number) for number in range(count)]


def batches() -> list[dict[str, Any]]:
    """Return batches of calls as Segment's libraries send them, with more beside their list."""
    return [
        {
            "batch": [
                {"messageId": f"{number}-{index}", "userId": login, "event": "Paid", "around": index}
                for index, (_, _, login, *_) in enumerate(PEOPLE)
            ],
            "sentAt": f"2026-03-01T09:{number:02}:00Z",
            "source": "web",
            "email": PEOPLE[number % 2][1],
            "library": {"name": "x"},
        }
        for number in range(4)
    ]


def calls() -> list[dict[str, Any]]:
    """Return calls of two types, each of which has members of its own."""
    return [
        {"type": kind, "messageId": f"{kind}-{login}", "userId": login, "sentAt": "2026-03-01T09:30:00Z"} | own
        for name, email, login, ip, _ in PEOPLE
        for kind, own in {
            "track": {"event": "Paid", "properties": {"n": 1}, "ip": ip},
            "identify": {"traits": {"name": name, "email": email}, "ip": ip},
        }.items()
    ]


def bus_events() -> list[dict[str, Any]]:
    """Return events of EventBridge."""
    return [
        {
            "version": "0",
            "id": f"{number}",
            "detail-type": ("Order Has Been Paid", "Order Has Been Sent")[number % 2],
            "source": "shop.orders",
            "account": "123456789012",
            "time": f"2026-03-01T09:{number:02}:00Z",
            "resources": [],
            "detail": {"orderId": f"o{number}", "around_source": "x", "buyer": {"email": PEOPLE[number][1]}},
        }
        for number in range(3)
    ]


def notifications() -> list[dict[str, Any]]:
    """Return notifications of SNS, some with a subject."""
    made: list[dict[str, Any]] = [
        {
            "Type": "Notification",
            "MessageId": login,
            "TopicArn": "t",
            "Subject": name,
            "Message": f'{{"user_id":"{ip}"}}',
        }
        for name, _, login, ip, _ in PEOPLE
    ]
    del made[0]["Subject"]
    return made


def staff() -> list[dict[str, Any]]:
    """Return lines of a table of employees, whose heads became keys."""
    return [
        {
            "Employee ID": f"E{number}",
            "Full Name": name,
            "NI No.": f"QQ{number:06}C",
            "Straße": f"Kn4ry {number}",
            "PLZ": f"8907{number}",
            "Joined": f"2026-03-0{number} 09:30:00",
            "mobile": phone,
            "Disability": number == 1,
            "Blood Type": "A+",
            "geo": [54.05, 8.58],
            "to": "north",
            "order": number,
            "user": [login],
            "end": [{"to": "x"}],
            "manager": {"id": f"E{number // 2}"},
        }
        for number, (name, _, login, _, phone) in enumerate(PEOPLE, 1)
    ]


def _sha(source: random.Random) -> str:
    return f"{source.getrandbits(160):040x}"


def _push(source: random.Random, number: int) -> dict[str, Any]:
    name, email, login, *_ = source.choice(PEOPLE)
    person = {"name": name, "email": email, "username": login}
    owner = {"login": login, "id": source.randrange(10**7), "html_url": f"https://github.com/{login}", "type": "User"}
    at = START + timedelta(minutes=number)
    commits = [
        {
            "id": _sha(source),
            "message": f"Mend the hinge of door {source.randrange(99)} for {name}",
            "timestamp": at.isoformat(),
            "url": f"https://github.com/{login}/hinges/commit/{number}",
            "author": person,
            "committer": person,
            "added": [],
            "modified": [f"doors/{source.randrange(99)}.txt"],
            "distinct": True,
        }
        for _ in range(source.randrange(4))
    ]
    return {
        "ref": f"refs/heads/{source.choice(('main', 'next', 'mend'))}",
        "before": _sha(source),
        "after": _sha(source),
        "created": source.random() < 0.1,
        "forced": False,
        "base_ref": None,
        "compare": f"https://github.com/{login}/hinges/compare/{number}",
        "commits": commits,
        "head_commit": commits[-1] if commits else None,
        "repository": {
            "id": 186853002,
            "node_id": "MDEwOlJlcG9zaXRvcnkx",
            "name": "hinges",
            "full_name": f"{login}/hinges",
            "private": False,
            "owner": owner,
            "description": None if number % 3 else "",
            "created_at": 1557933565 if number % 2 else "2019-05-15T15:19:25Z",
            "pushed_at": int(at.timestamp()),
            "size": source.randrange(500),
            "language": source.choice((None, "Python")),
            "topics": ["doors", "iron"][: source.randrange(3)],
        },
        "pusher": {"name": login, "email": email},
        "sender": owner,
    }


def _payment(source: random.Random, number: int) -> dict[str, Any]:
    name, email, _, ip, phone = source.choice(PEOPLE)
    kind = ("payment_intent.succeeded", "payment_intent.created", "charge.refunded")[number % 3]
    return {
        "id": f"evt_{source.getrandbits(96):024x}",
        "object": "event",
        "api_version": "2026-01-28",
        "created": int((START + timedelta(seconds=number)).timestamp()),
        "type": kind,
        "livemode": False,
        "pending_webhooks": number % 4,
        "request": {"id": f"req_{number}", "idempotency_key": str(UUID(int=source.getrandbits(128), version=4))},
        "data": {
            "object": {
                "id": f"pi_{source.getrandbits(96):024x}",
                "amount": source.randrange(100, 900_000),
                "fee": source.randrange(1, 99_999) / 100,
                "currency": source.choice(("eur", "usd")),
                "receipt_email": email,
                "customer": {"id": f"cus_{number:08}", "name": name, "phone": phone, "country": "GB"},
                "client_ip": ip,
                "description": f"Order {number} of {name}",
                "metadata": {f"key{source.randrange(40)}": name, "order": str(number)},
                "card": {"number": "4242424242424242", "last4": "4242", "exp_month": 1 + number % 12, "brand": "visa"},
                **({"failure_code": "card_declined"} if number % 5 == 0 else {}),
            }
        },
    }


def _uplink(source: random.Random, number: int) -> dict[str, Any]:
    at = START + timedelta(seconds=30 * number, microseconds=source.randrange(10**6))
    return {
        "end_device_ids": {
            "device_id": f"kn4ry-meter-{number % 7}",
            "application_ids": {"application_id": "meters"},
            "dev_eui": f"70B3D57ED00{number % 7:05X}",
            "join_eui": "0000000000000000",
            "dev_addr": f"260B{number % 7:04X}",
        },
        "correlation_ids": [f"gs:uplink:{source.getrandbits(80):020X}", f"ns:uplink:{source.getrandbits(80):020X}"],
        "received_at": at.isoformat(timespec="microseconds").replace("+00:00", "123Z"),
        "uplink_message": {
            "session_key_id": "AXA50tHUGVKfqFyRQVZ5Pg==",
            "f_port": 1 + number % 3,
            "f_cnt": number,
            "frm_payload": f"{source.getrandbits(32):08x}",
            "decoded_payload": {
                "temperature": round(source.uniform(-20, 35), 2),
                "battery": source.randrange(3000, 3600) / 1000,
                "reading": number if number % 2 else str(number),
                "flags": [number % 2, {"late": True}],
            },
            "rx_metadata": [
                {
                    "gateway_ids": {"gateway_id": f"gate-{source.randrange(3)}", "eui": "B827EBFFFE8B9C2A"},
                    "rssi": -source.randrange(40, 120),
                    "snr": source.randrange(-80, 100) / 10,
                    "location": {"latitude": 52.48299920791517, "longitude": 13.3871961, "source": "SOURCE_REGISTRY"},
                    "time": at.isoformat(),
                }
                for _ in range(1 + source.randrange(2))
            ],
            "settings": {"data_rate": {"lora": {"bandwidth": 125_000, "spreading_factor": 7 + number % 5}}},
            "consumed_airtime": f"0.{source.randrange(10**6):06}s",
        },
    }
