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
# First the tools. `count_bigrams` is yours if you have passed it in lesson 01; the line below the cell
# says whose it is.

# %%
import math
import random

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from gpt2course import check
from gpt2course.config import RELEASED
from gpt2course.figures import embeddings as figures
from gpt2course.figures.matrix import matrices
from gpt2course.figures.pipeline import pipeline
from gpt2course.mine import count_bigrams
from gpt2course.model import count_parameters
from gpt2course.widgets.embeddings import neighbours_to_play

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
### BEGIN HIDDEN TESTS
from gpt2course import require_passed

require_passed("embed_tokens")
### END HIDDEN TESTS

# %% [markdown]
# Two texts at once, and the same word at two places. Which rows below will be equal?

# %%
spoken = [["robot", "must", "obey"], ["obey", "the", "robot"]]
two_texts = torch.tensor([[ids_of[word] for word in one_text] for one_text in spoken])
x = embed_tokens(two_texts, wte)
assert torch.equal(x[0, 0], x[1, 2]) and torch.equal(x[0, 2], x[1, 0])
panels = [figures.Panel(f"x[{b}]", x[b], spoken[b], columns) for b in (0, 1)]
figures.side_by_side(panels)

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
# Time to train one. The texts are made by a small grammar, so that you know what there is to learn: who
# does what, where, on which day. Look at who does what. The robot has habits of two kinds.

# %%
KINDS = {
    "pets": ("cat dog hamster", "slept ate waited"),
    "wild animals": ("fox wolf owl", "slept ate hunted hid"),
    "people": ("child cook", "slept ate waited obeyed"),
    "machine": ("robot", "waited obeyed rusted broke"),
    "tools": ("hammer drill axe saw", "lay hung rusted broke"),
    "kitchenware": ("kettle pot pan", "lay hung boiled leaked"),
}
NOUNS = " ".join(nouns for nouns, _ in KINDS.values()).split()
VERBS = sorted(set(" ".join(verbs for _, verbs in KINDS.values()).split()))
PLACES = "kitchen garden cellar forest attic".split()
DAYS = "monday tuesday wednesday thursday friday saturday sunday".split()

# %% [markdown]
# A trap is built in: *saw* is a tool, and it is also what somebody does who sees. (`r` is Python's
# random generator; `r.choice` draws one of a list.)

# %%
def sentence(r: random.Random) -> str:
    """Who does what, where, on which day."""
    nouns, verbs = r.choice(list(KINDS.values()))
    noun, verb = r.choice(nouns.split()), r.choice(verbs.split())
    if "slept" in verbs and r.random() < 0.3:  # who sleeps can also see
        verb = f"saw the {r.choice(NOUNS)}"
    where, when = f"in the {r.choice(PLACES)}", f"on {r.choice(DAYS)}"
    return r.choice([f"{when} the {noun} {verb} {where} .", f"the {noun} {verb} {where} {when} ."])


r = random.Random(0)
story = [sentence(r) for _ in range(3000)]
story[:6]

# %% [markdown]
# All sentences in a row, as ids. The words are grouped here, and the group names are for the pictures
# alone: the model sees numbers and never learns what the groups are. How many words does it have to tell
# apart?

# %%
groups = {kind: nouns.split() for kind, (nouns, _) in KINDS.items()}
groups |= {"places": PLACES, "days": DAYS, "verbs": VERBS, "rest": ["the", "on", "in", "."]}
lexicon = [word for members in groups.values() for word in members]
number = {word: token_id for token_id, word in enumerate(lexicon)}
text = torch.tensor([number[word] for line in story for word in line.split()])
print(f"V = {len(lexicon)} words; the text has {len(text):,} tokens, from {text[:5].tolist()} on")

# %% [markdown]
# The model predicts the next word from the row of the word before it, and from nothing else: a row of C
# numbers in, a score for each of the V words out. `nn.Linear(C, V)` does the second half: each word's
# score is a sum of the C numbers, each times a weight that is learned, plus a constant for the word.
# (This is GPT-2 with everything between its first and its last step taken out.)

