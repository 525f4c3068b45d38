# %% [markdown]
# # 07 · Multi-head attention
#
# After lesson 06 every word has one row of weights, and the row sums to 1. But one word may have to find
# out several things at once: who does it, to whom, and which word stood right before. **How can a word
# ask several questions at the same time, and what does it cost?**
#
# - **In:** x `(B, T, C)`: B texts in a batch, T tokens in each, C numbers for each token.
# - **Out:** `(B, T, C)` again: for each token what it has read from itself and from earlier ones.
# - **Time:** about 115 minutes, with a place for a break before section 8. Three exercises: `split_heads`,
#   `merge_heads` and `CausalSelfAttention`, your first module.

# %% [markdown]
# First the tools. `masked_attention` is yours if you have passed it in lesson 06; the line below the cell
# says whose it is.

# %%
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from gpt2course import check, multihead
from gpt2course.config import GPT2Config
from gpt2course.lessons.multi_head import figures, head_switch, matrices, pipeline, weights_of
from gpt2course.mine import masked_attention
from gpt2course.model import count_parameters

# %% [markdown]
# The lit box, heads, stands below those of lessons 05 and 06, in the same frame. It works around the
# two, as "split, merge" says: what goes into attention is cut first, what comes out is joined again.

# %%
pipeline("07_multi_head")

# %% [markdown]
# ## 1. Two questions, one row
#
# Two short texts, with a full stop as the last token: *robot obeys child.* and *child obeys robot.* The
# full stop comes last, so it may read everything. Suppose that it has two questions: **who** obeys, and
# **whom**?
#
# A value has two numbers here, chosen by hand: how much *robot* is in it, and how much *child*. With
# a single row of weights, the full stop has to answer both questions from one blend. Let it give half
# of its attention to the first word and half to the third (typed in, as if a model had learned it).
# What will the blends of the two texts be?

# %%
robot, child, nothing = [2.0, 0.0], [0.0, 2.0], [0.0, 0.0]
v_a = torch.tensor([robot, nothing, child, nothing])  # robot obeys child .   (S, hs) = (4, 2)
v_b = torch.tensor([child, nothing, robot, nothing])  # child obeys robot .
one_row = torch.tensor([[0.5, 0.0, 0.5, 0.0]])  # (T, S) = (1, 4): the row of the full stop
blend_a, blend_b = one_row @ v_a, one_row @ v_b
assert torch.equal(blend_a, blend_b)
matrices([("robot obeys child.", blend_a), ("child obeys robot.", blend_b)], ["."], ["robot", "child"])

# %% [markdown]
# The same blend, to the last digit. A robot and a child are in it, and who obeys whom is gone.
#
# **Predict.** Let the row give 90 % to the first word and 10 % to the third. Is that enough?
#
# <details><summary>A. No, the two blends are the same again</summary>
# They were the same because both words had the same share. With unequal shares it matters who stands
# where.
# </details>
# <details><summary>B. The blends differ, but one answer drowns the other</summary>
# Yes. Who obeys comes through loud and whom is a whisper: a row sums to 1, and what one question gets,
# the other loses. With twelve questions the shares are small, and all answers lie on top of each other
# in the same numbers.
# </details>
# <details><summary>C. Yes, nothing is lost any more</summary>
# In this toy one could work back to both words, because their values have no number in common. The
# values of a real text do, and then nobody can say whether a number is 90 % of one word or 10 % of
# another.
# </details>

# %%
uneven = torch.tensor([[0.9, 0.0, 0.1, 0.0]])
assert not torch.equal(uneven @ v_a, uneven @ v_b)
panels = [("robot obeys child.", uneven @ v_a), ("child obeys robot.", uneven @ v_b)]
matrices(panels, ["."], ["robot", "child"])

# %% [markdown]
# The way out: a row for each question. The first puts everything on who obeys, the second on whom. Each
# gives a blend of its own, and the blends are put **side by side**, so that the place says which
# question was answered. Four numbers for each text: which?

# %%
two_rows = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]])  # one row a question
side_a, side_b = (two_rows @ v_a).reshape(1, 4), (two_rows @ v_b).reshape(1, 4)
assert not torch.equal(side_a, side_b)
answers = ["who: robot", "who: child", "whom: robot", "whom: child"]
matrices([("robot obeys child.", side_a), ("child obeys robot.", side_b)], ["."], answers)

# %% [markdown]
# Each such attention, with its own queries, keys and values and its own row of weights for every
# token, is called a **head**. GPT-2 has 12 in each layer. Twelve times the work? No: a layer has C =
# 768 numbers for each token, and these are **shared out**: nh heads of hs = C / nh numbers each.
# GPT-2's heads are 768 / 12 = 64 wide. That is the price: more questions, and each is asked and
# answered in fewer numbers.
#
# ## 2. One product makes q, k and v
#
# From here on the running example has four words, C = 6 columns, nh = 2 heads, hs = 3. All sizes
# differ, so that a swapped axis shows. Lesson 05 made queries, keys and values by three matrices; as
# there are now queries for all heads at once, each matrix is (C, C). And each product gets a **bias**
# added, one number a column, the same for all tokens: GPT-2 has them.

