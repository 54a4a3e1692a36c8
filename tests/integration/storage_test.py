#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Service nodes of a devnet, used as Session's clients use them: by the client of session_client.py, over HTTPS, OMQ and onion
requests, with nodes that die in between.

usage: storage_test.py BIN_DIR [unittest options]
"""
import base64
import http.client
import json
import os
import socket
import ssl
import struct
import sys
import threading
import time
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).parent))

import devnet
from devnet import allium

try:
    from session_cases import BT_SAYS_OTHERWISE, CASES, NOT_BY_PACKET, WRAPPED
    from session_client import Account, BlindedAccount, Https, Node, Omq, Onion, b64, bt, now_ms, sodium, unbt
    from session_ways import NotByThisWay, Packets
except ImportError as missing:
    print(f"skipped: python3 lacks {missing.name}: install python3-nacl, python3-zmq, python3-cryptography")
    sys.exit(devnet.SKIPPED)

NODES = 5


def any_certificate():
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def receipt_holds(node_key, signature, *parts):
    message = "".join(map(str, parts)).encode()
    try:
        sodium.crypto_sign_open(base64.b64decode(signature) + message, bytes.fromhex(node_key))
        return True
    except Exception:
        return False


class Service(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.nodes = [Node.of_devnet(one) for one in devnet.node_list()]
        cls.https = Https(cls.nodes[0])

    def answered(self, pair):
        status, body = pair
        self.assertEqual(status, 200, body)
        return body

    def stored(self, account, data, transport=None, **more):
        body = self.answered((transport or self.https).call("store", account.store(data, **more)))
        return body["hash"]

    def messages(self, node, account, namespace=0):
        body = self.answered(Https(node).call("retrieve", account.retrieve(namespace)))
        return sorted(base64.b64decode(message["data"]) for message in body["messages"])


class Table(Service):
    def same(self, transport, case):
        name, method, params, status, body = case
        got_status, got = transport.call(method, params(Account(5)))
        with self.subTest(transport=transport.name, case=name):
            self.assertEqual(got_status, status, got)
            if callable(body):
                self.assertTrue(body(got), got)
            elif body is not None:
                self.assertEqual(got, body)

    def test_every_case_is_answered_alike_on_every_transport(self):
        self.assertGreaterEqual(len(CASES), 120)
        for transport in (Https(self.nodes[1]), Omq(self.nodes[2]), Onion(self.nodes[:3])):
            for case in CASES:
                self.same(transport, case)

    def test_and_by_packet_where_it_fits(self):
        packets, left_out = Packets("n1", "n2", "n3"), []
        for case in CASES:
            try:
                case = (*case[:3], *BT_SAYS_OTHERWISE.get((case[1], case[0]), case[3:]))
                self.same(packets, case)
            except NotByThisWay:
                left_out.append(case[0])
        self.assertEqual(sorted(left_out), sorted(NOT_BY_PACKET))

    def test_what_is_wrapped_wrongly(self):
        for transport in (Https(self.nodes[1]), Onion(self.nodes[2:5])):
            for text, status, body in WRAPPED:
                with self.subTest(transport=transport.name, text=text):
                    self.assertEqual(transport.call_raw(text), (status, body))

    def test_omq_says_itself_what_it_does_not_know(self):
        omq = Omq(self.nodes[0])
        self.assertEqual(omq.request("storage.fly", b"{}"), [b"UNKNOWNCOMMAND", b"storage.fly"])
        self.assertEqual(omq.request("sn.ping")[0][:13], b"FORBIDDEN_SN"[:13])
        self.assertEqual(unbt(omq.request("storage.info", b"de")[0])[b"version"], [2, 8, 0])
        self.assertIn("version", json.loads(omq.request("storage.info")[0]))


class Registry(Service):
    def test_a_stock_client_finds_the_nodes(self):
        """As Session's clients ask their seed: plain HTTP, and nothing but application/json is taken."""
        connection = http.client.HTTPConnection("10.88.0.1", 22023, timeout=5)
        request = {"jsonrpc": "2.0", "id": 3, "method": "get_n_service_nodes", "params": {
            "active_only": True, "fields": {name: True for name in (
                "public_ip", "storage_port", "pubkey_x25519", "pubkey_ed25519", "swarm_id")}}}
        connection.request("POST", "/json_rpc", json.dumps(request))
        response = connection.getresponse()
        self.assertEqual((response.status, response.getheader("Content-Type")), (200, "application/json"))
        states = json.loads(response.read())["result"]["service_node_states"]
        self.assertEqual({(s["public_ip"], s["storage_port"], s["pubkey_ed25519"], s["pubkey_x25519"]) for s in states},
                         {(n.ip, n.https_port, n.ed25519, n.x25519.hex()) for n in self.nodes})
        connection.request("GET", "/json_rpc")
        self.assertEqual(connection.getresponse().status, 404)

    def test_and_the_list_in_binary(self):
        expected = {bytes.fromhex(n.ed25519): (n.ip, n.https_port, n.omq_port, (2, 8, 0)) for n in self.nodes}

        def unpacked(packed):
            self.assertEqual(len(packed), 51 * NODES)
            return {key: (socket.inet_ntoa(ip), https, omq, tuple(version)) for key, _, ip, https, omq, version in
                    struct.iter_unpack(">32sQ4sHH3s", packed)}

        status, packed, headers = self.https.post("/storage_rpc/v1", '{"method":"active_nodes_bin","params":{}}')
        self.assertEqual((status, headers["Content-Type"]), (200, "application/octet-stream"))
        self.assertEqual(unpacked(packed), expected)
        for params in (b"", b"{}", b"de"):
            self.assertEqual(Omq(self.nodes[1]).request("storage.active_nodes_bin", params), [packed])
        for control in ({"headers": {}}, {"headers": {}, "json": True, "base64": False}):
            onion = Onion([self.nodes[0], self.nodes[2]], control=control)
            self.assertEqual(base64.b64decode(self.answered(onion.call("active_nodes_bin", {}))), packed)
        self.assertEqual(base64.b64decode(self.answered(Packets("n1", "n2", "n3").call("active_nodes_bin", {}))), packed)
        part = {"method": "active_nodes_bin", "params": {}}
        batch = self.answered(self.https.call("batch", {"requests": [part]}))
        self.assertEqual(base64.b64decode(batch["results"][0]["body"]), packed)
        bt_batch = Omq(self.nodes[3]).request("storage.batch", bt({"requests": [part]}))
        self.assertEqual(unbt(bt_batch[0])[b"results"][0][b"body"], packed)

    def test_any_node_gives_the_whole_network(self):
        """Document and records, as a client needs them: the same from every node."""
        bundles = set()
        for node in self.nodes:
            connection = http.client.HTTPSConnection(node.ip, node.https_port, timeout=5, context=any_certificate())
            connection.request("GET", "/network/v1")
            response = connection.getresponse()
            self.assertEqual(response.status, 200)
            text = response.read().decode()
            self.assertTrue(text.startswith("allium-network-bundle 1\n"))
            self.assertEqual(text.count("\nallium-node 1\n"), NODES)
            bundles.add(text)
        self.assertEqual(len(bundles), 1)


