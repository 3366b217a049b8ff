// sys/…: health, mounts, policies, namespaces, capabilities, leases.
#include <algorithm>

#include "api/vault_wire.h"

namespace attestry::api {

using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutArray;
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

void list_mounts(const CallPtr& call) {
  JsonOutObject out;
  for (const Mount& mount : call->space->mounts) out.emplace_back(mount.path + "/", mount_json(mount));
  answer(call, [&](const state::ReadView&) -> Answer { return vault_data(*call, JsonOut{out}.compact()); });
}

/// What the command line asks before it speaks to a mount.
void ui_mounts(const CallPtr& call, std::string_view path) {
  if (path.empty()) {
    JsonOutObject secret;
    for (const Mount& mount : call->space->mounts) secret.emplace_back(mount.path + "/", mount_json(mount));
    return call->send(
        vault_data(*call, JsonOut{JsonOutObject{{"auth", JsonOutObject{}}, {"secret", secret}}}.compact()));
  }
  const Mount* mount = call->space->mount_of(path);
  // Everybody who may use something in it may know of it.
  if (mount == nullptr) return call->fail(permission_denied());
  auto text = mount_json(*mount).compact();
  text.insert(1, R"("path":)" + json_text(mount->path + "/") + ",");
  call->send(vault_data(*call, text));
}

/// Changes the namespace's record by `change`.
void change_space(const CallPtr& call, std::shared_ptr<Namespace> space) {
  commit(
      call,
      [call, space](state::WriteTxn& txn) -> Answer {
        TRY_OK(call->deps.namespaces.update(txn, *space));
        auto response = net::empty_response();
        TRY_OK(add_leaf(*call, txn, {.type = "vault.namespace", .subject = space->path}, response));
        return response;
      },
      [call, space] { return call->deps.namespaces.settle(space->path); });
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
  auto mount = mount_wanted(*call, path);
  if (!mount) return call->fail(mount.error());
  auto space = std::make_shared<Namespace>(*call->space);
  const bool taken = std::ranges::any_of(space->mounts, [&](const Mount& there) {
    return there.path == path || there.path.starts_with(mount->path + "/") || mount->path.starts_with(there.path + "/");
  });
  if (taken) return call->fail(Error{Code::malformed, "path is already in use at " + std::string{path} + "/"});
  if (space->mounts.size() >= secrets::kMaxMounts)
    return call->fail(Error{Code::too_large, "there are too many mounts"});
  space->mounts.push_back(*std::move(mount));
  change_space(call, std::move(space));
}

void drop_mount(const CallPtr& call, std::string_view path) {
  auto space = std::make_shared<Namespace>(*call->space);
  const auto found = std::ranges::find(space->mounts, path, &Mount::path);
  if (found == space->mounts.end()) return call->send(net::empty_response());
  const Mount mount = *found;
  space->mounts.erase(found);
  commit(
      call,
      [call, space, mount](state::WriteTxn& txn) -> Answer {
        TRY(const auto names, secrets::KvStore::list(txn, *space, mount, "", "", 1));
        TRY(const auto keys, secrets::Transit::list(txn, *space, mount, 1));
        if (!names.empty() || !keys.empty()) {
          return Error{Code::conflict, "the mount is not empty", "no secrets and keys", mount.path,
                       "Delete what stands in it first: nothing is thrown away with its mount."};
        }
        TRY_OK(call->deps.namespaces.update(txn, *space));
        return net::empty_response();
      },
      [call, space] { return call->deps.namespaces.settle(space->path); });
}

void serve_mounts(const CallPtr& call, std::string_view path) {
  if (path.empty()) return list_mounts(call);
  const bool tune = path.ends_with("/tune");
  if (tune) path.remove_suffix(5);
  const auto found = std::ranges::find(call->space->mounts, path, &Mount::path);
  if (call->verb == VaultVerb::read) {
    if (found == call->space->mounts.end()) {
      return call->fail(Error{Code::malformed, "No secret engine mount at " + std::string{path} + "/"});
    }
    return call->send(vault_data(*call, mount_json(*found).compact()));
  }
  if (tune && call->verb == VaultVerb::write) {
    auto space = std::make_shared<Namespace>(*call->space);
    const auto mount = std::ranges::find(space->mounts, path, &Mount::path);
    if (mount == space->mounts.end()) return call->fail(Error{Code::malformed, "there is no such mount"});
    const auto description = text_of(*call, "description");
    if (!description) return call->fail(description.error());
    if (*description) mount->description = (*description)->substr(0, 512);
    return change_space(call, std::move(space));
  }
  if (call->verb == VaultVerb::write) return add_mount(call, path);
  if (call->verb == VaultVerb::delete_) return drop_mount(call, path);
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
  commit(
      call,
      [call, name, text = **document](state::WriteTxn& txn) -> Answer {
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
  commit(
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

/// A namespace's values are sealed under its tenant's keys: its own one unless the operator names another.
Result<base::Tenant> tenant_wanted(const VaultCall& call, const std::string& path) {
  std::string name = path;
  std::ranges::transform(name, name.begin(), [](char c) {
    if (c >= 'A' && c <= 'Z') return static_cast<char>(c - 'A' + 'a');
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? c : '-';
  });
  if (call.body) {
    TRY(const auto custom, map_of(*call.root(), "custom_metadata"));
    if (custom && custom->contains("tenant")) name = custom->at("tenant");
  }
  return base::Tenant::parse(name);
}

void write_space(const CallPtr& call, const std::string& path) {
  const auto there = call->deps.namespaces.find(path);
  auto space = std::make_shared<Namespace>(there ? *there : Namespace{.path = path});
  const auto ready = [&]() -> Status {
    if (!there) {
      TRY_OK(secrets::check_namespace_path(path));
      TRY(space->tenant, tenant_wanted(*call, path));
      space->mounts = {{.path = "secret", .engine = Engine::kv, .description = "versioned secrets"},
                       {.path = "transit", .engine = Engine::transit}};
    }
    const auto quotas = call->member("quotas");
    return quotas ? read_quotas(*quotas, space->quotas) : base::done();
  }();
  if (!ready) return call->fail(ready.error());
  commit(
      call,
      [call, space, fresh = !there](state::WriteTxn& txn) -> Answer {
        if (fresh) {
          TRY_OK(call->deps.namespaces.create(txn, *space));
        } else {
          TRY_OK(call->deps.namespaces.update(txn, *space));
        }
        auto response = vault_data(*call, JsonOut{space_json(*space, {})}.compact());
        TRY_OK(add_leaf(*call, txn, {.type = "vault.namespace", .subject = space->path}, response));
        return response;
      },
      [call, space] { return call->deps.namespaces.settle(space->path); });
}

void drop_space(const CallPtr& call, const std::string& path) {
  commit(
      call,
      [call, path](state::WriteTxn& txn) -> Answer {
        TRY_OK(call->deps.namespaces.remove(txn, path));
        auto response = net::empty_response();
        TRY_OK(add_leaf(*call, txn, {.type = "vault.namespace", .subject = path}, response));
        return response;
      },
      [call, path] { return call->deps.namespaces.settle(path); });
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
  capabilities(call,
               accessor ? call->deps.tokens.find_accessor(text, call->now) : call->deps.tokens.find(text, call->now));
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

void vault_sys(CallPtr call, std::string_view rest) {
  const auto slash = rest.find('/');
  const auto first = rest.substr(0, slash);
  const auto below = slash == std::string_view::npos ? std::string_view{} : rest.substr(slash + 1);
  // GET on a collection lists it, and asks for less than LIST does.
  const bool collection = (rest == "policy" || rest == "policies/acl") && call->verb == VaultVerb::read;
  if (collection && !allowed(*call, Capability::list) && !allowed(*call)) return call->fail(permission_denied());
  if (!collection && first != "internal") {
    if (const auto may = allowed(*call); !may) return call->fail(may.error());
  }
  if (first == "mounts") return serve_mounts(call, below);
  if (rest.starts_with("internal/ui/mounts")) return ui_mounts(call, rest.size() > 18 ? rest.substr(19) : "");
  if (rest == "policies/acl") return serve_policies(call, "", false);
  if (rest.starts_with("policies/acl/")) return serve_policies(call, rest.substr(13), false);
  if (first == "policy") return serve_policies(call, below, true);
  if (first == "namespaces") return serve_namespaces(call, below);
  if (first.starts_with("capabilities")) return serve_capabilities(call, first);
  if (first == "leases") return serve_leases(call, below);
  if (rest == "auth" && call->verb == VaultVerb::read) return list_auth(call);
  call->fail(unsupported_path(*call));
}

}  // namespace attestry::api
