#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Code for wide vectors stays where it is asked for.

A weak symbol of an object that is compiled for AVX-512 may be the copy that the linker keeps for the whole program, which then
ends on a CPU without it: so wide objects, known by their names, define none. And no other object has wide registers at all.

usage: wide_objects_test.py COMPILER OBJECT...
"""
import re
import subprocess
import sys
import tempfile
from pathlib import Path

WIDE_NAME = re.compile(r"_(avx2|avx512|vaes)")
WIDE_REGISTER = re.compile(r"%[yz]mm")
SHARED_KINDS = "WVu"  # weak function, weak object, unique: whichever copy the linker likes


def output_of(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def shared_symbols(path):
    lines = output_of("nm", "--defined-only", "--demangle", str(path)).splitlines()
    return [line.split(None, 2)[2] for line in lines if line.split(None, 2)[1] in SHARED_KINDS]


def has_wide_registers(path):
    return WIDE_REGISTER.search(output_of("objdump", "--disassemble", "--no-show-raw-insn", str(path))) is not None


def findings(objects):
    for path in objects:
        if WIDE_NAME.search(path.name):
            for name in shared_symbols(path):
                yield f"{path.name} defines {name}, which other files may define as well"
        elif has_wide_registers(path):
            yield f"{path.name} uses registers wider than 128 bits, and its name does not say so"


def canaries(compiler, folder):
    """Objects that have to be found: an inline body in a wide file, and wide code in another."""
    bodies = {
        "canary_avx2.cpp": "inline int body(int x) { return x + 1; }\nint (*taken)(int) = body;\n",
        "canary.cpp": '__attribute__((target("avx2"))) void wide() { asm volatile("vpxor %ymm0, %ymm0, %ymm0"); }\n',
    }
    for name, body in bodies.items():
        source = Path(folder) / name
        source.write_text(body, encoding="ascii")
        subprocess.run([compiler, "-c", str(source), "-o", str(source) + ".o"], check=True)
        yield Path(str(source) + ".o")


def main():
    compiler, objects = sys.argv[1], [Path(word) for word in sys.argv[2:]]
    with tempfile.TemporaryDirectory() as folder:
        if len(list(findings(canaries(compiler, folder)))) != 2:
            print("this test does not find what it should")
            return 1
    wide = [path for path in objects if WIDE_NAME.search(path.name)]
    found = list(findings(objects))
    for line in found:
        print(line)
    print(f"{len(objects)} objects, {len(wide)} of them wide, {len(found)} findings")
    return 1 if found or not wide else 0


if __name__ == "__main__":
    sys.exit(main())
