#include "tee/remote_attester.h"

#include "base/encoding.h"

namespace attestry::tee {

using base::Code;
using base::Error;
using base::Result;

namespace {
constexpr std::size_t kShown = 200;
}

Result<attestation::Evidence> RemoteAttester::attest(const base::FixedBytes<64>& report_data) {
  const std::string url = address_ + "/attest/" + base::hex(report_data);
  const auto answer = http_.get(url, clock_.steady() + patience_);
  if (!answer) {
    return Error{answer.error().code, "the quote provider does not answer", "status 200 and a quote",
                 answer.error().what, "See whether it runs at " + address_ + "."};
  }
  const auto& reply = *answer;
  if (reply.status != 200 || reply.body.empty()) {
    return Error{Code::unavailable, "the quote provider made no evidence (status " + std::to_string(reply.status) + ")",
                 "status 200 and a quote", reply.body.substr(0, kShown),
                 "Look at the log of the provider at " + address_ + "."};
  }
  return attestation::Evidence{.format = attestation::detect_format(base::as_bytes(reply.body)),
                               .bytes = base::to_bytes(base::as_bytes(reply.body))};
}

Result<attestation::Evidence> DummyAttester::attest(const base::FixedBytes<64>& report_data) {
  const std::string text = "Attestation for CA " + base::hex(report_data);
  return attestation::Evidence{.format = attestation::EvidenceFormat::unknown,
                               .bytes = base::to_bytes(base::as_bytes(text))};
}

}  // namespace attestry::tee
