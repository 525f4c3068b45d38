# %% [markdown]
# # 05 · Self-attention
#
# **The question:** *A robot must obey the orders given it.* What is *it*? At this stage each token is a
# vector that knows its own word and position, and nothing else. How can one token learn from the others?
#
# - **In:** queries, keys and values, each `(T, hs)`: T tokens, vectors with hs entries (*head size*).
# - **Out:** a new vector for each token, again `(T, hs)`.
# - **Time:** 60 minutes for the core, 80 for everything.
# - **Exercises:** `attention_scores`, `attention_weights` and `blend_values`.
#
# Keep at hand: the [cheat sheet](../docs/cheat_sheet.md), the [glossary](../docs/glossary.md), the
# [notation](../docs/notation.md), and [what well-known explanations get wrong](../docs/common_errors.md).

# %%
import math

import torch
from jaxtyping import Float
from torch import Tensor

from gpt2course import check, kept_names, my_progress
from gpt2course.config import GPT2Config
from gpt2course.lessons.self_attention import cabinet_to_play, figures, matrices, tower
from gpt2course.model import count_parameters

torch.manual_seed(5);

# %% [markdown]
# You are here:

# %%
tower("05_self_attention", kept_names())

# %% [markdown]
# ## A vector that knows only itself
#
# In this lesson a token is a whole word. Give each word of two sentences a row of 768 random entries, as in
# GPT-2's embedding matrix before training ([lesson 03](03_embeddings.ipynb)). In both, *it* is the eighth
# token, so we leave positions out. In one sentence it is the robot, in the other the child. How will its two
# vectors differ?

# %%
robot_words = "a robot must obey the orders given it".split()
child_words = "a child must obey the orders given it".split()
embedding = {word: torch.randn(768) for word in sorted({*robot_words, *child_words})}

x_robot = torch.stack([embedding[word] for word in robot_words])
x_child = torch.stack([embedding[word] for word in child_words])
print("shape of a sentence:", tuple(x_robot.shape))
print("it, robot sentence: ", x_robot[-1, :3], "and 765 more")
print("it, child sentence: ", x_child[-1, :3], "and 765 more")
print("equal in all entries:", torch.equal(x_robot[-1], x_child[-1]))

# %% [markdown]
# They do not: a lookup cannot know the sentence. Something has to let the vector of *it* take in the others,
# much of some, little of others. That is **attention**; where the tokens of one sequence read each other, it
# is **self-attention**.
#
# ## The filing cabinet
#
# Jay Alammar (*The Illustrated GPT-2*, 2019) compares it to a filing cabinet with a folder for each token:
#
# - a **query** is a note with a question: what the reading token is looking for;
# - a **key** is the label on a folder: what a token offers;
# - a **value** is the content of the folder: what is handed over.
#
# In an office you would compare the note with every label, and open the one folder that fits best. Here you
# open *every* folder, and take more where the label fits better. From which folders would you take most?

# %%
LABELS = ["robot: a thing", "must: a duty", "obey: an action", "orders: both"]
CONTENTS = ["more about robot", "more about must", "more about obey", "more about orders"]
figures.filing_cabinet("obey asks:\nwho or what?", LABELS, CONTENTS)

# %% [markdown]
# Queries, keys and values are vectors. Ours have two entries (hs = 2), so that we can draw them. In queries
# and keys the first means *a thing*, the second *an action*. (In a trained model nobody chooses such
# meanings.) *obey* asks for "a thing, and rather not an action": (2, -1). Which key points most nearly the
# same way as this dashed query? Which one points away from it?

# %%
WORDS = ["robot", "must", "obey", "orders"]
keys = [[2.0, 0.0], [-1.0, 1.0], [0.0, 2.0], [2.0, 2.0]]
query = [2.0, -1.0]

figures.key_arrows(WORDS, torch.tensor(keys), query, "obey")

