"""Limits: what a request or an event may ask of a function, each with its reason.

Each is enforced where it is read, before memory is spent on it. `contract/` holds those of the registry's documents and
of tensors of any origin (their size, rank, texts and values).
"""

MIB = 1024 * 1024

ANSWER_MARGIN_S = 0.5
"""Before the platform's end of a request or event: in it the answer is encoded and sent, be it only the 504."""

RESULTS_MARGIN_S = 5.0
"""Before that, for the results of events that are ready: at most a quarter of the time."""

MAX_BODY_BYTES = 32 * MIB
"""The larger of the two clouds' own limits: Cloud Run functions take 32 MiB, Lambda 6 MB."""

MAX_INFLATED_BYTES = 16 * MIB
"""Of a compressed body: what is inflated in 35 ms before it is known to be too large. Tensors gain little by it."""

MAX_CODINGS = 4
"""Content codings of one body, one over the other; who needs more than one is a chain of proxies."""

MAX_GZIP_MEMBERS = 1024
"""Of a gzip body: bgzip makes one for each 64 KiB, which are 257 for `MAX_INFLATED_BYTES`."""

MAX_ACCEPTED_CODINGS = 64
"""Of an `Accept-Encoding` that are read; browsers name four."""

MAX_JSON_VALUES = 4_000_000
"""Numbers and texts of a JSON body: a Python object of 32 bytes and more each. 27 pictures of 224 x 224 x 3 numbers."""

MAX_JSON_TEXTS = 1_000_000
"""Of them texts: 88 bytes and more each."""

MAX_JSON_LISTS = 1_000_000
"""Lists of a JSON body: 64 bytes and more each, and each is looked at by the garbage collector. A row of 3 is one."""

MAX_JSON_OBJECTS = 100_000
"""Objects of a JSON body: 250 bytes and more each. Ten for each instance."""

MIN_COUNTED_BYTES = MIB // 32
"""A JSON body of fewer bytes becomes 1.5 MiB of objects at most, whatever it holds."""

MAX_PIXELS = 50_000_000
"""The pixels of one image: a phone's largest. What they take in memory depends on the file: see `image_files`."""

MAX_SIDE_PIXELS = 65_535
"""The width or height of one image: the largest that a JPEG can state."""

MAX_REQUEST_PIXELS = 4 * MAX_PIXELS
"""The pixels of all images of one request or object: 34 bytes of WebP are as many as one image may have."""

MAX_CHUNKS = 16_384
"""Parts of an image file, each of which costs a step in Python: a file of 32 MiB in parts of 2 KiB."""

MAX_SCANS = 100
"""Of a JPEG: each goes over all of its pixels, and costs 10 bytes. Progressive ones have about ten."""

MAX_INSTANCES = 10_000
"""Of a JSON body, each a batch of its own until they are joined."""

MAX_ROWS = 100_000
"""Of an answer that is a list with an item for each row."""

MAX_PARTS = 256
"""Of a multipart body."""

MAX_PART_HEADER_BYTES = 4096
"""Of one of them; a browser's are about 150."""

MAX_DECODED_BYTES = 256 * MIB
"""Of the tensors that the images of a request become: an image of 70 bytes becomes as large as the model wants it."""

MAX_JOINED_BYTES = 64 * MIB
"""Of the inputs that run as one tensor: more gains nothing, and a network's layers multiply it."""

MAX_TENSORS = 256
"""Inputs, or outputs, of a request: as many as a manifest may declare."""

MAX_NAME_CHARACTERS = 1024
"""Of a tensor's name and of a request's id: as in a manifest."""

MAX_SIZES = 256
"""Of a shape: the product of many more has more digits than Python writes (`sys.set_int_max_str_digits`)."""

MAX_ELEMENTS = 2**31
"""Of one dimension: more cannot arrive in a body that either cloud takes."""

MAX_NPY_HEADER_BYTES = 10_000
"""As numpy's own reader: a longer header is slow to parse, and no array of numbers has one."""

MAX_TOP_K = 1000
"""Labels named for one row: as many as ImageNet has."""

MAX_LABELS = 200_000
"""Labels named in one answer, 250 bytes each while it is made."""

MAX_LENGTH = 4096
"""Tokens of a prompt, and of what is generated: each is a run of the model. The most of `ONNXLET_GENERATE_LENGTH`."""

MAX_IMAGES = 64
"""Generated at once: each is a run of the model, and a PNG."""

MAX_SEED = 2**53 - 1
"""The largest that every JSON reader keeps exactly."""

MAX_TEMPERATURE = 100.0
"""All tokens are as good as equally probable from there on."""

MAX_LISTED_DOCUMENTS = 100_000
"""Documents of a registry that one index goes through: a hundred pages of a store's listing."""

MAX_PATH_CHARACTERS = 1024
"""Of a request: the longest that leads somewhere has 200. Paths that did are remembered."""

REFERENCE_SCHEMES = ("s3://", "gs://")
"""Of what a request may reference: never a file of the function's own, nor another server."""

DEFAULT_CACHE_MIB = 256
"""Half of the disk that Lambda gives to a function by itself."""

MAX_EXPLAIN_RUNS = 10_000
"""Rows through the model, of one explanation; `ONNXLET_EXPLAIN_RUNS` goes no further."""

MIN_EXPLAIN_RUNS = 3
"""Rows through the model that an explanation needs: an image, and the same behind a mask and behind its opposite."""

DEFAULT_EXPLAIN_RUNS = 2000
"""Four times what an explanation takes where the request does not say: 10 s of a CPU for a small network."""

DEFAULT_GENERATE_LENGTH = 1024

MAX_EXPLAIN_NUMBERS = 10_000
"""Numbers of a row that is explained: each is an item of the answer, and needs a run of the model."""

RUNS_PER_REQUEST = 100
"""Runs of a model, of an explanation or a generation, that count as one more request of a key's quota."""

MAX_EXPLAIN_MS = 25_000
"""Of one explanation: API Gateway waits 29 s."""
