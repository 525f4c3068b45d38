"""The checks of lesson 07, on answers that they do not list."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gpt2course import checks
from gpt2course.attention import causal_mask, masked_attention
from gpt2course.checks import engine
from gpt2course.checks.attempt import expected_outcomes
from gpt2course.multihead import merge_heads, split_heads


def test_every_property_holds_of_right_answers_and_of_the_results_that_cards_show():
    for name in ("split_heads", "merge_heads", "CausalSelfAttention"):
        exercise = engine.find(name)
        answers = [exercise.reference, *(other.answer for other in exercise.other_answers)]
        for prop in exercise.properties:
            assert all(prop.holds(answer) for answer in answers), prop.claim
            if prop.of_result:
                for case, outcome in zip(exercise.cases, expected_outcomes(exercise), strict=True):
                    assert prop.of_result(outcome.value, *case.args), (prop.claim, case.label)


# split_heads


def split_by_index(x, n_head):
    columns = torch.arange(x.shape[-1]).view(n_head, -1)
    return x[..., columns].movedim(2, 1)


def split_by_unfold(x, n_head):
    hs = x.shape[-1] // n_head
    return x.unfold(-1, hs, hs).permute(0, 2, 1, 3)


def split_by_narrow(x, n_head, dim=-1):
    hs = x.size(dim) // n_head
    return torch.stack([x.narrow(dim, hs * h, hs) for h in range(n_head)], 1)


def split_with_minus_one(x, n_head):
    return x.reshape(x.shape[0], x.shape[1], n_head, -1).swapaxes(1, 2)


def split_as_a_product(x, n_head):
    C = x.shape[-1]
    places = torch.eye(C, dtype=x.dtype).view(C, n_head, C // n_head)
    return torch.einsum("btc,chd->bhtd", x, places)


def split_a_copy(x, n_head):
    x = x.clone()
    x.unsqueeze_(2)
    return torch.cat(x.split(x.shape[-1] // n_head, dim=-1), dim=2).transpose(2, 1).contiguous()


def split_word_by_word(x, n_head):
    return torch.stack([word.view(len(x), n_head, -1) for word in x.unbind(1)], dim=2)


def split_recursively(x, n_head):
    if n_head == 1:
        return x[:, None]
    hs = x.shape[-1] // n_head
    rest = split_recursively(x[..., hs:], n_head - 1)
    return torch.cat((x[:, None, :, :hs], rest), dim=1)


def split_sequence_by_sequence(x, n_head):
    return torch.stack([torch.stack(list(s.tensor_split(n_head, dim=1))) for s in x])


@pytest.mark.parametrize(
    "answer",
    [
        split_by_index,
        split_by_unfold,
        split_by_narrow,
        split_with_minus_one,
        split_as_a_product,
        split_a_copy,
        split_word_by_word,
        split_recursively,
        split_sequence_by_sequence,
    ],
)
def test_right_ways_to_split_pass(answer):
    result = checks.run("split_heads", answer)
    assert result.passed, result.message


def split_in_the_batch_loop_only(x, n_head):
    heads = torch.zeros(x.shape[0], n_head, x.shape[1], x.shape[2] // n_head)
    for h in range(n_head):
        heads[:, h] = x[:, :, h * heads.shape[-1] : (h + 1) * heads.shape[-1]]
    return heads


def split_with_steps(x, n_head):
    return torch.stack([x[:, :, h::n_head] for h in range(n_head)], dim=1)


def columns_of_heads(x, n_head):
    return torch.arange(x.shape[-1]).view(n_head, -1)


def split_and_forget(x, n_head):
    x.view(*x.shape[:2], n_head, -1).permute(0, 2, 1, 3)
    return x


def split_by_numpy_split(x, n_head):
    return torch.tensor(np.stack(np.split(x.detach().numpy(), n_head, axis=-1), axis=1))


@pytest.mark.parametrize(
    ("answer", "mistake"),
    [
        (lambda x, n: x.view(len(x), n, -1, x.shape[2] // n), "reshapes without transposing"),
        (lambda x, n: x.unflatten(-1, (n, -1)), "leaves the heads behind the positions"),
        (split_with_steps, "hands out the columns in turn"),
        (lambda x, n: x.mT.unflatten(1, (n, -1)), "turns positions and columns round"),
        (lambda x, n: torch.stack(x.split(n, dim=-1), 1), "takes n head for the width of a head"),
        (lambda x, n: torch.stack(torch.chunk(x, n, 1), 1), "shares out the words"),
        (lambda x, n: torch.stack(x.tensor_split(n, -1)), "puts the heads in front of the batch"),
        (lambda x, n: x.unflatten(-1, (n, -1)).mT, "puts the heads last"),
        (lambda x, n: x.unflatten(-1, (n, -1)).swapaxes(0, 1), "exchanges axes 0 and 1"),
        (lambda x, n: torch.chunk(x, n, dim=-1), "returns a tuple of heads"),
        (lambda x, n: x[:, :, 0 : x.shape[2] // n], "stops at the first head"),
        (lambda x, n: torch.stack([x] * n, 1), "gives every head all the columns"),
        (
            lambda x, n: torch.stack([s[:, c] for s in x for c in columns_of_heads(x, n)]),
            "puts batch and heads on one axis",
        ),
        (lambda x, n: x.view(*x.shape[:2], n, 64).mT, "writes 64 for the width of a head"),
        (
            lambda x, n: x.view(*x.shape[:2], n, x.shape[2]).transpose(1, 2),
            "forgets to divide the width",
        ),
        (
            lambda x, n: x.view(*x.shape[:2], n, x.shape[2] / n).transpose(1, 2),
            "divides with a single slash",
        ),
        (lambda x, n: x.mT.reshape(len(x), n, x.shape[1], -1), "turns first and cuts then"),
        (split_in_the_batch_loop_only, "always float32"),
        (split_by_numpy_split, "cuts the gradient"),
        (split_and_forget, "does not keep the new tensors"),
    ],
)  # fmt: skip
def test_wrong_ways_to_split_are_named(answer, mistake):
    result = checks.run("split_heads", answer)
    assert (result.passed, result.misconception) == (False, mistake), result.message


@pytest.mark.parametrize(
    "answer",
    [
        lambda x, n: split_heads(x, n).flip(1),
        lambda x, n: split_heads(x, n).flip(2),
        lambda x, n: split_heads(x, n).roll(1, dims=-1),
        lambda x, n: split_heads(x, n) / n,
        lambda x, n: split_heads(x, n)[:1],
        lambda x, n: split_heads(x, n).half().to(x.dtype),
        lambda x, n: split_heads(x, 2),
        lambda x, n: split_heads(x, n)[:, :2],
        lambda x, n: x,
        lambda x, n: split_heads(x, n).numpy(),
        lambda x, n: split_heads(x, n).tolist(),
        lambda x, n: split_heads(x, n) if len(x) == 1 else split_heads(x.flip(0), n),
        lambda x, n: torch.stack([x[..., h : h + x.shape[2] // n] for h in range(n)], 1),
    ],
)
def test_other_wrong_ways_to_split_do_not_pass(answer):
    assert not checks.run("split_heads", answer).passed


def test_heads_in_reverse_order_are_told_what_holds_and_what_does_not():
    message = checks.run("split_heads", lambda x, n: split_heads(x, n).flip(1)).message
    assert "✓ holds: every number of x is there once" in message
    assert "✗ does not hold: the first head holds the first hs columns" in message


def test_the_target_of_split_heads_can_be_followed_by_hand():
    def split_heads(x, n_head):
        raise NotImplementedError("your turn")

    message = checks.run("split_heads", split_heads).message
    assert " robot  11.00  12.00  13.00\n  must  21.00  22.00  23.00" in message


# merge_heads


def merge_by_concatenating_two_at_a_time(x):
    merged = x[:, 0]
    for h in range(1, x.shape[1]):
        merged = torch.cat((merged, x[:, h]), dim=2)
    return merged


def merge_by_hstack(x):
    return torch.stack([torch.hstack(tuple(heads)) for heads in x])


def merge_with_minus_one(x):
    return x.swapaxes(1, 2).reshape(x.shape[0], x.shape[2], -1)


def merge_as_a_product(x):
    _, nh, _, hs = x.shape
    places = torch.eye(nh * hs, dtype=x.dtype).view(nh, hs, nh * hs)
    return torch.einsum("bhtd,hdc->btc", x, places)


def merge_by_index(x):
    B, nh, T, hs = x.shape
    column = torch.arange(nh * hs)
    return x[:, column // hs, :, column % hs].permute(1, 2, 0)


def merge_by_movedim(x):
    return x.movedim(1, 2).flatten(-2)


def merge_through_columns(x):
    return x.transpose(2, 3).flatten(1, 2).transpose(1, 2)


def merge_a_copy(x):
    x = x.clone().transpose_(1, 2)
    return x.reshape(*x.shape[:2], x.shape[2] * x.shape[3])


def merge_with_unsafe_names(x):
    b, h, t, d = x.size()
    out = torch.empty(b, t, h * d, dtype=x.dtype)
    for i in range(t):
        out[:, i, :] = x[:, :, i, :].reshape(b, h * d)
    return out


@pytest.mark.parametrize(
    "answer",
    [
        merge_by_concatenating_two_at_a_time,
        merge_by_hstack,
        merge_with_minus_one,
        merge_as_a_product,
        merge_by_index,
        merge_by_movedim,
        merge_through_columns,
        merge_a_copy,
        merge_with_unsafe_names,
    ],
)
def test_right_ways_to_merge_pass(answer):
    result = checks.run("merge_heads", answer)
    assert result.passed, result.message


def merge_overwriting(x):
    for h in range(x.shape[1]):
        merged = x[:, h]
    return merged


def merge_returning_in_the_loop(x):
    merged = []
    for h in range(x.shape[1]):
        merged.append(x[:, h])
        return torch.cat(merged, dim=-1)


def split_as_in_the_lesson(x, n_head):
    B, T, C = x.shape
    return x.reshape(B, T, n_head, C // n_head).transpose(1, 2)


def merge_into_float32(x):
    B, nh, T, hs = x.shape
    merged = torch.zeros(B, T, nh * hs)
    for h in range(nh):
        merged[:, :, h * hs : (h + 1) * hs] = x[:, h]
    return merged


@pytest.mark.parametrize(
    ("answer", "mistake"),
    [
        (lambda x: x.reshape(len(x), x.shape[2], -1), "reshapes without transposing"),
        (
            lambda x: x.permute(0, 2, 1, 3).view(len(x), x.shape[2], x.shape[1] * x.shape[3]),
            "views what has just been transposed",
        ),
        (lambda x: x.permute(0, 2, 1, 3), "leaves the heads apart"),
        (lambda x: torch.stack(x.unbind(1), -1).flatten(2), "shuffles the columns together"),
        (lambda x: sum(x.unbind(1)), "adds the heads up"),
        (lambda x: sum(x.unbind(1)) / x.shape[1], "takes the mean of the heads"),
        (lambda x: x.flatten(1, 2), "puts the heads below each other"),
        (lambda x: x.reshape(-1, *x.shape[2:]), "puts the heads into the batch"),
        (lambda x: x.mT.flatten(1, 2), "turns positions and columns round"),
        (lambda x: x.mT.reshape(len(x), x.shape[2], -1), "exchanges the last two axes"),
        (
            lambda x: x.swapaxes(0, 1).reshape(len(x), x.shape[2], -1),
            "exchanges axes 0 and 1",
        ),
        (lambda x: x.flatten(2), "takes axis 1 for the positions"),
        (merge_overwriting, "keeps only the last head"),
        (merge_returning_in_the_loop, "stops at the first head"),
        (lambda x: torch.cat(x.unbind(1)[::-1], -1), "starts with the last head"),
        (lambda x: x.transpose(1, 2).flatten(2).flatten(0, 1), "loses the batch"),
        (lambda x: x.transpose(1, 2).reshape(len(x), -1), "flattens too much"),
        (lambda x: torch.stack(tuple(x.unbind(1)), dim=3), "stacks where it should join"),
        (merge_into_float32, "always float32"),
        (lambda x: merge_heads(x[:1]), "takes the first sequence alone"),
        (lambda x: torch.cat(x.unbind(), -1), "loops over the batch"),
        (lambda x: split_as_in_the_lesson(x, 1), "unpacks three sizes where x has four"),
        (lambda x: x.unsqueeze(1), "splits where it should merge"),
        (lambda x: torch.tensor(merge_heads(x).tolist(), dtype=x.dtype), "cuts the gradient"),
    ],
)  # fmt: skip
def test_wrong_ways_to_merge_are_named(answer, mistake):
    result = checks.run("merge_heads", answer)
    assert (result.passed, result.misconception) == (False, mistake), result.message


@pytest.mark.parametrize(
    "answer",
    [
        lambda x: merge_heads(x).flip(0),
        lambda x: merge_heads(x).flip(1),
        lambda x: merge_heads(x) * x.shape[1],
        lambda x: x.amax(1),
        lambda x: merge_heads(x[:, :2]),
        lambda x: merge_heads(x).half().to(x.dtype),
        lambda x: merge_heads(x).squeeze(0),
        lambda x: merge_heads(x).tolist(),
        lambda x: merge_heads(x[:1]),
        lambda x: x,
        lambda x: merge_heads(x.transpose_(2, 3).transpose(2, 3)),
        lambda x: merge_heads(x).unsqueeze(1),
        lambda x: torch.cat([x[:, h] / (h + 1) for h in range(x.shape[1])], -1),
    ],
)
def test_other_wrong_ways_to_merge_do_not_pass(answer):
    assert not checks.run("merge_heads", answer).passed


# CausalSelfAttention


class Plain(nn.Module):
    """A right answer in steps of its own, which the wrong ones below change."""

    def __init__(self, n_embd, n_head):
        super().__init__()
        self.n_head, self.n_embd = n_head, n_embd
        self.c_attn = nn.Linear(n_embd, n_embd * 3)
        self.c_proj = nn.Linear(n_embd, n_embd)

    def heads(self, x):
        q, k, v = torch.split(self.c_attn(x), self.n_embd, dim=-1)
        return tuple(split_heads(part, self.n_head) for part in (q, k, v))

    def forward(self, x):
        return self.c_proj(merge_heads(masked_attention(*self.heads(x))))


class WithDropoutAndABias(nn.Module):
    def __init__(self, n_embd, n_head, dropout=0.1):
        super().__init__()
        self.c_attn = nn.Linear(n_embd, 3 * n_embd, bias=True)
        self.c_proj = nn.Linear(n_embd, n_embd, bias=True)
        self.attn_dropout, self.resid_dropout = nn.Dropout(dropout), nn.Dropout(dropout)
        self.n_head = n_head
        self.register_buffer("bias", torch.tril(torch.ones(64, 64)).view(1, 1, 64, 64))

    def forward(self, x):
        B, T, C = x.size()
        q, k, v = self.c_attn(x).split(C, dim=2)
        k = k.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
        q = q.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
        v = v.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
        att = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
        att = att.masked_fill(self.bias[:, :, :T, :T] == 0, float("-inf"))
        att = self.attn_dropout(F.softmax(att, dim=-1))
        y = (att @ v).transpose(1, 2).contiguous().view(B, T, C)
        return self.resid_dropout(self.c_proj(y))


class BareParameters(nn.Module):
    class Layer(nn.Module):
        def __init__(self, n_in, n_out):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(n_out, n_in) * 0.02)
            self.bias = nn.Parameter(torch.zeros(n_out))

        def forward(self, x):
            return x @ self.weight.T + self.bias

    def __init__(self, n_embd, n_head):
        super().__init__()
        self.n_head = n_head
        self.c_attn, self.c_proj = self.Layer(n_embd, 3 * n_embd), self.Layer(n_embd, n_embd)

    def forward(self, x):
        parts = self.c_attn(x).chunk(3, -1)
        y = masked_attention(*(split_heads(part, self.n_head) for part in parts))
        return self.c_proj(merge_heads(y))


class TorchsOwnFunction(Plain):
    def forward(self, x):
        T = x.shape[1]
        by_word = x.transpose(0, 1)
        y, _ = F.multi_head_attention_forward(
            by_word,
            by_word,
            by_word,
            self.n_embd,
            self.n_head,
            self.c_attn.weight,
            self.c_attn.bias,
            None,
            None,
            False,
            0.0,
            self.c_proj.weight,
            self.c_proj.bias,
            training=self.training,
            need_weights=False,
            attn_mask=~causal_mask(T, T),
        )
        return y.transpose(0, 1)


class MaskAfterTheSoftmaxAndShareOutAgain(Plain):
    def forward(self, x):
        q, k, v = self.heads(x)
        weights = (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1).tril()
        return self.c_proj(merge_heads(weights / weights.sum(-1, keepdim=True) @ v))


class AddsAMaskOfALargeNumber(Plain):
    def forward(self, x):
        q, k, v = self.heads(x)
        T = x.shape[1]
        added = torch.triu(torch.full((T, T), -1e4, dtype=x.dtype), 1)
        scores = q @ k.mT / torch.sqrt(torch.tensor(q.shape[-1])) + added
        return self.c_proj(merge_heads(F.softmax(scores, -1) @ v))


class AddsMinusInfinityInPlace(Plain):
    def forward(self, x):
        q, k, v = self.heads(x)
        scores = q.mul(q.shape[-1] ** -0.5) @ k.transpose(2, 3)
        scores += torch.full(scores.shape[-2:], -torch.inf).triu_(1).to(x.dtype)
        scores -= scores.amax(-1, keepdim=True).detach()
        weights = scores.exp()
        return self.c_proj(merge_heads(weights / weights.sum(-1, keepdim=True) @ v))


class ThreeSlicesOfOneMatrix(Plain):
    def forward(self, x):
        C = self.n_embd
        w, b = self.c_attn.weight, self.c_attn.bias
        q, k, v = (F.linear(x, w[i * C :][:C], b[i * C :][:C]) for i in range(3))
        heads = (split_heads(part, self.n_head) for part in (q, k, v))
        return self.c_proj(merge_heads(masked_attention(*heads)))


class AddsUpWhatEachHeadProjects(Plain):
    def forward(self, x):
        hs = self.n_embd // self.n_head
        y = masked_attention(*self.heads(x))
        parts = (
            y[:, h] @ self.c_proj.weight[:, h * hs : (h + 1) * hs].T for h in range(self.n_head)
        )
        return sum(parts) + self.c_proj.bias


class WordByWord(Plain):
    def forward(self, x):
        q, k, v = self.heads(x)
        rows = []
        for t in range(x.shape[1]):
            seen = slice(0, t + 1)
            rows.append(
                F.scaled_dot_product_attention(q[:, :, t : t + 1], k[:, :, seen], v[:, :, seen])
            )
        return self.c_proj(merge_heads(torch.cat(rows, dim=2)))


class BatchAndHeadsOnOneAxis(Plain):
    def forward(self, x):
        B, T, C = x.shape
        q, k, v = (part.flatten(0, 1) for part in self.heads(x))
        scores = torch.bmm(q, k.transpose(1, 2)).div(math.sqrt(C // self.n_head))
        scores.masked_fill_(torch.ones(T, T, dtype=torch.bool).triu(1), -math.inf)
        y = torch.bmm(scores.softmax(2), v).view(B, self.n_head, T, -1)
        return self.c_proj(merge_heads(y))


class KeepsItsMaskWhileItFits(Plain):
    mask = None

    def forward(self, x, past=None):
        T = x.shape[1]
        if self.mask is None or len(self.mask) != T:
            self.mask = torch.ones(T, T).tril().bool()
        y = F.scaled_dot_product_attention(*self.heads(x), attn_mask=self.mask)
        return self.c_proj(merge_heads(y))


@pytest.mark.parametrize(
    "answer",
    [
        Plain,
        WithDropoutAndABias,
        BareParameters,
        TorchsOwnFunction,
        MaskAfterTheSoftmaxAndShareOutAgain,
        AddsAMaskOfALargeNumber,
        AddsMinusInfinityInPlace,
        ThreeSlicesOfOneMatrix,
        AddsUpWhatEachHeadProjects,
        WordByWord,
        BatchAndHeadsOnOneAxis,
        KeepsItsMaskWhileItFits,
    ],
)
def test_right_modules_pass(answer):
    result = checks.run("CausalSelfAttention", answer)
    assert result.passed, result.message


def module_with(attend):
    """A class that differs from Plain in what it makes of its heads: attend(q, k, v)."""

    class CausalSelfAttention(Plain):
        def forward(self, x):
            return self.c_proj(merge_heads(attend(*self.heads(x))))

    return CausalSelfAttention


def module_with_layers(**layers):
    """A class with layers of these names, each from (n_in, n_out) in units of n_embd."""

    class CausalSelfAttention(nn.Module):
        def __init__(self, n_embd, n_head):
            super().__init__()
            for name, (n_in, n_out) in layers.items():
                setattr(self, name, nn.Linear(n_in * n_embd, n_out * n_embd))

        def forward(self, x):
            return x

    return CausalSelfAttention


class LosesTheMaskedScores(Plain):
    def forward(self, x):
        q, k, v = self.heads(x)
        scores = q @ k.mT / math.sqrt(q.shape[-1])
        scores.masked_fill(~causal_mask(x.shape[1], x.shape[1]), -math.inf)
        return self.c_proj(merge_heads(scores.softmax(-1) @ v))


class CutsKeyQueryValue(Plain):
    def heads(self, x):
        q, k, v = super().heads(x)
        return k, q, v


class CutsByReshapingPerHead(Plain):
    def heads(self, x):
        B, T, C = x.shape
        qkv = self.c_attn(x).view(B, T, self.n_head, 3 * C // self.n_head)
        return tuple(part.transpose(1, 2) for part in qkv.chunk(3, dim=-1))


class ScalesByTheWholeWidth(Plain):
    def forward(self, x):
        q, k, v = self.heads(x)
        return self.c_proj(
            merge_heads(
                F.scaled_dot_product_attention(
                    q, k, v, is_causal=True, scale=1 / math.sqrt(x.shape[-1])
                )
            )
        )


class CutsByThree(Plain):
    def forward(self, x):
        q, k, v = self.c_attn(x).split(3, dim=2)
        return self.c_proj(merge_heads(masked_attention(*(self.cut(p) for p in (q, k, v)))))

    def cut(self, part):
        B, T, C = part.shape
        return part.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)


class CutsByThreeOnTheWay(CutsByThree):
    def forward(self, x):
        q, k, v = (self.cut(part) for part in self.c_attn(x).split(3, dim=-1))
        return self.c_proj(merge_heads(masked_attention(q, k, v)))


class OneHeadOnly(Plain):
    def forward(self, x):
        q, k, v = self.c_attn(x).chunk(3, -1)
        return self.c_proj(masked_attention(q, k, v))


class ViewsBothWays(Plain):
    def forward(self, x):
        B, T, C = x.shape
        parts = self.c_attn(x).chunk(3, -1)
        q, k, v = (p.reshape(B, self.n_head, T, C // self.n_head) for p in parts)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.c_proj(y.reshape(B, T, C))


class NoTransposeOnTheWayBack(Plain):
    def forward(self, x):
        y = masked_attention(*self.heads(x))
        return self.c_proj(y.reshape(x.shape))


class ViewAfterTranspose(Plain):
    def forward(self, x):
        y = masked_attention(*self.heads(x)).contiguous()
        return self.c_proj(y.transpose(1, 2).view(x.shape))


class NoProjection(Plain):
    def forward(self, x):
        return merge_heads(masked_attention(*self.heads(x)))


class Residual(Plain):
    def forward(self, x):
        return super().forward(x) + x


class FillsFloat32(Plain):
    def forward(self, x):
        heads = self.heads(x)
        found = torch.zeros(x.shape)
        hs = self.n_embd // self.n_head
        for h in range(self.n_head):
            q, k, v = (part[:, h] for part in heads)
            found[..., h * hs : (h + 1) * hs] = masked_attention(q, k, v)
        return self.c_proj(found)


class MaskOfTheFirstCall(Plain):
    def forward(self, x):
        if not hasattr(self, "hidden"):
            self.hidden = ~causal_mask(x.shape[1], x.shape[1])
        q, k, v = self.heads(x)
        scores = (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(self.hidden, -math.inf)
        return self.c_proj(merge_heads(scores.softmax(-1) @ v))


class MaskOfTheWidth(Plain):
    def __init__(self, n_embd, n_head):
        super().__init__(n_embd, n_head)
        self.register_buffer("mask", torch.tril(torch.ones(n_embd, n_embd)))

    def forward(self, x):
        q, k, v = self.heads(x)
        T = x.shape[1]
        scores = q @ k.mT / math.sqrt(q.shape[-1])
        scores = scores.masked_fill(self.mask[:T, :T] == 0, -math.inf)
        return self.c_proj(merge_heads(scores.softmax(-1) @ v))


class NoGradient(Plain):
    @torch.no_grad()
    def forward(self, x):
        return super().forward(x)


class ForgetsSuper(nn.Module):
    def __init__(self, n_embd, n_head):
        self.c_proj = nn.Linear(n_embd, n_embd)


class ForgetsSelf(Plain):
    def forward(self, x):
        return c_proj(x)


@pytest.mark.parametrize(
    ("answer", "mistake"),
    [
        (LosesTheMaskedScores, "forgets the mask"),
        (module_with(F.scaled_dot_product_attention), "forgets the mask"),
        (CutsKeyQueryValue, "exchanges queries and keys"),
        (CutsByReshapingPerHead, "splits into heads before cutting in three"),
        (ScalesByTheWholeWidth, "divides by the root of n embd"),
        (OneHeadOnly, "attends with a single head"),
        (ViewsBothWays, "reshapes into heads without transposing"),
        (NoTransposeOnTheWayBack, "merges without transposing"),
        (ViewAfterTranspose, "views what has just been transposed"),
        (NoProjection, "forgets c proj"),
        (Residual, "adds x to the result"),
        (FillsFloat32, "fills a float32 tensor on the way"),
        (MaskOfTheFirstCall, "keeps the mask of the first call"),
        (MaskOfTheWidth, "makes the mask as wide as n embd"),
        (NoGradient, "cuts the gradient"),
        (ForgetsSuper, "forgets to call super init"),
        (ForgetsSelf, "uses a name that is not defined"),
        (
            module_with(lambda q, k, v: masked_attention(q * q.shape[-1] ** 0.5, k, v)),
            "forgets the scale",
        ),
        (
            module_with(lambda q, k, v: masked_attention(q, k / q.shape[-1] ** 0.5, v)),
            "divides by hs",
        ),
        (module_with(lambda q, k, v: masked_attention(q, k, k)), "blends the keys"),
        (
            module_with(lambda q, k, v: (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1).tril() @ v),
            "masks after the softmax",
        ),
        (
            module_with(lambda q, k, v: (q @ k.mT / q.shape[-1] ** 0.5).tril().softmax(-1) @ v),
            "hides with a score of zero",
        ),
        (
            module_with(lambda q, k, v: (q @ k.mT / q.shape[-1] ** 0.5).tril() @ v),
            "forgets the softmax",
        ),
        (module_with_layers(c_attn=(1, 1), c_proj=(1, 1)), "makes c attn as wide as x"),
        (
            module_with_layers(q=(1, 1), k=(1, 1), v=(1, 1), c_proj=(1, 1)),
            "makes three projections",
        ),
        (module_with_layers(qkv=(1, 3), proj=(1, 1)), "calls its layers otherwise"),
        (module_with_layers(c_attn=(1, 3)), "has no c proj"),
        (module_with_layers(), "hides its layers in a list"),
        (CutsByThree, "cuts pieces of three columns"),
        (CutsByThreeOnTheWay, "cuts pieces of three columns"),
    ],
)  # fmt: skip
def test_wrong_modules_are_named(answer, mistake):
    result = checks.run("CausalSelfAttention", answer)
    assert (result.passed, result.misconception) == (False, mistake), result.message


class BatchForPositions(Plain):
    def forward(self, x):
        return super().forward(x.transpose(0, 1)).transpose(0, 1)


class AlwaysDrops(Plain):
    def forward(self, x):
        return F.dropout(super().forward(x), 0.1)


class AlwaysTwoHeads(Plain):
    def __init__(self, n_embd, n_head):
        super().__init__(n_embd, 1 if n_embd % 2 else 2)


class TransposesTheSquareMatrixOnly(Plain):
    def forward(self, x):
        y = merge_heads(masked_attention(*self.heads(x)))
        return y @ self.c_proj.weight + self.c_proj.bias


class ForgetsTheBiasOfCProj(Plain):
    def forward(self, x):
        return super().forward(x) - self.c_proj.bias


class ChangesItsWeights(Plain):
    def forward(self, x):
        y = super().forward(x)
        self.c_proj.weight.data *= 1.01
        return y


class RemembersKeys(Plain):
    past = None

    def heads(self, x):
        q, k, v = super().heads(x)
        if self.past:
            k, v = torch.cat((self.past[0], k), 2), torch.cat((self.past[1], v), 2)
        self.past = k, v
        return q, k, v


class StoresHalf(Plain):
    def forward(self, x):
        return super().forward(x).half().to(x.dtype)


class ScoresInBfloat16(Plain):
    def forward(self, x):
        q, k, v = self.heads(x)
        scores = (q.bfloat16() @ k.bfloat16().mT).to(x.dtype) / math.sqrt(q.shape[-1])
        scores = scores.masked_fill(~causal_mask(x.shape[1], x.shape[1]), -math.inf)
        return self.c_proj(merge_heads(scores.softmax(-1) @ v))


@pytest.mark.parametrize(
    "answer",
    [
        BatchForPositions,
        AlwaysDrops,
        AlwaysTwoHeads,
        TransposesTheSquareMatrixOnly,
        ForgetsTheBiasOfCProj,
        ChangesItsWeights,
        RemembersKeys,
        StoresHalf,
        ScoresInBfloat16,
        nn.MultiheadAttention,
        module_with_layers(c_attn=(1, 3), c_proj=(1, 1), gate=(1, 1)),
        module_with_layers(c_attn=(1, 3), c_proj=(1, 1)),
        lambda n_embd, n_head: masked_attention,
        module_with(lambda q, k, v: v),
        module_with(lambda q, k, v: v.cumsum(-2)),
        module_with(lambda q, k, v: masked_attention(q, k, v).flip(1)),
        module_with(lambda q, k, v: masked_attention(q.clamp(-1, 1), k, v)),
        module_with(lambda q, k, v: masked_attention(F.normalize(q, dim=-1), k, v)),
        module_with(lambda q, k, v: masked_attention(q, k[:, :1].expand_as(k), v)),
        module_with(lambda q, k, v: masked_attention(q, k, v.detach())),
        module_with(lambda q, k, v: masked_attention(q.detach(), k, v)),
    ],
)
def test_other_wrong_modules_do_not_pass(answer):
    assert not checks.run("CausalSelfAttention", answer).passed


def test_a_module_with_other_names_is_still_asked_for_its_properties():
    properties = checks.run(
        "CausalSelfAttention", module_with_layers(first=(1, 3), second=(1, 1))
    ).properties
    held = dict(properties)
    assert held["all numbers are finite"] and held["the result has the shape of x"]
    assert not held["earlier words do change a later result"]


def test_layers_of_the_notebook_in_place_of_its_own_break_no_other_claim():
    c_attn, c_proj = nn.Linear(6, 18), nn.Linear(6, 6)

    class CausalSelfAttention(nn.Module):
        def __init__(self, n_embd, n_head):
            super().__init__()
            self.n_head = n_head
            self.c_attn, self.c_proj = nn.Linear(n_embd, 3 * n_embd), nn.Linear(n_embd, n_embd)

        def forward(self, x):
            q, k, v = (split_heads(part, self.n_head) for part in c_attn(x).chunk(3, dim=-1))
            return c_proj(merge_heads(masked_attention(q, k, v)))

    result = engine.run("CausalSelfAttention", CausalSelfAttention)
    broken = [claim for claim, holds in result.properties if not holds]
    assert result.misconception is None
    assert broken == ["it works for any number of columns and heads"]


def test_weights_that_do_not_sum_to_1_show_in_a_property():
    def attend(q, k, v):
        return 0.5 * masked_attention(q, k, v) + 0.1 * v.cumsum(-2)

    held = dict(checks.run("CausalSelfAttention", module_with(attend)).properties)
    assert not held["where all words are alike, so are the results"]
    assert held["later words do not change an earlier result"]


def test_what_is_kept_from_the_first_call_shows_in_the_second():
    result = checks.run("CausalSelfAttention", ChangesItsWeights)
    assert result.case.label == "a second call, with the first two words alone"
    assert ("a second call knows nothing of the first", False) in result.properties


def test_an_untouched_class_shows_the_parameters_that_are_wanted():
    class CausalSelfAttention(nn.Module):
        def __init__(self, n_embd, n_head):
            raise NotImplementedError("your turn")

    result = checks.run("CausalSelfAttention", CausalSelfAttention)
    assert result.status == "not_started"
    assert "'c_attn.weight': (18, 6)" in result.message


def test_a_misspelt_forward_is_named():
    class CausalSelfAttention(nn.Module):
        def __init__(self, n_embd, n_head):
            super().__init__()
            self.c_attn, self.c_proj = nn.Linear(n_embd, 3 * n_embd), nn.Linear(n_embd, n_embd)

        def foward(self, x):
            return self.c_proj(self.c_attn(x))

    assert checks.run("CausalSelfAttention", CausalSelfAttention).misconception == "has no forward"


def test_a_class_with_its_layers_and_no_forward_yet_shows_the_learners_line():
    class CausalSelfAttention(nn.Module):
        def __init__(self, n_embd, n_head):
            super().__init__()
            self.c_attn, self.c_proj = nn.Linear(n_embd, 3 * n_embd), nn.Linear(n_embd, n_embd)

        def forward(self, x):
            raise NotImplementedError("your turn")

    result = checks.run("CausalSelfAttention", CausalSelfAttention)
    assert (result.status, result.misconception) == ("error", None)
    assert 'raise NotImplementedError("your turn")' in result.message
