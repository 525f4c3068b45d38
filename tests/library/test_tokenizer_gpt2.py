"""GPT-2's released vocabulary: the same ids as tiktoken, and clear errors where it is not there."""

import hashlib
import json
import os
import random
import shutil
import socket
import tempfile
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import tiktoken
import tiktoken.load

from gpt2course.files import gpt2_vocabulary as module
from gpt2course.files.gpt2_vocabulary import gpt2_merges, to_gpt2_ids
from gpt2course.tokenizer import END_OF_TEXT, Tokenizer, encode_chunk, split_text

VOCAB_BPE = "6d1cbeee0f20b3d9449abfede4726ed8212e3aee"
ENCODER_JSON = "6c7ea1a7e38e3a7f062df639a5b80947f075ffe6"
CACHES = [
    os.environ.get("TIKTOKEN_CACHE_DIR", ""),
    Path(__file__).parents[2] / "shared" / "tiktoken-cache",
    Path(tempfile.gettempdir(), "data-gym-cache"),
]
CACHE = next((Path(c) for c in CACHES if c and Path(c, VOCAB_BPE).exists()), None)
needs_vocabulary = pytest.mark.skipif(
    CACHE is None,
    reason="GPT-2's vocabulary is not on this machine: TIKTOKEN_CACHE_DIR names no folder with it",
)

# "The robot must obey orders", or a few words like it, in many scripts and languages.
SCRIPTS = """
The robot must obey the orders given it; it's tired, and they'll say we've won.
Der Roboter größer als ein Äpfelchen gehorcht. Le garçon a mangé l'œuf à Noël. ¿Dónde está el niño?
Þetta vélmenni hlýðir. Robot musi słuchać poleceń. Příliš žluťoučký stroj. Robotul ascultă știrile.
Robot emirlere uymalıdır; İstanbul'da ışık. Rô bốt phải tuân lệnh được giao. Robotas klauso įsakymų.
Το ρομπότ πρέπει να υπακούει. Ἡ μηχανὴ πείθεται.
Робот должен слушаться приказов. Робот мусить слухатися ґазди, їжак. Роботът слуша. Ћирилица ђак.
ռոբոտը պետք է ենթարկվի
რობოტი უნდა დაემორჩილოს
הרובוט חייב לציית לפקודות. שָׁלוֹם
يجب أن يطيع الروبوت الأوامر. مُحَمَّد ربات باید اطاعت کند. روبوٹ کو حکم ماننا ہے۔
ܪܘܒܘܬ ܡܫܬܡܥ
रोबोट को आदेश मानना चाहिए। क्षत्रिय श्री
রোবটকে আদেশ মানতে হবে
ਰੋਬੋਟ ਨੂੰ ਹੁਕਮ ਮੰਨਣਾ
રોબોટે આદેશ માનવો
ரோபோ கட்டளைகளுக்குக் கீழ்ப்படிய வேண்டும்
రోబోట్ ఆదేశాలను పాటించాలి
ರೋಬೋಟ್ ಆದೇಶ ಪಾಲಿಸಬೇಕು
റോബോട്ട് ഉത്തരവ് അനുസരിക്കണം
රොබෝ නියෝග පිළිපැදිය යුතුය
หุ่นยนต์ต้องเชื่อฟังคำสั่ง
ຫຸ່ນຍົນຕ້ອງເຊື່ອຟັງ
စက်ရုပ်သည် အမိန့်ကို နာခံရမည်
មនុស្សយន្តត្រូវស្តាប់បញ្ជា
རོ་བོཊ་གིས་བཀའ་ལ་ཉན་དགོས།
ሮቦቱ ትእዛዝ ማክበር አለበት
ᠮᠣᠩᠭᠣᠯ ᠦᠰᠦᠭ
机器人必须服从命令。機器人必須服從命令！「你好」，世界。
ロボットは命令に従わなければならない。ﾛﾎﾞｯﾄ ひらがな カタカナ
로봇은 명령에 복종해야 한다. ㄱㄴㄷ 한글
ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ
ᐃᓄᒃᑎᑐᑦ
ꦧꦱꦗꦮ
ⵜⴰⵎⴰⵣⵉⵖⵜ
𐌲𐌿𐍄𐌹𐍃𐌺 𐎀𐎁𐎂 𓀀𓁐 𝐑𝐨𝐛𝐨𝐭 𠀀𠀁
"""
SIGNS = """
👩‍👩‍👧‍👦 👨🏽‍🚀 🏳️‍🌈 🇩🇪🇯🇵 👍🏿 🤖🤖🤖 ❤️ 1️⃣ ☺️
é ñ ạ̈ Z͑ͫ̓ͪ̂ͫ̽͏ ﷽ ﬁ Å Ａ ｂ
!!! ... --- ?!?! ((())) $$$ %%% &&& *** === <<>> ~~~ ``` “quotes” ‘single’ «guillemets» … — –
€ £ ¥ ₿ ± × ÷ ≠ ≤ ∑ ∫ √ ∞ ∂ ⇒ ∀x∈ℝ: x²≥0 H₂O ½ ¾ Ⅻ ①② ٣٤٥ १२३ 一二三
0 1 12 123 1234 3.14159 1,000,000 1e-10 0xDEADBEEF 2024-02-29 12:34:56 +49-30-1234 v1.2.3-rc4
def f(x: int) -> int: return x**2 + 1  # square
for (int i = 0; i < n; ++i) { sum += a[i] * b[i]; }
SELECT name, COUNT(*) FROM t WHERE id != 'x''y' GROUP BY 1;
<div class="robot" id='r2'>&nbsp;&lt;beep&gt;</div> {"key": [1, null, true], "k2": "\\u00e9\\n"}
\\frac{1}{\\sqrt{d_k}} QK^\\top C:\\path\\to\\file ~/.bashrc user@example.com https://example.org/?q=a%20b#c
IT'S 'tis rock'n'roll y'all'd've dogs' 's 't 're 've 'm 'll 'd 'S 'LL 'x ''s ''' ' s
SolidGoldMagikarp aaaaaaaaaaaaaaaaaaaaaaaa AAAAaaaaAAAA abababababab hahahaha camelCase snake_case
"""
BLANKS = [
    "",
    " ",
    "  ",
    "   ",
    "\n",
    "\n\n",
    "\t",
    " \n ",
    "\r\n",
    "\u00a0",
    "\u3000",
    "\u2003 ",
    "\x0b",
]


