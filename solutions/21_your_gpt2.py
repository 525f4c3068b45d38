# %% [markdown]
# # 21 · Your GPT-2
#
# You have built the parts one by one, and the course's package stood in for the rest. **Do they make a GPT-2 without it?
# And where they do not: which part is wrong?**
#
# - **In:** your workbook, the folder `my_gpt2/` with every answer of yours that passed.
# - **Out:** one file, `my_gpt2/gpt2.py`, that writes text with nothing but PyTorch; and a page that shows what you built.
# - **Time:** 65 minutes for the core, 80 for everything.
# - **Exercises:** `read_safetensors` ●●●○○ and `first_difference` ●●○○○.
#
# This is the exam. You mark it yourself, layer by layer.
#
# Keep at hand: the [cheat sheet](../docs/cheat_sheet.md), the [glossary](../docs/glossary.md), the
# [notation](../docs/notation.md), and [what well-known explanations get wrong](../docs/common_errors.md).

# %% [markdown]
# First the tools. They come from the package, but the file that you make will not need them.

# %%
import json
import math
import re
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import safetensors.torch
import torch
from huggingface_hub import try_to_load_from_cache
from torch import Tensor

from gpt2course import check, kept_names, my_progress
from gpt2course.config import GPT2Config
from gpt2course.corpus import heldout_documents
from gpt2course.inspection import stages
from gpt2course.learner.assemble import assemble
from gpt2course.learner.exam import compare, examine, mends
from gpt2course.learner.page import write_page
from gpt2course.lessons.your_gpt2 import apart_bars, built, parts_to_break, tower
from gpt2course.model import GPT2
from gpt2course.weights import COURSE_FOLDER, load_tokenizer

# %% [markdown]
# No part is lit: this lesson is about all of them. A star marks what you have built.

# %%
tower("21_your_gpt2", kept_names())

# %% [markdown]
# ## 1. The last part: weights without a library
#
# One thing is still missing. In [lesson 14](14_released_weights.ipynb) `load_released` received tensors by name, and a
# library had read them from the file. A program that stands alone has to read the file itself.
#
# A `.safetensors` file is three things in a row: 8 bytes, a header, numbers. The 8 bytes say how long the header is, the
# lowest byte first: the first byte counts once, the second 256 times, the third 256² times. How long is the header?

# %%
raw = (COURSE_FOLDER / "model.safetensors").read_bytes()
print(f"{len(raw):,} bytes; the first eight: {list(raw[:8])}")
length = int.from_bytes(raw[:8], "little")
assert length == raw[0] + 256 * raw[1]  # in this file the other six are 0
print(f"the header has {length:,} bytes")

# %% [markdown]
# The header is JSON: a name for each tensor, and three facts about it. One name is no tensor. Which?

# %%
header = json.loads(raw[8 : 8 + length])
for name in ("__metadata__", "transformer.ln_f.bias", "transformer.wpe.weight"):
    print(name, header[name])

# %% [markdown]
# **Predict.** The numbers of some tensor have `data_offsets` `[0, 512]`. At which byte of the *file* do they begin?
#
# <details><summary>A. At byte 0</summary>
# There the length of the header is written.
# </details>
# <details><summary>B. At byte <code>length</code></summary>
# Nearly. The length does not count the eight bytes in which it stands.
# </details>
# <details><summary>C. At byte 8 + <code>length</code></summary>
# Yes. Offsets count from the end of the header, so that the header can be written without knowing its own length.
# </details>
#
# By hand: the first number of the final LayerNorm's bias is four bytes, a float32. `struct.unpack("<f", …)` turns them
# into a number; `torch.frombuffer` does it for all of them at once. Do they agree?

# %%
about = header["transformer.ln_f.bias"]
begin, end = (8 + length + place for place in about["data_offsets"])
(by_hand,) = struct.unpack("<f", raw[begin : begin + 4])
all_at_once = torch.frombuffer(bytearray(raw[begin:end]), dtype=torch.float32)
print(f"four bytes {list(raw[begin : begin + 4])} are {by_hand:.6f}")
print(f"{len(all_at_once)} numbers at once, shape in the header {about['shape']}")
assert all_at_once[0].item() == by_hand