# %% [markdown]
# ### Dot products: by hand, in a loop, all at once
#
# How well do two vectors match? Multiply them entry by entry and add up: the **dot product**. It is large
# where both point the same way, 0 at a right angle, negative where they point apart. Compute it in your head
# for the query (2, -1) and the key (2, 0).

# %%
robot_dot = query[0] * keys[0][0] + query[1] * keys[0][1]
robot_dot

# %% [markdown]
# Then for each key. Which dot products will be negative?

# %%
dots_of_obey = []
for key in keys:
    dots_of_obey.append(sum(a * b for a, b in zip(query, key)))

assert dots_of_obey[0] == robot_dot
dict(zip(WORDS, dots_of_obey))

# %% [markdown]
# Each token has a query of its own, a row of `q`. The keys are the rows of `k`, and `k @ one_query` is the
# loop above. In the result a row belongs to a **query**, a column to a **key**, here and in the whole course.
# Find the row of *obey*.

# %%
k = torch.tensor(keys)
q = torch.tensor([[-1.0, 2.0], [0.0, 1.0], [2.0, -1.0], [1.0, 1.0]])
dots_by_loop = torch.stack([k @ one_query for one_query in q])

assert dots_by_loop[2].tolist() == dots_of_obey
matrices([("dot products: row = query, column = key", dots_by_loop)], WORDS, WORDS)

# %% [markdown]
# **Predict.** All of this is one matrix product: `q @ k.T`. Here `k.T` is `k` **transposed**: its rows become
# columns. Suppose there were 2 queries and 4 keys of 3 entries each. What is the shape of `q @ k.T`?
#
# <details><summary>A. (2, 4)</summary>Right. One row for each query, one column for each key. The 3
# disappears: it is what each dot product sums over.</details>
# <details><summary>B. (4, 2)</summary>That is k @ q.T, with a row for each key. The numbers are the same,
# transposed; but then a row would no longer be what one query sees.</details>
# <details><summary>C. (2, 3)</summary>That is the shape of q itself. A query gives one number for each key,
# and there are 4 keys.</details>
# <details><summary>D. (2, 4, 3)</summary>That would be every product before adding up. A dot product
# ends with the sum, and the sum removes the 3.</details>

# %%
dots = q @ k.T

assert torch.equal(dots, dots_by_loop)
print("four queries, four keys:", tuple(dots.shape))
print("two queries, four keys: ", tuple((torch.ones(2, 3) @ torch.ones(4, 3).T).shape))

# %% [markdown]
# ## From dot products to scores: why √hs
#
# Our vectors have 2 entries; GPT-2's have 64. The more products a dot product sums, the further it strays
# from 0. The **variance** measures this: the mean squared distance from the mean. Here it is for four sizes,
# each with 10,000 pairs of random vectors, whose entries have variance 1. Guess the rule from the first
# column.

# %%
for size in (4, 16, 64, 256):
    a, b = torch.randn(10_000, size), torch.randn(10_000, size)
    products = (a * b).sum(dim=-1)
    raw, scaled = products.var().item(), (products / math.sqrt(size)).var().item()
    print(f"hs = {size:3}   variance {raw:6.1f}   after division by √hs {scaled:.2f}")
    assert abs(raw / size - 1) < 0.1 and abs(scaled - 1) < 0.1

# %% [markdown]
# The variance is hs: each product has variance 1, and the variances of independent numbers add up. Dividing
# numbers by c divides their variance by c², so dividing by √hs brings it back to 1. A dot product divided by
# √hs is called a **score**.
#
# ### Leading axes
#
# GPT-2's `q` has shape (B, nh, T, hs): sequences in the batch, attention heads
# ([lesson 07](07_multi_head.ipynb)), tokens, head size. `@` works on the last two axes and carries the
# leading ones along. But `.T` reverses *all* axes; `transpose(-2, -1)` exchanges the last two. Which shape
# below fits to the right of queries of shape (2, 3, 5, 7)?

