"""The task of a model in Hugging Face's form: by its files, its card, its architecture and its outputs."""

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from onnxlet_publishing.importers.hugging_face.folder import Folder
from onnxlet_publishing.importers.hugging_face.tasks import find_task
from onnxlet_publishing.onnx_file import OnnxFile, read_onnx
from tests.helpers import graphs
from tests.helpers.hugging_face import write_folder


def model(folder: Path, inputs: str, outputs: str) -> OnnxFile:
    """Return a model with these tensors, which computes nothing."""
    names = outputs.split()
    nodes = [helper.make_node("Identity", [inputs.split(maxsplit=1)[0]], [name]) for name in names]
    proto = graphs.model(
        nodes,
        [(name, TensorProto.FLOAT, ["batch", "n"]) for name in inputs.split()],
        [(name, TensorProto.FLOAT, ["batch", "n"]) for name in names],
    )
    onnx.save(proto, folder / "model.onnx")
    return read_onnx(folder / "model.onnx")


@pytest.mark.parametrize(
    ("architecture", "inputs", "outputs", "task"),
    [
        ("BertForSequenceClassification", "input_ids attention_mask", "logits", "text-classification"),
        ("Wav2Vec2ForSequenceClassification", "input_values", "logits", "audio-classification"),
        ("ASTForAudioClassification", "input_values", "logits", "audio-classification"),
        ("BertForTokenClassification", "input_ids", "logits", "token-classification"),
        ("BertForQuestionAnswering", "input_ids", "start_logits end_logits", "question-answering"),
        ("RobertaForMaskedLM", "input_ids", "logits", "fill-mask"),
        ("ViTForImageClassification", "pixel_values", "logits", "image-classification"),
        ("DeiTForImageClassificationWithTeacher", "pixel_values", "logits", "image-classification"),
        ("DetrForObjectDetection", "pixel_values", "logits pred_boxes", "object-detection"),
        ("SegformerForSemanticSegmentation", "pixel_values", "logits", "image-segmentation"),
        ("ViTModel", "pixel_values", "last_hidden_state pooler_output", "image-feature-extraction"),
        ("BertModel", "input_ids", "last_hidden_state", "feature-extraction"),
        # A graph that was exported without the head of the configuration's architecture.
        ("BertForMaskedLM", "input_ids", "last_hidden_state", "feature-extraction"),
        ("GPT2LMHeadModel", "input_ids past_key_values.0.key", "logits present.0.key", None),
        ("GPT2LMHeadModel", "input_ids attention_mask", "logits", None),
        ("T5ForConditionalGeneration", "input_ids decoder_input_ids", "logits", None),
        ("CLIPModel", "input_ids pixel_values", "logits_per_image image_embeds", None),
        ("Wav2Vec2ForCTC", "input_values", "logits", "automatic-speech-recognition"),
        ("Unknown", "x", "y", None),
    ],
)
def test_the_task_follows_from_the_architecture_the_inputs_and_the_outputs(
    tmp_path: Path, architecture: str, inputs: str, outputs: str, task: str | None
) -> None:
    tensors = model(tmp_path, inputs, outputs)
    folder = write_folder(tmp_path, onnx.load(tmp_path / "model.onnx"), {"architectures": [architecture]})
    found = find_task(Folder(folder), tensors)
    assert (found and found.value) == task


def test_the_card_comes_before_the_architecture_if_it_fits_the_model(tmp_path: Path) -> None:
    tensors = model(tmp_path, "input_ids", "logits")
    config = {"architectures": ["BartForSequenceClassification"]}
    folder = Folder(write_folder(tmp_path, onnx.load(tmp_path / "model.onnx"), config))
    card = tmp_path / "README.md"
    for tag, task in (("zero-shot-classification", None), ("image-classification", "text-classification")):
        card.write_text(f"---\nlicense: mit\npipeline_tag: '{tag}'\n---\n# A model\n")
        found = find_task(folder, tensors)
        assert found is not None
        assert found.value == (task or tag)
    card.write_text("# A model\npipeline_tag: fill-mask\n")
    found = find_task(folder, tensors)
    assert found is not None
    assert found.value == "text-classification"
