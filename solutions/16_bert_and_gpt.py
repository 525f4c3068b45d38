# %% [markdown]
# # 16 · BERT and GPT
#
# *Lena turned to the ▢ among the cows because it hummed.* In our stories only radios hum, so you know what is missing. GPT-2
# cannot: it reads from left to right, and the clue stands to the right of the gap. **What if every token may read both
# sides? And what does that cost?**
#
# - **In:** texts with holes, ids (B, T), and which of them are padding, (B, T).
# - **Out:** for every place the scores of all tokens that could stand there, (B, T, V).
# - **Time:** about 80 minutes for the core, 110 with the deeper sections and the challenge.
# - **Exercises:** `hide_tokens` ●●●○○, `hidden_token_loss` ●●○○○ and `SelfAttention` ●●●●○.
#
# Keep at hand: the [cheat sheet](../docs/cheat_sheet.md), the [glossary](../docs/glossary.md), the
# [notation](../docs/notation.md), and [what well-known explanations get wrong](../docs/common_errors.md).

# %% [markdown]
# First the tools. The line below the cell says which parts are yours.

# %%
import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from gpt2course import check, my_progress
from gpt2course.config import COURSE, RELEASED, GPT2Config
from gpt2course.corpus import heldout_documents
from gpt2course.corpus.gaps import CHOICES, gap_texts, gaps
from gpt2course.corpus.judge import sentences_of
from gpt2course.corpus.lexicon import THINGS
from gpt2course.kv_cache import KVCache
from gpt2course.lessons.bert_and_gpt import (
    Model, Panel, family, fill_to_play, filled, matrices, padded, trained,
)
from gpt2course.mine import (
    MLP, attention_scores, attention_weights, blend_values, causal_mask, embed, learning_rate,
    merge_heads, output_logits, split_heads,
)
from gpt2course.model import GPT2, count_parameters
from gpt2course.threads import threads_for
from gpt2course.weights import load_tokenizer

# %% [markdown]
# ## 1. A clue on the wrong side
#
# The course model has read stories in which no two things make the same noise. Four kinds of sentence have a word that only
# what *follows* can tell; of each there are a hundred that no model here has read.

# %%
asked = {kind: gaps(kind) for kind in CHOICES}
for kind, found in asked.items():
    gap = found[1]
    print(f"{kind:6} {gap.before} [{gap.word}]{gap.after}")

# %% [markdown]
# What does the course model expect at the first gap, from what stands before it? Predict: is the right word among its five
# most likely?

# %%
gpt = GPT2.from_pretrained("course").eval().requires_grad_(False)
tokenizer = load_tokenizer("course")
V, END = tokenizer.vocab_size, tokenizer.end_of_text


def ids_of(*texts: str) -> list[list[int]]:
    return [tokenizer.encode(text) for text in texts]


def id_of(word: str) -> int:
    return tokenizer.encode(" " + word)[0]

# %%
gap = asked["it"][1]
left, right = ids_of(gap.before, gap.after)
probs = gpt(torch.tensor([[END, *left]]))[0, -1].softmax(dim=-1)
print(gap.before, "…", tokenizer.decode(probs.topk(5).indices.tolist()))
print(f"the right word, {gap.word}, has {probs[id_of(gap.word)]:.1%}; "
      f"one of {len(CHOICES['it'])} things would be {1 / len(CHOICES['it']):.1%}")

# %% [markdown]
# It knows that a thing must come, but not which: the words that tell it are hidden. By what?
#
# ## 2. Two ways to hide
#
# A model learns by predicting what it cannot see, so something must be hidden. GPT-2 **blocks attention**: no row reads a
# later column ([lesson 06](06_masking.ipynb)). BERT (2018) **changes the word**: the id becomes that of `[MASK]`, and
# every row reads every column. (It is an **encoder**, GPT-2 a **decoder**.) Which rows are asked a question here, and how
# many words does each read to answer it?

# %%
words = ["robot", "must", "obey", "orders"]
holed = ["robot", "[MASK]", "obey", "orders"]
asks_next = ["robot → must", "must → obey", "obey → orders", "orders → ?"]
asks_itself = ["robot", "[MASK] → must", "obey", "orders"]
matrices([
    Panel("GPT-2 blocks attention", causal_mask(4, 4), asks_next, words),
    Panel("BERT changes the word", torch.ones(4, 4).bool(), asks_itself, holed),
])

