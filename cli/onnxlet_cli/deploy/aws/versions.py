"""Old versions of the functions: SAM retains all of them, and each one uses storage and pays for its snapshot."""

from itertools import product
from typing import Any

import botocore.exceptions

from onnxlet_cli.deploy.aws import stack
from onnxlet_cli.deploy.process import Report

KEPT = 2
"""The number of the newest versions without an alias that stay, for going back by hand."""

LATEST = "$LATEST"

UNFINISHED = ("Created", "Queued", "InProgress", "Baking", "Ready")
"""Statuses of a CodeDeploy deployment that may still need a version without an alias."""


def tidy(session: Any, stack_id: str, report: Report) -> None:
    """Remove the old versions of all functions of a stack, unless CodeDeploy is moving traffic; report each failure.

    Raises:
        AccountError, ServiceError, botocore.exceptions.ClientError: AWS refuses a request.
    """
    cloudformation, codedeploy = session.client("cloudformation"), session.client("codedeploy")
    groups = stack.find_resources(cloudformation, stack_id, "AWS::CodeDeploy::DeploymentGroup")
    applications = stack.find_resources(cloudformation, stack_id, "AWS::CodeDeploy::Application")
    if any(is_shifting(codedeploy, *names) for names in product(applications.values(), groups.values())):
        report("versions not removed: CodeDeploy still moves traffic from one to another")
        return
    functions = stack.find_resources(cloudformation, stack_id, "AWS::Lambda::Function")
    outcomes = [remove_old(session.client("lambda"), name) for name in functions.values()]
    count = sum(len(removed) for removed, _ in outcomes)
    if count:
        report(f"removed  {count} old version{'' if count == 1 else 's'} of the functions")
    for failure in (failure for _, failures in outcomes for failure in failures):
        report(f"versions not removed: {failure}")


def remove_old(client: Any, function: str) -> tuple[list[str], list[str]]:
    """Remove the versions of a function that no alias names, except the newest; return them, and AWS's refusals.

    Raises:
        botocore.exceptions.ClientError: Lambda does not list the versions.
    """
    removed, failures = [], []
    for version in find_old(client, function):
        try:
            client.delete_function(FunctionName=function, Qualifier=version)
            removed.append(version)
        except botocore.exceptions.ClientError as error:  # for example, an alias was moved to it meanwhile
            failures.append(f"{function}:{version}: {error.response['Error'].get('Message', error)}")
    return removed, failures


def find_old(client: Any, function: str) -> list[str]:
    """Return the versions of a function that may be removed, the oldest first."""
    pages = client.get_paginator("list_versions_by_function").paginate(FunctionName=function)
    versions = [item["Version"] for page in pages for item in page["Versions"] if item["Version"] != LATEST]
    aliased = find_aliased(client, function)
    return sorted((version for version in versions if version not in aliased), key=int)[:-KEPT]


def find_aliased(client: Any, function: str) -> set[str]:
    """Return the versions that an alias names, including those that get a share of its traffic."""
    aliased: set[str] = set()
    for page in client.get_paginator("list_aliases").paginate(FunctionName=function):
        for alias in page["Aliases"]:
            aliased.add(alias["FunctionVersion"])
            aliased.update((alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {})
    return aliased


def is_shifting(client: Any, application: str, group: str) -> bool:
    """Return whether CodeDeploy still moves traffic from one version to another in a deployment group."""
    pages = client.get_paginator("list_deployments").paginate(
        applicationName=application, deploymentGroupName=group, includeOnlyStatuses=list(UNFINISHED)
    )
    return any(page["deployments"] for page in pages)
