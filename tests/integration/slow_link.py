#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A bad link for one node of a devnet, for kernels without netem: takes the node's veth off the bridge and carries the frames
itself, until its standard input ends. Run inside of the devnet's network (allium devnet exec).

    n2 eth0 ---- v2   this process   wire ---- wire-br ---- br0

usage: slow_link.py VETH delay MILLISECONDS JITTER     every frame is late
       slow_link.py VETH apart                         clients reach the node, other nodes do not, nor it them
"""
import heapq
import json
import os
import random
import select
import socket
import subprocess
import sys
import time

BRIDGE = "br0"
NODE_MAC = bytes.fromhex("02000a58")  # how those of all nodes begin
SOL_PACKET, PACKET_VNET_HDR, VNET_HDR_BYTES = 263, 15, 10
ETH_P_ALL = 3
FRAME_BYTES_MAX = 70_000  # with segmentation offload a "frame" is up to 64 KiB


def ip(text):
    subprocess.run(["ip", "-batch", "-"], input=text, text=True, check=True)


def packets_of(interface):
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    # What the kernel left for a network card to do (checksums, segments) stays said.
    packets.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    packets.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    packets.bind((interface, 0))
    packets.setblocking(False)
    return packets


def received(packets):
    """All frames that have come; not those that this process sent."""
    while True:
        try:
            frame, (_, _, kind, _, _) = packets.recvfrom(FRAME_BYTES_MAX)
        except BlockingIOError:
            return
        if kind != socket.PACKET_OUTGOING:
            yield frame


def is_between_nodes(frame):
    macs = frame[VNET_HDR_BYTES:VNET_HDR_BYTES + 12]
    return macs.startswith(NODE_MAC) and macs[6:].startswith(NODE_MAC)


def carry(node, network, delay_s, jitter_s, is_apart):
    other = {node: network, network: node}
    waiting, last_due, number = [], {node: 0.0, network: 0.0}, 0
    while True:
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, _, target, frame = heapq.heappop(waiting)
            try:
                target.send(frame)
            except OSError:
                pass  # a full queue drops, as links do
        timeout = waiting[0][0] - now if waiting else None
        ready, _, _ = select.select([node, network, sys.stdin], [], [], timeout)
        if sys.stdin in ready:
            return
        for source in ready:
            for frame in received(source):
                if is_apart and is_between_nodes(frame):
                    continue
                # In order: a link delays, it does not shuffle.
                due = max(last_due[source], time.monotonic() + delay_s + random.uniform(-jitter_s, jitter_s))
                last_due[source], number = due, number + 1
                heapq.heappush(waiting, (due, number, other[source], frame))


def main():
    veth, what = sys.argv[1:3]
    delay_s, jitter_s = (int(word) / 1000 for word in sys.argv[3:5]) if what == "delay" else (0.0, 0.0)
    wire, wire_end = f"w{os.getpid() % 100000}a", f"w{os.getpid() % 100000}b"
    # A bridge has the address of one of its ports until it is given one: it must not change when that port leaves.
    address = json.loads(subprocess.check_output(["ip", "-json", "link", "show", BRIDGE]))[0]["address"]
    ip(f"link set {BRIDGE} address {address}\n"
       f"link add {wire} arp off type veth peer name {wire_end}\n"
       f"link set {wire_end} master {BRIDGE} up\nlink set {wire} addrgenmode none\nlink set {wire} up\n"
       # Off the bridge, the kernel itself would answer for its own addresses.
       f"link set {veth} nomaster arp off\n")
    try:
        print("ready", flush=True)
        carry(packets_of(veth), packets_of(wire), delay_s, jitter_s, what == "apart")
    finally:
        ip(f"link set {veth} arp on master {BRIDGE}\nlink del {wire}\n")


if __name__ == "__main__":
    main()
