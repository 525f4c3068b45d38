# %% [markdown]
# # 01 · Language models
#
# GPT-2 does one thing: it reads the beginning of a text and says how likely each possible next word is.
# **Can a machine learn that from nothing but text, and how does one tell whether it is good at it?**
#
# - **In:** a text.
# - **Out:** a probability for every word of a list, the probability that it comes next.
# - **Time:** about 90 minutes. Two exercises: `count_bigrams` and `perplexity`.
#
# The machine of this lesson is the smallest there is: it counts. Everything that will be said of its
# output, of its mistakes and of its measure holds for GPT-2 in the same words.

# %% [markdown]
# First the tools. `shift_targets` is yours if you have passed it in lesson 00; the line below the cell
# says whose it is. What comes from the package is explained when it is used.

# %%
import math
from collections import Counter

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gpt2course import check
from gpt2course.bigram import Words, bigram_nll, bigram_probs
from gpt2course.config import RELEASED, GPT2Config
from gpt2course.lessons.language_models import (
    Candidate, Model, circle, keyboard, matrices, model_sizes, next_tokens, pipeline, robot_text,
    smoothing_curves,
)
from gpt2course.mine import shift_targets
from gpt2course.model import count_parameters

# %% [markdown]
# In this picture of GPT-2 nothing is lit: the lesson is about its two ends, the text that goes in and
# the next word that comes out. All that lies between is replaced by a table of counts.

# %%
pipeline("01_language_models")

# %% [markdown]
# ## What comes next?
#
# You have met a language model: the row of suggestions above the keyboard of a phone. You type *see you*,
# and it offers *tomorrow*, *soon* and *there*. It has seen what people write after such words. A
# **language model** is any rule that does this: given the beginning of a text, it gives each word that
# it knows a probability of coming next.
#
# Here is a text that is small enough to count with a finger. A full stop counts as a word of its own,
# since where a sentence ends can be predicted too. How often does *must* occur, and what follows it?

# %%
text = "robot must obey orders . robot must obey . kettle must boil ."
tokens = text.split()
f"{len(tokens)} words, {len(set(tokens))} of them different"

# %% [markdown]
# (Why `tokens`? A model reads pieces of text that have a number, and such a piece is called a **token**.
# In this lesson every token is a whole word. GPT-2's are often smaller; that is lesson 02.)
#
# ### One word by hand
#
# To find what follows *must*, go through all neighbours, left and right, and keep the right one where
# the left one is *must*.

# %%
after_must = [following for current, following in zip(tokens, tokens[1:]) if current == "must"]
after_must

# %% [markdown]
# Three times something followed, twice it was *obey*. If the past is all that we go by, the probability of
# *obey* after *must* is 2 of 3.

# %%
shares = {word: after_must.count(word) / len(after_must) for word in ("obey", "boil")}
{word: round(share, 4) for word, share in shares.items()}

# %% [markdown]
# ### All words in a loop
#
# Nobody had to tell us the right answers: for every word but the last, the text itself holds what came
# next. This is what `shift_targets` of lesson 00 says. Two neighbours, current and next, are called a
# **bigram**. Which bigram is the most frequent in our text? There are two with the same count.

# %%
inputs, targets = shift_targets(tokens)
pairs = Counter(zip(inputs, targets))
assert pairs["must", "obey"] == after_must.count("obey")
pairs.most_common(4)

# %% [markdown]
# ### Numbers for words
#
# To compute with words we give each a number, its **id**: 0 for the first word of the text, 1 for the
# next one that is new, and so on. `Words` does that; `vocab_size` says how many there are, and from here
# on this is the letter **V**. What will the ids of *robot must obey .* be?

# %%
words = Words(text)
idx = torch.tensor(words.encode(text))
V = words.vocab_size
print(dict(zip(words.words, range(V))))
print("robot must obey . →", words.encode("robot must obey ."))

