#include "attestation/tcb_minimum.h"

#include <algorithm>
#include <charconv>

#include "base/encoding.h"
#include "base/json.h"

namespace attestry::attestation {
namespace {

using base::Code;
using base::Error;
using base::JsonValue;
using base::Result;

constexpr std::size_t kIntelComponents = 16;
constexpr std::int64_t kMaxSvn = 255;
constexpr std::int64_t kMaxIsvSvn = 65535;

Error malformed(std::string what, std::string expected, std::string found = {}) {
  return {.code = Code::malformed, .what = std::move(what), .expected = std::move(expected), .found = std::move(found)};
}

Error all_zero(std::string what) {
  Error out = malformed(std::move(what), "at least one number that is not 0", "zeros");
  out.remedy = "Every version reaches 0: write what is needed, or leave it out.";
  return out;
}

Result<std::vector<std::uint8_t>> svns(const JsonValue& value) {
  if (!value.is_array() || value.size() == 0 || value.size() > kIntelComponents) {
    return malformed("no list of components", "1 to 16 numbers from 0 to 255",
                     value.is_array() ? std::to_string(value.size()) : "");
  }
  std::vector<std::uint8_t> out;
  for (auto item = value.first(); item; item = item->next()) {
    TRY(const std::int64_t svn, item->integer("component", 0, kMaxSvn));
    out.push_back(static_cast<std::uint8_t>(svn));
  }
  if (std::ranges::all_of(out, [](std::uint8_t svn) { return svn == 0; })) return all_zero("components");
  return out;
}

/// Zero would be a minimum that every version reaches, so it is none.
Result<std::uint32_t> isv_svn(const JsonValue& value) {
  TRY(const std::int64_t number, value.integer("security version", 1, kMaxIsvSvn));
  return static_cast<std::uint32_t>(number);
}

/// Says in words that nothing is asked for.
bool is_any(const JsonValue& value) {
  const auto text = value.string("minimum");
  return text.ok() && *text == "any";
}

/// An object without members would be a rule that asks for nothing.
bool filled_object(const JsonValue& value, const std::string& path, std::string_view of, PolicyFindings& findings) {
  if (value.is_object() && value.size() > 0) return true;
  add_finding(findings, path, malformed("no minimum", "an object with at least one of " + std::string{of}));
  return false;
}

std::optional<TcbMinimum::Intel> read_intel(const JsonValue& value, const std::string& path, bool tdx,
                                            PolicyFindings& findings) {
  TcbMinimum::Intel out;
  if (is_any(value)) return out;
  const bool filled = filled_object(value, path, "components, pcesvn, qe_isvsvn", findings);
  const bool known =
      filled && (tdx ? only_members(value, path, {"components", "tdx_components", "pcesvn", "qe_isvsvn"}, findings)
                     : only_members(value, path, {"components", "pcesvn", "qe_isvsvn"}, findings));
  if (!known) return std::nullopt;
  if (const auto list = value.find("components")) {
    take(findings, path_of(path, "components"), svns(*list), out.components);
  }
  if (const auto list = value.find("tdx_components")) {
    take(findings, path_of(path, "tdx_components"), svns(*list), out.tdx_components);
  }
  if (const auto svn = value.find("pcesvn")) take(findings, path_of(path, "pcesvn"), isv_svn(*svn), out.pcesvn);
  if (const auto svn = value.find("qe_isvsvn"))
    take(findings, path_of(path, "qe_isvsvn"), isv_svn(*svn), out.qe_isvsvn);
  return out;
}

std::uint8_t& component_of(snp::Tcb& tcb, std::string_view name) {
  if (name == "fmc") return tcb.fmc;
  if (name == "boot_loader") return tcb.boot_loader;
  if (name == "tee") return tcb.tee;
  if (name == "snp") return tcb.snp;
  return tcb.microcode;
}

std::optional<snp::Tcb> read_tcb(const JsonValue& value, const std::string& path, bool turin,
                                 PolicyFindings& findings) {
  if (!filled_object(value, path, "boot_loader, tee, snp, microcode", findings)) return std::nullopt;
  if (!(turin ? only_members(value, path, {"fmc", "boot_loader", "tee", "snp", "microcode"}, findings)
              : only_members(value, path, {"boot_loader", "tee", "snp", "microcode"}, findings))) {
    return std::nullopt;
  }
  snp::Tcb out;
  for (auto member = value.first(); member; member = member->next()) {
    std::int64_t svn = 0;
    take(findings, path_of(path, member->key()), member->integer("security version", 0, kMaxSvn), svn);
    component_of(out, member->key()) = static_cast<std::uint8_t>(svn);
  }
  if (out == snp::Tcb{}) add_finding(findings, path, all_zero("security versions"));
  return out;
}

std::optional<TcbMinimum::Snp> read_family(const JsonValue& value, const std::string& path, bool turin,
                                           PolicyFindings& findings) {
  TcbMinimum::Snp out;
  if (is_any(value)) return out;
  if (!filled_object(value, path, "reported, current, committed, launch", findings)) return std::nullopt;
  if (!only_members(value, path, {"reported", "current", "committed", "launch"}, findings)) return std::nullopt;
  const auto read = [&](std::string_view name, std::optional<snp::Tcb>& target) {
    if (const auto tcb = value.find(name)) target = read_tcb(*tcb, path_of(path, name), turin, findings);
  };
  read("reported", out.reported);
  read("current", out.current);
  read("committed", out.committed);
  read("launch", out.launch);
  return out;
}

/// What the policy names with "any".
MinimumJudgement any_version() {
  return {.known = true, .ok = true, .expected = "any version", .actual = "not compared", .detail = {}};
}

/// What the policy passes over while it states minima for others.
MinimumJudgement unnamed(std::string_view expected, std::string actual, std::string_view of) {
  return {.known = true,
          .ok = false,
          .expected = std::string{expected},
          .actual = actual + ", for which it names no minimum",
          .detail = "the policy states minimum versions, and none for " + actual + ": name it in " + std::string{of} +
                    ", with versions or with \"any\""};
}

/// What is compared, as it comes: the components that are too old, and all that were asked for.
class Comparison {
 public:
  explicit Comparison(const Verdict& verdict) : verdict_(verdict) {}

