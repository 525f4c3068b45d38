# %% [markdown]
# # 07 · Multi-head attention
#
# **The question:** after [lesson 06](06_masking.ipynb) every token has one row of attention weights, and
# the row sums to 1. But a token may have to find out several things: who does it, to whom, and which
# token came before. How can it ask several questions at the same time, and what does it cost?
#
# - **In:** x `(B, T, C)`: B texts in a batch, T tokens in each, C numbers for each token.
# - **Out:** `(B, T, C)` again: for each token, what it has read from itself and from earlier tokens.
# - **Time:** 60 minutes for the core, 100 for everything.
# - **Exercises:** `split_heads`, `merge_heads` and `CausalSelfAttention`, your first module.
#
# Keep at hand: the [cheat sheet](../docs/cheat_sheet.md), the [glossary](../docs/glossary.md), the
# [notation](../docs/notation.md), and [what well-known explanations get wrong](../docs/common_errors.md).

# %% [markdown]
# First the imports. `masked_attention` is your own if you passed it in lesson 06.

# %%
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from gpt2course import check, kept_names, multihead, my_progress
from gpt2course.config import GPT2Config
from gpt2course.lessons.multi_head import figures, head_switch, matrices, tower, weights_of
from gpt2course.mine import masked_attention
from gpt2course.model import count_parameters

# %% [markdown]
# The lit part works around lessons 05 and 06: what goes into attention is split (a, b, c), what comes out is merged.

# %%
tower("07_multi_head", kept_names())

# %% [markdown]
# ## 1. One row, three questions
#
# We begin with a failure. A model reads eight tokens drawn at random from nine, and at each it has to name
# three: the token **before**, the **first** of the text, and the last earlier one of the **same kind** (or
# the token itself, where there is none). There are three kinds: small words (*a, the*), things (*robot, child,
# orders, it*) and verbs (*must, obey, given*). Answer for *it* in *a robot must obey the orders given it*.
#
# Run the next three cells without reading them; the last one shows the answers. The rest is the task, a model
# (embeddings and positions, a single attention, a layer that makes 9 scores for each of the 3 questions), and
# the training loop of lesson 06.

# %%
VOCABULARY = ["a", "the", "robot", "child", "orders", "it", "must", "obey", "given"]
KIND = torch.tensor([0, 0, 1, 1, 1, 1, 2, 2, 2])  # small word, thing, verb


def three_answers(idx: Tensor) -> Tensor:
    """(n, T) ids -> (n, T, 3): the token before, the first, the last earlier one of its kind."""
    T = idx.shape[1]
    before = torch.cat([idx[:, :1], idx[:, :-1]], dim=1)
    first = idx[:, :1].expand_as(idx)
    earlier = torch.ones(T, T, dtype=torch.bool).tril(-1)
    alike = (KIND[idx][:, :, None] == KIND[idx][:, None, :]) & earlier
    last = (alike * torch.arange(1, T + 1)).amax(dim=-1) - 1  # -1 where there is none
    place = torch.where(last < 0, torch.arange(T), last)
    return torch.stack([before, first, idx.gather(1, place)], dim=-1)

# %%
class ThreeQuestions(nn.Module):
    """Scores (B, T, 3, 9) for ids (B, 8), from a single attention."""

    def __init__(self, attention, n_head: int, n_embd: int = 24):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(9, n_embd), nn.Embedding(8, n_embd)
        self.attn = attention(n_embd, n_head)
        self.answer = nn.Linear(n_embd, 3 * 9)

    def forward(self, idx):
        x = self.wte(idx) + self.wpe.weight  # (B, T, C)
        return self.answer(self.attn(x)).unflatten(-1, (3, 9))

