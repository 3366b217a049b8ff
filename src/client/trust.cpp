#include "client/trust.h"

#include <algorithm>

#include "base/json.h"
#include "base/json_writer.h"

namespace attestry::client {

using base::Code;
using base::Error;
using base::Result;

namespace {

Result<std::vector<audit::NoteKey>> keys_of(const base::JsonValue& list, std::string_view what,
                                            audit::NoteKeyType type) {
  if (!list.is_array()) return Error{Code::malformed, std::string{what}, "an array of verification keys", {}};
  std::vector<audit::NoteKey> keys;
  for (auto item = list.first(); item; item = item->next()) {
    TRY(const auto text, item->string(what));
    TRY(auto key, audit::NoteKey::parse(text), what);
    if (key.type != type) {
      return Error{Code::malformed, std::string{what} + ": a key for another use",
                   type == audit::NoteKeyType::ed25519 ? "a log's key" : "a witness's cosignature key", text};
    }
    // One key under two names would be two voices of one witness.
    if (std::ranges::find(keys, key.key, &audit::NoteKey::key) != keys.end()) {
      return Error{Code::malformed, std::string{what} + ": a key is listed twice", {}, text};
    }
    keys.push_back(std::move(key));
  }
  return keys;
}

base::JsonOutArray texts_of(const std::vector<audit::NoteKey>& keys) {
  base::JsonOutArray out;
  for (const auto& key : keys) out.emplace_back(key.vkey());
  return out;
}

}  // namespace

Result<Trust> Trust::parse(std::string_view json) {
  TRY(const auto doc, base::JsonDocument::parse(std::string{json}), "trust settings");
  const auto root = doc->root();
  TRY_OK(root.only({"origin", "log_keys", "witnesses", "witness_threshold", "simulated"}), "trust settings");
  Trust trust;
  TRY(const auto origin, root.get("origin"), "trust settings");
  TRY(trust.log.origin, origin.string("origin"), "trust settings");
  TRY(const auto log_keys, root.get("log_keys"), "trust settings");
  TRY(trust.log.log_keys, keys_of(log_keys, "log_keys", audit::NoteKeyType::ed25519), "trust settings");
  if (trust.log.log_keys.empty()) return Error{Code::malformed, "trust settings: log_keys", "at least one key", "none"};
  if (const auto witnesses = root.find("witnesses")) {
    TRY(trust.log.witnesses.witnesses, keys_of(*witnesses, "witnesses", audit::NoteKeyType::cosignature),
        "trust settings");
  }
  // Left out, every witness must have cosigned; more than there are can never be met, and asking for some of none is a
  // mistake that must not pass for no witnesses at all.
  const auto most = static_cast<std::int64_t>(trust.log.witnesses.witnesses.size());
  trust.log.witnesses.threshold = trust.log.witnesses.witnesses.size();
  if (const auto value = root.find("witness_threshold")) {
    TRY(const auto threshold, value->integer("witness_threshold", 0, most), "trust settings");
    trust.log.witnesses.threshold = static_cast<std::size_t>(threshold);
  }
  if (const auto simulated = root.find("simulated")) {
    TRY(trust.allow_simulated, simulated->boolean("simulated"), "trust settings");
  }
  return trust;
}

std::string Trust::to_json() const {
  base::JsonOutObject out{{"origin", log.origin}, {"log_keys", texts_of(log.log_keys)}};
  if (!log.witnesses.witnesses.empty()) {
    out.emplace_back("witnesses", texts_of(log.witnesses.witnesses));
    out.emplace_back("witness_threshold", static_cast<std::int64_t>(log.witnesses.threshold));
  }
  out.emplace_back("simulated", allow_simulated);
  return base::JsonOut{std::move(out)}.pretty() + "\n";
}

}  // namespace attestry::client