# %% [markdown]
# GPT-2 asks at every word, and the first answer is made from one word. BERT asks once, and reads both sides. **More questions,
# or more to read for each:** that is the trade of this lesson. (BERT's paper calls this a *masked language model*. "Mask" now
# has two meanings: a hidden word, and a blocked place in attention.)
#
# **Predict.** Could an encoder hide *must* by blocking, so that no other word reads its column?
#
# <details><summary>A. Yes, blocked is blocked</summary>
# The others no longer read it. But the row that has to answer is the row of <i>must</i> itself, and its vector begins as
# the embedding of <i>must</i>.
# </details>
# <details><summary>B. No: the row that answers is made of the word itself</summary>
# Yes. GPT-2 escapes by asking each row for the <i>next</i> word. BERT asks for the word in its own place, so it must not
# be there at all. <i>Deeper: hiding by blocking</i> shows it.
# </details>
#
# ### Which words, and how
#
# BERT chooses 15 % of the tokens and asks for all of them. Since texts have no [MASK] when the model is used, not all are
# changed into one: **80 % become [MASK], 10 % a random word, 10 % stay.** By hand, with the draws written down; 9 is
# the id of [MASK].

# %%
idx = torch.tensor([[3, 1, 4, 2, 6]])
chosen = torch.tensor([[False, True, False, True, True]])  # by a draw for each token
fate = torch.tensor([[0.55, 0.31, 0.02, 0.86, 0.95]])  # another draw for each token
anything = torch.tensor([[0, 5, 7, 8, 1]])  # a random id for each token
read_by_hand = torch.tensor([[3, 9, 4, 8, 6]])
targets_by_hand = torch.tensor([[-100, 1, -100, 2, 6]])
shown = [("was there", idx), ("is read", read_by_hand), ("is asked", targets_by_hand)]
matrices(shown, scale=(0, 0))  # without colours: ids are names

# %% [markdown]
# Five tokens, three chosen: one masked (0.31 is below 0.8), one random (0.86 is below 0.9), one as it was. −100 says
# *not asked*, as torch's `cross_entropy` has it. The same in a loop:

# %%
read, targets = idx.clone(), torch.full_like(idx, -100)
for t in range(5):
    if chosen[0, t]:
        targets[0, t] = idx[0, t]
        if fate[0, t] < 0.8:
            read[0, t] = 9
        elif fate[0, t] < 0.9:
            read[0, t] = anything[0, t]
assert torch.equal(read, read_by_hand) and torch.equal(targets, targets_by_hand)

# %% [markdown]
# ## Exercise: `hide_tokens` ●●●○○ · 12 minutes
#
# Choose each token with probability `share`, by itself. Of the chosen 80 % become `mask_id`, 10 % any id from 0 to
# `vocab_size` − 1 (all equally likely, even one that was there or is mask_id), 10 % stay; that too is drawn for each
# token by itself. Return what is read and the targets: int64, the shape of idx, −100 where nothing is asked. All
# draws come from `generator`; idx stays as it is.
#
# <details><summary>Hint 1</summary>
# <code>torch.rand(idx.shape, generator=generator) &lt; share</code> is True with probability share, for each token by
# itself. A second draw of that shape is each token's fate. (Two further draws, one for 80 % and one for 10 %, would overlap;
# one number that is divided does not.)
# </details>
# <details><summary>Hint 2</summary>
# <code>torch.randint(vocab_size, idx.shape, generator=generator)</code> has a random id for every place; take it only
# where you need it.
# </details>
# <details><summary>Hint 3</summary>
# <code>torch.where(condition, this, that)</code> chooses place by place: mask_id where fate &lt; 0.8, else the random id
# where fate &lt; 0.9, else idx; and all of that only where chosen.
# </details>

# %%
def hide_tokens(
    idx: Int[Tensor, "B T"],
    mask_id: int,
    vocab_size: int,
    share: float,
    generator: torch.Generator | None,
) -> tuple[Int[Tensor, "B T"], Int[Tensor, "B T"]]:
    """What the model reads, and what it is asked for: the original id, or -100."""
    ### BEGIN SOLUTION
    chosen = torch.rand(idx.shape, generator=generator) < share
    fate = torch.rand(idx.shape, generator=generator)
    anything = torch.randint(vocab_size, idx.shape, generator=generator)
    changed = torch.where(fate < 0.8, mask_id, torch.where(fate < 0.9, anything, idx))
    return torch.where(chosen, changed, idx), torch.where(chosen, idx, -100)
    ### END SOLUTION

# %%
hide_tokens = check(hide_tokens)

# %% [markdown]
# On a sentence of the stories, three times. [MASK] and padding get the two ids behind the tokenizer's last one.

# %%
MASK, PAD = V, V + 1
text = torch.tensor(ids_of(gap.text))
dice = torch.Generator().manual_seed(3)
for _ in range(3):
    read, targets = hide_tokens(text, MASK, V, 0.15, dice)
    print("".join("[MASK]" if i == MASK else tokenizer.decode([i]) for i in read[0].tolist()))
    print("    asked:", [tokenizer.decode([i]) for i in targets[0].tolist() if i != -100])

# %% [markdown]
# Of fourteen tokens none is asked in one text of ten, 0.85¹⁴. That matters for the loss.
#
# ## 3. The loss of the hidden words
#
# Only chosen tokens count. By hand: three positions, three tokens in the vocabulary, the second position asked.

