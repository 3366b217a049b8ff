// Keys of the transit engine: made, changed, shown, exported, backed up and restored.
#include <algorithm>

#include "api/vault_transit.h"
#include "base/encoding.h"

namespace attestry::api {

using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutObject;
using base::Result;
using base::Status;
using secrets::TransitKey;
using secrets::TransitType;
using Target = TransitTarget;
using TargetPtr = TransitTargetPtr;

namespace {

JsonOutObject key_json(const TransitKey& key) {
  JsonOutObject versions;
  for (const auto& version : key.versions) {
    if (version.number < key.min_decryption) continue;
    const auto number = std::to_string(version.number);
    if (secrets::signs(key.type)) {
      versions.emplace_back(number, JsonOutObject{{"certificate_chain", ""},
                                                  {"creation_time", base::to_rfc3339(version.created)},
                                                  {"name", to_text(key.type)},
                                                  {"public_key", key.public_key(version)}});
    } else {
      versions.emplace_back(number, version.created.seconds);
    }
  }
  const bool derivable = secrets::is_symmetric(key.type) || key.type == TransitType::ed25519;
  JsonOutObject out{{"allow_plaintext_backup", key.backup_allowed},
                    {"auto_rotate_period", 0},
                    {"deletion_allowed", key.deletion_allowed},
                    {"derived", key.derived},
                    {"exportable", key.exportable},
                    {"imported_key", false},
                    {"keys", std::move(versions)},
                    {"latest_version", key.latest()},
                    {"min_available_version", key.min_available},
                    {"min_decryption_version", key.min_decryption},
                    {"min_encryption_version", key.min_encryption},
                    {"name", key.name},
                    {"supports_decryption", secrets::encrypts(key.type)},
                    {"supports_derivation", derivable},
                    {"supports_encryption", secrets::encrypts(key.type)},
                    {"supports_signing", secrets::signs(key.type)},
                    {"type", to_text(key.type)}};
  if (key.derived) {
    out.emplace_back("kdf", "hkdf_sha256");
    out.emplace_back("convergent_encryption", key.convergent);
    if (key.convergent) out.emplace_back("convergent_encryption_version", -1);
  }
  return out;
}

Result<TransitKey> key_wanted(const VaultCall& call, const std::string& name) {
  TransitKey out;
  out.name = name;
  TRY(const auto type, text_of(call, "type"));
  if (type && !type->empty()) {
    TRY(out.type, secrets::transit_type_from(*type));
  }
  TRY(const auto derived, flag_of(call, "derived"));
  TRY(const auto convergent, flag_of(call, "convergent_encryption"));
  TRY(const auto exportable, flag_of(call, "exportable"));
  TRY(const auto backup, flag_of(call, "allow_plaintext_backup"));
  TRY(const auto rotate, seconds_of(call, "auto_rotate_period"));
  out.derived = derived.value_or(false);
  out.convergent = convergent.value_or(false);
  out.exportable = exportable.value_or(false);
  out.backup_allowed = backup.value_or(false);
  if (rotate.value_or(0) != 0)
    return Error{Code::usage, "keys are rotated by keys/NAME/rotate only", "auto_rotate_period 0"};
  if (out.convergent && !out.derived) {
    return Error{Code::malformed, "convergent encryption requires derivation to be enabled"};
  }
  const bool derivable = secrets::is_symmetric(out.type) || (out.type == TransitType::ed25519 && !out.convergent);
  if ((out.derived || out.convergent) && !derivable) {
    return Error{Code::malformed,
                 "derivation or convergent encryption not supported by key type " + std::string{to_text(out.type)}};
  }
  return out;
}

/// What making a version costs: primes are searched for, which takes seconds.
std::size_t cost_of_making(TransitType type) {
  return secrets::rsa_bits(type) != 0 ? SIZE_MAX : secrets::cost_of(type);
}

/// Versions of the first form of records have no public key at hand.
std::size_t cost_of_showing(const TransitKey& key) {
  const bool at_hand = !secrets::signs(key.type) || !key.versions.front().public_text.empty();
  return at_hand ? 1 : key.versions.size() * secrets::cost_of(key.type);
}

void read_key(const TargetPtr& target) {
  const VaultCall& call = *target->call;
  auto found = [&]() -> Result<secrets::Transit::Found> {
    TRY(const auto view, call.deps.store.read());
    TRY_OK(call.deps.tokens.require(*view, *call.token, call.now));
    return call.deps.transit.find(*view, target->place());
  }();
  if (!found) return target->call->fail(found.error());
  const auto cost = cost_of_showing(found->key);
  transit_run(target->call, cost, [target, found = *std::move(found)] {
    target->call->send(transit_data(*target->call, key_json(found.key)));
  });
}

/// Changes a key that is there. Everything but the writing happens before the transaction, which sees that the key is
/// still what it was: making versions and their public keys would hold up the store.
void change_key(const TargetPtr& target, const std::function<Status(TransitKey&)>& change, bool makes, int tries = 0) {
  const CallPtr& call = target->call;
  const auto view = call->deps.store.read();
  if (!view) return call->fail(view.error());
  auto found = call->deps.transit.find(**view, target->place());
  if (!found && found.error().code == Code::not_found) {
    return call->fail(Error{Code::malformed, "no existing key named " + target->name + " could be found"});
  }
  if (!found) return call->fail(found.error());
  const auto cost = std::max(makes ? cost_of_making(found->key.type) : 1, cost_of_showing(found->key));
  auto shared = std::make_shared<secrets::Transit::Found>(*std::move(found));
  transit_run(call, cost, [target, change, makes, tries, shared] {
    if (const auto done = change(shared->key); !done) return target->call->fail(done.error());
    commit(
        target->call,
        [target, change, makes, tries, shared, json = JsonOut{key_json(shared->key)}](state::WriteTxn& txn) -> Answer {
          const VaultCall& inner = *target->call;
          const auto same = inner.deps.transit.unchanged(txn, target->place(), shared->record);
          if (!same && tries < kTransitTries) {
            target->call->again = [=] { change_key(target, change, makes, tries + 1); };
          }
          TRY_OK(same);
          TRY_OK(inner.deps.transit.put(txn, target->place(), shared->key));
          return vault_data(inner, json.compact(), "transit");
        });
  });
}

Status configure(const VaultCall& call, TransitKey& key) {
  TRY(const auto decryption, number_of(call, "min_decryption_version"));
  TRY(const auto encryption, number_of(call, "min_encryption_version"));
  TRY(const auto deletion, flag_of(call, "deletion_allowed"));
  TRY(const auto exportable, flag_of(call, "exportable"));
  TRY(const auto backup, flag_of(call, "allow_plaintext_backup"));
  TRY(const auto rotate, seconds_of(call, "auto_rotate_period"));
  const auto in_range = [&](const std::optional<std::int64_t>& version) {
    return !version || (*version >= 0 && *version <= key.latest());
  };
  if (!in_range(decryption))
    return Error{Code::malformed, "cannot set min decryption version of " + std::to_string(*decryption) +
                                      ", latest key version is " + std::to_string(key.latest())};
  if (!in_range(encryption))
    return Error{Code::malformed, "cannot set min encryption version of " + std::to_string(*encryption) +
                                      ", latest key version is " + std::to_string(key.latest())};
  if (rotate.value_or(0) != 0)
    return Error{Code::usage, "keys are rotated by keys/NAME/rotate only", "auto_rotate_period 0"};
  if (decryption) key.min_decryption = std::max<std::uint32_t>(1, static_cast<std::uint32_t>(*decryption));
  if (encryption) key.min_encryption = static_cast<std::uint32_t>(*encryption);
  if (key.min_encryption != 0 && key.min_encryption < key.min_decryption) {
    return Error{Code::malformed,
                 "cannot set min encryption/decryption values; min encryption version must be greater than or equal to "
                 "min decryption version"};
  }
  if (key.min_decryption < key.min_available)
    return Error{Code::malformed, "versions below min_available_version are gone"};
  if (deletion) key.deletion_allowed = *deletion;
  // What was allowed once may have been taken out: it stays marked.
  key.exportable = key.exportable || exportable.value_or(false);
  key.backup_allowed = key.backup_allowed || backup.value_or(false);
  return base::done();
}

Status trim(const VaultCall& call, TransitKey& key) {
  TRY(const auto least, number_of(call, "min_available_version"));
  const auto least_used =
      key.min_encryption == 0 ? key.min_decryption : std::min(key.min_decryption, key.min_encryption);
  if (!least || *least < 1 || *least > least_used || *least < key.min_available) {
    return Error{Code::malformed, "min_available_version",
                 "1 to the lowest version that is still used (" + std::to_string(least_used) + ")"};
  }
  if (key.min_encryption == 0)
    return Error{Code::malformed, "minimum available version cannot be set when minimum encryption version is not set"};
  key.min_available = static_cast<std::uint32_t>(*least);
  std::erase_if(key.versions, [&](const TransitKey::Version& version) { return version.number < key.min_available; });
  return base::done();
}

void delete_key(const TargetPtr& target) {
  commit(target->call, [target](state::WriteTxn& txn) -> Answer {
    const VaultCall& call = *target->call;
    const auto found = call.deps.transit.find(txn, target->place());
    if (!found && found.error().code == Code::not_found) {
      return Error{Code::malformed, "could not delete key; not found"};
    }
    if (!found) return found.error();
    if (!found->key.deletion_allowed) return Error{Code::malformed, "deletion is not allowed for this key"};
    TRY_OK(call.deps.transit.erase(txn, target->place()));
    return net::empty_response();
  });
}

/// What an export gives of a version; `malformed` for a kind that the key has not.
Result<SecretText> exported(const TransitKey& key, const TransitKey::Version& version, std::string_view kind) {
  if (kind == "hmac-key") return SecretText{base::base64(version.hmac.reveal())};
  if (kind == "public-key" && secrets::signs(key.type)) return SecretText{key.public_key(version)};
  const bool wanted =
      (kind == "encryption-key" && secrets::encrypts(key.type)) || (kind == "signing-key" && secrets::signs(key.type));
  if (!wanted)
    return Error{Code::malformed, "the key has no " + std::string{kind.substr(0, 32)},
                 "encryption-key, signing-key, hmac-key or public-key"};
  return SecretText{key.export_text(version)};
}

struct Exported {
  SecretText json;
  SecretText released;
};

Result<Exported> export_versions(const TransitKey& key, std::string_view kind, std::string_view version_text) {
  if (!key.exportable && kind != "public-key") return Error{Code::malformed, "key is not exportable"};
  std::int64_t wanted = 0;
  if (version_text == "latest") {
    wanted = key.latest();
  } else if (!version_text.empty()) {
    TRY(wanted, whole_number(version_text, "version"));
  }
  Exported out;
  out.json.append(R"({"keys":)");
  bool first = true;
  for (const auto& version : key.versions) {
    if (version.number < key.min_decryption || (wanted != 0 && version.number != wanted)) continue;
    TRY(const auto text, exported(key, version, kind));
    out.released.append(text.view()).append("\n");
    out.json.append(std::exchange(first, false) ? "{" : ",");
    out.json.append_json(std::to_string(version.number)).append(":").append_json(text.view());
  }
  if (first) return Error{Code::malformed, "version does not exist or cannot be found"};
  out.json.append(R"(},"name":)")
      .append_json(key.name)
      .append(R"(,"type":)")
      .append_json(to_text(key.type))
      .append("}");
  return out;
}

constexpr std::string_view kBackup = "attestry:v1:";

}  // namespace

void create_transit_key(const TransitTargetPtr& target, std::function<void()> then) {
  auto key = key_wanted(*target->call, target->name);
  if (!key) return target->call->fail(key.error());
  auto shared = std::make_shared<TransitKey>(*std::move(key));
  transit_run(target->call, cost_of_making(shared->type), [target, shared, then = std::move(then)] {
    const VaultCall& outer = *target->call;
    const auto made = shared->add(shared->make_version(outer.now, outer.deps.random));
    if (!made) return target->call->fail(made.error());
    commit(target->call, [target, shared, then, json = JsonOut{key_json(*shared)}](state::WriteTxn& txn) -> Answer {
      const VaultCall& call = *target->call;
      TRY(const bool there, call.deps.transit.has(txn, target->place()));
      if (!then) TRY_OK(may_change(call, there));
      if (then) target->call->again = [then] { then(); };
      // As Vault does: what is there stays, and is shown.
      if (there && !then) target->call->again = [target] { read_key(target); };
      if (!there) TRY_OK(call.deps.transit.put(txn, target->place(), *shared));
      return vault_data(call, json.compact(), "transit");
    });
  });
}

void serve_transit_keys(const TransitTargetPtr& target, std::string_view action) {
  const CallPtr& call = target->call;
  const bool write = call->verb == VaultVerb::write;
  if (action == "rotate" && write) {
    const auto rotate = [call](TransitKey& key) { return key.add(key.make_version(call->now, call->deps.random)); };
    return change_key(target, rotate, true);
  }
  if (action == "config" && write) {
    return change_key(target, [call](TransitKey& key) { return configure(*call, key); }, false);
  }
  if (action == "trim" && write) {
    return change_key(target, [call](TransitKey& key) { return trim(*call, key); }, false);
  }
  if (!action.empty()) return call->fail(unsupported_path(*call));
  if (write) return create_transit_key(target, {});
  if (call->verb == VaultVerb::delete_) return delete_key(target);
  if (call->verb == VaultVerb::read) return read_key(target);
  call->fail(Error{Code::method_not_allowed, "unsupported operation"});
}

void export_transit_key(const TransitTargetPtr& target, std::string_view kind, std::string_view version) {
  const CallPtr& call = target->call;
  const auto view = call->deps.store.read();
  if (!view) return call->fail(view.error());
  auto found = call->deps.transit.find(**view, target->place());
  if (!found) return call->fail(found.error());
  const auto cost = found->key.versions.size() * secrets::cost_of(found->key.type);
  auto shared = std::make_shared<secrets::Transit::Found>(*std::move(found));
  transit_run(call, cost, [target, shared, kind = std::string{kind}, version = std::string{version}] {
    auto out = export_versions(shared->key, kind, version);
    if (!out) return target->call->fail(out.error());
    commit(target->call,
           [target, shared, out = std::make_shared<const Exported>(*std::move(out))](state::WriteTxn& txn) -> Answer {
             const VaultCall& inner = *target->call;
             TRY_OK(inner.deps.transit.unchanged(txn, target->place(), shared->record));
             auto response = vault_secret(inner, out->json, "transit");
             const auto subject = target->subject(shared->key.latest());
             TRY_OK(add_leaf(inner, txn, {.type = "transit.export", .subject = subject, .value = out->released.bytes()},
                             response));
             return response;
           });
  });
}

void back_up_transit_key(const TransitTargetPtr& target) {
  commit(target->call, [target](state::WriteTxn& txn) -> Answer {
    const VaultCall& call = *target->call;
    TRY(const auto found, call.deps.transit.find(txn, target->place()));
    if (!found.key.exportable) return Error{Code::malformed, "exporting is disallowed on the policy"};
    if (!found.key.backup_allowed) return Error{Code::malformed, "plaintext backup is disallowed on the policy"};
    TRY(const auto sealed, call.deps.transit.seal_backup(txn, *call.space, found.key));
    const auto text = std::string{kBackup} + base::base64(sealed);
    auto response = transit_data(call, {{"backup", text}});
    const auto subject = target->subject(found.key.latest());
    TRY_OK(
        add_leaf(call, txn, {.type = "transit.backup", .subject = subject, .value = base::as_bytes(text)}, response));
    return response;
  });
}

void restore_transit_key(const CallPtr& call, const secrets::Mount& mount, const std::string& name) {
  struct Wanted {
    secrets::Mount mount;
    std::string name;
    base::Bytes sealed;
    bool force = false;
  };
  const auto wanted = [&]() -> Result<Wanted> {
    TRY(const auto text, text_of(*call, "backup"));
    if (!text || !text->starts_with(kBackup)) {
      return Error{Code::malformed, "backup", "what transit/backup of this server gave"};
    }
    TRY(const auto said, text_of(*call, "name"));
    if (said && *said != name) return Error{Code::malformed, "name", "that of the path"};
    TRY(const auto force, flag_of(*call, "force"));
    TRY(auto sealed, base::base64_decode(text->substr(kBackup.size())), "backup");
    return Wanted{mount, name, std::move(sealed), force.value_or(false)};
  }();
  if (!wanted) return call->fail(wanted.error());
  commit(call, [call, wanted = *wanted](state::WriteTxn& txn) -> Answer {
    TRY(auto key, call->deps.transit.open_backup(txn, *call->space, wanted.sealed));
    if (!wanted.name.empty()) key.name = wanted.name;
    const secrets::TransitPlace place{*call->space, wanted.mount, key.name};
    TRY(const bool there, call->deps.transit.has(txn, place));
    if (there && !wanted.force) return Error{Code::malformed, "key \"" + key.name + "\" already exists"};
    TRY_OK(call->deps.transit.put(txn, place, key));
    auto response = net::empty_response();
    const auto subject =
        call->space->path + "/" + wanted.mount.path + "/" + key.name + "#" + std::to_string(key.latest());
    TRY_OK(add_leaf(*call, txn, {.type = "transit.restore", .subject = subject}, response));
    return response;
  });
}

}  // namespace attestry::api
