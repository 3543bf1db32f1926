import pytest

from onnxlet_training.networks.processes import Processes, is_first


@pytest.mark.parametrize(("job", "rows"), [(Processes(), 32), (Processes(1, 2, 2), 16), (Processes(0, 3, 6), 12)])
def test_a_batch_is_divided_evenly_among_all_devices(job: Processes, rows: int) -> None:
    assert job.rows(32) == rows


def test_one_process_agrees_with_itself_and_stops_by_its_own_signal() -> None:
    job = Processes()
    assert job.is_first
    assert job.agree(b"data") == b"data"
    assert not job.must_stop(0)
    job.stop.handle(15, None)
    assert job.must_stop(1)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, True),
        ({"RANK": "0"}, True),
        ({"RANK": "1"}, False),
        ({"KERAS_DISTRIBUTION_PROCESS_ID": "1"}, False),
        ({"KERAS_DISTRIBUTION_PROCESS_ID": "0", "RANK": "1"}, True),
    ],
)
def test_the_first_process_is_known_by_its_launchers_variables(environment: dict[str, str], expected: bool) -> None:
    assert is_first(environment) is expected
