# %% [markdown]
# # 12 · The KV cache
#
# GPT-2 writes one token at a time. In [lesson 11](11_sampling.ipynb) the whole text ran through the model again
# for each of them. **How much of that work had been done before, and which results must be kept so that it need
# not be repeated?**
#
# - **In:** one new token, an id (B, 1), and what was kept of the tokens before it.
# - **Out:** logits (B, V) for the token that follows, the same as a run over the whole text gives.
# - **Time:** about 60 minutes for the core, 110 with the deeper sections. Two exercises: `append_to_cache` and
#   `cached_attention`.
#
# Keep at hand: the [cheat sheet](../docs/cheat_sheet.md), the [glossary](../docs/glossary.md), the
# [notation](../docs/notation.md), and [what well-known explanations get wrong](../docs/common_errors.md).

# %% [markdown]
# First the tools. Parts from `gpt2course.mine` are yours where you have passed their checks; the line below the cell
# says which.

# %%
import copy
import math
import statistics
import textwrap
import time

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from gpt2course import check, kept_names, kv_cache, mine, my_progress
from gpt2course.attention import attention_scores, attention_weights, blend_values
from gpt2course.config import RELEASED, GPT2Config
from gpt2course.inspection import activations
from gpt2course.kv_cache import KVCache
from gpt2course.lessons.kv_cache import (
    cache_slider, costs, differences, last_path, matrices, runs, tower,
)
from gpt2course.mine import causal_mask, embed, masked_attention, merge_heads, split_heads
from gpt2course.model import GPT2, count_parameters, output_logits
from gpt2course.multihead import CausalSelfAttention
from gpt2course.weights import load_tokenizer

# %% [markdown]
# A **cache** stores results that will be needed again. At the bottom of the tower the new token joins the text, and all
# of it runs again, the columns of the earlier tokens too (lit). That is about to change.

# %%
tower("12_kv_cache", kept_names(), mine.GPT2)

# %% [markdown]
# ## 1. What is computed twice
#
# The running example is a text of four words, each one token, and a small GPT-2 with three layers that knows these
# words and the full stop. Its weights are random. Predict the shape of the logits.

# %%
words = ["robot", "must", "obey", "orders"]
known = [*words, "."]
idx = torch.tensor([[0, 1, 2, 3]])  # (B, T); the id of a word is its place in `known`
torch.manual_seed(12)
small = GPT2(GPT2Config(n_layer=3, n_head=2, n_embd=16, n_ctx=8, vocab_size=5))
for parameter in small.requires_grad_(False).parameters():  # nothing is trained here
    parameter.normal_(std=0.4)
tuple(small(idx).shape)

# %% [markdown]
# One text, four positions, five scores at each: (B, T, V).
#
# Think of a run as a grid with a column for each token and a row for each layer. A cell is one block at work at one
# position. (Layers are counted from 0, as in `model.h[0]`.) To write a text, the model runs once per token: on
# *robot*, then on *robot must*, and so on. How many cells of run 4 were already computed in run 3?

# %%
runs(words, n_layer=3)

# %% [markdown]
# Nine of the twelve: all but one column. For a text that fills GPT-2's context window of 1024 tokens:

# %%
for T in (4, 1024):
    computed = sum(range(1, T + 1))
    print(f"{T:4} tokens: {computed:,} columns computed, {T:,} of them new")

# %% [markdown]
# That is a waste only if the results are the same. Run the model over three tokens, then over all four, and compare
# the first three rows. Does the fourth token change anything? (`atol` allows for rounding: tensors of different
# sizes are summed in different orders.)

# %%
three, four = small(idx[:, :3])[0], small(idx)[0]  # (3, V), (4, V)
assert torch.allclose(three, four[:3], atol=1e-5)
panels = [("logits, run over three tokens", three), ("run over four, first three rows", four[:3])]
matrices(panels, words[:3], [f"→ {word}" for word in known])

# %% [markdown]
# Nothing. Nor inside the model: `activations` records each block's keys `k` and values `v`, (B, nh, T, hs) as in
# [lesson 07](07_multi_head.ipynb), and its output `x_out`.

# %%
after_three, after_four = activations(small, idx[:, :3]), activations(small, idx)
for layer, (short, long) in enumerate(zip(after_three.blocks, after_four.blocks)):
    for name in ("k", "v", "x_out"):
        assert torch.allclose(getattr(short, name), getattr(long, name)[..., :3, :], atol=1e-5)
    print(f"layer {layer}: k {tuple(short.k.shape)} is the beginning of k {tuple(long.k.shape)}")

