"""The music that lesson 19's models learn from: short pieces with form, made by seeded dice.

A piece has eight bars, on the white keys of a piano. Three times a motif of one bar is heard, moved
up and down the keys, then another one as an answer; all of that once more, a little higher, and the
keynote. Each motif has one peak, its highest and loudest note, and a soft bass note lies under each
bar. Times are in steps of 10 ms. Standard library only; the same seed gives the same music.
"""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass

from gpt2course.corpus.sentences import pick

Tone = tuple[int, int, int, int]  # start, end, pitch, velocity

WHITE_KEYS = (0, 2, 4, 5, 7, 9, 11)  # in semitones above a C
KEYNOTES = (0, 1, 3, 4, 5)  # white keys above middle C: C and G are major, D and A minor
EIGHTHS = (18, 22, 26)  # how long an eighth note lasts: quick, middling, slow
RHYTHMS = (  # eighth notes; each fills a bar of eight
    (2, 2, 2, 2), (3, 1, 2, 2), (1, 1, 2, 2, 2), (2, 1, 1, 2, 2), (2, 2, 1, 1, 2),
    (3, 1, 3, 1), (1, 1, 2, 1, 1, 2), (2, 1, 1, 1, 1, 2), (3, 1, 1, 1, 2),
)  # fmt: skip
BEFORE_PEAK, TO_PEAK, AFTER_PEAK = (1, 1, 2, 0, -1), (1, 2, 2, 3, 4), (-1, -1, -2, -3, 0, 1)
FORM = "aaabaaab"  # the motifs of the bars
CLIMBS = ((0, 1, 2, 1), (0, 1, 2, 0), (0, 2, 1, 0), (0, 1, 3, 1))  # by how many white keys
HIGHER = 1  # white keys by which the second half of a piece lies above the first
SOFT, PLAIN, LOUD, BASS = 54, 66, 90, 42  # velocities
KEPT_BACK = 8  # one motif in so many is never in the training music
TRAINING_SEED, HELDOUT_SEED = 1901, 1902


@dataclass(frozen=True)
class Motif:
    """One bar: how long its notes last, in eighth notes, and where they lie, in white keys."""

    lengths: tuple[int, ...]
    steps: tuple[int, ...]

    @property
    def peak(self) -> int:
        """Which of the notes is the highest; there is one."""
        return self.steps.index(max(self.steps))


@dataclass(frozen=True)
class Piece:
    """Eight bars of music.

    Attributes:
        tones: (start, end, pitch, velocity), by start, and lower pitch first.
        peaks: which of the tones are the peaks of their bars.
        bars: which of the tones begin a bar: the bass notes.
        motifs: the two that it is made of.
    """

    tones: tuple[Tone, ...]
    peaks: tuple[int, ...]
    bars: tuple[int, ...]
    motifs: tuple[Motif, Motif]


def kept_back(motif: Motif) -> bool:
    """Whether a motif is one of those that the training music never plays."""
    return zlib.crc32(repr((motif.lengths, motif.steps)).encode()) % KEPT_BACK == 0


def draw_motif(rng: random.Random, held: bool) -> Motif:
    """A motif that rises to its one peak and falls, by steps and small leaps."""
    while True:
        lengths = pick(rng, RHYTHMS)
        top = 1 + int(rng.random() * (len(lengths) - 2))  # neither the first note nor the last
        steps = [0]
        for i in range(1, len(lengths)):
            moves = TO_PEAK if i == top else BEFORE_PEAK if i < top else AFTER_PEAK
            steps.append(steps[-1] + pick(rng, moves))
        motif = Motif(lengths, tuple(steps))
        alone = steps.count(max(steps)) == 1 and motif.peak == top
        if alone and kept_back(motif) == held:
            return motif


def piece(rng: random.Random, held: bool = False) -> Piece:
    """One piece.

    Args:
        held: whether its motifs are those which the training music never plays, or others.
    """
    first = second = draw_motif(rng, held)
    while second == first:
        second = draw_motif(rng, held)
    keynote, eighth = pick(rng, KEYNOTES), pick(rng, EIGHTHS)
    climb = pick(rng, CLIMBS)
    heights = [*climb, *(step + HIGHER for step in climb)]
    bars = [*zip(FORM, heights, strict=True)]
    tones: list[Tone] = []
    peaks, starts = [], []
    for bar, (name, climbed) in enumerate(bars):
        motif, start = (first if name == "a" else second), 8 * bar * eighth
        starts.append(len(tones))
        root = keynote + climbed
        tones.append((start, start + 8 * eighth, white_key(root - 14), BASS))
        for i, (length, step) in enumerate(zip(motif.lengths, motif.steps, strict=True)):
            if i == motif.peak:
                peaks.append(len(tones))
            loudness = LOUD if i == motif.peak else SOFT if i == len(motif.steps) - 1 else PLAIN
            pitch = white_key(root + step)
            tones.append((start, start + length * eighth, pitch, loudness))
            start += length * eighth
    end, last = 8 * len(bars) * eighth, 8 * (len(bars) + 1) * eighth
    tones.append((end, last, white_key(keynote - 14), BASS))
    tones.append((end, last, white_key(keynote), SOFT))
    return Piece(tuple(tones), tuple(peaks), tuple(starts), (first, second))


def white_key(step: int) -> int:
    """The pitch of the white key so many keys above middle C, or below."""
    octaves, degree = divmod(step, 7)
    return 60 + 12 * octaves + WHITE_KEYS[degree]


def pieces(seed: int, n: int, held: bool = False) -> list[Piece]:
    """n pieces, the same for the same seed."""
    rng = random.Random(seed)
    return [piece(rng, held) for _ in range(n)]


def training_pieces(n: int) -> list[Piece]:
    """What a model learns from."""
    return pieces(TRAINING_SEED, n)


def heldout_pieces(n: int) -> list[Piece]:
    """Pieces whose motifs no model has heard; what it is measured by."""
    return pieces(HELDOUT_SEED, n, held=True)
