# SPDX-License-Identifier: Apache-2.0
"""The ways of asking a service node one and the same thing. HTTPS and OMQ in JSON are session_client.py's; here are OMQ in bt, packets, and
onion requests of every kind. Each has a name and call(method, params), which answers (status, body), the body as JSON has it."""
import base64
import binascii
import json

from devnet import allium
from session_client import Https, Omq, Onion, b64, bt, unbt

ENC_TYPES = ("aes-gcm", "xchacha20", "aes-cbc")
ASK_S = 60  # onion requests to who does not answer take 30 s


class NotByThisWay(Exception):
    """A client that writes bt cannot say this, or a packet has no room for it."""


def raw_base64(text):
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        raise NotByThisWay(text) from None


def raw_hex(text):
    try:
        return bytes.fromhex(text)
    except ValueError:
        return text


def raw_token(text):
    return raw_hex(text) if len(text) == 72 else raw_base64(text)


RAW = {"pubkey": raw_hex, "pubKey": raw_hex, "pubkey_ed25519": raw_hex, "data": raw_base64, "signature": raw_base64,
       "subaccount": raw_token, "subaccount_sig": raw_base64, "revoke": raw_token, "unrevoke": raw_token}


def as_bt(name, value):
    """A parameter as bt has it: bytes are bytes."""
    if isinstance(value, dict):
        return {key: as_bt(key, one) for key, one in value.items() if one is not None}
    if isinstance(value, list):
        return [as_bt(name, one) for one in value]
    if isinstance(value, float):
        raise NotByThisWay(name)
    return RAW[name](value) if name in RAW and isinstance(value, str) else value


def params_in_bt(method, params):
    if method == "oxend_request" and "params" in params:
        params = {**params, "params": json.dumps(params["params"])}
    return bt(as_bt("", params))


def as_json(name, value):
    """A part of an answer in bt as JSON has it."""
    if isinstance(value, dict):
        return {key.decode(): as_json(key.decode(), one) for key, one in value.items()}
    if isinstance(value, list):
        return [as_json(name, one) for one in value]
    if isinstance(value, bytes):
        return b64(value) if name in ("signature", "data") else value.decode()
    return value


class OmqBt(Omq):
    name = "omq in bt"

    def call(self, method, params):
        parts = self.request("storage." + method, params_in_bt(method, params))
        text = parts[-1]
        # Words of a refusal are words in either spelling, and may begin as a dict does.
        is_dict = text[:1] == b"d" and text[1:2].isdigit()
        body = as_json("", unbt(text)) if is_dict else text.decode()
        return (200 if len(parts) == 1 else int(parts[0])), body


class Packets:
    """One-shot packets through two relays to a third, by `allium rpc`, which writes requests in bt."""
    name = "packets"

    def __init__(self, *path):
        self.path = ",".join(path)

    def call(self, method, params):
        told = allium("rpc", method, json.dumps(params), "--lane", "fast", "--path", self.path, "--json", check=False)
        if told.returncode == 2:
            raise NotByThisWay(told.stderr)
        if not told.stdout:
            raise AssertionError(told.stderr)
        answer = json.loads(told.stdout)
        return answer["status"], answer["body"]


def onions(*path, **more):
    """A request through a path for each kind of encryption."""
    for enc_type in ENC_TYPES:
        onion = Onion(path, enc_type, **more)
        onion.https = Https(path[0], ASK_S)
        onion.name = "onion, " + enc_type
        yield onion


def raw_onion(*path):
    """Asks for JSON within JSON, and for no base64 around it."""
    onion = Onion(path, "xchacha20", {"headers": "", "json": True, "base64": False})
    onion.name = "onion, raw"
    return onion


def plain(value):
    """An answer without what may differ: the time, and true, which is 1 in bt."""
    if isinstance(value, dict):
        clock = ("t", "timestamp") if "version" in value else ("t",)
        return {name: plain(one) for name, one in value.items() if name not in clock}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return int(value) if isinstance(value, bool) else value


def ask(way, method, params):
    status, body = way.call(method, params)
    return status, plain(body)
