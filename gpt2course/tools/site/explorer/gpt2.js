// GPT-2's forward pass, one token at a time, under the names of the released checkpoint.
//
// Shapes: C = n_embd columns; nh heads of hs = C / nh columns; V tokens in the vocabulary;
// t = the position of the token that is read. A matrix (C, D) lies row after row in one Float32Array.
"use strict";

const SLICE = 1 << 22; // multiplications between two points where the page may draw

// y (D) = x (C) @ weight (C, D) + bias (D)
function linear(x, { weight, bias }, y) {
  const C = x.length, D = y.length;
  y.set(bias);
  let i = 0;
  for (; i + 4 <= C; i += 4) { // four rows of the matrix in one pass over y
    const x0 = x[i], x1 = x[i + 1], x2 = x[i + 2], x3 = x[i + 3];
    const r0 = i * D, r1 = r0 + D, r2 = r1 + D, r3 = r2 + D;
    for (let j = 0; j < D; j++)
      y[j] += x0 * weight[r0 + j] + x1 * weight[r1 + j] + x2 * weight[r2 + j] + x3 * weight[r3 + j];
  }
  for (; i < C; i++) for (let j = 0; j < D; j++) y[j] += x[i] * weight[i * D + j];
}

// y (C): x with mean 0 and variance 1, then scaled and shifted column by column
function layerNorm(x, { weight, bias }, y) {
  const C = x.length;
  let mean = 0, variance = 0;
  for (let i = 0; i < C; i++) mean += x[i] / C;
  for (let i = 0; i < C; i++) variance += (x[i] - mean) ** 2 / C;
  const scale = 1 / Math.sqrt(variance + 1e-5);
  for (let i = 0; i < C; i++) y[i] = (x[i] - mean) * scale * weight[i] + bias[i];
}

// y = GELU(x) in the tanh form, which GPT-2 was trained with
function gelu(x, y) {
  const c = Math.sqrt(2 / Math.PI);
  for (let i = 0; i < x.length; i++)
    y[i] = 0.5 * x[i] * (1 + Math.tanh(c * (x[i] + 0.044715 * x[i] ** 3)));
}

// The first n numbers of x become probabilities, in place.
function softmax(x, n = x.length) {
  let highest = -Infinity, sum = 0;
  for (let i = 0; i < n; i++) if (x[i] > highest) highest = x[i];
  for (let i = 0; i < n; i++) sum += x[i] = Math.exp(x[i] - highest);
  for (let i = 0; i < n; i++) x[i] /= sum;
  return x;
}

function add(x, y, sum) {
  for (let i = 0; i < x.length; i++) sum[i] = x[i] + y[i];
}

// One block. `seen` holds all that it computed for the last token, ready to be looked at.
class Block {
  constructor({ n_head, n_embd: C, n_ctx }, tensors, name) {
    const part = at => ({ weight: tensors[`${name}.${at}.weight`], bias: tensors[`${name}.${at}.bias`] });
    this.ln_1 = part("ln_1");
    this.attn = { c_attn: part("attn.c_attn"), c_proj: part("attn.c_proj") };
    this.ln_2 = part("ln_2");
    this.mlp = { c_fc: part("mlp.c_fc"), c_proj: part("mlp.c_proj") };
    this.n_head = n_head;
    // the cache: a row for every token that was read. Queries are kept for the pictures alone.
    this.q = new Float32Array(n_ctx * C); // (n_ctx, C), and the same for k and v
    this.k = new Float32Array(n_ctx * C);
    this.v = new Float32Array(n_ctx * C);
    const vectors = { ln_1: C, c_attn: 3 * C, heads: C, attn: C, x_mid: C };
    Object.assign(vectors, { ln_2: C, c_fc: 4 * C, gelu: 4 * C, mlp: C, x_out: C });
    this.seen = { weights: new Float32Array(n_ctx) }; // of one head
    for (const [at, size] of Object.entries(vectors)) this.seen[at] = new Float32Array(size);
  }

  forward(x, t) {
    const { seen, attn, mlp } = this;
    layerNorm(x, this.ln_1, seen.ln_1);
    linear(seen.ln_1, attn.c_attn, seen.c_attn); // (3C): q, k and v side by side
    this.attend(seen.c_attn, t); // (C): what the heads have read
    linear(seen.heads, attn.c_proj, seen.attn);
    add(x, seen.attn, seen.x_mid);
    layerNorm(seen.x_mid, this.ln_2, seen.ln_2);
    linear(seen.ln_2, mlp.c_fc, seen.c_fc); // (4C)
    gelu(seen.c_fc, seen.gelu);
    linear(seen.gelu, mlp.c_proj, seen.mlp);
    add(seen.x_mid, seen.mlp, seen.x_out);
    return seen.x_out; // (C)
  }

  attend(qkv, t) {
    const C = qkv.length / 3, hs = C / this.n_head, { weights, heads } = this.seen;
    this.q.set(qkv.subarray(0, C), t * C);
    this.k.set(qkv.subarray(C, 2 * C), t * C);
    this.v.set(qkv.subarray(2 * C), t * C);
    heads.fill(0);
    for (let head = 0; head < this.n_head; head++) {
      this.weights(head, t, weights); // (t + 1)
      for (let s = 0; s <= t; s++)
        for (let i = head * hs; i < (head + 1) * hs; i++) heads[i] += weights[s] * this.v[s * C + i];
    }
  }

