// ipfs://host[:port]/?gateway=&timeout=&tls=: single raw blocks, whose CID follows from the id.
#include <algorithm>

#include "base/encoding.h"
#include "base/json.h"
#include "blobs/internal/checked.h"
#include "blobs/internal/cid.h"
#include "crypto/hash.h"

namespace attestry::blobs {
namespace {

using base::Code;
using base::Error;

/// What bitswap carries between nodes without special settings.
constexpr std::size_t kMaxBlock = 1u << 20;
constexpr std::size_t kMaxAnswer = 64 * 1024;

/// Nodes report a miss as an error 500 with a message of their own; these are the ones that mean it.
bool says_absent(std::string_view message) {
  return message.find("not found") != std::string_view::npos || message.find("Not Found") != std::string_view::npos ||
         message.find("could not find") != std::string_view::npos ||
         message.find("no link named") != std::string_view::npos;
}

std::string message_of(const std::string& body) {
  const auto document = base::JsonDocument::parse(body);
  if (!document) return body;
  const auto message = (*document)->root().find("Message");
  return message && message->is_string() ? message->string("Message").value_or("") : body;
}

struct Settings {
  std::string base;
  std::string name;
  bool gateway = false;
  std::chrono::milliseconds timeout{30'000};
};

class IpfsStore final : public BlobStore {
 public:
  IpfsStore(Uri uri, const StoreContext& context, Settings settings, std::shared_ptr<net::HttpTransport> http)
      : uri_(std::move(uri)),
        tenant_(context.tenant),
        app_(context.app),
        dialect_(context.dialect),
        max_bytes_(std::min(context.max_bytes, kMaxBlock)),
        seals_(context.sealer != nullptr),
        clock_(context.clock),
        settings_(std::move(settings)),
        http_(std::move(http)) {}

  std::string name() const override { return settings_.name; }
  std::string uri() const override { return uri_.shown(); }

  base::Status check(base::Deadline deadline) override {
    if (settings_.gateway) {
      // The block of no bytes is the one that every gateway can give.
      return block(crypto::sha256(base::ByteView{}), deadline) ? base::done() : gateway_check(deadline);
    }
    TRY(const auto answer, call("version", "", {}, {}, deadline));
    if (answer.status != 200) return refusal(name(), "the version call", answer.status, message_of(answer.body));
    return base::done();
  }

  base::Result<base::Bytes> get(const Place& place, const base::Digest32& id, base::Deadline deadline) override {
    TRY_OK(check_place(place, tenant_, app_, name()));
    if (dialect_ == Dialect::native) {
      const auto marker = block(crypto::sha256(marker_of(place, id)), deadline);
      if (!marker) {
        // Either way the blob is not this app's as far as anybody can say.
        return marker.error().code == Code::not_found ? absent(name(), id) : marker.error();
      }
    }
    return block(id, deadline);
  }

  base::Result<base::Digest32> put(const Place& place, base::ByteView bytes, base::Deadline deadline) override {
    TRY_OK(check_place(place, tenant_, app_, name()));
    if (settings_.gateway) return Error{Code::usage, name() + " is read-only: it is a gateway", {}, uri()};
    if (seals_) {
      return Error{Code::usage,
                   name() + " cannot keep sealed bytes: everybody can read what is on IPFS",
                   {},
                   uri(),
                   "Encrypt to the app's key first (attestry secret seal) and store without sealing."};
    }
    TRY_OK(check_blob(bytes, max_bytes_));
    const base::Digest32 id = crypto::sha256(bytes);
    TRY_OK(put_block(bytes, id, deadline));
    const auto marker = marker_of(place, id);
    TRY_OK(put_block(marker, crypto::sha256(marker), deadline));
    return id;
  }

 private:
  base::Deadline bounded(base::Deadline deadline) const {
    return std::min(deadline, clock_->steady() + settings_.timeout);
  }

  base::Result<net::Response> call(std::string_view command, const std::string& query, std::string body,
                                   std::string_view content_type, base::Deadline deadline,
                                   std::size_t max_bytes = kMaxAnswer) {
    net::HttpRequest request{.method = net::Method::post,
                             .url = settings_.base + "/api/v0/" + std::string{command} + query,
                             .body = std::move(body),
                             .deadline = bounded(deadline),
                             .max_bytes = max_bytes};
    if (!content_type.empty()) request.headers.add("Content-Type", content_type);
    return http_->send(request);
  }

