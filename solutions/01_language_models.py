# %% [markdown]
# # 01 · Language models
#
# GPT-2 does one thing: it reads the beginning of a text and predicts how likely each possible next token is.
# **Can a machine learn that from nothing but text, and how do you measure how good it is?**
#
# - **In:** a text.
# - **Out:** for every word of a list, the probability that it comes next.
# - **Time:** 50 minutes for the core, 80 for everything.
# - **Exercises:** `count_bigrams` ●●○○○ and `perplexity` ●○○○○.
#
# This lesson's machine only counts. What you learn about its output and its measure holds for GPT-2, too.
#
# Keep at hand: the [cheat sheet](../docs/cheat_sheet.md), the [glossary](../docs/glossary.md), the
# [notation](../docs/notation.md), and [what well-known explanations get wrong](../docs/common_errors.md).

# %% [markdown]
# First the imports. `shift_targets` is yours if it passed in [lesson 00](00_welcome.ipynb).

# %%
import math
from collections import Counter

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gpt2course import check, kept_names, my_progress
from gpt2course.bigram import Words, bigram_nll, bigram_probs
from gpt2course.config import RELEASED, GPT2Config
from gpt2course.lessons.language_models import (
    Candidate, Model, circle, keyboard, matrices, model_sizes, next_tokens, robot_text,
    smoothing_curves, tower,
)
from gpt2course.mine import shift_targets
from gpt2course.model import count_parameters

# %% [markdown]
# In this tower nothing is lit: the lesson is about the two ends of GPT-2, the text at the bottom and the bars at the
# top. A table of counts replaces everything between them.

# %%
tower("01_language_models", kept_names())

# %% [markdown]
# ## What comes next?
#
# A **language model** is any rule that does this: given the beginning of a text, the **context**, it gives every token
# that it knows a probability of coming next. In a formula: P(w | context), "the probability of w, given the context".
#
# Here is a text small enough to count by hand. In this lesson every token is a whole word, and a full stop is a
# token too, since a model should also predict where a sentence ends. (GPT-2's tokens are often smaller; that is
# [lesson 02](02_tokens.ipynb).) How often does *must* occur, and what follows it?

# %%
text = "robot must obey orders . robot must obey . kettle must boil ."
tokens = text.split()
f"{len(tokens)} tokens, {len(set(tokens))} of them different"

# %% [markdown]
# ### One word by hand
#
# Look at every pair of neighbours, and keep the right one where the left one is *must*. What is P(obey | must)?

# %%
after_must = [following for current, following in zip(tokens, tokens[1:]) if current == "must"]
by_hand = {word: after_must.count(word) / len(after_must) for word in ("obey", "boil")}
print(after_must, {word: round(p, 4) for word, p in by_hand.items()})

# %% [markdown]
# Of three words, two are *obey*. So the text suggests P(obey | must) = 2/3.
#
# ### All words in a loop
#
# For every token but the last, the text itself holds the right answer; `shift_targets` separates the two. A pair of
# neighbours, current and next, is called a **bigram**. Two bigrams share the highest count in our text. Which ones?

# %%
inputs, targets = shift_targets(tokens)
pairs = Counter(zip(inputs, targets))
assert pairs["must", "obey"] == after_must.count("obey"), "inputs and targets do not match the text"
pairs.most_common(4)

# %% [markdown]
# ### Numbers for words
#
# To compute with words we give each a number, its **id**: 0 for the first word of the text, 1 for the
# next new one, and so on. `Words` does that. The words that have an id are the **vocabulary**; its
# size is `vocab_size`, or **V**. What are the ids of *robot must obey .*?

# %%
words = Words(text)
idx = torch.tensor(words.encode(text))
V = words.vocab_size
print(dict(zip(words.words, range(V))))
print("robot must obey . →", words.encode("robot must obey ."))

# %% [markdown]
# All counts fit into one table with V rows and V columns. **The row is the current token, the column is the
# next one.** So the row of *must* holds 2 in the column of *obey*, 1 in the column of *boil*, and zeros.
#
# **Predict.** The text has 13 tokens, 7 of them different. What is the sum of all numbers in the table?
#
# <details><summary>A. 49, since there are 7 times 7 cells</summary>
# That is the number of cells. Most of them hold 0, since most pairs never occur.
# </details>
# <details><summary>B. 13, one for each token</summary>
# Nearly. Every token but the last is followed by another one.
# </details>
# <details><summary>C. 12</summary>
# Yes: N tokens form N - 1 pairs of neighbours, and every pair is counted in exactly one cell.
# </details>
# <details><summary>D. 7, one for each different token</summary>
# A word is followed by something each time it occurs, and most words occur more than once.
# </details>

