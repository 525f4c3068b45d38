# %% [markdown]
# # 15 · Looking inside
#
# A trained model is a million numbers, and nobody wrote any of them. **Where in there does *it* become *the robot*?
# And how would you know?**
#
# - **In:** a trained model and a text of T tokens.
# - **Out:** the attention weights of all heads, `(L, nh, T, T)`; the residual stream at every stage, `(L + 1, T, C)`;
#   what each stage would predict, `(L + 1, T, V)`.
# - **Time:** 60 minutes for the core, 110 for everything.
# - **Exercises:** `previous_token_score` ●●○○○, `mean_attention` ●●●○○ and `logit_lens` ●●○○○.
#
# Keep at hand: the [cheat sheet](../docs/cheat_sheet.md), the [glossary](../docs/glossary.md), the
# [notation](../docs/notation.md), and [what well-known explanations get wrong](../docs/common_errors.md).

# %% [markdown]
# First the tools. The line below the cell says whether `layer_norm` ([lesson 09](09_block.ipynb)) and
# `output_logits` ([lesson 10](10_output_projection.ipynb)) are yours.

# %%
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from gpt2course import check, kept_names, mine, my_progress
from gpt2course.learner import workbook
from gpt2course.config import COURSE, GPT2Config
from gpt2course.corpus import Probe, heldout_documents, probes
from gpt2course.inspection import activations, find, head_weights, without_heads
from gpt2course.lessons.looking_inside import (
    attention_lines, attention_to_play, figures, head_grid, heads_to_switch, lens_to_play,
    matrices, tower_to_play, with_course_weights,
)
from gpt2course.mine import layer_norm, output_logits
from gpt2course.model import GPT2, count_parameters
from gpt2course.weights import load_tokenizer

# %% [markdown]
# The tower once more, with the course model's weights in your `GPT2`. This lesson follows the whole way from text to
# next word. Press a block's name: its attention fans into **heads**. Press a head to switch it off, and watch the bars.
# Which one costs the kettle's verbs most?

# %%
tower_to_play(
    with_course_weights(mine.GPT2), load_tokenizer("course"),
    "Mina looked at the kettle because it", yours=kept_names(),
)

# %% [markdown]
# One sentence, one head: a hint. The lesson shows what it takes to make it a finding.

# %% [markdown]
# ## 1. A model that has learned something
#
# The **course model** is a small trained GPT-2. It has read invented village stories, in which every thing has habits: a
# robot beeps, whirs or blinks, a kettle boils. Nobody told it what *it* means. But to predict the word after *because
# it* it has to know which thing is meant. (Layers and heads are counted from 0, as in `h.0`.)

# %%
model = GPT2.from_pretrained("course").eval().requires_grad_(False)  # nothing is trained here
tokenizer = load_tokenizer("course")
L, nh, C, V = COURSE.n_layer, COURSE.n_head, COURSE.n_embd, COURSE.vocab_size
print(f"{L} layers of {nh} heads, width C = {C}, {V} tokens, {count_parameters(COURSE):,} parameters")

# %% [markdown]
# Two helpers: a text as ids `(1, T)`, and the most likely next tokens. First the sentence of lesson 05, continued so
# that the next word shows what *it* is taken for. (*blin* is a token that begins *blinks*.)

# %%
def ids_of(text: str) -> Tensor:
    """The ids of a text as a batch of one, (1, T)."""
    return torch.tensor([tokenizer.encode(text)])


def likeliest(logits: Float[Tensor, "V"], k: int = 5) -> str:
    """The most likely tokens, at most k and none below 0.5 %, as text."""
    best = logits.softmax(dim=-1).topk(k)
    pairs = zip(best.values.tolist(), best.indices.tolist())
    return " · ".join(f"{tokenizer.decode([i]).strip()} {p:.0%}" for p, i in pairs if p >= 0.005)


orders = "A robot must obey the orders given it"
for text in (orders, orders + " because it"):
    print(f"{text} …  {likeliest(model(ids_of(text))[0, -1])}")

# %% [markdown]
# Now two texts that differ in a single word. Will the predictions differ?

# %%
robot, kettle = "Mina looked at the robot because it", "Mina looked at the kettle because it"
for text in (robot, kettle):
    print(f"{text} …  {likeliest(model(ids_of(text))[0, -1])}")

# %% [markdown]
# They do. The noun's information reached the vector of *it*, and only attention moves information between positions.
#
# ### Hooks: listening without touching
#
# Every `nn.Module` accepts a **hook**: a function that is called each time the module has run, with its input and
# output. Here we listen to the attention of block 1:

# %%
caught = {}


def listen(module, inputs, output):
    caught["attention of block 1"] = output


handle = model.h[1].attn.register_forward_hook(listen)
logits = model(ids_of(robot))
handle.remove()  # stop listening
print({name: tuple(tensor.shape) for name, tensor in caught.items()})

# %% [markdown]
# `activations(model, idx)` does this for all modules, and recomputes the attention weights, which the model never stores.
# Below is what it records of one block. Which line is what the hook caught?

# %%
found = activations(model, ids_of(robot))
for name, tensor in vars(found.blocks[1]).items():
    same = tensor.shape == caught["attention of block 1"].shape and torch.equal(
        tensor, caught["attention of block 1"]
    )
    print(f"{name:11} {tuple(tensor.shape)}" + "   what the hook caught" * same)
assert torch.equal(found.logits, logits)

# %% [markdown]
# ## 2. Sixteen maps
#
# `head_weights` stacks the attention weights of all heads for one text, `(L, nh, T, T)`: a map per head, row = the token
# that reads, column = the token that is read. Here both run over *A robot must obey the orders given it*. What do the
# first rows of all maps have in common?

# %%
pieces = [tokenizer.token_bytes(i) for i in tokenizer.encode(orders)]
weights = head_weights(model, ids_of(orders))
layers, heads = [f"layer {n}" for n in range(L)], [f"head {h}" for h in range(nh)]
print(tuple(weights.shape))
head_grid(pieces, weights)

