"""The pictures and the player of lesson 19 say what is true of the notes."""

import base64
import io
import re
import wave

import pytest
from seen import shapes, texts

from gpt2course.drawing.colours import FILLS
from gpt2course.lessons.music.figures import (
    attention_over_notes,
    event_row,
    kind_of,
    loudness_fill,
    one_hot_rows,
    piano_roll,
    piano_rolls,
    seeds_and_means,
)
from gpt2course.lessons.music.widgets import RATE, melody_to_play
from gpt2course.music import Note, encode_notes

TUNE = [Note(0, 50, 60, 64), Note(50, 100, 64, 90), Note(100, 200, 67, 120)]


def of_kind(picture, tag, kind):
    return shapes(picture, tag, **{"class": kind})


def test_a_roll_has_a_bar_for_each_note_as_long_as_it_sounds_and_as_high_as_its_pitch():
    picture = piano_roll(TUNE)
    first, second, third = of_kind(picture, "rect", "note")
    assert third.width == pytest.approx(2 * second.width, rel=0.01) and first.x < second.x < third.x
    assert first.y - second.y == pytest.approx(4 / 3 * (second.y - third.y))  # 4 and 3 semitones
    assert [bar.look["fill"] for bar in (first, second, third)] == [
        loudness_fill(v) for v in (64, 90, 120)
    ]
    assert picture.alt == "3 notes in 2.0 seconds, from C4 to G4"
    assert "seconds" in texts(picture) and "C4" in texts(picture)


def test_rolls_share_one_scale_of_time():
    picture = piano_rolls({"short": TUNE, "long": [Note(0, 400, 60, 64)]})
    bars = of_kind(picture, "rect", "note")
    assert bars[3].width == pytest.approx(4 * bars[2].width, rel=0.02)
    assert "short" in texts(picture) and "long: 1 note in 4.0 seconds" in picture.alt


def test_peaks_have_triangles_and_a_continuation_a_line():
    picture = piano_roll(TUNE, "tune", peaks=[2], given=100)
    assert len(of_kind(picture, "path", "peak")) == 1
    assert "peaks: G4" in picture.alt and "the model writes from 1.0 seconds on" in picture.alt
    assert "the model writes →" in texts(picture)
    assert "the model writes →" not in texts(piano_roll(TUNE, "tune"))


def test_bars_have_a_line_where_they_begin_and_their_number():
    picture = piano_roll(TUNE, "tune", bars=[0, 2])
    first, second = of_kind(picture, "path", "bar")
    notes = of_kind(picture, "rect", "note")
    assert (first.x, second.x) == (
        pytest.approx(notes[0].x, abs=1),
        pytest.approx(notes[2].x, abs=1),
    )
    assert {"1", "2"} <= set(texts(picture)) and "2 bars" in picture.alt
    assert of_kind(piano_roll(TUNE), "path", "bar") == []


def test_no_notes_can_be_drawn():
    assert piano_roll([], "silence").alt == "silence: no notes"


def test_louder_is_another_colour_and_too_soft_or_too_loud_the_last_one():
    assert len({loudness_fill(v) for v in (48, 70, 90, 127)}) == 4
    assert loudness_fill(0) == loudness_fill(48)


def test_events_stand_in_boxes_filled_by_kind():
    ids = encode_notes(TUNE[:1])  # velocity, on, wait, off
    picture = event_row(ids)
    assert picture.alt == "velocity 64-67 = 372; on C4 = 60; wait 500 ms = 305; off C4 = 188"
    assert [box.look["fill"] for box in shapes(picture, "rect")] == [FILLS[i] for i in (3, 0, 2, 1)]
    assert [kind_of(i) for i in (0, 127, 128, 255, 256, 355, 356, 387)] == [0, 0, 1, 1, 2, 2, 3, 3]


def test_a_long_row_of_events_wraps_inside_the_page():
    picture = event_row(encode_notes(TUNE) * 3)
    (page,) = shapes(picture, "svg")
    assert page.width <= 830 and len({box.y for box in shapes(picture, "rect")}) > 2


def test_each_row_has_one_1_at_the_column_of_its_event():
    ids = [0, 128, 256, 356, 387]
    picture = one_hot_rows(ids, "rows")
    places = [(mark.x + 2) / 1.6 for mark in of_kind(picture, "rect", "one")]
    assert places == pytest.approx(ids, abs=0.5)
    assert "on C-1: column 0 is 1" in picture.alt and "388 columns" in picture.alt


def test_arcs_lead_to_what_is_read_as_wide_as_its_weight():
    picture = attention_over_notes(TUNE, [0.5, 0.005, 0.3], 2, [0, 2], "arcs")
    (arc,) = of_kind(picture, "path", "arc")  # one weight is too small, one is the query's own
    assert float(arc.look["stroke-width"]) == pytest.approx(0.8 + 14 * 0.5)
    assert len(of_kind(picture, "rect", "query")) == 1
    assert "gives the earlier peaks 50%; it reads most: C4 at 0.0 s 50%" in picture.alt


def test_pictures_take_the_text_colour_of_the_page():
    for picture in (piano_roll(TUNE, "a"), attention_over_notes(TUNE, [0.5, 0, 0.5], 2, [0], "b")):
        assert {text.look["fill"] for text in shapes(picture, "text")} == {"currentColor"}


def test_losses_of_seeds_stand_in_the_row_of_their_kind():
    picture = seeds_and_means({"absolute": [1.0, 1.2], "relative": [0.5, 0.6]}, "better")
    assert picture.alt == (
        "better. Nats per event: absolute: 1.00, 1.20, mean 1.10; relative: 0.50, 0.60, mean 0.55"
    )
    assert {"absolute", "relative", "seed 0", "seed 1", "0.50", "1.20"} <= {*texts(picture)}


# The player


def writer(prompt, temperature, seed):
    later = [Note(200, 200 + 10 * seed, 60 + round(10 * temperature), 64)]
    return encode_notes([*TUNE, *later])


def test_the_player_writes_on_from_the_motif_with_its_settings():
    played = melody_to_play(writer, {"rise": encode_notes(TUNE), "one": encode_notes(TUNE[:1])})
    motif, temperature, seed, shown = played.widget.children
    assert "rise, temperature 0.8, take 1: 4 notes" in played.twin.alt
    assert "the model writes from 2.0 seconds on" in played.twin.alt
    temperature.value, seed.value, motif.value = 0.0, 5, "one"
    assert "one, temperature 0, take 5" in shown.value and "from 0.5 seconds on" in shown.value


def test_what_is_heard_is_what_is_drawn_and_small():
    played = melody_to_play(writer, {"rise": encode_notes(TUNE)})
    (data,) = re.findall(r'src="data:audio/wav;base64,([^"]+)"', played.twin.html)
    with wave.open(io.BytesIO(base64.b64decode(data))) as sound:
        assert sound.getframerate() == RATE and sound.getnchannels() == 1
        assert sound.getnframes() == pytest.approx(2.22 * RATE, abs=RATE // 50)
    assert len(played.twin.html) < 500_000


def test_of_a_long_melody_twelve_seconds_are_shown_and_heard():
    def long(prompt, temperature, seed):
        return encode_notes([Note(100 * i, 100 * i + 100, 60, 64) for i in range(60)])

    twin = melody_to_play(long, {"rise": encode_notes(TUNE)}).twin
    assert "12 notes in 12.0 seconds" in twin.alt and len(twin.html) < 500_000
