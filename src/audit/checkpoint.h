// Checkpoints of the log: C2SP tlog-checkpoint, a signed note whose text is origin, size and root.
#pragma once
#include <string>
#include <string_view>

#include "audit/merkle.h"
#include "audit/note.h"
#include "base/result.h"

namespace attestry::audit {

/// Our logs write no extension lines, and a checkpoint that has some is refused (auditors could not check them).
struct Checkpoint {
  std::string origin;
  TreeHead head;

  std::string text() const;
  /// Strict: three lines, decimal size without leading zeros, base64 of exactly 32 bytes; text() gives the same bytes
  /// back.
  static base::Result<Checkpoint> parse(std::string_view text);
  friend bool operator==(const Checkpoint&, const Checkpoint&) = default;
};

/// How many of which witnesses must have cosigned.
struct WitnessPolicy {
  std::vector<NoteKey> witnesses;  ///< type cosignature
  std::size_t threshold = 0;       ///< distinct keys
};

/// What a relying party holds in its own (measured) settings (FORMATS 4); never taken from the reply it checks.
struct LogTrust {
  std::string origin;
  std::vector<NoteKey> log_keys;  ///< any one of them suffices: an old and a new key during a change
  WitnessPolicy witnesses{};
};

struct VerifiedCheckpoint {
  Checkpoint checkpoint;
  bool witnessed = false;  ///< at least one witness of the policy, and its threshold, has cosigned
};

/// The signed note of `checkpoint` under the log's key; its key name is the origin.
std::string sign_checkpoint(const Checkpoint& checkpoint, const crypto::Ed25519PrivateKey& key);

/// Errors: `malformed` when the note cannot be read, `denied` when origin, signature or cosignatures are not what
/// `trust` asks for.
base::Result<VerifiedCheckpoint> verify_checkpoint(std::string_view signed_note, const LogTrust& trust);

}  // namespace attestry::audit
