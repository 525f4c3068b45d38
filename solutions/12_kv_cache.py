# %% [markdown]
# # 12 · The KV cache
#
# GPT-2 writes one token at a time, and lesson 11 ran the whole text through the model for each of them.
# **How much of that had been computed before, and what has to be kept so that it need not be computed
# again?**
#
# - **In:** one new token, an id (B, 1), and what was kept of the tokens before it.
# - **Out:** logits (B, V) for the token that follows, the same as a run over the whole text gives.
# - **Time:** about 90 minutes. Two exercises: `append_to_cache` and `cached_attention`.

# %% [markdown]
# First the tools. Parts of earlier lessons come from `gpt2course.mine`: yours where you have passed
# their checks, and the line below the cell says which.

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

from gpt2course import check, kv_cache
from gpt2course.attention import attention_scores, attention_weights, blend_values
from gpt2course.config import RELEASED, GPT2Config
from gpt2course.inspection import activations
from gpt2course.kv_cache import KVCache
from gpt2course.lessons.kv_cache import (
    cache_slider, costs, differences, last_path, matrices, pipeline, runs,
)
from gpt2course.mine import causal_mask, embed, masked_attention, merge_heads, split_heads
from gpt2course.model import GPT2, count_parameters, output_logits
from gpt2course.multihead import CausalSelfAttention
from gpt2course.weights import load_tokenizer

# %% [markdown]
# A **cache** is a store for results that will be needed again. Read the line at the bottom of the picture:
# the new token joins the text, *and all of it runs again*. By the end of this lesson the second half of that
# line is no longer true.

# %%
pipeline("12_kv_cache")

# %% [markdown]
# ## 1. What is computed twice
#
# The running example is a text of four words, each taken as one token, and a small GPT-2 with three
# layers that knows these words and the full stop. Its weights are random numbers, since nothing in this
# section depends on what they are (`requires_grad_(False)`: nothing is trained here). How many logits will
# come out? Predict the shape.

# %%
words = ["robot", "must", "obey", "orders"]
known = [*words, "."]
idx = torch.tensor([[0, 1, 2, 3]])  # (B, T); the id of a word is its place in `known`
torch.manual_seed(12)
small = GPT2(GPT2Config(n_layer=3, n_head=2, n_embd=16, n_ctx=8, vocab_size=5))
for parameter in small.requires_grad_(False).parameters():
    parameter.normal_(std=0.4)
tuple(small(idx).shape)

# %% [markdown]
# One text, four positions, and at each position a score for each of the five words: (B, T, V).
#
# Think of a run as a grid: a column for each word, a row for each layer. A cell is one block at work at
# one position: LayerNorm, attention, MLP. To write a text, the model runs once for every word: on *robot*,
# then on *robot must*, and so on. In the picture, how many cells of run 4 were there in run 3 already?

# %%
runs(words, n_layer=3)

# %% [markdown]
# Nine of its twelve: all but one column. Four runs compute ten columns, and four of them are new. For a text
# that fills GPT-2's context, 1024 tokens, the sum 1 + 2 + … + 1024 says how many:

# %%
for T in (4, 1024):
    computed = sum(range(1, T + 1))
    print(f"{T:4} tokens: {computed:,} columns computed, {T:,} of them new")

# %% [markdown]
# ### Does anything come out differently?
#
# Computing a cell again is a waste only if the result is the same. So run the model over three words, and then
# over all four, and look at the rows of the first three. Has the fourth word changed anything? (The code
# compares up to a small difference, `atol`: tensors of other sizes are summed in another order, and the last
# digits may be rounded otherwise. Section 8 measures how much.)

# %%
three, four = small(idx[:, :3])[0], small(idx)[0]  # (3, V), (4, V)
assert torch.allclose(three, four[:3], atol=1e-5)
panels = [("logits, run over three words", three), ("run over four, first three rows", four[:3])]
matrices(panels, words[:3], [f"→ {word}" for word in known])

# %% [markdown]
# Nothing. The same holds inside. `activations` runs a model and keeps everything on the way. Each
# block has its keys `k`, its values `v` and its output `x_out`; compare those of the first three words in
# every layer.

