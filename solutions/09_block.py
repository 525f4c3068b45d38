# %% [markdown]
# # 09 · The block
#
# Attention computes one vector for each token, the MLP another. **What becomes of the vector that went in? And
# how can twelve such blocks be stacked without the numbers growing, or fading, out of reach?**
#
# - **In:** x `(B, T, C)`: C numbers for each of T tokens in B texts.
# - **Out:** x `(B, T, C)`: the same shape, so that another block can follow.
# - **Time:** 60 minutes for the core, 115 for everything.
# - **Exercises:** `layer_norm` ●●○○○ and `Block` ●●●○○.
#
# Keep at hand: the [cheat sheet](../docs/cheat_sheet.md), the [glossary](../docs/glossary.md), the
# [notation](../docs/notation.md), and [what well-known explanations get wrong](../docs/common_errors.md).

# %% [markdown]
# First the tools. The line below the cell says which parts are yours.

# %%
import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from gpt2course import check, kept_names, my_progress
from gpt2course.config import GPT2Config
from gpt2course.inspection import activations
from gpt2course.lessons.block import (
    blocks_to_play, learning_curves, matrices, norm_steps, through_depth, tower, wiring,
)
from gpt2course.mine import MLP, CausalSelfAttention, attention_scores, attention_weights
from gpt2course.mine import blend_values, causal_mask, merge_heads, split_heads
from gpt2course.model import GPT2, count_parameters

torch.set_num_threads(1);  # such small matrices gain nothing from more

# %% [markdown]
# The lit part is the frame around attention and the MLP, the block's two **sub-layers**. Find the two circles with
# a plus, and the thick line that leads past the boxes through both of them.

# %%
tower("09_block", kept_names())

# %% [markdown]
# ## 1. Size matters
#
# Four tokens, eight random numbers each; their vectors are queries and keys at once. Multiplied by 0.1, or by 5,
# they keep their directions. Do the attention weights stay the same?

# %%
words = ["robot", "must", "obey", "orders"]
rows = torch.randn(4, 8, generator=torch.Generator().manual_seed(4))
sized = {size: attention_weights(attention_scores(size * rows, size * rows)) for size in (0.1, 1, 5)}
matrices([(f"weights, x times {size}", w) for size, w in sized.items()], words, words, (0.0, 1.0))

# %% [markdown]
# No. Small vectors give every token about the same weight, 25 %. Large vectors give nearly all of it to one
# token, and a softmax that is so sure has no slope left to learn by ([lesson 05](05_self_attention.ipynb)). GELU,
# too, is a curve only near 0: to tiny vectors it is a straight line, to huge ones a kink. So a vector is brought to a reliable size before a sub-layer reads it.
#
# ## 2. LayerNorm by hand
#
# *robot* has three numbers: 1, 2 and 6. We want them around 0, and about as large as 1. First, subtract their
# mean. Second, square the differences: the mean of the squares is the **variance**, and its root, the **standard
# deviation**, is their typical size. Third, divide by that.

# %%
robot = [1.0, 2.0, 6.0]
mean = sum(robot) / 3
centred = [number - mean for number in robot]
variance = sum(difference**2 for difference in centred) / 3
by_hand = [difference / math.sqrt(variance) for difference in centred]
norm_steps({"robot": robot, "minus the mean": centred, "÷ standard deviation": by_hand})

# %% [markdown]
# The distances keep their proportions; only position and spread are gone. The mean is 0 and the variance 1. This
# is **layer normalisation**, or LayerNorm.
#
# Now all four tokens: *must* has ten times the numbers of *robot*, *obey* a hundredth, *orders* three fives.

# %%
x = torch.tensor([[1.0, 2, 6], [10, 20, 60], [0.01, 0.02, 0.06], [5, 5, 5]])  # (T, C) = (4, 3)
matrices([("x", x)], words, scale=(-10.0, 10.0))

# %% [markdown]
# **Predict.** What will the row of *must*, ten times that of *robot*, be after the three steps?
#
# <details><summary>A. Ten times the row of robot</summary>
# So it would be after the first step. But its standard deviation is ten times as large too, and the third step
# divides by that.
# </details>
# <details><summary>B. The same as the row of robot</summary>
# Yes. Mean, differences and standard deviation are all ten times as large, and in the division the ten cancels.
# </details>
# <details><summary>C. Smaller than the row of robot, since 60 is so far from the mean</summary>
# It is far from the mean in numbers. Counted in standard deviations, it is as far as 6 is in the row of robot.
# </details>

