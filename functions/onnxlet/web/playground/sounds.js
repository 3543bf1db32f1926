// Sounds: a recorder and a field for a file, and the answers of the tasks of sounds.
import { bars } from "./answers.js";
import { element, field, linkOf, slider } from "./dom.js";
import { record } from "./recorder.js";
import { isWav, samplesOf, toWav } from "./wav.js";
import { waveform } from "./waveform.js";

/** Creates the form; `take` asks about a file that was dropped. */
export function form({ manifest, example }, ask) {
  const { sampling_rate: rate, threshold: smallest } = manifest.task;
  const threshold = smallest === undefined ? null : slider("Smallest probability of speech", smallest, () => { if (sound) put(); });
  const shown = element("div", { id: "shown" });
  const input = element("input", { type: "file", accept: "audio/*", onchange: () => { if (input.files.length) take(input.files[0]); } });
  const place = element("div", { className: "drop" }, field("Sound: choose or drop a file", input), recorder(take));
  let sound = null;

  const put = () => ask({ ...sound, parameters: threshold ? { threshold: Number(threshold.input.value) } : {} });

  /** Keeps a sound with its samples; what is not WAV is decoded by the browser and sent as WAV. */
  async function read(file) {
    const samples = await samplesOf(file, rate);
    return { file: await isWav(file) ? new Blob([file], { type: "audio/wav" }) : toWav(samples, rate), samples, rate };
  }

  async function take(file) {
    try {
      sound = await read(file);
    } catch (error) {
      return ask(null, error);
    }
    shown.replaceChildren(player(sound));
    return put();
  }

  async function offer({ blob }) {
    const given = await read(blob);
    const button = element("button", { type: "button", className: "main", onclick: () => { sound = given; button.remove(); put(); } }, "Ask about this sound");
    shown.replaceChildren(player(given), button);
  }

  if (example?.type.startsWith("audio/")) offer(example).catch(() => {});
  return { box: element("div", {}, place, shown, threshold && threshold.box), accepts: "audio/", take };
}

/** Shows the answer about a sound. */
export function show(_manifest, { samples, rate }, { predictions: [prediction] }) {
  if (prediction.top) return [bars(prediction.top)];
  if (prediction.text !== undefined) return [element("p", { className: "heard" }, prediction.text || "No words were heard.")];
  const rows = prediction.map(({ start, end }) => element("li", {}, `${start.toFixed(2)} – ${end.toFixed(2)} s`));
  return [waveform(samples, rate, prediction), prediction.length
    ? element("ol", { className: "segments" }, ...rows)
    : element("p", { className: "quiet" }, "No speech was heard.")];
}

function player({ file, samples, rate }) {
  return element("div", {}, waveform(samples, rate), element("audio", { controls: true, src: linkOf(file), "aria-label": "Your sound" }));
}

/** Creates the buttons of a recorder; calls onSound with a WAV file. */
function recorder(onSound) {
  const note = element("p", { className: "quiet", role: "status" });
  const button = element("button", { type: "button", onclick: toggle }, "Record");
  let recording = null;

  async function toggle() {
    if (recording) {
      const stopped = recording;
      recording = null;
      button.textContent = "Record";
      note.textContent = "";
      return onSound(await stopped.stop());
    }
    try {
      recording = await record((seconds) => { if (recording) note.textContent = `Recording … ${seconds} s`; });
      button.textContent = "Stop";
    } catch {
      note.textContent = "There is no microphone, or the page may not use it.";
    }
    return null;
  }
  return element("div", { className: "row" }, navigator.mediaDevices?.getUserMedia ? button : null, note);
}
