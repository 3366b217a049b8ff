// Configuration templates of the registry: text with references to other content by its SHA-256.
//   __CONFIG_REF_<64 hex digits>   another configuration, which may have references itself
//   __SECRET_REF_<64 hex digits>   a secret that is stored encrypted for the app's key
// docs/reference/configuration-templates.md has the rules of both modes. Content is inserted as it is: no `$` and no
// backslash of it means anything, and references inside a secret stay text.
#pragma once
#include <compare>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/secret.h"

namespace attestry::provision {

enum class ReferenceType : std::uint8_t { config, secret };
std::string_view to_text(ReferenceType type) noexcept;  ///< "config", "secret"

/// Upper-case and lower-case digits name the same content.
struct RegistryReference {
  ReferenceType type = ReferenceType::config;
  base::Digest32 id{};
  auto operator<=>(const RegistryReference&) const = default;
};
/// As it is written in templates, with lower-case digits.
std::string to_text(const RegistryReference& reference);

enum class TemplateMode : std::uint8_t {
  text,  ///< the seed's dialect: any text; quotes that touch a reference go with it
  json,  ///< the template is JSON; references stand in its strings, and the result is JSON
};

/// What a template may cause. A template is its app's own, the work is the server's.
struct TemplateLimits {
  std::size_t depth = 16;          ///< configurations within configurations
  std::size_t references = 256;    ///< different ones
  std::size_t insertions = 4096;   ///< of all references, each time anew
  std::size_t fetched = 4u << 20;  ///< bytes of all content together
  std::size_t output = 1u << 20;   ///< bytes of the result
};

struct TemplateOptions {
  TemplateMode mode = TemplateMode::text;
  /// Of text mode: leave references inside included configurations as they are, which is what the seed's server does.
  /// JSON mode never leaves one.
  bool keep_nested = false;
  TemplateLimits limits{};
};

/// Where content comes from.
struct TemplateSources {
  /// The content of all references at once, one result for each, in order; it may fetch them in parallel. Called once
  /// per level of nesting, and for each reference once. The source has checked that content hashes to its id.
  std::function<std::vector<base::Result<base::Bytes>>(std::span<const RegistryReference>)> fetch_many;
  /// Decrypts what was fetched for a secret. Called once per secret.
  std::function<base::Result<crypto::Secret>(base::ByteView)> open_secret;
};

enum class InsertedAs : std::uint8_t {
  text,            ///< as it is, nothing else was touched
  quotes_removed,  ///< as it is, in the place of a quoted reference
  json_value,      ///< the string with the reference became the content's JSON value
  json_string,     ///< the string became the content as one JSON string
  inside_string,   ///< as text within a longer string
  left,            ///< not at all: a nested reference that keep_nested left
};
std::string_view to_text(InsertedAs how) noexcept;  ///< for people

/// One reference that was resolved, in the order of the result. Never content.
struct Insertion {
  RegistryReference reference;
  std::size_t depth = 0;  ///< 0: stands in the template itself
  std::string place;      ///< in its document: "line 3, column 8", or a JSON pointer
  std::size_t size = 0;   ///< stored bytes; of a secret those of its ciphertext
  InsertedAs how = InsertedAs::text;
};

struct RenderedTemplate {
  crypto::Secret text;
  std::vector<Insertion> insertions;
  std::size_t rounds = 0;  ///< calls of fetch_many
};

/// Errors name the reference and never content. `failed to fetch config <id>: …`, `failed to fetch secret <id>: …` and
/// `failed to decrypt secret <id>: …` keep the code of the source's error. malformed: not JSON in JSON mode, a
/// reference that is no whole one, a cycle (by its chain), an encrypted secret in the place of a configuration, one id
/// as both types. too_large: a limit.
base::Result<RenderedTemplate> render_registry_template(std::string_view text, const TemplateSources& sources,
                                                        const TemplateOptions& options = {});

/// The references of a text, each once, in order.
std::vector<RegistryReference> registry_references(std::string_view text);

}  // namespace attestry::provision
