#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every status that a service node answers, provoked over every way that has it, and the answers of all ways compared with each other.

    this script ---- n1 n3 n5 n7   one swarm, healthy
                |--- n9            of that swarm: lets few requests of one address or for one account through
                |--- n10           of the other swarm, alone: its store is as small as there is
                |                  n2 n4 n6 are dead, n8 stands still
                |--- alone         no node of this network, and it gets no document
                \\--- a server that takes connections and says nothing

Ways: HTTPS, OMQ in JSON and in bt, onion requests of three kinds of encryption and with a raw answer, packets. What is compared is status and body, but for `t`
and the time that `info` tells: the same request, byte for byte, has to have the same answer, receipts included.

What belongs to one way alone: 410, and 413 for a request, to HTTPS; 413 for an answer to packets; the words of 429 (of an address, or
of an account) and of 503 to what says them; 502 and 504 to onion requests.

usage: status_cases_test.py BIN_DIR [unittest options]
"""
import base64
import functools
import json
import os
import re
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).parent))

import devnet
from devnet import allium, service_pid, wait_until

try:
    from session_cases import BT_SAYS_OTHERWISE, CASES
    from session_client import Account, Https, Node, Omq, bt, now_ms, sodium, unbt, zmq
    from session_ways import ASK_S, ENC_TYPES, NotByThisWay, OmqBt, Packets, ask, onions, plain, raw_onion
except ImportError as missing:
    print(f"skipped: python3 lacks {missing.name}: install python3-nacl, python3-zmq, python3-cryptography")
    sys.exit(devnet.SKIPPED)

NODES = 10
SWARMS = (0, (1 << 64) // 2 - 1)  # of n1 n3 ..., of n2 n4 ...
BODY_BYTES_MAX = 10 << 20
STORE_BYTES = 64 << 20
FRESH_S = 3  # a case that took longer may have run out of its times
HASH = "A" * 43


# Whom.

def swarm_of(account_hex):
    """Of the two, as the protocol's description has it: the nearer one on the ring, of two as near the one before."""
    raw = bytes.fromhex(account_hex)[-32:]
    point = functools.reduce(lambda a, b: a ^ b, (int.from_bytes(raw[i:i + 8], "big") for i in range(0, 32, 8)))
    right = next((swarm for swarm in SWARMS if swarm >= point), SWARMS[0])
    left = SWARMS[SWARMS.index(right) - 1]
    return right if (right - point) % (1 << 64) < (point - left) % (1 << 64) else left


def account_of(swarm, prefix=5):
    while True:
        account = Account(prefix)
        if swarm_of(account.id) == swarm:
            return account


def accounts_in(value):
    """All that are named somewhere in parameters."""
    if isinstance(value, list):
        return [found for one in value for found in accounts_in(one)]
    if not isinstance(value, dict):
        return []
    own = [one for name, one in value.items() if name.lower() == "pubkey" and isinstance(one, str)]
    return own + [found for one in value.values() for found in accounts_in(one)]


def params_in(swarm, make):
    """Made again until all accounts in them are of the swarm; what is no account is anybody's."""
    while True:
        account = account_of(swarm)
        params = make(account)
        if all(len(one) != 66 or not is_hex(one) or swarm_of(one) == swarm for one in accounts_in(params)):
            return account, params


def is_hex(text):
    return all(digit in "0123456789abcdef" for digit in text)


def start_with(number, limits, max_bytes=None):
    """Starts a node again with other settings: they were written when the devnet was made."""
    allium("devnet", "kill", f"n{number}")
    settings = Path(os.environ["ALLIUM_DEVNET_DIR"], f"n{number}.toml")
    before, rest = settings.read_text().split("[limits]\n")
    if max_bytes is not None:
        before = re.sub(r"max_bytes = .*", f'max_bytes = "{max_bytes >> 20}MiB"', before)
    settings.write_text(before + "[limits]\n" + limits + rest[rest.index("["):])
    allium("devnet", "start", f"n{number}")


