// Runs a version in this browser with ONNX Runtime Web, including its preprocess and postprocess graphs.
import { answerOf } from "./edge_tasks.js";
import { flatten } from "./questions.js";

const RUNTIME = new URL("edge/", document.baseURI);
const TOP = 5;
const GREY = [19595, 38470, 7471]; // of 65536: the weights of red, green and blue in the functions' decoder (Pillow)

const ARRAYS = {
  FP32: Float32Array, FP64: Float64Array, UINT8: Uint8Array, INT8: Int8Array, UINT16: Uint16Array, INT16: Int16Array,
  INT32: Int32Array, UINT32: Uint32Array, INT64: BigInt64Array, UINT64: BigUint64Array, BOOL: Uint8Array,
};
const TYPES = {
  FP32: "float32", FP64: "float64", UINT8: "uint8", INT8: "int8", UINT16: "uint16", INT16: "int16",
  INT32: "int32", UINT32: "uint32", INT64: "int64", UINT64: "uint64", BOOL: "bool", BYTES: "string",
};
const DATATYPES = Object.fromEntries(Object.entries(TYPES).map(([datatype, type]) => [type, datatype]));

let runtime = null;

/** Returns the graphs that run here: the portable form of each role. */
export function graphsOf(manifest) {
  const portable = manifest.artifacts.filter(({ format }) => format === "onnx");
  const roles = ["preprocess", "model", "postprocess"];
  return roles.map((role) => portable.find((artifact) => artifact.role === role)).filter(Boolean);
}

/** Returns the number of bytes to download before a version runs here. */
export const sizeOf = (manifest) => graphsOf(manifest).reduce((sum, { size_bytes: size }) => sum + size, 0);

/** Loads a version; calls onProgress with a share from 0 to 1. */
export async function loadEdge(source, manifest, onProgress) {
  const ort = await loadRuntime();
  const size = sizeOf(manifest);
  const came = new Map();
  const sessions = await Promise.all(graphsOf(manifest).map(async (artifact) => {
    const bytes = await source.artifact(manifest, artifact, (count) => {
      came.set(artifact.role, count);
      onProgress([...came.values()].reduce((sum, each) => sum + each, 0) / size);
    });
    await verify(bytes, artifact);
    return [artifact.role, await ort.InferenceSession.create(bytes)];
  }));
  return new EdgeModel(ort, manifest, Object.fromEntries(sessions));
}

class EdgeModel {
  #isCold = true;

  constructor(ort, manifest, sessions) {
    this.ort = ort;
    this.manifest = manifest;
    this.sessions = sessions;
  }

  /** Answers as the functions do: { predictions or outputs, version, milliseconds, isCold }. */
  async answer(question) {
    const clock = [performance.now()];
    const { feeds, size } = await this.#prepare(question);
    clock.push(performance.now());
    const found = await this.sessions.model.run(feeds);
    clock.push(performance.now());
    const answer = await this.#answerOf(found, question, size);
    clock.push(performance.now());
    const [decode, run, encode] = clock.slice(1).map((time, step) => time - clock[step]);
    const isCold = this.#isCold;
    this.#isCold = false;
    return { ...answer, version: this.manifest.version, place: "at the edge", milliseconds: { decode, run, encode }, isCold };
  }

  /** Returns the model's inputs; and the height and width of a picture. */
  async #prepare({ file, samples, rate, rows, csv, inputs }) {
    if (csv !== undefined) throw new Error("Rows as CSV are answered in the cloud only.");
    if (samples) return { feeds: await this.#preprocessed({ samples: new this.ort.Tensor("float32", samples, [samples.length]), rate: int64(this.ort, [rate]) }) };
    if (file) return this.#fromPicture(file);
    return { feeds: this.#fromInputs(rows ? this.#columns(rows) : inputs) };
  }

  async #fromPicture(picture) {
    const { channels } = this.manifest.preprocess;
    const { data, width, height } = await pixelsOf(picture);
    const images = new this.ort.Tensor("uint8", toChannels(data, channels), [1, height, width, channels]);
    return { feeds: await this.#preprocessed({ images }), size: [height, width] };
  }

  async #preprocessed(tensors) {
    const { tensor } = await this.sessions.preprocess.run(tensors);
    return { [this.manifest.inputs[0].name]: tensor };
  }

