#include "audit/note.h"

#include <gtest/gtest.h>

#include "audit/testing/support.h"

namespace attestry::audit {
namespace {

using base::Code;
using testing::key_named;

constexpr std::string_view kText = "log.example\n7\nroot\n";

SignedNote note_by(const std::string& name) { return {std::string(kText), {sign_note(kText, name, key_named(name))}}; }
NoteKey log_identity(const std::string& name) { return {name, NoteKeyType::ed25519, key_named(name).public_key()}; }

TEST(Note, RoundTripsAndVerifies) {
  const SignedNote note = note_by("log.example");
  const auto parsed = parse_note(note.encode());
  ASSERT_TRUE(parsed.ok()) << parsed.error().text();
  EXPECT_EQ(parsed->text, kText);
  EXPECT_EQ(parsed->signatures, note.signatures);
  EXPECT_EQ(check_signature(*parsed, log_identity("log.example")), NoteCheck::good);
  EXPECT_EQ(check_signature(*parsed, log_identity("another")), NoteCheck::absent);
}

TEST(Note, ABadSignatureUnderAKnownKeyIsBadAndAnUnknownOneIsAbsent) {
  SignedNote note = note_by("log.example");
  note.text = "log.example\n8\nroot\n";
  EXPECT_EQ(check_signature(note, log_identity("log.example")), NoteCheck::bad);
  note = note_by("log.example");
  note.signatures[0].key_id ^= 1;
  EXPECT_EQ(check_signature(note, log_identity("log.example")), NoteCheck::absent);
  note = note_by("log.example");
  note.signatures[0].signature.pop_back();
  EXPECT_EQ(check_signature(note, log_identity("log.example")), NoteCheck::bad);
  // One good and one bad signature of the same key: bad, in either order.
  note = note_by("log.example");
  note.signatures.push_back(note.signatures[0]);
  EXPECT_EQ(check_signature(note, log_identity("log.example")), NoteCheck::good);
  note.signatures[0].signature[9] ^= 1;
  EXPECT_EQ(check_signature(note, log_identity("log.example")), NoteCheck::bad);
}

TEST(Note, ACosignatureCoversItsTimeAndIsNoPlainSignature) {
  SignedNote note{std::string(kText), {cosign_note(kText, "witness", key_named("witness"), testing::kTime)}};
  const auto parsed = parse_note(note.encode());
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(check_signature(*parsed, testing::witness_key("witness")), NoteCheck::good);
  EXPECT_EQ(check_signature(*parsed, log_identity("witness")), NoteCheck::absent);
  note.signatures[0].signature[7] ^= 1;
  EXPECT_EQ(check_signature(note, testing::witness_key("witness")), NoteCheck::bad);
  note.signatures[0].signature[0] = 0x80;  // a time beyond 2^63 - 1
  EXPECT_EQ(check_signature(note, testing::witness_key("witness")), NoteCheck::bad);
  note.signatures[0].signature.resize(5);
  EXPECT_EQ(check_signature(note, testing::witness_key("witness")), NoteCheck::bad);
}

TEST(Note, MayHaveEmptyLinesInItsText) {
  const SignedNote note{"a\n\nb\n", {sign_note("a\n\nb\n", "k", key_named("k"))}};
  const auto parsed = parse_note(note.encode());
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->text, "a\n\nb\n");
}

TEST(Note, RefusesEveryOtherForm) {
  const std::string good = note_by("log.example").encode();
  const std::string line = good.substr(kText.size() + 1);
  const std::string text(kText);
  const auto refused = [](const std::string& note) {
    const auto parsed = parse_note(note);
    return !parsed.ok() && parsed.error().code == Code::malformed;
  };
  EXPECT_TRUE(refused(""));
  EXPECT_TRUE(refused("\n"));
  EXPECT_TRUE(refused(text));
  EXPECT_TRUE(refused(text + "\n"));
  EXPECT_TRUE(refused(text + line));
  EXPECT_TRUE(refused(good.substr(0, good.size() - 1)));
  EXPECT_TRUE(refused(good + "x"));
  EXPECT_TRUE(refused(good + "\n"));
  EXPECT_TRUE(refused("\r" + good));
  EXPECT_TRUE(refused(std::string(1, '\0') + good));
  EXPECT_TRUE(refused("\x80" + good));
  EXPECT_TRUE(refused("\xC0\xAF" + good));
  EXPECT_TRUE(refused("\xED\xA0\x80" + good));
  EXPECT_TRUE(refused("\xF4\x90\x80\x80" + good));
  EXPECT_TRUE(refused("\xE2\x80" + good));
  EXPECT_TRUE(refused(text + "\n- log.example" + line.substr(line.rfind(' '))));
  EXPECT_TRUE(refused(text + "\n\xE2\x80\x94 two names" + line.substr(line.rfind(' '))));
  EXPECT_TRUE(refused(text + "\n\xE2\x80\x94  " + line.substr(line.rfind(' ') + 1)));
  EXPECT_TRUE(refused(text + "\n\xE2\x80\x94 k AAAA\n"));
  EXPECT_TRUE(refused(text + "\n\xE2\x80\x94 k AAAAAA==\n"));
  EXPECT_TRUE(refused(text + "\n\xE2\x80\x94 k AAAAAAA\n"));
  std::string many = text + "\n";
  for (int i = 0; i < 32; ++i) many += line;
  EXPECT_TRUE(parse_note(many).ok());
  EXPECT_TRUE(refused(many + line));
  EXPECT_TRUE(refused(std::string(70'000, 'x') + good));
}

TEST(NoteKey, RoundTripsAsAVerifierKey) {
  for (const NoteKey& key : {log_identity("log.example/a"), testing::witness_key("witness.example")}) {
    const auto parsed = NoteKey::parse(key.vkey());
    ASSERT_TRUE(parsed.ok()) << parsed.error().text();
    EXPECT_EQ(*parsed, key);
  }
}

TEST(NoteKey, RefusesAltered) {
  const std::string good = log_identity("log.example").vkey();
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string altered = good;
    altered[i] = altered[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(NoteKey::parse(altered).ok()) << i;
    EXPECT_FALSE(NoteKey::parse(good.substr(0, i)).ok()) << i;
  }
}

TEST(KeyName, AllowsNoSpacesAndNoPlus) {
  EXPECT_TRUE(is_key_name("log.example/42"));
  EXPECT_TRUE(is_key_name("\u00e9\u4e2d"));
  for (const std::string name : {"", "a b", "a+b", "a\tb", "a\nb", "a\u00A0b", "a\u3000b", "a\x7f", "\xff"}) {
    EXPECT_FALSE(is_key_name(name)) << name;
  }
  EXPECT_FALSE(is_key_name(std::string(256, 'a')));
}

}  // namespace
}  // namespace attestry::audit
