"""The engine: what a check says of right, wrong and ill-behaved answers."""

import math
import re
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch

from gpt2course import checks
from gpt2course.checks import engine, modules, sandbox
from gpt2course.checks.attempt import attempt, expected_outcomes
from gpt2course.checks.card import Card
from gpt2course.checks.compare import difference
from gpt2course.checks.sandbox import run_limited


def triangle(n_query, n_key):
    return torch.ones(n_query, n_key, dtype=torch.bool).tril(n_key - n_query)


def card_of(name, answer):
    return Card(checks.run(name, answer), "")._repr_html_()


# The statuses


def test_reference_passes_its_own_check():
    for name in checks.names():
        assert checks.run(name, checks.find(name).reference).status == "passed", name


def test_untouched_stub_is_not_started_and_shows_the_target():
    def causal_mask(n_query, n_key):
        raise NotImplementedError("your turn")

    result = checks.run("causal_mask", causal_mask)
    assert result.status == "not_started"
    assert "✓  ·  ·" in result.message


def test_a_wrong_first_case_is_shown_also_where_a_later_one_does_not_end():
    def causal_mask(n_query, n_key):
        while n_query > 3:
            pass
        return torch.ones(n_query, n_key, dtype=torch.bool)

    result = checks.run("causal_mask", causal_mask, time_limit=0.5)
    assert result.status == "failed" and result.distance == math.inf
    assert result.misconception == "hides nothing"
    assert "3 of 9 entries differ" in result.message
    assert "A later call had not ended after" in result.message


def test_of_two_dicts_the_card_shows_where_they_differ():
    def count_pairs(ids):
        counts = {}
        for pair in zip(ids[2:], ids[3:], strict=False):
            counts[pair] = counts.get(pair, 0) + 1
        return {**counts, (9, 9): 1}

    message = checks.run("count_pairs", count_pairs).message
    assert ": expected 1, yours nothing" in message
    assert "(9, 9): expected nothing, yours 1" in message


def test_an_operator_that_torch_lacks_is_an_error_and_not_a_stub():
    def attention_scores(q, k):
        return q ^ k

    result = checks.run("attention_scores", attention_scores)
    assert result.status == "error"
    assert "return q ^ k" in result.message


def test_a_class_with_other_parameters_is_told_those_of_the_exercise():
    class MLP(torch.nn.Module):
        def __init__(self, width, depth):
            super().__init__()

    result = checks.run("MLP", MLP)
    assert result.status == "error"
    assert "MLP is called with (n_embd); yours takes (width, depth)" in result.message


def test_wrong_answer_gets_its_mistake_by_name():
    result = checks.run("causal_mask", lambda n, m: torch.ones(n, m, dtype=torch.bool).tril())
    assert (result.status, result.misconception) == ("failed", "counts from the upper left")
    assert "two new queries on top of three earlier keys" in result.message


def test_answer_with_a_mistake_and_an_extra_fault_is_still_named():
    def attend(q, k, v):
        if q.shape[-2] == 1:
            return torch.zeros_like(q)
        return (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).softmax(-1) @ v

    assert checks.run("masked_attention", attend).misconception == "forgets the mask"


def test_a_missing_return_is_not_taken_for_a_cut_gradient():
    assert checks.run("masked_attention", lambda q, k, v: None).misconception == "returns None"


def test_changing_another_argument_is_not_taken_for_scaling_q():
    def attend(q, k, v):
        result = engine.find("masked_attention").reference(q, k, v)
        with torch.no_grad():
            v.mul_(2)
        return result

    result = checks.run("masked_attention", attend)
    assert result.misconception == "changes its argument" and "`v` is changed" in result.why


def test_mistake_that_agrees_on_most_calls_is_said_to_look_like_it():
    def mask(n_query, n_key):
        return torch.ones(n_query, n_key, dtype=torch.bool).triu(1 if n_key > 1000 else 0)

    result = checks.run("causal_mask", mask)
    assert (result.misconception, result.throughout) == ("reads the future", False)
    assert "This looks like a known mistake: reads the future" in result.message


def test_mistake_that_agrees_on_few_calls_is_not_named():
    result = checks.run("causal_mask", lambda n, m: torch.arange(m) <= torch.arange(n)[:, None] + n)
    assert result.misconception is None and ("no query may read a later position", False) in (
        result.properties
    )


