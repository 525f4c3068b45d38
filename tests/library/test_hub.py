"""The hub: the right files or a clear error, and never half a file that passes for a whole one."""

import errno
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path

import numpy as np
import pytest
import torch
from hub_server import MUCH, Fault, Hub, git_hash, is_large
from huggingface_hub import constants
from safetensors.numpy import load_file, save

from gpt2course.config import GPT2Config
from gpt2course.files import hub as module
from gpt2course.files.hub import download
from gpt2course.model import GPT2

REPO, CONFIG, WEIGHTS = "owner/name", "config.json", "model.safetensors"
BOTH = [CONFIG, WEIGHTS]


def checkpoint(seed):
    """A config and some 100 kB of random weights."""
    rng = np.random.default_rng(seed)
    tensors = {"wte.weight": rng.normal(size=(251, 101)), "wpe.weight": rng.normal(size=(7, 101))}
    weights = save({name: tensor.astype(np.float32) for name, tensor in tensors.items()})
    return {CONFIG: json.dumps({"n_embd": 101, "seed": seed}).encode(), WEIGHTS: weights}


FILES = checkpoint(124)
SIZE = len(FILES[WEIGHTS])


@pytest.fixture
def hub():
    with Hub(REPO, dict(FILES)) as hub:
        yield hub


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "hub" / "models--owner--name"


