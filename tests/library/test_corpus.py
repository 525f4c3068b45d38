"""The course's text: the same from the same seed, and its probes ask what they say."""

import hashlib
import random
import re
from collections import Counter

import pytest

from gpt2course import corpus
from gpt2course.corpus.lexicon import SENSES, THINGS, TRADES, Verb
from gpt2course.corpus.sentences import draw, kept_back, marked, pick, two_people

TRAINING = corpus.training_documents()
TEXT = "\n".join(TRAINING)


# Sentences asked about two sentences at once keep both back.
TWO_SENTENCES = ("latter", "names", "order", "days", "count", "noise")


def sentences_of(text: str) -> list[str]:
    return re.split(r'(?<=[.?!"]) (?=[A-Z"])', text)


def asked(probe: corpus.Probe) -> str:
    """What a probe asks: its last sentence, as far as it goes, or its last two."""
    return " ".join(sentences_of(probe.text)[-2 if probe.kind in TWO_SENTENCES else -1 :])


def test_the_same_seed_gives_the_same_stories_on_every_machine():
    digest = hashlib.sha256("\n".join(corpus.documents(7, 200)).encode()).hexdigest()
    assert digest[:16] == "e9bab1d615920e3a"
    assert corpus.documents(7, 3) != corpus.documents(8, 3)


def test_more_stories_begin_with_the_same_ones():
    assert corpus.documents(7, 5) == corpus.documents(7, 50)[:5]


def test_the_training_text_has_some_megabytes():
    assert 5e6 < len(TEXT.encode()) < 10e6
    assert len(set(TRAINING)) == len(TRAINING)


def test_the_training_text_is_not_a_template():
    openings = Counter(sentences_of(text)[0] for text in TRAINING)
    assert len(openings) > len(TRAINING) / 3
    assert openings.most_common(1)[0][1] < len(TRAINING) / 100
    sentences = sentences_of(TEXT.replace("\n", " "))
    assert len(set(sentences)) > len(sentences) / 2


def test_no_two_things_do_the_same():
    verbs = [form for thing in THINGS for form in thing.habits]
    assert len(set(verbs)) == len(verbs)
    assert len({trade.verb for trade in TRADES}) == len(TRADES)


@pytest.mark.parametrize("word", SENSES)
def test_the_two_senses_of_a_word_share_no_adjective(word):
    (_, first), (_, second) = SENSES[word]
    assert not set(first) & set(second)


@pytest.mark.parametrize("kind", corpus.KINDS)
def test_the_training_text_holds_no_sentence_that_is_kept_back(kind):
    rng = random.Random(5)
    held = [draw(rng, *_asked_of(rng, kind), held=True) for _ in range(300)]
    shown = [draw(rng, *_asked_of(rng, kind), held=False) for _ in range(300)]
    assert all(kept_back(line.text) for line in held)
    assert not any(kept_back(line.text) for line in shown)
    assert not any(line.text in TEXT for line in held)


def _asked_of(rng, kind):
    hero, friend = two_people(rng)
    cast = {"days": [hero], "count": [hero], "trade": [hero], "sense": []}
    return corpus.KINDS[kind], *cast.get(kind, [hero, pick(rng, THINGS)])


@pytest.mark.parametrize("kind", corpus.KINDS)
def test_a_probe_hangs_on_a_word_before_its_end(kind):
    probes = corpus.probes(kind, 60)
    assert len({probe.text for probe in probes}) == 60
    for probe in probes:
        start, end = probe.hangs_on
        assert 0 <= start < end <= len(probe.text)
        assert re.fullmatch(r"\w+", probe.clue)
        assert not probe.text.endswith(" ")
        assert probe.answers


def test_it_stands_for_the_one_singular_thing_of_its_sentence():
    by_name = {thing.name: thing for thing in THINGS}
    for probe in corpus.probes("it", 200):
        singular = [name for name in by_name if re.search(rf"\b{name}\b", asked(probe), re.I)]
        assert singular == [probe.clue]
        assert probe.answers == by_name[probe.clue].habits
        assert probe.text.endswith(" it")


def test_they_stands_for_the_only_things_in_the_plural():
    plural = {thing.plural: thing for thing in THINGS}
    for probe in corpus.probes("they", 200):
        many = [name for name in plural if re.search(rf"\b{name}\b", asked(probe), re.I)]
        assert many == [probe.clue]
        assert probe.answers == plural[probe.clue].habits


def test_the_former_is_named_first_and_the_latter_last():
    for probe in corpus.probes("latter", 100):
        scene, which = sentences_of(probe.text)[-2:]
        names = [t.name for t in THINGS if re.search(rf"\b{t.name}\b", scene)]
        names.sort(key=lambda name: re.search(rf"\b{name}\b", scene).start())
        assert names[0 if which == "The former" else 1] == probe.clue


def test_the_other_one_gets_the_gift():
    for probe in corpus.probes("names", 100):
        both, giver = sentences_of(probe.text)[-2:]
        pair = [both.split()[0], both.split()[2]]
        pair.remove(giver.split()[0])
        assert probe.answers == tuple(pair)


def test_a_count_is_right():
    numbers = dict(
        zip("one two three four five six seven eight nine".split(), range(1, 10), strict=True)
    )
    for probe in corpus.probes("count", 100):
        said = re.search(r"had (\w+) \w+ and (found|lost) (one|two)", probe.text)
        change = numbers[said[3]] * (1 if said[2] == "found" else -1)
        assert numbers[probe.answers[0]] == numbers[said[1]] + change


def test_an_unknown_kind_is_named_with_those_that_there_are():
    with pytest.raises(ValueError, match="'irony'.*|it, they"):
        corpus.probes("irony")


def test_a_mark_says_where_the_clue_is_and_what_is_asked():
    line = marked("it", "The [owl] woke because it ^hooted.", ("hooted", "glided"))
    assert line.text == "The owl woke because it hooted."
    assert (line.probe.text, line.probe.clue) == ("The owl woke because it", "owl")


def test_some_sentences_are_kept_back():
    share = sum(kept_back(f"sentence {i}") for i in range(8000)) / 8000
    assert 0.1 < share < 0.15


@pytest.mark.parametrize(
    ("spelling", "forms"),
    [
        ("beep", ("beep", "beeped", "beeps", "beeping")),
        ("hiss", ("hiss", "hissed", "hisses", "hissing")),
        ("scurry", ("scurry", "scurried", "scurries", "scurrying")),
        ("chime", ("chime", "chimed", "chimes", "chiming")),
        ("ring/rang/ringing", ("ring", "rang", "rings", "ringing")),
    ],
)
def test_a_verb_takes_its_forms(spelling, forms):
    verb = Verb.of(spelling)
    assert (verb.base, verb.past, verb.third, verb.ing) == forms
