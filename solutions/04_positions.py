# %% [markdown]
# # 04 · Positions
#
# *robot must obey orders*, *orders must obey robot*: the same four words, and two very different
# sentences. Lesson 03 made each word a row of a table, and the row of *robot* is the same wherever the word
# stands. **How does a model learn which word came first?**
#
# - **In:** ids `(B, T)`, the table of words `wte (V, C)`, and a second table, `wpe (n_ctx, C)`.
# - **Out:** vectors `(B, T, C)` that say which word it is *and* where it stands.
# - **Time:** about 100 minutes. Two exercises: `embed` and `sinusoidal_positions`.

# %% [markdown]
# First the tools. `embed_tokens` is from lesson 03. The next four are the subject of lessons 05 and 06;
# here they are used as they are, and what they do is said where they are needed.

# %%
import math
from itertools import permutations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from gpt2course import check, embedding
from gpt2course.config import RELEASED
from gpt2course.lessons.positions import (
    Panel, clocks, loss_lines, matrices, pipeline, position_slider, side_by_side, wavelengths,
    waves,
)
from gpt2course.mine import (
    attention_scores, attention_weights, blend_values, embed_tokens, masked_attention,
)  # fmt: skip
from gpt2course.model import count_parameters

# %% [markdown]
# The lit box is this lesson. Its arrow meets the one of lesson 03 in a plus sign: keep an eye on it.

# %%
pipeline("04_positions")

# %% [markdown]
# ## 1. The same rows in another order
#
# The table that was made by hand in lesson 03: eight words, and three columns that say how much of a thing,
# a duty, an action each word is. And the two sentences as ids:

# %%
VOCABULARY = ["a", "given", "it", "must", "obey", "orders", "robot", "the"]
COLUMNS = ["thing", "duty", "action"]
wte = torch.tensor([[0.1, 0, 0], [0.1, 0.2, 0.8], [0.9, 0, 0], [0, 1, 0],
                    [0, 0, 1], [1, 0, 1], [1, 0, 0], [0.2, 0, 0]])  # fmt: skip
words = "robot must obey orders".split()
turned_round = "orders must obey robot".split()
idx = torch.tensor([[VOCABULARY.index(word) for word in words]])
idx_turned = torch.tensor([[VOCABULARY.index(word) for word in turned_round]])
print(idx.tolist(), idx_turned.tolist())

# %% [markdown]
# Look up both. (`both` draws the rows of the two sentences side by side.) In what do the results differ?

# %%
x, x_turned = embed_tokens(idx, wte)[0], embed_tokens(idx_turned, wte)[0]


def both(one: Float[Tensor, "T C"], other: Float[Tensor, "T C"]):
    """The rows of the two sentences side by side."""
    left = Panel("robot must obey orders", one, words, COLUMNS)
    right = Panel("orders must obey robot", other, turned_round, COLUMNS)
    return side_by_side([left, right], decimals=2)


both(x, x_turned)

# %% [markdown]
# In the order of their rows, and in nothing else. Is that not enough? A reader who goes from top to bottom
# sees the order. The stage that comes next does not read from top to bottom.
#
# ## 2. What attention makes of it
#
# The next stage is **attention** (lesson 05). All you need to know today: every row compares itself with
# every row, by a dot product, and turns what it finds into shares that sum to 1. It is then replaced by a
# mixture of all rows in these shares. That is what the three functions below do, one after the other. The
# same `x` is handed over more than once because a row has several parts to play: it compares itself, it is
# compared with, and it is mixed in. (Lesson 05 makes a vector of its own for each part.)

# %%
def attend(x: Float[Tensor, "T C"]) -> Float[Tensor, "T C"]:
    """Every row becomes a mixture of all rows: much of those that are like it."""
    shares = attention_weights(attention_scores(x, x))
    return blend_values(shares, x)


y = attend(x)
matrices([("robot must obey orders, after attention", y)], words, COLUMNS)