# %%
logits = torch.tensor([[[2.0, 0.0, 1.0], [0.5, -1.0, 3.0], [1.0, 1.0, -2.0]]])  # (B, T, V)
targets = torch.tensor([[-100, 1, -100]])
powers = [math.exp(score) for score in (0.5, -1.0, 3.0)]
by_hand = -math.log(powers[1] / sum(powers))
print(f"{by_hand:.3f} nats; torch: {F.cross_entropy(logits[0], targets[0]):.3f}")
print("none asked, torch:", F.cross_entropy(logits[0], torch.tensor([-100, -100, -100])).item())

# %% [markdown]
# torch leaves out −100 by itself, but where nothing is asked it divides 0 by 0: the loss is nan. If you divide yourself, so
# is the gradient, and after one step every weight.
#
# ## Exercise: `hidden_token_loss` ●●○○○ · 8 minutes
#
# From logits (B, T, V) and targets (B, T) to a tensor of shape (): the mean of −ln of the probability, over **all asked
# tokens of the batch**. Where none is asked it is 0, in the dtype of the logits, and no gradient is nan.
#
# <details><summary>Hint 1</summary>
# <code>asked = targets != -100</code>, and <code>logits[asked]</code> are the rows of scores that count, (n, V).
# </details>
# <details><summary>Hint 2</summary>
# What should come back if <code>asked.any()</code> is False? <code>logits.sum() * 0</code> is a zero that has a backward.
# </details>

# %%
def hidden_token_loss(
    logits: Float[Tensor, "B T V"], targets: Int[Tensor, "B T"]
) -> Float[Tensor, ""]:
    """Mean nats per asked token; 0 where none is asked."""
    ### BEGIN SOLUTION
    asked = targets != -100
    if not asked.any():
        return logits.sum() * 0
    return F.cross_entropy(logits[asked], targets[asked])
    ### END SOLUTION

# %%
hidden_token_loss = check(hidden_token_loss)

# %% [markdown]
# ## 4. Attention on both sides, and padding
#
# A batch has texts of different lengths, filled up with **padding**. GPT-2 could ignore it: it stands to the right, and no
# row reads what is later. Without the triangle, *robot* reads the padding, too:

# %%
torch.manual_seed(16)
q, k, v = torch.randn(3, 1, 1, 4, 6)  # (B, nh, T, hs) each; the fourth token is padding
keep = torch.tensor([[True, True, True, False]])
scores = attention_scores(q, k)
rows, columns = words[:3] + ["(pad)"], words[:3] + ["(pad)"]
everything = attention_weights(scores)[0, 0]
matrices([("weights without a mask", everything)], rows, columns, scale=(0.0, 1.0))

# %% [markdown]
# `keep` says which tokens are real. What must be hidden: the last *row*, the last *column*, or both?
#
# <details><summary>Answer</summary>
# The column: a key that nobody may read. The padding's own row reads as it likes; its result is never used. (Hide the row as
# well, and the softmax of nothing but −∞ is nan.)
# </details>

# %%
hidden = scores.clone()
hidden[0, :, :, 3] = -math.inf
kept = attention_weights(hidden)[0, 0]
assert torch.allclose(kept[:3, :3], attention_weights(scores[..., :3, :3])[0, 0])
matrices([("weights with keep", kept)], rows, columns, scale=(0.0, 1.0))

# %% [markdown]
# The words now get what they would get in a text of three. For a batch, `keep` (B, T) must meet scores (B, nh, T, T), and
# torch matches axes from the right. Where do two axes of length 1 have to go?

# %%
keeps = torch.tensor([[True, True, True, False], [True, True, False, False]])  # (B, T)
batch = scores.expand(2, 1, 4, 4)
by_loop = torch.stack([batch[b].masked_fill(~keeps[b], -math.inf) for b in range(2)])
at_once = torch.where(keeps[:, None, None, :], batch, -math.inf)  # (B, 1, 1, T)
assert torch.equal(by_loop, at_once)
both = causal_mask(4, 4) & keeps[:, None, None, :]  # (B, 1, T, T): what a causal text may read
matrices([("text 0 may read", both[0, 0]), ("text 1 may read", both[1, 0])], words, words)

