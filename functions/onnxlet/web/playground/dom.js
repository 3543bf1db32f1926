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

/** Returns the element with this id. */
export const part = (id) => document.getElementById(id);

/** Returns a URL of a file for an image or a download; it is freed with the page. */
export const linkOf = (blob) => URL.createObjectURL(blob);

/** Creates a field with its label above it. */
export function field(words, control) {
  return element("label", { className: "field" }, words, control);
}

/** Formats a number with at most five significant digits. */
export function short(value) {
  if (typeof value !== "number") return String(value);
  return Number.isInteger(value) ? String(value) : value.toPrecision(5).replace(/\.?0+($|e)/, "$1");
}
