"""Runs the one file of lesson 21 in a process that cannot import the course."""

import json
import subprocess
import sys

import torch

REFUSED = ("gpt2course", "jaxtyping", "safetensors", "tiktoken", "regex", "huggingface_hub")
HOOK = f"""if True:
    import sys

    class Refuse:
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] in {REFUSED!r}:
                raise ImportError(name + " is refused")

    sys.meta_path.insert(0, Refuse())
"""
LOGITS = """
import json, runpy
from pathlib import Path
names = runpy.run_path(sys.argv[1], run_name="alone")
import torch
model = names["load_model"](Path(sys.argv[2]))
with torch.no_grad():
    torch.save(model(torch.tensor([json.loads(sys.argv[3])])), sys.argv[4])
"""
PROGRAM = """
import runpy
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def python(code, *argv):
    command = [sys.executable, "-I", "-c", HOOK + code, *map(str, argv)]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=300)


def logits_alone(path, folder, ids, scratch):
    """The logits of ids by the model that the file makes of a folder's weights."""
    ran = python(LOGITS, path, folder, json.dumps(ids), scratch / "logits.pt")
    assert ran.returncode == 0, ran.stderr
    return torch.load(scratch / "logits.pt")


def run_alone(path, *argv):
    """The file run as a program."""
    return python(PROGRAM, path, *argv)