# %% [markdown]
# All counts fit into one table of V rows and V columns. The **row is the current word, the column is the
# next one**; so the row of *must* holds 2 in the column of *obey*, 1 in the column of *boil*, and zeros.
#
# **Predict.** The text has 13 tokens, 7 of them different. What do all numbers of the table sum to?
#
# <details><summary>A. 49, since there are 7 times 7 places</summary>
# That is how many places there are. Most of them hold a 0, since most pairs never occur.
# </details>
# <details><summary>B. 13, one for each token</summary>
# Nearly. Each token but one is followed by another; after the last one the text ends, and that is no
# pair.
# </details>
# <details><summary>C. 12</summary>
# Yes: N tokens have N - 1 pairs of neighbours, and every pair is counted in exactly one place.
# </details>
# <details><summary>D. 7, one for each different token</summary>
# A word is followed by something each time that it occurs, and most words occur more than once.
# </details>

# %% [markdown]
# ## Exercise: `count_bigrams`
#
# Write the function that makes this table: `idx` holds the ids of a text, N of them, and the result is a
# tensor of floats, `(vocab_size, vocab_size)`, row = current token, column = next token. (Floats, since
# we are going to divide them.) The vocabulary may hold tokens that the text does not use. A text of one
# token has no pairs, and its table is all zeros.
#
# In the first line of the stub, `Int[Tensor, "N"]` says that `idx` is a tensor of N whole numbers, and
# `Float[Tensor, "V V"]` that a tensor of floats with V rows and V columns comes out; Python does not look
# at these notes, they are for the reader.
#
# A plain loop over the pairs is a right answer. If you would rather do without the loop, be careful: the
# same pair comes again and again, and not every way of writing to many places at once can count to two.
#
# Replace the line that raises, run the cell, then run the check below it. As long as it does not pass,
# the check puts the package's own function in its place, so you can go on whenever you like.
#
# <details><summary>Hint 1</summary>
# Begin with <code>torch.zeros(vocab_size, vocab_size)</code>. The current tokens are all but the last,
# the next ones all but the first.
# </details>
# <details><summary>Hint 2</summary>
# In a loop, each pair adds 1 to one place of the table: <code>counts[row, column] += 1</code>.
# </details>
# <details><summary>Hint 3</summary>
# <code>zip</code> of the one list with the other gives the pairs. <code>idx.tolist()</code> makes plain
# Python numbers of a tensor, which makes the loop faster.
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
# The table of our text, which must agree with the pairs from above. Find the row of *must*. Then look at
# the columns: which word is reached from the most different words?

# %%
counts = count_bigrams(idx, V)
for (current, following), n in pairs.items():
    assert counts[words.encode(current), words.encode(following)] == n
matrices([("counts: row = current, column = next", counts.long())], words.words, words.words)

# %% [markdown]
# The full stop: three different words lead to it.
#
# ### Without the loop
#
# A text of a million words would keep a loop in Python busy for a while. One can number the places of
# the table, row by row: the place of a pair is `current * V + next`. Then all that is left is to count
# equal numbers, and `torch.bincount` does that (`minlength` so that it counts up to the last place). It
# gives one long row of V times V counts; `.view(V, V)` folds it into V rows of V.

# %%
place = idx[:-1] * V + idx[1:]
in_one_go = torch.bincount(place, minlength=V * V).view(V, V)
assert torch.equal(in_one_go.float(), counts.float())
f"robot, must: row 0, column 1, place {place[0]}; must, obey: row 1, column 2, place {place[1]}"

# %% [markdown]
# And here is the trap that the exercise spoke of. It looks as if this line adds 1 to the place of each
# pair. How many of the 12 pairs does it count?

# %%
once = torch.zeros(V, V)
once[idx[:-1], idx[1:]] += 1
print(f"counted: {once.sum():.0f} of {counts.sum():.0f} pairs; must, obey: {once[1, 2]:.0f}")

# %% [markdown]
# Each place was read once, increased, and written back. A pair that comes twice writes the same 1 twice.
# There is no error message, and the table looks reasonable. Further down we shall see what it costs.
#
# ## From counts to probabilities
#
# Each row, divided by its own sum, is what we were after: the probabilities of the next word, given the
# current one. The sums are a column (`keepdim=True` keeps them one), so that each row is divided by its
# own. Before you run: in which rows will there be a 1.00?

# %%
probs = counts / counts.sum(dim=1, keepdim=True)
assert math.isclose(probs[1, 2], shares["obey"], rel_tol=1e-6)
assert torch.allclose(probs, bigram_probs(counts))
matrices([("probabilities: each row sums to 1", probs)], words.words, words.words, scale=(0.0, 1.0))

