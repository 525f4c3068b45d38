# %% [markdown]
# # 09 · The block
#
# Attention gives each token a row that holds something of the others; the MLP gives it a row that was
# thought over. **What becomes of the row that went in? And how can twelve such layers stand on top of
# each other without the numbers growing, or fading, out of reach?**
#
# - **In:** x `(B, T, C)`: B texts, T tokens in each, C numbers for each token.
# - **Out:** x `(B, T, C)`: the same shape, so that another block can follow.
# - **Time:** about 115 minutes. Two exercises: `layer_norm` and `Block`.

# %% [markdown]
# First the tools. What you have built in lessons 05 to 08 is yours here, if it passed; the line below the
# cell says whose it is.

# %%
import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from gpt2course import check
from gpt2course.config import GPT2Config
from gpt2course.inspection import activations
from gpt2course.lessons.block import (
    blocks_to_play, learning_curves, matrices, norm_steps, pipeline, through_depth, wiring,
)
from gpt2course.mine import MLP, CausalSelfAttention, attention_scores, attention_weights
from gpt2course.mine import blend_values, causal_mask, merge_heads, split_heads
from gpt2course.model import GPT2, count_parameters

torch.set_num_threads(1);  # such small matrices gain nothing from more

# %% [markdown]
# The lit box is this lesson: the frame around attention and MLP. Find the two circles with a plus, and
# the dashed line that leads past the boxes to each of them.

# %%
pipeline("09_block")

# %% [markdown]
# ## 1. Size matters
#
# Four words, eight random numbers each. Each word asks and is asked with its own row (queries = keys = x),
# and attention makes weights of the scores. Now multiply all rows by 0.1, or by 5. The rows still *point*
# the same way. Do the weights stay the same?

# %%
words = ["robot", "must", "obey", "orders"]
rows = torch.randn(4, 8, generator=torch.Generator().manual_seed(4))
sized = {size: attention_weights(attention_scores(size * rows, size * rows)) for size in (0.1, 1, 5)}
matrices([(f"weights, rows times {size}", w) for size, w in sized.items()], words, words, (0.0, 1.0))

# %% [markdown]
# They do not. Small rows give every word nearly the same share, 25 %, and there is nothing to see. Large
# rows give nearly every word all of one word, and a softmax that is so sure has no slope left to learn by
# (lesson 05). The size at which attention can tell more from less lies between the two. It is the same
# with the MLP: a GELU bends only where its input is not far from 0. So before a layer reads a row, the
# row is brought to a size that the layer can count on.
#
# ## 2. LayerNorm by hand
#
# The row of *robot* has three numbers: 1, 2 and 6. We want them to lie around 0, and to be about as large
# as 1. First step: find the mean and subtract it. Second step: how large are the differences? The
# **variance** is the mean of their squares, and its root, the **deviation**, is their typical size. Third
# step: divide by that. The first two steps can be done in the head; then look at the picture.

# %%
robot = [1.0, 2.0, 6.0]
mean = sum(robot) / 3
centred = [number - mean for number in robot]
variance = sum(difference**2 for difference in centred) / 3
by_hand = [difference / math.sqrt(variance) for difference in centred]
norm_steps({"robot": robot, "minus the mean": centred, "divided by the deviation": by_hand})

# %% [markdown]
# The order stays, and so do the proportions of the distances: 2 is as much nearer to 1 than to 6 as it
# was. Only where the row lies, and how wide it is, are gone: its mean is 0 and its variance 1. This is
# **layer normalisation**, LayerNorm.
#
# Here are rows for all four words. *must* has ten times the numbers of *robot*, *obey* a hundredth of
# them. In *orders* all three are 5.

# %%
x = torch.tensor([[1.0, 2, 6], [10, 20, 60], [0.01, 0.02, 0.06], [5, 5, 5]])  # (T, C) = (4, 3)
matrices([("x", x)], words)

# %% [markdown]
# **Predict.** What will the row of *must*, ten times as large as that of *robot*, be after the three steps?
#
# <details><summary>A. Ten times the row of robot</summary>
# So it would be if the mean alone were subtracted. But its deviation is ten times as large too, and the
# third step divides by that.
# </details>
# <details><summary>B. The same as the row of robot</summary>
# Yes. Mean, differences and deviation are all ten times as large, and in the division the ten cancels.
# </details>
# <details><summary>C. Smaller than the row of robot, since 60 is so far from the mean</summary>
# It is far from the mean in numbers. Counted in deviations, it is as far as 6 is in the row of robot.
# </details>

# %% [markdown]
# A loop does the same to each word. Row by row: a row is normed by **its own** mean and deviation, and
# no word looks at another. Before you run it: what happens to *orders*?

# %%
def three_steps(row):
    """The numbers of one row around 0, and divided by their deviation."""
    centred = row - row.mean()
    return centred / torch.sqrt((centred**2).mean())


row_by_row = torch.stack([three_steps(row) for row in x])
assert torch.allclose(row_by_row[0], torch.tensor(by_hand))
matrices([("normed, row by row", row_by_row)], words)

# %% [markdown]
# *must* and *obey* have become *robot*. But the differences of *orders* are 0, and so is its deviation; 0
# divided by 0 is `nan`, not a number. That is why a small number, **eps** (the Greek letter ε), is added
# to the variance, **under the root**. GPT-2 takes 0.00001, written `1e-5`. Watch two rows: *orders*, and
# *obey*.