def varied_strings(n):
    """Lines, words and pieces of words of all samples, joined anew, and single characters."""
    rng = random.Random(2019)
    lines = (SCRIPTS + SIGNS).strip().splitlines()
    words = (SCRIPTS + SIGNS).split()
    strings = lines + words
    while len(strings) < n:
        pieces = []
        for _ in range(rng.randint(1, 9)):
            word = rng.choice(words)
            start = rng.randrange(len(word))
            pieces += [word[start:] if rng.random() < 0.3 else word, rng.choice(BLANKS)]
        strings.append("".join(pieces))
    return strings


@pytest.fixture(autouse=True)
def surroundings(monkeypatch):
    """tiktoken's cache where the vocabulary is, and no proxy but a test's own."""
    for name in ("DATA_GYM_CACHE_DIR", "TIKTOKEN_CACHE_DIR", "NO_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    if CACHE is not None:
        monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(CACHE))


# The same ids -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def merges():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIKTOKEN_CACHE_DIR", str(CACHE))
        return gpt2_merges()


@needs_vocabulary
def test_the_merges_are_the_50_000_of_the_released_file(merges):
    # The released file writes a byte as the character that GPT-2's byte_encoder gives it.
    order = [*range(33, 127), *range(161, 173), *range(174, 256)]
    order += [byte for byte in range(256) if byte not in order]
    byte_of = {chr(b if b in order[:188] else 256 + i - 188): b for i, b in enumerate(order)}
    assert to_gpt2_ids(order) == list(range(256))

    tokens = [bytes([byte]) for byte in range(256)]
    lines = (CACHE / VOCAB_BPE).read_text("utf-8").split("\n")[1:-1]
    for (left, right), line in zip(merges, lines, strict=True):
        pair = tuple(bytes(byte_of[char] for char in half) for half in line.split(" "))
        assert (tokens[left], tokens[right]) == pair
        tokens.append(tokens[left] + tokens[right])
    assert len(merges) == 50_000


