"""Every invariant holds on good groups, and its number, alone, is told when it is broken.

The disks of Windows are read when they are there: $DMRP_LDM_FIXTURES, or ../shared/fixtures beside the project.
"""

import json
import os
import pathlib
import subprocess
import tempfile

import ldm_invariants
import ldm_layout
import ldm_tables as tables
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ldm_editor import GroupEditor
from ldm_image import load, make
from ldm_invariants import INVARIANTS, Options
from ldm_structures import Toc, TocRegion

FIXTURES = pathlib.Path(
    os.environ.get("DMRP_LDM_FIXTURES")
    or pathlib.Path(__file__).resolve().parents[2].parent / "shared" / "fixtures" / "ldm-2003r2.tar.xz"
)

BASE = {
    "name": "Broken-Dg0",
    "seed": 7,
    "disks": [
        {"size": "24M", "table": "mbr"},
        {"size": "26M", "table": "mbr"},
        {"size": "28M", "table": "gpt", "msr": "2M"},
        {"size": "30M", "table": "mbr"},
    ],
    "volumes": [
        {"kind": "simple", "size": "2M", "disks": ["Disk1"], "letter": "E:", "retain": True},
        {"kind": "spanned", "extents": [{"disk": "Disk2", "size": "1M"}, {"disk": "Disk3", "size": "2M"}]},
        {"kind": "striped", "size": "2M", "disks": ["Disk2", "Disk4"], "letter": "F:"},
        {"kind": "mirror", "size": "2M", "disks": ["Disk1", "Disk3"]},
        {"kind": "raid5", "size": "4M", "disks": ["Disk1", "Disk2", "Disk4"]},
    ],
}
FOURKN = {
    "name": "FourKn-Dg0",
    "disks": [{"size": "24M", "table": "mbr", "sector": 4096}, {"size": "28M", "table": "gpt", "sector": 4096}],
    "volumes": [{"kind": "mirror", "size": "2M", "disks": ["Disk1", "Disk2"]}],
}


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    return folder, make(BASE, folder)


@pytest.fixture
def group(pristine, tmp_path):
    """Copies of the base group's images."""
    folder, made = pristine
    subprocess.run(["cp", "-a", "--sparse=always", *map(str, folder.iterdir()), str(tmp_path)], check=True)
    disks = [disk | {"path": str(tmp_path / pathlib.Path(disk["path"]).name)} for disk in made["disks"]]
    return GroupEditor(made | {"disks": disks})


def numbers(findings) -> set[int]:
    return {finding.number for finding in findings}


def test_a_good_group_breaks_none(group):
    assert ldm_invariants.check(group.images, Options(complete=True)) == []


@pytest.mark.parametrize("style", ["2003", "2008"])
def test_both_generations_break_none(style, tmp_path):
    description = BASE | {"style": style, "volumes": BASE["volumes"][1:]}
    description["disks"] = [disk | {"size": "40M"} for disk in BASE["disks"]]
    assert ldm_invariants.check(GroupEditor(make(description, tmp_path)).images, Options(complete=True)) == []


def test_large_sectors_break_none(tmp_path):
    assert ldm_invariants.check(GroupEditor(make(FOURKN, tmp_path)).images, Options(complete=True)) == []


def test_the_disks_of_windows_break_none(tmp_path):
    if not FIXTURES.is_file():
        pytest.skip(f"{FIXTURES} is not there")
    subprocess.run(["tar", "-C", str(tmp_path), "--no-same-owner", "-xJf", str(FIXTURES)], check=True)
    images = [(path, 512) for path in sorted(tmp_path.glob("*.img"))]
    assert len(images) == 10
    assert ldm_invariants.check(images, Options(complete=True)) == []
    for image in images:
        assert ldm_invariants.check([image]) == [], "each alone"


@pytest.mark.parametrize(
    "name", ["foreign-simple", "foreign-simple-gpt", "foreign-all", "foreign-all-2003", "foreign-retained", "foreign-oem",
     "foreign-empty", "foreign-fragmented", "foreign-many", "foreign-mixed", "foreign-simple-4kn", "foreign-gpt-4kn"]
)
def test_groups_of_the_library_break_none(name, tmp_path):
    assert ldm_invariants.check(GroupEditor(make(load(name), tmp_path)).images, Options(complete=True)) == []


