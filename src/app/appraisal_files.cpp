#include "app/appraisal_files.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "appraisal/replay.h"
#include "appraisal/verdict_view.h"
#include "base/encoding.h"
#include "base/json.h"
#include "net/http.h"
#include "state/file.h"

namespace attestry::app {

using appraisal::StoredAppraisal;
using base::Code;
using base::Digest32;
using base::Error;
using base::Result;
using base::Status;

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kShortestId = 8;
constexpr std::string_view kHexDigits = "0123456789abcdef";

bool is_id(std::string_view text) {
  return text.size() >= kShortestId && text.size() <= 64 &&
         text.find_first_not_of(kHexDigits) == std::string_view::npos;
}

bool is_file(const std::string& path) {
  std::error_code ignored;
  return path == "-" || fs::is_regular_file(path, ignored) || fs::is_fifo(path, ignored);
}

Error not_writable(const std::string& path, const std::error_code& why) {
  return {
      Code::io, "cannot write " + path, {}, why.message(), "Check the folder, who may write there, the free space."};
}

/// Whole or not at all; what is there under the name of its own content is right already.
Status keep(const fs::path& path, base::ByteView bytes) {
  std::error_code ignored;
  if (fs::exists(path, ignored)) return base::done();
  return state::replace_file(state::system_files(), path.string(), bytes);
}

Result<std::string> text_of(const std::string& path, std::size_t limit) {
  TRY(const auto bytes, state::system_files().read(path, limit));
  if (!bytes) return Error{Code::not_found, "there is no file " + path};
  return std::string{base::as_text(*bytes)};
}

Result<StoredAppraisal> restore(const fs::path& folder, std::string_view document) {
  return StoredAppraisal::restore(document, [&folder](const Digest32& sha256) -> Result<base::Bytes> {
    const auto path = (folder / "blobs" / base::hex(sha256)).string();
    TRY(auto bytes, state::system_files().read(path, appraisal::kMaxExportBytes));
    if (!bytes) return Error{Code::malformed, "bytes of the appraisal are missing", path, "no such file"};
    return *std::move(bytes);
  });
}

NamedAppraisal named(StoredAppraisal whole, std::string note) {
  if (const auto issuer = appraisal::issuer_of_keys(whole)) {
    note.append("; that its keys are those of ").append(*issuer).append(" is what the appraisal says");
  }
  return {.id = base::hex(whole.id()),
          .verdict_json = whole.verdict_json(),
          .note = std::move(note),
          .appraisal = std::move(whole)};
}

/// What stands in a file, by its own word.
Result<NamedAppraisal> from_text(const std::string& path, const std::string& text) {
  auto doc = base::JsonDocument::parse(text, {.max_bytes = appraisal::kMaxExportBytes});
  if (!doc) return std::move(doc).error().at(path);
  const auto type = (*doc)->root().find("type");
  const auto word = type ? type->plain_string() : std::nullopt;
  if (word == "attestry/appraisal-export") {
    TRY(auto whole, appraisal::read_export(text), path);
    return named(std::move(whole), "from " + path);
  }
  if (word == "attestry/appraisal") {
    TRY(auto whole, restore(fs::path(path).parent_path(), text), path);
    return named(std::move(whole), "from " + path);
  }
  if (const auto verdict = (*doc)->root().find("verdict"); verdict && verdict->is_object()) {
    // As GET /v1/appraisals/{id} gives it.
    return NamedAppraisal{.id = {}, .verdict_json = std::string{verdict->source()}, .note = "from " + path};
  }
  TRY([[maybe_unused]] const auto view, appraisal::read_verdict(text), path);
  return NamedAppraisal{.id = {}, .verdict_json = text, .note = "from " + path};
}

std::string place_note(const base::JsonValue& root) {
  const auto text = [&root](std::string_view key) {
    const auto value = root.find(key);
    const auto plain = value ? value->plain_string() : std::nullopt;
    return std::string{plain.value_or("")};
  };
  std::string out = text("origin") + " stored " + text("stored");
  if (const auto app = text("app"); !app.empty()) out.append(", app ").append(app);
  if (const auto leaf = root.find("leaf_index"); leaf && !leaf->is_null()) {
    out.append(", leaf ").append(leaf->source()).append(" of the log");
  }
  if (const auto revoked = root.find("revoked"); revoked && revoked->is_object()) {
    const auto source = [&revoked](std::string_view key) {
      const auto value = revoked->find(key);
      return std::string{value ? value->source() : ""};
    };
    const auto reason = revoked->find("reason");
    const auto plain = reason ? reason->plain_string() : std::nullopt;
    out.append("; taken back on the chain at block ").append(source("block"));
    out.append(" (").append(plain.value_or("")).append("), leaf ").append(source("leaf_index"));
  }
  const auto refusal = root.find("refusal");
  if (!refusal || !refusal->is_object()) return out;
  const auto said = [&refusal](std::string_view key) {
    const auto value = refusal->find(key);
    return std::string{value ? value->plain_string().value_or("") : ""};
  };
  if (const auto what = said("what"); !what.empty()) out.append("; answered: ").append(what);
  if (const auto found = said("found"); !found.empty()) out.append("; found ").append(found);
  if (const auto remedy = said("remedy"); !remedy.empty()) out.append(". ").append(remedy);
  return out;
}

Result<NamedAppraisal> from_server(const std::string& id, const OperatorOptions& connection) {
  TRY(const auto session, OperatorSession::open(connection));
  const std::string tenant = "?tenant=" + net::percent_encode(session->tenant().text());
  TRY(const auto shown, session->api().json(net::Method::get, "/v1/appraisals/" + id + tenant));
  NamedAppraisal out;
  TRY(const auto full, shown->root().get("id"));
  TRY(out.id, full.string("id"));
  TRY(const auto verdict, shown->root().get("verdict"));
  out.verdict_json = std::string{verdict.source()};
  out.note = place_note(shown->root());
  const auto origin = shown->root().find("origin");
  out.judged_there = origin && origin->plain_string() != "import";
  const auto document = shown->root().find("appraisal");
  if (!document || document->is_null()) return out;  // of before appraisals kept what they rest on
  TRY(const std::string exported,
      session->api().call(net::Method::get, "/v1/appraisals/" + out.id + "/export" + tenant));
  TRY(out.appraisal, appraisal::read_export(exported));
  out.verdict_json = out.appraisal->verdict_json();
  return out;
}

}  // namespace

