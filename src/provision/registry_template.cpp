#include "provision/registry_template.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/encoding.h"
#include "base/json.h"
#include "base/utf8.h"
#include "provision/internal/reference_scan.h"
#include "provision/internal/secret_buffer.h"

namespace attestry::provision {

using base::Code;
using base::Error;
using base::JsonKind;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t kMaxJsonDepth = 32;  // what base::JsonDocument and most other readers take without being told
constexpr std::string_view kJsonSpace = " \t\r\n";

std::string name_of(const RegistryReference& reference) {
  return std::string{to_text(reference.type)} + " " + base::hex(reference.id);
}

/// Whether bytes look like a blob that is encrypted for an app: version 1 begins with the length of an uncompressed
/// point and its 04 (P-224 to P-521), version 2 with a magic (docs/formats/registry.md).
bool looks_sealed(base::ByteView bytes) {
  if (base::as_text(bytes).starts_with("ATE2")) return true;
  constexpr std::size_t kNonceAndTag = 12 + 16;
  if (bytes.size() < 3 || bytes[0] != 0 || bytes[2] != 4) return false;
  const std::size_t point = bytes[1];
  return (point == 57 || point == 65 || point == 97 || point == 133) && bytes.size() >= 2 + point + kNonceAndTag;
}

/// What was fetched for one reference.
struct Content {
  base::Bytes stored;
  crypto::Secret opened;                                  ///< of a secret
  std::optional<JsonText> json;                           ///< of a configuration in JSON mode, when it is JSON
  std::shared_ptr<const base::JsonDocument> secret_json;  ///< of a secret in JSON mode: object, array or string

  std::string_view text() const noexcept { return base::as_text(stored); }
};
using Contents = std::map<RegistryReference, Content>;

/// Fetches a template's references level by level, each once, and takes apart what came.
class Loader {
 public:
  Loader(const TemplateSources& sources, const TemplateOptions& options) : sources_(sources), options_(options) {}

  Status load(std::vector<RegistryReference> wanted) {
    for (; !wanted.empty(); ++rounds_) {
      if (rounds_ > options_.limits.depth) return too_deep(options_.limits.depth);
      TRY_OK(check(wanted));
      std::vector<Result<base::Bytes>> got = sources_.fetch_many(wanted);
      if (got.size() != wanted.size()) return Error{Code::internal, "a source answered for other references", {}, {}};
      std::vector<RegistryReference> next;
      for (std::size_t i = 0; i < wanted.size(); ++i) TRY_OK(take(wanted[i], std::move(got[i]), next));
      wanted = std::move(next);
    }
    return base::done();
  }

  static Error too_deep(std::size_t limit) {
    return Error{Code::too_large,
                 "configurations are included too deep",
                 "at most " + std::to_string(limit) + " deep",
                 {},
                 "Include fewer levels."};
  }

  const Contents& contents() const noexcept { return contents_; }
  std::size_t rounds() const noexcept { return rounds_; }

 private:
  Status check(const std::vector<RegistryReference>& wanted) {
    known_.insert(wanted.begin(), wanted.end());
    if (known_.size() > options_.limits.references) {
      return Error{Code::too_large,
                   "the template has too many references",
                   "at most " + std::to_string(options_.limits.references) + " different ones",
                   {}};
    }
    for (const auto& reference : wanted) {
      const bool secret = reference.type == ReferenceType::secret;
      const RegistryReference other{secret ? ReferenceType::config : ReferenceType::secret, reference.id};
      if (!known_.contains(other)) continue;
      return Error{Code::malformed,
                   "content " + base::hex(reference.id) + " is referred to as a config and as a secret", "one type",
                   "both", "Correct the reference that names the wrong one."};
    }
    return base::done();
  }

  Status take(const RegistryReference& reference, Result<base::Bytes> got, std::vector<RegistryReference>& next) {
    TRY(base::Bytes stored, std::move(got), "failed to fetch " + name_of(reference));
    fetched_ += stored.size();
    if (fetched_ > options_.limits.fetched) {
      return Error{Code::too_large,
                   "the content that the template refers to is too large",
                   "at most " + std::to_string(options_.limits.fetched) + " bytes together",
                   {}};
    }
    Content& content = contents_[reference];
    content.stored = std::move(stored);
    if (reference.type == ReferenceType::secret) return open(reference, content);
    return take_apart(reference, content, next);
  }