# %% [markdown]
# ## Exercise: `SelfAttention` ●●●●○ · 15 minutes
#
# `CausalSelfAttention` of [lesson 07](07_multi_head.ipynb) with two more things: `causal` says whether the triangle is
# there, and `forward(x, keep=None)` hides padding. The layers are those of lesson 07, so that either module can take the
# other's weights. A token with keep False is read by none; what comes out *at* it only has to be finite. (A causal text never
# begins with padding.)
#
# 1. In `__init__`: `c_attn`, an `nn.Linear` from C to 3C columns (queries, keys, values, in this order), `c_proj`, one from C
#    to C, and what `forward` needs to know.
# 2. Queries, keys, values, each cut by `split_heads(…, n_head)`; scores.
# 3. If causal, hide what is later. If there is a `keep`, hide the columns of the padding. Both may be so.
# 4. Softmax, blend, merge, `c_proj`.
#
# <details><summary>Hint 1</summary>
# <code>scores.masked_fill(~may_read, -math.inf)</code> returns new scores; keep them. Two ifs one after the other, no
# elif.
# </details>
# <details><summary>Hint 2</summary>
# <code>keep[:, None, None, :]</code> is (B, 1, 1, T): the same for every head and every query.
# </details>

# %%
class SelfAttention(nn.Module):
    """Attention in both directions or in one; padding is read by none."""

    def __init__(self, n_embd: int, n_head: int, causal: bool):
        super().__init__()
        ### BEGIN SOLUTION
        self.n_head, self.causal = n_head, causal
        self.c_attn = nn.Linear(n_embd, 3 * n_embd)
        self.c_proj = nn.Linear(n_embd, n_embd)
        ### END SOLUTION

    def forward(
        self, x: Float[Tensor, "B T C"], keep: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "B T C"]:
        ### BEGIN SOLUTION
        T = x.shape[1]
        q, k, v = (split_heads(part, self.n_head) for part in self.c_attn(x).chunk(3, dim=-1))
        scores = attention_scores(q, k)  # (B, nh, T, T)
        if self.causal:
            scores = scores.masked_fill(~causal_mask(T, T), -math.inf)
        if keep is not None:
            scores = scores.masked_fill(~keep[:, None, None, :], -math.inf)
        return self.c_proj(merge_heads(blend_values(attention_weights(scores), v)))
        ### END SOLUTION

# %%
SelfAttention = check(SelfAttention)

# %% [markdown]
# torch has its own, where True hides. With the same weights, do both agree?

# %%
ours, peer = SelfAttention(12, 3, causal=False), nn.MultiheadAttention(12, 3, batch_first=True)
ours.load_state_dict({
    "c_attn.weight": peer.in_proj_weight, "c_attn.bias": peer.in_proj_bias,
    "c_proj.weight": peer.out_proj.weight, "c_proj.bias": peer.out_proj.bias,
})
x = torch.randn(2, 4, 12)
theirs, _ = peer(x, x, x, key_padding_mask=~keeps)
apart = (ours(x, keeps) - theirs)[keeps].abs().max().item()
assert apart < 1e-5, f"your SelfAttention is {apart} away from torch's"
print("the same as torch.nn.MultiheadAttention, to five digits")

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: how much padding is there?
#
# Six sentences of our stories, filled up to BERT's 512 tokens:

# %%
lengths = [len(ids) for ids in ids_of(*sentences_of(heldout_documents()[0]))][:6]
padded(lengths, 512, unit=1.2)

# %% [markdown]
# Every dashed place is computed like a word. So BERT joined sentences until its inputs were full (128 tokens in nine tenths
# of the steps, then 512), and today's programs fill up to the longest text of a batch only.

# %% [markdown]
# ## 5. An encoder from GPT's parts
#
# GPT-2's block with other attention. (`nn.LayerNorm` is `layer_norm` of [lesson 09](09_block.ipynb) with its weights.)

# %%
class EncoderBlock(nn.Module):
    """A block whose attention reads both sides."""

    def __init__(self, n_embd: int, n_head: int):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(n_embd), nn.LayerNorm(n_embd)
        self.attn = SelfAttention(n_embd, n_head, causal=False)
        self.mlp = MLP(n_embd)

    def forward(self, x, keep=None):
        x = x + self.attn(self.ln_1(x), keep)
        return x + self.mlp(self.ln_2(x))

# %% [markdown]
# The model around it. Which line differs from `GPT2` of [lesson 10](10_output_projection.ipynb)?

# %%
class Encoder(nn.Module):
    """Scores, at every place, of the tokens that could stand there."""

    def __init__(self, config: GPT2Config):
        super().__init__()
        self.config = config
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.wpe = nn.Embedding(config.n_ctx, config.n_embd)
        blocks = (EncoderBlock(config.n_embd, config.n_head) for _ in range(config.n_layer))
        self.h = nn.ModuleList(blocks)
        self.ln_f = nn.LayerNorm(config.n_embd)

    def forward(self, idx, keep=None):
        x = embed(idx, self.wte.weight, self.wpe.weight)
        for block in self.h:
            x = block(x, keep)
        return output_logits(self.ln_f(x), self.wte.weight)

# %% [markdown]
# Only the block's: even the names are the same. So it can begin with the weights of the course model, plus two new rows
# for [MASK] and padding. (BERT began with random weights; the large one took four days on 64 TPU chips. You have twenty
# seconds.)