def answers(node):
    try:
        return Https(node, 5).call("info", {})[0] == 200
    except OSError:
        return False


class OneIsMissing(Exception):
    """A member of the healthy swarm did not answer its others in time, which a machine that is busy may do."""


def is_missing_one(body):
    return '"failed"' in json.dumps(body)


class Slow:
    """Requests that take half a minute, begun early and looked at late."""

    def __init__(self, ways):
        self.outcomes = {}
        self.threads = [threading.Thread(target=self.ask, args=(way,), daemon=True) for way in ways]
        for thread in self.threads:
            thread.start()

    def ask(self, way):
        try:
            self.outcomes[way.name] = way.call("info", {})
        except Exception as error:
            self.outcomes[way.name] = repr(error)

    def all(self):
        for thread in self.threads:
            thread.join(2 * ASK_S)
        return self.outcomes


class World:
    """The network, and what is the matter with its nodes."""

    def __init__(self):
        self.nodes = [Node.of_devnet(one) for one in devnet.node_list()]
        self.silent = socket.create_server(("10.88.0.1", 0))
        self.stopped_pid = service_pid(8)
        os.kill(self.stopped_pid, signal.SIGSTOP)
        n1, n3 = self.nodes[0], self.nodes[2]
        self.to_stopped = Slow(onions(n1, self.nodes[7]))
        self.to_silent = Slow(onions(n1, n3, control=self.server(self.silent.getsockname()[1])))
        for number in (2, 4, 6):
            allium("devnet", "kill", f"n{number}")
        start_with(9, "address_burst = 20\naddress_per_second = 1\naccount_burst = 5\naccount_per_second = 1\n")
        start_with(10, "address_burst = 1000\n", STORE_BYTES)
        for number in (9, 10):
            wait_until(lambda node=self.nodes[number - 1]: answers(node), f"n{number} answers")

    @staticmethod
    def server(port, target="/loki/v3/lsrpc"):
        return {"host": "10.88.0.1", "port": port, "protocol": "http", "target": target}

    def new_ways(self):
        """All there are, to and through the healthy ones; the first is what the others are compared with."""
        n1, n3, n5, n7 = (self.nodes[i] for i in (0, 2, 4, 6))
        return [Https(n1), Omq(n3), OmqBt(n5), *onions(n7, n3, n5), raw_onion(n5, n1), Packets("n1", "n3", "n7")]

    def close(self):
        self.silent.close()
        os.kill(self.stopped_pid, signal.SIGCONT)


def setUpModule():
    global world
    world = World()
    unittest.addModuleCleanup(world.close)


class Cases(unittest.TestCase):
    @functools.cached_property
    def ways(self):
        return world.new_ways()

    @functools.cached_property
    def direct(self):
        return Https(world.nodes[0])

    def all_alike(self, ways, method, params, status, body):
        """Status and body of each way; `body` may look at it instead."""
        for way in ways:
            with self.subTest(way=way.name, method=method):
                got_status, got = ask(way, method, params)
                self.assertEqual(got_status, status, got)
                if callable(body):
                    self.assertTrue(body(got), got)
                else:
                    self.assertEqual(got, plain(body))


