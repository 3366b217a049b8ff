#include "cluster/outcome.h"

#include <algorithm>

#include "base/reader.h"
#include "crypto/hash.h"

namespace attestry::cluster {

using base::ByteView;
using base::Code;
using base::Error;
using base::Result;
using base::Status;
using curves::bls::G2;
using curves::bls::Scalar;

namespace {

constexpr std::string_view kTag = "attestry/threshold-outcome/1";

Result<std::vector<Scalar>> factors_of(std::span<const std::uint32_t> dealers, bool generated) {
  if (!generated) return weights(dealers);
  std::vector<Scalar> out;
  while (out.size() < dealers.size()) out.push_back(Scalar::from_u32(1));
  return out;
}

Status enough(std::size_t deals, std::size_t needed) {
  if (deals >= needed) return base::done();
  return Error{Code::denied, "too few nodes have dealt", std::to_string(needed) + " or more", std::to_string(deals),
               "start the nodes that are away, or leave out fewer"};
}

Status ascending(std::span<const Deal> deals) {
  for (std::size_t i = 1; i < deals.size(); ++i) {
    if (deals[i].dealer() <= deals[i - 1].dealer()) {
      return Error{Code::usage, "deals of an epoch", "one of each dealer, ids ascending",
                   std::to_string(deals[i].dealer())};
    }
  }
  return base::done();
}

}  // namespace

Outcome::Outcome(const base::Digest32& plan, std::vector<Dealt> dealt, bool generated, Commitments commitments)
    : plan_(plan), dealt_(std::move(dealt)), generated_(generated), commitments_(std::move(commitments)) {
  base::LpWriter out;
  out.lp(kTag).raw(plan_).u8(generated_ ? 1 : 0).u16(static_cast<std::uint16_t>(dealt_.size()));
  for (const Dealt& one : dealt_) out.u32(one.dealer).raw(one.deal);
  out.raw(commitments_.bytes());
  bytes_ = std::move(out).take();
}

Result<Outcome> Outcome::generate(const Plan& plan, std::span<const Deal> deals) {
  TRY_OK(ascending(deals));
  TRY_OK(enough(deals.size(), plan.threshold));
  for (const Deal& deal : deals) {
    const Member* dealer = plan.find(deal.dealer());
    if (dealer == nullptr) {
      return Error{Code::evidence_false, "node " + std::to_string(deal.dealer()) + ": it deals and is no member"};
    }
    TRY_OK(deal.check(plan, dealer->signing_key, std::nullopt));
  }
  return sum(plan, true, deals);
}

Result<Outcome> Outcome::reshare(const Plan& plan, const Plan& before, const Outcome& outcome_before,
                                 std::span<const Deal> deals) {
  if (plan.previous != outcome_before.digest() || outcome_before.plan() != before.digest() ||
      plan.epoch != before.epoch + 1 || plan.cluster != before.cluster || plan.realm != before.realm) {
    return Error{Code::conflict, "plan of epoch " + std::to_string(plan.epoch), "the one after the epoch in force",
                 "another"};
  }
  TRY_OK(ascending(deals));
  TRY_OK(enough(deals.size(), before.threshold));
  for (const Deal& deal : deals) {
    const Member* dealer = before.find(deal.dealer());
    if (dealer == nullptr) {
      return Error{Code::evidence_false,
                   "node " + std::to_string(deal.dealer()) + ": it deals and was no member of the epoch before"};
    }
    TRY_OK(deal.check(plan, dealer->signing_key, outcome_before.commitments().at(deal.dealer())));
  }
  TRY(Outcome out, sum(plan, false, deals));
  if (!(out.commitments().constant() == outcome_before.commitments().constant())) {
    return Error{Code::internal, "master public key of epoch " + std::to_string(plan.epoch), "the one before",
                 "another"};
  }
  return out;
}

Result<Outcome> Outcome::sum(const Plan& plan, bool generated, std::span<const Deal> deals) {
  std::vector<Dealt> dealt;
  std::vector<std::uint32_t> dealers;
  for (const Deal& deal : deals) {
    dealt.push_back({deal.dealer(), deal.digest()});
    dealers.push_back(deal.dealer());
  }
  TRY(const std::vector<Scalar> factors, factors_of(dealers, generated));
  std::vector<G2> points(plan.threshold);
  for (std::size_t i = 0; i < deals.size(); ++i) {
    const std::vector<G2>& committed = deals[i].commitments().points();
    for (std::size_t k = 0; k < points.size(); ++k) {
      points[k] = points[k] + (generated ? committed[k] : committed[k] * factors[i]);
    }
  }
  if (std::ranges::any_of(points, &G2::is_identity)) {
    return Error{Code::evidence_false, "deals of an epoch", "a polynomial of the plan's degree",
                 "one of a lower degree"};
  }
  return Outcome{plan.digest(), std::move(dealt), generated, Commitments{std::move(points)}};
}

Result<Outcome> Outcome::parse(ByteView bytes, std::size_t most_threshold) {
  base::Reader reader{bytes};
  TRY(const ByteView tag, reader.lp("tag", kTag.size()));
  if (base::as_text(tag) != kTag) return Error{Code::malformed, "outcome", std::string{kTag}, "another tag"};
  TRY(const base::Digest32 plan, reader.take_array<32>("plan"));
  TRY(const std::uint8_t generated, reader.u8("kind"));
  if (generated > 1) return Error{Code::malformed, "outcome: kind", "0 or 1", std::to_string(generated)};
  TRY(const std::uint16_t count, reader.u16be("number of deals"));
  if (count == 0 || count > kMostNodes) {
    return Error{Code::malformed, "outcome: number of deals", "1 to 255", std::to_string(count)};
  }
  std::vector<Dealt> dealt;
  for (std::uint16_t i = 0; i < count; ++i) {
    Dealt one;
    TRY(one.dealer, reader.u32be("dealer"));
    TRY(one.deal, reader.take_array<32>("deal"));
    if (one.dealer >= kMostNodes || (i > 0 && one.dealer <= dealt.back().dealer)) {
      return Error{Code::malformed, "outcome: dealers", "ids ascending, below 255", std::to_string(one.dealer)};
    }
    dealt.push_back(one);
  }
  TRY(Commitments commitments, Commitments::read(reader, most_threshold));
  TRY_OK(reader.finish("outcome"));
  return Outcome{plan, std::move(dealt), generated == 1, std::move(commitments)};
}

base::Digest32 Outcome::digest() const { return crypto::sha256(bytes_); }

Result<Scalar> Outcome::share(const Plan& plan, std::span<const Deal> deals, std::uint32_t self,
                              const Scalar& box_secret) const {
  const auto same = [](const Deal& deal, const Dealt& dealt) {
    return deal.dealer() == dealt.dealer && deal.digest() == dealt.deal;
  };
  if (plan.digest() != plan_ || !std::ranges::equal(deals, dealt_, same)) {
    return Error{Code::usage, "share of an epoch", "the deals of its outcome", "others"};
  }
  std::vector<std::uint32_t> dealers;
  for (const Dealt& one : dealt_) dealers.push_back(one.dealer);
  TRY(const std::vector<Scalar> factors, factors_of(dealers, generated_));
  Scalar out = Scalar::from_u32(0);
  for (std::size_t i = 0; i < deals.size(); ++i) {
    TRY(const Scalar value, deals[i].open(plan, self, box_secret));
    out = out + value * factors[i];
  }
  if (!commitments_.holds(self, out)) {
    return Error{Code::internal, "share of an epoch", "the one that the commitments name", "another"};
  }
  return out;
}

}  // namespace attestry::cluster
