// The page: one state, its controls, and what is drawn from it.
"use strict";

const $ = id => document.getElementById(id);
const FILES = ["config.json", "gpt2course-tokenizer.json", "model.safetensors"];
const COURSE = "The course model";
const EXAMPLES = [
  "Mina watched the robot among the kettles because it",
  "Mina watched the kettles around the robot because they",
  "First the dog left, then the cat, and then the owl. The second of them was the",
  "Mina had five apples and lost two of them. Now she had",
  "By the river the bank was",
  "",
];
const TOP = 10, PACE = 70; // milliseconds between two words that are written, for the eye
const TOP_K = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 50, 100, null]; // what the slider can be set to
const BUSY = 12; // milliseconds of computing before the page may draw
const MEAN = "mean"; // of all heads of a layer
const MAPPED = 128; // tokens in the large map, the last ones; half of them in the small ones
const KEPT = { temperature: 1, topK: null, topP: 1, seed: 0 };

let model, tokenizer, modelName = COURSE;
let state = { start: EXAMPLES[0], ids: [], given: 0, cursor: 0, layer: 0, head: 3, ...KEPT };
let words = []; // the element of every token
let looked = null; // the token that is pointed at, where that is not the one at the cursor
let opened = null, vector = ""; // the floor whose numbers are shown, and which of its vectors
let writing = false, writer = 0; // which call of write() is at work
let turn = 0, done = 0; // which call of think() is the newest, and which has read to the end
const speed = { tokens: 0, ms: 0 };

// The model at work ---------------------------------------------------------------------------

// The tokens that the model has in view, and where they begin.
const begin = () => Math.max(0, state.cursor - model.config.n_ctx);
const view = () => state.ids.slice(begin(), state.cursor);
// Whether the model has read all of the text in view: else its cache has nothing to show.
const settled = () => !writing && done === turn;
const pause = () => new Promise(resolve => {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = resolve;
  port2.postMessage(0);
});

// Runs a generator with pauses in which the page draws; null where something newer has begun.
async function inSlices(steps) {
  const mine = turn;
  let ms = 0;
  for (;;) {
    const since = performance.now();
    let step;
    do step = steps.next();
    while (!step.done && performance.now() - since < BUSY);
    ms += performance.now() - since;
    if (step.done) return { value: step.value, ms };
    await pause();
    if (mine !== turn) return null;
  }
}

// Reads the text up to the cursor and shows what follows from it.
async function think() {
  turn++;
  drawText();
  const read = await inSlices(model.read(view()));
  if (!read) return;
  done = turn;
  speed.tokens += read.value;
  speed.ms += read.ms;
  drawBars();
  drawReading();
  if (writing) return;
  drawFigures();
  keepAddress();
  await drawHeads();
  await drawTower();
}

// Puts a token at the cursor; what stood after it is written over.
function append(id) {
  state.ids.length = state.cursor;
  state.ids.push(id);
  state.cursor++;
  looked = null;
}

function drawNext() {
  return draw(nextProbs(model.logits, state), random(state.seed, state.cursor));
}

// Writes until the story ends, or n tokens, or until it is stopped.
async function write(n = Infinity) {
  if (!settled()) await think();
  const mine = ++writer;
  writing = true;
  showControls();
  for (let told = state.cursor; writing && mine === writer && n > 0; n--) {
    const began = performance.now(), id = drawNext();
    append(id);
    await think();
    if (id === tokenizer.endOfText) break;
    if (/[.!?]/.test(tokenizer.decode([id]))) { // a screen reader gets whole sentences
      say(textOf(told, state.cursor));
      told = state.cursor;
    }
    await new Promise(resolve => setTimeout(resolve, Math.max(0, PACE - (performance.now() - began))));
  }
  if (mine !== writer) return;
  writing = false;
  showControls();
  await think();
  if (state.ids[state.cursor - 1] === tokenizer.endOfText) say("The story has ended.");
}

async function go(cursor) {
  state.cursor = Math.min(Math.max(cursor, 1), state.ids.length);
  looked = null;
  await think();
  const last = signs(pieceOf(state.cursor - 1).trim());
  say(`At token ${state.cursor}, ${last}. ${likeliest()}`);
}