  /** Returns the values of each input, row by row; no value is NaN. */
  #columns(rows) {
    const { columns } = this.manifest.task;
    return Object.fromEntries(this.manifest.inputs.map(({ name, shape }) => {
      const own = columns.filter(({ input }) => input === name);
      const values = rows.map((row) => own.map((column) => row[column.name] ?? NaN));
      return [name, shape?.length === 1 ? values.flat() : values];
    }));
  }

  #fromInputs(inputs) {
    return Object.fromEntries(this.manifest.inputs.map(({ name, datatype }) => {
      const { shape, data } = flatten(inputs[name]);
      return [name, new this.ort.Tensor(TYPES[datatype], toArray(datatype, data), shape)];
    }));
  }

  async #answerOf(found, { parameters }, size) {
    const { classification, outputs, task } = this.manifest;
    if (classification) return { predictions: [await this.#labelled(found[classification.output ?? outputs[0].name], found[task?.label])] };
    if (task?.output && this.sessions.postprocess) {
      const given = Object.fromEntries(task.output.map((name, index) => [`output${index}`, found[name]]));
      return { predictions: [await answerOf(this.ort, this.sessions.postprocess, given, task, size, parameters)] };
    }
    const values = outputs.map(({ name }) => toOutput(name, found[name]));
    if (size) for (const value of values) if (value.shape[0] === 1) value.shape = value.shape.slice(1); // one picture is one row
    if (task?.name !== "tabular-regression") return { outputs: values };
    const cells = values.map(({ name, data }) => [name, data.length === 1 ? data[0] : data]);
    return { predictions: [cells.length === 1 ? cells[0][1] : Object.fromEntries(cells)] };
  }

  /** Ranks the labels by probability, after the label that the model itself gave if it gives one. */
  async #labelled(output, own) {
    const { labels } = this.manifest.classification;
    const { indices, probabilities } = await this.sessions.postprocess.run({ output, k: int64(this.ort, [labels.length]) });
    const ranked = [...probabilities.data].map((probability, rank) => ({ label: labels[Number(indices.data[rank])], probability }));
    const isFirst = ({ label }) => label === String(own?.data[0]);
    const top = [...ranked.filter(isFirst), ...ranked.filter((item) => !isFirst(item))].slice(0, TOP);
    return { ...top[0], top };
  }
}

async function loadRuntime() {
  if (!runtime) {
    runtime = await import(new URL("ort.wasm.min.mjs", RUNTIME).href);
    runtime.env.wasm.wasmPaths = RUNTIME.href;
    runtime.env.wasm.numThreads = 1; // more threads need headers that would block resources of other origins
  }
  return runtime;
}

const int64 = (ort, values) => new ort.Tensor("int64", BigInt64Array.from(values, BigInt), [values.length]);

/** Refuses bytes that are not the published ones. */
async function verify(bytes, { role, sha256 }) {
  if (!crypto.subtle) return; // a page without TLS from another machine
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const found = [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  if (found !== sha256) throw new Error(`The downloaded ${role} graph is not the published one: its SHA-256 is ${found}`);
}

/** Returns the pixels of a picture, upright and on a white background: RGBA, row by row. */
async function pixelsOf(picture) {
  const bitmap = await createImageBitmap(picture, { colorSpaceConversion: "none" }).catch(() => {
    throw new Error("This browser cannot read this file as a picture.");
  });
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, bitmap.width, bitmap.height);
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, bitmap.width, bitmap.height);
}

/** Converts RGBA to one grey value or three colours for each pixel. */
function toChannels(rgba, channels) {
  const count = rgba.length / 4;
  const made = new Uint8Array(count * channels);
  for (let pixel = 0; pixel < count; pixel += 1) {
    const [red, green, blue] = [rgba[4 * pixel], rgba[4 * pixel + 1], rgba[4 * pixel + 2]];
    if (channels === 1) made[pixel] = (red * GREY[0] + green * GREY[1] + blue * GREY[2] + 0x8000) >> 16;
    else made.set([red, green, blue], 3 * pixel);
  }
  return made;
}

function toArray(datatype, data) {
  if (datatype === "BYTES") return data.map(String);
  return ARRAYS[datatype].from(data, datatype.endsWith("INT64") ? BigInt : Number);
}

function toOutput(name, { type, dims, data }) {
  return { name, datatype: DATATYPES[type] ?? type, shape: dims, data: Array.from(data, (value) => (typeof value === "bigint" ? Number(value) : value)) };
}
