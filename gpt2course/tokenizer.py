"""Text to ids and back: byte-level byte pair encoding, as GPT-2 has it.

The five functions at the top are the whole idea, in pure Python. `Tokenizer` gives the same ids
at the speed of tiktoken, and files. Ids: a byte is its own id, 0 to 255; the merge of rank r makes
id 256 + r; `<|endoftext|>` comes last. (GPT-2 numbers its 256 bytes in another order:
`to_gpt2_ids`.)

Sources: Sennrich, Haddow, Birch 2016, "Neural Machine Translation of Rare Words with Subword
Units"; Radford et al. 2019, section 2.2; openai/gpt-2, `encoder.py`.
"""

import hashlib
import json
import math
import os
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import regex
import tiktoken

from gpt2course.files import write_whole


def count_pairs(ids: list[int]) -> dict[tuple[int, int], int]:
    """How often each pair of neighbours occurs.

    >>> dict(count_pairs([1, 1, 1, 2]))
    {(1, 1): 2, (1, 2): 1}
    """
    return Counter(pairwise(ids))


def merge_pair(ids: list[int], pair: tuple[int, int], new_id: int) -> list[int]:
    """A new list in which new_id stands for each pair, left to right.

    >>> merge_pair([1, 1, 1, 2], (1, 1), 256)
    [256, 1, 2]
    """
    merged = []
    i = 0
    while i < len(ids):
        if i + 1 < len(ids) and (ids[i], ids[i + 1]) == pair:
            merged.append(new_id)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


def train_merges(chunks: list[bytes], n_merges: int) -> list[tuple[int, int]]:
    """Merge the most frequent pair, n_merges times; of equals, the smaller pair.

    Counts are kept and not made anew: a merge changes them only in the words that hold its pair,
    and a chunk that occurs many times is one word with a weight. Returns fewer merges where no
    pair is left. A merge costs as much time as the words that hold its pair are long.

    >>> train_merges([b"aaab", b"ab"], 2)      # "a" and "a" first, then "a" and "b"
    [(97, 97), (97, 98)]
    """
    repeats = Counter(chunks)
    words = [list(chunk) for chunk in repeats]
    weights = list(repeats.values())
    counts: Counter[tuple[int, int]] = Counter()  # pair -> how often, in all chunks
    homes = defaultdict(set)  # pair -> the words that hold it, by index

    def tally(i: int, weight: int) -> None:
        for pair in pairwise(words[i]):
            homes[pair].add(i)
            counts[pair] += weight
            if counts[pair] == 0:
                del counts[pair]

    for i, weight in enumerate(weights):
        tally(i, weight)

    merges: list[tuple[int, int]] = []
    while counts and len(merges) < n_merges:
        most = max(counts.values())
        best = min(pair for pair, count in counts.items() if count == most)
        for i in homes.pop(best):
            tally(i, -weights[i])
            words[i] = merge_pair(words[i], best, 256 + len(merges))
            tally(i, weights[i])
        merges.append(best)
    return merges


def apply_merges(ids: list[int], new_ids: dict[tuple[int, int], int]) -> list[int]:
    """Merge, the pair with the lowest new id first, until no pair of new_ids is left."""
    while len(ids) > 1:
        pair = min(pairwise(ids), key=lambda pair: new_ids.get(pair, math.inf))
        if pair not in new_ids:
            break
        ids = merge_pair(ids, pair, new_ids[pair])
    return ids


def encode_chunk(chunk: bytes, merges: list[tuple[int, int]]) -> list[int]:
    """The ids of one chunk: the merge learned first is made first.

    >>> encode_chunk(b"aaab", [(97, 97), (97, 98)])
    [256, 257]
    """
    new_ids = {pair: 256 + rank for rank, pair in enumerate(merges)}
    return apply_merges(list(chunk), new_ids)


