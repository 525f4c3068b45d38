"""Notes as a sequence of events, and attention by distance.

A performance becomes a text of 388 kinds of events, so that GPT-2 can read and write it (Oore et
al. 2018, "This Time with Feeling"; the sizes are those of Huang et al. 2018, "Music Transformer").
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from gpt2course.attention import attention_weights, blend_values, causal_mask
from gpt2course.config import check_heads
from gpt2course.extras import require_mido
from gpt2course.files import write_whole
from gpt2course.linear import Linear
from gpt2course.multihead import Past, merge_heads, split_heads

STEP = 0.01  # seconds
LONGEST_SHIFT = 100  # steps, so one second
BIN = 4  # velocities that count as one
NOTE_ON, NOTE_OFF, SHIFT, VELOCITY = 0, 128, 256, 356  # the first id of each kind
N_EVENTS = 388  # 128 + 128 + 100 + 32
MIDI_BYTES = 1_000_000  # of the largest file that is read: seconds of work
MIDI_HOURS = 10  # of the longest
DRUMS = 9  # the channel on which a number is a drum and no pitch


class Note(NamedTuple):
    """One note of a performance.

    Attributes:
        start, end: in steps of 10 ms.
        pitch: 0 … 127, 60 is middle C, a semitone each.
        velocity: how hard the key is struck, 0 … 127.
    """

    start: int
    end: int
    pitch: int
    velocity: int


# Notes and events -------------------------------------------------------------------------------


def encode_notes(notes: list[Note]) -> list[int]:
    """The events of a performance in the order of time.

    At one time offs come before ons, lower pitches first. A velocity is said only where its bin
    changes; a wait is as few shifts as possible, the longest first.

    >>> encode_notes([Note(0, 150, 60, 64)])  # velocity, on, 100 steps, 50 steps, off
    [372, 60, 355, 305, 188]

    Raises:
        ValueError: a note ends before it has begun, or has a number that MIDI has not, or begins
            while another one of its pitch sounds.
    """
    _check_notes(notes)
    ons = [(note.start, NOTE_ON, note.pitch, note.velocity) for note in notes]
    offs = [(note.end, -1, note.pitch, 0) for note in notes]  # -1 sorts before NOTE_ON
    ids: list[int] = []
    now, loudness = 0, None
    for time, kind, pitch, velocity in sorted(ons + offs):
        seconds, rest = divmod(time - now, LONGEST_SHIFT)
        ids += [SHIFT + LONGEST_SHIFT - 1] * seconds + [SHIFT + rest - 1] * bool(rest)
        now = time
        if kind == NOTE_ON:
            if velocity // BIN != loudness:
                loudness = velocity // BIN
                ids.append(VELOCITY + loudness)
            ids.append(NOTE_ON + pitch)
        else:
            ids.append(NOTE_OFF + pitch)
    return ids


def _check_notes(notes: Iterable[Note]) -> None:
    ends: dict[int, Note] = {}
    for note in sorted(notes):
        start, end, pitch, velocity = note
        if not 0 <= start < end:
            raise ValueError(
                f"a note must begin at 0 or later and end after that, got {note}; times are whole "
                f"steps of 10 ms, and the shortest note has one"
            )
        if not (0 <= pitch < 128 and 0 <= velocity < 128):
            raise ValueError(
                f"pitch and velocity must lie in 0 to 127, got {note}; transpose it by octaves "
                f"of 12, or cut the velocity"
            )
        if pitch in ends and ends[pitch].end > start:
            raise ValueError(
                f"two notes of one pitch must not overlap, got {ends[pitch]} and {note}; end the "
                f"first one at {start}, as a piano does when its key is struck again"
            )
        ends[pitch] = note


def decode_events(ids: list[int]) -> list[Note]:
    """The notes that events describe, by start and then pitch: undoes `encode_notes`.

    A velocity is the middle of its bin. A note that is never ended ends at the last time; an off
    without an on is passed over. Models write two things that `encode_notes` does not: an on of a
    pitch that sounds ends the note before it, and one before any velocity has 66.

    >>> decode_events([372, 60, 355, 305, 188])
    [Note(start=0, end=150, pitch=60, velocity=66)]

    Raises:
        ValueError: an id is none of the 388.
    """
    notes: list[Note] = []
    sounding: dict[int, tuple[int, int]] = {}  # start and velocity by pitch
    now, velocity = 0, 66
    for token_id in ids:
        kind, number = _kind_of(token_id)
        if kind == SHIFT:
            now += number + 1
        elif kind == VELOCITY:
            velocity = BIN * number + BIN // 2
        else:
            if number in sounding:
                start, loudness = sounding.pop(number)
                notes.append(Note(start, now, number, loudness))
            if kind == NOTE_ON:
                sounding[number] = now, velocity
    notes += [Note(start, now, pitch, v) for pitch, (start, v) in sounding.items()]
    return sorted(notes, key=lambda note: (note.start, note.pitch))


def _kind_of(token_id: int) -> tuple[int, int]:
    """The first id of an event's kind, and its number within that kind."""
    if not 0 <= token_id < N_EVENTS:
        raise ValueError(
            f"an event must be an id in 0 to {N_EVENTS - 1}, got {token_id}; is the model's "
            f"vocab_size {N_EVENTS}?"
        )
    kind = next(k for k in (VELOCITY, SHIFT, NOTE_OFF, NOTE_ON) if token_id >= k)
    return kind, token_id - kind


def event_name(token_id: int) -> str:
    """An event in words, such as "on C4", "off C4", "wait 250 ms" or "velocity 64-67"."""
    kind, number = _kind_of(token_id)
    if kind == SHIFT:
        return f"wait {10 * (number + 1)} ms"
    if kind == VELOCITY:
        return f"velocity {BIN * number}-{BIN * number + BIN - 1}"
    return f"{'on' if kind == NOTE_ON else 'off'} {pitch_name(number)}"


def pitch_name(pitch: int) -> str:
    """A pitch by its name and octave; 60 is C4."""
    return f"{'C C♯ D D♯ E F F♯ G G♯ A A♯ B'.split()[pitch % 12]}{pitch // 12 - 1}"


# MIDI files and sound ---------------------------------------------------------------------------


def read_midi(path: str | Path) -> list[Note]:
    """The notes of a MIDI file, of all its tracks and channels but the drums.

    Times are rounded to 10 ms, and no note becomes shorter than that. Where a pitch is struck
    while it sounds, its earlier note ends. Pedals, programs and pitch bends are passed over.

    Raises:
        FileNotFoundError: there is no such file.
        ModuleNotFoundError: mido, which reads MIDI, is not installed.
        ValueError: it is no MIDI file, or a damaged one, or too large or too long to be read.
    """
    require_mido()
    import mido

    path = Path(path)
    data = path.read_bytes()
    if not data.startswith(b"MThd"):
        what = f"begins with {data[:4]!r}" if data else "is empty"
        raise ValueError(f"a MIDI file must begin with b'MThd', and {path} {what}")
    if len(data) > MIDI_BYTES:
        raise ValueError(
            f"a MIDI file of at most {MIDI_BYTES:,} bytes is read, and {path} has {len(data):,}; "
            f"save a part of it"
        )
    try:
        file = mido.MidiFile(file=io.BytesIO(data), clip=True)
        if file.ticks_per_beat <= 0:
            raise ValueError("its times are those of film frames; save it with ticks per beat")
        messages = list(file)
    except (ValueError, TypeError, LookupError, EOFError, OSError, struct.error) as error:
        raise ValueError(
            f"{path} is a damaged MIDI file, or of a kind that is not read "
            f"({type(error).__name__}: {error}); open it in a program for scores and save it anew"
        ) from error
    notes = list(_notes_of(messages))
    if notes and max(note.end for note in notes) * STEP > MIDI_HOURS * 3600:
        raise ValueError(f"a MIDI file of at most {MIDI_HOURS} hours is read, {path} lasts longer")
    return sorted(notes)


def _notes_of(messages: Iterable[Any]) -> Iterator[Note]:
    """The notes that mido's messages say, whose times are seconds since the one before."""
    sounding: dict[int, tuple[int, int, int]] = {}  # start, velocity and channel by pitch
    seconds = 0.0
    for message in messages:
        seconds += message.time
        now = round(seconds / STEP)
        if message.type not in ("note_on", "note_off") or message.channel == DRUMS:
            continue
        pitch, on = message.note, message.type == "note_on" and message.velocity > 0
        if pitch in sounding and (on or sounding[pitch][2] == message.channel):
            start, velocity, _ = sounding.pop(pitch)
            if not on or now > start:  # of two that are struck together the later one counts
                yield Note(start, max(now, start + 1), pitch, velocity)
        if on:
            sounding[pitch] = now, message.velocity, message.channel
    now = round(seconds / STEP)
    for pitch, (start, velocity, _) in sounding.items():
        yield Note(start, max(now, start + 1), pitch, velocity)


def write_midi(path: str | Path, notes: list[Note]) -> None:
    """Write a performance as a MIDI file of one track, with a tick of 10 ms.

    Notes of no length are left out. In MIDI an on of velocity 0 is an off, so 0 becomes 1.

    Raises:
        ModuleNotFoundError: mido, which writes MIDI, is not installed.
        ValueError: as `encode_notes`.
    """
    require_mido()
    import mido

    notes = [note for note in notes if note.end != note.start]
    _check_notes(notes)
    track, now = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=500_000)]), 0  # 0.5 s a beat
    moments = [(n.start, 1, n.pitch, max(n.velocity, 1)) for n in notes]
    moments += [(n.end, 0, n.pitch, 0) for n in notes]
    for time, on, pitch, velocity in sorted(moments):
        kind = "note_on" if on else "note_off"
        track.append(mido.Message(kind, note=pitch, velocity=velocity, time=time - now))
        now = time
    written = io.BytesIO()
    mido.MidiFile(tracks=[track], ticks_per_beat=50).save(file=written)
    write_whole(Path(path), written.getvalue())


def synthesise(notes: list[Note], rate: int = 8_000) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The sound of a performance, `rate` samples a second, at most 1 in size.

    Each note is four sine waves, an octave and more above each other, that die away like a string
    that was struck. What no sample rate of this size can carry is left out.
    """
    release = 0.12  # seconds until a note that ends is silent
    length = max((note.end for note in notes), default=0) * STEP + release
    sound = np.zeros(int(length * rate) + 1, dtype=np.float32)
    for note in notes:
        seconds = (note.end - note.start) * STEP
        t = np.arange(int((seconds + release) * rate), dtype=np.float32) / rate
        hertz = 440.0 * 2 ** ((note.pitch - 69) / 12)
        tone = np.zeros_like(t)
        for n, strength in ((1, 1.0), (2, 0.5), (3, 0.25), (4, 0.12)):
            if n * hertz < rate / 2:
                tone += strength * np.sin(2 * np.pi * n * hertz * t) * np.exp(-1.5 * n * t)
        fade = np.clip(np.minimum(t / 0.008, (seconds + release - t) / release), 0, 1)
        first = int(note.start * STEP * rate)
        sound[first : first + len(t)] += (note.velocity / 127) ** 1.5 * fade * tone
    return sound / max(1.0, float(np.abs(sound).max()))


# Attention by distance --------------------------------------------------------------------------


def relative_scores(
    q: Float[Tensor, "B nh T hs"], table: Float[Tensor, "T hs"]
) -> Float[Tensor, "B nh T T"]:
    """How much each query wants to read each distance; 0 above the diagonal.

    Entry (i, j) is q_i · table[T - 1 - (i - j)]: the last row of the table is for the position
    itself, the one before for the position before. One product gives all (query, distance) pairs;
    a column of zeros and a reshape then move row i to the left by T - 1 - i ("skewing", Huang et
    al. 2018, section 3.4), so that no (T, T, hs) tensor is made.

    Raises:
        ValueError: the table has another number of rows than there are queries.
    """
    B, nh, T, _ = q.shape
    if len(table) != T:
        raise ValueError(
            f"table must have a row for each of the T={T} distances, got {len(table)}; "
            f"take the last ones: table[-{T}:]"
        )
    by_distance = q @ table.T  # (B, nh, T, T): column m is for the distance T - 1 - m
    skewed = F.pad(by_distance, (1, 0)).reshape(B, nh, T + 1, T)[:, :, 1:]  # (B, nh, T, T)
    return skewed.tril()


class RelativeSelfAttention(nn.Module):
    """Causal attention whose scores also depend on how far back a key is (Huang et al. 2018).

    `table` has a row of hs numbers for each of n_ctx distances, shared by the heads; it begins
    with zeros, so that a new layer attends as CausalSelfAttention does.
    """

    def __init__(self, n_embd: int, n_head: int, n_ctx: int):
        super().__init__()
        check_heads(n_embd, n_head)
        self.n_head = n_head
        self.c_attn = Linear(n_embd, 3 * n_embd)
        self.c_proj = Linear(n_embd, n_embd)
        self.table = nn.Parameter(torch.zeros(n_ctx, n_embd // n_head))

    def forward(
        self, x: Float[Tensor, "B T C"], past: Past | None = None
    ) -> Float[Tensor, "B T C"]:
        q, k, v = (split_heads(part, self.n_head) for part in self.c_attn(x).chunk(3, dim=-1))
        if past is not None:
            k, v = past.append(k, v)  # (B, nh, S, hs)
        weights = self.weights(q, k)  # (B, nh, T, S)
        return self.c_proj(merge_heads(blend_values(weights, v)))

    def weights(
        self, q: Float[Tensor, "B nh T hs"], k: Float[Tensor, "B nh S hs"]
    ) -> Float[Tensor, "B nh T S"]:
        """The attention weights of T queries at the last of S positions."""
        T, S, hs = q.shape[-2], k.shape[-2], q.shape[-1]
        if len(self.table) < S:
            raise ValueError(f"the table has {len(self.table)} distances, got {S} positions")
        as_long = F.pad(q, (0, 0, S - T, 0))  # queries of zeros at the positions before
        by_distance = relative_scores(as_long, self.table[-S:])[..., -T:, :]
        scores = (q @ k.transpose(-2, -1) + by_distance) / hs**0.5
        return attention_weights(scores.masked_fill(~causal_mask(T, S).to(q.device), -torch.inf))
