"""The pictures and the switch of lesson 07 say what is true of the numbers."""

import re

import pytest
import torch
from seen import image_of, near, place, shapes, texts

from gpt2course.drawing.colours import FAINT, FILLS, fill_for
from gpt2course.drawing.numbers import percent
from gpt2course.lessons.multi_head import figures
from gpt2course.lessons.multi_head.widgets import head_switch
from gpt2course.multihead import split_heads

WORDS = ["robot", "must", "obey", "orders"]
# Each number says where it stands: 23 is the third column of the second word.
NUMBERED = 10 * torch.arange(1, 5)[:, None] + torch.arange(1, 7)
BLOCK = re.compile(r'<rect [^>]*fill="(#\w+)" stroke="#86868655"/><text [^>]*>([^<]*)</text>')


def blocks(picture):
    """(fill, number) of every block, in the order in which they are drawn."""
    return BLOCK.findall(picture.html)


def numbers(tensor):
    return [str(n) for n in tensor.flatten().tolist()]


# Cutting in three


def test_every_number_stands_under_the_band_of_its_third():
    qkv = torch.arange(36.0).reshape(2, 18) - 10
    picture = figures.cut_in_three(qkv, WORDS[:2])
    cells = shapes(picture, "rect", stroke=FAINT)
    shown = {(place.y, place.x): n for place, (_, n) in zip(cells, blocks(picture), strict=True)}
    assert [shown[place] for place in sorted(shown)] == [f"{n:.1f}" for n in qkv.flatten().tolist()]
    bands = [shape for shape in shapes(picture, "rect") if shape not in cells]
    columns = sorted({cell.x for cell in cells})
    assert len(bands) == 3 and len(columns) == 18
    for i, (band, said) in enumerate(zip(bands, "qkv", strict=True)):
        inside = [band.x <= x < band.x + band.width for x in columns]
        assert inside == [6 * i <= c < 6 * i + 6 for c in range(18)]
        said = f"{said}: columns {6 * i} to {6 * i + 5}"
        assert place(picture, said)[0] == band.x + band.width / 2
    assert {*WORDS[:2]} <= set(texts(picture))


def test_the_text_of_the_cut_gives_each_third_on_its_own():
    qkv = torch.arange(18.0)[None]
    told = figures.cut_in_three(qkv, ["robot"]).alt.splitlines()
    assert told[0].startswith("q,") and told[2].startswith("k,") and told[4].startswith("v,")
    assert told[3].split() == ["robot", "6.0", "7.0", "8.0", "9.0", "10.0", "11.0"]


# Splitting


def test_the_line_in_memory_is_the_rows_one_after_another():
    picture = figures.in_memory(NUMBERED, WORDS, 2)
    drawn = [number for _, number in blocks(picture)]
    assert drawn == 2 * numbers(NUMBERED)
    assert picture.alt.splitlines()[-1] == "in memory: " + " ".join(numbers(NUMBERED))


@pytest.mark.parametrize("n_head", [1, 2, 3, 6])
def test_a_block_has_the_colour_of_the_head_that_its_column_belongs_to(n_head):
    head_of = {number: (int(number) % 10 - 1) * n_head // 6 for number in numbers(NUMBERED)}
    for picture in (
        figures.in_memory(NUMBERED, WORDS, n_head),
        figures.split_steps(NUMBERED, WORDS, n_head),
        figures.heads_side_by_side(NUMBERED, NUMBERED.reshape(n_head, 4, -1), WORDS, "t"),
    ):
        assert blocks(picture)
        assert all(fill == FILLS[head_of[number]] for fill, number in blocks(picture))


@pytest.mark.parametrize("n_head", [1, 2, 3, 6])
def test_the_two_steps_end_where_split_heads_does(n_head):
    picture = figures.split_steps(NUMBERED, WORDS, n_head)
    heads = split_heads(NUMBERED[None].float(), n_head)[0].long()
    assert [number for _, number in blocks(picture)[-24:]] == numbers(heads)
    last = picture.alt.rpartition(f"transposed, head {n_head - 1}\n")[2]
    assert [int(n) for n in re.findall(r"\d+", last)] == heads[-1].flatten().tolist()


def test_rows_that_mix_words_say_so():
    reshaped = NUMBERED.reshape(2, 4, 3)
    alone = figures.heads_side_by_side(NUMBERED, reshaped, WORDS, "reshape alone")
    assert "reshape alone" in alone.alt
    rows = [line.split() for line in alone.alt.splitlines() if len(line.split()) == 4]
    assert [row[0] for row in rows] == [word for word in WORDS for _ in range(2)]
    mixed = figures.heads_side_by_side(NUMBERED, NUMBERED.T.reshape(2, 4, 3), WORDS, "mixed")
    assert ">robot+must+obey</text>" in mixed.html


def test_a_title_is_not_cut_off():
    title = "a title that is a good deal longer than the blocks below it are wide"
    picture = figures.heads_side_by_side(NUMBERED, NUMBERED.reshape(6, 4, 1)[:1], WORDS, title)
    assert title in texts(picture)
    assert shapes(picture, "svg")[0].width >= 8 * len(title)


# Weights


@pytest.fixture
def weights():
    scores = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(0))
    return scores.masked_fill(~torch.ones(4, 4).tril().bool(), -torch.inf).softmax(-1)


