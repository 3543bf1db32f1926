// The answers of the tasks of pictures from their postprocess graphs, in this browser.

/** Returns the answer for one picture as the functions give it. */
export async function answerOf(ort, postprocess, given, task, size, parameters) {
  const known = new Set(postprocess.inputNames);
  const threshold = Number(parameters?.threshold ?? task.threshold);
  const settings = { size: () => int64(ort, size), threshold: () => float(ort, threshold), mask_threshold: () => float(ort, task.mask_threshold) };
  for (const [name, make] of Object.entries(settings)) if (known.has(name)) given[name] = make();
  const found = await postprocess.run(given);
  switch (task.name) {
    case "object-detection": return boxes(found, task.labels);
    case "image-segmentation": return masks(found, task.labels);
    default: return [...found.vectors.data];
  }
}

const int64 = (ort, values) => new ort.Tensor("int64", BigInt64Array.from(values, BigInt), [values.length]);
const float = (ort, value) => new ort.Tensor("float32", Float32Array.of(value), [1]);
const labelOf = (labels, index) => labels[Number(index)] ?? String(index);

function boxes({ boxes: corners, scores, classes }, labels) {
  return [...scores.data].map((score, index) => {
    const [xmin, ymin, xmax, ymax] = corners.data.slice(4 * index, 4 * index + 4);
    return { label: labelOf(labels, classes.data[index]), score, box: { xmin, ymin, xmax, ymax } };
  });
}

function masks({ masks: { data, dims }, scores, classes }, labels) {
  const [, height, width] = dims;
  return Promise.all([...scores.data].map(async (score, index) => ({
    label: labelOf(labels, classes.data[index]), score: Number.isNaN(score) ? null : score,
    mask: await toPng(data.subarray(index * height * width, (index + 1) * height * width), width, height),
  })));
}

/** Returns a grey PNG file as base64. */
async function toPng(values, width, height) {
  const canvas = new OffscreenCanvas(width, height);
  const image = new ImageData(width, height);
  values.forEach((value, pixel) => image.data.set([value, value, value, 255], 4 * pixel));
  canvas.getContext("2d").putImageData(image, 0, 0);
  const bytes = new Uint8Array(await (await canvas.convertToBlob({ type: "image/png" })).arrayBuffer());
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}
