"""The tower: what is drawn are the model's numbers, in a learner's own model too."""

import re
from dataclasses import replace

import pytest
import torch
from seen import drawings, image_of, shapes, texts
from torch import nn

from gpt2course.attention import fused_attention
from gpt2course.checks import engine
from gpt2course.config import GPT2Config
from gpt2course.drawing.explorer import percent
from gpt2course.drawing.tower import ATTENTION, STREAM, drawn, tower_of
from gpt2course.drawing.tower_map import PARTS, tower, with_course_weights
from gpt2course.drawing.tower_reading import SHOWN, Reading
from gpt2course.drawing.tower_widget import TowerPanel, tower_to_play
from gpt2course.inspection import activations, climb, head_weights, logit_lens, without_heads
from gpt2course.model import GPT2
from gpt2course.weights import load_tokenizer

KETTLE = "Mina looked at the kettle because it"
MODEL, TOKENIZER = GPT2.from_pretrained("course"), load_tokenizer("course")
IDS = TOKENIZER.encode(KETTLE)
IDX = torch.tensor([IDS])
OFF = frozenset({(0, 3), (2, 1)})


class OwnAttention(nn.Module):
    """Heads as a list of their own matrices: nothing here is called c_attn."""

    def __init__(self, n_embd, n_head):
        super().__init__()
        self.q, self.k, self.v, self.out = (nn.Linear(n_embd, n_embd) for _ in range(4))
        self.n_head = n_head

    def forward(self, x):
        q, k, v = (part(x).unflatten(-1, (self.n_head, -1)).transpose(1, 2)
                   for part in (self.q, self.k, self.v))  # fmt: skip
        return self.out(fused_attention(q, k, v).transpose(1, 2).flatten(2))


