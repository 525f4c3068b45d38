"""Answers to lesson 15 that its checks do not list: right ones pass, wrong ones do not."""

import inspect
from operator import itemgetter

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from answers import Answers
from torch import nn

from gpt2course import checks
from gpt2course.block import layer_norm
from gpt2course.checks import engine
from gpt2course.checks.attempt import expected_outcomes
from gpt2course.model import output_logits

NAMES = ("previous_token_score", "mean_attention", "logit_lens")
n, L, nh = 3, 4, 4  # as the cells of the lesson leave them behind
ln_f = nn.LayerNorm(128)
answers = Answers()
right, wrong = answers.right, answers.wrong


# previous_token_score: right in other ways


@right("previous_token_score")
def torch_diagonal(weights):
    return torch.diagonal(weights, -1, 2, 3).mean(2)


@right("previous_token_score")
def sums_of_a_triangle_and_the_next(weights):
    band = weights.tril(-1) - weights.tril(-2)
    return band.sum(dim=(2, 3)) / (weights.size(2) - 1)


@right("previous_token_score")
def gathering_one_column_a_row(weights):
    L, nh, T, _ = weights.shape
    before = torch.arange(T - 1).view(1, 1, T - 1, 1).expand(L, nh, -1, -1)
    return weights[:, :, 1:].gather(-1, before).squeeze(-1).mean(-1)


@right("previous_token_score")
def on_the_flattened_matrix(weights):
    L, nh, T, _ = weights.shape
    flat = weights.reshape(L, nh, T * T)
    return flat[..., T :: T + 1][..., : T - 1].mean(-1)


@right("previous_token_score")
def trace_of_a_cut_out(weights):
    part = weights[..., 1:, :-1]
    traces = [[torch.trace(head) for head in layer] for layer in part]
    stacked = torch.stack([torch.stack(layer) for layer in traces])
    return stacked / part.shape[-1]


@right("previous_token_score")
def selecting_with_booleans(weights):
    T = weights.shape[-1]
    i = torch.arange(T)
    return weights[:, :, i[:, None] - 1 == i[None, :]].mean(-1)


@right("previous_token_score")
def vmapped_over_layers_and_heads(weights):
    def one(head):
        return head.diagonal(-1).mean()

    return torch.vmap(torch.vmap(one))(weights)


@right("previous_token_score")
def by_cutting_the_first_row_and_the_last_column(weights):
    cut = weights[:, :, 1:, :-1]
    return (cut * torch.eye(cut.shape[-1], dtype=cut.dtype)).sum(-1).mean(-1)


@right("previous_token_score")
def in_float64_and_back(weights, offset=-1):
    return weights.double().diagonal(offset, -2, -1).mean(-1).to(weights.dtype)


# previous_token_score: wrong in other code


@wrong("previous_token_score", "reads the next token")
def transposed_by_mistake(weights):
    return weights.mT.diagonal(-1, -2, -1).mean(-1)


@wrong("previous_token_score", "reads the next token")
def columns_one_later(weights):
    i = torch.arange(weights.shape[-1] - 1)
    return weights[:, :, i, i + 1].mean(-1)


@wrong("previous_token_score", "divides by all tokens")
def loop_from_zero(weights):
    T = weights.shape[-1]
    return sum(weights[:, :, i, i - 1] for i in range(T)) / T


@wrong("previous_token_score", "divides by all tokens")
def filled_with_zeros_in_front(weights):
    return F.pad(weights.diagonal(-1, -2, -1), (1, 0)).mean(-1)


@wrong("previous_token_score", "takes the diagonal of layers and heads")
def diagonal_of_the_default_axes(weights):
    return torch.diagonal(weights, offset=-1).mean(dim=-1)


@wrong("previous_token_score", "averages everything")
def a_python_mean(weights):
    return torch.mean(weights.diagonal(-1, 2, 3))


@wrong("previous_token_score", "starts at token two")
def range_from_two(weights):
    T = weights.shape[-1]
    return torch.stack([weights[:, :, i, i - 1] for i in range(2, T)]).mean(0)


@wrong("previous_token_score", "leaves out the last token")
def range_to_the_last_but_one(weights):
    T = weights.shape[-1]
    return torch.stack([weights[:, :, i, i - 1] for i in range(1, T - 1)]).mean(0)


@wrong("previous_token_score", "reads the first token")
def column_zero(weights):
    return weights[:, :, 1:, 0].mean(dim=2)


