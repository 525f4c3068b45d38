# %% [markdown]
# # 15 · Looking inside
#
# A trained model is a list of numbers, and nobody wrote any of them. Ask it for the next word and it gives
# one. **Where in there does *it* become *the robot*? And how would you know?**
#
# - **In:** a trained model and a text of T tokens.
# - **Out:** what the model computes on the way: the attention weights of all layers and heads,
#   `(L, nh, T, T)`; the residual stream, `(L + 1, T, C)`; and what each of its stages would say,
#   `(L + 1, T, V)`.
# - **Time:** about 120 minutes. Three exercises: `previous_token_score`, `mean_attention` and `logit_lens`.

# %% [markdown]
# First the tools. `layer_norm` (lesson 09) and `output_logits` (lesson 10) are yours if you have passed them;
# the line below the cell says whose they are.

# %%
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from gpt2course import check
from gpt2course.learner import workbook
from gpt2course.config import COURSE, GPT2Config
from gpt2course.corpus import Probe, heldout_documents, probes
from gpt2course.inspection import activations, find, head_weights, without_heads
from gpt2course.lessons.looking_inside import (
    attention_lines, attention_to_play, figures, head_grid, heads_to_switch, lens_to_play,
    matrices, pipeline,
)
from gpt2course.mine import layer_norm, output_logits
from gpt2course.model import GPT2, count_parameters
from gpt2course.weights import load_tokenizer

# %% [markdown]
# No box is lit this time: the lesson is about the whole road from text to next word, with the lid off.

# %%
pipeline("15_looking_inside")

# %% [markdown]
# ## 1. A model that has learned something
#
# The course comes with a small trained GPT-2, the **course model**. It has read a few megabytes of
# invented village stories, in which every thing has habits of its own: a robot beeps, whirs or blinks, a
# kettle boils, an owl hoots. Nobody told it what *it* means. But whoever wants to guess the word after
# *because it* in these stories has to know which thing is meant.

# %%
model = GPT2.from_pretrained("course").eval().requires_grad_(False)  # nothing is trained here
tokenizer = load_tokenizer("course")
L, nh, C, V = COURSE.n_layer, COURSE.n_head, COURSE.n_embd, COURSE.vocab_size
print(f"{L} layers of {nh} heads, width C = {C}, {V} tokens, {count_parameters(COURSE):,} parameters")

# %% [markdown]
# Two small helpers: a text as ids `(1, T)`, and the likeliest next words. Our first sentence is that of
# lesson 05 (a capital A, as in the stories), led on to a word that shows what *it* is taken for. Which words
# do you expect? (A token may be a piece of a word, as in lesson 02: *blin* is how *blinks* begins here. A comma is a
# token too.)

# %%
def ids_of(text: str) -> Tensor:
    """The ids of a text as a batch of one, (1, T)."""
    return torch.tensor([tokenizer.encode(text)])


def likeliest(logits: Float[Tensor, "V"], k: int = 5) -> str:
    """The likeliest tokens, at most k and none below 0.5 %, as text."""
    best = logits.softmax(dim=-1).topk(k)
    pairs = zip(best.values.tolist(), best.indices.tolist())
    return " · ".join(f"{tokenizer.decode([i]).strip()} {p:.0%}" for p, i in pairs if p >= 0.005)


orders = "A robot must obey the orders given it"
for text in (orders, orders + " because it"):
    print(f"{text} …  {likeliest(model(ids_of(text))[0, -1])}")

# %% [markdown]
# And two texts in the past tense that differ in a single word, two places before *it*. The last word that is
# read, *it*, is the same in both. Are the answers?

# %%
robot, kettle = "Mina looked at the robot because it", "Mina looked at the kettle because it"
for text in (robot, kettle):
    print(f"{text} …  {likeliest(model(ids_of(text))[0, -1])}")

# %% [markdown]
# The noun is what changed, so the noun reached the row of *it*, and only attention carries anything from one
# row to another. Somewhere in there is the place.
#
# ### A hook: listening without touching
#
# How does one get at numbers in the middle of a model? Every `nn.Module` lets you leave a function
# with it, a **hook**, that is called each time after the module has run, with what went in and what came out.
# Nothing in the model's code changes. Here we listen to the attention of block 1 for one call:

# %%
caught = {}


def listen(module, inputs, output):
    caught["attention of block 1"] = output


handle = model.h[1].attn.register_forward_hook(listen)
logits = model(ids_of(robot))
handle.remove()  # stop listening
print({name: tuple(tensor.shape) for name, tensor in caught.items()})

# %% [markdown]
# `activations(model, idx)` of the package does this for all modules at once. It also computes the weights
# again from the queries and keys, since the fast attention inside the model never holds them. Below is all
# that it has of one block; find what the hook caught.

