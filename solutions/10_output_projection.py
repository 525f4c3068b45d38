# %% [markdown]
# # 10 · The output projection, and the whole of GPT-2
#
# A stack of blocks turns each token's vector into another vector of C numbers. But the question was: *which token
# comes next?* **How does a vector become a score for each of 50,257 tokens? And what is GPT-2 as a whole, and how
# many numbers does it hold?**
#
# - **In:** x `(B, T, C)`, what the last block returns for T tokens of B texts.
# - **Out:** logits `(B, T, V)`: after each token, a score for each of the V tokens of the vocabulary.
# - **Time:** 65 minutes for the core, 95 for everything.
# - **Exercises:** `output_logits` ●○○○○, `GPT2` ●●●○○ and `count_parameters` ●●○○○.
#
# Keep at hand: the [cheat sheet](../docs/cheat_sheet.md), the [glossary](../docs/glossary.md), the
# [notation](../docs/notation.md), and [what well-known explanations get wrong](../docs/common_errors.md).

# %% [markdown]
# First the tools. `embed` is from [lesson 04](04_positions.ipynb) and `Block` from
# [lesson 09](09_block.ipynb). The line below the cell says whether they are yours.

# %%
import copy
import math
import re

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from gpt2course import check, kept_names, my_progress
from gpt2course import model as package
from gpt2course.config import RELEASED, GPT2Config
from gpt2course.corpus import heldout_documents, training_documents
from gpt2course.lessons.output_projection import (
    matrices, next_words, one_table, parameter_bars, row_against_table, scores_to_play,
    sizes_to_play, tower, tower_to_play,
)
from gpt2course.mine import Block, embed
from gpt2course.weights import load_tokenizer

torch.set_num_threads(1);  # such small matrices gain nothing from more

# %% [markdown]
# The lit part comes after the blocks. At the end everything from *tokens* to *scores* is one module of yours, and it
# writes.

# %%
tower("10_output_projection", kept_names())

# %% [markdown]
# ## 1. From a vector to scores
#
# Take a vocabulary of six tokens and `wte`, the embedding matrix that turned ids into vectors in
# [lesson 03](03_embeddings.ipynb), with C = 3. Read the columns as *a thing*, *a duty*, *an action*; in a trained
# model nobody chooses such meanings.

# %%
vocabulary = ["robot", "must", "obey", "orders", "the", "."]
columns = ["thing", "duty", "action"]
wte = torch.tensor([[2.0, 0, 0], [0, 2, 0], [0, 0, 2], [1, 0, 1], [1, -1, -1], [-1, 0, -1]])
matrices([("wte (V, C)", wte)], vocabulary, columns)

# %% [markdown]
# And here is what the blocks might return for *robot must obey orders*, a vector for each token. Such a vector no
# longer says what its token is; it says **what should come next**. After *must*: an action, and not another duty.
# Which row of `wte` points most nearly in the direction of the vector of *must*?

# %%
words = ["robot", "must", "obey", "orders"]
x = torch.tensor([[-1.0, 2, 1], [-0.5, -1, 2], [2, -1, 0.5], [-2, -1, -1]])  # (T, C) = (4, 3)
matrices([("x (T, C): what should come next", x)], words, columns)

# %% [markdown]
# The dot product measures how well two vectors match ([lesson 05](05_self_attention.ipynb)): multiply number by
# number and add up. Do it in your head for *must*, (-0.5, -1, 2), and the row of *obey*, (0, 0, 2).

# %%
after_must = x[1].tolist()
score_of_obey = sum(a * b for a, b in zip(after_must, wte[2].tolist()))
score_of_obey

# %% [markdown]
# Now the same for every row of `wte`: a score for each token of the vocabulary. These scores are called **logits**.
# Which one will be the lowest, and why?

# %%
scores_after_must = []
for row in wte.tolist():
    scores_after_must.append(sum(a * b for a, b in zip(after_must, row)))

assert scores_after_must[2] == score_of_obey
dict(zip(vocabulary, scores_after_must))

# %% [markdown]
# Now for each of the four tokens. `wte @ vector` is the loop above. Stacked, the results make a matrix. What is
# in its rows, and what in its columns?

# %%
logits_by_hand = torch.stack([wte @ vector for vector in x])
assert logits_by_hand[1].tolist() == scores_after_must
matrices([("logits (T, V): row = after this token, column = the next one", logits_by_hand)],
         words, vocabulary)  # fmt: skip

