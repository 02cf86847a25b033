"""What watches the stack: its alarms, the breaker's schedule, the logs."""

from collections.abc import Iterator

from sluice.aws import clients
from sluice.migrate.doctor.finding import Finding
from tools.sluice_cli.operators.causes import RUNBOOK
from tools.sluice_cli.operators.doctor.advice import AGAIN, BY_HAND
from tools.sluice_cli.operators.doctor.site import Site

AUDITED = ("reveal", "forget", "rekey", "dead-letters", "maintain")  # whose logs prove the audit log
AUDITED_DAYS = 365
PAGE = 100  # alarms that one call tells of


def alarms(site: Site) -> Iterator[Finding]:
    """Look at which alarms are on, and whether anybody hears of them."""
    names = {alarm: name for name, alarm in site.of_type("CloudWatch::Alarm").items()}
    asked, cloudwatch = sorted(names), site.client("cloudwatch")
    found = [
        alarm
        for start in range(0, len(asked), PAGE)
        for alarm in cloudwatch.describe_alarms(AlarmNames=asked[start : start + PAGE], MaxRecords=PAGE)["MetricAlarms"]
    ]
    yield Finding("alarms", "good", f"{len(found)} alarms")
    for alarm in found:
        if alarm.get("StateValue") == "ALARM":
            name = names[alarm["AlarmName"]]
            yield Finding("alarms", "warns", "It is on.", name, f"See its kind in {RUNBOOK}, “Alarms”.")
    if missing := sorted(names[name] for name in names.keys() - {alarm["AlarmName"] for alarm in found}):
        yield Finding("alarms", "warns", f"Not there any more: {', '.join(missing)}.", advice=AGAIN)
    if silent := [alarm for alarm in found if not alarm.get("AlarmActions") or not alarm.get("ActionsEnabled", True)]:
        sentence = f"{len(silent)} of {len(found)} alarms notify nobody."
        yield Finding("alarms", "warns", sentence, advice="Deploy with AlarmTopicArn, and enable their actions.")
    for topic in sorted({action for alarm in found for action in alarm.get("AlarmActions", []) if ":sns:" in action}):
        yield from _of_topic(site, topic)


def _of_topic(site: Site, topic: str) -> Iterator[Finding]:
    name = topic.rpartition(":")[2]
    try:
        attributes = site.client("sns").get_topic_attributes(TopicArn=topic)["Attributes"]
    except clients.errors() as error:
        if clients.reason(error) not in ("NotFound", "NotFoundException"):
            raise
        yield Finding("alarms", "fails", "The alarms' topic is gone.", name, "Make it again, or deploy with another.")
    else:
        if int(attributes.get("SubscriptionsConfirmed", 0)) == 0:
            sentence = "Nobody has subscribed to the alarms' topic."
            yield Finding("alarms", "warns", sentence, name, "Subscribe, and confirm the subscription.")


def schedule(site: Site) -> Iterator[Finding]:
    """Look at whether the breaker is called every minute."""
    rules = len(site.of_type("Events::Rule"))
    yield Finding("schedule", "good", f"{rules} rule{'s' * (rules != 1)}")
    for name, rule in site.of_type("Events::Rule").items():
        state = site.client("events").describe_rule(Name=rule.rpartition("|")[2])["State"]
        if state == "DISABLED":
            sentence = "The rule is disabled: a queue that an outage has stopped stays stopped."
            yield Finding("schedule", "fails", sentence, name, f"aws events enable-rule --name {rule}")


def logs(site: Site) -> Iterator[Finding]:
    """Look at whether the logs are there, and kept."""
    prefix = f"/sluice/{site.stack}/"
    pages = site.client("logs").get_paginator("describe_log_groups").paginate(logGroupNamePrefix=prefix)
    found = {group["logGroupName"]: group.get("retentionInDays") for page in pages for group in page["logGroups"]}
    yield Finding("logs", "good", f"{len(found)} log groups")
    groups = {function.get("LoggingConfig", {}).get("LogGroup") for function in site.functions.values()}
    for group in sorted(filter(None, groups - found.keys())):
        yield Finding("logs", "fails", "The log group is gone.", group, AGAIN)
    for name in AUDITED:
        days = found.get(prefix + name)
        if days is not None and days < AUDITED_DAYS:
            sentence = f"It is kept for {days} days, and a yearly audit finds no head in it."
            yield Finding("logs", "warns", sentence, prefix + name, BY_HAND)