# %%
def with_eps(row, eps=1e-5):
    """three_steps, with a divisor that is never 0."""
    centred = row - row.mean()
    return centred / torch.sqrt((centred**2).mean() + eps)


looped = torch.stack([with_eps(row) for row in x])
assert torch.allclose(looped[:2], row_by_row[:2], atol=1e-4)
matrices([("with eps", looped)], words)

# %% [markdown]
# *orders* is a row of zeros now: it said nothing, and says nothing. *obey* has lost about one in a
# hundred: its variance is so small that eps beside it begins to show. To *robot* and *must* eps makes no
# difference that could be seen.
#
# ### All rows at once
#
# `mean(dim=-1)` takes the mean along the last axis, over the C numbers of each word. With `keepdim=True` it
# comes back as a column, one mean beside each row, whatever axes stand in front. Which shape has
# `means`? And `variances`?

# %%
means = x.mean(dim=-1, keepdim=True)
variances = ((x - means) ** 2).mean(dim=-1, keepdim=True)
normed = (x - means) / torch.sqrt(variances + 1e-5)
assert torch.allclose(normed, looped)
print("x", tuple(x.shape), "  means", tuple(means.shape), "  normed", tuple(normed.shape))

# %% [markdown]
# ### Two small slips
#
# torch has `x.var()` for the variance and `x.std()` for its root. Unless told otherwise (`correction=0`),
# both divide the sum of the squares by C - 1 and not by C. (That is the *unbiased* variance, an estimate
# for numbers that were drawn from many more. Here there are no more: the row is all there is.) How much
# does it change at C = 3? And at 768, the width of the smallest GPT-2?

# %%
for n in (3, 768):
    ratio = math.sqrt((n - 1) / n)
    print(f"C = {n:3}: every number comes out as {ratio:.5f} of what it should be")
unbiased = (x[0] - x[0].mean()) / x[0].std()
assert torch.allclose(unbiased, math.sqrt(2 / 3) * normed[0], atol=1e-4)

# %% [markdown]
# With three numbers it is a fifth, with 768 less than one in a thousand: too little to notice, and enough
# to give other logits than the released GPT-2.
#
# The other slip is to add eps *outside* the root: deviation + 1e-5 in place of √(variance + 1e-5). Where
# the variance is large there is no difference. Here is the largest number of *robot* after the norm, and
# the same with the row a thousand times and a hundred thousand times narrower. In which column does the
# norm give up earlier?

# %%
print("   deviation     eps under the root     eps outside")
for narrower in (1, 1e3, 1e5):
    largest, deviation = centred[2] / narrower, math.sqrt(variance) / narrower
    under, outside = largest / math.sqrt(deviation**2 + 1e-5), largest / (deviation + 1e-5)
    print(f"{deviation:12.5f} {under:18.2f} {outside:18.2f}")

# %% [markdown]
# Under the root eps counts as a *variance*: it begins to show at deviations of √0.00001, about 0.003, and
# what is narrower fades out. Outside it counts as a deviation, and noise of the size 0.00002 is still
# blown up to almost full size.
#
# ### Weight and bias
#
# Mean 0 and variance 1 may not be the best for the layer that reads. So LayerNorm ends with two rows of C
# numbers that are learned: every column is multiplied by its own number in `weight`, and gets its own
# number in `bias` added. To begin with, `weight` is all ones and `bias` all zeros. Below they are not.
# Which column can you find again at a glance?

# %%
weight, bias = torch.tensor([1.0, 0.0, 2.0]), torch.tensor([0.0, 7.0, 0.0])
scaled = normed * weight + bias
matrices([("normed", normed), ("times weight, plus bias", scaled)], words)

# %% [markdown]
# ## Exercise: `layer_norm`
#
# All of it in one function: mean, variance, root with eps, then weight and bias, for rows of C numbers
# with any axes in front, or none. (A row whose numbers are all equal then comes out as the bias.) The result
# has the dtype of x. The trap of this exercise is a default value of torch that you have just met.
#
# <details><summary>Hint 1</summary>
# The cell with all rows at once is nearly all of it. Which three arguments does it not use yet?
# </details>
# <details><summary>Hint 2</summary>
# Always count the axis from the end, <code>dim=-1</code>, and keep it, <code>keepdim=True</code>. Nothing
# may be changed in place: in a block, x is still needed.
# </details>
# <details><summary>Hint 3</summary>
# <code>(x - mean) / root * weight + bias</code>, with <code>root = torch.sqrt(variance + eps)</code>.
# </details>

# %%
def layer_norm(
    x: Float[Tensor, "... C"],
    weight: Float[Tensor, "C"],
    bias: Float[Tensor, "C"],
    eps: float = 1e-5,
) -> Float[Tensor, "... C"]:
    """Each row with mean 0 and variance 1 (the mean of the squares), then scaled and shifted."""
    ### BEGIN SOLUTION
    mean = x.mean(dim=-1, keepdim=True)
    variance = x.var(dim=-1, keepdim=True, correction=0)
    return (x - mean) / torch.sqrt(variance + eps) * weight + bias
    ### END SOLUTION

