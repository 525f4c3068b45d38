"""Answers to lesson 04 that its checks do not list: right ones pass, wrong ones do not."""

import cmath
import copy
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from answers import Answers

from gpt2course import checks
from gpt2course.checks import engine
from gpt2course.checks.card import Card

answers = Answers()
right, wrong = answers.right, answers.wrong


# embed: right in other ways


@right("embed")
def index_select(idx, wte, wpe, start=0):
    T = idx.size(1)
    tokens = wte.index_select(0, idx.reshape(-1)).reshape(*idx.shape, -1)
    return tokens + wpe.index_select(0, torch.arange(start, start + T))[None]


@right("embed")
def place_by_place(idx, wte, wpe, start=0):
    columns = [wte[idx[:, t]] + wpe[start + t] for t in range(idx.shape[1])]
    return torch.stack(columns, dim=1)


@right("embed")
def sequence_by_sequence(idx, wte, wpe, start=0):
    return torch.stack([wte[s] + wpe[start : start + len(s)] for s in idx])


@right("embed")
def one_table_for_both(idx, wte, wpe, start=0):
    table = torch.cat([wte, wpe])
    positions = len(wte) + start + torch.arange(idx.shape[1])
    return table[torch.stack([idx, positions.expand_as(idx)])].sum(0)


@right("embed")
def torch_add_and_roll(idx, wte, wpe, start=0):
    return torch.add(F.embedding(idx, wte), wpe.roll(-start, 0)[: idx.shape[1]])


@right("embed")
def positions_counted_by_cumsum(idx, wte, wpe, start=0):
    positions = torch.ones_like(idx).cumsum(dim=1) - 1 + start
    return wte[idx] + wpe[positions]


@right("embed")
def comparing_ids(idx, wte, wpe, start=0):
    is_row = (idx[..., None] == torch.arange(len(wte))).to(wte.dtype)
    return torch.baddbmm(
        wpe[start : start + idx.shape[1]].expand(len(idx), -1, -1),
        is_row,
        wte.expand(len(idx), -1, -1),
    )


@right("embed")
def filling_the_result(idx, wte, wpe, start=0):
    x = wte.new_empty(*idx.shape, wte.shape[1])
    for t in range(idx.shape[1]):
        x[:, t] = wte[idx[:, t]] + wpe[start + t]
    return x


@right("embed")
def refusing_what_does_not_fit(idx, wte, wpe, start=0, scale=1.0):
    if start + idx.shape[1] > len(wpe):
        raise ValueError("too long")
    return scale * wte[idx] + wpe[start:][: idx.shape[1]]


@right("embed")
def start_as_none(idx, wte, wpe, start=None):
    start = start or 0
    return wte[idx] + wpe[start : start + idx.shape[1]].unsqueeze(0)


# embed: wrong


@wrong("embed", "forgets the positions")
def only_the_lookup(idx, wte, wpe, start=0):
    return F.embedding(idx, wte)


@wrong("embed", "forgets start")
def arange_without_start(idx, wte, wpe, start=0):
    return wte[idx] + wpe[torch.arange(idx.shape[1])]


@wrong("embed", "gives all tokens the same position")
def one_row_for_all(idx, wte, wpe, start=0):
    return wte[idx] + wpe[start : start + 1]


@wrong("embed", "counts positions from 1")
def arange_from_1(idx, wte, wpe, start=0):
    return wte[idx] + wpe[torch.arange(start + 1, start + 1 + idx.shape[1])]


@wrong("embed", "looks up positions by id")
def same_index_for_both(idx, wte, wpe, start=0):
    return sum(table[idx] for table in (wte, wpe))


@wrong("embed", "puts them side by side")
def stacked_in_columns(idx, wte, wpe, start=0):
    positions = wpe[start + torch.arange(idx.shape[1])].repeat(len(idx), 1, 1)
    return torch.concat((wte[idx], positions), dim=2)