# %% [markdown]
# **Predict.** This is one matrix product of x, (4, 3), and `wte`, (6, 3), one of which has to be transposed.
# Suppose that the text had 2 tokens and the vocabulary 50,257. Which shape do the logits have then?
#
# <details><summary>A. (2, 3)</summary>
# That is the shape of x. Each dot product sums over the 3, so it is gone afterwards.
# </details>
# <details><summary>B. (2, 50257)</summary>
# Yes. For each token of the text a score for every token of the vocabulary. Most of the numbers that
# GPT-2 computes last are never looked at again when it writes; training uses every row.
# </details>
# <details><summary>C. (50257, 2)</summary>
# The same numbers, transposed: a row for each token of the vocabulary. But the scores that compete to be next
# belong together, in one row.
# </details>
# <details><summary>D. (2, 2): a score for each pair of tokens in the text</summary>
# That is attention, which compares the tokens of the text with each other. Here they are compared with all
# tokens of the vocabulary.
# </details>

# %% [markdown]
# ## Exercise: `output_logits` ●○○○○ · 5 minutes
#
# The same for a batch: x is `(B, T, C)`, the result `(B, T, V)`. Return the scores as they are: no softmax, no
# choice of the best. The result has the dtype of x. The trap: there are two ways to make the shapes fit, and one
# of them mixes up the tokens.
#
# <details><summary>Hint 1</summary>
# A matrix product with <code>@</code> carries leading axes along. What has to be done to
# <code>wte</code>?
# </details>
# <details><summary>Hint 2</summary>
# <code>wte</code> has two axes and no batch, so <code>.T</code> transposes it.
# </details>

# %%
def output_logits(x: Float[Tensor, "B T C"], wte: Float[Tensor, "V C"]) -> Float[Tensor, "B T V"]:
    """A score for each token of the vocabulary: the dot product of x with its row of wte."""
    ### BEGIN SOLUTION
    return x @ wte.T
    ### END SOLUTION

# %%
output_logits = check(output_logits)

# %% [markdown]
# ## 2. From scores to probabilities
#
# A score can be any number. The softmax of [lesson 05](05_self_attention.ipynb) turns scores into probabilities:
# e to the power of each score, divided by the sum. The result is written **P(w | context)**, the probability that
# token w comes next, given the tokens so far. How sure is the vector of *must* that *obey* comes next?

# %%
logits = output_logits(x[None], wte)  # (1, 4, 6)
assert torch.allclose(logits[0], logits_by_hand)
probs = logits.softmax(dim=-1)
row_against_table("must", x[1], vocabulary, wte, columns)

# %% [markdown]
# **Predict.** Every number in the vector of *must* is doubled, so its norm doubles. What happens to the
# probabilities?
#
# <details><summary>A. They double</summary>
# The scores double. Probabilities sum to 1 and cannot all grow.
# </details>
# <details><summary>B. They stay: only the direction counts</summary>
# That would be so if vectors were compared by their cosine. A dot product depends on the norm too.
# </details>
# <details><summary>C. They move apart: the largest grows, the smallest shrinks</summary>
# Yes. All differences between the scores double, and the softmax turns differences into ratios: each ratio is
# squared. (A token between the largest and the smallest may do either.) The larger its norm, the surer the model.
# </details>

# %%
twice = output_logits(2 * x[None], wte).softmax(dim=-1)
panels = [("probabilities after must", probs[0, 1:2]), ("x doubled", twice[0, 1:2])]
matrices(panels, ["must"], vocabulary, scale=(0.0, 1.0))

# %% [markdown]
# **Play with it.** Pick a token, and scale its vector. At which scale does the model know nothing? Which tokens
# can never be the likeliest after *orders*, at any scale above 0?

# %%
scores_to_play(words, x, vocabulary, wte, columns)

# %% [markdown]
# <details><summary>Answers, after you have tried</summary>
# At scale 0 all scores are 0, and each of the six tokens gets one sixth. Scaling never changes the order of the
# scores, so after <i>orders</i> the full stop is the likeliest at every scale above 0, and no other token can be.
# The scale decides only how far ahead it is.
# </details>
#
# ## 3. One matrix, two uses
#
# The output could have a matrix of its own. GPT-2 uses `wte` at both ends; this is called **weight tying**:

# %%
one_table(wte, vocabulary, columns, "robot", "must", x[1])

