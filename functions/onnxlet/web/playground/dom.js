// Helpers for the page's elements.

/** Creates an element with properties (those that begin with "on" are listeners, "data-" and "aria-" attributes) and children. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made && !name.includes("-")) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** Creates an SVG element with attributes and children. */
export function drawn(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** Returns the element with this id. */
export const part = (id) => document.getElementById(id);

/** Returns a URL of a file for an image or a download; it is freed with the page. */
export const linkOf = (blob) => URL.createObjectURL(blob);

/** Creates a field with its label above it. */
export function field(words, control) {
  return element("label", { className: "field" }, words, control);
}

/** Creates a box to tick with its label behind it. */
export function tick(words, isTicked = false) {
  const input = element("input", { type: "checkbox", checked: isTicked });
  return { input, box: element("label", { className: "tick" }, input, words) };
}

/** Creates a slider from 0 to 1; calls onChange when the reader has chosen a value. */
export function slider(words, value, onChange) {
  const shown = element("b", { "aria-hidden": "true" }, value.toFixed(2));
  const input = element("input", {
    type: "range", min: 0, max: 1, step: 0.01, onchange: onChange, oninput: () => { shown.textContent = Number(input.value).toFixed(2); },
  });
  input.value = value;
  return { input, box: element("label", { className: "field slider" }, element("span", {}, words, " ", shown), input) };
}

/** Creates a table from its heads and rows; the first cell of each row is its head. */
export function table(heads, rows) {
  return element("table", {},
    element("thead", {}, element("tr", {}, ...heads.map((words) => element("th", { scope: "col" }, words)))),
    element("tbody", {}, ...rows.map(([first, ...cells]) => element("tr", {},
      element("th", { scope: "row" }, first), ...cells.map((cell) => element("td", {}, cell))))));
}

/** Puts something wide into a box that scrolls. */
export function scroll(words, child) {
  return element("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": words }, child);
}

/** Creates a button that copies a text; null where the page may not write to the clipboard. */
export function copyButton(text) {
  if (!navigator.clipboard) return null;
  const button = element("button", { type: "button", className: "copy", onclick: async () => { await navigator.clipboard.writeText(text); button.textContent = "Copied"; } }, "Copy");
  return button;
}

/** Formats a number with at most five significant digits. */
export function short(value) {
  if (typeof value !== "number") return String(value);
  return Number.isInteger(value) ? String(value) : value.toPrecision(5).replace(/\.?0+($|e)/, "$1");
}

/** Formats a probability. */
export function percent(probability) {
  return `${(probability * 100).toFixed(probability > 0.9995 || probability < 0.0005 ? 2 : 1)} %`;
}
