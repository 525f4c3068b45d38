# %% [markdown]
# # 08 · The MLP
#
# Attention carries numbers from word to word, and what it hands over are blends: values, each by its
# share, added up. So a row may have gathered that its word can be a thing and that it can be an
# action. **Where does the model draw a conclusion from what a row has gathered?**
#
# - **In:** x `(B, T, C)`: B texts, T tokens, C numbers for each token.
# - **Out:** `(B, T, C)` again: for each token what is to be added to its row.
# - **Time:** about 90 minutes. Two exercises: `gelu` and `MLP`.

# %% [markdown]
# First the tools. `masked_attention` of lesson 06 comes along for a comparison; the line below the cell says
# whose it is.

# %%
import copy
import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gpt2course import check
from gpt2course import mlp as package
from gpt2course.config import GPT2Config
from gpt2course.inspection import activations
from gpt2course.lessons.mlp import (
    figures, gelu_slider, loss_lines, matrices, pipeline, unit_slider,
)
from gpt2course.mine import masked_attention
from gpt2course.model import GPT2, parameter_table

# %% [markdown]
# The lit box is the other half of every block. "C → 4C → C" is its whole plan: widen, bend, come back.

# %%
pipeline("08_mlp")

# %% [markdown]
# ## 1. What no matrix can say
#
# Four words, C = 3 numbers each: how much of a *thing* is it, how much of an *action*? (*orders* is
# both: a captain gives orders, and he orders.) The third column is empty: there the model would like
# to note that a word is **both**. What is wanted for each word is beside it.

# %%
words, columns = ["robot", "must", "obey", "orders"], ["thing", "action", "both"]
x = torch.tensor([[1.0, 0, 0], [0, 0, 0], [0, 1, 0], [1, 1, 0]])  # (T, C) = (4, 3)
wanted = torch.tensor([0.0, 0, 0, 1])
matrices([("x", x), ("wanted", wanted[:, None])], words, columns)

# %% [markdown]
# **Predict.** Is there a matrix, with a bias, that turns each row into what is wanted? (A matrix
# gives each word a sum of its numbers, each times a number of the matrix; the bias adds the same to
# all words.)
#
# <details><summary>A. Yes: add thing and action</summary>
# That gives <i>orders</i> 2, but <i>robot</i> and <i>obey</i> get 1 and should get 0.
# </details>
# <details><summary>B. Yes: add thing and action, and take off 1</summary>
# Now <i>robot</i> and <i>obey</i> get 0 and <i>orders</i> 1, as wanted. But <i>must</i>, which has neither,
# gets -1.
# </details>
# <details><summary>C. No, none</summary>
# Right. <i>robot</i> and <i>obey</i> have together what <i>must</i> and <i>orders</i> have together: one
# thing, one action. Whatever a matrix and a bias make of it, the two pairs get the same sum. Wanted is 0 + 0 for
# the one and 0 + 1 for the other.
# </details>

# %%
torch.manual_seed(1)
for _ in range(3):
    made = x @ torch.randn(3) + torch.randn(1)  # a random matrix (C, 1) and bias
    print(f"robot + obey: {made[0] + made[2]:6.3f}    must + orders: {made[1] + made[3]:6.3f}")
    assert torch.allclose(made[0] + made[2], made[1] + made[3], atol=1e-5)

# %% [markdown]
# So it goes for any matrix. What is the nearest that one can get? `lstsq` finds the matrix and bias
# with the smallest **mean squared error**: the differences from what is wanted, squared and averaged.

# %%
with_ones = torch.cat([x[:, :2], torch.ones(4, 1)], dim=1)  # the column of ones carries the bias
best = with_ones @ torch.linalg.lstsq(with_ones, wanted).solution
floor = ((best - wanted) ** 2).mean().item()
print("the best of all matrices gives", [f"{v:.2f}" for v in best.tolist()], f"error {floor:.4f}")

