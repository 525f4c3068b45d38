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
from torch.nn import functional as F
from tqdm.auto import tqdm

from gpt2course import check, sampling
from gpt2course.bigram import Words
from gpt2course.config import GPT2Config
from gpt2course.figures.explorer import Candidate, next_tokens
from gpt2course.figures.matrix import matrices
from gpt2course.figures.pipeline import pipeline
from gpt2course.figures.sampling import (
    END_OF_TEXT, OPENING, PATTERNS, WORDS, dice_strip, fits, judged, kept_along, moving_window,
    outside_first, right_and_different, sentences_of, short_texts, tail_curves,
)
from gpt2course.mine import GPT2
from gpt2course.widgets.sampling import sampling_desk

# %% [markdown]
# This is where we are in GPT-2: at the very end, where scores become a token, and on the long arrow
# back, by which the token joins the text.

# %%
pipeline("11_sampling")

# %% [markdown]
# ## A model that can write
#
# To choose among scores one needs scores worth choosing from. So a small GPT-2 is trained first, on texts
# that a few patterns make. Each text is an opening and some further sentences; each word in braces is
# drawn from a list, the first words of a list more often than the last. Read the patterns: after which
# words is the next one certain, and after which could it be anyone?

# %%
print(OPENING, *PATTERNS, sep="\n")
print({name: len(words) for name, words in WORDS.items()}, "\n")
texts = short_texts(4000)
print(texts[2], texts[9], sep="\n")

# %% [markdown]
# After *walks to* there is only *the*. After *the old* there are 60 words to choose from. And each text
# ends with `<|endoftext|>`, which is one token: lesson 02 added it to the vocabulary.
#
# Here every word is a token, so that what is drawn can be read. GPT-2 does all that follows in the same
# way, with 50,257 tokens that are often pieces of words.

# %%
vocab = Words(" ".join(texts))
V, end = vocab.vocab_size, vocab.encode(END_OF_TEXT)[0]
stream_of_ids = torch.tensor(vocab.encode(" ".join(texts)))
f"{len(stream_of_ids):,} tokens, {V} different ones; {END_OF_TEXT} has the id {end}"

# %% [markdown]
# Now the training: two blocks, 64 numbers wide, a context of 40 tokens. The texts stand one behind the
# other, and each step shows the model 16 pieces of this stream. As in lesson 06, the targets are the same
# pieces one token later, and lesson 13 takes the loop apart. (`OneCycleLR` makes the steps grow at first and
# shrink towards the end. One thread, since such small matrices gain nothing from more.) A model that knows
# nothing has a loss of `ln V`. How far below will it get? Some seconds.

# %%
n_ctx, steps = 40, 250
torch.set_num_threads(1)
torch.manual_seed(0)
model = GPT2(GPT2Config(n_layer=2, n_head=4, n_embd=64, n_ctx=n_ctx, vocab_size=V))
optimizer = torch.optim.AdamW(model.parameters())
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=steps)
for step in tqdm(range(steps), desc="steps"):
    start = torch.randint(len(stream_of_ids) - n_ctx, (16, 1))
    piece = stream_of_ids[start + torch.arange(n_ctx + 1)]
    loss = F.cross_entropy(model(piece[:, :-1]).flatten(0, 1), piece[:, 1:].flatten())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()
print(f"loss {loss:.1f} nats per token, at the start about {math.log(V):.1f}")

# %% [markdown]
# What does it expect after *on monday the old*? `logits_after` asks the model and keeps the scores after
# the last token, `(1, V)`; a softmax makes probabilities of them. `bars` shows the likeliest ones.

# %%
@torch.no_grad()
def logits_after(text: str) -> Float[Tensor, "1 V"]:
    """The scores of every token that may come after a text."""
    return model(torch.tensor([vocab.encode(text)]))[:, -1]


def bars(text: str, k: int = 8):
    """The k likeliest next tokens."""
    probs = logits_after(text).softmax(dim=-1)[0]
    best = probs.argsort(descending=True)[:k].tolist()
    found = [Candidate(i, vocab.token_bytes(i), probs[i].item()) for i in best]
    return next_tokens(found, f"after “{text}”")


