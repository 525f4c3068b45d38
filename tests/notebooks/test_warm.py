"""A forked kernel is a kernel like any other: also when it crashes, hangs or is started again."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest
import warm
from jupyter_client import KernelManager, launcher
from jupyter_client.provisioning import local_provisioner
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="kernels are forked on Linux only")


@pytest.fixture(scope="module")
def process():
    process = warm.WarmProcess()
    process.start()
    yield process
    process.stop()


@pytest.fixture
def forked(process, monkeypatch):
    """Every kernel of this test is a fork, or else an error."""
    monkeypatch.setattr(local_provisioner, "launch_kernel", process.fork)


@pytest.fixture(params=["forked", "as usual"])
def either_way(request, monkeypatch):
    """The test holds for every kernel."""
    if request.param == "forked":
        return request.getfixturevalue("forked")
    monkeypatch.setattr(local_provisioner, "launch_kernel", launcher.launch_kernel)


def client_of(*cells, **settings):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    return NotebookClient(notebook, timeout=60, **settings)


def outputs(*cells, **settings):
    """What the last cell puts out."""
    return client_of(*cells, **settings).execute().cells[-1].outputs


def printed(*cells, **settings):
    return "".join(output.get("text", "") for output in outputs(*cells, **settings)).strip()


def test_it_is_a_process_in_a_session_of_its_own_here_and_with_this_environment(
    either_way, monkeypatch, tmp_path
):
    monkeypatch.setenv("GPT2COURSE_WORKBOOK", "its own")
    code = (
        "import os, sys\n"
        "print(os.getsid(0) == os.getpid(), os.getcwd(), os.environ['GPT2COURSE_WORKBOOK'])\n"
        "print(os.path.basename(sys.argv[0]), 'gpt2course' in sys.modules)\n"
        "print(*sys.path)"
    )
    here, started, path = printed(
        code, resources={"metadata": {"path": str(tmp_path)}}
    ).splitlines()
    assert here == f"True {tmp_path} its own"
    assert started == "ipykernel_launcher.py False"
    assert str(Path(warm.__file__).parent) not in path.split(" ")


def test_forks_draw_random_numbers_of_their_own(forked):
    code = "import random, numpy, torch\n"
    code += "print(random.random(), numpy.random.rand(), torch.rand(1).item())"
    assert not set(printed(code).split()) & set(printed(code).split())


def test_torch_learns_and_matplotlib_draws_in_a_fork(forked):
    code = (
        "import torch\n"
        "x = torch.randn(64, 300, requires_grad=True)\n"
        "step = torch.optim.AdamW([x], 0.1)\n"
        "before = (x @ x.T).square().mean()\n"
        "before.backward(); step.step()\n"
        "print(((x @ x.T).square().mean() < before).item())"
    )
    assert printed(code) == "True"
    (figure,) = outputs("import matplotlib.pyplot as plt", "plt.plot([1, 2]);")
    assert figure.data["image/png"]


def test_a_kernel_that_crashes_is_dead_and_the_next_one_is_not(either_way):
    with pytest.raises(DeadKernelError):
        client_of("import os; os.kill(os.getpid(), 11)").execute()
    assert printed("print(1)") == "1"


def test_a_cell_that_takes_too_long_is_interrupted(either_way):
    client = client_of("while True: pass", "print(2)", allow_errors=True)
    client.timeout, client.interrupt_on_timeout = 1, True
    first, second = client.execute().cells
    assert first.outputs[0].ename == "KeyboardInterrupt"
    assert second.outputs[0].text == "2\n"
    with pytest.raises(CellTimeoutError):
        client = client_of("while True: pass")
        client.timeout = 1
        client.execute()


@pytest.fixture
def manager(either_way):
    manager = KernelManager()
    manager.start_kernel()
    yield manager
    manager.shutdown_kernel(now=True)


def test_a_kernel_is_started_again_and_ended_with_its_children(manager):
    first = psutil.Process(manager.provisioner.pid)
    manager.restart_kernel(now=True)
    psutil.wait_procs([first], timeout=20)
    assert manager.is_alive()
    client = manager.blocking_client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    client.execute_interactive("import subprocess; subprocess.Popen(['sleep', '60'])", timeout=60)
    second = psutil.Process(manager.provisioner.pid)
    (child,) = second.children()
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    assert not psutil.wait_procs([child], timeout=20)[1]
    assert first.pid != second.pid
    assert not manager.is_alive()


# --- the warm process itself ---


@pytest.fixture
def broken(monkeypatch):
    """A warm process for a test to break."""
    broken = warm.WarmProcess()
    broken.start()
    monkeypatch.setattr(local_provisioner, "launch_kernel", broken.launch_kernel)
    monkeypatch.setattr(warm, "SECONDS", 0.5)
    yield broken
    broken.stop()


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGSTOP])
def test_without_an_answer_from_the_warm_process_kernels_start_as_usual(broken, sent):
    os.kill(broken.process.pid, sent)
    for _ in range(2):
        with pytest.warns(UserWarning, match="Kernels start as usual"):
            assert int(printed("import os; print(os.getppid())")) == os.getpid()


def test_a_kernel_that_is_not_like_the_others_starts_as_usual(broken, monkeypatch, tmp_path):
    command, like = [sys.executable, "-m", "ipykernel_launcher", "-f", "x"], {"env": {**os.environ}}
    assert broken.has_what_it_needs(command, **like, stdout=None, cwd="/")
    assert not broken.has_what_it_needs([sys.executable, "-c", "pass"], **like)
    assert not broken.has_what_it_needs(command, **like, stdout=subprocess.DEVNULL)
    monkeypatch.setenv("PYTHONHASHSEED", "7")  # read before any import
    assert not broken.has_what_it_needs(command)
    assert printed("print(hash('a'))") == printed("print(hash('a'))")


def test_a_kernel_ends_when_the_process_that_started_it_does(tmp_path):
    script = tmp_path / "owner.py"
    script.write_text(
        "import os, sys\n"
        f"sys.path.insert(0, {str(Path(warm.__file__).parent)!r})\n"
        "import warm; warm.install()\n"
        "from jupyter_client import KernelManager\n"
        "manager = KernelManager(); manager.start_kernel()\n"
        "print(os.getppid(), manager.provisioner.pid, manager.provisioner.process, flush=True)\n"
        "os._exit(0)"
    )
    ran = subprocess.run(
        [sys.executable, script], stdout=subprocess.PIPE, text=True, check=True, timeout=60
    )
    us, kernel, kind = ran.stdout.split(maxsplit=2)
    assert int(us) == os.getpid() and "Fork" in kind
    end = time.monotonic() + 20
    while psutil.pid_exists(int(kernel)):
        assert time.monotonic() < end
        time.sleep(0.1)
