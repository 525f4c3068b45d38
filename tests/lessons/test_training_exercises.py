"""Lesson 13's checks on answers that are not listed there, and on batches with many seeds."""

import math
import random
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from answers import Answers
from torch import nn
from torch.utils.data import DataLoader, Dataset

from gpt2course import checks
from gpt2course.checks import engine
from gpt2course.checks.compare import difference
from gpt2course.checks.mistakes import fresh
from gpt2course.lessons.training import exercises as lesson

answers = Answers()
right, wrong = answers.right, answers.wrong
BATCH, LOSS, RATE = "next_token_batch", "next_token_loss", "learning_rate"


# next_token_batch: right in other ways


@right(BATCH)
def numbers_of_numpy(ids, batch_size, n_ctx, generator):
    seed = torch.randint(2**62, (), generator=generator).item()
    starts = np.random.default_rng(seed).integers(len(ids) - n_ctx, size=batch_size)
    text = ids.numpy()
    rows = np.stack([text[s : s + n_ctx + 1] for s in starts])
    return torch.from_numpy(rows[:, :-1].copy()), torch.from_numpy(rows[:, 1:].copy())


@right(BATCH)
def numbers_of_python(ids, batch_size, n_ctx, generator):
    dice = random.Random(int(torch.randint(2**62, (), generator=generator)))
    starts = [dice.randrange(len(ids) - n_ctx) for _ in range(batch_size)]
    text = ids.tolist()
    inputs = torch.tensor([text[s : s + n_ctx] for s in starts])
    return inputs, torch.tensor([text[s + 1 : s + n_ctx + 1] for s in starts])


@right(BATCH)
def token_by_token(ids, batch_size, n_ctx, generator):
    inputs = torch.zeros(batch_size, n_ctx).long()
    targets = torch.zeros(batch_size, n_ctx).long()
    for b, start in enumerate(
        torch.randint(0, len(ids) - n_ctx, (batch_size,), generator=generator)
    ):
        for t in range(n_ctx):
            inputs[b, t] = ids[start + t]
            targets[b, t] = ids[start + t + 1]
    return inputs, targets


@right(BATCH)
def multinomial_over_the_starts(ids, batch_size, n_ctx, generator):
    even = torch.ones(len(ids) - n_ctx)
    starts = torch.multinomial(even, batch_size, replacement=True, generator=generator)
    rows = torch.cat([ids[s : s + n_ctx + 1][None] for s in starts.tolist()])
    return rows[:, :n_ctx], rows[:, -n_ctx:]


@right(BATCH)
def the_first_of_a_shuffle_each_time(ids, batch_size, n_ctx, generator):
    n = len(ids) - n_ctx
    starts = [torch.randperm(n, generator=generator)[0] for _ in range(batch_size)]
    pairs = [(ids[s : s + n_ctx], ids[s + 1 : s + 1 + n_ctx]) for s in starts]
    return torch.stack([x for x, _ in pairs]), torch.stack([y for _, y in pairs])


@right(BATCH)
def strides_over_the_text(ids, batch_size, n_ctx, generator):
    ids = ids.contiguous()
    rows = ids.as_strided((len(ids) - n_ctx, n_ctx + 1), (1, 1))
    rows = rows[torch.randint(len(rows), (batch_size,), generator=generator)]
    return rows[..., :-1].clone(), rows[..., 1:].clone()


@right(BATCH)
def gathering_from_the_text(ids, batch_size, n_ctx, generator=None):
    starts = torch.randint(ids.numel() - n_ctx, (batch_size, 1), generator=generator)
    places = (starts + torch.arange(n_ctx)).flatten()
    shape = batch_size, n_ctx
    return ids.gather(0, places).view(shape), ids.gather(0, places + 1).view(shape)


@right(BATCH)
def rounding_down(ids, batch_size, n_ctx, generator):
    n = len(ids) - n_ctx
    starts = torch.floor(n * torch.rand(batch_size, generator=generator, dtype=torch.float64))
    rows = ids.index_select(0, (starts.long()[:, None] + torch.arange(n_ctx + 1)).flatten())
    return tuple(rows.unflatten(0, (batch_size, n_ctx + 1)).unfold(1, n_ctx, 1).unbind(1))


@right(BATCH)
def drawing_until_it_fits(ids, batch_size, n_ctx, generator):
    starts = []
    while len(starts) < batch_size:
        start = torch.randint(len(ids), (), generator=generator).item()
        if start + n_ctx < len(ids):
            starts.append(start)
    rows = torch.stack([ids.narrow(0, start, n_ctx + 1) for start in starts])
    return rows.narrow(1, 0, n_ctx), rows.narrow(1, 1, n_ctx)


class Rows(Dataset):
    def __init__(self, ids, n_ctx):
        self.ids, self.n_ctx = ids, n_ctx

    def __len__(self):
        return len(self.ids) - self.n_ctx

    def __getitem__(self, start):
        return self.ids[start : start + self.n_ctx], self.ids[start + 1 : start + self.n_ctx + 1]


