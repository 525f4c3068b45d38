"""What the cards of lesson 00 say."""

from gpt2course import checks


def test_the_card_of_the_untouched_stub_shows_both_lists():
    def shift_targets(ids):
        raise NotImplementedError("your turn")

    result = checks.run("shift_targets", shift_targets)
    assert result.status == "not_started"
    assert "shift_targets(ids=[5, 6, 9])" in result.message
    assert "expected  ([5, 6], [6, 9])" in result.message


def test_the_card_of_a_swap_says_what_comes_after_what():
    message = checks.run("shift_targets", lambda ids: (ids[1:], ids[:-1])).message
    assert "swaps inputs and targets" in message and "comes after it in the text" in message
    assert "yours     ([6, 9], [5, 6])" in message


def test_a_right_answer_may_be_asked_again_with_the_same_list():
    ids = [5, 6, 9]
    assert checks.find("shift_targets").reference(ids) == ([5, 6], [6, 9])
    assert ids == [5, 6, 9]


def test_a_generator_is_no_tuple():
    result = checks.run("shift_targets", lambda ids: (part for part in (ids[:-1], ids[1:])))
    assert result.status == "failed" and "It returned a generator" in result.message


def test_lists_as_defaults_show_what_came_back_at_that_call():
    def answer(ids, inputs=[], targets=[]):  # noqa: B006
        inputs.extend(ids[:-1])
        targets.extend(ids[1:])
        return inputs, targets

    message = checks.run("shift_targets", answer).message
    assert "remembers earlier calls" in message
    assert "yours     ([5, 6, 8], [6, 9, 3])" in message
