// Measurement sets: named lists of reference values that several apps share. This file has what is signed and stored;
// measurement_sets.h has the service (docs/explanation/measurement-sets.md).
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/dsse.h"

namespace attestry::governance {

/// One entry of a set, as operators write it (a blob; its SHA-256 is its id):
/// `{"format": 1, "set", "platform", "role", "not_before"?, "not_after"?, "provenance"?: {"source"?, "commit"?,
/// "statement_sha256"?, "by"?}, "identities": [{"name"?, "claims"}]}`.
struct Measurement {
  std::string set;
  std::string platform;  ///< "tdx": every claim of the identities is one of its claims
  std::string role;      ///< what the measured code is for: "web front end"
  std::optional<base::UtcTime> not_before;
  std::optional<base::UtcTime> not_after;
  std::string source;  ///< where it was built from, as a URI; may be empty like the following
  std::string commit;
  std::string statement_sha256;  ///< of the build's signed statement (in-toto, SLSA), lower-case hex
  std::string by;                ///< who built it
  /// JSON of each identity as `identities` of a policy has it.
  std::vector<std::string> identities;
  std::vector<std::string> names;  ///< of the identities, in order

  /// Strict; also parses every identity as a policy would. Error `malformed` names the member.
  static base::Result<Measurement> parse(std::string_view json);
  bool in_force(base::UtcTime at) const noexcept {
    return (!not_before || *not_before <= at) && (!not_after || at <= *not_after);
  }
};

/// Text in the payload: "measurement.add", "measurement.approve", "measurement.remove".
enum class MeasurementVerb : std::uint8_t { add, approve, remove };
std::string_view to_text(MeasurementVerb verb) noexcept;

inline constexpr std::string_view kMeasurementPayloadType = "application/vnd.attestry.measurement.v1+json";

/// A signed change of a set: an approval (FORMATS 2) with the set in the place of the app.
struct MeasurementAction {
  std::string audience;  ///< the log's origin
  base::Realm realm = base::Realm::production;
  base::Tenant tenant = base::Tenant::standard();
  std::string set;
  MeasurementVerb verb = MeasurementVerb::add;
  base::Digest32 subject{};  ///< id of the entry
  std::string preview;       ///< remove: hex SHA-256 of the preview that the operator saw, or empty; else empty
  std::uint64_t seq = 1;     ///< last + 1 per (tenant, set); a removal is accepted at any
  std::string prev;          ///< hex SHA-256 of the last accepted payload; empty for the first
  base::UtcTime expires;     ///< limits acceptance only

  /// RFC 8785 payload, the bytes that are signed and hashed.
  std::string payload() const;
  /// Strict; refuses unknown members.
  static base::Result<MeasurementAction> parse(std::string_view payload);
};

}  // namespace attestry::governance
