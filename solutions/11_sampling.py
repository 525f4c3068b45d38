# %% [markdown]
# # 11 · Sampling
#
# The stack of lesson 10 ends in scores: one for every token that could come next. A text has a single
# token at each place. **How does one token come out of all these scores, and why is it not always the
# best one?**
#
# - **In:** logits `(B, V)`: for each of B texts the scores of the V tokens that may come next.
# - **Out:** one id for each text, `(B, 1)`. It joins the text, the text goes in again, and so `(B, T)`
#   becomes `(B, T + n)`.
# - **Time:** about 140 minutes, with a place for a break in the middle. Five short exercises:
#   `apply_temperature`, `keep_top_k`, `keep_top_p`, `sample_next` and `generate`.

# %% [markdown]
# First the tools. `GPT2` is yours if you have passed it in lesson 10; the line below the cell says whose
# it is. What comes from the package is explained when it is used.

# %%
import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gpt2course import check, sampling
from gpt2course import model as package
from gpt2course.config import COURSE, GPT2Config
from gpt2course.corpus import documents, heldout_documents
from gpt2course.lessons.sampling import (
    Candidate, dice_strip, fits, judged, kept_along, known_patterns, matrices, moving_window,
    next_tokens, outside_first, pipeline, right_and_different, sampling_desk, sentences_of,
    tail_curves,
)
from gpt2course.mine import GPT2
from gpt2course.weights import load_tokenizer

# %% [markdown]
# This is where we are in GPT-2: at the very end, where scores become a token, and on the long arrow
# back, by which the token joins the text.

# %%
pipeline("11_sampling")

# %% [markdown]
# ## A model that can write
#
# To choose among scores one needs scores worth choosing from: those of the course model, which has learned from
# 16,000 small stories. Its tokens are whole words for the most part. Here is a story that it has not
# read. After which words is the next one certain, and after which could it be anyone?

# %%
stories = heldout_documents()
print(stories[1])

# %% [markdown]
# After *One foggy winter* comes a comma and then somebody, who could have any name; the village could be
# any of 120. After *because it* only a few words can come: a balloon floats, pops or shrinks, and
# nothing else in these stories does.
#
# The model has 4 blocks, is 128 wide and can read 128 tokens. Your `GPT2` of this size gets the numbers of the
# trained one. Between any two stories it was shown `<|endoftext|>`, which is one token: lesson 02 added it to the
# vocabulary. So `ids_of` puts it before the beginning of a story.

# %%
trained = package.GPT2.from_pretrained("course")
model = GPT2(COURSE).requires_grad_(False)  # nothing is trained here
model.load_state_dict(trained.state_dict())
tokenizer = load_tokenizer("course")
torch.set_num_threads(1)  # such small matrices gain nothing from more
n_ctx, V, end = COURSE.n_ctx, tokenizer.vocab_size, tokenizer.end_of_text
END_OF_TEXT = tokenizer.decode([end])


def ids_of(text: str) -> list[int]:
    """The ids of the beginning of a story."""
    return [end, *tokenizer.encode(text)]


f"{V:,} tokens, a context of {n_ctx}; {END_OF_TEXT} has the id {end}"

# %% [markdown]
# What does it expect at the beginning *Mina looked at the robot because it*? `logits_after` asks the model and
# keeps the scores after the last token, `(1, V)`; a softmax makes probabilities of them. `bars` shows the
# likeliest ones.

# %%
@torch.no_grad()
def logits_after(text: str) -> Float[Tensor, "1 V"]:
    """The scores of every token that may come after the beginning of a story."""
    return model(torch.tensor([ids_of(text)]))[:, -1]


def bars(text: str, k: int = 6):
    """The k likeliest next tokens."""
    probs = logits_after(text).softmax(dim=-1)[0]
    best = probs.argsort(descending=True)[:k].tolist()
    found = [Candidate(i, tokenizer.token_bytes(i), probs[i].item()) for i in best]
    return next_tokens(found, f"after “{text or END_OF_TEXT}”")


bars("Mina looked at the robot because it")

# %% [markdown]
# All this is a *distribution*: V probabilities that sum to 1. The model's work ends here. What to do with
# the distribution is our choice, and this lesson is about that choice.
#
# ## Always the best one
#
# The first idea: take the token with the highest score. This is called **greedy**, and since only one
# token is left to choose from, also **top_k = 1**. `write` asks the model, lets `choose` pick one id from
# the scores, appends it, and asks again. (`ids[-n_ctx:]`: the model can read 128 tokens at most.) What will
# a text look like in which every word is the best one?

# %%
@torch.no_grad()
def write(text: str, n: int, choose) -> str:
    """The text and n tokens more; choose makes one id of the scores (V,)."""
    ids = ids_of(text)
    for _ in range(n):
        in_view = torch.tensor([ids[-n_ctx:]])
        ids.append(choose(model(in_view)[0, -1]))
    return tokenizer.decode(ids)


def the_best(scores: Float[Tensor, "V"]) -> int:
    return scores.argmax().item()


stuck = write("A robot must obey", 300, the_best)
print(*sentences_of(stuck), sep="\n")

