"""The template keeps what its parts must agree on."""

from pathlib import Path
from typing import Any

import pytest
from samtranslator.yaml_helper import yaml_parse

PROJECT = Path(__file__).parents[2]
TEMPLATE: dict[str, Any] = yaml_parse((PROJECT / "template.yaml").read_text())
RESOURCES: dict[str, Any] = TEMPLATE["Resources"]


def of_type(kind: str) -> dict[str, Any]:
    return {name: resource for name, resource in RESOURCES.items() if resource["Type"] == kind}


def mappings() -> list[tuple[str, dict[str, Any]]]:
    """Return every function's name with the properties of its SQS event."""
    return [
        (name, event["Properties"])
        for name, function in of_type("AWS::Serverless::Function").items()
        for event in function["Properties"].get("Events", {}).values()
    ]


@pytest.mark.parametrize(("function", "mapping"), mappings())
def test_a_queue_and_the_function_that_reads_it_fit(function: str, mapping: dict[str, Any]) -> None:
    queue = RESOURCES[mapping["Queue"]["Fn::GetAtt"][0]]["Properties"]
    dead_letters = RESOURCES[queue["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]]["Properties"]
    assert queue["VisibilityTimeout"] == 6 * RESOURCES[function]["Properties"]["Timeout"]
    assert queue["RedrivePolicy"]["maxReceiveCount"] == 10
    assert dead_letters["MessageRetentionPeriod"] == 2 * queue["MessageRetentionPeriod"] == 14 * 24 * 60 * 60
    assert queue["KmsMasterKeyId"] == dead_letters["KmsMasterKeyId"] == {"Ref": "StorageKey"}
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert set(mapping) >= {"BatchSize", "MaximumBatchingWindowInSeconds", "ScalingConfig"}
    assert "FilterCriteria" not in mapping  # it would discard what does not match
    assert RESOURCES[function]["DependsOn"] == "Schema"


def test_what_cannot_be_made_again_outlives_the_stack() -> None:
    kept = {name for name, resource in RESOURCES.items() if resource.get("DeletionPolicy") == "Retain"}
    assert kept == {"StorageKey", "KeysetSecret", *of_type("AWS::SQS::Queue")}
    assert all(RESOURCES[name]["UpdateReplacePolicy"] == "Retain" for name in kept)


def test_the_custom_resource_waits_for_longer_than_its_function_may_take() -> None:
    schema = RESOURCES["Schema"]["Properties"]
    assert schema["ServiceTimeout"] == 300 > RESOURCES["MigrateFunction"]["Properties"]["Timeout"]
    assert schema["Layer"] == {"Ref": "CommonLayer"}  # another layer, other migrations: it runs again


@pytest.mark.parametrize("name", of_type("AWS::IAM::Role"))
def test_a_role_may_do_nothing_to_everything(name: str) -> None:
    for policy in RESOURCES[name]["Properties"]["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            assert "*" not in str(statement["Action"])
            assert "'*'" not in str(statement["Resource"]) and statement["Resource"] != "*"


@pytest.mark.parametrize("name", of_type("AWS::Serverless::Function"))
def test_a_function_has_a_role_and_an_encrypted_log_of_its_own(name: str) -> None:
    function = RESOURCES[name]["Properties"]
    assert function["Role"]["Fn::GetAtt"][0] in of_type("AWS::IAM::Role")
    group = RESOURCES[function["LoggingConfig"]["LogGroup"]["Ref"]]["Properties"]
    assert group["KmsKeyId"] == {"Fn::GetAtt": ["StorageKey", "Arn"]}
    assert group["RetentionInDays"] == 90
    assert not function.get("Policies")  # SAM's own would be wider
