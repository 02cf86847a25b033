"""deploy/database.yaml keeps its database to itself, and fits what template.yaml asks for and its functions call."""

import re
from typing import Any

import pytest

from tests.unit.template import PROJECT, TEMPLATE, TRANSFORMED, broken_rules, listed, statements
from tools.aws import authorities
from tools.local.template import expanded

DATABASE: dict[str, Any] = expanded((PROJECT / "deploy" / "database.yaml").read_text())
RESOURCES: dict[str, Any] = DATABASE["Resources"]
KEY = {"Fn::If": ["MakesKey", {"Fn::GetAtt": ["Key", "Arn"]}, {"Ref": "KmsKeyArn"}]}

# What a function does without a call from inside of the VPC: Lambda writes logs and traces, and RDS takes tokens.
NOT_CALLED = {"logs", "xray", "ec2", "rds-db"}


def of_type(kind: str) -> dict[str, Any]:
    return {name: one["Properties"] for name, one in RESOURCES.items() if one["Type"] == kind}


def called() -> set[str]:
    """Return all that the functions may do, by their policies and by that of the vault's key."""
    of_roles = [
        one for role, found in TRANSFORMED.items() if found["Type"] == "AWS::IAM::Role" for one in statements(role)
    ]
    key = TRANSFORMED["VaultKey"]["Properties"]["KeyPolicy"]["Statement"]
    of_key = [one for one in key if one["Effect"] == "Allow" and one["Sid"] != "AdministratorsThroughIam"]
    return {action for one in (*of_roles, *of_key) for action in listed(one["Action"])}


def let_through(endpoint: dict[str, Any]) -> set[str]:
    return {action for one in endpoint["PolicyDocument"]["Statement"] for action in listed(one["Action"])}


def test_a_proxy_logs_in_as_the_owner_and_as_every_role() -> None:
    logins = [name for name, one in TEMPLATE["Resources"].items() if one["Type"] == "AWS::SecretsManager::Secret"]
    of_roles = {*logins} - {"OwnerSecret", "KeysetSecret"}
    owner, *roles = (one["SecretArn"] for one in RESOURCES["Proxy"]["Properties"]["Auth"])
    assert owner["Fn::If"][0] == "IsAurora"
    assert roles == [{"Fn::Select": [number, {"Ref": "ProxySecretArns"}]} for number in range(len(of_roles))]


def test_the_outputs_are_parameters_of_the_template() -> None:
    assert DATABASE["Outputs"].keys() == {
        "DatabaseHost",
        "DatabasePort",
        "DatabaseName",
        "DatabaseOwnerSecretArn",
        "DatabaseOwnerSecretKmsKeyArn",
        "DatabaseResourceId",
        "SubnetIds",
        "SecurityGroupIds",
    }
    assert DATABASE["Outputs"].keys() <= TEMPLATE["Parameters"].keys()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DatabaseHost", "sluice-database-cluster-1x.cluster-c1.eu-central-1.rds.amazonaws.com"),
        ("DatabaseName", DATABASE["Parameters"]["DatabaseName"]["Default"]),
        (
            "DatabaseOwnerSecretArn",
            "arn:aws:secretsmanager:eu-central-1:123456789012:secret:rds!cluster-5f1c-8a0b-AbCdEf",
        ),
        ("DatabaseOwnerSecretKmsKeyArn", "arn:aws:kms:eu-central-1:123456789012:key/0f1c"),
        ("DatabaseResourceId", "cluster-ABCDEFGHIJKL"),
    ],
)
def test_what_rds_calls_a_thing_is_a_value_of_the_parameter(name: str, value: str) -> None:
    assert re.fullmatch(TEMPLATE["Parameters"][name]["AllowedPattern"], value)


