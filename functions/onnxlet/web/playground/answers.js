// Answers on the page: bars, values, texts, pictures, and the time of each step.
import { element, linkOf, percent, scroll, short, table } from "./dom.js";
import { shares } from "./marks.js";

const STEPS = ["network", "load", "decode", "run", "encode"];
const MAX_VALUES = 200, FIRST_VALUES = 24; // the most values of an output that are shown, and how many of a larger one
const MAX_SHARES = 40; // the most contributions that are shown

/** Shows probabilities, highest first: [{ label, probability }]. */
export function bars(ranked) {
  return element("ol", { className: "bars" }, ...ranked.map(({ label, probability }) => {
    const filled = element("div");
    filled.style.width = `${Math.max(0.5, probability * 100)}%`;
    return element("li", { "data-probability": String(probability) },
      element("span", { className: "label" }, label),
      element("div", { className: "bar" }, filled),
      element("span", { className: "value" }, percent(probability)));
  }));
}

/** Shows outputs: [{ name, datatype, shape, data }]. */
export function outputs(found) {
  const rows = found.map(({ name, datatype, shape, data }) => {
    const values = data.slice(0, data.length > MAX_VALUES ? FIRST_VALUES : MAX_VALUES).map((value) => (value === null ? "NaN" : short(value))).join(", ");
    const mono = (words) => element("span", { className: "mono" }, words);
    return [name, mono(`${datatype} (${shape.join(", ")})`), mono(data.length > MAX_VALUES ? `${values}, … ${data.length} in all` : values)];
  });
  return scroll("Outputs", table(["Output", "Type", "Values"], rows));
}

/** Shows generated pictures, each a PNG as base64. */
export function sheet(images) {
  return element("div", { className: "sheet" }, ...images.map((image, index) => pngOf(image, `Picture ${index + 1}`)));
}

/**
 * Shows an explanation: a picture with evidence for the label in orange and against it in blue, a text whose words have
 * these colours, or the share of each number or column.
 */
export function explanation(found, question) {
  const { label, probability, overlay, contributions, baseline_probability: baseline, runs, milliseconds } = found;
  const told = `Why ${label} (${percent(probability)}): ${runs} runs of the model in ${milliseconds.toFixed(0)} ms`;
  if (overlay) {
    return element("figure", {}, pngOf(overlay, `Evidence for ${label} in orange, against it in blue`),
      element("figcaption", { className: "quiet" }, `${told}. Orange is evidence for it, blue against it.`));
  }
  const areWords = contributions.length > 0 && "word" in contributions[0];
  const texts = areWords ? textsOf(question.value).map(([name, text]) => shares(text, contributions.filter(({ field = name }) => field === name))) : [];
  const of = areWords ? "the text without words" : "the baseline of zeros";
  return element("figure", {}, ...texts, scroll("Shares", areWords
    ? table(["Word", "Share"], contributions.slice(0, MAX_SHARES).map(({ word, contribution }) => [word, signed(contribution)]))
    : table(["Feature", "Value", "Share"], contributions.slice(0, MAX_SHARES).map((item) => [nameOf(item), short(item.value), signed(item.contribution)]))),
  element("figcaption", { className: "quiet" }, `${told}. The shares add up to the difference from ${of}, which gets ${percent(baseline)}.`));
}

/** Shows which version answered, where, and the time of each step. */
export function signature({ manifest, version, place, milliseconds, isCold }) {
  const total = STEPS.reduce((sum, step) => sum + (milliseconds[step] ?? 0), 0);
  const told = STEPS.filter((step) => (milliseconds[step] ?? 0) >= 0.005);
  const strip = element("div", { className: "strip", "aria-hidden": "true" }, ...told.map((step) => {
    const piece = element("div", { className: step });
    piece.style.flexGrow = milliseconds[step];
    return piece;
  }));
  const legend = told.map((step) => element("div", {},
    element("i", { className: step, "aria-hidden": "true" }), element("dt", {}, step), element("dd", {}, `${milliseconds[step].toFixed(2)} ms`)));
  return element("div", { className: "times" },
    element("p", { className: "signature" },
      `${manifest.model} version ${version ?? manifest.version}, ${place}, ${total.toFixed(1)} ms `,
      element("span", { className: isCold ? "badge" : "badge good" }, isCold ? "cold" : "warm")),
    strip, element("dl", {}, ...legend));
}

function pngOf({ b64 }, words) {
  const bytes = Uint8Array.from(atob(b64), (character) => character.charCodeAt(0));
  return element("img", { src: linkOf(new Blob([bytes], { type: "image/png" })), alt: words });
}

const textsOf = (value) => (typeof value === "string" ? [["text", value]] : Object.entries(value));
const nameOf = ({ column, input, index }) => column ?? `${input}[${index.join(", ")}]`;
const signed = (share) => `${share > 0 ? "+" : ""}${(share * 100).toFixed(1)} %`;
