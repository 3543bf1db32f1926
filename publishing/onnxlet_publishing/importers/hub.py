"""The Hugging Face Hub: `hf:ORG/NAME[@REVISION]` becomes a folder with only the files that publishing needs.

`huggingface_hub` decides about the endpoint (`HF_ENDPOINT`), tokens, the cache and the offline mode.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from onnxlet_publishing.errors import AccountError, MachineError, UsageError
from onnxlet_publishing.importers.hugging_face.folder import DESCRIPTIONS, choose_file

PREFIX = "hf:"


@dataclass(frozen=True)
class Download:
    """The files of a repository that were downloaded, or were in the cache already."""

    repository: str
    commit: str
    folder: Path
    file: str
    """The path of the ONNX file in the folder."""
    others: int
    """The number of other ONNX files in the repository, if the user does not name one."""

    @property
    def origin(self) -> str:
        """The repository, the commit and the file, for a version's provenance."""
        return f"{PREFIX}{self.repository}@{self.commit}/{self.file}"


def download(reference: str, file: str | None, endpoint: str | None = None, cache: Path | None = None) -> Download:
    """Download the ONNX file of a repository and the files that describe it.

    Args:
        reference: `hf:ORG/NAME`, perhaps with `@` and a branch, a tag or a commit.
        file: The path of the ONNX file in the repository; None for the usual one.
        endpoint: The URL of the hub; None for the one of `huggingface_hub`.
        cache: The folder for the files; None for the one of `huggingface_hub`.

    Raises:
        UsageError: There is no such repository, revision or file, or no ONNX file.
        AccountError: The repository is for those whom its owner gives access.
        MachineError: The hub cannot be reached, and the files are not in the cache.
    """
    from huggingface_hub import HfApi, errors, utils  # half a second, which only this command needs

    if not sys.stderr.isatty():
        utils.disable_progress_bars()  # type: ignore[attr-defined]
    repository, _, revision = reference.removeprefix(PREFIX).partition("@")
    snapshot = Snapshot(repository, endpoint, cache)
    with _translated_errors(reference):
        try:
            info = HfApi(endpoint=endpoint).model_info(repository, revision=revision or None)
        except errors.HfHubHTTPError:
            raise
        except _unreachable() as error:  # also huggingface_hub's offline mode
            return snapshot.cached(revision or None, file, reference, error)
        names = [sibling.rfilename for sibling in info.siblings or ()]
        chosen = choose_file(names, file, f"{PREFIX}{repository}")
        others = 0 if file else sum(name.endswith(".onnx") for name in names) - 1
        return snapshot.fetched(revision or None, chosen, others)


@dataclass(frozen=True)
class Snapshot:
    """The files of a repository in the cache."""

    repository: str
    endpoint: str | None
    cache: Path | None

    def fetched(self, revision: str | None, file: str, others: int) -> Download:
        """Download what the cache lacks of a revision; the cache then knows its commit for the offline mode."""
        from huggingface_hub import snapshot_download

        # Weights that are too large for one file lie next to it: model.onnx_data or model.onnx.data.
        patterns = [*DESCRIPTIONS, file, f"{file}?data*"]
        folder = Path(
            snapshot_download(
                self.repository,
                revision=revision,
                allow_patterns=patterns,
                endpoint=self.endpoint,
                cache_dir=self.cache,
            )
        )
        return Download(self.repository, folder.name, folder, file, others)

    def cached(self, revision: str | None, file: str | None, reference: str, reason: Exception) -> Download:
        """Return what the cache has of a revision.

        Raises:
            MachineError: The cache does not have the revision.
        """
        from huggingface_hub import errors, snapshot_download

        try:
            folder = Path(
                snapshot_download(
                    self.repository,
                    revision=revision,
                    allow_patterns=[],  # newer versions refuse a snapshot that lacks one of these
                    cache_dir=self.cache,
                    local_files_only=True,
                )
            )
        except errors.LocalEntryNotFoundError:
            raise MachineError(
                f"{reference}: the hub cannot be reached, and the files are not in the cache: check the network, "
                f"HF_ENDPOINT and HF_HUB_OFFLINE ({type(reason).__name__})"
            ) from reason
        names = [path.relative_to(folder).as_posix() for path in folder.rglob("*.onnx")]
        chosen = choose_file(names, file, f"{PREFIX}{self.repository}")
        return Download(self.repository, folder.name, folder, chosen, 0 if file else len(names) - 1)


@contextmanager
def _translated_errors(reference: str) -> Iterator[None]:
    """Raise errors that say what to do instead of those of `huggingface_hub`."""
    from huggingface_hub import errors

    repository, _, revision = reference.removeprefix(PREFIX).partition("@")
    try:
        yield
    except errors.GatedRepoError as error:
        raise AccountError(
            f"{reference}: expected a repository to which you have access: ask for it on the page of {repository}, "
            "then sign in with `hf auth login` or HF_TOKEN"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise UsageError(f"{reference}: expected a branch, a tag or a commit, got {revision!r}") from error
    except errors.RepositoryNotFoundError as error:
        raise UsageError(
            f"{reference}: the hub has no such repository, or it is private: check the name, or sign in with "
            "`hf auth login` or HF_TOKEN"
        ) from error
    except errors.HFValidationError as error:
        raise UsageError(f"{reference}: expected hf:ORG/NAME or hf:ORG/NAME@REVISION, got {error}") from error
    except _unreachable() as error:
        raise MachineError(f"{reference}: the hub does not give the files: {error}") from error


def _unreachable() -> tuple[type[Exception], ...]:
    """Return the errors of a hub that does not answer: each `huggingface_hub` imports those of its HTTP library."""
    from huggingface_hub import errors

    return (OSError, getattr(errors, "HTTPError", OSError))
