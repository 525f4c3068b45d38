"""The course model keeps what its card says, and its card says what the course needs."""

import json
import re
from dataclasses import asdict, replace

import pytest
import torch

from gpt2course import corpus
from gpt2course.config import COURSE, GPT2Config
from gpt2course.model import GPT2
from gpt2course.tokenizer import Tokenizer
from gpt2course.tools import model_card
from gpt2course.tools.model_card import (
    Measured,
    card_text,
    it_attention,
    main,
    measure,
    own_texts,
    unknown_words,
    write_card,
)
from gpt2course.training import COURSE_SETTINGS, train_on_texts
from gpt2course.weights import COURSE_FOLDER, load_tokenizer

CARD = json.loads((COURSE_FOLDER / "card.json").read_text())


@pytest.fixture(scope="module")
def course():
    return GPT2.from_pretrained("course"), load_tokenizer("course")


@pytest.fixture(scope="module")
def measured(course):
    return measure(*course)


def test_the_shipped_model_has_the_course_size(course):
    model, tokenizer = course
    assert model.config == COURSE
    assert tokenizer.vocab_size == COURSE.vocab_size
    assert (COURSE_FOLDER / "model.safetensors").stat().st_size <= 5e6


def test_the_card_says_what_is_measured(measured):
    said = CARD["measured"]
    assert measured.loss == pytest.approx(said["loss"], abs=2e-3)
    assert measured.bits_per_byte == pytest.approx(said["bits_per_byte"], abs=2e-3)
    assert measured.top_10 == pytest.approx(said["top_10"], abs=2e-3)
    assert measured.it_weight == pytest.approx(said["it_weight"], abs=5e-3)
    assert list(measured.it_head) == said["it_head"]
    for kind, share in measured.probes.items():
        assert share == pytest.approx(said["probes"][kind], abs=0.011), kind


def test_the_page_is_made_of_the_figures(course, measured):
    figures = CARD["measured"] | {"it_head": tuple(CARD["measured"]["it_head"])}
    text = card_text(course[0], Measured(**figures), CARD["made"])
    assert (COURSE_FOLDER / "README.md").read_text() == text


def test_the_word_after_it_belongs_to_its_noun(measured):
    assert measured.probes["it"] >= 0.95


def test_one_head_reads_the_noun_that_it_stands_for(measured):
    assert measured.it_weight >= 0.5


def test_the_next_token_is_among_ten(measured):
    assert measured.top_10 >= 0.8


def test_its_own_texts_hold_no_unknown_word(measured):
    assert measured.unknown_words == []


def test_what_an_untrained_model_measures_is_far_from_it(course):
    torch.manual_seed(0)
    random, tokenizer = GPT2(COURSE).eval(), course[1]
    assert it_attention(random, tokenizer, 20).max() < 0.3
    assert unknown_words(own_texts(random, tokenizer, 5))


def test_a_noun_is_found_where_it_stands():
    """Attention is even in a model whose queries are zero, so its weights are known."""
    tokenizer = Tokenizer.train("\n".join(corpus.documents(0, 50)), 600)
    model = GPT2(GPT2Config(n_layer=1, n_head=2, n_embd=8, n_ctx=128, vocab_size=600))
    torch.nn.init.zeros_(model.h[0].attn.c_attn.weight)
    shares = []
    for probe in corpus.probes("it", 20):
        n_tokens = len(tokenizer.encode(probe.text)) + 1
        start, end = probe.hangs_on
        n_noun = len(tokenizer.encode(" " + probe.clue))
        assert n_tokens <= 128
        shares.append(n_noun / n_tokens)
    expected = torch.full((1, 2), sum(shares) / len(shares))
    torch.testing.assert_close(it_attention(model, tokenizer, 20), expected)


def test_words_of_the_text_are_known_and_others_not():
    story = corpus.heldout_documents()[0]
    assert unknown_words([story]) == []
    assert unknown_words(["Mina saw the robbot."]) == ["robbot"]
    assert unknown_words(["Mina saw the robb"]) == []  # cut off


def test_a_card_is_written_with_its_figures(tmp_path, course):
    figures = Measured(1.5, 0.5, 0.9, {"it": 0.97}, (0, 1), 0.8, [])
    write_card(tmp_path, course[0], figures, {"seed": 0})
    assert json.loads((tmp_path / "card.json").read_text())["measured"] == json.loads(
        json.dumps(asdict(figures))
    )
    page = (tmp_path / "README.md").read_text()
    assert re.search(r"\| it \| .* \| 97% \|", page)
    assert "1.500 nats per token" in page


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    """A folder as `train` leaves it, and the texts that were learned from."""
    folder = tmp_path_factory.mktemp("run") / "small"
    texts = corpus.documents(0, 40), corpus.documents(40, 50)
    settings = replace(COURSE_SETTINGS, max_steps=2, batch_size=4)
    train_on_texts(*texts, folder, settings, replace(COURSE, n_layer=1, vocab_size=400))
    return folder, *texts


def test_the_card_of_a_run_tells_what_is_not_as_usual(small_run, monkeypatch):
    folder, documents, heldout = small_run
    monkeypatch.setattr(corpus, "training_documents", lambda: documents)
    monkeypatch.setattr(corpus, "heldout_documents", lambda: heldout)
    figures = Measured(1.5, 0.5, 0.9, {"it": 0.97}, (0, 1), 0.8, [])
    monkeypatch.setattr(model_card, "measure", lambda model, tokenizer: figures)
    main(folder)
    card = json.loads((folder / "card.json").read_text())
    assert card["made"]["command"] == (
        "`python -m gpt2course train --out FOLDER`, with max_steps=2, batch_size=4, "
        "warmup_steps=0, model's n_layer=1, model's vocab_size=400"
    )
    assert card["made"]["steps"].startswith("2 of 4 × 128 tokens")
    assert card["measured"]["loss"] == 1.5


def test_a_card_is_of_the_courses_own_stories(small_run, monkeypatch):
    folder, documents, heldout = small_run
    monkeypatch.setattr(corpus, "training_documents", lambda: documents[1:])
    monkeypatch.setattr(corpus, "heldout_documents", lambda: heldout)
    monkeypatch.setattr(model_card, "measure", None)
    with pytest.raises(ValueError, match="stories of the course alone, got one of another text"):
        main(folder)
