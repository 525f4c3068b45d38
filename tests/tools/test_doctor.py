"""The doctor: each check on a machine that is whole, and on one that lacks what it looks for."""

import contextlib
import json
import re
import socket
import sys
import tempfile
import threading
import time
import types
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import metadata
from pathlib import Path

import psutil
import pytest
import requests
import torch

from gpt2course.tools import doctor
from gpt2course.tools.doctor import FAULT, FINE, NOTE, Finding


def found(check):
    """The findings of one check, each with what every finding has."""
    findings = list(doctor._found_by(check))
    assert findings
    for finding in findings:
        assert finding.mark in (FINE, FAULT, NOTE)
        assert "\n" not in finding.text and finding.text
        assert bool(finding.remedy) == (finding.mark == FAULT)
    return findings


def only(check):
    (finding,) = found(check)
    return finding


@pytest.fixture
def without_network(monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


# All of it --------------------------------------------------------------------------------------


def test_this_machine_is_examined_line_by_line(without_network, monkeypatch):
    """Nothing is at fault where the tests run; other programs may have taken the memory."""
    memory = types.SimpleNamespace(total=8e9, available=4e9)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    lines = []
    assert doctor.examine(lines.append) == 0
    assert lines[-1] == "\nNothing is at fault."
    assert all(line[0] in (FINE, NOTE) for line in lines[:-1])
    text = "\n".join(lines)
    for expected in (
        f"{FINE} Python {sys.version.split()[0]}",
        f"{FINE} torch {torch.__version__} computes",
        f"{FINE} JupyterLab ",
        f"{FINE} the kernel python3 starts",
        f"{FINE} your answers are kept in",
        "GB of disk are free",
        "GB of memory are free",
        "GPT-2's vocabulary is",
        f"{NOTE} HF_HUB_OFFLINE is set",
    ):
        assert expected in text


def test_a_fault_has_its_remedy_below_and_is_told_once(monkeypatch):
    def one():
        yield Finding(FINE, "good")
        yield Finding(FAULT, "bad", "mend it")

    def same():
        yield Finding(FAULT, "bad again", "mend it")

    def other():
        """Another thing."""
        raise RuntimeError("broken\nat length")

    lines = []
    monkeypatch.setattr(doctor, "CHECKS", [one, same, other])
    assert doctor.examine(lines.append) == 2
    assert lines == [
        f"{FINE} good",
        f"{FAULT} bad",
        "    → mend it",
        f"{NOTE} bad again; the remedy is above",
        f"{FAULT} Another thing: RuntimeError: broken",
        f"    → {doctor._reinstall()}",
        "\n2 faults: do what stands after the arrows, then run this again.",
    ]
    monkeypatch.setattr(doctor, "CHECKS", [one])
    assert doctor.examine(lines.append) == 1
    assert lines[-1] == "\n1 fault: do what stands after the arrow, then run this again."


def test_every_check_has_a_title_for_when_it_fails():
    assert len({check.__doc__ for check in doctor.CHECKS}) == len(doctor.CHECKS) == 9
    assert all(check.__doc__.endswith(".") for check in doctor.CHECKS)


# Python and its packages ------------------------------------------------------------------------


def test_a_python_that_is_too_old_is_named(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 8, 10, "final", 0))
    finding = only(doctor.python)
    assert finding.mark == FAULT
    assert finding.text.startswith("Python must be >=3.11, and is 3.8.10")


@pytest.fixture
def installed(monkeypatch):
    """Versions of packages as the test says; None for a package that is missing."""
    asked = ["torch<3,>=2.6", "jupyterlab>=4.2", "tqdm", 'pytest>=8; extra == "test"']
    asked += ['colorama; sys_platform == "none"']
    there = {"torch": "2.13.0+cpu", "jupyterlab": "4.6.6", "tqdm": "4.66"}

    def version(name):
        if there.get(name) is None:
            raise metadata.PackageNotFoundError(name)
        return there[name]

    monkeypatch.setattr(metadata, "requires", lambda name: asked if name == "gpt2course" else [])
    monkeypatch.setattr(metadata, "version", version)
    return there


def test_packages_of_versions_that_will_do(installed):
    assert only(doctor.packages) == Finding(FINE, "3 packages, all of versions that will do")
    installed["torch"] = "2.14.0.dev20260101"
    assert only(doctor.packages).mark == FINE


