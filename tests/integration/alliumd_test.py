#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What an operator does with one machine: `allium key`, `alliumd --check-config`, a lone `alliumd` on loopback, `allium status`.

        this script --- allium key, allium status
                    \\-- alliumd at 127.0.0.1, no other node, no dataplane; its files in a temporary folder

Runs as any user; what only root or only others can see is checked where it can be.

usage: alliumd_test.py BIN_DIR
"""
import array
import base64
import fcntl
import http.client
import json
import os
import queue
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import termios
import threading
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).parent))

from loopback import free_ports

bin_dir = Path(sys.argv[1]).resolve()
ALLIUM, ALLIUMD = str(bin_dir / "allium"), str(bin_dir / "alliumd")
SEED = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
PUBLIC_KEY = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
NEGATIVE, USAGE, REFUSED, UNREACHABLE, UNAUTHORISED, CONFLICT = 1, 2, 3, 4, 5, 6
# A build with sanitizers looks for leaks by tracing itself, which these programs forbid.
ENVIRONMENT = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0:" + os.environ.get("ASAN_OPTIONS", "")}


def run(*words, **more):
    return subprocess.run(words, **{"capture_output": True, "text": True, "timeout": 20, "env": ENVIRONMENT, **more})


def key(verb, file, *words, **more):
    return run(ALLIUM, "key", verb, "--file", str(file), *words, **more)


def expect(is_good, what):
    if not is_good:
        raise AssertionError(what)


def expect_refused(done, code, *fragments):
    expect(done.returncode == code, f"exit code {done.returncode} where {code} should be: {done.stderr}")
    for fragment in fragments:
        expect(fragment in done.stderr, f"no '{fragment}' in: {done.stderr}")


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def new_identity(folder):
    file = folder / "identity"
    expect(key("init", file, "--unsealed").returncode == 0, "no identity is made")
    return file


def rotation_checks_first(folder):
    file = new_identity(folder)
    before = file.read_text()
    expect_refused(key("rotate", file), USAGE, "--passphrase-file FILE, or say --unsealed")
    expect_refused(key("rotate", file, "--unsealed", "--passphrase-file", str(file)), USAGE, "say one of them")
    expect_refused(key("rotate", file, "--passphrase-file", str(folder / "none")), UNREACHABLE, "none: No such file")
    expect(names_in(folder) == ["identity"] and file.read_text() == before, "the identity was touched")
    (folder / "identity.new").write_text("of another")
    expect_refused(key("rotate", file, "--unsealed"), REFUSED, "identity.new: another rotation")
    expect(names_in(folder) == ["identity", "identity.new"] and file.read_text() == before, "the identity was touched")


def rotation_goes_on_after_a_crash(folder):
    """What one leaves that ends between its last two steps: the new file, and a second name of the one in use."""
    file = new_identity(folder)
    before = file.read_text()
    (folder / "identity.new").write_text("not in use")
    os.link(file, folder / "identity.old1")
    expect(key("show", file).returncode == 0, "the identity does not open")
    expect_refused(key("rotate", file, "--unsealed"), REFUSED, "remove this file")
    (folder / "identity.new").unlink()
    expect(key("rotate", file, "--unsealed").returncode == 0, "no rotation after that")
    expect(names_in(folder) == ["identity", "identity.old1", "identity.old2"], str(names_in(folder)))
    expect((folder / "identity.old1").read_text() == (folder / "identity.old2").read_text() == before != file.read_text(), "another one")


def rotation_follows_a_link(folder):
    file, link, other = new_identity(folder), folder / "link", folder / "other"
    before = file.read_text()
    link.symlink_to(file)
    done = key("rotate", link, "--unsealed")
    expect(done.returncode == 0 and f"{file}.old1" in done.stderr, done.stderr)
    expect(link.is_symlink() and file.read_text() != before == Path(f"{file}.old1").read_text(), "the link was rotated, not the file")
    link.unlink()
    link.symlink_to(other)
    expect_refused(key("init", link, "--unsealed"), REFUSED, "there is an identity already")
    expect(link.is_symlink() and not other.exists(), "a link is no new file")


def rotation_leaves_no_gap(folder):
    """A reader that looks all the time finds a whole identity each time."""
    file = new_identity(folder)
    texts, problems, is_over = [file.read_text()], [], threading.Event()

    def look():
        while not is_over.is_set():
            try:
                if not re.fullmatch(r"allium-identity 1\nseed [0-9a-f]{64}\n", file.read_text()):
                    problems.append("torn")
            except OSError as error:
                problems.append(str(error))

    reader = threading.Thread(target=look)
    reader.start()
    try:
        for number in range(1, 6):
            done = key("rotate", file, "--unsealed")
            expect(done.returncode == 0 and f"identity.old{number}" in done.stderr, done.stderr)
            texts.append(file.read_text())
    finally:
        is_over.set()
        reader.join()
    expect(not problems, f"{len(problems)} times: {problems[:1]}")
    expect([(folder / f"identity.old{n}").read_text() for n in range(1, 6)] == texts[:5], "old identities are not what they were")
    expect(all(path.stat().st_mode & 0o777 == 0o600 for path in folder.iterdir()), "an identity is not private")


def export_is_json_on_request(folder):
    file = folder / "identity"
    expect(key("import", file, "--unsealed", input=SEED).returncode == 0, "no import")
    told = json.loads(key("export", file, "--json", "--reveal").stdout)
    expect(told == {"schema": "allium.key/1", "file": str(file), "seed": SEED}, "another object")
    expect(key("export", file, "--reveal").stdout == SEED + "\n", "not the seed")
    expect_refused(key("export", file, "--json"), USAGE, "--reveal")


def errors_repeat_no_secret(folder):
    seed_is = ("standard input of 'allium key import'", "--passphrase-file FILE")
    file = folder / "identity"
    for words, said in ((["key", "import", "--file", str(file), SEED], "an argument too many"), (["key", "init", "--seed", SEED], "no option --seed"),
                        (["key", "init", f"--seed={SEED}"], "no option --seed\n"), (["key", "show", "--passphrase", SEED], "no option --passphrase\n"),
                        (["key", SEED], "A subcommand is required"), (["key", "init", f"--unsealed=x{SEED}"], "Could not convert: --unsealed\n"), ([SEED], "an argument too many")):
        done = run(ALLIUM, *words)
        expect_refused(done, USAGE, said, *(seed_is if "no option" in said or "--file" in words else ()))
        expect(SEED not in done.stdout + done.stderr, f"it repeats the seed: {done.stderr}")
    for words, said in ((["--passphrase", SEED], "no option --passphrase\n"), ([SEED], "an argument too many"), ([f"--check-config=x{SEED}"], "Could not convert: --check-config\n")):
        done = run(ALLIUMD, *words)
        expect_refused(done, USAGE, said)
        expect(SEED not in done.stdout + done.stderr, f"it repeats the seed: {done.stderr}")
    expect(names_in(folder) == [], "something was made")


def output_that_is_lost_is_an_error(folder):
    file = new_identity(folder)
    for words in (["version"], ["--help"], ["key", "show", "--file", str(file)], ["key", "show", "--json", "--file", str(file)],
                  ["key", "export", "--reveal", "--file", str(file)]):
        with open("/dev/full", "w", encoding="ascii") as full:
            done = run(ALLIUM, *words, capture_output=False, stdout=full, stderr=subprocess.PIPE)
        expect_refused(done, REFUSED, "error: standard output does not take everything: No space left")


def import_takes_pieces(folder):
    file = folder / "identity"
    importing = subprocess.Popen([ALLIUM, "key", "import", "--file", str(file), "--unsealed"], env=ENVIRONMENT, stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, text=True)
    try:
        importing.stdin.write(SEED[:20])
        importing.stdin.flush()
        wait_until(lambda: is_drained(importing.stdin), "the first piece is read")
        expect_nothing_leaves(importing.pid)
        importing.stdin.write(SEED[20:] + "\n")
        importing.stdin.close()
        expect(importing.wait(timeout=10) == 0, "the second piece was not read")
    finally:
        importing.kill()
        importing.wait()
    expect(key("export", file, "--reveal").stdout == SEED + "\n", "another seed")
    expect_refused(key("import", folder / "other", "--unsealed", input="5" * 1000), REFUSED, "standard input: too long")
    expect_refused(key("import", folder / "other", input=SEED), USAGE, "--unsealed")


def rpc_keeps_the_accounts_secret(folder):
    file = new_identity(folder)
    expect_refused(run(ALLIUM, "rpc", "store", "--account", str(file), "--data-file", str(folder)), USAGE, f"{folder} is no file that can be read")
    asking = subprocess.Popen([ALLIUM, "rpc", "store", "--account", str(file), "--data-file", "-"], stdin=subprocess.PIPE, text=True,
                              stderr=subprocess.DEVNULL, env={**ENVIRONMENT, "ALLIUM_DEVNET_DIR": str(folder / "none")})
    try:
        asking.stdin.write("half")
        asking.stdin.flush()
        wait_until(lambda: is_drained(asking.stdin), "the data are read")
        expect_nothing_leaves(asking.pid)
        asking.stdin.close()
        expect(asking.wait(timeout=10) == UNREACHABLE, "there is no devnet")
    finally:
        asking.kill()
        asking.wait()


def is_drained(pipe):
    waiting = array.array("i", [-1])
    fcntl.ioctl(pipe, termios.FIONREAD, waiting)
    return waiting[0] == 0


def expect_nothing_leaves(pid):
    """Of a process that holds secrets: no core dump, and its memory is root's alone."""
    limits = next(line for line in Path(f"/proc/{pid}/limits").read_text().splitlines() if line.startswith("Max core file size"))
    expect(limits.split()[4:6] == ["0", "0"], f"may dump core: {limits}")
    expect(os.stat(f"/proc/{pid}/mem").st_uid == 0, "its user may read its memory")