# %% [markdown]
# A single full cell: the first token can read only itself. Now look for three patterns: a line just below the diagonal
# (tokens read **the token before**), a strong first column (they read **the first token**), and a strong diagonal (they
# read **themselves**). For each, write down the head that shows it best. Ours are below; change them to yours.

# %%
by_eye = {"the token before": (0, 1), "the first token": (1, 0), "itself": (3, 2)}  # (layer, head)
print(" · ".join(f"{habit}: {figures.head_name(*head)}" for habit, head in by_eye.items()))

# %% [markdown]
# **Play with it.** Choose a layer, a head and the token that reads. Let *it* read, and find a head that gives most
# of its weight to *robot*, one to *A*, and one to *given*.

# %%
attention_to_play(model, tokenizer, orders, layer=0, head=3)

# %% [markdown]
# <details><summary>Answer, after you have tried</summary>
# <i>robot</i>: layer 0 head 3 (0.97). <i>A</i>: layer 0 head 0 (0.74). <i>given</i>: layer 1 head 2 (0.67).
# </details>
#
# One head gives *robot* 0.97, its neighbour 0.05. Among enough maps one will always look as you wish. To learn what a
# head does **as a rule**, you need a number, many sentences, and something to compare with.

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ### Deeper: 50 % robot, 30 % a, 19 % it
#
# Whether a head does what a well-known picture shows. You can skip it.

# %% [markdown]
# These numbers of lesson 05 are an illustration from Jay Alammar's *Illustrated GPT-2*, not a measurement. Here is the
# row of *it* in all sixteen heads of our model. Is there one like that?

# %%
panels = [(f"the row of it, layer {layer}", weights[layer, :, -1]) for layer in range(L)]
matrices(panels, heads, orders.split(), scale=(0.0, 1.0))

# %% [markdown]
# None. The head that gives *robot* most gives *it* and *A* next to nothing.

# %% [markdown]
# ## 3. A habit as a number
#
# First habit: reading the token before. By hand, for three tokens: token 1 gives 0.8 to token 0, and token 2 gives 0.6
# to token 1. The score is the mean.

# %%
looks_back = torch.tensor([[1.0, 0.0, 0.0], [0.8, 0.2, 0.0], [0.1, 0.6, 0.3]])
by_hand = (0.8 + 0.6) / 2
matrices([("one head, three tokens", looks_back)], ["0", "1", "2"], ["0", "1", "2"], scale=(0.0, 1.0))

# %% [markdown]
# Token 0 has none before it and is left out. Now in a loop, and then at once: `diagonal(offset=-1)` is the first
# diagonal below the main one.

# %%
n = len(looks_back)
score_by_loop = sum(looks_back[i, i - 1].item() for i in range(1, n)) / (n - 1)
line = looks_back.diagonal(offset=-1)
assert abs(score_by_loop - by_hand) < 1e-6 and abs(line.mean().item() - by_hand) < 1e-6
print(line, "mean:", round(score_by_loop, 2))

# %% [markdown]
# By default `diagonal` takes the first two axes, and in `(L, nh, T, T)` those are layers and heads: name yours with
# `dim1` and `dim2`.
#
# ## Exercise: `previous_token_score` ●●○○○ · 8 minutes
#
# For every layer and head, the mean weight that tokens 1 … T-1 give to the token right before them. In: weights
# `(L, nh, T, T)`, T at least 2. Out: `(L, nh)`. Keep the dtype, and let gradients pass.
#
# <details><summary>Hint 1</summary>
# The loop above works for all heads at once if it indexes the last two axes only:
# <code>weights[:, :, i, i - 1]</code> has shape (L, nh).
# </details>
# <details><summary>Hint 2</summary>
# Without a loop: <code>diagonal</code> with the offset from above and the axes counted from the end. The diagonal
# becomes the last axis; take the mean over it.
# </details>

# %%
def previous_token_score(weights: Float[Tensor, "L nh T T"]) -> Float[Tensor, "L nh"]:
    """For every layer and head the mean weight of tokens 1 … T-1 on the token right before them."""
    ### BEGIN SOLUTION
    return weights.diagonal(offset=-1, dim1=-2, dim2=-1).mean(dim=-1)
    ### END SOLUTION

# %%
previous_token_score = check(previous_token_score)

# %% [markdown]
# **Predict.** A head that attends *evenly* gives every token that it may read the same weight. It has no habit at
# all. What is its score on a text of 60 tokens?
#
# <details><summary>A. 0: it does not care for the token before</summary>
# It cares for it as much as for all the others, and that is not nothing: token 1 has two tokens to read and gives
# each a half.
# </details>
# <details><summary>B. 1/60</summary>
# That is the weight in the last row. Row i has only i + 1 tokens to read, so the early rows give far more to each.
# </details>
# <details><summary>C. Something between, about 0.06</summary>
# Yes: the mean of 1/2, 1/3, … 1/60. A score means something only beside this number, its <i>baseline</i>.
# </details>

# %%
def even(T: int) -> Float[Tensor, "T T"]:
    """The weights of an even head: all tokens that it may read get the same."""
    return torch.ones(T, T).tril() / torch.arange(1, T + 1)[:, None]


even_score = previous_token_score(even(60)[None, None]).item()
print(f"a head without any habit, 60 tokens: {even_score:.3f}")

# %% [markdown]
# The other two habits are the first column and the main diagonal, with the same baseline. Measure all three on the
# sentence of section 2. Rank 1 is the highest of sixteen. Did your eye read the maps correctly?

# %%
def habits_of(weights: Float[Tensor, "L nh T T"]) -> dict[str, Tensor]:
    """The mean weight of tokens 1 … T-1 on the one before, the first, and themselves, (L, nh) each."""
    return {
        "the token before": previous_token_score(weights),
        "the first token": weights[:, :, 1:, 0].mean(dim=-1),
        "itself": weights.diagonal(dim1=-2, dim2=-1)[..., 1:].mean(dim=-1),
    }


