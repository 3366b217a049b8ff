#include "keys/keymanager_dialects.h"

#include <algorithm>
#include <initializer_list>

#include "base/encoding.h"
#include "curves/blake2b.h"
#include "curves/ethereum_signature.h"
#include "curves/keccak.h"

namespace attestry::keys {

using base::as_bytes;
using base::ByteView;
using base::Code;
using base::Digest32;
using base::Error;
using base::Result;
using crypto::Secret;

namespace {

constexpr std::size_t kMasterBytes = 32;
constexpr std::size_t kMaxName = 253;  // RFC 1035 section 2.3.4
constexpr std::string_view kContractName = "dstack-keymanager";

Digest32 keccak(std::initializer_list<ByteView> parts) {
  base::Bytes all;
  for (const ByteView part : parts) base::append(all, part);
  return curves::keccak256(all);
}

base::Status check_master(const Secret& master) {
  if (master.size() != kMasterBytes) return Error{Code::internal, "master key has a wrong size", "32 bytes"};
  return base::done();
}

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxName && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
           c == '_';
  });
}

base::Status check_name(std::string_view name) {
  if (is_name(name)) return base::done();
  return Error{Code::malformed, "name of a workload", "a host name: 1 to 253 letters, digits, '.', '-' and '_'",
               std::to_string(name.size()) + " bytes"};
}

base::Status check_app_data(std::string_view hex) {
  Digest32 ignored{};
  TRY_OK(base::hex_decode_into(hex, ignored), "app data: 64 hex digits");
  return base::done();
}

}  // namespace

base::FixedBytes<64> report_data(const Digest32& head, ReportDataForm form) {
  base::FixedBytes<64> out{};
  std::ranges::copy(head, out.begin());
  if (form == ReportDataForm::doubled) std::ranges::copy(head, out.begin() + 32);
  return out;
}

std::optional<ReportDataForm> report_data_form(ByteView found, const Digest32& head) {
  for (const ReportDataForm form : {ReportDataForm::padded, ReportDataForm::doubled}) {
    if (base::equal(found, report_data(head, form))) return form;
  }
  return std::nullopt;
}

namespace keymanager_v1 {

Result<Secret> sealing_key(const Secret& master, std::string_view name) {
  TRY_OK(check_master(master));
  TRY_OK(check_name(name));
  crypto::Sha256Digest key = crypto::sha256({master.reveal(), as_bytes(name), master.reveal()});
  return Secret::absorb(key);
}

Result<Digest32> attest_digest(std::string_view name, const Digest32& app_data) {
  TRY_OK(check_name(name));
  if (name == "attest" || name == kContractName) {
    return Error{.code = Code::denied,
                 .what = "a workload of this name could sign for the key manager itself",
                 .expected = "another name",
                 .found = std::string{name}};
  }
  return keccak({as_bytes(name), app_data});
}

Result<Digest32> emitted_app_data(std::string_view app_data_hex, std::string_view name) {
  TRY_OK(check_app_data(app_data_hex));
  TRY_OK(check_name(name));
  return crypto::sha256({as_bytes(app_data_hex), as_bytes(name)});
}

Digest32 emitted_digest(const Digest32& emitted_app_data) {
  return curves::ethereum_message_digest(report_data(emitted_app_data, ReportDataForm::doubled));
}

Result<Digest32> guest_app_data(std::string_view name, std::string_view app_data_hex) {
  TRY_OK(check_app_data(app_data_hex));
  TRY_OK(check_name(name));
  return crypto::sha256({as_bytes(name), as_bytes(app_data_hex)});
}

Digest32 bootstrap_head(const curves::Address& master_address) {
  return crypto::sha256(as_bytes(curves::address_checksum_text(master_address)));
}

Digest32 onboard_digest(const curves::BoxPublicKey& box_key, ByteView response) {
  const Digest32 answer = keccak({as_bytes("onboard"), box_key, response});
  return keccak({as_bytes(kContractName), answer});
}

}  // namespace keymanager_v1

namespace keymanager_v2 {

Result<Secret> sealing_key(const Secret& master, std::string_view tag) {
  TRY_OK(check_master(master));
  return curves::blake2b_256_keyed(master, as_bytes(tag));
}

Digest32 app_data(std::string_view tag, ByteView data) { return keccak({as_bytes(tag), data}); }

Digest32 attest_digest(const Digest32& app_data) { return keccak({as_bytes("attest"), app_data}); }

Digest32 register_digest(const curves::Address& payer) { return keccak({as_bytes("register"), payer}); }

Digest32 register_head(const curves::BoxPublicKey& box_key, const curves::Address& newcomer) {
  const std::string text = curves::address_checksum_text(newcomer);
  return crypto::sha256({as_bytes("register:"), box_key, as_bytes(":"), as_bytes(text)});
}

Digest32 bootstrap_head(const curves::Address& master_address) {
  const std::string text = curves::address_checksum_text(master_address);
  return crypto::sha256({as_bytes("boostrap:"), as_bytes(text)});
}

Digest32 measurement(const base::FixedBytes<48>& mrtd) { return crypto::sha256(mrtd); }

base::FixedBytes<16> fmspc_word(const base::FixedBytes<6>& fmspc) {
  base::FixedBytes<16> out{};
  std::ranges::copy(fmspc, out.begin());
  return out;
}

Digest32 onboard_digest(const curves::Address& newcomer, const base::FixedBytes<16>& fmspc, const Digest32& measurement,
                        ByteView response) {
  return keccak({as_bytes("onboard"), newcomer, fmspc, measurement, response});
}

}  // namespace keymanager_v2

namespace replicatoor {

Digest32 request_head(const curves::BoxPublicKey& box_key) { return crypto::sha256({as_bytes("request:"), box_key}); }

base::FixedBytes<64> quoted_report_data(const Digest32& head) {
  return crypto::sha512(report_data(head, ReportDataForm::padded));
}

Result<base::FixedBytes<48>> extend(const base::FixedBytes<48>& rtmr3, ByteView item) {
  base::FixedBytes<48> padded{};
  if (item.size() > padded.size()) {
    return Error{Code::malformed, "item of a measurement register", "at most 48 bytes",
                 std::to_string(item.size()) + " bytes"};
  }
  std::ranges::copy(item, padded.begin());
  return crypto::sha384({rtmr3, padded});
}

Digest32 machine_key(const Digest32& rootfs, const base::FixedBytes<48>& mrtd, const base::FixedBytes<48>& rtmr0,
                     const base::FixedBytes<48>& rtmr3) {
  return keccak({rootfs, mrtd, rtmr0, rtmr3});
}

}  // namespace replicatoor

}  // namespace attestry::keys
