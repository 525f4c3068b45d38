# %% [markdown]
# # 14 · Released weights
#
# Your GPT-2 has the right shape, and parameters that are random or were trained for a few minutes. OpenAI trained
# the same model on 40 GB of text and released its weights in a file. **How do they get into your model, and how do
# you know that each arrived where it belongs?**
#
# - **In:** a checkpoint: names, and a tensor for each.
# - **Out:** your `GPT2` with these weights. It then predicts what GPT-2 predicts.
# - **Time:** 55 minutes for the core, 95 for everything.
# - **Exercise:** `load_released` ●●●●○.
#
# Keep at hand: the [cheat sheet](../docs/cheat_sheet.md), the [glossary](../docs/glossary.md), the
# [notation](../docs/notation.md), and [what well-known explanations get wrong](../docs/common_errors.md).

# %% [markdown]
# First the tools: `GPT2` from [lesson 10](10_output_projection.ipynb), `causal_mask` from [06](06_masking.ipynb),
# `generate` from [11](11_sampling.ipynb), `perplexity` from [01](01_language_models.ipynb). The line below the cell
# says which of them are yours.

# %%
import json
import math
import struct
import tempfile
from importlib.util import find_spec
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from gpt2course import check, kept_names, my_progress
from gpt2course.config import RELEASED, GPT2Config
from gpt2course.corpus import heldout_documents
from gpt2course.lessons.released_weights import (
    Load, byte_map, checkpoint_to_play, file_shares, find_checkpoint, four_matrices, loads,
    loads_to_play, matrices, next_words, piece_text, surprise_text, tower,
)
from gpt2course.mine import GPT2, causal_mask, generate, perplexity
from gpt2course.model import count_parameters, parameter_table
from gpt2course.weights import read_config

# %% [markdown]
# No part is lit: the weights belong to all of them. Your `GPT2` has borrowed those of the course model here; at the end
# you put them there yourself.

# %%
tower("14_released_weights", kept_names(), GPT2)

# %% [markdown]
# ## 1. What a checkpoint is
#
# Begin with a model that is small enough to read in full: five tokens, one block with one head, vectors of size two.
# torch names each parameter by the modules around it. How many numbers will there be in all?

# %%
known = ["robot", "must", "obey", "orders", "."]
torch.manual_seed(14)
tiny = GPT2(GPT2Config(n_layer=1, n_head=1, n_embd=2, n_ctx=4, vocab_size=5))
for name, parameter in tiny.named_parameters():
    print(f"{name:22} {tuple(parameter.shape)}")
print(f"{sum(p.numel() for p in tiny.parameters())} numbers")

# %% [markdown]
# Read `h.0.mlp.c_fc.weight` from the left: the first of the blocks `h`, in it the MLP, in that the first matrix. It is
# a path through your modules, and the released file uses the same one.
#
# A **checkpoint** is this list with its tensors, written to a file. The usual format today is called
# *safetensors*. Here is the tiny model as a file would hold it, 4 bytes per number. What else does the file need,
# besides the numbers?

# %%
raw = safetensors.torch.save({name: p.detach() for name, p in tiny.named_parameters()})
print(f"{len(raw)} bytes, of which numbers: 4 · 96 = {4 * 96}")
print(raw[:150])

# %% [markdown]
# It needs the names and shapes. The first 8 bytes give the size of a **header**; the header lists names and
# shapes as JSON; then come the numbers, one tensor after another. A library reads all of it and returns a **dict of
# names and tensors**, which torch calls the *state dict*.

# %%
by_library = safetensors.torch.load(raw)
assert torch.equal(by_library["wpe.weight"], tiny.wpe.weight)
print(f"{type(by_library).__name__} of {len(by_library)} tensors: {', '.join(list(by_library)[:2])}, …")

# %% [markdown]
# Why so plain a format? Files named `.bin` or `.pt` are often *pickles*, which can contain code that runs when you
# open them. A safetensors file contains nothing that could run. This course reads no other format.

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ### Deeper: reading the bytes by hand
#
# One tensor, read without any library. You can skip it.

# %% [markdown]
# What does the header know of `wpe.weight`, the position embeddings?

# %%
length = int.from_bytes(raw[:8], "little")  # the lowest byte comes first
first = 8 + length  # where the numbers begin
header = json.loads(raw[8:first])
header["wpe.weight"]

# %% [markdown]
# The file as a map: at the top from its first byte to its last, below it the numbers alone, tensor by tensor.

# %%
byte_map(length, header, "wpe.weight")

# %% [markdown]
# `F32` is a number of 32 bits. The offsets say where its bytes begin and end, counted from the end of the header.
# 32 bytes are 8 numbers (`f` is a float of 4 bytes, `<` means lowest byte first), and 8 numbers are 4 rows of 2.