async function restart(start) {
  writing = false;
  const found = tokenizer.encode(start);
  Object.assign(state, { start, ids: found.length ? found : [tokenizer.endOfText], });
  opened = null;
  state.given = state.cursor = state.ids.length;
  $("start").value = start;
  looked = null;
  showControls();
  await think();
}

const textOf = (from, to) => tokenizer.decode(state.ids.slice(from, to).filter(id => id !== tokenizer.endOfText));
const pieceOf = i => tokenizer.decode([state.ids[i]]);
const say = text => ($("said").textContent = text);
const likeliest = () => "Next: " + candidates().slice(0, 3).map(({ id, prob }) => `${spoken(id)} ${percent(prob)}`).join(", ");
const spoken = id => (id === tokenizer.endOfText ? "end of the story" : signs(tokenizer.decode([id]).replace(/^ (?=.)/, "")));

// The text ------------------------------------------------------------------------------------

function drawText() {
  const pieces = tokenizer.pieces(state.ids), text = $("text");
  let same = 0; // as many words can stay as they are
  while (same < words.length && words[same].id === state.ids[same] && words[same].piece === pieces[same]) same++;
  text.querySelector(".caret")?.remove();
  for (const { box, element } of words.splice(same)) {
    box.remove();
    element.remove();
  }
  for (let i = same; i < state.ids.length; i++) words.push(wordOf(i, pieces[i], writing || i === state.cursor - 1));
  const first = begin();
  for (const [i, { element }] of words.entries()) {
    element.classList.toggle("written", i >= state.given);
    element.classList.toggle("later", i >= state.cursor);
    element.classList.toggle("forgotten", i < first);
    element.tabIndex = i === state.cursor - 1 ? 0 : -1;
    if (i === state.cursor - 1) element.setAttribute("aria-current", "true");
    else element.removeAttribute("aria-current");
  }
  words[state.cursor - 1].box.append(el("span", { className: "caret", ariaHidden: "true" }));
  if (writing) $("prose").scrollTop = $("prose").scrollHeight;
}

// A token in the running text: a space or line end before it stands outside, so that lines break.
function wordOf(i, piece, fresh) {
  const id = state.ids[i], box = el("span"), ends = id === tokenizer.endOfText;
  const [, space, rest] = /^(\s*)([^]*)$/.exec(ends ? "" : piece);
  const shown = rest || (ends ? (i ? "end" : "start") : signs(space) || "·");
  const element = el("span", { className: "word", role: "button", tabIndex: -1 }, shown);
  element.setAttribute("aria-label", `${ends ? "end of a story" : signs(rest || space) || "part of a character"}`);
  if (!rest) element.classList.add("sign");
  if (fresh && i >= state.given) element.classList.add("new");
  if (rest && space) box.append(...space.split(/(\n)/).map(part => (part === "\n" ? el("br") : part)));
  box.append(element);
  if (!rest && space) box.append(...space.split(/(\n)/).map(part => (part === "\n" ? el("br") : part)));
  element.onclick = () => state.cursor !== i + 1 && !writing && go(i + 1);
  element.onpointerenter = event => event.pointerType === "mouse" && look(i);
  element.onpointerleave = () => look(null);
  element.onfocus = () => element.matches(":focus-visible") && look(i, true);
  element.onblur = () => look(null);
  element.onkeydown = event => moveInText(event, i);
  $("text").append(box);
  return { id, piece, box, element };
}

function moveInText(event, i) {
  const to = { ArrowLeft: i - 1, ArrowRight: i + 1, Home: 0, End: words.length - 1 }[event.key];
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    if (!writing) go(i + 1).then(() => words[state.cursor - 1].element.focus());
  } else if (words[to]) {
    event.preventDefault();
    words[to].element.focus();
  }
}

// Attention -----------------------------------------------------------------------------------

// What token t of the view reads in a head, or on average in a layer, (t + 1).
function weightsOf(t, layer = state.layer, head = state.head) {
  const block = model.h[layer];
  if (head !== MEAN) return block.weights(head, t);
  const mean = new Float32Array(t + 1);
  for (let h = 0; h < model.config.n_head; h++) block.weights(h, t).forEach((weight, s) => (mean[s] += weight / model.config.n_head));
  return mean;
}

