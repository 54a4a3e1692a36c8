#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks what a compiler does not: include arrows, who may see DPDK, banned calls, files that no target builds.

usage: tools/tidy.py [ROOT]      prints file:line: reason for each finding; exit 1 where there is one
"""
import re
import subprocess
import sys
from pathlib import Path

CODE = {".cpp", ".hpp"}

# Which parts of the tree a part may include. The longest prefix that fits a file is its part.
ARROWS = {
    "crypto_accel/base": {"crypto_accel/base"},
    "crypto_accel": {"crypto_accel"},
    "dataplane/onion": {"dataplane/onion", "crypto_accel"},
    "dataplane/control_port": {"dataplane/control_port", "dataplane/onion", "crypto_accel"},
    "dataplane/engine": {"dataplane/engine", "dataplane/control_port", "dataplane/onion", "crypto_accel"},
    "dataplane": {"dataplane", "crypto_accel"},
    "storage": {"storage", "crypto_accel/base"},
    "control": {"control", "dataplane/control_port", "dataplane/onion", "storage", "crypto_accel"},
    "tools": {"tools", "control", "dataplane", "storage", "crypto_accel"},
    "tests": {"tests", "tools", "control", "dataplane", "storage", "crypto_accel"},
}
OURS = tuple(part + "/" for part in ("crypto_accel", "dataplane", "storage", "control", "tools", "tests"))

# (where, pattern of the included name, why not). `where` is a prefix of the path.
FORBIDDEN_INCLUDES = [
    ("", r"rte_", "dataplane/engine", "only dataplane/engine may see DPDK"),
    ("dataplane/", r"(boost|fmt|CLI|rocksdb)/", None, "the dataplane sees no Boost, fmt, CLI11 or RocksDB"),
    ("crypto_accel/", r"(boost|fmt|CLI|rocksdb)/", None, "crypto_accel sees libraries of cryptography alone"),
    ("storage/", r"boost/asio", None, "storage never sees Asio"),
]

# (where, pattern, why not). Comments and texts in quotes are taken out first.
BANNED = [
    ("", r"\bassert\s*\(", "use ALLIUM_CHECK, which is on in every build"),
    ("", r"\bs?rand\s*\(", "take a Random as an argument"),
    ("", r"\b(strcpy|strcat|sprintf|gets)\s*\(", "use a bounded call"),
    ("", r"\busleep\s*\(", "use nanosleep"),
    ("", r"std::endl", "write \\n"),
    ("", r"^\s*using namespace\b", "name what you use"),
    ("dataplane/onion/relay", r"\bmemcmp\s*\(", "compare MACs by equal(), in constant time"),
    ("dataplane/onion/internal", r"\bmemcmp\s*\(", "compare MACs by equal(), in constant time"),
    ("dataplane/onion/backward_open", r"\bmemcmp\s*\(", "compare MACs by equal(), in constant time"),
]

# Code of the packet path: no exceptions, no allocation hidden in std::function.
PRIVATE_FOLDERS = re.compile(r"/(internal|kernels)/")


def part_of(path):
    fits = [part for part in ARROWS if path.startswith(part + "/")]
    return max(fits, key=len) if fits else None


def code_only(line):
    line = re.sub(r'"(\\.|[^"\\])*"', '""', line)
    return re.sub(r"//.*", "", line)


def check_includes(path, number, line):
    match = re.match(r'\s*#\s*include\s*[<"]([^>"]+)[>"]', line)
    if not match:
        return
    name = match.group(1)
    for where, pattern, allowed, reason in FORBIDDEN_INCLUDES:
        if path.startswith(where) and re.match(pattern, name) and not (allowed and path.startswith(allowed + "/")):
            yield number, reason
    if not name.startswith(OURS):
        return
    part = part_of(path)
    if part and not any(name.startswith(target + "/") for target in ARROWS[part]):
        yield number, f"{part} may not include {name}"
    folder = PRIVATE_FOLDERS.search("/" + name)
    if folder and not path.startswith("tests/"):
        owner = name[: name.index(folder.group(0).strip("/") + "/")]
        if not path.startswith(owner):
            yield number, f"{name} is private to {owner.rstrip('/')}"


def check_file(path, text):
    """Findings of one file: (line, reason)."""
    lines = text.split("\n")
    if "SPDX-License-Identifier: Apache-2.0" not in "\n".join(lines[:3]):
        yield 1, "no SPDX line"
    suffix = Path(path).suffix
    if suffix == ".hpp" and "#pragma once" not in text:
        yield 1, "no #pragma once"
    for number, line in enumerate(lines, 1):
        if line != line.rstrip():
            yield number, "white space at the end of the line"
        if "\t" in line and suffix in CODE:
            yield number, "a tab"
        if suffix not in CODE:
            continue
        if not code_only(line).isascii():
            yield number, "non-ASCII outside comments and texts"
        yield from check_includes(path, number, line)
        for where, pattern, reason in BANNED:
            if path.startswith(where) and re.search(pattern, code_only(line)):
                yield number, reason


def check_targets(files, texts):
    """Every source is built by some target."""
    listed = {}
    for path in files:
        if path.endswith(("CMakeLists.txt", ".cmake")):
            folder = Path(path).parent
            for word in re.findall(r"[\w./-]+\.cpp", texts[path]):
                listed[(folder / word).as_posix()] = path
    resolved = {str(Path(name)) if ".." not in name else re.sub(r"[^/]+/\.\./", "", name) for name in listed}
    for path in files:
        if path.endswith(".cpp") and path not in resolved:
            yield path, 1, "no CMakeLists.txt builds this file"


def check_tree(texts):
    """Findings of a tree {path: text}: (path, line, reason)."""
    files = sorted(texts)
    for path in files:
        if Path(path).suffix in CODE or path.endswith((".py", ".cmake", "CMakeLists.txt")):
            for number, reason in check_file(path, texts[path]):
                yield path, number, reason
    yield from check_targets(files, texts)


def tree_of(root):
    listing = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=root, capture_output=True,
                             text=True)
    if listing.returncode == 0:
        names = listing.stdout.split("\n")
    else:
        names = [p.relative_to(root).as_posix() for p in Path(root).rglob("*") if "build" not in p.parts]
    wanted = [n for n in names if Path(n).suffix in CODE | {".py", ".cmake"} or n.endswith("CMakeLists.txt")]
    return {n: (Path(root) / n).read_text(encoding="utf-8") for n in wanted if (Path(root) / n).is_file()}


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    texts = tree_of(root)
    findings = list(check_tree(texts))
    for path, number, reason in findings:
        print(f"{path}:{number}: {reason}")
    print(f"{len(texts)} files, {len(findings)} findings", file=sys.stderr)
    return 1 if findings or not texts else 0


if __name__ == "__main__":
    sys.exit(main())