# %%
begin, end = header["wpe.weight"]["data_offsets"]
numbers = struct.unpack("<8f", raw[first + begin : first + end])
by_hand = torch.tensor(numbers).reshape(4, 2)
assert torch.equal(by_hand, tiny.wpe.weight)
print("equal to tiny.wpe.weight, to the last bit")
matrices([("wpe.weight, read from the bytes", by_hand)], ["position 0", "1", "2", "3"])

# %% [markdown]
# The other tensors are read in the same way. (A header may also have an entry `__metadata__`, with notes such as
# who wrote the file. It is not a tensor.)

# %% [markdown]
# ## 2. The released file
#
# The smallest GPT-2 is on the Hugging Face hub, a public store of models, as `openai-community/gpt2`. You need not
# download it to know what it must hold. Here are your model's names and shapes in GPT-2's sizes; `h.*` means all
# twelve blocks. How many tensors are there altogether?

# %%
gpt2 = RELEASED["gpt2"]
table = parameter_table(gpt2)
for name, shape, count in table:
    print(f"{name:24} {str(shape):14} {count:12,}" + " in 12 blocks" * name.startswith("h."))

# %% [markdown]
# Count tensors, numbers and bytes:

# %%
in_each_block = sum(name.startswith("h.") for name, _, _ in table)
n_tensors = (len(table) - in_each_block) + gpt2.n_layer * in_each_block
n_numbers = sum(count for _, _, count in table)
assert n_numbers == count_parameters(gpt2)
print(f"{n_tensors} tensors, {n_numbers:,} numbers, {4 * n_numbers / 1e6:.1f} MB")

# %% [markdown]
# **Predict.** The hub says that the file has 548 MB. That is 50 MB more. What might they be?
#
# <details><summary>A. The header</summary>
# For the tiny model the header was most of the file, over a thousand bytes for 16 tensors. But it grows with the
# number of tensors and not with their size: ten times as many tensors make it ten times as long, far from 50 MB.
# </details>
# <details><summary>B. The output matrix</summary>
# A good guess, as some files do contain it. But it would be 50,257 rows of 768 numbers, which is 154 MB. GPT-2 uses
# <code>wte</code> for it (weight tying, lesson 10), and this file leaves it out.
# </details>
# <details><summary>C. Something that was never learned</summary>
# Yes: the causal mask of lesson 06. In the program that wrote the file each attention module kept its triangle of
# 1024 × 1024 as a <i>buffer</i>, a tensor that belongs to a module but is not trained, and buffers are saved too.
# Twelve triangles of zeros and ones.
# </details>

# %%
shapes = {name.replace("*", str(i)): shape for name, shape, _ in table for i in range(gpt2.n_layer)}
shapes |= {f"h.{i}.attn.bias": (1, 1, 1024, 1024) for i in range(gpt2.n_layer)}
in_file = sum(math.prod(shape) for shape in shapes.values())
print(f"{len(shapes)} tensors, {in_file:,} numbers, {4 * in_file / 1e6:.1f} MB")
file_shares(shapes, f"{1 - n_numbers / in_file:.0%} of the released file is masks")

# %% [markdown]
# The masks are *buffers*: saved with the module, but not trained. Their name is unlucky: `h.0.attn.bias`, next to
# `h.0.attn.c_attn.bias`, which is learned. Mind the dot.
#
# Hence three sizes for one model. **117M** is the paper's, a miscount. **124M** counts everything that is learned;
# the release was renamed after it. **137M** is the whole file on the hub, masks included. The last two are computed
# above.
#
# ## 3. Which file do you have?
#
# The released file is a download of 548 MB. It happens once, and only if you ask for it here; then the file is in
# the hub's cache on your disk. If it is there already, the lesson uses it. Without a network the download gives up
# within seconds.

# %%
fetch_released = False  # True: download 548 MB from the Hugging Face hub, once

# %% [markdown]
# Otherwise a small checkpoint takes its place: the course model, trained on little stories, written as *transformers*
# does, the library most programs use for such models. It has everything that files of GPT-2 may contain besides the
# parameters. From here on the lesson is the same for both, and its numbers are those of *your* file.

# %%
scratch = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
folder, tokenizer = find_checkpoint(Path(scratch.name), fetch_released)
config = read_config(folder / "config.json")
state = safetensors.torch.load_file(folder / "model.safetensors")
released = config == RELEASED["gpt2"]
print("You have " + ("THE RELEASED GPT-2 124M." if released else "A SMALL CHECKPOINT, made on the spot."))
print(f"{len(state)} tensors, {sum(t.numel() for t in state.values()):,} numbers; {config}")