# %%
layer_norm = check(layer_norm)

# %% [markdown]
# torch has a module for this, `nn.LayerNorm(C)`, with a `weight` and a `bias` of its own. Ours has to
# agree with it, on our rows and on a batch.

# %%
theirs = nn.LayerNorm(3)
batch = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(1))
for some in (x, batch):
    assert torch.allclose(layer_norm(some, theirs.weight, theirs.bias), theirs(some), atol=1e-5)
print("torch's module holds", {name: tuple(p.shape) for name, p in theirs.named_parameters()})

# %% [markdown]
# ### What it does not do
#
# The norm looks at a row as a whole. A row ten times as large and one a hundred times as small came out
# alike, and so would rows of size 1000 and 0.01. A number of size 1000 *beside* numbers of size 0.01, in
# one row, is another matter. What will the first three of these four become?

# %%
uneven = torch.tensor([[0.01, -0.02, 0.03, 1000.0]])
layer_norm(uneven, torch.ones(4), torch.zeros(4))

# %% [markdown]
# They agree to the third decimal, and what told them apart is nearly gone. The norm brings
# rows to one size; the columns within a row keep their proportions. (That is what `weight` is for: a
# column that is always large can be turned down, one that is always small turned up.)
#
# ## 3. The residual stream
#
# Now the other question: what becomes of the row that went in? It is **kept**. What a layer gives is
# *added* to it. Follow the thick line in the picture from left to right: this is the row of a token on
# its way through the block. Twice a copy is taken off, normed, and handed to a layer, and what the layer
# gives is added to the line. The line is called the **residual stream**.

# %%
wiring("pre-norm")

# %% [markdown]
# In code these are two lines. The parts are yours; the four words have eight numbers each now, and
# attention has two heads of four. (As in lesson 07 there is a batch axis in front: `(B, T, C)`.) The norms
# are torch's for the moment. Which shape has `from_attn`?

# %%
torch.manual_seed(2)
ln_1, attn, ln_2, mlp = nn.LayerNorm(8), CausalSelfAttention(8, 2), nn.LayerNorm(8), MLP(8)
stream = torch.randn(1, 4, 8)

with torch.no_grad():
    from_attn = attn(ln_1(stream))
    after_attn = stream + from_attn  # (1, 4, 8)
    from_mlp = mlp(ln_2(after_attn))
    after_mlp = after_attn + from_mlp  # (1, 4, 8)
print("from attention", tuple(from_attn.shape), "  from the MLP", tuple(from_mlp.shape))

# %% [markdown]
# A row that was added can be found again: what comes out, minus what went in, is the sum of the two
# additions. Below is the row of *obey* on its way, line by line. The third line is the sum of the first
# two, the fifth of the third and fourth.

# %%
assert torch.allclose(after_mlp - stream, from_attn + from_mlp, atol=1e-5)
way = torch.stack([part[0, 2] for part in (stream, from_attn, after_attn, from_mlp, after_mlp)])
steps = ["x", "+ attention", "x after it", "+ MLP", "x after it"]
matrices([("the row of obey", way)], steps, scale=(-2.5, 2.5))

# %% [markdown]
# **Predict.** Suppose that the last matrix of both layers, `c_proj`, holds nothing but zeros, and its bias
# too. What does the block give?
#
# <details><summary>A. Zeros</summary>
# Zeros are what the two layers give. But they are added to the stream, and the stream is still there.
# </details>
# <details><summary>B. x, as it came in</summary>
# Yes. The block adds nothing, twice. A block that has learned nothing yet can do no harm, and one that has
# something to say adds it.
# </details>
# <details><summary>C. x with mean 0 and variance 1</summary>
# The norms stand in front of the layers, on the branches. The stream itself passes by them, and comes out
# as wide as it went in.
# </details>

# %% [markdown]
# ## Exercise: `Block`
#
# A module with four parts, called `ln_1`, `attn`, `ln_2` and `mlp`, as in the released checkpoint, and
# the two lines as its `forward`. What is read is normed; what is added to is not: the trap here is to let
# the stream itself go through a norm. The result has the dtype of x.
#
# `LayerNorm` is given: your `layer_norm`, with a weight and a bias that training can move (`nn.Parameter`
# tells the module that they are its own). It stands in the same cell so that your `Block` takes it along
# to the next lessons.
#
# <details><summary>Hint 1</summary>
# Make the four parts in <code>__init__</code>, after <code>super().__init__()</code>. Attention needs
# <code>n_embd</code> and <code>n_head</code>, the others only the width.
# </details>
# <details><summary>Hint 2</summary>
# Two lines, and both begin with <code>x = x + …</code>. The second one reads the x that the first one made.
# </details>
# <details><summary>Hint 3</summary>
# <code>x = x + self.attn(self.ln_1(x))</code>. The line of the MLP looks the same, with its own norm.
# </details>

# %%
class LayerNorm(nn.Module):  # layer_norm with a weight and a bias of its own
    def __init__(self, n_embd: int):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(n_embd)), nn.Parameter(torch.zeros(n_embd))

    def forward(self, x):
        return layer_norm(x, self.weight, self.bias)


