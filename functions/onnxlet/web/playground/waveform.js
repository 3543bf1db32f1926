// The waveform of a sound, with parts of it marked.
import { drawn, element } from "./dom.js";

const WIDTH = 480, HEIGHT = 96; // of the drawing's own units

/** Draws a sound: samples from -1 to 1 at a rate, and parts [{ start, end }] in seconds. */
export function waveform(samples, rate, parts = []) {
  const seconds = samples.length / rate || 1;
  const marks = parts.map(({ start, end }) => drawn("rect", { class: "part", x: WIDTH * start / seconds, y: 0, width: WIDTH * (end - start) / seconds, height: HEIGHT }));
  const words = parts.length ? `, ${parts.length} parts of it marked` : "";
  return element("figure", { className: "waveform" },
    drawn("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": `A sound of ${seconds.toFixed(1)} s${words}` },
      ...marks, drawn("path", { d: outline(samples) })),
    element("figcaption", { className: "quiet" }, `${seconds.toFixed(2)} s`));
}

/** Returns a path with the lowest and the highest sample of each column. */
function outline(samples) {
  const size = Math.max(1, Math.floor(samples.length / WIDTH));
  const lines = [];
  for (let column = 0; column < WIDTH && column * size < samples.length; column += 1) {
    let low = 0, high = 0;
    for (const value of samples.subarray(column * size, (column + 1) * size)) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
    const place = (value) => (HEIGHT / 2 * (1 - Math.max(-1, Math.min(1, value)))).toFixed(1);
    lines.push(`M${column + 0.5} ${place(high)}V${place(low - 0.01)}`);
  }
  return lines.join("");
}
