"""Pictures of lesson 10: scores against every row of wte, and where the parameters are."""

from collections.abc import Mapping
from html import escape

import torch
from jaxtyping import Float
from torch import Tensor

from gpt2course.config import GPT2Config
from gpt2course.drawing.bars import Bar, bars
from gpt2course.drawing.colours import INK, READ, part_fill
from gpt2course.drawing.matrix import CELL_HEIGHT, matrix, signed_scale
from gpt2course.drawing.numbers import percent
from gpt2course.drawing.picture import Picture, stacked
from gpt2course.drawing.svg import Drawing, Words, row
from gpt2course.drawing.tables import table
from gpt2course.model import output_logits, parameter_table

GROUPS = {name: part_fill(name) for name in ("wte", "wpe", "attention", "MLP", "norms")}


def row_against_table(
    word: str, x: Float[Tensor, " C"], vocabulary: Words, wte: Float[Tensor, "V C"], columns: Words,
    title: str = "",
) -> Picture:  # fmt: skip
    """One token's vector against every row of wte: the scores and their probabilities."""
    logits = output_logits(x[None, None], wte)[0, 0]
    shares = logits.softmax(-1).tolist()
    rows = torch.cat([wte, x[None]])
    names = [*vocabulary, f"x after {word}"]
    left = matrix(rows, names, columns, "rows of wte, and x", scale=signed_scale(x, wte))
    scores = [f"{score:z.2f}" for score in logits.tolist()]
    made = [Bar(score, p, percent(p)) for score, p in zip(scores, shares, strict=True)]
    right = bars(made, full=1, length=240, high=CELL_HEIGHT)
    right.text(-8, -6, "score", "end", 12)
    right.text(0, -6, "probability", size=12)
    numbers = ", ".join(f"{value:z.2f}" for value in x.tolist())
    told = [f"{title or word}: x after {word} is ({numbers})"]
    told += [f"{w}: score {one.label}, {one.said}" for w, one in zip(vocabulary, made, strict=True)]
    return row([left, right], gap=24).picture("\n".join(told))


def one_table(
    wte: Float[Tensor, "V C"], vocabulary: Words, columns: Words, read: str, asker: str,
    x: Float[Tensor, " C"],
) -> Picture:  # fmt: skip
    """The embedding matrix at both ends: on the way in a row of it, on the way out all its rows.

    Args:
        read: the token that goes in.
        asker, x: the token after which the next one is predicted, and its vector.
    """
    scores = output_logits(x[None, None], wte)[0, 0].tolist()
    drawn, place = Drawing(), vocabulary.index(read)
    drawn.put(matrix(wte, vocabulary, columns, scale=signed_scale(wte)))
    left, right, y = drawn.left, drawn.right, (place + 0.5) * CELL_HEIGHT
    drawn.rect(0, place * CELL_HEIGHT, right, CELL_HEIGHT, "none", thick=3, kind="read")
    drawn.box(left - 130, y - 15, 84, 30, read, READ, rx=5)
    drawn.arrow((left - 44, y), (left - 6, y), thick=2)
    rows = [Bar("", score, f"{score:z.2f}") for score in scores]
    out = bars(rows, length=110, high=CELL_HEIGHT)
    at = right + 46 - min(0.0, out.left)
    for i in range(len(vocabulary)):
        middle = (i + 0.5) * CELL_HEIGHT
        drawn.arrow((right + 6, middle), (right + 34, middle), head=6)
    drawn.put(out, at, 0)
    drawn.text(left - 130, -30, f"in: the row of “{read}”", size=12, bold=True)
    said = f"out: every row · x after “{asker}”"
    drawn.text(right + 20, -30, said, size=12, bold=True)
    drawn.head("One row of wte goes in; all its rows score what comes out")
    told = ", ".join(f"{word} {score:z.2f}" for word, score in zip(vocabulary, scores, strict=True))
    return drawn.picture(f"One matrix, two uses. In: the row of {read} in wte. Out: every row of wte "
                         f"times x after {asker}: {told}")  # fmt: skip


def parameter_groups(config: GPT2Config) -> dict[str, int]:
    """How many parameters are in the embeddings, attention, the MLPs and the LayerNorms."""
    groups = dict.fromkeys(GROUPS, 0)
    for name, _, count in parameter_table(config):
        groups[_group_of(name)] += count
    return groups


