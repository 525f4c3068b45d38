# %% [markdown]
# # 05 · Self-attention
#
# **The question:** "a robot must obey the orders given it". What is *it*? When the sentence reaches
# this stage, each token is a row of numbers that knows its own word and its own place, and nothing
# else. How can one row learn from the others?
#
# **In → out:** queries, keys and values, each of shape (T, hs), become T new rows of shape (T, hs).
# T is the number of tokens, hs (head size) the length of one query.
#
# **Time:** about 95 minutes. You write three short functions.

# %%
import math

import torch
from jaxtyping import Float
from torch import Tensor

from gpt2course import check
from gpt2course.config import GPT2Config
from gpt2course.lessons.self_attention import cabinet_to_play, figures, matrices, pipeline
from gpt2course.model import count_parameters

torch.manual_seed(5);

# %% [markdown]
# Here is where we are. Find the box that is lit, and what stands before it: tokens, embedding,
# positions.

# %%
pipeline("05_self_attention")

# %% [markdown]
# ## 1. A row that knows only itself
#
# We take words for tokens here, and give each word of two sentences a row of 256 random numbers from
# a table. (Positions are left out; *it* is the eighth word in both sentences, so they would be the
# same.) In one sentence *it* is the robot, in the other the child. Before you run the cell: how will
# the two rows of *it* differ?

# %%
robot_words = "a robot must obey the orders given it".split()
child_words = "a child must obey the orders given it".split()
table = {word: torch.randn(256) for word in sorted({*robot_words, *child_words})}

x_robot = torch.stack([table[word] for word in robot_words])
x_child = torch.stack([table[word] for word in child_words])
print("shape of a sentence:", tuple(x_robot.shape))
print("it, robot sentence: ", x_robot[-1, :3], "and 253 more")
print("it, child sentence: ", x_child[-1, :3], "and 253 more")
assert torch.equal(x_robot[-1], x_child[-1])

# %% [markdown]
# They do not differ at all. A lookup cannot know the sentence. Something has to let the row of *it*
# take in what stands in the other rows: much of some, little of others. That is **attention**, and
# because the rows of one sentence read each other, it is *self*-attention.
#
# ## 2. The filing cabinet
#
# Think of a cabinet with one folder for each token. Three things take part:
#
# - a **query** is a note with a question: what the reading token is looking for;
# - a **key** is the label on a folder: what this token offers;
# - a **value** is what lies inside the folder: what is handed over.
#
# The note is held against every label. In an office you would then open the one folder that fits
# best. Here *every* folder is opened and hands over a share, a large one where the label fits well.
# In the picture *obey* asks its question. From which folders would you take the largest shares?

# %%
figures.filing_cabinet(
    "obey asks:\nwho or what?",
    labels=["robot: a thing", "must: a duty", "obey: an action", "orders: both"],
    contents=["more about robot", "more about must", "more about obey", "more about orders"],
)

# %% [markdown]
# Notes, labels and contents are vectors: short lists of numbers. Ours have two numbers each
# (hs = 2), so that they can be drawn. For queries and keys read the first number as *a thing*, the
# second as *an action*; in a trained model nobody chooses such meanings. *robot* is a thing: (2, 0).
# *must* is no thing, and only leads up to an action: (-1, 1). *orders* can be both, things that are
# given and what a captain does: (2, 2). And *obey* asks for "a thing, and rather not an action": (2, -1).
#
# Which key points most nearly the same way as the dashed query? Which one points away from it?

# %%
WORDS = ["robot", "must", "obey", "orders"]
keys = [[2.0, 0.0], [-1.0, 1.0], [0.0, 2.0], [2.0, 2.0]]
query = [2.0, -1.0]

figures.key_arrows(WORDS, torch.tensor(keys), query, "obey")

# %% [markdown]
# ### One dot product by hand
#
# How well do two vectors match? Multiply them entry by entry and add up: the **dot product**. It is
# large where both point the same way, 0 at a right angle, negative where they point apart. Do it in
# your head for the query (2, -1) and the key of *robot*, (2, 0).

# %%
robot_dot = query[0] * keys[0][0] + query[1] * keys[0][1]
robot_dot

# %% [markdown]
# ### All keys, in a loop
#
# The same for each of the four keys: one dot product a folder. You have seen the arrows: which will
# be negative?

