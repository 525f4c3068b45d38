# %% [markdown]
# # 04 · Positions
#
# *robot must obey orders*, *orders must obey robot*: the same four words, and two very different sentences.
# In [lesson 03](03_embeddings.ipynb) each word became a row of `wte`, and the row of *robot* is the same
# wherever the word is. **How does a model learn which word came first?**
#
# - **In:** ids `(B, T)`, the embedding matrix `wte (V, C)`, and a second matrix, `wpe (n_ctx, C)`.
# - **Out:** vectors `(B, T, C)` that say which word it is *and* where it is.
# - **Time:** about 50 minutes for the core, 90 for everything. Sections that begin with *Deeper* are
#   collapsed.
# - **Exercises:** `embed` and `sinusoidal_positions`.
#
# Keep at hand: the [cheat sheet](../docs/cheat_sheet.md), the [glossary](../docs/glossary.md), the
# [notation](../docs/notation.md), and [what well-known explanations get wrong](../docs/common_errors.md).

# %% [markdown]
# First the imports. They take a few seconds. `embed_tokens` and `nearest_tokens` are yours from lesson 03.

# %%
import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from gpt2course import check, embedding, kept_names, my_progress
from gpt2course.config import RELEASED
from gpt2course.corpus import heldout_documents
from gpt2course.lessons.positions import (
    Panel, clocks, loss_lines, matrices, position_slider, side_by_side, tower, wavelengths,
    waves,
)
from gpt2course.mine import embed_tokens, nearest_tokens
from gpt2course.model import GPT2, count_parameters
from gpt2course.weights import load_tokenizer

# %% [markdown]
# The lit part is this lesson. It meets the line from lesson 03 in a plus sign.

# %%
tower("04_positions", kept_names())

# %% [markdown]
# ## 1. The same rows in another order
#
# Here is the embedding matrix that was made up by hand in lesson 03, and the two sentences. `both` draws the
# rows of the two side by side. In what do they differ?

# %%
VOCABULARY = ["a", "given", "it", "must", "obey", "orders", "robot", "the"]
COLUMNS = ["thing", "duty", "action"]
wte = torch.tensor([[0.1, 0, 0], [0.1, 0.2, 0.8], [0.9, 0, 0], [0, 1, 0],
                    [0, 0, 1], [1, 0, 1], [1, 0, 0], [0.2, 0, 0]])  # fmt: skip
words, swapped = "robot must obey orders".split(), "orders must obey robot".split()
idx, idx_swapped = (
    torch.tensor([[VOCABULARY.index(word) for word in s]]) for s in (words, swapped)
)
x, x_swapped = embed_tokens(idx, wte)[0], embed_tokens(idx_swapped, wte)[0]


def both(one: Float[Tensor, "T C"], other: Float[Tensor, "T C"]):
    """The rows of the two sentences side by side."""
    left = Panel("robot must obey orders", one, words, COLUMNS)
    right = Panel("orders must obey robot", other, swapped, COLUMNS)
    return side_by_side([left, right], decimals=2)


both(x, x_swapped)

# %% [markdown]
# In the order of their rows, and in nothing else. Is that not enough? You read from top to bottom and see the
# order. The next stage of the model does not.
#
# ## 2. An average can't see the order
#
# The next stage, **attention**, lets every row read the others. You will build it in
# [lesson 05](05_self_attention.ipynb); its core fits into three lines. Each row compares itself with every row
# by a dot product. The exponential makes these numbers positive, and dividing them by their sum makes them
# *weights* that sum to 1. Each row is then replaced by the average of all rows with these weights.

# %%
def mix(x: Float[Tensor, "T C"]) -> Float[Tensor, "T C"]:
    """Every row becomes a weighted average of all rows; rows like it get more weight."""
    weights = (x @ x.T).exp()  # (T, T): row i holds the weights that row i gives
    weights = weights / weights.sum(dim=1, keepdim=True)
    return weights @ x


y = mix(x)
matrices([("each row has taken in something of the others", y)], words, COLUMNS)

# %% [markdown]
# **Predict.** What does the row of *robot* become in *orders must obey robot*?
#
# <details><summary>A. What the row of orders became: it is in the same place</summary>
# The place plays no part in the computation. The row of <i>robot</i> compares by its own numbers, wherever
# it is.
# </details>
# <details><summary>B. Something new: its neighbours have changed</summary>
# It has new neighbours on the page, but <code>mix</code> knows no neighbours. It compares with all rows, and
# they are the same four.
# </details>
# <details><summary>C. The same as before, number for number</summary>
# Yes. The same row, the same four rows to compare with, the same average.
# </details>