@right(BATCH)
def a_data_loader(ids, batch_size, n_ctx, generator):
    rows = Rows(ids, n_ctx)
    sampler = torch.utils.data.RandomSampler(
        rows, replacement=True, num_samples=batch_size, generator=generator
    )
    if generator is None:  # a sampler without one seeds itself from torch's own
        starts = torch.randint(len(rows), (batch_size,))
        return tuple(map(torch.stack, zip(*[rows[s] for s in starts], strict=True)))
    inputs, targets = next(iter(DataLoader(rows, batch_size, sampler=sampler)))
    return inputs, targets


# next_token_batch: wrong


@wrong(BATCH, "forgets to shift the targets")
def twice_the_same(ids, batch_size, n_ctx, generator):
    starts = torch.randint(len(ids) - n_ctx, (batch_size,), generator=generator)
    rows = torch.stack([ids[s : s + n_ctx] for s in starts])
    return rows, rows


@wrong(BATCH, "exchanges inputs and targets")
def later_ones_first(ids, batch_size, n_ctx, generator):
    starts = torch.randint(len(ids) - n_ctx, (batch_size,), generator=generator)
    rows = torch.stack([ids[s : s + n_ctx + 1] for s in starts])
    return rows[:, 1:], rows[:, :-1]


@wrong(BATCH, "rolls the inputs")
def rolled_rows(ids, batch_size, n_ctx, generator):
    starts = torch.randint(len(ids) - n_ctx, (batch_size,), generator=generator)
    rows = torch.stack([ids[s : s + n_ctx] for s in starts])
    return rows, torch.cat([rows[:, 1:], rows[:, :1]], dim=1)


@wrong(BATCH, "cuts one token too few")
def pairs_within_n_ctx_tokens(ids, batch_size, n_ctx, generator):
    starts = torch.randint(len(ids) - n_ctx, (batch_size,), generator=generator)
    rows = torch.stack([ids[s : s + n_ctx] for s in starts])
    return rows[:, :-1], rows[:, 1:]


@wrong(BATCH, "leaves out the last start")
def one_less_than_there_are(ids, batch_size, n_ctx, generator):
    starts = torch.randint(0, len(ids) - n_ctx - 1, (batch_size,), generator=generator)
    inputs = torch.stack([ids[s : s + n_ctx] for s in starts])
    return inputs, torch.stack([ids[s + 1 : s + n_ctx + 1] for s in starts])


@wrong(BATCH, "leaves out the last start")
def one_less_than_there_are_but_at_least_one(ids, batch_size, n_ctx, generator):
    high = max(1, len(ids) - n_ctx - 1)
    starts = torch.randint(0, high, (batch_size,), generator=generator)
    inputs = torch.stack([ids[s : s + n_ctx] for s in starts])
    return inputs, torch.stack([ids[s + 1 : s + n_ctx + 1] for s in starts])


@wrong(BATCH, "begins anywhere")
def a_start_for_each_token(ids, batch_size, n_ctx, generator):
    rows = []
    for start in torch.randint(len(ids), (batch_size,), generator=generator).tolist():
        rows.append((ids[start : start + n_ctx], ids[start + 1 : start + n_ctx + 1]))
    return torch.stack([x for x, _ in rows]), torch.stack([y for _, y in rows])


@wrong(BATCH, "leaves no room for the last target")
def one_start_too_many(ids, batch_size, n_ctx, generator):
    ix = torch.randint(len(ids) - n_ctx + 1, (batch_size,), generator=generator)
    x = torch.stack([ids[i : i + n_ctx] for i in ix])
    y = torch.stack([ids[i + 1 : i + 1 + n_ctx] for i in ix])
    return x, y


@wrong(BATCH, "draws one start for all rows")
def a_row_repeated(ids, batch_size, n_ctx, generator):
    start = int(torch.randint(len(ids) - n_ctx, (1,), generator=generator))
    x, y = ids[start : start + n_ctx], ids[start + 1 : start + n_ctx + 1]
    return x.repeat(batch_size, 1), y.repeat(batch_size, 1)


@wrong(BATCH, "draws one start for all rows")
def a_list_times_the_batch_size(ids, batch_size, n_ctx, generator):
    starts = [torch.randint(len(ids) - n_ctx, (1,), generator=generator).item()] * batch_size
    rows = torch.stack([ids[s : s + n_ctx + 1] for s in starts])
    return rows[:, :-1], rows[:, 1:]


@wrong(BATCH, "draws without putting back")
def the_first_of_a_shuffle(ids, batch_size, n_ctx, generator):
    starts = torch.randperm(len(ids) - n_ctx, generator=generator)[:batch_size]
    rows = torch.stack([ids[s : s + n_ctx + 1] for s in starts])
    return rows[:, :-1], rows[:, 1:]


