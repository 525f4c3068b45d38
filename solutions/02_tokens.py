# %% [markdown]
# # 02 · Tokens
#
# **The question:** a model needs numbers. How does a text become a list of numbers, such that no text is
# impossible and the lists stay short?
#
# - **In:** a text, such as `"robot must obey orders"`.
# - **Out:** a list of ids, whole numbers from 0 to V - 1 (V is 50,257 for GPT-2). And the way back.
# - **Time:** 65 minutes for the core, 100 for everything, with a place for a break in the middle.
# - **Exercises:** `count_pairs`, `merge_pair`, `train_merges`, `encode_chunk` and `decode_ids`, together a
#   complete tokenizer.
#
# Keep at hand: the [cheat sheet](../docs/cheat_sheet.md), the [glossary](../docs/glossary.md), the
# [notation](../docs/notation.md), and [what well-known explanations get wrong](../docs/common_errors.md).

# %% [markdown]
# First the imports. `STORY` is a small text about robots, from which our tokenizer will learn.

# %%
from gpt2course import check, kept_names, my_progress
from gpt2course.config import GPT2Config
from gpt2course.lessons.tokens import (
    STORY, boxes, bytes_under, compression, cuts, language_chart, merge_slider, merge_steps,
    merge_tree, piece_table, token_boxes, tower,
)
from gpt2course.model import count_parameters
from gpt2course.tokenizer import Tokenizer, split_text, to_gpt2_ids

# %% [markdown]
# You are here:

# %%
tower("02_tokens", kept_names())

# %% [markdown]
# ## Which pieces get a number?
#
# Cut the text into pieces and number them. A piece is called a **token**, its number is its **id**, and all
# pieces that have an id are the **vocabulary**. What should the pieces be?
#
# **Words?** Here is our story, cut at its spaces, and then the words of a new text that the story does not have.
# Do all of them look like words?

# %%
words = sorted(set(STORY.split()))
print(len(words), "different words:", *words[:16], "…", *words[80:92])
new = "Orderly robots disobeyed. But a robot is still a robot!"
print("no number for:", *(word for word in new.split() if word not in words))

# %% [markdown]
# `"An` and `Eleven,` count as words of their own, beside `an` and `Eleven`. Worse, five words have no number.
# Every list of words has this hole, however long it is: names, typing errors, other languages.
#
# **Characters?** *Character-level* models take them. But all scripts together have about 150,000, three times
# the size of GPT-2's vocabulary. Every id needs a row of the model's first matrix, and most of these rows would
# hardly ever be used.
#
# **Bytes?** A computer stores text as bytes, numbers from 0 to 255, usually in **UTF-8**: an English letter
# takes one byte, other characters take two to four. So 256 ids are enough for every text. Which of these
# characters take more than one byte?

# %%
bytes_under("rRéя机🤖")

# %% [markdown]
# But the lists are long. GPT-2 sees at most 1024 tokens at a time: its **context window**. If each byte were a
# token, only half of our short story would fit in.
#
# GPT-2 takes the middle: **begin with bytes, and merge what often occurs side by side** in some
# text, on which the tokenizer is *trained*. Frequent words become one token, rare ones a few pieces
# (*subwords*), and in the worst case there are still the bytes. This is *byte-level byte pair encoding*,
# **BPE** for short.
#
# ## Merge the most frequent neighbours
#
# Our example is three words. Each box is a token, and the small number under it is its id. At first every byte
# is a token, and its id is the byte itself. ␣ is a space, a byte like any other.

# %%
text = b"robot robs robots"
toy = list(text)
token_boxes(toy)

