# %% [markdown]
# # 20 · Longer memory
#
# The first page of a story says where the key is, and the last page asks. In full attention every token reads every
# earlier one, so a text of twice the length costs four times as much. **How can a model read far back for less, and
# what does each way of doing so forget?**
#
# - **In:** queries, keys and values of a long text, (B, nh, T, hs) each.
# - **Out:** a blend for every query, (B, nh, T, hs), from far fewer than T · T scores.
# - **Time:** about 85 minutes for the core, 110 with the deeper sections.
# - **Exercises:** `local_attention` ●●○○○, `compress_memory` ●●●○○, `compressed_mask` ●●●○○ and
#   `compressed_attention` ●●●●○.
#
# Keep at hand: the [cheat sheet](../docs/cheat_sheet.md), the [glossary](../docs/glossary.md), the
# [notation](../docs/notation.md), and [what well-known explanations get wrong](../docs/common_errors.md).

# %% [markdown]
# First the tools. The line below the cell says which parts are yours.

# %%
import math
import random
import statistics
import textwrap
import time
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from gpt2course import attention, check, kept_names, memory, my_progress
from gpt2course.config import GPT2Config
from gpt2course.corpus.far_facts import QUESTIONS, WORDS, batch_of, far_facts, right_by_distance
from gpt2course.lessons.longer_memory import (
    costs, field_to_play, four_masks, matrices, reach, shares, tower,
)
from gpt2course.memory import PatternedSelfAttention, n_scores, reachable, read_mask
from gpt2course.mine import (
    GPT2, attention_scores, attention_weights, blend_values, cached_attention, causal_mask,
    masked_attention,
)

# %% [markdown]
# No part is lit. One thing changes inside the block: which keys a query may read.

# %%
tower("20_longer_memory", kept_names())

# %% [markdown]
# ## 1. A fact from far back
#
# A program writes our stories. Each begins with four facts. Then come sentences that say nothing of them, and questions
# such as *key?* break in anywhere. No answer follows in the text: a question is a place where the reader has to know. What
# is the answer to the first question?

# %%
story = far_facts(300, random.Random(20))
print(textwrap.fill(" ".join(story.words[:90]) + " …", 92))

# %% [markdown]
# Five questions, and how many words back the fact was told:

# %%
asked = [t for t, word in enumerate(story.words) if word in QUESTIONS]
for t in [asked[0], *asked[9::18]]:
    question = story.words[t]
    back = t - story.facts[question]
    print(f"word {t:3}: {question:6} {story.answer(question):8} told {back:3} words before")

# %% [markdown]
# All questions are alike, near or far. So the share of right answers over the distance shows how far a model reads.
#
# ## 2. What full attention costs
#
# **Predict.** GPT-2 reads 1,024 tokens, and computes a score for each query with each key. A model is to read
# 4,096 tokens. How many times as many scores are there?
#
# <details><summary>A. 4 times</summary>
# Four times as many queries, yes. But each of them also meets four times as many keys.
# </details>
# <details><summary>B. 8 times: half of the square is masked</summary>
# Half of it is masked for both lengths, so the ratio stays. (A matrix product computes the masked half, too.)
# </details>
# <details><summary>C. 16 times</summary>
# Yes: T · T. Below is what that means in memory.
# </details>
#
# The last column is the memory for the weights of all 144 heads of the smallest GPT-2, which training by the formula
# keeps.

# %%
for T in (1024, 4096, 16384):
    gigabytes = 12 * 12 * T * T * 4 / 1e9
    print(f"{T:6,} tokens: {T * T:11,} scores a head, {gigabytes:7.1f} GB")
assert (4096 / 1024) ** 2 == 16

# %% [markdown]
# ## 3. Local attention
#
# The cheapest remedy: cut the text into **blocks**, and let each token read only its own. Here are four tokens in blocks of
# two. Which keys take part in the row of *orders*?

# %%
words = ["robot", "must", "obey", "orders"]
q = torch.tensor([[1.0, 0.5], [1.0, 1.0], [0.0, 2.0], [2.0, 1.0]])[None, None]  # (1, 1, 4, 2)
k = torch.tensor([[1.0, 0.0], [0.5, 1.0], [1.5, 0.5], [0.0, 1.5]])[None, None]
v = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, -1.0]])[None, None]

scores = [(q[0, 0, 3] @ key).item() / math.sqrt(2) for key in k[0, 0, 2:]]  # obey, orders
powers = [math.exp(score) for score in scores]
orders = (powers[0] * v[0, 0, 2] + powers[1] * v[0, 0, 3]) / sum(powers)
print("weights of obey and orders:", [round(power / sum(powers), 2) for power in powers])
print("orders:", [round(number, 2) for number in orders.tolist()])

# %% [markdown]
# Now a loop: attention with the causal mask, once for each block. What will the row of *obey* be, the first of its block?

# %%
blends = []
for start in range(0, 4, 2):
    piece = slice(start, start + 2)
    blends.append(masked_attention(q[:, :, piece], k[:, :, piece], v[:, :, piece]))