class Messages(Service):
    def test_a_message_is_at_every_member_with_its_receipt(self):
        account = Account(5)
        body = self.answered(self.https.call("store", account.store(b"hello")))
        self.assertEqual(len(body["swarm"]), NODES)
        for key, member in body["swarm"].items():
            self.assertIn("signature", member, key)
            self.assertTrue(receipt_holds(key, member["signature"], member["hash"]), member)
        for node in self.nodes:
            self.assertEqual(self.messages(node, account), [b"hello"])

    def test_the_same_over_omq_and_through_onions(self):
        account = Account(5)
        self.stored(account, b"by omq", Omq(self.nodes[1]))
        self.stored(account, b"by gcm", Onion([self.nodes[i] for i in (0, 1, 2, 3)]))
        self.stored(account, b"by xchacha", Onion([self.nodes[i] for i in (4, 3, 2, 1)], "xchacha20"))
        raw = Onion([self.nodes[2], self.nodes[0]], control={"headers": "", "json": True, "base64": False})
        self.stored(account, b"raw", raw)
        self.assertEqual(self.messages(self.nodes[4], account), [b"by gcm", b"by omq", b"by xchacha", b"raw"])

    def test_who_is_blinded_signs_for_his_blinded_account(self):
        server = Account(3).public
        account = BlindedAccount(server)
        self.stored(account, b"to a blinded one", namespace=5)
        for node in self.nodes:
            self.assertEqual(self.messages(node, account, 5), [b"to a blinded one"])
        account.sign = BlindedAccount(server).sign
        self.assertEqual(self.https.call("retrieve", account.retrieve(5)), (401, "retrieve signature verification failed"))

    def test_deleted_and_expired_messages_are_gone_everywhere(self):
        account = Account(5)
        gone, short, kept = (self.stored(account, data) for data in (b"gone", b"short", b"kept"))
        body = self.answered(self.https.call("delete", account.delete(gone)))
        for key, member in body["swarm"].items():
            self.assertEqual(member.get("deleted"), [gone], member)
            self.assertTrue(receipt_holds(key, member["signature"], account.id, gone, gone))
        at = now_ms() + 300
        params = account.signed(["expire", "shorten", at, short], messages=[short], expiry=at, shorten=True)
        self.answered(self.https.call("expire", params))
        time.sleep(0.4)
        for node in self.nodes:
            self.assertEqual(self.messages(node, account), [b"kept"])
        self.assertEqual(self.answered(self.https.call("delete_all", account.timed("delete_all", "")))["swarm"]
                         [self.nodes[0].ed25519]["deleted"], [kept])

    def test_a_revoked_member_of_a_group_reads_nothing_more(self):
        group, member = Account(3), Account(3)
        self.stored(group, b"secret", namespace=11)
        token, token_signature = group.token(member, 1)

        def read(namespace):
            at = now_ms()
            return Https(self.nodes[1]).call("retrieve", {
                "pubkey": group.id, "namespace": namespace, "timestamp": at, "subaccount": token,
                "subaccount_sig": token_signature, "signature": member.sign("retrieve", namespace, at)})

        self.assertEqual(len(self.answered(read(11))["messages"]), 1)
        at, raw = now_ms(), base64.b64decode(token)
        self.answered(self.https.call("revoke_subaccount", group.signed(["revoke_subaccount", at, raw],
                                                                       revoke=token, timestamp=at)))
        self.assertEqual(read(11)[0], 401)
        self.assertEqual(read(-11)[0], 200)

    def test_who_monitors_is_told(self):
        account, omq = Account(5), Omq(self.nodes[3])
        at = int(time.time())
        signature = account.sign("MONITOR", account.id, at, "1", "0,5")
        answer = unbt(omq.request("monitor.messages", bt({
            "P": account.public, "d": 1, "n": [0, 5], "s": base64.b64decode(signature), "t": at}))[0])
        self.assertEqual(answer, {b"success": 1})
        message = self.stored(account, b"news")
        self.stored(account, b"elsewhere", namespace=7)
        self.stored(account, b"private", namespace=5)
        pushed = [unbt(one) for one in omq.pushes(2)]
        self.assertEqual([one[b"~"] for one in pushed], [b"news", b"private"])
        self.assertEqual((pushed[0][b"@"], pushed[0][b"h"], pushed[0][b"n"]), (account.raw, message.encode(), 0))

    def test_path_errors_are_said_in_the_open(self):
        nobody = Node("10.88.9.9", 1, 1, "11" * 32, self.nodes[1].x25519.hex())
        onion = Onion([self.nodes[0], nobody])
        self.assertEqual(onion.call("info", {}), (502, "Next node not found: " + "11" * 32))
        other = Onion([self.nodes[0]])
        other.https = Https(self.nodes[1])
        self.assertEqual(other.call("info", {}), (400, "Invalid ciphertext"))
        status, text, _ = self.https.post("/onion_req/v2", b"\x05\0\0\0abc")
        self.assertEqual((status, text), (400, b"Error parsing onion request: Unexpected payload size 3, expected >= 5"))

    def test_https_answers_pings_and_nothing_else(self):
        status, text, headers = self.https.post("/ping_test/v1", b"")
        self.assertEqual((status, text), (200, b""))
        self.assertEqual(headers["X-Oxen-Snode-Pubkey"], b64(bytes.fromhex(self.nodes[0].ed25519)))
        self.assertEqual(headers["Server"], "Oxen Storage Server/2.8.0")
        self.https.connection.request("GET", "/get_stats/v1")
        self.assertEqual(json.loads(self.https.connection.getresponse().read()), {"version": "2.8.0"})
        self.assertEqual(self.https.post("/elsewhere", b"")[:2], (404, b"post /elsewhere Not Found"))

    def test_https_passes_a_query_by(self):
        info = '{"method":"info","params":{}}'
        self.assertEqual(self.https.post("/storage_rpc/v1?x=1", info)[0], 200)
        self.assertEqual(self.https.post("/ping_test/v1?", b"")[0], 200)
        self.assertEqual(self.https.post("/elsewhere?x=1", b"")[:2], (404, b"post /elsewhere Not Found"))

    def test_all_addresses_serve(self):
        node = self.nodes[0]
        v6 = Node("fd88::1:1", node.https_port, node.omq_port, node.ed25519, node.x25519.hex())
        self.assertIn("version", self.answered(Https(v6).call("info", {})))


