/* The page of a model. The script starts once more as a worker, in which the model computes while
   the page answers mouse and keys. */

const MOST_TYPED = 20_000; // characters
const MOST_LAYOUTS = 4; // of a text, until it is twice as long
const MOST_LABELS = 20, MOST_TAGS = 3; // that are shown of a text or token
const LONGEST_EXCERPT = 300; // characters of what was written that are offered to the other tabs
const waiting = []; // functions that take the worker's answers, oldest first
const runs = {}; // how often each task began
const pending = {}; // the last answer about each task
const spans = []; // of the text that is read, as far as it is scored
const owned = new Set(); // boxes in which somebody has typed
let worker, data, typed;
let units = [], starts = [0]; // what was scored, and where each unit begins
let rest; // the text node of what is not scored yet
let isStopped = false;
let usedSeed = null; // the random seed of what was written last

/** Return the worker's answer to a question. */
async function ask(request) {
  worker.postMessage(request);
  const answer = await new Promise((resolve) => waiting.push(resolve));
  if (answer.error) throw new Error(answer.error);
  return answer;
}

/** Do a task, and take its items as they come, until `take` returns false.

    Return whether it came to its end; a newer run of the same task stops an older one. */
async function run(task, settings, take) {
  const number = (runs[task] = (runs[task] ?? 0) + 1);
  await pending[task]?.catch(() => null);
  for (let request = { task, settings }; runs[task] === number; request = { task }) {
    const { items, isDone } = await (pending[task] = ask(request));
    if (runs[task] !== number) break;
    if (take(items, isDone) === false || isDone) return true;
  }
  return false;
}

/* Write */

/** Return what the texts to write begin with: of pairs the sources, of lines all the same. */
function seedTexts() {
  const { seed, count } = element("settings").elements, { task } = data.config;
  if (task === "pairs") return seed.value.split("\n").filter((line) => line.trim());
  return task === "lines" ? Array(count.valueAsNumber || 1).fill(seed.value.split("\n")[0]) : [seed.value];
}

async function write() {
  const { elements } = element("settings"), output = element("output"), began = performance.now();
  if (data.config.task === "pairs" && !seedTexts().length) {
    element("written").textContent = "type a source first";
    return;
  }
  const settings = { seeds: seedTexts(), characters: data.mostCharacters, rngSeed: Math.floor(Math.random() * 2 ** 32) };
  for (const name of ["temperature", "topP", "characters", "rngSeed"]) {
    if (elements[name]?.value) settings[name] = elements[name].valueAsNumber;
  }
  let heads = settings.seeds;
  if (data.config.task === "pairs") heads = heads.map((seed) => (heads.length > 1 ? `${seed}\t` : ""));
  let characters = 0;
  output.replaceChildren();
  element("stop").disabled = isStopped = false;
  element("written").textContent = "writing …";
  const isWhole = await run("write", settings, (items) => {
    for (const { number, text } of items) {
      while (output.children.length <= number) output.append(make("div", "", make("span", "seed", heads[output.children.length])));
      output.lastElementChild.append(text);
      characters += [...text].length;
    }
    return !isStopped;
  });
  if (!isWhole) return;
  element("stop").disabled = true;
  const seconds = (performance.now() - began) / 1000;
  element("written").textContent = `${characters.toLocaleString("en")} characters in ${seconds.toFixed(1)} s`;
  usedSeed = settings.temperature ? settings.rngSeed : null;
  element("again").hidden = usedSeed === null;
  element("again").textContent = `again with random seed ${usedSeed}`;
  if (data.config.task !== "pairs") offer(beginningOf(writtenText()));
}

const writtenText = () => [...element("output").children].map(({ textContent }) => textContent).join("\n");

/** Return the beginning of a text: whole lines, else whole words, else characters. */
function beginningOf(text) {
  const characters = Array.from(text);
  if (characters.length <= LONGEST_EXCERPT) return text;
  const excerpt = characters.slice(0, LONGEST_EXCERPT).join("");
  return (data.config.task === "lines" ? excerpt.replace(/\n[^\n]*$/, "") : excerpt.replace(/\s\S*$/, "")) || excerpt;
}

const isFree = (box) => !owned.has(box) && document.activeElement !== box;

