# %% [markdown]
# # 11 · Sampling
#
# The model of lesson 10 ends in scores: one for every token that could come next. **How does one token come out of
# all these scores, and why should it not always be the best one?**
#
# - **In:** logits `(B, V)`: for each of B texts the scores of the V tokens that may come next.
# - **Out:** one id for each text, `(B, 1)`. It joins the text, the text goes in again, and so `(B, T)`
#   becomes `(B, T + n)`.
# - **Time:** 65 minutes for the core, 105 for everything.
# - **Exercises:** `apply_temperature` ●○○○○, `keep_top_k` ●●○○○, `keep_top_p` ●●●●○, `sample_next` ●●○○○ and
#   `generate` ●●●○○.
#
# Keep at hand: the [cheat sheet](../docs/cheat_sheet.md), the [glossary](../docs/glossary.md), the
# [notation](../docs/notation.md), and [what well-known explanations get wrong](../docs/common_errors.md).

# %% [markdown]
# First the tools. `GPT2` is from [lesson 10](10_output_projection.ipynb); the line below the cell says whether it is
# yours.

# %%
import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gpt2course import check, kept_names, my_progress, sampling
from gpt2course import model as package
from gpt2course.config import COURSE, GPT2Config
from gpt2course.corpus import documents, heldout_documents
from gpt2course.lessons.sampling import (
    Candidate, dice_strip, fits, judged, kept_along, known_patterns, matrices, moving_window,
    next_tokens, outside_first, right_and_different, sampling_desk, sentences_of, tail_curves,
    tower, writing,
)
from gpt2course.mine import GPT2
from gpt2course.weights import load_tokenizer

# %% [markdown]
# This is the tower of lesson 10, with your own `GPT2` in it: *it* climbs from its embedding to the bars of the next
# token. The lit part is at the very top. From there a dashed arrow leads back: one token joins the text.

# %%
tower("11_sampling", kept_names(), GPT2)

# %% [markdown]
# The same in motion: in every run the model reads the whole row, and the token that is drawn joins it.

# %%
writing(["a", "robot", "must", "obey", "the", "orders", "given"], given=3)

# %% [markdown]
# ## 1. A model that can write
#
# Again your `GPT2` gets the weights of the course model, which has read 16,000 small stories. Its *context window*
# is `n_ctx` = 128 tokens. In training, `<|endoftext|>` was between any two stories, so `ids_of` puts it before the
# beginning of a story.

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
# Here is a story that it has not read. After which words is the next one certain, and after which not?

# %%
stories = heldout_documents()
print(stories[1])

# %% [markdown]
# The village could be any of 120. After *because it* only a few words fit: a balloon floats, pops or shrinks.
#
# `logits_after` returns the scores after the last token, `(1, V)`; a softmax turns them into V probabilities, a
# *distribution*. `bars` shows the largest. What will follow *the robot because it*?

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
# The model's work ends here. The rest is our choice.
#
# ## 2. Always the best one
#
# The first idea, as in lesson 10: take the token with the highest score. This is called **greedy** decoding, or
# **top_k = 1**. `write` lets `choose` pick one id from the scores, appends it, and asks the model again. What will a
# long text look like?

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
# Correct sentences. But the stories repeat the person, the places, whole sentences. The keyboard of
# [lesson 01](01_language_models.ipynb) went in a circle because it looked at one word. This model reads up to 128
# tokens, and repeats itself all the same. The mistake is to think that a text of likeliest tokens is a typical text. In
# a written story the likeliest token comes at most places, but never at all of them.

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: why greedy text repeats
#
# What the model expects where a story begins, and whether repeating makes repeating likelier, here and in GPT-2.
# Nothing later needs it; you can skip it.

# %% [markdown]
# How many sentences are different, and how many of as many sentences of unread stories?

# %%
greedy = sentences_of(stuck)
written = [sentence for story in stories for sentence in sentences_of(story)][: len(greedy)]
print(f"greedy: {len(set(greedy))} different ones of {len(greedy)}; written: {len(set(written))}")
most = max(greedy, key=greedy.count)
print(f"{greedy.count(most)} times: {most}")
assert len(set(greedy)) < 0.85 * len(greedy) < len(set(written))

