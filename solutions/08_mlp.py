# %% [markdown]
# # 08 · The MLP
#
# Attention can only blend: value vectors, each times its attention weight, added up. So a vector may have
# gathered that its token can be a thing, and that it can be an action. **Where does the model draw a conclusion
# from what a vector has gathered?**
#
# - **In:** x `(B, T, C)`: C numbers for each of T tokens in B texts.
# - **Out:** `(B, T, C)` again: what is to be added to each vector.
# - **Time:** 55 minutes for the core, 85 for everything.
# - **Exercises:** `gelu` ●●○○○ and `MLP` ●●○○○.
#
# Keep at hand: the [cheat sheet](../docs/cheat_sheet.md), the [glossary](../docs/glossary.md), the
# [notation](../docs/notation.md), and [what well-known explanations get wrong](../docs/common_errors.md).

# %% [markdown]
# First the tools. The line below the cell says whether `masked_attention` is yours.

# %%
import copy
import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gpt2course import check, kept_names, my_progress
from gpt2course import mlp as package
from gpt2course.config import GPT2Config
from gpt2course.inspection import activations
from gpt2course.lessons.mlp import figures, gelu_slider, loss_lines, matrices, tower, unit_slider
from gpt2course.mine import masked_attention
from gpt2course.model import GPT2, parameter_table

# %% [markdown]
# The lit part is the other half of every block. "C → 4C → C" is its whole plan: widen, and come back.

# %%
tower("08_mlp", kept_names())

# %% [markdown]
# ## 1. What no matrix can compute
#
# Four tokens, C = 3 numbers each: how much of a *thing* is it, how much of an *action*? (*orders* is both: a
# captain gives orders, and he orders.) In the third column the model should note that a token is **both**; the
# wanted values are beside it.

# %%
words, columns = ["robot", "must", "obey", "orders"], ["thing", "action", "both"]
x = torch.tensor([[1.0, 0, 0], [0, 0, 0], [0, 1, 0], [1, 1, 0]])  # (T, C) = (4, 3)
wanted = torch.tensor([0.0, 0, 0, 1])
matrices([("x", x), ("wanted", wanted[:, None])], words, columns)

# %% [markdown]
# **Predict.** Is there a matrix, with a bias, that maps each row of x to its wanted value? (That is, a weighted
# sum of the row's numbers, plus a number that is the same for all rows.)
#
# <details><summary>A. Yes: add thing and action</summary>
# That gives <i>orders</i> 2, but <i>robot</i> and <i>obey</i> get 1 and should get 0.
# </details>
# <details><summary>B. Yes: add thing and action, and subtract 1</summary>
# Now <i>robot</i> and <i>obey</i> get 0 and <i>orders</i> 1, as wanted. But <i>must</i>, which is neither,
# gets -1.
# </details>
# <details><summary>C. No, none</summary>
# Right. <i>robot</i> and <i>obey</i> together have one thing and one action, and so have <i>must</i> and
# <i>orders</i> together. Any matrix and bias give the two pairs the same sum, but the wanted sums differ:
# 0 + 0 and 0 + 1.
# </details>

# %%
torch.manual_seed(1)
for _ in range(3):
    made = x @ torch.randn(3) + torch.randn(1)  # a random matrix (C, 1) and bias
    print(f"robot + obey: {made[0] + made[2]:6.3f}    must + orders: {made[1] + made[3]:6.3f}")
    assert torch.allclose(made[0] + made[2], made[1] + made[3], atol=1e-5)

# %% [markdown]
# The sums agree for every matrix. How close can one get? `lstsq` finds the matrix and bias with the smallest
# **mean squared error**: the differences, squared and averaged.

# %%
with_ones = torch.cat([x[:, :2], torch.ones(4, 1)], dim=1)  # the column of ones carries the bias
best = with_ones @ torch.linalg.lstsq(with_ones, wanted).solution
floor = ((best - wanted) ** 2).mean().item()
print("the best of all matrices gives", [f"{v:.2f}" for v in best.tolist()], f"error {floor:.4f}")

