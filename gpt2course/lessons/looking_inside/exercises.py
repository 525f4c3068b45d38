"""The exercises of lesson 15: previous_token_score, mean_attention, logit_lens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gpt2course import inspection
from gpt2course.block import layer_norm
from gpt2course.checks.exercise import Case, Exercise, Property
from gpt2course.checks.inputs import normal, strided


def _of_tensor(holds):
    """The same question of a result, not asked where the card shows gradients."""
    return lambda got, *args: not isinstance(got, Tensor) or holds(got, *args)


@dataclass(eq=False)
class Told(Exercise):
    """An exercise whose small arguments are told by their numbers, so that one can follow them."""

    def call_text(self, case: Case) -> str:
        if any(tensor.numel() > SHOWN_NUMBERS for arg in case.args for tensor in _tensors_of(arg)):
            return super().call_text(case)
        named = zip(self.parameter_names(), map(_numbers, case.args), strict=True)
        return f"{self.name}({', '.join(f'{name}={value}' for name, value in named)})"


SHOWN_NUMBERS = 18


def _tensors_of(value: Any) -> list[Tensor]:
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, Tensor)]


def _numbers(value: Any) -> str:
    """A value as nested lists, its numbers without the noise of float32."""
    if isinstance(value, Tensor):
        return _numbers(value.tolist())
    if isinstance(value, list):
        return f"[{', '.join(map(_numbers, value))}]"
    return f"{value:.3g}"


def _weights(L: int, nh: int, T: int, seed: int, dtype=torch.float32) -> Tensor:
    """Causal attention weights (L, nh, T, T), as a model makes them."""
    scores = normal(L, nh, T, T, seed=seed, scale=1.5, dtype=torch.float64)
    future = torch.ones(T, T, dtype=torch.bool).triu(1)
    return scores.masked_fill(future, -torch.inf).softmax(-1).to(dtype)


def _named(L: int, nh: int) -> dict:
    """What stands beside a drawn result: a row for each layer, a column for each head."""
    rows = tuple(f"layer {i}" for i in range(L))
    return {"rows": rows, "columns": tuple(f"head {h}" for h in range(nh))}


# Two heads of one layer, three tokens: the first head looks back, the second at the first token.
_BY_HAND = torch.tensor([[[[1.0, 0.0, 0.0], [0.8, 0.2, 0.0], [0.1, 0.6, 0.3]],
                          [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.9, 0.0, 0.1]]]])  # fmt: skip

# previous_token_score ---------------------------------------------------------------------------

previous_token_score = Told(
    inspection.previous_token_score,
    lesson="15_looking_inside",
    cases=[
        Case("three tokens, one layer of two heads", (_BY_HAND,), **_named(1, 2)),
        Case("two layers of three heads", (_weights(2, 3, 5, seed=1),), **_named(2, 3)),
        Case("two tokens", (_weights(3, 2, 2, seed=2),), **_named(3, 2)),
        Case("one layer, one head", (_weights(1, 1, 4, seed=3),)),
        Case("as many layers as heads", (_weights(3, 3, 4, seed=4),), **_named(3, 3)),
        Case("forty tokens", (_weights(4, 2, 40, seed=5),)),
        Case("three of everything", (_weights(3, 3, 3, seed=6),)),
        Case("float64 stays float64", (_weights(2, 3, 6, seed=7, dtype=torch.float64),)),
        Case(
            "weights that do not lie in one piece in memory",
            (strided(_weights(2, 3, 5, seed=8)),),
        ),
        Case("the gradients reach the weights", (_weights(2, 3, 4, seed=9),), gradients=True),
    ],
    properties=[
        Property(
            "one number for each layer and head",
            lambda f: f(_weights(2, 3, 5, seed=1)).shape == (2, 3),
            of_result=_of_tensor(lambda y, weights: y.shape == weights.shape[:2]),
        ),
        Property(
            "every number lies between 0 and 1",
            lambda f: _between_0_and_1(f(_weights(2, 3, 5, seed=1))),
            of_result=_of_tensor(lambda y, weights: _between_0_and_1(y)),
        ),
        Property(
            "a head that gives all its weight to the token before gets 1",
            lambda f: _score_of(f, lambda i: max(0, i - 1)) == 1,
        ),
        Property(
            "a head that gives all its weight to the token itself gets 0",
            lambda f: _score_of(f, lambda i: i) == 0,
        ),
        Property(
            "what the first token reads does not matter",
            lambda f: torch.allclose(*(f(w) for w in _two_first_rows()), atol=1e-6),
        ),
        Property("each head is on its own", lambda f: _heads_are_alone(f)),
    ],
)


def _between_0_and_1(scores: Tensor) -> bool:
    return bool(((scores > -1e-6) & (scores < 1 + 1e-6)).all())


def _score_of(f, reads) -> float:
    """The score of one head in which token i reads token reads(i) alone; six tokens."""
    weights = torch.zeros(1, 1, 6, 6)
    for i in range(6):
        weights[0, 0, i, reads(i)] = 1
    return round(f(weights).item(), 5)


def _two_first_rows() -> tuple[Tensor, Tensor]:
    """The same weights with another first row."""
    weights = _weights(2, 3, 5, seed=1)
    other = weights.clone()
    other[:, :, 0] = torch.tensor([0.1, 0.2, 0.3, 0.3, 0.1])
    return weights, other


def _heads_are_alone(f) -> bool:
    weights = _weights(2, 3, 5, seed=1)
    return torch.allclose(f(weights)[1:, 1:2], f(weights[1:, 1:2]), atol=1e-6)


def _below(weights: Tensor) -> Tensor:
    """(L, nh, T - 1): the weight of each token but the first to the one before it."""
    return weights.diagonal(-1, -2, -1)


@previous_token_score.misconception(
    "The diagonal above the main one was taken: the weight of each token to the one after it, "
    "which the mask made 0. Row = the token that reads, column = the token that is read; the one "
    "before lies one column to the left: `offset=-1`."
)
def reads_the_next_token(weights):
    return weights.diagonal(1, -2, -1).mean(-1)


@previous_token_score.misconception(
    "This is the main diagonal: what each token gives to itself. The token before stands one "
    "column to the left."
)
def reads_the_token_itself(weights):
    return weights.diagonal(0, -2, -1).mean(-1)


@previous_token_score.misconception(
    "This is the main diagonal without its first entry: what each token gives to itself. The token "
    "before stands one column to the left."
)
def reads_the_token_itself_without_the_first(weights):
    return weights.diagonal(0, -2, -1)[..., 1:].mean(-1)


@previous_token_score.misconception(
    "This is what each token gives to the one two places before it. The one right before lies on "
    "the first diagonal below the main one: `offset=-1`."
)
def goes_back_two_places(weights):
    return weights.diagonal(-2, -2, -1).mean(-1)


@previous_token_score.misconception(
    "The sum was divided by T. The first token has none before it, so there are T - 1 weights to "
    "average, and a perfect head should get exactly 1. (An index of -1 for the first token does "
    "the same: it reads the last column, where the mask left 0.)"
)
def divides_by_all_tokens(weights):
    return _below(weights).sum(-1) / weights.shape[-1]


@previous_token_score.variant(divides_by_all_tokens)
def lets_the_first_token_wrap_around(weights):
    i = torch.arange(weights.shape[-1])
    return weights[..., i, i - 1].mean(-1)


@previous_token_score.misconception(
    "The first token was counted with the weight that it gives to itself. It has no token before "
    "it; leave it out: T - 1 weights are averaged."
)
def counts_the_first_token_with_itself(weights):
    i = torch.arange(weights.shape[-1])
    return weights[..., i, (i - 1).clamp(min=0)].mean(-1)


@previous_token_score.misconception(
    "The weights were added up and not averaged: the score then grows with the length of the text."
)
def adds_up(weights):
    return _below(weights).sum(-1)


@previous_token_score.misconception(
    "`diagonal` (and `torch.diagonal`) takes axes 0 and 1 unless it is told others; here these are "
    "layers and heads. Query and key are the last two: `dim1=-2, dim2=-1`."
)
def takes_the_diagonal_of_layers_and_heads(weights):
    return weights.diagonal(-1).mean(-1)


@previous_token_score.misconception(
    "`torch.diag` knows one matrix and not a stack of them. `torch.diagonal(weights, offset=-1, "
    "dim1=-2, dim2=-1)` takes the same line out of every layer and head."
)
def calls_diag_on_a_stack(weights):
    return torch.diag(weights, -1).mean(-1)


@previous_token_score.misconception(
    "The heads were averaged too. Every head has a habit of its own; the mean of a layer hides it. "
    "One number for each layer and head is asked."
)
def averages_the_heads(weights):
    return _below(weights).mean(-1).mean(-1)


@previous_token_score.variant(averages_the_heads)
def averages_the_heads_and_keeps_their_axis(weights):
    return _below(weights).mean((-2, -1)).unsqueeze(-1).expand(weights.shape[:2])


@previous_token_score.misconception(
    "Everything was averaged into a single number. One number for each layer and head is asked: "
    "the mean runs over the tokens alone."
)
def averages_everything(weights):
    return _below(weights).mean()


@previous_token_score.misconception(
    "The mean is missing: there is still one weight for each token. Average the last axis."
)
def keeps_a_number_for_each_token(weights):
    return _below(weights)


@previous_token_score.misconception(
    "This averages all the weights of the rows from 1 on, and not the ones to the token before."
)
def averages_the_whole_rows(weights):
    return weights[..., 1:, :].mean((-2, -1))


@previous_token_score.misconception(
    "Every earlier token was counted. Only the one right before is asked; the others belong to "
    "heads with other habits."
)
def counts_every_earlier_token(weights):
    return weights.tril(-1).sum(-1)[..., 1:].mean(-1)


@previous_token_score.misconception(
    "The triangle below the diagonal was averaged. It holds the weights to all earlier tokens; "
    "the ones right before lie on a single diagonal of it."
)
def averages_the_triangle(weights):
    T = weights.shape[-1]
    return weights.tril(-1).sum((-2, -1)) / (T * (T - 1) / 2)


@previous_token_score.misconception(
    "This is the first column: what the tokens give to the first one. Only for token 1 is that the "
    "one before."
)
def reads_the_first_token(weights):
    return weights[..., 1:, 0].mean(-1)


@previous_token_score.misconception(
    "Only the last token was asked what it gives to the one before it. The score is a mean over "
    "all tokens that have one before them."
)
def asks_the_last_token_only(weights):
    return weights[..., -1, -2]


@previous_token_score.misconception(
    "Token 1 was left out: the range starts one too late. Token 1 has a token before it, number 0."
)
def starts_at_token_two(weights):
    return _below(weights)[..., 1:].mean(-1)


@previous_token_score.misconception(
    "The last token was left out: the range ends one too early. Tokens 1 to T - 1 are asked, the "
    "last of them included."
)
def leaves_out_the_last_token(weights):
    return _below(weights)[..., :-1].mean(-1)


@previous_token_score.misconception(
    "This counts how often the token before gets the largest weight of its row. The score asked "
    "for is the mean of the weights themselves."
)
def counts_how_often_it_comes_first(weights):
    i = torch.arange(1, weights.shape[-1])
    return (weights[..., 1:, :].argmax(-1) == i - 1).to(weights.dtype).mean(-1)


@previous_token_score.misconception(
    "The largest weight was taken, and not the mean: one token that looks back makes no habit."
)
def takes_the_largest(weights):
    return _below(weights).amax(-1)


@previous_token_score.misconception(
    "The middle one of the weights was taken (the median). The score asked for is their mean."
)
def takes_the_median(weights):
    return _below(weights).median(-1).values


@previous_token_score.misconception(
    "Somewhere a .detach(), no_grad, .data, .item() or torch.tensor(...) cut the scores off from "
    "the weights: the numbers are right, but no gradient comes through."
)
def cuts_the_gradient(weights):
    return _below(weights).mean(-1).detach()


@previous_token_score.misconception(
    "It goes through numpy, and numpy knows nothing of gradients: torch refuses where the weights "
    "are part of something that learns. `diagonal` exists in torch too."
)
def goes_through_numpy(weights):
    return torch.from_numpy(np.diagonal(weights.numpy(), -1, -2, -1).mean(-1))


@previous_token_score.misconception(
    "The result is float32 whatever came in (`torch.zeros(L, nh)` and `.float()` do that). Let it "
    "have the dtype of the weights: `dtype=weights.dtype`."
)
def makes_everything_float32(weights):
    return _below(weights).mean(-1).float()


@previous_token_score.misconception(
    "Layers and heads have changed places: a row of the result belongs to a layer, a column to a "
    "head."
)
def puts_heads_before_layers(weights):
    return _below(weights).mean(-1).T


# The names that the lesson's cells leave behind, with their values there.
_N, _L, _NH = 3, 4, 4
_LN_F = nn.LayerNorm(128)


@previous_token_score.misconception(
    "It works for three tokens alone: `n` is the name of a cell further up, where it is 3. Take "
    "the number of tokens from what the function is given: `weights.shape[-1]`."
)
def takes_n_from_the_notebook(weights):
    return sum(weights[:, :, i, i - 1] for i in range(1, _N)) / (_N - 1)


@previous_token_score.variant(takes_n_from_the_notebook)
def divides_by_the_n_of_the_notebook(weights):
    return _below(weights).sum(-1) / (_N - 1)


@previous_token_score.variant(takes_n_from_the_notebook)
def walks_to_its_own_end_and_divides_by_n(weights):
    return sum(weights[:, :, i, i - 1] for i in range(1, weights.shape[-1])) / (_N - 1)


@previous_token_score.variant(takes_n_from_the_notebook)
def averages_the_first_n(weights):
    return torch.stack([weights[:, :, i, i - 1] for i in range(1, _N)]).mean(0)


@previous_token_score.misconception(
    "It works for 4 layers of 4 heads alone: `L` and `nh` are names of a cell further up, the "
    "course model's. Take them from what the function is given: `L, nh = weights.shape[:2]`."
)
def takes_L_and_nh_from_the_notebook(weights):
    found = torch.zeros(_L, _NH, dtype=weights.dtype)
    for layer in range(_L):
        for head in range(_NH):
            found[layer, head] = weights[layer, head].diagonal(-1).mean()
    return found


@previous_token_score.variant(takes_L_and_nh_from_the_notebook)
def stacks_the_heads_of_the_notebook(weights):
    layers = [[weights[i, h].diagonal(-1).mean() for h in range(_NH)] for i in range(_L)]
    return torch.stack([torch.stack(heads) for heads in layers])


@previous_token_score.variant(takes_L_and_nh_from_the_notebook)
def adds_into_zeros_of_the_notebooks_size(weights):
    total = torch.zeros(_L, _NH)
    for i in range(1, weights.shape[-1]):
        total += weights[:, :, i, i - 1]
    return total / (weights.shape[-1] - 1)


@previous_token_score.variant(takes_L_and_nh_from_the_notebook)
def writes_into_zeros_of_the_notebooks_size(weights):
    found = torch.zeros(_L, _NH, dtype=weights.dtype)
    for layer in range(weights.shape[0]):
        for head in range(weights.shape[1]):
            found[layer, head] = weights[layer, head].diagonal(-1).mean()
    return found


@previous_token_score.also_right
def two_ranges_of_positions(weights):
    query = torch.arange(1, weights.shape[-1])
    return weights[:, :, query, query - 1].mean(dim=-1)


@previous_token_score.also_right
def a_loop_over_the_tokens(weights):
    T = weights.shape[-1]
    total = 0
    for i in range(1, T):
        total = total + weights[:, :, i, i - 1]
    return total / (T - 1)


@previous_token_score.also_right
def with_a_mask(weights):
    T = weights.shape[-1]
    before = torch.eye(T, dtype=weights.dtype).roll(-1, dims=1).tril()
    return (weights * before).sum(dim=(-2, -1)) / (T - 1)


@previous_token_score.also_right
def head_by_head(weights):
    layers = [[torch.diag(head, -1).mean() for head in layer] for layer in weights]
    return torch.stack([torch.stack(heads) for heads in layers])


@previous_token_score.also_right
def the_main_diagonal_of_a_cut_out(weights):
    return torch.einsum("lhtt->lht", weights[:, :, 1:, :-1]).mean(dim=-1)


# mean_attention ---------------------------------------------------------------------------------


def _sentences(
    L: int, nh: int, *lengths: int, seed: int, dtype: torch.dtype = torch.float32
) -> list[Tensor]:
    return [_weights(L, nh, T, seed=seed + i, dtype=dtype) for i, T in enumerate(lengths)]


_TWO_SENTENCES = [
    _BY_HAND,
    torch.tensor([[[[1.0, 0.0], [0.2, 0.8]], [[1.0, 0.0], [0.7, 0.3]]]]),
]

mean_attention = Told(
    inspection.mean_attention,
    lesson="15_looking_inside",
    cases=[
        Case(
            "two sentences, a word of one token each, one layer of two heads",
            (_TWO_SENTENCES, [2, 1], [[1], [0]]),
            **_named(1, 2),
        ),
        Case(
            "one sentence, a word of two tokens",
            (_sentences(2, 3, 6, seed=11), [5], [[1, 2]]),
            **_named(2, 3),
        ),
        Case(
            "three sentences of 5, 7 and 4 tokens, words of one to three tokens",
            (_sentences(2, 3, 5, 7, 4, seed=12), [4, 6, 3], [[1], [2, 3, 4], [0, 1]]),
            **_named(2, 3),
        ),
        Case(
            "the token that reads is not always the last",
            (_sentences(3, 2, 6, 8, seed=15), [3, 5], [[2], [1, 2]]),
            **_named(3, 2),
        ),
        Case(
            "a word may be the first token", (_sentences(2, 4, 3, 6, seed=17), [2, 5], [[0], [0]])
        ),
        Case(
            "tokens that do not stand side by side",
            (_sentences(2, 3, 9, 6, seed=19), [8, 4], [[6, 0, 3], [2]]),
        ),
        Case("the token reads itself", (_sentences(2, 3, 4, 5, seed=21), [3, 2], [[3], [1, 2]])),
        Case(
            "sentences of one length",
            (_sentences(3, 2, 4, 4, 4, seed=23), [3, 2, 3], [[0], [1], [2]]),
        ),
        Case("one layer, one head", (_sentences(1, 1, 5, 3, seed=26), [4, 2], [[2, 3], [1]])),
        Case(
            "four of everything",
            (_sentences(4, 4, 4, 4, 4, 4, seed=28), [3, 3, 2, 1], [[0], [1], [2], [0]]),
        ),
        Case(
            "thirty sentences",
            (
                _sentences(2, 3, *(4 + i % 5 for i in range(30)), seed=32),
                [3 + i % 5 for i in range(30)],
                [[0, 1] if i % 3 else [2] for i in range(30)],
            ),
        ),
        Case(
            "float64 stays float64",
            (_sentences(2, 3, 5, 4, seed=71, dtype=torch.float64), [4, 3], [[1, 2], [0]]),
        ),
        Case(
            "weights that do not lie in one piece in memory",
            ([strided(w) for w in _sentences(2, 3, 5, 4, seed=73)], [4, 3], [[1, 2], [0]]),
        ),
    ],
    properties=[
        Property(
            "one number for each layer and head",
            lambda f: f(*_THREE).shape == (2, 3),
            of_result=lambda y, weights, queries, keys: y.shape == weights[0].shape[:2],
        ),
        Property(
            "every number lies between 0 and 1",
            lambda f: _between_0_and_1(f(*_THREE)),
            of_result=lambda y, *args: _between_0_and_1(y),
        ),
        Property(
            "a token that is asked for everything it may read gives 1",
            lambda f: torch.allclose(
                f(_THREE[0], _THREE[1], [list(range(q + 1)) for q in _THREE[1]]),
                torch.ones(2, 3),
                atol=1e-5,
            ),
        ),
        Property(
            "the same sentence twice gives what it gives once",
            lambda f: torch.allclose(
                f([_THREE[0][1]] * 2, [6, 6], [[2, 3]] * 2),
                f([_THREE[0][1]], [6], [[2, 3]]),
                atol=1e-6,
            ),
        ),
        Property(
            "a word of two tokens gets what its tokens get together",
            lambda f: torch.allclose(
                f([_THREE[0][0]], [4], [[1, 2]]),
                f([_THREE[0][0]], [4], [[1]]) + f([_THREE[0][0]], [4], [[2]]),
                atol=1e-6,
            ),
        ),
        Property(
            "a long sentence counts as much as a short one",
            lambda f: torch.allclose(
                f(*_THREE),
                sum(f(*([part[i]] for part in _THREE)) for i in range(3)) / 3,
                atol=1e-6,
            ),
        ),
    ],
)
_THREE = (_sentences(2, 3, 5, 7, 4, seed=12), [4, 6, 3], [[1], [2, 3, 4], [0, 1]])


def _rows(weights, queries, keys):
    """For each sentence the weights (L, nh, K) from its query to its K keys."""
    return [w[:, :, q, k] for w, q, k in zip(weights, queries, keys, strict=True)]


def _mean(found: list[Tensor]) -> Tensor:
    return torch.stack(found).mean(0)


@mean_attention.misconception(
    "Query and key have changed places: this is what the word gives to the token, and not what "
    "the token gives to the word. Row = the one that reads, column = the one that is read: "
    "`sentence[:, :, query, key]`."
)
def swaps_query_and_key(weights, queries, keys):
    pairs = zip(weights, queries, keys, strict=True)
    return _mean([w[:, :, k, q].sum(-1) for w, q, k in pairs])


@mean_attention.misconception(
    "The tokens of the word were averaged. A word that was cut into two tokens gets what both get "
    "together: the sum over its tokens. The mean comes after, over the sentences."
)
def averages_the_tokens_of_the_word(weights, queries, keys):
    return _mean([row.mean(-1) for row in _rows(weights, queries, keys)])


@mean_attention.misconception(
    "Only the first token of the word was counted. A word may be several tokens; their weights are "
    "added."
)
def counts_the_first_token_of_the_word_only(weights, queries, keys):
    return _mean([row[..., 0] for row in _rows(weights, queries, keys)])


@mean_attention.misconception(
    "Only the last token of the word was counted. A word may be several tokens; their weights are "
    "added."
)
def counts_the_last_token_of_the_word_only(weights, queries, keys):
    return _mean([row[..., -1] for row in _rows(weights, queries, keys)])


@mean_attention.misconception(
    "Of the word's tokens the one with the largest weight was taken. All of them belong to the "
    "word: their weights are added."
)
def takes_the_largest_token_of_the_word(weights, queries, keys):
    return _mean([row.amax(-1) for row in _rows(weights, queries, keys)])


@mean_attention.misconception(
    "The slice ends before the word's last token: `a[first:last]` leaves out `last`. Give the "
    "whole list of positions as an index, or write `last + 1`."
)
def leaves_out_the_last_token_of_the_word(weights, queries, keys):
    pairs = zip(weights, queries, keys, strict=True)
    return _mean([w[:, :, q, k[0] : k[-1]].sum(-1) for w, q, k in pairs])


@mean_attention.misconception(
    "The word was taken as everything from its first to its last position. The list of keys holds "
    "exactly the positions that count, and they need not stand side by side."
)
def fills_the_gaps_between_the_keys(weights, queries, keys):
    pairs = zip(weights, queries, keys, strict=True)
    return _mean([w[:, :, q, min(k) : max(k) + 1].sum(-1) for w, q, k in pairs])


@mean_attention.variant(fills_the_gaps_between_the_keys)
def takes_everything_from_the_first_key_to_the_last_listed(weights, queries, keys):
    pairs = zip(weights, queries, keys, strict=True)
    return _mean([w[:, :, q, k[0] : k[-1] + 1].sum(-1) for w, q, k in pairs])


@mean_attention.misconception(
    "The last token of each sentence was asked. `queries` says which token is meant, and that need "
    "not be the last."
)
def asks_the_last_token_always(weights, queries, keys):
    pairs = zip(weights, keys, strict=True)
    return _mean([w[:, :, -1, k].sum(-1) for w, k in pairs])


@mean_attention.misconception(
    "The token before the query was asked. The model says the next word at the query itself, "
    "whose row is `sentence[:, :, query]`: no - 1."
)
def asks_the_token_before(weights, queries, keys):
    pairs = zip(weights, queries, keys, strict=True)
    return _mean([w[:, :, q - 1, k].sum(-1) for w, q, k in pairs])


@mean_attention.misconception(
    "All tokens were asked, and not the one that `queries` names: the rows were averaged."
)
def averages_all_the_rows(weights, queries, keys):
    pairs = zip(weights, keys, strict=True)
    return _mean([w.mean(-2)[:, :, k].sum(-1) for w, k in pairs])


@mean_attention.misconception(
    "The weights of all sentences went into one mean, token by token, so that a word of three "
    "tokens counts three times and its tokens are averaged. First the sum over the tokens of one "
    "word, then the mean over the sentences."
)
def averages_over_all_tokens_of_all_words(weights, queries, keys):
    return torch.cat(_rows(weights, queries, keys), dim=-1).mean(-1)


@mean_attention.misconception(
    "The sentences were added up and not averaged: divide by how many there are."
)
def adds_up_the_sentences(weights, queries, keys):
    return torch.stack([row.sum(-1) for row in _rows(weights, queries, keys)]).sum(0)


@mean_attention.misconception(
    "Each sentence was weighted by its length. The mean is over sentences: a long one counts as "
    "much as a short one."
)
def counts_long_sentences_more(weights, queries, keys):
    rows = _rows(weights, queries, keys)
    lengths = [w.shape[-1] for w in weights]
    total = sum(row.sum(-1) * n for row, n in zip(rows, lengths, strict=True))
    return total / sum(lengths)


@mean_attention.misconception(
    "The weights were divided by the length of the sentence. A row of weights sums to 1 already; "
    "what is averaged are the sentences, and nothing else."
)
def divides_by_the_number_of_tokens(weights, queries, keys):
    pairs = zip(_rows(weights, queries, keys), weights, strict=True)
    return _mean([row.sum(-1) / w.shape[-1] for row, w in pairs])


@mean_attention.misconception(
    "Only the first sentence was counted: a `return` inside the loop ends it on its first round."
)
def returns_after_the_first_sentence(weights, queries, keys):
    return _rows(weights, queries, keys)[0].sum(-1)


@mean_attention.misconception(
    "Only the last sentence was counted: each round of the loop wrote over what the one before had "
    "found. Add to it, or collect the results in a list."
)
def keeps_the_last_sentence(weights, queries, keys):
    return _rows(weights, queries, keys)[-1].sum(-1)


@mean_attention.misconception(
    "The last sentence was kept, divided by the number of sentences: each round of the loop wrote "
    "over what the one before had found. `+=`, not `=`."
)
def overwrites_the_total(weights, queries, keys):
    return _rows(weights, queries, keys)[-1].sum(-1) / len(weights)


@mean_attention.misconception(
    "The number of sentences is one too small: it divides by one less than there are."
)
def divides_by_one_less(weights, queries, keys):
    return torch.stack([row.sum(-1) for row in _rows(weights, queries, keys)]).sum(0) / (
        len(weights) - 1
    )


@mean_attention.misconception(
    "The mean over the sentences is missing: there is one number for each sentence, layer and "
    "head. Average the first axis."
)
def keeps_a_number_for_each_sentence(weights, queries, keys):
    return torch.stack([row.sum(-1) for row in _rows(weights, queries, keys)])


@mean_attention.misconception(
    "A list came back, with a tensor for each sentence. Stack them and average: one tensor "
    "(L, nh) is asked."
)
def returns_a_list(weights, queries, keys):
    return [row.sum(-1) for row in _rows(weights, queries, keys)]


@mean_attention.misconception(
    "The heads were averaged too, and with them the one that is looked for disappears. One number "
    "for each layer and head is asked."
)
def averages_the_heads_too(weights, queries, keys):
    return _mean([row.sum(-1).mean(-1) for row in _rows(weights, queries, keys)])


@mean_attention.misconception(
    "Everything was averaged into a single number. One number for each layer and head is asked: "
    "the mean runs over the sentences alone (`dim=0` of the stack)."
)
def averages_it_all(weights, queries, keys):
    return torch.stack([row.sum(-1) for row in _rows(weights, queries, keys)]).mean()


@mean_attention.misconception(
    "After `sentence[:, :, query]` the axes are layer, head, key. A plain `[positions]` behind it "
    "picks layers and not keys. Write `[:, :, positions]`, or give all four at once: "
    "`sentence[:, :, query, positions]`."
)
def picks_layers_where_keys_were_meant(weights, queries, keys):
    pairs = zip(weights, queries, keys, strict=True)
    return _mean([w[:, :, q][k].sum(-1) for w, q, k in pairs])


@mean_attention.misconception(
    "After `sentence[:, :, query]` the axes are layer, head, key. `[:, positions]` behind it picks "
    "heads and not keys. Write `[:, :, positions]`, or give all four at once: "
    "`sentence[:, :, query, positions]`."
)
def picks_heads_where_keys_were_meant(weights, queries, keys):
    pairs = zip(weights, queries, keys, strict=True)
    return _mean([w[:, :, q][:, k].sum(-1) for w, q, k in pairs])


@mean_attention.misconception(
    "The sentences have different lengths, so their weights do not stack: first pick the numbers "
    "of each sentence, then stack what is left, which has the same shape for all."
)
def stacks_sentences_of_different_lengths(weights, queries, keys):
    stacked = torch.stack(weights)
    return _mean([w[:, :, q, k].sum(-1) for w, q, k in zip(stacked, queries, keys, strict=True)])


@mean_attention.misconception(
    "Words have different numbers of tokens, so the weights of their tokens do not stack: add up "
    "the tokens of each word first, then stack."
)
def stacks_words_of_different_lengths(weights, queries, keys):
    return torch.stack(_rows(weights, queries, keys)).sum(-1).mean(0)


@mean_attention.misconception(
    "A tensor cannot be made of lists of different lengths: words have different numbers of "
    "tokens. Go through the sentences one by one; a list of positions is an index as it is."
)
def makes_a_tensor_of_uneven_lists(weights, queries, keys):
    keys = torch.tensor(keys)
    pairs = zip(weights, queries, keys, strict=True)
    return _mean([w[:, :, q, k].sum(-1) for w, q, k in pairs])


@mean_attention.misconception(
    "`weights` is a list with a tensor for each sentence; a list has no shape and cannot be "
    "indexed along four axes. Go through it: `for sentence, query, positions in zip(…)`."
)
def takes_the_list_for_a_tensor(weights, queries, keys):
    return _mean([weights[:, :, q, k].sum(-1) for q, k in zip(queries, keys, strict=True)])


@mean_attention.variant(takes_the_list_for_a_tensor)
def asks_the_list_for_its_shape(weights, queries, keys):
    L, nh = weights.shape[:2]
    return torch.zeros(L, nh)


@mean_attention.misconception(
    "The numbers were added into the first sentence itself: `sentence[:, :, query, key]` with two "
    "plain numbers shows a part of the weights and is no copy, so `+=` writes into them. Begin "
    "with zeros, or with `total = total + …`."
)
def adds_into_the_weights(weights, queries, keys):
    total = weights[0][:, :, queries[0], keys[0][0]]
    for key in keys[0][1:]:
        total += weights[0][:, :, queries[0], key]
    for row in _rows(weights, queries, keys)[1:]:
        total += row.sum(-1)
    total /= len(weights)
    return total


@mean_attention.misconception(
    "The shares were divided by what the word and the token itself get together. The weight is "
    "asked as it is: rows sum to 1 over everything that may be read."
)
def sets_the_word_against_the_token_itself(weights, queries, keys):
    pairs = zip(weights, queries, keys, strict=True)
    return _mean([w[:, :, q, k].sum(-1) / w[:, :, q, [*{*k, q}]].sum(-1) for w, q, k in pairs])


@mean_attention.misconception(
    "The result is float32 whatever came in (`torch.zeros(L, nh)` and `torch.tensor([...])` of "
    "plain numbers do that). Let it have the dtype of the weights."
)
def makes_every_mean_float32(weights, queries, keys):
    return _mean([row.sum(-1).float() for row in _rows(weights, queries, keys)])


@mean_attention.misconception(
    "Layers and heads have changed places: a row of the result belongs to a layer, a column to a "
    "head."
)
def puts_the_heads_before_the_layers(weights, queries, keys):
    return _mean([row.sum(-1) for row in _rows(weights, queries, keys)]).T


@mean_attention.misconception(
    "It works for 4 layers of 4 heads alone: `L` and `nh` are names of a cell further up, the "
    "course model's. Begin with zeros of the right size and dtype: "
    "`torch.zeros_like(weights[0][:, :, 0, 0])`."
)
def takes_L_and_nh_from_the_cells(weights, queries, keys):
    total = torch.zeros(_L, _NH)
    for sentence, query, positions in zip(weights, queries, keys, strict=True):
        for key in positions:
            total += sentence[:, :, query, key]
    return total / len(weights)


@mean_attention.variant(takes_L_and_nh_from_the_cells)
def walks_through_the_heads_of_the_cells(weights, queries, keys):
    found = torch.zeros(_L, _NH, dtype=weights[0].dtype)
    for layer in range(_L):
        for head in range(_NH):
            pairs = zip(weights, queries, keys, strict=True)
            found[layer, head] = sum(w[layer, head, q, k].sum() for w, q, k in pairs) / len(weights)
    return found


@mean_attention.misconception(
    "It works for three sentences alone: `n` is the name of a cell further up, where it is 3. "
    "There are as many sentences as the list has entries: `len(weights)`."
)
def takes_n_from_the_cells(weights, queries, keys):
    return torch.stack([row.sum(-1) for row in _rows(weights, queries, keys)]).sum(0) / _N


@mean_attention.variant(takes_n_from_the_cells)
def walks_through_n_sentences(weights, queries, keys):
    return sum(weights[s][:, :, queries[s], keys[s]].sum(-1) for s in range(_N)) / _N


@mean_attention.also_right
def a_running_total(weights, queries, keys):
    total = torch.zeros_like(weights[0][:, :, 0, 0])
    for sentence, query, positions in zip(weights, queries, keys, strict=True):
        for key in positions:
            total += sentence[:, :, query, key]
    return total / len(weights)


@mean_attention.also_right
def the_row_first(weights, queries, keys):
    found = []
    for s in range(len(weights)):
        row = weights[s][:, :, queries[s]]  # (L, nh, T)
        found.append(row[:, :, keys[s]].sum(dim=2))
    return sum(found) / len(found)


@mean_attention.also_right
def as_a_product_with_zeros_and_ones(weights, queries, keys):
    found = []
    for sentence, query, positions in zip(weights, queries, keys, strict=True):
        counts = torch.zeros(sentence.shape[-1], dtype=sentence.dtype)
        counts[positions] = 1
        found.append(sentence[:, :, query] @ counts)
    return torch.stack(found, dim=-1).mean(dim=-1)


@mean_attention.also_right
def with_short_sentences_filled_up(weights, queries, keys):
    longest = max(sentence.shape[-1] for sentence in weights)
    filled = [F.pad(w, (0, longest - w.shape[-1], 0, longest - w.shape[-1])) for w in weights]
    stacked = torch.stack(filled)  # (N, L, nh, longest, longest)
    rows = stacked[torch.arange(len(weights)), :, :, torch.tensor(queries)]
    counts = torch.zeros(len(weights), longest, dtype=stacked.dtype)
    for s, positions in enumerate(keys):
        counts[s, positions] = 1
    return torch.einsum("nlht,nt->lh", rows, counts) / len(weights)


# logit_lens -------------------------------------------------------------------------------------


def _lens(
    S: int, T: int, C: int, V: int, seed: int, scale: float = 2.0, dtype=torch.float32
) -> tuple:
    """A stream that grows from stage to stage, the final LayerNorm's two rows, and wte."""
    stream = normal(S, T, C, seed=seed, scale=scale, dtype=torch.float64).cumsum(0) + 0.3 * scale
    weight = 1 + normal(C, seed=seed + 1, scale=0.5, dtype=torch.float64)
    bias = normal(C, seed=seed + 2, dtype=torch.float64)
    wte = normal(V, C, seed=seed + 3, dtype=torch.float64)
    return tuple(part.to(dtype) for part in (stream, weight, bias, wte))