# %%
found = activations(model, ids_of(robot))
assert torch.equal(found.blocks[1].attn_out, caught["attention of block 1"])
assert torch.equal(found.logits, logits)
for name, tensor in vars(found.blocks[1]).items():
    print(f"{name:11} {tuple(tensor.shape)}")

# %% [markdown]
# ## 2. Sixteen maps
#
# `head_weights` stacks the weights of all layers and heads for one text. `(L, nh, T, T)`: for each layer and
# head a map, row = the token that reads, column = the one that is read. What does every map have in its
# first row?

# %%
pieces = [tokenizer.token_bytes(i) for i in tokenizer.encode(orders)]
weights = head_weights(model, ids_of(orders))
assert torch.equal(weights[2, 3], activations(model, ids_of(orders)).blocks[2].weights[0, 3])
print(tuple(weights.shape))
head_grid(pieces, weights)

# %% [markdown]
# A single yellow cell: the first token can read nothing but itself. Beyond that, each head has a manner of
# its own. Look for three shapes: a line just below the diagonal (tokens read the one before; layer 0 head 1 comes
# nearest), a bright first column (they read the first token; layer 1 head 0), a bright diagonal (they stay with
# themselves; layer 3 head 2). None of the three is clean, and most maps have no simple shape.
#
# Take your time with the next one: choose a layer and a head, then a token that reads. (The buttons can be
# reached with the Tab key, the slider moves with the arrow keys.)

# %%
attention_to_play(model, tokenizer, orders, layer=0, head=3)

# %% [markdown]
# ### 50 % robot, 30 % a, 19 % it
#
# In lesson 05 *it* took 50 % of *robot*, 30 % of *a* and 19 % of itself. Those numbers were quoted, from one
# layer of another, larger model. Here is the row of *it*, the last token of our sentence, in all sixteen heads of
# ours. Is there one like that?

# %%
words = orders.split()
heads = [f"head {h}" for h in range(nh)]
panels = [(f"the row of it, layer {layer}", weights[layer, :, -1]) for layer in range(L)]
matrices(panels, heads, words, scale=(0.0, 1.0))

# %% [markdown]
# Sixteen answers to one question, and none is like that. Layer 0 head 3 gives 0.97 to *robot*, far more than the 50 %
# of lesson 05; next to it, head 0 gives *robot* 0.05 and *A* 0.74. "The model looks at *robot*" is said of one
# head, on one sentence.
#
# Choosing the prettiest of sixteen maps on one sentence proves little: among enough maps one will always
# look as you wish. To learn what a head does **as a rule**, it takes a number, many sentences, and something to
# compare with.
#
# ## 3. A habit as a number: the token before
#
# The first habit: a head that reads the token right before. Its weights lie on the first diagonal
# below the main one, so the score is their mean. By hand, for a head that looks back a lot, with three tokens:
# token 1 gives 0.8 to token 0, and token 2 gives 0.6 to token 1.

# %%
looks_back = torch.tensor([[1.0, 0.0, 0.0], [0.8, 0.2, 0.0], [0.1, 0.6, 0.3]])
by_hand = (0.8 + 0.6) / 2
matrices([("one head, three tokens", looks_back)], ["0", "1", "2"], ["0", "1", "2"], scale=(0.0, 1.0))

# %% [markdown]
# Token 0 has none before it and is left out: three tokens, two numbers. Below the same in a loop, and then
# read off at once: `diagonal(offset=-1)` is the first line below the main diagonal.

# %%
n = len(looks_back)
score_by_loop = sum(looks_back[i, i - 1].item() for i in range(1, n)) / (n - 1)
line = looks_back.diagonal(offset=-1)
assert abs(score_by_loop - by_hand) < 1e-6 and abs(line.mean().item() - by_hand) < 1e-6
print(line, "mean:", round(score_by_loop, 2))

# %% [markdown]
# Of a tensor with more than two axes, `diagonal` has to be told which two make the matrix (`dim1` and
# `dim2`). Without that it takes the first two, and in `(L, nh, T, T)` these are layers and heads.
#
# ### Exercise: `previous_token_score`
#
# For every layer and head the mean weight that the tokens 1 … T-1 give to the token right before them. In:
# weights `(L, nh, T, T)`, T at least 2. Out: `(L, nh)`. Gradients may pass, and the dtype stays.
#
# <details><summary>Hint 1</summary>
# The loop above works for all heads at once if it indexes the last two axes only:
# <code>weights[:, :, i, i - 1]</code> has shape (L, nh).
# </details>
# <details><summary>Hint 2</summary>
# Without a loop: <code>diagonal</code> with the offset from above and the axes counted from the end. The line
# comes out as the last axis, and the mean runs over it.
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
# **Predict.** A head that attends *evenly* gives each token it may read the same share. It has no habit at all.
# What is its score on a text of 60 tokens?
#
# <details><summary>A. 0: it does not care for the token before</summary>
# It cares for it as much as for all the others, and that is not nothing: token 1 has two tokens to read and
# gives each a half.
# </details>
# <details><summary>B. 1/60</summary>
# That is the share in the last row. Row i has only i + 1 tokens to read, so the early rows give far more to
# each.
# </details>
# <details><summary>C. Something between, about 0.06</summary>
# Yes: the mean of 1/2, 1/3, … 1/60. A score means something only beside this number.
# </details>

