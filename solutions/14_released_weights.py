# %% [markdown]
# # 14 · Released weights
#
# Your GPT-2 has the right form, and numbers that were drawn at random, or trained for some minutes. Those that
# OpenAI trained on 40 GB of text were released, in a file. **How do they get into your model, and how do you
# know that they have arrived where they belong?**
#
# - **In:** a checkpoint: names, and a tensor under each.
# - **Out:** your `GPT2` with these numbers in it. It then says what GPT-2 says.
# - **Time:** about 90 minutes. One exercise: `load_released`.

# %% [markdown]
# First the tools. `GPT2` is your whole model from lesson 10, `causal_mask` is from lesson 06, `generate` from
# lesson 11 and `perplexity` from lesson 01; yours where they passed, as the line below the cell says.

# %%
import json
import math
import struct
import tempfile
from pathlib import Path

import safetensors.torch
import torch
from huggingface_hub import try_to_load_from_cache
from torch import Tensor, nn

from gpt2course import check
from gpt2course import model as package
from gpt2course.config import RELEASED, GPT2Config
from gpt2course.corpus import heldout_documents
from gpt2course.lessons.released_weights import (
    Load, checkpoint_to_play, file_shares, four_matrices, loads, loads_to_play, matrices,
    next_words, piece_text, pipeline, surprise_text,
)
from gpt2course.mine import GPT2, causal_mask, generate, perplexity
from gpt2course.model import count_parameters, parameter_table
from gpt2course.weights import TOKENIZER, load_tokenizer, locate, read_config

# %% [markdown]
# No box is lit this time: the weights belong to all of them.

# %%
pipeline("14_released_weights")

# %% [markdown]
# ## 1. What a checkpoint is
#
# Begin with a model that is small enough to read all of it: five tokens, one block with one head, two numbers
# wide. Every parameter of a torch module has a name, made of the names of the parts that it sits in. How many
# numbers will there be in all?

# %%
known = ["robot", "must", "obey", "orders", "."]
torch.manual_seed(14)
tiny = GPT2(GPT2Config(n_layer=1, n_head=1, n_embd=2, n_ctx=4, vocab_size=5))
for name, parameter in tiny.named_parameters():
    print(f"{name:22} {tuple(parameter.shape)}")
print(f"{sum(p.numel() for p in tiny.parameters())} numbers")

# %% [markdown]
# Read `h.0.mlp.c_fc.weight` from the left: of the blocks `h` the first, in it the MLP, in that the first
# matrix. That is a path through your modules, and the released file uses the same words. This is why the
# lessons before this one insisted on names.
#
# A **checkpoint** is nothing more than this list with the numbers in it, written down. The usual format
# today is called *safetensors*. Here is the tiny model as it would lie on the disk, 4 bytes for a number.
# What else, besides the numbers, has to be in there?

# %%
raw = safetensors.torch.save({name: p.detach() for name, p in tiny.named_parameters()})
print(f"{len(raw)} bytes, of which numbers: 4 · 96 = {4 * 96}")
print(raw[:150])

# %% [markdown]
# The names and the shapes. The first 8 bytes say how long the list of them is; then follows the list, as JSON;
# then the numbers, one after the other. What does it know of `wpe.weight`, the table of positions?

# %%
length = int.from_bytes(raw[:8], "little")  # the lowest byte comes first
first = 8 + length  # where the numbers begin
header = json.loads(raw[8:first])
header["wpe.weight"]

# %% [markdown]
# `F32` is a number of 32 bits. The offsets say where its bytes begin and end, counted from the end of the
# list. So read them by hand: 32 bytes are 8 numbers (`f` stands for a float of 4 bytes, `<` for the lowest byte
# first), and 8 numbers are 4 rows of 2.

# %%
begin, end = header["wpe.weight"]["data_offsets"]
numbers = struct.unpack("<8f", raw[first + begin : first + end])
by_hand = torch.tensor(numbers).reshape(4, 2)
assert torch.equal(by_hand, tiny.wpe.weight)
matrices([("wpe.weight, out of the bytes", by_hand)], ["position 0", "1", "2", "3"])

# %% [markdown]
# Those are the model's positions, to the last bit. The others are read in the same way, name by name. (The list
# may also have an entry `__metadata__`, with notes such as who wrote the file: no tensor.) As everybody does it,
# with a library, a **dict of names and tensors** comes back; by custom it is called the *state* of the model.