# %% [markdown]
# The row of *must* now has some thing and some action in it: it has taken in what stands around it.
#
# **Predict.** What will the row of *robot* be in *orders must obey robot*, after attention?
#
# <details><summary>A. What the row of orders was: it stands in the same place</summary>
# The place plays no part in the computation. The row of <i>robot</i> asks with its own numbers, wherever it
# stands.
# </details>
# <details><summary>B. A new one: its neighbours have changed</summary>
# It has new neighbours on the page, but attention knows no neighbours. It compares with all rows, and
# they are the same four.
# </details>
# <details><summary>C. The same as before, number for number</summary>
# Yes. Same question, same four rows to compare with, same mixture.
# </details>

# %%
y_turned = attend(x_turned)
assert torch.allclose(y_turned, y[[3, 1, 2, 0]])
both(y, y_turned)

# %% [markdown]
# Who obeys whom? To attention both sentences are the same bag of words. And not by accident of these
# two: here are all 24 orders of the four words. How large is the largest difference, once the rows are
# put back in order?

# %%
gaps = []
for order in permutations(range(4)):
    shuffled = list(order)
    gaps.append((attend(x[shuffled]) - y[shuffled]).abs().max().item())
print(f"{len(gaps)} orders, largest difference: {max(gaps):.0e}, which is rounding")
assert max(gaps) < 1e-6

# %% [markdown]
# **Shuffle the rows that go in, and the same rows come out, shuffled.** The learned matrices of lesson
# 05 and the MLP of lesson 08 do not help, because they treat each row alone.
#
# ### "Attention without positions cannot tell orders apart"
#
# You will read this sentence everywhere, and it is true of what you have just seen. GPT-2's attention has one
# more rule, though: a word may read only itself and the words *before* it. (This is the **mask**, lesson
# 06; `masked_attention` obeys it.) Does the sentence hold there as well? Shuffle the first three words,
# leave *orders* at the end, and look at the row of *orders* alone: by how much does it change? Once with one
# layer of attention, then with two and three on top of each other.

# %%
def attend_to_the_past(x: Float[Tensor, "T C"]) -> Float[Tensor, "T C"]:
    return masked_attention(x, x, x)


for name, layer in (("no mask", attend), ("mask", attend_to_the_past)):
    as_it_was, past_shuffled = x, x[[2, 0, 1, 3]]
    for depth in (1, 2, 3):
        as_it_was, past_shuffled = layer(as_it_was), layer(past_shuffled)
        gap = (as_it_was[-1] - past_shuffled[-1]).abs().max().item()
        print(f"{name:8} layers: {depth}, the last row changes by {gap:.2f}")

# %% [markdown]
# Without a mask the sentence holds for any number of layers. **With the mask it holds for the last row of
# one layer only.** The second layer can tell: after the first, the row of the second word holds two words and
# that of the third holds three, so the rows themselves say how far down they stand. GPT-2 has a mask and 12
# layers, so it could find out about order in this roundabout way. It does not have to: it is told.
#
# ## 3. Write the place into the row
#
# **First try: add the number of the position.** The row at position 7 gets 7 added to each of its
# numbers. Positions count from 0, and GPT-2's last one is 1023. What do *robot* and *must* look like
# there? (The cosine, from lesson 03, says how nearly two rows point the same way: 1 is the same
# direction.)

# %%
robot, must = wte[VOCABULARY.index("robot")], wte[VOCABULARY.index("must")]
for position in (0, 1, 10, 1023):
    cosine = F.cosine_similarity(robot + position, must + position, dim=0).item()
    print(f"position {position:4}: cosine of robot and must {cosine:.4f}")

# %% [markdown]
# At the end of a text all words look the same: the position has drowned them. What is needed is a mark that
# differs from place to place and stays as small as the words' own numbers.
#
# **GPT-2's way: a second table.** It is called `wpe` (*word position embeddings*) and has a row for each
# *position*, as wide as the rows of `wte`. Position 0 gets row 0, whichever word stands there. Its
# numbers start random and are learned. Here is a small one with n_ctx = 6 positions (n_ctx, the number of
# rows, is the longest text that the model can read: its context). The columns keep their names only
# because these numbers will be added to a word's thing, duty and action; a position is none of the three.