def pipes_do_not_hang(folder):
    file, pipe = new_identity(folder), folder / "pipe"
    os.mkfifo(pipe, 0o600)
    expect_refused(key("show", pipe), REFUSED, "pipe: no regular file")
    expect_refused(key("show", file, "--passphrase-file", str(pipe)), REFUSED, "pipe: no regular file")
    expect_refused(key("show", folder), REFUSED, f"{folder}: no regular file")


def configuration(folder, **changes):
    """One key a line: what a test changes stands in the line that `line_of` says."""
    keys = {"schema": "1", "node.identity": f'"{folder}/identity"', "node.data": f'"{folder}/data"',
            "network.document": f'"{folder}/network"', "network.authorities": f'["{SEED}"]', "network.threshold": "1",
            "https.listen": '["127.0.0.1:22021"]', "omq.listen": '["127.0.0.1:22020"]', "control.socket": f'"{folder}/s"'}
    for name, value in changes.items():
        keys[name.replace("__", ".")] = value
    return "".join(f"{name} = {value}\n" for name, value in keys.items() if value is not None), list(keys)


def check(folder, **changes):
    """(exit code, line, reason), and the lines' keys."""
    text, keys = configuration(folder, **changes)
    file = folder / "allium.toml"
    file.write_text(text)
    done = run(ALLIUMD, "--config", str(file), "--check-config")
    said = re.fullmatch(re.escape(str(file)) + r":(\d+): (.*)\n", done.stderr)
    return done, keys, int(said[1]) if said else 0, said[2] if said else ""


def expect_at(folder, key_name, fragment, **changes):
    done, keys, line, reason = check(folder, **changes)
    expect(done.returncode == NEGATIVE, f"{changes}: exit code {done.returncode}: {done.stderr}")
    expect(line == (keys.index(key_name) + 1 if key_name else 1), f"{changes}: line {line}: {done.stderr}")
    expect(fragment in reason, f"{changes}: no '{fragment}' in: {done.stderr}")