# %%
by_library = safetensors.torch.load(raw)
assert by_library.keys() == header.keys() and torch.equal(by_library["wpe.weight"], by_hand)
type(by_library), list(by_library)[:3]

# %% [markdown]
# A format this plain has a reason. Files named `.bin` or `.pt` often are *pickles*, and a pickle may hold code
# that runs when it is opened. A safetensors file holds a list and numbers, and nothing that could run. This
# course reads no other.
#
# ## 2. The released file
#
# The file of the smallest GPT-2 lies on the Hugging Face hub, a public store of models, under the name
# `openai-community/gpt2`. You do not need it to know what it must hold: your model's names and shapes say so.
# Here they are for the real sizes; the blocks are alike, so `h.*` stands for all twelve. How many tensors are
# there altogether?

# %%
gpt2 = RELEASED["gpt2"]
table = parameter_table(gpt2)
for name, shape, count in table:
    print(f"{name:24} {str(shape):14} {count:12,}" + " in 12 blocks" * name.startswith("h."))

# %% [markdown]
# Add up: tensors, numbers, and bytes.

# %%
in_each_block = sum(name.startswith("h.") for name, _, _ in table)
n_tensors = (len(table) - in_each_block) + gpt2.n_layer * in_each_block
n_numbers = sum(count for _, _, count in table)
assert n_numbers == count_parameters(gpt2)
print(f"{n_tensors} tensors, {n_numbers:,} numbers, {4 * n_numbers / 1e6:.1f} MB")

# %% [markdown]
# **Predict.** The hub says that the file has 548 MB. That is 50 MB more. What might they be?
#
# <details><summary>A. The list of names and shapes</summary>
# For the tiny model it was most of the file, over a thousand bytes for 16 tensors. But it grows with the number
# of tensors and not with their size: with about ten times as many it is ten times as long, and far from 50 MB.
# </details>
# <details><summary>B. The matrix that makes the scores</summary>
# A good guess, as some files do carry it. But it would be 50,257 rows of 768 numbers, and that is 154 MB. In
# GPT-2 it is <code>wte</code> once more (lesson 10), and this file leaves it out.
# </details>
# <details><summary>C. Something that was never learned</summary>
# Yes: the mask of lesson 06. In the program that wrote the file each attention kept its triangle of 1024 × 1024
# as a tensor, and what a module keeps is written down with the rest. Twelve triangles of zeros and ones.
# </details>

# %%
shapes = {name.replace("*", str(i)): shape for name, shape, _ in table for i in range(gpt2.n_layer)}
shapes |= {f"h.{i}.attn.bias": (1, 1, 1024, 1024) for i in range(gpt2.n_layer)}
in_file = sum(math.prod(shape) for shape in shapes.values())
print(f"{len(shapes)} tensors, {in_file:,} numbers, {4 * in_file / 1e6:.1f} MB")
file_shares(shapes, f"{1 - n_numbers / in_file:.0%} of the released file is masks")

# %% [markdown]
# The mask carries an unlucky name: `h.0.attn.bias`, next to `h.0.attn.c_attn.bias`, which is learned. (OpenAI's
# code calls a learned bias `b`, and its mask `b` as well; the program that wrote this file says *bias* for both.)
# Remember the two; they differ by the dot.
#
# ### 117M, 124M or 137M?
#
# Three counts of one model are in use. When the file was first released, it was named **117M**, after the table
# in the paper. The paper had miscounted; when that was noticed, the file was renamed, after the count of what was
# learned: **124M**, the matrices, tables, biases and norms. And a program that adds up whatever lies in the file on
# the hub gets a third number, **137M**, masks included: both sums stand above.
#
# ## 3. Which file do you have?
#
# The released file must come over the network once: 548 MB, which takes some minutes, and they stay on your
# disk, in the hub's cache. So it is fetched only if you say so, here. If it is in the cache already, it is used
# without being fetched.

# %%
fetch_released = False  # True: fetch 548 MB from the Hugging Face hub, once

# %% [markdown]
# Where it is not to be had, a small checkpoint takes its place: this course's own model, 4 blocks and 128 wide,
# trained on little stories. The cell writes it in the same format and under the same names: the package's
# `save_pretrained` writes what *transformers* would write, the library with which most programs run such models.
# Then everything is added that files of GPT-2 may carry besides: the output matrix, the masks, and the score
# that is put in place of a hidden one (lesson 06 had -1e9, here it is -1e4).