# %% [markdown]
# Each row is normalised by **its own** mean and standard deviation. What happens to *orders*?

# %%
def three_steps(row):
    """The numbers of one row around 0, divided by their standard deviation."""
    centred = row - row.mean()
    return centred / torch.sqrt((centred**2).mean())


row_by_row = torch.stack([three_steps(row) for row in x])
assert torch.allclose(row_by_row[0], torch.tensor(by_hand))
matrices([("normalised, row by row", row_by_row)], words)

# %% [markdown]
# *must* and *obey* have become *robot*. But for *orders* it is 0 / 0, which is `nan`, not a number. So a small
# number, **eps** (the Greek ε), is added to the variance, **under the root**. GPT-2 takes 0.00001, written
# `1e-5`. Watch *orders*, and *obey*.

# %%
def with_eps(row, eps=1e-5):
    """three_steps, with a divisor that is never 0."""
    centred = row - row.mean()
    return centred / torch.sqrt((centred**2).mean() + eps)


looped = torch.stack([with_eps(row) for row in x])
assert torch.allclose(looped[:2], row_by_row[:2], atol=1e-4)
matrices([("with eps", looped)], words)

# %% [markdown]
# *orders* is all zeros. *obey* has lost about one in a hundred: beside so small a variance eps begins to show.
#
# ### All rows at once
#
# `mean(dim=-1)` averages over the C numbers of each token, and `keepdim=True` keeps the result as a column. Which
# shapes have `means` and `variances`?

# %%
means = x.mean(dim=-1, keepdim=True)
variances = ((x - means) ** 2).mean(dim=-1, keepdim=True)
normalised = (x - means) / torch.sqrt(variances + 1e-5)
assert torch.allclose(normalised, looped)
print("means", tuple(means.shape), "  variances", tuple(variances.shape), "  x", tuple(normalised.shape))

# %% [markdown]
# Beware of `x.var()` and `x.std()`: by default they divide by C - 1 and not by C (the *unbiased* variance, an
# estimate from a sample; `correction=0` is plain). How much does that change at C = 3? And at GPT-2's 768?

# %%
for n in (3, 768):
    ratio = math.sqrt((n - 1) / n)
    print(f"C = {n:3}: every number comes out as {ratio:.5f} of what it should be")
unbiased = (x[0] - x[0].mean()) / x[0].std()
assert torch.allclose(unbiased, math.sqrt(2 / 3) * normalised[0], atol=1e-4)

# %% [markdown]
# At 768 less than one in a thousand: too little to notice, and enough for other logits than GPT-2 gives.
#
# ### Weight and bias
#
# LayerNorm ends with two learned vectors of C numbers: each column is multiplied by its number in `weight`, and its
# number in `bias` is added. (In a block a linear layer reads next. It could do this too, so some programs fold
# weight and bias into it.) Before training these are ones and zeros. Below they are not. Which column do you recognise?

# %%
weight, bias = torch.tensor([1.0, 0.0, 2.0]), torch.tensor([0.0, 7.0, 0.0])
scaled = normalised * weight + bias
matrices([("normalised", normalised), ("times weight, plus bias", scaled)], words)

# %% [markdown]
# ## Exercise: `layer_norm` ●●○○○ · 10 minutes
#
# All of it in one function: mean, variance, root with eps, weight and bias, for vectors of C numbers with any
# leading axes, or none. The result has the dtype of x. The trap is a default value that you have just met.
#
# <details><summary>Hint 1</summary>
# The cell with all rows at once is nearly all of it. Which three arguments does it not use yet?
# </details>
# <details><summary>Hint 2</summary>
# Count the axis from the end, <code>dim=-1</code>, and keep it, <code>keepdim=True</code>. Change nothing in
# place: in a block, x is still needed.
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
    """Each vector with mean 0 and variance 1 (the mean of the squares), then scaled and shifted."""
    ### BEGIN SOLUTION
    mean = x.mean(dim=-1, keepdim=True)
    variance = x.var(dim=-1, keepdim=True, correction=0)
    return (x - mean) / torch.sqrt(variance + eps) * weight + bias
    ### END SOLUTION

# %%
layer_norm = check(layer_norm)

# %% [markdown]
# torch has a module for this, `nn.LayerNorm(C)`. Does yours agree with it?