# %%
y_swapped = mix(x_swapped)
assert torch.allclose(y_swapped, y[[3, 1, 2, 0]]), "a row depends on where it is"
both(y, y_swapped)

# %% [markdown]
# Who obeys whom? Nothing in these rows says so: both sentences are the same bag of words. **Shuffle the rows
# that go in, and the same rows come out, shuffled.** This is called *permutation equivariance*. So something
# else has to say where each row is.
#
# ## 3. Add the position
#
# **First try: add the number of the position.** Positions count from 0, and GPT-2's last one is 1023. What do
# *robot* and *must* look like there?

# %%
robot, must = wte[VOCABULARY.index("robot")], wte[VOCABULARY.index("must")]
for position in (0, 1, 10, 1023):
    cosine = F.cosine_similarity(robot + position, must + position, dim=0).item()
    print(f"position {position:4}: cosine of robot and must {cosine:.4f}")

# %% [markdown]
# At the end of a text all words look the same: the position drowns them out. What is added has to differ from
# position to position and stay as small as the words' own numbers.
#
# **GPT-2's way: a second embedding matrix.** It is called `wpe` (*word position embeddings*) and has one row
# for each *position*, as wide as the rows of `wte`. Its numbers start random and are learned. The number of
# rows, n_ctx, is the longest text that the model can read at once: its **context window**. Here is a small
# `wpe` with n_ctx = 6.

# %%
wpe = torch.tensor([[0.3, -0.1, 0.2], [0.1, 0.4, -0.2], [-0.3, 0.2, 0.1],
                    [0.2, 0.3, 0.3], [-0.1, -0.4, 0.2], [0.4, 0.1, -0.3]])  # fmt: skip
places = [f"position {p}" for p in range(6)]
matrices([("wpe (n_ctx, C) = (6, 3)", wpe)], places, COLUMNS)

# %% [markdown]
# ### By hand, then in a loop
#
# The word's row and the position's row are **added**, number by number. *obey* has id 4 and is at position
# 2. Do it in your head first.

# %%
x_obey = [wte[4][c].item() + wpe[2][c].item() for c in range(3)]
[round(number, 1) for number in x_obey]

# %% [markdown]
# Now for every word. In which of the two matrices does the id choose the row, and in which the position?

# %%
rows = []
for position, token_id in enumerate(idx[0].tolist()):
    rows.append(wte[token_id] + wpe[position])
by_loop = torch.stack(rows)
assert torch.allclose(by_loop[2], torch.tensor(x_obey))
summands = [Panel("wte", x, words, COLUMNS), Panel("wpe", wpe[:4], places[:4], COLUMNS)]
side_by_side([*summands, Panel("x", by_loop, words, COLUMNS)], signs="+=")

# %% [markdown]
# (Can the model still tell the two apart in the sum? *Deeper: does adding mix things up?* counts it.)
#
# ### A batch
#
# **Predict.** `wte[idx]` has shape (B, T, C) = (2, 4, 3), and the rows of `wpe` for four positions have shape
# (T, C) = (4, 3). What is the shape of their sum?
#
# <details><summary>A. None: the shapes differ, and torch refuses</summary>
# torch aligns the axes from the right: 3 with 3, 4 with 4. Where one tensor has no axis left, it is used again
# for each entry of the other. This is called <i>broadcasting</i>.
# </details>
# <details><summary>B. (2, 4, 3)</summary>
# Yes. Both texts of the batch get the same four rows of positions, since each of them begins at position 0.
# </details>
# <details><summary>C. (2, 4, 6)</summary>
# That would be the two rows side by side. They are added, number by number, and the width stays.
# </details>
# <details><summary>D. (2, 4, 4, 3)</summary>
# That would be every text with every position. Token t of a text gets the row of position t and no other.
# </details>

# %%
tuple((torch.zeros(2, 4, 3) + torch.zeros(4, 3)).shape)

