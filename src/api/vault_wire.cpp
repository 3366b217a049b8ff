#include "api/vault_wire.h"

#include <algorithm>
#include <charconv>

#include "base/encoding.h"

namespace attestry::api {

using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutArray;
using base::JsonOutObject;
using base::Result;
using base::Status;
using secrets::Capability;

namespace {

std::string request_id(crypto::Random& random) {
  auto id = random.bytes<16>();
  id[6] = static_cast<std::uint8_t>((id[6] & 0x0f) | 0x40);
  id[8] = static_cast<std::uint8_t>((id[8] & 0x3f) | 0x80);
  std::string text = base::hex(id);
  for (const std::size_t at : {8u, 13u, 18u, 23u}) text.insert(at, "-");
  return text;
}

net::Response envelope(const VaultCall& call, std::string_view data, std::string_view auth,
                       std::string_view mount_type) {
  std::string out;
  out.reserve(data.size() + auth.size() + 256);
  out.append(R"({"request_id":")").append(request_id(call.deps.random));
  out.append(R"(","lease_id":"","renewable":false,"lease_duration":0,"data":)").append(data);
  out.append(R"(,"wrap_info":null,"warnings":null,"auth":)").append(auth);
  if (!mount_type.empty()) out.append(R"(,"mount_type":")").append(mount_type).append("\"");
  out.append("}\n");
  auto response = net::json_response(200, std::move(out));
  response.headers.add("Cache-Control", "no-store");
  return response;
}

int status_of(Code code) {
  switch (code) {
    case Code::malformed:
    case Code::usage:
    case Code::conflict:
    case Code::replayed:
    case Code::evidence_false:
    case Code::challenge_expired:
    case Code::crypto:
      return 400;
    case Code::denied:
    case Code::unauthenticated:
      return 403;
    case Code::too_large:
    case Code::not_found:
    case Code::method_not_allowed:
    case Code::unsupported_media:
    case Code::rate_limited:
    case Code::unavailable:
    case Code::collateral_missing:
    case Code::deadline_exceeded:
    case Code::configuration:
    case Code::wrong_key:
    case Code::realm_mismatch:
    case Code::corrupt:
    case Code::io:
    case Code::internal:
      return base::http_status(code);
  }
  return 500;
}

}  // namespace

std::optional<base::JsonValue> VaultCall::root() const {
  if (!body) return std::nullopt;
  return body->root();
}

std::optional<base::JsonValue> VaultCall::member(std::string_view name) const {
  if (!body) return std::nullopt;
  auto found = body->root().find(name);
  if (found && found->is_null()) return std::nullopt;
  return found;
}

void VaultCall::send(net::Response response) { responder.send(std::move(response)); }
void VaultCall::fail(const Error& error) { responder.send(vault_error(error)); }

net::Response vault_errors(int status, const std::vector<std::string>& messages) {
  auto response =
      net::json_response(status, JsonOut{base::JsonOutObject{{"errors", json_texts(messages)}}}.compact() + "\n");
  response.headers.add("Cache-Control", "no-store");
  return response;
}

net::Response vault_error(const Error& error) {
  const int status = status_of(error.code);
  // Vault says nothing of what is not there.
  if (error.code == Code::not_found && error.found.empty()) return vault_errors(404, {});
  auto response = vault_errors(status, {error.expected.empty() && error.found.empty() ? error.what : error.text()});
  if (status == 429) response.headers.add("Retry-After", error.found.empty() ? "1" : error.found);
  return response;
}

Error permission_denied() { return {Code::denied, "permission denied"}; }

Error unsupported_path(const VaultCall& call) {
  return {Code::not_found, "no handler for route \"" + call.path + "\". route entry not found.",
          "a path of KV, transit, token or sys", call.path,
          "docs/how-to/use-vault-clients.md lists what this server offers."};
}