  // How much of each token up to itself token t reads in one head: softmax(q kᵀ / √hs), (t + 1).
  weights(head, t, out = new Float32Array(t + 1)) {
    const { q, k } = this, C = this.seen.x_out.length, hs = C / this.n_head;
    const from = head * hs, scale = 1 / Math.sqrt(hs);
    for (let s = 0; s <= t; s++) {
      let score = 0;
      for (let i = from; i < from + hs; i++) score += q[t * C + i] * k[s * C + i];
      out[s] = score * scale;
    }
    return softmax(out, t + 1);
  }
}

class GPT2 {
  // tensors: Float32Arrays by their names in the checkpoint, matrices of the blocks as (in, out)
  constructor(config, tensors) {
    this.config = config;
    this.wte = tensors["wte.weight"]; // (V, C)
    this.wpe = tensors["wpe.weight"]; // (n_ctx, C)
    this.h = Array.from({ length: config.n_layer }, (_, i) => new Block(config, tensors, `h.${i}`));
    this.ln_f = { weight: tensors["ln_f.weight"], bias: tensors["ln_f.bias"] };
    this.x = new Float32Array(config.n_embd); // the token's vector plus the position's
    this.final = new Float32Array(config.n_embd); // after ln_f
    this.logits = new Float32Array(config.vocab_size); // after the last token that was read
    this.ids = []; // the tokens that the cache holds
  }

  // Reads a text of at most n_ctx tokens, as far as the cache does not hold it already, and leaves
  // the logits after its last token. A generator: between two steps the page may draw, or stop.
  // Returns how many tokens it read.
  *read(ids) {
    let t = 0;
    while (t < ids.length - 1 && ids[t] === this.ids[t]) t++;
    this.ids.length = t;
    const held = t;
    for (; t < ids.length; t++) {
      const C = this.config.n_embd, token = ids[t] * C;
      add(this.wte.subarray(token, token + C), this.wpe.subarray(t * C, t * C + C), this.x);
      let x = this.x;
      for (const block of this.h) {
        x = block.forward(x, t);
        yield;
      }
      this.ids.push(ids[t]);
    }
    yield* this.unembed(this.stream(this.config.n_layer), this.logits);
    return ids.length - held;
  }

  // The residual stream of the last token: 0 before the first block, n_layer after the last.
  stream(floor) {
    return floor === 0 ? this.x : this.h[floor - 1].seen.x_out;
  }

  // logits (V) = ln_f(x) (C) @ wteᵀ. Of a stream below the last, this is the "logit lens".
  *unembed(x, logits) {
    const { final, wte } = this, C = x.length;
    layerNorm(x, this.ln_f, final);
    const rows = Math.ceil(SLICE / C);
    for (let from = 0; from < logits.length; from += rows) {
      this.scores(final, wte, logits, from, Math.min(from + rows, logits.length));
      yield;
    }
  }

  scores(x, wte, logits, from, to) {
    const C = x.length;
    for (let id = from; id < to; id++) {
      let even = 0, odd = 0, i = 0, row = id * C;
      for (; i + 2 <= C; i += 2) {
        even += x[i] * wte[row + i];
        odd += x[i + 1] * wte[row + i + 1];
      }
      logits[id] = even + odd + (i < C ? x[i] * wte[row + i] : 0);
    }
  }
}

// Sampling ------------------------------------------------------------------------------------

// The probability with which each token is drawn: temperature, then top-k, then top-p.
// topK null and topP 1 keep every token; temperature 0 gives all to the likeliest.
function nextProbs(logits, { temperature = 1, topK = null, topP = 1 } = {}) {
  const probs = new Float64Array(logits.length);
  let likeliest = 0;
  for (let id = 1; id < logits.length; id++) if (logits[id] > logits[likeliest]) likeliest = id;
  if (temperature === 0) {
    probs[likeliest] = 1;
    return probs;
  }
  for (let id = 0; id < logits.length; id++) probs[id] = (logits[id] - logits[likeliest]) / temperature;
  if (topK !== null && topK < probs.length) {
    const lowest = Float64Array.from(probs).sort()[probs.length - topK];
    for (let id = 0; id < probs.length; id++) if (probs[id] < lowest) probs[id] = -Infinity;
  }
  softmax(probs);
  if (topP < 1) { // the fewest tokens that together hold topP, at least one
    let sum = 0;
    const order = likeliestFirst(probs);
    for (const [rank, id] of order.entries()) {
      const before = sum;
      sum += probs[id];
      if (rank > 0 && before >= topP) probs[id] = 0;
    }
    const kept = probs.reduce((a, b) => a + b);
    for (let id = 0; id < probs.length; id++) probs[id] /= kept;
  }
  return probs;
}

// The n ids with the highest scores, or all of them; equals in their own order.
function likeliestFirst(scores, n = scores.length) {
  if (n >= scores.length) return Array.from(scores.keys()).sort((a, b) => scores[b] - scores[a] || a - b);
  const best = [];
  for (let id = 0; id < scores.length; id++) {
    if (best.length === n && scores[id] <= scores[best[n - 1]]) continue;
    let at = best.length;
    while (at > 0 && scores[best[at - 1]] < scores[id]) at--;
    best.splice(at, 0, id);
    best.length = Math.min(best.length, n);
  }
  return best;
}

// A number from 0 to 1 that hangs on the seed and the place alone: the same link, the same text.
function random(seed, place) {
  let n = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) + Math.imul(place + 1, 0xc2b2ae35);
  for (const shift of [16, 15, 13]) n = Math.imul(n ^ (n >>> shift), 0x2c1b3c6d);
  return ((n ^ (n >>> 16)) >>> 0) / 2 ** 32;
}

function draw(probs, chance) {
  let last = 0;
  for (let id = 0; id < probs.length; id++) {
    if (probs[id] > 0) last = id;
    if ((chance -= probs[id]) < 0) return id;
  }
  return last;
}
