"""Unit test of tests/functional/harness.py: whoever waits has a deadline."""

import pathlib
import sys
import tempfile
import threading
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "functional"))
import harness


class Waiting(unittest.TestCase):
    def setUp(self):
        """A program that says the same again and again."""
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        script = folder / "program"
        script.write_text("#!/bin/sh\nset -e\necho begin\nwhile echo still here; do read _ </dev/urandom; done\n")
        script.chmod(0o700)
        self.enterContext(mock.patch.object(harness, "ATTESTRY", str(script)))
        self.program = harness.Program()
        self.addCleanup(self.program.kill)

    def test_a_line_that_comes_is_found(self):
        self.assertEqual(self.program.wait_for("^beg(in)")[1], "in")

    def test_lines_of_another_kind_win_no_time(self):
        self.enterContext(mock.patch.object(harness, "PATIENCE", 0.3))
        late = threading.Timer(5, self.program.process.kill)  # ends a wait that has no end
        late.start()
        self.addCleanup(late.cancel)
        with self.assertRaisesRegex(AssertionError, r"no line with 'never' in 0\.3 s"):
            self.program.wait_for("never")
        self.assertTrue(self.program.running)


if __name__ == "__main__":
    unittest.main()
