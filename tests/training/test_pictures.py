from pathlib import Path

import numpy as np
from PIL import Image

from onnxlet_training.pictures import CELL_PIXELS, GAP_PIXELS, SERIES_PIXELS, write_series, write_sheet


def test_images_stand_side_by_side_with_gaps(tmp_path: Path) -> None:
    images = np.stack([np.full((2, 2, 1), value, np.uint8) for value in (10, 20, 30)])
    write_sheet(images, 2, tmp_path / "sheet.png")
    sheet = Image.open(tmp_path / "sheet.png")
    assert sheet.size == (2 * CELL_PIXELS + GAP_PIXELS,) * 2
    step = CELL_PIXELS + GAP_PIXELS
    assert [sheet.getpixel(place)[0] for place in ((0, 0), (step, 0), (0, step))] == [10, 20, 30]  # type: ignore[index]
    assert sheet.getpixel((step, step))[3] == 0, "the last cell is empty"  # type: ignore[index]


def test_colours_stay_colours(tmp_path: Path) -> None:
    write_sheet(np.array([[[[200, 100, 50]]]], np.uint8), 1, tmp_path / "sheet.png")
    assert Image.open(tmp_path / "sheet.png").getpixel((5, 5)) == (200, 100, 50, 255)


def test_a_series_rises_where_its_numbers_do(tmp_path: Path) -> None:
    write_series(np.linspace(0, 1, 20)[:, None], tmp_path / "series.png")
    opaque = np.asarray(Image.open(tmp_path / "series.png"))[..., 3] > 128
    assert opaque.shape == (SERIES_PIXELS, SERIES_PIXELS)
    first, last = (np.flatnonzero(opaque[:, column]).mean() for column in (20, SERIES_PIXELS - 20))
    assert last < first, "upwards"


def test_a_series_of_one_value_is_drawn(tmp_path: Path) -> None:
    write_series(np.zeros((5, 2)), tmp_path / "series.png")
    assert np.asarray(Image.open(tmp_path / "series.png"))[..., 3].any()
