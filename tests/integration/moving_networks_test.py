#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The network document changes under running nodes: swarms are dissolved, formed anew, moved to other machines, and documents come that do
not hold. No message may be lost for it, and none come back that was deleted.

        this script --- an authority, who signs documents; a web server that one node fetches them from; Session's clients
                    \\-- six alliumd on loopback, without dataplanes; their files in a temporary folder

usage: moving_networks_test.py BIN_DIR [unittest options]
"""
import os
import shutil
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).parent))

SKIPPED = 77

try:
    from loopback_network import Network
    from session_client import Account, sodium
except ImportError as missing:
    print(f"skipped: python3 lacks {missing.name}: install python3-nacl, python3-zmq, python3-cryptography")
    sys.exit(SKIPPED)

bin_dir = Path(sys.argv[1]).resolve()
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


class Moving(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="allium-moving-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def network(self, *swarms, by_url=BY_URL):
        """Of as many machines, all running and knowing their swarms."""
        network = Network(bin_dir, self.folder, len(swarms), by_url)
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

    def test_many_come_back_to_what_one_deleted_alone(self):
        network = self.network(*[EAST] * 5, by_url=None)
        one, *others = network.machines
        account = account_near(WEST)
        deleted = [self.store(others[0], account, f"deleted {i}".encode()) for i in range(3)]
        self.store(others[0], account, b"kept")
        network.publish(WEST, *[EAST] * 4)
        self.all_have([one], account, b"kept", *[f"deleted {i}".encode() for i in range(3)])
        for message in deleted:
            self.delete(one, account, message)

        # It has nothing but its disk to know it by, and the others their old copies.
        self.start_again(one)
        self.within(lambda: one.status()["fetch"]["parts_open"] == 0, "it has asked everybody")
        network.publish(*[EAST] * 5)
        self.know(network, *[EAST] * 5)
        for _ in range(2):
            self.within(lambda: all(machine.status()["fetch"]["parts_open"] == 0 for machine in network.machines), "all have asked")
            self.all_have(network.machines, account, b"kept")
            time.sleep(1)

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
