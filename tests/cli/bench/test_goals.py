from onnxlet_cli.bench.goals import GOALS


def test_a_goal_is_met_on_its_own_side() -> None:
    assert GOALS["cold mobile / typical"].is_met(0.25)
    assert not GOALS["cold mobile / typical"].is_met(0.26)
    assert GOALS["events / one by one"].is_met(4.0)
    assert not GOALS["events / one by one"].is_met(3.9)
