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

  example: async () => null,

  artifact(_manifest, artifact, onProgress) {
    return bytesOf(`model/${artifact.sha256}.onnx`, artifact.size_bytes, onProgress);
  },
};
