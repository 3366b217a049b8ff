#include "cluster/epoch.h"

#include <algorithm>
#include <string_view>

#include "base/reader.h"

namespace attestry::cluster {

using base::ByteView;
using base::Code;
using base::Error;
using base::Result;

namespace {
// A deal of 255 members and a threshold of 255 has some 40 KB.
constexpr std::size_t kMostPlan = 128 * 1024;
constexpr std::size_t kMostDeal = 64 * 1024;
constexpr std::size_t kMostOutcome = 64 * 1024;
constexpr std::string_view kCertified = "attestry/threshold-certified/1";
}  // namespace

base::Bytes Epoch::bytes() const {
  base::LpWriter out;
  out.lp(plan.bytes()).raw(approval.bytes()).u16(static_cast<std::uint16_t>(deals.size()));
  for (const Deal& deal : deals) out.lp(deal.bytes());
  out.lp(outcome.bytes()).raw(certificate.bytes());
  return std::move(out).take();
}

Result<Epoch> Epoch::parse(ByteView bytes, const PlanCheck& check) {
  base::Reader reader{bytes};
  TRY(const ByteView plan_bytes, reader.lp("plan", kMostPlan));
  TRY(Plan plan, Plan::parse(plan_bytes));
  TRY(Approval approval, Approval::read(reader));
  if (check) TRY_OK(check(plan, approval));
  TRY(const std::uint16_t count, reader.u16be("number of deals"));
  if (count > kMostNodes) return Error{Code::malformed, "number of deals", "at most 255", std::to_string(count)};
  std::vector<Deal> deals;
  for (std::uint16_t i = 0; i < count; ++i) {
    TRY(const ByteView deal_bytes, reader.lp("deal", kMostDeal));
    TRY(Deal deal, Deal::parse(deal_bytes, plan.threshold));
    deals.push_back(std::move(deal));
  }
  TRY(const ByteView outcome_bytes, reader.lp("outcome", kMostOutcome));
  TRY(Outcome outcome, Outcome::parse(outcome_bytes, plan.threshold));
  TRY(Certificate certificate, Certificate::read(reader));
  TRY_OK(reader.finish("epoch"));
  const auto same = [](const Deal& deal, const Outcome::Dealt& dealt) {
    return deal.dealer() == dealt.dealer && deal.digest() == dealt.deal;
  };
  if (outcome.plan() != plan.digest() || !std::ranges::equal(deals, outcome.dealt(), same)) {
    return Error{Code::malformed, "epoch", "a plan, its deals and their outcome", "parts of several"};
  }
  return Epoch{std::move(plan), std::move(approval), std::move(deals), std::move(outcome), std::move(certificate)};
}

CertifiedEpoch CertifiedEpoch::of(const Epoch& epoch) {
  return {epoch.plan, epoch.approval, epoch.outcome, epoch.certificate};
}

base::Bytes CertifiedEpoch::bytes() const {
  base::LpWriter out;
  out.lp(kCertified).lp(plan.bytes()).raw(approval.bytes()).lp(outcome.bytes()).raw(certificate.bytes());
  return std::move(out).take();
}

Result<CertifiedEpoch> CertifiedEpoch::parse(ByteView bytes) {
  base::Reader reader{bytes};
  TRY(const ByteView kind, reader.lp("kind", kCertified.size()));
  if (base::as_text(kind) != kCertified) {
    return Error{Code::malformed, "certified epoch", std::string{kCertified}, "another kind"};
  }
  TRY(const ByteView plan_bytes, reader.lp("plan", kMostPlan));
  TRY(Plan plan, Plan::parse(plan_bytes));
  TRY(Approval approval, Approval::read(reader));
  TRY(const ByteView outcome_bytes, reader.lp("outcome", kMostOutcome));
  TRY(Outcome outcome, Outcome::parse(outcome_bytes, plan.threshold));
  TRY(Certificate certificate, Certificate::read(reader));
  TRY_OK(reader.finish("certified epoch"));
  if (outcome.plan() != plan.digest()) {
    return Error{Code::malformed, "certified epoch", "a plan and its outcome", "parts of several"};
  }
  TRY_OK(certificate.check(plan, outcome), "certified epoch");
  return CertifiedEpoch{std::move(plan), std::move(approval), std::move(outcome), std::move(certificate)};
}

}  // namespace attestry::cluster
