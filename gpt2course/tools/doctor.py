"""Does this computer have what the course needs? A line for each check, a remedy for each fault.

At the top only the standard library is imported: the rest may be what is broken.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

FINE, FAULT, NOTE = "✓", "✗", "–"
KERNEL_SECONDS = 30.0  # a slow disk takes ten for the first start
HUB_SECONDS = 3.0
SPACE = 0.1e9  # bytes that answers and notebooks take at most
GPT2_SPACE = 0.6e9  # bytes of GPT-2's weights, on disk or in memory, and a bit
MEMORY = 1e9  # bytes that JupyterLab, a kernel and a lesson take
GROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")  # of a container, which sees its host's memory
LESSONS_NEED = ("jupyterlab", "ipywidgets", "ipykernel", "psutil")
WIDGETS = "@jupyter-widgets/jupyterlab-manager"  # the browser's half of ipywidgets


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        mark: FINE, FAULT or NOTE.
        text: one line.
        remedy: of a fault, the one thing to do.
    """

    mark: str
    text: str
    remedy: str = ""


def examine(report: Callable[[str], None] = print) -> int:
    """Run all checks, report each as it is done, and return how many faults there are."""
    remedies: list[str] = []
    for check in LIBRARY_CHECKS if _is_light() else CHECKS:
        for finding in _found_by(check):
            if finding.mark == FAULT and finding.remedy in remedies:  # the same fault, seen again
                report(f"{NOTE} {finding.text}; the remedy is above")
                continue
            report(f"{finding.mark} {finding.text}")
            if finding.mark == FAULT:
                report(f"    → {finding.remedy}")
                remedies.append(finding.remedy)
    counted = {0: "Nothing is at fault.", 1: "1 fault: do what stands after the arrow"}
    said = counted.get(len(remedies), f"{len(remedies)} faults: do what stands after the arrows")
    report(f"\n{said}{', then run this again.' if remedies else ''}")
    return len(remedies)


def _found_by(check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """The findings of one check; an exception is a finding, too."""
    title = (check.__doc__ or "").rstrip(".")
    try:
        yield from check()
    except metadata.PackageNotFoundError:
        text = f"{title}: not tested, since the course is a folder here and is not installed"
        yield Finding(FAULT, text, _reinstall())
    except ModuleNotFoundError as error:
        missing = (error.name or str(error)).partition(".")[0]
        yield Finding(FAULT, f"{title}: not tested, since {missing} is missing", _install(missing))
    except Exception as error:  # a doctor that breaks off helps no one
        said = f"{type(error).__name__}: {_first_line(error)}"
        yield Finding(FAULT, f"{title}: {said}", _reinstall())


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "")


def _command(*words: str) -> str:
    """What to type, in quotes where this system's shell wants them."""
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def _pip(*words: str) -> str:
    return _command(sys.executable, "-m", "pip", "install", *words)


def _install(name: str, *options: str) -> str:
    """Install a package in a version that the course takes."""
    wanted = ""
    with suppress(ModuleNotFoundError):  # without packaging, or the course, any version
        wanted = dict(_requirements()).get(name, "")
    return _pip(*options, name + wanted)


def _reinstall() -> str:
    """Install the course again: from its folder, where there is one."""
    root = Path(__file__).resolve().parents[2]
    from_folder = ["-e", str(root)] if (root / "pyproject.toml").exists() else ["gpt2course"]
    return _pip("--force-reinstall", *from_folder)


# Python and its packages ------------------------------------------------------------------------


def python() -> Iterator[Finding]:
    """Python."""
    from packaging.specifiers import SpecifierSet

    found = ".".join(map(str, sys.version_info[:3]))
    wanted = metadata.metadata("gpt2course")["Requires-Python"]
    if SpecifierSet(wanted).contains(found, prereleases=True):
        yield Finding(FINE, f"Python {found} ({sys.executable})")
    else:
        remedy = "install one from python.org, and set the course up with it"
        yield Finding(FAULT, f"Python must be {wanted}, and is {found} ({sys.executable})", remedy)


def packages() -> Iterator[Finding]:
    """Packages."""
    unmet = _unmet_requirements()
    for name, wanted, found in unmet:
        text = f"{name} must be {wanted or 'there'}, and is {found or 'missing'}"
        yield Finding(FAULT, text, _install(name))
    if _is_light():
        remedy = _pip("gpt2course[course]")
        yield Finding(
            NOTE, f"the library is here without what the lessons need; to add it: {remedy}"
        )
    if not unmet:
        yield Finding(FINE, f"{len(_requirements())} packages, all of versions that will do")


def _requirements() -> list[tuple[str, str]]:
    """What the installed course asks for: names and versions, without the tests' own."""
    from packaging.requirements import Requirement

    extra = "" if _is_light() else "course"
    asked = map(Requirement, metadata.requires("gpt2course") or [])
    here = [r for r in asked if r.marker is None or r.marker.evaluate({"extra": extra})]
    return [(r.name, str(r.specifier)) for r in here]