# %% [markdown]
# ## Exercise: `count_bigrams` ●●○○○ · 10 minutes
#
# Write the function that makes this table. `idx` holds the N ids of a text. The result is a
# tensor of floats, `(vocab_size, vocab_size)`: row = current token, column = next token. (We divide
# them next.) The vocabulary may hold tokens that the text does not use. A text of one
# token has no pairs, and its table is all zeros.
#
# In the stub, `Int[Tensor, "N"]` means that `idx` is a tensor of N whole numbers, and
# `Float[Tensor, "V V"]` that the result is a tensor of floats with V rows and V columns. Python ignores
# these annotations; they are for the reader.
#
# A plain loop is a right answer. Without a loop, be careful: the
# same pair occurs again and again, and not every way of writing to many cells at once can count to two.
#
# <details><summary>Hint 1</summary>
# Begin with <code>torch.zeros(vocab_size, vocab_size)</code>. The current tokens are all but the last,
# the next ones all but the first.
# </details>
# <details><summary>Hint 2</summary>
# In a loop, each pair adds 1 to one cell of the table: <code>counts[row, column] += 1</code>.
# </details>
# <details><summary>Hint 3</summary>
# <code>zip</code> of the two lists gives the pairs. <code>idx.tolist()</code> turns a tensor into plain
# Python numbers, which makes the loop faster.
# </details>

# %%
def count_bigrams(idx: Int[Tensor, "N"], vocab_size: int) -> Float[Tensor, "V V"]:
    """How often each token (column) follows each token (row)."""
    ### BEGIN SOLUTION
    counts = torch.zeros(vocab_size, vocab_size)
    ids = idx.tolist()
    for current, following in zip(ids[:-1], ids[1:]):
        counts[current, following] += 1
    return counts
    ### END SOLUTION

# %%
count_bigrams = check(count_bigrams)

# %% [markdown]
# Your table must agree with the pairs from above. Find the row of *must*. Then look at
# the columns: which word follows the largest number of different words?

# %%
counts = count_bigrams(idx, V)
for (current, following), n in pairs.items():
    counted = counts[words.encode(current), words.encode(following)].item()
    assert counted == n, f"{current}, {following}: {counted} in the table, {n} in the text"
print(f"{len(pairs)} different pairs, {counts.sum():.0f} in all, as in the text")
matrices([("counts: row = current, column = next", counts.long())], words.words, words.words)

# %% [markdown]
# The full stop: it follows three different words.
#
# ## From counts to probabilities
#
# Divide each row by its own sum, and it holds the probabilities of the next token, given the
# current one. (`keepdim=True` keeps the sums as a column, so that each row is divided by its
# own sum.) Before you run: which rows will contain a 1.00?

# %%
probs = counts / counts.sum(dim=1, keepdim=True)
print(f"P(obey | must): {probs[1, 2]:.4f}, by hand {by_hand['obey']:.4f}")
assert torch.allclose(probs, bigram_probs(counts)), "probs differ from the package's bigram_probs"
matrices([("probabilities: each row sums to 1", probs)], words.words, words.words, scale=(0.0, 1.0))

# %% [markdown]
# This table is a language model, called a **bigram model**: for any word, read its row. (The package's
# `bigram_probs` computes the same.)
#
# ## A larger text
#
# Counts mean more with more text. `robot_text` draws sentences at random from a few patterns.
# Watch what comes after *it*.

# %%
story = robot_text(2000)
print(*story.split(" . ")[:8], sep="\n")

# %% [markdown]
# Each thing has a sound of its own. Now count the whole story. How many
# cells of the table will be above 0: nearly all, half, or a few?

# %%
story_words = Words(story)
story_idx = torch.tensor(story_words.encode(story))
story_counts = count_bigrams(story_idx, story_words.vocab_size)
story_probs = bigram_probs(story_counts).float()
print(f"{len(story_idx):,} tokens, {story_words.vocab_size} different;",
      f"{(story_counts > 0).sum()} of {story_words.vocab_size ** 2} pairs occur")

