# %% [markdown]
# # 06 · Masking
#
# A model that predicts the next token is trained on text in which the next token is already written
# down. Attention, as lesson 05 left it, lets every token read every other. **What keeps it from
# simply reading the answer?**
#
# - **In:** scores `(T, S)`, one row for each of T queries, one column for each of S keys.
# - **Out:** weights `(T, S)` in which no query reads a later position.
# - **Time:** about 65 minutes. Two exercises: `causal_mask` and `masked_attention`.

# %% [markdown]
# First the tools. `attention_scores`, `attention_weights` and `blend_values` are yours if you have
# passed them in lesson 05; the line below the cell says whose they are.

# %%
import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from gpt2course import check
from gpt2course.lessons.masking import (
    loss_lines, mask_switch, matrices, pipeline, training_examples, two_losses, weights_of,
)
from gpt2course.mine import attention_scores, attention_weights, blend_values

# %% [markdown]
# This is where we are in GPT-2: inside the attention of every block. The mask is a small thing, and
# the three steps of lesson 05 stay as they are.

# %%
pipeline("06_masking")

# %% [markdown]
# ## One sequence is many examples
#
# Our text has four words. To learn to predict, a model gets the beginning of a text and is asked for
# the word that follows. How many such questions are hidden in four words? Count before you run.

# %%
words = ["robot", "must", "obey", "orders"]
training_examples(words)

# %% [markdown]
# Three questions; the fourth, what follows *orders*, can be asked as soon as the text goes on. So `T`
# words that are read, with the next word known for each, are **`T` training examples**. It would be a
# waste to run the model once for each. Attention handles all rows of a matrix at once, so one run could
# answer all `T` questions, provided that row `i` uses nothing but the words up to `i`. That is the whole
# task of this lesson.
#
# ## What goes wrong without a mask
#
# Small queries and keys for the four words, two numbers each, so that everything can be followed by
# hand. The values come later.

# %%
q = torch.tensor([[1.0, 0.5], [1.0, 1.0], [0.0, 2.0], [2.0, 1.0]])  # (T, hs) = (4, 2)
k = torch.tensor([[1.0, 0.0], [0.5, 1.0], [1.5, 0.5], [0.0, 1.5]])  # (S, hs) = (4, 2)
scores = attention_scores(q, k)
matrices([("scores (T, S)", scores)], words, words)

# %% [markdown]
# Row = the word that reads, column = the word that is read. Each row becomes weights by a softmax.
# Look at the row of *robot*: which of its four weights may it have while it predicts *must*?

# %%
everything = attention_weights(scores)
matrices([("weights without a mask", everything)], words, words)

# %% [markdown]
# Only the first. While *robot* predicts *must*, the other three words are the answer and what comes
# after it. Yet together they hold most of the row:

# %%
f"{everything[0, 1:].sum():.0%} of robot's attention goes to words that it should not know yet"

# %% [markdown]
# **Predict.** Suppose the future is hidden properly. What will the row of *robot* be?
#
# <details><summary>A. 25 % each: it knows nothing, so it spreads evenly</summary>
# Spreading evenly would still read three words that are not there yet. Hidden means a weight of 0, and
# then there is only one place left for the attention to go.
# </details>
# <details><summary>B. 100 % on robot</summary>
# Yes. A row of weights always sums to 1, and one word is all there is to read. So it is for the first
# token of every text, wherever in GPT-2 attention happens.
# </details>
# <details><summary>C. The same first weight as before, and zeros after it</summary>
# Then the row would no longer sum to 1. The softmax shares out 1 among those who are allowed, so what
# the hidden words had goes to those that remain. (This exact mistake has its own section below.)
# </details>

# %% [markdown]
# ## By hand
#
# Hiding the future of one word means: leave those scores out, and take the softmax of the rest. For
# *must*, the second word, two scores are left. A softmax raises e to each score and divides by the
# sum.

# %%
e = torch.exp(scores[1, :2])
must = e / e.sum()
must

# %% [markdown]
# *must* splits its attention between *robot* and itself. Now the same for every word, one row at a
# time: row `i` keeps its first `i + 1` scores. The rest of the row stays 0.

