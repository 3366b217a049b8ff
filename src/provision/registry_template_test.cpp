#include "provision/registry_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "base/encoding.h"
#include "base/json.h"
#include "crypto/hash.h"

namespace attestry::provision {
namespace {

using base::Bytes;
using base::Code;
using base::Digest32;
using base::Error;
using base::Result;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr std::string_view kSealed = "sealed:";

/// A store whose secrets are "sealed:" and the plaintext.
class Store {
 public:
  std::string config(std::string_view content) { return keep(ReferenceType::config, content); }
  std::string secret(std::string_view plaintext) {
    return keep(ReferenceType::secret, std::string{kSealed} + std::string{plaintext});
  }
  /// Content under an id of its own choosing, which a store that checks hashes would not give.
  void forge(char digit, std::string_view content) {
    contents_[{ReferenceType::config, fake(digit)}] = base::to_bytes(content);
  }
  static Digest32 fake(char digit) {
    Digest32 id{};
    id.fill(static_cast<std::uint8_t>((digit - '0') * 0x11));
    return id;
  }
  static std::string fake_config(char digit) { return to_text({ReferenceType::config, fake(digit)}); }

  Result<RenderedTemplate> render(std::string_view text, const TemplateOptions& options = {}) {
    asked_.clear();
    const TemplateSources sources{.fetch_many = [this](auto wanted) { return fetch(wanted); }, .open_secret = open};
    return render_registry_template(text, sources, options);
  }
  std::string text(std::string_view document) { return shown(render(document)); }
  std::string json(std::string_view document) { return shown(render(document, {.mode = TemplateMode::json})); }
  Error error(std::string_view document, TemplateOptions options = {}) {
    auto done = render(document, options);
    return done ? Error{Code::internal, "it was rendered", {}, {}} : std::move(done).error();
  }
  /// The references of each call of fetch_many.
  const std::vector<std::vector<RegistryReference>>& asked() const { return asked_; }

 private:
  static std::string shown(const Result<RenderedTemplate>& done) {
    return done ? std::string{base::as_text(done->text.reveal())} : "error: " + done.error().text();
  }
  std::string keep(ReferenceType type, std::string_view content) {
    const RegistryReference reference{type, crypto::sha256(base::as_bytes(content))};
    contents_[reference] = base::to_bytes(content);
    return to_text(reference);
  }
  std::vector<Result<Bytes>> fetch(std::span<const RegistryReference> wanted) {
    asked_.emplace_back(wanted.begin(), wanted.end());
    std::vector<Result<Bytes>> out;
    for (const auto& reference : wanted) {
      const auto at = contents_.find(reference);
      if (at == contents_.end()) {
        out.emplace_back(Error{Code::not_found, "content not found"});
      } else {
        out.emplace_back(at->second);
      }
    }
    return out;
  }
  static Result<crypto::Secret> open(base::ByteView blob) {
    const std::string_view text = base::as_text(blob);
    if (!text.starts_with(kSealed)) return Error{Code::crypto, "encrypted data has invalid format"};
    return crypto::Secret::copy_of(blob.subspan(kSealed.size()));
  }

