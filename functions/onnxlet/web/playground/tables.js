// Tables: a field for each column or rows as CSV, and the answer to each row.
import { bars } from "./answers.js";
import { element, field, percent, scroll, short, table } from "./dom.js";

const MAX_FIELDS = 100; // the most columns with a field each
const MAX_ROWS = 200; // the most answers that are shown
const WORDS = { BYTES: "text", BOOL: "true or false" };

/** Creates the form, filled with a sample row; `take` asks about a file with CSV. */
export async function form({ manifest, example }, ask) {
  const columns = manifest.task.columns.map(({ name, input }) => ({ name, datatype: manifest.inputs.find((spec) => spec.name === input).datatype }));
  const sample = await sampleOf(columns, example);
  const cells = columns.length <= MAX_FIELDS ? columns.map((column) => cellOf(column, sample[column.name])) : [];
  const csv = element("textarea", { spellcheck: false, value: toCsv(columns, [sample]), "aria-label": "Rows as CSV" });
  const grid = element("div", { className: "columns" }, ...cells.map(({ box }) => box));
  const rows = element("div", {}, element("p", { className: "quiet" }, "The first line names the columns. Paste rows, or drop a file."), csv);
  const places = [["One row", grid], ["Several rows", rows]].filter(([, place]) => place !== grid || cells.length);
  const choice = switchOf("Rows", places);
  const box = element("form", { className: "inputs", onsubmit: submit }, places.length > 1 ? choice.box : null, ...places.map(([, place]) => place),
    element("div", { className: "row" }, element("button", { className: "main" }, "Ask")));

  function submit(event) {
    event?.preventDefault();
    ask(choice.chosen() === rows ? { csv: csv.value } : { rows: [Object.fromEntries(cells.map(({ name, read }) => [name, read()]))] });
  }

  async function take(file) {
    csv.value = await file.text();
    choice.choose(rows);
    submit();
  }
  return { box, accepts: "text/", take };
}

/** Shows the answer to one row, or a table of the answers to several. */
export function show(manifest, _question, { predictions }) {
  const [first] = predictions;
  if (predictions.length === 1) return [first.top ? bars(first.top) : values(manifest, first)];
  const shown = predictions.slice(0, MAX_ROWS);
  const heads = first.top ? ["Row", "Answer", "Probability"] : ["Row", ...namesOf(manifest, first)];
  const rows = shown.map((item, index) => [String(index + 1), ...(item.top ? [item.label, percent(item.probability)] : cellsOf(item))]);
  const rest = predictions.length > MAX_ROWS ? [element("p", { className: "quiet" }, `The first ${MAX_ROWS} of ${predictions.length} rows.`)] : [];
  return [scroll("Answers", table(heads, rows)), ...rest];
}

/** Shows the outputs for one row: a number, or a value for each output. */
function values(manifest, prediction) {
  const names = namesOf(manifest, prediction);
  return element("dl", { className: "values" }, ...cellsOf(prediction).map((value, index) => element("div", {},
    element("dt", { className: "quiet" }, names[index]), value === "" ? element("dd", { className: "quiet" }, "(an empty text)") : element("dd", { className: "big" }, value))));
}

const isObject = (prediction) => typeof prediction === "object" && prediction !== null && !Array.isArray(prediction);
const namesOf = (manifest, prediction) => (isObject(prediction) ? Object.keys(prediction) : [manifest.outputs[0].name]);
const cellsOf = (prediction) => (isObject(prediction) ? Object.values(prediction) : [prediction]).map((value) => (Array.isArray(value) ? value.map(short).join(", ") : short(value)));

/** Returns a row by column: the example's, or zeros and empty texts. */
async function sampleOf(columns, example) {
  const sample = Object.fromEntries(columns.map(({ name, datatype }) => [name, datatype === "BYTES" ? "" : datatype === "BOOL" ? false : 0]));
  if (!example?.type.startsWith("application/json")) return sample;
  const given = JSON.parse(await example.blob.text());
  const [row] = Array.isArray(given) ? given : given.instances ?? [given];
  return { ...sample, ...row };
}

/** Creates the field of one column. */
function cellOf({ name, datatype }, value) {
  const isWhole = /^U?INT/.test(datatype);
  const hint = element("span", { className: "hint-type" }, WORDS[datatype] ?? (isWhole ? "whole number" : "number"));
  const input = datatype === "BOOL"
    ? element("select", {}, ...["true", "false"].map((option) => new Option(option, option, false, option === String(value))))
    : element("input", { type: datatype === "BYTES" ? "text" : "number", step: isWhole ? 1 : "any", required: isWhole, value: value === null ? "" : String(value) });
  const read = () => {
    if (datatype === "BYTES") return input.value;
    if (datatype === "BOOL") return input.value === "true";
    return input.value === "" ? null : Number(input.value); // no value: the model gets NaN
  };
  return { name, read, box: field(element("span", {}, name, " ", hint), input) };
}

function toCsv(columns, rows) {
  const cell = (value) => (/[",\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : String(value ?? ""));
  const names = columns.map(({ name }) => name);
  return [names, ...rows.map((row) => names.map((name) => row[name]))].map((line) => line.map(cell).join(",")).join("\n");
}

/** Creates a switch that shows one of several places: [[words, place]]. */
function switchOf(words, places) {
  let current = null;
  const inputs = places.map(([, place]) => element("input", { type: "radio", name: "rows", onchange: () => choose(place) }));
  const box = element("fieldset", { className: "switch" }, element("legend", {}, words),
    element("div", {}, ...places.map(([name], index) => element("label", {}, inputs[index], element("span", {}, name)))));
  function choose(place) {
    current = place;
    places.forEach(([, other], index) => {
      other.hidden = other !== place;
      other.querySelectorAll("input, textarea, select").forEach((input) => { input.disabled = other !== place; });
      inputs[index].checked = other === place;
    });
  }
  choose(places[0][1]);
  return { box, choose, chosen: () => current };
}
