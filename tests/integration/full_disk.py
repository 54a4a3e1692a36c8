# SPDX-License-Identifier: Apache-2.0
"""A disk that is full: a tmpfs of one node, filled to its last byte, so that RocksDB meets ENOSPC. It needs a mount namespace."""
import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path


def own_mounts():
    """What a command is run with that mounts what nobody else sees."""
    return ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]


def can_mount():
    return subprocess.run([*own_mounts(), "true"], capture_output=True).returncode == 0


def wait_until(condition, seconds, what, why_not=lambda: ""):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds} s {why_not()}".rstrip())
        time.sleep(0.1)


def fill_disk(filler, pid):
    """To the last byte."""
    # RocksDB has allocated room for its log ahead, more than this load would fill: give that away as well, while it writes nothing.
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(lambda: is_stopped(pid), 5, "the process stands still")
        for log in filler.parent.glob("messages/*.log"):
            subprocess.run(["fallocate", "--punch-hole", "--offset", str((log.stat().st_size + 4095) // 4096 * 4096),
                            "--length", str(1 << 30), str(log)], check=True)
    finally:
        os.kill(pid, signal.SIGCONT)
    with open(filler, "ab", buffering=0) as file:
        for piece in (1 << 20, 4096):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(piece))
    return True


def is_stopped(pid):
    """All of its threads."""
    states = [Path(stat).read_text() for stat in Path(f"/proc/{pid}/task").glob("*/stat")]
    return all(state[state.rindex(")") + 2] == "T" for state in states)
