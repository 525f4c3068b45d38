"""A Hugging Face hub of one repository on this machine, whose faults a test chooses."""

import hashlib
import re
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

MUCH = 20_000_000  # bytes of an answer that never ends by itself, sent if nobody hangs up


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one answer; nothing, as it stands."""

    status: int = 0  # instead of the answer
    code: str = ""  # the hub's X-Error-Code
    said: str = ""  # the hub's X-Error-Message
    mute: bool = False  # the request is taken, and never answered
    headers: dict[str, str] = field(default_factory=dict)  # instead of the right ones; "": none
    flip: int = -1  # the byte of the file that arrives changed
    after: int | None = None  # so many bytes are sent, and then ...
    then: str = "cut"  # ... the connection is "cut", or says nothing more ("mute")
    pause: float = 0.0  # seconds between pieces of so many bytes
    piece: int = 1_000
    longer: int = 0  # so many bytes follow the file
    redirect: int = 0  # bytes that follow the redirect to the file
    ranges: bool = True  # or the whole file is sent, whatever part is asked for


@dataclass
class Request:
    """A line of the server's log."""

    method: str
    path: str
    host: str
    range: str | None
    token: str | None
    sent: int = 0  # bytes of content


def git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0%s" % (len(content), content)).hexdigest()


def is_large(name: str) -> bool:
    return name.endswith(".safetensors")


class Hub(ThreadingHTTPServer):
    """Serves `files` as huggingface.co does: small ones from another path of its own, large ones
    from another host (which is this server under another name).

    `faults["GET", "model.safetensors"]` is an iterator with one fault for each answer that carries
    the file; `faults["HEAD", ...]` for each that describes it.
    """

    daemon_threads = True

    def __init__(self, repo_id: str, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repo_id, self.files, self.commit = repo_id, files, "c0ffee" + "0" * 34
        self.revision = "main"  # the only one there is, apart from the commit
        self.faults: dict[tuple[str, str], Iterator[Fault]] = {}
        self.log: list[Request] = []
        self.closing = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.store = f"http://localhost:{self.server_port}/store"

    def __enter__(self) -> "Hub":
        self.thread = threading.Thread(target=self.serve_forever, args=(0.01,))
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.closing.set()
        self.shutdown()
        self.thread.join()
        self.server_close()

    def fault(self, method: str, name: str) -> Fault:
        return next(self.faults.get((method, name), iter(())), Fault())

    def digest(self, name: str) -> str:
        content = self.files[name]
        return hashlib.sha256(content).hexdigest() if is_large(name) else git_hash(content)

    def sent(self, name: str) -> list[tuple[str | None, int]]:
        """The range and the bytes of each answer that carried this file."""
        log = [r for r in self.log if r.method == "GET" and "/resolve/" not in r.path]
        return [(r.range, r.sent) for r in log if r.path.endswith(f"/{name}")]

    def handle_error(self, request, client_address) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # a client that goes is no error
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub
    head_fault = Fault()  # of the description that is on its way, over two answers or one

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def log_message(self, *args: object) -> None:
        pass

    def answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        get = self.headers.get
        self.request_log = Request(
            self.command, path, get("Host", ""), get("Range"), get("Authorization")
        )
        self.server.log.append(self.request_log)
        name = path.rpartition("/")[2]
        start = f"/{self.server.repo_id}/resolve/"
        revision = path.removeprefix(start).removesuffix(f"/{name}")
        resolve = path.startswith(start) and revision in (self.server.revision, self.server.commit)
        if path.startswith(start) and not resolve:
            self.refuse(404, "RevisionNotFound")
        elif not resolve and not path.startswith(("/store/", "/api/resolve-cache/")):
            self.refuse(404 if self.request_log.token else 401, "RepoNotFound")
        elif self.command == "HEAD" and resolve and self.broken(self.next_head_fault(name)):
            self.break_off(self.head_fault)
        elif name not in self.server.files:
            self.refuse(404, "EntryNotFound")
        elif resolve:
            self.redirect(name)
        elif self.command == "GET":
            fault = self.server.fault("GET", name)
            self.break_off(fault) if self.broken(fault) else self.send_file(name, fault)
        elif path.startswith("/store/"):
            self.refuse(403)  # the address is signed for GET alone
        else:
            self.describe(name)

    def next_head_fault(self, name: str) -> Fault:
        self.head_fault = self.server.fault("HEAD", name)
        return self.head_fault

    @staticmethod
    def broken(fault: Fault) -> bool:
        return fault.mute or fault.status > 0

    def break_off(self, fault: Fault) -> None:
        if fault.mute:
            self.server.closing.wait()
            self.close_connection = True
        else:
            self.refuse(fault.status, fault.code, fault.said)

    def refuse(self, status: int, code: str = "", said: str = "") -> None:
        self.send_response(status)
        for key, value in (("X-Error-Code", code), ("X-Error-Message", said)):
            if value:
                self.send_header(key, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def redirect(self, name: str) -> None:
        headers = {"X-Repo-Commit": self.server.commit, "Content-Length": "0"}
        place = f"{self.server.repo_id}/{self.server.commit}/{name}"
        if is_large(name):
            headers["X-Linked-Etag"] = f'"{self.server.digest(name)}"'
            headers["X-Linked-Size"] = str(len(self.server.files[name]))
            headers["Location"] = f"{self.server.store}/{place}?signature=1"
        else:
            headers["Location"] = f"/api/resolve-cache/models/{place}?etag=1"
        fault = self.server.fault("REDIRECT", name) if self.command == "GET" else Fault()
        headers["Content-Length"] = str(fault.redirect)
        self.send_response(302 if is_large(name) else 307)
        self.send_headers(headers)
        self.send_pieces(bytes(fault.redirect), 100_000, 0.001)

    def describe(self, name: str) -> None:
        self.send_response(200)
        headers = {"X-Repo-Commit": self.server.commit, "ETag": f'W/"{self.server.digest(name)}"'}
        size = str(len(self.server.files[name]))
        packed = "gzip" in self.headers.get("Accept-Encoding", "")  # and then of unknown size
        self.send_headers(headers | {"Content-Length": "" if packed else size})

    def send_headers(self, headers: dict[str, str]) -> None:
        changed = self.head_fault.headers if self.command == "HEAD" else {}
        for key, value in (headers | changed).items():
            if value:
                self.send_header(key, value)
        self.end_headers()

    def send_file(self, name: str, fault: Fault) -> None:
        content = bytearray(self.server.files[name])
        content += bytes(fault.longer)
        size = len(content)
        if fault.flip >= 0:
            content[fault.flip] ^= 1
        asked = re.fullmatch(r"bytes=(\d+)-", self.request_log.range or "")
        start = int(asked[1]) if asked and fault.ranges else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        self.send_header("Content-Length", str(size - start))
        self.end_headers()
        end = size if fault.after is None else min(size, start + fault.after)
        step = fault.piece if fault.pause else 100_000
        if not self.send_pieces(content[start:end], step, fault.pause):
            return
        if end < size:
            if fault.then == "mute":
                self.server.closing.wait()
            self.close_connection = True

    def send_pieces(self, content: bytes, step: int, pause: float) -> bool:
        """Whether all of it was sent before the end of the test."""
        for position in range(0, len(content), step):
            piece = content[position : position + step]
            self.wfile.write(piece)
            self.request_log.sent += len(piece)
            if self.server.closing.wait(pause):
                return False
        return True