# %% [markdown]
# ### Why
#
# Layer 0 receives the token and its position; neither depends on later tokens. Inside a layer, attention reads
# *earlier* rows only: the mask of [lesson 06](06_masking.ipynb). Everything else (LayerNorm, the matrices, the MLP)
# works on each row alone. So the output of layer 0 does not depend on later tokens either, and it is the
# input of layer 1. The argument repeats, layer by layer.
#
# GPT-2 never re-reads its first token in the light of the second, and that is what makes a cache possible: **what is
# kept stays true.** An encoder such as BERT has no mask. There a new token changes the rows of all others
# from layer 1 on, and everything must be read again.

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ### Deeper: what a new token changes without the mask
#
# The same model twice, with the mask and without it. You can skip it.

# %% [markdown]
# **Predict.** In an encoder every token reads all others. A fourth token is added. In which layers do the *keys* of
# the first three change?
#
# <details><summary>A. In none: a key is made from its own token</summary>
# From its own row, yes. But from layer 1 on that row is no longer the token alone: attention in the layer below
# has blended others into it, and without a mask the fourth is among them.
# </details>
# <details><summary>B. In all but layer 0</summary>
# Yes. The keys of layer 0 are made before any token has read another. Its attention then mixes the new
# token into every row, and everything made from these rows changes.
# </details>
# <details><summary>C. In all</summary>
# Layer 0 makes its keys before its attention runs. There a row holds one token and one position.
# </details>
#
# Give the same weights to a model whose attention has no mask. The pictures show the largest change of any entry of
# a key when *orders* is added.

# %%
class ReadsAll(CausalSelfAttention):
    """Attention without a mask, as in an encoder."""

    def forward(self, x, past=None):  # the model passes a cache, which is not used here
        q, k, v = (split_heads(part, self.n_head) for part in self.c_attn(x).chunk(3, dim=-1))
        weights = attention_weights(attention_scores(q, k))
        return self.c_proj(merge_heads(blend_values(weights, v)))


encoder = GPT2(small.config).requires_grad_(False)
for block in encoder.h:
    block.attn = ReadsAll(n_embd=16, n_head=2).requires_grad_(False)
encoder.load_state_dict(small.state_dict());

# %%
def moved(model):
    """The largest change of each key when the fourth token is added: (n_layer, 3)."""
    runs_of_it = zip(activations(model, idx).blocks, activations(model, idx[:, :3]).blocks)
    changes = [(long.k[:, :, :3] - short.k).abs() for long, short in runs_of_it]
    return torch.cat(changes).amax(dim=(1, 3))


panels = [("with the mask", moved(small)), ("without it", moved(encoder))]
matrices(panels, ["layer 0", "layer 1", "layer 2"], words[:3])

# %% [markdown]
# ## 2. What the new token needs of the old ones
#
# Which old results are needed? Take one head with the queries, keys and values of lesson 06, two numbers each.
# *orders* is new. Compute its row of attention by hand: a score with every key, softmax, blend.

# %%
q = torch.tensor([[1.0, 0.5], [1.0, 1.0], [0.0, 2.0], [2.0, 1.0]])  # (T, hs) = (4, 2)
k = torch.tensor([[1.0, 0.0], [0.5, 1.0], [1.5, 0.5], [0.0, 1.5]])
v = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, -1.0]])

scores = [(q[3, 0] * key[0] + q[3, 1] * key[1]) / math.sqrt(2) for key in k]
powers = torch.stack(scores).exp()
orders = (powers / powers.sum()) @ v

all_rows = masked_attention(q, k, v)
assert torch.allclose(all_rows[3], orders, atol=1e-5), f"by hand {orders}, got {all_rows[3]}"
matrices([("attention of all four tokens", all_rows), ("the last, by hand", orders[None])], words)

# %% [markdown]
# **Predict.** Look at the lines by hand once more. What of the *earlier* tokens did they not use?
#
# <details><summary>A. Their keys</summary>
# Each of the four scores is a product of the new query with one key, and three of those keys are old.
# </details>
# <details><summary>B. Their values</summary>
# The blend is made of all four values. An old token that gets attention contributes its value.
# </details>
# <details><summary>C. Their queries</summary>
# Yes. Of <code>q</code> only the row <code>q[3]</code> appears. A token uses its query once, when the token
# itself is read.
# </details>
# <details><summary>D. Nothing: attention needs all of q, k and v</summary>
# To compute all four rows, it does. But three of the rows were computed in earlier runs, and the new token
# needs only its own.
# </details>
#
# The proof: replace the old queries, and then one old key, by `nan` ("not a number", which spoils everything
# computed from it). In which case does the last row, that of *orders*, survive?

# %%
no_queries, no_key = q.clone(), k.clone()
no_queries[:3], no_key[0] = math.nan, math.nan
print("old queries lost:", masked_attention(no_queries, k, v), sep="\n")
print("one old key lost:", masked_attention(q, no_key, v), sep="\n")
assert torch.allclose(masked_attention(no_queries, k, v)[3], orders, atol=1e-5)

