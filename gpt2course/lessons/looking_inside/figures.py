"""Pictures of lesson 15: what each stage predicts, what a head does, and how vectors diverge."""

from collections.abc import Callable, Mapping, Sequence
from html import escape

from jaxtyping import Float
from torch import Tensor

from gpt2course.drawing.attention_maps import labels_of
from gpt2course.drawing.bars import Bar, bars
from gpt2course.drawing.colours import FAINT, ORANGE, fill_for
from gpt2course.drawing.curves import Axis, Series, panels, plot, steps
from gpt2course.drawing.explorer import Candidate, next_tokens, rest_of
from gpt2course.drawing.numbers import percent
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.svg import MONO, Drawing, Words
from gpt2course.drawing.tokens import piece_text

FAR = 0.1  # a point is named where its weight or its loss exceeds the others' by this much

Piece = Callable[[int], bytes]


def stage_names(n_stages: int) -> list[str]:
    """The names of the residual stream's stages: before the first block, after each.

    >>> stage_names(3)
    ['before block 0', 'after block 0', 'after block 1']
    """
    return ["before block 0", *(f"after block {i}" for i in range(n_stages - 1))]


def lens_table(
    ids: Sequence[int], lens: Float[Tensor, "S T V"], piece: Piece, title: str = ""
) -> Picture:
    """The most likely next token at every stage (row, the last on top) after every token (column).

    The fill is its probability. ↺ marks a stage that predicts the token just read, ✓ one that
    predicts what the last stage does. `piece` gives the bytes of a token id.
    """
    probs, tops = lens.detach().softmax(-1).max(-1)  # (S, T)
    title = title or "the most likely next token, if the model ended here"
    read = [piece_text(piece(i)) for i in ids]
    rows, told = [], []
    for stage, name in enumerate(stage_names(len(lens))):
        cells, said = [], []
        for t, token_id in enumerate(ids):
            top, prob = int(tops[stage, t]), float(probs[stage, t])
            same = top == int(tops[-1, t]) and stage < len(lens) - 1
            sign = "↺" if top == token_id else "✓" if same else ""
            word = piece_text(piece(top))
            cells.append(_lens_cell(word, prob, sign))
            said.append(f"{read[t]} → {word} {percent(prob)}{sign and ' ' + sign}")
        head = f'<th scope="row" style="{_SIDE}">{name}</th>'
        rows.append(f"<tr>{head}{''.join(cells)}</tr>")
        told.append(f"{name}: {'; '.join(said)}")
    columns = "".join(
        f'<th scope="col" style="{_HEAD}">{escape(w)}<br><small>({t})</small></th>'
        for t, w in enumerate(read)
    )
    html = (
        '<div tabindex="0" role="region" aria-label="what each stage predicts, scrolls" '
        'style="overflow-x:auto"><table style="border-collapse:collapse;font-size:13px">'
        '<caption style="caption-side:top;text-align:left;font-weight:600;color:inherit">'
        f'{escape(title)}</caption><tr><th scope="col" style="{_SIDE}">stage \\ read</th>'
        f"{columns}</tr>{''.join(reversed(rows))}</table></div>{LEGEND}"
    )
    return Picture(html, "\n".join([title, *told]))


_SIDE = "padding:3px 8px 3px 0;text-align:right;white-space:nowrap;background:none;color:inherit"
_HEAD = (
    f"padding:3px 6px;text-align:center;font-family:{MONO};white-space:pre;background:none;"
    "color:inherit"
)
LEGEND = (
    '<div style="font-size:12px;margin:4px 0">below each token its probability, also shown by '
    "the fill: pale 0 %, blue 100 %; ↺ the token just read, ✓ what the last stage predicts</div>"
)


def _lens_cell(word: str, prob: float, sign: str) -> str:
    fill = fill_for(prob, 0.0, 1.0)
    return (
        f'<td style="padding:3px 6px;text-align:center;border:1px solid {FAINT};background:{fill};'
        f'color:inherit;font-family:{MONO};white-space:pre">{escape(word)}{sign and " "}'
        f'{sign}<br><span style="font-size:12px">{percent(prob)}</span></td>'
    )


def stage_lines(curves: Series, title: str, label: str, low: float = 0.0) -> Picture:
    """One number for each stage of the stream, a line for each measure."""
    stages = stage_names(len(next(iter(curves.values()))))
    ticks = {i: name.replace(" block", "\nblock") for i, name in enumerate(stages)}
    low = min(low, *(min(values) for values in curves.values()))
    axes = Axis("", -0.2, len(stages) - 0.8, ticks=ticks), Axis(label, low, 1.04)
    series = {name: steps(values) for name, values in curves.items()}
    told = [
        f"{name}: " + ", ".join(f"{s} {v:.2f}" for s, v in zip(stages, values, strict=True))
        for name, values in curves.items()
    ]
    drawn = plot(series, *axes, title, marks=True)
    return drawn.picture(f"{title}. {label}. " + "; ".join(told))