# %%
by_hand = torch.zeros(4, 4)
for i in range(4):
    seen = scores[i, : i + 1]
    by_hand[i, : i + 1] = torch.exp(seen) / torch.exp(seen).sum()
assert torch.allclose(by_hand[1, :2], must)
matrices([("weights, future left out", by_hand)], words, words)

# %% [markdown]
# *robot* gives 100 % to itself, *must* splits between two words, *obey* between three; *orders* sees
# all four. The weights form a triangle, and each row still sums to 1.
#
# ## The mask as a triangle
#
# A loop over rows is slow. To do all rows in one step, write down once who may read whom: a table of
# True and False, with a row for each query and a column for each key. That is the **mask**. Below, the
# non-zero entries of our weights are exactly the True entries of the mask.

# %%
matrices([("may read (T, S)", by_hand > 0)], words, words)

# %% [markdown]
# ### Fewer queries than keys
#
# The number of queries and of keys need not be the same. Suppose three words were read earlier, their
# keys are still there, and only the last two words ask (lesson 12 makes GPT-2 fast this way). The
# queries are then the **last** `n_query` of `n_key` positions: of five positions, two queries stand at
# positions 3 and 4. One counts from the **lower right corner**: the last query stands at the last key
# and may read all of them, the one before it all but one, and so on.
#
# **Predict.** Which keys may the first of these two queries read?
#
# <details><summary>A. Only the first key, as the first row always does</summary>
# That would count from the upper left corner. But this query stands at position 3, and positions 0, 1
# and 2 are its past.
# </details>
# <details><summary>B. The first four</summary>
# Yes: its own position, 3, and the three before it. Only the last key lies in its future.
# </details>
# <details><summary>C. All five</summary>
# The fifth key belongs to the second query, one position later. The first may not see it.
# </details>

# %% [markdown]
# ## Exercise: `causal_mask`
#
# Write the function that gives this table for any `n_query ≤ n_key`: a boolean tensor
# `(n_query, n_key)`, True where query `i` may read key `j`. The queries are the last `n_query` of the
# `n_key` positions; a query may read its own position and all before it.
#
# Replace the line that raises, run the cell, then run the check below it. As long as it does not pass,
# the check puts the package's own function in its place, so you can go on whenever you like.
#
# <details><summary>Hint 1</summary>
# Give each query and each key its position: 0, 1, 2, … for the keys. What is the position of query
# <code>i</code>?
# </details>
# <details><summary>Hint 2</summary>
# Query <code>i</code> stands at position <code>i + n_key - n_query</code>. It may read key
# <code>j</code> when <code>j</code> is not larger than that.
# </details>
# <details><summary>Hint 3</summary>
# <code>torch.arange</code> gives the positions, and comparing a column <code>[:, None]</code> with a row
# gives a whole table at once. Or look up <code>torch.tril</code> and what its <code>diagonal</code>
# does.
# </details>

# %%
def causal_mask(n_query: int, n_key: int) -> Bool[Tensor, "n_query n_key"]:
    """True where query i may read key j; the queries are the last n_query of n_key positions."""
    ### BEGIN SOLUTION
    return torch.ones(n_query, n_key, dtype=torch.bool).tril(n_key - n_query)
    ### END SOLUTION

# %%
causal_mask = check(causal_mask)

# %% [markdown]
# For the four words it is the table from above. And here are two queries on top of three earlier keys,
# those of the prediction:

# %%
assert torch.equal(causal_mask(4, 4), by_hand > 0)
positions = ["key 0", "key 1", "key 2", "key 3", "key 4"]
matrices([("causal_mask(2, 5)", causal_mask(2, 5))], ["query at 3", "query at 4"], positions)

# %% [markdown]
# ## Where the mask goes: before the softmax, as -inf
#
# The softmax gives every score a share, `exp(score) / sum`. To get a share of 0, `exp(score)` must be
# 0. Which score does that? You will read that "future tokens are scored 0". Look at what each
# candidate turns into:

# %%
candidates = torch.tensor([0.0, -1.0, -10.0, -1e9, -math.inf])
for score, share in zip(candidates.tolist(), candidates.exp().tolist(), strict=True):
    print(f"score {score:>14}   e^score = {share:.6f}")

