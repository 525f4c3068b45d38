# %% [markdown]
# # 03 · Embeddings
#
# [Lesson 02](02_tokens.ipynb) ended with ids: *robot* is a number, *must* is another. A model can't compute
# with them. **How does a token become a vector, and how does that vector come to say which words are alike?**
#
# - **In:** ids `(B, T)`: B texts in a batch, T tokens in each.
# - **Out:** vectors `(B, T, C)`: C numbers for each token.
# - **Time:** about 50 minutes for the core, 90 for everything. Sections that begin with *Deeper* are
#   collapsed.
# - **Exercises:** `embed_tokens` and `nearest_tokens`.
#
# Keep at hand: the [cheat sheet](../docs/cheat_sheet.md), the [glossary](../docs/glossary.md), the
# [notation](../docs/notation.md), and [what well-known explanations get wrong](../docs/common_errors.md).

# %% [markdown]
# First the imports. They take a few seconds.

# %%
import math
from collections import Counter

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from gpt2course import check, kept_names, my_progress
from gpt2course.config import RELEASED
from gpt2course.corpus import heldout_documents
from gpt2course.lessons.embeddings import (
    Panel, figures, matrices, neighbours_to_play, side_by_side, tower,
)
from gpt2course.model import GPT2, count_parameters
from gpt2course.weights import load_tokenizer

# %% [markdown]
# The lit part is this lesson.

# %%
tower("03_embeddings", kept_names())

# %% [markdown]
# ## 1. An id says nothing
#
# To keep things small, a token is a whole word in sections 1 to 3, and the vocabulary has eight of them. What
# are the ids of *robot must obey orders*?

# %%
VOCABULARY = ["a", "given", "it", "must", "obey", "orders", "robot", "the"]
ids_of = {word: token_id for token_id, word in enumerate(VOCABULARY)}
words = ["robot", "must", "obey", "orders"]
ids = [ids_of[word] for word in words]
ids

# %% [markdown]
# A model adds and multiplies whatever it is given. Suppose it gets these ids. Which word lies halfway between
# *must* and *orders*, and what is two times *must*?