# Each stage has mean 3; deviations 1 and 2. Two words, two numbers each.
_LENS_BY_HAND = (
    torch.tensor([[[2.0, 4.0]], [[5.0, 1.0]]]),
    torch.tensor([2.0, 1.0]),
    torch.tensor([0.0, 1.0]),
    torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]),
)
_SMALL = _lens(3, 4, 5, 7, seed=81)

logit_lens = Told(
    inspection.logit_lens,
    lesson="15_looking_inside",
    cases=[
        Case(
            "two stages of one token, three words to say",
            _LENS_BY_HAND,
            rows=("token 0",),
            columns=("word 0", "word 1", "word 2"),
        ),
        Case("three stages, four tokens, five numbers each, seven words", _SMALL),
        Case("vectors whose numbers hardly differ", _lens(3, 2, 6, 5, seed=101, scale=2e-3)),
        Case("one stage", _lens(1, 3, 4, 6, seed=85)),
        Case("one token", _lens(4, 1, 3, 5, seed=89)),
        Case("as many words as numbers in a vector", _lens(2, 3, 4, 4, seed=93)),
        Case("three of everything", _lens(3, 3, 3, 3, seed=97)),
        Case("numbers in the hundreds", _lens(2, 3, 6, 5, seed=105, scale=200.0)),
        Case("float64 stays float64", _lens(2, 3, 5, 7, seed=109, dtype=torch.float64)),
        Case(
            "arguments that do not lie in one piece in memory",
            (
                strided(_SMALL[0]),
                *normal(5, 2, seed=113).unbind(1),
                strided(_SMALL[3]),
            ),
        ),
        Case(
            "the gradients reach the stream, weight, bias and wte",
            _lens(2, 3, 4, 5, seed=117, dtype=torch.float64),
            gradients=True,
        ),
    ],
    properties=[
        Property(
            "one score for each stage, token and word of the vocabulary",
            lambda f: f(*_SMALL).shape == (3, 4, 7),
            of_result=_of_tensor(
                lambda y, stream, weight, bias, wte: y.shape == (*stream.shape[:2], len(wte))
            ),
        ),
        Property(
            "every stage is treated alike: two equal stages give equal scores",
            lambda f: torch.allclose(*_of_two_equal_stages(f), atol=1e-4),
        ),
        Property(
            "a stream that is ten times as large gives the same scores",
            lambda f: torch.allclose(
                f(10 * _SMALL[0], *_SMALL[1:]), f(*_SMALL), rtol=1e-3, atol=1e-3
            ),
        ),
        Property(
            "each token is on its own",
            lambda f: torch.allclose(
                f(*_SMALL)[:, 2:3], f(_SMALL[0][:, 2:3], *_SMALL[1:]), atol=1e-4
            ),
        ),
        Property(
            "with weight 0 every token of every stage gets the same scores, those of the bias",
            lambda f: torch.allclose(
                f(_SMALL[0], torch.zeros(5), *_SMALL[2:]),
                (_SMALL[3] @ _SMALL[2]).expand(3, 4, 7),
                atol=1e-4,
            ),
        ),
        Property(
            "two words with the same row of wte get the same score",
            lambda f: torch.allclose(*_of_two_equal_words(f), atol=1e-5),
        ),
    ],
)


