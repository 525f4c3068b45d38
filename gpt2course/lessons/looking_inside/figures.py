"""Pictures of lesson 15: what each stage would say, what a head does, and how vectors part."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape

from jaxtyping import Float
from torch import Tensor

from gpt2course.drawing.colours import BLUE, CURVES, fill_for, ink_on
from gpt2course.drawing.explorer import percent
from gpt2course.drawing.picture import Picture, from_figure
from gpt2course.drawing.tokens import MONO, piece_text

MARKERS = "osD^vPX*"
LINES = ("-", "--", "-.", ":")
FAR = 0.1  # a point carries its name where it looks or matters by this much more than others

Piece = Callable[[int], bytes]


def stage_names(n_stages: int) -> list[str]:
    """What the stages of the residual stream are called: before the first block, after each.

    >>> stage_names(3)
    ['before block 0', 'after block 0', 'after block 1']
    """
    return ["before block 0", *(f"after block {i}" for i in range(n_stages - 1))]


def lens_table(
    ids: Sequence[int], lens: Float[Tensor, "S T V"], piece: Piece, title: str = ""
) -> Picture:
    """The likeliest next token at every stage (row) after every token (column).

    The fill is its probability there. ↺ marks a stage that says the token which it has just read,
    ✓ one that says what the last stage says.

    Args:
        ids: the tokens that were read, T of them.
        lens: scores of the whole vocabulary, as `logit_lens` gives them.
        piece: the bytes of a token id.
    """
    probs, tops = lens.detach().softmax(-1).max(-1)  # (S, T)
    title = title or "the likeliest next token, if the model ended here"
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
        '<div tabindex="0" role="region" aria-label="what each stage would say, scrolls" '
        'style="overflow-x:auto"><table style="border-collapse:collapse;font-size:13px">'
        '<caption style="caption-side:top;text-align:left;font-weight:600;color:inherit">'
        f'{escape(title)}</caption><tr><th scope="col" style="{_SIDE}">stage \\ read</th>'
        f"{columns}</tr>{''.join(rows)}</table></div>{LEGEND}"
    )
    return Picture(html, "\n".join([title, *told]))


_SIDE = "padding:3px 8px 3px 0;text-align:right;white-space:nowrap;background:none;color:inherit"
_HEAD = (
    f"padding:3px 6px;text-align:center;font-family:{MONO};white-space:pre;background:none;"
    "color:inherit"
)
LEGEND = (
    '<div style="font-size:12px;margin:4px 0">below each word its probability, which is the fill '
    "too: dark 0 %, yellow 100 %; ↺ the token just read, ✓ what the last stage says</div>"
)


def _lens_cell(word: str, prob: float, sign: str) -> str:
    fill = fill_for(prob, 0.0, 1.0)
    return (
        f'<td style="padding:3px 6px;text-align:center;border:1px solid #ffffff;background:{fill};'
        f'color:{ink_on(fill)};font-family:{MONO};white-space:pre">{escape(word)}{sign and " "}'
        f'{sign}<br><span style="font-size:11px">{percent(prob)}</span></td>'
    )


def stage_lines(
    curves: Mapping[str, Sequence[float]], title: str, label: str, low: float = 0.0
) -> Picture:
    """One number for each stage of the stream, a line for each thing that was measured.

    Args:
        curves: the numbers by name, before the first block and after each.
        title: what is to be seen.
        label: of the axis, with its unit.
        low: where the axis begins.
    """
    import matplotlib.pyplot as plt

    stages = stage_names(len(next(iter(curves.values()))))
    figure, axis = plt.subplots(figsize=(8, 3.4))
    for i, (name, values) in enumerate(curves.items()):
        axis.plot(
            values, marker=MARKERS[i % 8], linestyle=LINES[i % 4], color=CURVES[i % 6], label=name
        )
    axis.set_xticks(range(len(stages)), [s.replace(" block", "\nblock") for s in stages])
    axis.set_ylim(min(low, *(min(v) for v in curves.values())), 1.04)
    axis.set_ylabel(label)
    axis.set_title(title)
    axis.legend(loc="upper left", bbox_to_anchor=(1.01, 1))
    told = [
        f"{name}: " + ", ".join(f"{s} {v:.2f}" for s, v in zip(stages, values, strict=True))
        for name, values in curves.items()
    ]
    return from_figure(figure, f"{title}. {label}. " + "; ".join(told))


def weight_and_effect(
    panels: Mapping[str, tuple[Float[Tensor, "L nh"], Float[Tensor, "L nh"]]],
) -> Picture:
    """Every head as a point: how much it looks at a word, and what is lost without the head.

    Args:
        panels: by the name of a question the mean weight on the word that decides, and what goes
            of a measure between 0 and 1 when the head is taken out.
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, len(panels), figsize=(5.2 * len(panels), 4), sharey=True, squeeze=False
    )
    told = []
    for axis, (title, (weight, effect)) in zip(axes[0], panels.items(), strict=True):
        middle, named = weight.median().item(), []
        for layer, (x, y) in enumerate(zip(weight.tolist(), effect.tolist(), strict=True)):
            axis.scatter(x, y, s=55, marker=MARKERS[layer % 8], color=CURVES[layer % 6],
                         label=f"layer {layer}", zorder=2)  # fmt: skip
            for head, place in enumerate(zip(x, y, strict=True)):
                told.append(f"{title}, {_head_alt(layer, head, *place)}")
                if max(place[0] - middle, abs(place[1])) >= FAR:
                    named.append((place, head_name(layer, head)))
        for i, (place, name) in enumerate(sorted(named)):  # above and below by turns
            axis.annotate(name, place, xytext=(5, -14 if i % 2 else 6),
                          textcoords="offset points", fontsize=9)  # fmt: skip
        axis.axhline(0, color="#868e96", linewidth=1, zorder=1)
        axis.margins(0.2)
        axis.set_xlabel("mean weight on the word that decides")
        axis.set_title(title)
    axes[0][0].set_ylabel("lost without the head")
    axes[0][-1].legend(loc="upper left", bbox_to_anchor=(1.01, 1))
    figure.suptitle("Where a head looks, and whether it matters (L layer · H head)")
    figure.tight_layout()
    return from_figure(figure, "Every head, weight and loss. " + "; ".join(told))


