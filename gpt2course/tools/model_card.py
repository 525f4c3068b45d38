"""What a model of the course's text can do, measured, and told on a page beside its weights.

For a model that `train --out FOLDER` has made: python -m gpt2course.tools.model_card FOLDER
"""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from gpt2course import corpus
from gpt2course.config import COURSE
from gpt2course.evaluation import Evaluation, probe_accuracy, token_nll, top_k_accuracy
from gpt2course.files import write_whole
from gpt2course.inspection import find, head_weights, mean_attention
from gpt2course.model import GPT2, count_parameters
from gpt2course.sampling import generate
from gpt2course.tokenizer import Tokenizer
from gpt2course.training import CHECKPOINT, COURSE_SETTINGS, History, TextData
from gpt2course.training.checkpoints import made_with
from gpt2course.training.history import HISTORY
from gpt2course.weights import load_tokenizer

CARD, FIGURES = "README.md", "card.json"
PROBES = 200  # of each kind
SAMPLES = 200  # texts of the model's own
SAMPLING = {"temperature": 0.8, "top_k": 40}
SAMPLE_TOKENS = 120


@dataclass(frozen=True)
class Measured:
    """The figures of a card.

    Attributes:
        loss: nats per token of the held-out stories.
        bits_per_byte: of the same.
        top_10: at how many places of them the next token is among the ten likeliest, 0 to 1.
        probes: for each kind the share answered with a right word as the likeliest.
        it_head: (layer, head) of the head that reads most of the noun that *it* stands for.
        it_weight: how much of its weight it gives to that noun, averaged over the probes.
        unknown_words: words in 200 texts of its own that the training text lacks.
    """

    loss: float
    bits_per_byte: float
    top_10: float
    probes: dict[str, float]
    it_head: tuple[int, int]
    it_weight: float
    unknown_words: list[str]


def measure(model: GPT2, tokenizer: Tokenizer) -> Measured:
    """Measure a model on the held-out stories and the probes of `corpus`; some seconds."""
    ids, n_bytes = heldout_ids(tokenizer)
    nll = token_nll(model, ids)
    heldout = Evaluation(nll.double().sum().item(), len(nll), n_bytes)
    probes = {
        kind: probe_accuracy(model, tokenizer, corpus.probes(kind, PROBES))
        for kind in tqdm(corpus.KINDS, desc="probes", unit="kind", leave=False)
    }
    attention = it_attention(model, tokenizer)
    layer, head = divmod(int(attention.argmax()), attention.shape[1])
    samples = own_texts(model, tokenizer, SAMPLES)
    return Measured(
        loss=heldout.loss,
        bits_per_byte=heldout.bits_per_byte,
        top_10=top_k_accuracy(model, ids),
        probes=probes,
        it_head=(layer, head),
        it_weight=attention.max().item(),
        unknown_words=unknown_words(samples),
    )


def heldout_ids(tokenizer: Tokenizer) -> tuple[list[int], int]:
    """The held-out stories with <|endoftext|> around each, and how many bytes they are."""
    ids = [tokenizer.end_of_text]
    for document in corpus.heldout_documents():
        ids += [*tokenizer.encode(document), tokenizer.end_of_text]
    return ids, sum(len(document.encode()) for document in corpus.heldout_documents())


def it_attention(model: GPT2, tokenizer: Tokenizer, n: int = PROBES) -> Float[Tensor, "L nh"]:
    """For every layer and head the weight from *it* to the noun it stands for, over n probes."""
    weights, queries, keys = [], [], []
    for probe in corpus.probes("it", n):
        last, positions = find(probe, tokenizer)
        ids = [tokenizer.end_of_text, *tokenizer.encode(probe.text)]
        cut = max(0, len(ids) - model.config.n_ctx)
        weights.append(head_weights(model, torch.tensor([ids[cut:]], device=model.device)))
        queries.append(last + 1 - cut)
        keys.append([position + 1 - cut for position in positions])
    return mean_attention(weights, queries, keys)


def own_texts(model: GPT2, tokenizer: Tokenizer, n: int, seed: int = 0) -> list[str]:
    """n texts that the model writes from nothing, without what follows their end."""
    generator = torch.Generator(model.device).manual_seed(seed)
    prompts = [[tokenizer.end_of_text]] * n
    rows = generate(model, prompts, SAMPLE_TOKENS, generator=generator, **SAMPLING)
    texts = []
    for row in rows:
        ids = list(row)[1:]
        end = ids.index(tokenizer.end_of_text) if tokenizer.end_of_text in ids else len(ids)
        texts.append(tokenizer.decode(ids[:end]))
    return texts


def unknown_words(texts: Sequence[str]) -> list[str]:
    """Words that the training text lacks, as often as they occur; a last one may be cut off."""
    known = Counter(re.findall(r"\w+", " ".join(corpus.training_documents())))
    found = []
    for text in texts:
        words = re.findall(r"\w+", text)
        whole = words if re.search(r"\W$", text) else words[:-1]
        found += [word for word in whole if word not in known]
    return found


# The page ---------------------------------------------------------------------------------------

