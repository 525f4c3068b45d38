# %% [markdown]
# # 10 · The output projection, and the whole of GPT-2
#
# A stack of blocks has turned each token's row into another row of C numbers. But the question was: *which
# token comes next?* **How does a row become a score for each of 50,257 tokens? And with that in place, what
# is GPT-2 in all, and how many numbers does it hold?**
#
# - **In:** x `(B, T, C)`, what the last block gives for T tokens of B texts.
# - **Out:** logits `(B, T, V)`, a score for each of the V tokens of the vocabulary, after each token.
# - **Time:** about 110 minutes. Three exercises: `output_logits`, `GPT2` and `count_parameters`.

# %% [markdown]
# First the tools. `embed` is from lesson 04 and `Block` from lesson 09, yours if they passed.

# %%
import copy
import math
import re

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from gpt2course import check
from gpt2course import model as package
from gpt2course.config import RELEASED, GPT2Config
from gpt2course.corpus import heldout_documents, training_documents
from gpt2course.lessons.output_projection import (
    matrices, next_words, parameter_bars, pipeline, row_against_table, scores_to_play,
    sizes_to_play,
)
from gpt2course.mine import Block, embed
from gpt2course.weights import load_tokenizer

torch.set_num_threads(1);  # such small matrices gain nothing from more

# %% [markdown]
# The lit box comes after the blocks. By the end of this lesson you have everything from *tokens* to
# *scores* in one module.

# %%
pipeline("10_output_projection")

# %% [markdown]
# ## 1. From a row to scores
#
# A vocabulary of six tokens, with a row of three numbers each. Read them as *a thing*, *a duty*, *an
# action*; in a trained model nobody chooses such meanings. This is the table `wte` of lesson 03: it turned
# ids into rows.

# %%
vocabulary = ["robot", "must", "obey", "orders", "the", "."]
columns = ["thing", "duty", "action"]
wte = torch.tensor([[2.0, 0, 0], [0, 2, 0], [0, 0, 2], [1, 0, 1], [1, -1, -1], [-1, 0, -1]])
matrices([("wte (V, C)", wte)], vocabulary, columns)

# %% [markdown]
# And here is what the blocks might have made of *robot must obey orders*, a row for each token. Such a row
# no longer says what the token is; it says **what should come next**. After *must*: an action, and
# rather not another duty. Which row of `wte` points most nearly the same way as the row of *must*?

# %%
words = ["robot", "must", "obey", "orders"]
x = torch.tensor([[-1.0, 2, 1], [-0.5, -1, 2], [2, -1, 0.5], [-2, -1, -1]])  # (T, C) = (4, 3)
matrices([("x (T, C): what should come next", x)], words, columns)

# %% [markdown]
# How well two rows match is what a dot product says (lesson 05): multiply number by number and add up. Do
# it in your head for the row of *must*, (-0.5, -1, 2), and the row of *obey* in the table, (0, 0, 2).

# %%
after_must = x[1].tolist()
score_of_obey = sum(a * b for a, b in zip(after_must, wte[2].tolist()))
score_of_obey

# %% [markdown]
# The same for every row of the table, in a loop: a score for each token of the vocabulary. These scores
# are called **logits**. Which will be the lowest, and why?

# %%
scores_after_must = []
for row in wte.tolist():
    scores_after_must.append(sum(a * b for a, b in zip(after_must, row)))

assert scores_after_must[2] == score_of_obey
dict(zip(vocabulary, scores_after_must))

# %% [markdown]
# Now for each of the four tokens: a table times one row, `wte @ row`, is the loop above. Stacked, they
# make a matrix. What stands in its rows, and what in its columns?

# %%
logits_by_hand = torch.stack([wte @ row for row in x])
assert logits_by_hand[1].tolist() == scores_after_must
matrices([("logits (T, V): row = after this token, column = the next one", logits_by_hand)],
         words, vocabulary)  # fmt: skip

