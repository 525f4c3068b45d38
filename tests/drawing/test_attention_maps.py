"""Attention as lines, as a map, for all heads and as a table: each says what the numbers say."""

import re
import time
from html import unescape
from types import SimpleNamespace

import pytest
import torch
from seen import image_of, near, shapes
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from gpt2course.config import COURSE, GPT2Config
from gpt2course.drawing import attention_maps as figures
from gpt2course.drawing.attention_widget import (
    MOST,
    AttentionPanel,
    attention_to_play,
    has_attention,
    weights_in_view,
)
from gpt2course.drawing.colours import NEUTRAL, fill_for
from gpt2course.drawing.explorer import percent
from gpt2course.inspection import activations
from gpt2course.model import GPT2
from gpt2course.tokenizer import Tokenizer

PIECES = [b"The", b" kettle", b" boils", b" it"]
WEIGHTS = torch.tensor(
    [
        [1.0, 0.0, 0.0, 0.0],
        [0.26, 0.74, 0.0, 0.0],
        [0.5, 0.3, 0.2, 0.0],
        [0.1, 0.62, 0.277, 0.003],
    ]
)
TITLES = re.compile(r"<title>([^<]*)</title>")


def titles(picture):
    """All that the pointer can show, without doubles, in the order in which it is drawn."""
    return list(dict.fromkeys(map(unescape, TITLES.findall(picture.html))))


def lines_of(picture):
    return shapes(picture, "path", **{"class": "gpt2course-line"})


def pixels_of(picture, number=0):
    return image_of(shapes(picture, "image")[number].look["href"])