# %%
class NextWord(nn.Module):
    """Scores for the next word (B, T, V), from the row of each word alone."""

    def __init__(self, wte: Float[Tensor, "V C"]):
        super().__init__()
        self.wte = nn.Parameter(wte)
        self.head = nn.Linear(wte.shape[1], wte.shape[0])

    def forward(self, idx: Int[Tensor, "B T"]) -> Float[Tensor, "B T V"]:
        return self.head(embed_tokens(idx, self.wte))

# %% [markdown]
# Training: take 64 pieces of nine words at random, predict the last eight of each from the first eight,
# measure the loss, move every number a little against its gradient, repeat. `cross_entropy` turns the
# scores into probabilities and gives the loss: minus the logarithm of the probability of the word that
# came, on average, in *nats per token*. Lesson 13 takes this loop apart.

# %%
def train(wte: Float[Tensor, "V C"], table_learns: bool = True, steps: int = 400):
    """A trained NextWord and its loss at every step."""
    torch.manual_seed(1)
    model, curve = NextWord(wte), []
    model.wte.requires_grad_(table_learns)
    pieces = text[: len(text) // 9 * 9].view(-1, 9)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02, weight_decay=0.1)
    for _ in range(steps):
        batch = pieces[torch.randint(len(pieces), (64,))]
        loss = F.cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        curve.append(loss.item())
    return model, curve

# %% [markdown]
# Three models, each with the same second half. The first learns a table with C = 8. The second has
# the same random table, but it may not learn. The third gets the id itself, one number a word (shifted and
# shrunk to lie around 0, so that its size is no excuse). Which will be best, and how far behind is the last?

# %%
V, C = len(lexicon), 8
untrained = torch.randn(V, C, generator=torch.Generator().manual_seed(0)) / 2
the_id = (torch.arange(V)[:, None] - V / 2) / V * 4
torch.set_num_threads(1)  # such small matrices gain nothing from more
model, curve = train(untrained.clone())
frozen_curve = train(untrained.clone(), table_learns=False)[1]
id_curve = train(the_id, table_learns=False)[1]

# %% [markdown]
# Two levels to compare with. Who knows nothing gives each word the same probability, 1/V, and loses
# -log(1/V), which is log V. Who has counted every pair of neighbours (lesson 01) knows, for each word, in
# which shares the others follow it. Nobody who looks at the last word alone can do better on this text: the
# loss is taken over the very pairs that were counted, and for these their own shares are the best guess
# there is. How many numbers does the counting need, and how many have the learned rows and their second half?

# %%
counts = count_bigrams(text, V)
shares = counts / counts.sum(dim=1, keepdim=True)
floor = -(counts * shares.clamp_min(1e-9).log()).sum().item() / (len(text) - 1)
curves = {"the id": id_curve, "random rows": frozen_curve, "learned rows": curve}
levels = {"guessing": math.log(V), "counting": floor}
n_table, n_head = model.wte.numel(), sum(p.numel() for p in model.head.parameters())
print(f"learned: {n_table} in the table + {n_head} in the second half; counted: {counts.numel()}")
figures.loss_lines(curves, levels, "Rows that learn predict nearly as well as counting")

# %% [markdown]
# The learned rows come within a few hundredths of the counts, with fewer than half as many numbers: for each
# word 8 in the table and 9 in the second half (a weight for each of the 8, and the constant), where the
# counts have 44. That works because *cat* and *dog* are followed by the same words: if both have nearly the
# same row, what follows has to be learned only once for the two. With the id as its only number, the model
# has to score the words along one line, in the order of their numbers, and stays far behind. **That is what
# the embedding is for.**
#
# ## 5. Looking into the table
#
# Below are the rows of six words, before and after training. Compare them in pairs, *cat* with *dog*,
# *hammer* with *drill*, *monday* with *friday*: in which of the two tables are they alike?

# %%
trained = model.wte.detach().clone()
six = ["cat", "dog", "hammer", "drill", "monday", "friday"]
rows = [number[word] for word in six]
matrices([("untrained", untrained[rows]), ("trained", trained[rows])], six)

# %% [markdown]
# In the trained one: *cat* and *dog* have nearly the same row, with the same signs and similar sizes, and so
# have the other pairs. Nobody told the model about animals. It saw that *slept*, *ate* and *waited* follow
# both.
#
# ### How alike are two rows?
#
# A first idea is the **dot product**: multiply place by place, and add up. It is large and positive where two
# rows agree. By hand for *cat* and *dog*:

# %%
cat, dog, monday = (trained[number[word]] for word in ("cat", "dog", "monday"))
by_hand = sum(a * b for a, b in zip(cat.tolist(), dog.tolist()))
assert math.isclose(by_hand, (cat @ dog).item(), rel_tol=1e-5)
print(f"cat · dog = {by_hand:.2f}, cat · monday = {(cat @ monday).item():.2f}")

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
cosine_of_pets = (cat @ dog / (cat.norm() * dog.norm())).item()
of_directions = ((cat / cat.norm()) @ (dog / dog.norm())).item()
assert math.isclose(cosine_of_pets, of_directions, rel_tol=1e-5)
print(f"cosine of cat and dog: {cosine_of_pets:.2f}")

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
### BEGIN HIDDEN TESTS
from gpt2course import require_passed

require_passed("nearest_tokens")
### END HIDDEN TESTS

# %% [markdown]
# The three nearest words, in the random table and in the trained one. Read the right column, and find two
# lines in it that surprise you.

# %%
for word in ("cat", "wolf", "hammer", "pot", "sunday", "cellar", "slept", "robot", "saw"):
    before = [lexicon[i] for i in nearest_tokens(number[word], untrained, 3)]
    after = [lexicon[i] for i in nearest_tokens(number[word], trained, 3)]
    print(f"{word:7} untrained: {', '.join(before):28} trained: {', '.join(after)}")

# %% [markdown]
# *slept* has verbs beside it that have nothing to do with sleeping. All of them are followed by *in*, and
# what follows is all that this model looks at. **Alike means: useful for the same
# predictions.** GPT-2's rows have to serve the predictions of a much larger model, on 40 GB of text, so
# they hold more, but in the same sense. *robot* and *saw* are for section 6.
#
# ### What the dot product would have said
#
# Compare each word with all words, itself included. Which word is most like *cat*? One would hope:
# *cat*. Below are the words of which this is not so, each with the word that comes before it.

# %%
for measure in ("cosine", "dot product"):
    alike = torch.stack([figures.similarities(i, trained, measure) for i in range(V)])
    first = alike.argmax(dim=1).tolist()
    unlike = [f"{lexicon[i]} ({lexicon[j]})" for i, j in enumerate(first) if i != j]
    print(f"{measure:11}: {len(unlike)} of {V}", *unlike[:7], "…" * bool(unlike))

# %% [markdown]
# By the cosine, no word is more like another than like itself: its cosine with itself is 1, and there is no
# more than that. By the dot product many are, because some other word points nearly the same way and has a
# longer row. That is why neighbours are taken by cosine.
#
# ### A map
#
# Eight numbers a row cannot be drawn. But one can look for the two directions in which the rows differ
# most, and draw how far each row goes along these two. (`torch.linalg.svd` finds them; the method is
# called *principal component analysis*. Above each map stands how much of all differences is left in the
# two.) Each word is a point, each group has a marker of its own. Find the robot in both maps.

# %%
heading = "Training brings together what is used alike"
figures.word_map({"untrained": untrained, "trained": trained}, lexicon, groups, heading)

# %% [markdown]
# On the left, chance has thrown the words about. On the right they stand in groups, and groups that share
# habits stand closer: pets and people, then wild animals. The robot stands alone. A flat map can mislead,
# though: groups that lie side by side in these two directions may be far apart in the other six. The
# cosine uses all eight.
#
# ### Play with it
#
# Choose a word, and see its nearest words with a bar each; switch the table and the measure.
#
# 1. Which words have no near neighbour, even after training? Why these?
# 2. How large do cosines get in the untrained table, by chance alone?
# 3. Go through a few verbs with the dot product. Which verb comes up again and again?

# %%
neighbours_to_play({"trained": trained, "untrained": untrained}, lexicon, first="robot")

# %% [markdown]
# <details><summary>Answers, after you have tried</summary><ol>
# <li><i>the</i> and <i>on</i>, with no cosine above 0.2. No other word is followed by what follows them:
# <i>on</i> by days, <i>the</i> by nouns and places.</li>
# <li>Up to about 0.8. In rows of 8 numbers that happens; the more numbers a row has, the closer chance
# keeps to 0 (lesson 04 measures it for 768). So a cosine says something only beside what chance gives.</li>
# <li><i>lay</i>, which has the longest row of all verbs.</li>
# </ol></details>

# %% [markdown]
# ## 6. What a row is, and what it is not
#
# ### One row for two meanings
#
# *saw* is a tool in some sentences and a verb in others. *robot* waits and obeys like people, and rusts and
# breaks like tools. Here are their cosines with words of each kind. How has the table solved this?

# %%
kinds = ["hammer", "drill", "child", "cat", "in", "slept"]
pair = torch.stack([figures.similarities(number[word], trained) for word in ("saw", "robot")])
panel = ("cosine", pair[:, [number[word] for word in kinds]])
matrices([panel], ["saw", "robot"], kinds, scale=(-1.0, 1.0))

# %% [markdown]
# Each got one row that lies between. The row of *saw* is part tool and part *in*, because *in* and the
# verb *saw* are both followed by *the*. A lookup has no other choice: **it cannot know which of the two
# is meant, because it does not see the sentence.** What a word means *here* has to come from the words around
# it, and that is the work of attention (lesson 05).
#
# ### "Each number stands for a property"
#
# One often reads that the first number of a row might be *size*, the second *being alive*, and so on. The
# table by hand was of this kind. A learned one need not be. Turn the whole table in its eight dimensions,
# as one turns a map on a desk (`turn` is a matrix that does so), and every number in every row is another
# one:

# %%
turn = torch.linalg.qr(torch.randn(C, C, generator=torch.Generator().manual_seed(4)))[0]
turned = trained @ turn
print("cat, as trained:", [round(n, 2) for n in cat.tolist()])
print("cat, turned:    ", [round(n, 2) for n in turned[number["cat"]].tolist()])

# %% [markdown]
# Turn the weights of the second half in the same way. Which of the model's scores change, and which words
# have other neighbours now?

# %%
scores = trained @ model.head.weight.detach().T
scores_turned = turned @ (model.head.weight.detach() @ turn).T
assert torch.allclose(scores, scores_turned, atol=1e-4)
for token_id in range(V):
    assert nearest_tokens(token_id, turned, 1) == nearest_tokens(token_id, trained, 1)
gap = (scores - scores_turned).abs().max()
print(f"largest difference between the scores: {gap:.0e}, which is rounding")

# %% [markdown]
# None. To this model one table is as good as the other, so training has no reason to give any single
# column a meaning. What carries meaning is how the rows lie to each other.
#
# ## 7. Break it: ids of another table
#
# An id means something only together with the table that it belongs to. Suppose that somebody puts a
# tokenizer in front of this model whose numbers are all one too high. Every id is still a row of the table
# (the last one goes round to 0), so no error is raised. What will the loss be: a little higher, that of
# guessing, or worse than guessing?

# %%
reads, comes = text[None, :-1], text[1:]
with torch.no_grad():
    right = F.cross_entropy(model(reads)[0], comes).item()
    off_by_one = F.cross_entropy(model((reads + 1) % V)[0], comes).item()
print(f"its own ids {right:.2f}, every id one too high {off_by_one:.2f}, guessing {math.log(V):.2f}")

# %% [markdown]
# Worse than knowing nothing: the model is sure of itself and wrong. Tokenizer and table belong together, and
# nothing but the loss will tell you when they do not. When GPT-2's weights are loaded in lesson 14, its
# tokenizer has to come with them.
#
# **Before you go:** a token stands in the vocabulary, but it occurs nowhere in the training text. What
# does its row look like after training?
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
# it may get shorter.) In GPT-2 the same table also scores every possible next token, and there a token that
# never comes is pushed away again and again. So such rows do move, but not because of what they mean.
# </details>

# %% [markdown]
# ## What you have
#
# `embed_tokens` turns ids (B, T) into vectors (B, T, C): a one-hot vector times a table, computed by copying
# rows. The rows are learned, each only where its word was read, and words that are useful for the same
# predictions come to point the same way; `nearest_tokens` asks for that. A row knows its word and
# nothing else, neither the sentence nor the place.
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
