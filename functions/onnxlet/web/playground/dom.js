// The elements that this page is made of.

/** An element with properties (those that begin with "on" are listeners, "data-" and "aria-" attributes) and children. */
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

/** The element of the page with this id. */
export const part = (id) => document.getElementById(id);

/** A file as a link that an image can show; it is let go with the page. */
export const linkOf = (blob) => URL.createObjectURL(blob);

/** A labelled field: its words stand above it. */
export function field(words, control) {
  return element("label", { className: "field" }, words, control);
}

/** A number with as many digits as a reader wants. */
export function short(value) {
  if (typeof value !== "number") return String(value);
  return Number.isInteger(value) ? String(value) : value.toPrecision(5).replace(/\.?0+($|e)/, "$1");
}
