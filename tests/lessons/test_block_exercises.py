"""Answers to lesson 09 that are listed nowhere: what the checks of layer_norm and Block say."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gpt2course import block, checks
from gpt2course.block import LayerNorm
from gpt2course.mlp import MLP, gelu
from gpt2course.multihead import CausalSelfAttention, split_heads

# layer_norm: right in other ways


def with_the_module(x, weight, bias, eps=1e-5):
    norm = nn.LayerNorm(x.shape[-1], eps=eps, dtype=x.dtype)
    return torch.func.functional_call(norm, {"weight": weight, "bias": bias}, (x,))


def unbiased_and_put_right(x, weight, bias, eps=1e-5):
    C = x.shape[-1]
    variance = x.var(dim=-1, keepdim=True) * (C - 1) / C
    return weight * (x - x.mean(dim=-1, keepdim=True)) / (variance + eps).sqrt() + bias


def by_cases_of_axes(x, weight, bias, eps=1e-5):
    if x.ndim > 1:
        return torch.stack([by_cases_of_axes(part, weight, bias, eps) for part in x])
    centred = x - torch.mean(x)
    return centred * (centred.dot(centred) / len(x) + eps) ** -0.5 * weight + bias


def by_vmap(x, weight, bias, eps=1e-5):
    def one(row):
        return (row - row.mean()) / torch.sqrt(row.var(unbiased=False) + eps)

    rows = torch.vmap(one)(x.reshape(-1, x.shape[-1]))
    return rows.reshape(x.shape) * weight + bias


def in_float64_inside(x, weight, bias, eps=1e-5):
    wide = x.double()
    variance = (wide**2).mean(-1, keepdim=True) - wide.mean(-1, keepdim=True) ** 2
    normed = (wide - wide.mean(-1, keepdim=True)) / torch.sqrt(variance + eps)
    return (normed * weight + bias).to(x.dtype)


def in_place_on_a_copy(x, weight, bias, eps=1e-5):
    y = x - x.mean(-1, keepdim=True)
    y = y / (y.pow(2).mean(-1, keepdim=True) + eps).sqrt()
    y = y.mul(weight)
    y += bias
    return y


def with_the_last_axis_in_front(x, weight, bias, eps=1e-5):
    y = x.movedim(-1, 0)
    y = (y - y.mean(0)) / torch.sqrt(y.var(0, correction=0) + eps)
    return y.movedim(0, -1) * weight + bias


def by_sums(x, weight, bias, eps=1e-5):
    C = x.size(-1)
    mean = torch.einsum("...c->...", x)[..., None] / C
    distance = x - mean
    variance = torch.einsum("...c,...c->...", distance, distance)[..., None] / C
    return torch.einsum("...c,c->...c", distance / (variance + eps) ** 0.5, weight) + bias


def with_std_under_the_root(x, weight, bias, eps=1e-5):
    centred = x - x.mean(dim=-1, keepdim=True)
    deviation = torch.std(x, dim=-1, keepdim=True, correction=0)
    return centred * torch.rsqrt(deviation * deviation + eps) * weight + bias


def with_eps_unnamed_and_more(x, weight, bias, eps=1e-5, extra=None):
    return F.layer_norm(x, weight.shape, weight, bias, eps)


RIGHT_NORMS = [
    with_the_module,
    unbiased_and_put_right,
    by_cases_of_axes,
    by_vmap,
    in_float64_inside,
    in_place_on_a_copy,
    with_the_last_axis_in_front,
    by_sums,
    with_std_under_the_root,
    with_eps_unnamed_and_more,
]


@pytest.mark.parametrize("answer", RIGHT_NORMS)
def test_layer_norm_right_in_another_way_passes(answer):
    result = checks.run("layer_norm", answer)
    assert result.passed, result.message


# layer_norm: wrong in other code


def centre(x):
    return x - x.mean(-1, keepdim=True)


def norm(x, eps=1e-5):
    return F.layer_norm(x, x.shape[-1:], eps=eps)


def one_pass_by_sums(x, w, b, eps=1e-5):
    C = x.shape[-1]
    total, squares = x.sum(-1, keepdim=True), (x * x).sum(-1, keepdim=True)
    return (x - total / C) / (squares / C - (total / C) ** 2 + eps).sqrt() * w + b


def mutating_method(x, w, b, eps=1e-5):
    x.sub_(x.mean(-1, keepdim=True))
    x.div_(x.pow(2).mean(-1, keepdim=True).add(eps).sqrt())
    return x.mul(w).add(b)


def through_numpy(x, w, b, eps=1e-5):
    a = x.detach().numpy()
    a = (a - a.mean(-1, keepdims=True)) / np.sqrt(a.var(-1, keepdims=True) + eps)
    return torch.from_numpy(a) * w.detach() + b.detach()


WRONG_NORMS = [
    (lambda x, w, b, eps=1e-5: centre(x) / (x.var(-1, keepdim=True) + eps).sqrt() * w + b,
     "divides the variance by one less"),
    (lambda x, w, b, eps=1e-5: centre(x) / (x.var(-1, correction=0, keepdim=True) ** 0.5 + eps)
     * w + b, "adds eps outside the root"),
    (lambda x, w, b, eps=1e-5: centre(x) * x.var(-1, correction=0, keepdim=True).rsqrt() * w + b,
     "forgets eps"),
    (lambda x, w, b, eps=1e-5: F.rms_norm(x, x.shape[-1:], w, eps) + b,
     "divides by the root mean square"),
    (lambda x, w, b, eps=1e-5: F.layer_norm(x, w.shape, w, b), "ignores the eps that is given"),
    (lambda x, w, b, eps=1e-5: F.layer_norm(x, x.shape[-1:], w, eps=eps), "forgets the bias"),
    (lambda x, w, b, eps=1e-5: F.layer_norm(x, x.shape[-1:], b, w, eps),
     "exchanges weight and bias"),
    (lambda x, w, b, eps=1e-5: F.layer_norm(x, x.shape, eps=eps) * w + b,
     "takes one mean for everything"),
    (lambda x, w, b, eps=1e-5: w * (norm(x, eps) + b), "adds the bias before it scales"),
    (lambda x, w, b, eps=1e-5: norm(x, eps) + norm(x, eps) * w + b, "adds one to the weight"),
    (lambda x, w, b, eps=1e-5: x.sub(x.mean(-1, keepdim=True)).mul(w).add(b), "forgets to divide"),
    (lambda x, w, b, eps=1e-5: torch.where(
        (s := x.std(-1, correction=0, keepdim=True)) == 0, torch.zeros(()).to(x), centre(x) / s)
     * w + b, "keeps 0 away without adding eps"),
    (lambda x, w, b, eps=1e-5: centre(x) / x.std(-1, correction=0, keepdim=True).clamp_min(eps)
     * w + b, "keeps 0 away without adding eps"),
    (one_pass_by_sums, "subtracts the squared mean"),
    (mutating_method, "changes its argument"),
    (through_numpy, "cuts the gradient"),
    (lambda x, w, b, eps=1e-5: x, None),
    (lambda x, w, b, eps=1e-5: F.layer_norm(norm(x, eps), w.shape, w, b, eps),
     "normalises twice"),
    (lambda x, w, b, eps=1e-5: norm(x, 10 * eps) * w + b, None),
    (lambda x, w, b, eps=1e-5: norm(x, eps) * w - b, None),
    (lambda x, w, b, eps=1e-5: torch.softmax(x, -1) * w + b, None),
    (lambda x, w, b, eps=1e-5: (x - x.median(-1, keepdim=True).values) * w + b, None),
    (lambda x, w, b, eps=1e-5: norm(x, eps).round(decimals=2) * w + b, None),
    (lambda x, w, b, eps=1e-5: torch.tanh(norm(x, eps)) * w + b, None),
    (lambda x, w, b: F.layer_norm(x, x.shape[-1:], w, b), None),
    (lambda x, w, b, eps=1e-5: (norm(x, eps) * w + b)[..., :1], None),
    (lambda x, w, b, eps=1e-5: (norm(x, eps) * w + b).half().to(x.dtype), None),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "name"), WRONG_NORMS)
def test_layer_norm_wrong_in_other_code_is_caught_and_named_where_it_is_listed(answer, name):
    result = checks.run("layer_norm", answer)
    assert not result.passed
    assert result.misconception == name


def test_unlisted_norm_is_told_which_property_fails():
    result = checks.run("layer_norm", lambda x, w, b, eps=1e-5: norm(x, eps) * w - b)
    held = dict(result.properties)
    assert held["with weight 1 and bias 0 every vector has mean 0"]
    assert not held["weight multiplies and bias is added, number by number, at the very end"]


def test_a_norm_without_the_parameter_eps_is_shown_the_call_that_has_it():
    message = checks.run("layer_norm", lambda x, w, b: F.layer_norm(x, x.shape[-1:], w, b)).message
    assert "another eps, 0.5" in message and "TypeError" in message


# Block: right in other ways


class Parts(nn.Module):
    def __init__(self, n_embd, n_head):
        super().__init__()
        self.ln_1 = nn.LayerNorm(n_embd)
        self.attn = CausalSelfAttention(n_embd, n_head)
        self.ln_2 = nn.LayerNorm(n_embd)
        self.mlp = MLP(n_embd)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class InOneExpression(Parts):
    def forward(self, x):
        return (y := x + self.attn(self.ln_1(x))) + self.mlp(self.ln_2(y))


class WithDropoutAndPast(Parts):
    def __init__(self, n_embd, n_head, dropout=0.0):
        super().__init__(n_embd, n_head)
        self.drop = nn.Dropout(dropout)

    def forward(self, x, past=None):
        x = x + self.drop(self.attn(self.ln_1(x), past))
        return x + self.drop(self.mlp(self.ln_2(x)))


class WithBuffersAndPartsInAnotherOrder(nn.Module):
    def __init__(self, n_embd, n_head):
        super().__init__()
        self.register_buffer("mask", torch.ones(64, 64).tril())
        self.mlp = MLP(n_embd)
        self.attn = CausalSelfAttention(n_embd, n_head)
        self.ln_2 = LayerNorm(n_embd)
        self.ln_1 = LayerNorm(n_embd)

    def forward(self, x):
        x = torch.add(self.attn(self.ln_1(x)), x)
        return torch.add(self.mlp(self.ln_2(x)), x)


class OneSequenceAtATime(Parts):
    def forward(self, x):
        return torch.cat([super(OneSequenceAtATime, self).forward(one[None]) for one in x])


class EachWordThroughTheMlpAlone(Parts):
    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        words = [word + self.mlp(self.ln_2(word)) for word in x.unbind(1)]
        return torch.stack(words, dim=1)


class WithClosures(Parts):
    def forward(self, x):
        def added(norm, part):
            return lambda x: x + part(norm(x))

        for step in (added(self.ln_1, self.attn), added(self.ln_2, self.mlp)):
            x = step(x)
        return x


class OwnNorm(nn.Module):
    def __init__(self, C, eps=1e-5):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(C)), nn.Parameter(torch.zeros(C))
        self.eps = eps

    def forward(self, x):
        return block.layer_norm(x, self.weight, self.bias, self.eps)


class OwnParts(nn.Module):
    def __init__(self, n_embd, n_head):
        super().__init__()
        self.ln_1, self.ln_2 = OwnNorm(n_embd), OwnNorm(n_embd)
        self.attn, self.mlp = nn.Module(), nn.Module()
        self.attn.c_attn = nn.Linear(n_embd, 3 * n_embd)
        self.attn.c_proj = nn.Linear(n_embd, n_embd)
        self.mlp.c_fc = nn.Linear(n_embd, 4 * n_embd)
        self.mlp.c_proj = nn.Linear(4 * n_embd, n_embd)
        self.n_head = n_head

    def forward(self, x):
        B, T, C = x.shape
        parts = self.attn.c_attn(self.ln_1(x)).split(C, dim=-1)
        q, k, v = (split_heads(part, self.n_head) for part in parts)
        scores = q @ k.mT / (C // self.n_head) ** 0.5
        scores = scores.masked_fill(torch.ones(T, T).triu(1).bool(), -1e9)
        heads = (scores.softmax(-1) @ v).transpose(1, 2).reshape(B, T, C)
        x = x + self.attn.c_proj(heads)
        return x + self.mlp.c_proj(gelu(self.mlp.c_fc(self.ln_2(x))))


def made_by_a_function(n_embd, n_head):
    return Parts(n_embd, n_head)


RIGHT_BLOCKS = [
    InOneExpression,
    WithDropoutAndPast,
    WithBuffersAndPartsInAnotherOrder,
    OneSequenceAtATime,
    EachWordThroughTheMlpAlone,
    WithClosures,
    OwnParts,
    made_by_a_function,
]


@pytest.mark.parametrize("answer", RIGHT_BLOCKS)
def test_block_right_in_another_way_passes(answer):
    result = checks.run("Block", answer)
    assert result.passed, result.message


# Block: wrong in other code


def block_of(forward, **parts):
    """The right parts, or others in their place, and a forward of its own."""

    class Made(Parts):
        def __init__(self, n_embd, n_head):
            super().__init__(n_embd, n_head)
            for name, make in parts.items():
                setattr(self, name, make(n_embd))

    Made.forward = forward
    return Made


def right(self, x):
    x = x + self.attn(self.ln_1(x))
    return x + self.mlp(self.ln_2(x))


def parallel(self, x):
    attended, thought = self.attn(self.ln_1(x)), self.mlp(self.ln_2(x))
    return x + attended + thought


def mlp_on_what_attention_reads(self, x):
    h = self.ln_1(x)
    return x + self.attn(h) + self.mlp(self.ln_2(h))


def post_norm_in_one_line(self, x):
    return self.ln_2((y := self.ln_1(x + self.attn(x))) + self.mlp(y))


def augmented(self, x):
    for norm_, part in ((self.ln_1, self.attn), (self.ln_2, self.mlp)):
        x += part(norm_(x))
    return x


def without_gradient(self, x):
    with torch.no_grad():
        return right(self, x)


def residual_from_the_start(self, x):
    residual = x
    x = residual + self.attn(self.ln_1(x))
    return residual + self.mlp(self.ln_2(x))


def in_half(self, x):
    return right(self, x.half().to(x.dtype))


class OldNorm(OwnNorm):
    """Divides by the unbiased deviation plus eps, as some well-known code does."""

    def forward(self, x):
        centred = x - x.mean(-1, keepdim=True)
        return self.weight * centred / (x.std(-1, keepdim=True) + 1e-6) + self.bias


class Shuffled(Parts):
    """Attention reads the words backwards and gives them back in order."""

    def forward(self, x):
        x = x + self.attn(self.ln_1(x).flip(1)).flip(1)
        return x + self.mlp(self.ln_2(x))


class PartsInAList(nn.Module):
    def __init__(self, n_embd, n_head):
        super().__init__()
        self.parts = [CausalSelfAttention(n_embd, n_head), MLP(n_embd)]


class OtherNames(nn.Module):
    def __init__(self, n_embd, n_head):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(n_embd), nn.LayerNorm(n_embd)
        self.attn, self.mlp = CausalSelfAttention(n_embd, n_head), MLP(n_embd)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


WRONG_BLOCKS = [
    (block_of(parallel), "feeds both parts the same x"),
    (block_of(mlp_on_what_attention_reads), "feeds the mlp what attention reads"),
    (block_of(post_norm_in_one_line), "norms after the addition"),
    (block_of(augmented), "changes its argument"),
    (block_of(without_gradient), "cuts the gradient"),
    (block_of(residual_from_the_start), "loses what attention added"),
    (block_of(lambda self, x: self.mlp(self.ln_2(self.attn(self.ln_1(x))))),
     "forgets both additions"),
    (block_of(lambda self, x: x + self.mlp(self.ln_2(x))), "never calls the attention"),
    (block_of(right, ln_1=OldNorm, ln_2=OldNorm), "norms with the unbiased variance"),
    (block_of(right, ln_1=lambda C: OwnNorm(C, 1e-6), ln_2=lambda C: OwnNorm(C, 1e-6)),
     "uses another eps"),
    (block_of(right, ln_1=nn.RMSNorm, ln_2=nn.RMSNorm), "leaves out the biases of the norms"),
    (block_of(right, mlp=lambda C: MLP(4 * C)), "widens twice"),
    (PartsInAList, "has no parts that the module sees"),
    (block_of(in_half), None),
    (block_of(lambda self, x: right(self, x).squeeze()), None),
    (block_of(lambda self, x: right(self, right(self, x))), None),
    (block_of(lambda self, x: right(self, x)[:, -1:]), None),
    (block_of(lambda self, x: x), None),
    (block_of(lambda self, x: (right(self, x),)), None),
    (block_of(lambda self, x: x + 0.5 * (right(self, x) - x)), None),
    (block_of(lambda self, x: F.dropout(right(self, x), 0.5)), None),
    (block_of(right, ln_1=lambda C: nn.LayerNorm(C, eps=1e-5, bias=False)), None),
    (Shuffled, None),
    (OtherNames, None),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "name"), WRONG_BLOCKS)
def test_block_wrong_in_other_code_is_caught_and_named_where_it_is_listed(answer, name):
    result = checks.run("Block", answer)
    assert not result.passed
    assert result.misconception == name


def test_parameters_of_other_names_are_told_which_one_is_missing():
    result = checks.run("Block", OtherNames)
    assert "The key 'ln_1.weight' is missing" in result.message
    held = dict(result.properties)
    assert not held["its parameters are those of ln_1, attn, ln_2 and mlp, in these shapes"]
    assert held["later words do not change an earlier result"]


def test_an_unlisted_block_is_told_which_half_is_wrong():
    def half_of_attention(self, x):
        x = x + self.attn(self.ln_1(x)) / 2
        return x + self.mlp(self.ln_2(x))

    held = dict(checks.run("Block", block_of(half_of_attention)).properties)
    assert not held["with mlp.c_proj at 0 it gives x + attn(ln_1(x))"]
    assert held["with attn.c_proj at 0 it gives x + mlp(ln_2(x))"]


def test_reading_backwards_is_told_that_the_future_is_read():
    held = dict(checks.run("Block", Shuffled).properties)
    assert not held["later words do not change an earlier result"]