def test_each_package_at_fault_has_a_line_and_a_remedy(installed):
    installed |= {"torch": "2.5.1", "tqdm": None}
    torch_finding, tqdm_finding = found(doctor.packages)
    assert (torch_finding.mark, tqdm_finding.mark) == (FAULT, FAULT)
    assert torch_finding.text == "torch must be <3,>=2.6, and is 2.5.1"
    assert torch_finding.remedy == doctor._command(
        sys.executable, "-m", "pip", "install", "torch<3,>=2.6"
    )
    assert tqdm_finding.text == "tqdm must be there, and is missing"
    assert tqdm_finding.remedy.endswith("-m pip install tqdm")


def test_the_requirements_are_those_of_the_installed_course():
    names = [name for name, _ in doctor._requirements()]
    assert {"torch", "jupyterlab", "ipywidgets", "tiktoken"} <= set(names)
    assert not {"pytest", "ruff"} & set(names)


def test_a_missing_torch_is_one_fault_with_one_remedy(installed, monkeypatch):
    installed["torch"] = None
    monkeypatch.setitem(sys.modules, "torch", None)  # importing it is a ModuleNotFoundError
    lines = []
    monkeypatch.setattr(doctor, "CHECKS", [doctor.packages, doctor.torch_computes, doctor.workbook])
    assert doctor.examine(lines.append) == 1
    assert lines[0].startswith(f"{FAULT} torch must be") and "torch" in lines[1]
    assert lines[2] == f"{NOTE} torch: not tested, since torch is missing; the remedy is above"
    assert lines[3].startswith(f"{NOTE} The folder of your answers: not tested")


def test_a_torch_that_cannot_be_loaded_is_one_fault(monkeypatch):
    class Broken(types.ModuleType):
        def __getattr__(self, name):
            raise OSError("libtorch.so: cannot open shared object file")

    monkeypatch.setitem(sys.modules, "torch", Broken("torch"))
    finding = only(doctor.torch_computes)
    assert finding.mark == FAULT and "OSError: libtorch.so" in finding.text
    assert "--force-reinstall" in finding.remedy and "torch" in finding.remedy
    assert only(doctor.workbook).mark == NOTE


def test_a_course_that_is_not_installed_is_named(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    for name in ("requires", "metadata", "version"):
        monkeypatch.setattr(metadata, name, missing)
    for check in (doctor.python, doctor.packages):
        finding = only(check)
        assert finding.mark == FAULT and "is not installed" in finding.text
        assert finding.remedy == doctor._reinstall()
        assert str(Path(doctor.__file__).parents[2]) in finding.remedy


def test_a_missing_package_of_a_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "packaging.specifiers", None)
    finding = only(doctor.python)
    assert (finding.mark, finding.text) == (FAULT, "Python: not tested, since packaging is missing")
    assert re.search(r"-m pip install '?packaging(>=[\d.]+')?$", finding.remedy)


def test_torch_that_computes_wrongly_is_a_fault(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "__matmul__", lambda x, w: (x[:, :1] * w[:1]) * 2)
    finding = only(doctor.torch_computes)
    assert finding.mark == FAULT and "[[2.0, 4.0]]" in finding.text


def test_graphics_cards_are_tried_one_by_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda i: f"card {i}")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    fault = doctor._torch_fault
    monkeypatch.setattr(
        doctor, "_torch_fault", lambda device="cpu": "old driver" if device == "cuda:1" else fault()
    )
    cpu, first, second = found(doctor.torch_computes)
    assert cpu.mark == first.mark == FINE and "cuda:0 (card 0)" in first.text
    assert second.mark == FAULT and "cuda:1 (card 1)" in second.text
    assert second.text.endswith("old driver") and "driver" in second.remedy


