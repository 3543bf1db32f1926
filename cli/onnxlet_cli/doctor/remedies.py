"""The errors of stores and functions as findings: what a refusal means, and what to do about it."""

from onnxlet.errors import BucketNotFoundError, CredentialsError, InvalidNameError, OnnxletError
from onnxlet_cli.doctor.clock import REMEDY as SET_CLOCK
from onnxlet_cli.doctor.finding import Finding, error
from onnxlet_publishing.errors import AccountError, CommandError

BAD_CREDENTIALS = (
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "InvalidToken",
    "TokenRefreshRequired",
)
SKEWED = "RequestTimeTooSkewed"
"""The code of S3 for a wrong clock; it and the ones above come with the status 403 (S3 API, "Error responses")."""

REFUSED = ("status code: 401", "status code: 403")
"""The texts of obstore for refused listings, for which it has no error class."""

LOG_IN = "run `aws configure` or `aws sso login` (`gcloud auth application-default login`), or set AWS_PROFILE"

RIGHTS = {
    "list": "s3:ListBucket on the bucket (storage.objects.list)",
    "write": "s3:PutObject under the registry's blobs/ (storage.objects.create)",
    "read": "s3:GetObject on the registry's objects (storage.objects.get)",
}

OF_FUNCTION = {
    "no_credentials": "let the function's role read the registry: s3:GetObject and s3:ListBucket under its prefix",
    "store_unavailable": "is ONNXLET_REGISTRY right, and reached by the function (in a VPC by an endpoint)?",
    "bucket_not_found": "correct ONNXLET_REGISTRY",
    "object_not_found": "onnxlet doctor REGISTRY says what is missing",
    "model_not_found": "publish the model into the function's registry, or correct ONNXLET_MODEL",
    "invalid_artifact": "onnxlet doctor REGISTRY says which artifact, and why",
    "missing_library": "deploy the functions again: onnxlet deploy packages what the model needs",
    "invalid_manifest": "deploy the functions again, or publish with their version of onnxlet",
    "invalid_settings": "correct the function's variables: docs/serving.md, Settings",
    "memory_bound": "give the function more memory, or raise ONNXLET_MEMORY_MIB",
}
"""The remedies by the code of the function's error."""

READ_LOG = "the function's log says why"


def of_store(problem: CommandError | OnnxletError, where: str, right: str) -> Finding:
    """Return what it means that a registry could not be opened, listed or read.

    The cause of the problem is the store's own error; the right is the permission that was needed, one of `RIGHTS`.
    """
    cause = f"{problem} {problem.__cause__}"
    code = next((code for code in BAD_CREDENTIALS if code in cause), None)
    if SKEWED in cause:
        return error(
            "clock_skew", where, f"the store refuses this machine's clock ({SKEWED})", "at most 15 minutes", SET_CLOCK
        )
    if code or "no credentials" in cause or "no AWS credentials" in cause:
        text = str(problem).removeprefix(f"{where}: ").partition("; run ")[0]  # without what the finding repeats
        found = f"credentials that are refused ({code})" if code else text
        return error("registry_credentials", where, found, "credentials that the store knows", LOG_IN)
    if isinstance(problem, AccountError | CredentialsError) or any(status in cause for status in REFUSED):
        remedy = f"give the user of this command {RIGHTS[right]}"
        found = f"the store denies permission to {right}"
        return error(f"registry_{right}_denied", where, found, f"permission to {right}", remedy)
    if isinstance(problem, BucketNotFoundError):
        remedy = "correct the URL, or make it with the first `onnxlet publish`"
        return error("registry_missing", where, "no such bucket or folder", "a registry", remedy)
    if isinstance(problem, InvalidNameError):
        expected = "s3://bucket/prefix, gs://bucket/prefix or a folder"
        return error("registry_url", where, str(problem), expected, "correct the URL")
    remedy = "is the endpoint right (AWS_ENDPOINT_URL, STORAGE_EMULATOR_HOST), and the network there?"
    return error("registry_unreachable", where, str(problem), "a store that answers", remedy)
