"""`sluice capacity`: hand-computed plans and bills; what it counts is in the template and in the code; its page."""

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from sluice import telemetry
from sluice.ingest import metrics
from sluice.ingest.store import Written
from sluice.pseudonyms import keyset_secret
from sluice.vault import sealing
from tests.documentation import ROOT
from tests.unit.cli import run
from tests.unit.template import TEMPLATE, TRANSFORMED
from tools.sluice_cli.authors.capacity import bill, plan
from tools.sluice_cli.authors.capacity.bill import Prices
from tools.sluice_cli.authors.capacity.plan import Load, Measured, Plan, at

PAGE = (ROOT / "docs" / "scaling.md").read_text()
EXAMPLES = [  # those of a backlog take a second or two each
    pytest.param(command, shown, id=command, marks=[pytest.mark.long] if "--backlog" in command else [])
    for command, shown in re.findall(r"```console\n\$ sluice ([^\n]*)\n(.*?)```", PAGE, re.DOTALL)
]
# 10 records take 20 ms, half of them CPU time; each further record takes a tenth of a millisecond, and no CPU time.
MEASURED = Measured({10: 20.0, 1000: 119.0}, {10: 0.0, 1000: 0.0})
BUSY = Measured({10: 20.0, 1000: 20.0}, {10: 10.24, 1000: 10.24})


def plan_of(measured: Measured = MEASURED, **load: float) -> Plan:
    return Plan(Load(**load), measured)  # type: ignore[arg-type]


def quantities(of: Plan) -> dict[str, object]:
    return {part.what: pytest.approx(part.quantity) for part in bill.parts(of)}


def test_a_measure_is_on_the_line_between_its_neighbours_and_beyond_the_last_ones() -> None:
    measured = {10: 2.0, 100: 11.0, 1000: 101.0}
    assert [at(measured, records) for records in (1, 10, 55, 100, 550, 1900)] == pytest.approx(
        [1.1, 2.0, 6.5, 11.0, 56.0, 191.0]
    )


def test_own_cpu_time_is_longer_on_lambda_and_the_wait_is_not() -> None:
    assert BUSY.on_lambda(10) == pytest.approx(9.76 + 10.24 * 1769 / 1024)  # of 20 ms


def test_a_batch_has_its_first_record_and_a_fifth_of_what_comes_in_the_window() -> None:
    made = plan_of(records_per_second=1000, streams=2, window_seconds=2)
    assert made.batch == 201  # 1 + 500 × 2 / 5
    assert made.batches_per_second == pytest.approx(2.48756)  # 500 / 201
    assert made.batch_milliseconds == pytest.approx(39.1)  # 20 + 191 × 0.1
    assert made.busy == pytest.approx(0.0972637)


def test_a_batch_is_no_larger_than_batch_size_and_payload_allow() -> None:
    assert plan_of(records_per_second=10_000, window_seconds=10).batch == 1000
    large = plan_of(records_per_second=100, window_seconds=10, record_bytes=99_000)
    assert large.batch == 62  # 6,291,456 / (99,000 + 1,000)
    assert large.limits == ["A batch has at most 62 records of 99,000 bytes: an invocation takes 6 MB."]


@pytest.mark.parametrize(
    ("rate", "batch_size", "concurrency", "environments"),
    [
        (1, 1000, 2, 1),  # Lambda takes no less
        (1000, 10, 10, 4),  # 100 batches a second of 20 ms, twice; a poller receives 100 records a second
        (100, 1, 4, 4),  # 100 of 19.1 ms
        (100_000, 1000, 1000, 24),  # 100 of 119 ms
    ],
)
def test_concurrency_is_enough_to_write_and_to_receive(
    rate: int, batch_size: int, concurrency: int, environments: int
) -> None:
    made = plan_of(records_per_second=rate, batch_size=batch_size)
    assert (made.concurrency, made.connections, made.environments) == (concurrency, concurrency, environments)


def test_what_limits_a_load_is_told() -> None:
    found = plan_of(records_per_second=120_000, record_bytes=100).limits
    assert [limit.split(":")[0] for limit in found] == [
        "Concurrency is at most 1,000",
        "An account runs 1,000 invocations at a time in a region",
        "Concurrency × BatchSize is more than the 120,000 messages that a queue lets be in flight",
        "PostgreSQL is at work on 14.3 batches at a time, with a table of 10,000 rows; a large table takes several "
        "times as long.",
    ]
    assert plan_of(records_per_second=1000).limits == []