# %% [markdown]
# One sixteenth, and no less. A matrix can only weight and add: it is **linear**. "Both" needs a step that is not
# a sum.
#
# ## 2. One hidden unit
#
# The smallest thing that can do it is a **hidden unit** (hidden between input and output). It works in three
# steps; do them for *orders* in your head. A *direction* is a vector of C numbers.
#
# 1. **Read:** take the dot product of the token's vector with a direction, here (1, 1, 0), and add a bias, here
#    -1.5. The result is the unit's **pre-activation**.
# 2. **Activate:** apply an **activation function**, here: a number below 0 becomes 0. This step is not a sum; it is
#    the **non-linearity**. The result is the unit's **activation**.
# 3. **Write:** multiply another direction, here (0, 0, 2), by the activation.

# %%
read, bias, write = torch.tensor([1.0, 1, 0]), -1.5, torch.tensor([0.0, 0, 2])
pre_activation = (x[3] @ read + bias).item()
activation = max(0.0, pre_activation)
print(f"pre-activation {pre_activation}, activation {activation}, written {(activation * write).tolist()}")

# %% [markdown]
# 0.5 stays 0.5; times (0, 0, 2) is 1 in the column *both*. Now all four tokens in a loop. Which pre-activations
# are negative?

# %%
by_hand = torch.zeros(4, 3)
for t, word in enumerate(words):
    pre_activation = (x[t] @ read + bias).item()
    activation = max(0.0, pre_activation)
    by_hand[t] = activation * write
    print(f"{word:7} pre-activation {pre_activation:4.1f}, activation {activation}, writes {by_hand[t].tolist()}")
assert torch.equal(by_hand[:, 2], wanted)

# %% [markdown]
# Exactly what was wanted, and what no matrix can give. As a picture: a token's two numbers are its place on a
# map, and the unit draws a line on it; on the hatched side its pre-activation is above 0. Which token lies
# farthest from the line, and does that matter in the end?

# %%
places = {word: (row[0].item(), row[1].item()) for word, row in zip(words, x)}
figures.unit_plane(places, (1.0, 1.0), bias, ("thing", "action"))

# %% [markdown]
# *must* lies three times as far away as *robot* and *obey*, and it does not matter: on this side everything
# becomes 0. Plan B lacked that.
#
# ## 3. Several units are two matrices
#
# A second unit, *neither*, reads (-1, -1, 0) with bias 0.5, so only *must* has a positive pre-activation, and
# writes -2 into the same column. What the units write is added up. H is the number of units, and `clamp(min=0)`
# is the activation function for many numbers at once. What will the third column of `by_loop` be?

# %%
W_fc = torch.tensor([[1.0, -1], [1, -1], [0, 0]])  # (C, H) = (3, 2): column h is what unit h reads
b_fc = torch.tensor([-1.5, 0.5])
W_proj = torch.tensor([[0.0, 0, 2], [0, 0, -2]])  # (H, C) = (2, 3): row h is what unit h writes
by_loop = torch.zeros(4, 3)
for h in range(2):
    activation = (x @ W_fc[:, h] + b_fc[h]).clamp(min=0)  # (T,): one unit, all four tokens
    by_loop += activation[:, None] * W_proj[h]
by_loop[:, 2].tolist()

# %% [markdown]
# 1 for both, -1 for neither. The loop over units is a matrix product: `x @ W_fc` is what all units read, and
# `@ W_proj` adds up what they write. Follow *must* from left to right.

# %%
pre_activations = x @ W_fc + b_fc  # (T, H)
hidden = pre_activations.clamp(min=0)
y = hidden @ W_proj
assert torch.allclose(y, by_loop)
figures.mlp_stages(x, pre_activations, hidden, y, words, columns, ["both", "neither"])

# %% [markdown]
# Two matrices with a non-linearity between them are called an **MLP** (multi-layer perceptron), also a
# *feed-forward network*. GPT-2's is no more than that, with learned numbers, a second bias after the second
# matrix, and many more units: H = 4·C. Here are twelve units for our three entries, not trained yet: each token
# fans out to all units, lights some, and only these write. Do two tokens light the same ones?

# %%
torch.manual_seed(0)
to_units, from_units = torch.nn.Linear(3, 12), torch.nn.Linear(12, 3)
three = [0, 2, 3]
lit = to_units(x[three]).clamp(min=0)
figures.fan(x[three], lit, from_units(lit), [words[i] for i in three])

# %% [markdown]
# No, and this is what an MLP adds to a matrix: which part of it works depends on the token.
#
# ## 4. Each position on its own
#
# Nowhere in these lines does one row meet another. Test it beside attention: change *obey* in x, and see which
# rows of each result change (✓). Predict first.

