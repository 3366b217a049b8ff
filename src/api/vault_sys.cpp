// sys/…: health, mounts, policies, namespaces, capabilities, leases.
#include <algorithm>
#include <functional>

#include "api/vault_wire.h"

namespace attestry::api {

using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutObject;
using base::Result;
using base::Status;
using secrets::Capability;
using secrets::Engine;
using secrets::Mount;
using secrets::Namespace;

namespace {

/// The version of Vault whose shapes these are; clients choose what they may ask for by it.
constexpr std::string_view kShapes = "1.19.0+attestry.";

Error not_supported() { return {Code::method_not_allowed, "unsupported operation"}; }

net::Response plain(int status, JsonOutObject object) {
  return net::json_response(status, JsonOut{std::move(object)}.compact() + "\n");
}

JsonOut mount_json(const Mount& mount) {
  const bool kv = mount.engine == Engine::kv;
  return JsonOutObject{
      {"accessor", std::string{to_text(mount.engine)} + "_" + mount.path},
      {"config", JsonOutObject{{"default_lease_ttl", 0}, {"force_no_cache", false}, {"max_lease_ttl", 0}}},
      {"description", mount.description},
      {"external_entropy_access", false},
      {"local", false},
      {"options", kv ? JsonOut{JsonOutObject{{"version", "2"}}} : JsonOut{nullptr}},
      {"seal_wrap", true},
      {"type", to_text(mount.engine)},
      {"uuid", ""}};
}

JsonOut tuning_json(const Mount& mount) {
  const bool kv = mount.engine == Engine::kv;
  return JsonOutObject{{"default_lease_ttl", 0},
                       {"max_lease_ttl", 0},
                       {"force_no_cache", false},
                       {"description", mount.description},
                       {"options", kv ? JsonOut{JsonOutObject{{"version", "2"}}} : JsonOut{nullptr}}};
}

void list_mounts(const CallPtr& call) {
  JsonOutObject out;
  for (const Mount& mount : call->space->mounts) out.emplace_back(mount.path + "/", mount_json(mount));
  answer(call, [&](const state::ReadView&) -> Answer { return vault_data(*call, JsonOut{out}.compact()); });
}

/// What the command line asks before it speaks to a mount. Whoever may use something in one may know of it.
void ui_mounts(const CallPtr& call, std::string_view path) {
  const auto usable = [&](const Mount& mount) { return reaches_below(*call, mount.path + "/"); };
  if (path.empty()) {
    JsonOutObject secret;
    for (const Mount& mount : call->space->mounts) {
      if (usable(mount)) secret.emplace_back(mount.path + "/", mount_json(mount));
    }
    return call->send(
        vault_data(*call, JsonOut{JsonOutObject{{"auth", JsonOutObject{}}, {"secret", secret}}}.compact()));
  }
  const Mount* mount = call->space->mount_of(path);
  if (mount == nullptr || !usable(*mount)) return call->fail(permission_denied());
  auto text = mount_json(*mount).compact();
  text.insert(1, R"("path":)" + json_text(mount->path + "/") + ",");
  call->send(vault_data(*call, text));
}

/// Changes the namespace's record in the transaction, by what is stored then.
void change_space(const CallPtr& call, std::function<Status(state::WriteTxn&)> change) {
  commit_rules(
      call,
      [call, change = std::move(change)](state::WriteTxn& txn) -> Answer {
        TRY_OK(change(txn));
        auto response = net::empty_response();
        TRY_OK(add_leaf(*call, txn, {.type = "vault.namespace", .subject = call->space->path}, response));
        return response;
      },
      [call] { return call->deps.namespaces.settle(call->space->path); });
}

Result<Mount> mount_wanted(const VaultCall& call, std::string_view path) {
  TRY_OK(secrets::check_mount_path(path));
  Mount out{.path = std::string{path}};
  TRY(const auto type, text_of(call, "type"));
  const std::string kind = type.value_or("");
  if (kind == "transit") {
    out.engine = Engine::transit;
  } else if (kind != "kv" && kind != "kv-v2") {
    return Error{Code::malformed, "type", "kv (version 2) or transit", kind};
  }
  TRY(const auto description, text_of(call, "description"));
  out.description = description.value_or("").substr(0, 512);
  if (out.engine != Engine::kv || kind == "kv-v2") return out;
  std::string version = "1";
  if (const auto options = call.member("options"); options && options->is_object()) {
    TRY(auto texts, map_of(*call.root(), "options"));
    if (texts && texts->contains("version")) version = texts->at("version");
  }
  if (version != "2") {
    return Error{Code::malformed, "options", "version 2: there are no secrets without versions here", version};
  }
  return out;
}

void add_mount(const CallPtr& call, std::string_view path) {
  const auto mount = mount_wanted(*call, path);
  if (!mount) return call->fail(mount.error());
  change_space(call, [call, mount = *mount](state::WriteTxn& txn) {
    return secrets::Namespaces::add_mount(txn, call->space->path, mount);
  });
}

void drop_mount(const CallPtr& call, std::string_view path) {
  const auto found = std::ranges::find(call->space->mounts, path, &Mount::path);
  if (found == call->space->mounts.end()) return call->send(net::empty_response());
  change_space(call, [call, mount = *found](state::WriteTxn& txn) -> Status {
    TRY(const auto names, secrets::KvStore::list(txn, *call->space, mount, "", "", 1));
    TRY(const auto keys, secrets::Transit::list(txn, *call->space, mount, 1));
    if (!names.empty() || !keys.empty()) {
      return Error{Code::conflict, "the mount is not empty", "no secrets and keys", mount.path,
                   "Delete what stands in it first: nothing is thrown away with its mount."};
    }
    TRY_OK(secrets::Namespaces::change(txn, call->space->path, [&](Namespace& space) {
      std::erase_if(space.mounts, [&](const Mount& there) { return there.path == mount.path; });
      return base::done();
    }));
    return base::done();
  });
}

void tune_mount(const CallPtr& call, std::string_view path) {
  const auto description = text_of(*call, "description");
  if (!description) return call->fail(description.error());
  change_space(call, [call, path = std::string{path}, text = *description](state::WriteTxn& txn) -> Status {
    TRY_OK(secrets::Namespaces::change(txn, call->space->path, [&](Namespace& space) -> Status {
      const auto mount = std::ranges::find(space.mounts, path, &Mount::path);
      if (mount == space.mounts.end()) return Error{Code::malformed, "there is no such mount"};
      if (text) mount->description = text->substr(0, 512);
      return base::done();
    }));
    return base::done();
  });
}

void serve_mounts(const CallPtr& call, std::string_view path) {
  if (path.empty()) return list_mounts(call);
  const bool tune = path.ends_with("/tune");
  if (tune) path.remove_suffix(5);
  if (call->verb == VaultVerb::read) {
    const auto found = std::ranges::find(call->space->mounts, path, &Mount::path);
    if (found == call->space->mounts.end()) {
      return call->fail(Error{Code::malformed, "No secret engine mount at " + std::string{path} + "/"});
    }
    return call->send(vault_data(*call, (tune ? tuning_json(*found) : mount_json(*found)).compact()));
  }
  if (call->verb == VaultVerb::write) {
    if (const auto may = tune ? allowed(*call) : base::done(); !may) return call->fail(may.error());
    return tune ? tune_mount(call, path) : add_mount(call, path);
  }
  if (call->verb == VaultVerb::delete_ && !tune) return drop_mount(call, path);
  call->fail(not_supported());
}

void read_policy(const CallPtr& call, std::string_view name, bool old) {
  const auto found = call->deps.tokens.policy(call->space->path, name);
  if (!found && name != "root") {
    return call->fail(Error{Code::not_found, "No policy named: " + std::string{name}});
  }
  const std::string document = found ? found->document : std::string{};
  const JsonOutObject out{{"name", name}, {old ? "rules" : "policy", document}};
  auto text = vault_data(*call, JsonOut{out}.compact());
  call->send(std::move(text));
}

void write_policy(const CallPtr& call, const std::string& name, bool old) {
  auto document = text_of(*call, old && !call->member("policy") ? "rules" : "policy");
  if (!document) return call->fail(document.error());
  if (!*document || (*document)->empty())
    return call->fail(Error{Code::malformed, "'policy' parameter not supplied or empty"});
  commit_rules(
      call,
      [call, name, text = **document](state::WriteTxn& txn) -> Answer {
        TRY(const bool there, secrets::Tokens::has_policy(txn, call->space->path, name));
        TRY_OK(may_change(*call, there || name == "default"));
        TRY_OK(call->deps.tokens.put_policy(txn, call->space->path, name, text));
        auto response = net::empty_response();
        TRY_OK(
            add_leaf(*call, txn, {.type = "vault.policy", .subject = name, .value = base::as_bytes(text)}, response));
        return response;
      },
      [call, name] { return call->deps.tokens.settle_policy(call->space->path, name); });
}

void drop_policy(const CallPtr& call, const std::string& name) {
  if (name == "default" || name == "root") {
    return call->fail(Error{Code::malformed, "cannot delete \"" + name + "\" policy"});
  }
  commit_rules(
      call,
      [call, name](state::WriteTxn& txn) -> Answer {
        TRY_OK(call->deps.tokens.erase_policy(txn, call->space->path, name));
        auto response = net::empty_response();
        TRY_OK(add_leaf(*call, txn, {.type = "vault.policy", .subject = name}, response));
        return response;
      },
      [call, name] { return call->deps.tokens.settle_policy(call->space->path, name); });
}

void serve_policies(const CallPtr& call, std::string_view name, bool old) {
  if (name.empty()) {
    const auto names = json_texts(call->deps.tokens.policy_names(call->space->path));
    JsonOutObject out{{"keys", names}};
    if (old) out.emplace_back("policies", names);
    return call->send(vault_data(*call, JsonOut{out}.compact()));
  }
  switch (call->verb) {
    case VaultVerb::read:
      return read_policy(call, name, old);
    case VaultVerb::write:
      return write_policy(call, std::string{name}, old);
    case VaultVerb::delete_:
      return drop_policy(call, std::string{name});
    case VaultVerb::list:
    case VaultVerb::patch:
      break;
  }
  call->fail(not_supported());
}

Status read_quotas(const base::JsonValue& object, secrets::Quotas& out) {
  TRY_OK(object.only({"secrets", "versions", "bytes", "requests_per_second"}), "quotas");
  const std::pair<const char*, std::uint64_t*> fields[] = {{"secrets", &out.secrets},
                                                           {"versions", &out.versions},
                                                           {"bytes", &out.bytes},
                                                           {"requests_per_second", &out.requests_per_second}};
  for (const auto& [name, field] : fields) {
    const auto value = object.find(name);
    if (!value) continue;
    TRY(const auto number, value->integer(name, 0, std::int64_t{1} << 50));
    *field = static_cast<std::uint64_t>(number);
  }
  return base::done();
}

JsonOutObject space_json(const Namespace& space, const secrets::Usage& usage) {
  const auto& quotas = space.quotas;
  return {{"id", space.path.empty() ? "root" : space.path},
          {"path", space.path.empty() ? "" : space.path + "/"},
          {"custom_metadata", JsonOutObject{{"tenant", space.tenant.text()}}},
          {"quotas", JsonOutObject{{"secrets", quotas.secrets},
                                   {"versions", quotas.versions},
                                   {"bytes", quotas.bytes},
                                   {"requests_per_second", quotas.requests_per_second}}},
          {"usage", JsonOutObject{{"secrets", usage.secrets}, {"versions", usage.versions}, {"bytes", usage.bytes}}}};
}

/// A namespace's values are sealed under its tenant's keys: its own one unless root names another, which may be that of
/// apps that are to log in.
Result<std::optional<base::Tenant>> tenant_named(const VaultCall& call) {
  if (!call.body) return std::optional<base::Tenant>{};
  TRY(const auto custom, map_of(*call.root(), "custom_metadata"));
  if (!custom || !custom->contains("tenant")) return std::optional<base::Tenant>{};
  if (!call.token->root()) {
    return Error{Code::denied,
                 "a tenant is named by root tokens only",
                 "no custom_metadata.tenant",
                 {},
                 "Leave it out: the namespace gets a tenant of its own."};
  }
  TRY(auto tenant, base::Tenant::parse(custom->at("tenant")));
  return std::optional{std::move(tenant)};
}

struct SpaceWanted {
  Namespace fresh;
  bool own_tenant = true;
};

Result<SpaceWanted> space_wanted(const VaultCall& call, const std::string& path) {
  TRY_OK(secrets::check_namespace_path(path));
  SpaceWanted out{.fresh = {.path = path}};
  TRY(const auto named, tenant_named(call));
  out.own_tenant = !named;
  if (named) {
    out.fresh.tenant = *named;
  } else {
    TRY(out.fresh.tenant, secrets::tenant_of_namespace(path));
  }
  for (const auto byte : call.deps.random.bytes<8>()) out.fresh.id = out.fresh.id << 8 | byte;
  out.fresh.mounts = {{.path = "secret", .engine = Engine::kv, .description = "versioned secrets"},
                      {.path = "transit", .engine = Engine::transit}};
  if (const auto quotas = call.member("quotas")) TRY_OK(read_quotas(*quotas, out.fresh.quotas));
  return out;
}

void write_space(const CallPtr& call, const std::string& path) {
  auto wanted = space_wanted(*call, path);
  if (!wanted) return call->fail(wanted.error());
  commit_rules(
      call,
      [call, path, wanted = *std::move(wanted)](state::WriteTxn& txn) -> Answer {
        auto there = secrets::Namespaces::stored(txn, path);
        if (!there && there.error().code != Code::not_found) return there.error();
        if (call->verb == VaultVerb::write) TRY_OK(may_change(*call, there.ok()));
        if (call->verb == VaultVerb::patch && !there) return there.error();
        Namespace now = wanted.fresh;
        if (there) {
          TRY(now, secrets::Namespaces::change(txn, path, [&](Namespace& space) -> Status {
                const auto quotas = call->member("quotas");
                return quotas ? read_quotas(*quotas, space.quotas) : base::done();
              }));
        } else {
          TRY_OK(secrets::Namespaces::create(txn, now, wanted.own_tenant));
        }
        TRY(const auto usage, secrets::Namespaces::usage(txn, path));
        auto response = vault_data(*call, JsonOut{space_json(now, usage)}.compact());
        TRY_OK(add_leaf(*call, txn, {.type = "vault.namespace", .subject = path}, response));
        return response;
      },
      [call, path] { return call->deps.namespaces.settle(path); });
}

void drop_space(const CallPtr& call, const std::string& path) {
  auto erased = std::make_shared<secrets::Tokens::Erased>();
  commit_rules(
      call,
      [call, path, erased](state::WriteTxn& txn) -> Answer {
        TRY_OK(secrets::Namespaces::remove(txn, path));
        // Whoever gets the name next gets none of its tokens, policies and roles.
        TRY(*erased, call->deps.tokens.erase_space(txn, path));
        auto response = net::empty_response();
        TRY_OK(add_leaf(*call, txn, {.type = "vault.namespace", .subject = path}, response));
        return response;
      },
      [call, path, erased]() -> Status {
        TRY_OK(call->deps.namespaces.settle(path));
        // Also where the same commit made it anew: what that one has is settled after this.
        call->deps.tokens.settle_space(path, *erased);
        return base::done();
      });
}

void list_spaces(const CallPtr& call) {
  const auto names = call->deps.namespaces.children(call->space->path);
  if (names.empty()) return call->send(vault_errors(404, {}));
  call->send(vault_data(*call, JsonOut{JsonOutObject{{"keys", json_texts(names)}}}.compact()));
}

void serve_namespaces(const CallPtr& call, std::string_view name) {
  if (name.empty()) return call->verb == VaultVerb::list ? list_spaces(call) : call->fail(not_supported());
  const std::string path = (call->space->path.empty() ? std::string{} : call->space->path + "/") + std::string{name};
  if (call->verb == VaultVerb::write || call->verb == VaultVerb::patch) return write_space(call, path);
  const auto there = call->deps.namespaces.find(path);
  if (!there) return call->fail(Error{Code::not_found, "there is no such namespace"});
  if (call->verb == VaultVerb::delete_) return drop_space(call, path);
  answer(call, [&](const state::ReadView& view) -> Answer {
    TRY(const auto usage, secrets::Namespaces::usage(view, path));
    return vault_data(*call, JsonOut{space_json(*there, usage)}.compact());
  });
}

void capabilities(const CallPtr& call, const secrets::TokenPtr& token) {
  if (!token) return call->fail(Error{Code::malformed, "invalid token"});
  auto paths = texts_of(*call, call->member("paths") ? "paths" : "path");
  if (!paths) return call->fail(paths.error());
  if (!*paths || (*paths)->empty()) return call->fail(Error{Code::malformed, "paths", "one at least"});
  // Who asks and whom it is about may be two: what is asked about is judged in its own place.
  call->token = token;
  JsonOutObject out;
  for (const auto& path : **paths) {
    const auto names = token->root() ? std::vector<std::string>{"root"} : capabilities_of(*call, path).names();
    out.emplace_back(path, json_texts(names));
  }
  if ((*paths)->size() == 1) out.emplace_back("capabilities", out.front().second);
  call->send(vault_data(*call, JsonOut{out}.compact()));
}

void serve_capabilities(const CallPtr& call, std::string_view what) {
  if (call->verb != VaultVerb::write) return call->fail(not_supported());
  if (what == "capabilities-self") return capabilities(call, call->token);
  const bool accessor = what == "capabilities-accessor";
  const auto sent = text_of(*call, accessor ? "accessor" : "token");
  if (!sent) return call->fail(sent.error());
  const std::string text = sent->value_or("");
  const auto found = known_token(
      *call, accessor ? call->deps.tokens.find_accessor(text, call->now) : call->deps.tokens.find(text, call->now));
  capabilities(call, found ? *found : nullptr);
}

/// Nothing here is leased: only tokens end, by auth/token.
void serve_leases(const CallPtr& call, std::string_view what) {
  if (call->verb == VaultVerb::list) return call->send(vault_errors(404, {}));
  const bool known = what == "lookup" || what == "renew" || what == "revoke" || what.starts_with("revoke-prefix");
  if (!known || call->verb != VaultVerb::write) return call->fail(unsupported_path(*call));
  if (what == "lookup" || what == "renew") return call->fail(Error{Code::malformed, "invalid lease"});
  call->send(net::empty_response());
}

void list_auth(const CallPtr& call) {
  const auto one = [](std::string_view type, std::string_view description) {
    return JsonOutObject{{"accessor", "auth_" + std::string{type}},
                         {"config", JsonOutObject{{"default_lease_ttl", 0}, {"max_lease_ttl", 0}}},
                         {"description", description},
                         {"local", false},
                         {"options", nullptr},
                         {"seal_wrap", true},
                         {"type", type},
                         {"uuid", ""}};
  };
  const JsonOutObject out{{"attestry/", one("attestry", "attestation of a workload")},
                          {"token/", one("token", "token based credentials")}};
  call->send(vault_data(*call, JsonOut{out}.compact()));
}

JsonOutObject health_json(const VaultCall& call) {
  return {{"initialized", true},
          {"sealed", false},
          {"standby", false},
          {"performance_standby", false},
          {"replication_performance_mode", "disabled"},
          {"replication_dr_mode", "disabled"},
          {"server_time_utc", call.now.seconds},
          {"version", std::string{kShapes} + call.deps.version},
          {"enterprise", false},
          {"cluster_name", call.deps.log.origin()},
          {"cluster_id", ""},
          {"echo_duration_ms", 0},
          {"clock_skew_ms", 0},
          {"replication_primary_canary_age_ms", 0}};
}

JsonOutObject seal_json(const VaultCall& call) {
  return {{"type", "attestry"},
          {"initialized", true},
          {"sealed", false},
          {"t", 1},
          {"n", 1},
          {"progress", 0},
          {"nonce", ""},
          {"version", std::string{kShapes} + call.deps.version},
          {"build_date", ""},
          {"migration", false},
          {"cluster_name", call.deps.log.origin()},
          {"cluster_id", ""},
          {"recovery_seal", false},
          {"storage_type", "attestry"}};
}

}  // namespace

bool vault_open(const CallPtr& call) {
  const std::string_view path = call->path;
  if (call->verb != VaultVerb::read || !call->space->path.empty()) return false;
  if (path == "sys/health") {
    call->send(plain(200, health_json(*call)));
  } else if (path == "sys/seal-status") {
    call->send(plain(200, seal_json(*call)));
  } else if (path == "sys/init") {
    call->send(plain(200, {{"initialized", true}}));
  } else if (path == "sys/leader") {
    call->send(plain(200, {{"ha_enabled", false},
                           {"is_self", false},
                           {"leader_address", ""},
                           {"leader_cluster_address", ""},
                           {"performance_standby", false}}));
  } else {
    return false;
  }
  return true;
}

void vault_sys(const CallPtr& call, std::string_view rest) {
  const auto slash = rest.find('/');
  const auto first = rest.substr(0, slash);
  const auto below = slash == std::string_view::npos ? std::string_view{} : rest.substr(slash + 1);
  // GET on a collection lists it, and asks for less than LIST does.
  const bool collection = (rest == "policy" || rest == "policies/acl") && call->verb == VaultVerb::read;
  const bool ui = rest == "internal/ui/mounts" || rest.starts_with("internal/ui/mounts/");
  // These are made and changed by the same request: the transaction knows which it was.
  const bool looked_at = first == "mounts" || first == "namespaces" || first == "policy" || first == "policies";
  const auto may = ui                                               ? base::done()
                   : collection && allowed(*call, Capability::list) ? base::done()
                   : looked_at                                      ? allowed_to_try(*call)
                                                                    : allowed(*call);
  if (!may) return call->fail(may.error());
  if (first == "mounts") return serve_mounts(call, below);
  if (ui) return ui_mounts(call, rest.size() > 18 ? rest.substr(19) : "");
  if (rest == "policies/acl") return serve_policies(call, "", false);
  if (rest.starts_with("policies/acl/")) return serve_policies(call, rest.substr(13), false);
  if (first == "policy") return serve_policies(call, below, true);
  if (first == "namespaces") return serve_namespaces(call, below);
  if (rest == "capabilities" || rest == "capabilities-self" || rest == "capabilities-accessor") {
    return serve_capabilities(call, rest);
  }
  if (first == "leases") return serve_leases(call, below);
  if (rest == "auth" && call->verb == VaultVerb::read) return list_auth(call);
  call->fail(unsupported_path(*call));
}

}  // namespace attestry::api
