# %% [markdown]
# # 16 · BERT and GPT
#
# *Lena led the mice past the ▢ because it crowed.* You know what is missing. GPT-2 cannot: it reads from left to right,
# and the clue stands to the right of the gap. **What if every token may read both sides? And what does that cost?**
#
# - **In:** texts with holes, ids (B, T), and which of them are padding, (B, T).
# - **Out:** for every place the scores of all tokens that could stand there, (B, T, V).
# - **Time:** about 70 minutes for the core, 105 with the deeper sections.
# - **Exercises:** `hide_tokens` ●●●○○, `hidden_token_loss` ●●○○○ and `SelfAttention` ●●●●○.

# %% [markdown]
# First the tools. The line below the cell says which parts are yours.

# %%
import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from gpt2course import check
from gpt2course.config import COURSE, RELEASED, GPT2Config
from gpt2course.corpus import heldout_documents, training_documents
from gpt2course.corpus.gaps import CHOICES, gap_texts, gaps
from gpt2course.corpus.judge import fits, known_patterns, sentences_of
from gpt2course.corpus.lexicon import THINGS
from gpt2course.kv_cache import KVCache
from gpt2course.lessons.bert_and_gpt import (
    Model, Panel, curves, family, fill_to_play, filled, matrices, padded,
)
from gpt2course.mine import (
    MLP, attention_scores, attention_weights, blend_values, causal_mask, embed, learning_rate,
    merge_heads, output_logits, split_heads,
)
from gpt2course.model import GPT2, count_parameters
from gpt2course.weights import load_tokenizer

# %% [markdown]
# ## 1. A clue on the wrong side
#
# The course model has read 16,000 stories in which no two things make the same noise. Four kinds of sentence have a word
# that only what *follows* can tell. For each kind there are a hundred that no model here has read:

# %%
asked = {kind: gaps(kind) for kind in CHOICES}
for kind, found in asked.items():
    gap = found[1]
    print(f"{kind:6} {gap.before} [{gap.word}]{gap.after}")

# %% [markdown]
# What does the course model expect at the first gap? It may read what is before it. Predict: will the right word
# be among its five most likely?

# %%
gpt = GPT2.from_pretrained("course").eval().requires_grad_(False)
tokenizer = load_tokenizer("course")
V, END = tokenizer.vocab_size, tokenizer.end_of_text


def ids_of(*parts: str) -> list[list[int]]:
    return [tokenizer.encode(part) for part in parts]


gap = asked["it"][1]
left, word, right = ids_of(gap.before, " " + gap.word, gap.after)
probs = gpt(torch.tensor([[END, *left]]))[0, -1].softmax(dim=-1)
best = probs.topk(5)
print(gap.before, "…", *(f"{tokenizer.decode([i])} {p:.1%}" for p, i in zip(best[0].tolist(), best[1].tolist())))
print(f"the right word, {gap.word}: {probs[word[0]]:.1%}; one of {len(CHOICES['it'])}: {1 / len(CHOICES['it']):.1%}")

# %% [markdown]
# It knows that a thing must come, and not which one. That is no fault of its training: the words that would tell it are
# hidden from it. By what, exactly?
#
# ## 2. Two ways to hide
#
# A model learns by predicting what it cannot see, so something has to be hidden. GPT-2 **blocks attention**: the words
# stay as they are, and no row reads a later column ([lesson 06](06_masking.ipynb)). BERT (2018) **changes the word**: the
# id becomes that of `[MASK]`, and every row reads every column. In each picture, which rows are asked a question, and
# how many words does each of them read to answer it?

# %%
words = ["robot", "must", "obey", "orders"]
holed = ["robot", "[MASK]", "obey", "orders"]
matrices([
    Panel("GPT-2 blocks attention", causal_mask(4, 4), ["robot → must", "must → obey", "obey → orders", "orders → ?"], words),
    Panel("BERT changes the word", torch.ones(4, 4).bool(), ["robot", "[MASK] → must", "obey", "orders"], holed),
])

