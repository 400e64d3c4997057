"""Volumes of dynamic disks in the appliance hold the octets that lie on their members, and the kernel sees their subdisks."""

import hashlib
import pathlib
import random

import guestfs_batch
import ldm_layout  # puts the maker of images on the path
import pytest
from ldm_image import make

DESCRIPTION = {
    "name": "Guestfs-Dg0",
    "seed": 31,
    "disks": [{"size": "16M"}, {"size": "18M"}, {"size": "20M", "table": "gpt"}],
    "volumes": [
        {"kind": "simple", "size": "1M", "disks": ["Disk1"], "letter": "E:"},
        {"kind": "spanned", "extents": [{"disk": "Disk2", "size": "1M"}, {"disk": "Disk3", "size": "2M"}]},
        {"kind": "striped", "size": "2M", "disks": ["Disk1", "Disk3"]},
    ],
}
STRIPE = 65536


def octets(group: dict, volume: dict) -> bytes:
    """What the volume holds, from its members, put together here."""
    images = {disk["name"]: pathlib.Path(disk["image"]).read_bytes() for disk in group["disks"]}
    parts = [images[each["disk"]][each["start"] : each["start"] + each["length"]] for each in volume["plexes"][0]["extents"]]
    if volume["type"] != "striped":
        return b"".join(parts)
    return b"".join(part[at : at + STRIPE] for at in range(0, len(parts[0]), STRIPE) for part in parts)


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """The appliance's account and that of ldm_layout, of disks whose volumes are full of noise."""
    folder = tmp_path_factory.mktemp("dynamic")
    made = make(DESCRIPTION, folder)
    paths = [pathlib.Path(disk["path"]) for disk in made["disks"]]
    group = ldm_layout.read([(path, 512) for path in paths])["groups"][0]
    noise = random.Random(5)
    for volume in group["volumes"]:
        for extent in volume["plexes"][0]["extents"]:
            disk = next(disk for disk in group["disks"] if disk["name"] == extent["disk"])
            with open(disk["image"], "r+b") as file:
                file.seek(extent["start"])
                file.write(noise.randbytes(extent["length"]))
    return guestfs_batch.read_images([(path, "raw") for path in paths], with_dynamic=True), group


def test_volumes_of_the_appliance_hold_what_their_members_hold(seen):
    document, group = seen
    told = {volume["volume"]: volume for volume in document["ldm"]["volumes"]}
    assert sorted(told) == ["Volume1", "Volume2", "Volume3"]
    for volume in group["volumes"]:
        entry = told[volume["name"]]
        assert (entry["group"], entry["type"], entry["size"]) == ("Guestfs-Dg0", volume["type"], volume["size"])
        assert entry["partitions"] == [extent["name"] for extent in volume["plexes"][0]["extents"]]
        assert entry["sha256"] == hashlib.sha256(octets(group, volume)).hexdigest(), volume["name"]
    assert told["Volume1"]["hint"] == "E:"


def test_the_kernel_shows_the_subdisks_of_mbr_disks(seen):
    document, group = seen
    for disk in group["disks"][:2]:
        extents = [each for volume in group["volumes"] for each in volume["plexes"][0]["extents"] if each["disk"] == disk["name"]]
        shown = [(entry["start"], entry["length"]) for entry in document["ldm"]["kernel"][disk["image"]]]
        assert shown == sorted((each["start"], each["length"]) for each in extents)