# %% [markdown]
# ## 4. Name by name
#
# Here is your GPT-2 in the file's sizes, with random weights. How many of its names are in the file?

# %%
torch.manual_seed(14)
model = GPT2(config).eval()
wanted = {name: tuple(p.shape) for name, p in model.named_parameters()}
print(f"{len(wanted.keys() & state.keys())} of {len(wanted)} names are in the file")
print("the file begins:", *list(state)[:2], sep="\n  ")

# %% [markdown]
# All of them in the released file. None in the small one: there nearly every name begins with `transformer.`, the
# library's name for the module that holds the blocks. Files saved from the module around it have this prefix. Remove
# it: what is left in the file that your model has no use for?

# %%
PREFIX = "transformer."
named = {name.removeprefix(PREFIX): tensor for name, tensor in state.items()}
lacking = sorted(wanted.keys() - named.keys())
assert not lacking, f"your GPT2 has names that the file lacks: {lacking[:3]}; see lesson 10"
print(f"{len(wanted)} of {len(wanted)} names are in the file; besides them it has")
extra = [name for name in named if name not in wanted]
for ending in (".attn.bias", ".attn.masked_bias", "lm_head.weight"):
    print(f"{sum(name.endswith(ending) for name in extra):3} × …{ending}")

# %% [markdown]
# What is extra need not be loaded, but know why. `masked_bias` is the score that replaces a masked one (-1e9 in lesson
# 06, -1e4 here). Are the masks the triangle that your `causal_mask` makes?

# %%
mask = named["h.0.attn.bias"][0, 0].bool()  # (n_ctx, n_ctx); the two axes in front have size 1
same = torch.equal(mask, causal_mask(config.n_ctx, config.n_ctx))
assert same, "your causal_mask differs from the file's mask; check it again in lesson 06"
print(f"equal in all {mask.numel():,} entries")
matrices([(f"the corner of h.0.attn.bias, of {tuple(mask.shape)}", mask[:6, :6])])

# %% [markdown]
# Yes. Your model computes the mask itself, so the file's copy can stay behind. And is the output matrix, where there
# is one, equal to `wte`?

# %%
head = named.get("lm_head.weight")
if head is None:
    print("this file leaves the output matrix out")
else:
    print("equal to wte.weight:", torch.equal(head, named["wte.weight"]))

# %% [markdown]
# If it were *not* equal, the file would belong to a model without weight tying, and leaving the matrix out would
# quietly make a third model. So test it.
#
# **Play with it.** Browse the file. In the first block, compare each shape in the file with the one in your model.
# Which kinds of tensors have the same shape in both, and which do not?

# %%
checkpoint_to_play(state, model)

# %% [markdown]
# <details><summary>Answer, after you have looked</summary>
# Embeddings, biases and LayerNorms have the same shape. Of the four matrices of a block three have their two sizes
# exchanged. The fourth, <code>attn.c_proj</code>, is square, so its shape tells nothing. (In the small file
# <code>wpe</code> happens to be square as well: 128 positions, vectors of size 128. It is an embedding matrix, looked
# up by row, and has one row per position in both programs.)
# </details>
#
# ## 5. Two layouts for a matrix
#
# There are two ways to store a matrix that maps 2 numbers to 3. First (in, out), by hand: the j-th result is the sum
# over the inputs of x[i] · w[i][j].

# %%
x = torch.tensor([10.0, 1.0])
w = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])  # (in, out) = (2, 3)
one_by_one = [sum(x[i].item() * w[i, j].item() for i in range(2)) for j in range(3)]
assert torch.equal(x @ w, torch.tensor(one_by_one))
one_by_one

# %% [markdown]
# OpenAI's code stores its matrices like this. It computes `x @ w + b` in a function named `conv1d`, so the layout
# is called **Conv1D**. torch's `nn.Linear` stores (out, in) and computes `x @ weight.T + bias`. What has to be done
# to `w`?

# %%
linear = nn.Linear(2, 3, bias=False).requires_grad_(False)
print("nn.Linear(2, 3) holds", tuple(linear.weight.shape))
linear.weight.copy_(w.T)
assert torch.equal(linear(x), x @ w)
linear(x)

# %% [markdown]
# It is **transposed**: rows become columns. And a square matrix? Here 2 numbers become 2. In your head: (10, 1)
# times the matrix as it is, and times its transpose.

# %%
square = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
panels = [("x @ w", (x @ square)[None]), ("x @ w.T", (x @ square.T)[None])]
matrices(panels)