def decode_ids(ids: list[int], merges: list[tuple[int, int]]) -> str:
    """The text of ids. Bytes are joined first, since one character may span several tokens.

    Bytes that are not UTF-8 become U+FFFD.

    >>> decode_ids([256, 172], [(226, 130)])      # € is e2 82 ac
    '€'
    """
    tokens = [bytes([byte]) for byte in range(256)]
    for left, right in merges:
        tokens.append(tokens[left] + tokens[right])
    for token_id in ids:
        if not 0 <= token_id < len(tokens):
            raise ValueError(
                f"ids must lie between 0 and {len(tokens) - 1}, got {token_id}; "
                f"decode with the merges that made the ids"
            )
    return b"".join(tokens[token_id] for token_id in ids).decode("utf-8", errors="replace")


END_OF_TEXT = "<|endoftext|>"

# How GPT-2 cuts text into chunks; no merge crosses from one chunk into the next. Equal to the
# pattern of openai/gpt-2, `encoder.py`; the doubled plus signs spare the engines needless retries.
GPT2_PATTERN = "|".join(
    [
        r"'(?:[sdmt]|ll|ve|re)",  # endings: it's, we'd, I'm, don't, you'll, we've, they're
        r" ?\p{L}++",  # letters, and the one space before them
        r" ?\p{N}++",  # digits, likewise
        r" ?[^\s\p{L}\p{N}]++",  # punctuation and signs, likewise
        r"\s++$",  # blanks that end the text
        r"\s+(?!\S)",  # blanks before a word, all but the last one
        r"\s",  # that last one, where it is no space
    ]
)


def split_text(text: str, pattern: str = GPT2_PATTERN) -> list[bytes]:
    """The chunks of a text, in UTF-8.

    The regex engine of `Tokenizer.encode` is another one, and knows Unicode up to version 16:
    letters younger than that it may cut differently.

    Raises:
        ValueError: the pattern does not compile, or leaves out a part of the text.

    >>> split_text("It's 12 robots.")
    [b'It', b"'s", b' 12', b' robots', b'.']
    """
    _check_text(text)
    try:
        matches = regex.finditer(pattern, text)
    except regex.error as error:
        raise ValueError(f"pattern must be a regex, got {pattern!r}: {error}") from None
    chunks, end = [], 0
    for match in matches:
        if match.start() != end:
            break
        chunks.append(match.group().encode())
        end = match.end()
    if end != len(text):
        raise ValueError(
            f"pattern must match all of the text, but leaves out {text[end]!r} at position {end}; "
            f"give it a last branch for the rest: {pattern}|(?s:.)"
        )
    return chunks


def _check_text(text: str) -> None:
    if not isinstance(text, str):
        remedy = "; decode it first: text.decode('utf-8')" if isinstance(text, bytes) else ""
        raise TypeError(f"text must be str, got {type(text).__name__}{remedy}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"text must hold whole characters, got U+{ord(text[error.start]):04X}, half of a "
            f"surrogate pair, at position {error.start}; mend it with "
            f"text.encode('utf-16', 'surrogatepass').decode('utf-16', 'replace')"
        ) from None


# GPT-2's own vocabulary -----------------------------------------------------------------------

# In the order of their ids: GPT-2 puts the bytes that print first.
_GPT2_BYTES = sorted(range(256), key=lambda byte: byte == 32 or not chr(byte).isprintable())
_GPT2_BYTE_IDS = {byte: token_id for token_id, byte in enumerate(_GPT2_BYTES)}

# The two files as tiktoken knows them: where they come from, and their SHA-256.
_GPT2_FILES = {
    "https://openaipublic.blob.core.windows.net/gpt-2/encodings/main/vocab.bpe": (
        "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5"
    ),
    "https://openaipublic.blob.core.windows.net/gpt-2/encodings/main/encoder.json": (
        "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783"
    ),
}
_SECONDS = 5.0  # how long a silent server is waited for