def rank(scores: Float[Tensor, "L nh"], head: tuple[int, int]) -> int:
    return int((scores > scores[head]).sum()) + 1


for habit, scores in habits_of(weights).items():
    eye = by_eye[habit]
    print(f"{habit:16} {figures.head_name(*eye)}: {scores[eye]:.2f}, rank {rank(scores, eye)} of 16")

# %% [markdown]
# Ours have rank 1, all three: nothing was misread.
#
# **Predict.** Now forty stories that the model has never read (*held out*). How many of our three heads are still the
# best at their habit?
#
# <details><summary>A. All three: a head has its habit whatever the text</summary>
# That is what a map suggests. It shows one sentence.
# </details>
# <details><summary>B. One or two</summary>
# A cautious guess, and still too high for ours.
# </details>
# <details><summary>C. None</summary>
# Yes, for ours. For yours, see below.
# </details>

# %%
stories = [ids_of(story)[:, :60] for story in heldout_documents()]
stories = [idx for idx in stories if idx.shape[1] == 60][:80]
of_stories = [habits_of(head_weights(model, idx)) for idx in stories]
stories, of_stories, on_fresh_stories = stories[:40], of_stories[:40], of_stories[40:]
print(f"{len(of_stories)} stories, and {len(on_fresh_stories)} others for later")

# %% [markdown]
# For each habit, the head chosen by eye and the best one:

# %%
names, bars, kept = [], [], 0
for habit, eye in by_eye.items():
    scores = torch.stack([one[habit] for one in of_stories]).mean(dim=0)
    again = torch.stack([one[habit] for one in on_fresh_stories]).mean(dim=0)
    best, won = figures.best_head(scores), sum(rank(one[habit], eye) == 1 for one in of_stories)
    names += [f"{habit}: {figures.head_name(*head)}, {by}" for head, by in ((eye, "by eye"), (best, "measured"))]
    bars += [scores[eye].item(), scores[best].item()]
    kept += eye == best
    print(f"{habit:16} {figures.head_name(*eye)} has rank {rank(scores, eye):2}, best in {won} of 40 stories; "
          f"best: {figures.head_name(*best)}, on 40 others {figures.head_name(*figures.best_head(again))}")
title = f"Of three heads chosen by eye, best over forty stories: {kept or 'none'}"
figures.against_chance(names, bars, [even_score] * len(bars), title)

# %% [markdown]
# **None of the three.** The eye chose L0·H1, L1·H0 and L3·H2; the measurement finds L0·H0, L1·H1 and L2·H3. The eye's
# head for *itself* comes eleventh of sixteen, and its head for *the first token* is hardly above even attention. You
# did not misread the maps. You read one sentence.
#
# That is the point of this lesson. A map shows what a head did once. Say what it **does** only after many texts, beside
# a baseline, and again on texts that it was not chosen on. (On forty other stories two of the winners win again. For
# the token before, L0·H0 and L0·H2 are too close to call.)
#
# <details><summary>Why would a model want these habits?</summary>
# A vector that knows <i>given</i> and <i>it</i> together can be found by a later layer that looks for "the word after
# <i>given</i>". And weights must sum to 1: a head that has found nothing has to put them somewhere. Large models often
# use the first token, an <i>attention sink</i> (Xiao et al. 2023, <i>Efficient Streaming Language Models with Attention
# Sinks</i>, section 3). This small one does so only a little.
# </details>
#
# ## 4. Who is *it*?
#
# A **probe** is a held-out text that ends right before a word that an earlier word decides. `find` gives the position of
# the last token, whose vector makes the prediction, and those of the deciding word. Why a *list*? See the second text.

# %%
probe = probes("it", 1)[0]
strange = Probe("it", "We saw the dinosaur because it", ("roared",), (11, 19))
for one in (probe, strange):
    place, noun = find(one, tokenizer)
    tokens = tokenizer.encode(one.text)
    print(one.text, "…  right:", ", ".join(one.answers))
    print(f"    query {place}: {tokenizer.decode([tokens[place]])!r}", end="   ")
    print(f"keys {noun}: {[tokenizer.decode([tokens[i]]) for i in noun]}")

# %% [markdown]
# How much attention does *it* pay to its noun in one probe? A word of several tokens gets the **sum** of their weights.

# %%
query, keys = find(probe, tokenizer)
of_probe = head_weights(model, ids_of(probe.text))
one_probe = torch.zeros_like(of_probe[:, :, query, 0])  # (L, nh), of the same dtype
for key in keys:
    one_probe += of_probe[:, :, query, key]
matrices([("from it to its noun, one probe", one_probe)], layers, heads, scale=(0.0, 1.0))

# %% [markdown]
# ## Exercise: `mean_attention` ●●●○○ · 12 minutes
#
# The same for many sentences: for every layer and head, their mean. They differ in length, so `weights` is a *list* of
# tensors `(L, nh, T, T)`, each with its own T. `queries[s]` is the position that reads in sentence s, `keys[s]` the
# list of positions that are read. Sum over the keys, then average over the sentences. Out: `(L, nh)`; keep the dtype.
#
# The trap is the order of sum and mean: a word of three tokens counts once, not three times.
#
# <details><summary>Hint 1</summary>
# <code>zip(weights, queries, keys)</code> walks through the three lists together.
# </details>
# <details><summary>Hint 2</summary>
# A list is an index too: <code>sentence[:, :, query, positions]</code> has shape (L, nh, number of positions).
# </details>
# <details><summary>Hint 3</summary>
# After the sum each sentence leaves (L, nh), whatever its length. These can be stacked.
# </details>

# %%
def mean_attention(
    weights: list[Float[Tensor, "L nh _ _"]], queries: list[int], keys: list[list[int]]
) -> Float[Tensor, "L nh"]:
    """The weight from one position to a word (summed over its tokens), a mean over sentences."""
    ### BEGIN SOLUTION
    found = [
        sentence[:, :, query, positions].sum(dim=-1)
        for sentence, query, positions in zip(weights, queries, keys, strict=True)
    ]
    return torch.stack(found).mean(dim=0)
    ### END SOLUTION