# %% [markdown]
# A score of 0 is a score like any other: e⁰ = 1. What has to become 0 is the **weight**, and the score
# that gives it is minus infinity. Here is the row of *must* with its future scored 0, and with its
# future scored -inf. (`masked_fill(where, value)` gives a copy that holds `value` wherever `where` is
# True.) The second must be what we found by hand.

# %%
future = torch.tensor([False, False, True, True])
scored_zero = scores[1].masked_fill(future, 0.0).softmax(dim=-1)
scored_minus_inf = scores[1].masked_fill(future, -math.inf).softmax(dim=-1)
assert torch.allclose(scored_minus_inf, by_hand[1])
matrices(
    [("future scored 0", scored_zero[None]), ("future scored -inf", scored_minus_inf[None])],
    ["must"],
    words,
)

# %% [markdown]
# ### -inf or a very large negative number?
#
# Many programs use -1e9 or the like; the code released with GPT-2 subtracts 1e10. For our row it makes
# no difference:

# %%
scored_minus_1e9 = scores[1].masked_fill(future, -1e9).softmax(dim=-1)
torch.equal(scored_minus_1e9, scored_minus_inf)

# %% [markdown]
# There are two places where they part. One is a row in which everything is hidden. Predict both lines.

# %%
print("all -inf:", torch.full((4,), -math.inf).softmax(dim=-1).tolist())
print("all -1e9:", torch.full((4,), -1e9).softmax(dim=-1).tolist())

# %% [markdown]
# With -inf there is nothing to share out: 0 divided by 0, `nan`, and a `nan` spreads through
# everything that it touches. With -1e9 the row quietly reads the whole future. A causal row is never
# empty, since each token may read itself. Where other things are hidden as well (short texts in a batch
# are filled up to equal length, and the filling is hidden), a row can be, and then the loud failure is
# the better one.
#
# The other place is half precision. To save memory, models often compute in `float16`, numbers of two
# bytes, and the largest of those is small:

# %%
print("the smallest float16:", torch.finfo(torch.float16).min)
try:
    scores[1].to(torch.float16).masked_fill(future, -1e9)
except RuntimeError as error:
    print("with -1e9:", error)
print("with -inf:", scores[1].to(torch.float16).masked_fill(future, -math.inf))

# %% [markdown]
# ### Why not after the softmax?
#
# Setting the unwanted weights to 0 afterwards looks simpler. (`~` turns a mask round: `~may_read` is True
# where reading is forbidden.) What happens to the sums of the rows?

# %%
may_read = causal_mask(4, 4)
zeroed = everything.masked_fill(~may_read, 0.0)
zeroed.sum(dim=-1)

# %% [markdown]
# The hidden words had already taken their share, so each early row is too small. *How much* too small
# depends on the future. Let *orders*, the last word, have another score in the row of *robot*, and watch
# a weight that *robot* gives to itself, with the future "hidden":

# %%
for score_of_orders in (0.0, 1.0, 2.0, 3.0):
    row = torch.cat([scores[0, :3], torch.tensor([score_of_orders])])
    print(f"orders scores {score_of_orders}: robot gives itself {row.softmax(dim=-1)[0]:.3f}")

# %% [markdown]
# The first row can tell what the fourth word is. The future **leaks** through the size of the weights.
# Sharing out each row again repairs it, and then it is the same as masking before (unless a visible
# weight was so small that it had been rounded to 0):

# %%
repaired = zeroed / zeroed.sum(dim=-1, keepdim=True)
assert torch.allclose(repaired, by_hand)
matrices([("zeroed afterwards", zeroed), ("shared out again", repaired)], words, words)

# %% [markdown]
# ## Exercise: `masked_attention`
#
# Put it together: scores, mask, weights, blend. `q` is `(..., T, hs)`, `k` and `v` are `(..., S, hs)`
# with `T ≤ S`; the dots stand for any number of leading axes (batch, heads), which your three
# functions from lesson 05 handle already. The result is `(..., T, hs)` and has the dtype of `q`.
#
# <details><summary>Hint 1</summary>
# The number of queries is <code>q.shape[-2]</code>, the number of keys <code>k.shape[-2]</code>.
# </details>
# <details><summary>Hint 2</summary>
# <code>masked_fill(mask, value)</code> fills where its mask is <b>True</b>. Your mask is True where
# reading is allowed, so it has to be turned: <code>~mask</code>.
# </details>
# <details><summary>Hint 3</summary>
# A mask of shape <code>(T, S)</code> fits scores of shape <code>(..., T, S)</code>: the leading axes are
# repeated by themselves. The order is scores, fill with <code>-math.inf</code>, weights, blend.
# </details>

