"""The exercises of lesson 03: embed_tokens, nearest_tokens."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from gpt2course import embedding
from gpt2course.checks.exercise import Case, Exercise, Property
from gpt2course.checks.inputs import normal, strided


def _ids(vocab_size: int, *shape: int, seed: int) -> Tensor:
    """Random ids, the same on every run; the largest one is not among them."""
    return torch.randint(vocab_size - 1, shape, generator=torch.Generator().manual_seed(seed))


def _told_apart(n_rows: int, n_columns: int) -> Tensor:
    """A table in which 2.1 stands in row 2, column 1."""
    return torch.arange(n_rows)[:, None] + torch.arange(n_columns) / 10


# embed_tokens -----------------------------------------------------------------------------------


def _from_the_table(x: Tensor, idx: Tensor, wte: Tensor) -> bool:
    """Whether each vector of x is some row of the table."""
    return x.shape[-1] == wte.shape[-1] and bool(
        (x[..., None, :] - wte).abs().amax(-1).amin(-1).lt(1e-4).all()
    )


def _equal_ids_equal_vectors(x: Tensor, idx: Tensor, wte: Tensor) -> bool:
    flat, ids = x.flatten(0, 1), idx.flatten().tolist()
    first = torch.stack([flat[ids.index(i)] for i in ids])
    return torch.allclose(first, flat, atol=1e-4)


def _with_the_same_luck(answer, idx, wte):
    """The answer; what it draws at random, it draws again in every call, and can be known by it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return answer(idx, wte)


embed_tokens = Exercise(
    embedding.embed_tokens,
    call=_with_the_same_luck,
    cases=[
        Case(
            "three tokens, a table in which 2.1 stands in row 2, column 1",
            (torch.tensor([[2, 0, 2]]), _told_apart(4, 2)),
            rows=("id 2", "id 0", "id 2"),
            columns=("0", "1"),
        ),
        Case(
            "two sequences of three tokens",
            (torch.tensor([[5, 1, 3], [0, 5, 2]]), normal(7, 5, seed=1)),
        ),
        Case("the last row of the table", (torch.tensor([[1, 4], [4, 0]]), normal(5, 3, seed=2))),
        Case("one token alone", (torch.tensor([[3]]), normal(6, 2, seed=3))),
        Case("three sequences of one token", (_ids(8, 3, 1, seed=4), normal(8, 4, seed=4))),
        Case("a sequence longer than the table", (_ids(4, 2, 9, seed=5), normal(4, 6, seed=5))),
        Case(
            "as many ids as GPT-2 has",
            (torch.tensor([[50256, 0, 40000], [255, 256, 32768]]), normal(50257, 2, seed=6)),
        ),
        Case(
            "float64 stays float64",
            (_ids(9, 2, 3, seed=7), normal(9, 5, seed=7, dtype=torch.float64)),
        ),
        Case(
            "float64 keeps its digits",
            (_ids(9, 2, 3, seed=8), normal(9, 5, seed=8, dtype=torch.float64)),
            fine=True,
        ),
        Case(
            "arguments that do not lie in one piece in memory",
            (strided(_ids(6, 3, 4, seed=8)), strided(normal(6, 5, seed=8))),
        ),
        Case(
            "the gradients reach the rows that were read",
            (torch.tensor([[0, 2, 0, 5], [2, 2, 3, 0]]), normal(7, 3, seed=9)),
            gradients=True,
        ),
    ],
    properties=[
        Property(
            "the shape is (B, T, C): C numbers for each id",
            lambda f: f(_ids(7, 2, 3, seed=1), normal(7, 5, seed=1)).shape == (2, 3, 5),
            of_result=lambda x, idx, wte: x.shape == (*idx.shape, wte.shape[1]),
        ),
        Property(
            "every vector is a row of the table",
            lambda f: _on(f, _from_the_table),
            of_result=_from_the_table,
        ),
        Property(
            "every id, small or large, gets the row of its own number",
            lambda f: _ends_of_a_large_table(f),
            of_result=lambda x, idx, wte: torch.allclose(x, wte[idx], atol=1e-4),
        ),
        Property(
            "equal ids have equal vectors",
            lambda f: _on(f, _equal_ids_equal_vectors),
            of_result=_equal_ids_equal_vectors,
        ),
        Property(
            "another id in one place changes the vector of that place and no other",
            lambda f: _places_are_apart(f),
        ),
        Property("a table twice as large gives vectors twice as large", lambda f: _is_linear(f)),
    ],
)


