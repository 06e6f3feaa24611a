/* A model: it writes, scores and shows what it computes.

   Read from top to bottom: arrays, tokenizer, network, counts, model, worker. The tests compare
   every part with the same in Python. */

/* Arrays */

const TYPES = { int8: Int8Array, float16: Uint16Array, float32: Float32Array, float64: Float64Array, uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array };

/** Return the number that 16 bits stand for (IEEE 754, binary16), if it is finite. */
function fromFloat16(bits) {
  const exponent = (bits >> 10) & 31, fraction = (bits & 1023) / 1024;
  const size = exponent ? 2 ** (exponent - 15) * (1 + fraction) : 2 ** -14 * fraction;
  return bits & 0x8000 ? -size : size;
}

/** Return the arrays of the page by name. Those of 8 bits have a scale for each row. */
async function unpackArrays({ entries, content }) {
  const bytes = await inflate(content), arrays = {};
  let place = 0;
  const take = (type, length) => new TYPES[type](bytes.slice(place, (place += length * TYPES[type].BYTES_PER_ELEMENT)));
  for (const { name, type, length, rows, isCumulative } of entries) {
    const scales = type === "int8" ? take("float32", rows) : [];
    let values = take(type, length);
    if (type === "float16") values = Float32Array.from(values, fromFloat16);
    if (type === "int8") values = Float32Array.from(values, (value, index) => value * scales[Math.floor((index * rows) / length)]);
    let sum = 0;
    arrays[name] = isCumulative ? Float64Array.from(values, (value) => (sum += value)) : values;
  }
  return arrays;
}

/* Tokenizer: text to ids and back. Ids below 256 are bytes, for what is in no other token. */

const UNKNOWN_PENALTY = 10; // SentencePiece's, for a character in no piece
const FEATURE_MARK = "\x1f"; // between a source and its features
const bytesOf = (text) => [...new TextEncoder().encode(text)];
const COLUMNS = new RegExp(`${FEATURE_MARK}[^\\t\\n]*|(?<=\\t)[^\\t\\n]+`, "gu"); // features and targets
const FEATURES = new RegExp(`[${FEATURE_MARK};][^;]*`, "gu");
const isAscii = (text) => /^\p{ASCII}*$/u.test(text);
const newDecoder = () => new TextDecoder("utf-8", { ignoreBOM: true });

class Tokenizer {
  constructor({ kind, texts, scores, pattern, spellsCharacters, features, symbols, separator }) {
    Object.assign(this, { kind, spellsCharacters, separator });
    this.pattern = pattern && new RegExp(pattern, "gu");
    this.idOf = new Map(texts.map((text, index) => [text, 256 + index]));
    this.texts = texts;
    this.pieces = [...Array(256).keys(), ...texts, ...features, ...symbols];
    this.boundary = this.pieces.length; // the id between texts
    this.hasSymbols = features.length + symbols.length > 0;
    this.symbolIds = new Map([...features, ...symbols].map((symbol, index) => [symbol, 256 + texts.length + index]));
    // SentencePiece scores pieces, in which it writes a space as U+2581. White space has no score.
    const scored = texts.map((text, index) => [text.replaceAll(" ", "\u2581"), scores?.[index] ?? null]).filter(([, score]) => score !== null);
    this.scoreOf = scores && new Map(scored);
    this.unknownScore = Math.fround(scored.reduce((lowest, [, score]) => Math.min(lowest, score), Infinity) - UNKNOWN_PENALTY);
  }

  encode(text) {
    if (!this.hasSymbols) return this.encodePlain(text);
    let ids = [], end = 0;
    for (const [start, unit] of this.columnUnits(text)) {
      if (!this.symbolIds.has(unit)) continue;
      ids = ids.concat(this.encodePlain(text.slice(end, start)), this.symbolIds.get(unit));
      end = start + unit.length;
    }
    return ids.concat(this.encodePlain(text.slice(end)));
  }

  /** Yield what may be a symbol: features, and targets or their parts between separators. */
  *columnUnits(text) {
    for (const { 0: column, index } of text.matchAll(COLUMNS)) {
      let units = [column];
      if (column.startsWith(FEATURE_MARK)) units = column.match(FEATURES);
      else if (this.separator) units = column.split(this.separator).map((unit, number) => (number ? this.separator + unit : unit));
      let start = index;
      for (const unit of units) {
        if (unit) yield [start, unit];
        start += unit.length;
      }
    }
  }

