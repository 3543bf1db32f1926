"""Requests that are small and ask for much: time or memory, which they must not get.

As a script it sends each of them in this process, and prints what that took:

    python -m tests.hostile.bombs
"""

import gzip
import io
import json
import struct
import sys
import tempfile
import time
import zlib
from pathlib import Path

from PIL import Image

from onnxlet.http import Request
from tests.helpers import graphs

MIB = 2**20
NPY_ROWS = 1_000_000


def chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *between: bytes) -> bytes:
    """A PNG that says that it is so large, with chunks before its few pixels."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(between) + data + chunk(b"IEND", b"")


def texts(kind: bytes, head: bytes) -> bytes:
    """A PNG whose texts inflate to 63 MiB."""
    text = zlib.compress(bytes(MIB - 10), 9)
    return png(10, 10, *(chunk(kind, b"k%d" % number + head + text) for number in range(63)))


def webp() -> bytes:
    """A WebP that says that it has 16 million by 256 pixels."""
    return b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + b"\x02\0\0\0\xff\xff\xff\xff\0\0"


def jpeg() -> bytes:
    """A JPEG with a thousand scans, each of which goes over the whole image."""
    file = io.BytesIO()
    Image.new("RGB", (1000, 1000)).save(file, "JPEG", progressive=True)
    data = file.getvalue()
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * 1000 + b"\xff\xd9"


def npy(rows: int) -> bytes:
    """So many images of one pixel, each of which becomes as large as the model takes it."""
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({rows}, 1, 1, 1), }}".ljust(117).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(rows)


def numbers(item: bytes, count: int) -> bytes:
    """A JSON body with so many of an item."""
    return b'{"instances":[' + item * count + b"1]}"


def v2_texts() -> Request:
    size_bytes = 24 * MIB
    tensor = {"name": "x", "datatype": "BYTES", "shape": [size_bytes // 4]}
    header = json.dumps({"inputs": [{**tensor, "parameters": {"binary_data_size": size_bytes}}]}).encode()
    headers = {"inference-header-content-length": str(len(header))}
    return Request("POST", "/v2/models/texts/infer", header + bytes(size_bytes), headers)


def predict(body: bytes, media_type: str, **headers: str) -> Request:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request("POST", "/predict/digits", body, {"content-type": media_type, **names})


def pixel_and_decompression_bombs() -> dict[str, Request]:
    """What must be refused, or answered without what it says beside a picture, in 50 ms and with 50 MB."""
    small = io.BytesIO()
    Image.new("L", (1, 1)).save(small, "PNG")
    return {
        "gzip": predict(gzip.compress(bytes(100 * MIB)), "application/json", content_encoding="gzip"),
        "gzip of gzip": predict(gzip.compress(gzip.compress(bytes(100 * MIB))), "image/png", content_encoding="gzip"),
        "deflate": predict(zlib.compress(bytes(100 * MIB)), "application/json", content_encoding="deflate"),
        "png 400 MP": predict(png(20_000, 20_000), "image/png"),
        "png 60 MP": predict(png(10_000, 6_000), "image/png"),
        "png 2**62": predict(png(2**31 - 1, 2**31 - 1), "image/png"),
        "png zTXt": predict(texts(b"zTXt", b"\0\0"), "image/png"),
        "png iTXt": predict(texts(b"iTXt", b"\0\1\0\0\0"), "image/png"),
        "png iCCP": predict(png(9, 9, chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(100 * MIB)))), "image/png"),
        "png 2M chunks": predict(png(10, 10, chunk(b"abcd", b"") * 2_000_000), "image/png"),
        "webp": predict(webp(), "image/webp"),
        "jpeg 1,010 scans": predict(jpeg(), "image/jpeg"),
        "npy 1M images": predict(npy(NPY_ROWS), "application/x-npy"),
        "multipart 100,000 parts": predict(b"--b\r\n\r\nx\r\n" * 100_000, "multipart/form-data; boundary=b"),
        "multipart type": predict(b"--b\r\n\r\nx\r\n--b--", "multipart/form-data" + "; a=b" * 20_000),
        "multipart header": predict(b"--b\r\n" + b"A: b\r\n" * 500_000 + b"\r\nx\r\n--b--", "multipart/a; boundary=b"),
    }


def object_bombs() -> dict[str, Request]:
    """What becomes many objects of Python where it is not refused: by its size alone, and not as fast."""
    bombs = {
        "[[[[": b"[" * 32 * MIB,
        "0.5": numbers(b"0.5,", 8_000_000),
        "[]": numbers(b"[],", 10_000_000),
        "{}": numbers(b"{},", 10_000_000),
        '{"":1}': numbers(b'{"":1},', 4_000_000),
        '"a"': numbers(b'"a",', 8_000_000),
    }
    return {name: predict(body, "application/json") for name, body in bombs.items()} | {"BYTES": v2_texts()}


def measure() -> dict[str, tuple[int, float, float]]:
    """The status of each, with the CPU time in ms and the memory in MB that it took beyond what was there."""
    from tests.hostile.requests import SEEDS, serve

    found = {}
    with tempfile.TemporaryDirectory() as folder:
        app = serve(Path(folder).as_uri())
        for seed in SEEDS:
            app.handle(seed())
        for name, request in (pixel_and_decompression_bombs() | object_bombs()).items():
            Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew; proc(5)
            before_kib, started_s = peak_kib(), time.process_time()
            status = app.handle(request).status
            milliseconds = (time.process_time() - started_s) * 1000
            found[name] = (status, milliseconds, (peak_kib() - before_kib) / 1024)
    return found


def peak_kib() -> int:
    """The most that this process has had in memory; `ru_maxrss` would count what the process before its exec had."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


assert graphs.SIDE_PIXELS**2 * 4 * NPY_ROWS > 256 * MIB, "they become too much"

if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure()))
