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
    from session_client import PREFIX_CHARS, Account, BlindedAccount, blinded_id, seed_of_phrase, sodium
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


# Numbers in the list of 1,626 English words, which is in the order of the alphabet.
WORDS = {
    "annoyed": 80, "faxed": 458, "federal": 462, "gorilla": 567, "jukebox": 737, "kiwi": 758, "lipstick": 805, "love": 823, "luxury": 834,
    "memoir": 860, "number": 957, "nylon": 961, "outbreak": 1021, "pledge": 1080, "puddle": 1110, "puffin": 1111, "rustled": 1204,
    "session": 1244, "sieve": 1258, "smidgen": 1281, "tapestry": 1356, "tumbling": 1430, "unknown": 1458, "utopia": 1496, "womanly": 1591,
    "zinger": 1620,
}
# Of other clients: phrase, account.
PHRASES = (
    ("puffin luxury annoyed rustled memoir faxed smidgen puddle kiwi nylon utopia zinger kiwi",
     "054830367d369d94605247999a375dbd0a0f65fdec5de1535612bcb6d4de452c69"),
    (" ".join(["session"] * 13), "0512742fb4ac033a8a33f5776aa0e7e88f35f7af9f65dee31e57fbc7d6f8664b12"),
    (" ".join(["love"] * 13), "053db493811f729da20289e31498b8fe2b28edc90358cd3ec11a6b12ac1b9fb818"),
    ("unknown number jukebox pledge lipstick sieve tumbling federal womanly outbreak tapestry gorilla sieve",
     "05ab0badfc19ac18f71d7bb10d5ca5c92731aa301cc483169c691cf697b83e765a"),
)


class RecoveryPhrase(unittest.TestCase):
    NUMBERS = {word[:PREFIX_CHARS]: number for word, number in WORDS.items()}

    def test_gives_the_accounts_that_other_clients_show(self):
        for phrase, account in PHRASES:
            self.assertEqual(Account(seed=seed_of_phrase(phrase, self.NUMBERS)).id, account)

    def test_is_told_by_the_first_letters_of_its_words(self):
        phrase, account = PHRASES[0]
        self.assertEqual(Account(seed=seed_of_phrase(" ".join(word[:3] + "x" for word in phrase.split()), self.NUMBERS)).id, account)

    def test_has_to_be_whole(self):
        words = PHRASES[0][0].split()
        for wrong in (words[:12], words[1:12] + words[:1] + words[12:], [*words[:12], "zinger"], []):
            with self.assertRaises(ValueError):
                seed_of_phrase(" ".join(wrong), self.NUMBERS)


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
