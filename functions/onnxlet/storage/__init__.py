"""Object storage: the same operations on s3://, gs://, file:// and memory://.

`failures` turns the errors of obstore (https://developmentseed.org/obstore) into those of `onnxlet.errors`.
"""

from onnxlet.storage.backends import open_store, s3_url
from onnxlet.storage.connection import STALL_S
from onnxlet.storage.reader import CHUNK_BYTES, Revision, Stored
from onnxlet.storage.store import LARGE_BYTES, Store
from onnxlet.storage.urls import SCHEMES

__all__ = ["CHUNK_BYTES", "LARGE_BYTES", "SCHEMES", "STALL_S", "Revision", "Store", "Stored", "open_store", "s3_url"]
