# %% [markdown]
# # 06 · Masking
#
# **The question:** a model that predicts the next token is trained on text in which the next token is
# already written. Attention, as [lesson 05](05_self_attention.ipynb) left it, lets every token read
# every other. What keeps the model from simply reading the answer?
#
# - **In:** scores `(T, S)`, one row for each of T queries, one column for each of S keys.
# - **Out:** attention weights `(T, S)` in which no query reads a later position.
# - **Time:** 50 minutes for the core, 65 for everything.
# - **Exercises:** `causal_mask` and `masked_attention`.
#
# Keep at hand: the [cheat sheet](../docs/cheat_sheet.md), the [glossary](../docs/glossary.md), the
# [notation](../docs/notation.md), and [what well-known explanations get wrong](../docs/common_errors.md).

# %% [markdown]
# First the imports. What you passed in lesson 05 is your own; the line below the cell says so.

# %%
import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from gpt2course import check, kept_names, my_progress
from gpt2course.config import GPT2Config
from gpt2course.lessons.masking import (
    loss_lines, mask_switch, matrices, tower, training_examples, two_losses, weights_of,
)
from gpt2course.mine import attention_scores, attention_weights, blend_values
from gpt2course.model import count_parameters

# %% [markdown]
# You are here: inside the attention of every block. The three steps of lesson 05 stay as they are.

# %%
tower("06_masking", kept_names())

# %% [markdown]
# ## One sequence is many examples
#
# Training asks one question over and over: given the beginning of a text, which token comes next?
# How many such questions does the text *robot must obey orders* contain? Each word is one token here,
# and `<|endoftext|>` marks the end, as in [lesson 02](02_tokens.ipynb). Count before you run the cell.

# %%
words = ["robot", "must", "obey", "orders"]
training_examples([*words, "<|endoftext|>"])

# %% [markdown]
# Four: one for each token that is read. (The four steps are Jay Alammar's, from *The Illustrated GPT-2*.)
# So `T` tokens, with the next token known for each, are **`T` training examples**. Attention computes
# all rows of a matrix at once, so a single run can answer all `T` questions, provided that row `i` uses
# nothing but the tokens up to `i`. This lesson sees to that.

# %% [markdown]
# ## What goes wrong without a mask
#
# Here are small queries and keys for the four tokens, with two entries each. The values come later.

# %%
q = torch.tensor([[1.0, 0.5], [1.0, 1.0], [0.0, 2.0], [2.0, 1.0]])  # (T, hs) = (4, 2)
k = torch.tensor([[1.0, 0.0], [0.5, 0.6], [1.5, 0.5], [0.0, 1.5]])  # (S, hs) = (4, 2)
scores = attention_scores(q, k)
matrices([("scores (T, S)", scores)], words, words)

# %% [markdown]
# A row belongs to the token that reads, a column to the token that is read. A softmax makes attention
# weights of each row. Look at the row of *robot*: which of its four weights may it use while it
# predicts *must*?

# %%
everything = attention_weights(scores)
print(f"robot gives {everything[0, 1:].sum():.0%} of its attention to the tokens after it")
matrices([("weights without a mask", everything)], words, words)

# %% [markdown]
# Only the first. The other three tokens are the answer and what comes after it.
#
# **Predict.** Suppose the future is hidden properly. What will the row of *robot* be?
#
# <details><summary>A. 25 % each: it knows nothing, so it spreads evenly</summary>
# No. Spreading evenly would still read three tokens of the future. A hidden token has weight 0, so all
# the attention must go to the only token that is left.
# </details>
# <details><summary>B. 100 % on robot</summary>
# Yes. A row of attention weights always sums to 1, and there is only one token to read. The first token
# of every text reads nothing but itself, in every attention of GPT-2.
# </details>
# <details><summary>C. The same first weight as before, and zeros after it</summary>
# No: the row would no longer sum to 1. The softmax distributes 1 among the scores it is given, so the
# visible tokens receive what the hidden ones had.
# </details>

# %% [markdown]
# ## By hand
#
# To hide the future of a token, leave those scores out and take the softmax of the rest: raise e to each
# score and divide by the sum. Row `i` keeps its first `i + 1` scores, and the rest of the row stays 0.

# %%
by_hand = torch.zeros(4, 4)
for i in range(4):
    seen = scores[i, : i + 1]
    by_hand[i, : i + 1] = torch.exp(seen) / torch.exp(seen).sum()