# %%
theirs = nn.LayerNorm(3)
batch = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(1))
for some in (x, batch):
    apart = (layer_norm(some, theirs.weight, theirs.bias) - theirs(some)).abs().max().item()
    assert apart < 1e-5, f"your layer_norm differs from torch's by {apart}; check it again"
    print(f"{tuple(some.shape)}: largest difference from torch's {apart:.1e}")
print("torch's module holds", {name: tuple(p.shape) for name, p in theirs.named_parameters()})

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ### Deeper: where eps belongs, and what LayerNorm cannot do
#
# eps outside the root, and large numbers beside small ones in one vector. Nothing later needs it; you can skip
# it.

# %% [markdown]
# A common slip adds eps *outside* the root: standard deviation + 1e-5 in place of √(variance + 1e-5). Where the
# variance is large there is no difference. Here is the largest number of *robot* after LayerNorm, and the same
# with the row a thousand and a hundred thousand times narrower. In which column does LayerNorm give up earlier?

# %%
print("deviation   eps under the root   eps outside")
for narrower in (1, 1e3, 1e5):
    largest, deviation = centred[2] / narrower, math.sqrt(variance) / narrower
    under, outside = largest / math.sqrt(deviation**2 + 1e-5), largest / (deviation + 1e-5)
    print(f"{deviation:9.5f} {under:20.2f} {outside:13.2f}   (outside: {outside / by_hand[2]:.0%} of full size)")

# %% [markdown]
# Under the root, eps counts as a *variance*: it begins to show at standard deviations of √0.00001, about 0.003,
# and anything narrower fades out. Outside, it counts as a standard deviation, and noise of the size 0.00002 is
# still blown up to two thirds of its full size.
#
# LayerNorm brings whole vectors to one size. A number of size 1000 *beside* numbers of size 0.01, in one vector,
# is another matter. What will the first three of these four become?

# %%
uneven = torch.tensor([[0.01, -0.02, 0.03, 1000.0]])
layer_norm(uneven, torch.ones(4), torch.zeros(4))

# %% [markdown]
# They agree to the third decimal, and what told them apart is nearly gone: the distances between the columns keep
# their proportions. (That is one use of `weight`: a column that is always large can be scaled down, one that is
# always small scaled up.)

# %% [markdown]
# ## 3. The residual stream
#
# What becomes of the vector that went in? It is **kept**. What a sub-layer gives is *added* to it; this is called
# a **residual connection**. Follow the thick line, a token's vector on its way through the block. Twice a copy is
# normalised and handed to a sub-layer, whose result is added to the line: the **residual stream**.

# %%
wiring("pre-norm")

# %% [markdown]
# In code these are two lines. The parts are yours, the norms torch's for the moment; attention has two heads of
# four numbers. Which shape has `from_attn`?

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
# The vector of *obey*: the third line is the sum of the first two, the fifth of the third and fourth.

# %%
way = torch.stack([part[0, 2] for part in (stream, from_attn, after_attn, from_mlp, after_mlp)])
steps = ["x", "+ attention", "x after it", "+ MLP", "x after it"]
matrices([("the vector of obey", way)], steps, scale=(-2.5, 2.5))

# %% [markdown]
# **Predict.** Suppose the last matrix of both sub-layers, `c_proj`, is all zeros, and its bias too. What does the
# block give?
#
# <details><summary>A. Zeros</summary>
# Zeros are what the two sub-layers give. But they are added to the stream, and the stream is still there.
# </details>
# <details><summary>B. x, as it came in</summary>
# Yes. The block adds nothing, twice. A block that has learned nothing yet can do no harm.
# </details>
# <details><summary>C. x with mean 0 and variance 1</summary>
# The norms are in front of the sub-layers, on the branches. The stream itself passes them by.
# </details>

# %% [markdown]
# ## Exercise: `Block` ●●●○○ · 12 minutes
#
# A module with four parts, called `ln_1`, `attn`, `ln_2` and `mlp` as in the released checkpoint, and the two
# lines as its `forward`. The result has the dtype of x. The trap: normalise what a sub-layer reads, not the
# stream itself.
#
# `LayerNorm` is given: your `layer_norm` with a weight and a bias that training can change (`nn.Parameter`), in
# the same cell, so that your `Block` takes it along to later lessons.
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
    """Attention, then the MLP: each reads the normalised stream, and adds to the stream itself."""

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
# With the same parts, the module must give what the two lines gave, and without its two `c_proj` what it gets:

