#!/usr/bin/python3
"""Reads many disk images in one libguestfs appliance, and prints what each holds as one JSON document.

    guestfs_batch.py IMAGE[:FORMAT]... [--file-systems] [--dynamic] [--verbose]

The appliance takes many seconds to start without KVM, and each drive it holds costs little: so observations are
collected as snapshots and judged here together. Images are attached read-only; a running guest may go on using
them. FORMAT is raw (the default) or qcow2. Drives have sectors of 512 bytes.

Output: {"images": [{"path", "style": "none"|"MBR"|"GPT", "partitions": [{"number", "start", "length", "type",
"active"|"guid"..., "file_system": {"type", "label"}}]}], "seconds": {...}}
With --dynamic also "ldm": {"volumes": [{"group", "volume", "type", "hint", "size", "partitions", "sha256", "file_system"}],
"partitions": [...], "kernel": {IMAGE: [{"number", "start", "length"}]}}: the dynamic volumes of all the images together
as libldm and device-mapper put them together, with the digest of their octets, and the subdisks that the kernel's own
parser shows as partitions of MBR disks. Such disks have "style" MBR and no partitions of a table.
Names and attributes of GPT partitions are left to the other readers: the appliance loses letters outside of ASCII
and bit 63.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import sys
import tempfile
import time


class Appliance:
    """One running appliance with a fixed set of drives; a context manager."""

    def __init__(self, drives: list[tuple[pathlib.Path, str]], verbose: bool = False):
        os.environ["LIBGUESTFS_BACKEND"] = "direct"
        os.environ.setdefault("LIBGUESTFS_BACKEND_SETTINGS", "force_tcg")
        # The appliance is unpacked by tar, which in a user namespace cannot give files to their owners.
        os.environ.setdefault("TAR_OPTIONS", "--no-same-owner")
        import guestfs  # reads the environment above

        self._scratch = tempfile.TemporaryDirectory(prefix="dmrp-guestfs-")
        self.handle = guestfs.GuestFS(python_return_dict=True)
        self.handle.set_tmpdir(self._scratch.name)
        # libguestfs refuses a folder that another user made, as /var/tmp/.guestfs-0 is to a root of a user namespace.
        cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "dmrp"
        cache.mkdir(parents=True, exist_ok=True)
        self.handle.set_cachedir(str(cache))
        self.handle.set_trace(int(verbose))
        self.handle.set_network(False)
        for path, image_format in drives:
            self.handle.add_drive_opts(str(path), format=image_format, readonly=1)

    def __enter__(self):
        self.handle.launch()
        return self.handle

    def __exit__(self, *_):
        self.handle.close()
        self._scratch.cleanup()


def partition_number(device: str, partition: str) -> int:
    """/dev/sda and /dev/sda5 make 5; a device whose name ends in a digit has a p in between."""
    return int(partition.removeprefix(device).removeprefix("p"))


def file_system(handle, partition: str) -> dict | None:
    kind = handle.vfs_type(partition)
    if not kind:
        return None
    return {"type": kind, "label": handle.vfs_label(partition)}


def read_device(handle, device: str, partitions: list[str] | None) -> dict:
    """`partitions`: of all devices, where their file systems are to be told. Each call runs a program in the appliance."""
    try:
        kind = handle.part_get_parttype(device)
    except RuntimeError:
        return {"style": "none", "partitions": []}
    style = {"msdos": "MBR", "gpt": "GPT"}.get(kind, kind)
    result = {"style": style, "partitions": []}
    if style == "GPT":
        result["disk_guid"] = handle.part_get_disk_guid(device).lower()
    for entry in handle.part_list(device):
        number = entry["part_num"]
        partition = {"number": number, "start": entry["part_start"], "length": entry["part_size"]}
        if style == "MBR":
            partition["type"] = f"0x{handle.part_get_mbr_id(device, number):02x}"
            partition["active"] = bool(handle.part_get_bootable(device, number))
        elif style == "GPT":
            partition["type"] = handle.part_get_gpt_type(device, number).lower()
            partition["guid"] = handle.part_get_gpt_guid(device, number).lower()
        result["partitions"].append(partition)
    if partitions is not None:
        found = {partition_number(device, each): each for each in partitions if each.startswith(device)}
        for partition in result["partitions"]:
            if partition["number"] in found and partition.get("type") not in ("0x05", "0x0f"):
                partition["file_system"] = file_system(handle, found[partition["number"]])
    return result


def volume_hint(handle, guid: str, volume: str) -> str:
    """The drive letter that a volume asks for; libguestfs takes it for an error that one asks for none."""
    try:
        return handle.ldmtool_volume_hint(guid, volume)
    except RuntimeError as error:
        if "key 'hint'" not in str(error):
            raise
        return ""


def dynamic_volume(handle, device: str, guids: dict[str, str]) -> dict:
    """`guids`: of the disk groups, by name."""
    name = device.removeprefix("/dev/mapper/ldm_vol_")
    group = max((each for each in guids if name.startswith(each + "_")), key=len)
    volume = name.removeprefix(group + "_")
    return {
        "group": group,
        "volume": volume,
        "type": handle.ldmtool_volume_type(guids[group], volume),
        "hint": volume_hint(handle, guids[group], volume),
        "partitions": handle.ldmtool_volume_partitions(guids[group], volume),
        "size": handle.blockdev_getsize64(device),
        "sha256": handle.checksum_device("sha256", device),
        "file_system": file_system(handle, device),
    }


def kernel_partitions(handle, devices: list[str]) -> dict[str, list[dict]]:
    """What the appliance's kernel shows of each disk, in bytes."""
    script = (
        "for p in /sys/block/*/*/partition; do [ -e $p ] || continue; d=${p%/partition}; b=${d%/*}; "
        "echo /dev/${b##*/} $(cat $p) $(cat $d/start) $(cat $d/size); done"
    )
    shown = {device: [] for device in devices}
    for line in handle.debug("sh", [script]).splitlines():
        device, *numbers = line.split()
        number, start, size = map(int, numbers)
        if device in shown:
            shown[device].append({"number": number, "start": start * 512, "length": size * 512})
    return {device: sorted(each, key=lambda partition: partition["number"]) for device, each in shown.items()}