def test_failing_members_are_findings_unless_degraded(tmp_path):
    images = GroupEditor(make(load("foreign-failing"), tmp_path)).images
    assert numbers(ldm_invariants.check(images)) == {45, 52}
    assert ldm_invariants.check(images, Options(degraded=True)) == []


def test_a_stale_member_differs_from_its_group(tmp_path):
    assert numbers(ldm_invariants.check(GroupEditor(make(load("foreign-stale"), tmp_path)).images)) == {61}


@pytest.mark.parametrize("step, expected", [(0, set()), (1, {34, 39, 43}), (2, {32, 34, 39, 43}), (3, {32, 34, 39, 43, 60}),
                                            (4, {32, 34, 39, 43, 60}), (5, {32, 34, 43, 60}), (6, set())])
def test_a_transaction_shows_at_every_step_but_at_rest(step, expected, tmp_path):
    description = load("foreign-rollback")
    description["pending"]["step"] = step
    assert numbers(ldm_invariants.check(GroupEditor(make(description, tmp_path)).images)) == expected


# ---- one break, or more, for each invariant ----

DISK1, DISK2, DISK3, DISK4 = range(4)
BREAKS = []


def breaks(number: int, also: set[int] = frozenset(), options: Options = Options()):
    """The function breaks invariant `number`, and `also` those that cannot hold then either."""

    def add(function):
        BREAKS.append(pytest.param(number, set(also), options, function, id=f"I{number:02}-{function.__name__}"))
        return function

    return add


@breaks(1)
def no_boot_signature(g):
    g.disks[DISK2].poke(510, b"\0\0")


@breaks(2)
def basic_entry_beside(g):
    disk = g.disks[DISK2]
    disk.change_entry(1, type=7, start=disk.head.public_start, length=64, start_chs=tables.chs(63), end_chs=tables.chs(126))


@breaks(3)
def tile_ends_early(g):
    g.disks[DISK2].change_entry(0, length=g.disks[DISK2].mbr.slots[0].length - 1)


@breaks(3)
def gap_between_tiles(g):
    slot = g.disks[DISK1].mbr.slots[2]
    g.disks[DISK1].change_entry(2, start=slot.start + 1, length=slot.length - 1, start_chs=tables.chs(slot.start + 1))


@breaks(4)
def status_of_one(g):
    g.disks[DISK2].change_entry(0, status=1)


@breaks(4)
def unused_entry_with_rest(g):
    g.disks[DISK2].change_entry(3, length=1)


@breaks(5)
def wrong_start_chs(g):
    g.disks[DISK2].change_entry(0, start_chs=b"\1\2\0")


@breaks(5)
def wrong_end_of_sole_entry(g):
    g.disks[DISK2].change_entry(0, end_chs=b"\xfe\x3f\x06")


@breaks(6)
def retained_volume_without_entry(g):
    disk = g.disks[DISK1]
    whole = tables.dynamic_mbr(disk.sectors, (disk.head.public_start, disk.head.public_size), [], 0, disk.mbr.signature)
    disk.poke(0, whole.pack())


@breaks(7)
def no_disk_signature(g):
    g.disks[DISK2].write_mbr(signature=0)


@breaks(7)
def word_behind_signature(g):
    g.disks[DISK2].write_mbr(word=1)


@breaks(8)
def protective_entry_too_short(g):
    g.disks[DISK3].change_entry(0, length=5)


@breaks(8)
def protective_mbr_with_signature(g):
    g.disks[DISK3].write_mbr(signature=5)


@breaks(9)
def backup_header_damaged(g):
    g.disks[DISK3].poke(g.disks[DISK3].size - 512 + 56, b"\xff")


@breaks(9)
def primary_entries_damaged(g):
    g.disks[DISK3].poke(1024 + 60, b"\xff")


@breaks(10)
def basic_data_partition(g):
    g.disks[DISK3].change_gpt_entry(tables.RESERVED, type=tables.BASIC)


@breaks(11)
def data_partition_too_short(g):
    data = next(entry for entry in g.disks[DISK3].gpt.entries if entry.type == tables.DATA)
    g.disks[DISK3].change_gpt_entry(tables.DATA, last=data.last - 8)