# %% [markdown]
# Both can be computed, and they differ.
#
# **Predict.** Somebody copies the four matrices of a block as they are in the file. At which does torch complain?
#
# <details><summary>A. At all four: each is the wrong way round</summary>
# Each is. But torch compares shapes, and knows nothing of what the axes mean.
# </details>
# <details><summary>B. At none: copying numbers needs no shapes</summary>
# <code>copy_</code> needs shapes that fit. (2, 3) does not fit into (3, 2).
# </details>
# <details><summary>C. At three</summary>
# Yes: at <code>c_attn</code>, <code>c_fc</code> and the MLP's <code>c_proj</code>. Attention's <code>c_proj</code>
# maps C numbers to C, so it is square and is copied without an error.
# </details>

# %%
four = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
for ending in four:
    there, here = named[f"h.0.{ending}"], model.get_parameter(f"h.0.{ending}")
    try:
        here.detach().clone().copy_(there)  # into a copy, so that the model stays as it is
        said = "no error"
    except RuntimeError:
        said = "RuntimeError"
    print(f"{ending:20} file {tuple(there.shape)!s:13} model {tuple(here.shape)!s:13} {said}")

# %% [markdown]
# GPT-2's four, to scale: blue as in the file, yellow as `nn.Linear` needs them. How could a program know that the
# second one has to be transposed?

# %%
sizes = {name[4:]: shape[::-1] for name, shape, _ in table if name.endswith(four)}
four_matrices(sizes, "The four matrices of a block, of which one fits either way")

# %% [markdown]
# From its name alone.
#
# ## Exercise: `load_released` ●●●●○ · 25 minutes
#
# Fill a model with a checkpoint and return the model. `state` is a dict of names and tensors. Write it in three
# rungs, and run the check after each: the card shows the first case that fails.
#
# 1. **Names and layout.** Names come with or without the prefix `transformer.` (no tensor comes under both). The
#    four matrices of each block are (in, out): transpose them. Copy all else as it is. *The card then shows an
#    output matrix; or, if you loop over the model's names, a missing tensor.*
# 2. **What stays behind.** Leave out the mask buffers (`….attn.bias`, `….attn.masked_bias`), and `lm_head.weight`
#    *if it equals `wte.weight`*. *The card then shows a missing tensor.*
# 3. **Refuse what does not fit.** A tensor that is missing, extra or of another shape (or number of axes) is a
#    `ValueError` that names it, and **the model must be as it was**: half a checkpoint is worse than none. So compare
#    everything before you copy anything.
#
# Copy into the model's own parameters; an optimiser may hold them, so do not replace them. The model keeps its dtype,
# and no number is rounded on the way. Leave `state` unchanged. Write everything into the function, its list of names
# too: later lessons import your answer, but not the `four` of the cell above.
#
# The trap: names that differ by a dot, `h.0.attn.bias` and `h.0.attn.c_attn.bias`, and the square `attn.c_proj.weight`.
#
# <details><summary>Hint 1</summary>
# First build a new dict of tensors as the model wants them, under its names, transposed where needed. Then compare
# it with <code>dict(model.named_parameters())</code>, all of it. Only then copy.
# </details>
# <details><summary>Hint 2</summary>
# <code>name.endswith((…, …))</code> takes several endings. A tensor that is not a matrix (see
# <code>tensor.ndim</code>) must not be transposed: leave it, and the comparison of shapes refuses it.
# </details>
# <details><summary>Hint 3</summary>
# <code>torch.equal</code> is False where shapes differ. To copy: <code>with torch.no_grad():</code> and
# <code>parameter.copy_(tensor)</code>. But <code>copy_</code> broadcasts a tensor of one number over a whole
# parameter, so do not rely on it to judge shapes.
# </details>

# %%
def load_released(state: dict[str, Tensor], model: GPT2) -> GPT2:
    """Fill a model with a released checkpoint's tensors; a ValueError leaves it as it was."""
    ### BEGIN SOLUTION
    conv1d = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
    tensors = {}
    for name, tensor in state.items():
        name = name.removeprefix("transformer.")
        if not name.endswith((".attn.bias", ".attn.masked_bias")):
            turn = name.endswith(conv1d) and tensor.ndim == 2
            tensors[name] = tensor.T if turn else tensor
    head, wte = tensors.get("lm_head.weight"), tensors.get("wte.weight")
    if head is not None and wte is not None and torch.equal(head, wte):
        del tensors["lm_head.weight"]
    parameters = dict(model.named_parameters())
    if wrong := tensors.keys() ^ parameters.keys():  # in one of the two, and not in the other
        raise ValueError(f"missing or extra: {', '.join(sorted(wrong))}")
    for name, parameter in parameters.items():
        if tensors[name].shape != parameter.shape:
            raise ValueError(f"{name} has shape {tuple(tensors[name].shape)}")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(tensors[name])
    return model
    ### END SOLUTION

# %%
load_released = check(load_released)