# %% [markdown]
# ## Exercise 1: `embed` ●●○○○ · 10 minutes
#
# Return word row plus position row for each token, shape (B, T, C). The first token of every text is at
# position `start`, the next at `start + 1`, and so on; all of these positions lie within `wpe`.
#
# Usually `start` is 0. But sometimes only the end of a text is new: three tokens have been read, and a fourth
# comes on top of them ([lesson 12](12_kv_cache.ipynb) makes GPT-2 fast this way). The fourth is the first in
# its `idx`, and its position is 3.
#
# Two sizes are easily confused here: how many texts there are, and how many tokens. Which of them do the
# positions count?
#
# <details><summary>Hint 1</summary>
# T is <code>idx.shape[1]</code>. Which rows of <code>wpe</code> do you need for T tokens when the first is at
# position 2?
# </details>
# <details><summary>Hint 2</summary>
# A slice <code>wpe[a:b]</code> begins with row a and ends before row b. It has b - a rows.
# </details>
# <details><summary>Hint 3</summary>
# The word rows are what <code>embed_tokens</code> returns. Add T rows of <code>wpe</code>, shape (T, C), and
# torch repeats them for every text.
# </details>

# %%
def embed(
    idx: Int[Tensor, "B T"],
    wte: Float[Tensor, "V C"],
    wpe: Float[Tensor, "n_ctx C"],
    start: int = 0,
) -> Float[Tensor, "B T C"]:
    """Word row plus position row; the first token is at position `start`."""
    ### BEGIN SOLUTION
    T = idx.shape[1]
    return embed_tokens(idx, wte) + wpe[start : start + T]
    ### END SOLUTION

# %%
embed = check(embed)

# %% [markdown]
# Back to the question: the two sentences with positions, through the same average. What has become of the row
# of *robot*?

# %%
assert torch.allclose(embed(idx, wte, wpe)[0], by_loop), "embed and the loop differ"
z, z_swapped = (mix(embed(one, wte, wpe)[0]) for one in (idx, idx_swapped))
both(z, z_swapped)

# %% [markdown]
# *robot* at position 0 and *robot* at position 3 are different rows. Whatever comes later *can* tell the two
# sentences apart. (In GPT-2 both matrices are `nn.Embedding`, and the position is an id too:
# `wte(idx) + wpe(torch.arange(start, start + T))`.)
#
# ### Where the matrix ends
#
# GPT-2 has 1024 rows and **no row 1024**: the 1025th token of a text has no position. Our small `wpe` ends at
# row 5. The first line below asks for row 6; the second takes a slice that reaches beyond the end; the third
# asks the package's own `embed`. Which of the three is dangerous?

# %%
n_ctx = len(wpe)
try:
    wpe[n_ctx]
except IndexError as error:
    print("row 6:   ", error)
print("slice 4:8:", tuple(wpe[4:8].shape), "and no error")
try:
    embedding.embed(idx, wte, wpe, start=4)
except ValueError as error:
    print("embed:   ", error)

# %% [markdown]
# The slice: it comes back too short and says nothing. With one row left, broadcasting would even give all
# tokens the same position. The remedy is in the message: keep only the last n_ctx tokens. GPT-2 has
# forgotten whatever came before them.
#
# ## 4. What a trained model has learned
#
# The course model has learned its `wpe` along with everything else: 128 rows of 128 numbers. Nobody told it
# that position 11 comes after position 10. Your `nearest_tokens` finds the nearest rows of any matrix. Which
# rows will be nearest to row 10?

# %%
model = GPT2.from_pretrained("course").requires_grad_(False)  # nothing is trained here
trained = model.wpe.weight
torch.manual_seed(0)
untrained = GPT2(model.config).wpe.weight.detach()
for position in (10, 30, 64, 100):
    before, after = (nearest_tokens(position, matrix, 4) for matrix in (untrained, trained))
    print(f"nearest to {position:3}: untrained {before!s:20} trained {after}")
assert nearest_tokens(10, trained, 2) == [11, 9], "expected the two neighbours of 10"

# %% [markdown]
# The rows next to it. Training found out that positions have an order.
#
# Does the model need it? `functional_call` runs the model with another matrix in the place of its `wpe` and
# returns a score for each possible next token, the *logits*. The **loss** (lesson 03: smaller is better) says
# how well it predicts stories that it has not seen. Which of these will it not mind: all positions five too
# high; halfway through each line, `start` is forgotten and the count begins at 0 again; no positions; shuffled
# ones?

# %%
tokenizer, stories = load_tokenizer("course"), heldout_documents()[:100]
text = [i for story in stories for i in [tokenizer.end_of_text, *tokenizer.encode(story)]]
lines = torch.tensor(text[: 64 * 128]).view(64, 128)
p = torch.arange(128)
shuffled = torch.randperm(128, generator=torch.Generator().manual_seed(0))
others = {"its own": trained, "five too high": trained[(p + 5).clamp(max=127)],
          "start forgotten": trained[p % 64], "none, all zeros": 0 * trained,
          "shuffled": trained[shuffled]}  # fmt: skip