@breaks(12)
def reserved_partition_reaches_into_data(g):
    data = next(entry for entry in g.disks[DISK3].gpt.entries if entry.type == tables.DATA)
    g.disks[DISK3].change_gpt_entry(tables.RESERVED, last=data.first)


@breaks(12)
def two_partitions_of_one_guid(g):
    g.disks[DISK3].change_gpt_entry(tables.RESERVED, guid=g.disks[DISK3].gpt.entries[0].guid)


@breaks(13)
def other_name(g):
    g.disks[DISK3].change_gpt_entry(tables.DATA, name="Data")


@breaks(14)
def backup_head_gone(g):
    g.disks[DISK2].poke(g.disks[DISK2].heads[1] * 512, bytes(512))


@breaks(14)
def first_head_differs(g):
    disk = g.disks[DISK2]
    disk.heads = [6]
    disk.write_head(time=disk.head.time + 1)


@breaks(14, also={30})
def backup_said_to_be_elsewhere(g):
    g.disks[DISK2].write_head(backup=1857)


@breaks(15)
def wrong_sum_of_head(g):
    for place in g.disks[DISK2].heads:
        g.disks[DISK2].poke(place * 512 + 8, b"\1\1\1\1")


@breaks(16)
def version_2_10(g):
    g.disks[DISK2].write_head(minor=10)


@breaks(17)
def other_host(g):
    for disk in g.disks:
        disk.write_head(host_guid=b"1b77da20-c717-11d0-a5be-00a0c91db73d")


@breaks(17)
def group_guid_in_capitals(g):
    guid = g.disks[0].head.group_guid.upper()
    for disk in g.disks:
        disk.write_head(group_guid=guid)
    g.change_header(group_guid=guid)
    g.change("Broken-Dg0", guid=guid.rstrip(b"\0").decode())


@breaks(18)
def group_name_without_number(g):
    for disk in g.disks:
        disk.write_head(group_name=b"Broken")
    g.change_header(group_name=b"Broken")
    g.change("Broken-Dg0", name="Broken")


@breaks(19)
def flags_of_head(g):
    g.disks[DISK2].write_head(flags=2)


@breaks(19)
def wrong_sector_size(g):
    g.disks[DISK2].write_head(sector_bytes=1024)


@breaks(20, also={14, 25})
def private_region_one_sector_short(g):
    g.disks[DISK2].write_head(private_size=2047)


@breaks(21, also={3})
def public_region_ends_early(g):
    g.disks[DISK2].write_head(public_size=g.disks[DISK2].head.public_size - 1)


@breaks(22)
def head_with_two_logs(g):
    g.disks[DISK2].write_head(logs=2)


@breaks(22)
def head_with_short_config(g):
    g.disks[DISK2].write_head(config_size=1480)


@breaks(23)
def head_of_1601(g):
    g.disks[DISK2].write_head(time=5)


@breaks(24)
def sequence_of_head(g):
    g.disks[DISK2].write_head(sequence=9)


@breaks(25, also={27})
def pointers_across_pairs(g):
    disk = g.disks[DISK2]
    disk.poke((disk.private + 1) * 512, disk.toc.pack())
    disk.write_head(toc_primary=1)


@breaks(26)
def wrong_sum_of_second_toc(g):
    g.disks[DISK2].poke(g.disks[DISK2].tocs[1] * 512 + 8, b"\1\1\1\1")


@breaks(26)
def second_toc_gone(g):
    g.disks[DISK2].poke(g.disks[DISK2].tocs[1] * 512, bytes(512))


@breaks(27)
def rest_in_other_pair(g):
    g.disks[DISK2].poke((g.disks[DISK2].private + 1) * 512, b"rest")


@breaks(27)
def other_pair_moves_the_log(g):
    disk = g.disks[DISK2]
    regions = [TocRegion(b"config", 0, 17, 1481), TocRegion(b"log", 0, 1499, 223)]
    for place in (1, 2046):
        disk.poke((disk.private + place) * 512, Toc(sequence=0, regions=regions).pack())


@breaks(28)
def log_switched_off(g):
    regions = [TocRegion(b"config", 0, 17, 1481), TocRegion(b"log", 8, 1498, 224)]
    g.disks[DISK2].write_toc(regions=regions)