def _of_two_equal_stages(f) -> tuple[Tensor, Tensor]:
    stage = _SMALL[0][1:2]
    first, second = f(torch.cat([stage, stage]), *_SMALL[1:])
    return first, second


def _of_two_equal_words(f) -> tuple[Tensor, Tensor]:
    *rest, wte = _SMALL
    logits = f(*rest, torch.cat([wte, wte[:1]]))
    return logits[..., 0], logits[..., -1]


def _norm(stream, weight, bias, eps=1e-5):
    return F.layer_norm(stream, weight.shape, weight, bias, eps)


@logit_lens.misconception(
    "The final LayerNorm is missing. The output table was trained to read vectors that went "
    "through it; the stream itself has another size at every stage."
)
def forgets_the_norm(stream, weight, bias, wte):
    return stream @ wte.T


@logit_lens.misconception(
    "Only the last stage went through the final LayerNorm. The lens treats every stage as if it "
    "were the last, so each of them needs it."
)
def norms_the_last_stage_only(stream, weight, bias, wte):
    return torch.cat([stream[:-1], _norm(stream[-1:], weight, bias)]) @ wte.T


@logit_lens.misconception(
    "The last stage did not go through the final LayerNorm. It is the stream after the last block; "
    "the LayerNorm comes after it, as for every other stage here."
)
def leaves_the_last_stage_without_its_norm(stream, weight, bias, wte):
    return torch.cat([_norm(stream[:-1], weight, bias), stream[-1:]]) @ wte.T