net::Response vault_data(const VaultCall& call, std::string_view data_json, std::string_view mount_type) {
  return envelope(call, data_json, "null", mount_type);
}
net::Response vault_secret(const VaultCall& call, const SecretText& data_json, std::string_view mount_type) {
  auto response = envelope(call, data_json.view(), "null", mount_type);
  response.wipe = true;
  return response;
}
net::Response vault_auth(const VaultCall& call, const secrets::Token& token, std::string_view secret) {
  JsonOutObject said{
      {"accessor", token.accessor},
      {"policies", json_texts(token.policies)},
      {"token_policies", json_texts(token.policies)},
      {"metadata", nullptr},
      {"lease_duration",
       token.expires.seconds == 0 ? 0 : std::max<std::int64_t>(0, token.expires.seconds - call.now.seconds)},
      {"renewable", token.renewable},
      {"entity_id", ""},
      {"token_type", "service"},
      {"orphan", !token.parent.has_value()},
      {"mfa_requirement", nullptr},
      {"num_uses", 0}};
  if (!token.metadata.empty()) {
    JsonOutObject metadata;
    for (const auto& [name, value] : token.metadata) metadata.emplace_back(name, value);
    said[3].second = std::move(metadata);
  }
  SecretText auth;
  auth.append(R"({"client_token":)").append_json(secret).append(",");
  auth.append(std::string_view{JsonOut{std::move(said)}.compact()}.substr(1));
  auto response = envelope(call, "null", auth.view(), "token");
  response.wipe = true;
  return response;
}

SecretText& SecretText::operator=(SecretText&& other) noexcept {
  if (this == &other) return *this;
  wipe();
  text_ = std::move(other.text_);
  other.wipe();
  return *this;
}

void SecretText::wipe() noexcept {
  // Also what a short text leaves behind in the object, and what lies behind a text's end.
  text_.resize(text_.capacity());
  crypto::wipe({reinterpret_cast<std::uint8_t*>(text_.data()), text_.size()});
  text_.clear();
}

SecretText& SecretText::append(std::string_view more) {
  if (text_.size() + more.size() > text_.capacity()) {
    std::string larger;
    larger.reserve(std::max(2 * text_.capacity(), text_.size() + more.size()));
    larger.append(text_);
    wipe();
    text_ = std::move(larger);
  }
  text_.append(more);
  return *this;
}

SecretText& SecretText::append_json(std::string_view more) {
  std::string text;
  text.reserve(6 * more.size() + 2);  // never to be moved: every byte may be escaped
  base::append_json_string(text, more);
  const SecretText quoted{std::move(text)};
  return append(quoted.view());
}

