"""Unit test of tools/readme_blocks.py."""

import os
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
import readme_blocks


class Blocks(unittest.TestCase):
    def test_takes_marked_blocks_only(self):
        text = "```sh run\nls\n```\n```sh\nrm x\n```\n```text output\na ... b\n```\n"
        self.assertEqual(readme_blocks.blocks(text), [(1, "run", "ls"), (7, "output", "a ... b")])

    def test_an_open_block_is_an_error(self):
        with self.assertRaisesRegex(ValueError, "no end"):
            readme_blocks.blocks("```sh run\nls\n")

    def test_missing_lines(self):
        self.assertEqual(readme_blocks.missing_lines("accepted ... tdx\n...\nno", "accepted: 12 checks, tdx"), ["no"])


class Documents(unittest.TestCase):
    def run_text(self, text):
        with tempfile.TemporaryDirectory() as work:
            path = pathlib.Path(work, "x.md")
            path.write_text(text)
            return readme_blocks.run_document(path, work)

    def test_blocks_share_one_shell(self):
        self.assertEqual(
            self.run_text("```sh run\na=7\n```\n```sh run\necho is $a\n```\n```text output\nis 7\n```\n"), 2
        )

    def test_a_failing_command_names_its_block(self):
        with self.assertRaisesRegex(AssertionError, ":4: a command"):
            self.run_text("```sh run\ntrue\n```\n```sh run\nfalse\necho no\n```\n")

    def test_a_case_block_runs_in_a_copy_of_the_real_case(self):
        with tempfile.TemporaryDirectory() as shared:
            case = pathlib.Path(shared, "vectors", "snp", "one")
            case.mkdir(parents=True)
            (case / "report.bin").write_text("evidence")
            (case / "case.json").write_text("the answer")
            text = "```sh case snp/one snp-milan-v3 2026-03-01T00:00:00Z\nls; rm report.bin\n```\n"
            text += "```text output\nreport.bin\n```\n"
            before = os.environ.get("ATTESTRY_SHARED")
            os.environ["ATTESTRY_SHARED"] = shared
            try:
                self.assertEqual(self.run_text(text), 1)
                with self.assertRaisesRegex(AssertionError, "not printed"):
                    self.run_text(text.replace("\nreport.bin\n```", "\ncase.json\n```"))
                with self.assertRaisesRegex(AssertionError, ":1: a command"):
                    self.run_text(text.replace("ls;", "false;"))
            finally:
                os.environ.pop("ATTESTRY_SHARED")
                if before is not None:
                    os.environ["ATTESTRY_SHARED"] = before
            self.assertTrue((case / "report.bin").exists())

    def test_missing_output_fails(self):
        with self.assertRaisesRegex(AssertionError, "not printed"):
            self.run_text("```sh run\necho a\n```\n```text output\nb\n```\n")


if __name__ == "__main__":
    unittest.main()
