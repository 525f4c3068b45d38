"""Files of a model repository on the Hugging Face hub: whole, or a clear error.

They lie where huggingface_hub keeps them, so that transformers finds them too, and HF_ENDPOINT,
HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE, HF_TOKEN and the time limits HF_HUB_ETAG_TIMEOUT and
HF_HUB_DOWNLOAD_TIMEOUT mean what they mean there. Only the transfer is done here: that of
huggingface_hub 2.4 throws away what it has when it fails or is killed, and up to 10 MB at each cut,
tries a silent server again for minutes, waits for one byte a second without end, writes whatever
follows the file, and compares no file with its hash.

The cache, of which `blobs` holds each content under its hash:

    models--owner--name/blobs/<hash>                    <hash>.incomplete while it is fetched
    models--owner--name/snapshots/<commit>/config.json  a link to the content
    models--owner--name/refs/main                       the commit seen last
"""

import contextlib
import errno
import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import quote, urljoin, urlsplit

import requests
import urllib3
from huggingface_hub import constants  # quick to import, unlike the rest of huggingface_hub

from gpt2course.files.text import printable
from gpt2course.files.whole import write_whole

_TRIES = 2  # that bring next to nothing, in a row, before the network is given up
_PAUSE = 1.0  # seconds before the next try
_CONNECT_SECONDS = 3.0  # for each address of the server, of which the hub has several
_SLOWEST = 1_000  # bytes a second, below which a server counts as silent
_REDIRECTS = 5
_PIECE = 1 << 14  # bytes that are written at a time, at most
_LARGE = 10_000_000  # bytes from which on a bar shows the progress


@dataclass(frozen=True)
class _File:
    """A file as the hub describes it."""

    repo_id: str
    name: str
    commit: str  # 40 hex digits
    hash: str  # of the content: SHA-256, or git's SHA-1 for a small file
    size: int  # bytes

    @property
    def url(self) -> str:
        return _url(self.repo_id, self.commit, self.name)

    @property
    def blob(self) -> Path:
        return _folder(self.repo_id) / "blobs" / self.hash

    @property
    def partial(self) -> Path:
        return self.blob.with_name(f"{self.hash}.incomplete")

    @property
    def pointer(self) -> Path:
        return _folder(self.repo_id) / "snapshots" / self.commit / self.name

    @property
    def lock(self) -> Path:
        """Where huggingface_hub's own downloads of this content lock each other out, too."""
        folder = _folder(self.repo_id)
        return folder.parent / ".locks" / folder.name / f"{self.hash}.lock"


def download(repo_id: str, filenames: Sequence[str], revision: str = "main") -> list[Path]:
    """The paths of the files, all of one commit, fetched where they are not in the cache.

    Args:
        revision: a branch, a tag or a commit.

    Each file is compared with its hash, also one from the cache (0.6 s per GB, 1.5 s on a
    processor without SHA instructions); a damaged one is fetched anew. Where the hub can't be
    asked, the cache's own last commit is used. (Without symbolic links, as on many a Windows, the
    hash of a cached file is not known then, and not compared.)

    Raises:
        ConnectionError: the hub can't be reached, and the cache does not hold all of the files.
            What did arrive is kept, and the next call goes on from there.
        FileNotFoundError: there is no such repository, or no such file in it.
        PermissionError: the repository is gated, or the token is refused.
        ValueError: the file arrives damaged, twice, or is damaged in the cache while the hub can't
            be asked; or a name is none.
        OSError: the disk is full, or the cache's folder can't be written.
    """
    _check_names(repo_id, filenames, revision)
    files: list[_File] = []
    try:
        for name in filenames:
            files.append(_describe(repo_id, files[0].commit if files else revision, name))
    except ConnectionError:
        cached = _cached(repo_id, filenames, revision)
        if cached is None:
            raise
        return cached
    paths = [_fetch(file) for file in files]
    for file in files[:1]:
        _note_commit(file, revision)
    return paths


def _check_names(repo_id: str, filenames: Sequence[str], revision: str) -> None:
    from huggingface_hub.utils import validate_repo_id

    validate_repo_id(repo_id)
    for name, what in [*((name, "a file's name") for name in filenames), (revision, "a revision")]:
        path = PurePosixPath(name)
        if not path.parts or path.is_absolute() or ".." in path.parts or re.search(r"[\\:]", name):
            raise ValueError(f"{what} must be a path inside the repository, got {name!r}")