# %%
after_three, after_four = activations(small, idx[:, :3]), activations(small, idx)
for layer, (short, long) in enumerate(zip(after_three.blocks, after_four.blocks), start=1):
    for name in ("k", "v", "x_out"):
        assert torch.allclose(getattr(short, name), getattr(long, name)[..., :3, :], atol=1e-5)
    print(f"layer {layer}: k {tuple(short.k.shape)} is the beginning of k {tuple(long.k.shape)}")

# %% [markdown]
# The shapes are (B, nh, T, hs): texts, heads, words, numbers in a head (lesson 07).
#
# ### Why
#
# Go up the grid. What enters layer 1 is the word and its position, and neither depends on later words.
# In a layer two things happen. Attention reads *earlier* rows only: the mask of lesson 06. Everything else
# (LayerNorm, the matrices, the MLP) works on each row alone. So what leaves layer 1 does not depend on
# later words either, and it is what enters layer 2. The same argument then goes up layer by layer.
#
# **Predict.** An encoder such as BERT has no mask: every word reads all. A fourth word is added. In which
# layers do the *keys* of the first three words change?
#
# <details><summary>A. In none: a key is made from its own word</summary>
# From its own row, yes. But from layer 2 on that row is no longer the word alone: attention of the layer below
# has blended others into it, and without a mask the fourth is among them.
# </details>
# <details><summary>B. In all but the first</summary>
# Yes. The keys of layer 1 are made before any word has read another. Layer 1's attention then mixes the new
# word into every row, and whatever is made from these rows has changed.
# </details>
# <details><summary>C. In all</summary>
# Layer 1 makes its keys before its attention runs. There a row holds one word and one position.
# </details>

# %% [markdown]
# To see it, give the same weights to a model whose attention has no mask.

# %%
class ReadsAll(CausalSelfAttention):
    """Attention without a mask, as in an encoder."""

    def forward(self, x, past=None):
        q, k, v = (split_heads(part, self.n_head) for part in self.c_attn(x).chunk(3, dim=-1))
        weights = attention_weights(attention_scores(q, k))
        return self.c_proj(merge_heads(blend_values(weights, v)))


encoder = GPT2(small.config).requires_grad_(False)
for block in encoder.h:
    block.attn = ReadsAll(n_embd=16, n_head=2).requires_grad_(False)
encoder.load_state_dict(small.state_dict());

# %% [markdown]
# For both models: how far does each word's key move when *orders* is added? The number is the largest change
# of any entry of the key. Was your prediction right?

# %%
def keys_of(model, idx):
    """The keys of one text in every layer: (n_layer, nh, T, hs)."""
    return torch.cat([block.k for block in activations(model, idx).blocks])


def moved(model):
    """The largest change of each key when the fourth word comes: (n_layer, 3)."""
    change = keys_of(model, idx)[:, :, :3] - keys_of(model, idx[:, :3])
    return change.abs().amax(dim=(1, 3))


LAYERS = ["layer 1", "layer 2", "layer 3"]
matrices([("with the mask", moved(small)), ("without it", moved(encoder))], LAYERS, words[:3])

# %% [markdown]
# An encoder has to read everything anew when a word is added. GPT-2 never reads its first token again in
# the light of the second, and that is what makes a cache possible: **what is kept stays true.**
#
# ## 2. What the new word needs of the old ones
#
# It remains to find out which of the old results are needed. One head, and for each word a query, a key
# and a value of two numbers, those of lesson 06. *orders* is new. Its row of attention, by hand: a score with
# every key, powers of e, shares, blend. It must be the last row of attention over all four words.

# %%
q = torch.tensor([[1.0, 0.5], [1.0, 1.0], [0.0, 2.0], [2.0, 1.0]])  # (T, hs) = (4, 2)
k = torch.tensor([[1.0, 0.0], [0.5, 1.0], [1.5, 0.5], [0.0, 1.5]])
v = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, -1.0]])

scores = [(q[3, 0] * key[0] + q[3, 1] * key[1]) / math.sqrt(2) for key in k]
powers = torch.stack(scores).exp()
orders = (powers / powers.sum()) @ v

all_rows = masked_attention(q, k, v)
assert torch.allclose(all_rows[3], orders, atol=1e-5)
matrices([("attention of all four words", all_rows)], words)

# %% [markdown]
# **Predict.** Look at the lines by hand once more. What of the *earlier* words did they not use?
#
# <details><summary>A. Their keys</summary>
# Each of the four scores is a product of the new query with one key, and three of those keys are old.
# </details>
# <details><summary>B. Their values</summary>
# The blend is made of all four values. An old word that gets attention hands over its value.
# </details>
# <details><summary>C. Their queries</summary>
# Yes. Of <code>q</code> only the row <code>q[3]</code> appears. A query is asked once, by its own word, at
# the moment in which that word is read.
# </details>
# <details><summary>D. Nothing: attention needs all of q, k and v</summary>
# To compute all four rows, it does. But three of the rows were computed in earlier runs, and the new word
# needs its own alone.
# </details>

# %% [markdown]
# The proof: put nonsense (`nan`, "not a number", which spoils whatever it touches) in the place of the
# old queries, and then in the place of one old key. Nothing is cut off before the call, so four rows come out
# each time; look at the last one alone, that of *orders*. In which of the two is it sound?

# %%
no_queries, no_key = q.clone(), k.clone()
no_queries[:3], no_key[0] = math.nan, math.nan
print("old queries lost:", masked_attention(no_queries, k, v), sep="\n")
print("one old key lost:", masked_attention(q, no_key, v), sep="\n")
assert torch.allclose(masked_attention(no_queries, k, v)[3], orders, atol=1e-5)

# %% [markdown]
# Without the old queries, three rows are lost, which nobody needs any more, and the last one is as it was.
# Without one old key everything is lost. So **keys and values are kept, queries are not.** And nothing else
# has to be: LayerNorm, the matrices and the MLP work on each row alone, so the new row needs no old one
# there.
#
# What is left to do for a new word is a single path up through the model. In each layer it makes its own
# query, key and value; the query reads the old keys and values, and its own.

# %%
last_path(words, n_layer=3)

# %% [markdown]
# ## 3. A loop that remembers
#
# The same head, now word by word. Two lists remember keys and values. In each round one word arrives, its
# key and value go into the lists, and its query reads them. Something that lesson 06 needed is missing
# here. What?

# %%
keys, values, one_by_one = [], [], []
for t in range(4):
    keys.append(k[t])
    values.append(v[t])
    weights = (torch.stack(keys) @ q[t] / math.sqrt(2)).softmax(dim=-1)
    one_by_one.append(weights @ torch.stack(values))

by_loop = torch.stack(one_by_one)
assert torch.allclose(by_loop, all_rows, atol=1e-5)
matrices([("attention, one word at a time", by_loop)], words)

# %% [markdown]
# The mask. When *must* asks, *obey* is not in the lists yet: what has not been written cannot be read. The
# rows are those of masked attention all the same.
#
# Note the order: first append, then ask. A word reads itself, too.
#
# ## 4. Exercise: `append_to_cache`
#
# In GPT-2 keys and values are tensors (B, nh, T, hs). What is kept is a pair of them, `(keys, values)`,
# called the **past**: P earlier tokens, (B, nh, P, hs) each. T new tokens come in as `k` and `v`. Return the
# new pair, (B, nh, P + T, hs) each, **oldest first**, in the dtype of k and v. Before the first token nothing
# is kept, and `past` is `None`. Neither the old pair nor `k` and `v` may be changed: two texts may go on from one
# beginning, and then the same past is used twice.
#
# The trap: tensors with four axes can be joined in four ways, and where the sizes happen to fit none of
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
    """Earlier keys and values followed by the new ones, oldest first; the inputs stay."""
    ### BEGIN SOLUTION
    if past is None:
        return k, v
    return torch.cat((past[0], k), dim=-2), torch.cat((past[1], v), dim=-2)
    ### END SOLUTION

# %%
append_to_cache = check(append_to_cache)

# %% [markdown]
# Our four words through it, one at a time, with axes for one text and one head in front. Predict the four
# shapes.

# %%
k4, v4 = k[None, None], v[None, None]  # (B, nh, T, hs) = (1, 1, 4, 2)
past = None
for t in range(4):
    past = append_to_cache(past, k4[:, :, t : t + 1], v4[:, :, t : t + 1])
    print(f"after {words[t]:6}: keys {tuple(past[0].shape)}, values {tuple(past[1].shape)}")
assert torch.equal(past[0], k4) and torch.equal(past[1], v4)

# %% [markdown]
# ## 5. Several new tokens at once
#
# A prompt does not arrive word by word: all its tokens are known and can be read in one run. A chat is
# like that each time its user has typed a line: T new tokens on top of P that were kept. Now a future
# exists again, since the first of the new tokens must not read the second. The mask is back.
#
# Two words are kept, two are new: 2 queries, 4 keys. Both tables below have that shape. Which of them is
# right, and what would *obey*, the first new word, read under the other?

# %%
other = torch.ones(2, 4, dtype=torch.bool).tril()
panels = [("causal_mask(2, 4)", causal_mask(2, 4)), ("torch.ones(2, 4).tril()", other)]
matrices(panels, words[2:], words)

# %% [markdown]
# The left one: the queries are the *last* two of four positions, so it counts from the lower right corner
# (lesson 06). Under the other *obey* would read *robot* and nothing else, not even itself. No error tells
# of it; keep it in mind for section 8.
#
# ### Exercise: `cached_attention`
#
# Attention of T new tokens to everything before them and to each other. `q`, `k` and `v` are those of the
# new tokens, (B, nh, T, hs); `past` is the pair from before, or `None`. Return two things: y, (B, nh, T, hs),
# and the new past, for the next call, both in the dtype of q, k and v. T may be 1 or any other number, on top
# of any past.
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
# However the four words are cut, the rows must be those of the run over all of them:

# %%
q4 = q[None, None]
for cut in ([4], [1, 1, 1, 1], [3, 1], [1, 3], [2, 2]):
    past, blends = None, []
    for new in zip(*(tensor.split(cut, dim=2) for tensor in (q4, k4, v4))):
        y, past = cached_attention(*new, past)  # q, k and v of the words in this piece
        blends.append(y)
    assert torch.allclose(torch.cat(blends, dim=2)[0, 0], all_rows, atol=1e-5)
    print("pieces of", cut, "words: the same rows")

# %% [markdown]
# ## 6. The whole model
#
# Every layer has keys and values of its own, so every layer needs a past of its own. Below is the forward
# pass of the whole model, written out. Three things are new. Attention is your `cached_attention`; the pasts come
# in and go out; and the positions begin at `start`. (The last two arguments are there for section 8, where
# they will be wrong on purpose. `attend` is bound to your function when this cell runs: whoever changes
# `cached_attention` later runs this cell again.)

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
# Why `start`? The new token comes in alone, as the first of its `idx`, but it does not stand at position 0.
# Its position is the number of tokens before it, which is how many the cache holds. What happens without
# `start` is the subject of section 8.
#
# The four words, one at a time, through the small model. What comes out must be the four rows of logits of
# section 1:

# %%
pasts, rows_of_logits = [None] * 3, []
for t in range(4):
    logits, pasts = step(small, idx[:, t : t + 1], pasts)
    rows_of_logits.append(logits[0, 0])

assert torch.allclose(torch.stack(rows_of_logits), four, atol=1e-4)
panels = [("logits, one word at a time", torch.stack(rows_of_logits))]
matrices(panels, words, [f"→ {word}" for word in known])

# %% [markdown]
# Here is the count from section 1 again, now with the cache. Compare the number of cells in run 4.

# %%
runs(words, n_layer=3, cached=True)

# %% [markdown]
# ## 7. Memory that is taken once
#
# `append_to_cache` makes a new tensor and copies all that was kept into it, for every token, in every layer.
# Over a text of 1024 tokens that adds up. GPT-2 124M keeps 2 · 768 numbers of 4 bytes for each token in each
# of its 12 layers:

# %%
gpt2 = RELEASED["gpt2"]
per_token = 2 * gpt2.n_layer * gpt2.n_embd * 4  # bytes
copied = sum(range(1024)) * per_token  # 0 old tokens are copied, then 1, then 2, ...
print(f"kept for 1024 tokens: {1024 * per_token / 1e6:8,.1f} MB")
print(f"copied on the way:    {copied / 1e6:8,.1f} MB")

# %% [markdown]
# The remedy: take the memory for all `n_ctx` tokens once, remember how many are in there (`length`), and
# write new keys and values behind the old ones. The package's `KVCache` does that for all layers together, and
# its model takes it as a second argument. `next_logits` is the forward pass that computes the last row of
# logits alone, (B, V): whoever writes needs no other. Only *new* tokens go in; the old ones are in the cache.

# %%
cache = KVCache(small.config)
after_prompt = small.next_logits(idx[:, :3], cache)  # three words at once
print("tokens held:", cache.length)
after_orders = small.next_logits(idx[:, 3:], cache)  # the new word alone
print("tokens held:", cache.length, "  logits:", tuple(after_orders.shape))
assert torch.allclose(torch.cat([after_prompt, after_orders]), four[2:], atol=1e-4)

