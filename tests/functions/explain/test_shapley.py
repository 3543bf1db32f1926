import json

import numpy as np
import pytest

from onnxlet.web.app import App
from tests.helpers.explanations import ask, explained, npy


class TestNumbers:
    def test_contributions_to_a_sum_are_its_terms(self, app: App) -> None:
        answer = explained(app, "additive", [[1.0, 2.0, 3.0, 4.0]], target="there")
        assert (answer["model"], answer["version"], answer["label"]) == ("additive", 1, "there")
        assert (answer["probability"], answer["baseline_probability"]) == (0.375, 0.0)
        found = {item["index"][0]: item["contribution"] for item in answer["contributions"]}
        assert found == pytest.approx({0: 0.5, 1: -0.5, 2: 0.375, 3: 0.0}, abs=1e-6)
        assert [item["value"] for item in answer["contributions"]][2:] == [3.0, 4.0]
        assert {item["baseline"] for item in answer["contributions"]} == {0.0}

    def test_two_numbers_that_need_each_other_share_what_they_add(self, app: App) -> None:
        """Where `a` comes first it adds nothing and `b` all, and the other way round: half of it is each one's."""
        answer = explained(app, "product", {"a": [3], "b": [5]}, target="there")
        assert answer["baseline_probability"] == 0.0
        assert [item["contribution"] for item in answer["contributions"]] == [7.5, 7.5]
        assert {(item["input"], *item["index"]) for item in answer["contributions"]} == {("a", 0), ("b", 0)}

    def test_contributions_sum_up_to_what_the_row_has_more_than_the_baseline(self, app: App) -> None:
        answer = explained(app, "additive", [[0.5, -1.0, 2.0, 0.0]], budget_runs=50)
        total = sum(item["contribution"] for item in answer["contributions"])
        assert total == pytest.approx(answer["probability"] - answer["baseline_probability"], abs=1e-6)

    def test_a_row_that_is_the_baseline_has_no_reasons(self, app: App) -> None:
        answer = explained(app, "additive", [[0.0] * 4])
        assert {item["contribution"] for item in answer["contributions"]} == {0.0}
        assert answer["runs"] == 2

    def test_an_array_is_explained_as_json_is(self, app: App) -> None:
        row = [1.0, 2.0, 3.0, 4.0]
        answers = [
            explained(app, "additive", [row]),
            explained(app, "additive", npy(np.array(row, np.float32)), "application/x-npy"),
        ]
        assert answers[0]["contributions"] == answers[1]["contributions"]

    @pytest.mark.parametrize("runs", [5, 6, 20, 333])
    def test_no_more_rows_run_than_the_budget_says(self, app: App, runs: int) -> None:
        answer = explained(app, "additive", [[1.0, 2.0, 3.0, 4.0]], budget_runs=runs)
        assert runs - 3 < answer["runs"] <= runs

    def test_a_budget_that_does_not_reach_every_number_is_a_400_that_says_what_does(self, app: App) -> None:
        response = ask(app, "additive", [[1.0, 2.0, 3.0, 4.0]], budget_runs=4)
        assert (response.status, json.loads(response.body)["error"]) == (
            400,
            "budget_runs: expected 5 or more for 4 numbers",
        )