# %% [markdown]
# A **pair** is two neighbours, left and right: the first is `(114, 111)`, *r* and *o*, the second `(111, 98)`.
# Which pair occurs most often? Count for yourself before you write a function that does.
#
# ## Exercise: `count_pairs` ●●○○○ · 5 minutes
#
# Count how often each pair of neighbours occurs. Return a dict: the key is the pair, a tuple of two ids, the
# value its count. In a run of equal ids every two neighbours count: `[1, 1, 1]` has the pair `(1, 1)` twice.
# As in all exercises, do not change the list that comes in. Until your function passes, the check puts the
# package's own in its place.
#
# <details><summary>Hint 1</summary>
# A list of n ids has n - 1 pairs. At which position does the last pair begin?
# </details>
# <details><summary>Hint 2</summary>
# Begin with an empty dict, go over the pairs, and add 1 to the entry of each. <code>dict.get</code> can
# supply the count of a pair that has no entry yet.
# </details>
# <details><summary>Hint 3</summary>
# <code>zip</code> of the list with the same list without its first id gives all pairs of neighbours.
# </details>

# %%
def count_pairs(ids: list[int]) -> dict[tuple[int, int], int]:
    """How often each pair of neighbours occurs."""
    ### BEGIN SOLUTION
    counts = {}
    for pair in zip(ids, ids[1:]):
        counts[pair] = counts.get(pair, 0) + 1
    return counts
    ### END SOLUTION

# %%
count_pairs = check(count_pairs)

# %% [markdown]
# The pairs of the toy text, the most frequent first. Was your count right?

# %%
ranking = sorted(count_pairs(toy).items(), key=lambda item: (-item[1], item[0]))
for pair, count in ranking[:5]:
    print(count, "times", pair, bytes(pair))

# %% [markdown]
# `ob` and `ro` occur three times each. When two pairs are equally frequent, we take the **smaller pair**.
# Pairs are compared as Python compares tuples, so `(111, 98)` comes before `(114, 111)`. Its new id will be
# 256, the first number that is no byte.
#
# **Predict.** The ids are `[7, 7, 7]`, and the pair `(7, 7)` becomes 256. What will be left?
#
# <details><summary>A. [256, 256]: both pairs are merged</summary>
# The middle 7 would then be part of two tokens, and decoding them would give four sevens. An id can be part
# of one merge only.
# </details>
# <details><summary>B. [256, 7]</summary>
# Yes. Go from left to right, merge the first two, and continue behind them, where a single 7 is left.
# </details>
# <details><summary>C. [7, 256]</summary>
# That would be just as short. But everyone who encodes a text must get the same ids, so one direction
# has to be agreed on, and it is left to right.
# </details>
#
# ## Exercise: `merge_pair` ●●○○○ · 10 minutes
#
# Replace every occurrence of `pair` by `new_id`, from left to right, without overlap. Return a new list;
# everything else stays as it is.
#
# <details><summary>Hint 1</summary>
# Build the new list beside the old one, with a position <code>i</code> that you move yourself: by two
# after a merge, by one otherwise. A <code>while</code> loop is easier here than a <code>for</code>.
# </details>
# <details><summary>Hint 2</summary>
# The last id has no right neighbour. Test <code>i + 1 &lt; len(ids)</code> before you look at it, and
# make sure that it still gets into the new list.
# </details>
# <details><summary>Hint 3</summary>
# <code>ids[i : i + 2]</code> is a list and <code>pair</code> is a tuple, and these two are never equal.
# Compare tuples with tuples.
# </details>

# %%
def merge_pair(ids: list[int], pair: tuple[int, int], new_id: int) -> list[int]:
    """A new list with new_id in place of each pair, left to right."""
    ### BEGIN SOLUTION
    merged = []
    i = 0
    while i < len(ids):
        if i + 1 < len(ids) and (ids[i], ids[i + 1]) == pair:
            merged.append(new_id)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged
    ### END SOLUTION

# %%
merge_pair = check(merge_pair)

# %% [markdown]
# The prediction, then the first merge of the toy text. Of seventeen boxes, how many will be left?

# %%
print("[7, 7, 7] becomes", merge_pair([7, 7, 7], (7, 7), 256))
first = merge_pair(toy, (111, 98), 256)
assert len(first) == len(toy) - 3, "three pairs merged should leave three ids fewer"
token_boxes(first, [(111, 98)])

