"""The parts of a stack that AWS tells of: each is looked at, and what is not as it must be is a finding."""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from botocore.config import Config

from sluice.aws import clients
from sluice.aws import queues as queue_parameters
from sluice.migrate.doctor.finding import Finding, Severity
from sluice.migrate.doctor.server import OTHERS
from tools.sluice_cli.operators import breaker
from tools.sluice_cli.operators.breaker import Switchboard
from tools.sluice_cli.operators.causes import RUNBOOK
from tools.sluice_cli.operators.doctor import watching
from tools.sluice_cli.operators.doctor.advice import AGAIN, BY_HAND
from tools.sluice_cli.operators.doctor.site import Site, permission_missing

MIGRATE = "MigrateFunction"
ANSWER_SECONDS = 250  # longer than its timeout
OLD = timedelta(hours=1)  # a queue that is read is younger
TOO_OLD = timedelta(seconds=302_400)  # as the template's alarms have it: half of the 7 days


def look(site: Site) -> list[Finding]:
    """Look at all of a stack. Where a call is not allowed, that is said, and the others go on."""
    found: list[Finding] = []
    for area, of_area in AREAS.items():
        try:
            found += of_area(site)
        except clients.errors() as error:
            found.append(_not_seen(area, error))
        except msgspec.DecodeError:
            sentence = f"A parameter below {queue_parameters.path(site.stack)} does not name the queues of a stream."
            found.append(Finding(area, "fails", sentence, advice=BY_HAND))
    return found


def exists(site: Site) -> bool:
    """Tell whether there is such a stack. A caller that may not ask finds out with what is asked next."""
    try:
        site.client("cloudformation").describe_stacks(StackName=site.stack)
    except clients.errors() as error:
        return clients.reason(error) != "ValidationError"
    return True


def look_before(site: Site, connections: int) -> list[Finding]:
    """Look at what there is without a stack: room in the account for so many batches at a time."""
    advice = "See --stack and the region. Before the first deployment, --database looks at its database."
    found = [Finding("stack", "fails", "There is no such stack here.", site.stack, advice)]
    try:
        return [*_of_account(site, connections), *found]
    except clients.errors() as error:
        return [_not_seen("account", error), *found]


def account(site: Site) -> Iterator[Finding]:
    """Look at what the account has room for."""
    yield from _of_account(site, site.connections)


def _of_account(site: Site, connections: int) -> Iterator[Finding]:
    limits = site.client("lambda").get_account_settings()["AccountLimit"]
    room, wanted = limits["UnreservedConcurrentExecutions"], connections + OTHERS
    yield Finding("account", "good", f"{room:,} executions at a time")
    if room < wanted:
        sentence = f"The account runs {room} executions at a time, and the stack may want {wanted}."
        advice = "Have Lambda's quota “Concurrent executions” raised, or lower the streams' Concurrency."
        yield Finding("account", "warns", sentence, advice=advice)


def stack(site: Site) -> Iterator[Finding]:
    """Look at how the last deployment ended."""
    (described,) = site.client("cloudformation").describe_stacks(StackName=site.stack)["Stacks"]
    status = described["StackStatus"]
    if status in ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"):
        yield Finding("stack", "good", f"{site.stack} is {status}")
    elif status.endswith("_IN_PROGRESS"):
        yield Finding("stack", "warns", f"It is {status}: what follows may change.", site.stack)
    elif status == "UPDATE_ROLLBACK_COMPLETE":
        advice = f"Its events say why; {RUNBOOK}, “FunctionErrorsAlarm”, has what a deployment refuses."
        yield Finding("stack", "warns", "The last deployment failed: what was there before runs.", site.stack, advice)
    else:
        yield Finding("stack", "fails", f"It is {status}.", site.stack, "Its events say why: mend that, and deploy.")


def functions(site: Site) -> Iterator[Finding]:
    """Look at whether Lambda can run the functions."""
    yield Finding("functions", "good", f"{len(site.functions)} functions")
    for name, function in site.functions.items():
        if function.get("State") == "Failed" or function.get("LastUpdateStatus") == "Failed":
            why = function.get("StateReason") or function.get("LastUpdateStatusReason") or "no reason given"
            yield Finding("functions", "fails", f"Lambda cannot run it: {why}", name, "Mend that, and deploy.")
        reserved = site.client("lambda").get_function_concurrency(FunctionName=function["FunctionName"])
        if reserved.get("ReservedConcurrentExecutions") == 0:
            sentence = "Its reserved concurrency is 0, so it never runs."
            yield Finding("functions", "fails", sentence, name, "Take the reserved concurrency away.")