const headName = (layer = state.layer, head = state.head) => `layer ${layer}, ${head === MEAN ? "mean of the heads" : `head ${head}`}`;
const place = i => `${state.ids[i] === tokenizer.endOfText ? "end of a story" : signs(pieceOf(i).trim() || pieceOf(i))} (${i})`;

// Words are looked at by the pointer or the keyboard; else it is the one at the cursor.
function look(i, aloud = false) {
  if (i >= state.cursor) i = null;
  if (looked === i) return;
  looked = i;
  drawReading();
  drawLarge();
  drawTable();
  if (aloud && i !== null) say($("reads").textContent);
}

function drawReading() {
  const first = begin(), reader = looked ?? state.cursor - 1, t = reader - first;
  for (const { element } of words) {
    element.style.removeProperty("--share");
    element.classList.remove("looked");
  }
  $("lines").replaceChildren();
  if (!settled()) return $("reads").replaceChildren(writing ? "It writes …" : "It reads …");
  if (t < 0) return $("reads").replaceChildren("The model no longer sees this token.");
  const weights = weightsOf(t), order = likeliestFirst(weights).filter(s => weights[s] >= 0.01);
  for (const s of order) words[first + s].element.style.setProperty("--share", weights[s].toFixed(3));
  words[reader].element.classList.add("looked");
  drawLines($("lines"), words.slice(first).map(word => word.element), words[reader].element, weights);
  const found = order.slice(0, 4).map(s => `${place(first + s)} ${percent(weights[s])}`).join(", ");
  $("reads").replaceChildren(el("b", {}, place(reader)), ` in ${headName()} reads: ${found}.`);
}

function headButtons() {
  const { n_layer, n_head } = model.config, grid = $("heads");
  grid.style.gridTemplateColumns = `max-content repeat(${n_head + 1}, minmax(${n_head > 8 ? 14 : 22}px, 64px))`;
  grid.replaceChildren(el("span", { ariaHidden: "true" }, ""));
  for (let h = 0; h < n_head; h++) grid.append(el("span", { ariaHidden: "true" }, `${h}`));
  grid.append(el("span", { ariaHidden: "true" }, MEAN));
  for (let layer = 0; layer < n_layer; layer++) {
    grid.append(el("span", { ariaHidden: "true" }, n_layer > 8 ? `${layer}` : `layer ${layer}`));
    for (const head of [...Array(n_head).keys(), MEAN]) {
      const button = el("button", { role: "radio", title: headName(layer, head), ariaLabel: headName(layer, head) }, el("canvas"));
      Object.assign(button, { layer, head, onclick: () => chooseHead(layer, head), onkeydown: moveInHeads });
      grid.append(button);
    }
  }
  markHead();
}

const buttonOf = (layer, head) => [...$("heads").querySelectorAll("button")].find(b => b.layer === layer && b.head === head);

function markHead() {
  for (const button of $("heads").querySelectorAll("button")) {
    const chosen = button.layer === state.layer && button.head === state.head;
    button.setAttribute("aria-checked", chosen);
    button.tabIndex = chosen ? 0 : -1;
  }
}

function chooseHead(layer, head) {
  Object.assign(state, { layer, head });
  markHead();
  drawReading();
  drawLarge();
  drawTable();
  keepAddress();
  say($("reads").textContent);
}

function moveInHeads(event) {
  const { n_layer, n_head } = model.config, step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  if (!step) return;
  event.preventDefault();
  const column = state.head === MEAN ? n_head : state.head, to = column + step[1], layer = state.layer + step[0];
  if (to < 0 || to > n_head || layer < 0 || layer >= n_layer) return;
  const head = to === n_head ? MEAN : to;
  chooseHead(layer, head);
  buttonOf(layer, head).focus();
}

const rowsOf = (most, layer, head) => {
  const T = state.cursor - begin(), from = Math.max(0, T - most);
  return Array.from({ length: T - from }, (_, i) => weightsOf(from + i, layer, head).subarray(from));
};

async function drawHeads() {
  drawLarge();
  drawTable();
  await inSlices((function* () {
    for (const button of $("heads").querySelectorAll("button")) {
      drawMap(button.firstChild, rowsOf(MAPPED / 2, button.layer, button.head));
      yield;
    }
  })());
}