def _folder(repo_id: str) -> Path:
    return Path(constants.HF_HUB_CACHE).expanduser() / f"models--{repo_id.replace('/', '--')}"


def _url(repo_id: str, revision: str, name: str) -> str:
    return f"{constants.ENDPOINT}/{repo_id}/resolve/{quote(revision, safe='')}/{quote(name)}"


# What the hub says ------------------------------------------------------------------------------


def _describe(repo_id: str, revision: str, name: str) -> _File:
    """Ask for a file's commit, hash and size."""
    if constants.HF_HUB_OFFLINE:
        raise _unreachable(repo_id, name, "HF_HUB_OFFLINE is set and forbids it")
    for pause in (0, _PAUSE):
        time.sleep(pause)
        try:
            url, limits = _url(repo_id, revision, name), _limits(constants.HF_HUB_ETAG_TIMEOUT)
            answer = requests.head(url, headers=_headers(), timeout=limits, allow_redirects=True)
            return _read_description(repo_id, revision, name, answer)
        except requests.RequestException as error:
            cause = error
            if isinstance(error, requests.Timeout):
                break  # a silent server; the cache, or the error, should not take twice as long
    reason = _reason(cause, constants.HF_HUB_ETAG_TIMEOUT)
    raise _unreachable(repo_id, name, reason) from cause


def _limits(seconds: float) -> tuple[float, float]:
    """For the connection to an address, and for each wait for an answer."""
    return min(_CONNECT_SECONDS, seconds), seconds


def _headers() -> dict[str, str]:
    """Who asks. huggingface_hub's own function for it would ask the network first."""
    from huggingface_hub import get_token

    token = None if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else get_token()
    headers = {"user-agent": "gpt2course", "accept-encoding": "identity"}
    return {**headers, "authorization": f"Bearer {token}"} if token else headers


def _read_description(repo_id: str, revision: str, name: str, response: requests.Response) -> _File:
    """The headers of an answer; a large file's stand on the way, in the redirect to its store."""
    answers = [*response.history, response]
    headers = {key: value for answer in answers for key, value in answer.headers.lower_items()}
    if "x-linked-etag" not in headers:
        _check_status(repo_id, revision, name, response)
        headers |= {"x-linked-etag": headers.get("etag", "")}
        headers |= {"x-linked-size": headers.get("content-length", "")}
    commit, size = headers.get("x-repo-commit", ""), headers.get("x-linked-size", "")
    digest = headers["x-linked-etag"].removeprefix("W/").strip('"')
    is_hub = re.fullmatch("[0-9a-f]{40}", commit) and re.fullmatch("[0-9]{1,15}", size)
    if not is_hub or not re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", digest):
        host = urlsplit(response.url).netloc
        reason = f"{host} does not answer as the hub does; is there a log-in page in between?"
        raise _unreachable(repo_id, name, reason)
    return _File(repo_id, name, commit, digest, int(size))


def _check_status(repo_id: str, revision: str, name: str, response: requests.Response) -> None:
    """Raise what a refusal means. The hub answers 401 for what does not exist, too."""
    status, code = response.status_code, response.headers.get("X-Error-Code", "")
    host = urlsplit(response.url).netloc  # not all of it: a store's address holds a signature
    said = printable(f"{host} answers {status} {code}".strip())
    if status in (408, 429) or status >= 500:
        response.raise_for_status()
    token = "log in with `hf auth login`, or set HF_TOKEN to a token that may read it"
    if status == 403 or code == "GatedRepo":
        raise PermissionError(
            f"{repo_id} must be open to you, and is gated or closed ({said}); ask for access on "
            f"{constants.ENDPOINT}/{repo_id}, then {token}"
        )
    if "Invalid credentials" in response.headers.get("X-Error-Message", ""):
        raise PermissionError(
            f"the token for {repo_id} must be valid, and is refused ({said}); {token}"
        )
    if code == "RevisionNotFound":
        raise FileNotFoundError(
            f"{repo_id} must have a revision {revision!r}, and has none ({said}); see which there "
            f"are on {constants.ENDPOINT}/{repo_id}/tree/main"
        )
    if code == "EntryNotFound":
        raise FileNotFoundError(
            f"{repo_id} must hold {name}, and does not ({said}); see which files there are on "
            f"{constants.ENDPOINT}/{repo_id}/tree/main"
        )
    if status in (401, 404):
        raise FileNotFoundError(
            f"{repo_id} must be a repository with {name}, and there is none, or a private one "
            f"({said}); mind the spelling, and for a private one {token}"
        )
    if status >= 400:
        raise _unreachable(repo_id, name, said)