# %%
def train(attention, n_head: int, steps=300):
    torch.manual_seed(2)
    model, generator = ThreeQuestions(attention, n_head), torch.Generator().manual_seed(2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in tqdm(range(steps), desc="steps"):
        idx = torch.randint(9, (64, 8), generator=generator)
        loss = F.cross_entropy(model(idx).flatten(0, 2), three_answers(idx).flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


torch.set_num_threads(1)  # such small matrices gain nothing from more
sentence = "a robot must obey the orders given it".split()
ids = torch.tensor([[VOCABULARY.index(word) for word in sentence]])
answers = [VOCABULARY[i] for i in three_answers(ids)[0, -1]]
print(f"at “it”: before it {answers[0]}, first {answers[1]}, last earlier thing {answers[2]}")

# %% [markdown]
# Train a model whose attention is what you know: one query, key and value for each token. (It is the
# package's, the one that you will build in this lesson, with a single head.) Test it on texts that it has not
# seen, from the third token on. How many of the three questions will it get right? The dashed bars show what
# is possible **without looking back**, by answering with the token itself.

# %%
one_head = train(multihead.CausalSelfAttention, n_head=1)
unseen = torch.randint(9, (1000, 8), generator=torch.Generator().manual_seed(3))
right_answers = three_answers(unseen)


def share_right(predicted):
    """For each question, the share of right answers (3 numbers)."""
    return (predicted == right_answers)[:, 2:].double().mean((0, 1)).tolist()


questions = ["the token before", "the first token", "the last of its kind"]
right = {"1 head": share_right(one_head(unseen).argmax(dim=-1))}
itself = share_right(unseen[:, :, None])
assert right["1 head"][2] < itself[2]
title = "One row of weights serves two questions and fails the third"
figures.answers_right(right, questions, itself, title)

# %% [markdown]
# Two questions it manages more or less; on the third it does worse than by repeating the token. (Ten times
# as much training does not help: try `steps=3000`.) Look at the weights on our sentence. At *orders* the
# answers are *the*, *a* and *robot*. How does its row distribute the attention?

# %%
def queries_and_keys(model, idx):
    """q and k (1, T, C) of one text (1, T)."""
    x = model.wte(idx) + model.wpe.weight
    q, k, _ = model.attn.c_attn(x).detach().chunk(3, dim=-1)
    return q, k


q_one, k_one = queries_and_keys(one_head, ids)
only_map = weights_of(masked_attention, q_one[0], k_one[0])
figures.head_maps(only_map[None], sentence, ["the only head (weights in %)"])

# %% [markdown]
# Much on *a*, much on *the*, and next to nothing on *robot*. A row sums to 1: what one question gets,
# another loses.

# %% [markdown]
# ## 2. Attention heads
#
# The way out is one row of weights for each question. Each row gives a blend of its own, and the blends
# are put **side by side**.
#
# Each such attention, with its own queries, keys, values and weights, is called an **attention head**, or
# **head** for short. GPT-2 has 12 in each layer. Twelve times the work? No: a layer has C = 768 numbers
# for each token, and the heads divide them up. Each of nh heads gets hs = C / nh numbers, here 768 / 12
# = 64. That is the price: the more heads, the fewer numbers has each.

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ### Deeper: two questions by hand
#
# The smallest example in which one row of weights is not enough, with numbers to follow. You can skip this
# section.

# %% [markdown]
# Take two short texts, *robot obeys child.* and *child obeys robot.* The full stop comes last, so it may
# read everything, and it has two questions: **who** obeys, and **whom**?
#
# A value has two numbers here, chosen by hand: how much *robot* is in it, and how much *child*. Let the
# full stop give half of its attention to the first token and half to the third. What will the blends of
# the two texts be?

# %%
robot, child, nothing = [2.0, 0.0], [0.0, 2.0], [0.0, 0.0]
v_a = torch.tensor([robot, nothing, child, nothing])  # robot obeys child .   (S, hs) = (4, 2)
v_b = torch.tensor([child, nothing, robot, nothing])  # child obeys robot .
one_row = torch.tensor([[0.5, 0.0, 0.5, 0.0]])  # (T, S) = (1, 4): the row of the full stop
blend_a, blend_b = one_row @ v_a, one_row @ v_b
assert torch.equal(blend_a, blend_b)
matrices([("robot obeys child.", blend_a), ("child obeys robot.", blend_b)], ["."], ["robot", "child"])

# %% [markdown]
# The same blend, to the last digit. A robot and a child are in it, and who obeys whom is lost.
#
# **Predict.** Let the row give 90 % to the first token and 10 % to the third. Is that enough?
#
# <details><summary>A. No, the two blends are the same again</summary>
# No, they differ. They were the same because both tokens had the same weight. With unequal weights the
# order matters.
# </details>
# <details><summary>B. The blends differ, but one answer drowns the other</summary>
# Yes. <i>Who</i> comes through loud and <i>whom</i> is a whisper. With twelve questions the weights are
# small, and all answers lie on top of each other in the same numbers.
# </details>
# <details><summary>C. Yes, nothing is lost any more</summary>
# In this toy you could work back to both tokens, because their values have no entry in common. The values
# of a real text do, and then nobody can say whether a number is 90 % of one token or 10 % of another.
# </details>

# %%
uneven = torch.tensor([[0.9, 0.0, 0.1, 0.0]])
assert not torch.equal(uneven @ v_a, uneven @ v_b)
panels = [("robot obeys child.", uneven @ v_a), ("child obeys robot.", uneven @ v_b)]
matrices(panels, ["."], ["robot", "child"])

# %% [markdown]
# Use one row for each question. The first puts all its attention on who obeys, the second on whom, and the
# blends are put side by side. Which four numbers does each text get?

# %%
two_rows = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]])  # one row for each question
side_a, side_b = (two_rows @ v_a).reshape(1, 4), (two_rows @ v_b).reshape(1, 4)
assert not torch.equal(side_a, side_b)
labels = ["who: robot", "who: child", "whom: robot", "whom: child"]
matrices([("robot obeys child.", side_a), ("child obeys robot.", side_b)], ["."], labels)