# %%
def write_small(folder):
    """The course's model as a file of GPT-2, with all that such files may carry."""
    package.GPT2.from_pretrained("course").save_pretrained(folder)
    load_tokenizer("course").save(folder / TOKENIZER)  # the name of its file
    tensors = safetensors.torch.load((folder / "model.safetensors").read_bytes())
    n_ctx = len(tensors["transformer.wpe.weight"])
    tensors["lm_head.weight"] = tensors["transformer.wte.weight"].clone()
    for i in range(read_config(folder / "config.json").n_layer):
        tensors[f"transformer.h.{i}.attn.bias"] = torch.ones(1, 1, n_ctx, n_ctx).tril()
        tensors[f"transformer.h.{i}.attn.masked_bias"] = torch.tensor(-1e4)
    safetensors.torch.save_file(tensors, folder / "model.safetensors")

# %% [markdown]
# The released one if it is here or wanted, and the small one otherwise. (`locate` fetches it. Without a network
# it gives up within seconds, and says what it tried.)

# %%
def find_checkpoint(small_folder):
    """The folder of a checkpoint, and the tokenizer that belongs to it."""
    cached = try_to_load_from_cache("openai-community/gpt2", "model.safetensors")
    if fetch_released or isinstance(cached, str):
        try:
            folder = Path(cached).parent if isinstance(cached, str) else locate("gpt2")[0].parent
            return folder, load_tokenizer(folder)
        except (OSError, ValueError) as error:  # no network, no room, a damaged file, …
            print(f"The released file can't be used here: {error}")
    write_small(small_folder)
    return small_folder, load_tokenizer(small_folder)

# %% [markdown]
# Find one, and read it. The line below the cell says which of the two you have; from here on the lesson is the
# same for both, and its numbers are those of *your* file. (With the released one some cells take seconds, and
# the whole about a minute.)

# %%
scratch = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
folder, tokenizer = find_checkpoint(Path(scratch.name))
config = read_config(folder / "config.json")
state = safetensors.torch.load_file(folder / "model.safetensors")
released = config == RELEASED["gpt2"]
print("You have " + ("THE RELEASED GPT-2 124M." if released else "A SMALL CHECKPOINT, made on the spot."))
print(f"{len(state)} tensors, {sum(t.numel() for t in state.values()):,} numbers; {config}")

# %% [markdown]
# ## 4. Name by name
#
# Here is your own GPT-2 of the file's sizes, with random numbers. Under how many of its names does the file have
# a tensor?

# %%
torch.manual_seed(14)
model = GPT2(config).eval()
wanted = {name: tuple(p.shape) for name, p in model.named_parameters()}
print(f"{len(wanted.keys() & state.keys())} of {len(wanted)} names are in the file")
print("the file begins:", *list(state)[:2], sep="\n  ")

# %% [markdown]
# All of them, if you have the released file. None, if you have the small one: there every name but that of the
# output matrix begins with `transformer.`. Files that were saved from the whole model of the library have this
# prefix, since in it the blocks sit in a part of that name; others, such as `openai-community/gpt2`, were saved
# from the part alone. What remains in the file that the model has no use for, once the prefix is off?

# %%
PREFIX = "transformer."
named = {name.removeprefix(PREFIX): tensor for name, tensor in state.items()}
assert wanted.keys() <= named.keys()
extra = [name for name in named if name not in wanted]
for ending in (".attn.bias", ".attn.masked_bias", "lm_head.weight"):
    print(f"{sum(name.endswith(ending) for name in extra):3} × …{ending}")

# %% [markdown]
# Every name that the model wants is there. And what is extra need not be loaded, but one should know why. The
# masks: is it the triangle that your `causal_mask` makes?

# %%
mask = named["h.0.attn.bias"][0, 0].bool()  # (n_ctx, n_ctx); the two axes in front have size 1
assert torch.equal(mask, causal_mask(config.n_ctx, config.n_ctx))
matrices([(f"the corner of h.0.attn.bias, of {tuple(mask.shape)}", mask[:6, :6])])

# %% [markdown]
# To the last entry. Your model computes it when it is needed, so the file's copy can stay behind. And where
# the file has an output matrix, is it `wte`, as lesson 10 has it?