# %% [markdown]
# `frombuffer` shares the memory that it is given, and `bytes` can't be written to. `bytearray` makes a copy that can.
#
# ## Exercise: `read_safetensors` ●●●○○ · 15 minutes
#
# All tensors of a file, by name. In: the bytes of the file. Out: a dict from name to tensor, each with the shape and
# dtype that the header says. The numbers may lie in any order, with gaps between them, and `__metadata__` is left out, if
# it is there. Python and torch have to do: `gpt2.py` will have no other library. The table in the cell turns the header's
# names of dtypes into torch's; keep it there, so that your part takes it along.
#
# <details><summary>Hint 1</summary>
# Three steps, as above: the length from <code>raw[:8]</code>, the header with <code>json.loads</code>, then one round of a
# loop for each entry of the header.
# </details>
# <details><summary>Hint 2</summary>
# In the loop: the slice of <code>raw</code> from <code>start + begin</code> to <code>start + end</code>, where
# <code>start</code> is the end of the header.
# </details>
# <details><summary>Hint 3</summary>
# <code>torch.frombuffer(bytearray(…), dtype=DTYPES[about["dtype"]])</code> gives the numbers in one row;
# <code>reshape(about["shape"])</code> gives them their shape.
# </details>

# %%
DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip


def read_safetensors(raw: bytes) -> dict[str, Tensor]:
    """The tensors in the bytes of a .safetensors file, by name."""
    ### BEGIN SOLUTION
    start = 8 + int.from_bytes(raw[:8], "little")
    tensors = {}
    for name, about in json.loads(raw[8:start]).items():
        if name != "__metadata__":
            begin, end = about["data_offsets"]
            numbers = bytearray(raw[start + begin : start + end])
            flat = torch.frombuffer(numbers, dtype=DTYPES[about["dtype"]])
            tensors[name] = flat.reshape(about["shape"])
    return tensors
    ### END SOLUTION

# %%
read_safetensors = check(read_safetensors)

# %% [markdown]
# The library, which nobody of this course wrote, is the judge: on the course model both must find the same.

# %%
mine_read, theirs_read = read_safetensors(raw), safetensors.torch.load(raw)
same = all(torch.equal(mine_read[name], theirs_read[name]) for name in theirs_read)
print(f"{len(mine_read)} tensors, {sum(t.numel() for t in mine_read.values()):,} numbers; equal: {same}")
assert same and mine_read.keys() == theirs_read.keys()

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ### Deeper: what four bytes say
#
# A float32 taken apart by hand. You can skip this section.

# %% [markdown]
# A float32 has 32 bits: one for the sign, 8 for an exponent, 23 for a fraction. The number is
# ± 2^(exponent − 127) · (1 + fraction / 2²³).

# %%
bits = int.from_bytes(raw[begin : begin + 4], "little")
sign, exponent, fraction = bits >> 31, bits >> 23 & 255, bits & (2**23 - 1)
from_bits = (-1) ** sign * 2.0 ** (exponent - 127) * (1 + fraction / 2**23)
print(f"sign {sign}, exponent {exponent} - 127, fraction {fraction / 2**23:.4f}: {from_bits:.6f}")
assert from_bits == by_hand

# %% [markdown]
# ## 2. One file
#
# `assemble` collects what a GPT-2 needs, from text to text, and writes it into `gpt2.py` in your workbook. A part that you
# have built is yours, word for word. A part that you have not built is the package's, and says so. What the parts import
# is gathered at the top; a small program around them reads files and the command line. In a terminal in the course's
# folder the same is `python -m gpt2course assemble`.

# %%
assembled = assemble()
print(assembled)

# %% [markdown]
# The text goes in at the bottom and comes out at the top. Which floors are yours?

# %%
own = {part.name: part.own for part in assembled.parts}
built(own, {part.name: part.lesson for part in assembled.parts})

# %% [markdown]
# Some of your parts may be missing in the picture: `nearest_tokens` or `learning_rate` are no part of a GPT-2 that writes.
# And if your `CausalSelfAttention` does without `causal_mask`, the file does too.
#
# This is how one part, the largest, stands in the file. Whose is it, and which other parts does it call?

# %%
text = assembled.path.read_text(encoding="utf-8")
print(text[text.index("# GPT2, lesson 10") :].split("\n# ")[0].rstrip())