def weight_and_effect(
    measured: Mapping[str, tuple[Float[Tensor, "L nh"], Float[Tensor, "L nh"]]],
) -> Picture:
    """Every head as a point: its weight on a word, and what is lost without the head.

    For each question: the mean weights on the word that decides, and the loss of a measure
    between 0 and 1 when a head is ablated.
    """
    effects = [y for _, effect in measured.values() for y in effect.flatten().tolist()]
    reach = 0.15 * (max(effects) - min(effects)) or 1.0
    up = Axis("lost without the head", min(effects) - reach, max(effects) + reach)
    plots, told = [], []
    for title, (weight, effect) in measured.items():
        middle, named, series = weight.median().item(), [], {}
        for layer, pairs in enumerate(zip(weight.tolist(), effect.tolist(), strict=True)):
            series[f"layer {layer}"] = places = list(zip(*pairs, strict=True))
            for head, place in enumerate(places):
                told.append(f"{title}, {_head_alt(layer, head, *place)}")
                if max(place[0] - middle, abs(place[1])) >= FAR:
                    named.append((*place, head_name(layer, head)))
        across = Axis("mean weight on the word that decides", 0, 1.12 * weight.max().item())
        look = {"names": {}, "marks": True, "joined": False, "size": (300, 220)}
        drawn = plot(series, across, up, lines={"": 0.0}, notes=sorted(named), **look)
        drawn.head(title, size=12)
        plots.append(drawn)
    title = "Where a head looks, and whether it matters (L layer · H head)"
    drawn = panels(plots, series, title, marks=True, joined=False)
    return drawn.picture("Every head, weight and loss. " + "; ".join(told))


def _head_alt(layer: int, head: int, weight: float, effect: float) -> str:
    change = f"loss {effect:.2f}" if effect > -0.005 else f"gain {-effect:.2f}"
    return f"{head_name(layer, head)}: weight {weight:.2f}, {change.replace('-0.00', '0.00')}"


def against_chance(
    names: Words, values: Sequence[float], chances: Sequence[float], title: str
) -> Picture:
    """Measured numbers between 0 and 1 as bars, with a mark at the baseline."""
    rows = [
        Bar(name, value, f"{value:.2f}", mark=even)
        for name, value, even in zip(names, values, chances, strict=True)
    ]
    told = [f"{one.label}: {one.said}, even attention {one.mark:.2f}" for one in rows]
    drawn = bars(rows, title, max(*values, *chances), marked="even attention; bars: mean weight")
    return drawn.picture(f"{title}. " + "; ".join(told))


def lens_stages(
    pieces: Sequence[bytes], place: int, scores: Float[Tensor, "S V"], piece: Piece, top: int = 4
) -> Picture:
    """A text with one token marked, and what each stage predicts after it, the last one on top.

    `scores` are of the whole vocabulary; `piece` gives the bytes of a token id.
    """
    marked = " ".join(
        f'<b style="border-bottom:3px solid {ORANGE}">{escape(name)}</b>'
        if i == place
        else escape(name)
        for i, name in enumerate(labels_of(pieces))
    )
    drawn, told = Drawing(), [f"after {piece_text(pieces[place])} ({place})"]
    names, step = stage_names(len(scores)), 20 * (top + 1) + 16
    for i, (name, stage) in enumerate(zip(names, scores, strict=True)):
        best = stage.softmax(-1).topk(top)
        found = list(zip(best.indices.tolist(), best.values.tolist(), strict=True))
        candidates = [Candidate(token_id, piece(token_id), p) for token_id, p in found]
        rows = [Bar(piece_text(c.piece), c.prob, f"{percent(c.prob)}   id {c.token_id}")
                for c in candidates]  # fmt: skip
        if rest := rest_of(candidates):
            rows.append(Bar("all others", rest, percent(rest)))
        y = (len(names) - 1 - i) * step
        drawn.put(bars(rows, full=1, length=240, high=20), 0, y)
        drawn.text(-240, y + 14, name, bold=True)
        if i < len(names) - 1:  # the stream runs upwards
            drawn.arrow((-200, y - 4), (-200, y - step + 24))
        told.append(next_tokens(candidates, name).alt)
    alt = "\n".join(told)
    text = f'<div style="margin:6px 0;line-height:1.8">{marked}</div>'
    return Picture(text + drawn.picture(alt).html, alt)


def head_name(layer: int, head: int) -> str:
    """The name of a head in pictures and tables.

    >>> head_name(0, 3)
    'L0·H3'
    """
    return f"L{layer}·H{head}"


def best_head(scores: Float[Tensor, "L nh"]) -> tuple[int, int]:
    """Layer and head of the largest score.

    >>> best_head(torch.tensor([[0.1, 0.2], [0.7, 0.3]]))
    (1, 0)
    """
    return divmod(int(scores.argmax()), scores.shape[1])