# %%
same, silent = Block(8, 2), Block(8, 2)
for name, part in {"ln_1": ln_1, "attn": attn, "ln_2": ln_2, "mlp": mlp}.items():
    getattr(same, name).load_state_dict(part.state_dict())
for parameter in (*silent.attn.c_proj.parameters(), *silent.mlp.c_proj.parameters()):
    nn.init.zeros_(parameter)
two_lines = stream + attn(ln_1(stream))
two_lines = two_lines + mlp(ln_2(two_lines))
for name, block, expected in (("the two lines", same, two_lines), ("its input, c_proj at 0", silent, stream)):
    apart = (block(stream) - expected).abs().max().item()
    assert apart < 1e-5, f"your Block differs from {name} by {apart}; check it again"
    print(f"largest difference from {name}: {apart:.1e}")

# %% [markdown]
# ## 4. The stream through many blocks
#
# Here is the stream in an untrained GPT-2 of 12 blocks, 128 numbers wide. `activations` keeps what happens on the
# way: `.stream` is x before the first block and after each, `.blocks` what was added in each. So x is the embeddings
# plus all that was added so far, and a sub-layer can read what any earlier one has written. The **norm** of a
# vector (not LayerNorm) is its length, the root of the sum of its squares.

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
# What do attention and the MLP add, and how does the stream grow?

# %%
def mean_norm(x):
    """The norm of a vector, as the mean over all vectors."""
    return x.norm(dim=-1).mean().item()


idx = torch.tensor([[0, 1, 2, 3]])
seen = activations(fresh_gpt2(12, scaled=False), idx)
curves = {
    "the stream": [mean_norm(x) for x in seen.stream],
    "what attention adds": [math.nan, *(mean_norm(b.attn_out) for b in seen.blocks)],
    "what the MLP adds": [math.nan, *(mean_norm(b.mlp_out) for b in seen.blocks)],
}
through_depth({"norm of a vector": curves}, "Every block adds about as much; the stream adds it up")

# %% [markdown]
# The additions keep their size, for what the sub-layers read is normalised. The stream grows, but less than their
# sum: they are nearly at right angles, and so their *squares* add up (Pythagoras). N additions of norm a give
# about √N · a.

# %%
at_the_end = curves["the stream"][-1]
pieces = [mean_norm(seen.stream[0])] + [mean_norm(y) for b in seen.blocks for y in (b.attn_out, b.mlp_out)]
expected = math.sqrt(sum(piece**2 for piece in pieces))
assert abs(expected / at_the_end - 1) < 0.15
print(f"{len(pieces)} pieces, sum of norms: {sum(pieces):.2f}; at right angles: {expected:.2f}")
print(f"the stream at the end: {at_the_end:.2f}")

# %% [markdown]
# So the stream of 48 blocks would end twice as long as that of 12. GPT-2 prevents that: with N = 2 · n_layer
# additions, the two matrices that write to the stream, both called `c_proj`, are divided by √N before training.
# What do you expect in the right panel?

# %%
def stream_norms(n_layer, scaled):
    return [mean_norm(x) for x in activations(fresh_gpt2(n_layer, scaled), idx).stream]


depths = (12, 24, 48)
panels = {
    "norm, drawn as they are": {f"{n} blocks": stream_norms(n, False) for n in depths},
    "norm, c_proj divided by √N": {f"{n} blocks": stream_norms(n, True) for n in depths},
}
through_depth(panels, "Divided by √N, the stream ends at one norm, however deep the stack")

# %% [markdown]
# On the right all three end at the same height.
#
# ## 5. Norm before or after
#
# The transformer of 2017, and the first GPT, had **post-norm**: after the addition, on the stream itself. GPT-2
# moved the norms to the front: **pre-norm**. Through how many norms does the thick line go in each?

# %%
wiring("pre-norm", "post-norm")

# %% [markdown]
# None, and two. In pre-norm the gradient has a way back past every sub-layer, and deep stacks learn; deep
# post-norm stacks need very small first steps (tried in the laboratory below). A pre-norm model needs one more
# norm at its end, `ln_f`.
#
# ## 6. Encoder and decoder
#
# In 2017 an **encoder** block read the text to be translated; its attention has no mask. A **decoder** block wrote
# the translation, with the causal mask; it had a third sub-layer, **cross-attention**, with queries from the text
# that is written, and keys and values from the encoder's output. GPT-2's block is a decoder block without that
# sub-layer. How can it translate, then? The text to be translated is part of **its own** text, and it reads it as its
# past.

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: three blocks from the same parts
#
# Encoder, decoder and GPT-2's block from one function, and who reads whom in each, measured. 12 minutes; nothing later
# needs it, and you can skip it.