  Status open(const RegistryReference& reference, Content& content) {
    auto opened = sources_.open_secret(content.stored);
    if (!opened) {
      Error error = std::move(opened).error();
      error.at("failed to decrypt " + name_of(reference));
      if (!looks_sealed(content.stored)) {
        error.expected = "a secret that is encrypted for the app's key";
        error.found = "content that is not encrypted";
        error.remedy = "Write __CONFIG_REF_… for a configuration; `attestry secret seal` encrypts a secret.";
      }
      return error;
    }
    content.opened = *std::move(opened);
    if (options_.mode == TemplateMode::text) return base::done();
    const std::string_view text = base::as_text(content.opened.reveal());
    if (!base::is_utf8(text)) {
      return Error{Code::malformed,
                   name_of(reference) + " is no text",
                   "UTF-8",
                   {},
                   "JSON holds text only: store the secret as base64."};
    }
    // A password of digits, or `true`, stays a string: its type must not hang on which one was drawn.
    const auto first = text.find_first_not_of(kJsonSpace);
    if (first == text.npos || std::string_view{"{[\""}.find(text[first]) == std::string_view::npos) return base::done();
    std::string copy;
    copy.reserve(std::max<std::size_t>(text.size(), 64));  // on the heap, where the document wipes it
    copy = text;
    auto json = base::JsonDocument::parse(
        std::move(copy), {.max_bytes = options_.limits.output, .max_depth = kMaxJsonDepth, .wipe = true});
    if (json) content.secret_json = *std::move(json);
    return base::done();
  }

  Status take_apart(const RegistryReference& reference, Content& content, std::vector<RegistryReference>& next) {
    if (looks_sealed(content.stored)) {
      return Error{Code::malformed, name_of(reference) + " is an encrypted secret", "a configuration", "a secret",
                   "Write __SECRET_REF_" + base::hex(reference.id) + "."};
    }
    if (options_.mode == TemplateMode::text) {
      want(registry_references(content.text()), options_.keep_nested, next);
      return base::done();
    }
    return take_apart_json(reference, content, next);
  }

  Status take_apart_json(const RegistryReference& reference, Content& content, std::vector<RegistryReference>& next) {
    const std::string_view text = content.text();
    auto json = scan_json(text, options_.limits.output);
    if (json) {
      content.json = *std::move(json);
      for (const JsonSlot& slot : content.json->slots) want(registry_references(slot.value), false, next);
      return base::done();
    }
    // Text that is not JSON goes in as a string. What begins as an object was meant to be one.
    const auto first = text.find_first_not_of(kJsonSpace);
    if (first != text.npos && text[first] == '{') {
      Error error = std::move(json).error();
      error.at(name_of(reference));
      return error;
    }
    if (!base::is_utf8(text)) {
      return Error{Code::malformed, name_of(reference) + " is neither JSON nor text", "UTF-8", {}};
    }
    TRY_OK(check_references(text), name_of(reference));
    want(registry_references(text), false, next);
    return base::done();
  }

  void want(const std::vector<RegistryReference>& references, bool secrets_only, std::vector<RegistryReference>& next) {
    for (const auto& reference : references) {
      if (secrets_only && reference.type == ReferenceType::config) continue;
      if (known_.insert(reference).second) next.push_back(reference);
    }
  }

  const TemplateSources& sources_;
  const TemplateOptions& options_;
  Contents contents_;
  std::set<RegistryReference> known_;
  std::size_t fetched_ = 0;
  std::size_t rounds_ = 0;
};

/// Writes the result. What a document includes is written in its place, so that the order of insertions is that of the
/// result, and nothing is copied twice.
class Renderer {
 public:
  Renderer(const Contents& contents, const TemplateOptions& options)
      : contents_(contents), options_(options), out_(options.limits.output) {}

  Status text_document(std::string_view document) {
    std::size_t at = 0;
    Place place{document};
    while (const auto found = find_reference(document, at)) {
      if (options_.keep_nested && !chain_.empty() && found->reference.type == ReferenceType::config) {
        TRY_OK(out_.add(document.substr(at, found->end - at)));
        TRY_OK(note(found->reference, place.text(found->begin), InsertedAs::left, 0));
        at = found->end;
        continue;
      }
      // Every quote that touches the reference goes with it: "__SECRET_REF_…" becomes the object that was stored.
      std::size_t begin = found->begin;
      std::size_t end = found->end;
      while (begin > at && document[begin - 1] == '"') --begin;
      while (end < document.size() && document[end] == '"') ++end;
      const bool quoted = end - begin > found->end - found->begin;
      TRY_OK(out_.add(document.substr(at, begin - at)));
      const Content& content = contents_.at(found->reference);
      TRY_OK(note(found->reference, place.text(found->begin), quoted ? InsertedAs::quotes_removed : InsertedAs::text,
                  content.stored.size()));
      if (found->reference.type == ReferenceType::secret) {
        TRY_OK(out_.add(base::as_text(content.opened.reveal())));
      } else {
        TRY_OK(enter(found->reference));
        TRY_OK(text_document(content.text()));
        chain_.pop_back();
      }
      at = end;
    }
    return out_.add(document.substr(at));
  }