# %% [markdown]
# Now `ob` is a token, and can be part of a pair itself. Count, merge, repeat: here are five rounds, with pairs
# picked by hand. Is each the most frequent of its round? The picture has a row for each merge; a thick frame
# marks what is new. The number of a merge is its **rank**: the merge of rank `r` makes the id `256 + r`. What
# strikes you about the last row?

# %%
by_hand = [(111, 98), (114, 256), (32, 257), (111, 116), (115, 258)]
toy_ids = toy
for rank, pair in enumerate(by_hand):
    counts = count_pairs(toy_ids)
    print(f"rank {rank}: count of {pair} is {counts[pair]}, the highest {max(counts.values())}")
    toy_ids = merge_pair(toy_ids, pair, 256 + rank)
merge_steps(text, by_hand)

# %% [markdown]
# ## Never across a word
#
# The last merge made `s␣rob`, which is no piece of language. In a large text there would also be tokens such
# as `robot.` and `robot!`. GPT-2 therefore first cuts a text into **chunks** (*pre-tokenization*), and counts
# and merges pairs inside a chunk only. Look for the spaces, the number, the apostrophes.

# %%
kettle = "The robots' kettle boiled 12 times: it can't stop."
kettle_chunks = split_text(kettle)
assert b"".join(kettle_chunks) == kettle.encode()
boxes(kettle_chunks)

# %% [markdown]
# Letters, digits and other signs do not mix. **A space belongs to the word that follows it.** So ` robot` in
# the middle of a sentence and `robot` at the beginning of a line are different chunks.

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ### Deeper: the rule in full
#
# Where several spaces go, and what else `split_text` does. You can skip this section.

# %% [markdown]
# **Predict.** Between `a` and `robot` there are two spaces: `"a  robot"`. Where do they go?
#
# <details><summary>A. Both with robot</summary>
# Then every number of spaces would give another chunk for the same word. Only the last space goes with
# the word, so that ` robot` stays the same token whatever comes before it.
# </details>
# <details><summary>B. Both with a</summary>
# A space never belongs to the word before it. If it did, the last word of a text, which has no space
# after it, would be another token than the same word elsewhere.
# </details>
# <details><summary>C. The first alone, the second with robot</summary>
# Yes. The word takes one space, and all others before it are a chunk of their own.
# </details>

# %%
boxes(split_text("a  robot and\n    another"))

# %% [markdown]
# The rule is one regular expression (`GPT2_PATTERN` in the package). At each place it tries in turn:
#
# 1. an ending such as `'t` or `'s`;
# 2. letters, or digits, or other signs, each with at most one space in front;
# 3. what is left: spaces, tabs and new lines. If a word follows, the last of them is cut off from the others:
#    a space joins the word, a tab or a new line is a chunk of its own.

# %%
boxes(split_text("It's\n\n\trobot No. 9, \n isn't it?"))

# %% [markdown]
# ## Exercise: `train_merges` ●●●○○ · 15 minutes
#
# This is the whole training. `chunks` is a list of bytes, as `split_text` returns it. Count the pairs in all
# chunks together, take the most frequent one (of equals the smaller pair), replace it in all chunks by a new
# id (256, then 257 and so on), and repeat, `n_merges` times. Return the pairs, in the order in which they
# were merged. Never count or merge across two chunks. A pair that occurs only once counts too; stop early
# when there is none.
#
# <details><summary>Hint 1</summary>
# Keep a list of lists: <code>list(chunk)</code> gives the bytes of a chunk as ids. In each round, run
# <code>count_pairs</code> on every chunk and add up the counts. The <code>update</code> of a
# <code>collections.Counter</code> adds counts; that of a plain dict replaces them.
# </details>
# <details><summary>Hint 2</summary>
# <code>max</code> of (count, pair) would prefer the larger pair among equals. <code>min</code> of (minus
# the count, pair) prefers the smaller one.
# </details>
# <details><summary>Hint 3</summary>
# If there are no counts, leave the loop. Otherwise make every list anew with <code>merge_pair</code>;
# the new id is 256 plus the number of merges made so far.
# </details>

