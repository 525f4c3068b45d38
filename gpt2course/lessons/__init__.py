"""One room a lesson: its contract, its known mistakes, its pictures, its things to play with.

    exercises.py   what is asked: reference, cases, properties
    mistakes.md    the known mistakes, each as an edit of a right answer
    figures.py, widgets.py; __init__.py hands its notebook what it shows, in one import line

The rooms stand in the order of the course; the place in LESSONS is the lesson's number.
"""

LESSONS = (
    "welcome",
    "language_models",
    "tokens",
    "embeddings",
    "positions",
    "self_attention",
    "masking",
    "multi_head",
    "mlp",
    "block",
    "output_projection",
    "sampling",
    "kv_cache",
    "training",
    "released_weights",
    "looking_inside",
    "bert_and_gpt",
    "translation_and_summarization",
    "transfer_learning",
    "music",
    "longer_memory",
    "your_gpt2",
)