/** Put a text into the boxes of the other tabs, unless somebody has typed there or is about to. */
function offer(text) {
  const studied = element("studied"), line = data.config.task === "text" ? text : text.split("\n")[0].split("\t")[0];
  if (isFree(typed)) typed.value = text.trimEnd();
  if (isFree(studied)) studied.value = line.slice(0, studied.maxLength).trimEnd();
  if (!element("read").hidden) read();
  if (!element("look").hidden) look();
}

async function copy() {
  try {
    await navigator.clipboard.writeText(writtenText());
    element("written").textContent = "copied";
  } catch { // a browser allows it on secure pages only
    getSelection().selectAllChildren(element("output"));
    element("written").textContent = "the text is selected: copy it with the keyboard or the menu";
  }
}

/** Show the labels of the text, or the tags of its tokens, the likeliest first. */
async function classify() {
  const results = [];
  if (!(await run("classify", element("settings").elements.seed.value, (items) => { results.push(...items); }))) return;
  const most = data.config.task === "labels" ? MOST_LABELS : MOST_TAGS;
  element("output").replaceChildren(...results.map(({ name, shares }) => {
    const items = shares.slice(0, most).map((one) => shareItem({ ...one, shown: percent(one.share) }));
    return make("section", "", [make("h3", "", name), make("ol", "shares", items)]);
  }));
}

/* Read: the coloured text lies below a text box whose own text cannot be seen. */

const bitsText = (bits) => `${bits.toFixed(2)} bits`;

function nameOfUnit({ isEnd, text }) {
  if (!isEnd) return named(text);
  return data.config.task === "text" ? "end of text" : named(null);
}

/** Return whether a unit is in no token of the vocabulary but in bytes. */
const isOutside = ({ token, isEnd }) => !isEnd && typeof data.pieces[token] === "number" && data.tokenizer.kind !== "byte";

function showUnit(index) {
  const unit = units[index];
  if (!unit?.top) return;
  element("text").querySelector(".current")?.classList.remove("current");
  spans[index]?.classList.add("current");
  const share = 2 ** -unit.bits, tops = unit.top.map((top) => {
    const name = top.token in data.pieces ? named(data.pieces[top.token]) : nameOfUnit({ isEnd: true });
    return { name, share: top.share, shown: percent(top.share), isUnit: top.token === unit.token };
  });
  if (!tops.some(({ isUnit }) => isUnit)) tops.push({ name: nameOfUnit(unit), share, shown: percent(share), isUnit: true });
  showDetails(nameOfUnit(unit), {
    Surprisal: bitsText(unit.bits),
    Probability: percent(share),
    Rank: `${unit.rank.toLocaleString("en")} of ${data.outputs.toLocaleString("en")}`,
    Entropy: bitsText(unit.entropy),
    ...(isOutside(unit) ? { Vocabulary: "not in it" } : {}),
  }, tops);
}

/** Return the score of what is read so far, in words. */
function totalText(isDone) {
  const scored = units.filter(({ top }) => top), bits = scored.reduce((sum, unit) => sum + unit.bits, 0);
  const characters = scored.reduce((sum, unit) => sum + unit.characters, 0);
  if (!characters && data.config.task === "pairs" && typed.value.trim()) return "Nothing is scored: a line is a source, a tab and a target.";
  if (!characters) return "";
  const bitsPerCharacter = bits / characters, isCut = typed.value.length === MOST_TYPED;
  const excerpt = isCut ? `The first ${MOST_TYPED.toLocaleString("en")} characters: ` : "";
  const ends = data.config.predictsBoundary && data.config.task !== "text" ? ", line ends included" : "";
  return `${isDone ? excerpt : "So far: "}${bitsPerCharacter.toFixed(3)} bits per character: `
    + `as hard as one of ${(2 ** bitsPerCharacter).toFixed(1)} equally likely characters each time. `
    + `${bits.toFixed(1)} bits for ${characters.toLocaleString("en")} characters${ends}.`;
}

const mostSurprising = () => units.reduce((best, { bits }, index) => (bits > (units[best].bits ?? 0) ? index : best), 0);

/** Return the name of the most surprising unit, and what stands before it. */
function mostText() {
  const index = mostSurprising(), before = units.slice(Math.max(0, index - 12), index).map(({ text }) => text).join("");
  const where = before ? ` after “${Array.from(before, (one) => (one === " " ? one : (SIGNS[one] ?? one))).join("")}”` : "";
  return `Most surprising: ${nameOfUnit(units[index])}${where}, ${bitsText(units[index].bits)}`;
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
    spans[index].className = `${unit.text === "\n" ? "line-end " : ""}${unit.top ? `heat-${lastUpTo(data.steps, unit.bits)}` : "gap"}`;
    spans[index].dataset.unit = index;
  }
  if (!added.length) return;
  rest.before(...added);
  rest.data = text.slice(starts.at(-1));
}