@wrong("previous_token_score", "takes n from the notebook")
def loop_to_the_n_of_the_notebook(weights):
    total = torch.zeros_like(weights[:, :, 0, 0])
    for i in range(1, n):
        total = total + weights[:, :, i, i - 1]
    return total / (n - 1)


@wrong("previous_token_score", "takes n from the notebook")
def right_sum_over_the_wrong_number(weights):
    return torch.diagonal(weights, -1, 2, 3).sum(dim=-1) / (n - 1)


@wrong("previous_token_score", "takes L and nh from the notebook")
def lists_over_the_notebooks_layers(weights):
    return torch.stack(
        [torch.stack([weights[i, h].diagonal(-1).mean() for h in range(nh)]) for i in range(L)]
    )


@wrong("previous_token_score", "takes L and nh from the notebook")
def zeros_of_the_notebooks_layers(weights):
    total = torch.zeros(L, nh)
    T = weights.shape[-1]
    for i in range(1, T):
        total = total + weights[:, :, i, i - 1]
    return total / (T - 1)


@wrong("previous_token_score", "cuts the gradient")
def out_of_numbers(weights):
    L, nh = weights.shape[:2]
    found = torch.zeros(L, nh, dtype=weights.dtype)
    for layer in range(L):
        for head in range(nh):
            found[layer, head] = weights[layer, head].diagonal(-1).mean().item()
    return found


@wrong("previous_token_score", "counts the first token with itself")
def first_token_with_itself(weights):
    T = weights.shape[-1]
    total = weights[:, :, 0, 0] + sum(weights[:, :, i, i - 1] for i in range(1, T))
    return total / T


@wrong("previous_token_score", "keeps a number for each token")
def forgot_the_mean(weights):
    i = torch.arange(1, weights.shape[-1])
    return weights[:, :, i, i - 1]


@wrong("previous_token_score", "cuts the gradient")
def numpy_loop(weights):
    w = weights.numpy()
    T = w.shape[-1]
    return torch.tensor(np.mean([w[:, :, i, i - 1] for i in range(1, T)], axis=0))


@wrong("previous_token_score")
def softmax_once_more(weights):
    return weights.softmax(-1).diagonal(-1, -2, -1).mean(-1)


@wrong("previous_token_score")
def against_the_token_itself(weights):
    before, itself = (weights.diagonal(k, -2, -1) for k in (-1, 0))
    return (before / (before + itself[..., 1:])).mean(-1)


@wrong("previous_token_score")
def one_less_than_it_should(weights):
    return weights.diagonal(-1, -2, -1).mean(-1) * 0.999


@wrong("previous_token_score")
def geometric_mean(weights):
    return weights.diagonal(-1, -2, -1).log().mean(-1).exp()


@wrong("previous_token_score", "returns list instead of a tensor")
def a_list_of_lists(weights):
    return weights.diagonal(-1, -2, -1).mean(-1).tolist()


@wrong("previous_token_score", "takes L and nh from the notebook")
def reads_a_fixed_length(weights):
    i = torch.arange(1, 5)
    return weights[:, :, i, i - 1].mean(-1)


# mean_attention: right in other ways


@right("mean_attention")
def adding_and_dividing(weights, queries, keys):
    total = None
    for s in range(len(weights)):
        share = weights[s][:, :, queries[s], keys[s]].sum(2)
        total = share if total is None else total + share
    return total / len(queries)


@right("mean_attention")
def loops_over_all(weights, queries, keys):
    L, nh = weights[0].shape[:2]
    result = torch.zeros(L, nh, dtype=weights[0].dtype)
    for layer in range(L):
        for head in range(nh):
            shares = [
                sum(w[layer, head, q, k] for k in ks)
                for w, q, ks in zip(weights, queries, keys, strict=True)
            ]
            result[layer, head] = sum(shares) / len(shares)
    return result


@right("mean_attention")
def selecting_twice(weights, queries, keys):
    rows = (w.select(2, q) for w, q in zip(weights, queries, strict=True))
    shares = [
        row.index_select(2, torch.tensor(k)).sum(-1) for row, k in zip(rows, keys, strict=True)
    ]
    return torch.stack(shares, 0).mean(0)


@right("mean_attention")
def in_numpy(weights, queries, keys):
    shares = [
        w.numpy()[:, :, q][:, :, k].sum(-1) for w, q, k in zip(weights, queries, keys, strict=True)
    ]
    return torch.from_numpy(np.mean(shares, axis=0))