# %%
def even(T: int) -> Float[Tensor, "T T"]:
    """The weights of a head that gives every token it may read the same share."""
    return torch.ones(T, T).tril() / torch.arange(1, T + 1)[:, None]


even_score = previous_token_score(even(60)[None, None]).item()
print(f"a head without any habit, 60 tokens: {even_score:.3f}")

# %% [markdown]
# Now many texts: the first 60 tokens of forty stories that the model has never read (*held out*). One score
# for each head and story, then the mean over the stories. (The colours run from 0 to the largest number here, so that
# small differences show.)

# %%
stories = [ids_of(story)[:, :60] for story in heldout_documents()[:80]]
stories = [idx for idx in stories if idx.shape[1] == 60][:40]
of_stories = torch.stack([head_weights(model, idx) for idx in stories])  # (40, L, nh, 60, 60)
previous = torch.stack([previous_token_score(w) for w in of_stories]).mean(dim=0)
layers = [f"layer {layer}" for layer in range(L)]
matrices([("mean weight on the token before", previous)], layers, heads)

# %% [markdown]
# Two more habits are as quickly measured: reading the first token of the text (column 0), and reading oneself
# (the main diagonal). For each habit the best of the sixteen heads. Even attention is the same for all three, since
# it gives every token one share.

# %%
first = of_stories[:, :, :, 1:, 0].mean(dim=(0, -1))  # (L, nh)
itself = of_stories.diagonal(dim1=-2, dim2=-1)[..., 1:].mean(dim=(0, -1))
best = {"the token before": previous, "the first token": first, "itself": itself}
habits = ["{} (layer {}, head {})".format(name, *figures.best_head(s)) for name, s in best.items()]
highest = [s.max().item() for s in best.values()]
figures.against_chance(habits, highest, [even_score] * 3, "The best head of each habit")

# %% [markdown]
# Why would a model want to read the token before? It makes pairs: a row that knows *given* and *it* together can
# be found by a later layer that looks for "the word after *given*". And the first token? Weights must sum to 1,
# so a head that has found nothing has to put them somewhere; large models often use the first token for that,
# and it is then called an *attention sink*. The bars say how far this small model has taken up either:
# a little. (Each bar is the best of sixteen, chosen on the very stories that it is scored
# on, and so a little too long. Compare with even attention only where the lead is large.)
#
# ## 4. Who is *it*?
#
# The corpus brings its own questions. A **probe** is a held-out text that ends right before a word that an
# earlier word decides. It says which words are right, and where the deciding word stands (in characters).
#
# The model reads tokens, not characters; `find` translates. It gives the position of the last token, the one
# whose row makes the prediction, and the positions of the word that it hangs on. Why a *list* of positions? Our
# tokenizer has 2,048 tokens, and a word of the stories is mostly one of them. Any other word is cut up, as in the
# second text below.

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
# How much does *it* look at its noun in this one probe? Row `query`, columns `keys`. What a word of several
# tokens gets is the **sum** over its tokens: the row shares out 1 among all tokens, and the word has what its
# pieces have together.

# %%
query, keys = find(probe, tokenizer)
of_probe = head_weights(model, ids_of(probe.text))
one_probe = torch.zeros_like(of_probe[:, :, query, 0])  # (L, nh), of the same dtype
for key in keys:
    one_probe += of_probe[:, :, query, key]
matrices([("from it to its noun, one probe", one_probe)], layers, heads, scale=(0.0, 1.0))

# %% [markdown]
# ### Exercise: `mean_attention`
#
# The same for a whole set of probes: for every layer and head the mean over the sentences. The sentences have
# different lengths, so their weights come as a *list* of tensors `(L, nh, T, T)`, each with a T of its own;
# `queries[s]` is the position that reads in sentence s, `keys[s]` the list of positions that are read. Sum
# over the keys of one sentence, mean over the sentences. Out: `(L, nh)`; the dtype stays.
#
# The trap is the order of sum and mean: a word of three tokens counts once and not three times.
#
# <details><summary>Hint 1</summary>
# <code>zip(weights, queries, keys)</code> walks through the three lists together.
# </details>
# <details><summary>Hint 2</summary>
# A list is an index too: <code>sentence[:, :, query, positions]</code> has shape (L, nh, number of positions).
# </details>
# <details><summary>Hint 3</summary>
# After the sum every sentence has left (L, nh), whatever its length. These can be stacked.
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
# Fifty probes, short ones so that it goes quickly. With one probe your function must give what we found by hand.