@breaks(29)
def log_too_long(g):
    regions = [TocRegion(b"config", 0, 17, 1481), TocRegion(b"log", 0, 1498, 225)]
    g.disks[DISK2].write_toc(regions=regions)
    g.disks[DISK2].write_head(log_size=225)


@breaks(30)
def rest_behind_log(g):
    g.disks[DISK2].poke((g.disks[DISK2].private + 1800) * 512, b"rest")


@breaks(31)
def version_4_12(g):
    g.change_header(minor=12)


@breaks(32)
def pending_transaction(g):
    g.change_header(status=2)


@breaks(32)
def pending_id(g):
    g.change_header(pending=g.disks[0].database.header.pending + 1)


@breaks(33)
def other_group_in_database(g):
    g.change_header(group_guid=b"00000000-0000-0000-0000-000000000000")


@breaks(34)
def one_volume_too_many(g):
    g.change_header(committed_counts=(6,) + g.disks[0].database.header.committed_counts[1:])


@breaks(35)
def rest_behind_header(g):
    g.change_header(tail=b"x".ljust(315, b"\0"))


@breaks(35)
def database_of_1601(g):
    g.change_header(time=5)


@breaks(36)
def slot_without_magic(g):
    g.poke_config(128 * 3000, b"XBLK")


@breaks(36)
def slot_with_other_number(g):
    g.poke_config(128 * 3000 + 7, b"\1")


@breaks(37)
def rest_in_free_slot(g):
    g.poke_config(128 * 3000 + 100, b"rest")


@breaks(38)
def record_number_zero(g):
    g.change("Volume1", number=0)


@breaks(38)
def two_records_of_one_number(g):
    g.poke_config(128 * g.record("Volume1").slots[0] + 14, b"\0\2")


@breaks(39)
def record_to_be_deleted(g):
    g.change("Volume1", status=1)


@breaks(39)
def unknown_flag(g):
    g.change("Volume1-01", flags=0x01)


@breaks(40)
def record_too_long(g):
    slot = g.record("Volume1").slots[0]
    length = g.disks[0].peek(g.disks[0].config_at + 128 * slot + 0x17, 1)[0]
    g.poke_config(128 * slot + 0x17, bytes([length + 1]))


@breaks(40)
def rest_behind_record(g):
    g.poke_config(128 * g.record("Volume1-01").slots[0] + 127, b"x")


@breaks(41)
def string_with_control_character(g):
    g.change("Disk1", device="SCSI\1")


@breaks(41)
def number_with_leading_zero(g):
    slot = 128 * g.record("Volume1-01").slots[0]
    fields = g.disks[0].peek(g.disks[0].config_at + slot + 24, 104)
    length = g.disks[0].peek(g.disks[0].config_at + slot + 0x17, 1)[0]
    assert fields[0] == 1, "an id of one byte"
    g.poke_config(slot + 0x17, bytes([length + 1]))
    g.poke_config(slot + 24, b"\2\0" + fields[1:-1])


@breaks(42)
def two_records_of_one_id(g):
    g.change("Disk1-01", id=g.record("Disk2-01").id)


@breaks(43)
def transaction_of_tomorrow(g):
    g.change("Volume1", ct=g.disks[0].database.header.committed + 1)


@breaks(43)
def update_behind_commit(g):
    g.change("Volume1", update=g.record("Volume1").values["ct"] + 1)


@breaks(44)
def reserved_word_of_group(g):
    g.change("Broken-Dg0", reserved=1)


@breaks(45)
def failing_disk(g):
    g.change("Disk1", disk_flags=4)


@breaks(45, also={6, 46})
def two_disks_of_one_guid(g):
    g.change("Disk1", guid=g.record("Disk2").values["guid"])


@breaks(46)
def disk_unknown_to_its_database(g):
    g.disks[DISK2].write_head(disk_guid=b"00000000-1111-2222-3333-444444444444")


@breaks(46, also={45})
def own_disk_detached(g):
    g.change("Disk1", disk_flags=0x200)


@breaks(47)
def volume_in_another_state(g):
    g.change("Volume1", state=b"SYNC".ljust(14, b"\0"))


@breaks(47)
def policy_of_a_raid5_on_a_simple_volume(g):
    g.change("Volume1", policy=4)


@breaks(47)
def volume_number_zero(g):
    g.change("Volume1", volume_number=0)