def test_a_bill_has_each_part_by_its_quantity() -> None:
    # 5 batches a second of 10 records and 20 ms: 13,140,000 a month, and 43,800 ticks of the breaker
    assert quantities(plan_of(records_per_second=50, batch_size=10, zones=2)) == {
        "Alarms": 27,
        "Dashboard": 1,
        "Secrets": 9,
        "KMS keys": 2,
        "VPC endpoints, hours": 7300,  # 5 × 2 × 730
        "Lambda, invocations": 13_183_800,
        "Lambda, GB-seconds": 264_990,  # 13,140,000 × 0.02 × 1 + 43,800 × 0.1 × 0.5
        "SQS, sent in tens": 13_140_000,
        "SQS, received and deleted": 26_280_000,
        "SQS, polls of empty queues": 657_000,  # 5 each 20 seconds
        "KMS, requests": 37_084,  # 3 × 8,760 of the queue, 8,760 of the keyset, 730 + 1,314 of the vault
        "Secrets, reads": 8_760,
        "Logs, GB ingested": 24.9879,  # 13,140,000 × 1,900 + 43,800 × 500 bytes
        "Logs, GB kept": 74.9637,
        "Custom metrics": 10,
        "X-Ray traces": 3_197_400,  # (1 + 4 × 0.05) a second, and 43,800
    }


def test_each_64_kb_of_ten_messages_are_a_request() -> None:
    found = quantities(plan_of(records_per_second=50, batch_size=10, record_bytes=10_000))
    assert found["SQS, sent in tens"] == 26_280_000  # two chunks
    assert found["SQS, received and deleted"] == 39_420_000  # a deletion is one


def test_a_price_is_of_so_many() -> None:
    prices, made = Prices.read(), plan_of(records_per_second=50, batch_size=10)
    monthly = {part.what: bill.dollars(part, prices) for part in bill.parts(made)}
    assert monthly["SQS, sent in tens"] == pytest.approx(5.256)  # 13.14 million at $0.40
    assert monthly["Secrets"] == pytest.approx(3.6)
    assert bill.total(made, prices) == pytest.approx(sum(monthly.values()))
    assert bill.per_million(131.4, made) == pytest.approx(1)  # 50 × 2,628,000 records


def test_a_stack_without_records_costs_what_it_is_made_of() -> None:
    idle = plan_of(records_per_second=0)
    used = {part.what for part in bill.parts(idle) if part.quantity}
    assert used == {
        *("Alarms", "Dashboard", "Secrets", "KMS keys", "Lambda, invocations", "Lambda, GB-seconds"),
        *("SQS, polls of empty queues", "KMS, requests", "Logs, GB ingested", "Logs, GB kept", "X-Ray traces"),
    }
    assert bill.per_million(1, idle) is None


def test_a_further_stream_costs_as_much_as_the_page_says() -> None:
    one, two = (bill.total(plan_of(records_per_second=0, streams=streams), Prices.read()) for streams in (1, 2))
    assert f"the polling of its queue, ${two - one:.2f}." in PAGE


def test_what_is_counted_is_what_the_template_makes() -> None:
    streams = TEMPLATE["Mappings"]["Streams"]
    kinds = Counter(resource["Type"] for resource in TRANSFORMED.values())
    of_a_stream = [name for name in TRANSFORMED if name.startswith("Logins") and name.endswith("Alarm")]
    assert len(of_a_stream) == bill.STREAM_ALARMS
    assert kinds["AWS::CloudWatch::Alarm"] == bill.OTHER_ALARMS + len(streams) * bill.STREAM_ALARMS
    assert kinds["AWS::SecretsManager::Secret"] == bill.SECRETS
    assert kinds["AWS::KMS::Key"] == bill.KMS_KEYS
    assert kinds["AWS::CloudWatch::Dashboard"] == bill.DASHBOARDS


def test_sizes_and_defaults_are_those_of_the_template() -> None:
    functions = {name: one["Properties"] for name, one in TRANSFORMED.items() if one["Type"] == "AWS::Lambda::Function"}
    assert functions["LoginsIngestFunction"]["MemorySize"] == plan.MEMORY_MB
    assert functions["BreakerFunction"]["MemorySize"] == bill.BREAKER_MEMORY_MB
    assert TRANSFORMED["IngestLogGroup"]["Properties"]["RetentionInDays"] == 30 * bill.LOG_MONTHS
    mapping = TRANSFORMED["LoginsIngestFunctionLogins"]["Properties"]
    load = Load(records_per_second=1)
    assert (mapping["BatchSize"], mapping["MaximumBatchingWindowInSeconds"]) == (load.batch_size, load.window_seconds)


