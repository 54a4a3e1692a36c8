#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The benchmark is honest: a figure only where every packet was forwarded, and the replay set is really written.

usage: bench_honesty.py BIN_DIR. Nothing here looks at how fast anything was.
"""
import json
import pathlib
import subprocess
import sys
import unittest

bin_dir = pathlib.Path()


def bench(*words):
    done = subprocess.run([str(bin_dir / "allium"), "bench", *words, "--json"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=120)
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


class BenchTest(unittest.TestCase):
    def forward(self, *words):
        return bench("forward", "--packets", "1024", "--sessions", "64", "--repeats", "3", "--passes", "2", *words)

    def test_every_packet_is_forwarded_and_counted_twice(self):
        for packet_class, size in (("d", 1232), ("v", 256)):
            for burst in ("1", "8", "32"):
                code, result, errors = self.forward("--class", packet_class, "--burst", burst)
                self.assertEqual(code, 0, errors)
                self.assertEqual(result["schema"], "allium.bench.forward/1")
                self.assertEqual(result["class"], packet_class)
                self.assertGreaterEqual(result["received"], 1024 * 3 * 2)
                self.assertEqual(result["received"], result["forwarded"])
                self.assertEqual(result["received"], result["counted_by_sink"])
                self.assertEqual(result["drops"], {})
                self.assertEqual(result["loop_bytes"], 1024 * size)
                for key in ("mpps", "gbit_s", "cycles_per_packet", "io_cycles_per_packet", "spread_percent"):
                    self.assertGreaterEqual(result[key], 0)
                for key in ("cpu", "tsc_hz", "kernels", "pages", "virtual", "steal_percent"):
                    self.assertIn(key, result["environment"])

    def test_replays_give_no_figure(self):
        code, result, _ = self.forward("--same-replay-key")
        self.assertEqual(code, 1)
        self.assertFalse(result["valid"])
        self.assertNotIn("mpps", result)
        self.assertEqual(result["drops"]["replay"], result["received"] - result["forwarded"])
        self.assertLessEqual(result["forwarded"], 1024)

    def test_crypto_names_every_kernel_and_burst(self):
        code, result, errors = bench("crypto")
        self.assertEqual(code, 0, errors)
        functions = {figure["function"] for figure in result["figures"]}
        self.assertLessEqual({"derive", "layer_left", "layer_right", "header_mac", "link_tag", "x25519"}, functions)
        for figure in result["figures"]:
            self.assertEqual(set(figure["cycles_per_packet_by_burst"]), {"1", "2", "4", "8", "16", "32"})

    def test_wrong_options_are_usage_errors(self):
        for words in (("--class", "x"), ("--packets", "33"), ("--burst", "7")):
            done = subprocess.run([str(bin_dir / "allium"), "bench", "forward", *words], capture_output=True,
                                  timeout=60)
            self.assertEqual(done.returncode, 2)


if __name__ == "__main__":
    bin_dir = pathlib.Path(sys.argv.pop(1))
    unittest.main()
