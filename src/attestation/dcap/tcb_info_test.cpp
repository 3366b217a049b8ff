#include "attestation/dcap/tcb_info.h"

#include <gtest/gtest.h>

#include "attestation/dcap/qe_identity.h"
#include "attestation/dcap/tcb_level.h"

namespace attestry::attestation::dcap {
namespace {

std::string components(const std::vector<unsigned>& svns) {
  std::string out = "[";
  for (const unsigned svn : svns) out += (out.size() > 1 ? ",{\"svn\":" : "{\"svn\":") + std::to_string(svn) + "}";
  return out + "]";
}
std::vector<unsigned> filled(unsigned first, unsigned rest = 0) {
  std::vector<unsigned> out(16, rest);
  out[0] = first;
  return out;
}
std::string level(const std::vector<unsigned>& sgx, unsigned pcesvn, const std::vector<unsigned>& tdx,
                  std::string_view status, std::string_view date = "2024-03-13T00:00:00Z") {
  return R"({"tcb":{"sgxtcbcomponents":)" + components(sgx) + R"(,"pcesvn":)" + std::to_string(pcesvn) +
         R"(,"tdxtcbcomponents":)" + components(tdx) + R"(},"tcbDate":")" + std::string{date} + R"(","tcbStatus":")" +
         std::string{status} + R"(","advisoryIDs":["INTEL-SA-1"]})";
}
const std::string kZero96(96, '0');
std::string module_identity(std::string_view id, std::string_view levels) {
  return R"({"id":")" + std::string{id} + R"(","mrsigner":")" + kZero96 +
         R"(","attributes":"0000000000000000","attributesMask":"FFFFFFFFFFFFFFFF","tcbLevels":[)" +
         std::string{levels} + "]}";
}
std::string isv_level(unsigned svn, std::string_view status) {
  return R"({"tcb":{"isvsvn":)" + std::to_string(svn) + R"(},"tcbDate":"2023-02-15T00:00:00Z","tcbStatus":")" +
         std::string{status} + R"("})";
}
struct Document {
  std::string head = R"("id":"TDX","version":3)";
  std::string levels = level(filled(5), 11, filled(5), "UpToDate");
  std::string modules = R"("tdxModule":{"mrsigner":")" + kZero96 +
                        R"(","attributes":"0000000000000000","attributesMask":"FFFFFFFFFFFFFFFF"},)"
                        R"("tdxModuleIdentities":[)" +
                        module_identity("TDX_01", isv_level(2, "OutOfDate") + "," + isv_level(4, "UpToDate")) + "],";
  std::string text() const {
    return "{" + head +
           R"(,"issueDate":"2026-06-01T00:00:00Z","nextUpdate":"2026-07-01T00:00:00Z","fmspc":"00A06D080000",)"
           R"("pceId":"0000","tcbType":0,"tcbEvaluationDataNumber":19,)" +
           modules + R"("tcbLevels":[)" + levels + "]}";
  }
};

TEST(ParseTcbInfo, ReadsVersion3) {
  const auto info = parse_tcb_info(Document{}.text());
  ASSERT_TRUE(info.has_value()) << info.error().text();
  EXPECT_EQ(info->tee, Tee::tdx);
  EXPECT_EQ(info->evaluation_number, 19u);
  EXPECT_EQ(info->fmspc[1], 0xa0);
  EXPECT_EQ(base::to_rfc3339(info->next_update), "2026-07-01T00:00:00Z");
  ASSERT_EQ(info->levels.size(), 1u);
  EXPECT_EQ(info->levels[0].pcesvn, 11);
  EXPECT_EQ(info->levels[0].advisory_ids, std::vector<std::string>{"INTEL-SA-1"});
  ASSERT_NE(info->module_identity(1), nullptr);
  EXPECT_EQ(info->module_identity(1)->levels[0].isvsvn, 4) << "highest first, whatever the document's order";
  EXPECT_EQ(info->module_identity(3), nullptr);
}

TEST(ParseTcbInfo, ReadsVersion2AsSgx) {
  Document d;
  d.head = R"("version":2)";
  d.modules.clear();
  std::string tcb;
  for (unsigned i = 1; i <= 16; ++i) {
    tcb += R"("sgxtcbcomp)" + std::string(i < 10 ? "0" : "") + std::to_string(i) + R"(svn":)" + std::to_string(i) + ",";
  }
  d.levels = R"({"tcb":{)" + tcb + R"("pcesvn":13},"tcbDate":"2024-03-13T00:00:00Z","tcbStatus":"SWHardeningNeeded"})";
  const auto info = parse_tcb_info(d.text());
  ASSERT_TRUE(info.has_value()) << info.error().text();
  EXPECT_EQ(info->tee, Tee::sgx);
  EXPECT_EQ(info->levels[0].sgx[15], 16);
  const std::size_t at = d.levels.find("sgxtcbcomp16svn");
  d.levels.replace(at, 15, "sgxtcbcomp17svn");
  EXPECT_FALSE(parse_tcb_info(d.text()).has_value()) << "a component is missing";
}