# %%
def two_units(x):
    return (x @ W_fc + b_fc).clamp(min=0) @ W_proj


def attend(x):
    return masked_attention(x, x, x)


edited = x.clone()
edited[2] += 2
changes = [(name, (f(edited) - f(x)).abs().amax(-1, keepdim=True) > 1e-6)
           for name, f in (("attention", attend), ("MLP", two_units))]  # fmt: skip
matrices(changes, words, ["changed"])

# %% [markdown]
# Attention: *obey* itself, and *orders*, which reads it. MLP: *obey* alone. It is **position-wise**: each row of the
# result depends on the same row of x and on nothing else.
#
# So the two halves of a block divide the work: attention **moves** information between tokens, and nothing else
# in GPT-2 does; the MLP **works** on each vector by itself.
#
# ## 5. Break it: without the non-linearity
#
# **Predict.** Leave the activation function out, but take 1,000 units. Can they compute "both"?
#
# <details><summary>A. Yes, with so many units some combination will do</summary>
# More units are more sums of the same numbers, and sums of sums are sums.
# </details>
# <details><summary>B. No, two matrices with nothing between them are one matrix</summary>
# Yes. (x @ A) @ D is x @ (A @ D): the two matrices can be multiplied beforehand, and their product is (3, 3)
# however wide the middle was. Section 1 has shown that one matrix cannot do it.
# </details>
# <details><summary>C. It depends on how long one trains</summary>
# Training looks for the best numbers, and among these there are none that are good enough. Section 8 tries.
# </details>

# %%
torch.manual_seed(2)
A, a, D, d = torch.randn(3, 1000), torch.randn(1000), torch.randn(1000, 3), torch.randn(3)
twice = (x @ A + a) @ D + d
once = x @ (A @ D) + (a @ D + d)  # one matrix (3, 3), one bias (3,)
assert torch.allclose(twice, once, atol=1e-3)
print(f"largest difference: {(twice - once).abs().max():.1e}, of numbers up to {twice.abs().max():.0f}")
print("numbers in the two layers:", A.numel() + a.numel() + D.numel() + d.numel())
print("numbers that do the same: ", (A @ D).numel() + (a @ D + d).numel())

# %% [markdown]
# 7,003 numbers do the work of 12. Only a non-linearity makes two layers more than one.
#
# ## 6. Two activation functions: ReLU and GELU
#
# The function so far, max(0, x), is called **ReLU** (rectified linear unit). Read it as a gate: x times 1 above
# 0, x times 0 below. Its weak spot is the slope of 0 below 0: a unit whose pre-activation is negative for every
# text gets no gradient and learns no more, a *dead unit*.
#
# GPT-2 uses a softer gate, **GELU** (Gaussian error linear unit): x times a fraction between 0 and 1. Which
# fraction? Draw many numbers from the normal distribution (mean 0, variance 1, the bell curve). The fraction of
# them that lie **below x** is the fraction of x that passes. For x = 1, guess it before you count.

# %%
drawn = torch.randn(100_000, generator=torch.Generator().manual_seed(0))
fraction_at_1 = (drawn < 1).double().mean().item()
print(f"{fraction_at_1:.1%} of the numbers lie below 1, so 1 becomes about {1 * fraction_at_1:.2f}")

# %% [markdown]
# As a function of x, this fraction is written Φ(x), the *cumulative distribution function*; torch computes it
# with `erf`. So GELU is x·Φ(x). Which negative numbers still let something through?

# %%
def normal_cdf(x):
    return 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def exact_gelu(x):
    return x * normal_cdf(x)


assert abs(normal_cdf(torch.tensor(1.0)) - fraction_at_1) < 0.01
some = torch.tensor([-3.0, -1, -0.5, 0, 0.5, 1, 3])
values = torch.stack([normal_cdf(some), exact_gelu(some), torch.relu(some)])
matrices([("", values)], ["Φ(x)", "x · Φ(x)", "ReLU"], [f"{v:g}" for v in some.tolist()], scale=(-3.0, 3.0))

# %% [markdown]
# All of them, a little (at -3 too little for two digits). Below are both functions and their slopes. Which slope
# is 0 left of 0, and which is not?

# %%
figures.activation_functions({"GELU": exact_gelu, "ReLU": torch.relu})