# %%
torch.manual_seed(0)
bert = Encoder(GPT2Config(n_layer=4, n_head=4, n_embd=128, n_ctx=128, vocab_size=V + 2))
state = gpt.state_dict()
new_rows = 0.05 * torch.randn(2, COURSE.n_embd)
bert.load_state_dict(state | {"wte.weight": torch.cat([state["wte.weight"], new_rows])})
n_parameters = sum(p.numel() for p in bert.parameters())
print(f"{n_parameters:,} parameters; the course model has {count_parameters(COURSE):,}")

# %% [markdown]
# How many gaps does it fill? Of all words of its kind the one with the highest score at the [MASK] is the answer.

# %%
@torch.no_grad()
def filled_by(model, kind: str, hole: list[int]) -> float:
    """The share of gaps that a model fills rightly: `hole` in the word's place, or nothing yet."""
    options, right = [id_of(word) for word in CHOICES[kind]], 0
    for gap in asked[kind]:
        left, after = ids_of(gap.before, gap.after)
        ids = [*left, *hole, *after] if hole else [END, *left]
        scores = model(torch.tensor([ids]))[0, len(left), options]
        right += CHOICES[kind][int(scores.argmax())] == gap.word
    return right / len(asked[kind])

# %% [markdown]
# Predict: GPT's weights with the mask off, how many of 100 are right?

# %%
for name, model, hole in (("GPT, left side", gpt, []), ("mask off, untrained", bert, [MASK])):
    print(f"{name:20}", {kind: f"{filled_by(model, kind, hole):.0%}" for kind in asked})
print(f"{'guessing':20}", {kind: f"{1 / len(CHOICES[kind]):.0%}" for kind in asked})

# %% [markdown]
# Taking the mask off does not make an encoder. These weights predict the *next* word and have never seen [MASK]. Only names
# are sometimes right: the course model has learned to repeat them.
#
# ### Training
#
# The texts are other sentences of the stories with such clues. `hide_tokens` knows nothing of padding, so the last line
# of `a_batch` takes care that none of it is changed or asked for.

# %%
learned = [torch.tensor(ids) for ids in ids_of(*gap_texts(20_000))]
texts = nn.utils.rnn.pad_sequence(learned, batch_first=True, padding_value=PAD)  # (N, T)
print(f"{len(texts):,} texts of up to {texts.shape[1]} tokens")

# %%
def a_batch(dice: torch.Generator, size: int = 48):
    """What is read, what is asked, and what is no padding."""
    idx = texts[torch.randint(len(texts), (size,), generator=dice)]
    idx = idx[:, : (idx != PAD).sum(dim=1).max()]
    keep = idx != PAD
    read, targets = hide_tokens(idx, MASK, V, 0.15, dice)
    return torch.where(keep, read, PAD), targets.masked_fill(~keep, -100), keep


read, targets, keep = a_batch(torch.Generator().manual_seed(1))
print(f"a batch {tuple(read.shape)}: {1 - keep.float().mean():.0%} padding, "
      f"{(targets != -100).sum() / keep.sum():.0%} of the tokens asked")

# %% [markdown]
# GPT asks at every token, BERT at one in seven, so it learns less from each text. One step, as in
# [lesson 13](13_training.ipynb):

# %%
STEPS, MAX_LR = 220, 2e-3
optimizer = torch.optim.AdamW(bert.parameters(), MAX_LR, betas=(0.9, 0.99), weight_decay=0.01)


def train_step(step: int, dice: torch.Generator) -> float:
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(step, MAX_LR, MAX_LR / 10, 30, STEPS)
    read, targets, keep = a_batch(dice)
    loss = hidden_token_loss(bert(read, keep), targets)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(bert.parameters(), 1.0)
    optimizer.step()
    return loss.item()

# %% [markdown]
# All of them:

# %%
dice, log = torch.Generator().manual_seed(0), {"loss": [], "it": [(0, 0.0)]}
with threads_for(bert.config):  # one thread: two would wait for each other
    for step in tqdm(range(1, STEPS + 1), unit="step"):
        log["loss"].append((step, train_step(step - 1, dice)))
        if step % 20 == 0:
            log["it"].append((step, filled_by(bert, "it", [MASK])))
bert.eval().requires_grad_(False);

# %% [markdown]
# Does the loss show when it has understood *it*?

# %%
ends = range(20, STEPS + 1, 20)
smooth = [(end, sum(nats for _, nats in log["loss"][end - 20 : end]) / 20) for end in ends]
title = f"{log['it'][-1][1]:.0%} of the gaps of “it” are filled, and {smooth[-1][1]:.1f} nats are left"
trained({"loss in nats, mean of 20 steps": smooth, "share of the gaps of “it” filled": log["it"]}, title)

