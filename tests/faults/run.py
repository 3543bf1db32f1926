"""One run: publishers, an operator, readers, clients and a queue of events at one registry, while the store fails."""

import contextlib
import hashlib
import json
import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import boto3
import obstore
from moto.server import ThreadedMotoServer

from onnxlet.contract import layout
from onnxlet.contract.alias import CANARY, PROMOTE, PUBLISH, ROLLBACK
from onnxlet.contract.manifest import Manifest
from onnxlet.errors import OnnxletError
from onnxlet.http import Request
from onnxlet.registry.registry import Registry
from onnxlet.service import Service
from onnxlet.settings import Settings
from onnxlet.storage import Store, open_store
from onnxlet.storage.connection import StorageSettings
from onnxlet.web.app import App
from onnxlet_publishing.publish import store_all
from tests.faults import models
from tests.faults.deliveries import NewObject, Queue, work_off, write_nothing
from tests.faults.front import Client, Front, World, serving_front
from tests.faults.laws import INPUTS, NAME, REGISTRY, RESULTS, STEADY, Acknowledged, Answer, Evidence, violations
from tests.faults.plan import Asked, Chance, Plan, calm
from tests.helpers.fake_gcs import FakeGcs

BUCKET = "onnxlet-faults"
SCHEMES = ("s3", "gs")

AT_ONCE = 4
"""Runs in one process: each waits for the store, or before it asks again, most of its time."""

RATES = (0.05, 0.15, 0.3)
"""Of requests that meet a fault: a seed has one of them."""
BURST_RATE = 0.03
PATIENCE = 8
"""How often a publisher tries to publish one thing."""
LOOKS_S = 0.02
"""Between two requests of a client."""
OBJECTS, COPIES, BATCH = 6, 2, 3
SETTLES_S = 20
"""For a function to follow when the store is well again; the longest wait that a run can have brought about is 8 s."""

REQUEST = Request(
    "POST",
    f"/v2/models/{NAME}/infer",
    json.dumps(
        {"inputs": [{"name": "x", "shape": [1, models.WIDTH], "datatype": "FP32", "data": models.INPUT}]}
    ).encode(),
)


@dataclass(frozen=True)
class Outcome:
    """What came of one run."""

    scheme: str
    seed: int
    requests: int
    faults: Counter[str]
    acknowledged: int
    answers: int
    met: frozenset[tuple[Asked, str]]
    violations: list[str]


@dataclass
class Run:
    """The parts of one run."""

    front: Front
    world: World
    plan: Plan
    chance: random.Random
    evidence: Evidence
    clients: list[Client] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    """What was raised that nobody expects."""
    is_warm: threading.Event = field(default_factory=threading.Event)
    is_over: threading.Event = field(default_factory=threading.Event)

    def storage(self, name: str, plan: Plan | None = None) -> StorageSettings:
        client, storage = self.front.connect(self.world, name, plan or self.plan)
        self.clients.append(client)
        return storage

    def registry(self, name: str, plan: Plan | None = None) -> Registry:
        return Registry(open_store(f"{self.world.url}/{REGISTRY}", self.storage(name, plan)))

    def settings(self, name: str, model: str) -> Settings:
        url = self.world.url
        results = f"{url}/{RESULTS}"
        return Settings(f"{url}/{REGISTRY}", model, results, refresh_s=0, storage=self.storage(name))

    # ------------------------------------------------------------------ writers

    def move(self, action: str, call: Callable[[], Manifest], tries: int = 1) -> Manifest | None:
        """Change `live`, perhaps again and again, until it is acknowledged."""
        evidence = self.evidence
        before = len(evidence.history())
        for _ in range(tries):
            evidence.attempts[PUBLISH if action == PROMOTE else action] += 1
            with contextlib.suppress(OnnxletError):
                version = call().version
                after = len(evidence.history())
                evidence.acknowledged.append(Acknowledged(action, version, before, after))
                return evidence.manifests()[version]
        return None

    def publish(self, registry: Registry, number: int, alias: str | None = layout.LIVE) -> Manifest | None:
        """Publish as training does: the same publication, however often it is tried."""
        passed = models.passed(NAME, number)
        if alias is not None:
            return self.move(PUBLISH, lambda: store_all(registry, [passed], alias)[0], PATIENCE)
        for _ in range(PATIENCE):
            with contextlib.suppress(OnnxletError):
                return store_all(registry, [passed], None)[0]
        return None

    def publisher(self) -> None:
        registry = self.registry("publisher")
        for number in (2, 3):
            self.publish(registry, number)

    def stager(self) -> None:
        """Stages a version, lets it answer a part, and promotes it."""
        registry = self.registry("stager")
        manifest = self.publish(registry, 4, alias=None)
        if manifest is not None:
            self.move(CANARY, lambda: registry.share(NAME, manifest.version, CANARY, 0.5))
            self.move(PROMOTE, lambda: registry.promote(NAME, manifest.version))

    def operator(self) -> None:
        registry = self.registry("operator")
        self.move(PROMOTE, lambda: registry.promote(NAME, 1))
        self.move(ROLLBACK, lambda: registry.rollback(NAME))
        self.move(ROLLBACK, lambda: registry.rollback(NAME))

    # ------------------------------------------------------------------ readers

    def reader(self) -> None:
        """Resolves, and reads all artifacts."""
        registry = self.registry("reader")
        for _ in range(3):
            with contextlib.suppress(OnnxletError):
                manifest = registry.resolve(NAME)
                self.evidence.resolved.append(manifest)
                for artifact in manifest.artifacts:
                    if hashlib.sha256(registry.artifacts.read(artifact)).hexdigest() != artifact.sha256:
                        self.evidence.wrong_bytes.append(artifact.sha256)

    def first_client(self, app: App) -> None:
        """Asks a function that has yet to load its model; once that is done, all answers count."""
        try:
            while not self.is_over.is_set() and (answer := ask(app)).status != 200:
                assert answer.status >= 500, answer
        finally:
            self.is_warm.set()
        self.client("first client", app)

    def client(self, name: str, app: App) -> None:
        self.is_warm.wait()
        while not self.is_over.is_set():
            self.evidence.answers[name].append(ask(app))
            time.sleep(LOOKS_S)

    # ------------------------------------------------------------------ events

    def put_objects(self, store: Store) -> Queue:
        """Objects, of which one can never be answered, and the queue with their messages."""
        good = json.dumps({"instances": [models.INPUT]}).encode()
        poison = self.chance.randrange(OBJECTS)
        for index in range(OBJECTS):
            key = f"{INPUTS}/{index}.json"
            store.put_if_absent(key, b"poison" if index == poison else good)
            version = store.read(key).revision.version
            item = NewObject(self.world.scheme, BUCKET, f"{self.world.root}/{key}", version)
            self.evidence.objects[item] = index != poison
        return Queue.of(list(self.evidence.objects), COPIES, self.chance.randrange(2**32))

    def finish(self, app: App, service: Service, queue: Queue) -> None:
        """With a store that is well again: what was laid aside is delivered, and functions follow."""
        self.world.is_calm = True
        for delivery in queue.dead:
            delivery.receives = 0
        queue.waiting, queue.dead = queue.dead, []
        work_off(queue, service, BATCH)
        deadline_s = time.monotonic() + SETTLES_S
        named = self.evidence.states()[-1]
        wanted = {named.manifest.version, *([named.canary.manifest.version] if named.canary else [])}
        self.evidence.last = ask(app)
        while self.evidence.last.version not in wanted and time.monotonic() < deadline_s:
            time.sleep(LOOKS_S)
            self.evidence.last = ask(app)
        self.evidence.first = ask(App(self.settings("new function", NAME), write_nothing))


