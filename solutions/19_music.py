# %% [markdown]
# # 19 · Music
#
# GPT-2 predicts the next token, and never asks what a token stands for. **What if the tokens are not pieces of words
# but keys that go down and up?**
#
# - **In:** a performance, notes with their times, pitches and loudness, or a MIDI file of yours.
# - **Out:** a text of 388 kinds of events, a model that continues it, and music that you can hear.
# - **Time:** about 90 minutes for the core, 110 for everything.
# - **Exercises:** `encode_notes` ●●●○○, `decode_events` ●●●○○ and `relative_scores` ●●●●○.
#
# Behind it are the **Music Transformer** (Huang et al. 2018), trained on about 1,100 piano performances, and **MuseNet**
# (OpenAI 2019), of GPT-2's kind, trained on hundreds of thousands of MIDI files.
#
# Keep at hand: the [cheat sheet](../docs/cheat_sheet.md), the [glossary](../docs/glossary.md), the
# [notation](../docs/notation.md), and [what well-known explanations get wrong](../docs/common_errors.md).

# %% [markdown]
# First the tools. Parts from `gpt2course.mine` are yours where you have passed their checks; the line below the cell
# says which.

# %%
import math
import timeit

import torch
from IPython.display import Audio
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from gpt2course import check, music, my_progress
from gpt2course.config import GPT2Config
from gpt2course.corpus import melodies
from gpt2course.learner import workbook
from gpt2course.lessons.music import (
    attention_over_notes, curves, event_row, matrices, melody_to_play, one_hot_rows, piano_roll,
    seeds_and_means,
)
from gpt2course.mine import (
    GPT2, attention_scores, attention_weights, blend_values, causal_mask, generate, learning_rate,
    merge_heads, next_token_batch, next_token_loss, split_heads,
)
from gpt2course.music import Note, event_name, read_midi, synthesise, write_midi

# %% [markdown]
# ## 1. A note
#
# A `Note` has four numbers: when it starts and ends, in **steps** of 10 ms; its **pitch**, the number of the piano key,
# 60 for the C in the middle; and its **velocity**, 0 to 127: how fast the key goes down, which is how loud it is. A
# **motif** is a short idea of a few notes. This one rises to a peak and falls.

# %%
motif = [Note(0, 36, 60, 64), Note(36, 72, 64, 66), Note(72, 108, 67, 90), Note(108, 144, 65, 54)]
Audio(synthesise(motif), rate=8_000)

# %% [markdown]
# The same as a **piano roll**: time to the right, pitch upwards, brighter is louder. The triangle marks the peak.

# %%
piano_roll(motif, "Four notes, one peak", peaks=[2])

# %% [markdown]
# ## 2. A performance as a text
#
# A piano has no words, but things *happen*: a key goes down, a key comes up, time passes, the touch changes. These
# **events** are the vocabulary of the Music Transformer, after Oore et al. (2018):
#
# | ids | event | |
# |---|---|---|
# | 0 … 127 | note on | the pitch is the id |
# | 128 … 255 | note off | pitch + 128 |
# | 256 … 355 | shift | time passes: 1 to 100 steps |
# | 356 … 387 | velocity | of all that begins from here on, in bins of four: 0–3, 4–7, … |
#
# How large is the vocabulary? And which id is a wait of 36 steps?

# %%
ON, OFF, SHIFT, VELOCITY = 0, 128, 256, 356
print(f"{128} + {128} + {100} + {128 // 4} = {128 + 128 + 100 + 128 // 4} events")
print(f"a wait of 36 steps is {SHIFT + 36 - 1}: {event_name(SHIFT + 36 - 1)}")

# %% [markdown]
# The first note by hand: its velocity, key down, wait, key up.

