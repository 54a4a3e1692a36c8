#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Talks to omq_echo_node with pyzmq alone: as a plain client, and posing as a service node in both directions.

usage: pyzmq_peer_test.py OMQ-ECHO-NODE      exit 77: pyzmq is not installed
"""
import os
import subprocess
import sys
import unittest

try:
    import zmq
    from zmq.utils import z85
except ImportError:
    sys.exit(77)

PATIENCE_MS = 10_000
NODE_PROGRAM = sys.argv.pop()


class Keys:
    def __init__(self):
        public_text, secret_text = zmq.curve_keypair()
        self.public = z85.decode(public_text)
        self.secret = z85.decode(secret_text)


class PyzmqPeer(unittest.TestCase):
    def setUp(self):
        self.service_node = Keys()
        self.node = subprocess.Popen([NODE_PROGRAM, self.service_node.public.hex()], stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, text=True)
        port, key = self.node.stdout.readline().split()
        self.endpoint = f"tcp://127.0.0.1:{port}"
        self.server_key = bytes.fromhex(key)
        self.context = zmq.Context()

    def tearDown(self):
        self.context.destroy(linger=0)
        self.node.stdin.close()
        self.node.stdout.close()
        self.assertEqual(self.node.wait(timeout=10), 0)

    def dealer(self, keys, routing_id=None):
        socket = self.context.socket(zmq.DEALER)
        socket.rcvtimeo = PATIENCE_MS
        socket.curve_publickey = keys.public
        socket.curve_secretkey = keys.secret
        socket.curve_serverkey = self.server_key
        if routing_id is not None:
            socket.routing_id = routing_id
        socket.connect(self.endpoint)
        return socket

    def router(self, keys):
        socket = self.context.socket(zmq.ROUTER)
        socket.rcvtimeo = PATIENCE_MS
        socket.curve_server = True
        socket.curve_secretkey = keys.secret
        return socket, socket.bind_to_random_port("tcp://127.0.0.1")

    def ask(self, socket, command, *parts):
        tag = os.urandom(16)
        socket.send_multipart([command, tag, *parts])
        answer = socket.recv_multipart()
        self.assertEqual(answer[:2], [b"REPLY", tag])
        return answer[2:]

    def test_a_plain_client_gets_info(self):
        client = self.dealer(Keys())
        self.assertEqual(self.ask(client, b"storage.info", b"{}"), [b'{"version":[2,8,0]}'])
        client.send_multipart([b"HI"])
        self.assertEqual(client.recv_multipart(), [b"HELLO"])
        client.send_multipart([b"storage.info"])
        self.assertEqual(client.recv_multipart(), [b"NO_REPLY_TAG", b"storage.info"])

    def test_a_stranger_under_a_nodes_routing_id_is_refused(self):
        stranger = self.dealer(Keys(), b"L" + self.service_node.public)
        stranger.send_multipart([b"sn.ping", b"tag"])
        self.assertEqual(stranger.recv_multipart(), [b"FORBIDDEN_SN", b"REPLY", b"tag"])

    def test_a_service_node_is_asked_over_the_nodes_connection_and_asks_back_over_it(self):
        listener, port = self.router(self.service_node)
        peer = self.dealer(self.service_node, b"L" + self.service_node.public)
        self.assertEqual(self.ask(peer, b"sn.ping"), [b"pong"])

        peer.send_multipart([b"sn.call_me", b"call", str(port).encode()])
        routing_id, command, tag, text = listener.recv_multipart()
        self.assertEqual((command, text), (b"sn.echo", b"from the node"))
        self.assertNotEqual(routing_id, b"L" + self.server_key, "anybody could take it")
        self.assertEqual(len(tag), 16)
        listener.send_multipart([routing_id, b"sn.ping", b"back"])
        self.assertEqual(listener.recv_multipart(), [routing_id, b"REPLY", b"back", b"pong"])

        listener.send_multipart([routing_id, b"REPLY", tag, b"heard"])
        self.assertEqual(peer.recv_multipart(), [b"REPLY", b"call", b"heard"])


if __name__ == "__main__":
    unittest.main(warnings="ignore")  # sockets are closed with their context