def mappings(site: Site) -> Iterator[Finding]:
    """Look at whether each stream's queue is read, and read as the template says."""
    if gone := site.mappings_gone:
        sentence = f"The mapping {', '.join(gone)} is gone, and its queue is not read."
        yield Finding("mappings", "fails", sentence, advice=AGAIN)
        return
    board = Switchboard(site.deployment)
    sources = board.sources()
    yield Finding("mappings", "good", f"{len(sources)} streams, {site.connections} batches at a time at most")
    arns = {name: site.attributes(queues.queue)["QueueArn"] for name, queues in site.queues.items()}
    by_uuid = {mapping["UUID"]: mapping for mapping in site.mappings}
    for source in sources:
        told = breaker.status_of(board, source)
        if told["advice"]:
            severity: Severity = "warns" if told["paused_at"] else "fails"
            sentence = f"It is not read{': ' + told['why'] if told['why'] else ''}."
            advice = f"{told['advice']} See {RUNBOOK}, “{told['runbook']}”."
            yield Finding("mappings", severity, sentence, source.stream, advice)
        mapping = by_uuid[source.mapping]
        if "ReportBatchItemFailures" not in (mapping.get("FunctionResponseTypes") or []):
            sentence = "The mapping takes no report of single messages: rejected ones would be deleted."
            yield Finding("mappings", "fails", sentence, source.stream, BY_HAND)
        if source.queue_arn != arns.get(source.stream):
            sentence = "The mapping reads another queue than the stack's parameter names."
            yield Finding("mappings", "fails", sentence, source.stream, BY_HAND)
        if "PROBLEM" in (mapping.get("LastProcessingResult") or ""):
            sentence = f"The last batch ended with: {mapping['LastProcessingResult']}"
            yield Finding("mappings", "warns", sentence, source.stream, "See the log of ingest.")
    for stream in sorted(site.queues.keys() - {source.stream for source in sources}):
        yield Finding("mappings", "fails", "No mapping of the stack reads its queue.", stream, BY_HAND)


def queues(site: Site) -> Iterator[Finding]:
    """Look at what waits, how old it is, and where messages go that fail."""
    waiting = 0
    for stream, urls in site.queues.items():
        attributes, letters = site.attributes(urls.queue), site.attributes(urls.dead_letters)
        waiting += breaker.depth(attributes)
        redrive = json.loads(attributes.get("RedrivePolicy") or "{}")
        if redrive.get("deadLetterTargetArn") != letters["QueueArn"]:
            sentence = "Its queue has no dead-letter queue of the stack: bad messages come again until they expire."
            yield Finding("queues", "fails", sentence, stream, BY_HAND)
        if dead := breaker.depth(letters):
            advice = f"`sluice dead-letters list {stream}`"
            yield Finding("queues", "warns", f"{dead:,} dead letters wait, and expire.", stream, advice)
        for what, queue in (("message", attributes), ("dead letter", letters)):
            age = _age(site, queue["QueueArn"].rpartition(":")[2])
            if age >= OLD:
                severity: Severity = "fails" if age >= TOO_OLD else "warns"
                sentence = f"The oldest {what} has waited for {age // timedelta(hours=1)} hours."
                advice = f"See {RUNBOOK}, “{'AgeAlarm' if what == 'message' else 'DeadLettersAgeAlarm'}”."
                yield Finding("queues", severity, sentence, stream, advice)
    yield Finding("queues", "good", f"{len(site.queues)} queues, in which {waiting:,} messages wait")


def _age(site: Site, queue: str) -> timedelta:
    """Return how old the oldest message of a queue is, as CloudWatch has it; 0 where it has nothing."""
    now = datetime.now(UTC)
    answer = site.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/SQS",
        MetricName="ApproximateAgeOfOldestMessage",
        Dimensions=[{"Name": "QueueName", "Value": queue}],
        StartTime=now - timedelta(minutes=15),
        EndTime=now + timedelta(minutes=1),
        Period=300,
        Statistics=["Maximum"],
    )
    newest = max(answer["Datapoints"], key=lambda one: one["Timestamp"], default={"Maximum": 0.0})
    return timedelta(seconds=newest["Maximum"])