def test_running_the_listed_mistakes_says_nothing_in_the_notebook():
    code = (
        "from gpt2course import checks\nfor name in checks.names(): checks.run(name, lambda *a: 3)"
    )
    command = [sys.executable, "-W", "always", "-c", code]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_a_cut_gradient_is_not_named_where_the_value_is_wrong_too():
    right = engine.find("masked_attention").reference
    result = checks.run("masked_attention", lambda q, k, v: (right(q, k, v) + 1).detach())
    assert result.misconception is None


def test_unknown_mistake_gets_the_properties_that_fail():
    def attend(q, k, v):
        return 2 * v[..., -q.shape[-2] :, :] + k[..., :1, :]

    result = checks.run("masked_attention", attend)
    assert result.misconception is None
    assert ("all numbers are finite", True) in result.properties
    assert (
        "the first token, which sees only itself, gets its own value",
        False,
    ) in result.properties
    assert "✗ does not hold: the first token" in result.message


def test_a_property_that_the_shown_result_breaks_is_not_said_to_hold():
    def attend(q, k, v):
        right = engine.find("masked_attention").reference(q, k, v)
        return right * math.nan if q.shape[-2] == 40 else right

    result = checks.run("masked_attention", attend)
    assert result.case.label == "forty tokens"
    assert ("all numbers are finite", False) in result.properties


def test_answer_that_returns_nothing_is_told_about_return():
    assert "what stands behind `return`" in checks.run("causal_mask", lambda n, m: None).message


@pytest.mark.parametrize(
    "value",
    [
        torch.zeros(0, 0, dtype=torch.bool),
        torch.ones(3, 3).to_sparse(),
        torch.nested.nested_tensor([torch.ones(1), torch.ones(2)]),
        torch.zeros(10_000, 1000),
        torch.tensor(math.nan),
        torch.ones(3, 3, dtype=torch.complex64),
        [[[]]],
        {1: {2: [torch.ones(1)]}},
        np.array([object()]),
        float,
    ],
    ids=lambda value: str(type(value))[:40],
)
@pytest.mark.parametrize("name", ["causal_mask", "masked_attention", "count_pairs", "perplexity"])
def test_a_card_can_be_shown_of_any_value(name, value):
    assert "not yet" in card_of(name, lambda *args: value)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.tri(3, dtype=bool), "It returned a ndarray; the exercise asks for a tensor."),
        ([[True]], "It returned a list; the exercise asks for a tensor."),
        (torch.ones(2, 2, dtype=torch.bool), "The result has shape (2, 2)"),
        ("text", "It returned a str; the exercise asks for a tensor."),
    ],
)
def test_value_of_the_wrong_type_is_named(value, said):
    result = checks.run("causal_mask", lambda n_query, n_key: value)
    assert result.status == "failed"
    assert said in result.message


@pytest.mark.parametrize("value", [5, None, "causal_mask", torch.ones(3, 3)])
def test_answer_that_is_no_function_is_an_error_with_the_remedy(value):
    result = checks.run("causal_mask", value)
    assert result.status == "error"
    assert "check(causal_mask)" in result.message


def test_wrong_parameters_are_named_beside_the_right_ones():
    result = checks.run("causal_mask", lambda n_query: triangle(n_query, n_query))
    assert result.status == "error"
    assert "called with (n_query, n_key); yours takes (n_query)" in result.message


def test_unknown_exercise_suggests_the_nearest():
    with pytest.raises(ValueError, match="did you mean causal_mask"):
        checks.run("casual_mask", triangle)


# The learner's own lines


def raises_inside(n_query, n_key):
    return helper_that_raises(n_query)


def helper_that_raises(n):
    return torch.ones(n) @ torch.ones(n + 1)


def test_traceback_shows_the_learners_lines_and_nothing_of_ours():
    message = checks.run("causal_mask", raises_inside).message
    assert "return helper_that_raises(n_query)" in message
    assert "return torch.ones(n) @ torch.ones(n + 1)" in message
    assert "RuntimeError" in message
    assert message.count("line ") == 2 and "exercise.call" not in message


# Answers that misbehave


def test_sys_exit_and_keyboard_interrupt_end_the_answer_alone():
    def exits(n_query, n_key):
        sys.exit(3)

    def interrupts(n_query, n_key):
        raise KeyboardInterrupt

    assert "SystemExit: 3" in checks.run("causal_mask", exits).message
    assert "KeyboardInterrupt" in checks.run("causal_mask", interrupts).message


def loop_forever(n_query, n_key):
    while True:
        pass


def loop_with_bare_except(n_query, n_key):
    while True:
        try:
            while True:
                pass
        except:  # noqa: E722
            pass


def loop_with_finally(n_query, n_key):
    while True:
        try:
            time.sleep(0.001)
        finally:
            continue  # noqa: B012


