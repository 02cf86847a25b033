"""Secrets Manager and KMS are throttled, slow or down, and secrets change while batches run: nothing is lost."""

import json

import pytest

from sluice.pseudonyms import check_values
from sluice.pseudonyms.keyset import Keyset
from tests.faults.conftest import Sending
from tools.testing.faults.aws import Fault, Service
from tools.testing.faults.site import INGEST_ROLE, PASSWORD, Site

BOTH = [Service.SECRETS_MANAGER, Service.KMS]


@pytest.mark.parametrize("fault", [Fault.THROTTLED, Fault.DOWN])
@pytest.mark.parametrize("service", BOTH)
def test_a_service_that_fails_is_an_outage_that_costs_no_row(
    service: Service, fault: Fault, here: Site, sending: Sending
) -> None:
    queue = sending(junk=True)
    here.aws.breaks(service, fault)
    queue.deliver(here.invoke, 1000)
    assert len(queue.failures) == 1 and queue.failures[0].startswith("Failed: Outage: ")
    here.aws.heals()


@pytest.mark.parametrize("fault", [Fault.THROTTLED, pytest.param(Fault.SLOW, marks=pytest.mark.long), Fault.DOWN])
@pytest.mark.parametrize("service", BOTH)
def test_a_service_that_fails_once_costs_no_batch(service: Service, fault: Fault, here: Site, sending: Sending) -> None:
    queue = sending(junk=True)
    here.aws.breaks(service, fault, calls=1)
    queue.drain(here.invoke, 1000)
    assert queue.failures == []


@pytest.mark.long
def test_a_service_that_stays_slow_is_an_outage_in_time(here: Site, sending: Sending) -> None:
    queue = sending()
    here.aws.breaks(Service.KMS, Fault.SLOW)
    queue.deliver(lambda event: here.invoke(event, 60))
    assert queue.failures == ["Failed: Outage: kms: ReadTimeoutError"]
    here.aws.heals()


@pytest.mark.parametrize("fault", [Fault.THROTTLED, Fault.DOWN])
def test_junk_that_sqs_does_not_release_is_a_dead_letter_all_the_same(
    fault: Fault, here: Site, sending: Sending
) -> None:
    queue = sending(junk=True)
    here.aws.breaks(Service.SQS, fault)
    queue.deliver(here.invoke, 1000)
    assert queue.failures == []
    here.aws.heals()


def test_what_is_warm_needs_no_service(here: Site, sending: Sending) -> None:
    sending(10).drain(here.invoke)
    for service in BOTH:
        here.aws.breaks(service, Fault.DOWN)
    queue = sending()
    queue.drain(here.invoke, 1000)
    assert queue.failures == []
    here.aws.heals()


def test_a_password_rotated_while_batches_run_costs_no_batch(here: Site, sending: Sending) -> None:
    queue = sending(1000)
    try:
        for password in ("first", "second", "third"):
            queue.deliver(here.invoke)
            here.sql(f"ALTER ROLE \"{INGEST_ROLE}\" PASSWORD '{password}'")
            here.account.secretsmanager.secrets["ingest"] = json.dumps({"username": INGEST_ROLE, "password": password})
            here.disconnect_all()
        queue.drain(here.invoke)
    finally:
        here.sql(f"ALTER ROLE \"{INGEST_ROLE}\" PASSWORD '{PASSWORD}'")  # of the whole server
        here.account.secretsmanager.secrets["ingest"] = json.dumps({"username": INGEST_ROLE, "password": PASSWORD})
        here.disconnect_all()
    assert queue.failures == []


def test_a_key_added_to_the_keyset_while_batches_run_costs_no_row(here: Site, sending: Sending) -> None:
    queue = sending(600, junk=True)
    old = here.environment()
    queue.deliver(old.invoke)
    members = {"1": "K" * 64, "2": "L" * 64}
    added = Keyset.parse(json.dumps({"current": 1} | members))
    current = Keyset.parse(json.dumps({"current": 2} | members))
    here.keysets.append(current)
    # In the order of `rekey`: the key is added, made known to the database, made the current one.
    here.account.secretsmanager.secrets["keyset"] = json.dumps({"current": added.current} | members)
    queue.deliver(here.environment().invoke)
    with here.connect() as owner:
        check_values.remember(owner, added)
    here.account.secretsmanager.secrets["keyset"] = json.dumps({"current": current.current} | members)
    new = here.environment()
    for _ in range(2):
        queue.deliver(old.invoke)  # for five minutes it does not know
        queue.deliver(new.invoke)
    queue.drain(new.invoke)
    assert queue.failures == []
    made = here.sql("SELECT DISTINCT left(masked_ip, 2) FROM user_logins ORDER BY 1")
    assert made == [["t1"], ["t2"]]


def test_a_current_key_that_the_database_does_not_know_is_an_outage_until_it_does(here: Site, sending: Sending) -> None:
    queue = sending()
    here.account.secretsmanager.secrets["keyset"] = json.dumps({"current": 2, "1": "K" * 64, "2": "L" * 64})
    current = Keyset.parse(here.account.secretsmanager.secrets["keyset"])
    queue.deliver(here.invoke)
    assert queue.failures == ["Failed: Outage: keyset: key 2 is not known to this database"]
    with here.connect() as owner:
        check_values.remember(owner, current)
    here.keysets.append(current)
