// A canvas for drawing with a mouse, pen, finger or keyboard.
import { element } from "./dom.js";

const SIDE = 280; // pixels
const STROKE = 22; // pixels: as thick as a pen on paper if the model's side is 28
const STEP = 8; // pixels per arrow key
const INKS = [["#fff", "#000"], ["#000", "#fff"]]; // ink and paper

/** Creates a canvas; calls onDrawn with a PNG after each stroke, and with null after it is cleared. `forget` empties it. */
export function drawing(onDrawn) {
  const canvas = element("canvas", {
    width: SIDE, height: SIDE, className: "canvas", tabIndex: 0,
    role: "img", "aria-label": "Draw here. Arrow keys move the pen, space puts it down or lifts it, delete clears.",
  });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const hint = element("p", { className: "hint", "aria-hidden": "true" }, "Draw here");
  let ink = 0;
  let strokes = []; // each a list of points
  let pen = null; // the position of the keyboard's pen
  let isDown = false;

  const draw = () => {
    const [colour, paper] = INKS[ink];
    hint.hidden = strokes.length > 0;
    context.fillStyle = paper;
    context.fillRect(0, 0, SIDE, SIDE);
    context.strokeStyle = colour;
    context.lineWidth = STROKE;
    context.lineCap = context.lineJoin = "round";
    for (const [first, ...others] of strokes) {
      context.beginPath();
      context.moveTo(...first);
      for (const point of others.length ? others : [first]) context.lineTo(...point);
      context.stroke();
    }
  };
  const drawPen = () => { // shown but never sent: it is drawn after the PNG is made
    if (!pen) return;
    context.strokeStyle = isDown ? "#e0442e" : "#7d8797";
    context.lineWidth = 2;
    context.beginPath();
    context.arc(...pen, STROKE / 2, 0, 2 * Math.PI);
    context.stroke();
  };
  const tell = () => {
    draw();
    if (strokes.length) canvas.toBlob((picture) => onDrawn(picture), "image/png");
    drawPen();
  };
  const forget = () => {
    strokes = [];
    isDown = false;
    draw();
    drawPen();
  };
  const clear = () => {
    forget();
    onDrawn(null);
  };
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * SIDE / box.width, (event.clientY - box.top) * SIDE / box.height];
  };

  let isDrawing = false;
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    isDrawing = true;
    pen = null;
    strokes.push([at(event)]);
    draw();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!isDrawing) return;
    strokes.at(-1).push(at(event));
    draw();
  });
  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, () => {
      if (isDrawing) tell();
      isDrawing = false;
    });
  }

  const moves = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };
  canvas.addEventListener("keydown", (event) => {
    const move = moves[event.key];
    if (!move && ![" ", "Delete", "Backspace"].includes(event.key)) return;
    event.preventDefault();
    if (event.key === "Delete" || event.key === "Backspace") return clear();
    pen ??= [SIDE / 2, SIDE / 2];
    if (move) {
      pen = pen.map((value, axis) => Math.min(SIDE, Math.max(0, value + move[axis])));
      if (isDown) strokes.at(-1).push(pen);
    } else {
      isDown = !isDown;
      if (isDown) strokes.push([pen]);
      else return tell();
    }
    draw();
    drawPen();
  });

  draw();
  const box = element("div", { className: "drawing" },
    canvas,
    hint,
    element("div", { className: "row" },
      element("button", { type: "button", onclick: clear }, "Clear"),
      element("button", { type: "button", onclick: () => { ink = 1 - ink; tell(); } }, "Swap ink and paper")));
  return { box, forget };
}
