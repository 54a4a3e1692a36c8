#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A node whose clock is off says so and lets no packet through, until it runs with the right one again; all others go on.

        this script ---- br0 ---- n1 .. n5      the alliumd of n3 has a clock of its own: libfaketime, loaded into that process alone

Only the time of day is shifted. CLOCK_MONOTONIC stays, or timers of Asio and time-outs of RocksDB's and libzmq's threads would see two
clocks. `allium devnet start` waits for a node that serves, and this one does not: so it is the alliumd alone that is ended, and the
supervisor starts it again, as systemd would. A folder with copies of the programs has a script in alliumd's place that looks for the
node's clock.

usage: clock_test.py BIN_DIR [unittest options]
"""
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).parent))

import devnet
from devnet import allium, service_pid, wait_until

try:
    from session_client import Account, Https, Node
except ImportError as missing:
    print(f"skipped: python3 lacks {missing.name}: install python3-nacl, python3-zmq, python3-cryptography")
    sys.exit(devnet.SKIPPED)

NODES = 5
OFF = 3
OTHERS = [number for number in range(1, NODES + 1) if number != OFF]
THROUGH_IT, AROUND_IT = f"n1,n{OFF},n5", "n1,n2,n5"
TOLERANCE_MS = 500  # for this machine's scheduling: what is measured are questions and answers

ALLIUMD = """#!/bin/sh
clock="{folder}/$(basename "$2" .toml).clock"
if [ -e "$clock" ]; then
  export LD_PRELOAD="{library}" FAKETIME="$(cat "$clock")" FAKETIME_DONT_FAKE_MONOTONIC=1
fi
exec "{bin_dir}/alliumd" "$@"
"""


@contextlib.contextmanager
def programs_with_clocks(bin_dir, library):
    """A folder with the programs, in which nK.clock is the clock of node nK."""
    with tempfile.TemporaryDirectory(prefix="allium-clock-") as folder:
        for program in ("allium", "allium-dp"):
            shutil.copy(bin_dir / program, folder)
        script = Path(folder, "alliumd")
        script.write_text(ALLIUMD.format(folder=folder, library=library, bin_dir=bin_dir))
        script.chmod(0o755)
        yield folder


def ask_status(number):
    """Exit code and answer of `allium status`; no answer while the node starts."""
    socket = Path(os.environ["ALLIUM_DEVNET_DIR"], f"n{number}.service")
    asked = allium("status", "--socket", str(socket), "--json", check=False)
    return asked.returncode, json.loads(asked.stdout) if asked.stdout else None


def status_in_words(number):
    return allium("status", "--socket", os.environ["ALLIUM_DEVNET_DIR"] + f"/n{number}.service", check=False).stdout


def is_serving(number):
    """Healthy, and by a clock that it has compared with the others'."""
    code, told = ask_status(number)
    return code == 0 and told["healthy"] and told["dataplane"]["serving"] and told["clock"]["offset_ms"] is not None


def ping(path):
    """Exit code 0 where at least one came back, 4 where no path could be opened."""
    return allium("client", "ping", "--path", path, "--count", "5", "--interval", "10", "--timeout", "1000", "--json", check=False)


def counters():
    return json.loads(allium("show", "counters", f"n{OFF}", "--json").stdout)["nodes"][0]