# %%
dots_of_obey = []
for key in keys:
    dots_of_obey.append(sum(a * b for a, b in zip(query, key)))

assert dots_of_obey[0] == robot_dot
dict(zip(WORDS, dots_of_obey))

# %% [markdown]
# ### All queries
#
# *obey* is not the only one that asks. Each token has a query of its own, and they are the rows of
# `q`, shape (4, 2): *robot* looks for an action and not for a thing, (-1, 2), and so on. The keys are
# the rows of `k`, and `k @ one_query`, matrix times vector, is the loop above: four dot products. We
# go through the queries one by one and stack what comes out. Each row below belongs to a **query**,
# each column to a **key**; this stays so through the whole course. Find the row of *obey*.

# %%
k = torch.tensor(keys)
q = torch.tensor([[-1.0, 2.0], [0.0, 1.0], [2.0, -1.0], [1.0, 1.0]])
dots_by_loop = torch.stack([k @ one_query for one_query in q])

assert dots_by_loop[2].tolist() == dots_of_obey
matrices([("dot products: row = query, column = key", dots_by_loop)], WORDS, WORDS)

# %% [markdown]
# **Predict.** All of this is one matrix product as well: `q @ k.T`, where `k.T` is `k` turned, its
# rows become columns. Suppose that there were 2 queries of 3 numbers, and 4 keys of 3 numbers. What
# is the shape of `q @ k.T`?
#
# <details><summary>A. (2, 4)</summary>Right. One row for each query, one column for each key. The 3
# disappears: it is what each dot product sums over.</details>
# <details><summary>B. (4, 2)</summary>That is k @ q.T: a row for each key. The same numbers, turned;
# but then a row would no longer be what one query sees.</details>
# <details><summary>C. (2, 3)</summary>That is the shape of q itself. A query does not come back as a
# vector of its own length; it comes back as one number for each key, and there are 4 keys.</details>
# <details><summary>D. (2, 4, 3)</summary>That would be every product before adding up. A dot product
# ends with the sum, and the sum takes the 3 away.</details>

# %%
dots = q @ k.T

assert torch.equal(dots, dots_by_loop)
print("four queries, four keys:", tuple(dots.shape))
print("two queries, four keys: ", tuple((torch.ones(2, 3) @ torch.ones(4, 3).T).shape))

# %% [markdown]
# ## 3. From dot products to scores: why √hs
#
# Our vectors have 2 numbers; GPT-2's have 64. A dot product adds up hs products, and the more are
# added, the further it strays from 0. The **variance** measures that: the mean squared distance from
# the mean. Here are 10,000 dot products of random vectors whose numbers have mean 0 and variance 1, for
# four lengths. Look at the first column and guess the rule, then look at the second.

# %%
for size in (4, 16, 64, 256):
    a, b = torch.randn(10_000, size), torch.randn(10_000, size)
    products = (a * b).sum(dim=-1)
    raw, scaled = products.var().item(), (products / math.sqrt(size)).var().item()
    print(f"hs = {size:3}   variance {raw:6.1f}   after division by √hs {scaled:.2f}")
    assert abs(raw / size - 1) < 0.1 and abs(scaled - 1) < 0.1

# %% [markdown]
# The variance is hs: hs products of variance 1 each are added up, and the variances of numbers that have
# nothing to do with each other add up too. Dividing numbers by c
# divides their squares by c², and so their variance by c². To bring a variance of hs back to 1, c² has
# to be hs, and c is √hs. A dot product divided by √hs is called a **score**, here and from now on.
# What would go wrong without it can be seen once the softmax is there, in section 4.
#
# ### Leading axes
#
# In GPT-2 there is not one sequence but a batch of them, and several *heads* (lesson 07), so `q` has
# axes in front: (B, nh, T, hs), that is sequences in the batch, heads, tokens, head size. A matrix
# product with `@` carries leading axes along and works on the last two. Only the turning needs care:
# `.T` would turn *all* axes round. `transpose(-2, -1)` exchanges the last two, counted from the end.
# Which of the two shapes below can stand to the right of the queries, (2, 3, 5, 7)? And what shape
# has the product?