# %% [markdown]
# All three are pre-norm here, so that they differ only in who reads whom. One function for all: queries from `x`, keys
# and values from `source`, and a mask.

# %%
C, n_head = 64, 4


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
# The decoder has `cross` besides, a norm and an attention, and reads `memory`, the encoder's output. What differs
# between the first two? Between the last two?

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
# From encoder to decoder: the mask, and the line with `cross`. From decoder to decoder-only: that line is gone.
#
# ### What each can see
#
# Measure it: change one number of one input vector (LayerNorm would subtract an equal change of all), and see
# which output vectors move. Nine tokens go in: a German sentence of five, read by an encoder block called
# `reader`, and four English ones, the block's own. The first lines compare `decoder_only` with your `Block`.

# %%
torch.manual_seed(6)
shared, reader = Block(C, n_head), Block(C, n_head)
cross = nn.ModuleDict({"ln": nn.LayerNorm(C), "attn": CausalSelfAttention(C, n_head)})
inputs = torch.randn(8, 4, C, generator=torch.Generator().manual_seed(1))
apart = (decoder_only(shared, inputs) - shared(inputs)).abs().max().item()
assert apart < 1e-5, f"decoder_only differs from your Block by {apart}; check Block again"
print(f"largest difference of decoder_only from your Block: {apart:.1e}")

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
# A tick says: this output (row) changes with that input (column), so it reads it. Predict first.

# %%
@torch.no_grad()
def reads(run, x):
    """How far each output vector moves when input vector j is changed: (T out, T in)."""
    before, columns = run(x), []
    for j in range(x.shape[1]):
        changed = x.clone()
        changed[:, j, 0] += 1
        columns.append((run(changed) - before)[0].norm(dim=-1))
    return torch.stack(columns, dim=1)


moved = {name: reads(run, nine) for name, run in runs.items()}
matrices([(f"{name}: what moves", m > 0) for name, m in moved.items()], words, german + words)

# %% [markdown]
# - The **encoder** reads all of its own tokens, in both directions.
# - The **decoder** reads its own past, and *all* of the German sentence.
# - The **decoder-only** block reads its own past, and needs no encoder.
#
# **Play with it.** Pick a block and a token; lines lead to what moves. Which change moves everything in every
# block that reads it? Which one moves a single output?

# %%
past = causal_mask(4, 4)
assert (moved["encoder"][:, n_german:] > 0).all() and not moved["encoder"][:, :n_german].any()
with_cross, alone = moved["decoder with cross-attention"], moved["decoder-only, as in GPT-2"]
assert (with_cross[:, :n_german] > 0).all() and torch.equal(with_cross[:, n_german:] > 0, past)
assert not alone[:, :n_german].any() and torch.equal(alone[:, n_german:] > 0, past)
blocks_to_play(moved, words, german)

# %% [markdown]
# <details><summary>Answers, after you have tried</summary>
# A change of <i>robot</i>, the first of the block's own tokens, moves every output in all three blocks. A change of
# <i>orders</i>, the last one, moves its own output alone, except in the encoder. A German word moves either
# everything, in the decoder, or nothing. And the thick line always leads to the token's own output: that is the
# residual stream.
# </details>
#
# And what did GPT-2 save?

# %%
with torch.device("meta"):  # shapes alone, no memory
    dropped = nn.ModuleList([nn.LayerNorm(768), CausalSelfAttention(768, 12)])
n_dropped = sum(p.numel() for p in dropped.parameters())
print(f"{n_dropped:,} parameters in each block, {12 * n_dropped:,} in twelve")

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: the laboratory
#
# Blocks without addition, without norm, and with the norm after the addition: what happens to the numbers, to the
# gradients, and to learning. 40 minutes; nothing later needs it, and you can skip it.

# %% [markdown]
# Three blocks that leave something out. They have the same parts as yours; only `forward` differs. `inputs` are eight
# texts of four random vectors.

# %%
C, n_head = 64, 4
inputs = torch.randn(8, 4, C, generator=torch.Generator().manual_seed(1))


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
# A stack of each, 24 high. The matrices are drawn such that a sub-layer returns about the size that it gets
# (normal numbers with variance 2 / (inputs + outputs), *Xavier* or *Glorot initialisation*), so that nothing
# grows or fades because of a careless start. (`nn.ModuleList` is a list of modules that knows their parameters.)