namespace {

/// A policy speaks of paths below its token's namespace. None: the path lies elsewhere.
std::optional<std::string> seen_by(const secrets::Token& token, const VaultCall& call, std::string_view path) {
  std::string full = call.space->path.empty() ? std::string{path} : call.space->path + "/" + std::string{path};
  if (token.space.empty()) return full;
  if (!full.starts_with(token.space) || full.size() <= token.space.size() || full[token.space.size()] != '/') {
    return std::nullopt;
  }
  return full.substr(token.space.size() + 1);
}

secrets::Capabilities set_of(std::initializer_list<secrets::Capability> capabilities) {
  secrets::Capabilities out;
  for (const auto one : capabilities) out.add(one);
  return out;
}

Result<secrets::Capabilities> judged(const VaultCall& call, std::string_view path) {
  if (!call.token) return secrets::Capabilities{};
  const auto seen = seen_by(*call.token, call, path);
  if (!seen) return secrets::Capabilities{};
  if (call.view != nullptr) return call.deps.tokens.capabilities(*call.view, *call.token, *seen);
  return call.deps.tokens.capabilities(*call.token, *seen);
}

Status need(const VaultCall& call, std::string_view path, secrets::Capabilities any_of) {
  TRY(const auto has, judged(call, path));
  if (!has.has_any(any_of)) return permission_denied();
  if (call.view == nullptr) call.needs.push_back({std::string{path}, any_of});
  return base::done();
}

/// The rules have changed since the call was judged, or are being changed: the same questions again, asked of the
/// transaction, so that a change and a release have the order that the log shows (docs/decisions/0015).
Status judge_again(VaultCall& call, const state::WriteTxn& txn) {
  const auto same = [&](std::string_view path, std::uint64_t id) -> Result<secrets::Namespace> {
    auto now = secrets::Namespaces::stored(txn, path);
    if (now && now->id == id) return now;
    if (!now && now.error().code != Code::not_found) return now;
    return permission_denied();
  };
  TRY(auto space, same(call.space->path, call.space->id));
  if (const secrets::Mount* mount = call.space->mount_of(call.path)) {
    const secrets::Mount* now = space.mount_of(call.path);
    if (now == nullptr || now->path != mount->path || now->engine != mount->engine) return unsupported_path(call);
  }
  call.former = std::exchange(call.space, std::make_shared<const secrets::Namespace>(std::move(space)));
  if (!call.token) return base::done();
  TRY_OK(same(call.token->space, call.token->space_id));
  call.view = &txn;
  for (const auto& asked : call.needs) TRY_OK(need(call, asked.path, asked.any_of));
  return base::done();
}

void commit_task(const CallPtr& call, Work work, Settle settle, bool rules) {
  struct Task {
    Work work;
    Settle settle;
    bool rules;
    bool begun = false;
    std::optional<net::Response> response{};
  };
  if (const auto usable = call->deps.store.clock_usable(); !usable) return call->fail(usable.error());
  call->deps.secrets.remember_keys(call->space->tenant);
  auto task = std::make_shared<Task>(Task{std::move(work), std::move(settle), rules});
  state::Store& store = call->deps.store;
  store.write(
      [call, task](state::WriteTxn& txn) -> Status {
        auto& changes = call->deps.tokens.changes();
        call->view = nullptr;  // of a run before, that the store took back
        call->again = nullptr;
        if (call->token) TRY_OK(call->deps.tokens.require(txn, *call->token, call->now));
        if (!changes.none_since(call->seen)) TRY_OK(judge_again(*call, txn));
        if (task->rules && !std::exchange(task->begun, true)) changes.begin();
        auto response = task->work(txn);
        call->view = nullptr;
        TRY(task->response, std::move(response));
        return base::done();
      },
      [call, task](Status done) {
        // After a failed commit or hook the store may have the change or not: memory takes what is there.
        if (task->begun) {
          const auto settled = task->settle();
          if (settled) call->deps.tokens.changes().end();
          if (done) done = settled;
        } else if (done && task->settle) {
          done = task->settle();
        }
        // Not after a failed commit: an outage would look like whatever the next try finds.
        if (call->again && (done || done.error().code != Code::unavailable))
          return later(call, std::exchange(call->again, nullptr));
        if (!done) return call->fail(done.error());
        call->send(*std::move(task->response));
      });
}

}  // namespace

secrets::Capabilities capabilities_of(const VaultCall& call, std::string_view path) {
  const auto found = judged(call, path);
  return found ? *found : secrets::Capabilities{};
}

bool reaches_below(const VaultCall& call, std::string_view prefix) {
  const auto seen = seen_by(*call.token, call, prefix);
  return seen && call.deps.tokens.reaches_below(*call.token, *seen);
}

Status allowed(const VaultCall& call, Capability capability) { return need(call, call.path, set_of({capability})); }

Status allowed_to_try(const VaultCall& call) {
  if (call.verb != VaultVerb::write) return allowed(call);
  return need(call, call.path, set_of({Capability::create, Capability::update}));
}

Status may_write(const VaultCall& call, bool exists) {
  return allowed(call, exists ? Capability::update : Capability::create);
}

Status may_change(const VaultCall& call, bool exists) {
  return exists ? allowed(call, Capability::update) : allowed_to_try(call);
}