# %% [markdown]
# No: by step 60 most of its fall is over, and most gaps are still wrong. What is left of it are words that nothing in the
# text can tell: a name, a place, what someone did. As in [lesson 13](13_training.ipynb): measure what you care about.
#
# ## 6. Both sides against one
#
# The same four hundred gaps:

# %%
found = {k: (filled_by(bert, k, [MASK]), filled_by(gpt, k, [])) for k in asked}
chances = {kind: 1 / len(CHOICES[kind]) for kind in asked}
assert found["it"][0] >= 0.85 and found["names"][0] >= 0.5, f"not enough training: {found}"
filled(found, chances, "Where the clue stands to the right, the left side only guesses")

# %% [markdown]
# *it* and *names* are learned. *count*, which takes a sum, has at most begun. *days* stays near guessing: it takes one of
# three steps through the week, and that needs longer training.
#
# **Play with it.** Press a word to hide it; both models say what they would put there.
#
# 1. Hide *among* in the first sentence. Which model is surer, and why?
# 2. Hide the verb after *it*. Who needs the right side now?
# 3. Find a word that both fill wrongly, and say why.
#
# <details><summary>What to see</summary>
# 1. BERT: GPT-2 expects <i>because</i>, and BERT sees that one farther right.<br>
# 2. Nobody: the clue, the thing, stands on the left. Both name verbs of that thing.<br>
# 3. The name at the beginning, for example: nothing tells it.
# </details>

# %%
choice = [found[1].text for found in asked.values()]
fill_to_play(bert, gpt, tokenizer, MASK, choice, hidden=gap.word)

# %% [markdown]
# ## 7. Each does the other's work
#
# ### GPT fills
#
# GPT cannot look right, but it can *score*. Put each of the 34 things into the gap and keep the one that makes the whole
# sentence most likely. Predict: better or worse than BERT?

# %%
things = [id_of(thing) for thing in CHOICES["it"]]


def by_trying(gap) -> str:
    """The thing with which GPT finds the sentence most likely."""
    left, right = ids_of(gap.before, gap.after)
    idx = torch.tensor([[END, *left, thing, *right] for thing in things])  # (34, T)
    log_probs = gpt(idx)[:, :-1].log_softmax(dim=-1).gather(-1, idx[:, 1:, None])
    return CHOICES["it"][int(log_probs.sum(dim=(1, 2)).argmax())]


tried = sum(by_trying(gap) == gap.word for gap in asked["it"][:50])
print(f"GPT by trying {len(things)} things: {tried} of 50; BERT in one run: {found['it'][0]:.0%}")
assert tried >= 43

# %% [markdown]
# GPT knew all along. A model that gives every text a probability can answer any question about it, one candidate at a
# time. BERT answers in **one** run, for its whole vocabulary.
#
# ### BERT writes
#
# A beginning, a [MASK] behind it, take the most likely token, next [MASK]. What will go wrong?

# %%
@torch.no_grad()
def written(model, start: str, hole: list[int], n: int = 16) -> str:
    """n tokens more, the most likely one each time; with a [MASK] at the end, or without."""
    ids = tokenizer.encode(start)
    for _ in range(n):
        read = [*ids, *hole] if hole else [END, *ids]
        ids.append(int(model(torch.tensor([read]))[0, -1, :V].argmax()))
    return tokenizer.decode(ids)


for start in ("Mina watched the robot because", "Tom and Ada met", "Rosa left on Friday."):
    print("BERT:", written(bert, start, [MASK]))
    print("GPT: ", written(gpt, start, []), end="\n\n")

# %% [markdown]
# BERT soon falls apart. In training every text was whole; a beginning with a [MASK] behind it is one that it has never
# seen. And every new token changes what all earlier rows read, so there is no cache ([lesson 12](12_kv_cache.ipynb)).

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: hiding by blocking
#
# Section 2 claimed that an encoder cannot hide a word by blocking its column. Block the column of the gap's word, then put
# another word there. Which rows notice?

# %%
idx, place = torch.tensor(ids_of(gap.text)), len(left)
other, keep = idx.clone(), torch.ones_like(idx, dtype=torch.bool)
other[0, place], keep[0, place] = id_of("kettle"), False
change = (bert(idx, keep) - bert(other, keep)).abs().amax(dim=-1)  # (1, T), of any score
tokens = [tokenizer.decode([i]).strip() for i in idx[0, :10].tolist()]
matrices([("largest change of a score in each row", change[:, :10])], [""], tokens)

# %% [markdown]
# Only its own row, the one that has to answer. A model trained like this would learn to copy.

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: two gaps at once
#
# Hide the thing *and* its verb: *the [MASK] because it [MASK].* BERT fills both in one run.
# Draw each from its distribution. How often will they belong together?

# %%
HABITS = {habit: thing.name for thing in THINGS for habit in thing.habits}