matrices([("weights, future left out", by_hand)], words, words)

# %% [markdown]
# *robot* gives 100 % to itself, *must* splits its attention almost evenly between *robot* and itself (as in
# Alammar's illustration), and *orders* sees all four. The weights form a triangle, and each row still
# sums to 1.

# %% [markdown]
# ## The mask as a triangle
#
# A loop over rows is slow. To do all rows in one step, write down once who may read whom: a matrix of
# True and False, with a row for each query and a column for each key. This is the **causal mask**, and
# attention with it is called **masked** or **causal self-attention**. It is True exactly where our weights
# by hand are not 0:

# %%
matrices([("may read (T, S)", by_hand > 0)], words, words)

# %% [markdown]
# ### Fewer queries than keys
#
# Suppose three tokens were read earlier and their keys were kept; only the two newest tokens ask.
# ([Lesson 12](12_kv_cache.ipynb) makes GPT-2 fast in this way.) The queries are then the **last**
# `n_query` = 2 of the `n_key` = 5 positions: 3 and 4, counted from 0. So count from the **lower right
# corner**: the last query may read all keys, the query before it all but one, and so on.
#
# **Predict.** Which keys may the first of these two queries read?
#
# <details><summary>A. Only the first key, as the first row always does</summary>
# No, that counts from the upper left corner. This query is at position 3, so positions 0, 1 and 2 are
# its past.
# </details>
# <details><summary>B. The first four</summary>
# Yes: its own position, 3, and the three before it. Only the last key lies in its future.
# </details>
# <details><summary>C. All five</summary>
# No. The fifth key belongs to the second query, one position later.
# </details>

# %% [markdown]
# ## Exercise: `causal_mask` ●●○○○ · 10 minutes
#
# Write the function that returns this matrix for any `n_query ≤ n_key`: a boolean tensor
# `(n_query, n_key)`, True where query `i` may read key `j`. The queries are the last `n_query` of the
# `n_key` positions; a query may read its own position and all positions before it.
#
# Replace the line that raises, run the cell, then run the check below it. Until your function passes,
# the check puts the package's own in its place, so you can continue whenever you like.
#
# <details><summary>Hint 1</summary>
# Give each query and each key its position: 0, 1, 2, … for the keys. What is the position of query
# <code>i</code>?
# </details>
# <details><summary>Hint 2</summary>
# Query <code>i</code> is at position <code>i + n_key - n_query</code>. It may read key
# <code>j</code> if <code>j</code> is not larger than that.
# </details>
# <details><summary>Hint 3</summary>
# <code>torch.arange</code> gives the positions. Comparing a column <code>[:, None]</code> with a row
# gives the whole matrix at once. Or look up <code>torch.tril</code> and its <code>diagonal</code>.
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
# The picture shows the case of the prediction, two queries on top of three earlier keys.

# %%
same = torch.equal(causal_mask(4, 4), by_hand > 0)
print("causal_mask(4, 4) is the triangle from above:", same)
assert same, "causal_mask(4, 4) should be True exactly where the weights by hand are not 0"
positions = ["key 0", "key 1", "key 2", "key 3", "key 4"]
matrices([("causal_mask(2, 5)", causal_mask(2, 5))], ["query at 3", "query at 4"], positions)

# %% [markdown]
# ## Where the mask goes: before the softmax, as -inf
#
# The softmax gives every score the weight `exp(score) / sum`. For a weight of 0, `exp(score)` has to
# be 0. Which score does that? You will often read that "future tokens are scored 0".

# %%
candidates = torch.tensor([0.0, -1.0, -10.0, -1e9, -math.inf])
for score, power in zip(candidates.tolist(), candidates.exp().tolist(), strict=True):
    print(f"score {score:>14}   e^score = {power:.6f}")

# %% [markdown]
# A score of 0 is a score like any other: e⁰ = 1. What has to become 0 is the **weight**, and the score
# that does it is minus infinity. Below is the row of *must*, first with its future scored 0, then with
# its future scored -inf. (`masked_fill(where, value)` returns a copy that holds `value` wherever
# `where` is True.) Which of the two is the row that you found by hand?