# %%
many_queries, many_keys = torch.randn(2, 3, 5, 7), torch.randn(2, 3, 4, 7)
transposed = many_keys.transpose(-2, -1)
print("all axes reversed:          ", tuple(many_keys.permute(3, 2, 1, 0).shape))
print("the last two exchanged:     ", tuple(transposed.shape))
print("queries @ transposed keys:  ", tuple((many_queries @ transposed).shape))

# %% [markdown]
# ## Exercise: `attention_scores` ●●○○○ · 10 minutes
#
# Return the dot product of each query with each key, divided by √hs. There are T queries, S keys (S may
# differ from T), and any number of leading axes. Read `Float[Tensor, "... T hs"]` as: a float tensor whose
# last two sizes are T and hs.
#
# <details><summary>Hint 1</summary>For one sequence you have it already, except for the division.
# What has to change so that it works with leading axes too?</details>
# <details><summary>Hint 2</summary>hs is the last size of q. math.sqrt gives the root of a plain
# number.</details>
# <details><summary>Hint 3</summary>Exchange the last two axes of k, take the matrix product with q on
# the left, and divide by the root of q's last size.</details>

# %%
def attention_scores(
    q: Float[Tensor, "... T hs"], k: Float[Tensor, "... S hs"]
) -> Float[Tensor, "... T S"]:
    """How well each query (row) matches each key (column), divided by √hs."""
    ### BEGIN SOLUTION
    return q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    ### END SOLUTION

# %%
attention_scores = check(attention_scores)

# %% [markdown]
# In our example each dot product is divided by √2 ≈ 1.41. Signs and order stay.

# %%
scores = attention_scores(q, k)

assert torch.allclose(scores, dots / math.sqrt(2)), "the scores should be the dot products / √2"
matrices([("dot products", dots), ("scores", scores)], WORDS, WORDS)

# %% [markdown]
# ## From scores to weights
#
# Scores can be negative, and sum to anything. Each query needs **attention weights**: none negative, with a
# sum of 1. (They are computed anew for each text, unlike a model's learned *weights*, its parameters.)
# The **softmax** makes them in two steps. First it raises e (2.718…) to each score. The power is
# always positive. In the row of *obey*, which word has a power below 1?

# %%
row = scores[2].tolist()
powers = [math.exp(score) for score in row]

for word, score, power in zip(WORDS, row, powers):
    print(f"{word:7} score {score:5.2f}   e to that power {power:6.3f}")

# %% [markdown]
# Then it divides each power by their sum. Which weight will *robot* get: half, 80 %, or nearly everything?

# %%
weights_of_obey = [power / sum(powers) for power in powers]

assert math.isclose(sum(weights_of_obey), 1)
{word: round(weight, 3) for word, weight in zip(WORDS, weights_of_obey)}

# %% [markdown]
# Both steps as columns. *robot* scores 1.4 more than *orders*, so its power is four times as large (e to the 1.4):
# the softmax turns differences into ratios.

# %%
figures.softmax_columns(row, WORDS)

# %% [markdown]
# *obey* takes most from *robot*, some from *orders*, and next to nothing from *must* and itself.

# %%
figures.filing_cabinet("obey asks:\nwho or what?", LABELS, CONTENTS, weights_of_obey)

# %% [markdown]
# Now all queries at once. `keepdim=True` keeps the sums as a column, shape (4, 1), beside their rows. Whose
# row is the most even?

# %%
all_powers = scores.exp()
weights_by_hand = all_powers / all_powers.sum(dim=-1, keepdim=True)

assert torch.allclose(weights_by_hand[2], torch.tensor(weights_of_obey))
matrices([("weights: each row sums to 1", weights_by_hand)], WORDS, WORDS, scale=(0.0, 1.0))