# %%
many_queries, many_keys = torch.randn(2, 3, 5, 7), torch.randn(2, 3, 4, 7)
turned = many_keys.transpose(-2, -1)
print("all axes turned round:  ", tuple(many_keys.permute(3, 2, 1, 0).shape))
print("the last two exchanged: ", tuple(turned.shape))
print("queries @ turned keys:   ", tuple((many_queries @ turned).shape))

# %% [markdown]
# ### Exercise 1: attention_scores
#
# The dot product of each query with each key, divided by √hs. T queries, S keys (in self-attention
# S = T, but nothing needs that), and any leading axes, or none. Read `Float[Tensor, "... T hs"]` as:
# a float tensor whose last two sizes are T and hs.
#
# <details><summary>Hint 1</summary>For one sequence you have it already, but for the division.
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
# Now for our four words: hs = 2, so each dot product is divided by √2 ≈ 1.41. Signs and order stay,
# only the size changes.

# %%
scores = attention_scores(q, k)

assert torch.allclose(scores, dots / math.sqrt(2))
matrices([("dot products", dots), ("scores", scores)], WORDS, WORDS)

# %% [markdown]
# ## 4. From scores to shares
#
# Scores can be negative and sum to anything. What we want for each query is **weights**: shares, none
# negative, that sum to 1. The **softmax** makes them in two steps. First each score becomes a power
# of e (2.718…). That is always positive, and it keeps the order. Take the row of *obey*; which word
# has a power below 1, and why?

# %%
row = scores[2].tolist()
powers = [math.exp(score) for score in row]

for word, score, power in zip(WORDS, row, powers):
    print(f"{word:7} score {score:5.2f}   e to that power {power:6.3f}")

# %% [markdown]
# Second, each power is divided by the sum of all of them. Which share will *robot* get: about half,
# about 80 %, or nearly everything?

# %%
shares = [power / sum(powers) for power in powers]

assert math.isclose(sum(shares), 1)
{word: round(share, 3) for word, share in zip(WORDS, shares)}

# %% [markdown]
# This is what the picture of the cabinet left open. *obey* takes most from *robot*, some from
# *orders*, and next to nothing from *must* and from itself.

# %%
figures.filing_cabinet(
    "obey asks:\nwho or what?",
    labels=["robot: a thing", "must: a duty", "obey: an action", "orders: both"],
    contents=["more about robot", "more about must", "more about obey", "more about orders"],
    shares=shares,
)

# %% [markdown]
# All four queries at once: powers of the whole matrix, then each row divided by its own sum.
# `keepdim=True` keeps the sums as a column, shape (4, 1), so that each stands beside its row. Which
# word's row is the most even?

# %%
all_powers = scores.exp()
shares_by_hand = all_powers / all_powers.sum(dim=-1, keepdim=True)

assert torch.allclose(shares_by_hand[2], torch.tensor(shares))
matrices([("weights: each row sums to 1", shares_by_hand)], WORDS, WORDS, scale=(0.0, 1.0))

# %% [markdown]
# **Predict.** Add 3 to every score of a row. What happens to its weights?
#
# <details><summary>A. They grow</summary>Each power does grow, by the factor e³ ≈ 20. But so does
# their sum, and a share is the one divided by the other.</details>
# <details><summary>B. They stay as they are</summary>Right. All powers of the row grow by the same
# factor e³, and so does their sum; the factor cancels. Only the differences between scores
# count.</details>
# <details><summary>C. They become more even</summary>It seems that 3 and 3.5 are more alike than 0 and
# 0.5. Compared by division they are; the softmax compares by difference, and that is 0.5 both times.</details>
# <details><summary>D. They become more extreme</summary>That is what happens when the scores are
# multiplied by a number above 1: then the differences grow. Adding leaves differences alone.</details>

# %%
shifted = (scores + 3).exp()
shares_of_shifted = shifted / shifted.sum(dim=-1, keepdim=True)

assert torch.allclose(shares_of_shifted, shares_by_hand)
print(f"largest difference: {(shares_of_shifted - shares_by_hand).abs().max():.0e}, which is rounding")

# %% [markdown]
# ### Where the plain formula breaks
#
# Now the scores lie around 10,000, with differences of 1 as before. By what you have just seen the
# weights should be the ordinary ones: 9 %, 24 %, 67 %. A float32 ends near 3.4 · 10³⁸, though, and
# e¹⁰⁰⁰⁰ has 4,343 digits before the point. What will come out?