# %%
mean_attention = check(mean_attention)

# %% [markdown]
# Fifty short probes, and the one from above as a test:

# %%
questions = [p for p in probes("it", 400) if len(p.text) < 170][:50]
places = [find(p, tokenizer) for p in questions]
queries, nouns = [q for q, _ in places], [k for _, k in places]
maps = [head_weights(model, ids_of(p.text)) for p in questions]

apart = (mean_attention([of_probe], [query], [keys]) - one_probe).abs().max().item()
assert apart < 1e-6, f"mean_attention differs from the loop by {apart}; check it again"
print(f"one probe: differs from the loop by {apart:.0e}")
print(f"{len(maps)} maps, for texts of {min(queries) + 1} to {max(queries) + 1} tokens")

# %% [markdown]
# A head may look at nouns whichever token asks. So take two baselines: even attention, and the same head asked from the
# token before *it* (*because*, *when*).

# %%
from_it = mean_attention(maps, queries, nouns)
from_before = mean_attention(maps, [q - 1 for q in queries], nouns)
even_maps = [even(m.shape[-1])[None, None] for m in maps]
even_to_noun = mean_attention(even_maps, queries, nouns).item()
print(f"even attention would give the noun {even_to_noun:.3f}")
matrices([("from it", from_it), ("from the token before it", from_before)], layers, heads, scale=(0.0, 1.0))

# %% [markdown]
# From *it* one head stands out; from the token before, it does not. (Another does: that token has to choose between *it*
# and *they*.) The head was chosen on these fifty texts, so score it once more on fifty others:

# %%
layer_of_it, head_of_it = figures.best_head(from_it)
weight, before = from_it.max().item(), from_before[layer_of_it, head_of_it].item()
assert weight > 5 * even_to_noun
print(f"layer {layer_of_it}, head {head_of_it}: {weight:.0%} of its weight goes from it to the noun")
print(f"even attention: {even_to_noun:.0%};   the same head, from the token before it: {before:.0%}")

fresh = [p for p in probes("it", 400) if len(p.text) < 170][50:100]
fresh_queries, fresh_nouns = zip(*(find(p, tokenizer) for p in fresh))
fresh_maps = [head_weights(model, ids_of(p.text)) for p in fresh]
on_fresh = mean_attention(fresh_maps, [*fresh_queries], [*fresh_nouns])[layer_of_it, head_of_it]
print(f"the same head, on {len(fresh)} probes that it was not chosen on: {on_fresh:.0%}")

# %% [markdown]
# Where does it look in our own sentence?

# %%
robot_pieces = [tokenizer.token_bytes(i) for i in tokenizer.encode(robot)]
seen = head_weights(model, ids_of(robot))[layer_of_it, head_of_it]
attention_lines(robot_pieces, seen, query=6, title=f"layer {layer_of_it}, head {head_of_it}")

# %% [markdown]
# **Predict.** What have we shown so far?
#
# <details><summary>A. That this head is how the model knows what <i>it</i> refers to</summary>
# It is tempting, and it may be true. But a weight says where a head <i>looks</i>. Whether anything later uses what it
# brings, no map can say.
# </details>
# <details><summary>B. That this head looks at the noun, far more than chance</summary>
# Yes: on held-out texts, and mostly when it is asked from <i>it</i>. That is a habit, measured. What it is good for is
# the next question.
# </details>
# <details><summary>C. Nothing, since every head has to look somewhere</summary>
# It has to, but not there: even attention would give the noun a small weight. The baseline tells a habit from nothing.
# </details>
#
# ## 5. A weight is not a cause
#
# To find out what a head is good for, remove it and see what is lost. This is called an **ablation**. The heads of a
# block are side by side in the input of `c_proj` (`merge_heads`, [lesson 07](07_multi_head.ipynb)). A *pre*-hook is
# called before a module runs and may replace its input. This one sets one head's columns to zero:

# %%
hs = C // nh


def silence(head: int):
    """A hook that sets one head's result to zero."""
    def zeros(module, inputs):
        side_by_side = inputs[0].clone()
        side_by_side[..., head * hs : (head + 1) * hs] = 0
        return (side_by_side,)
    return zeros


handle = model.h[layer_of_it].attn.c_proj.register_forward_pre_hook(silence(head_of_it))
silenced = model(ids_of(robot))[0, -1]
handle.remove()
print("whole:  ", likeliest(logits[0, -1]))
print("without:", likeliest(silenced))

# %% [markdown]
# `without_heads(model, [(layer, head), …])` does the same inside a `with` block. One sentence is an anecdote, so take all
# fifty probes, padded at the end to one length. (The mask hides the padding from everything before it.)

# %%
def batch_of(questions: list[Probe]) -> tuple[Tensor, Tensor, Tensor]:
    """Ids (N, longest), the last position of each text (N), and the right words (N, V)."""
    texts = [ids_of(p.text)[0] for p in questions]
    right = torch.zeros(len(texts), V, dtype=torch.bool)
    for marks, p in zip(right, questions):
        marks[[tokenizer.encode(" " + answer)[0] for answer in p.answers]] = True
    last = torch.tensor([len(ids) - 1 for ids in texts])
    return nn.utils.rnn.pad_sequence(texts, batch_first=True), last, right


def next_probs(model: GPT2, batch: Tensor, last: Tensor) -> Float[Tensor, "N V"]:
    """The probabilities after the last token of each text."""
    return model(batch)[torch.arange(len(batch)), last].softmax(dim=-1)


def right_share(model: GPT2, batch: Tensor, last: Tensor, right: Tensor) -> float:
    """The probability of right words, a mean over the probes."""
    return (next_probs(model, batch, last) * right).sum(dim=-1).mean().item()

# %% [markdown]
# Remove each of the sixteen heads, one at a time. Which will be missed most?

