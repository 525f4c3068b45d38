# %% [markdown]
# # 13 · Training
#
# Everything from text to logits has been built, and all of it runs on random numbers: a fresh model knows nothing.
# Nobody writes better numbers into it by hand. **How do weights come to know a language, from nothing but text?**
#
# - **In:** a long row of token ids (N,), and a model with random weights.
# - **Out:** the same model, with weights that predict the next token.
# - **Time:** about 65 minutes for the core, 125 with the deeper sections. Three exercises: `next_token_batch`,
#   `next_token_loss` and `learning_rate`.
#
# Keep at hand: the [cheat sheet](../docs/cheat_sheet.md), the [glossary](../docs/glossary.md), the
# [notation](../docs/notation.md), and [what well-known explanations get wrong](../docs/common_errors.md).

# %% [markdown]
# First the tools. `GPT2` and `generate` are yours if you have passed their checks; the line below the cell says so.

# %%
import math
import re
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from tqdm.auto import tqdm

from gpt2course import check, corpus, kept_names, my_progress
from gpt2course.learner import workbook
from gpt2course import model as package
from gpt2course.config import GPT2Config
from gpt2course.inspection import activations, find
from gpt2course.lessons.training import (
    curves, matrices, moment_of, moments_to_play, schedule_to_play, shifted, stacked, tower, valley,
)
from gpt2course.mine import GPT2, generate
from gpt2course.training.text_data import TextData
from gpt2course.weights import TOKENIZER, load_tokenizer

# %% [markdown]
# No part is lit: training concerns all of them. It runs this *forward pass*, measures how wrong the result was, and goes
# all the way back down, to find for every weight in which direction it should change. (Here your `GPT2` has weights
# that are trained already, those of the course model.)

# %%
tower("13_training", kept_names(), GPT2)

# %% [markdown]
# ## 1. The text
#
# GPT-2 learned from 40 GB of web pages. A laptop has minutes, so the course brings small stories, written by a program.
# In this world every thing is known by what it does: robots beep, kettles whistle, and no verb belongs to two of them.
# Some stories are **held out**: the model never trains on them. They show later whether it has understood or
# memorised.

# %%
stories, unseen = corpus.training_documents(), corpus.heldout_documents()
print(f"{len(stories):,} stories to learn from, {len(unseen):,} held out. The first:\n\n{stories[0]}")

# %% [markdown]
# All of that takes a quarter of an hour to learn. To see it within a minute, shorten the stories to the first sentence,
# the last, and those between in which *it* does something. (You can run this cell without reading its code.)

# %%
def sentences(text: str) -> list[str]:
    return re.split(r'(?<=[.!?"]) (?=[A-Z"])', text)


def shortened(stories: list[str]) -> list[str]:
    """Of each story the first and the last sentence, and those in which *it* does something."""
    short = []
    for first, *middle, last in map(sentences, stories):
        told = [s for s in middle if re.match(r'[^"]* (because|how|when|although) it ', s)]
        if told:
            short.append(" ".join([first, *told, last]))
    return short


short_stories, short_unseen = shortened(stories), shortened(unseen)
print(f"{len(short_stories):,} are left to learn from, {len(short_unseen):,} held out. Two:\n")
print(*short_stories[:2], sep="\n\n")

# %% [markdown]
# All ids form one long row, with `<|endoftext|>` between stories. The tokenizer is the course's own, made as in
# [lesson 02](02_tokens.ipynb). How many characters will a token of its vocabulary of 2,048 cover?

# %%
tokenizer = load_tokenizer("course")
data = TextData.from_split(short_stories, short_unseen, tokenizer)
ids, heldout = data.train.long(), data.heldout.long()
V, characters = tokenizer.vocab_size, sum(map(len, short_stories))
print(f"{V:,} tokens in the vocabulary; {characters:,} characters are {len(ids):,} tokens")
print(f"{characters / len(ids):.1f} characters per token; {len(heldout):,} tokens are held out")

# %% [markdown]
# ## 2. Inputs and targets
#
# The running example has eight words, each one token. Cut out a row of four **inputs**. For each there is a right
# answer, the token that follows it: the **target**. So the targets are the same text, cut one place later.

# %%
words = "a robot must obey the orders given it".split()
shifted(words, start=2, n_ctx=4)

# %% [markdown]
# One row holds four questions, as [lesson 06](06_masking.ipynb) counted them: what follows *must*, *obey*, *the* and
# *orders*?
#
# **Predict.** A row of four inputs and their targets is to be cut from these eight tokens. How many places are
# there to begin?
#
# <details><summary>A. Eight: a row may begin at any token</summary>
# A row that begins at the last token has no second one. There must be enough text behind a start.
# </details>
# <details><summary>B. Five: 8 - 4 + 1</summary>
# There are five ways to cut four neighbours out of eight. But the last of them has no target for its last
# input: a row and its targets take <i>five</i> tokens.
# </details>
# <details><summary>C. Four: 8 - 4</summary>
# Yes: 0, 1, 2 and 3. Each row takes n_ctx + 1 tokens, and len(ids) - n_ctx places leave room for that.
# </details>
#
# All of them, with ids in the alphabetical order of the words:

# %%
alphabet, n_ctx = sorted(words), 4
text = torch.tensor([alphabet.index(word) for word in words])  # (N,) = (8,)
rows = [(text[s : s + n_ctx], text[s + 1 : s + n_ctx + 1]) for s in range(len(text) - n_ctx)]
all_inputs, all_targets = (torch.stack(part) for part in zip(*rows, strict=True))
matrices([("inputs", all_inputs), ("targets", all_targets)], [f"start {s}" for s in range(4)], scale=(0, 0))

