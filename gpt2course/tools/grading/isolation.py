"""A process without rights for code that nobody has read: what Linux gives without a program more.

Where the machine allows, the process gets namespaces of its own: no network, no sight of other
processes, and empty folders where homes, hand-ins and temporary files are. Where it may change its
user, it runs as one that nobody is; always within limits of time, memory, processes and files.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import pwd
import resource
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

SECONDS = 30  # of computing
MEMORY = 2 * 2**30  # bytes more than the process that it was forked from has mapped
PROCESSES = 32
HOMES = "gpt2course-answer-"  # folders of processes, with the id of the one that started them
NOBODY = 400_000_000  # ids from here on belong to no user
LARGEST_FILE = 2**20  # bytes
TEMPORARY = ("/tmp", "/var/tmp", "/dev/shm", "/run/user")

NEWNS, NEWIPC, NEWUSER, NEWPID, NEWNET = (
    0x00020000, 0x08000000, 0x10000000, 0x20000000, 0x40000000,
)  # fmt: skip
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = (
    1, 2, 4, 32, 4096, 16384, 1 << 18,
)  # fmt: skip
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS, PR_SET_DUMPABLE = 1, 38, 4


@dataclass
class Isolated:
    """A process without rights, and the end of the pipe on which it may say something."""

    pid: int
    read_end: int
    home: Path

    def end(self) -> None:
        """End it with all that it started, and remove what it left."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        os.close(self.read_end)
        shutil.rmtree(self.home, ignore_errors=True)


def start_isolated(work: Callable[[int], None], hidden: Sequence[Path] = ()) -> Isolated:
    """Start a process that runs `work(write_end)` without rights.

    Args:
        work: called in that process with the end of the pipe to write to.
        hidden: folders of which it must see nothing.
    """
    home = Path(tempfile.mkdtemp(prefix=f"{HOMES}{os.getpid()}-"))
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid:
        os.close(write_end)
        return Isolated(pid, read_end, home)
    try:
        os.close(read_end)
        os.setsid()
        _die_with_parent()
        number = os.getpid()
        isolated = _enter_namespaces()
        if isolated:  # only a child of this process is the first in the new namespaces
            inner = os.fork()
            if inner:
                os.close(write_end)
                os.waitpid(inner, 0)
                os._exit(0)
            _die_with_parent()
        _give_up_rights(isolated, home, [Path(p).resolve() for p in hidden], write_end, number)
        work(write_end)
    finally:
        os._exit(0)


@functools.cache
def shortcomings() -> list[str]:
    """What a process of `start_isolated` can still do on this machine, in words."""
    process = start_isolated(_look_around)
    said = os.read(process.read_end, 1000).decode()
    process.end()
    seen, found = dict(part.split("=") for part in said.split()), []
    if seen.get("net") != "no":
        found.append("reach the network")
    if seen.get("pids") != "no":
        found.append("see this user's other processes")
    if seen.get("home") != "no":
        found.append("read your home folder")
    if seen.get("user") == "same" and seen.get("home") != "no":
        found.append("write where this user may write")
    return found


def _look_around(write_end: int) -> None:
    home = Path(pwd.getpwuid(OWNER).pw_dir)
    interfaces = [name for name in _interfaces() if name != "lo"]
    said = {
        "net": "yes" if interfaces else "no",
        "pids": "no" if os.getpid() < 10 else "yes",
        "home": "yes" if _can_list(home, but=_needed()) else "no",
        "user": "same" if os.getuid() == OWNER else "other",
    }
    os.write(write_end, " ".join(f"{key}={value}" for key, value in said.items()).encode())


OWNER = os.getuid()


def _interfaces() -> list[str]:
    import socket

    return [name for _, name in socket.if_nameindex()]


def _can_list(folder: Path, but: list[Path]) -> bool:
    try:
        return any(folder / name not in [*but, *(p for b in but for p in b.parents)]
                   for name in os.listdir(folder))  # fmt: skip
    except OSError:
        return False


