"""An ONNX model behind a cloud function: this package is everything that is deployed.

The layers, lowest first. A module imports from its own line and from the lines above it, never from a line below.

    errors      what a function answers when it cannot answer
    record      classes whose annotations are their fields, without dataclasses
    notices     warnings and errors for the operator, through `logging`
    limits      every bound on a request or an event, with its reason; the time and the memory that it may take
    contract    the documents that publishing and functions share: manifests, aliases, tensors, API keys
    session     ONNX Runtime: the engine through its C API, and the engine in Python
    http        a request and a response, and the encodings of their bodies
    media       bytes to pixels, arrays and text; knows no model
    tasks       a person's rows in, answers out: the module of each task
    storage     object stores: reading, writing, credentials, and the disk cache
    access      who may ask: API keys and quotas
    settings    every environment variable, read once
    registry    a name with an alias or a version to a manifest and its verified artifacts
    models      loaded versions: the cache, live updates and batches
    observe     what an operator sees: log, metrics, statistics and captured samples
    protocols   the documents of each protocol: payloads, V1, V2, Triton and generation
    explain     which pixels, values or words decided an answer
    service     one function's parts, each made when it is first needed
    web         an HTTP request to its response: routes, endpoints and the page
    events      objects and messages in, result objects out
    clouds      translators: each cloud's requests and events in and out
"""

__version__ = "0.1.0"
