"""Pictures of lesson 19: piano rolls, events as rows of numbers, attention over notes."""

from collections.abc import Mapping, Sequence

from gpt2course.drawing.colours import FILLS, GREY, INK, ORANGE, PAGE, VIRIDIS, blend
from gpt2course.drawing.curves import Axis, dots
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.svg import Drawing, column
from gpt2course.music import (
    N_EVENTS,
    NOTE_OFF,
    NOTE_ON,
    SHIFT,
    STEP,
    VELOCITY,
    Note,
    event_name,
    pitch_name,
)

WIDE = 700  # of a piano roll
KEY = 7  # pixels a semitone
KINDS = {"note on": NOTE_ON, "note off": NOTE_OFF, "shift": SHIFT, "velocity": VELOCITY}
LOUD = (48, 127)  # velocities at the ends of the colours: what is softer has the first one
LOUDNESS = VIRIDIS[1:]
SEEN = 0.01  # a weight below this has no arc


def kind_of(event: int) -> int:
    """Which of the four kinds an event is: 0 on, 1 off, 2 shift, 3 velocity."""
    return sum(event >= first for first in KINDS.values()) - 1


def piano_roll(
    notes: Sequence[Note],
    title: str = "",
    peaks: Sequence[int] = (),
    given: int = 0,
    bars: Sequence[int] = (),
) -> Picture:
    """Notes as boxes: time to the right, pitch upwards, the colour says how loud.

    Args:
        peaks: which of the notes get a triangle.
        given: a dashed line at this time, in steps, where a continuation begins.
        bars: which of the notes begin a bar; each bar gets a line and its number.
    """
    return piano_rolls({title: notes}, {title: peaks}, {title: given}, {title: bars})


def piano_rolls(
    performances: Mapping[str, Sequence[Note]],
    peaks: Mapping[str, Sequence[int]] | None = None,
    given: Mapping[str, int] | None = None,
    bars: Mapping[str, Sequence[int]] | None = None,
) -> Picture:
    """Piano rolls below each other under their titles, on one scale of time."""
    last = max((note.end for notes in performances.values() for note in notes), default=100)
    drawings, told = [], []
    for name, notes in performances.items():
        marked, begins = (peaks or {}).get(name, ()), (given or {}).get(name, 0)
        drawn = _roll(notes, last * STEP)
        first = (bars or {}).get(name, ())
        for number, i in enumerate(first, start=1):
            x = _x(drawn, notes[i].start)
            drawn.line((x, 0), (x, _height(notes)), thick=1, opacity=0.4, kind="bar")
            drawn.text(x + 4, _height(notes) / 2, str(number), size=12)
        for i in marked:
            _triangle(drawn, notes, notes[i])
        if begins:
            x = _x(drawn, begins)
            drawn.line((x, -4), (x, _height(notes)), stroke=PAGE, dash="4 3", thick=1.5)
            drawn.text(x + 5, 8, "the model writes →", size=12, bold=True)
        if name:
            drawn.head(name, size=13)
        drawings.append(drawn)
        told.append(_told(name, notes, marked, begins, len(first)))
    return column(drawings).picture("\n".join(told))


class _Roll(Drawing):
    """A drawing that knows its scale of time."""

    time: Axis


def _roll(notes: Sequence[Note], seconds: float) -> _Roll:
    drawn, (low, high), height = _Roll(), _range(notes), _height(notes)
    drawn.time = Axis("seconds", 0).fitted([0, max(seconds, 0.1)], WIDE, 0)
    for pitch in range(low, high + 1):
        if pitch % 12 == 0:
            y = (high + 1 - pitch) * KEY
            drawn.line((0, y), (WIDE, y), thick=1, opacity=0.4)
            drawn.text(-6, y + 1, pitch_name(pitch), "end", 12)
    drawn.line((0, 0), (0, height), (WIDE, height), stroke=PAGE, thick=1)
    drawn.time.below(drawn, height)
    for note in notes:
        x, y, wide = _place(drawn, notes, note)
        drawn.rect(x, y, wide, KEY, loudness_fill(note.velocity), INK, 0.6, kind="note")
    return drawn


def _range(notes: Sequence[Note]) -> tuple[int, int]:
    pitches = [note.pitch for note in notes] or [60]
    return min(pitches) - 1, max(pitches) + 1


def _height(notes: Sequence[Note]) -> int:
    low, high = _range(notes)
    return (high - low + 1) * KEY


def _x(drawn: _Roll, steps: int) -> float:
    return drawn.time(steps * STEP)


def _place(drawn: _Roll, notes: Sequence[Note], note: Note) -> tuple[float, float, float]:
    """The left and upper edge of a note's bar, and its width."""
    x, high = _x(drawn, note.start), _range(notes)[1]
    return x, (high - note.pitch) * KEY, max(_x(drawn, note.end) - x - 0.8, 1.5)


def _triangle(drawn: _Roll, notes: Sequence[Note], note: Note) -> None:
    x, y, wide = _place(drawn, notes, note)
    middle = x + wide / 2
    drawn.line((middle - 5, y - 9), (middle + 5, y - 9), (middle, y - 2), stroke="none",
               fill=ORANGE, closed=True, kind="peak")  # fmt: skip


def loudness_fill(velocity: int) -> str:
    """The colour of a velocity: the louder, the brighter."""
    low, high = LOUD
    return blend(LOUDNESS, (velocity - low) / (high - low))


