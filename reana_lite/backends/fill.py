"""A program that fills folders and then becomes the step: `python -I -S fill.py LIST PROGRAM ARGUMENT0 ARGUMENT...`.

LIST is a JSON file of [from, to] pairs of folders or files; what comes later replaces what is there. It runs as the step's
own process, so that a large copy holds up nobody, can be stopped, and counts as the step's. Only for the few steps whose
folder is shared (folders.py); the supervisor starts it. Standard library only: it must not depend on the step's variables.
"""

from __future__ import annotations

import json
import os
import shutil
import sys

_FICLONE = 0x40049409
"""ioctl of Linux that lets two files share their blocks."""

CODE = 125
"""Exit code if a folder could not be filled; the log tells why."""


def lay(source: str, target: str) -> None:
    """Copy a file, a link or all that is in a folder over what is at `target`; nothing if the source is gone."""
    if os.path.islink(source) or not os.path.isdir(source):  # noqa: PTH112, PTH114
        if os.path.lexists(source):
            _clear(target)
            _copy(source, target)
        return
    if os.path.islink(target) or not os.path.isdir(target):  # noqa: PTH112, PTH114
        _clear(target)
        os.makedirs(target)  # noqa: PTH103
    with os.scandir(source) as rows:
        for row in rows:
            lay(row.path, f"{target}/{row.name}")


def _clear(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):  # noqa: PTH112, PTH114
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)  # noqa: PTH108


def _copy(source: str, target: str) -> None:
    if os.path.islink(source):  # noqa: PTH114
        os.symlink(os.readlink(source), target)  # noqa: PTH115, PTH211
        return
    import fcntl

    with open(source, "rb") as old, open(target, "wb") as new:  # noqa: PTH123
        try:
            fcntl.ioctl(new.fileno(), _FICLONE, old.fileno())
        except OSError:
            shutil.copyfileobj(old, new, 1 << 20)
    shutil.copystat(source, target)


def main(arguments: list[str]) -> None:
    """See the module."""
    path, program, *argv = arguments
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:  # noqa: PTH123
            pairs = json.load(stream)
        os.unlink(path)  # noqa: PTH108
        for source, target in pairs:
            lay(source, target)
    except OSError as error:
        sys.stderr.write(f"the folder of this step could not be filled: {error}\n")
        sys.exit(CODE)
    os.execvp(program, argv)


if __name__ == "__main__":
    main(sys.argv[1:])