def test_maps_show_each_weight_in_per_cent_on_its_colour(weights):
    picture = figures.head_maps(weights, WORDS, ["a", "b", "c"])
    drawn = [text for text in texts(picture) if text.isdigit()]
    assert drawn == [f"{100 * w:.0f}" for w in weights.flatten().tolist() if w >= 0.005]
    for image, head, name in zip(shapes(picture, "image"), weights, "abc", strict=True):
        for row, shares in zip(image_of(image.look["href"]), head.tolist(), strict=True):
            for pixel, share in zip(row, shares, strict=True):
                assert pixel[3] == 0 if share == 0 else near(pixel, fill_for(share, 0.0, 1.0))
        assert name in texts(picture) and f"{name}, per cent" in picture.alt
    left = [image.x for image in shapes(picture, "image")]
    assert left == sorted(set(left))  # side by side


def test_rows_are_readers_and_columns_what_they_read():
    weights = torch.zeros(4, 4)
    weights[2, 0] = 1.0
    row = figures.head_maps(weights[None], WORDS, ["one"]).alt.splitlines()[4].split()
    assert row == ["obey", "100", "0", "0", "0"]
    assert "obey reads robot (100 %)" in figures.head_map(weights, WORDS, "one").alt


def test_one_map_lists_what_each_word_reads_most(weights):
    picture = figures.head_map(weights[0], WORDS, "weights of head 0")
    for t, word in enumerate(WORDS):
        share, place = weights[0, t].max(), int(weights[0, t].argmax())
        line = f"{word} reads {WORDS[place]} ({percent(float(share), 0)})"
        assert line in texts(picture) and line in picture.alt


def test_the_bars_tell_their_numbers():
    picture = figures.answers_right(
        {"1 head": [0.5, 0.25], "3 heads": [1.0, 0.75]}, ["x", "y"], [0.1, 0.455]
    )
    assert picture.html.startswith('<div role="figure" aria-label=')
    assert "The best without looking back: x 10.0 %, y 45.5 %" in picture.alt
    assert "1 head: x 50 %, y 25 %; 3 heads: x 100 %, y 75 %" in picture.alt


def test_bars_are_as_long_as_their_shares_and_the_best_without_looking_back_is_dashed():
    right = {"1 head": [0.94, 0.32], "3 heads": [1.0, 1.0]}
    picture = figures.answers_right(right, ["x", "y"], [0.113, 0.455])
    lengths = [bar.width / 420 for bar in shapes(picture, "rect")]
    assert lengths == pytest.approx([0.94, 1.0, 0.113, 0.32, 1.0, 0.455], abs=0.001)
    dashed = [bar.width / 420 for bar in shapes(picture, "rect", fill="none")]
    assert dashed == pytest.approx([0.113, 0.455], abs=0.001)
    for said in ("1 head: 94 %", "3 heads: 100 %", "the best without looking back: 45.5 %", "x", "y"):
        assert said in texts(picture)


# The switch


@pytest.fixture
def maps(weights):
    other = weights.flip(0)
    return {
        "robot must obey orders": {"head 0": weights[0], "head 1": weights[1]},
        "orders obey must robot": {"head 0": other[0], "head 1": other[1] * 0 + torch.eye(4)},
    }


def test_the_switch_shows_the_head_and_the_sentence_that_were_chosen(maps):
    playable = head_switch(maps)
    head, sentence, shown = playable.widget.children
    assert playable.twin.html == shown.value
    assert playable.twin == figures.head_map(
        maps["robot must obey orders"]["head 0"], WORDS, "weights of head 0"
    )
    head.value = "head 1"
    first = figures.head_map(maps["robot must obey orders"]["head 1"], WORDS, "weights of head 1")
    assert shown.value == first.html
    sentence.value = "orders obey must robot"
    second = figures.head_map(
        maps["orders obey must robot"]["head 1"], WORDS[::-1], "weights of head 1"
    )
    assert shown.value == second.html != first.html


def test_every_head_and_sentence_can_be_chosen(maps):
    head, sentence, _ = head_switch(maps).widget.children
    assert list(head.options) == ["head 0", "head 1"] and list(sentence.options) == list(maps)