# %% [markdown]
# Correct sentences, story after story. But read the stories against each other. The same person, the same
# places, whole sentences that come again. How many of the sentences are different, and which comes most often?
# Beside them, as many sentences of stories that the model has not read.

# %%
said = sentences_of(stuck)
written = [sentence for story in stories for sentence in sentences_of(story)][: len(said)]
print(f"greedy: {len(set(said))} different ones of {len(said)}; written: {len(set(written))}")
most = max(said, key=said.count)
print(f"{said.count(most)} times: {most}")
assert len(set(said)) < 0.85 * len(said) < len(set(written))

# %% [markdown]
# The keyboard of lesson 01 went round in a circle because it looked at a single word: after the same word
# always the same word. But this model reads up to 128 tokens. Why does it not notice? Look at what it
# expects where a story begins, with the stories before it in view. How high is the highest number in each
# row?

# %%
told = stuck.removeprefix(END_OF_TEXT).split(END_OF_TEXT)
so_far = [END_OF_TEXT.join(told[:n]) + END_OF_TEXT for n in (1, 2, 3)]
openings = ["On", "This", "It", "There", "Everyone", "One", "In", "Once"]
columns = [tokenizer.encode(word)[0] for word in openings]
seen = [[end, *tokenizer.encode(text, allow_special=True)][-n_ctx:] for text in so_far]
with torch.no_grad():
    expected = torch.stack([model(torch.tensor([ids]))[0, -1].softmax(dim=-1) for ids in seen])
assert expected.max() < 0.3
matrices([("how does a story begin?", expected[:, columns])],
         [f"behind story {n}" for n in (1, 2, 3)], openings, scale=(0.0, 1.0))

# %% [markdown]
# It never was sure. There are eight ways to begin with about a tenth each, and many names with a little;
# but one of them is ahead, if only by a hair, and that one is taken. So it goes on: two people may meet,
# chat, rest, sing or wait, in any of twenty places, and of each one is ahead. The rows hardly differ,
# although what has been told is still in view: each story is made without regard to those before, and this
# is what the model has learned. That something has been said does not make it less likely to come again.
#
# So where is the mistake? In the thought that a text made of likeliest words would be a likely text. Take
# stories that the model has not read, and ask at each place whether the token that came was the model's
# first choice. (127 in a piece of 128 tokens, `n_ctx - 1`: what comes after its last one is not in it.)