let heat = null; // how the large map lies in its canvas, and which cell is chosen
function drawLarge() {
  if (!settled()) return;
  const rows = rowsOf(MAPPED), from = state.cursor - rows.length, marked = (looked ?? state.cursor - 1) - from;
  const names = rows.map((_, i) => signs(pieceOf(from + i)));
  const lies = drawHeat($("heat"), rows, names, marked, $("heat").parentElement.clientWidth - 30);
  heat = { ...lies, rows, from, row: marked, column: heat?.column ?? 0 };
  const row = rows[Math.max(marked, 0)], most = row.indexOf(Math.max(...row));
  showCell(Math.max(marked, 0), most);
}

function showCell(row, column) {
  Object.assign(heat, { row, column });
  $("cell").textContent = `${headName()}: ${place(heat.from + row)} reads ${place(heat.from + column)}: ${percent(heat.rows[row][column])}`;
}

function pointAtMap(event) {
  if (!heat || !settled()) return;
  const { left, top, cell, rows, from } = heat;
  const [column, row] = [Math.floor((event.offsetX - left) / cell), Math.floor((event.offsetY - top) / cell)];
  if (row < 0 || row >= rows.length || column < 0 || column > row) return;
  look(from + row);
  showCell(row, column);
}

function moveInMap(event) {
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  if (!step || !heat || !settled()) return;
  event.preventDefault();
  const row = Math.min(Math.max(heat.row + step[0], 0), heat.rows.length - 1);
  const column = Math.min(Math.max(heat.column + step[1], 0), row);
  look(heat.from + row);
  showCell(row, column);
  say($("cell").textContent);
}

function drawTable() {
  const home = $("table").querySelector(".scroll");
  const reader = looked ?? state.cursor - 1, first = begin(), t = reader - first, { n_head } = model.config;
  if (!$("table").open || !settled() || t < 0) return;
  const columns = [...Array(n_head).keys(), MEAN], weights = columns.map(head => weightsOf(t, state.layer, head));
  const heads = columns.map(head => el("th", { scope: "col" }, head === MEAN ? MEAN : `head ${head}`));
  const rows = Array.from({ length: t + 1 }, (_, s) => el("tr", {}, el("th", { scope: "row" }, place(first + s)),
    ...weights.map(row => el("td", {}, percent(row[s])))));
  home.replaceChildren(el("table", {}, el("caption", {}, `What ${place(reader)} reads in layer ${state.layer}`),
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "token"), ...heads)), el("tbody", {}, ...rows)));
}

// The next token ------------------------------------------------------------------------------

// The likeliest tokens, with the chance that they are drawn and the model's own.
function candidates() {
  const own = nextProbs(model.logits), changed = state.temperature !== 1 || state.topK !== null || state.topP < 1;
  const probs = changed ? nextProbs(model.logits, state) : own;
  return likeliestFirst(own, TOP).map(id => ({ id, prob: probs[id], own: changed ? own[id] : null }));
}

function barButtons() {
  $("bars").replaceChildren(...Array.from({ length: TOP }, () => el("li", {}, el("button", { disabled: true }))));
}

function drawBars() {
  for (const [rank, { id, prob, own }] of candidates().entries()) {
    const button = $("bars").children[rank].firstChild, cut = own !== null && prob === 0 && own > 0;
    const bar = el("span", { className: "bar" }, el("i", { style: `width:${100 * prob}%` }));
    if (own !== null) bar.append(el("u", { style: `width:${100 * own}%` }));
    const chance = el("span", { className: "chance" }, cut ? "cut off" : percent(prob));
    if (own !== null) chance.append(el("i", {}, `was ${percent(own)}`));
    const box = id === tokenizer.endOfText ? el("span", { className: "token" }, el("span", { className: "space" }, "end of story")) : tokenBox(tokenizer.decode([id]));
    button.replaceChildren(box, bar, chance);
    button.className = cut ? "cut" : "";
    button.ariaLabel = `${spoken(id)}, ${chance.textContent.replace("was", ", was")}`;
    button.disabled = false;
    button.onclick = () => choose(id);
  }
}

async function choose(id) {
  writing = false;
  append(id);
  await think();
  showControls();
  say(`${spoken(id)}. ${likeliest()}`);
}

// The tower -----------------------------------------------------------------------------------

