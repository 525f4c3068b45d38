"""Sampling: the filters by hand, the draws by their frequencies, the texts by the plain loop."""

import math
from inspect import unwrap

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from gpt2course import sampling
from gpt2course.config import GPT2Config
from gpt2course.model import GPT2
from gpt2course.sampling import (
    Sampling,
    apply_temperature,
    generate,
    keep_top_k,
    keep_top_p,
    next_probs,
    sample_next,
    stream,
    stream_text,
)
from gpt2course.tokenizer import Tokenizer

INF = math.inf
SMALL = GPT2Config(n_layer=2, n_head=3, n_embd=15, n_ctx=11, vocab_size=61)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(1)
    model = GPT2(SMALL)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model.double()


class Plain:
    """The same model, of which sampling knows nothing but the call."""

    def __init__(self, model):
        self.config, self.model, self.shown = model.config, model, []

    def __call__(self, idx):
        self.shown.append(tuple(idx.shape))
        return self.model(idx)


@torch.no_grad()
def greedily(model, prompt, n):
    """The definition: the likeliest token after the last n_ctx tokens, again and again."""
    ids = list(prompt)
    for _ in range(n):
        ids.append(model(torch.tensor([ids[-SMALL.n_ctx :]]))[0, -1].argmax().item())
    return ids


# Filters


def test_temperature_divides():
    assert apply_temperature(torch.tensor([[1.0, -4.0]]), 0.5).tolist() == [[2.0, -8.0]]


def test_top_k_keeps_the_k_highest_of_each_row():
    logits = torch.tensor([[1.0, 3.0, 2.0], [0.0, -1.0, -2.0]])
    assert keep_top_k(logits, 1).tolist() == [[-INF, 3.0, -INF], [0.0, -INF, -INF]]
    assert keep_top_k(logits, 2).tolist() == [[-INF, 3.0, 2.0], [0.0, -1.0, -INF]]
    assert torch.equal(keep_top_k(logits, 3), logits)
    assert torch.equal(keep_top_k(logits, 99), logits)


def test_top_p_keeps_the_fewest_that_hold_p():
    logits = torch.tensor([[0.1, 0.5, 0.15, 0.25], [0.97, 0.01, 0.01, 0.01]]).log()
    for p, kept in [
        (0.0, [[1], [0]]),
        (0.49, [[1], [0]]),
        (0.51, [[1, 3], [0]]),
        (0.76, [[1, 2, 3], [0]]),
        (0.91, [[0, 1, 2, 3], [0]]),
        (1.0, [[0, 1, 2, 3], [0, 1, 2, 3]]),
    ]:
        result = keep_top_p(logits, p)
        assert [row.isfinite().nonzero().flatten().tolist() for row in result] == kept, p
        assert_close(result[result.isfinite()], logits[result.isfinite()])


def test_top_p_of_one_keeps_even_what_rounds_to_nothing():
    logits = torch.tensor([[0.0, -200.0]])
    assert torch.equal(keep_top_p(logits, 1.0), logits)


# One draw


def test_frequencies_are_the_probabilities():
    probs = torch.tensor([0.6, 0.3, 0.1])
    drawn = sample_next(probs.log().expand(20_000, 3), generator=seeded())
    assert drawn.shape == (20_000, 1) and drawn.dtype == torch.int64
    share = drawn.flatten().bincount(minlength=3) / 20_000
    assert_close(share, probs, rtol=0, atol=0.02)  # six standard deviations of 0.0035


