"""Answers to lesson 10 that are listed nowhere: output_logits, count_parameters, GPT2."""

from collections import OrderedDict

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gpt2course import checks, model
from gpt2course.block import Block, LayerNorm
from gpt2course.config import GPT2Config
from gpt2course.embedding import embed

# output_logits


def by_tensordot(x, wte):
    return torch.tensordot(x, wte, dims=([2], [1]))


def one_sequence_at_a_time(x, wte):
    return torch.stack([torch.mm(sequence, wte.t()) for sequence in x])


def by_batched_product(x, wte):
    return torch.bmm(x, wte.T.unsqueeze(0).expand(x.shape[0], -1, -1))


def by_broadcasting(x, wte):
    return (x.unsqueeze(-2) * wte).sum(dim=-1)


def with_a_linear_module(x, wte):
    layer = nn.Linear(wte.shape[1], wte.shape[0], bias=False, dtype=wte.dtype)
    return torch.func.functional_call(layer, {"weight": wte}, (x,))


def filled_word_by_word(x, wte):
    logits = torch.empty(*x.shape[:2], len(wte), dtype=x.dtype)
    for word, row in enumerate(wte):
        logits[:, :, word] = x @ row
    return logits


def with_axes_named(x, wte):
    return torch.einsum("bij,kj->bik", [x, wte])


def in_float64_inside(x, wte):
    return torch.matmul(x.double(), wte.double().permute(1, 0)).to(x.dtype)


@pytest.mark.parametrize(
    "answer",
    [
        by_tensordot,
        one_sequence_at_a_time,
        by_batched_product,
        by_broadcasting,
        with_a_linear_module,
        filled_word_by_word,
        with_axes_named,
        in_float64_inside,
    ],
)
def test_output_logits_right_in_another_way_passes(answer):
    result = checks.run("output_logits", answer)
    assert result.passed, result.message


def fresh_layer(x, wte):
    return nn.Linear(wte.shape[1], wte.shape[0], dtype=x.dtype)(x)


WRONG_LOGITS = [
    (lambda x, wte: torch.matmul(x, wte), "forgets to transpose"),
    (lambda x, wte: x @ wte.contiguous().view(wte.shape[::-1]),
     "reshapes where it should transpose"),
    (lambda x, wte: F.softmax(F.linear(x, wte), dim=2), "returns probabilities"),
    (lambda x, wte: torch.log((x @ wte.T).softmax(-1)), "returns log probabilities"),
    (lambda x, wte: F.cosine_similarity(x[:, :, None], wte, dim=-1), "takes the cosine"),
    (lambda x, wte: torch.topk(x @ wte.T, 1).indices[..., 0], "returns the best word"),
    (lambda x, wte: (x @ wte.T)[:, -1, :], "keeps the last token only"),
    (lambda x, wte: torch.einsum("btc,vc->bvt", x, wte), "puts the vocabulary before the tokens"),
    (lambda x, wte: torch.einsum("btc,vc->bv", x / x.shape[1], wte), "averages the tokens"),
    (lambda x, wte: F.linear(x * x.shape[-1] ** -0.5, wte), "divides by the root"),
    (lambda x, wte: torch.tensor(x.detach().numpy() @ wte.detach().numpy().T),
     "cuts the gradient"),
    (lambda x, wte: x @ wte.T + 1, None),
    (lambda x, wte: -x @ wte.T, None),
    (lambda x, wte: (x @ wte.T).flip(-1), None),
    (lambda x, wte: F.relu(x @ wte.T), None),
    (lambda x, wte: x @ wte.T - (x @ wte.T).amax(-1, keepdim=True), None),
    (lambda x, wte: (x @ wte.T).clamp(-100, 100), None),
    (lambda x, wte: (x.half() @ wte.T.half()).to(x.dtype), None),
    (lambda x, wte: x.detach() @ wte.T, "cuts the gradient"),
    (
        lambda x, wte: np.asarray((x @ wte.T).detach()),
        "returns NumPy instead of a tensor",
    ),
    (fresh_layer, None),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "name"), WRONG_LOGITS)