// The vectors of a floor by what they are, the one that goes on first.
function vectorsOf(floor) {
  const { n_embd: C, n_layer } = model.config, found = {};
  if (floor === 0) {
    const id = view().at(-1) * C, t = (view().length - 1) * C;
    return { "x: the sum of both": model.x, "wte: the token's row": model.wte.subarray(id, id + C), "wpe: the position's row": model.wpe.subarray(t, t + C) };
  }
  const { seen } = model.h[floor - 1];
  found["x: what goes on to the next floor"] = seen.x_out;
  if (floor === n_layer) Object.assign(found, { "ln_f: x as the output reads it": model.final, "logits: a score for every token": model.logits });
  Object.assign(found, { "ln_1: what attention gets": seen.ln_1 });
  for (const [i, part] of ["q: the query", "k: the key", "v: the value"].entries()) found[`attn.c_attn, ${part}`] = seen.c_attn.subarray(i * C, (i + 1) * C);
  return Object.assign(found, { "what the heads have read, side by side": seen.heads, "attn.c_proj: what attention adds": seen.attn,
    "x between attention and MLP": seen.x_mid, "ln_2: what the MLP gets": seen.ln_2, "mlp.c_fc: before the GELU": seen.c_fc,
    "after the GELU": seen.gelu, "mlp.c_proj: what the MLP adds": seen.mlp });
}

const floorName = floor => (floor ? `block ${floor - 1}` : "embedding");

function floorButtons() {
  const floors = Array.from({ length: model.config.n_layer + 1 }, (_, i) => model.config.n_layer - i);
  $("tower").replaceChildren(...floors.map(floor => {
    const parts = ["floor", "token", "bar", "chance", "more"].map(className => el("span", { className }));
    parts[0].textContent = floorName(floor);
    const button = el("button", { onclick: () => openFloor(opened === floor ? null : floor) }, ...parts, el("canvas"));
    button.setAttribute("aria-expanded", "false");
    return Object.assign(el("li", {}, button, el("div", { className: "opened", hidden: true })), { floor });
  }));
}

async function drawTower() {
  $("inside-text").textContent = `A tower of blocks leads from the token ${place(state.cursor - 1)}, at the bottom, to the next one, at the top. ` +
    "Each floor says what the model would write if it were the last. The strip is the vector there: open a floor to see every number.";
  const logits = new Float32Array(model.config.vocab_size);
  for (const item of [...$("tower").children].reverse()) {
    const { floor } = item, button = item.firstChild, [, token, bar, chance, more] = button.children;
    if (!(await inSlices(model.unembed(model.stream(floor), logits)))) return;
    const probs = nextProbs(logits), [best, ...others] = likeliestFirst(probs, 3);
    token.replaceChildren(...(best === tokenizer.endOfText ? ["end"] : tokenBox(tokenizer.decode([best])).childNodes));
    bar.replaceChildren(el("i", { style: `width:${100 * probs[best]}%` }));
    chance.textContent = percent(probs[best]);
    more.textContent = "then " + others.map(id => `${spoken(id)} ${percent(probs[id])}`).join(", ");
    button.ariaLabel = `${floorName(floor)}: ${spoken(best)} ${percent(probs[best])}, ${more.textContent}`;
    drawStrip(button.lastChild, model.stream(floor));
  }
  drawNumbers();
}

function openFloor(floor) {
  opened = floor;
  drawNumbers();
  keepAddress();
}

function drawNumbers() {
  for (const item of $("tower").children) {
    const [button, home] = item.children, shown = item.floor === opened;
    button.setAttribute("aria-expanded", shown);
    home.hidden = !shown;
    home.replaceChildren();
    if (!shown) continue;
    const vectors = vectorsOf(item.floor), names = Object.keys(vectors), chosen = names.includes(vector) ? vector : names[0];
    const menu = el("select", { ariaLabel: `Vector of ${floorName(item.floor)}` }, ...names.map(n => el("option", { value: n, selected: n === chosen }, `${n} (${vectors[n].length})`)));
    const list = el("div", {}, numberList(vectors[chosen]));
    menu.onchange = () => list.replaceChildren(numberList(vectors[(vector = menu.value)]));
    home.append(menu, list);
  }
}

// Controls ------------------------------------------------------------------------------------