# %% [markdown]
# Without the old queries the last row is intact; without one old key everything is lost. So **keys and values are
# kept, queries are not.** Nothing else is needed: the rest of the model works on each row alone.
#
# A new token therefore takes a single path up through the model. In each layer its query reads the old keys and
# values, and its own.

# %%
last_path(words, n_layer=3)

# %% [markdown]
# ## 3. A loop that remembers
#
# The same head, token by token. In each round the new key and value join two lists, and the query reads
# them. Something that lesson 06 needed is missing. What?

# %%
keys, values, one_by_one = [], [], []
for t in range(4):
    keys.append(k[t])
    values.append(v[t])
    weights = (torch.stack(keys) @ q[t] / math.sqrt(2)).softmax(dim=-1)
    one_by_one.append(weights @ torch.stack(values))

by_loop = torch.stack(one_by_one)
assert torch.allclose(by_loop, all_rows, atol=1e-5)
matrices([("attention, one token at a time", by_loop), ("all at once", all_rows)], words)

# %% [markdown]
# The mask. When *must* asks, *obey* is not in the lists yet: what has not been written cannot be read.
#
# Append first, then ask: a token reads itself, too.
#
# ## 4. Exercise: `append_to_cache` ●●○○○ · 6 minutes
#
# In GPT-2 keys and values are tensors (B, nh, T, hs). The pair that is kept, `(keys, values)`, is called the
# **past**: (B, nh, P, hs) each, for P earlier tokens. T new tokens come in as `k` and `v`. Return the new pair,
# (B, nh, P + T, hs) each, **oldest first**, in the dtype of k and v. At first `past` is `None`.
# Change neither the old pair nor `k` and `v`: two texts may continue from the same past.
#
# The trap: tensors with four axes can be joined in four ways, and where the sizes happen to fit, none of
# them raises an error. Which axis counts tokens?
#
# <details><summary>Hint 1</summary>
# <code>torch.cat</code> joins a tuple of tensors along the axis <code>dim</code>, and makes a new tensor.
# </details>
# <details><summary>Hint 2</summary>
# Tokens are the third of the four axes, which is the last but one: <code>dim=-2</code>.
# </details>
# <details><summary>Hint 3</summary>
# Where <code>past</code> is <code>None</code>, the new keys and values are the whole cache. Otherwise
# <code>past[0]</code> goes before <code>k</code>, and <code>past[1]</code> before <code>v</code>.
# </details>

# %%
def append_to_cache(
    past: tuple | None, k: Float[Tensor, "B nh T hs"], v: Float[Tensor, "B nh T hs"]
) -> tuple:
    """Earlier keys and values followed by the new ones, oldest first; the inputs stay unchanged."""
    ### BEGIN SOLUTION
    if past is None:
        return k, v
    return torch.cat((past[0], k), dim=-2), torch.cat((past[1], v), dim=-2)
    ### END SOLUTION

# %%
append_to_cache = check(append_to_cache)

# %% [markdown]
# Append our four tokens one at a time (one text, one head). Predict the four shapes.

# %%
k4, v4 = k[None, None], v[None, None]  # (B, nh, T, hs) = (1, 1, 4, 2)
past = None
for t in range(4):
    past = append_to_cache(past, k4[:, :, t : t + 1], v4[:, :, t : t + 1])
    print(f"after {words[t]:6}: keys {tuple(past[0].shape)}, values {tuple(past[1].shape)}")
assert torch.equal(past[0], k4) and torch.equal(past[1], v4), f"the past is {past}"

# %% [markdown]
# ## 5. Several new tokens at once
#
# A prompt can be read in one run, and so can each line that a user types into a chat: T new tokens on top of P kept
# ones. But the first new token must not read the second, so the mask is back.
#
# Two tokens are kept and two are new: 2 queries, 4 keys. Which of these masks is right, and what would *obey*, the
# first new token, read under the other?

# %%
other = torch.ones(2, 4, dtype=torch.bool).tril()
panels = [("causal_mask(2, 4)", causal_mask(2, 4)), ("torch.ones(2, 4).tril()", other)]
matrices(panels, words[2:], words)

# %% [markdown]
# The left one: the queries are the *last* two of four positions, so it counts from the lower right corner.
# Under the other, *obey* would read only *robot*, not even itself, and no error would say so.
#
# ### Exercise: `cached_attention` ●●●○○ · 8 minutes
#
# Attention of T new tokens to everything before them and to each other. `q`, `k` and `v` belong to the new tokens,
# (B, nh, T, hs); `past` is the pair from before, or `None`. Return y, (B, nh, T, hs), and the new past, both in the
# dtype of q, k and v. T may be any number, on top of any past.
#
# The trap: two lengths are at work. How many rows has y, and how many tokens does the new past hold?
#
# <details><summary>Hint 1</summary>
# Append first, with your function; then every query finds all keys that it may read, its own too.
# </details>
# <details><summary>Hint 2</summary>
# T queries, S keys, T ≤ S, the queries being the last T: that is what <code>masked_attention</code> takes.
# </details>
# <details><summary>Hint 3</summary>
# Two lines: the joined pair, and the return of <code>masked_attention</code> over it together with the
# pair, which is the past of the next call.
# </details>

