#!/usr/bin/python3
"""The tree keeps the rules of its folders, and the check sees each kind of breach."""

import pathlib
import tempfile
import unittest

import layering

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Tree(unittest.TestCase):
    def test_keeps_the_rules(self):
        self.assertEqual([], layering.problems(ROOT))

    def test_is_read(self):
        # An empty list of problems proves something only when files and modules were found.
        self.assertGreater(len(list(layering.sources(ROOT))), 100)
        graph = layering.module_dependencies(ROOT)
        self.assertIn("resources", graph["routing"])
        self.assertIn("base", layering.reachable(graph, "api"))


class Breaches(unittest.TestCase):
    """Each of these is found in a small tree that is clean but for it."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = pathlib.Path(directory.name)
        for name in ("gateway", "plugins", "sdk-plugin", "config", "tests"):
            self.write(f"{name}/README.md", "What it is for.\n")
        self.write("gateway/base/CMakeLists.txt", "# base\npostern_module(base SOURCES a.cc)\n")
        self.write(
            "gateway/queue/CMakeLists.txt",
            "# queue\npostern_module(queue\n  SOURCES a.cc\n  DEPENDS base)\n",
        )
        self.write("gateway/base/a.cc", "#include <unistd.h>\n#include <string>\n")
        self.write("gateway/queue/a.cc", '#include "base/a.h"\n#include "queue/b.h"\n')
        self.write("gateway/queue/a_test.cc", "#include <gtest/gtest.h>\n")
        self.write("plugins/provider_x/CMakeLists.txt", "# x\n")
        self.write("plugins/provider_x/a.cc", '#include "a.h"\n#include "postern/sdk/plugin.h"\n')
        self.write("plugins/provider_x/a.h", "#include <vector>\n")
        self.write("sdk-plugin/include/postern/sdk/a.h", '#include "postern/sdk/b.h"\n')
        self.assertEqual([], layering.problems(self.root))

    def write(self, file, text):
        path = self.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def expect(self, problem):
        found = layering.problems(self.root)
        self.assertEqual(1, len(found), found)
        self.assertIn(problem, found[0])

    def test_every_library_outside_its_folder(self):
        headers = [
            "pistache/http.h", "boost/beast/http.hpp", "boost/asio/ip/tcp.hpp",
            "boost/dll/shared_library.hpp", "yaml-cpp/yaml.h", "soci/soci.h", "sqlite3.h",
            "curl/curl.h", "spdlog/spdlog.h", "prometheus/registry.h", "CLI/CLI.hpp", "idn2.h",
            "uninorm.h", "openssl/evp.h", "gtest/gtest.h", "gmime/gmime.h",
        ]
        for header in headers:
            with self.subTest(header):
                self.write("gateway/queue/a.cc", f"\n#include <{header}>\n")
                self.expect(f"gateway/queue/a.cc:2: <{header}> belongs in ")

    def test_json_in_a_plugin(self):
        self.write("plugins/provider_x/a.cc", "#include <boost/json/value.hpp>\n")
        self.expect("<boost/json/value.hpp> belongs in gateway/ and tests/bench/ alone")

    def test_a_library_that_nobody_has_placed(self):
        self.write("gateway/base/a.cc", "#include <boost/regex.hpp>\n")
        self.expect("is of no library that this test knows")

    def test_a_way_up(self):
        self.write("gateway/queue/a.cc", '#include "../base/a.cc"\n')
        self.expect("leaves its folder")

    def test_a_module_that_is_no_dependency(self):
        self.write("gateway/base/a.cc", '#include "queue/a.h"\n')
        self.expect("base does not depend on queue")

    def test_modules_in_a_circle(self):
        self.write("gateway/base/CMakeLists.txt", "# base\npostern_module(base DEPENDS auth)\n")
        self.write("gateway/auth/CMakeLists.txt", "# auth\npostern_module(auth DEPENDS base)\n")
        found = layering.problems(self.root)
        self.assertTrue(any(line.startswith("gateway/base: depends on itself") for line in found))

    def test_a_plugin_that_sees_the_gateway(self):
        self.write("plugins/provider_x/a.cc", '#include "base/a.h"\n')
        self.expect("a plugin includes its own folder and the SDK alone")

    def test_an_sdk_header_that_needs_more_than_the_standard_library(self):
        self.write("sdk-plugin/include/postern/sdk/a.h", "#include <unistd.h>\n")
        self.expect("the SDK includes the standard library alone")

    def test_a_folder_without_purpose(self):
        self.write("gateway/auth/a.cc", "")
        self.expect("gateway/auth: neither README.md nor a comment")

    def test_a_link_that_leads_nowhere(self):
        self.write("config/README.md", "See [this](../gateway/base/a.cc) and [that](gone.md#part).\n")
        self.expect("config/README.md: names gone.md#part, which is not there")

    def test_a_step_of_the_life_of_a_message_without_its_file(self):
        self.write("gateway/README.md", "1. Here: `base/a.cc`, then `base/gone.cc`.\n")
        self.expect("gateway/README.md: names base/gone.cc, which is not there")


if __name__ == "__main__":
    unittest.main()