# %%
def train_merges(chunks: list[bytes], n_merges: int) -> list[tuple[int, int]]:
    """The n_merges most useful pairs, in the order in which they are merged."""
    ### BEGIN SOLUTION
    words, merges = [list(chunk) for chunk in chunks], []
    while len(merges) < n_merges:
        counts = {}
        for ids in words:
            for pair, count in count_pairs(ids).items():
                counts[pair] = counts.get(pair, 0) + count
        if not counts:
            break
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        words = [merge_pair(ids, best, 256 + len(merges)) for ids in words]
        merges.append(best)
    return merges
    ### END SOLUTION

# %%
train_merges = check(train_merges)

# %% [markdown]
# As a single chunk, the toy text gives the five merges made by hand. Cut into chunks, will it give `s␣rob`?

# %%
assert train_merges([text], 5) == by_hand, "one chunk should give the merges made by hand"
toy_merges = train_merges(split_text("robot robs robots"), 5)
boxes(piece_table(toy_merges)[256:], [str(pair) for pair in toy_merges])

# %% [markdown]
# Now the story. How many merges will you get, if you ask for 300?

# %%
chunks = split_text(STORY)
merges = train_merges(chunks, 300)
f"{len(chunks)} chunks, {len(set(chunks))} of them different; {len(merges)} merges"

# %% [markdown]
# It ran dry: every chunk of the story is now one single token. Here are the first twenty-four pieces and the
# last eight. What do they tell you about English, and about the story?

# %%
pieces = piece_table(merges)
shown = [*range(256, 280), *range(len(pieces) - 8, len(pieces))]
boxes([pieces[i] for i in shown], [str(i) for i in shown])

# %% [markdown]
# First come letters that go together in any English text, and soon whole words: ` the`, ` order`, ` and`.
# Nobody told the algorithm about words; it counted. The tree shows how a token came to be. Read it from the
# bytes up: a merge can use only what exists already, so the ids grow.

# %%
merge_tree(b" robots", merges)

# %% [markdown]
# This is the place for a break. (Has the kernel stopped when you come back? Run ▸ Run All Above Selected
# Cell.)
#
# ## From text to ids
#
# Nothing is kept of the training but the merges. To **encode** a new chunk, make them in the same order: of
# all merges whose pair occurs in the chunk, make the one with the **lowest rank**; repeat until no pair is a
# merge.
#
# **Predict.** There are three merges: rank 0 is `bc`, rank 1 is `ab`, rank 2 is `cd`. What becomes of `abcd`?
#
# <details><summary>A. ab and cd: two tokens are the fewest possible</summary>
# The fewest possible, yes, but that is not the rule. The merge that was learned first is made first,
# and it takes the b and the c away from the other two.
# </details>
# <details><summary>B. a, bc and d</summary>
# Yes. Of the three merges that could be made, bc has the lowest rank. After it there is no ab and no cd
# any more.
# </details>
# <details><summary>C. ab, c and d: one goes from left to right</summary>
# Left to right decides between several places of one and the same pair. Between different pairs the
# rank decides.
# </details>
#
# ## Exercise: `encode_chunk` ●●●○○ · 10 minutes
#
# `merges[r]` is the pair of rank `r`, and its id is `256 + r`. Return the ids of the chunk. Use your
# `merge_pair`.
#
# <details><summary>Hint 1</summary>
# Begin with <code>list(chunk)</code>, and with a dict from each pair to its rank.
# </details>
# <details><summary>Hint 2</summary>
# In a loop: look at all pairs of neighbours, take the one with the lowest rank. Treat the rank of a pair that
# is no merge as infinite: <code>dict.get</code> with <code>float("inf")</code>.
# </details>
# <details><summary>Hint 3</summary>
# Stop when the best pair is no merge, and when a single id is left, for then there is no pair and
# <code>min</code> would raise an error.
# </details>

# %%
def encode_chunk(chunk: bytes, merges: list[tuple[int, int]]) -> list[int]:
    """The ids of one chunk: the merge learned first is made first."""
    ### BEGIN SOLUTION
    ranks = {pair: rank for rank, pair in enumerate(merges)}
    ids = list(chunk)
    while len(ids) > 1:
        best = min(zip(ids, ids[1:]), key=lambda pair: ranks.get(pair, float("inf")))
        if best not in ranks:
            break
        ids = merge_pair(ids, best, 256 + ranks[best])
    return ids
    ### END SOLUTION