def configurations_are_checked(folder):
    new_identity(folder)
    (folder / "network").write_text("any")
    done, *_ = check(folder)
    expect(done.returncode == 0 and done.stdout.endswith(": OK (schema 1)\n"), f"a good one: {done.stderr}")
    expect_at(folder, "https.listen", "port 0", https__listen='["127.0.0.1:0"]')
    expect_at(folder, "omq.listen", "[https] in line 7 listens there already", omq__listen='["127.0.0.1:22021"]')
    expect_at(folder, "omq.listen", "[omq] in line 8", omq__listen='["127.0.0.1:1", "127.0.0.1:1"]')
    expect_at(folder, "network.authorities", "twice", network__authorities=f'["{SEED}", "{SEED}"]')
    expect_at(folder, "network.threshold", "more than there are", network__threshold="2")
    expect_at(folder, "network.document", "URL with a host", network__document='"https://"')
    expect_at(folder, "control.socket", "107", control__socket='"/' + 107 * "s" + '"')
    expect_at(folder, "dataplane.socket", "107", dataplane__socket='"/' + 107 * "s" + '"')
    for name in ("network.document", "node.identity", "node.passphrase", "node.data", "dataplane.socket", "control.socket"):
        expect_at(folder, name, "has a NUL character, which no path may have", **{name.replace(".", "__"): '"/x/nul\\u0000x"'})
    expect_at(folder, "dataplane.socket", "they are two sockets", dataplane__socket=f'"{folder}/../{folder.name}/s"')
    for name in ("https.listen", "omq.listen", "network.authorities"):
        expect_at(folder, name, "is empty: it should have ", **{name.replace(".", "__"): "[]"})
    done = run(ALLIUMD, "--config", str(folder), "--check-config")
    expect(done.returncode == NEGATIVE and done.stderr == f"{folder}:1: is a directory\n", done.stderr)
    os.mkfifo(folder / "pipe")
    done = run(ALLIUMD, "--config", str(folder / "pipe"), "--check-config")
    expect(done.returncode == NEGATIVE and done.stderr == f"{folder}/pipe:1: no regular file\n", done.stderr)
    expect_at(folder, "storage.max_bytes", "at most 1048576TiB", storage__max_bytes='"16777215TiB"')


def files_of_a_configuration_are_checked(folder):
    identity = new_identity(folder)
    (folder / "network").write_text("any")
    expect_at(folder, "network.document", "No such file", network__document='"/nowhere/network"')
    expect_at(folder, "network.document", "no regular file", network__document=f'"{folder}"')
    os.mkfifo(folder / "pipe")
    for name in ("network.document", "node.identity", "node.passphrase"):
        expect_at(folder, name, f"{folder}/pipe: no regular file", **{name.replace(".", "__"): f'"{folder}/pipe"'})
    expect_at(folder, "control.socket", "/nowhere: No such file", control__socket='"/nowhere/s"')
    expect_at(folder, "control.socket", f"{folder}/network: no directory", control__socket=f'"{folder}/network/s"')
    for name in ("network", "data"):
        (folder / "data").mkdir(exist_ok=True)
        expect_at(folder, "control.socket", f"{folder}/{name}: there is something else of that name", control__socket=f'"{folder}/{name}"')
    (folder / "another").symlink_to(folder / "identity")
    for name in ("identity", "another"):
        expect_at(folder, "network.document", f"{folder}/{name}: [node] names this file as a secret", network__document=f'"{folder}/{name}"')
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(folder / "s"))
    done, *_ = check(folder)
    expect(done.returncode == 0, f"a socket that a crash left is taken over: {done.stderr}")
    done, *_ = check(folder, control__socket='"/run/allium-of-nobody/s"')
    expect(done.returncode == 0, f"a folder of /run is made at start: {done.stderr}")
    done, *_ = check(folder, network__document='"https://example.org/network"')
    expect(done.returncode == 0, f"a URL is not asked for: {done.stderr}")
    expect_at(folder, "node.identity", "No such file or directory; make one: allium key init", node__identity='"/nowhere/identity"')
    expect_at(folder, "node.identity", "no identity file", node__identity=f'"{write_private(folder / "bad")}"')
    expect_at(folder, "node.passphrase", "No such file", node__passphrase='"/nowhere/passphrase"')
    expect_at(folder, "node.data", "no directory", node__data=f'"{folder}/network"')
    (folder / "odd").mkdir()
    (folder / "odd/messages").touch()
    expect_at(folder, "node.data", f"{folder}/odd/messages: no directory; move it out of the way", node__data=f'"{folder}/odd"')
    write_private(folder / "passphrase").chmod(0o644)
    expect_at(folder, "node.passphrase", "chmod 600", node__passphrase=f'"{folder}/passphrase"')
    identity.chmod(0o640)
    expect_at(folder, "node.identity", "chmod 600")
    if os.geteuid() != 0:  # root reads everything
        identity.chmod(0)
        expect_at(folder, "node.identity", "Permission denied")
    if not Path("/var/lib/allium/identity").exists():
        expect_at(folder, None, "/var/lib/allium/identity", node__identity=None)
    (folder / "passphrase").chmod(0o600)
    sealed = folder / "sealed"
    expect(key("init", sealed, "--passphrase-file", str(folder / "passphrase")).returncode == 0, "no sealed identity")
    expect_at(folder, "node.identity", "needs passphrase", node__identity=f'"{sealed}"')
    done, *_ = check(folder, node__identity=f'"{sealed}"', node__passphrase=f'"{folder}/passphrase"')
    expect(done.returncode == 0, f"a sealed one: {done.stderr}")


def write_private(path, text="correct horse\n"):
    path.write_text(text)
    path.chmod(0o600)
    return path


def wait_until(is_so, what, seconds=15):
    end = time.monotonic() + seconds
    while not is_so():
        expect(time.monotonic() < end, f"not within {seconds} s: {what}")
        time.sleep(0.02)