class OwnBlock(nn.Module):
    def __init__(self, n_embd, n_head):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(n_embd), nn.LayerNorm(n_embd)
        self.attn = OwnAttention(n_embd, n_head)
        self.mlp = nn.Sequential(nn.Linear(n_embd, 2 * n_embd), nn.Linear(2 * n_embd, n_embd))

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class OwnGPT2(nn.Module):
    """A learner's own: of the checkpoint it has the names of its parts, and little else."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.wpe = nn.Embedding(config.n_ctx, config.n_embd)
        self.h = nn.Sequential(*(OwnBlock(config.n_embd, config.n_head) for _ in range(3)))
        self.ln_f = nn.LayerNorm(config.n_embd)

    def forward(self, idx):
        x = self.wte(idx) + self.wpe.weight[: idx.shape[1]]
        return self.ln_f(self.h(x)) @ self.wte.weight.T


def small(kind=GPT2, n_layer=3, n_head=2, n_ctx=40):
    torch.manual_seed(5)
    return kind(GPT2Config(n_layer, n_head, 6 * n_head, n_ctx, TOKENIZER.vocab_size)).eval()


def reading(off=frozenset(), ids=IDS, model=MODEL):
    return Reading(model, TOKENIZER, ids, off)


# The numbers


def test_the_stream_and_the_weights_are_those_of_the_model():
    found, known = climb(MODEL, IDX), activations(MODEL, IDX)
    assert found.stream.shape == (9, len(IDS), 128)
    for i, block in enumerate(known.blocks):
        assert torch.equal(found.stream[2 * i], block.x[0])
        assert torch.equal(found.stream[2 * i + 1], block.x_mid[0])
        assert torch.equal(found.stream[2 * i + 2], block.x_out[0])
    assert torch.equal(torch.stack(found.weights), head_weights(MODEL, IDX))
    assert torch.equal(found.logits, known.logits[0])


def test_the_words_along_the_way_are_those_of_the_logit_lens():
    found = climb(MODEL, IDX)
    parameters = MODEL.ln_f.weight, MODEL.ln_f.bias, MODEL.wte.weight
    wanted = logit_lens(found.stream, *parameters).softmax(-1)
    for token in (2, len(IDS) - 1):
        assert torch.allclose(found.ends(token), wanted[:, token], atol=1e-6)
        assert torch.equal(found.ends(token)[-1], found.logits[token].softmax(-1))


def test_heads_that_are_off_are_off_on_the_whole_way():
    with torch.no_grad(), without_heads(MODEL, OFF):
        wanted = MODEL(IDX)[0]
    assert torch.equal(climb(MODEL, IDX, OFF).logits, wanted)
    assert not torch.allclose(wanted, MODEL(IDX)[0])
    assert torch.equal(climb(MODEL, IDX).logits, MODEL(IDX)[0])  # and on again afterwards


def test_a_model_of_a_learners_own_climbs_and_its_weights_may_be_unknown():
    model = small(OwnGPT2)
    with torch.no_grad():
        logits = model(IDX)[0]
    found = climb(model, IDX)
    assert torch.equal(found.logits, logits) and found.weights == [None] * 3
    assert torch.allclose(found.lens(found.stream[-1]), logits, atol=1e-6)
    picture = tower_of(model, TOKENIZER, KETTLE, floor=1)
    assert "reads" not in picture.alt and picture.alt.count("would predict") == 3
    panel = TowerPanel(model, TOKENIZER, KETTLE)
    panel.floor.value = 1
    assert all(head.layout.display == "none" for head in panel.heads)  # nothing to switch


def test_the_course_model_goes_into_a_class_of_a_learners_own():
    class Own(GPT2):
        pass

    model = with_course_weights(Own)
    assert type(model) is Own and torch.equal(model(IDX), MODEL(IDX))
    assert tower("11_sampling", (), Own).alt == tower_of(MODEL, TOKENIZER, KETTLE).alt


# What is drawn


def whole(share):
    return f"{100 * share:.0f} %"


def test_bars_and_words_show_the_models_probabilities():
    seen, token = texts(tower_of(MODEL, TOKENIZER, KETTLE)), len(IDS) - 1
    ends = climb(MODEL, IDX).ends(token)
    for prob, token_id in zip(*ends[-1].topk(5), strict=True):
        assert percent(prob.item()) in seen
        assert TOKENIZER.decode([token_id]).replace(" ", "␣") in seen
    for stage in range(0, 9, 2):
        prob, token_id = ends[stage].max(-1)
        assert whole(prob.item()) in seen
        assert TOKENIZER.decode([token_id]).replace(" ", "␣") in seen
    longest = max(
        bar.width for bar in shapes(tower_of(MODEL, TOKENIZER, KETTLE), "rect", fill=STREAM)
    )
    assert longest == pytest.approx(330 * ends[-1].max().item(), abs=0.01)


def arcs(picture):
    return [
        shape for shape in shapes(picture, "path", stroke=ATTENTION) if "pathLength" in shape.look
    ]


def test_every_arc_is_as_wide_as_the_largest_weight_and_says_whose_it_is():
    picture, weights = tower_of(MODEL, TOKENIZER, KETTLE), head_weights(MODEL, IDX)[:, :, -1]
    most = weights.max(1).values[:, :-1]  # (L, T - 1)
    widths = [max(1, 13 * w) for w in most.flatten().tolist() if w >= 0.03]
    assert [float(a.look["stroke-width"]) for a in arcs(picture)] == pytest.approx(widths, abs=0.01)
    said = [arc.text for arc in arcs(picture)]
    kettle, head = most[0, 4].item(), int(weights[0, :, 4].argmax())
    assert f"␣kettle {percent(kettle)}" in said
    assert f"{whole(kettle)} · head {head}" in texts(picture)


def test_an_open_floor_shows_every_head_and_what_it_reads():
    picture, weights = tower_of(MODEL, TOKENIZER, KETTLE, floor=0), head_weights(MODEL, IDX)
    names = reading().names
    for head in range(4):
        share, key = weights[0, head, -1].max(0)
        assert f"head {head}" in texts(picture)
        assert f"reads {names[key]}, {percent(share.item())}" in texts(picture)


def test_a_head_that_is_off_has_no_arcs_and_the_bars_sink():
    whole_model, view = reading(), reading().view(floor=0)
    before = whole_model.ends(view.token)[-1]
    picture = drawn(reading(OFF), replace(view, off=OFF, before=before))
    assert texts(picture).count("off") == 1 and texts(picture).count("✗") == 1  # of this floor
    now = reading(OFF).ends(view.token)[-1]
    best = before.argmax()
    assert now[best] < before[best] / 2
    assert f"{percent(now[best].item())}, was {percent(before[best].item())}" in texts(picture)
    assert "without 2 heads" in picture.alt
    weights = climb(MODEL, IDX, OFF).weights[0][:3, -1, :-1]  # of those that are on
    lanes = [a for a in arcs(picture) if float(a.look["stroke-width"]) <= 0.36 * 28]
    assert len(lanes) >= (weights >= 0.03).sum()


def test_the_barcode_is_the_row_of_the_stream():
    picture = tower_of(MODEL, TOKENIZER, KETTLE)
    row = image_of(shapes(picture, "image")[-1].look["href"])[0]
    numbers = climb(MODEL, IDX).stream[-1, -1]
    assert len(row) == len(numbers) == 128
    for (red, _, blue, opacity), number in zip(row, numbers.tolist(), strict=True):
        assert opacity < 40 or (red > blue) == (number > 0)
    opacity, size = [entry[3] for entry in row], numbers.abs()
    assert opacity[int(size.argmax())] == max(opacity) > 150
    assert opacity[int(size.argmin())] == min(opacity) < 40


def test_the_text_alternative_tells_the_climb():
    alt = tower_of(MODEL, TOKENIZER, KETTLE).alt
    assert alt.startswith("␣it climbs through 4 blocks; likeliest next token: ␣whistled, ")
    weight = head_weights(MODEL, IDX)[0, 3, -1, 4].item()
    assert f"block 0 reads ␣kettle {percent(weight)} (head 3), then would predict ␣whistled" in alt
    assert len(alt) < 900


def test_another_token_climbs_and_what_comes_later_is_dotted():
    picture = tower_of(MODEL, TOKENIZER, KETTLE, token=4)
    assert picture.alt.startswith("␣kettle climbs")
    later = shapes(picture, "path", stroke=STREAM, stroke_dasharray="2 5")
    assert {line.points[0][0] for line in later} == {
        shape.x
        for shape in shapes(picture, "text")
        if shape.text in ("␣because", "␣it") and 0 < shape.y < 24
    }
    assert "joins the text" not in texts(picture)  # what follows stands there already


@pytest.mark.parametrize("at", range(9))
def test_on_the_way_up_nothing_is_shown_that_is_not_reached(at):
    picture = drawn(reading(), replace(reading().view(), at=at))
    assert len(shapes(picture, "image")) == 1 + at // 2 + at % 2
    blocks = re.findall(r"block (\d) reads", picture.alt)
    assert blocks == [str(b) for b in range(4) if 2 * b + 1 <= at]
    assert "joins the text" not in texts(picture) and "come ␣whistled" not in picture.alt
    (marker,) = shapes(picture, "g", **{"class": "gpt2course-climber"})
    assert "--from:" in marker.look["style"]


def test_movement_is_off_where_it_is_not_wanted():
    (style,) = {shape.text for shape in shapes(tower_of(MODEL, TOKENIZER, KETTLE), "style")}
    assert "@media (prefers-reduced-motion:reduce)" in style and style.endswith("animation:none}}")
    assert set(re.findall(r"animation:\S+ (\S+)", style)) == {".3s"}


def test_a_deep_model_has_thin_floors_and_one_is_open():
    model = small(n_layer=9, n_head=3)
    picture = tower_of(model, TOKENIZER, KETTLE)
    assert sum(text.startswith("▾") for text in texts(picture)) == 1
    gains = climb(model, IDX).ends(len(IDS) - 1)
    gains = gains[::2, gains[-1].argmax()].diff()
    assert f"▾ block {gains.argmax()}" in texts(picture)
    other = tower_of(model, TOKENIZER, KETTLE, floor=(int(gains.argmax()) + 1) % 9)
    heights = [float(svg.get("height")) for one in (picture, other) for svg in drawings(one)]
    assert heights[0] == heights[1]  # the page stays where it is


def test_the_earlier_tokens_of_a_long_text_share_a_column_and_are_read_all_the_same():
    ids = (IDS * 6)[:38]
    found = reading(ids=ids, model=small())
    assert found.first == 38 - SHOWN + 1 and len(found.ids) == 38
    picture = drawn(found, found.view())
    assert texts(picture).count(f"… {found.first}") == 1
    most = found.reads(0, 37).max(0).values
    columns = [most[: found.first].max().item(), *most[found.first : -1].tolist()]
    wanted = [max(1, 13 * w) for w in columns if w >= 0.03]
    got = [float(arc.look["stroke-width"]) for arc in arcs(picture)][: len(wanted)]
    assert got == pytest.approx(wanted, abs=0.01)
    assert len(reading(ids=IDS * 8, model=small()).ids) == 40  # n_ctx


# To play with


def chosen(panel):
    return panel.token.options[panel.token.index][0]


def test_the_twin_is_what_the_widget_shows_at_first():
    played = tower_to_play(MODEL, TOKENIZER, KETTLE, yours=["MLP"])
    assert played.twin.alt == tower_of(MODEL, TOKENIZER, KETTLE).alt
    assert "M: MLP ★" in played.twin.html


def test_a_chosen_token_climbs():
    panel = TowerPanel(MODEL, TOKENIZER, KETTLE)
    panel.token.index = 4
    assert panel.picture().alt.startswith("␣kettle climbs") and "␣kettle climbs" in panel.said.value
    assert panel.shown.value == panel.picture().html


def test_heads_are_opened_switched_off_and_on_again():
    panel = TowerPanel(MODEL, TOKENIZER, KETTLE)
    whole_model = panel.picture().alt
    assert panel.heads[0].layout.display == "none"
    panel.floor.value = 0
    assert panel.heads[0].layout.display == "" and "▾ block 0" in panel.shown.value
    panel.heads[3].value = False
    assert panel.off == {(0, 3)} and panel.heads[3].description == "3 OFF"
    wanted = climb(MODEL, IDX, [(0, 3)]).ends(len(IDS) - 1)[-1].max().item()
    assert f"likeliest next token: ␣whistled, {percent(wanted)}" in panel.picture().alt
    panel.floor.value = 2
    assert all(head.value for head in panel.heads)  # this block's are on
    panel.floor.value = 0
    assert not panel.heads[3].value
    panel.all_on.click()
    assert panel.off == frozenset() and panel.heads[3].value
    panel.floor.value = None
    assert panel.picture().alt == whole_model


def test_it_steps_from_stage_to_stage():
    panel = TowerPanel(MODEL, TOKENIZER, KETTLE)
    seen = []
    for _ in range(10):
        panel.step.click()
        seen.append(panel.at.value)
    assert seen == [*range(10)]
    panel.at.value = 1
    assert "after the attention of block 0" in panel.said.value
    assert panel.play.interval > 300  # longer than what moves


def test_the_predicted_word_joins_the_text_and_climbs():
    panel = TowerPanel(MODEL, TOKENIZER, KETTLE)
    assert panel.add.description == "add ␣whistled"
    panel.add.click()
    assert panel.ids == [*IDS, TOKENIZER.encode(" whistled")[0]] and chosen(panel) == "␣whistled"
    assert panel.at.value == 0 and panel.play.playing
    panel.again.click()
    assert panel.ids == IDS and panel.at.value == panel.at.max


def test_another_text_is_read_and_a_head_stays_off():
    panel = TowerPanel(MODEL, TOKENIZER, KETTLE, floor=0)
    panel.heads[3].value = False
    panel.text.value = "Mina looked at the robot because it"
    assert "␣robot" in panel.picture().alt and panel.off == {(0, 3)}
    assert panel.picture().alt.startswith("␣it climbs")


def test_the_widget_of_a_deep_model_opens_the_block_in_which_the_word_gains_most():
    model = small(n_layer=9, n_head=3)
    panel = TowerPanel(model, TOKENIZER, KETTLE)
    assert panel.floor.value == Reading(model, TOKENIZER, IDS).turning_floor(len(IDS) - 1)
    assert panel.picture().alt == tower_of(model, TOKENIZER, KETTLE).alt


def test_a_click_on_a_chip_of_a_long_text_presses_its_own_button():
    panel = TowerPanel(small(), TOKENIZER, TOKENIZER.decode((IDS * 6)[:38]))
    names = [name.rstrip("\u2060") for name, _ in panel.token.options]
    found = re.findall(
        r"tower-token button'\)\[(\d+)\]\.click\(\)\"><title>let (\S+) climb", panel.shown.value
    )
    assert len(found) == SHOWN - 1 and all(names[int(i)] == name for i, name in found)


def test_a_click_presses_the_button_that_does_the_same():
    panel = TowerPanel(MODEL, TOKENIZER, KETTLE, floor=1)
    pressed = set(re.findall(r"tower-(\w+) button'\)\[(\d+)\]", panel.shown.value))
    names = [name for name, _ in panel.token.options]
    assert {(what, int(i)) for what, i in pressed} == (
        {("token", i) for i in range(len(names))}
        | {("floor", 0), ("floor", 1), ("floor", 3), ("floor", 4)}  # block 1 shuts
        | {("head", head) for head in range(4)}
    )
    assert "onclick=" not in tower_of(MODEL, TOKENIZER, KETTLE).html
    part = panel.switches.children
    assert [child for child in part if child in panel.heads] == panel.heads


# The map of the course


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.lesson)
def test_the_map_lights_the_part_of_a_lesson_and_no_other(part):
    picture = tower(part.lesson)
    assert sum("▶" in text for text in texts(picture)) == 1
    assert f"Lit: {part.label} ({part.number}), this lesson." in picture.alt
    assert tower(part.lesson).html.count('fill="#ffd43b"') == 3  # ground, number, label


def test_the_map_of_the_whole_lights_nothing():
    assert tower().html == tower("00_welcome").html and "#ffd43b" not in tower().html


def test_a_part_is_made_of_the_exercises_of_its_lesson():
    for part in PARTS:
        wanted = [name for name in engine.names() if engine.find(name).lesson == part.lesson]
        assert list(part.exercises) == wanted


def test_what_the_learner_has_built_has_a_star():
    assert "★" not in tower().html
    picture = tower("10_output_projection", ["gelu", "MLP", "layer_norm"])
    assert texts(picture).count("★") == 1 and "1 of 2" in texts(picture)
    assert picture.alt.endswith("Yours: MLP (08).")
