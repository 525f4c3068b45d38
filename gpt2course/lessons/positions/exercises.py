"""The exercises of lesson 04: embed, sinusoidal_positions."""

from __future__ import annotations

import torch
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
    cases=[
        Case(
            "four tokens; 2.1 is in row 2 of wte, 30 in row 3 of wpe",
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
        Case("without start the first token is at position 0", (FOUR, WTE, WPE)),
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
        Case("float64 keeps its digits", (IDX, *_tables(7, 11, 5, 16, torch.float64)), fine=True),
        Case(
            "arguments that do not lie in one piece in memory",
            (strided(IDX), *map(strided, _tables(7, 11, 5, seed=11)), 1),
        ),
        Case(
            "the gradients reach the rows of both tables that were read",
            (IDX, *_tables(7, 9, 4, seed=12), 2),
            gradients=True,
        ),
        Case("also row 0 of both", (IDX, *_tables(7, 9, 4, seed=17), 0), gradients=True),
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


# sinusoidal_positions ---------------------------------------------------------------------------


def _depends_on_distance_alone(x: Tensor, *rest) -> bool:
    dots = (x @ x.T).double()
    return all(torch.allclose(d, d[:1], atol=1e-3) for d in map(dots.diagonal, range(len(x))))


sinusoidal_positions = Exercise(
    embedding.sinusoidal_positions,
    tolerance=10,  # float32 angles of large positions, and turning step by step, lose digits
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
        Case("more positions than float16 can count, two columns", (2100, 2)),
        Case("as wide as GPT-2", (5, 768)),
    ],
    properties=[
        Property(
            "the shape is (n_ctx, n_embd)",
            lambda f: all(f(*size).shape == size for size in ((7, 12), (1, 6), (5, 2))),
            of_result=lambda x, *size: x.shape == size,
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


EXERCISES = [embed, sinusoidal_positions]
