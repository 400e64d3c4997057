"""An IDMNotify sink whose wire side is impacket's: packets, NTLM and OBJREF come from impacket.

The sink is what a Windows client would be to the server's callback: an object resolver on TCP 135 of its own
address, an object exporter on another port, and one object that implements IDMNotify. It authenticates the
server with impacket's NTLM functions, verifies every signature, and keeps each ObjectsChanged byte stream as it
came, undecoded. Sources: [C706] 12.6, [MS-RPCE] 2.2.2, [MS-NLMP] 3.4, [MS-DCOM] 2.2.18, 2.2.19, 3.1.1.5.
"""
import os
import queue
import socket
import struct
import threading

from Cryptodome.Cipher import ARC4
from impacket import ntlm
from impacket.dcerpc.v5 import rpcrt
from impacket.uuid import bin_to_string, string_to_bin, uuidtup_to_bin

NDR20 = uuidtup_to_bin(("8a885d04-1ceb-11c9-9fe8-08002b104860", "2.0"))
IID_IUNKNOWN = string_to_bin("00000000-0000-0000-c000-000000000046")
IID_IREMUNKNOWN = string_to_bin("00000131-0000-0000-c000-000000000046")
IID_IREMUNKNOWN2 = string_to_bin("00000143-0000-0000-c000-000000000046")
IID_IDMNOTIFY = string_to_bin("d2d79df7-3400-11d0-b40b-00aa005ff586")
IID_IOBJECTEXPORTER = string_to_bin("99fcfec4-5260-101b-bbcb-00aa0021347a")

FAULT_OP_RANGE = 0x1C010002
FAULT_ACCESS_DENIED = 5
E_NOINTERFACE = 0x80004002
ORPCTHIS_LENGTH = 32
ORPCTHAT = struct.pack("<LL", 0, 0)
FIRST_AND_LAST = 3


class RpcFault(Exception):
    """Answered to the caller as a fault PDU with this status."""

    def __init__(self, status):
        super().__init__(f"fault 0x{status:08x}")
        self.status = status


