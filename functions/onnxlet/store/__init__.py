"""Bytes in and out of object storage: one face for s3://, gs://, file:// and memory://.

Source: obstore (https://developmentseed.org/obstore), whose errors become ours in `store.errors` and nowhere else.
"""

from onnxlet.places import SCHEMES
from onnxlet.store.objects import CHUNK_BYTES, LARGE_BYTES, STALL_S, Revision, Store, Stored
from onnxlet.store.opening import open_store, s3_url

__all__ = ["CHUNK_BYTES", "LARGE_BYTES", "SCHEMES", "STALL_S", "Revision", "Store", "Stored", "open_store", "s3_url"]
