"""A run of the recipe `digits`, trained once for all tests that only read what it leaves."""

from pathlib import Path

import pytest

from tests.helpers.training_runs import train_to_the_end


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train `digits --fast` with its variants; return the folder that the command ran in."""
    folder = tmp_path_factory.mktemp("digits")
    train_to_the_end(folder, "digits", "--seed", "1", "--compress", "--max-accuracy-drop", "0.9")
    return folder