# %% [markdown]
# At the input, only the rows of tokens that occur learn. At the output every row takes part in the softmax, and so every
# row learns: the right one is pulled nearer, all others are pushed away. A second matrix would cost this much in the
# smallest GPT-2:

# %%
smallest = GPT2Config()
print(f"{smallest.vocab_size:,} × {smallest.n_embd} = {smallest.vocab_size * smallest.n_embd:,} numbers")

# %% [markdown]
# Tying also has a price: one vector must say both what a token *is* and what it *follows*. Many larger models,
# such as GPT-NeoX-20B and Llama, can afford two matrices and keep two.
#
# ## 4. The stack
#
# You now have all parts of GPT-2, in order: the embedding, the blocks, a final LayerNorm called `ln_f`, and the
# output projection. Follow the shapes through a small model: 2 texts of 5 tokens, C = 8, a vocabulary of 11, 3
# blocks.

# %%
torch.manual_seed(1)
small = GPT2Config(n_layer=3, n_head=2, n_embd=8, n_ctx=6, vocab_size=11)
tables = {"wte": torch.randn(11, 8), "wpe": torch.randn(6, 8)}
blocks = [Block(8, 2) for _ in range(3)]
ln_f = nn.LayerNorm(8)
idx = torch.randint(11, (2, 5))

# %% [markdown]
# From ids to scores. Predict each line: which step changes the shape?

# %%
@torch.no_grad()
def forward_by_hand(idx):
    stream = embed(idx, tables["wte"], tables["wpe"])
    print("ids", tuple(idx.shape), "→ vectors", tuple(stream.shape))
    for number, block in enumerate(blocks):
        stream = block(stream)
        print(f"after block {number}", tuple(stream.shape))
    scores = output_logits(ln_f(stream), tables["wte"])
    print("scores", tuple(scores.shape))
    return scores


assert forward_by_hand(idx).shape == (2, 5, 11)

# %% [markdown]
# Why one more LayerNorm? Inside a block, everything that is *read* is normalised, but the residual stream itself
# never is ([lesson 09](09_block.ipynb)). Each block has added to it, so its norm may be anything, and as you saw,
# a larger norm means a surer model. `ln_f` gives the vectors the size for which `wte` was trained.
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
# The logarithm keeps it much smaller. Each nat is a factor of e.
# </details>

# %% [markdown]
# So you can check a fresh model before any training: its loss has to be near ln V. That depends on how `wte` is
# drawn. `nn.Embedding` draws normal numbers with standard deviation 1, GPT-2 with 0.02. Here are normalised vectors,
# as `ln_f` returns them, against both matrices, for 5,000 tokens. Which one knows that it knows nothing?

# %%
def first_loss(deviation, V=5000):
    """The loss of random vectors against a random wte, the right token being any of the V."""
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
# ## Exercise: `GPT2` ●●●○○ · 20 minutes
#
# The whole model. Its parts have the names of the released checkpoint: `wte` and `wpe` (both
# `nn.Embedding`; their matrices are `.weight`), `h` (the blocks) and `ln_f`; and it keeps its `config`.
# `forward` takes ids and returns logits. More than `n_ctx` tokens must raise a `ValueError`; exactly `n_ctx` still
# fit. You need no test for that: `embed` raises it already. Nor for ids outside the vocabulary: `wte` has no row
# for them.
#
# In `__init__`, draw the matrices anew with standard deviation 0.02 (`nn.init.normal_(parameter, std=0.02)`), so
# that the first loss is near ln V. Draw only what is a matrix, and leave the LayerNorms as they are: weight 1,
# bias 0. You may also set the other biases to 0 and divide the `c_proj` by √(2 · n_layer), as GPT-2 does. (The
# released code draws `wpe` with 0.01; here 0.02 will do.)
#
# The trap: a plain Python list of blocks looks fine, and the model does not see what is in it.
# `nn.ModuleList` is a list that registers its modules.
#
# <details><summary>Hint 1</summary>
# <code>forward</code> is <code>forward_by_hand</code> without the prints, with
# <code>self.wte.weight</code> and <code>self.wpe.weight</code> for the matrices.
# </details>
# <details><summary>Hint 2</summary>
# Blocks: one <code>Block(config.n_embd, config.n_head)</code> for each of
# <code>range(config.n_layer)</code>, each a new one. For <code>ln_f</code>,
# <code>nn.LayerNorm(config.n_embd)</code> will do: it is the layer_norm of
# <a href="09_block.ipynb">lesson 09</a> with a weight and a bias.
# </details>
# <details><summary>Hint 3</summary>
# <code>self.parameters()</code> yields all parameters; the matrices are those with
# <code>parameter.ndim == 2</code>. Should you write a test for too many tokens all the same: compare
# <code>idx.shape[1]</code>, the tokens, with <code>self.config.n_ctx</code>. <code>len(idx)</code> is the number of
# texts.
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
# As many tokens as fit, and one more:

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
# None: `wte.weight` is stored once and used twice.
#
# Now a GPT-2 with the full vocabulary, but narrow, so that it is quick to make. Its first loss should lie near
# ln 50,257.

