# %% [markdown]
# # 00 · Welcome
#
# You are going to build GPT-2, a program that continues any text that you give it. All of it: how a text
# becomes numbers, how the numbers read each other, how they become a text again. **What will it look
# like, and how does this course work?**
#
# - **In:** nothing. To run a cell, click into it and press Shift and Enter together; the next one is
#   then marked. Run them in order, from top to bottom.
# - **Out:** a map of the way, a small GPT-2 to play with, and your first exercise passed.
# - **Time:** about 20 minutes. One exercise: `shift_targets`.

# %% [markdown]
# ## Is everything there?
#
# This cell looks for what the course needs on your computer. If it says *all there*, go on. If it names
# something else, it also says what to do.

# %%
import importlib.util
import sys

needed = ["gpt2course", "torch", "numpy", "matplotlib", "ipywidgets", "jaxtyping", "tqdm",
          "tiktoken", "regex", "requests", "safetensors", "huggingface_hub"]
missing = [name for name in needed if importlib.util.find_spec(name) is None]
if sys.version_info < (3, 11) or missing:
    print("Missing:", ", ".join(missing) or "Python 3.11 or newer")
    print("Close JupyterLab, and start it with `python3 course.py` in the folder of the course.")
else:
    print("all there")

# %% [markdown]
# (Something else does not work? In a terminal, `python -m gpt2course doctor` examines everything and
# names a remedy for what it finds.)
#
# Now the tools of this lesson. What comes from the package is explained when it is used.

# %%
import re
import textwrap
from collections import Counter

import torch

from gpt2course import check
from gpt2course.config import GPT2Config
from gpt2course.corpus import TRAINING_STORIES, documents
from gpt2course.lessons.welcome import GrowingText, explorer, next_logits_of, pipeline
from gpt2course.model import GPT2, count_parameters
from gpt2course.weights import load_tokenizer

# %% [markdown]
# ## The whole of GPT-2
#
# This picture will come back at the beginning of every lesson, with the box lit that the lesson builds.
# The numbers are those of the lessons. Follow the arrows once, from the text on the left to the next word
# on the right, and then the long arrow at the bottom. What does it do with the word? (The names and letters
# inside the boxes are explained where they are built.)

# %%
pipeline("00_welcome")

# %% [markdown]
# A text comes in from the left. It is cut into **tokens**, words or pieces of words, and each is a number
# (02). Every number becomes a row of numbers, which says what the token is (03) and where it stands
# (04). In a **block**, the tokens read from those before them (05, 06, 07), and each is worked on by
# itself (08); the block (09) is repeated 12 times. At the end there is a score for every token of the
# vocabulary (10), and one of them is picked (11).
#
# The long arrow: the new token joins the text, and everything runs again for the next one. That is all
# that such a program does. It says what may come next, one token after the other; the cache (12) makes
# that fast.
#
# ## A small one to play with
#
# GPT-2 has 124 million numbers that were learned from 40 GB of text. A smaller one comes with the course, made
# of exactly the same parts: the parts that you will build. It has learned from little stories, which were written
# by a program. Here are two of them. What does each thing do?

# %%
stories = documents(seed=0, n=4000)
for story in stories[:2]:
    print(textwrap.fill(story, 90), end="\n\n")
print(f"… and so on, {TRAINING_STORIES:,} stories")

# %% [markdown]
# In these stories everything has its habits: a kettle whistles, boils or steams, a dog barks, growls or whines,
# and nothing else does. The model has never been told so. It has read the stories, that is all.
#
# Its tokens are words and pieces of words, and `tokenizer` gives each its number. There are 2,048 of them. How many
# numbers will the model have learned: some thousand, a million, a hundred million?

# %%
model, tokenizer = GPT2.from_pretrained("course"), load_tokenizer("course")
assert tokenizer.vocab_size == 2048
f"{count_parameters(model.config):,} numbers; the smallest released GPT-2 has {count_parameters(GPT2Config()):,}"