def test_the_server_is_encrypted_private_kept_and_has_a_secret_of_rds() -> None:
    for name in ("Cluster", "Instance"):
        assert (RESOURCES[name]["DeletionPolicy"], RESOURCES[name]["UpdateReplacePolicy"]) == ("Snapshot", "Snapshot")
        assert (
            RESOURCES[name]["Properties"].items()
            >= {
                "StorageEncrypted": True,
                "KmsKeyId": KEY,
                "ManageMasterUserPassword": True,
                "MasterUserSecret": {"KmsKeyId": KEY},
                "EnableIAMDatabaseAuthentication": True,
                "DeletionProtection": True,
                "BackupRetentionPeriod": {"Ref": "BackupRetentionDays"},
                "DBSubnetGroupName": {"Ref": "SubnetGroup"},
            }.items()
        )
    assert {name: one["PubliclyAccessible"] for name, one in of_type("AWS::RDS::DBInstance").items()} == {
        "FirstServer": False,
        "SecondServer": False,
        "Instance": False,
    }
    assert not [name for name, one in RESOURCES.items() if "Gateway" in one["Type"]]  # no way to the internet
    assert (RESOURCES["Key"]["DeletionPolicy"], RESOURCES["Key"]["UpdateReplacePolicy"]) == (
        "RetainExceptOnCreate",
        "Retain",
    )


def test_the_endpoints_which_a_network_may_refuse_are_made_before_the_protected_server() -> None:
    _, tag = RESOURCES["SubnetGroup"]["Properties"]["Tags"]
    _, made, _ = tag["Value"]["Fn::If"]
    assert {one["Ref"] for one in made["Fn::Join"][1]} == of_type("AWS::EC2::VPCEndpoint").keys()


def test_the_server_takes_tls_alone_and_writes_no_value_into_its_log() -> None:
    of_cluster, of_instance = RESOURCES["ClusterParameters"], RESOURCES["InstanceParameters"]
    assert of_cluster["Properties"]["Parameters"] == of_instance["Properties"]["Parameters"]
    assert of_cluster["Properties"]["Parameters"] == {
        "rds.force_ssl": "1",
        "log_statement": "none",
        "log_min_duration_statement": "-1",
        "log_min_error_statement": "panic",
        "log_min_messages": "log",
        "log_error_verbosity": "terse",
        "log_parameter_max_length": "0",
        "log_parameter_max_length_on_error": "0",
    }
    proxy = RESOURCES["Proxy"]["Properties"]
    assert (proxy["RequireTLS"], proxy["DebugLogging"]) == (True, False)


def test_nobody_connects_but_the_functions_and_to_nothing_else() -> None:
    ways = set()
    for group, properties in of_type("AWS::EC2::SecurityGroup").items():
        for rule in properties.get("SecurityGroupIngress", []):
            ways.add((rule["SourceSecurityGroupId"]["Ref"], group, rule["FromPort"], rule["ToPort"]))
    for rule in of_type("AWS::EC2::SecurityGroupIngress").values():
        ways.add((rule["SourceSecurityGroupId"]["Ref"], rule["GroupId"]["Ref"], rule["FromPort"], rule["ToPort"]))
    assert ways == {
        ("FunctionsSecurityGroup", "DatabaseSecurityGroup", 5432, 5432),
        ("FunctionsSecurityGroup", "EndpointsSecurityGroup", 443, 443),
        ("FunctionsSecurityGroup", "ProxySecurityGroup", 5432, 5432),
        ("ProxySecurityGroup", "DatabaseSecurityGroup", 5432, 5432),
    }
    out = {
        (rule["GroupId"]["Ref"], rule["DestinationSecurityGroupId"]["Ref"], rule["FromPort"], rule["ToPort"])
        for rule in of_type("AWS::EC2::SecurityGroupEgress").values()
    }
    assert {way for way in ways if way[0] == "FunctionsSecurityGroup"} == out
    for name in ("DatabaseSecurityGroup", "EndpointsSecurityGroup"):
        (rule,) = RESOURCES[name]["Properties"]["SecurityGroupEgress"]
        assert rule["CidrIp"] == "127.0.0.1/32"
    (rule,) = RESOURCES["FunctionsSecurityGroup"]["Properties"]["SecurityGroupEgress"]
    assert (rule["FromPort"], rule["ToPort"]) == (443, 443)