# %%
large = torch.tensor([[9998.0, 9999.0, 10000.0]])
print("powers: ", large.exp())
print("weights:", large.exp() / large.exp().sum(dim=-1, keepdim=True))

# %% [markdown]
# Infinity divided by infinity is `nan`, "not a number", and one `nan` spreads through everything
# after it. The way out is the prediction above: a row may be shifted by any number without a change
# to its weights. So shift it such that nothing can overflow.
#
# ### Exercise 2: attention_weights
#
# Each row of scores as shares that sum to 1: finite and right for scores between -10,000 and 10,000,
# also where one row lies far from another. A score of `-inf` gets weight 0 (that is how lesson 06
# will hide keys); no row consists of `-inf` alone. There may be leading axes.
#
# You may write it out or call the library's softmax; both are fine. If you call it, the question is
# along which axis.
#
# <details><summary>Hint 1</summary>A row belongs to a query, and its shares sum to 1. So the sum runs
# over the keys: the last axis, dim=-1, however many axes stand before it.</details>
# <details><summary>Hint 2</summary>By hand: which number must be subtracted from a row so that no
# power exceeds 1, and at least one power is exactly 1?</details>
# <details><summary>Hint 3</summary>Subtract each row's own largest score (amax with keepdim), take the
# powers, divide by their sum along the last axis. Or let the tensor's softmax method do the same
# along that axis.</details>

# %%
def attention_weights(scores: Float[Tensor, "... T S"]) -> Float[Tensor, "... T S"]:
    """Shares of attention: each row is positive and sums to 1; a score of -inf gets 0."""
    ### BEGIN SOLUTION
    return scores.softmax(dim=-1)
    ### END SOLUTION

# %%
attention_weights = check(attention_weights)

# %% [markdown]
# The same numbers as by hand for our words, and the large scores no longer break. Check the three
# weights against those that were promised above.

# %%
weights = attention_weights(scores)

assert torch.allclose(weights, shares_by_hand)
attention_weights(large)

# %% [markdown]
# ### What √hs is for
#
# Back to the question of section 3. The figure takes random queries and 8 random keys for each,
# without the division (solid) and with it (dashed). Left: the variance that you computed. Middle:
# the largest of the 8 weights; a fair share would be 1/8. Right: the **slope** w·(1 - w), which says
# how much a weight w moves when its own score moves a little. Look at hs = 64, the size in GPT-2:
# read the middle and the right panel there, solid against dashed.

# %%
figures.saturation([4, 16, 64, 256])

# %% [markdown]
# At hs = 64 without √hs, the largest of 8 weights is 0.87 on average, not because it deserves so much
# but because the vectors are long; with √hs it is 0.36. And the mean slope is 0.022 against 0.096: less
# than a quarter, and the longer the vectors, the less. Learning needs the slope. A model is trained by
# nudging its matrices (section 7) a little; through them the scores move, and through these the
# weights. Where the slope is small, a nudge does little, and learning is slow.
#
# Is the slope really w·(1 - w)? A **gradient** says how much one number moves when another is nudged,
# per unit of the nudge. torch finds it by going back through all the operations: `backward()` starts
# at `w`, and `.grad` then holds the answer for each score. How far does the first weight move with
# its own score?

# %%
some_scores = torch.tensor([[2.0, 0.0, -1.0]], requires_grad=True)
w = attention_weights(some_scores)[0, 0]
w.backward()

slope = some_scores.grad[0, 0].item()
assert math.isclose(slope, (w * (1 - w)).item(), rel_tol=1e-4)
print(f"weight {w.item():.3f}, slope {slope:.3f}; the most it can be is 0.25, at a weight of one half")

# %% [markdown]
# ## 5. The blend
#
# Labels have done their work; now the folders are opened. Each token's **value** is a vector too. What
# *obey* gets is every value times its share, added up: a mixture in the proportions of the weights.
# Our four values are four
# places on a map, so that the mixture can be seen. By hand for *obey*, number by number. *robot* holds
# (0, 4) and has the largest share: near which place will the mixture lie?

# %%
v = torch.tensor([[0.0, 4.0], [-2.0, -1.0], [4.0, 0.0], [4.0, 4.0]])
blend_of_obey = [0.0, 0.0]
for share, value in zip(shares, v.tolist()):
    blend_of_obey[0] += share * value[0]
    blend_of_obey[1] += share * value[1]

