#include "attestation/chain_rules.h"

#include <algorithm>

#include "base/encoding.h"

namespace attestry::attestation {

using crypto::Certificate;

namespace {

ChainVerdict judge_critical(const Certificate& c) {
  if (c.unknown_critical_extensions().empty()) return std::nullopt;
  return ChainFault{"no unknown critical extension", c.unknown_critical_extensions().front(), c.subject_cn()};
}

}  // namespace

ChainVerdict first_of(std::initializer_list<ChainVerdict> verdicts) {
  for (const ChainVerdict& verdict : verdicts) {
    if (verdict) return verdict;
  }
  return std::nullopt;
}

Validity validity_of(std::span<const Certificate> chain) {
  Validity out{chain.front().not_before(), chain.front().not_after()};
  for (const Certificate& c : chain) {
    out.from = std::max(out.from, c.not_before());
    out.to = std::min(out.to, c.not_after());
  }
  return out;
}

ChainVerdict judge_validity(std::span<const Certificate> chain, base::UtcTime at) {
  for (const Certificate& c : chain) {
    if (c.not_before() <= at && at <= c.not_after()) continue;
    return ChainFault{base::to_rfc3339(c.not_before()) + " to " + base::to_rfc3339(c.not_after()), base::to_rfc3339(at),
                      c.subject_cn() + (at < c.not_before() ? " is not valid yet" : " is expired")};
  }
  return std::nullopt;
}

ChainVerdict judge_link(const Certificate& child, const Certificate& issuer) {
  const base::ByteView named = child.issuer_der();
  const base::ByteView wanted = issuer.subject_der();
  if (base::equal(named, wanted)) return std::nullopt;
  // Names are compared whole; their common names alone may well be the same.
  const auto first = static_cast<std::size_t>(std::ranges::mismatch(named, wanted).in1 - named.begin());
  return ChainFault{
      "issuer \"" + issuer.subject_cn() + "\"",
      child.issuer_cn() == issuer.subject_cn()
          ? "another name with the same common name: it differs from byte " + std::to_string(first) + " of its DER on"
          : "issuer \"" + child.issuer_cn() + "\"",
      "issuer of certificate \"" + child.subject_cn() + "\""};
}

ChainVerdict judge_ca(const Certificate& c, unsigned below) {
  if (!c.has_basic_constraints() || !c.is_ca()) return ChainFault{"a CA certificate", "no CA", c.subject_cn()};
  if (!c.key_usage_cert_sign()) return ChainFault{"key usage keyCertSign", "without", c.subject_cn()};
  if (c.path_length() && *c.path_length() < below) {
    return ChainFault{"path length " + std::to_string(below), std::to_string(*c.path_length()), c.subject_cn()};
  }
  return judge_critical(c);
}

ChainVerdict judge_end_entity(const Certificate& c) {
  if (c.is_ca()) return ChainFault{"no CA certificate", "a CA", c.subject_cn()};
  if (!c.key_usage_digital_signature()) return ChainFault{"key usage digitalSignature", "without", c.subject_cn()};
  return judge_critical(c);
}

ChainFault not_signed(const Certificate& c, const Certificate& issuer) {
  return ChainFault{
      "signed by \"" + issuer.subject_cn() + "\"",
      "its signature does not verify under that key: the certificate was changed, or another key signed it",
      "certificate \"" + c.subject_cn() + "\""};
}

}  // namespace attestry::attestation