class Node:
    """An alliumd at ports of loopback that were free just now; `with` ends it by SIGTERM."""

    def __init__(self, folder, max_bytes="64MiB", configuration_file=None, **changes):
        """`configuration_file`: of a node that was here before."""
        self.folder, self.socket, self.log = folder, folder / "s", folder / "log"
        self.configuration_file = configuration_file or folder / "allium.toml"
        if configuration_file:
            self.https, self.omq = (int(port) for port in re.findall(r"listen = .*:(\d+)", configuration_file.read_text()))
            return
        self.https, self.omq = free_ports(2)
        text, _ = configuration(folder, https__listen=f'["127.0.0.1:{self.https}"]', omq__listen=f'["127.0.0.1:{self.omq}"]',
                                storage__max_bytes=f'"{max_bytes}"', **changes)
        self.configuration_file.write_text(text)

    def start(self, errors=None, **environment):
        """`errors`: where its log goes, if not to a file."""
        with open(self.log, "w", encoding="utf-8") as log:
            return subprocess.Popen([ALLIUMD, "--config", str(self.configuration_file)], env={**ENVIRONMENT, **environment}, stderr=errors or log)

    def __enter__(self):
        self.process = self.start()
        try:
            wait_until(lambda: self.process.poll() is not None or self.status().returncode in (0, NEGATIVE), "alliumd answers")
            expect(self.process.poll() is None, self.log.read_text())
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def status(self, *words):
        return run(ALLIUM, "status", "--socket", str(self.socket), *words)

    def fails_to_start(self):
        """Its words."""
        process = self.start()
        try:
            expect(process.wait(timeout=15) == REFUSED, f"exit code {process.returncode}")
        finally:
            process.kill()
            process.wait()
        return self.log.read_text()


def a_node_keeps_its_files_to_itself(folder):
    new_identity(folder)
    node, certificate = Node(folder), folder / "data" / "tls.pem"
    with node:
        expect(node.socket.stat().st_mode & 0o777 == 0o660, "the local socket is for the group as well")
        expect("packets  no dataplane\n" in node.status().stdout, "nothing about packets")
        expect("records" not in node.status().stdout, "no record was refused")
        expect("omq      0 commands, 0 to other nodes, 0 unanswered, 0 refused or cut off\n" in node.status().stdout, "omq")
        expect_nothing_leaves(node.process.pid)
    expect((folder / "data").stat().st_mode & 0o777 == 0o700, "others may look into the data directory")
    found = [path for path in (folder / "data").rglob("*") if path.stat().st_mode & 0o077]
    expect(not found, f"others may read {found}")
    expect(sorted(path.name for path in (folder / "data").glob("tls*")) == ["tls.pem"], "a draft is left")
    for word in ("data.is_open", "network.not_known"):
        expect(word not in node.log.read_text(), "a warning without a reason")
    whole = certificate.read_text()

    certificate.chmod(0o644)
    (folder / "data").chmod(0o755)
    (folder / "data" / "messages").chmod(0o755)
    (folder / "data" / "network-held").write_text("allium-held 5\nstore")
    with node:
        pass
    expect(f"level=warn ev=network.not_known file={folder}/data/network-held" in node.log.read_text(), "no warning that it does not know what it has")
    expect(f"level=warn ev=tls.was_readable file={certificate}" in node.log.read_text(), "no warning of a key that others could read")
    expect("level=warn ev=data.is_open" in node.log.read_text(), "no warning of a data directory that others may read")
    expect(certificate.stat().st_mode & 0o777 == 0o600 and certificate.read_text() == whole, "the same key, private")
    expect((folder / "data" / "messages").stat().st_mode & 0o777 == 0o700, "others may read messages")

    other = run("openssl", "ecparam", "-genkey", "-name", "prime256v1", "-noout").stdout if has_openssl() else ""
    for torn in ("", whole[:100], whole[:-200], whole.replace("PRIVATE", "PUBLIC"), other + whole[whole.index("-----BEGIN CERT"):]):
        certificate.write_text(torn)
        words = node.fails_to_start()
        expect(f"error: {certificate}: " in words and "remove it: a new one is made" in words, words)
    held = folder / "data" / "network-held"
    held.unlink(missing_ok=True)
    for make in (held.mkdir, lambda: os.mkfifo(held)):
        make()
        certificate.unlink(missing_ok=True)
        words = node.fails_to_start()
        expect(f"error: {held}: is no file; remove it" in words, words)
        held.rmdir() if held.is_dir() else held.unlink()
    certificate.unlink(missing_ok=True)
    with node:
        expect(certificate.read_text() not in ("", whole), "no new certificate")


def a_hangup_does_not_end_it(folder):
    new_identity(folder)
    with Node(folder) as node:
        for count in (1, 2):
            node.process.send_signal(signal.SIGHUP)
            wait_until(lambda: node.log.read_text().count("level=warn ev=node.not_reloaded ") == count, "it says so")
        expect(node.status().returncode in (0, NEGATIVE), "it does not answer any more")


class ServiceManager:
    """The end of systemd that `alliumd` notifies."""

    WATCHDOG_S = 0.3  # what the unit would say as WatchdogSec=

    def __init__(self, folder):
        self.path, self.heard = folder / "notify", queue.Queue()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.reader = threading.Thread(target=self.read)

    def __enter__(self):
        self.reader.start()
        return self

    def __exit__(self, *_):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.sendto(b"", str(self.path))
        self.reader.join()
        self.socket.close()

    def read(self):
        """All the time, as systemd does: few datagrams wait, then their sender does."""
        while text := self.socket.recv(65536).decode():
            self.heard.put(dict(line.split("=", 1) for line in text.splitlines()))

    def start(self, node, errors=None):
        return node.start(errors, NOTIFY_SOCKET=str(self.path), WATCHDOG_USEC=str(int(self.WATCHDOG_S * 1e6)))

    def next(self, seconds):
        """The assignments of the next datagram; {} where none comes."""
        try:
            return self.heard.get(timeout=seconds)
        except queue.Empty:
            return {}

    def expect_soon(self, name, seconds=30):
        """What came before it, and it."""
        heard, end = [], time.monotonic() + seconds
        while time.monotonic() < end:
            heard.append(self.next(seconds))
            if heard[-1].get(name) == "1":
                return heard
        raise AssertionError(f"no {name}=1 within {seconds} s, but {heard}")


def ended(process, seconds=20):
    try:
        return process.wait(timeout=seconds)
    finally:
        process.kill()
        process.wait()