def test_no_graphics_card_is_no_fault(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    cpu, note = found(doctor.torch_computes)
    assert (cpu.mark, note.mark) == (FINE, NOTE)
    assert f"in {torch.get_num_threads()} thread" in cpu.text


# Jupyter ----------------------------------------------------------------------------------------


def test_the_browsers_half_of_ipywidgets_is_looked_for(tmp_path, monkeypatch):
    monkeypatch.setattr("jupyter_core.paths.jupyter_path", lambda name: [str(tmp_path / name)])
    finding = only(doctor.widgets)
    assert finding.mark == FAULT and doctor.WIDGETS in finding.text
    assert "jupyterlab_widgets" in finding.remedy
    package = tmp_path / "labextensions" / doctor.WIDGETS / "package.json"
    package.parent.mkdir(parents=True)
    package.write_text("{}")
    assert only(doctor.widgets).mark == FINE


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """Another python3 in the place of this Python's."""

    def make(*argv, **fields):
        folder = tmp_path / "kernels" / "python3"
        folder.mkdir(parents=True)
        spec = {"argv": argv, "display_name": "Python 3", "language": "python", **fields}
        (folder / "kernel.json").write_text(json.dumps(spec))
        monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
        finding = only(doctor.kernel)
        assert finding.mark == FAULT
        assert finding.remedy.endswith("-m ipykernel install --sys-prefix")
        return finding.text

    return make


def test_a_kernel_whose_program_is_gone_is_named(kernel, capfd):
    said = kernel("/no/such/python", "-f", "{connection_file}")
    assert "the kernel python3 (/no/such/python) does not work: " in said and "No such file" in said
    assert capfd.readouterr() == ("", "")


def test_a_kernel_that_ends_at_once_is_named(kernel):
    assert "died" in kernel(sys.executable, "-c", "pass")


def test_a_kernel_that_says_nothing_is_ended_after_the_time_limit(kernel, monkeypatch):
    monkeypatch.setattr(doctor, "KERNEL_SECONDS", 1.0)
    start = time.monotonic()
    assert "in 1 seconds" in kernel(sys.executable, "-c", "import time; time.sleep(987)")
    assert time.monotonic() - start < 10
    assert not any("time.sleep(987)" in command for command in commands_of_children())


def commands_of_children():
    """The commands of the processes that this one has started; one that has ended has none."""
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.ZombieProcess, psutil.NoSuchProcess):
            yield " ".join(child.cmdline())


def test_a_kernel_that_does_not_find_the_course_is_named(kernel, tmp_path):
    other = tmp_path / "other" / "gpt2course.py"
    other.parent.mkdir()
    other.write_text("raise ImportError('another Python')")
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    said = kernel(*argv, env={"PYTHONPATH": str(other.parent)})
    assert said.endswith("ImportError: another Python")


def test_a_missing_kernel_is_named(monkeypatch):
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    def missing(self, name):
        raise NoSuchKernel(name)

    monkeypatch.setattr(KernelSpecManager, "get_kernel_spec", missing)
    finding = only(doctor.kernel)
    assert finding.mark == FAULT and "is missing" in finding.text
    assert finding.remedy.endswith("-m ipykernel install --sys-prefix")


# Disk and memory --------------------------------------------------------------------------------


def test_the_folder_of_answers_is_tried_and_left_as_it_was(workbook_folder, tmp_path):
    for exists in (False, True):
        kept, disk = found(doctor.workbook)
        assert kept == Finding(FINE, f"your answers are kept in {workbook_folder}")
        assert "GB of disk are free there" in disk.text
        assert workbook_folder.exists() == exists
        assert not exists or list(workbook_folder.iterdir()) == []
        workbook_folder.mkdir(exist_ok=True)


def test_a_folder_of_answers_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_text("")
    for folder in (file, file / "inside"):
        monkeypatch.setenv("GPT2COURSE_WORKBOOK", str(folder))
        finding = only(doctor.workbook)
        assert finding.mark == FAULT and f"can't be kept in {folder}" in finding.text
        assert "GPT2COURSE_WORKBOOK" in finding.remedy

    def forbidden(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setenv("GPT2COURSE_WORKBOOK", str(tmp_path))
    monkeypatch.setattr(tempfile, "TemporaryFile", forbidden)
    assert (
        only(doctor.workbook).text == f"your answers can't be kept in {tmp_path}: Permission denied"
    )


@pytest.mark.parametrize(
    ("free", "mark"), [(0.05e9, FAULT), (0.3e9, NOTE), (5e9, FINE), (0.1e9, NOTE), (0.6e9, FINE)]
)
def test_free_disk_space(monkeypatch, free, mark):
    disk = types.SimpleNamespace(total=9e9, used=9e9 - free, free=free)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: disk)
    assert found(doctor.workbook)[1].mark == mark


