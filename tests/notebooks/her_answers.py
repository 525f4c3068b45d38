"""The answers of a learner, put into lessons and kept in workbooks."""

from __future__ import annotations

import atexit
import functools
import inspect
import linecache
import os
import shutil
import tempfile
import textwrap
from pathlib import Path
from unittest import mock

import nbformat

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
    "hide_tokens": """
        def hide_tokens(idx, mask_id, vocab_size, share, generator):
            u = torch.rand(idx.shape, generator=generator)
            other = torch.randint(vocab_size, idx.shape, generator=generator)
            read = torch.where(u < 0.9 * share, other, idx).masked_fill(u < 0.8 * share, mask_id)
            return read, idx.masked_fill(u >= share, -100)
        """,
    "hidden_token_loss": """
        def hidden_token_loss(logits, targets):
            asked = targets != -100
            log_probs = logits.log_softmax(dim=-1)
            right = log_probs.gather(-1, targets.clamp(min=0)[..., None])[..., 0]
            return -(right * asked).sum() / max(int(asked.sum()), 1)
        """,
    "SelfAttention": """
        class SelfAttention(nn.Module):
            def __init__(self, n_embd, n_head, causal):
                super().__init__()
                self.n_head = n_head
                self.causal = causal
                self.c_attn = nn.Linear(n_embd, 3 * n_embd)
                self.c_proj = nn.Linear(n_embd, n_embd)

            def forward(self, x, keep=None):
                B, T, C = x.shape
                may_read = torch.ones(B, 1, T, T, dtype=torch.bool)
                if self.causal:
                    may_read = may_read.tril()
                if keep is not None:
                    may_read = may_read & keep[:, None, None, :]
                q, k, v = (split_heads(part, self.n_head) for part in self.c_attn(x).chunk(3, -1))
                y = F.scaled_dot_product_attention(q, k, v, attn_mask=may_read)
                return self.c_proj(merge_heads(y))
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
    "option_score": """
        def option_score(model, prompt, option):
            ids, total = list(prompt), 0.0
            for token_id in option:
                total += model(torch.tensor([ids]))[0, -1].log_softmax(dim=-1)[token_id].item()
                ids = ids + [token_id]
            return total
        """,
    "freeze": """
        def freeze(model, n_frozen):
            frozen = ["wte.", "wpe."] + [f"h.{i}." for i in range(n_frozen)]
            for name, parameter in model.named_parameters():
                parameter.requires_grad = not name.startswith(tuple(frozen))
            return model
        """,
    "LowRank": """
        class LowRank(nn.Module):
            def __init__(self, linear, rank, scale):
                super().__init__()
                self.layer, self.scale = linear, scale
                for parameter in linear.parameters():
                    parameter.requires_grad = False
                W = linear.weight
                like = {"dtype": W.dtype, "device": W.device}
                self.A = nn.Parameter(torch.randn(rank, W.shape[1], **like) / W.shape[1] ** 0.5)
                self.B = nn.Parameter(torch.zeros(W.shape[0], rank, **like))

            def forward(self, x):
                return self.layer(x) + F.linear(F.linear(x, self.A), self.B) * self.scale

            def merged(self):
                n_out, n_in = self.layer.weight.shape
                bias = self.layer.bias
                new = nn.Linear(n_in, n_out, bias is not None).to(self.layer.weight)
                new.weight.data = self.layer.weight.data + self.scale * (self.B @ self.A).data
                if bias is not None:
                    new.bias.data = bias.data.clone()
                return new
        """,
    "encode_notes": """
        def encode_notes(notes):
            ids, clock, said = [], 0, -1
            for time in sorted({n.start for n in notes} | {n.end for n in notes}):
                wait, clock = time - clock, time
                while wait > 0:
                    ids.append(255 + min(wait, 100))
                    wait -= 100
                ids += sorted(128 + n.pitch for n in notes if n.end == time)
                for n in sorted((n for n in notes if n.start == time), key=lambda n: n.pitch):
                    if n.velocity // 4 != said:
                        said = n.velocity // 4
                        ids.append(356 + said)
                    ids.append(n.pitch)
            return ids
        """,
    "decode_events": """
        def decode_events(ids):
            notes, on, time, velocity = [], {}, 0, 0
            for event in list(ids) + list(range(128, 256)):
                if event < 128:
                    on[event] = (time, velocity)
                elif event < 256:
                    if event - 128 in on:
                        start, loud = on.pop(event - 128)
                        notes.append(Note(start, time, event - 128, loud))
                elif event < 356:
                    time += event - 255
                else:
                    velocity = (event - 356) * 4 + 2
            notes.sort(key=lambda note: (note.start, note.pitch))
            return notes
        """,
    "relative_scores": """
        def relative_scores(q, table):
            T = q.shape[2]
            i, j = torch.arange(T).view(T, 1), torch.arange(T)
            column = (T - 1 - i + j).clamp(max=T - 1)
            products = torch.einsum("bhtc,mc->bhtm", q, table)
            return products.gather(3, column.expand_as(products)) * (j <= i)
        """,
    "local_attention": """
        def local_attention(q, k, v, block):
            B, nh, T, hs = q.shape
            cut = [x.reshape(B, nh, -1, block, hs) for x in (q, k, v)]
            return masked_attention(*cut).reshape(B, nh, T, hs)
        """,
    "compress_memory": """
        def compress_memory(x, weight, bias):
            total = bias
            for i in range(weight.shape[-1]):
                total = total + x[:, :, i :: weight.shape[-1]] @ weight[:, :, i].T
            return total
        """,
    "compressed_mask": """
        def compressed_mask(n_query, n_key, r):
            query = torch.arange(n_key - n_query, n_key)
            return torch.arange(r - 1, n_key, r) <= query[:, None]
        """,
    "compressed_attention": """
        def compressed_attention(q, k, v, r):
            T, S = q.shape[2], k.shape[2]
            hidden = ~compressed_mask(T, S * r, r)
            scores = attention_scores(q, k).masked_fill(hidden, -torch.inf)
            slot = torch.zeros_like(scores[..., :1])
            weights = attention_weights(torch.cat((slot, scores), dim=-1))
            return weights[..., 1:] @ v
        """,
    "read_safetensors": """
        import json

        KINDS = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16}
        KINDS |= {"BF16": torch.bfloat16, "I64": torch.int64}


        def read_safetensors(raw):
            size = sum(byte * 256**place for place, byte in enumerate(raw[:8]))
            said, body, found = json.loads(raw[8 : 8 + size]), raw[8 + size :], {}
            said.pop("__metadata__", None)
            for name, about in said.items():
                own = bytearray(body[slice(*about["data_offsets"])])
                flat = torch.frombuffer(own, dtype=torch.uint8).view(KINDS[about["dtype"]])
                found[name] = flat.reshape(about["shape"])
            return found
        """,
    "first_difference": """
        def first_difference(mine, reference, tolerance):
            for place in range(len(mine)):
                a, b = mine[place], reference[place]
                if a.shape != b.shape:
                    return place
                if (torch.abs(a - b) <= tolerance).sum() != a.numel():
                    return place
        """,
}


# What another learner gets wrong.
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
    "previous_token_score": "def previous_token_score(weights):\n    return weights.mean((-2, -1))",
    "read_safetensors": "def read_safetensors(raw):\n    return {}",
}


# Lessons that train for half a minute: with her answers they run once, in JupyterLab.
TRAIN = (
    "13_training", "16_bert_and_gpt", "17_translation_and_summarization", "18_transfer_learning",
    "19_music", "20_longer_memory",
)  # fmt: skip


def exercises_of(path: Path) -> list[str]:
    """The exercises of a lesson's notebook."""
    from gpt2course.checks import engine

    return engine.names(path.stem)


