"""Pictures of lesson 03 and its neighbours to play with."""

import re
from html import escape

import pytest
import torch
from seen import place, shapes, texts

from gpt2course.drawing.colours import fill_for
from gpt2course.drawing.curves import loss_lines
from gpt2course.drawing.matrix import Panel, side_by_side
from gpt2course.drawing.numbers import percent
from gpt2course.drawing.picture import heard
from gpt2course.drawing.svg import wide
from gpt2course.embedding import nearest_tokens
from gpt2course.lessons.embeddings.figures import (
    SIDE,
    arrows,
    flattened,
    neighbour_bars,
    one_hot_product,
    row_strips,
    similarities,
    word_map,
)
from gpt2course.lessons.embeddings.widgets import neighbours_to_play

WORDS = ["cat", "dog", "axe", "on", "in"]


@pytest.fixture
def table():
    return torch.randn(5, 4, generator=torch.Generator().manual_seed(1))


def numbers_in(picture):
    return [text for text in texts(picture) if re.fullmatch(r"-?\d+\.\d+", text)]


# Matrices in a line


def test_one_hot_product_shows_both_factors_and_the_rows_that_come_out():
    wte = torch.tensor([[0.5, -1.0], [2.0, 0.0], [0.0, 3.0]])
    one_hot = torch.tensor([[0, 0, 1], [1, 0, 0]])
    picture = one_hot_product(one_hot, wte, ["in", "cat"], ["cat", "dog", "in"], ["x", "y"])
    titles = ("one-hot, 2 × 3", "@", "wte, 3 × 2", "=", "x, 2 × 2")
    assert [place(picture, title)[0] for title in titles] == sorted(
        place(picture, title)[0] for title in titles
    )
    assert numbers_in(picture)[-4:] == ["0.0", "3.0", "0.5", "-1.0"]
    assert picture.alt.splitlines()[-3:] == ["       x     y", " in  0.0   3.0", "cat  0.5  -1.0"]


def test_panels_may_have_rows_of_their_own_and_share_their_colours():
    small, large = torch.tensor([[1.0]]), torch.tensor([[2.0], [-4.0]])
    picture = side_by_side([Panel("a", small, ["p"]), Panel("b", large, ["q", "r"])])
    assert {"p", "q", "r", "1.0", "-4.0"} <= set(texts(picture))
    alone = side_by_side([Panel("a", small, ["p"])])
    first, lone = (shapes(drawn, "rect")[0].look["fill"] for drawn in (picture, alone))
    assert (first, lone) == (fill_for(1.0, -4.0, 4.0), fill_for(1.0, -1.0, 1.0))


# Directions


def test_arrows_tell_length_dot_product_distance_and_cosine():
    picture = arrows({"A": (3, 4), "B": (6, 8), "C": (-4, 3)}, asker="A")
    assert picture.alt.splitlines() == [
        "A: (3, 4), length 5.00",
        "B: (6, 8), length 10.00; with A: dot product 50.00, distance 5.00, cosine 1.00",
        "C: (-4, 3), length 5.00; with A: dot product 0.00, distance 7.07, cosine 0.00",
    ]
    for cells in (["B: (6, 8), length 10.00", "50.00", "5.00", "1.00"],
                  ["C: (-4, 3), length 5.00", "0.00", "7.07", "0.00"]):  # fmt: skip
        row = place(picture, cells[0])[1]
        assert [s.text for s in shapes(picture, "text") if s.y == row] == cells
    tips = [shape.points[0] for shape in shapes(picture, "path") if shape.look["fill"] != "none"]
    assert len(tips) == 3
    (bx, by), *_ = tips  # the longest lies below the others, and points where A does
    assert any((bx / 2, by / 2) == pytest.approx(tip, abs=0.01) for tip in tips)


# Curves and maps


def test_loss_lines_tell_where_each_curve_begins_and_ends():
    picture = loss_lines({"a": [4.0] + [1.5] * 30, "b": [3.0] * 31}, {"floor": 1.2}, "A title")
    assert picture.alt == (
        "A title. Loss in nats per token: a begins at 4.00 and ends at 1.50; "
        "b begins at 3.00 and ends at 3.00; floor 1.20"
    )
    assert escape(heard(picture.alt)) in picture.html


def test_loss_lines_are_told_as_finely_as_asked_and_their_levels_are_drawn():
    curves = {"with": [0.3] + [0.0004] * 20, "without": [0.3] + [0.0625] * 20}
    picture = loss_lines(curves, {"at best": 0.0625}, "T", "mean squared error", decimals=4)
    assert "with begins at 0.3000 and ends at 0.0004; without" in picture.alt
    assert picture.alt.endswith("at best 0.0625") and "at best, 0.0625" in texts(picture)


def test_strips_tell_in_how_many_columns_two_rows_agree():
    rows = torch.tensor([[1.0, 2.0, -3.0, 4.0], [1.0, -2.0, -3.0, 4.0]])
    picture = row_strips({"before": rows, "after": rows.abs()}, ["cat", "dog"])
    assert picture.alt.splitlines() == [
        "before, columns in which two rows have the same sign: cat and dog 75 %",
        "after, columns in which two rows have the same sign: cat and dog 100 %",
    ]
    assert [text for text in texts(picture) if "%" in text] == ["75 %", "100 %"]
    assert escape(heard(picture.alt)) in picture.html


