// The log for everybody: checkpoint, leaves, receipts, consistency (C2SP tlog formats, FORMATS 6).
#include <charconv>

#include "api/handlers.h"
#include "base/encoding.h"

namespace attestry::api {

using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutArray;
using base::JsonOutObject;
using base::Result;
using base::Status;

namespace {

constexpr std::uint64_t kMaxLeaves = 1000;

Result<std::uint64_t> number(std::string_view text, std::string_view what) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size() || value >= (std::uint64_t{1} << 53)) {
    return Error{Code::malformed, std::string{what}, "a decimal number below 2^53", std::string{text}};
  }
  return value;
}

Result<std::uint64_t> query_number(const net::Request& request, std::string_view name, std::uint64_t otherwise) {
  const auto text = request.query_value(name);
  if (!text) return otherwise;
  return number(*text, name);
}

net::Response text(std::string body) {
  return {.status = 200, .content_type = "text/plain; charset=utf-8", .body = std::move(body), .headers = {}};
}

Result<net::Response> leaves(const Deps& deps, const net::Request& request) {
  TRY(const auto from, query_number(request, "from", 0));
  TRY(const auto count, query_number(request, "count", 100));
  if (count > kMaxLeaves) return Error{Code::malformed, "count", "at most 1000", std::to_string(count)};
  const auto head = deps.log.head();
  JsonOutArray list;
  for (std::uint64_t i = from; i < head.size && i - from < count; ++i) {
    TRY(auto leaf, deps.log.leaf(i));
    list.emplace_back(JsonOutObject{{"index", i}, {"leaf", JsonOut::Raw{std::move(leaf)}}});
  }
  return net::json_response(200, JsonOut{JsonOutObject{{"size", head.size}, {"leaves", std::move(list)}}});
}

Result<net::Response> receipt(const Deps& deps, const net::Request& request) {
  TRY(const auto index, number(request.parameter("index"), "index"));
  TRY(auto made, deps.log.receipt(index));
  return text(std::move(made));
}

Result<net::Response> consistency(const Deps& deps, const net::Request& request) {
  const auto head = deps.log.head();
  TRY(const auto first, query_number(request, "first", 0));
  TRY(const auto second, query_number(request, "second", head.size));
  if (first > second || second > head.size) {
    return Error{Code::malformed, "first and second", "first <= second <= " + std::to_string(head.size), {}};
  }
  TRY(const auto proof, deps.log.consistency(first, second));
  JsonOutArray list;
  for (const auto& hash : proof) list.emplace_back(base::base64(hash));
  return net::json_response(200,
                            JsonOut{JsonOutObject{{"first", first}, {"second", second}, {"proof", std::move(list)}}});
}

net::Route open_route(std::string path, std::string id, std::string summary, std::string schema, net::Handler handler) {
  return {.path = std::move(path),
          .auth = net::Auth::none,
          .operation_id = std::move(id),
          .summary = std::move(summary),
          .response_schema = std::move(schema),
          .tag = "log",
          .handler = std::move(handler)};
}

const std::string kNumberSchema = R"({"type":"integer","minimum":0,"maximum":9007199254740991})";

}  // namespace

Status add_log_routes(net::Router& router, const Deps& deps) {
  auto checkpoint =
      open_route("/v1/log/checkpoint", "log_checkpoint", "The newest signed checkpoint (C2SP tlog-checkpoint)", "Text",
                 sync([&deps](net::Request&) -> Result<net::Response> { return text(deps.log.checkpoint()); }));
  checkpoint.produces = "text/plain";
  TRY_OK(router.add(std::move(checkpoint)));
  auto list = open_route("/v1/log/leaves", "log_leaves", "Leaves of the log in order", "LeafList",
                         sync([&deps](net::Request& request) { return leaves(deps, request); }));
  list.query = {{"from", "index of the first leaf", kNumberSchema, false},
                {"count", "how many, at most 1000", R"({"type":"integer","minimum":0,"maximum":1000})", false}};
  TRY_OK(router.add(std::move(list)));
  auto proof = open_route("/v1/log/leaves/{index}/receipt", "log_receipt", "The receipt of a leaf (C2SP tlog-proof)",
                          "Text", sync([&deps](net::Request& request) { return receipt(deps, request); }));
  proof.produces = "text/plain";
  TRY_OK(router.add(std::move(proof)));
  auto between = open_route("/v1/log/consistency", "log_consistency",
                            "Proof that one head extends another (RFC 9162 section 2.1.4)", "Consistency",
                            sync([&deps](net::Request& request) { return consistency(deps, request); }));
  between.query = {{"first", "size of the older tree", kNumberSchema, false},
                   {"second", "size of the newer tree; default: now", kNumberSchema, false}};
  return router.add(std::move(between));
}

}  // namespace attestry::api
