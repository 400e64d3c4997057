"""Guests with disks, and what the disks hold."""
import json
import os
import tempfile

from dmrp import _dmrp
from dmrp.client import connect
from dmrp.watched import Watch


def read_layout(image, sector=512):
    """The partition table of a raw image file according to libfdisk and its witnesses, as a dict.

    layout: libfdisk's account; witnesses: the others'; dissents: where they differ. sector: logical sector size in
    bytes.
    """
    return json.loads(_dmrp.read_layout_json(str(image), sector))


class Guest:
    """A running target with disks: the bundled server in a pristine guest, or what a target file says.

    disks: texts as ci/serve takes them, "size=64M,bus=virtio-scsi,sector=512,label=mbr".
    target: a target file; the default is DMRP_TARGET or the bundled server. capture: where to write a packet capture.
    """

    def __init__(self, disks=(), target=None, capture=None):
        self._directory = tempfile.TemporaryDirectory(prefix="dmrp-guest-")
        self._bed = _dmrp.TestBed(disks=list(disks), directory=self._directory.name,
                                  target=None if target is None else str(target),
                                  capture=None if capture is None else str(capture))
        self.host, self.port = self._bed.server()
        self.settings = self._bed.target()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def disks(self):
        """The attached disks: dicts with id, spec, serial and sector."""
        return self._bed.disks()

    def attach(self, spec):
        """Adds a disk to the running guest (buses with hot-plug) and returns it."""
        return self._bed.attach(spec)

    def detach(self, disk):
        """Pulls a disk."""
        self._bed.detach(disk["id"])

    def snapshot(self, disk=None):
        """The path of a sparse raw copy of what a disk (the first one by default) holds now; the file is the caller's."""
        return self._bed.snapshot((disk or self.disks[0])["id"])

    def layout(self, disk=None):
        """What a disk (the first one by default) holds now, as read_layout tells it."""
        disk = disk or self.disks[0]
        image = self.snapshot(disk)
        try:
            return read_layout(image, disk["sector"])
        finally:
            os.unlink(image)

    def kept_letters(self):
        """What the machine's registry keeps in MountedDevices: by drive letter, the octets that name its volume."""
        return self._bed.kept_letters()

    def connect(self, role="administrator", **options):
        """A Session as the account of that role; options as of dmrp.connect."""
        user, password, domain = self.settings["accounts"][role]
        address, advertise = self._bed.client_address()
        chosen = {"user": user, "password": password, "domain": domain, "port": self.port,
                  "clsid": self.settings["class_id"], "callback_address": address, "advertise": advertise,
                  "callback_port": 135, "callback_accounts": self.settings["callback_accounts"], **options}
        return connect(self.host, **chosen)

    def watch(self, role="administrator", timeout=20.0, notification_limit=5.0):
        """A dmrp.watched.Watch on this guest: sessions whose every call the rule monitor judges."""
        address, advertise = self._bed.client_address()
        return Watch(_dmrp.WatchedHost(
            host=self.host, port=self.port, clsid=self.settings["class_id"], account=self.settings["accounts"][role],
            listen_address=address, advertise=advertise, callback_accounts=self.settings["callback_accounts"],
            timeout=timeout, notification_limit=notification_limit))

    @property
    def callback_address(self):
        """The address at which a client of this guest can listen for callbacks."""
        return self._bed.client_address()[0]

    def log(self):
        """What the server has logged."""
        return self._bed.server_log()

    def close(self):
        """Ends the guest and removes its disks."""
        self._bed.close()
        self._directory.cleanup()
