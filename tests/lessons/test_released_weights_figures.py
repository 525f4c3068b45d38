"""The pictures and widgets of lesson 14 say what is true of the tensors and the numbers."""

import math

import pytest
import torch
from seen import shapes, texts

from gpt2course.config import GPT2Config
from gpt2course.drawing.colours import BAR, OTHER_BAR, PALEST, tint
from gpt2course.lessons.released_weights.figures import (
    BINS,
    GROUPS,
    SURPRISE,
    Load,
    byte_map,
    file_shares,
    four_matrices,
    group_of,
    loads,
    surprise_text,
    tensor_card,
    two_lists,
)
from gpt2course.lessons.released_weights.widgets import checkpoint_to_play, loads_to_play
from gpt2course.model import GPT2
from gpt2course.weights import MASK_BUFFERS

SMALL = GPT2Config(n_layer=11, n_head=2, n_embd=6, n_ctx=5, vocab_size=9)
RIGHT = Load([" obey", "."], [0.6, 0.3], perplexity=4.0, difference=0.0)
WRONG = Load([" was", "."], [0.8, 0.1], perplexity=16.0, difference=12.345)
ALIKE = Load([" obey", "."], [0.5, 0.4], perplexity=4.1, difference=2e-5)
FOUND = {"right": RIGHT, "not transposed": WRONG, "rounded": ALIKE}


def widths(picture, fill):
    """The widths of all boxes of one fill."""
    return [box.width for box in shapes(picture, "rect", fill=fill)]


def inside(picture):
    """Nothing of a drawing lies outside its frame, as far as boxes and beginnings of texts go."""
    left, top, width, height = map(float, shapes(picture, "svg")[0].look["viewBox"].split())
    found = [*shapes(picture, "rect"), *shapes(picture, "text")]
    corners = [point for shape in found for point in shape.points]
    corners += [(b.x + b.width, b.y + b.height) for b in shapes(picture, "rect")]
    return all(left <= x <= left + width and top <= y <= top + height for x, y in corners)


# The file


def test_every_tensor_of_gpt2_belongs_to_a_kind():
    kinds = {name: group_of(name) for name, _ in GPT2(SMALL).named_parameters()}
    assert "others" not in kinds.values() and set(kinds.values()) <= set(GROUPS)
    assert kinds["h.0.attn.c_attn.bias"] == "attention" and kinds["h.3.ln_2.bias"] == "LayerNorms"
    assert all(group_of(f"transformer.h.0{ending}") == "masks" for ending in MASK_BUFFERS)
    assert group_of("lm_head.weight") == "output matrix" and group_of("score.weight") == "others"


def test_shares_of_the_file_are_bytes_and_bars_as_long():
    shapes = {"wte.weight": (250_000, 1), "h.0.attn.bias": (1, 1, 500, 1000), "ln_f.bias": (60,)}
    picture = file_shares(shapes, "a title")
    assert picture.alt == (
        "a title: token embeddings 1.0 MB, 33.3 %; LayerNorms 0.0 MB, 0.01 %; masks 2.0 MB, 66.7 %"
    )
    (table,), (masks,) = (
        widths(picture, GROUPS["token embeddings"]),
        widths(picture, GROUPS["masks"]),
    )
    assert masks == pytest.approx(2 * table)
    assert "a title" in texts(picture) and "2.0 MB, 66.7 %" in texts(picture)
    assert inside(picture)


def test_a_card_has_both_shapes_the_first_numbers_and_all_of_them_in_columns():
    tensor = torch.arange(-10.0, 200.0).reshape(10, 21)
    picture = tensor_card("h.0.mlp.c_fc.weight", tensor, (21, 10))
    lines = picture.alt.splitlines()
    assert lines[:3] == [
        "h.0.mlp.c_fc.weight", "in the file: (10, 21), 210 numbers", "in the model: (21, 10)",
    ]  # fmt: skip
    assert lines[3] == "mean 94.500, standard deviation 60.621, from -10.000 to 199.000"
    assert lines[4] == "the first 8 × 8" and lines[5].split()[:2] == ["-10.00", "-9.00"]
    assert len(lines) == 5 + 8
    columns = [column.height for column in shapes(picture, "rect", fill=BAR)]
    assert len(columns) == BINS and max(columns) == pytest.approx(120)
    assert columns[0] == 0  # nothing lies near -199
    assert {"-199.00", "199.00"} <= set(texts(picture))


@pytest.mark.parametrize("shape", [(), (1,), (7,), (1, 1, 4, 4), (30, 2)])
def test_a_card_takes_tensors_of_any_number_of_axes(shape):
    picture = tensor_card("x", torch.ones(shape), None)
    assert "in the model: no such parameter" in picture.alt and f"{shape}" in picture.alt
    assert "deviation 0.000" in picture.alt


def test_a_card_takes_a_tensor_of_zeros_and_half_precision():
    assert "from 0.000 to 0.000" in tensor_card("x", torch.zeros(3, 3), (3, 3)).alt
    assert "mean 0.500" in tensor_card("x", torch.full((3, 3), 0.5).half(), (3, 3)).alt


def test_the_browser_shows_the_tensor_that_is_chosen():
    model = GPT2(SMALL)
    state = {f"transformer.{name}": p.detach() for name, p in model.named_parameters()}
    state["transformer.h.0.attn.bias"] = torch.ones(1, 1, 5, 5).tril()
    playable = checkpoint_to_play(state, model)
    chosen, shown = playable.widget.children
    assert playable.twin.html == shown.value and chosen.options[0] == "transformer.wpe.weight"
    assert "in the model: (5, 6)" in shown.value
    chosen.value = "transformer.h.0.attn.bias"
    assert "in the model: no such parameter" in shown.value and "wpe" not in shown.value
    chosen.value = "transformer.h.10.mlp.c_fc.weight"
    assert "in the file: (24, 6), 144 numbers" in shown.value