# %%
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
# We send `inputs` through, and measure two things after every block. One is the norm of a vector. The other is the
# cosine between the vectors of *different* tokens of a text: at 1 they point the same way, and the tokens can no
# longer be told apart. Which curve would you like to see for each? (`.mT` transposes the last two axes of a tensor.)

# %%
def along(blocks, x):
    """x, and what it is after each block."""
    streams = [x]
    for block in blocks:
        streams.append(block(streams[-1]))
    return streams


def mean_cosine(x):
    """The mean cosine between the vectors of two different tokens of a text."""
    direction = x / x.norm(dim=-1, keepdim=True)
    others = ~torch.eye(x.shape[1], dtype=torch.bool)
    return (direction @ direction.mT)[:, others].mean().item()

# %% [markdown]
# First the norm. Mind the axis: each mark is a hundred times the one below. Which of the four stay where they
# began?

# %%
kinds = {"norm and addition": Block, "norm, no addition": NoAddition,
         "addition, no norm": NoNorm, "neither": Neither}
with torch.no_grad():
    ways = {name: along(stack(kind, 24), inputs) for name, kind in kinds.items()}
norms = {name: [mean_norm(x) for x in way] for name, way in ways.items()}
through_depth({"norm of a vector": norms}, "Without LayerNorm the size explodes or vanishes", log=True)

# %% [markdown]
# And the cosine. Random vectors begin near 0. How many blocks does it take until the tokens are one?

# %%
cosines = {name: [mean_cosine(x) for x in way] for name, way in ways.items()}
assert cosines["norm, no addition"][8] > 0.95 > cosines["norm and addition"][24]
through_depth({"cosine between two tokens": cosines}, "Only with norm and addition do the tokens not become one")

# %% [markdown]
# - **addition, no norm**: the stream grows from block to block, in the end more than a thousandfold. What was added
#   early is drowned by what is added later, and the cosine ends near 1 as well.
# - **norm, no addition**: the size is kept, but after about six blocks all tokens of a text are the same vector.
#   Attention blends, the next one blends the blends, and nothing brings back the token that a vector began with.
# - **neither**: the tokens become one, and that one fades.
# - **norm and addition** grows moderately. Its tokens grow more alike too, from a cosine of 0.03 to more than 0.7, but
#   they do not become one.
#
# ### The way back
#
# Learning runs the other way: from the loss back to every parameter (*backpropagation*). A **gradient**
# ([lesson 05](05_self_attention.ipynb)) says how much the loss changes when a number is nudged. We make a loss of
# the last stream, by scoring 50 tokens at random, and ask for the gradient of the stream in front of every block.
# Where it is tiny, the blocks before it hear nothing; where it is huge, one step throws everything about. (A norm
# follows the last block in all four stacks. `torch.autograd.grad(loss, tensors)` gives the gradient of the loss
# for each tensor.)

# %%
answers = torch.randint(50, (8, 4), generator=torch.Generator().manual_seed(2))
fifty = torch.randn(50, C, generator=torch.Generator().manual_seed(3)) / math.sqrt(C)


def loss_of(x):
    """How badly the vectors score the right one of 50 tokens."""
    return F.cross_entropy((x @ fifty.T).flatten(0, 1), answers.flatten())


def gradient_norms(blocks):
    """The norm of the loss's gradient for the stream in front of each block."""
    streams = along(blocks, inputs.clone().requires_grad_())
    loss = loss_of(F.layer_norm(streams[-1], (C,)))
    return [g.norm().item() for g in torch.autograd.grad(loss, streams[:-1])]

# %% [markdown]
# **Predict:** which of the four will have the smallest gradient at block 1, and by what factor? A hundred? A
# million?

# %%
backwards = {name: gradient_norms(stack(kind, 24)) for name, kind in kinds.items()}
assert backwards["neither"][0] < 1e-12 * backwards["neither"][-1]
assert max(backwards["norm and addition"]) < 10 * min(backwards["norm and addition"])
grown = [early / late for early, late in zip(backwards["addition, no norm"], backwards["addition, no norm"][1:])]
print(f"addition, no norm: the gradient grows {min(grown):.1f} to {max(grown):.1f} times from block to block")
title = "With neither, block 1 hears next to nothing; with both, the gradient arrives"
through_depth({"norm of the gradient": backwards}, title, first=1, log=True)

