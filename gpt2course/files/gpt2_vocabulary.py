"""vocab.json and merges.txt: vocabularies as GPT-2 and transformers write them, and GPT-2's own.

In both files a byte stands as one character: itself where it prints, else one from U+0100 on. Here
a merge is a pair of ids as `tokenizer.encode_chunk` numbers them: 0 to 255 are the bytes, and the
merge of rank r makes 256 + r. vocab.json may number the tokens otherwise.

Source: openai/gpt-2, `encoder.py`, `bytes_to_unicode`.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from gpt2course.files.find import read_json
from gpt2course.files.whole import write_whole

END_OF_TEXT = "<|endoftext|>"
VOCAB, MERGES = "vocab.json", "merges.txt"

# In the order of their ids: GPT-2 puts the bytes that print first.
_GPT2_BYTES = sorted(range(256), key=lambda byte: byte == 32 or not chr(byte).isprintable())
_GPT2_BYTE_IDS = {byte: token_id for token_id, byte in enumerate(_GPT2_BYTES)}
_SPELLED = {byte: chr(byte if i < 188 else 68 + i) for i, byte in enumerate(_GPT2_BYTES)}

# The two files as tiktoken knows them: where they come from, and their SHA-256.
_GPT2_FILES = {
    "https://openaipublic.blob.core.windows.net/gpt-2/encodings/main/encoder.json": (
        "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783"
    ),
    "https://openaipublic.blob.core.windows.net/gpt-2/encodings/main/vocab.bpe": (
        "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5"
    ),
}
_SECONDS = 5.0  # how long a silent server is waited for


def read_vocabulary(vocab: Path, merges: Path) -> tuple[list[tuple[int, int]], dict[str, int]]:
    """The merges in order of rank, and every token's id, the token spelled as in the file.

    Raises:
        ValueError: a file is no such file, or they do not belong together.
    """
    pairs = _read_merges(merges)
    tokens = [*map(_SPELLED.__getitem__, range(256))]
    tokens += (tokens[left] + tokens[right] for left, right in pairs)
    ids = read_json(vocab)
    if set(map(type, ids.values())) - {int} or sorted(ids.values()) != list(range(len(ids))):
        raise ValueError(f"{vocab} must number its {len(ids)} tokens from 0 on, without a gap")
    missing = [token for token in [*tokens, END_OF_TEXT] if token not in ids]
    if missing:
        raise ValueError(
            f"{vocab} must have all bytes, what {merges.name} makes of them, and {END_OF_TEXT}, "
            f"but lacks {missing[0]!r}; encode with transformers' AutoTokenizer instead"
        )
    made = [ids[token] for token in tokens[256:]]
    if made != sorted(made):
        raise ValueError(f"{vocab} must number what {merges.name} makes in the order of the merges")
    return pairs, ids


def _read_merges(path: Path) -> list[tuple[int, int]]:
    ids = {char: byte for byte, char in _SPELLED.items()}
    pairs = []
    for line in path.read_bytes().decode("utf-8", errors="replace").split("\n"):
        if not line or line.startswith("#version"):
            continue
        left, _, right = line.partition(" ")
        if left not in ids or right not in ids:
            raise ValueError(
                f"{path} must join two tokens in each line that exist before it, got {line[:80]!r}"
            )
        pairs.append((ids[left], ids[right]))
        ids[left + right] = 255 + len(pairs)
    return pairs


def write_vocabulary(
    folder: Path,
    ids: dict[bytes, int],
    special: dict[str, int],
    merges: Sequence[tuple[bytes, bytes]],
) -> None:
    """Write both files, for transformers' AutoTokenizer too."""
    lines = ["#version: 0.2", *(f"{spell(left)} {spell(right)}" for left, right in merges)]
    numbers = {spell(token): token_id for token, token_id in ids.items()} | special
    write_whole(folder / MERGES, ("\n".join(lines) + "\n").encode())
    write_whole(folder / VOCAB, (json.dumps(numbers, ensure_ascii=False) + "\n").encode())


def spell(token: bytes) -> str:
    """One character for each byte.

    >>> spell(b" a")
    'Ġa'
    """
    return "".join(map(_SPELLED.__getitem__, token))


# GPT-2's own ------------------------------------------------------------------------------------


def to_gpt2_ids(ids: list[int]) -> list[int]:
    """The ids of `encode_chunk` with `gpt2_merges`, as GPT-2 numbers them.

    Only the 256 bytes differ; the merge of rank r makes id 256 + r in both.

    >>> to_gpt2_ids([33, 32, 256])      # "!" is GPT-2's first byte, the space its 221st
    [0, 220, 256]
    """
    return [_GPT2_BYTE_IDS.get(token_id, token_id) for token_id in ids]


def gpt2_merges() -> list[tuple[int, int]]:
    """GPT-2's 50,000 merges, for `encode_chunk`; errors: `gpt2_files`."""
    return _read_merges(gpt2_files()[1])


def gpt2_files() -> list[Path]:
    """GPT-2's vocab.json and merges.txt in tiktoken's cache, fetched where they are missing.

    Left alone, tiktoken deletes a damaged file and asks a server without any time limit.

    Raises:
        ConnectionError: a file is not on this machine, and the network does not give it.
        ValueError: a file in tiktoken's cache is damaged.
    """
    for url, sha256 in _GPT2_FILES.items():
        path = _cache_path(url)
        if not path.exists():
            write_whole(path, _download(url, sha256))
        elif hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            raise ValueError(
                f"{path} must be GPT-2's {url.rpartition('/')[2]}, but is damaged; "
                f"delete it, and it is fetched anew"
            )
    return [_cache_path(url) for url in _GPT2_FILES]


def _cache_path(url: str) -> Path:
    """Where tiktoken keeps what it fetched from url (`tiktoken.load.read_file_cached`)."""
    default = os.path.join(tempfile.gettempdir(), "data-gym-cache")
    folder = os.environ.get("TIKTOKEN_CACHE_DIR", os.environ.get("DATA_GYM_CACHE_DIR", default))
    if not folder:
        raise ValueError("TIKTOKEN_CACHE_DIR must name a folder, got ''; unset it, or name one")
    return Path(folder, hashlib.sha1(url.encode()).hexdigest())


def _download(url: str, sha256: str) -> bytes:
    import requests  # slow to import, and seldom needed

    try:
        response = requests.get(url, timeout=_SECONDS)
        response.raise_for_status()
        if hashlib.sha256(response.content).hexdigest() == sha256:
            return response.content
        reason = "the answer was another file"
    except requests.RequestException as error:
        reason = f"{type(error).__name__}; the time limit is {_SECONDS:g} s"
    files = "".join(f"\n  {_cache_path(url).name} from {url}" for url in _GPT2_FILES)
    raise ConnectionError(
        f"GPT-2's vocabulary must be in {_cache_path(url).parent}, and could not be fetched "
        f"({reason}); with a network, call again; without one, put these two files there, or set "
        f"TIKTOKEN_CACHE_DIR to a folder that holds them under these names:{files}"
    )