# %% [markdown]
# GPT-2 asks four questions of four words, and the first is answered from one word. BERT asks one, answered from both
# sides. That is the trade of this lesson: **more questions, or more to read for each.** (BERT's paper calls its way a
# *masked language model*. The word "mask" means two things from here on: a hidden word, and a blocked place in attention.)
#
# **Predict.** Could an encoder hide *must* by blocking, so that no other word reads column 2?
#
# <details><summary>A. Yes, blocked is blocked</summary>
# The others no longer read it. But the row that has to answer is the row of <i>must</i> itself, and its vector begins as
# the embedding of <i>must</i>. The answer is carried up by the residual connection.
# </details>
# <details><summary>B. No: the row that answers is made of the word itself</summary>
# Yes. GPT-2 escapes by asking each row for the <i>next</i> word. BERT asks for the word in its own place, so that it must
# not be there at all. Section 7 measures it.
# </details>
#
# ### Which words, and how
#
# BERT chooses 15 % of the tokens. At use there is no [MASK] in a text, so not all of them are changed into one: **80 %
# become [MASK], 10 % a random word, 10 % stay.** All of them are asked for. By hand, with the draws written down; 9 is the
# id of [MASK].

# %%
idx = torch.tensor([[3, 1, 4, 2, 6]])
chosen = torch.tensor([[False, True, False, True, True]])  # by a draw for each token
fate = torch.tensor([[0.55, 0.31, 0.02, 0.86, 0.95]])  # another draw for each token
anything = torch.tensor([[0, 5, 7, 8, 1]])  # a random id for each token
read_by_hand, targets_by_hand = torch.tensor([[3, 9, 4, 8, 6]]), torch.tensor([[-100, 1, -100, 2, 6]])
matrices([("was there", idx), ("is read", read_by_hand), ("is asked", targets_by_hand)])

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
# Choose each token with probability `share`, by itself. Of the chosen 80 % become `mask_id`, 10 % any id below
# `vocab_size` (all equally likely, the right one and mask_id among them), 10 % stay; that too is drawn for each
# token by itself. Return what is read and the targets: int64, the shape of idx, −100 where nothing is asked. All
# draws come from `generator`; idx stays as it is.
#
# The trap: two separate draws, "80 % masked" and then "10 % random", overlap. One number that is *divided* does not.
#
# <details><summary>Hint 1</summary>
# <code>torch.rand(idx.shape, generator=generator) &lt; share</code> is True with probability share, for each token by
# itself. A second draw of that shape is each token's fate.
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
# On a sentence of the stories. Our tokenizer has no [MASK] and no padding, so they get the two ids behind its last one.
# How many of the tokens will be asked for, with a share of 0.15?

# %%
MASK, PAD = V, V + 1
text = torch.tensor(ids_of(gap.text))
dice = torch.Generator().manual_seed(3)
for _ in range(3):
    read, targets = hide_tokens(text, MASK, V, 0.15, dice)
    print("".join("[MASK]" if i == MASK else tokenizer.decode([i]) for i in read[0].tolist()))
    print("    asked:", [tokenizer.decode([i]) for i in targets[0].tolist() if i != -100])

# %% [markdown]
# Now and then none at all, and that matters for the loss.
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
# torch leaves out −100 by itself, but a batch in which nothing is asked gives nan: 0 divided by 0. One such batch, and
# every weight of the model is nan.
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
# An encoder is GPT-2's block without the triangle. But a batch has texts of different lengths, filled up with
# **padding**. The triangle used to hide padding on the right for nothing: it comes later, and nobody reads later words.
# Without it, *robot* reads the padding, too:

# %%
torch.manual_seed(16)
q, k, v = torch.randn(3, 1, 1, 4, 6)  # (B, nh, T, hs) each; the fourth token is padding
keep = torch.tensor([[True, True, True, False]])
scores = attention_scores(q, k)
rows, columns = words[:3] + ["(pad)"], words[:3] + ["(pad)"]
everything = attention_weights(scores)[0, 0]
matrices([("weights without a mask", everything)], rows, columns, scale=(0.0, 1.0))