def random_weights(L, nh, T, seed=0):
    """Weights as of a model that reads no token that comes later."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(L, nh, T, T, generator=generator)
    later = torch.ones(T, T, dtype=torch.bool).triu(1)
    return scores.masked_fill(later, -torch.inf).softmax(dim=-1)


# Lines


def test_every_token_read_has_a_line_with_query_key_and_weight():
    picture = figures.attention_lines(PIECES, WEIGHTS, 3, "layer 0, head 1")
    assert titles(picture) == [
        "␣it (3) → The (0): 10.0 %",
        "␣it (3) → ␣kettle (1): 62.0 %",
        "␣it (3) → ␣boils (2): 27.7 %",
        "␣it (3) → ␣it (3): 0.3 %",
    ]
    widths = [float(line.look["stroke-width"]) for line in lines_of(picture)]
    read = [0.8 + 13 * share for share in (0.1, 0.62, 0.277)]  # 0.3 % has no line of its own
    assert widths == pytest.approx(read, abs=0.05)


def test_lines_are_told_the_strongest_first_and_the_rest_left_out():
    picture = figures.attention_lines(PIECES, WEIGHTS, 3, "layer 0, head 1")
    assert picture.alt == (
        "␣it (3) reads, layer 0, head 1: ␣kettle (1) 62.0 %, ␣boils (2) 27.7 %, The (0) 10.0 %"
    )


def test_under_every_token_stands_its_share_and_what_comes_later_is_marked():
    picture = figures.attention_lines(PIECES, WEIGHTS, 2)
    small = [shape.text for shape in shapes(picture, "text", font_size="12")]
    assert small == ["50 %", "30 %", "20 %", "later"]
    assert "␣it (3) comes later and is not read" in titles(picture)
    assert len(lines_of(picture)) == 3


def test_what_a_model_without_a_mask_reads_of_the_future_is_shown():
    peeking = torch.full((3, 3), 1 / 3)
    picture = figures.attention_lines(["a", "b", "c"], peeking, 0)
    assert "a (0) → c (2): 33.3 %" in titles(picture) and "later" not in picture.html
    heat = figures.attention_heat(["a", "b", "c"], peeking)
    assert len(titles(heat)) == 9 and pixels_of(heat)[0][2][3] > 0


def test_a_long_text_wraps_and_every_token_stays_inside():
    names = ["kettle"] * 128
    weights = random_weights(1, 1, 128)[0, 0]
    picture = figures.attention_lines(names, weights, 100)
    boxes, (page,) = shapes(picture, "rect"), shapes(picture, "svg")
    left, top, width, height = map(float, page.look["viewBox"].split())
    assert len(boxes) == 128 and width <= 830
    inside = [left <= x <= left + width and top <= y <= top + height
              for shape in (*boxes, *shapes(picture, "path")) for x, y in shape.points]  # fmt: skip
    assert len(inside) > 256 and all(inside)
    assert all(box.x + box.width <= left + width for box in boxes)
    assert len({box.y for box in boxes}) > 4


def test_lines_end_at_the_tokens_that_they_connect():
    picture = figures.attention_lines(PIECES, WEIGHTS, 3)
    middles = [box.x + box.width / 2 for box in shapes(picture, "rect")]
    ends = [(line.points[0][0], line.points[-1][0]) for line in lines_of(picture)]
    assert [start for start, _ in ends] == pytest.approx([middles[3]] * 3, abs=0.1)
    assert [end for _, end in ends] == pytest.approx(middles[:3], abs=0.1)


def test_the_pointer_finds_a_rule_for_everything_it_can_light():
    picture = figures.attention_lines(PIECES, WEIGHTS, 3)
    assert ".gpt2course-read:hover .gpt2course-lit" in picture.html
    assert ".gpt2course-cell:hover" in figures.attention_heat(PIECES, WEIGHTS).html
    assert "<script" not in picture.html and " on" not in re.sub(">[^<]*<", "><", picture.html)


def test_tokens_become_no_markup_and_long_ones_are_cut():
    names = [b"<b>", "x" * 100, "\n"]
    weights = random_weights(1, 1, 3)[0]
    for picture in (
        figures.attention_lines(names, weights[0], 2),
        figures.attention_heat(names, weights[0]),
        figures.attention_table(names, weights, 2, 0),
        figures.head_grid(names, weights[None]),
    ):
        assert "<b>" not in picture.html and "x" * 100 not in picture.html
    assert figures.labels_of(names) == ["<b>", "x" * 17 + "…", "↵"]


# The map


def test_the_map_has_the_colour_of_every_weight_and_nothing_for_what_comes_later():
    rows = pixels_of(figures.attention_heat(PIECES, WEIGHTS))
    assert len(rows) == len(rows[0]) == 4
    for t in range(4):
        for s in range(4):
            if s > t:
                assert rows[t][s][3] == 0
            else:
                assert near(rows[t][s], fill_for(float(WEIGHTS[t, s]), 0.0, 1.0))


def test_a_weight_that_is_no_number_is_grey():
    broken = WEIGHTS.clone()
    broken[1, 0] = torch.nan
    assert near(pixels_of(figures.attention_heat(PIECES, broken))[1][0], NEUTRAL, within=0)


def test_every_cell_of_the_map_answers_the_pointer():
    found = titles(figures.attention_heat(PIECES, WEIGHTS))
    names = figures.labels_of(PIECES)
    assert found == [
        f"{names[t]} ({t}) → {names[s]} ({s}): {percent(float(WEIGHTS[t, s]))}"
        for t in range(4)
        for s in range(t + 1)
    ]


def test_numbers_stand_in_the_cells_of_a_small_map_and_the_query_is_marked():
    picture = figures.attention_heat(PIECES, WEIGHTS, 2)
    numbers = [t.text for t in shapes(picture, "text") if t.text.isdigit()]
    assert numbers == ["100", "26", "74", "50", "30", "20", "10", "62", "28"]
    assert picture.html.count("▶") == 1 and "▶ ␣boils" in picture.html
    assert "▶" not in figures.attention_heat(PIECES, WEIGHTS).html


def test_the_map_is_told_in_words():
    told = figures.attention_heat(PIECES, WEIGHTS, 3, "layer 2, head 0").alt
    assert told.startswith("layer 2, head 0: 4 tokens; on average 27.9 % to the token before, ")
    assert told.endswith("␣boils (2) The (0) 50.0 %; ␣it (3) ␣kettle (1) 62.0 %")


def test_in_a_long_map_small_weights_get_more_colour_and_only_the_query_is_told():
    T = 80
    weights = random_weights(1, 1, T)[0, 0]
    picture = figures.attention_heat(["a"] * T, weights, 40)
    rows = pixels_of(picture)
    for t, s in ((79, 3), (40, 12), (5, 5)):
        assert near(rows[t][s], fill_for(float(weights[t, s]) ** 0.5, 0.0, 1.0))
    assert "25 %" in picture.html  # the middle of the scale
    assert picture.alt.count("a (40)") >= 1 and "a (41) a" not in picture.alt
    shown = [float(t.rpartition(": ")[2].rstrip(" %")) for t in titles(picture)]
    assert min(shown) >= 1.0 and len(shown) > 1000


@pytest.mark.parametrize("T", [1, 2, 14, 15, 32, 33, 65])
def test_maps_and_lines_of_every_length_can_be_drawn(T):
    weights = random_weights(2, 3, T)
    names = [f"w{i}" for i in range(T)]
    assert figures.attention_lines(names, weights[0, 0], T - 1).alt.startswith(
        f"w{T - 1} ({T - 1})"
    )
    assert f"{T} tokens" in figures.attention_heat(names, weights[0, 0]).alt
    assert "layer 1, head 2" in figures.head_grid(names, weights).alt
    table = figures.attention_table(names, weights[0], T - 1, 0)
    assert table.html.count("<tr>") == T + 1


# All heads


def test_how_a_head_reads_is_three_means():
    said = figures.reading_of(WEIGHTS)
    before = (0.26 + 0.3 + 0.277) / 3
    first, itself = (1 + 0.26 + 0.5 + 0.1) / 4, (1 + 0.74 + 0.2 + 0.003) / 4
    assert said == (
        f"on average {percent(before)} to the token before, {percent(first)} to the first, "
        f"{percent(itself)} to itself"
    )


def test_the_grid_has_one_map_for_every_layer_and_head_in_their_order():
    weights = random_weights(2, 3, 5)
    picture = figures.head_grid(list("abcde"), weights)
    readings = [
        f"layer {layer}, head {h}: {figures.reading_of(weights[layer, h])}"
        for layer in range(2)
        for h in range(3)
    ]
    assert titles(picture) == readings
    assert picture.alt == "all 2 × 3 heads on “abcde”. " + "; ".join(readings)
    for number, head in enumerate(weights.flatten(0, 1)):
        assert near(pixels_of(picture, number)[4][1], fill_for(float(head[4, 1]), 0.0, 1.0))
    xs, ys = zip(*(image.points[0] for image in shapes(picture, "image")[:6]), strict=True)
    assert xs[0] < xs[1] < xs[2] and xs[:3] == xs[3:]
    assert ys[0] == ys[2] > ys[3] == ys[5]  # the last layer is on top


def test_the_chosen_head_or_the_whole_layer_is_framed():
    weights = random_weights(2, 3, 4)

    def framed(chosen):
        found = figures.head_grid(PIECES, weights, chosen).html.split("<g class")[1:]
        return [i for i, part in enumerate(found) if 'stroke-width="4"' in part]

    assert framed(None) == []
    assert framed((1, 2)) == [5]
    assert framed((0, None)) == [0, 1, 2]


# The table


def test_the_table_has_a_row_for_each_token_and_a_column_for_each_head():
    weights = torch.stack([WEIGHTS, WEIGHTS.flip(-1)])
    picture = figures.attention_table(PIECES, weights, 3, 1)
    heads = re.findall(r'<th scope="col"[^>]*>([^<]*)<', picture.html)
    assert heads == ["place", "token", "head 0", "head 1", "all heads averaged"]
    named = re.findall(r'<th scope="row"[^>]*><span[^>]*>([^<]*)<', picture.html)
    assert named == figures.labels_of(PIECES)
    rows = re.findall(r"<tr>(.*?)</tr>", picture.html)[1:]
    cells = [re.findall(r"<td[^>]*>([^<]*)<", row) for row in rows]
    assert cells[1] == ["1", "62.0 %", "27.7 %", "44.9 %"]  # (0.62 + 0.277) / 2 = 0.4485
    assert picture.alt.startswith(
        "what ␣it (3) reads in layer 1, all heads averaged: The (0) 5.2 %"
    )


def test_the_table_leaves_out_what_comes_later():
    picture = figures.attention_table(PIECES, WEIGHTS[None], 1, 0)
    assert "␣boils" not in picture.html and "74.0 %" in picture.html


# To play with


class OwnBlock(nn.Module):
    """A block as a learner may write it: the checkpoint's names and nothing else in common."""

    def __init__(self, C, nh):
        super().__init__()
        self.nh = nh
        self.ln_1, self.ln_2 = nn.LayerNorm(C), nn.LayerNorm(C)
        self.attn, self.mlp = OwnAttention(C, nh), OwnMLP(C)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class OwnAttention(nn.Module):
    def __init__(self, C, nh):
        super().__init__()
        self.nh, self.c_attn, self.c_proj = nh, nn.Linear(C, 3 * C), nn.Linear(C, C)

    def forward(self, x):
        B, T, C = x.shape
        q, k, v = (
            part.view(B, T, self.nh, -1).transpose(1, 2) for part in self.c_attn(x).chunk(3, -1)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.c_proj(y.transpose(1, 2).reshape(B, T, C))


class OwnMLP(nn.Module):
    def __init__(self, C):
        super().__init__()
        self.c_fc, self.c_proj = nn.Linear(C, 4 * C), nn.Linear(4 * C, C)

    def forward(self, x):
        return self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))