def test_two_directions_keep_all_that_differs_in_a_flat_table():
    generator = torch.Generator().manual_seed(2)
    flat = torch.randn(6, 2, generator=generator)
    turned = flat @ torch.linalg.qr(torch.randn(5, 2, generator=generator))[0].T + 3
    places, share = flattened(turned)
    assert share == pytest.approx(1)
    assert torch.allclose(torch.cdist(places, places), torch.cdist(flat, flat), atol=1e-4)


def test_two_directions_are_those_of_most_difference(table):
    places, share = flattened(table)
    centred = table - table.mean(0)
    assert share == pytest.approx((places.square().sum() / centred.square().sum()).item())
    assert places[:, 0].var() >= places[:, 1].var()


def test_a_map_tells_where_every_word_stands(table):
    groups = {"animals": ["cat", "dog"], "rest": ["axe", "on", "in"]}
    picture = word_map({"before": table, "after": 2 * table}, WORDS, groups)
    places, share = flattened(2 * table)
    assert picture.alt.count(f"{percent(share, 0)} of all differences") == 2
    assert f"dog ({places[1, 0]:z.2f}, {places[1, 1]:z.2f})" in picture.alt.splitlines()[1]
    assert all(picture.alt.count(f"{word} (") == 2 for word in WORDS)


def test_the_words_of_a_map_keep_clear_of_each_other_and_of_the_frame():
    words = ["wednesday", "saturday", "sunday", "tuesday", "wolf", "hamster", "it", "thursday"]
    table = torch.rand(8, 2, generator=torch.Generator().manual_seed(4)) / 9
    table[0], table[1] = torch.tensor([1.0, 1.0]), torch.tensor([0.0, 0.5])  # far from the others
    picture = word_map({"a": table}, words, {"all": words})
    found = [shape for shape in shapes(picture, "text") if shape.text in words]
    assert [shape.text for shape in found] == words
    boxes = [(s.x, s.y - 9, s.x + wide(s.text, 11), s.y + 3) for s in found]
    for i, box in enumerate(boxes):
        assert all(box[2] < o[0] or o[2] < box[0] or box[3] < o[1] or o[3] < box[1]
                   for o in boxes[:i])  # fmt: skip
    frame = shapes(picture, "rect")[0]
    assert all(frame.x < x and right < frame.x + SIDE for x, _, right, _ in boxes)
    assert all(frame.y < y and bottom < frame.y + SIDE for _, y, _, bottom in boxes)


# Neighbours


def test_similarities_are_dot_products_or_cosines(table):
    cosine = torch.cosine_similarity(table, table[2], dim=-1)
    assert torch.allclose(similarities(2, table), cosine, atol=1e-6)
    assert torch.allclose(similarities(2, table, "dot product"), table @ table[2])


def test_bars_show_the_nearest_words_and_their_cosines(table):
    picture = neighbour_bars("axe", WORDS, table, most=3, title="a table")
    nearest = nearest_tokens(2, table, 3)
    cosine = similarities(2, table)
    said = ", ".join(f"{WORDS[i]} {cosine[i]:z.2f}" for i in nearest)
    assert picture.alt == f"a table: nearest to “axe” is “in”, cosine with “axe”: {said}"
    assert numbers_in(picture) == [f"{cosine[i]:z.2f}" for i in nearest]
    bars = shapes(picture, "rect")
    lengths = [bar.width for bar in bars]
    assert len(bars) == 3 and lengths == pytest.approx(
        [300 * abs(cosine[i].item()) for i in nearest], abs=0.6
    )


def test_a_bar_below_zero_ends_where_a_bar_above_zero_begins():
    table = torch.tensor([[1.0, 0.0], [1.0, 1.0], [-1.0, 0.1]])
    above, below = shapes(neighbour_bars("cat", WORDS[:3], table, most=2), "rect")
    assert above.x == pytest.approx(below.x + below.width, abs=0.2) and above.width > 0


def test_the_neighbours_follow_word_table_and_measure(table):
    tables = {"trained": table, "untrained": -table.flip(0)}
    played = neighbours_to_play(tables, WORDS, first="dog")
    word, which, measure, shown = played.widget.children
    assert shown.value == played.twin.html
    assert shown.value == neighbour_bars("dog", WORDS, table, title="trained matrix", most=8).html
    word.value = "in"
    assert "cosine with “in”" in shown.value
    which.value, measure.value = "untrained", "dot product"
    wanted = neighbour_bars("in", WORDS, -table.flip(0), "dot product", title="untrained matrix")
    assert shown.value == wanted.html


def test_every_word_can_be_picked(table):
    word = neighbours_to_play({"trained": table}, WORDS, first="dog").widget.children[0]
    assert sorted(word.options) == sorted(WORDS) and word.value == "dog"
