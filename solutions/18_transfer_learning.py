# %% [markdown]
# # 18 · Transfer learning
#
# The course model can do one thing: continue stories. Now there is another job, and only a handful of examples of it.
# **How much of the new job does the model know already, and how few numbers and how few
# examples does it take to teach it the rest?**
#
# - **In:** a pre-trained model, and 0 to 100 examples of a task.
# - **Out:** a model that does the task, measured on questions that it has not seen.
# - **Time:** about 85 minutes for the core, 115 with the deeper sections. Three exercises: `option_score`, `freeze`
#   and `LowRank`.
#
# Keep at hand: the [cheat sheet](../docs/cheat_sheet.md), the [glossary](../docs/glossary.md), the
# [notation](../docs/notation.md), and [what well-known explanations get wrong](../docs/common_errors.md).

# %% [markdown]
# First the tools. Parts from `gpt2course.mine` are yours where you have passed their checks.

# %%
import copy
import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from gpt2course import check, corpus, my_progress
from gpt2course.lessons.transfer_learning import (
    ask_to_play, forgetting, learning_curves, matrices, two_thin_matrices, what_is_trained,
)
from gpt2course.mine import output_logits
from gpt2course.model import GPT2
from gpt2course.weights import load_tokenizer

# %% [markdown]
# ## 1. A task nobody trained it for
#
# *Tilda sold a wolf and a bell by the gate. It howled.* What does **it** stand for? There are two candidates, and
# only someone who knows that wolves howl can tell. Such questions are called **Winograd schemas**; GPT-2 was tested on
# them too.
#
# In the course model's stories only *one* thing could be meant by *it*, so this is new. But it has read what each thing
# does. Some of that knowledge should **transfer**.

# %%
question = corpus.questions(1, seed=18)[0]
print(question.scene, "It", question.verb + ".")
print("options:", question.options, "  answer:", question.answer)

# %% [markdown]
# The examples will be about 17 of the course's 34 things, the test about the other 17. The model has met all of them
# in its stories, but no *example* shows a thing of the test. How many of the 120 would guessing get right?

# %%
test = corpus.questions(120, seed=0, things=corpus.NEW)
print("in the examples:", ", ".join(thing.name for thing in corpus.FAMILIAR[:8]), "…")
print("in the test:    ", ", ".join(thing.name for thing in corpus.NEW[:8]), "…")
first = sum(q.answer == q.options[0] for q in test) / len(test)
print(f"always taking the first option: {first:.0%} right")
assert 0.4 < first < 0.6, f"one place is the answer too often: {first:.0%}"

# %% [markdown]
# Half of them: each place is the answer about equally often.
#
# ## 2. Zero examples: choosing among options
#
# **Zero-shot** means: no training, no examples. A language model gives every text a probability, so let it *choose*:
# write each option behind the text, and see which is likelier.
#
# An option may have several tokens. Its probability is a product: the first token after the prompt, times the second
# after prompt *and* first, and so on. In logarithms the product is a sum. By hand, for a prompt of three tokens and an
# option of two: which rows of the logits are needed?

# %%
torch.set_num_threads(1)  # such small matrices gain nothing from more
model, tokenizer = GPT2.from_pretrained("course"), load_tokenizer("course")
model.requires_grad_(False)
prompt, option = tokenizer.encode("The robot beeped"), tokenizer.encode(" all night")
logits = model(torch.tensor([prompt + option]))[0]  # (T, V)
for t in range(len(prompt) + len(option)):
    read = tokenizer.decode([(prompt + option)[t]])
    print(f"row {t} has read up to {read!r}")

# %% [markdown]
# A row speaks of the token *after* the one it has just read. So the first token of the option is predicted at the
# last token of the *prompt*, and the last row of all is not needed.

# %%
P, by_loop = len(prompt), 0.0
for i, token_id in enumerate(option):
    log_prob = logits[P - 1 + i].log_softmax(dim=-1)[token_id].item()
    print(f"{tokenizer.decode([token_id])!r:8} {math.exp(log_prob):6.2%}   ln: {log_prob:.3f}")
    by_loop += log_prob
print(f"the option: {math.exp(by_loop):.2%}   ln: {by_loop:.3f}")