def test_an_endpoint_lets_through_what_the_functions_call_and_there_is_no_other() -> None:
    endpoints = {
        one["ServiceName"]["Fn::Sub"].rpartition(".")[2]: one for one in of_type("AWS::EC2::VPCEndpoint").values()
    }
    services = {action.partition(":")[0] for action in called()} - NOT_CALLED
    assert services | {"s3"} == endpoints.keys()  # by S3 CloudFormation is answered
    for service in services - {"s3"}:
        assert {action for action in called() if action.startswith(f"{service}:")} == let_through(endpoints[service])
    assert {action for action in called() if action.startswith("s3:")} <= let_through(endpoints["s3"])


def test_an_endpoint_serves_this_account_or_takes_answers_to_cloudformation() -> None:
    for endpoint in of_type("AWS::EC2::VPCEndpoint").values():
        for statement in endpoint["PolicyDocument"]["Statement"]:
            ours = statement.get("Condition", {}).get("StringEquals", {}).get("aws:PrincipalAccount")
            if ours != {"Ref": "AWS::AccountId"}:
                assert statement["Action"] == "s3:PutObject"
                assert "cloudformation-custom-resource-response-*" in statement["Resource"]["Fn::Sub"]


def test_what_costs_has_a_tag() -> None:
    untagged = {"AWS::RDS::DBProxyTargetGroup", "AWS::EC2::SubnetRouteTableAssociation", "AWS::IAM::Role"}
    untagged |= {"AWS::EC2::SecurityGroupIngress", "AWS::EC2::SecurityGroupEgress"}
    tag = {"Key": "sluice:database", "Value": {"Ref": "AWS::StackName"}}
    for one in RESOURCES.values():
        assert one["Type"] in untagged or tag in one["Properties"]["Tags"]


YOURS = {"VpcId": "vpc-1", "PrivateSubnetIds": "subnet-1,subnet-2"}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, []),
        ({**YOURS, "RouteTableIds": "rtb-1"}, []),
        ({**YOURS, "VpcEndpoints": "none"}, []),
        ({"ProxySecretArns": "arn:1,arn:2", "ProxySecretKmsKeyArn": "arn:k"}, []),
        ({"VpcId": "vpc-1", "RouteTableIds": "rtb-1"}, ["PrivateSubnetIds"]),
        (YOURS, ["RouteTableIds"]),
        ({"PrivateSubnetIds": "subnet-1"}, ["VpcId"]),
        ({"VpcEndpoints": "none"}, ["no other way"]),
        ({**YOURS, "VpcEndpoints": "none", "S3PrefixListId": "pl-1"}, ["S3PrefixListId"]),
        ({"ProxySecretArns": "arn:1"}, ["ProxySecretKmsKeyArn"]),
    ],
)
def test_parameters_that_do_not_belong_together_are_told(given: dict[str, str], told: list[str]) -> None:
    found = broken_rules(DATABASE, given)
    assert len(found) == len(told)
    assert all(words in sentence for words, sentence in zip(told, found, strict=True))


# The authorities of RDS


def test_the_layer_brings_the_authorities_of_these_regions() -> None:
    assert authorities.regions(authorities.FILE.read_text()) >= set(
        "af-south-1 ap-east-1 ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 ap-south-2 ap-southeast-1"
        " ap-southeast-2 ap-southeast-3 ap-southeast-4 ca-central-1 eu-central-1 eu-central-2 eu-north-1 eu-south-1"
        " eu-south-2 eu-west-1 eu-west-2 eu-west-3 il-central-1 me-central-1 me-south-1 sa-east-1 us-east-1 us-east-2"
        " us-west-1 us-west-2".split()
    )


@pytest.mark.parametrize(
    ("bundle", "why"),
    [("<html>", "holds no certificates"), ("", "holds no certificates"), ("shorter", "has no authority of us-west-2")],
)
def test_a_bundle_that_is_none_or_lacks_a_region_is_not_put_into_the_layer(bundle: str, why: str) -> None:
    kept = authorities.FILE.read_text()
    if bundle == "shorter":
        parts = re.findall(r"-----BEGIN.+?-----END CERTIFICATE-----\n", kept, re.DOTALL)
        bundle = "".join(one for one in parts if authorities.regions(one) != {"us-west-2"})
    with pytest.raises(authorities.NotOfRds, match=f"^{why}$"):
        authorities.renew(bundle)
    assert authorities.FILE.read_text() == kept
