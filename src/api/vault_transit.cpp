// The transit engine: keys that stay here, and what clients have done with them.
#include <algorithm>
#include <charconv>

#include "api/vault_wire.h"
#include "base/encoding.h"
#include "crypto/digest.h"
#include "secrets/transit.h"

namespace attestry::api {

using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutArray;
using base::JsonOutObject;
using base::Result;
using base::Status;
using secrets::Capability;
using secrets::TransitKey;
using secrets::TransitType;

namespace {

constexpr std::string_view kTransit = "transit";
constexpr std::size_t kMaxBatch = 1000;
constexpr std::size_t kMaxListed = 10'000;
constexpr std::size_t kMaxRandom = 128 * 1024;

struct Target {
  CallPtr call;
  secrets::Mount mount;
  std::string name;
  secrets::TransitPlace place() const { return {*call->space, mount, name}; }
  std::string subject(std::uint32_t version) const {
    return call->space->path + "/" + mount.path + "/" + name + "#" + std::to_string(version);
  }
};
using TargetPtr = std::shared_ptr<const Target>;

net::Response data(const VaultCall& call, JsonOutObject object) {
  return vault_data(call, JsonOut{std::move(object)}.compact(), kTransit);
}

Error unsupported() { return {Code::method_not_allowed, "unsupported operation"}; }

/// One of a batch, or the body itself.
class Item {
 public:
  explicit Item(base::JsonValue object) : object_(object) {}

  Result<std::optional<std::string>> text(std::string_view name) const {
    const auto value = object_.find(name);
    if (!value || value->is_null()) return std::optional<std::string>{};
    TRY(auto out, value->string(name));
    return std::optional{std::move(out)};
  }
  /// Base64; empty when absent.
  Result<base::Bytes> bytes(std::string_view name) const {
    TRY(const auto sent, text(name));
    if (!sent) return base::Bytes{};
    auto out = base::base64_decode(*sent);
    if (!out) return Error{Code::malformed, "failed to base64-decode " + std::string{name}};
    if (out->size() > secrets::kMaxTransitInput) return Error{Code::too_large, std::string{name}, "at most 512 KiB"};
    return out;
  }
  Result<base::Bytes> wanted(std::string_view name) const {
    if (!object_.find(name)) return Error{Code::malformed, "missing " + std::string{name}};
    return bytes(name);
  }
  Result<std::uint32_t> number(std::string_view name) const {
    const auto value = object_.find(name);
    if (!value || value->is_null()) return std::uint32_t{0};
    TRY(const auto out, number_of(*value, name));
    if (*out < 0 || *out > UINT32_MAX) return Error{Code::malformed, std::string{name}, "0 or more"};
    return static_cast<std::uint32_t>(*out);
  }
  std::optional<std::string> reference() const {
    const auto sent = text("reference");
    return sent ? *sent : std::nullopt;
  }