@right("mean_attention")
def einsum_with_indicators(weights, queries, keys):
    total = 0
    for w, q, ks in zip(weights, queries, keys, strict=True):
        T = w.shape[-1]
        reads = F.one_hot(torch.tensor(q), T).to(w)
        is_read = F.one_hot(torch.tensor(ks), T).sum(0).to(w)
        total = total + torch.einsum("lhqk,q,k->lh", w, reads, is_read)
    return total / len(weights)


@right("mean_attention")
def running_mean(weights, queries, keys):
    mean = 0.0
    for n, (w, q, k) in enumerate(zip(weights, queries, keys, strict=True), start=1):
        mean = mean + (w[..., q, k].sum(-1) - mean) / n
    return mean


@right("mean_attention")
def everything_else_set_to_zero(weights, queries, keys):
    shares = []
    for w, q, k in zip(weights, queries, keys, strict=True):
        kept = torch.zeros_like(w)
        kept[:, :, q, k] = w[:, :, q, k]
        shares.append(kept.sum((-1, -2)))
    return torch.stack(shares).sum(0).div(len(shares))


@right("mean_attention")
def the_layers_apart(weights, queries, keys):
    layers = zip(*(w.unbind(0) for w in weights), strict=True)
    rows = []
    for of_layer in layers:
        shares = [itemgetter(q)(w.transpose(0, 1))[:, k] for w, q, k in zip(
            of_layer, queries, keys, strict=True)]  # fmt: skip
        rows.append(torch.stack([share.sum(1) for share in shares]).mean(0))
    return torch.stack(rows)


@right("mean_attention")
def key_by_key_from_a_copy(weights, queries, keys):
    shares = []
    for w, q, (first, *rest) in zip(weights, queries, keys, strict=True):
        share = w[:, :, q, first].clone()
        for key in rest:
            share += w[:, :, q, key]
        shares.append(share)
    return sum(shares) / len(shares)


# mean_attention: wrong in other code


@wrong("mean_attention", "swaps query and key")
def the_column_of_the_query(weights, queries, keys):
    shares = [w.mT[:, :, q, k].sum(-1) for w, q, k in zip(weights, queries, keys, strict=True)]
    return torch.stack(shares).mean(0)


@wrong("mean_attention", "averages the tokens of the word")
def mean_of_means(weights, queries, keys):
    total = 0
    for w, q, ks in zip(weights, queries, keys, strict=True):
        total = total + sum(w[:, :, q, k] for k in ks) / len(ks)
    return total / len(weights)


@wrong("mean_attention", "counts the first token of the word only")
def only_key_zero(weights, queries, keys):
    shares = [w[:, :, q, k[0]] for w, q, k in zip(weights, queries, keys, strict=True)]
    return torch.stack(shares).mean(0)


@wrong("mean_attention", "counts the last token of the word only")
def last_key_written_over(weights, queries, keys):
    shares = []
    for w, q, ks in zip(weights, queries, keys, strict=True):
        for k in ks:
            share = w[:, :, q, k]
        shares.append(share)
    return torch.stack(shares).mean(0)


@wrong("mean_attention", "asks the last token always")
def the_last_row(weights, queries, keys):
    shares = [w[:, :, w.shape[2] - 1][:, :, k].sum(2) for w, k in zip(weights, keys, strict=True)]
    return sum(shares) / len(shares)


@wrong("mean_attention", "averages over all tokens of all words")
def one_long_list(weights, queries, keys):
    every = [w[:, :, q, k] for w, q, ks in zip(weights, queries, keys, strict=True) for k in ks]
    return torch.stack(every).mean(0)


@wrong("mean_attention", "adds up the sentences")
def forgot_to_divide(weights, queries, keys):
    return sum(w[:, :, q, k].sum(-1) for w, q, k in zip(weights, queries, keys, strict=True))


@wrong("mean_attention", "returns after the first sentence")
def return_in_the_loop(weights, queries, keys):
    total = 0
    for w, q, k in zip(weights, queries, keys, strict=True):
        total = total + w[:, :, q, k].sum(-1)
        return total


@wrong("mean_attention", "keeps the last sentence")
def stacked_outside_the_loop(weights, queries, keys):
    for w, q, k in zip(weights, queries, keys, strict=True):
        share = w[:, :, q, k].sum(-1)
    return torch.stack([share]).mean(0)


