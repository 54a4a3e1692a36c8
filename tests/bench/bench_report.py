#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reports are honest, whole and stand alone; comparing them says what it should.

usage: bench_report.py BIN_DIR report|compare. Nothing here looks at how fast anything was.
"""
import copy
import html.parser
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import xml.etree.ElementTree

bin_dir = pathlib.Path()

FIGURES = ["d_over_ipsec_mb", "v_over_ipsec_mb", "d_crypto_over_floor", "d_gbit_per_core", "v_mpps_per_core",
           "x25519_over_libsodium", "path_opens_over_libsodium", "burst1_over_burst32", "burst4_over_burst32",
           "burst8_over_burst32", "garbage_cost_over_valid", "two_cores_over_one"]
# Without any of these a machine still measures: no vector kernels, one core.
MAY_BE_MISSING = {"d_over_ipsec_mb", "v_over_ipsec_mb", "x25519_over_libsodium", "path_opens_over_libsodium",
                  "two_cores_over_one"}
SMALL = ("--quick", "--packets", "256", "--repeats", "1")
HEADINGS = ["Figures and their bars", "What was not measured", "Method", "Environment", "Plots", "Runs", "Raw data"]


def allium(*words, **environment):
    return subprocess.run([str(bin_dir / "allium"), "bench", *map(str, words)], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=240, env=dict(os.environ, **environment))


class Tags(html.parser.HTMLParser):
    """Elements of a page, and whether each that was opened is closed."""

    def __init__(self, page):
        super().__init__()
        self.seen, self.open, self.attributes, self.headings, self.texts = set(), [], set(), [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        self.attributes.update(name for name, _ in attrs)
        self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.add(tag)
        self.attributes.update(name for name, _ in attrs)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


class Folder(unittest.TestCase):
    def setUp(self):
        self.top = pathlib.Path(tempfile.mkdtemp())

    def tearDown(self):
        shutil.rmtree(self.top)


class ReportTest(Folder):
    def test_a_report_is_whole_and_stands_alone(self):
        done = allium("report", "--out", self.top / "new", *SMALL, "--json")
        report = json.loads((self.top / "new" / "report.json").read_text())
        self.assertEqual(json.loads(done.stdout), report)
        self.assertEqual(report["schema"], "allium.bench.report/1")
        self.check_figures(report)
        self.check_runs(report)
        is_complete = not report["figures_missing"] and all(run["state"] in ("measured", "skipped") for run in report["runs"])
        self.assertEqual(done.returncode, 0 if is_complete else 1, done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), len(report["runs"]), "a line a run")
        self.check_page((self.top / "new" / "report.html").read_text(), report)
        self.assertEqual(sorted(os.listdir(self.top / "new")), ["report.html", "report.json"])
        self.check_compare_with_itself()

    def check_figures(self, report):
        self.assertEqual(list(report["figures"]), FIGURES)
        self.assertEqual(list(report["bars"]), FIGURES)
        runs = {run["id"]: run for run in report["runs"]}
        for key, value in report["figures"].items():
            if value is None:
                self.assertIn(key, MAY_BE_MISSING, report["figures_missing"].get(key))
                self.assertTrue(report["figures_missing"][key], key)
                continue
            self.assertNotIn(key, report["figures_missing"])
            spread = report["figures_spread"][key]
            self.assertTrue(0 < spread["low"] <= value <= spread["high"], (key, value, spread))
            self.assertTrue(report["figures_from"][key], key)
            for name in report["figures_from"][key]:
                self.assertEqual(runs[name]["state"], "measured", key)
            for condition in ("tsc_hz", "steal_percent"):
                self.assertIn(condition, report["figures_conditions"][key], key)
        for key in ("cpu", "cpus", "tsc_hz", "virtual", "kernels", "pages", "steal_percent", "comparative_only"):
            self.assertIn(key, report["environment"])

    def check_runs(self, report):
        ids = [run["id"] for run in report["runs"]]
        self.assertEqual(len(ids), len(set(ids)))
        for run in report["runs"]:
            self.assertIn(run["state"], ("measured", "skipped"), run.get("reason"))
            self.assertIn("allium bench ", run["command"])
            if run["state"] == "skipped":
                self.assertTrue(run["reason"])
            elif run["id"] != "crypto":
                # No figure without valid books, and books of as many packets as were asked for.
                result = run["result"]
                self.assertIs(result["valid"], True, run["id"])
                if run["group"] == "no_drop":
                    self.assertGreater(result["flooded"]["mpps"], 0)
                else:
                    self.assertGreater(result["cycles_per_packet"], 0)
                if run["kernels"]:
                    self.assertIn(run["kernels"], result["environment"]["kernels"])
        groups = {run["group"] for run in report["runs"]} - {""}
        self.assertEqual(groups, {group["source"] for group in report["groups"]})
        self.assertLessEqual({"class", "burst", "kernel", "cores", "stages", "garbage", "working_set", "setup", "replay", "no_drop"},
                             groups)

    def check_page(self, page, report):
        for word in ("http:", "https:", "src=", "href=", "url(", "@import", "<script", "<link", "<img"):
            self.assertNotIn(word, page)
        xml.etree.ElementTree.fromstring(page)
        tags = Tags(page)
        self.assertEqual(tags.open, [])
        self.assertIn("svg", tags.seen)
        self.assertEqual(tags.headings, HEADINGS)
        self.assertFalse([name for name in tags.attributes if name.startswith("on")])
        for key in FIGURES:
            self.assertIn(f"<code>{key}</code>", page)
        for run in report["runs"]:
            self.assertIn(run["id"], page)
        self.assertIn("prefers-color-scheme: dark", page)
        self.assertIn("@media print", page)

    def check_compare_with_itself(self):
        path = self.top / "new" / "report.json"
        done = allium("compare", path, path, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual({figure["change"] for figure in json.loads(done.stdout)["figures"]}, {"same"})
        self.assertEqual(done.stderr, "")

    def test_what_is_no_report_is_not_overwritten(self):
        (self.top / "report.html").write_text("mine")
        done = allium("report", "--out", self.top, *SMALL)
        self.assertEqual(done.returncode, 3)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertEqual((self.top / "report.html").read_text(), "mine")

    def test_an_interrupt_leaves_nothing(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            started = subprocess.Popen([str(bin_dir / "allium"), "bench", "report", "--out", str(self.top / "half"), *SMALL],
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in range(1000):
                if (self.top / "half").exists():
                    break
                time.sleep(0.01)
            time.sleep(0.2)
            started.send_signal(number)
            output, errors = started.communicate(timeout=60)
            self.assertEqual(started.returncode, 128 + number, errors)
            self.assertEqual(output, "")
            self.assertIn("nothing was written", errors)
            self.assertEqual(os.listdir(self.top), [])

    def test_a_missing_helper_is_said_at_once(self):
        shutil.copy(bin_dir / "allium", self.top / "allium")
        done = subprocess.run([str(self.top / "allium"), "bench", "report", "--out", str(self.top / "new")],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertFalse((self.top / "new").exists())

    def test_usage(self):
        for words in ((), ("--out",), ("--out", self.top, "--packets", "33"), ("--out", self.top, "--repeats", "0")):
            self.assertEqual(allium("report", *words).returncode, 2, words)
        done = allium("report", "--out", self.top / "new", *SMALL, ALLIUM_KERNEL="onion=none-such")
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertFalse((self.top / "new").exists())


def made_up_report(**changes):
    """Figures with a range of 1 % to each side."""
    figures = {key: changes.get(key, 2.0) for key in FIGURES}
    lower = ("over_floor", "over_burst32", "over_valid")
    return {"schema": "allium.bench.report/1",
            "environment": {"cpu": "a CPU", "tsc_hz": 2.3e9, "pages": "2 MiB", "kernels": "onion=best"},
            "figures": figures,
            "figures_missing": {key: "no such thing here" for key, value in figures.items() if value is None},
            "figures_spread": {key: {"low": value * 0.99, "high": value * 1.01}
                               for key, value in figures.items() if isinstance(value, float)},
            "bars": {key: {"better": "lower" if key.endswith(lower) else "higher"} for key in FIGURES}}


class CompareTest(Folder):
    def compare(self, a, b, *words):
        paths = []
        for name, content in (("a.json", a), ("b.json", b)):
            paths.append(self.top / name)
            if content is not None:
                paths[-1].write_text(content if isinstance(content, str) else json.dumps(content))
        return allium("compare", *paths, *words)

    def changes(self, a, b):
        done = self.compare(a, b, "--json")
        result = json.loads(done.stdout)
        self.assertEqual(result["schema"], "allium.bench.compare/1")
        return {figure["key"]: figure["change"] for figure in result["figures"]}, done

    def test_faster(self):
        changes, done = self.changes(made_up_report(), made_up_report(d_over_ipsec_mb=3.0, burst1_over_burst32=1.5))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual({key for key, change in changes.items() if change == "faster"},
                         {"d_over_ipsec_mb", "burst1_over_burst32"})
        self.assertNotIn("slower", changes.values())

    def test_slower(self):
        base, new = made_up_report(), made_up_report(d_gbit_per_core=1.9, garbage_cost_over_valid=2.2)
        changes, done = self.changes(base, new)
        self.assertEqual(done.returncode, 1)
        self.assertEqual({key for key, change in changes.items() if change == "slower"},
                         {"d_gbit_per_core", "garbage_cost_over_valid"})
        self.assertEqual(self.compare(base, new, "--max-regress", "11").returncode, 0)
        self.assertEqual(self.compare(base, new, "--max-regress", "6").returncode, 1)
        people = self.compare(base, new)
        self.assertEqual(people.returncode, 1)
        self.assertIn("slower, more than allowed", people.stdout)

    def test_same_inside_the_spread(self):
        changes, done = self.changes(made_up_report(), made_up_report(d_gbit_per_core=1.97, v_mpps_per_core=2.03))
        self.assertEqual(done.returncode, 0)
        self.assertEqual(set(changes.values()), {"same"})

    def test_another_machine_is_shouted(self):
        for key, value in (("cpu", "another CPU"), ("kernels", "onion=plain"), ("pages", "4 KiB"), ("tsc_hz", 2.6e9)):
            other = copy.deepcopy(made_up_report())
            other["environment"][key] = value
            done = self.compare(made_up_report(), other)
            self.assertEqual(done.returncode, 0)
            self.assertIn("WARNING", done.stderr)
            self.assertIn(key, done.stderr)

    def test_a_figure_that_is_missing(self):
        without = made_up_report(two_cores_over_one=None)
        lost = self.compare(made_up_report(), without)
        self.assertEqual(lost.returncode, 1)
        self.assertIn("two_cores_over_one: not compared, B has none: no such thing here", lost.stdout)
        self.assertEqual(self.compare(without, made_up_report()).returncode, 0)
        self.assertEqual(self.compare(without, without).returncode, 0)

    def test_what_cannot_be_compared_is_one_line(self):
        broken = json.dumps(made_up_report())[:-20]
        forward = {"schema": "allium.bench.forward/1", "valid": True, "class": "d", "cycles_per_packet": 5}
        for a, b, code in ((made_up_report(), broken, 3), ("", made_up_report(), 3), (made_up_report(), "[]", 3),
                           (made_up_report(), {"schema": "else/1"}, 3), (made_up_report(), forward, 3),
                           (forward, dict(forward, **{"class": "v"}), 3), (forward, dict(forward, valid=False), 3),
                           (made_up_report(), made_up_report(d_gbit_per_core="fast"), 3),
                           (dict(made_up_report(), figures={}), made_up_report(), 3)):
            if isinstance(b, dict) and b.get("figures", {}).get("d_gbit_per_core") == "fast":
                b["figures_spread"].pop("d_gbit_per_core", None)
            done = self.compare(a, b)
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
            self.assertTrue(done.stderr.startswith("error: "), done.stderr)
            self.assertEqual(done.stdout, "")
        self.assertEqual(allium("compare", self.top / "none.json", self.top / "none.json").returncode, 4)
        self.assertEqual(allium("compare", self.top / "a.json").returncode, 2)
        self.assertEqual(self.compare(made_up_report(), made_up_report(), "--max-regress", "-1").returncode, 2)


if __name__ == "__main__":
    bin_dir = pathlib.Path(sys.argv.pop(1))
    unittest.main(defaultTest={"report": "ReportTest", "compare": "CompareTest"}[sys.argv.pop(1)])