# %% [markdown]
# Most pairs never occur: *must* is followed by *obey* and nothing else. *the* leaves more
# choice. What are its likeliest next words? (`next_tokens` draws a list of candidates, each with its id, its word as
# bytes, and its probability.)

# %%
def after(word: str, k: int = 6) -> list[Candidate]:
    """The k likeliest words after this one, with their probabilities."""
    row = story_probs[story_words.encode(word)[0]]
    best = row.argsort(descending=True)[:k].tolist()
    return [Candidate(i, story_words.token_bytes(i), row[i].item()) for i in best]


next_tokens(after("the"), "after “the”")

# %% [markdown]
# ## Play with it: the keyboard
#
# The three likeliest next words, as on a phone. Press one (or move with Tab and press Enter) to append it. Write two
# sentences that make sense. Then press *start again*, and choose the first suggestion every time. What happens?

# %%
keyboard(story_probs, story_words, "we hear the")

# %% [markdown]
# <details><summary>Answer, after you have tried</summary>
# It writes <i>the captain of the captain of the captain</i> and never stops: every single step is sensible, and
# the whole is nonsense.
# </details>
#
# ### Stuck in a loop
#
# The same as a picture: follow the first suggestion from *we* until a word comes up a second time.

# %%
def first_suggestions(word: str) -> list[str]:
    """The words from always choosing the first suggestion, up to the first repeated word."""
    path = [word]
    while path[-1] not in path[:-1]:
        likeliest = after(path[-1], k=1)[0]
        path.append(likeliest.piece.decode())  # .piece is the word as bytes
    return path


circle(first_suggestions("we"))

# %% [markdown]
# **Predict.** Would another beginning help, a longer one for example?
#
# <details><summary>A. Yes, a longer beginning gives the model more context</summary>
# It would, if the model looked at it. This one looks at the last word only.
# </details>
# <details><summary>B. Yes, another first word leads elsewhere</summary>
# For the first steps it does. But the number of words is finite, so sooner or later a word comes up a second
# time, and from there on everything repeats.
# </details>
# <details><summary>C. No</summary>
# Right. After <i>the</i> the first suggestion is always <i>captain</i>, whatever came before. When a
# word comes up a second time, what follows is what followed the first time.
# </details>
#
# GPT-2 sees up to 1,024 tokens, and still gets stuck when it always chooses the likeliest
# one; its loops are longer ([lesson 11](11_sampling.ipynb)). The remedy for both: draw at random, with the
# probabilities as they are. This is called **sampling**.
#
# ## Output becomes input
#
# `torch.multinomial(row, 1)` draws one index of a row, each with its probability. The word drawn is appended to the
# text, and the text goes in again. A model that runs like this, each output becoming part of the next input, is
# called **autoregressive**. GPT-2 writes in this way, one token at a time.

# %%
def write(start: str, n: int, generator: torch.Generator) -> str:
    """The start and n more words, each drawn from the row of the word before it."""
    ids = story_words.encode(start)
    for _ in range(n):
        row = story_probs[ids[-1]]
        ids.append(torch.multinomial(row, 1, generator=generator).item())
    return story_words.decode(ids)


print(*write("we hear the", 40, torch.Generator().manual_seed(32)).split(" . "), sep="\n")

# %% [markdown]
# The loop is gone, and neighbours always fit. Over a distance nothing fits: look for a thing that makes
# the sound of another.
#
# ## How good is a language model?
#
# Give it a text that people wrote, and
# look at **the probability that the model gave to each token that really came**. A good model is seldom
# surprised.
#
# Take our small model and a sentence that is not in its text: *kettle must obey orders*.
# The first word is given, and the model predicts the other three. Read their probabilities off the table
# above before you run.
#
# The probability of the whole sentence is their product. A longer text usually has a
# smaller product, so to compare texts we take the typical factor, here the cube root. By convention, we divide 1 by
# it.

# %%
test = words.encode("kettle must obey orders")
chances = [probs[current, following].item() for current, following in zip(test, test[1:])]
typical = (1 / math.prod(chances)) ** (1 / 3)
print("probabilities", *[f"{chance:.4f}" for chance in chances])
print(f"product {math.prod(chances):.4f}, 1 / cube root {typical:.4f}")

