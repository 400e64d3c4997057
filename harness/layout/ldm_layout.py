#!/usr/bin/python3
"""What images of dynamic disks hold, read by the harness's own reading of the format (ldm_structures.py).

    ldm_layout.py IMAGE[:SECTOR]...

Prints {"groups": [{"name", "guid", "committed", "disks": [...], "volumes": [...]}], "problems": [...]}; positions and
lengths in bytes, from the start of the disk. Unlike libldm it reads sectors of any size, any current TOC, what stands
behind an OEM partition, and the states; a member whose database is older than that of its group is "stale". Of a
group the newest database counts. Transactions that are open are told as they are: records that are to be activated
only after the commit point, those to be deleted until then.
"""

from __future__ import annotations

import json
import pathlib
import re
import sys
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "disks"))

import ldm_tables as tables  # noqa: E402
from ldm_invariants import DynamicDisk  # noqa: E402
from ldm_structures import CONCAT, DISK, PLEX, RAID5, SECTOR, STRIPE, SUBDISK, VOLUME, Database, checksum, text  # noqa: E402

LAYOUTS = {STRIPE: "stripe", CONCAT: "concat", RAID5: "raid5"}


def kind_of(volume, plexes: list, subdisks: list) -> str:
    layouts = {plex.values["layout"] for plex in plexes}
    if layouts == {RAID5}:
        return "raid5"
    if len(plexes) > 1:
        return "mirrored"
    if layouts == {STRIPE}:
        return "striped"
    return "spanned" if len(subdisks) > 1 else "simple"


class Group:
    def __init__(self, disks: list[DynamicDisk], problems: list[str]):
        readable = [disk for disk in disks if disk.database]
        self.disks = disks
        self.newest = max(readable, key=lambda disk: (disk.database.header.committed, disk.database.header.status == 3))
        self.database: Database = self.newest.database
        self.problems = problems
        header = self.database.header
        keep = (0, 2) if header.status == 3 else (0, 1)
        self.live = [record for record in self.database.records if record.status in keep]
        self.by_guid = {disk.disk_guid: disk for disk in disks}

    def of(self, kind: int) -> list:
        return sorted((record for record in self.live if record.kind == kind), key=lambda record: record.id)

    def stale(self, disk: DynamicDisk) -> bool:
        return not disk.database or disk.database.header.committed < self.database.header.committed

    def member(self, record) -> dict:
        disk = self.by_guid.get(record.values["guid"])
        told = {"name": record.name, "record": record.id, "guid": record.values["guid"], "flags": record.values["disk_flags"], "present": bool(disk)}
        if disk:
            size = disk.image.sector_bytes
            told |= {
                "image": str(disk.image.path), "sector": size, "stale": self.stale(disk), "table": "GPT" if disk.is_gpt else "MBR",
                "data_start": disk.head.public_start * size, "data_length": disk.head.public_size * size,
                "metadata_start": disk.head.private_start * size, "metadata_length": disk.head.private_size * size,
            }  # fmt: skip
        return told

    def extent(self, subdisk, disks: dict) -> dict:
        record = disks.get(subdisk.values["disk"])
        disk = self.by_guid.get(record.values["guid"]) if record else None
        v = subdisk.values
        told = {
            "name": subdisk.name, "disk": record.name if record else "", "public_start": v["start"] * SECTOR,
            "offset": v["offset"] * SECTOR, "length": v["size"] * SECTOR, "column": v["column"], "flags": v["subdisk_flags"],
        }  # fmt: skip
        if disk:
            told["start"] = disk.byte_of(v["start"])
        return told

    def volume(self, record, disks: dict) -> dict:
        v = record.values
        plexes = [plex for plex in self.of(PLEX) if plex.values["volume"] == record.id]
        told_plexes, all_subdisks = [], []
        for plex in plexes:
            subdisks = [subdisk for subdisk in self.of(SUBDISK) if subdisk.values["plex"] == plex.id]
            subdisks.sort(key=lambda each: (each.values["column"], each.values["offset"]))
            all_subdisks += subdisks
            told_plexes.append({
                "name": plex.name, "state": plex.values["state"], "flags": plex.values["plex_flags"],
                "layout": LAYOUTS.get(plex.values["layout"], str(plex.values["layout"])),
                "stripe": plex.values.get("stripe", 0) * SECTOR, "columns": plex.values.get("columns", 0),
                "extents": [self.extent(subdisk, disks) for subdisk in subdisks],
            })  # fmt: skip
        return {
            "name": record.name, "guid": str(uuid.UUID(bytes=v["guid"])), "type": kind_of(record, plexes, all_subdisks),
            "size": v["size"] * SECTOR, "state": text(v["state"]), "flags": v["volume_flags"], "number": v["volume_number"],
            "partition_type": v["partition_type"], "hint": v.get("hint"), "plexes": told_plexes,
        }  # fmt: skip

    def told(self) -> dict:
        header = self.database.header
        disks = {record.id: record for record in self.of(DISK)}
        for number, problem in self.database.problems:
            self.problems.append(f"{self.newest.name}: {problem} (I{number:02})")
        return {
            "name": text(header.group_name), "guid": text(header.group_guid), "committed": header.committed,
            "at_rest": header.status == 1, "disks": [self.member(record) for record in disks.values()],
            "volumes": [self.volume(record, disks) for record in self.of(VOLUME)],
        }  # fmt: skip


def read(images: list[tuple[pathlib.Path, int]]) -> dict:
    """The document that main() prints."""
    problems: list[str] = []
    groups: dict[bytes, list[DynamicDisk]] = {}
    disks = []
    for path, sector in images:
        disk = DynamicDisk(tables.Image(path, sector), lambda number, name, words: problems.append(f"{name}: {words} (I{number:02})"))
        disks.append(disk)
        if not disk.head:
            continue  # a basic disk, or none at all: no problem of this reader
        if disk.head.sum != checksum(disk.head.pack()):
            problems.append(f"{disk.name}: every PRIVHEAD has a wrong checksum")
        disk.check_tocs()
        if disk.config and disk.config.startswith(b"VMDB"):
            disk.database = Database.read(disk.config)
        else:
            problems.append(f"{disk.name}: no database")
        groups.setdefault(disk.head.group_guid, []).append(disk)
    told = [Group(members, problems).told() for members in groups.values() if any(disk.database for disk in members)]
    for disk in disks:
        disk.image.close()
    return {"groups": told, "problems": problems}


def main(arguments: list[str]) -> int:
    images = []
    for argument in arguments:
        path, _, sector = argument.rpartition(":") if re.search(r":\d+$", argument) else (argument, "", "512")
        if not pathlib.Path(path).is_file() or sector not in ("512", "4096"):
            print(f"ldm_layout.py: {argument}: no such image, or a sector size other than 512 and 4096", file=sys.stderr)
            return 2
        images.append((pathlib.Path(path), int(sector)))
    json.dump(read(images), sys.stdout, indent=2)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