# %% [markdown]
# This table is a language model. Give it a word, read off a row. Where the text left no choice, it is
# certain, and a certainty that rests on one single sentence should make you uneasy. (`bigram_probs`, the
# package's version, does the same; it has one more idea, for further down.)
#
# ## A larger text
#
# For counts that mean something we need more text. `robot_text` writes as much as we want: it draws
# sentences from a few patterns, always the same ones for the same seed. Read the first ones, and keep an
# eye on what comes after *it*.

# %%
story = robot_text(2000)
print(*story.split(" . ")[:8], sep="\n")

# %% [markdown]
# Each thing has a sound of its own: a kettle boils, a dog barks. Now the counts of the whole story. Of
# all places in the table, how many do you expect to be above 0: nearly all, half, or a few?

# %%
story_words = Words(story)
story_idx = torch.tensor(story_words.encode(story))
story_counts = count_bigrams(story_idx, story_words.vocab_size)
story_probs = bigram_probs(story_counts).float()
print(f"{len(story_idx):,} words, {story_words.vocab_size} different;",
      f"{(story_counts > 0).sum()} of {story_words.vocab_size ** 2} pairs occur")

# %% [markdown]
# Language is mostly what does not occur: in this story, *must* is followed by *obey* and nothing else. A
# word that leaves more room is *the*. What are its likeliest next words? (A `Candidate` is one of them, for
# the picture: its id, the word as bytes, as a computer stores text, which `token_bytes` gives, and its
# probability.)

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
# The three likeliest words, as on a phone. Press one (or move with Tab and press with Enter), and it is
# appended; the next three are for the new last word. (Where the story left no choice there are fewer.)
# Write two sentences that make sense. Then press *start again*, and take the first suggestion every time:
# what happens?

# %%
keyboard(story_probs, story_words, "we hear the")

# %% [markdown]
# ### Stuck in a circle
#
# *the captain of the captain of the captain*: every single step is a sensible one, and the whole is
# nonsense. The same as a picture: follow the first suggestion from *we* until a word comes a second time.
# (`.piece` is a candidate's word in bytes, and `.decode()` makes a text of them.)

# %%
def first_suggestions(word: str) -> list[str]:
    """The words that come up if one always takes the first, up to the first that is repeated."""
    path = [word]
    while path[-1] not in path[:-1]:
        (likeliest,) = after(path[-1], k=1)
        path.append(likeliest.piece.decode())
    return path


circle(first_suggestions("we"))

# %% [markdown]
# **Predict.** Would another beginning help, a longer one for example?
#
# <details><summary>A. Yes, a longer beginning gives it more to go by</summary>
# It would, if the model looked at it. This one looks at the last word only; what stands before it might
# as well not be there.
# </details>
# <details><summary>B. Yes, another first word leads elsewhere</summary>
# For the first steps it does. But the number of words is finite, so sooner or later one comes a second
# time, and from there on everything repeats. In this story all paths end in the same circle.
# </details>
# <details><summary>C. No</summary>
# Right. After <i>the</i> the first suggestion is always <i>captain</i>, whatever came before. As soon as a
# word comes a second time, what follows is what followed the first time.
# </details>

# %%
circles = {}
for word in story_words.words:
    path = first_suggestions(word)
    ring = path[path.index(path[-1]):]  # from the word that comes twice, to itself
    circles.setdefault(frozenset(ring), " → ".join(ring))  # the same words are the same circle
print(f"{story_words.vocab_size} beginnings, {len(circles)} circle:", *circles.values())

# %% [markdown]
# GPT-2 looks at up to 1024 tokens and still goes round in circles when it always takes the likeliest
# one; the circles are longer (lesson 11). The way out is the same for both: do not always take the
# first. Throw dice, with the probabilities as they are.
#
# ## Output becomes input
#
# `torch.multinomial(row, 1)` draws one place of a row, each with its probability. The word that was
# drawn is put at the end of the text, and the text goes in again. A model that is run in this way, its
# own output becoming its next input, is called **auto-regressive**. GPT-2 writes like this, one token at
# a time, and there is nothing else to its writing.