# %% [markdown]
# This number is called the **perplexity**. It means: the model was as unsure as if it had to choose, at
# each token, among 1.44 equally likely ones. A perplexity of 1 is certainty.
#
# ### With logarithms
#
# A product of a thousand probabilities is smaller than any number that a computer can hold, and becomes
# 0. Logarithms turn it into a sum. The **surprise** at a token is minus the natural logarithm of its
# probability: 0 for a certainty, large for something unlikely. Its unit is the **nat**, and the usual name in code is
# `nll`, for **negative log-likelihood**. What is the surprise at a token of probability 1/2?
#
# For a tensor of ids, `probs[idx[:-1], idx[1:]]` selects the probability of
# every pair at once. The package's `bigram_nll` is the line that computes `nll`.

# %%
test_idx = torch.tensor(test)
nll = -probs[test_idx[:-1], test_idx[1:]].log()
assert torch.equal(nll, bigram_nll(probs, test_idx)), "nll differs from the package's bigram_nll"
for word, surprise in zip(["must", "obey", "orders"], nll.tolist()):
    print(f"{word:8} surprise {surprise:z.3f} nats")  # z: 0.000 in place of -0.000
print(f"mean {nll.mean():.4f} nats per token, e to the power of it {nll.mean().exp():.4f}")

# %% [markdown]
# **e to the power of the mean surprise is the perplexity.** Dividing the
# sum by 3 is the cube root, and the minus sign of each surprise is the 1 divided by it.
#
# **Predict.** A model knows nothing and always gives each of 7 words the probability 1/7. What is its
# perplexity?
#
# <details><summary>A. 1/7</summary>
# That is the typical probability itself. Perplexity is 1 divided by it, so that more unsure means larger, and
# it is never below 1.
# </details>
# <details><summary>B. 7</summary>
# Yes, on every text: the model guesses among 7 words. So the size of
# the vocabulary is the perplexity of knowing nothing.
# </details>
# <details><summary>C. ln 7, about 1.95</summary>
# That is its surprise in nats at each word. Perplexity is e to the power of it, which undoes the
# logarithm.
# </details>
# <details><summary>D. That depends on the length of the text</summary>
# The sum of the surprises does. The mean does not, which is why we take the mean.
# </details>

# %% [markdown]
# ## Exercise: `perplexity` ●○○○○ · 5 minutes
#
# `nll` holds the surprise at each token, in nats. Return the
# perplexity as a Python float, not rounded. It must hold for a text of hundreds of tokens, and for
# one that contains a token of probability 0: there the surprise is infinite, and so is the perplexity. If
# `nll` holds float64, compute in float64.
#
# <details><summary>Hint 1</summary>
# There are two steps, and their order matters: take the mean, then e to the power of it.
# </details>
# <details><summary>Hint 2</summary>
# The numbers that come in are logarithms already, with their minus sign. Multiply nothing, and take no
# logarithm.
# </details>
# <details><summary>Hint 3</summary>
# <code>.item()</code> turns a tensor that holds one number into a Python float. <code>math.exp</code> and
# <code>Tensor.exp</code> both compute e to a power.
# </details>

# %%
def perplexity(nll: Float[Tensor, "N"]) -> float:
    """Among how many equally likely tokens the model might as well have guessed."""
    ### BEGIN SOLUTION
    return math.exp(nll.mean().item())
    ### END SOLUTION

# %%
perplexity = check(perplexity)

# %% [markdown]
# Our small model on the sentence from above, and on one with a pair that it has never seen, *robot boil*. What will
# the perplexity of the second be?

# %%
for sentence in ("kettle must obey orders", "robot boil ."):
    sentence_nll = bigram_nll(probs, torch.tensor(words.encode(sentence)))
    print(f"{sentence:26} perplexity {perplexity(sentence_nll):.3f}")
uniform_nll = bigram_nll(torch.full((V, V), 1 / V), idx)
print(f"{'1/7 for every word':26} perplexity {perplexity(uniform_nll):.3f}")

# %% [markdown]
# A single unseen pair makes the whole text impossible: one infinite surprise, an infinite mean. (A remedy,
# *smoothing*, is in the deeper section below.)
#
# ### On a new text
#
# A fair test of the story's model needs a text that it has not counted: 500 new
# sentences. Compare two simpler models: **uniform**, the same probability for every word,
# and **unigram**, how often each word occurs, whatever came before. Where between 1 and 30 will each be?