  std::map<RegistryReference, Bytes> contents_;
  std::vector<std::vector<RegistryReference>> asked_;
};

std::string id_of(const std::string& reference) { return reference.substr(reference.size() - 64); }

TEST(RegistryReferences, AreFoundInAnyText) {
  const std::string hex = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";
  const auto found = registry_references("x__CONFIG_REF_" + hex + "__SECRET_REF_" + hex + "\n__CONFIG_REF_" + hex);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(to_text(found[0]), "__CONFIG_REF_00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff");
  EXPECT_EQ(found[1].type, ReferenceType::secret);
  EXPECT_EQ(registry_references("___CONFIG_REF_" + hex).size(), 1u);
  EXPECT_EQ(registry_references("__CONFIG_REF___CONFIG_REF_" + hex).size(), 1u);
  EXPECT_EQ(registry_references("__CONFIG_REF_" + hex + "0").size(), 1u);
  EXPECT_THAT(registry_references("__CONFIG_REF_" + hex.substr(1)), IsEmpty());
  EXPECT_THAT(registry_references("__config_ref_" + hex), IsEmpty());
  EXPECT_THAT(registry_references("__CONFIG_REF_g" + hex.substr(1)), IsEmpty());
  EXPECT_THAT(registry_references(""), IsEmpty());
}

TEST(RegistryTemplateText, TheWorkedExampleOfTheFormat) {
  Store store;
  const std::string text = R"({"a":")" + store.config(R"({"x":1})") + R"(","b":")" + store.secret(R"("p$1w")") + "\"}";
  EXPECT_EQ(store.text(text), R"({"a":{"x":1},"b":"p$1w"})");
  EXPECT_EQ(store.json(text), R"({"a":{"x":1},"b":"p$1w"})");
}

TEST(RegistryTemplateText, QuotesThatTouchAReferenceGoWithIt) {
  Store store;
  const std::string ref = store.secret("S");
  EXPECT_EQ(store.text("\"" + ref + "\""), "S");
  EXPECT_EQ(store.text("\"\"" + ref + "\"\"\""), "S");
  EXPECT_EQ(store.text("\"prefix " + ref + "\""), "\"prefix S");
  EXPECT_EQ(store.text("k = " + ref + "\n"), "k = S\n");
  EXPECT_EQ(store.text("'" + ref + "'"), "'S'");
  EXPECT_EQ(store.text(ref + "\"" + ref), "SS");
}

TEST(RegistryTemplateText, ContentIsInsertedLiterally) {
  Store store;
  for (const std::string_view value : {"$$ $1 $name ${0} $0", "a\"b", "line\nline", "\\1\\n", "", "\xff\x00\x01"}) {
    EXPECT_EQ(store.text("[" + store.secret(value) + "]"), "[" + std::string{value} + "]");
    EXPECT_EQ(store.text("[" + store.config(value) + "]"), "[" + std::string{value} + "]");
  }
}

TEST(RegistryTemplateText, SecretsWithinConfigurationsAndConfigurationsWithinThem) {
  Store store;
  const std::string inner = store.config("i=" + store.secret("pw"));
  const std::string outer = store.config("o{" + inner + "}");
  EXPECT_EQ(store.text("t:" + outer + ":" + inner), "t:o{i=pw}:i=pw");
  EXPECT_EQ(store.asked().size(), 2u);  // the template's two at once, then the secret

  const auto kept = store.render("t:" + outer, {.keep_nested = true});
  ASSERT_TRUE(kept.ok());
  EXPECT_EQ(base::as_text(kept->text.reveal()), "t:o{" + inner + "}");
  ASSERT_EQ(kept->insertions.size(), 2u);
  EXPECT_EQ(kept->insertions[1].how, InsertedAs::left);
  EXPECT_EQ(kept->rounds, 1u);
}

TEST(RegistryTemplateText, ReferencesInsideSecretsStayText) {
  Store store;
  const std::string ref = store.secret("other");
  EXPECT_EQ(store.text(store.secret("see " + ref) + ref), "see " + ref + "other");
  EXPECT_EQ(store.json("[\"" + store.secret("see " + ref) + "\"]"), "[\"see " + ref + "\"]");
}

TEST(RegistryTemplateText, EachReferenceIsFetchedOnceInWhateverCase) {
  Store store;
  const std::string ref = store.config("C");
  std::string upper = id_of(ref);
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  EXPECT_EQ(store.text(ref + "," + ref + ",__CONFIG_REF_" + upper), "C,C,C");
  ASSERT_EQ(store.asked().size(), 1u);
  EXPECT_EQ(store.asked()[0].size(), 1u);
}

TEST(RegistryTemplateText, WhatIsNoWholeReferenceStays) {
  Store store;
  const std::string ref = store.config("C");
  EXPECT_EQ(store.text("__CONFIG_REF_12 __SECRET_REF_"), "__CONFIG_REF_12 __SECRET_REF_");
  EXPECT_EQ(store.text(ref + "0"), "C0");
  EXPECT_EQ(store.text(ref.substr(0, ref.size() - 1)), ref.substr(0, ref.size() - 1));
  // Not put together over a seam either.
  const std::string head = store.config("__SECRET_");
  EXPECT_EQ(store.text(head + "REF_" + id_of(ref)), "__SECRET_REF_" + id_of(ref));
}

TEST(RegistryTemplate, ErrorsNameTheReferenceAndNoContent) {
  Store store;
  const std::string hex(64, 'a');
  const auto missing = store.error("__CONFIG_REF_" + hex);
  EXPECT_EQ(missing.what, "failed to fetch config " + hex + ": content not found");
  EXPECT_EQ(missing.code, Code::not_found);
  EXPECT_EQ(store.error("__SECRET_REF_" + hex).what, "failed to fetch secret " + hex + ": content not found");
}

TEST(RegistryTemplate, TypesAreKeptApart) {
  Store store;
  const std::string id(64, '1');
  const auto both = store.error("__CONFIG_REF_" + id + " __SECRET_REF_" + id);
  EXPECT_EQ(both.code, Code::malformed);
  EXPECT_THAT(both.what, HasSubstr("as a config and as a secret"));

  std::string blob("\x00\x41\x04", 3);
  blob.resize(2 + 65 + 12 + 16, 'x');
  for (const std::string& sealed : {blob, std::string{"ATE2 and more"}}) {
    const auto swapped = store.error(store.config(sealed));
    EXPECT_THAT(swapped.what, HasSubstr("is an encrypted secret"));
    EXPECT_THAT(swapped.remedy, HasSubstr("__SECRET_REF_"));
  }
}

TEST(RegistryTemplate, ClearTextInThePlaceOfASecretIsRefused) {
  const TemplateSources sources{.fetch_many =
                                    [](auto wanted) {
                                      return std::vector<Result<Bytes>>(
                                          wanted.size(), Result<Bytes>{base::to_bytes("{\"canary\":1}")});
                                    },
                                .open_secret = [](base::ByteView) -> Result<crypto::Secret> {
                                  return Error{Code::crypto, "encrypted data has invalid format"};
                                }};
  const std::string id(64, '7');
  const auto refused = render_registry_template("__SECRET_REF_" + id, sources);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().what, "failed to decrypt secret " + id + ": encrypted data has invalid format");
  EXPECT_THAT(refused.error().remedy, HasSubstr("__CONFIG_REF_"));
  EXPECT_THAT(refused.error().text(), Not(HasSubstr("canary")));
}

