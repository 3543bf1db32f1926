"""The concurrency of an account's functions, and how much of it a stack may use."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from onnxlet_cli.deploy.aws.api_errors import aws_errors
from onnxlet_publishing.errors import UsageError

KEPT_UNRESERVED = 100
"""Environments that Lambda keeps for functions without a reservation; in a smaller account, all environments.

Source: Lambda's guide, "Configuring reserved concurrency"; the error "below its minimum value of [10]"."""

BATCH_SHARE = 1 / 2
OBJECT_SHARE = 1 / 4
"""The default shares of batches and objects in the unreserved environments, which leave a quarter to HTTP requests."""

LEAST_OBJECTS = 2
"""The least `MaximumConcurrency` that Lambda accepts for a queue's mapping."""

RAISE = "ask AWS for more (Service Quotas, AWS Lambda, Concurrent executions), or take fewer"


@dataclass(frozen=True)
class Account:
    """An account's limits in one region."""

    limit: int
    """The most environments of all functions at a time; a new account has 10."""
    unreserved: int
    """The environments that no function has reserved."""


@dataclass(frozen=True)
class Demand:
    """The environments that a stack requests."""

    reserved: int
    """Environments reserved for the HTTP function; 0 reserves nothing."""
    provisioned: int
    batch: int
    """Item batches that a batch run answers at a time."""
    objects: int

    @classmethod
    def of(cls, values: Mapping[str, str]) -> "Demand":
        """Read the demand from a stack's parameters."""
        names = ("ReservedConcurrency", "ProvisionedConcurrency", "BatchConcurrency", "ObjectConcurrency")
        return cls(*(int(values[name]) for name in names))


def read_account(client: Any) -> Account:
    """Return the limits of an account.

    Raises:
        AccountError, ServiceError: Lambda refuses the request.
    """
    with aws_errors("lambda:GetAccountSettings"):
        found = client.get_account_settings()["AccountLimit"]
    return Account(found["ConcurrentExecutions"], found["UnreservedConcurrentExecutions"])


def fit(demand: Demand, named: Mapping[str, str], account: Account, held: int = 0) -> dict[str, str]:
    """Return lower values for the parameters that would leave no environment for HTTP requests.

    A value that is too high is refused, never lowered, if the user names its parameter. The stack's HTTP function has
    reserved `held` environments already.

    Raises:
        UsageError: the account cannot give what the user requests.
    """
    reservable = max(0, account.unreserved + held - min(KEPT_UNRESERVED, account.limit))
    if demand.reserved > max(reservable, held):
        raise _too_much("ReservedConcurrency", demand.reserved, reservable, account)
    free = account.unreserved + held - demand.reserved
    most_provisioned = demand.reserved or reservable
    if demand.provisioned > most_provisioned:
        raise _too_much("ProvisionedConcurrency", demand.provisioned, most_provisioned, account)
    most = {
        "BatchConcurrency": max(1, int(free * BATCH_SHARE)),
        "ObjectConcurrency": max(LEAST_OBJECTS, int(free * OBJECT_SHARE)),
    }
    requested = {"BatchConcurrency": demand.batch, "ObjectConcurrency": demand.objects}
    for name in named.keys() & most.keys():
        # Without a reservation the HTTP function needs one of the environments that are left.
        if requested[name] > max(most[name], free - (0 if demand.reserved else 1)):
            raise _too_much(name, requested[name], most[name], account)
    return {name: str(most[name]) for name in most if name not in named and requested[name] > most[name]}


def _too_much(name: str, value: int, most: int, account: Account) -> UsageError:
    return UsageError(
        f"{name}: expected at most {most}, got {value}: all functions of this account together may have "
        f"{account.limit} environments at a time, of which {account.unreserved} are not reserved; {RAISE}"
    )
