#include "attestation/dcap/chain.h"

#include <algorithm>

#include "base/encoding.h"

namespace attestry::attestation::dcap {
namespace {

using crypto::Certificate;

constexpr std::string_view kPckName = "Intel SGX PCK Certificate";
constexpr std::string_view kPlatformCaName = "Intel SGX PCK Platform CA";
constexpr std::string_view kProcessorCaName = "Intel SGX PCK Processor CA";
constexpr std::string_view kRootName = "Intel SGX Root CA";
constexpr std::string_view kTcbSigningName = "Intel SGX TCB Signing";

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }
std::string names_of(std::span<const Certificate> chain) {
  std::string out;
  for (const Certificate& c : chain) out.append(out.empty() ? "" : ", ").append(c.subject_cn());
  return out;
}
bool self_issued(const Certificate& c) { return base::equal(c.subject_der(), c.issuer_der()); }

ChainVerdict judge_name(const Certificate& c, std::string_view wanted) {
  if (contains(c.subject_cn(), wanted)) return std::nullopt;
  return ChainFault{std::string{wanted}, c.subject_cn(), "common name of a certificate's subject"};
}

/// CA and signing certificates are few and come with every platform: their signatures are remembered.
ChainVerdict judge_signature(const Certificate& c, const Certificate& issuer, Signatures& signatures) {
  const auto key = known_key(issuer);
  if (key && key->key.curve() == crypto::Curve::p256 && signatures.good(c, *key)) return std::nullopt;
  return not_signed(c, issuer);
}

}  // namespace

base::Result<std::vector<Certificate>> read_chain(base::ByteView pem, std::size_t max) {
  SignatureCache none{0};
  Signatures call{none};
  return read_chain(pem, max, call);
}

base::Result<std::vector<Certificate>> read_chain(base::ByteView pem, std::size_t max, Signatures& call) {
  TRY(const std::vector<base::PemBlock> blocks, base::pem_decode(base::as_text(pem), max));
  std::vector<Certificate> out;
  out.reserve(3);
  for (const base::PemBlock& block : blocks) {
    if (block.label != "CERTIFICATE") {
      return base::Error{base::Code::malformed, "PEM block is no certificate", "CERTIFICATE", block.label};
    }
    TRY(Certificate certificate, call.read(block.der), "certificate " + std::to_string(out.size() + 1));
    out.push_back(std::move(certificate));
  }
  if (out.empty()) return base::Error{base::Code::malformed, "no certificate", "PEM certificates"};
  return out;
}

/// Which of the three is not there, and what is.
std::string missing_of(std::span<const Certificate> chain) {
  const auto there = [&](std::initializer_list<std::string_view> names) {
    return std::ranges::any_of(chain, [&](const Certificate& c) {
      return std::ranges::any_of(names, [&](std::string_view name) { return contains(c.subject_cn(), name); });
    });
  };
  std::string out;
  const auto note = [&out](bool here, std::string_view what) {
    if (!here) out.append(out.empty() ? "missing: " : ", ").append(what);
  };
  note(there({kPckName}), "the PCK leaf");
  note(there({kPlatformCaName, kProcessorCaName}), "the intermediate CA");
  note(there({kRootName}), "the root");
  out.append(out.empty() ? "found: " : "; found: ").append(names_of(chain));
  return out;
}

ChainVerdict judge_pck_format(std::span<const Certificate> chain) {
  if (chain.size() != 3) return ChainFault{"3 certificates", std::to_string(chain.size()), missing_of(chain)};
  if (self_issued(chain[0]) || self_issued(chain[1]) || !self_issued(chain[2])) {
    return ChainFault{"leaf, intermediate, root", "another order", "found: " + names_of(chain)};
  }
  return std::nullopt;
}

ChainVerdict judge_pck_names(std::span<const Certificate> chain) {
  const bool platform = contains(chain[1].subject_cn(), kPlatformCaName);
  return first_of({judge_link(chain[0], chain[1]), judge_link(chain[1], chain[2]), judge_name(chain[0], kPckName),
                   judge_name(chain[1], platform ? kPlatformCaName : kProcessorCaName),
                   judge_name(chain[2], kRootName)});
}

ChainVerdict judge_pck_constraints(std::span<const Certificate> chain) {
  return first_of({judge_end_entity(chain[0]), judge_ca(chain[1], 0), judge_ca(chain[2], 1)});
}

ChainVerdict judge_pck_signatures(std::span<const Certificate> chain, Signatures& signatures) {
  if (auto fault = judge_signature(chain[1], chain[2], signatures)) return fault;
  const auto& key = chain[1].ec_key();
  // A platform's own certificate is remembered with its platform.
  if (key && key->curve() == crypto::Curve::p256 && chain[0].signed_by(*key)) return std::nullopt;
  return not_signed(chain[0], chain[1]);
}

ChainVerdict judge_signing_format(std::span<const Certificate> chain) {
  if (chain.size() != 2) {
    return ChainFault{"2 certificates", std::to_string(chain.size()), "found: " + names_of(chain)};
  }
  if (self_issued(chain[0]) || !self_issued(chain[1])) {
    return ChainFault{"signing certificate, root", "another order", "found: " + names_of(chain)};
  }
  return std::nullopt;
}

ChainVerdict judge_signing_chain(std::span<const Certificate> chain, Signatures& signatures) {
  if (auto fault = first_of({judge_link(chain[0], chain[1]), judge_name(chain[0], kTcbSigningName),
                             judge_name(chain[1], kRootName), judge_end_entity(chain[0]), judge_ca(chain[1], 0)})) {
    return fault;
  }
  return judge_signature(chain[0], chain[1], signatures);
}

ChainVerdict judge_pck_ca_chain(std::span<const Certificate> chain, bool platform_ca, Signatures& signatures) {
  if (auto fault = first_of({judge_link(chain[0], chain[1]),
                             judge_name(chain[0], platform_ca ? kPlatformCaName : kProcessorCaName),
                             judge_name(chain[1], kRootName), judge_ca(chain[0], 0), judge_ca(chain[1], 1)})) {
    return fault;
  }
  return judge_signature(chain[0], chain[1], signatures);
}

}  // namespace attestry::attestation::dcap
