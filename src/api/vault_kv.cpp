// KV version 2: data, metadata, delete, undelete, destroy, subkeys and config of a mount.
#include <algorithm>

#include "api/vault_wire.h"

namespace attestry::api {

using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutObject;
using base::Result;
using base::Status;
using secrets::KvMetadata;
using secrets::KvRead;
using secrets::KvVersion;

namespace {

constexpr std::string_view kKv = "kv";
constexpr std::size_t kMaxListed = 10'000;
constexpr std::size_t kMaxDepth = 32;
constexpr int kTries = 4;

/// What a request goes to. The namespace and the mount live as long as the call.
struct Target {
  CallPtr call;
  secrets::Mount mount;
  std::string path;
  secrets::KvPlace place() const { return {*call->space, mount, path}; }
  std::string subject(std::uint64_t version) const {
    return call->space->path + "/" + mount.path + "/" + path + "#" + std::to_string(version);
  }
};
using TargetPtr = std::shared_ptr<const Target>;

std::string time_text(base::UtcTime time) { return time.seconds == 0 ? std::string{} : base::to_rfc3339(time); }

JsonOut custom_json(const KvMetadata& metadata) {
  if (metadata.custom.empty()) return nullptr;
  JsonOutObject out;
  for (const auto& [name, value] : metadata.custom) out.emplace_back(name, value);
  return out;
}

JsonOutObject version_json(const KvMetadata& metadata, const KvVersion& version) {
  return {{"created_time", time_text(version.created)},
          {"custom_metadata", custom_json(metadata)},
          {"deletion_time", time_text(version.deletion)},
          {"destroyed", version.destroyed},
          {"version", version.number}};
}

Result<std::uint64_t> version_asked(const VaultCall& call) {
  const auto text = call.request.query_value("version");
  if (!text || text->empty()) return std::uint64_t{0};
  std::uint64_t out = 0;
  for (const char c : *text) {
    if (c < '0' || c > '9' || out > 100'000'000'000) {
      return Error{Code::malformed, "version", "a whole number", std::string{text->substr(0, 32)}};
    }
    out = out * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return out;
}

Result<std::vector<std::uint64_t>> versions_of(const VaultCall& call) {
  std::vector<std::uint64_t> out;
  const auto list = call.member("versions");
  if (list && list->is_array()) {
    for (auto item = list->first(); item; item = item->next()) {
      TRY(const auto number, number_of(*item, "versions"));
      if (*number > 0) out.push_back(static_cast<std::uint64_t>(*number));
    }
  } else if (list) {
    TRY(const auto texts, texts_of(call, "versions"));
    for (const auto& text : *texts) {
      TRY(const auto number, whole_number(text, "versions"));
      if (number > 0) out.push_back(static_cast<std::uint64_t>(number));
    }
  }
  if (out.empty()) return Error{Code::malformed, "No version number provided"};
  return out;
}

/// 404 with the metadata, as for every version whose value is gone.
net::Response gone_response(const VaultCall& call, const KvRead& read) {
  const auto data =
      JsonOut{JsonOutObject{{"data", nullptr}, {"metadata", version_json(read.metadata, read.version)}}}.compact();
  auto response = vault_data(call, data, kKv);
  response.status = 404;
  return response;
}

void read_data(const TargetPtr& target) {
  const auto version = version_asked(*target->call);
  if (!version) return target->call->fail(version.error());
  commit(target->call, [target, version = *version](state::WriteTxn& txn) -> Answer {
    const VaultCall& call = *target->call;
    TRY(const auto read, call.deps.kv.read(txn, target->place(), version, call.now));
    if (read.value.empty()) return gone_response(call, read);
    SecretText data;
    const auto metadata = JsonOut{version_json(read.metadata, read.version)}.compact();
    std::string room;
    room.reserve(read.value.size() + metadata.size() + 32);
    data = SecretText{std::move(room)};
    data.append(R"({"data":)").append(base::as_text(read.value.reveal()));
    data.append(R"(,"metadata":)").append(metadata).append("}");
    auto response = vault_secret(call, data, kKv);
    const auto subject = target->subject(read.version.number);
    TRY_OK(add_leaf(call, txn, {.type = "kv.read", .subject = subject, .value = read.value.reveal()}, response));
    return response;
  });
}

Result<std::optional<std::uint64_t>> cas_of(const VaultCall& call) {
  const auto options = call.member("options");
  if (!options) return std::optional<std::uint64_t>{};
  if (!options->is_object()) return Error{Code::malformed, "options", "an object"};
  const auto cas = options->find("cas");
  if (!cas || cas->is_null()) return std::optional<std::uint64_t>{};
  TRY(const auto number, number_of(*cas, "cas"));
  if (*number < 0) return Error{Code::malformed, "cas", "0 or a version", std::to_string(*number)};
  return std::optional{static_cast<std::uint64_t>(*number)};
}

net::Response written(const VaultCall& call, const KvRead& done) {
  return vault_data(call, JsonOut{version_json(done.metadata, done.version)}.compact(), kKv);
}

void write_data(const TargetPtr& target) {
  const auto data = target->call->member("data");
  if (!data || !data->is_object()) {
    return target->call->fail(Error{Code::malformed, "no data provided"});
  }
  const auto cas = cas_of(*target->call);
  if (!cas) return target->call->fail(cas.error());
  commit(target->call, [target, cas = *cas](state::WriteTxn& txn) -> Answer {
    const VaultCall& call = *target->call;
    const auto there = call.deps.kv.metadata(txn, target->place());
    if (!there && there.error().code != Code::not_found) return there.error();
    TRY_OK(may_write(call, there && there->current != 0));
    const auto value = base::as_bytes(call.member("data")->source());
    TRY(const auto done, call.deps.kv.write(txn, target->place(), value, cas, call.now));
    return written(call, done);
  });
}

/// RFC 7396: members of `patch` replace those of `target`, null removes, objects go into each other. Both were written
/// by clients: sorted names have no worst case.
Result<SecretText> merged(std::optional<base::JsonValue> target, const base::JsonValue& patch, std::size_t depth) {
  if (depth > kMaxDepth) return Error{Code::malformed, "patch", "at most 32 levels"};
  SecretText out;
  if (!patch.is_object()) return std::move(out.append(patch.source()));
  std::map<std::string, base::JsonValue> there;
  std::map<std::string, base::JsonValue> wanted;
  if (target && target->is_object()) {
    for (auto item = target->first(); item; item = item->next()) there.emplace(item->key(), *item);
  }
  for (auto item = patch.first(); item; item = item->next()) wanted.emplace(item->key(), *item);
  bool first = true;
  const auto member = [&](std::string_view key, std::string_view value) {
    out.append(std::exchange(first, false) ? "{" : ",").append_json(key).append(":").append(value);
  };
  if (target && target->is_object()) {
    for (auto item = target->first(); item; item = item->next()) {
      const auto key = item->key();
      if (!wanted.contains(key)) member(key, item->source());
    }
  }
  for (auto item = patch.first(); item; item = item->next()) {
    if (item->is_null()) continue;
    const auto key = item->key();
    const auto below = there.find(key);
    TRY(const auto value, merged(below == there.end() ? std::nullopt : std::optional{below->second}, *item, depth + 1));
    member(key, value.view());
  }
  return std::move(out.append(first ? "{}" : "}"));
}

/// Merged on this thread, because large objects would hold up the store, and written when the version that it was
/// merged into is still the newest one; otherwise once more, on a thread of its own.
void patch_data(const TargetPtr& target, int tries) {
  const VaultCall& outer = *target->call;
  struct Patch {
    std::uint64_t base;
    SecretText value;
  };
  const auto prepared = [&]() -> Result<std::shared_ptr<Patch>> {
    const auto data = outer.member("data");
    if (!data || !data->is_object()) return Error{Code::malformed, "no data provided"};
    TRY(const auto view, outer.deps.store.read());
    TRY(const auto read, outer.deps.kv.read(*view, target->place(), 0, outer.now));
    if (read.value.empty()) return std::shared_ptr<Patch>{};
    TRY(const auto before, base::JsonDocument::parse(std::string{base::as_text(read.value.reveal())}, {.wipe = true}));
    TRY(auto value, merged(before->root(), *data, 0));
    return std::shared_ptr<Patch>{new Patch{read.version.number, std::move(value)}};
  }();
  const auto cas = cas_of(outer);
  if (!prepared || !cas) return target->call->fail(!prepared ? prepared.error() : cas.error());
  commit(target->call, [target, cas = *cas, patch = *prepared, tries](state::WriteTxn& txn) -> Answer {
    const VaultCall& call = *target->call;
    TRY(const auto now, call.deps.kv.metadata(txn, target->place()));
    const KvVersion* newest = now.find(now.current);
    if (newest == nullptr || newest->destroyed || newest->deleted(call.now)) {
      return gone_response(call, {.metadata = now, .version = newest == nullptr ? KvVersion{} : *newest, .value = {}});
    }
    if (!patch || patch->base != now.current) {
      if (tries < kTries) target->call->again = [target, tries] { patch_data(target, tries + 1); };
      return Error{Code::unavailable, "the secret was changed at this moment; try again"};
    }
    TRY(const auto done, call.deps.kv.write(txn, target->place(), patch->value.bytes(), cas, call.now));
    return written(call, done);
  });
}

using Change = Status (secrets::KvStore::*)(state::WriteTxn&, const secrets::KvPlace&,
                                            const std::vector<std::uint64_t>&, base::UtcTime) const;

void change_versions(const TargetPtr& target, Change change, std::vector<std::uint64_t> versions) {
  commit(target->call, [target, change, versions = std::move(versions)](state::WriteTxn& txn) -> Answer {
    const VaultCall& call = *target->call;
    TRY_OK((call.deps.kv.*change)(txn, target->place(), versions, call.now));
    return net::empty_response();
  });
}

void change_listed(const TargetPtr& target, Change change) {
  auto versions = versions_of(*target->call);
  if (!versions) return target->call->fail(versions.error());
  change_versions(target, change, *std::move(versions));
}

void serve_data(const TargetPtr& target) {
  switch (target->call->verb) {
    case VaultVerb::read:
      return read_data(target);
    case VaultVerb::write:
      return write_data(target);
    case VaultVerb::patch:
      return patch_data(target, 0);
    case VaultVerb::delete_:
      return change_versions(target, &secrets::KvStore::remove, {});
    case VaultVerb::list:
      break;
  }
  target->call->fail(Error{Code::method_not_allowed, "unsupported operation"});
}

JsonOutObject config_json(const secrets::KvConfig& config) {
  return {{"cas_required", config.cas_required},
          {"delete_version_after", duration_text(config.delete_version_after)},
          {"max_versions", config.max_versions}};
}

net::Response metadata_response(const VaultCall& call, const KvMetadata& metadata) {
  JsonOutObject versions;
  for (const KvVersion& version : metadata.versions) {
    versions.emplace_back(std::to_string(version.number), JsonOutObject{{"created_time", time_text(version.created)},
                                                                        {"deletion_time", time_text(version.deletion)},
                                                                        {"destroyed", version.destroyed}});
  }
  auto out = config_json(metadata.config);
  out.emplace_back("created_time", time_text(metadata.created));
  out.emplace_back("current_version", metadata.current);
  out.emplace_back("custom_metadata", custom_json(metadata));
  out.emplace_back("oldest_version", metadata.oldest());
  out.emplace_back("updated_time", time_text(metadata.updated));
  out.emplace_back("versions", std::move(versions));
  return vault_data(call, JsonOut{std::move(out)}.compact(), kKv);
}

Result<std::map<std::string, std::string>> custom_of(const base::JsonValue& root) {
  TRY(auto custom, map_of(root, "custom_metadata"));
  if (!custom) return std::map<std::string, std::string>{};
  TRY_OK(secrets::check_custom(*custom));
  return *std::move(custom);
}

Result<secrets::KvChange> change_of(const VaultCall& call) {
  secrets::KvChange out;
  TRY(const auto most, number_of(call, "max_versions"));
  if (most && (*most < 0 || *most > secrets::kMostVersions)) {
    return Error{Code::malformed, "max_versions", "0 to 1000", std::to_string(*most)};
  }
  if (most) out.max_versions = static_cast<std::uint32_t>(*most);
  TRY(out.cas_required, flag_of(call, "cas_required"));
  TRY(out.delete_version_after, seconds_of(call, "delete_version_after"));
  if (call.member("custom_metadata")) {
    TRY(out.custom, custom_of(*call.root()));
  }
  return out;
}

/// Of a patch: entries of custom_metadata replace those that are there, null removes.
Status merge_custom(const VaultCall& call, const KvMetadata& before, secrets::KvChange& change) {
  const auto patch = call.member("custom_metadata");
  if (!patch) {
    // null removes them all.
    if (call.body && call.body->root().find("custom_metadata")) change.custom.emplace();
    return base::done();
  }
  if (!patch->is_object()) return Error{Code::malformed, "custom_metadata", "an object of texts"};
  auto now = before.custom;
  for (auto item = patch->first(); item; item = item->next()) {
    if (item->is_null()) {
      now.erase(item->key());
      continue;
    }
    TRY(now[item->key()], item->string("custom_metadata"));
  }
  change.custom = std::move(now);
  return base::done();
}

void write_metadata(const TargetPtr& target, bool patch) {
  const bool has_custom = patch && target->call->body && target->call->body->root().find("custom_metadata");
  secrets::KvChange change;
  if (!has_custom) {
    auto read = change_of(*target->call);
    if (!read) return target->call->fail(read.error());
    change = *std::move(read);
  }
  commit(target->call, [target, patch, has_custom, change](state::WriteTxn& txn) mutable -> Answer {
    const VaultCall& call = *target->call;
    const auto before = call.deps.kv.metadata(txn, target->place());
    if (!before && before.error().code != Code::not_found) return before.error();
    if (!patch) TRY_OK(may_write(call, before.ok()));
    if (has_custom) {
      if (!before) return before.error();
      TRY_OK(merge_custom(call, *before, change));
    }
    TRY_OK(call.deps.kv.change(txn, target->place(), change, !patch, call.now));
    return net::empty_response();
  });
}

void list_names(const CallPtr& call, const secrets::Mount& mount, std::string_view folder) {
  answer(call, [&](const state::ReadView& view) -> Answer {
    std::string after;
    if (const auto sent = call->request.query_value("after")) after = *sent;
    TRY(const auto names, secrets::KvStore::list(view, *call->space, mount, folder, after, kMaxListed));
    if (names.empty()) return vault_errors(404, {});
    return vault_data(*call, JsonOut{JsonOutObject{{"keys", json_texts(names)}}}.compact(), kKv);
  });
}

void serve_metadata(const TargetPtr& target) {
  switch (target->call->verb) {
    case VaultVerb::read:
      return answer(target->call, [&](const state::ReadView& view) -> Answer {
        TRY(const auto metadata, target->call->deps.kv.metadata(view, target->place()));
        return metadata_response(*target->call, metadata);
      });
    case VaultVerb::list:
      return list_names(target->call, target->mount, target->path);
    case VaultVerb::write:
      return write_metadata(target, false);
    case VaultVerb::patch:
      return write_metadata(target, true);
    case VaultVerb::delete_:
      return commit(target->call, [target](state::WriteTxn& txn) -> Answer {
        TRY_OK(target->call->deps.kv.erase(txn, target->place()));
        return net::empty_response();
      });
  }
}

/// The shape of a value without what stands in it: objects down to `depth` levels (0: all), null for everything else.
std::string subkeys(const base::JsonValue& value, std::int64_t depth) {
  std::string out = "{";
  for (auto item = value.first(); item; item = item->next()) {
    if (out.size() > 1) out += ',';
    base::append_json_string(out, item->key());
    out += ':';
    out += item->is_object() && item->size() != 0 && depth != 1 ? subkeys(*item, depth - 1) : "null";
  }
  return out + "}";
}

void read_subkeys(const TargetPtr& target) {
  const auto version = version_asked(*target->call);
  if (!version) return target->call->fail(version.error());
  std::int64_t depth = 0;
  if (const auto sent = target->call->request.query_value("depth")) {
    const auto read = whole_number(*sent, "depth");
    if (!read || *read < 0) return target->call->fail(Error{Code::malformed, "depth", "0 or more"});
    depth = *read;
  }
  answer(target->call, [&](const state::ReadView& view) -> Answer {
    const VaultCall& call = *target->call;
    TRY(const auto read, call.deps.kv.read(view, target->place(), *version, call.now));
    const auto metadata = JsonOut{version_json(read.metadata, read.version)};
    if (read.value.empty()) {
      auto response =
          vault_data(call, JsonOut{JsonOutObject{{"metadata", metadata}, {"subkeys", nullptr}}}.compact(), kKv);
      response.status = 404;
      return response;
    }
    TRY(const auto doc, base::JsonDocument::parse(std::string{base::as_text(read.value.reveal())}, {.wipe = true}));
    const JsonOut shape{JsonOut::Raw{subkeys(doc->root(), depth)}};
    return vault_data(call, JsonOut{JsonOutObject{{"metadata", metadata}, {"subkeys", shape}}}.compact(), kKv);
  });
}

void write_config(const CallPtr& call, const secrets::Mount& mount) {
  const auto change = change_of(*call);
  if (!change) return call->fail(change.error());
  if (change->delete_version_after.value_or(0) < 0) {
    return call->fail(Error{Code::malformed, "delete_version_after", "0 or more: only a secret may say \"never\""});
  }
  commit_rules(
      call,
      [call, path = mount.path, change = *change](state::WriteTxn& txn) -> Answer {
        TRY_OK(secrets::Namespaces::change(txn, call->space->path, [&](secrets::Namespace& space) -> Status {
          const auto found = std::ranges::find(space.mounts, path, &secrets::Mount::path);
          if (found == space.mounts.end()) return unsupported_path(*call);
          if (change.max_versions) found->kv.max_versions = *change.max_versions;
          if (change.cas_required) found->kv.cas_required = *change.cas_required;
          if (change.delete_version_after) found->kv.delete_version_after = *change.delete_version_after;
          return base::done();
        }));
        return net::empty_response();
      },
      [call] { return call->deps.namespaces.settle(call->space->path); });
}

void serve_config(const CallPtr& call, const secrets::Mount& mount) {
  if (call->verb == VaultVerb::write) return write_config(call, mount);
  if (call->verb != VaultVerb::read) {
    return call->fail(Error{Code::method_not_allowed, "unsupported operation"});
  }
  call->send(vault_data(*call, JsonOut{config_json(mount.kv)}.compact(), kKv));
}

}  // namespace

void vault_kv(const CallPtr& call, const secrets::Mount& mount, std::string_view rest) {
  const auto slash = rest.find('/');
  const auto kind = rest.substr(0, slash);
  const bool looked_at = kind == "data" || kind == "metadata";
  if (const auto may = looked_at ? allowed_to_try(*call) : allowed(*call); !may) return call->fail(may.error());
  const auto path = slash == std::string_view::npos ? std::string_view{} : rest.substr(slash + 1);
  if (rest == "config") return serve_config(call, mount);
  const bool folder = kind == "metadata" && call->verb == VaultVerb::list && path.empty();
  if (folder) return list_names(call, mount, "");
  if (kind != "data" && kind != "metadata" && kind != "delete" && kind != "undelete" && kind != "destroy" &&
      kind != "subkeys") {
    // What clients of version 1 ask for. It says where they went wrong.
    return call->fail(Error{Code::not_found,
                            "Invalid path for a versioned K/V secrets engine. See the API docs for the "
                            "appropriate API endpoints to use.",
                            "data, metadata, delete, undelete, destroy, subkeys or config", std::string{rest}});
  }
  if (const auto good = secrets::check_kv_path(path); !good) return call->fail(good.error());
  const auto target = std::make_shared<const Target>(Target{.call = call, .mount = mount, .path = std::string{path}});
  if (kind == "data") return serve_data(target);
  if (kind == "metadata") return serve_metadata(target);
  if (kind == "subkeys" && call->verb == VaultVerb::read) return read_subkeys(target);
  if (call->verb != VaultVerb::write) return call->fail(Error{Code::method_not_allowed, "unsupported operation"});
  if (kind == "delete") return change_listed(target, &secrets::KvStore::remove);
  if (kind == "undelete") return change_listed(target, &secrets::KvStore::undelete);
  if (kind == "destroy") return change_listed(target, &secrets::KvStore::destroy);
  call->fail(Error{Code::method_not_allowed, "unsupported operation"});
}

}  // namespace attestry::api
