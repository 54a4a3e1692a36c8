# SPDX-License-Identifier: Apache-2.0
"""A client of Session's service nodes, written from the description of their protocol: accounts, signatures, the storage RPC over
HTTPS and OMQ, and onion requests v2. Needs PyNaCl, pyzmq and cryptography."""
import base64
import hashlib
import hmac
import http.client
import json
import os
import ssl
import struct
import time
import zlib

import nacl.bindings as sodium
import zmq
import zmq.utils.z85
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

TIMEOUT_S = 20


WORD_COUNT = 1626
PREFIX_CHARS = 3  # of a word, which no other begins with


def now_ms():
    return int(time.time() * 1000)


def b64(data):
    return base64.b64encode(data).decode()


class Account:
    """Prefix 05: a person, whose id is the X25519 form of the key; others: the Ed25519 key itself."""

    def __init__(self, prefix=5, seed=None):
        self.public, self.secret = sodium.crypto_sign_seed_keypair(seed or os.urandom(32))
        self.prefix = prefix
        rest = sodium.crypto_sign_ed25519_pk_to_curve25519(self.public) if prefix == 5 else self.public
        self.raw = bytes([prefix]) + rest
        self.id = self.raw.hex()

    def sign(self, *parts):
        message = b"".join(part if isinstance(part, bytes) else str(part).encode() for part in parts)
        return b64(sodium.crypto_sign(message, self.secret)[:64])

    def signed(self, parts, **params):
        """`params` with account and signature; `parts` are what is signed, one after the other."""
        params.update(pubkey=self.id, signature=self.sign(*parts))
        if self.prefix == 5:
            params["pubkey_ed25519"] = self.public.hex()
        return params

    def store(self, data, namespace=0, ttl=3600_000, at=None, **more):
        at = at or now_ms()
        params = dict(pubkey=self.id, timestamp=at, ttl=ttl, data=b64(data), **more)
        if namespace % 10:
            params = self.signed(["store", namespace or "", at], **params)
        if namespace:
            params["namespace"] = namespace
        return params

    def retrieve(self, namespace=0, at=None, **more):
        at = at or now_ms()
        return self.signed(["retrieve", namespace or "", at], namespace=namespace, timestamp=at, **more)

    def delete(self, *hashes, **more):
        return self.signed(["delete", *hashes], messages=list(hashes), **more)

    def timed(self, method, *parts, field="timestamp", at=None, **more):
        """delete_all, delete_before, expire_all, revoked_subaccounts ...: name, parts, time."""
        at = at or now_ms()
        return self.signed([method, *parts, at], **{field: at}, **more)

    def token(self, person, flags):
        """A subaccount: a token for somebody else's key, and this account's signature of it."""
        token = bytes([self.prefix, flags, 0, 0]) + person.public
        return b64(token), self.sign(token)


def seed_of_phrase(phrase, numbers):
    """The Ed25519 seed that thirteen words stand for. `numbers`: of the words in the list of all, by their first letters."""
    words = [word[:PREFIX_CHARS] for word in phrase.split()]
    if len(words) != 13:
        raise ValueError(f"a recovery phrase has 13 words, not {len(words)}")
    *words, check = words
    if words[zlib.crc32("".join(words).encode()) % len(words)] != check:
        raise ValueError("a word of the recovery phrase is wrong: the last one does not fit the others")
    seed = b""
    for at in range(0, len(words), 3):
        first, second, third = (numbers[word] for word in words[at:at + 3])
        value = first + (second - first) % WORD_COUNT * WORD_COUNT + (third - second) % WORD_COUNT * WORD_COUNT**2
        seed += struct.pack("<I", value)
    return seed + bytes(16)


def keyed(data, key, digest_size):
    return hashlib.blake2b(data, key=key, digest_size=digest_size).digest()


def point_of(x25519):
    """The Ed25519 point of an X25519 key; of the two, the positive one."""
    prime = 2**255 - 19
    u = int.from_bytes(x25519, "little")
    return ((u - 1) * pow(u + 1, -1, prime) % prime).to_bytes(32, "little")


def blinding_factor(raw, server):
    """Of the account of these 33 bytes at the community with this key."""
    return sodium.crypto_core_ed25519_scalar_reduce(hashlib.blake2b(raw + server, digest_size=64).digest())


