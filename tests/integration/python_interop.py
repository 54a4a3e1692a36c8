#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Packets of the protocol's Python model cross a devnet of real relays, and their answers open in the model.

usage: python_interop.py BIN_DIR

The model is looked for in $ALLIUM_SHARED/onion-packet/model, else in ../shared beside the project. Where it or
python3-cryptography is absent, the test is skipped by name (exit code 77).
"""
import hashlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

SKIPPED = 77
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SHARED = pathlib.Path(os.environ.get("ALLIUM_SHARED", ROOT.parent / "shared"))
MODEL = SHARED / "onion-packet" / "model"
INSIDE = "ALLIUM_INTEROP_INSIDE"


def skip(reason):
    print(f"SKIPPED python_interop: {reason}")
    sys.exit(SKIPPED)


def check(condition, what):
    if not condition:
        print(f"FAILED: {what}")
        sys.exit(1)
    print(f"ok: {what}")


def read_bundle(path):
    """[(name, id, address, port, {hour: public key})] of a network bundle; its signatures are others' business."""
    relays, keys, identity = {}, {}, None
    for line in pathlib.Path(path).read_text().splitlines():
        words = line.split(" ")
        if words[0] == "relay":
            address, port = words[4].rsplit(":", 1)
            relays[words[1]] = (words[2], address, int(port))
        elif words[0] == "identity":
            identity = words[1]
        elif words[0] == "key":
            keys.setdefault(identity, {})[int(words[1])] = bytes.fromhex(words[2])
    return [(name, int.from_bytes(hashlib.sha256(bytes.fromhex(i)).digest()[:4], "big"), address, port, keys[i])
            for i, (name, address, port) in sorted(relays.items(), key=lambda r: r[1][0])]


def talk(bundle_path):
    from allium_model import client, wire
    from allium_model.layer import r_client_tag

    relays = read_bundle(bundle_path)[:3]
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(5)
    entry = (relays[0][2], relays[0][3])
    sock.connect(entry)
    hops = []
    now = time.time()
    hour = wire.hour_of(now)
    for i, (_, _, _, _, keys) in enumerate(relays):
        if i + 1 < len(relays):
            hops.append((keys[hour], wire.RELAY, wire.next_relay(relays[i + 1][1])))
        else:
            hops.append((keys[hour], wire.SERVICE, wire.next_service(wire.ECHO)))

    # A path: challenge, cookie, answer, record.
    data = os.urandom(wire.XR[wire.S1])
    packet, state, rec0 = client.build_setup(wire.S1, wire.slot_of(now), hour, hops, os.urandom(16), data, os.urandom)
    sock.send(packet)
    challenge = sock.recv(2048)
    check(len(challenge) == 32 and challenge[0] == 0x18 and challenge[4:16] == packet[48:60],
          "a setup packet without a cookie is answered by a challenge for it")
    cookie = challenge[16:28]
    sock.send(packet[:4] + cookie + packet[16:])
    answer = sock.recv(2048)
    check(answer[0] == 0x17 and answer[16:32] == r_client_tag(state[0].k_ret), "the path's answer carries our stack tag")
    opened = client.open_backward(5, time.time(), [h.k_ret for h in state], answer)
    check("seq" in opened and opened["seq"] == 0, "it opens through three layers")
    check(client.open_rec(state, rec0, opened["data"][:wire.REC]), "the record of three hops holds")
    check(opened["data"][wire.REC:wire.REC + len(data)] == data, "ECHO sent our data back with it")

    # Data of both classes over the path.
    path = [(h.fsf, h.s) for h in state]
    for cls, name in ((1, "D"), (2, "V")):
        block, arrives = client.build_reply_block(cls, [(h.fsb, h.s) for h in state], os.urandom)
        for seq in range(5):
            payload = block + os.urandom(wire.XR[wire.FWD[cls]] - len(block))
            t16 = os.urandom(8) + seq.to_bytes(8, "big")
            sent = client.build_data(cls, wire.slot_of(time.time()), path, t16, payload, os.urandom)
            sock.send(sent)
            back = sock.recv(2048)
            header = back[16:16 + wire.HR[wire.BWD[cls]]]
            got = client.open_backward(cls, time.time(), [h.s for h in state], back)
            check(header == arrives and got.get("seq") == seq and got.get("data") == payload,
                  f"class {name}, packet {seq}: through three relays to ECHO and back")
        sock.send(sent)
        sock.settimeout(0.5)
        try:
            sock.recv(2048)
            check(False, f"class {name}: a replay is not answered")
        except socket.timeout:
            check(True, f"class {name}: a replay is not answered")
        sock.settimeout(5)

    # A one-shot, now that the cookie is known.
    data = os.urandom(wire.XR[wire.S0])
    packet, state, _ = client.build_setup(wire.S0, wire.slot_of(time.time()), hour, hops, os.urandom(16), data,
                                          os.urandom, cookie)
    sock.send(packet)
    got = client.open_backward(5, time.time(), [h.k_ret for h in state], sock.recv(2048))
    check(got.get("seq") == 0 and got["data"][:len(data)] == data, "a one-shot comes back")


def main():
    bin_dir = pathlib.Path(sys.argv[1])
    if not (MODEL / "allium_model").is_dir():
        skip("the Python model is not there (../shared/onion-packet/model, or set ALLIUM_SHARED)")
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(MODEL))
    try:
        import allium_model.client  # noqa: F401
    except ImportError as error:
        skip(f"the model needs python3-cryptography ({error})")
    if INSIDE in os.environ:
        talk(os.environ[INSIDE])
        return
    with tempfile.TemporaryDirectory() as folder:
        environment = dict(os.environ, ALLIUM_DEVNET_DIR=folder + "/devnet")
        allium = str(bin_dir / "allium")

        def run(*words, **more):
            return subprocess.run([allium, *words], env=environment, check=True, text=True, timeout=120, **more)

        run("devnet", "up", "--nodes", "3")
        try:
            status = json.loads(run("devnet", "status", "--json", stdout=subprocess.PIPE).stdout)
            environment[INSIDE] = status["network_file"]
            run("devnet", "exec", "--", sys.executable, __file__, str(bin_dir))
            counters = json.loads(run("show", "counters", "all", "--json", stdout=subprocess.PIPE).stdout)
            nodes = {node["node"]: node for node in counters["nodes"]}
            check(all(node["balanced"] for node in nodes.values()), "the books of every relay balance")
            check(nodes["n1"]["drops"]["replay"] == 2, "the entry counted both replays")
        finally:
            run("devnet", "down")


if __name__ == "__main__":
    main()
