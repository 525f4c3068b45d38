"""Set up this folder and start the course: `python3 course.py`, or `python3 course.py --help`.

Standard library only. The syntax stays that of Python 3.6, so that an older Python reads the file
far enough to say which Python is needed.
"""

import argparse
import contextlib
import datetime
import errno
import hashlib
import http.client
import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path

OLDEST_PYTHON = (3, 11)  # IPython 9 and NumPy 2.4 need it
TESTED_PYTHON = "3.11"
THIS_PYTHON = sys.version.split()[0]
NEW_ENOUGH = "import sys; sys.exit(sys.version_info < (3, 11))"
HERE = Path(os.path.realpath(__file__)).parent
VENV = HERE / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
STAMP = VENV / "course.json"  # what is installed; `{}` while an install is under way
LOG = VENV / "course-install.log"
LOCK = HERE / ".course.lock"
COPIES = "my_lessons"  # what the learner works in; lessons/ stays as it was published
BASES = ".published"  # in COPIES: the published notebook that each copy was made from
CPU_WHEELS = "https://download.pytorch.org/whl/cpu"
# GB to find free in this folder (1.7 stay; pip's cache is often beside it), for temporary files
SPACE, SPACE_CUDA, SPACE_UPDATE = (3, 1), (12, 5), (1, 1)
SPACE_REMEDY = (
    "free some space (`python3 -m pip cache purge` frees pip's), or move this folder to a larger "
    "disk; where the folder for temporary files is too small, set TMPDIR to another one. Then run "
    "the same command again."
)
LAB_SETTINGS = {  # defaults inside .venv only; the learner's own JupyterLab settings still win
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/docmanager-extension:plugin": {"defaultViewers": {"markdown": "Markdown Preview"}},
}

HELP = """\
python3 course.py                     set up (once), then open JupyterLab on the first lesson
python3 course.py setup               set up only, for instance while there is a network
python3 course.py update              bring new text of the lessons into your copies of them
python3 course.py test [ARGUMENTS]    set up, then run the tests; ARGUMENTS go to pytest
python3 course.py test --quick        without notebooks, the browser and whatever is slow

The first start makes .venv in this folder and installs PyTorch, JupyterLab and the course into
it: some minutes, the network, and about 2 GB of disk. Later starts take no time and no network.
Nothing is installed outside this folder; to undo everything, delete .venv.

You work in my_lessons, on copies that are never overwritten, so that lessons can be updated. Where
this folder is read-only, my_lessons lies in the folder from which you start.
"""
EXAMPLES = """\
examples:
  python3 course.py --port 9000 --no-browser     on another machine, say through ssh
  python3 course.py -- --ServerApp.token=secret  what stands after -- goes to JupyterLab
  python3 course.py test -k attention            only the tests whose name says attention
"""


class Problem(Exception):
    """What went wrong and what to do about it, for the person who started course.py."""


def say(text):
    print(text, flush=True)


# --- what has to hold before anything is installed ---


def require_python():
    """Stop on a Python that is too old, and name one on this machine that is not."""
    if sys.version_info[:2] >= OLDEST_PYTHON:
        return
    names = [f"python3.{minor}" for minor in range(14, OLDEST_PYTHON[1] - 1, -1)]
    newer = next((name for name in names if succeeds([name, "-c", NEW_ENOUGH])), None)
    remedy = "install a newer one (python.org, or your system's packages), start course.py with it."
    if newer:
        remedy = f"this machine has a newer one: {newer} course.py"
    raise Problem(
        f"The course needs Python 3.{OLDEST_PYTHON[1]} or newer; this is Python {THIS_PYTHON} "
        f"({sys.executable}).\nRemedy: {remedy}"
    )