@pytest.mark.parametrize(
    ("settings", "probs"),
    [
        ({"temperature": 0.5}, [0.36 / 0.46, 0.09 / 0.46, 0.01 / 0.46]),
        ({"top_k": 2}, [2 / 3, 1 / 3, 0]),
        ({"top_p": 0.8}, [2 / 3, 1 / 3, 0]),
        ({"temperature": 0}, [1, 0, 0]),
        ({"temperature": 0.01}, [1, 0, 0]),
        ({"temperature": 1e-30}, [1, 0, 0]),
        ({"temperature": 1e-300}, [1, 0, 0]),
        ({"temperature": 0.5, "top_p": 0.79}, [0.36 / 0.45, 0.09 / 0.45, 0]),  # 0.783 is not 0.79
    ],
)
def test_settings_change_the_distribution_as_they_say(settings, probs):
    logits = torch.tensor([0.6, 0.3, 0.1]).log().expand(20_000, 3)
    assert_close(next_probs(logits[:1], Sampling(**settings)), torch.tensor([probs]).float())
    drawn = sample_next(logits, generator=seeded(), **settings)
    share = drawn.flatten().bincount(minlength=3) / 20_000
    assert_close(share, torch.tensor(probs).float(), rtol=0, atol=0.02)


def test_the_same_state_draws_the_same_and_none_is_the_global_generator():
    logits = torch.randn(50, 7, generator=seeded())
    assert torch.equal(
        sample_next(logits, generator=seeded(3)), sample_next(logits, generator=seeded(3))
    )
    torch.manual_seed(3)
    first = sample_next(logits)
    torch.manual_seed(3)
    assert torch.equal(sample_next(logits), first)
    assert not torch.equal(sample_next(logits), first)


def test_large_scores_and_half_precision_do_not_overflow():
    for dtype in (torch.bfloat16, torch.float16, torch.float32, torch.float64):
        logits = torch.tensor([[30000.0, 29000.0, -INF]], dtype=dtype)
        assert sample_next(logits, temperature=0.01, generator=seeded()).item() == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": -0.1}, "temperature must be at least 0 and finite, got -0.1"),
        ({"temperature": math.nan}, "temperature must be at least 0 and finite, got nan"),
        ({"temperature": INF}, "temperature .*got inf"),
        ({"top_k": 0}, "top_k must be an int of at least 1, got 0"),
        ({"top_p": 0.0}, r"top_p must lie above 0 and at most at 1, got 0.0"),
        ({"top_p": 1.1}, "top_p .* got 1.1"),
        ({"top_p": math.nan}, "top_p .* got nan"),
    ],
)
def test_settings_that_leave_nothing_to_draw_are_refused(settings, message, model):
    with pytest.raises(ValueError, match=message):
        sample_next(torch.zeros(1, 3), **settings)
    with pytest.raises(ValueError, match=message):
        stream(model, [1], 3, **settings)  # at once, and not when the first token is asked for
    with pytest.raises(ValueError, match=message):
        generate(model, [[1]], 3, **settings)


def test_the_filters_themselves_refuse_too():
    with pytest.raises(ValueError, match="temperature must be above 0 and finite, got 0"):
        apply_temperature(torch.zeros(1, 3), 0)
    with pytest.raises(ValueError, match="top_k"):
        keep_top_k(torch.zeros(1, 3), 0)
    with pytest.raises(ValueError, match="top_p must lie in 0 to 1, got -0.5"):
        keep_top_p(torch.zeros(1, 3), -0.5)


@pytest.mark.parametrize("temperature", [0, 0.5, 1.0])
def test_scores_that_are_no_numbers_are_refused_and_not_drawn_from(temperature):
    for wrong in (math.nan, INF):
        logits = torch.tensor([[1.0, 2.0, 3.0], [4.0, wrong, 5.0]])
        with pytest.raises(ValueError, match=rf"must be finite, got {wrong}; .*weights"):
            sample_next(logits, temperature)
    with pytest.raises(ValueError, match="got -inf"):
        sample_next(torch.full((1, 3), -INF), temperature)


# Texts


def test_greedy_text_follows_the_definition_past_the_end_of_the_context(model):
    for prompt in ([7], [1, 2, 3], list(range(11))):
        idx = generate(model, torch.tensor([prompt]), 25, temperature=0)
        assert idx.tolist() == [greedily(model, prompt, 25)]