# %% [markdown]
# One sixteenth. A matrix can weigh and add, and that is all. "Both" is a conclusion, and it needs
# something that is not a sum.
#
# ## 2. One unit with a bend
#
# Here is the smallest thing that can do it, a **hidden unit** (hidden, because it stands between what
# comes in and what goes out). It works in three steps, and you can do them for *orders* in your head.
# A *direction* is a list of C numbers, like a row of x.
#
# 1. **Read:** the dot product of the row with a direction, here (1, 1, 0), plus a bias, here -1.5. Call
#    it the unit's **answer**.
# 2. **Bend:** if the number is below 0, take 0; if not, leave it.
# 3. **Write:** that many times another direction, here (0, 0, 2).

# %%
read, bias, write = torch.tensor([1.0, 1, 0]), -1.5, torch.tensor([0.0, 0, 2])
answer_of_orders = (x[3] @ read + bias).item()
bent_of_orders = max(0.0, answer_of_orders)
print("answer:", answer_of_orders, "  bent:", bent_of_orders, "  written:", (bent_of_orders * write).tolist())

# %% [markdown]
# 1 + 1 - 1.5 = 0.5; it stays 0.5; times (0, 0, 2) is 1 in the column *both*. Now all four words in a
# loop. Which answers are negative?

# %%
by_hand = torch.zeros(4, 3)
for t, word in enumerate(words):
    answer = (x[t] @ read + bias).item()
    by_hand[t] = max(0.0, answer) * write
    print(f"{word:7} answers {answer:4.1f}, bent {max(0.0, answer):3.1f}, writes {by_hand[t].tolist()}")
assert torch.equal(by_hand[:, 2], wanted)

# %% [markdown]
# Exactly what is wanted, and what no matrix can do. Seen as a picture: the two numbers of a word are its
# place on a map. The direction and the bias draw a line on it, and on the hatched side the unit's answer
# is above 0. Which word lies farthest from the line, and does that matter in the end?

# %%
places = {word: (row[0].item(), row[1].item()) for word, row in zip(words, x)}
figures.unit_plane(places, (1.0, 1.0), bias, ("thing", "action"))

# %% [markdown]
# *must*, three times as far as *robot* and *obey*, and it does not matter: on this side everything
# becomes 0, however far from the line it lies. This is what plan B in the prediction lacked.
#
# ## 3. Several units are two matrices
#
# A second unit: *neither*. It reads (-1, -1, 0) with bias 0.5, so that only *must* gets through, and
# writes -2 into the same column. The units do not know of each other; what they write is added up. H
# is the number of units, and `clamp(min=0)` is the bend for many numbers at once. What will the third
# column of `by_loop` be?

# %%
W_fc = torch.tensor([[1.0, -1], [1, -1], [0, 0]])  # (C, H) = (3, 2): a column a unit, what it reads
b_fc = torch.tensor([-1.5, 0.5])
W_proj = torch.tensor([[0.0, 0, 2], [0, 0, -2]])  # (H, C) = (2, 3): a row a unit, what it writes
by_loop = torch.zeros(4, 3)
for h in range(2):
    bent = (x @ W_fc[:, h] + b_fc[h]).clamp(min=0)  # (T,): the bend for all four words
    by_loop += bent[:, None] * W_proj[h]
by_loop[:, 2].tolist()

# %% [markdown]
# 1 for both, -1 for neither. The loop over units is a matrix product, as always: `x @ W_fc` is all
# answers of all units, and with `@ W_proj` each row adds up what its units write. Follow *must* from
# left to right.

# %%
answers = x @ W_fc + b_fc  # (T, H)
bent_answers = answers.clamp(min=0)
y = bent_answers @ W_proj
assert torch.allclose(y, by_loop)
figures.read_bend_write(x, answers, bent_answers, y, words, columns, ["both", "neither"])

# %% [markdown]
# Two matrices with a bend between them: this is called an **MLP** (multi-layer perceptron), and
# GPT-2's is no more than that. Its numbers are learned, it has a bias after the second matrix as
# well, and it has many more units: H = 4·C.
#
# ## 4. Each position alone
#
# Nowhere in these lines does one row meet another. Test it beside attention, with the same x: change
# *obey*, and see which rows of each result move (✓). Predict both tables first.

# %%
def two_units(x):
    return (x @ W_fc + b_fc).clamp(min=0) @ W_proj


def attend(x):
    return masked_attention(x, x, x)


changed = x.clone()
changed[2] += 2
moved = [(name, (f(changed) - f(x)).abs().amax(-1, keepdim=True) > 1e-6)
         for name, f in (("attention", attend), ("MLP", two_units))]  # fmt: skip