# %%
questions = [p for p in probes("it", 400) if len(p.text) < 170][:50]
places = [find(p, tokenizer) for p in questions]
queries, nouns = [q for q, _ in places], [k for _, k in places]
maps = [head_weights(model, ids_of(p.text)) for p in questions]

assert torch.allclose(mean_attention([of_probe], [query], [keys]), one_probe, atol=1e-6)
print(f"{len(maps)} maps, for texts of {min(queries) + 1} to {max(queries) + 1} tokens")

# %% [markdown]
# And two things to compare with. Even attention gives the noun one share in as many as there are tokens. And
# perhaps a head looks at nouns *whoever asks*? So ask the token before *it* as well (*because*, *when*,
# *although*), which stands for nothing.

# %%
from_it = mean_attention(maps, queries, nouns)
from_before = mean_attention(maps, [q - 1 for q in queries], nouns)
even_maps = [even(m.shape[-1])[None, None] for m in maps]
even_to_noun = mean_attention(even_maps, queries, nouns).item()
print(f"even attention would give the noun {even_to_noun:.3f}")
matrices([("from it", from_it), ("from the token before it", from_before)], layers, heads, scale=(0.0, 1.0))

# %% [markdown]
# In the left table one head stands out, on fifty stories that it has never seen, each with its own people, things
# and places. In the right table it does not. (Does another? The token before *it* has something to settle too: one
# robot goes on with *it*, several with *they*.) This is the one from the left. It was chosen on these fifty texts, so
# it is scored once more on fifty others:

# %%
layer_of_it, head_of_it = figures.best_head(from_it)
share, before = from_it.max().item(), from_before[layer_of_it, head_of_it].item()
assert share > 5 * even_to_noun
print(f"layer {layer_of_it}, head {head_of_it}: {share:.0%} of its weight goes from it to the noun")
print(f"even attention: {even_to_noun:.0%};   the same head, from the token before it: {before:.0%}")

fresh = [p for p in probes("it", 400) if len(p.text) < 170][50:100]
fresh_queries, fresh_nouns = zip(*(find(p, tokenizer) for p in fresh))
fresh_maps = [head_weights(model, ids_of(p.text)) for p in fresh]
on_fresh = mean_attention(fresh_maps, [*fresh_queries], [*fresh_nouns])[layer_of_it, head_of_it]
print(f"the same head, on {len(fresh)} probes that it was not chosen on: {on_fresh:.0%}")

# %% [markdown]
# Its lines in our own sentence. Does it find the robot?

# %%
robot_pieces = [tokenizer.token_bytes(i) for i in tokenizer.encode(robot)]
seen = head_weights(model, ids_of(robot))[layer_of_it, head_of_it]
attention_lines(robot_pieces, seen, query=6, title=f"layer {layer_of_it}, head {head_of_it}")

# %% [markdown]
# **Predict.** What have we shown so far?
#
# <details><summary>A. That this head is how the model knows what it stands for</summary>
# It is tempting, and it may be true. But a weight says where a head <i>looks</i>. Whether anything that follows
# makes use of what it brings, no map can say.
# </details>
# <details><summary>B. That this head looks at the noun, far more than chance</summary>
# Yes: on held-out texts, and mostly when it is asked from <i>it</i>. That is a habit, measured. What it is good
# for is the next question.
# </details>
# <details><summary>C. Nothing, since every head has to look somewhere</summary>
# It has to, but not there: even attention would give the noun a small share. The comparison is what makes the
# difference between a habit and nothing.
# </details>

# %% [markdown]
# ## 5. A weight is not a cause
#
# It is often said that attention maps *explain* what a model does. They do not; they show where it looks.
# To find out what a head is good for, take it out and see what is lost. That is an **ablation**.
#
# The heads of a block lie side by side in what `c_proj` reads (`merge_heads`, lesson 07): head h has the columns
# `h·hs` to `(h+1)·hs`. A *pre*-hook is called before a module runs and may return another input. This one
# puts zeros where one head has its columns:

# %%
hs = C // nh


def silence(head: int):
    """A hook that puts zeros in the place of one head's result."""
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
# `without_heads(model, [(layer, head), …])` of the package does the same inside a `with` block, for any number of
# heads.
#
# One sentence is an anecdote again, so: all fifty probes, filled up at the end to equal length. (The mask keeps the
# filling away from everything before it.) `right` marks, for each probe, the first tokens of the words that would be
# right.

# %%
def batch_of(questions: list[Probe]) -> tuple[Tensor, Tensor, Tensor]:
    """Ids (N, longest), the last place of each text (N), and where the right words are (N, V)."""
    texts = [ids_of(p.text)[0] for p in questions]
    right = torch.zeros(len(texts), V, dtype=torch.bool)
    for marks, p in zip(right, questions):
        marks[[tokenizer.encode(" " + answer)[0] for answer in p.answers]] = True
    last = torch.tensor([len(ids) - 1 for ids in texts])
    return nn.utils.rnn.pad_sequence(texts, batch_first=True), last, right


