# %% [markdown]
# # 02 · Tokens
#
# A model multiplies matrices: it needs numbers. **How does a text become a list of numbers, such that no
# text is impossible and the lists stay short?**
#
# - **In:** a text, such as `"robot must obey orders"`.
# - **Out:** its tokens, a list of ids: whole numbers from 0 to V - 1, where V is the size of the
#   vocabulary (50,257 for GPT-2). And the way back.
# - **Time:** about two hours, with a place for a break in the middle. Five short exercises:
#   `count_pairs`, `merge_pair`, `train_merges`, `encode_chunk`, `decode_ids`. Together they are a
#   complete tokenizer.

# %% [markdown]
# First the tools. `STORY` is a small text about robots from which our tokenizer will learn; `split_text`
# and `Tokenizer` are the package's and are explained when they are used.

# %%
import sys

from gpt2course import check
from gpt2course.config import GPT2Config
from gpt2course.lessons.tokens import (
    STORY, boxes, compression, cuts, language_chart, merge_slider, merge_steps, merge_tree,
    piece_table, pipeline, token_boxes,
)
from gpt2course.model import count_parameters
from gpt2course.tokenizer import Tokenizer, split_text, to_gpt2_ids

# %% [markdown]
# This is where we are in GPT-2: at the very front. Everything that comes later sees ids and nothing else.

# %%
pipeline("02_tokens")

# %% [markdown]
# ## Which pieces get a number?
#
# The text is cut into pieces, and each piece gets a number. A piece is called a **token**, its number
# is its **id**, and all pieces that have an id are the **vocabulary**. What should the pieces be?
#
# **Words?** Write down all words of a text, number them, done. Here is our story cut at its blanks. How
# many different words does it have, and do they look like words?

# %%
words = sorted(set(STORY.split()))
print(len(words), "different words:", *words[:16], "…", *words[80:92])

# %% [markdown]
# `"An` and `Eleven,` count as words of their own, beside `an` and `Eleven`, and their numbers have
# nothing to do with each other. The worse trouble comes with the next text. Which of these words have no number?

# %%
new = "Orderly robots disobeyed. But a robot is still a robot!"
[word for word in new.split() if word not in words]

# %% [markdown]
# Every list of words has this hole, however long it is: names, slips of the pen, new words, other
# languages. Such a model can neither read them nor write them.
#
# **Characters?** Then there are no unknown words. How many characters are there, letters, signs and
# emoji of all scripts together? Your Python can count those that it can print. Guess before you run.

# %%
n_characters = sum(chr(number).isprintable() for number in range(sys.maxunicode + 1))
f"{n_characters:,} characters, {n_characters / 50_257:.1f} times the size of GPT-2's vocabulary"

# %% [markdown]
# Far too many. Every id costs: the first matrix of the model has one row of numbers for each, 768 numbers
# in the smallest GPT-2 (lesson 03). Most of these rows would hardly ever be used, and more characters are
# added every year.
#
# **Bytes?** A computer stores every text as bytes, numbers from 0 to 255. The usual way to do so is
# **UTF-8**: an English letter takes one byte, other characters take two to four. 256 numbers are
# enough for every text there is or will be. Which of these six characters take more than one?

# %%
for character in "rRéя机🤖":
    print(character, list(character.encode("utf-8")))

# %% [markdown]
# So bytes leave nothing out. Their price is length. GPT-2 sees at most 1024 tokens at a time (this is
# its **context**). If each byte were a token, how much of our story could it see at once?

# %%
context = STORY.encode()[:1024]
f"{len(context.split())} of {len(STORY.split())} words, ending in: {context[-50:].decode()!r}"

# %% [markdown]
# Half a page. Words give short lists with holes, bytes give long lists without. GPT-2 takes the
# middle: **begin with bytes, and glue together what often stands side by side.** What often stands side by
# side is counted in some text: this is how the tokenizer learns, and it is called **training** it. Frequent
# words become one token, rare ones a few pieces, and in the worst case there are still the bytes. This is *byte-level byte pair encoding*, BPE for short.
#
# ## Glue the most frequent neighbours
#
# Our example for the next minutes: three words, small enough to count on your fingers. Each box is a
# token; the small number under it is its id. At first every byte is a token, and here its id is the
# byte itself. ␣ stands for a blank, which is a byte like any other.

# %%
text = b"robot robs robots"
toy = list(text)
token_boxes(toy)

# %% [markdown]
# A **pair** is two neighbours, left and right. The first three pairs, by hand:

# %%
[(toy[0], toy[1]), (toy[1], toy[2]), (toy[2], toy[3])]

# %% [markdown]
# Which pair of letters occurs most often in *robot robs robots*? Count for yourself before you let a
# function do it.
#
# ## Exercise: `count_pairs`
#
# Count how often each pair of neighbours occurs. The result is a dict: the key is the pair, a tuple of
# two ids, the value its count. In a run of equal ids every two neighbours count: `[1, 1, 1]` has the
# pair `(1, 1)` twice. The list that comes in must not be changed; that holds for all exercises.
#
# Replace the line that raises, run the cell, then run the check below it. As long as yours does not
# pass, the check puts the package's own function in its place, so you can go on whenever you like.
#
# <details><summary>Hint 1</summary>
# A list of n ids has n - 1 pairs. At which position does the last pair begin?
# </details>
# <details><summary>Hint 2</summary>
# Begin with an empty dict, go over the pairs, and add 1 to the entry of each. <code>dict.get</code> can
# say what the count is for a pair that is not there yet.
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
# `ob` and `ro` occur three times each. When two pairs are equally frequent, somebody has to decide; we
# say: the **smaller pair** goes first. Pairs are compared as Python compares tuples, so `(111, 98)`
# comes before `(114, 111)`. Now put a new id in its place: 256, the first number that is no byte.
#
# **Predict.** The ids are `[7, 7, 7]`, and the pair `(7, 7)` is to become 256. It occurs twice in
# there. What will be left?
#
# <details><summary>A. [256, 256]: both pairs are merged</summary>
# The middle 7 would then be part of two tokens, and opening them again would give four sevens. An id
# can go into one merge only.
# </details>
# <details><summary>B. [256, 7]</summary>
# Yes. We go from left to right, merge the first two, and go on behind them, where a single 7 is left.
# </details>
# <details><summary>C. [7, 256]</summary>
# That would be just as short. But everyone who encodes a text must get the same ids, so one direction
# has to be agreed on, and it is left to right.
# </details>

# %% [markdown]
# ## Exercise: `merge_pair`
#
# Replace every occurrence of `pair` by `new_id`, from left to right, without overlap. Return a new
# list; everything else stays as it is.
#
# <details><summary>Hint 1</summary>
# Build the new list beside the old one, with a position <code>i</code> that you move yourself: by two
# after a merge, by one otherwise. A <code>while</code> loop is easier here than a <code>for</code>.
# </details>
# <details><summary>Hint 2</summary>
# The last id has no right neighbour. Ask for <code>i + 1 &lt; len(ids)</code> before you look at it, and
# make sure that it still gets into the new list.
# </details>
# <details><summary>Hint 3</summary>
# <code>ids[i : i + 2]</code> is a list and <code>pair</code> is a tuple, and these two are never equal.
# Compare tuples with tuples.
# </details>

# %%
def merge_pair(ids: list[int], pair: tuple[int, int], new_id: int) -> list[int]:
    """A new list in which new_id stands for each pair, left to right."""
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
# The first line is the prediction; then comes the first merge of the toy text, `o` with `b`. How many
# boxes will be left of seventeen?

# %%
assert merge_pair([7, 7, 7], (7, 7), 256) == [256, 7]
first = merge_pair(toy, (111, 98), 256)
assert len(first) == len(toy) - 3
token_boxes(first, [(111, 98)])

# %% [markdown]
# `ob` is a token now, and it can be part of a pair itself: next is `r` with the new `ob`, which makes
# `rob`, id 257. Count, merge, repeat. Here are five rounds. The pairs were picked by hand; the `assert`
# says that each is the most frequent of its round (of equals we took the smaller one).

# %%
by_hand = [(111, 98), (114, 256), (32, 257), (111, 116), (115, 258)]
toy_ids = toy
for rank, pair in enumerate(by_hand):
    assert count_pairs(toy_ids)[pair] == max(count_pairs(toy_ids).values())
    toy_ids = merge_pair(toy_ids, pair, 256 + rank)
len(toy), len(toy_ids)

# %% [markdown]
# The same as a picture, one row for each merge. A thick frame marks what is new in a row. The number of
# a merge is its **rank**: rank 0 was made first, and the merge of rank `r` makes the id `256 + r`. What
# strikes you about the last row?

# %%
merge_steps(text, by_hand)