def _group_of(name: str) -> str:
    if ".attn." in name:
        return "attention"
    if ".mlp." in name:
        return "MLP"
    return "norms" if "ln_" in name else name.partition(".")[0]


def _shares(groups: Mapping[str, int], between: str) -> str:
    total = sum(groups.values())
    shares = {name: count / total for name, count in groups.items()}
    return between.join(
        f"{name} {percent(share, 1 if share >= 0.001 else 2)}"
        for name, share in shares.items()
    )


def parameter_bars(configs: Mapping[str, GPT2Config]) -> Picture:
    """One bar for each model, cut into what its parameters do."""
    counted = {name: parameter_groups(config) for name, config in configs.items()}
    unit = 560 / max(sum(groups.values()) for groups in counted.values())
    drawn, told, x = Drawing(), [], 0.0
    for name, fill in GROUPS.items():
        drawn.rect(x, -34, 16, 16, fill, kind="key")
        drawn.text(x + 22, -21, name)
        x += 44 + 8 * len(name)
    for i, (model, groups) in enumerate(counted.items()):
        x, y, total = 0.0, 66 * i, sum(groups.values())
        drawn.text(-8, y + 21, model, "end", bold=True)
        for name, count in groups.items():
            drawn.rect(x, y, count * unit, 32, GROUPS[name], thick=0.8)
            x += count * unit
        drawn.text(0, y + 48, _shares(groups, " · "), size=12)
        drawn.text(x + 8, y + 21, f"{total / 1e6:,.0f} million", bold=True)
        told.append(f"{model}: {total:,} parameters; {_shares(groups, ', ')}")
    return drawn.picture("\n".join(told))


def parameter_map(name: str, config: GPT2Config) -> Picture:
    """One model as an area: a strip for each embedding and each block, as wide as its parameters.

    Below it, folded, a list of all parameters, one line for all blocks.
    """
    groups = parameter_groups(config)
    total, width, height = sum(groups.values()), 800.0, 150.0
    unit = width / total
    tables = groups["wte"] + groups["wpe"]
    in_blocks = total - tables - 2 * config.n_embd
    strip, drawn, x = in_blocks / config.n_layer * unit, Drawing(), 0.0
    for part in ("wte", "wpe"):
        drawn.rect(x, 0, groups[part] * unit, height, GROUPS[part], thick=0.8)
        x += groups[part] * unit
    drawn.text(0, -6, "wte, then wpe", size=12)
    drawn.text(max(x, 100), -6, f"{config.n_layer} blocks", size=12)
    share = groups["MLP"] / (groups["MLP"] + groups["attention"])
    upper = height * (1 - share)
    for _ in range(config.n_layer):
        drawn.rect(x, 0, strip, upper, GROUPS["attention"], thick=0.8)
        drawn.rect(x, upper, strip, height - upper, GROUPS["MLP"], thick=0.8)
        x += strip
    middle = (tables + in_blocks / 2) * unit
    for said, y in (("attention", upper / 2), ("MLP", (upper + height) / 2)):
        drawn.box(middle - 50, y - 12, 100, 24, said, "#ffffff", bold=True, ink=INK)
    drawn.head(f"{name}: {total:,} parameters")
    told = f"{name}: {total:,} parameters; {_shares(groups, ', ')}"
    return stacked(drawn.picture(told), _table(config))


def _table(config: GPT2Config) -> Picture:
    """Every parameter with its shape; one row for all blocks."""
    rows, told = [], []
    for name, shape, count in parameter_table(config):
        sizes = " × ".join(f"{size:,}" for size in shape)
        times = f" × {config.n_layer} blocks" if name.startswith("h.") else ""
        rows.append((f"<code>{escape(name)}</code>", f"{sizes}{times}", f"{count:,}"))
        told.append(f"{name} {sizes} {count:,}")
    heads = (("name", "left"), ("shape", "left"), ("parameters", "right"))
    folded = (
        '<details><summary style="cursor:pointer">every parameter with its shape</summary>'
        f"{table('', heads, rows)}</details>"
    )
    return Picture(folded, "\n".join(told))