def _told(name: str, notes: Sequence[Note], peaks: Sequence[int], given: int, bars: int) -> str:
    if not notes:
        return f"{name}: no notes".removeprefix(": ")
    low, high = _range(notes)
    seconds = max(note.end for note in notes) * STEP
    said = (
        f"{len(notes)} note{'s' * (len(notes) != 1)} in {seconds:.1f} seconds, from "
        f"{pitch_name(low + 1)} to {pitch_name(high - 1)}"
    )
    if bars:
        said += f"; {bars} bars"
    if peaks:
        said += f"; peaks: {', '.join(pitch_name(notes[i].pitch) for i in peaks)}"
    if given:
        said += f"; the model writes from {given * STEP:.1f} seconds on"
    return f"{name}: {said}".removeprefix(": ")


def event_row(ids: Sequence[int]) -> Picture:
    """Events as a row of boxes, each with its name and its id; the fill is its kind."""
    drawn, x, y, wide = Drawing(), 0, 0, 112
    for event in ids:
        if x + wide > WIDE + 80:
            x, y = 0, y + 52
        name = event_name(event)
        drawn.box(x, y, wide - 6, 28, name, FILLS[kind_of(event)], size=12, rx=4)
        drawn.text(x + (wide - 6) / 2, y + 43, str(event), "middle", 12, mono=True)
        x += wide
    return drawn.picture("; ".join(f"{event_name(event)} = {event}" for event in ids))


def one_hot_rows(ids: Sequence[int], title: str) -> Picture:
    """Each event as a row of 388 numbers: one is 1 (the mark), the others are 0."""
    scale, high = 1.6, 20
    drawn, wide = Drawing(), 1.6 * N_EVENTS
    ends = [*list(KINDS.values())[1:], N_EVENTS]
    for (name, first), end in zip(KINDS.items(), ends, strict=True):
        fill = FILLS[kind_of(first)]
        drawn.rect(first * scale, 0, (end - first) * scale, high * len(ids), fill, edge=GREY)
        middle = (first + end) / 2 * scale
        drawn.text(middle, -8, name, "middle", 12, True)
        drawn.text(first * scale, high * len(ids) + 16, str(first), "start", 12)
    drawn.text(wide, high * len(ids) + 16, str(N_EVENTS - 1), "end", 12)
    for row, event in enumerate(ids):
        y = row * high
        drawn.text(-8, y + 14, event_name(event), "end", 12)
        drawn.line((0, y), (wide, y), stroke="#ffffff", thick=1.5)
        drawn.rect(event * scale - 2, y + 2, 5, high - 4, INK, kind="one")
    drawn.head(title)
    told = [f"{event_name(event)}: column {event} is 1" for event in ids]
    return drawn.picture(f"{title}. {N_EVENTS} columns. " + "; ".join(told))


def attention_over_notes(
    notes: Sequence[Note], weights: Sequence[float], query: int, peaks: Sequence[int], title: str
) -> Picture:
    """A piano roll with arcs from one note to those that it reads, as wide as their weights.

    Args:
        weights: of each note, the query's own among them; later ones are 0.
        query: which of the notes reads.
        peaks: which of the notes get a triangle.
    """
    drawn = _roll(notes, max(note.end for note in notes) * STEP)
    x, y, wide = _place(drawn, notes, notes[query])
    start = x + wide / 2
    for i, weight in enumerate(weights):
        if i != query and weight >= SEEN:
            left, top, width = _place(drawn, notes, notes[i])
            end, lift = left + width / 2, 30 + 0.12 * abs(start - left)
            drawn.line((start, y - 10), (start, min(y, top) - lift), (end, min(y, top) - lift),
                       (end, top - 10), stroke=ORANGE, thick=0.8 + 14 * weight, opacity=0.75,
                       curved=True, kind="arc")  # fmt: skip
    for i in peaks:
        _triangle(drawn, notes, notes[i])
    drawn.rect(x - 2, y - 2, wide + 4, KEY + 4, "none", ORANGE, 2.5, kind="query")
    drawn.head(title)
    read = sorted(range(len(notes)), key=lambda i: -weights[i])[:5]
    told = ", ".join(
        f"{pitch_name(notes[i].pitch)} at {notes[i].start * STEP:.1f} s {weights[i]:.0%}"
        for i in read
    )
    earlier = sum(weights[i] for i in peaks if i < query)
    return drawn.picture(
        f"{title}. The note {pitch_name(notes[query].pitch)} at {notes[query].start * STEP:.1f} s "
        f"gives the earlier peaks {earlier:.0%}; it reads most: {told}"
    )


def seeds_and_means(found: Mapping[str, Sequence[float]], title: str) -> Picture:
    """Held-out losses, a row for each kind of model and a dot for each seed."""
    rows = {
        name: {seed: (loss, f"{loss:.2f}") for seed, loss in enumerate(losses)}
        for name, losses in found.items()
    }
    most = max(loss for losses in found.values() for loss in losses)
    axis = Axis("held-out loss (nats per event)", 0, 1.1 * most)
    drawn = dots(rows, axis, [f"seed {seed}" for seed in rows[next(iter(rows))]], title)
    told = [
        f"{name}: {', '.join(f'{loss:.2f}' for loss in losses)}, mean "
        f"{sum(losses) / len(losses):.2f}"
        for name, losses in found.items()
    ]
    return drawn.picture(f"{title}. Nats per event: {'; '.join(told)}")