# %%
def write(start: str, n: int, generator: torch.Generator) -> str:
    """The start and n words more, each drawn from the row of the word before it."""
    ids = story_words.encode(start)
    for _ in range(n):
        row = story_probs[ids[-1]]
        ids.append(torch.multinomial(row, 1, generator=generator).item())
    return story_words.decode(ids)


print(*write("we hear the", 40, torch.Generator().manual_seed(32)).split(" . "), sep="\n")

# %% [markdown]
# No circle any more. Neighbours always fit. Over a distance nothing does: look for a thing that makes
# the sound of another.
#
# ## How good is a language model?
#
# One could let it write and ask people. Quicker and more exact: give it a text that people wrote, and
# look at **the probability that it gave to each word that really came**. A good model is seldom
# surprised.
#
# Our small model from the beginning, and a sentence that is not in its text: *kettle must obey orders*.
# The first word is given; three words are to be predicted. Read their probabilities off the table
# above before you run.

# %%
test = words.encode("kettle must obey orders")
chances = [probs[current, following].item() for current, following in zip(test, test[1:])]
[round(chance, 4) for chance in chances]

# %% [markdown]
# The probability of the whole sentence is the product of the three, 1/3. A longer text nearly always has a
# smaller product, so to compare texts we ask for the typical factor: which number, taken three times,
# gives the same product? That is the cube root. It is customary to turn it over, 1 divided by it.

# %%
by_hand = (1 / math.prod(chances)) ** (1 / 3)
f"product {math.prod(chances):.4f}, one over its cube root {by_hand:.4f}"

# %% [markdown]
# This number is called the **perplexity**. It reads: the model was as unsure as if it had to choose, at
# each word, among 1.44 equally likely ones. 1 would be certainty.
#
# ### With logarithms
#
# A product of a thousand probabilities is smaller than any number that a computer can hold, and turns
# into 0. Logarithms make a sum of it. The **surprise** at a word is minus the natural logarithm of its
# probability: 0 for a certainty, large for something unlikely. Its unit is the **nat**. What is the
# surprise at a word of probability 1/2?

# %%
total = 0.0
for word, chance in zip(["must", "obey", "orders"], chances):
    surprise = math.log(1 / chance)  # the same as -math.log(chance)
    total += surprise
    print(f"{word:8} probability {chance:.3f}   surprise {surprise:.3f} nats")
assert math.isclose(math.exp(total / 3), by_hand, rel_tol=1e-6)

# %% [markdown]
# The last line is the point: **e to the power of the mean surprise is the perplexity.** Dividing the
# sum by 3 is the cube root. Turning over is in it too: the minus of each surprise makes 1/p of p.
#
# For a tensor of ids, all surprises come in one go: `probs[idx[:-1], idx[1:]]` picks the probability of
# every pair. `bigram_nll` of the package is this line (nll: negative log-likelihood, the usual name of the
# surprise).

# %%
test_idx = torch.tensor(test)
nll = -probs[test_idx[:-1], test_idx[1:]].log()
assert torch.equal(nll, bigram_nll(probs, test_idx))
f"{nll.mean():.4f} nats per word, perplexity {nll.mean().exp():.4f}"

# %% [markdown]
# **Predict.** A model knows nothing and gives each of 7 words the probability 1/7, always. Which
# perplexity does it have?
#
# <details><summary>A. 1/7</summary>
# That is the typical probability itself. Perplexity turns it over, so that more unsure means larger, and
# it is never below 1.
# </details>
# <details><summary>B. 7</summary>
# Yes, on every text. It might as well be guessing among 7 words, and that is what it does. So the size of
# the vocabulary is the perplexity of knowing nothing.
# </details>
# <details><summary>C. ln 7, about 1.95</summary>
# That is its surprise in nats at each word. Perplexity takes e to the power of it, which undoes the
# logarithm.
# </details>
# <details><summary>D. That depends on the length of the text</summary>
# The sum of the surprises does. The mean does not, and that is what the mean is for.
# </details>

