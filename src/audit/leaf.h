// Leaves of the log: RFC 8785 JSON with a fixed set of members (FORMATS 6).
#pragma once
#include <map>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/secret.h"

namespace attestry::audit {

/// What happened. Members that do not apply to a type are the empty string (or the empty object), never absent.
struct Leaf {
  std::string type;  ///< `[a-z][a-z0-9.-]{0,63}`: "release", "refusal", "approval", …
  base::Realm realm = base::Realm::production;
  std::string audience;  ///< the log's origin
  base::Tenant tenant = base::Tenant::standard();
  std::string app;  ///< AppRef text, or empty
  base::UtcTime time;
  std::string binding;                           ///< lower-case hex of B, or empty
  std::string appraisal;                         ///< lower-case hex SHA-256 of the stored appraisal, or empty
  std::string policy;                            ///< lower-case hex SHA-256 of the policy, or empty
  std::string governance;                        ///< commitment() of the governance snapshot, or empty
  std::uint64_t epoch = 0;                       ///< below 2^53
  std::map<std::string, std::string> outputs{};  ///< label `[a-z0-9][a-z0-9._:/-]{0,127}` -> commitment(), at most 64
  std::string reply;                             ///< lower-case hex SHA-256 of the sealed bytes, or empty

  /// The leaf's bytes. Error `internal` when a member breaks its rule above.
  base::Result<std::string> encode() const;
  /// Strict: accepts exactly the bytes that encode() makes. Error `malformed`.
  static base::Result<Leaf> parse(std::string_view bytes);
  friend bool operator==(const Leaf&, const Leaf&) = default;
};

/// hex(HMAC-SHA-256(k, LP(label) ‖ value)): k is random per leaf and goes to the workload inside the sealed reply,
/// because a plain digest of a short secret can be guessed (FORMATS 6).
std::string commitment(const crypto::Secret& k, std::string_view label, base::ByteView value);

}  // namespace attestry::audit