@logit_lens.misconception(
    "The vectors were normed, but weight and bias were left out. Both belong to the final "
    "LayerNorm: times weight, plus bias."
)
def leaves_out_weight_and_bias(stream, weight, bias, wte):
    return F.layer_norm(stream, weight.shape) @ wte.T


@logit_lens.misconception(
    "The bias of the final LayerNorm is missing: after the weight it is added."
)
def leaves_out_the_bias(stream, weight, bias, wte):
    return F.layer_norm(stream, weight.shape, weight) @ wte.T


@logit_lens.misconception(
    "The weight of the final LayerNorm is missing: the normed vector is multiplied by it, number "
    "by number, before the bias is added."
)
def leaves_out_the_weight(stream, weight, bias, wte):
    return F.layer_norm(stream, weight.shape, None, bias) @ wte.T


@logit_lens.misconception(
    "Weight and bias have changed places: the weight multiplies, the bias is added."
)
def exchanges_the_weight_and_the_bias(stream, weight, bias, wte):
    return _norm(stream, bias, weight) @ wte.T


@logit_lens.misconception(
    "The bias was added before the weight multiplied. The order is: norm, times weight, plus bias."
)
def adds_the_bias_too_early(stream, weight, bias, wte):
    return ((F.layer_norm(stream, weight.shape) + bias) * weight) @ wte.T


