#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`allium bench store` and `allium bench onion-request` on a devnet of five service nodes: what they report, and that they give no
figure where an answer is missing. Nothing here looks at how fast anything was.

usage: service_bench_test.py BIN_DIR [unittest options]
"""
import json
import os
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from unittest import mock

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).parent))

import devnet

NODES = 5
FIGURE = {"in_flight", "requests", "errors", "valid", "requests_per_s", "p50_ms", "p99_ms", "cpu_us_entry", "cpu_us_other",
          "cpu_us_client", "cpu_us_by_node", "window_s", "connections_in_window"}


def allium(*words):
    return subprocess.run([str(devnet.bin_dir / "allium"), *words], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=120, check=False)


def cpu_ticks_of(pid):
    text = Path(f"/proc/{pid}/stat").read_text()
    fields = text[text.rindex(")") + 2:].split()
    return int(fields[11]) + int(fields[12])


def nodes():
    return {node["name"]: node for node in json.loads(allium("devnet", "status", "--json").stdout)["nodes"]}


def back(victim):
    """Starts a node again, and waits until its swarm has taken it back."""
    allium("devnet", "start", victim)
    end = time.monotonic() + 60
    while allium("bench", "store", "--ops", "1", "--in-flight", "1").returncode != 0 and time.monotonic() < end:
        time.sleep(0.2)


class Bench(unittest.TestCase):
    maxDiff = None

    def bench(self, *words):
        done = allium("bench", *words, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.count("\n"), 1, "one line")
        result = json.loads(done.stdout)
        self.assertEqual(result["schema"], f"allium.bench.{words[0]}/1")
        self.assertIs(result["valid"], True)
        return result

    def refused(self, *words, code):
        """No figure; the last line of standard error says what is wrong. It is returned."""
        done = allium("bench", *words)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertNotIn("IN FLIGHT", done.stdout)
        lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        self.assertEqual(len(lines), 1, done.stderr)
        return lines[0]

    def check_figures(self, result, names, ops, in_flight, more=frozenset()):
        self.assertEqual(result["entry"], names[0])
        self.assertEqual(result["nodes"], names)
        self.assertEqual([figure["in_flight"] for figure in result["figures"]], in_flight)
        for figure in result["figures"]:
            self.assertEqual(set(figure), FIGURE | more)
            self.assertEqual((figure["requests"], figure["errors"], figure["valid"]), (ops, 0, True))
            self.assertAlmostEqual(figure["requests_per_s"] * figure["window_s"], ops, places=3)
            self.assertGreater(figure["p50_ms"], 0)
            self.assertLessEqual(figure["p50_ms"], figure["p99_ms"])
            self.assertLessEqual(figure["p99_ms"], figure["window_s"] * 1000)
            self.assertEqual(list(figure["cpu_us_by_node"]), names)
            self.assertGreater(min(figure["cpu_us_by_node"].values()), 0)
            self.assertEqual(figure["cpu_us_entry"], figure["cpu_us_by_node"][names[0]])
            self.assertGreater(figure["cpu_us_client"], 0)
            self.assertEqual(figure["connections_in_window"], 0)
        last = result["figures"][-1]
        self.assertEqual({key: result[key] for key in last}, last)
        self.assertIn("cpu", result["environment"])
        self.assertIn("steal_percent", result["environment"])
        self.assertIn("wall_ms", result["peer"])


class Store(Bench):
    def test_both_windows_say_what_entry_and_members_took(self):
        result = self.bench("store", "--ops", "100")
        names = [f"n{number}" for number in range(1, NODES + 1)]
        self.check_figures(result, names, 100, [1, 64])
        for figure in result["figures"]:
            others = [figure["cpu_us_by_node"][name] for name in names[1:]]
            self.assertAlmostEqual(figure["cpu_us_other"], sum(others) / len(others), places=6)
        commit = result["group_commit"]
        # The median of the rounds' ratios, not the ratio of their medians.
        ratio = commit["grouped_stores_per_s"] / commit["single_sync_stores_per_s"]
        self.assertAlmostEqual(result["group_commit_over_single_sync"], ratio, delta=ratio / 2)
        self.assertEqual(commit["in_flight"], 1024)
        self.assertEqual((result["size_bytes"], result["goal"]["cpu_us_entry"]), (1000, 150))

    def test_the_entry_the_size_and_the_number_in_flight_are_as_asked(self):
        result = self.bench("store", "--ops", "40", "--in-flight", "3", "--size", "20000", "--node", "n4")
        self.check_figures(result, ["n4", "n1", "n2", "n3", "n5"], 40, [3])
        self.assertEqual(result["size_bytes"], 20000)
        self.assertIn("10 kB", result["peer"]["what"])
        self.assertNotIn("goal", result)

    def test_cpu_is_what_proc_counts(self):
        pid = nodes()["n2"]["service_pid"]
        begin = cpu_ticks_of(pid)
        result = self.bench("store", "--ops", "600", "--in-flight", "32", "--node", "n2")
        ticks = cpu_ticks_of(pid) - begin
        # Ticks are counted over the warm-up as well, which has 64 requests, and start and end within a tick.
        tick_us = 1e6 / os.sysconf("SC_CLK_TCK")
        told_us = result["cpu_us_entry"] * 600
        self.assertLessEqual(told_us, (ticks + 2) * tick_us)
        self.assertGreaterEqual(told_us, (ticks - 2) * tick_us / 2)

    def test_people_read_the_peer_beside_it(self):
        done = allium("bench", "store", "--ops", "64")
        self.assertEqual(done.returncode, 0, done.stderr)
        for word in ("machine", "IN FLIGHT", "ENTRY us", "OTHER us", "peer, 1", "730", "270-300", "goal, 64", "commit"):
            self.assertIn(word, done.stdout)


class OnionRequest(Bench):
    def test_both_windows_say_what_each_hop_took(self):
        result = self.bench("onion-request", "--ops", "100")
        names = ["n1", "n2", "n3", "n4"]
        self.check_figures(result, names, 100, [1, 64], {"cpu_us_destination"})
        for figure in result["figures"]:
            middle = [figure["cpu_us_by_node"][name] for name in names[1:3]]
            self.assertAlmostEqual(figure["cpu_us_other"], sum(middle) / 2, places=6)
            self.assertEqual(figure["cpu_us_destination"], figure["cpu_us_by_node"]["n4"])
        self.assertEqual((result["hops"], result["enc_type"]), (4, "aes-gcm"))

    def test_short_paths_have_nobody_in_the_middle(self):
        for hops in (1, 2):
            result = self.bench("onion-request", "--ops", "20", "--in-flight", "4", "--hops", str(hops))
            self.check_figures(result, ["n1", "n2"][:hops], 20, [4], {"cpu_us_destination"})
            self.assertIsNone(result["cpu_us_other"])
            self.assertEqual(result["cpu_us_destination"], result["cpu_us_by_node"]["n2"] if hops == 2 else None)


class Refusals(Bench):
    def test_options_that_do_not_fit_are_said_to_be_so(self):
        self.assertIn("--ops", self.refused("store", "--ops", "10", code=2))
        self.assertIn("n99", self.refused("store", "--node", "n99", code=4))
        for words in (("store", "--size", "76801"), ("store", "--in-flight", "0"), ("onion-request", "--hops", "5"),
                      ("onion-request", "--ops", "0")):
            self.assertEqual(allium("bench", *words).returncode, 2, words)

    def test_a_dead_node_is_named_and_nothing_is_measured(self):
        allium("devnet", "kill", "n2")
        try:
            for words in (("store",), ("onion-request",), ("store", "--node", "n2")):
                self.assertIn("allium devnet start n2", self.refused(*words, code=4))
        finally:
            back("n2")

    def test_a_node_that_dies_in_between_leaves_no_figure(self):
        for victim in ("n1", "n3"):
            pid = nodes()[victim]["service_pid"]
            before = cpu_ticks_of(pid)
            run = subprocess.Popen([str(devnet.bin_dir / "allium"), "bench", "store", "--ops", "20000", "--in-flight", "16"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            try:
                # The load has begun when the node works: it slept until then.
                while run.poll() is None and cpu_ticks_of(pid) < before + 5:
                    time.sleep(0.02)
                allium("devnet", "kill", victim)
                out, errors = run.communicate(timeout=100)
            finally:
                run.kill()
                back(victim)
            self.assertIn(run.returncode, (1, 4), errors)
            self.assertNotIn("IN FLIGHT", out)
            self.assertIn("error: ", errors)
            self.assertIn(victim, errors)


class WithoutServices(unittest.TestCase):
    def test_it_says_how_to_start_them(self):
        with (tempfile.TemporaryDirectory(prefix="allium-bench-") as folder,
              mock.patch.dict(os.environ, ALLIUM_DEVNET_DIR=folder + "/devnet")):
            for verb in ("store", "onion-request"):
                done = allium("bench", verb)
                self.assertEqual((done.returncode, done.stdout), (4, ""))
                self.assertIn("allium devnet up", done.stderr)
                self.assertEqual(done.stderr.count("\n"), 1)


def main():
    devnet.bin_dir = Path(sys.argv[1]).resolve()
    with devnet.running(NODES):
        done = unittest.main(argv=[sys.argv[0], *sys.argv[2:]], verbosity=2, exit=False)
        return 0 if done.result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
