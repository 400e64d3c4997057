"""Changes structures of a group's images in place: what tests of the checker break things with."""

from __future__ import annotations

import dataclasses
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "disks"))

import ldm_tables as tables  # noqa: E402
from ldm_structures import SECTOR, Database, LogPage, PrivHead, Record, Toc  # noqa: E402


class DiskEditor:
    """One image. Every method writes at once."""

    def __init__(self, path: str, sector: int):
        self.path = pathlib.Path(path)
        self.sector = sector
        image = tables.Image(path, sector)
        self.size, self.sectors = image.size, image.sectors
        self.mbr = tables.Mbr.read(image.sector(0))
        self.gpt = tables.Gpt.read(image, 1, self.sectors - 1)
        metadata = [e for e in self.gpt.entries if e.type == tables.METADATA] if self.gpt else []
        self.private = metadata[0].first if metadata else self.sectors - (1 << 20) // sector
        last = self.private + (1 << 20) // sector - 1
        self.head = PrivHead.read(image.sector(last))
        self.heads = [last, self.private + self.head.backup] + ([] if self.gpt else [6])
        self.tocs = [self.private + self.head.toc_primary, self.private + self.head.toc_secondary]
        self.toc = Toc.read(image.sector(self.tocs[0]))
        config, log = self.toc.region("config"), self.toc.region("log")
        self.config_at, self.log_at = ((self.private + region.start) * sector for region in (config, log))
        self.database = Database.read(image.bytes(self.config_at, config.size * sector))
        self.log = [LogPage.read(image.bytes(self.log_at + at, SECTOR)) for at in (0, SECTOR)]
        image.close()

    def poke(self, at: int, raw: bytes) -> None:
        with open(self.path, "r+b") as file:
            file.seek(at)
            file.write(raw)

    def peek(self, at: int, count: int) -> bytes:
        with open(self.path, "rb") as file:
            file.seek(at)
            return file.read(count)

    def write_mbr(self, **values) -> None:
        self.mbr = dataclasses.replace(self.mbr, **values)
        self.poke(0, self.mbr.pack())

    def change_entry(self, index: int, **values) -> None:
        slots = list(self.mbr.slots)
        slots[index] = dataclasses.replace(slots[index], **values)
        self.write_mbr(slots=slots)

    def write_gpt(self, entries: list[tables.GptEntry]) -> None:
        """Both tables, with checksums that fit."""
        last = self.gpt.last_usable
        for own, other, array in ((1, self.sectors - 1, 2), (self.sectors - 1, 1, last + 1)):
            gpt = dataclasses.replace(self.gpt, own=own, alternate=other, array=array, entries=entries)
            header, raw = gpt.pack()
            self.poke(own * self.sector, header)
            self.poke(array * self.sector, raw)

    def change_gpt_entry(self, kind, **values) -> None:
        index = next(i for i, entry in enumerate(self.gpt.entries) if entry.type == kind)
        entries = list(self.gpt.entries)
        entries[index] = dataclasses.replace(entries[index], **values)
        self.write_gpt(entries)

    def write_head(self, **values) -> None:
        """All copies."""
        self.head = dataclasses.replace(self.head, **values)
        for place in self.heads:
            self.poke(place * self.sector, self.head.pack())

    def write_toc(self, **values) -> None:
        """The current pair."""
        self.toc = dataclasses.replace(self.toc, **values)
        for place in self.tocs:
            self.poke(place * self.sector, self.toc.pack())

    def write_database(self) -> None:
        self.poke(self.config_at, self.database.pack())

    def write_log(self) -> None:
        self.poke(self.log_at, b"".join(page.pack() for page in self.log))


class GroupEditor:
    """All images of a group: the database changes on every disk alike."""

    def __init__(self, made: dict):
        self.disks = [DiskEditor(disk["path"], disk["sector"]) for disk in made["disks"]]

    @property
    def images(self) -> list[tuple[pathlib.Path, int]]:
        return [(disk.path, disk.sector) for disk in self.disks]

    def record(self, name: str) -> Record:
        """As the first disk has it."""
        return next(record for record in self.disks[0].database.records if record.name == name)

    def change(
        self, which: str, /, flags: int | None = None, status: int | None = None, number: int | None = None, **values
    ) -> None:
        """Sets values of the record of the name `which`."""
        for disk in self.disks:
            record = next(record for record in disk.database.records if record.name == which)
            record.values.update(values)
            record.flags = record.flags if flags is None else flags
            record.status = record.status if status is None else status
            record.number = record.number if number is None else number
            disk.write_database()

    def change_header(self, **values) -> None:
        for disk in self.disks:
            disk.database.header = dataclasses.replace(disk.database.header, **values)
            disk.write_database()

    def poke_config(self, at: int, raw: bytes) -> None:
        for disk in self.disks:
            disk.poke(disk.config_at + at, raw)

    def change_log(self, page: int, entry: int | None = None, **values) -> None:
        for disk in self.disks:
            target = disk.log[page] if entry is None else disk.log[page].entries[entry]
            for name, value in values.items():
                setattr(target, name, value)
            disk.write_log()