  /// A block by its hash, checked. Sizes: a block that hides behind a right hash cannot be larger than it is.
  base::Result<base::Bytes> block(const base::Digest32& id, base::Deadline deadline) {
    TRY(auto answer, settings_.gateway ? from_gateway(id, deadline) : from_node(id, deadline));
    if (answer.status == 404 && settings_.gateway) return absent(name(), id);
    if (answer.status != 200) {
      const auto message = message_of(answer.body);
      if (answer.status == 500 && says_absent(message)) return absent(name(), id);
      return refusal(name(), "a read", answer.status, message);
    }
    auto bytes = base::to_bytes(answer.body);
    if (!base::equal(crypto::sha256(bytes), id)) {
      return corrupted(name(), raw_cid(id), id, "content hash mismatch");
    }
    return bytes;
  }

  base::Result<net::Response> from_node(const base::Digest32& id, base::Deadline deadline) {
    TRY(auto answer, call("block/get", "?arg=" + raw_cid(id), {}, {}, deadline, max_bytes_ + kMaxAnswer));
    // Some providers in front of a node let through `cat` only; of a single raw block it gives the same bytes.
    if (answer.status != 404 && answer.status != 405) return answer;
    return call("cat", "?arg=/ipfs/" + raw_cid(id), {}, {}, deadline, max_bytes_ + kMaxAnswer);
  }

  base::Result<net::Response> from_gateway(const base::Digest32& id, base::Deadline deadline) {
    net::HttpRequest request{.url = settings_.base + "/ipfs/" + raw_cid(id) + "?format=raw",
                             .headers = {{"Accept", "application/vnd.ipld.raw"}},
                             .deadline = bounded(deadline),
                             .max_bytes = max_bytes_ + kMaxAnswer};
    return http_->send(request);
  }

  base::Status gateway_check(base::Deadline deadline) {
    TRY(const auto answer, from_gateway(crypto::sha256(base::ByteView{}), deadline));
    if (answer.status != 200 && answer.status != 404) return refusal(name(), "a read", answer.status, {});
    return base::done();
  }

  base::Status put_block(base::ByteView bytes, const base::Digest32& id, base::Deadline deadline) {
    // The boundary is the hash of the content, which the content cannot contain.
    const auto boundary = "attestry-" + base::hex(id);
    std::string body = "--" + boundary + "\r\nContent-Disposition: form-data; name=\"data\"; filename=\"data\"\r\n" +
                       "Content-Type: application/octet-stream\r\n\r\n";
    body.append(base::as_text(bytes)).append("\r\n--" + boundary + "--\r\n");
    // Both spellings: older nodes know `format`, newer ones `cid-codec`.
    TRY(const auto answer, call("block/put", "?cid-codec=raw&format=raw&mhtype=sha2-256&pin=true", std::move(body),
                                "multipart/form-data; boundary=" + boundary, deadline));
    if (answer.status != 200) return refusal(name(), "a write", answer.status, message_of(answer.body));
    const auto document = base::JsonDocument::parse(answer.body);
    const auto key = document ? (*document)->root().find("Key") : std::nullopt;
    if (!key || !key->is_string()) return Error{Code::unavailable, name() + ": the answer to a write names no CID"};
    TRY(const auto text, key->string("Key"));
    const auto hash = sha256_of_cid(text);
    if (!hash || *hash != id) {
      return Error{Code::unavailable, name() + ": the node stored the block under another CID", raw_cid(id),
                   excerpt(text)};
    }
    return base::done();
  }

  const Uri uri_;
  const base::Tenant tenant_;
  const base::AppRef app_;
  const Dialect dialect_;
  const std::size_t max_bytes_;
  const bool seals_;
  const base::Clock* const clock_;
  const Settings settings_;
  const std::shared_ptr<net::HttpTransport> http_;
};

}  // namespace

Opened open_ipfs(Uri uri, const StoreContext& context) {
  if (uri.host.empty() || (!uri.path.empty() && uri.path != "/")) {
    return Error{Code::malformed, "invalid storage location URI: not a node", "ipfs://host:port/", uri.shown()};
  }
  Settings settings;
  settings.gateway = uri.flag("gateway");
  if (const auto timeout = uri.parameter("timeout")) {
    TRY(const auto ms, parse_duration_ms(*timeout), "invalid storage location URI: timeout");
    settings.timeout = std::chrono::milliseconds{ms};
  }
  auto server = uri;
  if (server.port.empty() && !settings.gateway) server.port = "5001";
  settings.base = (uri.flag("tls") ? "https://" : "http://") + server.authority();
  settings.name = "ipfs-" + server.authority();
  TRY(auto http, connect(context, {}));
  return std::unique_ptr<BlobStore>{
      std::make_unique<IpfsStore>(std::move(uri), context, std::move(settings), std::move(http))};
}

}  // namespace attestry::blobs