matrices(moved, words, ["moved"])

# %% [markdown]
# Attention: *obey* itself, and *orders*, which reads it. MLP: *obey* alone. So the MLP sees no
# positions and no neighbours. Shuffle the words, and its rows come out shuffled, and nothing else;
# put any axes in front, and each row is still on its own.

# %%
order = torch.tensor([3, 0, 2, 1])
assert torch.equal(two_units(x[order]), two_units(x)[order])
batch = torch.randn(2, 5, 3)
assert torch.allclose(two_units(batch)[1, 4], two_units(batch[1, 4]), atol=1e-6)
tuple(two_units(batch).shape)

# %% [markdown]
# The two halves of a block share the work: attention **moves** numbers from row to row, and nothing
# else in GPT-2 does; the MLP **works** on each row alone, with what was moved there.
#
# ## 5. Break it: without the bend
#
# **Predict.** Leave the bend out, but make the layer as wide as you like: 1,000 units. Can it say
# "both" now?
#
# <details><summary>A. Yes, with so many units some combination will do</summary>
# More units are more sums of the same numbers, and sums of sums are sums.
# </details>
# <details><summary>B. No, two matrices without a bend are one matrix</summary>
# Yes. (x @ A) @ D is x @ (A @ D): the product of the two matrices can be taken beforehand, and it is (3, 3)
# however wide the middle was. And for one matrix section 1 has shown that it cannot.
# </details>
# <details><summary>C. It depends on how long one trains</summary>
# Training looks for the best numbers, and among these there are none that are good enough. Section 10 tries.
# </details>

# %%
torch.manual_seed(2)
A, a, D, d = torch.randn(3, 1000), torch.randn(1000), torch.randn(1000, 3), torch.randn(3)
twice = (x @ A + a) @ D + d
once = x @ (A @ D) + (a @ D + d)  # one matrix (3, 3), one bias (3,)
assert torch.allclose(twice, once, atol=1e-3)
print("numbers in the two layers:", A.numel() + a.numel() + D.numel() + d.numel())
print("numbers that do the same: ", (A @ D).numel() + (a @ D + d).numel())

# %% [markdown]
# 7,003 numbers do the work of 12. Only with the bend are two layers more than one.
#
# ## 6. Two bends: ReLU and GELU
#
# The bend so far, max(0, x), is called **ReLU**. One can see it as a gate: x times 1 above 0, x times
# 0 below. It has a weak spot. Below 0 its slope is 0: when a number there is nudged, nothing changes.
# A unit that answers below 0 to every text gets no hint how it should move, and learns no more.
#
# GPT-2 bends with a softer gate, **GELU**: x times a share that goes from 0 to 1. Which share? Draw many
# random numbers around 0 (with variance 1, the bell curve). The share of them that lie **below x** is the
# share of x that passes. For x = 1, guess it before you count.

# %%
drawn = torch.randn(100_000, generator=torch.Generator().manual_seed(0))
share_of_1 = (drawn < 1).double().mean().item()
print(f"{share_of_1:.1%} of the numbers lie below 1, so 1 becomes about {1 * share_of_1:.2f}")

# %% [markdown]
# There is a function for this share, written Φ(x); torch has it by way of `erf`. So GELU is x·Φ(x). Which
# negative numbers still let something through?

# %%
def share_below(x):
    return 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def exact_gelu(x):
    return x * share_below(x)


assert abs(share_below(torch.tensor(1.0)) - share_of_1) < 0.01
some = torch.tensor([-3.0, -1, -0.5, 0, 0.5, 1, 3])
table = torch.stack([share_below(some), exact_gelu(some), torch.relu(some)])
matrices([("", table)], ["Φ(x)", "x · Φ(x)", "ReLU"], [f"{v:g}" for v in some.tolist()], scale=(-3.0, 3.0))

# %% [markdown]
# All of them, a little (at -3 too little for two digits). Both functions, with their slopes beside
# them. Look at the slopes below 0: who is at 0 there, and who is not? And where is GELU's slope
# steeper than 1?

# %%
figures.bends({"ReLU": torch.relu, "GELU": exact_gelu})

