#include "tracker/claims.h"

#include <chrono>

#include "base/encoding.h"
#include "base/json_writer.h"

namespace attestry::tracker {

using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutArray;
using base::JsonOutObject;
using base::JsonValue;
using base::Result;

namespace {

constexpr std::int64_t kMostSeconds = (1LL << 53) - 1;
constexpr std::chrono::seconds kPatience{10};

Result<base::Digest32> digest(const JsonValue& body, std::string_view name) {
  TRY(const auto member, body.get(name));
  TRY(const auto text, member.string(name));
  base::Digest32 out{};
  TRY_OK(base::hex_decode_into(text, out), std::string{name});
  return out;
}

Result<JsonValue> array(const JsonValue& body, std::string_view name) {
  TRY(const auto member, body.get(name));
  if (!member.is_array()) return Error{Code::malformed, std::string{name}, "an array"};
  return member;
}

}  // namespace

std::string write_claims(const InstanceId& owner, const std::vector<SpentClaim>& claims) {
  JsonOutArray list;
  list.reserve(claims.size());
  for (const SpentClaim& one : claims)
    list.emplace_back(JsonOutObject{{"id", base::hex(one.id)}, {"last", one.last.seconds}});
  return JsonOut{JsonOutObject{{"instance", base::hex(owner)}, {"claims", std::move(list)}}}.compact();
}

Result<ClaimsBody> read_claims(const JsonValue& body) {
  ClaimsBody out;
  TRY(out.owner, digest(body, "instance"));
  TRY(const auto list, array(body, "claims"));
  if (list.size() > StoredSpent::kMostClaims) {
    return Error{Code::too_large, "claims", "at most " + std::to_string(StoredSpent::kMostClaims),
                 std::to_string(list.size())};
  }
  for (auto one = list.first(); one; one = one->next()) {
    SpentClaim claim;
    TRY(claim.id, digest(*one, "id"));
    TRY(const auto last, one->get("last"));
    TRY(claim.last.seconds, last.integer("last", 0, kMostSeconds));
    out.claims.push_back(claim);
  }
  return out;
}

Result<std::vector<bool>> read_granted(std::string body, std::size_t count) {
  TRY(const auto document, base::JsonDocument::parse(std::move(body)));
  TRY(const auto list, array(document->root(), "granted"));
  if (list.size() != count) {
    return Error{Code::malformed, "granted", std::to_string(count) + " answers", std::to_string(list.size())};
  }
  std::vector<bool> out;
  for (auto one = list.first(); one; one = one->next()) {
    TRY(const bool granted, one->boolean("granted"));
    out.push_back(granted);
  }
  return out;
}

Result<std::vector<bool>> RemoteSpent::ask(const InstanceId& owner, const std::vector<SpentClaim>& claims) const {
  net::HttpRequest request{
      .method = net::Method::post, .url = url_ + "/v1/tracker/claims", .deadline = clock_.steady() + kPatience};
  request.headers.set("Content-Type", "application/json");
  request.headers.set("Authorization", "Bearer " + std::string{base::as_text(token_.reveal())});
  request.body = write_claims(owner, claims);
  TRY(auto answer, http_.send(request));
  if (answer.status != 200) {
    return Error{Code::unavailable, url_ + " refused the claims", "status 200", std::to_string(answer.status),
                 "Look whether its tracker.claimers has this instance with the token of tracker.spent_token."};
  }
  return read_granted(std::move(answer.body), claims.size());
}

void RemoteSpent::claim(const InstanceId& owner, std::vector<SpentClaim> claims, std::string_view, Answer answer) {
  auto granted = ask(owner, claims);
  if (granted) return answer(std::move(granted));
  Error error = std::move(granted).error();
  error.code = Code::unavailable;
  answer(std::move(error));
}

}  // namespace attestry::tracker
