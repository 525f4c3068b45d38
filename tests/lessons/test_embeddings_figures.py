"""Pictures of lesson 03 and its neighbours to play with."""

import re
from html import escape

import pytest
import torch

from gpt2course.embedding import nearest_tokens
from gpt2course.lessons.embeddings.figures import (
    Panel,
    _label,
    arrows,
    flattened,
    loss_lines,
    neighbour_bars,
    one_hot_product,
    row_strips,
    side_by_side,
    similarities,
    word_map,
)
from gpt2course.lessons.embeddings.widgets import neighbours_to_play

WORDS = ["cat", "dog", "axe", "on", "in"]


@pytest.fixture
def table():
    return torch.randn(5, 4, generator=torch.Generator().manual_seed(1))


def numbers_in(svg):
    return re.findall(r">(-?\d+\.\d+)</text>", svg)


# Matrices in a line


def test_one_hot_product_shows_both_factors_and_the_rows_that_come_out():
    wte = torch.tensor([[0.5, -1.0], [2.0, 0.0], [0.0, 3.0]])
    one_hot = torch.tensor([[0, 0, 1], [1, 0, 0]])
    picture = one_hot_product(one_hot, wte, ["in", "cat"], ["cat", "dog", "in"], ["x", "y"])
    left, middle, right = re.findall(r"<svg.*?</svg>", picture.html)
    assert ">one-hot, 2 × 3<" in left and ">wte, 3 × 2<" in middle and ">x, 2 × 2<" in right
    assert numbers_in(right) == ["0.0", "3.0", "0.5", "-1.0"]
    assert picture.html.index("@") < picture.html.index(">=<")
    assert picture.alt.splitlines()[-3:] == ["       x     y", " in  0.0   3.0", "cat  0.5  -1.0"]


def test_panels_may_have_rows_of_their_own_and_share_their_colours():
    small, large = torch.tensor([[1.0]]), torch.tensor([[2.0], [-4.0]])
    picture = side_by_side([Panel("a", small, ["p"]), Panel("b", large, ["q", "r"])])
    for text in ("p", "q", "r", "1.0", "-4.0"):
        assert f">{text}</text>" in picture.html
    fill = re.search(r'fill="(#\w+)" stroke="#ffffff"', picture.html)[1]
    alone = side_by_side([Panel("a", small, ["p"])]).html
    assert fill not in alone


# Directions


def test_arrows_tell_length_dot_product_distance_and_cosine():
    picture = arrows({"A": (3, 4), "B": (6, 8), "C": (-4, 3)}, asker="A")
    assert picture.alt.splitlines() == [
        "A: (3, 4), length 5.00",
        "B: (6, 8), length 10.00; with A: dot product 50.00, distance 5.00, cosine 1.00",
        "C: (-4, 3), length 5.00; with A: dot product 0.00, distance 7.07, cosine 0.00",
    ]
    assert all(line in picture.html for line in picture.alt.splitlines())
    assert picture.html.count('stroke-width="3"') == 3


# Curves and maps


def test_loss_lines_tell_where_each_curve_begins_and_ends():
    picture = loss_lines({"a": [4.0] + [1.5] * 30, "b": [3.0] * 31}, {"floor": 1.2}, "A title")
    assert picture.alt == (
        "A title. Loss in nats per token: a begins at 4.00 and ends at 1.50; "
        "b begins at 3.00 and ends at 3.00; floor 1.20"
    )
    assert escape(picture.alt) in picture.html


def test_strips_tell_in_how_many_columns_two_rows_agree():
    rows = torch.tensor([[1.0, 2.0, -3.0, 4.0], [1.0, -2.0, -3.0, 4.0]])
    picture = row_strips({"before": rows, "after": rows.abs()}, ["cat", "dog"])
    assert picture.alt.splitlines() == [
        "before, columns in which two rows have the same sign: cat and dog 75%",
        "after, columns in which two rows have the same sign: cat and dog 100%",
    ]
    assert escape(picture.alt) in picture.html


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
    assert picture.alt.count(f"{share:.0%} of all differences") == 2
    assert f"dog ({places[1, 0]:z.2f}, {places[1, 1]:z.2f})" in picture.alt.splitlines()[1]
    assert all(picture.alt.count(f"{word} (") == 2 for word in WORDS)


def test_the_words_of_a_map_keep_clear_of_each_other_and_of_the_frame():
    import matplotlib.pyplot as plt
    from matplotlib.text import Text

    words = ["wednesday", "saturday", "sunday", "tuesday", "wolf", "hamster", "it", "thursday"]
    places = torch.rand(8, 2, generator=torch.Generator().manual_seed(4)) / 4
    places[0], places[1] = torch.tensor([0.99, 0.99]), torch.tensor([0.0, 0.5])  # at the edges
    figure, axis = plt.subplots(figsize=(6, 6))
    axis.set_xlim(0, 1)
    axis.set_ylim(0, 1)
    _label(axis, places, words)
    figure.canvas.draw()
    boxes = [Text.get_window_extent(text) for text in axis.texts]  # without its line to the point
    plt.close(figure)
    assert [text.get_text() for text in axis.texts] == words
    for i, box in enumerate(boxes):
        assert all(box.x1 < o.x0 or o.x1 < box.x0 or box.y1 < o.y0 or o.y1 < box.y0
                   for o in boxes[:i])  # fmt: skip
        assert axis.bbox.x0 < box.x0 and box.x1 < axis.bbox.x1
        assert axis.bbox.y0 < box.y0 and box.y1 < axis.bbox.y1


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
    assert picture.alt == f"a table, cosine with “axe”: {said}"
    assert numbers_in(picture.html) == [f"{cosine[i]:z.2f}" for i in nearest]
    assert picture.html.count("<rect") == 3


def test_a_bar_below_zero_ends_where_a_bar_above_zero_begins():
    table = torch.tensor([[1.0, 0.0], [1.0, 1.0], [-1.0, 0.1]])
    html = neighbour_bars("cat", WORDS[:3], table, most=2).html
    above, below = (
        (float(x), float(wide))
        for x, wide in re.findall(r'<rect x="([\d.]+)" y="\d+" width="([\d.]+)"', html)
    )
    assert above[0] == pytest.approx(sum(below), abs=0.2)


def test_the_neighbours_follow_word_table_and_measure(table):
    tables = {"trained": table, "untrained": -table.flip(0)}
    played = neighbours_to_play(tables, WORDS, first="dog")
    word, which, measure, shown = played.widget.children
    assert shown.value == played.twin.html
    assert shown.value == neighbour_bars("dog", WORDS, table, title="trained table", most=8).html
    word.value = "in"
    assert "cosine with “in”" in shown.value
    which.value, measure.value = "untrained", "dot product"
    wanted = neighbour_bars("in", WORDS, -table.flip(0), "dot product", title="untrained table")
    assert shown.value == wanted.html


def test_every_word_can_be_picked(table):
    word = neighbours_to_play({"trained": table}, WORDS, first="dog").widget.children[0]
    assert sorted(word.options) == sorted(WORDS) and word.value == "dog"