# %% [markdown]
# Read from right to left, as the gradient runs. With **neither**, what reaches block 1 is less than a millionth
# of a millionth of what block 24 gets: a *vanishing gradient*. With the **addition alone** it *explodes*, as the
# stream did, in jumps, as the printed factors show. With **both** it keeps its size, give or take a factor of
# ten: the sum `x + …` hands the gradient on undiminished, past every sub-layer, to the first block.
#
# And the norm without the addition? Its gradient looks healthy, but all tokens have become one vector, and there
# is nothing left for it to tell apart. We will see whether it learns.
#
# ### Norm before or after, measured

# %%
class PostNorm(Block):
    def forward(self, x):
        x = self.ln_1(x + self.attn(x))
        return self.ln_2(x + self.mlp(x))

# %% [markdown]
# How large is the gradient of the MLP's first matrix, `c_fc`, in each of 24 blocks before training? It says how
# hard the loss pulls at that matrix. (A post-norm stack ends with a norm of its own; `nn.Identity()` adds none.)

# %%
def matrix_gradients(blocks, end):
    """The norm of the gradient of c_fc in each block; `end` comes after the stack."""
    loss = loss_of(end(along(blocks, inputs)[-1]))
    first_matrices = [block.mlp.c_fc.weight for block in blocks]
    return [g.norm().item() for g in torch.autograd.grad(loss, first_matrices)]


ends = {"pre-norm": (Block, nn.LayerNorm(C)), "post-norm": (PostNorm, nn.Identity())}
at_start = {name: matrix_gradients(stack(kind, 24), end) for name, (kind, end) in ends.items()}
through_depth({"gradient of c_fc": at_start},
              "Post-norm: larger gradients, above all late (but not in block 1)", first=1)  # fmt: skip

# %% [markdown]
# In the pre-norm stack the later blocks get smaller gradients. What an early block adds is read by all blocks
# after it; what the last one adds goes to the final norm alone, which divides by the size that the whole stream
# has by then. In the post-norm stack every block brings the stream back to one size. And if the stack gets
# deeper? The gradient in the **last** block:

# %%
for n_layer in (6, 12, 24, 48):
    last = {name: matrix_gradients(stack(kind, n_layer), end)[-1] for name, (kind, end) in ends.items()}
    print(f"{n_layer:2} blocks: " + ", ".join(f"{name} {g:.2f}" for name, g in last.items()))

# %% [markdown]
# The deeper the pre-norm stack, the gentler the pull; in the post-norm stack it stays about what it was. Xiong et
# al. (2020, see the sources) worked this out, and see in it the reason why post-norm models have to be started
# with very small steps, which then grow: *warm-up* ([lesson 13](13_training.ipynb)).
#
# ### Let them learn
#
# Gradients at the start are a hint; learning is the test. The language is that of [lesson 06](06_masking.ipynb):
# twelve words, after each one of three follows, all three equally likely. The best possible loss is `ln 3`, the
# floor. Knowing only how often each word occurs gives the upper line in the picture.

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
# Embeddings, eight blocks of one kind, scores for the next word. Each kind starts from the same weights and reads
# the same sentences, 60 steps. The **learning rate** sets how large a step is: 0.006, and for pre-norm and
# post-norm once more 0.001.

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
# So one would think from the size of the gradients. Look once more at the cosines: a stack that cannot tell its
# tokens apart has fine gradients and nothing to learn from.
# </details>
# <details><summary>B. Pre-norm at both rates, and post-norm with small steps</summary>
# Yes. With the larger steps post-norm does not get off the ground at this depth.
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
# At rate 0.006 only the pre-norm stack learns. With the smaller steps both pre-norm and post-norm do, more
# slowly, and pre-norm is ahead. The others stay at the line of a model that knows how often each word occurs and
# has not looked at a single neighbour.

# %% [markdown]
# ## Two common statements that are wrong
#
# - *"A decoder needs an encoder to attend to."* GPT-2's block dropped that sub-layer (section 6).
# - *"GPT-2 differs from GPT only in its data."* The paper names these changes besides:
#
# | GPT (2018) | GPT-2 (2019) | where it is seen |
# |---|---|---|
# | norm after each addition | norm in front of each sub-layer | section 5 |
# | no norm at the end of the stack | one more, `ln_f` | [lesson 10](10_output_projection.ipynb) |
# | residual matrices as they are drawn | divided by √N at the start | section 4 |
# | context of 512 tokens, 40,000 merges | context of 1024 tokens, 50,000 merges | lessons [02](02_tokens.ipynb) and [04](04_positions.ipynb) |
# | batches of 64 sequences | batches of 512 sequences | [lesson 13](13_training.ipynb) |

