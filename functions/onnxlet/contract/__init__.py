"""The contract: the one place where training and functions meet.

A registry is a root URL in object storage and holds four kinds of objects:

    blobs/sha256/<hex>                  immutable bytes, named by their SHA-256, written once
    models/<name>/versions/<n>.json     the manifest of version n (1, 2, 3 ...), written once
    models/<name>/aliases/<alias>.json  a movable name for a version, replaced by compare-and-swap
    access/keys.json                    the API keys, as hashes, replaced by compare-and-swap

Rules that every reader and writer keeps:

1.  A name (of a model or an alias) is `[a-z0-9][a-z0-9._-]{0,62}`; an alias is not all digits.
2.  Documents are UTF-8 JSON objects with a `schema` number. A reader refuses a number that it does not know and
    ignores a field that it does not know; a change that readers must not ignore raises the number.
3.  A writer puts the blobs first, then the manifest (only if absent), then the alias (only if unchanged). What an alias
    names is therefore always complete.
4.  An alias holds the whole manifest of its version, so that one GET resolves it, and its last 100 moves, with what a
    rollback needs of those before.
5.  Bytes are checked against the manifest's SHA-256 and size before ONNX Runtime sees them: those of the whole, or of
    each of its parts.
6.  Manifests, aliases and the keys' document hold the SHA-256 of their own content (`digest`): a wrong bit would become
    a wrong answer or more rights, or be written back by who moves an alias. The digest, and what a signature signs, is
    of the form that RFC 8785 gives the content: schema 2, which must have a digest. Of schema 1, which need not have
    one, it is of what orjson writes with sorted keys. An unknown field of the keys' document is refused: it may be a
    bound.
7.  A version may have a graph in several forms. Whoever cannot load one takes another: the portable `onnx` is always
    there, an `ort` is for one version of ONNX Runtime, with `cpu` for one class of CPUs and only after it gave the
    golden answer. A golden example has at most 1 MiB, so that a large one is reduced; `golden` says how.
8.  A version may be signed. What is signed is the manifest's whole JSON object but for the signature, so whoever copies
    a manifest into an alias copies all of it. A function that knows public keys loads only what one of them signed.
9.  No document grows without a bound, and a writer reads what it is about to write: what no reader takes is not
    written.
10. `crashes` is a list of what the publish gate found to end a process, or to run without end: `operator` (its name in
    ONNX), `node` (the node's name, or null) and `found` (what happened on which inputs). It is absent where nothing was
    found. A function does not run such a version before a request does.

`blob` and `artifact` say what the bytes are and who may load them, `expectation` which of them a function may ask for
early, `golden` what a version must answer, `reference` how it was asked and answered where it was evaluated, `tensors`
what a tensor is, `manifest`, `alias` and `access` what the documents hold, `signature` by whom a version was published,
`layout` where they lie.
"""