def succeeds(command):
    """Whether `command` can be run and ends well; what it prints is dropped."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.call(command, stdin=subprocess.DEVNULL, timeout=60, **quiet) == 0
    return False


def require_venv_module():
    if importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip"):
        return
    raise Problem(
        f"This Python ({sys.executable}) cannot make virtual environments: its venv or ensurepip "
        "module is missing.\nRemedy: on Debian and Ubuntu `sudo apt install python3-venv`; "
        "elsewhere install Python from python.org. Then run the same command again."
    )


def require_space(here, temporary):
    for folder, wanted in ((HERE, here), (Path(tempfile.gettempdir()), temporary)):
        free = shutil.disk_usage(str(folder)).free / 1e9
        if free < wanted:
            raise Problem(
                f"Not enough disk space: setting up needs {wanted} GB free in {folder}, and there "
                f"is {free:.1f} GB.\nRemedy: {SPACE_REMEDY}"
            )


# --- what is installed ---


def fingerprint():
    """A hash of everything that decides what belongs into .venv."""
    inputs = [(HERE / name).read_bytes() for name in ("pyproject.toml", "constraints.txt")]
    inputs.append(json.dumps(LAB_SETTINGS).encode())
    return hashlib.sha256(b"\0".join(inputs)).hexdigest()


def read_stamp():
    """What is installed: None where course.py made nothing, {} where an install did not finish."""
    try:
        return dict(json.loads(STAMP.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError):
        return {}


def write_stamp(stamp):
    """Replace the stamp in one step, so that a reader sees the old or the new one."""
    new = STAMP.with_suffix(".new")
    new.write_text(json.dumps(stamp, indent=1) + "\n", encoding="utf-8")
    os.replace(str(new), str(STAMP))


def venv_python():
    """The version of .venv's Python as "3.12", or None where it does not run."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        command = [str(PYTHON), "-I", "-S", "-c", code]
        found = subprocess.check_output(command, stderr=subprocess.DEVNULL, timeout=60)
        return found.decode().strip()
    return None


def is_sound(stamp):
    """Whether .venv was finished by course.py, here, and its Python still is the one it was."""
    stamp = stamp or {}
    return stamp.get("folder") == str(HERE) and stamp.get("python") == venv_python()


def is_ready(stamp, test):
    stamp = stamp or {}
    enough = stamp.get("test") or not test
    return enough and stamp.get("inputs") == fingerprint() and is_sound(stamp)


# --- installing ---


@contextlib.contextmanager
def one_install_at_a_time():
    """Hold the lock of this folder; the system frees it when its holders end, however they end.

    pip inherits the lock, so a pip that outlives a killed course.py still keeps others out.
    """
    with open(str(LOCK), "a") as lock:
        os.set_inheritable(lock.fileno(), True)
        told = False
        while not take(lock.fileno()):
            if not told:
                say("Another start of course.py is installing here. Waiting for it to finish.")
                told = True
            time.sleep(0.3)
        yield