def loop_over_a_generator_that_swallows(n_query, n_key):
    def ones():
        while True:
            try:
                yield 1
            except sandbox.Ended:
                pass

    while True:
        try:
            for _ in ones():
                pass
        except:  # noqa: E722
            pass


since_312 = pytest.mark.skipif(sys.version_info < (3, 12), reason="needs sys.monitoring")


@pytest.mark.parametrize(
    "answer",
    [
        loop_forever,
        loop_with_bare_except,
        loop_with_finally,
        pytest.param(loop_over_a_generator_that_swallows, marks=since_312),
    ],
)
def test_endless_loop_is_ended_and_leaves_no_thread(answer):
    started = time.perf_counter()
    result = checks.run("causal_mask", answer, time_limit=0.5)
    assert result.status == "timeout" and result.distance == math.inf
    assert time.perf_counter() - started < 4
    assert "could not be ended" not in result.message


def test_waiting_counts_less_than_computing_so_that_a_busy_machine_refuses_nothing():
    def waits(n_query, n_key):
        if not waited:
            waited.append(time.sleep(0.8))
        return checks.find("causal_mask").reference(n_query, n_key)

    waited = []
    assert checks.run("causal_mask", waits, time_limit=0.4).passed


def test_code_that_cannot_be_ended_is_said_to_run_on():
    result = checks.run("causal_mask", lambda n, m: time.sleep(4), time_limit=0.3)
    assert result.status == "timeout"
    assert "restart the kernel" in result.message


def test_memory_of_earlier_code_that_could_not_be_ended_is_not_held_against_the_next(monkeypatch):
    monkeypatch.setattr(sandbox, "GRACE", 0.0)
    monkeypatch.setattr(sandbox, "MEMORY_LIMIT", 2**24)

    def takes_80_megabytes():
        kept = torch.ones(20_000_000)
        time.sleep(0.5)
        assert len(kept)

    gate = threading.Event()
    assert run_limited(gate.wait, time_limit=0.05).still_running
    beside_it = run_limited(takes_80_megabytes)
    assert beside_it.ending == "done"
    assert beside_it.still_running, "the earlier code"
    gate.set()
    for thread in list(sandbox.running_on):
        thread.join()
    assert run_limited(takes_80_megabytes).ending == "large"


def test_list_that_only_grows_is_ended_before_memory_is_full(monkeypatch):
    monkeypatch.setattr(sandbox, "MEMORY_LIMIT", 2**27)

    def grows(n_query, n_key):
        kept = []
        while True:
            kept.append([0] * 1000)

    result = checks.run("causal_mask", grows, time_limit=30)
    assert result.status == "timeout"
    assert "memory" in result.message


def test_ten_megabytes_of_prints_stay_out_of_the_notebook(capsys):
    def prints(n_query, n_key):
        print("x" * 10_000_000)
        return triangle(n_query, n_key)

    result = checks.run("causal_mask", prints)
    assert result.passed
    assert len(result.printed) < 3_000 and "characters more" in result.printed
    assert capsys.readouterr().out == ""


def test_changed_argument_is_a_fault_even_where_the_value_is_right():
    def attend(q, k, v):
        result = engine.find("masked_attention").reference(q, k, v)
        with torch.no_grad():
            k.add_(1)
        return result

    result = checks.run("masked_attention", attend)
    assert result.status == "failed"
    assert "changes its argument k" in result.message


def test_check_neither_reads_nor_moves_the_random_state():
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    checks.run("causal_mask", lambda n, m: torch.rand(n, m) > 0.5)
    assert torch.equal(torch.rand(3), wanted)