# %%
new_ids = torch.tensor([token_id for story in stories[:100] for token_id in ids_of(story)])
new_rows = new_ids[: len(new_ids) // n_ctx * n_ctx].view(-1, n_ctx)
with torch.no_grad():
    new_logits = model(new_rows[:, :-1])  # (B, T, V)
first_choice = (new_logits.argmax(dim=-1) == new_rows[:, 1:]).float().mean().item()
print(f"first choice: {first_choice:.0%} of the places; 127 in a row: {first_choice**127:.0e}")
assert 0.5 < first_choice < 0.9

# %% [markdown]
# A written story takes the model's first choice at most of its places, and something else at the
# others. It never does so 127 times in a row. GPT-2 has the same trouble with English.
#
# ## Throw dice
#
# The way out: **draw** the token, each with its probability. By hand, on four words. Say that a model has
# read *a robot must obey*, and these are its scores:

# %%
candidates = ["orders", "the", "nobody", "cheese"]
scores = [3.0, 2.0, 1.0, -1.0]
raised = [math.exp(score) for score in scores]
by_hand = [x / sum(raised) for x in raised]
{word: round(share, 3) for word, share in zip(candidates, by_hand)}

# %% [markdown]
# How does a computer draw *orders* in 65.7 % of all cases? It can make random numbers, all numbers from 0
# to 1 equally likely. So put the probabilities one behind the other on a line from 0 to 1. Each word gets
# a piece as long as its probability, and the word whose piece the random number hits is drawn.
#
# **Predict.** The pieces in the order of the list: *orders, the, nobody, cheese*. The random number is
# 0.80. Which word is drawn?
#
# <details><summary>A. orders: it is the likeliest</summary>
# Its piece reaches from 0 to 0.657, and 0.80 lies beyond it. If the likeliest were drawn whatever the
# number, there would be no need to draw.
# </details>
# <details><summary>B. the</summary>
# Yes. Its piece begins where that of <i>orders</i> ends, at 0.657, and is 0.242 long, so it reaches up
# to 0.899.
# </details>
# <details><summary>C. nobody: of the four probabilities, none is near 0.80, and it is the third</summary>
# The number is not compared with single probabilities, but with their sums from the left: 0.657, 0.899,
# 0.988, 1.
# </details>

# %%
dice_strip(candidates, by_hand, [0.42, 0.80, 0.93])

# %% [markdown]
# The ends of the pieces are running sums: each probability plus all before it. In code: add up until the
# sum exceeds the number. Ten thousand draws; how often will *cheese* come, about?

# %%
def draw_by_hand(probs: list[float], number: float) -> int:
    """The place whose piece of the line from 0 to 1 holds the number."""
    total = 0.0
    for place, prob in enumerate(probs):
        total += prob
        if number < total:
            return place
    return len(probs) - 1  # rounding can leave the sum a little below 1


numbers = torch.rand(10_000, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
drawn = [draw_by_hand(by_hand, number) for number in numbers.tolist()]
{word: drawn.count(place) for place, word in enumerate(candidates)}

# %% [markdown]
# Torch has this ready made: `torch.multinomial(probs, num_samples)`. It makes its own random numbers,
# and where they come from is its argument `generator`: a source of random numbers that is **seeded**, set
# to a first state by a number. The same seed gives the same draws, always; each draw moves the generator
# on. Which of the three lines will be equal?

# %%
four = torch.tensor([by_hand])
for seed in (7, 7, 8):
    source = torch.Generator().manual_seed(seed)
    seven = [torch.multinomial(four, 1, generator=source).item() for _ in range(7)]
    print(f"seed {seed}:", *[candidates[place] for place in seven])

# %% [markdown]
# Now let the model write with dice, from everything that it knows. One text begins as before, the other
# with nothing but `<|endoftext|>`. (`sentences_of` leaves this token out of what is shown.)

# %%
dice = torch.Generator().manual_seed(27)


def from_everything(scores: Float[Tensor, "V"]) -> int:
    return torch.multinomial(scores.softmax(dim=-1), 1, generator=dice).item()


for beginning in ("A robot must obey", ""):
    print(*sentences_of(write(beginning, 90, from_everything)), "", sep="\n")

# %% [markdown]
# Stories that nobody has written. How good are they? The course's stories are made of patterns, with a
# name, a village, a thing drawn for each place in them. `known_patterns` collects every three neighbouring
# words of three thousand such stories, with one name for all names, one village for all villages, and so
# on. `fits` looks whether a sentence is made of these. (It does not notice a robot that hoots.) Of
# sentences that the model has not read nearly all should fit. Do they?

# %%
known = known_patterns(documents(seed=0, n=3000))
unread = [sentence for story in stories for sentence in sentences_of(story)]
fitting = sum(fits(sentence, known) for sentence in unread) / len(unread)
assert fitting > 0.98
print(f"{len(known):,} patterns; of {len(unread):,} unread sentences {fitting:.1%} fit")

# %% [markdown]
# Now thirty stories of the model, and some of the sentences that do not fit. (The package's
# `generate` takes lists of ids too, and writes the stories side by side, which is quicker than one after the
# other. As one in a hundred unread sentences does not fit either, one or another of them may be right and
# rare.)

# %%
dice.manual_seed(6)
settings = {"generator": dice, "end_of_text": end}
thirty = sampling.generate(trained, [[end]] * 30, n_ctx - 1, **settings)
all_sentences = [sentence for ids in thirty for sentence in sentences_of(tokenizer.decode(ids))]
wrong = [sentence for sentence in all_sentences if not fits(sentence, known)]
print(f"{len(wrong)} of {len(all_sentences)} sentences do not fit, among them:")
print(*wrong[:6], sep="\n")

# %% [markdown]
# ### The tail
#
# Where do they come from? At most places a handful of tokens can be right, and each of the others gets next
# to nothing. But there are two thousand others, and together they are not nothing. This is the **tail** of the
# distribution. How much of the probability lies outside the k likeliest tokens? Three places, and the mean
# over the new stories; find the value at 40 on each line.

# %%
beginnings = ["Mina lived in", "Mina looked at the robot because it",
              "A robot must obey the orders"]
outside = {
    f"after “{text}”": outside_first(logits_after(text).softmax(dim=-1)[0].tolist())
    for text in beginnings
}
new_sorted = new_logits.flatten(0, 1).softmax(dim=-1).sort(descending=True).values
outside["mean over new stories"] = outside_first(new_sorted.mean(dim=0).tolist())
tail_curves(outside, k=40)

# %% [markdown]
# After *Mina lived in* much of the tail is sensible, as there are 120 villages to choose from. After *A
# robot must obey the orders* every word but *given* is wrong, and outside the first there is a share all
# the same. It is small, but a story has many places, and one wrong word spoils a sentence. How likely is it
# that at least one of the 127 tokens of a text comes from beyond the first 40, if one draw is taken to be
# independent of the other?

# %%
tail = outside["mean over new stories"][39]
print(f"outside the first 40: {tail:.2%} at a place")
print(f"at least one such token among 127: {1 - (1 - tail)**127:.0%}")

# %% [markdown]
# Not each of them is wrong: some are villages. Still, neither way will do. The best one alone tells the same
# things again and again, and all of them make nonsense now and then. The rest of the lesson is about what lies
# between. There are three knobs: **temperature**, **top_k** and **top_p**.
#
# ## Temperature
#
# The first knob makes the whole distribution sharper or flatter: **divide the scores by a number T before
# the softmax.** By hand, for the four words and T = 2: the scores 3, 2, 1, -1 become 1.5, 1, 0.5, -0.5.
# They lie closer together. What will happen to *cheese*?

# %%
raised_at_2 = [math.exp(score / 2) for score in scores]
by_hand_at_2 = [x / sum(raised_at_2) for x in raised_at_2]
for word, at_1, at_2 in zip(candidates, by_hand, by_hand_at_2):
    print(f"{word:7} {at_1:.3f} → {at_2:.3f}")

# %% [markdown]
# **Predict.** Only two words: one has probability 0.9, the other 0.1. What are they at temperature 2?
#
# <details><summary>A. 0.45 and 0.05</summary>
# That divides the probabilities by 2. They no longer sum to 1, and once they are shared out again they
# are 0.9 and 0.1, as before.
# </details>
# <details><summary>B. 0.5 and 0.5: twice as much chance makes it even</summary>
# Even is where it goes as T grows without end. The likelier word stays likelier at every temperature.
# </details>
# <details><summary>C. 0.75 and 0.25</summary>
# Yes. Halving the scores halves their distance, and in the softmax a distance is a ratio: the ratio 9 to 1
# becomes its square root, 3 to 1. Shared out, that is 0.75 and 0.25.
# </details>
# <details><summary>D. 0.81 and 0.19: the likelier one is squared</summary>
# 0.9 squared is 0.81, and the 0.19 is what is left over. Squares belong to T = 1/2, and there both are
# squared: 0.81 and 0.01, shared out 0.988 and 0.012. T = 2 takes roots.
# </details>

# %% [markdown]
# ## Exercise: `apply_temperature`
#
# Divide the scores by the temperature, which is any number above 0. `logits` is `(B, V)`, and so is the
# result: scores again, no probabilities, since the other two knobs come before the softmax. The result has
# the dtype of the scores, and the scores that came in must not be changed; that holds for all exercises. The
# trap is small here: which of the two, T above 1 or T below 1, has to draw the scores apart?
#
# Replace the line that raises, run the cell, then run the check below it. As long as it does not pass,
# the check puts the package's own function in its place, so you can go on whenever you like.
#
# <details><summary>Hint 1</summary>
# A tensor divided by a number divides every entry, and makes a new tensor.
# </details>
# <details><summary>Hint 2</summary>
# <code>/=</code> would write into the tensor that came in. <code>/</code> does not.
# </details>

# %%
def apply_temperature(logits: Float[Tensor, "B V"], temperature: float) -> Float[Tensor, "B V"]:
    """Below 1 the likely become likelier, above 1 all grow more alike."""
    ### BEGIN SOLUTION
    return logits / temperature
    ### END SOLUTION

# %%
apply_temperature = check(apply_temperature)

# %% [markdown]
# The four words at five temperatures. The row of T = 1 is the distribution itself. Which row is nearly
# greedy, which is nearly even?

# %%
batch = torch.tensor([scores])  # (1, 4)
temperatures = [0.1, 0.5, 1.0, 2.0, 10.0]
table = torch.cat([apply_temperature(batch, t).softmax(dim=-1) for t in temperatures])
assert torch.allclose(table[3], torch.tensor(by_hand_at_2))
matrices([("probabilities", table)], [f"T = {t}" for t in temperatures], candidates, scale=(0.0, 1.0))

# %% [markdown]
# As T goes to 0, all the probability goes to the best one: greedy. As T grows, all words come to be equally
# likely, *cheese* as well. No temperature ever changes the **order** of the words, and none brings a word
# to 0: an entry 0.00 is a small number, rounded.
#
# ### Why before the softmax?
#
# Dividing the probabilities instead changes nothing: all shrink by the same factor, and sharing out undoes
# it. Dividing the scores is another thing. As e^(s/T) is (e^s) to the power 1/T, the temperature raises
# *probabilities* to the power 1/T, here to the power ½, a square root. Both, with the
# probabilities of the four words:

# %%
halved, roots = four / 2, four ** (1 / 2)
assert torch.allclose(halved / halved.sum(), four)  # nothing has changed
assert torch.allclose(roots / roots.sum(), table[3:4])  # the row of T = 2
roots / roots.sum()

# %% [markdown]
# And the model? The same beginning at three temperatures. Which would you read to someone?

# %%
def at_temperature(T: float):
    return lambda scores: from_everything(apply_temperature(scores[None], T)[0])


for T in (0.3, 1.0, 2.0):
    dice.manual_seed(1)
    print(f"T = {T}:", write("On Friday", 60, at_temperature(T)).removeprefix(END_OF_TEXT), "\n")

# %% [markdown]
# A low temperature keeps to the safe words and comes back to the same ones. A high one lifts the tail, and
# hardly a sentence is without something from it, pieces of words among them. **This is a good place for a
# break.**
#
# ## top_k: the k best
#
# Temperature cannot cut anything off. The second knob does: keep the k highest scores, and let nothing
# else be drawn. For the four words and k = 2, by hand: the second highest score is the border, and whatever
# lies below it becomes -inf. As in lesson 06, -inf is the score whose share is e^-inf = 0.

# %%
border = sorted(scores, reverse=True)[2 - 1]
kept_by_hand = [score if score >= border else -math.inf for score in scores]
shares = torch.tensor(kept_by_hand).softmax(dim=-1)
print("scores:", kept_by_hand)
print("probabilities:", [round(share, 3) for share in shares.tolist()])

# %% [markdown]
# The two have all of it now, in the same ratio as before: their scores differ by 1, so it is e to 1.
#
# ## Exercise: `keep_top_k`
#
# In each row of `logits` `(B, V)` the k highest scores stay as they are, and the rest becomes `-math.inf`.
# Where k is V or more, everything stays. Where several equal scores stand at the border, all of them may
# stay, or only as many as are needed. Two traps: a token's id *is* its place in the row, so nothing may
# move; and each row has a border of its own.
#
# <details><summary>Hint 1</summary>
# <code>logits.topk(k, dim=-1).values</code> are the k highest of each row, the highest first. Where does
# the border of a row stand in there?
# </details>
# <details><summary>Hint 2</summary>
# <code>topk</code> refuses a k above V. Python's <code>min</code> helps.
# </details>
# <details><summary>Hint 3</summary>
# With the borders as a column, <code>(B, 1)</code>, each row is compared with its own:
# <code>values[:, -1:]</code> keeps the axis. Then <code>masked_fill</code>, which fills where its mask is
# True.
# </details>

# %%
def keep_top_k(logits: Float[Tensor, "B V"], k: int) -> Float[Tensor, "B V"]:
    """The k highest scores of each row; the rest becomes -inf."""
    ### BEGIN SOLUTION
    k = min(k, logits.shape[-1])
    lowest_kept = logits.topk(k, dim=-1).values[:, -1:]  # (B, 1)
    return logits.masked_fill(logits < lowest_kept, -math.inf)
    ### END SOLUTION

# %%
keep_top_k = check(keep_top_k)

# %% [markdown]
# ### Break it: 0 in place of -inf
#
# One reads that the other tokens are "set to 0". For probabilities that would be right, if they are shared
# out again afterwards. For scores it is not: a score of 0 is a score like any other. See what it does to
# the same four words with the same probabilities, but scores that are all 4 lower. (The softmax looks at
# distances alone, so `scores - 4` means the same as `scores`.) k = 2 again; how much do the two that should
# have gone get?

# %%
assert torch.allclose((batch - 4).softmax(dim=-1), four)
right = keep_top_k(batch - 4, 2)
zeroed = right.masked_fill(right == -math.inf, 0.0)
assert torch.allclose(right.softmax(dim=-1)[0], shares)
matrices([("the rest is -inf", right.softmax(dim=-1)), ("the rest is 0", zeroed.softmax(dim=-1))],
         ["share"], candidates, scale=(0.0, 1.0))

# %% [markdown]
# The two words that should be gone have become the likeliest ones, *cheese* as likely as *nobody*. Among
# negative scores, 0 is the best there is.
#
# ### k = 40 on the stuck text
#
# Greedy is `keep_top_k(…, 1)`. Here is the same beginning as in the first section, with k = 40 and dice.
# Compare it with the first.

# %%
def from_the_best(k: int):
    return lambda scores: from_everything(keep_top_k(scores[None], k)[0])


assert stuck.startswith(write("A robot must obey", 60, from_the_best(1)))
dice.manual_seed(2)
print(*sentences_of(write("A robot must obey", 120, from_the_best(40))), sep="\n")

# %% [markdown]
# ## top_p: as many as it takes
#
# Is 40 a good number? After *Mina lived in* it forbids 80 of 120 villages that would be right. After *must
# obey the orders* it still allows 39 tokens that are wrong. No k suits both. The third knob asks for a
# **share** and not for a number: keep the likeliest words that together hold at least p of the probability,
# and no more of them than that takes. This is also called **nucleus sampling**. Where several knobs are
# turned, the order is temperature, top_k, top_p: the share is then measured on what top_k has left, shared
# out again.
#
# **Predict.** p = 0.9. How many words stay if 40 words are equally likely, and how many if one word has
# 0.95?
#
# <details><summary>A. 36 and 1</summary>
# Yes. 36 of 40 equal shares are 0.9; and a single word that has 0.95 holds more than was asked for, so
# it stays alone.
# </details>
# <details><summary>B. 36 and 0: 0.95 is too much already</summary>
# The words that stay have to hold <i>at least</i> 0.9. None at all would hold 0, and nothing could be
# drawn.
# </details>
# <details><summary>C. 40 and 1: none of 40 equal words may be preferred</summary>
# It is a question of the sum alone; as soon as it reaches p, the rest goes. Which 36 of 40 equals stay is
# left to chance or to the order of the list.
# </details>
# <details><summary>D. 0 and 1: only a word that has 0.9 may stay</summary>
# No word is compared with p by itself: each of the 40 has 0.025, all of them would go, and nothing could
# be drawn. It is the likeliest words together that are measured.
# </details>

# %% [markdown]
# The four words, p = 0.9, by hand: the likeliest first, with running sums. A word stays if the sum
# **before** it has not yet reached p. Do *orders* and *the*, with 0.899 together, suffice?

# %%
before = 0.0
for word, share in sorted(zip(candidates, by_hand), key=lambda pair: -pair[1]):
    print(f"{word:7} before it {before:.3f}   with it {before + share:.3f}",
          "  stays" if before < 0.9 else "  goes")
    before += share

# %% [markdown]
# ## Exercise: `keep_top_p`
#
# In each row keep the smallest set of tokens that holds at least p of the probability; the rest becomes
# `-math.inf`. At least one token stays, even for p = 0, and for p = 1 all of them do. Of equal tokens at the
# border as many stay as are needed, or all of them. Two traps. The set has to *reach* p: what about the
# token with which it does? And for running sums the row must be sorted, but the result must not be: every
# score that stays stands where it stood.
#
# <details><summary>Hint 1</summary>
# <code>ordered, order = logits.sort(dim=-1, descending=True)</code> gives the sorted scores, and where each
# of them came from. The softmax of sorted scores is sorted too.
# </details>
# <details><summary>Hint 2</summary>
# <code>probs.cumsum(dim=-1)</code> is the sum <i>with</i> each token. Minus <code>probs</code>, it is the
# sum before it. A token goes if that is already p or more; the first token never goes.
# </details>
# <details><summary>Hint 3</summary>
# The mask of what goes is in sorted order. <code>mask.scatter(-1, order, mask)</code> puts every entry
# back to the place that <code>sort</code> took it from.
# </details>

# %%
def keep_top_p(logits: Float[Tensor, "B V"], p: float) -> Float[Tensor, "B V"]:
    """The fewest tokens of each row that together hold p of the probability, at least one."""
    ### BEGIN SOLUTION
    ordered, order = logits.sort(dim=-1, descending=True)
    probs = ordered.softmax(dim=-1)
    goes = probs.cumsum(dim=-1) - probs >= p  # those before it suffice
    goes[:, 0] = False
    goes = goes.scatter(-1, order, goes)  # back from sorted order to the vocabulary's
    return logits.masked_fill(goes, -math.inf)
    ### END SOLUTION

# %%
keep_top_p = check(keep_top_p)

# %% [markdown]
# The beginning of a story that the model has not read, and at each of its places the number of tokens that
# p = 0.9 keeps. Under each bar stands the token that really came. Where is a bar 1, and where is it above
# the line of k = 40?

# %%
shown = tokenizer.encode(stories[1])[:24]
with torch.no_grad():
    along = model(torch.tensor([[end, *shown[:-1]]]))[0]  # (24, V)
kept = (keep_top_p(along, 0.9) > -math.inf).sum(dim=-1).tolist()
kept_along([tokenizer.decode([i]).strip() for i in shown], kept, p=0.9, k=40)

# %% [markdown]
# A bar over a token was counted before that token came: over *to*, behind *came*, it is 1, and over the
# village the highest. The number follows the model's own doubt.
#
# ## Play with it
#
# The model's distribution at four places, and all three knobs. The dashed outline is what the model gave a
# token, the filled bar what it is drawn with; ✓ says that it can be drawn, ✗ that it can not. As long
# as top_k keeps all, the tokens with ✓ together hold at least top_p, at the temperature that is set; with a
# smaller top_k they hold that much of what top_k has left. Try:
#
# - after *Mina lived in*, find the top_p that keeps about 40 tokens (leave top_k at 2048, which is all of them). How
#   many does it keep after *because it*?
# - set the temperature to 3 after *must obey the orders*: how far down must top_p go until only *given* is left?
# - make it greedy in three ways, each time with one knob alone.

# %%
names = [tokenizer.decode([i]).strip() or "␣" for i in range(V)]
at_places = {text: logits_after(text)[0] for text in beginnings}
sampling_desk({**at_places, END_OF_TEXT: logits_after("")[0]}, names)

# %% [markdown]
# ## Exercise: `sample_next`
#
# Put it together for a batch: temperature, then top_k, then the softmax, then one draw for each row. The
# result holds ids, `(B, 1)`. (To keep it short top_p is left out; the package's `sample_next` has it.)
#
# - `temperature` 0 means greedy. It cannot be divided by: it is a case of its own.
# - `top_k` None means: no filter.
# - `generator` goes to `torch.multinomial` as it is. None means torch's own, and whoever calls sets the
#   seed; a seed in here would make all draws the same.
#
# <details><summary>Hint 1</summary>
# Greedy: <code>argmax</code> along the last axis. Its argument <code>keepdim</code> makes the shape
# <code>(B, 1)</code>.
# </details>
# <details><summary>Hint 2</summary>
# The functions that you have written return new scores; work on with those.
# </details>
# <details><summary>Hint 3</summary>
# <code>torch.multinomial</code> takes a matrix of probabilities, draws for each row, and returns
# <code>(B, num_samples)</code>.
# </details>

# %%
def sample_next(
    logits: Float[Tensor, "B V"],
    temperature: float = 1.0,
    top_k: int | None = None,
    generator: torch.Generator | None = None,
) -> Int[Tensor, "B 1"]:
    """Draw one id for each row; temperature 0 takes the likeliest."""
    ### BEGIN SOLUTION
    if temperature == 0:
        return logits.argmax(dim=-1, keepdim=True)
    logits = apply_temperature(logits, temperature)
    if top_k is not None:
        logits = keep_top_k(logits, top_k)
    return torch.multinomial(logits.softmax(dim=-1), num_samples=1, generator=generator)
    ### END SOLUTION

# %%
sample_next = check(sample_next)

# %% [markdown]
# ## One token after the other
#
# The last step is the loop: draw a token, append it, ask again. The model's own output becomes its next
# input, and this is called **auto-regression** (lesson 01). One thing needs care. The model has `n_ctx`
# positions and not one more; lesson 10 made it refuse a longer text. The text may grow all the same: the
# model is shown only its end.
#
# **Predict.** A text has 200 tokens, `n_ctx` is 128. What does the model see when it writes the next one?
#
# <details><summary>A. The first 128: what it read, it remembers</summary>
# It remembers nothing from one call to the next. All that it knows of the text is what it is shown, and
# the first 128 say nothing about where the text stands now.
# </details>
# <details><summary>B. The last 128, and what it has kept of the first 72</summary>
# Nothing is kept. What has left the window has no more influence on what comes.
# </details>
# <details><summary>C. The last 128</summary>
# Yes, <code>idx[:, -128:]</code>, and they stand at positions 0 to 127, as if the text began there. The result
# still has all 201 tokens.
# </details>

# %% [markdown]
# The same in small: a prompt of three words, and a window of four. In which row is *a* lost?

# %%
moving_window(["a", "robot", "must", "obey", "orders", "given", "it"], n_ctx=4, first=3)

# %% [markdown]
# ## Exercise: `generate`
#
# Continue every row of `idx` `(B, T)` by `max_new_tokens` tokens, each drawn by `sample_next`, and return
# the prompt together with them, `(B, T + n)`. Of the model you need two things: `model(idx)`, which gives
# logits `(B, T, V)`, and `model.config.n_ctx`. The trap: what the model is *shown* is cut to `n_ctx`
# tokens, and what you *return* is not.
#
# <details><summary>Hint 1</summary>
# A slice <code>[:, -n:]</code> of something shorter than n is the whole of it, so no <code>if</code> is
# needed.
# </details>
# <details><summary>Hint 2</summary>
# The logits have a row for every token that was shown. Which of them is about the token to come?
# </details>
# <details><summary>Hint 3</summary>
# <code>torch.cat([idx, drawn], dim=1)</code> makes a new tensor with one more column; keep it under the
# name <code>idx</code>. <code>with torch.no_grad():</code> around the call of the model saves time, as
# nothing is trained here.
# </details>

# %%
def generate(
    model,
    idx: Int[Tensor, "B T"],
    max_new_tokens: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    generator: torch.Generator | None = None,
) -> Int[Tensor, "B S"]:
    """The prompt, then max_new_tokens ids, each drawn after the last n_ctx tokens before it."""
    ### BEGIN SOLUTION
    for _ in range(max_new_tokens):
        in_view = idx[:, -model.config.n_ctx :]
        with torch.no_grad():
            logits = model(in_view)[:, -1]  # (B, V)
        idx = torch.cat([idx, sample_next(logits, temperature, top_k, generator)], dim=1)
    return idx
    ### END SOLUTION

# %%
generate = check(generate)

# %% [markdown]
# It is `write` of the first sections, for a whole batch. So with temperature 0, or with top_k = 1, it must
# write the first text again, word for word. And which shape will five texts have, with a prompt of five
# tokens and 57 new ones?

# %%
prompt = torch.tensor([ids_of("A robot must obey")])
for temperature, top_k in ((0, None), (1.0, 1)):
    again = generate(model, prompt, 57, temperature, top_k, dice)
    assert stuck.startswith(tokenizer.decode(again[0].tolist()))
generate(model, prompt.expand(5, -1), 57, 1.0, 40, dice).shape

# %% [markdown]
# ### With a prompt and without
#
# A text that is given for the model to go on with is a **prompt**, and what comes is a *conditional
# sample*. Without one, the model has to be given something all the same, since logits need a last token to
# stand behind. GPT-2 is given `<|endoftext|>`. In training this token stood between any two texts, so what
# follows it is the beginning of a new text. This is an *unconditional sample*.

# %%
def show(beginning: str, n: int, seed: int) -> None:
    """One sample of n tokens, top_k = 40."""
    idx = torch.tensor([ids_of(beginning)])
    sample = generate(model, idx, n, 1.0, 40, torch.Generator().manual_seed(seed))
    print(tokenizer.decode(sample[0].tolist()), "\n")


show("On a windy Sunday, Nora met an owl", 50, seed=1)
show("", 150, seed=4)

# %% [markdown]
# The second ran on: after the end of one text comes the beginning of the next. It can't do otherwise, as
# `generate` writes as many tokens as it is asked for, and both break off where the number was reached.
#
# ## When does it stop?
#
# One often reads that GPT-2 starts with `<s>` and ends with `<EOS>`. It has neither. There is **one** token,
# `<|endoftext|>`, id 50,256 and the last of the vocabulary, and it does both: what follows it is a
# beginning, and drawing it is the end. The course model learned the same. What does it expect after it?

# %%
assert end == V - 1 and GPT2Config().vocab_size - 1 == 50_256
bars("", k=10)

# %% [markdown]
# Two rules can end a text: **the model draws the end**, or **the context is full** (1024 tokens in GPT-2,
# 128 here). The package's `generate` knows both: `end_of_text` is the id that ends a text, and
# `slide=False` says that a full context ends it too. With `slide=True` the window moves on instead, as in
# your `generate`. Twelve texts, each begun with the first 80 tokens of a long story, and at most 100 more.
# What will be the largest length in the first line?

# %%
long_stories = [ids_of(story) for story in stories if len(ids_of(story)) > 100][:12]
for slide in (False, True):
    dice.manual_seed(7)
    twelve = sampling.generate(
        trained, [ids[:80] for ids in long_stories], 100, top_k=40, generator=dice,
        end_of_text=end, slide=slide,
    )
    *_, longest = sorted(twelve, key=len)
    by_model = sum(ids[-1] == end for ids in twelve)
    print(f"slide={slide}: {by_model} of 12 texts ended by the model, lengths",
          *sorted(map(len, twelve)), f"\n  the longest ends: … {tokenizer.decode(longest[-6:])}")

# %% [markdown]
# ## Which setting is the best?
#
# That depends on what a text is for. But two things can be measured. How many sentences **fit**, as above?
# And how many are **different**: of 150 sentences, how many are left without the repetitions? `judged`
# gives both shares. Forty stories each way (of whose sentences the first 150 count, as many for every way),
# and beside them forty that the model has not read. Where do you expect greedy (temperature 0), and where
# temperature 2?

# %%
ways = {
    "temperature 0": {"temperature": 0},
    "temperature 0.7": {"temperature": 0.7},
    "top_k = 40": {"top_k": 40},
    "top_p = 0.9": {"top_p": 0.9},
    "everything": {},
    "temperature 2": {"temperature": 2.0},
}
results = {"unread stories": judged(stories[:40], known)}
for name, way in ways.items():
    dice.manual_seed(9)
    forty = sampling.generate(trained, [[end]] * 40, n_ctx - 1, **settings, **way)
    results[name] = judged([tokenizer.decode(ids) for ids in forty], known)
assert results["temperature 0"][1] < 0.2 and results["temperature 2"][0] < 0.5
assert min(*results["temperature 0.7"], *results["top_p = 0.9"]) > 0.9
right_and_different(results)

# %% [markdown]
# Greedy makes no mistake and tells one story forty times. Temperature 2 hardly ever repeats itself and is
# mostly wrong. A good setting comes close to the unread stories in *both* numbers. Temperature 0.7 and
# top_p = 0.9 do, each in its own way: one makes everything sharper, the other cuts the tail. Before you
# take the winners for a law: this model is small, its stories have few patterns, and whether the sentences
# of a story hang together is not measured at all. What carries over to GPT-2 are the two ends.
#
# **Before you go.** A colleague's program has to fill in forms with GPT-2, and the same input must always
# give the same output. Which setting is the safest?
#
# <details><summary>A. A low temperature, 0.1</summary>
# Nearly always the same, and now and then not: where two tokens are nearly equal, they stay nearly equal.
# No temperature above 0 takes chance away.
# </details>
# <details><summary>B. Temperature 0, or top_k = 1</summary>
# Yes. Nothing is drawn any more. For a form, a few words long, going round in circles is no danger.
# </details>
# <details><summary>C. top_p = 0.9, since it cuts off what is wrong</summary>
# It cuts off the tail and draws from the rest, differently each time.
# </details>
# <details><summary>D. A fixed seed, with any setting</summary>
# This works as long as everything else stays the same, and so it is the less safe one: one more draw before
# it, another batch beside it, another version of the library, and other numbers come out.
# </details>

# %% [markdown]
# ## What you have
#
# `sample_next` makes one token of a row of scores: divide by the temperature, keep the best k, take the
# softmax, draw. `generate` makes a text of that, one token after the other. With it, every step from text
# to text has been built. The best token at every place says the same again and again; drawing from everything
# reaches into the tail; the knobs choose a place between.
#
# GPT-2's authors published samples made in three ways: from everything, with temperature 0.7, and with
# top_k = 40; the samples in the paper have top_k = 40. This stage has no parameters. What it costs GPT-2:

# %%
gpt2 = GPT2Config()
print(f"draws from {END_OF_TEXT} to a full context: {gpt2.n_ctx - 1:,}")
print(f"tokens read for them, each time all from the start: {sum(range(1, gpt2.n_ctx)):,}")

# %% [markdown]
# **Sources.** Radford et al. 2019, *Language Models are Unsupervised Multitask Learners*, section 3.6
# (top_k = 2 for summaries) and the samples of the appendix; the code released with it: its README (the
# three ways of the published samples) and `src/sample.py` (temperature, then top_k, then the draw; what
# goes gets -1e10, and a text ends where the length that was asked for is reached, at most `n_ctx`). Fan,
# Lewis and Dauphin 2018, *Hierarchical Neural Story Generation*, section 5.4 (top-k). Holtzman et al. 2019,
# *The Curious Case of Neural Text Degeneration*, section 3.1 (nucleus, top_p), and the comparison there of
# likely texts with written ones.
#
# **Next:** the last line above. To write 1023 tokens, more than half a million are read, although only one
# is new each time. Lesson 12 keeps what was computed for the others: the KV cache.
