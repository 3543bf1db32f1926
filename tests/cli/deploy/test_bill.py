from onnxlet_cli.cost.offers import Extras
from onnxlet_cli.deploy import bill
from onnxlet_cli.deploy.bill import Traffic
from onnxlet_cli.package.target import Target


def test_traffic_and_extras_are_billed_on_both_clouds() -> None:
    for target in (Target("aws", "arm64", "3.13"), Target("gcp", "x86_64", "3.13")):
        few = bill.expect(Traffic(1000), target, 1769, Extras())
        many = bill.expect(Traffic(10_000_000), target, 1769, Extras())
        assert few.monthly_usd < many.monthly_usd


def test_what_is_billed_while_idle_does_not_depend_on_the_traffic() -> None:
    target, extras = Target("gcp", "x86_64", "3.13"), Extras(min_instances=1)
    idle = {bill.expect(Traffic(requests), target, 1024, extras).idle_usd for requests in (1, 1_000_000)}
    assert len(idle) == 1
    assert idle.pop() > 0