# %% [markdown]
# **Predict.** Add 3 to every score of a row. What happens to its weights?
#
# <details><summary>A. They grow</summary>Each power does grow, by the factor e³ ≈ 20. But so does
# their sum, and a weight is one divided by the other.</details>
# <details><summary>B. They stay as they are</summary>Right. All powers of the row grow by the same
# factor e³, and so does their sum; the factor cancels. Only the differences between scores
# count.</details>
# <details><summary>C. They become more even</summary>It seems that 3 and 3.5 are more alike than 0 and
# 0.5. Their ratio is; but the softmax depends on the difference, which is 0.5 both times.</details>
# <details><summary>D. They become more extreme</summary>That happens when the scores are multiplied by a
# number above 1: then the differences grow. Adding leaves differences alone.</details>

# %%
shifted = (scores + 3).exp()
weights_of_shifted = shifted / shifted.sum(dim=-1, keepdim=True)

assert torch.allclose(weights_of_shifted, weights_by_hand)
difference = (weights_of_shifted - weights_by_hand).abs().max()
print(f"largest difference: {difference:.0e}, which is rounding")

# %% [markdown]
# ### Where the plain formula breaks
#
# Now the scores lie around 10,000, with differences of 1. By what you have just seen, the weights should be
# 9 %, 24 %, 67 %. But the largest float32 is 3.4 · 10³⁸, and e¹⁰⁰⁰⁰ has 4,343 digits. What will come out?

# %%
large = torch.tensor([[9998.0, 9999.0, 10000.0]])
print("powers: ", large.exp())
print("weights:", large.exp() / large.exp().sum(dim=-1, keepdim=True))

# %% [markdown]
# Infinity divided by infinity is `nan`, "not a number". The prediction above is the way out: shifting a row
# changes no weight, so shift it such that nothing can overflow.
#
# ## Exercise: `attention_weights` ●●○○○ · 10 minutes
#
# Turn each row of scores into weights that sum to 1: finite and right for scores between -10,000 and 10,000,
# also where one row lies far from another. A score of `-inf` gets weight 0 ([lesson 06](06_masking.ipynb)
# needs that); no row is all `-inf`. There may be leading axes. Write it out, or call the library's softmax;
# then the question is along which axis.
#
# <details><summary>Hint 1</summary>A row belongs to a query, and its weights sum to 1. So the sum runs
# over the keys: the last axis, dim=-1, however many axes come before it.</details>
# <details><summary>Hint 2</summary>By hand: which number must you subtract from a row so that no
# power exceeds 1, and at least one power is exactly 1?</details>
# <details><summary>Hint 3</summary>Subtract each row's own largest score (amax with keepdim), take the
# powers, divide by their sum along the last axis. Or let the tensor's softmax method do the same
# along that axis.</details>

# %%
def attention_weights(scores: Float[Tensor, "... T S"]) -> Float[Tensor, "... T S"]:
    """Attention weights: each row is positive and sums to 1; a score of -inf gets 0."""
    ### BEGIN SOLUTION
    return scores.softmax(dim=-1)
    ### END SOLUTION

# %%
attention_weights = check(attention_weights)

# %% [markdown]
# Compare the weights of the large scores with those promised above.

# %%
weights = attention_weights(scores)

assert torch.allclose(weights, weights_by_hand), "the weights should be the ones found by hand"
attention_weights(large)

# %% [markdown]
# ### What √hs is for
#
# Without it one key takes nearly all the weight, only because the vectors have many entries. Training nudges
# the numbers that scores are made of, but then a nudge hardly moves the weights. How much a result moves, per
# unit of the nudge, is its **gradient**. Where it is small, the model learns slowly.

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ### Deeper: the slope of the softmax
#
# What the division by √hs saves, in numbers, and why the slope is w·(1 - w). You can skip this section.

# %% [markdown]
# Take random queries of GPT-2's size, hs = 64, with 8 random keys each. How large is the largest of the 8
# weights, and how much does a weight w move when its score is nudged? (That is its **slope**, w·(1 - w).)

# %%
found = figures.dot_product_statistics(64)
for kind, name in {"raw": "without √hs", "scaled": "with √hs"}.items():
    largest, slope = found[f"{kind} largest"], found[f"{kind} slope"]
    print(f"{name:11}   largest weight {largest:.2f}   slope {slope:.3f}   (mean)")