# %%
encode_chunk = check(encode_chunk)

# %% [markdown]
# The three merges of the prediction:

# %%
bc_ab_cd = [(98, 99), (97, 98), (99, 100)]
token_boxes(encode_chunk(b"abcd", bc_ab_cd), bc_ab_cd)

# %% [markdown]
# To encode a whole text, cut it into chunks and string their ids together. The story must come out as the
# training left it, one token for each chunk. The boxes are the text whose words had no number.
#
# **Play with it.** Which words are in one piece? Then move the slider to the left: which merge makes ` robots`
# whole? Type something of your own: the same word with and without a space, and in capitals; a number; a word
# of another language.

# %%
def encode(text: str) -> list[int]:
    """The ids of a text with the merges of the story."""
    return [token_id for chunk in split_text(text) for token_id in encode_chunk(chunk, merges)]


print(f"the story: {len(encode(STORY))} tokens for {len(chunks)} chunks")
assert len(encode(STORY)) == len(chunks), "every chunk of the story should be one token"
merge_slider(merges, new)

# %% [markdown]
# Every text has ids now. *disobeyed* comes in pieces, some of them single letters. So does *Orderly*, though
# the story knows ` orderly`: `O` and `o` are different bytes, and at the beginning of a text the space is
# missing.
#
# <details><summary>Why is ` But` two tokens?</summary>
# In the story <i>But</i> comes after a quotation mark. What was learned there is <code>But</code> without a
# space.
# </details>
# <details><summary>What you will have found</summary>
# The 44th merge makes <i>␣robots</i> whole: it joins ␣robot and s to the id 299. With or without a space, or in capitals,
# the same word falls into different tokens. A number falls into single digits, because the story has none, and
# a word of another language into short pieces or bytes.
# </details>

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ### Deeper: how much shorter do texts get?
#
# The merges measured on the story and on a new text. You can skip this section.

# %% [markdown]
# The measure is **bytes per token**. One curve is the story, the other a text that was not in the training.
# How far behind will that one be at the end?

# %%
unseen = """A kettle that has no water makes no sound. The robots looked at it all morning, and
then one of them said that somebody should give it some water. But who? It was not their kettle."""


def bytes_per_token(text: str, n: int) -> float:
    n_tokens = sum(len(encode_chunk(chunk, merges[:n])) for chunk in split_text(text))
    return len(text.encode()) / n_tokens


steps = [0, 5, 10, 20, 40, 80, 160, len(merges)]
compression({name: [(n, bytes_per_token(t, n)) for n in steps]
             for name, t in [("the story", STORY), ("a text not trained on", unseen)]})

# %% [markdown]
# The first merges help both: they are English. The late ones are whole words of this very story, and a new
# text gains less from each. That is why GPT-2's merges come from a very large and mixed text.

# %% [markdown]
# ## From ids to text
#
# The way back looks easy. Here are the pieces of a short text, each decoded by itself. What goes wrong?

# %%
cafe = encode("It is a café 🤖")
[pieces[i].decode("utf-8", errors="replace") for i in cafe]

# %% [markdown]
# *é* is two bytes, the robot's face four, and our merges never joined them. One such token alone is **not a
# character**; `�`, U+FFFD, is Unicode's sign for "this could not be read". So join the bytes of all tokens
# first.
#
# ## Exercise: `decode_ids` ●●○○○ · 10 minutes
#
# Return the text of a list of ids. Join the bytes first, then decode as UTF-8. Bytes that are no character
# even then (a model may stop in the middle of one) become U+FFFD: that is what `errors="replace"` does. An id
# beyond that of the last merge must raise an error, whichever you like: it was made with other merges.
#
# <details><summary>Hint 1</summary>
# Make a list with the bytes of every id: 256 single bytes, then one entry for each merge.
# </details>
# <details><summary>Hint 2</summary>
# <code>bytes([98])</code> is the single byte 98. The entry of a merge is the entry of its left id plus
# the entry of its right id, and both are in the list already when you come to it.
# </details>
# <details><summary>Hint 3</summary>
# <code>b"".join(…)</code> joins, and <code>.decode("utf-8", errors="replace")</code> decodes. A list that is
# asked for an entry beyond its end raises an IndexError by itself.
# </details>