# %%
def masked_attention(
    q: Float[Tensor, "... T hs"], k: Float[Tensor, "... S hs"], v: Float[Tensor, "... S hs"]
) -> Float[Tensor, "... T hs"]:
    """Causal attention: every query reads its own position and the ones before it."""
    ### BEGIN SOLUTION
    may_read = causal_mask(q.shape[-2], k.shape[-2]).to(q.device)
    scores = attention_scores(q, k).masked_fill(~may_read, -math.inf)
    return blend_values(attention_weights(scores), v)
    ### END SOLUTION

# %%
masked_attention = check(masked_attention)

# %% [markdown]
# A trick to look inside any attention function: let the value of word `j` be 1 at place `j` and 0
# elsewhere. Blending such values returns the weights themselves. `weights_of` does that.

# %%
weights = weights_of(masked_attention, q, k)
assert torch.allclose(weights, by_hand)

# %% [markdown]
# ### Encoder and decoder
#
# Two names that you will meet everywhere: an **encoder**, such as BERT, reads a text that is already
# there, and every token may read all of it. A **decoder**, such as GPT-2, writes, and a token reads only
# what came before. Here are both, with the same queries and the same keys; the triangle is the whole
# difference. Which rows are equal in both?

# %%
panels = [("encoder: everyone reads all", everything), ("decoder: only the past", weights)]
matrices(panels, words, words)

# %% [markdown]
# Only the last: *orders* has everything behind it anyway.
#
# ## What the mask promises
#
# Whatever happens at a later position, the earlier results do not change. Test it as one would test
# any promise: change the last word, and compare.

# %%
v = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, -1.0]])
before = masked_attention(q, k, v)
k_changed, v_changed = k.clone(), v.clone()
k_changed[3], v_changed[3] = torch.tensor([9.0, -9.0]), torch.tensor([-5.0, 5.0])
after = masked_attention(q, k_changed, v_changed)
(after - before).abs().sum(dim=-1)

# %% [markdown]
# The first three rows are untouched, to the last digit. GPT-2 never reads its first token again in the
# light of the second. This is a limit (an encoder may do so), and it is what makes writing text fast:
# what was computed for earlier tokens stays true, and need not be computed again.
#
# The same promise is why one run can stand for many. Run each beginning on its own, keep its last row,
# and compare with the single run over the whole:

# %%
one_by_one = [masked_attention(q[:t], k[:t], v[:t])[-1] for t in range(1, 5)]
assert torch.allclose(torch.stack(one_by_one), before)

# %% [markdown]
# `T` training examples in one run. This only holds because of the mask, and without it nobody would
# get an error: the model would train, the loss would fall, faster than ever. Let us do just that.
#
# ## The break-it lab
#
# How good a prediction was is measured by the **loss**: minus the natural logarithm of the probability
# that the model gave to the word that came. A probability of 1 costs 0, one of 1/3 costs `ln 3`. The
# unit is called *nat*.
#
# We make a tiny language in which we know how well anyone can predict: twelve words, and after each word
# one of three words follows, all three equally likely. Whoever knows the rules perfectly still has to give
# 1/3 to each: the best possible loss is `ln 3`. That is the **floor**. Nothing honest goes below it.

# %%
V, length, C = 12, 12, 32  # words in the language, words that are read, width of the model
random = torch.Generator().manual_seed(0)
followers = torch.stack([torch.randperm(V, generator=random)[:3] for _ in range(V)])  # (V, 3)
floor = math.log(3)
print(f"after word 0 comes one of {followers[0].tolist()}; floor: {floor:.4f} nats per token")

# %% [markdown]
# Sentences of 13 words, made by following the rules at random. The model reads the first 12 and predicts
# the last 12: the same row, shifted by one.

# %%
def sentences(n: int, generator: torch.Generator) -> Tensor:
    """n random sentences (n, length + 1)."""
    idx = torch.randint(V, (n, 1), generator=generator)
    for _ in range(length):
        choice = torch.randint(3, (n, 1), generator=generator)
        idx = torch.cat([idx, followers[idx[:, -1]].gather(1, choice)], dim=1)
    return idx