# %% [markdown]
# ## 3. One product makes q, k and v
#
# From here on the running example has four tokens, C = 6 columns, nh = 2 heads and hs = 3: all sizes
# differ, so that a swapped axis shows. Queries, keys and values come from three matrices, as in lesson 05,
# each (C, C) for all heads together. And each product gets a **bias**: one number per column, the same
# for all tokens.

# %%
words = ["robot", "must", "obey", "orders"]
torch.manual_seed(7)
x = torch.randn(1, 4, 6)  # (B, T, C): one text, four words, six numbers each
W_q, W_k, W_v = (torch.randn(6, 6) / 6**0.5 for _ in range(3))
b_q, b_k, b_v = torch.randn(6), torch.randn(6), torch.randn(6)
q, k, v = x @ W_q + b_q, x @ W_k + b_k, x @ W_v + b_v
print("q, k and v:", tuple(q.shape), tuple(k.shape), tuple(v.shape))

# %% [markdown]
# All three products have the same x on the left. So put the matrices side by side, and one product does
# it all, faster than three small ones. How many columns has `qkv`?

# %%
W, b = torch.cat([W_q, W_k, W_v], dim=1), torch.cat([b_q, b_k, b_v])
qkv = x @ W + b
assert torch.allclose(qkv, torch.cat([q, k, v], dim=-1), atol=1e-6)
figures.cut_in_three(qkv[0], words)

# %% [markdown]
# In torch a matrix with its bias is a **linear layer**, `nn.Linear(C, 3 * C)`. The released GPT-2 calls this
# one `c_attn`, and so do we. nn.Linear stores its matrix **transposed**, with a row for each *output*. What
# is the shape of `c_attn.weight`?
#
# `chunk` cuts the result in three; it takes the **number** of pieces. (Its sister `split` takes the **size**
# of a piece.) The order is queries, keys, values. Another order raises no error, and the result is wrong.

# %%
c_attn = nn.Linear(6, 18)
with torch.no_grad():  # these numbers in place of the random ones
    c_attn.weight.copy_(W.T)
    c_attn.bias.copy_(b)
thirds = c_attn(x).chunk(3, dim=-1)
assert all(torch.allclose(third, part, atol=1e-6) for third, part in zip(thirds, (q, k, v)))
print("weight:", tuple(c_attn.weight.shape), "  bias:", tuple(c_attn.bias.shape))
print("thirds:", [tuple(third.shape) for third in thirds])

# %% [markdown]
# All of x went into each column of q, k and v. These columns are what the heads divide among themselves.

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ### Deeper: does each head see a part of x?
#
# What happens to q when a single column of x changes. You can skip this section.

# %% [markdown]
# You will often read that each head sees its own columns of x. Test it: change only the last column of x,
# and see which entries of q change (✓).

# %%
x_changed = x.clone()
x_changed[..., 5] += 1
q_moved = (c_attn(x_changed) - c_attn(x))[0, :, :6].abs() > 1e-6
matrices([("q, after a change in column 5 of x", q_moved)], words, [f"q {c}" for c in range(6)])

# %% [markdown]
# All of q changes. Every head reads **all** of x, through its own columns of `c_attn`.

# %% [markdown]
# ## 4. Head by head, in a loop
#
# Head 0 gets columns 0, 1 and 2 of q, k and v; head 1 gets columns 3, 4 and 5. Each then does what you
# know from lesson 06, and the blends go side by side. The same tokens, the same x: will the two heads have
# the same weights? And which shape will `by_loop` have?

# %%
blends, weights = [], []
for h in range(2):
    columns = slice(3 * h, 3 * (h + 1))  # columns h·hs to (h + 1)·hs
    q_h, k_h, v_h = q[..., columns], k[..., columns], v[..., columns]  # each (1, 4, 3)
    blends.append(masked_attention(q_h, k_h, v_h))
    weights.append(weights_of(masked_attention, q_h[0], k_h[0]))
by_loop = torch.cat(blends, dim=-1)
print("by_loop:", tuple(by_loop.shape))
panels = [("weights of head 0", weights[0]), ("weights of head 1", weights[1])]
matrices(panels, words, words)

