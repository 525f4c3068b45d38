"""Pictures and the widgets of lesson 10."""

import pytest
import torch
from seen import place, shapes, texts

from gpt2course.config import RELEASED, GPT2Config
from gpt2course.drawing.bars import next_words
from gpt2course.drawing.colours import BAR, ORANGE
from gpt2course.drawing.matrix import CELL_HEIGHT
from gpt2course.drawing.numbers import percent
from gpt2course.lessons.output_projection.figures import (
    GROUPS,
    one_table,
    parameter_bars,
    parameter_groups,
    parameter_map,
    row_against_table,
)
from gpt2course.lessons.output_projection.widgets import scores_to_play, sizes_to_play
from gpt2course.model import GPT2, count_parameters

VOCABULARY, COLUMNS = ["robot", "obey", "."], ["thing", "action"]
WTE = torch.tensor([[2.0, 0.0], [0.0, 2.0], [-1.0, -1.0]])
SMALL = GPT2Config(n_layer=3, n_head=2, n_embd=10, n_ctx=7, vocab_size=11)


def widths(picture, fill):
    """The widths of all boxes of one fill, but for the key."""
    found = shapes(picture, "rect", fill=fill)
    return [box.width for box in found if box.look.get("class") != "key"]


# Next words


def test_bars_are_as_long_as_the_probabilities_and_tell_them():
    picture = next_words("a robot must", ["obey", "follow"], [0.6, 0.3])
    long, short = widths(picture, BAR)
    assert long == pytest.approx(2 * short)
    assert picture.alt == "after “a robot must”: obey 60.0 %, follow 30.0 %"
    assert "how often" not in picture.html


def test_marks_show_how_often_a_word_does_come():
    picture = next_words("a", ["obey", "follow"], [0.6, 0.3], [0.25, 0.5])
    assert picture.alt.endswith("obey 60.0 % (comes 25.0 %), follow 30.0 % (comes 50.0 %)")
    marks = [mark.x for mark in shapes(picture, "path", **{"class": "mark"})]
    assert marks == pytest.approx([0.25 * 360, 0.5 * 360])
    assert {mark.look["stroke"] for mark in shapes(picture, "path")} == {ORANGE}
    numbers = [place(picture, said)[0] for said in ("60.0 %", "30.0 %")]
    assert numbers == pytest.approx([0.6 * 360 + 8, 0.5 * 360 + 8])  # behind bar and mark


# One row against the table


def test_the_scores_of_a_row_are_its_dot_products_and_their_shares():
    row = torch.tensor([1.0, 2.0])
    picture = row_against_table("must", row, VOCABULARY, WTE, COLUMNS)
    probs = torch.tensor([2.0, 4.0, -3.0]).softmax(-1).tolist()
    lines = picture.alt.splitlines()
    assert lines[0] == "must: x after must is (1.00, 2.00)"
    for line, word, score, p in zip(
        lines[1:], VOCABULARY, ("2.00", "4.00", "-3.00"), probs, strict=True
    ):
        assert line == f"{word}: score {score}, {percent(p, 1)}"
        assert f">{score}</text>" in picture.html and f">{percent(p, 1)}</text>" in picture.html


def test_the_scores_follow_the_token_and_its_scale():
    x = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    playable = scores_to_play(["robot", "must"], x, VOCABULARY, WTE, COLUMNS)
    token, scale, shown = playable.widget.children
    assert playable.twin.html == shown.value and "x after robot" in shown.value
    assert ">-1.00</text>" in shown.value
    token.value = 1
    assert "x after must" in shown.value and "x after robot" not in shown.value
    token.value, scale.value = 0, 3.0
    assert ">6.00</text>" in shown.value and ">-3.00</text>" in shown.value
    scale.value = 0.0
    assert shown.value.count(">33.3 %</text>") == 3


# Where the parameters are


@pytest.mark.parametrize("config", [SMALL, *RELEASED.values()], ids=str)
def test_the_groups_hold_every_parameter_once(config):
    groups = parameter_groups(config)
    C, blocks = config.n_embd, config.n_layer
    assert sum(groups.values()) == count_parameters(config)
    assert groups["wte"] == config.vocab_size * C and groups["wpe"] == config.n_ctx * C
    assert groups["attention"] == blocks * (4 * C**2 + 4 * C)
    assert groups["MLP"] == blocks * (8 * C**2 + 5 * C)
    assert groups["norms"] == blocks * 4 * C + 2 * C


def test_the_groups_are_those_of_a_real_model():
    counted = sum(p.numel() for name, p in GPT2(SMALL).named_parameters() if ".mlp." in name)
    assert parameter_groups(SMALL)["MLP"] == counted


def test_bars_are_as_long_as_the_models_are_large():
    picture = parameter_bars(RELEASED)
    for name, fill in GROUPS.items():
        drawn = widths(picture, fill)
        wanted = [parameter_groups(config)[name] for config in RELEASED.values()]
        scale = 560 / count_parameters(RELEASED["gpt2-xl"])
        assert drawn == pytest.approx([scale * count for count in wanted], abs=0.01)
    first = picture.alt.splitlines()[0]
    assert first.startswith("gpt2: 124,439,808 parameters; wte 31.0 %")
    assert first.endswith("norms 0.03 %")
    for million in ("124", "355", "774", "1,558"):
        assert f">{million} million</text>" in picture.html


def test_the_map_of_a_model_has_a_strip_for_each_block_and_areas_in_proportion():
    picture = parameter_map("small", SMALL)
    (wte,), (wpe,) = widths(picture, GROUPS["wte"]), widths(picture, GROUPS["wpe"])
    strips = widths(picture, GROUPS["MLP"])
    assert len(strips) == SMALL.n_layer and strips == widths(picture, GROUPS["attention"])
    assert wte / wpe == pytest.approx(11 / 7, abs=0.01)
    in_block = 12 * 10**2 + 13 * 10
    assert strips[0] / wte == pytest.approx(in_block / (11 * 10), abs=0.01)
    height = shapes(picture, "rect", fill=GROUPS["MLP"])[0].height
    assert height / 150 == pytest.approx(850 / (850 + 440), abs=0.01)


def test_the_table_below_the_map_has_every_parameter():
    picture = parameter_map("small", SMALL)
    assert "<code>h.*.attn.c_attn.weight</code>" in picture.html
    assert ">30 × 10 × 3 blocks</td>" in picture.html and ">900</td>" in picture.html
    assert "h.*.mlp.c_fc.weight 40 × 10 1,200" in picture.alt
    assert len(picture.alt.splitlines()) == 1 + 16


def test_the_size_that_is_chosen_is_drawn():
    playable = sizes_to_play(RELEASED)
    switch, shown = playable.widget.children
    assert playable.twin.html == shown.value and "124,439,808" in shown.value
    switch.value = "gpt2-xl"
    assert "1,557,611,200" in shown.value and shown.value.count(GROUPS["MLP"]) == 48
    assert "124,439,808" not in shown.value


def test_one_table_marks_the_row_that_goes_in_and_scores_every_row():
    words, wte = ["a", "b", "c"], torch.tensor([[1.0, 0.0], [0.0, 2.0], [-1.0, 1.0]])
    picture = one_table(wte, words, ["x", "y"], "b", "c", torch.tensor([3.0, 1.0]))
    assert picture.alt.endswith("a 3.00, b 2.00, c -2.00")
    (row,) = shapes(picture, "rect", **{"class": "read"})
    assert row.y == CELL_HEIGHT  # the second row, as high as a cell
    assert {"3.00", "2.00", "-2.00"} <= set(texts(picture))
