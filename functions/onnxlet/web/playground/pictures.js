// Pictures: the form for a file, the clipboard, a camera or a drawing, and the answers of the tasks of pictures.
import { bars, outputs } from "./answers.js";
import { element, field, linkOf, slider } from "./dom.js";
import { drawing } from "./drawing.js";
import { overlay } from "./overlay.js";
import { toOutputs } from "./questions.js";
import { taskOf } from "./tasks.js";
import { vectors } from "./vectors.js";

const ACCEPTED = "image/png,image/jpeg,image/webp,image/gif,image/bmp";
const MAX_DRAWN_PIXELS = 64; // the longest side of a model's picture that is drawn by hand

/** Creates the form; `take` asks about a file that was dropped or pasted. */
export function form({ manifest, example }, ask) {
  const { channels, height, width } = manifest.preprocess;
  const isSmall = height <= MAX_DRAWN_PIXELS && width <= MAX_DRAWN_PIXELS;
  const canvas = isSmall && channels === 1 ? drawing((picture) => { shown.replaceChildren(); put(picture); }) : null;
  const threshold = hasThreshold(manifest) ? slider("Smallest score", manifest.task.threshold, () => { if (file) put(file); }) : null;
  const shown = element("div", { id: "shown" });
  let file = null;

  function put(picture) {
    file = picture;
    ask(picture && { file: picture, parameters: threshold ? { threshold: Number(threshold.input.value) } : {} });
  }

  function take(picture) {
    canvas?.forget();
    shown.replaceChildren(imageOf(picture, "Your picture", isSmall));
    put(picture);
  }

  if (example?.type.startsWith("image/")) {
    const button = element("button", { type: "button", className: "main", onclick: () => { button.remove(); put(example.blob); } }, "Ask about this picture");
    shown.append(imageOf(example.blob, "The model's example", isSmall), button);
  }
  return { box: element("div", {}, canvas && canvas.box, chooser(take), shown, threshold && threshold.box), accepts: "image/", take };
}

/** Shows the answer about a picture. */
export function show(manifest, question, { predictions, outputs: found }) {
  if (found) return [outputs(found)];
  const [prediction] = predictions;
  if (prediction.top) return [bars(prediction.top)];
  switch (taskOf(manifest)) {
    case "object-detection":
    case "image-segmentation": return [overlay(question.file, prediction)];
    case "image-feature-extraction": return [vectors([prediction])];
    default: return [outputs(toOutputs(manifest, prediction))];
  }
}

/** Returns whether the smallest score matters: masks of classes are always answered. */
function hasThreshold({ task }) {
  return task?.name === "object-detection" || (task?.name === "image-segmentation" && !["classes", "mask"].includes(task.head));
}

function imageOf(picture, words, isSmall) {
  const image = element("img", { src: linkOf(picture), alt: words, className: isSmall ? "shown small" : "shown", onerror: () => image.remove() });
  return image;
}

/** Creates a field for pictures; calls onPicture with a file. */
function chooser(onPicture) {
  const input = element("input", {
    type: "file", accept: ACCEPTED, onchange: () => { if (input.files.length) onPicture(input.files[0]); },
  });
  const place = element("div", { className: "drop" }, field("Picture: choose, drop or paste one", input));
  if (navigator.mediaDevices?.getUserMedia) place.append(camera(onPicture));
  return place;
}

function camera(onPicture) {
  const note = element("p", { className: "quiet" });
  const open = element("button", { type: "button", onclick: start }, "Use the camera");
  const box = element("div", { className: "row" }, open, note);

  async function start() {
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    } catch {
      note.textContent = "There is no camera, or the page may not use it.";
      return;
    }
    const video = element("video", { autoplay: true, playsInline: true, muted: true, srcObject: stream });
    const take = element("button", { type: "button", className: "main", onclick: () => shoot(video, stream) }, "Take the picture");
    box.replaceChildren(take, video);
    take.focus();
  }

  function shoot(video, stream) {
    const canvas = element("canvas", { width: video.videoWidth, height: video.videoHeight });
    canvas.getContext("2d").drawImage(video, 0, 0);
    for (const track of stream.getTracks()) track.stop();
    box.replaceChildren(open, note);
    canvas.toBlob((picture) => onPicture(picture), "image/jpeg", 0.92);
  }
  return box;
}