# %% [markdown]
# ## Never across a word
#
# The last merge made `s␣rob`: the end of one word, a blank, and the beginning of the next. That is no
# piece of language; it came about because nothing forbids a merge across a blank. In a large text the same thing would give tokens such
# as `robot.` and `robot!` and `robot?`, one for every sign that may follow.
#
# GPT-2 therefore first cuts a text into **chunks**, and pairs are counted and merged inside a chunk
# only. What do you expect to be a chunk? Look for the blanks, the number, the apostrophes.

# %%
kettle = "The robots' kettle boiled 12 times: it can't stop."
kettle_chunks = split_text(kettle)
assert b"".join(kettle_chunks) == kettle.encode()
boxes(kettle_chunks)

# %% [markdown]
# Letters, digits and other signs do not mix. **A blank belongs to the word that follows it.** So
# ` robot` in the middle of a sentence and `robot` at the beginning of a line are different chunks. Nothing
# is lost: joined again, the chunks are the text.
#
# **Predict.** Between `a` and `robot` there are now two blanks: `"a  robot"`. Where do they go?
#
# <details><summary>A. Both with robot</summary>
# Then every number of blanks would give another chunk for the same word. Only the last blank goes with
# the word, so that ` robot` stays the same token whatever stands before it.
# </details>
# <details><summary>B. Both with a</summary>
# A blank never belongs to the word before it. If it did, the last word of a text, which has no blank
# after it, would be another token than the same word elsewhere.
# </details>
# <details><summary>C. The first alone, the second with robot</summary>
# Yes. The word takes one blank, and all others before it are a chunk of their own.
# </details>

# %%
boxes(split_text("a  robot and\n    another"))

# %% [markdown]
# The rule is one regular expression in the package. At each place it tries in turn: an ending such as `'t`
# or `'s`; letters; digits; other signs (each of these three with at most one blank in front); and then what
# is left: blanks, tabs and new lines (↵). Of a run of these before a word the last stands apart: a blank
# joins the word, a new line is a chunk of its own.
#
# ## Exercise: `train_merges`
#
# Now the whole of training. `chunks` is a list of bytes, such as `split_text` gives. Count the pairs in
# all chunks together, take the most frequent one (of equals the smaller pair), replace it in all chunks
# by a new id, and repeat, `n_merges` times. The new ids are 256, 257, 258 and so on.
#
# Return the pairs, in the order in which they were merged. Never count or merge across two chunks. Go
# on as long as there is any pair, even one that occurs only once; stop early when there is none.
#
# <details><summary>Hint 1</summary>
# Keep a list of lists: <code>list(chunk)</code> gives the bytes of a chunk as ids. In each round,
# <code>count_pairs</code> for every chunk, and the counts added up. The <code>update</code> of a
# <code>collections.Counter</code> adds counts; that of a plain dict replaces them.
# </details>
# <details><summary>Hint 2</summary>
# <code>max</code> of (count, pair) would prefer the larger pair among equals. <code>min</code> of (minus
# the count, pair) prefers the smaller one.
# </details>
# <details><summary>Hint 3</summary>
# If there are no counts, leave the loop. Otherwise make every list anew with <code>merge_pair</code>,
# the new id being 256 plus the number of merges made so far.
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
# Taken as a single chunk, the toy text must give the five merges that we made by hand. Cut into chunks,
# it gives others. Will `s␣rob` be among them?

# %%
assert train_merges([text], 5) == by_hand
toy_merges = train_merges(split_text("robot robs robots"), 5)
boxes(piece_table(toy_merges)[256:], [str(pair) for pair in toy_merges])

# %% [markdown]
# Now the story. How many merges will we get, if we ask for 300?

# %%
chunks = split_text(STORY)
merges = train_merges(chunks, 300)
f"{len(chunks)} chunks, {len(set(chunks))} of them different; {len(merges)} merges"

# %% [markdown]
# It ran dry: after the last of these merges every chunk of the story is one single token, and no pair
# is left. GPT-2's text was so long that 50,000 merges were nowhere near the end.
#
# The first twenty-four pieces, with their ids, and the last eight. What do they tell you about the story,
# and about English?

# %%
pieces = piece_table(merges)
shown = [*range(256, 280), *range(len(pieces) - 8, len(pieces))]
boxes([pieces[i] for i in shown], [str(i) for i in shown])

# %% [markdown]
# First letters that go together in any English text, and soon whole words: ` the`, then ` order`, ` and`,
# ` robot` a little later. Nobody told the algorithm about words; it counted. The last ones are words that
# occur once; a sensible training stops long before.
#
# The tree of a token shows how it
# came to be: below the bytes, and above each pair what it was merged into. Read the ids from the bottom
# to the top: they only grow, since a merge can use only what exists already.

