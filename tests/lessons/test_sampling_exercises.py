"""Lesson 11's checks: draws with many seeds, what the cards say, the model to try generate with."""

import math
from dataclasses import replace
from functools import cache

import pytest
import torch
from test_answers import right_ones, wrong_ones

from gpt2course import checks
from gpt2course.checks.attempt import attempt, expected_outcomes, how_wrong
from gpt2course.checks.compare import distance
from gpt2course.lessons.sampling import exercises as lesson

INF = math.inf
WAYS = {
    "sample_next": ["multinomial", "the inverse of the sums", "Gumbel noise", "rejection"],
    "generate": ["without gradients", "drawing by hand with Gumbel noise"],
}
WAYS = [(name, way) for name, ways in WAYS.items() for way in ways]
DRAWING = ["sample_next", "generate"]
LOOP = """
def generate(model, idx, n, temperature, top_k, generator):
    for _ in range(n):
        seen = idx[:, -model.config.n_ctx :]
        drawn = sample_next(model(seen)[:, -1], temperature, top_k, generator)
        idx = torch.cat([idx, drawn], dim=1)
    return idx
"""


@cache
def right(name, title):
    sources = {answer.title: answer.source for answer in right_ones(name)}
    return checks.find(name).build(sources[title])


def run(name, answer):
    return checks.run(name, answer)


def run_wrong(name, title):
    source = next(source for wrong, source, _ in wrong_ones(name) if wrong == title)
    return run(name, checks.find(name).build(source))


def run_loop(old, new):
    assert LOOP.count(old) == 1
    return run("generate", checks.find("generate").build(LOOP.replace(old, new)))


# Chance


def with_seed(case, number):
    *args, seed = case.args
    return (
        case if seed.number is None else replace(case, args=(*args, replace(seed, number=number)))
    )


@pytest.mark.parametrize(("name", "way"), WAYS)
def test_no_seed_makes_a_right_way_to_draw_fail(name, way):
    exercise = checks.find(name)
    for case, expected in zip(exercise.cases, expected_outcomes(exercise), strict=True):
        for number in range(1000, 1030):
            got = attempt(exercise, right(name, way), with_seed(case, number))
            assert how_wrong(exercise, case, expected, got) == 0, (case.label, number, got)


def chance_of_refusal(n, p):
    """The probability that the count of a token drawn n times with p is refused, exactly."""
    if p in (0, 1):
        return 0.0
    counts = torch.arange(n + 1, dtype=torch.float64)
    log_ways = math.lgamma(n + 1) - torch.lgamma(counts + 1) - torch.lgamma(n - counts + 1)
    probs = (log_ways + counts * math.log(p) + (n - counts) * math.log1p(-p)).exp()
    both = torch.stack([counts, n - counts], dim=-1)
    surprise = lesson._surprise(both, torch.tensor([p, 1 - p], dtype=torch.float64))
    return probs[surprise[:, 0] > lesson.SURPRISE].sum().item()


