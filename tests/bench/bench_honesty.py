#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The benchmark is honest: a figure only where every packet was forwarded, and the replay set is really written.

usage: bench_honesty.py BIN_DIR forward|crypto. Nothing here looks at how fast anything was.
"""
import json
import os
import pathlib
import subprocess
import sys
import unittest

bin_dir = pathlib.Path()

FIGURES = ("mpps", "gbit_s", "cycles_per_packet", "cycles_per_packet_min", "cycles_per_packet_max",
           "cycles_per_packet_mean", "io_cycles_per_packet", "spread_percent")
PLACE = ("cpu", "cpus", "isa", "l2_bytes", "l3_bytes", "virtual", "tsc_hz", "tsc_is_constant", "huge_pages_free",
         "kernel_release", "comparative_only", "comparative_reasons")
PLACE_OF_A_RUN = PLACE + ("kernels", "pages", "replay_set_huge_bytes", "steal_percent", "spread_percent", "preemptions")
BURSTS = ["1", "2", "4", "8", "16", "32"]
FUNCTIONS = {"derive", "segment_open", "session_secret", "layer_left", "header_mac", "layer_right", "header_shift",
             "replay_tag", "link_tag", "link_veil"}


def run(*words, **environment):
    return subprocess.run([str(bin_dir / "allium"), "bench", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=120, env=dict(os.environ, **environment))


def bench(*words, **environment):
    done = run(*words, "--json", **environment)
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


class ForwardTest(unittest.TestCase):
    SMALL = ("--packets", "1024", "--sessions", "64", "--repeats", "3", "--passes", "2")

    def check_figure(self, packet_class, packets, size, *words):
        code, result, errors = bench("forward", *words, "--class", packet_class)
        self.assertEqual(code, 0, errors)
        self.assertEqual(result["schema"], "allium.bench.forward/1")
        self.assertEqual(result["class"], packet_class)
        self.assertIs(result["valid"], True)
        for count in ("received", "forwarded", "counted_by_sink", "written_to_replay_set"):
            self.assertEqual(result[count], packets * result["repeats"] * result["passes"], count)
        self.assertEqual(result["accepted_by_next_relay"], packets)
        self.assertEqual(result["drops"], {})
        self.assertEqual(result["packets"], packets)
        self.assertEqual(result["datagram_bytes"], size)
        self.assertEqual(result["loop_bytes"], packets * size)
        for key in FIGURES:
            self.assertGreaterEqual(result[key], 0, key)
        for key in PLACE_OF_A_RUN:
            self.assertIn(key, result["environment"])
        self.assertEqual(result["environment"]["comparative_only"],
                         bool(result["environment"]["comparative_reasons"]))
        self.assertAlmostEqual(result["mpps"] * 1e6 * result["cycles_per_packet"], result["environment"]["tsc_hz"],
                               delta=result["environment"]["tsc_hz"] * 1e-6)
        self.assertAlmostEqual(result["gbit_s"], result["mpps"] * size * 8 / 1e3, delta=result["gbit_s"] * 1e-6)
        return result

    def test_class_d_is_forwarded_and_counted_by_four(self):
        self.check_figure("d", 1024, 1232, *self.SMALL)

    def test_class_v_is_forwarded_and_counted_by_four(self):
        self.check_figure("v", 1024, 256, *self.SMALL)

    def test_any_burst_makes_whole_passes(self):
        for burst, packets in (("1", 100), ("7", 1029), ("31", 62)):
            result = self.check_figure("v", packets, 256, "--burst", burst, "--packets", str(packets), "--repeats", "2",
                                       "--passes", "2", "--no-huge")
            self.assertEqual(result["burst"], int(burst))

    def test_replays_give_no_figure(self):
        code, result, _ = bench("forward", *self.SMALL, "--same-replay-key")
        self.assertEqual(code, 1)
        self.assertIs(result["valid"], False)
        for key in FIGURES:
            self.assertNotIn(key, result)
        # The pass that the next relay checked has written every packet to the set.
        self.assertEqual(result["accepted_by_next_relay"], 1024)
        self.assertEqual(result["received"], 1024 * 3 * 2)
        self.assertEqual(result["drops"], {"replay": result["received"]})
        for count in ("forwarded", "counted_by_sink", "written_to_replay_set"):
            self.assertEqual(result[count], 0, count)

    def test_replays_give_no_figure_to_people_either(self):
        done = run("forward", *self.SMALL, "--same-replay-key")
        self.assertEqual(done.returncode, 1)
        self.assertIn("no figure", done.stdout)
        self.assertIn("replay 6144", done.stdout)
        self.assertNotIn("Mpps", done.stdout)

    def test_people_read_the_method_with_the_figure(self):
        done = run("forward", *self.SMALL)
        self.assertEqual(done.returncode, 0, done.stderr)
        for word in ("Mpps", "Gbit/s", "TSC cycles a packet", "1024 packets of 64 sessions", "drops     none", "kernels",
                     "pages", "steal"):
            self.assertIn(word, done.stdout)
        self.assertNotIn("repeat 1", done.stdout)
        self.assertIn("repeat 1 of 3", done.stderr)

    def test_kernels_are_those_that_were_asked_for(self):
        wish = "onion=ipsec-mb-sse,x25519=libsodium"
        code, result, errors = bench("forward", *self.SMALL, ALLIUM_KERNEL=wish)
        self.assertEqual(code, 0, errors)
        self.assertEqual(result["environment"]["kernels"], wish)
        code, result, errors = bench("forward", *self.SMALL, ALLIUM_KERNEL="onion=none-such")
        self.assertNotEqual(code, 0)
        self.assertIsNone(result)
        self.assertEqual(len(errors.splitlines()), 1, errors)

    def test_wrong_options_are_usage_errors(self):
        for words in (("--class", "x"), ("--packets", "33"), ("--burst", "33"), ("--burst", "0"), ("--sessions", "0")):
            self.assertEqual(run("forward", *words).returncode, 2, words)


class CryptoTest(unittest.TestCase):
    def test_crypto_names_every_kernel_and_burst(self):
        code, result, errors = bench("crypto", "--quick")
        self.assertEqual(code, 0, errors)
        self.assertEqual(result["schema"], "allium.bench.crypto/1")
        measured = {}
        for figure in result["figures"]:
            self.assertEqual(list(figure["cycles_per_packet_by_burst"]), BURSTS)
            self.assertGreater(min(figure["cycles_per_packet_by_burst"].values()), 0)
            functions = measured.setdefault((figure["kernel"], figure["class"]), set())
            self.assertNotIn(figure["function"], functions)
            functions.add(figure["function"])
        onion = {kernel for kernel, packet_class in measured if packet_class}
        self.assertIn("ipsec-mb-sse", onion)
        self.assertIn("ipsec-mb", onion)
        for kernel in onion:
            floors = {"floor", "floor_l3"} if kernel == "ipsec-mb" else set()
            for packet_class in ("d", "v"):
                self.assertEqual(measured[kernel, packet_class], FUNCTIONS | {"chain", "chain_l3"} | floors)
        self.assertEqual(measured["libsodium", ""], {"x25519"})
        for kernel in ("one-by-one", "ipsec-mb"):
            self.assertEqual(measured[kernel, ""], {"gcm_1000", "gcm_10000", "xchacha_1000", "xchacha_10000"})
        for key in PLACE:
            self.assertIn(key, result["environment"])

    def test_chains_are_compared_with_their_floor_and_x25519_with_libsodium(self):
        _, result, _ = bench("crypto", "--quick")
        for figure in result["figures"]:
            name = figure["kernel"], figure["function"]
            expected = {"chain": "ipsec-mb floor", "chain_l3": "ipsec-mb floor_l3"}.get(figure["function"])
            if figure["function"] == "x25519" and figure["kernel"] != "libsodium":
                expected = "libsodium x25519"
            self.assertEqual(figure.get("yardstick"), expected, name)
            self.assertEqual("over_yardstick_by_burst" in figure, expected is not None, name)
            if expected:
                self.assertEqual(list(figure["over_yardstick_by_burst"]), BURSTS)
                self.assertGreater(min(figure["over_yardstick_by_burst"].values()), 0)

    def test_env_says_what_the_machine_is(self):
        code, result, errors = bench("env")
        self.assertEqual(code, 0, errors)
        self.assertEqual(result["schema"], "allium.bench.env/1")
        for key in PLACE:
            self.assertIn(key, result)
        self.assertIn(result["cpu"], run("env").stdout)


if __name__ == "__main__":
    bin_dir = pathlib.Path(sys.argv.pop(1))
    unittest.main(defaultTest={"forward": "ForwardTest", "crypto": "CryptoTest"}[sys.argv.pop(1)])
