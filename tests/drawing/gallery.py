"""One picture from every function of the course that draws one, with words and numbers as in the
lessons; under the function's name, after its lesson where it belongs to one."""

import math
from functools import cache

import torch
from torch.nn import functional as F

from gpt2course.config import RELEASED, GPT2Config
from gpt2course.drawing import (
    attention_maps,
    bars,
    curves,
    explorer,
    matrix,
    picture,
    tower,
    tower_map,
)
from gpt2course.drawing import tokens as token_boxes
from gpt2course.drawing.tower_reading import Reading, View
from gpt2course.embedding import sinusoidal_positions
from gpt2course.lessons.block import figures as block
from gpt2course.lessons.embeddings import figures as embeddings
from gpt2course.lessons.kv_cache import figures as kv_cache
from gpt2course.lessons.language_models import figures as language_models
from gpt2course.lessons.looking_inside import figures as looking_inside
from gpt2course.lessons.masking import figures as masking
from gpt2course.lessons.mlp import figures as mlp
from gpt2course.lessons.multi_head import figures as multi_head
from gpt2course.lessons.output_projection import figures as output_projection
from gpt2course.lessons.positions import figures as positions
from gpt2course.lessons.released_weights import figures as released_weights
from gpt2course.lessons.sampling import figures as sampling
from gpt2course.lessons.self_attention import figures as self_attention
from gpt2course.lessons.tokens import figures as tokens
from gpt2course.lessons.training import figures as training
from gpt2course.model import GPT2
from gpt2course.weights import load_tokenizer

MODULES = (
    attention_maps, bars, curves, explorer, matrix, token_boxes, tower, tower_map, block,
    embeddings, kv_cache, language_models, looking_inside, masking, mlp, multi_head,
    output_projection, positions, released_weights, sampling, self_attention, tokens, training,
)  # fmt: skip
WORDS = ["robot", "must", "obey", "orders"]
LONGER = "a robot must obey the orders given it".split()
COLUMNS, VOCABULARY = ["thing", "duty", "action"], ["robot", "must", "obey", "orders", "the", "."]
PIECES = [b" kettle", b" whistled", b" because", b" it"]
MERGES = [(111, 98), (114, 256), (32, 257)]


def random(*sizes, seed=0):
    return torch.randn(*sizes, generator=torch.Generator().manual_seed(seed))


def causal(*sizes, seed=0):
    future = torch.ones(sizes[-1], sizes[-1], dtype=torch.bool).triu(1)
    return random(*sizes, seed=seed).masked_fill(future, -torch.inf).softmax(-1)


def falling(end, steps=200, start=3.0):
    return [end + (start - end) * math.exp(-step / 20) for step in range(steps)]


HEADER = {
    "wte.weight": {"data_offsets": [0, 88]},
    "wpe.weight": {"data_offsets": [88, 120]},
    "h.0.attn.c_attn.weight": {"data_offsets": [120, 168]},
    "h.0.mlp.c_fc.weight": {"data_offsets": [168, 232]},
}
NAMES = "robot kettle dog wolf boil howled tired sad Monday Friday kitchen garden".split()
LOSSES = {"causal": (1.15, 1.15), "no mask": (0.1, 3.44), "zeroed after softmax": (0.13, 13.31)}
WEIGHTS = random(4, 4).softmax(-1)
NUMBERED = 10 * torch.arange(1, 5)[:, None] + torch.arange(1, 7)
CANDIDATES = [
    explorer.Candidate(282, b" it", 0.6, 0.5),
    explorer.Candidate(8, b" was", 0.0, 0.2, True),
]
LOADS = {
    "right": released_weights.Load([" beeped", " blinked"], [0.36, 0.35], 2.9, 0.0),
    "queries and keys exchanged": released_weights.Load([".", " was"], [0.22, 0.1], 222.0, 19.6),
}
MOMENT = training.Moment(700, 1.19, "On a rainy Monday …", [("snarled", 0.37), ("was", 0.1)],
                         torch.rand(2, 4))  # fmt: skip
