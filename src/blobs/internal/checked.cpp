#include "blobs/internal/checked.h"

#include <algorithm>
#include <optional>
#include <set>

#include "base/encoding.h"
#include "blobs/sealing.h"
#include "crypto/hash.h"

namespace attestry::blobs {
namespace {

using base::Code;
using base::Error;

constexpr std::size_t kExcerpt = 200;

}  // namespace

base::Status check_place(const Place& place, const base::Tenant& tenant, const base::AppRef& app,
                         const std::string& store) {
  if (place.tenant == tenant && place.app == app) return base::done();
  return Error{Code::denied, store + ": this store was opened for another application",
               tenant.text() + "/" + app.text(), place.tenant.text() + "/" + place.app.text()};
}

Error absent(const std::string& store, const base::Digest32& id) {
  return Error{Code::not_found, store + ": content not found: " + base::hex(id)};
}

Error corrupted(const std::string& store, const std::string& where, const base::Digest32& id, std::string_view why) {
  return Error{Code::corrupt,
               store + ": " + std::string{why} + ": " + where,
               base::hex(id),
               {},
               "Write the right content again: attestry blob repair."};
}

base::Status check_blob(base::ByteView bytes, std::size_t max_bytes) {
  if (bytes.size() > max_bytes) {
    return Error{Code::too_large, "a blob larger than this store takes",
                 "at most " + std::to_string(max_bytes) + " bytes", std::to_string(bytes.size()) + " bytes"};
  }
  if (looks_like_marker(bytes)) return Error{Code::denied, "a blob may not begin as a record of ownership does"};
  return base::done();
}

std::string excerpt(std::string_view text) {
  std::string out{text.substr(0, kExcerpt)};
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return out;
}

base::Result<std::shared_ptr<net::HttpTransport>> connect(const StoreContext& context, net::ClientOptions options) {
  options.ca_pem = context.ca_pem;
  options.clock = context.clock;
  if (context.connect) return context.connect(std::move(options));
  TRY(auto client, net::HttpClient::make(std::move(options)));
  return std::shared_ptr<net::HttpTransport>{std::move(client)};
}

Error refusal(const std::string& store, std::string_view step, int status, std::string_view reason,
              std::string remedy) {
  return Error{Code::unavailable,
               store + ": " + std::string{step} + " was refused",
               {},
               "HTTP " + std::to_string(status) + (reason.empty() ? "" : " ") + excerpt(reason),
               std::move(remedy)};
}

NamedStore::NamedStore(Uri uri, const StoreContext& context, Dialect dialect, SeedLayout seed)
    : uri_(std::move(uri)),
      tenant_(context.tenant),
      app_(context.app),
      dialect_(dialect),
      seed_(seed),
      max_bytes_(context.max_bytes),
      sealer_(context.sealer),
      clock_(context.clock) {}

Error NamedStore::malformed(std::string_view what, std::string_view expected) const {
  return Error{Code::malformed, "invalid storage location URI: " + std::string{what}, std::string{expected},
               uri_.shown()};
}

base::Result<base::Bytes> NamedStore::unsealed(const Place& place, const base::Digest32& id, base::Bytes stored) const {
  // Bytes with the right hash are the blob, whatever they begin with.
  if (!looks_sealed(stored) || base::equal(crypto::sha256(stored), id)) return stored;
  if (sealer_ == nullptr) {
    return Error{Code::configuration, name() + ": the content is sealed, and the keys are not here"};
  }
  TRY(const auto plain, sealer_->open(place.tenant, record_of(place, id), stored));
  return base::to_bytes(plain.reveal());
}

base::Result<base::Bytes> NamedStore::get(const Place& place, const base::Digest32& id, base::Deadline deadline) {
  TRY_OK(check_place(place, tenant_, app_, name()));
  const auto names = names_of(place, id, dialect_, seed_);
  const auto first = last_hit_.load(std::memory_order_relaxed) % names.size();
  Error worst = absent(name(), id);
  std::optional<Error> away;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto which = (first + i) % names.size();
    auto stored = read(names[which], id, deadline);
    if (!stored && stored.error().code == Code::not_found) continue;
    if (!stored && stored.error().code == Code::unavailable) {
      // Whoever may read the names of one layout need not be allowed to ask for those of the other.
      if (!away) away = std::move(stored).error();
      continue;
    }
    if (!stored) return std::move(stored).error();
    auto plain = unsealed(place, id, *std::move(stored));
    if (!plain && plain.error().code == Code::configuration) return plain;
    if (plain && base::equal(crypto::sha256(*plain), id)) {
      last_hit_.store(which, std::memory_order_relaxed);
      return plain;
    }
    worst = corrupted(name(), names[which], id, plain ? "content hash mismatch" : "sealed content does not open");
  }
  return away ? *std::move(away) : worst;
}

base::Result<base::Digest32> NamedStore::put(const Place& place, base::ByteView bytes, base::Deadline deadline) {
  TRY_OK(check_place(place, tenant_, app_, name()));
  if (!can_write()) return Error{Code::usage, name() + " is read-only", {}, uri()};
  TRY_OK(check_blob(bytes, max_bytes_));
  const base::Digest32 id = crypto::sha256(bytes);
  const auto target = names_of(place, id, Dialect::native, seed_).front();
  if (sealer_ == nullptr) {
    TRY_OK(write(target, bytes, deadline));
    return id;
  }
  for (bool outdated = true; outdated;) {
    TRY(const auto sealed, sealer_->seal(place.tenant, record_of(place, id), bytes));
    TRY_OK(write(target, sealed, deadline));
    TRY(outdated, sealer_->outdated(place.tenant, sealed));
  }
  return id;
}

base::Result<std::vector<base::Digest32>> NamedStore::list(const Place& place, base::Deadline deadline) {
  TRY_OK(check_place(place, tenant_, app_, name()));
  std::vector<std::string> folders{place_folder(place)};
  if (dialect_ == Dialect::seed && seed_ == SeedLayout::typed) folders.emplace_back(folder_of(place.type));
  if (dialect_ == Dialect::seed && seed_ == SeedLayout::flat) folders.emplace_back();
  std::set<base::Digest32> ids;
  for (const auto& folder : folders) {
    TRY(const auto found, names_in(folder, deadline));
    for (std::string_view text : found) {
      base::Digest32 id{};
      base::Bytes inner;
      if (text.size() == 128) {
        auto decoded = base::hex_decode(text);
        if (decoded) inner = *std::move(decoded);
        text = base::as_text(inner);
      }
      if (text.size() == 64 && base::hex_decode_into(text, id)) ids.insert(id);
    }
  }
  return std::vector<base::Digest32>{ids.begin(), ids.end()};
}

}  // namespace attestry::blobs
