"""Every feature and every known flaw of the first registry has a functional test that carries its number:
test_registry_031_… and test_registry_flaw_09_…, several joined by _and_."""

import pathlib
import re
import unittest

FUNCTIONAL = pathlib.Path(__file__).resolve().parents[1] / "functional"
ROWS = {*range(1, 55), 56, 63, 64, 65}  # the others up to 62 are the instance's, which is not here
FLAWS = set(range(1, 17))

NUMBER = r"(?:flaw_)?\d+"
NAME = re.compile(rf"^def test_registry_({NUMBER}(?:_[a-z_]*?and_{NUMBER})*)_", re.MULTILINE)


def numbers(text):
    """(rows, flaws) that the tests in this source name."""
    rows, flaws = set(), set()
    for name in NAME.findall(text):
        for flaw, number in re.findall(r"(flaw_)?(\d+)", name):
            (flaws if flaw else rows).add(int(number))
    return rows, flaws


class RegistryRows(unittest.TestCase):
    def test_names_are_read(self):
        source = "def test_registry_018_metadata_and_019_dummy(x):\ndef test_registry_063_and_flaw_05_a():\n"
        source += "def test_registry_flaw_16_b():\ndef test_registry_two_and_3_c():\n    def test_registry_044_d():\n"
        self.assertEqual(numbers(source), ({18, 19, 63}, {5, 16}))

    def test_every_number_has_a_test(self):
        rows, flaws = set(), set()
        for path in sorted(FUNCTIONAL.glob("test_registry_*.py")) + sorted(FUNCTIONAL.glob("test_registration_*.py")):
            found = numbers(path.read_text(encoding="utf-8"))
            rows |= found[0]
            flaws |= found[1]
        self.assertEqual(sorted(ROWS - rows), [], "rows without a test")
        self.assertEqual(sorted(FLAWS - flaws), [], "flaws without a test")
        self.assertEqual(sorted((rows - ROWS) | (flaws - FLAWS)), [], "numbers that do not exist")


if __name__ == "__main__":
    unittest.main()