# %%
wpe = torch.tensor([[0.3, -0.1, 0.2], [0.1, 0.4, -0.2], [-0.3, 0.2, 0.1],
                    [0.2, 0.3, 0.3], [-0.1, -0.4, 0.2], [0.4, 0.1, -0.3]])  # fmt: skip
places = [f"position {p}" for p in range(6)]
matrices([("wpe (n_ctx, C) = (6, 3)", wpe)], places, COLUMNS)

# %% [markdown]
# ### By hand: one word
#
# The word's row and the position's row are **added**, number by number: the plus sign of the picture at the
# top. *obey* has id 4 and stands at position 2 of *robot must obey orders*. Do it in your head first.

# %%
x_obey = [wte[4][c].item() + wpe[2][c].item() for c in range(3)]
[round(number, 1) for number in x_obey]

# %% [markdown]
# ### A loop: every word
#
# Position 0 for the first, 1 for the second, and so on. In which of the two tables does the id choose the
# row, and in which the place?

# %%
rows = []
for place, token_id in enumerate(idx[0].tolist()):
    rows.append(wte[token_id] + wpe[place])
by_loop = torch.stack(rows)
assert torch.allclose(by_loop[2], torch.tensor(x_obey))
summands = [Panel("wte", x, words, COLUMNS), Panel("wpe", wpe[:4], places[:4], COLUMNS)]
side_by_side([*summands, Panel("x", by_loop, words, COLUMNS)], signs="+=")

# %% [markdown]
# ### Does adding not mix things up?
#
# Out of 5 = 2 + 3 nobody reads the 2 again. But a row is not one number. Here are a thousand random "words"
# and 64 random "positions", rows of 768 numbers as in GPT-2. What is the typical cosine of a word's
# row and a position's row? And if 500 random sums are formed, how often can one tell, from the sum alone,
# which word and which position went in? (The one whose row has the largest dot product with the sum.)

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
# With 768 numbers two random rows stand nearly at right angles, and what points one way does not disturb
# what points the other way. Putting the two rows side by side instead of adding them would also work, but
# every row would be twice as wide, and with it every matrix that comes later.
#
# ### A batch
#
# **Predict.** `wte[idx]` has shape (B, T, C) = (2, 4, 3), the rows of `wpe` for four positions have shape
# (T, C) = (4, 3). What is the shape of their sum?
#
# <details><summary>A. None: the shapes differ, and torch refuses</summary>
# torch lines up the axes from the right: 3 with 3, 4 with 4, and where one has no axis left, it is used
# again for each entry of the other. This is called <i>broadcasting</i>.
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
# ### Where a text begins
#
# Sometimes only the end of a text is new: three tokens have been read, and a fourth comes on top of them
# (lesson 12 makes GPT-2 fast this way). The new token then does not stand at position 0, although it is
# the first in its `idx`. So there is one more argument: `start`, the position of the first token.
#
# ## Exercise 1: `embed`
#
# Return word row plus position row for each token, shape (B, T, C). The first token of every text stands at
# position `start`, the next at `start + 1`, and so on; `start` is 0 where nothing else is said. All of these
# positions lie within the table.
#
# Two sizes are easily taken for one another here: how many texts there are, and how many tokens. Say to
# yourself which of them the positions count.
#
# <details><summary>Hint 1</summary>
# T is <code>idx.shape[1]</code>. Which rows of <code>wpe</code> are needed for T tokens, when the first
# stands at position 2?
# </details>
# <details><summary>Hint 2</summary>
# A slice <code>table[a:b]</code> begins with row a and ends before row b. It has b - a rows.
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
    """Word row plus position row; the first token stands at position `start`."""
    ### BEGIN SOLUTION
    T = idx.shape[1]
    return embed_tokens(idx, wte) + wpe[start : start + T]
    ### END SOLUTION