# %% [markdown]
# **Predict.** Is there a line in the file that imports `gpt2course`?
#
# <details><summary>A. Yes, one for each part that is not yours</summary>
# That would be easy to write, and the file would not run where the course is not installed.
# </details>
# <details><summary>B. Yes, in the program around the parts</summary>
# The program uses Python and torch. That is why <code>read_safetensors</code> was needed.
# </details>
# <details><summary>C. No</summary>
# Right. What is the package's was copied into the file as text.
# </details>

# %%
imports = re.findall(r"^\s*(?:import|from) (\w+)", text, re.MULTILINE)
outside = sorted(set(imports) - sys.stdlib_module_names)
print("not Python's own:", ", ".join(outside))
assert "gpt2course" not in outside

# %% [markdown]
# (`jaxtyping` may be named, under `TYPE_CHECKING`: an editor reads that line, Python never does.)
#
# Now run it, as anyone could who has the folder: a new process, `-I` for *isolated*.

# %%
command = [sys.executable, "-I", str(assembled.path), "A robot must", "--max-new-tokens", "24"]
ran = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
print(ran.stdout or ran.stderr)
assert ran.returncode == 0, "gpt2.py does not run; its error is printed above"

# %% [markdown]
# ## 3. The same text is not the same model
#
# It writes. Does it compute what GPT-2 computes? Load the same weights into two models: the one of your file, and the
# package's, whose parts were tested against other people's. (`module()` makes the file a module of this notebook.)

# %%
mine = assembled.module()
model = mine.load_model(COURSE_FOLDER)
reference = GPT2.from_pretrained("course")
tokens = mine.Tokens(COURSE_FOLDER)
idx = torch.tensor([[tokens.end, *tokens.encode("A robot must obey the orders given it")]])
print("ids:", idx[0].tolist())

# %% [markdown]
# `stages` runs a model and listens at every joint: after the embedding, at each LayerNorm, attention and MLP, after each
# block, after the last LayerNorm, and at the logits. How many stages do four blocks make?

# %%
with torch.no_grad():
    my_stages, their_stages = stages(model, idx), stages(reference, idx)
print(len(their_stages), "stages:", *list(their_stages)[:6], "…", *list(their_stages)[-2:])
assert len(their_stages) == 5 * reference.config.n_layer + 3

# %% [markdown]
# By hand, the first stage: the largest distance of any entry.

# %%
apart = (my_stages["embedding"] - their_stages["embedding"]).abs().max().item()
print("the embeddings agree:", apart <= 1e-3)

# %% [markdown]
# Now all of them, in order, until one is too far away. That one is worth finding exactly: **everything behind a wrong
# stage is wrong too**, so only the first tells you which part to mend.
#
# **Predict.** A part of yours returns NaN everywhere. What does `(mine - theirs).abs().max() > 1e-3` say?
#
# <details><summary>A. True: a NaN is infinitely far away</summary>
# One would wish so. But a NaN is not far away, it is no number at all.
# </details>
# <details><summary>B. False</summary>
# Yes. Every comparison with a NaN is False. A program that asks "is it too far?" overlooks the worst fault there is; one
# that asks "is it near enough?" does not.
# </details>
# <details><summary>C. It raises an error</summary>
# No. NaN runs through a whole model without an error; that is what makes it dangerous.
# </details>

# %%
nothing = torch.full((3,), math.nan)
far = (nothing - torch.zeros(3)).abs().max()
print("too far:", bool(far > 1e-3), "   near enough:", bool(far <= 1e-3))

# %% [markdown]
# ## Exercise: `first_difference` ●●○○○ · 10 minutes
#
# The place of the first tensor in `mine` that is not the one of `reference`: another shape, or an entry further away than
# `tolerance`. A NaN is far from everything. Where all agree: `None`. Both lists have the same length; it may be 0.
#
# <details><summary>Hint 1</summary>
# <code>enumerate(zip(mine, reference))</code> gives the place and both tensors. Return from within the loop.
# </details>
# <details><summary>Hint 2</summary>
# Compare the shapes first. Tensors of shapes (1, 5) and (2, 5) can be subtracted, and should count as different.
# </details>
# <details><summary>Hint 3</summary>
# <code>not ((a - b).abs() &lt;= tolerance).all()</code> is True for a NaN.
# </details>

