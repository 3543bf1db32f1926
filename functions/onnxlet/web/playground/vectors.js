// Vectors, and how similar they are.
import { copyButton, element, scroll, short, table } from "./dom.js";

const SHOWN = 8; // numbers of a vector

/** Shows vectors, one for each text or picture; with texts, also how similar they are. */
export function vectors(found, texts = []) {
  const many = found.length > 1;
  const parts = many && typeof found[0][0] === "number" ? [similarities(found, texts)] : [];
  return element("div", { className: "vectors" }, ...parts, ...found.map((vector, index) => element("div", {},
    element("header", { className: "copied" },
      element("h3", {}, many ? `Vector ${index + 1}` : "Vector", " ", element("span", { className: "mono" }, sizeOf(vector))),
      copyButton(JSON.stringify(vector))),
    element("p", { className: "mono numbers" }, numbersOf(vector)))));
}

/** Returns the cosine of the angle between two vectors. */
export function cosine(one, other) {
  const dot = (first, second) => first.reduce((sum, value, index) => sum + value * second[index], 0);
  return dot(one, other) / (Math.sqrt(dot(one, one) * dot(other, other)) || 1);
}

/** Shows a table with the similarity of each pair. */
function similarities(found, texts) {
  const names = found.map((_, index) => `${index + 1}`);
  const rows = found.map((one, index) => [
    texts[index] ? `${names[index]}. ${texts[index]}` : names[index],
    ...found.map((other) => {
      const similarity = cosine(one, other);
      const cell = element("span", { className: "similarity" }, similarity.toFixed(3));
      cell.style.setProperty("--share", `${Math.round(Math.max(0, similarity) * 30)}%`);
      return cell;
    }),
  ]);
  return element("div", {}, element("h3", {}, "Similarity (cosine)"), scroll("Similarity of each pair", table(["Text", ...names], rows)));
}

function sizeOf(vector) {
  return Array.isArray(vector[0]) ? `(${vector.length}, ${vector[0].length})` : `${vector.length} numbers`;
}

function numbersOf(vector) {
  const flat = vector.flat(Infinity);
  const shown = flat.slice(0, SHOWN).map(short).join(", ");
  return flat.length > SHOWN ? `${shown}, …` : shown;
}