@needs_vocabulary
def test_encode_chunk_gives_gpt2s_ids_on_5000_strings_of_30_scripts(merges):
    gpt2 = tiktoken.get_encoding("gpt2")
    rng = random.Random(124)
    strings = varied_strings(5_000)
    strings += [gpt2.decode(rng.choices(range(50_256), k=7)) for _ in range(400)]
    assert len(SCRIPTS.strip().splitlines()) >= 30 and len(set(strings)) > 4_500

    # encode_chunk reads 50,000 merges at every call, so many chunks go into one. Between them
    # stands the byte 0xff, which is in no UTF-8 and in no merge.
    assert not any(255 in pair for pair in merges)
    chunks = sorted({chunk for text in strings for chunk in split_text(text)})
    ids_of = {}
    for start in range(0, len(chunks), 25):
        some = chunks[start : start + 25]
        ids = encode_chunk(b"\xff".join(some), merges)
        for chunk in some:
            end = ids.index(255) if 255 in ids else len(ids)
            ids_of[chunk], ids = to_gpt2_ids(ids[:end]), ids[end + 1 :]

    seen = Counter()
    for text in strings:
        ids = [token_id for chunk in split_text(text) for token_id in ids_of[chunk]]
        assert ids == gpt2.encode_ordinary(text)
        seen.update(ids)
    assert len(seen) > 3_000


@needs_vocabulary
def test_one_chunk_by_hand(merges):
    # The vocabulary's published example: "hello world" is 31373, 995.
    ids = [to_gpt2_ids(encode_chunk(chunk, merges)) for chunk in split_text("hello world")]
    assert ids == [[31373], [995]]
    assert to_gpt2_ids(encode_chunk(b"!", merges)) == [0]


@needs_vocabulary
def test_the_tokenizer_gives_gpt2s_ids():
    tokenizer, gpt2 = Tokenizer.gpt2(), tiktoken.get_encoding("gpt2")
    assert tokenizer.vocab_size == 50_257 and tokenizer.end_of_text == 50_256
    for text in varied_strings(5_000):
        ids = tokenizer.encode(text)
        assert ids == gpt2.encode_ordinary(text)
        assert tokenizer.decode(ids) == text
    assert tokenizer.encode(END_OF_TEXT) == [27, 91, 437, 1659, 5239, 91, 29]
    assert tokenizer.encode(f"a{END_OF_TEXT}", allow_special=True) == [64, 50_256]
    assert tokenizer.token_bytes(220) == b" "


@needs_vocabulary
def test_a_long_run_of_blanks_before_a_word_gets_gpt2s_ids():
    # tiktoken alone panics here; without its regex, the run is one chunk less its last blank.
    run = " " * 1_500_000
    expected = tiktoken.get_encoding("gpt2")._encode_single_piece(run[1:].encode())
    tokenizer = Tokenizer.gpt2()
    assert tokenizer.encode(f"a{run}robot") == [64, *expected, *tokenizer.encode(" robot")]


