from pathlib import Path

import pytest

from onnxlet.contract.manifest import Manifest
from onnxlet.errors import UntrustedModelError
from onnxlet.models.trust import require_trust
from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet_publishing.publish import publish
from tests.helpers import graphs, keys


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return publish(Registry(open_store(tmp_path.as_uri())), graphs.candidate("sums", graphs.sums()))


def test_without_trusted_keys_every_version_is_accepted(manifest: Manifest) -> None:
    require_trust(manifest, ())


def test_with_trusted_keys_only_a_version_signed_by_one_of_them_is(manifest: Manifest, tmp_path: Path) -> None:
    trusted = [keys.public_key(1), keys.public_key(2)]
    require_trust(keys.sign(tmp_path, 2)(manifest), trusted)
    with pytest.raises(UntrustedModelError, match="got none"):
        require_trust(manifest, trusted)
    with pytest.raises(UntrustedModelError, match="got one by"):
        require_trust(keys.sign(tmp_path, 3)(manifest), trusted)