# %%
narrow = GPT2(GPT2Config(n_layer=2, n_head=2, n_embd=32, n_ctx=32))
some, targets = torch.randint(50257, (2, 4, 32))
with torch.no_grad():
    loss = F.cross_entropy(narrow(some).flatten(0, 1), targets.flatten()).item()
print(f"first loss {loss:.2f}, ln 50,257 = {math.log(50257):.2f}")
assert abs(loss - math.log(50257)) < 0.5, "draw the matrices of your GPT2 with std=0.02"

# %% [markdown]
# ## 5. It writes
#
# Your model can write as soon as it has learned something. A small trained GPT-2 comes with the course: 4 blocks,
# C = 128, V = 2,048. It has read thousands of little stories ([lesson 13](13_training.ipynb) trains it). Your `GPT2`
# has parts of the same names, so it can take over the weights. (`strict=False` passes over what only one of the two
# keeps, such as a stored mask.)

# %%
def take_weights(model, source):
    """Copy source's weights into model; both have the parts wte, wpe, h and ln_f."""
    for name in ("wte", "wpe", "ln_f"):
        getattr(model, name).load_state_dict(getattr(source, name).state_dict())
    for block, other in zip(model.h.children(), source.h.children(), strict=True):
        block.load_state_dict(other.state_dict(), strict=False)


course = package.GPT2.from_pretrained("course")
tokenizer = load_tokenizer("course")
trained = GPT2(course.config)
fresh = copy.deepcopy(trained)  # as it is before it takes over anything
take_weights(trained, course)

# %% [markdown]
# The simplest way to write: compute the logits, append the token with the highest score, repeat. `<|endoftext|>`, the
# token between two texts, goes in front, since a story begins after it. What will the fresh model write, and what
# the trained one?

# %%
@torch.no_grad()
def write(model, beginning, n):
    """The beginning and n tokens more, each the likeliest one."""
    ids = [tokenizer.end_of_text, *tokenizer.encode(beginning)]
    for _ in range(n):
        logits = model(torch.tensor([ids]))  # (1, T, V)
        ids.append(logits[0, -1].argmax().item())
    return tokenizer.decode(ids[1:])


for model in (fresh, trained):
    print(repr(write(model, "Ada looked at the robot because it", 16)))

# %% [markdown]
# Your own `GPT2`, from the embedding to the output projection, writes sentences. (Before training it repeats one token;
# a � is a byte that is no whole character.)
#
# Is it *really* GPT-2? There is a strict test: with the same weights, the package's GPT-2 and yours must compute the
# same logits. (Two ways of adding up may round differently, in the seventh digit or so.) Here are a hundred stories
# that the model has not read.

# %%
starts = [[tokenizer.end_of_text, *tokenizer.encode(story)][:65] for story in heldout_documents()]
ids = torch.tensor([start for start in starts if len(start) == 65][:100])  # (100, 65)

with torch.no_grad():
    own, wanted = trained(ids[:, :-1]), course(ids[:, :-1])  # (100, 64, V)
apart = (own - wanted).abs().max().item()
print(f"logits up to {wanted.abs().max():.0f}, largest difference {apart:.0e}")
assert apart < 1e-3, f"with equal weights your GPT2 differs from the package's by {apart}"

# %% [markdown]
# At most rounding. And the mean loss on these stories? That of a fresh model should be near ln V.

# %%
@torch.no_grad()
def loss_on_stories(model):
    return F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten()).item()


at_last = loss_on_stories(trained)
print(f"fresh: {loss_on_stories(fresh):.2f} (ln 2,048 = {math.log(2048):.2f}); "
      f"trained: {at_last:.2f} nats per token")  # fmt: skip