def next_probs(model: GPT2, batch: Tensor, last: Tensor) -> Float[Tensor, "N V"]:
    """What the model says after the last token of each text."""
    return model(batch)[torch.arange(len(batch)), last].softmax(dim=-1)


def right_share(model: GPT2, batch: Tensor, last: Tensor, right: Tensor) -> float:
    """The probability that goes to right words, a mean over the probes."""
    return (next_probs(model, batch, last) * right).sum(dim=-1).mean().item()

# %% [markdown]
# Now each of the sixteen heads is taken out, one at a time. Predict: which will be missed most? (A new scale again: the
# brightest cell is the largest loss.)

# %%
def lost_without(measure, *asked: Tensor) -> Float[Tensor, "L nh"]:
    """How much of a measure such as right_share goes when a head is taken out."""
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
# For *it*, then, we had good reason to look where we did. Does it always go so well? Take another kind of probe,
# **agreement**: *The robot near the kettles …* goes on with *was*, and *The robots near the kettle …* with *were*. The
# subject decides, and a noun of the other number stands in between. Two things can go wrong here, so there are two
# measures: does the model say *was* or *were* at all, and if so, **the right one of the two**? Only the second hangs on
# the subject. First the head that looks most at the subject is taken out, then the one that is missed most. (L0·H3 is
# layer 0, head 3.)

# %%
two = [tokenizer.encode(word)[0] for word in (" was", " were")]


def either_of_two(model: GPT2, batch: Tensor, last: Tensor, right: Tensor) -> float:
    """The probability of was and were together, a mean over the probes."""
    return next_probs(model, batch, last)[:, two].sum(dim=-1).mean().item()


def right_of_two(model: GPT2, batch: Tensor, last: Tensor, right: Tensor) -> float:
    """Of what goes to was and were, the share of the right one, a mean over the probes."""
    probs = next_probs(model, batch, last)
    return ((probs * right).sum(dim=-1) / probs[:, two].sum(dim=-1)).mean().item()

# %% [markdown]
# Both for the whole model, then without the head that looks most at the subject, then without the one whose
# loss harms the number most:

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
# The head that gives the subject most of its weight can go, and nothing is lost. The head that is missed most gives the
# subject next to nothing. What does it do? Where does the last token look with it, and what does the model say without
# it?

# %%
preposition = mean_attention(maps_of_others, [*ends], [[end - 2] for end in ends])[missed]
print(f"{figures.head_name(*missed)} gives {preposition:.0%} of its weight to the token two back: near, behind, …")
for p in others[1:5]:
    with without_heads(model, [missed]):
        print(f"… {p.text.split('. ')[-1]} …  {likeliest(model(ids_of(p.text))[0, -1], 4)}")

# %% [markdown]
# With *near the pigs* the wolf's place has been said, and now comes the verb. Without this head the model says *had*,
# *moved*, *of*, and a second *near* or *behind*. **What is lost is mostly that *was* or *were* comes at all, and less
# which of the two**: together they fall from 1.00 to 0.26, but of what is left to the two, 86 % goes to the right one.
# (A coin would give 50 %: the number suffers too, though less.) The probability of the right word alone would have looked
# as if the number were forgotten.
#
# All heads in one picture for each question: to the right stand those that look at the word that decides, high up
# those that are missed. If looking were the same as mattering, the points would lie on a rising line.

# %%
figures.weight_and_effect({
    "after it: a verb of its noun": (from_it, lost_it),
    "was or were: the right one of the two": (from_end, lost_number),
})

# %% [markdown]
# Two riddles. Why is only 0.38 lost without L0·H3, which has 96 % of its weight on the noun? And why is nothing lost
# without those far to the right in the second panel? Take out several at once:

# %%
later = [(layer, head) for layer in range(1, L) for head in range(nh)]
taken_out = {
    "nothing": [],
    "L0·H0": [(0, 0)],
    "L0·H3": [(0, 3)],
    "L0·H0 and L0·H3": [(0, 0), (0, 3)],
    "L1·H3, L2·H1 and L3·H3": [(1, 3), (2, 1), (3, 3)],
    "all heads of layers 1 to 3": later,
}
print("probability of right words        verb of it   was / were")
for name, heads_out in taken_out.items():
    with without_heads(model, heads_out):
        print(f"{name:33} {right_share(model, *asked_it):10.3f} {right_share(model, *asked_number):12.3f}")