@wrong(BATCH, "draws without putting back")
def multinomial_without_replacement(ids, batch_size, n_ctx, generator):
    n = len(ids) - n_ctx
    starts = torch.multinomial(torch.ones(n), min(n, batch_size), generator=generator)
    rows = torch.stack([ids[s : s + n_ctx + 1] for s in starts])
    return rows[:, :-1], rows[:, 1:]


@wrong(BATCH, "cuts the text into blocks")
def one_of_the_blocks(ids, batch_size, n_ctx, generator):
    blocks = torch.arange(0, len(ids) - n_ctx, n_ctx)
    starts = blocks[torch.randint(len(blocks), (batch_size,), generator=generator)]
    rows = torch.stack([ids[s : s + n_ctx + 1] for s in starts])
    return rows[:, :-1], rows[:, 1:]


@wrong(BATCH, "ignores the generator")
def numpys_own_numbers(ids, batch_size, n_ctx, generator):
    starts = np.random.randint(0, len(ids) - n_ctx, batch_size)
    rows = torch.stack([ids[s : s + n_ctx + 1] for s in starts])
    return rows[:, :-1], rows[:, 1:]


@wrong(BATCH, "sets a seed of its own")
def manual_seed_inside(ids, batch_size, n_ctx, generator):
    torch.manual_seed(1337)
    starts = torch.randint(len(ids) - n_ctx, (batch_size,))
    rows = torch.stack([ids[s : s + n_ctx + 1] for s in starts])
    return rows[:, :-1], rows[:, 1:]


@wrong(BATCH, "returns the places")
def windows_of_numbers(ids, batch_size, n_ctx, generator):
    starts = torch.randint(len(ids) - n_ctx, (batch_size, 1), generator=generator)
    places = starts + torch.arange(n_ctx)
    return places, places + 1


@wrong(BATCH, "draws every token by itself")
def drawn_tokens(ids, batch_size, n_ctx, generator):
    places = torch.randint(len(ids) - 1, (batch_size, n_ctx), generator=generator)
    return ids[places], ids[places + 1]


@wrong(BATCH, "sorts the starts")
def in_the_order_of_the_text(ids, batch_size, n_ctx, generator):
    starts = sorted(torch.randint(len(ids) - n_ctx, (batch_size,), generator=generator).tolist())
    rows = torch.stack([ids[s : s + n_ctx + 1] for s in starts])
    return rows[:, :-1], rows[:, 1:]


@wrong(BATCH, "puts the texts into columns")
def stacked_on_axis_1(ids, batch_size, n_ctx, generator):
    starts = torch.randint(len(ids) - n_ctx, (batch_size,), generator=generator)
    rows = torch.stack([ids[s : s + n_ctx + 1] for s in starts], dim=1)
    return rows[:-1], rows[1:]


@wrong(BATCH, "returns a list")
def in_brackets(ids, batch_size, n_ctx, generator):
    starts = torch.randint(len(ids) - n_ctx, (batch_size,), generator=generator)
    rows = torch.stack([ids[s : s + n_ctx + 1] for s in starts])
    return [rows[:, :-1], rows[:, 1:]]


@wrong(BATCH, "leaves the rows in lists")
def two_lists(ids, batch_size, n_ctx, generator):
    starts = torch.randint(len(ids) - n_ctx, (batch_size,), generator=generator)
    return [ids[s : s + n_ctx] for s in starts], [ids[s + 1 : s + n_ctx + 1] for s in starts]


@wrong(BATCH)
def the_middle_more_often(ids, batch_size, n_ctx, generator):
    two = torch.rand(2, batch_size, generator=generator).mean(dim=0)
    starts = (two * (len(ids) - n_ctx)).long()
    rows = torch.stack([ids[s : s + n_ctx + 1] for s in starts])
    return rows[:, :-1], rows[:, 1:]


@wrong(BATCH)
def every_other_start(ids, batch_size, n_ctx, generator):
    n = (len(ids) - n_ctx + 1) // 2
    starts = 2 * torch.randint(n, (batch_size,), generator=generator)
    rows = torch.stack([ids[s : s + n_ctx + 1] for s in starts])
    return rows[:, :-1], rows[:, 1:]


@wrong(BATCH)
def backwards(ids, batch_size, n_ctx, generator):
    starts = torch.randint(len(ids) - n_ctx, (batch_size,), generator=generator)
    rows = torch.stack([ids[s : s + n_ctx + 1].flip(0) for s in starts])
    return rows[:, :-1], rows[:, 1:]


@wrong(BATCH)
def pairs_of_equal_rows(ids, batch_size, n_ctx, generator):
    n = (batch_size + 1) // 2
    starts = torch.randint(len(ids) - n_ctx, (n,), generator=generator).repeat(2)[:batch_size]
    rows = torch.stack([ids[s : s + n_ctx + 1] for s in starts])
    return rows[:, :-1], rows[:, 1:]


