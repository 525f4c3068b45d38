# %% [markdown]
# # 03 · Embeddings
#
# Lesson 02 ended with ids: *robot* is a number, *must* is another. A number is not yet something that a
# model can work with, as you will see in a minute. **How does a token become a vector, and how does
# that vector come to say which words are alike?**
#
# - **In:** ids `(B, T)`: B texts in a batch, T tokens in each.
# - **Out:** vectors `(B, T, C)`: C numbers for each token.
# - **Time:** about 90 minutes. Two exercises: `embed_tokens` and `nearest_tokens`.

# %% [markdown]
# First the tools.

# %%
import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from gpt2course import check
from gpt2course.config import RELEASED
from gpt2course.corpus import heldout_documents
from gpt2course.lessons.embeddings import (
    Panel, figures, matrices, neighbours_to_play, pipeline, side_by_side,
)
from gpt2course.model import GPT2, count_parameters
from gpt2course.weights import load_tokenizer

# %% [markdown]
# The lit box is this lesson. What it hands on is what every later box works with.

# %%
pipeline("03_embeddings")

# %% [markdown]
# ## 1. An id says nothing
#
# To keep everything small, a token is a whole word in this lesson, and the vocabulary has eight of
# them, numbered by the alphabet. (GPT-2's 50,257 tokens are pieces of words, numbered by the order of
# their merges.) What are the ids of *robot must obey orders*?

# %%
VOCABULARY = ["a", "given", "it", "must", "obey", "orders", "robot", "the"]
ids_of = {word: token_id for token_id, word in enumerate(VOCABULARY)}
words = ["robot", "must", "obey", "orders"]
ids = [ids_of[word] for word in words]
ids

# %% [markdown]
# A model adds and multiplies what it is given. Suppose that it is given these ids. Which word lies
# halfway between *must* and *orders*, and what is two times *must*?

