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
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import regex
import tiktoken

from gpt2course.config import RELEASED, GPT2Config
from gpt2course.files import CONFIG, HUB_OWNER, Place, fetch, find, read_json, write_whole
from gpt2course.files.gpt2_vocabulary import END_OF_TEXT as END_OF_TEXT
from gpt2course.files.gpt2_vocabulary import (
    MERGES,
    VOCAB,
    gpt2_files,
    read_vocabulary,
    spell,
    write_vocabulary,
)
from gpt2course.files.gpt2_vocabulary import to_gpt2_ids as to_gpt2_ids


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


# The tokenizer ---------------------------------------------------------------------------------

TOKENIZER = "gpt2course-tokenizer.json"
_TRANSFORMERS = "tokenizer.json"  # transformers' own, which may ask for more than is done here
_FORMAT = "gpt2course tokenizer"
_VERSION = 1
_LONGEST = 1 << 20  # bytes of a token, of which 40 merges could make 2^40; GPT-2's longest has 128


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


def _tokens_of(merges: list[tuple[int, int]], check: bool = True) -> list[bytes]:
    """The bytes of every id; ValueError where a merge could never apply (a second for 50,000)."""
    tokens = [bytes([byte]) for byte in range(256)]
    new_ids: dict[tuple[int, int], int] = {}
    for rank, merge in enumerate(merges):
        pair = tuple(merge)
        if len(pair) != 2 or any(type(i) is not int or not 0 <= i < len(tokens) for i in pair):
            raise ValueError(
                f"merge {rank} must join two ids below {len(tokens)}, which exist before it, "
                f"got {merge}"
            )
        if len(tokens[pair[0]]) + len(tokens[pair[1]]) > _LONGEST:
            raise ValueError(
                f"merge {rank}, {pair}, must make a token of at most {_LONGEST:,} bytes; remove it"
            )
        token = tokens[pair[0]] + tokens[pair[1]]
        ids = apply_merges(list(token), new_ids) if check else [*pair]
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
        ids = {token: token_id for token_id, token in enumerate(tokens)}
        self._set_up(merges, ids, {END_OF_TEXT: len(ids)}, pattern)

    def _set_up(
        self,
        merges: list[tuple[int, int]],
        ids: dict[bytes, int],
        special: dict[str, int],
        pattern: str = GPT2_PATTERN,
    ) -> None:
        try:
            self._encoding = tiktoken.Encoding(
                "gpt2course", pat_str=pattern, mergeable_ranks=ids, special_tokens=special
            )
        except (ValueError, TypeError) as error:
            raise ValueError(f"pattern must be a regex, got {pattern!r}: {error}") from None
        self.pattern, self._ids, self._special = pattern, ids, special
        self._merges = [(left, right) for left, right in merges]

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
        """GPT-2's own vocabulary, from tiktoken's cache or the network; errors: `gpt2_files`."""
        return cls._read_vocabulary(gpt2_files(), check=False)

    @classmethod
    def from_pretrained(
        cls, name_or_path: str | os.PathLike[str], *, revision: str | None = None
    ) -> Self:
        """The tokenizer that belongs to a model: one that lies beside it, or else GPT-2's own.

        Args:
            name_or_path, revision: as `GPT2.from_pretrained` takes them; no weights are fetched.

        Raises:
            ValueError: there is none that can be read, or it does not fit the model.
        """
        place = find(name_or_path, revision)
        if place.repo_id.removeprefix(f"{HUB_OWNER}/") in RELEASED:
            return cls.gpt2()
        (config,) = fetch(place, [CONFIG])
        vocab_size = read_json(config).get("vocab_size")
        if type(vocab_size) is not int:
            raise ValueError(f"{config} must give vocab_size as a whole number, got {vocab_size!r}")
        tokenizer = cls._beside(place)
        if tokenizer is None:
            if vocab_size != GPT2Config.vocab_size:
                raise ValueError(
                    f"{config.parent} must hold {TOKENIZER}, or {VOCAB} and {MERGES}, as its "
                    f"vocab_size {vocab_size} is not GPT-2's; write them with "
                    f"tokenizer.save_pretrained(folder)"
                )
            return cls.gpt2()
        spare = vocab_size - tokenizer.vocab_size  # rows that others add, for a rounder number
        if spare < 0 or (spare and tokenizer._trained_here):
            raise ValueError(
                f"the tokenizer in {config.parent} has {tokenizer.vocab_size} tokens, but the "
                f"model beside it {vocab_size}; put the tokenizer there that it was trained with"
            )
        return tokenizer

    @classmethod
    def _beside(cls, place: Place) -> Self | None:
        unreachable = None
        for names in ([TOKENIZER], [VOCAB, MERGES], [VOCAB], [_TRANSFORMERS]):
            try:
                paths = fetch(place, names)
            except FileNotFoundError:
                continue
            except ConnectionError as error:  # the cache may still hold the next
                unreachable = error
                continue
            if names == [TOKENIZER]:
                return cls.load(*paths)
            if names == [VOCAB, MERGES]:
                return cls._read_vocabulary(paths)
            raise ValueError(
                f"{paths[0]} needs {VOCAB} and {MERGES} to be read here; let transformers "
                f"write them: AutoTokenizer.from_pretrained(folder).backend_tokenizer.model"
                f".save(folder)"
            )
        if unreachable:
            raise unreachable
        return None

    @classmethod
    def _read_vocabulary(cls, paths: list[Path], check: bool = True) -> Self:
        vocab, merges = paths
        pairs, numbers = read_vocabulary(vocab, merges)
        try:
            ids = {token: numbers.pop(spell(token)) for token in _tokens_of(pairs, check)}
        except ValueError as error:
            raise ValueError(f"{merges}: {error}") from None
        tokenizer = cls.__new__(cls)
        tokenizer._set_up(pairs, ids, special=numbers)
        return tokenizer

    @property
    def merges(self) -> list[tuple[int, int]]:
        """The merges in order of rank, for `encode_chunk`."""
        return list(self._merges)

    @property
    def end_of_text(self) -> int:
        """The id of `<|endoftext|>`."""
        return self._encoding.eot_token

    @property
    def vocab_size(self) -> int:
        """256 bytes + the merges + `<|endoftext|>` and others like it."""
        return self._encoding.n_vocab

    @property
    def _trained_here(self) -> bool:
        """Whether the ids are those of `encode_chunk`, with `<|endoftext|>` after them."""
        own = {END_OF_TEXT: len(self._ids)}
        return self._special == own and all(self._ids[bytes([b])] == b for b in range(256))

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
            i, wrong = next((i, t) for i, t in enumerate(ids) if not 0 <= t < self.vocab_size)
            raise ValueError(
                f"ids must lie between 0 and {self.vocab_size - 1}, got {wrong} at position {i}; "
                f"decode with the tokenizer that made the ids"
            ) from None

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes that one id stands for."""
        return self.decode_bytes([token_id])

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write what `from_pretrained` reads, and transformers' AutoTokenizer with the same ids.

        That are vocab.json and merges.txt, and for a tokenizer trained here the file of `save`. A
        pattern that is not GPT-2's stands in the latter alone, which transformers can't read.
        """
        folder = Path(folder)
        if self._trained_here:
            self.save(folder / TOKENIZER)
        if self.pattern == GPT2_PATTERN:
            tokens = _tokens_of(self._merges, check=False)
            pairs = [(tokens[left], tokens[right]) for left, right in self._merges]
            write_vocabulary(folder, self._ids, self._special, pairs)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one JSON file, a line for each merge: its two ids and the text they make."""
        if not self._trained_here:
            raise ValueError(
                "a tokenizer must be trained here to be saved so, and this one has another's "
                "numbers, as GPT-2's are; write it with tokenizer.save_pretrained(folder)"
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