@wrong(BATCH)
def a_new_generator_at_every_call(ids, batch_size, n_ctx, generator):
    generator = torch.Generator()
    generator.seed()
    starts = torch.randint(len(ids) - n_ctx, (batch_size,), generator=generator)
    rows = torch.stack([ids[s : s + n_ctx + 1] for s in starts])
    return rows[:, :-1], rows[:, 1:]


@wrong(BATCH)
def the_end_of_the_text_alone(ids, batch_size, n_ctx, generator):
    ids = ids[-2 * n_ctx :]
    starts = torch.randint(len(ids) - n_ctx, (batch_size,), generator=generator)
    rows = torch.stack([ids[s : s + n_ctx + 1] for s in starts])
    return rows[:, :-1], rows[:, 1:]


# next_token_loss: right in other ways


@right(LOSS)
def cross_entropy_of_permuted_axes(logits, targets):
    return F.cross_entropy(logits.permute(0, 2, 1), targets)


@right(LOSS)
def a_module_of_torch(logits, targets):
    return nn.CrossEntropyLoss()(logits.flatten(0, -2), targets.flatten())


@right(LOSS)
def nll_of_log_softmax(logits, targets):
    return F.nll_loss(F.log_softmax(logits, dim=2).reshape(-1, logits.size(2)), targets.reshape(-1))


@right(LOSS)
def log_softmax_twice(logits, targets):
    return F.cross_entropy(logits.log_softmax(-1).mT, targets)


@right(LOSS)
def one_hots(logits, targets):
    wanted = F.one_hot(targets, logits.shape[-1]).to(logits.dtype)
    return -(wanted * torch.log_softmax(logits, -1)).sum(-1).mean()


@right(LOSS)
def probabilities_as_targets(logits, targets):
    wanted = F.one_hot(targets, logits.shape[-1]).to(logits.dtype)
    return F.cross_entropy(logits.flatten(0, 1), wanted.flatten(0, 1))


@right(LOSS)
def the_sum_divided_by_the_number(logits, targets):
    flat = logits.reshape(-1, logits.shape[-1])
    return F.cross_entropy(flat, targets.reshape(-1), reduction="sum") / targets.numel()


@right(LOSS)
def the_mean_of_means(logits, targets):
    pairs = zip(logits, targets, strict=True)
    return torch.stack([F.cross_entropy(text, wanted) for text, wanted in pairs]).mean()


@right(LOSS)
def mapped_twice(logits, targets):
    per_token = torch.func.vmap(torch.func.vmap(lambda x, y: x.logsumexp(0) - x.gather(0, y)))
    return per_token(logits, targets).mean()


@right(LOSS)
def indexing_rows_and_columns(logits, targets):
    B, T, V = logits.shape
    log_probs = logits.log_softmax(-1)
    return -log_probs[torch.arange(B)[:, None], torch.arange(T), targets].sum() / (B * T)


@right(LOSS)
def in_float64_and_back(logits, targets):
    return F.cross_entropy(logits.double().flatten(0, 1), targets.flatten()).to(logits.dtype)


@right(LOSS)
def leaving_out_what_never_comes(logits, targets):
    return F.cross_entropy(logits.transpose(-1, -2), targets, ignore_index=-1)


@right(LOSS)
def subtracting_the_largest_by_hand(logits, targets):
    shifted = logits - logits.max(dim=-1, keepdim=True).values
    total = shifted.exp().sum(-1).log()
    return (total - shifted.take_along_dim(targets[:, :, None], dim=2).squeeze(2)).mean()


@right(LOSS)
def a_categorical_distribution(logits, targets):
    return -torch.distributions.Categorical(logits=logits).log_prob(targets).mean()


# next_token_loss: wrong


@wrong(LOSS, "adds up the losses")
def reduction_sum(logits, targets):
    return F.cross_entropy(logits.transpose(1, 2), targets, reduction="sum")


@wrong(LOSS, "gives each token its loss")
def reduction_none(logits, targets):
    return F.cross_entropy(logits.transpose(1, 2), targets, reduction="none")


@wrong(LOSS, "averages over the texts alone")
def the_sum_over_the_batch_size(logits, targets):
    flat = logits.reshape(-1, logits.shape[-1])
    return F.cross_entropy(flat, targets.reshape(-1), reduction="sum") / len(targets)


@wrong(LOSS, "takes the softmax first")
def cross_entropy_of_probabilities(logits, targets):
    probs = F.softmax(logits, dim=-1)
    return F.cross_entropy(probs.view(-1, probs.size(-1)), targets.reshape(-1))


@wrong(LOSS, "forgets the logarithm")
def nll_of_probabilities(logits, targets):
    return F.nll_loss(logits.softmax(-1).flatten(0, 1), targets.flatten())


@wrong(LOSS, "forgets the softmax")
def nll_of_scores(logits, targets):
    return F.nll_loss(logits.flatten(0, 1), targets.flatten())


@wrong(LOSS, "hands the axes over as they are")
def a_module_as_it_is(logits, targets):
    return nn.CrossEntropyLoss()(logits, targets)


