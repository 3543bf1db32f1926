// Tensors: a form that is built from the manifest and filled with numbers, and the outputs.
import { bars, outputs } from "./answers.js";
import { element } from "./dom.js";
import { toOutputs } from "./questions.js";

const MAX_CELLS = 24; // the largest tensor with a field for each number
const WHOLE = /^U?INT/;

/** Creates the form; asks with { name: nested values } for the inputs. */
export function form({ manifest }, ask) {
  const fields = manifest.inputs.map(tensorField);
  return { box: element("form", { className: "inputs", onsubmit: submit },
    ...fields.map(({ box }) => box),
    element("div", { className: "row" }, element("button", { className: "main" }, "Ask"))) };

  function submit(event) {
    event.preventDefault();
    try {
      ask({ inputs: Object.fromEntries(fields.map(({ name, read }) => [name, read()])) });
    } catch (error) {
      ask(null, error);
    }
  }
}

/** Shows the labels or the outputs. */
export function show(manifest, _question, { predictions, outputs: found }) {
  if (predictions?.[0].top) return [bars(predictions[0].top)];
  return [outputs(found ?? toOutputs(manifest, predictions[0]))];
}

/** Describes a tensor, as "FP32 (batch, 4)". */
function describe(spec) {
  const shape = spec.shape === null ? "any shape" : `(${spec.shape.join(", ")}${spec.shape.length === 1 ? "," : ""})`;
  return `${spec.datatype} ${shape}`;
}

/** Returns the shape of an example, with 1 for each free dimension. */
function sizesOf(spec) {
  return (spec.shape ?? []).map((size) => (typeof size === "string" ? 1 : size));
}

function tensorField(spec) {
  const sizes = sizesOf(spec);
  const count = sizes.reduce((product, size) => product * size, 1);
  const title = element("h3", {}, spec.name, " ", element("span", { className: "mono" }, describe(spec)));
  return count > 0 && count <= MAX_CELLS && sizes.length > 0 ? cells(spec, sizes, count, title) : text(spec, sizes, count, title);
}

/** Creates a field for each number. */
function cells(spec, sizes, count, title) {
  const inputs = Array.from({ length: count }, (_, index) => element("input", {
    type: numeric(spec) ? "number" : "text", step: WHOLE.test(spec.datatype) ? 1 : "any", required: spec.datatype !== "BYTES",
    value: String(example(spec, index)), "aria-label": `${spec.name} ${index + 1} of ${count}`,
  }));
  const box = element("div", {}, title, element("div", { className: "cells" }, ...inputs));
  return { name: spec.name, box, read: () => nested(inputs.map((input) => parse(spec, input.value)), sizes) };
}

/** Creates a field for JSON, for larger tensors. */
function text(spec, sizes, count, title) {
  const values = Array.from({ length: count }, (_, index) => example(spec, index));
  const area = element("textarea", { spellcheck: false, value: JSON.stringify(nested(values, sizes)), "aria-label": `${spec.name} as JSON` });
  const read = () => {
    try {
      return JSON.parse(area.value);
    } catch (error) {
      throw new Error(`${spec.name}: expected JSON: ${error.message}`);
    }
  };
  return { name: spec.name, box: element("div", {}, title, area), read };
}

const numeric = (spec) => spec.datatype !== "BYTES" && spec.datatype !== "BOOL";

function example(spec, index) {
  if (spec.datatype === "BYTES") return "text";
  if (spec.datatype === "BOOL") return index % 2 === 0;
  return WHOLE.test(spec.datatype) ? index % 10 : (index % 10) / 10;
}

function parse(spec, value) {
  if (spec.datatype === "BYTES") return value;
  if (spec.datatype === "BOOL") return value === "true";
  return Number(value);
}

/** Returns flat values as nested lists. */
function nested(values, sizes) {
  if (sizes.length === 0) return values[0];
  if (sizes.length === 1) return values;
  const step = sizes.slice(1).reduce((product, size) => product * size, 1);
  return Array.from({ length: sizes[0] }, (_, index) => nested(values.slice(index * step, (index + 1) * step), sizes.slice(1)));
}
