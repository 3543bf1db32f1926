// Runs next to the page and passes the microphone's samples on, mixed down to one channel.
class Tap extends AudioWorkletProcessor {
  process([channels]) {
    if (!channels.length) return true;
    const mixed = new Float32Array(channels[0].length);
    for (const channel of channels) channel.forEach((value, index) => { mixed[index] += value / channels.length; });
    this.port.postMessage(mixed, [mixed.buffer]);
    return true;
  }
}
registerProcessor("tap", Tap);