# %% [markdown]
# The stories have hundreds of thousands of starts. Each step of training takes a **batch**: a few rows with random
# starts.
#
# ## Exercise: `next_token_batch` ●●●○○ · 8 minutes
#
# Draw `batch_size` starts, independently of each other (the same start may come twice), each possible one
# equally likely. Return the inputs and the targets as a tuple, both int64 and `(batch_size, n_ctx)`. All
# randomness comes from `generator`, so that a run can be repeated (`None` is torch's own). The trap is at the
# two ends of the text.
#
# <details><summary>Hint 1</summary>
# <code>torch.randint(high, size, generator=generator)</code> draws whole numbers from 0 to high - 1. The number of
# starts was counted above.
# </details>
# <details><summary>Hint 2</summary>
# Adding a column of starts to the row <code>torch.arange(n_ctx + 1)</code> gives a whole matrix of places.
# </details>
# <details><summary>Hint 3</summary>
# <code>ids[places]</code> has the shape of <code>places</code>. The inputs are all columns but the last, the targets
# all but the first.
# </details>

# %%
def next_token_batch(
    ids: Int[Tensor, " N"], batch_size: int, n_ctx: int, generator: torch.Generator | None
) -> tuple[Int[Tensor, "B n_ctx"], Int[Tensor, "B n_ctx"]]:
    """Rows cut at random places from a long text, and the token that follows each of theirs."""
    ### BEGIN SOLUTION
    starts = torch.randint(len(ids) - n_ctx, (batch_size, 1), generator=generator)
    cut = ids[starts + torch.arange(n_ctx + 1)]  # (B, n_ctx + 1)
    return cut[:, :-1], cut[:, 1:]
    ### END SOLUTION

# %%
next_token_batch = check(next_token_batch)

# %% [markdown]
# A batch of the stories. What must hold between inputs and targets, whatever was drawn?

# %%
dice = torch.Generator().manual_seed(1)
idx, targets = next_token_batch(ids, 3, 12, dice)  # (B, T) each
assert torch.equal(idx[:, 1:], targets[:, :-1]), "a target is the input one place later"
for read, last in zip(idx, targets[:, -1], strict=True):
    print(repr(tokenizer.decode(read.tolist())), "→", repr(tokenizer.decode([last.item()])))

# %% [markdown]
# ## 3. How wrong it was: the loss
#
# Now a small model: two blocks of four heads, 64 numbers for each token. GPT-2's first weights have a standard
# deviation of 0.02 (0.01 for `wpe` in the released code), which suits its width of 768. A narrow model needs larger
# ones.

# %%
config = GPT2Config(n_layer=2, n_head=4, n_embd=64, n_ctx=64, vocab_size=V)


def fresh_model() -> nn.Module:
    """A GPT2 of that size whose matrices are drawn anew, the same ones at every call."""
    torch.manual_seed(0)
    model = GPT2(config)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2:
            nn.init.normal_(parameter, std=0.05 if name.startswith("w") else 0.1)
    return model


model = fresh_model()
print(f"{sum(p.numel() for p in model.parameters()):,} weights; logits {tuple(model(idx).shape)}")

# %% [markdown]
# The softmax turns the scores of one position into probabilities, and one of them belongs to the target. Minus its
# natural logarithm is the loss, in *nats* ([lesson 01](01_language_models.ipynb)). The loss of a batch is the **mean
# over all its tokens**. This is called the *cross-entropy*. By hand, then in a loop:

# %%
logits = model(idx).detach()  # (B, T, V)
first = logits[0, 0].softmax(dim=-1)[targets[0, 0]]
print(f"the first target has a probability of {first:.6f}: {-math.log(first):.3f} nats")
nats = [
    -math.log(logits[b, t].softmax(dim=-1)[targets[b, t]]) for b in range(3) for t in range(12)
]
assert nats[0] == -math.log(first)
loss_by_hand = sum(nats) / len(nats)
print(f"{len(nats)} tokens, from {min(nats):.2f} to {max(nats):.2f} nats, mean {loss_by_hand:.4f}")
print(f"if all {V:,} tokens were equally likely: ln {V:,} = {math.log(V):.4f} nats")

# %% [markdown]
# A fresh model is near ln V: it is not wrong, it knows nothing. Far above that, its first weights would be too large,
# and the model *sure* of nonsense.
#
# Scores in training can be large: try 1000, 0 and -1000, with the second token as the target. What should the loss be?

# %%
scores = torch.tensor([1000.0, 0.0, -1000.0])
print("e raised to the scores:    ", torch.exp(scores).tolist())
print("-ln of the softmax:        ", -scores.softmax(dim=-1)[1].log().item())
print("-log_softmax, taken at once:", -scores.log_softmax(dim=-1)[1].item())

# %% [markdown]
# The probability is too small for a float and becomes 0, its logarithm infinite. `log_softmax` never
# computes the probability: ln of (eˢ / sum) is s - ln(sum). It sums e raised to the *distances* from the largest score
# of the row, so that no power is too large, and adds the largest again.
#
# ## Exercise: `next_token_loss` ●●○○○ · 6 minutes
#
# From logits `(B, T, V)` and targets `(B, T)` to one number, a tensor of shape `()`: the mean of -ln of the
# probability of each target, in the dtype of the logits. Scores of ±1000 must not spoil it. You may
# use `torch.nn.functional.cross_entropy`, which does softmax, logarithm and mean in one. Its trap: it looks
# for the vocabulary on axis 1.
#
# <details><summary>Hint 1</summary>
# <code>cross_entropy(scores, targets)</code> takes <code>(N, V)</code> and <code>(N,)</code>. Every position of every
# row is one of the N.
# </details>
# <details><summary>Hint 2</summary>
# <code>flatten(0, 1)</code> joins the first two axes. (<code>view</code> needs contiguous memory, and targets that
# were cut from rows are not contiguous.)
# </details>
# <details><summary>Hint 3</summary>
# Without it: <code>log_softmax(dim=-1)</code>, then <code>gather(-1, targets[..., None])</code> picks at every
# position the one that counts; minus, mean.
# </details>