# %% [markdown]
# Now load the file into your model, and count again, from the file's own tensors:

# %%
model = load_released(state, model)
square_one = model.get_parameter("h.0.attn.c_proj.weight")
as_named = torch.equal(model.wte.weight, named["wte.weight"])
transposed = torch.equal(square_one, named["h.0.attn.c_proj.weight"].T)
assert as_named and transposed, "wte or attn.c_proj differs from the file; check load_released again"
counted = sum(named[name].numel() for name in wanted)
assert counted == count_parameters(config), "your GPT2 has other parameters; check lesson 10 again"
print(f"{len(wanted)} tensors, {counted:,} numbers loaded; attn.c_proj is transposed: {transposed}")

# %% [markdown]
# ## 6. Loaded, or loaded right?
#
# "It loaded without errors" says nothing about the numbers. To know, compare your model's logits with those of a
# program that shares no part with it. So here is GPT-2 once more, as unlike yours as
# possible: no modules, no `nn.Linear`, no batch axis, every tensor as it is in the file. First three functions. Where
# does the file's layout show?

# %%
def linear_in_out(x, file, name):
    return x @ file[f"{name}.weight"] + file[f"{name}.bias"]


def norm(x, file, name):
    x = x - x.mean(-1, keepdim=True)
    x = x / (x.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt()
    return x * file[f"{name}.weight"] + file[f"{name}.bias"]


def gelu_tanh(x):
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))

# %% [markdown]
# In the first function: nothing is transposed. Now the whole model, with the file's own mask.

# %%
def forward_from_file(file, ids, config):
    """Logits (T, V) for a list of ids, from the tensors as the file has them."""
    T = len(ids)
    may_read = file["h.0.attn.bias"][0, 0, :T, :T] > 0
    x = file["wte.weight"][ids] + file["wpe.weight"][:T]  # (T, C)
    for i in range(config.n_layer):
        qkv = linear_in_out(norm(x, file, f"h.{i}.ln_1"), file, f"h.{i}.attn.c_attn")  # (T, 3C)
        q, k, v = qkv.view(T, 3, config.n_head, -1).permute(1, 2, 0, 3)  # (nh, T, hs) each
        scores = (q @ k.mT / math.sqrt(q.shape[-1])).where(may_read, -math.inf)
        heads = (scores.softmax(-1) @ v).transpose(0, 1).reshape(T, -1)  # (T, C)
        x = x + linear_in_out(heads, file, f"h.{i}.attn.c_proj")
        hidden = linear_in_out(norm(x, file, f"h.{i}.ln_2"), file, f"h.{i}.mlp.c_fc")  # (T, 4C)
        x = x + linear_in_out(gelu_tanh(hidden), file, f"h.{i}.mlp.c_proj")
    return norm(x, file, "ln_f") @ file["wte.weight"].T

# %% [markdown]
# The text to compare them on is a made-up story that neither the course model nor GPT-2 was trained on, after
# `<|endoftext|>`, the token between two texts.

# %%
story = heldout_documents()[0]
ids = [tokenizer.end_of_text, *tokenizer.encode(story)][: config.n_ctx]
print(f"{len(ids)} tokens: {story[:72]} …")

# %% [markdown]
# In float32, rounding makes a small difference; in float64 it must all but vanish ([lesson 12](12_kv_cache.ipynb)). A
# mistake would stay.

# %%
@torch.no_grad()
def apart(dtype):
    """The largest difference of a logit between the two programs."""
    expected = forward_from_file({n: t.to(dtype) for n, t in named.items()}, ids, config)
    return (model.to(dtype)(torch.tensor([ids]))[0] - expected).abs().max().item()


off32, off64 = apart(torch.float32), apart(torch.float64)
model.float()
assert off32 < 1e-2 and off64 < 1e-8, "the two programs differ: load the file into model again, or check load_released again"
print(f"logits differ by at most {off32:.0e}, in float64 by {off64:.0e}")

# %% [markdown]
# Two programs without a common part agree on every logit of every token. *Now* it is loaded right.
#
# ## 7. What it knows
#
# The five most likely next tokens after `<|endoftext|>` and the beginning of a sentence. What would you predict?

# %%
def encoded(text):
    return torch.tensor([[tokenizer.end_of_text, *tokenizer.encode(text)]])


@torch.no_grad()
def five_next(model, text):
    """The five most likely next tokens, as text, and their probabilities."""
    top = model(encoded(text))[0, -1].softmax(-1).topk(5)
    words = [piece_text(tokenizer.token_bytes(i)) for i in top.indices.tolist()]
    return words, top.values.tolist()


prompt = "Hugo liked the robot because it"
next_words(prompt, *five_next(model, prompt))

