#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The checker finds what it must: one canary a rule, and a clean tree without findings."""
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "tools"))
import tidy  # noqa: E402

SPDX = "// SPDX-License-Identifier: Apache-2.0\n"
CMAKE = "# SPDX-License-Identifier: Apache-2.0\nadd_library(x a.cpp)\n"


def findings(path, body, header=SPDX):
    folder = str(Path(path).parent)
    tree = {path: header + body}
    if path.endswith(".cpp"):
        tree[folder + "/CMakeLists.txt"] = CMAKE.replace("a.cpp", Path(path).name)
    return [reason for _, _, reason in tidy.check_tree(tree)]


class TidyTest(unittest.TestCase):
    def assertFound(self, path, body, words, header=SPDX):
        self.assertTrue(any(words in reason for reason in findings(path, body, header)), (path, body))

    def test_clean_files_have_no_findings(self):
        self.assertEqual(findings("dataplane/onion/a.cpp", '#include "crypto_accel/primitives.hpp"\n'), [])
        self.assertEqual(findings("dataplane/engine/a.cpp", "#include <rte_mbuf.h>\n"), [])
        self.assertEqual(findings("tools/cli/a.cpp", "#include <CLI/App.hpp>\n// assert(nothing)\n"), [])

    def test_dpdk_outside_the_engine(self):
        for path in ("dataplane/onion/a.cpp", "dataplane/main.cpp", "tools/bench/a.cpp", "control/node/a.cpp"):
            self.assertFound(path, "#include <rte_mbuf.h>\n", "may see DPDK")

    def test_arrows(self):
        self.assertFound("crypto_accel/a.cpp", '#include "dataplane/onion/relay.hpp"\n', "may not include")
        self.assertFound("crypto_accel/base/a.cpp", '#include "crypto_accel/primitives.hpp"\n', "may not include")
        self.assertFound("dataplane/onion/a.cpp", '#include "dataplane/engine/frame.hpp"\n', "may not include")
        self.assertFound("dataplane/control_port/a.cpp", '#include "control/node/node_keys.hpp"\n', "may not include")
        self.assertFound("control/node/a.cpp", '#include "dataplane/engine/engine.hpp"\n', "may not include")
        self.assertFound("control/node/a.cpp", '#include "tools/cli/output.hpp"\n', "may not include")
        self.assertFound("storage/a.cpp", '#include "crypto_accel/primitives.hpp"\n', "may not include")

    def test_private_folders(self):
        self.assertFound("tools/cli/a.cpp", '#include "dataplane/engine/internal/worker.hpp"\n', "is private to")
        self.assertFound("dataplane/onion/a.cpp", '#include "crypto_accel/kernels/known_answers.hpp"\n', "is private")

    def test_libraries_where_they_do_not_belong(self):
        self.assertFound("dataplane/engine/a.cpp", "#include <boost/json.hpp>\n", "no Boost")
        self.assertFound("dataplane/onion/a.cpp", "#include <fmt/format.h>\n", "no Boost, fmt")

    def test_banned_calls(self):
        self.assertFound("control/node/a.cpp", "assert(x);\n", "ALLIUM_CHECK")
        self.assertFound("control/node/a.cpp", "int x = rand();\n", "Random")
        self.assertFound("control/node/a.cpp", "using namespace std;\n", "name what you use")
        self.assertFound("dataplane/onion/relay_data.cpp", "memcmp(a, b, 16);\n", "constant time")

    def test_form(self):
        self.assertFound("control/node/a.cpp", "int x; \n", "white space")
        self.assertFound("control/node/a.cpp", "int x;\n", "no SPDX", header="")
        self.assertFound("control/node/a.hpp", "int x;\n", "#pragma once")
        self.assertFound("control/node/a.cpp", "int \u00e9;\n", "non-ASCII")

    def test_files_that_nobody_builds(self):
        tree = {"control/node/b.cpp": SPDX, "control/node/CMakeLists.txt": CMAKE}
        self.assertIn("no CMakeLists.txt builds this file", [r for _, _, r in tidy.check_tree(tree)])


if __name__ == "__main__":
    unittest.main()