# %% [markdown]
# **Predict.** This is one matrix product of x, (4, 3), and the table, (6, 3), one of which has to be
# turned. Suppose that the text had 2 tokens and the vocabulary 50,257. Which shape do the logits have
# then?
#
# <details><summary>A. (2, 3)</summary>
# That is the shape of x. The 3 is what each dot product sums over, so it is gone afterwards.
# </details>
# <details><summary>B. (2, 50257)</summary>
# Yes. For each token of the text a score for every token of the vocabulary. Most of the numbers that
# GPT-2 computes last are never looked at again.
# </details>
# <details><summary>C. (50257, 2)</summary>
# The same numbers, turned: a row for each token of the vocabulary. But what belongs together is what
# competes to be next, and that should stand in one row.
# </details>
# <details><summary>D. (2, 2): a score for each pair of tokens in the text</summary>
# That is attention, where the tokens of the text are held against each other. Here they are held
# against the table of all tokens.
# </details>

# %% [markdown]
# ## Exercise: `output_logits`
#
# The same for a batch: x is `(B, T, C)`, the result `(B, T, V)`. The scores are wanted as they are: no
# softmax, no choice of the best. The result has the dtype of x. The trap: there are two ways to make the
# shapes fit, and one of them mixes up the tokens.
#
# <details><summary>Hint 1</summary>
# A matrix product with <code>@</code> carries leading axes along. What has to be done to
# <code>wte</code>?
# </details>
# <details><summary>Hint 2</summary>
# <code>wte</code> has two axes and no batch, so it can be turned with <code>.T</code>.
# </details>

# %%
def output_logits(x: Float[Tensor, "B T C"], wte: Float[Tensor, "V C"]) -> Float[Tensor, "B T V"]:
    """A score for each token of the vocabulary: the dot product with its row of wte."""
    ### BEGIN SOLUTION
    return x @ wte.T
    ### END SOLUTION

# %%
output_logits = check(output_logits)

# %% [markdown]
# ## 2. From scores to probabilities
#
# A score can be any number. To say how likely each token is, the softmax of lesson 05 makes shares of
# them: e to the power of each score, divided by the sum. Here are the shares after *must*. How sure is
# this row of *obey*?

# %%
logits = output_logits(x[None], wte)  # (1, 4, 6)
assert torch.allclose(logits[0], logits_by_hand)
probs = logits.softmax(dim=-1)
row_against_table("must", x[1], vocabulary, wte, columns)

# %% [markdown]
# **Predict.** The row of *must* is made twice as long, every number times two. What happens to the
# probabilities?
#
# <details><summary>A. They double</summary>
# The scores double. Probabilities sum to 1 and cannot all grow.
# </details>
# <details><summary>B. They stay: only the direction counts</summary>
# So it would be if rows were compared by their cosine. A dot product asks for the length too.
# </details>
# <details><summary>C. The largest grows, the others shrink</summary>
# Yes. All differences between the scores double, and the softmax turns differences into ratios. A long row
# is a sure one.
# </details>

# %%
twice = output_logits(2 * x[None], wte).softmax(dim=-1)
panels = [("probabilities after must", probs[0, 1:2]), ("x twice as long", twice[0, 1:2])]
matrices(panels, ["must"], vocabulary, scale=(0.0, 1.0))

# %% [markdown]
# Play with it: pick a token, and stretch or shrink its row. At which length does the model know nothing?
# Which tokens could never be the likeliest after *orders*, at any length above 0?

# %%
scores_to_play(words, x, vocabulary, wte, columns)

# %% [markdown]
# <details><summary>Answers, after you have tried</summary>
# At length 0 all scores are 0, and each of the six tokens gets one sixth. Stretching never changes the
# order, so after <i>orders</i> every token but the full stop stays behind it: what the length changes is
# how far.
# </details>
#
# ## 3. One table, two uses
#
# Nothing says that the table that reads x has to be the one that made the first rows. A model could have
# two. GPT-2 has one and uses it at both ends: `wte` is **tied**. What does that change? Look at who learns.
# Two tokens go in, *robot* and *must*; the loss is about what follows each, *must* and *obey*. The gradient
# of a row of the table says how it should move; a row whose gradient is 0 learns nothing. Left: the table
# learns on the way in alone, the way out is cut off (`detach`). Right: it is tied. Which rows are 0?