def test_prompts_of_different_lengths_are_each_continued_as_if_alone(model):
    prompts = [[1, 2, 3, 4, 5, 6], [9], [60, 0], list(range(11))]
    texts = generate(model, prompts, 17, temperature=0)
    assert texts == [greedily(model, prompt, 17) for prompt in prompts]
    assert prompts[1] == [9]


def test_a_model_that_only_can_be_called_gives_the_same_text(model):
    plain = Plain(model)
    idx = torch.tensor([[1, 2, 3], [4, 5, 6]])
    settings = {"temperature": 0.9, "top_k": 9}
    expected = generate(model, idx, 14, **settings, generator=seeded())
    assert torch.equal(generate(plain, idx, 14, **settings, generator=seeded()), expected)
    assert max(T for _, T in plain.shown) == 11
    assert idx.tolist() == [[1, 2, 3], [4, 5, 6]]


def test_the_cached_model_reads_every_token_once(model, monkeypatch):
    read = []
    next_logits = GPT2.next_logits
    monkeypatch.setattr(
        GPT2,
        "next_logits",
        lambda self, idx, *c: read.append(idx.shape[1]) or next_logits(self, idx, *c),
    )
    generate(model, torch.tensor([[1, 2, 3]]), 12)
    assert read == [3, 1, 1, 1, 1, 1, 1, 1, 1, 11, 11, 11]  # then the window moves


def test_samples_follow_the_models_own_distribution(model):
    prompt = torch.tensor([[5, 6]])
    with torch.no_grad():
        first = model(prompt)[0, -1].softmax(-1)
        top = first.argmax()
        second = model(torch.cat([prompt, top[None, None]], 1))[0, -1].softmax(-1)
    rows = generate(model, prompt.repeat(8_000, 1), 2, generator=seeded())
    share = rows[:, 2].bincount(minlength=61) / 8_000
    assert_close(share, first.to(share), rtol=0, atol=0.035)  # six standard deviations at most
    after_top = rows[rows[:, 2] == top, 3]
    share = after_top.bincount(minlength=61) / len(after_top)
    assert_close(share, second.to(share), rtol=0, atol=3 / len(after_top) ** 0.5)


def test_end_of_text_ends_a_row_and_is_kept(model):
    texts = [greedily(model, [i], 9) for i in range(20)]
    end = texts[0][4]
    found = generate(model, [[i] for i in range(20)], 9, temperature=0, end_of_text=end)
    for text, expected in zip(found, texts, strict=True):
        rest = expected[1:]
        stop = rest.index(end) + 2 if end in rest else len(expected)
        assert text == expected[:stop]
    assert {len(text) for text in found} != {10}


def test_end_of_text_in_the_prompt_does_not_end_it(model):
    text = generate(model, [[7, 7, 3]], 4, temperature=0, end_of_text=7)[0]
    assert len(text) > 3


def test_rows_that_end_early_are_filled_up(model):
    idx = torch.arange(20)[:, None]
    texts = [greedily(model, [i], 9) for i in range(20)]
    end = texts[0][4]
    rows = generate(model, idx, 9, temperature=0, end_of_text=end)
    assert rows[0].tolist() == texts[0][: texts[0].index(end, 1) + 1] + [end] * (
        rows.shape[1] - texts[0].index(end, 1) - 1
    )


def test_without_sliding_a_text_ends_where_the_context_is_full(model):
    texts = generate(model, [[1, 2, 3], [4]], 50, temperature=0, slide=False)
    assert [len(text) for text in texts] == [11, 11]
    assert texts == [greedily(model, [1, 2, 3], 8), greedily(model, [4], 10)]
    full = generate(model, [list(range(11))], 5, slide=False)
    assert full == [list(range(11))]