# %% [markdown]
# Far below 0 and far above, they agree. Around 0, ReLU has a corner, GELU a curve. GELU's slope dips
# below 0 and rises above 1: it is no share itself.
#
# **Predict.** Where is GELU smallest?
#
# <details><summary>A. Far to the left, where x is most negative</summary>
# There the share is so near 0 that nothing is left: -4 times 0.00003.
# </details>
# <details><summary>B. At 0, as for ReLU</summary>
# At 0 the value is 0. To the left of it a negative x gets a share above 0, and that is negative.
# </details>
# <details><summary>C. Somewhere between -1 and 0, where x is not small any more and the share not yet</summary>
# Yes: on the way from 0 to the left, x moves away from 0 faster than the share shrinks, as far as about
# -0.75. After that the share wins.
# </details>

# %%
grid = torch.linspace(-6, 6, 120_001, dtype=torch.float64)
lowest = exact_gelu(grid).argmin()
f"smallest value {exact_gelu(grid)[lowest]:.4f} at x = {grid[lowest]:.3f}"

# %% [markdown]
# ### Play with it
#
# Move x. On the left, the filled part of the bell is the share Φ(x). On the right, the point is
# x·Φ(x), and the dashed line is ReLU. At which x above 0 is the gap between the two lines widest, and at
# which below?

# %%
gelu_slider()

# %% [markdown]
# <details><summary>Answer, after you have tried</summary>
# At about 0.75 and -0.75, and it is 0.17 both times. What is lacking above 0 is x · (1 - Φ(x)), and the share
# of the bell above x is as large as the share below -x.
# </details>
#
# ## 7. The form that GPT-2 was trained with
#
# You will read that GPT-2's GELU is x·Φ(x). Nearly. The authors of GELU also gave a formula that
# comes close and was faster to compute, built on `tanh`, a curve that climbs from -1 to 1:
#
# `gelu(x) = ½ · x · (1 + tanh(√(2/π) · (x + 0.044715 · x³)))`
#
# GPT-2 was trained with **this** one. Read it as a share again: ½ · (1 + tanh(…)) goes from 0 to 1
# and stands for Φ(x).
#
# ## Exercise: `gelu`
#
# Write the tanh form, for a tensor of any shape. The trap is in the brackets: √(2/π) multiplies the
# whole sum, and only x is raised to the third power.
#
# <details><summary>Hint 1</summary>
# Build it from the inside: first the sum, then the root in front of it, then tanh, then the share, then
# times x.
# </details>
# <details><summary>Hint 2</summary>
# A tensor takes <code>x**3</code> and <code>torch.tanh</code>; a plain number takes
# <code>math.sqrt</code> and <code>math.pi</code>.
# </details>
# <details><summary>Hint 3</summary>
# Compare with <code>exact_gelu</code> at x = 2.7: the two should differ by about half a thousandth, no more
# and not much less.
# </details>