  encodePlain(text) {
    const units = this.pattern ? (text.match(this.pattern) ?? []) : [...text];
    return units.flatMap((unit) => this.encodeUnit(unit));
  }

  encodeUnit(unit) {
    if (this.scoreOf) return this.encodePieces(unit);
    if (this.idOf.has(unit)) return [this.idOf.get(unit)];
    if (!this.spellsCharacters || isAscii(unit)) return bytesOf(unit);
    return [...unit].flatMap((one) => (isAscii(one) || !this.idOf.has(one) ? bytesOf(one) : [this.idOf.get(one)]));
  }

  encodePieces(unit) {
    const marked = unit.replaceAll(" ", "\u2581");
    if (this.idOf.has(unit) && !this.scoreOf.has(marked)) return [this.idOf.get(unit)]; // white space
    const parts = this.kind === "bpe" ? this.mergePairs([...marked]) : this.likeliestPieces([...marked]);
    const ids = parts.flatMap((part) => (this.scoreOf.has(part) ? [this.idOf.get(part.replaceAll("\u2581", " "))] : bytesOf(part)));
    return this.decode(ids) === unit ? ids : bytesOf(unit);
  }

  /** Return pieces: the pair of neighbours with the highest score is joined, again and again. */
  mergePairs(parts) {
    for (;;) {
      let best = -1, highest = -Infinity;
      for (let index = 0; index + 1 < parts.length; index++) {
        const score = this.scoreOf.get(parts[index] + parts[index + 1]);
        if (score > highest) [best, highest] = [index, score];
      }
      if (best < 0) return parts;
      parts.splice(best, 2, parts[best] + parts[best + 1]);
    }
  }

  /** Return the pieces with the highest sum of scores (Viterbi), in SentencePiece's precision. */
  likeliestPieces(characters) {
    const best = [{ score: 0 }];
    for (let start = 0; start < characters.length; start++) {
      let part = "";
      for (let stop = start + 1; stop <= characters.length; stop++) {
        part += characters[stop - 1];
        const own = this.scoreOf.get(part) ?? (stop === start + 1 ? this.unknownScore : null);
        if (own === null) continue;
        const score = Math.fround(best[start].score + own);
        if (!best[stop] || score > best[stop].score) best[stop] = { score, part, start };
      }
    }
    const parts = [];
    for (let end = characters.length; end > 0; end = best[end].start) parts.unshift(best[end].part);
    return parts;
  }

  /** Return ids without the last token if longer ones begin with it, and those that may follow. */
  encodeUnfinished(text) {
    const whole = { ids: this.encode(text), typed: "", allowed: null };
    if (!this.pattern || (this.hasSymbols && (text.includes("\t") || text.includes(FEATURE_MARK)))) return whole;
    const last = text.match(this.pattern)?.at(-1) ?? "", ids = last ? this.encodeUnit(last) : [];
    const before = whole.ids.slice(0, whole.ids.length - ids.length);
    for (let number = 0; number < (this.scoreOf ? ids.length : Math.min(1, ids.length)); number++) {
      const rest = ids.slice(number), typed = number ? this.decode(rest) : last;
      if (number && Math.min(...rest) < 256) continue; // bytes stay bytes
      const longer = this.texts.filter((one) => one.startsWith(typed));
      if (longer.every((one) => one === typed)) continue;
      return { ids: [...before, ...ids.slice(0, number)], typed, allowed: new Set(longer.map((one) => this.idOf.get(one))) };
    }
    return whole;
  }

  decode(ids) {
    const reader = new TokenReader(this);
    return ids.map((id) => reader.push(id)).join("") + reader.finish();
  }
}

/** Decodes one id at a time, and holds back the bytes of an unfinished character. */
class TokenReader {
  constructor(tokenizer) {
    Object.assign(this, { pieces: tokenizer.pieces, decoder: newDecoder() });
  }

  push(id) {
    const piece = this.pieces[id];
    return typeof piece === "number" ? this.decoder.decode(Uint8Array.of(piece), { stream: true }) : this.finish() + piece;
  }

  finish() {
    return this.decoder.decode();
  }
}

/* Network: the equations are those of charlm/inference/runtime.py and encoder_decoder.py. */