# %% [markdown]
# Far from 0 they agree. Around 0, ReLU has a corner and GELU a curve: a unit a little below 0 still gets a
# gradient.
#
# ### The form that GPT-2 was trained with
#
# The authors of GELU also gave an approximation that was faster to compute, built on `tanh`, a curve that climbs
# from -1 to 1:
#
# `gelu(x) = ½ · x · (1 + tanh(√(2/π) · (x + 0.044715 · x³)))`
#
# GPT-2 was trained with **this** one. Read it as a gate again: ½ · (1 + tanh(…)) goes from 0 to 1 and
# approximates Φ(x).
#
# ## Exercise: `gelu` ●●○○○ · 8 minutes
#
# Write the tanh form, for a tensor of any shape. The trap is in the brackets: √(2/π) multiplies the whole sum,
# and only x is cubed.
#
# <details><summary>Hint 1</summary>
# Build it from the inside: first the sum, then the root in front of it, then tanh, then the gate, then times x.
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
    """GELU in the tanh form, with which GPT-2 was trained."""
    ### BEGIN SOLUTION
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    ### END SOLUTION

# %%
gelu = check(gelu)

# %% [markdown]
# How far apart are the two forms, over 120,001 values of x?

# %%
grid = torch.linspace(-6, 6, 120_001, dtype=torch.float64)
gap = (gelu(grid) - exact_gelu(grid)).abs()
print(f"largest difference: {gap.max():.2e}, at x = {grid[gap.argmax()].abs():.2f} on either side")
assert 4e-4 < gap.max() < 5e-4, "the tanh form should differ from the exact one by a little under 5e-4"

# %% [markdown]
# Less than half a thousandth: it hardly shows in a text, but at once where two models are compared to six digits.
# Weights fit the function that they were trained with; give them that one.
#
# ## 7. The module
#
# GPT-2's MLP has two linear layers, with bias, named as in the released weights: `c_fc` ("fully connected") from
# C to 4·C, and `c_proj` back to C. Why four times? The first transformer went from 512 to 2048, and the factor
# stayed.
#
# ## Exercise: `MLP` ●●○○○ · 10 minutes
#
# A module for any `n_embd` (C): widen, apply your `gelu`, come back. x is (B, T, C), and so is the result. The
# names `c_fc` and `c_proj` are part of the contract. The trap: GELU has one place, between the layers.
#
# <details><summary>Hint 1</summary>
# The form of a module is in <a href="07_multi_head.ipynb">lesson 07</a>, section 8: layers are made in
# <code>__init__</code>, after <code>super().__init__()</code>, and kept on <code>self</code>.
# </details>
# <details><summary>Hint 2</summary>
# <code>nn.Linear(a, b)</code> goes from a numbers to b numbers and has its bias by itself. Which a and b
# has each layer?
# </details>
# <details><summary>Hint 3</summary>
# <code>forward</code> is section 3's read, activate, write, with the layers in place of the matrices and
# <code>gelu</code> in place of the clamp.
# </details>

# %%
class MLP(nn.Module):
    """Widen four times, apply GELU, come back: C → 4C → C."""

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
# An independent judge: the package's MLP with the same weights (copied by name). C = 3 gives 12 units.

# %%
torch.manual_seed(3)
mine, theirs, batch = MLP(3), package.MLP(3), torch.randn(2, 5, 3)
mine.load_state_dict(theirs.state_dict(), strict=False)
apart = (mine(batch) - theirs(batch)).abs().max().item()
assert apart < 1e-5, f"with equal weights your MLP differs from the package's by {apart}; check it again"
print(f"largest difference from the package's: {apart:.1e}")
{name: tuple(parameter.shape) for name, parameter in mine.named_parameters()}

# %% [markdown]
# The units of section 2 are still in there. `nn.Linear` stores its matrix transposed, a row for each output: unit
# `h` reads **row** h of `c_fc.weight` and writes **column** h of `c_proj.weight`. All units added up:

# %%
total = mine.c_proj.bias.expand(2, 5, 3)
for h in range(12):
    pre_activation = batch @ mine.c_fc.weight[h] + mine.c_fc.bias[h]  # (B, T)
    total = total + gelu(pre_activation)[..., None] * mine.c_proj.weight[:, h]
apart = (total - mine(batch)).abs().max().item()
assert apart < 1e-5, f"the sum over units differs from your MLP by {apart}; check MLP again"
print(f"12 units added up, {tuple(total.shape)}: largest difference from the module {apart:.1e}")

