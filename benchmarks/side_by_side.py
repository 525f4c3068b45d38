"""The package beside its peers, as ratios of one run: `python benchmarks/side_by_side.py`.

Ours and the peer's take turns, so that whatever else the machine does meets both; a ratio is the
median over the turns. Weights are random and the same in both. Some minutes on two cores; `--only
decode` runs the rows whose name holds that word.
"""

from __future__ import annotations

import argparse
import contextlib
import platform
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
import transformers
from bpe_training import N_MERGES, made_up_text, recount_merges
from torch.nn import functional as F
from tqdm import tqdm

from gpt2course import linear
from gpt2course.config import COURSE, GPT2Config
from gpt2course.kv_cache import KVCache
from gpt2course.model import GPT2
from gpt2course.sampling import generate
from gpt2course.tokenizer import split_text, train_merges
from gpt2course.weights import load_released

SMALLEST = GPT2Config()
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
Work = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """One line of the table; ratio is peer ÷ ours, above 1 where ours is quicker or smaller.

    A row that only tells what is possible wants 0.
    """

    what: str
    ours: str
    peer: str
    ratio: float
    wanted: float

    @property
    def is_short(self) -> bool:
        return self.ratio < self.wanted

    def as_markdown(self) -> str:
        verdict = " (short)" if self.is_short else ""
        wanted = f"{self.wanted:.2g}{verdict}"
        return f"| {self.what} | {self.ours} | {self.peer} | {self.ratio:.2f} | {wanted} |"


def seconds(work: Work) -> float:
    start = time.perf_counter()
    work()
    if DEVICE == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def take_turns(*works: Work, turns: int) -> list[list[float]]:
    """Seconds of each piece of work, turn by turn, after a first turn that does not count."""
    for work in works:
        work()
    return [
        list(times)
        for times in zip(*([seconds(w) for w in works] for _ in range(turns)), strict=True)
    ]


def median_ratio(ours: list[float], peer: list[float]) -> float:
    return statistics.median(p / o for o, p in zip(ours, peer, strict=True))


def ms(times: list[float], per: int = 1) -> str:
    value = 1e3 * statistics.median(times) / per
    return f"{value:.2f} ms" if value < 10 else f"{value:.0f} ms"


@cache
def peer_of(config: GPT2Config) -> transformers.GPT2LMHeadModel:
    torch.manual_seed(0)
    sizes = transformers.GPT2Config(
        n_layer=config.n_layer,
        n_head=config.n_head,
        n_embd=config.n_embd,
        n_positions=config.n_ctx,
        vocab_size=config.vocab_size,
        bos_token_id=None,
        eos_token_id=None,
        resid_pdrop=0.0,  # training is compared without dropout, which ours has not
        embd_pdrop=0.0,
        attn_pdrop=0.0,
    )
    return transformers.GPT2LMHeadModel(sizes).to(DEVICE).eval()


@cache
def ours_of(config: GPT2Config, dtype: torch.dtype = torch.float32) -> GPT2:
    model = GPT2(config).to(DEVICE)
    return load_released(peer_of(config).state_dict(), model).to(dtype).eval()


