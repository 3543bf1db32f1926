# ruff: noqa: ARG002 - the methods are those of `Cloud`
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from onnxlet.contract.artifact import JSON, Artifact
from onnxlet.contract.document import MAX_DOCUMENT_BYTES
from onnxlet.contract.manifest import Manifest
from onnxlet.record import replace
from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet_cli.deploy import smoke
from onnxlet_cli.deploy.cloud import NotCalled, Outputs, Release
from onnxlet_cli.deploy.process import silent
from onnxlet_cli.errors import ServiceError
from onnxlet_cli.http_client import Response, send
from onnxlet_cli.local.serve import LocalSettings, serve
from onnxlet_publishing.publish import publish, publish_all
from tests.helpers import graphs
from tests.helpers.fake_cloud import FakeCloud

Answer = Callable[[], Response | NotCalled]


class Scripted(FakeCloud):
    """Replies in turn; the last one again and again."""

    replies: list[Response | ServiceError]

    def send(self, outputs: Outputs, path: str, body: bytes | None, headers: Mapping[str, str]) -> Response | NotCalled:
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, ServiceError):
            raise reply
        return reply


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(open_store((tmp_path / "registry").as_uri(), create=True))


def ask(cloud: FakeCloud, registry: Registry, manifest: Manifest, patience_s: float = 0) -> smoke.Answer | NotCalled:
    outputs = Outputs("http://function", registry.store.url, "", "")
    return smoke.ask(cloud, outputs, registry, manifest, patience_s, pause_s=0)


def scripted(folder: Path, *replies: Response | ServiceError) -> Scripted:
    cloud = Scripted(folder)
    cloud.replies = list(replies)
    return cloud


@pytest.mark.parametrize("name", ["digits", "texts", "sums", "two"])
def test_real_functions_give_the_golden_answer(name: str, tmp_path: Path, registry: Registry) -> None:
    candidates = [graphs.digits_candidate(), graphs.candidate("texts", graphs.identity(8))]
    candidates += [graphs.candidate("sums", graphs.sums()), graphs.candidate("two", graphs.two_inputs())]
    publish_all(registry, candidates)
    with serve("aws", LocalSettings(registry.store.url, "digits", 0), log=tmp_path / "log") as served_at:

        class Local(FakeCloud):
            def send(
                self, outputs: Outputs, path: str, body: bytes | None, headers: Mapping[str, str]
            ) -> Response | NotCalled:
                return send(f"{served_at}{path}", body, headers)

        answer = ask(Local(tmp_path), registry, registry.resolve(name))
    assert isinstance(answer, smoke.Answer)
    assert answer.is_golden


def test_a_model_without_a_golden_example_is_asked_whether_it_is_ready(tmp_path: Path, registry: Registry) -> None:
    publish(registry, graphs.candidate("gather", graphs.gather()))
    cloud = FakeCloud(tmp_path)
    cloud.applied.append(Release(tmp_path, "gather", None))
    manifest = registry.resolve("gather")
    others = tuple(artifact for artifact in manifest.artifacts if artifact.role != "golden")
    without = replace(manifest, artifacts=others)
    answer = ask(cloud, registry, without)
    assert isinstance(answer, smoke.Answer)
    assert (answer.path, answer.is_golden) == ("/v2/models/gather/versions/1/ready", False)


@pytest.mark.parametrize("status", smoke.TOO_LARGE)
def test_what_the_cloud_does_not_carry_is_asked_whether_it_is_ready(
    tmp_path: Path, registry: Registry, status: int
) -> None:
    manifest = publish(registry, graphs.digits_candidate())
    answer = ask(scripted(tmp_path, Response(status, {}, b""), Response(200, {}, b"{}")), registry, manifest)
    assert isinstance(answer, smoke.Answer)
    assert (answer.path, answer.is_golden) == ("/v2/models/digits/versions/1/ready", False)


def test_a_golden_example_that_cannot_be_read_is_not_asked(tmp_path: Path, registry: Registry) -> None:
    manifest = publish(registry, graphs.digits_candidate())
    data = b" " * (MAX_DOCUMENT_BYTES + 1)
    golden = Artifact.of("golden", "fp32", data, JSON)
    others = [artifact for artifact in manifest.artifacts if artifact.role != "golden"]
    broken = registry.publish(replace(manifest, artifacts=(*others, golden)), {golden.sha256: data})
    answer = ask(scripted(tmp_path, Response(200, {}, b"{}")), registry, broken)
    assert isinstance(answer, smoke.Answer)
    assert (answer.path, answer.is_golden) == ("/v2/models/digits/versions/2/ready", False)