TEST(RegistryTemplate, ACycleIsNamedByItsChain) {
  for (const TemplateMode mode : {TemplateMode::text, TemplateMode::json}) {
    Store store;
    store.forge('1', "[\"" + Store::fake_config('2') + "\"]");
    store.forge('2', "[\"" + Store::fake_config('3') + "\"]");
    store.forge('3', "[\"" + Store::fake_config('2') + "\"]");
    const auto error = store.error("[\"" + Store::fake_config('1') + "\"]", {.mode = mode});
    EXPECT_THAT(error.what, HasSubstr("cycle"));
    EXPECT_EQ(error.found, std::string(64, '2') + " -> " + std::string(64, '3') + " -> " + std::string(64, '2'));
    store.forge('4', Store::fake_config('4'));
    EXPECT_EQ(store.error("\"" + Store::fake_config('4') + "\"", {.mode = mode}).found,
              std::string(64, '4') + " -> " + std::string(64, '4'));
  }
}

TEST(RegistryTemplate, DepthIsBounded) {
  for (const TemplateMode mode : {TemplateMode::text, TemplateMode::json}) {
    Store store;
    std::string ref = store.config("\"end\"");
    for (int i = 1; i < 16; ++i) ref = store.config("\"" + ref + "\"");
    const TemplateOptions options{.mode = mode};
    const auto deepest = store.render("\"" + ref + "\"", options);
    ASSERT_TRUE(deepest.ok()) << deepest.error().text();
    EXPECT_EQ(base::as_text(deepest->text.reveal()), "\"end\"");
    EXPECT_EQ(deepest->rounds, 16u);
    ref = store.config("\"" + ref + "\"");
    const auto over = store.error("\"" + ref + "\"", options);
    EXPECT_EQ(over.code, Code::too_large);
    EXPECT_THAT(over.what, HasSubstr("too deep"));
  }
}