# %% [markdown]
# What does the model expect at the beginning of a story, with the stories before it in view? How high is the
# highest number in each row?

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
         [f"after story {n}" for n in (1, 2, 3)], openings, scale=(0.0, 1.0))

# %% [markdown]
# It is never sure. There are eight ways to begin with about a tenth each; one of them is a hair ahead, and greedy
# takes it. So it goes on: two people may meet, chat, rest, sing or wait, in any of twenty places, and of each one is
# ahead. The rows hardly differ, although the stories told so far are in view.
#
# Is there more to it? Once a sentence has been said, does the model find it **likelier** the next time? Take the
# beginnings of a hundred unread stories, two sentences each. Put nothing, one, two or three copies before each of
# them, and for comparison as many other beginnings. Which column grows from row to row?

# %%
begins = [tokenizer.encode(" ".join(sentences_of(story)[:2])) for story in stories[:200]]
begins = [ids for ids in begins if len(ids) <= 30][:100]


@torch.no_grad()
def mean_probability(before):
    """The geometric mean, over beginnings, of a token's probability after what before(i) returns."""
    logs = []
    for i, ids in enumerate(begins):
        context = [token_id for other in before(i) for token_id in [end, *other]] + [end]
        probs = model(torch.tensor([context + ids]))[0, -len(ids) - 1 : -1].softmax(dim=-1)
        logs.append(probs[range(len(ids)), ids].log().mean())
    return torch.stack(logs).mean().exp().item()


print("stories before   copies   others")
for n in range(4):
    copies = mean_probability(lambda i: [begins[i]] * n)
    others = mean_probability(lambda i: [begins[i - 1 - j] for j in range(n)])
    print(f"{n:14} {copies:8.1%} {others:8.1%}")

# %% [markdown]
# One copy makes the second telling a little likelier than other stories do; further copies change nothing. So this
# small model repeats itself mostly because each story is made without regard to the last.
#
# **GPT-2 is worse.** There, every repetition makes the next one likelier, until it is almost certain: a vicious
# circle. Holtzman et al. (2019) show it in figure 4 for *I don't know.*, and in figure 1 a text in which GPT-2
# repeats the name of one university to the end. They found the effect for nearly all phrases that they tried. Large
# models have learned to copy from their context; that is useful in most texts, and fatal here. Once you have GPT-2
# in [lesson 14](14_released_weights.ipynb), you can measure it with `mean_probability`. (Many programs offer a
# *frequency penalty* against it: each time a token has been written, its score is lowered by a fixed number.)

# %% [markdown]
# ## 3. Draw the token
#
# The way out: **sample** the token, each with its probability. By hand, on four words. Say that a model has
# read *a robot must obey*, and these are its scores:

# %%
candidates = ["orders", "the", "nobody", "cheese"]
scores = [3.0, 2.0, 1.0, -1.0]
raised = [math.exp(score) for score in scores]
by_hand = [x / sum(raised) for x in raised]
{word: round(share, 3) for word, share in zip(candidates, by_hand)}

# %% [markdown]
# How does a computer draw *orders* in 65.7 % of all cases? Lay the probabilities end to end on a line from 0 to 1,
# and make a random number, uniform from 0 to 1. The word whose piece it hits is drawn.
#
# **Predict.** The pieces are in the order of the list: *orders, the, nobody, cheese*. The random number is
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
# In torch this is `torch.multinomial(probs, num_samples)`. Its argument `generator` is a source of random numbers. The
# number with which it starts is its **seed**: the same seed gives the same draws. Which of the three lines will be
# equal? And about how often will *cheese* come in ten thousand draws?

# %%
four = torch.tensor([by_hand])
for seed in (7, 7, 8):
    source = torch.Generator().manual_seed(seed)
    seven = [torch.multinomial(four, 1, generator=source).item() for _ in range(7)]
    print(f"seed {seed}:", *[candidates[place] for place in seven])

drawn = [torch.multinomial(four, 1, generator=source).item() for _ in range(10_000)]
print({word: drawn.count(place) for place, word in enumerate(candidates)})

# %% [markdown]
# Now sample from the whole distribution. One text begins as before, the other with nothing
# but `<|endoftext|>`.