def test_periods_are_those_of_the_code() -> None:
    assert bill.KEYSET_SECONDS == keyset_secret.KEYSET_SECONDS
    assert (bill.VAULT_KEY_SECONDS, bill.VAULT_KEY_VALUES) == (sealing.DATA_KEY_SECONDS, sealing.DATA_KEY_VALUES)


def test_a_batch_logs_as_much_as_is_counted(output: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> None:
    name = "sluice-LoginsIngestFunction-AbCdEfGhIjKl"
    context = SimpleNamespace(
        function_name=name,
        memory_limit_in_mb=1024,
        invoked_function_arn=f"arn:aws:lambda:us-east-1:123456789012:function:{name}",
        aws_request_id="52fdfc07-2182-154f-163f-5f0f9a621d72",
    )
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1")

    @telemetry.logger.inject_lambda_context
    def handler(event: object, context: object) -> None:
        records = [{"attributes": {"SentTimestamp": "1767258000123"}}] * 1000
        metrics.count_batch("user_logins", records, Written(1000, 0, [], 12.345678), [])

    handler({}, context)
    logged = output()
    assert len(logged.encode()) == pytest.approx(bill.LOG_BYTES, rel=0.2)
    (line,) = [json.loads(line) for line in logged.splitlines() if "_aws" in line]
    assert len(line["_aws"]["CloudWatchMetrics"][0]["Metrics"]) == bill.STREAM_METRICS


def test_endpoints_are_of_the_services_that_the_functions_call() -> None:
    code = "".join(file.read_text() for file in (ROOT / "layers/common/sluice").rglob("*.py"))
    called = set(re.findall(r'clients?\.client\("(\w+)"', code)) - {
        "rds",
        "s3",
    }  # one calls nobody, the other's is free
    assert len(called) == bill.ENDPOINTS, called


@pytest.mark.parametrize(("command", "shown"), EXAMPLES)
def test_the_page_shows_what_the_command_prints(command: str, shown: str) -> None:
    code, printed, errors = run(*command.split())
    assert (code, errors) == (0, "")
    assert [line.rstrip() for line in printed.splitlines()] == shown.splitlines()


def test_the_page_has_each_price_with_its_date_and_source() -> None:
    prices = Prices.read()
    listed = [
        f"| {name.replace('_', ' ')} | {one.dollars:g} | {one.per:,} | {one.read} | {'yes' if one.aws else 'no'} |"
        for name in Prices.__struct_fields__
        if isinstance(one := getattr(prices, name), bill.Price)
    ]
    assert PAGE.split("own page |\n|---|---:|---:|---|---|\n")[1].splitlines() == listed


def test_the_page_has_what_it_says_of_the_benchmark() -> None:
    race = json.loads(plan.BENCHMARK.read_text())["race"]
    assert f"{1e6 / race['10000']['sluice']['us_per_record']:,.0f}"[:2] == "46"
    assert "wrote 46,000 a second" in PAGE


def test_prices_of_ones_own_are_taken(tmp_path: Path) -> None:
    own = tmp_path / "prices.toml"
    own.write_text(
        bill.PRICES.read_text().replace("us-east-1", "eu-central-1").replace("dollars = 3.00", "dollars = 5")
    )
    _, printed, _ = run("capacity", "--records-per-second", "0", "--prices", str(own))
    assert "A month in eu-central-1" in printed
    assert re.search(r"Dashboard +│ 1 +│ 5.00 ", printed)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("many", "--records-per-second is a number from 0 to 1,000,000, or several"),
        ("nan", "--records-per-second is a number from 0 to 1,000,000, or several"),
        ("1,-1", "--records-per-second is a number from 0 to 1,000,000, or several"),
        ("1 --batch-size 0", "--batch-size is a number from 1 to 10,000, or several"),
        ("1 --prices none.toml", "the file of --prices cannot be read"),
        (f"1 --prices {ROOT / 'samconfig.toml'}", "--prices: Object contains unknown field `version`"),
    ],
)
def test_what_is_no_number_and_no_price_is_told_in_a_line(arguments: str, message: str) -> None:
    assert run("capacity", "--records-per-second", *arguments.split()) == (2, "", f"sluice: capacity: {message}\n")