# %%
future = torch.tensor([False, False, True, True])
scored_zero = scores[1].masked_fill(future, 0.0).softmax(dim=-1)
scored_minus_inf = scores[1].masked_fill(future, -math.inf).softmax(dim=-1)
assert torch.allclose(scored_minus_inf, by_hand[1]), "the second row should be the one by hand"
matrices(
    [("future scored 0", scored_zero[None]), ("future scored -inf", scored_minus_inf[None])],
    ["must"],
    words,
)

# %% [markdown]
# The second. Many programs use a very large negative number instead of -inf: *The Illustrated GPT-2* names
# -1 billion (-1e9), and the code released with GPT-2 subtracts 1e10. The weights come out the same.
#
# Setting the weights to 0 *after* the softmax looks simpler, and it is wrong: the hidden tokens have
# already taken part in the sum. The break-it lab below shows what that does to a model.

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ### Deeper: why not after the softmax?
#
# How the future leaks through weights that are 0, and what repairs it. You can skip this section.

# %% [markdown]
# (`~` inverts a mask: `~may_read` is True where reading is forbidden.) What do the rows sum to?

# %%
may_read = causal_mask(4, 4)
zeroed = everything.masked_fill(~may_read, 0.0)
zeroed.sum(dim=-1)

# %% [markdown]
# Each early row sums to less than 1, because the hidden tokens took part in the softmax. *How much* less
# depends on the future. Give *orders*, the last token, other scores in the row of *robot*, and watch the
# weight that *robot* gives to itself, with the future "hidden":

# %%
for score_of_orders in (0.0, 1.0, 2.0, 3.0):
    row = torch.cat([scores[0, :3], torch.tensor([score_of_orders])])
    print(f"orders scores {score_of_orders}: robot gives itself {row.softmax(dim=-1)[0]:.3f}")

# %% [markdown]
# The first row can tell what the fourth token is: the future **leaks** through the size of the weights.
# Dividing each row by its sum repairs it, and then the result is the same as masking before the
# softmax (unless every visible weight was so small that it had been rounded to 0):

# %%
repaired = zeroed / zeroed.sum(dim=-1, keepdim=True)
assert torch.allclose(repaired, by_hand), "the repaired rows should be the ones by hand"
matrices([("zeroed after the softmax", zeroed), ("divided by the sums", repaired)], words, words)

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ### Deeper: -inf or a very large negative number?
#
# Two cases in which -inf and -1e9 differ: rows in which everything is hidden, and half precision. You
# can skip this section.

# %% [markdown]
# For the row of *must* the two give the same weights, to the last digit:

# %%
scored_minus_1e9 = scores[1].masked_fill(future, -1e9).softmax(dim=-1)
print("-1e9:", scored_minus_1e9.tolist())
print("-inf:", scored_minus_inf.tolist())
assert torch.equal(scored_minus_1e9, scored_minus_inf)

# %% [markdown]
# They differ in a row in which everything is hidden. Predict both lines.

# %%
print("all -inf:", torch.full((4,), -math.inf).softmax(dim=-1).tolist())
print("all -1e9:", torch.full((4,), -1e9).softmax(dim=-1).tolist())

# %% [markdown]
# With -inf the softmax divides 0 by 0, which gives `nan`, and a `nan` spreads through everything that it
# touches. With -1e9 the row quietly reads the whole future. A causal row is never empty, since each token
# may read itself. But a row can become empty where padding is hidden as well, and then the loud failure
# is the better one.
#
# The other case is half precision. To save memory, models often compute in `float16`, numbers of two
# bytes, whose range is small:

# %%
print("the lowest float16:", torch.finfo(torch.float16).min)
try:
    scores[1].to(torch.float16).masked_fill(future, -1e9)
except RuntimeError as error:
    print("with -1e9:", error)
print("with -inf:", scores[1].to(torch.float16).masked_fill(future, -math.inf))