# %% [markdown]
# ## Exercise: `perplexity`
#
# `nll` holds the surprise at each token, in nats (`Float[Tensor, "N"]`: a tensor of N floats). Return the
# perplexity, as a Python float, not rounded. It should hold for a text of hundreds of tokens too, and for
# one that had a probability of 0 in it: there the surprise is infinite, and so is the perplexity. If
# `nll` holds float64, compute in float64.
#
# <details><summary>Hint 1</summary>
# There are two steps, and their order matters: the mean, and e to the power of.
# </details>
# <details><summary>Hint 2</summary>
# The numbers that come in are logarithms already, with their minus. Nothing has to be multiplied, and no
# logarithm taken.
# </details>
# <details><summary>Hint 3</summary>
# A tensor that holds one number becomes a Python float by <code>.item()</code>. <code>math.exp</code> and
# <code>Tensor.exp</code> both raise e to a power.
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
# The small model on three short texts. The first is in its text, the second is not, the third has a
# pair that it has never seen, *robot boil*. What will it say to that one? The last line is the model that
# gives 1/7 to everything.

# %%
assert math.isclose(perplexity(nll), by_hand, rel_tol=1e-5)
for sentence in ("robot must obey orders .", "kettle must obey .", "robot boil ."):
    sentence_nll = bigram_nll(probs, torch.tensor(words.encode(sentence)))
    print(f"{sentence:26} perplexity {perplexity(sentence_nll):.3f}")
even_nll = bigram_nll(torch.full((V, V), 1 / V), idx)
print(f"{'an even guess':26} perplexity {perplexity(even_nll):.3f}")

# %% [markdown]
# It can say something sensible of a sentence that it has never seen, as long as it knows each pair. But a
# single pair that it does not know makes the whole text impossible, however good the rest is: one
# infinite surprise, an infinite mean.
#
# ### On a new text
#
# Now the model of the long story. It is fair to test it on a text that it has not counted: 500 new
# sentences by the same writer. Beside it two simpler models: guessing evenly, and looking at single
# words only, how often each occurs, without the word before. Where between 1 and 30 will each be?

# %%
new_idx = torch.tensor(story_words.encode(robot_text(500, seed=1)))
shares_of_words = torch.bincount(story_idx, minlength=story_words.vocab_size) / len(story_idx)
even = torch.full_like(story_probs, 1 / story_words.vocab_size)
print(f"even guess    {perplexity(bigram_nll(even, new_idx)):.2f}")
print(f"single words  {perplexity(-shares_of_words[new_idx[1:]].log()):.2f}")
print(f"bigrams       {perplexity(bigram_nll(story_probs, new_idx)):.2f}")

# %% [markdown]
# One word of context takes the perplexity from 18 to below 3. What the next words back are worth is
# the question of this course.
#
# ### A pair that was never seen
#
# The long story holds every pair that the new text needs. With a real text one is never so lucky: there is
# always a pair that nobody has written yet. Let the model count 20 sentences only, and read the new text:

# %%
few_idx = torch.tensor(story_words.encode(robot_text(20, seed=5)))
few_counts = count_bigrams(few_idx, story_words.vocab_size)
f"from {len(few_idx)} words: perplexity {perplexity(bigram_nll(bigram_probs(few_counts), new_idx))}"

# %% [markdown]
# One remedy: pretend that each pair was seen a little more often than it was. Add a number **alpha** to
# all counts before dividing. Then nothing is impossible. This is called **smoothing**, and `bigram_probs`
# takes alpha as its second argument. Too little alpha: a new pair is a shock. Too much: the counts drown in
# what was added. Where will the best alpha be: above 1, at 1, or far below? (At the left edge of the picture
# alpha is 0, no smoothing.)

# %%
alphas = [0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0]
curves = {
    name: [perplexity(bigram_nll(bigram_probs(few_counts, alpha), t)) for alpha in alphas]
    for name, t in (("the text that was counted", few_idx), ("a new text", new_idx))
}
smoothing_curves(alphas, curves, story_words.vocab_size)

# %% [markdown]
# Two things to take from this picture. The text that was counted always looks better than a new one, so
# **only a new text tells how good a model is**. And the best alpha cannot be found on the counted text,
# where less is always better. Both will come back when GPT-2 is trained.
#
# ### Break it
#
# What does the trap from above cost, the line that counts each pair once? On the long story, with the
# same new text:

# %%
story_once = torch.zeros(story_words.vocab_size, story_words.vocab_size)
story_once[story_idx[:-1], story_idx[1:]] += 1
for name, counted in (("every pair", story_counts), ("each pair once", story_once)):
    measured = perplexity(bigram_nll(bigram_probs(counted), new_idx))
    print(f"{name:15} {counted.sum():>7,.0f} counted, perplexity {measured:.2f}")