# %%
def lost_without(measure, *asked: Tensor) -> Float[Tensor, "L nh"]:
    """How much of a measure such as right_share is lost without each head."""
    lost = torch.zeros(L, nh)
    for layer in range(L):
        for head in range(nh):
            with without_heads(model, [(layer, head)]):
                lost[layer, head] = measure(model, *asked)
    return measure(model, *asked) - lost


asked_it = batch_of(questions)
lost_it = lost_without(right_share, *asked_it)
print(f"the whole model: {right_share(model, *asked_it):.1%} of the probability goes to right words")
matrices([("lost without the head", lost_it)], layers, heads)

# %% [markdown]
# The head that looks at the noun is the one that is missed. But L0·H0 gives the noun 46 % of its weight, and nothing is
# lost without it. And why is only 0.38 lost without L0·H3? Remove several at once:

# %%
later = [(layer, head) for layer in range(1, L) for head in range(nh)]
taken_out = {
    "nothing": [],
    "L0·H0": [(0, 0)],
    "L0·H3": [(0, 3)],
    "L0·H0 and L0·H3": [(0, 0), (0, 3)],
    "all heads of layers 1 to 3": later,
}
for name, heads_out in taken_out.items():
    with without_heads(model, heads_out):
        print(f"without {name:27} right words get {right_share(model, *asked_it):.3f}")

# %% [markdown]
# - **Two heads bring the same.** While L0·H3 is there, L0·H0 is not missed. Without both, right words get 0.04.
#   Ablating one head shows only what no other head covers.
# - **Later heads are not needed here:** layer 0 has already brought the noun.
# - **Zeros are unusual input**, which may cost something too. Careful work uses a head's mean over many texts.
#
# **Play with it.** Switch heads off. The bars are what is left; dashed frames are the whole model.
#
# 1. Make it forget the robot with one switch. Does it then predict the verbs of another thing?
# 2. Is the kettle forgotten as well? If not, which second switch does it?

# %%
heads_to_switch(model, tokenizer, [robot, kettle, orders + " because it"])

# %% [markdown]
# <details><summary>Answers, after you have tried</summary><ol>
# <li>L0·H3. The robot's three verbs fall from 99 % to 3 % together, and no other thing takes over: the most likely
# token has 3 %.</li>
# <li>No. Without L0·H3 the kettle's verbs keep 31 %, and <i>whistled</i> still leads with 15 %: here L0·H0 brings enough
# of the noun. Switch that off too, and 5 % are left. One sentence would have taught you "a single head does it", the
# other "it does not".</li>
# </ol></details>

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ### Deeper: the head that looks is not the head that is missed
#
# A second kind of probe, *was* or *were*, where the two heads differ, and all heads in one picture. You can skip it.

# %% [markdown]
# In **agreement** probes, *The robot near the kettles …* continues with *was*, and *The robots near the kettle …* with
# *were*. The subject decides, and a noun of the other number comes in between. Two things can go wrong, so there are
# two measures: does the model predict *was* or *were* at all, and if so, **the right one of the two**? Only the second
# depends on the subject.

# %%
two = [tokenizer.encode(word)[0] for word in (" was", " were")]


def either_of_two(model: GPT2, batch: Tensor, last: Tensor, right: Tensor) -> float:
    """The probability of was and were together, a mean over the probes."""
    return next_probs(model, batch, last)[:, two].sum(dim=-1).mean().item()


def right_of_two(model: GPT2, batch: Tensor, last: Tensor, right: Tensor) -> float:
    """Of the probability of was and were, the part of the right one, a mean over the probes."""
    probs = next_probs(model, batch, last)
    return ((probs * right).sum(dim=-1) / probs[:, two].sum(dim=-1)).mean().item()

# %% [markdown]
# Both for the whole model, then without the head that looks most at the subject, then without the one whose loss
# harms the number most:

# %%
others = [p for p in probes("agreement", 400) if len(p.text) < 170][:50]
ends, subjects = zip(*(find(p, tokenizer) for p in others))
maps_of_others = [head_weights(model, ids_of(p.text)) for p in others]
from_end = mean_attention(maps_of_others, [*ends], [*subjects])
asked_number = batch_of(others)
lost_number = lost_without(right_of_two, *asked_number)
looks, missed = figures.best_head(from_end), figures.best_head(lost_number)
for heads_out in ([], [looks], [missed]):
    with without_heads(model, heads_out):
        at_all, right_one = either_of_two(model, *asked_number), right_of_two(model, *asked_number)
    name = "".join(f"without {figures.head_name(*at)} (weight {from_end[at]:.2f})" for at in heads_out)
    print(f"{name or 'the whole model':28} was or were: {at_all:.2f}   the right one of the two: {right_one:.2f}")

# %% [markdown]
# The head that gives the subject most of its weight can go, and nothing is lost. The head that is missed most gives
# the subject next to nothing. Where does it look, and what does the model predict without it?

# %%
preposition = mean_attention(maps_of_others, [*ends], [[end - 2] for end in ends])[missed]
print(f"{figures.head_name(*missed)} gives {preposition:.0%} of its weight to the token two back: near, behind, …")
for p in others[1:5]:
    with without_heads(model, [missed]):
        print(f"… {p.text.split('. ')[-1]} …  {likeliest(model(ids_of(p.text))[0, -1], 4)}")

# %% [markdown]
# After *near the pigs* the place is complete, and now comes the verb. Without this head the model predicts *had*,
# *moved*, *of*, and a second *near* or *behind*. **What is lost is mostly that *was* or *were* comes at all, and less
# which of the two.** The probability of the right word alone would have looked as if the number were forgotten.
#
# All heads, for each question: those that look at the deciding word are on the right, those that are missed are high
# up. If looking were the same as mattering, the points would lie on a rising line.

# %%
figures.weight_and_effect({
    "after it: a verb of its noun": (from_it, lost_it),
    "was or were: the right one of the two": (from_end, lost_number),
})

# %% [markdown]
# And several at once, for the second question:

# %%
for name, heads_out in {"L1·H3, L2·H1 and L3·H3": [(1, 3), (2, 1), (3, 3)], **taken_out}.items():
    with without_heads(model, heads_out):
        print(f"without {name:27} the right word gets {right_share(model, *asked_number):.3f}")

# %% [markdown]
# The three heads that look most at the subject can go together, and so can all of layers 1 to 3. They look, and nothing
# depends on it.

# %% [markdown]
# ## 6. The logit lens
#
# Attention maps show where a position looks. What has its vector *become*? `found.stream` has the residual stream at
# every stage: before block 0, and after each block. The last stage is made for output: the final LayerNorm (`ln_f`),
# then a dot product with every row of `wte`. By hand for the last token:

# %%
stream = torch.stack(found.stream)[:, 0]  # (S, T, C), of the only text in the batch
ln_f, wte = model.ln_f, model.wte.weight
x = layer_norm(stream[-1, -1], ln_f.weight, ln_f.bias)
apart = (x @ wte.T - logits[0, -1]).abs().max().item()
assert apart < 1e-4, f"differs from the model's logits by {apart}; check layer_norm in lesson 09"
print(f"{len(stream)} stages; the last predicts {likeliest(x @ wte.T)}")

# %% [markdown]
# All stages have the same width, so ask an earlier one: **if the model ended here, what would it
# predict?** This is called the **logit lens**.
#
# **Predict.** Before block 0 a vector is its token's embedding plus its position's. What does the lens predict there,
# after *it*?
#
# <details><summary>A. The word that most often follows <i>it</i></summary>
# That would need something that has learned what follows; so far there was only a lookup. (A bigram model,
# lesson 01, has such a table. Here one embedding matrix is used at both ends.)
# </details>
# <details><summary>B. <i>it</i> itself</summary>
# Yes, mostly. A row of wte went in and is compared with all rows of wte, and no other is as similar to it. The blocks
# have to change "what I am" into "what comes next".
# </details>
# <details><summary>C. Every word alike, since nothing has been computed</summary>
# The vector is not empty: it holds the token. Equal logits would need a vector that resembles none.
# </details>

# %%
lens_by_loop = torch.stack([layer_norm(stage, ln_f.weight, ln_f.bias) @ wte.T for stage in stream])
for name, scores in zip(figures.stage_names(L + 1), lens_by_loop[:, -1]):
    print(f"{name:15} {likeliest(scores, 3)}")

# %% [markdown]
# ## Exercise: `logit_lens` ●●○○○ · 8 minutes
#
# Apply the final LayerNorm and the output matrix at every stage, the last one too. In: `stream` `(S, T, C)`, `weight`
# and `bias` of the LayerNorm `(C)` (its eps is 1e-5), `wte` `(V, C)`. Out: logits `(S, T, V)`. Keep the dtype, and let
# gradients pass to all four.
#
# <details><summary>Hint 1</summary>
# <code>layer_norm(x, weight, bias)</code> of lesson 09 works on the last axis, whatever axes come before it.
# </details>
# <details><summary>Hint 2</summary>
# <code>output_logits(x, wte)</code> of lesson 10 takes (B, T, C). It does not care that the first axis counts stages here.
# </details>

# %%
def logit_lens(
    stream: Float[Tensor, "S T C"],
    weight: Float[Tensor, "C"],
    bias: Float[Tensor, "C"],
    wte: Float[Tensor, "V C"],
) -> Float[Tensor, "S T V"]:
    """What the model would predict if it ended here, at every stage of the residual stream."""
    ### BEGIN SOLUTION
    return output_logits(layer_norm(stream, weight, bias), wte)
    ### END SOLUTION

# %%
logit_lens = check(logit_lens)

# %% [markdown]
# The whole sentence through the lens. Read each column from bottom to top: at which stage does it settle?

# %%
lens = logit_lens(stream, ln_f.weight, ln_f.bias, wte)
apart = max((lens - lens_by_loop).abs().max().item(), (lens[-1] - logits[0]).abs().max().item())
assert apart < 1e-4, f"logit_lens differs from the loop, or the model, by {apart}; check it again"
print(f"differs from the loop, and from the model at the last stage, by at most {apart:.0e}")
for part, rows_of in {"token": found.tokens[0], "position": found.positions}.items():
    print(f"norm of the {part + ':':10}", [round(norm, 1) for norm in rows_of.norm(dim=-1).tolist()])
figures.lens_table(tokenizer.encode(robot), lens, tokenizer.token_bytes)

# %% [markdown]
# <details><summary>Why does the lens not find <i>Mina</i> in <i>Mina</i> before block 0?</summary>
# There, and only there, the position's embedding has a larger norm than the token's (the two lines above the table).
# </details>
#
# Most settle in the first block. But early stages were never trained to be read this way, so the lens may see late
# what has been there for long.
#
# **Before you go:** in another model you find a head that puts 90 % of its weight, from every closing bracket, on the
# bracket that it closes. What do you do next?
#
# <details><summary>A. Write that the model counts brackets with this head</summary>
# Perhaps. So far you know where it looks.
# </details>
# <details><summary>B. Look at more heads until the picture is complete</summary>
# More maps are more of the same kind of evidence: where heads look.
# </details>
# <details><summary>C. Compare with even attention, then remove it and see whether brackets go wrong</summary>
# Yes. First whether 90 % is much (if the bracket is mostly two tokens back, it may not be), then whether the model needs
# it.
# </details>

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ### Deeper: where is the verb decided?
#
# The lens on fifty probes, and one to play with. You can skip it.

# %% [markdown]
# On the fifty probes: the probability of right words, and how often the token just read is predicted.

# %%
batch, last, right = asked_it
stages = activations(model, batch).stream  # S times (50, longest, C)
all_lenses = [logit_lens(stage, ln_f.weight, ln_f.bias, wte) for stage in stages]
rows = torch.arange(len(batch)), last
right_words = [(scores[rows].softmax(-1) * right).sum(-1).mean().item() for scores in all_lenses]
real = torch.arange(batch.shape[1]) <= last[:, None]  # not the padding
echoes = [(s.argmax(-1) == batch)[real].float().mean().item() for s in all_lenses]
by_stage = {"right words after it": right_words, "predicts the token just read": echoes}
figures.stage_lines(by_stage, "From “what I am” to “what comes next”", "probability, or fraction of tokens")

# %% [markdown]
# Right words rise most along block 0, where the two heads read the noun, and along block 3. Attention is not needed for
# the second rise: without any head of layers 1 to 3 right words still got 0.991. Either the MLPs suffice, or the lens
# sees late what has been there for long.
#
# **Play with it.** Choose the text with the bank. At which stage do the words of a river bank lead?

# %%
river_bank = "It was a warm Monday in Oakham. By the river the bank was"
lens_to_play(model, tokenizer, [robot, orders + " because it", river_bank])

# %% [markdown]
# <details><summary>Answer, after you have tried</summary>
# After block 0 <i>slippery</i> leads, but with 5 %; the three adjectives of a river bank have about half of the
# probability after block 2, and nearly all after block 3.
# </details>

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ### Deeper: the lens without its LayerNorm
#
# A mistake that hardly shows in a table of words, and clearly in the loss. You can skip it.

# %% [markdown]
# The stream itself is never normalised (pre-norm, lesson 09); each block and the output normalise what they read. What
# if the lens leaves that out, at the very last stage? On the forty stories: how often is the most likely token still
# the model's own, and what is the loss, in nats per token? Predict both.

# %%
idx = torch.cat(stories)  # (40, 60)
last_stage = activations(model, idx).stream[-1]
with_norm = logit_lens(last_stage, ln_f.weight, ln_f.bias, wte)
without_norm = output_logits(last_stage, wte)
same = (with_norm.argmax(-1) == without_norm.argmax(-1)).float().mean()
normalised = layer_norm(last_stage, ln_f.weight, ln_f.bias)
print(f"most likely token unchanged at {same:.0%} of positions")
print(f"standard deviation of the vectors: {normalised.std():.1f} with LayerNorm, {last_stage.std():.1f} without")
for name, scores in (("with", with_norm), ("without", without_norm)):
    loss = F.cross_entropy(scores[:, :-1].flatten(0, 1), idx[:, 1:].flatten())
    print(f"loss {name:7} LayerNorm: {loss:.2f}")

# %% [markdown]
# The same token nearly everywhere, and yet a much larger loss. Larger vectors give larger logits, and the softmax is
# then too confident, also where it is wrong. There is no error, and a table of likely words shows next to nothing.

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: one word, two contexts
#
# The vectors of *bank* and *bank*, stage by stage. You can skip it.

# %% [markdown]
# [Lesson 03](03_embeddings.ipynb) gave each token one embedding: the *bank* of a river and the *bank* with money begin
# as the same vector. The corpus has four such words, *bank*, *spring*, *ring* and *note*, each sense with adjectives of
# its own. Does the model tell them apart?

# %%
monday, friday = "It was a warm Monday in Oakham.", "It was a windy Friday in Oakham."
SCENES = {
    "bank": ("By the river", "In the town"),
    "spring": ("Inside the clock", "After the winter"),
    "ring": ("On her finger", "At the circus"),
    "note": ("On the piano", "Under the door"),
}
for word, scenes in SCENES.items():
    for scene in scenes:
        asked = f"{monday} {scene} the {word} was"
        print(f"{scene + ' the ' + word:27} was …  {likeliest(model(ids_of(asked))[0, -1], 3)}")

# %% [markdown]
# It does. The two texts of a pair have equally many tokens, so the words have equal positions, and
# before block 0 the vectors must be equal to the last digit. After it, which will differ more: the vector of *bank*,
# or that of *was*, the same word in both?

# %%
def rows_at(text: str, position: int) -> Float[Tensor, "S C"]:
    """The vector of one token at every stage of the stream."""
    return torch.stack(activations(model, ids_of(text)).stream)[:, 0, position]


pair = [f"{monday} {scene} the bank was" for scene in SCENES["bank"]]
assert len({ids_of(text).shape for text in pair}) == 1
for word, position in (("bank", -2), ("was", -1)):
    river, town = (rows_at(text, position) for text in pair)
    cosines_of = [round(c, 2) for c in F.cosine_similarity(river, town, dim=-1).tolist()]
    print(f"{word:5} equal before block 0: {torch.equal(river[0], town[0])}; cosine by stage: {cosines_of}")

# %% [markdown]
# Is a fall to 0.9 much? Compare with the same sense in another story (another opening of equal length). Mean over the
# four words:

# %%
def cosines(position: int, openings: tuple, senses: tuple) -> list[float]:
    """Cosine between two contexts at every stage, a mean over the four words."""
    pairs = [[rows_at(f"{o} {scenes[s]} the {word} was", position) for o, s in zip(openings, senses)]
             for word, scenes in SCENES.items()]
    return torch.stack([F.cosine_similarity(a, b, dim=-1) for a, b in pairs]).mean(dim=0).tolist()


contexts = {
    "was, other sense": cosines(-1, (monday, monday), (0, 1)),
    "was, other story": cosines(-1, (monday, friday), (0, 0)),
    "the word, other sense": cosines(-2, (monday, monday), (0, 1)),
    "the word, other story": cosines(-2, (monday, friday), (0, 0)),
}
title = "The vector of was parts by sense, that of the word hardly does"
figures.stage_lines(contexts, title, "cosine between the two vectors")

# %% [markdown]
# Another *story* hardly moves any vector. Another *sense* moves *was* most, down to 0.58, and the word itself hardly. The
# difference appears where something different has to be predicted: *bank* may stay nearly *bank*, but *was* must
# choose between *steep* and *closed*. (Source: Ethayarajh 2019, *How Contextual are Contextualized Word
# Representations?*, section 4.)

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: is it training?
#
# The same measures for random weights, and for your own. You can skip it.

