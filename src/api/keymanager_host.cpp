#include "api/keymanager_host.h"

#include <set>
#include <string>

#include "api/keymanager_wire.h"
#include "base/encoding.h"
#include "crypto/hash.h"

namespace attestry::api {

using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutObject;
using base::Result;
using base::Status;
using provision::KeyManagerDialect;
using provision::KeyManagerNewcomer;
using provision::KeyManagerOnboarded;

namespace {

constexpr std::size_t kMaxBody = 1u << 20;
constexpr std::size_t kMaxQuote = 256u << 10;

std::string_view bare(std::string_view hex) { return hex.starts_with("0x") ? hex.substr(2) : hex; }
std::string hex0x(base::ByteView bytes) { return "0x" + base::hex(bytes); }

/// "a=1&b=2", percent-encoded (the form of HTML and of every HTTP client).
Result<net::Pairs> form_of(std::string_view body) {
  TRY(auto target, net::parse_target("/?" + std::string{body}), "form");
  return std::move(target.query);
}

Result<net::Pairs> members_of(std::string_view media_type, std::string_view body) {
  if (media_type != "application/json") return form_of(body);
  TRY(const auto document, base::JsonDocument::parse(std::string{body}), "body");
  TRY_OK(document->root().only({"pubk", "quote", "addr", "rootfs"}), "body");
  net::Pairs out;
  for (auto member = document->root().first(); member; member = member->next()) {
    TRY(auto text, member->string(member->key()));
    out.emplace_back(member->key(), std::move(text));
  }
  return out;
}

struct Handlers {
  KeyManagerHostDeps deps;

  KeyManagerDialect dialect() const { return deps.manager.options().dialect; }
  void refuse(net::Responder& responder, const Error& error) const {
    const auto trace = responder.trace();
    responder.send(keymanager_error(error, dialect(), trace));
  }

  /// On a thread that may wait.
  void later(net::Request request, net::Responder responder,
             Result<net::Response> (Handlers::*act)(const net::Request&) const) const {
    if (const auto program = require_no_browser(request); !program) return refuse(responder, program.error());
    auto asked = std::make_shared<std::pair<net::Request, net::Responder>>(std::move(request), std::move(responder));
    std::move_only_function<void()> task = [this, asked, act] {
      auto made = (this->*act)(asked->first);
      if (!made) return refuse(asked->second, made.error());
      asked->second.send(*std::move(made));
    };
    if (!deps.run_waiting(task)) refuse(asked->second, {Code::unavailable, "too many ask at the same time"});
  }

  Result<net::Response> bootstrap(const net::Request& request) const {
    const bool rotate = request.query_value("rotate") == "true";
    const bool before = deps.manager.standing().pending.has_value();
    auto made = deps.manager.bootstrap(rotate, request.deadline);
    const bool again = (before && !rotate) || (!made && made.error().code == Code::conflict);
    // The known services said so, and no more.
    if (again && dialect() != KeyManagerDialect::native && !wants_json(request)) {
      return keymanager_text(200, "Already bootstrapped");
    }
    if (!made) return std::move(made).error();
    if (!wants_json(request)) {
      return keymanager_text(200, "Bootstrap key: " + curves::address_checksum_text(made->address) +
                                      "\n     quote: " + base::hex(made->evidence));
    }
    JsonOutObject out{{"addr", curves::address_checksum_text(made->address)},
                      {"epoch", made->epoch},
                      {"quote", hex0x(made->evidence)},
                      {"evidence_sha256", hex0x(crypto::sha256(made->evidence))},
                      {"report_data", hex0x(made->report_data)}};
    if (made->rotation) out.emplace_back("sig", hex0x(*made->rotation));
    return secret_json(JsonOut{std::move(out)});
  }

  Result<net::Response> registration(const net::Request& request) const {
    std::optional<curves::Address> payer;
    if (const auto text = request.query_value("payer")) {
      TRY(payer, curves::parse_address(*text), "payer");
    }
    TRY(const auto made, deps.manager.registration(payer, request.deadline));
    if (dialect() == KeyManagerDialect::keymanager && !wants_json(request)) return keymanager_text(200, "/register");
    JsonOutObject out{{"addr", curves::address_checksum_text(made.member)},
                      {"pubk", base::hex(made.box_key)},
                      {"quote", base::hex(made.evidence)},
                      {"evidence_sha256", base::hex(made.evidence_sha256)},
                      {"report_data", base::hex(made.report_data)},
                      {"epoch", made.epoch}};
    if (made.join) out.emplace_back("sig", base::hex(*made.join));
    return secret_json(JsonOut{std::move(out)});
  }