# %%
def rows_that_learn(tied):
    """The length of the gradient of each row of wte."""
    table = wte.clone().requires_grad_()
    rows = table[torch.tensor([0, 1])]  # no blocks between, to keep the example small
    scores = rows @ (table if tied else table.detach()).T
    F.cross_entropy(scores, torch.tensor([1, 2])).backward()
    return table.grad.norm(dim=-1)


panels = [("only on the way in", rows_that_learn(False)[None]), ("tied", rows_that_learn(True)[None])]
matrices(panels, ["gradient"], vocabulary)

# %% [markdown]
# On the way in, only tokens that occur are moved. On the way out every row takes part in the softmax: the
# right one is pulled nearer, all others are pushed away. So each step teaches all rows something. And a
# second table would cost this much in the smallest GPT-2:

# %%
smallest = GPT2Config()
print(f"{smallest.vocab_size:,} × {smallest.n_embd} = {smallest.vocab_size * smallest.n_embd:,} numbers")

# %% [markdown]
# ## 4. The stack
#
# All parts of GPT-2 are there now. In order: the embedding makes rows of the ids (lesson 04), the blocks
# read and add (lesson 09), one last LayerNorm, `ln_f`, and the scores. Follow the shapes with a small
# model: 2 texts of 5 tokens, 8 numbers, 11 tokens in the vocabulary, 3 blocks. Predict each line.

# %%
torch.manual_seed(1)
small = GPT2Config(n_layer=3, n_head=2, n_embd=8, n_ctx=6, vocab_size=11)
tables = {"wte": torch.randn(11, 8), "wpe": torch.randn(6, 8)}
blocks = [Block(8, 2) for _ in range(3)]
ln_f = nn.LayerNorm(8)
idx = torch.randint(11, (2, 5))

# %% [markdown]
# From ids to scores. What changes its shape, and what does not?

# %%
@torch.no_grad()
def forward_by_hand(idx):
    stream = embed(idx, tables["wte"], tables["wpe"])
    print("ids", tuple(idx.shape), "→ rows", tuple(stream.shape))
    for number, block in enumerate(blocks):
        stream = block(stream)
        print(f"after block {number}", tuple(stream.shape))
    scores = output_logits(ln_f(stream), tables["wte"])
    print("scores", tuple(scores.shape))
    return scores


assert forward_by_hand(idx).shape == (2, 5, 11)

# %% [markdown]
# Why one more norm? Inside a block everything that is *read* is normed, but the stream itself never is
# (lesson 09). What leaves the last block is as long as all additions have made it, and as you saw, a
# longer row is a surer one. `ln_f` gives it the size that the table has been trained for. Section 6 leaves
# it out.
#
# ### The first loss
#
# A model that has learned nothing should not be sure of anything. **Predict.** If all V tokens get the same
# probability, what is the loss, minus the logarithm of the probability of the right one?
#
# <details><summary>A. 0</summary>
# A loss of 0 means that the right token had probability 1. That is knowing everything.
# </details>
# <details><summary>B. ln V</summary>
# Yes: the probability is 1/V, and -ln(1/V) = ln V. For GPT-2's vocabulary that is about 10.8 nats.
# </details>
# <details><summary>C. V</summary>
# The logarithm keeps it much smaller. Each nat stands for a factor of e.
# </details>

# %% [markdown]
# So a fresh model can be checked before any training: its loss has to be near ln V. That depends on how
# its numbers are drawn. `nn.Embedding` draws normal numbers with deviation 1; GPT-2 takes 0.02. Here are
# rows of length √768, as `ln_f` gives them (768 squares whose mean is 1 sum to 768), against both tables
# of 5,000 tokens. Which one knows that it knows nothing?

# %%
def first_loss(deviation, V=5000):
    """The loss of random rows against a random table, the right token being any of the V."""
    generator = torch.Generator().manual_seed(2)
    table = deviation * torch.randn(V, 768, generator=generator)
    rows = F.layer_norm(torch.randn(1, 200, 768, generator=generator), (768,))
    targets = torch.randint(V, (200,), generator=generator)
    return F.cross_entropy(output_logits(rows, table)[0], targets).item()


print(f"ln V = {math.log(5000):.2f}; deviation 0.02: {first_loss(0.02):.2f}, 1: {first_loss(1.0):.2f}")