function showControls() {
  $("write").textContent = writing ? "Stop" : "Write";
  $("write").disabled = !model;
  for (const id of ["one", "again"]) $(id).disabled = !model || writing;
  $("back").disabled = !model || writing || state.cursor <= 1;
  $("temperature").value = state.temperature;
  $("top-k").value = TOP_K.indexOf(state.topK);
  $("top-p").value = state.topP;
  $("seed").value = state.seed;
  const said = { temperature: state.temperature.toFixed(1), "top-k": `${state.topK ?? "all"}`, "top-p": state.topP.toFixed(2) };
  for (const [id, value] of Object.entries(said)) {
    document.querySelector(`output[for="${id}"]`).textContent = value;
    $(id).setAttribute("aria-valuetext", value);
  }
}

function set(changes) {
  Object.assign(state, changes);
  showControls();
  if (!model) return;
  drawBars();
  keepAddress();
}

const grouped = number => number.toLocaleString("en");

function drawFigures() {
  const { n_layer, n_head, n_embd, n_ctx, vocab_size } = model.config, C = n_embd;
  const count = (vocab_size + n_ctx) * C + n_layer * (12 * C * C + 13 * C) + 2 * C;
  const rate = Math.round((1000 * speed.tokens) / speed.ms);
  const slower = rate > 1000 / PACE ? ", and writes them slower, for the eye" : "";
  $("figures").textContent = `${modelName} has ${grouped(count)} numbers in ${n_layer} blocks of ${n_head} heads, ${C} columns wide. ` +
    `It knows ${grouped(vocab_size)} tokens and sees the last ${grouped(n_ctx)} of a text. ` +
    `In this browser it reads or writes ${grouped(rate)} tokens a second${slower}.`;
}

// The address ---------------------------------------------------------------------------------

let keeping = null;
function keepAddress() {
  clearTimeout(keeping);
  keeping = setTimeout(() => {
    const found = { start: state.start, new: state.ids.slice(state.given).join("."), at: state.cursor, layer: state.layer, head: state.head };
    if (modelName !== COURSE) Object.assign(found, { start: textOf(0, state.cursor), new: "" }); // ids of another tokenizer
    for (const [key, usual] of Object.entries(KEPT)) if (state[key] !== usual) found[key] = state[key];
    if (opened !== null) found.floor = opened;
    if (!found.new) delete found.new;
    if (state.cursor === state.ids.length) delete found.at;
    history.replaceState(null, "", `#${new URLSearchParams(found)}`);
  }, 250);
}

// The state of an address; what it does not name, or names wrongly, is as at the beginning.
async function readAddress() {
  const asked = new URLSearchParams(location.hash.slice(1)), { n_layer, n_head, vocab_size } = model.config;
  const whole = (key, low, high, usual) => (/^\d+$/.test(asked.get(key)) && +asked.get(key) >= low && +asked.get(key) <= high ? +asked.get(key) : usual);
  const between = (key, low, high, usual) => (asked.get(key) && +asked.get(key) >= low && +asked.get(key) <= high ? +asked.get(key) : usual);
  Object.assign(state, {
    temperature: between("temperature", 0, 2, KEPT.temperature), topP: between("topP", 0.01, 1, KEPT.topP),
    topK: TOP_K.includes(whole("topK", 1, 100, null)) ? whole("topK", 1, 100, null) : null, seed: whole("seed", 0, 2 ** 31, KEPT.seed),
    layer: whole("layer", 0, n_layer - 1, 0), head: asked.get("head") === MEAN ? MEAN : whole("head", 0, n_head - 1, Math.min(3, n_head - 1)),
  });
  opened = whole("floor", 0, n_layer, null);
  const start = asked.get("start") ?? EXAMPLES[0], ids = tokenizer.encode(start);
  const chosen = (asked.get("new") ?? "").split(".").filter(id => /^\d+$/.test(id) && +id < vocab_size).map(Number);
  const given = ids.length ? ids : [tokenizer.endOfText];
  Object.assign(state, { start, ids: [...given, ...chosen], given: given.length });
  state.cursor = whole("at", 1, state.ids.length, state.ids.length);
  $("start").value = start;
  markHead();
  showControls();
  await think();
}

// Models --------------------------------------------------------------------------------------