def _is_light() -> bool:
    """Whether the library is here without the lessons: a plain `pip install gpt2course`."""
    return not any(map(find_spec, LESSONS_NEED))


def _unmet_requirements() -> list[tuple[str, str, str]]:
    """Name, versions that are wanted and version that is there ("" for none)."""
    from packaging.specifiers import SpecifierSet

    unmet = []
    for name, wanted in _requirements():
        try:
            found = metadata.version(name) or ""
        except metadata.PackageNotFoundError:
            found = ""
        if not found or not SpecifierSet(wanted).contains(found, prereleases=True):
            unmet.append((name, wanted, found))
    return unmet


def torch_computes() -> Iterator[Finding]:
    """torch."""
    if fault := _torch_fault():
        yield Finding(
            FAULT, f"torch does not work: {fault}", _install("torch", "--force-reinstall")
        )
        return
    import torch

    threads = torch.get_num_threads()
    counted = "1 thread" if threads == 1 else f"{threads} threads"
    from gpt2course.linear import quickest

    text = f"torch {torch.__version__} computes on the processor, in {counted}"
    way = quickest(1, threads)
    yield Finding(FINE, f"{text}; one row times a large matrix: {way} is the quickest product")
    gpus = {f"cuda:{i}": torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())}
    gpus |= {"mps": "Apple"} if torch.backends.mps.is_available() else {}
    for device, name in gpus.items():
        if fault := _torch_fault(device):
            text = f"torch sees {device} ({name}), but can't compute on it: {fault}"
            yield Finding(FAULT, text, "update the driver of the graphics card, and restart")
        else:
            yield Finding(FINE, f"torch computes on {device} ({name}); use it with --device")
    if not gpus:
        yield Finding(NOTE, "no graphics card that torch can use; no lesson needs one")


def _torch_fault(device: str = "cpu") -> str:
    """How a small product and its gradient differ from those by hand, or fail; or nothing."""
    try:
        import torch

        x = torch.tensor([[1.0, 0.0, 2.0]], device=device)  # (1, 3)
        w = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], device=device, requires_grad=True)
        y = x @ w  # (1, 2)
        y.sum().backward()
        got, gradient = y.tolist(), w.grad.tolist()
    except ModuleNotFoundError:
        raise
    except Exception as error:  # libraries and drivers fail in many ways
        return f"{type(error).__name__}: {_first_line(error)}"
    if got == [[11, 14]] and gradient == [[1, 1], [0, 0], [2, 2]]:
        return ""
    return f"a product is {got} and its gradient {gradient}"


# Jupyter ----------------------------------------------------------------------------------------


def widgets() -> Iterator[Finding]:
    """JupyterLab."""
    import ipywidgets
    import jupyterlab
    from jupyter_core.paths import jupyter_path

    folders = [Path(folder, WIDGETS) for folder in jupyter_path("labextensions")]
    lab, widgets = f"JupyterLab {jupyterlab.__version__}", f"ipywidgets {ipywidgets.__version__}"
    if any((folder / "package.json").is_file() for folder in folders):
        yield Finding(FINE, f"{lab} shows the sliders of {widgets}")
    else:
        text = f"{lab} can't show the sliders of {widgets}: its extension {WIDGETS} is missing"
        yield Finding(FAULT, text, _install("jupyterlab_widgets", "--force-reinstall"))


def kernel() -> Iterator[Finding]:
    """The kernel python3."""
    import ipykernel  # noqa: F401 - missing, it needs another remedy than a kernel that fails
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    again = _command(sys.executable, "-m", "ipykernel", "install", "--sys-prefix")
    try:
        command = KernelSpecManager().get_kernel_spec("python3").argv
    except NoSuchKernel:
        yield Finding(FAULT, "the kernel python3, which runs the notebooks, is missing", again)
        return
    start = time.monotonic()
    if fault := _kernel_fault():
        text = f"the kernel python3 ({_command(*command[:1])}) does not work: {fault}"
        yield Finding(FAULT, text, again)
    else:
        seconds = time.monotonic() - start
        yield Finding(FINE, f"the kernel python3 starts and finds the course ({seconds:.1f} s)")


