"""The watch: the kernel tells of each change inside a folder, and at one of them something is done at once."""

import ctypes
import os
import select
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

IN_MODIFY, IN_MOVED_TO, IN_CREATE, IN_DELETE, IN_ISDIR = 0x2, 0x80, 0x100, 0x200, 0x40000000
CHANGES = IN_MODIFY | IN_MOVED_TO | IN_CREATE | IN_DELETE
HEAD = struct.Struct("iIII")
"""The watch, what happened, a cookie, and how long the name after it is (inotify(7))."""

LOOK_S = 0.05
"""How soon the end is noticed."""

libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def watching(folder: Path, change: int, act: Callable[[], object], delay_s: float = 0) -> Iterator[None]:
    """Act after a change inside a folder, the first being 0, and perhaps a moment later, while the context lasts."""
    watch = Watch(folder, change, act, delay_s)
    watch.start()
    try:
        yield
    finally:
        watch.is_over.set()
        watch.join()


class Watch(threading.Thread):
    """Waits for one change among all inside a folder."""

    def __init__(self, folder: Path, change: int, act: Callable[[], object], delay_s: float) -> None:
        super().__init__(daemon=True)
        self.is_over = threading.Event()
        self.changes_left = change
        self.act = act
        self.delay_s = delay_s
        self.inotify = libc.inotify_init1(0)
        self.folders: dict[int, Path] = {}
        self.add(folder)

    def add(self, folder: Path) -> None:
        self.folders[libc.inotify_add_watch(self.inotify, os.fsencode(folder), CHANGES)] = folder
        for each in folder.iterdir():  # what was made before it was watched
            if each.is_dir():
                self.add(each)

    def run(self) -> None:
        while not self.is_over.is_set() and self.changes_left >= 0:
            if select.select([self.inotify], [], [], LOOK_S)[0]:
                self.count(os.read(self.inotify, 65536))
        os.close(self.inotify)

    def count(self, data: bytes) -> None:
        while data and self.changes_left >= 0:
            watch, mask, _, length = HEAD.unpack_from(data)
            name, data = data[HEAD.size : HEAD.size + length], data[HEAD.size + length :]
            if self.changes_left == 0:
                time.sleep(self.delay_s)
                self.act()
            elif mask & IN_ISDIR and mask & IN_CREATE:
                self.add(self.folders[watch] / os.fsdecode(name.rstrip(b"\0")))
            self.changes_left -= 1
