import uuid
from pathlib import Path

import boto3
import pytest

from onnxlet_cli.deploy.aws.cloud import Aws
from onnxlet_cli.deploy.cloud import Options, Release
from onnxlet_cli.deploy.process import silent
from onnxlet_publishing.errors import UsageError
from tests.helpers.aws_deployment import REGION, aws, deployed


class TestExistingBuckets:
    @pytest.fixture
    def bucket(self, root: Path) -> str:
        assert root.exists()  # with which S3 is moto's
        name = f"photos-{uuid.uuid4()}"
        place = {"LocationConstraint": REGION}
        boto3.client("s3", region_name=REGION).create_bucket(Bucket=name, CreateBucketConfiguration=place)
        return name

    @staticmethod
    def announced(bucket: str) -> list[str]:
        found = boto3.client("s3", region_name=REGION).get_bucket_notification_configuration(Bucket=bucket)
        return [each["QueueArn"].rpartition(":")[2] for each in found.get("QueueConfigurations", [])]

    def test_its_objects_are_announced_until_another_is_named_or_the_stack_goes(
        self, root: Path, package: Path, bucket: str
    ) -> None:
        lines: list[str] = []
        for place, names in ((bucket, ["announced-Queue"]), ("", [])):
            cloud = Aws(Options("announced", REGION, others={"InputBucket": place}), root)
            cloud.check()
            cloud.find()
            cloud.apply(Release(package, "digits", None), lines.append)
            assert self.announced(bucket) == names
        assert f"announce objects under s3://{bucket}/in/ to the queue" in lines
        assert f"removed  the notification of s3://{bucket} to the stack's queue" in lines
        cloud = Aws(Options("announced", REGION, others={"InputBucket": bucket}), root)
        deployed(cloud, package)
        assert self.announced(bucket) == ["announced-Queue"]
        aws(root, "announced").remove(silent)
        assert self.announced(bucket) == []

    def test_a_second_stack_is_refused_the_inputs_of_the_first(self, root: Path, package: Path, bucket: str) -> None:
        deployed(Aws(Options("first-of-two", REGION, others={"InputBucket": bucket}), root), package)
        Aws(Options("first-of-two", REGION), root).check()
        with pytest.raises(UsageError, match=r"announces new objects under in/ to .*first-of-two-Queue"):
            Aws(Options("second-of-two", REGION, others={"InputBucket": bucket}), root).check()

    def test_a_notification_that_cannot_be_removed_stops_nothing(self, root: Path, package: Path, bucket: str) -> None:
        deployed(Aws(Options("stays-on", REGION, others={"InputBucket": bucket}), root), package)
        boto3.client("s3", region_name=REGION).delete_bucket(Bucket=bucket)
        lines: list[str] = []
        aws(root, "stays-on").remove(lines.append)
        assert any(line.startswith(f"announce s3://{bucket} still names the stack's queue: ") for line in lines)

    def test_one_that_is_not_there_is_refused_before_anything_is_deployed(self, root: Path) -> None:
        with pytest.raises(UsageError, match="RegistryBucket=nowhere-at-all: there is no such bucket"):
            Aws(Options("x", REGION, others={"RegistryBucket": "nowhere-at-all"}), root).check()

    @pytest.mark.parametrize(("former", "named"), [("", "theirs"), ("ours", "theirs"), ("ours", "")])
    def test_functions_that_run_keep_the_registry_that_has_their_models(
        self, root: Path, package: Path, former: str, named: str
    ) -> None:
        name = f"keeps-{uuid.uuid4().hex[:8]}"
        applied = deployed(Aws(Options(name, REGION, others={"RegistryBucket": former}), root), package)
        with pytest.raises(UsageError, match=f"RegistryBucket={named}: expected the registry of what is depl"):
            Aws(Options(name, REGION, others={"RegistryBucket": named}), root).find()
        same = former or applied.outputs.registry_url.split("/")[2]
        assert Aws(Options(name, REGION, others={"RegistryBucket": same}), root).find() == applied