TEST(ParseTcbInfo, SortsLevelsHighestFirst) {
  Document d;
  d.levels = level(filled(4), 11, filled(9), "OutOfDate") + "," + level(filled(5), 5, filled(1), "Revoked") + "," +
             level(filled(5), 11, filled(3), "SWHardeningNeeded") + "," + level(filled(5), 11, filled(5), "UpToDate");
  const auto info = parse_tcb_info(d.text());
  ASSERT_TRUE(info.has_value());
  EXPECT_EQ(info->levels[0].status, TcbStatus::up_to_date);
  EXPECT_EQ(info->levels[1].status, TcbStatus::sw_hardening_needed);
  EXPECT_EQ(info->levels[2].status, TcbStatus::revoked);
  EXPECT_EQ(info->levels[3].status, TcbStatus::out_of_date);
}

TEST(ParseTcbInfo, IgnoresUnknownMembersAndRefusesTheRest) {
  const auto parses = [](auto change) {
    Document d;
    change(d);
    return parse_tcb_info(d.text()).has_value();
  };
  EXPECT_TRUE(parses([](Document& d) { d.head += R"(,"new":{"x":[1]})"; }));
  EXPECT_FALSE(parses([](Document& d) { d.head = R"("id":"TDX","version":4)"; }));
  EXPECT_FALSE(parses([](Document& d) { d.head = R"("id":"SNP","version":3)"; }));
  EXPECT_FALSE(parses([](Document& d) { d.head = R"("version":3)"; }));
  EXPECT_FALSE(parses([](Document& d) { d.head = R"("id":"SGX","version":3)"; })) << "SGX with a TDX module";
  EXPECT_FALSE(parses([](Document& d) { d.head += R"(,"fmspc":"000000000000")"; })) << "a key twice";
  EXPECT_FALSE(parses([](Document& d) { d.modules.clear(); })) << "TDX without a module";
  EXPECT_FALSE(parses([](Document& d) { d.levels.clear(); }));
  EXPECT_FALSE(parses([](Document& d) { d.levels += "," + d.levels; })) << "a level twice";
  EXPECT_FALSE(parses([](Document& d) { d.levels = level(filled(5), 1, filled(5), "Fine"); }));
  EXPECT_FALSE(parses([](Document& d) { d.levels = level(filled(256), 1, filled(5), "UpToDate"); }));
  EXPECT_FALSE(parses([](Document& d) { d.levels = level(filled(5), 65536, filled(5), "UpToDate"); }));
  EXPECT_FALSE(parses([](Document& d) { d.levels = level(filled(5), 1, filled(5), "UpToDate", "2024-03-13"); }));
  for (const std::size_t size : {15u, 17u}) {
    std::vector<unsigned> wrong(size, 1);
    EXPECT_FALSE(parses([&](Document& d) { d.levels = level(wrong, 1, filled(5), "UpToDate"); })) << size;
    EXPECT_FALSE(parses([&](Document& d) { d.levels = level(filled(5), 1, wrong, "UpToDate"); })) << size;
  }
  EXPECT_FALSE(parse_tcb_info(Document{}.text() + " x").has_value());
  EXPECT_FALSE(parse_tcb_info("[]").has_value());
  EXPECT_FALSE(parse_tcb_info("").has_value());
}

