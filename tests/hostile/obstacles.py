"""What may stand where a file is expected: each function puts something else in its place."""

import os
import socket
from collections.abc import Callable
from pathlib import Path


def empty(path: Path) -> None:
    """A file of no bytes."""
    path.write_bytes(b"")


def folder(path: Path) -> None:
    """A folder of that name, which is not empty."""
    path.unlink()
    (path / "inside").mkdir(parents=True)


def named_pipe(path: Path) -> None:
    """A pipe to which nobody writes: whoever opens it waits for ever."""
    path.unlink()
    os.mkfifo(path)


def lone_socket(path: Path) -> None:
    """A socket that nobody listens to."""
    path.unlink()
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's path has at most 107 characters
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def dangling_link(path: Path) -> None:
    """A link to nothing."""
    path.unlink()
    path.symlink_to("nowhere")


def circle_of_links(path: Path) -> None:
    """A link to itself."""
    path.unlink()
    path.symlink_to(path.name)


def endless_device(path: Path) -> None:
    """A link to zeros without end."""
    path.unlink()
    path.symlink_to("/dev/zero")


def link_to_a_folder(path: Path) -> None:
    """A link to the folder in which it lies."""
    path.unlink()
    path.symlink_to(".")


def locked(path: Path) -> None:
    """A file without the permission to read it (which does not stop root)."""
    path.chmod(0)


def holes(path: Path) -> None:
    """A file of a terabyte that takes no place on the disk."""
    with path.open("r+b") as file:
        file.truncate(10**12)


def missing(path: Path) -> None:
    """Nothing."""
    path.unlink()


OBSTACLES: tuple[Callable[[Path], None], ...] = (
    empty, folder, named_pipe, lone_socket, dangling_link, circle_of_links, endless_device, link_to_a_folder,
    locked, holes, missing,
)  # fmt: skip
