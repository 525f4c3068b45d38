"""The text that the course model learns from: small stories, made by seeded dice.

The words are in `lexicon`, the sentences in which one word hangs on another in `sentences`, and
how they become stories in `stories`; `referents` has questions, a task of its own. Standard library
only; the same seed gives the same text.
"""

from gpt2course.corpus.referents import FAMILIAR, NEW, Question, questions
from gpt2course.corpus.sentences import KINDS, Probe
from gpt2course.corpus.stories import (
    HELDOUT_STORIES,
    TRAINING_STORIES,
    documents,
    heldout_documents,
    probes,
    training_documents,
)

__all__ = [
    "FAMILIAR",
    "HELDOUT_STORIES",
    "KINDS",
    "NEW",
    "TRAINING_STORIES",
    "Probe",
    "Question",
    "documents",
    "heldout_documents",
    "probes",
    "questions",
    "training_documents",
]