def test_interrupt_of_the_kernel_ends_the_answer_and_goes_on_to_the_notebook(monkeypatch):
    ended = []

    def work():
        try:
            while True:
                time.sleep(0.01)
        except sandbox.Ended:
            ended.append(True)
            raise

    def interrupted(self, timeout=None):
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr("threading.Thread.join", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_limited(work)
    assert ended == [True]


def test_interrupt_while_the_references_or_the_known_mistakes_run_is_no_outcome_of_theirs():
    exercise = engine.find("causal_mask")

    def interrupted(n_query, n_key):
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        attempt(exercise, interrupted, exercise.cases[0])


def test_a_check_leaves_no_trace_in_a_known_mistake_with_a_mutable_default():
    exercise = checks.find("count_pairs")
    source = "def count_pairs(ids, counts={}):\n    counts[len(counts)] = 1\n    return counts"
    first, second = exercise.build(source), exercise.build(source)
    assert first([1]) == {0: 1}
    assert second([1]) == {0: 1}


def test_names_that_no_exercise_has_are_not_searched_for_near_ones(monkeypatch):
    monkeypatch.setattr("difflib.get_close_matches", lambda *args, **kwargs: pytest.fail("called"))
    answer = checks.find("causal_mask").build("def causal_mask(n, m):\n    return triangel(n)")
    with pytest.raises(NameError, match="triangel"):
        answer(2, 3)


# Comparing


def test_bool_is_not_an_int_and_a_float_is_not_an_int():
    assert difference([1], [True]) is not None
    assert difference(1, 1.0) is not None
    assert difference((1, 2), [1, 2]) is not None
    assert difference({(1, 2): 1}, {(1, 2): 1, (2, 3): 1}) is not None


def test_a_wrong_pair_in_a_list_is_shown_whole():
    found = difference([(1, 2), (3, 4)], [(1, 2), (3, 5)])
    assert found == "At position 1: expected (3, 4), got (3, 5)."


def test_nan_is_no_number_and_equal_infinities_are_equal():
    inf = torch.tensor([math.inf, 1.0])
    assert difference(inf, inf.clone()) is None
    assert difference(inf, torch.tensor([math.nan, 1.0])) is not None
    assert difference(torch.tensor([math.inf]), torch.tensor([-math.inf])) is not None


def test_a_constant_in_float32_is_within_the_tolerance_of_float64_and_1e_5_is_not():
    exact = torch.arange(1, 20, dtype=torch.float64) / 3
    assert difference(exact, exact * (1 + 6e-8)) is None
    assert difference(exact, exact * (1 + 1e-5)) is not None


def test_numbers_are_shown_with_the_digits_in_which_they_differ():
    third = torch.tensor([1 / 3], dtype=torch.float64)
    found = difference(third, third + 4e-8, tolerance=1e-9)
    assert "expected 0.333333333, got 0.333333373" in found


# The cards


def test_card_draws_both_matrices_and_frames_the_wrong_entries():
    html = card_of("causal_mask", lambda n, m: torch.ones(n, m, dtype=torch.bool))
    assert html.count("<svg") == 2
    assert "hides nothing" in html
    assert html.count("✗</text>") == 3


def test_card_escapes_what_the_learner_wrote():
    def attend(q, k, v):
        raise ValueError("<script>alert(1)</script>")

    html = card_of("masked_attention", attend)
    assert "<script>" not in html and "&lt;script&gt;" in html


def test_small_differences_are_drawn_with_enough_decimals_to_show():
    exact = engine.find("masked_attention").reference
    message = checks.run("masked_attention", lambda q, k, v: exact(q, k, v) + 1e-3).message
    expected, yours = re.findall(r"(?:expected|yours)\n\s*(-?[\d.]+)", message)
    assert expected != yours


def test_passed_card_shows_other_right_answers_under_the_exercises_name():
    html = card_of("causal_mask", triangle)
    assert "another right answer: comparing positions" in html
    assert "def causal_mask(n_query, n_key):" in html and "also_right" not in html


def test_a_notebook_that_switched_gradients_off_gets_right_answers_passed():
    expected_outcomes.cache_clear()
    torch.set_grad_enabled(False)
    try:
        assert checks.run("blend_values", lambda weights, v: weights @ v).status == "passed"
    finally:
        torch.set_grad_enabled(True)
        expected_outcomes.cache_clear()


@pytest.mark.parametrize("name", ["embed", "attention_scores", "gelu", "apply_temperature"])
def test_an_answer_that_changes_its_arguments_spoils_no_later_check(name):
    reference = checks.find(name).reference

    def wipes(*args):
        for arg in args:
            if isinstance(arg, torch.Tensor):
                arg.detach().zero_()
        return reference(*args)

    assert not checks.run(name, wipes).passed
    assert checks.run(name, reference).passed


def test_missing_parameters_are_told_alike_whatever_the_order_of_the_parts():
    class Norms(torch.nn.Module):
        def __init__(self, n_embd, n_head, order=("ln_1", "ln_2")):
            super().__init__()
            for name in order:
                setattr(self, name, torch.nn.LayerNorm(n_embd))

    reference = checks.find("Block").reference(4, 2)
    told = []
    for order in ("ln_1", "ln_2"), ("ln_2", "ln_1"):
        with pytest.raises(modules.WrongParameters) as caught:
            modules.fill(Norms(4, 2, order), reference, torch.float32)
        told.append(str(caught.value))
    assert told[0] == told[1] and "is missing; the module has ln_1.bias, ln_1.weight" in told[0]
