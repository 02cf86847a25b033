"""Whatever the bodies of a batch are: the answer names exactly the bad ones, the good ones are rows as they must be."""

import json
import os
from typing import Any

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sluice.failures import Rejected
from sluice.ingest.batch import record_handler
from sluice.pseudonyms.keyset import Keyset
from sluice.settings import VaultSettings
from sluice.vault.sealing import open_data_key
from streams.user_logins import UserLogin
from tests.integration.databases import TestDatabase
from tests.integration.environment import VAULT_KEY, Environment
from tests.integration.messages import KEYSET, event, login, numbered
from tools.testing.invariants import Checker, Sent

BATCHES = int(os.environ.get("FUZZ_BATCHES", "150"))
SENT_AT = 1_769_903_999_999
VAULT = VaultSettings(key_id=VAULT_KEY, stack="tests")
HANDLE = record_handler(UserLogin, Keyset.parse(KEYSET))

any_text = st.text(st.characters(), max_size=140)  # surrogates and NUL among it
any_bytes = st.binary(max_size=60).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
numbers = st.integers() | st.floats() | st.integers(min_value=10**300, max_value=10**310)
values = st.recursive(
    st.none() | st.booleans() | numbers | any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=8,
)
deep = st.integers(1, 5000).flatmap(lambda depth: st.sampled_from(["[" * depth, "[" * depth + "]" * depth]))
deep_fields = deep.map(lambda nested: json.dumps(login())[:-1] + f', "more": {nested}}}')
odd_texts = st.sampled_from(
    [
        *("", " ", "\0", "a\0b", "\ud800", "a\tb\nc\\N", "\\.", "\\N", "e\u0301", "x" * 33, "x" * 129, "{}", '"', "'"),
        *("::1", "0.0.0.0", "::ffff:1.2.3.4", "1.2.3.4 ", "01.2.3.4", "fe80::1%eth0"),
        *("1e3", "\uff11.\uff12", "2147.483.647", "9" * 30),
    ]
)
near_valid = st.dictionaries(st.sampled_from(sorted(login())), odd_texts | values, max_size=2).map(
    lambda changes: json.dumps(login(**changes))
)
twice = st.tuples(near_valid, near_valid).map(lambda pair: pair[0][:-1] + "," + pair[1][1:])  # every key comes twice
bodies = st.one_of(any_text, any_bytes, values.map(json.dumps), deep, deep_fields, near_valid, near_valid, twice)
odd_attributes = st.dictionaries(
    st.sampled_from(["sluice_message_id", "sluice_sent_at", "another"]),
    any_text
    | st.sampled_from(["", "0", "1700000000123", "-1", "9" * 14, "9" * 15, "\u0663", numbered(10**9), "no uuid"]),
    max_size=2,
)
batches = st.lists(st.tuples(bodies, st.just({}) | odd_attributes), min_size=1, max_size=12)


def is_good(message: Sent) -> bool:
    try:
        HANDLE(SQSRecord(message.record()))
    except Rejected:
        return False
    return True


def test_no_body_raises_and_every_one_is_its_row_or_reported(database: TestDatabase, ingest: Environment) -> None:
    sent: list[Sent] = []
    reported: list[str] = []

    @settings(
        max_examples=BATCHES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(batches)
    def fuzz(batch: list[tuple[str, dict[str, str]]]) -> None:
        made = [
            Sent(numbered(len(sent) + place + 1), body, True, SENT_AT, attributes)
            for place, (body, attributes) in enumerate(batch)
        ]
        messages = [Sent(m.message_id, m.body, is_good(m), m.sent_at_milliseconds, m.attributes) for m in made]
        answer: Any = ingest.invoke(event(*(message.record() for message in messages)))
        bad = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        sent.extend(messages)
        reported.extend(bad)
        assert bad == {message.message_id for message in messages if not message.valid}

    fuzz()
    assert sum(message.valid for message in sent) > BATCHES / 4  # of both kinds there were enough
    assert len(reported) > BATCHES / 4
    checker = Checker(database.owner, [Keyset.parse(KEYSET)], lambda key: open_data_key(key, VAULT))
    assert checker.check({UserLogin: sent}, reported) == []