# %%
def decode_ids(ids: list[int], merges: list[tuple[int, int]]) -> str:
    """The text of ids; bytes that are not UTF-8 become U+FFFD."""
    ### BEGIN SOLUTION
    pieces = [bytes([byte]) for byte in range(256)]
    for left, right in merges:
        pieces.append(pieces[left] + pieces[right])
    joined = b"".join([pieces[token_id] for token_id in ids])
    return joined.decode("utf-8", errors="replace")
    ### END SOLUTION

# %%
decode_ids = check(decode_ids)

# %% [markdown]
# There and back gives the text itself, whatever it is: this is the promise of bytes. The last line is the end
# of the short text after each of its last five tokens. When does the robot's face arrive?

# %%
for example in [STORY, new, "It is a café 🤖", "  two  spaces\n\n", "機械 и роботы"]:
    same = decode_ids(encode(example), merges) == example
    print("comes back the same:", same, repr(example[:20]))
    assert same, "decode_ids should undo encode"
[decode_ids(cafe[:n], merges)[-2:] for n in range(len(cafe) - 4, len(cafe) + 1)]

# %% [markdown]
# ## The one special token
#
# Where does one text end and the next begin? You will read that texts are framed by `<s>` and `<EOS>`. Other
# models do that. GPT-2 has one token, `<|endoftext|>`, for both: it ends a text, and a model that writes
# without a prompt begins with it. It is simply the last id. `Tokenizer` is the package's faster version of what
# you have built. Is `<EOS>` one token too?

# %%
ours = Tokenizer(merges)
assert ours.encode(new) == encode(new), "Tokenizer and encode should give the same ids"
assert ours.vocab_size == 256 + len(merges) + 1
print(f"ours: 256 + {len(merges)} + 1 = {ours.vocab_size:,} ids; GPT-2: 256 + 50,000 + 1 = {256 + 50_000 + 1:,}")
two_texts = ours.encode("The end.<|endoftext|>A robot<EOS>", allow_special=True)
boxes([ours.token_bytes(i) for i in two_texts], [str(i) for i in two_texts])

# %% [markdown]
# No: five tokens, like any other five characters.

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ### Deeper: why GPT-2's tokenizer is not WordPiece
#
# You will often read that it is. How WordPiece, the tokenizer of BERT, cuts differently. You can skip this
# section.

# %% [markdown]
# WordPiece forgets how its pieces were made. From the left, it takes the **longest piece** that fits, then
# the longest that fits the rest. Here is that rule with the pieces of our merges. The story has ` house`, but
# not ` houses`. Guess how each rule cuts ` houses`; then see which one finds the word.

# %%
def longest_pieces(word: bytes) -> list[bytes]:
    """WordPiece's way of cutting: from the left, always the longest piece there is."""
    cut, start = [], 0
    while start < len(word):
        ends = range(len(word), start, -1)  # the longest first
        end = next(end for end in ends if word[start:end] in pieces)
        cut.append(word[start:end])
        start = end
    return cut


by_rank = [pieces[i] for i in encode_chunk(b" houses", merges)]
by_length = longest_pieces(b" houses")
cuts([("lowest rank first, as GPT-2", by_rank, [pieces.index(p) for p in by_rank]),
      ("longest piece, as WordPiece", by_length, [pieces.index(p) for p in by_length])])

# %% [markdown]
# Why does the first rule not find ` house`? Here is how it is made where nothing follows it. Look at the ids:
# which of its merges were learned later than `es`, whose id is in the picture above?

# %%
for piece in [b"es", b"use", b" house"]:
    print(piece, "has the id", pieces.index(piece))
merge_tree(b" house", merges)

