"""Pictures of lesson 10: scores against every row of wte, next words, where the parameters are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import torch
from jaxtyping import Float
from torch import Tensor

from gpt2course.config import GPT2Config
from gpt2course.drawing.colours import FILLS
from gpt2course.drawing.matrix import matrix_svg, value_range
from gpt2course.drawing.picture import Picture, from_svg
from gpt2course.model import output_logits, parameter_table

INK, GREY = "#1b1b1b", "#868e96"
BAR, MARK = "#4dabf7", "#e8590c"
GROUPS = {"wte": FILLS[0], "wpe": FILLS[6], "attention": FILLS[2], "MLP": FILLS[1],
          "norms": FILLS[4]}  # fmt: skip


def next_words(
    after: str, words: Sequence[str], probs: Sequence[float], shares: Sequence[float] = ()
) -> Picture:
    """The words that may come next as bars, the likeliest first as they are given.

    Args:
        after: the text that they follow.
        words, probs: each word and its probability.
        shares: how often each word does come there, drawn as a mark across its bar.
    """
    left, unit, high = 110, 360, 26
    top = 48 if shares else 28
    title = f"after “{after}”"
    parts = [_text(left, 16, title, "start", weight=600)]
    if shares:
        parts.append(f'<path d="M{left + 4} 25V39" stroke="{MARK}" stroke-width="4"/>')
        parts.append(_text(left + 12, 36, "how often it does come there", "start", 12))
    told = []
    for i, (word, p) in enumerate(zip(words, probs, strict=True)):
        y = top + i * high
        parts.append(_text(left - 8, y + 15, word, "end"))
        parts.append(_box(left, y, max(0.5, p * unit), 20, BAR))
        end = max(p, shares[i] if shares else 0.0) * unit
        parts.append(_text(left + end + 8, y + 15, f"{p:.1%}", "start", 12))
        told.append(f"{word} {p:.1%}")
        if shares:
            x = left + shares[i] * unit
            parts.append(f'<path d="M{x:.1f} {y - 2}V{y + 22}" stroke="{MARK}" stroke-width="4"/>')
            told[-1] += f" (comes {shares[i]:.1%})"
    return from_svg(
        _svg(left + unit + 90, top + 6 + len(words) * high, parts), f"{title}: " + ", ".join(told)
    )


def row_against_table(
    word: str,
    row: Float[Tensor, " C"],
    vocabulary: Sequence[str],
    wte: Float[Tensor, "V C"],
    columns: Sequence[str],
    title: str = "",
) -> Picture:
    """One token's row against every row of the table: scores, and the probabilities they make.

    Args:
        word: the token whose row it is.
        vocabulary: the word of each row of wte.
        columns: what each number of a row stands for.
    """
    logits = output_logits(row[None, None], wte)[0, 0]
    probs = logits.softmax(-1)
    reach = max(abs(bound) for m in (row, wte) for bound in value_range(m))
    table = torch.cat([wte, row[None]])
    names = [*vocabulary, f"x after {word}"]
    drawn = matrix_svg(table, names, columns, "rows of wte, and x", scale=(-reach, reach))
    bars = _score_bars(logits.tolist(), probs.tolist())
    html = (
        '<div style="display:flex;gap:28px;flex-wrap:wrap;align-items:flex-start;margin:6px 0">'
        f"<div>{drawn}</div><div>{bars}</div></div>"
    )
    numbers = ", ".join(f"{value:z.2f}" for value in row.tolist())
    told = [
        f"{w}: score {score:z.2f}, {p:.1%}"
        for w, score, p in zip(vocabulary, logits.tolist(), probs.tolist(), strict=True)
    ]
    alt = f"{title or word}: x after {word} is ({numbers})\n" + "\n".join(told)
    return Picture(html, alt)


def _score_bars(logits: Sequence[float], probs: Sequence[float]) -> str:
    """A line for each row of the matrix beside it: its score, and its share as a bar."""
    parts = [_text(30, 30, "score"), _text(80, 30, "probability", "start")]
    for i, (score, p) in enumerate(zip(logits, probs, strict=True)):
        y = 39 + 28 * i
        parts.append(_text(50, y + 19, f"{score:z.2f}", "end"))
        parts.append(_box(80, y + 4, max(0.5, 240 * p), 20, BAR))
        parts.append(_text(88 + 240 * p, y + 19, f"{p:.1%}", "start", 12))
    return _svg(400, 44 + 28 * len(logits), parts)


def parameter_groups(config: GPT2Config) -> dict[str, int]:
    """How many parameters sit in the tables, in attention, in the MLPs and in the norms."""
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


def parameter_bars(configs: Mapping[str, GPT2Config]) -> Picture:
    """One bar for each model, cut into what its parameters do.

    Args:
        configs: the sizes by the model's name.
    """
    counted = {name: parameter_groups(config) for name, config in configs.items()}
    left, high = 120, 66
    unit = 640 / max(sum(groups.values()) for groups in counted.values())
    parts, told = [], []
    x = left
    for name, fill in GROUPS.items():
        parts.append(_box(x, 6, 16, 16, fill))
        parts.append(_text(x + 22, 19, name, "start"))
        x += 44 + 8 * len(name)
    for i, (model, groups) in enumerate(counted.items()):
        y, x, total = 38 + i * high, float(left), sum(groups.values())
        parts.append(_text(left - 8, y + 21, model, "end", weight=600))
        for name, count in groups.items():
            parts.append(_box(x, y, count * unit, 32, GROUPS[name]))
            x += count * unit
        said = " · ".join(f"{name} {_percent(count / total)}" for name, count in groups.items())
        parts.append(_text(left, y + 48, said, "start", 12))
        parts.append(_text(x + 8, y + 21, f"{total / 1e6:,.0f} million", "start", weight=600))
        told.append(f"{model}: {_shares(groups)}")
    return from_svg(_svg(left + 780, 46 + len(counted) * high, parts), "\n".join(told))


def _percent(share: float) -> str:
    return f"{share:.1%}" if share >= 0.001 else f"{share:.2%}"


def _shares(groups: Mapping[str, int]) -> str:
    total = sum(groups.values())
    shares = ", ".join(f"{name} {_percent(count / total)}" for name, count in groups.items())
    return f"{total:,} parameters; {shares}"


def parameter_map(name: str, config: GPT2Config) -> Picture:
    """One model as an area: a strip for each table and each block, as wide as its parameters.

    Below it the table of all parameters, one line for all blocks.
    """
    groups = parameter_groups(config)
    total, wide, high, top = sum(groups.values()), 820.0, 150.0, 50
    unit = wide / total
    in_blocks = total - groups["wte"] - groups["wpe"] - 2 * config.n_embd
    strip = in_blocks / config.n_layer * unit
    parts = [_text(0, 18, f"{name}: {total:,} parameters", "start", 15, 700)]
    x = 0.0
    for table in ("wte", "wpe"):
        width = groups[table] * unit
        parts.append(_box(x, top, width, high, GROUPS[table]))
        parts.append(_text(x + width / 2, top - 6, table, size=12))
        x += width
    share = groups["MLP"] / (groups["MLP"] + groups["attention"])
    parts.append(_text(x + 22, top - 6, f"{config.n_layer} blocks", "start", 12))
    for _ in range(config.n_layer):
        parts.append(_box(x, top, strip, high * (1 - share), GROUPS["attention"]))
        parts.append(_box(x, top + high * (1 - share), strip, high * share, GROUPS["MLP"]))
        x += strip
    middle = (groups["wte"] + groups["wpe"]) * unit + in_blocks * unit / 2
    for said, y in (("attention", top + 28.0), ("MLP", top + high * 0.7)):
        parts.append(_box(middle - 50, y - 17, 100, 24, "#ffffff"))
        parts.append(_text(middle, y, said, weight=600, fill=INK))
    told = f"{name}: {_shares(groups)}"
    table = _table_html(config)
    svg = _svg(wide + 4, top + high + 10, parts)
    html = f'<div role="figure" aria-label="{escape(told)}">{svg}{table}</div>'
    lines = [f"{n} {_by(shape)} {count:,}" for n, shape, count in parameter_table(config)]
    return Picture(html, "\n".join([told, *lines]))


def _table_html(config: GPT2Config) -> str:
    """Every parameter with its shape; a row of the blocks stands for all of them."""
    rows = []
    for name, shape, count in parameter_table(config):
        times = f" × {config.n_layer} blocks" if name.startswith("h.") else ""
        cells = [f"<code>{escape(name)}</code>", f"{_by(shape)}{times}", f"{count:,}"]
        sides = ("left", "left", "right")
        rows.append(
            "<tr>"
            + "".join(
                f'<td style="text-align:{side};padding:1px 14px 1px 0">{cell}</td>'
                for side, cell in zip(sides, cells, strict=True)
            )
            + "</tr>"
        )
    head = "".join(
        f'<th scope="col" style="text-align:{side};padding:1px 14px 1px 0">{title}</th>'
        for side, title in (("left", "name"), ("left", "shape"), ("right", "parameters"))
    )
    style = "font-size:12px;border-collapse:collapse;margin-top:8px"
    return f'<table style="{style}"><tr>{head}</tr>{"".join(rows)}</table>'


def _by(shape: Sequence[int]) -> str:
    return " × ".join(f"{size:,}" for size in shape)


def _svg(width: float, height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" '
        'style="max-width:100%;height:auto" aria-hidden="true" '
        f'font-family="system-ui, sans-serif" font-size="13">{"".join(parts)}</svg>'
    )


def _text(x, y, text, anchor="middle", size=13, weight=400, fill="currentColor") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
        f'font-weight="{weight}" fill="{fill}">{escape(text)}</text>'
    )


def _box(x, y, width, height, fill) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.2f}" height="{height:.1f}" fill="{fill}" '
        f'stroke="{INK}" stroke-width="0.8"/>'
    )