def ask(app: App) -> Answer:
    response = app.handle(REQUEST)
    document = json.loads(response.body)
    if response.status != 200:
        return Answer(response.status, 0, [])
    return Answer(200, int(document["model_version"]), document["outputs"][0]["data"])


def run(front: Front, scheme: str, seed: int) -> Outcome:
    """Run once; what happens to a request depends on the seed and on nothing else."""
    this = run_with(front, scheme, seed, Chance(seed, random.Random(seed).choice(RATES), BURST_RATE))
    return Outcome(
        scheme,
        seed,
        this.world.requests,
        this.world.faults,
        len(this.evidence.acknowledged),
        sum(map(len, this.evidence.answers.values())),
        frozenset(met for client in this.clients for met in client.met),
        [*this.failures, *violations(this.evidence)],
    )


def run_with(front: Front, scheme: str, seed: int, plan: Plan) -> Run:
    """Run once by a plan, and leave what was seen."""
    world = World(scheme, BUCKET, f"runs/{seed}")
    store = open_store(world.url, front.connect(world, "truth")[1])
    for key in list(store.keys("")):  # of an earlier run with this seed
        obstore.delete(store.backend, key)
    this = Run(front, world, plan, random.Random(seed), Evidence(world, store))
    truth = this.registry("truth", calm)
    store_all(truth, [models.passed(STEADY, 0)])
    this.publish(truth, 1)
    queue = this.evidence.queue = this.put_objects(store)
    app = App(this.settings("function", NAME), write_nothing)
    service = Service(this.settings("events", STEADY))
    with ThreadPoolExecutor(8) as pool:
        clients = [pool.submit(this.first_client, app), pool.submit(this.client, "second client", app)]
        writers = [pool.submit(step) for step in (this.publisher, this.stager, this.operator, this.reader)]
        writers.append(pool.submit(work_off, queue, service, BATCH))
        this.failures += [repr(error) for writer in writers if (error := writer.exception())]
        this.is_over.set()
        this.failures += [repr(error) for client in clients if (error := client.exception())]
    this.finish(app, service, queue)
    return this


@contextlib.contextmanager
def serving_fronts() -> Iterator[dict[str, Front]]:
    """A front before an S3 and one before a Cloud Storage, by their schemes."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    s3 = f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    boto3.client("s3", endpoint_url=s3, region_name="us-east-1").create_bucket(Bucket=BUCKET)
    with FakeGcs(BUCKET).serving() as gs, serving_front(s3) as before_s3, serving_front(gs) as before_gs:
        yield {"s3": before_s3, "gs": before_gs}
    server.stop()


def run_seeds(scheme: str, seeds: Sequence[int]) -> list[Outcome]:
    """Run with each seed, in a process that has its own stores."""
    logging.disable(logging.CRITICAL)  # the log is full of what goes wrong on purpose
    with serving_fronts() as fronts, ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = list(pool.map(lambda seed: run(fronts[scheme], scheme, seed), seeds))
    return [replace(outcome, met=frozenset()) for outcome in outcomes]