# %% [markdown]
# ` house` needs `use`, and `use` needs the `e`. In ` houses` the merge `es` wants the same `e`. It was
# learned earlier, so it takes it, and there is no `use` and no ` house` any more. The model does not mind, as
# long as every text is cut as in its training.
#
# WordPiece differs in more than this. It drops the spaces and marks pieces that continue a word with `##`
# instead (`house`, `##s`); what it cannot build from its pieces becomes one unknown token, `[UNK]`; and in
# training it chooses its pieces by another measure than the plain count.

# %% [markdown]
# ## GPT-2's own vocabulary
#
# GPT-2's 50,000 merges were published with it, in two files that the package tiktoken downloads once. Without
# a network connection the lesson continues with our own merges, and shows other numbers.

# %%
try:
    tokenizer, whose = Tokenizer.gpt2(), "GPT-2's 50,000 merges"
except (ConnectionError, ValueError, OSError) as error:
    print(error)
    tokenizer, whose = ours, f"our {len(merges)} merges"
print(f"From here on: {whose}, a vocabulary of {tokenizer.vocab_size:,}.")

# %% [markdown]
# Here is a sentence as GPT-2 sees it. **Your** `encode_chunk` with its merges must give the same ids. From 256 on
# an id is 256 plus the rank, as with us. But GPT-2 numbers the 256 bytes in an order of its own: `!`, our 33, is
# 0 there, and `to_gpt2_ids` translates them.

# %%
def show(text: str):
    """The tokens of a text with the vocabulary at hand."""
    ids = tokenizer.encode(text)
    return boxes([tokenizer.token_bytes(i) for i in ids], [str(i) for i in ids], ids)


ten_robots = "Ten robots disobeyed, and stood in a row at the café 🤖, waiting!"
mine = [i for chunk in split_text(ten_robots) for i in encode_chunk(chunk, tokenizer.merges)]
if whose.startswith("GPT-2"):
    mine = to_gpt2_ids(mine)
assert mine == tokenizer.encode(ten_robots), f"encode_chunk should give the same ids with {whose}"
show(ten_robots)

# %% [markdown]
# ## What follows from it
#
# Many odd habits of language models begin here.
#
# **Before you go:** a friend asks a model how many letters *r* there are in *terror*, and it fails. What do
# you answer?
#
# <details><summary>A. The model is too small</summary>
# Size helps, yet models a hundred times the size of GPT-2 have failed at this kind of question. Look at
# what the model gets to see.
# </details>
# <details><summary>B. The model never sees the letters</summary>
# Yes. The word arrives as one or two ids, and an id says nothing about its spelling. A model has to
# learn from other texts which letters belong to the token.
# </details>
# <details><summary>C. The tokenizer lost the letters</summary>
# Nothing is lost: decoding gives back every letter. But decoding is done outside the model; inside there
# are only the ids.
# </details>

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ### Deeper: spaces, numbers, and other languages
#
# Why no prompt should end in a space, how numbers are cut, and what a sentence costs in eight languages. You can
# skip this section.

# %% [markdown]
# **A space at the end of a prompt** is a token of its own. In nearly all training texts the space before a word
# was part of that word's token. A lone space says: what follows is a word without its space, and that is rare.

# %%
for prompt in ["A robot must", "A robot must "]:
    print([tokenizer.token_bytes(i) for i in tokenizer.encode(prompt)])

# %% [markdown]
# **Numbers are cut unevenly,** wherever frequent digits happened to be merged. Imagine adding numbers that
# you see like this. (Our own merges know no digits: with them every digit is alone.)

# %%
show("1024 1025 10247 2019 20190 3.14159")

# %% [markdown]
# **Other languages cost more.** GPT-2's merges were learned from text that was nearly all English. In which
# of these languages do you expect the longest bar of *tokens*? (Our own merges are no fair judge: the English
# words occur in the story.)