class Block(nn.Module):
    """Attention, then the MLP: each reads the normed stream, and adds to the stream itself."""

    def __init__(self, n_embd: int, n_head: int):
        ### BEGIN SOLUTION
        super().__init__()
        self.ln_1, self.attn = LayerNorm(n_embd), CausalSelfAttention(n_embd, n_head)
        self.ln_2, self.mlp = LayerNorm(n_embd), MLP(n_embd)
        ### END SOLUTION

    def forward(self, x: Float[Tensor, "B T C"]) -> Float[Tensor, "B T C"]:
        ### BEGIN SOLUTION
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))
        ### END SOLUTION

# %%
Block = check(Block)

# %% [markdown]
# With the same parts, the module gives what the two lines gave. And the prediction: without its two
# `c_proj` the block hands on what it gets, to the last digit.

# %%
same = Block(8, 2)
same.attn.load_state_dict(attn.state_dict())
same.mlp.load_state_dict(mlp.state_dict())
assert torch.allclose(same(stream), after_mlp, atol=1e-5)

silent = Block(8, 2)
for parameter in (*silent.attn.c_proj.parameters(), *silent.mlp.c_proj.parameters()):
    nn.init.zeros_(parameter)
assert torch.equal(silent(stream), stream)

# %% [markdown]
# ## 4. The stream through many blocks
#
# Blocks are stacked: what one gives, the next one reads. Let us watch the stream in a GPT-2 of 12 blocks
# with random weights, the package's own (you build yours in lesson 10), 128 numbers wide. `activations`
# runs it once and keeps what happens on the way. The **length** of a row is the root of the sum of its
# squares; each curve is the mean over four tokens. What do attention and MLP add, and how does the stream
# grow?

# %%
def fresh_gpt2(n_layer, scaled=True):
    """A GPT-2 as it is before training; scaled=False leaves out what is explained below."""
    torch.manual_seed(0)
    config = GPT2Config(n_layer=n_layer, n_head=2, n_embd=128, n_ctx=4, vocab_size=4)
    model = GPT2(config).requires_grad_(False)
    for block in model.h:
        for part in (block.attn, block.mlp):
            part.c_proj.weight.mul_(1.0 if scaled else math.sqrt(2 * n_layer))
    return model

# %% [markdown]
# `.stream` is the list of the 13 streams, before the first block and after each. `.blocks` holds what was
# added in each. (All matrices are drawn alike here. GPT-2 does one thing more, which comes after this.)

# %%
def length(x):
    """The length of a row, as the mean over all rows."""
    return x.norm(dim=-1).mean().item()


idx = torch.tensor([[0, 1, 2, 3]])
seen = activations(fresh_gpt2(12, scaled=False), idx)
curves = {
    "the stream": [length(x) for x in seen.stream],
    "what attention adds": [math.nan, *(length(b.attn_out) for b in seen.blocks)],
    "what the MLP adds": [math.nan, *(length(b.mlp_out) for b in seen.blocks)],
}
through_depth({"length of a row": curves}, "Every block adds about as much; the stream adds it up")

# %% [markdown]
# The additions stay as long as they are, for what the layers read is normed. The stream grows, but less
# and less. It is far shorter than all the additions laid end to end: they point in all directions, and what
# stands at right angles adds up in squares. So after N additions of length a the stream is about √N · a
# long.

# %%
at_the_end = curves["the stream"][-1]
pieces = [length(seen.stream[0])] + [length(y) for b in seen.blocks for y in (b.attn_out, b.mlp_out)]
expected = math.sqrt(sum(piece**2 for piece in pieces))
assert abs(expected / at_the_end - 1) < 0.15
print(f"{len(pieces)} pieces, end to end: {sum(pieces):.2f}; at right angles: {expected:.2f}")
print(f"the stream at the end: {at_the_end:.2f}")

# %% [markdown]
# So the stream of 48 blocks would end twice as long as that of 12 (√4 = 2), before anything is learned.
# GPT-2 scales this away: with N = 2 · n_layer additions, the two matrices that write to the stream, both
# called `c_proj`, are divided by √N at the start. What do you expect in the right panel for 12, 24 and 48
# blocks?

# %%
def stream_lengths(n_layer, scaled):
    return [length(x) for x in activations(fresh_gpt2(n_layer, scaled), idx).stream]


depths = (12, 24, 48)
panels = {
    "length, drawn as they are": {f"{n} blocks": stream_lengths(n, False) for n in depths},
    "length, c_proj divided by √N": {f"{n} blocks": stream_lengths(n, True) for n in depths},
}
through_depth(panels, "Divided by √N, the stream ends at one length, however deep the stack")

# %% [markdown]
# On the left the deeper stack ends higher; on the right all three end at the same height. (Mind the two
# scales.) However many blocks there are, what they add at the start is of one size.
#
# ## 5. Break it: without the addition, without the norm
#
# Is all of this needed? Three blocks that leave something out. They have the same parts as yours; only
# `forward` differs.

# %%
class NoAddition(Block):
    def forward(self, x):
        return self.mlp(self.ln_2(self.attn(self.ln_1(x))))


class NoNorm(Block):
    def forward(self, x):
        x = x + self.attn(x)
        return x + self.mlp(x)


class Neither(Block):
    def forward(self, x):
        return self.mlp(self.attn(x))