const LARGEST_COPY = 10; // factor of what attention copies
const LARGEST_ACTIVATION = 1e6; // of a ReLU
const sigmoid = (value) => 1 / (1 + Math.exp(-value));
const dot = (vector, other) => vector.reduce((sum, value, unit) => sum + value * other[unit], 0);
const mean = (vectors, weights) => vectors[0].map((_, unit) => weights.reduce((sum, weight, place) => sum + weight * vectors[place][unit], 0));

function joined(first, second) {
  const both = new Float64Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}

function logSoftmax(values) {
  const highest = values.reduce((one, other) => Math.max(one, other), -Infinity);
  const logSum = highest + Math.log(values.reduce((sum, value) => sum + Math.exp(value - highest), 0));
  return values.map((value) => value - logSum);
}

const softmax = (values) => logSoftmax(values).map(Math.exp);

/** Add a matrix times a vector to `sums`. Four rows at a time take half as long as one by one. */
function addProduct(matrix, vector, sums) {
  const size = vector.length, whole = sums.length - (sums.length % 4);
  for (let row = 0, first = 0; row < whole; row += 4, first += 4 * size) {
    const second = first + size, third = second + size, fourth = third + size;
    let a = 0, b = 0, c = 0, d = 0;
    for (let column = 0; column < size; column++) {
      const factor = vector[column];
      a += matrix[first + column] * factor;
      b += matrix[second + column] * factor;
      c += matrix[third + column] * factor;
      d += matrix[fourth + column] * factor;
    }
    sums[row] += a;
    sums[row + 1] += b;
    sums[row + 2] += c;
    sums[row + 3] += d;
  }
  for (let row = whole; row < sums.length; row++) {
    for (let column = 0; column < size; column++) sums[row] += matrix[row * size + column] * vector[column];
  }
  return sums;
}

/* Each cell takes W x + b + U h (a GRU: W x + b, and U h), which it turns into its gates, and the
   vectors of the state, hidden first. It returns the new vectors. */
const CELLS = {
  lstm(gates, _, [, cell]) {
    const size = cell.length, next = [new Float64Array(size), new Float64Array(size)];
    for (let unit = 0; unit < size; unit++) {
      const input = (gates[unit] = sigmoid(gates[unit]));
      const forget = (gates[size + unit] = sigmoid(gates[size + unit]));
      const candidate = (gates[2 * size + unit] = Math.tanh(gates[2 * size + unit]));
      const output = (gates[3 * size + unit] = sigmoid(gates[3 * size + unit]));
      next[1][unit] = forget * cell[unit] + input * candidate;
      next[0][unit] = output * Math.tanh(next[1][unit]);
    }
    return next;
  },
  gru(gates, fromState, [hidden]) {
    const size = hidden.length, next = new Float64Array(size);
    for (let unit = 0; unit < size; unit++) {
      const reset = (gates[unit] = sigmoid(gates[unit] + fromState[unit]));
      const update = (gates[size + unit] = sigmoid(gates[size + unit] + fromState[size + unit]));
      const fresh = (gates[2 * size + unit] = Math.tanh(gates[2 * size + unit] + reset * fromState[2 * size + unit]));
      next[unit] = (1 - update) * fresh + update * hidden[unit];
    }
    return [next];
  },
  tanh: (gates) => [gates.map(Math.tanh)],
  relu: (gates) => [gates.map((value) => Math.min(Math.max(value, 0), LARGEST_ACTIVATION))],
};
const GATES = { lstm: ["input gate", "forget gate", "candidate", "output gate"], gru: ["reset gate", "update gate", "candidate"], rnn: [] };

class Layer {
  constructor(arrays, prefix, { cell, nonlinearity }) {
    this.fromInput = arrays[`${prefix}.weight_ih`];
    this.fromHidden = arrays[`${prefix}.weight_hh`];
    this.bias = Float64Array.from(arrays[`${prefix}.bias`]);
    this.size = this.fromHidden.length / this.bias.length;
    this.update = CELLS[cell === "rnn" ? nonlinearity : cell];
    this.isSplit = cell === "gru";
    this.zero = Array.from({ length: cell === "lstm" ? 2 : 1 }, () => new Float64Array(this.size));
  }