class AllWaysAlike(Cases):
    """One request, the same bytes, over all ways."""

    def compared(self, method, params, between, otherwise=None):
        """The ways that had it, after `between` had been called before each; what differs is a failure. `otherwise` is what bt says."""
        had, expected = [], None
        for way in self.ways:
            between()
            try:
                got = ask(way, method, params)
            except NotByThisWay:
                continue
            if is_missing_one(got):
                raise OneIsMissing(got)
            had.append(way.name)
            if otherwise and way.name in ("omq in bt", "packets"):
                self.assertEqual(got[0], otherwise[0], f"{way.name}: {got[1]}")
                continue
            expected = expected or got
            self.assertEqual(got, expected, way.name)
        return had, expected[0]

    def while_fresh(self, do):
        """`do`, done again where it took so long that the times in its request may have run out, or where a member was missing."""
        for _ in range(5):
            begin = time.monotonic()
            try:
                return do()
            except OneIsMissing:
                wait_until(self.are_all_there, "all members answer again")
            except AssertionError:
                if time.monotonic() < begin + FRESH_S:
                    raise
        return self.fail(f"never within {FRESH_S} s")

    def are_all_there(self):
        account = account_of(SWARMS[0])
        return all(not is_missing_one(ask(way, "store", account.store(b"x"))) for way in self.ways[:4])

    def case(self, name, method, make):
        account, params = params_in(SWARMS[0], make)
        return self.compared(method, params, self.before(method, account, params), BT_SAYS_OTHERWISE.get((method, name)))

    def before(self, method, account, params):
        """What makes a change the first of its kind each time, or where the account is not at hand, never the first."""
        if method == "store" and params.get("pubkey") == account.id:
            return lambda: self.direct.call("delete_all", account.timed("delete_all", "all", namespace="all"))
        self.direct.call(method, params)
        return lambda: None

    def test_every_case_of_the_table(self):
        by_status, by_way = {}, {}
        for name, method, make, *_ in CASES:
            with self.subTest(case=name):
                had, status = self.while_fresh(lambda: self.case(name, method, make))
                by_status[status] = by_status.get(status, 0) + 1
                for way in had:
                    by_way[way] = by_way.get(way, 0) + 1
        print(f"compared: {dict(sorted(by_status.items()))}, by way {by_way}")
        self.assertLessEqual({200, 400, 401, 403, 404, 406}, set(by_status))
        self.assertEqual(by_way["https"], len(CASES))
        self.assertGreater(by_way["omq in bt"], 100)

    def test_what_an_account_with_messages_gets(self):
        account, at, later = account_of(SWARMS[0]), now_ms(), now_ms() + 1800_000
        stores = [account.store(data, space, at=at) for data, space in
                  ((bytes(range(256)), 0), (b"second", 0), (b"private", 5), (b"shown", -1))]

        def restore():
            wanted = [{"method": "delete_all", "params": account.timed("delete_all", "all", namespace="all")},
                      *({"method": "store", "params": params} for params in stores)]
            results = self.direct.call("sequence", {"requests": wanted})[1]["results"]
            self.assertEqual([one["code"] for one in results], [200] * 5)
            return [one["body"]["hash"] for one in results[1:]]

        hashes = restore()
        first, second, private, _ = hashes

        def expire(mode, *messages):
            return account.signed(["expire", mode, later, *messages], messages=list(messages), expiry=later, **({mode: True} if mode else {}))

        requests = [
            ("retrieve", account.retrieve(), lambda body: len(body["messages"]) == 2),
            ("retrieve", account.retrieve(max_count=1), lambda body: body["more"] and len(body["messages"]) == 1),
            ("retrieve", account.retrieve(last_hash=first), lambda body: [one["hash"] for one in body["messages"]] == [second]),
            ("retrieve", account.retrieve(5), lambda body: base64.b64decode(body["messages"][0]["data"]) == b"private"),
            ("retrieve", {"pubkey": account.id, "namespace": -1}, lambda body: len(body["messages"]) == 1),
            ("get_expiries", account.signed(["get_expiries", at, *hashes], messages=hashes, timestamp=at),
             lambda body: body == {"expiries": {one: at + 3600_000 for one in hashes}}),
            ("store", stores[0], lambda body: all(one["already"] for one in body["swarm"].values())),
            ("expire", expire("", first, HASH), lambda body: all(one["updated"] == [first] for one in body["swarm"].values())),
            ("expire", expire("shorten", first, private), lambda body: all(len(one["updated"]) == 2 for one in body["swarm"].values())),
            ("expire", expire("extend", first), lambda body: all(first in one["unchanged"] for one in body["swarm"].values())),
            ("expire_all", account.timed("expire_all", "all", field="expiry", at=later, namespace="all"),
             lambda body: all(set(one["updated"]) == {"-1", "0", "5"} for one in body["swarm"].values())),
            ("delete", account.delete(second, HASH), lambda body: all(one["deleted"] == [second] for one in body["swarm"].values())),
            ("delete", account.delete(first, required=True), lambda body: len(body["swarm"]) == 5),
            ("delete_before", account.timed("delete_before", "", field="before", at=at),
             lambda body: all(one["deleted"] == sorted([first, second]) for one in body["swarm"].values())),
            ("delete_all", account.timed("delete_all", "all", at=at, namespace="all"),
             lambda body: all(set(one["deleted"]) == {"-1", "0", "5"} for one in body["swarm"].values())),
            ("batch", {"requests": [{"method": "retrieve", "params": {"pubkey": account.id, "namespace": -1}},
                                    {"method": "store", "params": stores[1]}]},
             lambda body: [one["code"] for one in body["results"]] == [200, 200]),
        ]
        for method, params, looks_right in requests:
            with self.subTest(method=method, params=params):
                had, status = self.while_fresh(lambda: self.compared(method, params, restore))
                self.assertEqual(status, 200)
                self.assertGreaterEqual(len(had), len(self.ways) - 1)
                restore()
                self.assertTrue(looks_right(ask(self.direct, method, params)[1]))

    def test_tokens_that_an_account_takes_back(self):
        account, at = account_of(SWARMS[0], 3), now_ms()
        token, _ = account.token(Account(3), 1)
        raw = base64.b64decode(token)
        for name in ("revoke", "unrevoke"):
            # The second time, nothing changes any more.
            params = account.signed([name + "_subaccount", at, raw], **{name: token}, timestamp=at)
            self.direct.call(name + "_subaccount", params)
            had, status = self.while_fresh(lambda: self.compared(name + "_subaccount", params, lambda: None))
            self.assertEqual((len(had), status), (len(self.ways), 200))


