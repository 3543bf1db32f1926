// The functions behind this page: requests to them, and the time that these take.

export class AnswerError extends Error {
  constructor(text, code, status) {
    super(text);
    this.code = code;
    this.status = status;
  }
}

const KEY = "onnxlet-key-of-this-tab";

/** The functions' registry and its models. */
export const functions = {
  canAnswer: true,

  /** Returns the models' names, each with its versions in ascending order. */
  async catalogue() {
    const { document: index } = await ask("v2/repository/index", { method: "POST" });
    const found = new Map();
    for (const { name, version } of index) found.set(name, [...(found.get(name) ?? []), Number(version)]);
    return found;
  },

  /** Returns the manifest of "live" or of a version. */
  async manifest(name, version) {
    const { document: found } = await ask(`${pathOf(name, version)}/manifest`);
    return found;
  },

  /** Returns the version's example: { type, blob, parameters }, or null. */
  async example(manifest) {
    if (!manifest.artifacts.some(({ role }) => role === "example")) return null;
    const reply = await request(`v2/models/${manifest.model}/versions/${manifest.version}/example`, {});
    const blob = await reply.blob();
    return { type: blob.type, blob, parameters: JSON.parse(reply.headers.get("onnxlet-parameters") ?? "{}") };
  },

  /** Downloads one of a version's graphs. */
  artifact(manifest, artifact, onProgress) {
    const path = `v2/models/${manifest.model}/versions/${manifest.version}/artifacts/${artifact.sha256}`;
    return bytesOf(path, artifact.size_bytes, onProgress);
  },
};

/** Returns the path of a model, or of one of its versions. */
export function pathOf(name, version) {
  return version === "live" ? `v2/models/${name}` : `v2/models/${name}/versions/${version}`;
}

/** Sends a request and measures its time: { document or blob, version, milliseconds: { network, load, decode, run, encode }, isCold }. */
export async function ask(path, { method = "GET", body, type, accept = "application/json" } = {}) {
  const started = performance.now();
  const reply = await request(path, { method, body, type, accept });
  const blob = await reply.blob();
  const total = performance.now() - started;
  const isJson = blob.type.startsWith("application/json");
  return {
    document: isJson ? JSON.parse(await blob.text()) : null,
    blob: isJson ? null : blob,
    version: reply.headers.get("onnxlet-version"),
    ...timing(reply.headers.get("server-timing") ?? "", total),
  };
}

/** Remembers a key while this tab is open. */
export function unlock(key) {
  sessionStorage.setItem(KEY, key);
}

/** Returns whether requests have a key. */
export const hasKey = () => sessionStorage.getItem(KEY) !== null;

/** Downloads bytes and reports the progress. */
export async function bytesOf(path, size, onProgress = () => {}) {
  const reader = (await request(path, {})).body.getReader();
  const pieces = [];
  let count = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return new Uint8Array(await new Blob(pieces).arrayBuffer());
    pieces.push(value);
    count += value.length;
    onProgress(count, size);
  }
}

async function request(path, { method, body, type, accept }) {
  const headers = {};
  if (accept) headers.accept = accept;
  if (type) headers["content-type"] = type;
  const key = sessionStorage.getItem(KEY);
  if (key) headers["x-api-key"] = key;
  let reply;
  try {
    reply = await fetch(path, { method, body, headers });
  } catch {
    throw new AnswerError("The function does not answer. Check that it is running and that you are online.", "unreachable", 0);
  }
  if (!reply.ok) throw await toError(reply);
  return reply;
}

async function toError(reply) {
  try {
    const { error, code } = await reply.json();
    return new AnswerError(error, code, reply.status);
  } catch {
    return new AnswerError(`The function answered with status ${reply.status}`, "unknown", reply.status);
  }
}

/** Returns the time of the function's steps, and of the network for the rest. */
function timing(header, total) {
  const entries = header.split(",").map((entry) => entry.trim().split(";"));
  const found = Object.fromEntries(entries.map(([name, duration]) => [name, Number(duration?.replace("dur=", "")) || 0]));
  const { total: inside = 0, load = 0, decode = 0, run = 0, encode = 0 } = found;
  return { milliseconds: { network: Math.max(0, total - inside), load, decode, run, encode }, isCold: "cold" in found };
}