def _on(f, holds) -> bool:
    idx, wte = torch.tensor([[4, 1, 4], [0, 4, 2]]), normal(6, 5, seed=10)
    return holds(f(idx, wte), idx, wte)


def _ends_of_a_large_table(f) -> bool:
    wte = _told_apart(50257, 2)
    return torch.allclose(f(torch.tensor([[0, 50256]]), wte)[0], wte[[0, -1]])


def _places_are_apart(f) -> bool:
    idx, wte = torch.tensor([[4, 1, 4], [0, 4, 2]]), normal(6, 5, seed=10)
    other = idx.clone()
    other[1, 0] = 3
    moved = (f(idx, wte) - f(other, wte)).abs().amax(-1) > 1e-4
    return moved.tolist() == [[False, False, False], [True, False, False]]


def _is_linear(f) -> bool:
    idx, wte = torch.tensor([[4, 1, 4], [0, 4, 2]]), normal(6, 5, seed=10)
    return torch.allclose(f(idx, 2 * wte), 2 * f(idx, wte), atol=1e-4)


# nearest_tokens ---------------------------------------------------------------------------------

BY_HAND = torch.tensor([[2.0, 0.0], [-9.0, 0.5], [3.0, 4.0], [8.0, 6.0], [0.5, 0.2], [1.8, 2.7]])
TWINS = torch.tensor([[0.0, 1], [0, 4], [1, 1], [0, 2], [-1, 2], [0, 8], [0, 1], [1, -4]])
ONE_WAY = torch.tensor([[1.0, 0], [2, 0], [3, 0], [4, 0], [0, 1], [1, 1]])
OPPOSITES = torch.tensor([[0.0, -1], [1, 1], [0, -4], [0, 2], [-1, 2], [0, -8], [0, -2]])


def _on_a_circle(*degrees: float) -> Tensor:
    """Rows of length 1 in float64 at these angles."""
    angles = torch.tensor(degrees, dtype=torch.float64) * math.pi / 180
    return torch.stack((angles.cos(), angles.sin()), dim=-1)


def _lengths_apart(n_rows: int, n_columns: int, seed: int) -> Tensor:
    """Rows in random directions with lengths from 0.1 to 1000."""
    lengths = torch.logspace(-1, 3, n_rows)[torch.arange(n_rows) * 7 % n_rows]
    return F.normalize(normal(n_rows, n_columns, seed=seed)) * lengths[:, None]


def _cosines(token_id: int, wte: Tensor) -> Tensor:
    return F.cosine_similarity(wte.double(), wte[token_id].double(), dim=-1)


def _equals_by_id(answer, token_id, wte, k):
    """The answer, equal cosines in the order of their ids, the smallest ids where only some fit.

    Order and choice among equals are free, so that all right answers are made one.
    """
    cosine = _cosines(token_id, wte)  # before the call, which may change wte
    found = answer(token_id, wte, k)
    if not _are_ids(found, len(wte)):
        return found
    rounding = 1e-6 if wte.dtype == torch.float32 else 1e-13
    others = (i for i in range(len(cosine)) if i != token_id)
    best = sorted(others, key=lambda i: (-cosine[i].item(), i))[:k]
    distinct = len(set(found)) == len(found) == k and token_id not in found
    if distinct and bool((cosine[found] - cosine[best]).abs().le(rounding).all()):
        found = best
    group, groups = 0, [0]
    for one, next_one in pairwise(found):
        group += bool((cosine[one] - cosine[next_one]).abs() > rounding)
        groups.append(group)
    return [i for _, i in sorted(zip(groups, found, strict=False))]


def _are_ids(found, vocab_size: int) -> bool:
    return isinstance(found, list) and all(
        isinstance(i, int) and not isinstance(i, bool) and 0 <= i < vocab_size for i in found
    )


def _nearest_first(found, token_id, wte, k) -> bool:
    cosine = _cosines(token_id, wte)[found]
    return bool((cosine[1:] <= cosine[:-1] + 1e-6).all())


