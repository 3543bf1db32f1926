import signal
from pathlib import Path

from onnxlet_training.checkpoint import Checkpoints, State, listening_for_stop


def test_a_checkpoint_replaces_the_one_before(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    assert checkpoints.newest() is None
    for epoch in (1, 2):
        checkpoints.save(State(epochs_done=epoch), lambda folder: (folder / "network").touch())
    (newest,) = (tmp_path / "checkpoints").iterdir()
    assert checkpoints.newest() == newest
    assert {path.name for path in newest.iterdir()} == {"state.json", "network"}


def test_a_checkpoint_without_its_state_does_not_count(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(State(), lambda _folder: None)
    whole = checkpoints.newest()
    (tmp_path / "00000002").mkdir()
    (tmp_path / "00000002/network").touch()
    assert checkpoints.newest() == whole
    checkpoints.save(State(), lambda _folder: None)
    assert [path.name for path in tmp_path.iterdir()] == ["00000003"]


def test_the_first_epoch_is_the_best_even_if_its_loss_is_no_number() -> None:
    state = State()
    assert state.record({"val_loss": float("nan")}, 1.0)
    assert not state.record({"val_loss": float("nan")}, 1.0)
    assert (state.epochs_done, state.best_epoch, state.duration_s) == (2, 1, 2.0)


def test_a_signal_is_remembered_and_the_handler_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with listening_for_stop() as stop:
        assert not stop.is_set
        signal.raise_signal(signal.SIGTERM)
        assert stop.is_set
    assert signal.getsignal(signal.SIGTERM) == before
