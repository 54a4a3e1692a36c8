#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Vector kernels are worth having: ratios of one run, with so much slack that only a defect misses them.

usage: bench_ratios.py BIN_DIR

What is compared took turns in samples of a fraction of a millisecond, and the median of their ratios is looked at: load
from others hits both sides. Nothing here looks at absolute speed.
"""
import json
import pathlib
import subprocess
import sys

SKIPPED = 77
ATTEMPTS = 3  # a neighbour may come or go in the middle of a sample, on a bad day in most of them

# (kernel's functions, yardstick, the most that its cycles may be of the yardstick's)
CHAIN_MAX = 1.0    # of ipsec-mb's chain; the bar is a third
X25519_MAX = 0.5   # of libsodium's; the bar is less than a sixth


def crypto(bin_dir):
    done = subprocess.run([str(bin_dir / "allium"), "bench", "crypto", "--quick", "--json"], capture_output=True,
                          text=True, timeout=120)
    if done.returncode != 0:
        sys.exit(f"FAILED: bench crypto: exit code {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout)["figures"]


def cycles(figures, kernel, function, packet_class):
    for figure in figures:
        if (figure["kernel"], figure["function"], figure["class"]) == (kernel, function, packet_class):
            return figure["cycles_per_packet_by_burst"]["32"]
    sys.exit(f"FAILED: bench crypto has no {function} of {kernel}")


def problems_of(figures):
    """What is slower than it may be, and what was looked at."""
    problems, looked_at = [], []
    kernels = {figure["kernel"] for figure in figures if figure["function"] == "chain"}
    for kernel in sorted(kernels):
        if not kernel.startswith("ipsec-mb"):
            for packet_class in ("d", "v"):
                for function in ("chain", "chain_l3"):
                    ratio = cycles(figures, kernel, function, packet_class) / cycles(figures, "ipsec-mb", function, packet_class)
                    looked_at.append(f"{kernel} {function} {packet_class}: {ratio:.2f} of ipsec-mb's cycles")
                    if ratio > CHAIN_MAX:
                        problems.append(looked_at[-1])
    for figure in figures:
        if figure["function"] == "x25519" and figure["kernel"] != "libsodium":
            ratio = figure["over_yardstick_by_burst"]["32"]
            looked_at.append(f"{figure['kernel']} x25519: {ratio:.2f} of libsodium's cycles")
            if ratio > X25519_MAX:
                problems.append(looked_at[-1])
    return problems, looked_at


def main():
    bin_dir = pathlib.Path(sys.argv[1])
    for _ in range(ATTEMPTS):
        problems, looked_at = problems_of(crypto(bin_dir))
        print("\n".join(looked_at))
        if not looked_at:
            print("SKIPPED: this CPU, or this build, has no vector kernel")
            return SKIPPED
        if not problems:
            return 0
    print("FAILED, each time: " + "; ".join(problems))
    return 1


if __name__ == "__main__":
    sys.exit(main())
