// Pictures of numbers: lines between words, a map of weights, a strip of a vector.
"use strict";

const VIRIDIS = ["#440154", "#3b528b", "#21918c", "#5ec962", "#fde725"].map(channels);
const DIVERGING = ["#2166ac", "#92c5de", "#f7f7f7", "#f4a582", "#b2182b"].map(channels);
const SIGNS = { " ": "␣", "\n": "↵", "\t": "⇥", "\r": "␍" };

function channels(colour) {
  return [1, 3, 5].map(i => parseInt(colour.slice(i, i + 2), 16));
}

// The colour at t (0 to 1) along evenly spaced stops, as [r, g, b].
function blend(stops, t) {
  const place = Math.min(Math.max(t, 0), 1) * (stops.length - 1), i = Math.min(Math.floor(place), stops.length - 2);
  return stops[i].map((from, n) => Math.round(from + (stops[i + 1][n] - from) * (place - i)));
}

// Weights are drawn by their root, so that small ones can be told from none.
const weightColour = weight => blend(VIRIDIS, Math.sqrt(weight));
const signedColour = (value, reach) => blend(DIVERGING, 0.5 + value / (2 * reach || 1));

// An element with its properties and what is in it.
function el(tag, properties = {}, ...inside) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties))
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  element.append(...inside);
  return element;
}

// A probability as it is written beside its bar.
function percent(prob) {
  if (prob > 0 && prob < 0.0005) return "< 0.1 %";
  if (prob >= 0.9995 && prob < 1) return "> 99.9 %";
  return `${(100 * prob).toFixed(1).replace("100.0", "100")} %`;
}

// A token in one line: spaces and line ends as signs.
function signs(text) {
  return Array.from(text, char => SIGNS[char] ?? (/\p{C}/u.test(char) ? `U+${char.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}` : char)).join("");
}

// The same for a button: the signs of the space at its edges are pale.
function tokenBox(text) {
  const [, before, rest] = /^( ?)([^]*)$/.exec(text);
  const box = el("span", { className: "token" });
  if (before) box.append(el("span", { className: "space" }, "␣"));
  box.append(signs(rest));
  return box;
}

// One line from the word that reads to each that it reads, thick where the weight is large; the
// largest weights stand above their words.
function drawLines(svg, words, reader, weights) {
  svg.replaceChildren();
  const home = svg.parentElement.getBoundingClientRect(), scrolled = svg.parentElement.scrollTop;
  const place = word => {
    const box = word.getClientRects()[0];
    return { x: box.left + box.width / 2 - home.left, y: box.top + 5 - home.top + scrolled };
  };
  const part = (tag, attributes, text = "") => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.textContent = text;
    return element;
  };
  const from = place(reader), labels = [];
  for (const [rank, s] of likeliestFirst(weights).entries()) {
    const weight = weights[s], to = place(words[s]), high = 10 + Math.min(24, Math.abs(from.x - to.x) * 0.06);
    if (weight < 0.03) break;
    const d = `M${from.x},${from.y} C${from.x},${from.y - high} ${to.x},${to.y - high} ${to.x},${to.y}`;
    if (words[s] !== reader) svg.append(part("path", { d, "stroke-width": 1 + 4 * weight, opacity: 0.25 + 0.7 * weight }));
    // A label that would lie on another one is left out; the line below the text has its number.
    const free = labels.every(one => Math.hypot(one.getAttribute("x") - to.x, 2 * (one.getAttribute("y") - to.y + 7)) > 34);
    if (rank < 4 && weight >= 0.05 && free) labels.push(part("text", { x: to.x, y: to.y - 7 }, `${Math.round(100 * weight)} %`));
  }
  svg.append(...labels);
}

