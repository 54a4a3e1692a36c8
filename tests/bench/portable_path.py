#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Instructions a packet of the portable path, within 1 % of what was recorded.

usage: portable_path.py PROGRAM [--record]

A fixed set of packets goes through Relay::run on the kernel ipsec-mb-sse under callgrind. What is counted does not depend
on the machine: only instructions between entry and return of Relay::run, and of these only those in the program itself
and in ipsec-mb. The C library chooses its memcpy by the CPU, so that its instructions are left out; ipsec-mb chooses by
CPUID, but valgrind's emulated CPU has none of the extensions that its SSE code looks for (SHA, GFNI).

It does depend on compiler, build type and library. So the record names those that it holds for, and with any others the
test is skipped by name. A change that is meant to change the count records it again (--record) in the same commit, which
shows by how much.
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

RECORD = pathlib.Path(__file__).with_suffix(".json")
PERCENT_MAX = 1.0
SKIPPED = 77
HOLDS_FOR = ("compiler", "build", "ipsec_mb", "valgrind")


def own_cost_by_object(text):
    """Instructions of each object file in a callgrind profile, without those of what it called."""
    names, cost, current, is_call = {}, {}, "", False
    for line in text.splitlines():
        match = re.match(r"ob=\((\d+)\)(?: (.*))?$", line)
        if match:
            current = names.setdefault(match[1], match[2])
        elif line.startswith("cob="):  # the called one's; it may be where a name is given for the first time
            match = re.match(r"cob=\((\d+)\)(?: (.*))?$", line)
            names.setdefault(match[1], match[2])
        elif line.startswith("calls="):
            is_call = True
        elif re.match(r"[+\-*\d]", line):
            if not is_call:
                cost[current] = cost.get(current, 0) + int(line.split()[1])
            is_call = False
    return cost


def instructions(program, letter, folder):
    """What the program says of itself, and its instructions."""
    profile = pathlib.Path(folder) / letter
    environment = dict(os.environ, ALLIUM_KERNEL="onion=ipsec-mb-sse,x25519=libsodium,aead=one-by-one")
    done = subprocess.run(["valgrind", "--tool=callgrind", "--collect-atstart=no", "--toggle-collect=measured_relay",
                           f"--callgrind-out-file={profile}", "--quiet", program, letter],
                          capture_output=True, text=True, env=environment, timeout=600)
    if done.returncode != 0:
        sys.exit(f"FAILED: {program} {letter} under callgrind: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    own = {}
    for name, cost in own_cost_by_object(profile.read_text()).items():
        if name == program or "libIPSec_MB" in name:
            own["program" if name == program else "ipsec-mb"] = cost
    return json.loads(done.stdout), own


def measure(program):
    result = {"valgrind": subprocess.run(["valgrind", "--version"], capture_output=True, text=True).stdout.strip(),
              "instructions_per_packet": {}}
    with tempfile.TemporaryDirectory() as folder:
        for letter in ("d", "v"):
            said, own = instructions(program, letter, folder)
            result.update({key: said[key] for key in ("compiler", "build", "ipsec_mb", "kernel")})
            result["instructions_per_packet"][letter] = {part: cost / said["packets"] for part, cost in own.items()}
    return result


def check(measured, recorded):
    differing = [f"{key} {measured[key]} (recorded: {recorded[key]})" for key in HOLDS_FOR if measured[key] != recorded[key]]
    if differing:
        print("SKIPPED: the record holds for another " + ", ".join(differing))
        return SKIPPED
    failures = 0
    for letter, expected in recorded["instructions_per_packet"].items():
        found = measured["instructions_per_packet"][letter]
        before, now = sum(expected.values()), sum(found.values())
        percent = (now / before - 1) * 100
        print(f"class {letter}: {now:.1f} instructions a packet, recorded {before:.1f} ({percent:+.2f} %); {found}")
        if set(found) != set(expected) or abs(percent) > PERCENT_MAX:
            failures += 1
    if failures:
        print(f"FAILED: more than {PERCENT_MAX} % apart. Where that is meant: {sys.argv[0]} {sys.argv[1]} --record")
    return 1 if failures else 0


def main():
    program = str(pathlib.Path(sys.argv[1]).resolve())
    if shutil.which("valgrind") is None:
        print("SKIPPED: valgrind is not installed")
        return SKIPPED
    measured = measure(program)
    if "--record" in sys.argv[2:]:
        RECORD.write_text(json.dumps(measured, indent=2, sort_keys=True) + "\n")
        print(RECORD.read_text())
        return 0
    return check(measured, json.loads(RECORD.read_text()))


if __name__ == "__main__":
    sys.exit(main())