@wrong(LOSS, "reshapes where it should transpose")
def viewed_as_b_v_t(logits, targets):
    B, T, V = logits.shape
    return F.cross_entropy(logits.contiguous().view(B, V, T), targets)


@wrong(LOSS, "shifts once more")
def shifted_as_where_labels_are_the_inputs(logits, targets):
    scores, labels = logits[..., :-1, :].contiguous(), targets[..., 1:].contiguous()
    return F.cross_entropy(scores.view(-1, scores.size(-1)), labels.view(-1))


@wrong(LOSS, "takes the last position alone")
def the_last_row_of_scores(logits, targets):
    return F.cross_entropy(logits[:, -1], targets[:, -1])


@wrong(LOSS, "takes the exponentials of large scores")
def softmax_by_hand(logits, targets):
    e = torch.exp(logits)
    probs = e / e.sum(-1, keepdim=True)
    at_targets = torch.gather(probs, 2, targets.unsqueeze(2))
    return (-torch.log(at_targets)).mean()


@wrong(LOSS, "takes the logarithm of a rounded probability")
def log_of_softmax(logits, targets):
    log_probs = torch.log(torch.softmax(logits, dim=-1))
    return F.nll_loss(log_probs.flatten(0, 1), targets.flatten())


@wrong(LOSS, "adds a small number to the probability")
def log_of_softmax_and_a_millionth(logits, targets):
    probs = torch.softmax(logits, dim=-1)
    return -torch.log(probs.gather(-1, targets[..., None]) + 1e-6).mean()


@wrong(LOSS, "adds a small number to the probability")
def clipped_probabilities(logits, targets):
    probs = torch.softmax(logits, dim=-1).clamp(min=1e-12)
    return -torch.log(probs.gather(-1, targets[..., None])).mean()


@wrong(LOSS, "counts in bits")
def log2(logits, targets):
    return (F.cross_entropy(logits.transpose(1, 2), targets)) * math.log2(math.e)


@wrong(LOSS, "returns the perplexity")
def exp_of_the_loss(logits, targets):
    return torch.exp(F.cross_entropy(logits.transpose(1, 2), targets))


@wrong(LOSS, "leaves out id zero")
def padding_id_zero(logits, targets):
    losses = F.cross_entropy(logits.transpose(1, 2), targets, reduction="none")
    return losses[targets != 0].mean()


@wrong(LOSS, "asks for a view")
def view_of_both(logits, targets):
    B, T, V = logits.shape
    return F.cross_entropy(logits.view(B * T, V), targets.view(B * T))


@wrong(LOSS, "asks for a view")
def view_of_the_targets(logits, targets):
    B, T, V = logits.shape
    return F.cross_entropy(logits.reshape(B * T, V), targets.view(B * T))


@wrong(LOSS, "returns a plain number")
def item(logits, targets):
    return F.cross_entropy(logits.transpose(1, 2), targets).item()


@wrong(LOSS, "cuts the gradient")
def a_new_tensor(logits, targets):
    loss = F.cross_entropy(logits.transpose(1, 2), targets).item()
    return torch.tensor(loss, dtype=logits.dtype)


@wrong(LOSS, "always float32")
def float_scores(logits, targets):
    return F.cross_entropy(logits.float().transpose(1, 2), targets)


@wrong(LOSS, "forgets the minus")
def mean_log_probability(logits, targets):
    return logits.log_softmax(-1).gather(-1, targets[..., None]).mean()


@wrong(LOSS)
def the_median(logits, targets):
    return F.cross_entropy(logits.transpose(1, 2), targets, reduction="none").median()


@wrong(LOSS)
def focal(logits, targets):
    losses = F.cross_entropy(logits.transpose(1, 2), targets, reduction="none")
    return ((1 - (-losses).exp()) * losses).mean()


@wrong(LOSS)
def later_positions_count_more(logits, targets):
    losses = F.cross_entropy(logits.transpose(1, 2), targets, reduction="none")
    weights = torch.arange(1, losses.shape[1] + 1).to(losses)
    return (losses * weights).sum() / (weights.sum() * len(losses))


@wrong(LOSS)
def divides_by_one_too_few(logits, targets):
    losses = F.cross_entropy(logits.transpose(1, 2), targets, reduction="none")
    return losses.sum() / max(1, losses.numel() - 1)


@wrong(LOSS)
def no_higher_than_a_thousand(logits, targets):
    return F.cross_entropy(logits.transpose(1, 2), targets, reduction="none").clamp(max=1e3).mean()


@wrong(LOSS)
def in_half_precision(logits, targets):
    return F.cross_entropy(logits.bfloat16().transpose(1, 2), targets).to(logits.dtype)


# learning_rate: right in other ways


@right(RATE)
def numpy_interp_for_the_way(step, max_lr, min_lr, warmup_steps, max_steps):
    if step < warmup_steps:
        return float(np.interp(step + 1, [0, warmup_steps], [0, max_lr]))
    way = np.interp(step, [warmup_steps, max_steps], [0.0, 1.0])
    return float(min_lr + 0.5 * (max_lr - min_lr) * (1 + np.cos(np.pi * way)))