@logit_lens.misconception(
    "Weight and bias were applied to the stream, but the norming before them is missing: take away "
    "the mean of each vector, divide by the root of its variance, and only then scale and shift."
)
def scales_without_norming(stream, weight, bias, wte):
    return (stream * weight + bias) @ wte.T


@logit_lens.misconception(
    "The vectors were divided by √(mean of squares) with their mean left in. LayerNorm takes the "
    "mean away first."
)
def leaves_the_mean_in(stream, weight, bias, wte):
    size = (stream.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt()
    return (stream / size * weight + bias) @ wte.T


@logit_lens.misconception(
    "The vectors were only divided by their length. LayerNorm takes away the mean and divides by "
    "the root of the variance."
)
def divides_by_the_length(stream, weight, bias, wte):
    return (F.normalize(stream, dim=-1) * weight + bias) @ wte.T


@logit_lens.misconception(
    "The variance was divided by C - 1 (`x.var()` and `x.std()` do that unless told otherwise). "
    "LayerNorm takes the plain mean of the squares: `correction=0`, as your layer_norm of lesson "
    "09 does."
)
def takes_the_variance_with_one_less(stream, weight, bias, wte):
    centred = stream - stream.mean(-1, keepdim=True)
    normed = centred / (stream.var(-1, keepdim=True) + 1e-5).sqrt()
    return (normed * weight + bias) @ wte.T


@logit_lens.variant(takes_the_variance_with_one_less)
def divides_by_torchs_std(stream, weight, bias, wte):
    centred = stream - stream.mean(-1, keepdim=True)
    return (centred / stream.std(-1, keepdim=True) * weight + bias) @ wte.T


@logit_lens.variant(takes_the_variance_with_one_less)
def divides_by_torchs_std_plus_eps(stream, weight, bias, wte):
    centred = stream - stream.mean(-1, keepdim=True)
    return (centred / (stream.std(-1, keepdim=True) + 1e-5) * weight + bias) @ wte.T


@logit_lens.misconception(
    "eps is missing or does not stand under the root. It shows where the numbers of a vector "
    "hardly differ, as they do early in the stream: √(variance + 1e-5)."
)
def forgets_the_eps(stream, weight, bias, wte):
    return _norm(stream, weight, bias, 0.0) @ wte.T


@logit_lens.variant(forgets_the_eps)
def adds_the_eps_outside_the_root(stream, weight, bias, wte):
    centred = stream - stream.mean(-1, keepdim=True)
    normed = centred / (stream.std(-1, keepdim=True, correction=0) + 1e-5)
    return (normed * weight + bias) @ wte.T


@logit_lens.misconception(
    "Another eps than 1e-5, that of the model's final LayerNorm. It shows where the numbers of a "
    "vector hardly differ, as they do early in the stream."
)
def takes_another_eps(stream, weight, bias, wte):
    return _norm(stream, weight, bias, 1e-6) @ wte.T


@logit_lens.variant(takes_another_eps)
def takes_the_smallest_usual_eps(stream, weight, bias, wte):
    return _norm(stream, weight, bias, 1e-8) @ wte.T


@logit_lens.variant(takes_another_eps)
def takes_a_large_eps(stream, weight, bias, wte):
    return _norm(stream, weight, bias, 1e-3) @ wte.T


@logit_lens.misconception(
    "Mean and variance were taken over all tokens (or over the whole stream) at once. Every vector "
    "is normed on its own: `dim=-1, keepdim=True`."
)
def takes_one_mean_for_the_whole_stream(stream, weight, bias, wte):
    normed = (stream - stream.mean()) / (stream.var(correction=0) + 1e-5).sqrt()
    return (normed * weight + bias) @ wte.T


@logit_lens.variant(takes_one_mean_for_the_whole_stream)
def takes_one_mean_for_each_stage(stream, weight, bias, wte):
    return (F.layer_norm(stream, stream.shape[1:]) * weight + bias) @ wte.T


@logit_lens.misconception(
    "The norm ran over the tokens and not over the numbers of a vector. The last axis is the one: "
    "`dim=-1`."
)
def norms_over_the_tokens(stream, weight, bias, wte):
    normed = F.layer_norm(stream.mT, stream.shape[1:2]).mT
    return (normed * weight + bias) @ wte.T


@logit_lens.misconception(
    "The norm ran over the stages and not over the numbers of a vector. The last axis is the one: "
    "`dim=-1`."
)
def norms_over_the_stages(stream, weight, bias, wte):
    normed = F.layer_norm(stream.movedim(0, -1), stream.shape[:1]).movedim(-1, 0)
    return (normed * weight + bias) @ wte.T


@logit_lens.misconception(
    "wte was not turned. It holds a row for each word of the vocabulary; a vector has to meet "
    "every row: `@ wte.T`."
)
def multiplies_without_turning_wte(stream, weight, bias, wte):
    return _norm(stream, weight, bias) @ wte


def _norm_by_hand(stream, weight, bias):
    """The same numbers by plain arithmetic; its result lies otherwise in memory."""
    centred = stream - stream.mean(-1, keepdim=True)
    variance = (centred**2).mean(-1, keepdim=True)
    return centred / torch.sqrt(variance + 1e-5) * weight + bias


@logit_lens.variant(multiplies_without_turning_wte)
def multiplies_its_own_norm_without_turning_wte(stream, weight, bias, wte):
    return _norm_by_hand(stream, weight, bias) @ wte


@logit_lens.variant(multiplies_without_turning_wte)
def multiplies_the_parts_norm_without_turning_wte(stream, weight, bias, wte):
    return layer_norm(stream, weight, bias) @ wte


@logit_lens.misconception(
    "`ln_f` is a name of a cell further up: the course model's final LayerNorm, 128 numbers wide. "
    "The function gets a `weight` and a `bias` of its own, as wide as its stream; use these."
)
def takes_ln_f_from_the_notebook(stream, weight, bias, wte):
    return _LN_F(stream) @ wte.T


@logit_lens.variant(takes_ln_f_from_the_notebook)
def gives_the_rows_of_ln_f_to_layer_norm(stream, weight, bias, wte):
    return layer_norm(stream, _LN_F.weight, _LN_F.bias) @ wte.T


@logit_lens.variant(takes_ln_f_from_the_notebook)
def gives_the_rows_of_ln_f_to_torchs_layer_norm(stream, weight, bias, wte):
    return _norm(stream, _LN_F.weight, _LN_F.bias) @ wte.T


@logit_lens.variant(takes_ln_f_from_the_notebook)
def norms_each_stage_with_ln_f(stream, weight, bias, wte):
    return torch.stack([_LN_F(stage) @ wte.T for stage in stream])


@logit_lens.variant(takes_ln_f_from_the_notebook)
def norms_each_stage_with_the_rows_of_ln_f(stream, weight, bias, wte):
    return torch.stack([layer_norm(x, _LN_F.weight, _LN_F.bias) @ wte.T for x in stream])


@logit_lens.misconception(
    "It works for a model of 4 layers alone: `L` is a name of a cell further up. Take the number "
    "of stages from the stream (`len(stream)`), or treat all stages at once."
)
def takes_L_from_the_notebook(stream, weight, bias, wte):
    return torch.stack([_norm(stream[s], weight, bias) @ wte.T for s in range(_L + 1)])


@logit_lens.variant(takes_L_from_the_notebook)
def takes_the_stages_before_the_last_block(stream, weight, bias, wte):
    return torch.stack([_norm(stream[s], weight, bias) @ wte.T for s in range(_L)])


@logit_lens.misconception(
    "`reshape` and `view` give wte the right shape but mix its rows. `wte.T` makes each row a "
    "column."
)
def reshapes_wte(stream, weight, bias, wte):
    return _norm(stream, weight, bias) @ wte.reshape(wte.shape[::-1])


@logit_lens.misconception(
    "These are probabilities: the softmax has been taken. The scores before it are asked, so that "
    "the last stage equals the model's logits."
)
def returns_the_probabilities(stream, weight, bias, wte):
    return (_norm(stream, weight, bias) @ wte.T).softmax(-1)


@logit_lens.misconception(
    "These are logarithms of probabilities (log_softmax). The plain scores are asked, so that the "
    "last stage equals the model's logits."
)
def returns_the_log_probabilities(stream, weight, bias, wte):
    return (_norm(stream, weight, bias) @ wte.T).log_softmax(-1)


@logit_lens.misconception(
    "These are the ids of the best words. The scores of all words are asked; `argmax` comes after, "
    "with whoever wants to show them."
)
def returns_the_best_words(stream, weight, bias, wte):
    return (_norm(stream, weight, bias) @ wte.T).argmax(-1)


@logit_lens.misconception(
    "Only the last stage came out. These are the model's own logits; the lens asks every stage."
)
def asks_the_last_stage_only(stream, weight, bias, wte):
    return _norm(stream[-1], weight, bias) @ wte.T


@logit_lens.misconception(
    "Only the last token was asked. The lens gives scores at every position: after each token one "
    "can ask what comes next."
)
def asks_the_last_position_only(stream, weight, bias, wte):
    return _norm(stream[:, -1], weight, bias) @ wte.T


@logit_lens.misconception(
    "Each stage had the stage before it taken away, so this shows what one block added. The lens "
    "reads the whole stream as it stands at each stage."
)
def reads_what_each_block_adds(stream, weight, bias, wte):
    added = stream.diff(dim=0, prepend=torch.zeros_like(stream[:1]))
    return _norm(added, weight, bias) @ wte.T


@logit_lens.misconception(
    "The stages were added up. The stream is a sum already: every stage holds all that came before "
    "it."
)
def adds_up_the_stages(stream, weight, bias, wte):
    return _norm(stream.cumsum(0), weight, bias) @ wte.T


@logit_lens.misconception(
    "The stages were averaged. The lens keeps them apart: a table of scores for each stage."
)
def averages_the_stages(stream, weight, bias, wte):
    return _norm(stream.mean(0), weight, bias) @ wte.T


@logit_lens.misconception(
    "This is the cosine: each row of wte (and the vector) was divided by its own length. The "
    "model's output is the plain dot product."
)
def takes_the_cosine_with_wte(stream, weight, bias, wte):
    return F.normalize(_norm(stream, weight, bias), dim=-1) @ F.normalize(wte, dim=-1).T


@logit_lens.misconception(
    "The rows of wte were divided by their length. The output table is used as it is."
)
def norms_the_rows_of_wte(stream, weight, bias, wte):
    return _norm(stream, weight, bias) @ F.normalize(wte, dim=-1).T


@logit_lens.misconception(
    "The scores were divided by √C. That belongs to queries and keys; the output is the plain dot "
    "product."
)
def divides_the_scores_by_a_root(stream, weight, bias, wte):
    return _norm(stream, weight, bias) @ wte.T / wte.shape[1] ** 0.5


@logit_lens.misconception(
    "The axes of the result are stage, word, token; asked is (S, T, V): stage, token, word."
)
def puts_the_words_before_the_tokens(stream, weight, bias, wte):
    return (_norm(stream, weight, bias) @ wte.T).mT


@logit_lens.misconception(
    "The axes of the result are token, stage, word; asked is (S, T, V): stage, token, word."
)
def puts_the_tokens_before_the_stages(stream, weight, bias, wte):
    return (_norm(stream, weight, bias) @ wte.T).transpose(0, 1)


@logit_lens.misconception(
    "A list came back, with a tensor for each stage. `torch.stack` makes one tensor (S, T, V) of "
    "it."
)
def returns_a_list_of_stages(stream, weight, bias, wte):
    return [_norm(stage, weight, bias) @ wte.T for stage in stream]


@logit_lens.misconception(
    "The stream was changed in place (`-=`, `/=`, `*=`, or a result written into `stream[s]`): "
    "whoever called it still needs it. `stream - …` makes a new one."
)
def norms_the_stream_in_place(stream, weight, bias, wte):
    stream -= stream.mean(-1, keepdim=True)
    stream /= (stream.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt()
    return (stream * weight + bias) @ wte.T


@logit_lens.misconception(
    "Somewhere a .detach(), no_grad, .data, .item() or torch.tensor(...) cut the scores off from "
    "what they were made of: the numbers are right, but no gradient comes through."
)
def cuts_off_the_gradient(stream, weight, bias, wte):
    return (_norm(stream, weight, bias) @ wte.T).detach()


@logit_lens.misconception(
    "The norm is a new nn.LayerNorm, whose weight is 1 and whose bias is 0 (and float32). Give it "
    "the weight and bias of the call: `F.layer_norm(stream, weight.shape, weight, bias)`, or your "
    "own layer_norm."
)
def makes_a_norm_of_its_own(stream, weight, bias, wte):
    return nn.LayerNorm(stream.shape[-1])(stream) @ wte.T


@logit_lens.misconception(
    "The result is float32 whatever came in. Let it have the dtype of the stream."
)
def makes_the_scores_float32(stream, weight, bias, wte):
    return (_norm(stream, weight, bias) @ wte.T).float()


@logit_lens.also_right
def with_torchs_own_norm(stream, weight, bias, wte):
    return F.linear(F.layer_norm(stream, weight.shape, weight, bias), wte)


@logit_lens.also_right
def stage_by_stage(stream, weight, bias, wte):
    stages = []
    for x in stream:
        centred = x - x.mean(dim=-1, keepdim=True)
        variance = (centred**2).mean(dim=-1, keepdim=True)
        stages.append((centred / torch.sqrt(variance + 1e-5) * weight + bias) @ wte.T)
    return torch.stack(stages)


@logit_lens.also_right
def with_einsum(stream, weight, bias, wte):
    variance, mean = torch.var_mean(stream, dim=-1, correction=0, keepdim=True)
    normed = (stream - mean) * torch.rsqrt(variance + 1e-5) * weight + bias
    return torch.einsum("stc,vc->stv", normed, wte)


@logit_lens.also_right
def with_weight_and_bias_moved_into_the_table(stream, weight, bias, wte):
    normed = F.layer_norm(stream, stream.shape[-1:])
    return normed @ (wte * weight).T + wte @ bias


@logit_lens.also_right
def on_one_long_row_of_vectors(stream, weight, bias, wte):
    S, T, C = stream.shape
    x = stream.reshape(S * T, C)
    x = x - x.mean(1, keepdim=True)
    x = x / (x.square().mean(1, keepdim=True) + 1e-5) ** 0.5
    return torch.mm(x * weight + bias, wte.t()).reshape(S, T, len(wte))


EXERCISES = [previous_token_score, mean_attention, logit_lens]