def _kernel_fault() -> str:
    """Start the kernel, import the course in it, end it; what went wrong, or nothing."""
    from jupyter_client.manager import KernelManager

    manager = KernelManager(kernel_name="python3")
    try:
        manager.start_kernel(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        client = manager.client()
        client.start_channels()
        try:
            client.wait_for_ready(timeout=KERNEL_SECONDS)
            reply = client.execute("import gpt2course", reply=True, timeout=KERNEL_SECONDS)
        finally:
            client.stop_channels()
    except Exception as error:  # no program, no answer, no connection: each of its own type
        return _first_line(error) or type(error).__name__
    finally:
        if manager.has_kernel:
            manager.shutdown_kernel(now=True)
    content = reply["content"]
    return "" if content["status"] == "ok" else f"{content['ename']}: {content['evalue']}"


# Disk and memory --------------------------------------------------------------------------------


def workbook() -> Iterator[Finding]:
    """The folder of your answers."""
    if _torch_fault():  # which has its own line and remedy
        yield Finding(NOTE, "the folder of your answers: not tested, since torch does not work")
        return
    from gpt2course.learner.workbook import folder

    answers = folder()
    remedy = "set GPT2COURSE_WORKBOOK to a folder of your own that can be written"
    try:
        there = _nearest_folder(answers)
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"answer")
    except OSError as error:
        text = f"your answers can't be kept in {answers}: {error.strerror or error}"
        yield Finding(FAULT, text, remedy)
        return
    yield Finding(FINE, f"your answers are kept in {answers}")
    free = shutil.disk_usage(there).free
    said = f"{free / 1e9:.1f} GB of disk are free there"
    if free < SPACE:
        yield Finding(FAULT, f"{said}, too little to keep answers", "delete what you don't need")
    elif free < GPT2_SPACE:
        yield Finding(NOTE, f"{said}, too little to fetch GPT-2's weights to the same disk")
    else:
        yield Finding(FINE, said)


def _nearest_folder(path: Path) -> Path:
    """The folder itself, or the first above it that exists; NotADirectoryError for a file."""
    there = next(p for p in (path, *path.absolute().parents) if p.exists())
    if not there.is_dir():
        raise NotADirectoryError(20, f"{there} is a file")
    return there


def memory() -> Iterator[Finding]:
    """Memory."""
    import psutil

    found = psutil.virtual_memory()
    total, free = min(found.total, _group_limit()), min(found.available, _group_limit())
    said = f"{free / 1e9:.1f} GB of {total / 1e9:.1f} GB of memory are free"
    if free < MEMORY:
        yield Finding(FAULT, f"{said}; the course needs {MEMORY / 1e9:g}", "close other programs")
    elif free < MEMORY + 2 * GPT2_SPACE:  # the file's tensors and the model's, while it loads
        yield Finding(NOTE, f"{said}: enough for the lessons, too little for GPT-2's weights")
    else:
        yield Finding(FINE, said)


def _group_limit() -> float:
    try:
        return float(GROUP_LIMIT.read_text())
    except (OSError, ValueError):  # there is none, or it is "max"
        return float("inf")


# What the network gives -------------------------------------------------------------------------


def vocabulary() -> Iterator[Finding]:
    """GPT-2's vocabulary."""
    from gpt2course.files import gpt2_vocabulary

    try:
        paths = [gpt2_vocabulary._cache_path(url) for url in gpt2_vocabulary._GPT2_FILES]
        if not all(path.exists() for path in paths):
            yield Finding(
                NOTE,
                f"GPT-2's vocabulary is not in {paths[0].parent}: generate and perplexity with the "
                f"released models, and what lesson 02 shows of it, need the network once",
            )
            return
        gpt2_vocabulary.gpt2_files()
    except ValueError as error:  # damaged; the remedy stands behind the semicolon
        what, _, remedy = _first_line(error).partition("; ")
        yield Finding(FAULT, what, remedy)
    else:
        yield Finding(FINE, f"GPT-2's vocabulary is in {paths[0].parent}")


def hub() -> Iterator[Finding]:
    """The Hugging Face hub."""
    from huggingface_hub import constants

    without = "released weights that are not on this computer yet can't be fetched"
    if constants.HF_HUB_OFFLINE:
        yield Finding(NOTE, f"HF_HUB_OFFLINE is set: {without}")
        return
    said = _answer(f"{constants.ENDPOINT}/openai-community/gpt2/resolve/main/config.json")
    if said:
        yield Finding(NOTE, f"{constants.ENDPOINT} {said}: {without}")
    else:
        yield Finding(FINE, f"{constants.ENDPOINT} answers: released weights can be fetched")


def _answer(url: str) -> str:
    """Why the url can't be had within HUB_SECONDS, the look-up of its name included; or nothing."""
    import requests

    said = [f"does not answer within {HUB_SECONDS:g} s"]

    def ask() -> None:
        try:
            answer = requests.head(url, timeout=HUB_SECONDS)
            strange = (
                "" if "x-repo-commit" in answer.headers else "answers, but not as the hub does"
            )
            said.append(strange if answer.ok else f"answers {answer.status_code}")
        except requests.Timeout:
            pass
        except requests.RequestException:
            said.append("can't be reached")

    asking = threading.Thread(target=ask, daemon=True)  # a look-up knows no time limit
    asking.start()
    asking.join(HUB_SECONDS)
    return said[-1]


LIBRARY_CHECKS = [python, packages, torch_computes, vocabulary, hub]
CHECKS = [python, packages, torch_computes, widgets, kernel, workbook, memory, vocabulary, hub]
