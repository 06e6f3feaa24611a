/* The page of a model. The script starts once more as a worker, in which the model computes while
   the page answers mouse and keys. */

const MOST_TYPED = 20_000; // characters
const MOST_LAYOUTS = 4; // of a text, until it is twice as long
const MOST_SHOWN = 300; // characters of what was written that are read first
const waiting = []; // of each question to the worker: what takes its answer
const runs = {}; // how often each task began
const answers = {}; // to the last question about each task
const spans = []; // of the text that is read, as far as it is scored
let worker, data, typed;
let units = [], starts = [0]; // what was scored, and where each unit begins
let rest; // the text node of what is not scored yet
let seen; // the tokens and panels that are looked at
let isStopped = false;

function ask(request) {
  worker.postMessage(request);
  return new Promise((resolve) => waiting.push(resolve));
}

/** Do a task, and take its items as they come, until `take` returns false.

    Return whether it came to its end; a newer run of the same task stops an older one. */
async function run(task, settings, take) {
  const number = (runs[task] = (runs[task] ?? 0) + 1);
  await answers[task];
  for (let request = { task, settings }; runs[task] === number; request = { task }) {
    const { items, isDone, error } = await (answers[task] = ask(request));
    if (error) throw new Error(error);
    if (runs[task] !== number) break;
    if (take(items, isDone) === false || isDone) return true;
  }
  return false;
}

/* Write */

async function write() {
  const { elements } = element("settings"), output = element("output"), began = performance.now();
  const settings = { seed: elements.seed.value, count: 1, characters: data.mostCharacters };
  for (const name of ["temperature", "topP", "characters", "count", "rngSeed"]) if (elements[name]?.value) settings[name] = elements[name].valueAsNumber;
  settings.rngSeed ??= Math.floor(Math.random() * 2 ** 32);
  let characters = 0;
  output.replaceChildren();
  element("stop").disabled = isStopped = false;
  element("written").textContent = "writing …";
  const isWhole = await run("write", settings, (items) => {
    for (const { number, text } of items) {
      while (output.children.length <= number) output.append(make("p", "", data.config.task === "pairs" ? "" : make("span", "seed", settings.seed)));
      output.lastElementChild.append(text);
      characters += [...text].length;
    }
    return !isStopped;
  });
  if (!isWhole) return;
  element("stop").disabled = true;
  const seconds = (performance.now() - began) / 1000;
  element("written").textContent = `${characters.toLocaleString("en")} characters in ${seconds.toFixed(1)} s, random seed ${settings.rngSeed}`;
  const written = writtenText(), shown = written.length > MOST_SHOWN ? written.slice(0, MOST_SHOWN).replace(/\S*$/, "") : written;
  for (const box of [typed, element("studied")]) if (data.config.task !== "pairs") box.value ||= shown.trimEnd();
}

const writtenText = () => [...element("output").children].map(({ textContent }) => textContent).join("\n");

async function copy() {
  await navigator.clipboard.writeText(writtenText());
  element("written").textContent = "copied";
}

/** Show the labels of the text, or the tags of its tokens, the likeliest first. */
async function classify() {
  const results = [];
  if (!(await run("classify", element("settings").elements.seed.value, (items) => { results.push(...items); }))) return;
  element("output").replaceChildren(...results.map(({ token, shares }) => {
    const list = make("ol", "shares", shares.slice(0, token === null ? 20 : 3).map(({ name, share }) => shareItem({ name, share, percent: percent(share) })));
    return make("section", "", token === null ? [list] : [make("h3", "", token), list]);
  }));
}

/* Read: the coloured text lies below a text box whose own text cannot be seen. */

const bitsText = (bits) => `${bits.toFixed(2)} bits`;

function showUnit(index) {
  const unit = units[index];
  if (!unit?.top) return;
  const tops = unit.top.map(({ token, share }) => ({ name: named(data.pieces[token] ?? null), share, percent: percent(share), isUnit: token === unit.token }));
  showDetails(unit.isEnd ? named(null) : named(unit.text), {
    Surprisal: bitsText(unit.bits),
    Probability: percent(2 ** -unit.bits),
    Rank: `${unit.rank.toLocaleString("en")} of ${data.outputs.toLocaleString("en")}`,
    Entropy: bitsText(unit.entropy),
  }, tops);
}