# %%
def first_difference(
    mine: list[Tensor], reference: list[Tensor], tolerance: float
) -> int | None:
    """The place of the first tensor that is not the reference's; None where all are."""
    ### BEGIN SOLUTION
    for place, (a, b) in enumerate(zip(mine, reference)):
        if a.shape != b.shape or not ((a - b).abs() <= tolerance).all():
            return place
    return None
    ### END SOLUTION

# %%
first_difference = check(first_difference)

# %% [markdown]
# **The exam.** `names` are the stages that can be heard in both models (a part that your code never calls as a module
# makes no sound). What do you expect? The package's parts will pass; the more yellow stones there are in your picture, the
# more the exam says.

# %%
names = [name for name in their_stages if name in my_stages]
mine_list, their_list = [my_stages[n] for n in names], [their_stages[n] for n in names]
place = first_difference(mine_list, their_list, 1e-3)
print(f"{len(names)} stages compared;", "no difference" if place is None else f"first at {names[place]}")
assert place is None, f"the first difference is at {names[place]}: {mends(names[place], vars(mine))}"

# %% [markdown]
# ### Rounding, or a small fault?
#
# 1e-3 is generous. Could a small fault hide below it, such as a GELU in the other form? There is a test for that:
# float64 has nine more digits. A gap that comes from rounding shrinks with them, by about a hundred million. A fault
# stays as it is. What does yours do?

# %%
compared = compare(model, reference, idx)
finer = compare(mine.load_model(COURSE_FOLDER).double(), GPT2.from_pretrained("course", dtype="float64"), idx)
for dtype, found in {"float32": compared, "float64": finer}.items():
    print(f"{dtype}: {found}; the largest gap is {max(found.apart.values()):.1e}")
assert finer.same, f"a fault, not rounding, at {finer.first}: {mends(finer.first, vars(mine))}"

# %% [markdown]
# Passed: what your file computes is GPT-2, to the last digits. The text follows from that, and not the other way
# round.
#
# ## 4. Break it
#
# An exam that nobody can fail is worth nothing. So put a wrong part in: a mask that lets every token read every other.
#
# **Predict.** At which stage is the first difference?
#
# <details><summary>A. <code>embedding</code></summary>
# No token has read another yet; there is no mask in it.
# </details>
# <details><summary>B. <code>h.0.attn</code></summary>
# Yes. The first place where the mask is used, and everything behind it is wrong too.
# </details>
# <details><summary>C. <code>logits</code></summary>
# There the fault shows in the text, after 20 more stages. By then nobody can say where it came from.
# </details>

# %%
def sees_everything(n_query: int, n_key: int) -> Tensor:
    return torch.ones(n_query, n_key, dtype=torch.bool)


broken = assembled.module(causal_mask=sees_everything)
wrong = compare(broken.load_model(COURSE_FOLDER), reference, idx)
apart_bars(wrong.apart, wrong.first, wrong.tolerance)

# %% [markdown]
# The bars are powers of ten; *rounding* is below the tolerance. Look at `h.0.ln_1`: it is still right. (*No stage
# differs*? Then your `CausalSelfAttention` does without `causal_mask`, and breaking that changes nothing. The parts to
# break below are the package's.)
#
# `mends` goes on from there: it runs the checks of the parts of that stage, in the order of the course, and names the
# first that does not pass.

# %%
if wrong.first:
    print(mends(wrong.first, vars(broken)))
else:
    print("No stage differs, so there is nothing to mend.")

# %% [markdown]
# **Play with it.** Break one part of the package's model, and see where it shows and what the model then writes. Predict
# first: of thirteen breaks, how many will you notice in the text? Which leave it exactly as it was? Which shows latest?
# Then try those of which you are not sure.

# %%
parts_to_break(reference, load_tokenizer("course"))

# %% [markdown]
# <details><summary>Answer, after you have tried</summary>
# Two leave these 24 tokens exactly as they were: <i>GELU in its exact form</i> and <i>positions counted from 1</i>. Two
# are noticed at once, <i>LayerNorm behind the additions</i> and <i>softmax over the columns</i>. The other nine write
# sentences that a reader may well believe, even without a mask or without positions. <i>No final LayerNorm</i> shows
# latest, at <code>ln_f</code>; <i>one c_proj not transposed</i> at <code>h.2.attn</code>, where it is.
# </details>

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: other weights in it
#
# Your file with a model of other sizes, and with the released GPT-2. You can skip this section.

