// Boxes and masks over a picture, with a legend in which each can be hidden.
import { drawn, element, linkOf, percent } from "./dom.js";

const COLOURS = ["#0b62a4", "#b4470b", "#00775a", "#8f3f8a", "#7a5c00", "#a3123f", "#2f5d62", "#5b4bb5"]; // legible under white
const TOP = 0.08; // share of the picture's height: the label of a box above it stands inside of the box

/** Shows what was found in a picture: [{ label, score, box: { xmin, ymin, xmax, ymax } or mask: PNG as base64 }]. */
export function overlay(picture, found) {
  const labels = [...new Set(found.map(({ label }) => label))];
  const colourOf = (label) => COLOURS[labels.indexOf(label) % COLOURS.length];
  const image = element("img", { src: linkOf(picture), alt: `Your picture with what was found in it: ${described(found)}` });
  const stage = element("div", { className: "stage" }, image);
  const items = found.map((item) => legendItem(item, colourOf(item.label)));
  image.addEventListener("load", () => {
    const size = [image.naturalWidth, image.naturalHeight];
    found.forEach((item, index) => {
      const layer = item.mask ? maskOf(item, index, size, colourOf(item.label)) : boxOf(item, size, colourOf(item.label));
      stage.append(layer);
      items[index].follow(layer);
    });
  });
  return element("figure", { className: "overlay" }, stage, found.length
    ? element("ol", { className: "legend" }, ...items.map(({ box }) => box))
    : element("figcaption", { className: "quiet" }, "Nothing was found. A smaller score finds more."));
}

function described(found) {
  if (!found.length) return "nothing";
  const counts = new Map();
  for (const { label } of found) counts.set(label, (counts.get(label) ?? 0) + 1);
  return [...counts].map(([label, count]) => `${count} × ${label}`).join(", ");
}

function legendItem({ label, score }, colour) {
  const shown = element("input", { type: "checkbox", checked: true });
  const swatch = element("i", { "aria-hidden": "true" });
  swatch.style.background = colour;
  const box = element("li", {}, element("label", { className: "tick" }, shown, swatch, element("span", {}, label), element("span", { className: "value" }, scoreOf(score))));
  const follow = (layer) => {
    shown.addEventListener("change", () => layer.classList.toggle("off", !shown.checked));
    box.addEventListener("pointerenter", () => layer.classList.add("pointed"));
    box.addEventListener("pointerleave", () => layer.classList.remove("pointed"));
  };
  return { box, follow };
}

function boxOf({ label, score, box: { xmin, ymin, xmax, ymax } }, [width, height], colour) {
  const name = element("span", {}, [label, scoreOf(score)].filter(Boolean).join(" "));
  const made = element("div", { className: ymin < TOP * height ? "box inside" : "box", "aria-hidden": "true" }, name);
  const share = (value, whole) => `${(100 * value / whole).toFixed(3)}%`;
  Object.assign(made.style, {
    left: share(xmin, width), top: share(ymin, height), width: share(xmax - xmin, width), height: share(ymax - ymin, height), borderColor: colour,
  });
  name.style.background = colour;
  return made;
}

/** Colours the white pixels of a mask. */
function maskOf({ mask }, index, [width, height], colour) {
  const id = `mask-${Date.now()}-${index}`;
  const size = { width, height };
  return drawn("svg", { viewBox: `0 0 ${width} ${height}`, class: "mask", "aria-hidden": "true" },
    drawn("mask", { id }, drawn("image", { href: `data:image/png;base64,${mask}`, ...size })),
    drawn("rect", { ...size, fill: colour, mask: `url(#${id})` }));
}

const scoreOf = (score) => (typeof score === "number" ? percent(score) : "");
