"""course.py, run for real on a project of its own: a copy of it beside a tiny package.

The tiny project's build backend needs no network. It counts its builds, and waits while a file
named `hold` exists, so that a test can act in the middle of an install.
"""

import ast
import contextlib
import datetime
import functools
import hashlib
import http.server
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import tomllib
import urllib.request
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

fcntl = pytest.importorskip("fcntl", reason="these tests send the signals of POSIX systems")
PROJECT = Path(__file__).resolve().parents[2]
BACKEND = """
import os, time, zipfile
from pathlib import Path

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    with open("builds", "a") as builds:
        builds.write("built\\n")
    while os.path.exists("hold"):
        time.sleep(0.05)
    name, info = "gpt2course-1-py3-none-any.whl", "gpt2course-1.dist-info/"
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as wheel:
        wheel.writestr("tiny.pth", os.getcwd())
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: gpt2course\\nVersion: 1\\n"
                       "Provides-Extra: course\\nProvides-Extra: test\\n"
                       + Path("needs").read_text())
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nGenerator: tiny\\n"
                       "Root-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(info + "RECORD", "")
    return name
"""
REPORT = """
import json, os, sys
print(json.dumps({"argv": sys.argv[1:], "env": dict(os.environ), "prefix": sys.prefix}))
"""
FILES = {
    "pyproject.toml": """
[build-system]
requires = []
build-backend = "tiny"
backend-path = ["."]
""",
    "constraints.txt": "",
    "tiny.py": BACKEND,
    "needs": "",
    "gpt2course/__init__.py": "",
    "torch.py": "",
    "jupyterlab/__main__.py": REPORT,
    "pytest.py": REPORT + "sys.exit(5)\n",
    "lessons/01_language_models.ipynb": "{}",
    "lessons/00_welcome.ipynb": "{}",
}


def make_project(folder):
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    shutil.copy(PROJECT / "course.py", folder)
    return folder


def command(folder, *arguments, python=sys.executable):
    return [str(python), str(folder / "course.py"), *arguments]


def run(folder, *arguments, python=sys.executable, **variables):
    """Run the project's course.py to its end, without a terminal."""
    return subprocess.run(
        command(folder, *arguments, python=python),
        env=plain_environment(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )


def start(folder, *arguments):
    return subprocess.Popen(
        command(folder, *arguments),
        env=plain_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # a group of its own, so that a signal can reach all of it
    )


def plain_environment(**variables):
    leave = ("TIKTOKEN_CACHE_DIR", "JUPYTER_PREFER_ENV_PATH", "JUPYTERLAB_WORKSPACES_DIR")
    return {k: v for k, v in os.environ.items() if k not in leave} | variables


def stamp(folder):
    return json.loads((folder / ".venv/course.json").read_text())


def write_stamp(folder, content):
    (folder / ".venv/course.json").write_text(json.dumps(content))


def is_ready(folder):
    """Whether the project's course.py takes what is installed for good."""
    code = "import course; print(course.is_ready(course.read_stamp(), False))"
    said = subprocess.check_output([sys.executable, "-c", code], cwd=folder, text=True)
    return said.strip() == "True"


def builds(folder):
    path = folder / "builds"
    return len(path.read_text().splitlines()) if path.exists() else 0


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not so within {seconds} s"
        time.sleep(0.05)


def assert_told(result, *words):
    """It ended with an error, said what and what to do about it, and showed no traceback."""
    said = result.stdout + result.stderr
    assert result.returncode not in (0, None), said
    assert "Traceback" not in said
    for word in (*words, "Remedy:"):
        assert word in said, said


@contextlib.contextmanager
def small_disk(folder, options):
    """`folder` as a file system of its own, in memory."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root can mount a small disk to fill")
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if subprocess.call(mount, stderr=subprocess.DEVNULL):
        pytest.skip("this system lets nobody mount a small disk to fill")
    try:
        yield folder
    finally:
        subprocess.check_call(["umount", str(folder)])


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A tiny project after `course.py setup`, which took one build."""
    folder = make_project(tmp_path_factory.mktemp("tiny"))
    result = run(folder, "setup")
    assert result.returncode == 0, result.stdout + result.stderr
    assert builds(folder) == 1
    shutil.copy(folder / ".venv/course.json", folder / "first-stamp")
    return folder


@pytest.fixture
def installed(tiny):
    """The tiny project, installed and with its files as they were, whatever a test did to it.

    Nothing in it depends on what a test installs, so the first stamp stays true.
    """
    make_project(tiny)
    write_stamp(tiny, json.loads((tiny / "first-stamp").read_text()))
    if not is_ready(tiny):
        assert run(tiny, "setup").returncode == 0
    return tiny


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path)