# %%
def cached_attention(
    q: Float[Tensor, "B nh T hs"],
    k: Float[Tensor, "B nh T hs"],
    v: Float[Tensor, "B nh T hs"],
    past: tuple | None,
) -> tuple[Float[Tensor, "B nh T hs"], tuple]:
    """Causal attention of T new tokens to all earlier ones and to each other, and the new past."""
    ### BEGIN SOLUTION
    k, v = append_to_cache(past, k, v)  # (B, nh, S, hs)
    return masked_attention(q, k, v), (k, v)
    ### END SOLUTION

# %%
cached_attention = check(cached_attention)

# %% [markdown]
# However the tokens are cut into pieces, the rows must be the same:

# %%
q4 = q[None, None]
for cut in ([4], [1, 1, 1, 1], [3, 1], [1, 3], [2, 2]):
    past, blends = None, []
    for new in zip(*(tensor.split(cut, dim=2) for tensor in (q4, k4, v4))):
        y, past = cached_attention(*new, past)  # q, k and v of the tokens in this piece
        blends.append(y)
    off = (torch.cat(blends, dim=2)[0, 0] - all_rows).abs().max().item()
    assert off < 1e-5, f"pieces of {cut} tokens give other rows, off by {off}"
    print(f"pieces of {cut} tokens: the same rows, largest difference {off:.0e}")

# %% [markdown]
# ## 6. The whole model
#
# Every layer has its own keys and values, so it needs its own past. Three things are new in the forward pass:
# attention is your `cached_attention`; the pasts come in and go out; and positions begin at `start`. A new token is the first of its `idx`, but its position is the number of tokens before it, which is how
# many the cache holds. (A deeper section sets the last two arguments wrong on purpose. After changing
# `cached_attention`, run this cell again.)

# %%
def step(model, idx, pasts, attend=cached_attention, start=None):
    """Logits (B, T, V) of new tokens on top of one past for each layer, and the new pasts."""
    if start is None:
        start = 0 if pasts[0] is None else pasts[0][0].shape[-2]  # as many as were kept
    x, new_pasts = embed(idx, model.wte.weight, model.wpe.weight, start), []  # (B, T, C)
    for block, past in zip(model.h, pasts):
        q, k, v = block.attn.c_attn(block.ln_1(x)).chunk(3, dim=-1)
        q, k, v = (split_heads(part, model.config.n_head) for part in (q, k, v))
        y, past = attend(q, k, v, past)
        x = x + block.attn.c_proj(merge_heads(y))
        x = x + block.mlp(block.ln_2(x))
        new_pasts.append(past)
    return output_logits(model.ln_f(x), model.wte.weight), new_pasts

# %% [markdown]
# The four tokens, one at a time, must give the four rows of logits of section 1:

# %%
pasts, rows_of_logits = [None] * 3, []
for t in range(4):
    logits, pasts = step(small, idx[:, t : t + 1], pasts)
    rows_of_logits.append(logits[0, 0])

one_at_a_time = torch.stack(rows_of_logits)
off = (one_at_a_time - four).abs().max().item()
assert off < 1e-4, f"the logits are off by {off}: which part of step differs from the model's?"
print(f"largest difference of a logit: {off:.0e}")
matrices([("logits, one token at a time", one_at_a_time)], words, [f"→ {word}" for word in known])

# %% [markdown]
# The grid of section 1 again, with the cache. How many cells does run 4 compute?

# %%
runs(words, n_layer=3, cached=True)

# %% [markdown]
# ## 7. The same logits
#
# The small GPT-2 that comes with the course was trained on short stories
# ([lesson 13](13_training.ipynb) shows how). Each began with `<|endoftext|>`, so the prompt does, too.

# %%
teller = GPT2.from_pretrained("course").requires_grad_(False)
tokenizer = load_tokenizer("course")
BEGINNING = "Hugo lived in Oakham and owned a rusty robot. A robot must obey the orders"
prompt = torch.tensor([[tokenizer.end_of_text, *tokenizer.encode(BEGINNING)]])
print("prompt:", tuple(prompt.shape), "  context window:", teller.config.n_ctx, "tokens")

# %% [markdown]
# First the long way: read the whole text again for each token, and take the likeliest.

# %%
def write_anew(ids, n):
    """n tokens after a prompt (1, T): the logits (n, V) that each was chosen by, and their ids."""
    rows = []
    for _ in range(n):
        rows.append(teller.next_logits(ids))
        ids = torch.cat([ids, rows[-1].argmax(dim=-1, keepdim=True)], dim=1)
    return torch.cat(rows), ids[0, -n:]