losses = {}
for name, positions in others.items():
    logits = functional_call(model, {"wpe.weight": positions}, (lines[:, :-1],))
    losses[name] = F.cross_entropy(logits.flatten(0, 1), lines[:, 1:].flatten()).item()
print("\n".join(f"{name:16} loss {loss:.2f}" for name, loss in losses.items()))

# %% [markdown]
# It does not mind the first: what counts is which word comes before which, and how far before. Everything else
# ruins its predictions, and shuffled positions are worse than none. No error is raised: that `start` was
# forgotten shows in the loss alone.
#
# ## 5. By rule instead of by learning
#
# The first transformer (2017) did not learn its positions. It computed **sinusoidal positions** by a rule that
# makes a row for any position. Think of clocks: a second hand, a minute hand and an hour hand together tell
# the time. A position becomes a row of clocks, each slower than the one before. Where a hand points takes two
# numbers, the **sine** of its angle and the **cosine**, so C columns make C / 2 clocks. As on a clock, the
# hand starts at the top and goes clockwise: the sine says how far it is to the right, the cosine how far up.
# (In school the hand starts at the right; there the two change places.) Here is position 3 with C = 8. Which
# clock is the second hand?

# %%
clocks(3, n_embd=8)

# %% [markdown]
# ### By hand: one position
#
# The angle is position times rate. The rate of pair i is one over 10,000 to the power 2i / C. So the first
# clock, i = 0, has rate 1: at position 3 its angle is 3 radians, and it goes once round in 2π, about 6.28,
# positions. With C = 4 there are two pairs. What is the rate of the second?

# %%
rate_0, rate_1 = 1 / 10_000 ** (0 / 4), 1 / 10_000 ** (2 / 4)
row_3 = [math.sin(3 * rate_0), math.cos(3 * rate_0), math.sin(3 * rate_1), math.cos(3 * rate_1)]
print(f"rates {rate_0} and {rate_1}")
print([round(number, 3) for number in row_3])

# %% [markdown]
# ## Exercise 2: `sinusoidal_positions` ●●●○○ · 15 minutes
#
# Return the matrix for n_ctx positions and n_embd columns, float32. In row p:
#
# - column 2i is the sine of p / 10,000^(2i / n_embd),
# - column 2i + 1 is the cosine of the same angle.
#
# So sines and cosines alternate, and **a sine and the cosine to its right share a rate**. `n_embd` is even.
# Python's `**` binds more tightly than `/`: mind the parentheses of the exponent.
#
# <details><summary>Hint 1</summary>
# Make the angles first, a matrix with n_ctx rows and n_embd / 2 columns: a column of positions,
# <code>torch.arange(n_ctx)[:, None]</code>, times a row of rates.
# </details>
# <details><summary>Hint 2</summary>
# <code>torch.arange(0, n_embd, 2)</code> is 0, 2, 4, …: these are the 2i already.
# </details>
# <details><summary>Hint 3</summary>
# Every other column of a matrix <code>t</code> is <code>t[:, 0::2]</code>, and the ones between are
# <code>t[:, 1::2]</code>. You can assign to them.
# </details>

# %%
def sinusoidal_positions(n_ctx: int, n_embd: int) -> Float[Tensor, "n_ctx n_embd"]:
    """Sines in even columns, cosines in odd ones; the rates fall from 1 towards 1/10,000."""
    ### BEGIN SOLUTION
    position = torch.arange(n_ctx)[:, None]
    angle = position / 10_000 ** (torch.arange(0, n_embd, 2) / n_embd)
    table = torch.empty(n_ctx, n_embd)
    table[:, 0::2] = angle.sin()
    table[:, 1::2] = angle.cos()
    return table
    ### END SOLUTION

# %%
sinusoidal_positions = check(sinusoidal_positions)

# %% [markdown]
# The picture has 64 positions of 32 columns, blue below 0, red above. Go down the leftmost columns, then down
# the rightmost.

# %%
assert torch.allclose(sinusoidal_positions(4, 4)[3], torch.tensor(row_3), atol=1e-6), "not row_3"
waves(sinusoidal_positions(64, 32))