@right(RATE)
def a_float_of_numpy(step, max_lr, min_lr, warmup_steps, max_steps):
    if step < warmup_steps:
        return np.float64(max_lr) * (step + 1) / warmup_steps
    way = np.clip((step - warmup_steps) / (max_steps - warmup_steps), 0, 1)
    return min_lr + (max_lr - min_lr) * (1 + np.cos(np.pi * way)) / 2


@right(RATE)
def a_list_of_all_rates(step, max_lr, min_lr, warmup_steps, max_steps):
    rates = [max_lr * i / warmup_steps for i in range(1, warmup_steps + 1)]
    if step < len(rates):
        return rates[step]
    if step > max_steps:
        return min_lr
    down = max_steps - warmup_steps
    share = (1 + math.cos(math.pi * (step - warmup_steps) / down)) / 2
    return share * (max_lr - min_lr) + min_lr


@right(RATE)
def fractions(step, max_lr, min_lr, warmup_steps, max_steps):
    if step < warmup_steps:
        return float(Fraction(step + 1, warmup_steps)) * max_lr
    way = min(Fraction(1), Fraction(step - warmup_steps, max_steps - warmup_steps))
    return min_lr + (max_lr - min_lr) * math.cos(math.pi / 2 * float(way)) ** 2


@right(RATE)
def the_real_part_of_a_turn(step, max_lr, min_lr, warmup_steps, max_steps):
    if step < warmup_steps:
        return max_lr * ((step + 1) / warmup_steps)
    way = min(step, max_steps) - warmup_steps
    turn = np.exp(1j * np.pi * way / (max_steps - warmup_steps))
    return float(max_lr + (min_lr - max_lr) * (1 - turn.real) / 2)


@right(RATE)
def one_expression(step, max_lr, min_lr, warmup_steps, max_steps):
    return (
        max_lr * (step + 1) / warmup_steps
        if step < warmup_steps
        else min_lr
        if step > max_steps
        else min_lr
        + (max_lr - min_lr)
        * 0.5
        * (1 + math.cos(math.pi * (step - warmup_steps) / (max_steps - warmup_steps)))
    )


@right(RATE)
def the_smaller_of_two(step, max_lr, min_lr, warmup_steps, max_steps):
    warm = max_lr * (step + 1) / warmup_steps if warmup_steps else math.inf
    since = max(0, step - warmup_steps)
    way = min(1.0, since / (max_steps - warmup_steps))
    return min(warm, min_lr + (max_lr - min_lr) * (1 + math.cos(way * math.pi)) / 2)


@right(RATE)
def a_table_of_phases(step, max_lr, min_lr, warmup_steps, max_steps):
    fall = max_lr - min_lr
    n = max_steps - warmup_steps
    phases = [
        (warmup_steps, lambda: max_lr / warmup_steps * (step + 1)),
        (max_steps, lambda: max_lr - fall * math.sin(math.pi / 2 * (step - warmup_steps) / n) ** 2),
        (math.inf, lambda: min_lr),
    ]
    return next(rate() for end, rate in phases if step < end)


# learning_rate: wrong


@wrong(RATE, "begins with zero")
def zero_first(step, max_lr, min_lr, warmup_steps, max_steps):
    if step < warmup_steps:
        return step / warmup_steps * max_lr
    way = min(1, (step - warmup_steps) / (max_steps - warmup_steps))
    return min_lr + 0.5 * (max_lr - min_lr) * (1 + math.cos(math.pi * way))


@wrong(RATE, "divides the warm up into one part more")
def one_more(step, max_lr, min_lr, warmup_steps, max_steps):
    if step < warmup_steps:
        return max_lr * (step + 1) / (warmup_steps + 1)
    if step > max_steps:
        return min_lr
    way = (step - warmup_steps) / (max_steps - warmup_steps)
    return min_lr + 0.5 * (1.0 + math.cos(math.pi * way)) * (max_lr - min_lr)


@wrong(RATE, "counts the cosine from step 0")
def progress_of_the_whole_run(step, max_lr, min_lr, warmup_steps, max_steps):
    if step < warmup_steps:
        return max_lr * (step + 1) / warmup_steps
    if step > max_steps:
        return min_lr
    return min_lr + 0.5 * (1.0 + math.cos(math.pi * step / max_steps)) * (max_lr - min_lr)


@wrong(RATE, "rises again after the end")
def no_end(step, max_lr, min_lr, warmup_steps, max_steps):
    if step < warmup_steps:
        return max_lr * (step + 1) / warmup_steps
    way = (step - warmup_steps) / (max_steps - warmup_steps)
    return (max_lr + min_lr) / 2 + (max_lr - min_lr) / 2 * math.cos(math.pi * way)