# %% [markdown]
# - **Several bring the same.** L0·H0 gives the noun 46 % of its weight. As long as L0·H3 is there, it is not
#   missed. Without L0·H3 right words still get 0.62; without both, 0.04. So an ablation of one head shows what no other
#   head covers, and not all that it brings.
# - **Nothing needs it any more.** The three heads that look most at the subject can go together, and so can all
#   twelve heads of layers 1 to 3: in both questions layer 0 has already brought what decides. The later heads
#   look there nonetheless.
# - A head may be missed and never look at the word, as L0·H2 above: it brings something else that the answer needs.
# - And zeros are a strange thing to hand to a model that never saw them: part of what is lost may be
#   surprise. Careful work puts the head's mean over many texts in its place.
#
# Switch heads off yourself; at first all are on. The bars are what is left, the dashed frames what the whole model said;
# the second table has the words that are likeliest now. Can you make it forget the robot with a single switch? Does it
# then say any verb, or one of another thing? And what of the kettle?

# %%
heads_to_switch(model, tokenizer, [robot, kettle, orders + " because it"])

# %% [markdown]
# ## 6. The logit lens
#
# Attention maps show where rows look. What has a row *become*? Each block adds to the residual stream and hands
# it on. `found.stream` has it at every stage: before block 0, and after each block. How many stages?
#
# Only the last stage is made for output: the final LayerNorm (`ln_f`), then a dot product with every row of
# `wte` (lesson 10). By hand for the last token:

# %%
stream = torch.stack(found.stream)[:, 0]  # (S, T, C), of the only text in the batch
ln_f, wte = model.ln_f, model.wte.weight
x = layer_norm(stream[-1, -1], ln_f.weight, ln_f.bias)
assert torch.allclose(x @ wte.T, logits[0, -1], atol=1e-4)
print(f"{len(stream)} stages; the last says {likeliest(x @ wte.T)}")

# %% [markdown]
# But nothing keeps us from asking an earlier stage the same question: **if the model ended here, what would it
# say?** All stages have the same width, and each block only adds. That is the **logit lens**.
#
# **Predict.** Before block 0 the row of a token is its embedding and its position, nothing else. What does the
# lens say there, after *it*?
#
# <details><summary>A. The word that most often follows it</summary>
# That would need something that has learned what follows; so far there was only a lookup. (A bigram model,
# lesson 01, has such a table. Here the same table is used at both ends.)
# </details>
# <details><summary>B. it itself</summary>
# Yes, mostly. The row of wte that went in is compared with all rows of wte, and no other row is as much like it.
# The blocks have to turn "what I am" into "what comes next".
# </details>
# <details><summary>C. Every word alike, since nothing has been computed</summary>
# The row is not empty: it holds the token. Scores that are all alike would need a row that resembles none.
# </details>

# %% [markdown]
# In a loop, one stage after the other, for the last token of *Mina looked at the robot because it*:

# %%
lens_by_loop = torch.stack([layer_norm(stage, ln_f.weight, ln_f.bias) @ wte.T for stage in stream])
for name, scores in zip(figures.stage_names(L + 1), lens_by_loop[:, -1]):
    print(f"{name:15} {likeliest(scores, 3)}")

# %% [markdown]
# ### Exercise: `logit_lens`
#
# The final LayerNorm and the output table, applied to the stream at every stage. In: `stream` `(S, T, C)`, `weight`
# and `bias` of the LayerNorm `(C)` (its eps is 1e-5), `wte` `(V, C)`. Out: logits `(S, T, V)`; those of the last
# stage are the model's own. Gradients pass to all four, and the dtype stays.
#
# Every stage is treated as if it were the last, the last one included.
#
# <details><summary>Hint 1</summary>
# <code>layer_norm(x, weight, bias)</code> of lesson 09 works on the last axis, whatever stands before it.
# </details>
# <details><summary>Hint 2</summary>
# And <code>output_logits(x, wte)</code> of lesson 10 takes (B, T, C). It does not matter to it that the first axis
# counts stages here.
# </details>

# %%
def logit_lens(
    stream: Float[Tensor, "S T C"],
    weight: Float[Tensor, "C"],
    bias: Float[Tensor, "C"],
    wte: Float[Tensor, "V C"],
) -> Float[Tensor, "S T V"]:
    """What the model would say if it ended here, asked at every stage of the residual stream."""
    ### BEGIN SOLUTION
    return output_logits(layer_norm(stream, weight, bias), wte)
    ### END SOLUTION

# %%
logit_lens = check(logit_lens)

# %% [markdown]
# The whole sentence through the lens. Read a column from top to bottom: what the token is, and how it becomes what
# follows. In which row does each column settle?

# %%
lens = logit_lens(stream, ln_f.weight, ln_f.bias, wte)
assert torch.allclose(lens, lens_by_loop, atol=1e-4) and torch.allclose(lens[-1], logits[0], atol=1e-4)
for part, rows_of in {"token": found.tokens[0], "position": found.positions}.items():
    print(f"length of the {part + ':':10}", [round(length, 1) for length in rows_of.norm(dim=-1).tolist()])
figures.lens_table(tokenizer.encode(robot), lens, tokenizer.token_bytes)