# %%
words = ["robot", "must", "obey", "orders"]
torch.manual_seed(7)
x = torch.randn(1, 4, 6)  # (B, T, C): one text, four words, six numbers each
W_q, W_k, W_v = (torch.randn(6, 6) / 6**0.5 for _ in range(3))
b_q, b_k, b_v = torch.randn(6), torch.randn(6), torch.randn(6)
q, k, v = x @ W_q + b_q, x @ W_k + b_k, x @ W_v + b_v
print("q, k and v:", tuple(q.shape), tuple(k.shape), tuple(v.shape))

# %% [markdown]
# Three products with the same x on the left. Put the three matrices side by side, and one product
# does it: a column of the result needs nothing but x and its own column of the matrix. It is fewer
# steps, and one large product keeps a processor busier than three small ones. How many columns has
# `qkv`? In the picture, a band stands over each third, and its colour says q, k or v.

# %%
W, b = torch.cat([W_q, W_k, W_v], dim=1), torch.cat([b_q, b_k, b_v])
qkv = x @ W + b
assert torch.allclose(qkv, torch.cat([q, k, v], dim=-1), atol=1e-6)
figures.cut_in_three(qkv[0], words)

# %% [markdown]
# In torch a matrix with its bias is a **linear layer**, `nn.Linear(C, 3 * C)`. In the released GPT-2
# this one is called `c_attn`, and so it is here. One thing to know: nn.Linear keeps its matrix
# **turned**, with a row for each *output*. What is the shape of `c_attn.weight`?

# %%
c_attn = nn.Linear(6, 18)
with torch.no_grad():  # these numbers in place of the random ones
    c_attn.weight.copy_(W.T)
    c_attn.bias.copy_(b)
assert torch.allclose(c_attn(x), qkv, atol=1e-6)
print("weight:", tuple(c_attn.weight.shape), "  bias:", tuple(c_attn.bias.shape))

# %% [markdown]
# To cut the result in three, there is `chunk`, which asks for the **number** of pieces. (Its sister
# `split` asks for the **size** of a piece.) The order is queries, keys, values, because the released
# weights lie in this order.

# %%
thirds = qkv.chunk(3, dim=-1)
assert all(torch.allclose(third, part, atol=1e-6) for third, part in zip(thirds, (q, k, v)))
[tuple(third.shape) for third in thirds]

# %% [markdown]
# Nothing in the numbers says which third is which. Take them in another order, and no line raises: all
# three have the same shape. How far off is the result?

# %%
exchanged = masked_attention(thirds[1], thirds[0], thirds[2])  # keys where queries belong
difference = (exchanged - masked_attention(*thirds)).abs().max()
f"no error, and a result that is off by up to {difference:.2f}"

# %% [markdown]
# ### What is shared out?
#
# One often reads that each head sees its own part of x: head 0 the first columns, head 1 the next. Test
# it: change column 5 of x alone, the last one, and see which entries of q move. ✓ means: moved.

# %%
x_changed = x.clone()
x_changed[..., 5] += 1
q_moved = (c_attn(x_changed) - c_attn(x))[0, :, :6].abs() > 1e-6
matrices([("q, after a change in column 5 of x", q_moved)], words, [f"q {c}" for c in range(6)])

# %% [markdown]
# All of q moves, the first columns too. Every head reads **all** of x, through its own columns of
# `c_attn`. What is shared out among the heads is the columns of q, k and v.
#
# ## 3. By hand, then in a loop
#
# Head 0 gets columns 0, 1 and 2 of q, of k and of v; head 1 gets columns 3, 4 and 5. Each then does
# what you know from lesson 06, alone: four words, three columns each. The same four words, the same
# x: will the two heads have the same weights? (`weights_of` from lesson 06 reads off the weights of
# an attention function.)

# %%
head_0 = masked_attention(q[..., :3], k[..., :3], v[..., :3])  # (1, 4, 3)
head_1 = masked_attention(q[..., 3:], k[..., 3:], v[..., 3:])
weights_0 = weights_of(masked_attention, q[0, :, :3], k[0, :, :3])
weights_1 = weights_of(masked_attention, q[0, :, 3:], k[0, :, 3:])
matrices([("weights of head 0", weights_0), ("weights of head 1", weights_1)], words, words)

# %% [markdown]
# No: other columns of `c_attn`, other queries and keys, other weights. Only the first row must be alike,
# since the first word has nobody else to read.
#
# Any number of heads, in a loop; the blends go side by side, head 0 first. Which shape will `by_loop`
# have?

