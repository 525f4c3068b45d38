"""The exercises of lesson 19: encode_notes, decode_events, relative_scores."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import astuple, dataclass

import torch
from torch import Tensor

from gpt2course import music
from gpt2course.checks.exercise import Case, Exercise, Property
from gpt2course.checks.inputs import normal, strided
from gpt2course.music import NOTE_OFF, SHIFT, VELOCITY, Note

# encode_notes -----------------------------------------------------------------------------------


def _performance(n: int, seed: int, longest: int = 250) -> list[Note]:
    """n notes in no order; two of one pitch follow each other at once or leave a pause."""
    rng, notes, ends = random.Random(seed), [], {}
    for _ in range(n):
        pitch = rng.choice((0, 36, 60, 64, 67, 127, rng.randrange(128)))
        start = ends.get(pitch, 0) + rng.choice((0, 0, 100, rng.randrange(longest)))
        ends[pitch] = start + rng.choice((1, 100, 200, rng.randrange(1, longest)))
        notes.append(Note(start, ends[pitch], pitch, rng.randrange(128)))
    rng.shuffle(notes)
    return notes


_CHORD = [Note(0, 50, 67, 64), Note(0, 50, 60, 64), Note(0, 50, 64, 64)]
_MELODY = [Note(0, 25, 60, 64), Note(25, 50, 62, 70), Note(50, 120, 64, 90), Note(120, 150, 60, 90)]
_PAUSE = [Note(40, 60, 60, 64), Note(110, 130, 62, 64)]


def _is_shift(event: int) -> bool:
    return SHIFT <= event < VELOCITY


def _kinds(ids: list[int]) -> list[int]:
    return [sum(event >= first for first in (NOTE_OFF, SHIFT, VELOCITY)) for event in ids]


def _each_note_begins_and_ends(ids: list[int], notes: list[Note]) -> bool:
    pitches = sorted(note.pitch for note in notes)
    ons = sorted(event for event in ids if event < NOTE_OFF)
    offs = sorted(event - NOTE_OFF for event in ids if NOTE_OFF <= event < SHIFT)
    return ons == offs == pitches


def _lasts_as_long(ids: list[int], notes: list[Note]) -> bool:
    steps = sum(event - SHIFT + 1 for event in ids if _is_shift(event))
    return steps == max((note.end for note in notes), default=0)


def _no_velocity_is_said_twice(ids: list[int], notes: list[Note]) -> bool:
    said = [event for event in ids if event >= VELOCITY]
    return all(one != other for one, other in zip(said, said[1:], strict=False))


def _offs_come_first(ids: list[int], notes: list[Note]) -> bool:
    """At one time: between two shifts, no off stands behind an on."""
    on = False
    for event in ids:
        on = (on or event < NOTE_OFF) and not _is_shift(event)
        if on and NOTE_OFF <= event < SHIFT:
            return False
    return True


def _asked(holds: Callable, *performances: list[Note]) -> dict[str, Callable]:
    """A property of encoded notes: of a few performances, and of the result that the card shows."""
    return {
        "holds": lambda f: all(holds(f(list(notes)), notes) for notes in performances),
        "of_result": holds,
    }


encode_notes = Exercise(
    music.encode_notes,
    cases=[
        Case("one note", ([Note(0, 30, 60, 64)],)),
        Case("a pause before the first note", ([Note(50, 90, 62, 64)],)),
        Case("two notes, the second louder", ([Note(0, 30, 60, 64), Note(30, 60, 64, 80)],)),
        Case("two notes, a pause between them", ([Note(0, 20, 60, 64), Note(45, 65, 64, 64)],)),
        Case("a chord, its notes in no order", (_CHORD,)),
        Case("a note that lasts a second", ([Note(0, 100, 60, 64)],)),
        Case("a note that lasts 1.01 seconds", ([Note(0, 101, 60, 64)],)),
        Case("a note that lasts 3.5 seconds", ([Note(0, 350, 60, 64)],)),
        Case("two seconds of silence first", ([Note(200, 210, 60, 64)],)),
        Case("a key that is struck again at once", ([Note(0, 20, 60, 64), Note(20, 50, 60, 64)],)),
        Case("one note ends as a lower one begins",
             ([Note(0, 20, 72, 64), Note(20, 40, 48, 64)],)),
        Case("velocities of one bin", ([Note(0, 10, 60, 64), Note(10, 20, 62, 67)],)),
        Case("velocities one apart, in two bins",
             ([Note(0, 10, 60, 67), Note(10, 20, 62, 68)],)),
        Case("a velocity that comes back",
             ([Note(0, 10, 60, 64), Note(10, 20, 62, 90), Note(20, 30, 64, 64)],)),
        Case("a melody", (_MELODY,)),
        Case("a melody, the last note first", (_MELODY[::-1],)),
        Case("a long note under short ones",
             ([Note(0, 90, 48, 40), Note(0, 30, 60, 64), Note(30, 60, 64, 64)],)),
        Case("a loud low note and a soft high one at once",
             ([Note(0, 30, 72, 30), Note(0, 30, 48, 100)],)),
        Case("the lowest and the highest numbers",
             ([Note(0, 1, 0, 0), Note(1, 2, 127, 127), Note(2, 3, 0, 3)],)),
        Case("no notes", ([],)),
        Case("thirty notes", (_performance(30, seed=1),)),
        Case("a hundred notes", (_performance(100, seed=2),)),
        Case("sixty notes and long silences", (_performance(60, seed=3, longest=700),)),
    ],
    properties=[
        Property("every note has one on and one off",
                 **_asked(_each_note_begins_and_ends, _CHORD, _MELODY)),
        Property("the shifts add up to the time at which the last note ends",
                 **_asked(_lasts_as_long, _PAUSE, _MELODY)),
        Property("no shift is shorter than a second where another one follows",
                 **_asked(lambda ids, notes: all(
                     one == VELOCITY - 1 or not (_is_shift(one) and _is_shift(other))
                     for one, other in zip(ids, ids[1:], strict=False)),
                     [Note(0, 350, 60, 64)], _MELODY)),
        Property("a velocity is said only where it changes",
                 **_asked(_no_velocity_is_said_twice, _CHORD, _MELODY)),
        Property("at one time what ends is said before what begins",
                 **_asked(_offs_come_first, _MELODY, [Note(0, 20, 72, 64), Note(20, 40, 48, 64)])),
        Property("the order of the list makes no difference",
                 lambda f: f(list(_MELODY)) == f(_MELODY[::-1]) and f(_CHORD) == f(_CHORD[::-1])),
    ],
)  # fmt: skip


# decode_events ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Shown:
    """A Note as the checks compare it: whole, and no tuple."""

    travels = ("start", "end", "pitch", "velocity")  # from a process that runs answers

    start: int
    end: int
    pitch: int
    velocity: int

    def __repr__(self) -> str:
        return repr(Note(self.start, self.end, self.pitch, self.velocity))


def _call_decode(answer, ids):
    """The notes, which must be Notes and not merely tuples like them."""
    notes = answer(ids)
    if not isinstance(notes, list):
        return notes
    for i, note in enumerate(notes):
        if not isinstance(note, Note):
            raise TypeError(f"entry {i} must be a Note(start, end, pitch, velocity), got {note!r}")
    return [_Shown(*note) for note in notes]


def _order(notes: list[_Shown]) -> list[tuple[int, int]]:
    return [(note.start, note.pitch) for note in notes]


def _decoded(f, ids: list[int]) -> list[_Shown]:
    return _call_decode(f, list(ids))


def _round_trip(f) -> Callable[[list[int]], bool]:
    return lambda ids: ids == music.encode_notes([Note(*astuple(n)) for n in _decoded(f, ids)])


_TWO = [372, 60, 280, 188, 376, 64, 285, 192]  # two notes, one after the other
_UNENDED = [372, 60, 265, 64, 275]  # neither of them ends before the last time

decode_events = Exercise(
    music.decode_events,
    call=_call_decode,
    cases=[
        Case("one note", ([372, 60, 285, 188],)),
        Case("two notes, the second louder", (_TWO,)),
        Case("the second note as loud as the first", ([372, 60, 280, 188, 62, 275, 190],)),
        Case("a pause before the first note", ([305, 372, 62, 295, 190],)),
        Case("a wait of several shifts", ([372, 60, 355, 355, 305, 188],)),
        Case("a chord", ([372, 60, 64, 67, 305, 188, 192, 195],)),
        Case("a chord, the higher key struck first", ([372, 67, 60, 305, 188, 195],)),
        Case("of two notes the later one ends first", ([372, 67, 275, 60, 275, 188, 275, 195],)),
        Case("a long note that begins first and ends last",
             ([366, 48, 372, 60, 275, 188, 64, 275, 192, 176],)),
        Case("a key that is struck again at once", ([372, 60, 275, 188, 60, 265, 188],)),
        Case("the velocity changes while a note sounds", ([372, 60, 265, 380, 265, 188],)),
        Case("a velocity said twice", ([372, 380, 60, 265, 188],)),
        Case("a note that never ends", ([372, 60, 355],)),
        Case("two notes that never end", (_UNENDED,)),
        Case("two notes that never end, the higher key struck first", ([372, 67, 60, 275],)),
        Case("a note that never ends, and silence behind the last event",
             ([372, 60, 265, 64, 265, 192, 355, 275],)),
        Case("an off without an on", ([372, 188, 64, 275, 192],)),
        Case("an off too many", ([372, 64, 275, 192, 265, 192],)),
        Case("a note of no length", ([372, 60, 188],)),
        Case("nothing but an on", ([372, 60],)),
        Case("the first and the last id of each kind", ([356, 0, 256, 128, 387, 127, 355, 255],)),
        Case("waits alone", ([355, 256],)),
        Case("no events", ([],)),
        Case("thirty notes", (music.encode_notes(_performance(30, seed=4)),)),
        Case("a hundred notes", (music.encode_notes(_performance(100, seed=5)),)),
        Case("what is left of forty notes when a third of their events is lost",
             (music.encode_notes(_performance(40, seed=6))[:80],)),
    ],
    properties=[
        Property("there is a note for every on",
                 lambda f: len(_decoded(f, _TWO)) == len(_decoded(f, _UNENDED)) == 2,
                 of_result=lambda notes, ids: len(notes) == sum(event < NOTE_OFF for event in ids)),
        Property("the notes are in the order of their starts, lower pitches first",
                 lambda f: all(_order(notes) == sorted(_order(notes)) for notes in (
                     _decoded(f, [372, 67, 60, 275, 188, 195]),
                     _decoded(f, [372, 67, 275, 60, 275, 188, 275, 195]))),
                 of_result=lambda notes, ids: _order(notes) == sorted(_order(notes))),
        Property("no note lasts longer than the music",
                 lambda f: max(note.end for note in _decoded(f, _UNENDED)) == 30,
                 of_result=lambda notes, ids: all(
                     0 <= note.start <= note.end <= sum(
                         event - SHIFT + 1 for event in ids if _is_shift(event))
                     for note in notes)),
        Property("every velocity is the middle of its bin",
                 lambda f: [note.velocity for note in _decoded(f, _TWO)] == [66, 82],
                 of_result=lambda notes, ids: all(note.velocity % 4 == 2 for note in notes)),
        Property("encoding the notes gives the events again",
                 lambda f: all(map(_round_trip(f), (
                     _TWO, [366, 48, 372, 60, 275, 188, 64, 275, 176, 192])))),
    ],
)  # fmt: skip


# relative_scores --------------------------------------------------------------------------------


def _q_table(
    B: int, nh: int, T: int, hs: int, seed: int, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor]:
    return normal(B, nh, T, hs, seed=seed, dtype=dtype), normal(T, hs, seed=seed + 1, dtype=dtype)


_BY_HAND = (torch.tensor([[[[1.0], [10.0], [100.0]]]]), torch.tensor([[3.0], [2.0], [1.0]]))


def _of_tensor(holds: Callable) -> Callable:
    """The same question of a result, not asked where the card shows gradients."""
    return lambda got, *args: holds(got, *args) if isinstance(got, Tensor) else None


def _is_lower_triangle(scores: Tensor) -> bool:
    return bool((scores == scores.tril()).all())


def _reads_itself(scores: Tensor, q: Tensor, table: Tensor) -> bool:
    own = scores.diagonal(dim1=-2, dim2=-1)
    return torch.allclose(own, q @ table[-1], rtol=1e-4, atol=1e-3)


def _first_column(scores: Tensor, q: Tensor, table: Tensor) -> bool:
    """Query i reads position 0 over a distance of i."""
    want = (q * table.flip(0)).sum(dim=-1)
    return torch.allclose(scores[..., 0], want, rtol=1e-4, atol=1e-3)


relative_scores = Exercise(
    music.relative_scores,
    cases=[
        Case("three queries of one number", _BY_HAND),
        Case("one query", _q_table(1, 1, 1, 3, seed=1)),
        Case("two queries", _q_table(1, 1, 2, 3, seed=3)),
        Case("four queries", _q_table(1, 1, 4, 2, seed=5)),
        Case("two heads", _q_table(1, 2, 4, 3, seed=7)),
        Case("a batch of two", _q_table(2, 1, 3, 4, seed=9)),
        Case("a batch of two with three heads", _q_table(2, 3, 5, 7, seed=11)),
        Case("four of everything", _q_table(4, 4, 4, 4, seed=13)),
        Case("fifty positions", _q_table(1, 2, 50, 3, seed=15)),
        Case("as many numbers in a head as positions, less one", _q_table(3, 2, 6, 5, seed=17)),
        Case("numbers in the thousands", (1000 * normal(1, 2, 5, 3, seed=19),
                                          normal(5, 3, seed=20))),
        Case("a table of zeros", (normal(1, 2, 5, 3, seed=21), torch.zeros(5, 3))),
        Case("float64 stays float64", _q_table(1, 2, 5, 3, seed=23, dtype=torch.float64)),
        Case("float64 keeps its digits",
             _q_table(2, 1, 5, 3, seed=25, dtype=torch.float64), fine=True),
        Case("arguments that do not lie in one piece in memory",
             tuple(map(strided, _q_table(2, 3, 5, 4, seed=27)))),
        Case("the gradients reach q and the table",
             _q_table(2, 3, 5, 4, seed=29), gradients=True),
    ],
    properties=[
        Property("one row for each query, one column for each key",
                 lambda f: f(*_q_table(2, 3, 5, 7, seed=31)).shape == (2, 3, 5, 5),
                 of_result=_of_tensor(
                     lambda y, q, table: y.shape == (*q.shape[:-1], q.shape[-2]))),
        Property("above the diagonal everything is 0",
                 lambda f: _is_lower_triangle(f(*_q_table(1, 2, 5, 3, seed=33))),
                 of_result=_of_tensor(lambda y, q, table: _is_lower_triangle(y))),
        Property("the diagonal holds the products with the last row of the table",
                 lambda f: _reads_itself(f(*(args := _q_table(1, 2, 5, 3, seed=35))), *args),
                 of_result=_of_tensor(_reads_itself)),
        Property("in the first column each query meets its own distance from the beginning",
                 lambda f: _first_column(f(*(args := _q_table(1, 2, 5, 3, seed=37))), *args),
                 of_result=_of_tensor(_first_column)),
        Property("where all queries are alike, each diagonal holds one number",
                 lambda f: _one_number_a_diagonal(f)),
    ],
)  # fmt: skip


def _one_number_a_diagonal(f) -> bool:
    q, table = normal(1, 1, 1, 3, seed=39).expand(1, 1, 5, 3), normal(5, 3, seed=40)
    scores = f(q.clone(), table)[0, 0]
    return all(
        torch.allclose(line, line[0].expand_as(line), atol=1e-5)
        for line in (scores.diagonal(-back) for back in range(5))
    )


EXERCISES = [encode_notes, decode_events, relative_scores]