anew, anew_ids = write_anew(prompt, 50)
print(f"{BEGINNING} …")
print(textwrap.fill(f"…{tokenizer.decode(anew_ids.tolist())} …", 80))

# %% [markdown]
# Now with pasts: the prompt is read once, here in three pieces, then each new token alone.

# %%
def write_cached(parts, n, **options):
    """The same from a prompt in pieces, with one past for each layer; the options are step's."""
    pasts, rows = [None] * teller.config.n_layer, []
    for part in parts:
        logits, pasts = step(teller, part, pasts, **options)
    for _ in range(n):
        rows.append(logits[:, -1])
        logits, pasts = step(teller, rows[-1].argmax(dim=-1, keepdim=True), pasts, **options)
    return torch.cat(rows), torch.cat(rows).argmax(dim=-1)


pieces = prompt.split([prompt.shape[1] - 3, 2, 1], dim=1)  # the last three tokens as 2 and 1
cached, cached_ids = write_cached(pieces, 50)
assert torch.equal(cached_ids, anew_ids), "the two texts differ: compare their logits step by step"
print(f"{len(cached_ids)} tokens, all of them the same")

# %% [markdown]
# And the logits? Float32 carries about seven digits, so they differ a little. Is that rounding, or a small mistake?
# Repeat the run in float64, with 16 digits: rounding almost vanishes, a mistake stays.

# %%
teller.double()
off64 = (write_cached(pieces, 50)[0] - write_anew(prompt, 50)[0]).abs().max()
teller.float()
off32 = (cached - anew).abs().max()
print(f"largest difference of a logit in 50 steps: {off32:.0e}, in float64 {off64:.0e}")
assert off32 < 1e-4 and off64 < 1e-10, "more than rounding: the cache changes the logits"

# %% [markdown]
# Why look at logits at all, when the texts are the same? A mistake may leave a text as it is for dozens of tokens, while
# the logits are off at once. **Compare logits, never text.**

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ### Deeper: two mistakes that a text hides
#
# A wrong position and a wrong mask, seen in the text and in the logits. You can skip it.

# %% [markdown]
# **Position 0.** `start` is forgotten: each new token is embedded at position 0. (The prompt, read in one piece, gets
# the right positions.)
#
# **Mask from the upper left.** torch's own attention has a flag, `is_causal=True`, whose mask counts from the upper
# left corner. With as many queries as keys that is right, and a single new token needs no mask. Only a piece of
# several tokens on top of others goes wrong: the second of our three.

# %%
def upper_left(q, k, v, past):
    k, v = append_to_cache(past, k, v)
    several = q.shape[-2] > 1
    return F.scaled_dot_product_attention(q, k, v, is_causal=several), (k, v)

# %% [markdown]
# **Predict.** You make the first mistake, let the model write, and read the text. What do you see?
#
# <details><summary>A. An error message</summary>
# Position 0 is a position like any other, and all shapes are right. Nothing in the program can know that the
# token belongs elsewhere.
# </details>
# <details><summary>B. Nonsense, with the first new token already wrong</summary>
# The logits after the prompt choose the first new token, and the prompt was read correctly. Later, the likeliest
# token may win by a smaller margin and still win.
# </details>
# <details><summary>C. A text that begins right and goes astray later</summary>
# Yes. Logits have to be off by more than the lead of the best token before another one is chosen.
# </details>
#
# Read all three texts as if you did not know which is faulty.

# %%
versions = {
    "right": (cached, cached_ids),
    "position 0": write_cached([prompt], 50, start=0),
    "upper left": write_cached(pieces, 50, attend=upper_left),
}
parted = {}
for number, (name, (_, ids)) in enumerate(versions.items(), 1):
    differ = (ids != anew_ids).nonzero()
    parted[name] = differ[0].item() + 1 if len(differ) else None
    print(f"text {number}")
    print(textwrap.fill(f"…{tokenizer.decode(ids.tolist())} …", 80), end="\n\n")
assert 1 < parted["position 0"] <= 50

# %% [markdown]
# Text 1 is right, text 2 has every new token at position 0, and text 3 the mask that counts from the upper left.
# Text 2 consists of fragments that do not hang together; you might blame the training. The sentences of text 3
# are as good as the right ones.
#
# Now the logits: how far is each version from the run over the whole text, as long as the texts agree? The scale
# grows by factors of ten. At which token does each mistake first show?

# %%
off_by = {}
for name, (logits, _) in versions.items():
    n_same = parted[name] or 50
    off_by[name] = (logits - anew)[:n_same].abs().amax(dim=-1).tolist()
assert max(off_by["right"]) < 1e-4
assert off_by["position 0"][1] > 0.1 and off_by["upper left"][0] > 1e-2
differences(off_by, parted, tolerance=1e-4)

# %% [markdown]
# The first at the second token, the second at once. So compare logits over several steps, with a prompt in pieces:
# looking only at the first step would have missed the wrong position, and a prompt in one piece the wrong mask.