def load_course():
    spec = importlib.util.spec_from_file_location("course_under_test", PROJECT / "course.py")
    course = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(course)
    return course


# --- before anything is installed ---


def older_pythons():
    """The oldest and the newest Python from 3.6 to 3.10 that runs here."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = []
    for minor in range(6, 11):
        candidates = [shutil.which(f"python3.{minor}"), *pyenv.glob(f"3.{minor}.*/bin/python")]
        found += [path for path in filter(None, candidates) if runs(path)][:1]
    return found[:1] + found[1:][-1:]


def runs(python):
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.call([python, "-V"], **quiet) == 0


def test_the_syntax_is_that_of_python_3_6():
    ast.parse((PROJECT / "course.py").read_text(), feature_version=(3, 6))


def test_an_older_python_is_told_which_one_is_needed():
    pythons = older_pythons()
    if not pythons:
        pytest.skip("no Python from 3.6 to 3.10 is installed here")
    here = os.path.dirname(os.path.realpath(sys.executable))
    for python in pythons:
        result = run(PROJECT, python=python, PATH=here)
        newer = "python{}.{} course.py".format(*sys.version_info)
        assert_told(result, "needs Python 3.11 or newer", str(python), newer)
        assert "SyntaxError" not in result.stderr


def test_a_python_without_ensurepip_is_told_to_install_it(project, tmp_path):
    (project / "sitecustomize.py").write_text(
        "from importlib.machinery import PathFinder as P\n"
        "find = P.find_spec\n"
        "def without(name, *rest): return None if name == 'ensurepip' else find(name, *rest)\n"
        "P.find_spec = without\n"
    )
    result = run(project, "setup", PYTHONPATH=str(project))
    assert_told(result, "virtual environments", "apt install python3-venv")
    assert not (project / ".venv").exists()


def test_a_small_disk_is_seen_before_anything_is_installed(tmp_path):
    with small_disk(tmp_path / "disk", "size=50M") as folder:
        result = run(make_project(folder), "setup")
        assert_told(result, "Not enough disk space", "needs 3 GB", str(folder), "0.1 GB")
        assert not (folder / ".venv").exists()


def test_a_disk_that_fills_up_during_the_install_is_named(tmp_path):
    with small_disk(tmp_path / "disk", "size=9G,nr_inodes=400") as folder:
        assert_told(run(make_project(folder), "setup"), "The disk is full")
        assert stamp(folder) == {}


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    with small_disk(tmp_path / "disk", "size=9G") as folder:
        make_project(folder)
        subprocess.check_call(["mount", "-o", "remount,ro", str(folder)])
        assert_told(run(folder, "setup"), "cannot be written", str(folder))


def test_a_venv_that_somebody_else_made_is_left_alone(project):
    (project / ".venv").mkdir()
    (project / ".venv/theirs").write_text("kept")
    assert_told(run(project, "setup"), "did not make", "rename or delete it")
    assert (project / ".venv/theirs").read_text() == "kept"


# --- pip fails ---


@pytest.fixture
def asking(installed):
    """The installed tiny project, now asking for a package that does not exist."""
    (installed / "constraints.txt").write_text("# changed\n")
    (installed / "needs").write_text("Requires-Dist: no-such-package-of-gpt2course\n")
    return installed


NOWHERE = {"PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": "", "PIP_EXTRA_INDEX_URL": ""}


def test_no_network_is_called_no_network_and_what_was_installed_stays(asking):
    before = stamp(asking)
    offline = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "1"}
    result = run(asking, "setup", **NOWHERE, **offline)
    assert_told(result, "there seems to be no network", "course-install.log")
    assert stamp(asking) == before


def test_a_missing_package_is_told_from_a_missing_network(asking):
    result = run(asking, "setup", **NOWHERE, PIP_NO_INDEX="1")
    assert_told(result, "pip finds no such package", "no-such-package-of-gpt2course")
    assert "seems to be no network" not in result.stderr


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("OSError: [Errno 28] No space left on device", "The disk is full"),
        ("OSError: [Errno 122] Disk quota exceeded", "The disk is full"),
        ("SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]'))", "PIP_CERT"),
        ("NewConnectionError: Failed to establish a new connection", "no network"),
        ("ERROR: No matching distribution found for torch==2.13.0", "PyTorch has no build"),
        ("error: subprocess-exited-with-error", "read the lines above"),
    ],
)
def test_what_pip_says_becomes_a_remedy(said, words):
    text = load_course().failure("pip failed", ["before", said])
    assert said in text
    assert words in text


# --- a second start ---


def test_a_second_start_installs_nothing_and_takes_under_three_seconds(installed):
    before = builds(installed)
    started = time.monotonic()
    result = run(installed, "setup", PIP_NO_INDEX="1")
    assert time.monotonic() - started < 3
    assert result.returncode == 0
    assert result.stdout == ""
    assert builds(installed) == before


def test_the_test_extra_is_added_once_and_then_stays(installed):
    for arguments, further in (["test"], 1), (["test"], 0), (["setup"], 0):
        before = builds(installed)
        run(installed, *arguments)
        assert builds(installed) == before + further, arguments
    (installed / "constraints.txt").write_text("# changed\n")
    assert "and its tests" in run(installed, "setup").stdout
    assert stamp(installed)["test"]


@pytest.mark.parametrize("name", ["constraints.txt", "pyproject.toml"])
def test_a_changed_requirement_is_installed_into_the_same_venv(installed, name):
    kept = installed / ".venv/kept"
    kept.write_text("")
    before = builds(installed)
    with open(installed / name, "a") as file:
        file.write("# changed\n")
    assert run(installed, "setup").returncode == 0
    assert builds(installed) == before + 1
    assert kept.exists()


def test_a_package_that_cannot_be_imported_is_not_taken_for_good(installed):
    (installed / "constraints.txt").write_text("# changed\n")
    (installed / "torch.py").write_text("raise ImportError('half a PyTorch')")
    assert_told(run(installed, "setup"), "cannot be imported", "ImportError: half a PyTorch")
    assert stamp(installed) == {}


def test_a_moved_project_and_a_lost_python_are_not_taken_for_good(installed, tmp_path):
    there = tmp_path / "moved"
    shutil.copytree(installed, there, symlinks=True)
    assert not is_ready(there)
    write_stamp(there, stamp(there) | {"folder": str(there)})
    assert is_ready(there)
    (there / ".venv/bin/python").unlink()
    (there / ".venv/bin/python").symlink_to("/nowhere/python3")
    assert not is_ready(there)


# --- interrupted, and two at once ---


@contextlib.contextmanager
def in_the_middle_of_an_install(folder):
    """`course.py setup` of a changed project, held while pip is at work."""
    before = builds(folder)
    (folder / "constraints.txt").write_text("# changed\n")
    (folder / "hold").write_text("")
    process = start(folder, "setup")
    wait_until(lambda: builds(folder) == before + 1)
    yield process
    (folder / "hold").unlink(missing_ok=True)
    process.communicate(timeout=60)


def test_after_a_kill_the_next_start_waits_for_pip_and_makes_the_venv_anew(installed):
    (installed / ".venv/half").write_text("of a package")
    with in_the_middle_of_an_install(installed) as first:
        first.kill()
        first.wait()
        assert stamp(installed) == {}
        second = start(installed, "setup")  # while the orphaned pip still works
        assert "Another start of course.py is installing here" in second.stdout.readline()
        (installed / "hold").unlink()
        said, _ = second.communicate(timeout=60)
    assert second.returncode == 0, said
    assert "making it anew" in said
    assert not (installed / ".venv/half").exists()
    assert is_ready(installed)


@pytest.mark.parametrize(("by", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_install_that_is_stopped_ends_quietly_and_takes_pip_with_it(installed, by, code):
    with in_the_middle_of_an_install(installed) as process:
        if by == signal.SIGINT:
            os.killpg(process.pid, by)  # as a terminal does
        else:
            process.send_signal(by)
        said, _ = process.communicate(timeout=30)
        assert process.returncode == code
        assert "Traceback" not in said
        with open(installed / ".course.lock") as lock:  # which pip would still hold
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert not is_ready(installed)


def test_two_starts_at_once_install_once(installed):
    before = builds(installed)
    with in_the_middle_of_an_install(installed) as first:
        second = start(installed, "setup")
        assert "Another start of course.py is installing here" in second.stdout.readline()
        (installed / "hold").unlink()
        assert [first.wait(60), second.wait(60)] == [0, 0]
        second.stdout.close()
    assert builds(installed) == before + 1


# --- what is started ---


def report(result):
    return json.loads(result.stdout.splitlines()[-1])


def free_port():
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return trial.getsockname()[1]


def test_jupyterlab_opens_the_first_lesson_with_the_venv_active(installed):
    port = free_port()
    result = run(installed, "--port", str(port), "--no-browser", "--", "--ServerApp.token=x")
    assert result.returncode == 0, result.stderr
    seen = report(result)
    assert Path(seen["prefix"]) == installed / ".venv" == Path(seen["env"]["VIRTUAL_ENV"])
    assert f"--ServerApp.port={port}" in seen["argv"]
    assert "--LabApp.default_url=/lab/tree/my_lessons/00_welcome.ipynb" in seen["argv"]
    assert "--no-browser" in seen["argv"]
    assert seen["argv"][-1] == "--ServerApp.token=x"
    assert "JUPYTERLAB_SETTINGS_DIR" not in seen["env"].keys() - os.environ.keys()


def test_pytest_gets_its_arguments_and_gives_its_exit_code(installed):
    result = run(installed, "test", "-k", "attention", "--help")
    assert result.returncode == 5
    assert report(result)["argv"] == ["-k", "attention", "--help"]


def test_quick_leaves_out_notebooks_the_browser_and_what_is_slow(installed):
    argv = report(run(installed, "test", "--quick", "-k", "attention"))["argv"]
    assert argv == [
        *("-m", "not slow and not browser", "--ignore=tests/notebooks", "tests"),
        *("-k", "attention"),
    ]


def test_the_tiktoken_cache_beside_the_project_is_used_where_there_is_one(installed):
    cache = installed.parent / "shared/tiktoken-cache"
    assert "TIKTOKEN_CACHE_DIR" not in report(run(installed, "test"))["env"]
    cache.mkdir(parents=True)
    try:
        assert report(run(installed, "test"))["env"]["TIKTOKEN_CACHE_DIR"] == str(cache)
        own = run(installed, "test", TIKTOKEN_CACHE_DIR="own")
        assert report(own)["env"]["TIKTOKEN_CACHE_DIR"] == "own"
    finally:
        shutil.rmtree(cache.parent)


def test_a_port_that_is_asked_for_and_taken_is_an_error(installed):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert_told(run(installed, "--port", str(port)), f"Port {port} is taken", "--port")


def test_the_usual_port_when_taken_gives_way_to_the_next_free_one(installed):
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # whoever holds it already serves the test as well
            stack.enter_context(socket.create_server(("127.0.0.1", 8888)))
        result = run(installed, "--no-browser")
    assert "Port 8888 is taken" in result.stdout
    assert "--ServerApp.port=8888" not in report(result)["argv"]


# --- copies of the lessons ---

LESSON = "lessons/01_language_models.ipynb"
COPY = "my_lessons/01_language_models.ipynb"
TODAY = datetime.date.today().isoformat()
STUB = "def add(a, b):\n    raise NotImplementedError"
MINE = "def add(a, b):\n    return a + b"


def cell(kind, source, name="", outputs=()):
    """A cell as a build gives it: the id hangs on its text, an exercise's on its name."""
    made = {"cell_type": kind, "source": source.splitlines(keepends=True), "metadata": {}}
    made["id"] = name or hashlib.sha256(source.encode()).hexdigest()[:12]
    if name:
        made["metadata"]["nbgrader"] = {"grade_id": name, "solution": True}
    return made | ({"outputs": list(outputs), "execution_count": None} if kind == "code" else {})