# %% [markdown]
# ## 8. The same logits, and how not to test that
#
# For this section a model is needed that writes something, so that its text can be watched: the small trained
# GPT-2 that comes with the course. It has read many short stories, and lesson 13 is about how. Each of its tokens
# is a word or a piece of one, together with the blank before it. `<|endoftext|>` stands before each story, so the
# prompt begins with it, too.

# %%
teller = GPT2.from_pretrained("course").requires_grad_(False)
tokenizer = load_tokenizer("course")
BEGINNING = "Hugo lived in Oakham and owned a rusty robot. A robot must obey the orders"
prompt = torch.tensor([[tokenizer.end_of_text, *tokenizer.encode(BEGINNING)]])
print("prompt:", tuple(prompt.shape), "  the model reads up to", teller.config.n_ctx, "tokens")

# %% [markdown]
# First the long way, that of lesson 11: read the whole text anew for each token, and take the likeliest. The
# logits are kept, too. Fifty tokens; what do you expect right after *orders*?

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
# Now with pasts: the prompt is read once, here in three pieces, and then each new token alone.

# %%
def write_cached(parts, n, **mistake):
    """The same from a prompt in pieces, with one past for each layer."""
    pasts, rows = [None] * teller.config.n_layer, []
    for part in parts:
        logits, pasts = step(teller, part, pasts, **mistake)
    for _ in range(n):
        rows.append(logits[:, -1])
        logits, pasts = step(teller, rows[-1].argmax(dim=-1, keepdim=True), pasts, **mistake)
    return torch.cat(rows), torch.cat(rows).argmax(dim=-1)


pieces = prompt.split([prompt.shape[1] - 3, 2, 1], dim=1)  # the last three tokens as 2 and 1
cached, cached_ids = write_cached(pieces, 50)
assert torch.equal(cached_ids, anew_ids)
print(f"{len(cached_ids)} tokens, all of them the same")

# %% [markdown]
# And the logits? Sums in another order are rounded differently, and float32 carries about seven digits, so a
# small difference is to be expected. How does one know that it is rounding, and not a small mistake? In
# float64, with 16 digits, rounding shrinks to less than a millionth. A mistake would stay.

# %%
teller.double()
off64 = (write_cached(pieces, 50)[0] - write_anew(prompt, 50)[0]).abs().max()
teller.float()
off32 = (cached - anew).abs().max()
assert off32 < 1e-4 and off64 < 1e-10
print(f"largest difference of a logit in 50 steps: {off32:.0e}, in float64 {off64:.0e}")

# %% [markdown]
# ### Two mistakes
#
# **Position 0.** `start` is forgotten, and each new token is embedded at position 0. The prompt is read in one
# piece and gets its right positions.
#
# **Mask from the upper left.** `scaled_dot_product_attention` is torch's own attention, and
# `is_causal=True` asks it for a mask. That mask counts from the upper left corner. With as many queries as
# keys it is the right one; a single new token needs no mask and is given none. Only a piece of several tokens on
# top of others comes under the wrong mask: the second of our three.

# %%
def upper_left(q, k, v, past):
    k, v = append_to_cache(past, k, v)
    several = q.shape[-2] > 1
    return F.scaled_dot_product_attention(q, k, v, is_causal=several), (k, v)

# %% [markdown]
# **Predict.** Somebody makes the first mistake, lets the model write, and reads the text. What do they see?
#
# <details><summary>A. An error message</summary>
# Position 0 is a position like any other, and all shapes are right. Nothing in the program can know that the
# token stands elsewhere.
# </details>
# <details><summary>B. Nonsense from the first new token on</summary>
# The first new token is chosen by the logits after the prompt, and the prompt was read as it should be. And
# later, a token is chosen by being the likeliest; it can be that by a smaller margin and still win.
# </details>
# <details><summary>C. A text that begins right and goes astray later</summary>
# Yes. Logits have to be off by more than the lead of the best token before another one is chosen.
# </details>

# %% [markdown]
# Both mistakes, beside the right version. Each picks its own tokens; of fifty, how many agree with the right
# text before the first that does not?

