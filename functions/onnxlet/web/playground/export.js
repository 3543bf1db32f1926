// A folder written by `onnxlet export-edge`: one model and its graphs, without a function.
import { bytesOf } from "./functions.js";

let manifest = null;

async function load() {
  manifest ??= JSON.parse(new TextDecoder().decode(await bytesOf("model/manifest.json")));
  return manifest;
}

export const exported = {
  canAnswer: false,

  async catalogue() {
    const { model, version } = await load();
    return new Map([[model, [version]]]);
  },

  manifest: load,

  async example({ artifacts }) {
    if (!artifacts.some(({ role }) => role === "example")) return null;
    const { media_type: type, b64, parameters } = JSON.parse(new TextDecoder().decode(await bytesOf("model/example.json")));
    const bytes = Uint8Array.from(atob(b64), (character) => character.charCodeAt(0));
    return { type, blob: new Blob([bytes], { type }), parameters };
  },

  artifact(_manifest, artifact, onProgress) {
    return bytesOf(`model/${artifact.sha256}.onnx`, artifact.size_bytes, onProgress);
  },
};
