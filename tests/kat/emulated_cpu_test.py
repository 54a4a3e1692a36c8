#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Nothing wider than AVX2 runs on a CPU that has nothing wider: kernels, vectors and choice, on an emulated one.

usage: emulated_cpu_test.py ALLIUM_DP ONION_KAT CRYPTO_ACCEL_TESTS VECTORS...

The emulator ends a program at the first instruction that its CPU does not have.
"""
import os
import shutil
import subprocess
import sys
import unittest

SKIPPED = 77
EMULATOR = "qemu-x86_64"
CPU = "Haswell"  # AES-NI, PCLMUL, AVX2; no VAES, no AVX-512
allium_dp, onion_kat, crypto_tests, vectors = "", "", "", []


def run(*words, **environment):
    return subprocess.run([EMULATOR, "-cpu", CPU, *words], capture_output=True, text=True, timeout=300,
                          env=dict(os.environ, **environment))


class EmulatedCpuTest(unittest.TestCase):
    def test_the_best_kernel_is_the_one_of_avx2(self):
        done = run(allium_dp, "--kernels")
        self.assertEqual(done.returncode, 0, done.stderr)
        states = dict(line.split()[:2] for line in done.stdout.splitlines())
        self.assertEqual(states["onion=aes-avx2"], "chosen")
        self.assertEqual(states["onion=vaes-avx2"], "unsupported")
        self.assertEqual(states["onion=vaes-avx512"], "unsupported")
        self.assertEqual(states["x25519=libsodium"], "chosen")
        self.assertEqual(states["x25519=avx512-ifma"], "unsupported")

    def test_a_wider_one_cannot_be_forced(self):
        for wish in ("onion=vaes-avx512", "onion=vaes-avx2", "x25519=avx512-ifma"):
            done = run(allium_dp, "--kernels", ALLIUM_KERNEL=wish)
            self.assertNotEqual(done.returncode, 0, wish)
            self.assertIn("this CPU cannot run " + wish, done.stderr)

    def test_the_vectors_hold(self):
        for path in vectors:
            done = run(onion_kat, "--lanes", "5", path)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertIn(" 0 failed", done.stdout)

    def test_the_kernels_hold(self):
        done = run(crypto_tests, "--gtest_filter=*OnionKernelTest*:SelfTest*:KernelRegistry*:OnionWipe*")
        self.assertEqual(done.returncode, 0, done.stdout[-4000:] + done.stderr)
        self.assertIn("[  PASSED  ]", done.stdout)
        self.assertIn("this CPU cannot run vaes-avx512", done.stdout)


if __name__ == "__main__":
    if shutil.which(EMULATOR) is None:
        print("SKIPPED: no " + EMULATOR)
        sys.exit(SKIPPED)
    allium_dp, onion_kat, crypto_tests, *vectors = sys.argv[1:]
    unittest.main(argv=sys.argv[:1])