# %% [markdown]
# Why sines and cosines? Because then **the dot product of two positions depends on their distance alone**, and
# attention compares rows by dot products: "two words back" looks the same everywhere. (*Deeper: why sines?*
# shows it.)
#
# ### Play with it
#
# Move the slider. Above are the clocks and the row that they make; below, the first 8 of the 128 numbers of
# the course model's learned row.
#
# 1. Go from 0 to 7 slowly. Which clock moves most? Which seem to stand still?
# 2. Watch the learned row: does it jump, or does it change little by little?
# 3. Go beyond 127.

# %%
position_slider(trained[:, :8], last=150)

# %% [markdown]
# <details><summary>Answers, after you have tried</summary><ol>
# <li>The leftmost clock goes round more than once; the second makes about a ninth of a turn; the other two
# hardly move. They are there for texts of hundreds and thousands of tokens.</li>
# <li>Little by little, from one position to the next: that is why neighbours have a high cosine.</li>
# <li>The clocks go on. The learned matrix has no row there, and no way to make one.</li>
# </ol></details>
#
# ### Which of the two?
#
# The paper of the first transformer tried both, found nearly the same results, and chose the rule in the hope
# that it would carry over to longer texts. GPT learned its positions, and GPT-2 kept that. (Many later
# models build the distance into attention itself: *rotary* positions, Su et al. 2021.)
#
# **Before you go:** somebody doubles the rows of a trained GPT-2's `wpe` to 2048, fills the new ones with
# random numbers, and gives it a text of 1500 tokens. What will happen?
#
# <details><summary>A. An IndexError at token 1025</summary>
# The matrix is long enough now, so there is a row for every position and nothing to complain about.
# </details>
# <details><summary>B. It reads 1500 tokens as well as 1000</summary>
# The words still have good rows, but from position 1024 on a random row is added to each, and no matrix
# in the model has ever seen such sums.
# </details>
# <details><summary>C. It runs, and its predictions get bad beyond position 1023</summary>
# Yes. Training has to change the new rows before they mean anything.
# </details>

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: why sines?
#
# You can skip this: it takes the dot products of positions by rule, and asks how slow the slowest clock is.

# %% [markdown]
# Take the dot product of each position's row with each other's. Read along a diagonal, from the upper left to
# the lower right: positions 0 and 2, 1 and 3, 2 and 4, …

# %%
by_rule = sinusoidal_positions(108, 8)
dots = by_rule[:8] @ by_rule[:8].T
labels = [str(position) for position in range(8)]
for distance in range(8):
    assert dots.diagonal(distance).allclose(dots[0, distance], atol=1e-4), "a diagonal varies"
matrices([("each diagonal holds one number", dots)], labels, labels)

# %% [markdown]
# Each diagonal is one distance, and holds one number. The reason is that sin a · sin b + cos a · cos b =
# cos(a - b), so each clock contributes the cosine of its rate times the distance. (Nearer is not always more alike: distance 6 has 3.78, distance 1 only 3.54, since after 6
# positions the fastest clock is nearly round.) And a hundred positions later?

# %%
later = by_rule[100:108] @ by_rule[100:108].T
assert torch.allclose(later, dots, atol=1e-4), "the dot products have changed"
f"dot product at distance 2: {dots[0, 2]:.3f}, a hundred positions later {later[0, 2]:.3f}"

# %% [markdown]
# GPT-2's width, C = 768, would make 384 clocks. How many positions does the slowest take to go round once: a
# thousand, ten thousand, or more?

# %%
turns = wavelengths(768)
for pair in (0, 1, 96, 192, 383):
    print(f"columns {2 * pair} and {2 * pair + 1}: once round in {turns[pair]:,.1f} positions")

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: does adding mix things up?
#
# You can skip this: it counts how often one can tell from a sum which word and which position went in.

# %% [markdown]
# Out of 5 = 2 + 3 nobody reads the 2 again. But a row is not one number. Here are a thousand random "words"
# and 64 random "positions", rows of 768 numbers as in GPT-2. What is the typical cosine of a word's row and a
# position's row? And out of 500 random sums, how often do both come out right? (The guess is the row with
# the largest dot product with the sum.)

