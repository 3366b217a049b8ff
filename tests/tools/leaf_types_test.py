"""Every type of leaf that the program writes into its log is described in docs/formats, by its whole name."""

import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TYPE = r'"([a-z][a-z0-9.-]*)"'
# Where a literal is given to what makes a leaf.
GIVEN = re.compile(
    rf"(?:\bleaf\.type = |\bentry\.type = |\bout\.type = |\.leaf = |\bleaf = |\{{\.type = "
    rf"|\bleaf\((?:txn, |tenant, )*|\bleaf_of\((?:\*this, )?|\bbegin_leaf\(login, "
    rf"|\banswer_with_leaf\(\w+, |\brelease_with_key\(\w+, |\bsettle\(.*, |\bkeep_next\(.*, |\bmake\(call, .*, ){TYPE}"
)
# Rooms of their own: whatever looks like one of theirs is one, wherever the name stands.
OWN = re.compile(r'"((?:kv|transit|vault|operator|list|measurement|release|revocation)\.[a-z]+)"')
EITHER = re.compile(rf"\bleaf\(txn, [^\"]*\? {TYPE} : {TYPE}")
ACTION = re.compile(rf"case Action::\w+:\s+return {TYPE};")


def types_in(source):
    """Types of leaves that a source file names."""
    found = set(GIVEN.findall(source)) | set(OWN.findall(source))
    for pair in EITHER.findall(source):
        found |= set(pair)
    if '"approval." +' in source:  # one for each action that approvals know
        found |= {f"approval.{action}" for action in ACTION.findall(actions())}
    return {name for name in found if not name.endswith(".")} - {"measurement.unknown"}  # of no verb


def actions():
    return (ROOT / "src/governance/approval.cpp").read_text(encoding="utf-8")


def types_of_src():
    found = set()
    for room in ("api", "cluster", "governance", "keys", "provision", "secrets"):
        for path in sorted((ROOT / "src" / room).rglob("*.[ch]*")):
            if path.stem.endswith("_test") or "testing" in path.parts:
                continue
            found |= types_in(path.read_text(encoding="utf-8"))
    return found


class LeafTypes(unittest.TestCase):
    def test_types_are_read(self):
        source = (
            'leaf.type = "a.b";\nTRY_OK(leaf(txn, ban ? "c.d" : "e.f", 0, vault));\nmake(call, true, true, "g.h");\n'
        )
        source += 'leaf_of("i.j", realm_); replace({.leaf = "k.l"});\nthing("kv.read"); other("no.leaf");\n'
        self.assertEqual(types_in(source), {"a.b", "c.d", "e.f", "g.h", "i.j", "k.l", "kv.read"})

    def test_every_type_is_described(self):
        types = types_of_src()
        self.assertGreater(len(types), 50, "the source is not read as it is written any more")
        pages = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs/formats").glob("*.md")))
        self.assertEqual(sorted(name for name in types if f"`{name}`" not in pages), [], "not in docs/formats")