def two_holes(gap) -> tuple[list[int], int, int]:
    """The text with thing and verb hidden, and their places."""
    left, right = ids_of(gap.before, gap.after)
    verb = len(right) - right[::-1].index(id_of("it"))  # behind the last "it"
    right[verb] = MASK
    return [*left, MASK, *right], len(left), len(left) + 1 + verb

# %%
@torch.no_grad()
def belong_together(gap, runs: list[str], dice: torch.Generator) -> bool:
    """Fill thing and verb in these runs, each drawn; is the verb one of this thing's?"""
    ids, thing, verb = two_holes(gap)
    places = {"thing": thing, "verb": verb}
    for run in runs:
        probs = bert(torch.tensor([ids]))[0, :, :V].softmax(dim=-1)
        for name in run.split():
            ids[places[name]] = int(torch.multinomial(probs[places[name]], 1, generator=dice))
    drawn = [tokenizer.decode([ids[place]]).strip() for place in (thing, verb)]
    return HABITS.get(drawn[1]) == drawn[0]

# %%
fits_in = {}
for runs in (["thing verb"], ["thing", "verb"], ["verb", "thing"]):
    dice = torch.Generator().manual_seed(0)
    fits_in[len(runs)] = sum(belong_together(gap, runs, dice) for gap in asked["it"])
    print(f"{', then '.join(runs):18} {fits_in[len(runs)]:3} of 100 belong together")
assert fits_in[1] + 30 <= fits_in[2]

# %% [markdown]
# In one run, neither knows what the other will be. One after the other, **in either order**, the second is told by the
# first.

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: two ways out
#
# GPT has one order for every text, BERT fills all gaps in one run, and neither reads far back. You can skip this.

# %% [markdown]
# **XLNet** (2019) fills gaps one after the other already in training. Every text is predicted token by token, as GPT does,
# but in an order drawn anew for each text. Only the mask changes: a row reads what comes earlier *in the order*.

# %%
def order_mask(order: list[int]) -> Bool[Tensor, "T T"]:
    """True where the token of a row may read that of a column: it comes earlier in the order."""
    rank = torch.tensor(order).argsort()
    return rank[:, None] > rank[None, :]


left_to_right, another = order_mask([0, 1, 2, 3]), order_mask([2, 0, 3, 1])
assert torch.equal(left_to_right, causal_mask(4, 4).tril(-1))
assert left_to_right.sum() == another.sum()
matrices([("robot, must, obey, orders", left_to_right), ("obey, robot, orders, must", another)], words, words)

# %% [markdown]
# In the second, *must* comes last and reads both sides. Every token is asked, the answers multiply to the probability of
# the text, and over many orders each token meets both sides. The price: T! orders to learn instead of one, and rows that must
# know which place they answer for without reading the word there (XLNet carries two streams for that).

# %% [markdown]
# Both have a limit: 512 or 1024 positions, and nothing before them. **Transformer-XL** (2019) reads a long text in segments
# and keeps the keys and values of the segment before, as a cache does. Stories in two segments of 32 tokens, and the loss of
# the second: alone; with the first one kept; and with the first one kept while positions begin at 0 again in each segment,
# so that kept and new tokens share them. Predict the order of the three.

# %%
n = 32
stories = [ids for ids in ids_of(*heldout_documents()[:200]) if len(ids) >= 2 * n + 1]
idx = torch.tensor([ids[: 2 * n + 1] for ids in stories])  # (B, 65)
repeating = GPT2.from_pretrained("course").requires_grad_(False)
repeating.wpe.weight[n : 2 * n] = repeating.wpe.weight[:n]

# %%
def second_segment(model, remembers: bool) -> float:
    """Nats per token in the second segment."""
    cache = KVCache.for_model(model, len(idx))
    if remembers:
        model(idx[:, :n], cache)
    logits = model(idx[:, n : 2 * n], cache)
    return F.cross_entropy(logits.flatten(0, 1), idx[:, n + 1 :].flatten()).item()


alone, kept = second_segment(gpt, False), second_segment(gpt, True)
repeated = second_segment(repeating, True)
print(f"alone {alone:.2f}, kept {kept:.2f}, kept with repeated positions {repeated:.2f} nats")
assert kept < alone and kept < repeated

# %% [markdown]
# The memory helps, as long as positions go on. But they cannot go on for ever; where they begin anew, a kept token and a
# new one share a position. So Transformer-XL counts positions **relative** to the reader: "three back" is true in every
# segment. XLNet is built on it; [lesson 20](20_longer_memory.ipynb) builds such memories.

# %% [markdown]
# ## 8. The family
#
# - **ELMo** (February 2018): two recurrent networks, one reads from the left, one from the right.
# - **GPT** (June 2018): a transformer's decoder, left to right; pre-trained, then fine-tuned.
# - **BERT** (October 2018): a transformer's encoder; both sides in every layer.
# - **GPT-2** (February 2019): GPT again, larger, and used without fine-tuning.
#
# Three of the numbers follow from the sizes; ELMo's is that of the released model.

