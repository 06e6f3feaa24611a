/* The page that shows the surprisal of a text. */

const ROWS = 50; // of the table, at once
const MOST_PRINTED = 100_000; // units; a longer text is printed without colours
const decimal = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const data = JSON.parse(element("data").textContent);
const region = element("text");
const text = region.textContent;
const blocks = [...region.children];
const columns = {}; // integers, of each unit or each line; bits and probabilities in thousandths
let start, stop; // of each unit in `text`
let blockStart, firstUnit; // of each block in `text` and among the units
let lines; // with scored units, in the order of the table
let current = -1; // the selected unit
let column = null; // of Up and Down
let page = 0;

/* Data */

async function unpack({ type, content }) {
  const types = { Uint8Array, Uint16Array, Uint32Array };
  return new types[type](await inflate(content));
}

function locateUnits() {
  const count = columns.lengths.length;
  start = new Uint32Array(count);
  stop = new Uint32Array(count);
  for (let unit = 0, place = 0; unit < count; unit++) {
    start[unit] = place += columns.gaps[unit];
    stop[unit] = place += columns.lengths[unit];
  }
}

function locateBlocks() {
  blockStart = [0];
  for (const block of blocks) blockStart.push(blockStart.at(-1) + block.textContent.length);
  firstUnit = blockStart.slice(0, -1).map((place) => (start[0] >= place ? 0 : lastUpTo(start, place - 1) + 1));
  firstUnit.push(start.length);
}

const bitsOf = (unit) => columns.bits[unit] / 1000;

function summarizeLines() {
  const { lineNumbers, lineStarts, lineUnits, lineCharacters } = columns;
  return Array.from(lineNumbers, (number, index) => {
    let bits = 0;
    for (let unit = lineUnits[index]; unit < (lineUnits[index + 1] ?? start.length); unit++) bits += bitsOf(unit);
    return { number, start: lineStarts[index], unit: lineUnits[index], bits, mean: bits / lineCharacters[index] };
  });
}

/* Words */

function isWhole(unit) {
  const piece = data.pieces[columns.tokens[unit]];
  return piece === null || (typeof piece === "string" && piece.length === stop[unit] - start[unit]);
}

const tokenOf = (unit) => named(data.pieces[columns.tokens[unit]]);
const nameOf = (unit) => (isWhole(unit) ? tokenOf(unit) : named(text.slice(start[unit], stop[unit])));

function topTokensOf(unit) {
  const tops = [];
  for (let index = unit * data.topTokens; index < (unit + 1) * data.topTokens; index++) {
    const token = columns.topTokens[index], share = columns.probabilities[index] / 1000;
    const isUnit = token === columns.tokens[unit];
    tops.push({ name: named(data.pieces[token]), share, isUnit, shown: share ? percent(share) : "< 0.1 %" });
  }
  return tops;
}

function figuresOf(unit) {
  const bits = bitsOf(unit);
  return {
    Surprisal: `${bits.toFixed(2)} bits`,
    Probability: percent(2 ** -bits),
    Rank: `${columns.ranks[unit].toLocaleString("en")} of ${data.tokens.toLocaleString("en")}`,
    Entropy: `${(columns.entropies[unit] / 1000).toFixed(2)} bits`,
    Line: columns.lineNumbers[lastUpTo(columns.lineUnits, unit)].toLocaleString("en"),
    ...(isWhole(unit) ? {} : { "Rank of": tokenOf(unit) }),
  };
}

function sentence(unit) {
  const { Probability, Rank } = figuresOf(unit);
  const whose = isWhole(unit) ? "" : ` for ${tokenOf(unit)}`;
  const likeliest = topTokensOf(unit).map(({ name, shown }) => `${name} ${shown}`).join(", ");
  return `${nameOf(unit)}, ${bitsOf(unit).toFixed(1)} bits, probability ${Probability}, rank ${Rank}${whose}; likeliest: ${likeliest}`;
}

/* Text */

const levelOf = (unit) => lastUpTo(data.steps, bitsOf(unit));

function spanOf(unit) {
  const content = text.slice(start[unit], stop[unit]);
  const span = make("span", `heat-${levelOf(unit)}`, content);
  span.dataset.unit = unit;
  if (content === "\n" || content === "") span.classList.add("line-end");
  if (unit === current) span.classList.add("current");
  return span;
}

