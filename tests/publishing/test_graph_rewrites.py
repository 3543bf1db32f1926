"""What is changed in a brought graph: ZipMaps become tensors, and locales those that the functions have."""

from collections.abc import Sequence
from typing import Any

import onnx
import pytest
from onnx import AttributeProto, TensorProto, helper

from onnxlet.contract.json_tensors import from_values, to_values
from onnxlet.contract.tensors import DATATYPES
from onnxlet.session import open_session
from tests.helpers import graphs

node = helper.make_node


def zipmap(names: Sequence[str] | Sequence[int], *after: onnx.NodeProto, output: str = "y") -> onnx.ModelProto:
    """FP32 (batch, 2), as one dictionary for each row."""
    is_text = isinstance(names[0], str)
    kind: dict[str, Any] = {"classlabels_strings" if is_text else "classlabels_int64s": names}
    proto = graphs.model(
        [node("Abs", ["x"], ["p"]), node("ZipMap", ["p"], ["z"], domain="ai.onnx.ml", **kind), *after],
        [("x", TensorProto.FLOAT, ["batch", 2])],
        [("p", TensorProto.FLOAT, ["batch", 2]), (output, TensorProto.FLOAT, None)],
    )
    key = TensorProto.STRING if is_text else TensorProto.INT64
    number = helper.make_tensor_type_proto(TensorProto.FLOAT, [])
    maps = helper.make_sequence_type_proto(helper.make_map_type_proto(key, number))
    proto.graph.output[1].type.CopyFrom(maps)
    proto.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    return proto


@pytest.mark.parametrize(("names", "expected"), [(["no", "yes"], ("no", "yes")), ([3, 7], ("3", "7"))])
def test_a_zipmaps_numbers_are_served_as_a_tensor(names: list[str] | list[int], expected: tuple[str, ...]) -> None:
    model = graphs.to_file(zipmap(names, output="z"))
    assert [str(spec) for spec in model.outputs] == ["FP32 (batch, 2)", "FP32 (?, 2)"]
    assert model.class_names == {"z": expected}
    assert model.left_out == ()
    assert model.notes == ('output "z": its ZipMap was removed; it is now FP32 (batch, 2)',)
    (found,) = open_session(model.data).run({"x": from_values("x", DATATYPES["FP32"], (2, 2), [1, -2, 3, -4])}, ["z"])
    assert (found.shape, to_values(found)) == ((2, 2), [1, 2, 3, 4])


def test_a_zipmap_behind_a_copy_is_taken_out_too() -> None:
    model = graphs.to_file(zipmap(["no", "yes"], node("Identity", ["z"], ["y"])))
    assert model.class_names == {"y": ("no", "yes")}
    open_session(model.data)


def test_a_zipmap_whose_dictionaries_the_graph_reads_stays() -> None:
    proto = zipmap(["no", "yes"], node("SequenceAt", ["z", "first"], ["y"]))
    assert graphs.to_file(proto).class_names == {}
    assert graphs.to_file(proto).left_out == ("y",)


def test_a_graph_without_onnxs_own_operators_gets_them_with_the_copy() -> None:
    proto = zipmap(["no", "yes"], output="z")
    proto.graph.node[0].CopyFrom(node("Scaler", ["x"], ["p"], domain="ai.onnx.ml", offset=[0.0], scale=[1.0]))
    del proto.opset_import[0]
    open_session(graphs.to_file(proto).data)


def normalizer(case: str = "LOWER", **attributes: str) -> onnx.NodeProto:
    return node("StringNormalizer", ["x"], ["y"], case_change_action=case, is_case_sensitive=1, **attributes)


def texts(normal: onnx.NodeProto) -> onnx.ModelProto:
    return graphs.model([normal], [("x", TensorProto.STRING, ["n"])], [("y", TensorProto.STRING, ["n"])])


@pytest.mark.parametrize("locale", [{"locale": "en_US"}, {"locale": "de_DE.UTF-8"}, {"locale": ""}, {}])
def test_a_locale_that_a_function_lacks_becomes_one_that_it_has(locale: dict[str, str]) -> None:
    model = graphs.to_file(texts(normalizer(**locale)))
    (attribute,) = [each for each in onnx.load_from_string(model.data).graph.node[0].attribute if each.name == "locale"]
    assert attribute.s == b"C.UTF-8"
    (note,) = model.notes
    assert note.startswith(f"locale {locale.get('locale') or 'en_US'}: ")
    assert "the graph now names C.UTF-8" in note


@pytest.mark.parametrize(
    ("case", "words", "expected"),
    [
        ("LOWER", ["ÄPFEL", "ÉCOLE", "ΣΟΦΙΑ", "ЁЖ", "plain"], ["äpfel", "école", "σοφια", "ёж", "plain"]),
        ("UPPER", ["äpfel", "école", "ёж", "plain"], ["ÄPFEL", "ÉCOLE", "ЁЖ", "PLAIN"]),
    ],
)
def test_letters_beyond_ascii_change_their_case(case: str, words: list[str], expected: list[str]) -> None:
    model = graphs.to_file(texts(normalizer(case, locale="en_US")))
    given = from_values("x", DATATYPES["BYTES"], (len(words),), words)
    assert to_values(open_session(model.data).run({"x": given}, ["y"])[0]) == expected


@pytest.mark.parametrize("locale", ["C", "POSIX", "C.UTF-8"])
def test_a_locale_that_a_function_has_stays_as_do_the_bytes(locale: str) -> None:
    proto = texts(normalizer(locale=locale))
    model = graphs.to_file(proto)
    assert (model.data, model.notes) == (proto.SerializeToString(), ())


def test_locales_are_found_in_subgraphs_and_functions() -> None:
    branch = helper.make_graph(
        [normalizer(locale="en_GB")], "branch", [], [helper.make_tensor_value_info("y", TensorProto.STRING, None)]
    )
    proto = texts(node("If", ["is"], ["y"], then_branch=branch, else_branch=branch))
    proto.graph.initializer.append(helper.make_tensor("is", TensorProto.BOOL, [], [True]))
    inner = normalizer()
    inner.attribute.append(AttributeProto(name="locale", type=AttributeProto.STRING, ref_attr_name="place"))
    function = helper.make_function("pkg", "f", ["x"], ["y"], [inner], [helper.make_opsetid("", 18)], ["place"])
    proto.functions.append(function)
    model = graphs.to_file(proto)
    found = onnx.load_from_string(model.data)
    branches = [attribute.g.node[0] for attribute in found.graph.node[0].attribute]
    for each in (*branches, found.functions[0].node[0]):
        (attribute,) = [attribute for attribute in each.attribute if attribute.name == "locale"]
        assert (attribute.s, attribute.ref_attr_name) == (b"C.UTF-8", "")


def test_another_operators_locale_that_is_no_text_is_left_alone() -> None:
    proto = texts(node("Mystery", ["x"], ["y"], domain="own", locale=3))
    assert graphs.to_file(proto).data == proto.SerializeToString()