bars("on monday the old")

# %% [markdown]
# All this is a *distribution*: V probabilities that sum to 1. The model's work ends here. What to do with
# the distribution is our choice, and this lesson is about that choice.
#
# ## Always the best one
#
# The first idea: take the token with the highest score. This is called **greedy**, and since only one
# token is left to choose from, also **top_k = 1**. `write` asks the model, lets `choose` pick one id from
# the scores, appends it, and asks again. (`ids[-n_ctx:]`: the model can read 40 tokens at most.) What will
# a text look like in which every word is the best one?

# %%
@torch.no_grad()
def write(text: str, n: int, choose) -> str:
    """The text and n tokens more; choose makes one id of the scores (V,)."""
    ids = vocab.encode(text)
    for _ in range(n):
        in_view = torch.tensor([ids[-n_ctx:]])
        ids.append(choose(model(in_view)[0, -1]))
    return vocab.decode(ids)


def the_best(scores: Float[Tensor, "V"]) -> int:
    return scores.argmax().item()


stuck = write("on monday the", 57, the_best)
print(*sentences_of(stuck), sep="\n")

# %% [markdown]
# A good sentence, a second good one, and then the same again and again. The keyboard of lesson 01 went
# round in such a circle because it looked at a single word: after the same word always the same word.
# But this model reads up to 40 tokens. Why does it not notice? Look at what it expects after the first
# rounds. Where is the highest number in each row?

# %%
rounds = [" ".join(sentences_of(stuck)[:n]) for n in (2, 3, 4, 5)]
followers = ["there", "then", "it", "the", END_OF_TEXT]
expected = torch.cat([logits_after(text) for text in rounds]).softmax(dim=-1)
assert all(the_best(row) == vocab.encode(followers[0])[0] for row in expected)
matrices([("what comes next?", expected[:, vocab.encode(" ".join(followers))])],
         [f"after {n} sentences" for n in (2, 3, 4, 5)], followers, scale=(0.0, 1.0))

# %% [markdown]
# It never was sure. Each time it gives most of the probability to something *else* than *there*, spread
# over four other continuations, one of them the end of the text. But *there* is ahead of each of them, so it
# is taken each time. The rows hardly differ, although the first sentence is still in view in all of them: the
# patterns choose each sentence without regard to those before, and this is what the model has learned. That
# something has been said does not make it less likely to come again. And later, once nothing but repetitions
# is in view, the model is shown the same tokens in every round, and the same scores must come out.
#
# So where is the mistake? In the thought that a text made of likeliest words would be a likely text. Take
# texts by the same patterns that the model has not seen, and ask at each place whether the word that
# came was the model's first choice. (39 in a
# piece of 40 tokens, `n_ctx - 1`: what comes after its last one is not in it.)

