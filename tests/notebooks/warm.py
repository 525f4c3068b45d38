"""Kernels forked from a warm process: no notebook waits until torch is imported once more.

After `install()` jupyter_client, and with it nbval, starts the kernels of this process as forks of
a child that has imported what takes long. The child imports nothing of the course: each kernel
does. Where no fork comes, kernels start as usual and a warning says so. Linux only: a process that
has loaded Apple's frameworks is not safe to fork.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import random
import runpy
import select
import signal
import socket
import subprocess
import sys
import warnings

from jupyter_client import launcher
from jupyter_client.provisioning import local_provisioner

HEAVY = (
    "ipykernel.kernelapp",
    "ipykernel.ipkernel",
    "ipywidgets",
    "jaxtyping",
    "matplotlib.pyplot",
    "numpy",
    "safetensors.torch",
    "tiktoken",
    "torch",
    "torch._dynamo",  # the first step of an optimizer imports it
    "tqdm.auto",
)
SECONDS = 60  # to wait for a fork; the first one waits for the imports too
INLINE = "module://matplotlib_inline.backend_inline"
NOT_IMPORTS = ("GPT2COURSE_WORKBOOK", "JPY_", "PYTEST_")  # variables read later, by each kernel


# --- in the process that starts kernels ---


def install() -> None:
    """Let jupyter_client fork the kernels that this process starts."""
    if sys.platform == "linux":
        local_provisioner.launch_kernel = WarmProcess().launch_kernel


class WarmProcess:
    """The process to fork from: it starts with the first kernel and ends with its owner."""

    def __init__(self):
        self.process = None

    def launch_kernel(self, command, **settings):
        """A kernel, forked where it would be like any other of this process."""
        if self.has_what_it_needs(command, **settings):
            try:
                return self.fork(command, **settings)
            except (OSError, ValueError) as error:
                self.stop()
                warnings.warn(f"Kernels start as usual: no fork came ({error!r}).", stacklevel=1)
        return launcher.launch_kernel(command, **settings)

    def has_what_it_needs(self, command, *, env=None, stdout=None, stderr=None, **_) -> bool:
        """Whether a fork could not be told from a kernel that starts with this command."""
        usual = command[:3] == [sys.executable, "-m", "ipykernel_launcher"]
        if not usual or isinstance(stdout, int) or isinstance(stderr, int):
            return False
        if self.process is None:
            self.start()
        return self.variables == read_by_imports(os.environ if env is None else env)

    def fork(self, command, *, env=None, cwd=None, stdout=None, stderr=None, **_):
        request = {"argv": command[2:], "env": dict(env or os.environ), "cwd": cwd or os.getcwd()}
        fds = [stdout.fileno() if stdout else 1, stderr.fileno() if stderr else 2]
        line, far_end = socket.socketpair()
        line.settimeout(SECONDS)
        with far_end:
            socket.send_fds(self.control, [b"f"], [far_end.fileno(), *fds])
        line.sendall(json.dumps(request).encode() + b"\n")
        return Fork(int(line.recv(20)), line)

    def start(self) -> None:
        self.variables = read_by_imports(os.environ)
        self.control, far_end = socket.socketpair()
        with far_end:
            self.process = subprocess.Popen(
                [sys.executable, __file__, str(far_end.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[far_end.fileno()],
                start_new_session=True,  # Ctrl-C in the terminal does not reach it
            )
        atexit.register(self.stop)

    def stop(self) -> None:
        self.control.close()
        self.process.kill()
        self.process.wait()


def read_by_imports(env):
    return {item for item in env.items() if not item[0].startswith(NOT_IMPORTS)}


class Fork:
    """What jupyter_client uses of subprocess.Popen. The kernel holds the other end of `line`.

    It is no child of this process, so that nobody learns its exit code: it reads 0.
    """

    stdin = stdout = stderr = returncode = None

    def __init__(self, pid: int, line: socket.socket):
        self.pid, self._line = pid, line
        line.setblocking(False)

    def poll(self):
        if self.returncode is None:
            try:
                self._line.recv(1)
            except BlockingIOError:
                return None
            except OSError:
                pass
            self._line.close()
            self.returncode = 0
        return self.returncode

    def wait(self, timeout=SECONDS):
        if self.poll() is None and not select.select([self._line], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(f"kernel {self.pid}", timeout)
        return self.poll()

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def kill(self):
        self.send_signal(signal.SIGKILL)


# --- in the warm process ---


def main(control: socket.socket) -> None:
    # What these read when they are imported, as it is in a kernel.
    os.environ["JPY_PARENT_PID"] = str(os.getpid())  # a kernel ends when the warm process does
    os.environ["MPLBACKEND"] = INLINE
    for module in HEAVY:
        importlib.import_module(module)
    gc.freeze()  # no collection in a kernel walks, and so copies, what it shares with the others
    become(*wait_for_a_request(control))


def wait_for_a_request(control: socket.socket) -> list[int]:
    """Fork for each request; return in the child, with what was handed over, and nowhere else."""
    while True:
        message, fds, *_ = socket.recv_fds(control, 1, 3)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not message:
            sys.exit()  # the owner has ended
        if os.fork() == 0:
            control.close()
            return fds
        for fd in fds:
            os.close(fd)


def become(line: int, stdout: int, stderr: int) -> None:
    """Be the kernel that was asked for: in a session of its own, as jupyter_client starts one."""
    os.setsid()
    for fd, own in (stdout, 1), (stderr, 2):
        os.dup2(fd, own)
        os.close(fd)
    far_end = socket.socket(fileno=line)  # closed by the end of this process, however it comes
    request = json.loads(far_end.makefile().readline())
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    random.seed()
    sys.modules["numpy"].random.seed()
    sys.modules["torch"].default_generator.seed()
    sys.argv = request["argv"]
    sys.path.insert(0, request["cwd"])
    far_end.sendall(str(os.getpid()).encode())
    runpy.run_module("ipykernel_launcher", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    del sys.path[0]  # this folder
    main(socket.socket(fileno=int(sys.argv[1])))
