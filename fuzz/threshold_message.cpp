// Whatever is read as a plan, a deal, a complaint, an outcome, an epoch with or without its deals, a list of holders,
// an export or a message between nodes of a threshold root is written again as the same bytes, and a proposal, which is
// JSON, as the same meaning. The first byte chooses.
#include "cluster/messages.h"
#include "cluster/proposal.h"
#include "cluster/recovery.h"
#include "require.h"

using namespace attestry;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const base::ByteView rest{data + 1, size - 1};
  const auto same = [&](const auto& read) {
    if (read.ok()) REQUIRE(base::equal(read->bytes(), rest));
  };
  switch (data[0]) {
    case 'p':
      same(cluster::Plan::parse(rest));
      break;
    case 'd':
      same(cluster::Deal::parse(rest));
      break;
    case 'c':
      same(cluster::Complaint::parse(rest));
      break;
    case 'o':
      same(cluster::Outcome::parse(rest));
      break;
    case 'e':
      same(cluster::Epoch::parse(rest));
      break;
    case 'k':
      same(cluster::CertifiedEpoch::parse(rest));
      break;
    case 'l':
      same(cluster::Holders::parse(rest));
      break;
    case 'x':
      same(cluster::NodeExport::parse(rest));
      break;
    case 'h':
      same(cluster::Hello::parse(rest));
      break;
    case 'r':
      same(cluster::Node::Request::parse(rest));
      break;
    case 'j': {
      const auto read = cluster::Proposal::parse(std::string{base::as_text(rest)});
      if (!read) break;
      const auto again = cluster::Proposal::parse(read->json());
      REQUIRE(again.ok());
      REQUIRE(again->plan.intent() == read->plan.intent());
      REQUIRE(again->approval.signatures == read->approval.signatures);
      REQUIRE(again->json() == read->json());
      break;
    }
    case 'q':
      if (const auto read = cluster::parse_question(rest)) REQUIRE(base::equal(cluster::encode(*read), rest));
      break;
    case 'a':
      if (const auto read = cluster::parse_answer(rest)) REQUIRE(base::equal(cluster::encode(*read), rest));
      break;
    default:
      break;
  }
  return 0;
}