/** Put units into the coloured text; spans that are still right stay. */
function putUnits(items, text) {
  const added = [];
  for (const unit of items) {
    const index = units.push(unit) - 1;
    starts.push(starts[index] + unit.text.length);
    if (spans[index]?.textContent !== unit.text) {
      for (const span of spans.splice(index)) span.remove();
      spans.push(make("span", "", unit.text));
      added.push(spans[index]);
    }
    spans[index].className = unit.top ? `heat-${lastUpTo(data.steps, unit.bits)}` : "gap";
    spans[index].dataset.unit = index;
  }
  if (!added.length) return;
  rest.before(...added);
  rest.data = text.slice(starts.at(-1));
}

async function read() {
  const text = typed.value;
  let kept = 0, place = 0, bits = 0, characters = 0, pending = [];
  while (kept < spans.length && text.startsWith(spans[kept].textContent, place)) place += spans[kept++].textContent.length;
  for (const span of spans.splice(kept)) span.remove();
  rest.data = text.slice(place);
  [units, starts] = [[], [0]];
  await run("score", text, (items, isDone) => {
    for (const unit of items) {
      bits += unit.bits ?? 0;
      characters += unit.characters ?? 0;
    }
    pending.push(...items);
    if (isDone || pending.length * MOST_LAYOUTS > units.length) { // a browser lays out all of a text anew
      putUnits(pending, text);
      pending = [];
    }
    element("total").textContent = characters ? `${(bits / characters).toFixed(3)} bits per character; ${bits.toFixed(1)} bits for ${characters.toLocaleString("en")} characters` : "";
  });
  pointAtCaret();
}

function pointAtCaret() {
  if (document.activeElement !== typed || !units.length) return;
  const unit = Math.min(lastUpTo(starts, typed.selectionStart), units.length - 1);
  showUnit(unit);
  element("spoken").textContent = units[unit].top ? `${named(units[unit].text)}, ${bitsText(units[unit].bits)}` : "";
}

/* Look inside */

async function look() {
  const text = element("studied").value, select = element("panel"), chosen = select.value;
  let result;
  await run("look", text, (items) => { result ??= items[0]; });
  element("columns").hidden = !result;
  if (!result) return;
  seen = result;
  select.replaceChildren(...seen.panels.map(({ name }) => make("option", "", name)));
  if (seen.panels.some(({ name }) => name === chosen)) select.value = chosen;
  showPanel();
}

const shortName = (token) => (typeof token === "string" ? Array.from(token, (one) => SIGNS[one] ?? one).join("") : (token === null ? "■" : named(token)));
const shownPanel = () => seen.panels.find(({ name }) => name === element("panel").value);

/** Draw a panel: a column for each token and a row for each unit, with the liveliest unit chosen. */
function showPanel() {
  const { size, vectors } = shownPanel(), canvas = element("heat"), largest = vectors.reduce((most, vector) => vector.reduce((one, value) => Math.max(one, Math.abs(value)), most), 1);
  const names = seen.tokens.map(shortName), width = Math.min(12, Math.max(2, ...names.map((name) => [...name].length + 1)));
  element("columns").style.setProperty("--width", `${width}ch`);
  element("columns").style.setProperty("--tokens", vectors.length);
  [canvas.width, canvas.height] = [vectors.length, size];
  const image = new ImageData(canvas.width, size);
  vectors.forEach((vector, column) => vector.forEach((value, row) => {
    image.data.set([...(value < 0 ? [38, 110, 200] : [214, 92, 20]), 255 * Math.abs(value) / largest], 4 * (row * canvas.width + column));
  }));
  canvas.getContext("2d").putImageData(image, 0, 0);
  element("axis").replaceChildren(...names.map((name) => make("span", "", name)));
  const spread = (unit) => Math.max(...vectors.map((vector) => vector[unit])) - Math.min(...vectors.map((vector) => vector[unit]));
  element("unit").max = size;
  showRow(Array.from({ length: size }, (_, unit) => spread(unit)).reduce((best, value, unit, all) => (value > all[best] ? unit : best), 0));
}