# %% [markdown]
# ## Exercise: `masked_attention` ●●○○○ · 10 minutes
#
# Put it together: scores, mask, weights, blend. `q` is `(..., T, hs)`; `k` and `v` are `(..., S, hs)`
# with `T ≤ S`. The dots stand for any number of leading axes (batch, heads), which your three
# functions from lesson 05 already handle. The result is `(..., T, hs)` and has the dtype of `q`.
#
# <details><summary>Hint 1</summary>
# The number of queries is <code>q.shape[-2]</code>, the number of keys <code>k.shape[-2]</code>.
# </details>
# <details><summary>Hint 2</summary>
# <code>masked_fill(mask, value)</code> fills where its mask is <b>True</b>. Your mask is True where
# reading is allowed, so invert it: <code>~mask</code>.
# </details>
# <details><summary>Hint 3</summary>
# A mask of shape <code>(T, S)</code> fits scores of shape <code>(..., T, S)</code>: torch repeats it over
# the leading axes, which is called <i>broadcasting</i>. The order is scores, fill with
# <code>-math.inf</code>, weights, blend.
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
# ### Encoder and decoder
#
# You will meet two names everywhere. An **encoder**, such as BERT, reads a text that is already
# complete, and every token may read all of it. A **decoder**, such as GPT-2, writes, and a token reads
# only itself and what came before it. Here are both, with the same queries and keys. Which rows are equal?
#
# (`weights_of` shows the weights inside any attention function: it lets the value of token `j` have a 1 in
# entry `j` and 0 in all others, so that the blend of the values is the weights themselves.)

# %%
weights = weights_of(masked_attention, q, k)
difference = (weights - by_hand).abs().max().item()
print(f"largest difference from the weights by hand: {difference:.0e}")
assert difference < 1e-5, "masked_attention should use the weights that we found by hand"
panels = [("encoder: everyone reads all", everything), ("decoder: only the past", weights)]
matrices(panels, words, words)

# %% [markdown]
# Only the last: *orders* has everything before it anyway. (Encoders use a mask too, to hide the
# **padding** that makes all texts of a batch equally long.)

# %% [markdown]
# ## What the mask promises
#
# Whatever happens later, earlier results do not change. Test it: change the last token, and compare.

# %%
v = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, -1.0]])
before = masked_attention(q, k, v)
k_changed, v_changed = k.clone(), v.clone()
k_changed[3], v_changed[3] = torch.tensor([9.0, -9.0]), torch.tensor([-5.0, 5.0])
after = masked_attention(q, k_changed, v_changed)
(after - before).abs().sum(dim=-1)

# %% [markdown]
# The first three rows are untouched, to the last digit. This makes generating text fast: what was computed
# for earlier tokens stays valid. It also lets one run stand for many. Run each beginning of the text on its
# own, and compare its last row with the single run over the whole text:

# %%
one_by_one = torch.stack([masked_attention(q[:t], k[:t], v[:t])[-1] for t in range(1, 5)])
assert torch.allclose(one_by_one, before, atol=1e-5), "each beginning should give its row of the run"
panels = [("one run over the whole text", before), ("each beginning on its own", one_by_one)]
matrices(panels, words, ["entry 0", "entry 1"])

# %% [markdown]
# `T` training examples in one run. Without the mask this would not hold, and yet you would get no error:
# the loss would fall faster than ever. Try it.

# %% [markdown]
# ## The break-it lab
#
# The **loss** measures how good a prediction was: minus the natural logarithm of the probability that the
# model gave to the token that came, in *nats* ([lesson 01](01_language_models.ipynb)). A probability of 1/3
# costs `ln 3`.
#
# We make a tiny language of twelve tokens. After each token one of three tokens follows, all three
# equally likely. Even a model that knows the rules perfectly has to give 1/3 to each, so the best possible
# loss is `ln 3`: call it the **floor**. A model reads the first 12 tokens of a sentence and predicts the
# last 12 of its 13.

# %%
V, length, C = 12, 12, 32  # tokens in the language, tokens that are read, width of the model
random = torch.Generator().manual_seed(0)
followers = torch.stack([torch.randperm(V, generator=random)[:3] for _ in range(V)])  # (V, 3)
floor = math.log(3)


def sentences(n: int, generator: torch.Generator) -> Tensor:
    """n random sentences (n, length + 1)."""
    idx = torch.randint(V, (n, 1), generator=generator)
    for _ in range(length):
        choice = torch.randint(3, (n, 1), generator=generator)
        idx = torch.cat([idx, followers[idx[:, -1]].gather(1, choice)], dim=1)
    return idx


print(f"after token 0 comes one of {followers[0].tolist()}; floor: {floor:.4f} nats per token")
print("a sentence:", sentences(1, random)[0].tolist())