# %% [markdown]
# ## 8. What a token costs
#
# Nearly all the work of a model is in matrix products, that is in **multiply-adds**: multiply two numbers, add the
# result to a sum. A run reads `n_new` tokens, with `n_all` in the end. For each new token and layer:
#
# - the four matrices (`c_attn` C · 3C, `c_proj` C · C, the MLP C · 4C twice): 12 C²;
# - attention: C for each score over all heads, and C for each value blended: 2 · `n_all` · C. (A matrix
#   product computes the masked scores, too.)
#
# At the end V · C for one row of logits.

# %%
def multiply_adds(config: GPT2Config, n_new: int, n_all: int) -> int:
    """Of a run that reads n_new tokens, with n_all in the end, and makes the last logits."""
    C = config.n_embd
    one_layer = n_new * 12 * C * C + n_new * 2 * n_all * C
    return config.n_layer * one_layer + config.vocab_size * C

# %% [markdown]
# For the smallest GPT-2, with tokens counted from 1. Follow a column down. Which one grows, and how fast?

# %%
gpt2 = RELEASED["gpt2"]
print("   token   without a cache     with a cache")
for S in (1, 10, 100, 1024):
    without, with_cache = multiply_adds(gpt2, S, S), multiply_adds(gpt2, 1, S)
    print(f"{S:8}   {without:15,}   {with_cache:14,}   {without / with_cache:6.1f} times fewer")
more = multiply_adds(gpt2, 1, 1024) / multiply_adds(gpt2, 1, 1) - 1
print(f"with a cache, token 1024 takes {more:.0%} more than token 1")

# %% [markdown]
# Move the slider to both ends. Then let a column be 64 tokens, and go from column 8 to 16: the text becomes twice as
# long. Does the upper bar?
#
# <details><summary>What to see</summary>
# It becomes more than twice as long. Without a cache every run computes the score of every query with every key,
# and twice as many of both give four times as many scores.
# </details>

# %%
cache_slider(multiply_adds, gpt2)

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: counted by torch, and measured
#
# The formula against torch's own counter, and then against the clock of your machine. You can skip it.

# %% [markdown]
# torch counts a multiplication and an addition as two. It must agree with the formula, on one token on top of three.
# (This cell takes the package's `cached_attention`: the counter sees matrix products alone, and a right answer may
# be written in another way.)

# %%
pasts = step(small, idx[:, :3], [None] * 3)[1]
with FlopCounterMode(display=False) as counter:
    step(small, idx[:, 3:], pasts, attend=kv_cache.cached_attention)
counted, formula = counter.get_total_flops() // 2, multiply_adds(small.config, n_new=1, n_all=4)
print(f"counted by torch: {counted:,} multiply-adds; by the formula: {formula:,}")
assert counted == formula

# %% [markdown]
# Multiply-adds are not seconds. So measure a model of 4 layers, 128 wide, for texts of up to 512 tokens. `KVCache` is
# the package's cache: memory for `n_ctx` tokens, of which the first `length` are filled. Setting `length` back to
# S − 1 makes it hold only the tokens before token S. (One thread: such small matrices gain nothing from more.)

# %%
torch.set_num_threads(1)
clocked = GPT2(GPT2Config(n_layer=4, n_head=4, n_embd=128, n_ctx=512, vocab_size=2048))
clocked.requires_grad_(False)
text, full = torch.randint(2048, (1, 512)), KVCache(clocked.config)
clocked.next_logits(text, full)


def token_anew(S):
    clocked.next_logits(text[:, :S])


def token_on_top(S):
    full.length = S - 1
    clocked.next_logits(text[:, S - 1 : S], full)

# %% [markdown]
# Of eleven measurements take the median, so that a moment in which your machine was busy does not count.

# %%
def median_seconds(functions, tokens):
    """For each function the median of eleven times for each token."""
    times = {(function, S): [] for S in tokens for function in functions}
    for _ in range(11):
        for function, S in times:
            begin = time.perf_counter()
            function(S)
            times[function, S].append(time.perf_counter() - begin)
    return [[statistics.median(times[function, S]) for S in tokens] for function in functions]

# %% [markdown]
# On the left the count, on the right what your machine took. Both scales cover equally many factors of ten. In
# which picture are the two lines closer together?

# %%
tokens = [16, 64, 128, 256, 384, 512]
work = {
    "without a cache": [multiply_adds(clocked.config, S, S) for S in tokens],
    "with a cache": [multiply_adds(clocked.config, 1, S) for S in tokens],
}
measured = dict(zip(work, median_seconds([token_anew, token_on_top], tokens)))
costs(tokens, work, measured)

# %% [markdown]
# In time they are closer: a single row gives a processor little to do at once. Each number of each matrix is fetched
# from memory and used once, and starting an operation takes its time however small the operation is.
#
# With a cache the count grows by the attention to ever more keys. In a model as narrow as this one that is a large
# part of the whole; the wider the model, the smaller it is (12 C² against 2 · `n_all` · C):