# %% [markdown]
# It still knows what may come, and no longer how often. Nothing failed, no number looks absurd, and the
# model is worse. It takes a measure to see such a thing.
#
# ## What a bigram cannot know
#
# Three sentences, cut off before their last word:
#
# - *we hear the kettle because it* …
# - *we hear the dog because it* …
# - *the captain hears the dog of the ship because it* …
#
# You know the words that come next. What does the model say?

# %%
beginnings = ["we hear the kettle because it", "we hear the dog because it",
              "the captain hears the dog of the ship because it"]
rows = [story_probs[story_words.encode(beginning)[-1]] for beginning in beginnings]
sounds = [candidate.piece.decode() for candidate in after("it")]
table = torch.stack(rows)[:, story_words.encode(" ".join(sounds))]
matrices([("the next word: three equal rows", table)], beginnings, sounds, scale=(0.0, 1.0))

# %% [markdown]
# Three times the same row, to the last digit, because the last word is the same. The one that matters,
# *kettle* or *dog*, stands two words before it, or five, and the model is blind to it. No amount of text
# will change that: it is not a lack of counting, it is a lack of looking.
#
# Why not count what follows two words, or three, or six? Each word more multiplies the number of rows by
# V. How many places does such a table have for our story, and for the 50,257 tokens of GPT-2?

# %%
n_gpt2 = GPT2Config().vocab_size
print("words back     our story         GPT-2's vocabulary")
for back in (1, 2, 3, 6):
    print(f"{back:>6}     {story_words.vocab_size ** (back + 1):>14,}         {n_gpt2 ** (back + 1):.1e}")

# %% [markdown]
# Nearly every row would be empty: most runs of seven words have never been written by anyone. And *the
# kettle because it* would have to be learned anew for every thing, since the table does not know that
# *kettle* and *dog* are alike in anything.
#
# GPT-2 does not look up. It **computes** the probabilities, from all tokens that it has in view, up to 1024.
# How it does so is the rest of this course: words become vectors in which likeness can be seen (03),
# each position reads from all earlier ones what it needs (05 to 07), and at the end stands again a row
# of probabilities (10). What you have built here stays: targets from the text itself, surprise in nats,
# perplexity, one token after the other.
#
# ## From the table to GPT-2
#
# In 2018 such computing models became large. **ELMo** read a text with two networks of an older kind, from
# the left and from the right. **GPT** was the first in the line of this course, and **BERT** came a few
# months later. In 2019 came **GPT-2**, in four sizes, and in 2020 **GPT-3**.
#
# A **decoder** (GPT and its successors) sees only what stands before a word, so it can write, one word
# after the other. An **encoder** (BERT) reads a finished text from both sides, understands each word in
# the light of all the others, and cannot be used to write.
#
# How large is a model? One counts its **parameters**, all the numbers that it learns; in our table it
# was V times V. For GPT-2 they follow from the number of its blocks (also called **layers**) and from the
# length of the rows of numbers in them (also called the **width**); `count_parameters` adds them up (you
# will write it in lesson 10). On a disk, each takes 4 bytes. One still reads 117M, 345M, 762M and 1542M.
# Are they right?

# %%
often_said = ("117M", "345M", "762M", "1542M")
parameters = {name: count_parameters(config) for name, config in RELEASED.items()}
for (name, config), said in zip(RELEASED.items(), often_said):
    print(f"{name:12} {config.n_layer} blocks, rows of {config.n_embd:<5} said: {said:6}",
          f"counted: {parameters[name] / 1e6:5,.0f}M, on disk {4 * parameters[name] / 1e6:5,.0f} MB")

# %% [markdown]
# They are not; the counted ones are. Those that are often said stand in the paper, and its authors noted
# later, beside the released code, that they had been counted wrongly. For a sense of the sizes on disk: a
# keyboard app for a phone, with its suggestions, takes about 78 MB.
#
# All of them in one picture. The parameters of the GPTs up to 2019 are computed; those of ELMo, BERT and
# GPT-3 are what their authors state. Each step of the axis is ten times as much, as otherwise only
# GPT-3 could be seen. Between which two models is the largest step?