# %% [markdown]
# ## Exercise: `option_score` ●●○○○ · 10 minutes
#
# The natural logarithm of the probability that `option` follows `prompt`, a Python float. Both are lists of ids with
# at least one id each; `model(idx)` takes ids (1, T) and gives logits (1, T, V). Do not divide by the length. The
# traps: which row speaks of which token, and seventy small numbers multiplied.
#
# <details><summary>Hint 1</summary>
# Run the model once, over <code>torch.tensor([prompt + option])</code>.
# </details>
# <details><summary>Hint 2</summary>
# The rows that count are those from <code>len(prompt) - 1</code> to the last but one.
# </details>
# <details><summary>Hint 3</summary>
# <code>log_softmax(dim=-1)</code>, pick the option's own ids with <code>gather</code> (or in a loop), add them up,
# <code>.item()</code>.
# </details>

# %%
def option_score(model, prompt: list[int], option: list[int]) -> float:
    """ln of the probability that the option follows the prompt."""
    ### BEGIN SOLUTION
    logits = model(torch.tensor([prompt + option]))[0, len(prompt) - 1 : -1]  # (S, V)
    chosen = logits.log_softmax(dim=-1).gather(-1, torch.tensor(option)[:, None])  # (S, 1)
    return chosen.sum().item()
    ### END SOLUTION

# %%
option_score = check(option_score)

# %%
assert math.isclose(option_score(model, prompt, option), by_loop, abs_tol=1e-4)

# %% [markdown]
# ### The wording decides
#
# Three ways to ask the same question. One uses words that stood in the stories (*Something howled on the roof. It was
# the wolf.*), one changes a single word, and one ends with a sign that the model has never seen. Predict the order, on fifty
# questions of the test.

# %%
END = tokenizer.end_of_text
WORDINGS = {
    "its own words": "{scene} Something {verb}. It was the",
    "one word changed": "{scene} It {verb}. It was the",
    "a new sign": "{scene} It {verb}. It =",
}


def ids_of(q: corpus.Question, wording: str) -> list[int]:
    return [END, *tokenizer.encode(wording.format(scene=q.scene, verb=q.verb))]


def chosen(q: corpus.Question, wording: str) -> str:
    """The option with the higher score."""
    prompt = ids_of(q, wording)
    scores = [option_score(model, prompt, tokenizer.encode(" " + word)) for word in q.options]
    return q.options[scores.index(max(scores))]


zero_shot = {}
for name, wording in WORDINGS.items():
    right = sum(chosen(q, wording) == q.answer for q in test[:50])
    zero_shot[name] = right / 50
    print(f"{name:17} {right / 50:4.0%} right   {wording.format(scene='…', verb='howled')} ▢")
assert zero_shot["its own words"] > 0.9 and zero_shot["a new sign"] < 0.75, f"{zero_shot}"

# %% [markdown]
# The knowledge is there: asked in its own words the model is nearly perfect, without a single example. Asked with
# `It =` it does little better than a coin. **A prompt does not teach. It finds what pre-training has put there, or
# misses it.**

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: what GPT-2 could do with no examples
#
# How its authors asked, and what they got. You can skip it.

# %% [markdown]
# GPT-2's authors, too, asked in words that pre-training had seen. To get a summary they wrote **TL;DR:** behind an article, as people on the web
# do. Without it the result was worse by 6.4 points.
#
# **Predict.** You want GPT-2 to translate, without training. What would you write?
#
# <details><summary>A. "Please translate into French:"</summary>
# It may go on with anything that follows such a sentence on the web: often another request. GPT-2 was never trained to
# obey.
# </details>
# <details><summary>B. A few lines "english sentence = french sentence", then a new one and "="</summary>
# That is what they did. Now the likeliest continuation of the page <i>is</i> a translation. (5 BLEU from English into
# French, 11.5 the other way: poor, and remarkable, since nearly all French had been filtered out of its text.)
# </details>
#
# The figures of Radford et al. 2019, *Language Models are Unsupervised Multitask Learners*, for the largest model (1.5
# billion parameters); nothing here is computed.
#
# | task | asked by | result | beside it | section |
# |---|---|---|---|---|
# | Children's Book Test, common nouns | probability of each of 10 options | 93.3 % | best before 85.7 % | 3.2 |
# | Children's Book Test, names | likewise | 89.1 % | best before 82.3 % | 3.2 |
# | LAMBADA, last word of a passage | likeliest word, stop words left out | 63.24 % | best before 59.23 % | 3.3, table 3 |
# | Winograd schemas | probability with each of 2 options | 70.70 % | best before by 7 points less | 3.4 |
# | CoQA, questions about a text | text, questions, "A:" | 55 F1 | a trained system nears the 89 of people | 3.5 |
# | CNN and Daily Mail, summaries | "TL;DR:" | 21.40 (mean ROUGE) | 3 random sentences: 20.98 | 3.6, table 4 |
# | the same, without "TL;DR:" | – | 15.03 | 6.4 points less | 3.6, table 4 |
# | WMT-14, French to English | pairs of sentences, "=" between | 11.5 BLEU | best unsupervised 33.5 | 3.7 |
# | Natural Questions | example pairs in front | 4.1 % | the smallest model at most 1 % | 3.8 |
#
# Read the fourth column before you are impressed. Where the task *is* predicting a word, zero-shot beat all before
# it; where it is another job, it is a beginning.

