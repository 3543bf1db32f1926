// WAV files: 16 bit, one channel.

const HEADER_BYTES = 44;

/** Writes samples from -1 to 1 as a WAV file. */
export function toWav(samples, rate) {
  const bytes = new DataView(new ArrayBuffer(HEADER_BYTES + 2 * samples.length));
  const tag = (place, letters) => [...letters].forEach((letter, index) => bytes.setUint8(place + index, letter.charCodeAt(0)));
  tag(0, "RIFF");
  bytes.setUint32(4, bytes.byteLength - 8, true);
  tag(8, "WAVEfmt ");
  bytes.setUint32(16, 16, true);
  bytes.setUint16(20, 1, true); // integers
  bytes.setUint16(22, 1, true); // one channel
  bytes.setUint32(24, rate, true);
  bytes.setUint32(28, 2 * rate, true);
  bytes.setUint16(32, 2, true);
  bytes.setUint16(34, 16, true);
  tag(36, "data");
  bytes.setUint32(40, 2 * samples.length, true);
  samples.forEach((value, index) => bytes.setInt16(HEADER_BYTES + 2 * index, Math.round(32767 * Math.max(-1, Math.min(1, value))), true));
  return new Blob([bytes], { type: "audio/wav" });
}

/** Returns whether a file is WAV, whatever its name says. */
export async function isWav(file) {
  const head = new TextDecoder("latin1").decode(await file.slice(0, 12).arrayBuffer());
  return head.startsWith("RIFF") && head.endsWith("WAVE");
}

/** Decodes a sound and mixes it down to one channel with this rate. */
export async function samplesOf(file, rate) {
  const context = new OfflineAudioContext(1, 1, rate);
  const sound = await context.decodeAudioData(await file.arrayBuffer()).catch(() => {
    throw new Error("This browser cannot read this file as a sound.");
  });
  const mixed = new Float32Array(sound.length);
  for (let channel = 0; channel < sound.numberOfChannels; channel += 1) {
    sound.getChannelData(channel).forEach((value, index) => { mixed[index] += value / sound.numberOfChannels; });
  }
  return mixed;
}
