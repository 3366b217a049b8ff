// C2SP signed notes (c2sp.org/signed-note) with Ed25519 keys, and the cosignatures of witnesses
// (c2sp.org/tlog-cosignature).
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/ec.h"

namespace attestry::audit {

/// Signature type identifiers of signed-note: what a key may be used for.
enum class NoteKeyType : std::uint8_t { ed25519 = 0x01, cosignature = 0x04 };

/// A public key that signs notes. Name and key id together identify it.
struct NoteKey {
  std::string name;  ///< no white space, no '+'; a log's is its origin
  NoteKeyType type = NoteKeyType::ed25519;
  base::FixedBytes<32> key{};

  std::uint32_t id() const;
  /// "name+<8 hex digits>+<base64 of type ‖ key>".
  std::string vkey() const;
  static base::Result<NoteKey> parse(std::string_view vkey);
  friend bool operator==(const NoteKey&, const NoteKey&) = default;
};

struct NoteSignature {
  std::string name;
  std::uint32_t key_id = 0;
  base::Bytes signature;
  friend bool operator==(const NoteSignature&, const NoteSignature&) = default;
};

/// A parsed note, no signature checked yet.
struct SignedNote {
  std::string text;  ///< ends in a newline
  std::vector<NoteSignature> signatures;

  std::string encode() const;
};

/// Strict: valid UTF-8, no control characters but newline, at least one and at most 32 signatures, at most 64 KiB.
base::Result<SignedNote> parse_note(std::string_view note);

/// Signs `text` (which ends in a newline and holds no empty line) as `name`.
NoteSignature sign_note(std::string_view text, const std::string& name, const crypto::Ed25519PrivateKey& key);
/// A witness's timestamped cosignature of a checkpoint's text.
NoteSignature cosign_note(std::string_view text, const std::string& name, const crypto::Ed25519PrivateKey& key,
                          base::UtcTime at);

enum class NoteCheck : std::uint8_t { absent, good, bad };
/// Looks for `key`'s signature in the note: `bad` when one under its name and id does not verify, which condemns the
/// note.
NoteCheck check_signature(const SignedNote& note, const NoteKey& key);

/// Whether `name` may name a key: not empty, at most 255 bytes, no white space, no '+', no control character.
bool is_key_name(std::string_view name);

}  // namespace attestry::audit
