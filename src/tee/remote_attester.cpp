#include "tee/remote_attester.h"

#include "base/encoding.h"
#include "base/json.h"

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

Result<attestation::Evidence> DstackAttester::attest(const base::FixedBytes<64>& report_data) {
  constexpr std::size_t kMostAnswer = 256 * 1024;  // with the event log
  auto answer = http_.send({.method = net::Method::post,
                            .url = "http://dstack/GetQuote",
                            .headers = {{"Content-Type", "application/json"}},
                            .body = R"({"report_data":")" + base::hex(report_data) + R"("})",
                            .deadline = clock_.steady() + patience_,
                            .max_bytes = kMostAnswer,
                            .unix_socket = socket_});
  if (!answer) {
    return Error{Code::unavailable, "dstack's guest agent does not answer", "status 200 and a quote",
                 answer.error().what, "See whether " + socket_ + " is mounted into this container."};
  }
  if (answer->status != 200) {
    return Error{Code::unavailable, "dstack's guest agent gives no quote", "status 200",
                 std::to_string(answer->status)};
  }
  const auto quote = [&]() -> Result<base::Bytes> {
    TRY(const auto document, base::JsonDocument::parse(std::move(answer->body)));
    TRY(const auto member, document->root().get("quote"));
    TRY(const auto digits, member.string("quote"));
    return base::hex_decode(std::string_view{digits}.substr(digits.starts_with("0x") ? 2 : 0));
  }();
  if (!quote) return Error{Code::unavailable, "answer of dstack's guest agent", "a quote in hex", quote.error().text()};
  return attestation::Evidence{.format = attestation::detect_format(*quote), .bytes = *quote};
}

Result<attestation::Evidence> DummyAttester::attest(const base::FixedBytes<64>& report_data) {
  const std::string text = "Attestation for CA " + base::hex(report_data);
  return attestation::Evidence{.format = attestation::EvidenceFormat::unknown,
                               .bytes = base::to_bytes(base::as_bytes(text))};
}

}  // namespace attestry::tee