# %% [markdown]
# A stack of each, 24 high. The matrices are drawn such that a layer gives back about the size that it gets
# (normal numbers with variance 2 / (inputs + outputs), named after Glorot or Xavier), so that nothing
# grows or fades because of a careless start. (`nn.ModuleList` is a list of modules that knows their
# parameters, so that `named_parameters` gives those of all blocks.)

# %%
C, n_head = 64, 4


def stack(kind, n_layer, width=C, seed=0):
    """n_layer new blocks, their matrices drawn to keep the size of what goes through."""
    torch.manual_seed(seed)
    blocks = nn.ModuleList(kind(width, n_head) for _ in range(n_layer))
    for name, parameter in blocks.named_parameters():
        if parameter.ndim == 2:
            nn.init.xavier_normal_(parameter)
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)
    return blocks

# %% [markdown]
# We send eight texts of four random rows through, and measure two things after every block. One is the
# length of a row. The other is how alike the rows of *different* tokens of a text are, by their cosine: 1
# means that they point the same way, and the tokens can no longer be told apart. Which curve would you like
# to see for each? (`.mT` turns the last two axes of a tensor, whatever stands in front.)

# %%
def along(blocks, x):
    """x, and what it is after each block."""
    streams = [x]
    for block in blocks:
        streams.append(block(streams[-1]))
    return streams


def likeness(x):
    """The mean cosine between the rows of two different tokens of a text."""
    direction = x / x.norm(dim=-1, keepdim=True)
    apart = ~torch.eye(x.shape[1], dtype=torch.bool)
    return (direction @ direction.mT)[:, apart].mean().item()

# %% [markdown]
# First the length. Mind the axis: from one mark to the next it is a hundred times as much. Which of the
# four stay where they began?

# %%
kinds = {"norm and addition": Block, "norm, no addition": NoAddition,
         "addition, no norm": NoNorm, "neither": Neither}
inputs = torch.randn(8, 4, C, generator=torch.Generator().manual_seed(1))
with torch.no_grad():
    ways = {name: along(stack(kind, 24), inputs) for name, kind in kinds.items()}
lengths = {name: [length(x) for x in way] for name, way in ways.items()}
through_depth({"length of a row": lengths}, "Only a norm keeps the size", log=True)

# %% [markdown]
# And the cosine. Random rows begin near 0. How many blocks does it take until the tokens are one?

# %%
cosines = {name: [likeness(x) for x in way] for name, way in ways.items()}
assert cosines["norm, no addition"][8] > 0.95 > cosines["norm and addition"][24]
through_depth({"cosine between two tokens": cosines}, "Without the addition the tokens become one")

# %% [markdown]
# - **addition, no norm**: the stream grows from block to block, in the end more than a thousandfold. (Its
#   tokens grow alike too: what was added early is drowned by what is added later.)
# - **norm, no addition**: the size is kept, but after six or so blocks all tokens of a text are the same
#   row. Attention blends, the next one blends the blends, and nothing brings back the word that a row
#   began with.
# - **neither**: the tokens become one, and that one fades.
# - **norm and addition** grows moderately. Its tokens grow alike too, from a cosine of 0.03 to more than 0.7,
#   but they do not become one.
#
# ### The way back
#
# Learning runs the other way: from the loss back to every number that could be moved. A **gradient**
# (lesson 05) says how much the loss moves when a number is nudged. We make a loss of the last stream, by
# scoring 50 words at random, and ask for the gradient of the stream in front of every block. Where it is
# tiny, the blocks before it hear nothing; where it is huge, one step throws everything about.
# (`torch.autograd.grad(loss, tensors)` gives the gradient of the loss by each of these tensors.)

# %%
answers = torch.randint(50, (8, 4), generator=torch.Generator().manual_seed(2))
table = torch.randn(50, C, generator=torch.Generator().manual_seed(3)) / math.sqrt(C)


def loss_of(x):
    """How badly the rows score the right one of 50 words."""
    return F.cross_entropy((x @ table.T).flatten(0, 1), answers.flatten())


def gradient_lengths(blocks):
    """The length of the loss's gradient by the stream in front of each block."""
    streams = along(blocks, inputs.clone().requires_grad_())
    loss = loss_of(F.layer_norm(streams[-1], (C,)))
    return [g.norm().item() for g in torch.autograd.grad(loss, streams[:-1])]

# %% [markdown]
# **Predict:** which of the four will have the smallest gradient at block 1, and by what factor? A
# hundred? A million?

# %%
backwards = {name: gradient_lengths(stack(kind, 24)) for name, kind in kinds.items()}
assert backwards["neither"][0] < 1e-12 * backwards["neither"][-1]
assert max(backwards["norm and addition"]) < 10 * min(backwards["norm and addition"])
title = "With neither, block 1 hears next to nothing; with both, the gradient arrives"
through_depth({"length of the gradient": backwards}, title, first=1, log=True)

# %% [markdown]
# Read from right to left, as the gradient runs. With **neither**, what comes to block 1 is less than
# a millionth of a millionth of what block 24 gets. With the **addition alone** it grows and grows, as the
# stream did, and in jumps: at some blocks more than twentyfold, at others hardly at all. With **both**
# it stays of one size, give or take a factor of ten: the sum `x + …` hands the gradient on undiminished,
# past every layer, to the first block.
#
# And the norm without the addition? The size of its gradient looks harmless. What you saw above is not in
# this picture: all tokens have become one row, so there is nothing left that the gradient could tell
# apart. A number that looks healthy does not mean that the model is. We will see whether it learns.
#
# ## 6. Norm before or after
#
# The transformer of 2017, and the first GPT, had the norms elsewhere: after the addition, around the
# stream itself. That is called **post-norm**. GPT-2 moved them to the front: **pre-norm**. In
# the picture, follow the thick line of both: through how many norms does it go?