def _none_is_nearer(found, token_id, wte, k) -> bool:
    cosine = _cosines(token_id, wte)
    left_out = [i for i in range(len(wte)) if i not in (*found, token_id)]
    return not left_out or bool(cosine[found].min() >= cosine[left_out].max() - 1e-6)


nearest_tokens = Exercise(
    embedding.nearest_tokens,
    call=_equals_by_id,
    cases=[
        Case("six tokens of two numbers, the three nearest to token 0", (0, BY_HAND, 3)),
        Case("the nearest one", (2, BY_HAND, 1)),
        Case("all the others", (4, BY_HAND, 5)),
        Case("the neighbours of the last token", (5, BY_HAND, 4)),
        Case("two tokens in all", (1, torch.tensor([[1.0, 2.0], [3.0, -1.0]]), 1)),
        Case(
            "all others point away",
            (1, torch.tensor([[-1.0, 2], [4, 1], [-3, -2], [-1, -4], [-2, 0.5]]), 3),
        ),
        Case("some rows point the same way as the token itself", (3, TWINS, 7)),
        *(
            Case(f"of three rows that point its way, any one: token {i}", (i, ONE_WAY, 1))
            for i in (3, 0, 2)  # a fixed choice of two among the four misses one of these three
        ),
        Case("of three rows that point its way, any two", (1, ONE_WAY, 2)),
        Case("some rows point exactly the other way", (3, OPPOSITES, 6)),
        Case("eleven tokens of five numbers", (6, normal(11, 5, seed=1), 4)),
        Case("rows of very different length", (8, _lengths_apart(30, 4, seed=4), 12)),
        Case("rows that all have much in common", (3, 4 + normal(20, 3, seed=3), 9)),
        Case(
            "float64: cosines that differ by 1e-9",
            (2, _on_a_circle(100, 60.00000007, 0, -60, 60.00000014, 190), 3),
        ),
        Case(
            "a table that does not lie in one piece in memory",
            (5, strided(normal(9, 7, seed=5)), 3),
        ),
        Case("two thousand tokens", (1234, normal(2000, 16, seed=6), 10)),
    ],
    properties=[
        Property(
            "no id comes twice",
            lambda f: _no_id_twice(f(2, normal(7, 3, seed=7), 6)),
            of_result=lambda found, token_id, wte, k: _no_id_twice(found),
        ),
        Property(
            "k ids come back",
            lambda f: all(len(f(2, normal(7, 3, seed=7), k)) == k for k in (1, 3, 6)),
            of_result=lambda found, token_id, wte, k: len(found) == k,
        ),
        Property(
            "they are plain whole numbers in a list",
            lambda f: _are_ids(f(2, normal(7, 3, seed=7), 3), 7),
            of_result=lambda found, token_id, wte, k: _are_ids(found, len(wte)),
        ),
        Property(
            "the token itself is not among them",
            lambda f: all(i not in f(i, normal(7, 3, seed=7), 3) for i in range(7)),
            of_result=lambda found, token_id, wte, k: token_id not in found,
        ),
        Property(
            "the first has the largest cosine, the last the smallest",
            lambda f: _for_each_token(f, _nearest_first),
            of_result=_nearest_first,
        ),
        Property(
            "no token that was left out is nearer than one that came back",
            lambda f: _for_each_token(f, _none_is_nearer),
            of_result=_none_is_nearer,
        ),
        Property(
            "a row ten times as long has the same neighbours",
            lambda f: _length_does_not_matter(f),
        ),
    ],
)


def _no_id_twice(found) -> bool:
    return len(set(found)) == len(found)


def _for_each_token(f, holds) -> bool:
    wte = normal(7, 3, seed=7)
    return all(holds(f(i, wte.clone(), 4), i, wte, 4) for i in range(len(wte)))


def _length_does_not_matter(f) -> bool:
    wte = normal(7, 3, seed=7)
    longer = wte.clone()
    longer[4] *= 10
    return all(f(i, wte.clone(), 4) == f(i, longer.clone(), 4) for i in range(len(wte)))


EXERCISES = [embed_tokens, nearest_tokens]
