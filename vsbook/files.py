"""Files: written beside and moved into place, and named by their path."""

import os
from pathlib import Path

from vsbook.checks import BadInput

__all__ = ["existing_file", "write_beside"]


def existing_file(path) -> Path:
    """`path` as a Path if a file stands there, or `BadInput`."""
    if not isinstance(path, (str, os.PathLike)):
        raise BadInput(f"path: expected the name of a file, got {type(path).__name__}; pass a string or a Path")
    path = Path(path)
    try:
        found = "a file" if path.is_file() else "a folder" if path.is_dir() else "nothing"
    except OSError as error:  # a name too long, a folder that is closed
        found = f"'{error.strerror}'"
    if found != "a file":
        raise BadInput(f"expected a file at {path}, found {found}; check the path")
    return path


def write_beside(path, data: bytes) -> None:
    """Write `data` to a file beside `path` and move it into place, so that a half-written file never bears the name.

    Raises:
        BadInput: where nothing can be written.
    """
    path = Path(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            beside.write_bytes(data)
            os.replace(beside, path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise BadInput(f"{path}: expected a place to write, got '{error.strerror}'; name another") from None
