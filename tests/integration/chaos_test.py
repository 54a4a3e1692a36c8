#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A swarm of five under load while one or two nodes at a time die, stand still, are cut off, have a bad link, a full disk or a new one.

        clients (threads) ---- br0 ---- v1 .. v5 ---- n1 .. n5     one swarm; faults hit one node at a time, or two
                                  \\-- slow_link.py --/

Clients store, store again, delete, change expiries of one or of all, and read, through whichever node answers, and remember what they were
told. At the end:

    * every message whose store was acknowledged, and that nobody deleted or let expire, is on every member, with the expiry that was
      asked for last;
    * nothing whose deletion was acknowledged, and nothing whose time is over, is on any member;
    * all members have the same messages with the same expiries, also those about whose fate no client heard.

A client that gets no answer does not know what happened, and asks another node for the same. What may have been stored twice it
does not delete: its first request may still be waiting in a process that stands still, and is the client's own, later word.

A node whose data are lost loses as well what it had still to tell others that were away. So that happens to one node alone, and while
nobody has anything left to tell; it then fetches what it had from the other members.

The full disk is a tmpfs of one node, filled to its last byte, so that RocksDB meets ENOSPC. It needs a mount namespace of its own.

usage: chaos_test.py BIN_DIR [--long] [--seconds N] [--seed N] [--only KIND,...]

