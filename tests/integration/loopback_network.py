# SPDX-License-Identifier: Apache-2.0
"""A network of alliumd on loopback, without dataplanes, and its authority."""
import base64
import http.server
import json
import os
import subprocess
import threading
import time
from pathlib import Path

from loopback import free_ports
from session_client import Https, Node, sodium

ENVIRONMENT = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0:" + os.environ.get("ASAN_OPTIONS", "")}


class Machine:
    """An alliumd, its identity and its files."""

    def __init__(self, bin_dir, folder, number, authority, document=None):
        self.bin_dir = bin_dir
        self.folder, self.document, self.process = folder / f"n{number}", document or folder / f"n{number}" / "document", None
        self.folder.mkdir(mode=0o700)
        seed = os.urandom(32)
        self.key = sodium.crypto_sign_seed_keypair(seed)[0]
        identity = self.folder / "identity"
        identity.touch(0o600)
        identity.write_text(f"allium-identity 1\nseed {seed.hex()}\n")
        self.https, self.omq, self.relay = free_ports(3)
        (self.folder / "allium.toml").write_text(f"""schema = 1
[node]
identity = "{identity}"
data = "{self.folder}/data"
[network]
document = "{self.document}"
authorities = ["{authority.hex()}"]
[https]
listen = ["127.0.0.1:{self.https}"]
[omq]
listen = ["127.0.0.1:{self.omq}"]
[control]
socket = "{self.folder}/s"
""")

    def start(self):
        with open(self.folder / "log", "a", encoding="utf-8") as log:
            self.process = subprocess.Popen([str(self.bin_dir / "alliumd"), "--config", str(self.folder / "allium.toml")], env=ENVIRONMENT, stderr=log)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def end(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.kill()

    def status(self):
        """null: it does not answer yet."""
        told = subprocess.run([str(self.bin_dir / "allium"), "status", "--json", "--socket", f"{self.folder}/s"], capture_output=True, text=True,
                              timeout=20, env=ENVIRONMENT)
        return json.loads(told.stdout) if told.stdout else None

    def call(self, method, params):
        node = Node("127.0.0.1", self.https, self.omq, self.key.hex(), sodium.crypto_sign_ed25519_pk_to_curve25519(self.key).hex())
        return Https(node).call(method, params)

    def messages(self, account):
        """null: the account is not this node's."""
        status, body = self.call("retrieve", account.retrieve())
        return sorted(base64.b64decode(message["data"]) for message in body["messages"]) if status == 200 else None


class Network:
    """Machines and their authority. `by_url`: the number of the one that fetches its documents."""

    def __init__(self, bin_dir, folder, count, by_url=None):
        self.folder, self.serial, self.since = folder, 0, int(time.time()) - 3600
        self.authority, self.secret = sodium.crypto_sign_seed_keypair(os.urandom(32))
        self.web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.pages())
        threading.Thread(target=self.web.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{self.web.server_port}/document"
        self.machines = [Machine(bin_dir, folder, number, self.authority, url if number == by_url else None) for number in range(count)]

    def pages(self):
        published = self.folder / "published"

        class Pages(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = published.read_bytes()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        return Pages

    def document(self, swarms, serial):
        """`swarms`: of each machine; null: in none."""
        text = f"allium-network 1\nserial {serial}\nvalid-from {self.since}\nvalid-until {self.since + 7 * 86400}\nrelays {len(swarms)}\n"
        for machine, swarm in sorted(zip(self.machines, swarms), key=lambda pair: pair[0].key):
            text += f"relay {machine.key.hex()} - 1 127.0.0.1:{machine.relay}\n"
            text += f"service {'-' if swarm is None else f'{swarm:016x}'} {machine.https} {machine.omq}\n"
        return text

    def signed(self, text, secret=None):
        signature = sodium.crypto_sign(text.encode(), secret or self.secret)[:64]
        return f"allium-network-bundle 1\n{text}signatures 1\nauthority {self.authority.hex()} {signature.hex()}\nrecords 0\n"

    def put(self, bundle):
        """To every machine, and to the web server."""
        files = [machine.document for machine in self.machines if isinstance(machine.document, Path)]
        for file in [*files, self.folder / "published"]:
            draft = file.with_suffix(".draft")
            draft.write_text(bundle)
            draft.rename(file)

    def publish(self, *swarms):
        self.serial += 1
        self.put(self.signed(self.document(swarms, self.serial)))

    def end(self):
        for machine in self.machines:
            machine.end()
        self.web.shutdown()
        self.web.server_close()