  step(input, vectors) {
    const gates = addProduct(this.fromInput, input, this.bias.slice());
    const fromState = addProduct(this.fromHidden, vectors[0], this.isSplit ? new Float64Array(gates.length) : gates);
    return { vectors: this.update(gates, fromState, vectors), gates };
  }

  /** Return the outputs at all positions of a sequence of vectors. */
  read(inputs) {
    let { zero: vectors } = this;
    return inputs.map((input) => {
      ({ vectors } = this.step(input, vectors));
      return vectors[0];
    });
  }
}

/** Layers that read a sequence both ways. */
class Encoder {
  constructor(arrays, config, stack, numLayers) {
    this.layers = Array.from({ length: numLayers }, (_, number) => [stack, `${stack}_reverse`].map((name) => new Layer(arrays, `${name}.${number}`, config)));
  }

  /** Return the states of the last layer, its outputs where each direction ends, and all states. */
  read(inputs) {
    let states = inputs, last;
    const all = this.layers.map(([forward, backward]) => {
      const right = forward.read(states), left = backward.read([...states].reverse()).reverse();
      last = joined(right.at(-1), left[0]);
      states = right.map((vector, place) => joined(vector, left[place]));
      return states;
    });
    return { states, last, all };
  }
}

class Network {
  constructor(arrays, config) {
    Object.assign(this, { arrays, config });
    this.embedding = arrays["embedding.weight"];
    this.output = arrays["output.weight"] ?? this.embedding; // tied weights
    this.outputBias = Float64Array.from(arrays["output.bias"]);
    this.layers = Array.from({ length: config.isOfClasses ? 0 : config.numLayers }, (_, number) => new Layer(arrays, `recurrent.${number}`, config));
    if (config.hasEncoder) this.encoder = new Encoder(arrays, config, "encoder", config.numLayers);
    if (config.task === "tags") this.characters = new Encoder(arrays, config, "characters", 1);
  }

  embed(id) {
    const size = this.config.embeddingSize;
    return new Float64Array(this.embedding.subarray(id * size, (id + 1) * size));
  }

  /** Return the embeddings of ids; nothing is read as one id. */
  embedAll(ids, instead) {
    return (ids.length ? ids : [instead]).map((id) => this.embed(id));
  }

  /** Return the first state of a decoder, and what attention looks at. */
  encode(ids) {
    const embedded = this.embedAll(ids, 0), { states, last } = this.encoder.read(embedded);
    const first = addProduct(this.arrays["bridge.weight"], last, Float64Array.from(this.arrays["bridge.bias"])).map(Math.tanh);
    let place = 0;
    const layers = this.layers.map(({ zero, size }) => zero.map(() => first.slice(place, (place += size))));
    return { layers, memory: this.config.encoder === "attention" ? { states, embedded } : null };
  }

  /** Read an id; return logits, the new state of each layer, gates, and attention if there is any. */
  step(id, states, memory) {
    let features = this.embed(id);
    const steps = this.layers.map((layer, number) => {
      const step = layer.step(features, states[number]), [hidden] = step.vectors;
      features = this.config.residual && number ? hidden.map((value, unit) => value + features[unit]) : hidden;
      return step;
    });
    const { attended, copied, attention } = memory ? this.attend(features, memory) : { attended: features };
    return { logits: this.logits(attended, copied), layers: steps.map(({ vectors }) => vectors), gates: steps.map(({ gates }) => gates), attention };
  }

  attend(hidden, { states, embedded }) {
    const { arrays, config } = this;
    const query = addProduct(arrays["attention.query"], hidden, new Float64Array(hidden.length));
    const attention = softmax(Float64Array.from(states, (state) => dot(state, query)));
    const both = joined(mean(states, attention), hidden);
    const attended = addProduct(arrays["attention.combination"], both, Float64Array.from(arrays["attention.bias"])).map(Math.tanh);
    if (!config.copies) return { attended, attention };
    const scale = LARGEST_COPY * sigmoid(dot(attended, arrays["attention.copy_weight"]) + arrays["attention.copy_bias"][0]);
    return { attended, attention, copied: mean(embedded, attention).map((value) => scale * value) };
  }

  logits(features, copied) {
    const projection = this.arrays["output.projection"];
    let read = projection ? addProduct(projection, features, new Float64Array(this.config.embeddingSize)) : features;
    if (copied) read = read.map((value, unit) => value + copied[unit]);
    return addProduct(this.output, read, this.outputBias.slice());
  }
}