# %%
new_idx = torch.tensor(story_words.encode(robot_text(500, seed=1)))
unigram = torch.bincount(story_idx, minlength=story_words.vocab_size) / len(story_idx)
uniform = torch.full_like(story_probs, 1 / story_words.vocab_size)
print(f"uniform  {perplexity(bigram_nll(uniform, new_idx)):.2f}")
print(f"unigram  {perplexity(-unigram[new_idx[1:]].log()):.2f}")
print(f"bigram   {perplexity(bigram_nll(story_probs, new_idx)):.2f}")

# %% [markdown]
# One word of context takes the perplexity from 18 to below 3. What is the rest of the context worth? That is
# the question of this course.

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: a pair that was never seen
#
# Smoothing, which gives unseen pairs a small probability, and why only a new text tells how good a model is.
# Nothing later needs it; you can skip it.

# %% [markdown]
# The long story contains every pair of the new text. With a real text you are never so lucky:
# some pair is always new. Let the model count 20 sentences only, and read the new text:

# %%
few_idx = torch.tensor(story_words.encode(robot_text(20, seed=5)))
few_counts = count_bigrams(few_idx, story_words.vocab_size)
f"from {len(few_idx)} words: perplexity {perplexity(bigram_nll(bigram_probs(few_counts), new_idx))}"

# %% [markdown]
# One remedy: pretend that each pair was seen a little more often than it was. Add a number **alpha** to
# all counts before dividing. Then nothing is impossible. This is called **smoothing**, and `bigram_probs`
# takes alpha as its second argument. With too little alpha, a new pair is a shock. With too much, alpha outweighs the
# counts. Where will the best alpha be: above 1, at 1, or far below? (At the left edge of the picture
# alpha is 0, no smoothing.)

# %%
alphas = [0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0]
curves = {
    name: [perplexity(bigram_nll(bigram_probs(few_counts, alpha), t)) for alpha in alphas]
    for name, t in (("the text that was counted", few_idx), ("a new text", new_idx))
}
smoothing_curves(alphas, curves, story_words.vocab_size)

# %% [markdown]
# Look at the two curves. The text that was counted always looks better than a new one, so
# **only a new text tells how good a model is**. And you cannot find the best alpha on the counted text,
# where less is always better: a model that fits its own text better and new ones worse is said to **overfit**. Both
# points come back when you train GPT-2 ([lesson 13](13_training.ipynb)).

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: counting without a loop
#
# How to count a million pairs in one call, the trap that the exercise warned of, and what falling into it costs.
# Nothing later needs it; you can skip it.

# %% [markdown]
# A Python loop over a million tokens takes a while. Instead, number the cells of
# the table row by row: the cell of a pair is `current * V + next`. Then all that is left is to count
# equal numbers, and `torch.bincount` does that (`minlength` makes it count up to the last cell). It
# returns V times V counts in one row; `.view(V, V)` folds them into V rows of V.

# %%
cell = idx[:-1] * V + idx[1:]
vectorised = torch.bincount(cell, minlength=V * V).view(V, V)
assert torch.equal(vectorised.float(), counts.float()), "the two tables differ"
print(f"robot, must: row 0, column 1, cell {cell[0]}; must, obey: row 1, column 2, cell {cell[1]}")
print(f"{vectorised.sum()} pairs, and the same table as with the loop")

# %% [markdown]
# And here is the trap. This line seems to add 1 to the cell of each
# pair. How many of the 12 pairs does it count?

# %%
once = torch.zeros(V, V)
once[idx[:-1], idx[1:]] += 1
print(f"counted: {once.sum():.0f} of {counts.sum():.0f} pairs; must, obey: {once[1, 2]:.0f}")

# %% [markdown]
# Each cell was read once, increased, and written back, so a pair that occurs twice writes the same 1 twice. There is
# no error message, and the table looks reasonable. What does it cost? The same line on the long story, tested on the
# new text:

# %%
story_once = torch.zeros(story_words.vocab_size, story_words.vocab_size)
story_once[story_idx[:-1], story_idx[1:]] += 1
for name, counted in (("every pair", story_counts), ("each pair once", story_once)):
    measured = perplexity(bigram_nll(bigram_probs(counted), new_idx))
    print(f"{name:15} {counted.sum():>7,.0f} counted, perplexity {measured:.2f}")

# %% [markdown]
# The model still knows what may come, but not how often. Nothing failed, no number looks absurd, and the
# model is worse. Only a measure like perplexity shows it.

# %% [markdown]
# ## What a bigram cannot know
#
# Three sentences, cut off before their last word:
#
# - *we hear the kettle because it* …
# - *we hear the dog because it* …
# - *the captain hears the dog of the ship because it* …
#
# You know the words that come next. What does the model predict?