TEST(ParseQeIdentity, ReadsItAndRefusesWhatIsWrong) {
  const std::string good =
      R"({"id":"TD_QE","version":2,"issueDate":"2026-06-01T00:00:00Z","nextUpdate":"2026-07-01T00:00:00Z",)"
      R"("tcbEvaluationDataNumber":19,"miscselect":"00000001","miscselectMask":"FFFFFFFF",)"
      R"("attributes":"11000000000000000000000000000000","attributesMask":"FBFFFFFFFFFFFFFF0000000000000000",)"
      R"("mrsigner":"DC9E2A7C6F948F17474E34A7FC43ED030F7C1563F1BABDDF6340C82E0E54A8C5","isvprodid":2,"tcbLevels":[)" +
      isv_level(4, "UpToDate") + "," + isv_level(2, "OutOfDate") + "]}";
  const auto identity = parse_qe_identity(good);
  ASSERT_TRUE(identity.has_value()) << identity.error().text();
  EXPECT_EQ(identity->miscselect, 1u) << "big-endian text of a number";
  EXPECT_EQ(identity->attributes_mask[0], 0xfb);
  EXPECT_EQ(find_isv_level(identity->levels, 3)->status, TcbStatus::out_of_date);
  EXPECT_EQ(find_isv_level(identity->levels, 1), nullptr);
  for (const auto& [from, to] :
       std::vector<std::pair<std::string, std::string>>{{R"("isvsvn":2)", R"("isvsvn":4)"},
                                                        {"OutOfDate", "SWHardeningNeeded"},
                                                        {"DC9E2A", "XX9E2A"},
                                                        {R"("isvprodid":2)", R"("isvprodid":-2)"},
                                                        {R"("miscselect":"00)", R"("miscselect":")"}}) {
    std::string bad = good;
    bad.replace(bad.find(from), from.size(), to);
    EXPECT_FALSE(parse_qe_identity(bad).has_value()) << to;
  }
}

// --- levels ---------------------------------------------------------------------------------------------------------

PckExtension platform(std::uint8_t first, std::uint16_t pcesvn) {
  PckExtension out;
  out.components.fill(3);
  out.components[0] = first;
  out.pcesvn = pcesvn;
  return out;
}
TeeTcbSvn tee(std::uint8_t minor, std::uint8_t major, std::uint8_t third) { return {minor, major, third}; }

TcbInfo three_levels() {
  Document d;
  d.levels = level(filled(5), 11, {5, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, "UpToDate") + "," +
             level(filled(4), 11, {3, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, "ConfigurationNeeded") + "," +
             level(filled(2), 5, filled(0), "Revoked");
  return *parse_tcb_info(d.text());
}

TEST(MatchLevel, EverySvnMustReachTheLevel) {
  const TcbInfo info = three_levels();
  const auto status = [&](const PckExtension& pck, std::optional<TeeTcbSvn> svn) -> std::optional<TcbStatus> {
    const TcbLevel* found = match_level(info, pck, svn);
    return found == nullptr ? std::nullopt : std::optional{found->status};
  };
  EXPECT_EQ(status(platform(5, 11), tee(5, 0, 2)), TcbStatus::up_to_date);
  EXPECT_EQ(status(platform(4, 12), tee(5, 0, 2)), TcbStatus::configuration_needed);
  EXPECT_EQ(status(platform(5, 10), tee(5, 0, 2)), TcbStatus::revoked) << "PCESVN";
  EXPECT_EQ(status(platform(1, 11), tee(5, 0, 2)), std::nullopt);
  EXPECT_EQ(status(platform(5, 11), std::nullopt), TcbStatus::up_to_date) << "SGX looks at no TDX component";
  EXPECT_EQ(status(platform(5, 11), tee(255, 0, 1)), TcbStatus::configuration_needed)
      << "a high component does not make up for a low one";
}

TEST(MatchLevel, ModuleWithAnIdentityIsNotComparedTwice) {
  const TcbInfo info = three_levels();
  EXPECT_EQ(match_level(info, platform(5, 11), tee(3, 0, 2))->status, TcbStatus::configuration_needed);
  EXPECT_EQ(match_level(info, platform(5, 11), tee(3, 1, 2))->status, TcbStatus::up_to_date);
}

TEST(Match, StatusNeedsPlatformModuleAndQe) {
  const TcbInfo info = three_levels();
  const IsvLevel qe{4, TcbStatus::up_to_date, {}, {}};
  const auto status = [&](TeeTcbSvn svn, const IsvLevel* level) {
    return status_of(match(info, platform(4, 11), svn), level);
  };
  EXPECT_EQ(status(tee(4, 1, 1), &qe), TcbStatus::configuration_needed);
  EXPECT_EQ(status(tee(2, 1, 1), &qe), TcbStatus::out_of_date_configuration_needed) << "module out of date";
  EXPECT_EQ(status(tee(1, 1, 1), &qe), TcbStatus::not_supported) << "module below all levels";
  EXPECT_EQ(status(tee(4, 2, 1), &qe), TcbStatus::not_supported) << "module unknown";
  EXPECT_EQ(status(tee(4, 1, 1), nullptr), TcbStatus::not_supported);
  EXPECT_EQ(status(tee(3, 0, 1), &qe), TcbStatus::configuration_needed) << "TDX 1.0 has no module identity";
}

}  // namespace
}  // namespace attestry::attestation::dcap