# %% [markdown]
# The file takes any folder with `config.json`, weights and a tokenizer, as `save_pretrained` writes it, ours and
# *transformers'*. Here is a GPT-2 of other sizes that has learned nothing. What will it write?

# %%
scratch = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
folder = Path(scratch.name) / "untrained"
torch.manual_seed(0)
GPT2(GPT2Config(n_layer=2, n_head=2, n_embd=32, n_ctx=24, vocab_size=2048)).save_pretrained(folder)
load_tokenizer("course").save_pretrained(folder)
code = mine.main(["A robot must", "--model", str(folder), "--max-new-tokens", "8"])
assert code == 0

# %% [markdown]
# Noise, but a GPT-2's noise. And what if something is missing: a prompt that is too long, a folder without a tokenizer?
# Predict what the message has to say so that you can help yourself.

# %%
def complaint(prompt: str) -> str:
    try:
        mine.run(mine.arguments([prompt, "--model", str(folder)]))
    except ValueError as error:
        return str(error).replace(scratch.name, "…")


print(complaint("A robot must obey. " * 20))
for name in ("gpt2course-tokenizer.json", "vocab.json", "merges.txt"):
    (folder / name).unlink(missing_ok=True)
print(complaint("A robot must"))

# %% [markdown]
# The real thing: if the released GPT-2 was fetched before (in [lesson 14](14_released_weights.ipynb)), it goes into your
# file here. The parts are the same; only the numbers are others.

# %%
cached = try_to_load_from_cache("openai-community/gpt2", "model.safetensors")
if isinstance(cached, str):
    words = Path(scratch.name) / "gpt2"
    try:
        load_tokenizer("gpt2").save_pretrained(words)  # vocab.json and merges.txt
        mine.main(["A robot must", "--model", str(Path(cached).parent), "--tokenizer", str(words)])
    except ConnectionError as error:
        print("The model is here, and its vocabulary is not:", error)
else:
    print("The released GPT-2 is not on this machine. Lesson 14 fetches it (548 MB), then run this cell again.")

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: how well does it predict?
#
# The perplexity of your file and of the package. You can skip this section.

# %% [markdown]
# Twenty stories that the course model has not seen, and the perplexity of [lesson 01](01_language_models.ipynb), by your
# file and by the package's model. By guessing it would be 2,048.

# %%
ids = [tokens.end]
for story in heldout_documents()[:20]:
    ids += [*tokens.encode(story), tokens.end]
losses = {"your file": mine.loss_of(model, ids), "the package": mine.loss_of(reference, ids)}
for whose, loss in losses.items():
    print(f"{whose}: {loss:.3f} nats per token, perplexity {mine.perplexity(torch.tensor([loss])):.2f}")
assert abs(losses["your file"] - losses["the package"]) < 1e-3

# %% [markdown]
# ## 5. With the cache
#
# Your file writes with the cache of [lesson 12](12_kv_cache.ipynb): `write` calls your `cached_attention`, `write_anew`
# your `generate`. Both must choose the same tokens. Before you run it: a prompt of nine tokens and 100 new ones; how many
# tokens go through the model in each case?

# %%
with_cache = mine.write(model, idx[0].tolist(), 100)
anew = mine.write_anew(model, idx[0].tolist(), 100)
P = idx.shape[1]
print("the same tokens:", with_cache == anew)
through = P + 99  # the prompt, and each new token but the last, which nothing follows
print(f"through the model with the cache: {through} tokens; without: {sum(range(P, P + 100)):,}")
assert with_cache == anew, "append_to_cache or cached_attention: lesson 12"

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ### Deeper: is it faster?
#
# Both ways, timed. You can skip this section.

# %% [markdown]
# Fewer tokens, but each run has a price of its own, whatever it computes. Is it faster here? Each way runs three times, and
# the best counts.

# %%
def seconds(way) -> float:
    best = math.inf
    for _ in range(3):
        begun = time.perf_counter()
        way(model, idx[0].tolist(), 100)
        best = min(best, time.perf_counter() - begun)
    return best


faster = seconds(mine.write) < seconds(mine.write_anew)
print("With the cache your file writes", "faster." if faster else "no faster on this machine at this moment.")

