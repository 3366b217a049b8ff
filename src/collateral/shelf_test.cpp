#include "collateral/shelf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "base/encoding.h"
#include "collateral/testing/stand_in.h"
#include "state/testing/support.h"

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

TEST(ShelfTest, CarriesTheChainOfWhoseSignerIsNotThere) {
  const attestation::Artefact list = attestation::RootCrlOf{};
  const CollateralItem chain{.kind = CollateralKind::pck_crl_chain, .bytes = base::to_bytes("a chain")};
  Shelf shelf = some();
  shelf.items.at(list).context = {chain};
  const auto everything = [](const attestation::Artefact&) { return true; };
  EXPECT_TRUE(shelf.chosen(everything).items.at(list).context.empty()) << "TCB info has a chain";
  std::erase_if(shelf.items, [&](const auto& entry) { return entry.first != list; });
  const Shelf alone = shelf.chosen(everything);
  const auto read = Shelf::parse(alone.to_json());
  ASSERT_TRUE(read.ok()) << read.error().text();
  EXPECT_EQ(read->to_json(), alone.to_json());
  const auto documents = read->with_signer(list);
  ASSERT_EQ(documents.size(), 2u);
  EXPECT_EQ(documents.back().bytes, chain.bytes);
  for (const auto& wrong : {replaced(alone.to_json(), "pck_crl_chain", "pck_crl"),
                            replaced(alone.to_json(), R"("context":[)", R"("context":[{},)")}) {
    EXPECT_FALSE(Shelf::parse(wrong).ok()) << wrong;
  }
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
  const base::UtcTime now = shelf.created;
  EXPECT_NE(shelf.collateral_for(token("https://keys.test"), issuers, now)->find(CollateralKind::jwks), nullptr);
  const auto without = shelf.collateral_for(token("https://others.test"), issuers, now);
  EXPECT_TRUE(without->items().empty());
  ASSERT_EQ(without->problems().size(), 1u);
  EXPECT_TRUE(without->problems().front().missing);
  EXPECT_THAT(without->problems().front().what, HasSubstr("jwks/https://others.test"));

  const auto week = shelf.collateral_for(token("https://keys.test"), issuers, now + kKeySetSeconds);
  EXPECT_NE(week->find(CollateralKind::jwks), nullptr);
  const auto old = shelf.collateral_for(token("https://keys.test"), issuers, now + kKeySetSeconds + 2 * 86400);
  EXPECT_EQ(old->find(CollateralKind::jwks), nullptr) << "nobody knows whether these are still the issuer's keys";
  ASSERT_EQ(old->problems().size(), 1u);
  EXPECT_TRUE(old->problems().front().missing) << "the question stays open";
  EXPECT_THAT(old->problems().front().what, HasSubstr("9 days ago"));
}

const base::UtcTime kNoon = base::from_civil(2026, 6, 15, 12, 0, 0);

/// The forged documents of one platform of Intel's.
Shelf of_intel(const std::function<void(std::vector<CollateralItem>&)>& change = {}) {
  auto documents = read_bundle_path(testing::test_data_path("tdx/forged-v4")).items;
  if (change) change(documents);
  Shelf shelf{.realm = base::Realm::simulated, .created = kNoon, .origin = "test", .items = {}};
  EXPECT_THAT(shelf.add(documents, "test", {}, kNoon), ElementsAre());
  return shelf;
}

std::map<std::string, Imported::Outcome> outcomes(const std::vector<Imported>& list) {
  std::map<std::string, Imported::Outcome> out;
  for (const Imported& one : list) out[one.name] = one.outcome;
  return out;
}

TEST(ShelfTest, AForgedSignerHidesNoGoodOneThatIsHeld) {
  const attestation::Verifier verifier{testing::forged_anchors()};
  Shelf into;
  put(into, of_intel(), verifier, kNoon);
  ASSERT_EQ(into.items.size(), 4u);
  const Shelf before = into;
  // The list of the root is good; what should vouch for it is not.
  const Shelf forged = of_intel([](std::vector<CollateralItem>& documents) {
    for (CollateralItem& item : documents) {
      if (to_text(item.kind).ends_with("_chain")) item.bytes = base::to_bytes("no chain at all");
    }
  });
  const auto found = outcomes(put(into, forged, verifier, kNoon));
  EXPECT_EQ(found.at("tcb_info/tdx/509060200000"), Imported::Outcome::refused);
  EXPECT_EQ(found.at("root_ca_crl/intel"), Imported::Outcome::same);
  EXPECT_EQ(into.to_json(), before.to_json());
}

