import base64
import io

import numpy as np
from PIL import Image

from onnxlet.web.app import App
from tests.helpers.explanations import (
    ask,
    dark,
    explained,
)


class TestOverlay:
    def test_the_overlay_is_the_image_with_colours_where_the_map_speaks(self, app: App) -> None:
        response = ask(app, "square", dark(), "image/png", accept="image/png")
        assert (response.status, response.content_type) == (200, "image/png")
        picture = Image.open(io.BytesIO(response.body))
        assert (picture.size, picture.mode) == ((224, 112), "RGB")
        red_there, _, blue_there = np.asarray(picture)[56, 64].tolist()
        assert red_there > blue_there + 100
        assert np.asarray(picture)[100, 200].max() < 60
        again = explained(app, "square", dark(), "image/png")["overlay"]["b64"]
        assert base64.b64decode(again) == response.body

    def test_a_large_image_has_a_smaller_overlay_of_its_own_aspect(self, app: App) -> None:
        response = ask(app, "square", dark(1400, 700), "image/png", accept="image/png")
        assert Image.open(io.BytesIO(response.body)).size == (256, 512)
