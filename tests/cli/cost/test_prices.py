import json
from datetime import date

import pytest

from cli.cost.prices import FILE, load_prices

DOCUMENT = json.loads(FILE.read_text())


@pytest.mark.parametrize("name", DOCUMENT["prices"])
def test_each_price_says_what_it_is_for_and_how_it_is_known(name: str) -> None:
    price = DOCUMENT["prices"][name]
    assert set(price) == {"usd", "per", "unit", "status", "read", "source"}
    assert price["usd"] > 0
    assert price["status"] in DOCUMENT["status"]
    assert price["source"].startswith("https://")
    if price["status"] == "remembered":
        assert price["read"] is None
    else:
        assert date.fromisoformat(price["read"]) <= date.fromisoformat(DOCUMENT["date"])


@pytest.mark.parametrize("name", DOCUMENT["free_each_month"])
def test_each_monthly_allowance_is_known_in_one_of_these_ways_too(name: str) -> None:
    assert DOCUMENT["free_each_month"][name]["status"] in DOCUMENT["status"]


def test_arm64_costs_a_fifth_less_on_lambda() -> None:
    usd = load_prices().usd
    for kind in ("gb_second", "provisioned_gb_second", "provisioned_duration_gb_second"):
        assert usd[f"lambda_arm64_{kind}"] == pytest.approx(0.8 * usd[f"lambda_x86_64_{kind}"], rel=1e-4)


def test_prices_are_for_one_unit() -> None:
    usd = load_prices().usd
    assert usd["lambda_request"] == pytest.approx(2e-7)
    assert usd["sagemaker_serverless_gb_second"] == pytest.approx(2e-5)


def test_allowances_are_taken_off_where_that_is_asked_for() -> None:
    assert load_prices().free == {}
    assert load_prices(has_free_tier=True).free["lambda_gb_second"] == 400_000


def test_what_was_not_looked_up_is_told() -> None:
    remembered = {name for name, price in DOCUMENT["prices"].items() if price["status"] == "remembered"}
    assert set(load_prices().unverified) == remembered
