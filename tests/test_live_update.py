"""Models change under sixteen clients of a real runtime: nobody sees a failure, or a version that was never live."""

import http.client
import json
import threading
import time
from pathlib import Path

from cli.local.cloud_function import serve_cloud_function
from onnxlet.contract.alias import CANARY
from onnxlet.registry import Registry
from onnxlet.store import open_store
from tests import graphs
from tests.damage import damage
from tests.test_clouds import PNG, png
from training.publish import publish

CLIENTS = 16
CHANGES = 20
PAUSE_S = 0.15
"""Between two changes: some requests must see each."""


class Client(threading.Thread):
    """Asks until it is told to stop, over one connection."""

    def __init__(self, url: str, is_over: threading.Event) -> None:
        super().__init__()
        self.connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
        self.is_over = is_over
        self.versions: list[int] = []
        self.failures: list[bytes] = []

    def run(self) -> None:
        while not self.is_over.is_set():
            self.connection.request("POST", "/predict/digits", png(), PNG)
            reply = self.connection.getresponse()
            body = reply.read()
            if reply.status == 200:
                self.versions.append(json.loads(body)["version"])
            else:
                self.failures.append(body)
        self.connection.close()


def test_models_change_under_many_clients(tmp_path: Path) -> None:
    root = tmp_path / "registry"
    registry = Registry(open_store(root.as_uri(), create=True))
    was_live = {publish(registry, graphs.digits_candidate()).version}
    canaries = set()
    environment = {"ONNXLET_REGISTRY": root.as_uri(), "ONNXLET_MODEL": "digits", "ONNXLET_REFRESH_S": "0"}
    is_over = threading.Event()
    with (tmp_path / "log").open("wb") as log, serve_cloud_function("gcp_http", "http", environment, log=log) as url:
        clients = [Client(url, is_over) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        damaged = set()
        for change in range(CHANGES):
            time.sleep(PAUSE_S)
            if change % 5 == 1:
                canary = publish(registry, graphs.digits_candidate(change + 1), alias=None).version
                canaries.add(registry.share("digits", canary, CANARY, 0.5).version)
            elif change % 5 == 2:
                was_live.add(registry.promote("digits", max(canaries)).version)
            elif change % 5 == 3:
                damaged.add(publish_damaged(registry, root, seed=100 + change))
            elif change % 5 == 4:
                was_live.add(registry.rollback("digits").version)
            else:
                was_live.add(publish(registry, graphs.digits_candidate(change + 1)).version)
        time.sleep(PAUSE_S)
        is_over.set()
        for client in clients:
            client.join()
    seen = {version for client in clients for version in client.versions}
    assert [client.failures for client in clients] == [[]] * CLIENTS
    assert seen <= was_live | canaries
    assert seen & canaries
    assert seen.isdisjoint(damaged)
    assert len(seen) >= CHANGES / 4, "the clients must have seen many of the changes"


def publish_damaged(registry: Registry, root: Path, seed: int) -> int:
    """Make a version live whose bytes were damaged after they were published; returns its number."""
    manifest = publish(registry, graphs.digits_candidate(seed), alias=None)
    damage(root, manifest)
    return registry.promote("digits", manifest.version).version