def test_random_numbers_are_not_compared(tmp_path: Path, registry: Registry) -> None:
    manifest = publish(registry, graphs.candidate("noise", graphs.noise()))
    cloud = FakeCloud(tmp_path)
    cloud.apply(Release(tmp_path, "noise", None), silent)
    answer = ask(cloud, registry, manifest)
    assert isinstance(answer, smoke.Answer)
    assert (answer.path, answer.is_golden, answer.random) == ("/v2/models/noise/versions/1/infer", False, ("y",))


def test_what_comes_up_slowly_is_asked_again(tmp_path: Path, registry: Registry) -> None:
    manifest = publish(registry, graphs.digits_candidate())
    ready = FakeCloud(tmp_path)
    ready.apply(Release(tmp_path, "digits", None), silent)
    good = ready.send(Outputs("", registry.store.url, "", ""), *_question(registry, manifest))
    assert isinstance(good, Response)
    slow = scripted(
        tmp_path,
        ServiceError("no such host"),
        Response(403, {}, b'{"Message": "Forbidden"}'),
        Response(502, {}, b""),
        good,
    )
    assert isinstance(ask(slow, registry, manifest, patience_s=10), smoke.Answer)


def test_what_never_answers_is_an_error_with_what_it_said(tmp_path: Path, registry: Registry) -> None:
    manifest = publish(registry, graphs.digits_candidate())
    with pytest.raises(ServiceError, match=r"does not answer: 403: Forbidden"):
        ask(scripted(tmp_path, Response(403, {}, b'{"Message": "Forbidden"}')), registry, manifest)
    with pytest.raises(ServiceError, match="no such host"):
        ask(scripted(tmp_path, ServiceError("no such host")), registry, manifest)


def test_a_mistake_of_ours_is_not_waited_for(tmp_path: Path, registry: Registry) -> None:
    manifest = publish(registry, graphs.digits_candidate())
    with pytest.raises(ServiceError, match="422: nonsense"):
        ask(scripted(tmp_path, Response(422, {}, b'{"error": "nonsense"}')), registry, manifest, patience_s=600)


def test_what_asks_for_a_key_is_shown_one_or_says_how_to_get_it(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = publish(registry, graphs.digits_candidate())
    shown: list[Mapping[str, str]] = []

    class Keyless(FakeCloud):
        def send(
            self, outputs: Outputs, path: str, body: bytes | None, headers: Mapping[str, str]
        ) -> Response | NotCalled:
            shown.append(headers)
            return Response(401, {}, b'{"error":"expected an API key","code":"unauthenticated"}')

    words = (
        f"401: expected an API key; set ONNXLET_API_KEY to .*onnxlet keys create NAME --registry {registry.store.url}"
    )
    with pytest.raises(ServiceError, match=words):
        ask(Keyless(tmp_path), registry, manifest, patience_s=600)
    monkeypatch.setenv("ONNXLET_API_KEY", "onnxlet_x_y")
    with pytest.raises(ServiceError):
        ask(Keyless(tmp_path), registry, manifest, patience_s=600)
    assert not shown[0].keys() & {"x-api-key", "authorization"}
    assert (shown[1]["x-api-key"], shown[1]["authorization"]) == ("onnxlet_x_y", "Bearer onnxlet_x_y")
    assert shown[0].items() <= shown[1].items()


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"outputs": [{"name": "output"}]}'])
def test_an_answer_of_another_form_is_an_error(body: bytes, tmp_path: Path, registry: Registry) -> None:
    manifest = publish(registry, graphs.digits_candidate())
    with pytest.raises(ServiceError, match="golden request"):
        ask(scripted(tmp_path, Response(200, {smoke.HEADER_LENGTH: str(len(body))}, body)), registry, manifest)


def test_another_answer_is_an_error(tmp_path: Path, registry: Registry) -> None:
    manifest = publish(registry, graphs.digits_candidate())
    other = Registry(open_store((tmp_path / "other/registry").as_uri(), create=True))
    publish(other, graphs.digits_candidate(seed=1))
    cloud = FakeCloud(tmp_path / "other")
    cloud.apply(Release(tmp_path, "digits", None), silent)
    reply = cloud.send(Outputs("", other.store.url, "", ""), *_question(registry, manifest))
    assert isinstance(reply, Response)
    with pytest.raises(ServiceError, match=r"golden request .* off"):
        ask(scripted(tmp_path, reply), registry, manifest)


def _question(registry: Registry, manifest: Manifest) -> tuple[str, bytes, dict[str, str]]:
    golden = registry.golden(manifest)
    assert golden is not None
    return f"/v2/models/{manifest.model}/versions/1/infer", *smoke.to_request(golden)
