// A recorder for the microphone. A browser's own recorder writes no WAV, so the samples are taken as they come.
import { toWav } from "./wav.js";

/** Starts to record, and calls onSecond with the seconds so far; `stop` returns a WAV file. */
export async function record(onSecond) {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  const context = new AudioContext();
  await context.audioWorklet.addModule(new URL("./worklet.js", import.meta.url));
  const source = context.createMediaStreamSource(stream);
  const tap = new AudioWorkletNode(context, "tap", { numberOfOutputs: 0 });
  const pieces = [];
  let count = 0;
  tap.port.onmessage = ({ data }) => {
    const before = Math.floor(count / context.sampleRate);
    pieces.push(data);
    count += data.length;
    const seconds = Math.floor(count / context.sampleRate);
    if (seconds !== before) onSecond(seconds);
  };
  source.connect(tap);
  onSecond(0);
  return {
    async stop() {
      for (const track of stream.getTracks()) track.stop();
      source.disconnect();
      const rate = context.sampleRate;
      await context.close();
      const samples = new Float32Array(count);
      let place = 0;
      for (const piece of pieces) {
        samples.set(piece, place);
        place += piece.length;
      }
      return toWav(samples, rate);
    },
  };
}