# %% [markdown]
# With deviation 1 the scores lie so far apart that the model is quite sure of some token, and it is almost
# always the wrong one.
#
# ## Exercise: `GPT2`
#
# The whole model. Its parts have the names of the released checkpoint: `wte` and `wpe` (both
# `nn.Embedding`; their tables are `.weight`), `h` (the blocks) and `ln_f`; and it keeps its `config`.
# `forward` takes ids and gives logits. More than `n_ctx` tokens is a `ValueError`, for `wpe` has no more
# rows; exactly `n_ctx` still fit. `embed` refuses the longer ones already, with a ValueError; a test of
# your own counts the tokens, `idx.shape[1]`, and not the texts, `len(idx)`. Ids outside the vocabulary need
# no test: the table refuses them.
#
# In `__init__`, draw the tables and matrices anew with deviation 0.02 (`nn.init.normal_(parameter,
# std=0.02)`), so that the first loss is near ln V. Draw only what is a matrix, and leave the norms as they
# are: weight 1, bias 0. You may also set the other biases to 0 and divide the `c_proj` by √(2 · n_layer), as
# lesson 09 did.
#
# The trap: a plain Python list of blocks looks fine, and the model does not see what is in it.
# `nn.ModuleList` is a list that registers its modules.
#
# <details><summary>Hint 1</summary>
# <code>forward</code> is <code>forward_by_hand</code> without the prints, with
# <code>self.wte.weight</code> for the table.
# </details>
# <details><summary>Hint 2</summary>
# Blocks: one <code>Block(config.n_embd, config.n_head)</code> for each of
# <code>range(config.n_layer)</code>, each a new one. For <code>ln_f</code>
# <code>nn.LayerNorm(config.n_embd)</code> will do: lesson 09 has shown that it is your layer_norm with a
# weight and a bias.
# </details>
# <details><summary>Hint 3</summary>
# <code>self.parameters()</code> gives all parameters; tables and matrices are those with
# <code>parameter.ndim == 2</code>. The norms are not among them and keep weight 1 and bias 0.
# <code>embed</code> refuses too many tokens with a ValueError. A test of your own stands first in
# <code>forward</code>: <code>idx.shape[1]</code>, the tokens, against <code>self.config.n_ctx</code>.
# (<code>len(idx)</code> would be the number of texts.)
# </details>

# %%
class GPT2(nn.Module):
    """Token ids in, a score for every possible next token out."""
    def __init__(self, config: GPT2Config):
        ### BEGIN SOLUTION
        super().__init__()
        self.config = config
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.wpe = nn.Embedding(config.n_ctx, config.n_embd)
        self.h = nn.ModuleList(Block(config.n_embd, config.n_head) for _ in range(config.n_layer))
        self.ln_f = nn.LayerNorm(config.n_embd)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                additions = 2 * config.n_layer if name.endswith("c_proj.weight") else 1
                nn.init.normal_(parameter, std=0.02 / math.sqrt(additions))
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)
        ### END SOLUTION

    def forward(self, idx: Int[Tensor, "B T"]) -> Float[Tensor, "B T V"]:
        ### BEGIN SOLUTION
        x = embed(idx, self.wte.weight, self.wpe.weight)  # refuses more than n_ctx tokens
        for block in self.h:
            x = block(x)
        return output_logits(self.ln_f(x), self.wte.weight)
        ### END SOLUTION

# %%
GPT2 = check(GPT2)

# %% [markdown]
# From ids to logits, in one module of your own parts. As many tokens as fit, and one more:

# %%
torch.manual_seed(3)
mine = GPT2(small)
print("six tokens:  ", tuple(mine(torch.zeros(1, 6, dtype=torch.int64)).shape))
try:
    mine(torch.zeros(1, 7, dtype=torch.int64))
except ValueError as error:
    print("seven tokens: ValueError:", error)

# %% [markdown]
# Which parameters does it hold outside of its blocks? Look for an output matrix.

# %%
{name: tuple(p.shape) for name, p in mine.named_parameters() if not name.startswith("h.")}