A run lasts 40 s, with --long or ALLIUM_LONG=1 180 s, and until each kind of fault has been there. It fails as well where hardly
anything was done. The seed decides faults, victims and requests, not what the threads make of it.
"""
import argparse
import base64
import collections
import contextlib
import http.client
import json
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from full_disk import can_mount, fill_disk, own_mounts, wait_until

try:
    from session_client import Account, Https, Node, now_ms, sodium
except ImportError as missing:
    print(f"skipped: python3 lacks {missing.name}: install python3-nacl, python3-zmq, python3-cryptography")
    sys.exit(77)

SKIPPED = 77
NODES = 5
DEVNET_UP = ("devnet", "up", "--nodes", str(NODES))
SMALL_DISK_NODE = 5
SMALL_DISK_BYTES = 256 << 20

WORKERS = 6
ACCOUNTS_EACH = 3
SPACES = (0, 5)  # anyone may write; only the owner may
PAUSE_S = 0.06   # between two requests of a worker
ANSWER_S = 8     # a member that does not answer costs the entry node 5 s
ATTEMPTS = 4
AVOID_S = 2      # a node that did not answer is left alone so long
HOUR_MS = 3_600_000
EQUAL_WITHIN_S = 60
CLOCK_MS = 1500  # what is this near to its end may be there or not
PAIRS = 0.6      # of the faults that may come with another do
QUIET_S = 1.5    # so long nobody hands anything on
KINDS_WITHIN_S = 200

# What clients have to get done in 40 s for the run to mean something; on a fast machine it is ten times as much.
DONE_IN_40_S = {"acknowledged": 60, "deleted": 5, "stored again": 1, "expired": 5, "expired all": 1, "read": 10}


def allium(*words, check=True):
    return subprocess.run([str(options.bin_dir / "allium"), *words], capture_output=True, text=True, timeout=90, check=check)


class Message:
    """What its client knows of it."""

    def __init__(self, account, space, params):
        self.account, self.space, self.params = account, space, params
        self.data = params["data"]
        self.hash = None         # given by the acknowledgement
        self.expiry = params["timestamp"] + params["ttl"]
        self.stored_once = True  # one request, one answer
        self.fate = "unknown"    # kept, deleted; unknown: nobody has told
        self.is_expiry_sure = True
        self.is_expiry_changed = False
        self.history = []        # what was asked about it, and what came back, for a person

    def must_be_there(self, now):
        return self.fate == "kept" and self.is_expiry_sure and self.expiry > now + CLOCK_MS

    def must_be_gone(self, now):
        return self.fate == "deleted" or (self.hash and self.is_expiry_sure and self.expiry < now - CLOCK_MS)


class Report:
    """What the workers count together."""

    def __init__(self):
        self.lock = threading.Lock()
        self.counts = collections.Counter()
        self.store_seconds = []
        self.acknowledged_at = [time.monotonic()]

    def count(self, what):
        with self.lock:
            self.counts[what] += 1

    def stored(self, seconds):
        with self.lock:
            self.counts["acknowledged"] += 1
            self.store_seconds.append(seconds)
            self.acknowledged_at.append(time.monotonic())

    def longest_gap(self):
        return max((b - a for a, b in zip(self.acknowledged_at, self.acknowledged_at[1:])), default=0.0)


class Worker(threading.Thread):
    """A client with some accounts, that does one thing after the other."""

    def __init__(self, number, nodes, report, is_over):
        super().__init__(name=f"worker {number}")
        self.random = random.Random(f"{options.seed}/{number}")
        self.accounts = [Account(5, self.random.randbytes(32)) for _ in range(ACCOUNTS_EACH)]
        self.nodes, self.report, self.is_over = nodes, report, is_over
        self.connections, self.avoided, self.messages = {}, {}, []
        self.may_be_shortened = set()  # (account, space): an unanswered expire_all may be carried out at any time
        self.failure = None

    def run(self):
        try:
            while not self.is_over.wait(PAUSE_S):
                self.step()
        except Exception as error:
            self.failure = repr(error)

    def step(self):
        deeds = {self.store: 60, self.store_again: 3, self.delete: 15, self.change_expiry: 12, self.expire_all: 1, self.read: 15}
        self.random.choices(list(deeds), list(deeds.values()))[0]()

    def entries(self):
        """Nodes to try, those that did not answer lately last."""
        nodes = self.random.sample(self.nodes, len(self.nodes))
        now = time.monotonic()
        return sorted(nodes, key=lambda node: self.avoided.get(node.ed25519, 0) > now)[:ATTEMPTS]

    def ask(self, node, method, params):
        """(status, body), or None where nothing came back."""
        key = node.ed25519
        try:
            if key not in self.connections:
                self.connections[key] = Https(node, ANSWER_S)
            return self.connections[key].call(method, params)
        except (OSError, http.client.HTTPException):
            self.connections.pop(key, None)
            self.avoided[key] = time.monotonic() + AVOID_S
            self.report.count("unanswered")
            return None

    def ask_until(self, message, method, params, is_done):
        """Asks nodes until one says yes; gives its answer, or None, and how many were asked."""
        asked = 0
        for asked, node in enumerate(self.entries(), 1):
            at_ms = now_ms()
            answer = self.ask(node, method, params)
            if message:
                message.history.append(f"{method} at {at_ms} by n{self.nodes.index(node) + 1}: {self.in_short(answer)}")
            if answer and answer[0] == 200 and is_done(answer[1], answer[1]["swarm"][node.ed25519]):
                return answer[1], asked
            if answer:
                self.avoided[node.ed25519] = time.monotonic() + AVOID_S
                self.report.count("refused")
        return None, asked

    def in_short(self, answer):
        if not answer or answer[0] != 200:
            return answer and answer[0]
        failed = [f"n{number}" for number, node in enumerate(self.nodes, 1) if "failed" in answer[1]["swarm"].get(node.ed25519, {})]
        return f"200 without {', '.join(failed)}" if failed else "200"

    def store(self):
        account, space = self.random.choice(self.accounts), self.random.choice(SPACES)
        ttl = self.random.choice((HOUR_MS, HOUR_MS, HOUR_MS, HOUR_MS, 10_000))
        params = account.store(self.random.randbytes(self.random.randint(20, 2000)), space, ttl)
        message = Message(account, space, params)
        message.is_expiry_sure = (account, space) not in self.may_be_shortened
        self.messages.append(message)
        begin = time.monotonic()
        body, asked = self.ask_until(message, "store", params, lambda body, own: "hash" in body and "failed" not in own)
        message.stored_once = asked == 1
        if body:
            message.hash, message.fate = body["hash"], "kept"
            self.report.stored(time.monotonic() - begin)

    def store_again(self):
        """What is there lives on; what was deleted is there again."""
        now = now_ms()
        known = [m for m in self.messages[-200:] if m.stored_once and
                 (m.must_be_there(now) or (m.fate == "deleted" and not m.is_expiry_changed))]
        if not known:
            return
        message = self.random.choice(known)
        params = message.account.store(base64.b64decode(message.data), message.space, HOUR_MS)
        was_there = message.fate == "kept"
        message.fate = "unknown"
        body, asked = self.ask_until(message, "store", params, lambda body, own: "hash" in body and "failed" not in own)
        message.stored_once = asked == 1
        if body:
            expiry = params["timestamp"] + params["ttl"]
            message.expiry = max(message.expiry, expiry) if was_there else expiry
            message.fate = "kept"
            message.is_expiry_sure = message.stored_once and (message.account, message.space) not in self.may_be_shortened
            self.report.count("stored again")

    def settled(self):
        """A message of which all is known, to do something to."""
        now = now_ms()
        known = [m for m in self.messages[-200:] if m.stored_once and m.must_be_there(now) and m.expiry > now + HOUR_MS / 2]
        return self.random.choice(known) if known else None

    def delete(self):
        message = self.settled()
        if not message:
            return
        message.fate = "unknown"
        body, _ = self.ask_until(message, "delete", message.account.delete(message.hash), lambda _, own: "failed" not in own)
        if body:
            message.fate = "deleted"
            self.report.count("deleted")

    def change_expiry(self):
        message = self.settled()
        if not message:
            return
        how = self.random.choices(("shorten", "extend", ""), (70, 15, 15))[0]
        # By so much that each is obeyed: an extension by under a hundredth is not.
        at = now_ms() + self.random.randint(500, 6000) if how == "shorten" else message.expiry + self.random.randint(100_000, 600_000)
        flags = {how: True} if how else {}
        params = message.account.signed(["expire", how, at, message.hash], messages=[message.hash], expiry=at, **flags)
        message.is_expiry_sure, message.is_expiry_changed = False, True
        body, _ = self.ask_until(message, "expire", params, lambda _, own: "failed" not in own)
        if body:
            message.expiry, message.is_expiry_sure = at, True
            self.report.count("expired")

    def expire_all(self):
        account, space = self.random.choice(self.accounts), self.random.choice(SPACES)
        at = now_ms() + self.random.randint(5_000, 40_000)
        concerned = [m for m in self.messages if (m.account, m.space) == (account, space) and not m.must_be_gone(now_ms())]
        before = [(m, m.expiry) for m in concerned if m.stored_once and m.is_expiry_sure and m.fate == "kept"]
        for message in concerned:
            message.is_expiry_sure, message.is_expiry_changed = False, True
        params = account.signed(["expire_all", space or "", at], namespace=space, expiry=at)
        body, asked = self.ask_until(None, "expire_all", params, lambda _, own: "failed" not in own)
        if asked > 1 or not body:
            self.may_be_shortened.add((account, space))
        else:
            for message, expiry in before:
                message.history.append(f"expire_all to {at}")
                message.expiry, message.is_expiry_sure = min(expiry, at), True
            self.report.count("expired all")

    def read(self):
        account = self.random.choice(self.accounts)
        answer = self.ask(self.entries()[0], "retrieve", account.retrieve(self.random.choice(SPACES), max_count=20))
        if answer and answer[0] == 200:
            self.report.count("read")


class Swarm:
    """The devnet's nodes as the test sees and mistreats them."""

    def __init__(self, has_small_disk):
        self.has_small_disk = has_small_disk
        self.folder = Path(os.environ["ALLIUM_DEVNET_DIR"])
        status = self.status()
        self.nodes = []
        for node in status:
            key = bytes.fromhex(node["service_key"])
            x25519 = sodium.crypto_sign_ed25519_pk_to_curve25519(key).hex()
            self.nodes.append(Node(node["endpoints"][0].rsplit(":", 1)[0], node["https_port"], node["omq_port"],
                                   node["service_key"], x25519))

    @staticmethod
    def status():
        return json.loads(allium("devnet", "status", "--json", check=False).stdout)["nodes"]

    def service_pid(self, number):
        return self.status()[number - 1]["service_pid"]

    def told_by(self, number):
        """The status of an alliumd. Its local socket speaks to whoever asks in one line."""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(10)
            line.connect(str(self.folder / f"n{number}.service"))
            line.sendall(b"status\n")
            return json.loads(b"".join(iter(lambda: line.recv(65536), b"")))

    def is_broken(self, number):
        return any("cannot write" in problem for problem in self.told_by(number)["problems"])

    def traffic(self):
        """What each node has queued and handed on until now; None where one owes another something."""
        told = [self.told_by(number) for number in range(1, NODES + 1)]
        if any(one["members_dead"] or one["members_behind"] or one["fetch"]["parts_open"] for one in told):
            return None
        return [(one["swarm_traffic"]["queued"], one["swarm_traffic"]["handed_over"]) for one in told]

    def owed(self):
        """Why it is not quiet, for a person."""
        told = [self.told_by(number) for number in range(1, NODES + 1)]
        words = ("members_dead", "members_behind", "fetch", "swarm_traffic", "problems")
        return "; ".join(f"n{number}: " + ", ".join(f"{word} {one[word]}" for word in words) for number, one in enumerate(told, 1))

    def is_quiet(self):
        """Nobody owes anything to anybody, and did not a little later either."""
        before = self.traffic()
        time.sleep(QUIET_S)
        return before is not None and before == self.traffic()

    def answers(self, number):
        """alliumd answers, and knows its swarm."""
        try:
            account = Account(5, bytes(32))
            return Https(self.nodes[number - 1], 2).call("retrieve", account.retrieve())[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def wait_for(self, number, seconds=40):
        wait_until(lambda: self.answers(number), seconds, f"n{number} answers")

    # Faults: each yields while it lasts.

    @contextlib.contextmanager
    def process_killed(self, number):
        os.kill(self.service_pid(number), signal.SIGKILL)
        yield  # the supervisor starts it again

    @contextlib.contextmanager
    def node_killed(self, number):
        allium("devnet", "kill", f"n{number}")
        yield
        allium("devnet", "start", f"n{number}")

    @contextlib.contextmanager
    def stopped(self, number):
        pid = self.service_pid(number)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    @contextlib.contextmanager
    def cut_off(self, number):
        subprocess.run(["ip", "link", "set", f"v{number}", "down"], check=True)
        yield
        subprocess.run(["ip", "link", "set", f"v{number}", "up"], check=True)

    @contextlib.contextmanager
    def bad_link(self, number, *how):
        with subprocess.Popen([sys.executable, "-B", str(HERE / "slow_link.py"), f"v{number}", *how],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as link:
            if link.stdout.readline() != b"ready\n":
                raise RuntimeError("slow_link.py does not start")
            yield
            link.stdin.close()
        if link.returncode != 0:
            raise RuntimeError("slow_link.py failed")

    def delayed(self, number):
        return self.bad_link(number, "delay", "300", "100")

    def apart(self, number):
        return self.bad_link(number, "apart")

    @contextlib.contextmanager
    def disk_full(self, number):
        assert number == SMALL_DISK_NODE
        filler = self.folder / f"n{number}.data" / "filler"
        pid = self.service_pid(number)
        try:
            # Again and again, since RocksDB frees room when it is done with a log.
            wait_until(lambda: fill_disk(filler, pid) and self.is_broken(number), 20, "the full disk is noticed")
            yield
        finally:
            filler.unlink()
        wait_until(lambda: not self.is_broken(number), 20, "the store goes on by itself")
        assert pid == self.service_pid(number), "it was started again"

    @contextlib.contextmanager
    def data_lost(self, number):
        """A new disk for the node: all that alliumd had in its folder is gone."""
        wait_until(self.is_quiet, 60, "nobody owes anything", self.owed)
        lost = self.told_by(number)["store"]["messages"]
        allium("devnet", "kill", f"n{number}")
        for one in (self.folder / f"n{number}.data").iterdir():
            shutil.rmtree(one) if one.is_dir() else one.unlink()
        allium("devnet", "start", f"n{number}")
        print(f"          n{number} had {lost} messages", flush=True)
        yield
        wait_until(lambda: self.told_by(number)["fetch"]["parts_open"] == 0, 60, "it has fetched all")

    KINDS = ("data_lost", "process_killed", "node_killed", "stopped", "cut_off", "apart", "delayed", "disk_full")

    def give_small_disk(self):
        """Before the load: the node loses nothing."""
        data = self.folder / f"n{SMALL_DISK_NODE}.data"
        allium("devnet", "kill", f"n{SMALL_DISK_NODE}")
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK_BYTES}", "small-disk", str(data)], check=True)
        allium("devnet", "start", f"n{SMALL_DISK_NODE}")
        self.wait_for(SMALL_DISK_NODE)

    # What is there.

    def messages(self, number, account, space):
        """{hash: (expiry, data)} of one member, page by page."""
        found, last = {}, ""
        connection = Https(self.nodes[number - 1])
        while True:
            status, body = connection.call("retrieve", account.retrieve(space, last_hash=last))
            if status != 200:
                raise OSError(f"n{number} answers {status} {body}")
            for one in body["messages"]:
                found[one["hash"]] = (one["expiration"], one["data"])
                last = one["hash"]
            if not body["more"]:
                return found

    def contents(self, accounts):
        """By member: {(account, space, hash): (expiry, data)}, as it is when all have been asked."""
        contents = []
        for number in range(1, NODES + 1):
            contents.append({(account.id, space, key): value for account in accounts for space in SPACES
                             for key, value in self.messages(number, account, space).items()})
        now = now_ms()
        # While one member was asked after the other, time went on.
        return [{key: value for key, value in one.items() if value[0] > now} for one in contents]


class Faults(threading.Thread):
    """One or two after the other, healed before the next begin, until it is time to end and all kinds have been there."""

    def __init__(self, swarm, is_over):
        super().__init__(name="faults")
        self.random = random.Random(options.seed)
        self.swarm, self.is_over = swarm, is_over
        self.counts = collections.Counter()
        self.pairs = 0
        self.failure = None
        self.wanted = [kind for kind in options.only or Swarm.KINDS if kind != "disk_full" or swarm.has_small_disk]

    def rounds(self):
        """For ever all kinds, shuffled, some of them two together."""
        while True:
            kinds = self.random.sample(self.wanted, len(self.wanted))
            while kinds:
                kind = kinds.pop()
                may_pair = kinds and "data_lost" not in (kind, kinds[-1])
                yield [kind, kinds.pop()] if may_pair and self.random.random() < PAIRS else [kind]

    def victims(self, kinds):
        """[(kind, node)]: no node twice, so that two of five are hit at most."""
        free = set(range(1, NODES + 1))
        chosen = []
        for kind in sorted(kinds, key=lambda kind: kind != "disk_full"):
            number = SMALL_DISK_NODE if kind == "disk_full" else self.random.choice(sorted(free))
            free.discard(number)
            chosen.append((kind, number))
        return chosen

    def is_done(self, begin):
        return time.monotonic() >= begin + options.seconds and all(self.counts[kind] for kind in self.wanted)

    def run(self):
        begin = time.monotonic()
        try:
            time.sleep(1)
            for kinds in self.rounds():
                if self.is_done(begin):
                    return
                if time.monotonic() > begin + options.seconds + KINDS_WITHIN_S:
                    raise TimeoutError(f"not each kind of fault within {options.seconds + KINDS_WITHIN_S} s")
                self.one_round(kinds, begin)
                time.sleep(self.random.uniform(0, 1))
        except Exception as error:
            self.failure = repr(error)
        finally:
            self.is_over.set()

    def one_round(self, kinds, begin):
        victims = self.victims(kinds)
        lasts_s = self.random.uniform(2, 4) if options.seconds <= 60 else self.random.uniform(3, 10 if "stopped" in kinds else 6)
        print(f"{time.monotonic() - begin:6.1f} s  {' and '.join(f'n{number} {kind}' for kind, number in victims)} for {lasts_s:.1f} s",
              flush=True)
        with contextlib.ExitStack() as faults:
            for kind, number in victims:
                faults.enter_context(getattr(self.swarm, kind)(number))
            time.sleep(lasts_s)
        for kind, number in victims:
            self.swarm.wait_for(number)
            self.counts[kind] += 1
        self.pairs += len(victims) == 2


def verdict(contents, workers):
    """What is wrong, in words; nothing where all is well."""
    now = now_ms()
    wrong = []
    known = {(m.account.id, m.space, m.data): m for worker in workers for m in worker.messages}
    for number, one in enumerate(contents, 1):
        there = {key[:2] + (data,): expiry for key, (expiry, data) in one.items()}
        wrong += [f"n{number}: has what nobody stored: {key[2]}" for key, (_, data) in one.items()
                  if key[:2] + (data,) not in known]
        for key, message in known.items():
            if message.must_be_there(now) and key not in there:
                wrong.append(f"n{number}: lost {message.hash}, stored at {message.params['timestamp']}")
            if message.must_be_there(now) and there.get(key, message.expiry) != message.expiry:
                wrong.append(f"n{number}: {message.hash} is there until {there[key]}, and should be until {message.expiry}")
                wrong += [f"    {line}" for line in message.history]
            if message.must_be_gone(now) and key in there:
                what = "deleted" if message.fate == "deleted" else f"expired at {message.expiry}"
                wrong.append(f"n{number}: has {message.hash}, {what}; there until {there[key]}")
    for key in sorted(set().union(*contents)):
        values = [one.get(key) for one in contents]
        if len(set(values)) > 1:
            message = next((known[key[:2] + (value[1],)] for value in values if value and key[:2] + (value[1],) in known), None)
            fate = f"{message.fate}, expiry {'' if message.is_expiry_sure else 'perhaps '}{message.expiry}" if message else "?"
            wrong.append(f"unequal: {key[2]} ({fate}): expiries {[value and value[0] for value in values]}")
            wrong += [f"    {line}" for line in message.history] if message else []
    return wrong


def compare(swarm, workers):
    """The last verdict: the first good one, or what there is when the time is over."""
    accounts = [account for worker in workers for account in worker.accounts]
    begin = time.monotonic()
    wrong = ["nothing was compared"]
    while wrong and time.monotonic() < begin + EQUAL_WITHIN_S:
        time.sleep(0.5)
        try:
            contents = swarm.contents(accounts)
        except (OSError, http.client.HTTPException) as error:
            wrong = [str(error)]
            continue
        wrong = verdict(contents, workers)
    if not wrong:
        print(f"members equal {time.monotonic() - begin:.1f} s after the end: {len(contents[0])} messages on each")
    return wrong


def print_report(report, faults, seconds):
    counts = report.counts
    times = sorted(report.store_seconds) or [0]
    print(f"in {seconds:.0f} s: {counts['acknowledged']} stores acknowledged, {counts['deleted']} deleted, "
          f"{counts['stored again']} stored again, {counts['expired']} and {counts['expired all']} times all of an account's given "
          f"another expiry, {counts['read']} read; {counts['unanswered']} requests unanswered, {counts['refused']} refused")
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(faults.counts.items()))
    print(f"faults: {sum(faults.counts.values())}, {faults.pairs} times two at once: {kinds}")
    print(f"longest time without an acknowledged store: {report.longest_gap():.1f} s; "
          f"stores p50 {1000 * statistics.median(times):.0f} ms, p99 {1000 * times[len(times) * 99 // 100]:.0f} ms")


