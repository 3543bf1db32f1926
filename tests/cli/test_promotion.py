"""`onnxlet promote --from --to`: between folders, and between stacks on an S3 and a CloudFormation (moto's)."""

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import orjson
import pytest
from typer.testing import CliRunner, Result

from onnxlet.contract import layout, signature
from onnxlet.errors import OnnxletError
from onnxlet.registry.registry import Registry
from onnxlet_cli.deploy.cloud import Options
from onnxlet_cli.main import app
from onnxlet_cli.promotion import find_stage
from onnxlet_cli.registry import open_registry
from onnxlet_publishing.errors import CommandError
from onnxlet_publishing.publish import publish
from onnxlet_publishing.sign import load_sign
from tests.conftest import BUCKET
from tests.helpers import graphs, keys
from tests.helpers.damage import damage, resealed


class Two:
    """Two registries, and the command."""

    def __init__(self, source: Registry, target: Registry) -> None:
        self.source = source
        self.target = target

    def promote(self, *arguments: str) -> Result:
        names = ("--from", self.source.store.url, "--to", self.target.store.url)
        return CliRunner().invoke(app, ["promote", *arguments, *names], catch_exceptions=True)

    def done(self, *arguments: str) -> dict[str, Any]:
        result = self.promote(*arguments, "--json")
        assert result.exit_code == 0, result.output
        found: dict[str, Any] = json.loads(result.stdout)
        return found

    def refused(self, *arguments: str) -> str:
        before = everything(self.target)
        result = self.promote(*arguments)
        assert isinstance(result.exception, CommandError | OnnxletError), result.output
        assert everything(self.target) == before, "nothing is written before all is checked"
        return str(result.exception)


def everything(registry: Registry) -> dict[str, bytes]:
    return {key: registry.store.read(key).data for key in registry.store.keys("")}


@pytest.fixture
def two(tmp_path: Path) -> Two:
    source, target = (open_registry(str(tmp_path / name), create=True) for name in ("staging", "production"))
    for seed in range(2):
        publish(source, graphs.digits_candidate(seed))
    return Two(source, target)


def test_a_version_is_copied_byte_for_byte_with_its_number_and_is_live(two: Two) -> None:
    assert two.done("digits") == {"model": "digits", "version": 2, "live": True, "copied": True, "moved": True}
    assert two.target.versions("digits") == [2]
    assert two.target.resolve("digits") == two.source.resolve("digits")
    source = everything(two.source)
    copied = {name: data for name, data in everything(two.target).items() if "/aliases/" not in name}
    assert {name: source[name] for name in copied if name != layout.PROBE_KEY} == {
        name: data for name, data in copied.items() if name != layout.PROBE_KEY
    }


def test_a_second_time_changes_nothing(two: Two) -> None:
    two.done("digits")
    before = everything(two.target)
    assert two.done("digits") == {"model": "digits", "version": 2, "live": True, "copied": False, "moved": False}
    assert everything(two.target) == before


def test_a_blob_that_was_deleted_in_the_target_is_brought_again(two: Two, tmp_path: Path) -> None:
    two.done("digits")
    before = everything(two.target)
    artifact = two.source.resolve("digits").artifacts[0]
    (tmp_path / "production" / layout.blob_key(artifact.sha256)).unlink()
    assert not two.done("digits")["copied"]
    assert everything(two.target) == before


def test_a_number_or_an_alias_may_be_named_and_live_may_stay(two: Two) -> None:
    two.source.promote("digits", 1, "beta")
    assert two.done("digits@beta", "--stage")["version"] == 1
    with pytest.raises(OnnxletError, match="no alias"):
        two.target.resolve("digits")
    assert two.done("digits", "2")["version"] == 2
    assert two.done("digits", "1")["moved"]
    assert [move.version for move in two.target.alias("digits").history] == [2, 1]
    assert "expected an alias or a version, got both" in two.refused("digits@beta", "1")


def test_an_unsigned_version_whose_number_is_taken_gets_the_next_one_once(two: Two) -> None:
    publish(two.target, graphs.digits_candidate(7))
    publish(two.target, graphs.digits_candidate(8))
    for is_new in (True, False):
        done = two.done("digits", "2")
        assert (done["version"], done["copied"]) == (3, is_new)
    assert two.target.versions("digits") == [1, 2, 3]
    assert two.target.version("digits", 3).artifacts == two.source.version("digits", 2).artifacts


