"""The exercises of lesson 03: embed_tokens, nearest_tokens."""

from __future__ import annotations

import math
from itertools import groupby

import torch
import torch.nn.functional as F
from torch import Tensor

from gpt2course import embedding
from gpt2course.checks.exercise import Case, Exercise, Property
from gpt2course.checks.inputs import normal, strided

# embed_tokens


def _ids(vocab_size: int, *shape: int, seed: int) -> Tensor:
    """Random ids, the same on every run; the largest one is not among them."""
    return torch.randint(vocab_size - 1, shape, generator=torch.Generator().manual_seed(seed))


def _told_apart(n_rows: int, n_columns: int) -> Tensor:
    """A table in which 2.1 is in row 2, column 1."""
    return torch.arange(n_rows)[:, None] + torch.arange(n_columns) / 10


def _same_draws(answer, idx, wte):
    """The answer; what it draws at random is the same in every call, so that it has a name."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return answer(idx, wte)


_IDX, _WTE = torch.tensor([[4, 1, 4], [0, 4, 2]]), normal(6, 5, seed=10)


def _of_vectors(claim: str, asks) -> Property:
    """asks(x, idx, wte), where x has the right shape."""

    def of_result(x, idx, wte) -> bool | None:
        right_shape = x.shape == (*idx.shape, wte.shape[1])
        return bool(asks(x, idx, wte)) if right_shape else None

    def holds(f) -> bool | None:
        return of_result(f(_IDX.clone(), _WTE.clone()), _IDX, _WTE)

    return Property(claim, holds, of_result)


def _rows_of_the_table(x: Tensor, idx: Tensor, wte: Tensor) -> bool:
    return (x[..., None, :] - wte).abs().amax(-1).amin(-1).lt(1e-4).all()


def _equal_ids_equal_vectors(x: Tensor, idx: Tensor, wte: Tensor) -> bool:
    flat, ids = x.flatten(0, 1), idx.flatten().tolist()
    return torch.allclose(flat[[ids.index(i) for i in ids]], flat, atol=1e-4)


def _places_are_apart(f) -> bool:
    other = _IDX.clone()
    other[1, 0] = 3
    x, with_other = f(_IDX.clone(), _WTE.clone()), f(other, _WTE.clone())
    moved = (x - with_other).abs().amax(-1) > 1e-4
    return moved.tolist() == [[False, False, False], [True, False, False]]


def _is_linear(f) -> bool:
    x, of_double = (f(_IDX.clone(), factor * _WTE) for factor in (1, 2))
    return torch.allclose(2 * x, of_double, atol=1e-4)


def _ends_of_a_large_table(f) -> bool:
    wte = _told_apart(50257, 2)
    return torch.allclose(f(torch.tensor([[0, 50256]]), wte)[0], wte[[0, -1]])


embed_tokens = Exercise(
    embedding.embed_tokens,
    call=_same_draws,
    cases=[
        Case("three tokens, a table in which 2.1 is in row 2, column 1",
             (torch.tensor([[2, 0, 2]]), _told_apart(4, 2)),
             rows=("id 2", "id 0", "id 2"), columns=("0", "1")),
        Case("two sequences of three tokens",
             (torch.tensor([[5, 1, 3], [0, 5, 2]]), normal(7, 5, seed=1))),
        Case("the last row of the table", (torch.tensor([[1, 4], [4, 0]]), normal(5, 3, seed=2))),
        Case("one token alone", (torch.tensor([[3]]), normal(6, 2, seed=3))),
        Case("three sequences of one token", (_ids(8, 3, 1, seed=4), normal(8, 4, seed=4))),
        Case("as many tokens as rows", (_ids(6, 2, 6, seed=9), normal(6, 3, seed=9))),
        Case("1,100 tokens, a table of four rows",
             (_ids(4, 1, 1100, seed=5), normal(4, 6, seed=5))),
        Case("rows of 800 numbers", (_ids(9, 1, 4, seed=6), normal(9, 800, seed=7))),
        Case("as many ids as GPT-2 has",
             (torch.tensor([[50256, 0, 40000], [255, 256, 32768]]), normal(50257, 2, seed=6))),
        Case("float64 stays float64",
             (_ids(9, 2, 3, seed=7), normal(9, 5, seed=7, dtype=torch.float64))),
        Case("float64 keeps its digits",
             (_ids(9, 2, 3, seed=8), normal(9, 5, seed=8, dtype=torch.float64)), fine=True),
        Case("arguments that do not lie in one piece in memory",
             (strided(_ids(6, 3, 4, seed=8)), strided(normal(6, 5, seed=8)))),
        Case("the gradients reach the rows that were read",
             (torch.tensor([[0, 2, 0, 5], [2, 6, 3, 0]]), normal(7, 3, seed=9)), gradients=True),
    ],
    properties=[
        _of_vectors("every vector is a row of the table", _rows_of_the_table),
        _of_vectors("equal ids have equal vectors", _equal_ids_equal_vectors),
        Property("id 50,256 gets row 50,256, and id 0 row 0", _ends_of_a_large_table),
        Property("another id in one place changes the vector of that place and no other",
                 _places_are_apart),
        Property("a table twice as large gives vectors twice as large", _is_linear),
    ],
)  # fmt: skip


# nearest_tokens

_BY_HAND = torch.tensor([[2.0, 0.0], [-9.0, 0.5], [3.0, 4.0], [8.0, 6.0], [0.5, 0.2], [1.8, 2.7]])
_AWAY = torch.tensor([[-1.0, 2], [4, 1], [-3, -2], [-1, -4], [-2, 0.5]])
_TWINS = torch.tensor([[0.0, 1], [0, 4], [1, 1], [0, 2], [-1, 2], [0, 2], [0, 1], [1, -4]])
_ONE_WAY = torch.tensor([[1.0, 0], [2, 0], [3, 0], [4, 0], [0, 1], [1, 1]])
_OPPOSITES = torch.tensor([[0.0, -1], [1, 1], [0, -4], [0, 2], [-1, 2], [0, -8], [0, -2]])


def _on_a_circle(*degrees: float) -> Tensor:
    """Rows of length 1 in float64 at these angles."""
    angles = torch.tensor(degrees, dtype=torch.float64) * math.pi / 180
    return torch.stack((angles.cos(), angles.sin()), dim=-1)


def _lengths(shortest: float, n_rows: int, n_columns: int, seed: int) -> Tensor:
    """Rows in random directions, the longest 10,000 times as long as the shortest."""
    lengths = shortest * torch.logspace(0, 4, n_rows)[torch.arange(n_rows) * 7 % n_rows]
    return F.normalize(normal(n_rows, n_columns, seed=seed)) * lengths[:, None]


def _cosines(token_id: int, wte: Tensor) -> list[float]:
    """Rounded so that equal directions have equal cosines."""
    digits = 6 if wte.dtype == torch.float32 else 12
    cosine = F.cosine_similarity(wte.double(), wte[token_id].double(), dim=-1)
    return [round(one, digits) for one in cosine.tolist()]


def _equals_by_id(answer, token_id, wte, k):
    """The answer, equal cosines in the order of their ids, the smallest ids where only some fit.

    Order and choice among equals are free, so that all right answers are made one.
    """
    cosine = _cosines(token_id, wte)  # before the call, which may change wte
    found = answer(token_id, wte, k)
    if type(found) is not list or not all(type(i) is int and 0 <= i < len(wte) for i in found):
        return found
    others = (i for i in range(len(wte)) if i != token_id)
    best = sorted(others, key=lambda i: -cosine[i])[:k]
    as_near = [cosine[i] for i in found] == [cosine[i] for i in best]
    if as_near and len({token_id, *found}) == k + 1:
        return best
    return [i for _, equals in groupby(found, cosine.__getitem__) for i in sorted(equals)]


def _of_neighbours(claim: str, asks) -> Property:
    """asks(found, token_id, wte, k), of every token of a small table and of the card's result."""
    wte = normal(7, 3, seed=7)

    def holds(f) -> bool:
        return all(asks(f(i, wte.clone(), 4), i, wte, 4) for i in range(len(wte)))

    return Property(claim, holds, asks)


