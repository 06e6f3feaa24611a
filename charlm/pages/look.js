/* Look inside: the vectors of a network over a text, as a picture, and one unit of them as a curve. */

const COLUMNS_SHOWN = 80; // characters, over which a short text is spread
const BELOW = [38, 110, 200], ABOVE = [214, 92, 20]; // colours of values below and above 0
const SMALLEST_SPREAD = 0.01; // so that a unit that hardly moves is not followed
let traced; // the tokens of the text, and the panels of what the network computed there
let followed = 0; // the unit that the curve shows

const extremes = (values) => values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
const meanOf = (values) => values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
const bounded = (value, most) => Math.min(Math.max(Math.floor(value), 0), most - 1);
const indexOfLargest = (values) => values.reduce((best, value, index) => (value > values[best] ? index : best), 0);

/** Return a token as it stands below the picture: in as few characters as can be traced. */
function shortName(token) {
  if (token === null) return "■";
  const text = typeof token === "number" && token < 128 ? String.fromCharCode(token) : token;
  return typeof text === "string" ? Array.from(text, (one) => SIGNS[one] ?? one).join("") : named(text);
}

async function look() {
  const select = element("panel"), name = select.value;
  let result;
  if (!(await run("look", element("studied").value, (items) => { result ??= items[0]; }))) return;
  element("columns").hidden = !result;
  if (!result) return;
  traced = result;
  select.replaceChildren(...traced.panels.map((panel) => make("option", "", panel.name)));
  if (traced.panels.some((panel) => panel.name === name)) select.value = name;
  followed = liveliest();
  showPanel();
}

const shownPanel = () => traced.panels.find(({ name }) => name === element("panel").value);
const valuesOf = (unit) => shownPanel().vectors.map((vector) => vector[unit]);

/** Draw the panel: a column for each token and a row for each unit. */
function showPanel() {
  const { size, vectors } = shownPanel(), canvas = element("heat"), columns = element("columns");
  const largest = vectors.reduce((most, vector) => Math.max(most, ...extremes(vector).map(Math.abs)), 1);
  const names = traced.tokens.map(shortName), longest = Math.max(...names.map((name) => [...name].length));
  const width = Math.max(2, Math.min(12, longest + 1), Math.min(8, Math.floor(COLUMNS_SHOWN / names.length)));
  columns.style.setProperty("--width", `${width}ch`);
  columns.style.setProperty("--tokens", vectors.length);
  [canvas.width, canvas.height] = [vectors.length, size];
  const image = new ImageData(canvas.width, size);
  vectors.forEach((vector, column) => vector.forEach((value, row) => {
    image.data.set([...(value < 0 ? BELOW : ABOVE), (255 * Math.abs(value)) / largest], 4 * (row * canvas.width + column));
  }));
  canvas.getContext("2d").putImageData(image, 0, 0);
  element("axis").replaceChildren(...names.map((name) => make("span", "", name)));
  element("unit").max = size;
  follow(followed);
}

/** Return the unit whose values differ most. */
function liveliest() {
  return indexOfLargest(Array.from({ length: shownPanel().size }, (_, unit) => {
    const [low, high] = extremes(valuesOf(unit));
    return high - low;
  }));
}

/** Follow a unit over the text: a curve, bars below it, and a sentence. */
function follow(unit) {
  const { size, rows } = shownPanel();
  element("here").textContent = "";
  followed = bounded(unit, size);
  const values = valuesOf(followed), largest = Math.max(1, ...values.map(Math.abs));
  element("unit").value = followed + 1;
  element("row").style.top = `${(100 * (followed + 0.5)) / size}%`;
  element("curve").setAttribute("viewBox", `0 ${-largest} ${values.length} ${2 * largest}`);
  element("line").setAttribute("d", `M${values.map((value, place) => `${place + 0.5} ${-value}`).join("L")}`);
  element("zero").setAttribute("x2", values.length);
  const at = (value) => `${value.toFixed(2)} at ${nameAt(values.indexOf(value))} (place ${values.indexOf(value) + 1})`;
  const [low, high] = extremes(values);
  element("value").textContent = `${nameOfRow(followed, rows, size)}: lowest ${at(low)}, highest ${at(high)}`;
  [...element("axis").children].forEach((label, place) => {
    label.title = values[place].toFixed(3);
    label.style.setProperty("--share", `${(100 * Math.abs(values[place])) / largest}%`);
    label.classList.toggle("is-negative", values[place] < 0);
  });
}

const nameAt = (place) => (traced.tokens[place] === null ? "the start" : named(traced.tokens[place]));
const nameOfRow = (unit, rows, size) => (rows ? named(rows[unit]) : `unit ${unit + 1} of ${size}`);

/** Follow the unit that separates a token from the others best: by its means, in standard deviations. */
function followBestFor(name) {
  const isToken = traced.tokens.map((token) => shortName(token) === name);
  if (!isToken.includes(true)) {
    element("here").textContent = `${name} is not in this text.`;
    return;
  }
  const meansOf = (unit) => [true, false].map((is) => meanOf(valuesOf(unit).filter((_, place) => isToken[place] === is)));
  follow(indexOfLargest(Array.from({ length: shownPanel().size }, (_, unit) => {
    const values = valuesOf(unit), average = meanOf(values), [there, elsewhere] = meansOf(unit);
    const spread = Math.sqrt(meanOf(values.map((value) => (value - average) ** 2)));
    return Math.abs(there - elsewhere) / (spread + SMALLEST_SPREAD);
  })));
  const [there, elsewhere] = meansOf(followed).map((value) => value.toFixed(2));
  element("here").textContent = `This unit separates ${name} from the other tokens best: its mean is ${there} there, and ${elsewhere} elsewhere.`;
}

/** Return the unit and the column at the pointer. */
function placeAt({ offsetX, offsetY, target }) {
  return [bounded((offsetY / target.clientHeight) * target.height, target.height), bounded((offsetX / target.clientWidth) * target.width, target.width)];
}

function listenToPicture() {
  element("studied").addEventListener("input", look);
  element("panel").addEventListener("change", showPanel);
  element("unit").addEventListener("input", ({ target }) => { if (target.value && traced) follow(target.valueAsNumber - 1); });
  element("heat").addEventListener("click", (event) => follow(placeAt(event)[0]));
  element("heat").addEventListener("pointermove", (event) => {
    const [unit, place] = placeAt(event), { vectors, rows, size } = shownPanel();
    element("here").textContent = `At the pointer: ${nameOfRow(unit, rows, size)} is ${vectors[place][unit].toFixed(2)} at ${nameAt(place)}.`;
  });
  element("axis").addEventListener("click", ({ target }) => { if (target !== element("axis")) followBestFor(target.textContent); });
  element("columns").addEventListener("keydown", (event) => {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key], name = SIGNS[event.key] ?? event.key;
    if (event.ctrlKey || event.metaKey || event.altKey || (!step && [...name].length > 1)) return;
    event.preventDefault();
    if (step) follow(followed + step);
    else followBestFor(name);
  });
}