def the_service_manager_hears_of_start_and_end(folder):
    new_identity(folder)
    node = Node(folder)
    with ServiceManager(folder) as manager:
        process = manager.start(node)
        try:
            before = manager.expect_soon("READY")
            # Ready is who serves: what is started next may ask at once.
            for port in (node.https, node.omq):
                socket.create_connection(("127.0.0.1", port), timeout=10).close()
            expect(node.status().returncode in (0, NEGATIVE), "the local socket is not there")
            expect(not any("STOPPING" in heard for heard in before), f"it stops before it starts: {before}")
            expect("DEGRADED" in manager.expect_soon("WATCHDOG")[-1].get("STATUS", ""), "the state is not told in words")
            process.terminate()
            manager.expect_soon("STOPPING")
        finally:
            process.terminate()
            ended(process)
        expect(process.returncode == 0, f"exit code {process.returncode}")

        (folder / "data" / "tls.pem").write_text("torn")
        process = manager.start(node)
        expect(ended(process) == REFUSED, "it starts")
        while heard := manager.next(0.1):
            expect("READY" not in heard, "ready, and could not start")


def the_watchdog_hears_as_often_as_it_asks(folder):
    new_identity(folder)
    with ServiceManager(folder) as manager:
        process = manager.start(Node(folder))
        try:
            manager.expect_soon("READY")
            begin = time.monotonic()
            for _ in range(20):
                manager.expect_soon("WATCHDOG")
            # Three times in each WatchdogSec=, so 2 s; where nobody asks, it would be 100.
            expect(time.monotonic() - begin < 60, "the beat does not follow WatchdogSec=")
        finally:
            process.terminate()
            ended(process)


def the_watchdog_hears_nothing_of_a_service_thread_that_hangs(folder):
    """A log that nobody takes any more blocks the thread that writes the next line: the service thread, at a SIGHUP. The process and
    its other threads go on, and must not speak for it."""
    new_identity(folder)
    node = Node(folder)
    log, errors = os.pipe()
    with ServiceManager(folder) as manager:
        process = manager.start(node, errors)
        drain = threading.Thread(target=lambda: [None for _ in iter(lambda: os.read(log, 4096), b"")])
        try:
            manager.expect_soon("READY")
            filler = os.open(f"/proc/self/fd/{errors}", os.O_WRONLY | os.O_NONBLOCK)  # the node's own end has to block
            for piece in (b" " * 4096, b" "):
                try:
                    while True:
                        os.write(filler, piece)
                except BlockingIOError:
                    pass
            os.close(filler)
            process.send_signal(signal.SIGHUP)

            end = time.monotonic() + 30
            while manager.next(20 * manager.WATCHDOG_S / 3):
                expect(time.monotonic() < end, "the watchdog still hears of a node whose service thread hangs")
            states = {(task / "stat").read_text().rpartition(")")[2].split()[0] for task in Path(f"/proc/{process.pid}/task").iterdir()}
            expect(states <= set("SDR"), f"its threads are {states}, so this proves nothing")
            expect(manager.next(manager.WATCHDOG_S) == {} and process.poll() is None, "it has ended")

            drain.start()
            manager.expect_soon("WATCHDOG")
        finally:
            os.close(errors)
            if drain.ident is None:
                drain.start()
            process.terminate()
            ended(process)
            drain.join(timeout=20)
            os.close(log)
        expect(process.returncode == 0, f"exit code {process.returncode}")


def a_document_that_is_fetched_need_not_be_there(folder):
    new_identity(folder)
    with Node(folder, network__document=f'"http://127.0.0.1:{free_ports(1)[0]}/network"') as node:
        wait_until(lambda: "ev=registry.not_fetched" in node.log.read_text(), "it says that it cannot fetch")
        problems = json.loads(node.status("--json").stdout)["problems"]
        expect(len(problems) == 2 and problems[0].startswith("the network document is not fetched: ") and
               problems[1] == "no list of nodes yet: clients are answered 503", str(problems))
    log = node.log.read_text()
    expect("level=info ev=registry.awaited" in log, log)
    expect("level=error" not in log and "No such file" not in log, log)

    with Node(folder) as node:  # a file that is not there is a mistake
        expect("level=error ev=registry.refused" in node.log.read_text(), node.log.read_text())


def signed_by_seed(folder, text):
    """Of RFC 8032, section 7.1, test 1: the key of SEED."""
    (folder / "der").write_bytes(bytes.fromhex("302e020100300506032b657004220420" + SEED))
    (folder / "text").write_text(text)
    done = run("openssl", "pkeyutl", "-sign", "-rawin", "-inkey", str(folder / "der"), "-keyform", "DER", "-in", str(folder / "text"), text=False)
    expect(done.returncode == 0, str(done.stderr))
    return done.stdout.hex()


def a_document_without_service_nodes_is_said(folder):
    if not has_openssl():
        return
    new_identity(folder)
    now = int(time.time())
    text = (f"allium-network 1\nserial 7\nvalid-from {now - 100}\nvalid-until {now + 200_000}\nrelays 1\n"
            f"relay {PUBLIC_KEY} - 1 192.0.2.7:22100\n")
    (folder / "network").write_text(f"allium-network-bundle 1\n{text}signatures 1\nauthority {PUBLIC_KEY} {signed_by_seed(folder, text)}\nrecords 0\n")
    with Node(folder, network__authorities=f'["{PUBLIC_KEY}"]') as node:
        problems = json.loads(node.status("--json").stdout)["problems"]
    expect(len(problems) == 1 and problems[0].startswith("the network document has no service node (no 'service' line"), str(problems))


def a_disk_that_fills_up_is_said_early(folder):
    new_identity(folder)
    with Node(folder) as node:
        told = json.loads(node.status("--json").stdout)
        expect(told["store"]["disk_free_bytes"] > 0 and told["store"]["disk_wanted_bytes"] > 0, f"nothing of the disk: {told['store']}")
        expect("disk is nearly full" not in node.status().stdout, "too early")
    expect("ev=disk." not in node.log.read_text(), "a warning without a reason")

    # No machine has a tenth of it.
    with Node(folder, max_bytes="1000000TiB") as node:
        told = node.status()
        expect(told.returncode == NEGATIVE and "\nstate    DEGRADED\n" in told.stdout, told.stdout)
        expect(re.search(r"\nproblem  the store's disk is nearly full: \d+ MiB are free where \d+ should be; make room", told.stdout), told.stdout)
        time.sleep(5.5)  # over the next look
    expect(node.log.read_text().count("level=warn ev=disk.nearly_full ") == 1, node.log.read_text())


