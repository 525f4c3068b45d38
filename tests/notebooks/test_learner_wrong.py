"""A learner who gets a third of the answers wrong (apart from the other: a worker each)."""

from test_learner import ANSWERS, LESSONS, exercises_of, shown, work_through

from gpt2course import mine
from gpt2course.checks import engine
from gpt2course.learner import workbook

WRONG = {
    "perplexity": "def perplexity(nll):\n    return float(nll.mean())",
    "merge_pair": "def merge_pair(ids, pair, new_id):\n    return [new_id] * len(ids)",
    "encode_chunk": "def encode_chunk(chunk, merges):\n    return list(chunk)",
    "nearest_tokens": "def nearest_tokens(token_id, wte, k):\n    return list(range(k))",
    "attention_weights": "def attention_weights(scores):\n    return scores.softmax(0)",
    "masked_attention": "def masked_attention(q, k, v):\n    raise RuntimeError('what now?')",
    "split_heads": "def split_heads(x, n_head):\n    return x.view(len(x), n_head, x.shape[1], -1)",
    "gelu": "def gelu(x):\n    return x.clamp(min=0)",
    "layer_norm": "def layer_norm(x, weight, bias, eps=1e-5):\n    return x * weight + bias",
    "GPT2": "class GPT2(nn.Module):\n    def __init__(self, config):\n        pass",
    "keep_top_k": "def keep_top_k(logits, k):\n    return logits.topk(k).values",
    "generate": "def generate(model, idx, *rest):\n    return idx",
    "append_to_cache": "def append_to_cache(past, k, v):\n    return k, v",
    "next_token_loss": "def next_token_loss(logits, targets):\n    return logits.mean()",
    "previous_token_score": "def previous_token_score(weights):\n    return weights.mean((-2, -1))",
    "pad_rows": "def pad_rows(rows, pad_id):\n    return rows",
    "target_loss": "def target_loss(logits, idx, asked):\n    return logits.mean()",
}


def test_a_learner_who_gets_a_third_wrong_reaches_the_end_and_no_wrong_part_travels():
    answers = ANSWERS | WRONG
    for path in LESSONS:
        notebook = work_through(path, answers)
        wrong = [name for name in exercises_of(path) if name in WRONG]
        on_purpose = path.stem == "00_welcome"  # that lesson shows a card of a wrong answer itself
        assert shown(notebook, "Until yours passes") == len(wrong) + on_purpose, path.stem
    right = [name for name in ANSWERS if name not in WRONG]
    assert workbook.kept_names() == right
    assert len(WRONG) >= len(ANSWERS) / 3
    said = mine.summary()
    assert said.startswith(f"{len(right)} of {len(engine.names())} parts are yours")
    _, yours, ours = said.split("; ")
    assert yours.removeprefix("yours: ").split(", ") == right
    assert set(WRONG) <= set(ours.removeprefix("the package's: ").split(", "))