# %%
found = []
for h in range(2):
    columns = slice(3 * h, 3 * (h + 1))  # columns h·hs to (h + 1)·hs
    found.append(masked_attention(q[..., columns], k[..., columns], v[..., columns]))
by_loop = torch.cat(found, dim=-1)
assert torch.equal(by_loop[..., :3], head_0) and torch.equal(by_loop[..., 3:], head_1)
tuple(by_loop.shape)

# %% [markdown]
# Six numbers for each word, as in x.
#
# **Predict.** Leave out the cutting: one head with all six columns. Is the result the same?
#
# <details><summary>A. Yes: all numbers are used in both, and the heads are put side by side at the end</summary>
# All numbers are used, but the softmax does not see the same sums. Cutting after a softmax and before it
# are two things.
# </details>
# <details><summary>B. No: one head adds the scores of both up and takes a single softmax</summary>
# Yes. A dot product of six numbers is the sum of two dot products of three. One wide head asks both
# questions in one breath and gets one row of weights; two heads get two.
# </details>
# <details><summary>C. No: one head has more parameters</summary>
# It has the same ones. Cutting needs no numbers of its own.
# </details>

# %%
dots = q[0] @ k[0].T
assert torch.allclose(dots, q[0, :, :3] @ k[0, :, :3].T + q[0, :, 3:] @ k[0, :, 3:].T, atol=1e-5)
one_wide = weights_of(masked_attention, q[0], k[0])
assert not torch.allclose(one_wide, weights_0) and not torch.allclose(one_wide, weights_1)
matrices([("weights of one head, six wide", one_wide)], words, words)

# %% [markdown]
# ## 4. All heads at once: split
#
# A loop over 12 heads in 12 layers is slow. `masked_attention` carries any leading axes along, so let the
# heads have an axis of their own: if q, k and v are (B, nh, T, hs), one call does all heads of all texts.
# The last two axes must be position and column: those are the ones attention works on.
#
# How to get from (B, T, C) to (B, nh, T, hs)? To see where each number goes, take numbers that say
# where they come from: 23 is word 2, column 3 (both counted from 1 here). The colours, other ones
# than before, and *head 0* and *head 1* above the columns say which head a column belongs to. In
# memory the numbers lie in one long line, row after row:

# %%
numbered = 10 * torch.arange(1, 5)[:, None] + torch.arange(1, 7)  # (T, C) = (4, 6)
figures.in_memory(numbered, words, n_head=2)

# %% [markdown]
# `reshape` moves nothing in this line. It only says where the line is broken into rows: into rows of
# 6, or of 3, or of 8. **Predict.** `numbered.reshape(2, 4, 3)` has the shape that is wanted: 2 heads,
# 4 words, 3 columns. What does head 0 hold?
#
# <details><summary>A. The first three columns of all four words</summary>
# That is what it should hold. But follow the line: after 11, 12, 13 come 14, 15, 16, which are head 1's,
# and a reshape cannot jump over them.
# </details>
# <details><summary>B. The first two words, with all their columns</summary>
# Yes. Head 0 takes the first 12 numbers of the line, broken into rows of 3.
# </details>
# <details><summary>C. Every second number</summary>
# A reshape never picks; it goes through the line from the beginning to the end.
# </details>

# %%
title = "reshape(2, 4, 3): beside each row, the word that its numbers come from"
figures.heads_side_by_side(numbered, numbered.reshape(2, 4, 3), words, title)

# %% [markdown]
# Both colours in each head: neither has got its columns. Head 0 knows *robot* and *must* and nothing
# of the others; what it takes for four words is two words, broken in halves. The shape is right and
# the contents are wrong.
#
# It takes two steps. First **cut each row**, and nothing else: break the line into pieces of hs and
# keep the words apart, (T, nh, hs). Then **exchange the axes** of words and heads. Follow 23 and 24
# through the picture.

# %%
figures.split_steps(numbered, words, n_head=2)

# %% [markdown]
# ## Exercise: `split_heads`
#
# Write it for a batch: x is (B, T, C), the result (B, nh, T, hs). Head `h` gets columns `h·hs` to
# `(h + 1)·hs` of every position, with hs = C / nh. C is a multiple of `n_head`. The result has the
# dtype of x. The trap: a wrong order of axes often has the right shape, so look at where the numbers are.
#
# <details><summary>Hint 1</summary>
# The picture has two steps, and there is a batch in front of it now. What are the three shapes, with B?
# Which two axes change places, counted from 0?
# </details>
# <details><summary>Hint 2</summary>
# <code>B, T, C = x.shape</code> gives the sizes. A size must be an int: <code>//</code> divides ints
# and gives an int.
# </details>
# <details><summary>Hint 3</summary>
# <code>x.reshape(...)</code> with four sizes cuts; <code>.transpose(i, j)</code> of that exchanges axes i and
# j.
# </details>