Status keep_in_folder(const std::string& folder, const StoredAppraisal& appraisal) {
  const fs::path place{folder};
  std::error_code failed;
  fs::create_directories(place / "blobs", failed);
  if (failed) return not_writable(folder, failed);
  for (const auto& blob : appraisal.blobs()) TRY_OK(keep(place / "blobs" / base::hex(blob.sha256), blob.bytes));
  // Last: a document that is there has all that it names.
  return keep(place / (base::hex(appraisal.id()) + ".json"), base::as_bytes(appraisal.document()));
}

Result<std::vector<Digest32>> ids_in_folder(const std::string& folder) {
  std::vector<Digest32> out;
  std::error_code failed;
  for (fs::directory_iterator it{folder, failed}, end; !failed && it != end; it.increment(failed)) {
    const auto name = it->path().filename().string();
    Digest32 id{};
    if (!name.ends_with(".json") || !base::hex_decode_into(name.substr(0, name.size() - 5), id)) continue;
    out.push_back(id);
  }
  if (failed) return Error{Code::usage, "cannot read the folder " + folder, "a folder of appraisals", failed.message()};
  std::ranges::sort(out);
  return out;
}

Result<StoredAppraisal> load_from_folder(const std::string& folder, const std::string& id_or_beginning) {
  TRY(const auto ids, ids_in_folder(folder));
  std::vector<std::string> found;
  for (const Digest32& id : ids) {
    if (base::hex(id).starts_with(id_or_beginning)) found.push_back(base::hex(id));
  }
  if (found.empty()) {
    return Error{Code::not_found,
                 "no appraisal of that id in " + folder,
                 {},
                 id_or_beginning,
                 "`attestry appraisal list --in " + folder + "` shows them."};
  }
  if (found.size() > 1) {
    return Error{Code::usage, "several appraisals begin so", "more digits of the id", id_or_beginning};
  }
  TRY(const std::string document, text_of((fs::path(folder) / (found.front() + ".json")).string(), 1u << 20));
  TRY(auto whole, restore(folder, document), found.front());
  if (base::hex(whole.id()) != found.front()) {
    return Error{Code::malformed, "the appraisal was changed: its id is not the digest of its document", found.front(),
                 base::hex(whole.id())};
  }
  return whole;
}

Status write_export_file(Context& context, const std::string& path, const StoredAppraisal& appraisal) {
  const std::string text = appraisal::write_export(appraisal) + "\n";
  if (path == "-") {
    context.out << text;
    return base::done();
  }
  return state::replace_file(*context.files, path, base::as_bytes(text));
}

bool names_appraisal(const std::string& name, const AppraisalPlace& place) {
  if (!place.folder.empty()) return true;
  if (!is_file(name)) return is_id(name) && !fs::exists(name);
  std::ifstream file(name, std::ios::binary);
  char first = 0;
  while (file.get(first) && (first == ' ' || first == '\n' || first == '\r' || first == '\t')) {
  }
  // No evidence begins with a brace.
  return name != "-" && first == '{';
}

Result<NamedAppraisal> find_appraisal(Context& context, const std::string& name, const AppraisalPlace& place) {
  if (is_file(name)) {
    TRY(const auto bytes, read_input(context, name, appraisal::kMaxExportBytes));
    if (bytes.size() > appraisal::kMaxExportBytes) return Error{Code::too_large, name, "at most 24 MiB", {}};
    return from_text(name, std::string{base::as_text(bytes)});
  }
  if (!is_id(name)) {
    return Error{Code::usage, "neither a file nor the id of an appraisal", "a file, or 8 to 64 lower-case hex digits",
                 name, "`attestry appraisal list` shows ids."};
  }
  if (place.folder.empty()) return from_server(name, place.connection);
  TRY(auto whole, load_from_folder(place.folder, name));
  return named(std::move(whole), "from " + place.folder);
}

Result<WholeAppraisal> find_whole(Context& context, const std::string& name, const AppraisalPlace& place) {
  TRY(auto found, find_appraisal(context, name, place));
  if (found.appraisal) return WholeAppraisal{*std::move(found.appraisal), found.judged_there};
  return Error{Code::usage, "only the verdict is there, not what it rests on", "an exported appraisal or a stored one",
               name, "Keep whole appraisals: attestry verify --appraisal FILE."};
}

}  // namespace attestry::app