# %%
generator = torch.Generator().manual_seed(1)
many_words, many_places = (torch.randn(n, 768, generator=generator) for n in (1000, 64))
cosines = F.cosine_similarity(many_words[:, None], many_places, dim=-1)
word, place = (torch.randint(n, (500,), generator=generator) for n in (1000, 64))
sums = many_words[word] + many_places[place]
words_found = ((sums @ many_words.T).argmax(dim=1) == word).sum()
places_found = ((sums @ many_places.T).argmax(dim=1) == place).sum()
print(f"cosine of a word with a position: {cosines.abs().mean():.3f} on average")
print(f"found again, of 500: {words_found} words and {places_found} positions")

# %% [markdown]
# With 768 numbers, two random rows are nearly at right angles (*orthogonal*), and what points one way does not
# disturb what points the other way. Putting the two rows side by side would also work, but every row would be
# twice as wide, and so would every matrix that comes later.

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: can attention really not tell orders apart?
#
# You can skip this: it tests a sentence that you will read everywhere, with and without GPT-2's mask. It uses
# what lessons 05 and 06 build; come back after them if you like.

# %% [markdown]
# "Attention without positions cannot tell orders apart" is true of `mix`, and of attention as
# [lesson 05](05_self_attention.ipynb) builds it. GPT-2's attention has one more rule, the **mask** of
# [lesson 06](06_masking.ipynb): a word may read only itself and the words *before* it. Does the sentence still
# hold? Shuffle the first three words, leave *orders* at the end, and look at the row of *orders* alone. By how
# much does it change, with one layer of attention, then with two and three on top of each other?

# %%
from gpt2course.mine import (
    attention_scores, attention_weights, blend_values, masked_attention,
)  # fmt: skip


def attend(x: Float[Tensor, "T C"]) -> Float[Tensor, "T C"]:
    """Attention without a mask: every row reads all rows."""
    return blend_values(attention_weights(attention_scores(x, x)), x)


def attend_to_the_past(x: Float[Tensor, "T C"]) -> Float[Tensor, "T C"]:
    """Attention with the mask: every row reads itself and the rows before it."""
    return masked_attention(x, x, x)


for name, layer in (("no mask", attend), ("mask", attend_to_the_past)):
    as_it_was, past_shuffled = x, x[[2, 0, 1, 3]]
    for depth in (1, 2, 3):
        as_it_was, past_shuffled = layer(as_it_was), layer(past_shuffled)
        gap = (as_it_was[-1] - past_shuffled[-1]).abs().max().item()
        print(f"{name:8} layers: {depth}, the last row changes by {gap:.2f}")

# %% [markdown]
# Without a mask the sentence holds for any number of layers. **With the mask it holds for the last row of
# one layer only.** The second layer can tell: after the first, the row of the second word mixes two words and
# that of the third mixes three, so the rows themselves say how far along they are. GPT-2 has a mask and 12
# layers, so it could find out about order in this roundabout way. It does not have to: `wpe` tells it.

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: a task in which order is everything
#
# You can skip this: it trains three tiny models, without positions, with learned ones and with the rule, and
# tests what each of them can do at positions that it has not seen. It uses attention from lesson 05.

# %% [markdown]
# *The robot helped the child.* **Who helped?** There are eight names, two verbs, and *today* either in front
# or at the end.

# %%
from gpt2course.mine import attention_scores, attention_weights, blend_values

NAMES = "robot child cook fox wolf owl cat dog".split()
LEXICON = [*NAMES, "the", "helped", "saw", "today"]