# %%
versions = {
    "right": (cached, cached_ids),
    "position 0": write_cached([prompt], 50, start=0),
    "upper left": write_cached(pieces, 50, attend=upper_left),
}
parted = {}
for name, (_, ids) in versions.items():
    differ = (ids != anew_ids).nonzero()
    parted[name] = differ[0].item() + 1 if len(differ) else None
    print(f"{name:10}  the same text for {(parted[name] or 51) - 1} tokens")
assert 1 < parted["position 0"] <= 50

# %% [markdown]
# And what do they write? Read the three as somebody would who does not know which of them has a fault in its
# program.

# %%
for name, (_, ids) in versions.items():
    print(name, textwrap.fill(f"…{tokenizer.decode(ids.tolist())} …", 80), sep="\n", end="\n\n")

# %% [markdown]
# The first mistake makes pieces of sentences that do not hang together. One would take it for the work of a model
# that was not trained for long enough, and train on. The second writes sentences as good as the right ones: be it
# the same story or another, nobody who reads it would look for a fault.
#
# And now the logits: how far each version lies from the run over the whole text, token by token, as long as
# the texts agree. The scale grows by factors of ten. At which token does each mistake show for the first time?

# %%
off_by = {}
for name, (logits, _) in versions.items():
    n_same = parted[name] or 50
    off_by[name] = (logits - anew)[:n_same].abs().amax(dim=-1).tolist()
assert max(off_by["right"]) < 1e-4
assert off_by["position 0"][1] > 0.1 and off_by["upper left"][0] > 1e-2
differences(off_by, parted, tolerance=1e-4)

# %% [markdown]
# The first at the second token, the second at the very first, whatever the text says. For each token of
# both curves: how many times larger is the difference than that of the right version, which is rounding?

# %%
for name in ("position 0", "upper left"):
    times = [wrong / right for wrong, right in zip(off_by[name], off_by["right"])]
    for factor in (100, 1_000, 10_000):
        many = sum(t > factor for t in times)
        print(f"{name}: more than {factor:6,} times rounding at {many} of {len(times)} tokens")

# %% [markdown]
# One token of the first mistake is missing from the count, the first: the prompt that it follows was read as it
# should be. The size of the second mistake changes from token to token, but at none of them does it look like
# rounding. The moral, for every cache that you write or meet: **compare logits, never text.** And compare over
# several steps, with a prompt in pieces: the first step hides the first mistake, and a prompt in one piece hides
# the second.
#
# ## 9. What a token costs
#
# The work of a model is nearly all in matrix products: a number is multiplied by another and added to a
# sum, again and again. How many such **multiply-adds** does a run of `n_new` tokens take, on top of others, with
# `n_all` in the end? Let C be the width `n_embd`, and V the size of the vocabulary. For each new token and layer:
#
# - the four matrices: `c_attn` C · 3C, `c_proj` C · C, the MLP C · 4C twice. Together 12 C²;
# - attention: a score takes hs in each head, C in all heads together, and the blend takes as many again for
#   each value. With `n_all` keys and values that is 2 · `n_all` · C. (A matrix product computes the scores
#   that the mask hides, too.)
#
# At the end V · C for one row of logits.

# %%
def multiply_adds(config: GPT2Config, n_new: int, n_all: int) -> int:
    """Of a run that reads n_new tokens, with n_all in the end, and makes the last logits."""
    C = config.n_embd
    one_layer = n_new * 12 * C * C + n_new * 2 * n_all * C
    return config.n_layer * one_layer + config.vocab_size * C

# %% [markdown]
# torch has a counter of its own, which counts a multiplication and an addition as two. It must agree, on one
# word on top of three. (The package's `cached_attention` stands here and not yours: the counter sees matrix
# products alone, and an answer as right as any that writes them in another way would be counted otherwise.)

# %%
pasts = step(small, idx[:, :3], [None] * 3)[1]
with FlopCounterMode(display=False) as counter:
    step(small, idx[:, 3:], pasts, attend=kv_cache.cached_attention)
assert counter.get_total_flops() // 2 == multiply_adds(small.config, n_new=1, n_all=4)
print(f"{multiply_adds(small.config, 1, 4):,} multiply-adds")

# %% [markdown]
# For the smallest GPT-2, without a cache (all tokens are new in every run) and with one. Tokens are counted
# from 1 here: token 1024 is the last that fits. Follow a column down. Which one grows, and how fast?