by_loop = torch.cat(blends, dim=2)
assert torch.allclose(by_loop[0, 0, 3], orders, atol=1e-5)
matrices([("values", v[0, 0]), ("local attention, blocks of 2", by_loop[0, 0])], words)

# %% [markdown]
# *obey* gets its own value.
#
# ## Exercise: `local_attention` ●●○○○ · 10 minutes
#
# Causal attention inside blocks of `block` tokens, (B, nh, T, hs) to (B, nh, T, hs). T is a multiple of `block`.
#
# The trap: which axis has to be cut, and into what?
#
# <details><summary>Hint 1</summary>
# With an axis more, (B, nh, T / block, block, hs), every block is a small text of its own.
# </details>
# <details><summary>Hint 2</summary>
# <code>x.unflatten(2, (T // block, block))</code> cuts axis 2. <code>masked_attention</code> takes any number of leading
# axes.
# </details>
# <details><summary>Hint 3</summary>
# Cut q, k and v, attend, and join axes 2 and 3 again: <code>.flatten(2, 3)</code>.
# </details>

# %%
def local_attention(
    q: Float[Tensor, "B nh T hs"],
    k: Float[Tensor, "B nh T hs"],
    v: Float[Tensor, "B nh T hs"],
    block: int,
) -> Float[Tensor, "B nh T hs"]:
    """Causal attention within the query's own block."""
    ### BEGIN SOLUTION
    T = q.shape[-2]
    q, k, v = (x.unflatten(2, (T // block, block)) for x in (q, k, v))  # T in two axes
    return masked_attention(q, k, v).flatten(2, 3)  # (B, nh, T, hs)
    ### END SOLUTION

# %%
local_attention = check(local_attention)

# %% [markdown]
# **Predict.** In [lesson 09](09_block.ipynb) a second layer read what the first had gathered. With two layers of local
# attention and blocks of two, what can *orders* know of?
#
# <details><summary>A. obey and orders</summary>
# Yes. The second layer reads <i>obey</i>, and <i>obey</i> has read nothing outside the block either.
# </details>
# <details><summary>B. must, too</summary>
# If the block moved along with the query (a <i>sliding window</i>), a second layer would reach further. Fixed blocks
# are walls.
# </details>
# <details><summary>C. all four</summary>
# No layer carries anything from one block into the next, so a hundred layers would not.
# </details>
#
# `read_mask` says what one layer reads, and `reachable` follows a query down through the layers.

# %%
layers = [read_mask("local", T=4, size=2)] * 2  # two layers
for name, known in zip(("query", "layer 1 reads", "layer 0 reads"), reachable(layers, query=3)):
    print(f"{name:14}", [word for word, yes in zip(words, known) if yes])

# %% [markdown]
# T · block scores are cheap, and everything before the block is lost.
#
# ## 4. Three keys become one
#
# **Memory-compressed attention** (Liu et al., 2018) keeps the whole past, but shorter. Every r neighbouring keys are
# combined into one, and so are the values; the paper takes r = 3. Queries stay as they are.
#
# The combination is learned. Each of the r places in a group has its own matrix, and the results are added up. This is a
# **convolution** that combines r keys (its *width*) and then moves on by r (its *stride*). By hand for *robot must*, with
# r = 2:

# %%
torch.manual_seed(3)
weight = torch.randn(2, 2, 2)  # (out, in, place in the group)
bias = torch.randn(2)
robot, must = k[0, 0, 0], k[0, 0, 1]
first = weight[:, :, 0] @ robot + weight[:, :, 1] @ must + bias
print("robot must as one key:", [round(number, 2) for number in first.tolist()])

# %% [markdown]
# The loop over groups:

# %%
groups = []
for start in range(0, 4, 2):
    places = [weight[:, :, i] @ k[0, 0, start + i] for i in range(2)]
    groups.append(sum(places) + bias)
small = torch.stack(groups)
assert torch.allclose(small[0], first, atol=1e-6)
matrices([("four keys", k[0, 0], words), ("compressed", small, ["robot must", "obey orders"])])

# %% [markdown]
# ## Exercise: `compress_memory` ●●●○○ · 12 minutes
#
# The same for all sequences and heads at once: x (B, nh, S, hs) becomes (B, nh, S / r, hs). `weight` is
# (hs, hs, r) in torch's order, (out, in, place), so r is its last size. S is a multiple of r. All heads share
# one weight and one bias.
#
# The trap: (out, in, place) and (place, in) run through their numbers in different orders.
#
# <details><summary>Hint 1</summary>
# Cut the positions into (S / r, r), as you cut blocks: a group is (r, hs).
# </details>
# <details><summary>Hint 2</summary>
# What is to be summed? Over the places of the group, and over the numbers of a key.
# <code>torch.einsum("bhsri,oir->bhso", …)</code> says exactly that.
# </details>
# <details><summary>Hint 3</summary>
# Without einsum: <code>x[:, :, i::r] @ weight[:, :, i].T</code> is what place i contributes. Sum over i, add the bias once.
# </details>

# %%
def compress_memory(
    x: Float[Tensor, "B nh S hs"], weight: Float[Tensor, "hs hs r"], bias: Float[Tensor, "hs"]
) -> Float[Tensor, "B nh S/r hs"]:
    """One vector for each group of r neighbours: a convolution of width and stride r."""
    ### BEGIN SOLUTION
    S, r = x.shape[-2], weight.shape[-1]
    groups = x.unflatten(2, (S // r, r))  # (B, nh, S/r, r, hs)
    return torch.einsum("bhsri,oir->bhso", groups, weight) + bias
    ### END SOLUTION

# %%
compress_memory = check(compress_memory)

# %% [markdown]
# torch has this operation, `F.conv1d`, with the positions last: (N, hs, S). Does it agree?

# %%
by_torch = F.conv1d(k[0].transpose(1, 2), weight, bias, stride=2).transpose(1, 2)
ours = compress_memory(k, weight, bias)[0]
assert torch.allclose(ours, by_torch, atol=1e-5), f"yours {ours}, torch's {by_torch}"
assert torch.allclose(ours[0], small, atol=1e-5)
print("by hand, yours and torch's agree")

# %% [markdown]
# ## 5. When may a query read a group?
#
# A query in the middle of a group must not read the group's key: that holds keys of its future. It may read a group once
# the **last** key of the group is at or before it.
#
# ## Exercise: `compressed_mask` ●●●○○ · 10 minutes
#
# Return booleans (n_query, n_key / r), True where all r keys of the group lie at or before the query. As in `causal_mask`,
# the queries are the last `n_query` of `n_key` positions, and n_key is a multiple of r.
#
# The trap: the group in which a query stands. With r = 3, may position 5 read the keys 3 to 5? May position 4?
#
# <details><summary>Hint 1</summary>
# Group g ends at position (g + 1) · r - 1. Query i is at position n_key - n_query + i.
# </details>
# <details><summary>Hint 2</summary>
# Two <code>torch.arange</code>, one as a column and one as a row, compared with <code>&lt;=</code>.
# </details>
# <details><summary>Hint 3</summary>
# Or take <code>causal_mask(n_query, n_key)</code> and keep the columns of each group's last key, with a slice.
# </details>

# %%
def compressed_mask(n_query: int, n_key: int, r: int) -> Bool[Tensor, "n_query n_key/r"]:
    """True where all r keys of the group are at or before the query."""
    ### BEGIN SOLUTION
    return causal_mask(n_query, n_key)[:, r - 1 :: r]  # the column of each group's last key
    ### END SOLUTION

# %%
compressed_mask = check(compressed_mask)

# %% [markdown]
# What will the softmax make of the first row?

# %%
may_read = compressed_mask(4, 4, 2)
scores = attention_scores(q, ours[None]).masked_fill(~may_read, -math.inf)
weights = attention_weights(scores)[0, 0]
matrices([("may read", may_read), ("softmax", weights)], words, ["robot must", "obey orders"])

# %% [markdown]
# *robot* finds no complete group. The softmax of nothing but -inf is `nan`, and one `nan` spoils every weight of the model
# in the next step of training.
#
# The remedy is an **empty slot**: one more key and value in front, all zeros, which every query may read. Its
# score is 0, and its value adds nothing. By hand for *must*:

# %%
score = (q[0, 0, 1] @ ours[0, 0]).item() / math.sqrt(2)
share = math.exp(score) / (math.exp(0) + math.exp(score))  # beside the empty slot's score of 0
print(f"must: score {score:.2f}, weight {share:.2f}; {1 - share:.2f} goes to the empty slot")

# %% [markdown]
# *robot* puts all of its weight on the slot and gets zeros. And any query for which no group matters can rest there.
#
# ## Exercise: `compressed_attention` ●●●●○ · 15 minutes
#
# Put it together. `q` is (B, nh, T, hs). `k` and `v` are compressed already, (B, nh, S, hs), each row made of r positions,
# so there are r · S positions, and the queries are the last T of them. Return (B, nh, T, hs).
#
# The trap: which number of keys does the mask want, S or r · S?
#
# <details><summary>Hint 1</summary>
# Four steps: the slot in front of k and v; the mask with a column for the slot; scores, masked; weights and blend.
# <code>torch.zeros_like(k[:, :, :1])</code> is a slot of the right shape and dtype. <code>torch.cat</code> along
# <code>dim=2</code> puts it in front.
# </details>
# <details><summary>Hint 2</summary>
# A column of True, (T, 1), in front of <code>compressed_mask(T, r * S, r)</code>, joined along <code>dim=1</code>.
# </details>
# <details><summary>Hint 3</summary>
# The rest is lesson 06: <code>attention_scores</code>, <code>masked_fill</code> where the mask is False,
# <code>attention_weights</code>, <code>blend_values</code>.
# </details>

# %%
def compressed_attention(
    q: Float[Tensor, "B nh T hs"],
    k: Float[Tensor, "B nh S hs"],
    v: Float[Tensor, "B nh S hs"],
    r: int,
) -> Float[Tensor, "B nh T hs"]:
    """Attention to S keys, each made of r positions, and to an empty slot in front of them."""
    ### BEGIN SOLUTION
    T, S = q.shape[-2], k.shape[-2]
    slot = torch.zeros_like(k[:, :, :1])
    k = torch.cat((slot, k), dim=2)  # (B, nh, 1 + S, hs)
    v = torch.cat((slot, v), dim=2)
    always = torch.ones(T, 1, dtype=torch.bool)
    may_read = torch.cat((always, compressed_mask(T, r * S, r)), dim=1)
    scores = attention_scores(q, k).masked_fill(~may_read, -math.inf)
    return blend_values(attention_weights(scores), v)  # (B, nh, T, hs)
    ### END SOLUTION

# %%
compressed_attention = check(compressed_attention)

# %% [markdown]
# As a module, with one convolution for the keys and one for the values. Both begin as plain sums of the group. They are
# new: for r = 3 and hs = 64 they add 2 · (3 · 64 · 64 + 64) = 24,704 parameters to a layer; GPT-2's 124 million hold none.

# %%
class CompressedMemory(nn.Module):
    """Attention to compressed keys and values, (B, nh, T, hs) to (B, nh, T, hs)."""

    def __init__(self, head_size: int, r: int):
        super().__init__()
        self.r = r
        add_up = torch.eye(head_size)[..., None].repeat(1, 1, r)  # (hs, hs, r)
        self.k_weight, self.v_weight = nn.Parameter(add_up), nn.Parameter(add_up.clone())
        self.k_bias = nn.Parameter(torch.zeros(head_size))
        self.v_bias = nn.Parameter(torch.zeros(head_size))

    def forward(self, q, k, v):
        k = compress_memory(k, self.k_weight, self.k_bias)  # (B, nh, T/r, hs)
        v = compress_memory(v, self.v_weight, self.v_bias)
        return compressed_attention(q, k, v, self.r)

# %%
y, package = CompressedMemory(2, 2)(q, k, v), memory.CompressedMemory(2, 2)(q, k, v)
assert torch.allclose(y, package, atol=1e-5), f"yours {y}, the package's {package}"
matrices([("compressed attention, r = 2", y[0, 0].detach())], words)

# %% [markdown]
# A compressed layer reads only whole groups. So Liu et al. **alternate** local layers, for what is near, and compressed
# ones, for what is far. That is T-DMCA, the *Transformer decoder with memory-compressed attention*.
#
# ## 6. Segments that keep the one before
#
# **Transformer-XL** (Dai et al., 2019) leaves every key as it is. It reads **segments**, and each also reads the keys and
# values kept from the one before: the cache of [lesson 12](12_kv_cache.ipynb) with a short life.

# %%
past, blends = None, []
for piece in zip(*(x.split(1, dim=2) for x in (q, k, v))):  # segments of one word
    y, _ = cached_attention(*piece, past)
    past = piece[1:]  # keep this segment's keys and values, and drop those before it
    blends.append(y)
by_segments = torch.cat(blends, dim=2)

together = memory.recurrent_attention(q, k, v, segment=1)  # all segments at once
assert torch.allclose(by_segments, together, atol=1e-5)
matrices([("segment by segment", by_segments[0, 0]), ("all at once", together[0, 0])], words)

# %% [markdown]
# **Predict.** Segments of 64 tokens and two layers. How far back can a query know of anything?
#
# <details><summary>A. Its own segment and one before</summary>
# That is one layer. The keys that are kept have been made from vectors that had read the segment before theirs.
# </details>
# <details><summary>B. Its own segment and two before</summary>
# Yes. Each layer adds one segment: reach grows with depth. It is second-hand knowledge, though. Some token in
# between must have read the fact and passed it on.
# </details>
# <details><summary>C. Everything: the cache goes on for ever</summary>
# Only one segment is kept. An unbroken chain leads further back, but a chain of L layers has L links.
# </details>
#
# All four kinds, for twelve positions. A yellow bar is one compressed key. Masked scores count too, and the empty slot's.

# %%
four_masks(size=4)

# %% [markdown]
# ## 7. How far does a query see?
#
# Move the sliders. The top row is the query, the bottom row the tokens. A blue cell is a position about which the query
# (yellow) can know something. Below is what it costs.
#
# 1. *recurrent*: at which number of layers does query 43 see the first token, with size 12?
# 2. *compressed*: move the query. Which positions stay white, although they lie before it?
# 3. *local, compressed, …* with size 8 and two layers costs how much of full attention?
#
# <details><summary>What to see</summary>
# 1. Position 43 is in segment 3, so it takes three layers. With size 8 it is in segment 5, and would take five.<br>
# 2. Those of its own, unfinished group. The query knows itself only through the residual connection.<br>
# 3. About 6 %: the local layer is almost free, and the compressed one costs one eighth.
# </details>

# %%
field_to_play()

# %% [markdown]
# ## 8. Four readers
#
# Four small GPT-2 of two layers learn to answer the questions. They differ in what their attention reads; the third
# alternates, as T-DMCA does.
#
# In half of the stories the facts are told in sentences; in the others as a **telegram**, four words side by side. Every
# second word behind the facts is a question. `batch_of` turns stories into ids and targets. Targets are -100 where
# nothing is asked, as in [lesson 16](16_bert_and_gpt.ipynb).

# %%
BLOCK, STRIDE, LENGTH = 64, 4, 192
dice = random.Random(0)
stories = [far_facts(LENGTH, dice, telegram=i % 2 == 1, ask_every=2) for i in range(1000)]
idx, targets, _ = batch_of(stories)  # (B, T) each; the third holds the distances to the facts
print(f"{len(WORDS)} words; stories {tuple(idx.shape)}, {(targets >= 0).sum():,} questions in them")

# %% [markdown]
# The reader is your GPT-2, with three changes. `PatternedSelfAttention` is `CausalSelfAttention` with another function
# for the attention (`fused_attention` is torch's, and full). The positions stay zero: the task needs none, and a model
# without them can read longer texts than in training. The weights begin larger, so that few steps are enough.

# %%
C, HEADS = 48, 4
LAYERS = {
    "full": lambda: [attention.fused_attention] * 2,
    "local": lambda: [partial(local_attention, block=BLOCK)] * 2,
    "compressed": lambda: [partial(local_attention, block=BLOCK),
                           CompressedMemory(C // HEADS, STRIDE)],
    "recurrent": lambda: [partial(memory.recurrent_attention, segment=BLOCK)] * 2,
}  # fmt: skip

# %%
def reader(kind: str, seed: int) -> nn.Module:
    """A fresh GPT2 without positions, whose layers read as LAYERS says."""
    torch.manual_seed(seed)
    model = GPT2(GPT2Config(n_layer=2, n_head=HEADS, n_embd=C, n_ctx=4096, vocab_size=len(WORDS)))
    for block, attend in zip(model.h, LAYERS[kind]()):
        block.attn = PatternedSelfAttention(C, HEADS, attend)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2:
            nn.init.normal_(parameter, std=0.2 if ".attn." in name else 0.1)
    model.wpe.weight.requires_grad_(False).zero_()
    return model

# %% [markdown]
# **Predict.** The options of a question are four words. What will the local reader get right at a distance of
# 200 words?
#
# <details><summary>A. All: it was trained on such questions</summary>
# It was trained on them, and on nothing that could answer them. A weight cannot learn to read what the mask hides.
# </details>
# <details><summary>B. None</summary>
# It learns which words answer <i>key?</i>, and guesses among them.
# </details>
# <details><summary>C. One in four</summary>
# Yes. That is the baseline that should lose.
# </details>
#
# The training loop of [lesson 13](13_training.ipynb), for three seeds of each kind, half a minute in all. Every second
# step reads only the first block of each story, which every reader can answer; so answering is learned first, and then
# reading far. Compression takes more steps to learn.

# %%
BATCH, LR = 8, 1e-2
STEPS = {"full": 80, "local": 100, "compressed": 160, "recurrent": 90}


def train(kind: str, seed: int) -> nn.Module:
    """A trained reader."""
    model, steps = reader(kind, seed), STEPS[kind]
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=LR)
    for step in tqdm(range(steps), desc=f"{kind}, seed {seed}", leave=False):
        for group in optimizer.param_groups:
            group["lr"] = LR * min(1, (step + 1) / 10) * (1 - step / steps)
        rows = torch.randint(len(idx), (BATCH,), generator=generator)
        width = LENGTH if step % 2 else BLOCK  # words that are read
        logits = model(idx[rows, :width])  # (BATCH, width, words)
        loss = F.cross_entropy(logits.flatten(0, 1), targets[rows, :width].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model

# %%
torch.set_num_threads(1)  # matrices as small as these gain little from more
readers = {kind: [train(kind, seed) for seed in range(3)] for kind in ("full", "local")}

# %%
for kind in ("compressed", "recurrent"):
    readers[kind] = [train(kind, seed) for seed in range(3)]

# %% [markdown]
# Now new stories: short ones for the near distances, and five of 4,096 words, over twenty times as long as any in
# training, for the far ones. `right_by_distance` gives the share of right answers between any two `EDGES`.

# %%
EDGES = [8, 24, 40, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096]
dice = random.Random(1)
short, long = ([far_facts(n, dice) for _ in range(size)] for n, size in ((256, 64), (4096, 5)))
texts = [batch_of(short), *(batch_of([story]) for story in long)]
found = {
    kind: [right_by_distance(model, texts, EDGES) for model in models]
    for kind, models in readers.items()
}

# %% [markdown]
# Lines are means of three seeds, dots the single ones. For each line say where it falls, and why there. Which reader
# has to pass facts on?

# %%
def mean_at(kind: str, i: int) -> float:
    """The share of right answers between EDGES[i] and the next, over all seeds."""
    return statistics.mean(curve[i][1] for curve in found[kind])


assert mean_at("full", -1) > 0.7 and mean_at("compressed", -1) > 0.6
assert mean_at("local", 0) > 0.6 > 0.38 > max(mean_at("local", 4), mean_at("local", -1))
assert mean_at("recurrent", 4) > 0.6 and mean_at("recurrent", -1) < 0.5
reach(found, {BLOCK: "one block", 3 * BLOCK: "three blocks"}, chance=1 / 4)

# %% [markdown]
# The local reader falls to guessing at the end of its block. It falls before 64 words already, since a fact at word 20
# shares its block with the next 43 words only. The recurrent reader passes facts on: it knows them for three segments, in
# the third second-hand and with more mistakes. Full and compressed attention still answer at 4,000 words. Not every seed
# is perfect after half a minute of training.

# %% [markdown]
# ## 9. What each costs
#
# Twice the length: how many times the scores, for each kind?

# %%
LENGTHS = [256, 512, 1024, 2048, 4096]
SIZES = {"full": 1, "local": BLOCK, "compressed": STRIDE, "recurrent": BLOCK}
counted = {kind: [n_scores(kind, T, SIZES[kind]) for T in LENGTHS] for kind in SIZES}
for kind, (*_, half, whole) in counted.items():
    print(f"{kind:10} {whole:11,} scores for 4,096 positions, {whole / half:.1f} times those for 2,048")

# %% [markdown]
# Four times as many in full attention, and in compressed attention too: T · T / r is smaller, and still a square. Local
# attention and segments grow in proportion.

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: memory and time, measured
#
# Do they follow the count? You can skip it.

# %% [markdown]
# The memory that training keeps for the way back (torch's hook on saved tensors tells), and the time, for the package's
# functions:

# %%
ATTEND = {
    "full": attention.masked_attention,
    "local": partial(memory.local_attention, block=BLOCK),
    "compressed": memory.CompressedMemory(16, STRIDE),
    "recurrent": partial(memory.recurrent_attention, segment=BLOCK),
}

# %%
def saved_bytes(kind: str, T: int) -> int:
    """The size of all tensors that autograd keeps for the way back, each counted once."""
    kept = {}

    def note(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        y = ATTEND[kind](*torch.randn(3, 1, 1, T, 16, requires_grad=True))
    return sum(kept.values())

# %% [markdown]
# Of each score, training keeps the weight (4 bytes) and the mask (1 byte). Where scores are few, q, k and v count too.

# %%
saved = {kind: [saved_bytes(kind, T) for T in LENGTHS] for kind in ATTEND}
for kind in ATTEND:
    print(f"{kind:10} {counted[kind][-1]:11,} scores at {LENGTHS[-1]:,} positions, "
          f"{saved[kind][-1] / counted[kind][-1]:4.1f} bytes kept for each")

# %%
@torch.no_grad()
def seconds(kind: str, T: int) -> float:
    """The median of five runs."""
    qkv, times = torch.randn(3, 1, 1, T, 16), []
    for _ in range(5):
        begin = time.perf_counter()
        ATTEND[kind](*qkv)
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


timed = {kind: [seconds(kind, T) * 1e3 for T in LENGTHS] for kind in ATTEND}
megabytes = {kind: [size / 1e6 for size in sizes] for kind, sizes in saved.items()}
millions = {kind: [n / 1e6 for n in numbers] for kind, numbers in counted.items()}
for kind, times in (("full", 4), ("local", 2), ("recurrent", 2)):
    assert counted[kind][-1] / counted[kind][-2] == times, kind
costs(LENGTHS, ("million scores", millions), ("MB kept", megabytes), ("milliseconds", timed))

# %% [markdown]
# Memory follows the count, and the clock does so only for long texts, as in [lesson 12](12_kv_cache.ipynb).
#
# "Attention needs memory for T² weights" is often said, and it depends on how attention is computed.
# **FlashAttention** (Dao et al., 2022) works through the keys in tiles, keeps for each query the largest score and the sum
# so far, and throws the weights away. The way back computes them again. torch's `scaled_dot_product_attention` does
# the same. The time is still T², the memory is not:

# %%
ATTEND["fused"] = attention.fused_attention
for T in LENGTHS[-2:]:
    print(f"{T:,} positions: {saved_bytes('full', T) / 1e6:6.1f} MB kept by the formula, "
          f"{saved_bytes('fused', T) / 1e6:4.1f} MB by torch's function")
assert saved_bytes("fused", 4096) < saved_bytes("full", 4096) / 20

# %% [markdown]
# So today full attention over 4,096 tokens trains on a single graphics card, and what remains is time. In 2018 the
# memory ended first.

# %% [markdown]
# ## 10. What compression loses
#
# Each convolution began as a plain sum. Exchange *robot* and *must*: what changes in the compressed keys?

# %%
add_up = torch.eye(2)[..., None].repeat(1, 1, 2)  # (out, in, place): the sum of two keys
exchanged = k[:, :, [1, 0, 2, 3]]
sums = [compress_memory(x, add_up, torch.zeros(2))[0, 0] for x in (k, exchanged)]
assert torch.equal(*sums), f"{sums[0]} and {sums[1]}"
panels = [("robot must obey orders", sums[0]), ("must robot obey orders", sums[1])]
matrices(panels, ["group 0", "group 1"])

# %% [markdown]
# Nothing: a sum has no order. Training gives each place a matrix of its own, and so some order. But r · hs numbers go in
# and hs come out, so something has to be lost. Which keys are blurred together is learned.

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: how much is lost
#
# How many words can be told apart again, and whether the readers lose facts. You can skip it.

# %% [markdown]
# Give each of 64 words a random vector of 32 numbers, and join r of them. Of these r · 32 numbers keep 32, one along each
# of 32 directions. The *singular value decomposition* of a matrix lists directions by how much of its rows lies along
# them, so the first 32 allow the best rebuilding (least squared error). Rebuild, and look for the nearest word in every
# place. Predict the share of words found for r = 2.

# %%
torch.manual_seed(1)
vectors = torch.randn(64, 32)
again = {}  # stride: the share of words found again
for r in (1, 2, 4, 8):
    said = torch.randint(64, (4000, r))
    joined = vectors[said].flatten(1)  # (4000, r · 32)
    directions = torch.linalg.svd(joined, full_matrices=False).Vh[:32]
    rebuilt = (joined @ directions.T @ directions).view(-1, r, 32)
    again[r] = (torch.cdist(rebuilt, vectors).argmin(dim=-1) == said).float().mean().item()
    print(f"r = {r}: {32 // r:2} numbers for each word, {again[r]:4.0%} of the words found again")
assert again[1] == 1 and again[2] > again[4] > again[8]

# %% [markdown]
# Half the numbers, and no word is lost. Then they blur. Our sentences are kinder: at least three of the four words in a
# group tell nothing. In a telegram four facts share one group.
#
# **Predict.** The full and the compressed reader answer questions from both. Where will the compressed one do worse?
#
# <details><summary>A. In the telegrams: the four facts of a group are blurred</summary>
# They could be. But each fact has four options only, so a group is one of 4 · 4 · 4 · 4 = 256 cases, and there are 4 heads
# of 12 numbers to tell them apart. Above, 64 · 64 pairs of words came back from 32 numbers.
# </details>
# <details><summary>B. In the sentences: a fact is mixed with filler</summary>
# It is, and in another place of its group each time. To learn to ignore the filler, the compressed reader got twice as many
# steps of training as the full one. Once that is learned, it holds.
# </details>
# <details><summary>C. About equally in both</summary>
# Yes, in our runs. Compression can lose a lot, and here it does not lose what the task needs.
# </details>

# %%
results = {}
for kind in ("full", "compressed"):
    for name, telegram in (("sentences", False), ("telegrams", True)):
        tests = [batch_of([far_facts(512, random.Random(seed), telegram) for seed in range(40)])]
        curves = [right_by_distance(model, tests, [BLOCK, 512]) for model in readers[kind]]
        results[f"{kind}, {name}"] = [share for ((_, share),) in curves]

# %%
told_apart = statistics.mean(results["compressed, telegrams"])
assert told_apart > 0.55, f"{told_apart:.0%} is hardly better than guessing"
shares(results, "Four facts in one key are still told apart: there is room enough", 1 / 4)

# %% [markdown]
# r · hs numbers go in and hs come out, so in (r - 1) · hs directions keys may change without a trace, whatever the weights
# are. The singular value decomposition finds them, too. Below, the first two keys are changed a lot, and the convolution
# of section 4 with its random weights does not notice.

# %%
matrix = weight.permute(0, 2, 1).flatten(1)  # (out, place and in) = (2, 4)
unseen = torch.linalg.svd(matrix).Vh[2:]  # what it maps to 0: two directions of four
changed = k.clone()
changed[0, 0, :2] += 3 * unseen[0].view(2, 2)
off = (compress_memory(changed, weight, bias) - compress_memory(k, weight, bias)).abs().max()
print(f"directions lost: {len(unseen)} of {matrix.shape[1]}")
print(f"keys changed by up to {(changed - k).abs().max():.1f}, compressed keys by {off:.0e}")
assert off < 1e-5

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: positions across segments
#
# Why our readers had no positions, and what Transformer-XL does. You can skip it.

# %% [markdown]
# With GPT-2's table each segment would number its tokens 0, 1, 2, … anew. A kept key made at position 5 of the segment
# before would look like one at position 5 of this segment:

# %%
positions = torch.arange(8)
inside = positions % 4  # what a table of one segment would give
print("position:    ", positions.tolist())
print("in its table:", inside.tolist(), " two tokens share each number")
print("distance from the last:", (positions[-1] - positions).tolist(), " all different")

# %% [markdown]
# Numbering on through all segments needs a table as long as the text. So Transformer-XL encodes the **distance** between
# query and key, as you did in [lesson 19](19_music.ipynb). Our task can do without any, since its questions are answered by
# content alone.
#
# One more difference: in Transformer-XL's training no gradient flows into the kept segment, because it was computed in
# an earlier step. Ours reads all segments in one run and lets the gradient through; what it computes is the same.

# %% [markdown]
# ## What you have
#
# Full attention reaches everything for T² scores. Local attention is cheap and blind beyond its block. Compressed attention
# reaches everything at one r-th of the price, and blurs what shares a group. Segments keep every key sharp, and reach one
# segment further with each layer.
#
# The scores of one head in Liu et al.'s five layers (local, compressed, local, compressed, local), with blocks of 256 and
# r = 3, for inputs as long as theirs, 11,000 tokens:

# %%
T = 11 * 1024  # a multiple of the block; a few keys at the end are padding
local, small = n_scores("local", T, 256), n_scores("compressed", T - T % 3, 3)
alternating, full = 3 * local + 2 * small, 5 * n_scores("full", T, 1)
print(f"five full layers:        {full:13,} scores")
print(f"three local, two r = 3:  {alternating:13,} scores, {alternating / full:.0%}")
print(f"three local alone:       {3 * local:13,} scores, {3 * local / full:.1%}")

# %% [markdown]
# ### Questions
#
# <details><summary>1. Blocks of 256 and ten layers of local attention. How far back can the last token of a block know
# of anything? And the first?</summary>
# 255 tokens, and none. Layers do not help: no layer reads across a block's edge.
# </details>
# <details><summary>2. r = 3. Position 7 asks. Which groups may it read, and which of the earlier positions does it miss?</summary>
# Groups 0 (positions 0 to 2) and 1 (3 to 5). Group 2 holds position 8, which is in its future, so it misses position 6 (and reads
# itself through the residual connection).
# </details>
# <details><summary>3. Why does <code>compressed_mask</code> have rows of nothing but False, and why is that no mistake in the
# mask?</summary>
# The first r - 1 positions have no complete group before them. The mask says so truthfully; the empty slot gives them
# something to read.
# </details>
# <details><summary>4. "Compressed attention is linear in the length." Is it?</summary>
# No: T · T / r. It is r times cheaper, at every length. Local and segment-recurrent attention are linear.
# </details>
# <details><summary>5. Segment recurrence, 16 layers, segments of 512: how many tokens back can a query know of
# something? Why is that more than the number of keys that it reads in a layer?</summary>
# Up to 16 segments, 8,192 tokens, beside its own. A layer reads 1,024 keys at most; the rest is second-hand.
# </details>
#
# From earlier lessons:
#
# <details><summary>6. <code>causal_mask(2, 5)</code>: how many entries are True?</summary>
# 4 + 5 = 9: the queries are the last two of five positions (lesson 06).
# </details>
# <details><summary>7. Which of the parts of a block moves information between positions?</summary>
# Attention alone. LayerNorm, the MLP and the residual connection treat each position by itself (lessons 08 and 09).
# </details>

# %% [markdown]
# ### Challenge: a memory that fades
#
# Full detail near, coarse detail far: read your own block word by word, the 256 words before it in groups of 4, and
# everything before those in groups of 16, in *one* layer with one softmax, much as Rae et al. (2019) do. Count its scores, train
# it as a fifth reader, and look at its curve and (as in *Deeper: how much is lost*) its telegrams.
#
# <details><summary>What to expect</summary>
# Its scores grow with T / 16 for each query, so it is still a square, only a flat one. A group must belong to one zone for each
# query: decide by the group's last key. One softmax over all three compares sums of 16 keys with single ones, so without
# learned convolutions the far groups get most of the weight. Telegrams get worse where a group of 16 has to hold them.
# </details>

# %% [markdown]
# **Sources.** Liu et al. 2018, *Generating Wikipedia by Summarizing Long Sequences*, section 4.2.4 (local and
# memory-compressed attention); Dai et al. 2019, *Transformer-XL*, sections 3.2 and 3.3 (positions); Rae et al. 2019,
# *Compressive Transformers*, section 3; Beltagy et al. 2020, *Longformer*, section 3; Brown et al. 2020, *Language Models are
# Few-Shot Learners*, section 2.1 (GPT-3 alternates dense and local layers); Dao et al. 2022, *FlashAttention*, section 3.
#
# **Next:** all parts are there. [Lesson 21](21_your_gpt2.ipynb) puts yours into one file, and checks it layer by layer.
#
# **What you have built so far:**

# %%
my_progress()