/** Follow a unit over the text: a curve, the colours of the tokens, and a sentence. */
function showRow(unit) {
  const { size, vectors, rows } = shownPanel(), values = vectors.map((vector) => vector[unit]), largest = Math.max(1, ...values.map(Math.abs));
  element("unit").value = unit + 1;
  element("row").style.top = `${(100 * (unit + 0.5)) / size}%`;
  element("curve").setAttribute("viewBox", `0 ${-largest} ${values.length} ${2 * largest}`);
  element("line").setAttribute("d", `M${values.map((value, place) => `${place + 0.5} ${-value}`).join("L")}`);
  const at = (value) => `${value.toFixed(2)} at ${named(seen.tokens[values.indexOf(value)])}`;
  const name = rows ? named(rows[unit]) : `unit ${unit + 1} of ${size}`;
  element("value").textContent = `${name}: lowest ${at(Math.min(...values))}, highest ${at(Math.max(...values))}`;
  [...element("axis").children].forEach((label, place) => {
    label.title = values[place].toFixed(3);
    label.style.setProperty("--share", `${(100 * Math.abs(values[place])) / largest}%`);
    label.classList.toggle("is-negative", values[place] < 0);
  });
}

function choose(tab) {
  for (const other of document.querySelectorAll("[role=tab]")) {
    other.setAttribute("aria-selected", other === tab);
    other.tabIndex = other === tab ? 0 : -1;
    element(other.getAttribute("aria-controls")).hidden = other !== tab;
  }
  if (tab.id === "read-tab") read();
  if (tab.id === "look-tab") look();
}

function listen() {
  const tabs = [...document.querySelectorAll("[role=tab]")].filter(({ hidden }) => !hidden), isOfClasses = data.config.isOfClasses;
  tabs.forEach((tab, index) => {
    tab.addEventListener("click", () => choose(tab));
    tab.addEventListener("keydown", ({ key }) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[key], next = step && tabs.at((index + step) % tabs.length);
      if (!next) return;
      choose(next);
      next.focus();
    });
  });
  element("settings").addEventListener("submit", (event) => { event.preventDefault(); (isOfClasses ? classify : write)(); });
  element("settings").addEventListener("input", ({ target }) => { if (target.type === "range") target.labels[0].querySelector("span").textContent = target.value; if (isOfClasses) classify(); });
  element("stop").addEventListener("click", () => { isStopped = true; });
  element("copy").addEventListener("click", copy);
  typed.addEventListener("input", read);
  for (const name of ["keyup", "click"]) typed.addEventListener(name, pointAtCaret);
  typed.addEventListener("pointermove", ({ clientX, clientY }) => showUnit(Number(document.elementsFromPoint(clientX, clientY).find(({ dataset }) => dataset.unit)?.dataset.unit ?? -1)));
  element("studied").addEventListener("input", look);
  element("panel").addEventListener("change", showPanel);
  element("unit").addEventListener("input", ({ target }) => showRow(target.valueAsNumber - 1));
  element("heat").addEventListener("click", ({ offsetY, target }) => showRow(Math.min(Math.floor((offsetY / target.clientHeight) * target.height), target.height - 1)));
}

async function open(source) {
  data = JSON.parse(element("data").textContent);
  data.pieces = [...Array(256).keys(), ...data.tokenizer.texts, ...data.tokenizer.features, ...data.tokenizer.symbols];
  typed = element("typed");
  typed.maxLength = MOST_TYPED;
  element("text").append((rest = new Text()));
  worker = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
  worker.addEventListener("message", ({ data: answer }) => waiting.shift()(answer));
  document.documentElement.classList.add("scripted");
  for (const id of ["tabs", "write", "missing", "details"]) element(id).toggleAttribute("hidden");
  for (const name of ["error", "unhandledrejection"]) addEventListener(name, ({ reason, message }) => { element("written").textContent = `the page stopped: ${reason ?? message}`; });
  listen();
  await ask({ data });
  await (data.config.isOfClasses ? classify() : write());
}

if (typeof document === "undefined") work(); else open(document.currentScript.textContent);
