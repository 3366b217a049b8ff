#include "attestation/dcap/pck_origin.h"

#include <string>
#include <utility>
#include <vector>

#include "attestation/dcap/cache.h"
#include "attestation/dcap/chain.h"
#include "attestation/dcap/quote.h"

namespace attestry::attestation::dcap {
namespace {

using base::Code;
using base::Error;

// A chain of Intel has three certificates; more are read only to say how many there are.
constexpr std::size_t kMaxChain = 8;

base::Status status_of(ChainVerdict fault) {
  if (!fault) return base::done();
  return Error{Code::evidence_false, "PCK certificate chain" + (fault->detail.empty() ? "" : ": " + fault->detail),
               std::move(fault->expected), std::move(fault->actual)};
}

}  // namespace

base::Status judge_pck_origin(base::ByteView quote, const TrustAnchors& anchors) {
  const auto parsed = parse_quote(quote);
  if (!parsed) return Error{Code::malformed, "quote: " + parsed.error().detail};
  SignatureCache none{0};
  Signatures call{none};
  TRY(const std::vector<crypto::Certificate> chain, read_chain(parsed->cert_data, kMaxChain, call), "PCK chain");
  TRY_OK(status_of(judge_pck_format(chain)));
  // The cheap ones first; whoever made these certificates made their names, too.
  if (!anchors.trusts(Vendor::intel, chain[2].spki())) {
    return Error{Code::evidence_false, "PCK certificate chain: not of a trusted root", "a trusted root",
                 chain[2].subject_cn()};
  }
  TRY_OK(status_of(judge_pck_names(chain)));
  TRY_OK(status_of(judge_pck_constraints(chain)));
  return status_of(judge_pck_signatures(chain, call));
}

}  // namespace attestry::attestation::dcap