def _enter_namespaces() -> bool:
    """Whether this process's children see no network, no other process and mounts of their own."""
    if sys.platform != "linux":
        return False
    libc = _libc()
    apart = NEWNS | NEWIPC | NEWPID | NEWNET
    if os.getuid() == 0 and libc.unshare(apart) == 0:
        return True
    uid, gid = os.getuid(), os.getgid()
    if libc.unshare(apart | NEWUSER) != 0:
        return False
    try:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    except OSError:
        pass
    return True


def _give_up_rights(isolated: bool, home: Path, hidden: list[Path], keep: int, number: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    if isolated:
        _hide(hidden)
        home.mkdir(parents=True, exist_ok=True)  # in an empty folder that only this process sees
    if OWNER == 0:
        nobody = NOBODY + number  # one each: what one starts is not counted against others
        os.chown(home, nobody, nobody)
        os.setgroups([])
        os.setresgid(nobody, nobody, nobody)
        os.setresuid(nobody, nobody, nobody)
    os.chdir(home)
    os.umask(0o077)
    os.environ.clear()
    os.environ.update(HOME=str(home), TMPDIR=str(home), PATH="/nonexistent", OMP_NUM_THREADS="1")
    tempfile.tempdir = str(home)
    _limit()
    for open_one in range(3, 256):
        if open_one != keep:
            with contextlib.suppress(OSError):
                os.close(open_one)
    if sys.platform == "linux":
        _libc().prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def _limit() -> None:
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() if (
        sys.platform == "linux"
    ) else 0  # fmt: skip
    limits = {resource.RLIMIT_CPU: SECONDS, resource.RLIMIT_FSIZE: LARGEST_FILE,
              resource.RLIMIT_CORE: 0, resource.RLIMIT_NOFILE: 256}  # fmt: skip
    if mapped:
        limits[resource.RLIMIT_AS] = mapped + MEMORY
    if os.getuid() != 0:  # root's processes are not counted
        limits[resource.RLIMIT_NPROC] = PROCESSES + (
            _own_processes() if os.getuid() == OWNER else 0
        )
    for kind, most in limits.items():
        _, hard = resource.getrlimit(kind)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))


def _own_processes() -> int:
    import psutil

    return sum(process.uids().real == OWNER for process in psutil.process_iter(["uids"]))


def _hide(hidden: list[Path]) -> None:
    """Put an empty folder over each that may hold what is not the answer's; keep Python's own."""
    libc, needed = _libc(), _needed()
    kept = [(path, os.open(path, os.O_PATH)) for path in needed]

    def mount(source: str, target: Path, kind: str, flags: int, options: str = "") -> int:
        return libc.mount(
            source.encode(), str(target).encode(), kind.encode(), flags, options.encode()
        )

    mount("none", Path("/"), "", MS_REC | MS_PRIVATE)
    homes = [Path(pwd.getpwuid(OWNER).pw_dir), Path("/home"), Path("/root")]
    for folder in [*map(Path, TEMPORARY), *homes, *hidden]:
        folder = folder.resolve()
        if not folder.is_dir() or folder in (Path("/"), *needed):
            continue
        mode = "1777" if str(folder) in TEMPORARY else "0755"
        mount("tmpfs", folder, "tmpfs", MS_NOSUID | MS_NODEV, f"mode={mode},size=16m")
    for path, number in kept:
        if not path.exists() or not any(path.iterdir()):  # it lies under one of these
            path.mkdir(parents=True, exist_ok=True)
            mount(f"/proc/self/fd/{number}", path, "", MS_BIND | MS_REC)
            mount("none", path, "", MS_BIND | MS_REMOUNT | MS_RDONLY)
    for _, number in kept:
        os.close(number)


def _needed() -> list[Path]:
    """The folders of Python, its packages and the course."""
    places = [sys.prefix, sys.base_prefix, str(Path(__file__).resolve().parents[2])]
    places += [path for path in sys.path if path.endswith("-packages") and os.path.isdir(path)]
    found: list[Path] = []
    for path in sorted({Path(p).resolve() for p in places}, key=lambda p: len(p.parts)):
        if not any(other in (path, *path.parents) for other in found):
            found.append(path)
    return found


def _die_with_parent() -> None:
    if sys.platform == "linux":
        _libc().prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