class Clock(unittest.TestCase):
    def setUp(self):
        self.node = Node.of_devnet(devnet.node_list()[OFF - 1])

    def tearDown(self):
        self.restart_with(None)

    def restart_with(self, clock):
        """`clock`: what libfaketime takes, such as "+5s"; None: this machine's."""
        file = devnet.bin_dir / f"n{OFF}.clock"
        file.unlink(missing_ok=True)
        if clock:
            file.write_text(clock)
        ended = service_pid(OFF)
        os.kill(ended, signal.SIGTERM)  # a process that is killed leaves libfaketime's memory in /dev/shm
        wait_until(lambda: service_pid(OFF) not in (ended, None), "the supervisor starts alliumd again")
        wait_until(lambda: ask_status(OFF)[1] is not None, "it answers")

    def says_so(self, shift_s):
        wait_until(lambda: not ask_status(OFF)[1]["clock"]["good"], "the node knows that its clock is off")
        wait_until(lambda: not ask_status(OFF)[1]["dataplane"]["serving"], "no packets are taken")
        code, told = ask_status(OFF)
        self.assertEqual((code, told["healthy"], told["clock"]["good"]), (1, False, False))
        self.assertAlmostEqual(told["clock"]["offset_ms"], 1000 * shift_s, delta=TOLERANCE_MS)
        self.assertEqual(told["dataplane"]["problem"], "withdrawn: this node's clock is off")
        problem = f"the clock is off by {told['clock']['offset_ms']} ms against other nodes: set it (timedatectl)"
        self.assertEqual([one for one in told["problems"] if "clock" in one], [problem + "; no packets are forwarded until then"])
        self.assertIn("\npackets  NOT served: withdrawn: this node's clock is off; ", status_in_words(OFF))
        self.assertRegex(status_in_words(OFF), r"\nproblem  the clock is off by -?\d+ ms against other nodes: set it")

    def lets_no_packet_through(self):
        before = counters()
        asked = ping(THROUGH_IT)
        self.assertEqual((asked.returncode, asked.stdout), (4, ""))
        self.assertIn(f"hop 2 (n{OFF}) does not answer", asked.stderr)
        after = counters()
        self.assertEqual((after["forwarded"], after["delivered"]), (before["forwarded"], before["delivered"]))
        self.assertGreater(after["dropped"], before["dropped"])

    def others_go_on(self):
        for number in OTHERS:
            wait_until(lambda number=number: is_serving(number), f"n{number} is healthy")
        self.assertEqual(ping(AROUND_IT).returncode, 0)

    def goes_on(self, shift_s=0):
        wait_until(lambda: is_serving(OFF), "the node is healthy and knows its clock")
        self.assertAlmostEqual(ask_status(OFF)[1]["clock"]["offset_ms"], 1000 * shift_s, delta=TOLERANCE_MS)
        # Other hours have other keys, which the devnet's file for clients has within ten seconds.
        wait_until(lambda: ping(THROUGH_IT).returncode == 0, "packets pass again")

    def read_by_https(self):
        """The status of a request to the node that is signed now, by this machine's clock."""
        return Https(self.node).call("retrieve", Account(5).retrieve())[0]

    def test_off_by_seconds(self):
        for shift_s in (5, -5):
            with self.subTest(shift_s=shift_s):
                self.restart_with(f"{shift_s:+}s")
                self.says_so(shift_s)
                self.lets_no_packet_through()
                self.others_go_on()
                self.assertEqual(self.read_by_https(), 200, "signed requests may be a minute off")
                self.restart_with(None)
                self.goes_on()

    def test_an_hour_ahead(self):
        self.restart_with("+1h")
        self.says_so(3600)
        self.lets_no_packet_through()
        self.others_go_on()
        self.assertEqual(self.read_by_https(), 406)
        self.restart_with(None)
        self.goes_on()
        self.assertEqual(self.read_by_https(), 200)

    def test_an_hour_behind(self):
        """Which is before the network's document begins, so that the node knows nobody to compare its clock with."""
        self.restart_with("-1h")
        self.assertIn("\nproblem  the network document is not valid yet: check this machine's clock\n", status_in_words(OFF))
        self.others_go_on()
        self.assertEqual(self.read_by_https(), 503)
        self.restart_with(None)
        self.goes_on()

    def test_off_by_less_than_it_may_be(self):
        self.restart_with("+1s")
        self.goes_on(shift_s=1)


def main():
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    if library is None:
        print("skipped: no libfaketime; install libfaketime")
        sys.exit(devnet.SKIPPED)
    with contextlib.ExitStack() as stack:
        if "--inside" not in sys.argv:
            sys.argv[1] = stack.enter_context(programs_with_clocks(Path(sys.argv[1]).resolve(), library))
        devnet.run_tests(NODES, timeout_s=200)


if __name__ == "__main__":
    main()