# %%
merge_tree(b" robots", merges)

# %% [markdown]
# This is the place for a break, at about an hour. (If the kernel has stopped when you come back: Run ▸
# Run All Above Selected Cell.) Training is done; what is left is to use it.
#
# ## From text to ids
#
# The merges are the tokenizer: nothing else is kept of the training. To **encode** a new chunk, repeat
# on it what the training did, in the same order: of all merges whose pair stands somewhere in the chunk,
# make the one with the **lowest rank**, and again, until no pair is left that is a merge.
#
# **Predict.** There are three merges: rank 0 is `bc`, rank 1 is `ab`, rank 2 is `cd`. What becomes of
# `abcd`?
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

# %% [markdown]
# ## Exercise: `encode_chunk`
#
# `merges[r]` is the pair of rank `r`, and its id is `256 + r`. Return the ids of the chunk. Use your
# `merge_pair`.
#
# <details><summary>Hint 1</summary>
# Begin with <code>list(chunk)</code>, and with a dict from each pair to its rank.
# </details>
# <details><summary>Hint 2</summary>
# In a loop: look at all pairs of neighbours, take the one with the lowest rank. A pair that is no merge
# counts as infinitely high: <code>dict.get</code> with <code>float("inf")</code>.
# </details>
# <details><summary>Hint 3</summary>
# Stop when the best pair is no merge, and when a single id is left, for then there is no pair and
# <code>min</code> would complain.
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
# A whole text is cut into chunks first, and the ids of the chunks are put in a row. The story itself must
# come out as the training left it, one token for each chunk. The boxes are the text with the words that
# had no number. Which of its words are in one piece, and why?

# %%
def encode(text: str) -> list[int]:
    """The ids of a text with the merges of the story."""
    return [token_id for chunk in split_text(text) for token_id in encode_chunk(chunk, merges)]


assert len(encode(STORY)) == len(chunks)
token_boxes(encode(new), merges)

# %% [markdown]
# Every text has ids now. *disobeyed* comes in pieces, some of which are letters. *Orderly* with a capital
# letter is in pieces too, though the story knows ` orderly`: for the tokenizer `O` and `o` are two
# different bytes, and a word at the beginning of a text lacks the blank that belongs to it elsewhere.
# ` But` is two tokens for the opposite reason: in the story it stands behind a quotation mark, so what was
# learned there is `But` without a blank.

# %% [markdown]
# ## Play with it
#
# Move the slider from 0 to the end and watch the text fall together. Then type something of your own:
# your name; the same word with and without a blank before it, and in capitals; a number; a word of
# another language. Which merge makes ` robots` whole?

# %%
merge_slider(merges, "The robots obeyed. Then they disobeyed, at the café 🤖", n_merges=20)

# %% [markdown]
# How much shorter do texts get? The measure is **bytes per token**. One curve is the story itself, the
# other a text that the training has not seen. How far behind will that one be at the end?

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
# The first merges help both: they are English. The late ones are whole words of this very story, and a
# new text gains less from each. That is why GPT-2's merges come from a very large and mixed text.
#
# ## From ids to text
#
# The way back looks easy: each id stands for some bytes, so write them down one after the other. Here
# are the pieces of a short text, each turned into characters by itself. Something goes wrong. What?

# %%
cafe = encode("It is a café 🤖")
[pieces[i].decode("utf-8", errors="replace") for i in cafe]

# %% [markdown]
# *é* is two bytes, the robot's face four, and our merges never joined them, as the story has neither. One
# such token alone is **not a character**, and `�`, U+FFFD, is the sign that Unicode has for "there was
# something here that I cannot read". In the slider above these tokens are the dashed boxes, with their
# bytes in hex. So the order matters: join the bytes of all tokens first, decode once
# at the end.
#
# ## Exercise: `decode_ids`
#
# The text of a list of ids. Join the bytes first, then decode as UTF-8. Bytes that are no character even
# then (a model may stop in the middle of one) become U+FFFD: that is what `errors="replace"` does. An id
# beyond that of the last merge must raise an error, whichever you like: it means that these ids were made with other merges, and any text would be wrong.
#
# <details><summary>Hint 1</summary>
# Make a list with the bytes of every id: 256 single bytes, then one entry for each merge.
# </details>
# <details><summary>Hint 2</summary>
# <code>bytes([98])</code> is the single byte 98. The entry of a merge is the entry of its left id plus
# the entry of its right id, and both are in the list already when you come to it.
# </details>
# <details><summary>Hint 3</summary>
# <code>b"".join(…)</code> joins, and <code>.decode("utf-8", errors="replace")</code> reads. A list that is
# asked for an entry beyond its end raises an IndexError by itself.
# </details>