# %%
new_ids = torch.tensor(vocab.encode(" ".join(short_texts(200, seed=1))))
new_rows = new_ids[: len(new_ids) // n_ctx * n_ctx].view(-1, n_ctx)
with torch.no_grad():
    new_logits = model(new_rows[:, :-1])  # (B, T, V)
first_choice = (new_logits.argmax(dim=-1) == new_rows[:, 1:]).float().mean().item()
print(f"first choice: {first_choice:.0%} of the places; 39 places in a row: {first_choice**39:.1e}")

# %% [markdown]
# A written text takes the model's first choice in a good half of its places, and something else in the
# others. It practically never does so 39 times in a row. GPT-2 has the same trouble with English.
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
# with nothing but `<|endoftext|>`. (`sentences_of` leaves this token out of what is shown. A sentence that
# begins with *on* begins a new text.)

# %%
dice = torch.Generator().manual_seed(27)


def from_everything(scores: Float[Tensor, "V"]) -> int:
    return torch.multinomial(scores.softmax(dim=-1), 1, generator=dice).item()


for beginning in ("on monday the", END_OF_TEXT):
    print(*sentences_of(write(beginning, 39, from_everything)), "", sep="\n")

# %% [markdown]
# No circle, and a story that nobody has written. Is it always so good? Here the patterns help: they say
# which sentences are possible, and `fits` looks whether a sentence is one of them. Forty texts; every
# sentence that cannot be:

# %%
dice.manual_seed(6)
forty = [write(END_OF_TEXT, n_ctx - 1, from_everything) for _ in range(40)]
all_sentences = [sentence for text in forty for sentence in sentences_of(text)]
wrong = [sentence for sentence in all_sentences if not fits(sentence)]
print(f"{len(wrong)} of {len(all_sentences)} sentences are impossible, among them:")
print(*wrong[:6], sep="\n")

# %% [markdown]
# ### The tail
#
# Where do they come from? At most places a handful of words can be right, and each of the others gets next
# to nothing. But there are many others, and together they are not nothing. This is the **tail** of the
# distribution. How much of the probability lies outside the k likeliest words? Three places, and the mean
# over the new texts; find the value at 40 on each line.

# %%
places = ["the old", "the kitchen .", "walks to"]
beginnings = ["on monday the old", "on monday the old fox walks to the kitchen .",
              "on monday the old fox walks to"]
outside = {
    f"after “{place}”": outside_first(logits_after(beginning).softmax(dim=-1)[0].tolist())
    for place, beginning in zip(places, beginnings)
}
new_sorted = new_logits.flatten(0, 1).softmax(dim=-1).sort(descending=True).values
outside["mean over new texts"] = outside_first(new_sorted.mean(dim=0).tolist())
tail_curves(outside, k=40)

# %% [markdown]
# After *the old* much of the tail is sensible, as there are 60 words to choose from. After *walks to* every
# word but *the* is wrong, and outside the first word there is a share all the same. It is small, but a text
# has many places, and one wrong word spoils a sentence. How likely is it that at least one of the 39 words
# of a text comes from beyond the first 40, if one draw is taken to be independent of the other?

# %%
tail = outside["mean over new texts"][39]
print(f"outside the first 40: {tail:.2%} at a place")
print(f"at least one such word among 39: {1 - (1 - tail)**39:.0%}")

# %% [markdown]
# So neither: the best one alone goes round in circles, and all of them make nonsense now and then. The rest
# of the lesson is about what lies between. There are three knobs: **temperature**, **top_k** and **top_p**.
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
# result: scores again, no probabilities, since the other two knobs come before the softmax. The scores
# that came in must not be changed; that holds for all exercises. The trap is small here: which of the two,
# T above 1 or T below 1, has to draw the scores apart?
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
### BEGIN HIDDEN TESTS
from gpt2course import require_passed

require_passed("apply_temperature")
### END HIDDEN TESTS

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
    print(f"T = {T}:", *sentences_of(write("on friday the", 33, at_temperature(T))), "", sep="\n")

# %% [markdown]
# A low temperature keeps to the safe words and comes back to the same ones. A high one lifts the tail, and
# most sentences get something from it. **This is a good place for a break.**
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
### BEGIN HIDDEN TESTS
from gpt2course import require_passed

require_passed("keep_top_k")
### END HIDDEN TESTS

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
# Compare it with the circle.

# %%
def from_the_best(k: int):
    return lambda scores: from_everything(keep_top_k(scores[None], k)[0])


assert write("on monday the", 57, from_the_best(1)) == stuck
dice.manual_seed(2)
print(*sentences_of(write("on monday the", 57, from_the_best(40))), sep="\n")

# %% [markdown]
# ## top_p: as many as it takes
#
# Is 40 a good number? After *the old* it forbids 20 of 60 words that would be right. After *walks to* it
# still allows 39 words that are wrong. No k suits both. The third knob asks for a **share** and not for a
# number: keep the likeliest words that together hold at least p of the probability, and no more of them
# than that takes. This is also called **nucleus sampling**. Where several knobs are turned, the order is
# temperature, top_k, top_p: the share is then measured on what top_k has left, shared out again.
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
# `-math.inf`. At least one token stays, even for p = 0. Of equal
# tokens at the border as many stay as are needed, or all of them. Two traps. The set has to *reach* p: what about the
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
### BEGIN HIDDEN TESTS
from gpt2course import require_passed

require_passed("keep_top_p")
### END HIDDEN TESTS

# %% [markdown]
# A text that the model has not seen, and at each of its places the number of words that p = 0.9 keeps.
# Under each bar stands the word that really came. Where is a bar 1, and where does it come near the line of
# k = 40?

# %%
shown = short_texts(200, seed=1)[0].split()[:22]
with torch.no_grad():
    along = model(torch.tensor([[end, *vocab.encode(" ".join(shown[:-1]))]]))[0]  # (22, V)
kept = (keep_top_p(along, 0.9) > -math.inf).sum(dim=-1).tolist()
kept_along(shown, kept, p=0.9, k=40)

# %% [markdown]
# A bar over a word was counted before that word came: over *the*, behind *runs to*, it is 1, and over
# *robot*, where somebody is to be named, 40. The number follows the model's own doubt.
#
# ## Play with it
#
# The model's distribution at four places, and all three knobs. The dashed outline is what the model gave a
# word, the filled bar what it is drawn with; ✓ says that it can be drawn, ✗ that it can not. As long
# as top_k keeps all, the words with ✓ together hold at least top_p, at the temperature that is set; with a
# smaller top_k they hold that much of what top_k has left. Try:
#
# - after *the old*, find the top_p that keeps 20 words (leave top_k at 179, which is all of them). How many
#   does it keep after *walks to*?
# - set the temperature to 3 after *walks to*: how far down must top_p go until only *the* is left?
# - make it greedy in three ways, each time with one knob alone.

# %%
four_places = [*beginnings, END_OF_TEXT]
sampling_desk({place: logits_after(place)[0] for place in four_places}, vocab.words)

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
### BEGIN HIDDEN TESTS
from gpt2course import require_passed

require_passed("sample_next")
### END HIDDEN TESTS

# %% [markdown]
# ## One token after the other
#
# The last step is the loop: draw a token, append it, ask again. The model's own output becomes its next
# input, and this is called **auto-regression** (lesson 01). One thing needs care. The model has `n_ctx`
# positions and not one more; lesson 10 made it refuse a longer text. The text may grow all the same: the
# model is shown only its end.
#
# **Predict.** A text has 100 tokens, `n_ctx` is 40. What does the model see when it writes the next one?
#
# <details><summary>A. The first 40: what it read, it remembers</summary>
# It remembers nothing from one call to the next. All that it knows of the text is what it is shown, and
# the first 40 say nothing about where the text stands now.
# </details>
# <details><summary>B. The last 40, and what it has kept of the first 60</summary>
# Nothing is kept. What has left the window has no more influence on what comes.
# </details>
# <details><summary>C. The last 40</summary>
# Yes, <code>idx[:, -40:]</code>, and they stand at positions 0 to 39, as if the text began there. The result
# still has all 101 tokens.
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
### BEGIN HIDDEN TESTS
from gpt2course import require_passed

require_passed("generate")
### END HIDDEN TESTS

# %% [markdown]
# It is `write` of the first sections, for a whole batch. So with temperature 0, or with top_k = 1, it must
# fall into the same circle, word for word. And which shape will five texts have, with a prompt of three
# tokens and 57 new ones?

# %%
prompt = torch.tensor([vocab.encode("on monday the")])
for temperature, top_k in ((0, None), (1.0, 1)):
    written = generate(model, prompt, 57, temperature, top_k, dice)
    assert vocab.decode(written[0].tolist()) == stuck
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
    """One sample of n tokens, top_k = 40, in sentences."""
    idx = torch.tensor([vocab.encode(beginning)])
    written = generate(model, idx, n, 1.0, 40, torch.Generator().manual_seed(seed))
    print(vocab.decode(written[0].tolist()).replace(" . ", " .\n"), "\n")


show("on sunday the lonely whale", 32, seed=1)
show(END_OF_TEXT, 75, seed=4)

# %% [markdown]
# The second ran on: after the end of one text comes the beginning of the next. It can't do otherwise, as
# `generate` writes as many tokens as it is asked for, and both break off where the number was reached.
#
# ## When does it stop?
#
# One often reads that GPT-2 starts with `<s>` and ends with `<EOS>`. It has neither. There is **one** token,
# `<|endoftext|>`, id 50,256 and the last of the vocabulary, and it does both: what follows it is a
# beginning, and drawing it is the end. Our model learned the same from its stream:

# %%
assert "<s>" not in vocab.words and "<EOS>" not in vocab.words
assert GPT2Config().vocab_size - 1 == 50_256
bars(END_OF_TEXT, k=3)

# %% [markdown]
# Two rules can end a text: **the model draws the end**, or **the context is full** (1024 tokens in GPT-2, 40
# here). The package's `generate_batch` knows both: `end_of_text` is the id that ends a text, and
# `slide=False` says that a full context ends it too. With `slide=True` the window moves on instead, as in
# your `generate`. Twelve texts from `<|endoftext|>`, with at most 100 new tokens. What will be the largest
# length in the first line?

# %%
for slide in (False, True):
    dice.manual_seed(7)
    twelve = sampling.generate_batch(
        model, [[end]] * 12, 100, top_k=40, generator=dice, end_of_text=end, slide=slide
    )
    *_, longest = sorted(twelve, key=len)
    by_model = sum(ids[-1] == end for ids in twelve)
    print(f"slide={slide}: {by_model} of 12 texts ended by the model, lengths",
          *sorted(map(len, twelve)), f"\n  the longest ends: … {vocab.decode(longest[-6:])}")

# %% [markdown]
# ## Which setting is the best?
#
# That depends on what a text is for. But two things can be measured. How many sentences **fit**: could the
# patterns have made them? And how many are **different**: of 250 sentences, how many are left without the
# repetitions? `judged` gives both shares. One hundred texts each way (they hold 300 to 500 sentences, of
# which the first 250 count, as many for every way), and beside them a hundred that the patterns made. Where
# do you expect greedy (temperature 0), and where temperature 2?

# %%
ways = {
    "temperature 0": {"temperature": 0},
    "temperature 0.7": {"temperature": 0.7},
    "top_k = 40": {"top_k": 40},
    "top_p = 0.9": {"top_p": 0.9},
    "everything": {},
    "temperature 2": {"temperature": 2.0},
}
results = {"by the patterns": judged(short_texts(100, seed=2))}
for name, way in ways.items():
    dice.manual_seed(9)
    settings = {"generator": dice, "end_of_text": end, **way}
    hundred = sampling.generate_batch(model, [[end]] * 100, n_ctx - 1, **settings)
    results[name] = judged([vocab.decode(ids) for ids in hundred])
right_and_different(results)

# %% [markdown]
# Greedy makes no mistake and says almost nothing. Temperature 2 hardly ever repeats itself and is mostly
# wrong. Texts by the patterns repeat themselves now and then, because some words are frequent; a good
# setting comes close to them in *both* numbers. Temperature 0.7 and top_p = 0.9 do, each in its own way:
# one makes everything sharper, the other cuts the tail. Before you take the winners for a law: this model
# is small, and with 179 words k = 40 is a generous k. What carries over to GPT-2 are the two ends.
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
# to text has been built. The best token at every place goes round in circles; drawing from everything
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
# (top_k = 2 for summaries) and the samples of the appendix; the code released with it: its README (the three
# ways of the published samples) and `src/sample.py` (temperature, then top_k, then the draw; what goes gets
# -1e10, and a text ends where the length that was asked for is reached, at most `n_ctx`). Fan, Lewis and Dauphin 2018, *Hierarchical Neural Story
# Generation*, section 5.4 (top-k). Holtzman et al. 2019, *The Curious Case of Neural Text Degeneration*,
# section 3.1 (nucleus, top_p), and the comparison there of likely texts with written ones.
#
# **Next:** the last line above. To write 1023 tokens, more than half a million are read, although only one
# is new each time. Lesson 12 keeps what was computed for the others: the KV cache.