@wrong("mean_attention", "picks heads where keys were meant")
def keys_on_the_wrong_axis(weights, queries, keys):
    shares = [w[:, k, q].sum(-1).sum(-1) for w, q, k in zip(weights, queries, keys, strict=True)]
    shares = [w[:, :, q][:, k].sum(-1) for w, q, k in zip(weights, queries, keys, strict=True)]
    return torch.stack(shares).mean(0)


@wrong("mean_attention", "stacks sentences of different lengths")
def stacked_at_once(weights, queries, keys):
    every = torch.stack(weights, dim=0)
    return torch.stack([every[s, :, :, queries[s], keys[s]].sum(-1) for s in range(3)]).mean(0)


@wrong("mean_attention", "averages it all")
def a_single_number(weights, queries, keys):
    shares = [w[:, :, q, k].sum(-1) for w, q, k in zip(weights, queries, keys, strict=True)]
    return sum(share.mean() for share in shares) / len(shares)


@wrong("mean_attention", "takes the list for a tensor")
def the_list_indexed(weights, queries, keys):
    total = 0
    for s in range(len(queries)):
        total = total + weights[s, :, :, queries[s], keys[s]].sum(-1)
    return total / len(queries)


@wrong("mean_attention", "takes L and nh from the cells")
def zeros_of_the_cells_sizes(weights, queries, keys):
    total = torch.zeros(L, nh, dtype=weights[0].dtype)
    for w, q, k in zip(weights, queries, keys, strict=True):
        total += w[:, :, q, k].sum(-1)
    return total / len(weights)


@wrong("mean_attention", "takes n from the cells")
def divided_by_the_n_of_a_cell(weights, queries, keys):
    total = 0
    for w, q, k in zip(weights, queries, keys, strict=True):
        total = total + w[:, :, q, k].sum(-1)
    return total / n


@wrong("mean_attention", "has another dtype")
def zeros_of_the_default_dtype(weights, queries, keys):
    total = torch.zeros(weights[0].shape[:2])
    for w, q, k in zip(weights, queries, keys, strict=True):
        total += w[:, :, q, k].sum(-1)
    return total / len(weights)


@wrong("mean_attention")
def the_best_sentence(weights, queries, keys):
    shares = [w[:, :, q, k].sum(-1) for w, q, k in zip(weights, queries, keys, strict=True)]
    return torch.stack(shares).amax(0)


@wrong("mean_attention")
def the_middle_sentence(weights, queries, keys):
    shares = [w[:, :, q, k].sum(-1) for w, q, k in zip(weights, queries, keys, strict=True)]
    return torch.stack(shares).median(0).values


@wrong("mean_attention")
def keys_one_too_late(weights, queries, keys):
    shares = [
        w[:, :, q, [min(i + 1, w.shape[-1] - 1) for i in k]].sum(-1)
        for w, q, k in zip(weights, queries, keys, strict=True)
    ]
    return torch.stack(shares).mean(0)


@wrong("mean_attention")
def against_chance(weights, queries, keys):
    shares = [
        w[:, :, q, k].sum(-1) * (q + 1) / len(k)
        for w, q, k in zip(weights, queries, keys, strict=True)
    ]
    return torch.stack(shares).mean(0)


@wrong("mean_attention")
def how_often_the_word_comes_first(weights, queries, keys):
    hits = [
        torch.isin(w[:, :, q].argmax(-1), torch.tensor(k)).to(w.dtype)
        for w, q, k in zip(weights, queries, keys, strict=True)
    ]
    return torch.stack(hits).mean(0)


@wrong("mean_attention")
def without_what_it_gives_itself(weights, queries, keys):
    shares = [
        w[:, :, q, k].sum(-1) / (1 - w[:, :, q, q])
        for w, q, k in zip(weights, queries, keys, strict=True)
    ]
    return torch.stack(shares).mean(0)


@wrong("mean_attention", "changes its argument")
def sorts_the_callers_keys_and_drops_one(weights, queries, keys):
    shares = []
    for w, q, k in zip(weights, queries, keys, strict=True):
        share = 0
        while k:
            share = share + w[:, :, q, k.pop()]
        shares.append(share)
    return torch.stack(shares).mean(0)


@wrong("mean_attention", "returns list instead of a tensor")
def a_list_of_numbers(weights, queries, keys):
    shares = [w[:, :, q, k].sum(-1) for w, q, k in zip(weights, queries, keys, strict=True)]
    return torch.stack(shares).mean(0).tolist()