[round(number, 2) for number in blend_of_obey]

# %% [markdown]
# The same for every query: one blended vector each, so four rows of two numbers come out, as many as
# went in. The values are not multiplied with the queries or keys at all; those only set the shares.

# %%
blends_by_loop = []
for row_of_shares in weights:
    blends_by_loop.append(sum(share * value for share, value in zip(row_of_shares, v)))
blends_by_loop = torch.stack(blends_by_loop)

assert torch.allclose(blends_by_loop[2], torch.tensor(blend_of_obey))
reach = blends_by_loop.abs().max().item()
matrices([("one blend for each query", blends_by_loop)], WORDS, scale=(-reach, reach))

# %% [markdown]
# ### Exercise 3: blend_values
#
# The two loops above as one operation, with any leading axes. Take the weights as they are, even
# where a row does not sum to 1. To find the order of things, write down the shapes: weights
# (T, S), values (S, hs), result (T, hs).
#
# <details><summary>Hint 1</summary>The sum runs over the folders, S. Which operation sums over the
# last axis of the one and the last but one of the other?</details>
# <details><summary>Hint 2</summary>It is a matrix product, and nothing has to be turned: S is already
# the inner size of (T, S) times (S, hs).</details>

# %%
def blend_values(
    weights: Float[Tensor, "... T S"], v: Float[Tensor, "... S hs"]
) -> Float[Tensor, "... T hs"]:
    """The values, each by its share."""
    ### BEGIN SOLUTION
    return weights @ v
    ### END SOLUTION

# %%
blend_values = check(blend_values)

# %% [markdown]
# That is all of attention: scores, weights, blend. Follow the row of *obey* through the three
# matrices from left to right.

# %%
y = blend_values(weights, v)

assert torch.allclose(y, blends_by_loop)
figures.scores_weights_blend(scores, weights, y, WORDS)

# %% [markdown]
# ## 6. Play with it
#
# Left: keys as arrows and the query, dashed. Middle: each folder's score and weight. Right: the values
# as places on a map, and the blend (the diamond), tied to each by a line as thick as its weight. Pick a
# word's query, or turn and stretch one by hand. Things to try:
#
# 1. Turn the query slowly from 0° to 180°. When does the lead change hands? Can *obey* ever win?
# 2. Pull the length to 0, then to 8. Where does the diamond go? Try 8 at 0° and at 90° too.
# 3. Can you drive the diamond out of the grey shape that the four values span?
# 4. Switch √hs off. Which slider does the same?

# %%
cabinet_to_play(WORDS, q, k, v, first="obey")

# %% [markdown]
# <details><summary>Answers, after you have tried</summary><ol>
# <li>From 0° to 90° <i>orders</i> leads: its key is the longest arrow, and length counts as much as
# direction. <i>obey</i> leads from 90° to 135°, <i>must</i> beyond. For <i>robot</i> to lead, the query has
# to go below 0° and say "not an action", and that is where the query of <i>obey</i> lies, at -27°.</li>
# <li>At length 0 all scores are 0, each folder gets the same, and the diamond sits in the mean of the
# four values: what you would do if you knew nothing about whom to read. A longer query widens all
# differences between scores. At 8 the diamond sits almost on one value, unless two keys match nearly
# equally well, as around 0°, 90° and 135°: there it sits between two.</li>
# <li>No. Shares are never negative and sum to 1, so a blend always lies between the values.</li>
# <li>The length. Scores that are not divided by √2 are those of a query longer by the factor √2.</li>
# </ol></details>

# %% [markdown]
# ## 7. Where queries, keys and values come from
#
# So far we made them up. In a model they are made from the rows `x` that arrive, one row of C numbers
# for each token, by three matrices that are learned: `W_q`, `W_k` and `W_v`, each (C, hs). The same token
# thus plays three parts: it asks, it is labelled, it is read. With one matrix for queries and keys
# the scores would be symmetric: *it* could not ask for *robot* more than *robot* asks for *it*, before
# the softmax.
#
# Here C = 3, and the three numbers of a row mean *thing*, *duty* and *action*. The matrices are chosen
# so that our queries, keys and values come out.