TEST(RegistryTemplate, ExponentialContentIsStopped) {
  for (const TemplateMode mode : {TemplateMode::text, TemplateMode::json}) {
    for (const std::string_view laugh : {"\"haha\"", "\"\""}) {
      Store store;
      std::string ref = store.config(laugh);
      for (int level = 0; level < 12; ++level) {
        std::string ten = "[";
        for (int i = 0; i < 10; ++i) ten.append(i == 0 ? "\"" : ",\"").append(ref).append("\"");
        ref = store.config(ten + "]");
      }
      const auto error = store.error("\"" + ref + "\"", {.mode = mode});
      EXPECT_EQ(error.code, Code::too_large);
    }
  }
}

TEST(RegistryTemplate, EveryLimitIsItsOwn) {
  Store store;
  const std::string large = store.config(std::string(600'000, 'x'));
  EXPECT_THAT(store.error(large + large).what, HasSubstr("rendered configuration is too large"));
  EXPECT_EQ(store.text(large).size(), 600'000u);
  EXPECT_THAT(store.error(std::string((1u << 20) + 1, 'x')).what, HasSubstr("template is too large"));
  std::string many;
  for (int i = 0; i < 257; ++i) many += store.config(std::to_string(i));
  EXPECT_THAT(store.error(many).what, HasSubstr("too many references"));
  EXPECT_THAT(store.asked(), IsEmpty());
  TemplateOptions little;
  little.limits.fetched = 599'999;
  EXPECT_THAT(store.error(large, little).what, HasSubstr("content that the template refers to is too large"));
  std::string often;
  for (int i = 0; i < 4097; ++i) often += store.config("") + ",";
  EXPECT_THAT(store.error(often).what, HasSubstr("inserts too often"));
}

TEST(RegistryTemplate, ASourceThatForgetsAnAnswerIsADefect) {
  const TemplateSources sources{.fetch_many = [](auto) { return std::vector<Result<Bytes>>{}; }, .open_secret = {}};
  const auto done = render_registry_template("__CONFIG_REF_" + std::string(64, '0'), sources);
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code, Code::internal);
}

TEST(RegistryTemplateJson, AWholeStringBecomesTheValue) {
  Store store;
  const auto in = [](const std::string& ref) { return "{ \"k\" : \"" + ref + "\" }\n"; };
  EXPECT_EQ(store.json(in(store.secret("{\"a\": [1]} "))), "{ \"k\" : {\"a\": [1]} }\n");
  EXPECT_EQ(store.json(in(store.config(" [1,2]\n"))), "{ \"k\" : [1,2] }\n");
  EXPECT_EQ(store.json(in(store.config("8080"))), "{ \"k\" : 8080 }\n");
  EXPECT_EQ(store.json(in(store.config("-----BEGIN X-----\n"))), "{ \"k\" : \"-----BEGIN X-----\\n\" }\n");
  EXPECT_EQ(store.json(in(store.config("[section]\nk=v"))), "{ \"k\" : \"[section]\\nk=v\" }\n");
}

TEST(RegistryTemplateJson, ASecretThatIsNoDocumentIsAString) {
  Store store;
  const std::vector<std::pair<std::string, std::string>> kCases{{"plain", "\"plain\""},
                                                                {"12345", "\"12345\""},
                                                                {"true", "\"true\""},
                                                                {"a\"b\\c", R"("a\"b\\c")"},
                                                                {"l\nt\t\x01", R"("l\nt\t\u0001")"},
                                                                {"{not json", "\"{not json\""},
                                                                {"$1 $$", "\"$1 $$\""},
                                                                {"", "\"\""}};
  for (const auto& [secret, expected] : kCases) {
    const std::string got = store.json("[\"" + store.secret(secret) + "\"]");
    EXPECT_EQ(got, "[" + expected + "]");
    const auto parsed = base::JsonDocument::parse(got);
    ASSERT_TRUE(parsed.ok());
    EXPECT_EQ((*parsed)->root().first()->string("s").value(), secret);
  }
}

TEST(RegistryTemplateJson, WithinALongerStringContentIsEscapedText) {
  Store store;
  const std::string url =
      "[\"pg://u:" + store.secret("p\"w") + "@" + store.config("\"db\\u0041\"") + ":" + store.config("5432") + "\"]";
  EXPECT_EQ(store.json(url), R"(["pg://u:p\"w@dbA:5432"])");
  EXPECT_EQ(store.json("[\"x" + store.secret("\"q\"") + "\"]"), R"(["xq"])");
  const std::string host = store.config("h-" + store.secret("s"));
  EXPECT_EQ(store.json("[\"x" + host + "\"]"), R"(["xh-s"])");
  EXPECT_THAT(store.json("[\"x" + store.config("{}") + "\"]"), HasSubstr("cannot stand inside a longer string"));
}

TEST(RegistryTemplateJson, ReferencesStandInValuesOnlyAndAreWhole) {
  Store store;
  const std::string ref = store.config("1");
  EXPECT_THAT(store.json("{\"" + ref + "\":1}"), HasSubstr("name of a member"));
  EXPECT_THAT(store.json("[\"" + ref + "0\"]"), HasSubstr("not whole"));
  EXPECT_THAT(store.json("{\"a\":[\"" + ref.substr(0, 70) + "\"]}"), HasSubstr("/a/0: a reference is not whole"));
  EXPECT_THAT(store.json("[" + ref + "]"), HasSubstr("template"));
  EXPECT_THAT(store.json("[\"" + store.config("{\"a\":") + "\"]"), HasSubstr("malformed: config "));
  // An escape hides nothing.
  EXPECT_EQ(store.json("[\"\\u005f" + ref.substr(1) + "\"]"), "[1]");
}

TEST(RegistryTemplateJson, WhatIsNoTextIsRefused) {
  Store store;
  EXPECT_THAT(store.json("[\"" + store.secret("\xff\xfe") + "\"]"), HasSubstr("is no text"));
  EXPECT_THAT(store.json("[\"" + store.config("\xff\xfe") + "\"]"), HasSubstr("neither JSON nor text"));
}

TEST(RegistryTemplateJson, TheResultNestsNoDeeperThanReadersTake) {
  Store store;
  const std::string ten = "[[[[[[[[[[1]]]]]]]]]]";
  std::string ref = store.config(ten);
  for (int i = 0; i < 2; ++i) ref = store.config("[[[[[[[[[[\"" + ref + "\"]]]]]]]]]]");
  const std::string deep = store.json("[[\"" + ref + "\"]]");
  EXPECT_TRUE(base::JsonDocument::parse(deep).ok()) << deep;
  EXPECT_THAT(store.json("[[[\"" + ref + "\"]]]"), HasSubstr("nests too deep"));
  EXPECT_THAT(store.json("[[[[[[[[[[[[[[[[[[[[[[[\"" + store.secret(ten) + "\"]]]]]]]]]]]]]]]]]]]]]]]"),
              HasSubstr("nests too deep"));
}

TEST(RegistryTemplateJson, InsertionsSayWhereAndHow) {
  Store store;
  const std::string secret = store.secret("pw");
  const std::string config = store.config("{\"p\":\"" + secret + "\"}");
  const auto done =
      store.render("{\"a/b\":[\"" + config + "\"],\"u\":\"x-" + secret + "\"}", {.mode = TemplateMode::json});
  ASSERT_TRUE(done.ok());
  ASSERT_EQ(done->insertions.size(), 3u);
  EXPECT_EQ(done->insertions[0].place, "/a~1b/0");
  EXPECT_EQ(done->insertions[0].how, InsertedAs::json_value);
  EXPECT_EQ(done->insertions[0].depth, 0u);
  EXPECT_EQ(done->insertions[1].place, "/p");
  EXPECT_EQ(done->insertions[1].how, InsertedAs::json_string);
  EXPECT_EQ(done->insertions[1].depth, 1u);
  EXPECT_EQ(done->insertions[1].size, kSealed.size() + 2);
  EXPECT_EQ(done->insertions[2].how, InsertedAs::inside_string);
  EXPECT_EQ(done->rounds, 1u);
}

TEST(RegistryTemplateText, InsertionsSayLineAndColumn) {
  Store store;
  const auto done = store.render("a\nbc \"" + store.secret("s") + "\"\n" + store.config("x\ny"));
  ASSERT_TRUE(done.ok());
  ASSERT_EQ(done->insertions.size(), 2u);
  EXPECT_EQ(done->insertions[0].place, "line 2, column 5");
  EXPECT_EQ(done->insertions[0].how, InsertedAs::quotes_removed);
  EXPECT_EQ(done->insertions[1].place, "line 3, column 1");
  EXPECT_EQ(done->insertions[1].how, InsertedAs::text);
}

}  // namespace
}  // namespace attestry::provision