# %% [markdown]
# Less than a quarter of the slope is left without √hs. The same for four sizes, without the division (solid)
# and with it (dashed). Left: the variance that you computed. Middle: the largest of the 8 weights; equal weights would be 1/8. Right: the slope.

# %%
figures.saturation([4, 16, 64, 256])

# %% [markdown]
# Is the slope really w·(1 - w)? torch finds a gradient by going back through all the operations: `backward()`
# starts at `w`, and `.grad` then holds the answer for each score. How far does the first weight move with its
# own score?

# %%
some_scores = torch.tensor([[2.0, 0.0, -1.0]], requires_grad=True)
w = attention_weights(some_scores)[0, 0]
w.backward()

slope = some_scores.grad[0, 0].item()
print(f"weight {w.item():.3f}, slope by torch {slope:.4f}, w·(1 - w) {(w * (1 - w)).item():.4f}")
assert math.isclose(slope, (w * (1 - w)).item(), rel_tol=1e-4), "the slope should be w·(1 - w)"

# %% [markdown]
# The most it can be is 0.25, at a weight of one half. At a weight of 0 or 1 it is 0: a softmax that is
# entirely sure cannot learn.

# %% [markdown]
# ## The blend
#
# Now open the folders. What *obey* gets is the sum of all values, each multiplied by its weight: a **weighted
# sum**. A value with weight 0.01 all but fades out. *robot* holds (0, 4) and has the largest weight; where
# will the blend lie?

# %%
v = torch.tensor([[0.0, 4.0], [-2.0, -1.0], [4.0, 0.0], [4.0, 4.0]])
blend_of_obey = [0.0, 0.0]
for weight, value in zip(weights_of_obey, v.tolist()):
    blend_of_obey[0] += weight * value[0]
    blend_of_obey[1] += weight * value[1]

[round(number, 2) for number in blend_of_obey]

# %% [markdown]
# ## Exercise: `blend_values` ●○○○○ · 5 minutes
#
# Do this for every query in one operation: as many vectors come out as queries went in. The values are never
# multiplied with queries or keys; those only determine the weights. There may be leading axes. Take the
# weights as they are, even where a row does not sum to 1. The shapes give the order:
# weights (T, S), values (S, hs), result (T, hs).
#
# <details><summary>Hint 1</summary>The sum runs over the folders, S. Which operation sums over the
# last axis of one tensor and the last but one of the other?</details>
# <details><summary>Hint 2</summary>It is a matrix product, and nothing has to be transposed: S is already
# the inner size of (T, S) times (S, hs).</details>

# %%
def blend_values(
    weights: Float[Tensor, "... T S"], v: Float[Tensor, "... S hs"]
) -> Float[Tensor, "... T hs"]:
    """The sum of the values, each multiplied by its weight."""
    ### BEGIN SOLUTION
    return weights @ v
    ### END SOLUTION

# %%
blend_values = check(blend_values)

# %% [markdown]
# That is all of attention: scores, weights, blend. Papers write it as one formula, `softmax(QKᵀ / √d_k) V`, where
# `d_k` is our hs. Follow the row of *obey* through the three matrices.

# %%
y = blend_values(weights, v)

assert torch.allclose(y[2], torch.tensor(blend_of_obey)), "row 2 should be the blend of obey"
figures.scores_weights_blend(scores, weights, y, WORDS)

# %% [markdown]
# ## Play with it
#
# Left: keys as arrows, the query dashed. Middle: scores and weights. Right: the values as places, and the
# blend (the diamond), tied to each value by a line as thick as its weight. Pick a word's query, or rotate and
# stretch one. (*Length* is that of the arrow, its *norm*.) Things to try:
#
# 1. Rotate the query from 0° to 180°. When does the lead change hands? Can *obey* ever win?
# 2. Set the length to 0, then to 8. Where does the diamond go?
# 3. Can you drive the diamond out of the grey shape?
# 4. Switch √hs off. Which slider does the same?

# %%
cabinet_to_play(WORDS, q, k, v, first="obey")