def test_a_signature_stays_good_and_the_number_with_it(
    two: Two, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, public = keys.write(tmp_path), keys.text(1)
    signed = publish(two.source, graphs.digits_candidate(2), sign=load_sign(path))
    monkeypatch.setenv("ONNXLET_PUBLIC_KEYS", public)
    assert two.done("digits")["version"] == 3
    found = two.target.resolve("digits")
    assert found == signed
    assert signature.is_valid(found)


def test_what_the_target_would_not_load_is_refused(two: Two, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs, public = keys.write(tmp_path), keys.write(tmp_path, 2), keys.text(1)
    publish(two.source, graphs.digits_candidate(2), sign=load_sign(theirs))
    monkeypatch.setenv("ONNXLET_PUBLIC_KEYS", public)
    assert "expected a signature by a key of ONNXLET_PUBLIC_KEYS, got none" in two.refused("digits", "1")
    assert "expected a signature by a key of ONNXLET_PUBLIC_KEYS, got one by" in two.refused("digits", "3")
    assert "got one by" in two.refused("digits", "1", "--sign", str(theirs))
    assert two.done("digits", "1", "--sign", str(ours))["version"] == 1
    assert two.target.resolve("digits").signature["public_key"] == public
    assert two.done("digits", "1", "--sign", str(ours))["copied"] is False


def test_a_signed_version_whose_number_is_taken_needs_another_signature(two: Two, tmp_path: Path) -> None:
    path, public = keys.write(tmp_path), keys.text(1)
    publish(two.source, graphs.digits_candidate(2), sign=load_sign(path))
    for seed in (5, 6, 7):
        publish(two.target, graphs.digits_candidate(seed))
    assert "has another digits version 3" in two.refused("digits")
    assert two.done("digits", "--sign", str(path))["version"] == 4
    assert two.target.resolve("digits").signature["public_key"] == public


def test_a_signature_that_is_not_of_its_version_is_refused(two: Two, tmp_path: Path) -> None:
    path = keys.write(tmp_path)
    publish(two.source, graphs.digits_candidate(2), sign=load_sign(path))
    name = layout.version_key("digits", 3)
    stored = two.source.store.read(name)
    document = orjson.loads(stored.data)
    document["provenance"]["source"] = "another.onnx"
    two.source.store.replace(name, resealed(document), stored.revision)
    assert "is not of this manifest" in two.refused("digits", "3")


def test_damaged_bytes_are_refused(two: Two, tmp_path: Path) -> None:
    damage(tmp_path / "staging", two.source.version("digits", 2))
    assert "SHA-256" in two.refused("digits", "2")


def test_another_golden_answer_is_refused(two: Two) -> None:
    """The graph of one version with the golden example of another, as a publisher without our gate may write it."""
    first, second = two.source.version("digits", 1), two.source.version("digits", 2)
    golden = [artifact for artifact in second.artifacts if artifact.role == "golden"]
    others = [artifact for artifact in first.artifacts if artifact.role != "golden" and not artifact.must_be_checked]
    document = {**first.to_document(), "version": 3}
    by_digest = {item["sha256"]: item for each in (first, second) for item in each.to_document()["artifacts"]}
    document["artifacts"] = [by_digest[artifact.sha256] for artifact in (*others, *golden)]
    two.source.store.put_if_absent(layout.version_key("digits", 3), resealed(document))
    assert "golden inputs" in two.refused("digits", "3")


def test_a_blob_that_is_damaged_in_the_target_is_named(two: Two, tmp_path: Path) -> None:
    two.done("digits", "1", "--stage")
    damage(tmp_path / "production", two.target.version("digits", 1))
    (tmp_path / "production" / layout.version_key("digits", 1)).unlink()
    assert "expected the bytes of its SHA-256, got others" in two.refused("digits", "1")


def test_what_was_interrupted_is_continued(two: Two, tmp_path: Path) -> None:
    """Whatever was written last: a blob, all blobs, the manifest."""
    two.done("digits")
    alias, version = (
        tmp_path / "production" / name for name in (layout.alias_key("digits", "live"), layout.version_key("digits", 2))
    )
    whole = everything(two.target)
    blob = next(iter((tmp_path / "production/blobs/sha256").iterdir()))
    for missing in ([alias], [alias, version], [alias, version, blob]):
        for path in missing:
            path.unlink()
        done = two.done("digits")
        assert (done["copied"], done["moved"]) == (version in missing, True)
        found = everything(two.target)
        assert found.keys() == whole.keys()
        assert two.target.resolve("digits") == two.source.resolve("digits")


def test_a_version_whose_numbers_are_random_goes_without_a_comparison(two: Two) -> None:
    publish(two.source, graphs.candidate("noise", graphs.noise()))
    result = two.promote("noise")
    assert "loads; it has no golden example to compare with" in result.output
    assert two.target.resolve("noise").version == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["digits", "1", "--from", "a/b"], "expected --from and --to together"),
        (["digits", "1", "--to", "a/b"], "expected --from and --to together"),
        (["digits"], "expected NAME and VERSION"),
        ([], "expected NAME and VERSION"),
    ],
)
def test_half_of_the_options_is_refused(arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(app, ["promote", *arguments])
    assert words in str(result.exception)


def test_an_unknown_model_or_version_is_named(two: Two) -> None:
    assert "which model?" in two.refused()
    assert 'model "nope"' in two.refused("nope")
    assert "no version 9" in two.refused("digits", "9")


class TestStacks:
    """Stacks, as CloudFormation knows them."""

    @pytest.fixture
    def stacks(self, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Registry]:
        monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
        client = boto3.client("cloudformation", region_name="us-east-1")

        def make(name: str, public_keys: str = "") -> Registry:
            root = f"s3://{BUCKET}/{uuid.uuid4()}"
            outputs = {"HttpUrl": "https://http", "InputUrl": f"{root}/in", "ResultsUrl": f"{root}/results"}
            outputs["RegistryUrl"] = f"{root}/registry"
            parameters = {"PublicKeys": public_keys, "ModelName": "digits"}
            template = {
                "Parameters": {each: {"Type": "String"} for each in parameters},
                "Resources": {"Queue": {"Type": "AWS::SQS::Queue"}},
                "Outputs": {each: {"Value": value} for each, value in outputs.items()},
            }
            chosen = [{"ParameterKey": each, "ParameterValue": value} for each, value in parameters.items()]
            client.create_stack(StackName=name, TemplateBody=json.dumps(template), Parameters=chosen)
            return open_registry(outputs["RegistryUrl"])

        return make

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, ["promote", *arguments, "--region", "us-east-1"])

    def test_the_default_model_goes_from_a_stack_to_a_stack(self, stacks: Callable[..., Registry]) -> None:
        names = f"a{uuid.uuid4()}", f"b{uuid.uuid4()}"
        staging, production = map(stacks, names)
        manifest = publish(staging, graphs.digits_candidate())
        result = self.run("--from", names[0], "--to", names[1])
        assert result.exit_code == 0, result.output
        assert result.stdout == "digits version 1 is live\n"
        assert production.resolve("digits") == manifest

    def test_the_keys_of_the_target_s_stack_are_the_ones_that_count(
        self, stacks: Callable[..., Registry], tmp_path: Path
    ) -> None:
        path, public = keys.write(tmp_path), keys.text(1)
        names = f"a{uuid.uuid4()}", f"b{uuid.uuid4()}"
        staging, production = stacks(names[0]), stacks(names[1], public)
        publish(staging, graphs.digits_candidate())
        result = self.run("--from", names[0], "--to", names[1])
        assert "would not load it" in str(result.exception)
        assert production.models() == []
        assert self.run("--from", names[0], "--to", names[1], "--sign", str(path)).exit_code == 0
        assert production.resolve("digits").signature["public_key"] == public

    def test_a_stack_that_is_not_there_is_named(self, stacks: Callable[..., Registry]) -> None:
        name = f"a{uuid.uuid4()}"
        stacks(name)
        assert "--to nothing: expected a deployed stack" in str(self.run("--from", name, "--to", "nothing").exception)


def test_a_state_is_only_for_stacks_of_gcp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_OAUTH_ACCESS_TOKEN", "a-token")
    arguments = ["promote", "--from", "staging", "--to", "production", "--state", "gs://bucket"]
    result = CliRunner().invoke(app, arguments, catch_exceptions=True)
    assert "--state: AWS keeps the state of a stack itself" in str(result.exception)
    where = Options(region="europe-west1", project="project-1", state="s3://bucket")
    with pytest.raises(CommandError, match="--state: expected gs://BUCKET or gs://BUCKET/PREFIX, got s3://bucket"):
        find_stage("--from", "staging", "gcp", where)