def blinded_id(raw, server):
    """As everybody can compute it who knows the account."""
    return (b"\x25" + sodium.crypto_scalarmult_ed25519_noclamp(blinding_factor(raw, server), point_of(raw[1:]))).hex()


class BlindedAccount(Account):
    """Prefix 25: a person as the community with this key knows him, and as he signs there."""

    def __init__(self, server, seed=None):
        super().__init__(5, seed)
        key = sodium.crypto_sign_ed25519_sk_to_curve25519(self.secret)
        if self.public[31] & 0x80:
            key = sodium.crypto_core_ed25519_scalar_negate(key)
        self.scalar = sodium.crypto_core_ed25519_scalar_mul(blinding_factor(self.raw, server), key)
        self.nonce_key = keyed(self.secret[:32], b"SessCommBlind25_seed", 32)
        self.prefix, self.id = 0x25, blinded_id(self.raw, server)
        self.raw = bytes.fromhex(self.id)
        self.public = self.raw[1:]

    def sign(self, *parts):
        message = b"".join(part if isinstance(part, bytes) else str(part).encode() for part in parts)
        once = sodium.crypto_core_ed25519_scalar_reduce(keyed(self.nonce_key + self.public + message, b"SessCommBlind25_sig", 64))
        start = sodium.crypto_scalarmult_ed25519_base_noclamp(once)
        challenge = sodium.crypto_core_ed25519_scalar_reduce(hashlib.sha512(start + self.public + message).digest())
        return b64(start + sodium.crypto_core_ed25519_scalar_add(once, sodium.crypto_core_ed25519_scalar_mul(challenge, self.scalar)))


class Node:
    def __init__(self, ip, https_port, omq_port, ed25519, x25519):
        self.ip, self.https_port, self.omq_port = ip, https_port, omq_port
        self.ed25519, self.x25519 = ed25519, bytes.fromhex(x25519)

    @classmethod
    def of_devnet(cls, told):
        """A node as `allium devnet status` tells of it."""
        x25519 = sodium.crypto_sign_ed25519_pk_to_curve25519(bytes.fromhex(told["service_key"]))
        ip = told["endpoints"][0].rsplit(":", 1)[0]
        return cls(ip, told["https_port"], told["omq_port"], told["service_key"], x25519.hex())


class Https:
    """Answers (status, body): the body parsed where it is JSON."""

    name = "https"

    def __init__(self, node, timeout_s=TIMEOUT_S):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # without reading the system's authorities, for nothing
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.connection = http.client.HTTPSConnection(node.ip, node.https_port, timeout=timeout_s, context=context)

    def __del__(self):
        self.connection.close()

    def post(self, path, body):
        self.connection.request("POST", path, body, {"Content-Type": "application/json"})
        response = self.connection.getresponse()
        return response.status, response.read(), response.headers

    def call_raw(self, body):
        status, text, headers = self.post("/storage_rpc/v1", body)
        return status, parsed(text)

    def call(self, method, params):
        return self.call_raw(json.dumps({"method": method, "params": params}))


class Omq:
    name = "omq"

    def __init__(self, node, context=zmq.Context.instance()):
        self.socket = context.socket(zmq.DEALER)
        public, secret = zmq.curve_keypair()
        self.socket.curve_publickey, self.socket.curve_secretkey = public, secret
        self.socket.curve_serverkey = zmq.utils.z85.encode(node.x25519)
        self.socket.linger = 0
        self.socket.rcvtimeo = TIMEOUT_S * 1000
        self.socket.connect(f"tcp://{node.ip}:{node.omq_port}")

    def __del__(self):
        self.socket.close()

    def request(self, command, *parts):
        tag = os.urandom(8)
        self.socket.send_multipart([command.encode(), tag, *parts])
        return self.reply(tag)

    def reply(self, tag):
        while True:
            answer = self.socket.recv_multipart()
            if answer[:2] == [b"REPLY", tag]:
                return answer[2:]
            if answer[0] != b"notify.message":
                return answer
            self.pushed = getattr(self, "pushed", []) + [answer[1]]

    def call(self, method, params):
        parts = self.request("storage." + method, json.dumps(params).encode())
        if len(parts) == 1:
            return 200, parsed(parts[0])
        return int(parts[0]), parsed(parts[1])

    def pushes(self, count, timeout_s=5):
        """The notifications that came, at least so many."""
        pushed = getattr(self, "pushed", [])
        end = time.monotonic() + timeout_s
        while len(pushed) < count and time.monotonic() < end:
            if self.socket.poll(100):
                answer = self.socket.recv_multipart()
                pushed.append(answer[1])
        return pushed


