"""How many environments an account's functions may have at a time, and what a stack may take of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from onnxlet.errors import InvalidRequestError
from onnxlet_cli.deploy.stack import aws_errors

KEPT_UNRESERVED = 100
"""Environments that Lambda lets nobody reserve, for functions without a reservation; in a smaller account, all of them.

Source: Lambda's guide, "Configuring reserved concurrency"; the error "below its minimum value of [10]"."""

BATCH_SHARE = 1 / 2
OBJECT_SHARE = 1 / 4
"""The most that batches and objects get unasked, of what is not reserved, so that HTTP requests keep a quarter."""

LEAST_OBJECTS = 2
"""The least that Lambda takes as `MaximumConcurrency` of a queue's mapping."""

RAISE = "ask AWS for more (Service Quotas, AWS Lambda, Concurrent executions), or take fewer"


@dataclass(frozen=True)
class Account:
    """An account's limits in one region."""

    limit: int
    """Environments of all functions at a time; an account that is new has 10."""
    unreserved: int
    """Those of them that no function has reserved."""


@dataclass(frozen=True)
class Demand:
    """What a stack asks for."""

    reserved: int
    """Environments of the HTTP function alone; 0 reserves none."""
    provisioned: int
    batch: int
    """Item batches that a run answers at a time."""
    objects: int

    @classmethod
    def of(cls, values: Mapping[str, str]) -> "Demand":
        """Read it from a stack's parameters."""
        names = ("ReservedConcurrency", "ProvisionedConcurrency", "BatchConcurrency", "ObjectConcurrency")
        return cls(*(int(values[name]) for name in names))


def read_account(client: Any) -> Account:
    """Return the limits of an account.

    Raises:
        CredentialsError, StoreError: Lambda does not tell, as where these credentials may not ask.
    """
    with aws_errors("lambda:GetAccountSettings"):
        found = client.get_account_settings()["AccountLimit"]
    return Account(found["ConcurrentExecutions"], found["UnreservedConcurrentExecutions"])


def fit(demand: Demand, named: Mapping[str, str], account: Account, held: int = 0) -> dict[str, str]:
    """Return the parameters that must be lower than they are, for the account to have an environment for HTTP requests.

    Args:
        demand: What the stack asks for.
        named: What the user has named; that is refused where it is too much, and never lowered.
        account: The account's limits.
        held: What this stack's HTTP function has reserved already.

    Raises:
        InvalidRequestError: the account cannot give what is asked for.
    """
    reservable = max(0, account.unreserved + held - min(KEPT_UNRESERVED, account.limit))
    if demand.reserved > max(reservable, held):
        raise _too_much("ReservedConcurrency", demand.reserved, reservable, account)
    free = account.unreserved + held - demand.reserved
    most_provisioned = demand.reserved or reservable
    if demand.provisioned > most_provisioned:
        raise _too_much("ProvisionedConcurrency", demand.provisioned, most_provisioned, account)
    most = {"BatchConcurrency": max(1, int(free * BATCH_SHARE)), "ObjectConcurrency": _objects(free)}
    asked = {"BatchConcurrency": demand.batch, "ObjectConcurrency": demand.objects}
    for name in named.keys() & most.keys():
        # Reserved ones are the HTTP function's own; without them it needs one that is left.
        if asked[name] > max(most[name], free - (0 if demand.reserved else 1)):
            raise _too_much(name, asked[name], most[name], account)
    return {name: str(most[name]) for name in most if name not in named and asked[name] > most[name]}


def _objects(free: int) -> int:
    return max(LEAST_OBJECTS, int(free * OBJECT_SHARE))


def _too_much(name: str, value: int, most: int, account: Account) -> InvalidRequestError:
    return InvalidRequestError(
        f"{name}: expected at most {most}, got {value}: all functions of this account together may have "
        f"{account.limit} environments at a time, of which {account.unreserved} are not reserved; {RAISE}"
    )