# %% [markdown]
# `keep` says which tokens are real. What has to be hidden: the last *row*, the last *column*, or both?
#
# The column: the key that nobody may read. The row of the padding reads as it likes, its result is thrown away. (Hiding
# the row as well makes a row of nothing but −∞, and its softmax is nan.)

# %%
hidden = scores.clone()
hidden[0, :, :, 3] = -math.inf
kept = attention_weights(hidden)[0, 0]
assert torch.allclose(kept[:3, :3], attention_weights(scores[..., :3, :3])[0, 0])
matrices([("weights with keep", kept)], rows, columns, scale=(0.0, 1.0))

# %% [markdown]
# The three words now get what they would get in a text of three. For a batch, `keep` (B, T) must meet scores
# (B, nh, T, T), and torch matches axes from the right. Which of these puts text b's padding into the columns of
# text b?

# %%
keeps = torch.tensor([[True, True, True, False], [True, True, False, False]])  # (B, T)
batch = scores.expand(2, 1, 4, 4)
by_loop = torch.stack([batch[b].masked_fill(~keeps[b], -math.inf) for b in range(2)])
at_once = batch.masked_fill(~keeps[:, None, None, :], -math.inf)  # (B, 1, 1, T)
assert torch.equal(by_loop, at_once)
both = causal_mask(4, 4) & keeps[:, None, None, :]  # (B, 1, T, T): what a causal text may read
matrices([("text 0 may read", both[0, 0]), ("text 1 may read", both[1, 0])], words, words)

# %% [markdown]
# ## Exercise: `SelfAttention` ●●●●○ · 15 minutes
#
# `CausalSelfAttention` of [lesson 07](07_multi_head.ipynb) with two more things: `causal` says whether the triangle is
# there, and `forward(x, keep=None)` hides padding. `c_attn` and `c_proj` stay as they were, so that either module can
# take the other's weights. A token with keep False is read by none; what comes out *at* it only has to be finite.
#
# 1. In `__init__`: the two layers, and what `forward` needs to know.
# 2. Queries, keys, values; heads; scores, as in lesson 07.
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
# torch has its own, with the padding the other way round (True hides). With the same weights, do both agree?

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

# %% [markdown]
# How much padding is there? BERT's inputs were filled up to 512 tokens. Sentences of our stories in such a batch:

# %%
lengths = [len(ids) for ids in ids_of(*sentences_of(heldout_documents()[0]))][:6]
padded(lengths, 512, unit=1.2)

# %% [markdown]
# Every dashed place costs as much as a word. So BERT's pre-training joined sentences until 512 were full, and today's
# programs fill up to the longest of a batch only.
#
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
# None but the block's: even the names are the same. So it can begin with the weights of the course model, which know
# words already. [MASK] and padding get two new rows. (BERT itself began with random weights and took four days on 64 TPU
# chips; you have half a minute.)

# %%
torch.manual_seed(0)
bert = Encoder(GPT2Config(n_layer=4, n_head=4, n_embd=128, n_ctx=128, vocab_size=V + 2))
state = gpt.state_dict()
new_rows = 0.05 * torch.randn(2, COURSE.n_embd)
bert.load_state_dict(state | {"wte.weight": torch.cat([state["wte.weight"], new_rows])})
print(f"{sum(p.numel() for p in bert.parameters()):,} parameters; the course model has {count_parameters(COURSE):,}")

# %% [markdown]
# How many gaps does it fill? One [MASK] for the word, and the most likely token at that place must be the word. The
# course model answers from the left. Predict: GPT's weights with the mask off, how many of 100 are right?

# %%
@torch.no_grad()
def filled_by(model, kind: str, hole: list[int]) -> float:
    """The share of gaps that a model fills: from both sides with a [MASK], else from the left."""
    right_ones = 0
    for gap in asked[kind]:
        left, word, right = ids_of(gap.before, " " + gap.word, gap.after)
        read = [*left, *hole, *right] if hole else [END, *left]
        scores = model(torch.tensor([read]))[0, len(left)]
        right_ones += int(scores[:V].argmax()) == word[0]
    return right_ones / len(asked[kind])