# %%
x = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1]])
W_q = torch.tensor([[-1.0, 2], [0, 1], [2, -1]])
W_k = torch.tensor([[2.0, 0], [-1, 1], [0, 2]])
W_v = torch.tensor([[0.0, 4], [-2, -1], [4, 0]])

assert torch.equal(x @ W_q, q) and torch.equal(x @ W_k, k) and torch.equal(x @ W_v, v)
figures.projections(x, {"q": W_q, "k": W_k, "v": W_v}, WORDS, ["thing", "duty", "action"])

# %% [markdown]
# Look at the row of *obey* in `x`: it is (0, 0, 1), so it picks the third row of each matrix. As a
# reader it asks for things, (2, -1); as a label it says *action*, (0, 2). Both from one row.
#
# Everything together is a function of three lines. What goes in has shape (T, C), what comes out (T, hs).

# %%
def self_attention(x, W_q, W_k, W_v):
    """Every row of x reads every row of x."""
    q, k, v = x @ W_q, x @ W_k, x @ W_v
    shares = attention_weights(attention_scores(q, k))
    return blend_values(shares, v)

assert torch.allclose(self_attention(x, W_q, W_k, W_v), y)

# %% [markdown]
# Our example has four tokens and four folders, which hides mistakes: a swapped axis still fits. So once
# more with sizes that all differ: 2 sequences (B) of 5 tokens (T), rows of 6 numbers (C), hs = 3. Say
# each shape before you run it.

# %%
torch.manual_seed(6)
batch = torch.randn(2, 5, 6)
W = [torch.randn(6, 3) for _ in range(3)]
some_q, some_k = batch @ W[0], batch @ W[1]

print("x      ", tuple(batch.shape), "\nq      ", tuple(some_q.shape))
print("scores ", tuple(attention_scores(some_q, some_k).shape))
print("result ", tuple(self_attention(batch, *W).shape))

# %% [markdown]
# Is it right? torch brings a function of its own for these steps. Ours has to agree with it.

# %%
theirs = torch.nn.functional.scaled_dot_product_attention(some_q, some_k, batch @ W[2])

assert torch.allclose(self_attention(batch, *W), theirs, atol=1e-5)
print(f"largest difference: {(self_attention(batch, *W) - theirs).abs().max():.0e}, which is rounding")

# %% [markdown]
# One thing attention does *not* know is the order of the words. Shuffle the rows of `x`, and the same
# rows come out, shuffled: a set of folders has no first and last. That is why lesson 04 wrote the
# positions into the rows beforehand.

# %%
order = torch.tensor([3, 0, 2, 1])

assert torch.allclose(self_attention(x[order], W_q, W_k, W_v), y[order])
print("shuffled in:", [WORDS[i] for i in order], "→ the same rows out, shuffled")

# %% [markdown]
# ## 8. So what is *it*?
#
# The illustrated explanations of GPT-2 show how, in one of its layers, *it* divides its attention in
# our sentence: 50 % robot, 30 % a, 19 % it, and the 1 % that is left for all the others (we share it
# out evenly). These weights are quoted and typed in, not computed here. Where such weights come from is the work of training;
# lesson 15 looks for such a pattern in a model that you have trained. "a" and "robot" together are
# 80 %: the token looks mostly at *a robot*.

# %%
shares_of_it = torch.full((8,), 0.01 / 5)
for word, share in {"a": 0.30, "robot": 0.50, "it": 0.19}.items():
    shares_of_it[robot_words.index(word)] = share

assert math.isclose(shares_of_it.sum().item(), 1, rel_tol=1e-6)
figures.attention_of(7, robot_words, shares_of_it)

# %% [markdown]
# Which scores lead to such weights? The softmax takes powers of e, so go back with the logarithm: the
# score is ln(weight). And since a shift of the row changes nothing, any constant may be added; here it
# is chosen such that *the* scores 0. How much larger is the score of *robot*?

# %%
scores_of_it = shares_of_it.log() - shares_of_it[4].log()

assert torch.allclose(attention_weights(scores_of_it[None])[0], shares_of_it, atol=1e-6)
for word, score, share in zip(robot_words, scores_of_it.tolist(), shares_of_it.tolist()):
    print(f"{word:7} score {score:4.2f} → weight {share:.3f}")

