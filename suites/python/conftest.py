"""Guests for the Python suites: one with an empty MBR disk, shared by the tests of a module."""
import pytest

import dmrp

EMPTY_MBR_DISK = "size=64M,label=mbr"


@pytest.fixture(scope="module")
def capture_file(tmp_path_factory):
    """Where the module's guest writes its packet capture; complete once the guest has ended."""
    return tmp_path_factory.mktemp("capture") / "guest.pcap"


@pytest.fixture(scope="module")
def guest(capture_file):
    try:
        running = dmrp.Guest([EMPTY_MBR_DISK], capture=capture_file)
    except dmrp.Error as error:
        if error.kind == "Unsupported":
            pytest.skip(f"the target attaches no disks: {error}")
        raise
    with running:
        yield running


@pytest.fixture
def session(guest):
    with guest.connect() as connected:
        yield connected
