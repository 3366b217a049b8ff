#include "attestation/dcap/tcb_info.h"

#include <algorithm>
#include <tuple>

#include "attestation/dcap/json_fields.h"

namespace attestry::attestation::dcap {
namespace {

using base::Code;
using base::Error;
using base::JsonValue;
using base::Result;
using base::Status;

/// A document has hundreds of these; their text is what it is signed as, so it is read in place.
Status read_svn(const JsonValue& value, std::uint8_t& out) {
  const std::string_view text = value.source();
  unsigned number = 0;
  const bool digits = text.size() <= 3 && std::ranges::all_of(text, [&](char c) {
                        number = number * 10 + static_cast<unsigned>(c - '0');
                        return c >= '0' && c <= '9';
                      });
  if (!digits || number > 0xff) return Error{Code::malformed, "svn", "0 to 255", std::string{text.substr(0, 16)}};
  out = static_cast<std::uint8_t>(number);
  return base::done();
}

/// Version 3: an array of 16 {"svn": n}. A shorter array must never compare as a match (dcap-qvl issue 164).
Result<Svns> component_array(const JsonValue& tcb, std::string_view key) {
  TRY(const JsonValue array, array_member(tcb, key));
  Svns out{};
  if (array.size() != out.size()) {
    return Error{Code::malformed, std::string{key} + " has not 16 entries", "16", std::to_string(array.size())};
  }
  std::size_t i = 0;
  for (auto entry = array.first(); entry; entry = entry->next()) {
    const auto member = entry->find("svn");
    if (!member) return Error{Code::malformed, std::string{key} + ": member \"svn\" is missing"};
    TRY_OK(read_svn(*member, out[i++]), key);
  }
  return out;
}

/// Version 2: sgxtcbcomp01svn to sgxtcbcomp16svn.
Result<Svns> flat_components(const JsonValue& tcb) {
  Svns out{};
  for (unsigned i = 0; i < out.size(); ++i) {
    std::string key = "sgxtcbcomp00svn";
    key[10] = static_cast<char>('0' + (i + 1) / 10);
    key[11] = static_cast<char>('0' + (i + 1) % 10);
    TRY(const JsonValue member, tcb.get(key));
    TRY_OK(read_svn(member, out[i]), key);
  }
  return out;
}

Result<TcbLevel> read_level(const JsonValue& entry, const TcbInfo& info) {
  TcbLevel level;
  TRY(const JsonValue tcb, object_member(entry, "tcb"));
  if (info.version == 2) {
    TRY(level.sgx, flat_components(tcb));
  } else {
    TRY(level.sgx, component_array(tcb, "sgxtcbcomponents"));
  }
  if (info.tee == Tee::tdx) {
    TRY(level.tdx, component_array(tcb, "tdxtcbcomponents"));
  }
  TRY(level.pcesvn, u16_member(tcb, "pcesvn"));
  TRY(level.status, status_member(entry, StatusSource::platform));
  TRY(level.date, time_member(entry, "tcbDate"));
  TRY(level.advisory_ids, advisories(entry));
  return level;
}

auto order_key(const TcbLevel& level) noexcept { return std::tie(level.sgx, level.pcesvn, level.tdx); }

Status read_levels(const JsonValue& root, TcbInfo& info) {
  TRY(const JsonValue array, array_member(root, "tcbLevels"));
  for (auto entry = array.first(); entry; entry = entry->next()) {
    TRY(TcbLevel level, read_level(*entry, info), "tcbLevels");
    info.levels.push_back(std::move(level));
  }
  std::ranges::sort(info.levels, [](const TcbLevel& a, const TcbLevel& b) { return order_key(a) > order_key(b); });
  const auto same = [](const TcbLevel& a, const TcbLevel& b) { return order_key(a) == order_key(b); };
  if (std::ranges::adjacent_find(info.levels, same) != info.levels.end()) {
    return Error{Code::malformed, "a TCB level is given twice"};
  }
  return base::done();
}

Result<TdxModule> read_module(const JsonValue& object) {
  TdxModule module;
  TRY(module.mrsigner, hex_member<48>(object, "mrsigner"));
  TRY(module.attributes, hex_member<8>(object, "attributes"));
  TRY(module.attributes_mask, hex_member<8>(object, "attributesMask"));
  return module;
}

Status read_modules(const JsonValue& root, TcbInfo& info) {
  TRY(const JsonValue module, object_member(root, "tdxModule"));
  TRY(info.tdx_module, read_module(module), "tdxModule");
  if (!root.find("tdxModuleIdentities")) return base::done();
  TRY(const JsonValue array, array_member(root, "tdxModuleIdentities"));
  for (auto entry = array.first(); entry; entry = entry->next()) {
    TdxModuleIdentity identity;
    TRY(identity.id, string_member(*entry, "id"), "tdxModuleIdentities");
    TRY(identity.module, read_module(*entry), identity.id);
    TRY(identity.levels, isv_levels(*entry, StatusSource::module), identity.id);
    info.tdx_module_identities.push_back(std::move(identity));
  }
  return base::done();
}

Status read_id(const JsonValue& root, TcbInfo& info) {
  TRY(info.version, u32_member(root, "version"));
  if (info.version != 2 && info.version != 3) {
    return Error{Code::malformed, "unknown version", "2 or 3", std::to_string(info.version)};
  }
  if (info.version == 2) return base::done();  // has no id, SGX only
  TRY(info.id, string_member(root, "id"));
  if (info.id != "SGX" && info.id != "TDX") return Error{Code::malformed, "unknown id", "SGX or TDX", info.id};
  info.tee = info.id == "TDX" ? Tee::tdx : Tee::sgx;
  if (info.tee == Tee::sgx && (root.find("tdxModule") || root.find("tdxModuleIdentities"))) {
    return Error{Code::malformed, "TCB info of SGX names a TDX module"};
  }
  return base::done();
}

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

const TdxModuleIdentity* TcbInfo::module_identity(std::uint8_t major_version) const noexcept {
  constexpr std::string_view digits = "0123456789abcdef";
  const std::array<char, 6> wanted = {'t', 'd', 'x', '_', digits[major_version >> 4], digits[major_version & 15]};
  const auto matches = [&](const TdxModuleIdentity& identity) {
    return std::ranges::equal(identity.id, wanted, {}, lower);
  };
  const auto found = std::ranges::find_if(tdx_module_identities, matches);
  return found == tdx_module_identities.end() ? nullptr : &*found;
}

Result<TcbInfo> parse_tcb_info(std::string_view text) {
  TRY(const auto document, base::JsonDocument::parse(std::string{text}));
  const JsonValue root = document->root();
  if (!root.is_object()) return Error{Code::malformed, "not a JSON object"};
  TcbInfo info;
  TRY_OK(read_id(root, info));
  TRY(info.issue_date, time_member(root, "issueDate"));
  TRY(info.next_update, time_member(root, "nextUpdate"));
  TRY(info.fmspc, hex_member<6>(root, "fmspc"));
  TRY(info.pceid, hex_member<2>(root, "pceId"));
  TRY(info.tcb_type, u32_member(root, "tcbType"));
  TRY(info.evaluation_number, u32_member(root, "tcbEvaluationDataNumber"));
  if (info.tee == Tee::tdx) TRY_OK(read_modules(root, info));
  TRY_OK(read_levels(root, info));
  return info;
}

}  // namespace attestry::attestation::dcap