# %%
print("halfway between must and orders:", VOCABULARY[(ids_of["must"] + ids_of["orders"]) // 2])
print("two times must:                 ", VOCABULARY[2 * ids_of["must"]])

# %% [markdown]
# *obey* and *robot*. That is correct arithmetic about the alphabet, and it says nothing about the words. An
# id is a name, like the number on a football shirt: nobody is twice as much player as another.
#
# ### One place for each word
#
# So the false order has to go. Give each word a place of its own in a list as long as the vocabulary: 1
# in that place, 0 in all others. This is called a **one-hot vector**. There is a row for each word that
# is read, and a column for each word of the vocabulary. V is the size of the vocabulary, here 8.

# %%
one_hot = torch.zeros(4, 8, dtype=torch.int64)
for place, token_id in enumerate(ids):
    one_hot[place, token_id] = 1
matrices([("one-hot vectors (T, V) = (4, 8)", one_hot)], words, VOCABULARY)

# %% [markdown]
# How far apart are two such vectors? The **distance** is the root of the sum of the squared
# differences, as on a map. Two one-hot vectors differ in two places. What stands in the table below?

# %%
distances = torch.cdist(one_hot.float(), one_hot.float())
matrices([("distance between words", distances)], words, words)

# %% [markdown]
# √2, about 1.41, everywhere. Nobody is nearer to anybody: nothing false is said any more, but nothing at
# all is said. And for GPT-2 each of these vectors would be 50,257 numbers long.
#
# ## 2. A row for each word
#
# Now the idea of this lesson. Take a table with one **row** for each word of the vocabulary and C
# **columns**, and let a word be its row. The table is called `wte` (for *word token embeddings*, the
# name that it has in the released GPT-2), its shape is (V, C), and the row of a word is called its
# **embedding**. Here is a table that was made up by hand, with C = 3: how much of a thing, a duty, an action
# is this word? Which two words are alike?

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
# *it* and *robot* have nearly the same row: a row can say what an id could not. In a trained model nobody
# chooses the numbers, and no column has such a name; sections 4 and 6 show that.
#
# ### By hand: one word after the other
#
# How does one get from the one-hot vector of *obey* to its row? Multiply each of the eight rows by
# its 0 or 1, and add up. What is left of the other seven rows? The loop does so for each word of the text
# and stacks the results. Four words with three numbers each: which shape comes out?

# %%
rows_by_hand = []
for hot in one_hot:
    x_word = torch.zeros(3)
    for zero_or_one, row in zip(hot, wte, strict=True):
        x_word = x_word + zero_or_one * row
    rows_by_hand.append(x_word)
by_loop = torch.stack(rows_by_hand)
assert torch.equal(by_loop[2], wte[4])  # obey
by_loop

# %% [markdown]
# Nothing is left of the other seven, and the row of each word is there as it was: (4, 3).
#
# ### A matrix product
#
# "Multiply and add up, for each row" is what a matrix product does. So a lookup *is* a matrix product,
# one-hot times table: (T, V) @ (V, C) gives (T, C). Follow the 1 of *must* from the left matrix to its
# row in the middle and on to the result.

# %%
by_product = one_hot.float() @ wte
assert torch.equal(by_product, by_loop)
figures.one_hot_product(one_hot, wte, words, VOCABULARY, columns)

# %% [markdown]
# ### What it costs
#
# The product is the right way to think of it: the table is a matrix like any other in the model, and it
# is learned like any other. It would be a poor way to compute it. GPT-2 reads up to 1024 tokens, its
# vocabulary has 50,257, and its rows have 768 numbers. How many multiplications is that, and how many of
# them are not by 0?

# %%
n_ctx, vocab_size, n_embd = 1024, 50257, 768
print(f"one-hot times table: {n_ctx * vocab_size * n_embd:,} multiplications")
print(f"not by 0:            {n_ctx * n_embd:,}, or one in {vocab_size:,}")
print(f"one-hot vectors:     {n_ctx * vocab_size * 4 / 1e6:,.0f} MB as float32")
print(f"looking up the rows: no multiplication, {n_ctx * n_embd:,} numbers copied")

# %% [markdown]
# Forty thousand million multiplications, in order to copy 1024 rows. So nobody multiplies. Take the row with
# the number of the id, `wte[4]` for *obey*, and that is all:

# %%
looked_up = torch.stack([wte[token_id] for token_id in ids])
assert torch.equal(looked_up, by_product)
looked_up

# %% [markdown]
# ### A batch
#
# Ids come as (B, T): B texts side by side. **Predict:** `some_ids` has shape (2, 3), and the table has 7 rows
# of 5 numbers. What shape do the looked-up rows have together?
#
# <details><summary>A. (2, 5)</summary>
# That would be one vector for each text. But every token keeps its own: which word stands where will be
# needed.
# </details>
# <details><summary>B. (6, 5)</summary>
# Here the two texts have run into one another: six rows, and nothing says where the second text begins. The
# two axes of the ids have to stay.
# </details>
# <details><summary>C. (2, 3, 7)</summary>
# 7 is the size of the vocabulary. That is the shape of the one-hot vectors, before the product.
# </details>
# <details><summary>D. (2, 3, 5)</summary>
# Yes. Each id is replaced by its row of 5 numbers, and everything else stays in its place.
# </details>

# %%
some_ids = torch.tensor([[6, 0, 3], [3, 3, 1]])
hot = F.one_hot(some_ids, 7).float()  # torch's own one-hot vectors, for ids of any shape
some_rows = hot @ torch.zeros(7, 5)
print(f"{tuple(some_ids.shape)} → {tuple(hot.shape)} → {tuple(some_rows.shape)}")

# %% [markdown]
# ## Exercise 1: `embed_tokens`
#
# For ids of shape (B, T) and a table (V, C), return the rows, shape (B, T, C). Do it as you like: by
# indexing, by a product, with a function of torch. The result has the table's type, and a batch of one text
# keeps its axis. The table is to learn from the result (section 3), so take the rows from *this* table, and
# not from a copy of it in numpy or in a module of your own.
#
# Read `Int[Tensor, "B T"]` as: a tensor of whole numbers whose two sizes are called B and T. Replace the
# line that raises, run the cell, then run the check below it. As long as yours does not pass, the
# check puts the package's own function in its place, so you can go on whenever you like.
#
# <details><summary>Hint 1</summary>
# You have seen several ways above, most of them for one text. Which one did not mind that the ids had two
# axes? And what does torch do when a table is indexed with a whole tensor of ids?
# </details>
# <details><summary>Hint 2</summary>
# For the product: <code>F.one_hot(idx, V)</code> makes the one-hot vectors, of integers. A product wants
# both sides to have the same type, and V is the number of rows of the table, whichever ids occur.
# </details>
# <details><summary>Hint 3</summary>
# Indexing with a tensor of ids of any shape gives that shape, with one more axis for the row.
# </details>

# %%
def embed_tokens(idx: Int[Tensor, "B T"], wte: Float[Tensor, "V C"]) -> Float[Tensor, "B T C"]:
    """The row of the table for every id."""
    ### BEGIN SOLUTION
    return wte[idx]
    ### END SOLUTION

# %%
embed_tokens = check(embed_tokens)

# %% [markdown]
# Two texts at once, and the same word at two places. Which rows below will be equal?

# %%
spoken = [["robot", "must", "obey"], ["obey", "the", "robot"]]
two_texts = torch.tensor([[ids_of[word] for word in one_text] for one_text in spoken])
x = embed_tokens(two_texts, wte)
assert torch.equal(x[0, 0], x[1, 2]) and torch.equal(x[0, 2], x[1, 0])
panels = [Panel(f"x[{b}]", x[b], spoken[b], columns) for b in (0, 1)]
side_by_side(panels)

# %% [markdown]
# *robot* is the same row, first word or last. So the vectors do not say where a word stands; that is
# lesson 04.
#
# ### As a module
#
# In a model the table belongs to a module, which holds what is learned (its *parameters*). torch has one
# for this purpose, `nn.Embedding(V, C)`. Its table is called `weight`, and it does what your function does:

# %%
module = nn.Embedding(8, 3)
assert torch.equal(module(two_texts), embed_tokens(two_texts, module.weight))
type(module.weight).__name__, tuple(module.weight.shape)

# %% [markdown]
# ## 3. Where the rows come from
#
# A new table holds random numbers. Training changes them, little by little, so that the model predicts
# better. How well it predicts is measured by one number, the **loss** (smaller is better), and the
# **gradient** says for each number of the table how much the loss grows if that number grows. `backward()`
# computes it, and `.grad` holds it.
#
# **Predict.** The model reads *robot must obey robot*. Which rows of the table get a gradient that is
# not 0?
#
# <details><summary>A. All eight: the table is one matrix</summary>
# The table is one matrix, but the rows of the other words were multiplied by 0. However they change, the
# loss does not notice, and so their gradient is 0.
# </details>
# <details><summary>B. Four, one for each token that was read</summary>
# Four tokens were read, but only three different words. There is one row for <i>robot</i>, and it was
# read twice.
# </details>
# <details><summary>C. Three: robot, must, obey</summary>
# Yes. And the row of <i>robot</i> collects both: what its first place wants of it, plus what its second
# place wants.
# </details>

# %% [markdown]
# To see it in small numbers, let the "loss" be the sum of all the numbers that were looked up. Each number
# then counts as often as its row was read.

# %%
table = nn.Parameter(wte.clone())  # a Parameter is a tensor that learns
read = torch.tensor([[ids_of[word] for word in "robot must obey robot".split()]])
embed_tokens(read, table).sum().backward()
matrices([("gradient of wte", table.grad)], VOCABULARY, columns)

# %% [markdown]
# **Only rows that were read get a gradient.** A word that never occurs learns nothing, and a rare one little.
# (In GPT-2 the same table is used once more at the very end, where every word gets a score. There all rows
# take part: lesson 10.)
#
# ## 4. A table that has learned
#
# Now a table whose numbers come from training. The course brings along a small GPT-2 of its own, the
# **course model**, which has learned to predict the next token in 16,000 short stories. All that it knows of
# the world is in them. (Lesson 13 trains such a model.) Here is a story of the same kind that it has not read.
# Which words could stand in each other's place?

# %%
model = GPT2.from_pretrained("course").requires_grad_(False)  # nothing is trained here
tokenizer = load_tokenizer("course")
stories = heldout_documents()
print(stories[1])

# %% [markdown]
# Any of the names could be another name, any day another day. A thing can't be any other thing: in these
# stories a robot beeps, whirs or blinks, and a kettle does none of these.
#
# The tokens are those of a tokenizer as in lesson 02, trained on the same stories. Which words below are one
# token, and which come in pieces?

# %%
sentence = "Mina heard the robot bark again."
sentence_ids = tokenizer.encode(sentence)
print([tokenizer.decode([i]) for i in sentence_ids])
tuple(model.wte.weight.shape)

# %% [markdown]
# Nearly all words are tokens of their own, the blank before them included; *bark* is rare in the stories, so
# it comes in two pieces. Each token has a row: V = 2048 rows of C = 128 numbers. For comparison, take the table
# that such a model begins with, which is random. And to look words up, a helper: the id of the token that
# is a blank and the word.

# %%
trained = model.wte.weight
V, C = trained.shape
torch.manual_seed(0)
untrained = GPT2(model.config).wte.weight.detach()


def id_of(word: str) -> int:
    """The id of a word's one token, the blank before it included."""
    (token_id,) = tokenizer.encode(" " + word)  # an error where there are several
    return token_id


{word: id_of(word) for word in ("robot", "kettle", "Mina", "Monday")}

# %% [markdown]
# Why rows, when one could count? Lesson 01 counted for each pair of tokens how often the second follows the
# first. How many numbers does that take for this vocabulary, how many does the table have, and how many
# would it be for GPT-2?

# %%
for name, v, c in (("course model", V, C), ("gpt2", vocab_size, n_embd)):
    print(f"{name:12} pairs {v * v:13,}   table {v * c:10,}   one in {v / c:.0f}")

# %% [markdown]
# The table is that much smaller because words can share. *Monday* and *Friday* are followed by the same
# words: if both have nearly the same row, what follows has to be learned only once for the two, and what is
# learned from one holds for the other. A count of *Monday* says nothing about *Friday*. **That is what the
# embedding is for.**
#
# ## 5. Looking into the table
#
# Below are the rows of six words, before and after training, each number a cell: blue below 0, red
# above. Compare the neighbours in pairs, *kitchen* with *garden*, *tired* with *sad*, *Monday* with
# *Friday*: in which of the two tables are they alike?

# %%
six = ["kitchen", "garden", "tired", "sad", "Monday", "Friday"]
rows = [id_of(word) for word in six]
figures.row_strips({"untrained": untrained[rows], "trained": trained[rows]}, six)

# %% [markdown]
# In the trained one: *kitchen* and *garden* have nearly the same row, and so have *tired* and *sad*; *Monday*
# and *Friday* agree in most columns. Nobody told the model about rooms, moods or days. It saw that they
# stand between the same words.
#
# ### How alike are two rows?
#
# A first idea is the **dot product**: multiply place by place, and add up. It is large and positive where two
# rows agree. By hand for *robot* and *kettle*:

# %%
robot, kettle, friday = (trained[id_of(word)] for word in ("robot", "kettle", "Friday"))
by_hand = sum(a * b for a, b in zip(robot.tolist(), kettle.tolist()))
assert math.isclose(by_hand, (robot @ kettle).item(), rel_tol=1e-4)
print(f"robot · kettle = {by_hand:.2f}, robot · Friday = {(robot @ friday).item():z.2f}")

# %% [markdown]
# But the dot product also grows with the **length** of a row (the root of the sum of its squares).
# **Predict.** Take A = (2, 1). Which of these three is most like it: B = (4, 2), D = (6, 0) or E = (1, 1)?
#
# <details><summary>A. D, which has the largest dot product with A</summary>
# 2 · 6 + 1 · 0 = 12, more than the 10 of B and the 3 of E. But D owes this to its length. The row (100,
# 0) would come out first whatever the others are, as would every row that is long enough and points
# roughly that way.
# </details>
# <details><summary>B. E, which is nearest to A</summary>
# Its distance from A is 1, less than that of the others. But distance counts length too: B says the same
# as A, twice as loudly, and would have to stand back behind E.
# </details>
# <details><summary>C. B, which points exactly the same way</summary>
# Yes, if direction is what counts. That is what the cosine measures: 1 for A and B, whatever their
# lengths.
# </details>
#
# The picture has all three measures.

# %%
figures.arrows({"A": (2, 1), "B": (4, 2), "D": (6, 0), "E": (1, 1)}, asker="A")

# %% [markdown]
# The **cosine** is the dot product divided by both lengths: 1 for the same direction, 0 for a right angle,
# -1 for opposite directions, whatever the lengths. Dividing a row by its length first (it then has
# length 1) and taking the dot product afterwards is the same thing:

# %%
cosine_of_machines = (robot @ kettle / (robot.norm() * kettle.norm())).item()
of_directions = ((robot / robot.norm()) @ (kettle / kettle.norm())).item()
assert math.isclose(cosine_of_machines, of_directions, rel_tol=1e-4)
print(f"cosine of robot and kettle: {cosine_of_machines:.2f}")

# %% [markdown]
# ## Exercise 2: `nearest_tokens`
#
# Given an id, a table (V, C) and k, return the ids of the k tokens whose rows have the largest cosine with
# the row of that id: a plain Python list, the nearest first. The token itself is left out. k is at most
# V - 1, and no row is all zeros. If two tokens have exactly the same cosine, either may come first.
#
# Take care how the token itself is left out. It has the largest possible cosine, but perhaps it is not
# the only one that has.
#
# <details><summary>Hint 1</summary>
# Divide each row by its own length: <code>wte.norm(dim=-1, keepdim=True)</code> has shape (V, 1), one
# length for each row. All cosines are then one product of a matrix with a vector.
# </details>
# <details><summary>Hint 2</summary>
# Which number can you give to the token's own place, so that it comes last whatever the others have? It
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
# The three nearest tokens, in the random table and in the trained one. Read the right column, and find a line
# in it that surprises you. (The random table's neighbours are often pieces of words.)

# %%
def neighbours(word: str, table: Float[Tensor, "V C"], k: int = 3) -> list[str]:
    """The k tokens nearest to a word, as text."""
    return [tokenizer.decode([i]).strip() for i in nearest_tokens(id_of(word), table, k)]


for word in ("robot", "Mina", "Monday", "kitchen", "tired", "six", "beeped", "owl"):
    before, after = (", ".join(neighbours(word, table)) for table in (untrained, trained))
    print(f"{word:8} untrained: {before:24} trained: {after}")
assert neighbours("owl", trained, 1) == ["engine"]
assert set(neighbours("beeped", trained, 2)) == {"blinked", "whirred"}

# %% [markdown]
# Names stand beside names, days beside days; beside *beeped* stand the two other things that robots do. (A
# name can stand beside itself: at the start of a story no blank comes before it, and so it is another
# token.) But what has an *owl* to do with an *engine*? They are the only two things in the stories that
# follow *an* in place of *a*. Nothing in this is about meaning as such: **alike means: useful for the same
# predictions.** The model has to predict what follows a word, and also that it follows, since in GPT-2 the
# same rows score the next token at the end (lesson 10). GPT-2's rows have to serve the predictions of a
# much larger model, on 40 GB of text, so they hold more, but in the same sense.
#
# ### A test
#
# If that is so, a word's neighbour should do in its place. Here are 46 words in groups that a reader would
# make; the model knows nothing of the groups.

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
len(grouped)

# %% [markdown]
# Let the model read stories three times: as they are; with each of these words replaced by its nearest
# neighbour, *kitchen* by another room, *Monday* by another day; and with the same words replaced by one
# another at random. The loss (`cross_entropy` gives it, in *nats per token*) is always that of predicting
# the stories as they are. First the stories as ids, 64 lines of 128 tokens, and a function for the loss.
# (Each story begins with a token of its own, `<|endoftext|>`.)

# %%
end = tokenizer.end_of_text
some_text = [i for story in stories[:100] for i in [end, *tokenizer.encode(story)]]
lines = torch.tensor(some_text[: 64 * 128]).view(64, 128)


def loss_when_reading(read: Int[Tensor, "B T"]) -> float:
    """The loss on the lines, while the model is shown other tokens in their place."""
    return F.cross_entropy(model(read[:, :-1]).flatten(0, 1), lines[:, 1:].flatten()).item()

# %% [markdown]
# `nearest` and `shuffled` say for each id what is read in its place: itself, except for the 46 words. Which
# of the two replacements will cost more?

# %%
own = torch.tensor([id_of(word) for word in grouped])
nearest, shuffled = torch.arange(V), torch.arange(V)
nearest[own] = torch.tensor([nearest_tokens(i, trained, 1)[0] for i in own.tolist()])
shuffled[own] = own[torch.randperm(len(own), generator=torch.Generator().manual_seed(0))]
losses = [loss_when_reading(read) for read in (lines, nearest[lines], shuffled[lines])]
assert 0 < 2 * (losses[1] - losses[0]) < losses[2] - losses[0]
print("as they are {:.2f}, nearest neighbours {:.2f}, at random {:.2f}".format(*losses))

# %% [markdown]
# The neighbour costs something, as a *Monday* is not a *Friday* when the next day is asked for. The
# stranger costs more than twice as much.
#
# ### What the dot product would have said
#
# Rows that are long come out first by the dot product. Which rows are long? Here are the tokens that are
# met in a hundred stories (three times at least, with a blank before them), and the tokens 128 to 255.
# These are single bytes of letters such as *é* or *ж*, and come nowhere: the stories are written without
# them.

# %%
assert all(story.isascii() for story in stories)
how_often = torch.bincount(torch.tensor(some_text), minlength=V)
often = [i for i in range(V) if how_often[i] >= 3 and tokenizer.decode([i])[:1] == " "]
lengths = trained.norm(dim=-1)
print(f"{len(often)} tokens that are met: length {lengths[often].median():.1f} (median)")
print(f"128 that never come: length {lengths[128:256].median():.1f} (median)")

# %% [markdown]
# How a row that is never read came to be the longer one is for the end of the lesson. First, what
# does it do to the neighbours? Take the five nearest of each token that is met: how many of them are
# rows of more than twice the usual length?

# %%
is_long = lengths > 2 * lengths[often].median()
for measure in ("cosine", "dot product"):
    found = 0
    for token_id in often:
        alike = figures.similarities(token_id, trained, measure)
        alike[token_id] = -torch.inf
        found += is_long[alike.topk(5).indices].sum().item()
    print(f"{measure:11}: {found} of {5 * len(often):,}")
assert found > 50  # by the dot product

# %% [markdown]
# By the cosine next to none. By the dot product many, in lists where nobody would look for them: their dot
# products are large because they are long. That is why neighbours are taken by cosine.
#
# ### A map
#
# 128 numbers a row cannot be drawn. But one can look for the two directions in which the rows differ
# most, and draw how far each row goes along these two. (`torch.linalg.svd` finds them; the method is
# called *principal component analysis*. Above each map stands how much of all differences is left in the
# two.) Each word is a point, each group has a marker of its own. Find the robot in both maps.

# %%
maps = {"untrained": untrained[own], "trained": trained[own]}
figures.word_map(maps, grouped, groups, "Training brings together what is used alike")

# %% [markdown]
# On the left, chance has thrown the words about. On the right they stand in groups. Kinds that seem far apart
# to us share a place where the stories treat them alike: machines and animals are both things that stand in a
# shed and make a noise. A flat map can mislead, though: most of all differences lie in the other 126
# directions, and groups that lie side by side here may be far apart in them. The cosine uses all 128.
#
# ### Play with it
#
# Choose a word, and see its nearest words with a bar each, among those that are met; switch the table and the
# measure.
#
# 1. *the* and *was* have no near neighbour, even after training. Why these?
# 2. How large do cosines get in the untrained table, by chance alone?
# 3. *robots* is a form of *robot*. Is *robot* nearest to it?

# %%
met = [i for i in often if tokenizer.decode([i])[1:].isalpha()]
met_words = [tokenizer.decode([i])[1:] for i in met]
tables = {"trained": trained[met], "untrained": untrained[met]}
neighbours_to_play(tables, met_words, first="robot")

# %% [markdown]
# <details><summary>Answers, after you have tried</summary><ol>
# <li>No other word is followed by what follows them, nor comes where they come.</li>
# <li>Seldom above 0.35: the more numbers a row has, the closer chance keeps to 0 (lesson 04 measures it for
# 768). So a cosine says something only beside what chance gives.</li>
# <li>No, other plurals are. A row says what a token is used like. It can't see that two tokens are spelled
# alike.</li>
# </ol></details>

# %% [markdown]
# ## 6. What a row is, and what it is not
#
# ### One row for two meanings
#
# In the stories *spring* is a season, and also a part of a clock: *Inside the clock the spring was bent*. And
# *ring* sits on a finger, stands at the circus, and is what bells do. The stories have two more such words,
# *bank* and *note*. Here are the cosines of *spring* and *ring* with words of each kind. How has the table
# solved this?

# %%
kinds = ["summer", "winter", "note", "bank", "clang", "Mina"]
pair = torch.stack([figures.similarities(id_of(word), trained) for word in ("spring", "ring")])
panel = ("cosine", pair[:, [id_of(word) for word in kinds]])
matrices([panel], ["spring", "ring"], kinds, scale=(-1.0, 1.0))

# %% [markdown]
# Each got one row that lies between. *spring* is with the seasons, as that is what it mostly is, and keeps
# a share with *note* and *bank*. *ring* has something of those, and something of *clang*, which bells do as
# well. A lookup has no other choice: **it cannot know which of the two is meant, because it does not see
# the sentence.** What a word means *here* has to come from the words around it, and that is the work of
# attention (lesson 05).
#
# ### "Each number stands for a property"
#
# One often reads that the first number of a row might be *size*, the second *being alive*, and so on. The
# table by hand was of this kind. A learned one need not be. Turn the whole table in its 128 dimensions,
# as one turns a map on a desk (`turn` is a matrix that does so), and every number in every row is another
# one:

# %%
turn = torch.linalg.qr(torch.randn(C, C, generator=torch.Generator().manual_seed(4)))[0]
turned = trained @ turn
for name, table_shown in (("as trained", trained), ("turned", turned)):
    print(f"robot, {name:11}", [round(n, 2) for n in table_shown[id_of("robot")][:7].tolist()], "…")

# %% [markdown]
# What has happened to the dot product of each row with each other row, and which words have other neighbours
# now?

# %%
dots, dots_turned = (rows_now @ rows_now.T for rows_now in (trained, turned))
assert torch.allclose(dots, dots_turned, atol=1e-3)
for word in grouped:
    assert neighbours(word, turned, 1) == neighbours(word, trained, 1)
print(f"largest difference: {(dots - dots_turned).abs().max():.0e}, which is rounding")

# %% [markdown]
# Nothing, and none. What carries meaning is how the rows lie to each other, and no single column has to
# mean anything for that. (One step of GPT-2, the LayerNorm of lesson 09, does treat the columns one by one,
# so it would notice the turn; but it gives no column a name.)
#
# ## 7. Break it: ids of another table
#
# An id means something only together with the table that it belongs to. Suppose that somebody puts a
# tokenizer in front of this model whose numbers are all one too high. Every id is still a row of the table
# (the last one goes round to 0), so no error is raised. What will the loss be: a little higher, that of
# guessing, or worse than guessing? (Who guesses gives each token the probability 1/V and loses log V.)

# %%
right, off_by_one = loss_when_reading(lines), loss_when_reading((lines + 1) % V)
print(f"its own ids {right:.2f}, every id one too high {off_by_one:.2f}, guessing {math.log(V):.2f}")

# %% [markdown]
# Worse than knowing nothing: the model is sure of itself and wrong. Tokenizer and table belong together, and
# nothing but the loss will tell you when they do not. When GPT-2's weights are loaded in lesson 14, its
# tokenizer has to come with them.
#
# **Before you go:** a token stands in the vocabulary, but it occurs nowhere in the training text. If its row
# is used for reading alone, what does it look like after training?
#
# <details><summary>A. All zeros</summary>
# Nothing sets it to zero. Rows start random, and a row that is never read gets a gradient of 0 from the
# lookup.
# </details>
# <details><summary>B. Like the mean of all rows</summary>
# For that somebody would have to push it there. The lookup pushes only rows that were read.
# </details>
# <details><summary>C. Much as it was at the start: random</summary>
# Yes, as far as the lookup is concerned. (Many optimizers also shrink all numbers a little at every step, so
# it may get shorter.)
# </details>
#
# But in GPT-2, and so in the course model, the same table also scores every possible next token, and there all
# rows take part. The 128 bytes that never come, once more: what is the smallest cosine between any two of
# them?

# %%
for name, bytes_unseen in (("untrained", untrained[128:256]), ("trained", trained[128:256])):
    directions = bytes_unseen / bytes_unseen.norm(dim=-1, keepdim=True)
    smallest = (directions @ directions.T).min().item()
    print(f"{name:9} smallest cosine {smallest:z.2f}")
assert smallest > 0.9

# %% [markdown]
# They have all come to point the same way. At every place the model learned that none of these tokens comes
# next, and each time all of their rows were pushed in the same direction, away from whatever was there. That
# made them long, and one as good as the other. So a row of a token that was never met says that, and nothing
# else.

# %% [markdown]
# ## What you have
#
# `embed_tokens` turns ids (B, T) into vectors (B, T, C): a one-hot vector times a table, computed by
# copying rows. The rows are learned: by being read, each only where its word stands, and in GPT-2 also by
# scoring the next token. Words that are useful for the same predictions come to point the same way;
# `nearest_tokens` asks for that. A row knows its word and nothing else, neither the sentence nor the place.
#
# How much of GPT-2 sits in this table? In the four released sizes:

# %%
for name, config in RELEASED.items():
    in_table, total = config.vocab_size * config.n_embd, count_parameters(config)
    size = f"{config.vocab_size:,} × {config.n_embd:,} = {in_table:,}"
    megabytes = in_table * 4 / 1e6  # four bytes for a number
    print(f"{name:12} {size:27} of {total:13,} parameters: {in_table / total:5.1%}, {megabytes:.0f} MB")

# %% [markdown]
# In the smallest one nearly a third of all parameters are rows of words; in the largest a twentieth, since
# the blocks grow faster than the table. The same matrix comes back at the other end, where its rows
# score the next token (lesson 10), and is counted once.
#
# **Sources.** Bengio et al. 2003, *A Neural Probabilistic Language Model*, section 2 (a table of word
# vectors, learned by predicting the next word); Mikolov et al. 2013, *Efficient Estimation of Word
# Representations in Vector Space*, section 4 (similarity by cosine); Radford et al. 2019, *Language
# Models are Unsupervised Multitask Learners*, section 2.3 and table 2 (vocabulary and widths).
#
# **Next:** *robot must obey* and *obey must robot* are the same rows in another order. Lesson 04 writes
# the position into them.