def network_of_one(folder, node):
    """A document with this node alone, in a swarm of its own."""
    now = int(time.time())
    text = (f"allium-network 1\nserial 7\nvalid-from {now - 100}\nvalid-until {now + 200_000}\nrelays 1\n"
            f"relay {PUBLIC_KEY} - 1 127.0.0.1:22100\nservice 0000000000000007 {node.https} {node.omq}\n")
    (folder / "network").write_text(f"allium-network-bundle 1\n{text}signatures 1\nauthority {PUBLIC_KEY} {signed_by_seed(folder, text)}\nrecords 0\n")


def rpc(node, method, **params):
    """Of an old group, which asks for no signature."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection("127.0.0.1", node.https, timeout=20, context=context)
    try:
        params.update(pubkey="05" + SEED, namespace=-10)
        connection.request("POST", "/storage_rpc/v1", json.dumps({"method": method, "params": params}))
        response = connection.getresponse()
        text = response.read().decode()
        expect(response.status == 200, f"{method}: {response.status} {text}")
        return json.loads(text)
    finally:
        connection.close()


def store_message(node, text):
    rpc(node, "store", data=base64.b64encode(text.encode()).decode(), timestamp=int(time.time() * 1000), ttl=600_000)


def messages_of(node):
    return [base64.b64decode(message["data"]).decode() for message in rpc(node, "retrieve")["messages"]]


def backup(node, directory, *words, **more):
    return run(ALLIUM, "store", "backup", str(directory), "--socket", str(node.socket), *words, **more)


def documented_commands():
    """The console blocks of control/README.md's "Backup and restore"."""
    text = (Path(__file__).resolve().parent.parent.parent / "control" / "README.md").read_text(encoding="utf-8")
    section = re.search(r"\n## Backup and restore\n(.*?)\n## ", text, re.DOTALL)[1]
    return [[line[2:] for line in block.splitlines()] for block in re.findall(r"```console\n(.*?)```", section, re.DOTALL)]


class Machine:
    """Where commands are said: the paths of a real one are in `folder`, and systemctl starts and ends the node there."""

    def __init__(self, folder, backup_folder):
        self.folder, self.backup_folder, self.node = folder, backup_folder, None
        (folder / "etc").mkdir(parents=True)
        (folder / "lib").mkdir(mode=0o700)

    def __enter__(self):
        return self

    def __exit__(self, *problem):
        self.stop()

    def start(self):
        self.node = Node(self.folder, configuration_file=self.folder / "etc" / "allium.toml")
        self.node.__enter__()

    def stop(self):
        node, self.node = self.node, None
        if node is not None:
            node.__exit__()

    def say(self, commands):
        mask = "umask 022"
        for command in commands:
            if command == "systemctl stop alliumd":
                self.stop()
            elif command == "systemctl start alliumd":
                self.start()
            elif command.startswith("umask "):
                mask = command
            else:
                self.run(mask, command)

    def run(self, mask, command):
        here = command
        for path, real in (("/var/lib/allium", self.folder / "lib"), ("/etc/allium", self.folder / "etc"), ("/mnt/backup", self.backup_folder)):
            here = here.replace(path, str(real))
        here = re.sub(r"^allium (key \w+)", rf"{ALLIUM} \1 --file {self.folder}/lib/identity", here)
        here = re.sub(r"^allium (store backup|status)", rf"{ALLIUM} \1 --socket {self.folder}/s", here)
        done = run("sh", "-c", f"{mask}; {here}")
        expect(done.returncode == 0, f"{command}: exit code {done.returncode}: {done.stderr}")


def a_running_node_is_backed_up_and_restored(folder):
    """As control/README.md says it, word by word."""
    if not has_openssl():
        print("skipped, without openssl: a_running_node_is_backed_up_and_restored")
        return
    saving, restoring, moving = documented_commands()
    (folder / "mnt").mkdir()
    with Machine(folder / "old", folder / "mnt") as machine:
        expect(key("import", machine.folder / "lib" / "identity", "--unsealed", input=SEED).returncode == 0, "no identity")
        of_document = Node(machine.folder, node__identity=f'"{machine.folder}/lib/identity"', node__data=f'"{machine.folder}/lib"',
                           network__document=f'"{folder}/network"', network__authorities=f'["{PUBLIC_KEY}"]')
        network_of_one(folder, of_document)
        (machine.folder / "allium.toml").rename(machine.folder / "etc" / "allium.toml")
        machine.start()
        store_message(machine.node, "before")
        machine.say(saving)
        expect(names_in(folder / "mnt") == ["allium.toml", "messages.tar", "seed"], str(names_in(folder / "mnt")))
        expect(all(path.stat().st_mode & 0o077 == 0 for path in (folder / "mnt").iterdir()), "others may read what was saved")
        expect(not list((machine.folder / "lib").glob("backup*")), "something is left beside the store")
        store_message(machine.node, "after")
        expect(messages_of(machine.node) == ["before", "after"], "a backup changes nothing")
        expect("ev=store.backed_up" in machine.node.log.read_text(), "nothing in the log")

        machine.stop()
        (machine.folder / "lib" / "messages" / "CURRENT").write_text("MANIFEST-000000\n")
        expect("message store, opening" in Node(machine.folder, configuration_file=machine.folder / "etc" / "allium.toml").fails_to_start(), "it is not damaged")
        machine.say(restoring)
        expect(messages_of(machine.node) == ["before"], "not what was backed up")

    with Machine(folder / "new", folder / "mnt") as machine:
        expect(moving[-1] == "systemctl start alliumd", str(moving))
        machine.say(moving[:-1])
        toml = machine.folder / "etc" / "allium.toml"  # as if the paths were the same
        toml.write_text(toml.read_text().replace(f"{folder}/old", str(machine.folder)))
        machine.say(moving[-1:])
        expect(messages_of(machine.node) == ["before"], "not what was backed up")