# %% [markdown]
# One column is odd: before block 0 the lens does not find *Mina* in *Mina*. There, and only there, the row of the
# position is longer than that of the token (1.2 against 0.8): the first position has the longest row of all.
#
# Where is the verb of *it* decided? On the fifty probes: the probability of right words at every stage (solid), and
# how often the likeliest token is the one that was just read, anywhere in the text (dashed).

# %%
batch, last, right = asked_it
stages = activations(model, batch).stream  # S times (50, longest, C)
all_lenses = [logit_lens(stage, ln_f.weight, ln_f.bias, wte) for stage in stages]
rows = torch.arange(len(batch)), last
says_right = [(scores[rows].softmax(-1) * right).sum(-1).mean().item() for scores in all_lenses]
real = torch.arange(batch.shape[1]) <= last[:, None]  # not the filling
echoes = [(s.argmax(-1) == batch)[real].float().mean().item() for s in all_lenses]
by_stage = {"right words after it": says_right, "says the token just read": echoes}
figures.stage_lines(by_stage, "From what I am to what comes next", "share, 0 to 1")

# %% [markdown]
# The solid line rises most at two places. Along block 0 it goes from 0.00 to 0.44; there the two heads sit that look at the noun.
# Along block 3 it goes from 0.64 to 1.00. Is that attention again? No: without any head of layers 1 to 3 the model still
# gave 0.991 to right words (the last line of the table in section 5). What these blocks add, for this question, can
# come from their MLPs alone. And the lens may see late what has been there for long; more of that below.
#
# ### Break it: the lens without its LayerNorm
#
# The stream is never normed on its way (pre-norm, lesson 09); blocks and output norm what they read. What if the
# lens leaves that out, at the very last stage? On the forty stories: how often is the likeliest token still
# the model's own, and what is the loss, in nats per token? Predict both.

# %%
idx = torch.cat(stories)  # (40, 60)
last_stage = activations(model, idx).stream[-1]
with_norm = logit_lens(last_stage, ln_f.weight, ln_f.bias, wte)
without_norm = output_logits(last_stage, wte)
same = (with_norm.argmax(-1) == without_norm.argmax(-1)).float().mean()
normed = layer_norm(last_stage, ln_f.weight, ln_f.bias)
print(f"likeliest token unchanged at {same:.0%} of positions")
print(f"deviation of the vectors: {normed.std():.1f} with the norm, {last_stage.std():.1f} without")
for name, scores in (("with", with_norm), ("without", without_norm)):
    loss = F.cross_entropy(scores[:, :-1].flatten(0, 1), idx[:, 1:].flatten())
    print(f"loss {name:7} the norm: {loss:.2f}")

# %% [markdown]
# With the norm 0.98, without it 1.42, and yet the same word at 93 % of the positions: the vectors are of another size
# than those that the table was trained to meet. Larger vectors give larger scores, and the softmax is then sure of
# itself, also where it is wrong. No error is raised, and a table of the likeliest words would have shown you nearly
# nothing of it.
#
# A caution about the lens itself: early stages were never trained to be read this way. What it says of them is
# what the *last* layer's reading makes of them; a row may hold something long before the lens can see it.
#
# Play with it: another text, another token.

# %%
river_bank = "It was a warm Monday in Oakham. By the river the bank was"
lens_to_play(model, tokenizer, [robot, orders + " because it", river_bank])

# %% [markdown]
# ## 7. One word, two contexts
#
# Lesson 03 gave each token one row, wherever it stands; a *bank* of a river and a *bank* with money began
# as the same numbers. The corpus has four such words: *bank*, *spring*, *ring* and *note*. Each sense has
# adjectives of its own. Does the model know? (Before each stands the same opening sentence, as in a story.)

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
# Now the vectors. The two texts of a pair have equally many tokens, so the words stand at equal
# positions, and before block 0 the two rows must be the same to the last digit. We follow two rows: that of the word
# itself, and that of *was*, the same word in both texts, which has to say what comes next.

# %%
def rows_at(text: str, place: int) -> Float[Tensor, "S C"]:
    """The row of one token at every stage of the stream."""
    return torch.stack(activations(model, ids_of(text)).stream)[:, 0, place]


pair = [f"{monday} {scene} the bank was" for scene in SCENES["bank"]]
assert len({ids_of(text).shape for text in pair}) == 1
river, town = (rows_at(text, -2) for text in pair)
assert torch.equal(river[0], town[0]) and not torch.equal(river[1], town[1])
F.cosine_similarity(river, town, dim=-1)

# %% [markdown]
# A cosine of 1 is the same direction. The row of *bank* parts a little along block 0 and comes nearer again after it,
# up to 0.99. To know what a fall means, something to compare with: the same sense in another
# story, with another sentence before it (its length is the same, so positions are too). Mean over the four words:

