#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One of three members of a swarm has a full disk, and clients go on giving it commands. What it answers 200 to it has done itself a minute
after it has room, as all others.

        this script --- an authority, who signs documents; Session's clients
                    \\-- three alliumd on loopback, without dataplanes; the first one's data on a tmpfs

Skipped where this user gets no mount namespace.

usage: full_disk_test.py BIN_DIR [unittest options]
"""
import base64
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).parent))

from full_disk import can_mount, fill_disk, own_mounts

SKIPPED = 77

try:
    from loopback_network import Network
    from session_client import Account, now_ms
except ImportError as missing:
    print(f"skipped: python3 lacks {missing.name}: install python3-nacl, python3-zmq, python3-cryptography")
    sys.exit(SKIPPED)

bin_dir = Path(sys.argv[1]).resolve()
DISK_BYTES = 256 << 20
EQUAL_WITHIN_S = 60
HOUR_MS = 3_600_000


class FullDisk(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="allium-full-disk-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.network = Network(bin_dir, self.folder, 3)
        self.addCleanup(self.network.end)
        self.full, self.second, self.third = self.network.machines
        self.data = self.full.folder / "data"
        self.data.mkdir(mode=0o700)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0700", "small-disk", str(self.data)], check=True)
        self.addCleanup(subprocess.run, ["umount", "--lazy", str(self.data)], check=True)
        self.addCleanup(self.full.end)
        self.network.publish(0, 0, 0)
        for machine in self.network.machines:
            machine.start()
        self.all_take_part()
        self.account = Account()
        self.old = [self.stored(self.second, b"old %d" % number) for number in range(4)]
        self.expect_equal(b"old 0", b"old 1", b"old 2", b"old 3")

    def all_take_part(self):
        for machine in self.network.machines:
            self.within(lambda: machine.status() is not None and self.hears_all(machine), f"{machine.folder.name} serves")

    def hears_all(self, machine):
        status, body = machine.call("store", Account().store(b"hello", ttl=60_000))
        return status == 200 and not any("failed" in member for member in body["swarm"].values())

    def within(self, is_so, what, seconds=60):
        end = time.monotonic() + seconds
        while not is_so():
            self.assertLess(time.monotonic(), end, f"not within {seconds} s: {what() if callable(what) else what}")
            time.sleep(0.1)

    def answered(self, machine, method, params):
        status, body = machine.call(method, params)
        self.assertEqual(status, 200, body)
        return body

    def stored(self, machine, data):
        return self.answered(machine, "store", self.account.store(data))["hash"]

    def could_not(self, machine, body):
        return "failed" in body["swarm"][machine.key.hex()]

    def fill(self):
        """Until the node's store has noticed."""
        def is_noticed():
            fill_disk(self.data / "filler", self.full.process.pid)
            status, body = self.full.call("store", Account().store(os.urandom(1000), ttl=60_000))
            return "swarm" in body and self.could_not(self.full, body)

        self.within(is_noticed, "the full disk is noticed", 20)

    def make_room(self):
        (self.data / "filler").unlink()

    def has(self, machine):
        """{data: expiry}"""
        status, body = machine.call("retrieve", self.account.retrieve())
        return {base64.b64decode(one["data"]): one["expiration"] for one in body["messages"]} if status == 200 else None

    def expect_equal(self, *data):
        def are_equal():
            all_have = [self.has(machine) for machine in self.network.machines]
            return all(one is not None and one == all_have[0] and set(one) == set(data) for one in all_have)

        self.within(are_equal, lambda: f"all have {data} alike: {[self.has(machine) for machine in self.network.machines]}", EQUAL_WITHIN_S)

    def revoked(self, machine):
        params = self.account.timed("revoked_subaccounts")
        return self.answered(machine, "revoked_subaccounts", params)["revoked_subaccounts"]

    def use_the_full_one(self):
        """A command of each kind; all of them are acknowledged."""
        account, expiry = self.account, now_ms() + HOUR_MS // 2
        token = self.account.token(Account(), 3)[0]
        for method, params in (
                ("store", account.store(b"new")),
                ("delete", account.delete(self.old[0], self.old[1])),
                ("expire", account.signed(["expire", "shorten", expiry, self.old[2]], messages=[self.old[2]], expiry=expiry, shorten=True)),
                ("revoke_subaccount", self.revocation(token))):
            with self.subTest(method):
                self.assertTrue(self.could_not(self.full, self.answered(self.full, method, params)))
        return expiry, token

    def revocation(self, token):
        at = now_ms()
        return self.account.signed(["revoke_subaccount", at, base64.b64decode(token)], revoke=token, timestamp=at)

    def expect_all_done(self, expiry, token):
        self.expect_equal(b"old 2", b"old 3", b"new")
        self.assertEqual(self.has(self.full)[b"old 2"], expiry)
        self.within(lambda: self.revoked(self.full) == [token], lambda: f"{token} is revoked: {self.revoked(self.full)}")

    def test_what_it_was_asked_meanwhile_it_does_when_there_is_room(self):
        self.fill()
        problems = self.full.status()["problems"]
        self.assertTrue(any("its disk is full; make room" in problem for problem in problems), problems)
        self.assertFalse(any("restart" in problem for problem in problems), problems)
        said = self.use_the_full_one()
        self.assertEqual(set(self.has(self.full)), {b"old 0", b"old 1", b"old 2", b"old 3"})
        self.make_room()
        self.expect_all_done(*said)
        self.assertEqual(self.full.status()["swarm_traffic"]["lost_records"], 0)

    def test_it_does_it_as_well_in_the_next_process(self):
        self.fill()
        said = self.use_the_full_one()
        self.full.kill()
        self.make_room()
        self.full.start()
        self.within(lambda: self.full.status() is not None, "it is back")
        self.expect_all_done(*said)

    def test_a_member_that_is_away_gets_it_too(self):
        self.fill()
        self.third.kill()
        said = self.use_the_full_one()
        self.third.start()
        self.make_room()
        self.within(lambda: self.third.status() is not None, "it is back")
        self.expect_all_done(*said)

    def test_what_nobody_keeps_is_not_acknowledged(self):
        self.fill()
        self.second.kill()
        self.third.kill()
        for method, params in (("store", self.account.store(b"lost")), ("delete", self.account.delete(self.old[0]))):
            status, body = self.full.call(method, params)
            self.assertEqual(status, 500, body)
        self.make_room()
        for machine in (self.second, self.third):
            machine.start()
            self.within(lambda: machine.status() is not None, "it is back")
        self.expect_equal(b"old 0", b"old 1", b"old 2", b"old 3")


if __name__ == "__main__":
    if not os.environ.get("ALLIUM_OWN_MOUNTS"):
        if not can_mount():
            print("skipped: this user gets no mount namespace")
            sys.exit(SKIPPED)
        sys.exit(subprocess.run([*own_mounts(), sys.executable, "-B", __file__, *sys.argv[1:]],
                                env={**os.environ, "ALLIUM_OWN_MOUNTS": "1"}).returncode)
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])