def too_little(counts):
    """What the clients did not get done, in words."""
    share = options.seconds / 40
    return [f"only {counts[what]} {what} in {options.seconds} s, expected at least {least * share:.1f}"
            for what, least in DONE_IN_40_S.items() if counts[what] < least * share]


def inside():
    print(f"seed {options.seed}, {options.seconds} s", flush=True)
    swarm = Swarm(options.has_small_disk)
    if swarm.has_small_disk:
        swarm.give_small_disk()
    else:
        print("no full disk: this user gets no mount namespace")
    for number in range(1, NODES + 1):
        swarm.wait_for(number)
    begin = time.monotonic()
    report = Report()
    is_over = threading.Event()
    workers = [Worker(number, swarm.nodes, report, is_over) for number in range(WORKERS)]
    faults = Faults(swarm, is_over)
    for thread in (*workers, faults):
        thread.start()
    for thread in (*workers, faults):
        thread.join()
    print_report(report, faults, time.monotonic() - begin)
    failures = [f"{thread.name}: {thread.failure}" for thread in (*workers, faults) if thread.failure]
    wrong = failures + too_little(report.counts) + compare(swarm, workers)
    for text in wrong[:40]:
        print(text)
    if wrong:
        print(f"FAILED: {len(wrong)} findings; again: {Path(__file__).name} BIN_DIR --seconds {options.seconds} --seed {options.seed}")
    return 1 if wrong else 0


