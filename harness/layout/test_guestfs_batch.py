"""The appliance's kernel and libfdisk have to see the same partitions; needs $DMRP_READ_LAYOUT, the program."""

import json
import os
import pathlib
import subprocess

import guestfs_batch
import pytest


def make(path: pathlib.Path, command: list[str], script: str = "") -> pathlib.Path:
    path.write_bytes(b"")
    os.truncate(path, 64 << 20)
    environment = os.environ | {"PATH": os.environ["PATH"] + ":/sbin:/usr/sbin"}
    subprocess.run([*command, str(path)], input=script, text=True, check=True, env=environment, stdout=subprocess.DEVNULL)
    return path


def libfdisk(path: pathlib.Path) -> dict:
    output = subprocess.run([os.environ["DMRP_READ_LAYOUT"], str(path)], capture_output=True, text=True, check=True)
    return json.loads(output.stdout)["layout"]


def common(layout: dict) -> list[dict]:
    """What both can tell of each partition; the kernel shows less of an extended one than its whole length."""
    members = ("number", "start", "length", "type", "active", "guid")
    return [{key: part[key] for key in members if key in part} for part in layout["partitions"]]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    mbr = "label: dos\nstart=63,size=20000,type=7,bootable\nstart=20480,size=60000,type=5\nstart=20543,size=8000,type=6\n"
    disks = [
        make(folder / "mbr.img", ["sfdisk", "-q"], mbr),
        make(folder / "gpt.img", ["sgdisk", "-n", "1:2048:18431", "-t", "1:0700", "-n", "3:0:+4M"]),
        make(folder / "blank.img", ["true"]),
    ]
    subprocess.run(["mkfs.fat", "-n", "DMRP", "--offset", "2048", "-F", "12", str(disks[1]), "8192"], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | {"PATH": os.environ["PATH"] + ":/sbin:/usr/sbin"})
    return disks


def test_one_appliance_sees_what_libfdisk_sees(images):
    document = guestfs_batch.read_images([(path, "raw") for path in images], with_file_systems=True)
    assert [entry["style"] for entry in document["images"]] == ["MBR", "GPT", "none"]
    for path, entry in zip(images, document["images"], strict=True):
        account = libfdisk(path)
        assert entry["path"] == str(path)
        assert entry["style"] == account["style"]
        assert common(entry) == common(account)
    fat = document["images"][1]["partitions"][0]["file_system"]
    assert (fat["type"], fat["label"]) == ("vfat", "DMRP")
    assert document["images"][0]["partitions"][0]["file_system"] is None


def test_no_image_needs_no_appliance():
    assert guestfs_batch.read_images([])["images"] == []


def test_an_image_that_is_missing_is_a_usage_error(tmp_path):
    with pytest.raises(SystemExit):
        guestfs_batch.main([str(tmp_path / "none.img")])
