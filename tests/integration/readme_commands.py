#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs every `allium` command that README.md shows, in its order, as a reader would.

Commands that measure for minutes get words that make them short, and may answer that this machine cannot measure a figure.

usage: readme_commands.py BIN_DIR
"""
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
COMMANDS_MIN = 10
# First words of a command: words that make it short, exit codes that are no failure.
LONG_COMMANDS = {("allium", "bench", "report"): (["--packets", "256", "--repeats", "1"], (0, 1))}


def commands_of(text):
    """Lines `$ allium ...` of the console blocks, without their comments."""
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ allium "):
                yield line[2:].split("  #")[0].split(" #")[0].strip()


def main():
    bin_dir = pathlib.Path(sys.argv[1])
    commands = list(commands_of((ROOT / "README.md").read_text()))
    if len(commands) < COMMANDS_MIN:
        print(f"FAILED: README.md shows {len(commands)} commands, at least {COMMANDS_MIN} are expected")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        environment = dict(os.environ, ALLIUM_DEVNET_DIR=folder + "/devnet",
                           PATH=f"{bin_dir}:{os.environ['PATH']}")
        (pathlib.Path(folder) / "README.md").write_text((ROOT / "README.md").read_text())
        try:
            for command in commands:
                print(f"$ {command}", flush=True)
                words = shlex.split(command)
                more, good = LONG_COMMANDS.get(tuple(words[:3]), ([], (0,)))
                done = subprocess.run(words + more, cwd=folder, env=environment, timeout=300)
                if done.returncode not in good:
                    print(f"FAILED with exit code {done.returncode}: {command}")
                    return 1
        finally:
            subprocess.run(["allium", "devnet", "down"], env=environment, timeout=60)
    print(f"{len(commands)} commands of README.md work")
    return 0


if __name__ == "__main__":
    sys.exit(main())