async function read() {
  const text = typed.value;
  let kept = 0, place = 0, unshown = [];
  while (kept < spans.length && text.startsWith(spans[kept].textContent, place)) place += spans[kept++].textContent.length;
  for (const span of spans.splice(kept)) span.remove();
  rest.data = text.slice(place);
  [units, starts] = [[], [0]];
  await run("score", text, (items, isDone) => {
    unshown.push(...items);
    if (!isDone && unshown.length * MOST_LAYOUTS <= units.length) return; // a browser lays out all of a text anew
    putUnits(unshown, text);
    unshown = [];
    element("total").textContent = totalText(isDone);
    element("most").hidden = !units.some(({ bits }) => bits);
    if (!element("most").hidden) element("most").textContent = mostText();
  });
  pointAtCaret();
}

function pointAtCaret() {
  if (document.activeElement !== typed || !units.length) return;
  const unit = Math.min(lastUpTo(starts, typed.selectionStart), units.length - 1);
  showUnit(unit);
  element("spoken").textContent = units[unit].top ? `${nameOfUnit(units[unit])}, ${bitsText(units[unit].bits)}` : "";
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
  const form = element("settings");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    (isOfClasses ? classify : write)();
  });
  form.addEventListener("input", ({ target }) => {
    if (target.type === "range") target.labels[0].querySelector("span").textContent = target.value;
    if (isOfClasses) classify();
  });
  form.addEventListener("keydown", ({ key, ctrlKey, metaKey }) => {
    if (key === "Enter" && (ctrlKey || metaKey)) form.requestSubmit();
    if (key === "Escape") isStopped = true;
  });
  element("stop").addEventListener("click", () => { isStopped = true; });
  element("again").addEventListener("click", () => {
    form.elements.rngSeed.value = usedSeed;
    form.requestSubmit();
  });
  element("most").addEventListener("click", () => {
    typed.focus();
    typed.setSelectionRange(starts[mostSurprising()], starts[mostSurprising()]);
    pointAtCaret();
  });
  element("copy").addEventListener("click", copy);
  for (const box of [typed, element("studied")]) box.addEventListener("input", () => owned.add(box));
  typed.addEventListener("input", () => {
    offer(typed.value);
    read();
  });
  let leaves = false; // whether the Tab key leaves the box of pairs
  typed.addEventListener("keydown", (event) => {
    if (data.config.task === "pairs" && event.key === "Tab" && !event.shiftKey && !leaves) {
      event.preventDefault();
      typed.setRangeText("\t", typed.selectionStart, typed.selectionEnd, "end");
      typed.dispatchEvent(new Event("input"));
    }
    leaves = event.key === "Escape";
  });
  for (const name of ["keyup", "click"]) typed.addEventListener(name, pointAtCaret);
  typed.addEventListener("pointermove", ({ clientX, clientY }) => {
    const span = document.elementsFromPoint(clientX, clientY).find(({ dataset }) => dataset.unit);
    if (span) showUnit(Number(span.dataset.unit));
  });
  listenToPicture();
}

function fail({ reason, message }) {
  element("failure").hidden = false;
  element("failure").textContent = `Something failed on this page: ${reason ?? message}`;
}

async function open(source) {
  for (const name of ["error", "unhandledrejection"]) addEventListener(name, fail);
  data = JSON.parse(element("data").textContent);
  data.pieces = [...Array(256).keys(), ...data.tokenizer.texts, ...data.tokenizer.features, ...data.tokenizer.symbols];
  typed = element("typed");
  typed.maxLength = MOST_TYPED;
  element("text").append((rest = new Text()));
  worker = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
  worker.addEventListener("message", ({ data: answer }) => waiting.shift()(answer));
  document.documentElement.classList.add("scripted");
  for (const id of ["tabs", "write", "missing", "details"]) element(id).toggleAttribute("hidden");
  listen();
  await ask({ data });
  if (["text", "lines"].includes(data.config.task)) await write();
}

if (typeof document === "undefined") work(); else open(document.currentScript.textContent);
