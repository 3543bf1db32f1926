// Questions as requests to the functions. A question is { file }, { csv }, { rows }, { value }, { inputs } or { generate },
// with the task's parameters.
import { ask, pathOf } from "./functions.js";

/** Returns the request for a question: { path, query, body, type, file }, where file names the body on a disk. */
export function toRequest(manifest, version, question) {
  const path = predictPath(manifest, version);
  const query = question.parameters ?? {};
  if (question.file) return { path, query, body: question.file, type: question.file.type || "application/octet-stream", file: nameOf(question.file) };
  if (question.csv !== undefined) return { path, query, body: question.csv, type: "text/csv", file: "rows.csv" };
  if (question.rows) return json(path, question.rows.length === 1 ? question.rows[0] : question.rows, query);
  if (typeof question.value === "string") return { path, query, body: question.value, type: "text/plain", file: "text.txt" };
  if (question.value) return json(path, question.value, query);
  if (question.generate) return json(`${pathOf(manifest.model, version)}/generate`, question.generate);
  if (manifest.classification) return json(path, { instances: [toInstance(manifest, question.inputs)] });
  return json(`${pathOf(manifest.model, version)}/infer`, { inputs: toTensors(manifest, question) });
}

/** Returns the functions' answer: { predictions, outputs, text or images, version, milliseconds, isCold }. */
export async function askFunctions(manifest, version, question) {
  const { path, query, body, type } = toRequest(manifest, version, question);
  const { document: answer, ...timing } = await ask(withQuery(path, query), { method: "POST", body, type });
  const { predictions, outputs, text_output: text, images, seed } = answer;
  return { ...timing, place: "in the cloud", predictions, outputs, text, images, seed };
}

/** Returns an explanation: { overlay, label, runs } for a picture, else { contributions, label, runs }. */
export async function explain(manifest, version, question) {
  const { query, body, type } = toRequest(manifest, version, question);
  const path = withQuery(`${pathOf(manifest.model, version)}/explain`, query);
  const { document: found, ...timing } = await ask(path, { method: "POST", body, type });
  return { ...timing, ...found };
}

/** Returns a path with parameters behind it. */
export function withQuery(path, query) {
  const text = new URLSearchParams(query).toString().replaceAll("%2C", ",");
  return text ? `${path}?${text}` : path;
}

/** Returns the tensors of a question in the form of the V2 protocol. */
export function toTensors(manifest, { inputs }) {
  return manifest.inputs.map(({ name, datatype }) => ({ name, datatype, ...flatten(inputs[name]) }));
}

/** Returns nested values as one list, with their shape. */
export function flatten(values) {
  const shape = [];
  for (let level = values; Array.isArray(level); level = level[0]) shape.push(level.length);
  return { shape, data: Array.isArray(values) ? values.flat(Infinity) : [values] };
}

/** Returns a prediction without labels as outputs: a model with one output answers with its bare values. */
export function toOutputs(manifest, prediction) {
  const isBare = manifest.outputs.length === 1;
  return manifest.outputs.map(({ name, datatype }) => ({ name, datatype, ...flatten(isBare ? prediction : prediction[name]) }));
}

function nameOf({ type }) {
  const [kind, format = ""] = type.split("/");
  const ending = format.replace("jpeg", "jpg").replace("x-wav", "wav");
  return kind === "audio" ? `sound.${ending || "wav"}` : `picture.${ending || "png"}`;
}

function json(path, document, query = {}) {
  return { path, query, body: JSON.stringify(document), type: "application/json", file: "request.json" };
}

function predictPath(manifest, version) {
  return version === "live" ? `predict/${manifest.model}` : `predict/${manifest.model}/versions/${version}`;
}

/** Returns one row of each input, without the first dimension if it counts rows in all inputs. */
function toInstance(manifest, inputs) {
  const haveRows = manifest.inputs.every(({ shape }) => shape === null || typeof shape[0] === "string" || shape[0] === 1);
  return haveRows ? Object.fromEntries(Object.entries(inputs).map(([name, value]) => [name, value[0]])) : inputs;
}
