"""Writes newc cpio archives, the format of a Linux initial file system, the same octets for the same content."""

import dataclasses
import stat
from collections.abc import Iterable


@dataclasses.dataclass(frozen=True, order=True)
class Entry:
    """One file of the archive. `path` has no leading slash; `mode` includes the file type."""

    path: str
    mode: int
    data: bytes = b""

    @staticmethod
    def directory(path: str) -> "Entry":
        return Entry(path, stat.S_IFDIR | 0o755)

    @staticmethod
    def link(path: str, target: str) -> "Entry":
        return Entry(path, stat.S_IFLNK | 0o777, target.encode())

    @staticmethod
    def file(path: str, data: bytes, mode: int = 0o644) -> "Entry":
        return Entry(path, stat.S_IFREG | mode, data)


def _record(number: int, entry: Entry) -> bytes:
    name = entry.path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    # ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
    fields = (number, entry.mode, 0, 0, links, 0, len(entry.data), 0, 0, 0, 0, len(name), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name
    head += b"\0" * (-len(head) % 4)
    return head + entry.data + b"\0" * (-len(entry.data) % 4)


def archive(entries: Iterable[Entry]) -> bytes:
    """The archive of the entries and of every directory above them, sorted by path, all times zero."""
    by_path: dict[str, Entry] = {}
    for entry in entries:
        known = by_path.setdefault(entry.path, entry)
        if known != entry:
            raise ValueError(f"two different entries for {entry.path}")
        parent = entry.path
        while "/" in parent:
            parent = parent.rpartition("/")[0]
            by_path.setdefault(parent, Entry.directory(parent))
    records = [_record(number, by_path[path]) for number, path in enumerate(sorted(by_path), start=1)]
    octets = b"".join(records) + _record(0, Entry("TRAILER!!!", 0))
    return octets + b"\0" * (-len(octets) % 512)