class OfAnotherSwarm(Cases):
    """421, whose body is what get_swarm says."""

    def asked_for(self, account):
        at, token = now_ms(), account.token(Account(3), 1)[0]
        tokens = {name: account.signed([name + "_subaccount", at, base64.b64decode(token)], **{name: token}, timestamp=at)
                  for name in ("revoke", "unrevoke")}
        return [
            ("store", account.store(b"x")), ("store", account.store(b"x", 5)), ("retrieve", account.retrieve()),
            ("retrieve", {"pubkey": account.id, "namespace": -1}), ("delete", account.delete(HASH)),
            ("delete_all", account.timed("delete_all", "")), ("delete_before", account.timed("delete_before", "", field="before")),
            ("expire_all", account.timed("expire_all", "", field="expiry")),
            ("expire", account.signed(["expire", "", at + 60_000, HASH], messages=[HASH], expiry=at + 60_000)),
            ("get_expiries", account.signed(["get_expiries", at, HASH], messages=[HASH], timestamp=at)),
            ("revoke_subaccount", tokens["revoke"]), ("unrevoke_subaccount", tokens["unrevoke"]),
            ("revoked_subaccounts", account.timed("revoked_subaccounts")),
        ]

    def own_swarm(self, account):
        """As it has to be told, from the keys and addresses of its nodes."""
        found = ask(self.direct, "get_swarm", {"pubkey": account.id})
        self.assertEqual(found[0], 200)
        body = found[1]
        self.assertEqual(body["swarm"], "%x" % swarm_of(account.id))
        self.assertEqual(body["hf"], [19, 4])
        self.assertEqual(set(body), {"snodes", "swarm", "hf"})
        told = {(one["ip"], one["port"], one["port_https"], one["port_omq"], one["pubkey_ed25519"], one["pubkey_x25519"])
                for one in body["snodes"]}
        self.assertEqual(told, {(node.ip, str(node.https_port), node.https_port, node.omq_port, node.ed25519, node.x25519.hex())
                                for node in world.nodes[1::2]})
        return body

    def test_alone(self):
        account = account_of(SWARMS[1])
        body = self.own_swarm(account)
        self.all_alike(self.ways, "get_swarm", {"pubkey": account.id}, 200, body)
        for method, params in self.asked_for(account):
            self.all_alike(self.ways, method, params, 421, body)

    def test_whoever_it_is_signed_by(self):
        account = account_of(SWARMS[1])
        unsigned = account.store(b"x", 5)
        del unsigned["signature"]
        self.all_alike(self.ways[:1], "retrieve", {**account.retrieve(), "pubkey": account.id}, 421, self.own_swarm(account))
        alike = {json.dumps(ask(way, "store", unsigned), sort_keys=True) for way in self.ways}
        self.assertEqual(len(alike), 1, alike)

    def test_inside_of_others(self):
        account, ours = account_of(SWARMS[1]), account_of(SWARMS[0])
        body = self.own_swarm(account)
        away = {"method": "retrieve", "params": {"pubkey": account.id, "namespace": -1}}
        here = {"method": "retrieve", "params": {"pubkey": ours.id, "namespace": -1}}
        ways = self.ways
        result = {"code": 421, "body": body}
        self.all_alike(ways, "batch", {"requests": [here, away, here]}, 200,
                       lambda got: [one["code"] for one in got["results"]] == [200, 421, 200] and got["results"][1] == result)
        self.all_alike(ways, "sequence", {"requests": [here, away, here]}, 200,
                       lambda got: [one["code"] for one in got["results"]] == [200, 421] and got["results"][1] == result)
        self.all_alike(ways, "ifelse", {"if": {"hf_at_least": [19]}, "then": away}, 200, lambda got: got["result"] == result)

    def test_to_monitor(self):
        account, at = account_of(SWARMS[1]), int(time.time())
        signature = base64.b64decode(account.sign("MONITOR", account.id, at, "1", "0"))
        request = bt({"P": account.public, "d": 1, "n": [0], "s": signature, "t": at})
        answer = unbt(Omq(world.nodes[0]).request("monitor.messages", request)[0])
        self.assertEqual(answer[b"errcode"], 6, answer)


