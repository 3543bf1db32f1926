"""Object storage: bytes in and out, by the same calls for s3://, gs://, file:// and memory://.

Source: obstore (https://developmentseed.org/obstore). `store.translation` alone turns its errors into onnxlet's.
"""

from onnxlet.storage.backends import open_store, s3_url
from onnxlet.storage.store import CHUNK_BYTES, LARGE_BYTES, STALL_S, Revision, Store, Stored
from onnxlet.storage.urls import SCHEMES

__all__ = ["CHUNK_BYTES", "LARGE_BYTES", "SCHEMES", "STALL_S", "Revision", "Store", "Stored", "open_store", "s3_url"]