# %% [markdown]
# (`␣` is the token's space.) And how well does it predict a whole text? For each token, take minus the logarithm of
# the probability that it had. This **negative log-likelihood**, also called *surprise*, is in nats: 0 is certainty,
# ln 2 = 0.7 a coin toss. The mean is the training loss, and e to its power the **perplexity**: the number of equally
# likely tokens that the model might as well have chosen from.

# %%
@torch.no_grad()
def surprise(model, ids):
    """Nats at every token after the first."""
    logp = model(torch.tensor([ids]))[0, :-1].log_softmax(-1)  # (T - 1, V)
    return -logp[torch.arange(len(ids) - 1), ids[1:]]


nll = surprise(model, ids)
print(f"{nll.mean():.2f} nats per token, perplexity {perplexity(nll):.1f}")
print(f"knowing nothing: {math.log(config.vocab_size):.2f} nats, perplexity {config.vocab_size:,}")

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ### Deeper: where the surprise is
#
# Token by token, instead of a mean. You can skip it.

# %% [markdown]
# Look at names, new and repeated, at words that could hardly be different, and at the verb after *it*.

# %%
pieces = [tokenizer.token_bytes(i) for i in ids[1:]]
surprise_text(pieces, nll.tolist(), "How much each token surprised the model")

# %% [markdown]
# <details><summary>What there is to find, after you have looked</summary>
# In the course's stories each thing has three verbs, equally likely to a model that knows the thing: ln 3 = 1.1 nats. A
# village is one of 120 made-up names: ln 120 = 4.8. When it is repeated, it could be copied from the text; surprise
# there means that the model did not quite do so.
# </details>

# %% [markdown]
# ## 8. Break it: six wrong loads
#
# Here is the file with six different mistakes. Names and shapes stay as they were, so your loader makes of the
# changed file what a loader with this mistake would make of the right one. (A matrix transposed in the file, and once
# more while loading, is not transposed at all.)

# %%
def changed(ending, change):
    """The file, with every tensor changed whose name ends so."""
    return {n: change(t) if n.endswith(ending) else t for n, t in state.items()}


def q_and_k_exchanged(t):
    q, k, v = t.chunk(3, dim=-1)
    return torch.cat((k, q, v), dim=-1)

# %% [markdown]
# **Predict.** Put the six in order, from least harm to most. (*one attn.c_proj* means in a single block.)

# %%
files = {
    "right": state,
    "attn.c_proj not transposed": changed("attn.c_proj.weight", lambda t: t.T),
    "one attn.c_proj not transposed": changed("h.1.attn.c_proj.weight", lambda t: t.T),
    "queries and keys exchanged": changed(("c_attn.weight", "c_attn.bias"), q_and_k_exchanged),
    "no biases": changed(("c_attn.bias", "c_proj.bias", "c_fc.bias"), torch.zeros_like),
    "weight of ln_f stays 1": changed("ln_f.weight", torch.ones_like),
    "positions in reverse": changed("wpe.weight", lambda t: t.flip(0)),
}

# %% [markdown]
# Load each, and ask for its perplexity on the story, the distance of its logits from the right ones, and the next
# token after the prompt.

# %%
other = GPT2(config).eval()
with torch.no_grad():
    right_logits = model(torch.tensor([ids]))
found = {}
for name, file in files.items():
    load_released(file, other)  # no error
    with torch.no_grad():
        off = (other(torch.tensor([ids])) - right_logits).abs().max().item()
    found[name] = Load(*five_next(other, prompt), perplexity(surprise(other, ids)), off)
loads(found, "Seven loads without an error, one of them right")

# %%
unnoticed = [name for name, load in found.items() if name != "right" and load.difference < 1e-3]
assert not unnoticed, f"no difference after {unnoticed}: check load_released again"
assert found["right"].difference < 1e-3, "model has changed since it was loaded; load it again"
print("by their logits all six stand out from the right load")

# %% [markdown]
# None of them raised an error. (With `load_state_dict(…, strict=False)`, a common piece of advice, none is raised even
# where not a single name fits.) Perplexity tells you only if you know what it should be, and the mildest of the six
# hardly moves it.
#
# **Before you go:** a colleague has loaded a checkpoint into a program of their own, without an error. Its text is
# fluent, if a little dull. They ask whether it is right. What do you look at?
#
# <details><summary>A. More of its text</summary>
# One wrong matrix among many may leave the text fluent, and text that is a little worse looks like the text of a
# model that is a little worse.
# </details>
# <details><summary>B. Its perplexity</summary>
# Better: a number can be compared, if somebody has measured the same text with the same model. But a small mistake
# changes it little, and it does not say where.
# </details>
# <details><summary>C. Its logits, beside those of a program that is known to be right</summary>
# Yes: for one text, all of them, to within 0.01 in float32, and to rounding in float64. Where they differ, go
# through the blocks and find the first that does.
# </details>

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ### Deeper: nothing loaded at all
#
# What `strict=False` does. You can skip it.