@needs_vocabulary
def test_the_tokenizer_hands_out_the_merges_and_saves_gpt2s_files(merges, tmp_path):
    tokenizer = Tokenizer.gpt2()
    assert tokenizer.merges == merges
    with pytest.raises(ValueError, match=r"another's numbers, as GPT-2's are; .*save_pretrained"):
        tokenizer.save(tmp_path / "gpt2.json")
    assert os.listdir(tmp_path) == []
    tokenizer.save_pretrained(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["merges.txt", "vocab.json"]
    assert (tmp_path / "merges.txt").read_bytes() == (CACHE / VOCAB_BPE).read_bytes()
    vocab = json.loads((tmp_path / "vocab.json").read_bytes())
    assert vocab == json.loads((CACHE / ENCODER_JSON).read_bytes())


@needs_vocabulary
def test_a_released_name_gives_gpt2s_own_without_asking_the_hub(merges, monkeypatch):
    monkeypatch.setattr("gpt2course.files.hub.download", None)  # to call it would be an error
    for name in ("gpt2", "openai-community/gpt2-xl"):
        assert Tokenizer.from_pretrained(name).merges == merges


# Cache and network ------------------------------------------------------------------------------


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def silent_port():
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def web():
    """A server of `web.files`, which notes what it was asked for."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append(self.path)
            self.send_response(self.server.status)
            answer = self.server.files[self.path]
            self.send_header("Content-Length", str(len(answer) + self.server.lacking))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.status, server.files, server.lacking = [], 200, {}, 0
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_silent_network_ends_in_a_clear_error_within_the_time_limit(
    empty_cache, silent_port, monkeypatch
):
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{silent_port}")
    monkeypatch.setattr(module, "_SECONDS", 0.3)
    start = time.monotonic()
    with pytest.raises(ConnectionError) as error:
        Tokenizer.gpt2()
    assert 0.3 <= time.monotonic() - start < 5
    for part in (VOCAB_BPE, ENCODER_JSON, "vocab.bpe", "encoder.json", "limit is 0.3 s"):
        assert part in str(error.value)
    assert f"must be in {empty_cache}" in str(error.value)
    assert "TIKTOKEN_CACHE_DIR" in str(error.value)
    assert not empty_cache.exists()


def test_a_refused_connection_ends_in_the_same_error(empty_cache, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
    for call in (Tokenizer.gpt2, gpt2_merges):
        with pytest.raises(ConnectionError, match=f"{VOCAB_BPE} from"):
            call()


@pytest.fixture
def served(web, monkeypatch):
    """A vocabulary without merges, and its addresses."""
    letters = {module.spell(bytes([byte])): i for i, byte in enumerate(module._GPT2_BYTES)}
    web.files = {
        "/encoder.json": json.dumps(letters | {END_OF_TEXT: 256}).encode(),
        "/vocab.bpe": b"#version: 0.2\n",
    }
    hashes = {
        f"http://127.0.0.1:{web.server_port}{path}": hashlib.sha256(content).hexdigest()
        for path, content in web.files.items()
    }
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(module, "_GPT2_FILES", hashes)
    return hashes


def test_the_fetched_files_are_kept_where_tiktoken_looks(empty_cache, web, served):
    assert Tokenizer.gpt2().encode("! ") == [0, 220]
    assert Tokenizer.gpt2().vocab_size == 257
    assert web.asked == ["/encoder.json", "/vocab.bpe"]
    assert len(os.listdir(empty_cache)) == 2
    for url, sha256 in served.items():
        assert tiktoken.load.read_file_cached(url, sha256) in web.files.values()
    assert len(web.asked) == 2


@pytest.mark.parametrize(
    ("status", "answer", "lacking", "reason"),
    [
        (200, b"<html>please log in</html>", 0, "the answer was another file"),
        (404, b"", 0, "HTTPError"),
        (503, b"", 0, "HTTPError"),
        (200, b"who", 2, "ChunkedEncodingError|ConnectionError"),
    ],
)
def test_a_wrong_answer_is_not_kept(empty_cache, web, served, status, answer, lacking, reason):
    web.status, web.files, web.lacking = status, dict.fromkeys(web.files, answer), lacking
    with pytest.raises(ConnectionError, match=reason):
        Tokenizer.gpt2()
    assert not empty_cache.exists()


@pytest.mark.parametrize("name", ["TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR", None])
def test_the_cache_is_tiktokens_own(tmp_path, monkeypatch, name):
    monkeypatch.delenv("TIKTOKEN_CACHE_DIR", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temp"))
    if name:
        monkeypatch.setenv(name, str(tmp_path / name))
    url = "http://127.0.0.1:9/no-such-server"
    path = module._cache_path(url)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"kept")
    assert tiktoken.load.read_file_cached(url) == b"kept"


def test_a_cache_that_is_switched_off_is_named(monkeypatch):
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "")
    with pytest.raises(ValueError, match="TIKTOKEN_CACHE_DIR must name a folder, got ''"):
        Tokenizer.gpt2()


@needs_vocabulary
@pytest.mark.parametrize("name", [VOCAB_BPE, ENCODER_JSON])
def test_a_damaged_file_is_named_and_kept(empty_cache, name):
    shutil.copytree(CACHE, empty_cache, copy_function=shutil.copyfile)
    os.chmod(empty_cache, 0o755)
    damaged = empty_cache / name
    content = damaged.read_bytes()
    damaged.write_bytes(content[:-1000])
    with pytest.raises(ValueError, match=f"{name} must be GPT-2's .* is damaged; delete it"):
        Tokenizer.gpt2()
    assert damaged.read_bytes() == content[:-1000]
    damaged.write_bytes(content)
    assert Tokenizer.gpt2().vocab_size == 50_257