@breaks(48)
def two_volumes_of_one_number(g):
    g.change("Volume1", volume_number=g.record("Volume2").values["volume_number"])


@breaks(48)
def two_volumes_of_one_guid(g):
    g.change("Volume1", guid=g.record("Volume2").values["guid"])


@breaks(48)
def two_volumes_of_one_letter(g):
    g.change("Volume1", hint="F:")


@breaks(49)
def plex_that_failed(g):
    g.change("Volume1-01", plex_flags=4)


@breaks(49)
def plex_of_another_name(g):
    g.change("Volume1-01", name="Volume9-01")


@breaks(50)
def two_plexes_claimed(g):
    g.change("Volume1", plexes=2)


@breaks(51)
def simple_volume_with_parity(g):
    g.change("Volume5", type="gen", policy=3)


@breaks(52)
def subdisk_to_be_recovered(g):
    g.change("Disk1-01", subdisk_flags=8)


@breaks(52)
def subdisk_of_another_name(g):
    g.change("Disk1-01", name="Disk9-01")


@breaks(53)
def one_subdisk_too_many(g):
    g.change("Volume1-01", subdisks=2)


@breaks(54)
def gap_in_a_span(g):
    g.change("Disk3-01", offset=g.record("Disk3-01").values["offset"] + 8)


@breaks(54)
def volume_longer_than_its_plex(g):
    g.change("Volume1", size=g.record("Volume1").values["size"] + 8)


@breaks(55)
def stripe_that_fits_no_column(g):
    g.change("Volume3-01", stripe=96)


@breaks(55)
def column_zero_is_stored(g):
    g.change("Disk2-02", flags=0x48)


@breaks(56)
def two_legs_on_one_disk(g):
    g.change("Disk3-02", name="Disk1-09", disk=g.record("Disk1").id, start=20000)


@breaks(57)
def two_subdisks_in_one_place(g):
    g.change("Disk1-02", start=g.record("Disk1-01").values["start"] + 8)


@breaks(57)
def subdisk_behind_the_public_region(g):
    g.change("Disk4-02", start=1 << 20)


@breaks(59)
def log_page_of_another_index(g):
    g.change_log(1, index=7)


@breaks(59)
def rest_in_the_log(g):
    for disk in g.disks:
        disk.poke(disk.log_at + 5 * 512, b"rest")


@breaks(60)
def dirty_entry(g):
    g.change_log(0, entry=3, status=2)


@breaks(60)
def commit_entry_of_another_transaction(g):
    g.change_log(0, entry=0, second=1, first=0)


@breaks(61)
def logs_differ(g):
    g.disks[DISK2].log[0].sequence += 1
    g.disks[DISK2].write_log()


@breaks(62)
def other_boot_signature(g):
    g.disks[DISK2].write_head(boot_signature=5)


@breaks(63)
def two_disks_of_one_signature(g):
    g.disks[DISK2].write_mbr(signature=g.disks[DISK1].mbr.signature)


@breaks(64, options=Options(complete=True))
def image_left_out(g):
    del g.disks[DISK4]


@breaks(65)
def legs_differ(g):
    leg = g.record("Disk3-02").values
    disk = g.disks[DISK3]
    disk.poke((disk.head.public_start + leg["start"] + leg["size"] - 1) * 512, b"x")


@breaks(66)
def wrong_parity(g):
    column = g.record("Disk4-02").values
    disk = g.disks[DISK4]
    disk.poke((disk.head.public_start + column["start"] + column["size"] - 1) * 512 + 511, b"x")


@pytest.mark.parametrize("number, also, options, function", BREAKS)
def test_a_broken_invariant_is_told_by_its_number(number, also, options, function, group):
    function(group)
    findings = ldm_invariants.check(group.images, options)
    assert numbers(findings) == {number} | also, [str(finding) for finding in findings]


@pytest.mark.parametrize("name, values", [
    ("Volume4-02", {"plex_flags": 4}), ("Disk3-02", {"subdisk_flags": 8}), ("Volume5", {"state": b"SYNC".ljust(14, b"\0")}),
])
def test_what_the_records_call_bad_is_not_compared(name, values, group):
    legs_differ(group) if name != "Volume5" else wrong_parity(group)
    group.change(name, **values)
    assert ldm_invariants.check(group.images, Options(degraded=True)) == []