# %%
def cosines(place: int, openings: tuple, senses: tuple) -> list[float]:
    """Cosine between two contexts at every stage, a mean over the four words."""
    pairs = [[rows_at(f"{o} {scenes[s]} the {word} was", place) for o, s in zip(openings, senses)]
             for word, scenes in SCENES.items()]
    return torch.stack([F.cosine_similarity(a, b, dim=-1) for a, b in pairs]).mean(dim=0).tolist()


contexts = {
    "was, other sense": cosines(-1, (monday, monday), (0, 1)),
    "was, other story": cosines(-1, (monday, friday), (0, 0)),
    "the word, other sense": cosines(-2, (monday, monday), (0, 1)),
    "the word, other story": cosines(-2, (monday, friday), (0, 0)),
}
assert contexts["was, other sense"][-1] < contexts["was, other story"][-1]
title = "The row of was parts by sense, that of the word hardly does"
figures.stage_lines(contexts, title, "cosine between the two rows")

# %% [markdown]
# All four begin at 1. Another *story* hardly moves any row. Another *sense* moves the row of *was* most, down to 0.58;
# the word's own row stays between 0.96 and 1.00. So the difference is seen where something different has to be said:
# *bank* may stay nearly *bank*, and *was* must choose between *steep* and *closed*.

# %% [markdown]
# ## 8. Is it training? Two more models
#
# The last comparison: a model of the same size whose weights are fresh dice, and your own from lesson 13, if it lies in
# your workbook. The same measures for all of them. Which numbers do you expect for the dice?

# %%
torch.manual_seed(0)
models = {"untrained": GPT2(COURSE).eval().requires_grad_(False), "course": model}
own = workbook.folder() / "trained"
if (own / "config.json").exists() and load_tokenizer(own).encode(robot) == tokenizer.encode(robot):
    yours = GPT2.from_pretrained(own).eval().requires_grad_(False)
    if yours.config.n_ctx >= asked_it[0].shape[1]:  # the probes fit
        models["yours"] = yours
print("yours is there" if "yours" in models else "no model of yours to compare with: lesson 13 makes one")

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
# (The texts are the fifty probes, shorter than the stories of section 3; therefore even attention gives the token before
# 0.12 here and 0.06 there.) Fresh dice attend nearly evenly, and know nothing of verbs. Everything that you have seen in
# this lesson was made by training on the next word, and by nothing else.
#
# **Before you go:** you find a head in another model that puts 90 % of its weight, from every closing bracket,
# on the bracket that it closes. What do you do next?
#
# <details><summary>A. Write that the model counts brackets with this head</summary>
# Perhaps. So far you know where it looks.
# </details>
# <details><summary>B. Look at more heads until the picture is complete</summary>
# More maps are more of the same kind of evidence: where heads look.
# </details>
# <details><summary>C. Compare with even attention, then take it out and see whether brackets go wrong</summary>
# Yes. First whether 90 % is much (if the bracket is mostly two tokens back, it may not be), then whether the
# model needs it.
# </details>

# %% [markdown]
# ## What you have
#
# `previous_token_score` and `mean_attention` turn maps into numbers that can be compared, over many texts, with chance.
# `logit_lens` reads the residual stream at any stage with the eyes of the last one. Hooks let you listen to a model
# and take parts out of it; a weight says where a head looks, an ablation whether it matters.
#
# The numbers of this stage in the smallest GPT-2, for a text of 1024 tokens:

# %%
gpt2, n_tokens = GPT2Config(), 1024
n_maps, n_stages = gpt2.n_layer * gpt2.n_head, gpt2.n_layer + 1
print(f"maps: {n_maps}, with {n_maps * n_tokens * (n_tokens + 1) // 2:,} weights that are not masked")
print(f"stages of the stream: {n_stages}, each {n_tokens} × {gpt2.n_embd}")
print(f"the lens of all of it: {n_stages * n_tokens * gpt2.vocab_size * 4 / 1e9:.1f} GB of float32")
print("parameters of this lesson: 0; it only looks")

# %% [markdown]
# **Sources.** Vig 2019, *A Multiscale Visualization of Attention in the Transformer Model*, section 2 (maps of all
# heads of GPT-2); Clark et al. 2019, *What Does BERT Look At?*, sections 3 and 4 (heads that read the token before,
# and what a word refers to, measured against baselines); Jain and Wallace 2019, *Attention is not Explanation*;
# Michel et al. 2019, *Are Sixteen Heads Really Better than One?*, section 3 (taking heads out); nostalgebraist 2020,
# *interpreting GPT: the logit lens*; Belrose et al. 2023, *Eliciting Latent Predictions from Transformers with the
# Tuned Lens* (what the lens misses in early layers); Ethayarajh 2019, *How Contextual are Contextualized Word
# Representations?*, section 4; Xiao et al. 2023, *Efficient Streaming Language Models with Attention Sinks*,
# section 3.
#
# **Next:** GPT-2 reads only backwards. Lesson 16 takes the mask away and builds BERT from the same blocks.
