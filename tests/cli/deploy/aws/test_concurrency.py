from collections.abc import Mapping

import boto3
import pytest
from botocore.stub import Stubber

from onnxlet_cli.deploy.aws import concurrency
from onnxlet_cli.deploy.aws.concurrency import Account, Demand, fit
from onnxlet_publishing.errors import AccountError, UsageError

NEW = Account(10, 10)
USUAL = Account(1000, 1000)
DEFAULT = Demand(reserved=0, provisioned=0, batch=100, objects=10)


def test_the_usual_account_has_room_for_the_defaults() -> None:
    assert fit(DEFAULT, {}, USUAL) == {}


@pytest.mark.parametrize("limit", [10, 20, 50, 100, 200])
def test_in_a_small_account_http_keeps_a_quarter(limit: int) -> None:
    fitted = fit(DEFAULT, {}, Account(limit, limit))
    batch = int(fitted.get("BatchConcurrency", DEFAULT.batch))
    objects = int(fitted.get("ObjectConcurrency", DEFAULT.objects))
    assert batch + objects <= 0.75 * limit
    assert (batch, objects) >= (1, 2)


def test_a_new_account_gets_what_it_can_run() -> None:
    assert fit(DEFAULT, {}, NEW) == {"BatchConcurrency": "5", "ObjectConcurrency": "2"}


def test_what_is_low_enough_already_stays() -> None:
    assert fit(Demand(0, 0, batch=3, objects=2), {}, NEW) == {}


@pytest.mark.parametrize(
    ("account", "reserved", "held", "most"),
    [
        (NEW, 1, 0, 0),
        (Account(50, 50), 5, 0, 0),
        (Account(100, 100), 1, 0, 0),
        (Account(1000, 1000), 901, 0, 900),
        (Account(1000, 200), 101, 0, 100),
        (Account(1000, 150), 101, 50, 100),
    ],
)
def test_more_than_the_account_can_reserve_is_refused(account: Account, reserved: int, held: int, most: int) -> None:
    with pytest.raises(UsageError, match=f"ReservedConcurrency: expected at most {most}, got {reserved}: .*Qu"):
        fit(Demand(reserved, 0, 1, 2), {}, account, held)


def test_what_the_stack_has_reserved_it_keeps() -> None:
    """Though the account has less than a hundred left, as after its limit was lowered."""
    fit(Demand(50, 0, 1, 2), {}, Account(1000, 60), held=50)
    fit(Demand(900, 0, 1, 2), {}, Account(1000, 100), held=900)


@pytest.mark.parametrize(
    ("demand", "account"), [(Demand(5, 6, 1, 2), USUAL), (Demand(0, 901, 1, 2), USUAL), (Demand(0, 1, 1, 2), NEW)]
)
def test_no_more_are_provisioned_than_there_are(demand: Demand, account: Account) -> None:
    with pytest.raises(UsageError, match="ProvisionedConcurrency: expected at most"):
        fit(demand, {}, account)


@pytest.mark.parametrize(("named", "batch"), [({"BatchConcurrency": "9"}, 9), ({"BatchConcurrency": "6"}, 6)])
def test_what_the_user_names_is_obeyed_while_http_has_one_left(named: Mapping[str, str], batch: int) -> None:
    assert fit(Demand(0, 0, batch, 2), named, NEW) == {}


def test_what_the_user_names_is_refused_where_http_would_have_none() -> None:
    with pytest.raises(UsageError, match="BatchConcurrency: expected at most 5, got 10: all functions"):
        fit(Demand(0, 0, 10, 2), {"BatchConcurrency": "10"}, NEW)
    fit(Demand(100, 0, 900, 10), {"BatchConcurrency": "900"}, USUAL)  # HTTP has reserved its own


def test_demand_is_read_from_the_parameters() -> None:
    values = {"ReservedConcurrency": "1", "ProvisionedConcurrency": "2", "BatchConcurrency": "3"}
    assert Demand.of({**values, "ObjectConcurrency": "4"}) == Demand(1, 2, 3, 4)


def test_the_limits_are_lambdas() -> None:
    client = boto3.client("lambda", region_name="us-east-1")
    with Stubber(client) as stubber:
        limits = {"ConcurrentExecutions": 10, "UnreservedConcurrentExecutions": 7}
        stubber.add_response("get_account_settings", {"AccountLimit": limits})
        assert concurrency.read_account(client) == Account(10, 7)
        stubber.add_client_error("get_account_settings", "AccessDeniedException", "not authorized")
        with pytest.raises(AccountError, match="lambda:GetAccountSettings: these credentials lack the permission"):
            concurrency.read_account(client)
