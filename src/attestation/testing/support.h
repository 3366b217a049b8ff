// For the tests of this room only: cases in the folder layout of the shared vectors (case.json, quote.bin,
// collateral.json, a trust anchor), and the mutations that are defined on them.
#pragma once
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "attestation/policy.h"
#include "attestation/verifier.h"
#include "base/encoding.h"
#include "base/json.h"

namespace attestry::attestation::testing {

namespace fs = std::filesystem;

/// A case's inputs and expectation; mutations are applied to a copy.
struct Case {
  std::string name;  ///< path below the root of its set: "tdx/v4-uptodate-dcap-qvl"
  fs::path folder;
  base::Bytes quote;
  std::map<std::string, std::string> collateral;  ///< QuoteCollateralV3 as text; empty when there is no collateral.json
  std::vector<std::string> trust;                 ///< PEM
  base::UtcTime at;
  std::shared_ptr<const base::JsonDocument> meta;  ///< case.json

  base::JsonValue expect() const { return *meta->root().find("expect"); }
};

/// Where cases are, and what to call the set in messages.
struct CaseSet {
  fs::path root;
  std::string description;
  bool shared = false;
};

inline base::Bytes read_bytes(const fs::path& path) {
  std::ifstream in{path, std::ios::binary};
  return base::Bytes{std::istreambuf_iterator<char>{in}, std::istreambuf_iterator<char>{}};
}
inline std::string read_text(const fs::path& path) {
  const base::Bytes bytes = read_bytes(path);
  return std::string{base::as_text(bytes)};
}

inline std::string text_of(const std::optional<base::JsonValue>& value) {
  if (!value || !value->is_string()) return {};
  return value->string("text").value_or(std::string{});
}

/// The shared vectors when they are there (ATTESTRY_SHARED, or beside the repository), else the forged cases in
/// tests/data.
inline std::optional<CaseSet> case_set() {
  const char* data = std::getenv("ATTESTRY_TEST_DATA");
  const char* named = std::getenv("ATTESTRY_SHARED");
  const fs::path tests_data = data != nullptr ? fs::path{data} : fs::path{"tests/data"};
  const fs::path shared = named != nullptr ? fs::path{named} : tests_data / ".." / ".." / ".." / "shared";
  if (fs::is_directory(shared / "vectors")) {
    return CaseSet{shared / "vectors", "the shared vectors", true};
  }
  if (fs::is_directory(tests_data)) return CaseSet{tests_data, "the forged cases of tests/data", false};
  return std::nullopt;
}

inline std::map<std::string, std::string> read_collateral(const fs::path& path) {
  std::map<std::string, std::string> out;
  const auto document = base::JsonDocument::parse(read_text(path), {.max_bytes = 4u << 20});
  if (!document) return out;
  for (auto member = (*document)->root().first(); member; member = member->next()) {
    if (member->is_string()) out[member->key()] = text_of(member);
  }
  return out;
}

/// nullopt when the folder holds no DCAP case.
inline std::optional<Case> read_case(const fs::path& root, const fs::path& folder) {
  const auto meta = base::JsonDocument::parse(read_text(folder / "case.json"));
  if (!meta || !fs::exists(folder / "quote.bin") || !(*meta)->root().find("expect")) return std::nullopt;
  Case out;
  out.meta = *meta;
  out.folder = folder;
  out.name = fs::relative(folder, root).generic_string();
  out.quote = read_bytes(folder / "quote.bin");
  if (fs::exists(folder / "collateral.json")) out.collateral = read_collateral(folder / "collateral.json");
  const std::string anchor = text_of((*meta)->root().find("trust_anchor"));
  if (!anchor.empty()) out.trust.push_back(read_text(folder / anchor));
  // Cases without a time fail whatever the time.
  out.at = base::parse_rfc3339(text_of((*meta)->root().find("verify_at"))).value_or(base::UtcTime{1795000000});
  return out;
}

/// All DCAP cases below the root whose name begins with one of `prefixes`, by name.
inline std::vector<Case> read_cases(const CaseSet& set, const std::vector<std::string>& prefixes) {
  std::vector<Case> out;
  for (const auto& entry : fs::recursive_directory_iterator{set.root}) {
    if (entry.path().filename() != "case.json") continue;
    auto found = read_case(set.root, entry.path().parent_path());
    const auto wanted = [&](const std::string& p) { return found->name.starts_with(p); };
    if (found && (prefixes.empty() || std::ranges::any_of(prefixes, wanted))) out.push_back(*std::move(found));
  }
  std::ranges::sort(out, {}, &Case::name);
  return out;
}

inline std::shared_ptr<const Collateral> collateral_of(const std::map<std::string, std::string>& fields) {
  struct Field {
    const char* key;
    CollateralKind kind;
    bool hex;
  };
  static constexpr Field kFields[] = {
      {"tcb_info", CollateralKind::tcb_info, false},
      {"tcb_info_signature", CollateralKind::tcb_info_signature, true},
      {"tcb_info_issuer_chain", CollateralKind::tcb_info_chain, false},
      {"qe_identity", CollateralKind::qe_identity, false},
      {"qe_identity_signature", CollateralKind::qe_identity_signature, true},
      {"qe_identity_issuer_chain", CollateralKind::qe_identity_chain, false},
      {"pck_crl", CollateralKind::pck_crl, true},
      {"pck_crl_issuer_chain", CollateralKind::pck_crl_chain, false},
      {"root_ca_crl", CollateralKind::root_ca_crl, true},
      {"pck_certificate_chain", CollateralKind::pck_chain, false},
  };
  std::vector<CollateralItem> items;
  std::vector<CollateralProblem> problems;
  for (const Field& field : kFields) {
    const auto found = fields.find(field.key);
    if (found == fields.end()) continue;
    if (!field.hex) {
      items.push_back({field.kind, base::to_bytes(found->second)});
    } else if (auto bytes = base::hex_decode(found->second)) {
      items.push_back({field.kind, *std::move(bytes)});
    } else {
      problems.push_back({field.kind, std::string{field.key} + ": not hex"});
    }
  }
  return Collateral::make(std::move(items), std::move(problems));
}

inline TrustAnchors anchors_of(const Case& c) {
  if (c.trust.empty()) return TrustAnchors::production();
  std::vector<TestRoot> roots;
  for (const std::string& pem : c.trust) {
    auto root = TestRoot::from_certificate(base::as_bytes(pem));
    if (root) roots.push_back(*std::move(root));
  }
  return TrustAnchors::simulated(std::move(roots));
}

inline Evidence evidence_of(const base::Bytes& quote) { return {detect_format(quote), quote}; }

/// Verified and judged by the policy "genuine"; nullopt for an Error.
inline std::optional<Verdict> verdict_of(const Verifier& verifier, const Case& c) {
  auto verdict = verifier.verify(evidence_of(c.quote), *collateral_of(c.collateral), c.at);
  if (!verdict) return std::nullopt;
  evaluate(Policy::genuine(), *verdict);
  return *std::move(verdict);
}
inline std::optional<Verdict> verdict_of(const Case& c) { return verdict_of(Verifier{anchors_of(c)}, c); }

/// A part of a mutation on the bytes of quote.bin; false when it is none.
inline bool apply_to_bytes(const std::string& op, std::size_t at, std::size_t size, const base::Bytes& hex,
                           base::Bytes& bytes) {
  const auto from = bytes.begin() + static_cast<std::ptrdiff_t>(std::min(at, bytes.size()));
  const std::size_t room = bytes.size() - std::min(at, bytes.size());
  if (op == "xor") {
    for (std::size_t i = 0; i < std::min(hex.size(), room); ++i) bytes[at + i] ^= hex[i];
  } else if (op == "put") {
    std::copy_n(hex.begin(), std::min(hex.size(), room), from);
  } else if (op == "insert") {
    bytes.insert(from, hex.begin(), hex.end());
  } else if (op == "cut") {
    bytes.erase(from, from + static_cast<std::ptrdiff_t>(std::min(size, room)));
  } else if (op == "append") {
    bytes.insert(bytes.end(), hex.begin(), hex.end());
  } else if (op == "truncate") {
    bytes.resize(std::min(size, bytes.size()));
  } else {
    return false;
  }
  return true;
}

/// A part of a mutation on the fields of collateral.json; false when it is none.
inline bool apply_to_collateral(const std::string& op, const base::JsonValue& o, const CaseSet& set, Case& c) {
  std::string& field = c.collateral[text_of(o.find("key"))];
  if (op == "json_put") {
    field = text_of(o.find("value"));
  } else if (op == "json_from") {
    field = read_collateral(set.root / text_of(o.find("case")) / text_of(o.find("file")))[text_of(o.find("key"))];
  } else if (op == "json_replace") {
    const std::string old = text_of(o.find("old"));
    if (const auto at = field.find(old); at != std::string::npos) field.replace(at, old.size(), text_of(o.find("new")));
  } else if (op == "json_xor_hex") {
    base::Bytes bytes = base::hex_decode(field).value_or(base::Bytes{});
    const auto at = static_cast<std::size_t>(o.find("at")->integer("at", 0, 1 << 20).value_or(0));
    const base::Bytes mask = base::hex_decode(text_of(o.find("hex"))).value_or(base::Bytes{});
    for (std::size_t i = 0; i < mask.size() && at + i < bytes.size(); ++i) bytes[at + i] ^= mask[i];
    field = base::hex(bytes);
  } else {
    return false;
  }
  return true;
}

/// Applies the operations of one mutation; false when one of them is not known here.
inline bool apply(const base::JsonValue& ops, const CaseSet& set, Case& c) {
  for (auto o = ops.first(); o; o = o->next()) {
    const std::string op = text_of(o->find("op"));
    const auto number = [&](std::string_view key) {
      const auto member = o->find(key);
      return static_cast<std::size_t>(member ? member->integer(key, 0, 1 << 24).value_or(0) : 0);
    };
    if (op == "time") {
      c.at = base::parse_rfc3339(text_of(o->find("verify_at"))).value_or(base::UtcTime{});
    } else if (op.starts_with("json_")) {
      if (!apply_to_collateral(op, *o, set, c)) return false;
    } else {
      const base::Bytes hex = base::hex_decode(text_of(o->find("hex"))).value_or(base::Bytes{});
      if (!apply_to_bytes(op, number("at"), number("size"), hex, c.quote)) return false;
    }
  }
  return true;
}

/// Agreement of a verdict with an expectation; empty, or what disagrees. As tools that drive the command line judge:
/// ok <-> accepted, with status, advisories and measurements as stated; fail <-> not accepted, with a root cause.
inline std::string disagreement(const base::JsonValue& expect, const std::optional<Verdict>& verdict) {
  if (!verdict) return "an Error in place of a verdict";
  const std::string wanted = text_of(expect.find("result"));
  const bool accepted = verdict->outcome == Outcome::accepted;
  if (wanted == "fail") {
    if (accepted) return "accepted what must be refused";
    return verdict->root_cause() == nullptr ? "refused without a root cause" : "";
  }
  if (wanted != "ok") return {};
  if (!accepted) {
    const CheckResult* cause = verdict->root_cause();
    return "refused a good one: " + (cause == nullptr
                                         ? std::string{"no root cause"}
                                         : std::string{info(cause->check).id} + " expected " + cause->expected +
                                               ", found " + cause->actual + " " + cause->detail);
  }
  const std::string status = text_of(expect.find("tcb_status"));
  if (!status.empty() && (!verdict->tcb || verdict->tcb->status != status)) {
    return "TCB status " + (verdict->tcb ? verdict->tcb->status : "none") + ", not " + status;
  }
  const auto advisories = expect.find("advisory_ids");
  if (advisories && !status.empty()) {
    std::vector<std::string> want;
    for (auto id = advisories->first(); id; id = id->next()) want.push_back(text_of(id));
    std::vector<std::string> got = verdict->tcb->advisory_ids;
    std::ranges::sort(want);
    std::ranges::sort(got);
    if (want != got) return "advisories differ";
  }
  const auto measurements = expect.find("measurements");
  if (!measurements) return {};
  for (auto m = measurements->first(); m; m = m->next()) {
    if (m->is_null() || m->is_object() || m->is_array()) continue;
    std::string want = m->is_string() ? text_of(m) : std::string{m->source()};
    std::ranges::transform(want, want.begin(), [](char ch) { return ch >= 'A' && ch <= 'Z' ? char(ch + 32) : ch; });
    const Claim* claim = verdict->claim(m->key());
    if (claim == nullptr) return "claim " + m->key() + " is missing";
    if (claim->value != want) return "claim " + m->key() + " is " + claim->value + ", not " + want;
  }
  return {};
}

}  // namespace attestry::attestation::testing