# %% [markdown]
# Before they were learned, they were random. Below is a text and the opinion of such a random model on its next
# token, the ten likeliest with their probabilities (the sign ␣ is the blank before a word). What do you expect
# of a model that has seen nothing yet?

# %%
torch.manual_seed(0)
beginner = GPT2(model.config)
GrowingText(next_logits_of(beginner), tokenizer, "Mina looked at the kettle because it").picture()

# %% [markdown]
# It finds every token about as likely as every other, not far from one in 2,048: it knows nothing. Then it was
# trained. Again and again it read pieces of the stories and said at every place what might come next, and all of its
# numbers were moved a little, so that the tokens that really came got more probability. (You will do that yourself
# in lesson 13.) The same text under the trained model:

# %%
GrowingText(next_logits_of(model), tokenizer, "Mina looked at the kettle because it").picture()

# %% [markdown]
# Three tokens are left, and they are the kettle's. Before you play with it, one more look at the stories. Many
# sentences end like this one, *… because it boiled*, and then there is either a full stop, or they go on. What
# comes right after the verb, and how often?

# %%
found = re.findall(r"because it \w+ed( \w+|\.)", "\n".join(stories))
for token, n in Counter(found).most_common(6):
    print(f"because it …ed{token:9} {n / len(found):.0%} of {len(found):,}")

# %% [markdown]
# **Predict.** What will the model say after *Mina looked at the kettle because it boiled*?
#
# <details><summary>A. The full stop, with nearly 100 %, since it is the most frequent</summary>
# The most frequent, but most sentences do go on. A model that gave all to the full stop would be wrong more often
# than right.
# </details>
# <details><summary>B. The full stop with something like two fifths, each of the other five with much less</summary>
# Yes. It has no opinion on what <i>should</i> come. It learns how often each token does.
# </details>
# <details><summary>C. All six about equally, since all are possible</summary>
# Then it would have learned what is possible, and not how likely it is. Each time that it learned from such
# a sentence, the probability of the token that really came was raised, and the full stop came most often.
# </details>

# %% [markdown]
# ## The Explorer
#
# Here you can put it to the test. Press a token to append it, and the model tells you what it expects
# after that. (With the keyboard: Tab moves, Enter presses.) Some things to try:
#
# 1. Choose a verb of the kettle: was your prediction right? Then write *dog* in place of *kettle* into
#    the field at the top and press Enter. The last two words are the same. How does the model know?
# 2. *draw one* lets the probabilities decide, as dice would. Press *draw 10* three times. Does each thing
#    keep to its habits?
# 3. The temperature makes the differences between the bars larger (below 1) or smaller (above 1). Move it to
#    0, press *draw 10*, then *start again* and *draw 10* once more. Then the same at 2. Which of the two
#    writes the same text every time? (*top-k* waits for lesson 11.)
# 4. Empty the field and press Enter. What stands there now is the sign before every story, and what the model
#    draws is a story of its own.

# %%
explorer(model, tokenizer, "Mina looked at the kettle because it")

# %% [markdown]
# *kettle* stands two words before *it*, and may stand further off, as in *Mina led the dogs past the kettle in the
# garden because it*. The token *it* has looked back and found it. That looking back is called attention, and it is
# the heart of this course. (The button *attention* draws it; lessons 05 to 07 say what is to be seen there.) At
# temperature 0 the likeliest token is taken every time, so the text is always the same; at 2, unlikely ones come up
# often, and the sentences fall apart (11).
#
# ## How an exercise works
#
# The model learned from the stories alone; nobody wrote down questions and answers for it. **Every text is
# its own teacher:** the token that comes next is the answer, and the text knows it. This is your first
# exercise: take a list of ids, and make two lists of it, the **inputs** and the **targets**. The target
# of each input is the id that comes right after it. For `[5, 6, 9]` there are two such questions: after
# 5 comes 6, and after 6 comes 9. So the answer is `([5, 6], [6, 9])`.
#
# Before you write it, look at a wrong answer, to see what happens. This function asks each id for itself:

# %%
def the_same_twice(ids):
    return ids[:-1], ids[:-1]


for_now = check(the_same_twice, "shift_targets")

