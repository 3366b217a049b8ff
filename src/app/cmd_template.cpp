// `attestry template`: what a configuration becomes, tried out before it is approved.
#include <CLI/CLI.hpp>

#include <map>
#include <ostream>

#include "app/cli.h"
#include "app/content_folder.h"
#include "app/outputs.h"
#include "app/typed_text.h"
#include "base/encoding.h"
#include "base/json_writer.h"
#include "crypto/key_pem.h"
#include "provision/registry_secret.h"
#include "provision/registry_template.h"
#include "provision/template.h"

namespace attestry::app {
namespace {

using base::Bytes;
using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutArray;
using base::JsonOutObject;
using base::Result;
using provision::Insertion;
using provision::ReferenceType;
using provision::RegistryReference;

constexpr std::size_t kMaxTemplate = 1u << 20;
constexpr std::size_t kMaxKey = 64 * 1024;

struct RenderOptions {
  std::string file;
  std::vector<std::string> content;
  std::string key;
  std::string app;
  std::string mode = "text";
  bool keep_nested = false;
  bool explain = false;
  std::string format = "text";
  std::string out;
};

/// Content comes from folders, and where each came from is remembered for --explain.
class Folders {
 public:
  Folders(Context& context, const RenderOptions& options) : context_(context), options_(options) {}

  base::Status open_key() {
    if (!options_.app.empty()) {
      TRY(contract_, typed_address(options_.app), "--app");
      has_contract_ = true;
    }
    if (options_.key.empty()) return base::done();
    TRY(Bytes pem, read_input(context_, options_.key, kMaxKey), "--key");
    auto key = crypto::ec_private_key_from_pem(pem);
    crypto::wipe(pem);
    if (!key) {
      Error error = std::move(key).error();
      error.at("--key " + options_.key);
      return error;
    }
    key_ = *std::move(key);
    return base::done();
  }

  provision::TemplateSources sources() {
    return {.fetch_many = [this](std::span<const RegistryReference> wanted) { return fetch(wanted); },
            .open_secret = [this](base::ByteView blob) { return open(blob); }};
  }
  const std::string& path_of(const RegistryReference& reference) const { return paths_.at(reference); }
  bool opens_secrets() const noexcept { return key_.has_value(); }

 private:
  std::vector<Result<Bytes>> fetch(std::span<const RegistryReference> wanted) {
    std::vector<Result<Bytes>> out;
    for (const RegistryReference& reference : wanted) {
      auto found = read_content(context_, options_.content, reference);
      if (!found) {
        out.emplace_back(std::move(found).error());
        continue;
      }
      paths_[reference] = std::move(found->path);
      out.emplace_back(std::move(found->bytes));
    }
    return out;
  }

  Result<crypto::Secret> open(base::ByteView blob) const {
    if (!key_) {
      // The tree needs no value, and whoever reads a template may not have the key.
      if (options_.explain && options_.out.empty()) return crypto::Secret{};
      return Error{Code::usage,
                   "no key",
                   "--key FILE, the app's private key",
                   {},
                   "Give --key, or --explain alone to see the references without opening any."};
    }
    auto opened = provision::open_registry_secret(*key_, contract_, blob);
    if (!opened && base::as_text(blob).starts_with("ATE2") && !has_contract_) {
      Error error = std::move(opened).error();
      error.remedy = "A secret of format version 2 belongs to one contract: name it with --app ADDRESS.";
      return error;
    }
    return opened;
  }