def logs_name_nobody(folder):
    """At their most talkative: no seed and no account (here one), no payload, no client's address; and a loud word where the identity is not sealed."""
    if not has_openssl():
        print("skipped, without openssl: logs_name_nobody")
        return
    expect(key("import", folder / "identity", "--unsealed", input=SEED).returncode == 0, "no identity")
    of_document = Node(folder, network__document=f'"{folder}/network"', network__authorities=f'["{PUBLIC_KEY}"]', log__level='"debug"')
    network_of_one(folder, of_document)
    with of_document as node:
        store_message(node, "a text that nobody else reads")
        expect(messages_of(node) == ["a text that nobody else reads"], "it is not there")
        http.client.HTTPSConnection("127.0.0.1", node.https, context=ssl._create_unverified_context(), timeout=5).request("POST", "/storage_rpc/v1", "{")
        with socket.create_connection(("127.0.0.1", node.https)) as client:
            address = f"{client.getsockname()[0]}:{client.getsockname()[1]}"
            client.sendall(b"no TLS at all")
    log = node.log.read_text()
    warnings = [line for line in log.splitlines() if "ev=identity.unsealed" in line]
    expect(len(warnings) == 1 and "level=warn" in warnings[0] and "whoever copies this file is this node" in warnings[0], log)
    for word in (SEED, "a text that nobody else reads", address, base64.b64encode(b"a text that nobody else reads").decode()):
        expect(word not in log, f"the log says {word}: {log}")


def backups_that_cannot_be_say_why(folder):
    new_identity(folder)
    with Node(folder) as node:
        done = backup(node, "copy", cwd=folder)  # a path of the asker's, not of the node's working directory
        expect(done.returncode == 0 and done.stdout == f"backup   {folder}/copy\nstore    0 messages of 0 accounts, 0 MiB\n", done.stdout + done.stderr)
        expect("Copy it to another machine" in done.stderr and "allium key export" in done.stderr, done.stderr)
        found = [path for path in [folder / "copy", *(folder / "copy").iterdir()] if path.stat().st_mode & 0o077]
        expect(not found, f"others may read {found}")
        told = json.loads(backup(node, folder / "other", "--json").stdout)
        expect(told == {"schema": "allium.backup/1", "directory": f"{folder}/other", "messages": 0, "accounts": 0, "used_bytes": 0}, str(told))

        for directory, said in ((folder / "copy", "/copy: is there already"), (folder / "none" / "copy", "/none: No such file"),
                                (folder / "data" / "messages" / "copy", "is within the store")):
            done = backup(node, directory)
            expect_refused(done, REFUSED, "error: ", said)
            expect(done.stderr.count("\n") == 1 and done.stdout == "", done.stderr)
            expect(f'level=warn ev=store.not_backed_up reason="{done.stderr[7:-1]}"' in node.log.read_text(), node.log.read_text())
        expect_refused(backup(node, "a\nb"), USAGE, "no name that alliumd could be told")
        expect_refused(backup(node, "a" * 5000), USAGE, "no name that alliumd could be told")
        expect_refused(run(ALLIUM, "store", "backup"), USAGE, "DIRECTORY is required")
        with socket.socket(socket.AF_UNIX) as asking:  # past the command
            asking.connect(str(node.socket))
            asking.sendall(b"backup copy\n")
            expect(b"named from the root" in asking.recv(1000), "a path of its own working directory")
        expect(node.status().returncode in (0, NEGATIVE), "it does not answer any more")
    expect_refused(backup(node, folder / "late"), UNREACHABLE, "is alliumd running?")


def a_backup_is_for_the_owner(folder):
    """Whoever may open the socket by its group may read the status, and no more."""
    if os.geteuid() != 0:
        print("skipped, since it needs root: a_backup_is_for_the_owner")
        return
    new_identity(folder)
    folder.chmod(0o755)
    with Node(folder) as node:
        question = f"import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect('{node.socket}'); s.sendall(sys.argv[1].encode()+b'\\n'); print(s.recv(9999).decode())"
        ask = lambda words: run("/usr/bin/python3", "-c", question, words, user=65534, group=0, extra_groups=[]).stdout
        expect('"schema":"allium.status/1"' in ask("status"), "the group may not read the status")
        expect("for root and the user of alliumd only" in ask(f"backup {folder}/copy"), "anybody may ask for a backup")
        allium = shutil.copy(ALLIUM, folder / "allium")  # where everybody may run it
        ask = lambda group, *verb: run(allium, *verb, "--socket", str(node.socket), user=65534, group=group, extra_groups=[])
        expect_refused(ask(0, "store", "backup", str(folder / "copy")), UNAUTHORISED, "for root and the user of alliumd only")
        expect(not (folder / "copy").exists(), "it was made all the same")
        for verb in (("status",), ("store", "backup", str(folder / "copy"))):
            expect_refused(ask(65534, *verb), UNAUTHORISED, "Permission denied; it is for root, the user of alliumd and that user's group")


def backups_of_another_version_are_refused(folder):
    for answer in (b'{"schema":"allium.backup/2"}\n', b'{"schema":"allium.backup/1"}\n', b"{}\n"):
        done = asked(folder, answer, "/copy", verb=("store", "backup"))
        expect_refused(done, REFUSED, "the answer is of another version of alliumd")
    for answer, code in ((b'{"error":"say: status"}\n', REFUSED), (b'{"error":"say: status","conflict":true}\n', CONFLICT),
                         (b'{"error":"say: status","unauthorised":true}\n', UNAUTHORISED)):
        expect_refused(asked(folder, answer, "/copy", verb=("store", "backup")), code, "error: say: status")


def has_openssl():
    return any(os.access(f"{folder}/openssl", os.X_OK) for folder in os.environ.get("PATH", "").split(":"))