/* Counts of n-grams: the smoothing of charlm/ngram/table.py. */

const SMALLEST_MASS = 1e-6; // that listed tokens leave

class Counts {
  constructor(arrays, order, boundary) {
    Object.assign(this, { order, base: boundary + 1, discounts: arrays["ngram.discounts"], weights: arrays["ngram.weights"] });
    this.contexts = Array.from({ length: order }, (_, k) => ({
      keys: arrays[`ngram.${k + 1}.keys`], ends: arrays[`ngram.${k + 1}.ends`], totals: arrays[`ngram.${k + 1}.totals`],
      tokens: arrays[`ngram.${k + 1}.tokens`], counts: arrays[`ngram.${k + 1}.counts`],
    }));
    const unigrams = arrays["ngram.unigrams"], total = Math.max(1, unigrams.reduce((sum, count) => sum + count, 0));
    this.single = Float64Array.from(unigrams, (count) => (count ? (count - this.discount(0, count)) / total : 0));
    const rest = (1 - this.single.reduce((sum, share) => sum + share, 0)) / this.single.length;
    this.single = this.single.map((share) => share + rest);
    this.logSingle = this.single.map(Math.log);
  }

  discount(order, count) {
    return this.discounts[3 * order + Math.min(count, 3) - 1];
  }

  /** Turn the logits of the network into those of network and counts together, after some ids. */
  combine(logits, recent) {
    const added = new Map();
    let place = 0, matched = 0, left = 1;
    for (const { keys, ends, totals, tokens, counts } of this.contexts.slice(0, recent.length)) {
      const key = place * this.base + recent[recent.length - 1 - matched];
      place = lastUpTo(keys, key);
      if (keys[place] !== key) break;
      matched += 1;
      const first = place ? ends[place - 1] : 0, shares = [];
      for (let entry = first; entry < ends[place]; entry++) shares.push((counts[entry] - this.discount(matched, counts[entry])) / totals[place]);
      left *= Math.max(1 - shares.reduce((sum, share) => sum + share, 0), SMALLEST_MASS);
      shares.forEach((share, index) => added.set(tokens[first + index], (added.get(tokens[first + index]) ?? 0) + share / left));
    }
    const [ofNetwork, ofCounts] = this.weights.subarray(2 * matched);
    for (let token = 0; token < logits.length; token++) logits[token] = ofNetwork * logits[token] + ofCounts * this.logSingle[token];
    for (const [token, share] of added) logits[token] += ofCounts * (Math.log(this.single[token] + share) - this.logSingle[token]);
  }
}

/* Model: a tokenizer, a network and counts. Its tasks yield what the page shows. */

const TOP_TOKENS = 5;
const LONGEST_TRACE = 200; // tokens
const MARK_DISTANCE = 50; // tokens between the places from which a text that grew is read on

