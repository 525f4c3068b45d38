"""Lesson 16 to play with: hide a word of a sentence, and see how both models would fill it."""

from collections.abc import Callable, Sequence

import ipywidgets
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gpt2course.drawing.explorer import Candidate
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.twin import Playable, menu, named
from gpt2course.lessons.bert_and_gpt.figures import candidates, word_of
from gpt2course.tokenizer import Tokenizer

Scores = Callable[[Int[Tensor, "1 T"]], Float[Tensor, "1 T V"]]
TOP = 10  # candidates of each model
LONGEST = 60  # tokens of a sentence


def _likeliest(logits: Float[Tensor, " V"], tokenizer: Tokenizer) -> list[Candidate]:
    """The ten tokens with the highest scores; what has no bytes, such as [MASK], is left out."""
    best = logits[: tokenizer.vocab_size].softmax(-1).topk(TOP)
    pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return [Candidate(i, tokenizer.token_bytes(i), p) for i, p in pairs]


@torch.no_grad()
def gap_picture(
    encoder: Scores, decoder: Scores, tokenizer: Tokenizer, mask_id: int, text: str, place: int
) -> Picture:
    """The text with the token at `place` hidden, and each model's ten candidates for it."""
    ids = tokenizer.encode(text)
    idx = torch.tensor([ids])
    idx[0, place] = mask_id
    before = torch.tensor([[tokenizer.end_of_text, *ids[:place]]])
    both = _likeliest(encoder(idx)[0, place], tokenizer)
    left = _likeliest(decoder(before)[0, -1], tokenizer)
    words = [word_of(tokenizer.token_bytes(i)) for i in ids]
    return candidates(words, place, both, left)


def fill_to_play(
    encoder: Scores, decoder: Scores, tokenizer: Tokenizer, mask_id: int,
    texts: Sequence[str], hidden: str,
) -> Playable:  # fmt: skip
    """Choose or type a sentence and press a word: it is hidden, and both models fill the gap.

    Args:
        encoder: scores at every token of a batch of one, from both sides.
        decoder: scores for the token after each, from the left side.
        mask_id: the id that stands for a hidden token.
        texts: sentences to choose from.
        hidden: the word of the first one that is hidden at first.
    """

    def draw(text: str, place: int) -> Picture:
        return gap_picture(encoder, decoder, tokenizer, mask_id, text, place)

    return _Gaps(tokenizer, list(texts), hidden, draw).playable()


class _Gaps:
    """A menu, a line to type in, a button for each token; the picture follows."""

    def __init__(
        self, tokenizer: Tokenizer, texts: list[str], hidden: str,
        draw: Callable[[str, int], Picture],
    ):  # fmt: skip
        self.tokenizer, self.draw = tokenizer, draw
        self.menu = menu("sentence:", texts)
        wide = {"description_width": "100px"}
        self.text = ipywidgets.Text(
            texts[0], continuous_update=False,
            **named("or yours:", style=wide, layout={"width": "820px"}),
        )  # fmt: skip
        self.menu.layout.width = "820px"
        self.said, self.shown = ipywidgets.HTML(), ipywidgets.HTML()
        self.words = ipywidgets.HBox(layout={"flex_flow": "row wrap"})
        self.place = self._words().index(hidden)
        self.menu.observe(self._chosen, names="value")
        self.text.observe(lambda _: self._typed(), names="value")
        self._make_buttons()

    def _words(self) -> list[str]:
        ids = self.tokenizer.encode(self.text.value)
        return [word_of(self.tokenizer.token_bytes(i)) for i in ids]

    def _chosen(self, change: dict) -> None:
        self.text.value = change["new"]

    def _typed(self) -> None:
        n = len(self._words())
        if not 1 <= n <= LONGEST:
            self.said.value = f"a sentence has 1 to {LONGEST} tokens, this one has {n}"
            return
        self.said.value = ""
        self.place = min(self.place, n - 1)
        self._make_buttons()
        self.show()

    def _make_buttons(self) -> None:
        buttons = []
        for place, word in enumerate(self._words()):
            pressed = ipywidgets.ToggleButton(
                value=place == self.place, description=word, tooltip=f"hide {word}",
                layout={"width": "auto"},
            )  # fmt: skip
            pressed.observe(lambda change, place=place: self._press(place, change), names="value")
            buttons.append(pressed)
        self.words.children = buttons

    def _press(self, place: int, change: dict) -> None:
        if not change["new"]:
            if place == self.place:  # one word is always hidden
                self.words.children[place].value = True
            return
        if place != self.place:
            before, self.place = self.place, place
            self.words.children[before].value = False
            self.show()

    def show(self) -> None:
        """Draw anew."""
        self.shown.value = self.draw(self.text.value, self.place).html

    def playable(self) -> Playable:
        picture = self.draw(self.text.value, self.place)
        self.shown.value = picture.html
        label = ipywidgets.HTML("<b>Press a word to hide it:</b>")
        parts = [self.menu, self.text, label, self.words, self.said, self.shown]
        return Playable(ipywidgets.VBox(parts), picture)