# logit_lens: right in other ways


@right("logit_lens")
def with_a_norm_that_is_given_its_rows(stream, weight, bias, wte):
    norm = nn.LayerNorm(len(weight), dtype=stream.dtype)
    normed = torch.func.functional_call(norm, {"weight": weight, "bias": bias}, (stream,))
    return torch.matmul(normed, wte.t())


@right("logit_lens")
def token_by_token(stream, weight, bias, wte):
    def scores(x):
        x = x - x.mean()
        return wte @ (x / torch.sqrt(x.dot(x) / len(x) + 1e-5) * weight + bias)

    return torch.stack([torch.stack([scores(x) for x in stage]) for stage in stream])


@right("logit_lens")
def tensordot_over_columns(stream, weight, bias, wte):
    std = stream.std(dim=2, unbiased=False, keepdim=True)
    normed = (stream - stream.mean(2, keepdim=True)) / (std.square() + 1e-5).sqrt()
    return torch.tensordot(torch.addcmul(bias, normed, weight), wte, dims=([2], [1]))


@right("logit_lens")
def word_by_word(stream, weight, bias, wte):
    normed = F.layer_norm(stream, (stream.size(-1),), weight, bias, 1e-5)
    return torch.stack([(normed * row).sum(-1) for row in wte], dim=-1)


@right("logit_lens")
def bmm_with_the_table_repeated(stream, weight, bias, wte):
    normed = F.layer_norm(stream, [stream.shape[-1]], weight, bias)
    return torch.bmm(normed, wte.mT.expand(len(stream), -1, -1))