# %%
beginnings = ["we hear the kettle because it", "we hear the dog because it",
              "the captain hears the dog of the ship because it"]
rows = [story_probs[story_words.encode(beginning)[-1]] for beginning in beginnings]
sounds = [candidate.piece.decode() for candidate in after("it")]
table = torch.stack(rows)[:, story_words.encode(" ".join(sounds))]
matrices([("the next word: three equal rows", table)], beginnings, sounds, scale=(0.0, 1.0))

# %% [markdown]
# The three rows are the same, because the last word is the same. The word that matters,
# *kettle* or *dog*, is further back, and the model cannot see it. No amount of text
# will change that.
#
# Why not count what follows two words, or three, or six? Such a model is called an **n-gram model**, and each
# further word multiplies the number of rows by V. How many cells does the table have for our story, and
# for the 50,257 tokens of GPT-2?

# %%
n_gpt2 = GPT2Config().vocab_size
print("words back     our story         GPT-2's vocabulary")
for back in (1, 2, 3, 6):
    print(f"{back:>6}     {story_words.vocab_size ** (back + 1):>14,}         {n_gpt2 ** (back + 1):.1e}")
n_parameters = count_parameters(GPT2Config())
print(f"all that the smallest GPT-2 has learned: {n_parameters:,} numbers")

# %% [markdown]
# Nearly every row would be empty: most sequences of seven words have never been written by anyone. And even the
# table for one word back is 20 times as large as GPT-2.
#
# ## From counting to computing
#
# GPT-2 does not look anything up. It **computes** the probabilities, from all tokens in its **context window**, up to
# 1,024. A model that computes with learned numbers is a **neural network**, and the learned numbers are its
# **parameters**; our table has V times V of them.
#
# Until 2017, such models were mostly **recurrent neural networks** (RNNs): they read token by token and carry a
# memory of fixed size, in which early words fade. Then came the **transformer**, in which each token reads directly
# from the others. It had two halves. The **decoder** sees only what came before, so it can write: **GPT** (2018),
# **GPT-2** (2019), **GPT-3** (2020). The **encoder** reads a finished text from both sides: **BERT** (2018).
#
# What you have built here stays: targets from the text itself, surprise in nats, perplexity, one token after the
# other.

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: the models and their sizes
#
# The four sizes of GPT-2, the models of its time in one picture, and how much text 40 GB is. Nothing later needs it;
# you can skip it.

# %% [markdown]
# GPT-2's parameters follow from the number of its blocks (also called **layers**) and from its **width**, how many
# numbers each token has in them. `count_parameters` adds them up (you write it in
# [lesson 10](10_output_projection.ipynb)). On disk, each parameter takes 4 bytes. You will still read 117M, 345M, 762M and
# 1542M. Are they right?

# %%
often_said = ("117M", "345M", "762M", "1542M")
parameters = {name: count_parameters(config) for name, config in RELEASED.items()}
for (name, config), said in zip(RELEASED.items(), often_said):
    print(f"{name:12} {config.n_layer} blocks, width {config.n_embd:<5} said: {said:6}",
          f"counted: {parameters[name] / 1e6:5,.0f}M, on disk {4 * parameters[name] / 1e6:5,.0f} MB")

# %% [markdown]
# They are not. Those numbers come from the paper; its authors later noted, beside the released code, that they had
# been miscounted. For comparison: a keyboard app for a phone, SwiftKey, took up 78 MB in 2019.
#
# In one picture: the parameters of the GPTs up to 2019 are computed; those of ELMo, BERT and GPT-3 are what their
# authors state. **ELMo** (2018) is the RNN among them. The axis is **logarithmic**, each step ten times as much,
# since otherwise only GPT-3 could be seen. Between which two neighbours is the largest step?

# %%
DECODER, ENCODER = "decoder: sees what came before", "encoder: sees both sides"
gpt_2018 = count_parameters(GPT2Config(n_ctx=512, vocab_size=40_478))
history = [
    Model("ELMo", 2018, 93_600_000, "RNNs: one for each direction", 2),
    Model("GPT", 2018, gpt_2018, DECODER, 12),
    Model("BERT-Large", 2018, 340_000_000, ENCODER, 24),
    *(Model(name, 2019, n, DECODER, RELEASED[name].n_layer) for name, n in parameters.items()),
    Model("GPT-3", 2020, 175_000_000_000, DECODER, 96),
]
model_sizes(history)