def _head_alt(layer: int, head: int, weight: float, effect: float) -> str:
    change = f"loss {effect:.2f}" if effect > -0.005 else f"gain {-effect:.2f}"
    return f"{head_name(layer, head)}: weight {weight:.2f}, {change.replace('-0.00', '0.00')}"


def against_chance(
    names: Sequence[str], values: Sequence[float], chances: Sequence[float], title: str
) -> Picture:
    """Measured numbers between 0 and 1 as bars, with a mark where blind chance would be."""
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(8, 0.42 * len(names) + 1.3))
    rows = range(len(names))
    axis.barh(rows, values, color=BLUE, label="measured")
    axis.scatter(chances, rows, marker="|", s=260, linewidths=3, color="black",
                 label="even attention", zorder=2)  # fmt: skip
    for row, value in enumerate(values):
        axis.annotate(f"{value:.2f}", (max(value, chances[row]), row), xytext=(6, 0),
                      textcoords="offset points", va="center")  # fmt: skip
    axis.set_yticks(rows, names)
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.set_xlim(0, 1.15 * max(*values, *chances))  # room for the numbers behind the bars
    axis.set_xlabel("mean weight")
    axis.set_title(title)
    axis.legend(loc="upper left", bbox_to_anchor=(1.01, 1))
    told = [
        f"{name}: {value:.2f}, even attention {even:.2f}"
        for name, value, even in zip(names, values, chances, strict=True)
    ]
    return from_figure(figure, f"{title}. " + "; ".join(told))


def head_name(layer: int, head: int) -> str:
    """A head as it is called in pictures and tables, so that it can't be read as a number.

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
