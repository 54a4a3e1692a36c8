# SPDX-License-Identifier: Apache-2.0
"""A devnet for the length of one test script. Most run twice: outside, where they start and end the devnet, and again inside of its
network."""
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

SKIPPED = 77

bin_dir = Path()  # the programs that are tested; a script that does not call run_tests() sets it


def allium(*words, check=True):
    return subprocess.run([str(bin_dir / "allium"), *words], capture_output=True, text=True, timeout=90, check=check)


def node_list():
    """What `allium devnet status` says of each node."""
    return json.loads(allium("devnet", "status", "--json", check=False).stdout)["nodes"]


def service_pid(number):
    return node_list()[number - 1]["service_pid"]


def wait_until(is_so, what, seconds=60):
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.1)


@contextlib.contextmanager
def running(nodes):
    """A devnet of so many nodes. Ends the script where there is none, as skipped where the machine allows no namespaces."""
    with tempfile.TemporaryDirectory(prefix="allium-test-") as folder:
        os.environ["ALLIUM_DEVNET_DIR"] = folder + "/devnet"
        up = allium("devnet", "up", "--nodes", str(nodes), check=False)
        if up.returncode != 0:
            print(up.stderr)
            sys.exit(SKIPPED if "namespace" in up.stderr and "allows no" in up.stderr else 1)
        try:
            yield
        finally:
            if os.environ.get("ALLIUM_SHOW_LOGS"):
                for log in sorted(Path(folder, "devnet").glob("*.log")):
                    print(log.name, log.read_text(), sep="\n")
            allium("devnet", "down")


def run_inside(*arguments, timeout_s):
    """This script again, inside of the devnet's network; its exit code."""
    again = [sys.executable, "-B", os.path.abspath(sys.argv[0]), str(bin_dir), "--inside", *arguments]
    return subprocess.run([str(bin_dir / "allium"), "devnet", "exec", "--", *again], timeout=timeout_s).returncode


def run_tests(nodes, timeout_s):
    """All that a script of unittest does: BIN_DIR [unittest options]."""
    global bin_dir
    bin_dir = Path(sys.argv[1]).resolve()
    if "--inside" not in sys.argv:
        with running(nodes):
            sys.exit(run_inside(*sys.argv[2:], timeout_s=timeout_s))
    sys.argv.remove("--inside")
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]], verbosity=2)