# %% [markdown]
# <details><summary>Answers, after you have tried</summary><ol>
# <li>From 0° to 90° <i>orders</i> leads: its key is the longest arrow, and length counts as much as
# direction. <i>obey</i> leads from 90° to 135°, <i>must</i> beyond. For <i>robot</i> to lead, the query has
# to go below 0° and say "not an action", and that is where the query of <i>obey</i> lies, at -27°.</li>
# <li>At length 0 all scores are 0, every folder gets the same weight, and the diamond sits at the mean of the
# four values: what you would do if you knew nothing about whom to read. A longer query widens all
# differences between scores. At 8 the diamond sits almost on one value, unless two keys match nearly
# equally well, as around 0°, 90° and 135°: there it sits between two.</li>
# <li>No. These weights are never negative and sum to 1, so a blend always lies between the values.</li>
# <li>The length. Scores that are not divided by √2 are those of a query that is longer by the factor √2.</li>
# </ol></details>

# %% [markdown]
# ## Where queries, keys and values come from
#
# So far we made them up. A model computes them from the vectors `x` that arrive, shape (T, C), with three
# learned matrices: `W_q`, `W_k` and `W_v`, each (C, hs). So each token asks, is labelled, and is read. With
# one matrix for queries and keys, *it* would score *robot* exactly as *robot* scores *it*. With one for keys and
# values, *robot* could hand over only what it is found by: that it is a thing, and not which thing.
#
# Here C = 3: *thing*, *duty* and *action*. The matrices are chosen such that they give our queries, keys and
# values.

# %%
x = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1]])
W_q = torch.tensor([[-1.0, 2], [0, 1], [2, -1]])
W_k = torch.tensor([[2.0, 0], [-1, 1], [0, 2]])
W_v = torch.tensor([[0.0, 4], [-2, -1], [4, 0]])

assert torch.equal(x @ W_q, q) and torch.equal(x @ W_k, k) and torch.equal(x @ W_v, v)
figures.projections(x, {"q": W_q, "k": W_k, "v": W_v}, WORDS, ["thing", "duty", "action"])

# %% [markdown]
# The row of *obey* picks the third row of each matrix: it asks for things, (2, -1), and its label says
# *action*, (0, 2). Everything together is a function of three lines, from (T, C) to (T, hs):

# %%
def self_attention(x, W_q, W_k, W_v):
    """Every row of x reads every row of x."""
    q, k, v = x @ W_q, x @ W_k, x @ W_v
    weights = attention_weights(attention_scores(q, k))
    return blend_values(weights, v)

assert torch.allclose(self_attention(x, W_q, W_k, W_v), y), "the three steps should give y again"

# %% [markdown]
# Attention does *not* know the order of the tokens, as `mix` of [lesson 04](04_positions.ipynb) did not. That is
# why positions are added.

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ### Deeper: order, other sizes, and torch's own attention
#
# Shuffled rows, and a test with sizes that all differ, against torch's function. You can skip this section.

# %% [markdown]
# Shuffle the rows of `x`, and the same rows come out, shuffled.

# %%
order = torch.tensor([3, 0, 2, 1])
same = torch.allclose(self_attention(x[order], W_q, W_k, W_v), y[order])
print("shuffled in:", [WORDS[i] for i in order], "→ the same rows out, shuffled:", same)
assert same, "shuffled rows should give the same results, shuffled"

# %% [markdown]
# Four tokens and four folders hide a swapped axis. So run it once more with sizes that all differ: B = 2, T =
# 5, C = 6, hs = 3. Say each shape before you run the cell.

# %%
torch.manual_seed(6)
batch = torch.randn(2, 5, 6)
W = [torch.randn(6, 3) for _ in range(3)]
some_q, some_k = batch @ W[0], batch @ W[1]
ours = self_attention(batch, *W)
theirs = torch.nn.functional.scaled_dot_product_attention(some_q, some_k, batch @ W[2])