/** Return a function that draws numbers in [0, 1) (Mulberry32, Tommy Ettinger, 2017). */
function randomNumbers(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Draw a token: divide logits by the temperature, and keep the likeliest that reach `topP`. */
function draw(logits, { temperature, topP }, random) {
  const best = logits.reduce((one, logit, token) => (logit > logits[one] ? token : one), 0);
  if (temperature === 0) return best;
  const shares = softmax(logits.map((logit) => (logit - logits[best]) / temperature));
  const order = Array.from(shares.keys());
  if (topP < 1) order.sort((one, other) => shares[other] - shares[one]);
  let kept = 0, sum = 0;
  while (kept < order.length && sum < topP) sum += shares[order[kept++]];
  let target = random() * sum;
  return order.slice(0, kept).find((token) => (target -= shares[token]) < 0) ?? order[0];
}

class Model {
  constructor({ config, tokenizer, beginning }, arrays) {
    Object.assign(this, { config, beginning, tokenizer: new Tokenizer(tokenizer), network: new Network(arrays, config) });
    this.boundary = this.tokenizer.boundary;
    this.counts = config.hasCounts ? new Counts(arrays, config.order, this.boundary) : null;
    this.classes = this.tokenizer.pieces.slice(this.boundary - config.numClasses);
    this.blank = new RegExp(`^[${config.whiteSpace}]*$`, "u");
    this.scored = new Map(); // predictions of the examples of the text that was scored last
    this.lastExample = {}; // the one that was scored last
  }

  /** Read an id after others; return a position: logits of the next id, and the state there. */
  read(id, { layers, memory, recent }) {
    const step = this.network.step(id, layers, memory);
    const ids = id === this.boundary ? [id] : [...recent, id], after = ids.slice(Math.max(0, ids.length - this.config.order));
    this.counts?.combine(step.logits, after);
    return { ...step, memory, recent: after };
  }

  readAll(ids, position) {
    return ids.reduce((before, id) => this.read(id, before), position);
  }

  /** Return the position before a text; in a model of pairs, before the target of a source. */
  begin(source = "") {
    const start = { layers: this.network.layers.map(({ zero }) => zero), memory: null, recent: [] };
    if (this.config.task !== "pairs") return this.readAll(this.beginning, start);
    const ids = this.tokenizer.encode(source);
    if (this.config.hasEncoder) return this.read(this.boundary, { ...start, ...this.network.encode(ids) });
    return this.readAll([this.boundary, ...ids, this.boundary], start);
  }

  /** Read a seed text or source; yield after each id. Return the position, and the end of a word that is drawn again. */
  *readSeed(seed, item) {
    if (this.config.task === "pairs") return { position: this.begin(this.asSource(seed)), typed: "", allowed: null };
    const { ids, typed, allowed } = this.tokenizer.encodeUnfinished(seed);
    let position = this.begin();
    for (const id of ids) {
      position = this.read(id, position);
      yield item;
    }
    return { position, typed, allowed };
  }

  /** Yield the ids that follow, up to the end of an example; a new one is not empty. */
  *continuation({ position, allowed }, isNew, settings, random) {
    const ends = new Set([this.boundary, ...this.config.endTokens]);
    for (let isFirst = true; ; isFirst = false) {
      const logits = position.logits.slice();
      if (isFirst && allowed) logits.forEach((_, token) => { if (!allowed.has(token)) logits[token] = -Infinity; });
      if (isFirst && isNew) for (const token of ends) logits[token] = -Infinity;
      const token = draw(logits, settings, random);
      if (ends.has(token)) return;
      yield token;
      position = this.read(token, position);
    }
  }

  /** Yield the characters of texts that continue the seeds, each with the number of its text. */
  *write({ seeds, characters, rngSeed, ...settings }) {
    const random = randomNumbers(rngSeed), { task, predictsBoundary } = this.config;
    let start, seedRead = null;
    for (const [number, seed] of seeds.entries()) {
      yield { number, text: "" };
      if (task === "pairs" && this.blank.test(seed)) continue; // a blank source has a blank answer
      if (seed !== seedRead) start = yield* this.readSeed(seed, { number, text: "" });
      seedRead = seed;
      const reader = new TokenReader(this.tokenizer), isNew = predictsBoundary && task !== "pairs" && !seed;
      let rest = characters, { typed } = start;
      for (const token of this.continuation(start, isNew, settings, random)) {
        const part = Array.from(reader.push(token).slice(typed.length)).slice(0, rest);
        typed = "";
        rest -= part.length;
        if (part.length) yield { number, text: part.join("") };
        if (!rest) break;
      }
      if (rest) yield { number, text: reader.finish() };
    }
  }

  /** Return a source as the network reads it: up to a tab, but for one before its features. */
  asSource(text) {
    return (this.config.hasFeatures ? text.replace("\t", FEATURE_MARK) : text).split("\t")[0];
  }

  /** Yield the examples of a text, and what stands before, between and after them. */
  *examplesOf(text) {
    const { task, separator } = this.config, end = task === "text" ? separator : "\n";
    const parts = end === null ? [text] : text.split(end);
    for (const [number, part] of parts.entries()) {
      const between = number < parts.length - 1 ? end : "", isBlank = end === null ? !part : this.blank.test(part);
      const example = isBlank ? null : this.columnsOf(part);
      yield example ? { ...example, between } : { before: part + between };
    }
  }

  /** Return the source and the target of a line, and what stands around the target; null if it has none. */
  columnsOf(line) {
    const { task, columns } = this.config, fields = line.split("\t");
    if (task !== "pairs") return { before: "", source: "", target: line, after: "" };
    if (columns ? fields.length < Math.max(...columns) : fields.length !== 2) return null;
    const [source, target, features] = (columns ?? [1, 2]).map((number) => fields[number - 1]);
    const before = fields.slice(0, (columns?.[1] ?? 2) - 1).map((field) => `${field}\t`).join("");
    const after = line.slice(before.length + target.length);
    return { before, source: features === undefined ? source : source + FEATURE_MARK + features, target, after };
  }

  /** Return the ids that are predicted of a target: a symbol stands behind a tab. */
  idsOf(target) {
    const { task, predictsBoundary } = this.config, before = task === "pairs" ? "\t" : "";
    const ids = this.tokenizer.encode(before + target).slice(before.length); // a tab is one id
    return predictsBoundary ? [...ids, this.boundary] : ids;
  }

  /** Yield the units of a text, with their surprisal as far as they are scored. */
  *score(text) {
    const keys = new Set();
    for (const { before, source, target, after, between } of this.examplesOf(text)) {
      if (before) yield { text: before };
      if (target === undefined) continue;
      keys.add(keyOf(source, target));
      for (const unit of this.unitsOf(this.predictions(source, target))) {
        if (unit.isEnd && after) yield { text: after };
        if (unit.isEnd) yield { ...unit, text: between, characters: this.config.task === "text" ? 0 : 1 };
        else yield { ...unit, characters: [...unit.text].length };
      }
      if (!this.config.predictsBoundary && between) yield { text: between };
    }
    this.scored = new Map([...this.scored].filter(([key]) => keys.has(key)));
  }

  /** Yield units of predictions: a token, a character of several bytes, or the end. */
  *unitsOf(predictions) {
    const reader = new TokenReader(this.tokenizer);
    let parts = []; // the bytes so far of a character
    for (const prediction of predictions) {
      parts.push(prediction);
      const isEnd = prediction.token === this.boundary, text = isEnd ? "" : reader.push(prediction.token);
      if (!text && !isEnd) continue;
      const [bits, entropy] = ["bits", "entropy"].map((name) => parts.reduce((sum, part) => sum + part[name], 0));
      yield { ...parts.reduce((one, other) => (other.bits > one.bits ? other : one)), bits, entropy, text, isEnd };
      parts = [];
    }
  }

  /** Yield the prediction of each id of an example. One that was changed is read on from the last mark before that. */
  *predictions(source, target) {
    const key = keyOf(source, target), ids = this.idsOf(target);
    if (this.scored.has(key)) {
      yield* this.scored.get(key);
      return;
    }
    const last = this.lastExample.source === source ? this.lastExample : { ids: [], predictions: [], marks: [] };
    let same = 0;
    while (same < ids.length && ids[same] === last.ids[same]) same++;
    const marks = last.marks.filter((mark) => mark.place <= same);
    let { place, position } = marks.at(-1) ?? { place: 0, position: this.begin(source) };
    const predictions = last.predictions.slice(0, place);
    this.lastExample = { source, ids, predictions, marks };
    yield* predictions.slice();
    for (; place < ids.length; place++) {
      if (place % MARK_DISTANCE === 0 && marks.at(-1)?.place !== place) {
        const { logits, layers, memory, recent } = position;
        marks.push({ place, position: { logits, layers, memory, recent } });
      }
      predictions.push(predictionOf(position.logits, ids[place]));
      yield predictions.at(-1);
      if (place + 1 < ids.length) position = this.read(ids[place], position);
    }
    this.scored.set(key, predictions);
  }

  /** Return what an encoder of labels or tags computes at each token of a text. */
  encodeText(text) {
    if (this.config.task === "labels") {
      const ids = this.tokenizer.encode(text);
      return { tokens: ids.map((id) => this.tokenizer.pieces[id]), ...this.network.encoder.read(this.network.embedAll(ids, this.boundary)) };
    }
    const tokens = (text.match(new RegExp(this.config.wordPattern, "gu")) ?? []).map((token) => token.trim()).filter(Boolean);
    const vectors = tokens.map((token) => this.network.characters.read(this.network.embedAll(this.tokenizer.encode(token), this.boundary)).last);
    return { tokens, ...this.network.encoder.read(vectors) };
  }

  /** Yield the shares of all labels for each line, or of all tags for each of its tokens. */
  *classify(text) {
    for (const line of text.split("\n").filter((one) => one.trim())) {
      const { tokens, states, last } = this.encodeText(line), isLabel = this.config.task === "labels";
      for (const [index, features] of (isLabel ? [last] : states).entries()) {
        const shares = Array.from(softmax(this.network.logits(features)), (share, number) => ({ name: this.classes[number], share }));
        yield { name: isLabel ? line : tokens[index], shares: shares.sort((one, other) => other.share - one.share) };
      }
    }
  }

  /** Yield the panels of a text: the vectors of a layer at each token; of pairs, of the answer. */
  *look(text) {
    const { task, cell, isOfClasses } = this.config;
    if (!text.trim() && (isOfClasses || task === "pairs")) return;
    if (isOfClasses) {
      const { tokens, all } = this.encodeText(text.trim().split("\n")[0]);
      yield { tokens, panels: all.map((states, number) => panel(`layer ${number + 1}, both directions`, states)) };
      return;
    }
    const source = this.asSource(text.split("\n")[0]), ids = [];
    if (task === "pairs") {
      for (const id of this.continuation({ position: this.begin(source) }, false, { temperature: 0 })) if (ids.push(id) >= LONGEST_TRACE) break;
    } else {
      ids.push(...this.tokenizer.encode(task === "lines" ? text.split("\n")[0] : text).slice(0, LONGEST_TRACE));
    }
    const steps = [this.begin(source)];
    for (const id of ids) steps.push(this.read(id, steps.at(-1)));
    if (task !== "pairs") steps.shift();
    if (!steps.length) return;
    const panels = this.network.layers.flatMap(({ size }, number) => {
      const layer = this.network.layers.length > 1 ? `layer ${number + 1}, ` : "";
      const panelOf = (name, vectorOf) => panel(layer + name, steps.map(vectorOf));
      const states = ["output h", "cell state c"].slice(0, cell === "lstm" ? 2 : 1);
      return [
        ...states.map((name, index) => panelOf(name, ({ layers }) => layers[number][index])),
        ...GATES[cell].map((name, index) => panelOf(name, ({ gates }) => gates[number].subarray(index * size, (index + 1) * size))),
      ];
    });
    const piecesOf = (some) => some.map((id) => this.tokenizer.pieces[id]);
    if (steps[0].attention) panels.push({ ...panel("attention", steps.map(({ attention }) => attention)), rows: piecesOf(this.tokenizer.encode(source)) });
    yield { tokens: [...(task === "pairs" ? [null] : []), ...piecesOf(ids)], panels };
  }
}

const keyOf = (source, target) => `${source}\t${target}`;
const panel = (name, vectors) => ({ name, size: vectors[0].length, vectors: vectors.map((vector) => Float32Array.from(vector)) });

/** Return how a token was predicted: bits, rank, entropy, and the likeliest tokens. */
function predictionOf(logits, token) {
  const logs = logSoftmax(logits), top = [];
  let rank = 1, entropy = 0;
  logs.forEach((log, other) => {
    const share = Math.exp(log);
    if (log > logs[token]) rank++;
    if (share) entropy -= share * log;
    if (top.length === TOP_TOKENS && share <= top.at(-1).share) return;
    top.splice(top.findLastIndex((one) => one.share >= share) + 1, 0, { token: other, share });
    top.length = Math.min(top.length, TOP_TOKENS);
  });
  return { token, bits: -logs[token] / Math.LN2, rank, entropy: entropy / Math.LN2, top };
}

/* Worker: a task runs for a slice of time, and goes on when the page asks for more. */

const SLICE = 40; // milliseconds

function work() {
  const running = {};
  let ready; // the model, when it is unpacked
  onmessage = async ({ data: { data, task, settings } }) => {
    const items = [];
    let step = { done: !task };
    try { // every question has an answer, or the page would wait
      ready ??= Promise.all([data.weights, data.counts].map(unpackArrays)).then((parts) => new Model(data, Object.assign({}, ...parts)));
      const model = await ready, end = performance.now() + SLICE;
      if (settings !== undefined) running[task] = model[task](settings);
      while (!step.done && performance.now() < end) {
        step = running[task].next();
        if (!step.done) items.push(step.value);
      }
      postMessage({ items, isDone: step.done });
    } catch (error) {
      postMessage({ items, isDone: true, error: String(error) });
    }
  };
}
