"use strict";

/* What the pages share: small helpers, the names of tokens, and the details of one. */

const NAMES = { " ": "space", "\n": "line end", "\r": "carriage return", "\t": "tab" };
const SIGNS = { " ": "␣", "\n": "↵", "\r": "␍", "\t": "→" };

const element = (id) => document.getElementById(id);

function make(name, className, content) {
  const node = document.createElement(name);
  if (className) node.className = className;
  node.append(...[content ?? []].flat());
  return node;
}

/** Return the index of the last of the ascending numbers that is at most `value`. */
function lastUpTo(numbers, value) {
  let low = 0, high = numbers.length;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (numbers[middle] <= value) low = middle; else high = middle;
  }
  return low;
}

/** Return the bytes of base64 that was compressed with deflate. */
async function inflate(content) {
  const packed = atob(content);
  const bytes = new Uint8Array(packed.length);
  for (let place = 0; place < bytes.length; place++) bytes[place] = packed.charCodeAt(place);
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).arrayBuffer();
}

const isInvisible = (character) => character !== "\ufffd" && /[\p{C}\p{Z}\p{M}]/u.test(character);
const codeOf = (character) => `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;

/** Return the name of a token, with every character visible. */
function named(piece) {
  if (piece === null) return "end of line";
  if (typeof piece === "number") return `<0x${piece.toString(16).toUpperCase().padStart(2, "0")}>`;
  const characters = [...piece];
  if (characters.length === 1 && isInvisible(piece)) return NAMES[piece] ?? codeOf(piece);
  const lead = /^\p{M}/u.test(piece) ? "\u25cc" : ""; // a combining mark needs something to stand on
  return `“${lead}${characters.map((one) => SIGNS[one] ?? (/\p{C}|\p{Z}/u.test(one) ? `‹${codeOf(one)}›` : one)).join("")}”`;
}

function percent(probability) {
  const value = 100 * probability;
  if (value >= 10) return `${value.toFixed(1)} %`;
  if (value >= 0.01) return `${Number(value.toPrecision(2))} %`;
  return `1 in ${Math.round(1 / probability).toLocaleString("en")}`;
}

/** Return a list item with a bar for a probability. */
function shareItem({ name, share, shown, isUnit }) {
  const bar = make("span", "bar");
  bar.style.width = `${100 * share}%`;
  return make("li", isUnit ? "actual" : "", [make("span", "", name), bar, make("span", "", shown)]);
}

/** Show a token: its name, its figures and the likeliest tokens in its place. */
function showDetails(name, figures, topTokens) {
  element("token").textContent = name;
  element("figures").replaceChildren(...Object.entries(figures).map(([term, value]) => make("div", "", [make("dt", "", term), make("dd", "", value)])));
  element("top-tokens-heading").hidden = topTokens.length === 0;
  element("top-tokens").replaceChildren(...topTokens.map(shareItem));
}
