"""Contract: the documents that publishing writes and functions read.

A registry is a root URL in object storage and holds these kinds of objects:

    blobs/sha256/<hex>                  immutable bytes, named by their SHA-256, written once
    models/<name>/versions/<n>.json     the manifest of version n (1, 2, 3 ...), written once
    models/<name>/aliases/<alias>.json  a movable name for a version, replaced by compare-and-swap
    access/keys.json                    the API keys, as hashes, replaced by compare-and-swap

Every reader and writer keeps these rules:

1.  A name of a model or an alias is `[a-z0-9][a-z0-9._-]{0,62}`; an alias is not all digits.
2.  Documents are UTF-8 JSON objects with a `schema` number. A reader refuses an unknown number and ignores unknown
    fields; a change that readers must not ignore raises the number.
3.  A writer stores the blobs first, then the manifest (if absent), then the alias (if unchanged). So the version that
    an alias names is always complete.
4.  An alias holds the whole manifest of its version, so that one GET resolves it; its last 100 moves; and the versions
    before these moves that a rollback needs.
5.  Before ONNX Runtime sees bytes, they are compared with the SHA-256 and the size in the manifest: as a whole, or in
    parts that have a SHA-256 each.
6.  Manifests, aliases and the API keys hold the SHA-256 of their own content (`digest`), because a flipped bit could
    become a wrong answer or more rights, or be written back by the next move. In schema 2, which must have a digest,
    the hashed and signed bytes are the canonical form of RFC 8785. In schema 1, which need not have one, they are
    orjson's output with sorted keys. An unknown field in the API keys is refused, because it may be a limit.
7.  A version may have a graph in several forms. A reader that cannot load one takes another: the portable `onnx` always
    exists; an `ort` is for one version of ONNX Runtime and, with `cpu`, for one class of CPUs, which may use it only if
    it returns the golden outputs. A golden example has at most 1 MiB; `golden` says how a larger one is reduced.
8.  A version may be signed. The signature covers the manifest's whole JSON object except itself, so a writer that
    copies a manifest into an alias copies every field. A function with public keys loads only versions that one of them
    signed.
9.  No document grows without a bound. A writer reads each document before it writes it, so that every reader accepts
    it.
10. `crashes` lists what the publish gate found to end a process, or to run forever: `operator` (the ONNX operator),
    `node` (the node's name, or null) and `found` (what happened on which inputs). Without findings it is absent. A
    function runs a version with crashes only for a request.

`blob` and `artifact` describe bytes and the runtimes that may load them; `expectation` the blobs that a function may
fetch early; `golden` the outputs that a version must return; `training_statistics` its inputs and answers on held-out
data; `tensors` and `json_tensors` what a tensor is; `declarations` and `generation` how data become tensors and
answers; `manifest`, `alias` and `api_keys` the documents; `document` and `canonical_json` their form; `signature` who
published a version; and `layout` where each object is.
"""