  void number(std::string_view claim, std::optional<std::uint32_t> least) {
    if (!least) return;
    const auto found = number_of(claim);
    if (!found) return absent(claim);
    compare(claim, *least, *found);
  }

  void bytes(std::string_view claim, const std::vector<std::uint8_t>& least) {
    if (least.empty()) return;
    const auto found = bytes_of(claim);
    if (!found || found->size() < least.size()) return absent(claim);
    for (std::size_t i = 0; i < least.size(); ++i) {
      compare(std::string{claim} + "[" + std::to_string(i) + "]", least[i], (*found)[i]);
    }
  }

  void tcb(std::string_view claim, snp::Product product, const std::optional<snp::Tcb>& least) {
    if (!least) return;
    const auto found = bytes_of(claim);
    if (!found || found->size() != snp::TcbBytes{}.size()) return absent(claim);
    snp::TcbBytes raw{};
    std::ranges::copy(*found, raw.begin());
    snp::Tcb wanted = *least;
    snp::Tcb actual = snp::unpack_tcb(product, raw);
    for (const std::string_view name : kSnpComponents) {
      if (component_of(wanted, name) == 0) continue;
      compare(std::string{claim} + "." + std::string{name}, component_of(wanted, name), component_of(actual, name));
    }
  }

  MinimumJudgement result() && {
    const bool ok = known_ && too_old_.empty();
    if (ok && compared_ == 0) return any_version();
    return {.known = known_,
            .ok = ok,
            .expected = ok ? std::to_string(compared_) + " minimum versions" : expected_,
            .actual = ok ? "reached" : too_old_,
            .detail = {}};
  }

 private:
  std::optional<std::uint64_t> number_of(std::string_view name) const {
    const Claim* claim = verdict_.claim(name);
    if (claim == nullptr) return std::nullopt;
    std::uint64_t out = 0;
    const char* const end = claim->value.data() + claim->value.size();
    const auto [at, error] = std::from_chars(claim->value.data(), end, out);
    if (error != std::errc{} || at != end) return std::nullopt;
    return out;
  }

  std::optional<base::Bytes> bytes_of(std::string_view name) const {
    const Claim* claim = verdict_.claim(name);
    if (claim == nullptr) return std::nullopt;
    auto bytes = base::hex_decode(claim->value);
    if (!bytes.ok()) return std::nullopt;
    return *std::move(bytes);
  }

  void compare(std::string_view what, std::uint64_t least, std::uint64_t found) {
    ++compared_;
    if (found >= least) return;
    expected_.append(expected_.empty() ? "" : ", ").append(what).append(" at least ").append(std::to_string(least));
    too_old_.append(too_old_.empty() ? "" : ", ").append(what).append(" ").append(std::to_string(found));
  }

  void absent(std::string_view what) {
    known_ = false;
    expected_.append(expected_.empty() ? "" : ", ").append(what);
  }

