#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The network document changes under running nodes: swarms are dissolved, formed anew, moved to other machines, and documents come that do
not hold. No message may be lost for it, and none come back that was deleted.

        this script --- an authority, who signs documents; a web server that one node fetches them from; Session's clients
                    \\-- six alliumd on loopback, without dataplanes; their files in a temporary folder

usage: moving_networks_test.py BIN_DIR [unittest options]
"""
import base64
import http.server
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).parent))

from loopback import free_ports

SKIPPED = 77

try:
    from session_client import Account, Https, Node, sodium
except ImportError as missing:
    print(f"skipped: python3 lacks {missing.name}: install python3-nacl, python3-zmq, python3-cryptography")
    sys.exit(SKIPPED)

bin_dir = Path(sys.argv[1]).resolve()
ENVIRONMENT = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0:" + os.environ.get("ASAN_OPTIONS", "")}
EAST, WEST = 0, 2**63 - 1  # two swarms, as far apart as can be
BY_URL = 3  # the node that fetches its documents; it looks every minute
FETCHED_S = 90


def account_near(swarm):
    """With EAST and WEST the only swarms, one of that swarm's."""
    while True:
        account, point = Account(), 0
        for i in range(1, 33, 8):
            point ^= int.from_bytes(account.raw[i:i + 8], "big")
        if (min(point, 2**64 - point) < 2**62) == (swarm == EAST):
            return account