# %% [markdown]
# Such a card comes after every check. From top to bottom: *not yet*; the mistake by its name, where it is
# one that people make often, and why it leads to this; what was tried, what was expected, what came
# instead. The last line says what happens now. **You cannot get stuck:** as long as an answer does not
# pass, `check` hands out the package's own function. Here it is, doing the right thing:

# %%
for_now([5, 6, 9])

# %% [markdown]
# **Predict.** A text has n ids. How many inputs are there?
#
# <details><summary>A. n: every id can be an input</summary>
# The last one cannot. The text ends there, so nobody knows what comes after it.
# </details>
# <details><summary>B. n - 1</summary>
# Yes: all ids but the last. And the targets are all but the first, since nothing comes before that one.
# </details>
# <details><summary>C. n / 2: one half asks, the other half answers</summary>
# An id can do both: in 5, 6, 9 the 6 answers what comes after 5, and then asks what comes after itself.
# </details>

# %% [markdown]
# ## Exercise: `shift_targets`
#
# Now yours. In an exercise you replace the line that begins with `raise` by your own code, run the cell,
# and run the check below it. Take your time and try wrong ones too; nothing can break. A list with one id
# or none has no inputs and no targets, and the result is `([], [])`. The list that comes in must not be
# changed.
#
# <details><summary>Hint 1</summary>
# Python can leave out the beginning or the end of a list. An example with another number than yours:
# <code>ids[2:]</code> is the list without its first <i>two</i> entries, <code>ids[:-2]</code> the list
# without its last <i>two</i>, and both are new lists. How many have to go here?
# </details>
# <details><summary>Hint 2</summary>
# The inputs are all but the last, the targets all but the first. Two results are handed out with a comma:
# <code>return inputs, targets</code>.
# </details>

# %%
def shift_targets(ids: list[int]) -> tuple[list[int], list[int]]:
    """Inputs and targets: the target of every input is the id that comes after it."""
    ### BEGIN SOLUTION
    return ids[:-1], ids[1:]
    ### END SOLUTION

# %%
shift_targets = check(shift_targets)

# %% [markdown]
# This is what it is for. One sentence, and the questions that it asks the model, each with its answer:

# %%
inputs, targets = shift_targets(tokenizer.encode("Mina looked at the kettle because it boiled."))
for now, later in zip(inputs, targets):
    print(f"after {tokenizer.decode([now]):8} comes {tokenizer.decode([later])}")

# %% [markdown]
# The model is given more than the single token: it sees all that stands before, too, or it could not know
# what the kettle does. In lesson 01 you will build one that sees only the single word, and measure the
# difference.
#
# ## The way
#
# | lessons | what you build |
# |---|---|
# | 01 | a language model that counts, and the measure for all of them |
# | 02 to 04 | text to tokens, tokens to rows of numbers |
# | 05 to 07 | attention: how tokens read from each other |
# | 08 to 10 | the rest of the block, the stack of blocks, a score for every token |
# | 11, 12 | from scores to text, and fast |
# | 13, 14 | training, and the released GPT-2 running on your parts |
# | 15 to 20 | looking inside, and what else the same parts can do |
# | 21 | your own GPT-2, assembled and held against the original |
#
# A lesson takes one to two hours. A few things that help on the way:
#
# - An answer that passed is kept, in the folder `my_gpt2` beside the lessons, as plain Python. Later
#   lessons use it: `from gpt2course.mine import …` gives your part where there is one, and the package's
#   where there is none.
# - Before a cell that asks for a prediction, make one. Being wrong is what you will remember.
# - If the kernel has stopped, or a cell complains about a name that it does not know: Run ▸ Run All Above
#   Selected Cell.
# - Hints are folded away below each exercise. The first is a nudge, the last is nearly the answer.
#
# **Source.** Radford et al. 2019, *Language Models are Unsupervised Multitask Learners*: the paper of
# GPT-2. You will be able to read section 2 after lesson 10.
#
# **Next:** before all this machinery, the smallest language model there is: lesson 01, language models.