@pytest.fixture(autouse=True)
def surroundings(hub, tmp_path, monkeypatch):
    """This process and its children ask the server alone, and keep files in the test's folder."""
    for name in [n for n in os.environ if n.upper().startswith(("HF_", "HUGGING", "HTTP", "ALL_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    for name, value in {
        "ENDPOINT": hub.url,
        "HF_HUB_CACHE": str(tmp_path / "hub"),
        "HF_TOKEN_PATH": str(tmp_path / "token"),
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DISABLE_IMPLICIT_TOKEN": False,
    }.items():
        monkeypatch.setattr(constants, name, value)
    monkeypatch.setattr(module, "_PAUSE", 0.01)


@pytest.fixture
def impatience(monkeypatch):
    """The time limit in seconds: long enough for a busy machine, short enough for a test."""
    for name in ("HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT"):
        monkeypatch.setattr(constants, name, 0.8)
    return 0.8


def contents(paths):
    return [path.read_bytes() for path in paths]


def kept(cache):
    """The contents in the cache by their names, those under way included."""
    return {path.name: path.read_bytes() for path in (cache / "blobs").glob("*")}


def assert_nothing_false_is_kept(hub, cache):
    right = {hub.digest(name): content for name, content in hub.files.items()}
    for name, content in kept(cache).items():
        digest, dot, ending = name.partition(".")
        assert ending in ("", "incomplete")
        assert right[digest][: len(content)] == content
        assert dot or right[digest] == content
    for pointer in cache.glob("snapshots/*/*"):
        assert not pointer.exists() or pointer.read_bytes() == hub.files[pointer.name]


# The cache --------------------------------------------------------------------------------------

CHILD = f"""
import json, resource, sys
from gpt2course.files.hub import download
limit = int(sys.argv[1])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    print(json.dumps([str(path) for path in download({REPO!r}, {BOTH!r})]))
except OSError as error:
    print(json.dumps([type(error).__name__, str(error)]))
"""


def start_child(code=CHILD, limit=0, **environment):
    environment = {**os.environ, **environment}
    arguments = [sys.executable, "-c", code, str(limit)]
    return subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, text=True)


def result(child):
    printed, _ = child.communicate(timeout=30)
    assert child.returncode == 0
    return json.loads(printed)


def wait_until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def once_two_have_asked(hub):
    """A slow answer, given only when a second call is near."""
    asked = f"/{REPO}/resolve/{hub.commit}/{WEIGHTS}"
    wait_until(lambda: [(r.method, r.path) for r in hub.log].count(("HEAD", asked)) == 2)
    yield Fault(pause=0.01)


def test_both_files_arrive_and_the_second_call_fetches_nothing(hub, cache):
    paths = download(REPO, BOTH)
    described = [r.path for r in hub.log if r.method == "HEAD" and "/resolve/" in r.path]
    assert described == [
        f"/{REPO}/resolve/main/{CONFIG}",
        f"/{REPO}/resolve/{hub.commit}/{WEIGHTS}",  # of the same commit, should main have moved on
    ]
    assert contents(paths) == list(FILES.values())
    assert load_file(paths[1])["wte.weight"].shape == (251, 101)
    assert paths == [cache / "snapshots" / hub.commit / name for name in BOTH]
    assert kept(cache) == {hub.digest(name): FILES[name] for name in BOTH}
    assert (hub.sent(CONFIG), hub.sent(WEIGHTS)) == ([(None, len(FILES[CONFIG]))], [(None, SIZE)])
    assert download(REPO, BOTH) == paths
    assert len(hub.sent(CONFIG) + hub.sent(WEIGHTS)) == 2


def test_huggingface_hub_finds_what_is_fetched_here_and_the_other_way_round(hub, tmp_path):
    code = f"""
import json
from huggingface_hub import hf_hub_download, scan_cache_dir
from gpt2course.files.hub import download
hf_hub_download({REPO!r}, {CONFIG!r})
ours = [str(path) for path in download({REPO!r}, {BOTH!r})]
theirs = [hf_hub_download({REPO!r}, name, local_files_only=True) for name in {BOTH!r}]
print(json.dumps([ours, theirs, [str(w) for w in scan_cache_dir().warnings]]))
"""
    ours, theirs, warnings = result(start_child(code, HF_HUB_DISABLE_TELEMETRY="1"))
    assert contents(map(Path, ours)) == list(FILES.values())
    assert ours == theirs and warnings == []
    assert all(path.startswith(str(tmp_path)) for path in ours)
    assert len(hub.sent(CONFIG)) == len(hub.sent(WEIGHTS)) == 1


def test_offline_nothing_is_asked(hub, tmp_path):
    name, message = result(start_child(HF_HUB_OFFLINE="1"))
    assert name == "ConnectionError"
    for part in (CONFIG, REPO, hub.url, "HF_HUB_OFFLINE", str(tmp_path / "hub")):
        assert part in message
    assert hub.log == []
    paths = download(REPO, BOTH)
    asked = len(hub.log)
    assert result(start_child(HF_HUB_OFFLINE="1")) == [str(path) for path in paths]
    assert len(hub.log) == asked


def test_only_the_hub_sees_the_token(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    download(REPO, BOTH)
    tokens = {(request.host.partition(":")[0], request.token) for request in hub.log}
    assert tokens == {("127.0.0.1", "Bearer hf_secret"), ("localhost", None)}


def test_a_new_commit_is_fetched_and_takes_both_files_from_it(hub, cache):
    old = download(REPO, BOTH)
    hub.commit, hub.files = "beef" + "0" * 36, checkpoint(125)
    hub.faults["GET", WEIGHTS] = repeat(Fault(status=503))
    with pytest.raises(ConnectionError, match="503"):
        download(REPO, BOTH)
    hub.faults["HEAD", CONFIG] = iter([Fault(status=503)] * 2)
    assert download(REPO, BOTH) == old  # the commit whose files are all here
    hub.faults["GET", WEIGHTS] = iter(())
    new = download(REPO, BOTH)
    assert contents(new) == list(hub.files.values()) and contents(old) == list(FILES.values())
    assert (cache / "refs" / "main").read_text() == hub.commit


@pytest.mark.parametrize("revision", ["v1", "refs/pr/7", "c0ffee" + "0" * 34])
def test_a_revision_is_fetched_and_found_again_without_the_hub(hub, cache, revision):
    hub.revision = revision
    paths = download(REPO, BOTH, revision)
    assert contents(paths) == list(FILES.values())
    refs = [path for path in cache.glob("refs/**/*") if path.is_file()]
    assert refs == ([] if revision == hub.commit else [cache / "refs" / revision])
    hub.faults["HEAD", CONFIG] = repeat(Fault(status=503))
    assert download(REPO, BOTH, revision) == paths
    hub.revision = "main"
    with pytest.raises(ConnectionError):
        download(REPO, BOTH)  # it may be another commit


def test_a_revision_that_is_not_there_is_named(hub):
    with pytest.raises(FileNotFoundError, match="must have a revision 'v2', and has none"):
        download(REPO, BOTH, "v2")
    with pytest.raises(FileNotFoundError, match="here, and owner/name must have a revision 'v3'"):
        GPT2.from_pretrained(REPO, revision="v3")


@pytest.mark.parametrize("revision", ["", "../x", "/etc", "a\\b"])
def test_what_is_no_revision_is_not_asked_for(hub, revision):
    with pytest.raises(ValueError, match="a revision must be a path inside the repository"):
        download(REPO, BOTH, revision)
    assert hub.log == []


def test_a_content_without_its_link_is_linked_and_not_fetched(hub):
    paths = download(REPO, BOTH)
    paths[1].unlink()  # a process was killed just before this link
    assert contents(download(REPO, BOTH)) == list(FILES.values())
    assert len(hub.sent(WEIGHTS)) == 1


@pytest.fixture
def no_links(monkeypatch):
    """A system that lets no ordinary user make symbolic links."""

    def refuse(*args):
        raise OSError(errno.EPERM, "a required privilege is not held")

    monkeypatch.setattr(Path, "symlink_to", refuse)


def test_without_symbolic_links_the_file_itself_stands_there(hub, cache, no_links):
    paths = download(REPO, BOTH)
    assert not paths[1].is_symlink() and kept(cache) == {}
    assert contents(download(REPO, BOTH)) == list(FILES.values())
    assert len(hub.sent(WEIGHTS)) == 1
    hub.faults["HEAD", CONFIG] = repeat(Fault(status=500))
    assert download(REPO, BOTH) == paths
    hub.faults.clear()
    paths[1].write_bytes(bytes(SIZE))
    assert contents(download(REPO, BOTH)) == list(FILES.values())


def test_who_waited_for_another_takes_what_that_one_brought(hub, no_links):
    hub.faults["GET", WEIGHTS] = once_two_have_asked(hub)
    with ThreadPoolExecutor() as pool:
        calls = [pool.submit(download, REPO, BOTH) for _ in range(2)]
    assert [contents(call.result()) for call in calls] == [list(FILES.values())] * 2
    assert hub.sent(WEIGHTS) == [(None, SIZE)]


def test_a_cache_that_cannot_be_written_is_read(hub, cache, monkeypatch):
    paths = download(REPO, BOTH)
    (cache / "refs" / "main").write_text("another")

    def refuse(*args, **kwargs):
        raise OSError(errno.EROFS, "read-only file system")

    monkeypatch.setattr(module, "write_whole", refuse)
    monkeypatch.setattr(Path, "mkdir", refuse)
    assert download(REPO, BOTH) == paths


@pytest.mark.parametrize("repo_id", ["", "a/b/c", "../owner", "owner/na me", "/etc"])
def test_what_is_no_repository_is_not_asked_for(hub, repo_id):
    with pytest.raises(ValueError):
        download(repo_id, BOTH)
    assert hub.log == []


@pytest.mark.parametrize("name", ["", "../x", "a/../../x", "/etc/passwd", "..\\x", "C:x"])
def test_what_is_no_file_of_a_repository_is_not_asked_for(hub, name):
    with pytest.raises(ValueError, match="must be a path inside the repository, got"):
        download(REPO, [CONFIG, name])
    assert hub.log == []


# The hub says no --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "error", "parts"),
    [
        (Fault(401, "GatedRepo"), PermissionError, ["gated", "HF_TOKEN", "401"]),
        (Fault(403, "GatedRepo"), PermissionError, ["gated", "HF_TOKEN", "ask for access"]),
        (Fault(403), PermissionError, ["HF_TOKEN", "403"]),
        (
            Fault(401, said="Invalid credentials in Authorization header"),
            PermissionError,
            ["must be valid", "hf auth login"],
        ),
        (Fault(401), FileNotFoundError, ["private", "spelling", "HF_TOKEN"]),
        (Fault(404), FileNotFoundError, ["spelling"]),
        (Fault(404, "EntryNotFound"), FileNotFoundError, ["must hold model.safetensors"]),
        (Fault(418), ConnectionError, ["418", WEIGHTS]),
    ],
)
@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_a_refusal_says_what_to_do(hub, cache, method, fault, error, parts):
    hub.faults[method, WEIGHTS] = repeat(fault)
    with pytest.raises(error) as raised:
        download(REPO, [WEIGHTS])
    assert type(raised.value) is error
    for part in [REPO, f":{hub.server_port} answers {fault.status}", *parts]:
        assert part in str(raised.value)
    assert len([r for r in hub.log if r.method == method and "/store/" not in r.path]) == 1
    assert not any(kept(cache).values()) and not [*cache.glob("snapshots/*/*")]


@pytest.mark.parametrize("status", [403, 418])
def test_what_steers_a_terminal_in_a_servers_words_is_written_out(hub, status):
    hub.faults["HEAD", CONFIG] = repeat(Fault(status, "\x1b[2J"))
    with pytest.raises(OSError, match=rf"answers {status} \\x1b\[2J") as error:
        download(REPO, BOTH)
    assert str(error.value).isprintable()


@pytest.mark.parametrize("token", [None, "hf_of_somebody"])
def test_a_repository_that_is_not_there_is_told_from_a_file_that_is_not(hub, monkeypatch, token):
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(FileNotFoundError, match="owner/nome must be a repository with config.json"):
        download("owner/nome", BOTH)
    with pytest.raises(FileNotFoundError, match="owner/name must hold vocab.json, and does not"):
        download(REPO, [CONFIG, "vocab.json"])


# No network, or a bad one -----------------------------------------------------------------------


@pytest.fixture
def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        return closed.getsockname()[1]


NO_HUB = {
    "silence": Fault(mute=True),
    "server error": Fault(status=500),
    "overloaded": Fault(status=503),
    "too many requests": Fault(status=429),
    "log-in page": Fault(status=200),
    "no commit": Fault(headers={"X-Repo-Commit": ""}),
    "no size": Fault(headers={"X-Linked-Size": ""}),
    "a size of 5,000 digits": Fault(headers={"X-Linked-Size": "9" * 5_000}),
    "hash that is a path": Fault(headers={"X-Linked-Etag": '"../../../evil"'}),
    "commit that is a path": Fault(headers={"X-Repo-Commit": "../../../evil"}),
}


@pytest.mark.parametrize("fault", NO_HUB.values(), ids=NO_HUB)
def test_an_answer_that_is_not_the_hubs_is_an_error_and_the_cache_serves(
    hub, cache, impatience, fault
):
    hub.faults["HEAD", WEIGHTS] = repeat(fault)
    with pytest.raises(ConnectionError) as error:
        download(REPO, [WEIGHTS])
    for part in (WEIGHTS, REPO, hub.url, str(cache), "call again"):
        assert part in str(error.value)
    assert not cache.exists()
    hub.faults.clear()
    paths = download(REPO, BOTH)
    hub.faults["HEAD", WEIGHTS] = repeat(fault)
    assert download(REPO, BOTH) == paths


def test_a_refused_connection_is_an_error_and_the_cache_serves(cache, monkeypatch, closed_port):
    paths = download(REPO, BOTH)
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{closed_port}")
    assert download(REPO, BOTH) == paths
    shutil.rmtree(cache)
    with pytest.raises(ConnectionError, match="Connection refused") as error:
        download(REPO, BOTH)
    assert str(closed_port) in str(error.value)
    assert not cache.exists()


def test_a_cache_with_one_file_of_two_does_not_serve(cache, monkeypatch, closed_port):
    download(REPO, [CONFIG])
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{closed_port}")
    with pytest.raises(ConnectionError):
        download(REPO, BOTH)


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_a_silent_server_is_given_up_after_the_time_limit(hub, cache, impatience, method):
    hub.faults[method, WEIGHTS] = repeat(Fault(mute=True))
    start = time.monotonic()
    with pytest.raises(ConnectionError, match="the time limit is 0.8 s"):
        download(REPO, [WEIGHTS])
    assert impatience <= time.monotonic() - start < 5
    asked = [r.method for r in hub.log if "/resolve/" in r.path]
    assert asked == (["HEAD"] if method == "HEAD" else ["HEAD", "GET", "GET"])


def test_the_time_limit_of_the_environment_holds_and_two_tries_are_all(hub):
    hub.faults["GET", WEIGHTS] = repeat(Fault(mute=True))
    start = time.monotonic()
    name, message = result(start_child(HF_HUB_DOWNLOAD_TIMEOUT="1"))
    assert name == "ConnectionError" and "the time limit is 1 s" in message
    assert len(hub.sent(WEIGHTS)) == 2
    assert 2 < time.monotonic() - start < 8


@pytest.mark.parametrize("method", ["HEAD", "GET"])
@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
def test_one_server_error_is_passed_over(hub, method, status):
    hub.faults[method, WEIGHTS] = iter([Fault(status=status)])
    assert contents(download(REPO, BOTH)) == list(FILES.values())


@pytest.mark.parametrize(
    ("seed", "then"), [(0, "cut"), (1, "cut"), (2, "cut"), (3, "cut"), (4, "mute")]
)
def test_after_a_cut_only_the_rest_is_asked_for(hub, impatience, seed, then):
    rng = random.Random(seed)
    faults = [Fault(after=rng.randint(17_000, 30_000), then=then) for _ in range(2)]
    hub.faults["GET", WEIGHTS] = iter(faults)
    assert contents(download(REPO, BOTH)) == list(FILES.values())
    (first, sent_1), (second, sent_2), (third, sent_3) = hub.sent(WEIGHTS)
    there_1 = int(second.removeprefix("bytes=").removesuffix("-"))
    there_2 = int(third.removeprefix("bytes=").removesuffix("-"))
    assert first is None and 0 < there_1 < there_2
    assert there_1 <= sent_1 < there_1 + module._PIECE
    assert there_2 <= there_1 + sent_2 < there_2 + module._PIECE
    assert sent_3 == SIZE - there_2


def test_a_line_that_is_cut_at_each_try_still_brings_the_file(hub):
    hub.faults["GET", WEIGHTS] = repeat(Fault(after=20_000))
    assert contents(download(REPO, BOTH)) == list(FILES.values())
    starts = range(20_000, SIZE, 20_000)
    assert [asked for asked, _ in hub.sent(WEIGHTS)] == [None, *(f"bytes={n}-" for n in starts)]


def test_cuts_that_bring_nothing_end_in_an_error_and_the_next_call_goes_on(hub, cache):
    hub.faults["GET", WEIGHTS] = iter([Fault(after=70_000), *[Fault(after=0)] * 2])
    with pytest.raises(ConnectionError, match="0.1 MB of 0.1 MB are here and are kept") as error:
        download(REPO, BOTH)
    assert "call again" in str(error.value) and "IncompleteRead" in str(error.value)
    assert_nothing_false_is_kept(hub, cache)
    there = len(kept(cache)[f"{hub.digest(WEIGHTS)}.incomplete"])
    assert 70_000 - module._PIECE < there <= 70_000
    assert contents(download(REPO, BOTH)) == list(FILES.values())
    assert hub.sent(WEIGHTS)[-1] == (f"bytes={there}-", SIZE - there)


def test_a_server_that_knows_no_ranges_sends_the_whole_again(hub):
    hub.faults["GET", WEIGHTS] = iter([Fault(after=50_000), Fault(ranges=False)])
    assert contents(download(REPO, BOTH)) == list(FILES.values())
    assert [sent for _, sent in hub.sent(WEIGHTS)] == [50_000, SIZE]


def test_a_server_that_knows_no_ranges_and_always_cuts_is_given_up(hub, cache):
    hub.faults["GET", WEIGHTS] = repeat(Fault(after=50_000, ranges=False))
    with pytest.raises(ConnectionError, match="are kept"):
        download(REPO, BOTH)
    assert_nothing_false_is_kept(hub, cache)


def test_a_large_file_shows_its_progress(hub, cache, monkeypatch, capsys):
    download(REPO, [CONFIG])
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(module, "_LARGE", SIZE)
    part = FILES[WEIGHTS][:50_000]
    (cache / "blobs" / f"{hub.digest(WEIGHTS)}.incomplete").write_bytes(part)
    download(REPO, BOTH)
    shown = capsys.readouterr().err
    assert WEIGHTS in shown and "100%" in shown and CONFIG not in shown


def test_a_slow_server_is_waited_for_as_long_as_it_sends(hub, impatience):
    hub.faults["GET", WEIGHTS] = iter([Fault(pause=0.01)])
    start = time.monotonic()
    assert contents(download(REPO, BOTH)) == list(FILES.values())
    assert time.monotonic() - start > impatience
    assert hub.sent(WEIGHTS) == [(None, SIZE)]


def test_a_server_that_sends_next_to_nothing_counts_as_silent(hub, cache, impatience):
    hub.faults["GET", WEIGHTS] = repeat(Fault(pause=0.05, piece=1))
    start = time.monotonic()
    with pytest.raises(ConnectionError, match="only [0-9]+ bytes in 0.8 s") as error:
        download(REPO, BOTH)
    assert time.monotonic() - start < 8 and len(hub.sent(WEIGHTS)) == 2
    assert "are here and are kept" in str(error.value)
    assert_nothing_false_is_kept(hub, cache)


@pytest.mark.parametrize("name", BOTH)
def test_what_follows_the_announced_size_is_not_waited_for_and_not_kept(hub, cache, name):
    hub.faults["GET", name] = repeat(Fault(longer=MUCH))
    assert contents(download(REPO, BOTH)) == list(FILES.values())
    ((_, sent),) = hub.sent(name)
    assert sent < MUCH / 2
    assert_nothing_false_is_kept(hub, cache)


def test_the_body_of_a_redirect_is_not_read(hub):
    hub.faults["REDIRECT", WEIGHTS] = repeat(Fault(redirect=MUCH))
    assert contents(download(REPO, BOTH)) == list(FILES.values())
    assert all(request.sent < MUCH / 2 for request in hub.log)


# Damage -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("place", [0, 11, -1])
def test_a_file_that_arrives_damaged_is_fetched_once_more(hub, name, place):
    flip = place % len(FILES[name])
    hub.faults["GET", name] = iter([Fault(flip=flip)])
    assert contents(download(REPO, BOTH)) == list(FILES.values())
    assert hub.sent(name) == [(None, len(FILES[name]))] * 2


@pytest.mark.parametrize("name", BOTH)
def test_a_file_that_always_arrives_damaged_is_an_error_and_is_not_kept(hub, cache, name):
    hub.faults["GET", name] = repeat(Fault(flip=7))
    with pytest.raises(ValueError, match="arrived damaged twice") as error:
        download(REPO, BOTH)
    assert name in str(error.value) and hub.digest(name) in str(error.value)
    assert len(hub.sent(name)) == 2
    assert not any(key.startswith(hub.digest(name)) for key in kept(cache))
    assert_nothing_false_is_kept(hub, cache)


def test_damage_before_a_cut_is_found_after_it(hub):
    hub.faults["GET", WEIGHTS] = iter([Fault(after=50_000, flip=7)])
    assert contents(download(REPO, BOTH)) == list(FILES.values())
    assert [asked is None for asked, _ in hub.sent(WEIGHTS)] == [True, False, True]


@pytest.mark.parametrize("length", [40_000, SIZE, SIZE + 1])
def test_a_part_of_another_file_does_not_survive(hub, cache, length):
    (cache / "blobs").mkdir(parents=True)
    (cache / "blobs" / f"{hub.digest(WEIGHTS)}.incomplete").write_bytes(bytes(length))
    assert contents(download(REPO, BOTH)) == list(FILES.values())
    assert kept(cache).keys() == {hub.digest(name) for name in BOTH}


@pytest.mark.parametrize("name", BOTH)
def test_a_damaged_file_in_the_cache_is_fetched_anew_and_no_other(hub, cache, name):
    paths = download(REPO, BOTH)
    other = next(n for n in BOTH if n != name)
    untouched = (cache / "blobs" / hub.digest(other)).stat()
    damaged = bytearray(FILES[name])
    damaged[5] ^= 16
    (cache / "blobs" / hub.digest(name)).write_bytes(damaged)
    assert download(REPO, BOTH) == paths
    assert contents(paths) == list(FILES.values())
    assert all(path.is_symlink() for path in paths)
    assert (len(hub.sent(name)), len(hub.sent(other))) == (2, 1)
    after = (cache / "blobs" / hub.digest(other)).stat()
    assert (after.st_ino, after.st_mtime_ns) == (untouched.st_ino, untouched.st_mtime_ns)


def test_a_damaged_file_in_the_cache_is_removed_even_if_no_other_arrives(hub, cache):
    paths = download(REPO, BOTH)
    paths[1].write_bytes(bytes(SIZE))
    hub.faults["GET", WEIGHTS] = repeat(Fault(status=503))
    with pytest.raises(ConnectionError, match="503 Service Unavailable"):
        download(REPO, BOTH)
    assert not paths[1].exists()  # for transformers, too
    assert_nothing_false_is_kept(hub, cache)


def test_a_damaged_file_in_the_cache_is_an_error_where_the_hub_cannot_be_asked(cache, hub):
    paths = download(REPO, BOTH)
    paths[1].write_bytes(FILES[WEIGHTS][:-1])
    hub.faults["HEAD", CONFIG] = repeat(Fault(status=500))
    with pytest.raises(ValueError, match="is damaged; call again with a network"):
        download(REPO, BOTH)
    hub.faults.clear()
    assert contents(download(REPO, BOTH)) == list(FILES.values())


def test_a_damaged_file_of_huggingface_hubs_common_store_is_replaced_here_alone(hub, cache):
    paths = download(REPO, BOTH)
    store = cache.parent / "blobs" / "ab" / ("ab" * 32)  # named by another hash, not SHA-256
    store.parent.mkdir(parents=True)
    blob = cache / "blobs" / hub.digest(WEIGHTS)
    os.replace(blob, store)
    blob.symlink_to(os.path.relpath(store, blob.parent))
    hub.faults["HEAD", CONFIG] = repeat(Fault(status=500))
    assert download(REPO, BOTH) == paths  # compared with the hash of the content, not the store's
    hub.faults.clear()
    store.write_bytes(b"damaged")
    assert contents(download(REPO, BOTH)) == list(FILES.values())
    assert store.read_bytes() == b"damaged" and not blob.is_symlink()


def test_the_hash_of_a_small_file_is_gits():
    # `printf 'hello\n' | git hash-object --stdin`, and of an empty file
    assert git_hash(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"
    assert git_hash(b"") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    assert not is_large(CONFIG) and is_large(WEIGHTS)


def test_an_empty_file_is_whole(hub):
    hub.files[CONFIG] = b""
    assert contents(download(REPO, [CONFIG])) == [b""]


# The disk ---------------------------------------------------------------------------------------


def test_a_disk_that_fills_up_is_an_error_and_the_next_call_goes_on(hub, cache):
    # The system's limit on the size of a file stands for the disk's end: the write fails likewise.
    name, message = result(start_child(limit=60_000))
    assert name == "OSError"
    for part in (WEIGHTS, "MB are free", "File too large", "call again", "HF_HOME", str(cache)):
        assert part in message
    assert_nothing_false_is_kept(hub, cache)
    assert len(kept(cache)[f"{hub.digest(WEIGHTS)}.incomplete"]) == 60_000
    assert contents(download(REPO, BOTH)) == list(FILES.values())
    assert hub.sent(WEIGHTS)[1:] == [("bytes=60000-", SIZE - 60_000)]


def test_a_disk_without_room_is_not_filled(hub, cache, monkeypatch):
    usage = shutil.disk_usage(cache.anchor)._replace(free=SIZE - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(OSError, match="0.1 MB more of model.safetensors must fit into") as error:
        download(REPO, BOTH)
    assert error.value.errno == errno.ENOSPC and "0.1 MB are free" in str(error.value)
    assert hub.sent(WEIGHTS) == []
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=SIZE))
    assert contents(download(REPO, BOTH)) == list(FILES.values())


def test_a_cache_that_is_no_folder_is_an_error_that_names_it(tmp_path):
    (tmp_path / "hub").write_text("a file")
    with pytest.raises(OSError, match="must be a folder that you can write.*set HF_HOME") as error:
        download(REPO, BOTH)
    assert str(tmp_path / "hub") in str(error.value)


# Several processes ------------------------------------------------------------------------------


def test_two_processes_at_once_fetch_the_file_once_and_both_have_it(hub, cache):
    hub.faults["GET", WEIGHTS] = once_two_have_asked(hub)
    children = [start_child(), start_child()]
    for child in children:
        assert contents(map(Path, result(child))) == list(FILES.values())
    assert hub.sent(WEIGHTS) == [(None, SIZE)]
    assert kept(cache).keys() == {hub.digest(name) for name in BOTH}


def test_a_killed_process_leaves_nothing_that_looks_whole_and_the_next_goes_on(hub, cache):
    hub.faults["GET", WEIGHTS] = iter([Fault(pause=0.01)])
    child = start_child()
    partial = cache / "blobs" / f"{hub.digest(WEIGHTS)}.incomplete"
    wait_until(lambda: partial.exists() and partial.stat().st_size > SIZE // 3)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert child.returncode == -signal.SIGKILL
    there = partial.stat().st_size
    assert SIZE // 3 < there < SIZE
    assert_nothing_false_is_kept(hub, cache)
    assert not (cache / "snapshots" / hub.commit / WEIGHTS).exists()
    assert contents(download(REPO, BOTH)) == list(FILES.values())
    assert hub.sent(WEIGHTS)[1:] == [(f"bytes={there}-", SIZE - there)]


# The whole way, from a name to a model ----------------------------------------------------------

ASKS = """
import sys, torch
from gpt2course.model import GPT2
try:
    model = GPT2.from_pretrained(sys.argv[1])
    print(model(torch.tensor([[3, 1, 4]])).sum().item())
except (ValueError, OSError) as error:
    print(type(error).__name__, error)
"""


def asked_for(name):
    command = [sys.executable, "-c", ASKS, name]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_a_released_name_becomes_a_model_also_later_without_the_hub(tmp_path, monkeypatch):
    config = GPT2Config(n_layer=2, n_head=3, n_embd=15, n_ctx=11, vocab_size=61)
    torch.manual_seed(0)
    model = GPT2(config)
    model.save_pretrained(tmp_path / "made")
    files = {name: (tmp_path / "made" / name).read_bytes() for name in BOTH}
    expected = str(model(torch.tensor([[3, 1, 4]])).sum().item())
    with Hub("openai-community/gpt2", files) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        assert asked_for("gpt2") == expected
    assert asked_for("openai-community/gpt2") == expected  # the server is gone
    assert asked_for("gpt2-medium").startswith("ConnectionError config.json of openai-community/")


def test_a_damaged_checkpoint_never_becomes_a_model(hub):
    assert asked_for("owner/name").startswith("ValueError")  # its config is no GPT-2's
    assert "there is no folder owner/other here, and" in asked_for("owner/other")