# %%
def decode_ids(ids: list[int], merges: list[tuple[int, int]]) -> str:
    """The text of ids; bytes that are not UTF-8 become U+FFFD."""
    ### BEGIN SOLUTION
    table = [bytes([byte]) for byte in range(256)]
    for left, right in merges:
        table.append(table[left] + table[right])
    joined = b"".join([table[token_id] for token_id in ids])
    return joined.decode("utf-8", errors="replace")
    ### END SOLUTION

# %%
decode_ids = check(decode_ids)

# %% [markdown]
# There and back gives the text itself, whatever it is: this is the promise of bytes, and the `assert`
# holds us to it. Below it, the end of a text that is cut off after each of its last five tokens. When
# does the robot's face arrive?

# %%
for example in [STORY, new, "It is a café 🤖", "  two  blanks\n\n", "機械 и роботы"]:
    assert decode_ids(encode(example), merges) == example
[decode_ids(cafe[:n], merges)[-2:] for n in range(len(cafe) - 4, len(cafe) + 1)]

# %% [markdown]
# A chat program that shows a model's answer token by token meets this every day: it has to wait until
# the character is whole.
#
# ## The one special token
#
# A model also has to know where one text ends and another begins. You will read that texts are framed by
# `<s>` and `<EOS>`. Other models do that. GPT-2 has one such token, `<|endoftext|>`, and it does both: it
# ends a text, and a model that is to write without a prompt begins with it. It is not made by merges; it
# is simply the last id. `Tokenizer` is the package's version of what you have built, the same ids at
# higher speed:

# %%
ours = Tokenizer(merges)
assert ours.encode(new) == encode(new)
two_texts = ours.encode("The end.<|endoftext|>A robot<EOS>", allow_special=True)
boxes([ours.token_bytes(i) for i in two_texts], [str(i) for i in two_texts])

# %% [markdown]
# `<|endoftext|>` is one token, `<EOS>` is five characters like any others. With that the size of a
# vocabulary can be added up, ours and GPT-2's:

# %%
assert ours.vocab_size == 256 + len(merges) + 1
f"ours: 256 + {len(merges)} + 1 = {ours.vocab_size:,}; GPT-2: 256 + 50,000 + 1 = {256 + 50_000 + 1:,}"

# %% [markdown]
# ## "GPT-2 uses WordPiece"
#
# It does not, though one reads it often. **WordPiece** is the tokenizer of BERT, and it cuts by another
# rule. It forgets how its pieces were made; from the left, it takes the **longest piece** that fits, then
# the longest that fits the rest. Here is that rule, applied to the same pieces that our merges have made.
# The story has ` house`, but not ` houses`. Guess how each rule cuts ` houses`; then look for the one that
# finds the word.

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
# Why does the first rule not find ` house`? This is how it is made where nothing follows it. Look at the ids: which of its
# merges were learned later than `es`, whose id stands in the picture before?

# %%
assert pieces.index(b"es") < pieces.index(b"use") < pieces.index(b" house")
merge_tree(b" house", merges)

# %% [markdown]
# ` house` needs `use`, and `use` needs the `e`. In ` houses` the merge `es` wants the same `e`; it was
# learned earlier (323 is less than 330), so it takes it, and there is no `use` and no ` house` any more. The
# model does not mind, as long as everyone cuts the same way as in its training.
#
# WordPiece differs in more than this: it drops the blanks and marks pieces that continue a word with `##`
# instead (`house`, `##s`); what it cannot build from its pieces becomes one unknown token, `[UNK]`; and its
# pieces are chosen in training by another measure than the plain count.

# %% [markdown]
# ## GPT-2's own vocabulary
#
# GPT-2's 50,000 merges were published with it. They are two files which the package tiktoken fetches from
# the network once and then keeps. If they cannot be had here, the lesson goes on with our own merges: all
# that follows can be seen with those as well, with other numbers.

# %%
try:
    tokenizer, whose = Tokenizer.gpt2(), "GPT-2's 50,000 merges"
except (ConnectionError, ValueError, OSError) as error:
    print(str(error).splitlines()[0])
    tokenizer, whose = ours, f"our {len(merges)} merges"
