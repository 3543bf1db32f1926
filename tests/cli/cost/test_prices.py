import copy
import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from onnxlet_cli.cost.prices import FILE, load_prices
from onnxlet_publishing.errors import UsageError

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


def written(folder: Path, change: Callable[[Any], object]) -> Path:
    """A file of prices of another date, with a change."""
    document = copy.deepcopy(DOCUMENT)
    document["date"] = "2027-01-31"
    change(document)
    path = folder / "mine.json"
    path.write_text(json.dumps(document))
    return path


def test_a_file_of_another_date_is_read(tmp_path: Path) -> None:
    def change(document: Any) -> None:
        document["prices"]["lambda_request"] |= {"usd": 0.5, "per": 1000000}
        document["prices"] |= {"instance_c9g.medium_hour": {"usd": 1, "per": 1, "source": "https://aws.amazon.com"}}
        document["instances"] = {
            "c9g.medium": {"architecture": "arm64", "vcpus": 1, "memory_mib": 2048},
            "c7i.large": document["instances"]["c7i.large"],
        }

    found = load_prices(written(tmp_path, change))
    assert (found.date, found.path.name) == ("2027-01-31", "mine.json")
    assert found.usd["lambda_request"] == pytest.approx(5e-7)
    assert [(each.name, each.usd_per_hour) for each in found.instances] == [("c9g.medium", 1), ("c7i.large", 0.08925)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda each: each.pop("date"), "date: expected YYYY-MM-DD, got None"),
        (lambda each: each.update(date="31.1.2027"), "date: expected YYYY-MM-DD, got '31.1.2027'"),
        (lambda each: each.update(currency="EUR"), "currency: expected USD, got 'EUR'"),
        (lambda each: each.pop("prices"), "prices: expected an object of objects"),
        (lambda each: each.update(instances=[1]), "instances: expected an object of objects"),
        (lambda each: each["prices"].update(lambda_request=3), "prices: expected an object of objects"),
        (lambda each: each["prices"].pop("sqs_request"), "expected all those of .*, got none for sqs_request"),
        (lambda each: each["prices"]["sqs_request"].pop("usd"), "sqs_request: usd: expected a number .*, got N"),
        (lambda each: each["prices"]["sqs_request"].update(usd="0.4"), "usd: expected a number .* 0, got '0.4'"),
        (lambda each: each["prices"]["sqs_request"].update(usd=-1), "usd: expected a number of at least 0, got -1"),
        (lambda each: each["prices"]["sqs_request"].update(usd=float("nan")), "usd: expected a number .*, got nan"),
        (lambda each: each["prices"]["sqs_request"].update(usd=True), "usd: expected a number of at least 0, got True"),
        (lambda each: each["prices"]["sqs_request"].update(per=0), "sqs_request: per: expected more than 0"),
        (lambda each: each["prices"]["sqs_request"].pop("source"), "sqs_request: source: expected the place"),
        (lambda each: each["free_each_month"]["sqs_request"].pop("amount"), "free_each_month: sqs_request: amount"),
        (
            lambda each: each["prices"].pop("instance_c7i.large_hour"),
            "c7i.large: expected its price under the name instance_c7i",
        ),
        (lambda each: each["instances"].pop("c7g.medium"), "instances: expected one of arm64, got none"),
        (lambda each: each["instances"]["c7i.large"].update(vcpus=0), "c7i.large: vcpus: expected 1 or more"),
    ],
)
def test_a_file_that_is_wrong_is_refused_by_name(tmp_path: Path, change: Callable[[Any], object], words: str) -> None:
    path = written(tmp_path, change)
    with pytest.raises(UsageError, match=words) as caught:
        load_prices(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("text", ["", "[1]", "{", "[" * 100_000, "\xff"])
def test_a_file_that_is_none_of_prices_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "mine.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match=r"mine\.json: expected a"):
        load_prices(tmp_path / "mine.json")
    with pytest.raises(UsageError, match=r"none\.json: cannot be read: No such file"):
        load_prices(tmp_path / "none.json")