def first_text():
    return [
        cell("markdown", "# A lesson"),
        cell("code", "import math"),
        cell("markdown", "Add."),
        cell("code", STUB, "exercise-add"),
        cell("code", "add = check(add)", "check-add"),
        cell("code", "add(1, 2)"),
    ]


def publish(folder, cells, path=LESSON):
    about = {"metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (folder / path).write_text(json.dumps(about | {"cells": cells}))


def cells_of(folder, path=COPY):
    return json.loads((folder / path).read_text())["cells"]


def sources(cells):
    return ["".join(cell["source"]) for cell in cells]


@pytest.fixture
def copied(project):
    """A project whose lesson was copied; it is not installed, and `update` does not install it."""
    publish(project, first_text())
    assert run(project, "update").returncode == 0
    return project


def test_copies_are_made_once_and_never_overwritten(copied):
    assert (copied / COPY).read_bytes() == (copied / LESSON).read_bytes()
    assert not (copied / ".venv").exists()
    (copied / COPY).write_text("mine")
    (copied / "my_lessons/00_welcome.ipynb").unlink()
    said = run(copied, "update").stdout
    assert said == "Your copies have the text of today's lessons.\n"
    assert (copied / COPY).read_text() == "mine"
    assert (copied / "my_lessons/00_welcome.ipynb").exists()


def test_a_start_says_in_one_sentence_which_lessons_have_new_text(installed):
    publish(installed, first_text())
    run(installed, "update")
    assert "new text" not in run(installed, "--no-browser").stdout
    publish(installed, [*first_text(), cell("markdown", "One more.")])
    said = run(installed, "--no-browser").stdout
    assert said.startswith("There is new text for 01_language_models; `python3 course.py update`")
    assert len(cells_of(installed)) == 6
    shutil.rmtree(installed / "my_lessons")


def test_update_brings_the_new_text_with_the_learners_own_cells(copied):
    mine = first_text()
    mine[1] = cell("code", "import math, cmath") | {"id": mine[1]["id"]}
    mine[2] = cell("markdown", "Add. (Easy!)") | {"id": mine[2]["id"]}
    mine[3] = cell("code", MINE, "exercise-add", [{"output_type": "stream", "text": "a card"}])
    mine[5]["outputs"] = [{"output_type": "stream", "text": "3"}]
    mine[4:4] = [cell("code", "add(2, 2)"), cell("code", "def add(a, b): ...", "exercise-add")]
    mine += [cell("code", ""), cell("markdown", "A note at the end.")]
    publish(copied, mine, COPY)
    before = (copied / COPY).read_bytes()
    new = first_text()
    new[2] = cell("markdown", "Add two numbers.")
    new[3] = cell("code", "# New.\n" + STUB, "exercise-add")
    del new[0]
    publish(copied, new)
    said = run(copied, "update").stdout
    aside = f"01_language_models.{TODAY}.ipynb"
    assert said == (
        f"01_language_models: new text, and of yours add, 5 more cells; the old copy is {aside}.\n"
    )
    assert (copied / "my_lessons" / aside).read_bytes() == before
    cells = cells_of(copied)
    assert sources(cells) == [
        "import math, cmath",
        "Add. (Easy!)",
        "Add two numbers.",
        MINE,
        "add(2, 2)",
        "def add(a, b): ...",
        "add = check(add)",
        "add(1, 2)",
        "A note at the end.",
    ]
    assert [cell.get("outputs") for cell in cells][3] == mine[3]["outputs"]
    assert cells[7]["outputs"][0]["text"] == "3"
    names = [cell["metadata"].get("nbgrader", {}).get("grade_id") for cell in cells]
    assert [name for name in names if name] == ["exercise-add", "check-add"]
    assert len({cell["id"] for cell in cells}) == len(cells)
    assert "text of today" in run(copied, "update").stdout


def test_update_finds_cells_in_a_copy_whose_ids_another_program_changed(copied):
    mine = first_text()
    mine[3] = cell("code", MINE, "exercise-add")
    for number, one in enumerate(mine):
        one["id"] = f"other-{number}"
    publish(copied, mine, COPY)
    publish(copied, [cell("markdown", "# A new title"), *first_text()[1:]])
    assert "of yours add;" in run(copied, "update").stdout
    assert sources(cells_of(copied)) == ["# A new title", *sources(first_text())[1:3], MINE,
                                         *sources(first_text())[4:]]  # fmt: skip


def test_an_exercise_that_is_gone_leaves_its_answer_where_it_stood(copied):
    mine = first_text()
    mine[3] = cell("code", MINE, "exercise-add")
    publish(copied, mine, COPY)
    publish(copied, first_text()[:2])
    run(copied, "update")
    assert sources(cells_of(copied)) == ["# A lesson", "import math", MINE]
    assert "nbgrader" not in cells_of(copied)[2]["metadata"]


def test_a_copy_that_is_no_notebook_is_kept_and_said_to_be_unreadable(copied):
    for number in range(2):
        (copied / COPY).write_text(f"<<<<<<< stash {number}")
        publish(copied, [cell("markdown", f"# Version {number}")])
        assert "could not be read" in run(copied, "update").stdout
    assert sources(cells_of(copied)) == ["# Version 1"]
    kept = sorted((copied / "my_lessons").glob(f"01_*.{TODAY}*.ipynb"))
    assert [path.read_text() for path in kept] == ["<<<<<<< stash 1", "<<<<<<< stash 0"]


def test_an_update_that_was_cut_off_half_way_is_made_again(copied, monkeypatch):
    course = load_course()
    monkeypatch.setattr(course, "HERE", copied)
    mine = first_text()
    mine[3] = cell("code", MINE, "exercise-add")
    mine.append(cell("code", "add(5, 6)"))
    publish(copied, mine, COPY)
    publish(copied, [cell("markdown", "# A new title"), *first_text()[1:]])
    base = copied / "my_lessons/.published/01_language_models.ipynb"
    old = base.read_bytes()
    course.update(copied)
    base.write_bytes(old)  # as if the last step had not come
    once = sources(cells_of(copied))
    course.update(copied)
    assert sources(cells_of(copied)) == once
    assert MINE in once and "add(5, 6)" in once


def test_copies_and_pages_lie_in_the_current_folder_beside_a_read_only_install(tmp_path):
    with small_disk(tmp_path / "shared", "size=9G") as shared:
        make_project(shared)
        publish(shared, first_text())
        (shared / "docs").mkdir()
        (shared / "docs/glossary.md").write_text("words")
        subprocess.check_call(["mount", "-o", "remount,ro", str(shared)])
        own = tmp_path / "own"
        own.mkdir()
        result = subprocess.run(command(shared, "update"), cwd=own, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        assert (own / COPY).read_bytes() == (shared / LESSON).read_bytes()
        assert (own / "my_lessons/../docs/glossary.md").read_text() == "words"
        nowhere = subprocess.run(
            command(shared, "update"), cwd=shared, capture_output=True, text=True
        )
        assert_told(nowhere, "read-only", "a folder of your own")


def test_answers_lie_beside_the_copies(tmp_path, monkeypatch):
    from gpt2course.learner import workbook

    monkeypatch.delenv("GPT2COURSE_WORKBOOK")
    (tmp_path / "own/my_lessons").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "own/my_lessons")
    assert workbook.folder() == tmp_path / "own/my_gpt2"
    assert workbook.notebooks() == tmp_path / "own/my_lessons"
    (tmp_path / "own/lessons").mkdir()
    assert workbook.notebooks() == tmp_path / "own/my_lessons"
    monkeypatch.chdir(tmp_path / "own/lessons")
    assert workbook.folder() == tmp_path / "own/my_gpt2"


@pytest.mark.parametrize("lesson", sorted((PROJECT / "lessons").glob("*.ipynb")))
def test_links_of_the_lessons_lead_somewhere_from_a_copy_too(lesson):
    """Other lessons by their name, pages through the folder above."""
    cells = json.loads(lesson.read_text("utf-8"))["cells"]
    text = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    for link in re.findall(r"\]\((?!https?:|#)([^)#]+)|href=\"([\w./]+)", text):
        target = "".join(link)
        assert re.fullmatch(r"\d\d_\w+\.ipynb|\.\./docs/\w+\.\w+", target), target
        assert (PROJECT / "lessons" / target).exists()


# --- which PyTorch ---


@pytest.fixture
def course(monkeypatch, tmp_path):
    """course.py as a module, on a Linux without a card, with a project that pins PyTorch."""
    course = load_course()
    (tmp_path / "constraints.txt").write_text("numpy==2.4.6\ntorch==2.13.0\n")
    monkeypatch.setattr(course, "HERE", tmp_path)
    monkeypatch.setattr(course, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(course.sys, "platform", "linux")
    monkeypatch.setattr(course, "has_nvidia_card", lambda: False)
    monkeypatch.setattr(course, "versions_pip_finds", lambda package: "2.13.0")
    monkeypatch.setattr(course, "require_space", lambda *gigabytes: None)
    monkeypatch.setattr(course, "CPU_WHEELS", "http://127.0.0.1:9")
    return course


@contextlib.contextmanager
def web_server(folder):
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_without_a_card_the_cpu_build_is_asked_for(course, monkeypatch, tmp_path):
    (tmp_path / "torch").mkdir()
    with web_server(tmp_path) as url:
        monkeypatch.setattr(course, "CPU_WHEELS", url)
        assert course.torch_options() == ["--extra-index-url", url]


def test_with_a_card_and_off_linux_the_default_build_is_taken(
    course, monkeypatch, tmp_path, capsys
):
    (tmp_path / "torch").mkdir()
    with web_server(tmp_path) as url:
        monkeypatch.setattr(course, "CPU_WHEELS", url)
        monkeypatch.setattr(course, "has_nvidia_card", lambda: True)
        assert course.torch_options() == []
        assert "NVIDIA card seen" in capsys.readouterr().out
        monkeypatch.setattr(course.sys, "platform", "darwin")
        assert course.torch_options() == []
        assert capsys.readouterr().out == ""


def test_a_cpu_build_that_pip_finds_by_itself_needs_no_address(course, monkeypatch, capsys):
    monkeypatch.setattr(course, "versions_pip_finds", lambda package: "2.14.0, 2.13.0+cpu, 2.13.0")
    assert course.torch_options() == []
    assert capsys.readouterr().out == ""


def test_an_installed_pytorch_is_not_looked_for_again(course, monkeypatch, tmp_path):
    monkeypatch.setattr(course, "answers", lambda url: pytest.fail("the network was asked"))
    site = tmp_path / ".venv/lib/python3.11/site-packages"
    (site / "torch-2.13.0+cpu.dist-info").mkdir(parents=True)
    assert course.torch_options() == []


def test_several_gigabytes_are_announced_where_no_cpu_build_is_found(course, capsys):
    assert course.torch_options() == []
    assert "several GB" in capsys.readouterr().out


def test_a_server_that_is_slow_to_answer_costs_no_more_than_the_time_limit(course):
    """Byte by byte, so that no single wait is long."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def trickle():
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                for byte in b"HTTP/1.1 200 OK\r\nServer: " + 10 * b"slow":
                    connection.sendall(bytes([byte]))
                    time.sleep(0.03)

        thread = threading.Thread(target=trickle)
        thread.start()
        started = time.monotonic()
        assert not course.answers(f"http://127.0.0.1:{server.getsockname()[1]}", seconds=0.3)
        assert time.monotonic() - started < 1.2
        thread.join()


# --- the real thing ---


def read_json(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def test_jupyterlab_serves_the_lessons_without_news_and_ends_at_ctrl_c(tmp_path):
    course = load_course()
    if not course.is_ready(course.read_stamp(), False):
        pytest.skip("this .venv is not as course.py makes it, and a start would install into it")
    own = tmp_path / "@jupyterlab/apputils-extension/themes.jupyterlab-settings"
    own.parent.mkdir(parents=True)
    own.write_text('{"theme": "JupyterLab Dark"}')
    variables = {"JUPYTERLAB_SETTINGS_DIR": str(tmp_path), "JUPYTER_RUNTIME_DIR": str(tmp_path)}
    port = free_port()
    arguments = ["--port", str(port), "--no-browser", "--", "--ServerApp.token=t"]
    had_copies = (PROJECT / "my_lessons").exists()
    with open(tmp_path / "said", "w+") as said:
        process = subprocess.Popen(
            command(PROJECT, *arguments),
            env=plain_environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )
        try:
            ask_jupyterlab(f"http://127.0.0.1:{port}", process)
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
        finally:
            process.kill()
            process.wait()
            if not had_copies:
                shutil.rmtree(PROJECT / "my_lessons", ignore_errors=True)
    assert "Traceback" not in (tmp_path / "said").read_text()
    assert load_course().is_free(port)


def ask_jupyterlab(address, process):
    def is_up():
        assert process.poll() is None
        with contextlib.suppress(OSError):
            return read_json(f"{address}/api/status?token=t")

    wait_until(is_up)
    served = read_json(f"{address}/api/contents/lessons?token=t")["content"]
    lessons = {path.name for path in (PROJECT / "lessons").glob("*.ipynb")}
    assert lessons <= {file["name"] for file in served}
    settings = f"{address}/lab/api/settings/@jupyterlab/apputils-extension"
    news = read_json(f"{settings}:notification?token=t")["schema"]["properties"]["fetchNews"]
    assert news["default"] == "false"
    assert read_json(f"{settings}:themes?token=t")["settings"]["theme"] == "JupyterLab Dark"


# --- the files beside course.py ---


def pyproject():
    return tomllib.loads((PROJECT / "pyproject.toml").read_text())


def constraints():
    lines = (PROJECT / "constraints.txt").read_text().splitlines()
    pairs = [line.partition("#")[0].split("==") for line in lines if not line.startswith("#")]
    return {canonicalize_name(name): version.strip() for name, version in pairs}


def direct_dependencies():
    """What the library needs and what the lessons need besides."""
    project = pyproject()["project"]
    lines = project["dependencies"] + project["optional-dependencies"]["course"]
    return [Requirement(line) for line in lines]


CONDA_FORGE = {"torch": "pytorch", "matplotlib": "matplotlib-base"}


def test_environment_yml_names_every_dependency_at_the_version_of_constraints():
    environment = yaml.safe_load((PROJECT / "environment.yml").read_text())
    *packages, from_pip = environment["dependencies"]
    assert from_pip == {"pip": ["-e .[course]"]}
    found = dict(package.split("=") for package in packages if package != "pip")
    python = found.pop("python")
    names = [requirement.name for requirement in direct_dependencies()]
    versions = constraints()
    expected = {CONDA_FORGE.get(n, n): versions[canonicalize_name(n)] for n in names}
    assert found == expected
    assert python in pyproject()["project"]["requires-python"].removeprefix(">=")


def further_dependencies(*extras):
    """What these extras bring besides."""
    listed = pyproject()["project"]["optional-dependencies"]
    return [Requirement(line) for extra in extras for line in listed[extra]]


def test_constraints_fit_the_ranges_and_hold_everything_that_is_installed():
    versions = constraints()
    waiting, seen = direct_dependencies() + further_dependencies("site", "test"), set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        assert name in versions, f"{name} is installed but constraints.txt does not name it"
        assert requirement.specifier.contains(versions[name]), f"{requirement}: {versions[name]}"
        installed = importlib.metadata.version(name).partition("+")[0]
        assert versions[name] == installed, f"{name} {installed} is installed"
        for extra in {"", *requirement.extras}:
            if (name, extra) not in seen:
                seen.add((name, extra))
                further = map(Requirement, importlib.metadata.requires(name) or [])
                waiting += [
                    r for r in further if not r.marker or r.marker.evaluate({"extra": extra})
                ]
    assert len(seen) > 100


def test_files_of_set_up_hold_no_address_of_a_registry_and_no_hash():
    for name in ("constraints.txt", "environment.yml", "pyproject.toml", ".ci/run"):
        assert not re.search(r"https?://|sha256|file:", (PROJECT / name).read_text()), name


def test_everything_the_package_imports_is_a_declared_dependency():
    listed = direct_dependencies() + further_dependencies("site")
    declared = {canonicalize_name(requirement.name) for requirement in listed}
    owners = importlib.metadata.packages_distributions()
    for path in (PROJECT / "gpt2course").rglob("*.py"):
        for root in imported_roots(ast.parse(path.read_text())):
            names = {canonicalize_name(name) for name in owners.get(root, [root])}
            assert names & declared, f"{path.relative_to(PROJECT)} imports {root}"


def imported_roots(tree):
    ours = {"gpt2course", *sys.stdlib_module_names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            roots = {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            roots = {node.module.split(".")[0]}
        else:
            roots = set()
        yield from roots - ours


def test_a_wheel_holds_the_data_files_of_the_package(tmp_path):
    source = tmp_path / "source"
    shutil.copytree(PROJECT / "gpt2course", source / "gpt2course")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, source)
    data = ["a.json", "course/a.safetensors", "course/a.txt", "course/deeper/a.md"]
    for name in data:
        (source / "gpt2course" / name).parent.mkdir(parents=True, exist_ok=True)
        (source / "gpt2course" / name).write_text("")
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "-w", tmp_path, source], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    ours = [path.relative_to(source) for path in (source / "gpt2course").rglob("*.py")]
    ours = [path for path in ours if "authoring" not in path.parts]
    assert {f"gpt2course/{name}" for name in data} | {p.as_posix() for p in ours} <= set(names)
    assert not [name for name in names if not name.startswith(("gpt2course/", "gpt2course-"))]


def test_shapes_in_signatures_are_checked_in_every_test():
    torch = pytest.importorskip("torch")
    from gpt2course.embedding import embed_tokens

    with pytest.raises(Exception, match="Type-check error") as caught:
        embed_tokens(torch.zeros(3, dtype=torch.int64), torch.zeros(5, 2))
    assert type(caught.value).__name__ == "TypeCheckError"


def test_python_files_are_linted_and_formatted():
    ruff = [sys.executable, "-m", "ruff"]
    for arguments in ["check", "."], ["format", "--check", "gpt2course", "tests", "course.py"]:
        result = subprocess.run([*ruff, *arguments], cwd=PROJECT, capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr
