"""Lesson 02's checks: what they try, and what their cards say."""

from gpt2course import checks, tokenizer
from gpt2course.lessons.tokens import exercises as lesson


def test_the_longest_training_uses_the_id_1000():
    chunks, n_merges = lesson.train_merges.cases[-1].args
    merges = tokenizer.train_merges(chunks, n_merges)
    assert any(1000 in pair for pair in merges), "1000 as a border between chunks is found by this"


def test_of_an_unknown_id_the_card_says_only_what_can_be_asked():
    def decode_ids(ids, merges):
        known = [i for i in ids if i < 256 + len(merges)]
        return tokenizer.decode_ids(known, merges) + "!" * (len(ids) - len(known))

    result = checks.run("decode_ids", decode_ids)
    assert result.case.label == "an id one beyond the merges"
    assert result.misconception is None
    held = dict(result.properties)
    assert "bytes below 128 are their letters" not in held
    assert held["an id beyond the merges raises an error"] is False


def test_a_list_handed_back_is_told_that_a_new_one_is_asked():
    def merge_pair(ids, pair, new_id):
        merged = tokenizer.merge_pair(ids, pair, new_id)
        return ids if merged == ids else merged

    result = checks.run("merge_pair", merge_pair)
    assert result.case.label == "the two ids in the other order"
    assert "the exercise asks for a new one" in result.message
