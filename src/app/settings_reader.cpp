#include "app/settings_reader.h"

#include <algorithm>

#include "base/encoding.h"
#include "net/url.h"
#include "state/file.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr std::size_t kMaxPem = 1u << 20;

/// The first one is looked at; bundles have comments between theirs.
bool has_certificate(const std::string& pem) {
  constexpr std::string_view kEnd = "-----END CERTIFICATE-----";
  const auto begin = pem.find("-----BEGIN CERTIFICATE-----");
  const auto end = begin == std::string::npos ? begin : pem.find(kEnd, begin);
  return end != std::string::npos && base::pem_decode(pem.substr(begin, end + kEnd.size() - begin)).ok();
}

}  // namespace

bool SettingsReader::is_first(std::string_view name, std::initializer_list<std::string_view> words) {
  const std::string& value = text(name);
  if (std::ranges::find(words, value) == words.end()) {
    std::string shown;
    for (const auto word : words) {
      shown += shown.empty() ? "" : word == *(words.end() - 1) ? " or " : ", ";
      shown += word;
    }
    note({Code::configuration, named(name), std::move(shown), value});
  }
  return value == *words.begin();
}

std::string SettingsReader::certificates(std::string_view name) {
  const std::string& path = text(name);
  if (path.empty()) return {};
  auto pem = noted(name, read_file(path, kMaxPem)).value_or("");
  if (!pem.empty() && !has_certificate(pem)) {
    note({Code::configuration, app::named(settings_, name), "a PEM file with a certificate", path});
  }
  return pem;
}

Result<std::string> SettingsReader::read_file(const std::string& path, std::size_t most) {
  TRY(const auto bytes, state::system_files().read(path, most), path);
  if (!bytes) return Error{Code::not_found, "there is no file " + path};
  return std::string{base::as_text(*bytes)};
}

Result<attestation::Policy> policy_of(const std::string& name) {
  if (const auto* builtin = attestation::Policy::builtin(name)) return *builtin;
  auto text = SettingsReader::read_file(name, attestation::kMaxPolicyDocumentBytes);
  if (text) return attestation::Policy::parse(*text);
  Error error = std::move(text).error();
  error.expected = "genuine, default, strict or a file with a policy";
  error.remedy = "`attestry policy check FILE` says what is wrong with a policy.";
  return error;
}

std::string shown_endpoint(const std::string& url) {
  const std::string shown = net::shown_url(url);
  const auto scheme = shown.find("://");
  return shown.substr(0, shown.find('/', scheme == std::string::npos ? 0 : scheme + 3));
}

}  // namespace attestry::app