# %% [markdown]
# The weights differ: other columns of `c_attn`, so other queries and keys. Only the first row must be the
# same, since the first token can read only itself. (One head with all six columns would have a single row of
# weights for each token: it takes one softmax of the sum of both scores.)

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ### Deeper: one head, six wide
#
# Why one head with all the columns does not find what two heads find. You can skip this section.

# %% [markdown]
# **Predict.** Do not cut: use one head with all six columns. Is the result the same?
#
# <details><summary>A. Yes: all numbers are used in both cases</summary>
# No. All numbers are used, but the softmax does not see the same sums.
# </details>
# <details><summary>B. No: one head adds the scores of both up and takes a single softmax</summary>
# Yes. A dot product of six numbers is the sum of two dot products of three. One wide head asks both
# questions in one breath and gets one row of weights; two heads get two.
# </details>
# <details><summary>C. No: one head has more parameters</summary>
# No, it has the same ones. Cutting needs no parameters.
# </details>

# %%
dots = q[0] @ k[0].T
assert torch.allclose(dots, q[0, :, :3] @ k[0, :, :3].T + q[0, :, 3:] @ k[0, :, 3:].T, atol=1e-5)
one_wide = weights_of(masked_attention, q[0], k[0])
assert not any(torch.allclose(one_wide, of_head) for of_head in weights)
matrices([("weights of one head, six wide", one_wide)], words, words)

# %% [markdown]
# ## 5. All heads at once: split
#
# A loop over 12 heads in 12 layers is slow. `masked_attention` carries any leading axes along, so give the
# heads an axis of their own: if q, k and v are (B, nh, T, hs), one call does all heads of all texts.
#
# To see how to get there from (B, T, C), take numbers that say where they come from: 23 is token 2, column
# 3; a plain 3 is token 0, column 3. The colour says which head a column belongs to. In memory the numbers
# lie in one long line, row after row:

# %%
numbered = 10 * torch.arange(4)[:, None] + torch.arange(6)  # (T, C) = (4, 6)
figures.in_memory(numbered, words, n_head=2)

# %% [markdown]
# `reshape` only says where this line is broken into rows. **Predict.** `numbered.reshape(2, 4, 3)` has the
# shape that we want: 2 heads, 4 tokens, 3 columns. What does head 0 hold?
#
# <details><summary>A. The first three columns of all four tokens</summary>
# It should. But follow the line: after 0, 1, 2 come 3, 4, 5, which are head 1's, and a reshape cannot
# jump over them.
# </details>
# <details><summary>B. The first two tokens, with all their columns</summary>
# Yes. Head 0 takes the first 12 numbers of the line, broken into rows of 3.
# </details>
# <details><summary>C. Every second number</summary>
# No. A reshape never picks; it follows the line from beginning to end.
# </details>

# %%
title = "reshape(2, 4, 3): beside each row, the token that its numbers come from"
figures.heads_side_by_side(numbered, numbered.reshape(2, 4, 3), words, title)

# %% [markdown]
# Both colours are in each head. What head 0 takes for four tokens is two tokens, broken in halves. The
# shape is right and the contents are wrong.
#
# It takes two steps. First **cut each row** into pieces of hs and keep the tokens apart: (T, nh, hs). Then
# **transpose**: swap the axes of tokens and heads. Follow 23 and 24 through the picture.

# %%
figures.split_steps(numbered, words, n_head=2)

# %% [markdown]
# ## Exercise: `split_heads` ●●○○○ · 10 minutes
#
# Write it for a batch: x is (B, T, C), the result (B, nh, T, hs). Head `h` gets columns `h·hs` to
# `(h + 1)·hs` of every position, with hs = C / nh. C is a multiple of `n_head`. The result has the dtype
# of x. The trap: the axes in a wrong order often have the right shape, so look at where the numbers are.
#
# <details><summary>Hint 1</summary>
# The picture has two steps; here a batch axis comes first. What are the three shapes, with B? Which two
# axes swap places, counted from 0?
# </details>
# <details><summary>Hint 2</summary>
# <code>B, T, C = x.shape</code> gives the sizes. A size must be an int: <code>//</code> divides ints and
# gives an int.
# </details>
# <details><summary>Hint 3</summary>
# <code>x.reshape(...)</code> with four sizes cuts; <code>.transpose(i, j)</code> of that swaps axes i and
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
# Now one call of `masked_attention` does what the loop did. What is the shape of `y`?

