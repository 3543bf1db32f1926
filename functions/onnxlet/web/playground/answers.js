// Answers on the page: bars, values, texts, pictures, and the time of each step.
import { element, linkOf, short } from "./dom.js";

const STEPS = ["network", "load", "decode", "run", "encode"];
const MAX_VALUES = 200; // the most values of an output that are shown

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
    const values = data.slice(0, MAX_VALUES).map((value) => (value === null ? "NaN" : short(value))).join(", ");
    return element("tr", {},
      element("th", { scope: "row" }, name),
      element("td", { className: "mono" }, `${datatype} (${shape.join(", ")})`),
      element("td", { className: "mono" }, data.length > MAX_VALUES ? `${values}, … ${data.length} in all` : values));
  });
  const heads = ["Output", "Type", "Values"].map((words) => element("th", { scope: "col" }, words));
  return element("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": "Outputs" },
    element("table", {}, element("thead", {}, element("tr", {}, ...heads)), element("tbody", {}, ...rows)));
}

/** Shows generated pictures, each a PNG as base64. */
export function sheet(images) {
  return element("div", { className: "sheet" }, ...images.map((image, index) => pngOf(image, `Picture ${index + 1}`)));
}

/** Shows an explanation: a picture with evidence for the label in orange and against it in blue, or each number's share. */
export function explanation({ label, probability, overlay, contributions, baseline_probability: baseline, runs, milliseconds }) {
  const told = `Why ${label} (${percent(probability)}): ${runs} runs of the model in ${milliseconds.toFixed(0)} ms`;
  if (overlay) {
    return element("figure", {}, pngOf(overlay, `Evidence for ${label} in orange, against it in blue`),
      element("figcaption", { className: "quiet" }, `${told}. Orange is evidence for it, blue against it.`));
  }
  const rows = contributions.map(({ input, index, value, contribution }) => element("tr", {},
    element("th", { scope: "row" }, `${input}[${index.join(", ")}]`), element("td", {}, short(value)),
    element("td", {}, `${contribution > 0 ? "+" : ""}${(contribution * 100).toFixed(1)} %`)));
  const heads = ["Feature", "Value", "Share"].map((words) => element("th", { scope: "col" }, words));
  return element("figure", {},
    element("table", {}, element("thead", {}, element("tr", {}, ...heads)), element("tbody", {}, ...rows)),
    element("figcaption", { className: "quiet" }, `${told}. The shares add up to the difference from the baseline of zeros, which gets ${percent(baseline)}.`));
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

function percent(probability) {
  return `${(probability * 100).toFixed(probability > 0.9995 || probability < 0.0005 ? 2 : 1)} %`;
}
