// Texts and pictures that a model generates.
import { sheet } from "./answers.js";
import { element, field } from "./dom.js";
import { askFunctions } from "./questions.js";

const FIRST_LENGTH = 16; // tokens of the first piece of a text; each further piece is twice as long

/** Creates the form for a generating model, within the function's limits. */
export function form({ manifest: { generation }, limits }, ask) {
  if (limits.length.maximum === 0) return { box: element("p", {}, "Generation is turned off here: the function's ONNXLET_GENERATE_LENGTH is 0.") };
  const fields = generation.kind === "text" ? textFields(generation, limits.length.maximum) : imageFields(limits.count.maximum);
  const seed = numberField("Seed", Math.floor(Math.random() * 1000), { min: 0, step: 1 });
  const submit = (event) => {
    event.preventDefault();
    ask({ generate: { ...fields.read(), seed: Number(seed.input.value) } });
  };
  const again = element("button", { type: "button", onclick: () => { seed.input.value = Number(seed.input.value) + 1; seed.input.form.requestSubmit(); } }, "Another seed");
  return { box: element("form", { className: "inputs", onsubmit: submit },
    ...fields.boxes, element("div", { className: "row" }, ...fields.numbers, seed.box),
    element("div", { className: "row" }, element("button", { className: "main" }, "Generate"), again)) };
}

/** Shows a text or pictures. */
export function show(_manifest, _question, { text, images }) {
  return images ? [sheet(images)] : [element("p", { className: "text" }, text)];
}

/**
 * Returns the answer of a generating model. A text comes in pieces: the same seed gives the same text of any length, so
 * the page requests a longer one while the reader reads the shorter one. That costs at most twice as much.
 */
export async function answer(manifest, version, { generate }, onPart) {
  if (manifest.generation.kind !== "text") return askFunctions(manifest, version, { generate });
  for (let length = FIRST_LENGTH; length < generate.length; length *= 2) {
    const partly = await askFunctions(manifest, version, { generate: { ...generate, length } });
    onPart({ ...partly, text: `${generate.text_input}${partly.text} …` });
  }
  const whole = await askFunctions(manifest, version, { generate });
  return { ...whole, text: `${generate.text_input}${whole.text}` };
}

function textFields(generation, longest) {
  const known = new Set(generation.vocabulary);
  const prompt = element("textarea", { value: [..."The "].filter((letter) => known.has(letter)).join("") || generation.vocabulary[0], required: true, spellcheck: false });
  const length = numberField("Length", Math.min(200, longest), { min: 1, max: longest, step: 1 });
  const temperature = numberField("Temperature", 0.7, { min: 0, max: 100, step: "any" });
  const topK = numberField("Top k", 0, { min: 0, step: 1 });
  return {
    boxes: [field("Prompt", prompt)],
    numbers: [length.box, temperature.box, topK.box],
    read: () => ({ text_input: prompt.value, length: Number(length.input.value), temperature: Number(temperature.input.value), top_k: Number(topK.input.value) }),
  };
}

function imageFields(most) {
  const count = numberField("Pictures", Math.min(16, most), { min: 1, max: most, step: 1 });
  return { boxes: [], numbers: [count.box], read: () => ({ count: Number(count.input.value) }) };
}

function numberField(words, value, limits) {
  const input = element("input", { type: "number", value: String(value), required: true });
  for (const [name, limit] of Object.entries(limits)) input[name] = String(limit);
  return { input, box: field(words, input) };
}