  const Verdict& verdict_;
  bool known_ = true;
  std::size_t compared_ = 0;
  std::string expected_;
  std::string too_old_;
};

MinimumJudgement judge_intel(const TcbMinimum::Intel& least, const Verdict& verdict) {
  Comparison c(verdict);
  c.bytes("pck_components", least.components);
  c.bytes("tee_tcb_svn", least.tdx_components);
  c.number("pck_pcesvn", least.pcesvn);
  c.number("qe_isvsvn", least.qe_isvsvn);
  return std::move(c).result();
}

MinimumJudgement judge_snp(const std::array<std::optional<TcbMinimum::Snp>, 3>& families, const Verdict& verdict) {
  const Claim* name = verdict.claim("product");
  const auto product = name == nullptr ? std::nullopt : snp::product_of_name(name->value);
  if (!product) return {.known = false, .ok = false, .expected = "minimum versions", .actual = {}, .detail = {}};
  const auto& least = families[static_cast<std::size_t>(*product)];
  if (!least) return unnamed("a family that tcb.minimum.snp names", name->value, "tcb.minimum.snp");
  Comparison c(verdict);
  c.tcb("reported_tcb", *product, least->reported);
  c.tcb("current_tcb", *product, least->current);
  c.tcb("committed_tcb", *product, least->committed);
  c.tcb("launch_tcb", *product, least->launch);
  return std::move(c).result();
}

using SnpFamilies = std::array<std::optional<TcbMinimum::Snp>, kSnpFamilies.size()>;

std::optional<SnpFamilies> read_snp(const JsonValue& value, const std::string& path, PolicyFindings& findings) {
  SnpFamilies out;
  if (is_any(value)) {
    out.fill(TcbMinimum::Snp{});
    return out;
  }
  if (!filled_object(value, path, "milan, genoa, turin", findings)) return std::nullopt;
  if (!only_members(value, path, {"milan", "genoa", "turin"}, findings)) return std::nullopt;
  for (std::size_t i = 0; i < kSnpFamilies.size(); ++i) {
    const auto family = value.find(kSnpFamilies[i]);
    if (!family) continue;
    out[i] = read_family(*family, path_of(path, kSnpFamilies[i]), static_cast<snp::Product>(i) == snp::Product::turin,
                         findings);
  }
  return out;
}

/// Whoever states minima wants some: a document of "any" alone, at any level, would be an elaborate way to have none.
bool nothing_but_any(const JsonValue& value) {
  if (!value.is_object()) return is_any(value);
  if (value.size() == 0) return false;  // told already
  for (auto member = value.first(); member; member = member->next()) {
    if (!nothing_but_any(*member)) return false;
  }
  return true;
}

}  // namespace

TcbMinimum read_tcb_minimum(const JsonValue& value, const std::string& path, PolicyFindings& findings) {
  TcbMinimum out;
  if (!filled_object(value, path, "sgx, tdx, snp", findings)) return out;
  if (!only_members(value, path, {"sgx", "tdx", "snp", "nitro", "maa"}, findings)) return out;
  if (const auto intel = value.find("sgx")) out.sgx = read_intel(*intel, path_of(path, "sgx"), false, findings);
  if (const auto intel = value.find("tdx")) out.tdx = read_intel(*intel, path_of(path, "tdx"), true, findings);
  if (const auto snp = value.find("snp")) out.snp = read_snp(*snp, path_of(path, "snp"), findings);
  const auto only_any = [&](std::string_view name) {
    const auto word = value.find(name);
    if (word && !is_any(*word)) {
      add_finding(findings, path_of(path, name), malformed("no minimum", "\"any\": its evidence has no such versions"));
    }
    return word.has_value();
  };
  out.nitro = only_any("nitro");
  out.maa = only_any("maa");
  if (nothing_but_any(value)) {
    add_finding(findings, path,
                malformed("a minimum that asks for nothing", "versions of at least one platform", "any"));
  }
  return out;
}

std::optional<MinimumJudgement> judge_minimum(const TcbMinimum& minimum, const Verdict& verdict) {
  if (!minimum.stated()) return std::nullopt;
  switch (verdict.platform) {
    case Platform::sgx:
      if (minimum.sgx) return judge_intel(*minimum.sgx, verdict);
      break;
    case Platform::tdx:
      if (minimum.tdx) return judge_intel(*minimum.tdx, verdict);
      break;
    case Platform::snp:
      if (minimum.snp) return judge_snp(*minimum.snp, verdict);
      break;
    case Platform::nitro:
      if (minimum.nitro) return any_version();
      break;
    case Platform::maa:
      if (minimum.maa) return any_version();
      break;
    case Platform::unknown:
      return MinimumJudgement{.known = false, .ok = false, .expected = "minimum versions", .actual = {}, .detail = {}};
  }
  return unnamed("a platform that tcb.minimum names", std::string{to_text(verdict.platform)}, "tcb.minimum");
}

}  // namespace attestry::attestation