# %% [markdown]
# ### The tower, with your model's numbers
#
# Each line is the residual stream of a token, and the thick one climbs. At **A** attention adds what it read from the
# tokens before (an arc, as wide as the weight), at **M** the MLP adds its part. On the right stand the numbers of the
# vector, and the token that the output projection would predict from them if the model ended there.
#
# **Play with it.** Press *play* to climb. In which block does the right kind of word appear? Which token must *it* read
# for that? Then add the predicted word to the text, and let another token climb: press its chip.

# %%
tower_to_play(trained, tokenizer, "Mina looked at the kettle because it", yours=kept_names())

# %% [markdown]
# <details><summary>Answers, after you have tried</summary>
# After block 0 already: a head of its attention reads <i>kettle</i> with nearly all its weight, and <i>whistled</i>
# leads. The later blocks make it surer. At the bottom, before block 0, the vector predicts <i>it</i> again: it is little
# more than the row of <code>wte</code> that the output projection compares it with.
# </details>

# %% [markdown]
# ## 6. Counting parameters
#
# How many numbers does all this hold? First one block of the smallest GPT-2, 768 wide. (The device `meta`
# makes shapes without memory.) Which lines are matrices, and how many times 768 · 768 is each?

# %%
C = smallest.n_embd
with torch.device("meta"):
    one_block = Block(C, smallest.n_head)
for name, parameter in one_block.named_parameters():
    print(f"{name:20} {str(tuple(parameter.shape)):12} {parameter.numel():10,}")

# %% [markdown]
# `c_attn` is three times C · C, attention's `c_proj` once, the MLP's two matrices four times each. Every matrix
# also has a bias for each output, and every LayerNorm a weight and a bias:

# %%
in_matrices = (3 + 1 + 4 + 4) * C * C  # c_attn, c_proj, c_fc, c_proj
in_biases = (3 + 1 + 4 + 1) * C  # of the same four
in_norms = (2 + 2) * C  # weight and bias of ln_1 and ln_2
in_block = in_matrices + in_biases + in_norms
held = sum(p.numel() for p in one_block.parameters())
assert in_block == held == 12 * C**2 + 13 * C, f"your Block holds {held:,} parameters"
f"{in_matrices:,} + {in_biases:,} + {in_norms:,} = {in_block:,}, of which matrices: {in_matrices / in_block:.1%}"

# %% [markdown]
# **Predict.** A GPT-2 gets 24 heads in place of 12, and everything else stays. How does the number of its
# parameters change?
#
# <details><summary>A. Attention's part doubles</summary>
# Each head would have to stay 64 wide for that. But the heads divide the C columns among themselves: 24
# heads of 32 fill the same matrix as 12 of 64.
# </details>
# <details><summary>B. It does not change</summary>
# Yes. How the columns are split into heads is not a parameter.
# </details>
# <details><summary>C. It falls, since each head is narrower</summary>
# Each is half as wide, and there are twice as many.
# </details>

# %% [markdown]
# ## Exercise: `count_parameters` ●●○○○ · 8 minutes
#
# From a config to the number of parameters, an `int`: both embedding matrices, all blocks, `ln_f`. The trap is at
# the end of the model: count what is *stored*, and think of section 3.
#
# <details><summary>Hint 1</summary>
# What is stored once, and what <code>n_layer</code> times? <code>in_block</code> above is for C = 768 alone; you
# need it for any C, which is <code>config.n_embd</code>.
# </details>
# <details><summary>Hint 2</summary>
# <code>wte</code> has vocab_size rows of n_embd numbers, <code>wpe</code> n_ctx rows. The output has no
# matrix of its own. <code>ln_f</code> has a weight and a bias.
# </details>
# <details><summary>Hint 3</summary>
# Embeddings + n_layer · block + LayerNorm, where a block is 12 · C · C + 13 · C. You may also build a model and
# add up its parameters, but for the largest that takes some gigabytes, unless it is made on
# <code>meta</code>.
# </details>

# %%
def count_parameters(config: GPT2Config) -> int:
    """How many numbers the model learns; the matrix that is used at both ends counts once."""
    ### BEGIN SOLUTION
    n_embd = config.n_embd
    in_tables = (config.vocab_size + config.n_ctx) * n_embd
    in_each_block = 12 * n_embd**2 + 13 * n_embd
    return in_tables + config.n_layer * in_each_block + 2 * n_embd
    ### END SOLUTION