def random_idx(config: GPT2Config, B: int, T: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(config.vocab_size, (B, T), generator=generator).to(DEVICE)


def peer_writes(config: GPT2Config, idx: torch.Tensor, n: int) -> Work:
    peer, mask = peer_of(config), torch.ones_like(idx)
    settings = {"max_new_tokens": n, "do_sample": False, "pad_token_id": 0}
    return lambda: peer.generate(idx, attention_mask=mask, **settings)


def ours_writes(model: GPT2, idx: torch.Tensor, n: int) -> Work:
    return lambda: generate(model, idx, n, temperature=0)


# The rows of the table, in its order -----------------------------------------------------------


def decode_124m() -> Iterator[Row]:
    """One token at a time, against transformers and against the memory of the machine."""
    n, idx = 24, random_idx(SMALLEST, 1, 16)
    model, half = ours_of(SMALLEST), ours_of(SMALLEST, torch.bfloat16)
    memory = torch.ones(250_000_000, device=DEVICE)  # 1 GB
    ours, bf16, peer, read = take_turns(
        ours_writes(model, idx, n),
        ours_writes(half, idx, n),
        peer_writes(SMALLEST, idx, n),
        lambda: memory.sum(),
        turns=9,
    )
    per_token = f"{ms(peer, n)} a token"
    what = "decode 124M, {}, against transformers float32"
    yield Row(what.format("float32"), ms(ours, n), per_token, median_ratio(ours, peer), 1.1)
    yield Row(what.format("bfloat16"), ms(bf16, n), per_token, median_ratio(bf16, peer), 1.8)
    n_bytes = 4 * (sum(p.numel() for p in model.parameters()) - model.wpe.weight.numel())
    floor = [t * n_bytes / memory.nbytes for t in read]  # seconds to read the weights once
    share = statistics.median(f / (o / n) for f, o in zip(floor, ours, strict=True))
    speed = memory.nbytes / 1e9 / statistics.median(read)
    what = "decode 124M, float32, against reading its weights once"
    yield Row(what, ms(ours, n), f"{ms(floor)} at {speed:.0f} GB/s", share, 0.9)


def decode_forced() -> Iterator[Row]:
    """Each way of `linear` by force: the chosen one loses to none."""
    n, idx, model = 24, random_idx(SMALLEST, 1, 16), ours_of(SMALLEST)
    chosen = linear.quickest(1, torch.get_num_threads())
    write = ours_writes(model, idx, n)

    def forced(way: str) -> Work:
        def work() -> None:
            measured, linear.quickest = linear.quickest, lambda n_rows, n_threads: way
            write()
            linear.quickest = measured

        return work

    ways = [way for way in linear.WAYS if way != chosen]
    ours, *others = take_turns(write, *map(forced, ways), turns=7)
    for way, other in zip(ways, others, strict=True):
        what = f"decode 124M, float32, {chosen} (chosen here) against {way}"
        yield Row(what, ms(ours, n), f"{ms(other, n)} a token", median_ratio(ours, other), 0.97)


def decode_course() -> Iterator[Row]:
    n, idx, model = 100, random_idx(COURSE, 1, 16), ours_of(COURSE)
    works = ours_writes(model, idx, n), peer_writes(COURSE, idx, n), bare_calls(model, n)
    ours, peer, bare = take_turns(*works, turns=15)
    row = ms(ours, n), f"{ms(peer, n)} a token", median_ratio(ours, peer)
    yield Row("decode, course size (1.1M)", *row, 4.0)
    row = ms(bare, n), f"{ms(peer, n)} a token", median_ratio(bare, peer)
    yield Row("the same calls of torch alone, in one function: what is within reach", *row, 0)


def bare_calls(model: GPT2, n: int) -> Work:
    """The calls of torch that one token takes, n times, without modules, checks or sampling."""
    C, nh = model.config.n_embd, model.config.n_head
    cache, idx = KVCache(model.config, device=DEVICE), random_idx(model.config, 1, 1)
    position = slice(40, 41)

    def norm(x: torch.Tensor, ln: torch.nn.Module) -> torch.Tensor:
        return F.layer_norm(x, (C,), ln.weight, ln.bias)

    layers = [
        (b.ln_1, b.ln_2, past.keys, past.values)
        + tuple(
            (p.weight, p.bias) for p in (b.attn.c_attn, b.attn.c_proj, b.mlp.c_fc, b.mlp.c_proj)
        )
        for b, past in zip(model.h, cache.layers, strict=True)
    ]

    @torch.inference_mode()
    @linear.one_torch_thread()
    def work() -> None:
        for _ in range(n):
            x = F.embedding(idx, model.wte.weight) + model.wpe.weight[position]
            for ln_1, ln_2, keys, values, c_attn, attn_proj, c_fc, mlp_proj in layers:
                qkv = F.linear(norm(x, ln_1), *c_attn).view(1, 1, 3, nh, C // nh)
                q, keys[:, :, position], values[:, :, position] = qkv.permute(2, 0, 3, 1, 4)
                y = F.scaled_dot_product_attention(q, keys[:, :, :41], values[:, :, :41])
                x = x + F.linear(y.reshape(1, 1, C), *attn_proj)
                x = x + F.linear(
                    F.gelu(F.linear(norm(x, ln_2), *c_fc), approximate="tanh"), *mlp_proj
                )
            F.linear(norm(x, model.ln_f), model.wte.weight).argmax(-1)

    return work


@torch.no_grad()
def decode_position() -> Iterator[Row]:
    """One token on top of 10 and of 1000; the ratio is the far one to the near one."""
    model, idx = ours_of(SMALLEST), random_idx(SMALLEST, 1, 1000)
    cache = KVCache(SMALLEST, device=DEVICE)
    model.next_logits(idx, cache)

    def at(position: int) -> Work:
        def read_ten() -> None:
            for i in range(10):
                cache.length = position + i
                model.next_logits(idx[:, :1], cache)

        return read_ten

    near, far = take_turns(at(10), at(1000), turns=15)
    ratio = median_ratio(far, near)
    what = "decode 124M: position 10 ÷ position 1000 (at most 1.5 times the time)"
    yield Row(what, ms(far, 10), f"{ms(near, 10)} at 10", ratio, 1 / 1.5)


def prompt_512() -> Iterator[Row]:
    idx = random_idx(SMALLEST, 1, 512)
    works = ours_writes(ours_of(SMALLEST), idx, 1), peer_writes(SMALLEST, idx, 1)
    ours, peer = take_turns(*works, turns=7)
    row = ms(ours), ms(peer), median_ratio(ours, peer)
    yield Row("prompt of 512 to the first token, 124M", *row, 1.0)


def training_work(config: GPT2Config, B: int, T: int, whose: str) -> Work:
    """One step: loss, gradients, AdamW."""
    model = GPT2(config).to(DEVICE) if whose == "ours" else peer_of(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    idx = random_idx(config, B, T + 1)

    def step() -> None:
        if whose == "ours":
            loss = F.cross_entropy(model(idx[:, :-1]).flatten(0, 1), idx[:, 1:].flatten())
        else:
            loss = model(idx[:, :-1], labels=idx[:, :-1]).loss  # shifts within
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step


def training() -> Iterator[Row]:
    for name, config, B, T, turns, wanted in (
        ("course size", COURSE, 16, 127, 15, 1.1),
        ("124M", SMALLEST, 2, 256, 4, 1.1),
    ):
        works = (training_work(config, B, T, whose) for whose in ("ours", "peer"))
        ours, peer = take_turns(*works, turns=turns)
        row = ms(ours), ms(peer), median_ratio(ours, peer)
        yield Row(f"training step, {name}, {B} × {T} tokens", *row, wanted)


def training_memory() -> Iterator[Row]:
    """Peak memory of a process that takes three steps, less that of one that takes none."""
    peaks = {whose: peak_of(whose) - peak_of(f"{whose}-nothing") for whose in ("ours", "peer")}
    row = (f"{peaks[whose] / 2**20:.0f} MB" for whose in ("ours", "peer"))
    yield Row("memory of training, 124M, 2 × 256 tokens", *row, peaks["peer"] / peaks["ours"], 1.0)


def peak_of(whose: str) -> int:
    command = [sys.executable, __file__, "--peak", whose]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def print_peak(whose: str) -> None:
    whose, _, nothing = whose.partition("-")
    if not nothing:
        step = training_work(SMALLEST, 2, 256, whose)
        for _ in range(3):
            step()
    print(torch.cuda.max_memory_allocated() if DEVICE == "cuda" else peak_bytes())


def peak_bytes() -> int:
    """The most memory that this process held (getrusage may tell that of its parent)."""
    with contextlib.suppress(OSError):
        status = Path("/proc/self/status").read_text()
        return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def bpe() -> Iterator[Row]:
    chunks = split_text(made_up_text(180_000))
    found: dict[str, list] = {}

    def train(name: str, algorithm: Callable) -> Work:
        return lambda: found.update({name: algorithm(chunks, N_MERGES)})

    ours = [seconds(train("ours", train_merges)) for _ in range(5)]
    recount = seconds(train("recount", recount_merges))
    assert found["ours"] == found["recount"]
    ratio = recount / statistics.median(ours)
    yield Row(
        "BPE training, 180 kB, 256 merges, against a recount", ms(ours), ms([recount]), ratio, 20
    )


def importing() -> Iterator[Row]:
    """Seconds that the package adds to `import torch`; the ratio is to the 0.15 s allowed."""
    statements = {"alone": "import torch", "ours": "from gpt2course.model import GPT2"}
    times: dict[str, list[float]] = {name: [] for name in statements}
    for _ in range(6):
        for name, statement in statements.items():
            command = [sys.executable, "-c", f"import torch; {statement}"]
            times[name].append(seconds(lambda c=command: subprocess.run(c, check=True)))
    added = min(times["ours"]) - min(times["alone"])
    what = "import of gpt2course.model beyond torch's, against 0.15 s"
    yield Row(what, ms([max(added, 1e-3)]), "150 ms", 0.15 / max(added, 1e-3), 1.0)


ROWS = {
    row.__name__: row
    for row in (
        decode_124m,
        decode_forced,
        decode_course,
        decode_position,
        prompt_512,
        training,
        training_memory,
        bpe,
        importing,
    )
}


def machine() -> str:
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), name)
    gpu = f", {torch.cuda.get_device_name()}" if DEVICE == "cuda" else ""
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
    return f"{name}, {torch.get_num_threads()} threads{gpu}, {versions}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", metavar="WORD", help=f"of {', '.join(ROWS)}")
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peak:
        print_peak(args.peak)
        return 0
    transformers.logging.set_verbosity_error()
    start = time.perf_counter()
    print(f"{time.strftime('%Y-%m-%d')}, {machine()}\n")
    print("| what | ours | peer | ratio | at least |\n|---|---|---|---|---|")
    n_short = 0
    for name in tqdm([name for name in ROWS if args.only in name], leave=False, disable=None):
        for row in ROWS[name]():
            tqdm.write(row.as_markdown())
            n_short += row.is_short
    print(f"\n{time.perf_counter() - start:.0f} s in all; {n_short} rows short of what is wanted")
    return 1 if n_short else 0


if __name__ == "__main__":
    sys.exit(main())
