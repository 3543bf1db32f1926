// The page: the reader chooses a model, asks a question and sees the answer.
import * as show from "./answers.js";
import { copyButton, element, linkOf, part } from "./dom.js";
import { loadEdge, sizeOf } from "./edge.js";
import { exported } from "./export.js";
import { takeDrops, takePastes } from "./files.js";
import { ask, functions, unlock } from "./functions.js";
import { askFunctions, explain } from "./questions.js";
import { snippets } from "./snippets.js";
import { canExplain, familyModule, invitation, runsInBrowser } from "./tasks.js";

const SMALL_BYTES = 25e6; // the largest model that "auto" downloads
const MIB = 1024 * 1024;

const source = document.body.dataset.exported ? exported : functions;
const state = { manifest: null, version: "live", family: null, form: null, question: null, edge: null, hasEdge: false, hasExplain: false, limits: null, asked: 0 };

async function start() {
  part("model").addEventListener("change", () => attempt(chooseModel));
  part("version").addEventListener("change", () => attempt(chooseVersion));
  part("where").addEventListener("change", () => {
    part("sure").hidden = chosen() !== "auto";
    attempt(answer);
  });
  part("threshold").addEventListener("change", () => attempt(answer));
  part("unlock").addEventListener("submit", (event) => {
    event.preventDefault();
    unlock(part("key").value);
    part("unlock").hidden = true;
    attempt(open);
  });
  takePastes((file) => { if (state.form?.take && file.type.startsWith(state.form.accepts)) state.form.take(file); });
  takeDrops((file) => attempt(async () => {
    if (state.form?.take) state.form.take(file);
    else if (state.manifest) throw new Error(`${state.manifest.model} does not take files`);
  }));
  await attempt(open);
}

async function open() {
  if (source.canAnswer) {
    const { document: server } = await ask("v2");
    state.hasEdge = server.extensions.includes("edge");
    state.hasExplain = server.extensions.includes("explain");
  } else {
    state.hasEdge = true;
  }
  state.catalogue = await source.catalogue();
  part("model").replaceChildren(...[...state.catalogue.keys()].map((name) => new Option(name)));
  if (state.catalogue.size === 0) throw new Error("The registry has no models yet. Publish one: onnxlet publish MODEL.onnx");
  await chooseModel();
}

async function chooseModel() {
  const versions = [...state.catalogue.get(part("model").value)].reverse();
  const options = versions.map((version) => new Option(String(version), String(version)));
  part("version").replaceChildren(...(source.canAnswer ? [new Option("live", "live")] : []), ...options);
  await chooseVersion();
}

async function chooseVersion() {
  const [model, version] = [part("model").value, part("version").value];
  const manifest = await source.manifest(model, version);
  const family = await familyModule(manifest);
  if (manifest.generation && source.canAnswer) state.limits ??= await generationLimits();
  const example = await source.example(manifest).catch(() => null); // the form works without one
  const form = await family.form({ manifest, example, limits: state.limits }, put);
  if (model !== part("model").value || version !== part("version").value) return; // the reader has chosen another one meanwhile
  Object.assign(state, { version, manifest, family, form, edge: null, question: null });
  part("about").textContent = about(manifest);
  offerPlaces(manifest);
  part("input").replaceChildren(form.box);
  part("input").dataset.model = manifest.model;
  for (const id of ["results", "explanation", "snippets"]) part(id).replaceChildren();
  part("code").hidden = true;
  tell(invitation(manifest));
}

/** Returns the function's limits for one generation, from its own description. */
async function generationLimits() {
  const { document: description } = await ask("openapi.json");
  return description.components.schemas.GenerateRequest.properties;
}

/** Describes a version, its task and its metrics in one line. */
function about(manifest) {
  const names = "accuracy" in manifest.metrics ? ["accuracy"] : Object.keys(manifest.metrics).slice(0, 2);
  const metrics = names.map((name) => `${name.replaceAll("_", " ")} ${manifest.metrics[name].toPrecision(4)}`);
  const made = manifest.provenance.created_at.slice(0, 10);
  const task = manifest.task ? [manifest.task.name.replaceAll("-", " ")] : [];
  return [`Version ${manifest.version} of ${made}, ${manifest.provenance.source}`, ...task, ...metrics].join(" · ");
}

/** Offers the places where this version can run. */
function offerPlaces(manifest) {
  const canEdge = state.hasEdge && runsInBrowser(manifest);
  part("where").hidden = !canEdge || !source.canAnswer;
  if (!canEdge) choose("cloud");
  if (!source.canAnswer) choose("edge");
  part("sure").hidden = part("where").hidden || chosen() !== "auto";
}

const chosen = () => document.querySelector("#where input:checked").value;
const choose = (place) => { document.querySelector(`#where input[value=${place}]`).checked = true; };