# %%
count_parameters = check(count_parameters)

# %% [markdown]
# It has to agree with your own models:

# %%
for model in (mine, trained, narrow):
    held = sum(p.numel() for p in model.parameters())
    print(f"counted {count_parameters(model.config):9,}, held {held:9,}")
    assert count_parameters(model.config) == held, "count_parameters and your GPT2 disagree"

# %% [markdown]
# ### 117M or 124M?
#
# The paper (table 2) gives its four models 117, 345, 762 and 1542 million parameters, and many texts repeat
# these numbers. Compare what the matrices hold:

# %%
paper = {"gpt2": 117, "gpt2-medium": 345, "gpt2-large": 762, "gpt2-xl": 1542}
for name, config in RELEASED.items():
    count = count_parameters(config)
    print(f"{name:12} {config.n_layer} blocks, {config.n_embd:4} wide: paper {paper[name]:4} million, "
          f"matrices {count / 1e6:6.1f} million")  # fmt: skip
assert count_parameters(smallest) == 124_439_808

# %% [markdown]
# The README of the released code notes that the paper's counts were wrong. Hence the names in use today: 124M, 355M,
# 774M and 1558M.
#
# Where are they? What share does `wte` have in the smallest, and in the largest?

# %%
parameter_bars(RELEASED)

# %% [markdown]
# The embeddings grow with the width, the blocks with its square and with the depth. So `wte`, a third of the
# smallest model, is a twentieth of the largest. Within a block the MLP always has about twice as much as
# attention. `wpe` and the LayerNorms are too few to be seen; their percentages are printed below each bar.

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: which rows of wte learn
#
# The gradient of each row, tied and not. Nothing later needs it; you can skip it.

# %% [markdown]
# Two tokens go in, *robot* and *must*; the loss is about what follows each, *must* and *obey*. A row whose gradient
# is 0 learns nothing. Left: `wte` learns from the input alone (`detach` cuts off the output). Right: it is tied. Which
# rows are 0?

# %%
def rows_that_learn(tied):
    """The norm of the gradient of each row of wte."""
    table = wte.clone().requires_grad_()
    rows = table[torch.tensor([0, 1])]  # no blocks between, to keep the example small
    scores = rows @ (table if tied else table.detach()).T
    F.cross_entropy(scores, torch.tensor([1, 2])).backward()
    return table.grad.norm(dim=-1)


panels = [("input only", rows_that_learn(False)[None]), ("tied", rows_that_learn(True)[None])]
matrices(panels, ["gradient"], vocabulary)

# %% [markdown]
# At the input, two rows are moved. With the output, all six are.

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: after a cow, and after a boat
#
# What the trained model expects, beside what its stories say. Nothing later needs it; you can skip it.

# %% [markdown]
# Turn the logits after the last token into probabilities, and take the ten largest (`␣` is the space before a word).

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
# In the stories every thing has its own habits. The orange marks show how often each word really comes there, in all
# stories that the model has read. Which words will have a bar worth mentioning?

# %%
stories = "\n".join(training_documents())
shown("cow")

# %% [markdown]
# The habits of a cow, and hardly anything else. And if the same *because it* follows a boat?

# %%
shown("boat")

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: every parameter in a list
#
# All four sizes, line by line, and a rule of thumb. Nothing later needs it; you can skip it.

# %% [markdown]
# **Play with it.** Choose a size, and find all of it in the list below the picture. Which lines could you leave
# out, and still be right to within one in a hundred?

# %%
sizes_to_play(RELEASED)

# %% [markdown]
# <details><summary>Answer, after you have tried</summary>
# All but <code>wte</code> and the four matrices of a block. Together with the 12 · C · C from above this is a rule
# of thumb: vocab_size · C + n_layer · 12 · C². The next cell computes what it leaves out.
# </details>

# %%
left_out = count_parameters(smallest) - smallest.vocab_size * C - smallest.n_layer * in_matrices
assert left_out < count_parameters(smallest) / 100
f"{left_out:,} of {count_parameters(smallest):,}, or {left_out / count_parameters(smallest):.2%}"

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: find the first layer that differs
#
# A model that is wired wrongly computes wrong logits and raises no error. This section finds the place, with hooks.
# Nothing later needs it; you can skip it.

# %% [markdown]
# Take a small reference with other weights, drawn larger than usual so that any difference shows, and your model
# with the same ones.