for name, model, hole in (("GPT, left side", gpt, []), ("mask off, untrained", bert, [MASK])):
    print(f"{name:20}", {kind: f"{filled_by(model, kind, hole):.0%}" for kind in asked})

# %% [markdown]
# Taking the mask off does not make an encoder. These weights predict the *next* word, and have never seen [MASK].
#
# ### Training
#
# The texts are sentences of the stories with such clues, none of those that are asked. A batch is cut to its longest
# text. `hide_tokens` knows nothing of padding: the second half of `a_batch` takes care that none is changed or asked.

# %%
learned = [torch.tensor(ids) for ids in ids_of(*gap_texts(20_000))]
texts = nn.utils.rnn.pad_sequence(learned, batch_first=True, padding_value=PAD)  # (N, T)


def a_batch(dice: torch.Generator, size: int = 48):
    """What is read, what is asked, and what is no padding."""
    idx = texts[torch.randint(len(texts), (size,), generator=dice)]
    idx = idx[:, : (idx != PAD).sum(dim=1).max()]
    keep = idx != PAD
    read, targets = hide_tokens(idx, MASK, V, 0.15, dice)
    return torch.where(keep, read, PAD), targets.masked_fill(~keep, -100), keep


read, targets, keep = a_batch(torch.Generator().manual_seed(1))
print(f"{tuple(texts.shape)} ids; a batch {tuple(read.shape)}, padding {1 - keep.float().mean():.0%}, "
      f"asked {(targets != -100).sum() / keep.sum():.0%}")

# %% [markdown]
# A GPT would ask a question at every token; BERT asks at one in seven. That is why it takes longer to train on the same
# text.

# %%
STEPS, MAX_LR = 350, 2e-3
optimizer = torch.optim.AdamW(bert.parameters(), MAX_LR, betas=(0.9, 0.99), weight_decay=0.01)
dice, log = torch.Generator().manual_seed(0), {"loss": [], "it": [(0, 0.0)]}
for step in tqdm(range(STEPS), unit="step"):
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(step, MAX_LR, MAX_LR / 10, 30, STEPS)
    read, targets, keep = a_batch(dice)
    loss = hidden_token_loss(bert(read, keep), targets)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(bert.parameters(), 1.0)
    optimizer.step()
    log["loss"].append((step + 1, loss.item()))
    if step % 50 == 49:
        log["it"].append((step + 1, filled_by(bert, "it", [MASK])))
bert.eval().requires_grad_(False);

# %% [markdown]
# Does the loss show when it has understood?

# %%
steps = range(24, STEPS, 25)
smooth = [(s + 1, sum(nats for _, nats in log["loss"][s - 24 : s + 1]) / 25) for s in steps]
curves({"loss, mean of 25 steps": smooth, "gaps of “it” filled": log["it"]},
       "The gaps come right while the loss only creeps", "nats per asked token; share")

# %% [markdown]
# ## 6. Both sides against one
#
# The same four hundred gaps. *Guessing* takes any word of the kind.

# %%
found = {k: (filled_by(bert, k, [MASK]), filled_by(gpt, k, [])) for k in asked}
chances = {kind: 1 / len(CHOICES[kind]) for kind in asked}
assert found["it"][0] >= 0.85 and found["it"][1] <= 0.15, f"it: {found['it']}"
filled(found, chances, "Where the clue stands to the right, one side is no better than guessing")

# %% [markdown]
# **Play with it.** Press a word to hide it; both models say what they would put there.
#
# 1. Hide *because*. Which model is surer?
# 2. Find a word that both fill rightly, and one that neither does.
#
# <details><summary>What to see</summary>
# 1. Where the left side tells enough, both know; the right side cannot hurt.<br>
# 2. The verb after <i>it</i> has its clue on the left, so both name verbs of the thing. The name at the beginning is open
# to both.
# </details>

# %%
choice = [asked["it"][1].text, asked["days"][1].text, asked["count"][1].text, asked["names"][1].text]
fill_to_play(bert, gpt, tokenizer, MASK, choice, hidden=gap.word)