# %%
q_heads, k_heads, v_heads = split_heads(q, 2), split_heads(k, 2), split_heads(v, 2)
y = masked_attention(q_heads, k_heads, v_heads)
difference = (y - torch.stack(blends, dim=1)).abs().max().item()
print(f"shape {tuple(y.shape)}, largest difference from the loop: {difference:.0e}")
assert difference < 1e-5, "split_heads and masked_attention together should give what the loop gave"

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ### Deeper: break it
#
# What a model does with heads that were cut wrongly: a token reads its future in spite of the mask. You
# can skip this section.

# %% [markdown]
# Use the test of lesson 06: change one token of a text, and see where the result changes. `result_of` is
# this lesson so far, with any function that splits; `moved_by` says which entries of its result changed.

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
# Change *obey*. With a mask that holds, which two rows may change? Look at `split_heads` first. Then find,
# under `reshape alone`, a row that changes and must not, and a place that should change and does not.

# %%
column_names = [str(c) for c in range(6)]
panels = [("split_heads, obey changed", moved_by(2, split_heads, x))]
panels += [("reshape alone, obey changed", moved_by(2, reshape_alone, x))]
matrices(panels, words, column_names)

# %% [markdown]
# With `reshape alone` *robot* and *must* change: they have read *obey*, a token of their future, although the
# mask was there. Columns 3 to 5 come from head 1. Its four rows are the halves of *obey* and of *orders*, and the
# first of them went into the row of *robot*. And columns 0 to 2 of *orders* do not change: head 0 has
# never seen *obey*. No line raised an error.
#
# **The other way to go wrong** is to cut and forget the transpose: (B, T, nh, hs). With as many tokens as
# heads, all shapes fit. Take two tokens and two heads, and change *must*, the last token. Where may the
# result change?

# %%
def cut_alone(part, n_head):
    return split_heads(part, n_head).transpose(1, 2)  # undoes the transpose: (B, T, nh, hs)


two_words = x[:, :2]  # robot must
print("shapes:", tuple(split_heads(two_words, 2).shape), tuple(cut_alone(two_words, 2).shape))
panels = [("split_heads, must changed", moved_by(1, split_heads, two_words))]
panels += [("cut alone, must changed", moved_by(1, cut_alone, two_words))]
matrices(panels, words[:2], column_names)

# %% [markdown]
# Only in the row of *must*. With `cut alone`, attention took the two heads of one token for two positions:
# inside each token one head read the other, and no token read another token. In the end half of *must*
# was in the row of *robot*. A test with T equal to nh cannot see this by the shape, so the check of
# your exercise compares numbers.

# %% [markdown]
# ## 6. Merge
#
# `y` is (B, nh, T, hs), and the next layer wants (B, T, C): the heads side by side, as in the loop. So undo
# the two steps in the opposite order.

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ### Deeper: `view` and `reshape`
#
# Why `view` raises an error after a transpose and `reshape` does not. You can skip this section.

# %% [markdown]
# A transpose moves no numbers, it only notes that they are read in another order. `view` is a strict
# `reshape`, which refuses to copy numbers. Which of the two will fail?

# %%
print(numbered.view(24)[:8].tolist())
try:
    numbered.T.view(24)
except RuntimeError as error:
    print("view:", str(error).split(" (")[0])
print("reshape:", numbered.T.reshape(24)[:8].tolist())

# %% [markdown]
# ## Exercise: `merge_heads` ●●○○○ · 5 minutes
#
# From (B, nh, T, hs) to (B, T, C), with C = nh · hs: row t of the result holds token t as head 0 has it,
# then as head 1 has it, and so on. So `merge_heads` undoes `split_heads`. The result has the dtype of x.
# The trap: a reshape alone gives the right shape, with several tokens of one head in a row.
#
# <details><summary>Hint 1</summary>
# Go through the picture of section 5 from right to left.
# </details>
# <details><summary>Hint 2</summary>
# A reshape can join two axes only if they are neighbours and in the right order: nh, then hs. Which
# transpose brings them there?
# </details>
# <details><summary>Hint 3</summary>
# After <code>transpose(1, 2)</code> the shape is (B, T, nh, hs); a <code>reshape</code> to three sizes is
# left.
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
# Merging undoes splitting, and split, attend and merge give what the loop gave:

# %%
any_x = torch.randn(2, 5, 21)
undone = torch.equal(merge_heads(split_heads(any_x, 3)), any_x)
merged = merge_heads(y)
difference = (merged - by_loop).abs().max().item()
print("merge_heads undoes split_heads:", undone)
print(f"shape {tuple(merged.shape)}, largest difference from the loop: {difference:.0e}")
assert undone, "merge_heads should undo split_heads"
assert difference < 1e-5, "split, attend and merge together should give what the loop gave"

