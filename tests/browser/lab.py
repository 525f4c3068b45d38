"""JupyterLab in a real Chromium, for the tests: a server of its own, cells run and read."""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PANEL = "window.jupyterapp.shell.currentWidget"
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()


class Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_) -> None:
        pass


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a folder's files, while they are served."""
    handler = functools.partial(Silent, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Server:
    """JupyterLab on a copy of the lessons, with a workbook and settings of its own."""

    def __init__(self, folder: Path):
        self.folder = folder
        shutil.copytree(ROOT / "lessons", folder / "lessons")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.token = secrets.token_hex(16)
        environment = {
            **os.environ,
            "GPT2COURSE_WORKBOOK": str(folder / "my_gpt2"),
            "JUPYTER_CONFIG_DIR": str(folder / "config"),
            "JUPYTER_DATA_DIR": str(folder / "data"),
            "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
            "JUPYTERLAB_SETTINGS_DIR": str(_settings(folder)),
        }
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root",
                   "--expose-app-in-browser", f"--port={self.port}", "--ServerApp.port_retries=0",
                   f"--IdentityProvider.token={self.token}",
                   f"--notebook-dir={folder / 'lessons'}"]  # fmt: skip
        self.log = open(folder / "server.log", "w")
        self.process = subprocess.Popen(command, env=environment, stdout=self.log, stderr=self.log)
        self._wait()

    def _wait(self) -> None:
        for _ in range(300):
            try:
                urllib.request.urlopen(
                    f"http://127.0.0.1:{self.port}/api?token={self.token}", timeout=2
                )
                return
            except OSError:
                time.sleep(0.2)
            assert self.process.poll() is None, (self.folder / "server.log").read_text()
        raise AssertionError(
            "JupyterLab did not answer: " + (self.folder / "server.log").read_text()
        )

    def url(self, notebook: str) -> str:
        return f"http://127.0.0.1:{self.port}/lab/tree/{notebook}?reset&token={self.token}"

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.log.close()


def _settings(folder: Path) -> Path:
    """No question about news, as for learners."""
    settings = folder / "settings"
    plugin = settings / "@jupyterlab" / "apputils-extension"
    plugin.mkdir(parents=True)
    (plugin / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')
    return settings


ACTIVE = ".jp-Notebook-cell.jp-mod-active .jp-OutputArea"
# The pictures and texts of the widget in the active cell.
SHOWN = (
    f"() => [...document.querySelectorAll('{ACTIVE} .widget-html-content')]"
    ".map(part => part.innerHTML).join('')"
)


# End what is open in the page and its kernel, unsaved, then open a notebook.
NEXT = """
async path => {
    const app = window.jupyterapp;
    for (const panel of [...app.shell.widgets('main')]) {
        await panel.sessionContext?.shutdown();
        panel.dispose();
    }
    await app.commands.execute('docmanager:open', {path});
}
"""


class Lesson:
    """One notebook open in a page: by its address, or after another one in the same JupyterLab."""

    def __init__(self, page, server: Server, notebook: str):
        self.page, self.complaints = page, []
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(f"page error: {error}"))
        if page.url == "about:blank":
            page.goto(server.url(notebook))
            page.wait_for_function("window.jupyterapp !== undefined", timeout=60_000)
        else:
            page.evaluate(NEXT, notebook)
        self.wait_until_open()

    def wait_until_open(self) -> None:
        """Until the notebook is shown and its kernel waits."""
        page = self.page
        page.wait_for_function(f"{PANEL}?.context?.isReady && {PANEL}.content.widgets.length > 3",
                               timeout=60_000)  # fmt: skip
        page.wait_for_function(
            f"{PANEL}.sessionContext.session?.kernel?.status === 'idle'", timeout=60_000
        )

    def _hear(self, message) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    def reopen(self) -> None:
        """Save it, end its kernel, and load the page again."""
        self.command("docmanager:save")
        self.page.evaluate(f"{PANEL}.sessionContext.shutdown()")
        self.page.reload()
        self.page.wait_for_function("window.jupyterapp !== undefined", timeout=60_000)
        self.wait_until_open()

    def command(self, name: str) -> None:
        """Run a JupyterLab command; for running cells it ends when they are done."""
        self.page.evaluate(f"window.jupyterapp.commands.execute({json.dumps(name)})")

    def cells(self) -> list[dict]:
        """Every cell as it stands in the notebook's model, its outputs included."""
        return self.page.evaluate(f"{PANEL}.content.model.sharedModel.toJSON().cells")

    def outputs(self, index: int) -> str:
        """All that a cell has shown, as one string of JSON."""
        script = f"{PANEL}.content.widgets[{index}].model.outputs.toJSON()"
        return json.dumps(self.page.evaluate(script), ensure_ascii=False)

    def errors(self) -> list[dict]:
        """Error outputs anywhere in the notebook."""
        return [
            output
            for cell in self.cells()
            for output in cell.get("outputs", [])
            if output["output_type"] == "error"
        ]

    def index_of(self, text: str) -> int:
        """The code cell that contains the text."""
        found = [
            i
            for i, cell in enumerate(self.cells())
            if cell["cell_type"] == "code" and text in "".join(cell["source"])
        ]
        assert found, f"no code cell contains {text!r}"
        return found[0]

    def activate(self, index: int) -> None:
        self.page.evaluate(
            f"async () => {{ const n = {PANEL}.content; n.activeCellIndex = {index}; "
            f"n.deselectAll(); await n.scrollToItem({index}, 'center'); }}"
        )
        self.page.wait_for_function(f"{PANEL}.content.widgets[{index}].inViewport")

    def type_into(self, index: int, code: str) -> None:
        """Replace a cell's text with the keyboard."""
        self.activate(index)
        self.command("notebook:enter-edit-mode")
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(code)
        assert "".join(self.cells()[index]["source"]) == code

    def run(self, index: int) -> str:
        """Run one cell and return what it shows."""
        self.activate(index)
        self.command("notebook:run-cell")
        return self.outputs(index)

    def shown_by_widget(self) -> str:
        """What the widget in the active cell shows, its controls left out."""
        self.page.locator(f"{ACTIVE} .jupyter-widgets").first.wait_for()
        self.page.wait_for_function(f"({SHOWN})() !== ''")
        return self.page.evaluate(f"({SHOWN})()")

    def press_a_control(self) -> None:
        """Use the first control of the active cell's widget, with the keyboard alone."""
        controls = f"{ACTIVE} .jupyter-widgets"
        slider = self.page.locator(f"{controls} .noUi-handle").first
        toggle = self.page.locator(f"{controls} .widget-toggle-button").nth(1)
        select = self.page.locator(f"{controls} select").first
        field = self.page.locator(f"{controls} input[type=text]").first
        button = self.page.locator(f"{controls} button:enabled").first
        if slider.count():
            slider.focus()
            for key in ("ArrowRight", "ArrowRight", "ArrowUp", "Home"):
                self.page.keyboard.press(key)
        elif toggle.count():
            toggle.focus()
            self.page.keyboard.press("Enter")
        elif select.count():
            select.focus()
            self.page.keyboard.press("ArrowDown")
        elif field.count() and not button.count():
            field.focus()
            self.page.keyboard.press("End")
            self.page.keyboard.type(" Mina")
            self.page.keyboard.press("Enter")
        else:
            button.focus()
            self.page.keyboard.press("Enter")

    def restart_kernel(self) -> None:
        """Restart without the question whether to."""
        self.page.evaluate(f"{PANEL}.sessionContext.session.kernel.restart()")
        self.page.wait_for_function(f"{PANEL}.sessionContext.session.kernel.status === 'idle'")
