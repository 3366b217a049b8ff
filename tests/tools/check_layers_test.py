"""Unit test of tools/check_layers.py: python3 -m unittest discover tests/tools '*_test.py'."""

import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
import check_layers

LAYERS = check_layers.read_layers("base :\ncrypto : base\nnet : base crypto\nattestation : base crypto  # pure\n")


def problems(name, text):
    return check_layers.check_file(name, text, LAYERS)


class Plan(unittest.TestCase):
    def test_reads_edges(self):
        self.assertEqual(LAYERS["net"], {"base", "crypto"})
        self.assertEqual(LAYERS["attestation"], {"base", "crypto"})

    def test_refuses_an_edge_upwards(self):
        with self.assertRaisesRegex(ValueError, "does not stand above"):
            check_layers.read_layers("base : crypto\ncrypto :\n")

    def test_refuses_a_room_listed_twice_and_lines_without_colon(self):
        with self.assertRaisesRegex(ValueError, "twice"):
            check_layers.read_layers("base :\nbase :\n")
        with self.assertRaisesRegex(ValueError, "not 'room"):
            check_layers.read_layers("base crypto\n")


class Includes(unittest.TestCase):
    def test_own_room_and_allowed_rooms_pass(self):
        self.assertEqual(
            problems("net/http.cpp", '#include "net/http.h"\n#include "base/json.h"\n#include <vector>\n'), []
        )

    def test_a_room_that_is_not_named_is_refused_with_the_line(self):
        self.assertEqual(
            problems("base/hex.cpp", '\n#include "crypto/hash.h"\n'), ["2: base may not use crypto (src/LAYERS)"]
        )

    def test_relative_includes_are_refused(self):
        self.assertIn("write includes as", problems("base/hex.cpp", '#include "hex.h"\n')[0])
        self.assertIn("write includes as", problems("base/hex.cpp", '#include "../crypto/hash.h"\n')[0])

    def test_internal_belongs_to_its_room(self):
        text = '#include "crypto/internal/handles.h"\n'
        self.assertIn("belongs to crypto alone", problems("net/tls.cpp", text)[0])
        self.assertIn("public header", problems("crypto/hash.h", text)[0])
        self.assertEqual(problems("crypto/hash.cpp", text), [])

    def test_outside_libraries_stay_in_their_room_and_out_of_public_headers(self):
        self.assertEqual(problems("crypto/hash.cpp", "#include <openssl/evp.h>\n"), [])
        self.assertEqual(problems("net/internal/tls.h", "#  include <openssl/ssl.h>\n"), [])
        self.assertIn("public header", problems("net/tls.h", "#include <openssl/ssl.h>\n")[0])
        self.assertIn("not to attestation", problems("attestation/tdx.cpp", "#include <openssl/evp.h>\n")[0])
        self.assertIn("not to crypto", problems("crypto/hash.cpp", "#include <boost/asio.hpp>\n")[0])


class Pure(unittest.TestCase):
    def test_exceptions_threads_and_streams_are_refused(self):
        self.assertIn("no exceptions", problems("crypto/hash.cpp", "  throw std::bad_alloc();\n")[0])
        self.assertIn("no exceptions", problems("attestation/tdx.cpp", "  try {\n")[0])
        self.assertIn("<mutex>", problems("attestation/tdx.cpp", "#include <mutex>\n")[0])

    def test_words_in_comments_and_texts_are_not_code(self):
        self.assertEqual(problems("base/x.cpp", '// we never throw\nauto s = "throw";\nTRY(auto x, f(), "x");\n'), [])

    def test_other_rooms_and_tests_are_free(self):
        self.assertEqual(problems("net/http.cpp", "#include <mutex>\n  try {\n"), [])
        self.assertEqual(problems("base/x_test.cpp", "#include <fstream>\n"), [])


class Tree(unittest.TestCase):
    def test_a_folder_without_a_line_is_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            (root / "src" / "base").mkdir(parents=True)
            (root / "src" / "cellar").mkdir()
            (root / "src" / "LAYERS").write_text("base :\n")
            (root / "src" / "base" / "x.cpp").write_text("#include <vector>\n")
            (root / "src" / "cellar" / "y.h").write_text("")
            self.assertEqual(
                check_layers.check_tree(root), ["src/cellar/y.h: the folder cellar has no line in src/LAYERS"]
            )


if __name__ == "__main__":
    unittest.main()