@pytest.mark.parametrize("name", DRAWING)
def test_a_right_answer_is_refused_by_chance_less_than_once_in_a_million(name):
    total, counted = 0.0, 0
    for outcome in expected_outcomes(checks.find(name)):
        shares = isinstance(outcome.value, dict) and outcome.value.get("how often each came")
        if shares:
            n = int(shares.counts[0].sum())
            total += sum(chance_of_refusal(n, p) for p in shares.shares.flatten().tolist())
            agree = (shares.shares**2).sum(-1).clamp(max=1)
            total += sum(2 * chance_of_refusal(n // 2, p) for p in agree.tolist())
            counted += shares.shares.numel() + len(agree)
    assert 40 < counted < 150
    assert 0 < total < 1e-6


@pytest.mark.parametrize("name", DRAWING)
def test_no_seed_lets_a_known_mistake_pass(name):
    exercise = checks.find(name)
    cases = list(zip(exercise.cases, expected_outcomes(exercise), strict=True))
    for mistake in exercise.mistakes:
        if mistake.name == "can draw an id that does not exist":
            continue  # that shows with the seed of one case alone
        for way in mistake.ways:
            answer = exercise.build(way)
            for number in (2000, 2001):
                far = (
                    how_wrong(exercise, case, want, attempt(exercise, answer, other))
                    for case, want in cases
                    for other in [with_seed(case, number)]
                )
                assert any(one > 1 for one in far), (mistake.name, number)


def test_shares_of_one_mistake_are_equal_and_those_of_two_are_not():
    right = torch.tensor([[0.5, 0.3, 0.2]], dtype=torch.float64)

    def shares(*counts):
        counts = torch.tensor([counts], dtype=torch.float64)
        return lesson.Shares(("a", "b", "c"), counts, right)

    assert shares(490, 310, 200) == shares(520, 280, 200)
    assert shares(800, 100, 100) != shares(490, 310, 200)
    assert shares(800, 100, 100) == shares(780, 120, 100)
    assert shares(800, 100, 100) != shares(600, 300, 100)
    assert shares(800, 100, 100) != "a 80%, b 10%, c 10%"
    assert str(shares(490, 310, 200)) == "a 50%, b 30%, c 20%"
    assert str(shares(800, 100, 100)) == "a 80%, b 10%, c 10%"


# The cases


def test_no_case_of_top_p_hangs_on_rounding():
    """Sums lie so far from p that no order of adding decides, or are p without any rounding."""
    for case in lesson.keep_top_p.cases:
        logits, p = case.args
        if "exactly" in case.label:
            share = 1 / logits.shape[-1]
            assert torch.equal(logits.softmax(-1), torch.full_like(logits, share))
            assert share in (1 / 4, 1 / 8) and p in (1 / 4, 1 / 2)
            continue
        held = logits.double().softmax(-1).sort(-1, descending=True).values.cumsum(-1)
        margin = 1e-5 if logits.shape[-1] == 500 or "0.69996" in case.label else 1e-3
        held = held[:, :-1] if p == 1 else held
        assert (held - p).abs().amin() > margin or logits.shape[-1] == 1, case.label


def test_the_shares_of_the_case_with_p_1_miss_it():
    logits, _ = next(case.args for case in lesson.keep_top_p.cases if case.args[1] == 1)
    probs = logits.softmax(-1)
    one_by_one = torch.zeros(())
    for prob in probs[0]:
        one_by_one = one_by_one + prob
    assert probs.cumsum(-1)[0, -1] < 1 and one_by_one < 1 and sum(probs[0].tolist()) < 1


def test_sizes_of_a_case_differ_so_that_no_swapped_axis_hides():
    for exercise in (lesson.keep_top_k, lesson.keep_top_p, lesson.apply_temperature):
        shapes = {case.args[0].shape for case in exercise.cases}
        assert all(B != V for B, V in shapes)
        assert {B for B, _ in shapes} >= {1, 2, 3}


def test_of_equals_at_the_border_any_may_stay_and_all_may():
    scores = torch.tensor([[1.0, 3.0, 2.0, 2.0, 0.0, 2.0]])

    def with_equals(which):
        def answer(logits, k):
            if not torch.equal(logits, scores):
                return right("keep_top_k", "a mask of places")(logits, k)
            kept = torch.full_like(logits, -INF)
            for v in (1, *which):
                kept[0, v] = logits[0, v]
            return kept

        return answer

    for which in [(2,), (3,), (5,), (2, 5), (2, 3, 5)]:
        assert run("keep_top_k", with_equals(which)).passed
    for which in [(), (0,), (2, 0), (2, 4)]:
        assert not run("keep_top_k", with_equals(which)).passed


def test_a_model_to_generate_with_refuses_what_gpt2_would():
    model = lesson._model(7, 3)
    assert model(torch.tensor([[1, 2, 3]])).shape == (1, 3, 7)
    for bad in ([[1, 2, 3, 4]], [1, 2], [[1.0, 2.0]], [[]]):
        with pytest.raises(ValueError, match="a model takes"):
            model(torch.tensor(bad))
    for name in ("eval", "parameters", "device", "n_ctx", "vocab_size"):
        assert not hasattr(model, name) and hasattr(model.config, name) == (name == "n_ctx")


def test_a_certain_model_depends_on_every_token_in_view_and_on_none_after_it():
    model, idx = lesson._model(11, 9), torch.tensor([[3, 1, 4, 1, 5]])
    last = model(idx)[0, -1].argmax()
    for t in range(5):
        other = idx.clone()
        other[0, t] += 1
        assert model(other)[0, -1].argmax() != last
        assert torch.equal(model(other)[:, :t], model(idx)[:, :t])


def test_a_text_beyond_the_context_is_what_the_usual_loop_writes():
    """The package's own generate refuses such a prompt, so the expected text is written apart."""
    exercise = checks.find("generate")
    number = next(i for i, c in enumerate(exercise.cases) if "longer than the context" in c.label)
    expected = expected_outcomes(exercise)[number].value
    loop = attempt(exercise, right("generate", "as in nanoGPT"), exercise.cases[number]).value
    assert distance(expected, loop) == 0 and expected.shape == (1, 7)


# The cards


def test_shares_stand_beside_their_words():
    message = run_wrong("sample_next", "top_k left out, Gumbel noise").message
    assert "expected robots 0%, orders 86%, and 0%, me 14%" in message
    assert "yours robots 5%, orders 81%, and 2%, me 12%" in message


def test_shares_that_nobody_has_listed_are_shown_as_they_were_counted():
    result = run_wrong("sample_next", "probabilities to the power of 1.4")
    assert result.misconception is None
    shares = result.got["how often each came"].shares
    assert shares.sum().item() == pytest.approx(1)
    assert not torch.equal(shares, result.expected["how often each came"].shares)


def test_rows_that_draw_together_are_said_to():
    assert "they follow one another" in run_wrong("sample_next", "points on a grid").message


def test_wrong_parameters_are_held_against_those_of_the_contract():
    message = run("generate", lambda model, idx: idx).message
    assert "(model, idx, max_new_tokens, temperature, top_k, generator)" in message
    assert "yours takes (model, idx)" in message
    assert "(logits, temperature, top_k, generator)" in run("sample_next", lambda x: x).message


def test_a_view_that_is_too_long_shows_the_line_that_asked_for_it():
    message = run_loop("idx[:, -model.config.n_ctx :]", "idx").message
    assert "drawn = sample_next(model(seen)" in message
    assert "a model takes 1 to n_ctx=4 tokens, got 5" in message


def test_properties_do_not_contradict_the_result_beside_them():
    def ids_in_front(model, idx, n, *settings):
        text = right("generate", "without gradients")(model, idx, n, *settings)
        return text.roll(1, dims=1) if n == 6 else text

    result = run("generate", ids_in_front)
    assert result.misconception is None
    assert dict(result.properties)["the prompt comes first"] is False

    claims = dict(run_loop("-1], temperature", "-1], temperature or 2.0").properties)
    assert not any(held for claim, held in claims.items() if "temperature 0" in claim)

    result = run("keep_top_k", lambda x, k: x.masked_fill(x < 2.5, -INF))
    assert ("at least k tokens of each row stay", False) in result.properties
    assert ("what goes becomes -∞, what stays keeps its score", True) in result.properties


def test_a_check_leaves_the_global_generators_as_they_were():
    torch.manual_seed(3)
    wanted = torch.rand(2)
    torch.manual_seed(3)
    for name in DRAWING:
        run(name, lambda *a: 3)
        run(name, getattr(lesson, name).reference)
    assert torch.equal(torch.rand(2), wanted)