# %%
embed = check(embed)

# %% [markdown]
# The loop again, and the last word alone, on top of the three before it:

# %%
assert torch.allclose(embed(idx, wte, wpe)[0], by_loop)
assert torch.allclose(embed(idx[:, 3:], wte, wpe, start=3)[0], by_loop[3:])

# %% [markdown]
# Now back to the question. The two sentences once more, this time with positions, through the same
# attention. What has become of the row of *robot*?

# %%
y_one, y_other = (attend(embed(one_idx, wte, wpe)[0]) for one_idx in (idx, idx_turned))
both(y_one, y_other)

# %% [markdown]
# *robot* at position 0 and *robot* at position 3 are two different rows: whatever comes later *can* tell the
# two sentences apart.
#
# ### As a module
#
# In GPT-2 both tables are `nn.Embedding`, and the position is an id too: 0, 1, 2, …

# %%
class Embedding(nn.Module):
    """Word row plus position row (B, T, C)."""

    def __init__(self, vocab_size: int, n_ctx: int, n_embd: int):
        super().__init__()
        self.wte = nn.Embedding(vocab_size, n_embd)
        self.wpe = nn.Embedding(n_ctx, n_embd)

    def forward(self, idx: Int[Tensor, "B T"], start: int = 0) -> Float[Tensor, "B T C"]:
        position = torch.arange(start, start + idx.shape[1])
        return self.wte(idx) + self.wpe(position)


module = Embedding(8, 6, 3)
assert torch.equal(module(idx, 2), embed(idx, module.wte.weight, module.wpe.weight, 2))

# %% [markdown]
# ### Where the table ends
#
# `wpe` has n_ctx rows, and the last one is row n_ctx - 1: GPT-2 has 1024 rows and **no row 1024**. The
# 1025th token of a text has no position. There are three ways to find out. The first line below asks for
# the row; the second takes a slice that reaches beyond the end; the third asks the package's own `embed`.
# Which of the three is dangerous?

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
# The slice: it comes back too short and says nothing. (With four rows wanted, the addition would fail one
# line later, with a message about shapes. With a slice of one row it would not even fail: one position
# for all.) The remedy is in the message: only the last n_ctx tokens are kept in view. What GPT-2 read
# before them, it has forgotten.
#
# ## 4. Does it help?
#
# A small task in which order is everything: *the robot helped the child* – **who helped?** With eight
# names, two verbs, and sometimes *today* in front and sometimes at the end.

# %%
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

# %% [markdown]
# Three of them, with their answers:

# %%
asked, answers = sentences(3, torch.Generator().manual_seed(0))
for sentence, answer in zip(asked.tolist(), answers.tolist()):
    print(*(LEXICON[token_id] for token_id in sentence), "→", NAMES[answer])

# %% [markdown]
# The model: `embed`, one attention without a mask, the mean of the six rows, and a score for each name. Its
# matrices are learned, and so is `wte`. (`nn.Linear(C, 3 * C)` makes the three matrices of lesson 05 at
# once, `chunk` cuts its result in three.)

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
# Training is the loop of lesson 03: predict, measure the **loss** (minus the logarithm of the probability of
# the right answer; 0 is perfect), move every number a little against its gradient.

# %%
def train(wpe: Float[Tensor, "n_ctx C"], learned: bool, steps: int = 300):
    """A trained WhoDidIt and its loss at every step."""
    torch.manual_seed(0)
    model, generator, curve = WhoDidIt(wpe, learned), torch.Generator().manual_seed(1), []
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02, weight_decay=0)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, steps)  # smaller and smaller
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
# Two models, with C = 8: one whose table of positions is all zeros and stays so, which is the same as
# none, and one whose table starts with small random numbers and learns. There is room for 8 positions, of
# which the sentences need 6. **Predict:** how low can the loss get without positions? The two names are
# known, but not which of them it was.

