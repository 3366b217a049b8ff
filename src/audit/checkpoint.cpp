#include "audit/checkpoint.h"

#include <charconv>
#include <set>

#include "base/encoding.h"

namespace attestry::audit {
namespace {

base::Error malformed(std::string what) { return base::Error{base::Code::malformed, "checkpoint: " + std::move(what)}; }

base::Error denied(std::string what, std::string expected = {}, std::string found = {}) {
  return base::Error{base::Code::denied, "checkpoint: " + std::move(what), std::move(expected), std::move(found),
                     "Do not rely on anything that comes with this checkpoint; ask the log's operator."};
}

/// Verifies every known key; a bad signature under a known key condemns the note (c2sp.org/signed-note).
base::Result<std::size_t> count_good(const SignedNote& note, const std::vector<NoteKey>& keys, NoteKeyType type) {
  std::set<base::FixedBytes<32>> good;
  for (const NoteKey& key : keys) {
    if (key.type != type)
      return base::Error{base::Code::configuration, "trust: a key of the wrong type: " + key.vkey()};
    switch (check_signature(note, key)) {
      case NoteCheck::good:
        good.insert(key.key);
        break;
      case NoteCheck::bad:
        return denied("a signature of " + key.name + " does not verify");
      case NoteCheck::absent:
        break;
    }
  }
  return good.size();
}

}  // namespace

std::string Checkpoint::text() const {
  return origin + "\n" + std::to_string(head.size) + "\n" + base::base64(head.root) + "\n";
}

base::Result<Checkpoint> Checkpoint::parse(std::string_view text) {
  Checkpoint out;
  std::string_view lines[3];
  for (std::string_view& line : lines) {
    const auto end = text.find('\n');
    if (end == std::string_view::npos) return malformed("fewer than three lines");
    line = text.substr(0, end);
    text.remove_prefix(end + 1);
  }
  if (!text.empty()) return malformed("extension lines, which our logs do not write");
  out.origin = lines[0];
  if (!is_key_name(out.origin)) return malformed("an origin that is not allowed");
  const std::string_view size = lines[1];
  const auto [end, error] = std::from_chars(size.data(), size.data() + size.size(), out.head.size);
  const bool leading_zero = size.size() > 1 && size.front() == '0';
  if (error != std::errc{} || end != size.data() + size.size() || leading_zero) return malformed("not a tree size");
  TRY(const base::Bytes root, base::base64_decode(lines[2]), "checkpoint: root");
  if (root.size() != out.head.root.size()) return malformed("a root of another size than 32 bytes");
  std::copy(root.begin(), root.end(), out.head.root.begin());
  return out;
}

std::string sign_checkpoint(const Checkpoint& checkpoint, const crypto::Ed25519PrivateKey& key) {
  SignedNote note;
  note.text = checkpoint.text();
  note.signatures.push_back(sign_note(note.text, checkpoint.origin, key));
  return note.encode();
}

base::Result<VerifiedCheckpoint> verify_checkpoint(std::string_view signed_note, const LogTrust& trust) {
  TRY(const SignedNote note, parse_note(signed_note));
  TRY(const std::size_t by_log, count_good(note, trust.log_keys, NoteKeyType::ed25519));
  // The text means nothing before a trusted key has signed it.
  if (by_log == 0) return denied("not signed by a key of this log");
  VerifiedCheckpoint out;
  TRY(out.checkpoint, Checkpoint::parse(note.text));
  if (out.checkpoint.origin != trust.origin) return denied("another log's", trust.origin, out.checkpoint.origin);
  TRY(const std::size_t by_witnesses, count_good(note, trust.witnesses.witnesses, NoteKeyType::cosignature));
  if (by_witnesses < trust.witnesses.threshold) {
    return denied("too few witnesses have cosigned", std::to_string(trust.witnesses.threshold),
                  std::to_string(by_witnesses));
  }
  out.witnessed = by_witnesses > 0;
  return out;
}

}  // namespace attestry::audit