def read_dynamic(handle, devices: dict[str, str]) -> dict:
    """The dynamic volumes on all drives, by image; a member that is missing leaves out the volumes that need it."""
    shown = kernel_partitions(handle, list(devices.values()))
    kernel = {image: shown[device] for image, device in devices.items()}
    handle.ldmtool_create_all()
    guids = {handle.ldmtool_diskgroup_name(guid): guid for guid in handle.ldmtool_scan()}
    volumes = [dynamic_volume(handle, device, guids) for device in handle.list_ldm_volumes()]
    return {"volumes": volumes, "partitions": handle.list_ldm_partitions(), "kernel": kernel}


def read_images(
    drives: list[tuple[pathlib.Path, str]], with_file_systems: bool = False, verbose: bool = False, with_dynamic: bool = False
) -> dict:
    """What each image holds, in the order given. A RuntimeError of libguestfs passes through."""
    if not drives:
        return {"images": [], "seconds": {"start": 0.0, "read": 0.0}}
    started = time.monotonic()
    with Appliance(drives, verbose) as handle:
        ready = time.monotonic()
        devices = dict(zip((str(path) for path, _ in drives), handle.list_devices(), strict=True))
        partitions = handle.list_partitions() if with_file_systems else None
        images = [{"path": image} | read_device(handle, device, partitions) for image, device in devices.items()]
        dynamic = {"ldm": read_dynamic(handle, devices)} if with_dynamic else {}
        done = time.monotonic()
    return {"images": images} | dynamic | {"seconds": {"start": round(ready - started, 3), "read": round(done - ready, 3)}}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", nargs="+", metavar="IMAGE[:FORMAT]")
    parser.add_argument("--file-systems", action="store_true", help="also tell the file system of each partition")
    parser.add_argument("--dynamic", action="store_true", help="also tell the volumes of dynamic disks")
    parser.add_argument("--verbose", action="store_true", help="trace every libguestfs call to stderr")
    options = parser.parse_args(arguments)
    drives = []
    for text in options.image:
        path, _, image_format = text.partition(":")
        if not pathlib.Path(path).is_file() or image_format not in ("", "raw", "qcow2"):
            parser.error(f"{text}: no such image, or a format other than raw and qcow2")
        drives.append((pathlib.Path(path), image_format or "raw"))
    json.dump(read_images(drives, options.file_systems, options.verbose, options.dynamic), sys.stdout, indent=2)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