class OwnGPT2(nn.Module):
    """Only forward(idx), config and the names; no device, no next_logits."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.wpe = nn.Embedding(config.n_ctx, config.n_embd)
        self.h = nn.ModuleList(
            OwnBlock(config.n_embd, config.n_head) for _ in range(config.n_layer)
        )
        self.ln_f = nn.LayerNorm(config.n_embd)

    def forward(self, idx):
        x = self.wte(idx) + self.wpe.weight[: idx.shape[1]]
        for block in self.h:
            x = block(x)
        return self.ln_f(x) @ self.wte.weight.T


CONFIG = GPT2Config(n_layer=2, n_head=3, n_embd=12, n_ctx=9, vocab_size=257)


def spread_out(model):
    """Weights large enough that the heads differ."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.normal_(std=0.7)
    return model


@pytest.fixture(params=[GPT2, OwnGPT2])
def model(request):
    torch.manual_seed(0)
    return spread_out(request.param(CONFIG))


def parts(playable):
    """The panel's controls and pictures by name."""
    layer, head, token, tokens, switches, grid, table, lines, heat = playable.widget.children
    as_grid, as_table = switches.children
    return SimpleNamespace(
        layer=layer, head=head, token=token, tokens=tokens, lines=lines, table=table, grid=grid,
        heat=heat, as_grid=as_grid, as_table=as_table,
    )  # fmt: skip


