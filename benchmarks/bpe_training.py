"""BPE training: counts kept up to date, against a recount after every merge.

    python benchmarks/bpe_training.py

180 kB of a made-up language whose words are as unequal in frequency as those of a real one
(Zipf's law), 256 merges. Processor time, so that other work on the machine counts for less.
"""

import random
import statistics
import time
from collections.abc import Callable
from itertools import pairwise

from gpt2course.tokenizer import merge_pair, split_text, train_merges

N_BYTES = 180_000
N_MERGES = 256
RUNS = 5  # of ours; its median counts


def recount_merges(chunks: list[bytes], n_merges: int) -> list[tuple[int, int]]:
    """The plain algorithm: count everything, merge everywhere, repeat."""
    words = [list(chunk) for chunk in chunks]
    merges: list[tuple[int, int]] = []
    while len(merges) < n_merges:
        counts: dict[tuple[int, int], int] = {}
        for word in words:
            for pair in pairwise(word):
                counts[pair] = counts.get(pair, 0) + 1
        if not counts:
            break
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        words = [merge_pair(word, best, 256 + len(merges)) for word in words]
        merges.append(best)
    return merges


def made_up_text(n_bytes: int) -> str:
    rng = random.Random(0)
    syllables = [
        c + v for c in "b d f g h k l m n p r s t v z".split() for v in "a e i o u".split()
    ]
    words = ["".join(rng.choices(syllables, k=rng.randint(1, 4))) for _ in range(12_000)]
    weights = [1 / rank for rank in range(3, 3 + len(words))]
    return " ".join(rng.choices(words, weights, k=n_bytes))[:n_bytes]


def timed(train: Callable, chunks: list[bytes]) -> tuple[list[tuple[int, int]], float]:
    start = time.process_time()
    merges = train(chunks, N_MERGES)
    return merges, time.process_time() - start


def main() -> None:
    chunks = split_text(made_up_text(N_BYTES))
    expected, naive = timed(recount_merges, chunks)
    runs = [timed(train_merges, chunks) for _ in range(RUNS)]
    ours = statistics.median(seconds for _, seconds in runs)
    print(f"{N_BYTES:,} bytes, {len(chunks):,} chunks ({len(set(chunks)):,} different)")
    print(f"ours             {ours:8.3f} s, {N_MERGES} merges, median of {RUNS}")
    print(f"recount          {naive:8.3f} s")
    print(f"ratio            {naive / ours:8.1f} (at least 20 is wanted)")
    print(f"identical merges {'yes' if all(merges == expected for merges, _ in runs) else 'NO':>8}")


if __name__ == "__main__":
    main()