# %% [markdown]
# ## 3. Fine-tuning
#
# **Fine-tuning** continues the training, from the pre-trained weights, on examples of the task. So our sign gets a
# meaning: behind `It =` the answer shall follow. An example is a prompt and the id of its answer. Only *one* position
# has a target, the last of each prompt.

# %%
def as_batch(questions: list[corpus.Question]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Prompts filled up on the right (B, T), the last place of each, the answer, both options."""
    prompts = [ids_of(q, WORDINGS["a new sign"]) for q in questions]
    longest = max(map(len, prompts))
    idx = torch.tensor([ids + [END] * (longest - len(ids)) for ids in prompts])
    last = torch.tensor([len(ids) - 1 for ids in prompts])
    answer = torch.tensor([tokenizer.encode(" " + q.answer)[0] for q in questions])
    options = torch.tensor([[tokenizer.encode(" " + w)[0] for w in q.options] for q in questions])
    return idx, last, answer, options


def answer_logits(model, idx, last) -> Float[Tensor, "B V"]:
    """The scores of the next token, at the last place of each prompt and nowhere else."""
    x = model.hidden(idx)[torch.arange(len(idx)), last]  # (B, C)
    return output_logits(x[:, None], model.wte.weight)[:, 0]


idx, last, answer, options = as_batch(corpus.questions(4, seed=1, things=corpus.FAMILIAR))
print("prompts", tuple(idx.shape), "  scores", tuple(answer_logits(model, idx, last).shape))

# %% [markdown]
# Why may the padding be any token? The causal mask: no earlier position reads it
# ([lesson 06](06_masking.ipynb)).
#
# An answer counts as right if it is the likelier one of the two options. What do you expect before training?

# %%
@torch.no_grad()
def accuracy(model, batch) -> float:
    """The share of right answers, choosing between the two options."""
    idx, last, answer, options = batch
    likelier = answer_logits(model, idx, last).gather(1, options).argmax(dim=1, keepdim=True)
    return (options.gather(1, likelier)[:, 0] == answer).float().mean().item()


TEST = as_batch(test)
before = accuracy(model, TEST)
print(f"before: {before:.0%} right")
assert before < 0.75, f"the new sign is not new: {before:.0%}"

# %% [markdown]
# The loop is that of [lesson 13](13_training.ipynb): a batch, a loss, a step. It trains whatever takes a gradient.
# Twenty steps of ten examples are enough here, at a learning rate that falls in a straight line.

# %%
def fine_tune(model, batch, lr: float, seed: int, steps: int = 20) -> None:
    """Train what takes a gradient, ten of the examples at a time."""
    idx, last, answer, _ = batch
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr)
    dice = torch.Generator().manual_seed(seed)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = lr * min(1, (step + 1) / 5) * (1 - step / steps)
        some = torch.randperm(len(idx), generator=dice)[:10]
        loss = F.cross_entropy(answer_logits(model, idx[some], last[some]), answer[some])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

# %% [markdown]
# A hundred examples, none of them about a thing of the test. Predict: will it answer about wolves and bells, if it was
# shown dogs and doors?

# %%
hundred = as_batch(corpus.questions(100, seed=1, things=corpus.FAMILIAR))
tuned = copy.deepcopy(model).requires_grad_(True)
fine_tune(tuned, hundred, lr=1e-3, seed=1)
after = accuracy(tuned, TEST)
print(f"before: {before:.0%} right, after: {after:.0%}")
assert after > 0.9, f"a hundred examples were not enough: {after:.0%}"

# %% [markdown]
# It does. Who howls came from pre-training. The examples taught it *what is wanted here*.
#
# ## 4. Train less: frozen blocks
#
# All 1,071,872 weights moved. Must they? The first blocks make features of words; the last ones turn them into an
# answer. So keep the tables and the first blocks as they are: **freeze** them. In torch a parameter with
# `requires_grad = False` takes no gradient. Which of these lines freezes a block?

# %%
for line in ("block.requires_grad = False", "block.eval()", "block.requires_grad_(False)"):
    block = copy.deepcopy(tuned.h[0]).requires_grad_(True)
    exec(line)
    frozen = sum(not p.requires_grad for p in block.parameters())
    print(f"{line:28} → {frozen} of {len(list(block.parameters()))} parameters are frozen")

# %% [markdown]
# Only the last. The first one makes a new attribute that nobody reads, without an error; `eval()` switches dropout,
# not gradients.
#
# ## Exercise: `freeze` ●●○○○ · 8 minutes
#
# Freeze `wte`, `wpe` and the first `n_frozen` blocks of `model.h`. *Everything else* takes gradients, whatever was
# set before: after `freeze(model, 3)`, a call of `freeze(model, 1)` must hold. Return the model itself.
#
# <details><summary>Hint 1</summary>
# Switch everything on first, then some parts off.
# </details>
# <details><summary>Hint 2</summary>
# <code>model.requires_grad_(True)</code>; the same method, with False, for each part that stays.
# </details>

# %%
def freeze(model: GPT2, n_frozen: int) -> GPT2:
    """Keep both tables and the first n_frozen blocks as they are."""
    ### BEGIN SOLUTION
    model.requires_grad_(True)
    for part in (model.wte, model.wpe, *model.h[:n_frozen]):
        part.requires_grad_(False)
    return model
    ### END SOLUTION

# %%
freeze = check(freeze)

# %% [markdown]
# The matrix that makes the logits is `wte` ([lesson 10](10_output_projection.ipynb)), so it is frozen too. How many
# numbers are left to train with 0, 2 and 4 frozen blocks?

# %%
def trainable(model) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


every = trainable(tuned)
for n_frozen in (0, 2, 4):
    left = trainable(freeze(copy.deepcopy(model), n_frozen))
    print(f"{n_frozen} blocks frozen: {left:9,} of {every:,} numbers are trained, {left / every:.1%}")

# %% [markdown]
# ## 5. Train far less: low-rank updates
#
# Another way keeps *every* matrix W and adds a correction to it: a product of two thin matrices, B times A, which has
# the shape of W and is made of few numbers. By hand, with rank 1. How many numbers make these fifteen?

# %%
A = torch.tensor([[1.0, 0.0, -1.0]])  # (rank, in) = (1, 3)
B = torch.tensor([[2.0], [1.0], [0.0], [-1.0], [3.0]])  # (out, rank) = (5, 1)
update = B @ A
x = torch.tensor([4.0, 5.0, 6.0])
assert torch.equal(update @ x, B @ (A @ x)), "the order of the products does not matter"
matrices([("B", B), ("A", A), ("B A", update)])

# %% [markdown]
# Eight. Every row of B A is a multiple of the one row of A: the **rank** is the number of rows that are independent.
# And (B A) x is B (A x): the large product need never be made. For `c_attn` of the course model, with rank 4:

# %%
two_thin_matrices(n_out=384, n_in=128, rank=4)

# %% [markdown]
# **Predict.** Training must begin where pre-training ended, so B A must be 0 at first. How?
#
# <details><summary>A. A and B are both 0</summary>
# Then it never moves. The gradient of A is made with B, and that of B with A x. Both are 0.
# </details>
# <details><summary>B. A is drawn, B is 0</summary>
# Yes. In the first step only B gets a gradient; from the second on A gets one too.
# </details>
# <details><summary>C. Both are drawn, very small</summary>
# It would train, but the model begins a little damaged, in every layer.
# </details>
#
# In one layer, first by hand and without a class: does it begin at the layer's own output, and what has a gradient?
# Once trained, the correction can be added into the matrix for good, W + scale · B A, and the layer costs what it
# always did.

# %%
torch.manual_seed(0)
linear = nn.Linear(3, 5).requires_grad_(False)
A, B = nn.Parameter(torch.randn(2, 3)), nn.Parameter(torch.zeros(5, 2))
y = linear(x) + 0.5 * B @ (A @ x)
assert torch.equal(y, linear(x)), "the update is not 0 at first"
y.square().sum().backward()
print("gradient of B:", bool(B.grad.any()), "  of A:", bool(A.grad.any()),
      "  of the layer:", linear.weight.grad)

with torch.no_grad():
    B.normal_()
    merged = linear.weight + 0.5 * B @ A
    apart = (F.linear(x, merged, linear.bias) - (linear(x) + 0.5 * B @ (A @ x))).abs().max()
assert apart < 1e-4, f"the merged layer is off by {apart}"
print("merged into the matrix: the same output, up to rounding")

# %% [markdown]
# ## Exercise: `LowRank` ●●●○○ · 20 minutes
#
# The same as a class (LoRA, Hu et al. 2021).
#
# - `__init__`: keeps the layer (no copy) and freezes it; makes the parameters `A`, (rank, in), and `B`, (out, rank), of
#   its dtype, on its device. B is zeros. A is drawn around 0 with a standard deviation of about 1/√in, so that
#   A x is no larger than x: with an A ten times as large, each step moves the output ten times as far.
# - `forward(x)`: linear(x) + scale · B A x. x has any leading axes, so apply matrices from the right: `x @ A.T`.
# - `merged()`: a *new* `nn.Linear` with the same outputs, computed anew at each call, that shares no memory with the
#   old one. The layer may have no bias; then the new one has none.
#
# <details><summary>Hint 1</summary>
# <code>n_out, n_in = linear.weight.shape</code>. <code>linear.weight.new_zeros(n_out, rank)</code> is zeros of the
# same dtype on the same device; <code>.normal_(std=…)</code> of such a tensor draws into it.
# </details>
# <details><summary>Hint 2</summary>
# <code>forward</code>: <code>self.linear(x) + self.scale * (x @ self.A.T @ self.B.T)</code>.
# </details>
# <details><summary>Hint 3</summary>
# <code>copy.deepcopy(self.linear)</code> is a new layer with or without a bias. Then, under
# <code>torch.no_grad()</code>, add <code>self.scale * self.B @ self.A</code> to its weight.
# </details>

# %%
class LowRank(nn.Module):
    """A frozen linear layer and a small update of its matrix: linear(x) + scale · B A x."""

    def __init__(self, linear: nn.Linear, rank: int, scale: float):
        super().__init__()
        ### BEGIN SOLUTION
        n_out, n_in = linear.weight.shape
        self.linear, self.scale = linear.requires_grad_(False), scale
        self.A = nn.Parameter(linear.weight.new_empty(rank, n_in).normal_(std=n_in**-0.5))
        self.B = nn.Parameter(linear.weight.new_zeros(n_out, rank))
        ### END SOLUTION

    def forward(self, x: Float[Tensor, "... n_in"]) -> Float[Tensor, "... n_out"]:
        ### BEGIN SOLUTION
        return self.linear(x) + self.scale * (x @ self.A.T @ self.B.T)
        ### END SOLUTION

    def merged(self) -> nn.Linear:
        ### BEGIN SOLUTION
        layer = copy.deepcopy(self.linear)
        with torch.no_grad():
            layer.weight += self.scale * self.B @ self.A
        return layer
        ### END SOLUTION

# %%
LowRank = check(LowRank)

# %% [markdown]
# Put one around each of the four matrices of every block. Nothing but A and B takes a gradient. Predict the share of
# the weights that is left, with rank 4.

# %%
def with_low_rank(model, rank: int = 4, scale: float = 2.0) -> nn.Module:
    """The model itself, each matrix of its blocks with a low-rank update."""
    model.requires_grad_(False)
    for block in model.h:
        for part, name in ((block.attn, "c_attn"), (block.attn, "c_proj"),
                           (block.mlp, "c_fc"), (block.mlp, "c_proj")):
            setattr(part, name, LowRank(getattr(part, name), rank, scale))
    return model


small = with_low_rank(copy.deepcopy(model))
same = torch.allclose(small(idx), model(idx), atol=1e-4)
print(f"{trainable(small):,} numbers, {trainable(small) / every:.1%}; at first the same logits: {same}")

# %% [markdown]
# ## 6. The picture
#
# Now the comparison. Four ways to make a model, 3 to 100 examples, three seeds each: other examples, other batches.
# From scratch means random weights and as many steps. Each way has a learning rate that suits it. The 48
# trainings take a minute or two.
#
# Predict two things: how many examples are enough, and which way will still be guessing at 100?

# %%
def fresh(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    new = GPT2(model.config)
    new.initialise(0.05)  # a narrow model wants larger weights than GPT-2's 0.02
    return new


WAYS = {  # how the model is made, and its learning rate
    "all weights": (lambda seed: copy.deepcopy(model).requires_grad_(True), 1e-3),
    "2 blocks frozen": (lambda seed: freeze(copy.deepcopy(model), 2), 2e-3),
    "low rank": (lambda seed: with_low_rank(copy.deepcopy(model)), 5e-3),
    "from scratch": (fresh, 2e-3),
}
SIZES, SEEDS = (3, 10, 30, 100), (0, 1, 2)

# %%
found = {way: {n: [] for n in SIZES} for way in WAYS}
kept = {}  # the models of seed 0
with tqdm(total=len(WAYS) * len(SIZES) * len(SEEDS), unit="training") as bar:
    for seed in SEEDS:
        for n in SIZES:
            examples = as_batch(corpus.questions(n, 100 + seed, corpus.FAMILIAR))
            for way, (make, lr) in WAYS.items():
                torch.manual_seed(seed)
                learner = make(seed)
                fine_tune(learner, examples, lr, seed)
                found[way][n].append(accuracy(learner, TEST))
                if seed == 0:
                    kept[way, n] = learner
                bar.update()

# %% [markdown]
# The marks are means over the seeds; the thick lines reach from the worst seed to the best.

# %%
for way in WAYS:
    at = {n: sum(found[way][n]) / len(SEEDS) for n in (30, 100)}
    near = max(at.values()) < 0.65 if way == "from scratch" else at[100] > 0.9 and at[30] > 0.8
    assert near, f"{way}: {at}"
assert sum(found["all weights"][3]) / len(SEEDS) < 0.9, f"three are enough: {found['all weights']}"
learning_curves(found, 0.5, "A hundred examples are enough, but only with pre-training")

# %% [markdown]
# - With three or ten examples it depends on *which* ones: look at the spread. With thirty, all three ways that start
#   from the pre-trained model answer nearly everything. It is an easy task.
# - From scratch it is a coin, with a hundred examples as with three. Nothing in them says that wolves howl.
#
# ### What each way costs
#
# Training holds four numbers of four bytes for each weight that moves: the weight, its gradient, and Adam's m and v
# ([lesson 13](13_training.ipynb)).

# %%
trained = {way: trainable(kept[way, 10]) for way in WAYS}
assert trained["low rank"] == 32_768 and trained["all weights"] == every
what_is_trained(trained, "The same accuracy, from 3% of the numbers")

# %% [markdown]
# A checkpoint of A and B is 131 kB beside 4.3 MB: keep one for each of many tasks, and one copy of the model.
#
# ## 7. What it forgets
#
# What has become of the old job? The loss on held-out stories, before and after the twenty steps, and after sixty more
# with all weights, although the answers were all right already. Predict: does the model still tell stories?

# %%
stories = [[END, *tokenizer.encode(text)][:128] for text in corpus.heldout_documents()[:60]]


@torch.no_grad()
def story_loss(model) -> float:
    """Nats per token on stories that no model has been trained on."""
    nll = torch.cat([
        F.cross_entropy(model(torch.tensor([ids]))[0, :-1], torch.tensor(ids[1:]), reduction="none")
        for ids in stories
    ])
    return nll.mean().item()


old = story_loss(model)
losses = {way: story_loss(kept[way, 100]) for way in WAYS if way != "from scratch"}
longer = copy.deepcopy(kept["all weights", 100])
fine_tune(longer, hundred, lr=1e-3, seed=1, steps=60)
losses["60 steps more"] = story_loss(longer)
assert losses["60 steps more"] > losses["all weights"] > old + 0.02, f"nothing forgotten: {losses}"
forgetting(losses, old, "Fine-tuning for the new task costs something of the old one")

# %% [markdown]
# It does, a little less well; after sixty more steps, clearly worse. Nothing in the new loss asks the model to keep the
# old skill. Where little of it is left, one speaks of **catastrophic forgetting**. Fewer trained numbers do not by
# themselves mean less of it: a low-rank update reaches every block.
#
# ## 8. Ask it
#
# Write into the field; on the left the model before fine-tuning, then after ten and 100 examples, and from scratch.
#
# 1. Three things: *Mina saw a lion, a goat and a kite. It roared. It =*. Was that in any example?
# 2. A verb that neither thing has: *… a wolf and a bell. It beeped. It =*. Does it say that it does not know?
# 3. A question or a story of your own.
#
# <details><summary>What to see</summary>
# Before you change anything: after ten examples it says <i>cow</i>, which is not even in the text; after 100,
# <i>wolf</i>.<br>
# 1. The lion, after ten examples too, although three things were in no example.<br>
# 2. It says <i>robot</i>: the thing that beeps, which is not in the text at all. So it does not choose between the
# two. It answers what it knows from the stories: who beeps. The test cannot tell these apart, since its right answer is
# always in the text.
# </details>

# %%
asked = "Mina saw a wolf and a bell at the mill. It howled. It ="
ask_to_play(
    {"before": model, "10 examples": kept["all weights", 10],
     "100 examples": kept["all weights", 100], "from scratch": kept["from scratch", 100]},
    tokenizer, asked,
)

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: was the comparison fair?
#
# More steps and more examples for the model without pre-training. You can skip it.

# %% [markdown]
# Twenty steps are few for random weights. Give the model from scratch seven times as many and 1,000 examples, and test
# it also on the things of its examples:

# %%
familiar_test = as_batch(corpus.questions(120, seed=0, things=corpus.FAMILIAR))
thousand = as_batch(corpus.questions(1000, 100, corpus.FAMILIAR))
patient = fresh(0)
with tqdm(total=1, unit="training") as bar:
    fine_tune(patient, thousand, lr=1e-3, seed=0, steps=140)
    bar.update()
on_familiar, on_new = accuracy(patient, familiar_test), accuracy(patient, TEST)
print(f"from scratch, 140 steps: things of the examples {on_familiar:.0%}, other things {on_new:.0%}")
assert on_new < 0.7, f"it should not know the other things: {on_new:.0%}"
assert on_familiar > on_new + 0.1, f"it learned nothing at all: {on_familiar:.0%}"

# %% [markdown]
# It learns about the things of its examples, and nothing about the rest: what is missing is not in its examples.

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: taking the update away, or merging it
#
# What low-rank updates leave of the old model. You can skip it.

# %% [markdown]
# A low-rank update leaves W untouched. Take the update away, and what is the loss?

# %%
switched_off = copy.deepcopy(kept["low rank", 100])
with torch.no_grad():
    for module in switched_off.modules():
        if isinstance(module, LowRank):
            module.B.zero_()
restored = story_loss(switched_off)
print(f"with the update {losses['low rank']:.3f}, without it {restored:.3f}, before {old:.3f}")
assert abs(restored - old) < 1e-4, "the frozen weights have changed"

# %% [markdown]
# Nothing is lost, since nothing of the old model moved. Now merge the updates: plain layers, the same answers.

# %%
plain = copy.deepcopy(kept["low rank", 100])
for block in plain.h:
    for part, name in ((block.attn, "c_attn"), (block.attn, "c_proj"),
                       (block.mlp, "c_fc"), (block.mlp, "c_proj")):
        setattr(part, name, getattr(part, name).merged())
apart = (plain(idx) - kept["low rank", 100](idx)).abs().max().item()
print(f"modules: {sum(isinstance(m, LowRank) for m in plain.modules())} of LowRank left; same answers: "
      f"{accuracy(plain, TEST) == accuracy(kept['low rank', 100], TEST)}")
assert apart < 1e-2, f"the merged model's logits are off by {apart}"

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: another answer, the same knowledge
#
# What training does not reach in twenty steps. You can skip it.

# %% [markdown]
# The question stays, and the answer is to be *former* or *latter*: which of the two was it? Someone who can do the one
# can do the other. The model knows both words from its stories. Predict, after 100 examples.

# %%
def with_places(n: int, seed: int, things) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    questions = corpus.questions(n, seed, things)
    idx, last, _, _ = as_batch(questions)
    both = torch.tensor([tokenizer.encode(" former")[0], tokenizer.encode(" latter")[0]])
    place = torch.tensor([q.options.index(q.answer) for q in questions])
    return idx, last, both[place], both.expand(n, 2)


places = copy.deepcopy(model).requires_grad_(True)
fine_tune(places, with_places(100, 1, corpus.FAMILIAR), lr=1e-3, seed=1)
by_place = accuracy(places, with_places(120, 0, corpus.NEW))
print(f"which thing: {after:.0%}    former or latter: {by_place:.0%}")
assert by_place < 0.75, f"it has learned the places: {by_place:.0%}"

# %% [markdown]
# A coin again. For *It =* the model only had to say who howls, which it knew. For *former* it has to compare that with
# the first thing and turn a place into a word, and the stories never asked for it in this direction. **In twenty
# steps, transfer reached only what the stories had prepared.**

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: options of different lengths
#
# Why scores of longer options are lower. You can skip it.

# %% [markdown]
# Every further token is one more factor below 1. Compare an option with the same option and some words more. Which one
# does `option_score` prefer?

# %%
prompt = [END, *tokenizer.encode("The owl")]
for text in (" hooted.", " hooted all night.", " hooted all night without a pause."):
    option = tokenizer.encode(text)
    score = option_score(model, prompt, option)
    print(f"{len(option)} tokens: {score:7.2f}   per token {score / len(option):6.2f}  {text}")

# %% [markdown]
# The shorter one, whatever it says. Some evaluations divide by the number of tokens; that prefers long options whose
# last tokens are predictable. Neither is right in general, so keep options equally long where you can, or compare the
# *rest of the sentence*, which is the same for all (Trinh and Le 2018, section 3, did that for Winograd schemas).

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: two results from the field
#
# What papers found of few examples and of few numbers. You can skip it.

# %% [markdown]
# **Khandelwal et al. 2019** trained one decoder, pre-trained as a language model, to
# summarise news: with 1 % of the examples (about 3,000) it reached 13.1 ROUGE-2, where an encoder and decoder, loaded
# with pre-trained weights but with new attention between them, reached 2.3. Their reason: in one decoder *every*
# weight is pre-trained. **Hu et al. 2021** fine-tuned GPT-2 Medium with 0.35 million numbers instead of 355
# million, and it was no worse on a task of writing sentences from data (table 3).

# %% [markdown]
# ## What you have
#
# `option_score` lets a model choose, `freeze` keeps a part of it, and `LowRank` trains a correction of a few numbers.
# Pre-trained weights needed thirty to a hundred examples; from scratch a hundred taught nothing, since what was needed
# was not in them.
#
# For GPT-2, the numbers of low-rank updates of all four matrices in each block, with rank 4:

# %%
for name, layers, C in (("gpt2", 12, 768), ("gpt2-xl", 48, 1600)):
    updates = layers * 4 * ((C + 3 * C) + (C + C) + (C + 4 * C) + (4 * C + C))
    matrices_of_it = layers * 12 * C * C
    print(f"{name:8} {updates:10,} numbers, {updates / matrices_of_it:.2%} of the blocks' matrices")

# %% [markdown]
# ### Questions
#
# <details><summary>1. Zero-shot, one wording was nearly perfect and another one a coin. What differs: the knowledge or
# the question?</summary>
# The question. The same weights answered both.
# </details>
# <details><summary>2. Someone writes <code>block.requires_grad = False</code> and sees no error. What
# happens in training?</summary>
# The block is trained. A module's attribute of that name is read by nobody; it takes <code>requires_grad_(False)</code>.
# </details>
# <details><summary>3. Why must not both A and B begin at 0, and why may one of them?</summary>
# The gradient of each is made with the other. With both at 0 nothing ever moves; with one, the output is
# unchanged and it still learns.
# </details>
# <details><summary>4. "Fine-tuning taught the model who howls." What is wrong with that?</summary>
# No example was about a wolf. The examples taught the form of the question; the rest came from the stories.
# </details>
#
# From earlier lessons:
#
# <details><summary>5. Why does freezing <code>wte</code> also freeze the output matrix?</summary>
# They are one matrix: GPT-2's are tied (lesson 10).
# </details>

# %% [markdown]
# ### Challenge: learn without forgetting
#
# Fine-tune all weights, but let half of every batch be stories, with the loss of
# [lesson 13](13_training.ipynb). What happens to the right answers, and to the loss on held-out stories? How
# few stories are enough? Then try rank 1: how small can the update be until the curve of section 6 suffers?
#
# <details><summary>What to look for</summary>
# The two losses pull at the same weights, and with the stories in the batch the loss on held-out stories should
# stay near its old value. If it does not, is the learning rate too large for weights that were already good?
# </details>

# %% [markdown]
# **Sources.** Radford et al. 2019, *Language Models are Unsupervised Multitask Learners*, sections 3.2 to 3.8, tables 3
# and 4; Radford et al. 2018, *Improving Language Understanding by Generative Pre-Training*, section 3.2 (supervised
# fine-tuning); Khandelwal et al. 2019, *Sample Efficient Text Summarization Using a Single Pre-Trained Transformer*,
# abstract; Hu et al. 2021, *LoRA: Low-Rank Adaptation of Large Language Models*, section 4.1 and table 3;
# Trinh and Le 2018, *A Simple Method for Commonsense Reasoning*, section 3; Levesque, Davis and Morgenstern 2012, *The
# Winograd Schema Challenge*.
#
# **Next:** the same blocks read something that is no language at all. [Lesson 19](19_music.ipynb) trains them on music.
#
# **What you have built so far:**

# %%
my_progress()