def answered(cell: nbformat.NotebookNode, answers: dict[str, str]) -> nbformat.NotebookNode:
    """A cell with the learner's answer in it, where it is an exercise that they answered."""
    name = cell.metadata.get("nbgrader", {}).get("grade_id", "").removeprefix("exercise-")
    if name not in answers:
        return cell
    return nbformat.NotebookNode(cell, source=textwrap.dedent(answers[name]).strip())


def kept_in(workbook: Path) -> list[str]:
    """The exercises of which a workbook holds an answer."""
    from gpt2course.checks import engine

    return [name for name in engine.names() if (workbook / f"{name}.py").exists()]


def bring_parts(workbook: Path, before: str) -> None:
    """Fill a workbook with what she built in the lessons before this one ("06_masking")."""
    from gpt2course.checks import engine

    workbook.mkdir(parents=True, exist_ok=True)
    for name in ANSWERS:
        if engine.find(name).lesson < before:
            shutil.copy2(her_workbook() / f"{name}.py", workbook)


@functools.cache
def her_workbook() -> Path:
    """A workbook with all of her answers, each kept as `check` keeps it."""
    from gpt2course.checks import engine
    from gpt2course.checks.exercise import NOTEBOOK
    from gpt2course.learner import workbook

    folder = Path(tempfile.mkdtemp(prefix="gpt2course-hers-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    own: dict = {}
    with mock.patch.dict(os.environ, GPT2COURSE_WORKBOOK=str(folder)):
        for name, answer in ANSWERS.items():
            text = textwrap.dedent(answer).strip()
            file = f"<cell of {name}>"
            linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
            module = vars(inspect.getmodule(inspect.unwrap(engine.find(name).reference)))
            cell = {**NOTEBOOK, **module, **own, "__name__": "__main__"}
            exec(compile(text, file, "exec", dont_inherit=True), cell)
            own[name] = cell[name]
            assert engine.run(name, own[name]).passed and workbook.keep(name, own[name]).path
    return folder