# %% [markdown]
# We train the same small model with your attention function and with four mistakes that people really
# make. For each mistake, say what it lets a token see. (`~` inverts a mask. `triu(2)` keeps what is at least
# two columns to the right of the diagonal.)

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
# The **usual loss** runs the model once over whole sentences, as training does. The **honest loss** cuts
# the sentence off before each question and looks only at the last row, so the model never sees what it
# should predict. With a correct mask the two are equal.
#
# Run the next two cells without reading them: later lessons explain the layers, and
# [lesson 13](13_training.ipynb) the training loop. All that matters is that each model is given another
# attention function, `attend`.

# %%
class TinyModel(nn.Module):
    """Next-token scores (B, T, V) for ids (B, T), with whatever attention function it is given."""

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

# %%
def loss_of(model, idx):
    """The usual loss: one run over all the sentences."""
    return F.cross_entropy(model(idx[:, :-1]).flatten(0, 1), idx[:, 1:].flatten())


def honest_loss_of(model, idx):
    """One run for each question; the model sees only the tokens before it."""
    losses = [F.cross_entropy(model(idx[:, :t])[:, -1], idx[:, t]) for t in range(1, length + 1)]
    return torch.stack(losses).mean()


def train(attend, progress, steps=200):
    """A trained TinyModel and its usual loss at every step."""
    torch.manual_seed(1)
    model, generator, curve = TinyModel(attend), torch.Generator().manual_seed(2), []
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(steps):
        loss = loss_of(model, sentences(64, generator))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        curve.append(loss.item())
        progress.update()
    return model, curve

# %% [markdown]
# Train all five with the same start and the same sentences. **Predict:** which variant will have the
# lowest usual loss, and which the lowest honest loss?

# %%
variants = {
    "causal": masked_attention,
    "no mask": attend_all,
    "one too far": one_too_far,
    "score 0": score_zero,
    "zeroed after softmax": zero_after_softmax,
}
torch.set_num_threads(1)  # such small matrices gain nothing from more
with tqdm(total=200 * len(variants), desc="steps") as progress:
    trained = {name: train(attend, progress) for name, attend in variants.items()}
usual = {name: curve for name, (_, curve) in trained.items()}
loss_lines(usual, {"floor": floor}, "Four of the five fall below what is possible")

# %% [markdown]
# Every line below the floor has read the future: the tokens so far cannot tell more. From this picture
# alone, "no mask" looks like a great success. Now the honest loss, on sentences that no model has seen:

# %%
unseen = sentences(500, torch.Generator().manual_seed(3))
with torch.no_grad():
    losses = {
        name: (loss_of(model, unseen).item(), honest_loss_of(model, unseen).item())
        for name, (model, _) in trained.items()
    }
usual_causal, honest_causal = losses["causal"]
assert abs(usual_causal - honest_causal) < 1e-3, "with a correct mask both losses should be equal"
two_losses(losses, floor)

# %% [markdown]
# - **causal**: the two losses are equal, just above the floor.
# - **no mask** and **one too far** copy the next token. Cut off from it, they are worse than guessing
#   among all twelve tokens, which would cost `ln 12`, about 2.48.
# - **score 0** and **zeroed after softmax** read less of the future, and are still far below the floor.

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ### Deeper: the two pictures, explained
#
# How the last two variants read the future, why they are so bad without it, and why no variant reaches a
# loss of 0. You can skip this section.

# %% [markdown]
# - **score 0** gives each future token e⁰ = 1 in the sum of its row. The model learns to push the scores
#   of the visible tokens far below 0, and then the future has most of the row. It reads an even mixture
#   of all tokens to come. This does not say which one is next, but it narrows the guess.
# - **zeroed after softmax** has weights of exactly 0 on the future. It reads the future through the size
#   of the weights that are left. One number per row is little, but only three tokens have to be told
#   apart.
#
# Why are these two far worse than guessing when they are honest? They are *sure*. Used to being told the
# answer, they give nearly all probability to one token, and when another one comes, the loss is very
# large.
#
# And why is even the best leak not at 0? The last token of a sentence has no future to read, so one
# question in twelve must be answered honestly:

# %%
print(f"the floor, for one question in {length}: {floor / length:.3f}")
print(f"usual loss without a mask:          {losses['no mask'][0]:.3f}")

# %% [markdown]
# ## Play with it
#
# Switch the mask. The matrix shows the weights that it gives our four tokens; a red frame marks attention
# on the future. The bars show both losses of the tiny model that was trained with it. For which wrong
# variant does the matrix show no red frame? What gives it away all the same?