# %%
head = named.get("lm_head.weight")
if head is None:
    print("this file leaves the output matrix out")
else:
    print("equal to wte.weight:", torch.equal(head, named["wte.weight"]))

# %% [markdown]
# If it were *not* equal, the file would be of another kind of model, with two tables, and leaving one of them
# out would quietly make a third model. So this has to be looked at, and not assumed.
#
# Leaf through the file. In the first block: compare each shape in the file with the one in your model. Which
# kinds of tensors have the same shape in both, and which do not?

# %%
checkpoint_to_play(state, model)

# %% [markdown]
# <details><summary>Answer, after you have looked</summary>
# Tables, biases and norms are alike. Of the four matrices of a block three have their two numbers exchanged,
# and the fourth, <code>attn.c_proj</code>, shows the same number twice, so its shape says nothing.
# </details>
#
# ## 5. Turned matrices
#
# A matrix takes a row of n_in numbers to one of n_out. Both of these are ways to store it. Here are 2 numbers
# that become 3. First with the matrix as (in, out), by hand: the j-th result is the sum over the inputs of
# x[i] · w[i][j].

# %%
x = torch.tensor([10.0, 1.0])
w = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])  # (in, out) = (2, 3)
one_by_one = [sum(x[i].item() * w[i, j].item() for i in range(2)) for j in range(3)]
assert torch.equal(x @ w, torch.tensor(one_by_one))
one_by_one

# %% [markdown]
# That is how OpenAI's code stores its matrices: it computes `x @ w + b`, in a function named `conv1d`; hence the
# name **Conv1D** for this layout. torch's `nn.Linear` stores (out, in), and computes `x @ weight.T + bias`. What
# has to be done to `w`?

# %%
linear = nn.Linear(2, 3, bias=False).requires_grad_(False)
print("nn.Linear(2, 3) holds", tuple(linear.weight.shape))
linear.weight.copy_(w.T)
assert torch.equal(linear(x), x @ w)
linear(x)

# %% [markdown]
# It is **turned**, or *transposed*, which is the same: rows become columns. And a matrix that is square? Here 2 numbers become 2. Do it in your
# head: (10, 1) times the matrix as it is, and times the turned one.

# %%
square = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
panels = [("x @ w", (x @ square)[None]), ("x @ w.T", (x @ square.T)[None])]
matrices(panels)

# %% [markdown]
# Both can be computed, and they differ.
#
# **Predict.** Somebody forgets all this and copies the four matrices of a block as they are in the file. At
# which of them does torch complain?
#
# <details><summary>A. At all four: each is the wrong way round</summary>
# Each is. But torch compares shapes, and knows nothing of what the axes mean.
# </details>
# <details><summary>B. At none: copying numbers needs no shapes</summary>
# <code>copy_</code> wants shapes that fit. (2, 3) does not fit into (3, 2).
# </details>
# <details><summary>C. At three</summary>
# Yes: at <code>c_attn</code>, <code>c_fc</code> and the MLP's <code>c_proj</code>. Attention's
# <code>c_proj</code> takes as many numbers as it gives, so it is square, and goes in without a word.
# </details>

# %%
four = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
for ending in four:
    there, here = named[f"h.0.{ending}"], model.get_parameter(f"h.0.{ending}")
    try:
        here.detach().clone().copy_(there)  # into a copy, so that the model stays as it is
        said = "no complaint"
    except RuntimeError:
        said = "an error"
    print(f"{ending:20} file {tuple(there.shape)!s:13} model {tuple(here.shape)!s:13} {said}")

# %% [markdown]
# In the released model, to scale. The blue matrices are to become the orange ones. How could a program know
# that the second one has to be turned?

# %%
sizes = {name[4:]: shape[::-1] for name, shape, _ in table if name.endswith(four)}
four_matrices(sizes, "The four matrices of a block, of which one fits either way")