# %% [markdown]
# There is none. The scores come from `wte.weight`, stored once and used twice.
#
# A GPT-2 with the full vocabulary, and narrow, so that it is quick to make. Its first loss should lie near
# ln 50,257.

# %%
narrow = GPT2(GPT2Config(n_layer=2, n_head=2, n_embd=32, n_ctx=32))
some, targets = torch.randint(50257, (2, 4, 32))
with torch.no_grad():
    loss = F.cross_entropy(narrow(some).flatten(0, 1), targets.flatten()).item()
print(f"first loss {loss:.2f}, ln 50,257 = {math.log(50257):.2f}")
assert abs(loss - math.log(50257)) < 0.5

# %% [markdown]
# ## 5. Is it GPT-2?
#
# There is a strict test: the same weights in, the same logits out. The package has a GPT-2 of its own, with
# the same names. We give yours its weights, part by part. (The weights are drawn larger than usual, so that
# any difference would show.) Two ways of adding up the same numbers round differently in the seventh digit;
# a difference near 1e-06 is that.

# %%
torch.manual_seed(4)
reference = package.GPT2(small)
with torch.no_grad():
    for parameter in reference.parameters():
        parameter.add_(0.3 * torch.randn(parameter.shape))

# %% [markdown]
# The blocks have the same parts under the same names, so torch's own `load_state_dict` copies them. (With
# `strict=False` it passes over what only one of the two keeps, such as a stored mask.) How far apart will
# the logits be?

# %%
def take_weights(model, source):
    """Copy source's weights into model; both have the parts wte, wpe, h and ln_f."""
    for name in ("wte", "wpe", "ln_f"):
        getattr(model, name).load_state_dict(getattr(source, name).state_dict())
    for block, other in zip(model.h.children(), source.h.children(), strict=True):
        block.load_state_dict(other.state_dict(), strict=False)


take_weights(mine, reference)
assert torch.allclose(mine(idx), reference(idx), atol=1e-4)
print(f"largest difference: {(mine(idx) - reference(idx)).abs().max():.0e}")

# %% [markdown]
# ### And if it were not?
#
# A model that is wired wrongly gives wrong logits, and no error. One has to find the **first** part
# whose output differs: all later ones differ because of it. torch can tell us what each part gives: a
# *hook* is a function that a module calls with its output. We listen to every part of a model, in the
# order in which they run.

# %%
@torch.no_grad()
def heard(model, idx):
    """What every part of the model gives, by its name, in the order of the calls."""
    outputs = {}

    def listen(name):
        return lambda part, inputs, output: outputs.update({name: output})

    hooks = [part.register_forward_hook(listen(name)) for name, part in model.named_modules()]
    model(idx)
    for hook in hooks:
        hook.remove()
    return outputs

# %% [markdown]
# For every part that two models have in common: how far is what the one gives from what the other gives?

# %%
def differences(model, right, idx):
    """The largest difference in the output of each part, in the order of the calls."""
    own, wanted = heard(model, idx), heard(right, idx)
    return {name: (own[name] - wanted[name]).abs().max().item() for name in wanted if name in own}


by_part = differences(mine, reference, idx)
assert max(by_part.values()) < 1e-4
print(f"{len(by_part)} parts compared, largest difference anywhere: {max(by_part.values()):.0e}")

# %% [markdown]
# Nothing differs. Now a copy with a mistake: its second block, `h.1`, forgets to norm what the MLP reads.
# What will be the first to differ: the block, its MLP, or something inside the MLP?

# %%
broken = copy.deepcopy(mine)
second = list(broken.h.children())[1]


def without_ln_2(x, past=None):  # the package's model hands on a second argument, for lesson 12
    x = x + second.attn(second.ln_1(x))
    return x + second.mlp(x)


second.forward = without_ln_2
print(f"the logits differ by up to {(broken(idx) - reference(idx)).abs().max():.2f}")

# %% [markdown]
# The logits are wrong, and say nothing about where. Now part by part, from the top:

# %%
for name, size in differences(broken, reference, idx).items():
    if name.startswith(("h.0", "h.1")) or not name:
        print(f"{name or 'the logits':18} {size:.5f}" + "   ← differs" * (size > 1e-4))

