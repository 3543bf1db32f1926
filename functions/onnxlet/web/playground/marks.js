// Parts of a text, marked. Places count characters as the functions do: code points, not JavaScript's units.
import { element, percent } from "./dom.js";

const KINDS = 8; // colours of the style sheet

/** Shows a text with its entities: [{ entity_group or entity, score, start, end }]. */
export function entities(text, found) {
  const kinds = [...new Set(found.map(kindOf))];
  const parts = found.map((item) => ({
    ...item,
    mark: (words) => element("mark", { className: `kind-${kinds.indexOf(kindOf(item)) % KINDS}`, title: percent(item.score) },
      words, element("small", {}, kindOf(item))),
  }));
  return element("div", {}, marked(text, parts), found.length
    ? element("ul", { className: "entities" }, ...found.map((item) => element("li", {},
      element("b", {}, [...text].slice(item.start, item.end).join("")), ` ${kindOf(item)} `, element("span", { className: "value" }, percent(item.score)))))
    : element("p", { className: "quiet" }, "No entity was found."));
}

/** Shows an answer in its context: { answer, score, start, end }. */
export function answer(context, { answer: words, score, start, end }) {
  const parts = end > start ? [{ start, end, mark: (part) => element("mark", { className: "kind-0" }, part) }] : [];
  return element("div", {},
    element("p", { className: "big" }, words || "No answer", " ", element("span", { className: "quiet" }, percent(score))),
    marked(context, parts));
}

/** Shows a text with what each word adds to a probability: [{ start, end, contribution }]. */
export function shares(text, found) {
  const largest = Math.max(...found.map(({ contribution }) => Math.abs(contribution)), 1e-9);
  const parts = found.map(({ start, end, contribution }) => ({
    start, end,
    mark: (words) => {
      const made = element("mark", { className: contribution >= 0 ? "for" : "against", title: `${contribution > 0 ? "+" : ""}${(contribution * 100).toFixed(1)} %` }, words);
      made.style.setProperty("--share", `${Math.round(55 * Math.abs(contribution) / largest)}%`);
      return made;
    },
  }));
  return marked(text, parts);
}

const kindOf = ({ entity_group: group, entity }) => group ?? entity;

/** Puts marks around parts of a text: [{ start, end, mark }]; a part that overlaps an earlier one is left out. */
function marked(text, parts) {
  const characters = [...text];
  const children = [];
  let place = 0;
  for (const { start, end, mark } of [...parts].sort((one, other) => one.start - other.start)) {
    if (start < place) continue;
    children.push(characters.slice(place, start).join(""), mark(characters.slice(start, end).join("")));
    place = end;
  }
  return element("p", { className: "marked" }, ...children, characters.slice(place).join(""));
}
