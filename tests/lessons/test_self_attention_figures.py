"""The pictures and the cabinet of lesson 05 say what is true of the numbers."""

import math
import re
import time

import pytest
import torch
from seen import place, shapes, texts

from gpt2course.drawing.numbers import percent
from gpt2course.lessons.self_attention import figures
from gpt2course.lessons.self_attention.widgets import BY_HAND, cabinet_to_play, polar, turned

WORDS = ["robot", "must", "obey", "orders"]
Q = torch.tensor([[-1.0, 2.0], [0.0, 1.0], [2.0, -1.0], [1.0, 1.0]])
K = torch.tensor([[2.0, 0.0], [-1.0, 1.0], [0.0, 2.0], [2.0, 2.0]])
V = torch.tensor([[0.0, 4.0], [-2.0, -1.0], [4.0, 0.0], [4.0, 4.0]])


def of_kind(picture, tag, kind):
    return shapes(picture, tag, **{"class": kind})


def by_hand(query, divisor):
    """Scores, weights and blend of one query, in plain Python."""
    scores = [sum(a * b for a, b in zip(query, k, strict=True)) / divisor for k in K.tolist()]
    powers = [math.exp(s) for s in scores]
    weights = [p / sum(powers) for p in powers]
    blend = [sum(w * v[i] for w, v in zip(weights, V.tolist(), strict=True)) for i in (0, 1)]
    return scores, weights, blend


@pytest.mark.parametrize("scaled, divisor", [(True, math.sqrt(2)), (False, 1.0)])
def test_the_cabinet_shows_the_numbers_worked_by_hand(scaled, divisor):
    scores, weights, blend = by_hand([2.0, -1.0], divisor)
    picture = figures.cabinet(WORDS, [2.0, -1.0], K, V, "obey", scaled)
    for word, score, weight in zip(WORDS, scores, weights, strict=True):
        line = next(line for line in picture.alt.splitlines() if line.startswith(word))
        assert f"score {score:.2f}, weight {weight:.3f}" in line
        assert f">{score:.2f}</text>" in picture.html
        assert f">{percent(weight, 1)}</text>" in picture.html
    assert f"blend: ({blend[0]:.2f}, {blend[1]:.2f})" in picture.alt
    assert f"({blend[0]:.2f}, {blend[1]:.2f})</text>" in picture.html


def test_the_bars_of_the_cabinet_are_as_long_as_the_weights():
    _, weights, _ = by_hand([2.0, -1.0], math.sqrt(2))
    bars = of_kind(figures.cabinet(WORDS, [2.0, -1.0], K, V, "obey"), "rect", "weight")
    assert [bar.width for bar in bars] == pytest.approx([100 * w for w in weights], abs=0.5)


def test_the_diamond_lies_where_the_blend_is():
    picture = figures.cabinet(WORDS, [0.0, 0.0], K, V, BY_HAND)
    places = torch.tensor([circle.points[0] for circle in shapes(picture, "circle", r="7")])
    (diamond,) = of_kind(picture, "path", "blend")
    middle = torch.tensor(diamond.points).mean(0).tolist()
    assert middle == pytest.approx(places.mean(0).tolist(), abs=0.2)


def test_a_query_of_any_length_stays_inside_the_drawing():
    for angle in range(-180, 181, 15):
        picture = figures.cabinet(WORDS, turned(angle, 8.0), K, V, BY_HAND)
        (tip,) = shapes(picture, "path", fill="currentColor")
        assert 0 <= tip.x <= figures.SIDE and 20 <= tip.y <= figures.SIDE + 20


def test_score_bars_of_different_queries_are_on_one_scale():
    lengths = []
    for length in (2.0, 8.0):
        bars = of_kind(figures.cabinet(WORDS, turned(0, length), K, V, BY_HAND), "rect", "score")
        lengths.append(bars[0].width)
    assert lengths[1] == pytest.approx(4 * lengths[0], abs=0.3)
    assert lengths[1] == pytest.approx(44 / math.sqrt(2) / math.sqrt(2), abs=0.1)


def test_no_number_is_written_as_minus_zero():
    for angle in (-180, -90, 0, 90, 180):
        picture = figures.cabinet(WORDS, turned(angle, 8.0), K, V, BY_HAND)
        assert "-0.00" not in picture.html + picture.alt


def test_the_shaded_shape_joins_all_the_values():
    picture = figures.cabinet(WORDS, [2.0, -1.0], K, V, "obey")
    corners = [point for part in of_kind(picture, "path", "reach") for point in part.points]
    values = [circle.points[0] for circle in shapes(picture, "circle", r="7")]
    assert len(values) == 4 and all(corners.count(value) == 3 for value in values)


def test_drawing_the_cabinet_takes_less_than_a_tenth_of_a_second():
    started = time.perf_counter()
    for _ in range(5):
        figures.cabinet(WORDS, [2.0, -1.0], K, V, "obey")
    assert (time.perf_counter() - started) / 5 < 0.1


def test_the_twin_is_the_first_setting():
    playable = cabinet_to_play(WORDS, Q, K, V, "obey")
    assert playable.twin == figures.cabinet(WORDS, [2.0, -1.0], K, V, "obey")
    assert playable.widget.children[-1].value == playable.twin.html


def test_picking_a_word_shows_its_own_query_and_moves_the_sliders():
    playable = cabinet_to_play(WORDS, Q, K, V, "obey")
    asker, angle, length, _, shown = playable.widget.children
    asker.value = "robot"
    assert shown.value == figures.cabinet(WORDS, [-1.0, 2.0], K, V, "robot").html
    assert (angle.value, length.value) == polar([-1.0, 2.0]) == (117, 2.2)
    assert asker.value == "robot"