def sentences(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """n sentences (n, 6) and who it was (n)."""
    who = torch.rand(n, 8, generator=generator).argsort(dim=1)[:, :2]  # two different names
    the, today = torch.full((n, 1), 8), torch.full((n, 1), 11)
    verb = torch.randint(9, 11, (n, 1), generator=generator)
    core = torch.cat([the, who[:, :1], verb, the, who[:, 1:]], dim=1)
    in_front = torch.rand(n, 1, generator=generator) < 0.5
    idx = torch.where(in_front, torch.cat([today, core], 1), torch.cat([core, today], 1))
    return idx, who[:, 0]


asked, answers = sentences(4, torch.Generator().manual_seed(2))
for sentence, answer in zip(asked.tolist(), answers.tolist()):
    print(*(LEXICON[token_id] for token_id in sentence), "→", NAMES[answer])

# %% [markdown]
# The model: `embed`, one attention without a mask, the mean of the six rows, and a score for each name. Its
# matrices are learned, and so is `wte`. (`nn.Linear(C, 3 * C)` makes the three matrices of lesson 05 at
# once; `chunk` cuts its result in three.)

# %%
class WhoDidIt(nn.Module):
    """A score for each of the eight names (B, 8)."""

    def __init__(self, wpe: Float[Tensor, "n_ctx C"], learned: bool):
        super().__init__()
        C = wpe.shape[1]
        self.wte = nn.Parameter(torch.randn(len(LEXICON), C))
        self.wpe = nn.Parameter(wpe.clone(), requires_grad=learned)
        self.qkv, self.head = nn.Linear(C, 3 * C), nn.Linear(C, len(NAMES))

    def forward(self, idx: Int[Tensor, "B T"], start: int = 0) -> Float[Tensor, "B 8"]:
        return self.read(embed(idx, self.wte, self.wpe, start))

    def read(self, x: Float[Tensor, "B T C"]) -> Float[Tensor, "B 8"]:
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        return self.head(blend_values(attention_weights(attention_scores(q, k)), v).mean(dim=1))

# %% [markdown]
# A training step does three things: it computes the loss of a batch (minus the logarithm of the probability of
# the right answer; 0 is perfect), computes the gradient with `backward()`, and lets the *optimizer* move every
# number a little against its gradient. [Lesson 13](13_training.ipynb) explains each part.

# %%
def train(wpe: Float[Tensor, "n_ctx C"], learned: bool, steps: int = 300):
    """A trained WhoDidIt and its loss at every step."""
    torch.manual_seed(0)
    model, generator, curve = WhoDidIt(wpe, learned), torch.Generator().manual_seed(1), []
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02, weight_decay=0)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, steps)  # ever smaller steps
    for _ in range(steps):
        batch, who = sentences(128, generator)
        loss = F.cross_entropy(model(batch), who)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        curve.append(loss.item())
    return model, curve

# %% [markdown]
# Two models, with C = 8: one whose `wpe` is all zeros and stays so, which is the same as none, and one whose
# `wpe` starts with small random numbers and learns. There is room for 8 positions, of which the sentences
# need 6. **Predict:** how low can the loss get without positions? The two names are known, but not which of
# them it was.

# %%
torch.set_num_threads(1)  # such small matrices gain nothing from more
small = torch.randn(8, 8, generator=torch.Generator().manual_seed(3)) / 10
curve_without = train(torch.zeros(8, 8), learned=False)[1]
learned, curve_learned = train(small, learned=True)
curves = {"without positions": curve_without, "learned positions": curve_learned}
title = "Without positions it is a coin toss between two names"
loss_lines(curves, {"ln 2": math.log(2)}, title, unit="nats per answer")

# %% [markdown]
# Without positions the model finds out which two names come into question, and there it ends: a probability of
# 1/2, and a loss of ln 2. No training and no larger model of this kind will get below that on new sentences,
# because *the robot helped the child* and *the child helped the robot* reach it as the same bag of words. (What
# is left above ln 2 after 300 steps is a little probability on the six names that do not occur.) With positions
# the loss goes to 0.
#
# The rows of the learned `wpe`, compared with each other by cosine. The two names are at positions 1 and 4,
# or, after *today*, at 2 and 5. Find these four. And what about 6 and 7, which no sentence reaches?

# %%
wpe_learned = learned.wpe.detach().clone()
direction = F.normalize(wpe_learned, dim=-1)
assert torch.equal(wpe_learned[6:], small[6:])  # as they were before training
labels = [str(position) for position in range(8)]
title = "1 and 2 point one way, 4 and 5 the other way"
matrices([(title, direction @ direction.T)], labels, labels, scale=(-1.0, 1.0))

# %% [markdown]
# Positions 1 and 2 point the same way ("the name here did it"), 4 and 5 point the same way, and these two
# directions are far apart, at a cosine of about -0.84. The model has learned what the task needs and nothing more: it does not know
# that 3 comes after 2. Rows 6 and 7 were never read, so they still hold the random numbers that they started
# with. **A learned matrix knows only the positions that it was trained on.**
#
# Does a rule carry over? Train a third model with it, and then let both read sentences that begin at position
# 1 or 2 and not at 0, as they never did in training.

# %%
ruled, curve_ruled = train(sinusoidal_positions(8, 8), learned=False)
unseen, who = sentences(2000, torch.Generator().manual_seed(9))
with torch.no_grad():
    for name, one in (("learned", learned), ("by rule", ruled)):
        losses = [F.cross_entropy(one(unseen, start), who).item() for start in (0, 1, 2)]
        print(name, "  ".join(f"start {start}: {loss:.2f}" for start, loss in enumerate(losses)))
