"""Stand-ins for the clouds' tools: real scripts on the PATH, which do what a test lets them."""

import os
import sys
from pathlib import Path

import pytest


def put_tool(folder: Path, name: str, body: str, monkeypatch: pytest.MonkeyPatch | None = None) -> Path:
    """Write a tool in Python into a folder, which becomes the first of the PATH."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!{sys.executable}\n{body}")
    path.chmod(0o755)
    if monkeypatch is not None:
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return path


SAM = r'''
"""`sam deploy`, by moto's CloudFormation, which knows no Transform: the template's parameters, buckets, outputs."""
import json, os, re, sys
import boto3
from botocore.exceptions import ClientError

if os.environ.get("SAM_FAILS"):
    print("Uploading to onnxlet/abc\nError: " + os.environ["SAM_FAILS"])
    raise SystemExit(1)
options = sys.argv[1:]
name = options[options.index("--stack-name") + 1]
end = options.index("--parameter-overrides")
given = dict(re.fullmatch(r'(\w+)="(.*)"', each, re.S).groups() for each in options[end + 1 :])
pairs = options[options.index("--tags") + 1 : end] if "--tags" in options else []
tags = [dict(zip(("Key", "Value"), each.split("=", 1))) for each in pairs]
if os.environ.get("SAM_SAYS"):
    with open(os.environ["SAM_SAYS"], "w") as file:
        json.dump({each: value for each, value in os.environ.items() if each.startswith("AWS_")}, file)
client = boto3.client("cloudformation", region_name=options[options.index("--region") + 1])
try:
    found = client.describe_stacks(StackName=name)["Stacks"][0]
    before = {item["ParameterKey"]: item["ParameterValue"] for item in found["Parameters"]}
except ClientError:
    found = before = None
defaults = {"Prefetch": "", "UrlAuth": "AWS_IAM", "MemorySize": "1769", "Variant": "", "RefreshSeconds": "60"}
defaults |= {"SnapStart": "false", "ProvisionedConcurrency": "0"}
after = {**defaults, **(before or {}), **given}
parameters = {key: {"Type": "String"} for key in after}
buckets = {key: {"Type": "AWS::S3::Bucket", "DeletionPolicy": "Retain"} for key in ("Models", "Input", "Results")}
memory = [{"Key": "memory", "Value": {"Ref": "MemorySize"}}]
queue = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": name + "-Queue", "Tags": memory}}
urls = {"RegistryUrl": "Models", "InputUrl": "Input", "ResultsUrl": "Results"}
outputs = {key: {"Value": {"Fn::Sub": "s3://${" + bucket + "}"}} for key, bucket in urls.items()}
outputs["RegistryUrl"]["Value"]["Fn::Sub"] += "/registry"
if after.get("RegistryBucket"):
    outputs["RegistryUrl"] = {"Value": "s3://" + after["RegistryBucket"] + "/registry"}
if after.get("InputBucket"):
    outputs["InputUrl"] = {"Value": "s3://" + after["InputBucket"] + "/in"}
outputs["QueueArn"] = {"Value": {"Fn::GetAtt": ["Queue", "Arn"]}}
outputs["HttpUrl"] = {"Value": os.environ["HTTP_URL"]}
outputs["ApiKeyId"] = {"Value": os.environ.get("API_KEY_ID", "none")}
template = json.dumps({"Parameters": parameters, "Resources": {**buckets, "Queue": queue}, "Outputs": outputs})
chosen = [{"ParameterKey": key, "ParameterValue": value} for key, value in after.items()]
if before is None:
    client.create_stack(StackName=name, TemplateBody=template, Parameters=chosen, Tags=tags)
    print("CREATE_COMPLETE      AWS::S3::Bucket        Models       -")
elif before == after and tags == found.get("Tags", []):
    print("\nNo changes to deploy. Stack is up to date")
else:
    client.update_stack(StackName=name, TemplateBody=template, Parameters=chosen, Tags=tags)
    print("UPDATE_COMPLETE      AWS::SQS::Queue        Queue")
'''
"""What the real command does as far as a deployment sees it; tests/infra runs the real one."""

TERRAFORM = r'''
"""`terraform` whose states are files: what was applied, and the outputs and resources that go with it."""
import json, os, pathlib, sys

options = sys.argv[1:]
with open(os.environ["TERRAFORM_CALLS"], "a") as calls:
    calls.write(json.dumps(options) + "\n")
command = options[0]
with open(os.environ["TERRAFORM_CALLS"] + ".environment", "w") as environment:
    json.dump(dict(os.environ), environment)
failures = pathlib.Path(os.environ["TERRAFORM_CALLS"] + ".failures")  # texts with which `apply` fails, one a line
texts = failures.read_text().splitlines() if failures.exists() else []
if os.environ.get("TERRAFORM_FAILS") == command:
    print("╷\n│ Error: Error creating Bucket\n│\n│   with google_storage_bucket.inputs,\n│   on buckets.tf line 1\n│")
    print("│ googleapi: Error 409: The requested bucket name is not available.\n╵")
    raise SystemExit(1)
backend = json.loads(pathlib.Path("backend_override.tf.json").read_text())["terraform"]["backend"]
if "gcs" in backend:
    path = pathlib.Path(os.environ["TERRAFORM_CALLS"]).parent / "states" / backend["gcs"]["bucket"]
    path = path / backend["gcs"]["prefix"] / "default.tfstate"
    path.parent.mkdir(parents=True, exist_ok=True)
else:
    path = pathlib.Path("terraform.tfstate")
state = json.loads(path.read_text()) if path.exists() else {}
given = {}
for each in options:
    if each.startswith("-var-file="):
        given |= json.loads(pathlib.Path(each.partition("=")[2]).read_text())
    elif each.startswith("-var="):
        name, _, value = each.removeprefix("-var=").partition("=")
        given[name] = value
variables = {"memory_mib": "1024", "allow_unauthenticated": "false", **given}


def resource(address, **values):
    return {"address": address, "mode": "managed", "type": address.split(".")[0], "values": values}


def resources(variables):
    config = {"runtime": variables["runtime"]}
    service = {"available_memory": variables["memory_mib"] + "Mi"}
    service["environment_variables"] = {"ONNXLET_MODEL": variables["model"]}
    http = resource("google_cloudfunctions2_function.http", build_config=[config], service_config=[service])
    found = [http, resource("google_project_service.apis[\"run\"]")]
    found += [resource(f"google_storage_bucket.{each}", name=f"shop-{each}") for each in ("registry", "results")]
    found.append(resource("google_storage_bucket.source", name="shop-source", force_destroy=True))
    if variables["allow_unauthenticated"] == "true":
        found.append(resource("google_cloud_run_v2_service_iam_member.everybody[0]"))
    return found


if command == "plan":
    changed = state.get("variables") != variables
    action = "no-op" if not changed else "update" if state else "create"
    change = {"address": "google_cloudfunctions2_function.http", "type": "google_cloudfunctions2_function"}
    before = state.get("outputs", {}).get("settings")
    planned = {"resource_changes": [{**change, "change": {"actions": [action]}}], "variables": variables}
    planned["format_version"] = "1.2"
    planned["output_changes"] = {"settings": {"before": before}}
    pathlib.Path(next(each for each in options if each.startswith("-out="))[5:]).write_text(json.dumps(planned))
elif command == "apply":
    if texts:
        failures.write_text("\n".join(texts[1:]))
        for text in texts[0].split("|"):
            print(f"╷\n│ Error: {text}\n│\n│   with google_cloudfunctions2_function.messages,\n╵")
        raise SystemExit(1)
    variables = json.loads(pathlib.Path(options[-1]).read_text())["variables"]
    same = state.get("variables") == variables
    outputs = {key: os.environ[key.upper()] for key in ("http_url", "registry_url")}
    outputs |= {"input_url": "gs://shop-inputs/", "results_url": "gs://shop-results/results"}
    outputs["settings"] = {name: value for name, value in variables.items() if name != "source_zip"}
    path.write_text(json.dumps({"variables": variables, "outputs": outputs, "resources": resources(variables)}))
    print("google_storage_bucket.registry: Creation complete after 2s [id=shop-registry]")
    print(f"Apply complete! Resources: {0 if same else 7} added, 0 changed, 0 destroyed.")
elif command == "show":
    print("Warning: a line of the kind that Terraform writes before all else")
    if os.environ.get("TF_LOG") == "JSON":
        print(json.dumps({"@level": "info", "@message": "Terraform version: 1.14.0"}))
    if os.environ.get("TERRAFORM_IS_SILENT"):
        raise SystemExit(0)
    if options[-1].endswith("plan"):
        print(pathlib.Path(options[-1]).read_text())
    else:
        outputs = {key: {"value": value} for key, value in state.get("outputs", {}).items()}
        values = {"outputs": outputs, "root_module": {"resources": state.get("resources", [])}}
        print(json.dumps({"format_version": "1.0", **({"values": values} if state else {})}))
elif command == "destroy":
    assert pathlib.Path(variables["source_zip"]).exists()
    kept = [each for each in state["resources"] if each["address"] == "google_storage_bucket.registry"]
    path.write_text(json.dumps({"resources": kept, "outputs": {}}))
    if kept:
        print("│ Error: Error trying to delete bucket shop-registry without `force_destroy` set to true")
        raise SystemExit(1)
'''
"""What the real command does as far as a deployment sees it; Google's provider is not there to run it."""

GCLOUD = r"""
import sys
print("WARNING: This command is using service account impersonation.")
print("a-token" if "print-identity-token" in sys.argv else "access", flush=True)
print("Updates are available for some Google Cloud CLI components.", file=sys.stderr)
"""