def reference(model, text):
    """The weights of every layer, (L, nh, T, T), and the tokens."""
    idx = torch.tensor([list(text.encode())])
    blocks = activations(model, idx).blocks
    return torch.stack([b.weights[0] for b in blocks]).detach(), [bytes([b]) for b in text.encode()]


def test_lines_and_map_follow_layer_head_and_token(model):
    weights, pieces = reference(model, "it boils")
    shown = parts(attention_to_play(model, Tokenizer([]), "it boils"))

    def expected(shares, query, title):
        return (
            figures.attention_lines(pieces, shares, query, title).html,
            figures.attention_heat(pieces, shares, query, title).html,
        )

    def seen():
        return shown.lines.value, shown.heat.value

    assert seen() == expected(weights[0].mean(0), 7, "layer 0, all heads averaged")
    shown.layer.index = 1
    assert seen() == expected(weights[1].mean(0), 7, "layer 1, all heads averaged")
    shown.head.index = 3
    assert seen() == expected(weights[1, 2], 7, "layer 1, head 2")
    shown.token.value = 4
    assert seen() == expected(weights[1, 2], 4, "layer 1, head 2")


def test_slider_and_buttons_choose_the_same_token(model):
    shown = parts(attention_to_play(model, Tokenizer([]), "it boils"))
    assert (shown.token.value, shown.tokens.index) == (7, 7)
    shown.token.value = 3
    assert shown.tokens.index == 3 and "b (3) reads" in shown.lines.value
    shown.tokens.index = 0
    assert shown.token.value == 0 and "i (0) reads" in shown.lines.value
    shown.tokens.index = 5  # the second i
    assert shown.token.value == 5 and "i (5) reads" in shown.lines.value


def test_tokens_that_look_alike_are_still_different_buttons(model):
    shown = parts(attention_to_play(model, Tokenizer([]), "it is iii"))
    labels = [label for label, _ in shown.tokens.options]
    assert len(set(labels)) == 9
    assert "".join(labels).replace("\u2060", "") == "it␣is␣iii"


def test_every_control_is_named_and_every_button_says_what_it_is(model):
    shown = parts(attention_to_play(model, Tokenizer([]), "it boils"))
    named = (shown.layer, shown.head, shown.token, shown.tokens, shown.as_grid, shown.as_table)
    assert all(control.description for control in named)
    assert list(shown.layer.tooltips) == ["layer 0", "layer 1"]
    assert list(shown.head.tooltips) == ["all heads averaged", "head 0", "head 1", "head 2"]
    assert shown.tokens.tooltips[5] == "token 5: i" and len(shown.tokens.tooltips) == 8


