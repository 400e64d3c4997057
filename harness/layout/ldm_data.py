"""Invariants 65 and 66: the contents of mirrors and RAID-5 volumes. See ldm_invariants.py."""

from __future__ import annotations

from ldm_structures import CONCAT, DISK, PLEX, RAID5, SECTOR, SUBDISK, VOLUME, Database, text

CHUNK = 1 << 20


def _runs(database: Database, plex, columns: bool) -> list[list[tuple[str, int, int]]] | None:
    """(disk GUID, start, size) in blocks; one list for a concatenated plex, else one for each column."""
    guids = {disk.id: disk.values["guid"] for disk in database.of(DISK)}
    parts = sorted(
        (each for each in database.of(SUBDISK) if each.values["plex"] == plex.id),
        key=lambda each: (each.values["column"], each.values["offset"]),
    )
    lists: dict[int, list] = {}
    for part in parts:
        if part.values["disk"] not in guids:
            return None
        run = (guids[part.values["disk"]], part.values["start"], part.values["size"])
        lists.setdefault(part.values["column"] if columns else 0, []).append(run)
    return [lists[key] for key in sorted(lists)]


def _chunks(runs: list[tuple[str, int, int]], disks: dict):
    """The contents of a plex or column, piece by piece; the pieces end where CHUNK does."""
    buffer = b""
    for guid, start, size in runs:
        disk = disks[guid]
        at, left = disk.byte_of(start), size * SECTOR
        while left:
            count = min(left, CHUNK - len(buffer))
            buffer += disk.image.bytes(at, count)
            at, left = at + count, left - count
            if len(buffer) == CHUNK:
                yield buffer
                buffer = b""
    if buffer:
        yield buffer


def _xor(pieces: tuple[bytes, ...]) -> int:
    total = 0
    for piece in pieces:
        total ^= int.from_bytes(piece, "little")
    return total


def _good(database: Database, plex) -> bool:
    """Whether the records say that the plex holds the volume's data: I47, I49 and I52 tell where they do not."""
    parts = [each for each in database.of(SUBDISK) if each.values["plex"] == plex.id]
    return not plex.values["plex_flags"] and not any(part.values["subdisk_flags"] for part in parts)


def _readable(disk, start: int, size: int) -> bool:
    """Whether the disk is there and the run on it; where it is not, I57 tells."""
    return disk is not None and disk.byte_of(start) + size * SECTOR <= disk.image.size


def check_data(database: Database, disks: dict, report) -> None:
    """Compares what has all of its members among `disks` (by GUID, without stale ones), and is no copy that the
    records call bad; report(number, text)."""
    for volume in database.of(VOLUME):
        plexes = [plex for plex in database.of(PLEX) if plex.values["volume"] == volume.id]
        if text(volume.values["state"]) != "ACTIVE":
            continue
        plexes = [plex for plex in plexes if _good(database, plex)]
        layouts = {plex.values["layout"] for plex in plexes}
        if layouts == {RAID5}:
            members = _runs(database, plexes[0], columns=True)
        elif layouts == {CONCAT} and len(plexes) > 1:
            whole = [_runs(database, plex, columns=False) for plex in plexes]
            members = [runs[0] if runs else [] for runs in whole] if all(whole) else None
        else:
            continue
        if not members or not all(_readable(disks.get(guid), start, size) for runs in members for guid, start, size in runs):
            continue
        for index, pieces in enumerate(zip(*(_chunks(runs, disks) for runs in members))):
            if layouts == {RAID5} and _xor(pieces):
                report(66, f"{volume.name}: parity is wrong within {index} MiB to {index + 1} MiB of the columns")
            elif layouts == {CONCAT} and len(set(pieces)) > 1:
                report(65, f"{volume.name}: the legs differ within {index} MiB to {index + 1} MiB")
