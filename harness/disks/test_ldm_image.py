"""What ldm_image.py makes is what libldm reads, and what it would write of Windows' own disks are their bytes.

The disks of Windows are read when they are there: $DMRP_LDM_FIXTURES, or ../shared/fixtures beside the project.
"""

import dataclasses
import json
import os
import pathlib
import re
import subprocess

import ldm_tables as tables
import pytest
from ldm_group import STEPS
from ldm_image import GROUPS, GroupMaker, Places, load, main, make
from ldm_structures import GROUP, PLEX, SUBDISK, VOLUME, Database, Fields, LogPage, Malformed, PrivHead, Toc, number, padded

FIXTURES = pathlib.Path(
    os.environ.get("DMRP_LDM_FIXTURES")
    or pathlib.Path(__file__).resolve().parents[2].parent / "shared" / "fixtures" / "ldm-2003r2.tar.xz"
)
EXPECTED = re.compile(r"Unable to determine sector size of|dm_task_create|^$")


class Ldmtool:
    """What ldmtool says of images."""

    def __init__(self, images: list[str]):
        self.images = images
        self.complaints: list[str] = []

    def __call__(self, *arguments: str, devices: bool = True):
        options = [option for image in self.images for option in ("-d", image)] if devices else []
        done = subprocess.run(["ldmtool", *options, *arguments], capture_output=True, text=True, check=False, input="")
        self.complaints += [line for line in done.stderr.splitlines() if not EXPECTED.search(line)]
        return json.loads(done.stdout) if done.stdout.strip() else None

    def groups(self) -> list[str]:
        return self("scan", *self.images, devices=False)  # with -d, errors of the scan are not told


@pytest.fixture(scope="session")
def windows(tmp_path_factory):
    """The ten images, by the last part of their names."""
    if not FIXTURES.is_file():
        pytest.skip(f"{FIXTURES} is not there")
    folder = tmp_path_factory.mktemp("windows")
    subprocess.run(["tar", "-C", str(folder), "--no-same-owner", "-xJf", str(FIXTURES)], check=True)
    return {path.stem.removeprefix("ldm-2003r2-"): tables.Image(path) for path in sorted(folder.glob("*.img"))}


def private(image: tables.Image) -> int:
    return image.sectors - 2048


def config(image: tables.Image) -> bytes:
    return image.sector(private(image) + 17, 1481)


# ---- the structures against the disks of Windows ----


def test_every_structure_of_windows_is_packed_to_its_own_bytes(windows):
    for name, image in windows.items():
        for place in (6, private(image) + 1856, private(image) + 2047):
            assert PrivHead.read(image.sector(place)).pack() == image.sector(place), name
        for place in (1, 2, 2045, 2046):
            raw = image.sector(private(image) + place)
            assert Toc.read(raw).pack() == raw, name
        for page in (0, 1):
            raw = image.sector(private(image) + 1498 + page)
            assert LogPage.read(raw).pack() == raw, name
    database = Database.read(config(windows["simple-1"]))
    assert not database.problems
    assert not any(record.complaints for record in database.records)
    assert len(database.records) == 36
    assert database.pack() == config(windows["simple-1"])


def test_table_head_and_toc_of_the_2003_style_are_those_of_windows(windows):
    maker = GroupMaker({"style": "2003", "disks": [{"size": "50M"}]})
    disk, places = maker.disks[0], Places.of(512, windows_2003=True)
    for image in windows.values():
        theirs = PrivHead.read(image.sector(6))
        kept = ("time", "disk_guid", "group_guid", "group_name", "boot_signature")
        ours = dataclasses.replace(maker._privhead(disk), **{name: getattr(theirs, name) for name in kept})
        assert ours.pack() == image.sector(6)
        assert maker._toc(places, 5) == image.sector(private(image) + 1)
        assert maker._toc(places, 4, log_flags=8) == image.sector(private(image) + 2)
        signature = tables.Mbr.read(image.sector(0)).signature
        table = tables.dynamic_mbr(disk.sectors, disk.public, [], 0, signature)
        assert table.pack()[0x1B8:] == image.sector(0)[0x1B8:]


def test_the_2003_counter_gives_every_id_and_transaction_of_windows(windows):
    theirs = Database.read(config(windows["simple-1"]))
    maker = GroupMaker({"style": "2003", "disks": [{"size": "50M"} for _ in range(10)]})
    database = maker.database
    for disk in maker.disks:
        maker._commit(new=[maker._disk_record(disk)])
    for kind, disks, rewrites in (
        ("simple", [1], 3), ("spanned", [3, 2], 3), ("striped", [4, 5], 3), ("mirror", [6, 7], 3), ("raid5", [10, 9, 8], 5),
    ):  # fmt: skip
        size = {"striped": "60M", "simple": "47M", "mirror": "47M"}.get(kind, "94M")
        extents = [{"disk": f"Disk{i}", "size": "47M"} for i in disks] if kind == "spanned" else None
        entry = {"kind": kind, "size": size, "disks": [f"Disk{i}" for i in disks]} | ({"extents": extents} if extents else {})
        what = maker._create_volume(entry)
        maker._commit(**what)
        volume = what["new"][0].name
        for _ in range(rewrites):
            maker._commit(new=[], changed=[database.find(volume)])
    maker._commit(new=[], changed=[database.find("Volume3")])  # the end of its resynchronisation
    maker._commit(**maker._create_volume({"kind": "spanned", "extents": [{"disk": "Disk4", "size": "17M"}, {"disk": "Disk5", "size": "17M"}]}))
    for _ in range(3):
        maker._commit(new=[], changed=[database.find("Volume4")])
    ours = {record.name: record for record in database.database.records if record.kind != GROUP}
    assert set(ours) == {record.name for record in theirs.records if record.kind != GROUP}
    for record in theirs.records:
        if record.kind == GROUP:
            assert (record.id, record.values["ct"]) == (database.group.id, database.group.values["ct"])
            continue
        mine = ours[record.name].values
        assert mine["id"] == record.id, record.name
        if record.name != "Raid1-01":  # rewritten in a transaction of its volume
            assert mine["ct"] == record.values["ct"], record.name
        if record.kind == SUBDISK:
            keys = ("start", "offset", "size", "plex", "disk", "column")
            assert [mine[key] for key in keys] == [record.values[key] for key in keys], record.name
        if record.kind == PLEX:
            assert mine == record.values | {"ct": mine["ct"], "stripe": 128, "columns": mine["columns"]}, record.name
        if record.kind == VOLUME:
            keys = ("type", "policy", "volume_number", "volume_flags", "plexes", "size", "partition_type")
            assert [mine[key] for key in keys] == [record.values[key] for key in keys], record.name
            assert mine.get("id2") == record.values.get("id2")
    assert database.database.header.committed == theirs.header.committed == 1133


@pytest.mark.parametrize("value, minimal, size", [
    (0, "00", "00"), (1, "0101", "0101"), (256, "020100", "020100"), ((1 << 32) - 1, "04ffffffff", "04ffffffff"),
    (1 << 32, "050100000000", "080000000100000000"),
])  # fmt: skip
def test_numbers_take_the_bytes_that_windows_gives_them(value, minimal, size):
    assert number(value).hex() == minimal
    assert padded(value).hex() == size
    fields = Fields(padded(value) + number(value))
    assert (fields.number(padded=True), fields.number(), fields.complaints) == (value, value, [])


def test_a_record_cut_short_is_malformed():
    with pytest.raises(Malformed):
        Fields(b"\4\1\2").number()


# ---- the groups against libldm ----

READABLE = [name for name in (
    "foreign-empty", "foreign-simple", "foreign-simple-gpt", "foreign-all", "foreign-all-2003", "foreign-retained",
    "foreign-missing", "foreign-failing", "foreign-fragmented", "foreign-many",
)]  # fmt: skip


@pytest.mark.parametrize("name", READABLE)
def test_libldm_reads_what_the_description_says(name, tmp_path):
    description = load(name)
    made = make(description, tmp_path)
    tool = Ldmtool([disk["path"] for disk in made["disks"]])
    guid = made["group"]["guid"]
    assert tool.groups() == [guid]
    group = tool("show", "diskgroup", guid)
    assert group["name"] == description["name"]
    maker = GroupMaker(description)
    maker.build()
    assert group["disks"] and sorted(group["disks"]) == sorted(disk.name for disk in maker.disks)
    made_volumes = [entry for entry in description.get("volumes", []) if "kind" in entry]
    removed = [entry for entry in description.get("volumes", []) if "remove" in entry]
    assert len(group["volumes"]) == len(made_volumes) - len(removed)
    for disk in maker.disks:
        told = tool("show", "disk", guid, disk.name)
        assert (told["guid"], told["present"]) == (disk.guid, not disk.absent)
        if told["present"]:
            assert (told["data-start"], told["data-size"]) == disk.public
            assert (told["metadata-start"], told["metadata-size"]) == (disk.private, 2048)
    types = {"simple": "simple", "spanned": "spanned", "striped": "striped", "mirror": "mirrored", "raid5": "RAID5"}
    for entry, volume in zip(
        made_volumes if not removed else [entry for entry in made_volumes if "letter" in entry],
        sorted(maker.database.of(VOLUME), key=lambda each: each.id),
        strict=True,
    ):
        told = tool("show", "volume", guid, volume.name)
        assert told["type"] == types[entry["kind"]]
        assert told["size"] == volume.values["size"]
        assert told.get("hint") == entry.get("letter")
        assert told["chunk-size"] == (128 if entry["kind"] in ("striped", "raid5") else 0)
    for subdisk in maker.database.of(SUBDISK):
        told = tool("show", "partition", guid, subdisk.name)
        assert (told["start"], told["size"]) == (subdisk.values["start"], subdisk.values["size"])
    assert tool.complaints == []


def test_room_of_a_volume_that_went_is_used_again(tmp_path):
    maker = GroupMaker(load("foreign-fragmented"))
    maker.build()
    runs = sorted((each.values["start"], each.values["size"], each.name) for each in maker.database.of(SUBDISK) if each.name.startswith("Disk1"))
    assert [(size // 2048, name) for _, size, name in runs] == [(6, "Disk1-05"), (8, "Disk1-02"), (4, "Disk1-06"), (8, "Disk1-04")]


def test_libldm_refuses_an_open_transaction_and_reads_both_ends(tmp_path):
    for step in range(len(STEPS)):
        description = load("foreign-rollback")
        description["pending"]["step"] = step
        folder = tmp_path / str(step)
        folder.mkdir()
        made = make(description, folder)
        tool = Ldmtool([disk["path"] for disk in made["disks"]])
        # From step 5 on the new records are in place; until 1 the old ones alone count.
        if step in (0, 6):
            assert tool.groups() == [made["group"]["guid"]], step
            assert len(tool("show", "diskgroup", made["group"]["guid"])["volumes"]) == (1 if step == 0 else 2)
            assert tool.complaints == []
        else:
            tool.groups()
            assert "Expected" in str(tool.complaints), step


def test_libldm_tells_a_stale_member(tmp_path):
    made = make(load("foreign-stale"), tmp_path)
    tool = Ldmtool([disk["path"] for disk in made["disks"]])
    tool.groups()
    assert "inconsistent" in str(tool.complaints)


def test_damage_lies_in_the_copy_that_it_names(tmp_path):
    made = make(load("foreign-damaged"), tmp_path)
    one, other = (tables.Image(disk["path"]) for disk in made["disks"])
    assert one.sector(6) == other.sector(other.sectors - 1) == b"\xff" * 512
    assert one.sector(one.sectors - 1)[:8] == other.sector(6)[:8] == b"PRIVHEAD"
    assert one.sector(private(one) + 2)[:8] == other.sector(private(other) + 2045)[:8] == b"TOCBLOCK"
    assert one.sector(private(one) + 2045) == other.sector(private(other) + 2) == b"\xff" * 512


def test_every_group_of_the_library_is_made_and_no_two_share_a_guid(tmp_path, capsys):
    assert main(["--list"]) == 0
    names = capsys.readouterr().out.split()
    assert GROUPS.is_file() and len(names) > 10
    guids = set()
    for name in names:
        folder = tmp_path / name
        folder.mkdir()
        assert main([name, str(folder)]) == 0
        made = json.loads(capsys.readouterr().out)
        guids.add(made["group"]["guid"])
        for disk in made["disks"]:
            assert os.path.getsize(disk["path"]) == disk["size"]
    assert len(guids) == len(names)


def test_the_same_description_makes_the_same_bytes(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    one, other = (make(load("foreign-all"), tmp_path / name) for name in ("one", "other"))
    for left, right in zip(one["disks"], other["disks"], strict=True):
        assert pathlib.Path(left["path"]).read_bytes() == pathlib.Path(right["path"]).read_bytes()


def test_fdisk_sees_the_table_of_large_sectors(tmp_path):
    """libldm reads sectors of 512 bytes alone; util-linux at least reads the GPT."""
    for disk in make(load("foreign-gpt-4kn"), tmp_path)["disks"]:
        command = ["/sbin/fdisk", "-b", "4096", "-l", "-o", "Start,End,Type-UUID", disk["path"]]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        entries = [line.split() for line in lines if re.fullmatch(r" *\d+ +\d+ +[0-9A-F-]{36}", line)]
        assert [entry[2].lower() for entry in entries] == [str(each) for each in (tables.METADATA, tables.RESERVED, tables.DATA)]
        assert (int(entries[0][0]), int(entries[0][1])) == (6, 261)


@pytest.mark.parametrize("description", [
    {"disks": [{"size": "1M"}]},
    {"disks": [{"size": "24M"}], "volumes": [{"kind": "simple", "size": "64M", "disks": ["Disk1"]}]},
    {"disks": [{"size": "24M"}], "volumes": [{"kind": "simple", "size": "1M", "disks": ["Disk9"]}]},
    {"disks": [{"size": "24M", "colour": "red"}]},
    {"disks": [{"size": "24M"}], "volumes": [{"kind": "round", "size": "1M", "disks": ["Disk1"]}]},
])  # fmt: skip
def test_what_cannot_be_is_refused(description, tmp_path, capsys):
    (tmp_path / "group.json").write_text(json.dumps(description))
    assert main([str(tmp_path / "group.json"), str(tmp_path)]) == 1
    assert "ldm_image.py" in capsys.readouterr().err