# %% [markdown]
# `python my_gpt2/gpt2.py "A robot must" --speed` prints tokens per second. For a model of a million parameters the
# cache saves little time; with GPT-2's 124 million it decides whether you wait.

# %% [markdown]
# ## 6. The page
#
# What is still the package's? `assembled.missing` names it, and the file says at each part which lesson builds it. Build
# one, run this notebook again, and the tower has one more yellow stone.

# %%
print("the package's:", ", ".join(assembled.missing) or "nothing. It is all yours.")

# %% [markdown]
# The page collects it: the tower, a text, the marks of the exam, and when you passed what. It is one HTML file without
# links, so it can be sent or printed. With your name: `python -m gpt2course assemble --by "Your Name"`.

# %%
examined = examine(mine, COURSE_FOLDER)
print(examined)
wrote = mine.write(model, idx[0].tolist(), 60, end=tokens.end)
page = write_page(assembled, tokens.decode(wrote[1:]), examined)
print(f"written: {page.parent.name}/{page.name}")

# %% [markdown]
# Open `my_gpt2/gpt2.html` in the file browser. Well done.
#
# ## Challenge: smaller
#
# No check for this one. Your file has several hundred lines. How few does a GPT-2 need? Copy `gpt2.py`, give the copy
# another name, and remove whatever the exam does not miss: `compare` tells you at once what you broke. What to look for:
# which parts can be one line, which comments were worth keeping, and at which size you can no longer explain it to
# someone else. (An example to compare with, after you have tried: Jay Mody 2023, *GPT in 60 Lines of NumPy*.)

# %% [markdown]
# ## What you have
#
# A GPT-2 in one file, made of your parts, that agrees with an independent one at every stage; and a way to find the part
# that is wrong in a program that runs without an error.
#
# Five questions on this lesson:
#
# <details><summary>1. Two models write the same text. What does that prove?</summary>
# Little. At each step only the order of the best two logits counted. Compare logits, and stages.
# </details>
# <details><summary>2. Why the first difference, and not the largest?</summary>
# What comes behind a fault is wrong as well, often by more. Only the first stage says where it is.
# </details>
# <details><summary>3. How do you tell rounding from a small fault?</summary>
# In float64 rounding shrinks by about 10⁸. A fault stays.
# </details>
# <details><summary>4. Why ask "near enough?" and not "too far?"</summary>
# Both are False for a NaN. Only the first then reports a difference.
# </details>
# <details><summary>5. Where do the numbers of a tensor begin in a .safetensors file?</summary>
# At 8 + the header's length + the first of its <code>data_offsets</code>.
# </details>
#
# And two on earlier ones:
#
# <details><summary>6. Which matrices of the file are transposed on loading, and why can't their shapes tell? (lesson 14)</summary>
# The four of each block's linear layers. <code>attn.c_proj</code> is square.
# </details>
# <details><summary>7. Why may a key be kept when a token is added? (lesson 12)</summary>
# Under the causal mask no earlier token is read again in the light of a later one.
# </details>
#
# **In numbers:**

# %%
gpt2 = GPT2Config()
print(f"stages of GPT-2 124M: {5 * gpt2.n_layer + 3}, of the course model {len(their_stages)}")
print(f"tensors in its file without masks: {12 * gpt2.n_layer + 4}, of the course model {len(mine_read)}")
print(f"parts in the file: {len(assembled.parts)}")

# %% [markdown]
# **Where to go from here.** Train your GPT-2 on a text of your own ([lesson 13](13_training.ipynb)) and give `gpt2.py` its
# folder. Put larger released weights into it ([14](14_released_weights.ipynb)). Look inside
# ([15](15_looking_inside.ipynb)). Or read other people's: Andrej Karpathy's *nanoGPT* has the same names as yours, and
# OpenAI's `src/model.py` the same order.
#
# **Sources.** Radford et al. 2019, *Language Models are Unsupervised Multitask Learners*, section 2.3, and the code
# released with it, `src/model.py`; the description of the safetensors format in the repository huggingface/safetensors;
# IEEE 754-2019, section 3.4 (float32); Jay Alammar 2019, *The Illustrated GPT-2*, whose sentence the robot still obeys.
#
# **What you have built so far:**

# %%
my_progress()