# %% [markdown]
# More than a hundred times the parameters in one step, with almost the same architecture. (GPT, of
# 2018, has 117M: here that number is right.)
#
# And the text? GPT-2 learned from **WebText**: 40 GB from 8 million web pages that users of the forum Reddit had
# linked to. The fourteen works of the novelist Jin Yong come to about 50 MB. How many times does that fit? (An
# English letter is one byte, a Chinese character usually three.)

# %%
web_text, pages, novels = 40e9, 8e6, 50e6  # bytes, pages, bytes
print(f"WebText: {web_text / novels:,.0f} times the novels, {web_text / pages:,.0f} letters a page")
print(f"gpt2-xl: {parameters['gpt2-xl'] / 340e6:.1f} times BERT-Large,",
      f"on disk {4 * parameters['gpt2-xl'] / 78e6:.0f} keyboard apps")

# %% [markdown]
# ## Challenge: two words back
#
# No check for this one. Build a **trigram** model of the story: count what follows each *pair* of words (a dict from
# pairs to a `Counter` will do), let it write, and compute its perplexity on the new text. Then try it on a text of
# your own, a chapter of a book for example.
#
# What to look for: does it still get stuck when it always takes the likeliest word? How much perplexity does the
# second word save, and can it tell the kettle from the dog? In your own text, what percentage of the pairs in the
# last tenth never occur in the rest?

# %% [markdown]
# ## What you have
#
# `count_bigrams` makes a language model from any text, and `perplexity` measures any language model, this one or
# GPT-2.
#
# Five questions on this lesson:
#
# <details><summary>1. What is P(w | context), and what is the context of a bigram model?</summary>
# The probability that w comes next, given the text so far. A bigram model uses the last token only.
# </details>
# <details><summary>2. Why does every model of this kind get stuck if it always takes the likeliest token?</summary>
# The next token depends on the last one alone, and there are finitely many. As soon as one comes up again,
# everything after it repeats.
# </details>
# <details><summary>3. A model gave the three tokens of a text the probabilities 1/2, 1/4 and 1/8. What is its
# perplexity?</summary>
# The product is 1/64, its cube root 1/4, so the perplexity is 4.
# </details>
# <details><summary>4. Why do we test on a text that the model has not counted?</summary>
# It has stored the text that it counted, and always looks better there than on any other.
# </details>
# <details><summary>5. A colleague's model has perplexity 12, yours has 20. Theirs knows 100 words and was tested on
# weather reports; yours has GPT-2's vocabulary and was tested on novels. Whose model is better?</summary>
# Nobody can tell. Perplexity compares models on the same text, cut into the same tokens; weather reports are easier
# to predict than novels, for any model. Across vocabularies, compare nats per byte of text, since the bytes are the
# same for all.
# </details>
#
# And two on lesson 00:
#
# <details><summary>6. A text has 1,000 tokens. How many targets does it give, and who labels them?</summary>
# 999, every token but the first. Nobody does: the target is the next token of the text.
# </details>
# <details><summary>7. What does GPT-2 do with the token that was chosen?</summary>
# It joins the text, and everything runs again for the next one: GPT-2 is autoregressive.
# </details>
#
# **GPT-2 124M in numbers:** a vocabulary of 50,257, a context window of 1,024 tokens, 124,439,808 parameters.
#
# **Sources.** Shannon 1948, *A Mathematical Theory of Communication*, section 3; Jelinek et al. 1977, *Perplexity*;
# Vaswani et al. 2017, *Attention Is All You Need*, sections 1 and 3; Peters et al. 2018 (ELMo), section 3, and
# allennlp.org/elmo; Radford et al. 2018 (GPT), section 4.1; Devlin et al. 2018 (BERT), section 3; Radford et al.
# 2019 (GPT-2), sections 2.1 and 2.3, and a note in the released code; Brown et al. 2020 (GPT-3), table 2.1; Alammar
# 2019, *The Illustrated GPT-2* (the keyboard, 78 MB); Lee Meng 2019, a post on GPT-2 and Jin Yong, leemeng.tw (50
# MB).
#
# **Next:** with whole words as tokens, a model has nothing to say about a word that it has not counted.
# [Lesson 02](02_tokens.ipynb) cuts text into tokens so that no text is impossible.
#
# **What you have built so far:**

# %%
my_progress()