# %%
DECODER, ENCODER = "decoder: sees what came before", "encoder: sees both sides"
gpt_2018 = count_parameters(GPT2Config(n_ctx=512, vocab_size=40_478))
history = [
    Model("ELMo", 2018, 93_600_000, "two older networks, one for each side", 2),
    Model("GPT", 2018, gpt_2018, DECODER, 12),
    Model("BERT-Large", 2018, 340_000_000, ENCODER, 24),
    *(Model(name, 2019, n, DECODER, RELEASED[name].n_layer) for name, n in parameters.items()),
    Model("GPT-3", 2020, 175_000_000_000, DECODER, 96),
]
model_sizes(history)

# %% [markdown]
# More than a hundred times the parameters in one step, with almost the same way of computing. (The GPT of
# 2018 has 117M: here that number is right.)
#
# And the text? GPT-2 learned from **WebText**: 8 million pages to which people had linked in a forum, 40
# GB of text. The fourteen works of a famous novelist come to 50 MB. How many times does that fit? (An
# English letter is one byte.)

# %%
web_text, pages, novelist = 40e9, 8e6, 50e6  # bytes, pages, bytes
print(f"WebText: {web_text / novelist:,.0f} times the novelist, {web_text / pages:,.0f} letters a page")
print(f"gpt2-xl: {parameters['gpt2-xl'] / 340e6:.1f} times BERT-Large,",
      f"on disk {4 * parameters['gpt2-xl'] / 78e6:.0f} keyboard apps")

# %% [markdown]
# **Before you go.** A colleague's model has perplexity 12, yours has 20. Theirs knows 100 words and was
# tested on weather reports; yours has GPT-2's vocabulary and was tested on novels. Whose model is
# better?
#
# <details><summary>A. Theirs: the lower perplexity is better</summary>
# On the same text and with the same tokens, yes. Weather reports can be predicted better than novels, by
# whomever; and an even guess among 100 words has perplexity 100, among 50,257 it has 50,257.
# </details>
# <details><summary>B. Yours: 20 of 50,257 is a much larger gain than 12 of 100</summary>
# It sounds fair, but the size of the vocabulary is no measure of how hard a text is. A model of weather
# reports could be given 50,000 words that never occur; that would not make it better.
# </details>
# <details><summary>C. One cannot tell</summary>
# Right. Perplexity compares models on the same text, cut into the same tokens. Between different
# vocabularies one compares per byte of text, since the bytes are the same for everyone.
# </details>

# %% [markdown]
# ## What you have
#
# `count_bigrams` makes a language model out of any text, `perplexity` says how good a language model is,
# this one or GPT-2. You have seen a model write by feeding on its own output, go round in a circle when
# it always takes the likeliest word, and fail at a distance of two words for want of looking.
#
# For comparison, a table of bigrams for GPT-2's vocabulary beside the smallest GPT-2, which looks 1024
# tokens back and not one:

# %%
n_counts = n_gpt2**2
print(f"bigram table: {n_counts:,} counts, {4 * n_counts / 1e9:.1f} GB")
print(f"GPT-2 124M:   {parameters['gpt2']:,} parameters, {4 * parameters['gpt2'] / 1e9:.1f} GB")
print(f"the table is {n_counts / parameters['gpt2']:.0f} times as large")

# %% [markdown]
# **Sources.** Shannon 1948, *A Mathematical Theory of Communication*, section 3 (texts drawn from counts
# of letters and words); Jelinek et al. 1977, *Perplexity: a measure of the difficulty of speech
# recognition tasks*; Peters et al. 2018, *Deep contextualized word representations*, section 3, and the
# table of models at allennlp.org/elmo (93.6 million parameters); Radford et al. 2018, *Improving Language
# Understanding by Generative Pre-Training*, section 4.1; Devlin et al. 2018, *BERT*, section 3; Radford et
# al. 2019, *Language Models are Unsupervised Multitask Learners*, sections 2.1 and 2.3, and the note in
# the released code on the number of parameters; Brown et al. 2020, *Language Models are Few-Shot
# Learners*, table 2.1.
#
# **Next:** whole words as tokens leave a model speechless before every word that it has not counted.
# Lesson 02 cuts texts so that no text is impossible: tokens.