# %% [markdown]
# ## 7. Each does the other's work
#
# ### GPT fills
#
# GPT cannot look right, but it can *score*. Put each of the 34 nouns into the gap, take the probability of the whole
# sentence, keep the best. Predict: better or worse than BERT?

# %%
nouns = [tokenizer.encode(" " + noun)[0] for noun in CHOICES["it"]]


def by_trying(gap) -> int:
    """The noun with which GPT finds the sentence most likely."""
    left, right = ids_of(gap.before, gap.after)
    idx = torch.tensor([[END, *left, noun, *right] for noun in nouns])  # (34, T)
    log_probs = gpt(idx)[:, :-1].log_softmax(dim=-1)
    return nouns[int(log_probs.gather(-1, idx[:, 1:, None]).sum(dim=(1, 2)).argmax())]


tried = sum(by_trying(gap) == tokenizer.encode(" " + gap.word)[0] for gap in asked["it"])
print(f"GPT, by trying all {len(nouns)} nouns: {tried} of 100, in {len(nouns)} texts for each gap; "
      f"BERT: {found['it'][0]:.0%}, in one")
assert tried >= 85

# %% [markdown]
# GPT knew all along. A model that gives every text a probability can answer any question about it, one candidate at a
# time. BERT gives the answer in **one** run, for its whole vocabulary.
#
# ### BERT writes
#
# The other way round: a beginning, a [MASK] behind it, take the most likely token, next [MASK]. And the same by GPT.

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
# Both can be judged: does a sentence consist of word patterns that occur in the stories? Forty beginnings; what share of
# the sentences that each completes is well made?

# %%
known = known_patterns(training_documents()[:4000])
starts = [text.split(" because ")[0] + " because" for text in (gap.text for gap in asked["it"]) if " because " in text][:40]


def well_made(model, hole: list[int]) -> float:
    """The share of first sentences that are made as those of the stories."""
    sentences = [sentences_of(written(model, start, hole)) for start in starts]
    return sum(bool(found) and fits(found[0], known) for found in sentences) / len(starts)


shares = well_made(bert, [MASK]), well_made(gpt, [])
print(f"well made: BERT {shares[0]:.0%}, GPT {shares[1]:.0%}")

# %% [markdown]
# A first sentence BERT may finish, since in training a [MASK] was sometimes the last word. But it never learned to leave
# off and go on: it expects the text to *end* where its input ends. And every new token changes what all earlier rows
# read, so nothing can be kept: no cache ([lesson 12](12_kv_cache.ipynb)), and no probability of a whole text.
#
# ### Hiding by blocking, measured
#
# Section 2 claimed that an encoder cannot hide a word by blocking its column. Names at the beginning of a sentence: nothing
# tells them, so the right name should get what any of the 32 gets, 3 %. How much does it get if the name stays and `keep`
# is False there?

# %%
named = [gap.text for gap in asked["it"] if gap.text.split()[0] in CHOICES["names"]]
by_changing, by_blocking = [], []
for text in named:
    idx = torch.tensor(ids_of(text))
    name, keep = idx[0, 0].item(), torch.ones_like(idx, dtype=torch.bool)
    holed_idx, keep[0, 0] = idx.clone(), False
    holed_idx[0, 0] = MASK
    by_changing.append(bert(holed_idx)[0, 0].softmax(dim=-1)[name].item())
    by_blocking.append(bert(idx, keep)[0, 0].softmax(dim=-1)[name].item())
hidden_by = [sum(found) / len(named) for found in (by_changing, by_blocking)]
print(f"{len(named)} names: probability {hidden_by[0]:.0%} with [MASK], {hidden_by[1]:.0%} with the column blocked")
assert hidden_by[1] > 3 * hidden_by[0]

# %% [markdown]
# Blocked for all others, the name is still in its own row.
#
# ## 8. The trade, and two ways out
#
# GPT: a probability for every text, all tokens asked, one side. BERT: both sides, one token in seven asked, no
# probability. And one more weakness. Hide noun *and* verb: *Lena led the mice past the [MASK] because it [MASK].* BERT fills
# both in one run. Draw each from its distribution; how often will noun and verb belong together?