def test_no_new_tokens_give_the_prompt_back(model):
    assert generate(model, torch.tensor([[1, 2]]), 0).tolist() == [[1, 2]]
    assert list(stream(model, [1, 2], 0)) == []


def test_the_same_seed_writes_the_same_text(model):
    one, same, other = (
        generate(model, torch.tensor([[1]]), 20, generator=seeded(seed)) for seed in (5, 5, 6)
    )
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert torch.equal(generate(model, torch.tensor([[1]]), 20, seed=5), one)
    assert [1, *stream(model, [1], 20, seed=5)] == one[0].tolist()
    with pytest.raises(ValueError, match="generator and seed=5 exclude each other"):
        generate(model, torch.tensor([[1]]), 20, seed=5, generator=seeded(5))


def test_what_no_lesson_teaches_is_given_by_name(model):
    logits = torch.zeros(1, 3)
    assert sample_next(logits, 1.0, 1, seeded()).shape == (1, 1)  # as lesson 11 calls it
    assert generate(model, torch.tensor([[1]]), 2, 1.0, 40, seeded()).shape == (1, 3)
    with pytest.raises(TypeError, match="positional"):
        unwrap(sample_next)(logits, 1.0, 1, seeded(), 0.9)
    with pytest.raises(TypeError, match="positional"):
        unwrap(generate)(model, torch.tensor([[1]]), 2, 1.0, 40, seeded(), 0.9)


def test_generation_leaves_gradients_switched_as_they_were(model):
    for token_id in stream(model, [1], 2):
        assert torch.is_grad_enabled()
        assert token_id in range(61)


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ([], "at least one prompt, got none"),
        ([[1], []], r"at least one token, got none; .*\[tokenizer.end_of_text\]"),
        ([list(range(12))], r"fit the n_ctx=11 tokens of the model, got 12; keep its end"),
    ],
)
def test_prompts_that_can_not_be_continued_are_refused(model, prompts, message):
    with pytest.raises(ValueError, match=message):
        generate(model, prompts, 3)


@pytest.mark.parametrize("idx", ["Mina", ["Mina"], [1, 2], torch.tensor([1, 2]), torch.ones(1, 2)])
def test_a_text_or_a_single_row_is_refused_with_a_remedy(model, idx):
    with pytest.raises(TypeError, match=r"token ids, .* got .*encode a text, .* to stream_text"):
        unwrap(generate)(model, idx, 3)


def test_an_id_below_zero_is_no_id(model):
    for prompts in ([[5], [5, -1, 6]], [[5, -1, 6]]):
        with pytest.raises(IndexError, match="token ids must lie in 0 to 60, got -1"):
            generate(model, prompts, 3)


def test_prompts_may_be_tensors_and_arrays_of_ids(model):
    expected = generate(model, [[1, 2], [3]], 4, temperature=0)
    for kind in (torch.tensor, np.array):
        prompts = [kind([1, 2]), kind([3])]
        assert unwrap(generate)(model, prompts, 4, temperature=0) == expected
    assert list(unwrap(stream)(model, torch.tensor([3]), 4, temperature=0)) == expected[1][1:]


def test_a_number_of_tokens_below_zero_is_refused(model):
    with pytest.raises(ValueError, match="max_new_tokens must be an int of at least 0, got -1"):
        generate(model, [[1]], -1)


def test_numbers_of_another_type_are_refused_also_where_types_are_not_checked():
    with pytest.raises(ValueError, match="top_k must be an int of at least 1, got 2.0"):
        unwrap(keep_top_k)(torch.zeros(1, 3), 2.0)
    with pytest.raises(ValueError, match="max_new_tokens must be an int of at least 0, got 2.5"):
        unwrap(sampling._whole)("max_new_tokens", 2.5, 0)


