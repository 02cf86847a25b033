"""The bill: what AWS asks for a plan in a month, part by part."""

import tomllib
from datetime import date
from math import ceil
from pathlib import Path
from typing import NamedTuple

import msgspec

from tools.sluice_cli.authors.capacity.plan import MEMORY_MB, POLLERS, Plan

PRICES = Path(__file__).with_name("prices.toml")
MONTH_SECONDS = 730 * 3600

# What the template makes; tests/unit/test_cli_capacity.py counts it there.
STREAM_ALARMS, OTHER_ALARMS = 5, 22
SECRETS = 9  # one less where the database's owner has one already
KMS_KEYS = 2
DASHBOARDS = 1
STREAM_METRICS = 10  # custom ones of a batch without rejections: those of telemetry for each of its counts

LOG_BYTES = 1_400  # of the two lines that a batch logs, and the 10 metrics in one of them
PLATFORM_BYTES = 500  # assumed: START, END and REPORT, which Lambda itself writes for each invocation
LOG_MONTHS = 3  # the log group's RetentionInDays is 90
BREAKER_MEMORY_MB = 512
BREAKER_SECONDS = 0.1  # assumed: one call of SSM a minute
MESSAGES_OF_A_CALL = 10  # of SQS: sent, received or deleted
CHUNK_BYTES = 64 * 1024  # https://aws.amazon.com/sqs/pricing/: each is a request
POLL_SECONDS = 20  # a receive of an empty queue
KEY_REUSE_SECONDS = 300  # of SQS: KmsDataKeyReusePeriodSeconds; R = B / D × (2 × P + C) with one producer, one consumer
KEYSET_SECONDS = 300  # after which an environment reads the keyset again
VAULT_KEY_SECONDS, VAULT_KEY_VALUES = 3600, 100_000  # after which it asks for a new data key
# Of a function: https://docs.aws.amazon.com/lambda/latest/dg/services-xray.html
TRACES_PER_SECOND, TRACED_SHARE = 1, 0.05
ENDPOINTS = 5  # secretsmanager, kms, ssm, lambda, sqs: what the functions call from a VPC


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A list price, and where it is from."""

    dollars: float
    per: int
    source: str
    read: str
    aws: bool


class Prices(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The list prices of a region."""

    region: str
    currency: str
    gathered: date
    lambda_request: Price
    lambda_gb_second: Price
    sqs_request: Price
    kms_key: Price
    kms_request: Price
    stored_secret: Price
    secrets_manager_call: Price
    log_gb_ingested: Price
    log_gb_kept: Price
    custom_metric: Price
    alarm: Price
    dashboard: Price
    trace: Price
    endpoint_hour: Price

    @classmethod
    def read(cls, path: Path = PRICES) -> "Prices":
        """Return the prices of a file. Raises OSError, or ValueError when one is missing or is not what it must be."""
        return msgspec.convert(tomllib.loads(path.read_text()), cls)


class Part(NamedTuple):
    """One line of the bill."""

    what: str
    price: str  # its name in Prices
    quantity: float  # in a month


def parts(plan: Plan) -> list[Part]:
    """Return what is paid for in a month: first what runs without a record, then what the records add."""
    load = plan.load
    return [
        Part("Alarms", "alarm", OTHER_ALARMS + load.streams * STREAM_ALARMS),
        Part("Dashboard", "dashboard", DASHBOARDS),
        Part("Secrets", "stored_secret", SECRETS),
        Part("KMS keys", "kms_key", KMS_KEYS),
        Part("VPC endpoints, hours", "endpoint_hour", ENDPOINTS * load.zones * MONTH_SECONDS / 3600),
        *_functions(plan),
        *_queues(plan),
        *_keys(plan),
        *_telemetry(plan),
    ]


def dollars(part: Part, prices: Prices) -> float:
    """Return what a part costs in a month."""
    price: Price = getattr(prices, part.price)
    return part.quantity / price.per * price.dollars


def total(plan: Plan, prices: Prices) -> float:
    """Return the dollars of a month."""
    return sum(dollars(part, prices) for part in parts(plan))


def per_million(monthly: float, plan: Plan) -> float | None:
    """Return the dollars of a million records, or None if there are none."""
    millions = plan.load.records_per_second * MONTH_SECONDS / 1e6
    return monthly / millions if millions else None


def _functions(plan: Plan) -> list[Part]:
    batches, ticks = _batches(plan), MONTH_SECONDS / 60
    of_batches = batches * ceil(plan.batch_milliseconds) / 1000 * MEMORY_MB / 1024
    of_breaker = ticks * BREAKER_SECONDS * BREAKER_MEMORY_MB / 1024
    return [
        Part("Lambda, invocations", "lambda_request", batches + ticks),
        Part("Lambda, GB-seconds", "lambda_gb_second", of_batches + of_breaker),
    ]


def _queues(plan: Plan) -> list[Part]:
    load = plan.load
    chunks = max(1, ceil(MESSAGES_OF_A_CALL * load.record_bytes / CHUNK_BYTES))  # of a call with ten messages
    sent = load.records_per_second * MONTH_SECONDS / MESSAGES_OF_A_CALL
    calls = _batches(plan) * ceil(plan.batch / MESSAGES_OF_A_CALL)
    polls = load.streams * POLLERS * MONTH_SECONDS / POLL_SECONDS
    return [
        Part("SQS, sent in tens", "sqs_request", sent * chunks),
        Part("SQS, received and deleted", "sqs_request", calls * chunks + calls),
        Part("SQS, polls of empty queues", "sqs_request", polls),
    ]


def _keys(plan: Plan) -> list[Part]:
    load = plan.load
    of_queues = load.streams * 3 * MONTH_SECONDS / KEY_REUSE_SECONDS
    environments = load.streams * plan.environments
    keysets = environments * MONTH_SECONDS / KEYSET_SECONDS  # each read is a call of KMS, too
    values = load.records_per_second * MONTH_SECONDS  # if each record has one that is new to the vault
    of_vault = environments * MONTH_SECONDS / VAULT_KEY_SECONDS + values / VAULT_KEY_VALUES
    return [
        Part("KMS, requests", "kms_request", of_queues + keysets + of_vault),
        Part("Secrets, reads", "secrets_manager_call", keysets),
    ]


def _telemetry(plan: Plan) -> list[Part]:
    batches, ticks, streams = _batches(plan), MONTH_SECONDS / 60, plan.load.streams
    gigabytes = (batches * (LOG_BYTES + PLATFORM_BYTES) + ticks * PLATFORM_BYTES) / 1e9
    each = plan.batches_per_second
    traces = min(each, TRACES_PER_SECOND) + max(0, each - TRACES_PER_SECOND) * TRACED_SHARE
    return [
        Part("Logs, GB ingested", "log_gb_ingested", gigabytes),
        Part("Logs, GB kept", "log_gb_kept", gigabytes * LOG_MONTHS),
        Part("Custom metrics", "custom_metric", streams * STREAM_METRICS if plan.rate else 0),
        Part("X-Ray traces", "trace", streams * traces * MONTH_SECONDS + ticks),
    ]


def _batches(plan: Plan) -> float:
    return plan.load.streams * plan.batches_per_second * MONTH_SECONDS
