"""impacket's DCE/RPC client, which shares no code with this runtime, against the runtime's server.

The server program is named by the environment variable DMRP_RPC_ECHO_SERVER.
"""
import os
import subprocess

import pytest
from impacket.dcerpc.v5 import epm, rpcrt, transport
from impacket.uuid import uuidtup_to_bin

ECHO = ("11112222-3333-4444-0102-030405060708", "1.0")
PRIVATE_ECHO = ("11112222-3333-4444-0102-030405060709", "0.0")

# impacket never sends the last leg of the handshake at the level packet, so that one is not here.
LEVELS = {
    "connect": rpcrt.RPC_C_AUTHN_LEVEL_CONNECT,
    "integrity": rpcrt.RPC_C_AUTHN_LEVEL_PKT_INTEGRITY,
    "privacy": rpcrt.RPC_C_AUTHN_LEVEL_PKT_PRIVACY,
}


@pytest.fixture(scope="module")
def port():
    server = subprocess.Popen(
        [os.environ["DMRP_RPC_ECHO_SERVER"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    yield int(server.stdout.readline())
    server.stdin.close()
    assert server.wait(timeout=20) == 0


def connect(port, level="none", user="dmrp-admin", password="dmrp-Admin-1", domain="DMRP"):
    link = transport.DCERPCTransportFactory(f"ncacn_ip_tcp:127.0.0.1[{port}]")
    link.set_connect_timeout(20)
    if level != "none":
        link.set_credentials(user, password, domain)
    dce = link.get_dce_rpc()
    if level != "none":
        dce.set_credentials(*link.get_credentials())
        dce.set_auth_type(rpcrt.RPC_C_AUTHN_WINNT)
        dce.set_auth_level(LEVELS[level])
    dce.connect()
    return dce


def call(dce, opnum, stub=b""):
    dce.call(opnum, stub)
    return dce.recv()


@pytest.mark.parametrize("level", ["none", "integrity", "privacy", "connect"])
def test_every_level_carries_calls_and_the_identity(port, level):
    dce = connect(port, level)
    dce.bind(uuidtup_to_bin(ECHO))
    identity = call(dce, 1).decode()
    assert identity == ("||none|none" if level == "none" else f"DMRP|dmrp-admin|{level}|ntlm")
    for size in (0, 1, 15, 16, 17, 4000, 30_001):
        stub = bytes(i * 7 & 0xFF for i in range(size))
        assert call(dce, 0, stub) == stub
    dce.disconnect()


@pytest.mark.parametrize("fragment", [16, 333, 1024])
def test_fragmented_requests(port, fragment):
    dce = connect(port, "privacy")
    dce.bind(uuidtup_to_bin(ECHO))
    dce.set_max_fragment_size(fragment)
    stub = bytes(i * 11 & 0xFF for i in range(5003))
    assert call(dce, 0, stub) == stub


def test_alter_context_with_a_new_security_context_each(port):
    first = connect(port, "privacy")
    first.bind(uuidtup_to_bin(ECHO))
    second = first.alter_ctx(uuidtup_to_bin(PRIVATE_ECHO))
    for _ in range(3):
        assert call(first, 0, b"first") == b"first"
        assert call(second, 0, b"second") == b"second"
    third = second.alter_ctx(uuidtup_to_bin(ECHO))
    assert call(third, 1) == b"DMRP|dmrp-admin|privacy|ntlm"
    assert call(first, 0, b"again") == b"again"


def test_a_wrong_password_is_denied(port):
    dce = connect(port, "privacy", password="guess")
    dce.bind(uuidtup_to_bin(ECHO))
    with pytest.raises(rpcrt.DCERPCException, match="rpc_s_access_denied"):
        call(dce, 0, b"x")


def test_the_domain_may_be_left_out(port):
    dce = connect(port, "privacy", domain="")
    dce.bind(uuidtup_to_bin(ECHO))
    assert call(dce, 1) == b"|dmrp-admin|privacy|ntlm"


def test_a_level_below_the_interfaces_minimum_is_denied(port):
    dce = connect(port, "integrity")
    dce.bind(uuidtup_to_bin(PRIVATE_ECHO))
    with pytest.raises(rpcrt.DCERPCException, match="rpc_s_access_denied"):
        call(dce, 0, b"x")


def test_faults_are_understood(port):
    dce = connect(port, "privacy")
    dce.bind(uuidtup_to_bin(ECHO))
    with pytest.raises(rpcrt.DCERPCException, match="nca_s_op_rng_error"):
        call(dce, 9)
    assert call(dce, 0, b"goes on") == b"goes on"


def test_an_unknown_interface_is_rejected(port):
    dce = connect(port)
    with pytest.raises(rpcrt.DCERPCException, match="abstract_syntax_not_supported"):
        dce.bind(uuidtup_to_bin(("99999999-3333-4444-0102-030405060709", "0.0")))


def test_the_endpoint_mapper_answers(port):
    dce = connect(port)
    binding = epm.hept_map("127.0.0.1", uuidtup_to_bin(ECHO), protocol="ncacn_ip_tcp", dce=dce)
    assert binding == f"ncacn_ip_tcp:127.0.0.1[{port}]"


def test_the_endpoint_mapper_lists(port):
    dce = connect(port)
    entries = epm.hept_lookup("127.0.0.1", dce=dce)
    assert len(entries) == 1
    assert bytes(entries[0]["annotation"]) == b"echo\0"