# %%
HABITS = {habit: thing.name for thing in THINGS for habit in thing.habits}


@torch.no_grad()
def belong_together(gap, together: str, dice: torch.Generator) -> bool:
    """Fill noun and verb, in one run or one after the other; does this thing do that?"""
    left, right = ids_of(gap.before, gap.after)
    noun, ids = len(left), [*left, MASK, *right]
    verb = max(i for i, t in enumerate(ids) if t < V and tokenizer.decode([t]) == " it") + 1
    ids[verb] = MASK
    for places in {"both": [(noun, verb)], "noun": [(noun,), (verb,)], "verb": [(verb,), (noun,)]}[together]:
        probs = bert(torch.tensor([ids]))[0, :, :V].softmax(dim=-1)
        for place in places:
            ids[place] = int(torch.multinomial(probs[place], 1, generator=dice))
    thing, habit = (tokenizer.decode([ids[place]]).strip() for place in (noun, verb))
    return HABITS.get(habit) == thing


dice = torch.Generator().manual_seed(0)
for together, said in (("both", "both at once"), ("noun", "noun first"), ("verb", "verb first")):
    fit = sum(belong_together(gap, together, dice) for gap in asked["it"])
    print(f"{said:13} {fit} of 100 belong together")

# %% [markdown]
# At once, neither knows what the other will be: hardly more than chance. One after the other, in **either order**, the
# second is told by the first.
#
# **XLNet** (2019) makes that its training: every text is predicted token by token, as GPT does, but in an order that is
# drawn anew for each text. Only the mask changes. A row reads what comes earlier *in the order*:

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
# In the second, *must* is predicted last and reads both sides. Every token is asked, the product of all answers is a
# probability of the text, and over many orders each token meets both sides. The price: there are T! orders to learn
# instead of one, and a row must know *which* place it answers for without reading the word there (XLNet carries two
# streams for that).

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: Transformer-XL, a segment that reads the one before
#
# The other limit that both share: 512 or 1024 positions, and nothing before them. You can skip it.

# %% [markdown]
# **Transformer-XL** (2019) reads a long text in segments and keeps the keys and values of the segment before, as a cache
# does. Stories in two segments of 32 tokens, and the loss of the second: alone; with the first one kept; and with the
# first one kept while positions begin at 0 again in each segment, so that kept and new tokens share them. Predict the
# order of the three.

# %%
n = 32
stories = [ids for ids in ids_of(*heldout_documents()[:200]) if len(ids) >= 2 * n + 1]
idx = torch.tensor([ids[: 2 * n + 1] for ids in stories])  # (B, 65)
same_positions = GPT2.from_pretrained("course").requires_grad_(False)
same_positions.wpe.weight[n : 2 * n] = same_positions.wpe.weight[:n]


def second_segment(model, remembers: bool) -> float:
    """Nats per token in the second segment."""
    cache = KVCache.for_model(model, len(idx))
    if remembers:
        model(idx[:, :n], cache)
    logits = model(idx[:, n : 2 * n], cache)
    return F.cross_entropy(logits.flatten(0, 1), idx[:, n + 1 :].flatten()).item()


alone, kept = second_segment(gpt, False), second_segment(gpt, True)
repeated = second_segment(same_positions, True)
print(f"alone {alone:.2f}, with the segment before {kept:.2f}, with positions that repeat {repeated:.2f} nats")
assert kept < alone and kept < repeated

# %% [markdown]
# The memory is worth a good part of a nat. But a learned position says *where in the segment*, and with memory two tokens have
# the same one. So Transformer-XL counts positions **relative** to the reader: "three back" is true in every segment.
# [Lesson 20](20_longer_memory.ipynb) builds such memories, XLNet uses this one.

# %% [markdown]
# ## 9. The family
#
# - **ELMo** (February 2018): two recurrent networks, one reads from the left, one from the right; their results are joined.
# - **GPT** (June 2018): a transformer's decoder, left to right; pre-trained, then fine-tuned.
# - **BERT** (October 2018): a transformer's encoder; both sides in every layer.
# - **GPT-2** (February 2019): GPT again, larger, and used without fine-tuning.
#
# The parameters of three of them follow from their sizes. (ELMo's number is that of the released model.)