def test_the_twin_is_the_first_state_and_can_be_chosen(model):
    weights, pieces = reference(model, "it boils")
    playable = attention_to_play(model, Tokenizer([]), "it boils", layer=1, head=0, token=2)
    title = "layer 1, head 0"
    lines = figures.attention_lines(pieces, weights[1, 0], 2, title)
    heat = figures.attention_heat(pieces, weights[1, 0], 2, title)
    assert playable.twin.html == lines.html + heat.html
    assert playable.twin.alt == f"{lines.alt}\n{heat.alt}"
    assert parts(playable).lines.value == lines.html


def test_grid_and_table_open_and_follow(model):
    weights, pieces = reference(model, "it boils")
    shown = parts(attention_to_play(model, Tokenizer([]), "it boils"))
    assert shown.grid.value == shown.table.value == ""
    shown.as_grid.value = shown.as_table.value = True
    assert shown.grid.value == figures.head_grid(pieces, weights, (0, None)).html
    shown.layer.index, shown.token.value, shown.head.index = 1, 3, 2
    assert shown.grid.value == figures.head_grid(pieces, weights, (1, 1)).html
    assert shown.table.value == figures.attention_table(pieces, weights[1], 3, 1).html
    shown.as_grid.value = shown.as_table.value = False
    assert shown.grid.value == shown.table.value == ""


def test_of_a_text_longer_than_the_context_the_end_is_read(model):
    text = "the kettle boils"
    weights, pieces = reference(model, text[-9:])
    found, weights_found = weights_in_view(model, Tokenizer([]), list(text.encode()))
    assert found == pieces
    assert_close(weights_found, weights)
    assert parts(attention_to_play(model, Tokenizer([]), text)).token.max == 8


def test_the_rows_of_what_is_shown_sum_to_one(model):
    _, weights = weights_in_view(model, Tokenizer([]), list(b"kettle"))
    assert_close(weights.sum(-1), torch.ones(2, 3, 6))


def test_a_text_of_one_token_and_the_empty_text_are_shown(model):
    one = parts(attention_to_play(model, Tokenizer([]), "a"))
    assert one.token.disabled and "a (0) reads" in one.lines.value
    none = attention_to_play(model, Tokenizer([]), "")
    assert "endoftext" in none.twin.alt


def test_another_text_begins_at_its_end_with_layer_and_head_kept():
    panel = AttentionPanel(1, 2)
    panel.read([b"a", b"b", b"c"], random_weights(2, 3, 3))
    panel.read([b"a", b"b", b"c", b"d"], random_weights(2, 3, 4))
    assert panel.title == "layer 1, head 2" and "d (3) reads" in panel.lines.value
    panel.read([b"a"], random_weights(1, 2, 1))  # a smaller model: the last of its heads
    assert panel.title == "layer 0, head 1" and panel.token.disabled
    panel.read([b"a", b"b"], random_weights(2, 3, 2), token=0)
    assert not panel.token.disabled and "a (0) reads" in panel.lines.value


def test_too_many_tokens_are_refused_with_their_number():
    config = GPT2Config(n_layer=1, n_head=1, n_embd=4, n_ctx=MOST + 9, vocab_size=257)
    with pytest.raises(ValueError, match=f"at most {MOST} tokens, got {MOST + 1}"):
        weights_in_view(GPT2(config), Tokenizer([]), [1] * (MOST + 1))


def test_only_a_model_with_the_checkpoints_names_has_attention_to_show(model):
    assert has_attention(model)
    model.config = None
    del model.ln_f
    assert not has_attention(model)
    for other in (nn.Linear(2, 2), len, SimpleNamespace(config=CONFIG)):
        assert not has_attention(other)


def test_a_full_context_of_the_course_size_is_redrawn_at_once():
    torch.manual_seed(0)
    panel = AttentionPanel()
    panel.read(*weights_in_view(GPT2(COURSE), Tokenizer([]), [97] * COURSE.n_ctx))
    panel.as_grid.value = panel.as_table.value = True
    seconds = []
    for query in range(5):  # new weights are even: all cells that a map can have
        began = time.process_time()
        panel.token.value = query
        seconds.append(time.process_time() - began)
    assert min(seconds) < 0.15
    assert len(panel.heat.value) < 1_000_000