def secrets(site: Site) -> Iterator[Finding]:
    """Look at whether the secrets are there to stay."""
    of_functions = site.variables("TOKEN_KEY_SECRET_ID") | site.variables("DATABASE_SECRET_ID")
    ids = sorted({*site.of_type("SecretsManager::Secret").values(), *of_functions})
    yield Finding("secrets", "good", f"{len(ids)} secrets")
    names = {secret_id: name for name, secret_id in site.of_type("SecretsManager::Secret").items()}
    for secret_id in ids:
        name = names.get(secret_id, secret_id)
        try:
            described = site.client("secretsmanager").describe_secret(SecretId=secret_id)
        except clients.errors() as error:
            if clients.reason(error) != "ResourceNotFoundException":
                raise
            sentence = "It is gone."
            yield Finding("secrets", "fails", sentence, name, f"Restore it; {RUNBOOK}, “Credentials”, and privacy.md.")
        else:
            if described.get("DeletedDate"):
                advice = f"aws secretsmanager restore-secret --secret-id {secret_id}"
                yield Finding("secrets", "fails", "It is to be deleted, and cannot be read.", name, advice)


def keys(site: Site) -> Iterator[Finding]:
    """Look at whether the keys can be used."""
    of_queues = {site.attributes(urls.queue).get("KmsMasterKeyId", "") for urls in site.queues.values()}
    given = {*site.of_type("KMS::Key").values(), *site.variables("VAULT_KEY_ID"), *filter(None, of_queues)}
    found = [site.client("kms").describe_key(KeyId=key)["KeyMetadata"] for key in sorted(given)]
    states = {one["KeyId"]: one["KeyState"] for one in found}
    yield Finding("keys", "good", f"{len(states)} keys")
    names = {key: name for name, key in site.of_type("KMS::Key").items()}
    for key, state in states.items():
        if state == "PendingDeletion":
            sentence = "It is to be deleted, and with it is lost what it encrypts."
            advice = f"aws kms cancel-key-deletion --key-id {key}, then enable-key."
            yield Finding("keys", "fails", sentence, names.get(key, key), advice)
        elif state != "Enabled":
            advice = f"aws kms enable-key --key-id {key}"
            yield Finding("keys", "fails", f"It is {state}.", names.get(key, key), advice)


def database(site: Site) -> list[Finding]:
    """Have the function of the migrations look at the database, which has all logins at hand."""
    function = site.of_type("Lambda::Function").get(MIGRATE)
    if function is None:
        return [Finding("database", "unknown", f"Not looked at: the stack has no {MIGRATE}.")]
    asked = json.dumps({"doctor": {"connections": site.connections}})
    config = Config(read_timeout=ANSWER_SECONDS, retries={"total_max_attempts": 1})
    invoked = site.deployment.client("lambda", config=config).invoke(FunctionName=function, Payload=asked)
    answer = json.loads(invoked["Payload"].read() or "null")
    if invoked.get("FunctionError"):
        why = answer.get("errorMessage", "?") if isinstance(answer, dict) else "?"
        return [Finding("database", "fails", f"{MIGRATE} failed: {why}", advice="Its log has the reason.")]
    try:
        return msgspec.convert(answer["findings"], list[Finding])
    except (TypeError, KeyError, msgspec.ValidationError):
        return [Finding("database", "unknown", f"Not looked at: the {MIGRATE} of another release cannot do it.")]


AREAS: Mapping[str, Callable[[Site], Any]] = {
    "account": account,
    "stack": stack,
    "functions": functions,
    "mappings": mappings,
    "queues": queues,
    "secrets": secrets,
    "keys": keys,
    "alarms": watching.alarms,
    "schedule": watching.schedule,
    "logs": watching.logs,
    "database": database,
}


def _not_seen(area: str, error: Exception) -> Finding:
    if permission := permission_missing(error):
        return Finding(area, "unknown", f"Not looked at: no permission for {permission}.")
    return Finding(area, "fails", str(error))