# %%
torch.set_num_threads(1)  # such small matrices gain nothing from more
small = torch.randn(8, 8, generator=torch.Generator().manual_seed(3)) / 10
curve_without = train(torch.zeros(8, 8), learned=False)[1]
learned, curve_learned = train(small, learned=True)
curves = {"without positions": curve_without, "learned positions": curve_learned}
title = "Without positions it is a coin toss between two names"
loss_lines(curves, {"ln 2": math.log(2)}, title, unit="nats per answer")

# %% [markdown]
# Without positions the model finds out which two names come into question, and there it ends: one of two,
# probability 1/2, and minus the logarithm of 1/2 is ln 2. No training and no larger model of this kind will
# get below that on new sentences, because *the robot helped the child* and *the child helped the robot* reach
# it as the same bag of words. (What is left above ln 2 after 300 steps is a little probability on the six
# names that do not occur; longer training takes it away.) With positions the loss goes to 0.
#
# ### What the table has learned
#
# The rows of the learned table, compared with each other by cosine. The two names stand at positions 1
# and 4, or, after *today*, at 2 and 5. Find these four in the table. And what about positions 6 and 7,
# which no sentence reaches?

# %%
wpe_learned = learned.wpe.detach().clone()
direction = F.normalize(wpe_learned, dim=-1)
assert torch.equal(wpe_learned[6:], small[6:])  # as they were before training
labels = [str(position) for position in range(8)]
panel = ("cosine of learned positions", direction @ direction.T)
matrices([panel], labels, labels, scale=(-1.0, 1.0))

# %% [markdown]
# Positions 1 and 2 point the same way ("whoever stands here did it"), 4 and 5 point the same way, and these
# two directions are nearly opposite. Position 0 goes with 4 and 5 (0.96), and so does, less closely, position
# 3 (about 0.8): neither ever holds the name that is asked for. The table has learned what the task needs and
# nothing more: it does not know that 3 comes after 2. Rows 6 and 7 were never read, so they never learned;
# they still hold the random numbers they started with. **A learned table knows only the positions that it was
# trained on.**
#
# ## 5. By rule instead of by learning
#
# The first transformer (2017) did not learn its positions. It computed them, with a rule that makes a row
# for any position. Think of clocks: a second hand, a minute hand and an hour hand together tell the time,
# and no two moments of half a day look the same on all three. A position becomes a row of clocks, each
# slower than the one before. Where a hand points takes two numbers: how far to the right (the **sine** of
# its angle) and how far up (the **cosine**). The cosine of two rows, used so far, is the same function: it
# is that of the angle between the two. So C columns make C / 2 clocks. Here is position 3 with C =
# 8; which clock is the second hand?

# %%
clocks(3, n_embd=8)

# %% [markdown]
# ### By hand: one position
#
# The angle is position times rate. The first clock has the rate 1: at position 3 its angle is 3 (in
# radians, so a full turn takes 2π, about 6.28 positions). The rate of pair i is one over 10,000 to the
# power 2i / C. With C = 4 there are two pairs. What is the rate of the second, i = 1?

# %%
rate_0, rate_1 = 1 / 10_000 ** (0 / 4), 1 / 10_000 ** (2 / 4)
row_3 = [math.sin(3 * rate_0), math.cos(3 * rate_0), math.sin(3 * rate_1), math.cos(3 * rate_1)]
print(f"rates {rate_0} and {rate_1}")
print([round(number, 3) for number in row_3])

# %% [markdown]
# ### How long is a turn?
#
# The same rule for GPT-2's width, C = 768, which makes 384 clocks. How many positions does the slowest of
# them take for one turn: a thousand, ten thousand, or more?

# %%
turns = wavelengths(768)
for pair in (0, 1, 96, 192, 383):
    print(f"columns {2 * pair} and {2 * pair + 1}: one turn in {turns[pair]:,.1f} positions")