# %% [markdown]
# Everything in block 0 agrees, and in block 1 everything up to the attention. The first part that differs
# is `h.1.mlp.c_fc`, the MLP's first matrix: its numbers are right, so it must have *read* the wrong thing.
# (And `h.1.ln_2` is missing from the list: nobody called it.) What stands below is wrong because of it. So
# one looks for a mistake in a deep model: not at the logits, but at the first layer that differs. Lesson 21
# does this with your whole model.
#
# ## 6. Ten next words
#
# To see it work, the model has to have learned something. A small trained GPT-2 comes with the course: four
# blocks, 128 wide, 2,048 tokens. It has read thousands of little stories, and lesson 13 is about how. Since your
# `GPT2` has parts of the same names, it can take over what that one has learned.

# %%
course = package.GPT2.from_pretrained("course")
tokenizer = load_tokenizer("course")
trained = GPT2(course.config)
fresh = copy.deepcopy(trained)  # as it is before it takes over anything
take_weights(trained, course)
course.config

# %% [markdown]
# Here are a hundred stories that it has not read. Before each stands `<|endoftext|>`, the sign between two texts. The
# model reads 64 tokens of each and is asked for the next one at every place. What will the loss of the fresh model
# be?

# %%
starts = [[tokenizer.end_of_text, *tokenizer.encode(story)][:65] for story in heldout_documents()]
ids = torch.tensor([start for start in starts if len(start) == 65][:100])  # (100, 65)


@torch.no_grad()
def loss_on_stories(model):
    return F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten()).item()


at_last = loss_on_stories(trained)
print(f"fresh: {loss_on_stories(fresh):.2f} (ln 2,048 = {math.log(2048):.2f}); "
      f"trained: {at_last:.2f} nats per token")  # fmt: skip

# %% [markdown]
# Now the logits of the last token become probabilities, and the ten largest are the ten tokens that may come next
# (`␣` is the blank before a word).

# %%
@torch.no_grad()
def ten_next(text):
    """The ten likeliest next tokens, as text, and their probabilities."""
    idx_of_text = torch.tensor([[tokenizer.end_of_text, *tokenizer.encode(text)]])
    top = trained(idx_of_text)[0, -1].softmax(-1).topk(10)
    return [tokenizer.decode([i]) for i in top.indices.tolist()], top.values.tolist()


def shown(thing):
    """What the model expects to come after a thing and "because it", and what comes there."""
    text = f"Ada looked at the {thing} because it"
    pieces, probs = ten_next(text)
    came = re.findall(rf"the {thing} [^.]*because it( \w+)", stories)
    shares = [came.count(piece) / len(came) for piece in pieces]
    return next_words(text, [piece.replace(" ", "␣") for piece in pieces], probs, shares)

# %% [markdown]
# In the stories everything has its habits, and no two things have one in common. The orange marks show how often
# each word does come there, counted in all stories that the model has read. Which words will have a bar worth
# mentioning?

# %%
stories = "\n".join(training_documents())
shown("cow")

# %% [markdown]
# The habits of a cow, about as often as they do come, and hardly anything else. And if the same *because it*
# follows a boat? The last two words are the same; what differs stands one word further back.

# %%
shown("boat")

# %% [markdown]
# ### Break it
#
# What does `ln_f` do for this model, and what would another table at the end do? To try other ends, here is
# the trained stream as it leaves the last block, and the loss that some rows have against some table. With
# the model's own end it must be the loss from above.

# %%
with torch.no_grad():
    end_of_stream = embed(ids[:, :-1], trained.wte.weight, trained.wpe.weight)
    for block in trained.h.children():
        end_of_stream = block(end_of_stream)  # (100, 64, 128)


@torch.no_grad()
def loss_of(rows, table):
    return F.cross_entropy(output_logits(rows, table).flatten(0, 1), ids[:, 1:].flatten()).item()


own_table = trained.wte.weight
assert abs(loss_of(trained.ln_f(end_of_stream), own_table) - at_last) < 1e-4

# %% [markdown]
# In a deeper model more is added to the stream, and it may become much longer (lesson 09). So let it be
# five times, and twenty-five times as long. Which column will change?