def _reason(error: Exception | None, seconds: float) -> str:
    """What went wrong, in the words of the cause that says it shortest."""
    if error is None:
        return "the answers end too soon"
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"{error.response.status_code} {error.response.reason}"
    inner: BaseException = error.__context__ or error
    while inner.__cause__:
        inner = inner.__cause__
    return f"{type(inner).__name__}: {inner}; the time limit is {seconds:g} s"


def _unreachable(repo_id: str, name: str, reason: str) -> ConnectionError:
    return ConnectionError(
        f"{name} of {repo_id} must come from {constants.ENDPOINT}, and could not be fetched "
        f"({printable(reason)}); with a network, call again; without one, copy "
        f"{_folder(repo_id)} from a machine that has it"
    )


# What the cache holds ---------------------------------------------------------------------------


def _cached(repo_id: str, filenames: Sequence[str], revision: str) -> list[Path] | None:
    """The files of the revision's commit seen last, if all are there."""
    from huggingface_hub import try_to_load_from_cache

    cache = constants.HF_HUB_CACHE
    found = [try_to_load_from_cache(repo_id, name, cache, revision) for name in filenames]
    paths = [Path(path) for path in found if isinstance(path, str)]
    if len(paths) < len(found):
        return None
    for path in paths:
        # One step only: the blob may itself be a link, into a store whose names are other hashes.
        if path.is_symlink() and not _matches(path, Path(os.readlink(path)).name):
            raise ValueError(
                f"{path} must have the hash under which it is kept, but is damaged; call again "
                f"with a network, and it is fetched anew"
            )
    return paths


def _matches(path: Path, digest: str) -> bool:
    """Whether the file is there and its content has this hash."""
    if not path.is_file():
        return False
    with path.open("rb") as content:
        if len(digest) == 64:
            return hashlib.file_digest(content, "sha256").hexdigest() == digest
        header = b"blob %d\0" % path.stat().st_size  # as git hashes a file
        git_hash = hashlib.file_digest(content, lambda: hashlib.sha1(header))
        return git_hash.hexdigest() == digest


def _link(file: _File) -> None:
    """Make the content visible under its name."""
    file.pointer.unlink(missing_ok=True)
    try:
        file.pointer.symlink_to(os.path.relpath(file.blob, file.pointer.parent))
    except OSError:  # where links are not allowed, huggingface_hub moves the file there, too
        os.replace(file.blob, file.pointer)


def _note_commit(file: _File, revision: str) -> None:
    if revision == file.commit:
        return
    ref = _folder(file.repo_id) / "refs" / revision
    with contextlib.suppress(OSError):  # a class may share a cache that it can't write
        if not ref.exists() or ref.read_text() != file.commit:
            write_whole(ref, file.commit.encode())


# The transfer -----------------------------------------------------------------------------------


def _fetch(file: _File) -> Path:
    """The path of the file, whole; one process at a time fetches it, and the others wait."""
    from huggingface_hub.utils import WeakFileLock

    if _matches(file.pointer, file.hash):
        return file.pointer
    _make_folders(file)
    with WeakFileLock(file.lock):
        if not _matches(file.pointer, file.hash):  # or another process has just brought it
            if not _matches(file.blob, file.hash):
                file.blob.unlink(missing_ok=True)  # damaged, and nobody else should read it
                _download_blob(file)
            _link(file)
    return file.pointer


def _make_folders(file: _File) -> None:
    try:
        for path in (file.blob, file.pointer, file.lock):
            path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = f"the cache {constants.HF_HUB_CACHE} must be a folder that you can write"
        raise OSError(error.errno, f"{reason} ({error}); set HF_HOME to one") from error


def _download_blob(file: _File) -> None:
    """Fetch what is missing, and call it the content only once it has the hash."""
    for _ in range(2):
        _complete(file)
        if _matches(file.partial, file.hash):
            os.replace(file.partial, file.blob)
            return
        file.partial.unlink()
    raise ValueError(
        f"{file.name} of {file.repo_id} must have the hash {file.hash}, and arrived damaged twice; "
        f"nothing of it is kept. Call again, over another network if need be"
    )