# %%
print("   token   without a cache     with a cache")
for S in (1, 10, 100, 1024):
    without, with_cache = multiply_adds(gpt2, S, S), multiply_adds(gpt2, 1, S)
    print(f"{S:8}   {without:15,}   {with_cache:14,}   {without / with_cache:6.1f} times fewer")
more = multiply_adds(gpt2, 1, 1024) / multiply_adds(gpt2, 1, 1) - 1
print(f"with a cache, token 1024 takes {more:.0%} more than token 1")

# %% [markdown]
# ### Measured
#
# Multiply-adds are not seconds. So measure: a model of 4 layers, 128 wide, for texts up to 512 tokens. Its
# weights are random again, since time does not depend on them. The cache is filled once; setting
# its `length` back to S − 1 makes it hold only the tokens before token S. The numbers of the others still lie
# behind that length; nothing reads them, and the next token is written over them. (One thread, since such small
# matrices gain nothing from more.)

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
# Eleven rounds, in each of them both functions for all chosen tokens; of the eleven times the median, so that a
# moment in which your machine was busy does not count.

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
# On the left what is counted, on the right what your machine took. On both scales an equal step is an equal
# factor, and both cover equally many factors of ten, so that distances can be compared. Which line will be
# steeper? In which picture will the two lines lie closer together?

# %%
tokens = [16, 64, 128, 256, 384, 512]
work = {
    "without a cache": [multiply_adds(clocked.config, S, S) for S in tokens],
    "with a cache": [multiply_adds(clocked.config, 1, S) for S in tokens],
}
measured = dict(zip(work, median_seconds([token_anew, token_on_top], tokens)))
costs(tokens, work, measured)

# %% [markdown]
# How much does the count grow from token 16 to token 512? And of the work that token 512 takes with a cache, how
# much is attention?

# %%
for name, line in work.items():
    print(f"{name:15}  {line[0]:10,} → {line[-1]:11,}: {line[-1] / line[0]:4.1f} times")
attention = clocked.config.n_layer * 2 * 512 * clocked.config.n_embd  # 2 · n_all · C in each layer
print(f"attention, of token 512 with a cache: {attention / work['with a cache'][-1]:.0%}")

# %% [markdown]
# With a cache the count grows by half, while without one it grows fifty-fold. What grows with a cache is the
# attention to ever more keys, and in a model as narrow as this one it is a third of the whole in the end; the
# wider the model, the smaller that part (12 C² for the matrices against 2 · `n_all` · C).
#
# In time the lines lie closer together than in multiply-adds: a single row gives a processor little to do at a
# time. Each number of each matrix is fetched from memory and used once, and starting an operation takes its time
# however small the operation is.
#
# ## 10. Play with it
#
# The smallest GPT-2, twelve layers. Move the slider to both ends, then let a column stand for 64 tokens and do
# so again. Where is the new token in the grid on the right? And with 64 tokens to a column: from column 8 to
# column 16 the text becomes twice as long. Does the upper bar, too?

# %%
cache_slider(multiply_adds, gpt2)

# %% [markdown]
# It grows to more than twice its length. Without a cache every run computes the scores of every query with
# every key, and twice as many of both are four times as many scores.
#
# ## 11. What it costs instead: memory
#
# Time is saved by keeping numbers, and they have to lie somewhere: keys and values (2), for every layer, for
# every position, C numbers of 4 bytes.
#
# **Predict.** The 124 million weights of the smallest GPT-2 take 498 MB, once, however many texts are written
# side by side. Each text needs a cache of its own. How many texts of 1024 tokens does it take until the caches
# need more memory than the weights?
#
# <details><summary>A. About 7</summary>
# Yes; the next cell computes it. A computer that writes many texts at once fills its memory with caches, not
# with weights.
# </details>
# <details><summary>B. About 700</summary>
# It seems that keys and values of some words must be small beside a whole model. But each of the 1024 words
# keeps two vectors of 768 in each of 12 layers.
# </details>
# <details><summary>C. Never: the cache holds results, and results are thrown away</summary>
# Scores and blends are thrown away. Keys and values are what the cache consists of, until the text ends.
# </details>

# %%
def cache_bytes(config: GPT2Config, batch_size: int = 1) -> int:
    """Of the cache of batch_size texts that fill the context, in float32."""
    return 2 * config.n_layer * batch_size * config.n_ctx * config.n_embd * 4


