"""The storm: very many objects, each of whose events comes several times at once, while the store fails."""

import json
import logging
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import obstore

from onnxlet.registry.registry import Registry
from onnxlet.service import Service
from onnxlet.settings import Settings
from onnxlet.storage import open_store
from onnxlet_publishing.publish import store_all
from tests.faults import models
from tests.faults.deliveries import NewObject, Queue, work_off
from tests.faults.front import Front, World
from tests.faults.laws import INPUTS, REGISTRY, RESULTS, STEADY, Evidence, every_object_has_one_outcome
from tests.faults.plan import LATE, TRICKLE, Chance
from tests.faults.run import BUCKET, serving_fronts

COPIES = 3
POISON_EVERY = 100
FAULT_RATE, BURST_RATE = 0.055, 0.004
"""Of the store's answers, of which some are only late: a good 5 % are errors. A burst outlasts all retries."""
FUNCTIONS = 8
"""At once, each with its own connections."""


@dataclass(frozen=True)
class Storm:
    """What came of a storm."""

    objects: int
    results: int
    errors: int
    deliveries: int
    laid_aside: int
    """Messages that failed as often as the queue delivers them, and were delivered once more in the end."""
    requests: int
    faults: Counter[str]
    seconds: float
    violations: list[str]

    @property
    def error_rate(self) -> float:
        """The part of the requests that were answered wrongly, and not only late."""
        return sum(count for kind, count in self.faults.items() if kind not in {LATE, TRICKLE}) / self.requests


def storm(front: Front, scheme: str, objects: int, seed: int) -> Storm:
    """Answer so many objects, each of them `COPIES` times."""
    started_s = time.monotonic()
    world = World(scheme, BUCKET, f"storms/{seed}")
    store = open_store(world.url, front.connect(world, "truth")[1])
    for key in list(store.keys("")):  # of an earlier storm with this seed
        obstore.delete(store.backend, key)
    evidence = Evidence(world, store)
    store_all(
        Registry(open_store(f"{world.url}/{REGISTRY}", front.connect(world, "truth")[1])), [models.passed(STEADY, 0)]
    )
    good = json.dumps({"instances": [models.INPUT]}).encode()
    for index in range(objects):
        is_good = index % POISON_EVERY != POISON_EVERY // 2
        store.put_if_absent(f"{INPUTS}/{index}.json", good if is_good else b"poison")
        evidence.objects[NewObject(scheme, BUCKET, f"{world.root}/{INPUTS}/{index}.json")] = is_good
    queue = evidence.queue = Queue.of(list(evidence.objects), COPIES, seed)
    messages, world.requests = list(queue.waiting), 0

    def function(number: int) -> None:
        storage = front.connect(world, f"function {number}", Chance(seed, FAULT_RATE, BURST_RATE))[1]
        settings = Settings(f"{world.url}/{REGISTRY}", STEADY, f"{world.url}/{RESULTS}", storage=storage)
        work_off(queue, Service(settings))

    with ThreadPoolExecutor(FUNCTIONS) as pool:
        list(pool.map(function, range(FUNCTIONS)))
    laid_aside, requests = len(queue.dead), world.requests
    world.is_calm = True
    queue.waiting, queue.dead = queue.dead, []
    function(FUNCTIONS)
    found = [*every_object_has_one_outcome(evidence)]
    documents = [json.loads(write.body) for write in world.bodies(f"{RESULTS}/")]
    if len(list(store.keys(RESULTS))) != len(documents):
        found.append(f"{len(documents)} results were written, and others are there")
    errors = sum("error" in document for document in documents)
    return Storm(
        objects,
        len(documents) - errors,
        errors,
        sum(message.receives for message in messages),
        laid_aside,
        requests,
        world.faults,
        time.monotonic() - started_s,
        found,
    )


def run_storm(objects: int, seed: int) -> Storm:
    """Run a storm on S3, in a process that has its own store."""
    logging.disable(logging.CRITICAL)
    with serving_fronts() as fronts:
        return storm(fronts["s3"], "s3", objects, seed)