def _complete(file: _File) -> None:
    """Append to what is there until all is; a cut is taken up where it happened."""
    from huggingface_hub.utils import tqdm

    file.partial.touch()
    fruitless = 0
    bar = {"desc": file.name, "total": file.size, "initial": file.partial.stat().st_size}
    with tqdm(**bar, unit="B", unit_scale=True, disable=file.size < _LARGE) as progress:
        while (there := file.partial.stat().st_size) < file.size:
            _check_space(file, there)
            cut = _append(file, there, progress.update)
            now = file.partial.stat().st_size
            enough = _SLOWEST * constants.HF_HUB_DOWNLOAD_TIMEOUT
            if now == file.size:
                break
            fruitless = 0 if now - there >= enough else fruitless + 1
            if fruitless == _TRIES:
                reason = _reason(cut, constants.HF_HUB_DOWNLOAD_TIMEOUT)
                kept = f"{_megabytes(now)} of {_megabytes(file.size)} are here and are kept"
                raise _unreachable(file.repo_id, file.name, f"{reason}; {kept}") from cut
            time.sleep(_PAUSE)


def _append(file: _File, there: int, report: Callable[[int], object]) -> Exception | None:
    """Write the rest as it comes; the return value is what cut it off, if anything."""
    headers = {**_headers(), "range": f"bytes={there}-"} if there else _headers()
    try:
        with _Session() as session, session.follow(file.url, headers) as answer:
            _check_status(file.repo_id, file.commit, file.name, answer)
            start = there if answer.status_code == 206 else 0  # some servers know no ranges
            _write(file, start, answer, report)
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        return error
    return None


class _Session(requests.Session):
    """Follows redirects without reading their bodies, of which requests would read all."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        """None, so that requests itself follows nowhere."""

    def follow(self, url: str, headers: dict[str, str]) -> requests.Response:
        limits = _limits(constants.HF_HUB_DOWNLOAD_TIMEOUT)
        for _ in range(_REDIRECTS):
            answer = self.get(url, headers=headers, timeout=limits, stream=True)
            if not answer.is_redirect:
                return answer
            answer.close()
            target = urljoin(url, answer.headers["location"])
            if urlsplit(target).netloc != urlsplit(url).netloc:
                headers.pop("authorization", None)  # the token is for the hub alone
            url = target
        raise requests.TooManyRedirects(f"{_REDIRECTS} redirects lead to no file")


def _write(
    file: _File, start: int, answer: requests.Response, report: Callable[[int], object]
) -> None:
    """Write what arrives from byte `start` on, up to the size that the hub announced."""
    seconds = constants.HF_HUB_DOWNLOAD_TIMEOUT
    since, count = time.monotonic(), 0  # of the bytes that came within the time limit
    try:
        with file.partial.open("ab") as partial:
            partial.truncate(start)
            missing = file.size - start
            while missing:
                piece = answer.raw.read1(min(_PIECE, missing))  # what there is, without delay
                if not piece:
                    break
                partial.write(piece)
                missing -= len(piece)
                report(len(piece))
                count += len(piece)
                if time.monotonic() - since > seconds:
                    if count < _SLOWEST * seconds:
                        raise requests.ReadTimeout(f"only {count:,} bytes in {seconds:g} s")
                    since, count = time.monotonic(), 0
    except requests.RequestException:  # an OSError, too, but not one of the disk
        raise
    except OSError as error:
        raise _disk_error(file, error.errno or errno.EIO, error.strerror or str(error)) from error


def _check_space(file: _File, there: int) -> None:
    if shutil.disk_usage(file.partial.parent).free < file.size - there:
        raise _disk_error(file, errno.ENOSPC, os.strerror(errno.ENOSPC))


def _disk_error(file: _File, number: int, said: str) -> OSError:
    there = file.partial.stat().st_size
    free = shutil.disk_usage(file.partial.parent).free
    return OSError(
        number,
        f"{_megabytes(file.size - there)} more of {file.name} must fit into {file.partial.parent}, "
        f"where {_megabytes(free)} are free, but can't be written ({said}); make room and call "
        f"again, which goes on from the {_megabytes(there)} that are here, or set HF_HOME to a "
        f"folder on another disk",
    )


def _megabytes(n: int) -> str:
    return f"{n / 1e6:,.1f} MB"
