"""Lesson 19 to play with: a motif, how daring the model is, and what it makes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from IPython.display import Audio

from gpt2course.drawing.picture import Picture
from gpt2course.drawing.twin import Playable, menu, playable, slider, stops
from gpt2course.lessons.music.figures import piano_roll
from gpt2course.music import STEP, decode_events, synthesise

RATE = 8_000  # samples a second: a small file, and enough for these pitches
TEMPERATURES = (0.0, 0.5, 0.8, 1.0, 1.2, 1.5)
SECONDS = 12.0  # of sound that stands in the page

Write = Callable[[Sequence[int], float, int], list[int]]  # prompt, temperature, seed


def melody_to_play(write: Write, motifs: Mapping[str, Sequence[int]]) -> Playable:
    """Choose a motif and a temperature; see and hear how it goes on.

    Args:
        write: from a prompt's ids, a temperature and a seed to the prompt and what follows it.
        motifs: ids by the name in the menu.
    """

    @lru_cache(maxsize=32)
    def draw(motif: str, temperature: float, seed: int) -> Picture:
        prompt = list(motifs[motif])
        begins = max(note.end for note in decode_events(prompt))
        notes = decode_events(write(prompt, temperature, seed))
        heard = [note for note in notes if note.start * STEP < SECONDS]
        said = f"{motif}, temperature {temperature:g}, take {seed}"
        picture = piano_roll(heard, said, given=begins)
        return Picture(picture.html + sound_html(heard), picture.alt)

    return playable(
        draw,
        motif=menu("motif:", [*motifs]),
        temperature=stops("temperature:", [(f"{t:g}", t) for t in TEMPERATURES], 0.8,
                          continuous_update=False),
        seed=slider("take:", 1, 1, 20, continuous_update=False),
    )  # fmt: skip


def sound_html(notes) -> str:
    """A player with the sound of these notes within it."""
    return Audio(synthesise(notes, RATE), rate=RATE)._repr_html_()