# %%
gpt1_size = GPT2Config(n_ctx=512, vocab_size=40_478)
large = GPT2Config(n_layer=24, n_head=16, n_embd=1024, n_ctx=512, vocab_size=30_522)
C = large.n_embd
gpt1 = count_parameters(gpt1_size) - 2 * gpt1_size.n_embd  # no LayerNorm at the end
bert_large = count_parameters(large) + 2 * C + (C * C + C)  # two segments, a layer on [CLS]
family([
    Model("ELMo", 2018, 2, 93_600_000, "both sides, by two LSTMs"),
    Model("GPT", 2018, 12, gpt1, "left side"),
    Model("BERT-Large", 2018, 24, bert_large, "both sides"),
    Model("GPT-2", 2019, 48, count_parameters(RELEASED["gpt2-xl"]), "left side"),
])

# %% [markdown]
# (The paper says 340 million for BERT-Large, and so "4.5 times". The layer that predicts hidden words adds another million.)
#
# ### What well-known explanations get wrong
#
# | said | in fact |
# |---|---|
# | BERT is GPT without the mask | Section 5: without the mask and without its training, GPT's weights fill nothing. BERT has more that is its own: **segment embeddings** (first or second sentence), **next-sentence prediction** as a second task, [CLS] and [SEP], LayerNorm after each addition, the exact GELU |
# | 15 % of the words become [MASK] | 15 % are asked, 80 % of these become [MASK]: 12 % of the words |
# | both use WordPiece | BERT's 30,522 pieces are WordPiece; GPT-2's are byte-level BPE ([lesson 02](02_tokens.ipynb)) |
# | BERT reads once from each side | that is ELMo. In BERT every layer reads all at once |
# | GPT cannot use what follows | not while it writes. Section 7: by scoring whole texts it can |
#
# Next-sentence prediction turned out to be of little use: RoBERTa (2019) left it out and was better.

# %% [markdown]
# ## What you have
#
# `hide_tokens` makes questions by changing words, `hidden_token_loss` counts only those, and `SelfAttention` reads one side or
# both and no padding. From GPT's own parts you made an encoder that fills in what GPT cannot see. BERT-Large in numbers:

# %%
print(f"positions 512, width {C}, {large.n_layer} layers of {large.n_head} heads, {bert_large:,} parameters")
print(f"asked in 512 tokens: {0.15 * 512:.0f}; of these [MASK] {0.12 * 512:.0f}, random {0.015 * 512:.0f}, "
      f"as they were {0.015 * 512:.0f}; GPT asks {511}")

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
# GPT: the product of its answers is the probability of the text. BERT's answers do not multiply to one.
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
# BERT hides 15 %. Train with 5 %, 15 %, 40 % and 80 %, with three seeds each. Look at the gaps of all four kinds, and at what
# happens to *days*, which stays near guessing in section 6: does it take more steps, more hidden words, or more of
# its own sentences? (Wettig et al. 2022, *Should You Mask 15% in Masked Language Modeling?*, section 3, found 40 % better for large
# models.)

# %% [markdown]
# **Sources.** Devlin et al. 2019, *BERT: Pre-training of Deep Bidirectional Transformers*, sections 3.1 (80/10/10) and A.2 (512
# tokens, four days); Peters et al. 2018, *Deep contextualized word representations*, section 3; Radford et al. 2018,
# *Improving Language Understanding by Generative Pre-Training*, section 4.1; Radford et al. 2019, table 2; Yang et al. 2019,
# *XLNet*, sections 2.2 and 2.3; Dai et al. 2019, *Transformer-XL*, sections 3.2 and 3.3; Liu et al. 2019, *RoBERTa*, section 4.2.
#
# **Next:** GPT can only go on writing. [Lesson 17](17_translation_and_summarization.ipynb) shows how far that goes: source,
# separator, target, in one stream.