# %% [markdown]
# Compare with a model of random weights, and with your own from [lesson 13](13_training.ipynb), if it is in your
# workbook. What do you expect of the random one?

# %%
torch.manual_seed(0)
models = {"untrained": GPT2(COURSE).eval().requires_grad_(False), "course": model}
own = workbook.folder() / "trained"
if (own / "config.json").exists() and load_tokenizer(own).encode(robot) == tokenizer.encode(robot):
    yours = GPT2.from_pretrained(own).eval().requires_grad_(False)
    if yours.config.n_ctx >= asked_it[0].shape[1]:  # the probes fit
        models["yours"] = yours
print("your model is here" if "yours" in models else "no model of yours to compare with: lesson 13 makes one")

# %% [markdown]
# The same measures for each, on the fifty probes:

# %%
row = "{:10}  {:>17}  {:>12}  {:>20}"
print(row.format("", "it → noun", "token before", "right words after it"))
for name, any_model in models.items():
    its_maps = [head_weights(any_model, ids_of(p.text)) for p in questions]
    to_noun = mean_attention(its_maps, queries, nouns)
    back = torch.stack([previous_token_score(m) for m in its_maps]).mean(dim=0)
    best_noun = f"{to_noun.max():.2f} ({figures.head_name(*figures.best_head(to_noun))})"
    print(row.format(name, best_noun, f"{back.max():.2f}", f"{right_share(any_model, *asked_it):.1%}"))
even_back = torch.stack([previous_token_score(m) for m in even_maps]).mean().item()
print(row.format("even", f"{even_to_noun:.2f}", f"{even_back:.2f}", ""))

# %% [markdown]
# Random weights attend nearly evenly and know no verbs. All that you have seen was made by training on the next token.
#
# <details><summary>Why do right words get less here than the right answers of lesson 13?</summary>
# It is another measure. Lesson 13 counted how often the <i>most likely</i> token was right. Here it is the
# <i>probability</i> that all right words have together, which is lower for the same model.
# </details>

# %% [markdown]
# ## Challenge: induction heads
#
# No check for this one. Repeat a row of random tokens: *a b c d … a b c d …*. At the second *b* an **induction head**
# reads the token *after* the first *b* and copies it. Score every head: the mean weight from each token of the second
# half to the token after its first occurrence, beside even attention; and compare the loss of both halves.
#
# What to look for: we found none in the course model, and its second half is no easier than its first. Then take the
# released GPT-2 (`GPT2.from_pretrained("gpt2")`, a download of 548 MB). In which layers are they? Which heads of earlier
# layers read the token before, and what happens to the induction heads without those? (Olsson et al. 2022, *In-context
# Learning and Induction Heads*.)

# %% [markdown]
# ## What you have
#
# A weight says where a head looks, a score over many texts beside a baseline makes it a habit, and an ablation says
# whether it matters. The logit lens reads the residual stream at every stage.
#
# Five questions on this lesson:
#
# <details><summary>1. You see a clear pattern in one map. What is missing before you may call it the head's habit?</summary>
# A score, many texts, a baseline such as even attention, and fresh texts that the head was not chosen on.
# </details>
# <details><summary>2. Why is the baseline for the token before not 0?</summary>
# An even head gives every token that it may read a weight of 1/(i + 1), the token before among them.
# </details>
# <details><summary>3. A head gives a noun 46 % of its weight, and removing it costs nothing. Name two reasons.</summary>
# Another head brings the same, or nothing later needs it any more.
# </details>
# <details><summary>4. What does the logit lens do, and why can it mislead?</summary>
# It puts each stage through the final LayerNorm and the output matrix. Early stages were not trained to be read like
# that, so it may see late what has been there for long.
# </details>
# <details><summary>5. What is the difference between a hook and a pre-hook?</summary>
# A hook runs after its module and sees the output; a pre-hook runs before it and can replace the input. That is how a
# head is ablated.
# </details>
#
# And two on earlier ones:
#
# <details><summary>6. Which columns of <code>c_proj</code>'s input belong to head h? (lesson 07)</summary>
# <code>h·hs</code> to <code>(h+1)·hs</code>: <code>merge_heads</code> puts the heads side by side.
# </details>
# <details><summary>7. Why can all stages of the stream be compared at all? (lesson 09)</summary>
# The residual connection: each half of a block adds to the stream, so its width and meaning carry on.
# </details>
#
# **GPT-2 124M in numbers**, for a text of 1024 tokens:

# %%
gpt2, n_tokens = GPT2Config(), 1024
n_maps, n_stages = gpt2.n_layer * gpt2.n_head, gpt2.n_layer + 1
print(f"maps: {n_maps}, with {n_maps * n_tokens * (n_tokens + 1) // 2:,} unmasked weights")
print(f"stages of the stream: {n_stages}, each {n_tokens} × {gpt2.n_embd}")
print(f"the lens of all of it: {n_stages * n_tokens * gpt2.vocab_size * 4 / 1e9:.1f} GB of float32")
print("parameters of this lesson: 0; it only looks")

# %% [markdown]
# **Sources.** Clark et al. 2019, *What Does BERT Look At?*, sections 3 and 4; Jain and Wallace 2019, *Attention is not
# Explanation*; Michel et al. 2019, *Are Sixteen Heads Really Better than One?*, section 3; nostalgebraist 2020,
# *interpreting GPT: the logit lens*; Belrose et al. 2023, *Eliciting Latent Predictions from Transformers with the Tuned
# Lens*; Jay Alammar 2019, *The Illustrated GPT-2* (the sentence and its percentages).
#
# **Next:** GPT-2 is built, trained and looked into. The same parts do other work too: with the mask off they fill in
# hidden words, [lesson 16, BERT and GPT](16_bert_and_gpt.ipynb).
#
# **What you have built so far:**

# %%
my_progress()