@wrong(RATE, "falls to zero")
def without_min_lr(step, max_lr, min_lr, warmup_steps, max_steps):
    if step < warmup_steps:
        return max_lr * (step + 1) / warmup_steps
    way = min(1.0, (step - warmup_steps) / (max_steps - warmup_steps))
    return max_lr * 0.5 * (1 + math.cos(math.pi * way))


@wrong(RATE, "cuts the cosine off")
def at_least_min_lr(step, max_lr, min_lr, warmup_steps, max_steps):
    if step < warmup_steps:
        return max_lr * (step + 1) / warmup_steps
    if step >= max_steps:
        return min_lr
    way = (step - warmup_steps) / (max_steps - warmup_steps)
    return max(max_lr * (1 + math.cos(math.pi * way)) / 2, min_lr)


@wrong(RATE, "falls in a straight line")
def a_line(step, max_lr, min_lr, warmup_steps, max_steps):
    if step < warmup_steps:
        return max_lr * (step + 1) / warmup_steps
    left = max(0, max_steps - step) / (max_steps - warmup_steps)
    return min_lr + left * (max_lr - min_lr)


@wrong(RATE, "divides by no warm up")
def the_smaller_one(step, max_lr, min_lr, warmup_steps, max_steps):
    warm = min(1.0, (step + 1) / warmup_steps)
    if warm < 1.0:
        return max_lr * warm
    way = min(1.0, max(0, step - warmup_steps) / (max_steps - warmup_steps))
    return min_lr + (max_lr - min_lr) * (1 + math.cos(math.pi * way)) / 2


@wrong(RATE, "returns a tensor")
def torch_all_the_way(step, max_lr, min_lr, warmup_steps, max_steps):
    if step < warmup_steps:
        return torch.tensor(max_lr * (step + 1) / warmup_steps)
    way = torch.tensor(min(1.0, (step - warmup_steps) / (max_steps - warmup_steps)))
    return min_lr + (max_lr - min_lr) * (1 + torch.cos(torch.pi * way)) / 2


@wrong(RATE, "lets the cosine go below zero")
def no_one_plus(step, max_lr, min_lr, warmup_steps, max_steps):
    if step < warmup_steps:
        return max_lr * (step + 1) / warmup_steps
    if step >= max_steps:
        return min_lr
    way = (step - warmup_steps) / (max_steps - warmup_steps)
    return math.cos(math.pi * way) * (max_lr - min_lr) + min_lr


@wrong(RATE, "turns the cosine upside down")
def one_minus(step, max_lr, min_lr, warmup_steps, max_steps):
    if step < warmup_steps:
        return max_lr * (step + 1) / warmup_steps
    if step >= max_steps:
        return min_lr
    way = (step - warmup_steps) / (max_steps - warmup_steps)
    return min_lr + (max_lr - min_lr) * (1 - math.cos(math.pi * way)) / 2


@wrong(RATE, "warms up one step too long")
def at_most(step, max_lr, min_lr, warmup_steps, max_steps):
    if warmup_steps > 0 and step <= warmup_steps:
        return max_lr * (step + 1) / warmup_steps
    way = min(1, (step - warmup_steps) / (max_steps - warmup_steps))
    return min_lr + (max_lr - min_lr) * (1 + math.cos(math.pi * way)) / 2


@wrong(RATE)
def exponentially(step, max_lr, min_lr, warmup_steps, max_steps):
    if step < warmup_steps:
        return max_lr * (step + 1) / warmup_steps
    way = min(1, (step - warmup_steps) / (max_steps - warmup_steps))
    return max_lr * (max(min_lr, 1e-9) / max_lr) ** way


@wrong(RATE)
def a_warm_up_by_the_cosine(step, max_lr, min_lr, warmup_steps, max_steps):
    if step < warmup_steps:
        return max_lr * (1 - math.cos(math.pi * (step + 1) / warmup_steps)) / 2
    way = min(1, (step - warmup_steps) / (max_steps - warmup_steps))
    return min_lr + (max_lr - min_lr) * (1 + math.cos(math.pi * way)) / 2


@wrong(RATE)
def rounded(step, max_lr, min_lr, warmup_steps, max_steps):
    if step < warmup_steps:
        return round(max_lr * (step + 1) / warmup_steps, 4)
    way = min(1, (step - warmup_steps) / (max_steps - warmup_steps))
    return round(min_lr + (max_lr - min_lr) * (1 + math.cos(math.pi * way)) / 2, 4)


_CALLS = {"step": -1}


@wrong(RATE)
def counts_its_own_calls(step, max_lr, min_lr, warmup_steps, max_steps):
    _CALLS["step"] += 1
    return lesson._right(_CALLS["step"], max_lr, min_lr, warmup_steps, max_steps)


# All of them


@pytest.mark.parametrize(("exercise", "answer"), answers.right_ones)
def test_every_other_right_answer_passes(exercise, answer):
    result = checks.run(exercise, answer)
    assert result.passed, result.message


