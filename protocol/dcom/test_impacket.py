"""impacket, a DCOM client that shares no code with the runtime, activates and calls a class of the runtime.

The test server needs TCP port 135, which impacket cannot move. So the whole of pytest re-executes itself in a
network namespace of its own when the port is not free to bind. DCOM_TEST_SERVER names the server program.
"""
import os
import shutil
import socket
import subprocess
import sys

import pytest
from impacket.dcerpc.v5 import epm, transport
from impacket.dcerpc.v5.dcomrt import (DCOMANSWER, DCOMCALL, INTERFACE, IRemUnknown2, DCOMConnection,
                                       IObjectExporter)
from impacket.dcerpc.v5.dtypes import ULONG
from impacket.dcerpc.v5.ndr import NDRUniFixedArray
from impacket.dcerpc.v5.rpcrt import (RPC_C_AUTHN_LEVEL_CONNECT, RPC_C_AUTHN_LEVEL_PKT_INTEGRITY,
                                      RPC_C_AUTHN_LEVEL_PKT_PRIVACY, DCERPCException)
from impacket.uuid import string_to_bin, uuidtup_to_bin

CLSID_ECHO = string_to_bin("0e0e0001-0001-0001-0101-010101010101")
IID_ECHO = uuidtup_to_bin(("0e0e0002-0001-0001-0101-010101010101", "0.0"))
IID_OTHER = uuidtup_to_bin(("0e0e0003-0001-0001-0101-010101010101", "0.0"))
ADDRESS = "127.0.0.1"


class Four(NDRUniFixedArray):
    def getDataLen(self, data, offset=0):
        return 4


class EchoCall(DCOMCALL):
    opnum = 3
    structure = (("octets", Four),)


class EchoCallResponse(DCOMANSWER):
    structure = (("octets", Four), ("ErrorCode", ULONG))


@pytest.fixture(scope="module")
def server():
    program = os.environ["DCOM_TEST_SERVER"]
    process = subprocess.Popen([program, ADDRESS, "135"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    assert line.startswith("ready 135 "), line
    yield process
    process.stdin.close()
    assert process.wait(timeout=20) == 0


def connect(level, user="admin", password="Secret-1"):
    return DCOMConnection(ADDRESS, user, password, "DMRP", authLevel=level, oxidResolver=True)


def echo(interface, iid, octets):
    request = EchoCall()
    request["octets"] = octets
    return interface.request(request, iid, interface.get_iPid())


@pytest.mark.parametrize("level", [RPC_C_AUTHN_LEVEL_PKT_INTEGRITY, RPC_C_AUTHN_LEVEL_PKT_PRIVACY])
def test_activation_query_interface_and_calls(server, level):
    connection = connect(level)
    try:
        unknown = connection.CoCreateInstanceEx(CLSID_ECHO, IID_ECHO)
        assert echo(unknown, IID_ECHO, b"abcd")["octets"] == b"abcd"
        other = unknown.RemQueryInterface(1, (IID_OTHER,))
        assert other.get_iPid() != unknown.get_iPid()
        assert echo(other, IID_OTHER, b"wxyz")["octets"] == b"wxyz"
        again = unknown.RemQueryInterface(1, (IID_OTHER,))
        assert again.get_iPid() == other.get_iPid()
        unknown.RemRelease()
    finally:
        connection.disconnect()


def test_remote_activation(server):
    from impacket.dcerpc.v5.dcomrt import IActivation
    connection = connect(RPC_C_AUTHN_LEVEL_PKT_PRIVACY)
    try:
        activator = IActivation(connection.get_dce_rpc())
        unknown = activator.RemoteActivation(CLSID_ECHO, IID_ECHO)
        assert echo(unknown, IID_ECHO, b"1234")["octets"] == b"1234"
    finally:
        connection.disconnect()


def test_server_alive_2_needs_no_authentication(server):
    rpc = transport.DCERPCTransportFactory(f"ncacn_ip_tcp:{ADDRESS}[135]").get_dce_rpc()
    rpc.connect()
    bindings = IObjectExporter(rpc).ServerAlive2()
    addresses = [item["aNetworkAddr"].rstrip("\0") for item in bindings]
    assert addresses == [ADDRESS]


def test_a_wrong_password_is_refused(server):
    with pytest.raises(DCERPCException, match="rpc_s_access_denied"):
        connect(RPC_C_AUTHN_LEVEL_PKT_PRIVACY, password="wrong").CoCreateInstanceEx(CLSID_ECHO, IID_ECHO)


def test_activation_below_the_minimum_level_is_refused(server):
    with pytest.raises(DCERPCException, match="rpc_s_access_denied"):
        connect(RPC_C_AUTHN_LEVEL_CONNECT).CoCreateInstanceEx(CLSID_ECHO, IID_ECHO)


def test_an_unknown_class_is_refused(server):
    with pytest.raises(DCERPCException, match="REGDB_E_CLASSNOTREG"):
        connect(RPC_C_AUTHN_LEVEL_PKT_PRIVACY).CoCreateInstanceEx(
            string_to_bin("0e0e00fe-0001-0001-0101-010101010101"), IID_ECHO)


def needs_namespace():
    with socket.socket() as probe:
        try:
            probe.bind((ADDRESS, 135))
            return False
        except OSError:
            return True


if __name__ == "__main__":
    arguments = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, *sys.argv[1:]]
    if needs_namespace():
        inner = " ".join(["ip link set lo up && exec", *arguments])
        arguments = [shutil.which("unshare"), "-rn", "sh", "-c", inner]
    os.execv(arguments[0], arguments)
