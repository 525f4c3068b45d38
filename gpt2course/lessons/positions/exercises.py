"""The exercises of lesson 04: embed, sinusoidal_positions."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from gpt2course import embedding
from gpt2course.checks.exercise import Case, Exercise, Property
from gpt2course.checks.inputs import normal, strided

# embed ------------------------------------------------------------------------------------------

# Row 2, column 1 of the one is 2.1, row 3 of the other is 30: the sums tell where they come from.
WTE = torch.arange(5)[:, None] + torch.arange(3) / 10
WPE = 10.0 * torch.arange(6)[:, None].expand(6, 3).contiguous()
FOUR = torch.tensor([[2, 0, 4, 2]])
IDX = torch.tensor([[4, 1, 4], [0, 4, 2]])


def _tables(
    vocab_size: int, n_ctx: int, n_embd: int, seed: int, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor]:
    """wte (V, C) and wpe (n_ctx, C)."""
    wte = normal(vocab_size, n_embd, seed=seed, dtype=dtype)
    return wte, normal(n_ctx, n_embd, seed=seed + 100, dtype=dtype)


def _ids(vocab_size: int, *shape: int, seed: int) -> Tensor:
    return torch.randint(vocab_size, shape, generator=torch.Generator().manual_seed(seed))


def _position_of_equal_ids_shows(x: Tensor, idx: Tensor, *rest) -> bool:
    """Whether equal ids of one sequence have different vectors."""
    return all(
        not torch.allclose(x[b, t], x[b, s], atol=1e-4)
        for b, ids in enumerate(idx.tolist())
        for t in range(len(ids))
        for s in range(t)
        if ids[s] == ids[t]
    )


def _token_shows(x: Tensor, idx: Tensor, wte: Tensor, wpe: Tensor, start: int = 0) -> bool:
    """Whether two tokens of one position differ exactly as their rows of wte do."""
    rows = wte[idx]
    return torch.allclose(x - x[:1], rows - rows[:1], atol=1e-4)


def _position_shows(x: Tensor, idx: Tensor, wte: Tensor, wpe: Tensor, start: int = 0) -> bool:
    """Whether, without the token's row, the position's row is left."""
    left = x - wte[idx]
    return torch.allclose(left, wpe[start : start + idx.shape[1]].expand_as(left), atol=1e-4)


embed = Exercise(
    embedding.embed,
    lesson="04_positions",
    cases=[
        Case(
            "four tokens; 2.1 stands in row 2 of wte, 30 in row 3 of wpe",
            (FOUR, WTE, WPE, 0),
            rows=("id 2 at 0", "id 0 at 1", "id 4 at 2", "id 2 at 3"),
            columns=("0", "1", "2"),
        ),
        Case(
            "one new token at position 4",
            (torch.tensor([[1]]), WTE, WPE, 4),
            rows=("id 1 at 4",),
            columns=("0", "1", "2"),
        ),
        Case("without start the first token stands at position 0", (FOUR, WTE, WPE)),
        Case("two sequences of three tokens", (IDX, *_tables(7, 11, 5, seed=1), 0)),
        Case("three new tokens on top of two earlier ones", (IDX, *_tables(7, 11, 5, seed=2), 2)),
        Case("up to the last position", (IDX, *_tables(5, 9, 4, seed=3), 6)),
        Case("as many tokens as positions", (_ids(8, 2, 6, seed=4), *_tables(8, 6, 3, seed=4))),
        Case("ids larger than any position", (_ids(40, 2, 3, seed=5) + 7, *_tables(47, 7, 4, 5))),
        Case("three sequences of one token", (_ids(8, 3, 1, seed=6), *_tables(8, 10, 5, 6), 2)),
        Case("as many sequences as tokens", (_ids(8, 4, 4, seed=7), *_tables(8, 17, 3, 7), 1)),
        Case("one token alone", (torch.tensor([[3]]), *_tables(6, 4, 2, seed=8))),
        Case(
            "the last of GPT-2's positions", (_ids(9, 1, 2, seed=9), *_tables(9, 1024, 3, 9), 1022)
        ),
        Case("float64 stays float64", (IDX, *_tables(7, 11, 5, 10, torch.float64), 3)),
        Case(
            "arguments that do not lie in one piece in memory",
            (strided(IDX), *map(strided, _tables(7, 11, 5, seed=11)), 1),
        ),
        Case(
            "the gradients reach the rows of both tables that were read",
            (IDX, *_tables(7, 9, 4, seed=12), 2),
            gradients=True,
        ),
    ],
    properties=[
        Property(
            "the shape is (B, T, C): C numbers for each id",
            lambda f: f(IDX, *_tables(7, 11, 5, seed=1), 2).shape == (2, 3, 5),
            of_result=lambda x, idx, wte, wpe, start=0: x.shape == (*idx.shape, wte.shape[1]),
        ),
        Property(
            "the same token at two positions has two vectors",
            lambda f: _on(f, _position_of_equal_ids_shows),
            of_result=_position_of_equal_ids_shows,
        ),
        Property(
            "two tokens at one position differ as their rows of wte do",
            lambda f: _on(f, _token_shows),
            of_result=_token_shows,
        ),
        Property(
            "without the token's row, the row of the position is left",
            lambda f: _on(f, _position_shows),
            of_result=_position_shows,
        ),
        Property(
            "a text in two pieces, the second with its start, is the text as a whole",
            lambda f: _pieces_fit(f),
        ),
        Property("each sequence of a batch is on its own", lambda f: _batch_is_alone(f)),
    ],
)


def _on(f, holds) -> bool:
    args = (IDX, *_tables(7, 11, 5, seed=13), 2)
    return holds(f(*args), *args)


def _pieces_fit(f) -> bool:
    idx, tables = _ids(8, 2, 6, seed=14), _tables(8, 10, 5, seed=14)
    pieces = f(idx[:, :4], *tables, 1), f(idx[:, 4:], *tables, 5)
    return torch.allclose(torch.cat(pieces, dim=1), f(idx, *tables, 1), atol=1e-5)


def _batch_is_alone(f) -> bool:
    tables = _tables(8, 10, 5, seed=15)
    return torch.allclose(f(IDX, *tables, 1)[1:], f(IDX[1:], *tables, 1), atol=1e-5)


@embed.misconception(
    "The positions are missing: these are the rows of wte alone. The same word is then the same "
    "vector wherever it stands."
)
def forgets_the_positions(idx, wte, wpe, start=0):
    return wte[idx]


@embed.misconception(
    "start was not used: the first token always stands at position 0. A token that comes on top of "
    "earlier ones stands behind them, at `start`."
)
def forgets_start(idx, wte, wpe, start=0):
    return wte[idx] + wpe[: idx.shape[1]]


@embed.misconception(
    "start was added to the numbers of the rows. It is the number of the first row that is needed: "
    "wpe[start : start + T]."
)
def adds_start_to_the_numbers_of_the_rows(idx, wte, wpe, start=0):
    return wte[idx] + wpe[: idx.shape[1]] + start


@embed.misconception(
    "The number of the position was added, and not its row of wpe. At the end of a long text such "
    "numbers drown the words."
)
def adds_the_number_of_the_position(idx, wte, wpe, start=0):
    return wte[idx] + torch.arange(start, start + idx.shape[1])[:, None]


@embed.misconception(
    "All tokens got the row of the first position. The second token stands one further, at "
    "start + 1, and so on."
)
def gives_all_tokens_the_same_position(idx, wte, wpe, start=0):
    return wte[idx] + wpe[start]


@embed.misconception(
    "Positions were counted from 1. The first token of a text stands at position 0, as ids and "
    "rows do."
)
def counts_positions_from_1(idx, wte, wpe, start=0):
    return wte[idx] + wpe[start + 1 : start + 1 + idx.shape[1]]


@embed.variant(counts_positions_from_1)
def counts_positions_from_1_by_index(idx, wte, wpe, start=0):
    return wte[idx] + wpe[start + 1 + torch.arange(idx.shape[1])]


@embed.misconception(
    "Where start is not given, the first token came to stand at position 1. It is position 0: "
    "start=0 in the signature."
)
def starts_at_1_unless_told(idx, wte, wpe, start=1):
    return wte[idx] + wpe[start : start + idx.shape[1]]


@embed.misconception(
    "The row of wpe was chosen by the id of the token. wpe has a row for each position: which word "
    "stands there does not matter to it."
)
def looks_up_positions_by_id(idx, wte, wpe, start=0):
    return wte[idx] + wpe[idx]


@embed.variant(looks_up_positions_by_id)
def looks_up_positions_by_id_after_start(idx, wte, wpe, start=0):
    return wte[idx] + wpe[start + idx]


@embed.misconception(
    "The two rows were put side by side, which makes 2·C numbers. GPT-2 adds them: the result is "
    "as wide as each of them."
)
def puts_them_side_by_side(idx, wte, wpe, start=0):
    positions = wpe[start : start + idx.shape[1]].expand(len(idx), -1, -1)
    return torch.cat([wte[idx], positions], dim=-1)


@embed.misconception(
    "The two rows were multiplied. A number near 0 in the one would then wipe out the other; they "
    "are added."
)
def multiplies_the_two(idx, wte, wpe, start=0):
    return wte[idx] * wpe[start : start + idx.shape[1]]


@embed.misconception(
    "The whole table of positions was added. A text of T tokens uses T of its rows, from start to "
    "start + T - 1; adding all of them fits only where the text is as long as the table."
)
def adds_all_positions(idx, wte, wpe, start=0):
    return wte[idx] + wpe


@embed.misconception(
    "The positions begin at start but end before T. T rows are needed, so they end before start + "
    "T: in a slice, and in arange too."
)
def ends_the_positions_at_T(idx, wte, wpe, start=0):
    return wte[idx] + wpe[start : idx.shape[1]]


@embed.variant(ends_the_positions_at_T)
def ends_an_arange_at_T(idx, wte, wpe, start=0):
    return wte[idx] + wpe[torch.arange(start, idx.shape[1])]


@embed.misconception(
    "One row is missing: a slice ends before its second number, so that start : start + T - 1 has "
    "T - 1 rows. Let it end at start + T."
)
def ends_the_slice_one_row_early(idx, wte, wpe, start=0):
    return wte[idx] + wpe[start : start + idx.shape[1] - 1]


@embed.misconception(
    "The slice ends at start + T, but it begins at 0, so that there are start rows too many. It "
    "begins at start."
)
def begins_the_slice_at_0(idx, wte, wpe, start=0):
    return wte[idx] + wpe[: start + idx.shape[1]]


@embed.misconception(
    "The slice goes from start to the end of the table. T rows are needed, from start to "
    "start + T - 1."
)
def takes_all_rows_from_start(idx, wte, wpe, start=0):
    return wte[idx] + wpe[start:]


@embed.misconception(
    "The number of tokens was read from the first axis of idx, which counts the sequences. idx is "
    "(B, T): T is idx.shape[1], and len(idx) is B."
)
def counts_sequences_and_not_tokens(idx, wte, wpe, start=0):
    return wte[idx] + wpe[start : start + len(idx)]


@embed.misconception(
    "The position changes from sequence to sequence, and not from token to token: the rows of wpe "
    "were laid along the batch. They belong to the axis of T."
)
def gives_each_sequence_a_position(idx, wte, wpe, start=0):
    return wte[idx] + wpe[start : start + len(idx), None]


@embed.misconception(
    "The count went on from one sequence to the next. Each sequence of a batch is a text of its "
    "own and begins at start."
)
def goes_on_counting_in_the_next_sequence(idx, wte, wpe, start=0):
    positions = start + torch.arange(idx.numel()).view(idx.shape)
    return wte[idx] + wpe[positions]


@embed.misconception(
    "The positions run backwards: the last token got the row of start. The first token stands at "
    "start."
)
def counts_backwards(idx, wte, wpe, start=0):
    return wte[idx] + wpe[start : start + idx.shape[1]].flip(0)


@embed.misconception(
    "The positions are sines and cosines. That is the rule of the first transformer; GPT-2 learned "
    "its positions, and they stand in wpe."
)
def takes_sines_and_not_wpe(idx, wte, wpe, start=0):
    table = embedding.sinusoidal_positions(len(wpe), wpe.shape[1] + wpe.shape[1] % 2)
    positions = table[start : start + idx.shape[1], : wpe.shape[1]]
    return wte[idx] + positions.to(wte.dtype)


@embed.misconception(
    "The token's vector was multiplied by √C first. The first transformer did so; GPT-2 adds the "
    "two rows as they are."
)
def multiplies_the_token_by_the_root_of_C(idx, wte, wpe, start=0):
    return wte[idx] * math.sqrt(wte.shape[1]) + wpe[start : start + idx.shape[1]]


@embed.misconception(
    "The sum was halved. GPT-2 adds the two rows; the mean would be the same up to a factor, but "
    "the released weights were not trained for it."
)
def takes_the_mean_of_the_two(idx, wte, wpe, start=0):
    return (wte[idx] + wpe[start : start + idx.shape[1]]) / 2


@embed.misconception(
    "The sum was normalised, as BERT does. GPT-2 normalises inside its blocks (lesson 09) and "
    "hands over the plain sum here."
)
def normalises_the_sum(idx, wte, wpe, start=0):
    return F.layer_norm(wte[idx] + wpe[start : start + idx.shape[1]], (wte.shape[1],))


@embed.misconception(
    "idx[0] is the first text alone, and with it the axis of the batch is gone. A batch may hold "
    "several texts, and a batch of one keeps the axis: the result is (B, T, C)."
)
def looks_up_the_first_sequence_alone(idx, wte, wpe, start=0):
    return wte[idx[0]] + wpe[start : start + idx.shape[1]]


@embed.variant(looks_up_the_first_sequence_alone)
def loops_over_the_first_sequence_from_position_0(idx, wte, wpe, start=0):
    rows = []
    for place, token_id in enumerate(idx[0].tolist()):
        rows.append(wte[token_id] + wpe[place])
    return torch.stack(rows)


@embed.misconception(
    "The positions were written into wte itself: += on a table changes the caller's table, and a "
    "word that occurs again finds a changed row. wte[idx] + … makes something new."
)
def writes_the_positions_into_wte(idx, wte, wpe, start=0):
    with torch.no_grad():
        wte[idx] += wpe[start : start + idx.shape[1]]
    return wte[idx]


@embed.misconception(
    "The value is right, but no gradient comes back to the two tables, and neither could learn. "
    ".detach(), .data, no_grad and numpy cut it off; so does an nn.Embedding made here, which "
    "keeps a table of its own."
)
def cuts_the_gradient(idx, wte, wpe, start=0):
    return embedding.embed(idx, wte, wpe, start).detach()


@embed.misconception(
    "The positions were cut off from learning, as if they followed a fixed rule. In GPT-2 wpe is "
    "learned like everything else."
)
def cuts_the_gradient_of_wpe(idx, wte, wpe, start=0):
    return embedding.embed(idx, wte, wpe.detach(), start)


@embed.misconception(
    "The numbers were made float32 on the way, whatever the tables are: .float() does that, and so "
    "does torch.tensor with numbers of Python (it also cuts the gradient). Who works in float64 "
    "gets less back than they gave: keep the tables' type."
)
def always_float32(idx, wte, wpe, start=0):
    return embedding.embed(idx, wte, wpe, start).float()


@embed.variant(always_float32)
def makes_the_positions_float32(idx, wte, wpe, start=0):
    return embedding.embed(idx, wte, wpe.float(), start)


@embed.variant(always_float32)
def makes_a_new_tensor_of_the_positions(idx, wte, wpe, start=0):
    return wte[idx] + torch.tensor(wpe[start : start + idx.shape[1]].tolist())


@embed.also_right
def looking_up_the_positions_too(idx, wte, wpe, start=0):
    positions = start + torch.arange(idx.shape[1])
    return wte[idx] + wpe[positions]


@embed.also_right
def with_the_library(idx, wte, wpe, start=0):
    B, T = idx.shape
    positions = torch.arange(start, start + T).expand(B, T)
    return F.embedding(idx, wte) + F.embedding(positions, wpe)


@embed.also_right
def one_token_after_the_other(idx, wte, wpe, start=0):
    sequences = []
    for sequence in idx:
        rows = [wte[i] + wpe[position] for position, i in enumerate(sequence, start)]
        sequences.append(torch.stack(rows))
    return torch.stack(sequences)


@embed.also_right
def adding_to_the_looked_up_copy(idx, wte, wpe, start=0):
    x = wte[idx]  # indexing with a tensor copies, so wte stays as it is
    x += wpe.narrow(0, start, idx.shape[1])
    return x


@embed.also_right
def two_one_hot_products(idx, wte, wpe, start=0):
    token = F.one_hot(idx, len(wte)).to(wte.dtype)
    position = F.one_hot(torch.arange(start, start + idx.shape[1]), len(wpe)).to(wpe.dtype)
    return token @ wte + position @ wpe


# sinusoidal_positions ---------------------------------------------------------------------------


def _angles(n_ctx: int, n_embd: int) -> Tensor:
    """Position times rate, one column for each pair (n_ctx, n_embd / 2), in float64."""
    return torch.arange(n_ctx, dtype=torch.float64)[:, None] * _rates(n_embd)


def _rates(n_embd: int) -> Tensor:
    return 10_000.0 ** (-torch.arange(0, n_embd, 2, dtype=torch.float64) / n_embd)


def _in_pairs(angles: Tensor) -> Tensor:
    """Sines in even columns, cosines in odd ones."""
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2).float()


def _at_rates(n_ctx: int, rates: Tensor) -> Tensor:
    return _in_pairs(torch.arange(n_ctx, dtype=torch.float64)[:, None] * rates)


def _depends_on_distance_alone(x: Tensor, *rest) -> bool:
    dots = (x @ x.T).double()
    return all(torch.allclose(d, d[:1], atol=1e-3) for d in map(dots.diagonal, range(len(x))))


# Up to position 99 the angle is good to 2e-5 also where the rates were taken in float32; further
# out only the first pair is asked, whose rate is exactly 1.
sinusoidal_positions = Exercise(
    embedding.sinusoidal_positions,
    lesson="04_positions",
    cases=[
        Case(
            "three positions, four columns",
            (3, 4),
            rows=("position 0", "position 1", "position 2"),
            columns=("0", "1", "2", "3"),
        ),
        Case(
            "five positions, two columns",
            (5, 2),
            rows=tuple(f"position {i}" for i in range(5)),
            columns=("0", "1"),
        ),
        Case("one position", (1, 6)),
        Case("as many positions as columns", (8, 8)),
        Case("more columns than positions", (7, 12)),
        Case("a width that 4 does not divide", (30, 10)),
        Case("a hundred positions", (100, 16)),
        Case("a thousand positions, two columns", (1000, 2)),
        Case("as wide as GPT-2", (5, 768)),
    ],
    properties=[
        Property(
            "the shape is (n_ctx, n_embd)",
            lambda f: all(f(*size).shape == size for size in ((7, 12), (1, 6), (5, 2))),
            of_result=lambda x, *size: x.shape == size,
        ),
        Property(
            "the numbers are float32",
            lambda f: f(7, 12).dtype == torch.float32,
            of_result=lambda x, *size: x.dtype == torch.float32,
        ),
        Property(
            "position 0 is 0, 1, 0, 1, …",
            lambda f: _begins_at_0(f(7, 12)),
            of_result=lambda x, *size: _begins_at_0(x),
        ),
        Property(
            "column 0 is the sine of the position, column 1 its cosine",
            lambda f: _first_pair(f(7, 12)),
            of_result=lambda x, *size: _first_pair(x),
        ),
        Property(
            "in every pair of columns, sine² + cosine² is 1",
            lambda f: _pairs_have_length_1(f(7, 12)),
            of_result=lambda x, *size: _pairs_have_length_1(x),
        ),
        Property(
            "the dot product of two positions depends on their distance alone",
            lambda f: _depends_on_distance_alone(f(9, 12)),
            of_result=_depends_on_distance_alone,
        ),
        Property(
            "a pair's waves are 10,000 ** (2 / n_embd) times as long as those of the pair before",
            lambda f: _waves_grow(f(2, 12)),
            of_result=lambda x, *size: _waves_grow(x),
        ),
    ],
)


def _begins_at_0(x: Tensor) -> bool:
    wanted = torch.tensor([0.0, 1.0], dtype=torch.float64).repeat(x.shape[1] // 2)
    return torch.allclose(x[0].double(), wanted, atol=1e-4)


def _waves_grow(x: Tensor) -> bool:
    """Whether the angles at position 1 fall by that factor; one position shows no wave."""
    sine, cosine = x[:2].double().unflatten(-1, (-1, 2)).unbind(-1)
    rates, factor = torch.atan2(sine, cosine)[-1], 10_000 ** (2 / x.shape[1])
    return len(x) < 2 or torch.allclose(rates[:-1], rates[1:] * factor, rtol=1e-3)


def _first_pair(x: Tensor) -> bool:
    position = torch.arange(len(x), dtype=torch.float64)
    wanted = torch.stack((position.sin(), position.cos()), dim=-1)
    return torch.allclose(x[:, :2].double(), wanted, atol=1e-4)


def _pairs_have_length_1(x: Tensor) -> bool:
    lengths = x.double().square().unflatten(-1, (-1, 2)).sum(-1)
    return torch.allclose(lengths, torch.ones_like(lengths), atol=1e-4)


@sinusoidal_positions.misconception(
    "The sines fill the left half and the cosines the right half. Here they alternate: column 0 is "
    "a sine, column 1 the cosine of the same angle, column 2 the next sine."
)
def puts_all_sines_first(n_ctx, n_embd):
    angles = _angles(n_ctx, n_embd)
    return torch.cat((angles.sin(), angles.cos()), dim=-1).float()


@sinusoidal_positions.misconception(
    "Sines and cosines have changed places: the even columns (0, 2, …) are sines, the odd ones "
    "cosines."
)
def swaps_sines_and_cosines(n_ctx, n_embd):
    angles = _angles(n_ctx, n_embd)
    return torch.stack((angles.cos(), angles.sin()), dim=-1).flatten(1).float()


@sinusoidal_positions.misconception(
    "All columns are sines. The odd ones are the cosines of the angle to their left."
)
def takes_sines_everywhere(n_ctx, n_embd):
    return _angles(n_ctx, n_embd).sin().repeat_interleave(2, dim=1).float()


@sinusoidal_positions.variant(takes_sines_everywhere)
def takes_sines_everywhere_at_their_own_rates(n_ctx, n_embd):
    rates = 10_000.0 ** (-torch.arange(n_embd, dtype=torch.float64) / n_embd)
    return (torch.arange(n_ctx, dtype=torch.float64)[:, None] * rates).sin().float()


@sinusoidal_positions.misconception(
    "The rows alternate: even positions are sines, odd positions cosines. It is the columns that "
    "alternate, so that every position has both."
)
def alternates_the_rows(n_ctx, n_embd):
    angles = _angles(n_ctx, n_embd).repeat_interleave(2, dim=1)
    even = (torch.arange(n_ctx) % 2 == 0)[:, None]
    return torch.where(even, angles.sin(), angles.cos()).float()


@sinusoidal_positions.misconception(
    "Each column has a rate of its own. A sine and the cosine to its right share one: columns 2i "
    "and 2i + 1 both have 10,000 ** (-2i / n_embd)."
)
def gives_each_column_its_own_rate(n_ctx, n_embd):
    rates = 10_000.0 ** (-torch.arange(n_embd, dtype=torch.float64) / n_embd)
    angles = torch.arange(n_ctx, dtype=torch.float64)[:, None] * rates
    even = torch.arange(n_embd) % 2 == 0
    return torch.where(even, angles.sin(), angles.cos()).float()


@sinusoidal_positions.misconception(
    "Positions were counted from 1. The first position is 0: its sines are 0, its cosines 1."
)
def counts_positions_from_1(n_ctx, n_embd):
    return _in_pairs(_angles(n_ctx + 1, n_embd)[1:])


@sinusoidal_positions.misconception(
    "The rates fall only half as far as they should: pair i has the exponent 2i / n_embd, and i / "
    "n_embd was taken. (For the last pair 2i is nearly n_embd, so its rate is nearly 1 / 10,000.)"
)
def halves_the_exponent(n_ctx, n_embd):
    return _at_rates(n_ctx, _rates(n_embd) ** 0.5)


@sinusoidal_positions.misconception(
    "The 2 went in twice. The number of a sine's column, 0, 2, 4, … as in arange(0, n_embd, 2), is "
    "2i already: divided by n_embd it is the exponent, for this column and for the cosine to its "
    "right."
)
def doubles_the_exponent(n_ctx, n_embd):
    return _at_rates(n_ctx, _rates(n_embd) ** 2)


@sinusoidal_positions.variant(doubles_the_exponent)
def doubles_the_number_of_each_column(n_ctx, n_embd):
    column = torch.arange(n_embd, dtype=torch.float64)
    angles = torch.arange(n_ctx)[:, None] * 10_000.0 ** (-2 * column / n_embd)
    return torch.where(column % 2 == 0, angles.sin(), angles.cos()).float()


@sinusoidal_positions.misconception(
    "The position was multiplied by 10,000 to the power 2i / n_embd, so that the waves get shorter "
    "from pair to pair. They get longer: divide, or take a negative exponent."
)
def multiplies_by_the_power(n_ctx, n_embd):
    return _at_rates(n_ctx, 1 / _rates(n_embd))


@sinusoidal_positions.variant(multiplies_by_the_power)
def multiplies_by_the_power_in_float32(n_ctx, n_embd):  # far round the circle, rounding shows
    rates = 10_000 ** (torch.arange(0, n_embd, 2) / n_embd)
    return _in_pairs(torch.arange(n_ctx)[:, None] * rates)


@sinusoidal_positions.variant(multiplies_by_the_power)
def divides_by_the_rate_in_float32(n_ctx, n_embd):
    rates = 1 / 10_000 ** (torch.arange(0, n_embd, 2) / n_embd)
    return _in_pairs(torch.arange(n_ctx)[:, None] / rates)


@sinusoidal_positions.variant(multiplies_by_the_power)
def takes_the_exponential_without_the_minus(n_ctx, n_embd):
    rates = torch.exp(torch.arange(0, n_embd, 2) * (math.log(10_000) / n_embd))
    return _in_pairs(torch.arange(n_ctx)[:, None] * rates)


@sinusoidal_positions.misconception(
    "10,000 was multiplied with the exponent (10_000 * 2i / n_embd) and not raised to it: ** is "
    "the power."
)
def multiplies_where_a_power_is_meant(n_ctx, n_embd):
    exponent = torch.arange(0, n_embd, 2, dtype=torch.float64) / n_embd
    return _in_pairs(torch.arange(n_ctx, dtype=torch.float64)[:, None] / (10_000 * exponent))


@sinusoidal_positions.misconception(
    "The power was taken before its exponent was complete: ** binds more tightly than * and /, so "
    "that 10_000 ** 2 * i / n_embd begins with 10,000 squared. The exponent needs brackets, "
    "10_000 ** (2 * i / n_embd)."
)
def forgets_the_brackets_of_the_exponent(n_ctx, n_embd):
    power = 10_000.0 ** torch.arange(0, n_embd, 2, dtype=torch.float64)
    return _in_pairs(torch.arange(n_ctx, dtype=torch.float64)[:, None] / power / n_embd)


@sinusoidal_positions.variant(forgets_the_brackets_of_the_exponent)
def divides_the_power_by_the_width(n_ctx, n_embd):
    power = 10_000.0 ** torch.arange(0, n_embd, 2, dtype=torch.float64) / n_embd
    return _in_pairs(torch.arange(n_ctx, dtype=torch.float64)[:, None] / power)


@sinusoidal_positions.variant(forgets_the_brackets_of_the_exponent)
def takes_the_square_alone(n_ctx, n_embd):
    return _at_rates(n_ctx, 1 / 10_000**2 * torch.arange(n_embd // 2) / n_embd)


@sinusoidal_positions.misconception(
    "The exponent was rounded down to a whole number, 0, and 10,000 to the power 0 is 1: all pairs "
    "have the same rate. // cuts off what comes after the point; / keeps it."
)
def rounds_the_exponent_to_0(n_ctx, n_embd):
    return _at_rates(n_ctx, torch.ones(n_embd // 2, dtype=torch.float64))


@sinusoidal_positions.misconception(
    "The base is e: exp(-2i / n_embd) lacks the factor ln 10,000 in its exponent. 10,000 ** x is "
    "exp(x · ln 10,000)."
)
def takes_e_for_the_base(n_ctx, n_embd):
    return _at_rates(n_ctx, torch.exp(-torch.arange(0, n_embd, 2, dtype=torch.float64) / n_embd))


@sinusoidal_positions.misconception(
    "The base is 1,000 (or another than 10,000), so that the longest waves are too short."
)
def takes_1000_for_the_base(n_ctx, n_embd):
    return _at_rates(n_ctx, _rates(n_embd) ** 0.75)


@sinusoidal_positions.variant(takes_1000_for_the_base)
def takes_100000_for_the_base(n_ctx, n_embd):
    return _at_rates(n_ctx, _rates(n_embd) ** 1.25)


@sinusoidal_positions.misconception(
    "The last pair got exactly 1 / 10,000: the exponents were spread from 0 to 1. They are 2i / "
    "n_embd, and for the last pair that stays a little below 1."
)
def spreads_the_exponents_up_to_1(n_ctx, n_embd):
    exponents = torch.linspace(0, 1, n_embd // 2, dtype=torch.float64)
    return _at_rates(n_ctx, 10_000.0**-exponents)


@sinusoidal_positions.misconception(
    "The angles were multiplied by 2π. The sine is taken of position · rate as it is, so that the "
    "first wave is 2π positions long."
)
def multiplies_by_2_pi(n_ctx, n_embd):
    return _in_pairs(2 * math.pi * _angles(n_ctx, n_embd))


@sinusoidal_positions.misconception(
    "The angles were taken for degrees. sin and cos want them as they are, in radians."
)
def takes_the_angles_for_degrees(n_ctx, n_embd):
    return _in_pairs(_angles(n_ctx, n_embd).deg2rad())


@sinusoidal_positions.misconception(
    "Positions (n_ctx,) and rates (n_embd / 2,) were put together number by number. Each position "
    "is to meet each rate: make the positions a column, torch.arange(n_ctx)[:, None], and the "
    "angles are (n_ctx, n_embd / 2)."
)
def makes_no_column_of_the_positions(n_ctx, n_embd):
    return _filled(torch.arange(n_ctx) * _rates(n_embd), n_ctx, n_embd)


@sinusoidal_positions.variant(makes_no_column_of_the_positions)
def makes_no_column_and_reshapes(n_ctx, n_embd):
    angles = torch.arange(n_ctx) * _rates(n_embd)
    return torch.stack((angles.sin(), angles.cos()), dim=-1).reshape(n_ctx, n_embd).float()


@sinusoidal_positions.variant(makes_no_column_of_the_positions)
def makes_no_column_and_flattens(n_ctx, n_embd):
    return _in_pairs(torch.arange(n_ctx) * _rates(n_embd))


def _filled(angles: Tensor, n_ctx: int, n_embd: int) -> Tensor:
    """Sines and cosines written into the columns of an empty table."""
    table = torch.zeros(n_ctx, n_embd)
    table[:, 0::2], table[:, 1::2] = angles.sin(), angles.cos()
    return table


@sinusoidal_positions.misconception(
    "t[0::2] is every other row: a single index is for the first axis. Every other column is "
    "t[:, 0::2], all rows and of these every other number."
)
def writes_into_rows_and_not_into_columns(n_ctx, n_embd):
    angles, table = _angles(n_ctx, n_embd), torch.zeros(n_ctx, n_embd)
    table[0::2] = angles.sin().float()
    table[1::2] = angles.cos().float()
    return table


@sinusoidal_positions.misconception(
    "Rows and columns have changed places: this is (n_embd, n_ctx). A position is a row."
)
def makes_a_column_for_each_position(n_ctx, n_embd):
    return _in_pairs(_angles(n_ctx, n_embd)).T.contiguous()


@sinusoidal_positions.misconception(
    "There is an axis too many in front, for a batch. The table is (n_ctx, n_embd), one row for "
    "each position; it fits every sequence of a batch without such an axis."
)
def adds_an_axis_for_the_batch(n_ctx, n_embd):
    return _in_pairs(_angles(n_ctx, n_embd))[None]


@sinusoidal_positions.misconception(
    "The values are right, but they are float64, which is what numpy and Python's own numbers lead "
    "to. The exercise asks for float32, the type of the tables that this one is added to: .float()."
)
def returns_float64(n_ctx, n_embd):
    angles = _angles(n_ctx, n_embd)
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1)


@sinusoidal_positions.also_right
def filling_every_other_column(n_ctx, n_embd):
    position = torch.arange(n_ctx)[:, None]
    angle = position / 10_000 ** (torch.arange(0, n_embd, 2) / n_embd)
    table = torch.zeros(n_ctx, n_embd)
    table[:, 0::2] = torch.sin(angle)
    table[:, 1::2] = torch.cos(angle)
    return table


@sinusoidal_positions.also_right
def number_by_number(n_ctx, n_embd):
    rows = []
    for position in range(n_ctx):
        row = []
        for i in range(n_embd // 2):
            angle = position / 10_000 ** (2 * i / n_embd)
            row += [math.sin(angle), math.cos(angle)]
        rows.append(row)
    return torch.tensor(rows)


@sinusoidal_positions.also_right
def as_the_exponential_of_a_logarithm(n_ctx, n_embd):
    rate = torch.exp(torch.arange(0, n_embd, 2) * (-math.log(10_000) / n_embd))
    angle = torch.outer(torch.arange(n_ctx).float(), rate)
    return torch.stack([angle.sin(), angle.cos()], dim=2).reshape(n_ctx, n_embd)


@sinusoidal_positions.also_right
def every_column_a_shifted_sine(n_ctx, n_embd):
    column = np.arange(n_embd)
    angle = np.arange(n_ctx)[:, None] / 10_000.0 ** (column // 2 * 2 / n_embd)
    return torch.tensor(np.sin(angle + column % 2 * np.pi / 2), dtype=torch.float32)


@sinusoidal_positions.also_right
def as_points_on_a_circle(n_ctx, n_embd):
    angle = torch.arange(n_ctx)[:, None] * 10_000.0 ** (-torch.arange(0, n_embd, 2) / n_embd)
    turned = torch.polar(torch.ones_like(angle), torch.pi / 2 - angle)  # real part: the sine
    return torch.view_as_real(turned).flatten(1)


EXERCISES = [embed, sinusoidal_positions]