# %%
def split_heads(x: Float[Tensor, "B T C"], n_head: int) -> Float[Tensor, "B nh T hs"]:
    """Head h gets columns h·hs to (h + 1)·hs of every position."""
    ### BEGIN SOLUTION
    B, T, C = x.shape
    return x.reshape(B, T, n_head, C // n_head).transpose(1, 2)
    ### END SOLUTION

# %%
split_heads = check(split_heads)

# %% [markdown]
# Now q, k and v go through it, and one call of `masked_attention` does what the loop did. Say the
# shape of `y` before you run it.

# %%
q_heads, k_heads, v_heads = split_heads(q, 2), split_heads(k, 2), split_heads(v, 2)
y = masked_attention(q_heads, k_heads, v_heads)
assert torch.allclose(y[:, 0], head_0, atol=1e-6) and torch.allclose(y[:, 1], head_1, atol=1e-6)
tuple(y.shape)

# %% [markdown]
# ## 5. Break it: without the exchange
#
# What would a model do with heads that were reshaped and not exchanged? The test of lesson 06 shows it:
# change one word of a text, and see where the result moves. `result_of` is this lesson so far, with any
# function that splits; `moved_by` says which entries of its result moved.

# %%
def reshape_alone(part, n_head):
    B, T, C = part.shape
    return part.reshape(B, n_head, T, C // n_head)


def result_of(split, text):
    """What two heads find, side by side: (T, C)."""
    heads = masked_attention(*(split(part, 2) for part in c_attn(text).chunk(3, dim=-1)))
    return torch.cat(list(heads[0]), dim=-1).detach()


def moved_by(word, split, text):
    changed = text.clone()
    changed[0, word] += 1
    return (result_of(split, changed) - result_of(split, text)).abs() > 1e-5

# %% [markdown]
# Change *obey*. With a mask that holds, which two rows may move? Look at the left table first, then find
# in the right one a row that moves and must not, and a place that should move and does not.

# %%
column_names = [f"{c}" for c in range(6)]
panels = [("split_heads, obey changed", moved_by(2, split_heads, x))]
panels += [("reshape alone, obey changed", moved_by(2, reshape_alone, x))]
matrices(panels, words, column_names)

# %% [markdown]
# On the right *robot* moves: it has read *obey*, a word of its future, although the mask was there.
# Columns 3 to 5 come from head 1. Its four rows are the halves of *obey* and of *orders*, and the
# first of them went into the row of *robot*. And columns 0 to 2 of *orders* do not move: head 0 has
# never seen *obey*. No line raised.
#
# **The other way to go wrong** is to cut and forget the exchange: (B, T, nh, hs). With four words and two
# heads the shapes no longer fit in the end. With as many words as heads they do, and again no line
# raises. Two words, two heads; *must* is changed, the last word. Where may the result move?

# %%
def cut_alone(part, n_head):
    return split_heads(part, n_head).transpose(1, 2)  # undoes the exchange: (B, T, nh, hs)


two_words = x[:, :2]  # robot must
print("shapes:", tuple(split_heads(two_words, 2).shape), tuple(cut_alone(two_words, 2).shape))
panels = [("split_heads, must changed", moved_by(1, split_heads, two_words))]
panels += [("cut alone, must changed", moved_by(1, cut_alone, two_words))]
matrices(panels, words[:2], column_names)

# %% [markdown]
# In the row of *must* alone. On the right, what attention took for two positions were the two heads
# of one word: inside each word one head read the other, and no word read another word. In the end
# half of *must* stood in the row of *robot*. A test with T equal to nh cannot see this by the shape,
# which is why the check of your exercise compares numbers.
#
# ## 6. Merge
#
# `y` is (B, nh, T, hs), and the next layer wants (B, T, C): the heads side by side, as the loop put them.
# It is the way back, so the steps come in the opposite order. There is one new trap. A transpose moves no
# numbers either: it only notes that they are to be read in another order. `view` is the strict sister of
# `reshape`, which refuses where the numbers would have to be copied. Which of the two lines below will it
# refuse?

# %%
print(numbered.view(24)[:8].tolist())
try:
    numbered.T.view(24)
except RuntimeError as error:
    print("view:", str(error).split(" (")[0])
print("reshape:", numbered.T.reshape(24)[:8].tolist())

# %% [markdown]
# ## Exercise: `merge_heads`
#
# From (B, nh, T, hs) to (B, T, C), with C = nh · hs: row t of the result holds word t as head 0 has
# it, then as head 1 has it, and so on. So it undoes `split_heads`. The result has the dtype of x. The
# trap is the same as before: a reshape alone gives the right shape, with several words of one head in a
# row.
#
# <details><summary>Hint 1</summary>
# Go through the picture of section 4 from right to left.
# </details>
# <details><summary>Hint 2</summary>
# Two axes can be run together by a reshape only if they are neighbours and in the right order: nh, then
# hs. Which exchange brings them there?
# </details>
# <details><summary>Hint 3</summary>
# After <code>transpose(1, 2)</code> the shape is (B, T, nh, hs), and a <code>reshape</code> to three sizes
# is left.
# </details>

# %%
def merge_heads(x: Float[Tensor, "B nh T hs"]) -> Float[Tensor, "B T C"]:
    """The heads side by side again, C = nh · hs: undoes split_heads."""
    ### BEGIN SOLUTION
    B, nh, T, hs = x.shape
    return x.transpose(1, 2).reshape(B, T, nh * hs)
    ### END SOLUTION

# %%
merge_heads = check(merge_heads)

# %% [markdown]
# Merging undoes splitting, here with sizes that all differ; and for the running example, split,
# attend, merge is the loop.

# %%
any_x = torch.randn(2, 5, 21)
assert torch.equal(merge_heads(split_heads(any_x, 3)), any_x)
merged = merge_heads(y)
assert torch.allclose(merged, by_loop, atol=1e-6)
tuple(merged.shape)

# %% [markdown]
# ## 7. What c_proj is for
#
# The heads have worked side by side, and so far nothing brings together what they found. In GPT-2 one
# more linear layer follows, from C to C, called `c_proj`. Each of its outputs is a sum over all
# columns, and so over all heads. Let head 0 alone find something else. Which columns move in the
# merged result, and which after `c_proj`?

# %%
torch.manual_seed(8)
c_proj = nn.Linear(6, 6)
y_other = y.clone()
y_other[:, 0] += 1  # head 0 alone
only_merged = (merge_heads(y_other) - merged)[0].abs() > 1e-6
mixed = (c_proj(merge_heads(y_other)) - c_proj(merged))[0].abs() > 1e-6
matrices([("merged", only_merged), ("after c_proj", mixed)], words, column_names)

# %% [markdown]
# Merged, three columns of six: without `c_proj`, head 0 could only ever write into columns 0 to 2, and no
# column could depend on who **and** whom. After it, all six.
#
# There is a second way to see it. A product with a matrix is a sum over its rows, and the first hs
# rows meet head 0, the next hs head 1. So each head has a matrix (hs, C) of its own, which writes
# into **all** C columns, and the results are added up. (`weight.T` is the matrix, turned back.)

# %%
by_head = [y[:, h] @ c_proj.weight.T[3 * h : 3 * (h + 1)] for h in range(2)]  # each (B, T, C)
assert torch.allclose(sum(by_head) + c_proj.bias, c_proj(merged), atol=1e-6)
[tuple(part.shape) for part in by_head]

# %% [markdown]
# ## 8. A module
#
# Now the pieces become one. In torch a piece of a model that has parameters is a **module**: a class
# that is derived from `nn.Module`. In `__init__` it makes its layers and keeps them on `self`, after
# the line `super().__init__()`, which gets the class ready; `forward` says what is done with x, and
# runs when the module is called like a function. A small one, to see the form:

# %%
class Scaled(nn.Module):
    """A linear layer whose result is made larger."""

    def __init__(self, width: int, factor: float):
        super().__init__()
        self.factor = factor
        self.layer = nn.Linear(width, 2)

    def forward(self, x):
        return self.factor * self.layer(x)


scaled = Scaled(6, factor=10.0)
print("result:", tuple(scaled(x).shape))
print({name: tuple(parameter.shape) for name, parameter in scaled.named_parameters()})

# %% [markdown]
# The parameters carry the names under which the layers were kept: `layer.weight`, `layer.bias`. Released
# weights are found by such names, so names are part of the contract.
#
# ## Exercise: `CausalSelfAttention`
#
# Everything of this lesson in one module, for any `n_embd` (C) and `n_head` (nh): make q, k and v by
# one layer, cut, split, attend to the past, merge, mix. x is (B, T, C), and so is the result, which has
# the dtype of x.
#
# - `c_attn` goes from C to 3·C, `c_proj` from C to C; both are nn.Linear, with bias.
# - The order of the thirds is q, k, v. Use your `split_heads`, `merge_heads` and `masked_attention`.
# - The trap: what `forward` needs of the arguments has to be kept on `self`.
#
# <details><summary>Hint 1</summary>
# Two lines of <code>__init__</code> make layers, one keeps a number.
# </details>
# <details><summary>Hint 2</summary>
# Sections 2, 4, 6 and 7 hold the lines of <code>forward</code>, with numbers where there should be
# <code>self.n_head</code>, and <code>self.</code> before the layers: without it,
# <code>c_attn</code> and <code>c_proj</code> are those of the notebook, six columns wide.
# </details>
# <details><summary>Hint 3</summary>
# The shapes on the way: (B, T, C), (B, T, 3C), three times (B, T, C), three times (B, nh, T, hs), one (B, nh,
# T, hs), (B, T, C), (B, T, C).
# </details>

# %%
class CausalSelfAttention(nn.Module):
    """Several heads read the past, each in its own way; c_proj mixes what they found."""

    def __init__(self, n_embd: int, n_head: int):
        super().__init__()
        ### BEGIN SOLUTION
        self.n_head = n_head
        self.c_attn = nn.Linear(n_embd, 3 * n_embd)
        self.c_proj = nn.Linear(n_embd, n_embd)
        ### END SOLUTION

    def forward(self, x: Float[Tensor, "B T C"]) -> Float[Tensor, "B T C"]:
        ### BEGIN SOLUTION
        q, k, v = (split_heads(part, self.n_head) for part in self.c_attn(x).chunk(3, dim=-1))
        y = masked_attention(q, k, v)
        return self.c_proj(merge_heads(y))
        ### END SOLUTION

# %%
CausalSelfAttention = check(CausalSelfAttention)

# %% [markdown]
# With the weights of this lesson in it, the module gives what the steps gave (`load_state_dict`
# copies parameters by name). Two judges that did not see your code, the package's module and torch's
# own, get the same weights. torch's mask is True where reading is *forbidden*, and its layers have
# other names.

# %%
mine = CausalSelfAttention(n_embd=6, n_head=2)
weights_by_name = {
    "c_attn.weight": c_attn.weight, "c_attn.bias": c_attn.bias,
    "c_proj.weight": c_proj.weight, "c_proj.bias": c_proj.bias,
}
mine.load_state_dict(weights_by_name, strict=False)
assert torch.allclose(mine(x), c_proj(merged), atol=1e-6)

package = multihead.CausalSelfAttention(6, 2)
package.load_state_dict(weights_by_name)
torchs = nn.MultiheadAttention(6, 2, batch_first=True)
their_names = ["in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias"]
torchs.load_state_dict(dict(zip(their_names, weights_by_name.values())))
forbidden = torch.ones(4, 4, dtype=torch.bool).triu(1)
assert torch.allclose(mine(x), package(x), atol=1e-5)
assert torch.allclose(mine(x), torchs(x, x, x, attn_mask=forbidden)[0], atol=1e-5)
print("yours, the package's and torch's:", mine(x).numel(), "numbers, the same to 1e-5")

# %% [markdown]
# **Predict.** A module with 1 head, one with 3, one with 12, all with C = 12. Which has the most
# parameters?
#
# <details><summary>A. The one with 12 heads: each has matrices of its own</summary>
# It has, but they are narrower: 12 matrices with 1 column hold as many numbers as one with 12.
# </details>
# <details><summary>B. All the same</summary>
# Yes. nh appears in no shape of c_attn and c_proj. Nor do the dot products cost more: nh heads with hs
# multiplications each are C for each pair of words. What grows with nh is the number of weights, one
# table (T, T) for each head.
# </details>
# <details><summary>C. The one with 1 head: it is the widest</summary>
# One wide head or many narrow ones: the columns of c_attn are the same 3·C.
# </details>

# %%
T = 5
for n_head in (1, 3, 12):
    n_parameters = sum(p.numel() for p in CausalSelfAttention(12, n_head).parameters())
    multiplications, n_weights = n_head * T * T * (12 // n_head), n_head * T * T
    print(f"n_head {n_head:2}: {n_parameters} parameters, {multiplications} multiplications for the "
          f"scores of {T} words, {n_weights} weights")

# %% [markdown]
# ## 9. Do heads learn different things?
#
# So far the claim was that several questions need several rows. Now a trial: a task with three
# questions, a model with one head, a model with three, and as many parameters in both. Nine words of
# three kinds:

# %%
VOCABULARY = ["a", "the", "robot", "child", "orders", "it", "must", "obey", "given"]
KIND = torch.tensor([0, 0, 1, 1, 1, 1, 2, 2, 2])  # small word, thing, verb
for kind, name in enumerate(["small words", "things", "verbs"]):
    print(f"{name}:", ", ".join(w for w, one in zip(VOCABULARY, KIND) if one == kind))

# %% [markdown]
# The model reads eight words, and at each word it has to say three words: the one **before**, the
# **first** of the text, and the last earlier one of the **same kind** (or itself, where there is none).
# Answer for *it* in *a robot must obey the orders given it* before you run the cell. (How the function
# finds the answers matters little here.)

# %%
def three_answers(idx: Tensor) -> Tensor:
    """(n, T) words -> (n, T, 3): the word before, the first, the last earlier one of its kind."""
    T = idx.shape[1]
    before = torch.cat([idx[:, :1], idx[:, :-1]], dim=1)
    first = idx[:, :1].expand_as(idx)
    earlier = torch.ones(T, T, dtype=torch.bool).tril(-1)
    alike = (KIND[idx][:, :, None] == KIND[idx][:, None, :]) & earlier
    last = (alike * torch.arange(1, T + 1)).amax(dim=-1) - 1  # -1 where there is none
    place = torch.where(last < 0, torch.arange(T), last)
    return torch.stack([before, first, idx.gather(1, place)], dim=-1)


sentence = "a robot must obey the orders given it".split()
ids = torch.tensor([[VOCABULARY.index(word) for word in sentence]])
[VOCABULARY[i] for i in three_answers(ids)[0, -1]]

# %% [markdown]
# The model: embeddings and positions (lessons 03 and 04), **your** attention, and a linear layer that
# turns the C = 24 numbers of each word into 9 scores for each of the 3 questions.

# %%
class ThreeQuestions(nn.Module):
    """Scores (B, T, 3, 9) for ids (B, 8), from a single attention."""

    def __init__(self, n_head: int, n_embd: int = 24):
        super().__init__()
        self.n_head = n_head
        self.wte, self.wpe = nn.Embedding(9, n_embd), nn.Embedding(8, n_embd)
        self.attn = CausalSelfAttention(n_embd, n_head)
        self.answer = nn.Linear(n_embd, 3 * 9)

    def forward(self, idx):
        x = self.wte(idx) + self.wpe.weight  # (B, T, C)
        return self.answer(self.attn(x)).unflatten(-1, (3, 9))

# %% [markdown]
# Training, on eight words drawn at random each time (the loop is the one of lesson 06: predict, measure,
# find the direction, move a little). Nobody tells a head which question is its own.

# %%
def train(n_head: int, progress, steps=300):
    torch.manual_seed(2)
    model, generator = ThreeQuestions(n_head), torch.Generator().manual_seed(2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(steps):
        idx = torch.randint(9, (64, 8), generator=generator)
        loss = F.cross_entropy(model(idx).flatten(0, 2), three_answers(idx).flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        progress.update()
    return model

# %% [markdown]
# Some seconds for both. How many of the three questions will the model with one head get right?

# %%
torch.set_num_threads(1)  # such small matrices gain nothing from more
with tqdm(total=600, desc="steps") as progress:
    models = {"1 head": train(1, progress), "3 heads": train(3, progress)}
n_parameters = {name: sum(p.numel() for p in m.parameters()) for name, m in models.items()}
assert n_parameters["1 head"] == n_parameters["3 heads"]
n_parameters

# %% [markdown]
# Texts that neither has seen. (From the third word on; before that, two of the questions are one.) How
# many answers are right **without looking back**? No rule that sees its own word alone is right more
# often, in the long run, than to answer every question with this word itself. The dashed bar of each
# question is that.

# %%
unseen = torch.randint(9, (1000, 8), generator=torch.Generator().manual_seed(3))
shares_right = {
    name: (model(unseen).argmax(dim=-1) == three_answers(unseen))[:, 2:].double().mean((0, 1)).tolist()
    for name, model in models.items()
}
itself = (unseen[:, :, None] == three_answers(unseen))[:, 2:].double().mean((0, 1)).tolist()
assert min(shares_right["3 heads"]) > 0.9 and shares_right["1 head"][2] < itself[2]
questions = ["the word before", "the first word", "the last of its kind"]
figures.answers_right(shares_right, questions, without_looking_back=itself)

# %% [markdown]
# One head has as many numbers to learn with, and lets one question go. Two it manages more or less,
# with one row split between two words: in a language of nine words there is room to tell the two
# apart. The third is too much: fewer answers are right than by repeating the word. Three
# heads answer nearly everything.
#
# Now look at the weights on one sentence. `head_weights` reads them off a model: q and k of the
# sentence, split into heads. First the single head. Predict how the row of *orders* looks, for a word
# that has three questions (the word before, *the*; the first, *a*; the last thing, *robot*) and one row.

# %%
def head_weights(model, idx):
    """The weights (nh, T, T) of every head for one text (1, T)."""
    x = model.wte(idx) + model.wpe.weight
    q, k, _ = model.attn.c_attn(x).detach().chunk(3, dim=-1)
    pairs = zip(split_heads(q, model.n_head)[0], split_heads(k, model.n_head)[0])
    return torch.stack([weights_of(masked_attention, q_h, k_h) for q_h, k_h in pairs])


figures.head_maps(head_weights(models["1 head"], ids), sentence, ["the only head (weights in %)"])

# %% [markdown]
# Much on *a*, the first word, much on *the*, the word before, and next to nothing on *robot*. Other
# rows lean further to the first word, that of *it* for one. And the three heads?
# Match each picture with one of the three questions before you read on.

# %%
three_maps = head_weights(models["3 heads"], ids)
names_of_heads = ["head 0", "head 1", "head 2"]
figures.head_maps(three_maps, sentence, names_of_heads)

# %% [markdown]
# A line beside the diagonal: the word before. A single column: the first word. Scattered cells: the
# last earlier word of the same kind (or itself, where there is none), *it* on *orders*, *given* on
# *obey*, *orders* on *robot*. Is that chance, true of this sentence alone? Measured on 200 unseen
# texts: the share of its attention that each head gives to the three words asked for. (The three can
# fall on one word, so a row may sum to more than 1.)

# %%
def habits(model, texts):
    """For each head, its mean weight on the words that are the answer to each question."""
    maps = torch.stack([head_weights(model, text[None]) for text in texts])  # (n, nh, T, T)
    answers = three_answers(texts)  # (n, T, 3)
    is_answer = texts[:, None, :, None] == answers[:, :, None, :]  # (n, T, S, 3)
    per_word = maps.transpose(1, 2) @ is_answer.float()  # (n, T, nh, S) @ (n, T, S, 3)
    return per_word[:, 2:].mean((0, 1))  # (nh, 3)


shares = habits(models["3 heads"], unseen[:200])
assert len(set(shares.argmax(dim=0).tolist())) == 3  # a head of its own for each question
of_same_kind = three_maps[shares[:, 2].argmax()]
assert [sentence[s] for s in of_same_kind[5:].argmax(dim=-1)] == ["robot", "obey", "orders"]
matrices([("mean share of attention on …", shares)], names_of_heads, questions, scale=(0.0, 1.0))

# %% [markdown]
# Each question has found a head of its own. Which head took which was decided by the random start; with
# another seed they change places, and sometimes two heads share a question. In trained language models
# one finds such heads too, for the word before among others (Clark et al., below); many others have no
# pattern that one could name. Lesson 15 looks.
#
# ## Play with it
#
# Choose a head, then another sentence of the same words. Which heads follow where the words stand,
# whatever they are? Which follows what they are?

# %%
sentences = [
    "a robot must obey the orders given it",
    "the child must obey a robot given orders",
    "orders given the child a robot must obey",
]
maps = {}
for text in sentences:
    idx = torch.tensor([[VOCABULARY.index(word) for word in text.split()]])
    three = dict(zip(names_of_heads, head_weights(models["3 heads"], idx)))
    maps[text] = {**three, "the only head": head_weights(models["1 head"], idx)[0]}
head_switch(maps)

# %% [markdown]
# <details><summary>Answer, after you have tried</summary>
# Two of the three hardly change with the sentence, the line beside the diagonal and the first column: they
# follow the positions. The head for the last word of the same kind changes, because it follows the words.
# The only head, in the model with one, keeps its first column and its place beside the diagonal, and has
# little left for the third question.
# </details>
#
# ## What the well-known explanations say
#
# - *"Each head sees a part of the embedding."* Every head reads all C numbers of x. What is cut is q, k and v
#   (section 2).
# - *"Twelve heads cost twelve times as much."* As many parameters and as many multiplications as one
#   wide head; only the tables of weights are twelve (section 8).
# - *"One head for grammar, one for meaning, …"* Nobody hands out the questions. A head takes what lowers the
#   loss, and several may share it.
#
# ## GPT-2 124M in numbers
#
# For this stage, from its configuration and from your module:

# %%
config = GPT2Config()
attn = CausalSelfAttention(config.n_embd, config.n_head)
for name, parameter in attn.named_parameters():
    print(f"{name:14} {' × '.join(map(str, parameter.shape)):10} {parameter.numel():>10,}")
per_layer = sum(parameter.numel() for parameter in attn.parameters())
in_all, total = config.n_layer * per_layer, count_parameters(config)
print(f"{config.n_head} heads of {config.n_embd // config.n_head}")
print(f"per layer: {per_layer:,}, {config.n_layer} layers: {in_all:,}")
print(f"of {total:,} parameters that is {in_all / total:.1%}")
assert per_layer == 2_362_368

# %% [markdown]
# ## What you have
#
# `CausalSelfAttention` is the attention of GPT-2, whole: one product makes queries, keys and values
# for all heads; a reshape and an exchange of axes give each head its columns; each head reads the
# past by its own weights; merged and mixed, the result is as wide as x. More heads cost no
# parameters, they trade width for questions. And a wrong arrangement often raises no error at all:
# values tell, shapes do not.
#
# **Sources.** Vaswani et al. 2017, *Attention Is All You Need*, section 3.2.2 (multi-head attention);
# Radford et al. 2019, *Language Models are Unsupervised Multitask Learners*, table 2 (the sizes); the
# code released with it, `src/model.py`, function `attn`, with `split_heads` and `merge_heads` in it;
# Clark et al. 2019, *What Does BERT Look At?*, section 3 (heads that follow positions).
#
# **Next:** attention carries numbers from one position to another, and what it carries is a blend.
# The other half of a block looks at each position alone and works on what has arrived: lesson 08, the
# MLP.