# %% [markdown]
# ## Challenge: RMSNorm
#
# No check for this one. Many later models leave out the mean and the bias: x / √(mean of x² + eps) · weight,
# called *RMSNorm*. Write it, and a `Block` with it.
#
# What to look for: for which vectors do RMSNorm and LayerNorm agree? Which does it ignore: a factor, a number
# added to all of x, or both? Does it learn as well in the laboratory's `learn`?

# %% [markdown]
# ## What you have
#
# `layer_norm` gives a vector a reliable size. `Block` lets attention and the MLP read the normalised stream and
# add to the stream itself. One block of the smallest GPT-2 in numbers:

# %%
config = GPT2Config()
with torch.device("meta"):
    one = Block(config.n_embd, config.n_head)
sizes = {name: sum(p.numel() for p in part.parameters()) for name, part in one.named_children()}
in_one, total = sum(sizes.values()), count_parameters(config)
print("one block:", ", ".join(f"{name} {n:,}" for name, n in sizes.items()))
print(f"together {in_one:,}; in {config.n_layer} blocks {config.n_layer * in_one:,}")
print(f"of {total:,} parameters that is {config.n_layer * in_one / total:.1%}")
assert in_one == 7_087_872, f"your Block(768, 12) has {in_one:,} parameters and not 7,087,872; check it again"

# %% [markdown]
# Five questions on this lesson:
#
# <details><summary>1. Over which numbers does LayerNorm take mean and variance?</summary>
# Over the C numbers of one token's vector, each token on its own. Batch and positions play no part.
# </details>
# <details><summary>2. What is eps for, and where is it added?</summary>
# It keeps the divisor from being 0 where all numbers of a vector are equal. It is added to the variance, under
# the root.
# </details>
# <details><summary>3. What does a block give whose two <code>c_proj</code> are all zeros?</summary>
# Its input: nothing is added to the residual stream.
# </details>
# <details><summary>4. Why are the <code>c_proj</code> divided by √N before training?</summary>
# N additions at nearly right angles make a stream of about √N times their norm. Divided by √N, it ends at one
# norm, however many blocks there are.
# </details>
# <details><summary>5. In what do the encoder block and GPT-2's block differ?</summary>
# In the mask alone: the encoder's tokens read in both directions, GPT-2's only the past.
# </details>
#
# And two on earlier ones:
#
# <details><summary>6. Which half of the block moves information between tokens? (<a href="08_mlp.ipynb">lesson 08</a>)</summary>
# Attention. The MLP is position-wise, and so are LayerNorm and the addition.
# </details>
# <details><summary>7. Why are scores divided by √hs? (<a href="05_self_attention.ipynb">lesson 05</a>)</summary>
# The variance of a dot product grows with hs. Without the division the softmax would give nearly all weight to
# one key, and its slope, by which it learns, would vanish.
# </details>
#
# **Sources.** Ba, Kiros, Hinton 2016, *Layer Normalization*, section 3; He et al. 2016, *Deep Residual
# Learning for Image Recognition*, section 3 (the addition); Vaswani et al. 2017, *Attention Is All You Need*,
# section 3.1 (encoder and decoder, post-norm); Glorot and Bengio 2010, *Understanding the Difficulty of Training
# Deep Feedforward Neural Networks*, section 4.2 (how the matrices are drawn); Liu et al. 2018, *Generating
# Wikipedia by Summarizing Long Sequences*, section 4.2.3 (a decoder without an encoder); Radford et al. 2019,
# *Language Models are Unsupervised Multitask Learners*, section 2.3 (the changes from GPT); Xiong et al. 2020,
# *On Layer Normalization in the Transformer Architecture*, section 3 (pre-norm and post-norm); Dong, Cordonnier,
# Loukas 2021, *Attention is Not All You Need*, section 2; Zhang and Sennrich 2019, *Root Mean Square Layer
# Normalization*, section 4 (RMSNorm).
#
# **Next:** [lesson 10](10_output_projection.ipynb) puts the embedding in front of the stack and the scores behind
# it, and that is GPT-2.
#
# **What you have built so far:**

# %%
my_progress()