# %% [markdown]
# In a trained model nobody has chosen the directions, and few units have names as nice as *both*.

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: two forms of GELU
#
# GELU to play with, where it is smallest, how far its two forms lie apart, and what 12 layers make of the
# difference. Nothing later needs it; you can skip it.

# %% [markdown]
# **Play with it.** Move x. On the left, the filled part of the bell is the fraction Φ(x). On the right, the point
# is x·Φ(x), and the dashed line is ReLU. At which x above 0 is the gap between the two lines widest, and at which
# below?

# %%
gelu_slider()

# %% [markdown]
# <details><summary>Answer, after you have tried</summary>
# At about 0.75 and -0.75, and it is 0.17 both times. What is missing above 0 is x · (1 - Φ(x)), and the part of
# the bell above x is as large as the part below -x.
# </details>
#
# **Predict.** Where is GELU smallest?
#
# <details><summary>A. Far to the left, where x is most negative</summary>
# There Φ(x) is so near 0 that nothing is left: -4 times 0.00003.
# </details>
# <details><summary>B. At 0, as for ReLU</summary>
# At 0 the value is 0. To the left of it a negative x is multiplied by a fraction above 0, and that is negative.
# </details>
# <details><summary>C. Somewhere between -1 and 0, where neither x nor Φ(x) is small</summary>
# Yes: on the way from 0 to the left, x moves away from 0 faster than Φ(x) shrinks, as far as about -0.75. After
# that Φ(x) wins.
# </details>

# %%
lowest = exact_gelu(grid).argmin()
f"smallest value {exact_gelu(grid)[lowest]:.4f} at x = {grid[lowest]:.3f}"

# %% [markdown]
# Now the two forms. In the picture of section 6 one line would cover the other, so what is drawn is their
# **difference**, ten thousand times enlarged. Where is it 0?

# %%
figures.forms_apart(gelu, exact_gelu)

# %% [markdown]
# At 0, at about 1.9 on both sides, where the tanh form crosses the exact one, and far out, where both gates are
# near 0 or near 1.
#
# What does it do to a model? Take a GPT-2 with 12 layers, small and untrained, once with the tanh form and once
# with the exact one. In an untrained model the pre-activations lie close to 0, where GELU is nearly a straight
# line; so the weights of its MLPs are made ten times as large by hand. The **standard deviation** (the root of
# the variance) says how far from 0 the pre-activations are then. (float64 has 16 digits, so rounding does not get
# in the way.)

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
f"{reaching.numel():,} pre-activations, standard deviation {reaching.std():.2f}"

# %% [markdown]
# The twin has the same weights and the other form.

# %%
class ExactMLP(nn.Module):
    """The layers of another MLP, with x·Φ(x) between them."""

    def __init__(self, other):
        super().__init__()
        self.c_fc, self.c_proj = other.c_fc, other.c_proj

    def forward(self, x):
        wide = self.c_fc(x)
        return self.c_proj(wide * normal_cdf(wide))


exact_model = copy.deepcopy(tanh_model)
for block in exact_model.h:
    block.mlp = ExactMLP(block.mlp)
with torch.no_grad():
    with_exact = activations(exact_model, idx)
    rounded = activations(copy.deepcopy(tanh_model).float(), idx)  # the same in float32

# %% [markdown]
# How far do they drift apart? Three things to know from later lessons: each layer adds to the token's vector
# ([09](09_block.ipynb)); the vector after the last one is compared with every token of the vocabulary
# ([10](10_output_projection.ipynb)); the resulting scores for the next token are called **logits**. Drawn is the
# difference after each layer and in the logits, relative to the size of the numbers themselves, and beside it
# what float32 changes by rounding alone. Each step of the vertical axis is a factor of ten. How many steps lie
# between the two lines?

# %%
def relative_differences(one, other):
    """The relative difference after each layer, and in the logits."""
    after_layers = zip(one.stream[1:], other.stream[1:])  # stream: x before layer 1, and after each
    pairs = [*after_layers, (one.logits, other.logits)]
    return [((a - b).norm() / a.norm()).item() for a, b in pairs]


lines = {
    "the exact form": relative_differences(with_tanh, with_exact),
    "rounding to float32": relative_differences(with_tanh, rounded),
}
assert lines["the exact form"][-1] > 100 * lines["rounding to float32"][-1]
assert lines["the exact form"][-1] < 2 * lines["the exact form"][0]
figures.growth(lines)