@wrong("embed", "goes on counting in the next sequence")
def all_places_of_the_batch(idx, wte, wpe, start=0):
    return (wte[idx.flatten()] + wpe[start : start + idx.numel()]).view(*idx.shape, -1)


@wrong("embed", "counts backwards")
def positions_from_the_end(idx, wte, wpe, start=0):
    T = idx.shape[1]
    return wte[idx] + wpe[[start + T - 1 - t for t in range(T)]]


@wrong("embed", "multiplies the token by the root of C")
def scaled_first(idx, wte, wpe, start=0):
    return wte[idx] * wte.size(1) ** 0.5 + wpe[start : start + idx.size(1)]


@wrong("embed", "normalises the sum")
def layer_norm_by_hand(idx, wte, wpe, start=0):
    x = wte[idx] + wpe[start : start + idx.shape[1]]
    mean, variance = x.mean(-1, keepdim=True), x.var(-1, keepdim=True, unbiased=False)
    return (x - mean) / (variance + 1e-5).sqrt()


@wrong("embed", "writes the positions into wte")
def through_the_data(idx, wte, wpe, start=0):
    wte.data[idx] = wte.data[idx] + wpe[start : start + idx.shape[1]]
    return wte[idx]


@wrong("embed", "cuts the gradient")
def without_grad(idx, wte, wpe, start=0):
    with torch.no_grad():
        return wte[idx] + wpe[start : start + idx.shape[1]]


@wrong("embed", "cuts the gradient of wpe")
def a_fixed_table(idx, wte, wpe, start=0):
    positions = torch.nn.Embedding.from_pretrained(wpe)(torch.arange(idx.shape[1]) + start)
    return wte[idx] + positions


@wrong("embed", "starts at 1 unless told")
def one_is_the_default(idx, wte, wpe, start=None):
    start = 1 if start is None else start
    return wte[idx] + wpe[start : start + idx.shape[1]]


@wrong("embed", "always float32")
def into_new_zeros(idx, wte, wpe, start=0):
    x = torch.zeros(*idx.shape, wte.shape[1])
    x += wte[idx]
    x += wpe[start : start + idx.shape[1]]
    return x


@wrong("embed", "always float32")
def positions_made_float32(idx, wte, wpe, start=0):
    T = idx.shape[1]
    return wte[idx] + wpe[start : start + T].float()


@wrong("embed", "always float32")
def positions_through_a_list(idx, wte, wpe, start=0):
    rows = [wpe[start + t].tolist() for t in range(idx.shape[1])]
    return F.embedding(idx, wte) + torch.tensor(rows)


@wrong("embed", "adds the number of the position")
def the_first_try(idx, wte, wpe, start=0):
    T = idx.shape[1]
    return wte[idx] + (start + torch.arange(T)).view(T, 1)


@wrong("embed", "ends the positions at T")
def an_arange_from_start_to_T(idx, wte, wpe, start=0):
    T = idx.shape[1]
    positions = torch.arange(start, T)
    return F.embedding(idx, wte) + wpe[positions]


@wrong("embed", "looks up the first sequence alone")
def the_loop_of_the_lesson(idx, wte, wpe, start=0):
    rows = []
    for place, token_id in enumerate(idx[0]):
        rows.append(wte[token_id] + wpe[place])
    return torch.stack(rows)


@wrong("embed", "looks up the first sequence alone")
def the_loop_of_the_lesson_with_start(idx, wte, wpe, start=0):
    return torch.stack([wte[i] + wpe[start + t] for t, i in enumerate(idx[0].tolist())])


@wrong("embed", "ends the slice one row early")
def up_to_start_plus_T_minus_1(idx, wte, wpe, start=0):
    T = idx.shape[1]
    return wte[idx] + wpe[start : start + T - 1]


@wrong("embed", "adds start to the numbers of the rows")
def start_on_top(idx, wte, wpe, start=0):
    T = idx.shape[1]
    return wte[idx] + (wpe[:T] + start)