  Result<net::Response> request_key(const net::Request& request) const {
    TRY(const auto made, deps.manager.replica_request(request.deadline));
    return secret_json(JsonOut{JsonOutObject{{"pubk", base::hex(made.box_key)}, {"quote", base::hex(made.evidence)}}});
  }

  Result<net::Response> resign(const net::Request& request) const {
    TRY(const auto made, deps.manager.resignation(request.deadline));
    return secret_json(JsonOut{JsonOutObject{
        {"addr", curves::address_checksum_text(made.member)}, {"epoch", made.epoch}, {"sig", hex0x(made.signature)}}});
  }

  Result<std::uint32_t> take(std::string_view hex, base::Deadline deadline) const {
    TRY(const auto box, base::hex_decode(bare(hex)), "sealed master key");
    return deps.manager.accept(box, deadline);
  }

  Result<net::Response> receive(const net::Request& request) const {
    TRY(const auto epoch, take(request.parameter("enckey"), request.deadline));
    if (!wants_json(request)) return keymanager_text(200, "/register/" + std::string{request.parameter("enckey")});
    return secret_json(JsonOut{JsonOutObject{{"epoch", epoch}, {"state", deps.manager.standing().state}}});
  }

  Result<net::Response> receive_key(const net::Request& request) const {
    std::string_view body = request.body;
    while (body.ends_with('\n') || body.ends_with('\r')) body.remove_suffix(1);
    TRY([[maybe_unused]] const auto epoch, take(body, request.deadline));
    return keymanager_text(200, "Loaded encrypted state");
  }

  enum class Answer : std::uint8_t { native, dstack_vm, replicatoor };

  static net::Response onboarded(const KeyManagerNewcomer& newcomer, const KeyManagerOnboarded& made, Answer answer) {
    if (answer == Answer::replicatoor) return keymanager_text(200, base::hex(made.box));
    if (answer == Answer::dstack_vm) {
      return secret_json(JsonOut{JsonOutObject{{"ciph", base::hex(made.box)}, {"sig", base::hex(made.signature)}}});
    }
    JsonOutObject out{{"addr", curves::address_checksum_text(newcomer.peer.address)},
                      {"pubk", hex0x(newcomer.peer.box_key)},
                      {"epoch", made.epoch},
                      {"fmspc", hex0x(made.fmspc)},
                      {"mrtd", hex0x(made.measurement)},
                      {"ciph", hex0x(made.box)},
                      {"sig", hex0x(made.signature)}};
    return secret_json(JsonOut{std::move(out)});
  }

  /// What the replicatoor said of a newcomer; nothing where it had no words.
  static std::optional<net::Response> replicatoors_refusal(const Error& error) {
    if (error.what.ends_with(provision::kNotListed)) return keymanager_text(401, "rtmrs check failed");
    if (error.code != Code::evidence_false || !error.what.contains("made for something else")) return std::nullopt;
    return keymanager_text(400, "Invalid report_data ref:" + error.expected + " val:" + error.found);
  }

  void send_onboarded(net::Responder& responder, const KeyManagerNewcomer& newcomer,
                      const Result<KeyManagerOnboarded>& made, Answer answer) const {
    if (made) return responder.send(onboarded(newcomer, *made, answer));
    if (answer == Answer::replicatoor && dialect() != KeyManagerDialect::native) {
      if (auto words = replicatoors_refusal(made.error())) return responder.send(*std::move(words));
    }
    refuse(responder, made.error());
  }

  void onboard(net::Request request, net::Responder responder, bool helper) const {
    if (const auto program = require_no_browser(request); !program) return refuse(responder, program.error());
    auto newcomer = parse_keymanager_newcomer(request.media_type(), request.body);
    if (!newcomer) return refuse(responder, newcomer.error());
    Answer answer = Answer::native;
    const bool all = wants_json(request);
    if (helper) {
      const auto said = curves::parse_address(request.parameter("addr"));
      if (!said) return refuse(responder, said.error());
      newcomer->peer.address = *said;
    } else if (newcomer->peer.address == curves::Address{}) {
      if (!all) answer = Answer::replicatoor;
    } else if (dialect() == KeyManagerDialect::dstack_vm && !all) {
      answer = Answer::dstack_vm;
    }
    auto shared = std::make_shared<net::Responder>(std::move(responder));
    std::move_only_function<void()> task = [this, shared, answer, asked = *std::move(newcomer),
                                            deadline = request.deadline] {
      deps.manager.onboard(asked, deadline, [this, shared, answer, asked](const Result<KeyManagerOnboarded>& made) {
        send_onboarded(*shared, asked, made, answer);
      });
    };
    if (!deps.run_waiting(task)) refuse(*shared, {Code::unavailable, "too many ask at the same time"});
  }