def test_subdisks_of_part_sectors_are_told_on_large_sectors(tmp_path):
    group = GroupEditor(make(FOURKN, tmp_path))
    group.change("Disk1-01", start=group.record("Disk1-01").values["start"] + 1)
    assert numbers(ldm_invariants.check(group.images)) == {58}


def test_every_invariant_has_a_break():
    assert {parameter.values[0] for parameter in BREAKS} | {58} == set(INVARIANTS) == set(range(1, 67))


def test_the_program_prints_numbers_and_exits_with_one(group, capsys):
    no_disk_signature(group)
    arguments = [f"{path}:{sector}" for path, sector in group.images]
    assert ldm_invariants.main(arguments) == 1
    assert capsys.readouterr().out.startswith("I07 Broken-Dg0-Disk2.raw: ")
    assert ldm_invariants.main(["--json", *arguments]) == 1
    assert [entry["number"] for entry in json.loads(capsys.readouterr().out)] == [7]


def test_a_disk_without_any_head_is_told(group):
    for place in group.disks[DISK2].heads:
        group.disks[DISK2].poke(place * 512, bytes(512))
    assert numbers(ldm_invariants.check(group.images)) == {14}


@pytest.mark.parametrize("index", [DISK2, DISK3])
def test_damage_of_any_kind_is_told_and_survived(index, pristine, tmp_path):
    """Whatever the bytes, the checker and the reader answer and raise nothing."""
    folder, made = pristine
    path = tmp_path / "disk.raw"
    subprocess.run(["cp", "--sparse=always", made["disks"][index]["path"], str(path)], check=True)
    disk = GroupEditor({"disks": [made["disks"][index] | {"path": str(path)}]}).disks[0]
    places = [0, 440, 512, 1024, disk.size - 512, disk.config_at, disk.config_at + 512, disk.log_at]
    places += [place * 512 for place in disk.heads + disk.tocs]

    @settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(places), st.integers(0, 500), st.binary(min_size=1, max_size=40))
    def damage(place, offset, raw):
        at = min(place + offset, disk.size - len(raw))
        before = disk.peek(at, len(raw))
        disk.poke(at, raw)
        try:
            ldm_invariants.check([(path, 512)])
            ldm_layout.read([(path, 512)])
        finally:
            disk.poke(at, before)

    damage()
    assert ldm_invariants.check([(path, 512)]) == [], "all is as it was"


def test_sizes_beyond_all_measure_are_survived(group):
    group.change("Disk1-02", size=1 << 60, start=1 << 60)
    group.change("Volume5", size=1 << 62)
    assert 57 in numbers(ldm_invariants.check(group.images))
    group.disks[DISK2].write_head(private_size=1 << 50, public_size=1 << 50)
    assert {20, 21} <= numbers(ldm_invariants.check(group.images))
    assert ldm_layout.read(group.images)["groups"]


GROUPS = st.builds(
    lambda style, tables_, kinds, seed: {
        "name": "Random-Dg0",
        "style": style,
        "seed": seed,
        "disks": [{"size": f"{24 + 2 * i}M", "table": table} for i, table in enumerate(tables_)],
        "volumes": [
            {"kind": kind, "size": "1M", "disks": [f"Disk{i + 1}" for i in range(len(tables_))][: 1 if kind == "simple" else 4]}
            for kind in kinds
        ],
    },
    st.sampled_from(["2003", "2008"]),
    st.lists(st.sampled_from(["mbr", "gpt"]), min_size=3, max_size=4),
    st.lists(st.sampled_from(["simple", "spanned", "striped", "mirror", "raid5"]), max_size=5),
    st.integers(1, 1 << 30),
)


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(GROUPS)
def test_any_group_that_is_made_breaks_none(description):
    with tempfile.TemporaryDirectory() as folder:
        group = GroupEditor(make(description, folder))
        assert ldm_invariants.check(group.images, Options(complete=True)) == []
        paths = [str(path) for path, _ in group.images]
        scanned = subprocess.run(["ldmtool", "scan", *paths], capture_output=True, text=True, check=True)
        assert "Error" not in scanned.stderr + scanned.stdout
        assert len(json.loads(scanned.stdout)) == 1