print(f"From here on: {whose}, a vocabulary of {tokenizer.vocab_size:,}.")

# %% [markdown]
# A sentence, as GPT-2 gets to see it (or, without its vocabulary, as our tokenizer cuts it). One small
# thing differs from ours: GPT-2 numbers the 256 bytes in an order of its own, the printable ones first, so
# that `!`, our 33, is 0 there. From 256 on an id is 256 plus the rank, as with us. Is ` disobeyed` one token?

# %%
def show(text: str):
    """The tokens of a text with the vocabulary at hand."""
    ids = tokenizer.encode(text)
    return boxes([tokenizer.token_bytes(i) for i in ids], [str(i) for i in ids], ids)


show("The robots disobeyed. But a robot is still a robot!")

# %% [markdown]
# **Your** `encode_chunk` with these merges must give the same ids: it is the same algorithm.
# Only the ids of single bytes have to be translated into GPT-2's order at the end (`to_gpt2_ids`).

# %%
ten_robots = "Ten robots were standing in a row, at the café 🤖, waiting."
its_merges = tokenizer.merges
mine = [i for chunk in split_text(ten_robots) for i in encode_chunk(chunk, its_merges)]
if whose.startswith("GPT-2"):
    mine = to_gpt2_ids(mine)
assert mine == tokenizer.encode(ten_robots)
f"{len(mine)} ids, all equal, with {whose}"

# %% [markdown]
# ## What follows from it
#
# Many odd habits of language models begin here. Three of them.
#
# **Numbers are cut unevenly,** wherever frequent digits happened to stick together. Imagine that you had
# to add numbers that you see like this. (Our own merges know no digits at all, for the story has none:
# with them every digit stands alone.)

# %%
show("1024 1025 10247 2019 20190 3.14159")

# %% [markdown]
# **A blank at the end of a prompt** is a token of its own. Compare the two prompts in the next cell. In
# nearly all texts of the training the blank before a word was part of that word's token. A lone blank says to the
# model: what follows is a word without its blank, and that is rare. So prompts should not end in a blank.

# %%
for prompt in ["A robot must", "A robot must "]:
    print([tokenizer.token_bytes(i) for i in tokenizer.encode(prompt)])

# %% [markdown]
# **Other languages cost more.** The merges are learned from the text at hand, and GPT-2's was nearly all
# English. The same sentence in eight languages; in which of them do you expect the longest bar of *tokens*?

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
# Who writes Hindi gets far less into the 1024 tokens of the context than who writes English, and, where
# tokens are paid for, pays more for it. Later models were given larger vocabularies learned from more
# languages for this reason.
#
# **Before you go:** a friend asks a model how many letters *r* there are in *terror*, and it fails. What
# do you answer?
#
# <details><summary>A. The model is too small</summary>
# Size helps, yet models a hundred times the size of GPT-2 stumbled over this kind of question. Look at
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

# %% [markdown]
# ## What you have
#
# A tokenizer, complete: `train_merges` learns the pairs that are worth an id, `encode_chunk` repeats them
# on new text in the order in which they were learned, `decode_ids` goes back, byte for byte. No text is
# impossible, because everything is bytes; the lists are short, because frequent neighbours are one token. The
# model itself will never see anything but these ids.
#
# The numbers of this stage in the smallest GPT-2. What a model learns are numbers, called its
# **parameters**. The tokenizer has none of them, but its vocabulary decides how many rows the first matrix
# has, one for each token. `n_embd` is how many numbers stand in a row:

# %%
config = GPT2Config()
rows, total = config.vocab_size * config.n_embd, count_parameters(config)
print(f"vocabulary: {config.vocab_size:,} tokens; context: {config.n_ctx:,} tokens")
print(f"one row of {config.n_embd} numbers for each: {rows:,} of {total:,} parameters, {rows / total:.0%}")

# %% [markdown]
# **Sources.** Sennrich, Haddow, Birch 2016, *Neural Machine Translation of Rare Words with Subword
# Units*, section 3.2 (byte pair encoding for words); Radford et al. 2019, *Language Models are
# Unsupervised Multitask Learners*, section 2.2 (over bytes, and never across kinds of characters); the
# code released with it, `src/encoder.py`; Devlin et al. 2019, *BERT*, section 3 (WordPiece).
#
# **Next:** an id is a name, not a quantity: token 300 is not twice token 150. Lesson 03 gives each id a
# row of numbers that the model can learn: its embedding.
