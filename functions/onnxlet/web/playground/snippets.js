// A question as lines of code: for a shell, for Python, and for the clients that people have.
import { hasKey } from "./functions.js";
import { toRequest, toTensors, withQuery } from "./questions.js";
import { taskOf } from "./tasks.js";

const MAX_CHARACTERS = 400; // the longest body that stands in the code itself

/** Returns { file, snippets: [{ name, lines }] }, where file is { name, blob } if the code reads the body from a file. */
export function snippets(manifest, version, question) {
  const request = toRequest(manifest, version, question);
  const isShort = typeof request.body === "string" && request.body.length < MAX_CHARACTERS;
  const client = version === "live" ? ofClient(manifest, question, request.file) : [];
  const tensors = question.inputs && !manifest.classification ? [ofTriton(manifest, version, question)] : [];
  return {
    file: isShort ? null : { name: request.file, blob: new Blob([request.body], { type: request.type }) },
    snippets: [ofCurl(request, isShort), ofPython(request, isShort), ...client, ...tensors],
  };
}

function ofCurl({ path, query, body, type, file }, isShort) {
  const data = isShort ? `--data-raw ${quoted(body)}` : `--data-binary @${file}`;
  const key = hasKey() ? " \\\n  -H \"x-api-key: $ONNXLET_KEY\"" : "";
  return { name: "curl", lines: `curl '${urlOf(withQuery(path, query))}' \\\n  -H 'content-type: ${type}'${key} \\\n  ${data}` };
}

function ofPython({ path, query, body, type, file }, isShort) {
  const isJson = isShort && type === "application/json";
  const payload = isJson ? `json=${toPython(JSON.parse(body))}` : `data=${isShort ? `${toPython(body)}.encode()` : `open("${file}", "rb")`}`;
  const headers = { ...(isJson ? {} : { "content-type": type }), ...(hasKey() ? { "x-api-key": KEY } : {}) };
  const lines = [`"${urlOf(path)}"`, ...(Object.keys(query).length ? [`params=${toPython(asTexts(query))}`] : []), payload, ...(Object.keys(headers).length ? [`headers=${toPython(headers)}`] : [])];
  return { name: "Python", lines: ["import requests", "", "answer = requests.post(", ...lines.map((line) => `    ${line},`), ")", "print(answer.json())"].join("\n") };
}

/** Returns the lines of Hugging Face's and OpenAI's clients, as far as they have the task. */
function ofClient(manifest, question, file) {
  const task = taskOf(manifest);
  const call = METHODS[task]?.(question, file);
  const found = [];
  if (call) {
    const token = hasKey() ? [`    token="${KEY}",`] : [];
    found.push({ name: "huggingface_hub", lines: [
      "from huggingface_hub import InferenceClient", "",
      "client = InferenceClient(", `    model="${urlOf(`models/${manifest.model}`)}",`, ...token, ")",
      `print(client.${call})`,
    ].join("\n") });
  }
  if (VECTORS.includes(task)) {
    found.push({ name: "openai", lines: [
      "from openai import OpenAI", "",
      `client = OpenAI(base_url="${urlOf("v1")}", api_key="${hasKey() ? KEY : "none"}")`,
      "answer = client.embeddings.create(", `    model="${manifest.model}",`, `    input=${toPython(textsOf(question))},`, ")",
      "print(answer.data[0].embedding)",
    ].join("\n") });
  }
  if (task === "text-ranking") {
    const { query, texts } = question.value;
    found.push({ name: "Rerank", lines: [
      "import requests", "",
      `body = ${toPython({ model: manifest.model, query, documents: texts })}`,
      `print(requests.post("${urlOf("v1/rerank")}", json=body${hasKey() ? `, headers={"x-api-key": "${KEY}"}` : ""}).json())`,
    ].join("\n") });
  }
  return found;
}

const VECTORS = ["feature-extraction", "sentence-similarity"];
const KEY = "onnxlet_...";