print("x      ", tuple(batch.shape), "\nq      ", tuple(some_q.shape))
print("scores ", tuple(attention_scores(some_q, some_k).shape))
print("result ", tuple(ours.shape))
print(f"largest difference from torch: {(ours - theirs).abs().max():.0e}, which is rounding")
assert torch.allclose(ours, theirs, atol=1e-5), "self_attention should agree with torch"

# %% [markdown]
# ## So what is *it*?
#
# *The Illustrated GPT-2* draws how *it* divides its attention in our sentence: 50 % to *robot*, 30 % to *a*,
# 19 % to *it*. These numbers are Alammar's illustration, not a measurement. We type them in, and divide the
# last 1 % among the other five. [Lesson 15](15_looking_inside.ipynb) measures the weights of *it* in a
# trained model.

# %%
weights_of_it = torch.full((8,), 0.01 / 5)
for word, weight in {"a": 0.30, "robot": 0.50, "it": 0.19}.items():
    weights_of_it[robot_words.index(word)] = weight

assert math.isclose(weights_of_it.sum().item(), 1, rel_tol=1e-6)
figures.attention_of(7, robot_words, weights_of_it)

# %% [markdown]
# Blend `x_robot` and `x_child` with these weights. The **cosine** says how much two vectors point the same
# way: 1 is the same direction, 0 a right angle. Which words will stand out in each row?

# %%
before = x_robot[-1]
with_robot = blend_values(weights_of_it[None], x_robot)[0]
with_child = blend_values(weights_of_it[None], x_child)[0]

three_rows = torch.stack([before, with_robot, with_child])
cosines = torch.cosine_similarity(three_rows[:, None], torch.stack([*embedding.values()]), dim=-1)
matrices([("cosine of the vector of it with each word's vector", cosines)],
         ["before", "with a robot", "with a child"], [*embedding], scale=(-1.0, 1.0))  # fmt: skip

# %% [markdown]
# The vector of *it* points mostly at *robot* in one sentence and at *child* in the other, less at *a*, and
# least at *it*. (Random vectors are only nearly at right angles, hence the small numbers.) So a vector comes
# to hold something of its sentence. That a model looks at the right noun is not shown: we put that in.

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ### Deeper: from weights back to scores
#
# Which scores lead to 50 %, 30 % and 19 %? You can skip this section.

# %% [markdown]
# The softmax takes powers of e, so go back with the logarithm: the score is ln(weight). Since shifting the
# row changes nothing, you may add any constant; here it makes the score of *the* 0. How much larger is the
# score of *robot*?

# %%
scores_of_it = weights_of_it.log() - weights_of_it[4].log()

for word, score, weight in zip(robot_words, scores_of_it.tolist(), weights_of_it.tolist()):
    print(f"{word:7} score {score:4.2f} → weight {weight:.3f}")
back = attention_weights(scores_of_it[None])[0]
assert torch.allclose(back, weights_of_it, atol=1e-6), "the softmax should lead back to the weights"
print(f"robot: {weights_of_it[1] / weights_of_it[4]:.0f} times the weight of the")

# %% [markdown]
# Five and a half more in score is 250 times the weight. In GPT-2, with hs = 64, the dot product behind it is
# larger by the factor √64 = 8.

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ### Deeper: often said, and not quite right
#
# Three statements about attention that circulate. You can skip this section.

# %% [markdown]
# - *"The query finds the matching key."* It finds no single one. Even *must* gave *obey* a little. A hard
#   choice would have weights of 1 and 0 only, which a small nudge to the scores does not move.
# - *"The scores are divided by the root of the model's width."* By the root of hs. In GPT-2 that is √64 = 8,
#   not √768.
# - *"It means robot; the weights prove it."* They are one row of one matrix of weights. The smallest GPT-2
#   makes 12 such matrices in each of 12 layers.

# %% [markdown]
# ## What you have
#
# The heart of the transformer: scores say how well each query matches each key, the softmax turns them into
# attention weights, the blend sums the values by these weights. A blend has hs entries, and `x` has C;
# [lesson 07](07_multi_head.ipynb) puts several blends side by side, which makes C again. Here are the numbers
# of the smallest GPT-2, without biases:

# %%
config = GPT2Config()
head_size = config.n_embd // config.n_head
one_matrix = config.n_embd * head_size
n_attentions = config.n_layer * config.n_head
in_all, total = 3 * n_attentions * one_matrix, count_parameters(config)

print(f"head size hs = {head_size}, so dot products are divided by {math.sqrt(head_size):.0f}")
print(f"one W_q, W_k or W_v: {config.n_embd} × {head_size} = {one_matrix:,} parameters")
print(f"all three, for all {n_attentions} matrices of weights: {in_all:,}")
print(f"of {total:,} parameters that is {in_all / total:.0%}")
print(f"scores for the longest text, {config.n_ctx} tokens: {n_attentions * config.n_ctx**2:,}")
print("parameters in softmax and blend: 0")

# %% [markdown]
# ### Questions
#
# Five about this lesson:
#
# 1. `q` is (3, 7), `k` and `v` are (5, 7). Which shapes do scores, weights and blend have?
#    <details><summary>Answer</summary>Scores and weights (3, 5), the blend (3, 7).</details>
# 2. What is the difference between scores and weights?
#    <details><summary>Answer</summary>Scores come before the softmax: any numbers. Weights come after it:
#    none is negative, and each row sums to 1.</details>
# 3. You double all queries. Do the weights change?
#    <details><summary>Answer</summary>Yes, unless the scores of a row are all equal. The differences
#    between scores double, so the largest weight grows.</details>
# 4. The query of a token is all zeros. What does the token get?
#    <details><summary>Answer</summary>The mean of all values: all scores are 0, so all weights are
#    equal.</details>
# 5. Why divide by √hs and not by hs?
#    <details><summary>Answer</summary>The <i>variance</i> of a dot product is hs. Dividing by √hs divides
#    the variance by hs, which makes it 1. Dividing by hs would make the scores so small that all weights
#    would be nearly equal.</details>
#
# Two about earlier lessons:
#
# 6. [Lesson 03](03_embeddings.ipynb): which matrix product does the same as looking up a row of `wte`?
#    <details><summary>Answer</summary>A one-hot vector times <code>wte</code>.</details>
# 7. [Lesson 04](04_positions.ipynb): two texts have the same tokens in another order. What tells GPT-2 that
#    they differ?
#    <details><summary>Answer</summary>The rows of <code>wpe</code>, one for each position, which are added
#    to the rows of <code>wte</code>.</details>

# %% [markdown]
# ### Challenge: attention that prefers its neighbours
#
# Some later models add no positions to the vectors. They subtract `m · |i - j|` from the score of query `i`
# and key `j`, with a fixed number `m` (*ALiBi*, Press et al. 2022, for a decoder). Add this to
# `self_attention` and run the shuffle test of *Deeper: order, other sizes* again. What to look for: with
# `m = 0` nothing has changed; with `m > 0` shuffled rows no longer give the same results; with a large `m` each token reads only itself. Is an
# `m` that suits hs = 2 right for hs = 64 too? Think of what √hs does to the size of the scores.

# %% [markdown]
# **Sources.** Vaswani et al. 2017, *Attention Is All You Need*, section 3.2.1; Alammar 2019, *The Illustrated
# GPT-2* (filing cabinet, 50/30/19 %); the law is Isaac Asimov's; Radford et al. 2019, *Language Models are
# Unsupervised Multitask Learners*, table 2; Bahdanau, Cho and Bengio 2015, *Neural Machine Translation by
# Jointly Learning to Align and Translate*, section 3 (attention before the transformer); Press et al. 2022,
# *Train Short, Test Long*, section 3 (ALiBi).
#
# **Next:** here every token reads the later ones too. A model that predicts the next token must not:
# [lesson 06, masking](06_masking.ipynb).
#
# **What you have built so far:**

# %%
my_progress()
