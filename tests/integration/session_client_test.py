#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""session_client.py alone, without a node: what other clients compute, it computes as well.

usage: session_client_test.py [unittest options]
"""
import base64
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).parent))

SKIPPED = 77

try:
    from session_client import BlindedAccount, blinded_id, sodium
except ImportError as missing:
    print(f"skipped: python3 lacks {missing.name}: install python3-nacl, python3-zmq, python3-cryptography")
    sys.exit(SKIPPED)

SERVER = bytes.fromhex("abcdef0123456789" * 4)
ACCOUNT = "05fe94b7ad4b7f1cc1bb92671f1f0d243f226e115b33770465e82b503fc3e96e1f"
# Of other clients: account, key of the community, blinded id.
BLINDED = (
    (ACCOUNT, SERVER, "253b991dcbba44cfdb45d5b38880d95cff723309e3ece6fd01415ad5fa1dccc7ac"),
    (ACCOUNT, bytes.fromhex("00cdef") + SERVER[3:], "2598589c7885b56cbeae6ab7b4224f202815520a54995872cb1833b44db6401c8d"),
    ("0505c9a9bf178fa644d44bebf628716dc7f2df3d0842e97881962c723699152073", SERVER,
     "25a69cc6884530bf8498d22892e563716c4742f2845a7eb608de2aecbe7b6b5996"),
)


class Blinding(unittest.TestCase):
    def test_gives_the_ids_that_other_clients_give(self):
        for account, server, blinded in BLINDED:
            self.assertEqual(blinded_id(bytes.fromhex(account), server), blinded)

    def test_signs_so_that_anybody_can_check_it_by_the_blinded_id(self):
        signs = set()
        for number in range(16):
            account = BlindedAccount(SERVER, bytes([number]) * 32)
            signs.add(sodium.crypto_sign_seed_keypair(bytes([number]) * 32)[0][31] >> 7)
            signature = base64.b64decode(account.sign("store", 7))
            self.assertEqual(sodium.crypto_sign_open(signature + b"store7", account.public), b"store7")
            with self.assertRaises(Exception):
                sodium.crypto_sign_open(signature + b"store8", account.public)
        self.assertEqual(signs, {0, 1}, "keys of both signs")


if __name__ == "__main__":
    unittest.main()
