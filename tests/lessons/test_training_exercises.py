"""Lesson 13's checks on batches with many seeds, and what its cards say."""

from dataclasses import replace

import pytest
from test_answers import right_ones, wrong_ones

from gpt2course import checks
from gpt2course.checks.attempt import attempt, expected_outcomes, how_wrong

BATCH, LOSS, RATE = "next_token_batch", "next_token_loss", "learning_rate"
batch = checks.find(BATCH)


def wrong(name, title):
    """A wrong answer of tests/lessons/wrong/training.md."""
    exercise = checks.find(name)
    return exercise.build(next(source for t, source, _ in wrong_ones(name) if t == title))


# Chance


def with_seeds(further):
    """The exercise with other seeds in all its cases."""
    cases = []
    for case in batch.cases:
        *args, seed = case.args
        number = None if seed.number is None else seed.number + 1000 * further
        cases.append(replace(case, args=(*args, replace(seed, number=number))))
    return replace(batch, cases=cases)


def refused(exercise, source):
    answer, expected = batch.build(source), expected_outcomes(exercise)
    tried = zip(exercise.cases, expected, strict=True)
    return any(how_wrong(exercise, c, want, attempt(exercise, answer, c)) > 1 for c, want in tried)


@pytest.mark.parametrize("further", range(1, 4))
def test_no_seed_refuses_a_right_batch(further):
    exercise = with_seeds(further)
    for answer in [*batch.right_answers, *right_ones(BATCH)]:
        assert not refused(exercise, answer.source), answer.title


@pytest.mark.parametrize("further", range(1, 3))
def test_no_seed_lets_a_known_mistake_pass(further):
    exercise = with_seeds(further)
    for mistake in batch.mistakes:
        for way in mistake.ways:
            assert refused(exercise, way), mistake.name


def test_every_start_is_expected_to_come_as_often_as_the_others():
    said = [o.value for o in expected_outcomes(batch) if isinstance(o.value, dict)]
    counted = [d for d in said if any("never come" in key for key in d)]
    assert len(counted) == 5
    assert all(d[key] == [] for d in counted for key in d if " come" in key)


# Cards


def test_the_first_card_of_a_batch_shows_ids_and_the_ids_after_them():
    def stub(ids, batch_size, n_ctx, generator):
        raise NotImplementedError("your turn")

    message = checks.run(BATCH, stub).message
    assert "four ids, rows of three: there is one start" in message
    assert "[50, 10, 40]" in message and "[10, 40, 20]" in message


def test_the_card_of_unshifted_targets_draws_expected_and_given():
    message = checks.run(BATCH, wrong(BATCH, "twice the same")).message
    assert "expected [1]" in message and "yours [1]" in message
    assert "the targets begin at `start + 1`" in message


def test_the_card_of_uneven_starts_names_them_and_says_nothing_of_other_draws():
    message = checks.run(BATCH, wrong(BATCH, "every other start")).message
    assert "starts that never come: expected [], yours [1]" in message


def test_the_card_of_an_unknown_mistake_says_what_holds_and_what_does_not():
    message = checks.run(BATCH, wrong(BATCH, "backwards")).message
    assert "✓ holds: it returns a tuple of two int64 tensors" in message
    assert "✗ does not hold: every row of inputs is cut from ids in one piece" in message
    message = checks.run(LOSS, wrong(LOSS, "the median")).message
    assert "✓ holds: one number, in a tensor of shape ()" in message


def test_the_card_of_a_learning_rate_names_the_steps_that_differ():
    message = checks.run(RATE, wrong(RATE, "zero first")).message
    assert "learning_rate(step=0, 1, …, 9, max_lr=0.8, min_lr=0.1" in message
    assert "step 0: expected 0.2, yours 0.0" in message
    assert "the other 6 are right" in message


def test_the_smallest_card_of_a_loss_shows_its_numbers():
    message = checks.run(LOSS, wrong(LOSS, "the median")).message
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
        result = checks.run(name, answer)
        assert result.misconception == "returns None" and "returned None" in result.message


# Tried here, and in no case that a card shows


@pytest.mark.parametrize("digits", [8, 10])
def test_a_rate_that_is_rounded_far_behind_the_point_is_refused(digits):
    right = checks.find(RATE).reference
    result = checks.run(RATE, lambda *args: round(right(*args), digits))
    assert not result.passed and result.distance > 10