class Wire:
    """Every frame on every link of the devnet, while it is entered."""

    def __enter__(self):
        every_protocol = 3
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(every_protocol))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 << 20)
        self.socket.settimeout(0.2)
        self.frames, self.is_over = [], False
        self.thread = threading.Thread(target=self.listen)
        self.thread.start()
        return self

    def listen(self):
        while True:
            try:
                self.frames.append(self.socket.recv(65536))
            except TimeoutError:
                if self.is_over:
                    return

    def __exit__(self, *_):
        self.is_over = True
        self.thread.join()
        self.socket.close()

    def shows(self, data):
        """In the clear, in hex, or in base64 wherever it begins."""
        wanted = {data, data.hex().encode()} | {base64.b64encode(bytes(at) + data)[-(-4 * at // 3):-4] for at in range(3)}
        return any(form in frame for frame in self.frames for form in wanted)


class Links(Service):
    def test_none_shows_what_is_stored_nor_whose_it_is(self):
        account, marker = Account(5), os.urandom(32)
        ways = [self.https, Omq(self.nodes[1]), Onion(self.nodes[:3]), Onion(self.nodes[1:4], "xchacha20"), Packets("n1", "n2", "n3")]
        with Wire() as wire:
            for number, way in enumerate(ways):
                self.stored(account, marker + bytes([number]), way)
                self.assertEqual(len(self.answered(way.call("retrieve", account.retrieve()))["messages"]), number + 1)
        self.assertEqual(len(self.messages(self.nodes[4], account)), len(ways))
        self.assertGreater(sum(map(len, wire.frames)), 20_000, "it has seen the traffic")
        self.assertFalse(wire.shows(marker))
        self.assertFalse(wire.shows(account.raw[1:]))

    def test_would_show_what_is_not_sealed(self):
        marker = os.urandom(32)
        for form in (marker, marker.hex().encode(), *(base64.b64encode(b"x" * at + marker) for at in range(3))):
            with Wire() as wire, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.sendto(b"before" + form + b"behind", (self.nodes[0].ip, 9))
            self.assertTrue(wire.shows(marker), form)


class Deaths(Service):
    def tearDown(self):
        allium("devnet", "start", "n2", check=False)

    def test_a_dead_member_is_noticed_once_and_gets_all_it_missed(self):
        account, away = Account(5), self.nodes[1].ed25519
        first = self.stored(account, b"before")
        allium("devnet", "kill", "n2")
        begin = time.monotonic()
        body = self.answered(self.https.call("store", account.store(b"one")))
        self.assertEqual(body["swarm"][away], {"failed": True, "timeout": True})
        self.assertLess(time.monotonic() - begin, 20)
        begin = time.monotonic()
        for number in range(20):
            body = self.answered(self.https.call("store", account.store(b"%d" % number)))
            self.assertTrue(body["swarm"][away]["failed"])
        self.answered(self.https.call("delete", account.delete(first)))
        self.assertLess(time.monotonic() - begin, 50, "a dead member costs one time-out of 5 s, not 21")
        status, text = Onion([self.nodes[0], self.nodes[1]]).call("info", {})
        self.assertEqual((status, text), (502, "Next node is currently unreachable: " + away))

        allium("devnet", "start", "n2")
        expected = self.messages(self.nodes[0], account)
        self.assertEqual(len(expected), 21)
        end = time.monotonic() + 40
        while self.messages(self.nodes[1], account) != expected and time.monotonic() < end:
            time.sleep(0.2)
        self.assertEqual(self.messages(self.nodes[1], account), expected)

    def test_a_dead_next_node_is_told_before_clients_give_up_and_then_at_once(self):
        path = [self.nodes[0], self.nodes[1], self.nodes[2]]
        devnet.wait_until(lambda: Onion(path).call("info", {})[0] == 200, "the path works", 20)
        allium("devnet", "kill", "n2")
        dead = (502, "Next node is currently unreachable: " + self.nodes[1].ed25519)
        begin = time.monotonic()
        self.assertEqual(Onion(path).call("info", {}), dead)
        self.assertLess(time.monotonic() - begin, 15)
        begin = time.monotonic()
        for _ in range(5):
            self.assertEqual(Onion(path).call("info", {}), dead)
        self.assertLess(time.monotonic() - begin, 3)

        allium("devnet", "start", "n2")
        end = time.monotonic() + 40
        while Onion(path).call("info", {})[0] != 200 and time.monotonic() < end:
            time.sleep(0.2)
        self.assertEqual(Onion(path).call("info", {})[0], 200)

    def test_what_was_acknowledged_outlives_every_process(self):
        account = Account(5)
        devnet.wait_until(lambda: self.all_take(self.nodes[0], Account(5)), "no member is taken for dead any more", 20)
        self.stored(account, b"precious")
        for number in range(1, NODES + 1):
            allium("devnet", "kill", f"n{number}")
        for number in range(1, NODES + 1):
            allium("devnet", "start", f"n{number}")
        type(self).https = Https(self.nodes[0])
        for node in self.nodes:
            self.assertEqual(self.messages(node, account), [b"precious"])
        # Who had something for a member takes him for dead until he has answered.
        for node in self.nodes:
            end = time.monotonic() + 20
            while not self.all_take(node, account) and time.monotonic() < end:
                time.sleep(0.2)
            self.assertTrue(self.all_take(node, account), node.ip)

    def all_take(self, node, account):
        body = self.answered(Https(node).call("store", account.store(b"after")))
        return all("signature" in member for member in body["swarm"].values())


if __name__ == "__main__":
    devnet.run_tests(NODES, timeout_s=200)