  Context& context_;
  const RenderOptions& options_;
  std::optional<crypto::EcPrivateKey> key_;
  curves::Address contract_{};
  bool has_contract_ = false;
  std::map<RegistryReference, std::string> paths_;
};

std::string how_of(const Insertion& one, const Folders& folders) {
  const bool closed = one.reference.type == ReferenceType::secret && !folders.opens_secrets();
  return closed ? "not opened, no --key" : std::string{to_text(one.how)};
}

void print_tree(std::ostream& out, const RenderOptions& options, const provision::RenderedTemplate& done,
                const Folders& folders) {
  out << options.file << ", as " << options.mode << "\n";
  for (const Insertion& one : done.insertions) {
    const std::string indent(2 * (one.depth + 1), ' ');
    out << indent << to_text(one.reference.type) << " " << base::hex(one.reference.id) << "\n"
        << indent << "  at " << one.place;
    if (one.how != provision::InsertedAs::left) {
      out << ", " << one.size << (one.reference.type == ReferenceType::secret ? " bytes encrypted" : " bytes")
          << ", from " << folders.path_of(one.reference);
    }
    out << "\n" << indent << "  " << how_of(one, folders) << "\n";
  }
  out << done.insertions.size() << " insertions, " << done.rounds << " rounds of reading";
  if (folders.opens_secrets()) out << ", " << done.text.size() << " bytes in all";
  out << "\n";
}

void print_json(std::ostream& out, const RenderOptions& options, const provision::RenderedTemplate& done,
                const Folders& folders) {
  JsonOutArray references;
  for (const Insertion& one : done.insertions) {
    const bool left = one.how == provision::InsertedAs::left;
    references.emplace_back(
        JsonOutObject{{"type", to_text(one.reference.type)},
                      {"id", base::hex(one.reference.id)},
                      {"depth", static_cast<std::int64_t>(one.depth)},
                      {"place", one.place},
                      {"stored_bytes", left ? JsonOut{} : JsonOut{static_cast<std::int64_t>(one.size)}},
                      {"source", left ? JsonOut{} : JsonOut{folders.path_of(one.reference)}},
                      {"inserted", how_of(one, folders)}});
  }
  JsonOutObject all{{"template", options.file},
                    {"mode", options.mode},
                    {"references", std::move(references)},
                    {"rounds", static_cast<std::int64_t>(done.rounds)}};
  if (folders.opens_secrets()) all.emplace_back("bytes", static_cast<std::int64_t>(done.text.size()));
  out << JsonOut{std::move(all)}.pretty() << "\n";
}

/// ${…} of native templates are resolved for one grant, which only a server has: here they are listed.
Result<int> explain_native(Context& context, const RenderOptions& options, std::string_view text) {
  if (!options.explain || !options.out.empty()) {
    return Error{Code::usage,
                 "only a server resolves ${…}",
                 "--explain, which lists them",
                 {},
                 "Their values belong to an instance; register one to see its configuration."};
  }
  TRY(const auto references, provision::template_references(text), options.file);
  if (options.format == "json") {
    JsonOutArray list;
    for (const std::string& one : references) list.emplace_back(one);
    context.out << JsonOut{JsonOutObject{
                               {"template", options.file}, {"mode", options.mode}, {"references", std::move(list)}}}
                       .pretty()
                << "\n";
    return kExitOk;
  }
  context.out << options.file << ", as native\n";
  for (const std::string& one : references) context.out << "  ${" << one << "}\n";
  context.out << references.size() << " references, resolved by the server when an instance registers\n";
  return kExitOk;
}

Result<int> render(Context& context, const RenderOptions& options) {
  TRY(const Bytes bytes, read_input(context, options.file, kMaxTemplate));
  if (bytes.size() > kMaxTemplate) return Error{Code::too_large, options.file, "at most 1 MiB", {}};
  if (options.mode == "native") return explain_native(context, options, base::as_text(bytes));
  Folders folders{context, options};
  TRY_OK(folders.open_key());
  const auto mode = options.mode == "json" ? provision::TemplateMode::json : provision::TemplateMode::text;
  TRY(const auto done, provision::render_registry_template(base::as_text(bytes), folders.sources(),
                                                           {.mode = mode, .keep_nested = options.keep_nested}));
  if (!options.out.empty()) TRY_OK(check_output(options.out), "--out");
  if (!options.out.empty()) TRY_OK(state::replace_file(*context.files, options.out, done.text.reveal()), "--out");
  if (options.explain) {
    if (options.format == "json") {
      print_json(context.out, options, done, folders);
    } else {
      print_tree(context.out, options, done, folders);
    }
  } else if (options.out.empty()) {
    context.out << base::as_text(done.text.reveal());
  }
  return kExitOk;
}

constexpr const char* kFooter =
    "Examples:\n"
    "  attestry template render app.json --content storage --key app-key.pem --mode json\n"
    "  attestry template render app.json --content storage --explain\n"
    "References: __CONFIG_REF_<id> and __SECRET_REF_<id>; the id is the SHA-256 of the content as it is stored.\n"
    "`attestry secret seal` encrypts a secret and prints its reference.";

}  // namespace

void add_template(CLI::App& app, Context& context) {
  auto* group = app.add_subcommand("template", "Configuration templates: see what a workload would receive");
  group->require_subcommand(1);
  auto* command = group->add_subcommand("render", "Resolve a template's references from a folder");
  command->footer(kFooter);
  auto options = std::make_shared<RenderOptions>();
  command->add_option("FILE", options->file, "template, or - for standard input")->required();
  command
      ->add_option("--content", options->content,
                   "folder with configs/<id> and secrets/<id>; may be given again, the first that has an id counts")
      ->type_name("DIR")
      ->allow_extra_args(false);
  command->add_option("--key", options->key, "the app's private key as PEM, to open secrets")->type_name("FILE");
  command->add_option("--app", options->app, "the app's contract, for secrets of format version 2")
      ->type_name("ADDRESS");
  command
      ->add_option("--mode", options->mode,
                   "text: any text, the dialect of registries; json: JSON in, JSON out; native: ${…} of this server's "
                   "own templates, with --explain")
      ->check(CLI::IsMember({"text", "json", "native"}))
      ->capture_default_str();
  command->add_flag("--keep-nested", options->keep_nested,
                    "text mode: leave references to configurations inside included ones as they are");
  command->add_flag("--explain", options->explain,
                    "print each reference instead of the result: where it stands, where its content came from, how it "
                    "goes in; never a secret");
  command->add_option("--format", options->format, "of --explain: text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  command->add_option("--out", options->out, "write the result into this file (mode 0600)")->type_name("FILE");
  command->callback([options, &context] { finish(context, [&] { return render(context, *options); }); });
}

}  // namespace attestry::app
