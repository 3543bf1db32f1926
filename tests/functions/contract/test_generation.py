from typing import Any

import pytest

from onnxlet.contract.document import Document
from onnxlet.contract.generation import Generation, ImageGeneration, TextGeneration, parse_generation
from onnxlet.errors import ManifestError

TEXT = TextGeneration(("a", "日"), "token", "one_hot", "scores", {"h": "next_h", "c": "next_c"})
IMAGE = ImageGeneration("latent", "images", "NCHW", 127.5, 1.5)


def parse(content: dict[str, Any]) -> Generation:
    return parse_generation(Document(content, "generation"))


def written(generation: Generation) -> dict[str, Any]:
    document = generation.to_document()
    return {**document, "vocabulary": list(document["vocabulary"])} if "vocabulary" in document else document


@pytest.mark.parametrize("generation", [TEXT, IMAGE])
def test_a_declaration_survives_being_written_and_read(generation: Generation) -> None:
    assert parse(written(generation)) == generation


def test_images_are_those_of_keras_where_nothing_else_is_said() -> None:
    found = parse({"kind": "image", "latent": "z", "images": "y"})
    assert found == ImageGeneration("z", "y", layout="NHWC", scale=255.0, shift=0.0)


def test_it_names_the_tensors_that_it_feeds_and_reads() -> None:
    assert (TEXT.inputs(), TEXT.outputs()) == (["token", "h", "c"], ["scores", "next_h", "next_c"])
    assert (IMAGE.inputs(), IMAGE.outputs()) == (["latent"], ["images"])


@pytest.mark.parametrize(
    ("generation", "field", "value", "expected"),
    [
        (TEXT, "kind", "sound", "one of text, image"),
        (TEXT, "vocabulary", [], "different single characters"),
        (TEXT, "vocabulary", ["a", "a"], "different single characters"),
        (TEXT, "vocabulary", ["ab"], "different single characters"),
        (TEXT, "vocabulary", [""], "different single characters"),
        (TEXT, "vocabulary", [1], "a list of strings"),
        (TEXT, "token", "", "a string of 1 to 1024 characters"),
        (TEXT, "encoding", "binary", "one of index, one_hot"),
        (TEXT, "scores", 1, "a string of 1 to 1024 characters"),
        (TEXT, "state", {"h": 1}, "an object of strings"),
        (IMAGE, "latent", "", "a string of 1 to 1024 characters"),
        (IMAGE, "images", 1, "a string of 1 to 1024 characters"),
        (IMAGE, "layout", "HWC", "one of NHWC, NCHW"),
        (IMAGE, "scale", "1", "a number"),
        (IMAGE, "shift", True, "a number"),
    ],
)
def test_anything_malformed_is_refused_with_its_field(
    generation: Generation, field: str, value: object, expected: str
) -> None:
    with pytest.raises(ManifestError, match=rf"generation\.{field}: expected {expected}, got"):
        parse({**written(generation), field: value})