class Machine:
    """An alliumd, its identity and its files."""

    def __init__(self, folder, number, authority, document):
        self.folder, self.document, self.process = folder / f"n{number}", document or folder / f"n{number}" / "document", None
        self.folder.mkdir(mode=0o700)
        seed = os.urandom(32)
        self.key = sodium.crypto_sign_seed_keypair(seed)[0]
        identity = self.folder / "identity"
        identity.touch(0o600)
        identity.write_text(f"allium-identity 1\nseed {seed.hex()}\n")
        self.https, self.omq, self.relay = free_ports(3)
        (self.folder / "allium.toml").write_text(f"""schema = 1
[node]
identity = "{identity}"
data = "{self.folder}/data"
[network]
document = "{self.document}"
authorities = ["{authority.hex()}"]
[https]
listen = ["127.0.0.1:{self.https}"]
[omq]
listen = ["127.0.0.1:{self.omq}"]
[control]
socket = "{self.folder}/s"
""")

    def start(self):
        with open(self.folder / "log", "a", encoding="utf-8") as log:
            self.process = subprocess.Popen([str(bin_dir / "alliumd"), "--config", str(self.folder / "allium.toml")], env=ENVIRONMENT, stderr=log)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def end(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.kill()

    def status(self):
        """null: it does not answer yet."""
        told = subprocess.run([str(bin_dir / "allium"), "status", "--json", "--socket", f"{self.folder}/s"], capture_output=True, text=True,
                              timeout=20, env=ENVIRONMENT)
        return json.loads(told.stdout) if told.stdout else None

    def call(self, method, params):
        node = Node("127.0.0.1", self.https, self.omq, self.key.hex(), sodium.crypto_sign_ed25519_pk_to_curve25519(self.key).hex())
        return Https(node).call(method, params)

    def messages(self, account):
        """null: the account is not this node's."""
        status, body = self.call("retrieve", account.retrieve())
        return sorted(base64.b64decode(message["data"]) for message in body["messages"]) if status == 200 else None


class Network:
    """Machines and their authority."""

    def __init__(self, folder, count):
        self.folder, self.serial, self.since = folder, 0, int(time.time()) - 3600
        self.authority, self.secret = sodium.crypto_sign_seed_keypair(os.urandom(32))
        self.web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.pages())
        threading.Thread(target=self.web.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{self.web.server_port}/document"
        self.machines = [Machine(folder, number, self.authority, url if number == BY_URL else None) for number in range(count)]

    def pages(self):
        published = self.folder / "published"

        class Pages(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = published.read_bytes()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        return Pages

    def document(self, swarms, serial):
        """`swarms`: of each machine; null: in none."""
        text = f"allium-network 1\nserial {serial}\nvalid-from {self.since}\nvalid-until {self.since + 7 * 86400}\nrelays {len(swarms)}\n"
        for machine, swarm in sorted(zip(self.machines, swarms), key=lambda pair: pair[0].key):
            text += f"relay {machine.key.hex()} - 1 127.0.0.1:{machine.relay}\n"
            text += f"service {'-' if swarm is None else f'{swarm:016x}'} {machine.https} {machine.omq}\n"
        return text

    def signed(self, text, secret=None):
        signature = sodium.crypto_sign(text.encode(), secret or self.secret)[:64]
        return f"allium-network-bundle 1\n{text}signatures 1\nauthority {self.authority.hex()} {signature.hex()}\nrecords 0\n"

    def put(self, bundle):
        """To every machine, and to the web server."""
        files = [machine.document for machine in self.machines if isinstance(machine.document, Path)]
        for file in [*files, self.folder / "published"]:
            draft = file.with_suffix(".draft")
            draft.write_text(bundle)
            draft.rename(file)

    def publish(self, *swarms):
        self.serial += 1
        self.put(self.signed(self.document(swarms, self.serial)))

    def end(self):
        for machine in self.machines:
            machine.end()
        self.web.shutdown()
        self.web.server_close()


class Moving(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="allium-moving-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def network(self, *swarms):
        """Of as many machines, all running and knowing their swarms."""
        network = Network(self.folder, len(swarms))
        self.addCleanup(network.end)
        network.publish(*swarms)
        for machine in network.machines:
            machine.start()
        self.know(network, *swarms)
        return network

    def know(self, network, *swarms):
        for machine, swarm in zip(network.machines, swarms):
            is_in = None if swarm is None else f"{swarm:016x}"
            self.within(lambda: (machine.status() or {}).get("swarm") == is_in, f"{machine.folder.name} is in swarm {is_in}", FETCHED_S)

    def within(self, is_so, what, seconds=60):
        end = time.monotonic() + seconds
        while not is_so():
            self.assertLess(time.monotonic(), end, f"not within {seconds} s: {what() if callable(what) else what}")
            time.sleep(0.1)

    def start_again(self, machine):
        machine.end()
        machine.start()
        self.within(machine.status, f"{machine.folder.name} answers")

    def all_have(self, machines, account, *data):
        for machine in machines:
            self.within(lambda: machine.messages(account) == sorted(data),
                        lambda: f"{machine.folder.name} has {data}, not {machine.messages(account)}")

    def store(self, machine, account, data):
        status, body = machine.call("store", account.store(data))
        self.assertEqual(status, 200, body)
        return body["hash"]

    def delete(self, machine, account, message):
        status, body = machine.call("delete", account.delete(message))
        self.assertEqual(status, 200, body)

    def test_a_swarm_is_dissolved_and_formed_anew(self):
        network = self.network(EAST, EAST, WEST, WEST)
        first, second, third, by_url = network.machines
        eastern, western = [account_near(EAST) for _ in range(5)], [account_near(WEST) for _ in range(5)]
        for account in eastern:
            self.store(first, account, b"east")
        for account in western:
            self.store(third, account, b"west")
        self.delete(second, eastern[0], self.store(first, eastern[0], b"deleted"))

        network.publish(WEST, WEST, WEST, WEST)
        for account in eastern:
            self.all_have(network.machines, account, b"east")
        for account in western:
            self.all_have([first, second, third], account, b"west")
        self.know(network, WEST, WEST, WEST, WEST)
        for account in eastern:
            self.store(by_url, account, b"later")

        network.publish(EAST, EAST, WEST, WEST)
        for account in eastern:
            self.all_have([first, second], account, b"east", b"later")
        self.within(lambda: third.messages(eastern[0]) is None, "the accounts that have moved are refused")

    def test_a_swarm_moves_to_new_machines_and_back(self):
        network = self.network(EAST, EAST, None, None)
        old, new = network.machines[:2], network.machines[2:]
        account = Account()
        self.store(old[0], account, b"kept")
        deleted = self.store(old[1], account, b"deleted")

        network.publish(None, None, EAST, EAST)
        self.all_have(new, account, b"kept", b"deleted")
        self.delete(new[0], account, deleted)
        self.store(new[1], account, b"new")
        for machine in old:
            self.assertIsNone(machine.messages(account))

        # They have nothing but their disks to know by that they have missed something.
        for machine in old:
            self.start_again(machine)
        network.publish(EAST, EAST, None, None)
        self.all_have(old, account, b"kept", b"new")

    def test_who_was_down_while_it_was_left_out_brings_nothing_back(self):
        network = self.network(EAST, EAST, EAST)
        account, absent = Account(), network.machines[2]
        deleted = self.store(network.machines[0], account, b"deleted")
        self.store(network.machines[1], account, b"kept")
        absent.kill()

        network.publish(EAST, EAST, None)
        self.within(lambda: network.machines[0].status()["members"] == 2, "it is left out")
        self.delete(network.machines[0], account, deleted)
        for machine in network.machines[:2]:
            self.start_again(machine)
        network.publish(EAST, EAST, EAST)
        self.start_again(absent)
        self.all_have(network.machines, account, b"kept")

    def test_documents_that_do_not_hold_change_nothing(self):
        network = self.network(EAST, WEST)
        machine = network.machines[0]
        first = network.signed(network.document((EAST, WEST), 1))
        network.publish(EAST, WEST)
        second = network.signed(network.document((EAST, WEST), 2))
        self.within(lambda: machine.status()["network"]["height"] == 2, "it has read the second", 20)

        def tells(words):
            return any(words in problem for problem in machine.status()["problems"])

        good = network.signed(network.document((WEST, EAST), 3))
        stranger = sodium.crypto_sign_seed_keypair(os.urandom(32))[1]
        for words, bundle in {
                "is rolled back: serial 1": first,
                "there are two network documents with serial 2": network.signed(network.document((WEST, EAST), 2)),
                "has good signatures of 0 trusted authorities and needs 1": network.signed(network.document((WEST, EAST), 3), stranger),
                "malformed": good[:-20],
                "is not valid any more": network.signed(network.document((WEST, EAST), 3).replace(
                    f"valid-until {network.since + 7 * 86400}", f"valid-until {network.since + 60}")),
        }.items():
            with self.subTest(words):
                network.put(bundle)
                self.within(lambda: tells(words), lambda: f"'{words}' is told: {machine.status()['problems']}", 20)
                self.assertEqual(machine.status()["swarm"], f"{EAST:016x}")
                network.put(second)
                self.within(lambda: not tells(words), f"'{words}' is over", 20)
        network.put(good)
        self.within(lambda: machine.status()["swarm"] == f"{WEST:016x}", "a good one is taken", 20)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])