# %%
def next_token_loss(
    logits: Float[Tensor, "B T V"], targets: Int[Tensor, "B T"]
) -> Float[Tensor, ""]:
    """Mean nats per token: -ln of the probability that each target was given."""
    ### BEGIN SOLUTION
    return nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
    ### END SOLUTION

# %%
next_token_loss = check(next_token_loss)

# %% [markdown]
# ## 4. Which way is better: the gradient
#
# Increase a single weight by a hair, run the model again, and see how the loss changes. The change of the loss per unit
# of this weight is its **gradient**. To find all gradients like this takes two runs for every weight.
# `loss.backward()` goes through the model once, from the loss back to the weights, and finds all of them together:
# **backpropagation**. Do both agree?

# %%
off = abs(next_token_loss(logits, targets).item() - loss_by_hand)
assert off < 1e-4, f"your loss is {off:.4f} from the loop's"
model = fresh_model().double()  # 16 digits, so that a hair can be small
next_token_loss(model(idx), targets).backward()
weight, at, hair = model.wte.weight, (idx[0, 0].item(), 5), 1e-5
around = []
for nudge in (hair, -hair):
    with torch.no_grad():
        weight[at] += nudge
        around.append(next_token_loss(model(idx), targets).item())
        weight[at] -= nudge
by_nudging = (around[0] - around[1]) / (2 * hair)
print(f"by nudging {by_nudging:.8f}, by backward {weight.grad[at]:.8f}")
assert abs(by_nudging - weight.grad[at].item()) < 1e-6, "the two gradients differ"

# %% [markdown]
# Where the gradient is positive, a smaller weight makes the loss smaller. So one **step** subtracts from every weight
# its gradient times a small number, the **learning rate**: *gradient descent*. From the same start, one step with
# each of five rates. Predict what happens at the largest.

# %%
for rate in (0.01, 0.1, 1.0, 10.0, 100.0):
    model = fresh_model()
    before = next_token_loss(model(idx), targets)
    before.backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= rate * parameter.grad
        after = next_token_loss(model(idx), targets)
    print(f"learning rate {rate:6}: loss {before:.3f} → {after:.3f}")

# %% [markdown]
# The same with a single weight, whose loss is w²: five steps from -2, with three rates.

# %%
valley({"creeps": 0.05, "arrives": 0.4, "jumps out": 1.05})

# %% [markdown]
# The gradient is only true for small steps. A small rate wastes time; a large one jumps over the valley, to a place
# worse than before.
#
# ## 5. AdamW
#
# One rate for all weights is a poor fit: some gradients are a thousand times larger than others. **Adam** keeps
# two running means for every weight: `m` of its gradient g, and `v` of g². It moves the weight by m/√v, times the
# learning rate. If the gradients agree, the quotient is about 1; if their signs change, m is small and so is the move.
# The W of **AdamW** is *weight decay*: each step also shrinks the weight by a small fraction of itself.

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ### Deeper: five steps of AdamW, by hand and by torch
#
# How the moves depend on gradients that change their sign, and what happens when all become a thousand times larger.
# You can skip it.

# %% [markdown]
# β, a number a little below 1, says how much of the old mean stays in each step. The means start at 0 and are too small
# at first; after t steps, dividing by 1 - βᵗ corrects that and gives m̂ and v̂. (ε, `eps`, prevents a division by 0.)
# One weight of 1.0, its first gradient 0.5:

# %%
lr, beta1, beta2, eps, decay = 0.1, 0.9, 0.99, 1e-8, 0.1
w, g = 1.0, 0.5
m = (1 - beta1) * g  # the running mean was 0
v = (1 - beta2) * g**2
m_hat, v_hat = m / (1 - beta1), v / (1 - beta2)  # after one step they are g and g²
w_after_one = w - lr * decay * w - lr * m_hat / (math.sqrt(v_hat) + eps)
print(f"m {m:.3f}, v {v:.4f}, m̂ {m_hat:.3f}, v̂ {v_hat:.3f}: from {w} to {w_after_one:.4f}")

# %% [markdown]
# Five steps, with gradients that change their sign. In which of them will the weight move least?

