# SPDX-License-Identifier: Apache-2.0
"""What scripts share that run nodes on loopback."""
import random
import socket


def free_ports(count):
    """Below those that the kernel gives to connections, so that nobody's connection takes one in between."""
    ports = []
    while len(ports) < count:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as trial:
            if port not in ports and trial.connect_ex(("127.0.0.1", port)) != 0:
                ports.append(port)
    return ports