# %% [markdown]
# From its name alone.
#
# ## 6. Exercise: `load_released`
#
# Fill a model with a checkpoint, and return it. `state` is a dict of names and tensors, with or without the
# prefix `transformer.` (no tensor comes under both names). The matrices of the blocks are (in, out) and must be
# turned; everything else goes in as it is. The masks (`…attn.bias`, `…attn.masked_bias`) are left out, and so is `lm_head.weight` *if it equals
# `wte.weight`*.
#
# Copy the numbers into the parameters that the model has, and put no new ones in their place: an optimiser may hold
# them. A float32 parameter stays float32, whatever the file has, and no number is rounded on the way. Leave `state` as it is. What does not fit is a `ValueError` that names the tensor: one that is missing, one
# that is extra, one of another shape (two axes where the model has one are another shape, too). And then **the model must be as it was**: half a checkpoint is worse than
# none.
#
# The trap: two names that differ by little, `h.0.attn.bias` and `h.0.attn.c_attn.bias`, and one shape that tells you
# nothing, that of `attn.c_proj.weight`. Write into the function all that it needs, its list of names too: your answer
# goes on into other lessons, and the `four` of the cell above stays here.
#
# <details><summary>Hint 1</summary>
# Two steps. First build a new dict of tensors as the model wants them, under its names, turned where need be.
# Then compare it with <code>dict(model.named_parameters())</code>, all of it, and only then copy.
# </details>
# <details><summary>Hint 2</summary>
# <code>name.endswith((…, …))</code> takes several endings. A tensor that is no matrix (look at
# <code>tensor.ndim</code>) must not be turned: leave it, and its shape will be found wrong.
# </details>
# <details><summary>Hint 3</summary>
# <code>torch.equal</code> is False where shapes differ. Copying: <code>with torch.no_grad():</code> and
# <code>parameter.copy_(tensor)</code>. It spreads a tensor of one number over all of a parameter, so do not let
# <code>copy_</code> judge the shapes.
# </details>

# %%
def load_released(state: dict[str, Tensor], model: GPT2) -> GPT2:
    """Fill a model with a released checkpoint's tensors; a ValueError leaves it as it was."""
    ### BEGIN SOLUTION
    conv1d = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
    tensors = {}
    for name, tensor in state.items():
        name = name.removeprefix("transformer.")
        if not name.endswith((".attn.bias", ".attn.masked_bias")):
            turn = name.endswith(conv1d) and tensor.ndim == 2
            tensors[name] = tensor.T if turn else tensor
    head, wte = tensors.get("lm_head.weight"), tensors.get("wte.weight")
    if head is not None and wte is not None and torch.equal(head, wte):
        del tensors["lm_head.weight"]
    parameters = dict(model.named_parameters())
    if wrong := tensors.keys() ^ parameters.keys():  # in one of the two, and not in the other
        raise ValueError(f"missing or extra: {', '.join(sorted(wrong))}")
    for name, parameter in parameters.items():
        if tensors[name].shape != parameter.shape:
            raise ValueError(f"{name} has shape {tuple(tensors[name].shape)}")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(tensors[name])
    return model
    ### END SOLUTION

# %%
load_released = check(load_released)

# %% [markdown]
# Now the file into your model. And the count of section 2, from the file's own tensors:

# %%
model = load_released(state, model)
assert torch.equal(model.wte.weight, named["wte.weight"])
assert torch.equal(model.get_parameter("h.0.attn.c_proj.weight"), named["h.0.attn.c_proj.weight"].T)
counted = sum(named[name].numel() for name in wanted)
assert counted == count_parameters(config)
print(f"{len(wanted)} tensors, {counted:,} numbers loaded")

# %% [markdown]
# What does it say to a file with a tensor missing? (Into a copy of the same sizes made on `meta`, where a model
# has shapes and no memory.)

# %%
with torch.device("meta"):
    empty = package.GPT2(config)
without = {name: t for name, t in state.items() if not name.endswith("h.1.mlp.c_fc.bias")}
try:
    load_released(without, empty)
except ValueError as error:
    print(str(error)[:200])

# %% [markdown]
# ## 7. Loaded, or loaded right?
#
# "It loaded without errors" says that names and shapes fit. It says nothing about the numbers: the square matrix
# fits both ways. To know, the model's answers have to be compared with those of a program that was not made of
# the same parts.
#
# So here is GPT-2 once more, written to be as unlike yours as possible: no modules, no `nn.Linear`, one text
# without a batch axis, and every tensor as it lies in the file. First three functions. Where does the file's
# layout show?

# %%
def linear_in_out(x, file, name):
    return x @ file[f"{name}.weight"] + file[f"{name}.bias"]


def norm(x, file, name):
    x = x - x.mean(-1, keepdim=True)
    x = x / (x.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt()
    return x * file[f"{name}.weight"] + file[f"{name}.bias"]


def gelu_tanh(x):
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))