def test_the_browser_lists_the_tables_first_and_the_blocks_in_order():
    state = {name: p.detach() for name, p in GPT2(SMALL).named_parameters()}
    chosen, _ = checkpoint_to_play(dict(reversed(state.items())), GPT2(SMALL)).widget.children
    assert sorted(chosen.options) == sorted(state)
    assert {*chosen.options[:2]} == {"wte.weight", "wpe.weight"}
    blocks = [int(name.split(".")[1]) for name in chosen.options if name.startswith("h.")]
    assert blocks == sorted(blocks) and blocks[-1] == 10
    assert {*chosen.options[-2:]} == {"ln_f.weight", "ln_f.bias"}


# Transposed matrices


def test_matrices_are_drawn_to_scale_and_only_the_square_one_fits():
    picture = four_matrices({"c_attn": (10, 30), "c_proj": (10, 10)}, "a title")
    assert picture.alt == (
        "a title; c_attn: 10 × 30 in the file, 30 × 10 in nn.Linear, raises an error; "
        "c_proj: 10 × 10 in the file, 10 × 10 in nn.Linear, fits, and is wrong"
    )
    (fw, fh), (ow, oh), (sw, sh), _ = [(b.width, b.height) for b in shapes(picture, "rect")]
    assert fw == pytest.approx(3 * fh, rel=0.02) and (fw, fh) == pytest.approx((oh, ow), rel=0.02)
    assert sw == pytest.approx(sh, rel=0.02) and sh == pytest.approx(fh)
    assert texts(picture).count("raises an error") == 1 and inside(picture)


# What the model says


def test_tokens_are_coloured_by_their_surprise_and_carry_its_number():
    picture = surprise_text([b"it", b" beeped", b"<"], [0.04, 4.0, 1.25], "a title")
    assert picture.alt.endswith("surprising: it 0.0, ␣beeped 4.0, < 1.2")
    for nats in (0.04, 4.0, 1.25):
        assert f"background:{tint(SURPRISE, 0.9 * nats / 4.0, PALEST)}" in picture.html
    assert ">it<div" in picture.html and "&lt;<div" in picture.html


def test_a_text_without_any_surprise_is_drawn():
    assert "it 0.0" in surprise_text([b"it"], [0.0]).alt


def test_loads_are_told_with_perplexity_difference_and_word():
    picture = loads(FOUND, "a title")
    title, right, wrong, alike = picture.alt.splitlines()
    assert title == "a title"
    assert right == "right: perplexity 4.0, logits off by 0.00, most likely  obey 60 %"
    assert wrong == "not transposed: perplexity 16.0, logits off by 12.35, most likely  was 80 %"
    assert "logits off by 2e-05" in alike
    blue, orange = widths(picture, BAR), widths(picture, OTHER_BAR)
    assert len(blue) == 2 and len(orange) == 1  # rounding is no wrong load
    assert orange[0] / blue[0] == pytest.approx(math.log(16) / math.log(4), rel=1e-3)
    assert inside(picture)


def test_loads_without_any_uncertainty_are_drawn():
    sure = Load(["."], [1.0], perplexity=1.0, difference=0.0)
    assert "perplexity 1.0" in loads({"right": sure}).alt


def test_two_lists_star_the_words_that_the_first_has_not():
    picture = two_lists("a robot", ("right", "not transposed"), RIGHT, WRONG)
    after, right, wrong = picture.alt.splitlines()
    assert after == "after “a robot”"
    assert right == "right: perplexity 4.0, logits off by 0.00:  obey 60.0 %, . 30.0 %"
    assert wrong == "not transposed: perplexity 16.0, logits off by 12.35:  was * 80.0 %, . 10.0 %"
    long, short = widths(picture, OTHER_BAR)
    assert long == pytest.approx(8 * short)
    assert texts(picture).count(" was *") == 1 and inside(picture)


def test_the_list_beside_the_right_one_follows_the_choice():
    playable = loads_to_play("a robot", FOUND)
    chosen, shown = playable.widget.children
    assert chosen.options == ("not transposed", "rounded") and playable.twin.html == shown.value
    assert "not transposed: perplexity 16.0" in shown.value
    chosen.value = "rounded"
    assert "rounded: perplexity 4.1" in shown.value and "perplexity 16.0" not in shown.value
    assert "right: perplexity 4.0" in shown.value


def test_the_lists_may_begin_with_another_load():
    playable = loads_to_play("a robot", FOUND, begin_with="rounded")
    chosen, _ = playable.widget.children
    assert chosen.value == "rounded" and "rounded: perplexity 4.1" in playable.twin.html


def test_the_map_of_a_file_has_every_tensor_where_its_bytes_are():
    header = {"wte.weight": {"data_offsets": [0, 60]}, "wpe.weight": {"data_offsets": [60, 100]},
              "__metadata__": {"format": "pt"}}  # fmt: skip
    picture = byte_map(900, header, "wpe.weight")
    tensors = shapes(picture, "rect", **{"class": "tensor"})
    assert [t.width / tensors[0].width for t in tensors] == pytest.approx([1, 40 / 60], abs=1e-3)
    (lit,) = shapes(picture, "rect", **{"class": "lit"})
    assert (lit.x, lit.width) == (tensors[1].x, tensors[1].width)
    assert "wpe.weight: bytes 60 to 100 of the numbers" in picture.alt
    assert "header 900 bytes; numbers 100 bytes, in 2 tensors" in picture.alt
