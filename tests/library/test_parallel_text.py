"""The translations and the summaries: the same from a seed, true to their rules, held out."""

import hashlib
import re

import pytest

from gpt2course.corpus import summaries, translation
from gpt2course.corpus.translation import kept_back, words_of

PAIRS = translation.training_pairs()
VERBS = translation.TRANSITIVE + translation.INTRANSITIVE
FINITE = (
    {verb.third for verb in VERBS}
    | {"hat", "ist", "lacht"}
    | {german.split()[0] for _, german in translation.MODALS + translation.CLAIMS}
)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def test_the_same_seed_gives_the_same_text_on_every_machine():
    text = "\n".join(f"{pair.english} {pair.german}" for pair in translation.pairs(7, 200))
    assert digest(text) == "38a0173020bafe54"
    assert (
        digest("\n".join(story.text for story in summaries.stories(7, 200))) == "b1fe129366905ced"
    )
    assert translation.pairs(7, 5) == translation.pairs(7, 50)[:5]


def test_no_training_sentence_holds_a_combination_that_is_held_out():
    assert not any(pair.new for pair in PAIRS)
    things = {thing.english for thing in translation.THINGS}
    adjectives = {english for english, _ in translation.OF_THINGS}
    seen = set()
    for pair in PAIRS:
        words = words_of(pair.english)
        seen |= set(zip(words, words[1:], strict=False))
    of_things = {(one, other) for one, other in seen if one in adjectives and other in things}
    assert not any(map(kept_back, of_things))
    assert len(of_things) > 150  # and the others do occur


def test_held_out_sentences_are_new_and_those_with_new_combinations_say_which():
    known = {pair.english for pair in PAIRS}
    for new in (False, True):
        heldout = translation.heldout_pairs(200, new)
        assert len({pair.english for pair in heldout} - known) == 200
        assert all(bool(pair.new) == new for pair in heldout)


def test_every_word_of_the_held_out_sentences_is_known():
    known = {word for pair in PAIRS for word in words_of(pair.english + " " + pair.german)}
    for pair in translation.heldout_pairs(300, True) + translation.heldout_pairs(300, False):
        assert known.issuperset(words_of(pair.english + " " + pair.german))


def _elements(clause: str) -> list[str]:
    """A main clause with its subject or adverb as one element."""
    fronts = [german for times in (translation.HABIT, translation.NOW, translation.PAST,
                                   translation.FUTURE) for _, german in times]  # fmt: skip
    for front in sorted(fronts, key=len, reverse=True):
        front = front[0].upper() + front[1:]
        if clause.startswith(front + " "):
            return [front, *clause[len(front) + 1 :].split()]
    noun = re.match(r"(?:(?:Der|Die|Das|Ein|Eine) (?:[a-zäöüß]+ )?)?[A-ZÄÖÜ]\w+", clause)
    return [noun[0], *clause[noun.end() + 1 :].split()]


def test_no_grandparent_is_tall_since_the_german_words_begin_with_groß():
    assert any("tall aunt" in pair.english for pair in PAIRS)
    assert not any(re.search(r"\bgroß\w* Groß(mutter|vater)", pair.german) for pair in PAIRS)


def test_the_finite_verb_is_second_in_a_main_clause():
    for pair in PAIRS[:5000]:
        clause = pair.german.rstrip(".").split(",")[0]
        if not clause.startswith("Weil"):
            assert _elements(clause)[1] in FINITE, pair.german


def test_the_finite_verb_is_last_after_weil_and_dass():
    last = FINITE | {verb.particle + verb.third for verb in VERBS}
    for pair in PAIRS[:5000]:
        for clause in re.findall(r"\b(?:[Ww]eil|dass) ([^.,]*)", pair.german):
            assert clause.split()[-1] in last, pair.german


def test_a_clause_that_stands_first_is_followed_by_the_verb():
    found = [pair.german for pair in PAIRS if pair.german.startswith("Weil")]
    assert len(found) > 1000
    assert all(german.split(", ")[1].split()[0] in FINITE for german in found)


def test_separable_verbs_are_apart_in_a_main_clause_and_together_after_dass():
    anna = translation.Subject("Anna", "Anna")
    verb = next(verb for verb in VERBS if verb.infinitive == "abholen")
    letter = next(thing for thing in translation.THINGS if thing.english == "letter")
    said = translation.clause(anna, verb, "habit", translation.HABIT[0], thing=letter)
    assert said.main(True)[1] == "jeden Tag holt Anna den Brief ab"
    assert said.main(False)[1] == "Anna holt jeden Tag den Brief ab"
    assert said.subordinate()[1] == "Anna jeden Tag den Brief abholt"
    done = translation.clause(anna, verb, "past", thing=letter, adjective=("old", "alt"))
    assert done.main(False) == (
        "Anna picked up the old letter",
        "Anna hat den alten Brief abgeholt",
    )


@pytest.mark.parametrize(
    "thing, definite, accusative, german",
    [
        ("hat", True, False, "der alte Hut"), ("hat", True, True, "den alten Hut"),
        ("hat", False, False, "ein alter Hut"), ("hat", False, True, "einen alten Hut"),
        ("lamp", True, True, "die alte Lampe"), ("lamp", False, True, "eine alte Lampe"),
        ("book", True, True, "das alte Buch"), ("book", False, True, "ein altes Buch"),
        ("book", False, False, "ein altes Buch"), ("lamp", False, False, "eine alte Lampe"),
    ],
)  # fmt: skip
def test_articles_and_adjectives_agree(thing, definite, accusative, german):
    noun = next(one for one in translation.THINGS if one.english == thing)
    assert translation.noun_phrase(noun, ("old", "alt"), definite, accusative)[1] == german


def test_a_definite_object_stands_before_the_place_and_an_indefinite_one_behind_it():
    anna = translation.Subject("Anna", "Anna")
    verb = next(verb for verb in VERBS if verb.infinitive == "suchen")
    hat = next(thing for thing in translation.THINGS if thing.english == "hat")
    german = [
        translation.clause(
            anna, verb, "past", translation.PAST[0], ("in the park", "im Park"), hat, None, definite
        ).main(False)[1]
        for definite in (True, False)
    ]
    assert german == [
        "Anna hat gestern den Hut im Park gesucht",
        "Anna hat gestern im Park einen Hut gesucht",
    ]


def test_every_story_holds_its_facts_and_its_summary_tells_them():
    for story in summaries.stories(0, 500):
        told = summaries.facts_of(story.facts.summary())
        assert told == story.facts
        for fact in summaries.FACTS:
            assert getattr(story.facts, fact) in story.text
        assert set(summaries.verdicts(story, story.facts.summary()).values()) == {"right"}


def test_verdicts_tell_mixed_up_from_invented_and_a_text_that_is_no_summary():
    facts = summaries.Facts("Mina", "Oakham", "sold", "robot", "at the mill", "sad")
    story = summaries.Story(
        "Mina lived in Oakham and owned a robot. Tom was happy. Mina sold the robot at the mill. "
        "Mina went home sad.",
        facts,
    )
    said = "Tom of Foxwick sold the robot at the mill and was happy in the end."
    found = summaries.verdicts(story, said)
    assert found == {
        "who": "mixed up", "home": "invented", "deed": "right", "thing": "right", "place": "right",
        "mood": "mixed up",
    }  # fmt: skip
    assert set(summaries.verdicts(story, "Mina sold it.").values()) == {"missing"}