# %% [markdown]
# ## 7. What c_proj is for
#
# So far nothing combines what the heads found. One more linear layer follows, from C to C: `c_proj`, the
# *output projection*. Each of its outputs is a sum over all columns, and so over all heads. Let only head 0
# find something else. Which columns change in the merged result, and which after `c_proj`?

# %%
torch.manual_seed(8)
c_proj = nn.Linear(6, 6)
y_other = y.clone()
y_other[:, 0] += 1  # only head 0
only_merged = (merge_heads(y_other) - merged)[0].abs() > 1e-6
mixed = (c_proj(merge_heads(y_other)) - c_proj(merged))[0].abs() > 1e-6
matrices([("merged", only_merged), ("after c_proj", mixed)], words, [str(c) for c in range(6)])

# %% [markdown]
# Merged, three columns of six: without `c_proj`, head 0 could only ever write into columns 0 to 2, and no
# column could depend on both heads. After `c_proj`, all six.

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ### Deeper: a sum over the heads
#
# A second way to see `c_proj`: each head writes into all columns, and the results are added. You can skip
# this section.

# %% [markdown]
# A product with a matrix is a sum over the rows of the matrix. The first hs rows meet head 0, the next hs
# head 1. So each head has a matrix (hs, C) of its own, which writes into **all** C columns, and the results
# are added. (`weight.T` undoes the transposed storage.)

# %%
by_head = [y[:, h] @ c_proj.weight.T[3 * h : 3 * (h + 1)] for h in range(2)]  # each (B, T, C)
difference = (sum(by_head) + c_proj.bias - c_proj(merged)).abs().max().item()
print("from each head:", [tuple(part.shape) for part in by_head])
print(f"their sum and the bias differ from c_proj(merged) by at most {difference:.0e}")
assert difference < 1e-5

# %% [markdown]
# ## 8. A module
#
# In torch a part of a model that has parameters is a **module**: a class derived from `nn.Module`. Its
# `__init__` first calls `super().__init__()`, then makes the layers and keeps them on `self`. Its `forward`
# says what is done with x; it runs when you call the module like a function. A small one, to see the form:

# %%
class Scaled(nn.Module):
    """A linear layer whose result is multiplied by a number."""

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
# The parameters are named after the attributes that hold the layers. Released weights are found by such
# names, so the names are part of the contract.

# %% [markdown]
# ## Exercise: `CausalSelfAttention` ●●●○○ · 15 minutes
#
# The whole lesson in one module, for any `n_embd` (C) and `n_head` (nh): make q, k and v with one layer, cut
# in three, split, attend to the past, merge, mix. x and the result are (B, T, C) and of the same dtype.
#
# - `c_attn` goes from C to 3·C, `c_proj` from C to C; both are nn.Linear, with bias.
# - The order of the thirds is q, k, v. Use your `split_heads`, `merge_heads` and `masked_attention`.
# - Other programs add *dropout* here, which sets random numbers to 0 during training. Leave it out.
# - The trap: what `forward` needs of the arguments has to be kept on `self`.
#
# <details><summary>Hint 1</summary>
# Two lines of <code>__init__</code> make layers, one keeps a number.
# </details>
# <details><summary>Hint 2</summary>
# Sections 3, 5, 6 and 7 hold the lines of <code>forward</code>, with numbers where you need
# <code>self.n_head</code>. Write <code>self.</code> before the layers: without it, <code>c_attn</code> and
# <code>c_proj</code> are those of the notebook, six columns wide.
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
# With this lesson's weights, copied by name with `load_state_dict`, the module gives what the steps gave:

# %%
mine = CausalSelfAttention(n_embd=6, n_head=2)
weights_by_name = {
    "c_attn.weight": c_attn.weight, "c_attn.bias": c_attn.bias,
    "c_proj.weight": c_proj.weight, "c_proj.bias": c_proj.bias,
}
mine.load_state_dict(weights_by_name, strict=False)
difference = (mine(x) - c_proj(merged)).abs().max().item()
print(f"largest difference from the steps: {difference:.0e}")
assert difference < 1e-5, "the module should give what the steps gave (dropout does not belong in it)"

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ### Deeper: two judges
#
# Two modules that were written without yours, the package's and torch's own, get the same weights and give
# the same numbers. You can skip this section.

# %% [markdown]
# torch's mask is True where reading is *forbidden*, and its layers have other names.