/** The call of Hugging Face's client for each task that it has. */
const METHODS = {
  "image-classification": (_, file) => `image_classification("${file}")`,
  "object-detection": (question, file) => `object_detection("${file}"${named(question.parameters)})`,
  "image-segmentation": (question, file) => `image_segmentation("${file}"${named(question.parameters)})`,
  "audio-classification": (_, file) => `audio_classification("${file}")`,
  "automatic-speech-recognition": (_, file) => `automatic_speech_recognition("${file}")`,
  "text-classification": ({ value }) => typeof value === "string" && `text_classification(${toPython(value)})`,
  "token-classification": ({ value }) => `token_classification(${toPython(value)})`,
  "fill-mask": ({ value }) => `fill_mask(${toPython(value)})`,
  "question-answering": ({ value }) => `question_answering(question=${toPython(value.question)}, context=${toPython(value.context)})`,
  "zero-shot-classification": ({ value, parameters }) => `zero_shot_classification(${toPython(value)}, candidate_labels=${toPython(listOf(parameters.candidate_labels))}${parameters.multi_label ? ", multi_label=True" : ""})`,
  "feature-extraction": (question) => vectorCall(question),
  "sentence-similarity": (question) => vectorCall(question),
  "tabular-classification": ({ rows }) => rows && `tabular_classification(table=${toPython(columnsOf(rows))})`,
  "tabular-regression": ({ rows }) => rows && `tabular_regression(table=${toPython(columnsOf(rows))})`,
};

function vectorCall(question) {
  const [first, ...others] = textsOf(question);
  return others.length ? `sentence_similarity(${toPython(first)}, other_sentences=${toPython(others)})` : `feature_extraction(${toPython(first)})`;
}

function ofTriton(manifest, version, question) {
  const types = { FP32: "float32", FP64: "float64", FP16: "float16", BOOL: "bool", BYTES: "object" };
  const tensors = toTensors(manifest, question).map(({ name, datatype, shape, data }, index) => [
    `input${index} = InferInput("${name}", [${shape.join(", ")}], "${datatype}")`,
    `input${index}.set_data_from_numpy(np.array(${shorten(data)}, "${types[datatype] ?? datatype.toLowerCase()}").reshape(${shape.join(", ")}))`,
  ].join("\n"));
  const inputs = manifest.inputs.map((_, index) => `input${index}`).join(", ");
  const number = version === "live" ? "" : `, model_version="${version}"`;
  const { host, protocol, pathname } = new URL(document.baseURI);
  const secure = protocol === "https:" ? ", ssl=True" : "";
  return { name: "tritonclient", lines: [
    "import numpy as np", "from tritonclient.http import InferenceServerClient, InferInput", "",
    ...tensors,
    `client = InferenceServerClient("${host}${pathname.replace(/\/$/, "")}"${secure})`,
    `answer = client.infer("${manifest.model}", [${inputs}]${number}${hasKey() ? `, headers={"x-api-key": "${KEY}"}` : ""})`,
    `print(answer.as_numpy("${manifest.outputs[0].name}"))`,
  ].join("\n") };
}

const urlOf = (path) => new URL(path, document.baseURI).href;
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const listOf = (text) => text.split(",").map((label) => label.trim());
const textsOf = ({ value }) => (Array.isArray(value) ? value : [value]);
const asTexts = (query) => Object.fromEntries(Object.entries(query).map(([name, value]) => [name, typeof value === "boolean" ? String(value) : value]));
const columnsOf = (rows) => Object.fromEntries(Object.keys(rows[0]).map((name) => [name, rows.map((row) => row[name])]));
const named = (parameters = {}) => Object.entries(parameters).map(([name, value]) => `, ${name}=${toPython(value)}`).join("");

function shorten(data) {
  const text = toPython(data);
  return text.length < MAX_CHARACTERS ? text : `[${data.slice(0, 8).map(toPython).join(", ")}, ...]`;
}

/** Writes a JSON value in Python's notation. */
function toPython(value) {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(toPython).join(", ")}]`;
  if (typeof value === "object") return `{${Object.entries(value).map(([name, item]) => `${JSON.stringify(name)}: ${toPython(item)}`).join(", ")}}`;
  return JSON.stringify(value);
}