/** Asks a question; null removes the previous one. An error is shown instead. */
function put(question, error = null) {
  state.question = error ? null : question;
  part("explanation").replaceChildren();
  attempt(async () => {
    if (error) throw error;
    await answer();
  });
}

async function answer() {
  const { question, manifest, version } = state;
  const asked = (state.asked += 1); // the answer to an older question is not shown
  if (!question) {
    part("results").replaceChildren();
    part("code").hidden = true;
    return tell(invitation(manifest));
  }
  tell("Asking …");
  const answers = await answersTo(question, (partly) => { if (asked === state.asked) part("results").replaceChildren(side(question, partly)); });
  if (asked !== state.asked) return;
  tell("");
  part("results").replaceChildren(element("div", { className: "sides" }, ...answers.map((found) => side(question, found))));
  showCode(manifest, version, question);
  if (state.hasExplain && canExplain(manifest) && answers[0].predictions.length === 1) offerExplanation(manifest, version, question);
}

/** Returns one answer, or two next to each other, from the places that the reader has chosen. */
async function answersTo(question, onPart) {
  const { manifest, version, family } = state;
  const cloud = () => (family.answer ?? askFunctions)(manifest, version, question, onPart);
  const edge = async () => (await edgeModel()).answer(question);
  switch (chosen()) {
    case "edge": return [await edge()];
    case "both": return Promise.all([cloud(), edge()]);
    case "auto": return automatically(cloud, edge);
    default: return [await cloud()];
  }
}

/** Answers at the edge if the model is small and certain, else in the cloud, which also answers while the model loads. */
async function automatically(cloud, edge) {
  if (sizeOf(state.manifest) > SMALL_BYTES) return [await cloud()];
  if (!state.edge?.isLoaded) {
    edgeModel().catch(() => {});
    return [await cloud()];
  }
  const near = await edge();
  const best = near.predictions?.[0].top?.[0].probability ?? 1;
  const isSure = best >= Number(part("threshold").value);
  return isSure ? [near] : [{ ...(await cloud()), note: `used because the edge was only ${(best * 100).toFixed(0)} % certain` }];
}

/** Loads the selected version into this browser, once. */
async function edgeModel() {
  const { manifest } = state;
  state.edge ??= { loading: loadEdge(source, manifest, (share) => tell(`Loading the model: ${Math.round(share * 100)} % of ${(sizeOf(manifest) / MIB).toFixed(1)} MiB`)) };
  const edge = state.edge;
  try {
    const model = await edge.loading;
    if (!edge.isLoaded) tell("");
    edge.isLoaded = true;
    return model;
  } catch (error) {
    if (state.edge === edge) state.edge = null;
    throw error;
  }
}

/** Shows one answer, and which version gave it. */
function side(question, found) {
  const parts = state.family.show(state.manifest, question, found);
  if (found.note) parts.push(element("p", { className: "quiet" }, found.note));
  return element("div", { className: "side", "data-place": found.place }, ...parts, show.signature({ manifest: state.manifest, ...found }));
}

function showCode(manifest, version, question) {
  if (!source.canAnswer) return;
  const { file, snippets: found } = snippets(manifest, version, question);
  const download = file ? [element("p", { className: "quiet" }, "With ", element("a", { href: linkOf(file.blob), download: file.name }, file.name), " in the same folder.")] : [];
  part("code").hidden = false;
  part("snippets").replaceChildren(element("div", { className: "snippets" }, ...found.map(snippet)), ...download);
}

function snippet({ name, lines }) {
  return element("div", { className: "snippet" },
    element("header", { className: "copied" }, element("h3", {}, name), copyButton(lines)),
    element("pre", { tabIndex: 0, role: "region", "aria-label": `This request with ${name}` }, lines));
}

function offerExplanation(manifest, version, question) {
  const button = element("button", { type: "button", onclick: () => attempt(async () => {
    button.disabled = true;
    button.textContent = "Explaining …";
    try {
      const found = await explain(manifest, version, question);
      if (question === state.question) part("explanation").replaceChildren(show.explanation(found, question));
    } finally {
      button.disabled = false;
      button.textContent = "Why?";
    }
  }) }, "Why?");
  part("explanation").replaceChildren(button);
}

/** Takes a step, and shows its error if it fails. */
async function attempt(step) {
  part("problem").hidden = true;
  try {
    await step();
  } catch (error) {
    tell("");
    if (error.code === "unauthenticated") part("unlock").hidden = false;
    part("problem").textContent = error.message;
    part("problem").hidden = false;
    part("code").hidden = true;
    for (const id of ["results", "explanation"]) part(id).replaceChildren();
  }
}

function tell(words) {
  part("status").textContent = words;
}

await start();