def test_numpys_whole_numbers_are_as_good_as_pythons(model):
    settings = {"top_k": np.int64(5), "seed": np.int64(3), "end_of_text": np.int64(60)}
    texts = generate(model, [[1]], np.int64(4), **settings)
    assert texts == generate(model, [[1]], 4, top_k=5, seed=3, end_of_text=60)
    assert len(texts[0]) > 1


def test_ids_outside_the_vocabulary_are_refused(model):
    with pytest.raises(IndexError, match="in 0 to 60, got 61 to 61"):
        generate(model, [[61]], 3)


# Streams


def test_a_stream_yields_what_generate_writes_while_it_is_written(model, monkeypatch):
    made = []
    draw = sampling._draw
    monkeypatch.setattr(sampling, "_draw", lambda *a: made.append(1) or draw(*a))
    tokens = stream(model, [1, 2], 5, temperature=0)
    assert made == []
    assert next(tokens) == greedily(model, [1, 2], 1)[-1]
    assert len(made) == 1
    assert [1, 2, greedily(model, [1, 2], 1)[-1], *tokens] == greedily(model, [1, 2], 5)


class Writes:
    """A model that writes the given ids, one after the other, then the end of the text."""

    config = GPT2Config(n_layer=1, n_head=1, n_embd=2, n_ctx=500, vocab_size=300)

    def __init__(self, ids, start):
        self.ids, self.start = ids, start

    def __call__(self, idx):
        logits = torch.zeros(*idx.shape, 300)
        logits[0, -1, self.ids[idx.shape[1] - self.start]] = 9.0
        return logits


def test_streamed_text_never_splits_a_character():
    tokenizer = Tokenizer([])  # a token for each byte
    text = "Zoë ☕ 日本 🤖!"
    ids = [*tokenizer.encode(text), tokenizer.end_of_text, 65]
    pieces = list(stream_text(Writes(ids, 1), tokenizer, "a", 99, temperature=0))
    assert pieces == list(text)


def test_a_character_that_stays_incomplete_is_shown_as_replaced():
    tokenizer = Tokenizer([])
    ids = [*b"ab", *"🤖".encode()[:3], tokenizer.end_of_text]
    pieces = list(stream_text(Writes(ids, 1), tokenizer, "a", 99, temperature=0))
    assert "".join(pieces) == tokenizer.decode(ids[:-1]) == "ab\ufffd"


@pytest.mark.parametrize(
    ("stop", "expected"),
    [
        (["\n"], ["a", "a", "b", "☕"]),
        (["zz", "b☕\n"], ["a", "a"]),  # b waits, and so does ☕
        (["aab"], []),
        (["ab"], ["a"]),  # after a, the second a may begin "ab"
        (["☕x", "zz"], ["a", "a", "b", "☕\n", "z"]),  # what waited in vain comes after all
        ([], ["a", "a", "b", "☕", "\n", "z"]),
    ],
)
def test_streamed_text_ends_before_the_first_stop_text(stop, expected):
    tokenizer = Tokenizer([])
    ids = [*tokenizer.encode("aab☕\nz"), tokenizer.end_of_text]
    pieces = stream_text(Writes(ids, 1), tokenizer, "a", 99, temperature=0, stop=stop)
    assert list(pieces) == expected


@pytest.mark.parametrize("stop", ["\n", [".", ""]])
def test_a_stop_that_is_no_list_of_texts_is_refused(model, stop):
    with pytest.raises(ValueError, match="stop must be a list of texts, none of them empty, got"):
        stream_text(model, Tokenizer([]), "a", 9, stop=stop)


def test_an_empty_prompt_begins_after_end_of_text():
    tokenizer = Tokenizer([])
    shown = []

    class Spy(Writes):
        def __call__(self, idx):
            shown.append(idx.tolist()[0])
            return super().__call__(idx)

    ids = [*b"hi", tokenizer.end_of_text]
    assert "".join(stream_text(Spy(ids, 1), tokenizer, "", 9, temperature=0)) == "hi"
    assert shown[0] == [tokenizer.end_of_text]