sentences(2, random)

# %% [markdown]
# A small model: embeddings, one attention, one MLP, scores for the next word. What each layer does is
# the subject of other lessons; here only `attend` matters, the attention function that it is given.
# (In this language the last word says all that can be known, so an honest model could do without
# attention. All the better: whatever attention adds here, it has read in the future.)

# %%
class TinyModel(nn.Module):
    """Next-word scores (B, T, V) for ids (B, T), with whatever attention function it is given."""

    def __init__(self, attend):
        super().__init__()
        self.attend = attend
        self.wte, self.wpe = nn.Embedding(V, C), nn.Embedding(length, C)
        self.qkv = nn.Linear(C, 3 * C)
        self.mlp = nn.Sequential(nn.Linear(C, 4 * C), nn.GELU(), nn.Linear(4 * C, C))
        self.head = nn.Linear(C, V)

    def forward(self, idx):
        x = self.wte(idx) + self.wpe(torch.arange(idx.shape[1]))  # (B, T, C)
        x = x + self.attend(*self.qkv(x).chunk(3, dim=-1))
        return self.head(x + self.mlp(x))

# %% [markdown]
# Five attention functions. The first is yours. The other four are mistakes that people really make;
# say for each what it lets a word see.

# %%
def attend_all(q, k, v):
    return blend_values(attention_weights(attention_scores(q, k)), v)


def one_too_far(q, k, v):
    too_late = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool).triu(2)
    return blend_values(attention_weights(attention_scores(q, k).masked_fill(too_late, -math.inf)), v)


def score_zero(q, k, v):
    future = ~causal_mask(q.shape[-2], k.shape[-2])
    return blend_values(attention_weights(attention_scores(q, k).masked_fill(future, 0.0)), v)


def zero_after_softmax(q, k, v):
    future = ~causal_mask(q.shape[-2], k.shape[-2])
    return blend_values(attention_weights(attention_scores(q, k)).masked_fill(future, 0.0), v)

# %% [markdown]
# **Two ways to measure.** The **usual loss** runs the model once over whole sentences, as training
# does. The **honest loss** never shows the model what it should predict: it cuts the sentence off
# before every question and looks only at the last row. With a right mask both are the same number.

# %%
@torch.no_grad()
def usual_loss(model, idx):
    return F.cross_entropy(model(idx[:, :-1]).flatten(0, 1), idx[:, 1:].flatten()).item()


@torch.no_grad()
def honest_loss(model, idx):
    losses = [F.cross_entropy(model(idx[:, :t])[:, -1], idx[:, t]) for t in range(1, length + 1)]
    return torch.stack(losses).mean().item()

# %% [markdown]
# Train all five in the same way: same start, same sentences, 200 steps. Only the mask differs. Each step
# predicts, measures the loss (`cross_entropy` is the loss from above, averaged over all questions), finds
# out in which direction every number of the model should move (`backward`), and moves it a little
# (`step`). Lesson 13 takes this loop apart; here it is a machine that makes the loss small.
#
# **Predict:** which variant will have the lowest usual loss, and which the lowest honest loss?