# %%
first_note = [VELOCITY + 64 // 4, ON + 60, SHIFT + 36 - 1, OFF + 60]
event_row(first_note)

# %% [markdown]
# To the model, each id is a **one-hot** row: 388 numbers, a single 1, which picks a row of the embedding matrix
# ([lesson 03](03_embeddings.ipynb)). Nothing else of GPT-2 has to change.

# %%
table = torch.randn(music.N_EVENTS, 6, generator=torch.Generator().manual_seed(19))
rows = F.one_hot(torch.tensor(first_note), music.N_EVENTS).float()  # (T, 388)
assert torch.equal(rows @ table, table[first_note])
one_hot_rows(first_note, f"{rows.shape[0]} events, {rows.shape[1]} columns: one 1 in each row")

# %% [markdown]
# ### Rung 1: changes in the order of time
#
# A note is *two* changes, far apart in time. With several notes at once, their changes interleave: so take notes
# apart, and sort. At one time **offs come first**, then ons, each from low to high. Python compares tuples from the
# left; 0 for off and 1 for on puts them in order. Predict the third line.

# %%
def changes_of(notes: list[Note]) -> list[tuple[int, int, int, int]]:
    """(time, 0 off or 1 on, pitch, velocity) of everything that happens, in order."""
    changes = []
    for start, end, pitch, velocity in notes:
        changes += [(start, 1, pitch, velocity), (end, 0, pitch, 0)]
    return sorted(changes)


for time_, on, pitch, velocity in changes_of(motif)[:4]:
    print(f"at {time_:3}: {'on ' if on else 'off'} {music.pitch_name(pitch)}")

# %% [markdown]
# Why offs first? Else a key that is struck again at once would go down twice, and the old note's off would end the new one.
#
# ### Rung 2: waits
#
# No shift is longer than a second, 100 steps. A longer wait takes several: as few as possible, the longest first.
# What is a wait of 250 steps, and what one of 0?

# %%
def shifts(steps: int) -> list[int]:
    """The shifts of a wait."""
    seconds, rest = divmod(steps, 100)
    return [SHIFT + 99] * seconds + [SHIFT + rest - 1] * (rest > 0)


for steps, want in ((0, []), (1, [256]), (100, [355]), (250, [355, 355, 305])):
    assert shifts(steps) == want, f"{steps} steps are {shifts(steps)}"
print([event_name(i) for i in shifts(250)])

# %% [markdown]
# ### Rung 3: velocities
#
# A velocity holds until another one is said. It is said just before a note on, and only if its **bin** is not the one
# said last.
#
# **Predict.** The motif has velocities 64, 66, 90 and 54. How many velocity events?
#
# <details><summary>A. One: it holds until another one is said</summary>
# It does, and the third note says another one.
# </details>
# <details><summary>B. Three</summary>
# Yes. 64 and 66 are in one bin: 64 // 4 = 66 // 4 = 16.
# </details>
# <details><summary>C. Four</summary>
# 64 and 66 are different velocities, and one bin. To the events they are the same.
# </details>
#
# ## Exercise: `encode_notes` ●●●○○ · 15 minutes
#
# From notes, in any order, to the ids of their events. Time begins at 0: a pause before the first note is a shift. Each
# note lasts a step or longer. Two notes of one pitch never overlap, but one may begin as the other ends. No notes give
# `[]`.
#
# The trap: a wait is measured from the event before. What must you remember from change to change?
#
# <details><summary>Hint 1</summary>
# One loop over the sorted changes. Two things live outside it: the time so far and the bin said last (<code>None</code>
# at first: even bin 0 has to be said).
# </details>
# <details><summary>Hint 2</summary>
# In the loop: the shifts of <code>time - now</code>, then <code>now = time</code>, then the event itself.
# </details>
# <details><summary>Hint 3</summary>
# An off is <code>128 + pitch</code>. An on is preceded by <code>356 + velocity // 4</code> where that bin is new.
# </details>

# %%
def encode_notes(notes: list[Note]) -> list[int]:
    """The events of a performance in the order of time; at one time offs before ons, low to high."""
    ### BEGIN SOLUTION
    ons = [(note.start, 1, note.pitch, note.velocity) for note in notes]
    offs = [(note.end, 0, note.pitch, 0) for note in notes]
    ids, now, loudness = [], 0, None
    for time, on, pitch, velocity in sorted(ons + offs):
        seconds, rest = divmod(time - now, 100)
        ids += [355] * seconds + [255 + rest] * (rest > 0)
        now = time
        if on and velocity // 4 != loudness:
            loudness = velocity // 4
            ids.append(356 + loudness)
        ids.append(pitch if on else 128 + pitch)
    return ids
    ### END SOLUTION

# %%
encode_notes = check(encode_notes)

# %% [markdown]
# Your motif as a text. Where is the wait between the first note and the second?

# %%
motif_ids = encode_notes(motif)
assert motif_ids[:4] == first_note
event_row(motif_ids)

# %% [markdown]
# There is none: one begins as the other ends.
#
# ## Exercise: `decode_events` ●●●○○ · 15 minutes
#
# The way back, so that what a model writes can be heard. Return `Note`s, by start and then by pitch. The velocity of a
# note is the middle of the bin that held at its *on*: `4 * bin + 2`. A model makes mistakes, so be lenient: a note that is
# never ended ends at the last time (silence at the end counts), and an off without an on is passed over. A note that ends
# at once has length 0 and is kept. What becomes of a key that is struck while it sounds, and how loud a note is before any
# velocity was said, is not checked.
#
# The trap: at an off you need what was known at the on. Where do you keep it?
#
# <details><summary>Hint 1</summary>
# A dict of what sounds: from the pitch to its start and velocity. <code>pop</code> takes an entry out.
# </details>
# <details><summary>Hint 2</summary>
# Four branches: <code>if event &lt; 128</code>, <code>elif event &lt; 256</code>, … After the loop, the notes that
# still sound.
# </details>
# <details><summary>Hint 3</summary>
# <code>sorted(notes)</code> would compare the ends before the pitches. A key helps:
# <code>key=lambda note: (note.start, note.pitch)</code>.
# </details>

# %%
def decode_events(ids: list[int]) -> list[Note]:
    """The notes that events describe, by start and then pitch; undoes encode_notes."""
    ### BEGIN SOLUTION
    notes, sounding, now, velocity = [], {}, 0, 0
    for event in ids:
        if event < 128:
            sounding[event] = now, velocity
        elif event < 256:
            if event - 128 in sounding:
                start, loudness = sounding.pop(event - 128)
                notes.append(Note(start, now, event - 128, loudness))
        elif event < 356:
            now += event - 255
        else:
            velocity = 4 * (event - 356) + 2
    notes += [Note(start, now, pitch, loudness) for pitch, (start, loudness) in sounding.items()]
    return sorted(notes, key=lambda note: (note.start, note.pitch))
    ### END SOLUTION

# %%
decode_events = check(decode_events)

# %% [markdown]
# There and back. Which numbers differ?

# %%
for before, after in zip(motif, decode_events(motif_ids), strict=True):
    print(f"{tuple(before)} → {tuple(after)}")
    assert before[:3] == after[:3] and abs(before.velocity - after.velocity) <= 2

# %% [markdown]
# Only velocities, by at most 2.
#
# ### A MIDI file, out and in
#
# **MIDI** files hold the same. Save a piano piece of yours as the file that the cell names, and run it again.

# %%
folder = workbook.folder()
write_midi(folder / "motif.mid", motif)
assert read_midi(folder / "motif.mid") == motif
own = folder / "my.mid"
piece_of_yours = read_midi(own)[:200] if own.exists() else motif
print(f"the first {len(piece_of_yours)} notes of {own}" if own.exists() else f"no {own} yet; this is the motif")
piano_roll(piece_of_yours)

# %%
Audio(synthesise(piece_of_yours), rate=8_000)

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ### Deeper: what the text leaves out
#
# What of a performance is lost on the way, and how much. You can skip it.

# %% [markdown]
# Times are rounded to 10 ms, velocities to bins of four. The pedals are missing, and so is which instrument plays. If two
# tracks strike one key, there is one note. Once it is a text, nothing more is lost. Encode what was decoded, ten
# times:

# %%
again = motif_ids
for _ in range(10):
    again = encode_notes(decode_events(again))
assert again == motif_ids
print(f"{len(motif)} notes, {len(again)} events, {len(again) / len(motif):.2f} events a note, the same after ten rounds")

# %% [markdown]
# ## 3. Music to learn from
#
# The course brings music of its own, made by a program, with *form*: eight **bars** of equal length on the white keys.
# Three times a motif of one bar is heard, moved up or down, then another one; all of that once more, a little higher, and
# a long note to end. Each motif has one **peak**, its highest and loudest note. A soft, low note, the bass, lies under each
# bar. Which bars have the same motif?
#
# <details><summary>Which bars</summary>
# 1, 2, 3, 5, 6 and 7 have the first one, 4 and 8 the other.
# </details>

# %%
pieces, unheard = melodies.training_pieces(1_000), melodies.heldout_pieces(60)
example = [Note(*tone) for tone in unheard[3].tones]
peaks = unheard[3].peaks
piano_roll(example, "Eight bars, two motifs, eight peaks", peaks, bars=unheard[3].bars)

# %%
Audio(synthesise(example), rate=8_000)

# %% [markdown]
# All pieces form one text, with a second of silence between them. The *motifs* of the held-out pieces occur nowhere in it.

# %%
def text_of(pieces) -> Tensor:
    """The events of all pieces, one after the other."""
    rest = SHIFT + 99
    return torch.tensor([i for piece in pieces for i in [*encode_notes([Note(*t) for t in piece.tones]), rest]])


ids, heldout = text_of(pieces), text_of(unheard)
seen = {motif for piece in pieces for motif in piece.motifs}
assert not any(motif in seen for piece in unheard for motif in piece.motifs)
print(f"{len(ids):,} events to learn from, {len(heldout):,} held out; {len(ids.unique())} of 388 kinds occur")

# %% [markdown]
# When a motif comes back, each note is the note of one bar ago, moved: what counts is the **distance**, and not *where in
# the text* that happens. What does GPT-2 know of distances?
#
# ## 4. Distance
#
# Nothing directly. It adds a learned vector to each *position* ([lesson 04](04_positions.ipynb)), and would have to find
# out for every pair of positions how far apart they are. **Relative positions** give the distance itself to the scores:
# besides its key, each position j has a vector for how far back it lies from the query i, a row of a table:
#
# score(i, j) = (q_i · k_j + q_i · table[T - 1 - (i - j)]) / √hs
#
# The last row is for the distance 0, the position itself; the one before for 1, and so on. By hand and in a loop, for
# three queries of a single number:

# %%
q = torch.tensor([[[[1.0], [10.0], [100.0]]]])  # (B, nh, T, hs) = (1, 1, 3, 1)
table = torch.tensor([[3.0], [2.0], [1.0]])  # two back, one back, itself
by_hand = torch.tensor([[1 * 1.0, 0.0, 0.0], [10 * 2.0, 10 * 1.0, 0.0], [100 * 3.0, 100 * 2.0, 100 * 1.0]])
T = 3
by_loop = torch.zeros(T, T)
for i in range(T):
    for j in range(i + 1):
        by_loop[i, j] = q[0, 0, i] @ table[T - 1 - (i - j)]
assert torch.equal(by_loop, by_hand)
matrices([("q_i · table[T - 1 - (i - j)]", by_hand)], ["query 0", "query 1", "query 2"], ["key 0", "key 1", "key 2"])

# %% [markdown]
# ### Skewing
#
# A loop over all pairs is slow. There are only T distances, and `q @ table.T` has all the products. What has to happen to
# each row?

# %%
by_distance = (q @ table.T)[0, 0]
panels = [("q @ table.T", by_distance), ("wanted", by_hand)]
matrices(panels, ["query 0", "query 1", "query 2"])

# %% [markdown]
# Row i moves to the left by T - 1 - i places, and what falls off is never needed. A trick needs no loop: put a column of
# zeros in front, and cut the same numbers into rows that are *one shorter*. Each old row is one number too long for a new
# one, so the next begins one place further to the right. Without the first row, the last is where it was, and each row
# above it is one place further to the left.

# %%
padded = F.pad(by_distance, (1, 0))  # (T, T + 1)
cut_again = padded.reshape(T + 1, T)
panels = [("a column of zeros", padded), ("cut again", cut_again), ("without the first row", cut_again[1:])]
matrices(panels, between=["reshape", "[1:]"])

# %% [markdown]
# **Predict.** The lower triangle is right. What stands above the diagonal?
#
# <details><summary>A. Zeros: these are future positions</summary>
# Nobody has made them zero. Look at the picture.
# </details>
# <details><summary>B. The column of zeros, and numbers of the next query</summary>
# Yes. They belong nowhere, and the future is masked later anyway. The exercise asks for zeros.
# </details>
# <details><summary>C. Negative distances</summary>
# The table has none.
# </details>
#
# ## Exercise: `relative_scores` ●●●●○ · 15 minutes
#
# From q `(B, nh, T, hs)` and a table `(T, hs)` that all heads share to `(B, nh, T, T)`: entry (i, j) is
# `q_i · table[T - 1 - (i - j)]` for j ≤ i, and 0 above the diagonal. Not divided by √hs; keep the dtype, and let gradients
# pass. A loop is enough.
#
# The trap: in which axes do you cut?
#
# <details><summary>Hint 1</summary>
# <code>F.pad(x, (1, 0))</code> puts one column in front, on the last axis.
# </details>
# <details><summary>Hint 2</summary>
# <code>reshape(B, nh, T + 1, T)</code>: each head is cut by itself, so B and nh stay.
# </details>
# <details><summary>Hint 3</summary>
# Drop the first row of every head, <code>[:, :, 1:]</code>; <code>tril()</code> makes everything above the diagonal 0.
# </details>

# %%
def relative_scores(
    q: Float[Tensor, "B nh T hs"], table: Float[Tensor, "T hs"]
) -> Float[Tensor, "B nh T T"]:
    """How much each query wants to read each distance; 0 above the diagonal."""
    ### BEGIN SOLUTION
    B, nh, T, hs = q.shape
    by_distance = q @ table.T  # (B, nh, T, T): column m is for the distance T - 1 - m
    skewed = F.pad(by_distance, (1, 0)).reshape(B, nh, T + 1, T)[:, :, 1:]  # (B, nh, T, T)
    return skewed.tril()
    ### END SOLUTION

# %%
relative_scores = check(relative_scores)

# %% [markdown]
# If yours is slow, the package's takes its place in training; the numbers are the same.

# %%
def one_call() -> Tensor:
    return relative_scores(torch.randn(4, 4, 192, 16), torch.randn(192, 16))


if min(timeit.repeat(one_call, number=1, repeat=3)) > 0.2:  # seconds
    print("yours is right, and slow: the training below uses the package's")
    relative_scores = music.relative_scores

# %% [markdown]
# ### The attention
#
# That of [lesson 07](07_multi_head.ipynb), with one sum more. `seen` keeps the last weights.

# %%
class RelativeAttention(nn.Module):
    """Multi-head attention whose scores also depend on how far back a key is."""

    def __init__(self, n_embd: int, n_head: int, n_ctx: int):
        super().__init__()
        self.n_head = n_head
        self.c_attn = nn.Linear(n_embd, 3 * n_embd)
        self.c_proj = nn.Linear(n_embd, n_embd)
        self.table = nn.Parameter(torch.zeros(n_ctx, n_embd // n_head))

    def forward(self, x: Float[Tensor, "B T C"], past=None) -> Float[Tensor, "B T C"]:
        T = x.shape[1]
        q, k, v = (split_heads(part, self.n_head) for part in self.c_attn(x).chunk(3, dim=-1))
        distance = relative_scores(q, self.table[-T:]) / math.sqrt(q.shape[-1])
        scores = attention_scores(q, k) + distance  # (B, nh, T, T)
        weights = attention_weights(scores.masked_fill(~causal_mask(T, T), -math.inf))
        self.seen = weights.detach()
        return self.c_proj(merge_heads(blend_values(weights, v)))

# %% [markdown]
# The package has the same, `gpt2course.music.RelativeSelfAttention`. With the same weights both must agree.

# %%
torch.manual_seed(0)
ours, theirs = RelativeAttention(8, 2, 9), music.RelativeSelfAttention(8, 2, 9)
nn.init.normal_(ours.table)
theirs.load_state_dict(ours.state_dict())
x = torch.randn(3, 5, 8)
assert torch.allclose(ours(x), theirs(x), atol=1e-5)

# %% [markdown]
# ## 5. Two models, three seeds
#
# Both are your GPT2. In the **relative** one `wpe` is zero and stays so, and each attention has a table of distances
# instead.

# %%
config = GPT2Config(n_layer=2, n_head=4, n_embd=64, n_ctx=192, vocab_size=music.N_EVENTS)


class Composer(nn.Module):
    """A GPT2 over events, with absolute positions or with relative ones."""

    def __init__(self, relative: bool, seed: int):
        super().__init__()
        torch.manual_seed(seed)
        self.config, self.gpt2 = config, GPT2(config)
        for block in self.gpt2.h if relative else ():
            block.attn = RelativeAttention(config.n_embd, config.n_head, config.n_ctx)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2 and not name.endswith("table"):
                nn.init.normal_(parameter, std=0.1)
        if relative:
            nn.init.zeros_(self.gpt2.wpe.weight).requires_grad_(False)

    def forward(self, idx):
        return self.gpt2(idx)

# %% [markdown]
# The training loop of [lesson 13](13_training.ipynb):

# %%
def train(model: nn.Module, steps: int, seed: int, bar: tqdm, max_lr: float = 1.2e-2) -> None:
    """AdamW over batches of four rows, with warm-up and cosine."""
    dice = torch.Generator().manual_seed(seed)
    learned = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learned, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = learning_rate(step, max_lr, max_lr / 10, 20, steps)
        idx, targets = next_token_batch(ids, 4, config.n_ctx, dice)
        loss = next_token_loss(model(idx), targets)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(learned, 1.0)
        optimizer.step()
        bar.update()

# %% [markdown]
# Six short runs, both kinds from three seeds. Which kind will end lower, and by more than the seeds differ?

# %%
KINDS, SEEDS, SHORT, LONG = ("absolute", "relative"), (0, 1, 2), 120, 260
torch.set_num_threads(1)  # matrices as small as these gain little from more
models = {(kind, seed): Composer(kind == "relative", seed) for kind in KINDS for seed in SEEDS}
with tqdm(total=len(models) * SHORT, unit="step") as bar:
    for (kind, seed), model in models.items():
        train(model, SHORT, seed, bar)

# %% [markdown]
# The loss on the unheard pieces, cut into rows of the context's length:

# %%
n_ctx = config.n_ctx
rows = torch.stack([heldout[t : t + n_ctx + 1] for t in range(0, len(heldout) - n_ctx, n_ctx)])[:40]


@torch.no_grad()
def heldout_loss(model: nn.Module) -> float:
    """Mean nats per event on the unheard pieces."""
    return sum(next_token_loss(model(part[:, :-1]), part[:, 1:]).item() for part in rows.split(8)) / 5


measured = {kind: [heldout_loss(models[kind, seed]) for seed in SEEDS] for kind in KINDS}
assert max(measured["relative"]) < min(measured["absolute"]), f"one seed was luckier than that: {measured}"
seeds_and_means(measured, "Knowing distances helps in every seed")

# %% [markdown]
# The worst relative model beats the best absolute one. These are short runs: the absolute ones have hardly begun to learn
# what a distance is.
#
# ### What comes back is easier
#
# Now one relative model, for longer. In which bars does it profit from what it has heard?

# %%
composer = Composer(relative=True, seed=0)
with tqdm(total=LONG, unit="step") as bar:
    train(composer, LONG, 0, bar)
composer.eval().requires_grad_(False)
long_run = heldout_loss(composer)
print(f"held-out loss after {SHORT} steps {measured['relative'][0]:.2f}, after {LONG} steps {long_run:.2f}")

# %%
def places_of_ons(text: list[int]) -> list[int]:
    """Where the notes begin among the events; note number n is the n-th of them."""
    return [t for t, event in enumerate(text) if event < 128]


def nats_by_bar(piece) -> list[float]:
    """The mean loss of the model in each of the first seven bars."""
    text = encode_notes([Note(*tone) for tone in piece.tones])[: n_ctx + 1]
    nats = F.cross_entropy(composer(torch.tensor([text[:-1]]))[0], torch.tensor(text[1:]), reduction="none")
    starts = [places_of_ons(text)[n] for n in piece.bars if n < len(places_of_ons(text))]
    return [nats[a:b].mean().item() for a, b in zip(starts[:7], [*starts[1:], n_ctx])]


whole = [bars for piece in unheard if len(bars := nats_by_bar(piece)) == 7]
by_bar = torch.tensor(whole).mean(dim=0).tolist()
assert max(by_bar[1:3]) < min(by_bar[0], by_bar[3]), f"bars 2 and 3 are no easier: {by_bar}"
curves({"relative": [*enumerate(by_bar, start=1)]}, "The second and the third time are easier",
       "loss (nats per event)", x_label="bar")

# %% [markdown]
# Bars 2 and 3 repeat the motif of bar 1, and cost less, though its pitches are moved and can't simply be copied. Is it
# only that by then the tempo and the keys in use are known? In bar 4 they are known as well, but its motif is new, and it
# costs more.

# %% [markdown]
# ## 6. Listen
#
# Give this model your motif, over a bass note, and let [lesson 11](11_sampling.ipynb)'s `generate` go on. It never asks what
# the ids mean.

# %%
prompt = encode_notes([*motif, Note(0, 144, 36, 42)])


def write(prompt: list[int], temperature: float, seed: int, n: int = 150) -> list[int]:
    """The prompt, and n events that the model writes after it."""
    dice = torch.Generator().manual_seed(seed)
    idx = torch.tensor([[SHIFT + 99, *prompt]])  # a second of silence: here a piece begins
    return generate(composer, idx, n, temperature, None, dice)[0, 1:].tolist()


written = decode_events(write(prompt, 0.8, seed=1))
write_midi(folder / "written.mid", written)  # for any music program
piano_roll(written, "One bar of yours, and what the model makes of it", given=144)

# %%
Audio(synthesise(written), rate=8_000)

# %% [markdown]
# What the model has learned is how this music sounds: which keys it uses, its tempos, basses and peaks. The motif hardly
# comes back.
#
# **Play with it.** Find a setting that repeats itself, one that loses the thread, and one worth showing to somebody.

# %%
def first_bar(piece) -> list[Note]:
    return [Note(*tone) for tone in piece.tones[: piece.bars[1]]]


motifs = {"yours": prompt} | {f"unheard {n}": encode_notes(first_bar(unheard[n])) for n in (1, 3, 8)}
if own.exists():
    motifs[own.name] = encode_notes(piece_of_yours[:12])
melody_to_play(write, motifs)

# %% [markdown]
# <details><summary>What to hear</summary>
# At 0 each motif has one continuation, whatever the take. The hotter, the more slips: durations of another tempo, notes
# that end at once, and notes that never end.
# </details>

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ### Deeper: does the rhythm come back?
#
# What the loss of section 5 promises, counted in what the model writes. You can skip it.

# %% [markdown]
# The model gets the first bars of twenty unheard pieces and writes the next, at temperature 0. How often will you hear
# the same rhythm?

# %%
def rhythm(notes: list[Note], n: int) -> list[int]:
    """How long the melody's next n notes last; the bass lies an octave below them and more."""
    return [note.end - note.start for note in notes if note.pitch >= 53][:n]


returned = 0
for bar in map(first_bar, unheard[:20]):
    n = len(bar) - 1
    both = rhythm(decode_events(write(encode_notes(bar), 0, 0, n=5 * n)), 2 * n)
    returned += both[:n] == both[n:]
print(f"the rhythm of bar 1 returned in bar 2: {returned} of 20 times")

# %% [markdown]
# A piece of the course would have 20, and chance about 2, for there are nine rhythms. The ear finds no return yet where the
# loss does: each event surprises a little less, but hardly a bar is without a slip.

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ### Deeper: what the peaks read
#
# One head's attention, from a late peak to the earlier ones, in numbers and in a picture. You can skip it.

# %% [markdown]
# A picture from the Music Transformer, also in *The Illustrated GPT-2*, has a melody whose peaks read the earlier
# peaks. One picture proves nothing ([lesson 15](15_looking_inside.ipynb)), so first a number. A peak is two events: a loud
# velocity, then its on. The question is asked at the velocity, where the model must choose the pitch that comes next: how
# much of a head's weight lies on the two events of each *earlier* peak?
#
# Two baselines: even attention, and the same head's weight on the last note of each earlier bar, which has a velocity
# event as well.

# %%
def weights_of(piece) -> tuple[Float[Tensor, "heads T T"], list[int]]:
    """The attention weights of all heads over a piece, and where its notes begin."""
    text = encode_notes([Note(*tone) for tone in piece.tones])[:n_ctx]
    composer(torch.tensor([text]))
    return torch.cat([block.attn.seen[0] for block in composer.gpt2.h]), places_of_ons(text[:-1])


def to_earlier(pieces, ahead: int = 0) -> tuple[Float[Tensor, "heads"], float]:
    """The mean weight from peaks to earlier peaks, of every head and of even attention.

    `ahead`: to the last notes of the earlier bars instead, so many notes before each next bar.
    """
    found, even = [], []
    for weights, places, piece in ((*weights_of(piece), piece) for piece in pieces):
        ends = [n - ahead for n in piece.bars[1:]] if ahead else piece.peaks
        tops, read = ([places[n] for n in notes if n < len(places)] for notes in (piece.peaks, ends))
        for n, top in enumerate(tops[1:], start=1):
            events = [t + k for t in read[:n] for k in (-1, 0)]
            found.append(weights[:, top - 1, events].sum(dim=-1))
            even.append(len(events) / top)
    return torch.stack(found).mean(dim=0), sum(even) / len(even)

# %% [markdown]
# The head is chosen on thirty pieces, for the difference between peaks and last notes, and measured on thirty others.

# %%
difference = to_earlier(unheard[:30])[0] - to_earlier(unheard[:30], ahead=1)[0]
head = int(difference.argmax())
(fresh, even), (last_notes, _) = to_earlier(unheard[30:]), to_earlier(unheard[30:], ahead=1)
name = f"block {head // config.n_head}, head {head % config.n_head}"
print(f"{name}: to earlier peaks {fresh[head]:.2f}, to last notes {last_notes[head]:.2f}, even {even:.2f}")
looks = fresh[head] > 1.5 * max(even, last_notes[head])
print("it looks for peaks" if looks else "no head looks for peaks in this run")

# %% [markdown]
# Not every run has such a head. Three seeds of 400 steps gave it a weight of 0.54, 0.19 and 0.59; after the fewer steps of this
# notebook another way of rounding can be enough to leave it out. If yours has none, train longer.
#
# Now the picture, of that head, for the last peak of the piece from section 3. Thick arcs are large weights:

# %%
weights, places = weights_of(unheard[3])
query = [n for n in peaks if n < len(places)][-1]
over_notes = [weights[head, places[query] - 1, t - 1 : t + 1].sum().item() for t in places[:query]]
over_notes += [0.0] * (len(example) - len(over_notes))
attention_over_notes(example, over_notes, query, peaks, f"What a late peak reads ({name})")

# %% [markdown]
# Whether the model needs this head, an ablation would say (lesson 15).

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ### Deeper: the memory that skewing saves
#
# A row of the table for each pair, against the trick, in this model and in the Music Transformer. You can skip it.

# %% [markdown]
# Without a loop, the table's row can also be gathered for each pair of positions: a `(T, T, hs)` tensor, and every layer
# keeps one until the backward pass has used it. Skewing makes a few of `(B, nh, T, T)`, which attention makes anyway.
# What matters most, T or the width?

# %%
for whose, T_, nh, hs in (("this model", 192, 4, 16), ("Music Transformer", 2048, 8, 64)):
    gathered, table_alone = nh * T_ * T_ * hs * 4, nh * T_ * hs * 4
    print(f"{whose}: {gathered / 1e6:,.1f} MB gathered, {table_alone / 1e6:,.2f} MB for the tables, "
          f"{gathered // table_alone:,} times as much")

# %% [markdown]
# The factor is T itself. The 8.5 GB a layer are those of section 3.4 of the paper, in which each head has a table of its own. (Our
# heads share one, so here the first column is four times too large. A loop over heads would not need it either.)
#
# Does it hold in practice? The largest difference between the two ways in float64, gradients and all:

# %%
queries = torch.randn(2, 4, 50, 16, dtype=torch.float64, requires_grad=True)
distances = torch.randn(50, 16, dtype=torch.float64, requires_grad=True)
row = 49 - (torch.arange(50)[:, None] - torch.arange(50))  # of the table
by_gathering = torch.einsum("bhic,ijc->bhij", queries, distances[row.clamp(max=49)]).tril()
by_skewing = music.relative_scores(queries, distances)
both_ways = by_gathering, by_skewing
grads = [torch.autograd.grad(scores.square().sum(), [queries, distances]) for scores in both_ways]
off = max((a - b).abs().max().item() for a, b in zip(*grads, strict=True))
assert off < 1e-9 and torch.allclose(by_gathering, by_skewing)
print(f"largest difference of a gradient: {off:.0e}")

# %% [markdown]
# ## Challenge: music of yours
#
# No check for this one. Read a hundred MIDI files of piano music with `read_midi`, and train a relative model on them: more
# layers, `n_ctx` 512, an hour. Then move every piece by -3 to +3 keys and stretch it by up to 5 %, as the Music
# Transformer does. At first the model learns that what went down must come up, then bars, then
# which pitches go together. Longer phrases need far more music and a far larger model.

# %% [markdown]
# ## What you have
#
# A performance is a text of 388 events, and GPT-2 reads and writes it as it is. Relative positions give its scores the
# distance between query and key, which on this music lowers the loss in all three seeds. **The numbers:**

# %%
mean = {kind: sum(found) / len(found) for kind, found in measured.items()}
print(f"events: {music.N_EVENTS} (GPT-2's tokens: {GPT2Config().vocab_size:,}); an even guess: {math.log(388):.2f} nats")
print(f"held-out loss, mean of three seeds: absolute {mean['absolute']:.2f}, relative {mean['relative']:.2f}; longer {long_run:.2f}")
for kind in KINDS:
    learned = sum(p.numel() for p in Composer(kind == "relative", 0).parameters() if p.requires_grad)
    print(f"{kind}: {learned:,} parameters learn")
print("Music Transformer: contexts of 2,048 events; MuseNet: 72 layers, 4,096 tokens, 24 heads")

# %% [markdown]
# ### Questions
#
# <details><summary>1. Why do offs come before ons at one time?</summary>
# A key that is struck again at once would sound twice, and the off of the old note would end the new one.
# </details>
# <details><summary>2. A shift of 356?</summary>
# There is none: 356 is the softest velocity. The longest shift is 355, one second.
# </details>
# <details><summary>3. Which numbers of a performance do the events change?</summary>
# Velocities, by at most 2: each becomes the middle of its bin. Times are whole steps already.
# </details>
# <details><summary>4. What does the last row of the table say, and what the first?</summary>
# The last is for the distance 0, a position's view of itself; the first for T - 1, the farthest back.
# </details>
# <details><summary>5. The relative model's wpe is zero. How does it know the order of the events?</summary>
# From the distances, and from the mask: each position may read only what lies before it.
# </details>
#
# From earlier lessons:
#
# <details><summary>6. Why is the mask put on before the softmax? (lesson 06)</summary>
# So that the weights of what may be read sum to 1. A score of -inf becomes a weight of 0.
# </details>
# <details><summary>7. What does temperature 0.8 do to the logits? (lesson 11)</summary>
# It divides them by 0.8: they move apart, and the likely events become likelier.
# </details>

# %% [markdown]
# **Sources.** Oore et al. 2018, *This Time with Feeling: Learning Expressive Musical Performance* (the events, with
# shifts of 8 ms); Huang et al. 2018, *Music Transformer*, sections 3.1 (events), 3.4 (skewing), 4.2 (piano performances);
# Shaw et al. 2018, *Self-Attention with Relative Position Representations*, section 3; Payne 2019,
# *MuseNet*; Jay Alammar 2019, *The Illustrated GPT-2* (music as a text, and the peaks). The music is the course's own.
#
# **Next:** a melody of ten minutes has thousands of events, and attention costs the square of that.
# [Lesson 20](20_longer_memory.ipynb) reads further for less.
#
# **What you have built so far:**

# %%
my_progress()