 private:
  base::JsonValue object_;
};

/// What one item gives, and what its leaf says was released.
struct Outcome {
  JsonOutObject object;
  std::string released{};
};
using Use = std::function<Result<Outcome>(const TransitKey&, const Item&)>;

Result<std::vector<Item>> items_of(const VaultCall& call, bool& batch) {
  std::vector<Item> out;
  const auto list = call.member("batch_input");
  batch = list.has_value();
  if (!batch) {
    if (!call.body) return Error{Code::malformed, "missing input"};
    out.emplace_back(call.body->root());
    return out;
  }
  if (!list->is_array()) return Error{Code::malformed, "batch_input", "an array"};
  for (auto item = list->first(); item; item = item->next()) {
    if (!item->is_object()) return Error{Code::malformed, "batch_input", "objects"};
    if (out.size() == kMaxBatch) return Error{Code::too_large, "batch_input", "at most 1000"};
    out.emplace_back(*item);
  }
  if (out.empty()) return Error{Code::malformed, "missing batch input to process"};
  return out;
}

/// What all items gave. `failed`: one of them did not.
struct Results {
  JsonOutObject object;
  std::string released{};
  bool failed = false;
};

Result<Results> run(const VaultCall& call, const TransitKey& key, const Use& use) {
  bool batch = false;
  TRY(const auto items, items_of(call, batch));
  Results out;
  JsonOutArray all;
  for (const Item& item : items) {
    auto one = use(key, item);
    if (!batch) {
      TRY(auto alone, std::move(one));
      return Results{.object = std::move(alone.object), .released = std::move(alone.released)};
    }
    out.failed = out.failed || !one;
    JsonOutObject object = one ? std::move(one->object) : JsonOutObject{{"error", one.error().what}};
    if (one) out.released.append(one->released).append("\n");
    if (const auto reference = item.reference()) object.emplace_back("reference", *reference);
    all.emplace_back(std::move(object));
  }
  out.object = {{"batch_results", std::move(all)}};
  return out;
}

net::Response results_response(const VaultCall& call, Results results) {
  auto response = data(call, std::move(results.object));
  if (results.failed) response.status = 400;
  return response;
}

/// Computes on this thread, from what is committed, and answers.
void use_key(const TargetPtr& target, const Use& use) {
  answer(target->call, [&](const state::ReadView& view) -> Answer {
    TRY(const auto found, target->call->deps.transit.find(view, target->place()));
    TRY(auto results, run(*target->call, found.key, use));
    return results_response(*target->call, std::move(results));
  });
}

/// The same where something is released: computed on this thread, because signatures would hold up the store, and given
/// out in a transaction that sees that key and token are what they were.
void release_with_key(const TargetPtr& target, std::string_view leaf_type, const Use& use) {
  const CallPtr& call = target->call;
  const auto view = call->deps.store.read();
  if (!view) return call->fail(view.error());
  auto found = call->deps.transit.find(**view, target->place());
  if (!found) return call->fail(found.error());
  auto results = run(*call, found->key, use);
  if (!results) return call->fail(results.error());
  auto shared = std::make_shared<std::pair<Results, base::Bytes>>(*std::move(results), std::move(found->record));
  commit(call, [target, leaf_type, shared, latest = found->key.latest()](state::WriteTxn& txn) -> Answer {
    TRY_OK(target->call->deps.transit.unchanged(txn, target->place(), shared->second));
    auto response = results_response(*target->call, shared->first);
    const auto subject = target->subject(latest);
    TRY_OK(add_leaf(*target->call, txn,
                    {.type = leaf_type, .subject = subject, .value = base::as_bytes(shared->first.released)},
                    response));
    return response;
  });
}

// -- keys

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
  const bool derivable = secrets::encrypts(key.type) || key.type == TransitType::ed25519;
  JsonOutObject out{{"allow_plaintext_backup", false},
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
  if (backup.value_or(false))
    return Error{Code::usage, "plaintext backups are not offered", "allow_plaintext_backup false"};
  if (rotate.value_or(0) != 0)
    return Error{Code::usage, "keys are rotated by keys/NAME/rotate only", "auto_rotate_period 0"};
  if (out.convergent && !out.derived) {
    return Error{Code::malformed, "convergent encryption requires derivation to be enabled"};
  }
  const bool derivable = secrets::encrypts(out.type) || (out.type == TransitType::ed25519 && !out.convergent);
  if ((out.derived || out.convergent) && !derivable) {
    return Error{Code::malformed,
                 "derivation or convergent encryption not supported by key type " + std::string{to_text(out.type)}};
  }
  TRY_OK(out.add_version(call.now, call.deps.random));
  return out;
}

void create_key(const TargetPtr& target) {
  auto key = key_wanted(*target->call, target->name);
  if (!key) return target->call->fail(key.error());
  auto shared = std::make_shared<TransitKey>(*std::move(key));
  commit(target->call, [target, shared](state::WriteTxn& txn) -> Answer {
    const VaultCall& call = *target->call;
    const auto there = call.deps.transit.find(txn, target->place());
    if (there) return data(call, key_json(there->key));  // as Vault does: what is there stays
    if (there.error().code != Code::not_found) return there.error();
    TRY_OK(call.deps.transit.put(txn, target->place(), *shared));
    return data(call, key_json(*shared));
  });
}

/// Changes a key that is there.
void change_key(const TargetPtr& target, std::function<Status(TransitKey&)> change) {
  commit(target->call, [target, change = std::move(change)](state::WriteTxn& txn) -> Answer {
    const VaultCall& call = *target->call;
    auto found = call.deps.transit.find(txn, target->place());
    if (!found && found.error().code == Code::not_found) {
      return Error{Code::malformed, "no existing key named " + target->name + " could be found"};
    }
    TRY(auto key, std::move(found));
    TRY_OK(change(key.key));
    TRY_OK(call.deps.transit.put(txn, target->place(), key.key));
    return data(call, key_json(key.key));
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
  if (backup.value_or(false))
    return Error{Code::usage, "plaintext backups are not offered", "allow_plaintext_backup false"};
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

void serve_keys(const TargetPtr& target, std::string_view action) {
  const CallPtr& call = target->call;
  const bool write = call->verb == VaultVerb::write;
  if (action == "rotate" && write) {
    return change_key(target, [call](TransitKey& key) { return key.add_version(call->now, call->deps.random); });
  }
  if (action == "config" && write) {
    return change_key(target, [call](TransitKey& key) { return configure(*call, key); });
  }
  if (action == "trim" && write) {
    return change_key(target, [call](TransitKey& key) { return trim(*call, key); });
  }
  if (!action.empty()) return call->fail(unsupported_path(*call));
  if (write) return create_key(target);
  if (call->verb == VaultVerb::delete_) return delete_key(target);
  if (call->verb != VaultVerb::read) return call->fail(unsupported());
  answer(call, [&](const state::ReadView& view) -> Answer {
    TRY(const auto found, call->deps.transit.find(view, target->place()));
    return data(*call, key_json(found.key));
  });
}

void list_keys(const CallPtr& call, const secrets::Mount& mount) {
  answer(call, [&](const state::ReadView& view) -> Answer {
    TRY(const auto names, secrets::Transit::list(view, *call->space, mount, kMaxListed));
    if (names.empty()) return vault_errors(404, {});
    return data(*call, {{"keys", json_texts(names)}});
  });
}

// -- what is done with them

Result<Outcome> encrypt_one(const VaultCall& call, const TransitKey& key, const Item& item) {
  TRY(auto bytes, item.wanted("plaintext"));
  const auto plaintext = crypto::Secret::absorb(bytes);
  TRY(const auto context, item.bytes("context"));
  TRY(const auto associated, item.bytes("associated_data"));
  TRY(const auto nonce, item.bytes("nonce"));
  if (!nonce.empty()) return Error{Code::malformed, "provided nonce not allowed for this key"};
  TRY(const auto version, item.number("key_version"));
  TRY(auto text, key.encrypt(plaintext.reveal(), context, associated, version, call.deps.random));
  return Outcome{.object = {{"ciphertext", std::move(text)}, {"key_version", version == 0 ? key.latest() : version}}};
}

void encrypt(const TargetPtr& target) {
  const CallPtr& call = target->call;
  const auto view = call->deps.store.read();
  if (!view) return call->fail(view.error());
  const Use use = [call](const TransitKey& key, const Item& item) { return encrypt_one(*call, key, item); };
  const auto found = call->deps.transit.find(**view, target->place());
  if (found || found.error().code != Code::not_found) return use_key(target, use);
  // Vault makes the key for those who may create one.
  if (const auto may = allowed(*call, Capability::create); !may) return call->fail(may.error());
  auto fresh = key_wanted(*call, target->name);
  if (!fresh) return call->fail(fresh.error());
  auto shared = std::make_shared<TransitKey>(*std::move(fresh));
  commit(call, [target, shared, use](state::WriteTxn& txn) -> Answer {
    const VaultCall& inner = *target->call;
    auto there = inner.deps.transit.find(txn, target->place());
    if (!there && there.error().code != Code::not_found) return there.error();
    if (!there) TRY_OK(inner.deps.transit.put(txn, target->place(), *shared));
    TRY(auto results, run(inner, there ? there->key : *shared, use));
    return results_response(inner, std::move(results));
  });
}

Result<Outcome> decrypt_one(const TransitKey& key, const Item& item) {
  TRY(const auto ciphertext, item.text("ciphertext"));
  if (!ciphertext) return Error{Code::malformed, "missing ciphertext to decrypt"};
  TRY(const auto context, item.bytes("context"));
  TRY(const auto associated, item.bytes("associated_data"));
  TRY(const auto plain, key.decrypt(*ciphertext, context, associated));
  auto text = base::base64(plain.reveal());
  return Outcome{.object = {{"plaintext", text}}, .released = std::move(text)};
}

Result<Outcome> rewrap_one(const VaultCall& call, const TransitKey& key, const Item& item) {
  TRY(const auto ciphertext, item.text("ciphertext"));
  if (!ciphertext) return Error{Code::malformed, "missing ciphertext to decrypt"};
  TRY(const auto context, item.bytes("context"));
  TRY(const auto associated, item.bytes("associated_data"));
  TRY(const auto version, item.number("key_version"));
  TRY(const auto plain, key.decrypt(*ciphertext, context, associated));
  TRY(auto text, key.encrypt(plain.reveal(), context, associated, version, call.deps.random));
  return Outcome{.object = {{"ciphertext", std::move(text)}, {"key_version", version == 0 ? key.latest() : version}}};
}

/// The hash of the path's last part, of the body, or `sha2-256`.
Result<crypto::HashName> hash_of(const VaultCall& call, std::string_view in_path, std::string_view member) {
  std::string name{in_path};
  if (name.empty()) {
    TRY(const auto sent, text_of(call, member));
    name = sent.value_or("");
  }
  if (name.empty()) return crypto::HashName::sha2_256;
  const auto found = crypto::hash_name_from(name);
  if (found) return *found;
  return Error{Code::malformed, "unsupported algorithm", "sha2-224 to sha2-512 or sha3-224 to sha3-512",
               name.substr(0, 32)};
}

struct Signing {
  crypto::HashName hash = crypto::HashName::sha2_256;
  bool prehashed = false;
  secrets::Marshaling marshaling = secrets::Marshaling::asn1;
};

Result<Signing> signing_of(const VaultCall& call, std::string_view in_path) {
  Signing out;
  const bool old = !call.member("hash_algorithm") && call.member("algorithm");
  TRY(out.hash, hash_of(call, in_path, old ? "algorithm" : "hash_algorithm"));
  TRY(const auto prehashed, flag_of(call, "prehashed"));
  out.prehashed = prehashed.value_or(false);
  TRY(const auto marshaling, text_of(call, "marshaling_algorithm"));
  if (marshaling && *marshaling == "jws") {
    out.marshaling = secrets::Marshaling::jws;
  } else if (marshaling && !marshaling->empty() && *marshaling != "asn1") {
    return Error{Code::malformed, "marshaling_algorithm", "asn1 or jws", *marshaling};
  }
  return out;
}

void sign(const TargetPtr& target, std::string_view in_path) {
  const auto how = signing_of(*target->call, in_path);
  if (!how) return target->call->fail(how.error());
  release_with_key(target, "transit.sign", [how = *how](const TransitKey& key, const Item& item) -> Result<Outcome> {
    TRY(const auto input, item.wanted("input"));
    TRY(const auto context, item.bytes("context"));
    TRY(const auto version, item.number("key_version"));
    TRY(auto text, key.sign({.input = input,
                             .context = context,
                             .hash = how.hash,
                             .prehashed = how.prehashed,
                             .marshaling = how.marshaling},
                            version));
    return Outcome{.object = {{"signature", text}, {"key_version", version == 0 ? key.latest() : version}},
                   .released = text};
  });
}

void verify(const TargetPtr& target, std::string_view in_path) {
  const auto how = signing_of(*target->call, in_path);
  if (!how) return target->call->fail(how.error());
  use_key(target, [how = *how](const TransitKey& key, const Item& item) -> Result<Outcome> {
    TRY(const auto input, item.wanted("input"));
    TRY(const auto context, item.bytes("context"));
    TRY(const auto signature, item.text("signature"));
    TRY(const auto hmac, item.text("hmac"));
    if (signature.has_value() == hmac.has_value()) {
      return Error{Code::malformed, "either a signature or an HMAC must be given"};
    }
    if (hmac) {
      TRY(const bool valid, key.verify_hmac(how.hash, input, *hmac));
      return Outcome{.object = {{"valid", valid}}};
    }
    TRY(const bool valid, key.verify({.input = input,
                                      .context = context,
                                      .hash = how.hash,
                                      .prehashed = how.prehashed,
                                      .marshaling = how.marshaling},
                                     *signature));
    return Outcome{.object = {{"valid", valid}}};
  });
}

void hmac(const TargetPtr& target, std::string_view in_path) {
  const auto hash = hash_of(*target->call, in_path, "algorithm");
  if (!hash) return target->call->fail(hash.error());
  release_with_key(target, "transit.hmac", [hash = *hash](const TransitKey& key, const Item& item) -> Result<Outcome> {
    TRY(const auto input, item.wanted("input"));
    TRY(const auto version, item.number("key_version"));
    TRY(auto text, key.hmac(hash, input, version));
    return Outcome{.object = {{"hmac", text}}, .released = text};
  });
}

void data_key(const CallPtr& call, const TargetPtr& target, std::string_view kind) {
  const bool plaintext = kind == "plaintext";
  if (!plaintext && kind != "wrapped")
    return call->fail(Error{Code::malformed, "Invalid path, must be 'plaintext' or 'wrapped'"});
  release_with_key(target, "transit.datakey",
                   [call, plaintext](const TransitKey& key, const Item& item) -> Result<Outcome> {
                     TRY(const auto bits, item.number("bits"));
                     if (bits != 0 && bits != 128 && bits != 256 && bits != 512)
                       return Error{Code::malformed, "invalid bit length", "128, 256 or 512"};
                     TRY(const auto context, item.bytes("context"));
                     TRY(const auto associated, item.bytes("associated_data"));
                     const auto fresh = call->deps.random.secret(bits == 0 ? 32 : bits / 8);
                     TRY(auto text, key.encrypt(fresh.reveal(), context, associated, 0, call->deps.random));
                     Outcome out{.object = {{"ciphertext", text}, {"key_version", key.latest()}}, .released = text};
                     if (plaintext) {
                       out.released = base::base64(fresh.reveal());
                       out.object.emplace_back("plaintext", out.released);
                     }
                     return out;
                   });
}

void random_bytes(const CallPtr& call, std::string_view rest) {
  const auto made = [&]() -> Answer {
    // random, random/BYTES, random/SOURCE, random/SOURCE/BYTES: there is one source here.
    if (const auto slash = rest.find('/'); slash != std::string_view::npos) rest = rest.substr(slash + 1);
    TRY(const auto sent, number_of(*call, "bytes"));
    std::int64_t count = sent.value_or(32);
    if (!rest.empty() && rest != "platform" && rest != "seal" && rest != "all") {
      TRY(count, seconds_from(rest));
    }
    if (count < 1 || count > static_cast<std::int64_t>(kMaxRandom)) {
      return Error{Code::malformed, "\"bytes\" cannot be less than 1 or more than 131072"};
    }
    TRY(const auto format, text_of(*call, "format"));
    const auto bytes = call->deps.random.secret(static_cast<std::size_t>(count));
    const std::string kind = format.value_or("base64");
    if (kind != "base64" && kind != "hex")
      return Error{Code::malformed, "unsupported encoding format", "hex or base64", kind};
    return data(*call, {{"random_bytes", kind == "hex" ? base::hex(bytes.reveal()) : base::base64(bytes.reveal())}});
  }();
  if (!made) return call->fail(made.error());
  answer(call, [&](const state::ReadView&) -> Answer { return *made; });
}

void hash_data(const CallPtr& call, std::string_view in_path) {
  const auto made = [&]() -> Answer {
    TRY(const auto hash, hash_of(*call, in_path, "algorithm"));
    if (!call->body) return Error{Code::malformed, "missing input"};
    TRY(const auto input, Item{call->body->root()}.wanted("input"));
    TRY(const auto format, text_of(*call, "format"));
    const auto sum = crypto::digest(hash, input);
    const std::string kind = format.value_or("hex");
    if (kind != "base64" && kind != "hex")
      return Error{Code::malformed, "unsupported encoding format", "hex or base64", kind};
    return data(*call, {{"sum", kind == "hex" ? base::hex(sum) : base::base64(sum)}});
  }();
  if (!made) return call->fail(made.error());
  call->send(*made);
}

/// What an export gives of a version; `malformed` for a kind that the key has not.
Result<std::string> exported(const TransitKey& key, const TransitKey::Version& version, std::string_view kind) {
  if (kind == "hmac-key") return base::base64(version.hmac.reveal());
  if (kind == "public-key" && secrets::signs(key.type)) return key.public_key(version);
  const bool wanted =
      (kind == "encryption-key" && secrets::encrypts(key.type)) || (kind == "signing-key" && secrets::signs(key.type));
  if (!wanted)
    return Error{Code::malformed, "the key has no " + std::string{kind.substr(0, 32)},
                 "encryption-key, signing-key, hmac-key or public-key"};
  return key.export_text(version);
}

void export_key(const TargetPtr& target, std::string_view kind, std::string_view version_text) {
  const CallPtr& call = target->call;
  commit(
      call,
      [target, kind = std::string{kind}, version_text = std::string{version_text}](state::WriteTxn& txn) -> Answer {
        const VaultCall& inner = *target->call;
        TRY(const auto found, inner.deps.transit.find(txn, target->place()));
        const TransitKey& key = found.key;
        if (!key.exportable && kind != "public-key") return Error{Code::malformed, "key is not exportable"};
        std::int64_t wanted = 0;
        if (version_text == "latest") {
          wanted = key.latest();
        } else if (!version_text.empty()) {
          TRY(wanted, seconds_from(version_text));
        }
        JsonOutObject keys;
        std::string released;
        for (const auto& version : key.versions) {
          if (version.number < key.min_decryption || (wanted != 0 && version.number != wanted)) continue;
          TRY(auto text, exported(key, version, kind));
          released.append(text).append("\n");
          keys.emplace_back(std::to_string(version.number), std::move(text));
        }
        if (keys.empty()) return Error{Code::malformed, "version does not exist or cannot be found"};
        auto response = data(inner, {{"keys", std::move(keys)}, {"name", key.name}, {"type", to_text(key.type)}});
        const auto subject = target->subject(key.latest());
        TRY_OK(add_leaf(inner, txn, {.type = "transit.export", .subject = subject, .value = base::as_bytes(released)},
                        response));
        return response;
      });
}

std::vector<std::string_view> split(std::string_view path) {
  std::vector<std::string_view> out;
  while (!path.empty()) {
    const auto slash = path.find('/');
    out.push_back(path.substr(0, slash));
    path = slash == std::string_view::npos ? std::string_view{} : path.substr(slash + 1);
  }
  return out;
}

/// How many parts the paths of an operation have, itself included. What nobody looks at must not be there: policies are
/// judged on the whole path.
bool has_parts_of(std::string_view what, std::size_t parts) {
  struct Form {
    std::string_view what;
    std::size_t least, most;
  };
  static constexpr Form kForms[] = {{"keys", 1, 3},    {"encrypt", 2, 2}, {"decrypt", 2, 2}, {"rewrap", 2, 2},
                                    {"sign", 2, 3},    {"verify", 2, 3},  {"hmac", 2, 3},    {"export", 3, 4},
                                    {"datakey", 3, 3}, {"hash", 1, 2},    {"random", 1, 3}};
  for (const auto& form : kForms) {
    if (form.what == what) return parts >= form.least && parts <= form.most;
  }
  return true;  // refused by name elsewhere
}

/// True when the request was one with a key's name and was answered.
void with_key(const TargetPtr& target, std::string_view what, std::string_view more) {
  const CallPtr& call = target->call;
  if (what == "keys") return serve_keys(target, more);
  if (call->verb != VaultVerb::write) return call->fail(unsupported());
  if (what == "encrypt") return encrypt(target);
  if (what == "decrypt") return release_with_key(target, "transit.decrypt", decrypt_one);
  if (what == "rewrap") {
    return use_key(target, [call](const TransitKey& key, const Item& item) { return rewrap_one(*call, key, item); });
  }
  if (what == "sign") return sign(target, more);
  if (what == "verify") return verify(target, more);
  if (what == "hmac") return hmac(target, more);
  call->fail(unsupported_path(*call));
}

}  // namespace

void vault_transit(CallPtr call, const secrets::Mount& mount, std::string_view rest) {
  if (const auto may = allowed(*call); !may) return call->fail(may.error());
  const auto parts = split(rest);
  const auto part = [&](std::size_t at) { return at < parts.size() ? parts[at] : std::string_view{}; };
  const auto what = part(0);
  if (!has_parts_of(what, parts.size())) return call->fail(unsupported_path(*call));
  if (what == "keys" && parts.size() == 1) {
    return call->verb == VaultVerb::list ? list_keys(call, mount) : call->fail(unsupported());
  }
  if (what == "random" && call->verb == VaultVerb::write)
    return random_bytes(call, rest.substr(std::min<std::size_t>(7, rest.size())));
  if (what == "hash" && call->verb == VaultVerb::write) return hash_data(call, part(1));
  if (what == "backup" || what == "restore")
    return call->fail(Error{Code::usage, "plaintext backups are not offered", "a backup of the server's data folder"});
  const bool kind_first = what == "export" || what == "datakey";
  const std::string name{part(kind_first ? 2 : 1)};
  if (const auto good = secrets::check_transit_name(name); !good) {
    return call->fail(parts.size() < 2 ? unsupported_path(*call) : good.error());
  }
  const auto target = std::make_shared<const Target>(Target{.call = call, .mount = mount, .name = name});
  if (what == "export" && call->verb == VaultVerb::read) return export_key(target, part(1), part(3));
  if (what == "datakey" && call->verb == VaultVerb::write) {
    // Without a body the key has 256 bits.
    if (!call->body) call->body = *base::JsonDocument::parse("{}");
    return data_key(call, target, part(1));
  }
  with_key(target, what, part(2));
}

}  // namespace attestry::api