@right("logit_lens")
def in_place_on_its_own_copy(stream, weight, bias, wte):
    x = stream - stream.mean(-1, keepdim=True)
    size = (x.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt()
    x = x / size
    x = x.mul_(weight)
    x += bias
    return x @ wte.permute(1, 0)


@right("logit_lens")
def in_wide_numbers(stream, weight, bias, wte):
    x, w, b, table = (t.double() for t in (stream, weight, bias, wte))
    variance = (x * x).mean(-1, keepdim=True) - x.mean(-1, keepdim=True) ** 2
    normed = (x - x.mean(-1, keepdim=True)) / torch.sqrt(variance + 1e-5)
    return ((normed * w + b) @ table.T).to(stream.dtype)


@right("logit_lens")
def with_an_eps_of_its_own_parameter(stream, weight, bias, wte, eps=1e-5):
    mean, C = stream.mean(-1, keepdim=True), stream.shape[-1]
    variance = stream.var(-1, keepdim=True) * (C - 1) / C
    return F.linear((stream - mean) * (variance + eps) ** -0.5 * weight + bias, wte)


@right("logit_lens")
def vmapped_over_the_stages(stream, weight, bias, wte):
    return torch.vmap(lambda x: F.layer_norm(x, weight.shape, weight, bias) @ wte.T)(stream)


# logit_lens: wrong in other code


def normed(x, eps=1e-5):
    return F.layer_norm(x, x.shape[-1:], eps=eps)


@wrong("logit_lens", "forgets the norm")
def linear_alone(stream, weight, bias, wte):
    return F.linear(stream, wte)


@wrong("logit_lens", "leaves the last stage without its norm")
def skips_the_last(stream, weight, bias, wte):
    stages = [F.layer_norm(x, weight.shape, weight, bias) for x in stream[:-1]]
    return torch.stack([x @ wte.T for x in [*stages, stream[-1]]])


@wrong("logit_lens", "norms the last stage only")
def the_last_alone(stream, weight, bias, wte):
    stages = list(stream)
    stages[-1] = F.layer_norm(stages[-1], weight.shape, weight, bias)
    return torch.einsum("stc,vc->stv", torch.stack(stages), wte)


@wrong("logit_lens", "leaves out weight and bias")
def by_hand_and_no_further(stream, weight, bias, wte):
    x = stream - stream.mean(-1, keepdim=True)
    return (x / (x.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt()) @ wte.T


@wrong("logit_lens", "takes the variance with one less")
def torchs_var(stream, weight, bias, wte):
    x = stream - stream.mean(dim=-1, keepdim=True)
    x = x / torch.sqrt(torch.var(stream, dim=-1, keepdim=True) + 1e-5)
    return torch.matmul(x * weight + bias, wte.T)


@wrong("logit_lens", "takes the variance with one less")
def torchs_std(stream, weight, bias, wte):
    x = (stream - stream.mean(-1, keepdim=True)) / (stream.std(-1, keepdim=True) + 1e-5)
    return F.linear(x * weight + bias, wte)


@wrong("logit_lens", "adds the bias too early")
def weight_on_everything(stream, weight, bias, wte):
    return weight * (normed(stream) + bias) @ wte.T


@wrong("logit_lens", "returns the probabilities")
def softmaxed(stream, weight, bias, wte):
    return F.softmax(F.linear(normed(stream) * weight + bias, wte), dim=-1)


@wrong("logit_lens", "returns the log probabilities")
def log_of_softmax(stream, weight, bias, wte):
    return torch.log(softmaxed(stream, weight, bias, wte))


@wrong("logit_lens", "returns the best words")
def topmost(stream, weight, bias, wte):
    return ((normed(stream) * weight + bias) @ wte.T).max(-1).indices


@wrong("logit_lens", "multiplies without turning wte")
def matmul_as_it_is(stream, weight, bias, wte):
    return torch.matmul(normed(stream) * weight + bias, wte)


@wrong("logit_lens", "multiplies without turning wte")
def the_parts_of_the_course_without_turning(stream, weight, bias, wte):
    return layer_norm(stream, weight, bias) @ wte


@wrong("logit_lens", "takes ln f from the notebook")
def the_module_of_the_notebook(stream, weight, bias, wte):
    return output_logits(ln_f(stream), wte)


@wrong("logit_lens", "takes ln f from the notebook")
def the_loop_of_the_notebook(stream, weight, bias, wte):
    return torch.stack([layer_norm(s, ln_f.weight, ln_f.bias) @ wte.T for s in stream])


@wrong("logit_lens", "takes ln f from the notebook")
def all_stages_with_the_rows_of_the_notebook(stream, weight, bias, wte):
    return output_logits(layer_norm(stream, ln_f.weight, ln_f.bias), wte)


@wrong("logit_lens", "takes L from the notebook")
def as_many_stages_as_the_notebook_has(stream, weight, bias, wte):
    stages = []
    for i in range(L + 1):
        stages.append(output_logits(layer_norm(stream[i][None], weight, bias), wte)[0])
    return torch.stack(stages)


@wrong("logit_lens", "asks the last stage only")
def minus_one(stream, weight, bias, wte):
    return (normed(stream[-1]) * weight + bias) @ wte.T


@wrong("logit_lens", "asks the last position only")
def last_position(stream, weight, bias, wte):
    return ((normed(stream) * weight + bias) @ wte.T)[:, -1]


@wrong("logit_lens", "reads what each block adds")
def differences(stream, weight, bias, wte):
    added = torch.stack([stream[0], *(b - a for a, b in zip(stream, stream[1:], strict=False))])
    return (normed(added) * weight + bias) @ wte.T


@wrong("logit_lens", "changes its argument")
def mutating_methods(stream, weight, bias, wte):
    stream.sub_(stream.mean(-1, keepdim=True))
    stream.div_(stream.pow(2).mean(-1, keepdim=True).add(1e-5).sqrt())
    return stream.mul(weight).add(bias) @ wte.T


@wrong("logit_lens", "forgets the eps")
def plain_division(stream, weight, bias, wte):
    x = stream - stream.mean(-1, keepdim=True)
    return (x / x.pow(2).mean(-1, keepdim=True).sqrt() * weight + bias) @ wte.T


@wrong("logit_lens", "takes one mean for the whole stream")
def global_mean(stream, weight, bias, wte):
    x = (stream - stream.mean()) / torch.sqrt(stream.var(unbiased=False) + 1e-5)
    return (x * weight + bias) @ wte.T


@wrong("logit_lens", "cuts the gradient")
def under_no_grad(stream, weight, bias, wte):
    with torch.no_grad():
        return (normed(stream) * weight + bias) @ wte.T


@wrong("logit_lens", "cuts the gradient")
def only_the_stream_learns(stream, weight, bias, wte):
    return (normed(stream) * weight + bias) @ wte.detach().T


@wrong("logit_lens")
def normed_twice(stream, weight, bias, wte):
    once = normed(stream) * weight + bias
    return (normed(once) * weight + bias) @ wte.T


@wrong("logit_lens")
def later_stages_only(stream, weight, bias, wte):
    return (normed(stream[1:]) * weight + bias) @ wte.T


@wrong("logit_lens")
def stages_in_reverse(stream, weight, bias, wte):
    return ((normed(stream) * weight + bias) @ wte.T).flip(0)


@wrong("logit_lens")
def halved(stream, weight, bias, wte):
    return ((normed(stream) * weight + bias).half() @ wte.half().T).to(stream.dtype)


@wrong("logit_lens")
def shifted_to_a_largest_of_zero(stream, weight, bias, wte):
    logits = (normed(stream) * weight + bias) @ wte.T
    return logits - logits.amax(-1, keepdim=True)


@wrong("logit_lens")
def with_the_mean_of_the_table_away(stream, weight, bias, wte):
    return (normed(stream) * weight + bias) @ (wte - wte.mean(0)).T


# What the checks say


@pytest.mark.parametrize(("exercise", "answer"), answers.right_ones)
def test_right_answers_that_are_not_listed_pass(exercise, answer):
    result = checks.run(exercise, answer)
    assert result.status == "passed", result.message


@pytest.mark.parametrize(("exercise", "answer", "named"), answers.wrong_ones)
def test_wrong_answers_that_are_not_listed_do_not_pass(exercise, answer, named):
    result = checks.run(exercise, answer)
    assert result.status in ("failed", "error")
    assert result.misconception == named, result.message


def _fails(prop, answer):
    try:
        return not prop.holds(answer)
    except Exception:
        return False


@pytest.mark.parametrize("name", NAMES)
def test_a_right_answer_is_checked_in_a_tenth_of_a_second(name):
    reference = engine.find(name).reference
    checks.run(name, reference)
    assert min(checks.run(name, reference).seconds for _ in range(3)) < 0.1


@pytest.mark.parametrize("name", NAMES)
def test_layers_and_heads_or_stages_and_tokens_are_of_different_numbers_somewhere(name):
    outcomes = expected_outcomes(engine.find(name))
    shapes = [outcome.value.shape for outcome in outcomes if not isinstance(outcome.value, dict)]
    assert any(len({*shape}) == len(shape) for shape in shapes)


def test_the_target_names_layers_and_heads():
    def previous_token_score(weights):
        raise NotImplementedError("your turn")

    message = checks.run("previous_token_score", previous_token_score).message
    assert message.startswith("○") and "head 0" in message and "layer 0" in message
    assert "0.70" in message and "0.25" in message  # (0.8 + 0.6) / 2 and (0.5 + 0) / 2


@pytest.mark.parametrize("name", NAMES)
def test_the_target_tells_the_numbers_of_small_arguments_and_the_shapes_of_large_ones(name):
    exercise = engine.find(name)
    first, large = (exercise.call_text(exercise.cases[i]) for i in (0, -1))
    told = {
        "previous_token_score": "previous_token_score(weights=[[[[1, 0, 0], [0.8, 0.2, 0], [0.1, ",
        "mean_attention": "[0.7, 0.3]]]]], queries=[2, 1], keys=[[1], [0]])",
        "logit_lens": "logit_lens(stream=[[[2, 4]], [[5, 1]]], weight=[2, 1], bias=[0, 1], wte=[[",
    }
    assert told[name] in first and "<(" not in first and "<(" in large


def test_the_small_case_of_mean_attention_can_be_followed_by_hand():
    case = engine.find("mean_attention").cases[0]
    expected = expected_outcomes(engine.find("mean_attention"))[0].value
    assert case.args[1:] == ([2, 1], [[1], [0]])
    assert torch.allclose(expected, torch.tensor([[(0.6 + 0.2) / 2, (0.0 + 0.7) / 2]]))


def test_the_small_case_of_the_lens_can_be_followed_by_hand():
    expected = expected_outcomes(engine.find("logit_lens"))[0].value
    by_hand = torch.tensor([[[-2.0, 2.0, 0.0]], [[2.0, 0.0, 2.0]]])  # (∓1, ±1) · (2, 1) + (0, 1)
    assert torch.allclose(expected, by_hand, atol=1e-4)


def test_an_unlisted_wrong_answer_is_told_what_holds_of_it():
    held = dict(checks.run("logit_lens", stages_in_reverse).properties)
    assert held["every stage is treated alike: two equal stages give equal scores"]
    held = dict(checks.run("mean_attention", against_chance).properties)
    assert not held["every number lies between 0 and 1"]