def take(lock):
    """Try to take the lock once; True too where the file system has no locks."""
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(lock, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
    return True


def set_up(test):
    """Bring .venv to what pyproject.toml and constraints.txt ask for; nothing to do is quick."""
    if is_ready(read_stamp(), test):
        return
    with one_install_at_a_time():
        stamp = read_stamp()
        if not is_ready(stamp, test):
            install(stamp, test)


def install(stamp, test):
    """Install into .venv, keeping it where it is sound and making it anew where it is not.

    The stamp reads `{}` from before the first change until all is in place and has been tried.
    """
    sound = is_sound(stamp)
    if stamp is None and VENV.exists() and any(VENV.iterdir()):
        raise Problem(
            f"There is a .venv in {HERE} that course.py did not make.\nRemedy: rename or delete "
            "it, then run the same command again."
        )
    if not sound:
        require_venv_module()
    require_space(*(SPACE_UPDATE if sound else SPACE))
    test = bool(test or (stamp or {}).get("test"))
    inputs, started, said = fingerprint(), time.time(), []
    VENV.mkdir(exist_ok=True)
    write_stamp({})
    LOG.write_text("")
    try:
        if not sound:
            make_venv(again=stamp is not None)
        pip_install(test, said)
    except BaseException:
        if sound and not any("Installing collected packages" in line for line in said):
            write_stamp(stamp)  # pip changed nothing yet
        raise
    say("[3/3] Trying it: import torch, gpt2course")
    try_imports()
    write_lab_settings()
    installed = {"folder": str(HERE), "python": venv_python(), "test": test}
    write_stamp(dict(installed, inputs=inputs))
    say(f"Ready, after {time.time() - started:.0f} s. The next start needs no network.")


def make_venv(again):
    """Make .venv, empty but for Python and pip; the stamp in it stays where it is."""
    if again:
        say("The .venv here is unfinished, or was moved, or its Python is gone: making it anew.")
    for entry in VENV.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(str(entry))
        elif entry not in (STAMP, LOG):
            entry.unlink()
    say(f"[1/3] Making .venv with Python {THIS_PYTHON}")
    in_venv = sys.prefix != sys.base_prefix
    python = getattr(sys, "_base_executable", sys.executable) if in_venv else sys.executable
    steps = (  # venv by itself would run ensurepip too, and keep what that says to itself
        [python, "-m", "venv", "--without-pip", str(VENV)],
        [str(PYTHON), "-m", "ensurepip", "--upgrade", "--default-pip"],
    )
    for command in steps:
        said = []
        if follow(command, said):
            raise Problem(failure("Python could not make .venv", said))


def pip_install(test, said):
    say("[2/3] Installing the course{} with pip".format(" and its tests" if test else ""))
    what = ".[course,site,test]" if test else ".[course]"
    command = [str(PYTHON), "-m", "pip", "install", "--progress-bar", "off"]
    command += ["-c", "constraints.txt", "-e", what] + torch_options()
    if follow(command, said):
        raise Problem(failure("pip could not install the course", said))


def try_imports():
    said = []
    command = [str(PYTHON), "-c", "import torch, gpt2course"]
    if follow(command, said, cwd=VENV, env=course_environment()):
        said = [line for line in said if not line.startswith((" ", "Traceback"))]
        raise Problem(failure("The course was installed but cannot be imported", said))


def write_lab_settings():
    """Switch JupyterLab's news pop-up off for this .venv alone."""
    folder = VENV / "share" / "jupyter" / "lab" / "settings" / "overrides.d"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "gpt2course.json").write_text(json.dumps(LAB_SETTINGS, indent=1), encoding="utf-8")


# --- which PyTorch ---


def torch_options():
    """pip options that prefer the small build of PyTorch on a Linux without an NVIDIA card."""
    pin = re.search(r"^torch==([\w.]+)", (HERE / "constraints.txt").read_text("utf-8"), re.M)
    if not sys.platform.startswith("linux") or not pin:
        return []
    if any(VENV.glob(f"lib/python3*/site-packages/torch-{pin.group(1)}*.dist-info")):
        return []
    if has_nvidia_card():
        say("NVIDIA card seen: PyTorch comes with CUDA, a download of several GB.")
        require_space(*SPACE_CUDA)
        return []
    if answers(CPU_WHEELS + "/torch/"):
        return ["--extra-index-url", CPU_WHEELS]
    if pin.group(1) + "+cpu" in versions_pip_finds("torch"):
        return []
    say(
        "No NVIDIA card seen, but PyTorch's server of CPU builds does not answer: taking the "
        "default build, which brings CUDA, a download of several GB."
    )
    require_space(*SPACE_CUDA)
    return []


def has_nvidia_card():
    if Path("/dev/nvidia0").exists():
        return True
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        names = subprocess.check_output(["nvidia-smi", "-L"], stderr=subprocess.DEVNULL, timeout=10)
        return b"GPU " in names
    return False


def answers(url, seconds=3.0):
    """Whether `url` can be fetched within `seconds`, name look-up included."""
    found = threading.Event()

    def ask():
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
            urllib.request.urlopen(url, timeout=seconds).close()
            found.set()

    asking = threading.Thread(target=ask, daemon=True)  # a name look-up knows no time limit
    asking.start()
    asking.join(seconds)
    return found.is_set()


