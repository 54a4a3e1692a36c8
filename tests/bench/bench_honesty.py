#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The benchmark is honest: a figure only where every packet was forwarded, and the replay set is really written.

usage: bench_honesty.py BIN_DIR forward|no-drop|crypto. Nothing here looks at how fast anything was.
"""
import json
import os
import pathlib
import subprocess
import sys
import unittest

bin_dir = pathlib.Path()

FIGURES = ("mpps", "gbit_s", "cycles_per_packet", "cycles_per_packet_min", "cycles_per_packet_max",
           "cycles_per_packet_mean", "io_cycles_per_packet", "udp_checksum_cycles", "cycles_without_io",
           "spread_percent")
COUNTS = ("received", "forwarded", "counted_by_sink", "written_to_replay_set", "accepted_by_next_relay", "drops")
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
    SMALL_SET = ("--replay-mpps", "0.05")
    SMALL = ("--packets", "1024", "--sessions", "64", "--repeats", "3", "--passes", "2", *SMALL_SET)

    def check_books(self, result, packets, passes, bad=0):
        """Every packet of every pass is in the books of all who count; `bad` of a pass have a wrong link tag."""
        self.assertEqual(result["received"], packets * passes)
        for count in ("forwarded", "counted_by_sink", "written_to_replay_set"):
            self.assertEqual(result[count], (packets - bad) * passes, count)
        self.assertEqual(result["accepted_by_next_relay"], packets - bad)
        self.assertEqual(result["drops"], {"ll_tag": bad * passes} if bad else {})

    def check_figure(self, packet_class, packets, size, *words, bad=0, expected=()):
        code, result, errors = bench("forward", *words, "--class", packet_class)
        self.assertEqual(code, 0, errors)
        self.assertEqual(result["schema"], "allium.bench.forward/1")
        self.assertEqual(result["class"], packet_class)
        self.assertIs(result["valid"], True)
        self.check_books(result, packets, result["repeats"] * result["passes"], bad)
        self.assertEqual(result["packets"], packets)
        self.assertEqual(result["datagram_bytes"], size)
        self.assertEqual(result["loop_bytes"], packets * size)
        for key, value in {"ip": 4, "backend": "pcap", "workers": 1, "bad_tag_percent": 0, "replay_rate_mpps": 0.05,
                           **dict(expected)}.items():
            self.assertEqual(result[key], value, key)
        for key in FIGURES[:-2]:
            self.assertGreater(result[key], 0, key)
        self.assertAlmostEqual(result["cycles_without_io"],
                               result["cycles_per_packet"] - result["io_cycles_per_packet"], places=3)
        for key in PLACE_OF_A_RUN:
            self.assertIn(key, result["environment"])
        self.assertEqual(result["environment"]["comparative_only"],
                         bool(result["environment"]["comparative_reasons"]))
        self.assertAlmostEqual(result["mpps"] * 1e6 * result["cycles_per_packet"], result["environment"]["tsc_hz"],
                               delta=result["environment"]["tsc_hz"] * 1e-6)
        self.assertAlmostEqual(result["gbit_s"], result["mpps"] * size * 8 / 1e3, delta=result["gbit_s"] * 1e-6)
        return result

    def check_compared(self, result, other, packets, bad=0):
        self.assertIs(other["valid"], True)
        self.check_books(other, packets, result["repeats"] * result["passes"], bad)
        self.assertGreater(other["ratio_min"], 0)
        self.assertLessEqual(other["ratio_min"], other["ratio"])
        self.assertLessEqual(other["ratio"], other["ratio_max"])

    def test_kernels_compared_take_turns_and_have_books_of_their_own(self):
        wish = "onion=ipsec-mb-sse,x25519=libsodium"
        result = self.check_figure("d", 1024, 1232, *self.SMALL, "--compare-kernels", wish)
        self.assertEqual(result["contenders"], [result["compared"]])
        self.assertEqual(result["compared"]["kernels"], wish)
        self.check_compared(result, result["compared"], 1024)

    def test_bursts_and_garbage_are_compared_in_one_run(self):
        result = self.check_figure("v", 1056, 256, *self.SMALL[2:], "--packets", "1056", "--compare-burst", "1",
                                   "--compare-burst", "11", "--compare-bad-tags", "100", "--compare-bad-tags", "50")
        others = result["contenders"]
        self.assertEqual([(other["burst"], other["bad_tag_percent"]) for other in others],
                         [(1, 0), (11, 0), (32, 100), (32, 50)])
        for other, bad in zip(others, (0, 0, 1056, 528)):
            self.check_compared(result, other, 1056, bad)
        self.assertEqual(result["compared"], others[0])

    def test_no_figure_of_anybody_where_one_has_no_right_books(self):
        code, result, _ = bench("forward", *self.SMALL, "--same-replay-key", "--compare-bad-tags", "100")
        self.assertEqual(code, 1)
        self.assertIs(result["valid"], False)
        self.assertIs(result["compared"]["valid"], True)  # garbage needs no replay key to be dropped
        for key in FIGURES + ("ratio",):
            self.assertNotIn(key, result)
            self.assertNotIn(key, result["compared"])

    def test_bad_tags_are_dropped_for_them_and_nothing_else_is(self):
        for percent, bad in ((1, 10), (30, 307), (100, 1024)):
            self.check_figure("d", 1024, 1232, *self.SMALL, "--bad-tags", str(percent), bad=bad,
                              expected={"bad_tag_percent": percent})

    def test_ipv6_frames_are_longer_and_as_right(self):
        for packet_class, size in (("d", 1232), ("v", 256)):
            result = self.check_figure(packet_class, 1024, size, *self.SMALL, "--ip", "6", expected={"ip": 6})
            self.assertEqual(result["frame_bytes"], size + 62)

    def test_setup_packets_are_opened_and_accepted_by_the_next_relay(self):
        small = ("--repeats", "2", "--passes", "2", *self.SMALL_SET)
        for burst in ("32", "5", "1"):
            packets = {"32": 64, "5": 60, "1": 60}[burst]
            result = self.check_figure("s", packets, 1232, *small, "--packets", str(packets), "--burst", burst)
            self.assertEqual(result["sessions"], packets)
        self.check_figure("s", 60, 1232, *small, "--packets", "60", "--burst", "4", "--ip", "6", "--bad-tags", "50", bad=30,
                          expected={"ip": 6, "bad_tag_percent": 50})

    def test_setup_kernels_are_compared(self):
        result = self.check_figure("s", 64, 1232, "--packets", "64", "--repeats", "2", "--passes", "1", *self.SMALL_SET,
                                   "--compare-kernels", "x25519=libsodium,onion=ipsec-mb-sse")
        self.assertEqual(result["compared"]["kernels"], "onion=ipsec-mb-sse,x25519=libsodium")
        self.check_compared(result, result["compared"], 64)

    def test_rings_bring_the_same_packets_as_a_file(self):
        for packet_class, size in (("d", 1232), ("v", 256)):
            result = self.check_figure(packet_class, 1024, size, *self.SMALL, "--backend", "ring", "--bad-tags", "25",
                                       "--compare-burst", "8", bad=256,
                                       expected={"backend": "ring", "bad_tag_percent": 25})
            self.check_compared(result, result["compared"], 1024, 256)

    @unittest.skipIf(len(os.sched_getaffinity(0)) < 2, "needs two CPUs")
    def test_workers_share_the_packets(self):
        result = self.check_figure("v", 1024, 256, *self.SMALL, "--backend", "ring", "--workers", "2",
                                   "--compare-workers", "1", expected={"backend": "ring", "workers": 2})
        self.assertEqual(result["compared"]["workers"], 1)
        self.assertIn("several workers", " ".join(result["environment"]["comparative_reasons"]))
        self.check_compared(result, result["compared"], 1024)

    def test_more_workers_than_cpus_are_refused(self):
        cpus = len(os.sched_getaffinity(0))
        if cpus >= 16:
            self.skipTest("16 workers are the most")
        code, result, errors = bench("forward", "--backend", "ring", "--workers", str(cpus + 1), "--packets",
                                     str(32 * (cpus + 1)))
        self.assertEqual(code, 4)
        self.assertIsNone(result)
        self.assertIn(f"there are {cpus} CPUs", errors)

    def test_the_replay_set_is_as_large_as_asked_for(self):
        small = self.check_figure("v", 1024, 256, *self.SMALL)
        code, normal, errors = bench("forward", "--class", "v", "--packets", "1024", "--repeats", "1")
        self.assertEqual(code, 0, errors)
        self.assertEqual(normal["replay_rate_mpps"], 1)
        self.assertAlmostEqual(normal["replay_set_bytes"] / small["replay_set_bytes"], 16, delta=0.01)

    STAGES = ["turn", "receive", "parse", "classify", "link_tag_in", "link_veil_in", "setup_wait", "key_agreement",
              "segment", "derive", "hash", "layer", "header_mac", "routing", "replay_tag", "replay_set", "cipher",
              "header_shift", "route", "link_header", "link_veil_out", "link_tag_out", "frame", "send", "books"]

    def test_stages_are_those_of_the_class_in_their_order(self):
        setup = {"key_agreement", "routing"}
        data = {"segment", "header_shift"}
        # Class D goes in waves, hash beside cipher.
        for packet_class, size, others in (("d", 1232, setup | {"hash"}), ("v", 256, setup | {"layer"}),
                                           ("s", 1232, data | {"layer"})):
            result = self.check_figure(packet_class, 1024, size, *self.SMALL, "--stages", "--bad-tags", "25", bad=256,
                                       expected={"bad_tag_percent": 25})
            self.assertEqual(list(result["stages"]), [stage for stage in self.STAGES if stage not in others])
            for stage, cycles in result["stages"].items():
                self.assertGreater(cycles, 0, stage)
            self.assertGreater(result["cycles_per_packet_with_stage_clock"], 0)
            self.assertNotIn("contenders", result)

    def test_no_stages_without_a_figure(self):
        code, result, _ = bench("forward", *self.SMALL, "--same-replay-key", "--stages")
        self.assertEqual(code, 1)
        self.assertNotIn("stages", result)

    def test_people_read_what_is_compared(self):
        done = run("forward", *self.SMALL, "--compare-bad-tags", "100", "--compare-burst", "8")
        self.assertEqual(done.returncode, 0, done.stderr)
        for word in ("beside it", "100 % wrong link tags", "8 packets a burst"):
            self.assertIn(word, done.stdout)

    def test_class_d_is_forwarded_and_counted_by_four(self):
        self.check_figure("d", 1024, 1232, *self.SMALL)

    def test_class_v_is_forwarded_and_counted_by_four(self):
        self.check_figure("v", 1024, 256, *self.SMALL)

    def test_any_burst_makes_whole_passes(self):
        for burst, packets in (("1", 100), ("7", 1029), ("31", 62)):
            result = self.check_figure("v", packets, 256, "--burst", burst, "--packets", str(packets), "--repeats", "2",
                                       "--passes", "2", "--no-huge", *self.SMALL_SET)
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
        code, result, errors = bench("forward", *self.SMALL, "--compare-kernels", "onion=none-such")
        self.assertNotEqual(code, 0)
        self.assertIsNone(result)
        self.assertIn("none-such", errors)

    def test_wrong_options_are_usage_errors(self):
        for words in (("--class", "x"), ("--packets", "33"), ("--burst", "33"), ("--burst", "0"), ("--sessions", "0"),
                      ("--ip", "5"), ("--bad-tags", "101"), ("--backend", "memif"), ("--workers", "2"),
                      ("--compare-workers", "2"), ("--compare-burst", "33"),
                      ("--backend", "ring", "--workers", "2", "--stages"), ("--replay-mpps", "0"),
                      ("--packets", "32", "--compare-burst", "7")):
            self.assertEqual(run("forward", *words).returncode, 2, words)


class NoDropTest(unittest.TestCase):
    SMALL = ("--packets", "4096", "--sessions", "64", "--trial-seconds", "0.05", "--step-percent", "25",
             "--replay-mpps", "0.05")

    def test_what_the_ring_took_came_out_and_the_rest_is_counted_as_lost(self):
        for packet_class, size, ip in (("d", 1232, 4), ("v", 256, 6)):
            code, result, errors = bench("no-drop", *self.SMALL, "--class", packet_class, "--ip", str(ip))
            self.assertEqual(code, 0, errors)
            self.assertEqual(result["schema"], "allium.bench.no_drop/1")
            for key, value in {"class": packet_class, "ip": ip, "valid": True, "datagram_bytes": size, "packets": 4096,
                               "loop_bytes": 4096 * size, "ring_frames": 1023, "trial_seconds": 0.05,
                               "accepted_by_next_relay": 4096, "drops": {}}.items():
                self.assertEqual(result[key], value, key)
            for count in ("received", "forwarded", "counted_by_sink", "written_to_replay_set"):
                self.assertEqual(result[count], result["accepted"], count)
            self.check_rates(result, size)

    def check_rates(self, result, size):
        trials = result["trials"]
        # The flood comes before the trials, and what the ring took of it is in the books too.
        self.assertGreater(result["accepted"], sum(trial["offered"] - trial["lost"] for trial in trials))
        for trial in trials:
            self.assertLessEqual(trial["lost"], trial["offered"])
            self.assertLess(trial["offered_mpps"], trial["wanted_mpps"] * 1.01)
        for key, loss_max in (("no_drop", 0), ("partial_drop", 0.5)):
            found = result[key]
            self.assertEqual(found["loss_percent_max"], loss_max)
            passed = [trial["offered_mpps"] for trial in trials
                      if trial["lost"] * 100 <= loss_max * trial["offered"]]
            self.assertEqual(found["mpps"], max(passed, default=0), key)
            self.assertAlmostEqual(found["gbit_s"], found["mpps"] * size * 8 / 1e3, delta=1e-6)
        # A rate that loses nothing loses no more than 0.5 %.
        self.assertGreaterEqual(result["partial_drop"]["mpps"], result["no_drop"]["mpps"])
        self.assertGreater(result["flooded"]["mpps"], 0)
        self.assertGreater(result["generator_mpps"], 0)
        self.assertIn("several workers", " ".join(result["environment"]["comparative_reasons"]))

    def test_people_read_the_method_with_the_rates(self):
        done = run("no-drop", *self.SMALL)
        self.assertEqual(done.returncode, 0, done.stderr)
        for word in ("no drop", "few drops", "flooded", "Mpps", "generator on one core", "ring of 1023", "trials of 0.05 s"):
            self.assertIn(word, done.stdout)
        self.assertNotIn("offered,", done.stdout)
        self.assertIn("offered, ", done.stderr)

    def test_one_cpu_is_too_few_and_the_error_says_what_to_do(self):
        cpus = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(cpus)})
        try:
            done = run("no-drop", *self.SMALL)
        finally:
            os.sched_setaffinity(0, cpus)
        self.assertEqual(done.returncode, 4)
        self.assertEqual(done.stdout, "")
        self.assertIn("two CPUs", done.stderr)
        self.assertIn("allium bench forward", done.stderr)

    def test_wrong_options_are_usage_errors(self):
        for words in (("--class", "s"), ("--packets", "4095"), ("--packets", "4097"), ("--burst", "33"),
                      ("--trial-seconds", "0"), ("--step-percent", "51"), ("--ip", "5"), ("--workers", "2")):
            self.assertEqual(run("no-drop", *words).returncode, 2, words)


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
        x25519 = {kernel for (kernel, _), functions in measured.items() if functions == {"x25519"}}
        self.assertLessEqual(x25519, {"libsodium", "avx512-ifma"})
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
            self.assertAlmostEqual(figure.get("loop_bytes", 0), 36e6 if name[1].endswith("_l3") else 0, delta=2000)
            self.assertEqual("loop_huge_percent" in figure, name[1].endswith("_l3"), name)
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
    if sys.argv[1] == "no-drop" and len(os.sched_getaffinity(0)) < 2:
        print("skipped: a rate takes two CPUs")
        sys.exit(77)
    unittest.main(defaultTest={"forward": "ForwardTest", "no-drop": "NoDropTest", "crypto": "CryptoTest"}[sys.argv.pop(1)])
