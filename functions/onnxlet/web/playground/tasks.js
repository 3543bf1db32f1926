// Tasks: which module has the form and the answer of a version's task.
//
// Each module has `form(about, ask)`, which returns { box, accepts, take } and calls ask(question, error), and
// `show(manifest, question, found)`, which returns the elements of an answer.

const FAMILIES = {
  "object-detection": "pictures", "image-segmentation": "pictures", "image-feature-extraction": "pictures",
  "text-classification": "texts", "token-classification": "texts", "fill-mask": "texts", "question-answering": "texts",
  "zero-shot-classification": "texts", "feature-extraction": "texts", "sentence-similarity": "texts", "text-ranking": "texts",
  "tabular-classification": "tables", "tabular-regression": "tables",
  "audio-classification": "sounds", "automatic-speech-recognition": "sounds", "voice-activity-detection": "sounds",
};

const MODULES = {
  pictures: () => import("./pictures.js"),
  texts: () => import("./texts.js"),
  tables: () => import("./tables.js"),
  sounds: () => import("./sounds.js"),
  tensors: () => import("./tensors.js"),
  generation: () => import("./generation.js"),
};

const INVITATIONS = {
  pictures: "Choose a picture to get an answer.",
  sounds: "Record a sound or choose a file to get an answer.",
  generation: "Press Generate to see a result here.",
};

/** Returns what a person sends to a version: the name of the module with its form. */
export function familyOf(manifest) {
  if (manifest.task) return FAMILIES[manifest.task.name] ?? "tensors";
  if (manifest.generation) return "generation";
  return manifest.preprocess ? "pictures" : "tensors";
}

/** Returns the name of a version's task; null for tensors. A manifest without a task says it by its other declarations. */
export function taskOf(manifest) {
  if (manifest.task) return manifest.task.name;
  if (!manifest.classification) return null;
  return manifest.preprocess ? "image-classification" : "tabular-classification";
}

/** Loads the module of a version's form. */
export const familyModule = (manifest) => MODULES[familyOf(manifest)]();

/** Returns what the reader can do first. */
export const invitation = (manifest) => INVITATIONS[familyOf(manifest)] ?? "Press Ask to send the example, or change it first.";

/** Returns whether graphs alone answer: a browser has no tokenizer, no loop and no rules for speech. */
export function runsInBrowser(manifest) {
  const family = familyOf(manifest);
  return ["pictures", "tables", "tensors"].includes(family) || taskOf(manifest) === "audio-classification";
}

/** Returns whether a classifier's answer can be explained. */
export const canExplain = (manifest) => Boolean(manifest.classification) && familyOf(manifest) !== "sounds";
