"""Files that are written whole or not at all."""

import contextlib
import glob
import os
import tempfile
import time
from pathlib import Path

_STALE = 600  # seconds without a write, after which a temporary file has no living writer


def write_whole(path: Path, *pieces: bytes | memoryview) -> None:
    """Write under a temporary name in the same folder, then rename.

    A crash, a full disk or a second writer leaves the old file or the new one, never a part. The
    folder is made where it is missing. Temporary files that a killed process left are removed.

    Raises:
        OSError: it can't be written; the old file is as it was, and nothing else is left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_stale(path)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)  # mkstemp lets nobody else read it
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)


def _remove_stale(path: Path) -> None:
    for left in path.parent.glob(f".{glob.escape(path.name)}-????????.tmp"):
        with contextlib.suppress(OSError):  # another process removes it, or it is somebody else's
            if time.time() - left.stat().st_mtime > _STALE:
                left.unlink()