# %%
package = multihead.CausalSelfAttention(6, 2)
package.load_state_dict(weights_by_name)
torchs = nn.MultiheadAttention(6, 2, batch_first=True)
their_names = ["in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias"]
torchs.load_state_dict(dict(zip(their_names, weights_by_name.values())))
forbidden = torch.ones(4, 4, dtype=torch.bool).triu(1)
theirs = {"the package's": package(x), "torch's": torchs(x, x, x, attn_mask=forbidden)[0]}
for name, result in theirs.items():
    difference = (mine(x) - result).abs().max().item()
    print(f"largest difference from {name}: {difference:.0e}")
    assert difference < 1e-5, f"your module and {name} should give the same numbers"

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ### Deeper: what heads cost
#
# Parameters, multiplications and weights, counted for 1, 3 and 12 heads. You can skip this section.

# %% [markdown]
# **Predict.** A module with 1 head, one with 3, one with 12, all with C = 12. Which has the most
# parameters?
#
# <details><summary>A. The one with 12 heads: each has matrices of its own</summary>
# No. Each has its own, but they are narrower: 12 matrices with 1 column hold as many numbers as one with
# 12.
# </details>
# <details><summary>B. All the same</summary>
# Yes. nh appears in no shape of c_attn and c_proj. Nor do the dot products cost more: nh heads with hs
# multiplications each are C for each pair of tokens. What grows with nh is the number of weights: one
# matrix (T, T) for each head.
# </details>
# <details><summary>C. The one with 1 head: it is the widest</summary>
# No. One wide head or many narrow ones: c_attn has the same 3·C columns.
# </details>

