"""What ft_image.py makes holds together: copies, parity, and the file system that lies across the members."""

import json
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))

import ft_image  # noqa: E402

UNIT = 65536


def make(tmp_path, kind, count, size="8M", **more):
    names = [f"d{i}" for i in range(count)]
    told = {
        "disks": [{"name": name, "size": "24M", "sector": more.pop("sector", 512)} for name in names],
        "sets": [{"type": kind, "members": [{"disk": name, "size": size} for name in names], **more}],
    }
    made = ft_image.make(told, tmp_path)
    paths = {disk["name"]: pathlib.Path(disk["path"]) for disk in made["disks"]}
    pieces = []
    for member in made["sets"][0]["members"]:
        octets = paths[member["disk"]].read_bytes()
        pieces.append(octets[member["start"] : member["start"] + member["length"]])
    return made, pieces


def whole(kind, pieces, length):
    """The octets of the set, unit by unit from where they have to lie."""
    count = len(pieces)
    if kind == "mirror":
        return pieces[0][:length]
    if kind == "volume":
        return b"".join(pieces)
    out = bytearray()
    row = 0
    while len(out) < length:
        if kind == "stripe":
            order = range(count)
        else:  # behind the parity, around
            parity = (count - 1 - row) % count
            order = [(parity + 1 + i) % count for i in range(count - 1)]
        for column in order:
            out += pieces[column][row * UNIT : (row + 1) * UNIT]
        row += 1
    return bytes(out)


@pytest.mark.parametrize("kind, count, size", [
    ("mirror", 2, "8M"), ("stripe", 3, "8M"), ("parity", 3, "8M"), ("parity", 5, 8 * 1024 * 1024 + 512), ("volume", 3, 5 * 512 * 2047),
])  # fmt: skip
def test_the_file_system_lies_across_the_members(tmp_path, kind, count, size):
    made, pieces = make(tmp_path, kind, count, size, filesystem="ntfs", label="ACROSS")
    length = made["sets"][0]["length"]
    image = tmp_path / "whole"
    image.write_bytes(whole(kind, pieces, length))
    assert image.stat().st_size == length
    # ntfsfix -n looks at both copies of the master file table and at the boot sectors.
    done = subprocess.run(["ntfsfix", "-n", image], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    label = subprocess.run(["ntfslabel", image], capture_output=True, text=True)
    assert label.stdout.strip() == "ACROSS"


def test_copies_are_equal(tmp_path):
    _, pieces = make(tmp_path, "mirror", 2, filesystem="ntfs")
    assert pieces[0] == pieces[1] and any(pieces[0])


@pytest.mark.parametrize("count", [3, 4])
def test_rows_add_up_to_nothing_and_parity_goes_round(tmp_path, count):
    _, pieces = make(tmp_path, "parity", count, filesystem="ntfs")
    total = 0
    for piece in pieces:
        total ^= int.from_bytes(piece, "little")
    assert total == 0
    assert all(any(piece) for piece in pieces)


def test_garbage_is_on_its_member_alone(tmp_path):
    told = {
        "disks": [{"name": "a", "size": "24M"}, {"name": "b", "size": "24M"}],
        "sets": [{"type": "mirror", "filesystem": "ntfs",
                  "members": [{"disk": "a", "size": "8M"}, {"disk": "b", "size": "8M", "garbage": True}]}],
    }  # fmt: skip
    made = ft_image.make(told, tmp_path)
    first, second = (pathlib.Path(disk["path"]).read_bytes() for disk in made["disks"])
    assert first[32256 + 3 : 32256 + 7] == b"NTFS"
    assert second[32256 : 32256 + (1 << 20)] == b"\xa5" * (1 << 20)


def test_absent_disks_are_in_the_record_alone(tmp_path):
    told = {
        "disks": [{"name": "a", "size": "24M"}, {"name": "b", "size": "24M", "absent": True}],
        "sets": [{"type": "mirror", "members": [{"disk": "a", "size": "8M"}, {"disk": "b", "size": "8M"}]}],
    }
    made = ft_image.make(told, tmp_path)
    assert [disk["name"] for disk in made["disks"]] == ["a"]
    assert pathlib.Path(made["value"]).read_bytes()[44:46] == b"\x02\x00"


def test_the_example_of_two_disks_takes_216_octets(tmp_path):
    made, _ = make(tmp_path, "mirror", 2)
    value = pathlib.Path(made["value"]).read_bytes()
    assert len(value) == 216
    assert json.dumps([int.from_bytes(value[at : at + 4], "little") for at in (12, 16, 20, 24)]) == "[44, 124, 168, 48]"
