"""Requests for tasks that the fuzzer changes: valid ones, of every route that answers tasks."""

import json
from typing import Any

import numpy as np

from onnxlet.http import Request
from tests.helpers import sounds
from tests.test_clouds import png


def post(path: str, document: Any, **headers: str) -> Request:
    return Request("POST", path, json.dumps(document).encode(), {"content-type": "application/json", **headers})


def sentences() -> Request:
    document = {"inputs": {"source_sentence": "a b", "sentences": ["a", "c d"]}, "parameters": {"truncate": True}}
    return post("/models/feature-extraction", document)


def zero_shot() -> Request:
    parameters = {"candidate_labels": ["a", "b"], "hypothesis_template": "It is {}.", "multi_label": True}
    return post("/models/zero-shot-classification", {"inputs": ["a b", "c"], "parameters": parameters})


def question() -> Request:
    parameters = {"top_k": 2, "doc_stride": 4, "max_seq_len": 32}
    document = {"inputs": {"question": "a?", "context": "a b c d e f"}, "parameters": parameters}
    return post("/models/question-answering", document)


def entities() -> Request:
    parameters = {"aggregation_strategy": "max", "ignore_labels": ["O"], "stride": 2}
    return post("/predict/token-classification", {"instances": ["Anna", "a b"], "parameters": parameters})


def mask() -> Request:
    return post("/models/fill-mask", {"inputs": "a [MASK] b", "parameters": {"top_k": 2, "targets": ["c", "d"]}})


def embeddings() -> Request:
    return post("/v1/embeddings", {"model": "feature-extraction", "input": ["a b", "c"], "encoding_format": "base64"})


def ranked() -> Request:
    documents = ["a b", {"text": "c"}]
    return post("/v1/rerank", {"model": "text-ranking", "query": "a", "documents": documents, "top_n": 1})


def table() -> Request:
    return Request("POST", "/predict/sums", b"a,b,c\n1,2,3\n4,,6\n", {"content-type": "text/csv"})


def sound() -> Request:
    wav = sounds.wav_of(np.full(400, 0.5), 16_000)
    return Request("POST", "/predict/speech", wav, {"content-type": "audio/wav"}, {"threshold": "0.4"})


def detected() -> Request:
    return Request("POST", "/models/object-detection", png(), {"content-type": "image/png"}, {"threshold": "0.2"})


TASKS = (sentences, zero_shot, question, entities, mask, embeddings, ranked, table, sound, detected)
