#include "blobs/internal/sigv4.h"

#include <algorithm>

#include "base/encoding.h"
#include "crypto/hash.h"

namespace attestry::blobs {
namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";

/// "20261122T014901Z"
std::string basic_time(base::UtcTime now) {
  auto text = base::to_rfc3339(now);
  std::erase_if(text, [](char c) { return c == '-' || c == ':'; });
  return text;
}

base::Digest32 hmac(base::ByteView key, std::string_view text) {
  return crypto::hmac_sha256(key, base::as_bytes(text));
}

base::Digest32 signing_key(base::ByteView secret_key, std::string_view date, std::string_view region) {
  constexpr std::string_view kPrefix = "AWS4";
  crypto::Secret first{kPrefix.size() + secret_key.size()};
  const auto rest = std::copy(kPrefix.begin(), kPrefix.end(), first.writable().begin());
  std::copy(secret_key.begin(), secret_key.end(), rest);
  auto key = hmac(first.reveal(), date);
  for (const auto step : {region, std::string_view{"s3"}, std::string_view{"aws4_request"}}) {
    auto next = hmac(key, step);
    crypto::wipe(key);
    key = next;
    crypto::wipe(next);
  }
  return key;
}

}  // namespace

std::string canonical_query(std::vector<std::pair<std::string, std::string>> query) {
  for (auto& [name, value] : query) {
    name = net::percent_encode(name);
    value = net::percent_encode(value);
  }
  std::sort(query.begin(), query.end());
  std::string out;
  for (const auto& [name, value] : query) out.append(out.empty() ? "" : "&").append(name).append("=").append(value);
  return out;
}

net::Headers unsigned_v4(const SigV4Request& request) {
  net::Headers out;
  out.add("Host", request.host);
  return out;
}

net::Headers sign_v4(const SigV4Request& request, std::string_view access_key, base::ByteView secret_key,
                     std::string_view session_token) {
  const auto time = basic_time(request.now);
  const auto date = time.substr(0, 8);
  const auto body_hash = base::hex(crypto::sha256(request.body));
  std::vector<std::pair<std::string_view, std::string_view>> fields{
      {"host", request.host}, {"x-amz-content-sha256", body_hash}, {"x-amz-date", time}};
  if (!session_token.empty()) fields.emplace_back("x-amz-security-token", session_token);

  net::Headers out;
  std::string names;
  std::string canonical = std::string{request.method} + "\n" + std::string{request.path} + "\n";
  canonical.append(canonical_query(request.query)).append("\n");
  for (const auto& [name, value] : fields) {
    out.add(name, value);
    names.append(names.empty() ? "" : ";").append(name);
    canonical.append(name).append(":").append(value).append("\n");
  }
  canonical.append("\n").append(names).append("\n").append(body_hash);

  const auto scope = date + "/" + std::string{request.region} + "/s3/aws4_request";
  const auto text = std::string{kAlgorithm} + "\n" + time + "\n" + scope + "\n" +
                    base::hex(crypto::sha256(base::as_bytes(canonical)));
  auto key = signing_key(secret_key, date, request.region);
  const auto signature = base::hex(hmac(key, text));
  crypto::wipe(key);
  out.add("Authorization", std::string{kAlgorithm} + " Credential=" + std::string{access_key} + "/" + scope +
                               ", SignedHeaders=" + names + ", Signature=" + signature);
  return out;
}

}  // namespace attestry::blobs
