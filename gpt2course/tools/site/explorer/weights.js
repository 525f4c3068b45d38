// A model from its files: config.json, safetensors, and a tokenizer, each given as a Blob.
"use strict";

const HEADS = { 768: 12, 1024: 16, 1280: 20, 1600: 25 }; // n_head by n_embd, of the released models
const MUST_BE = { model_type: "gpt2", activation_function: "gelu_new", layer_norm_epsilon: 1e-5,
  scale_attn_weights: true, scale_attn_by_inverse_layer_idx: false, add_cross_attention: false,
  tie_word_embeddings: true };

// files: Blobs by name. Returns { model, tokenizer }.
async function loadModel(files, report = () => {}) {
  const names = Object.keys(files), tensors = {};
  const whole = "model.safetensors" in files; // else all parts
  const weights = names.filter(name => (whole ? name === "model.safetensors" : name.endsWith(".safetensors")));
  if (!weights.length) throw new Error(`a model needs its weights, model.safetensors, got ${names.join(", ") || "nothing"}`);
  const tokenizer = await loadTokenizer(files);
  for (const name of weights.sort()) await readSafetensors(files[name], tensors, report);
  const config = await configOf(files["config.json"], tensors);
  checkTensors(config, tensors);
  if (tokenizer.vocabSize > config.vocab_size)
    throw new Error(`the tokenizer has ${tokenizer.vocabSize} tokens, the model ${config.vocab_size}; choose the one that belongs to the model`);
  return { model: new GPT2(config, tensors), tokenizer };
}

// The format: 8 bytes with the length of a JSON header, the header, then the numbers.
// https://huggingface.co/docs/safetensors
async function readSafetensors(blob, tensors, report) {
  const length = Number(new DataView(await blob.slice(0, 8).arrayBuffer()).getBigUint64(0, true));
  let header;
  try {
    header = JSON.parse(await blob.slice(8, 8 + length).text());
  } catch {
    throw new Error("the weights must be a whole safetensors file, and are none; copy the file again");
  }
  const { __metadata__, ...entries } = header, start = 8 + length;
  // Released files hold the matrices of the blocks as (in, out); nn.Linear's are (out, in).
  const linear = Object.entries(entries).some(([name, { shape }]) => name.endsWith("attn.c_attn.weight") && shape[0] === 3 * shape[1]);
  let done = 0;
  for (const [name, { dtype, shape, data_offsets: [from, to] }] of Object.entries(entries)) {
    const ours = name.replace(/^transformer\./, "");
    if (start + to > blob.size) throw new Error(`the weights end before ${name}; copy the file again`);
    // lm_head is wte once more; attn.bias and attn.masked_bias are masks that older files carry
    if (ours !== "lm_head.weight" && !/\.attn\.(masked_)?bias$/.test(ours)) {
      const numbers = floats(await blob.slice(start + from, start + to).arrayBuffer(), dtype, name);
      const turn = linear && /\.(attn|mlp)\.\w+\.weight$/.test(ours);
      tensors[ours] = turn ? transposed(numbers, ...shape) : numbers;
    }
    report((done += to - from) / (blob.size - start));
  }
}

function floats(buffer, dtype, name) {
  if (dtype === "F32") return new Float32Array(buffer);
  const bits = ["F16", "BF16"].includes(dtype) && new Uint16Array(buffer);
  if (!bits) throw new Error(`${name} must be F32, F16 or BF16, got ${dtype}; save the model in one of them`);
  const out = new Float32Array(bits.length);
  if (dtype === "BF16") { // the upper half of a float32
    new Uint32Array(out.buffer).set(bits);
    const words = new Uint32Array(out.buffer);
    for (let i = 0; i < words.length; i++) words[i] <<= 16;
    return out;
  }
  const float16 = halves();
  for (let i = 0; i < bits.length; i++) out[i] = float16[bits[i]];
  return out;
}

// All 65,536 float16 numbers by their bits.
function halves() {
  return Float32Array.from({ length: 65536 }, (_, bits) => {
    const sign = bits >> 15 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
  });
}

// (rows, columns) to (columns, rows)
function transposed(numbers, rows, columns) {
  const out = new Float32Array(numbers.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) out[j * rows + i] = numbers[i * columns + j];
  return out;
}

async function configOf(blob, tensors) {
  if (blob) {
    const fields = JSON.parse(await blob.text());
    for (const [key, value] of Object.entries(MUST_BE))
      if ((fields[key] ?? value) !== value)
        throw new Error(`config.json must have ${key} = ${value}, as GPT-2 does, got ${fields[key]}; this is another kind of model`);
    const { n_layer, n_head, n_embd, n_positions: n_ctx, vocab_size } = fields;
    return { n_layer, n_head, n_embd, n_ctx, vocab_size };
  }
  // A released model's sizes stand in its shapes, but for the number of heads.
  const n_embd = tensors["ln_f.weight"]?.length, n_head = HEADS[n_embd];
  if (!n_head) throw new Error("config.json must come with the weights: it says how many heads the model has");
  const n_layer = Object.keys(tensors).filter(name => name.endsWith(".ln_1.weight")).length;
  const [vocab_size, n_ctx] = ["wte.weight", "wpe.weight"].map(name => tensors[name]?.length / n_embd);
  return { n_layer, n_head, n_embd, n_ctx, vocab_size };
}

function checkTensors({ n_layer, n_embd: C, n_ctx, vocab_size }, tensors) {
  const sizes = { "wte.weight": vocab_size * C, "wpe.weight": n_ctx * C, "ln_f.weight": C, "ln_f.bias": C };
  for (let i = 0; i < n_layer; i++) {
    for (const name of ["ln_1", "ln_2"]) Object.assign(sizes, { [`h.${i}.${name}.weight`]: C, [`h.${i}.${name}.bias`]: C });
    for (const [name, rows, columns] of [["attn.c_attn", C, 3 * C], ["attn.c_proj", C, C], ["mlp.c_fc", C, 4 * C], ["mlp.c_proj", 4 * C, C]])
      Object.assign(sizes, { [`h.${i}.${name}.weight`]: rows * columns, [`h.${i}.${name}.bias`]: columns });
  }
  for (const [name, size] of Object.entries(sizes))
    if (tensors[name]?.length !== size)
      throw new Error(`${name} must hold ${size} numbers, got ${tensors[name]?.length ?? "none"}; take the config.json that belongs to the weights`);
}

async function loadTokenizer(files) {
  const json = async name => JSON.parse(await files[name].text());
  if (files["gpt2course-tokenizer.json"]) return courseTokenizer(await json("gpt2course-tokenizer.json"));
  if (files["vocab.json"] && files["merges.txt"])
    return gpt2Tokenizer(await json("vocab.json"), mergesOf(await files["merges.txt"].text()));
  if (files["tokenizer.json"]) {
    const { model, added_tokens } = await json("tokenizer.json");
    const added = Object.fromEntries((added_tokens ?? []).map(({ content, id }) => [content, id]));
    return gpt2Tokenizer({ ...model.vocab, ...added }, model.merges);
  }
  throw new Error("a model needs its tokenizer: choose gpt2course-tokenizer.json, or vocab.json and merges.txt, or tokenizer.json with the weights");
}
