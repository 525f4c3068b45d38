// Byte-level byte pair encoding, as GPT-2 has it: text to ids and back.
"use strict";

const END_OF_TEXT = "<|endoftext|>";
const PATTERN = String.raw`'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+$|\s+(?!\S)|\s`;
const PAIR = 2 ** 20; // above every id, so that a pair of ids is one number

// vocab.json and merges.txt spell a byte as a character: itself where it prints, else from U+0100 on.
const SPELLED = [], BYTE_OF = new Map();
for (let byte = 0, next = 256; byte < 256; byte++) {
  const prints = (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
  SPELLED[byte] = String.fromCharCode(prints ? byte : next++);
  BYTE_OF.set(SPELLED[byte], byte);
}

class Tokenizer {
  // byteIds: the id of every byte; merges: [left, right, id] in order of rank;
  // special: ids by their text, such as <|endoftext|>; pattern: cuts a text into chunks
  constructor(byteIds, merges, special, pattern = PATTERN) {
    this.byteIds = byteIds;
    this.bytes = []; // of every id
    byteIds.forEach((id, byte) => (this.bytes[id] = Uint8Array.of(byte)));
    this.merges = new Map(); // pair -> [rank, id]
    merges.forEach(([left, right, id], rank) => {
      this.bytes[id] = Uint8Array.of(...this.bytes[left], ...this.bytes[right]);
      this.merges.set(left * PAIR + right, [rank, id]);
    });
    for (const [text, id] of Object.entries(special)) this.bytes[id] = new TextEncoder().encode(text);
    this.endOfText = special[END_OF_TEXT];
    this.pattern = regexOf(pattern);
    this.chunks = new Map(); // chunk -> ids, as words come again
  }

  get vocabSize() {
    return this.bytes.length;
  }

  encode(text) {
    return Array.from(text.matchAll(this.pattern), ([chunk]) => this.encodeChunk(chunk)).flat();
  }

  encodeChunk(chunk) {
    if (!this.chunks.has(chunk)) {
      const bytes = new TextEncoder().encode(chunk);
      this.chunks.set(chunk, this.merge(Array.from(bytes, byte => this.byteIds[byte])));
    }
    return this.chunks.get(chunk);
  }

  // The pair of the lowest rank first, wherever it stands, until no pair is left to merge.
  merge(ids) {
    for (;;) {
      let best = null;
      for (let i = 0; i + 1 < ids.length; i++) {
        const found = this.merges.get(ids[i] * PAIR + ids[i + 1]);
        if (found && (!best || found[0] < best[0])) best = found;
      }
      if (!best) return ids;
      const merged = [];
      for (let i = 0; i < ids.length; i++) {
        const found = i + 1 < ids.length && this.merges.get(ids[i] * PAIR + ids[i + 1]);
        if (found && found[1] === best[1] && found[0] === best[0]) {
          merged.push(best[1]);
          i++;
        } else merged.push(ids[i]);
      }
      ids = merged;
    }
  }

  decode(ids) {
    return this.pieces(ids).join("");
  }

  // The text of each id. A character that is spread over several ids comes with the last of them.
  pieces(ids) {
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    const pieces = Array.from(ids, id => decoder.decode(this.bytes[id] ?? new Uint8Array(), { stream: true }));
    if (pieces.length) pieces[pieces.length - 1] += decoder.decode();
    return pieces;
  }
}

// From the course's syntax, in which "++" gives nothing back and \s is Unicode's white space.
function regexOf(pattern) {
  const source = pattern.replace(/([+*?])\+/g, "$1").replaceAll("\\s", "\\p{White_Space}");
  return new RegExp(source.replaceAll("\\S", "\\P{White_Space}"), "gu");
}

// gpt2course-tokenizer.json: bytes are 0 to 255, the merge of rank r makes 256 + r.
function courseTokenizer(fields) {
  const merges = fields.merges.map(([left, right], rank) => [left, right, 256 + rank]);
  return new Tokenizer([...Array(256).keys()], merges, fields.special_tokens, fields.pattern);
}

// vocab.json and merges.txt, or the same inside transformers' tokenizer.json.
function gpt2Tokenizer(vocab, merges) {
  const pairs = merges.map(pair => (typeof pair === "string" ? pair.split(" ") : pair));
  const made = new Set([...SPELLED, ...pairs.map(pair => pair.join(""))]);
  const special = Object.entries(vocab).filter(([token]) => !made.has(token));
  const rows = pairs.map(([left, right]) => [vocab[left], vocab[right], vocab[left + right]]);
  if (rows.flat().includes(undefined)) throw new Error("vocab.json and merges.txt must belong together, and do not");
  return new Tokenizer(SPELLED.map(byte => vocab[byte]), rows, Object.fromEntries(special));
}

function mergesOf(text) {
  return text.split("\n").filter(line => line && !line.startsWith("#version"));
}