# %%
def train(attend, progress, steps=200):
    """A trained TinyModel and its usual loss at every step."""
    torch.manual_seed(1)
    model, generator, curve = TinyModel(attend), torch.Generator().manual_seed(2), []
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(steps):
        progress.update()
        idx = sentences(64, generator)
        loss = F.cross_entropy(model(idx[:, :-1]).flatten(0, 1), idx[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        curve.append(loss.item())
    return model, curve

# %% [markdown]
# Some seconds for all five. (One thread, since such small matrices gain nothing from more.)

# %%
variants = {
    "causal": masked_attention,
    "no mask": attend_all,
    "one too far": one_too_far,
    "score 0": score_zero,
    "zeroed after softmax": zero_after_softmax,
}
torch.set_num_threads(1)
with tqdm(total=200 * len(variants), desc="steps") as progress:
    trained = {name: train(attend, progress) for name, attend in variants.items()}
usual = {name: curve for name, (_, curve) in trained.items()}
loss_lines(usual, {"floor": floor}, "Four of the five fall below what is possible")

# %% [markdown]
# Every line below the floor has done the impossible. If you see only this picture, "no mask" looks
# like a great success. Now the honest loss, on sentences that no model has seen:

# %%
unseen = sentences(500, torch.Generator().manual_seed(3))
losses = {
    name: (usual_loss(model, unseen), honest_loss(model, unseen))
    for name, (model, _) in trained.items()
}
assert abs(losses["causal"][0] - losses["causal"][1]) < 1e-3
two_losses(losses, floor)

# %% [markdown]
# - **causal**: both losses agree, just above the floor. It is the only model here that can write.
# - **no mask** and **one too far** copy the next word. Cut off from it, they are worse than guessing
#   among all twelve words, which would cost `ln 12`, about 2.48.
# - **score 0** gives each future word e⁰ = 1 in the sum of its row. The model learns to push the scores of
#   the words that it may read far below 0, and then the future has most of the row. It gets an even
#   mixture of all words to come, which does not say which one is next, but narrows the guess.
# - **zeroed after softmax** has weights of exactly 0 on the future, and still reads it, through the size
#   of the weights that are left. One number per row is little, but it can take many values, and only
#   three words have to be told apart.
#
# Why are the last two so bad when they are honest, far worse than guessing? They are *sure*. Used to
# being told the answer, they give nearly all probability to one word, and when it is another one, the
# loss of a probability near 0 is very large.
#
# And why is the best leak not at 0? The last word of a sentence has no future to read: one question in
# twelve must be answered honestly.

# %%
print(f"the floor, once in {length} questions: {floor / length:.3f}")
print(f"usual loss without a mask:       {losses['no mask'][0]:.3f}")

# %% [markdown]
# ## Play with it
#
# Switch the mask. On the left, the weights that it gives our four words; a red frame marks attention
# on the future. On the right, the two losses of the tiny model that was trained with it. For which
# variant would the picture on the left alone have told you nothing? What gives it away all the same?

# %%
mask_switch(variants, q, k, words, losses, floor)

# %% [markdown]
# **Before you go:** a colleague's model reaches a loss of 0.3 nats per token on ordinary English after
# one hour of training. Good models reach about 3. What do you ask first?
#
# <details><summary>A. Which optimizer they use</summary>
# An optimizer can fit the training text better, but it makes no text more predictable than it is. A loss
# ten times better than that of everybody else is not a better learning rate.
# </details>
# <details><summary>B. What the loss is when only the beginning of a text is given</summary>
# Yes: the honest loss. If it jumps up, the model was reading ahead. Sampling a text from it shows the
# same at once: it writes nonsense.
# </details>
# <details><summary>C. How much data they have</summary>
# A small data set that was learned by heart can give such a loss as well, on that same data. It is a
# good second question; the first one is cheaper and catches the mask.
# </details>

# %% [markdown]
# ## What you have
#
# `causal_mask` says who may read whom, for training (as many queries as keys) and for one new token on
# top of earlier ones. `masked_attention` is the attention of a decoder: what it says about a position
# depends on nothing later. Thanks to that, one run over `T` tokens trains on `T` examples, and what was
# computed once stays valid.
#
# The numbers of this stage in the smallest GPT-2:

# %%
n_ctx, n_layer, n_head = 1024, 12, 12  # longest text; attention runs n_head times in each layer
read = causal_mask(n_ctx, n_ctx).sum().item()
print("parameters in the mask: 0 of 124,439,808")
print(f"of {n_ctx**2:,} pairs of positions {read:,} may be read: {read / n_ctx**2:.2%}")
print(f"masks applied in one forward pass: {n_layer * n_head} (layers × heads)")

# %% [markdown]
# **Sources.** Vaswani et al. 2017, *Attention Is All You Need*, section 3.2.3 (masking in the decoder);
# Radford et al. 2018, *Improving Language Understanding by Generative Pre-Training*, section 3.1, and
# Radford et al. 2019, *Language Models are Unsupervised Multitask Learners*, section 2; the code
# released with the latter, `src/model.py`, function `mask_attn_weights`.
#
# **Next:** one such attention looks at the text in one way only. GPT-2 runs twelve of them, called heads,
# side by side in each layer: lesson 07, multi-head attention.