  void no_evidence(net::Responder responder) const {
    refuse(responder, {Code::malformed, "a newcomer is helped by its evidence",
                       "POST with pubk and quote, as a form or as JSON", "GET"});
  }
};

using Shared = std::shared_ptr<const Handlers>;
using Act = Result<net::Response> (Handlers::*)(const net::Request&) const;

Status add(net::Router& router, const Shared& handlers, net::Method method, std::string path, std::string id,
           std::string summary, Act act, std::vector<net::QueryParameter> query = {}) {
  auto route = keymanager_route(net::Role::keymanager_host, method, std::move(path),
                                id + (method == net::Method::get ? "_get" : ""), std::move(summary));
  know_query(route, handlers->dialect(), std::move(query));
  if (method == net::Method::post) route.body_limit = kMaxBody;
  route.handler = [handlers, act](net::Request request, net::Responder responder) {
    handlers->later(std::move(request), std::move(responder), act);
  };
  return router.add(std::move(route));
}

Status add_onboard(net::Router& router, const Shared& handlers, std::string path, std::string id, bool helper) {
  auto route = keymanager_route(net::Role::keymanager_host, net::Method::post, std::move(path), id,
                                "Seals the master key to a newcomer that the contract allows");
  know_query(route, handlers->dialect());
  route.auth = net::Auth::evidence;
  route.body_limit = kMaxBody;
  route.handler = [handlers, helper](net::Request request, net::Responder responder) {
    handlers->onboard(std::move(request), std::move(responder), helper);
  };
  return router.add(std::move(route));
}

}  // namespace

Result<KeyManagerNewcomer> parse_keymanager_newcomer(std::string_view media_type, std::string_view body) {
  TRY(const auto members, members_of(media_type, body));
  KeyManagerNewcomer out;
  bool has_key = false;
  std::set<std::string_view> seen;
  for (const auto& [name, value] : members) {
    if (!seen.insert(name).second) return Error{Code::malformed, "newcomer", "each member once", name};
    if (name == "pubk") {
      TRY_OK(base::hex_decode_into(bare(value), out.peer.box_key), "pubk");
      has_key = true;
    } else if (name == "quote") {
      TRY(out.evidence, base::hex_decode(bare(value)), "quote");
    } else if (name == "addr") {
      TRY(out.peer.address, curves::parse_address(value), "addr");
    } else if (name == "rootfs") {
      out.rootfs.emplace();
      TRY_OK(base::hex_decode_into(bare(value), *out.rootfs), "rootfs");
    } else {
      return Error{Code::malformed, "newcomer", "pubk, quote, addr, rootfs", name};
    }
  }
  if (!has_key || out.evidence.empty() || out.evidence.size() > kMaxQuote) {
    return Error{Code::malformed, "newcomer", "pubk and quote, in hex", std::to_string(members.size()) + " members"};
  }
  return out;
}

Status register_keymanager_host(net::Router& router, const KeyManagerHostDeps& deps) {
  const auto handlers = std::make_shared<const Handlers>(Handlers{deps});
  for (const auto method : {net::Method::get, net::Method::post}) {
    TRY_OK(add(router, handlers, method, "/bootstrap", "bootstrap",
               "Makes a master key for the contract to put in force", &Handlers::bootstrap,
               {{"rotate", "true: of the next epoch", R"({"type":"string","enum":["true","false"]})"}}));
    TRY_OK(add(router, handlers, method, "/register", "register", "Keys and evidence to join with",
               &Handlers::registration, {{"payer", "Address of who pays for the request"}}));
    TRY_OK(add(router, handlers, method, "/register/{enckey}", "register_key", "Takes the sealed master key",
               &Handlers::receive));
  }
  TRY_OK(add(router, handlers, net::Method::post, "/requestKey", "request_key", "The replicatoor's request",
             &Handlers::request_key));
  TRY_OK(add(router, handlers, net::Method::post, "/resign", "resign", "The server's word that it goes",
             &Handlers::resign));
  TRY_OK(add(router, handlers, net::Method::post, "/receiveKey", "receive_key", "Takes the sealed master key",
             &Handlers::receive_key));
  TRY_OK(add_onboard(router, handlers, "/onboard", "onboard", false));
  TRY_OK(add_onboard(router, handlers, "/helper/{addr}", "helper", true));
  auto helper = keymanager_route(net::Role::keymanager_host, net::Method::get, "/helper/{addr}", "helper_get",
                                 "Says how a newcomer is helped");
  helper.handler = [handlers](const net::Request&, net::Responder responder) {
    handlers->no_evidence(std::move(responder));
  };
  TRY_OK(router.add(std::move(helper)));
  return add_keymanager_standing(router, net::Role::keymanager_host, deps.manager, StatusDetail::all);
}

}  // namespace attestry::api