Status allowed(const VaultCall& call) {
  switch (call.verb) {
    case VaultVerb::read:
      return allowed(call, Capability::read);
    case VaultVerb::list: {
      // As Vault does: a rule for "folder/" and one for "folder" both speak of the list.
      const auto below = capabilities_of(call, call.path + "/");
      if (below.has(Capability::list)) return base::done();
      return below.has(Capability::deny) ? Status{permission_denied()} : allowed(call, Capability::list);
    }
    case VaultVerb::write:
      return allowed(call, Capability::update);
    case VaultVerb::patch:
      return allowed(call, Capability::patch);
    case VaultVerb::delete_:
      return allowed(call, Capability::delete_);
  }
  return permission_denied();
}

void commit(const CallPtr& call, Work work, Settle settle) {
  commit_task(call, std::move(work), std::move(settle), false);
}

void commit_rules(const CallPtr& call, Work work, Settle settle) {
  commit_task(call, std::move(work), std::move(settle), true);
}

void later(const CallPtr& call, FairLane::Task task) {
  if (call->deps.lane.run(call->token ? call->token->accessor : std::string{}, task)) return;
  call->fail(Error{Code::rate_limited, "too much that takes long is on its way", {}, "1", "Try again a little later."});
}

void answer(const CallPtr& call, const std::function<Answer(const state::ReadView&)>& work) {
  const auto view = call->deps.store.read();
  if (!view) return call->fail(view.error());
  if (call->token) {
    if (const auto valid = call->deps.tokens.require(**view, *call->token, call->now); !valid) {
      return call->fail(valid.error());
    }
  }
  auto response = work(**view);
  if (!response) return call->fail(response.error());
  call->send(*std::move(response));
}

Result<std::uint64_t> add_leaf(const VaultCall& call, state::WriteTxn& txn, const VaultLeaf& leaf,
                               net::Response& response) {
  const auto key = call.deps.random.secret(32);
  audit::Leaf out;
  out.type = leaf.type;
  out.realm = call.deps.store.realm();
  out.audience = call.deps.log.origin();
  out.tenant = call.space->tenant;
  out.time = call.now;
  const auto commit_to = [&](const char* label, base::ByteView value) {
    out.outputs[label] = audit::commitment(key, label, value);
  };
  commit_to("subject", base::as_bytes(leaf.subject));
  if (!leaf.value.empty()) commit_to("value", leaf.value);
  const secrets::Token* token = leaf.token != nullptr ? leaf.token : call.token.get();
  if (token != nullptr) {
    commit_to("accessor", base::as_bytes(token->accessor));
    if (token->attested) out.app = token->attested->app.text();
  }
  TRY(const auto index, call.deps.log.append(txn, out));
  response.headers.set("X-Attestry-Leaf", std::to_string(index));
  response.headers.set("X-Attestry-Leaf-Key", base::base64url(key.reveal()));
  return index;
}

Result<std::optional<std::string>> text_of(const VaultCall& call, std::string_view name) {
  const auto value = call.member(name);
  if (!value) return std::optional<std::string>{};
  TRY(auto text, value->string(name));
  return std::optional{std::move(text)};
}

Result<std::optional<bool>> flag_of(const VaultCall& call, std::string_view name) {
  const auto value = call.member(name);
  if (!value) return std::optional<bool>{};
  // Vault takes texts, too, and its command line sends them.
  const auto text = value->plain_string().value_or(std::string_view{});
  if (text == "true" || text == "1") return std::optional{true};
  if (text == "false" || text == "0") return std::optional{false};
  TRY(const bool flag, value->boolean(name));
  return std::optional{flag};
}

Result<std::int64_t> whole_number(std::string_view text, std::string_view name) {
  std::int64_t number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed == std::errc{} && end == text.data() + text.size()) return number;
  return Error{Code::malformed, std::string{name}, "a whole number", std::string{text.substr(0, 32)}};
}

Result<std::optional<std::int64_t>> number_of(const base::JsonValue& value, std::string_view name) {
  constexpr std::int64_t kMost = std::int64_t{1} << 52;
  if (value.is_string()) {
    TRY(const auto text, value.string(name));
    TRY(const auto number, whole_number(text, name));
    return std::optional{number};
  }
  TRY(const auto number, value.integer(name, -kMost, kMost));
  return std::optional{number};
}

