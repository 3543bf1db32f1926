// Texts: a form for each task of texts, and its answer.
import { bars } from "./answers.js";
import { element, field, percent, tick } from "./dom.js";
import * as marks from "./marks.js";
import { taskOf } from "./tasks.js";
import { vectors } from "./vectors.js";

const FIELDS = {
  "question-answering": questionFields, "text-ranking": rankingFields, "zero-shot-classification": choiceFields,
  "feature-extraction": listFields, "sentence-similarity": listFields, "fill-mask": maskFields, "text-classification": pairFields,
};

/** Creates the form of the version's task, filled with its example. */
export async function form({ manifest, example }, ask) {
  const given = await readExample(example);
  const fields = (FIELDS[taskOf(manifest)] ?? textFields)(given, manifest);
  const cuts = taskOf(manifest) !== "question-answering" && !manifest.task.tokenization.truncates;
  const truncate = cuts ? tick(`Cut a text of more than ${manifest.task.tokenization.max_length} tokens`) : null;
  const box = element("form", { className: "inputs", onsubmit: submit, onkeydown: submitByKey },
    ...fields.boxes, truncate && truncate.box,
    element("div", { className: "row" }, element("button", { className: "main" }, "Ask")));

  function submit(event) {
    event.preventDefault();
    const { value, parameters = {} } = fields.read();
    ask({ value, parameters: truncate?.input.checked ? { ...parameters, truncate: true } : parameters });
  }

  function submitByKey(event) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) box.requestSubmit();
  }
  return { box };
}

/** Shows the answer about texts. */
export function show(manifest, { value }, { predictions }) {
  const [prediction] = predictions;
  switch (taskOf(manifest)) {
    case "text-classification": return [bars(prediction.top)];
    case "zero-shot-classification": return [bars(prediction.labels.map((label, rank) => ({ label, probability: prediction.scores[rank] })))];
    case "fill-mask": return filled(prediction);
    case "token-classification": return [marks.entities(value, prediction)];
    case "question-answering": return [marks.answer(value.context, prediction)];
    case "text-ranking": return [ranking(value.texts, prediction)];
    default: return [vectors(predictions, Array.isArray(value) ? value : [value])];
  }
}

/** Returns the example as { value, parameters }. */
async function readExample(example) {
  if (!example) return { value: "", parameters: {} };
  const text = await example.blob.text();
  return { value: example.type.startsWith("application/json") ? JSON.parse(text) : text, parameters: example.parameters };
}

const area = (value, properties = {}) => element("textarea", { className: "prose", value, required: true, ...properties });
const textIn = (value) => (typeof value === "string" ? value : value.text ?? "");

function textFields({ value }) {
  const text = area(textIn(value));
  return { boxes: [field("Text", text)], read: () => ({ value: text.value }) };
}

function pairFields({ value }) {
  const text = area(textIn(value));
  const pair = area(value.text_pair ?? "", { required: false });
  const second = element("details", { open: Boolean(value.text_pair) }, element("summary", {}, "A second text, for a model of pairs"), field("Second text", pair));
  return { boxes: [field("Text", text), second], read: () => ({ value: pair.value ? { text: text.value, text_pair: pair.value } : text.value }) };
}

function maskFields({ value }, { task }) {
  const text = area(textIn(value));
  const insert = element("button", { type: "button", onclick: () => {
    text.setRangeText(task.mask_token, text.selectionStart, text.selectionEnd, "end");
    text.focus();
  } }, `Insert ${task.mask_token}`);
  return { boxes: [field(`Text with ${task.mask_token} for each word to fill in`, text), element("div", { className: "row" }, insert)], read: () => ({ value: text.value }) };
}

function choiceFields({ value, parameters }) {
  const text = area(textIn(value));
  const labels = element("input", { value: (parameters.candidate_labels ?? []).join(", "), required: true });
  const several = tick("Several labels may be true");
  return {
    boxes: [field("Text", text), field("Labels, with commas between them", labels), several.box],
    read: () => ({ value: text.value, parameters: { candidate_labels: labels.value, ...(several.input.checked ? { multi_label: true } : {}) } }),
  };
}

function questionFields({ value }) {
  const question = element("input", { value: value.question ?? "", required: true });
  const context = area(value.context ?? "");
  return { boxes: [field("Question", question), field("Text with the answer", context)], read: () => ({ value: { question: question.value, context: context.value } }) };
}

function rankingFields({ value }) {
  const query = element("input", { value: value.query ?? "", required: true });
  const documents = listOf("Document", value.texts ?? [""], 1);
  return { boxes: [field("Query", query), documents.box], read: () => ({ value: { query: query.value, texts: documents.read() } }) };
}

function listFields({ value }) {
  const given = typeof value === "string" ? [value] : [value.source_sentence, ...value.sentences ?? []];
  const list = listOf("Text", given, 1);
  return {
    boxes: [list.box, element("p", { className: "quiet" }, "Two or more texts are also compared.")],
    read: () => {
      const texts = list.read();
      return { value: texts.length === 1 ? texts[0] : texts };
    },
  };
}

/** Creates a field for each of several texts, with buttons to add and to remove some. */
function listOf(name, values, least) {
  const rows = element("div", { className: "list" });
  const number = () => {
    [...rows.children].forEach((row, index) => {
      row.querySelector("span").textContent = `${name} ${index + 1}`;
      const remove = row.querySelector("button");
      remove.hidden = rows.children.length <= least;
      remove.setAttribute("aria-label", `Remove ${name.toLowerCase()} ${index + 1}`);
    });
  };
  const add = (value) => {
    const text = area(value, { rows: 2 });
    const row = element("div", {}, element("label", { className: "field" }, element("span", {}), text),
      element("button", { type: "button", className: "remove", onclick: () => { row.remove(); number(); } }, "×"));
    rows.append(row);
    number();
    return text;
  };
  values.forEach(add);
  const more = element("button", { type: "button", onclick: () => add("").focus() }, `Add a ${name.toLowerCase()}`);
  return { box: element("div", {}, rows, element("div", { className: "row" }, more)), read: () => [...rows.querySelectorAll("textarea")].map((text) => text.value) };
}

/** Shows the words for one mask, or for each of several. */
function filled(prediction) {
  const masks = Array.isArray(prediction[0]) ? prediction : [prediction];
  return masks.map((words, index) => element("div", { className: "filled" },
    masks.length > 1 ? element("h3", {}, `Mask ${index + 1}`) : null,
    bars(words.map(({ token_str: label, score: probability }) => ({ label, probability }))),
    masks.length > 1 ? null : element("p", { className: "quiet" }, words[0].sequence)));
}

function ranking(texts, found) {
  const areShares = found.every(({ score }) => score >= 0 && score <= 1);
  return element("ol", { className: "ranking" }, ...found.map(({ index, score }) => element("li", {},
    element("span", { className: "value" }, areShares ? percent(score) : score.toFixed(3)), element("span", {}, texts[index]))));
}