/** Turn the plain text of a block into a span for each unit. */
function fill(index) {
  const parts = [];
  let place = blockStart[index];
  for (let unit = firstUnit[index]; unit < firstUnit[index + 1]; unit++) {
    if (start[unit] > place) parts.push(make("span", "gap", text.slice(place, start[unit])));
    parts.push(spanOf(unit));
    place = stop[unit];
  }
  if (place < blockStart[index + 1]) parts.push(make("span", "gap", text.slice(place, blockStart[index + 1])));
  blocks[index].replaceChildren(...parts);
}

const isFilled = (index) => blocks[index].firstElementChild !== null;
const clear = (index) => { blocks[index].textContent = text.slice(blockStart[index], blockStart[index + 1]); };

function elementOf(unit) {
  const index = lastUpTo(firstUnit, unit);
  if (!isFilled(index)) fill(index);
  return blocks[index].querySelector(`[data-unit="${unit}"]`);
}

function watchBlocks() {
  const order = new Map(blocks.map((block, index) => [block, index]));
  const observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      const index = order.get(target);
      if (isIntersecting && !isFilled(index)) fill(index);
      if (!isIntersecting && isFilled(index)) clear(index);
    }
  }, { root: region, rootMargin: "25% 0px" });
  for (const [index, block] of blocks.entries()) {
    const content = block.textContent; // estimates the height of the scroll bar
    block.style.setProperty("--rows", content.split("\n").reduce((rows, line) => rows + Math.max(1, Math.ceil(line.length / 90)), 0));
    block.classList.toggle("is-cut", index < blocks.length - 1 && !content.endsWith("\n"));
    observer.observe(block);
  }
}

const show = (unit) => showDetails(nameOf(unit), figuresOf(unit), topTokensOf(unit));

function select(unit) {
  region.querySelector(".current")?.classList.remove("current");
  current = unit;
  const selected = elementOf(unit);
  selected.classList.add("current");
  selected.scrollIntoView({ block: "nearest" });
  show(unit);
  element("spoken").textContent = sentence(unit);
  markChart();
}

function centre() {
  const selected = elementOf(current).getBoundingClientRect(), frame = region.getBoundingClientRect();
  region.scrollTop += selected.top - frame.top - region.clientHeight / 2;
}

/** Go to a unit that may be far away. Blocks get their true height in view, so centre twice. */
function jump(unit) {
  region.focus();
  select(unit);
  centre();
  requestAnimationFrame(centre);
}

/* Keys move by lines of the screen, because a text may be one line of a million characters. */

const boxOf = (unit) => elementOf(unit).getClientRects()[0];
const isBeside = (one, other) => Math.abs(one.top - other.top) < other.height / 2;

function lineEdge(from, step) {
  const row = boxOf(from);
  while (start[from + step] !== undefined && isBeside(boxOf(from + step), row)) from += step;
  return from;
}

function otherLine(from, step) {
  const first = lineEdge(from, step) + step;
  if (start[first] === undefined) return from;
  column ??= boxOf(from).left;
  const row = boxOf(first);
  const distance = (unit) => Math.abs(boxOf(unit).left - column);
  let best = first;
  for (let unit = first; start[unit] !== undefined && isBeside(boxOf(unit), row); unit += step) {
    if (distance(unit) < distance(best)) best = unit;
  }
  return best;
}

function strong(from, step) {
  let unit = from + step;
  while (start[unit] !== undefined && bitsOf(unit) < data.strong) unit += step;
  return start[unit] === undefined ? clamped(from) : unit;
}

const clamped = (unit) => Math.min(Math.max(unit, 0), start.length - 1);
const MOVES = {
  ArrowLeft: (unit) => clamped(unit - 1),
  ArrowRight: (unit) => clamped(unit + 1),
  ArrowUp: (unit) => otherLine(unit, -1),
  ArrowDown: (unit) => otherLine(unit, 1),
  Home: (unit) => lineEdge(unit, -1),
  End: (unit) => lineEdge(unit, 1),
  n: (unit) => strong(unit, 1),
  p: (unit) => strong(unit, -1),
};