def outside():
    """Starts the devnet, runs the test inside its network, ends it."""
    with tempfile.TemporaryDirectory(prefix="allium-chaos-") as folder:
        os.environ["ALLIUM_DEVNET_DIR"] = folder + "/devnet"
        up = allium(*DEVNET_UP, check=False)
        if up.returncode != 0:
            print(up.stderr)
            return SKIPPED if "namespace" in up.stderr and "allows no" in up.stderr else 1
        try:
            again = [sys.executable, "-B", __file__, str(options.bin_dir), "--inside", "--seed", str(options.seed), "--seconds",
                     str(options.seconds), *(["--only", ",".join(options.only)] if options.only else []),
                     *(["--has-small-disk"] if options.has_small_disk else [])]
            return subprocess.run([str(options.bin_dir / "allium"), "devnet", "exec", "--", *again],
                                  timeout=options.seconds + KINDS_WITHIN_S + 200).returncode
        finally:
            if os.environ.get("ALLIUM_SHOW_LOGS"):
                for log in sorted(Path(folder, "devnet").glob("*.log")):
                    print(log.name, log.read_text(), sep="\n")
            allium("devnet", "down")
            if options.has_small_disk:
                subprocess.run(["umount", f"{folder}/devnet/n{SMALL_DISK_NODE}.data"], check=False, stderr=subprocess.DEVNULL)
                allium("devnet", "down", check=False)


def with_own_mounts():
    """This program again, where it may mount; None where it may not."""
    if not can_mount():
        return None
    return subprocess.run([*own_mounts(), sys.executable, "-B", __file__, *sys.argv[1:], "--seed", str(options.seed),
                           "--has-small-disk"]).returncode


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("bin_dir", type=lambda text: Path(text).resolve())
    parser.add_argument("--long", action="store_true", default=os.environ.get("ALLIUM_LONG") == "1")
    parser.add_argument("--seconds", type=int)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--only", type=lambda text: text.split(","))
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--has-small-disk", action="store_true", help=argparse.SUPPRESS)
    found = parser.parse_args()
    found.seconds = found.seconds or (180 if found.long else 40)
    return found


if __name__ == "__main__":
    options = arguments()
    code = None if options.inside or options.has_small_disk else with_own_mounts()
    if code is None:
        code = inside() if options.inside else outside()
    sys.exit(code)
