"""Old versions of the functions: SAM retains each, and each takes of the account's storage and costs its snapshot."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import botocore.exceptions

KEPT = 2
"""The newest versions without an alias that stay, to go back to by hand."""

LATEST = "$LATEST"

UNFINISHED = ("Created", "Queued", "InProgress", "Baking", "Ready")
"""States of a CodeDeploy deployment that may still name a version which no alias names yet, or no more."""


@dataclass(frozen=True)
class Removal:
    """What was removed of one function, and what was not."""

    function: str
    removed: Sequence[str]
    """Version numbers."""
    failures: Sequence[str]
    """What AWS said of each version that it did not remove."""


def remove_old(client: Any, function: str) -> Removal:
    """Remove the versions of a function that no alias names, but for the newest.

    Args:
        client: Lambda's.
        function: The function's name.

    Raises:
        botocore.exceptions.ClientError: Lambda does not tell which there are.
    """
    removed, failures = [], []
    for version in find_old(client, function):
        try:
            client.delete_function(FunctionName=function, Qualifier=version)
            removed.append(version)
        except botocore.exceptions.ClientError as error:  # as where an alias has been moved to it meanwhile
            failures.append(f"{function}:{version}: {error.response['Error'].get('Message', error)}")
    return Removal(function, removed, failures)


def find_old(client: Any, function: str) -> list[str]:
    """Return the versions of a function that may go, the oldest first."""
    pages = client.get_paginator("list_versions_by_function").paginate(FunctionName=function)
    versions = [item["Version"] for page in pages for item in page["Versions"] if item["Version"] != LATEST]
    aliased = find_aliased(client, function)
    return sorted((each for each in versions if each not in aliased), key=int)[:-KEPT]


def find_aliased(client: Any, function: str) -> set[str]:
    """Return the versions that an alias names, also by a share of its traffic."""
    found: set[str] = set()
    for page in client.get_paginator("list_aliases").paginate(FunctionName=function):
        for alias in page["Aliases"]:
            found.add(alias["FunctionVersion"])
            found.update((alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {})
    return found


def is_shifting(client: Any, application: str, group: str) -> bool:
    """Return whether CodeDeploy still moves traffic from one version to another.

    Args:
        client: CodeDeploy's.
        application: The application's name.
        group: The name of its deployment group.
    """
    pages = client.get_paginator("list_deployments").paginate(
        applicationName=application, deploymentGroupName=group, includeOnlyStatuses=list(UNFINISHED)
    )
    return any(page["deployments"] for page in pages)
