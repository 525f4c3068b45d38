"""A learner who works through the lessons in real kernels, and one who restarts hers."""

import inspect
import re
import textwrap
from pathlib import Path

import nbformat
import pytest
import torch
from nbclient import NotebookClient
from torch.testing import assert_close

from gpt2course.checks import engine
from gpt2course.config import GPT2Config
from gpt2course.learner import workbook
from gpt2course.model import GPT2

LESSONS = sorted((Path(__file__).resolve().parents[2] / "lessons").glob("*.ipynb"))

# Right answers of a learner's own: other ways than the package's.
ANSWERS = {
    "shift_targets": """
        def shift_targets(ids):
            pairs = list(zip(ids, ids[1:]))
            return [a for a, b in pairs], [b for a, b in pairs]
        """,
    "count_bigrams": """
        def count_bigrams(idx, vocab_size):
            counts = torch.zeros(vocab_size, vocab_size)
            for i in range(1, len(idx)):
                counts[idx[i - 1], idx[i]] += 1
            return counts
        """,
    "perplexity": """
        def perplexity(nll):
            return float(torch.exp(nll.sum() / len(nll)))
        """,
    "count_pairs": """
        def count_pairs(ids):
            counts = {}
            for i in range(1, len(ids)):
                pair = ids[i - 1], ids[i]
                if pair not in counts:
                    counts[pair] = 0
                counts[pair] = counts[pair] + 1
            return counts
        """,
    "merge_pair": """
        def merge_pair(ids, pair, new_id):
            merged, rest = [], list(ids)
            while rest:
                if tuple(rest[:2]) == tuple(pair):
                    merged.append(new_id)
                    rest = rest[2:]
                else:
                    merged.append(rest.pop(0))
            return merged
        """,
    "train_merges": """
        def train_merges(chunks, n_merges):
            texts, merges = [list(chunk) for chunk in chunks], []
            while len(merges) < n_merges:
                total = {}
                for ids in texts:
                    for pair, n in count_pairs(ids).items():
                        total[pair] = total.get(pair, 0) + n
                if not total:
                    break
                best = sorted(total, key=lambda pair: (-total[pair], pair))[0]
                texts = [merge_pair(ids, best, 256 + len(merges)) for ids in texts]
                merges.append(best)
            return merges
        """,
    "encode_chunk": """
        def encode_chunk(chunk, merges):
            ids = list(chunk)
            ranks = {pair: rank for rank, pair in enumerate(merges)}
            while True:
                known = [ranks[p] for p in zip(ids, ids[1:]) if p in ranks]
                if not known:
                    return ids
                rank = min(known)
                ids = merge_pair(ids, merges[rank], 256 + rank)
        """,
    "decode_ids": """
        def decode_ids(ids, merges):
            pieces = [bytes([i]) for i in range(256)]
            for left, right in merges:
                pieces.append(pieces[left] + pieces[right])
            return b"".join(pieces[i] for i in ids).decode("utf-8", "replace")
        """,
    "embed_tokens": """
        def embed_tokens(idx, wte):
            return torch.stack([wte.index_select(0, row) for row in idx])
        """,
    "nearest_tokens": """
        def nearest_tokens(token_id, wte, k):
            cosine = torch.cosine_similarity(wte, wte[token_id][None], dim=-1)
            order = cosine.argsort(descending=True).tolist()
            return [i for i in order if i != token_id][:k]
        """,
    "embed": """
        def embed(idx, wte, wpe, start=0):
            positions = torch.arange(start, start + idx.shape[1])
            return wte[idx] + wpe[positions]
        """,
    "sinusoidal_positions": """
        def sinusoidal_positions(n_ctx, n_embd):
            table = torch.zeros(n_ctx, n_embd)
            for column in range(0, n_embd, 2):
                angle = torch.arange(n_ctx).double() / 10_000 ** (column / n_embd)
                table[:, column] = torch.sin(angle)
                table[:, column + 1] = torch.cos(angle)
            return table
        """,
    "attention_scores": """
        def attention_scores(q, k):
            return torch.einsum("...th,...sh->...ts", q, k) * q.shape[-1] ** -0.5
        """,
    "attention_weights": """
        def attention_weights(scores):
            raised = torch.exp(scores - scores.amax(dim=-1, keepdim=True))
            return raised / raised.sum(dim=-1, keepdim=True)
        """,
    "blend_values": """
        def blend_values(weights, v):
            return torch.matmul(weights, v)
        """,
    "causal_mask": """
        def causal_mask(n_query, n_key):
            query = torch.arange(n_query) + n_key - n_query
            return torch.arange(n_key) <= query[:, None]
        """,
    "masked_attention": """
        def masked_attention(q, k, v):
            hidden = ~causal_mask(q.shape[-2], k.shape[-2])
            scores = attention_scores(q, k) + torch.zeros(hidden.shape).masked_fill(hidden, -1e9)
            return blend_values(attention_weights(scores.to(q.dtype)), v)
        """,
    "split_heads": """
        def split_heads(x, n_head):
            return torch.stack(x.chunk(n_head, dim=-1), dim=1)
        """,
    "merge_heads": """
        def merge_heads(x):
            return torch.cat(list(x.unbind(dim=1)), dim=-1)
        """,
    "CausalSelfAttention": """
        class CausalSelfAttention(nn.Module):
            def __init__(self, n_embd, n_head):
                super().__init__()
                self.heads = n_head
                self.c_attn = nn.Linear(n_embd, n_embd * 3)
                self.c_proj = nn.Linear(n_embd, n_embd)

            def forward(self, x):
                qkv = self.c_attn(x).split(x.shape[-1], dim=-1)
                q, k, v = [split_heads(part, self.heads) for part in qkv]
                return self.c_proj(merge_heads(masked_attention(q, k, v)))
        """,
    "gelu": """
        def gelu(x):
            inner = (2 / torch.pi) ** 0.5 * (x + 0.044715 * x * x * x)
            return x * torch.sigmoid(2 * inner)
        """,
    "MLP": """
        class MLP(nn.Module):
            def __init__(self, n_embd):
                super().__init__()
                self.c_fc = nn.Linear(n_embd, n_embd * 4)
                self.c_proj = nn.Linear(n_embd * 4, n_embd)

            def forward(self, x):
                hidden = gelu(self.c_fc(x))
                return self.c_proj(hidden)
        """,
    "layer_norm": """
        def layer_norm(x, weight, bias, eps=1e-5):
            centred = x - x.mean(-1, keepdim=True)
            variance = (centred * centred).mean(-1, keepdim=True)
            return centred * (variance + eps) ** -0.5 * weight + bias
        """,
    "Block": """
        class Block(nn.Module):
            def __init__(self, n_embd, n_head):
                super().__init__()
                self.ln_1 = nn.LayerNorm(n_embd)
                self.attn = CausalSelfAttention(n_embd, n_head)
                self.ln_2 = nn.LayerNorm(n_embd)
                self.mlp = MLP(n_embd)

            def forward(self, x):
                after = x + self.attn(self.ln_1(x))
                return after + self.mlp(self.ln_2(after))
        """,
    "output_logits": """
        def output_logits(x, wte):
            return torch.einsum("btc,vc->btv", x, wte)
        """,
    "count_parameters": """
        def count_parameters(config):
            C, V = config.n_embd, config.vocab_size
            block = 12 * C * C + 13 * C
            return V * C + config.n_ctx * C + config.n_layer * block + 2 * C
        """,
    "GPT2": """
        class GPT2(nn.Module):
            def __init__(self, config):
                super().__init__()
                self.config = config
                self.wte = nn.Embedding(config.vocab_size, config.n_embd)
                self.wpe = nn.Embedding(config.n_ctx, config.n_embd)
                blocks = [Block(config.n_embd, config.n_head) for _ in range(config.n_layer)]
                self.h = nn.Sequential(*blocks)
                self.ln_f = nn.LayerNorm(config.n_embd)
                nn.init.normal_(self.wte.weight, std=0.02)
                nn.init.normal_(self.wpe.weight, std=0.02)

            def forward(self, idx):
                if idx.shape[1] > self.config.n_ctx:
                    raise ValueError(f"{idx.shape[1]} tokens, but n_ctx is {self.config.n_ctx}")
                x = embed(idx, self.wte.weight, self.wpe.weight)
                return output_logits(self.ln_f(self.h(x)), self.wte.weight)
        """,
    "apply_temperature": """
        def apply_temperature(logits, temperature):
            return torch.div(logits, temperature)
        """,
    "keep_top_k": """
        def keep_top_k(logits, k):
            k = min(k, logits.shape[-1])
            values, places = torch.topk(logits, k)
            kept = torch.full_like(logits, float("-inf"))
            return kept.scatter(-1, places, values)
        """,
    "keep_top_p": """
        def keep_top_p(logits, p):
            kept = torch.full_like(logits, float("-inf"))
            for row, scores in enumerate(logits):
                probs, order = scores.softmax(-1).sort(descending=True)
                held = 0.0
                for prob, token in zip(probs.tolist(), order.tolist()):
                    kept[row, token] = scores[token]
                    held += prob
                    if held >= p:
                        break
            return kept
        """,
    "sample_next": """
        def sample_next(logits, temperature, top_k, generator):
            if temperature == 0:
                return logits.argmax(-1)[:, None]
            logits = apply_temperature(logits, temperature)
            if top_k is not None:
                logits = keep_top_k(logits, top_k)
            probs = torch.softmax(logits, dim=-1)
            return torch.multinomial(probs, 1, generator=generator)
        """,
    "generate": """
        def generate(model, idx, max_new_tokens, temperature, top_k, generator):
            for _ in range(max_new_tokens):
                logits = model(idx[:, -model.config.n_ctx :])[:, -1]
                new = sample_next(logits, temperature, top_k, generator)
                idx = torch.cat((idx, new), dim=1)
            return idx
        """,
    "append_to_cache": """
        def append_to_cache(past, k, v):
            if past is not None:
                k = torch.cat([past[0], k], dim=2)
                v = torch.cat([past[1], v], dim=2)
            return (k, v)
        """,
    "cached_attention": """
        def cached_attention(q, k, v, past):
            past = append_to_cache(past, k, v)
            return masked_attention(q, *past), past
        """,
    "next_token_batch": """
        def next_token_batch(ids, batch_size, n_ctx, generator):
            windows = ids.unfold(0, n_ctx + 1, 1)
            rows = windows[torch.randint(len(windows), (batch_size,), generator=generator)]
            return rows[:, :n_ctx], rows[:, 1:]
        """,
    "next_token_loss": """
        def next_token_loss(logits, targets):
            scores = logits.gather(-1, targets[..., None]).squeeze(-1)
            return (logits.logsumexp(dim=-1) - scores).mean()
        """,
    "learning_rate": """
        def learning_rate(step, max_lr, min_lr, warmup_steps, max_steps):
            if step < warmup_steps:
                return (step + 1) / warmup_steps * max_lr
            left = max(max_steps - step, 0) / (max_steps - warmup_steps)
            return min_lr + (max_lr - min_lr) * math.sin(math.pi / 2 * left) ** 2
        """,
    "load_released": """
        def load_released(state, model):
            left = {name.removeprefix("transformer."): tensor for name, tensor in state.items()}
            masks = (["attn", "bias"], ["attn", "masked_bias"])
            left = {name: t for name, t in left.items() if name.split(".")[-2:] not in masks}
            head = left.get("lm_head.weight")
            if head is not None and torch.equal(head, left.get("wte.weight", torch.zeros(0))):
                left.pop("lm_head.weight")
            pairs = []
            for name, parameter in model.named_parameters():
                if name not in left:
                    raise ValueError(name + " is missing")
                tensor, turned = left.pop(name), name.startswith("h.") and parameter.ndim == 2
                if tensor.shape != (parameter.shape[::-1] if turned else parameter.shape):
                    raise ValueError(name + " has another shape")
                pairs.append((parameter, tensor.t() if turned else tensor))
            for name in left:
                raise ValueError(name + " is extra")
            for parameter, tensor in pairs:
                parameter.data.copy_(tensor)
            return model
        """,
    "previous_token_score": """
        def previous_token_score(weights):
            T = weights.shape[-1]
            total = 0
            for i in range(1, T):
                total = total + weights[:, :, i, i - 1]
            return total / (T - 1)
        """,
    "mean_attention": """
        def mean_attention(weights, queries, keys):
            total = 0
            for s in range(len(weights)):
                for key in keys[s]:
                    total = total + weights[s][:, :, queries[s], key]
            return total / len(weights)
        """,
    "logit_lens": """
        def logit_lens(stream, weight, bias, wte):
            stages = [layer_norm(x, weight, bias) @ wte.T for x in stream]
            return torch.stack(stages)
        """,
    "join_pair": """
        def join_pair(source, target, separator, end):
            ids = list(source)
            ids.append(separator)
            ids.extend(target)
            ids.append(end)
            return ids, [i > len(source) for i in range(len(ids))]
        """,
    "pad_rows": """
        def pad_rows(rows, pad_id):
            T = max(len(row) for row in rows)
            idx = torch.full((len(rows), T), pad_id)
            real = torch.zeros(len(rows), T, dtype=torch.bool)
            for b, row in enumerate(rows):
                for t, token_id in enumerate(row):
                    idx[b, t] = token_id
                    real[b, t] = True
            return idx, real
        """,
    "target_loss": """
        def target_loss(logits, idx, asked):
            wanted = asked[:, 1:]
            if not wanted.any():
                return logits.sum() * 0
            log_probs = logits[:, :-1][wanted].log_softmax(-1)
            return -log_probs.gather(-1, idx[:, 1:][wanted][:, None]).mean()
        """,
    "beam_search": """
        def beam_search(model, prompt, width, max_new_tokens, end):
            beams = [([], 0.0)]
            for _ in range(max_new_tokens):
                grown = []
                for ids, score in beams:
                    if ids and ids[-1] == end:
                        grown.append((ids, score))
                        continue
                    row = model(torch.tensor([prompt + ids]))[0, -1].log_softmax(-1)
                    for token_id, log_prob in enumerate(row.tolist()):
                        grown.append((ids + [token_id], score + log_prob))
                grown.sort(key=lambda beam: -beam[1])
                beams = grown[:width]
            return beams[0][0]
        """,
}