class TooMuch(Cases):
    """429, 413 and 410."""

    def until_429(self, way, method, params):
        """Its body, after at least one that was let through or not; a bucket is filled by one a second."""
        for _ in range(200):
            status, body = ask(way, method, params)
            if status == 429:
                return body
            self.assertEqual(status, 200, body)
        return self.fail(f"{way.name}: 200 requests are let through")

    def test_of_one_address(self):
        node, words = world.nodes[8], "Too Many Requests"
        # All of these share the bucket of this script's address.
        for way in (Https(node), Omq(node), OmqBt(node)):
            with self.subTest(way=way.name):
                self.assertEqual(self.until_429(way, "info", {}).rstrip("\n"), words)
        v6 = Node("fd88::1:9", node.https_port, node.omq_port, node.ed25519, node.x25519.hex())
        self.assertEqual(Https(v6).call("info", {})[0], 200, "another address")
        for onion in onions(node):
            with self.subTest(way=onion.name):
                self.assertEqual(onion.call("info", {})[0], 200, "onion requests are another's, whoever brings them")

    def test_for_one_account(self):
        account, other = account_of(SWARMS[0]), account_of(SWARMS[0])
        params = {"pubkey": account.id, "namespace": -1}
        ways = [*onions(world.nodes[0], world.nodes[8]), Packets("n1", "n3", "n9")]
        bodies = {way.name: self.until_429(way, "retrieve", params) for way in ways}
        self.assertEqual(len(set(bodies.values())), 1, bodies)
        self.assertIn("too many requests", bodies["packets"])
        batch = {"requests": [{"method": "retrieve", "params": params}] * 20}
        for way in ways[:3]:
            status, body = ask(way, "batch", batch)
            self.assertEqual(status, 200)
            self.assertIn({"code": 429, "body": bodies["packets"]}, body["results"])
        for way in ways:
            self.assertEqual(ask(way, "retrieve", {"pubkey": other.id, "namespace": -1})[0], 200, "another account")
            other = account_of(SWARMS[0])

    def test_large_answers_cost_more(self):
        """A page of 1.4 MB more than an address or an account may ask for at once; what is asked after it is refused, and goes on later."""
        account, small = account_of(SWARMS[0]), account_of(SWARMS[0])
        for _ in range(20):
            self.assertEqual(ask(Https(world.nodes[0]), "store", account.store(os.urandom(70_000)))[0], 200)
        onion, https = next(onions(world.nodes[0], world.nodes[8])), Https(world.nodes[8])
        for way in (onion, https):
            for _ in range(100):  # the address's bucket may be empty of what was asked before
                status, body = ask(way, "retrieve", account.retrieve(max_size=-1))
                if status == 200:
                    break
                time.sleep(0.2)
            self.assertEqual((status, len(body["messages"])), (200, 20), body)
            self.assertEqual(ask(way, "retrieve", account.retrieve())[0], 429)
        self.assertEqual(ask(onion, "retrieve", small.retrieve())[0], 200, "another account")

    def test_a_request_that_is_too_long(self):
        for path in ("/storage_rpc/v1", "/onion_req/v2"):
            with self.subTest(path=path):
                self.assertEqual(self.length_said(path, BODY_BYTES_MAX + 1).status, 413)
        https = Https(world.nodes[0], ASK_S)
        self.assertEqual(https.post("/storage_rpc/v1", b"{" * BODY_BYTES_MAX)[:2], (400, b"invalid json"))

    def test_a_request_that_is_too_long_for_omq(self):
        """Which has no words for it: the connection is cut, and the next one serves."""
        omq = Omq(world.nodes[0])
        # With CURVE around it, the frame is a little longer than what it carries.
        self.assertEqual(omq.request("storage.info", b"{" * (BODY_BYTES_MAX - 1000))[0], b"400")
        omq.socket.rcvtimeo = 2000
        with self.assertRaises(zmq.Again):
            omq.request("storage.info", b"{" * (BODY_BYTES_MAX + 1))
        self.assertEqual(Omq(world.nodes[0]).call("info", {})[0], 200)

    @staticmethod
    def length_said(path, length):
        """A head alone: who sends the rest may see the connection cut before he sees the answer."""
        connection = Https(world.nodes[0]).connection
        connection.putrequest("POST", path)
        connection.putheader("Content-Length", str(length))
        connection.endheaders()
        return connection.getresponse()

    def test_an_answer_that_is_too_long_for_packets(self):
        account = account_of(SWARMS[0])
        self.assertEqual(ask(self.direct, "store", account.store(random.randbytes(76_800), -1))[0], 200)
        params = {"pubkey": account.id, "namespace": -1}
        *others, packets = self.ways
        self.all_alike(others, "retrieve", params, 200, lambda body: len(body["messages"][0]["data"]) == 102_400)
        self.all_alike([packets], "retrieve", params, 413,
                       lambda text: text.startswith("message ") and "last_hash" in text)

    def test_who_waits_for_messages_the_old_way(self):
        connection = Https(world.nodes[0]).connection
        request = json.dumps({"method": "info", "params": {}})
        connection.request("POST", "/storage_rpc/v1", request, {"X-Loki-Long-Poll": "1"})
        response = connection.getresponse()
        self.assertEqual((response.status, response.read()), (410, b"long polling is no longer supported, client upgrade required"))