# %% [markdown]
# torch's own loader, `load_state_dict`, is strict: names that do not match are an error. You will meet the advice to
# switch that off with `strict=False`. Here are the right tensors under names with a prefix. How many arrive?

# %%
torch.manual_seed(14)
fresh = GPT2(config).eval()
before = fresh.wte.weight.clone()
report = fresh.load_state_dict({PREFIX + name: named[name] for name in wanted}, strict=False)
print(f"missing: {len(report.missing_keys)} of {len(wanted)}; unexpected: {len(report.unexpected_keys)}")
print("wte is as it was:", torch.equal(fresh.wte.weight, before))
print(f"perplexity: {perplexity(surprise(fresh, ids)):,.0f}")

# %% [markdown]
# None, and no error. A loader should report everything that it did not expect; yours does.
#
# <details><summary>How can the perplexity exceed the vocabulary size, that of knowing nothing?</summary>
# A random model does not call all tokens equally likely, and confidence without a reason is punished.
# </details>

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ### Deeper: where does it go wrong?
#
# The first block that differs. You can skip it.

# %% [markdown]
# In which block does *one attn.c_proj not transposed* begin to differ? Record each block's output, in the right model
# and in the wrong one.

# %%
def after_each_block(model):
    """The output of each block, (1, T, C) each."""
    kept = []
    hooks = [block.register_forward_hook(lambda b, x, y: kept.append(y)) for block in model.h]
    with torch.no_grad():
        model(torch.tensor([ids]))
    for hook in hooks:
        hook.remove()
    return kept


load_released(files["one attn.c_proj not transposed"], other)
for i, (good, bad) in enumerate(zip(after_each_block(model), after_each_block(other), strict=True)):
    print(f"after block {i}: off by up to {(good - bad).abs().max():.2g}")

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ### Deeper: how wrong is wrong?
#
# What each wrong load predicts and writes, how large a difference of 5 in a logit is, and which mistakes a perplexity
# would miss. You can skip it.

# %% [markdown]
# **Play with it.** See what each predicts next; a star marks tokens that are not among the right model's five. Which
# of these lists would you have taken for the right model's?

# %%
loads_to_play(prompt, found, begin_with="one attn.c_proj not transposed")

# %% [markdown]
# <details><summary>Answer, after you have looked</summary>
# In the small file: <i>one attn.c_proj</i>, whose first three are the robot's three verbs with nearly the right
# probabilities. <i>No biases</i> and <i>weight of ln_f stays 1</i> begin with a right verb too, so one look at one
# list would let them pass as well. With the released file judge by the bars: how much of the right list's
# probability is left in the second?
# </details>

# %% [markdown]
# Only differences between logits matter. So compare "off by 5" with their spread: at each token, their standard
# deviation over the vocabulary, and their range.

# %%
spread = right_logits.std(-1).mean().item()
extent = (right_logits.amax(-1) - right_logits.amin(-1)).mean().item()
print(f"at one token the logits have a standard deviation of {spread:.1f}, and a range of {extent:.1f}")

# %% [markdown]
# A logit that is 1 higher makes a token e times as likely relative to the others. Which of the six have a
# perplexity within a fifth of the right one, so that one might blame the text?

# %%
limit = 1.2 * found["right"].perplexity
close = [name for name, load in found.items() if name != "right" and load.perplexity < limit]
print("within a fifth:", ", ".join(close) or "none")

# %% [markdown]
# And a text: always the most likely token, 25 times, by the right model and by those where one `attn.c_proj`, or
# all of them, went in as they are in the file.

# %%
start = encoded("Hugo liked the robot because")
for name in ("right", "one attn.c_proj not transposed", "attn.c_proj not transposed"):
    load_released(files[name], other)
    with torch.no_grad():
        written = generate(other, start, max_new_tokens=25, temperature=0, top_k=None, generator=None)
    print(f"{name}:\n    {tokenizer.decode(written[0, 1:].tolist())}")

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: the same four steps with transformers
#
# Tokenizer, ids, model, text: how most programs run GPT-2, beside yours. It needs the library *transformers*, which
# the course does not install. You can skip it.

# %% [markdown]
# The released file comes with a tokenizer that the library reads; the small one has the course's. The rest is the
# same for both. Do the two programs write the same text?