# %% [markdown]
# From 2π positions to nearly 10,000 · 2π. The fast clocks tell neighbours apart, the slow ones tell the
# beginning from the end.
#
# ## Exercise 2: `sinusoidal_positions`
#
# Return the table for n_ctx positions and n_embd columns, float32. In row p:
#
# - column 2i is the sine of p / 10,000^(2i / n_embd),
# - column 2i + 1 is the cosine of the same angle.
#
# So sines stand in the even columns and cosines in the odd ones, in turns, and **a sine and the cosine to
# its right share a rate**. `n_embd` is even. Python's `**` binds more tightly than `/`: mind the brackets
# of the exponent.
#
# <details><summary>Hint 1</summary>
# Make the angles first, a table with n_ctx rows and n_embd / 2 columns: a column of positions,
# <code>torch.arange(n_ctx)[:, None]</code>, times a row of rates.
# </details>
# <details><summary>Hint 2</summary>
# <code>torch.arange(0, n_embd, 2)</code> is 0, 2, 4, …: these are the 2i already.
# </details>
# <details><summary>Hint 3</summary>
# Every other column of a table <code>t</code> is <code>t[:, 0::2]</code>, and the ones between are
# <code>t[:, 1::2]</code>. One can write into them.
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
# Row 3 is what you found by hand. The picture has 64 positions of 32 columns: go down the leftmost
# columns, then down the rightmost. Where is the second hand?

# %%
assert torch.allclose(sinusoidal_positions(4, 4)[3], torch.tensor(row_3), atol=1e-6)
waves(sinusoidal_positions(64, 32))

# %% [markdown]
# ### Why sines?
#
# Attention compares rows by dot products. So take the dot product of each position's row with each other's.
# Read along a diagonal, from the upper left to the lower right: positions 0 and 2, 1 and 3, 2 and 4, …

# %%
by_rule = sinusoidal_positions(108, 8)
dots = by_rule[:8] @ by_rule[:8].T
for distance in range(8):
    assert dots.diagonal(distance).allclose(dots[0, distance], atol=1e-4)
matrices([("dot product of positions", dots)], labels, labels)

# %% [markdown]
# Each diagonal holds one number: **the dot product of two positions depends on their distance alone.** The
# reason is that sin a · sin b + cos a · cos b = cos(a - b), so each clock contributes the cosine of its rate
# times the distance. Nearer is not always more alike: distance 6 (3.78) is above distance 1 (3.54), because
# after 6 positions the fastest clock has gone nearly all the way round. "Two words back" looks the same at
# the start of a text and a hundred positions later:

# %%
later = by_rule[100:108] @ by_rule[100:108].T
assert torch.allclose(later, dots, atol=1e-4)
f"dot product at distance 2: {dots[0, 2]:.3f}, a hundred positions later {later[0, 2]:.3f}"

# %% [markdown]
# ## 6. Side by side
#
# Move the slider over the position. Above: the clocks, and the row that they make. Below: the row of the
# table that was learned in section 4.
#
# 1. Go from 0 to 7 slowly. Which clock moves most? Which seem to stand still?
# 2. Compare the learned rows 1 and 2, then 4 and 5.
# 3. Go on to 8 and beyond.

# %%
position_slider(wpe_learned)

# %% [markdown]
# <details><summary>Answers, after you have tried</summary><ol>
# <li>The leftmost clock goes round more than once; the second makes about a ninth of a turn; the other two
# hardly move. They are there for texts of hundreds and thousands of tokens.</li>
# <li>1 and 2 have the same signs and point the same way (their cosine was 0.99), but row 2 is shorter: its
# numbers lie nearer to 0. 4 and 5 point the same way too.</li>
# <li>The clocks go on. The learned table has no row there, and no way to make one.</li>
# </ol></details>

# %% [markdown]
# ### Which of the two?
#
# A rule has a row for position 23 and for 23,000. A learned table has what it has. So why did GPT-2 learn
# its positions? The paper of the first transformer tried both, found nearly the same results, and chose
# the rule in the hope that it would carry over to longer texts. GPT took the learned table, and GPT-2
# kept it. Does the hope hold here? Train a third model with the rule, and then let both read sentences
# that begin at position 1 or 2 and not at 0, as they never did in training.