print(f"a coin toss between two names: {math.log(2):.2f}")

# %% [markdown]
# Both solve the task where they were trained. The rule carries over by one position, the learned matrix not
# even by that, and two positions further on both fail, sure of the wrong name. **Having a row for a position
# is one thing; having learned what to do with it is another.**
#
# ### Break it: forget `start`
#
# A text comes in two pieces of three tokens, and the program forgets that the second piece does not begin at
# position 0. No position is out of range, no shape is wrong. What does the model with learned positions make
# of it?

# %%
with torch.no_grad():
    front = embed(unseen[:, :3], learned.wte, learned.wpe)
    for name, start in (("second piece at 3", 3), ("start forgotten", 0)):
        back = embed(unseen[:, 3:], learned.wte, learned.wpe, start)
        loss = F.cross_entropy(learned.read(torch.cat([front, back], dim=1)), who).item()
        print(f"{name:18} loss {loss:.2f}")

# %% [markdown]
# Far worse than a coin toss, and without any error. The mistake is easy to make wherever a model writes token
# by token: if `start` is forgotten, every new token is "the first word" again.

# %% [markdown]
# ## What you have
#
# `embed` is the whole front of GPT-2: `x = wte[idx] + wpe[position]`, shape (B, T, C), which word and where.
# `sinusoidal_positions` computes such rows by rule; GPT-2 learned its own, and where they end, its context
# window ends. How much of GPT-2 is in `wpe`?

# %%
for name, config in RELEASED.items():
    in_wpe, total = config.n_ctx * config.n_embd, count_parameters(config)
    size = f"{config.n_ctx:,} × {config.n_embd:,} = {in_wpe:,}"
    print(f"{name:12} {size:25} of {total:13,} parameters: {in_wpe / total:.2%}")

# %% [markdown]
# Less than one percent. All four have the same 1024 rows, twice the 512 of GPT.
#
# ### Questions
#
# The last two are about earlier lessons.
#
# <details><summary>1. What comes out of <code>mix</code> if you shuffle the rows that go in?</summary>
# The same rows, shuffled in the same way. It is permutation equivariant.
# </details>
# <details><summary>2. Why not add the number of the position to a word's row?</summary>
# At large positions it drowns out the word: all words then point the same way.
# </details>
# <details><summary>3. A batch has 5 texts of 7 tokens. How many rows of <code>wpe</code> does
# <code>embed</code> read?</summary>
# 7, from <code>start</code> on. Broadcasting repeats them for all 5 texts.
# </details>
# <details><summary>4. Why can GPT-2 read no more than 1024 tokens at once?</summary>
# Its <code>wpe</code> has 1024 rows, 0 to 1023. There is no row for the token after them.
# </details>
# <details><summary>5. What do sinusoidal positions offer that learned ones do not?</summary>
# A row for any position, and dot products that depend on the distance alone. (Whether a model can use
# positions that it was not trained on is another question.)
# </details>
# <details><summary>6. From <a href="03_embeddings.ipynb">lesson 03</a>: which rows get a gradient from a
# lookup?</summary>
# Those that were read. So a row of <code>wpe</code> beyond the longest text in training never changes.
# </details>
# <details><summary>7. From <a href="02_tokens.ipynb">lesson 02</a>: is a position counted in words, characters
# or tokens?</summary>
# In tokens. A rare word that falls into three tokens takes three positions.
# </details>
#
# ### Challenge: a test of your own ●●●○○
#
# Write `looks_sinusoidal(table) -> bool` without computing the positions again: test only properties that such
# a matrix must have. What to look for: what is the length of every row, and what holds for the diagonals of
# the dot products (*Deeper: why sines?*)? Then try to fool your test with a wrong matrix: other rates, sines
# first and then cosines, positions from 1. Which of them pass, and which property would catch them?
#
# **Sources.** Vaswani et al. 2017, *Attention Is All You Need*, section 3.5 and table 3, row E; Radford et al.
# 2018, *Improving Language Understanding by Generative Pre-Training*, section 4.1; Radford et al. 2019,
# *Language Models are Unsupervised Multitask Learners*, section 2.3; Su et al. 2021, *RoFormer: Enhanced
# Transformer with Rotary Position Embedding*, section 3.
#
# **Next:** each row now knows its word and its position, and nothing of the others. In
# [lesson 05](05_self_attention.ipynb) they read each other.
#
# **What you have built so far:**

# %%
my_progress()