# %%
torch.manual_seed(4)
reference = package.GPT2(small)
with torch.no_grad():
    for parameter in reference.parameters():
        parameter.add_(0.3 * torch.randn(parameter.shape))
take_weights(mine, reference)

# %% [markdown]
# You have to find the **first** part whose output differs: all later ones differ because of it. A *hook* is a
# function that a module calls with its output. Register one on every part, and collect the outputs in the order
# in which the parts run.

# %%
@torch.no_grad()
def outputs_of(model, idx):
    """The output of every part of the model, by its name, in the order of the calls."""
    outputs = {}

    def listen(name):
        return lambda part, inputs, output: outputs.update({name: output})

    hooks = [part.register_forward_hook(listen(name)) for name, part in model.named_modules()]
    model(idx)
    for hook in hooks:
        hook.remove()
    return outputs

# %% [markdown]
# For every part that two models have in common: how far apart are the two outputs?

# %%
def differences(model, right, idx):
    """The largest difference in the output of each part, in the order of the calls."""
    own, wanted = outputs_of(model, idx), outputs_of(right, idx)
    return {name: (own[name] - wanted[name]).abs().max().item() for name in wanted if name in own}


by_part = differences(mine, reference, idx)
print(f"{len(by_part)} parts compared, largest difference anywhere: {max(by_part.values()):.0e}")
assert max(by_part.values()) < 1e-4, "with equal weights a part of your GPT2 differs from the package's"

# %% [markdown]
# Nothing differs. Now a copy with a mistake: its second block, `h.1`, forgets to normalise what the MLP reads.
# What will be the first to differ: the block, its MLP, or something inside the MLP?

# %%
broken = copy.deepcopy(mine)
second = list(broken.h.children())[1]


def without_ln_2(x, past=None):  # the package's model passes a second argument, for lesson 12
    x = x + second.attn(second.ln_1(x))
    return x + second.mlp(x)


second.forward = without_ln_2
print(f"the logits differ by up to {(broken(idx) - reference(idx)).abs().max():.2f}")

# %% [markdown]
# The logits are wrong, and do not say why. Now part by part, from the top:

# %%
for name, size in differences(broken, reference, idx).items():
    if name.startswith(("h.0", "h.1")) or not name:
        print(f"{name or 'the logits':18} {size:.5f}" + "   ← differs" * (size > 1e-4))

# %% [markdown]
# Everything in block 0 agrees, and in block 1 everything up to the attention. The first part that differs
# is `h.1.mlp.c_fc`, the MLP's first matrix: its numbers are right, so it must have *read* the wrong thing.
# (And `h.1.ln_2` is missing from the list: nobody called it.) Everything below differs because of it. That is how
# to debug a deep model: look not at the logits, but at the first layer that differs.

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Deeper: other ends for the model
#
# What does `ln_f` do for the trained model, and what would another output matrix do? Two experiments; nothing
# later needs them, and you can skip them.

# %% [markdown]
# Here is the trained residual stream as it leaves the last block, and the loss of some vectors against some
# matrix. With the model's own end it must be the loss from section 5.

# %%
with torch.no_grad():
    end_of_stream = embed(ids[:, :-1], trained.wte.weight, trained.wpe.weight)
    for block in trained.h.children():
        end_of_stream = block(end_of_stream)  # (100, 64, 128)


@torch.no_grad()
def loss_of(vectors, matrix):
    return F.cross_entropy(output_logits(vectors, matrix).flatten(0, 1), ids[:, 1:].flatten()).item()


own_matrix = trained.wte.weight
own_loss = loss_of(trained.ln_f(end_of_stream), own_matrix)
assert abs(own_loss - at_last) < 1e-4, "forward of your GPT2 does something else than these lines"
print(f"{own_loss:.4f}, in section 5 {at_last:.4f}")

# %% [markdown]
# In a deeper model more is added to the residual stream, and its norm may become much larger. So let it be
# 5 and 25 times as large. Which column will change?

# %%
print("the stream     with ln_f   without")
for times in (1, 5, 25):
    stream = times * end_of_stream
    print(f"times {times:2} {loss_of(trained.ln_f(stream), own_matrix):15.2f} {loss_of(stream, own_matrix):9.2f}")

# %% [markdown]
# With `ln_f` the loss does not depend on the norm of the stream. Without it a large norm means a sure model, and
# where it is wrong, being sure is expensive: at 25 times the norm the model does worse than one that knows
# nothing.
#
# And another matrix for the output, with numbers as large as those of the trained one, but drawn at random?