# %%
print("halfway between must and orders:", VOCABULARY[(ids_of["must"] + ids_of["orders"]) // 2])
print("two times must:                 ", VOCABULARY[2 * ids_of["must"]])

# %% [markdown]
# *obey* and *robot*. The arithmetic is right, but it is about the alphabet. An id is a name, like the number on
# a football shirt: number 10 is not twice the player that number 5 is.
#
# ### One-hot vectors
#
# So the false order has to go. Give each word a list as long as the vocabulary, with 1 in the word's own
# place and 0 everywhere else: a **one-hot vector**. V is the size of the vocabulary, here 8.

# %%
one_hot = torch.zeros(4, 8, dtype=torch.int64)
for place, token_id in enumerate(ids):
    one_hot[place, token_id] = 1
matrices([("one-hot vectors (T, V) = (4, 8)", one_hot)], words, VOCABULARY)

# %% [markdown]
# Any two of these vectors are equally far apart. They say nothing false any more, but they say nothing at all. And
# for GPT-2, each would have 50,257 numbers.
#
# ## 2. One row for each token
#
# Here is the idea of this lesson. Take a lookup table with one row for each token of the vocabulary and C
# columns, and let the row stand in for the token. The row is the token's **embedding**, and the table is the
# **embedding matrix**, of shape (V, C). In the released GPT-2 its name is `wte` (*word token embeddings*).
# Here is one made up by hand, with C = 3: how much of a thing, a duty, an action is each word? Which words
# are alike?

# %%
columns = ["thing", "duty", "action"]
wte = torch.tensor([
    [0.1, 0.0, 0.0],  # a
    [0.1, 0.2, 0.8],  # given
    [0.9, 0.0, 0.0],  # it
    [0.0, 1.0, 0.0],  # must
    [0.0, 0.0, 1.0],  # obey
    [1.0, 0.0, 1.0],  # orders
    [1.0, 0.0, 0.0],  # robot
    [0.2, 0.0, 0.0],  # the
])  # fmt: skip
matrices([("wte (V, C) = (8, 3)", wte)], VOCABULARY, columns)

# %% [markdown]
# *it* and *robot* have nearly the same row, and so do *a* and *the*: a row can say what an id could not. In a
# trained model nobody chooses the numbers, and the columns have no names.
#
# ### A lookup is a matrix product
#
# How do you get from the one-hot vector of *obey* to its row? Multiply each of the eight rows by its 0 or 1, and
# add up. That is what a matrix product does, for all four words at once: (T, V) @ (V, C) gives (T, C). Follow the
# 1 of *must* from the top matrix to its row in the second and on to the bottom one.

# %%
obey_by_hand = sum(zero_or_one * row for zero_or_one, row in zip(one_hot[2], wte, strict=True))
by_product = one_hot.float() @ wte
assert torch.equal(by_product[2], obey_by_hand)
figures.one_hot_product(one_hot, wte, words, VOCABULARY, columns)

# %% [markdown]
# The product is the right way to *think* of a lookup: the embedding matrix is learned like any other matrix of
# the model. It is a poor way to *compute* one. How many multiplications would it take for the 1024 tokens that
# GPT-2 can read at once? Indexing with the id needs none.

# %%
n_ctx, vocab_size, n_embd = 1024, 50257, 768
print(f"one-hot times wte:   {n_ctx * vocab_size * n_embd:,} multiplications")
print(f"looking up the rows: none, {n_ctx * n_embd:,} numbers copied")
looked_up = torch.stack([wte[token_id] for token_id in ids])
assert torch.equal(looked_up, by_product)
looked_up

# %% [markdown]
# ### A batch
#
# Ids come as (B, T): B texts side by side. **Predict:** `some_ids` has shape (2, 3), and the embedding matrix
# has 7 rows of 5 numbers. What shape comes out?
#
# <details><summary>A. (2, 5)</summary>
# That would be one vector for each text. But every token keeps its own vector: the model will need to know
# which word is where.
# </details>
# <details><summary>B. (6, 5)</summary>
# Here the two texts have run into one another: there are six rows, and nothing says where the second text
# begins. The two axes of the ids have to stay.
# </details>
# <details><summary>C. (2, 3, 7)</summary>
# 7 is the size of the vocabulary. That is the shape of the one-hot vectors, before the product.
# </details>
# <details><summary>D. (2, 3, 5)</summary>
# Yes. Each id is replaced by its row of 5 numbers, and the axes of the ids stay as they are.
# </details>

# %%
some_ids = torch.tensor([[6, 0, 3], [3, 3, 1]])
hot = F.one_hot(some_ids, 7).float()  # torch's own one-hot vectors, for ids of any shape
some_rows = hot @ torch.zeros(7, 5)
print(f"{tuple(some_ids.shape)} → {tuple(hot.shape)} → {tuple(some_rows.shape)}")

# %% [markdown]
# ## Exercise 1: `embed_tokens` ●○○○○ · 5 minutes
#
# Given ids of shape (B, T) and an embedding matrix (V, C), return the rows, shape (B, T, C). Do it any way
# you like: by indexing, by a product, with a function of torch. The result has the dtype of `wte`, and a
# batch of one text keeps its axis. Training changes `wte` through your result (section 3), so take the rows
# from *this* tensor, and not from a copy in numpy or in a module (`nn.Module`) of your own.
#
# `Int[Tensor, "B T"]` is a tensor of integers whose two sizes are called B and T. Replace the line that
# raises, run the cell, then the check below it. Until your answer passes, the check uses the package's own.
#
# <details><summary>Hint 1</summary>
# You have seen several ways above, most of them for one text. Which one did not mind that the ids had two
# axes? And what does torch do when you index a matrix with a whole tensor of ids?
# </details>
# <details><summary>Hint 2</summary>
# For the product: <code>F.one_hot(idx, V)</code> makes the one-hot vectors, of integers. A product wants
# both sides to have the same dtype, and V is the number of rows of <code>wte</code>, whichever ids occur.
# </details>
# <details><summary>Hint 3</summary>
# Indexing with a tensor of ids of any shape gives that shape, with one more axis for the row.
# </details>

# %%
def embed_tokens(idx: Int[Tensor, "B T"], wte: Float[Tensor, "V C"]) -> Float[Tensor, "B T C"]:
    """The row of the embedding matrix for every id."""
    ### BEGIN SOLUTION
    return wte[idx]
    ### END SOLUTION

# %%
embed_tokens = check(embed_tokens)

# %% [markdown]
# Two texts at once, with the same words in different places. Which rows below will be equal?

# %%
spoken = [["robot", "orders", "it"], ["it", "orders", "robot"]]
two_texts = torch.tensor([[ids_of[word] for word in one_text] for one_text in spoken])
x = embed_tokens(two_texts, wte)
assert torch.equal(x[0], x[1].flip(0)), "one word should have one row, wherever it stands"
panels = [Panel(f"x[{b}]", x[b], spoken[b], columns) for b in (0, 1)]
side_by_side(panels)

# %% [markdown]
# *robot* has the same row, first word or last. So the vectors do not say who orders whom;
# [lesson 04](04_positions.ipynb) mends that.
#
# In a model the embedding matrix belongs to a module, which holds what is learned: its **parameters**.
# torch's module for this is `nn.Embedding(V, C)`; it calls the matrix `weight`.

# %%
module = nn.Embedding(8, 3)
assert torch.equal(module(two_texts), embed_tokens(two_texts, module.weight)), "other vectors"
print(type(module.weight).__name__, tuple(module.weight.shape), "and the same vectors as yours")

# %% [markdown]
# ## 3. Where the rows come from
#
# A new embedding matrix holds random numbers. Training changes them little by little so that the model
# predicts better. One number, the **loss**, measures how well it predicts (smaller is better). The
# **gradient** says, for each number of the matrix, how much the loss grows if that number grows. Calling
# `backward()` computes it, which is called *backpropagation*, and `.grad` holds it.
#
# **Predict.** The model reads *robot must obey robot*. Which rows of the matrix get a gradient that is
# not 0?
#
# <details><summary>A. All eight: it is one matrix</summary>
# It is one matrix, but the rows of the other words were multiplied by 0. However they change, the loss
# stays the same, and so their gradient is 0.
# </details>
# <details><summary>B. Four, one for each token that was read</summary>
# Four tokens were read, but only three different words. There is one row for <i>robot</i>, and it was
# read twice.
# </details>
# <details><summary>C. Three: robot, must, obey</summary>
# Yes. And the row of <i>robot</i> collects both: what its first place in the text asks for, plus what its
# second place asks for.
# </details>

# %% [markdown]
# To see it in small numbers, let the "loss" be the sum of all the numbers that were looked up.

# %%
table = nn.Parameter(wte.clone())  # a Parameter is a tensor that learns
read = torch.tensor([[ids_of[word] for word in "robot must obey robot".split()]])
embed_tokens(read, table).sum().backward()
matrices([("gradient of wte", table.grad)], VOCABULARY, columns)

# %% [markdown]
# **The lookup gives a gradient only to the rows that were read.** (GPT-2 uses the same matrix once more at the
# very end, to score every token, and there all rows take part. This is called *weight tying*:
# [lesson 10](10_output_projection.ipynb).)
#
# ## 4. An embedding matrix that has learned
#
# Next, a matrix whose numbers come from training. The course has a small GPT-2 of its own, the **course
# model**, which has learned to predict the next token in 16,000 short stories. All that it knows of the world
# is in them. Here is a story that it has not read. Which words could take each other's place?

# %%
model = GPT2.from_pretrained("course").requires_grad_(False)  # nothing is trained here
tokenizer = load_tokenizer("course")
stories = heldout_documents()
print(stories[1])

# %% [markdown]
# One name could replace another, one season another season. A thing can't replace just any other thing: in
# these stories bees buzz and balloons do not.
#
# Nearly every word of the stories is one token, together with the space before it; `id_of` finds its id. For
# comparison, we also make the random matrix that such a model begins with.

# %%
trained = model.wte.weight
V, C = trained.shape
torch.manual_seed(0)
untrained = GPT2(model.config).wte.weight.detach()


def id_of(word: str) -> int:
    """The id of the one token that is a space and this word."""
    (token_id,) = tokenizer.encode(" " + word)  # an error where there are several
    return token_id


print("wte:", tuple(trained.shape))
{word: id_of(word) for word in ("robot", "kettle", "Mina", "Monday")}

# %% [markdown]
# Below are the rows of six words, blue below 0, red above. Compare *kitchen* with *garden*, *tired* with
# *sad*, *Monday* with *Friday*. At the right: in how many columns the two have the same sign.

# %%
six = ["kitchen", "garden", "tired", "sad", "Monday", "Friday"]
rows = [id_of(word) for word in six]
title = "After training, rows of like words have the same signs more often"
figures.row_strips({"untrained": untrained[rows], "trained": trained[rows]}, six, title)

# %% [markdown]
# Before training the pairs agree as often as coins do. After it their rows are much more alike. Nobody told the
# model about rooms, moods or days: it saw these words between the same words.
#
# What is that good for? [Lesson 01](01_language_models.ipynb) kept a count for each pair of tokens, and a count of
# *Monday* says nothing about *Friday*. But if both have similar rows, what the model learns from one holds for
# the other. **That is what embeddings are for.**
#
# ## 5. How alike are two rows?
#
# A first idea is the **dot product**: multiply place by place, and add up. It is large where two rows agree.
# By hand for *robot* and *kettle*:

# %%
robot, kettle, friday = (trained[id_of(word)] for word in ("robot", "kettle", "Friday"))
by_hand = sum(a * b for a, b in zip(robot.tolist(), kettle.tolist()))
assert math.isclose(by_hand, (robot @ kettle).item(), rel_tol=1e-4)
print(f"robot · kettle = {by_hand:.2f}, robot · Friday = {(robot @ friday).item():.2f}")

# %% [markdown]
# But the dot product also grows with the **length** of a row, its *norm*: the square root of the sum of its
# squares. **Predict.** Take A = (2, 1). Which of these three is most like it: B = (4, 2), D = (6, 0) or
# E = (1, 1)?
#
# <details><summary>A. D, which has the largest dot product with A</summary>
# 2 · 6 + 1 · 0 = 12, more than the 10 of B and the 3 of E. But D owes this to its length. The row (100,
# 0) would beat them all, as would every row that is long enough and points roughly that way.
# </details>
# <details><summary>B. E, which is nearest to A</summary>
# Its distance from A is 1, less than that of the others. But distance counts length too: B says the same
# as A, twice as loudly, and would come after E.
# </details>
# <details><summary>C. B, which points exactly the same way</summary>
# Yes, if direction is what counts. That is what the cosine measures: 1 for A and B, whatever their
# lengths.
# </details>

# %%
figures.arrows({"A": (2, 1), "B": (4, 2), "D": (6, 0), "E": (1, 1)}, asker="A")

# %% [markdown]
# The **cosine similarity**, or *cosine* for short, is the dot product divided by both lengths: 1 for the
# same direction, 0 for a right angle, -1 for opposite directions. You can also *normalise* each row first
# (divide it by its length) and then take the dot product:

# %%
cosine_of_machines = (robot @ kettle / (robot.norm() * kettle.norm())).item()
of_directions = ((robot / robot.norm()) @ (kettle / kettle.norm())).item()
assert math.isclose(cosine_of_machines, of_directions, rel_tol=1e-4)
print(f"cosine of robot and kettle: {cosine_of_machines:.2f}, either way {of_directions:.2f}")

# %% [markdown]
# ## Exercise 2: `nearest_tokens` ●●●○○ · 15 minutes
#
# Given an id, an embedding matrix (V, C) and k, return the ids of the k tokens whose rows have the largest
# cosine with the row of that id: a plain Python list, the nearest first. Leave out the token itself. k is at
# most V - 1, and no row is all zeros. If two tokens have exactly the same cosine, either may come first.
#
# Take care how you leave out the token itself. It has the largest possible cosine, but perhaps it is not
# the only one that has.
#
# <details><summary>Hint 1</summary>
# Divide each row by its own length: <code>wte.norm(dim=-1, keepdim=True)</code> has shape (V, 1), one
# length for each row. All cosines are then one product of a matrix with a vector.
# </details>
# <details><summary>Hint 2</summary>
# Which number can you put in the token's own place, so that it comes last whatever the others have? It
# has to be smaller than every cosine.
# </details>
# <details><summary>Hint 3</summary>
# <code>topk(k)</code> gives <code>.values</code> and <code>.indices</code>, the largest first;
# <code>.tolist()</code> makes a list of plain numbers.
# </details>

# %%
def nearest_tokens(token_id: int, wte: Float[Tensor, "V C"], k: int) -> list[int]:
    """The k other tokens whose rows point most nearly the same way, nearest first."""
    ### BEGIN SOLUTION
    direction = wte / wte.norm(dim=-1, keepdim=True)
    cosine = direction @ direction[token_id]
    cosine[token_id] = -torch.inf
    return cosine.topk(k).indices.tolist()
    ### END SOLUTION

# %%
nearest_tokens = check(nearest_tokens)

# %% [markdown]
# The three nearest tokens, in the random matrix and in the trained one. Which line on the right surprises
# you? (In the random one the neighbours are often pieces of words.)

# %%
def neighbours(word: str, table: Float[Tensor, "V C"], k: int = 3) -> list[str]:
    """The k tokens nearest to a word, as text."""
    return [tokenizer.decode([i]).strip() for i in nearest_tokens(id_of(word), table, k)]


for word in ("robot", "Mina", "Monday", "kitchen", "tired", "six", "beeped", "owl"):
    before, after = (", ".join(neighbours(word, table)) for table in (untrained, trained))
    print(f"{word:8} untrained: {before:24} trained: {after}")
assert neighbours("owl", trained, 1) == ["engine"], "expected engine as the nearest to owl"
assert set(neighbours("beeped", trained, 2)) == {"blinked", "whirred"}, "two deeds of robots"

# %% [markdown]
# Names are near names, days near days; nearest to *beeped* are the two other things that robots do. (A name
# can be near itself: without the space before it, it is another token.) But what has an *owl* to do with an
# *engine*? Count what follows *an* in the stories:

# %%
pairs = [pair for story in stories for pair in zip(story.split(), story.split()[1:])]
print(Counter(second.strip('.,"') for first, second in pairs if first == "an").most_common())

# %% [markdown]
# Only owls and engines are things that take *an* (an *hour* only passes, and *old* is no thing). None of this is about meaning as
# such: **alike means useful for the same predictions.** GPT-2's rows serve the predictions of a much larger
# model, on 40 GB of text. So they hold more, but in the same sense.
#
# ### Play with it
#
# The widget ranks words that occur in a hundred stories, and 128 tokens that occur in none: single bytes of
# letters such as *é* or *ж*.
#
# 1. How large do cosines get in the untrained matrix, by chance alone?
# 2. *robots* is a form of *robot*. Is *robot* nearest to it?
# 3. Switch to the dot product for *Monday*, then for *Ruth*. Which tokens push in?

# %%
end = tokenizer.end_of_text  # the token <|endoftext|>, with which each story begins
some_text = [i for story in stories[:100] for i in [end, *tokenizer.encode(story)]]
how_often = torch.bincount(torch.tensor(some_text), minlength=V)
often = [i for i in range(V) if how_often[i] >= 3 and tokenizer.decode([i])[:1] == " "]
met = [i for i in often if tokenizer.decode([i])[1:].isalpha()]
ranked = met + list(range(128, 256))
names = [tokenizer.decode([i])[1:] for i in met] + [f"‹byte {i}›" for i in range(128, 256)]
tables = {"trained": trained[ranked], "untrained": untrained[ranked]}
neighbours_to_play(tables, names, first="robot")

# %% [markdown]
# <details><summary>Answers, after you have tried</summary><ol>
# <li>The nearest of all has about 0.3, seldom 0.4. So a nearest neighbour at 0.3 means little. The more numbers a
# row has, the closer chance keeps to 0.</li>
# <li>No, other plurals are. A row says what a token is used like. It can't see that two tokens are spelled
# alike.</li>
# <li>Bytes that never occur. Their rows are long, so their dot products are large. By the cosine they
# disappear. <i>Deeper: long rows</i> shows how they became long.</li>
# </ol></details>

# %% [markdown]
# ## 6. One row for two meanings
#
# In the stories *spring* is a season, and also a part of a clock that may have snapped. A *ring* is precious,
# and bells ring: *clang*. Here are their cosines with words of both kinds. (In the untrained matrix, nearly all
# cosines of two words are between -0.2 and 0.2.)

# %%
kinds = ["summer", "winter", "snapped", "precious", "clang", "Mina"]
pair = torch.stack([figures.similarities(id_of(word), trained) for word in ("spring", "ring")])
panel = ("one row, near to both meanings", pair[:, [id_of(word) for word in kinds]])
matrices([panel], ["spring", "ring"], kinds, scale=(-1.0, 1.0))

# %% [markdown]
# Each word got one row, near to words of both kinds. A lookup has no other choice: **it can't know which
# meaning is meant, because it does not see the sentence.** What a word means *here* has to come from the words
# around it, and that is the work of attention ([lesson 05](05_self_attention.ipynb)).

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: groups of words, on a map and in each other's place
#
# You can skip this: it draws 46 words on a map, tests by the loss whether neighbours can take each other's
# place, and gives the model the ids of another tokenizer.

# %% [markdown]
# Here are 46 words in groups that a reader would make; the model knows nothing of the groups.

# %%
groups = {
    "things": "robot kettle clock lamp dog cat wolf frog",
    "people": "Mina Tom Ada Ben Rosa Otto",
    "days": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    "places": "kitchen garden shed cellar meadow workshop",
    "feelings": "tired sad thirsty worried busy cheerful",
    "numbers": "three four five six seven",
    "seasons": "spring summer autumn winter",
    "deeds": "beeped boiled barked hooted",
}
groups = {name: members.split() for name, members in groups.items()}
grouped = [word for members in groups.values() for word in members]
own = torch.tensor([id_of(word) for word in grouped])
len(grouped)

# %% [markdown]
# Nobody can draw 128 numbers a row. But we can find the two directions in which the rows differ most, and
# draw how far each row goes along these two. This is called *principal component analysis* (PCA);
# `torch.linalg.svd` finds the directions. Above each map is the share of all differences that the two
# directions hold. Each map has its own scale: the trained rows lie much farther apart. Each group has its
# own marker. Find the robot in both maps.

# %%
maps = {"untrained": untrained[own], "trained": trained[own]}
figures.word_map(maps, grouped, groups, "After training, words of a group lie together")

# %% [markdown]
# On the left, chance has scattered the words. On the right they lie in groups. Kinds that seem far apart to us
# share a region where the stories treat them alike: machines and animals are both things that are in a shed
# and make a noise. A flat map can mislead, though: most of the differences lie in the other 126 directions,
# and groups that lie side by side here may be far apart in them. The cosine uses all 128.
#
# ### A neighbour in a word's place
#
# If alike means useful for the same predictions, a word's neighbour should do in its place.
# The model reads stories three times: as they are; with each of these words replaced by its nearest
# neighbour; and with the same words replaced by one another at random. The loss (`cross_entropy` computes
# it, in *nats per token*, as in [lesson 01](01_language_models.ipynb)) is always that of predicting the
# stories as they are. First the stories as ids, 64 lines of 128 tokens, and a function for the loss.

# %%
lines = torch.tensor(some_text[: 64 * 128]).view(64, 128)


def loss_when_reading(read: Int[Tensor, "B T"]) -> float:
    """The loss on the lines while the model reads other tokens in their place."""
    return F.cross_entropy(model(read[:, :-1]).flatten(0, 1), lines[:, 1:].flatten()).item()

# %% [markdown]
# `nearest` and `shuffled` give, for each id, the id that is read in its place: itself, except for the 46
# words. Which of the two replacements will cost more?

# %%
nearest, shuffled = torch.arange(V), torch.arange(V)
nearest[own] = torch.tensor([nearest_tokens(i, trained, 1)[0] for i in own.tolist()])
shuffled[own] = own[torch.randperm(len(own), generator=torch.Generator().manual_seed(0))]
losses = [loss_when_reading(read) for read in (lines, nearest[lines], shuffled[lines])]
assert 0 < 2 * (losses[1] - losses[0]) < losses[2] - losses[0], f"neighbours cost more: {losses}"
print("as they are {:.2f}, nearest neighbours {:.2f}, at random {:.2f}".format(*losses))

# %% [markdown]
# The neighbour costs something, since a *Monday* is not a *Friday* when the next day is asked for. The
# stranger costs more than twice as much.
#
# ### Ids of another tokenizer
#
# An id means something only together with the matrix that it indexes. Suppose somebody puts a tokenizer in
# front of this model whose ids are all one too high. Every id is still a row of the matrix (the last one
# wraps round to 0), so no error is raised. What will the loss be: a little higher, that of guessing, or worse
# than guessing? (Guessing gives each token the probability 1/V, and its loss is ln V.)

# %%
right, off_by_one = loss_when_reading(lines), loss_when_reading((lines + 1) % V)
print(f"its own ids {right:.2f}, every id one too high {off_by_one:.2f}, guessing {math.log(V):.2f}")

# %% [markdown]
# Worse than knowing nothing: the model is sure of itself and wrong. Tokenizer and embedding matrix belong
# together, and nothing but the loss tells you when they do not match. When
# [lesson 14](14_released_weights.ipynb) loads GPT-2's weights, GPT-2's tokenizer comes with them.

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: long rows
#
# You can skip this: it shows why neighbours are ranked by the cosine and not by the dot product, and what
# becomes of the row of a token that never occurs.

# %% [markdown]
# By the dot product, long rows come out first. Which rows are long? Compare the tokens that occur at least
# three times in a hundred stories with tokens 128 to 255. These are single bytes of letters such as *é* or
# *ж*, and they never occur, since the stories are plain ASCII.

# %%
assert all(story.isascii() for story in stories)
lengths = trained.norm(dim=-1)
print(f"{len(often)} tokens that occur: length {lengths[often].median():.1f} (median)")
print(f"128 that never occur: length {lengths[128:256].median():.1f} (median)")

# %% [markdown]
# What does that do to the neighbours? Take the five nearest of each token that occurs, in the whole
# vocabulary: how many of them are rows of more than twice the usual length?

# %%
is_long = lengths > 2 * lengths[often].median()
for measure in ("cosine", "dot product"):
    found = 0
    for token_id in often:
        alike = figures.similarities(token_id, trained, measure)
        alike[token_id] = -torch.inf
        found += is_long[alike.topk(5).indices].sum().item()
    print(f"{measure:11}: {found} of {5 * len(often):,}")
assert found > 50, f"only {found} by the dot product"

# %% [markdown]
# By the cosine, next to none. By the dot product, many, in lists where they have no business. That is why
# neighbours are ranked by the cosine.
#
# **Predict.** A token is in the vocabulary but never in the training text. If the model only looked its row
# up, what would the row be after training?
#
# <details><summary>A. All zeros</summary>
# Nothing sets it to zero. Rows start random, and a row that is never read gets a gradient of 0 from the
# lookup.
# </details>
# <details><summary>B. Like the mean of all rows</summary>
# Something would have to push it there. The lookup pushes only rows that were read.
# </details>
# <details><summary>C. Much as it was at the start: random</summary>
# Yes, as far as the lookup is concerned. (Many optimizers also shrink all numbers a little at every step,
# which is called <i>weight decay</i>, so it may get shorter.)
# </details>
#
# But with weight tying the same matrix also scores every possible next token, and there all rows take part.
# Once more the 128 bytes that never occur: what is the smallest cosine between any two of them?

# %%
for name, bytes_unseen in (("untrained", untrained[128:256]), ("trained", trained[128:256])):
    directions = bytes_unseen / bytes_unseen.norm(dim=-1, keepdim=True)
    smallest = (directions @ directions.T).min().item()
    print(f"{name:9} smallest cosine {smallest:z.2f}")
assert smallest > 0.9, f"two bytes point different ways: {smallest:.2f}"

# %% [markdown]
# They all point the same way. At every place the model learned that none of these tokens comes next, and each
# time all of their rows were pushed in the same direction, away from what the model was about to predict.
# That made them long, and all alike. The row of a token that never occurred says just that, and nothing else.

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: "each number stands for a property"
#
# You can skip this: it rotates the whole embedding matrix and shows that no single column has to mean anything.

# %% [markdown]
# One often reads that the first number of a row might be *size*, the second *being alive*, and so on. The
# matrix that we made by hand was of this kind. A learned one need not be. Rotate the whole matrix in its 128
# dimensions, as you rotate a map on a desk. A product with a suitable matrix does that, called an *orthogonal*
# matrix, and afterwards every number in every row is another one:

# %%
rotation = torch.linalg.qr(torch.randn(C, C, generator=torch.Generator().manual_seed(4)))[0]
rotated = trained @ rotation
for name, matrix in (("as trained", trained), ("rotated", rotated)):
    print(f"robot, {name:11}", [round(n, 2) for n in matrix[id_of("robot")][:7].tolist()], "…")

# %% [markdown]
# What has happened to the dot product of each row with each other row, and which of the words of section 4 have
# other neighbours now?

# %%
dots, dots_rotated = (matrix @ matrix.T for matrix in (trained, rotated))
assert torch.allclose(dots, dots_rotated, atol=1e-3)
print(f"largest difference: {(dots - dots_rotated).abs().max():.0e}, which is rounding")
for word in six:
    before, after = (neighbours(word, matrix, 1) for matrix in (trained, rotated))
    print(f"{word:8} as trained: {before[0]:8} rotated: {after[0]}")

# %% [markdown]
# Nothing, and none. What carries meaning is how the rows lie relative to each other. No single column has to
# mean anything for that. (One step of GPT-2, the LayerNorm of [lesson 09](09_block.ipynb), treats the columns
# one by one, so it would notice the rotation. But it gives no column a name.)

# %% [markdown]
# ## What you have
#
# `embed_tokens` turns ids (B, T) into vectors (B, T, C): one-hot vectors times an embedding matrix, computed by
# copying rows. The rows are learned, and tokens that are useful for the same predictions come to point the
# same way; `nearest_tokens` finds them. A row knows its token and nothing else.
#
# How much of GPT-2 is in this matrix?

# %%
for name, config in RELEASED.items():
    in_wte, total = config.vocab_size * config.n_embd, count_parameters(config)
    size = f"{config.vocab_size:,} × {config.n_embd:,} = {in_wte:,}"
    megabytes = in_wte * 4 / 1e6  # four bytes for a number
    print(f"{name:12} {size:27} of {total:13,} parameters: {in_wte / total:5.1%}, {megabytes:.0f} MB")

# %% [markdown]
# Nearly a third of the smallest one, a twentieth of the largest: the blocks grow faster.
#
# ### Questions
#
# The last two are about earlier lessons.
#
# <details><summary>1. Why can't a model compute with the ids themselves?</summary>
# An id is a name. Arithmetic with ids (halfway, twice) says something about the numbering, and nothing
# about the tokens.
# </details>
# <details><summary>2. A lookup is a matrix product. Which two matrices, and why does nobody compute it
# so?</summary>
# One-hot vectors (T, V) times <code>wte</code> (V, C). All but one in V of the multiplications are by 0;
# copying the rows gives the same result.
# </details>
# <details><summary>3. A text has 5 tokens, two of them equal. How many rows of <code>wte</code> get a gradient
# from the lookup?</summary>
# Four. The row of the token that occurs twice gets the sum of two gradients.
# </details>
# <details><summary>4. Two rows have cosine 1 and a distance of 3. How can that be?</summary>
# They point the same way and differ in length. The cosine divides by both lengths.
# </details>
# <details><summary>5. <i>owl</i> and <i>engine</i> have nearly the same direction. What has the model learned
# about them?</summary>
# That both are useful for the same predictions: both follow <i>an</i>, and similar words follow them.
# </details>
# <details><summary>6. From <a href="02_tokens.ipynb">lesson 02</a>: GPT-2's <code>wte</code> has 50,257 rows.
# What are they for?</summary>
# 256 for the single bytes, 50,000 for the merges, and one for <code>&lt;|endoftext|&gt;</code>.
# </details>
# <details><summary>7. From <a href="01_language_models.ipynb">lesson 01</a>: a model has perplexity 8. What
# does that say?</summary>
# On average it is as uncertain as if it had to choose among 8 equally likely tokens.
# </details>
#
# ### Challenge: arithmetic with words ●●●○○
#
# A famous claim is that *king* - *man* + *woman* comes out near *queen*. Try such sums with the course model's
# rows: *robots* - *robot* + *kettle*, *barks* - *barked* + *beeped*, *beeped* - *robot* + *kettle*. What to look
# for: which sums find a new word, and which give back one that went in? (Published lists often leave those
# out.) For which kinds of change does it work here, and why?
#
# **Sources.** Bengio et al. 2003, *A Neural Probabilistic Language Model*, section 2; Mikolov et al. 2013,
# *Efficient Estimation of Word Representations in Vector Space*, section 4; Press and Wolf 2017, *Using the
# Output Embedding to Improve Language Models*, section 3; Radford et al. 2019, *Language Models are
# Unsupervised Multitask Learners*, section 2.3 and table 2.
#
# **Next:** *robot must obey* and *obey must robot* are the same rows in another order.
# [Lesson 04](04_positions.ipynb) adds the position.
#
# **What you have built so far:**

# %%
my_progress()