# %%
for name, config, S in (("this model", clocked.config, 512), ("GPT-2 124M", gpt2, 1024)):
    attention = config.n_layer * 2 * S * config.n_embd
    print(f"{name}, attention of token {S}: {attention / multiply_adds(config, 1, S):.0%}")

# %% [markdown]
# ## 9. What it costs instead: memory
#
# The cache holds keys and values (2), for every layer, for every position, C numbers of 4 bytes.
#
# **Predict.** The 124 million weights of the smallest GPT-2 take 498 MB, once, however many texts are written
# side by side. Each text needs its own cache. From how many texts of 1024 tokens on do the caches
# need more memory than the weights?
#
# <details><summary>A. About 7</summary>
# Yes; the next cell computes it. A computer that writes many texts at once fills its memory with caches, not
# with weights.
# </details>
# <details><summary>B. About 700</summary>
# Keys and values of some tokens sound small beside a whole model. But each of the 1024 tokens
# keeps two vectors of 768 in each of 12 layers.
# </details>
# <details><summary>C. Never: the cache holds results, and results are thrown away</summary>
# Scores and blends are thrown away. Keys and values are what the cache consists of, until the text ends.
# </details>

# %%
def cache_bytes(config: GPT2Config, batch_size: int = 1) -> int:
    """Of the cache of batch_size texts that fill the context window, in float32."""
    return 2 * config.n_layer * batch_size * config.n_ctx * config.n_embd * 4