# %%
sentences = {
    "English": "A robot must obey orders.",
    "German": "Ein Roboter muss Befehlen gehorchen.",
    "Spanish": "Un robot debe obedecer órdenes.",
    "Polish": "Robot musi słuchać rozkazów.",
    "Greek": "Ένα ρομπότ πρέπει να υπακούει σε εντολές.",
    "Russian": "Робот должен подчиняться приказам.",
    "Hindi": "रोबोट को आदेशों का पालन करना चाहिए।",
    "Chinese": "机器人必须服从命令。",
}
costs = {name: (len(s), len(s.encode()), len(tokenizer.encode(s))) for name, s in sentences.items()}
language_chart(costs, whose)

# %% [markdown]
# A text in Hindi fills the 1024 tokens of the context window much sooner, and where tokens are paid for it
# costs more. For this reason later models have larger vocabularies, learned from more languages.

# %% [markdown]
# ## What you have
#
# A complete tokenizer. No text is impossible, because everything is bytes; the lists are short, because
# frequent neighbours are one token.
#
# The numbers that a model learns are its **parameters**. The tokenizer has none, but its vocabulary decides
# how many rows the first matrix of the model has. In the smallest GPT-2:

# %%
config = GPT2Config()
rows, total = config.vocab_size * config.n_embd, count_parameters(config)
print(f"vocabulary: {config.vocab_size:,} tokens; context: {config.n_ctx:,} tokens")
print(f"one row of {config.n_embd} entries for each: {rows:,} of {total:,} parameters, {rows / total:.0%}")

# %% [markdown]
# ### Questions
#
# Five about this lesson:
#
# 1. What does `count_pairs([5, 5, 5, 6])` return?
#    <details><summary>Answer</summary><code>{(5, 5): 2, (5, 6): 1}</code>.</details>
# 2. Why can a byte-level tokenizer encode every text?
#    <details><summary>Answer</summary>Every text is bytes, and each of the 256 bytes is in the
#    vocabulary.</details>
# 3. How many tokens does GPT-2's vocabulary hold, and of which three kinds are they?
#    <details><summary>Answer</summary>50,257: 256 bytes, 50,000 merges, and
#    <code>&lt;|endoftext|&gt;</code>.</details>
# 4. ` robot` and `robot` have different ids. Why?
#    <details><summary>Answer</summary>The space before a word is part of its chunk, so the two are
#    different bytes.</details>
# 5. Why join the bytes of all tokens before decoding?
#    <details><summary>Answer</summary>One character may span several tokens, and a part of a character
#    cannot be decoded.</details>
#
# Two about earlier lessons:
#
# 6. [Lesson 00](00_welcome.ipynb): a text has the ids `[3, 5, 7]`. Which ids does a model read in training,
#    and which should it predict?
#    <details><summary>Answer</summary>It reads <code>[3, 5]</code> and should predict <code>[5, 7]</code>:
#    the targets are the ids, shifted by one.</details>
# 7. [Lesson 01](01_language_models.ipynb): a model gives all 50,257 tokens the same probability. What is its
#    perplexity?
#    <details><summary>Answer</summary>50,257: it is as unsure as if it chose among all of them.</details>
#
# ### Challenge: a tokenizer for a text of your own
#
# Train 300 merges on 20 to 50 KB of text in another language, or of program code, and encode a page of it
# with those merges and with the ones of the story. What to look for: bytes per token on that page, on a new
# page of the same kind, and on English. Which pieces are whole words? Where do the chunks of `split_text`
# suit your text badly (indentation, or a script without spaces)? If training takes too long, count every
# *different* chunk once and multiply.

# %% [markdown]
# **Sources.** Sennrich, Haddow and Birch 2016, *Neural Machine Translation of Rare Words with Subword Units*,
# section 3.2; Radford et al. 2019, *Language Models are Unsupervised Multitask Learners*, section 2.2 (bytes,
# and never across kinds of characters), and its code, `src/encoder.py`; Devlin et al. 2019, *BERT*, section 3
# (WordPiece).
#
# **Next:** an id is a name, not a quantity: token 300 is not twice token 150.
# [Lesson 03, embeddings](03_embeddings.ipynb) gives each id a row of numbers that the model can learn.
#
# **What you have built so far:**

# %%
my_progress()