# %%
dice = torch.Generator().manual_seed(27)


def from_everything(scores: Float[Tensor, "V"]) -> int:
    return torch.multinomial(scores.softmax(dim=-1), 1, generator=dice).item()


for beginning in ("A robot must obey", ""):
    print(*sentences_of(write(beginning, 90, from_everything)), "", sep="\n")

# %% [markdown]
# New stories, but now and then something is wrong. At most places a handful of tokens fit. Each of the two thousand
# others gets next to nothing, but together, over a long text, they matter: this is the **tail** of the distribution.

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: head and tail in numbers
#
# How often the first choice is right, how much probability lies outside the first k tokens, and how often a text is
# hit by it. Nothing later needs it; you can skip it.

# %% [markdown]
# In unread stories, how often is the token that really came the model's first choice?

# %%
new_ids = torch.tensor([token_id for story in stories[:100] for token_id in ids_of(story)])
new_rows = new_ids[: len(new_ids) // n_ctx * n_ctx].view(-1, n_ctx)
with torch.no_grad():
    new_logits = model(new_rows[:, :-1])  # (B, T, V)
first_choice = (new_logits.argmax(dim=-1) == new_rows[:, 1:]).float().mean().item()
print(f"first choice: {first_choice:.0%} of the places; 127 in a row: {first_choice**127:.0e}")
assert 0.5 < first_choice < 0.9

# %% [markdown]
# At most places, but never at 127 in a row. Now the other end: three places, and the mean over these stories. Find the
# value at 40 on each line.

# %%
places = ["Mina lived in", "Mina looked at the robot because it",
          "A robot must obey the orders"]
outside = {
    f"after “{text}”": outside_first(logits_after(text).softmax(dim=-1)[0].tolist())
    for text in places
}
new_sorted = new_logits.flatten(0, 1).softmax(dim=-1).sort(descending=True).values
outside["mean over new stories"] = outside_first(new_sorted.mean(dim=0).tolist())
tail_curves(outside, k=40)

# %% [markdown]
# After *Mina lived in* much of the tail is sensible: there are 120 villages. After *A robot must obey the orders*
# every word but *given* is wrong. The tail is small; but how likely is it that at least one of 127 tokens comes from
# beyond the first 40, if the draws are independent?

# %%
tail = outside["mean over new stories"][39]
print(f"outside the first 40: {tail:.2%} at a place")
print(f"at least one such token among 127: {1 - (1 - tail)**127:.0%}")

# %% [markdown]
# Not each of them is wrong (some are villages), but many are.

# %% [markdown]
# ## 4. Temperature
#
# Greedy repeats itself, and sampling from everything writes nonsense now and then. Three knobs lie between:
# **temperature**, **top_k** and **top_p**. The first makes the distribution sharper or flatter: **divide the scores
# by a number, the temperature, before the softmax.** At temperature 2 the scores 3, 2, 1, -1 become 1.5, 1, 0.5,
# -0.5: closer together. What will happen to *cheese*?

# %%
raised_at_2 = [math.exp(score / 2) for score in scores]
by_hand_at_2 = [x / sum(raised_at_2) for x in raised_at_2]
for word, at_1, at_2 in zip(candidates, by_hand, by_hand_at_2):
    print(f"{word:7} {at_1:.3f} → {at_2:.3f}")

# %% [markdown]
# **Predict.** Only two words: one has probability 0.9, the other 0.1. What are they at temperature 2?
#
# <details><summary>A. 0.45 and 0.05</summary>
# That divides the probabilities by 2. They no longer sum to 1, and divided by their sum they are 0.9 and 0.1, as
# before.
# </details>
# <details><summary>B. 0.5 and 0.5: twice as much chance makes it even</summary>
# They approach this as the temperature grows without end. The likelier word stays likelier at every temperature.
# </details>
# <details><summary>C. 0.75 and 0.25</summary>
# Yes. Halving the scores halves their distance, and in the softmax a distance is a ratio: the ratio 9 to 1
# becomes its square root, 3 to 1.
# </details>
# <details><summary>D. 0.81 and 0.19: the likelier one is squared</summary>
# Squares belong to temperature 1/2, and there both are squared: 0.81 and 0.01, divided by their sum 0.988 and 0.012.
# Temperature 2 takes roots.
# </details>

# %% [markdown]
# ## Exercise: `apply_temperature` ●○○○○ · 3 minutes
#
# Divide the scores by the temperature, any number above 0. `logits` is `(B, V)`, and so is the result: scores again,
# not probabilities. For all exercises: the result keeps the dtype, and the argument must not be changed.
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
# The four words at five temperatures. Which row is nearly greedy, which is nearly uniform (all alike)?

# %%
batch = torch.tensor([scores])  # (1, 4)
temperatures = [0.1, 0.5, 1.0, 2.0, 10.0]
table = torch.cat([apply_temperature(batch, t).softmax(dim=-1) for t in temperatures])
assert torch.allclose(table[3], torch.tensor(by_hand_at_2))
matrices([("probabilities", table)], [f"temperature {t}" for t in temperatures], candidates, scale=(0.0, 1.0))

# %% [markdown]
# Towards 0 the best word takes all the probability; at high temperatures all words become equally likely. No
# temperature changes the **order** of the words, and none brings a word to 0 (0.00 is rounded).
#
# And the model? The same beginning at three temperatures. Which would you read to someone?

# %%
def at_temperature(temperature: float):
    return lambda scores: from_everything(apply_temperature(scores[None], temperature)[0])


for temperature in (0.3, 1.0, 2.0):
    dice.manual_seed(1)
    text = write("On Friday", 60, at_temperature(temperature)).removeprefix(END_OF_TEXT)
    print(f"temperature {temperature}: {text!r}\n")

# %% [markdown]
# A low temperature repeats the safe words. A high one lifts the tail: pieces of words, even control characters.

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: temperature as a power
#
# Why the scores are divided and not the probabilities. Nothing later needs it; you can skip it.

# %% [markdown]
# Dividing the probabilities changes nothing: all shrink by the same factor, and normalising them again undoes it. As
# e^(s/t) is (e^s) to the power 1/t, a temperature t raises the *probabilities* to the power 1/t. At temperature 2
# that is the square root. Both, with the probabilities of the four words:

# %%
halved, roots = four / 2, four ** (1 / 2)
assert torch.allclose(halved / halved.sum(), four)  # nothing has changed
assert torch.allclose(roots / roots.sum(), table[3:4])  # the row of temperature 2
roots / roots.sum()

# %% [markdown]
# ## 5. top_k: the k best
#
# No temperature cuts anything off. The second knob does: **keep the k highest scores**. For k = 2, by hand: the
# second highest score is the limit, and whatever lies below it becomes -inf, whose probability is e^-inf = 0
# ([lesson 06](06_masking.ipynb)).

# %%
lowest_kept = sorted(scores, reverse=True)[2 - 1]
kept_by_hand = [score if score >= lowest_kept else -math.inf for score in scores]
kept_probs = torch.tensor(kept_by_hand).softmax(dim=-1)
print("scores:", kept_by_hand)
print("probabilities:", [round(p, 3) for p in kept_probs.tolist()])

# %% [markdown]
# Their ratio is the same as before: the scores differ by 1, so it is e to 1.
#
# ## Exercise: `keep_top_k` ●●○○○ · 8 minutes
#
# In each row of `logits` `(B, V)` the k highest scores stay as they are, and the rest becomes `-math.inf`. Where k
# is V or more, everything stays. If several scores equal the k-th highest, all of them may stay, or only as many as
# are needed. Two traps: a token's id *is* its place in the row, so nothing may move; and each row has a limit of its
# own.
#
# <details><summary>Hint 1</summary>
# <code>logits.topk(k, dim=-1).values</code> are the k highest of each row, the highest first. Which of them is the
# limit?
# </details>
# <details><summary>Hint 2</summary>
# <code>topk</code> refuses a k above V. Python's <code>min</code> helps.
# </details>
# <details><summary>Hint 3</summary>
# With the limits as a column, <code>(B, 1)</code>, each row is compared with its own:
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
# **Predict.** The best token has 60 %, and 39 others share the remaining 40 % evenly. You draw 1,000 times with
# top_k = 40. What do you get?
#
# <details><summary>A. The best token, 1,000 times</summary>
# That is greedy. top_k says which tokens can be drawn, not which one is.
# </details>
# <details><summary>B. The best one about 600 times, each of the others about 10 times</summary>
# Yes. All 40 stay, with their probabilities. The other 39 are drawn 400 times in all: each is unlikely, but
# "something other than the best" is not.
# </details>
# <details><summary>C. Each of the 40 about 25 times</summary>
# That would be a uniform draw. What stays keeps its probability, divided by the sum of what stays.
# </details>
#
# Greedy is `keep_top_k(…, 1)`. Here is the beginning of section 2 again, with k = 40.

# %%
def from_the_best(k: int):
    return lambda scores: from_everything(keep_top_k(scores[None], k)[0])


assert stuck.startswith(write("A robot must obey", 60, from_the_best(1)))
dice.manual_seed(2)
print(*sentences_of(write("A robot must obey", 120, from_the_best(40))), sep="\n")

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: 0 in place of -inf
#
# What goes wrong if the other scores are set to 0. Nothing later needs it; you can skip it.

# %% [markdown]
# One often reads that the other tokens are "set to 0". For probabilities that would be right, if they are normalised
# again afterwards. But a *score* of 0 is a score like any other. Here are the same four words with scores that are
# all 4 lower. (The softmax depends on distances alone, so `scores - 4` means the same as `scores`.) k = 2 again;
# what do the two that should be gone get?

# %%
assert torch.allclose((batch - 4).softmax(dim=-1), four)
right = keep_top_k(batch - 4, 2)
zeroed = right.masked_fill(right == -math.inf, 0.0)
assert torch.allclose(right.softmax(dim=-1)[0], kept_probs)
matrices([("the rest is -inf", right.softmax(dim=-1)), ("the rest is 0", zeroed.softmax(dim=-1))],
         ["probability"], candidates, scale=(0.0, 1.0))

# %% [markdown]
# They have become the likeliest ones, *cheese* as likely as *nobody*. Among negative scores, 0 is the best there is.
# (The code released with GPT-2 writes -1e10 in place of -inf, which is far enough.)

# %% [markdown]
# ## 6. top_p: as many as it takes
#
# Is 40 a good number? After *Mina lived in* it forbids 80 of 120 villages that would be right. After *must
# obey the orders* it allows 39 tokens that are wrong. The third knob keeps the likeliest tokens that together have
# **at least probability p**, and no more of them than that takes. This is also called **nucleus sampling**. Where
# several knobs are used, the order is temperature, top_k, top_p.
#
# **Predict.** p = 0.9. How many tokens stay if 40 are equally likely, and how many if one has 0.95?
#
# <details><summary>A. 36 and 1</summary>
# Yes. 36 times 1/40 is 0.9; and a single token that has 0.95 has more than was asked for, so it stays alone.
# </details>
# <details><summary>B. 36 and 0: 0.95 is too much already</summary>
# The tokens that stay must have <i>at least</i> 0.9. None at all would have 0, and nothing could be
# drawn.
# </details>
# <details><summary>C. 40 and 1: none of 40 equal tokens may be preferred</summary>
# Only the sum counts; as soon as it reaches p, the rest goes. Which 36 of 40 equals stay is left to the order of the
# list.
# </details>
# <details><summary>D. 0 and 1: only a token that has 0.9 may stay</summary>
# No token is compared with p by itself: each of the 40 has 0.025, all of them would go, and nothing could
# be drawn. The likeliest tokens are measured together.
# </details>

# %% [markdown]
# The four words, p = 0.9, by hand: the likeliest first, with running sums. A word stays if the sum
# **before** it is below p. *orders* and *the* have 0.899 together. Is that enough?

# %%
before = 0.0
for word, share in sorted(zip(candidates, by_hand), key=lambda pair: -pair[1]):
    print(f"{word:7} before it {before:.3f}   with it {before + share:.3f}",
          "  stays" if before < 0.9 else "  goes")
    before += share

# %% [markdown]
# ## Exercise: `keep_top_p` ●●●●○ · 15 minutes
#
# In each row keep the smallest set of tokens that has at least p of the probability; the rest becomes
# `-math.inf`. At least one token stays, even for p = 0, and for p = 1 all of them do. If several are equal at the
# limit, as many stay as are needed, or all of them. Two traps. The set has to *reach* p: what about the
# token with which it does? And for running sums the row must be sorted, but every score that stays must stay in
# its place.
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
    """The fewest tokens of each row that together have p of the probability, at least one."""
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
# The beginning of an unread story, and at each place the number of tokens that p = 0.9 keeps. Under each bar is the
# token that really came. Where is a bar 1, and where above k = 40?

# %%
shown = tokenizer.encode(stories[1])[:24]
with torch.no_grad():
    along = model(torch.tensor([[end, *shown[:-1]]]))[0]  # (24, V)
kept = (keep_top_p(along, 0.9) > -math.inf).sum(dim=-1).tolist()
kept_along([tokenizer.decode([i]).strip() for i in shown], kept, p=0.9, k=40)

# %% [markdown]
# Over *to*, after *came*, it is 1; over the village it is highest. top_p follows the model's own doubt.
#
# **Play with it.** The dashed outline is the model's probability of a token, the filled bar the probability with
# which it is drawn; ✓ marks what can be drawn. Try:
#
# 1. after *Mina lived in*, find the top_p that keeps about 40 tokens (leave top_k at 2048, all). How
#    many does it keep after *because it*?
# 2. make it greedy in three ways, each time with one knob alone.

# %%
beginnings = ["Mina lived in", "Mina looked at the robot because it",
              "A robot must obey the orders"]
names = [tokenizer.decode([i]).strip() or "␣" for i in range(V)]
at_places = {text: logits_after(text)[0] for text in beginnings}
sampling_desk({**at_places, END_OF_TEXT: logits_after("")[0]}, names)

# %% [markdown]
# <details><summary>Answers, after you have tried</summary>
# <ol>
# <li>0.43. After <i>because it</i> that keeps 2.</li>
# <li>Temperature 0, top_k 1, or top_p 0, which keeps one token.</li>
# </ol>
# </details>
#
# ## Exercise: `sample_next` ●●○○○ · 8 minutes
#
# Put it together for a batch: temperature, then top_k, then the softmax, then one draw for each row. The
# result holds ids, `(B, 1)`. (The package's `sample_next` also has top_p.)
#
# - `temperature` 0 means greedy. You cannot divide by it: it is a case of its own.
# - `top_k` None means: no filter.
# - `generator` goes to `torch.multinomial` as it is. Set no seed in here: it would make all draws the same.
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
# ## 7. One token after the other
#
# The last step is the loop: draw a token, append it, ask again. This is **auto-regression** ([lesson
# 01](01_language_models.ipynb)). The model has `n_ctx` positions, but the text may grow beyond: the model is shown
# only its end.
#
# **Predict.** A text has 200 tokens, `n_ctx` is 128. What does the model see when it writes the next one?
#
# <details><summary>A. The first 128: what it read, it remembers</summary>
# It remembers nothing from one call to the next. All that it knows of the text is what it is shown, and
# the first 128 say nothing about where the text is by now.
# </details>
# <details><summary>B. The last 128, and what it has kept of the first 72</summary>
# Nothing is kept. What has left the context window has no more influence on what comes.
# </details>
# <details><summary>C. The last 128</summary>
# Yes, <code>idx[:, -128:]</code>, and they get positions 0 to 127, as if the text began there. The result
# still has all 201 tokens.
# </details>

# %% [markdown]
# A prompt of three words, and a context window of four: in which row is *a* lost?

# %%
moving_window(["a", "robot", "must", "obey", "orders", "given", "it"], n_ctx=4, first=3)

# %% [markdown]
# ## Exercise: `generate` ●●●○○ · 10 minutes
#
# Continue every row of `idx` `(B, T)` by `max_new_tokens` tokens, each drawn by `sample_next`, and return
# the prompt together with them, `(B, T + n)`. Of the model you need two things: `model(idx)`, which returns
# logits `(B, T, V)`, and `model.config.n_ctx`. The trap: what the model is *shown* is cut to the last `n_ctx`
# tokens, each time; what you *return* is not.
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
# With temperature 0, or with top_k = 1, it must write the first text again. And which shape will five texts have,
# with a prompt of five tokens and 57 new ones?

# %%
prompt = torch.tensor([ids_of("A robot must obey")])
for temperature, top_k in ((0, None), (1.0, 1)):
    again = generate(model, prompt, 57, temperature, top_k, dice)
    same = stuck.startswith(tokenizer.decode(again[0].tolist()))
    print(f"temperature {temperature}, top_k {top_k}: {'the same text' if same else 'another text'}")
    assert same, "your generate and write disagree; is the context cut, and the last row taken?"
generate(model, prompt.expand(5, -1), 57, 1.0, 40, dice).shape

# %% [markdown]
# The text that you give is a **prompt**, and what comes is a *conditional sample*. Without a prompt GPT-2 gets
# `<|endoftext|>`: what follows it is the beginning of a new text, an *unconditional sample*.

# %%
def show(beginning: str, n: int, seed: int) -> None:
    """One sample of n tokens, top_k = 40."""
    idx = torch.tensor([ids_of(beginning)])
    sample = generate(model, idx, n, 1.0, 40, torch.Generator().manual_seed(seed))
    print(tokenizer.decode(sample[0].tolist()), "\n")


show("On a windy Sunday, Nora met an owl", 50, seed=1)
show("", 150, seed=4)

# %% [markdown]
# The second ran on, past the end of a story: `generate` writes as many tokens as it is asked for.
#
# ## 8. When does it stop?
#
# Many texts say that GPT-2 starts with `<s>` and ends with `<EOS>`. It has neither. **One** token, `<|endoftext|>`,
# id 50,256 and the last of the vocabulary, does both: what follows it is a beginning, and drawing it is the end.
# So a text ends when **the model draws the end**, or when **the context window is full** (1024 tokens in GPT-2).

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: both rules at work
#
# Twelve texts with and without a full context as the end. Nothing later needs it; you can skip it.

# %% [markdown]
# The package's `generate` knows both rules: `end_of_text` is the id that ends a text, and
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

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: which setting is the best?
#
# Two numbers for each of six settings: how much is right, and how much is repeated. Nothing later needs it; you can
# skip it.

# %% [markdown]
# Which setting is best depends on what a text is for. But two things can be measured. How many sentences **fit** the
# stories? `known_patterns` collects every three neighbouring words of three thousand stories, with one name for all
# names, one village for all villages, and so on; `fits` tests whether a sentence is made of these. And how many of
# 150 sentences are **different** from each other? `judged` returns both as fractions.
#
# Every setting continues the same forty openings, the first eight tokens of forty unread stories, and only
# sentences that the model wrote alone are judged. (The package's `generate` takes lists of ids.) Where do you expect
# greedy, and where temperature 2?

# %%
known = known_patterns(documents(seed=0, n=3000))
openings = [ids_of(story)[:9] for story in stories[:40]]  # <|endoftext|> and eight tokens
ways = {
    "temperature 0": {"temperature": 0},
    "temperature 0.7": {"temperature": 0.7},
    "top_k = 40": {"top_k": 40},
    "top_p = 0.9": {"top_p": 0.9},
    "everything": {},
    "temperature 2": {"temperature": 2.0},
}
texts = {"unread stories": stories[:40]}
for name, way in ways.items():
    dice.manual_seed(9)
    ids = sampling.generate(trained, openings, n_ctx - 9, generator=dice, end_of_text=end, **way)
    texts[name] = [tokenizer.decode(row) for row in ids]
results = {
    name: judged([" ".join(sentences_of(text)[1:]) for text in forty], known)
    for name, forty in texts.items()
}
right_and_different(results)

# %% [markdown]
# Greedy makes no mistakes, and about a quarter of what it writes is repeated, although the openings all differ.
# Temperature 2 never repeats itself and is mostly wrong. Here are sentences that do not fit, when sampling from
# everything:

# %%
assert results["temperature 0"][0] > 0.95 and results["temperature 0"][1] < 0.85
assert results["temperature 2"][0] < 0.3
assert min(*results["temperature 0.7"], *results["top_p = 0.9"]) > 0.95
written = [s for text in texts["everything"] for s in sentences_of(text)[1:]]
wrong = [sentence for sentence in written if not fits(sentence, known)]
print(f"{len(wrong)} of {len(written)}:", *map(repr, wrong[:6]), sep="\n")

# %% [markdown]
# A good setting comes close to the unread stories in *both* numbers. Temperature 0.7 and top_p = 0.9 do: one
# sharpens everything, the other cuts the tail. Don't take the winners for a law: this model is small, and whether
# the sentences of a story hang together is not measured. What carries over to GPT-2 are the two ends.

# %% [markdown]
# ## Challenge: min-p
#
# No check for this one. Some newer models are sampled with *min-p*: keep every token whose probability is at least m
# times that of the best one (m = 0.1, say). Write `keep_min_p(logits, m)`, and put it into `write` and into a loop
# of your own over the forty openings.
#
# What to look for: how many tokens does it keep at the places of the picture in section 6? At temperature 2, does it
# save more than top_k = 40 and top_p = 0.9 do? Does the order of temperature and filter matter, and for which of the
# three filters?

# %% [markdown]
# ## What you have
#
# `sample_next` turns scores into one token: divide by the temperature, keep the best k, take the softmax, draw.
# `generate` makes a text of that. You have built every step from text to text.
#
# Five questions on this lesson:
#
# <details><summary>1. A program fills in forms with GPT-2, and the same input must always give the same output. Which
# setting is the safest?</summary>
# Temperature 0, or top_k = 1: nothing is drawn. A low temperature still draws now and then. A fixed seed works only as
# long as everything else stays the same: the number of draws before it, the batch, the version of the library.
# </details>
# <details><summary>2. At temperature 0.5, how do the probabilities of two tokens, 0.2 and 0.1, compare?</summary>
# Their ratio is squared: it was 2 to 1 and is 4 to 1.
# </details>
# <details><summary>3. What does top_p do that top_k cannot?</summary>
# It keeps few tokens where the model is sure and many where it is not.
# </details>
# <details><summary>4. Why -inf, and not 0, for what may not be drawn?</summary>
# 0 is a score like any other, and e to the power of 0 is 1. Only -inf becomes a probability of 0.
# </details>
# <details><summary>5. Your prompt has 2,000 tokens, GPT-2's context window 1,024. What does the first new token depend
# on?</summary>
# On the last 1,024 tokens of the prompt, at positions 0 to 1,023. The first 976 have no influence.
# </details>
#
# And two on earlier ones:
#
# <details><summary>6. What is the first loss of a fresh model with V tokens, and why? (lesson 10)</summary>
# About ln V. A model that knows nothing gives each token a probability near 1/V.
# </details>
# <details><summary>7. A token is drawn and appended. Which of the earlier tokens' vectors change in the next call?
# (lesson 06)</summary>
# None, as long as the window does not move: no token attends to a later one.
# </details>
#
# **GPT-2 124M in numbers.** Its authors published samples made in three ways: from everything, with temperature 0.7,
# and with top_k = 40. This stage has no parameters. What it costs:

# %%
gpt2 = GPT2Config()
print(f"draws from {END_OF_TEXT} to a full context: {gpt2.n_ctx - 1:,}")
print(f"tokens read for them, each time all from the start: {sum(range(1, gpt2.n_ctx)):,}")

# %% [markdown]
# **Sources.** Radford et al. 2019, *Language Models are Unsupervised Multitask Learners*, section 3.6 (top_k = 2 for
# summaries); the code released with it, README (samples) and `src/sample.py`. Fan, Lewis and Dauphin 2018,
# *Hierarchical Neural Story Generation*, section 5.4 (top-k). Holtzman et al. 2019, *The Curious Case of Neural Text
# Degeneration*, section 3.1 (nucleus) and figures 1 and 4 (repetition). Min-p: Nguyen et al. 2024, *Turning Up the
# Heat*. *A robot must obey the orders given it* is from Isaac Asimov's second law, an example of Jay Alammar's *The
# Illustrated GPT-2* (2019).
#
# **Next:** the last line above. To write 1,023 tokens, the model reads more than half a million.
# [Lesson 12](12_kv_cache.ipynb) keeps what was computed for the others: the KV cache.
#
# **What you have built so far:**

# %%
my_progress()