def _nearest_first(found, token_id, wte, k) -> bool:
    cosine = _cosines(token_id, wte)
    ranked = [cosine[i] for i in found]
    return ranked == sorted(ranked, reverse=True)


def _none_is_nearer(found, token_id, wte, k) -> bool:
    cosine = _cosines(token_id, wte)
    left_out = [cosine[i] for i in range(len(wte)) if i not in (*found, token_id)]
    return max(left_out, default=-1) <= min(cosine[i] for i in found)


def _length_does_not_matter(f) -> bool:
    wte = normal(7, 3, seed=7)
    longer = wte * torch.tensor([1, 1, 1, 1, 10, 1, 1])[:, None]
    return all(f(i, wte.clone(), 4) == f(i, longer.clone(), 4) for i in range(len(wte)))


nearest_tokens = Exercise(
    embedding.nearest_tokens,
    call=_equals_by_id,
    cases=[
        Case("six tokens of two numbers, the three nearest to token 0", (0, _BY_HAND, 3)),
        Case("the nearest one", (2, _BY_HAND, 1)),
        Case("all the others", (4, _BY_HAND, 5)),
        Case("the neighbours of the last token", (5, _BY_HAND, 4)),
        Case("two tokens in all", (1, torch.tensor([[1.0, 2.0], [3.0, -1.0]]), 1)),
        Case("all others point away", (1, _AWAY, 3)),
        Case("some rows point the same way as the token itself", (3, _TWINS, 7)),
        *(Case(f"of three rows that point its way, any one: token {i}", (i, _ONE_WAY, 1))
          for i in (3, 0, 2)),  # a fixed choice of two among the four misses one of these three
        Case("of three rows that point its way, any two", (1, _ONE_WAY, 2)),
        Case("some rows point exactly the other way", (3, _OPPOSITES, 6)),
        Case("eleven tokens of five numbers", (6, normal(11, 5, seed=1), 4)),
        Case("rows of very different length", (8, _lengths(0.1, 30, 4, seed=4), 12)),
        Case("short rows", (10, _lengths(1e-4, 12, 3, seed=15), 6)),
        Case("rows that all have much in common", (3, 4 + normal(20, 3, seed=3), 9)),
        Case("float64: cosines that differ by 1e-9",
             (2, _on_a_circle(100, 60.00000007, 0, -60, 60.00000014, 190), 3)),
        Case("a table that does not lie in one piece in memory",
             (5, strided(normal(9, 7, seed=5)), 3)),
        Case("two thousand tokens", (1234, normal(2000, 16, seed=6), 10)),
    ],
    properties=[
        _of_neighbours("no id comes twice", lambda found, *_: len(set(found)) == len(found)),
        _of_neighbours("the token itself is not among them",
                       lambda found, token_id, wte, k: token_id not in found),
        _of_neighbours("the first has the largest cosine, the last the smallest", _nearest_first),
        _of_neighbours("no token that was left out is nearer than one that came back",
                       _none_is_nearer),
        Property("a row ten times as long has the same neighbours", _length_does_not_matter),
    ],
)  # fmt: skip

EXERCISES = [embed_tokens, nearest_tokens]