def dual_string_array(address):
    """DUALSTRINGARRAY in packet form: one TCP binding to `address`, NTLM with an empty principal."""
    strings = struct.pack("<H", 7) + (address + "\0").encode("utf-16le") + b"\0\0"
    security = struct.pack("<HH", 10, 0xFFFF) + b"\0\0" + b"\0\0"
    return struct.pack("<HH", (len(strings) + len(security)) // 2, len(strings) // 2) + strings + security


class NtlmAcceptor:
    """The server side of one NTLM exchange, and the keys that come out of it."""

    def __init__(self, user, password, domain):
        self._account = (user, password, domain)
        self._challenge = os.urandom(8)
        self.level = None
        self.user = None

    def challenge(self, negotiate_token):
        negotiate = ntlm.NTLMAuthNegotiate()
        negotiate.fromString(negotiate_token)
        pairs = ntlm.AV_PAIRS()
        name = "SINK".encode("utf-16le")
        pairs[ntlm.NTLMSSP_AV_HOSTNAME] = name
        pairs[ntlm.NTLMSSP_AV_DOMAINNAME] = name
        flags = negotiate["flags"] & (
            ntlm.NTLMSSP_NEGOTIATE_UNICODE | ntlm.NTLMSSP_REQUEST_TARGET | ntlm.NTLMSSP_NEGOTIATE_SIGN
            | ntlm.NTLMSSP_NEGOTIATE_SEAL | ntlm.NTLMSSP_NEGOTIATE_NTLM | ntlm.NTLMSSP_NEGOTIATE_ALWAYS_SIGN
            | ntlm.NTLMSSP_NEGOTIATE_EXTENDED_SESSIONSECURITY | ntlm.NTLMSSP_NEGOTIATE_128
            | ntlm.NTLMSSP_NEGOTIATE_56 | ntlm.NTLMSSP_NEGOTIATE_KEY_EXCH)
        answer = ntlm.NTLMAuthChallenge()
        answer["flags"] = flags | ntlm.NTLMSSP_NEGOTIATE_TARGET_INFO | ntlm.NTLMSSP_TARGET_TYPE_SERVER
        answer["challenge"] = self._challenge
        answer["domain_name"] = name
        answer["domain_offset"] = 48
        answer["TargetInfoFields"] = pairs.getData()
        answer["TargetInfoFields_offset"] = 48 + len(name)
        answer["Version"] = b""
        return answer.getData()

    def accept(self, authenticate_token, level):
        """Checks the AUTHENTICATE message; raises RpcFault(access denied) when the account does not match."""
        message = ntlm.NTLMAuthChallengeResponse()
        message.fromString(authenticate_token)
        user, password, domain = self._account
        sent_user = message["user_name"].decode("utf-16le")
        sent_domain = message["domain_name"].decode("utf-16le")
        response = message["ntlm"]
        key = ntlm.NTOWFv2(user, password, sent_domain)
        if (sent_user.upper() != user.upper() or sent_domain.upper() != domain.upper() or len(response) < 24
                or ntlm.hmac_md5(key, self._challenge + response[16:]) != response[:16]):
            raise RpcFault(FAULT_ACCESS_DENIED)
        flags = message["flags"]
        session_key = ntlm.hmac_md5(key, response[:16])
        if flags & ntlm.NTLMSSP_NEGOTIATE_KEY_EXCH:
            session_key = ARC4.new(session_key).encrypt(message["session_key"])
        self.level, self.user, self._flags = level, sent_user, flags
        self._sign = {side: ntlm.SIGNKEY(flags, session_key, side) for side in ("Client", "Server")}
        self._seal = {side: ARC4.new(ntlm.SEALKEY(flags, session_key, side)).encrypt
                      for side in ("Client", "Server")}
        self._sequence = {"Client": 0, "Server": 0}

    def _signature(self, side, covered):
        signature = ntlm.SIGN(self._flags, self._sign[side], covered, self._sequence[side], self._seal[side])
        self._sequence[side] += 1
        return signature.getData()

    def unprotect(self, head, body, trailer, token):
        """The clear body of a request fragment; raises RpcFault on a wrong signature."""
        if self.level == rpcrt.RPC_C_AUTHN_LEVEL_PKT_PRIVACY:
            body = self._seal["Client"](body)
        if self.level >= rpcrt.RPC_C_AUTHN_LEVEL_PKT and token != self._signature("Client",
                                                                                   head + body + trailer):
            raise RpcFault(FAULT_ACCESS_DENIED)
        return body

    def protect(self, head, body, trailer):
        """The body as it goes on the wire, and its token."""
        if self.level == rpcrt.RPC_C_AUTHN_LEVEL_PKT_PRIVACY:
            sealed = self._seal["Server"](body)
            return sealed, self._signature("Server", head + body + trailer)
        return body, self._signature("Server", head + body + trailer)


class _Association(threading.Thread):
    """One connection: bind, alter_context, auth3 and requests, answered by `dispatch`."""

    def __init__(self, connection, credentials, dispatch):
        super().__init__(daemon=True)
        self._connection = connection
        self._credentials = credentials
        self._dispatch = dispatch
        self._interfaces = {}
        self._security = {}
        self._fragments = {}

    def run(self):
        with self._connection:
            while (pdu := self._receive()) is not None:
                self._handle(pdu)

    def _receive(self):
        header = self._read(16)
        if header is None:
            return None
        rest = self._read(struct.unpack_from("<H", header, 8)[0] - 16)
        return None if rest is None else header + rest

    def _read(self, count):
        data = b""
        while len(data) < count:
            try:
                piece = self._connection.recv(count - len(data))
            except OSError:
                return None
            if not piece:
                return None
            data += piece
        return data

    def _handle(self, pdu):
        kind = pdu[2]
        if kind in (rpcrt.MSRPC_BIND, rpcrt.MSRPC_ALTERCTX):
            self._bind(pdu, kind)
        elif kind == rpcrt.MSRPC_AUTH3:
            _, level, context, token = self._trailer(pdu)
            try:
                self._security[context].accept(token, level)
            except RpcFault as refusal:
                self._security[context] = refusal
        elif kind == rpcrt.MSRPC_REQUEST:
            self._request(pdu)

    @staticmethod
    def _trailer(pdu):
        length = struct.unpack_from("<H", pdu, 10)[0]
        if not length:
            return None
        offset = len(pdu) - length - 8
        _, level, pad, _, context = struct.unpack_from("<BBBBL", pdu, offset)
        return pad, level, context, pdu[offset + 8:]

    def _bind(self, pdu, kind):
        offers, offset = pdu[24], 28
        results = b""
        for _ in range(offers):
            context, transfers = struct.unpack_from("<HB", pdu, offset)
            abstract = pdu[offset + 4:offset + 20]
            syntaxes = [pdu[offset + 24 + 20 * i:offset + 44 + 20 * i] for i in range(transfers)]
            offset += 24 + 20 * transfers
            if NDR20 in syntaxes:
                self._interfaces[context] = abstract
                results += struct.pack("<HH", 0, 0) + NDR20
            else:
                results += struct.pack("<HH", 2, 2) + bytes(20)
        secondary = b"\0\0" if kind == rpcrt.MSRPC_ALTERCTX else struct.pack("<H", 2) + b"0\0"
        body = struct.pack("<HHL", 4280, 4280, 1) + secondary
        body += bytes(-len(body) % 4) + struct.pack("<BBH", offers, 0, 0) + results
        trailer = self._trailer(pdu)
        verifier = b""
        if trailer is not None:
            _, level, context, token = trailer
            self._security[context] = NtlmAcceptor(*self._credentials)
            verifier = self._security[context].challenge(token)
            body += struct.pack("<BBBBL", 10, level, 0, 0, context)
        answer = rpcrt.MSRPC_ALTERCTX_R if kind == rpcrt.MSRPC_ALTERCTX else rpcrt.MSRPC_BINDACK
        self._send(answer, pdu, body, verifier)

    def _send(self, kind, request, body, verifier=b"", flags=FIRST_AND_LAST):
        call_id = struct.unpack_from("<L", request, 12)[0]
        head = struct.pack("<BBBBLHHL", 5, 0, kind, flags, 0x10, 16 + len(body) + len(verifier),
                           len(verifier), call_id)
        self._connection.sendall(head + body + verifier)

    def _request(self, pdu):
        call_id, = struct.unpack_from("<L", pdu, 12)
        context, opnum = struct.unpack_from("<HH", pdu, 20)
        head = 40 if pdu[3] & rpcrt.PFC_OBJECT_UUID else 24
        target = pdu[24:40] if head == 40 else None
        trailer = self._trailer(pdu)
        security = None
        try:
            if trailer is None:
                body = pdu[head:]
            else:
                pad, _, context_id, token = trailer
                security = self._security[context_id]
                if isinstance(security, RpcFault):
                    raise security
                end = len(pdu) - len(token) - 8
                body = security.unprotect(pdu[:head], pdu[head:end], pdu[end:end + 8], token)
                body = body[:len(body) - pad]
            stub = self._fragments.pop(call_id, b"") + body
            if not pdu[3] & rpcrt.PFC_LAST_FRAG:
                self._fragments[call_id] = stub
                return
            answer = self._dispatch(self._interfaces.get(context), target, opnum, stub,
                                    security.user if security else None)
        except RpcFault as fault:
            self._send(rpcrt.MSRPC_FAULT, pdu, struct.pack("<LHBBLL", 32, context, 0, 0, fault.status, 0))
            return
        self._respond(pdu, context, answer, security, trailer)

    def _respond(self, pdu, context, answer, security, trailer):
        body_head = struct.pack("<LHBB", len(answer), context, 0, 0)
        if security is None or security.level < rpcrt.RPC_C_AUTHN_LEVEL_PKT:
            self._send(rpcrt.MSRPC_RESPONSE, pdu, body_head + answer)
            return
        pad = -len(answer) % 16
        body = answer + bytes(pad)
        tail = struct.pack("<BBBBL", 10, security.level, pad, 0, trailer[2])
        call_id = struct.unpack_from("<L", pdu, 12)[0]
        head = struct.pack("<BBBBLHHL", 5, 0, rpcrt.MSRPC_RESPONSE, FIRST_AND_LAST, 0x10,
                           24 + len(body) + 8 + 16, 16, call_id) + body_head
        body, token = security.protect(head, body, tail)
        self._connection.sendall(head + body + tail + token)


class _Listener:
    def __init__(self, address, port, credentials, dispatch):
        self._credentials, self._dispatch = credentials, dispatch
        self._connections = []
        self._socket = socket.create_server((address, port))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._connections.append(connection)
            _Association(connection, self._credentials, self._dispatch).start()

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)
        for connection in self._connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # its association has closed it already