def to_gpt2_ids(ids: list[int]) -> list[int]:
    """The ids of `encode_chunk` with `gpt2_merges`, as GPT-2 numbers them.

    Only the 256 bytes differ; the merge of rank r makes id 256 + r in both.

    >>> to_gpt2_ids([33, 32, 256])      # "!" is GPT-2's first byte, the space its 221st
    [0, 220, 256]
    """
    return [_GPT2_BYTE_IDS.get(token_id, token_id) for token_id in ids]


def gpt2_merges() -> list[tuple[int, int]]:
    """GPT-2's 50,000 merges, for `encode_chunk`; a second of work.

    tiktoken keeps tokens, not pairs. A token, encoded with the merges before its own, falls into
    its pair.

    Raises:
        ConnectionError: the vocabulary is not on this machine, and the network does not give it.
        ValueError: a file in tiktoken's cache is damaged.
    """
    return list(_recover_gpt2_merges())


@cache
def _recover_gpt2_merges() -> tuple[tuple[int, int], ...]:
    encoding = _gpt2_encoding()
    new_ids: dict[tuple[int, int], int] = {}
    for token_id in range(256, encoding.eot_token):
        token = encoding.decode_single_token_bytes(token_id)
        left, right = apply_merges(list(token), new_ids)
        new_ids[left, right] = token_id
    return tuple(new_ids)