# %%
gpt1_size = GPT2Config(n_ctx=512, vocab_size=40_478)
large = GPT2Config(n_layer=24, n_head=16, n_embd=1024, n_ctx=512, vocab_size=30_522)
C = large.n_embd
gpt1 = count_parameters(gpt1_size) - 2 * gpt1_size.n_embd  # no LayerNorm at the end
bert_large = count_parameters(large) + 2 * C + (C * C + C)  # two segments, one layer more
family([
    Model("ELMo", 2018, 2, 93_600_000, "both sides, by two LSTMs"),
    Model("GPT", 2018, 12, gpt1, "left side"),
    Model("BERT-Large", 2018, 24, bert_large, "both sides"),
    Model("GPT-2", 2019, 48, count_parameters(RELEASED["gpt2-xl"]), "left side"),
])

# %% [markdown]
# (The papers say 340 and 1,542 million: 4.5 times.)
#
# ### What well-known explanations get wrong
#
# | said | in fact |
# |---|---|
# | BERT is GPT without the mask | untrained, that hardly fills a gap (section 5). And BERT has **segment embeddings** (first or second sentence), a second task (**does this sentence follow?**), LayerNorm after each addition, and the exact GELU |
# | 15 % of the words become [MASK] | 15 % are asked, and 80 % of these become [MASK]: 12 % |
# | both use WordPiece | BERT's 30,522 pieces are WordPiece, GPT-2's are byte-level BPE ([lesson 02](02_tokens.ipynb)) |
# | GPT cannot use what follows | not while it writes; by scoring whole texts it can (section 7) |
#
# (RoBERTa, 2019, left the second task out and was as good or better.)

# %% [markdown]
# ## What you have
#
# `hide_tokens` makes questions by changing words, `hidden_token_loss` counts only those, and `SelfAttention` reads one side or
# both, and no padding. BERT-Large in numbers:

# %%
print(f"512 positions, width {C}, {large.n_layer} layers of {large.n_head} heads")
print(f"{bert_large:,} parameters, {4 * bert_large / 1e9:.1f} GB in float32")
print(f"asked in 512 tokens: {0.15 * 512:.0f}, of these [MASK] {0.12 * 512:.0f}; GPT asks 511")

# %% [markdown]
# ### Questions
#
# <details><summary>1. Why are some of the asked tokens not changed at all?</summary>
# Texts at use have no [MASK]. A model that was asked only at [MASK] need not understand any other place.
# </details>
# <details><summary>2. A batch has two texts of 5 and 9 tokens. What is the shape of keep, and how many are True?</summary>
# (2, 9), and 14 are True.
# </details>
# <details><summary>3. Why are the columns of the padding hidden and not its rows?</summary>
# Columns are keys, which others read. A row with nothing to read would be a softmax of nothing but −∞, which is nan.
# </details>
# <details><summary>4. Why can BERT not be trained to predict the next word, with every token asked?</summary>
# Without the triangle each row reads the next word. It would learn to copy.
# </details>
# <details><summary>5. You want to know how likely a sentence is. Which model do you take?</summary>
# GPT: the product of its answers is the probability of the text. BERT's answers, each made with all other words in sight, do
# not multiply to one.
# </details>
#
# From earlier lessons:
#
# <details><summary>6. Why is −∞ put into the scores before the softmax, and not 0 into the weights after it?</summary>
# So that the remaining weights sum to 1 (lesson 06).
# </details>
# <details><summary>7. Which parameters of an encoder block depend on the number of heads?</summary>
# None: heads cut the C columns of one c_attn (lesson 07).
# </details>

# %% [markdown]
# ### Challenge: how much to hide
#
# Train with 5 %, 15 %, 40 % and 80 %, with three seeds each, and look at the gaps of all four kinds. What does *days* take:
# more steps, more hidden words, or more of its own sentences? (Wettig et al. 2022, *Should You Mask 15% in Masked Language
# Modeling?*, found 40 % better for BERT-Large.)

# %% [markdown]
# **Sources.** Devlin et al. 2019, *BERT: Pre-training of Deep Bidirectional Transformers*, sections 3.1 (80/10/10) and A.2 (128
# and 512 tokens, four days); Peters et al. 2018, *Deep contextualized word representations*, section 3; Radford et al. 2018,
# *Improving Language Understanding by Generative Pre-Training*, section 4.1; Radford et al. 2019, table 2; Yang et al. 2019,
# *XLNet*, sections 2.2 and 2.3; Dai et al. 2019, *Transformer-XL*, sections 3.2 and 3.3; Liu et al. 2019, *RoBERTa*, section 4.2.
#
# **Next:** how far a model comes that only goes on writing: source, separator, target, in one stream
# ([lesson 17](17_translation_and_summarization.ipynb)).
#
# **What you have built so far:**

# %%
my_progress()