class CallbackSink:
    """Resolver and exporter of one IDMNotify object, to be passed to IVolumeClient::Initialize.

    address: where the server under test can reach us; TCP 135 of it must be free.
    user, password, domain: the account as which the server has to authenticate its callbacks.
    streams: the ObjectsChanged byte streams in order of arrival, as (user, octets).
    """

    def __init__(self, address, user, password, domain):
        self._address = address
        self._oxid, self._oid = os.urandom(8), os.urandom(8)
        self._ipid_unknown, self._ipid_notify, self._ipid_rem_unknown = (os.urandom(16) for _ in range(3))
        self.streams = queue.Queue()
        self.resolved_by = None
        credentials = (user, password, domain)
        self._exporter = _Listener(address, 0, credentials, self._export)
        self._resolver = _Listener(address, 135, credentials, self._resolve)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._resolver.close()
        self._exporter.close()

    def objref(self):
        """OBJREF_STANDARD of the object's IUnknown, without pinging ([MS-DCOM] 2.2.18)."""
        return (b"MEOW" + struct.pack("<L", 1) + IID_IUNKNOWN + self._std_objref(self._ipid_unknown, 5)
                + dual_string_array(self._address))

    def _std_objref(self, ipid, references):
        return struct.pack("<LL", 0x1000, references) + self._oxid + self._oid + ipid

    def _resolve(self, interface, _target, opnum, stub, user):
        if interface != IID_IOBJECTEXPORTER:
            raise RpcFault(0x1C010003)
        version = struct.pack("<HH", 5, 7)
        if opnum == 5:
            array = dual_string_array(self._address)
            return (version + struct.pack("<LL", 0x20000, struct.unpack_from("<H", array)[0]) + array
                    + bytes(-len(array) % 4) + struct.pack("<LL", 0, 0))
        if opnum == 4:
            self.resolved_by = user
            if stub[:8] != self._oxid:
                return struct.pack("<L", 0) + bytes(16) + struct.pack("<L", 0) + version + struct.pack("<L", 0x776)
            array = dual_string_array(f"{self._address}[{self._exporter.port}]")
            return (struct.pack("<LL", 0x20000, struct.unpack_from("<H", array)[0]) + array
                    + bytes(-len(array) % 4) + self._ipid_rem_unknown + struct.pack("<L", 6) + version
                    + struct.pack("<L", 0))
        if opnum == 1:
            return struct.pack("<L", 0)
        if opnum == 2:
            return b"PINGSET1" + struct.pack("<HHL", 0, 0, 0)
        raise RpcFault(FAULT_OP_RANGE)

    def _export(self, interface, target, opnum, stub, user):
        arguments = stub[ORPCTHIS_LENGTH:]
        if interface in (IID_IREMUNKNOWN, IID_IREMUNKNOWN2) and target == self._ipid_rem_unknown:
            return ORPCTHAT + self._rem_unknown(opnum, arguments)
        if interface == IID_IDMNOTIFY and target == self._ipid_notify and opnum == 3:
            count, maximum = struct.unpack_from("<LL", arguments)
            if count != maximum or len(arguments) < 8 + count:
                raise RpcFault(0x6F7)
            self.streams.put((user, arguments[8:8 + count]))
            return ORPCTHAT + struct.pack("<L", 0)
        raise RpcFault(FAULT_OP_RANGE)

    def _rem_unknown(self, opnum, arguments):
        if opnum == 3:
            references, count = struct.unpack_from("<LH", arguments, 16)
            results = b""
            for i in range(count):
                iid = arguments[28 + 16 * i:44 + 16 * i]
                ipid = {IID_IUNKNOWN: self._ipid_unknown, IID_IDMNOTIFY: self._ipid_notify}.get(iid)
                status = 0 if ipid else E_NOINTERFACE
                results += struct.pack("<LL", status, 0) + self._std_objref(ipid or bytes(16), references)
            # ORPCTHAT, pointer and max_count fill 16 octets, so the array is already 8-aligned.
            return struct.pack("<LL", 0x20000, count) + results + struct.pack("<L", 0)
        if opnum == 4:
            count = struct.unpack_from("<H", arguments)[0]
            return struct.pack("<L", count) + bytes(4 * count) + struct.pack("<L", 0)
        if opnum == 5:
            return struct.pack("<L", 0)
        raise RpcFault(FAULT_OP_RANGE)

    def describe(self):
        """For messages: who we are on the wire."""
        return f"sink {self._address}[{self._exporter.port}] IPID {bin_to_string(self._ipid_notify)}"