# %%
ruled, curve_ruled = train(sinusoidal_positions(8, 8), learned=False)
unseen, who = sentences(2000, torch.Generator().manual_seed(9))
with torch.no_grad():
    for name, model in (("learned", learned), ("by rule", ruled)):
        losses = [F.cross_entropy(model(unseen, start), who).item() for start in (0, 1, 2)]
        print(name, "  ".join(f"start {start}: {loss:.2f}" for start, loss in enumerate(losses)))
print(f"a coin toss between two names: {math.log(2):.2f}")

# %% [markdown]
# Both solve the task where they were trained. The rule carries over by one position, the learned table
# not even by that, and two positions further on both fail, sure of the wrong name. **Having a row for a
# position is one thing; having learned what to do with it is another.** (Many later models build the
# distance into attention itself: rotary positions, Su et al. 2021.)
#
# ## 7. Break it: forgetting `start`
#
# A text comes in two pieces of three tokens, and the program forgets that the second piece does not begin at
# position 0. Nothing is out of range, no shape is wrong. What does the learned model make of it?

# %%
with torch.no_grad():
    front = embed(unseen[:, :3], learned.wte, learned.wpe)
    for name, start in (("second piece at 3", 3), ("start forgotten", 0)):
        back = embed(unseen[:, 3:], learned.wte, learned.wpe, start)
        loss = F.cross_entropy(learned.read(torch.cat([front, back], dim=1)), who).item()
        print(f"{name:18} loss {loss:.2f}")

# %% [markdown]
# Far worse than a coin toss, and without any error. The mistake waits wherever a model writes token by token:
# if `start` is forgotten, every new token is "the first word" again. Lesson 12 comes back to it.
#
# **Before you go:** somebody doubles the rows of a trained GPT-2's `wpe` to 2048, fills the new ones with
# random numbers, and gives it a text of 1500 tokens. What will happen?
#
# <details><summary>A. An IndexError at token 1025</summary>
# The table is long enough now, so there is a row for every position and nothing to complain about.
# </details>
# <details><summary>B. It reads 1500 tokens as well as 1000</summary>
# The words still have good rows, but from position 1024 on a random row is added to each, and no matrix
# in the model has ever seen such sums.
# </details>
# <details><summary>C. It runs, and its predictions get bad beyond position 1023</summary>
# Yes. The new rows have to be trained before they mean anything, like rows 6 and 7 above.
# </details>

# %% [markdown]
# ## What you have
#
# `embed` is the whole front of GPT-2: `x = wte[idx] + wpe[position]`, shape (B, T, C), which word and
# where. Without it, attention that reads the whole text sees a bag of words, and a masked one has to work
# the order out. `sinusoidal_positions` computes such rows by rule; GPT-2 learned its own, and where they
# end, its context ends.
#
# How much of GPT-2 sits in this table? In the four released sizes:

# %%
for name, config in RELEASED.items():
    in_table, total = config.n_ctx * config.n_embd, count_parameters(config)
    size = f"{config.n_ctx:,} × {config.n_embd:,} = {in_table:,}"
    print(f"{name:12} {size:25} of {total:13,} parameters: {in_table / total:.2%}")

# %% [markdown]
# Less than one percent: knowing where costs little. All four have the same 1024 rows, twice the 512 of GPT.
#
# **Sources.** Vaswani et al. 2017, *Attention Is All You Need*, section 3.5 (sinusoidal and learned
# positions) and table 3, row E (their comparison); Radford et al. 2018, *Improving Language Understanding
# by Generative Pre-Training*, section 4.1 (learned positions); Radford et al. 2019, *Language Models are
# Unsupervised Multitask Learners*, section 2.3 (context of 1024); Su et al. 2021, *RoFormer: Enhanced
# Transformer with Rotary Position Embedding*, section 3.
#
# **Next:** each row now knows its word and its place, and nothing of the others. Lesson 05 lets them read
# each other.