def versions_pip_finds(package):
    command = [str(PYTHON), "-m", "pip", "index", "versions", package, "--retries", "0"]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        quiet = {"stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
        return subprocess.check_output(command, timeout=15, env=pip_environment(), **quiet).decode()
    return ""


# --- running and explaining ---


def pip_environment():
    """The user's environment and pip settings, without what would lead pip out of .venv."""
    leave = ("PYTHONHOME", "PYTHONPATH")
    env = {name: value for name, value in os.environ.items() if name not in leave}
    env.update(PIP_USER="0", PIP_DISABLE_PIP_VERSION_CHECK="1", PYTHONIOENCODING="utf-8")
    return env


def follow(command, said, cwd=HERE, env=None):
    """Run `command` behind one live line; return its exit code.

    Its output, line by line, goes to the list `said` and to the log.
    """
    process = subprocess.Popen(
        command,
        cwd=str(cwd),
        env=env or pip_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        close_fds=False,
    )

    def read():
        for line in process.stdout:
            said.append(line.decode("utf-8", "replace").rstrip())
            with contextlib.suppress(OSError), open(str(LOG), "a", encoding="utf-8") as log:
                print(said[-1], file=log)  # on a full disk the log ends, and the install goes on

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        with LiveLine() as live:
            while reader.is_alive():
                reader.join(0.5)
                live.show(condense(said[-1]) if said else "")
        return process.wait()
    finally:
        end(process)
        reader.join(5)


def end(process):
    """End a child that still runs, politely first; wait, so that it changes nothing any more."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def condense(line):
    """One line of pip's output in a few words, or nothing where it tells a learner nothing."""
    line = line.strip()
    if line.startswith("Installing collected packages:"):
        return "Unpacking {} packages".format(line.count(",") + 1)
    if "Retrying (Retry" in line:
        return "No answer from the package index, trying again"
    known = re.match(r"(Collecting|Downloading|Using cached|Building|Preparing)\b", line)
    return line if known else ""


class LiveLine:
    """A line that rewrites itself in a terminal, and a line every 20 s anywhere else."""

    def __enter__(self):
        self.terminal, self.started = sys.stdout.isatty(), time.time()
        self.text, self.printed = "", self.started
        return self

    def show(self, text):
        self.text = text or self.text
        now = time.time()
        line = f"      {now - self.started:3.0f} s  {self.text}"
        if self.terminal:
            width = shutil.get_terminal_size().columns - 1
            sys.stdout.write("\r" + line[:width].ljust(width))
            sys.stdout.flush()
        elif now - self.printed >= 20:
            say(line)
            self.printed = now

    def __exit__(self, *_):
        if self.terminal:
            sys.stdout.write("\r" + " " * (shutil.get_terminal_size().columns - 1) + "\r")


DISK_FULL = f"The disk is full, or your share of it.\nRemedy: {SPACE_REMEDY}"
KNOWN_FAILURES = (  # searched in this order
    (r"No space left on device|Disk quota exceeded|WinError 112", DISK_FULL),
    (
        r"CERTIFICATE_VERIFY_FAILED",
        "The package index's certificate is not trusted, as happens behind a proxy that opens "
        "secure connections.\nRemedy: set PIP_CERT to your network's certificate file, then run "
        "the same command again.",
    ),
    (
        r"connection error|Connection(Error| refused| aborted)|NewConnection|NameResolution"
        r"|ProxyError|ConnectTimeout|[Rr]ead timed out|ReadTimeout",
        "No answer from the package index: there seems to be no network. Setting up needs it "
        "once; the course itself does not.\nRemedy: connect, then run the same command again. "
        "Behind a proxy, set HTTPS_PROXY=http://host:port first.",
    ),
    (
        r"No matching distribution found for torch",
        f"PyTorch has no build for this Python {THIS_PYTHON} on this machine.\nRemedy: use a "
        f"64-bit Python {TESTED_PYTHON}; on a Mac, one with Apple silicon; on Linux, a "
        "distribution with glibc.",
    ),
    (
        r"No matching distribution found",
        "pip finds no such package where it looks.\nRemedy: see that there is a network, and "
        "whether `python3 -m pip config list` or a variable PIP_... sends pip to another index.",
    ),
    (
        r"DLL load failed|WinError 126",
        "A library of Windows is missing.\nRemedy: install Microsoft's Visual C++ "
        "Redistributable (x64), then run the same command again.",
    ),
    (r"", f"Remedy: read the lines above. The course is tested with Python {TESTED_PYTHON}."),
)


def failure(what, said):
    """What went wrong: the end of the output, and the remedy where one is known."""
    output = "\n".join(said)
    remedy = next(text for pattern, text in KNOWN_FAILURES if re.search(pattern, output))
    tail = "\n".join("    " + line for line in said[-12:])
    return f"{what}. The end of what was said:\n{tail}\n{remedy}\nThe whole log: {LOG}"


# --- the learner's copies of the lessons ---


def workplace():
    """The folder of the learner's files: this one, or the current one where this is read-only."""
    if os.access(str(HERE), os.W_OK):
        return HERE
    here = Path.cwd()
    if os.access(str(here), os.W_OK):
        return here
    raise Problem(
        f"Your copies of the lessons can lie neither in {HERE} nor in {here}: both are read-only.\n"
        "Remedy: change to a folder of your own, then run the same command again."
    )


def published_lessons():
    return sorted((HERE / "lessons").glob("[0-9]*.ipynb"))


def make_copies(place):
    """Copy each lesson of which `place` has no copy; return those that are newer than their copy.

    A copy of which it is not known what it was made from is the learner's alone.
    """
    folder, changed = place / COPIES, []
    (folder / BASES).mkdir(parents=True, exist_ok=True)
    for published in published_lessons():
        text, base = published.read_bytes(), folder / BASES / published.name
        if not (folder / published.name).exists():
            write_whole(base, text)
            write_whole(folder / published.name, text)
        elif base.exists() and base.read_bytes() != text:
            changed.append(published)
    if place != HERE and not os.path.lexists(str(place / "docs")):
        try:  # the lessons link to these pages
            os.symlink(str(HERE / "docs"), str(place / "docs"), target_is_directory=True)
        except OSError:  # on Windows not everybody may
            shutil.copytree(str(HERE / "docs"), str(place / "docs"))
    return changed


def update(place):
    """Bring new text into the copies and say what was done; the copies before it stay, dated."""
    changed = make_copies(place)
    for published in changed:
        say(renew(published, place / COPIES))
    if not changed:
        say("Your copies have the text of today's lessons.")
    return 0


def renew(published, folder):
    """Make one copy anew with the learner's cells in it; return a sentence about it."""
    copy, base = folder / published.name, folder / BASES / published.name
    new = json.loads(published.read_text("utf-8"))
    if copy.read_bytes() == base.read_bytes():
        said = f"{copy.stem}: new text"
    else:
        aside = set_aside(copy)
        try:
            before, mine = (json.loads(p.read_text("utf-8"))["cells"] for p in (base, copy))
            cells, exercises, others = merge(before, mine, new["cells"])
            kept = exercises + ["{} more cell{}".format(others, "s" * (others > 1))] * bool(others)
            said = "{}: new text, and of yours {}".format(copy.stem, ", ".join(kept) or "no cell")
            new["cells"] = cells
        except (ValueError, KeyError, TypeError, AttributeError):
            said = f"{copy.stem}: your copy could not be read and a new one is in its place"
        said += f"; the old copy is {aside.name}"
    write_whole(copy, (json.dumps(new, ensure_ascii=False, indent=1) + "\n").encode("utf-8"))
    write_whole(base, published.read_bytes())
    return said + "."


def merge(before, mine, published):
    """The published cells with the learner's own: (cells, exercises answered, how many others).

    A cell is the learner's own where its text is not among the cells that the copy was made from.
    The code of an exercise goes into the exercise's cell, and another cell that they changed into
    its place where the published text of that one is the same as before. Every other own cell
    goes below the cell that it stood under. A published cell that they deleted comes back.
    """
    old = {content(cell) for cell in before}
    new = [dict(cell) for cell in published]
    places = {content(cell): place for place, cell in enumerate(new)}
    places.update((cell_name(cell), place) for place, cell in enumerate(new))
    taken, below, at, exercises, others = set(), {}, -1, [], 0
    for cell in mine:
        place = places.get(cell_name(cell), places.get(content(cell)))
        exercise = str(cell_name(cell)).startswith("exercise-")
        same = place is not None and content(cell) == content(new[place])
        if same or content(cell) in old:
            at = at if place is None else place
            if same and cell["cell_type"] == "code":
                new[place].update({k: cell[k] for k in ("outputs", "execution_count") if k in cell})
        elif place is not None and place not in taken and (exercise or content(new[place]) in old):
            new[place] = dict(cell, metadata=new[place]["metadata"], id=new[place].get("id"))
            at, others = place, others + (not exercise)
            exercises += [cell_name(cell).replace("exercise-", "", 1)] * exercise
            taken.add(place)
        elif content(cell)[1].strip():
            below.setdefault(at, []).append(cell)
            others += 1
    cells = below.get(-1, [])
    for place, cell in enumerate(new):
        cells += [cell] + below.get(place, [])
    return with_own_names(cells, new), exercises, others


def content(cell):
    return cell["cell_type"], "".join(cell["source"])


def cell_name(cell):
    """nbgrader's name of a cell, which stays the same, or its id."""
    return cell["metadata"].get("nbgrader", {}).get("grade_id") or cell.get("id")


def with_own_names(cells, published):
    """The cells with the learner's renamed where two had one id; nbgrader's names are published."""
    seen, named = {cell.get("id") for cell in published}, []
    for cell in cells:
        if not any(cell is other for other in published):
            own = cell.get("id")
            if own in seen:
                own = next(f"own-{n}" for n in range(1, len(seen) + 2) if f"own-{n}" not in seen)
            seen.add(own)
            metadata = {k: v for k, v in cell["metadata"].items() if k != "nbgrader"}
            cell = dict(cell, id=own, metadata=metadata)
        named.append(cell)
    return named


def set_aside(path):
    """A copy of a file under a dated name that was free."""
    today, number = datetime.date.today().isoformat(), 1
    while True:
        mark = today if number == 1 else f"{today}-{number}"
        aside = path.with_name(f"{path.stem}.{mark}{path.suffix}")
        try:
            with open(str(aside), "xb") as file:
                file.write(path.read_bytes())
            return aside
        except FileExistsError:
            number += 1


def write_whole(path, data):
    """Replace a file in one step, so that a crash leaves the old one or the new one."""
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(data)
    os.replace(str(new), str(path))


# --- starting ---


def course_environment():
    """The user's environment with .venv active, as `activate` would make it."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONHOME"}
    env["VIRTUAL_ENV"] = str(VENV)
    env["PATH"] = str(BIN) + os.pathsep + env.get("PATH", "")
    return env


def hand_over(arguments, place=HERE, **variables):
    """Become `python ARGUMENTS` of .venv in `place`, so that signals and exit code are its own."""
    env = course_environment()
    for name, value in variables.items():
        env.setdefault(name, str(value))
    os.chdir(str(place))
    command = [str(PYTHON)] + arguments
    if os.name == "nt":  # has no exec; Ctrl-C reaches the child too, which ends by itself
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return subprocess.call(command, env=env)
    os.execve(command[0], command, env)


QUICK = ["-m", "not slow and not browser", "--ignore=tests/notebooks", "tests"]


def run_tests(arguments):
    if "--quick" in arguments:
        arguments = QUICK + [argument for argument in arguments if argument != "--quick"]
    cache = HERE.parent / "shared" / "tiktoken-cache"
    variables = {"TIKTOKEN_CACHE_DIR": cache} if cache.is_dir() else {}
    return hand_over(["-m", "pytest"] + arguments, **variables)


def start_lab(port, browser, arguments):
    """Open JupyterLab on the first lesson's copy; its root is the folder of copies and answers."""
    place = workplace()
    changed = make_copies(place)
    if changed:
        say(
            "There is new text for {}; `python3 course.py update` brings it into your copies and "
            "keeps your own cells.".format(", ".join(path.stem for path in changed))
        )
    port = choose_port(port)
    lessons = published_lessons()
    page = f"/lab/tree/{COPIES}/{urllib.parse.quote(lessons[0].name)}" if lessons else "/lab"
    options = [
        f"--ServerApp.root_dir={place}",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        "--ServerApp.answer_yes=True",  # one Ctrl-C is enough
        f"--LabApp.default_url={page}",
    ]
    if not browser:
        options.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.append("--allow-root")  # a container; the server listens on this machine only
    say(f"Starting JupyterLab on port {port}. Ctrl-C in this window ends it.")
    variables = {"JUPYTER_PREFER_ENV_PATH": "1"}  # the kernel of .venv before one of the user's
    if place == HERE:
        workspaces = VENV / "share" / "jupyter" / "lab" / "workspaces"
        variables["JUPYTERLAB_WORKSPACES_DIR"] = workspaces
    return hand_over(["-m", "jupyterlab"] + options + arguments, place, **variables)


def choose_port(wanted):
    if wanted and not is_free(wanted):
        raise Problem(
            f"Port {wanted} is taken by another program, or not yours to use.\nRemedy: end that "
            "program, or name another port, or leave --port out."
        )
    if wanted or is_free(8888):
        return wanted or 8888
    port = next((port for port in range(8889, 8989) if is_free(port)), None)
    if port is None:
        raise Problem("Ports 8888 to 8988 are taken.\nRemedy: name a free one with --port.")
    say(f"Port 8888 is taken, perhaps by a JupyterLab that still runs; taking {port}.")
    return port


def is_free(port):
    """Whether a server could listen on `port` of this machine."""
    for family, kind, protocol, _, address in socket.getaddrinfo(
        "localhost", port, type=socket.SOCK_STREAM
    ):
        try:
            with socket.socket(family, kind, protocol) as trial:
                if os.name == "posix":  # as the server does; on Windows it would take a taken port
                    trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                trial.bind(address)
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
    return True


def port_number(text):
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError("a port is a number from 1 to 65535, got " + text)
    return int(text)


def parse(argv):
    """The command line; `test` passes everything after it to pytest, `--` to JupyterLab."""
    if argv[:1] == ["test"]:
        return argparse.Namespace(command="test", arguments=argv[1:])
    cut = argv.index("--") if "--" in argv else len(argv)
    parser = argparse.ArgumentParser(
        prog="course.py",
        usage="python3 course.py [--port N] [--no-browser] [-- ARGUMENTS] | setup | update | "
        "test ARGUMENTS",
        description=HELP,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", nargs="?", choices=["setup", "update"], help=argparse.SUPPRESS)
    parser.add_argument("--port", type=port_number, help="where JupyterLab listens (8888)")
    parser.add_argument("--no-browser", action="store_true", help="print the address, open nothing")
    options = parser.parse_args(argv[:cut])
    options.arguments = argv[cut + 1 :]
    return options


def explain(error):
    """An error of the operating system as something to act on."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DISK_FULL
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return (
            f"This folder cannot be written: {error}.\nRemedy: move or copy the course to a folder "
            "of your own; if it is .venv, end the programs that use it."
        )
    return f"The system refused: {error}.\nRemedy: mend that, then run the same command again."


def run(argv):
    require_python()
    options = parse(argv)
    if options.command == "update":
        return update(workplace())
    set_up(test=options.command == "test")
    if options.command == "setup":
        return 0
    if options.command == "test":
        return run_tests(options.arguments)
    return start_lab(options.port, not options.no_browser, options.arguments)


def main(argv):
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")
        sys.stderr.reconfigure(errors="replace")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return run(argv)
    except Problem as problem:
        message = str(problem)
    except OSError as error:
        message = explain(error)
    except KeyboardInterrupt:
        say("\nStopped. Start again when you like: what is half installed is not used.")
        return 130
    print("\n" + message, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
