"""Files that are written whole or not at all."""

import os
import tempfile
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Write under a temporary name in the same folder, then rename.

    A crash, a full disk or a second writer leaves the old file or the new one, never a part. The
    folder is made where it is missing.

    Raises:
        OSError: it can't be written; the old file is as it was, and nothing else is left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)  # mkstemp lets nobody else read it
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)