# %%
prompt_ids = encoded("Hugo liked the robot because")  # steps 1 and 2: tokenizer, ids
ours = generate(model, prompt_ids, max_new_tokens=12, temperature=0, top_k=None, generator=None)
print("yours:       ", tokenizer.decode(ours[0, 1:].tolist()))
if find_spec("transformers"):
    from transformers import GPT2LMHeadModel
    from transformers.utils import logging

    logging.set_verbosity_error()  # it would list the masks as unexpected
    logging.disable_progress_bar()
    theirs = GPT2LMHeadModel.from_pretrained(folder)  # step 3: model
    look = {"do_sample": False, "attention_mask": torch.ones_like(prompt_ids), "pad_token_id": 0}
    with torch.no_grad():
        difference = (theirs(prompt_ids).logits - model(prompt_ids)).abs().max().item()
        written = theirs.generate(prompt_ids, max_new_tokens=12, **look)
    print("transformers:", tokenizer.decode(written[0, 1:].tolist()))  # step 4: text
    print(f"logits differ by at most {difference:.0e}")
    assert difference < 1e-2, "the two models differ: load the file into model again"
else:
    print("transformers is not installed here")

# %% [markdown]
# `AutoTokenizer.from_pretrained("openai-community/gpt2")` is their step 1 for the released model:
# `tokenizer(text, return_tensors="pt")` gives the ids, and `tokenizer.decode(ids)` the text.

# %% [markdown]
# ## Challenge: a quarter of the file
#
# No check for this one. Store each matrix of the blocks as whole numbers from -127 to 127 (`torch.int8`), with one
# scale for the whole matrix; then with one scale for each output. Convert them back, load them, and judge by the
# logits and the perplexity of sections 6 and 7.
#
# What to look for: how small does the file become? How much better is a scale per output than one for all, and which
# of the four matrices suffers most? Try 15 levels in place of 255. When does the text change, and would you have
# noticed?

# %% [markdown]
# ## What you have
#
# `load_released` fills your GPT-2 name by name, transposes by name and not by shape, and refuses what does not fit.
# Your model then gives the logits of a program that shares no part with it.
#
# Five questions on this lesson:
#
# <details><summary>1. What is in a safetensors file?</summary>
# The size of the header in 8 bytes, the header (names, dtypes, shapes and offsets as JSON), and the numbers. No code.
# </details>
# <details><summary>2. Which tensors of a GPT-2 file are not loaded, and why?</summary>
# The mask buffers, which are constants that the model computes itself, and <code>lm_head.weight</code> where it equals
# <code>wte.weight</code>.
# </details>
# <details><summary>3. Which parameters are transposed, and why not <code>wte</code> and <code>wpe</code>?</summary>
# <code>c_attn</code>, <code>c_fc</code> and both <code>c_proj</code> of each block: the file has (in, out), nn.Linear
# (out, in). Embedding matrices are looked up by row, one row per token or position, in both programs.
# </details>
# <details><summary>4. Why must shapes be compared before <code>copy_</code>?</summary>
# <code>copy_</code> broadcasts: one number, one row or one column is repeated over the whole parameter. And an error
# in the middle would leave the model half filled.
# </details>
# <details><summary>5. A model loads without an error. What have you shown, and what not?</summary>
# Names and shapes fit. Whether the numbers are where they belong, only a comparison of logits shows.
# </details>
#
# And two on earlier ones:
#
# <details><summary>6. Why does GPT-2 need no separate output matrix? (lesson 10)</summary>
# The logits are dot products of the final vector with the rows of <code>wte</code>: weight tying.
# </details>
# <details><summary>7. A model has a perplexity of 8 on a text. What does that mean? (lesson 01)</summary>
# On average it is as uncertain as if it chose among 8 equally likely tokens: a loss of ln 8 = 2.08 nats per token.
# </details>
#
# **GPT-2 124M in numbers:**

# %%
in_matrices = gpt2.n_layer * sum(math.prod(shape) for shape in sizes.values())
in_square = gpt2.n_layer * gpt2.n_embd**2
print(f"{n_tensors} tensors loaded, of {len(shapes)} in the file")
print(f"transposed: {gpt2.n_layer * len(sizes)} matrices with {in_matrices / n_numbers:.0%} of all numbers")
print(f"square, so that no shape tells: {gpt2.n_layer} matrices, {in_square / n_numbers:.1%} of all numbers")

# %% [markdown]
# **Sources.** Radford et al. 2019, *Language Models are Unsupervised Multitask Learners*, table 2 (the sizes as first
# stated); the code released with it, `src/model.py`, function `conv1d`, and `README.md` (the note on the counts); the
# safetensors library, `README.md`, section *Format*; transformers, `pytorch_utils.py`, class `Conv1D`.
#
# **Next:** [lesson 15](15_looking_inside.ipynb) looks at what these weights do: which heads look where, and what the
# residual stream holds on its way up.
#
# **What you have built so far:**

# %%
my_progress()