# %%
def adamw_by_hand(w: float, gradients: list[float], decay: float) -> list[float]:
    """The weight before and after each of its steps."""
    m = v = 0.0
    path = [w]
    for t, g in enumerate(gradients, start=1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        w = w - lr * decay * w - lr * m_hat / (math.sqrt(v_hat) + eps)
        path.append(w)
    return path


gradients = [0.5, 0.4, -0.6, 0.1, 0.5]
path = adamw_by_hand(1.0, gradients, decay)
assert path[1] == w_after_one
print("path: ", "   ".join(f"{w:.4f}" for w in path))
print("moves:", "   ".join(f"{abs(b - a):.4f}" for a, b in pairwise(path)))

# %% [markdown]
# The third: the gradient of -0.6 nearly cancels what the first two have left in m. In the fourth, the gradient is
# smallest, but m is not. Torch's own must take the same path:

# %%
def adamw_by_torch(w: float, gradients: list[float], decay: float) -> list[float]:
    weight = nn.Parameter(torch.tensor(w, dtype=torch.float64))
    optimizer = torch.optim.AdamW([weight], lr, (beta1, beta2), eps, weight_decay=decay)
    path = [w]
    for g in gradients:
        weight.grad = torch.tensor(g, dtype=torch.float64)
        optimizer.step()
        path.append(weight.item())
    return path


by_torch = adamw_by_torch(1.0, gradients, decay)
off = max(abs(a - b) for a, b in zip(path, by_torch, strict=True))
print(f"largest difference between the two paths: {off:.0e}")
assert off < 1e-12

# %% [markdown]
# **Predict.** All five gradients become a thousand times larger, and the decay is off. How far does the weight
# move?
#
# <details><summary>A. A thousand times as far</summary>
# So it would in section 4. Here m becomes a thousand times larger, but so does √v.
# </details>
# <details><summary>B. As far as with the gradients as they were</summary>
# Yes: m/√v does not depend on the unit of the gradient. Remember this for the break-it lab:
# some mistakes hide behind it.
# </details>
# <details><summary>C. Less far, since large gradients are cut off</summary>
# Clipping them is another matter (section 7), and nobody has done it here.
# </details>

# %%
small, large = (adamw_by_hand(1.0, [k * g for g in gradients], decay=0.0) for k in (1, 1000))
print("as they were:           ", "   ".join(f"{w:.4f}" for w in small))
print("a thousand times larger:", "   ".join(f"{w:.4f}" for w in large))
assert max(abs(a - b) for a, b in zip(small, large, strict=True)) < 1e-6

# %% [markdown]
# ### Which weights decay
#
# Decay shrinks every weight that no gradient holds up. It is for matrices alone: a bias or a scale of LayerNorm has no
# reason to be small. So the **optimizer**, which moves the weights, gets two groups. (`betas` says how much of the old m
# and v stays in each step. With 0.99, v averages about a hundred steps; torch's default of 0.999 suits longer runs.)

# %%
def make_optimizer(model: nn.Module, max_lr: float) -> torch.optim.AdamW:
    """AdamW with decay on the matrices alone."""
    matrices_of_it = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": matrices_of_it, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=max_lr, betas=(0.9, 0.99))


for group in make_optimizer(fresh_model(), 1e-3).param_groups:
    numbers = sum(p.numel() for p in group["params"])
    print(f"decay {group['weight_decay']}: {len(group['params'])} tensors, {numbers:,} numbers")

# %% [markdown]
# ## 6. How fast: warm-up and cosine
#
# At first Adam's means rest on few gradients, and those of a random model point anywhere, so the rate rises over some
# steps: the **warm-up**. In the end the weights jitter around a good place, and smaller steps let them settle, so the
# rate falls, along half a cosine wave. With 4 steps of warm-up, from `max_lr` 0.8 down to `min_lr` 0.1 at step 8:

# %%
for step in range(4):
    print(f"step {step}: 0.8 · {step + 1} / 4 = {0.8 * (step + 1) / 4:.3f}")
for step in range(4, 9):
    share = (step - 4) / (8 - 4)  # of the way down
    height = (1 + math.cos(math.pi * share)) / 2  # from 1 to 0
    print(f"step {step}: share {share:.2f}, height {height:.3f}: {0.1 + (0.8 - 0.1) * height:.3f}")

# %% [markdown]
# ## Exercise: `learning_rate` ●●○○○ · 6 minutes
#
# The rate at a step, a Python float. For `step < warmup_steps` it is max_lr · (step + 1) / warmup_steps: the
# first step already has one part, and the last of the warm-up has `max_lr`. From there half a cosine
# leads down to `min_lr` at `max_steps`, where it stays. `warmup_steps` may be 0. The traps: where the cosine
# begins to count, and what it does when it is not stopped.
#
# <details><summary>Hint 1</summary>
# Three cases, three returns: in the warm-up, after the end, in between.
# </details>
# <details><summary>Hint 2</summary>
# The share of the way down is 0 at <code>warmup_steps</code> and 1 at <code>max_steps</code>.
# </details>
# <details><summary>Hint 3</summary>
# <code>(1 + math.cos(math.pi * share)) / 2</code> goes from 1 to 0. Scale it to the distance between the two
# rates, and add the lower one.
# </details>

# %%
def learning_rate(
    step: int, max_lr: float, min_lr: float, warmup_steps: int, max_steps: int
) -> float:
    """Up in a straight line to max_lr, down along half a cosine to min_lr; steps count from 0."""
    ### BEGIN SOLUTION
    if step < warmup_steps:
        return max_lr * (step + 1) / warmup_steps
    if step >= max_steps:
        return min_lr
    share = (step - warmup_steps) / (max_steps - warmup_steps)  # of the way down
    return min_lr + (max_lr - min_lr) * (1 + math.cos(math.pi * share)) / 2
    ### END SOLUTION

# %%
learning_rate = check(learning_rate)

# %% [markdown]
# Move the sliders to their ends. What becomes of the curve without warm-up, and with `min_lr / max_lr` at 1?
#
# <details><summary>What to see</summary>
# Without warm-up the first step already has the full rate. With the ratio at 1 there is no way down: after the warm-up
# the curve is a level line.
# </details>

# %%
schedule_to_play(learning_rate)

# %% [markdown]
# ## 7. Gradient clipping
#
# Now and then a batch has a gradient far larger than usual, and one such step can undo a hundred. **Clipping** treats
# all gradients as one vector: if its norm exceeds a limit, it is scaled down. The direction stays.
# `nn.utils.clip_grad_norm_` does it.

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ### Deeper: clipping by hand, and a batch in pieces
#
# The norm of all gradients, and how a batch that does not fit into memory is trained on all the same: *gradient
# accumulation*. You can skip it.

# %% [markdown]
# Clipping by hand and by torch, which returns the norm that it found:

# %%
model = fresh_model()
next_token_loss(model(idx), targets).backward()
arrow = torch.cat([p.grad.flatten() for p in model.parameters()])
limit = 1.0
by_hand = arrow * min(1.0, limit / arrow.norm().item())
norm = nn.utils.clip_grad_norm_(model.parameters(), limit)  # returns the norm before
clipped = torch.cat([p.grad.flatten() for p in model.parameters()])
assert torch.allclose(clipped, by_hand, atol=1e-6)
print(f"norm {norm:.3f} before, {clipped.norm():.3f} after; by hand {by_hand.norm():.3f}")

# %% [markdown]
# The batch goes through in pieces. `backward` *adds* to the gradients that are there, so after all pieces they hold a
# sum. The loss is a mean, so divide each piece's by the number of pieces. Twelve rows at once, and in three
# pieces: is it the same?

# %%
twelve, their_targets = next_token_batch(ids, 12, 32, dice)
arrows = []
for n_pieces in (1, 3):
    model = fresh_model().double()
    for piece, asked_of_it in zip(twelve.chunk(n_pieces), their_targets.chunk(n_pieces), strict=True):
        (next_token_loss(model(piece), asked_of_it) / n_pieces).backward()
    arrows.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
off = (arrows[0] - arrows[1]).abs().max().item()
print(f"largest difference of {len(arrows[0]):,} gradients: {off:.1e}")
assert off < 1e-12, "the pieces together give another gradient"

# %% [markdown]
# ## 8. The run
#
# What should the model learn? That *the* follows *on* is a matter of counting. These questions, from held-out stories,
# are not; the course calls them **probes**:

# %%
probes = [probe for probe in corpus.probes("it", 500) if len(sentences(probe.text)) == 2][:50]
for probe in probes[:3]:
    print(f"{probe.text} …\n    {' / '.join(probe.answers)}, since it is the {probe.clue}\n")

# %% [markdown]
# The next token depends on what *it* refers to, and other things are named in the same sentence: a head must attend
# from *it* to the right noun. Two numbers watch for that. **Right
# answers:** in how many probes is the likeliest next token a right one? **Attention to the noun:** how much of each
# head's attention weight goes from *it* to the noun, averaged over the probes?
#
# All questions form one batch. The shorter ones are padded at their end, and the causal mask keeps that from being
# read. (The next two cells only measure: you can run them without reading their code.)

# %%
END = tokenizer.end_of_text
questions = [[END, *tokenizer.encode(probe.text)] for probe in probes]
longest = max(map(len, questions))
filled = torch.tensor([q + [END] * (longest - len(q)) for q in questions])  # (B, T)
verbs = [{tokenizer.encode(" " + word)[0] for word in probe.answers} for probe in probes]
found = [find(probe, tokenizer) for probe in probes]  # where "it" and the noun are
places = [(it + 1, [n + 1 for n in noun]) for it, noun in found]  # + 1: <|endoftext|> in front
tuple(filled.shape)

# %% [markdown]
# The package's class can be inspected (`activations`, [lesson 12](12_kv_cache.ipynb)), so it gets the weights of your
# model, under the same names.

# %%
def in_the_packages_class(model: nn.Module) -> package.GPT2:
    """The same weights in the package's GPT2."""
    state, copy = model.state_dict(), package.GPT2(config)
    copy.load_state_dict({name: state[name] for name in copy.state_dict()})
    return copy


@torch.no_grad()
def look_back(model: nn.Module) -> tuple[float, Float[Tensor, "L nh"]]:
    """The share of right answers, and every head's mean weight from *it* to its noun."""
    seen = activations(in_the_packages_class(model), filled)
    predicted = [seen.logits[b, it].argmax().item() for b, (it, _) in enumerate(places)]
    right = sum(token in good for token, good in zip(predicted, verbs, strict=True))
    maps = torch.stack([block.weights for block in seen.blocks])  # (L, B, nh, T, T)
    to_nouns = [maps[:, b, :, it, noun].sum(dim=-1) for b, (it, noun) in enumerate(places)]
    return right / len(probes), torch.stack(to_nouns).mean(dim=0)

# %% [markdown]
# One step of training, with everything that you have built. Read it line by line. `backward` *adds* to the gradients
# that are there, so `zero_grad` clears them first.

# %%
MAX_STEPS, PAUSE, BATCH, MAX_LR, WARMUP = 700, 200, 16, 5e-3, 50


def take_step(model, optimizer, step: int, generator: torch.Generator) -> float:
    """Move the weights once, and return the loss of the batch before."""
    for group in optimizer.param_groups:  # each holds its own rate
        group["lr"] = learning_rate(step, MAX_LR, MAX_LR / 10, WARMUP, MAX_STEPS)
    idx, targets = next_token_batch(ids, BATCH, config.n_ctx, generator)
    loss = next_token_loss(model(idx), targets)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss.item()

# %% [markdown]
# Every 25 steps the run looks at the same held-out rows, with and without the tokens that follow *it*, and at the
# probes. At five moments it keeps what the model writes and what it predicts after the first question. (This cell only
# measures, too.)

# %%
log = {name: [] for name in ("loss", "held out", "the rest", "right", "heads", "moments")}
held_idx, held_targets = next_token_batch(heldout, 64, config.n_ctx, torch.Generator().manual_seed(0))
after_it = held_idx == tokenizer.encode(" it")[0]  # (B, T)


@torch.no_grad()
def look(model: nn.Module, step: int) -> None:
    """Put down what the model can do after so many steps."""
    logits = model(held_idx)
    loss = next_token_loss(logits, held_targets).item()
    rest = next_token_loss(logits[~after_it][None], held_targets[~after_it][None]).item()
    right, weights = look_back(model)
    for name, value in zip(("held out", "the rest", "right", "heads"), (loss, rest, right, weights)):
        log[name].append((step, value))
    if step in (0, 50, PAUSE, 350, MAX_STEPS):
        seen = moment_of(model, tokenizer, generate, probes[0].text, step, loss, weights)
        log["moments"].append(seen)

# %% [markdown]
# The first part of the run takes some seconds. With which loss will it begin?

# %%
def run(model, optimizer, generator: torch.Generator, up_to: int) -> None:
    """Train from the step that the log has reached, and look now and then."""
    with tqdm(range(len(log["loss"]), up_to), unit="step") as bar:
        for step in bar:
            if step % 25 == 0:
                look(model, step)
            loss = take_step(model, optimizer, step, generator)
            log["loss"].append((step, loss))
            bar.set_postfix(loss=f"{loss:.2f}", refresh=False)


torch.set_num_threads(1)  # matrices as small as these gain little from more
for kept in log.values():
    kept.clear()
student, generator = fresh_model(), torch.Generator().manual_seed(0)
optimizer = make_optimizer(student, MAX_LR)
run(student, optimizer, generator, up_to=PAUSE)
losses = {"training": log["loss"], "held out": log["held out"]}
curves(losses, "The loss falls from ln V", "loss (nats per token)", {"ln V": math.log(V)})

# %% [markdown]
# The model learns which tokens there are and which follow which. Held-out loss falls with training loss. Were it to
# rise again, the model would be memorising: *overfitting*. Now the probes:

# %%
share, to_nouns = look_back(student)
print(f"{share:.0%} of the answers are right")
print(f"the best head gives {to_nouns.max():.0%} of its weight to the noun")

# %% [markdown]
# **Predict.** Most of the way down is done, and the model has hardly an idea what *it* refers to. What will become of
# the right answers in the steps to come?
#
# <details><summary>A. Not much: the curve gets flat, so the model has learned what it can</summary>
# The curve is a mean over all tokens, and few of them come after an <i>it</i>. A model may go from guessing to knowing
# there while the mean falls by a fraction of a nat, which is nothing on this axis.
# </details>
# <details><summary>B. They rise little by little, as the loss falls</summary>
# A reasonable guess, and how most words are learned. But here two things are needed together: a head that attends to
# the noun, and something that turns the noun into its verb. One without the other is worth almost nothing.
# </details>
# <details><summary>C. Nothing for a while, and then nearly all of them within a few hundred steps</summary>
# Yes. As soon as both halves are there a little, each makes the other worth improving.
# </details>
#
# After the run, read the three panels from the bottom up, over the same steps.

# %%
run(student, optimizer, generator, up_to=MAX_STEPS)
if log["heads"][-1][0] < MAX_STEPS:
    look(student, MAX_STEPS)
best = log["heads"][-1][1].flatten().topk(2).indices.tolist()
heads = {
    f"head {h} of layer {layer}": [(step, w[layer, h].item()) for step, w in log["heads"]]
    for layer, h in (divmod(i, config.n_head) for i in best)
}
late = {
    name: [(step, nats) for step, nats in log[key] if step >= PAUSE]
    for name, key in (("all tokens", "held out"), ("without those after “it”", "the rest"))
}
TITLES = (
    "From 0 to 8 nats, the loss seems to have stopped falling",
    "Held-out loss, zoomed in: it drops because of the tokens after “it”",
    "The answers come right as heads learn to attend from “it” to its noun",
)
stacked(
    curves(losses, TITLES[0], "nats per token", {"ln V": math.log(V)}),
    curves(late, TITLES[1], "nats per token", y_range=(1.1, 1.5)),
    curves({"right answers": log["right"], **heads}, TITLES[2], "share", y_range=(0, 1.05)),
)

# %%
share_in_the_end, its_heads = look_back(student)
half = next(step for step, right in log["right"] if right >= 0.5)
print(f"half of the answers are right from step {half} on, and {share_in_the_end:.0%} in the end")
print(f"{after_it.double().mean().item():.1%} of the tokens follow an it")
assert share_in_the_end >= 0.9 and its_heads.max() >= 0.5, "it has not found its noun in 700 steps"

# %% [markdown]
# The loss did show it, in the very steps in which *it* finds its noun, but only on an axis of its own. The mean over
# all tokens hides what happens in a few of them: **measure what you care about.**
#
# ### Five moments
#
# Move the slider from the first moment to the last. In which order does it learn words, sentences and sense?
#
# <details><summary>What to see</summary>
# Words come first, then sentences in which any thing does anything; the sense of <i>it</i> comes last. In the
# end the stories are still not good: people come and go. To keep them together from one sentence to the next takes more
# layers, more text and more time.
# </details>

# %%
moments_to_play(log["moments"], probes[0].text, probes[0].answers)

# %% [markdown]
# One row of attention weights: what the best head reads at *it*, in one of the probes (the last twelve tokens).

# %%
layer, head = divmod(int(its_heads.argmax()), config.n_head)
with torch.no_grad():
    seen = activations(in_the_packages_class(student), torch.tensor([questions[2]]))
its_row = seen.blocks[layer].weights[0, head, -1, -12:]
tokens = [tokenizer.decode([i]).strip() for i in questions[2][-12:]]
matrices([(f"head {head} of layer {layer} reads", its_row[None])], ["it"], tokens, scale=(0.0, 1.0))

# %% [markdown]
# Nobody told it what a noun is. It learned this only because it helps to predict the next token.
#
# Save your model in the format of the released ones; [lesson 15](15_looking_inside.ipynb) shows it beside the course
# model.

# %%
folder = workbook.folder() / "trained"
in_the_packages_class(student).save_pretrained(folder)
tokenizer.save(folder / TOKENIZER)
again = package.GPT2.from_pretrained(folder)
off = (again(filled) - student(filled)).abs().max().item()
assert off < 1e-4, f"the saved model's logits are off by {off}"
print(*sorted(path.name for path in folder.iterdir()), sep="\n")

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: the break-it lab
#
# Seven mistakes of training: four that the loss curve shows, and three that it does not. You can skip it.

# %% [markdown]
# Training runs on, whatever you have done wrong: no error, and mostly the loss falls. So you have to know how a
# loss curve *should* look. A smaller model of the package's, 150 steps, one mistake at a time.

# %%
TINY, TINY_STEPS = GPT2Config(n_layer=2, n_head=2, n_embd=32, n_ctx=32, vocab_size=V), 150


def tiny_model() -> package.GPT2:
    torch.manual_seed(0)
    return package.GPT2(TINY)


def tiny_run(
    bar, model, optimizer_of=make_optimizer, loss_of=next_token_loss, zero=True, shift=True, seed=0
):
    """The losses of a tiny model's training, and the model."""
    optimizer, dice, losses = optimizer_of(model, 1e-2), torch.Generator().manual_seed(seed), []
    for step in range(TINY_STEPS):
        idx, targets = next_token_batch(ids, 16, TINY.n_ctx, dice)
        loss = loss_of(model(idx), targets if shift else idx)
        if zero:
            optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append((step, loss.item()))
        bar.update()
    return losses, model

# %% [markdown]
# - **not shifted**: the targets are the inputs themselves;
# - **no zero_grad**: the gradients of all steps so far add up;
# - **softmax first**: probabilities go into a loss that takes a softmax itself;
# - **plain list**: the blocks are in a Python list and not in an `nn.ModuleList`, so the optimizer never sees their
#   weights.
#
# **Predict:** which of them ends with the lowest loss, and which cannot get below some floor?

# %%
unlisted = tiny_model()
blocks = list(unlisted.h)
del unlisted.h
unlisted.h = blocks  # nn.Module does not look into a list
with tqdm(total=5 * TINY_STEPS, unit="step") as bar:
    broken = {
        "as it should be": tiny_run(bar, tiny_model()),
        "not shifted": tiny_run(bar, tiny_model(), shift=False),
        "no zero_grad": tiny_run(bar, tiny_model(), zero=False),
        "softmax first": tiny_run(
            bar, tiny_model(), loss_of=lambda s, t: next_token_loss(s.softmax(dim=-1), t)
        ),
        "plain list": tiny_run(bar, unlisted),
    }
of_each = {name: losses for name, (losses, _) in broken.items()}
curves(of_each, "Each mistake has its own look", "nats per token", {"ln V": math.log(V)})

# %% [markdown]
# The **honest** number is the next-token loss on held-out text. Beside it, how many weights the optimizer knows:

# %%
def honest_loss(model: nn.Module) -> float:
    idx, targets = next_token_batch(heldout, 128, TINY.n_ctx, torch.Generator().manual_seed(1))
    return next_token_loss(model(idx), targets).item()


print("                 training loss   next-token loss   weights that learn")
for name, (curve, model_of_it) in broken.items():
    known = sum(p.numel() for p in model_of_it.parameters())
    print(f"{name:16} {curve[-1][1]:13.3f}   {honest_loss(model_of_it):15.3f}   {known:18,}")
print(f"softmax first: no lower than {math.log(math.e + V - 1) - 1:.3f}, ln V is {math.log(V):.3f}")

# %% [markdown]
# - **Not shifted** looks like a triumph: copying the input is all that is asked. *Too good* is a warning.
# - **Softmax first** is stuck at the top: even a perfect model gives probabilities of 1 and 0, and as *scores* they
#   are e against 1. The last line computes that floor.
# - **No zero_grad** learns at first and then swings to and fro. The sum of all gradients is a ball that never
#   loses speed: it rolls through every valley.
# - **Plain list** is the quiet one: a decent curve. The embeddings learn, around blocks that stay random. The
#   number of weights gives it away ([lesson 10](10_output_projection.ipynb)).

# %% [markdown]
# ### Mistakes that no curve shows
#
# Three more, as common. Their numbers differ a little from the right one; but so does a run that is right and has drawn other rows. (The
# last, *train mode*, concerns **dropout**: a layer that sets random numbers to 0 in training, and must be off, by
# `model.eval()`, when the model is evaluated.) Which of these lines would you have noticed?

# %%
def decay_on_everything(model, max_lr):
    return torch.optim.AdamW(model.parameters(), max_lr, betas=(0.9, 0.99), weight_decay=0.1)


def four_times_too_large(logits, targets):
    return 4 * next_token_loss(logits, targets)


ways = {
    "decay on everything": {"optimizer_of": decay_on_everything},
    "a loss 4 times too large": {"loss_of": four_times_too_large},
    "right, other rows drawn": {"seed": 1},
}
trained = {"right": broken["as it should be"][1].eval()}
with tqdm(total=3 * TINY_STEPS, unit="step") as bar:
    trained |= {name: tiny_run(bar, tiny_model(), **how)[1] for name, how in ways.items()}
for name, model_of_it in trained.items():
    print(f"{name:24}  next-token loss {honest_loss(model_of_it):.3f}")
print(f"evaluated in train mode   next-token loss {honest_loss(trained['right'].train()):.3f}")

# %% [markdown]
# - **Decay on everything** hardly matters in 150 steps; in 100,000 it holds back every bias and every LayerNorm.
# - A **loss that is too large** (its division by the number of pieces was forgotten) is no further from the right
#   one than chance is: Adam does not depend on the unit. With clipping, which does, it would be another run.
# - **Evaluated in train mode** is exactly the same, because this model has no dropout. With dropout,
#   the loss would be too high and would vary from call to call.
#
# No curve finds these. A test does: compare one step with the same step written by hand, as the deeper part of
# section 5 does.
#
# **Predict.** Your own run starts at a loss of 7.6 with 2,048 tokens in the vocabulary, and stays there, whatever
# the learning rate. Which of these can it not be?
#
# <details><summary>A. The optimizer was given the parameters of another model</summary>
# It can: then nothing that the loss sees ever moves. (It happens when you create the model again in a notebook and do
# not run the optimizer's cell again.)
# </details>
# <details><summary>B. A detach() or .item() between model and loss</summary>
# An <code>.item()</code> would raise at <code>backward</code>, but a <code>detach</code> in the middle of the model cuts
# off everything before it, and in the worst case that is nearly everything. It can.
# </details>
# <details><summary>C. The targets are not shifted</summary>
# Right, that one it cannot be: then the loss would fall to nearly 0.
# </details>

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: training from the command line
#
# The package's own training, on one processor or many, and on files of your own. You can skip it.

# %% [markdown]
# `gpt2course train` does the same as this lesson with what a longer run needs. It saves **checkpoints** (the weights and
# the optimizer's state), so that an interrupted run continues where it was. It looks at held-out text, and cuts
# a step into pieces. On a GPU it computes in bfloat16, numbers of 16 bits with the range of those of 32 and
# fewer digits. In a terminal (it takes minutes):
#
# ```
# python -m gpt2course train --out my_model
# python -m gpt2course train --out novels --data a.txt b.txt
# ```
#
# The first makes the course model, the second learns from files of your own. On several processors or GPUs,
# `torchrun` starts one process for each. Each takes its part of the rows of every batch, and before the step they
# average their gradients: *data-parallel* training, the batch in pieces of section 7, all at the same time.
#
# ```
# torchrun --nproc-per-node 2 -m gpt2course train --out my_model
# ```

# %% [markdown]
# ## What you have
#
# `next_token_batch` makes questions out of text, `next_token_loss` measures how wrong the answers were, and
# `learning_rate` says how far to move. With them your model went from ln V to stories in which *it* finds its
# noun. Batch size, rates and number of steps are *hyperparameters*: chosen, not learned.
#
# The numbers of the smallest GPT-2:

# %%
gpt2 = GPT2Config()
n = package.count_parameters(gpt2)
print(f"loss of a fresh model: ln {gpt2.vocab_size:,} = {math.log(gpt2.vocab_size):.2f} nats per token")
print(f"tokens in one step: 512 · {gpt2.n_ctx:,} = {512 * gpt2.n_ctx:,}; "
      f"in one of yours: {BATCH} · {config.n_ctx} = {BATCH * config.n_ctx:,}")
print(f"numbers held in training: {n:,} weights, as many gradients, m and v: "
      f"{4 * n * 4 / 1e9:.1f} GB in float32")
print(f"multiply-adds in one step, for each weight one forward and two backward "
      f"(towards its input, and for its own gradient): about {3 * n * 512 * 1024:.1e}")

# %% [markdown]
# ### Questions
#
# <details><summary>1. How many predictions does one row of 64 inputs train?</summary>
# 64, one at every position.
# </details>
# <details><summary>2. A model with 50,257 tokens in its vocabulary starts with a loss of 40. What is wrong?</summary>
# Its first weights are too large: it is sure of nonsense. It should start near ln 50,257, the first number above.
# </details>
# <details><summary>3. All gradients become a thousand times larger. What do gradient descent and Adam do?</summary>
# Gradient descent moves a thousand times as far, Adam as far as before: m and √v grow by the same factor.
# </details>
# <details><summary>4. "At most 512 tokens are processed in training", you may read about GPT-2. Is that so?</summary>
# No. The paper says <i>a larger batchsize of 512 is used</i>: 512 rows, of 1024 tokens each. The context window was 512
# in the first GPT.
# </details>
# <details><summary>5. Your loss falls to nearly 0 within a hundred steps. What do you suspect?</summary>
# That the answer can be read: targets that are not shifted, or a mask that leaks.
# </details>
#
# From earlier lessons:
#
# <details><summary>6. Why may the padding at the end of the shorter questions be any token?</summary>
# The causal mask: no earlier position reads a later one (lesson 06).
# </details>
# <details><summary>7. In your <code>GPT2</code>, from which two sides does <code>wte</code> get gradients?</summary>
# From the embedding of the inputs and from the output scores: the two matrices are tied (lesson 10).
# </details>

# %% [markdown]
# ### Challenge: a text of your own
#
# Train the small model of section 8 on a text of yours, and hold a tenth of it out. Look for three things. Does the
# loss begin near ln V? At which step does held-out loss stop falling while training loss goes on, and what does the
# model write before and after? How does that step move with half the text?

# %% [markdown]
# **Sources.** Radford et al. 2019, *Language Models are Unsupervised Multitask Learners*, section 2.3; Radford et al.
# 2018, *Improving Language Understanding by Generative Pre-Training*, section 4.1 (GPT-2's own learning rates
# were not published); Kingma and Ba 2014, *Adam*, algorithm 1; Loshchilov and Hutter 2019,
# *Decoupled Weight Decay Regularization*, algorithm 2; Loshchilov and Hutter 2017, *SGDR*, section 3 (the cosine);
# Pascanu, Mikolov and Bengio 2013, *On the difficulty of training recurrent neural networks*, section 3.2 (clipping).
#
# **Next:** OpenAI has trained GPT-2 on 40 GB and given the weights away.
# [Lesson 14](14_released_weights.ipynb) puts them into your model, name by name.
#
# **What you have built so far:**

# %%
my_progress()