# %%
mask_switch(variants, q, k, words, losses, floor)

# %% [markdown]
# <details><summary>Answer, after you have tried</summary>
# <i>zeroed after softmax</i>. All its weights on the future are 0. But its rows do not sum to 1, and its
# honest loss is far from its usual one.
# </details>

# %% [markdown]
# ## What you have
#
# `causal_mask` says who may read whom. `masked_attention` is the attention of a decoder: its result for a
# position depends on nothing later. So one run over `T` tokens trains on `T` examples, and what was
# computed once stays valid. The numbers of this stage in the smallest GPT-2:

# %%
config = GPT2Config()
allowed = causal_mask(config.n_ctx, config.n_ctx).sum().item()
print(f"parameters in the mask: 0 of {count_parameters(config):,}")
print(f"pairs of positions: {config.n_ctx**2:,}, of which {allowed:,} may be read "
      f"({allowed / config.n_ctx**2:.2%})")

# %% [markdown]
# ### Questions
#
# Five about this lesson:
#
# 1. How many weights in row `i`, counted from 0, are not 0, and what do they sum to?
#    <details><summary>Answer</summary><code>i + 1</code>: its own and those of the <code>i</code> tokens
#    before it. They sum to 1.</details>
# 2. Someone tells you that future tokens are scored 0. What do you reply?
#    <details><summary>Answer</summary>Their <i>weights</i> are 0. A score of 0 would leave them e⁰ = 1 in
#    the softmax; their scores are -inf.</details>
# 3. Two new tokens arrive on top of six earlier ones. How many entries of the mask are True?
#    <details><summary>Answer</summary>The mask is <code>causal_mask(2, 8)</code>: 7 in the first row, 8 in
#    the second, 15 in all.</details>
# 4. A row is masked after the softmax, so the future has weight 0. How can the future still get through?
#    <details><summary>Answer</summary>The hidden scores were part of the sum that the softmax divides by,
#    so the visible weights grow or shrink with them.</details>
# 5. A colleague's model reaches a loss of 0.3 nats per token on ordinary English after an hour of
#    training. The smallest GPT-2 is at about 3.1, the largest at about 2.5. What do you ask first?
#    <details><summary>Answer</summary>"What is the loss when the model is given only the beginning of
#    each text?" That is the honest loss; if it jumps up, the model was reading ahead. Text
#    sampled from the model shows it too: it is nonsense. (A small data set, learned by heart, can also
#    give such a loss. Ask about that next.)</details>
#
# Two about earlier lessons:
#
# 6. Lesson 05: why are the scores divided by √hs?
#    <details><summary>Answer</summary>A dot product of hs products varies with about √hs. Large scores
#    would make the softmax all or nothing, and leave almost no gradient.</details>
# 7. Lesson 04: leave positions out and shuffle the tokens before the last one. Does the mask make the
#    result of the last token change?
#    <details><summary>Answer</summary>No. The last token reads the same keys and values, only in another
#    order, and a sum has no order. The mask does not replace positions.</details>

# %% [markdown]
# ### Challenge: a window of the past
#
# Some later models let a token read only the `w` newest positions, its own included (a *sliding
# window*). Write such a mask and use it in the tiny model. What to look for: the number of True entries
# grows with `T · w` and no longer with `T²`. Then apply such an attention twice, and find out with the
# test of *What the mask promises* how far back the second result still depends on a token.

# %% [markdown]
# **Sources.** Alammar 2019, *The Illustrated GPT-2*, part 2 (its numbers are illustrations, not
# measurements); Vaswani et al. 2017, *Attention Is All You Need*, section 3.2.3; Radford et al. 2018,
# *Improving Language Understanding by Generative Pre-Training*, section 3.1; Radford et al. 2019,
# *Language Models are Unsupervised Multitask Learners*, section 2, and its code, `src/model.py`, function
# `mask_attn_weights`; Devlin et al. 2018, *BERT*, section 3 (every token reads all); Karpathy, *nanoGPT*, README,
# "baselines" (losses of GPT-2 on OpenWebText).
#
# **Next:** one such attention looks at the text in one way only. GPT-2 runs twelve of them, called heads,
# side by side in each layer: [lesson 07, multi-head attention](07_multi_head.ipynb).
#
# **What you have built so far:**

# %%
my_progress()