# %% [markdown]
# In the first line of the first function: nothing is turned. And the whole model. Even the mask is the file's.

# %%
def forward_from_file(file, ids, config):
    """Logits (T, V) for a list of ids, from the tensors as the file has them."""
    T = len(ids)
    may_read = file["h.0.attn.bias"][0, 0, :T, :T] > 0
    x = file["wte.weight"][ids] + file["wpe.weight"][:T]  # (T, C)
    for i in range(config.n_layer):
        qkv = linear_in_out(norm(x, file, f"h.{i}.ln_1"), file, f"h.{i}.attn.c_attn")  # (T, 3C)
        q, k, v = qkv.view(T, 3, config.n_head, -1).permute(1, 2, 0, 3)  # (nh, T, hs) each
        scores = (q @ k.mT / math.sqrt(q.shape[-1])).where(may_read, -math.inf)
        heads = (scores.softmax(-1) @ v).transpose(0, 1).reshape(T, -1)  # (T, C)
        x = x + linear_in_out(heads, file, f"h.{i}.attn.c_proj")
        hidden = linear_in_out(norm(x, file, f"h.{i}.ln_2"), file, f"h.{i}.mlp.c_fc")  # (T, 4C)
        x = x + linear_in_out(gelu_tanh(hidden), file, f"h.{i}.mlp.c_proj")
    return norm(x, file, "ln_f") @ file["wte.weight"].T

# %% [markdown]
# A text to compare them on: a story that the course's model was not trained on, and GPT-2 was not either, since
# a program has made it. It begins with `<|endoftext|>`, the sign between two texts.

# %%
story = heldout_documents()[0]
ids = [tokenizer.end_of_text, *tokenizer.encode(story)][: config.n_ctx]
print(f"{len(ids)} tokens: {story[:72]} …")

# %% [markdown]
# Your model and the other one, on all tokens. In float32 a difference in the last digits is rounding; in float64
# it must all but vanish (lesson 12). A mistake would stay.

# %%
@torch.no_grad()
def apart(dtype):
    """The largest difference of a logit between the two programs."""
    expected = forward_from_file({n: t.to(dtype) for n, t in named.items()}, ids, config)
    return (model.to(dtype)(torch.tensor([ids]))[0] - expected).abs().max().item()


off32, off64 = apart(torch.float32), apart(torch.float64)
model.float()
assert off32 < 1e-2 and off64 < 1e-8, "the two differ: was the model changed since? run its load again"
print(f"logits differ by at most {off32:.0e}, in float64 by {off64:.0e}")

# %% [markdown]
# Two programs, one of your parts and one without any of them, agree on every score for every token. *Now* it is
# loaded right.
#
# ## 8. What it knows
#
# The ten likeliest next words, after `<|endoftext|>` and the beginning of a sentence. What would you say?

# %%
def encoded(text):
    return torch.tensor([[tokenizer.end_of_text, *tokenizer.encode(text)]])


@torch.no_grad()
def ten_next(model, text):
    """The ten likeliest next tokens, as text, and their probabilities."""
    top = model(encoded(text))[0, -1].softmax(-1).topk(10)
    words = [piece_text(tokenizer.token_bytes(i)) for i in top.indices.tolist()]
    return words, top.values.tolist()


prompt = "Hugo liked the robot because it"
next_words(prompt, *ten_next(model, prompt))

# %% [markdown]
# (`␣` is the blank that belongs to the token.) And how well does it predict a whole text? For each token of the
# story: minus the logarithm of the probability that the model gave it before it came. That is the surprise, in
# nats; 0 is certainty, and ln 2 = 0.7 the toss of a coin.

# %%
@torch.no_grad()
def surprise(model, ids):
    """Nats at every token after the first."""
    logp = model(torch.tensor([ids]))[0, :-1].log_softmax(-1)  # (T - 1, V)
    return -logp[torch.arange(len(ids) - 1), ids[1:]]


nll = surprise(model, ids)
pieces = [tokenizer.token_bytes(i) for i in ids[1:]]
surprise_text(pieces, nll.tolist(), "How much each token surprised the model")