def work_through(path: Path, answers: dict[str, str]) -> nbformat.NotebookNode:
    """Run a lesson in a fresh kernel with these answers in its exercise cells."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id", "").removeprefix("exercise-")
        if name in answers:
            cell.source = textwrap.dedent(answers[name]).strip()
    run(path, notebook, len(notebook.cells))
    return notebook


def run(path: Path, notebook: nbformat.NotebookNode, cells: int) -> None:
    """Run the first cells of a lesson, in its folder."""
    folder = {"metadata": {"path": str(path.parent)}}
    client = NotebookClient(notebook, timeout=120, resources=folder, shutdown_kernel="immediate")
    with client.setup_kernel():
        for index, cell in enumerate(notebook.cells[:cells]):
            client.execute_cell(cell, index)


def shown(notebook: nbformat.NotebookNode, text: str) -> int:
    """How many cells show the text."""
    return sum(text in str(cell.get("outputs", "")) for cell in notebook.cells)


def exercises_of(path: Path) -> list[str]:
    return engine.names(path.stem)


def test_a_learner_with_answers_of_her_own_carries_them_all_to_the_end(workbook_folder):
    for path in LESSONS:
        notebook = work_through(path, ANSWERS)
        assert shown(notebook, ": passed") == len(exercises_of(path)), path.stem
    built = [name for path in LESSONS for name in exercises_of(path)]
    assert workbook.kept_names() == built == list(ANSWERS)
    for name in built:
        own = workbook.load(name, pytest.fail)
        assert own is not engine.find(name).reference
        assert engine.run(name, own).passed
    the_model_is_made_of_her_parts_alone(workbook_folder)


def the_model_is_made_of_her_parts_alone(folder):
    """Her GPT2 reaches, part by part, what she wrote; and its logits are the reference's."""
    own = {name: workbook.load(name, pytest.fail) for name in ANSWERS}
    inside, waiting = set(), ["GPT2"]
    while waiting:
        name = waiting.pop()
        inside.add(name)
        imported = re.findall(r"^(?:from|import) .*", (folder / f"{name}.py").read_text(), re.M)
        for line in imported:
            package, _, part = line.removeprefix("from ").partition(" import ")
            if package == "gpt2course.mine":
                assert inspect.getmodule(own[name]).__dict__[part] is own[part]
                waiting.append(part)
            else:
                assert "gpt2course" not in line, line  # torch and Python, and nothing of ours
    assert inside == {
        "GPT2", "embed", "Block", "CausalSelfAttention", "split_heads", "merge_heads",
        "masked_attention", "causal_mask", "attention_scores", "attention_weights", "blend_values",
        "MLP", "gelu", "output_logits",
    }  # fmt: skip
    config = GPT2Config(n_layer=3, n_head=2, n_embd=16, n_ctx=9, vocab_size=31)
    torch.manual_seed(0)
    theirs, hers = GPT2(config), own["GPT2"](config)
    hers.load_state_dict(theirs.state_dict())
    idx = torch.randint(31, (2, 9))
    assert_close(hers(idx), theirs(idx))


def test_a_kernel_restarted_half_way_goes_on_from_the_top():
    path = next(path for path in LESSONS if path.stem == "06_masking")
    run(path, nbformat.read(path, as_version=4), 30)
    work_through(path, {})
