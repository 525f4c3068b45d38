"""The exercises of lesson 03: embed_tokens, nearest_tokens."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

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
    lesson="03_embeddings",
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


@embed_tokens.misconception(
    "The ids were counted from 1: id 0 got the last row (or none), and every other the row before "
    "its own. Ids count from 0, as rows do, so id 0 is row 0."
)
def counts_the_rows_from_1(idx, wte):
    return wte[idx - 1]


@embed_tokens.variant(counts_the_rows_from_1)
def counts_from_1_with_the_library(idx, wte):
    return F.embedding(idx - 1, wte)


@embed_tokens.misconception(
    "Every id got the row after its own. Ids count from 0, as rows do: nothing has to be added."
)
def takes_the_next_row(idx, wte):
    return wte[idx + 1]


@embed_tokens.variant(takes_the_next_row)
def takes_the_next_row_and_wraps(idx, wte):
    return wte[(idx + 1) % len(wte)]


@embed_tokens.misconception(
    "These are the one-hot vectors, V numbers for each id. They still have to be multiplied with "
    "the table: (B, T, V) @ (V, C) is (B, T, C)."
)
def returns_the_one_hot_vectors(idx, wte):
    return F.one_hot(idx, len(wte)).to(wte.dtype)


@embed_tokens.variant(returns_the_one_hot_vectors)
def returns_the_one_hot_vectors_as_integers(idx, wte):
    return F.one_hot(idx, len(wte))


@embed_tokens.misconception(
    "The one-hot vectors were made C long, as wide as a row of the table. They need one place for "
    "each word of the vocabulary, V: F.one_hot(idx, len(wte)), or wte.shape[0]."
)
def makes_the_one_hot_vectors_C_long(idx, wte):
    return F.one_hot(idx, wte.shape[1]).to(wte.dtype) @ wte


@embed_tokens.variant(makes_the_one_hot_vectors_C_long)
def makes_them_C_long_and_float32(idx, wte):
    return F.one_hot(idx, wte.shape[1]).float() @ wte


@embed_tokens.variant(makes_the_one_hot_vectors_C_long)
def makes_them_C_long_and_multiplies_integers(idx, wte):
    return F.one_hot(idx, wte.shape[1]) @ wte


@embed_tokens.variant(makes_the_one_hot_vectors_C_long)
def makes_them_C_long_and_returns_them(idx, wte):
    return F.one_hot(idx, wte.shape[1])


@embed_tokens.variant(makes_the_one_hot_vectors_C_long)
def makes_them_C_long_and_returns_them_in_the_tables_type(idx, wte):
    return F.one_hot(idx, wte.shape[1]).to(wte.dtype)


@embed_tokens.misconception(
    "F.one_hot gives integers, and torch multiplies a matrix of integers only with integers. Turn "
    "the one-hot vectors into the type of the table first: .to(wte.dtype)."
)
def multiplies_integers_with_floats(idx, wte):
    return F.one_hot(idx, len(wte)) @ wte


@embed_tokens.variant(multiplies_integers_with_floats)
def multiplies_integers_from_comparing(idx, wte):
    return (idx[..., None] == torch.arange(len(wte))).long() @ wte


@embed_tokens.misconception(
    "The one-hot vectors were made float32, whatever the table is, and a product wants both sides "
    "to be of one type. Use the table's own: .to(wte.dtype)."
)
def makes_the_one_hot_vectors_float32(idx, wte):
    return F.one_hot(idx, len(wte)).float() @ wte


@embed_tokens.misconception(
    "Without a number of classes, F.one_hot takes the largest id that happens to occur. The "
    "vectors need one place for each row of the table, also for ids that are not in this text: "
    "F.one_hot(idx, len(wte))."
)
def lets_one_hot_guess_the_size_of_the_vocabulary(idx, wte):
    return F.one_hot(idx).to(wte.dtype) @ wte


@embed_tokens.misconception(
    "A column was taken where a row was meant. A token is a row of wte, shape (V, C): the id "
    "chooses along the first axis."
)
def takes_columns(idx, wte):
    return wte[:, idx]


@embed_tokens.variant(takes_columns)
def takes_columns_and_puts_the_axes_in_order(idx, wte):
    return wte.T[idx]


@embed_tokens.misconception(
    "The sequences of the batch were joined into one long one. The result has an axis for them: "
    "(B, T, C)."
)
def joins_the_sequences(idx, wte):
    return wte[idx.flatten()]


@embed_tokens.misconception(
    "Only the first sequence of the batch was looked up. idx may hold several, and the result "
    "keeps an axis for them even where there is one: (B, T, C)."
)
def looks_up_the_first_sequence_alone(idx, wte):
    return wte[idx[0]]


@embed_tokens.misconception(
    "All sequences got the vectors of the first one. Every row of idx is a text of its own."
)
def gives_all_sequences_the_vectors_of_the_first(idx, wte):
    return wte[idx[0]].expand(len(idx), -1, -1)


@embed_tokens.misconception(
    "Axes of size 1 were squeezed away. A batch of one, or a text of one token, keeps its axis: "
    "what comes later counts on (B, T, C)."
)
def squeezes_the_axes_of_size_1(idx, wte):
    return wte[idx].squeeze()


@embed_tokens.misconception(
    "The vectors of a sequence were added up (or averaged). Every token keeps its own vector; "
    "which word stands where is needed later."
)
def adds_up_the_vectors_of_a_sequence(idx, wte):
    return wte[idx].sum(dim=1)


@embed_tokens.variant(adds_up_the_vectors_of_a_sequence)
def averages_the_vectors_of_a_sequence(idx, wte):
    return wte[idx].mean(dim=1)


@embed_tokens.misconception(
    "The row was chosen by the place of the token and not by its id: the first token got row 0, "
    "the second row 1. Places have a table of their own, in lesson 04."
)
def looks_up_the_place_and_not_the_id(idx, wte):
    return wte[torch.arange(idx.shape[1])].expand(len(idx), -1, -1)


@embed_tokens.misconception(
    "Sequences and places have changed axes: this is (T, B, C). The shape of idx, (B, T), comes "
    "first, and the C numbers of each token last."
)
def exchanges_batch_and_time(idx, wte):
    return wte[idx].transpose(0, 1)


@embed_tokens.misconception(
    "The numbers of a token lie along the middle axis: this is (B, C, T). Here they come last, "
    "(B, T, C)."
)
def puts_the_channels_in_the_middle(idx, wte):
    return wte[idx].transpose(1, 2)


@embed_tokens.misconception(
    "The vectors were multiplied by √C. The first transformer did so; GPT-2 takes the row as it is."
)
def multiplies_by_the_root_of_C(idx, wte):
    return wte[idx] * math.sqrt(wte.shape[1])


@embed_tokens.misconception(
    "The vectors were brought to length 1. How long a row is was learned too; take it as it is."
)
def makes_every_vector_of_length_1(idx, wte):
    return F.normalize(wte[idx], dim=-1)


@embed_tokens.misconception(
    "Single numbers came back, one for each id. A token is a whole row of C numbers: wte[idx] "
    "takes rows; torch.take counts through all the numbers of the table."
)
def takes_single_numbers(idx, wte):
    return wte.take(idx)


@embed_tokens.misconception(
    "index_select wants a plain list of indices, and idx has two axes. Flatten it and give the "
    "result its shape back afterwards, or write wte[idx], which takes any shape."
)
def asks_index_select_for_two_axes(idx, wte):
    return torch.index_select(wte, 0, idx)


@embed_tokens.misconception(
    "The value is right, but the gradient does not come back to wte, so that the table could not "
    "learn. .detach(), .data, no_grad and numpy cut it off; so does an nn.Embedding made here, "
    "which keeps a table of its own."
)
def cuts_the_gradient(idx, wte):
    return wte.detach()[idx]


@embed_tokens.misconception(
    "nn.Embedding(V, C) makes a table of its own, filled with new random numbers, and these are "
    "rows of that one: wte was not read. Take the rows of wte itself."
)
def looks_up_in_a_new_random_table(idx, wte):
    return nn.Embedding(*wte.shape)(idx)


@embed_tokens.variant(looks_up_in_a_new_random_table)
def looks_up_in_a_random_table_of_the_same_type(idx, wte):
    return nn.Embedding(*wte.shape, dtype=wte.dtype)(idx)


@embed_tokens.misconception(
    "Id 0 was treated as padding: padding_idx keeps its row from learning. GPT-2 has no padding, "
    "and id 0 is a token like any other."
)
def takes_id_0_for_padding(idx, wte):
    return F.embedding(idx, wte, padding_idx=0)


@embed_tokens.variant(takes_id_0_for_padding)
def sets_id_0_to_zero(idx, wte):
    return wte[idx] * (idx != 0)[..., None]


@embed_tokens.misconception(
    "The result is float32 whatever the table was. Who works in float64 gets less back than they "
    "gave: let the result have the table's type."
)
def always_float32(idx, wte):
    return wte[idx].float()


@embed_tokens.also_right
def indexing_with_all_ids_at_once(idx, wte):
    return wte[idx]


@embed_tokens.also_right
def one_hot_times_table(idx, wte):
    return F.one_hot(idx, len(wte)).to(wte.dtype) @ wte


@embed_tokens.also_right
def one_row_after_the_other(idx, wte):
    sequences = []
    for sequence in idx:
        sequences.append(torch.stack([wte[token_id] for token_id in sequence]))
    return torch.stack(sequences)


@embed_tokens.also_right
def flat_and_back_again(idx, wte):
    rows = torch.index_select(wte, 0, idx.reshape(-1))
    return rows.reshape(*idx.shape, wte.shape[1])


@embed_tokens.also_right
def the_module_with_this_table(idx, wte):
    module = nn.Embedding(*wte.shape)
    return torch.func.functional_call(module, {"weight": wte}, (idx,))


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
    lesson="03_embeddings",
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
            "no id comes twice",
            lambda f: _no_id_twice(f(2, normal(7, 3, seed=7), 6)),
            of_result=lambda found, token_id, wte, k: _no_id_twice(found),
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


def _by(similarity: Tensor, token_id: int, k: int) -> list[int]:
    """The k largest similarities, the token itself left out."""
    similarity = similarity.clone()
    similarity[token_id] = -math.inf
    return similarity.topk(k).indices.tolist()


def _ranked(token_id: int, wte: Tensor, sign: int = 1) -> list[int]:
    """All ids, nearest first; of equals the smallest id, or with sign=-1 the largest."""
    cosine = _cosines(token_id, wte).tolist()
    return sorted(range(len(wte)), key=lambda i: (-cosine[i], sign * i))


@nearest_tokens.misconception(
    "The rows were compared by their dot product, which grows with the length of a row: long rows "
    "are everybody's neighbours. Divide each row by its own length first. (Dividing by the length "
    "of the one token, or by one number for the whole table, leaves the order as it was.)"
)
def takes_the_dot_product(token_id, wte, k):
    return _by(wte @ wte[token_id], token_id, k)


@nearest_tokens.misconception(
    "The tokens with the smallest distance came back. Distance counts length too: a row that "
    "points the same way and is twice as long is far away. The cosine compares directions alone."
)
def takes_the_distance(token_id, wte, k):
    return _by(-(wte - wte[token_id]).norm(dim=-1), token_id, k)


@nearest_tokens.misconception(
    "The token itself is among its neighbours: nothing is nearer to it. It has to be left out, and "
    "k others come back."
)
def keeps_itself(token_id, wte, k):
    return _cosines(token_id, wte).topk(k).indices.tolist()


@nearest_tokens.misconception(
    "k + 1 ids came back, the token itself among them. One may look at one more, but then the "
    "token itself has to go, and k are left."
)
def gives_k_and_itself(token_id, wte, k):
    return _cosines(token_id, wte).topk(k + 1).indices.tolist()


@nearest_tokens.misconception(
    "The k nearest were taken first, and then the token itself was taken away: one is missing. "
    "Leave it out before you choose k."
)
def removes_itself_from_k(token_id, wte, k):
    return [i for i in keeps_itself(token_id, wte, k) if i != token_id]


@nearest_tokens.misconception(
    "k + 1 were taken, and the token itself was to be removed from them. Where more than k other "
    "rows point exactly its way, it need not be among these k + 1, and .remove raises an error. "
    "Leave the token out before you choose k."
)
def removes_itself_where_it_may_be_missing(token_id, wte, k):
    best = _cosines(token_id, wte).topk(k + 1).indices.tolist()
    best.remove(token_id)
    return best


@nearest_tokens.variant(removes_itself_where_it_may_be_missing)
def removes_itself_from_the_first_of_a_sort(token_id, wte, k):
    best = _ranked(token_id, wte)[: k + 1]
    best.remove(token_id)
    return best


@nearest_tokens.variant(removes_itself_where_it_may_be_missing)
def removes_itself_with_the_largest_ids_first(token_id, wte, k):
    best = _ranked(token_id, wte, sign=-1)[: k + 1]
    best.remove(token_id)
    return best


@nearest_tokens.misconception(
    "k + 1 were taken, and then the token itself was left out. Where more than k other rows point "
    "exactly its way, it need not be among these k + 1, and one too many is left. Cut the list "
    "with [:k], or leave the token out before you choose k."
)
def gives_k_plus_1_where_itself_is_missing(token_id, wte, k):
    return [i for i in gives_k_and_itself(token_id, wte, k) if i != token_id]


@nearest_tokens.variant(gives_k_plus_1_where_itself_is_missing)
def leaves_itself_out_of_the_first_of_a_sort(token_id, wte, k):
    return [i for i in _ranked(token_id, wte)[: k + 1] if i != token_id]


@nearest_tokens.variant(gives_k_plus_1_where_itself_is_missing)
def leaves_itself_out_with_the_largest_ids_first(token_id, wte, k):
    return [i for i in _ranked(token_id, wte, sign=-1)[: k + 1] if i != token_id]


@nearest_tokens.misconception(
    "The first of the ranking was dropped, as if it had to be the token itself. A row that points "
    "exactly the same way has the same cosine and may come first. Leave the token out by its id."
)
def drops_whoever_comes_first(token_id, wte, k):
    cosine = _cosines(token_id, wte).tolist()
    return sorted(range(len(wte)), key=lambda i: -cosine[i])[1 : k + 1]


@nearest_tokens.variant(drops_whoever_comes_first)
def drops_the_first_of_argsort(token_id, wte, k):
    return _cosines(token_id, wte).argsort(descending=True)[1 : k + 1].tolist()


@nearest_tokens.variant(drops_whoever_comes_first)
def drops_the_first_of_topk(token_id, wte, k):
    return _cosines(token_id, wte).topk(k + 1).indices[1:].tolist()


@nearest_tokens.misconception(
    "Every row with a cosine of 1 was left out. Other rows may point exactly the same way, and "
    "they are the nearest of all; leave the token out by its id."
)
def leaves_out_all_that_point_the_same_way(token_id, wte, k):
    cosine = _cosines(token_id, wte)
    cosine[cosine > 1 - 1e-6] = -math.inf
    return cosine.topk(k).indices.tolist()


@nearest_tokens.variant(leaves_out_all_that_point_the_same_way)
def leaves_them_out_of_the_list(token_id, wte, k):
    cosine = _cosines(token_id, wte).tolist()
    ranked = sorted(range(len(wte)), key=lambda i: -cosine[i])
    return [i for i in ranked if cosine[i] < 1 - 1e-6][:k]


@nearest_tokens.misconception(
    "The token's own cosine was set to 0 so that it drops out. 0 is a cosine like any other: where "
    "the others point away, theirs are below 0 and the token is in front again. Use -inf."
)
def sets_its_own_cosine_to_0(token_id, wte, k):
    cosine = _cosines(token_id, wte)
    cosine[token_id] = 0
    return cosine.topk(k).indices.tolist()


@nearest_tokens.misconception(
    "The token's own cosine was set to -1 so that it drops out. A row that points exactly the "
    "other way has -1 too, and then chance decides between the two. Use -inf."
)
def sets_its_own_cosine_to_minus_1(token_id, wte, k):
    cosine = _cosines(token_id, wte)
    cosine[token_id] = -1
    return cosine.topk(k).indices.tolist()


@nearest_tokens.variant(sets_its_own_cosine_to_minus_1)
def sets_it_to_minus_1_and_sorts(token_id, wte, k):
    cosine = _cosines(token_id, wte).tolist()
    cosine[token_id] = -1
    return sorted(range(len(wte)), key=lambda i: -cosine[i])[:k]


@nearest_tokens.misconception(
    "The ranking is upside down: these are the tokens that point away most (and an own cosine of "
    "-inf comes first). argsort begins with the smallest; the nearest have the largest cosine: "
    "descending=True."
)
def gives_the_farthest(token_id, wte, k):
    cosine = _cosines(token_id, wte)
    cosine[token_id] = math.inf
    return cosine.argsort()[:k].tolist()


@nearest_tokens.variant(gives_the_farthest)
def gives_itself_and_the_farthest(token_id, wte, k):
    cosine = _cosines(token_id, wte)
    cosine[token_id] = -math.inf
    return cosine.argsort()[:k].tolist()


@nearest_tokens.variant(gives_the_farthest)
def gives_the_first_of_an_ascending_argsort(token_id, wte, k):
    return _cosines(token_id, wte).argsort()[:k].tolist()


@nearest_tokens.variant(gives_the_farthest)
def drops_the_first_of_an_ascending_argsort(token_id, wte, k):
    return _cosines(token_id, wte).argsort()[1 : k + 1].tolist()


@nearest_tokens.misconception(
    "The right ids in the wrong order: the nearest comes last. The list begins with the largest "
    "cosine."
)
def gives_the_nearest_last(token_id, wte, k):
    return embedding.nearest_tokens(token_id, wte, k)[::-1]


@nearest_tokens.misconception(
    "The right ids, sorted by their number. The list is a ranking, nearest first. (A set has no "
    "order at all.)"
)
def sorts_the_ids(token_id, wte, k):
    return sorted(embedding.nearest_tokens(token_id, wte, k))


@nearest_tokens.misconception(
    "The sign of the cosine was lost, so that rows which point the other way count as near. -1 is "
    "as far apart as two directions can be."
)
def takes_opposite_for_near(token_id, wte, k):
    return _by(_cosines(token_id, wte).abs(), token_id, k)


@nearest_tokens.misconception(
    "The table was divided by lengths of shape (V,). torch lines up the axes from the right, so "
    "that these V numbers meet the C columns and do not fit. With keepdim=True the lengths are "
    "(V, 1), one beside each row."
)
def divides_without_keepdim(token_id, wte, k):
    direction = wte / wte.norm(dim=-1)
    return _by(direction @ direction[token_id], token_id, k)


@nearest_tokens.misconception(
    "The columns were divided by their lengths. A token is a row, and each row needs a length of "
    "its own: the norm over the last axis, dim=-1, with keepdim=True so that it stands beside it."
)
def divides_the_columns_by_their_length(token_id, wte, k):
    direction = wte / wte.norm(dim=0)
    return _by(direction @ direction[token_id], token_id, k)


@nearest_tokens.misconception(
    "The rows were divided by the sum of their numbers (or of their sizes). The length of a vector "
    "is the root of the sum of squares: .norm(dim=-1)."
)
def divides_by_the_sum_of_the_sizes(token_id, wte, k):
    direction = wte / wte.abs().sum(dim=-1, keepdim=True)
    return _by(direction @ direction[token_id], token_id, k)


@nearest_tokens.variant(divides_by_the_sum_of_the_sizes)
def divides_by_the_sum_of_the_numbers(token_id, wte, k):
    direction = wte / wte.sum(dim=-1, keepdim=True)
    return _by(direction @ direction[token_id], token_id, k)


@nearest_tokens.misconception(
    "The rows were divided by the square of their length, so that short rows come out too near. "
    "The length is the root of the sum of squares."
)
def divides_by_the_squared_length(token_id, wte, k):
    direction = wte / (wte * wte).sum(dim=-1, keepdim=True)
    return _by(direction @ direction[token_id], token_id, k)


@nearest_tokens.misconception(
    "After the token's own row was taken out, all rows behind it moved up by one, and their "
    "numbers are no longer ids. Keep the row in and leave it out of the ranking."
)
def loses_count_behind_the_token(token_id, wte, k):
    others = torch.cat([wte[:token_id], wte[token_id + 1 :]])
    cosine = F.cosine_similarity(others, wte[token_id], dim=-1)
    return cosine.topk(k).indices.tolist()


@nearest_tokens.misconception(
    "These are the cosines. The exercise asks whose they are: topk gives .values and .indices, and "
    "the indices are the ids."
)
def returns_the_cosines(token_id, wte, k):
    cosine = _cosines(token_id, wte)
    cosine[token_id] = -math.inf
    return cosine.topk(k).values.tolist()


@nearest_tokens.variant(returns_the_cosines)
def returns_the_cosines_as_a_tensor(token_id, wte, k):
    return torch.tensor(returns_the_cosines(token_id, wte, k), dtype=wte.dtype)


@nearest_tokens.misconception(
    "The ids are right, but they are a tensor. The exercise asks for a list of plain numbers: "
    ".tolist() makes one."
)
def returns_a_tensor(token_id, wte, k):
    return torch.tensor(embedding.nearest_tokens(token_id, wte, k))


@nearest_tokens.misconception(
    "The list holds tensors of one number each. list(…) only takes a tensor apart; .tolist() makes "
    "plain numbers of it."
)
def returns_a_list_of_tensors(token_id, wte, k):
    return list(torch.tensor(embedding.nearest_tokens(token_id, wte, k)))


@nearest_tokens.misconception(
    "The caller's table was changed: an assignment such as wte /= … or wte[token_id] = … writes "
    "into it. wte / … makes a new one."
)
def changes_the_table(token_id, wte, k):
    found = embedding.nearest_tokens(token_id, wte, k)
    wte /= wte.norm(dim=-1, keepdim=True)
    return found


@nearest_tokens.misconception(
    "The numbers were made float32 on the way. Two cosines that differ in the ninth digit are then "
    "equal, and chance decides which comes first."
)
def works_in_float32(token_id, wte, k):
    direction = F.normalize(wte.float(), dim=-1)
    return _by(direction @ direction[token_id], token_id, k)


@nearest_tokens.variant(works_in_float32)
def sorts_in_float32(token_id, wte, k):
    cosine = F.cosine_similarity(wte.float(), wte[token_id].float(), dim=-1).tolist()
    others = [i for i in range(len(wte)) if i != token_id]
    return sorted(others, key=lambda i: -cosine[i])[:k]


@nearest_tokens.misconception(
    "The mean of each row was taken away before comparing: that is correlation. The cosine "
    "compares the rows as they are."
)
def takes_the_mean_of_each_row_away(token_id, wte, k):
    centred = wte - wte.mean(dim=-1, keepdim=True)
    return _by(F.cosine_similarity(centred, centred[token_id], dim=-1), token_id, k)


@nearest_tokens.misconception(
    "The mean row of the whole table was taken away from each row before comparing. The cosine "
    "compares the rows as they are, seen from the zero point and not from the middle of the table."
)
def takes_the_mean_row_of_the_table_away(token_id, wte, k):
    centred = wte - wte.mean(dim=0)
    return _by(F.cosine_similarity(centred, centred[token_id], dim=-1), token_id, k)


@nearest_tokens.also_right
def the_librarys_cosine(token_id, wte, k):
    cosine = F.cosine_similarity(wte, wte[token_id], dim=-1)
    ranked = cosine.argsort(descending=True).tolist()
    ranked.remove(token_id)
    return ranked[:k]


@nearest_tokens.also_right
def a_loop_and_a_sort(token_id, wte, k):
    cosines = {}
    for other, row in enumerate(wte):
        if other != token_id:
            dot = (row * wte[token_id]).sum()
            cosines[other] = (dot / (row.norm() * wte[token_id].norm())).item()
    return sorted(cosines, key=cosines.get, reverse=True)[:k]


@nearest_tokens.also_right
def without_the_tokens_own_length(token_id, wte, k):
    similarity = wte @ wte[token_id] / wte.norm(dim=1)  # its own length is the same for all
    others = torch.arange(len(wte))[torch.arange(len(wte)) != token_id]
    order = similarity[others].argsort(descending=True)
    return others[order[:k]].tolist()


@nearest_tokens.also_right
def distances_between_directions(token_id, wte, k):
    direction = F.normalize(wte, dim=-1)
    distance = (direction - direction[token_id]).square().sum(-1)  # 2 - 2 · cosine
    distance[token_id] = math.inf
    return distance.sort(stable=True).indices[:k].tolist()


@nearest_tokens.also_right
def one_maximum_after_the_other(token_id, wte, k):
    left = dict(enumerate(F.cosine_similarity(wte, wte[token_id][None]).tolist()))
    del left[token_id]
    found = []
    while len(found) < k:
        found.append(max(left, key=left.get))
        del left[found[-1]]
    return found


EXERCISES = [embed_tokens, nearest_tokens]