Result<std::optional<std::int64_t>> number_of(const VaultCall& call, std::string_view name) {
  const auto value = call.member(name);
  if (!value) return std::optional<std::int64_t>{};
  return number_of(*value, name);
}

Result<std::int64_t> seconds_from(std::string_view text) {
  const auto bad = [&] {
    return Error{Code::malformed, "duration", "seconds, or numbers with d, h, m or s", std::string{text.substr(0, 32)}};
  };
  constexpr std::int64_t kMost = std::int64_t{1} << 40;
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  if (text.empty()) return bad();
  std::int64_t total = 0;
  while (!text.empty()) {
    std::int64_t number = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (failed != std::errc{} || number < 0 || number > kMost) return bad();
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    std::int64_t unit = 1;
    if (!text.empty()) {
      constexpr std::string_view kUnits = "smhd";
      constexpr std::int64_t kSeconds[] = {1, 60, 3600, 86400};
      const auto at = kUnits.find(text.front());
      if (at == std::string_view::npos) return bad();
      unit = kSeconds[at];
      text.remove_prefix(1);
    }
    total += number * unit;
    if (total > kMost) return bad();
  }
  return negative ? -total : total;
}

Result<std::optional<std::int64_t>> seconds_of(const VaultCall& call, std::string_view name) {
  const auto value = call.member(name);
  if (!value) return std::optional<std::int64_t>{};
  if (!value->is_string()) return number_of(*value, name);
  TRY(const auto text, value->string(name));
  if (text.empty()) return std::optional<std::int64_t>{};
  auto seconds = seconds_from(text);
  if (!seconds) return std::move(seconds.error().at(name));
  return std::optional{*seconds};
}

Result<std::optional<std::vector<std::string>>> texts_of(const VaultCall& call, std::string_view name) {
  const auto value = call.member(name);
  if (!value) return std::optional<std::vector<std::string>>{};
  std::vector<std::string> out;
  if (value->is_array()) {
    for (auto item = value->first(); item; item = item->next()) {
      TRY(auto text, item->string(name));
      out.push_back(std::move(text));
    }
    return std::optional{std::move(out)};
  }
  TRY(const auto text, value->string(name));
  for (std::string_view rest = text; !rest.empty();) {
    const auto comma = rest.find(',');
    if (comma != 0) out.emplace_back(rest.substr(0, comma));
    rest = comma == std::string_view::npos ? std::string_view{} : rest.substr(comma + 1);
  }
  return std::optional{std::move(out)};
}

Result<std::optional<std::map<std::string, std::string>>> map_of(const base::JsonValue& object, std::string_view name) {
  using Map = std::map<std::string, std::string>;
  const auto value = object.find(name);
  if (!value || value->is_null()) return std::optional<Map>{};
  if (!value->is_object()) return Error{Code::malformed, std::string{name}, "an object of texts"};
  Map out;
  for (auto item = value->first(); item; item = item->next()) {
    TRY(out[item->key()], item->string(name));
  }
  return std::optional{std::move(out)};
}

std::string json_text(std::string_view text) {
  std::string out;
  base::append_json_string(out, text);
  return out;
}

std::string duration_text(std::int64_t seconds) {
  if (seconds < 0) return "-" + duration_text(-seconds);
  const auto hours = seconds / 3600;
  const auto minutes = seconds % 3600 / 60;
  std::string out;
  if (hours != 0) out.append(std::to_string(hours)).append("h");
  if (hours != 0 || minutes != 0) out.append(std::to_string(minutes)).append("m");
  return out.append(std::to_string(seconds % 60)).append("s");
}

JsonOutArray json_texts(const std::vector<std::string>& texts) {
  JsonOutArray out;
  out.reserve(texts.size());
  for (const auto& text : texts) out.emplace_back(text);
  return out;
}

}  // namespace attestry::api