def _gpt2_encoding() -> tiktoken.Encoding:
    """tiktoken's own, once its cache holds whole files.

    Left alone, tiktoken deletes a damaged file and asks a server without any time limit.
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
    return tiktoken.get_encoding("gpt2")


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


# The tokenizer ---------------------------------------------------------------------------------

TOKENIZER = "gpt2course-tokenizer.json"  # tokenizer.json is another format, transformers'
_FORMAT = "gpt2course tokenizer"
_VERSION = 1


def _to_json(value: Any) -> str:
    """JSON, the items of a list on lines of their own."""
    if isinstance(value, list) and value:
        return "[\n    " + ",\n    ".join(map(_to_json_line, value)) + "\n  ]"
    return _to_json_line(value)


def _to_json_line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _read_fields(path: Path) -> dict[str, Any]:
    try:
        fields = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not whole JSON ({error})") from None
    if not isinstance(fields, dict) or fields.get("format") != _FORMAT:
        raise ValueError(f"its format is not {_FORMAT!r}")
    if fields.get("version") != _VERSION:
        raise ValueError(f"its version is {fields.get('version')!r}, this one reads {_VERSION}")
    missing = {"pattern", "special_tokens", "merges", "sha256"} - fields.keys()
    if missing:
        raise ValueError(f"it lacks {', '.join(sorted(missing))}")
    rows = fields["merges"]
    if not isinstance(rows, list) or not all(isinstance(r, list) and len(r) == 3 for r in rows):
        raise ValueError("its merges are not rows of two ids and a text")
    return fields


def _tokens_of(merges: list[tuple[int, int]]) -> list[bytes]:
    """The bytes of every id; ValueError where a merge could never apply."""
    tokens = [bytes([byte]) for byte in range(256)]
    new_ids: dict[tuple[int, int], int] = {}
    for rank, merge in enumerate(merges):
        pair = tuple(merge)
        if len(pair) != 2 or any(type(i) is not int or not 0 <= i < len(tokens) for i in pair):
            raise ValueError(
                f"merge {rank} must join two ids below {len(tokens)}, which exist before it, "
                f"got {merge}"
            )
        token = tokens[pair[0]] + tokens[pair[1]]
        ids = apply_merges(list(token), new_ids)
        if ids != [*pair]:
            raise ValueError(
                f"merge {rank}, {pair}, can never apply: the merges before it make {ids[:9]} of "
                f"{token[:40]!r}; remove it, or put it where it was learned"
            )
        new_ids[pair] = len(tokens)
        tokens.append(token)
    return tokens


def _as_ints(ids: Iterable[int]) -> list[int]:
    """Ids as a list of int; arrays, tensors and their scalars know `tolist`."""
    ids = ids.tolist() if hasattr(ids, "tolist") else ids
    if isinstance(ids, int | float):
        raise TypeError(f"ids must be a list, got the number {ids}; write [{ids}]")
    ids = list(ids)
    if set(map(type, ids)) - {int}:
        ids = [t.tolist() if hasattr(t, "tolist") else t for t in ids]
        for i, token_id in enumerate(ids):
            if not isinstance(token_id, int) or isinstance(token_id, bool):
                raise TypeError(
                    f"ids must be ints, got {token_id!r} at position {i}; "
                    f"of a batch, decode one row at a time"
                )
    return ids


# tiktoken's regex engine gives up on a run of about a million blanks before a word. GPT2_PATTERN
# cuts such a run before its last blank, so a text can be cut there beforehand and keep its ids.
_LONG_RUN_END = regex.compile(r"(?=\s\S)(?<=\s{100000})")


class Tokenizer:
    """Text to ids and back at tiktoken's speed, with the ids of `encode_chunk`.

    Args:
        merges: pairs of ids in order of rank, as `train_merges` makes them.
        pattern: cuts text into chunks; in a syntax that the package regex and tiktoken share.
            Text that it does not match is lost.

    Attributes:
        pattern: as given.

    Raises:
        ValueError: a merge joins an id that does not exist before it, or can never apply (a
            duplicate, say); the pattern does not compile.
    """

    def __init__(self, merges: list[tuple[int, int]], pattern: str = GPT2_PATTERN):
        tokens = _tokens_of(merges)
        try:
            self._encoding = tiktoken.Encoding(
                "gpt2course",
                pat_str=pattern,
                mergeable_ranks={token: token_id for token_id, token in enumerate(tokens)},
                special_tokens={END_OF_TEXT: len(tokens)},
            )
        except (ValueError, TypeError) as error:
            raise ValueError(f"pattern must be a regex, got {pattern!r}: {error}") from None
        self.pattern = pattern
        self._merges: list[tuple[int, int]] | None = [(left, right) for left, right in merges]

    @classmethod
    def train(
        cls, texts: str | Iterable[str], vocab_size: int, pattern: str = GPT2_PATTERN
    ) -> Self:
        """Learn vocab_size - 257 merges from one text or several.

        Where the texts hold fewer pairs, the vocabulary is smaller than asked; the empty text
        gives a tokenizer without merges. `<|endoftext|>` in a text counts as ordinary characters.
        """
        if type(vocab_size) is not int or vocab_size < 257:
            raise ValueError(
                f"vocab_size must be an int of at least 257 (256 bytes and {END_OF_TEXT}), "
                f"got {vocab_size!r}; 257 learns no merge, 512 learns 255"
            )
        texts = [texts] if isinstance(texts, str | bytes) else texts
        chunks = [chunk for text in texts for chunk in split_text(text, pattern)]
        return cls(train_merges(chunks, vocab_size - 257), pattern)

    @classmethod
    def gpt2(cls) -> Self:
        """GPT-2's own vocabulary, from tiktoken's cache or the network; errors: `gpt2_merges`."""
        tokenizer = cls([])
        tokenizer._encoding = _gpt2_encoding()
        tokenizer._merges = None  # recovered when asked for
        return tokenizer

    @property
    def merges(self) -> list[tuple[int, int]]:
        """The merges in order of rank, for `encode_chunk`."""
        return gpt2_merges() if self._merges is None else list(self._merges)

    @property
    def end_of_text(self) -> int:
        """The id of `<|endoftext|>`: the last."""
        return self._encoding.eot_token

    @property
    def vocab_size(self) -> int:
        """256 bytes + the merges + 1."""
        return self.end_of_text + 1

    def __repr__(self) -> str:
        return f"Tokenizer(vocab_size={self.vocab_size})"

    def encode(self, text: str, allow_special: bool = False) -> list[int]:
        """The ids of a text.

        Args:
            text: any text without lone surrogates.
            allow_special: whether `<|endoftext|>` in the text becomes the one token. False, the
                default, lets strangers write it without effect.
        """
        _check_text(text)
        first, *rest = text.split(END_OF_TEXT) if allow_special else [text]
        ids = self._encode_ordinary(first)
        for part in rest:
            ids.append(self.end_of_text)
            ids += self._encode_ordinary(part)
        return ids

    def _encode_ordinary(self, text: str) -> list[int]:
        ids: list[int] = []
        try:
            for part in _LONG_RUN_END.split(text) if self._may_cut(text) else [text]:
                ids += self._encoding.encode_ordinary(part)
        except BaseException as error:  # a panic in tiktoken is no Exception
            if type(error).__name__ != "PanicException":
                raise
            raise ValueError(
                f"pattern must not need a million retries on a text, but {self.pattern!r} does; "
                f"write ++ for + where it need not give back, or encode shorter texts"
            ) from None
        return ids

    def _may_cut(self, text: str) -> bool:
        """Whether the text may hold a run of 200,000 blanks, which the pattern lets us cut."""
        looks = range(100_000, len(text), 100_000)  # one of them falls into such a run
        return self.pattern == GPT2_PATTERN and any(text[i : i + 99].isspace() for i in looks)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids; bytes that are not UTF-8 become U+FFFD."""
        return self.decode_bytes(ids).decode("utf-8", errors="replace")

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes of ids: a list of ints, or a 1-D array or tensor of an integer type."""
        ids = _as_ints(ids)
        try:
            return self._encoding.decode_bytes(ids)
        except (KeyError, OverflowError):
            i, wrong = next((i, t) for i, t in enumerate(ids) if not 0 <= t <= self.end_of_text)
            raise ValueError(
                f"ids must lie between 0 and {self.end_of_text}, got {wrong} at position {i}; "
                f"decode with the tokenizer that made the ids"
            ) from None

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes that one id stands for."""
        return self.decode_bytes([token_id])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one JSON file, a line for each merge: its two ids and the text they make."""
        if self._merges is None:
            raise ValueError(
                "GPT-2's vocabulary must not be saved; Tokenizer.gpt2() has it anywhere"
            )
        lines = [f"{json.dumps(key)}: {_to_json(value)}" for key, value in self._fields().items()]
        write_whole(Path(path), ("{\n  " + ",\n  ".join(lines) + "\n}\n").encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote.

        Raises:
            ValueError: the file is cut, edited, of another version, or no tokenizer at all.
        """
        try:
            fields = _read_fields(Path(path))
            tokenizer = cls(
                [(left, right) for left, right, _ in fields["merges"]], fields["pattern"]
            )
            expected = tokenizer._fields()
            wrong = [key for key in expected | fields if fields.get(key) != expected.get(key)]
            if wrong:
                raise ValueError(f"its field {wrong[0]!r} does not fit the rest: it was edited")
        except ValueError as error:
            raise ValueError(
                f"{os.fspath(path)} must be as Tokenizer.save wrote it, but {error}; "
                f"save it again, or train again with Tokenizer.train"
            ) from error
        return tokenizer

    def _fields(self) -> dict[str, Any]:
        fields = {
            "format": _FORMAT,
            "version": _VERSION,
            "pattern": self.pattern,
            "special_tokens": {END_OF_TEXT: self.end_of_text},
            "merges": [
                [*pair, self.token_bytes(256 + rank).decode("utf-8", errors="backslashreplace")]
                for rank, pair in enumerate(self.merges)
            ],
        }
        content = json.dumps(fields, sort_keys=True).encode()
        return fields | {"sha256": hashlib.sha256(content).hexdigest()}