# %%
print("the stream     with ln_f   without")
for times in (1, 5, 25):
    stream = times * end_of_stream
    print(f"times {times:2} {loss_of(trained.ln_f(stream), own_table):15.2f} {loss_of(stream, own_table):9.2f}")

# %% [markdown]
# With the norm the loss does not depend on how long the stream has become. Without it a long row is a sure row,
# and where it is wrong, being sure is expensive: at twenty-five times the length the model does worse than one that
# knows nothing.
#
# And another table for the output, with numbers as large as those of the trained one, but drawn at random?

# %%
torch.manual_seed(5)
other_table = own_table.detach().std() * torch.randn(own_table.shape)
other_loss = loss_of(trained.ln_f(end_of_stream), other_table)
print(f"own table:   {loss_of(trained.ln_f(end_of_stream), own_table):.2f}")
print(f"another one: {other_loss:.2f}; knowing nothing: {math.log(2048):.2f}")
assert other_loss > math.log(2048)

# %% [markdown]
# Worse than knowing nothing: the model is sure, and of the wrong thing. What the blocks write and the table
# that reads it have learned together; a row of x means something only to the table that it was made for.
#
# ## 7. Counting
#
# How many numbers does all this hold, for the sizes of GPT-2? First one block of the smallest, 768 wide.
# (`meta` makes the shapes without the memory.) Go through the list with a pencil: which lines are
# matrices, and how many times 768 · 768 is each?

# %%
C = smallest.n_embd
with torch.device("meta"):
    one_block = Block(C, smallest.n_head)
for name, parameter in one_block.named_parameters():
    print(f"{name:20} {str(tuple(parameter.shape)):12} {parameter.numel():10,}")

# %% [markdown]
# `c_attn` is three times C · C, attention's `c_proj` once, the MLP's two matrices four times each. And
# every output of a matrix has a bias, every norm a weight and a bias:

# %%
in_matrices = (3 + 1 + 4 + 4) * C * C  # c_attn, c_proj, c_fc, c_proj
in_biases = (3 + 1 + 4 + 1) * C  # of the same four
in_norms = (2 + 2) * C  # weight and bias of ln_1 and ln_2
in_block = in_matrices + in_biases + in_norms
assert in_block == sum(p.numel() for p in one_block.parameters()) == 12 * C**2 + 13 * C
f"{in_matrices:,} + {in_biases:,} + {in_norms:,} = {in_block:,}, of which matrices: {in_matrices / in_block:.1%}"

# %% [markdown]
# **Predict.** A GPT-2 gets 24 heads in place of 12, everything else stays. How does the number of its
# parameters change?
#
# <details><summary>A. Attention's part doubles</summary>
# Each head would have to stay 64 wide for that. But the heads share the C columns among themselves: 24
# heads of 32 fill the same matrix as 12 of 64.
# </details>
# <details><summary>B. It does not change</summary>
# Yes. How the columns are cut into heads is no parameter; it only says who blends what.
# </details>
# <details><summary>C. It falls, since each head is narrower</summary>
# Each is half as wide, and there are twice as many.
# </details>

# %% [markdown]
# ## Exercise: `count_parameters`
#
# From a config to the number of parameters, an `int`: both tables, all blocks, `ln_f`. The trap is at the
# end of the model: count what is *stored*, and think of section 3.
#
# <details><summary>Hint 1</summary>
# What stands once, and what <code>n_layer</code> times? The block has been counted above.
# </details>
# <details><summary>Hint 2</summary>
# <code>wte</code> has vocab_size rows of n_embd numbers, <code>wpe</code> n_ctx rows. The output has no
# matrix of its own. <code>ln_f</code> has a weight and a bias.
# </details>
# <details><summary>Hint 3</summary>
# tables + n_layer · block + norm, where a block is 12 · C · C + 13 · C. You may also build a model and
# add up its parameters, but for the largest that takes some gigabytes, unless it is made on
# <code>meta</code>.
# </details>

