"""A table of gas between two marks of a page of docs/, which a script makes and a test compares."""

import pathlib
import sys

BEGIN, END = "<!-- gas: begin -->\n", "<!-- gas: end -->\n"


class GasPage:
    def __init__(self, name):
        self.path = pathlib.Path(__file__).resolve().parents[2] / "docs" / "reference" / name

    def read_text(self):
        return self.path.read_text()

    def table(self):
        return self.read_text().split(BEGIN)[1].split(END)[0]

    def show(self, made):
        """Prints what was measured, or with --write puts it into the page."""
        if "--write" in sys.argv:
            self.path.write_text(self.read_text().replace(BEGIN + self.table() + END, BEGIN + made + END))
        else:
            print(made, end="")