@wrong("embed")
def start_without_a_default(idx, wte, wpe, start):
    return wte[idx] + wpe[start : start + idx.shape[1]]


@wrong("embed")
def no_start_at_all(idx, wte, wpe):
    return wte[idx] + wpe[: idx.shape[1]]


@wrong("embed")
def subtracts(idx, wte, wpe, start=0):
    return wte[idx] - wpe[start : start + idx.shape[1]]


@wrong("embed")
def start_only_for_one_token(idx, wte, wpe, start=0):
    start = start if idx.shape[1] == 1 else 0
    return wte[idx] + wpe[start : start + idx.shape[1]]


@wrong("embed")
def start_taken_as_the_end(idx, wte, wpe, start=0):
    first = max(0, start - idx.shape[1] + 1)
    return wte[idx] + wpe[first : first + idx.shape[1]]


@wrong("embed")
def positions_modulo_eight(idx, wte, wpe, start=0):
    return wte[idx] + wpe[(start + torch.arange(idx.shape[1])) % min(8, len(wpe))]


@wrong("embed")
def positions_only_for_the_first_sequence(idx, wte, wpe, start=0):
    x = wte[idx]
    x[0] += wpe[start : start + idx.shape[1]]
    return x


@wrong("embed")
def positions_detached_from_the_second_on(idx, wte, wpe, start=0):
    rows = wpe[start : start + idx.shape[1]]
    return wte[idx] + torch.cat([rows[:1], rows[1:].detach()])


@wrong("embed")
def a_list(idx, wte, wpe, start=0):
    return [wte[s] + wpe[start : start + len(s)] for s in idx]


@wrong("embed")
def the_length_of_the_text_is_added(idx, wte, wpe, start=0):
    return wte[idx] + wpe[start + idx.shape[1] - 1]


@wrong("embed")
def shifts_the_ids_in_place(idx, wte, wpe, start=0):
    x = wte[idx] + wpe[start : start + idx.shape[1]]
    idx += start + 1
    return x


# sinusoidal_positions: right in other ways


@right("sinusoidal_positions")
def with_where(n_ctx, n_embd):
    column = torch.arange(n_embd)
    angle = torch.arange(n_ctx)[:, None] / 10_000 ** ((column - column % 2) / n_embd)
    return torch.where(column % 2 == 0, angle.sin(), angle.cos())


@right("sinusoidal_positions")
def column_by_column(n_ctx, n_embd):
    position = torch.arange(n_ctx, dtype=torch.float32)
    columns = []
    for i in range(0, n_embd, 2):
        columns.append(torch.sin(position / 10_000 ** (i / n_embd)))
        columns.append(torch.cos(position / 10_000 ** (i / n_embd)))
    return torch.stack(columns, dim=1)


@right("sinusoidal_positions")
def all_in_numpy(n_ctx, n_embd):
    table = np.empty((n_ctx, n_embd), dtype=np.float32)
    angle = np.outer(np.arange(n_ctx), 1 / 10_000 ** (np.arange(0, n_embd, 2) / n_embd))
    table[:, ::2], table[:, 1::2] = np.sin(angle), np.cos(angle)
    return torch.from_numpy(table)


