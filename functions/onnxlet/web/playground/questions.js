// Questions as requests to the functions, and as lines of code.
import { ask, pathOf } from "./functions.js";

/** Returns the request for a question: { path, body, type, file }, where file names the body on a disk. */
export function toRequest(manifest, version, question) {
  if (question.picture) return pictureRequest(manifest, version, question.picture);
  if (question.generate) return jsonRequest(`${pathOf(manifest.model, version)}/generate`, question.generate);
  if (manifest.classification) return jsonRequest(predictPath(manifest, version), { instances: [toInstance(manifest, question.inputs)] });
  const inputs = manifest.inputs.map(({ name, datatype }) => toTensor(name, datatype, question.inputs[name]));
  return jsonRequest(`${pathOf(manifest.model, version)}/infer`, { inputs });
}

/** Returns the functions' answer: { ranked, outputs, text or images, version, milliseconds, isCold }. */
export async function askFunctions(manifest, version, question) {
  const { path, body, type } = toRequest(manifest, version, question);
  const { document: answer, ...told } = await ask(path, { method: "POST", body, type });
  return { ...told, place: "in the cloud", ranked: answer.predictions?.[0]?.top, outputs: answer.outputs, text: answer.text_output, images: answer.images, seed: answer.seed };
}

/** Returns an explanation: { overlay, label, runs } for a picture, else { contributions, label, runs }. */
export async function explain(manifest, version, question) {
  const { body, type } = toRequest(manifest, version, question);
  const { document: found, ...told } = await ask(`${pathOf(manifest.model, version)}/explain`, { method: "POST", body, type });
  return { ...told, ...found };
}

/** Returns the request as code for a shell and for Python's standard library. */
export function snippets(manifest, version, question) {
  const { path, body, type, file } = toRequest(manifest, version, question);
  const url = new URL(path, document.baseURI).href;
  const isShort = typeof body === "string" && body.length < 400;
  const data = isShort ? `-d '${body.replaceAll("'", "'\\''")}'` : `--data-binary @${file}`;
  const bytes = isShort ? `json.dumps(${toPython(JSON.parse(body))}).encode()` : `open("${file}", "rb").read()`;
  return {
    file: isShort ? null : { name: file, blob: new Blob([body], { type }) },
    curl: `curl '${url}' \\\n  -H 'content-type: ${type}' \\\n  ${data}`,
    python: [
      "import json, urllib.request", "",
      `body = ${bytes}`,
      `request = urllib.request.Request("${url}", body, {"content-type": "${type}"})`,
      "print(json.load(urllib.request.urlopen(request)))",
    ].join("\n"),
  };
}

/** Returns nested values as one list, with their shape. */
export function flatten(values) {
  const shape = [];
  for (let level = values; Array.isArray(level); level = level[0]) shape.push(level.length);
  return { shape, data: Array.isArray(values) ? values.flat(Infinity) : [values] };
}

function pictureRequest(manifest, version, picture) {
  const file = `picture.${picture.type.replace("image/", "").replace("jpeg", "jpg") || "png"}`;
  return { path: predictPath(manifest, version), body: picture, type: picture.type || "application/octet-stream", file };
}

function jsonRequest(path, document) {
  return { path, body: JSON.stringify(document), type: "application/json", file: "request.json" };
}

function predictPath(manifest, version) {
  return version === "live" ? `predict/${manifest.model}` : `predict/${manifest.model}/versions/${version}`;
}

function toTensor(name, datatype, values) {
  return { name, datatype, ...flatten(values) };
}

/** Returns one row of each input, without the first dimension if it counts rows in all inputs. */
function toInstance(manifest, inputs) {
  const haveRows = manifest.inputs.every(({ shape }) => shape === null || typeof shape[0] === "string" || shape[0] === 1);
  return haveRows ? Object.fromEntries(Object.entries(inputs).map(([name, value]) => [name, value[0]])) : inputs;
}

/** Writes a JSON value in Python's notation. */
function toPython(value) {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(toPython).join(", ")}]`;
  if (typeof value === "object") return `{${Object.entries(value).map(([name, item]) => `${JSON.stringify(name)}: ${toPython(item)}`).join(", ")}}`;
  return JSON.stringify(value);
}