# %%
wiring("pre-norm", "post-norm")

# %% [markdown]
# One more wiring of the same four parts. (A post-norm stack needs no norm at its end, having one there. A
# pre-norm stack gets one more, `ln_f`, since nobody has normed its stream: lesson 10.)

# %%
class PostNorm(Block):
    def forward(self, x):
        x = self.ln_1(x + self.attn(x))
        return self.ln_2(x + self.mlp(x))

# %% [markdown]
# Before training: how large is the gradient of the MLP's first matrix, `c_fc`, in each of 24 blocks? It
# says how hard the loss pulls at that matrix. (`nn.Identity()` gives back what it gets: no norm at the
# end.)

# %%
def matrix_gradients(blocks, end):
    """The length of the gradient of c_fc in each block; `end` is what stands after the stack."""
    loss = loss_of(end(along(blocks, inputs)[-1]))
    first_matrices = [block.mlp.c_fc.weight for block in blocks]
    return [g.norm().item() for g in torch.autograd.grad(loss, first_matrices)]


ends = {"pre-norm": (Block, nn.LayerNorm(C)), "post-norm": (PostNorm, nn.Identity())}
at_start = {name: matrix_gradients(stack(kind, 24), end) for name, (kind, end) in ends.items()}
through_depth({"gradient of c_fc": at_start},
              "Post-norm: larger gradients, above all late (but not in block 1)", first=1)  # fmt: skip

# %% [markdown]
# In the pre-norm stack the later blocks get smaller gradients. What an early block adds is also read
# by all blocks after it; what the last one adds goes to the norm at the end alone, which divides by the
# size that the whole stream has by then. In the post-norm stack the stream is brought back to one size
# in every block. And if the stack gets deeper? The gradient in the **last** block:

# %%
for n_layer in (6, 12, 24, 48):
    last = {name: matrix_gradients(stack(kind, n_layer), end)[-1] for name, (kind, end) in ends.items()}
    print(f"{n_layer:2} blocks: " + ", ".join(f"{name} {g:.2f}" for name, g in last.items()))

# %% [markdown]
# The deeper the pre-norm stack, the gentler the pull; in the post-norm stack it stays what it was. Xiong
# and others (2020, see the sources) worked this out, and take it for the reason why post-norm models have
# to be started with very small steps, which then grow: *warm-up* (lesson 13).
#
# ## 7. Let them learn
#
# Gradients at the start are a hint; learning is the test. The language of lesson 06: twelve words, after
# each one of three follows, all three equally likely. The best possible loss is `ln 3`, the floor.
# Knowing only how often each word occurs gives the upper line in the picture.

# %%
V, T, width = 12, 8, 32  # words in the language, words that are read, width of the models
random = torch.Generator().manual_seed(0)
followers = torch.stack([torch.randperm(V, generator=random)[:3] for _ in range(V)])  # (V, 3)


def sentences(n, generator):
    """n random sentences (n, T + 1)."""
    idx = torch.randint(V, (n, 1), generator=generator)
    for _ in range(T):
        choice = torch.randint(3, (n, 1), generator=generator)
        idx = torch.cat([idx, followers[idx[:, -1]].gather(1, choice)], dim=1)
    return idx

# %% [markdown]
# Embeddings, eight blocks of one kind, scores for the next word. Each kind starts from the same weights
# and reads the same sentences, 60 steps. The learning **rate** says how large a step is: 0.006, and for
# pre-norm and post-norm once more 0.001.