# %% [markdown]
# Nearly three: the other form changes the logits hundreds of times as much as rounding does. But the difference
# does not run away; from the first layer to the logits it does not even double. In numbers, and does the most
# likely next token ever change?

# %%
difference = (with_tanh.logits - with_exact.logits).abs().max().item()
n_changed = (with_tanh.logits.argmax(-1) != with_exact.logits.argmax(-1)).sum().item()
print(f"largest difference of a logit: {difference:.1e} (standard deviation {with_tanh.logits.std():.2f})")
print(f"most likely next token changed: {n_changed} of {idx.numel()}")

# %% [markdown]
# ## 8. Training it
#
# Train an MLP on *both*, and two linear layers without GELU: 12 units each, 200 steps of the loop of
# [lesson 06](06_masking.ipynb). Where will the second line end?

# %%
torch.manual_seed(4)
with_gelu, linear = MLP(3), nn.Sequential(nn.Linear(3, 12), nn.Linear(12, 3))
curves = {}
for name, model in (("with GELU", with_gelu), ("without", linear)):
    optimizer, curves[name] = torch.optim.Adam(model.parameters(), lr=0.01), []
    for _ in range(200):
        loss = ((model(x[None])[0, :, 2] - wanted) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        curves[name].append(loss.item())
assert curves["with GELU"][-1] < 1e-3 and abs(curves["without"][-1] - floor) < 1e-3
title = "Without a non-linearity the loss stays at what one matrix can do"
loss_lines(curves, {"one matrix at best": floor}, title, "mean squared error", decimals=4)

# %% [markdown]
# At one sixteenth, the error of the best matrix in section 1. No training gets below it.

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: what width is for
#
# A curve that up to eight units imitate, to play with. 5 minutes; nothing later needs it, and you can skip it.

# %% [markdown]
# **Play with it.** One number in, one number out: a curve with two hills to imitate. Each unit bends the line
# once, where its pre-activation crosses 0 (the orange marks). The slider adds the unit that helps most.
#
# 1. With GELU, from 1 unit to 8: how many does the first hill take, how many do both?
# 2. Switch to ReLU at 5 units. What is different about the line?
# 3. Switch the activation function off. What does the slider change now?

# %%
at = torch.linspace(-4, 4, 161, dtype=torch.float64)
two_hills = torch.exp(-1.2 * (at + 1.7) ** 2) + 0.6 * torch.exp(-1.5 * (at - 1.5) ** 2)
unit_slider(at, two_hills, {"GELU": gelu, "ReLU": torch.relu, "none": lambda pre_activation: pre_activation})

# %% [markdown]
# <details><summary>Answers, after you have tried</summary><ol>
# <li>Three make a hump, about 0.8 high at about -2.1, where a hill 1 high at -1.7 is wanted. With four the
# top is right, with five the whole hill; with seven there is hardly a gap at either.</li>
# <li>It is made of straight pieces, with a corner at each orange mark. With GELU the corners are
# round.</li>
# <li>Nothing: the sum of any number of straight lines is a straight line. The pre-activations still cross 0 at
# the orange marks, but without a non-linearity nothing happens to the line there.</li>
# </ol></details>

# %% [markdown]
# ## 9. Where the parameters are
#
# **Predict:** which part of GPT-2 124M has the most parameters: the embedding matrix, attention, or the MLPs?

# %%
config, parts = GPT2Config(), {}
kinds = {"mlp": "MLPs", "attn": "attention", "wte": "wte, embedding", "wpe": "wpe, positions"}
for name, shape, count in parameter_table(config):
    part = next((kinds[key] for key in kinds if key in name), "LayerNorm")
    parts[part] = parts.get(part, 0) + count
figures.parameter_bars(parts, f"GPT-2 124M: {sum(parts.values()):,} parameters")

# %% [markdown]
# The MLPs, with nearly half. And without the embeddings? Your own module counts:

# %%
per_layer = sum(p.numel() for p in MLP(config.n_embd).parameters())
in_all, everything = config.n_layer * per_layer, sum(parts.values())
in_halves = in_all + parts["attention"]
print(f"{config.n_embd} → {4 * config.n_embd} → {config.n_embd}, {per_layer:,} parameters per layer")
print(f"{config.n_layer} layers: {in_all:,}, {in_all / everything:.1%} of {everything:,}")
print(f"of attention and MLPs together: {in_all / in_halves:.1%}")
print(f"hidden units in all: {config.n_layer * 4 * config.n_embd:,}")
assert per_layer == 4_722_432, f"your MLP(768) has {per_layer:,} parameters and not 4,722,432; check it again"
assert in_all == parts["MLPs"]

# %% [markdown]
# ## What the well-known explanations say
#
# - *"GPT-2's GELU is x·Φ(x)."* That is the exact form. GPT-2 was trained with the tanh form (section 6).
# - *"A transformer is attention."* Two thirds of its blocks' parameters are in the MLPs (section 9).
# - *"The MLP looks at the whole text."* It looks at one vector; attention has brought the rest there (section 4).

# %% [markdown]
# ## Challenge: exactly one of the two
#
# No check for this one. Want 1 for a thing **or** an action but not both (*robot*, *obey*), 0 for the others:
# *XOR*. Find directions and biases by hand, with ReLU and as few units as you can. Then train as many units, and
# four times as many, from ten seeds each.
#
# What to look for: can you prove that one unit is too few, as section 1 did for a matrix? How often does training
# fail where you know that a solution exists, and what does width change?

# %% [markdown]
# ## What you have
#
# `MLP` works on each position alone: it reads 4·C directions, applies GELU, and writes. The non-linearity makes
# it more than one matrix, and your `gelu` is the form that GPT-2 was trained with.
#
# Five questions on this lesson:
#
# <details><summary>1. What are the three steps of a hidden unit?</summary>
# Read: dot product with a direction, plus a bias (the pre-activation). Activate: apply the activation function.
# Write: another direction times the activation.
# </details>
# <details><summary>2. Why are two linear layers in a row no better than one?</summary>
# (x @ A) @ D is x @ (A @ D): their product is one matrix. Biases change nothing about it.
# </details>
# <details><summary>3. You change the third token of a text. Which rows of the MLP's result change?</summary>
# The third alone: the MLP is position-wise. In attention the third and all later ones can change.
# </details>
# <details><summary>4. What shapes have the weights of <code>c_fc</code> and <code>c_proj</code> for C = 768?</summary>
# (3072, 768) and (768, 3072): <code>nn.Linear</code> stores a row for each output.
# </details>
# <details><summary>5. A colleague's model with GPT-2's weights gives logits that are off by a few ten-thousandths, in
# every text. Where do you look first?</summary>
# At her GELU. The exact form is the default of many libraries, torch's too; in <code>F.gelu</code> and
# <code>nn.GELU</code> the tanh form is <code>approximate="tanh"</code>. Rounding in float32 would be hundreds of times
# smaller, and a transposed matrix would make nonsense of the text.
# </details>
#
# And two on earlier ones:
#
# <details><summary>6. Why must the mask be applied before the softmax? (<a href="06_masking.ipynb">lesson 06</a>)</summary>
# A score of -inf becomes a weight of 0, and the other weights still sum to 1. Set to 0 after the softmax, the rows would
# sum to less than 1, and each weight would still depend on the future scores.
# </details>
# <details><summary>7. What is left out if heads are split with a reshape alone? (<a href="07_multi_head.ipynb">lesson 07</a>)</summary>
# The transpose, which brings the axis of the heads in front of the axis of the tokens. Without it a head mixes
# numbers of different tokens.
# </details>
#
# **GPT-2 124M in numbers:** 12 layers, C = 768, 4·C = 3072 hidden units each.
#
# **Sources.** Hendrycks and Gimpel 2016, *Gaussian Error Linear Units*, section 2 (both forms); Vaswani et al. 2017,
# *Attention Is All You Need*, section 3.3 (position-wise, 512 to 2048); Radford et al. 2018, *Improving Language
# Understanding by Generative Pre-Training*, section 4.1 (GELU, 3072 units); the code released with GPT-2,
# `src/model.py`, functions `gelu` and `mlp`; Geva et al. 2021, *Transformer Feed-Forward Layers Are Key-Value
# Memories*, section 2 (what a unit reads is its key there, and what it writes its value; not those of attention).
#
# **Next:** attention and the MLP compute what is **to be added** to a token's vector. The block adds it:
# [lesson 09](09_block.ipynb).
#
# **What you have built so far:**

# %%
my_progress()