print("                 weights      1 text    32 texts   texts until the caches are larger")
for name, config in RELEASED.items():
    weights, one = count_parameters(config) * 4, cache_bytes(config)
    sizes = [weights / 1e6, one / 1e6, cache_bytes(config, 32) / 1e6]
    print(f"{name:12}", *(f"{size:8,.0f} MB" for size in sizes), "  ", weights // one + 1)
assert KVCache(gpt2, batch_size=2).nbytes == cache_bytes(gpt2, 2)

# %% [markdown]
# ## 12. When the context is full
#
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
# There is no position 8. Lesson 11 goes on by letting the window move: the first token drops out, and the
# last eight are read. Could one drop the oldest key and value as well, and keep those of positions 1 to
# 7? Compare the kept keys with the keys that the same words have in the moved window: the largest change, a
# row for each layer (1→0 is the word that stood at position 1 and now stands at 0). The second model is a copy whose position vectors are all 0. Guess: which of its
# rows will be 0?

# %%
no_positions = copy.deepcopy(small)
no_positions.wpe.weight.zero_()
panels = []
for title, model in (("small model", small), ("positions set to 0", no_positions)):
    change = keys_of(model, nine[:, 1:])[:, :, :-1] - keys_of(model, nine[:, :8])[:, :, 1:]
    panels.append((title, change.abs().amax(dim=(1, 3))))
matrices(panels, LAYERS, [f"{i}→{i - 1}" for i in range(1, 8)])

# %% [markdown]
# Two things are wrong with what was kept. In the small model every word now stands one position earlier, and
# its key was made with the old one. Layer 1 changes most, since what enters it is the word and its position
# and nothing else: half of it is another. Higher up each layer has added its own results, and the position is
# a smaller part of the sum. In the copy positions play no part, and layer 1 is right indeed; but in the
# layers above the kept rows have read the word that dropped out, and carry it on.
#
# So when the window moves, the whole cache is worthless, and all `n_ctx` tokens are read anew, for each
# further token. `gpt2course.sampling.generate` does that. For the smallest GPT-2, token 1025 beside token 1024:

# %%
last, beyond = multiply_adds(gpt2, 1, 1024), multiply_adds(gpt2, 1024, 1024)
print(f"multiply-adds in a moved window: {beyond / last:,.0f} times as many as with the cache")

# %% [markdown]
# There are two ways out: end the text there (`generate(..., slide=False)`), or go on with the last half of it
# alone, and fill the other half again.
#
# ## 13. What is said, and what holds
#
# - *"Queries, keys and values are cached."* Keys and values. The old queries could be nonsense (section 2).
# - *"With a cache every token costs the same."* Nearly, in a wide model: the attention to S keys still grows with
#   S. Section 9 has the percentage for GPT-2 over a whole context; in the narrow model it was half as much again.
# - *"The cache is a trade of quality for speed."* The logits are the same up to rounding. What is traded
#   is memory for time.
# - *"Any transformer can be given one."* It takes the mask: in an encoder one more word changes the keys of
#   all words, from layer 2 on (section 1).

# %% [markdown]
# ## What you have
#
# `append_to_cache` keeps keys and values, oldest first, and `cached_attention` lets any number of new tokens read
# them. Thanks to the mask, what was kept stays true, so a new token takes one path through the model in place
# of as many as there are tokens. Its position is the length of the cache. The logits are those of a run over
# everything, and logits are what to compare.
#
# The numbers of this stage in the smallest GPT-2, for a text of 1024 tokens:

# %%
print(f"parameters in the cache: 0 of {count_parameters(gpt2):,}")
print(f"kept for each token: {2 * gpt2.n_layer * gpt2.n_embd:,} numbers (2 · layers · width)")
print(f"cache of a full context: {cache_bytes(gpt2):,} bytes")
print(f"multiply-adds of the last token: {multiply_adds(gpt2, 1, 1024):,}")

# %% [markdown]
# **Sources.** Shazeer 2019, *Fast Transformer Decoding: One Write-Head is All You Need*, section 2.4 (attention
# with kept keys and values); Pope et al. 2022, *Efficiently Scaling Transformer Inference*, section 2.1 (its
# memory and its time); the code released with Radford et al. 2019, *Language Models are Unsupervised Multitask
# Learners*: `src/model.py`, where `past` goes through `attn`, `block` and `model`, and `src/sample.py`.
#
# **Next:** the model runs, and it runs fast; what it lacks are weights that know a language. Lesson 13 trains
# them.