def test_output_logits_wrong_in_other_code_is_caught(answer, name):
    result = checks.run("output_logits", answer)
    assert not result.passed
    assert result.misconception == name


# count_parameters


def sum_of_a_table(config):
    return sum(count for _, _, count in model.parameter_table(config))


def by_adding_up_in_a_loop(config):
    count = config.vocab_size * config.n_embd
    count += config.n_ctx * config.n_embd
    for _ in range(config.n_layer):
        for n_in, n_out in ((1, 3), (1, 1), (1, 4), (4, 1)):
            count += (n_in * config.n_embd + 1) * n_out * config.n_embd
        count += 2 * 2 * config.n_embd
    return count + 2 * config.n_embd


def by_recursion(config, layers=None):
    C, layers = config.n_embd, config.n_layer if layers is None else layers
    if layers == 0:
        return C * (config.vocab_size + config.n_ctx + 2)
    return by_recursion(config, layers - 1) + C * (12 * C + 13)


def by_building_one_block(config):
    with torch.device("meta"):
        block = Block(config.n_embd, config.n_head)
    in_a_block = sum(p.numel() for p in block.parameters())
    return (config.vocab_size + config.n_ctx + 2) * config.n_embd + config.n_layer * in_a_block


def through_floats_that_are_exact(config):
    C = float(config.n_embd)
    return round(C * (config.vocab_size + config.n_ctx + 2) + config.n_layer * C * (12 * C + 13))


def by_the_size_of_a_head(config):
    hs, nh = config.n_embd // config.n_head, config.n_head
    C = nh * hs
    attention = 3 * nh * (C * hs + hs) + C * C + C
    mlp = C * 4 * C + 4 * C + 4 * C * C + C
    return (
        (config.vocab_size + config.n_ctx) * C + config.n_layer * (attention + mlp + 4 * C) + 2 * C
    )


def by_a_state_dict(config):
    with torch.device("meta"):
        state = model.GPT2(config).state_dict()
    return sum(tensor.numel() for tensor in state.values())


def by_numpy_made_int(config):
    C = config.n_embd
    shapes = np.array([[C, 3 * C], [C, C], [C, 4 * C], [4 * C, C]])
    block = int(shapes.prod(axis=1).sum() + shapes[:, 1].sum()) + 4 * C
    return C * (config.vocab_size + config.n_ctx + 2) + config.n_layer * block


@pytest.mark.parametrize(
    "answer",
    [
        sum_of_a_table,
        by_adding_up_in_a_loop,
        by_recursion,
        by_building_one_block,
        through_floats_that_are_exact,
        by_the_size_of_a_head,
        by_a_state_dict,
        by_numpy_made_int,
    ],
)
def test_count_parameters_right_in_another_way_passes(answer):
    result = checks.run("count_parameters", answer)
    assert result.passed, result.message


def test_a_count_of_the_whole_model_built_in_memory_passes():
    def builds(config):
        return sum(parameter.numel() for parameter in model.GPT2(config).parameters())

    assert checks.run("count_parameters", builds, time_limit=60).passed


def count(tables=0, per_block=0, once=0):
    """A formula with other factors: tables of V or n_ctx rows, a block of C² and C, and C once."""

    def counts(config):
        C = config.n_embd
        squares, vectors = per_block
        rows = sum(getattr(config, name) for name in tables)
        return C * rows + config.n_layer * (squares * C * C + vectors * C) + once * C

    return counts


