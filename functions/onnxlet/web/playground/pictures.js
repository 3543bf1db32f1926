// Pictures from a file, the clipboard or a camera.
import { element, field } from "./dom.js";

const ACCEPTED = "image/png,image/jpeg,image/webp,image/gif,image/bmp";

/** Creates a field for pictures; calls onPicture with a file. */
export function pictures(onPicture) {
  const chooser = element("input", {
    type: "file", accept: ACCEPTED, onchange: () => { if (chooser.files.length) onPicture(chooser.files[0]); },
  });
  const place = element("div", { className: "drop" }, field("Picture: choose, drop or paste one", chooser));
  if (navigator.mediaDevices?.getUserMedia) place.append(camera(onPicture));
  return place;
}

/** Accepts files dropped anywhere on the page, which the browser would otherwise open; calls onFile. */
export function takeDrops(onFile) {
  const hasFiles = (event) => event.dataTransfer.types.includes("Files");
  const mark = (isOver) => document.body.classList.toggle("over", isOver);
  document.addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    mark(true);
  });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) mark(false); });
  document.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    mark(false);
    if (event.dataTransfer.files.length) onFile(event.dataTransfer.files[0]);
  });
}

/** Returns a pasted picture, or null. */
export function pasted(event) {
  return [...event.clipboardData?.files ?? []].find((file) => file.type.startsWith("image/")) ?? null;
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