class NoWay(Cases):
    """What is the matter with the path of an onion request is said in the open, the same whatever it is sealed with."""

    def all_say(self, ways, status, text):
        for way in ways:
            with self.subTest(way=way.name):
                self.assertEqual(way.call("info", {}), (status, text))

    def test_next_nodes_that_are_not_there(self):
        n1, n10 = world.nodes[0], world.nodes[9]
        nobody = Node("10.88.9.9", 1, 1, "11" * 32, n1.x25519.hex())
        self.all_say(onions(n1, nobody), 502, "Next node not found: " + "11" * 32)
        self.all_say(onions(n1, world.nodes[2], nobody), 502, "Next node not found: " + "11" * 32)
        # One of its own swarm that does not answer: known from the first request to the swarm that it missed.
        account = account_of(SWARMS[1])
        ask(Https(n10), "store", account.store(b"x"))
        dead = world.nodes[1]
        self.all_say(onions(n10, dead), 502, "Next node is currently unreachable: " + dead.ed25519)

    def test_layers_that_are_none(self):
        n1, n3 = world.nodes[0], world.nodes[2]
        wrong = Node(n3.ip, n3.https_port, n3.omq_port, n3.ed25519, n1.x25519.hex())
        self.all_say(onions(n1, wrong), 400, "Invalid ciphertext")
        self.all_say(onions(n1, n3, control={"destination": "zz"}), 400, "Invalid json")
        status, text, _ = Https(n1).post("/onion_req/v2", b"\x05\0\0\0abc")
        self.assertEqual((status, text), (400, b"Error parsing onion request: Unexpected payload size 3, expected >= 5"))

    def test_servers_that_are_not_there(self):
        n1, n3 = world.nodes[0], world.nodes[2]
        with socket.socket() as unused:
            unused.bind(("10.88.0.1", 0))
            port = unused.getsockname()[1]
            for way in onions(n1, n3, control=world.server(port)):
                status, text = way.call("info", {})
                self.assertEqual((status, text.startswith(f"Failed to connect to 10.88.0.1 port {port}")), (502, True), text)
        self.all_say(onions(n1, n3, control=world.server(port, "/elsewhere")), 400, "Invalid url")

    def test_who_does_not_answer(self):
        stopped = world.nodes[7]
        text = "Next node is currently unreachable: " + stopped.ed25519
        self.assertEqual(world.to_stopped.all(), {f"onion, {one}": (502, text) for one in ENC_TYPES})

    def test_servers_that_do_not_answer(self):
        found = world.to_silent.all()
        self.assertEqual({name: one[0] for name, one in found.items()}, {f"onion, {one}": 504 for one in ENC_TYPES}, found)
        self.assertEqual(len({one[1] for one in found.values()}), 1, found)

    def test_paths_that_nobody_knows(self):
        https = Https(world.nodes[0])
        for method, path in (("POST", "/elsewhere"), ("GET", "/storage_rpc/v1"), ("PUT", "/onion_req/v2")):
            https.connection.request(method, path, b"")
            response = https.connection.getresponse()
            self.assertEqual((response.status, response.read().decode()), (404, f"{method.lower()} {path} Not Found"))