BOTH = ("vocab_size", "n_ctx")
WRONG_COUNTS = [
    (count((*BOTH, "vocab_size"), (12, 13), 2), "counts the tied matrix twice"),
    (count(("vocab_size",), (12, 13), 2), "forgets the positions"),
    (count(("n_ctx",), (12, 13), 2), "forgets the table of tokens"),
    (count((), (12, 13), 2), "forgets both tables"),
    (count(BOTH, (12, 13), 0), "forgets ln f"),
    (count(BOTH, (12, 9), 0), "forgets all norms"),
    (count(BOTH, (12, 4), 2), "forgets the biases of the layers"),
    (count(BOTH, (12, 2), 1), "forgets every bias"),
    (count(BOTH, (12, 0), 0), "counts the matrices only"),
    (count(BOTH, (12, 11), 1), "counts norms without their bias"),
    (count(BOTH, (12, 10), 2), "misses three vectors in every block"),
    (count(BOTH, (10, 11), 2), "counts one of query key and value"),
    (count(BOTH, (8, 9), 2), "misses attention or c fc in every block"),
    (count(BOTH, (12, 15), 0), "counts ln f in every block"),
    (lambda config: model.count_parameters(config) // 10**6, None),
    (
        lambda config: torch.tensor(model.count_parameters(config)),
        "returns a tensor instead of a Python int",
    ),
    (
        lambda config: np.int64(model.count_parameters(config)),
        "returns NumPy instead of a Python int",
    ),
    (lambda config: str(model.count_parameters(config)), None),
    (lambda config: f"{model.count_parameters(config):,}", None),
    (lambda config: 124_439_808, None),
    (count(BOTH, (12, 14), 2), None),
    (count(BOTH, (16, 13), 2), None),
    (count(BOTH, (12, 13), 3), None),
    (count((*BOTH, "n_ctx"), (12, 13), 2), None),
]


@pytest.mark.parametrize(("answer", "name"), WRONG_COUNTS)
def test_count_parameters_wrong_in_another_way_is_caught(answer, name):
    result = checks.run("count_parameters", answer)
    assert not result.passed
    assert result.misconception == name


def test_an_unlisted_count_is_told_which_part_is_wrong():
    held = dict(checks.run("count_parameters", count(BOTH, (16, 13), 2)).properties)
    assert [claim for claim, holds in held.items() if not holds] == [
        "one block more adds 12 · n_embd² + 13 · n_embd"
    ]


# GPT2: right in other ways


class Parts(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.wpe = nn.Embedding(config.n_ctx, config.n_embd)
        self.h = self.make_blocks()
        self.ln_f = nn.LayerNorm(config.n_embd)
        for table in (self.wte, self.wpe):
            nn.init.normal_(table.weight, std=0.02)

    def make_blocks(self):
        C, nh, n = self.config.n_embd, self.config.n_head, self.config.n_layer
        return nn.ModuleList([Block(C, nh) for _ in range(n)])

    def start(self, idx):
        if idx.shape[1] > self.config.n_ctx:
            raise ValueError("too long")
        return self.wte(idx) + self.wpe.weight[: idx.shape[1]]

    def forward(self, idx):
        x = self.start(idx)
        for block in self.h:
            x = block(x)
        return self.ln_f(x) @ self.wte.weight.T


class WithAHeadThatComesFirst(Parts):
    def __init__(self, config):
        super().__init__(config)
        wte = self.wte
        del self.wte
        self.unembed = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        self.wte = wte
        self.wte.weight = self.unembed.weight

    def forward(self, idx):
        x = self.start(idx)
        for block in self.h:
            x = block(x)
        return self.unembed(self.ln_f(x))


class Stack(nn.Module):
    def __init__(self, blocks):
        super().__init__()
        self.inside = nn.ModuleList(blocks)

    def forward(self, x):
        for block in self.inside:
            x = block(x)
        return x


class WithAContainerOfItsOwn(Parts):
    def make_blocks(self):
        return Stack(super().make_blocks())

    def forward(self, idx):
        return model.output_logits(self.ln_f(self.h(self.start(idx))), self.wte.weight)


class WithNamedBlocks(Parts):
    def make_blocks(self):
        blocks = super().make_blocks()
        names = ["first", "second", "third", "fourth"]
        return nn.Sequential(OrderedDict(zip(names, blocks, strict=False)))

    def forward(self, idx):
        return F.linear(self.ln_f(self.h(self.start(idx))), self.wte.weight)


class OneTextAtATime(Parts):
    def forward(self, idx):
        return torch.cat([super(OneTextAtATime, self).forward(text[None]) for text in idx])


class WithFunctionsOfTheCourse(Parts):
    def __init__(self, config):
        super().__init__(config)
        self.ln_f = LayerNorm(config.n_embd)
        self.register_buffer("mask", torch.ones(config.n_ctx, config.n_ctx).tril())

    def forward(self, idx):
        # embed itself says ValueError where the positions do not fit.
        x = embed(idx, self.wte.weight, self.wpe.weight)
        for i in range(self.config.n_layer):
            x = self.h[i](x)
        return model.output_logits(self.ln_f(x), self.wte.weight)


class WithMoreThanIsAsked(Parts):
    """Dropout, an optional argument, and ValueError's own child for what is too long."""

    class TooLong(ValueError):
        pass

    def __init__(self, config, dropout=0.0):
        super().__init__(config)
        self.drop = nn.Dropout(dropout)

    def forward(self, idx, past=None):
        if not idx.shape[1] <= self.config.n_ctx:
            raise self.TooLong(idx.shape)
        B, T = idx.shape
        x = self.drop(self.wte(idx) + self.wpe(torch.arange(T).expand(B, T)))
        for block in self.h:
            x = block(x)
        return self.ln_f(x) @ self.wte.weight.transpose(0, 1)


class WithWeightsOfDeviation5Hundredths(Parts):
    def __init__(self, config):
        super().__init__(config)
        for table in (self.wte, self.wpe):
            nn.init.uniform_(table.weight, -0.05, 0.05)


class InheritsFromThePackage(model.GPT2):
    def forward(self, idx):
        return super().forward(idx)


RIGHT_MODELS = [
    Parts,
    WithAHeadThatComesFirst,
    WithAContainerOfItsOwn,
    WithNamedBlocks,
    OneTextAtATime,
    WithFunctionsOfTheCourse,
    WithMoreThanIsAsked,
    WithWeightsOfDeviation5Hundredths,
    InheritsFromThePackage,
]


@pytest.mark.parametrize("answer", RIGHT_MODELS)
def test_gpt2_right_in_another_way_passes(answer):
    result = checks.run("GPT2", answer)
    assert result.passed, result.message


# GPT2: wrong in other code


class CopiedHead(Parts):
    """The head begins as a copy of wte, and goes its own way from there."""

    def __init__(self, config):
        super().__init__(config)
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        self.lm_head.weight.data = self.wte.weight.data

    def forward(self, idx):
        x = self.start(idx)
        for block in self.h:
            x = block(x)
        return self.lm_head(self.ln_f(x))


class InATransformer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        C = config.n_embd
        self.transformer = nn.ModuleDict(
            {
                "wte": nn.Embedding(config.vocab_size, C),
                "wpe": nn.Embedding(config.n_ctx, C),
                "h": nn.ModuleList([Block(C, config.n_head) for _ in range(config.n_layer)]),
                "ln_f": nn.LayerNorm(C),
            }
        )
        self.lm_head = nn.Linear(C, config.vocab_size, bias=False)
        self.transformer.wte.weight = self.lm_head.weight

    def forward(self, idx):
        x = self.transformer.wte(idx) + self.transformer.wpe(torch.arange(idx.shape[1]))
        for block in self.transformer.h:
            x = block(x)
        return self.lm_head(self.transformer.ln_f(x))


class BlocksInATuple(Parts):
    def make_blocks(self):
        return tuple(super().make_blocks())


class ListOfRepeats(Parts):
    def make_blocks(self):
        block = Block(self.config.n_embd, self.config.n_head)
        return nn.Sequential(*(block for _ in range(self.config.n_layer)))


class HeadKeptAsATensor(Parts):
    """What wte was at the beginning makes the scores, whatever is loaded later."""

    def __init__(self, config):
        super().__init__(config)
        self.head = self.wte.weight.detach().clone()

    def forward(self, idx):
        x = self.start(idx)
        for block in self.h:
            x = block(x)
        return self.ln_f(x) @ self.head.to(x.dtype).T


class Remembers(Parts):
    """Goes on counting positions from one call to the next."""

    seen = 0

    def start(self, idx):
        super().start(idx)
        positions = (self.seen + torch.arange(idx.shape[1])) % self.config.n_ctx
        self.seen += idx.shape[1]
        return self.wte(idx) + self.wpe(positions)


class CountsAllTokens(Parts):
    """Takes the tokens of all sequences together for the length."""

    def start(self, idx):
        if idx.numel() > self.config.n_ctx:
            raise ValueError("too long")
        return super().start(idx)


def changed(**methods):
    """The right parts, some of their methods others."""
    return type("Changed", (Parts,), methods)


def through(start=None, between=None, end=None):
    """The right model, with something else before the blocks, after each, or at the end."""

    def same(self, x):
        return x

    before, after, last = start or same, between or same, end or same

    def forward(self, idx):
        x = before(self, self.start(idx))
        for block in self.h:
            x = after(self, block(x))
        return last(self, self.ln_f(x) @ self.wte.weight.T)

    return changed(forward=forward)


def without_a_limit(self, idx):
    return self.wte(idx) + self.wpe(torch.arange(idx.size(1)))


def with_a_key_error(self, idx):
    if idx.shape[1] > self.config.n_ctx:
        raise KeyError("too long")
    return without_a_limit(self, idx)


def positions_going_round(self, idx):
    return self.wte(idx) + self.wpe(torch.arange(idx.shape[1]) % self.config.n_ctx)


def tokens_only(self, idx):
    if idx.shape[1] > self.config.n_ctx:
        raise ValueError("too long")
    return F.embedding(idx, self.wte.weight)


def positions_backwards(self, idx):
    if idx.shape[1] > self.config.n_ctx:
        raise ValueError("too long")
    return self.wte(idx) + self.wpe(torch.arange(idx.shape[1]).flip(0))


def only_the_norm_of_the_embedding(self, idx):
    return self.ln_f(self.start(idx)) @ self.wte.weight.T


WRONG_MODELS = [
    (CopiedHead, "unties the output matrix"),
    (InATransformer, "keeps its parts in self transformer"),
    (BlocksInATuple, "has no blocks that the model sees"),
    (ListOfRepeats, "has the weights of one block only"),
    (changed(start=without_a_limit), "lets too many tokens fail inside"),
    (changed(start=positions_going_round), "takes too many tokens silently"),
    (changed(start=tokens_only), "forgets the positions"),
    (changed(forward=only_the_norm_of_the_embedding), "drops what the blocks give"),
    (through(end=lambda self, x: F.softmax(x, dim=2)), "returns probabilities"),
    (through(end=lambda self, x: {"logits": x}), None),
    (through(end=lambda self, x: (x, None)), "returns a pair"),
    (through(end=lambda self, x: (x, torch.tensor(0.0))), None),
    (through(end=lambda self, x: x[:, -1, :]), "scores the last token only"),
    (through(start=lambda self, x: self.ln_f(x)), "norms the embedding"),
    (through(between=lambda self, x: self.ln_f(x)), "norms after every block"),
    (HeadKeptAsATensor, None),
    (Remembers, None),
    (CountsAllTokens, None),
    (changed(start=with_a_key_error), None),
    (changed(start=positions_backwards), None),
    (through(end=lambda self, x: x + 1), None),
    (through(end=lambda self, x: x.transpose(1, 2)), None),
    (through(between=lambda self, x: x / 2), None),
    (through(start=lambda self, x: F.dropout(x, 0.1)), None),
    (through(start=lambda self, x: x.flip(1)), None),
    (through(start=lambda self, x: x.detach()), "cuts the gradient"),
    (through(end=lambda self, x: x.half().to(x.dtype)), None),
]


@pytest.mark.parametrize(("answer", "name"), WRONG_MODELS)
def test_gpt2_wrong_in_other_code_is_caught_and_named_where_it_is_listed(answer, name):
    result = checks.run("GPT2", answer)
    assert not result.passed
    assert result.misconception == name


# What the card says of an unlisted model: the first part of the way that goes wrong

WAY = (
    "the first block reads wte[idx] + wpe[position]",
    "each block makes of what it reads what a right block makes of it",
    "each block reads what the block before it gave",
    "ln_f reads what the last block gave",
    "the scores are what ln_f gives times the rows of wte",
)


def first_fault(answer) -> str:
    result = checks.run("GPT2", answer)
    assert result.misconception is None
    held = dict(result.properties)
    return next(claim for claim in WAY if not held[claim])


class HalfABlock(Block):
    def forward(self, x):
        return x + self.attn(self.ln_1(x)) / 2 + self.mlp(self.ln_2(x))


def half_blocks(self):
    return nn.ModuleList(HalfABlock(self.config.n_embd, self.config.n_head)
                         for _ in range(self.config.n_layer))  # fmt: skip


def swapped_end(self, idx):
    x = self.start(idx)
    for block in self.h:
        x = block(x)
    return self.ln_f(2 * x + self.start(idx)) @ self.wte.weight.T


@pytest.mark.parametrize(
    ("answer", "claim"),
    [
        (changed(start=positions_backwards), WAY[0]),
        (changed(make_blocks=half_blocks), WAY[1]),
        (through(between=lambda self, x: x / 2), WAY[2]),
        (changed(forward=swapped_end), WAY[3]),
        (HeadKeptAsATensor, WAY[4]),
    ],
)
def test_an_unlisted_model_is_told_where_on_the_way_it_goes_wrong(answer, claim):
    assert first_fault(answer) == claim


def test_every_right_model_fulfils_every_property_even_where_its_parts_are_not_called():
    exercise = checks.engine.find("GPT2")
    answers = [*RIGHT_MODELS, *(exercise.build(a.source) for a in exercise.right_answers)]
    for answer in answers:
        fails = [
            p.claim for p in exercise.properties if checks.engine._holds(p.holds, answer) is False
        ]
        assert fails == [], answer


def test_a_model_of_more_tokens_than_fit_is_told_which_error_is_wanted():
    message = checks.run("GPT2", changed(start=with_a_key_error)).message
    assert (
        "one token more than n_ctx" in message
        and "Expected 'ValueError', got 'KeyError'" in message
    )


def test_a_model_without_config_is_told_so():
    def init(self, config):
        Parts.__init__(self, config)
        self.config = GPT2Config()
        self.n_ctx = config.n_ctx

    def start(self, idx):
        if idx.shape[1] > self.n_ctx:
            raise ValueError("too long")
        return without_a_limit(self, idx)

    message = checks.run("GPT2", changed(__init__=init, start=start)).message
    assert "expected 'the config that was given', got 'another config'" in message


def test_a_head_with_weights_of_its_own_is_named_by_its_parameter():
    assert "The key 'lm_head.weight' should not be there" in checks.run("GPT2", CopiedHead).message


def test_norms_that_are_drawn_and_texts_that_are_counted_do_not_pass():
    class Drawn(model.GPT2):
        def initialise(self):
            for parameter in self.parameters():
                nn.init.normal_(parameter, std=0.02)

    class Counted(model.GPT2):
        def forward(self, idx):
            if len(idx) > self.config.n_ctx:
                raise ValueError("too many tokens")
            return super().forward(idx)

    assert checks.run("GPT2", Drawn).misconception == "draws the norms too"
    counted = checks.run("GPT2", Counted)
    assert counted.status == "error" and counted.case.label == "more texts than n_ctx"
