// Forged SEV-SNP evidence before the verifier: every kind is accepted as it is, and every fault is named by its own
// check.
#include "forge/snp.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "attestation/policy.h"
#include "attestation/verifier.h"
#include "base/encoding.h"
#include "crypto/x509.h"

namespace attestry::forge {
namespace {

using attestation::CheckId;
using attestation::CheckStatus;
using attestation::CollateralKind;
using attestation::Genuineness;
using attestation::Outcome;
using attestation::Verdict;

constexpr base::UtcTime kAt{1'795'261'432};  // 2026-11-21T11:43:52Z
constexpr std::int64_t kDay = 24 * 3600;

const SnpPki& pki(SnpProduct product = SnpProduct::milan) {
  static const SnpPki milan = *SnpPki::make(base::as_bytes("snp test"), SnpProduct::milan);
  static const SnpPki genoa = *SnpPki::make(base::as_bytes("snp test"), SnpProduct::genoa);
  static const SnpPki turin = *SnpPki::make(base::as_bytes("snp test"), SnpProduct::turin);
  if (product == SnpProduct::milan) return milan;
  return product == SnpProduct::genoa ? genoa : turin;
}

SnpCase make(const SnpKind& kind, SnpFault fault = SnpFault::none) {
  return *make_snp_case(pki(kind.product), {.version = kind.version, .vlek = kind.vlek, .fault = fault, .at = kAt});
}

std::shared_ptr<const attestation::Collateral> collateral_of(const SnpCase& made, bool with_crl = true) {
  std::vector<attestation::CollateralItem> parts{
      {.kind = CollateralKind::vek, .bytes = made.vek},
      {.kind = CollateralKind::amd_chain, .bytes = base::to_bytes(made.chain)}};
  if (with_crl) parts.push_back({.kind = CollateralKind::amd_crl, .bytes = made.crl});
  return attestation::Collateral::make(std::move(parts));
}

attestation::Verifier verifier_for(const std::string& root_pem) {
  auto root = attestation::TestRoot::from_certificate(base::as_bytes(root_pem));
  return attestation::Verifier{attestation::TrustAnchors::simulated({*std::move(root)})};
}

Verdict judge(const attestation::Verifier& verifier, const SnpCase& made, const attestation::Collateral& collateral,
              base::UtcTime at = kAt, const attestation::Policy& policy = attestation::Policy::genuine()) {
  Verdict verdict =
      *verifier.verify({.format = attestation::EvidenceFormat::snp_report, .bytes = made.report}, collateral, at);
  attestation::evaluate(policy, verdict);
  return verdict;
}

Verdict judge(const SnpCase& made, base::UtcTime at = kAt) {
  return judge(verifier_for(made.root_pem), made, *collateral_of(made), at);
}

std::string cause_of(const Verdict& verdict) {
  const auto* cause = verdict.root_cause();
  return cause == nullptr ? "" : std::string{attestation::info(cause->check).id};
}

std::string value_of(const Verdict& verdict, std::string_view name) {
  const auto* claim = verdict.claim(name);
  return claim == nullptr ? "" : claim->value;
}

TEST(ForgedSnpReports, GoodOnesOfEveryKindAreAccepted) {
  for (const SnpKind& kind : all_snp_kinds()) {
    const SnpCase made = make(kind);
    const Verdict verdict = judge(made);
    EXPECT_EQ(verdict.outcome, Outcome::accepted) << to_text(kind) << ": " << to_text_report(verdict, false);
    EXPECT_EQ(verdict.platform, attestation::Platform::snp);
    EXPECT_FALSE(verdict.debug);
    EXPECT_EQ(value_of(verdict, "product"), to_text(kind.product));
    EXPECT_EQ(value_of(verdict, "signing_key"), kind.vlek ? "VLEK" : "VCEK");
    EXPECT_EQ(value_of(verdict, "report_version"), std::to_string(kind.version));
    EXPECT_EQ(value_of(verdict, "measurement"), base::hex(base::ByteView{made.report}.subspan(0x90, 48)));
    EXPECT_EQ(verdict.report_data, base::to_bytes(base::ByteView{made.report}.subspan(0x50, 64)));
    // The components come out as they went in, in the layout of the product.
    EXPECT_EQ(value_of(verdict, "tcb_boot_loader"), "10");
    EXPECT_EQ(value_of(verdict, "tcb_tee"), "3");
    EXPECT_EQ(value_of(verdict, "tcb_snp"), "24");
    EXPECT_EQ(value_of(verdict, "tcb_microcode"), "219");
    EXPECT_EQ(value_of(verdict, "tcb_fmc"), kind.product == SnpProduct::turin ? "2" : "");
    EXPECT_EQ(verdict.valid_until, kAt + 30 * kDay);  // the list ends first
  }
}

TEST(ForgedSnpReports, EveryFaultIsNamedByItsCheck) {
  for (const SnpKind& kind : all_snp_kinds()) {
    for (const SnpFaultInfo& fault : snp_faults()) {
      if (!applies(fault.fault, kind)) continue;
      const Verdict verdict = judge(make(kind, fault.fault));
      EXPECT_EQ(verdict.outcome, fault.cause.empty() ? Outcome::accepted : Outcome::refused)
          << to_text(kind) << " " << fault.name;
      EXPECT_EQ(cause_of(verdict), fault.cause) << to_text(kind) << " " << fault.name;
      if (verdict.evidence != Genuineness::genuine) {
        EXPECT_FALSE(verdict.valid_until) << fault.name;
      }
    }
  }
}

TEST(ForgedSnpReports, TheSameSeedGivesTheSameBytes) {
  const SnpKind kind{SnpProduct::turin, 5, false};
  const SnpPki again = *SnpPki::make(base::as_bytes("snp test"), kind.product);
  const SnpCase one = make(kind);
  const SnpCase two = *make_snp_case(again, {.version = 5, .at = kAt});
  EXPECT_EQ(one.report, two.report);
  EXPECT_EQ(one.vek, two.vek);
  EXPECT_EQ(one.chain, two.chain);
  EXPECT_EQ(one.crl, two.crl);
  const SnpPki other = *SnpPki::make(base::as_bytes("another"), kind.product);
  EXPECT_NE(make_snp_case(other, {.version = 5, .at = kAt})->root_pem, one.root_pem);
  EXPECT_FALSE(SnpPki::make({}, kind.product));
}

TEST(ForgedSnpReports, EveryChipHasItsOwnKeyUnderTheSameCas) {
  const SnpPki pki = *SnpPki::make(base::as_bytes("snp test"), SnpProduct::milan);
  const SnpCase first = *make_snp_case(pki, {.at = kAt});
  const SnpCase second = *make_snp_case(pki, {.at = kAt, .chip = 1});
  EXPECT_EQ(first.chain, second.chain);
  EXPECT_NE(first.vek, second.vek);
  EXPECT_EQ(judge(second).outcome, Outcome::accepted);
  SnpCase mixed = second;
  mixed.vek = first.vek;
  EXPECT_EQ(judge(mixed).outcome, Outcome::refused);
}

TEST(ForgedSnpReports, NoneIsAcceptedUnderAmdsRoots) {
  for (const SnpKind& kind : all_snp_kinds()) {
    const SnpCase made = make(kind);
    const attestation::Verifier verifier{attestation::TrustAnchors::production()};
    const Verdict verdict = judge(verifier, made, *collateral_of(made));
    EXPECT_EQ(verdict.outcome, Outcome::refused);
    EXPECT_EQ(cause_of(verdict), "snp.chain.root");
  }
}

TEST(SnpVerifier, WithoutARevocationListThePolicyDecides) {
  const SnpCase made = make({});
  const auto verifier = verifier_for(made.root_pem);
  const auto without = collateral_of(made, false);
  EXPECT_EQ(judge(verifier, made, *without).outcome, Outcome::accepted);
  const auto strict = attestation::Policy::parse(
      R"({"format":1,"name":"strict snp","platforms":["snp"],"require":{"revocation":true}})");
  ASSERT_TRUE(strict) << strict.error().what;
  const Verdict undecided = judge(verifier, made, *without, kAt, *strict);
  EXPECT_EQ(undecided.outcome, Outcome::undecided);
  EXPECT_EQ(cause_of(undecided), "policy.revocation");
}

TEST(SnpVerifier, CertificatesAndListsBeyondAnySenseAreNotRead) {
  const SnpCase made = make({});
  const auto verifier = verifier_for(made.root_pem);
  SnpCase padded = made;
  padded.chain.insert(0, std::string(20'000, '\n'));  // which PEM allows before its first line
  EXPECT_EQ(cause_of(judge(verifier, padded, *collateral_of(padded))), "snp.chain.format");
  padded = made;
  padded.vek.resize(9'000);
  EXPECT_EQ(cause_of(judge(verifier, padded, *collateral_of(padded))), "snp.vek.format");
  padded = made;
  padded.crl.resize(300'000);
  EXPECT_EQ(cause_of(judge(verifier, padded, *collateral_of(padded))), "snp.crl.format");
}

TEST(SnpVerifier, AStrictPolicyNamesMigrationAndPrivilegeLevel) {
  const auto strict =
      attestation::Policy::parse(R"({"format":1,"name":"strict snp","platforms":["snp"],"migratable":false,"vmpl":[0],)"
                                 R"("require":{"revocation":true}})");
  ASSERT_TRUE(strict) << strict.error().what;
  const auto cause = [&](SnpFault fault) {
    const SnpCase made = make({}, fault);
    return cause_of(judge(verifier_for(made.root_pem), made, *collateral_of(made), kAt, *strict));
  };
  EXPECT_EQ(cause(SnpFault::none), "");
  EXPECT_EQ(cause(SnpFault::migrate), "policy.migratable");
  EXPECT_EQ(cause(SnpFault::vmpl_1), "policy.vmpl");
}

TEST(SnpVerifier, MissingCertificatesLeaveItUndecided) {
  const SnpCase made = make({});
  const auto verifier = verifier_for(made.root_pem);
  const auto chain_only =
      attestation::Collateral::make({{.kind = CollateralKind::amd_chain, .bytes = base::to_bytes(made.chain)}});
  EXPECT_EQ(cause_of(judge(verifier, made, *chain_only)), "snp.vek.present");
  const auto vek_only = attestation::Collateral::make({{.kind = CollateralKind::vek, .bytes = made.vek}});
  const Verdict undecided = judge(verifier, made, *vek_only);
  EXPECT_EQ(undecided.outcome, Outcome::undecided);
  EXPECT_EQ(cause_of(undecided), "snp.chain.present");
}

TEST(SnpVerifier, ValidityIsExactToTheSecond) {
  const SnpCase made = make({});
  EXPECT_EQ(judge(made, kAt + 30 * kDay).outcome, Outcome::accepted);
  EXPECT_EQ(judge(made, kAt + 30 * kDay + 1).outcome, Outcome::refused);
  EXPECT_EQ(judge(made, kAt - kDay).outcome, Outcome::accepted);
  EXPECT_EQ(cause_of(judge(made, kAt - kDay - 1)), "snp.crl.validity");
}

// Root and intermediate of another product are genuine there and nothing here (go-sev-guest#185).
TEST(SnpVerifier, AnotherProductsChainVouchesForNothing) {
  SnpCase made = make({SnpProduct::milan, 3, false});
  made.chain = make({SnpProduct::genoa, 3, false}).chain;
  const SnpCase genoa = make({SnpProduct::genoa, 3, false});
  const Verdict verdict = judge(verifier_for(genoa.root_pem), made, *collateral_of(made));
  EXPECT_EQ(verdict.outcome, Outcome::refused);
  EXPECT_EQ(cause_of(verdict), "snp.chain.names");
}

TEST(SnpVerifier, AWarmVerdictIsTheColdOneByteForByte) {
  for (const SnpFault fault :
       {SnpFault::none, SnpFault::debug, SnpFault::crl_revokes, SnpFault::hwid, SnpFault::tcb_snp,
        SnpFault::vek_expired, SnpFault::ask_changed, SnpFault::vek_changed}) {
    const SnpCase made = make({}, fault);
    const auto collateral = collateral_of(made);
    const auto verifier = verifier_for(made.root_pem);
    const std::string cold = to_json(judge(verifier, made, *collateral));
    EXPECT_EQ(to_json(judge(verifier, made, *collateral)), cold);
    EXPECT_EQ(to_json(judge(made)), cold);
  }
}

TEST(SnpVerifier, AWarmCacheHidesNothing) {
  const SnpCase good = make({});
  const auto verifier = verifier_for(good.root_pem);
  const auto warm = [&] { return judge(verifier, good, *collateral_of(good)).outcome; };
  ASSERT_EQ(warm(), Outcome::accepted);
  for (const SnpFault fault : {SnpFault::hwid, SnpFault::vek_changed, SnpFault::tcb_snp, SnpFault::vek_expired}) {
    SnpCase replaced = good;  // the same report and chain, another VCEK
    replaced.vek = make({}, fault).vek;
    EXPECT_EQ(cause_of(judge(verifier, replaced, *collateral_of(replaced))), cause_of(judge(make({}, fault))));
  }
  SnpCase revoked = good;
  revoked.crl = make({}, SnpFault::crl_revokes).crl;
  EXPECT_EQ(cause_of(judge(verifier, revoked, *collateral_of(revoked))), "snp.crl.revoked");
  SnpCase changed_chain = good;
  changed_chain.chain = make({}, SnpFault::ask_changed).chain;
  EXPECT_EQ(cause_of(judge(verifier, changed_chain, *collateral_of(changed_chain))), "snp.chain.signature");
  EXPECT_EQ(cause_of(judge(verifier, good, *collateral_of(good), kAt + 31 * kDay)), "snp.crl.validity");
  EXPECT_EQ(cause_of(judge(verifier, good, *collateral_of(good), base::from_civil(2050, 1, 1, 0, 0, 0))),
            "snp.chain.validity");
  EXPECT_EQ(warm(), Outcome::accepted);
}

TEST(SnpVerifier, NoChangedByteOfASignedReportIsAccepted) {
  const SnpCase made = make({SnpProduct::genoa, 5, false});
  const auto verifier = verifier_for(made.root_pem);
  const auto collateral = collateral_of(made);
  for (std::size_t at = 0; at < made.report.size(); at += 13) {
    SnpCase changed = made;
    changed.report[at] ^= 0x40;
    EXPECT_EQ(judge(verifier, changed, *collateral).outcome, Outcome::refused) << at;
  }
}

}  // namespace
}  // namespace attestry::forge