OLD_AND_NEW = {"old": [2.4, 2.41, 8.0, 25.0], "new": [math.inf, 4.75, 9.25, 26.0]}
MODEL_SIZES = [
    language_models.Model("GPT", 2018, 117_000_000, "decoder: sees what came before", 12),
    language_models.Model("BERT-Large", 2018, 340_000_000, "encoder: sees both sides", 24),
    language_models.Model("GPT-3", 2020, 175 * 10**9, "decoder: sees what came before", 96),
]
ROWS = {"A": (2, 1), "B": (4, 2), "D": (6, 0), "E": (1, 1)}
PLACES = {"robot": (1.0, 0.0), "must": (0.0, 0.0), "obey": (0.0, 1.0), "orders": (1.0, 1.0)}
X = torch.linspace(-4, 4, 81, dtype=torch.float64)


COURSE, TOKENIZER = GPT2.from_pretrained("course"), load_tokenizer("course")
KETTLE, OFF = "Mina looked at the kettle because it", frozenset({(0, 3)})
READING = Reading(COURSE, TOKENIZER, TOKENIZER.encode(f"{KETTLE} whistled. The robot must obey"))


def count(config, n_new, n_all):
    return n_new * 1_000_000 + n_all * 1000


GALLERY = {
    "attention_lines": lambda: attention_maps.attention_lines(PIECES, causal(4, 4), 3, "layer 0"),
    "attention_heat": lambda: attention_maps.attention_heat(PIECES, causal(4, 4), 3, "layer 0"),
    "attention_heat, long": lambda: attention_maps.attention_heat(
        [f" word{i}".encode() for i in range(58)], causal(58, 58), 50),
    "attention_heat, very long": lambda: attention_maps.attention_heat(
        [f" word{i}".encode() for i in range(128)], causal(128, 128), 101),
    "head_grid": lambda: attention_maps.head_grid(PIECES, causal(2, 3, 4, 4), (1, 2)),
    "attention_table": lambda: attention_maps.attention_table(PIECES, causal(3, 4, 4), 3, 0),
    "next_words": lambda: bars.next_words("it", ["␣mooed", "␣sank"], [0.6, 0.01], [0.7, 0.0]),
    "curves": lambda: curves.curves(
        {"training": list(enumerate(falling(1.1))), "held out": [(0, 3.0), (199, 1.2)]},
        "The loss falls", "loss (nats per token)", {"ln V": 3.1, "floor": 1.1}),
    "loss_lines": lambda: curves.loss_lines(
        {"without": falling(0.74), "with": falling(0.0)}, {"ln 2": 0.69}, "A coin toss"),
    "text_so_far": lambda: explorer.text_so_far(PIECES, [None, None, 0.5, 0.3], [1, 2, 3, 4]),
    "read_as": lambda: explorer.read_as(PIECES, [1, 2, 3, 4]),
    "text_table": lambda: explorer.text_table(PIECES, [None, None, 0.5, 0.3], [1, 2, 3, 4]),
    "next_tokens": lambda: explorer.next_tokens(CANDIDATES, "after “because”"),
    "explorer_picture": lambda: explorer.explorer_picture(PIECES, [None] * 4, CANDIDATES, "next"),
    "matrices": lambda: matrix.matrices(
        [("scores", random(4, 4)), ("scaled", random(4, 4) / 2)], WORDS, WORDS),
    "side_by_side": lambda: matrix.side_by_side(
        [matrix.Panel("wte", random(4, 3), WORDS, COLUMNS), matrix.Panel("x", random(4, 3), WORDS)],
        "+"),
    "tower": lambda: tower_map.tower("09_block", ["gelu", "MLP", "layer_norm"]),
    "tower_of": lambda: tower.tower_of(COURSE, TOKENIZER, KETTLE, lit="11_sampling", yours=["MLP"]),
    "drawn": lambda: tower.drawn(READING, View(10, 0, 9, OFF, READING.ends(10)[-1])),
    "token_boxes": lambda: token_boxes.token_boxes([114, 256, 258], MERGES, "tokens"),
    "boxes": lambda: token_boxes.boxes(PIECES, ["1", "2", "3", "4"]),
    "block.norm_steps": lambda: block.norm_steps(
        {"robot": [1, 2, 6], "÷ deviation": [-1, -0.9, 2]}),
    "block.wiring": lambda: block.wiring("pre-norm", "post-norm"),
    "block.through_depth": lambda: block.through_depth(
        {"length, as drawn": {"12 blocks": falling(6.0, 12), "24 blocks": falling(5.0, 24)},
         "length, divided by √N": {"12 blocks": falling(0.6, 12), "24 blocks": falling(0.5, 24)}},
        "The stream ends at one length, however deep the stack"),
    "block.learning_curves": lambda: block.learning_curves(
        {"pre-norm": falling(1.2, 60), "post-norm": falling(2.2, 60)}, 1.1, 2.3, "Only one learns"),
    "block.who_moves": lambda: block.who_moves(
        random(4, 9).relu(), 5, "decoder-only", WORDS,
        "ein Roboter muss Befehlen gehorchen".split()),
    "embeddings.one_hot_product": lambda: embeddings.one_hot_product(
        F.one_hot(torch.arange(4), 6), random(6, 3), WORDS, VOCABULARY, COLUMNS),
    "embeddings.arrows": lambda: embeddings.arrows(ROWS, "A"),
    "embeddings.row_strips": lambda: embeddings.row_strips(
        {"untrained": random(12, 128), "trained": random(12, 128, seed=1)}, NAMES),
    "embeddings.word_map": lambda: embeddings.word_map(
        {"untrained": random(12, 16), "trained": random(12, 16, seed=1)}, NAMES,
        {"things": NAMES[:6], "moods": NAMES[6:8], "days": NAMES[8:]}, "What is used alike"),
    "embeddings.neighbour_bars": lambda: embeddings.neighbour_bars(
        "robot", NAMES, random(12, 3), title="trained table"),
    "kv_cache.runs": lambda: kv_cache.runs(WORDS, 3),
    "kv_cache.last_path": lambda: kv_cache.last_path(WORDS, 3),
    "kv_cache.differences": lambda: kv_cache.differences(
        {"right": [1e-6] * 50, "position 0": [0.5] * 4, "upper left": [0.3] * 38},
        {"right": None, "position 0": 4, "upper left": 38}, 1e-4),
    "kv_cache.costs": lambda: kv_cache.costs(
        [16, 128, 512], {"without a cache": [1e7, 1e8, 7e8], "with a cache": [1e6, 1.2e6, 2e6]},
        {"without a cache": [0.002, 0.01, 0.05], "with a cache": [0.001, 0.001, 0.002]}),
    "kv_cache.two_grids": lambda: kv_cache.two_grids(count, GPT2Config(), 6, 64),
    "language_models.suggestion_row": lambda: language_models.suggestion_row(
        "we hear the", [("captain", 0.35), ("orders", 0.1)], "Said."),
    "language_models.circle": lambda: language_models.circle(
        ["we", "hear", "the", "captain", "of", "the"]),
    "language_models.smoothing_curves": lambda: language_models.smoothing_curves(
        [0, 0.001, 1, 30], OLD_AND_NEW, 30),
    "language_models.model_sizes": lambda: language_models.model_sizes(MODEL_SIZES),
    "looking_inside.lens_table": lambda: looking_inside.lens_table(
        [0, 1, 2, 3], random(3, 4, 4), PIECES.__getitem__),
    "looking_inside.stage_lines": lambda: looking_inside.stage_lines(
        {"was, other sense": [1.0, 0.8, 0.6], "was, other story": [1.0, 0.99, 0.99]},
        "The row of was parts by sense", "cosine"),
    "looking_inside.weight_and_effect": lambda: looking_inside.weight_and_effect(
        {"after it: a verb": (torch.rand(4, 4), 0.1 * random(4, 4)),
         "was or were": (torch.rand(4, 4), 0.1 * random(4, 4))}),
    "looking_inside.against_chance": lambda: looking_inside.against_chance(
        ["the token before (layer 0, head 0)", "itself"], [0.23, 0.15], [0.06, 0.06], "Habits"),
    "looking_inside.lens_stages": lambda: looking_inside.lens_stages(
        PIECES, 3, random(3, 6), lambda i: PIECES[i % 4]),
    "masking.training_examples": lambda: masking.training_examples(WORDS),
    "masking.two_losses": lambda: masking.two_losses(LOSSES, 1.1),
    "masking.masked_weights": lambda: masking.masked_weights(
        "no mask", WEIGHTS, WORDS, (0.1, 9.44), 1.1),
    "mlp.unit_plane": lambda: mlp.unit_plane(PLACES, (1.0, 1.0), -1.5, ("thing", "action")),
    "mlp.fan": lambda: mlp.fan(
        random(3, 3), random(3, 12).clamp(min=0), random(3, 3), WORDS[:3]),
    "mlp.mlp_stages": lambda: mlp.mlp_stages(
        random(4, 3), random(4, 2), random(4, 2).relu(), random(4, 3), WORDS,
        ["thing", "action", "both"], ["both", "neither"]),
    "mlp.activation_functions": lambda: mlp.activation_functions(
        {"ReLU": torch.relu, "GELU": F.gelu}),
    "mlp.gelu_at": lambda: mlp.gelu_at(1.0),
    "mlp.forms_apart": lambda: mlp.forms_apart(lambda x: F.gelu(x, approximate="tanh"), F.gelu),
    "mlp.growth": lambda: mlp.growth(
        {"the exact form": [2e-4] * 13, "rounding to float32": [3e-7] * 13}),
    "mlp.curve_of_units": lambda: mlp.curve_of_units(
        X, torch.exp(-(X**2)), torch.exp(-(X**2)) + 0.1, [-2.0, 0.0, 1.5], "gelu"),
    "mlp.parameter_bars": lambda: mlp.parameter_bars(
        {"MLPs": 56_669_184, "wte, embedding": 38_597_376, "LayerNorm": 38_400}, "GPT-2 124M"),
    "multi_head.cut_in_three": lambda: multi_head.cut_in_three(random(4, 18), WORDS),
    "multi_head.in_memory": lambda: multi_head.in_memory(NUMBERED, WORDS, 2),
    "multi_head.split_steps": lambda: multi_head.split_steps(NUMBERED, WORDS, 2),
    "multi_head.heads_side_by_side": lambda: multi_head.heads_side_by_side(
        NUMBERED, NUMBERED.reshape(2, 4, 3), WORDS, "reshape(2, 4, 3): whose numbers are these?"),
    "multi_head.head_maps": lambda: multi_head.head_maps(
        causal(3, 8, 8), LONGER, ["head 0", "head 1", "head 2"]),
    "multi_head.head_map": lambda: multi_head.head_map(causal(8, 8), LONGER, "weights of head 0"),
    "multi_head.answers_right": lambda: multi_head.answers_right(
        {"1 head": [0.94, 0.32], "3 heads": [1.0, 1.0]},
        ["the word before", "the last of its kind"], [0.113, 0.455]),
    "output_projection.one_table": lambda: output_projection.one_table(
        random(6, 3), VOCABULARY, COLUMNS, "robot", "must", random(3, seed=2)),
    "output_projection.row_against_table": lambda: output_projection.row_against_table(
        "must", random(3), VOCABULARY, random(6, 3), COLUMNS),
    "output_projection.parameter_bars": lambda: output_projection.parameter_bars(RELEASED),
    "output_projection.parameter_map": lambda: output_projection.parameter_map(
        "gpt2-xl", RELEASED["gpt2-xl"]),
    "positions.clocks": lambda: positions.clocks(3),
    "positions.waves": lambda: positions.waves(sinusoidal_positions(64, 32)),
    "positions.row_of_both": lambda: positions.row_of_both(9, random(8, 8)),
    "released_weights.byte_map": lambda: released_weights.byte_map(
        1180, HEADER, "wpe.weight"),
    "released_weights.file_shares": lambda: released_weights.file_shares(
        {"wte.weight": (50257, 768), "h.0.attn.bias": (1, 1, 1024, 1024), "ln_f.bias": (768,)},
        "9% of the released file is masks"),
    "released_weights.tensor_card": lambda: released_weights.tensor_card(
        "transformer.wpe.weight", random(128, 128), (128, 128)),
    "released_weights.four_matrices": lambda: released_weights.four_matrices(
        {"attn.c_attn.weight": (768, 2304), "attn.c_proj.weight": (768, 768)}, "One fits"),
    "released_weights.surprise_text": lambda: released_weights.surprise_text(
        PIECES, [2.4, 0.0, 5.3, 1.0], "How much each token surprised the model"),
    "released_weights.loads": lambda: released_weights.loads(LOADS, "Two loads, one of them right"),
    "released_weights.two_lists": lambda: released_weights.two_lists(
        "Hugo liked the robot because it", tuple(LOADS), *LOADS.values()),
    "sampling.writing": lambda: sampling.writing(LONGER[:6], 3),
    "sampling.dice_strip": lambda: sampling.dice_strip(
        ["orders", "the", "nobody", "cheese"], [0.657, 0.242, 0.089, 0.012], [0.42, 0.8, 0.93]),
    "sampling.tail_curves": lambda: sampling.tail_curves(
        {"after “A robot must”": [1 / k**2 for k in range(1, 2000)],
         "after “Mina lived in”": [1 / k for k in range(1, 2000)]}, 40),
    "sampling.kept_along": lambda: sampling.kept_along(
        "One foggy winter Ada came to Stonefield with a balloon".split(),
        [28, 8, 4, 26, 1, 1, 103, 1, 1, 28], 0.9, 40),
    "sampling.moving_window": lambda: sampling.moving_window(LONGER, 4, 3),
    "sampling.right_and_different": lambda: sampling.right_and_different(
        {"unread stories": (0.99, 0.99), "temperature 0": (1.0, 0.06), "top_p": (0.1, 1.0)}),
    "sampling.filtered": lambda: sampling.filtered(
        ["orders", "the", "nobody"], [0.6, 0.3, 0.1], [0.7, 0.3, 0.0], "after “obey”", "Said."),
    "self_attention.filing_cabinet": lambda: self_attention.filing_cabinet(
        "obey asks:\nwho or what?", ["robot: a thing", "obey: an action"],
        ["more about robot", "more about obey"], [0.8, 0.2]),
    "self_attention.key_arrows": lambda: self_attention.key_arrows(
        WORDS, random(4, 2), [2.0, -1.0], "obey"),
    "self_attention.scores_weights_blend": lambda: self_attention.scores_weights_blend(
        random(4, 4), WEIGHTS, random(4, 2), WORDS),
    "self_attention.projections": lambda: self_attention.projections(
        random(4, 3).round(), {"q": random(3, 2).round(), "k": random(3, 2).round()},
        WORDS, COLUMNS),
    "self_attention.softmax_columns": lambda: self_attention.softmax_columns(
        [2.83, -2.12, -1.41, 1.41], WORDS),
    "self_attention.saturation": lambda: self_attention.saturation([4, 16, 64]),
    "self_attention.attention_of": lambda: self_attention.attention_of(
        7, LONGER, random(8).softmax(-1)),
    "self_attention.cabinet": lambda: self_attention.cabinet(
        WORDS, [2.0, -1.0], torch.tensor([[2.0, 0], [-1, 1], [0, 2], [2, 2]]),
        torch.tensor([[0.0, 4], [-2, -1], [4, 0], [4, 4]]), "obey"),
    "tokens.merge_steps": lambda: tokens.merge_steps(b"robots rob", MERGES),
    "tokens.bytes_under": lambda: tokens.bytes_under("Ré机🤖"),
    "tokens.cuts": lambda: tokens.cuts([("lowest rank first", [b" ho", b"us"], [303, 289])]),
    "tokens.merge_tree": lambda: tokens.merge_tree(b" rob", MERGES),
    "tokens.compression": lambda: tokens.compression(
        {"the story": [(0, 1.0), (290, 4.29)], "a text not trained on": [(0, 1.0), (290, 2.95)]}),
    "tokens.language_chart": lambda: tokens.language_chart(
        {"English": (25, 25, 6), "Greek": (41, 75, 46)}, "GPT-2's 50,000 merges"),
    "training.shifted": lambda: training.shifted(LONGER, 2, 4),
    "training.valley": lambda: training.valley(
        {"too small": 0.05, "right": 0.4, "too large": 1.05}),
    "training.moment_picture": lambda: training.moment_picture(
        MOMENT, "the wolf, because it", ["snarled"]),
}  # fmt: skip


@cache
def drawn(name: str) -> picture.Picture:
    return GALLERY[name]()