class Onion:
    """Through the nodes of a path, the last of which is meant."""

    name = "onion"

    def __init__(self, path, enc_type="aes-gcm", control=None):
        self.path, self.enc_type = path, enc_type
        self.control = control if control is not None else {"headers": {}}
        self.https = Https(path[0])

    def channel(self, node):
        secret = os.urandom(32)
        public = sodium.crypto_scalarmult_base(secret)
        shared = sodium.crypto_scalarmult(secret, node.x25519)
        if self.enc_type == "aes-gcm":
            return public, hmac.new(b"LOKI", shared, hashlib.sha256).digest()
        if self.enc_type == "aes-cbc":
            return public, shared
        return public, hashlib.blake2b(shared + public + node.x25519, digest_size=32).digest()

    def seal(self, key, plain):
        if self.enc_type == "aes-gcm":
            nonce = os.urandom(12)
            return nonce + AESGCM(key).encrypt(nonce, plain, None)
        if self.enc_type == "aes-cbc":
            nonce, pad = os.urandom(16), padding.PKCS7(128).padder()
            cipher = Cipher(algorithms.AES(key), modes.CBC(nonce)).encryptor()
            return nonce + cipher.update(pad.update(plain) + pad.finalize()) + cipher.finalize()
        nonce = os.urandom(24)
        return nonce + sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(plain, None, nonce, key)

    def open(self, key, sealed):
        if self.enc_type == "aes-gcm":
            return AESGCM(key).decrypt(sealed[:12], sealed[12:], None)
        if self.enc_type == "aes-cbc":
            cipher, pad = Cipher(algorithms.AES(key), modes.CBC(sealed[:16])).decryptor(), padding.PKCS7(128).unpadder()
            return pad.update(cipher.update(sealed[16:]) + cipher.finalize()) + pad.finalize()
        return sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(sealed[24:], None, sealed[:24], key)

    def request(self, body):
        """The bytes for the first node, and the key of the last."""
        control, blob, last_key = dict(self.control), body, None
        for index in range(len(self.path) - 1, -1, -1):
            public, key = self.channel(self.path[index])
            last_key = last_key or key
            blob = self.seal(key, frame(blob, control))
            control = {"ephemeral_key": public.hex(), "enc_type": self.enc_type}
            if index > 0:
                control["destination"] = self.path[index].ed25519
        return frame(blob, control), last_key

    def call_raw(self, body):
        request, key = self.request(body.encode())
        status, text, _ = self.https.post("/onion_req/v2", request)
        if status != 200:
            return status, parsed(text)
        plain = self.open(key, text if self.control.get("base64") is False else base64.b64decode(text))
        inner = json.loads(plain)
        body = inner["body"]
        return inner["status"], parsed(body.encode()) if isinstance(body, str) else body

    def call(self, method, params):
        return self.call_raw(json.dumps({"method": method, "params": params}))


def frame(blob, control):
    return struct.pack("<I", len(blob)) + blob + json.dumps(control).encode()


def parsed(text):
    try:
        return json.loads(text)
    except ValueError:
        return text.decode()


def bt(value):
    """Bencoded."""
    if isinstance(value, bool) or isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    if isinstance(value, (list, tuple)):
        return b"l" + b"".join(map(bt, value)) + b"e"
    return b"d" + b"".join(bt(key) + bt(value[key]) for key in sorted(value)) + b"e"


def unbt(text):
    value, rest = unbt_one(text)
    assert not rest, rest
    return value


def unbt_one(text):
    kind = text[:1]
    if kind == b"i":
        number, rest = text[1:].split(b"e", 1)
        return int(number), rest
    if kind in (b"l", b"d"):
        items, text = [], text[1:]
        while text[:1] != b"e":
            item, text = unbt_one(text)
            items.append(item)
        return (items if kind == b"l" else dict(zip(items[::2], items[1::2]))), text[1:]
    length, rest = text.split(b":", 1)
    return rest[: int(length)], rest[int(length):]