# %%
def learn(kind, rate, n_layer=8):
    """The loss at every step of training a stack of this kind of block."""
    blocks = nn.Sequential(*stack(kind, n_layer, width, seed=1))
    end = nn.Identity() if kind is PostNorm else nn.LayerNorm(width)
    wte, wpe, head = nn.Embedding(V, width), nn.Embedding(T, width), nn.Linear(width, V)
    parts, curve = nn.ModuleList([blocks, end, wte, wpe, head]), []
    optimizer, generator = torch.optim.AdamW(parts.parameters(), lr=rate), torch.manual_seed(2)
    for idx in [sentences(16, generator) for _ in range(60)]:
        logits = head(end(blocks(wte(idx[:, :-1]) + wpe.weight)))
        loss = F.cross_entropy(logits.flatten(0, 1), idx[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        curve.append(loss.item())
    return curve

# %% [markdown]
# Some seconds. **Predict:** which of the six will be able to learn?
#
# <details><summary>A. All but "no norm": its gradients are too large, the others' are fine</summary>
# So one would say from the size of the gradients. Look once more at the picture of the cosines: a stack
# that cannot tell its tokens apart has fine gradients and nothing to learn from.
# </details>
# <details><summary>B. Pre-norm at both rates, and post-norm with small steps</summary>
# Yes. With the larger steps post-norm does not come off the ground at this depth.
# </details>
# <details><summary>C. All six, at different speeds</summary>
# With two blocks that is so: try <code>n_layer=2</code> afterwards. Eight are too many for a stack that
# loses its tokens or its size on the way.
# </details>

# %%
tried = {"pre-norm": (Block, 6e-3), "post-norm": (PostNorm, 6e-3),
         "post-norm, rate 0.001": (PostNorm, 1e-3), "no addition": (NoAddition, 6e-3),
         "no norm": (NoNorm, 6e-3), "pre-norm, rate 0.001": (Block, 1e-3)}
losses = {name: learn(kind, rate) for name, (kind, rate) in tried.items()}
often = sentences(2000, torch.Generator().manual_seed(5))[:, 1:].flatten().bincount() / (2000 * T)
guess = -(often * often.log()).sum().item()
learning_curves(losses, math.log(3), guess, "Eight blocks deep: at rate 0.006 only pre-norm learns")

# %% [markdown]
# At rate 0.006 only the pre-norm stack learns. With the smaller steps both pre-norm and post-norm do,
# more slowly, and pre-norm is ahead. The others stay at the line of those who know how often each word
# occurs, and have not looked at a single neighbour.
#
# ## 8. Three blocks from the same parts
#
# In 2017 there were two kinds of block. An **encoder** block read the text that was to be translated; a
# **decoder** block wrote the translation, and had a third layer between the other two:
# **cross-attention**, in which the queries come from the text that is written, and the keys and values
# from the encoder's output. You will read that a decoder needs an encoder to attend to. GPT-2's block is
# a decoder block from which that layer has been dropped. (In 2017 these were post-norm; we build all
# three as pre-norm, so that they differ in nothing but who reads whom.)
#
# One function for all: attention whose queries come from `x`, keys and values from `source`, and a mask
# that says who may read whom. It borrows the matrices of your `CausalSelfAttention`.

# %%
def attend(part, x, source, may_read):
    """Attention from x to source with the matrices of `part`; `may_read` is its mask (T, S)."""
    q = part.c_attn(x).chunk(3, dim=-1)[0]
    _, k, v = part.c_attn(source).chunk(3, dim=-1)
    q, k, v = (split_heads(rows, n_head) for rows in (q, k, v))
    scores = attention_scores(q, k).masked_fill(~may_read, -math.inf)
    return part.c_proj(merge_heads(blend_values(attention_weights(scores), v)))


def everything(x, source):
    """A mask that hides nothing."""
    return torch.ones(x.shape[1], source.shape[1], dtype=torch.bool)

# %% [markdown]
# The three blocks. All share one `block` with its four parts; the decoder has `cross` besides, a norm and
# an attention, and is given `memory`, what the encoder made of the other text. Compare them line by line:
# what differs between the first two? Between the last two?

# %%
def encoder(block, x):
    h = block.ln_1(x)
    x = x + attend(block.attn, h, h, everything(h, h))
    return x + block.mlp(block.ln_2(x))


def decoder(block, x, cross, memory):
    h = block.ln_1(x)
    x = x + attend(block.attn, h, h, causal_mask(h.shape[1], h.shape[1]))
    x = x + attend(cross.attn, cross.ln(x), memory, everything(x, memory))
    return x + block.mlp(block.ln_2(x))


def decoder_only(block, x):
    h = block.ln_1(x)
    x = x + attend(block.attn, h, h, causal_mask(h.shape[1], h.shape[1]))
    return x + block.mlp(block.ln_2(x))

# %% [markdown]
# Encoder to decoder: the mask, and one line more, with `cross`. Decoder to decoder-only: that line is gone
# again. So the encoder and the decoder-only block differ in the mask alone.
#
# ### What each can see
#
# We do not take the masks' word for it, and measure. Change the row of one word that goes in, and look
# which rows that come out have moved. Nine words go in: a German sentence of five, and four English ones
# that are the block's own. (The rows are random; the words say which is which.) The German ones go
# through an encoder block first, `reader`; the decoder is the only one with a place for them. The `assert`
# says that `decoder_only` is nothing but your `Block`.

# %%
torch.manual_seed(6)
shared, reader = Block(C, n_head), Block(C, n_head)
cross = nn.ModuleDict({"ln": nn.LayerNorm(C), "attn": CausalSelfAttention(C, n_head)})
assert torch.allclose(decoder_only(shared, inputs), shared(inputs), atol=1e-5)

german, n_german = ["ein", "Roboter", "muss", "Befehlen", "gehorchen"], 5
nine = torch.randn(1, 9, C)
runs = {
    "encoder": lambda x: encoder(shared, x[:, n_german:]),
    "decoder with cross-attention": lambda x: decoder(
        shared, x[:, n_german:], cross, memory=encoder(reader, x[:, :n_german])
    ),
    "decoder-only, as in GPT-2": lambda x: decoder_only(shared, x[:, n_german:]),
}

# %% [markdown]
# One number of one row is changed, and the distance is measured. (Not all numbers
# of the row: the norm subtracts the mean, and behind it nothing would be left of the change.)

# %%
@torch.no_grad()
def reads(run, x):
    """How far each row that comes out moves when row j that goes in is changed: (T out, T in)."""
    before, columns = run(x), []
    for j in range(x.shape[1]):
        changed = x.clone()
        changed[:, j, 0] += 1
        columns.append((run(changed) - before)[0].norm(dim=-1))
    return torch.stack(columns, dim=1)


moved = {name: reads(run, nine) for name, run in runs.items()}
matrices([(f"{name}: what moves", m > 0) for name, m in moved.items()], words, german + words)

# %% [markdown]
# A tick says: this result (row) moves with that input (column), so it reads it.
#
# - The **encoder** reads all of its own words, in both directions, and has no place for another text.
# - The **decoder** reads its own past, and *all* of the German sentence.
# - The **decoder-only** block reads its own past, and that is all there is. It needs no encoder.
#
# The next cell holds these claims against what was measured, and then you can play. Pick a block, and the
# word that is changed; lines lead to what moves. Which change moves everything, in all the blocks that
# read it? Which one moves a single result?

# %%
past = causal_mask(4, 4)
assert (moved["encoder"][:, n_german:] > 0).all() and not moved["encoder"][:, :n_german].any()
with_cross, alone = moved["decoder with cross-attention"], moved["decoder-only, as in GPT-2"]
assert (with_cross[:, :n_german] > 0).all() and torch.equal(with_cross[:, n_german:] > 0, past)
assert not alone[:, :n_german].any() and torch.equal(alone[:, n_german:] > 0, past)
blocks_to_play(moved, words, german)

# %% [markdown]
# <details><summary>Answers, after you have tried</summary>
# A change of <i>robot</i>, the first of the own words, moves every result in all three blocks. A change of
# <i>orders</i>, the last one, moves its own result alone, except in the encoder. A German word moves either
# everything, in the decoder, or nothing. And the thick line always leads to the word's own result: that is
# the residual stream.
# </details>
#
# How can a decoder-only block translate, then? It gets the German sentence as part of **its own** text, in
# front of the English one, and reads it as its past: lesson 17. And what did GPT-2 save by dropping the
# layer, at its width of 768?

# %%
with torch.device("meta"):  # shapes alone, no memory
    dropped = nn.ModuleList([nn.LayerNorm(768), CausalSelfAttention(768, 12)])
n_dropped = sum(p.numel() for p in dropped.parameters())
print(f"{n_dropped:,} parameters in each block, {12 * n_dropped:,} in twelve")

# %% [markdown]
# ## 9. "GPT-2 differs from GPT only in its data"
#
# You will read this as well. The data is another (WebText), and so is the size. But the paper names changes
# to the model and its training besides, and you have seen two of them at work in this
# lesson. The last column says where the others are:
#
# | GPT (2018) | GPT-2 (2019) | where it is seen |
# |---|---|---|
# | norm after each addition | norm in front of each layer | sections 6 and 7: deep stacks learn |
# | no norm at the end of the stack | one more, `ln_f` | lesson 10: nobody else norms the stream |
# | residual matrices as they are drawn | divided by √N at the start | section 4: depth no longer adds length |
# | context of 512 tokens, 40,000 merges | context of 1024 tokens, 50,000 merges | lessons 02 and 04 |
# | batches of 64 sequences | batches of 512 sequences | lesson 13 |
#
# ## What you have
#
# `layer_norm` gives a row a size that the next layer can count on. `Block` lets attention and MLP read
# the normed stream and add to the stream itself, so that every word keeps its own row through the whole
# stack and the gradient finds its way back. Leave out the addition, and a deep stack can no longer tell
# its words apart; leave out the norm, and the sizes run away. GPT-2's block is a decoder block without
# the layer for another text.
#
# The numbers of this stage in the smallest GPT-2:

# %%
config = GPT2Config()
with torch.device("meta"):
    one = Block(config.n_embd, config.n_head)
sizes = {name: sum(p.numel() for p in part.parameters()) for name, part in one.named_children()}
in_one, total = sum(sizes.values()), count_parameters(config)
print("one block:", ", ".join(f"{name} {n:,}" for name, n in sizes.items()))
print(f"together {in_one:,}; in {config.n_layer} blocks {config.n_layer * in_one:,}")
print(f"of {total:,} parameters that is {config.n_layer * in_one / total:.1%}")
assert in_one == 7_087_872

# %% [markdown]
# **Sources.** Ba, Kiros, Hinton 2016, *Layer Normalization*, section 3; He et al. 2016, *Deep Residual
# Learning for Image Recognition*, section 3 (the addition); Vaswani et al. 2017, *Attention Is All You
# Need*, section 3.1 (encoder and decoder, post-norm); Glorot and Bengio 2010, *Understanding the
# Difficulty of Training Deep Feedforward Neural Networks*, section 4.2 (how the matrices are drawn); Liu
# et al. 2018, *Generating Wikipedia by Summarizing Long Sequences*, section 4.2.3 (a decoder without an
# encoder); Radford et al. 2019, *Language Models are Unsupervised Multitask Learners*, section 2.3 (the
# changes from GPT); Xiong et al. 2020, *On Layer Normalization in the Transformer Architecture*, section
# 3 (pre-norm and post-norm); Dong, Cordonnier, Loukas 2021, *Attention is Not All You Need*, section 2
# (without the addition the rows become one).
#
# **Next:** the stack is complete but for its two ends. Lesson 10 puts the embedding in front of it and the
# scores behind it, and that is GPT-2.