def test_turning_a_query_by_hand_lets_go_of_the_word():
    playable = cabinet_to_play(WORDS, Q, K, V, "obey")
    asker, angle, length, _, shown = playable.widget.children
    angle.value, length.value = 90, 3.0
    assert asker.value == BY_HAND
    assert shown.value == figures.cabinet(WORDS, turned(90, 3.0), K, V, BY_HAND).html


def test_every_control_changes_the_drawing():
    playable = cabinet_to_play(WORDS, Q, K, V, "must")
    asker, angle, length, scaled, shown = playable.widget.children
    seen = {shown.value}
    for control, value in ((asker, "orders"), (angle, -60), (length, 5.0), (scaled, False)):
        control.value = value
        seen.add(shown.value)
    assert len(seen) == 5


def test_a_word_whose_query_is_zero_is_drawn_as_zero():
    playable = cabinet_to_play(WORDS, torch.zeros(4, 2), K, V, "must")
    assert "query of must: (0.00, 0.00)" in playable.twin.alt


def test_dot_products_have_variance_hs_and_scaled_ones_variance_1():
    for hs in (4, 64):
        found = figures.dot_product_statistics(hs)
        assert found["raw variance"] == pytest.approx(hs, rel=0.1)
        assert found["scaled variance"] == pytest.approx(1, rel=0.1)


def test_without_the_scale_the_softmax_saturates_and_its_slope_shrinks():
    short, long = (figures.dot_product_statistics(hs) for hs in (4, 256))
    assert short["raw largest"] < 0.6 < 0.9 < long["raw largest"]
    assert long["raw slope"] < short["raw slope"] / 5
    assert long["scaled slope"] == pytest.approx(short["scaled slope"], rel=0.1)


def test_the_saturation_figure_tells_its_numbers():
    picture = figures.saturation([4, 64])
    variance = figures.dot_product_statistics(64)["raw variance"]
    assert f"hs 64: raw variance {variance:.3g}" in picture.alt
    assert picture.html.startswith('<div role="figure" aria-label=')


def test_the_three_stages_stand_side_by_side_with_their_words():
    weights = torch.tensor([[0.1, 0.2, 0.3, 0.4]]).expand(4, 4)
    picture = figures.scores_weights_blend(weights.log(), weights, weights @ V, WORDS)
    titles = [place(picture, title) for title in ("scores", "weights: rows sum to 1", "blend")]
    assert titles[0][0] < titles[1][0] < titles[2][0]  # in one line, from left to right
    rows = [shape.y for shape in shapes(picture, "text") if shape.text == "robot"]
    assert len(set(rows)) == 2  # the heads of two matrices, and one line of labels
    assert picture.alt.index("scores") < picture.alt.index("weights") < picture.alt.index("blend")
    stages = re.split("scores|weights: rows sum to 1|blend", picture.alt)[1:]
    for stage, first_row in zip(
        stages, (weights.log()[0], weights[0], (weights @ V)[0]), strict=True
    ):
        numbers = re.findall(r"-?\d+\.\d\d", stage)[: len(first_row)]
        assert [float(n) for n in numbers] == pytest.approx(first_row.tolist(), abs=0.006)
    assert all(picture.alt.count(word) >= 3 for word in WORDS)


def test_the_sentence_shows_each_share_with_its_word():
    words = ["a", "robot", "given", "it"]
    picture = figures.attention_of(3, words, torch.tensor([0.3, 0.5, 0.002, 0.198]))
    assert picture.alt == "“it” takes most from “robot”: a 30 %, robot 50 %, given 0.2 %, it 20 %"
    heights = [bar.height for bar in shapes(picture, "rect")]
    assert heights == pytest.approx([27, 45, 1, 17.8], abs=0.1)
    arcs = [float(shape.look["stroke-width"]) for shape in shapes(picture, "path")]
    assert arcs == pytest.approx([4.8, 8, 0.6, 3.17], abs=0.01)


def test_softmax_columns_are_as_high_as_their_numbers():
    scores = [2.0, -1.0, 1.0]
    picture = figures.softmax_columns(scores, WORDS[:3])
    columns = [column.height for column in of_kind(picture, "rect", "column")]
    powers = [math.exp(score) for score in scores]
    for heights, numbers in zip((columns[:3], columns[3:6], columns[6:]),
                                (scores, powers, powers), strict=True):  # fmt: skip
        ratios = [h / abs(n) for h, n in zip(heights, numbers, strict=True)]
        assert ratios == pytest.approx([ratios[0]] * 3, rel=0.01)
    shares = [percent(power / sum(powers), 0) for power in powers]
    assert all(share in texts(picture) for share in shares)
    assert sum(columns[6:]) == pytest.approx(figures.TALL, abs=0.1)  # the shares sum to 1


def test_the_filing_cabinet_says_gives_question_mark_until_shares_are_known():
    plain = figures.filing_cabinet("who?", ["a thing", "an action"], ["x", "y"])
    known = figures.filing_cabinet("who?", ["a thing", "an action"], ["x", "y"], [0.7, 0.3])
    assert plain.html.count(">gives ?<") == 2
    assert "gives 70 %" in known.html and "“an action” holds y, gives 30 %" in known.alt


def test_projections_show_what_each_matrix_makes_of_x():
    x, W = torch.tensor([[1.0, 0.0, 2.0]]), torch.tensor([[3.0, -1.0], [9.0, 9.0], [1.0, 5.0]])
    picture = figures.projections(x, {"q": W}, ["robot"], ["thing", "duty", "action"])
    assert "q = x @ W_q" in picture.alt
    assert re.search(r"robot +5 +9", picture.alt)
    assert "W_q, 3 × 2" in picture.html
