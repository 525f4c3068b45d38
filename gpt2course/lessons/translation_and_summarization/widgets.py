"""Lesson 17 to play with: a sentence put together from its parts, translated word by word."""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from gpt2course.corpus import translation as text
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.twin import Playable, menu, playable, slider
from gpt2course.lessons.translation_and_summarization.figures import crossing

Translate = Callable[[str], tuple[list[str], list[str], Float[Tensor, "N S"]]]
TIMES = {
    one[0]: (one, tense)
    for tense, times in (("past", text.PAST), ("now", text.NOW), ("modal", text.FUTURE))
    for one in times
}
PEOPLE = {
    "Anna": text.Subject("Anna", "Anna"),
    "the man": text.Subject("the man", "der Mann"),
    "a friendly king": text.Subject("a friendly king", "ein freundlicher König"),
    "the queen": text.Subject("the queen", "die Königin"),
}
DOES = {verb.base: verb for verb in text.TRANSITIVE if verb.now}
THINGS = {
    " ".join(["the" if definite else "a", adjective, noun]): (noun, adjective, definite)
    for noun, adjective, definite in (
        ("bicycle", "red", True), ("hat", "red", False), ("lamp", "green", False),
        ("suitcase", "big", True), ("book", "small", False),
    )
}  # fmt: skip
FORMS = ("time first", "time last", "Max knows that …", "Max is sad because …", "Because …, Max …")


def composed(when: str, who: str, does: str, what: str, form: str) -> tuple[str, str]:
    """The sentence of such parts, in English and in German."""
    time, tense = TIMES[when]
    noun, adjective, definite = THINGS[what]
    thing = next(one for one in text.THINGS if one.english == noun)
    colour = next(one for one in text.OF_THINGS if one[0] == adjective)
    said = text.clause(PEOPLE[who], DOES[does], tense, time, text.NOTHING, thing, colour, definite)
    if form in FORMS[:2]:
        english, german = said.main(time_first=form == FORMS[0])
    else:
        frame = text.CLAIMS[0] if form == FORMS[2] else text.MOODS[0]
        max_ = text.Subject("Max", "Max")
        english, german = text.in_frame(max_, frame, said, because_first=form == FORMS[4])
    return text.written(english), text.written(german)


def translation_to_play(translate: Translate) -> Playable:
    """Choose the parts of a sentence; the slider writes its translation word by word.

    Args:
        translate: from an English sentence to its words, the words of the translation, and what
            each of these read, row = target word, column = source word.
    """
    found: dict[str, tuple] = {}

    def draw(when: str, who: str, does: str, what: str, form: str, word: int) -> Picture:
        english, german = composed(when, who, does, what, form)
        if english not in found:
            found[english] = translate(english)
        source, target, weights = found[english]
        n = min(word, len(target))
        right = text.sentence_of(target) == german
        verdict = "as it should be" if right else f"should be: {german}"
        title = f"“{target[n - 1]}” reads" + (f"; {verdict}" if n == len(target) else "")
        return crossing(source, target[:n], weights[:n], title, lit=n - 1)

    return playable(
        draw,
        when=menu("when:", list(TIMES), "yesterday"),
        who=menu("who:", list(PEOPLE)),
        does=menu("does:", list(DOES), "throw away"),
        what=menu("what:", list(THINGS)),
        form=menu("order:", list(FORMS)),
        word=slider("German word:", 5, 1, 16),
    )
