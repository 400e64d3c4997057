"""tshark, a dissector that shares nothing with us, reads what a session put on the wire."""
import json
import subprocess

import pytest

import dmrp
from conftest import EMPTY_MBR_DISK
from scenario import create_partition, delete_partition

IVOLUMECLIENT3 = "135698d2-3a37-4d26-99df-e2bb6ae3ac61"


def dissect(capture, password, display_filter, *fields):
    """The fields of every frame that fits, with NTLM decrypted by the account's password."""
    command = ["tshark", "-n", "-r", str(capture), "-o", f"ntlmssp.nt_password:{password}", "-Y", display_filter,
               "-T", "json"]
    for field in fields:
        command += ["-e", field]
    output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
    return [packet["_source"].get("layers", {}) for packet in json.loads(output)]


@pytest.fixture(scope="module", params=["integrity", "privacy"])
def capture(request, tmp_path_factory):
    """A capture of activation, a callback, creation and deletion of a partition; and the account's password."""
    file = tmp_path_factory.mktemp("dissection") / "session.pcap"
    with dmrp.Guest([EMPTY_MBR_DISK], capture=file) as guest:
        password = guest.settings["accounts"]["administrator"][1]
        with guest.connect(auth_level=request.param) as session:
            session.initialize()
            delete_partition(session, create_partition(session))
    return file, password


@pytest.mark.requirements("DMRP-0001", interface="common")
def test_nothing_on_the_wire_is_malformed(capture):
    file, password = capture
    assert dissect(file, password, "_ws.malformed || dcerpc.fragment.error", "frame.number") == []


def test_the_dissector_saw_the_whole_exchange(capture):
    file, password = capture
    bound = {iface for layers in dissect(file, password, "dcerpc.cn_bind_abstract_syntax", "dcerpc.cn_bind_to_uuid")
             for iface in layers["dcerpc.cn_bind_to_uuid"]}
    assert IVOLUMECLIENT3 in bound
    calls = dissect(file, password, "dcerpc.pkt_type == 0 && dcerpc.opnum in {5, 8, 68}", "dcerpc.opnum")
    assert {layers["dcerpc.opnum"][0] for layers in calls} == {"5", "8", "68"}