# %%
torch.manual_seed(5)
other_matrix = own_matrix.detach().std() * torch.randn(own_matrix.shape)
other_loss = loss_of(trained.ln_f(end_of_stream), other_matrix)
print(f"own matrix:  {own_loss:.2f}")
print(f"another one: {other_loss:.2f}; knowing nothing: {math.log(2048):.2f}")
assert other_loss > math.log(2048)

# %% [markdown]
# Worse than knowing nothing: the model is sure, and of the wrong thing. The blocks, and the matrix that scores
# what they write, have learned together; an entry of x means something only to the matrix it was made for.

# %% [markdown]
# ## Challenge: untie the matrices
#
# No check for this one. Give your `GPT2` a second matrix, `lm_head`, for the output, as Llama has, and a config of
# a few hundred tokens. Let both models, tied and untied, learn the same short text: compute the loss, call
# `backward()`, step with `torch.optim.AdamW`, a few hundred times ([lesson 06](06_masking.ipynb) has such a loop).
#
# What to look for: does the first loss stay near ln V, whichever deviation `wte` has? Which of the two learns
# faster, and does the answer depend on how rare a token is? Do the rows of `wte` and of `lm_head` end up near each
# other?

# %% [markdown]
# ## What you have
#
# A GPT-2, from ids to logits, made of your own parts, and it writes. The output projection compares each vector with
# every row of `wte`, the same matrix that embedded the ids; the softmax turns the scores into probabilities. And you
# can say how many numbers such a model holds, to the last one.
#
# Five questions on this lesson:
#
# <details><summary>1. What is a logit?</summary>
# The score of one token of the vocabulary: the dot product of the vector at the end of the stack with this token's
# row of <code>wte</code>. A softmax over all V logits makes P(w | context) of it.
# </details>
# <details><summary>2. What does weight tying save in GPT-2 124M, and what else does it do?</summary>
# A second matrix of 50,257 × 768 numbers, about 38.6 million. And every step teaches every row of <code>wte</code>,
# not just those of the tokens that occur.
# </details>
# <details><summary>3. A fresh model with a vocabulary of 1,000 has a first loss of 25. What do you suspect?</summary>
# ln 1,000 is about 6.9. The model is sure of the wrong tokens, so its scores are too far apart: probably
# <code>wte</code> was drawn with a deviation of 1 and not 0.02.
# </details>
# <details><summary>4. Why must the blocks be in an <code>nn.ModuleList</code>?</summary>
# A plain list does not register its modules: their weights are missing from <code>parameters()</code> and from the
# state dict, so they are neither trained nor saved.
# </details>
# <details><summary>5. The width doubles, all else stays. By which factor does the number of parameters in the blocks
# grow, and by which in <code>wte</code>?</summary>
# By about four (12 · C² leads) and by two.
# </details>
#
# And two on earlier ones:
#
# <details><summary>6. Without position embeddings and without the mask, would the logits after the last token depend on
# the order of the tokens before it? (lesson 04)</summary>
# No. Attention sums over the tokens whatever their order, and everything else works on each position alone.
# </details>
# <details><summary>7. Why is the sum of a block's output and its input called a residual connection, and what does it
# do? (lesson 09)</summary>
# A part computes only the difference, the <i>residual</i>, that is added to what was there. So each block can leave
# the residual stream almost as it is, and the gradient has a direct way back to the embeddings.
# </details>
#
# **GPT-2 124M in numbers:**

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
# 3.1 (the tied matrix); Press and Wolf 2017, *Using the Output Embedding to Improve Language Models*,
# section 3 (why to tie); Radford et al. 2019, *Language Models are Unsupervised Multitask Learners*,
# section 2.3 (the final LayerNorm, the scaling) and table 2 (the sizes); the code released with it,
# `src/model.py`, function `model`, and its `README.md` (the note on the counts). Untied: Black et al. 2022,
# *GPT-NeoX-20B: An Open-Source Autoregressive Language Model*. The example *robot must obey orders* is from Jay
# Alammar's *The Illustrated GPT-2* (2019).
#
# **Next:** taking the likeliest token each time is one way to write, and not the best.
# [Lesson 11](11_sampling.ipynb) looks at the others.
#
# **What you have built so far:**

# %%
my_progress()
