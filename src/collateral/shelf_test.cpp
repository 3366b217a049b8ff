#include "collateral/shelf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/encoding.h"

namespace attestry::collateral {
namespace {

using attestation::CollateralItem;
using attestation::CollateralKind;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

ShelfItem item(const attestation::Artefact& artefact, std::string_view text) {
  ShelfItem out{.source = "https://vendor.test", .fetched_at = base::UtcTime{1'800'000'000}, .documents = {}};
  for (const CollateralKind kind : documents_of(artefact)) {
    out.documents.push_back(
        {.kind = kind, .bytes = base::to_bytes(std::string{to_text(kind)} + " " + std::string{text})});
  }
  return out;
}

const attestation::VcekOf kVcek{.product = attestation::snp::Product::milan, .hwid = base::Bytes(64, 7), .tcb = {}};
const attestation::AmdChainOf kChain{attestation::snp::Product::milan, false};

Shelf some() {
  Shelf shelf{.realm = base::Realm::simulated,
              .created = base::UtcTime{1'800'000'000},
              .origin = "attestry.test/1",
              .items = {}};
  for (const attestation::Artefact& artefact :
       {attestation::Artefact{attestation::TcbInfoOf{.tdx = true, .fmspc = {1, 2, 3}}},
        attestation::Artefact{attestation::RootCrlOf{}}, attestation::Artefact{kVcek}, attestation::Artefact{kChain},
        attestation::Artefact{attestation::JwksOf{"https://keys.test"}}}) {
    shelf.items.emplace(artefact, item(artefact, "of it"));
  }
  return shelf;
}

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  const auto at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return text.replace(at, what.size(), by);
}

TEST(ShelfTest, IsReadBackAsItWasWritten) {
  const std::string json = some().to_json();
  const auto read = Shelf::parse(json);
  ASSERT_TRUE(read.ok()) << read.error().text();
  EXPECT_EQ(read->to_json(), json);
  EXPECT_EQ(read->realm, base::Realm::simulated);
  EXPECT_EQ(read->origin, "attestry.test/1");
  EXPECT_EQ(read->items.size(), 5u);
  EXPECT_THAT(read->issuers(), ElementsAre("https://keys.test"));
}

TEST(ShelfTest, RefusesWhatIsNotExactlyThat) {
  const std::string json = some().to_json();
  const std::string digest = json.substr(json.find("\"sha256\":\"") + 10, 64);
  for (const auto& wrong :
       {std::string{}, std::string{"[]"}, replaced(json, "\"v\":1", "\"v\":2"),
        replaced(json, "\"v\":1", "\"v\":1,\"w\":1"), replaced(json, "simulated", "other"),
        replaced(json, digest, std::string(64, '0')), replaced(json, "tcb_info/tdx/010203000000", "tcb_info/tdx/0102"),
        replaced(json, "tcb_info/tdx/010203000000", "root_ca_crl/intel"),
        replaced(json, "\"kind\":\"tcb_info\"", "\"kind\":\"pck_crl\""),
        replaced(json, "\"created\":\"2027", "\"created\":\"27"),
        replaced(json, "\"source\":\"https://vendor.test\",", "")}) {
    EXPECT_FALSE(Shelf::parse(wrong).ok()) << wrong.substr(0, 200);
  }
  const auto twice = some().to_json();
  const auto begin = twice.find("{\"artefact\"");
  const auto end = twice.find("},{\"artefact\"");
  const auto again = Shelf::parse(twice.substr(0, begin) + twice.substr(begin, end + 2 - begin) + twice.substr(begin));
  ASSERT_FALSE(again.ok());
  EXPECT_THAT(again.error().text(), HasSubstr("twice"));
}

TEST(ShelfTest, PutsSignersBeforeWhatTheySigned) {
  const Shelf shelf = some();
  const auto order = in_order_of_trust(shelf);
  const auto place = [&](const attestation::Artefact& a) { return std::ranges::find(order, a) - order.begin(); };
  EXPECT_LT(place(kChain), place(kVcek));
  EXPECT_LT(place(attestation::TcbInfoOf{.tdx = true, .fmspc = {1, 2, 3}}), place(attestation::RootCrlOf{}));
  const auto kinds = [&](const attestation::Artefact& a) {
    std::vector<CollateralKind> out;
    for (const auto& document : shelf.with_signer(a)) out.push_back(document.kind);
    return out;
  };
  EXPECT_THAT(kinds(kVcek), ElementsAre(CollateralKind::vek, CollateralKind::amd_chain));
  EXPECT_THAT(kinds(attestation::RootCrlOf{}),
              ElementsAre(CollateralKind::root_ca_crl, CollateralKind::tcb_info_chain));
  EXPECT_THAT(kinds(attestation::QeIdentityOf{}), ElementsAre());
}

TEST(ShelfTest, NamesWhatIsMissingForEvidence) {
  // A token of an issuer whose keys are here, and of one whose are not.
  const auto token = [](const std::string& issuer) {
    const std::string header = base::base64url(base::as_bytes(R"({"alg":"RS256","kid":"k","typ":"JWT"})"));
    const std::string claims = base::base64url(base::as_bytes("{\"iss\":\"" + issuer + "\"}"));
    return attestation::Evidence{attestation::EvidenceFormat::maa_token,
                                 base::to_bytes(header + "." + claims + "." + base::base64url(base::Bytes(256, 1)))};
  };
  const Shelf shelf = some();
  const std::vector<std::string> issuers{"https://keys.test", "https://others.test"};
  EXPECT_NE(shelf.collateral_for(token("https://keys.test"), issuers)->find(CollateralKind::jwks), nullptr);
  const auto without = shelf.collateral_for(token("https://others.test"), issuers);
  EXPECT_TRUE(without->items().empty());
  ASSERT_EQ(without->problems().size(), 1u);
  EXPECT_TRUE(without->problems().front().missing);
  EXPECT_THAT(without->problems().front().what, HasSubstr("jwks/https://others.test"));
}

}  // namespace
}  // namespace attestry::collateral