STATUS = {"schema": "allium.status/1", "version": "0", "healthy": True, "problems": [], "node": SEED, "uptime_s": 1, "swarm": None,
          "members": 1, "members_dead": 0, "members_behind": 0, "store": {"messages": 0, "accounts": 0, "used_bytes": 0, "limit_bytes": 0},
          "requests": {"rpc": 0, "onion": 0, "rate_limited": 0},
          "omq": {"received": 0, "requested": 0, "timeouts": 0, "refused_busy": 0, "refused_clients": 0, "refused_address_full": 0,
                  "unsent_full": 0, "cut_slow": 0, "cut_silent": 0, "cut_unfinished": 0,
                  "cut_node": 0, "cut_idle": 0, "cut_broken": 0},
          "fetch": {"parts_open": 0, "pages": 0, "served": 0},
          "records": {"known": 11, "refused": 0, "last_refusal": ""}, "dataplane": None}
DATAPLANE = {"connected": True, "serving": True, "problem": "", "device": "net_ring0", "workers": 2, "relays": 11}


def asked(folder, answer, *words, verb=("status",)):
    """`allium status`, or another verb, of a socket that says these bytes."""
    path = folder / "status"
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(path))
        door.listen()
        door.settimeout(10)
        asking = subprocess.Popen([ALLIUM, *verb, "--socket", str(path), *words], env=ENVIRONMENT, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True)
        try:
            line, _ = door.accept()
            with line:
                line.recv(100)
                line.sendall(answer)
            text, errors = asking.communicate(timeout=10)
        finally:
            asking.kill()
            asking.wait()
    path.unlink()
    return subprocess.CompletedProcess(asking.args, asking.returncode, text, errors)


def status_of(folder, **changes):
    """What `allium status` prints for an answer."""
    return asked(folder, json.dumps({**STATUS, **changes}).encode()).stdout.splitlines()


def status_of_another_version_is_refused(folder):
    for changes in ({"schema": "allium.status/2"}, {"schema": None}, {"omq": None}, {"omq": {}}, {"healthy": "yes"}, {"members": "many"},
                    {"problems": [1]}, {"dataplane": {}}):
        for words in ([], ["--json"]):
            done = asked(folder, json.dumps({**STATUS, **changes}).encode(), *words)
            expect_refused(done, REFUSED, f"error: {folder}/status: the answer is of another version of alliumd")
            expect(done.stdout == "", f"{changes}: a part of it is printed: {done.stdout}")
    expect_refused(asked(folder, b"{}"), REFUSED, "another version of alliumd")
    expect_refused(asked(folder, b""), UNREACHABLE, "no answer that could be read")


def status_of_one_that_stands_still(folder):
    new_identity(folder)
    with Node(folder) as node:
        node.process.send_signal(signal.SIGSTOP)
        try:
            expect_refused(node.status(), UNREACHABLE, f"{node.socket}: somebody listens there and does not answer", "perhaps alliumd hangs",
                           "journalctl -u alliumd")
        finally:
            node.process.send_signal(signal.SIGCONT)


def status_tells_of_omq(folder):
    omq = {"received": 812, "requested": 1204, "timeouts": 3, "refused_busy": 1, "refused_clients": 10, "refused_address_full": 10000,
           "unsent_full": 100, "cut_slow": 1000, "cut_silent": 100000, "cut_unfinished": 1000000, "cut_node": 10000000,
           "cut_idle": 100000000, "cut_broken": 1000000000}
    expect("omq      812 commands, 1204 to other nodes, 3 unanswered, 1111111111 refused or cut off"
           in status_of(folder, omq=omq), "omq")


def status_tells_what_a_node_lacks(folder):
    line = "swarm    none, 1 members, 0 of them do not answer, 0 catch up"
    expect(line in status_of(folder), "nothing")
    fetch = {"parts_open": 2, "pages": 0, "served": 0}
    expect(line + "; this node still fetches what it lacks" in status_of(folder, fetch=fetch), "something")


def status_tells_of_packets_and_records(folder):
    expect("packets  no dataplane" in status_of(folder), "no dataplane")
    expect("packets  serving; 2 workers, 11 relays known, device net_ring0" in status_of(folder, dataplane=DATAPLANE), "serving")
    withdrawn = {**DATAPLANE, "serving": False, "problem": "withdrawn: the clock\x1b[2J"}
    expect("packets  NOT served: withdrawn: the clock?[2J; 2 workers, 11 relays known, device net_ring0"
           in status_of(folder, dataplane=withdrawn), "not served")
    gone = {**DATAPLANE, "serving": False, "connected": False, "problem": "not connected yet"}
    expect("packets  NOT served: not connected yet" in status_of(folder, dataplane=gone), "not connected")
    refused = {"known": 11, "refused": 2, "last_refusal": "a record of another node"}
    expect("records  11 known, 2 refused, last: a record of another node" in status_of(folder, records=refused), "records")


CASES = (rotation_checks_first, rotation_goes_on_after_a_crash, rotation_follows_a_link, rotation_leaves_no_gap, export_is_json_on_request, errors_repeat_no_secret,
         output_that_is_lost_is_an_error, import_takes_pieces, rpc_keeps_the_accounts_secret, pipes_do_not_hang, configurations_are_checked,
         files_of_a_configuration_are_checked, a_node_keeps_its_files_to_itself, a_hangup_does_not_end_it,
         the_service_manager_hears_of_start_and_end, the_watchdog_hears_as_often_as_it_asks, the_watchdog_hears_nothing_of_a_service_thread_that_hangs,
         a_document_that_is_fetched_need_not_be_there, a_document_without_service_nodes_is_said, a_disk_that_fills_up_is_said_early,
         a_running_node_is_backed_up_and_restored, logs_name_nobody, backups_that_cannot_be_say_why, a_backup_is_for_the_owner, backups_of_another_version_are_refused,
         status_of_another_version_is_refused, status_of_one_that_stands_still, status_tells_of_omq, status_tells_what_a_node_lacks,
         status_tells_of_packets_and_records)


def main():
    os.umask(0o022)  # what programs make private has to be their own doing
    failed = 0
    for case in CASES:
        begin = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="allium-node-") as folder:
            try:
                case(Path(folder))
                print(f"{case.__name__}: good, {time.monotonic() - begin:.1f} s")
            except (AssertionError, OSError, subprocess.SubprocessError, ValueError) as error:
                failed += 1
                print(f"FAILED: {case.__name__}: {type(error).__name__} {error}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
