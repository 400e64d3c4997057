"""The sink is a witness, so it is judged itself: by impacket's own client, which shares no code with it."""
import queue
import struct

import pytest
from impacket.dcerpc.v5 import rpcrt, transport
from impacket.uuid import uuidtup_to_bin

from impacket_callback_sink import CallbackSink, ORPCTHIS_LENGTH, RpcFault

IDMNOTIFY = uuidtup_to_bin(("d2d79df7-3400-11d0-b40b-00aa005ff586", "0.0"))
ACCOUNT = ("dmrp-server", "a password", "DMRP")


def connect(port, user, password, domain, level):
    binding = transport.DCERPCTransportFactory(f"ncacn_ip_tcp:127.44.0.1[{port}]")
    binding.set_credentials(user, password, domain)
    connection = binding.get_dce_rpc()
    connection.set_auth_level(level)
    connection.connect()
    connection.bind(IDMNOTIFY)
    return connection


@pytest.fixture
def sink():
    with CallbackSink("127.44.0.1", *ACCOUNT) as callback_sink:
        yield callback_sink


@pytest.mark.parametrize("level", [rpcrt.RPC_C_AUTHN_LEVEL_PKT_INTEGRITY, rpcrt.RPC_C_AUTHN_LEVEL_PKT_PRIVACY])
def test_keeps_the_byte_stream_of_an_authenticated_call(sink, level):
    connection = connect(sink._exporter.port, *ACCOUNT, level)
    stub = bytes(ORPCTHIS_LENGTH) + struct.pack("<LL", 5, 5) + b"abcde"
    for _ in range(2):
        connection.call(3, stub, uuid=sink._ipid_notify)
        assert connection.recv()[-4:] == bytes(4)
        assert sink.streams.get(timeout=5) == ("dmrp-server", b"abcde")


def test_refuses_a_wrong_password(sink):
    connection = connect(sink._exporter.port, "dmrp-server", "wrong", "DMRP",
                         rpcrt.RPC_C_AUTHN_LEVEL_PKT_PRIVACY)
    connection.call(3, bytes(ORPCTHIS_LENGTH) + struct.pack("<LL", 0, 0), uuid=sink._ipid_notify)
    with pytest.raises(rpcrt.DCERPCException, match="rpc_s_access_denied"):
        connection.recv()
    with pytest.raises(queue.Empty):
        sink.streams.get_nowait()


def test_refuses_counts_that_disagree(sink):
    with pytest.raises(RpcFault, match="0x000006f7"):
        sink._export(IDMNOTIFY[:16], sink._ipid_notify, 3, bytes(ORPCTHIS_LENGTH) + struct.pack("<LL", 5, 4), None)