print("                 weights      1 text    32 texts   texts until the caches are larger")
for name, config in RELEASED.items():
    weights, one = count_parameters(config) * 4, cache_bytes(config)
    sizes = [weights / 1e6, one / 1e6, cache_bytes(config, 32) / 1e6]
    print(f"{name:12}", *(f"{size:8,.0f} MB" for size in sizes), "  ", weights // one + 1)

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: memory that is allocated once
#
# Why the package's `KVCache` does not use `torch.cat`, and how its model takes it. You can skip it.

# %% [markdown]
# `append_to_cache` makes a new tensor and copies everything kept into it, for every token, in every layer. Over a
# text of 1024 tokens that adds up:

# %%
per_token = 2 * gpt2.n_layer * gpt2.n_embd * 4  # bytes
copied = sum(range(1024)) * per_token  # 0 old tokens are copied, then 1, then 2, ...
print(f"kept for 1024 tokens: {1024 * per_token / 1e6:8,.1f} MB")
print(f"copied on the way:    {copied / 1e6:8,.1f} MB")

# %% [markdown]
# The remedy: allocate memory for all `n_ctx` tokens once, remember how many are filled (`length`), and write new keys
# and values behind the old ones. `KVCache` does that for all layers together, and the package's model takes it as a
# second argument. `next_logits` computes only the last row of logits, (B, V). Only *new* tokens go in.

# %%
cache = KVCache(small.config)
after_prompt = small.next_logits(idx[:, :3], cache)  # three tokens at once
print("tokens held:", cache.length)
after_orders = small.next_logits(idx[:, 3:], cache)  # the new token alone
print("tokens held:", cache.length, "  logits:", tuple(after_orders.shape))
assert torch.allclose(torch.cat([after_prompt, after_orders]), four[2:], atol=1e-4)
print(f"bytes for GPT-2 and two texts: {KVCache(gpt2, batch_size=2).nbytes:,}")
assert KVCache(gpt2, batch_size=2).nbytes == cache_bytes(gpt2, 2)

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: when the context window is full
#
# Why a cache cannot simply drop its oldest token. You can skip it.

# %% [markdown]
# The small model has positions for 8 tokens. What happens to the ninth?

# %%
nine = torch.tensor([[0, 1, 2, 3, 0, 2, 1, 3, 0]])
filled = KVCache(small.config)
small.next_logits(nine[:, :8], filled)
try:
    small.next_logits(nine[:, 8:], filled)
except ValueError as error:
    print(error)

# %% [markdown]
# There is no position 8. [Lesson 11](11_sampling.ipynb) moves the window: the first token drops out, and the
# last eight are read. Could we also drop the oldest key and value, and keep those of positions 1 to 7?
#
# Compare the kept keys with the keys of the same tokens in the moved window. Each number is the largest change, with a
# row for each layer; 1→0 is the token that moved from position 1 to position 0. The second model is a copy without
# positions: all its position vectors are 0. Which of its rows will be 0?

# %%
def keys_of(model, idx):
    """The keys of one text in every layer: (n_layer, nh, T, hs)."""
    return torch.cat([block.k for block in activations(model, idx).blocks])


no_positions = copy.deepcopy(small)
no_positions.wpe.weight.zero_()
panels = []
for title, model in (("small model", small), ("positions set to 0", no_positions)):
    change = keys_of(model, nine[:, 1:])[:, :, :-1] - keys_of(model, nine[:, :8])[:, :, 1:]
    panels.append((title, change.abs().amax(dim=(1, 3))))
moves = [f"{i}→{i - 1}" for i in range(1, 8)]
matrices(panels, ["layer 0", "layer 1", "layer 2"], moves)

# %% [markdown]
# Two things are wrong with the kept keys. First, in the small model each token has moved by one position, and its key
# was made with the old one. Layer 0 changes most: it receives the sum of two vectors, and one of them, the
# position's, has been replaced. Higher up, each layer has added its own results to the sum. Second, the kept rows have
# read the token that dropped out. The copy shows this alone: its layer 0 is right, the layers above are not.
#
# So when the window moves, the whole cache is worthless, and all `n_ctx` tokens are read again for every further
# token. `gpt2course.sampling.generate` does that. For the smallest GPT-2, token 1025 beside token 1024:

# %%
last, beyond = multiply_adds(gpt2, 1, 1024), multiply_adds(gpt2, 1024, 1024)
print(f"multiply-adds in a moved window: {beyond / last:,.0f} times as many as with the cache")

# %% [markdown]
# There are two ways out: end the text there (`generate(..., slide=False)`), or continue with its last half
# alone, and fill the other half again.

# %% [markdown]
# ## What you have
#
# `append_to_cache` keeps keys and values, oldest first, and `cached_attention` lets new tokens read them. Thanks to
# the mask, what was kept stays true, so a new token takes one path through the model. The logits are those of a run
# over the whole text.
#
# The numbers of the smallest GPT-2, for a text of 1024 tokens:

# %%
print(f"parameters in the cache: 0 of {count_parameters(gpt2):,}")
print(f"kept for each token: {2 * gpt2.n_layer * gpt2.n_embd:,} numbers (2 · layers · width)")
print(f"cache of a full context window: {cache_bytes(gpt2):,} bytes")
print(f"multiply-adds of the last token: {multiply_adds(gpt2, 1, 1024):,}")

# %% [markdown]
# ### Questions
#
# <details><summary>1. "Queries, keys and values are cached." Is that so?</summary>
# Keys and values are. An old query is never used again: in section 2 it could be nan.
# </details>
# <details><summary>2. Can any transformer be given such a cache?</summary>
# No, it takes the mask. In an encoder one more token changes the keys of all tokens from layer 1 on.
# </details>
# <details><summary>3. The cache holds 7 tokens and 2 new ones come in. Which positions do they get, and what is
# the shape of their mask?</summary>
# Positions 7 and 8, counted from 0. The mask has 2 rows and 9 columns; the first row hides the last column.
# </details>
# <details><summary>4. "With a cache every token costs the same." How nearly?</summary>
# Attention still grows with the number of keys. In the smallest GPT-2 the table of section 8 shows by how much over a
# whole context window; the wider the model, the less.
# </details>
# <details><summary>5. "The cache trades quality for speed." What is traded for what?</summary>
# Memory for time. The logits are the same up to rounding.
# </details>
#
# From earlier lessons:
#
# <details><summary>6. <code>split_heads</code> gets x of shape (1, 4, 16) and two heads. What comes out?</summary>
# (1, 2, 4, 8): two heads, each with 4 tokens of 8 numbers (lesson 07).
# </details>
# <details><summary>7. In section 7 the likeliest token was always taken. What would
# <code>keep_top_k</code> with k = 40 have changed?</summary>
# Nothing: the likeliest token is among the 40 and stays the likeliest (lesson 11).
# </details>

# %% [markdown]
# ### Challenge: half the memory
#
# Keep keys and values in float16, and compute with them in float32: write your own `attend` for `write_cached`. How
# many bytes does the cache take? Look at three things: how large the differences of the logits are beside those
# of rounding, whether they grow from step to step, and at which token the texts part, if they do. Then try 8-bit
# integers, with one scale for each key.
#
# <details><summary>What to expect</summary>
# Float16 keeps about three digits, so the differences are a hundred times those of rounding in float32 and more; with
# 8 bits they are about ten times larger again. They do not grow from step to step, since each key is rounded once. The
# text may well stay the same, which is why you look at logits.
# </details>

# %% [markdown]
# **Sources.** Shazeer 2019, *Fast Transformer Decoding: One Write-Head is All You Need*, section 2.4;
# Pope et al. 2022, *Efficiently Scaling Transformer Inference*, section 2.1 (memory and time); the code released with Radford et al. 2019, *Language Models are Unsupervised Multitask
# Learners*: `past` in `src/model.py` and `src/sample.py`.
#
# **Next:** the model runs fast. What it lacks are weights that know a language.
# [Lesson 13](13_training.ipynb) trains them.
#
# **What you have built so far:**

# %%
my_progress()
