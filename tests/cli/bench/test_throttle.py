import socket
import threading
import time

from onnxlet_cli.bench.objects import StoredObject
from onnxlet_cli.bench.throttle import Throttle


def received(throttle: Throttle, data: bytes) -> tuple[bytes, float]:
    """What comes over a socket, and the seconds from the request to its last byte."""
    file = StoredObject.keep(data, {}).file
    sender, receiver = socket.socketpair()
    asked_s = time.perf_counter()

    def send() -> None:
        throttle.send(sender, file.fileno(), 0, len(data), throttle.wait_first(asked_s))
        sender.close()

    thread = threading.Thread(target=send)
    thread.start()
    with receiver, receiver.makefile("rb") as stream:
        found = stream.read()
    seconds = time.perf_counter() - asked_s
    thread.join()
    return found, seconds


def test_no_byte_comes_before_its_time() -> None:
    data = bytes(1_000_000)
    found, seconds = received(Throttle(bandwidth=10e6, first_byte_s=0.05), data)
    assert found == data
    assert seconds >= 0.15


def test_a_small_answer_waits_for_its_first_byte() -> None:
    assert received(Throttle(first_byte_s=0.03), b"x")[1] >= 0.03


def test_it_says_how_fast_it_is() -> None:
    assert str(Throttle()) == "at 85 MB/s a connection, 20 ms to the first byte"
    assert str(Throttle(None, 0.0)) == "without a throttle"