KIND_SAID = {
    "it": "*Mina watched the robot among the kettles because it* …",
    "they": "*Mina watched the kettles around the robot because they* …",
    "latter": "*Mina saw a kettle and a robot at the mill. The former* …",
    "agreement": "*The robot near the kettles* … (was, were)",
    "names": "*Mina and Tom met at the mill. Tom gave the robot to* …",
    "order": "*First the dog left, then the cat, and then the owl. The second of them was the* …",
    "days": "*Mina left on Monday. Two days later it was* …",
    "count": "*Mina had five apples and lost two of them. Now she had* …",
    "trade": "*Mina the baker was tired because she had* …",
    "noise": "*Something hooted on the roof. It was the* …",
    "sense": "*By the river the bank was* …",
}


def made_by(made: dict[str, Any], data: TextData, history: History) -> dict[str, object]:
    """How a model was made, in the words of its card.

    Args:
        made: what the checkpoint says that the run was made with.

    Raises:
        ValueError: it has learned from another text than `data`.
    """
    if made["text"] != data.fingerprint[:16]:
        raise ValueError(
            "a card is of a model that has learned from the stories of the course alone, got one "
            "of another text; train it without --data"
        )
    usual = asdict(COURSE_SETTINGS) | {f"model's {name}": n for name, n in vars(COURSE).items()}
    names = ["max_lr", "min_lr", "warmup_steps", "max_steps"]
    usual |= {"n_ctx": COURSE.n_ctx} | dict(zip(names, COURSE_SETTINGS.schedule, strict=True))
    other = [f"{n}={made[n]}" for n in usual if n in made and made[n] != usual[n] and n != "betas"]
    command = "`python -m gpt2course train --out FOLDER`" + ", with " * bool(other)
    return {
        "command": command + ", ".join(other),
        "text": f"{corpus.TRAINING_STORIES:,} stories of `gpt2course.corpus`, "
        f"{len(data.train):,} tokens; {corpus.HELDOUT_STORIES:,} held out",
        "steps": f"{made['max_steps']:,} of {made['batch_size']} × {made['n_ctx']} tokens, AdamW, "
        f"learning rate {made['max_lr']:g} to {made['min_lr']:g}",
        "seconds": f"{history.seconds:.0f}",
        "torch": torch.__version__,
    }


def write_card(
    folder: str | os.PathLike[str], model: GPT2, measured: Measured, made: dict[str, object]
) -> None:
    """Write the page (README.md) and its figures (card.json) into a model's folder.

    Args:
        made: what the page says of how the model was made, by name.
    """
    folder = Path(folder)
    figures = {"made": made, "measured": asdict(measured)}
    write_whole(folder / FIGURES, (json.dumps(figures, indent=2) + "\n").encode())
    write_whole(folder / CARD, card_text(model, measured, made).encode())


def card_text(model: GPT2, measured: Measured, made: dict[str, object]) -> str:
    """The page: how the model was made, what it can do, and what it can't."""
    config = model.config
    n = count_parameters(config)
    guessing = math.log(config.vocab_size)
    made_rows = "\n".join(f"| {name} | {value} |" for name, value in made.items())
    probe_rows = "\n".join(
        f"| {kind} | {KIND_SAID[kind]} | {share:.0%} |" for kind, share in measured.probes.items()
    )
    layer, head = measured.it_head
    return f"""# A small GPT-2 that has read small stories

{n:,} parameters: {config.n_layer} blocks of {config.n_head} heads, {config.n_embd} columns,
{config.n_ctx} positions, {config.vocab_size:,} tokens. `GPT2.from_pretrained("course")` and
`load_tokenizer("course")` load it.

| how it was made | |
|---|---|
{made_rows}

On {corpus.HELDOUT_STORIES} held-out stories: **{measured.loss:.3f} nats per token**
({measured.bits_per_byte:.3f} bits per byte; by guessing it would be ln {config.vocab_size:,} =
{guessing:.2f} nats). The next token is among the ten likeliest at {measured.top_10:.1%} of places.

Probes: the likeliest next word is a right one. {PROBES} of each kind; no sentence that they ask
stands in the training text.

| kind | for example | right |
|---|---|---|
{probe_rows}

Head {head} of layer {layer} (both counted from 0) puts on average {measured.it_weight:.0%} of its
weight from *it* on the noun that it stands for. In {SAMPLES} texts of its own
(temperature {SAMPLING["temperature"]}, top-k {SAMPLING["top_k"]}) there are
{len(measured.unknown_words)} words that the training text lacks.

What it cannot do: anything outside these stories. It knows a thousand words, no facts and no
other language; text of another kind is taken apart into small pieces and continued as a story.
It reads {config.n_ctx} tokens, about {config.n_ctx * 3 // 4} words, and forgets what stood before.
Its stories hold together from sentence to sentence, and not from beginning to end.
"""


def main(folder: str | os.PathLike[str]) -> None:
    """Measure the model that `train` has left in a folder, and write its card there."""
    folder = Path(folder)
    made, history = made_with(folder / CHECKPOINT), History.load(folder / HISTORY)
    model, tokenizer = GPT2.from_pretrained(folder), load_tokenizer(folder)
    texts = corpus.training_documents(), corpus.heldout_documents()
    made_so = made_by(made, TextData.from_split(*texts, tokenizer), history)
    write_card(folder, model, measure(model, tokenizer), made_so)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m gpt2course.tools.model_card FOLDER")
    main(sys.argv[1])
