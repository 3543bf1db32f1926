import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from onnxlet_cli.deploy.aws import versions

FUNCTION = "shop-HttpFunction"


@pytest.fixture
def client(s3_endpoint: str) -> Iterator[Any]:
    """moto's Lambda, with a function of eight versions."""
    iam = boto3.client("iam", endpoint_url=s3_endpoint, region_name="us-east-1")
    trust = {"Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}}]}
    role = iam.create_role(RoleName=FUNCTION, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    found = boto3.client("lambda", endpoint_url=s3_endpoint, region_name="us-east-1")
    found.create_function(
        FunctionName=FUNCTION, Runtime="python3.13", Role=role, Handler="main.x", Code={"ZipFile": package("0")}
    )
    for number in range(1, 9):
        found.update_function_code(FunctionName=FUNCTION, ZipFile=package(str(number)))
        found.publish_version(FunctionName=FUNCTION, Description=str(number))
    yield found
    found.delete_function(FunctionName=FUNCTION)
    iam.delete_role(RoleName=FUNCTION)


def package(text: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("main.py", text)
    return stream.getvalue()


def left(client: Any) -> list[str]:
    pages = client.get_paginator("list_versions_by_function").paginate(FunctionName=FUNCTION)
    return [item["Version"] for page in pages for item in page["Versions"]]


def test_all_but_the_last_two_without_an_alias_are_removed(client: Any) -> None:
    client.create_alias(FunctionName=FUNCTION, Name="live", FunctionVersion="8")
    assert versions.remove_old(client, FUNCTION) == (["1", "2", "3", "4", "5"], [])
    assert left(client) == ["$LATEST", "6", "7", "8"]
    assert versions.remove_old(client, FUNCTION) == ([], [])


def test_what_any_alias_names_stays_also_by_a_share_of_its_traffic(client: Any) -> None:
    weights = {"AdditionalVersionWeights": {"2": 0.1}}
    client.create_alias(FunctionName=FUNCTION, Name="live", FunctionVersion="8", RoutingConfig=weights)
    client.create_alias(FunctionName=FUNCTION, Name="theirs", FunctionVersion="1")
    assert versions.remove_old(client, FUNCTION) == (["3", "4", "5"], [])
    assert left(client) == ["$LATEST", "1", "2", "6", "7", "8"]


def stubbed(*steps: tuple[str, dict[str, Any], dict[str, Any]]) -> tuple[Any, Stubber]:
    """A client of Lambda that gets these answers to these requests."""
    client = boto3.client("lambda", region_name="us-east-1")
    stubber = Stubber(client)
    for operation, answer, asked in steps:
        stubber.add_response(operation, answer, {"FunctionName": FUNCTION, **asked})
    return client, stubber


def listed(*numbers: int) -> list[dict[str, Any]]:
    return [{"Version": str(number), "FunctionName": FUNCTION} for number in numbers]


def test_every_page_is_read_and_versions_are_compared_as_numbers() -> None:
    client, stubber = stubbed(
        ("list_versions_by_function", {"Versions": listed(9, 10), "NextMarker": "more"}, {}),
        ("list_versions_by_function", {"Versions": listed(11, 100)}, {"Marker": "more"}),
        ("list_aliases", {"Aliases": [{"Name": "a", "FunctionVersion": "9"}], "NextMarker": "more"}, {}),
        ("list_aliases", {"Aliases": [{"Name": "live", "FunctionVersion": "100"}]}, {"Marker": "more"}),
    )
    with stubber:
        assert versions.find_old(client, FUNCTION) == []
    client, stubber = stubbed(
        ("list_versions_by_function", {"Versions": listed(100, 9, 10, 11)}, {}), ("list_aliases", {"Aliases": []}, {})
    )
    with stubber:
        assert versions.find_old(client, FUNCTION) == ["9", "10"]


def test_a_version_that_lambda_will_not_delete_does_not_keep_the_others() -> None:
    client, stubber = stubbed(
        ("list_versions_by_function", {"Versions": listed(1, 2, 3, 4)}, {}), ("list_aliases", {"Aliases": []}, {})
    )
    stubber.add_client_error("delete_function", "ResourceConflictException", "an alias points to it")
    stubber.add_response("delete_function", {"StatusCode": 204}, {"FunctionName": FUNCTION, "Qualifier": "2"})
    with stubber:
        removed, failures = versions.remove_old(client, FUNCTION)
    assert removed == ["2"]
    assert failures == [f"{FUNCTION}:1: an alias points to it"]


@pytest.mark.parametrize(("deployments", "shifts"), [([], False), (["d-1"], True)])
def test_a_deployment_of_codedeploy_that_is_not_over_is_seen(deployments: list[str], shifts: bool) -> None:
    client = boto3.client("codedeploy", region_name="us-east-1")
    asked = {"applicationName": "app", "deploymentGroupName": "group", "includeOnlyStatuses": list(versions.UNFINISHED)}
    with Stubber(client) as stubber:
        stubber.add_response("list_deployments", {"deployments": deployments}, asked)
        assert versions.is_shifting(client, "app", "group") == shifts
    statuses = client.meta.service_model.shape_for("DeploymentStatus").enum
    assert set(versions.UNFINISHED) == set(statuses) - {"Succeeded", "Failed", "Stopped"}