  /// `around`: arrays and objects of the including documents.
  Status json_document(const JsonText& json, std::size_t around) {
    if (around + json.height > kMaxJsonDepth) return too_nested();
    const std::string_view source = json.document->text();
    const std::string_view root = json.document->root().source();
    const auto first = static_cast<std::size_t>(root.data() - source.data());
    // The template keeps its surrounding white space; what is included loses it.
    std::size_t at = chain_.empty() ? 0 : first;
    for (const JsonSlot& slot : json.slots) {
      TRY_OK(out_.add(source.substr(at, slot.begin - at)));
      TRY_OK(json_slot(slot, around + slot.depth));
      at = slot.end;
    }
    return out_.add(source.substr(at, (chain_.empty() ? source.size() : first + root.size()) - at));
  }

  RenderedTemplate finish(std::size_t rounds) && {
    return {.text = out_.finish(), .insertions = std::move(insertions_), .rounds = rounds};
  }

 private:
  /// Line and column of an offset, asked for in rising order.
  class Place {
   public:
    explicit Place(std::string_view document) : document_(document) {}
    std::string text(std::size_t offset) {
      for (; at_ < offset; ++at_) {
        if (document_[at_] != '\n') continue;
        ++line_;
        line_begin_ = at_ + 1;
      }
      return "line " + std::to_string(line_) + ", column " + std::to_string(offset - line_begin_ + 1);
    }

   private:
    std::string_view document_;
    std::size_t at_ = 0, line_ = 1, line_begin_ = 0;
  };

  static Error too_nested() {
    return Error{Code::too_large,
                 "the rendered configuration nests too deep",
                 "at most " + std::to_string(kMaxJsonDepth) + " arrays and objects within each other",
                 {}};
  }

  Status note(const RegistryReference& reference, std::string place, InsertedAs how, std::size_t size) {
    // Content that includes much nothing many times makes no output, but work.
    if (insertions_.size() >= options_.limits.insertions) {
      return Error{Code::too_large,
                   "the template inserts too often",
                   "at most " + std::to_string(options_.limits.insertions) + " insertions",
                   {}};
    }
    insertions_.push_back(
        {.reference = reference, .depth = chain_.size(), .place = std::move(place), .size = size, .how = how});
    return base::done();
  }

  Status enter(const RegistryReference& config) {
    if (const auto begin = std::ranges::find(chain_, config.id); begin != chain_.end()) {
      std::string chain;
      for (auto at = begin; at != chain_.end(); ++at) chain += base::hex(*at) + " -> ";
      return Error{Code::malformed, "configurations include each other in a cycle", "no cycle",
                   chain + base::hex(config.id), "Take one of these references out."};
    }
    if (chain_.size() >= options_.limits.depth) return Loader::too_deep(options_.limits.depth);
    chain_.push_back(config.id);
    return base::done();
  }

  Status json_slot(const JsonSlot& slot, std::size_t around) {
    const auto found = find_reference(slot.value, 0);
    if (found && found->begin == 0 && found->end == slot.value.size()) {
      return whole(found->reference, slot.pointer, around);
    }
    TRY_OK(out_.add("\""));
    TRY_OK(inside(slot.value, slot.pointer));
    return out_.add("\"");
  }

  /// The string is one reference: it becomes the content.
  Status whole(const RegistryReference& reference, const std::string& place, std::size_t around) {
    const Content& content = contents_.at(reference);
    const bool is_json = content.json.has_value() || content.secret_json != nullptr;
    TRY_OK(note(reference, pointer_of(place), is_json ? InsertedAs::json_value : InsertedAs::json_string,
                content.stored.size()));
    if (reference.type == ReferenceType::secret) return whole_secret(content, around);
    TRY_OK(enter(reference));
    if (is_json) {
      TRY_OK(json_document(*content.json, around));
    } else {
      TRY_OK(out_.add("\""));
      TRY_OK(inside(content.text(), ""));
      TRY_OK(out_.add("\""));
    }
    chain_.pop_back();
    return base::done();
  }

  Status whole_secret(const Content& content, std::size_t around) {
    if (content.secret_json != nullptr) {
      const auto root = content.secret_json->root();
      if (around + json_height(root) > kMaxJsonDepth) return too_nested();
      return out_.add(root.source());
    }
    TRY_OK(out_.add("\""));
    TRY_OK(out_.add_escaped(base::as_text(content.opened.reveal())));
    return out_.add("\"");
  }

  /// Text that has references, as the inside of a JSON string.
  Status inside(std::string_view text, const std::string& pointer) {
    std::size_t at = 0;
    Place place{text};
    while (const auto found = find_reference(text, at)) {
      TRY_OK(out_.add_escaped(text.substr(at, found->begin - at)));
      const Content& content = contents_.at(found->reference);
      TRY_OK(note(found->reference, pointer.empty() ? place.text(found->begin) : pointer, InsertedAs::inside_string,
                  content.stored.size()));
      if (found->reference.type == ReferenceType::secret) {
        TRY_OK(secret_inside(content));
      } else {
        TRY_OK(enter(found->reference));
        TRY_OK(config_inside(found->reference, content));
        chain_.pop_back();
      }
      at = found->end;
    }
    return out_.add_escaped(text.substr(at));
  }

  Status secret_inside(const Content& content) {
    if (content.secret_json != nullptr && content.secret_json->root().is_string()) {
      auto value = content.secret_json->root().string("secret");
      if (!value) return std::move(value).error();
      const Status status = out_.add_escaped(*value);
      crypto::wipe({reinterpret_cast<std::uint8_t*>(value->data()), value->size()});
      return status;
    }
    return out_.add_escaped(base::as_text(content.opened.reveal()));
  }

  Status config_inside(const RegistryReference& reference, const Content& content) {
    if (!content.json) return inside(content.text(), "");
    const auto root = content.json->document->root();
    if (root.is_object() || root.is_array()) {
      return Error{Code::malformed, name_of(reference) + " cannot stand inside a longer string",
                   "a string, a number or text", root.is_object() ? "an object" : "an array",
                   "Let the reference be the whole string: then the object takes its place."};
    }
    if (!root.is_string()) return out_.add_escaped(root.source());
    TRY(const std::string value, root.string("config"));
    return inside(value, "");
  }

  static std::string pointer_of(const std::string& pointer) { return pointer.empty() ? "the whole document" : pointer; }

  const Contents& contents_;
  const TemplateOptions& options_;
  SecretBuffer out_;
  std::vector<base::Digest32> chain_;  ///< configurations that are being written, outermost first
  std::vector<Insertion> insertions_;
};

Result<RenderedTemplate> render_json(std::string_view text, const TemplateSources& sources,
                                     const TemplateOptions& options) {
  TRY(const JsonText json, scan_json(text, options.limits.output), "template");
  std::vector<RegistryReference> wanted;
  std::set<RegistryReference> seen;
  for (const JsonSlot& slot : json.slots) {
    for (const auto& reference : registry_references(slot.value)) {
      if (seen.insert(reference).second) wanted.push_back(reference);
    }
  }
  Loader loader{sources, options};
  TRY_OK(loader.load(std::move(wanted)));
  Renderer renderer{loader.contents(), options};
  TRY_OK(renderer.json_document(json, 0));
  return std::move(renderer).finish(loader.rounds());
}

}  // namespace

std::string_view to_text(ReferenceType type) noexcept { return type == ReferenceType::config ? "config" : "secret"; }

std::string to_text(const RegistryReference& reference) {
  return (reference.type == ReferenceType::config ? "__CONFIG_REF_" : "__SECRET_REF_") + base::hex(reference.id);
}

std::string_view to_text(InsertedAs how) noexcept {
  switch (how) {
    case InsertedAs::text:
      return "as text";
    case InsertedAs::quotes_removed:
      return "as text, quotes removed";
    case InsertedAs::json_value:
      return "as JSON value";
    case InsertedAs::json_string:
      return "as JSON string";
    case InsertedAs::inside_string:
      return "inside a string";
    case InsertedAs::left:
      return "left as it is";
  }
  return {};
}

Result<RenderedTemplate> render_registry_template(std::string_view text, const TemplateSources& sources,
                                                  const TemplateOptions& options) {
  if (text.size() > options.limits.output) {
    return Error{Code::too_large,
                 "the template is too large",
                 "at most " + std::to_string(options.limits.output) + " bytes",
                 {}};
  }
  if (options.mode == TemplateMode::json) return render_json(text, sources, options);
  Loader loader{sources, options};
  TRY_OK(loader.load(registry_references(text)));
  Renderer renderer{loader.contents(), options};
  TRY_OK(renderer.text_document(text));
  return std::move(renderer).finish(loader.rounds());
}

std::vector<RegistryReference> registry_references(std::string_view text) {
  std::vector<RegistryReference> out;
  std::set<RegistryReference> seen;
  std::size_t at = 0;
  while (const auto found = find_reference(text, at)) {
    if (seen.insert(found->reference).second) out.push_back(found->reference);
    at = found->end;
  }
  return out;
}

}  // namespace attestry::provision