async function use(files, called) {
  writing = false;
  turn++;
  $("trouble").textContent = "";
  const found = await loadModel(files, share => ($("figures").textContent = `${called} is read: ${Math.round(100 * share)} %`));
  ({ model, tokenizer } = found);
  modelName = called;
  Object.assign(speed, { tokens: 0, ms: 0 });
  for (const { box } of words.splice(0)) box.remove();
  headButtons();
  floorButtons();
}

// The model beside the page. Opened as a file, a page may fetch nothing: there a script brings it.
async function courseFiles() {
  if (location.protocol !== "file:") {
    const blobs = await Promise.all(FILES.map(async file => {
      const answer = await fetch(`course_model/${file}`);
      if (!answer.ok) throw new Error(`course_model/${file} must lie beside this page, and does not`);
      return [file, await answer.blob()];
    }));
    return Object.fromEntries(blobs);
  }
  await new Promise((resolve, reject) => {
    const onerror = () => reject(new Error("course_model/files.js must lie beside this page, and does not"));
    document.head.append(el("script", { src: "course_model/files.js", onload: resolve, onerror }));
  });
  const bytes = text => Uint8Array.from(atob(text), char => char.charCodeAt(0));
  return Object.fromEntries(Object.entries(COURSE_FILES).map(([file, text]) => [file, new Blob([bytes(text)])]));
}

async function useChosen(list) {
  const files = Object.fromEntries(Array.from(list, file => [file.name, file]));
  try {
    await use(files, "Your model");
    Object.assign(state, { layer: 0, head: MEAN });
    markHead();
    await restart(state.start);
  } catch (error) {
    $("trouble").textContent = `This model can't be used: ${error.message}.`;
    if (model) drawFigures();
  }
}

// Beginning -----------------------------------------------------------------------------------

$("write").onclick = () => (writing ? (writing = false) : write());
$("one").onclick = async () => {
  if (!settled()) await think();
  await choose(drawNext());
};
$("back").onclick = () => go(state.cursor - 1);
$("again").onclick = () => restart(state.start);
$("link").onclick = async () => {
  try {
    await navigator.clipboard.writeText(location.href);
    say("Link copied.");
    $("link").textContent = "Copied";
    setTimeout(() => ($("link").textContent = "Copy link"), 1500);
  } catch {
    $("trouble").textContent = "The address in your browser's address bar is the link.";
  }
};
$("begin").onsubmit = event => {
  event.preventDefault();
  restart($("start").value);
};
$("start").onkeydown = event => {
  if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    $("begin").requestSubmit();
  }
};
$("temperature").oninput = event => set({ temperature: +event.target.value });
$("top-k").oninput = event => set({ topK: TOP_K[event.target.value] });
$("top-p").oninput = event => set({ topP: +event.target.value });
$("seed").onchange = event => set({ seed: Math.max(0, Math.floor(+event.target.value) || 0) });
$("dice").onclick = () => set({ seed: state.seed + 1 });
$("heat").onpointermove = pointAtMap;
$("heat").onpointerdown = pointAtMap;
$("heat").onpointerleave = () => look(null);
$("heat").onkeydown = moveInMap;
$("heat").onblur = () => look(null);
$("table").ontoggle = drawTable;
for (const id of ["files", "folder"]) $(id).onchange = event => event.target.files.length && useChosen(event.target.files);
document.ondragover = event => {
  event.preventDefault();
  document.body.classList.add("dropping");
};
document.ondragleave = event => event.relatedTarget || document.body.classList.remove("dropping");
document.ondrop = event => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  if (event.dataTransfer.files.length) useChosen(event.dataTransfer.files);
};
window.onhashchange = () => model && readAddress();
matchMedia("(prefers-color-scheme: dark)").onchange = () => model && drawLarge();
new ResizeObserver(() => model && state.cursor && (drawReading(), drawLarge())).observe($("story"));
for (const example of EXAMPLES)
  $("examples").append(el("button", { type: "button", onclick: () => model && restart(example) }, example || "from nothing"));

barButtons();
showControls();
drawScale($("scale"));
$("text").textContent = "";
const ready = courseFiles()
  .then(files => use(files, COURSE))
  .then(readAddress)
  .catch(error => ($("trouble").textContent = `The model could not be read: ${error.message}.`));