# %% [markdown]
# Look for names, and for what happens when a name comes a second time; for the words that hardly could be others;
# for the verb after *it*. (In the course's stories each thing has three verbs. To a model that knows the thing they
# are equally likely, which is a surprise of ln 3 = 1.1. A village is one of 120 made-up names:
# ln 120 = 4.8, where nothing hints at it. Said again, it could be copied from the text; where it still surprises, the
# model did not quite do that.) The average is the loss that training makes small, and e to
# its power the perplexity of lesson 01: among how many equally likely tokens the model might as well have guessed.

# %%
print(f"{nll.mean():.2f} nats per token, perplexity {perplexity(nll):.1f}")
print(f"knowing nothing: {math.log(config.vocab_size):.2f} nats, perplexity {config.vocab_size:,}")

# %% [markdown]
# ## 9. Break it: seven ways to load, one of them right
#
# Here is the file with six mistakes in it. Each changes numbers under their right names and in their right
# shapes, so that a load of the changed file gives what a `load_released` with this mistake would give of the right
# one. (A matrix that is turned in the file, and turned once more by the loading, is not turned at all.)

# %%
def changed(ending, change):
    """The file, with every tensor changed whose name ends so."""
    return {n: change(t) if n.endswith(ending) else t for n, t in state.items()}


def q_and_k_exchanged(t):
    q, k, v = t.chunk(3, dim=-1)
    return torch.cat((k, q, v), dim=-1)

# %% [markdown]
# **Predict.** Put the six in order, from the one that does the least harm to the one that does the most. *one
# attn.c_proj* is *attn.c_proj* in a single block; where the weight of `ln_f` stays 1, the last norm still centres and scales
# each row, and leaves out what it has learned.

# %%
files = {
    "right": state,
    "attn.c_proj not turned": changed("attn.c_proj.weight", lambda t: t.T),
    "one attn.c_proj not turned": changed("h.1.attn.c_proj.weight", lambda t: t.T),
    "queries and keys exchanged": changed(("c_attn.weight", "c_attn.bias"), q_and_k_exchanged),
    "no biases": changed(("c_attn.bias", "c_proj.bias", "c_fc.bias"), torch.zeros_like),
    "weight of ln_f stays 1": changed("ln_f.weight", torch.ones_like),
    "positions in reverse": changed("wpe.weight", lambda t: t.flip(0)),
}

# %% [markdown]
# Load each into one and the same model, and ask it what the right one was asked: its perplexity for the story, how
# far its logits are from the right ones, and the next word after the prompt.

# %%
other = GPT2(config).eval()
with torch.no_grad():
    right_logits = model(torch.tensor([ids]))
found = {}
for name, file in files.items():
    load_released(file, other)  # raises nothing
    with torch.no_grad():
        off = (other(torch.tensor([ids])) - right_logits).abs().max().item()
    found[name] = Load(*ten_next(other, prompt), perplexity(surprise(other, ids)), off)
assert all((load.difference < 1e-3) == (name == "right") for name, load in found.items())
loads(found, "Seven loads without an error, one of them right")

# %% [markdown]
# None of them raised an error. How much is "off by 5"? Logits matter only by their differences, so hold it against
# how far they lie apart: at each token, their deviation over the vocabulary, and from the lowest to the highest.

# %%
spread = right_logits.std(-1).mean().item()
reach = (right_logits.amax(-1) - right_logits.amin(-1)).mean().item()
print(f"at one token the logits have a deviation of {spread:.1f}, and reach over {reach:.1f}")

# %% [markdown]
# A logit that is off by 1 makes a word e times as likely, or as unlikely, beside the others. Would the perplexity have told you? Only if you knew what it should be. And even
# then, which of them are within a fifth of the right one, so that one might put it down to the text?

# %%
limit = 1.2 * found["right"].perplexity
close = [name for name, load in found.items() if name != "right" and load.perplexity < limit]
print("within a fifth:", ", ".join(close) or "none")

# %% [markdown]
# By their logits all of them stand out, the mildest too. Now look at what each of them says next. Words with a star are not among
# the ten of the right model. Which of these lists would you have taken for the work of a model that is right?

# %%
loads_to_play(prompt, found, begin_with="one attn.c_proj not turned")

# %% [markdown]
# And a text: the likeliest token, twenty-five times, by the right model and by those with one `attn.c_proj`, or all,
# as they lay in the file.