def free_ports(count):
    """Below those that the kernel gives to connections; this network is the test's own."""
    return random.sample(range(20_000, 32_000), count)


class WithoutANetwork(Cases):
    """503: a node that was never told who the others are."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="allium-alone-")
        cls.addClassCleanup(folder.cleanup)
        account, seed = cls.identity(Path(folder.name))
        https_port, omq_port = free_ports(2)
        x25519 = sodium.crypto_sign_ed25519_pk_to_curve25519(account.public).hex()
        cls.node = Node("127.0.0.1", https_port, omq_port, account.public.hex(), x25519)
        settings = Path(folder.name, "allium.toml")
        settings.write_text(f'schema = 1\n[node]\nidentity = "{folder.name}/identity"\ndata = "{folder.name}/data"\n'
                            f'[network]\ndocument = "http://127.0.0.1:1/document"\nauthorities = ["{seed}"]\n'
                            f'[https]\nlisten = ["127.0.0.1:{https_port}"]\n[omq]\nlisten = ["127.0.0.1:{omq_port}"]\n'
                            f'[control]\nsocket = "{folder.name}/s"\n')
        alliumd = ["setpriv", "--pdeathsig", "KILL", str(devnet.bin_dir / "alliumd"), "--config", str(settings)]
        process = subprocess.Popen(alliumd, stderr=subprocess.DEVNULL)
        cls.addClassCleanup(cls.end, process)
        wait_until(lambda: process.poll() is not None or cls.listens(), "the lone node listens")

    @staticmethod
    def identity(folder):
        seed = os.urandom(32)
        file = folder / "identity"
        file.touch(mode=0o600)
        file.write_text(f"allium-identity 1\nseed {seed.hex()}\n")
        account = Account(3, seed)
        return account, account.public.hex()

    @staticmethod
    def end(process):
        process.kill()
        process.wait()

    @classmethod
    def listens(cls):
        with socket.socket() as trial:
            return trial.connect_ex((cls.node.ip, cls.node.https_port)) == 0

    def test_storage_requests(self):
        ways = [Https(self.node), Omq(self.node), OmqBt(self.node)]
        words = "Service node is not ready: no list of nodes yet"
        for method, params in (("info", {}), ("store", Account(5).store(b"x")), ("get_swarm", {"pubkey": Account(5).id}), ("batch", {})):
            self.all_alike(ways, method, params, 503, words)

    def test_onion_requests(self):
        for way in onions(self.node):
            self.assertEqual(way.call("info", {}), (503, "Snode not ready: " + self.node.ed25519))

    def test_what_needs_no_network(self):
        https = Https(self.node)
        self.assertEqual(https.post("/ping_test/v1", b"")[0], 200)
        https.connection.request("GET", "/network/v1")
        response = https.connection.getresponse()
        self.assertEqual((response.status, response.read()), (503, b"no network document yet\n"))


class WithoutRoom(Cases):
    """500: no member of the swarm could do it. The others are dead, and the store of the last is full."""

    def setUp(self):
        self.account, self.node = account_of(SWARMS[1]), world.nodes[9]
        self.fill()

    def test_nobody_stores_it(self):
        node = self.node
        ways = [Https(node), Omq(node), OmqBt(node), *onions(world.nodes[0], node), Packets("n1", "n3", "n10")]
        body = self.refused(ways[0], self.alone)
        own = body["swarm"][node.ed25519]
        self.assertEqual((own["failed"], own["query_failure"]), (1, 1))
        others = {other.ed25519: {"failed": 1, "timeout": 1} for other in world.nodes[1::2]}
        self.assertEqual(body, {"swarm": {**others, node.ed25519: own}, "hf": [19, 4]})
        for way in ways:
            with self.subTest(way=way.name):
                self.assertEqual(self.refused(way, self.alone), body)
                self.assertEqual(self.refused(way, self.in_a_batch), body)
        self.all_alike(ways, "retrieve", {"pubkey": self.account.id, "namespace": -1}, 200, lambda got: got["messages"] == [])

    @staticmethod
    def alone(way, params):
        return ask(way, "store", params)

    @staticmethod
    def in_a_batch(way, params):
        status, body = ask(way, "batch", {"requests": [{"method": "store", "params": params}]})
        assert status == 200, body
        return body["results"][0]["code"], body["results"][0]["body"]

    def refused(self, way, store):
        """The body of the 500. Now and then the node tidies what it keeps for the dead, and has room again."""
        for _ in range(5):
            status, body = store(way, self.account.store(random.randbytes(20)))
            if status == 500:
                return body
            self.fill()
        return self.fail(f"{way.name}: {status} {body}")

    def fill(self):
        """Also with what the dead ones miss."""
        https, piece = Https(self.node, ASK_S), random.randbytes(75_000)
        for number in range(2 * STORE_BYTES // len(piece) // 20):
            stores = [self.account.store(b"%d %d " % (number, i) + piece) for i in range(20)]
            results = https.call("batch", {"requests": [{"method": "store", "params": one} for one in stores]})[1]["results"]
            if {one["code"] for one in results} == {500}:
                return
        self.fail("the store takes more than its limit")


if __name__ == "__main__":
    devnet.run_tests(NODES, timeout_s=250)