@right("sinusoidal_positions")
def powers_of_one_turn(n_ctx, n_embd):
    turn = [cmath.exp(1j * 10_000 ** (-2 * i / n_embd)) for i in range(n_embd // 2)]
    rows = [[part for z in turn for part in ((z**p).imag, (z**p).real)] for p in range(n_ctx)]
    return torch.tensor(rows, dtype=torch.float32)


@right("sinusoidal_positions")
def einsum_and_rearranged(n_ctx, n_embd):
    rate = torch.logspace(0, -4 * (n_embd - 2) / n_embd, n_embd // 2)
    angle = torch.einsum("p,i->pi", torch.arange(n_ctx).float(), rate)
    halves = torch.cat([angle.sin(), angle.cos()], dim=1)
    order = torch.arange(n_embd).view(2, -1).T.flatten()
    return halves[:, order]


@right("sinusoidal_positions")
def sine_and_a_quarter_turn(n_ctx, n_embd):
    rate = 10_000.0 ** -(torch.arange(0, n_embd, 2) / n_embd)
    angle = (torch.arange(n_ctx).unsqueeze(1) * rate).repeat_interleave(2, dim=1)
    return (angle + torch.tensor([0.0, math.pi / 2]).repeat(n_embd // 2)).sin()


@right("sinusoidal_positions")
def a_dictionary_of_numbers(n_ctx, n_embd):
    table = torch.zeros(n_ctx, n_embd)
    for p in range(n_ctx):
        for j in range(n_embd):
            wave = math.cos if j % 2 else math.sin
            table[p, j] = wave(p / math.pow(10_000, (j // 2) * 2 / n_embd))
    return table


@right("sinusoidal_positions")
def in_half_exponents(n_ctx, n_embd):
    rate = 100.0 ** (-4 * torch.arange(n_embd // 2) / n_embd)
    angle = torch.arange(n_ctx)[:, None] * rate[None, :]
    return torch.dstack((angle.sin(), angle.cos())).view(n_ctx, n_embd)


@right("sinusoidal_positions")
def as_a_parameter_that_does_not_learn(n_ctx, n_embd):
    exponent = torch.arange(0, n_embd, 2, dtype=torch.float64) / n_embd
    angle = torch.arange(n_ctx, dtype=torch.float64)[:, None] * 10_000**-exponent
    table = torch.stack([angle.sin(), angle.cos()], -1).reshape(n_ctx, n_embd)
    return torch.nn.Parameter(table.to(torch.float32), requires_grad=False)


# sinusoidal_positions: wrong


@wrong("sinusoidal_positions", "puts all sines first")
def concatenated_halves(n_ctx, n_embd):
    angle = torch.arange(n_ctx)[:, None] / 10_000 ** (torch.arange(0, n_embd, 2) / n_embd)
    return torch.hstack([torch.sin(angle), torch.cos(angle)])


@wrong("sinusoidal_positions", "swaps sines and cosines")
def cosines_in_even_columns(n_ctx, n_embd):
    angle = torch.arange(n_ctx)[:, None] / 10_000 ** (torch.arange(0, n_embd, 2) / n_embd)
    table = torch.zeros(n_ctx, n_embd)
    table[:, 1::2], table[:, 0::2] = angle.sin(), angle.cos()
    return table


@wrong("sinusoidal_positions", "gives each column its own rate")
def column_number_as_exponent(n_ctx, n_embd):
    table = torch.zeros(n_ctx, n_embd)
    for p in range(n_ctx):
        for j in range(n_embd):
            table[p, j] = (math.cos if j % 2 else math.sin)(p / 10_000 ** (j / n_embd))
    return table


@wrong("sinusoidal_positions", "doubles the exponent")
def two_i_of_every_other_number(n_ctx, n_embd):
    i = torch.arange(0, n_embd, 2)
    angle = torch.arange(n_ctx)[:, None] / 10_000 ** (2 * i / n_embd)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)


@wrong("sinusoidal_positions", "halves the exponent")
def pair_number_over_width(n_ctx, n_embd):
    angle = torch.arange(n_ctx)[:, None] / 10_000 ** (torch.arange(n_embd // 2) / n_embd)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)


@wrong("sinusoidal_positions", "multiplies by the power")
def a_minus_sign_forgotten(n_ctx, n_embd):
    rate = 10_000 ** (torch.arange(0, n_embd, 2, dtype=torch.float64) / n_embd)
    angle = torch.arange(n_ctx)[:, None] * rate
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1).float()


@wrong("sinusoidal_positions", "counts positions from 1")
def arange_up_to_n_ctx_included(n_ctx, n_embd):
    position = torch.arange(1, n_ctx + 1)[:, None]
    angle = position / 10_000 ** (torch.arange(0, n_embd, 2) / n_embd)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)


@wrong("sinusoidal_positions", "rounds the exponent to 0")
def whole_number_division(n_ctx, n_embd):
    i = torch.arange(0, n_embd, 2)
    angle = torch.arange(n_ctx)[:, None] / 10_000.0 ** (i // n_embd)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)


@wrong("sinusoidal_positions", "multiplies by the power")
def the_rate_upside_down(n_ctx, n_embd):
    rate = 10_000 ** (torch.arange(0, n_embd, 2) / n_embd)
    angle = torch.arange(n_ctx)[:, None] * rate
    table = torch.zeros(n_ctx, n_embd)
    table[:, 0::2], table[:, 1::2] = angle.sin(), angle.cos()
    return table


@wrong("sinusoidal_positions", "multiplies by the power")
def the_rate_upside_down_by_pow(n_ctx, n_embd):
    rate = torch.pow(10_000.0, 2 * torch.arange(n_embd // 2) / n_embd)
    angle = torch.outer(torch.arange(n_ctx).float(), rate)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)


@wrong("sinusoidal_positions", "multiplies by the power")
def the_rate_upside_down_number_by_number(n_ctx, n_embd):
    table = torch.zeros(n_ctx, n_embd)
    for p in range(n_ctx):
        for i in range(n_embd // 2):
            angle = p * 10_000 ** (2 * i / n_embd)
            table[p, 2 * i], table[p, 2 * i + 1] = math.sin(angle), math.cos(angle)
    return table


@wrong("sinusoidal_positions", "forgets the brackets of the exponent")
def no_brackets_in_a_loop_of_pairs(n_ctx, n_embd):
    table = torch.zeros(n_ctx, n_embd)
    for p in range(n_ctx):
        for i in range(n_embd // 2):
            angle = p / 10_000 ** 2 * i / n_embd  # fmt: skip
            table[p, 2 * i], table[p, 2 * i + 1] = math.sin(angle), math.cos(angle)
    return table


@wrong("sinusoidal_positions", "forgets the brackets of the exponent")
def no_brackets_in_a_loop_of_columns(n_ctx, n_embd):
    table = torch.zeros(n_ctx, n_embd)
    for p in range(n_ctx):
        for i in range(n_embd):
            angle = p / 10_000 ** 2 * i / n_embd  # fmt: skip
            table[p, i] = math.cos(angle) if i % 2 else math.sin(angle)
    return table


@wrong("sinusoidal_positions", "forgets the brackets of the exponent")
def no_brackets_in_the_rates(n_ctx, n_embd):
    rates = 1 / 10_000 ** 2 * torch.arange(n_embd // 2) / n_embd  # fmt: skip
    angle = torch.arange(n_ctx)[:, None] * rates
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)


@wrong("sinusoidal_positions", "doubles the exponent")
def twice_the_number_of_the_column(n_ctx, n_embd):
    table = torch.zeros(n_ctx, n_embd)
    for p in range(n_ctx):
        for i in range(n_embd):
            angle = p / 10_000 ** (2 * i / n_embd)
            table[p, i] = math.cos(angle) if i % 2 else math.sin(angle)
    return table


@wrong("sinusoidal_positions", "doubles the exponent")
def twice_the_number_of_the_even_column(n_ctx, n_embd):
    table = torch.zeros(n_ctx, n_embd)
    for i in range(0, n_embd, 2):
        angle = torch.arange(n_ctx) / 10_000 ** (2 * i / n_embd)
        table[:, i], table[:, i + 1] = angle.sin(), angle.cos()
    return table


@wrong("sinusoidal_positions", "makes no column of the positions")
def positions_in_a_line(n_ctx, n_embd):
    rates = 1 / 10_000 ** (torch.arange(0, n_embd, 2) / n_embd)
    angle = torch.arange(n_ctx) * rates
    table = torch.empty(n_ctx, n_embd)
    table[:, 0::2] = angle.sin()
    table[:, 1::2] = angle.cos()
    return table


@wrong("sinusoidal_positions", "makes no column of the positions")
def positions_in_a_line_and_stacked(n_ctx, n_embd):
    angle = torch.arange(n_ctx) / 10_000 ** (torch.arange(0, n_embd, 2) / n_embd)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).view(n_ctx, n_embd)


@wrong("sinusoidal_positions", "writes into rows and not into columns")
def every_other_row(n_ctx, n_embd):
    position = torch.arange(n_ctx)[:, None]
    angle = position / 10_000 ** (torch.arange(0, n_embd, 2) / n_embd)
    t = torch.empty(n_ctx, n_embd)
    t[0::2] = angle.sin()
    t[1::2] = angle.cos()
    return t


@wrong("sinusoidal_positions", "takes e for the base")
def exp_without_the_logarithm(n_ctx, n_embd):
    angle = torch.arange(n_ctx)[:, None] / torch.exp(torch.arange(0, n_embd, 2) / n_embd)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)


@wrong("sinusoidal_positions", "makes a column for each position")
def never_turned(n_ctx, n_embd):
    angle = torch.arange(n_ctx) / 10_000 ** (torch.arange(0, n_embd, 2) / n_embd)[:, None]
    return torch.stack([angle.sin(), angle.cos()], dim=1).flatten(0, 1)


@wrong("sinusoidal_positions", "adds an axis for the batch")
def as_the_annotated_transformer(n_ctx, n_embd):
    return engine.find("sinusoidal_positions").reference(n_ctx, n_embd).unsqueeze(0)


@wrong("sinusoidal_positions", "returns float64")
def straight_from_numpy(n_ctx, n_embd):
    column = np.arange(n_embd)
    angle = np.arange(n_ctx)[:, None] / 10_000 ** ((column - column % 2) / n_embd)
    return torch.from_numpy(np.where(column % 2, np.cos(angle), np.sin(angle)))


@wrong("sinusoidal_positions", "spreads the exponents up to 1")
def timescales_with_both_ends(n_ctx, n_embd):
    pairs = n_embd // 2
    step = math.log(10_000) / max(pairs - 1, 1)
    angle = torch.arange(n_ctx)[:, None] * torch.exp(-step * torch.arange(pairs))
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)


@wrong("sinusoidal_positions")
def minus_sines(n_ctx, n_embd):
    table = engine.find("sinusoidal_positions").reference(n_ctx, n_embd).clone()
    table[:, ::2] *= -1
    return table


@wrong("sinusoidal_positions")
def tangents(n_ctx, n_embd):
    angle = torch.arange(n_ctx)[:, None] / 10_000 ** (torch.arange(0, n_embd, 2) / n_embd)
    return torch.stack([angle.sin(), angle.tan()], dim=-1).flatten(1)


@wrong("sinusoidal_positions")
def positions_between_0_and_1(n_ctx, n_embd):
    angle = torch.linspace(0, 1, n_ctx)[:, None] / 10_000 ** (torch.arange(0, n_embd, 2) / n_embd)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)


@wrong("sinusoidal_positions")
def the_root_of_the_width(n_ctx, n_embd):
    return engine.find("sinusoidal_positions").reference(n_ctx, n_embd) / math.sqrt(n_embd)


@wrong("sinusoidal_positions")
def base_ten(n_ctx, n_embd):
    angle = torch.arange(n_ctx)[:, None] / 10 ** (torch.arange(0, n_embd, 2) / n_embd)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)


@wrong("sinusoidal_positions")
def wraps_after_256(n_ctx, n_embd):
    position = (torch.arange(n_ctx) % 256)[:, None]
    angle = position / 10_000 ** (torch.arange(0, n_embd, 2) / n_embd)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)


@wrong("sinusoidal_positions")
def in_half_precision(n_ctx, n_embd):
    return engine.find("sinusoidal_positions").reference(n_ctx, n_embd).half().float()


@wrong("sinusoidal_positions")
def random_numbers(n_ctx, n_embd):
    return torch.randn(n_ctx, n_embd)


@wrong("sinusoidal_positions")
def a_numpy_array(n_ctx, n_embd):
    return engine.find("sinusoidal_positions").reference(n_ctx, n_embd).numpy()


@wrong("sinusoidal_positions")
def one_row_too_many(n_ctx, n_embd):
    return engine.find("sinusoidal_positions").reference(n_ctx + 1, n_embd)


# The claims


@pytest.mark.parametrize(("exercise", "answer"), answers.right_ones)
def test_right_answers_that_are_not_listed_pass(exercise, answer):
    result = checks.run(exercise, answer)
    assert result.status == "passed", result.message


@pytest.mark.parametrize(("exercise", "answer", "named"), answers.wrong_ones)
def test_wrong_answers_that_are_not_listed_do_not_pass(exercise, answer, named):
    result = checks.run(exercise, answer)
    assert result.status in ("failed", "error")
    if named:
        assert result.misconception == named, result.message


@pytest.mark.parametrize("exercise", ["embed", "sinusoidal_positions"])
def test_a_right_answer_is_checked_in_a_tenth_of_a_second(exercise):
    reference = engine.find(exercise).reference
    checks.run(exercise, reference)
    assert min(checks.run(exercise, reference).seconds for _ in range(3)) < 0.1


def test_the_target_shows_token_and_position_in_every_number():
    def embed(idx, wte, wpe, start=0):
        raise NotImplementedError("your turn")

    message = checks.run("embed", embed).message
    assert "id 2 at 3  32.00  32.10  32.20" in message
    assert "start=0" in message


def test_a_start_without_a_default_is_told_what_is_missing():
    result = checks.run("embed", start_without_a_default)
    assert result.status == "error"
    assert result.case.label == "without start the first token stands at position 0"
    assert "missing 1 required positional argument: 'start'" in result.finding


def test_an_answer_that_knows_no_start_sees_both_signatures():
    finding = checks.run("embed", no_start_at_all).finding
    assert "called with (idx, wte, wpe, start); yours takes (idx, wte, wpe)" in finding


def test_unknown_mistakes_get_the_properties_that_fail():
    held = dict(checks.run("embed", subtracts).properties)
    assert held["two tokens at one position differ as their rows of wte do"]
    assert not held["without the token's row, the row of the position is left"]
    held = dict(checks.run("sinusoidal_positions", minus_sines).properties)
    assert held["in every pair of columns, sine² + cosine² is 1"]
    assert not held["column 0 is the sine of the position, column 1 its cosine"]


def test_the_card_of_the_table_has_its_positions_beside_the_rows():
    html = Card(checks.run("sinusoidal_positions", concatenated_halves), "")._repr_html_()
    assert "puts all sines first" in html and ">position 2</text>" in html


def _right_answers(*exercises):
    for exercise in map(engine.find, exercises):
        yield exercise, exercise.reference
        for other in exercise.other_answers:
            yield exercise, other.answer


def test_every_property_holds_of_every_right_answer_and_of_what_it_returns():
    for exercise, answer in _right_answers("embed", "sinusoidal_positions"):
        for prop in exercise.properties:
            assert prop.holds(answer), (answer, prop.claim)
            for case in exercise.cases:
                if prop.of_result and not case.gradients:
                    got = exercise.call(answer, *copy.deepcopy(case.args))
                    assert prop.of_result(got, *case.args), (answer, prop.claim, case.label)


def test_another_base_is_seen_in_the_waves():
    held = checks.run("sinusoidal_positions", base_ten).properties
    assert [claim for claim, holds in held if not holds] == [
        "a pair's waves are 10,000 ** (2 / n_embd) times as long as those of the pair before"
    ]