@pytest.mark.parametrize(("exercise", "answer", "named"), answers.wrong_ones)
def test_no_other_wrong_answer_passes_and_known_mistakes_are_named(exercise, answer, named):
    result = checks.run(exercise, answer)
    assert result.status in ("failed", "error"), result.status
    if named is not None:
        assert result.misconception == named, result.message


# Chance


def with_seeds(further):
    """The exercise with other seeds in all its cases."""
    cases = []
    for case in lesson.next_token_batch.cases:
        *args, seed = case.args
        number = None if seed.number is None else seed.number + 1000 * further
        cases.append(replace(case, args=(*args, replace(seed, number=number))))
    return replace(lesson.next_token_batch, cases=cases)


def outcomes(exercise, answer):
    return [engine.attempt(exercise, answer, case) for case in exercise.cases]


RIGHT_BATCHES = [p.values[1] for p in answers.right_ones if p.values[0] == BATCH]
RIGHT_BATCHES += [other.answer for other in lesson.next_token_batch.other_answers]


@pytest.mark.parametrize("further", range(1, 4))
@pytest.mark.parametrize("answer", RIGHT_BATCHES, ids=lambda f: f.__name__)
def test_no_seed_refuses_a_right_batch(answer, further):
    exercise = with_seeds(further)
    expected = outcomes(exercise, exercise.reference)
    for case, one, other in zip(exercise.cases, expected, outcomes(exercise, answer), strict=True):
        assert not engine.is_wrong(one, other), (case.label, difference(one.value, other.value))


@pytest.mark.parametrize("further", range(1, 3))
@pytest.mark.parametrize("mistake", lesson.next_token_batch.misconceptions, ids=lambda m: m.name)
def test_no_seed_lets_a_known_mistake_pass(mistake, further):
    exercise = with_seeds(further)
    expected = outcomes(exercise, exercise.reference)
    found = outcomes(exercise, fresh(mistake.answer))
    assert any(engine.is_wrong(one, other) for one, other in zip(expected, found, strict=True))


def test_every_start_has_its_share_in_what_is_expected():
    exercise = lesson.next_token_batch
    counted = [o.value for o in outcomes(exercise, exercise.reference) if _has_shares(o.value)]
    sizes = sorted(said[lesson.STARTS].shape[-1] for said in counted)
    assert sizes == [2, 3, 3, 5, 11]
    for said in counted:
        shares = said[lesson.STARTS]
        assert torch.equal(shares, torch.full_like(shares, 1 / shares.numel()))


def _has_shares(value):
    return isinstance(value, dict) and lesson.STARTS in value


# Cards


def test_the_first_card_of_a_batch_shows_ids_and_the_ids_after_them():
    def stub(ids, batch_size, n_ctx, generator):
        raise NotImplementedError("your turn")

    message = checks.run(BATCH, stub).message
    assert "four ids, rows of three: there is one start" in message
    assert "[50, 10, 40]" in message and "[10, 40, 20]" in message


def test_the_card_of_unshifted_targets_draws_expected_and_given():
    result = checks.run(BATCH, twice_the_same)
    assert "expected [1]" in result.message and "yours [1]" in result.message
    assert "begin them at start + 1" in result.message


def test_the_card_of_an_unknown_mistake_says_what_holds_and_what_does_not():
    message = checks.run(BATCH, every_other_start).message
    assert "✓ holds: every target is the token after its input" in message
    assert "✗ does not hold: all starts are drawn equally often" in message
    message = checks.run(LOSS, the_median).message
    assert "✓ holds: one number, in a tensor of shape ()" in message
    message = checks.run(RATE, a_warm_up_by_the_cosine).message
    assert "✗ does not hold: it rises by max_lr / warmup_steps in each step" in message
    assert "✓ holds: from max_steps on it is min_lr" in message


def test_the_card_of_a_learning_rate_names_the_steps_that_differ():
    message = checks.run(RATE, zero_first).message
    assert "learning_rate(step=0, 1, …, 9, max_lr=0.8, min_lr=0.1" in message
    assert "step 0: expected 0.2, yours 0.0" in message
    assert "the other 6 are right" in message


def test_the_smallest_card_of_a_loss_shows_its_numbers():
    message = checks.run(LOSS, the_median).message
    assert "logits=[[[2.0, 0.0, 1.0], [0.5, -1.0, 3.0]]], targets=[[0, 1]]" in message
    assert "expected  2.25164" in message


def test_a_call_that_does_not_fit_is_told_with_both_signatures():
    message = checks.run(RATE, lambda step, max_lr: max_lr).message
    assert "learning_rate is called with (step, max_lr, min_lr, warmup_steps, max_steps)" in message


def test_returning_nothing_is_said_of_all_three():
    for name, answer in (
        (BATCH, lambda ids, batch_size, n_ctx, generator: None),
        (LOSS, lambda logits, targets: None),
        (RATE, lambda step, max_lr, min_lr, warmup_steps, max_steps: None),
    ):
        assert "returned None" in checks.run(name, answer).message