function pressed(event) {
  const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (!Object.hasOwn(MOVES, name) || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  if (!name.startsWith("ArrowUp") && !name.startsWith("ArrowDown")) column = null;
  if (current >= 0 || name === "n") select(MOVES[name](current));
  else select(firstInView());
}

function firstInView() {
  const top = region.getBoundingClientRect().top;
  const index = blocks.findIndex((block) => block.getBoundingClientRect().bottom > top);
  return clamped(firstUnit[index]);
}

const unitAt = (event) => Number(event.target.closest("[data-unit]")?.dataset.unit ?? -1);

function listenToText() {
  region.addEventListener("keydown", pressed);
  // Not "pointerover", which is also sent when the text scrolls below a resting pointer.
  region.addEventListener("pointermove", (event) => { if (unitAt(event) >= 0) show(unitAt(event)); });
  region.addEventListener("pointerleave", () => { if (current >= 0) show(current); });
  region.addEventListener("click", (event) => {
    column = null;
    if (unitAt(event) >= 0) select(unitAt(event));
  });
}

/* Chart */

function binAt(event) {
  const { left, width } = element("chart").getBoundingClientRect();
  const bins = data.bins.length;
  return Math.min(Math.max(Math.floor(((event.clientX - left) / width) * bins), 0), bins - 1);
}

function markChart() {
  const middle = lastUpTo(data.binStarts, start[current]) + 0.5;
  for (const [name, value] of [["x1", middle], ["x2", middle], ["visibility", "visible"]]) element("marker").setAttribute(name, value);
}

function listenToChart() {
  const chart = element("chart");
  chart.addEventListener("pointermove", (event) => { element("bin").textContent = `; here ${data.bins[binAt(event)].toFixed(2)}`; });
  chart.addEventListener("pointerleave", () => { element("bin").textContent = ""; });
  chart.addEventListener("click", (event) => jump(clamped(lastUpTo(start, data.binStarts[binAt(event)]))));
}

/* Table */

function rowOf({ number, start, unit, bits, mean }) {
  const link = make("button", "", number.toLocaleString("en"));
  link.type = "button";
  link.setAttribute("aria-label", `Go to line ${number}`);
  link.addEventListener("click", () => jump(unit));
  const words = text.slice(start, start + 200).split("\n", 1)[0].replaceAll("\t", " ");
  const cells = [link, words, mean.toFixed(2), decimal.format(bits)].map((content) => make("td", "", content));
  cells[1].className = "words";
  return make("tr", "", cells);
}

function showRows() {
  const first = page * ROWS, last = Math.min(first + ROWS, lines.length);
  element("rows").replaceChildren(...lines.slice(first, last).map(rowOf));
  element("shown").textContent = `${(first + 1).toLocaleString("en")}–${last.toLocaleString("en")} of ${lines.length.toLocaleString("en")}`;
  element("earlier").disabled = first === 0;
  element("later").disabled = last === lines.length;
}

function sortBy(button) {
  const head = button.parentElement, { order } = button.dataset;
  const usual = order === "number" ? "ascending" : "descending";
  const other = usual === "ascending" ? "descending" : "ascending";
  const direction = head.getAttribute("aria-sort") === usual ? other : usual;
  for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", direction);
  const sign = direction === "ascending" ? 1 : -1;
  lines.sort((one, two) => sign * (one[order] - two[order]) || one.number - two.number);
  page = 0;
  showRows();
}

function turn(pages) {
  page += pages;
  showRows();
}

function listenToTable() {
  for (const button of document.querySelectorAll("th button")) button.addEventListener("click", () => sortBy(button));
  element("earlier").addEventListener("click", () => turn(-1));
  element("later").addEventListener("click", () => turn(1));
}

function colourForPaper() {
  if (start.length <= MOST_PRINTED) blocks.forEach((block, index) => isFilled(index) || fill(index));
}

async function main() {
  for (const [name, packed] of Object.entries(data.columns)) columns[name] = await unpack(packed);
  locateUnits();
  locateBlocks();
  lines = summarizeLines();
  document.documentElement.classList.add("scripted");
  for (const id of ["help", "details", "lines", "missing"]) element(id).toggleAttribute("hidden");
  watchBlocks();
  listenToText();
  listenToChart();
  listenToTable();
  sortBy(document.querySelector("[data-order=mean]"));
  addEventListener("beforeprint", colourForPaper);
}

main();