# %%
start = encoded("Hugo liked the robot because")
for name in ("right", "one attn.c_proj not turned", "attn.c_proj not turned"):
    load_released(files[name], other)
    with torch.no_grad():
        written = generate(other, start, max_new_tokens=25, temperature=0, top_k=None, generator=None)
    print(f"{name}:\n    {tokenizer.decode(written[0, 1:].tolist())}")

# %% [markdown]
# ### Nothing loaded at all
#
# torch has a loader of its own, `load_state_dict`, and it is strict: names that do not match are an error. It can
# be told not to be, with `strict=False`, and you will meet that advice. Here are the right tensors under names
# with a prefix. How many of them arrive?

# %%
torch.manual_seed(14)
fresh = GPT2(config).eval()
before = fresh.wte.weight.clone()
report = fresh.load_state_dict({PREFIX + name: named[name] for name in wanted}, strict=False)
print(f"missing: {len(report.missing_keys)} of {len(wanted)}; unexpected: {len(report.unexpected_keys)}")
print("wte is as it was:", torch.equal(fresh.wte.weight, before))
print(f"perplexity: {perplexity(surprise(fresh, ids)):,.0f}")

# %% [markdown]
# None, and no error. A loader should complain of everything that it did not expect; yours does. (The perplexity can
# be above that of knowing nothing, which is the size of the vocabulary. A random model does not say "all are equally
# likely"; its scores differ, for no reason, and what is sure without a reason is punished.)
#
# ### Where does it go wrong?
#
# The logits of *one attn.c_proj not turned* are off. In which block? Keep what each block gives, in the right model and
# in the wrong one, on the same text.

# %%
def after_each_block(model):
    """What each block has given, (1, T, C) each."""
    kept = []
    hooks = [block.register_forward_hook(lambda b, x, y: kept.append(y)) for block in model.h]
    with torch.no_grad():
        model(torch.tensor([ids]))
    for hook in hooks:
        hook.remove()
    return kept


load_released(files["one attn.c_proj not turned"], other)
for i, (good, bad) in enumerate(zip(after_each_block(model), after_each_block(other), strict=True)):
    print(f"after block {i}: off by up to {(good - bad).abs().max():.2g}")

# %% [markdown]
# **Before you go:** a colleague has moved a checkpoint into a program of their own. It loaded without an error,
# and the text that it writes is fluent, if a little dull. They ask whether it is right. What do you look at?
#
# <details><summary>A. More of its text</summary>
# One wrong matrix among many may leave the text fluent (above one was not turned). And a text that is a little
# worse looks like the text of a model that is a little worse.
# </details>
# <details><summary>B. Its perplexity</summary>
# Better: a number can be compared, if somebody has measured the same text with the same model before. But a small
# mistake changes it by little, and it does not say where.
# </details>
# <details><summary>C. Its logits, beside those of a program that is known to be right</summary>
# Yes: for one text, all of them, to within 0.01 in float32, and in float64 to rounding, as above. And where they
# differ, go through the blocks, and find the first that does.
# </details>

# %% [markdown]
# ## What you have
#
# `load_released` reads a checkpoint into your own GPT-2, name by name: prefix off, masks and a tied head left
# out, the matrices of the blocks turned by their name and not by their shape; and it refuses what does not fit.
# Your model then gives the logits of a second program that shares no part with it. A file that loads without an
# error may still be loaded wrong: compare logits.
#
# The numbers of this stage in the smallest GPT-2:

# %%
in_turned = gpt2.n_layer * sum(math.prod(shape) for shape in sizes.values())
in_square = gpt2.n_layer * gpt2.n_embd**2
print(f"{n_tensors} tensors loaded, of {len(shapes)} in the file")
print(f"turned: {gpt2.n_layer * len(sizes)} matrices with {in_turned / n_numbers:.0%} of all numbers")
print(f"square, so that nothing complains: {gpt2.n_layer} matrices, {in_square / n_numbers:.1%} of all numbers")

# %% [markdown]
# **Sources.** Radford et al. 2019, *Language Models are Unsupervised Multitask Learners*, table 2 (the sizes as
# they were first given); the code released with it, `src/model.py`, function `conv1d`, and its
# `README.md` (the note on the counts); the safetensors library, `README.md`, section *Format*; transformers,
# `pytorch_utils.py`, class `Conv1D`.
#
# **Next:** the numbers are in place, and they do something. Lesson 15 looks at what: which heads look where, and
# what the stream holds on its way up.