# %%
def count_parameters(config: GPT2Config) -> int:
    """How many numbers the model learns; the table that is used at both ends counts once."""
    ### BEGIN SOLUTION
    n_embd = config.n_embd
    in_tables = (config.vocab_size + config.n_ctx) * n_embd
    in_each_block = 12 * n_embd**2 + 13 * n_embd
    return in_tables + config.n_layer * in_each_block + 2 * n_embd
    ### END SOLUTION

# %%
count_parameters = check(count_parameters)

# %% [markdown]
# It has to agree with what your own model really holds:

# %%
for model in (mine, trained, narrow):
    assert count_parameters(model.config) == sum(p.numel() for p in model.parameters())
f"{count_parameters(smallest):,} parameters in the smallest GPT-2"

# %% [markdown]
# ### 117M or 124M?
#
# The paper (table 2) gives its four models 117, 345, 762 and 1542 million parameters, and you will find
# these numbers in many texts. Here they are beside what the matrices hold:

# %%
paper = {"gpt2": 117, "gpt2-medium": 345, "gpt2-large": 762, "gpt2-xl": 1542}
for name, config in RELEASED.items():
    count = count_parameters(config)
    print(f"{name:12} {config.n_layer} blocks, {config.n_embd:4} wide: paper {paper[name]:4} million, "
          f"matrices {count / 1e6:6.1f} million")  # fmt: skip
assert count_parameters(smallest) == 124_439_808

# %% [markdown]
# The README of the released code notes that the paper's counts were wrong; the matrices leave no choice,
# and the released files have exactly these shapes (lesson 14). Hence the names in use today: 124M,
# 355M, 774M and 1558M.
#
# Where do they sit? One bar for each size. What share does `wte` have in the smallest, and in the largest?

# %%
parameter_bars(RELEASED)

# %% [markdown]
# The tables grow with the width, the blocks with its square and with the depth. So the token table, a
# third of the smallest model, is a twentieth of the largest. Within a block the MLP always has about
# twice as much as attention; the norms are too few to be seen.
#
# Choose a size, and find all of it in the table below the picture. Which lines could you leave out, and
# still be right to within one in a hundred?

# %%
sizes_to_play(RELEASED)

# %% [markdown]
# All but the token table and the four matrices of a block. Together with the 12 · C · C from above this is a
# rule of thumb: vocab_size · C + n_layer · 12 · C². What it leaves out, in the smallest model:

# %%
left_out = count_parameters(smallest) - smallest.vocab_size * C - smallest.n_layer * in_matrices
assert left_out < count_parameters(smallest) / 100
f"{left_out:,} of {count_parameters(smallest):,}, or {left_out / count_parameters(smallest):.2%}"

# %% [markdown]
# ## What you have
#
# A GPT-2, from ids to logits, made of your own parts. The last step holds each row against every row of
# the token table, the same table that made the first rows; the softmax turns the scores into
# probabilities. Given the same weights, your model gives the reference's logits, and where one does not,
# the first layer that differs says where to look. And you can say how many numbers such a model holds, to
# the last one.
#
# The numbers of this stage in the smallest GPT-2:

# %%
scores_for_one = smallest.vocab_size * C
print(f"scores after each token: {smallest.vocab_size:,}, for the longest text "
      f"{smallest.n_ctx * smallest.vocab_size:,}")  # fmt: skip
print(f"multiplications for the scores after one token: {scores_for_one:,}, "
      f"as many as in the matrices of {scores_for_one / in_matrices:.1f} blocks")  # fmt: skip
print("parameters of this stage: 0 in the output matrix (it is wte), "
      f"{2 * C:,} in ln_f, of {count_parameters(smallest):,}")  # fmt: skip

# %% [markdown]
# **Sources.** Radford et al. 2018, *Improving Language Understanding by Generative Pre-Training*, section
# 3.1 (the tied table); Press and Wolf 2017, *Using the Output Embedding to Improve Language Models*,
# section 3 (why to tie); Radford et al. 2019, *Language Models are Unsupervised Multitask Learners*,
# section 2.3 (the last norm, the scaling) and table 2 (the sizes); the code released with it,
# `src/model.py`, function `model`, and its `README.md` (the note on the counts).
#
# **Next:** the model says how likely each token is. It has not written a word yet. Lesson 11 picks one of
# the tokens, appends it, and asks again.