# %%
def gelu(x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """GELU in the tanh form, as GPT-2 was trained with it."""
    ### BEGIN SOLUTION
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    ### END SOLUTION

# %%
gelu = check(gelu)

# %% [markdown]
# How far apart are the two forms? In the picture of section 6 one line would cover the other. Drawn
# is their **difference**, ten thousand times enlarged. Where would you not see any?

# %%
figures.forms_apart(gelu, exact_gelu)

# %% [markdown]
# At 0 and far out, where every share is near 0 or near 1. The largest distance, among 120,001 values
# of x:

# %%
gap = (gelu(grid) - exact_gelu(grid)).abs()
print(f"largest difference: {gap.max():.2e}, at x = {grid[gap.argmax()].abs():.2f} on either side")
assert 4e-4 < gap.max() < 5e-4

# %% [markdown]
# Less than half a thousandth. Is that nothing? Section 9 follows it through 12 layers.
#
# ## 8. The module
#
# GPT-2's MLP has two linear layers, with bias, named as in the released weights: `c_fc` from C to 4·C
# ("fully connected") and `c_proj` from 4·C back to C. Why four times? Nothing proves it: the first
# transformer went from 512 to 2048, it worked, and the factor stayed.
#
# ## Exercise: `MLP`
#
# A module for any `n_embd` (C): widen, bend by your `gelu`, come back. x is (B, T, C), and so is the
# result. The names `c_fc` and `c_proj` are part of the contract. The trap: the bend has one place,
# between the layers.
#
# <details><summary>Hint 1</summary>
# The form of a module is in lesson 07, section 8: layers are made in <code>__init__</code>, after
# <code>super().__init__()</code>, and kept on <code>self</code>.
# </details>
# <details><summary>Hint 2</summary>
# <code>nn.Linear(a, b)</code> goes from a numbers to b numbers and has its bias by itself. Which a and b
# has each layer?
# </details>
# <details><summary>Hint 3</summary>
# <code>forward</code> is section 3's read, bend, write, with the layers in place of the matrices and
# <code>gelu</code> in place of the clamp.
# </details>

# %%
class MLP(nn.Module):
    """Widen four times, bend, come back: C → 4C → C."""

    def __init__(self, n_embd: int):
        super().__init__()
        ### BEGIN SOLUTION
        self.c_fc = nn.Linear(n_embd, 4 * n_embd)
        self.c_proj = nn.Linear(4 * n_embd, n_embd)
        ### END SOLUTION

    def forward(self, x: Float[Tensor, "B T C"]) -> Float[Tensor, "B T C"]:
        ### BEGIN SOLUTION
        return self.c_proj(gelu(self.c_fc(x)))
        ### END SOLUTION

# %%
MLP = check(MLP)

# %% [markdown]
# A judge that did not see your code: the package's MLP, with the same weights (copied by name). C = 3
# again, so there are 12 units.

# %%
torch.manual_seed(3)
mine, theirs = MLP(3), package.MLP(3)
mine.load_state_dict(theirs.state_dict(), strict=False)
assert torch.allclose(mine(batch), theirs(batch), atol=1e-6)
{name: tuple(parameter.shape) for name, parameter in mine.named_parameters()}

# %% [markdown]
# And the units of section 2 are still in there. `nn.Linear` keeps its matrix turned, a row for each
# output: so unit `h` reads the direction in **row** h of `c_fc.weight` and writes the one in
# **column** h of `c_proj.weight`. Each position alone, each unit alone, and all of it added up:

# %%
total = mine.c_proj.bias.expand(2, 5, 3)
for h in range(12):
    answer_of_h = batch @ mine.c_fc.weight[h] + mine.c_fc.bias[h]  # (B, T)
    total = total + gelu(answer_of_h)[..., None] * mine.c_proj.weight[:, h]
assert torch.allclose(total, mine(batch), atol=1e-5)
tuple(total.shape)

# %% [markdown]
# In a trained model nobody has chosen the directions, and few units can be named as nicely as *both*.
# But the view is the same: units whose answer is above 0 where a row has some pattern, and what each
# then writes into it (Geva et al., below, read the MLP in this way, as a memory with keys and values).
#
# ## 9. Does the form matter?
#
# Take a GPT-2 with 12 layers, small and untrained, once with the tanh form and once with the exact
# one. In an untrained model the numbers that reach the bend lie close to 0, where GELU is nearly a
# straight line; so the weights of its MLPs are made ten times as large by hand. How far are those
# numbers from 0 then? Their **standard deviation** (the root of the variance) says it; without the
# factor ten it would be a tenth. (float64 has 16 digits, so that rounding does not get in the way.)

# %%
small = GPT2Config(n_layer=12, n_head=4, n_embd=64, n_ctx=64, vocab_size=500)
torch.manual_seed(0)
tanh_model, idx = GPT2(small).double(), torch.randint(500, (4, 64))
with torch.no_grad():
    for block in tanh_model.h:
        block.mlp.c_fc.weight *= 10
        block.mlp.c_proj.weight *= 10
    with_tanh = activations(tanh_model, idx)  # everything that it computes on the way
reaching = torch.stack([block.mlp_hidden for block in with_tanh.blocks])
f"{reaching.numel():,} numbers reach a bend; standard deviation {reaching.std():.2f}"

# %% [markdown]
# The twin has the same weights and other bends.

# %%
class ExactMLP(nn.Module):
    """An MLP with the layers of another one, which bends by x·Φ(x)."""

    def __init__(self, other):
        super().__init__()
        self.c_fc, self.c_proj = other.c_fc, other.c_proj

    def forward(self, x):
        wide = self.c_fc(x)
        return self.c_proj(wide * share_below(wide))


exact_model = copy.deepcopy(tanh_model)
for block in exact_model.h:
    block.mlp = ExactMLP(block.mlp)
with torch.no_grad():
    with_exact = activations(exact_model, idx)
    rounded = activations(copy.deepcopy(tanh_model).float(), idx)  # the same in float32

# %% [markdown]
# How far do they drift apart? The difference after each layer and in the **logits** (the scores of
# all possible next tokens, which lesson 10 makes), relative to the size of the numbers themselves;
# and beside it what float32 changes by rounding alone. The vertical axis has a power of ten at each
# step. How many steps lie between the two lines?

# %%
def apart(one, other):
    """The relative difference after each layer, and in the logits."""
    after_layers = zip(one.stream[1:], other.stream[1:])  # stream: x before layer 1, and after each
    pairs = [*after_layers, (one.logits, other.logits)]
    return [((a - b).norm() / a.norm()).item() for a, b in pairs]


lines = {"the exact form": apart(with_tanh, with_exact), "rounding to float32": apart(with_tanh, rounded)}
assert lines["the exact form"][-1] > 100 * lines["rounding to float32"][-1]
assert lines["the exact form"][-1] < 2 * lines["the exact form"][0]
figures.growth(lines)

# %% [markdown]
# Nearly three: the other form changes the logits (the scores for the next token, lesson 10) hundreds
# of times as much as rounding does. It does not run away, though: from the first layer to the logits
# it does not even double. In numbers, and does the most likely next token ever change?

# %%
difference = (with_tanh.logits - with_exact.logits).abs().max().item()
n_changed = (with_tanh.logits.argmax(-1) != with_exact.logits.argmax(-1)).sum().item()
print(f"largest difference of a logit: {difference:.1e} (standard deviation {with_tanh.logits.std():.2f})")
print(f"most likely next token changed: {n_changed} of {idx.numel()}")

# %% [markdown]
# So both sides are right: a text written with the wrong form would hardly look different, and whoever
# compares two models to six digits sees it at once. Weights fit the function that they were trained
# with; give them that one.
#
# ## 10. What width is for
#
# First the promise of section 5: train an MLP on *both*, and the same two layers without the bend. 12
# units each, 200 steps (the loop of lesson 06). Where will the second line end?

# %%
torch.manual_seed(4)
with_bend, without = MLP(3), nn.Sequential(nn.Linear(3, 12), nn.Linear(12, 3))
curves = {}
for name, model in (("with the bend", with_bend), ("without", without)):
    optimizer, curves[name] = torch.optim.Adam(model.parameters(), lr=0.01), []
    for _ in range(200):
        loss = ((model(x[None])[0, :, 2] - wanted) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        curves[name].append(loss.item())
assert curves["with the bend"][-1] < 1e-3 and abs(curves["without"][-1] - floor) < 1e-3
title = "Without the bend the loss stays at what one matrix can do"
loss_lines(curves, {"one matrix at best": floor}, title, "mean squared error", decimals=4)

# %% [markdown]
# At one sixteenth, the error of the best single matrix from section 1. No training gets below it.
#
# ### Play with it
#
# One number in, one number out: a curve to follow, with two hills. Each unit bends once, at the place
# where its answer crosses 0 (the orange marks); what all of them write is added up. Units are added
# one after the other, each time the one that helps most, and what they write is fitted anew.
#
# 1. With gelu, from 1 unit to 8: how many does the first hill take, how many do both?
# 2. Switch to ReLU at 5 units. What is different about the line?
# 3. Switch the bend off. What does the slider change about the line now?

# %%
at = torch.linspace(-4, 4, 161, dtype=torch.float64)
two_hills = torch.exp(-1.2 * (at + 1.7) ** 2) + 0.6 * torch.exp(-1.5 * (at - 1.5) ** 2)
unit_slider(at, two_hills, {"gelu": gelu, "ReLU": torch.relu, "no bend": lambda answer: answer})

# %% [markdown]
# <details><summary>Answers, after you have tried</summary><ol>
# <li>Three make a hump, about 0.8 high at about -2.1, where a hill 1 high at -1.7 is wanted. With four the
# top is right, with five the whole hill; with seven there is hardly a gap at either.</li>
# <li>It is made of straight pieces, with a corner at each orange mark. With gelu the corners are
# round.</li>
# <li>Nothing: the sum of any number of straight lines is a straight line. The answers still cross 0 at the
# orange marks, but without a bend nothing happens to the line there.</li>
# </ol></details>
#
# ## 11. Where the parameters are
#
# GPT-2 124M in numbers, for this stage. **Predict:** which part of the model has the most parameters,
# the table of embeddings, attention, or the MLPs?

# %%
config, parts = GPT2Config(), {}
kinds = {"mlp": "MLPs", "attn": "attention", "wte": "wte, embedding", "wpe": "wpe, positions"}
for name, shape, count in parameter_table(config):
    part = next((kinds[key] for key in kinds if key in name), "LayerNorm")
    parts[part] = parts.get(part, 0) + count
figures.parameter_bars(parts, f"GPT-2 124M: {sum(parts.values()):,} parameters")

# %% [markdown]
# The MLPs, with nearly half of all. And what if you count the blocks alone, without the tables? The
# numbers from your own module:

# %%
per_layer = sum(p.numel() for p in MLP(config.n_embd).parameters())
in_all, everything = config.n_layer * per_layer, sum(parts.values())
in_halves = in_all + parts["attention"]
print(f"{config.n_embd} → {4 * config.n_embd} → {config.n_embd}, {per_layer:,} parameters per layer")
print(f"{config.n_layer} layers: {in_all:,}, {in_all / everything:.1%} of {everything:,}")
print(f"of attention and MLPs together: {in_all / in_halves:.1%}")
print(f"hidden units in all: {config.n_layer * 4 * config.n_embd:,}")
assert per_layer == 4_722_432 and in_all == parts["MLPs"]

# %% [markdown]
# ## What the well-known explanations say
#
# - *"GELU is x·Φ(x)."* That is the exact form. GPT-2 was trained with the tanh form; the distance is small,
#   and visible in the logits (sections 7 and 9).
# - *"A transformer is attention."* Two thirds of what its blocks have learned lies in the MLPs (section 11), and
#   without their bend what a row has gathered would only be weighed and added (section 5).
# - *"The MLP looks at the whole text."* It looks at one row. What it knows of the text, attention has brought
#   there (section 4).
#
# **Before you go:** a colleague has loaded GPT-2's released weights into a model of her own. Her
# logits are off by a few ten-thousandths of their size (relative, as in the figure of section 9), in
# every text, and the difference is there from the first layer on. What do you ask first?
#
# <details><summary>A. Whether she computes in float32</summary>
# Rounding in float32 is some hundred times smaller, as the figure in section 9 shows.
# </details>
# <details><summary>B. Which GELU she uses</summary>
# Yes. The library's default is often the exact form; torch's is. In <code>F.gelu</code> and
# <code>nn.GELU</code> the tanh form is <code>approximate="tanh"</code>.
# </details>
# <details><summary>C. Whether a matrix was loaded turned the wrong way round</summary>
# Then the logits would be off by as much as they are large, and the text would be nonsense.
# </details>

# %% [markdown]
# ## What you have
#
# `MLP` is the half of a block that works on each position alone: it reads 4·C directions, bends, and
# writes. The bend is what makes it more than a matrix, and `gelu` bends as GPT-2 was trained to, in
# the tanh form, which differs from x·Φ(x) by less than 5e-4. Nearly half of GPT-2's parameters are
# here.
#
# **Sources.** Hendrycks and Gimpel 2016, *Gaussian Error Linear Units*, section 2 (both forms);
# Vaswani et al. 2017, *Attention Is All You Need*, section 3.3 (position-wise, 512 to 2048); Radford
# et al. 2018, *Improving Language Understanding by Generative Pre-Training*, section 4.1 (GELU, 3072
# units); the code released with GPT-2, `src/model.py`, functions `gelu` and `mlp`; Geva et al. 2021,
# *Transformer Feed-Forward Layers Are Key-Value Memories*, section 2.
#
# **Next:** attention and MLP give what is **to be added** to a row. The block adds it, and keeps the
# sizes of the numbers in hand: lesson 09.