# %% [markdown]
# Five and a half more in score is 250 times more in weight. And in GPT-2, with hs = 64, the dot product
# behind it is larger by √64 = 8 again.
#
# Back to section 1, where the row of *it* was the same in both sentences. *Given* these weights, let
# it blend the rows of `x_robot` and `x_child` (they serve as values), once in each sentence. The
# **cosine** says how much two rows point the same way: 1 is the same direction, 0 a right angle; rows
# of 256 random numbers are nearly at right angles. Which words will stand out in each line?

# %%
before = x_robot[-1]
with_robot = blend_values(shares_of_it[None], x_robot)[0]
with_child = blend_values(shares_of_it[None], x_child)[0]

lines = torch.stack([before, with_robot, with_child])
cosines = torch.cosine_similarity(lines[:, None], torch.stack(list(table.values())), dim=-1)
assert cosines[1].argmax() == list(table).index("robot")
assert cosines[2].argmax() == list(table).index("child")
matrices([("cosine of the row of it with each word's row", cosines)],
         ["before", "with a robot", "with a child"], list(table), scale=(-1.0, 1.0))  # fmt: skip

# %% [markdown]
# Before, the row pointed at *it*, and no other word stood out. Now it points mostly at *robot* in the one sentence
# and at *child* in the other, with some *a* and some *it*; the numbers near 0 are chance. So a row does
# come to hold something of its sentence. What this does not show is that the model would look at the
# right noun: that was put in with the weights.

# %% [markdown]
# ## What the well-known explanations say
#
# - *"The query finds the matching key."* It finds no single one. Every folder is opened, and every one
#   gives its share; even *must* gave *obey* a little. A hard choice has weights of 1 and 0 only, and there the
#   slope w·(1 - w) is 0.
# - *"The scores are divided by the root of the model's width."* By the root of hs, the length of *one
#   query*. In GPT-2 that is √64 = 8, not √768.
# - *"Attention knows the order of the words."* Not by itself, as the shuffled rows showed.
# - *"*it* means robot, the weights prove it."* They are one row of one table of weights. GPT-2
#   124M makes 12 such tables in each of 12 layers (lesson 07 says how).
#
# ## GPT-2 124M in numbers
#
# For this stage, computed from its configuration: width C = `n_embd`, `n_head` tables of weights
# in each of `n_layer` layers, `n_ctx` tokens in the longest text. How many of the 124 million parameters sit in the three matrices? (Biases are
# left out; they come in lesson 07.)

# %%
config = GPT2Config()
head_size = config.n_embd // config.n_head
one_matrix = config.n_embd * head_size
tables = config.n_layer * config.n_head
in_all, total = 3 * tables * one_matrix, count_parameters(config)

print(f"head size hs = {head_size}, so dot products are divided by {math.sqrt(head_size):.0f}")
print(f"one W_q, W_k or W_v: {config.n_embd} × {head_size} = {one_matrix:,} parameters")
print(f"all three, for all {tables} tables of weights: {in_all:,}")
print(f"of {total:,} parameters that is {in_all / total:.0%}")
print(f"scores for the longest text, {config.n_ctx} tokens: {tables * config.n_ctx**2:,}")
print("parameters in softmax and blend: 0")

# %% [markdown]
# ## What you have
#
# You have the heart of the transformer in three lines: scores say how well each query matches each key,
# the softmax turns them into shares, and the blend mixes the values by these shares. Division by √hs keeps
# the scores at a size at which the softmax can learn. A row that knew only itself now holds something of
# every other. And the three steps themselves never ask how far away the other word stands.
#
# One thing is open: a blend has hs numbers (64 in GPT-2), and the row that came in has C (768). Lesson
# 07 puts 12 blends side by side, which makes C again, and lesson 09 adds the result to the row.
#
# **Sources.** Vaswani et al. 2017, "Attention Is All You Need", section 3.2.1 (scaled dot-product
# attention, and the reason for the root). Radford et al. 2019, "Language Models are Unsupervised
# Multitask Learners", table 2 (the sizes). Bahdanau, Cho and Bengio 2015, "Neural Machine Translation by
# Jointly Learning to Align and Translate", section 3 (weights that say where to look, before the
# transformer).
#
# **Next: masking.** Here every token reads all four, the later ones too. That is an encoder's attention.
# A model that predicts the next word must not read it beforehand, and lesson 06 hides it.