// rows: for every token its weights, as long as the token's place allows. One pixel each.
function drawMap(canvas, rows) {
  const T = rows.length;
  canvas.width = canvas.height = T;
  const context = canvas.getContext("2d"), image = context.createImageData(T, T);
  for (const [t, row] of rows.entries())
    for (let s = 0; s <= t; s++) image.data.set([...weightColour(row[s]), 255], 4 * (t * T + s));
  context.putImageData(image, 0, 0);
}

// The large map, with the tokens beside the rows where there is room. Returns { left, top, cell }.
function drawHeat(canvas, rows, names, marked, room) {
  const T = rows.length, named = T <= 48, left = named ? 92 : 0, top = named ? 62 : 0;
  const cell = Math.max(2, Math.min(26, Math.floor((room - left) / T)));
  const [width, height] = [left + T * cell + (named ? 30 : 0), top + T * cell], dense = window.devicePixelRatio || 1;
  Object.assign(canvas, { width: width * dense, height: height * dense });
  Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
  const context = canvas.getContext("2d"), style = getComputedStyle(canvas);
  const [ink, empty, lit] = ["--ink", "--empty", "--reads"].map(name => style.getPropertyValue(name));
  const small = el("canvas");
  drawMap(small, rows);
  context.scale(dense, dense);
  context.fillStyle = empty;
  context.fillRect(left, top, T * cell, T * cell);
  context.imageSmoothingEnabled = false;
  context.drawImage(small, left, top, T * cell, T * cell);
  context.fillStyle = ink;
  context.textBaseline = "middle";
  if (named) for (const [t, name] of names.entries()) {
    const said = name.length > 11 ? `${name.slice(0, 10)}…` : name;
    context.font = `${t === marked ? "bold " : ""}${Math.max(8, Math.min(12, cell))}px ui-monospace, Menlo, Consolas, monospace`;
    context.textAlign = "right";
    context.fillText(said, left - 5, top + (t + 0.5) * cell);
    context.save();
    context.translate(left + (t + 0.5) * cell, top - 5);
    context.rotate(-0.9);
    context.textAlign = "left";
    context.fillText(said, 0, 0);
    context.restore();
  }
  context.strokeStyle = lit;
  context.lineWidth = 2;
  if (marked >= 0) context.strokeRect(left + 1, top + marked * cell, (marked + 1) * cell - 1, cell);
  return { left, top, cell };
}

function drawScale(canvas) {
  Object.assign(canvas, { width: 128, height: 1 });
  Object.assign(canvas.style, { width: "128px", height: "12px" });
  for (let x = 0; x < 128; x++) {
    const context = canvas.getContext("2d");
    context.fillStyle = `rgb(${blend(VIRIDIS, x / 127)})`;
    context.fillRect(x, 0, 1, 1);
  }
}

// A vector as a strip, one pixel for each number: blue below 0, red above.
function drawStrip(canvas, vector) {
  Object.assign(canvas, { width: vector.length, height: 1 });
  const context = canvas.getContext("2d"), image = context.createImageData(vector.length, 1), reach = reachOf(vector);
  for (let i = 0; i < vector.length; i++) image.data.set([...signedColour(vector[i], reach), 255], 4 * i);
  context.putImageData(image, 0, 0);
}

// The largest absolute value but for the few that stick out, which would make all others pale.
function reachOf(vector) {
  const sizes = Float32Array.from(vector, Math.abs).sort();
  return sizes[Math.floor(0.98 * (sizes.length - 1))];
}

// Every number of a vector, with its index.
function numberList(vector) {
  const reach = reachOf(vector);
  const items = Array.from(vector, (value, i) => {
    const colour = signedColour(value, reach), [r, g, b] = colour;
    const ink = 0.299 * r + 0.587 * g + 0.114 * b > 130 ? "#000" : "#fff";
    return el("li", { style: `background:rgb(${colour});color:${ink}` }, el("small", {}, `${i}`), value.toFixed(3).replace("-", "−"));
  });
  return el("ol", { className: "numbers", tabIndex: 0, ariaLabel: `${vector.length} numbers` }, ...items);
}