# %%
T = 5
for n_head in (1, 3, 12):
    n_parameters = sum(p.numel() for p in CausalSelfAttention(12, n_head).parameters())
    multiplications, n_weights = n_head * T * T * (12 // n_head), n_head * T * T
    print(f"n_head {n_head:2}: {n_parameters} parameters, {multiplications} multiplications for the "
          f"scores of {T} tokens, {n_weights} weights")

# %% [markdown]
# ## 9. Three heads, three questions
#
# Back to section 1, with **your** module and three heads. All else stays the same, even the number of
# parameters, since n_head appears in no shape of c_attn and c_proj. Nobody tells a head which question is
# its own.

# %%
three_heads = train(CausalSelfAttention, n_head=3)
right["3 heads"] = share_right(three_heads(unseen).argmax(dim=-1))
with_one, with_three = (sum(p.numel() for p in m.parameters()) for m in (one_head, three_heads))
print(f"parameters with one head: {with_one:,}, with three: {with_three:,}")
assert with_one == with_three, "both models should have the same number of parameters"
assert min(right["3 heads"]) > 0.9, "three heads should answer nearly everything"
figures.answers_right(right, questions, itself)

# %% [markdown]
# Three heads answer nearly everything. Match each picture of their weights with one of the questions:

# %%
def head_weights(model, idx, n_head):
    """The weights (nh, T, T) of every head for one text (1, T)."""
    q, k = (split_heads(part, n_head)[0] for part in queries_and_keys(model, idx))  # (nh, T, hs)
    return torch.stack([weights_of(masked_attention, q_h, k_h) for q_h, k_h in zip(q, k)])


three_maps = head_weights(three_heads, ids, 3)
names_of_heads = ["head 0", "head 1", "head 2"]
figures.head_maps(three_maps, sentence, names_of_heads)

# %% [markdown]
# A line beside the diagonal: the token before. A single column: the first token. Scattered cells: the last
# of the same kind, such as *orders* for *it*.
#
# Which head takes which question depends on the random start, and sometimes two heads share one. Trained
# language models have heads for the token before, too; many of their heads have no pattern that anyone
# could name. [Lesson 15](15_looking_inside.ipynb) looks.

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ### Deeper: is it chance?
#
# The same measured on 200 unseen texts: how much of its attention each head gives to the three answers. You
# can skip this section.

# %% [markdown]
# (The three answers can be one and the same token, so a row may sum to more than 1.)

# %%
def habits(model, texts):
    """For each head, its mean weight on the tokens that are the answer to each question."""
    maps = torch.stack([head_weights(model, text[None], 3) for text in texts])  # (n, nh, T, T)
    answers = three_answers(texts)  # (n, T, 3)
    is_answer = texts[:, None, :, None] == answers[:, :, None, :]  # (n, T, S, 3)
    per_token = maps.transpose(1, 2) @ is_answer.float()  # (n, T, nh, S) @ (n, T, S, 3)
    return per_token[:, 2:].mean((0, 1))  # (nh, 3)


attention_on = habits(three_heads, unseen[:200])
assert len(set(attention_on.argmax(dim=0).tolist())) == 3, (
    "each question should have its own head; another random start can give another picture"
)
of_same_kind = three_maps[attention_on[:, 2].argmax()]
assert [sentence[s] for s in of_same_kind[5:].argmax(dim=-1)] == ["robot", "obey", "orders"], (
    "in the sentence, this head should read the last token of the same kind"
)
matrices([("mean attention weight on …", attention_on)], names_of_heads, questions, scale=(0.0, 1.0))

# %% [markdown]
# Each question has found a head of its own.

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ### Deeper: play with it
#
# The same heads on other sentences. You can skip this section.

# %% [markdown]
# Choose a head, then another sentence of the same words. Which heads follow the positions, whatever
# the words are? Which follows the words?

# %%
sentences = [
    "a robot must obey the orders given it",
    "the child must obey a robot given orders",
    "orders given the child a robot must obey",
]
maps = {}
for text in sentences:
    idx = torch.tensor([[VOCABULARY.index(word) for word in text.split()]])
    three = dict(zip(names_of_heads, head_weights(three_heads, idx, 3)))
    maps[text] = {**three, "the only head": head_weights(one_head, idx, 1)[0]}
head_switch(maps)

# %% [markdown]
# <details><summary>Answer, after you have tried</summary>
# Two of the three hardly change with the sentence, the line beside the diagonal and the first column: they
# follow the positions. The head for the last token of the same kind changes, because it follows the words.
# The only head, in the model with one, keeps its first column and its place beside the diagonal, and has
# little left for the third question.
# </details>

# %% [markdown]
# ## What you have
#
# `CausalSelfAttention` is the attention of GPT-2, complete. One product makes queries, keys and values for
# all heads; a reshape and a transpose give each head its columns; each head reads the past with its own
# weights; merged and mixed, the result is as wide as x. In numbers:

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
# ### Questions
#
# Five about this lesson:
#
# 1. What is the shape of q after `split_heads` in GPT-2, for 2 texts of 10 tokens?
#    <details><summary>Answer</summary>(B, nh, T, hs) = (2, 12, 10, 64).</details>
# 2. Which two steps split the heads, and which one is forgotten without an error?
#    <details><summary>Answer</summary>Reshape to (B, T, nh, hs), then <code>transpose(1, 2)</code>. A reshape
#    straight to (B, nh, T, hs) has the right shape and gives head 0 the first tokens whole.</details>
# 3. Suppose GPT-2 had 16 heads instead of 12. How many parameters would its attention have?
#    <details><summary>Answer</summary>As many as before; each head would be 48 wide instead of 64.</details>
# 4. What would be missing without <code>c_proj</code>?
#    <details><summary>Answer</summary>Each head could only write into its own columns, and no column could
#    depend on what two heads found.</details>
# 5. Why does one head as wide as three not do the work of three?
#    <details><summary>Answer</summary>It takes one softmax of the sum of the scores, so each token has one row
#    of weights, which sums to 1.</details>
#
# Two about earlier lessons:
#
# 6. Lesson 06: does each head need a causal mask of its own?
#    <details><summary>Answer</summary>Every head needs a mask, and the same one (T, T) serves all: it is
#    broadcast over batch and heads.</details>
# 7. Lesson 04: which of the three questions of section 1 need positions?
#    <details><summary>Answer</summary>All three: <i>before</i>, <i>first</i> and <i>last</i> ask about the
#    order, and without positions one attention cannot tell orders apart.</details>

# %% [markdown]
# ### Challenge: an induction head
#
# Ask a fourth question in `three_answers`: the token that came **after** the last earlier occurrence of
# the current one (in *a b c a* the answer at the second *a* is *b*; where there is none, the token itself).
# Heads that find it are called *induction heads*. What to look for: one attention does not get it right,
# however many heads it has, because a key does not know which token came before it. Put two attentions
# one after the other, `x = x + attn(x)` each, and train for 1,500 steps: the answers are nearly all right.
# Then find the head of the first attention that reads the token before.

# %% [markdown]
# **Sources.** Vaswani et al. 2017, *Attention Is All You Need*, section 3.2.2; Radford et al. 2019, *Language
# Models are Unsupervised Multitask Learners*, table 2, and its code, `src/model.py`, function `attn`; Clark
# et al. 2019, *What Does BERT Look At?*, section 3 (heads that follow positions); Olsson et al. 2022,
# *In-context Learning and Induction Heads*. The sentence is Alammar's (*The Illustrated GPT-2*, 2019), the
# law Isaac Asimov's.
#
# **Next:** attention moves information between positions. The other half of a block works at each position
# alone: [lesson 08, the MLP](08_mlp.ipynb).
#
# **What you have built so far:**

# %%
my_progress()