@pytest.mark.parametrize(("free", "mark"), [(0.9e9, FAULT), (1.5e9, NOTE), (2.2e9, FINE)])
def test_free_memory(monkeypatch, tmp_path, free, mark):
    memory = types.SimpleNamespace(total=8e9, available=free)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    monkeypatch.setattr(doctor, "GROUP_LIMIT", tmp_path / "no-such-file")
    finding = only(doctor.memory)
    assert finding.mark == mark and f"{free / 1e9:.1f} GB of 8.0 GB" in finding.text


def test_memory_is_a_containers_where_that_has_less(monkeypatch, tmp_path):
    memory = types.SimpleNamespace(total=64e9, available=60e9)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(doctor, "GROUP_LIMIT", limit)
    limit.write_text("512000000\n")
    assert only(doctor.memory).text.startswith("0.5 GB of 0.5 GB")
    limit.write_text("max\n")
    assert only(doctor.memory).text.startswith("60.0 GB of 64.0 GB")


# What the network gives -------------------------------------------------------------------------


def test_a_vocabulary_that_is_not_there_is_a_note(tmp_path, monkeypatch):
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    finding = only(doctor.vocabulary)
    assert finding.mark == NOTE and f"is not in {tmp_path}" in finding.text
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_vocabulary_is_a_fault(tmp_path, monkeypatch):
    from gpt2course.files import gpt2_vocabulary

    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    for url in gpt2_vocabulary._GPT2_FILES:
        gpt2_vocabulary._cache_path(url).write_bytes(b"cut off")
    finding = only(doctor.vocabulary)
    assert finding.mark == FAULT and "but is damaged" in finding.text
    assert finding.remedy == "delete it, and it is fetched anew"
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "")
    assert only(doctor.vocabulary).remedy == "unset it, or name one"


@pytest.mark.released
def test_a_whole_vocabulary_is_fine(monkeypatch):
    shared = Path(__file__).parents[2] / "shared" / "tiktoken-cache"
    if not shared.exists():
        pytest.skip("GPT-2's vocabulary is not on this machine")
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(shared))
    assert only(doctor.vocabulary) == Finding(FINE, f"GPT-2's vocabulary is in {shared}")


@pytest.fixture
def web(monkeypatch):
    """A hub on this machine that answers with `web.status` and `web.sent`."""
    from huggingface_hub import constants

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.server.asked.append(self.path)
            self.send_response(self.server.status)
            for name, value in self.server.sent.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.status, server.sent = [], 200, {"X-Repo-Commit": 40 * "a"}
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_hub_that_answers(web):
    finding = only(doctor.hub)
    assert finding.mark == FINE and f"127.0.0.1:{web.server_port} answers" in finding.text
    assert web.asked == ["/openai-community/gpt2/resolve/main/config.json"]
    web.status = 307  # as the hub itself answers for small files
    assert only(doctor.hub).mark == FINE


def test_a_hub_that_answers_otherwise_is_a_note(web):
    web.status = 503
    assert (finding := only(doctor.hub)).mark == NOTE and "answers 503: " in finding.text
    web.status, web.sent = 200, {}
    assert (finding := only(doctor.hub)).mark == NOTE and "not as the hub does" in finding.text


def test_a_hub_that_is_switched_off_is_not_asked(web, without_network):
    finding = only(doctor.hub)
    assert finding.mark == NOTE and finding.text.startswith("HF_HUB_OFFLINE is set: ")
    assert web.asked == []


def test_a_hub_that_refuses_or_is_silent_is_a_note_within_the_time_limit(web, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(doctor, "HUB_SECONDS", 0.4)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")
        start = time.monotonic()
        finding = only(doctor.hub)
        assert 0.3 < time.monotonic() - start < 3
        assert finding.mark == NOTE and "does not answer within 0.4 s" in finding.text
    assert (finding := only(doctor.hub)).mark == NOTE and "can't be reached" in finding.text


def test_a_name_that_is_looked_up_for_ever_is_given_up_after_the_time_limit(web, monkeypatch):
    ended = threading.Event()

    def look_up(url, timeout):
        ended.wait(20)
        raise requests.ConnectionError

    monkeypatch.setattr(doctor, "HUB_SECONDS", 0.2)
    monkeypatch.setattr(requests, "head", look_up)
    start = time.monotonic()
    assert "does not answer within 0.2 s" in only(doctor.hub).text
    assert time.monotonic() - start < 5
    ended.set()
