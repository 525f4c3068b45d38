"""Pictures and the three blocks of lesson 09."""

import math

import pytest
import torch
from seen import place, shapes, texts

from gpt2course.attention import causal_mask
from gpt2course.drawing.colours import ORANGE
from gpt2course.lessons.block.figures import (
    WIRINGS,
    learning_curves,
    norm_steps,
    through_depth,
    who_moves,
    wiring,
)
from gpt2course.lessons.block.widgets import blocks_to_play

OWN, OTHER = ["robot", "must", "obey"], ["ein", "Roboter"]
ALONE, CROSS = "decoder-only", "decoder with cross-attention"


@pytest.fixture
def reads():
    """How far three results move with five inputs: two of another text, three of their own."""
    own = causal_mask(3, 3) * torch.tensor([[1.5], [1.25], [0.5]])
    other = torch.tensor([[0.25, 0.5]]).expand(3, 2)
    return {ALONE: torch.cat([0 * other, own], 1), CROSS: torch.cat([other, own], 1)}


def places(picture):
    """The centres of the circles, row by row: {y: [x, …]}."""
    found = {}
    for circle in shapes(picture, "circle"):
        found.setdefault(circle.y, []).append(circle.x)
    return found


def test_the_steps_of_a_norm_stand_on_number_lines_of_one_scale():
    picture = norm_steps({"robot": [1.0, 2.0, 6.0], "minus the mean": [-2.0, -1.0, 3.0]})
    before, after = places(picture).values()
    unit = before[1] - before[0]
    assert [x - before[0] for x in before] == pytest.approx([0, unit, 5 * unit], abs=0.2)
    assert [b - a for b, a in zip(before, after, strict=True)] == pytest.approx([3 * unit] * 3)
    assert picture.alt.splitlines() == [
        "robot: 1.00, 2.00, 6.00",
        "minus the mean: -2.00, -1.00, 3.00",
    ]


def test_numbers_that_lie_close_together_are_written_at_two_heights():
    picture = norm_steps({"": [0.1, 0.2]})
    assert place(picture, "0.10")[1] != place(picture, "0.20")[1]


def test_a_wiring_says_where_the_norms_stand():
    both = wiring("pre-norm", "post-norm")
    assert [line.split(":")[0] for line in both.alt.splitlines()] == list(WIRINGS)
    assert "x + attn(ln_1(x))" in wiring("pre-norm").alt
    assert "ln_1(x + attn(x))" in wiring("post-norm").alt
    for part in ("ln_1", "ln_2", "attn", "mlp"):
        assert texts(both).count(part) == 2
    # The stream is cut by the norms where they stand on it, and not where they stand beside it.
    pieces = [shapes(wiring(kind), "path", stroke_width="5") for kind in WIRINGS]
    assert [len(stream) for stream in pieces] == [3, 5]
    for kind, stream in zip(WIRINGS, pieces, strict=True):
        level = stream[0].y
        on_it = [box for box in shapes(wiring(kind), "rect") if box.y < level < box.y + box.height]
        gaps = zip(stream, stream[1:], strict=False)
        between = [(left.points[1][0], right.x) for left, right in gaps]
        assert len(on_it) == len(stream) - 3
        assert all(any(a <= box.x and box.x + box.width <= b for a, b in between) or
                   box.x + box.width <= stream[-1].x for box in on_it)  # fmt: skip


def test_curves_through_the_depth_tell_beginning_middle_and_end():
    curve = [0.5, 1.0, 2.0, 4.0, 8.0]
    late = [math.nan, 3.0, 3.0, 3.0, 6.0]
    picture = through_depth({"length": {"stream": curve, "added": late}}, "It grows")
    assert picture.alt.splitlines() == [
        "It grows",
        "length, stream: 0.5 at 0, 2 at 2, 8 at 4",
        "length, added: 3 at 1, 3 at 3, 6 at 4",
    ]
    assert "<svg" in picture.html


def test_curves_can_begin_at_block_one_and_on_a_log_axis():
    picture = through_depth({"gradient": {"both": [1e-9, 1e-3, 1.0]}}, "It fades", 1, log=True)
    assert "gradient, both: 1e-09 at 1, 0.001 at 2, 1 at 3" in picture.alt


def test_learning_curves_tell_the_first_and_the_last_ten_steps():
    curves = {"pre-norm": [3.0 - 0.1 * step for step in range(30)], "post-norm": [2.0] * 30}
    picture = learning_curves(curves, 0.9, 1.9, "One learns")
    assert picture.alt.splitlines() == [
        "One learns",
        "guessing by frequency 1.90, floor 0.90",
        "pre-norm: 2.55 in the first ten steps, 0.55 in the last",
        "post-norm: 2.00 in the first ten steps, 2.00 in the last",
    ]


def test_lines_lead_to_the_results_that_move_and_to_no_others(reads):
    picture = who_moves(reads[ALONE], 3, ALONE, OWN, OTHER)
    moves = shapes(picture, "path", stroke=ORANGE)
    assert {line.x for line in moves} == {place(picture, "must ✎")[0]}
    assert [line.points[-1][0] for line in moves] == [
        place(picture, said)[0] for said in ("1.25", "0.50")
    ]
    assert texts(picture).count("must ✎") == texts(picture).count("stays") == 1
    assert "changed is 'must', input 4 of 5" in picture.alt
    assert "must moves by 1.25; obey moves by 0.50; unmoved: robot" in picture.alt


def test_the_longest_move_has_the_thickest_line(reads):
    lines = shapes(who_moves(reads[ALONE], 2, ALONE, OWN, OTHER), "path", stroke=ORANGE)
    widths = [float(line.look["stroke-width"]) for line in lines]
    assert widths == pytest.approx([6.5, 5.7, 3.2], abs=0.05)


def test_nothing_moves_where_a_block_has_no_place_for_the_input(reads):
    picture = who_moves(reads[ALONE], 0, ALONE, OWN, OTHER)
    assert "nothing moves" in picture.alt and ORANGE not in picture.html


def test_the_blocks_redraw_with_the_block_and_with_the_word(reads):
    playable = blocks_to_play(reads, OWN, OTHER)
    block, changed, shown = playable.widget.children
    assert playable.twin.html == shown.value
    assert changed.value == 2 and "changed is &#x27;robot&#x27;" in shown.value
    changed.value = 0
    assert "nothing moves" in shown.value and shown.value.count(">✓</text>") == 6
    block.value = CROSS
    assert "robot moves by 0.25" in shown.value and shown.value.count(">✓</text>") == 12
    assert "nothing moves" not in shown.value


def test_the_twin_says_what_the_blocks_show_at_first(reads):
    alt = blocks_to_play(reads, OWN, OTHER).twin.alt
    assert "decoder-only: changed is 'robot', input 3 of 5" in alt
    lines = alt.splitlines()
    assert lines[-4].split() == [*OTHER, *OWN]
    assert lines[-3].split() == ["robot", "·", "·", "✓", "·", "·"]
    assert lines[-1].split() == ["obey", "·", "·", "✓", "✓", "✓"]