Shelf of_keys(const std::string& kid, base::UtcTime fetched_at) {
  Shelf shelf{.realm = base::Realm::simulated, .created = kNoon, .origin = "test", .items = {}};
  const std::vector<CollateralItem> documents{{CollateralKind::jwks, testing::key_set(kid)}};
  EXPECT_THAT(shelf.add(documents, "test", {{CollateralKind::jwks, fetched_at}}, kNoon, "https://keys.test"),
              ElementsAre());
  return shelf;
}

TEST(ShelfTest, AnOlderKeySetReplacesNoNewerOneAndALapsedOneIsRefused) {
  const attestation::Verifier verifier{testing::forged_anchors()};
  const attestation::Artefact keys = attestation::JwksOf{"https://keys.test"};
  const auto put_keys = [&](Shelf& into, const std::string& kid, base::UtcTime fetched_at) {
    return outcomes(put(into, of_keys(kid, fetched_at), verifier, kNoon)).at(to_text(keys));
  };
  Shelf into;
  EXPECT_EQ(put_keys(into, "new", kNoon + -3600), Imported::Outcome::added);
  EXPECT_EQ(put_keys(into, "old", kNoon + -7200), Imported::Outcome::older);
  EXPECT_EQ(put_keys(into, "new", kNoon + -1800), Imported::Outcome::same);
  EXPECT_EQ(into.items.at(keys).fetched_at, kNoon + -1800) << "and is that much fresher";
  EXPECT_EQ(put_keys(into, "newer", kNoon + 86400), Imported::Outcome::replaced);
  EXPECT_EQ(into.items.at(keys).fetched_at, kNoon) << "nothing was fetched in the future";
  Shelf empty;
  const auto refused = put(empty, of_keys("lapsed", kNoon + -(kKeySetSeconds + 2 * 86400)), verifier, kNoon);
  ASSERT_EQ(refused.front().outcome, Imported::Outcome::refused);
  EXPECT_THAT(refused.front().reason, HasSubstr("9 days ago"));
  EXPECT_TRUE(empty.items.empty());
}

TEST(ShelfTest, KnowsWhenAFileWasModified) {
  const state::testing::TempFolder folder;
  std::ofstream{folder.file("jwks.json")} << R"({"keys":[]})";
  std::ofstream{folder.file("vlek.der")} << "x";
  const auto then = std::chrono::sys_seconds{std::chrono::seconds{kNoon.seconds}};
  std::filesystem::last_write_time(folder.file("jwks.json"), std::chrono::file_clock::from_sys(then));
  const Bundle of_folder = read_bundle_path(folder.path());
  EXPECT_EQ(of_folder.modified.at(CollateralKind::jwks), kNoon);
  EXPECT_GT(of_folder.modified.at(CollateralKind::vek), kNoon) << "each document by its own file";
  EXPECT_EQ(read_bundle_path(folder.file("jwks.json")).modified.at(CollateralKind::jwks), kNoon);
  Bundle other = of_folder;
  other.set(CollateralKind::jwks, {});
  EXPECT_FALSE(other.modified.contains(CollateralKind::jwks));
}

TEST(ShelfTest, NamesBeginWithWholeWordsUntilTheyAreOfOneThing) {
  const attestation::Artefact chip = kVcek;
  EXPECT_TRUE(name_begins(chip, ""));
  EXPECT_TRUE(name_begins(chip, "vcek"));
  EXPECT_TRUE(name_begins(chip, "vcek/"));
  EXPECT_TRUE(name_begins(chip, "vcek/Milan"));
  EXPECT_TRUE(name_begins(chip, "vcek/Milan/0"));
  EXPECT_FALSE(name_begins(chip, "vcek/Milan/1"));
  EXPECT_FALSE(name_begins(chip, "vce"));
  EXPECT_FALSE(name_begins(chip, "vcek/Mil"));
}

}  // namespace
}  // namespace attestry::collateral
