// The transit engine: keys that stay here, and what clients have done with them.
#include <algorithm>

#include "api/vault_transit.h"
#include "base/encoding.h"
#include "crypto/digest.h"

namespace attestry::api {

using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutObject;
using base::Result;
using base::Status;
using secrets::Capability;
using Target = TransitTarget;
using TargetPtr = TransitTargetPtr;
using secrets::TransitKey;

namespace {

constexpr std::string_view kTransit = "transit";
constexpr std::size_t kMaxBatch = 1000;
constexpr std::size_t kMaxListed = 10'000;
constexpr std::size_t kCheap = 64;  // some milliseconds
constexpr std::size_t kMaxRandom = 128 * 1024;

net::Response data(const VaultCall& call, JsonOutObject object) { return transit_data(call, std::move(object)); }

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

/// What one item gives, and what its leaf says was released: a text of base64, which stands in the answer under the
/// name `secret` where the object does not have it.
struct Outcome {
  JsonOutObject object;
  SecretText released{};
  std::string_view secret{};
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

/// What all items gave, as JSON. `failed`: one of them did not.
struct Results {
  SecretText json{};
  SecretText released{};
  bool failed = false;
};

void append_outcome(SecretText& out, const Outcome& one) {
  const auto object = JsonOut{one.object}.compact();
  if (one.secret.empty()) {
    out.append(object);
    return;
  }
  out.append("{\"").append(one.secret).append("\":\"").append(one.released.view());
  out.append(one.object.empty() ? "\"" : "\",").append(std::string_view{object}.substr(1));
}

Result<Results> run(const VaultCall& call, const TransitKey& key, const Use& use) {
  bool batch = false;
  TRY(const auto items, items_of(call, batch));
  Results out;
  if (!batch) {
    TRY(auto alone, use(key, items.front()));
    append_outcome(out.json, alone);
    out.released = std::move(alone.released);
    return out;
  }
  out.json.append(R"({"batch_results":)");
  bool first = true;
  for (const Item& item : items) {
    auto one = use(key, item);
    out.failed = out.failed || !one;
    if (!one)
      one = Outcome{.object = {{"error", one.error().what}}};
    else
      out.released.append(one->released.view()).append("\n");
    if (const auto reference = item.reference()) one->object.emplace_back("reference", *reference);
    out.json.append(std::exchange(first, false) ? "[" : ",");
    append_outcome(out.json, *one);
  }
  out.json.append("]}");
  return out;
}

net::Response results_response(const VaultCall& call, const Results& results) {
  auto response = vault_secret(call, results.json, kTransit);
  if (results.failed) response.status = 400;
  return response;
}

/// The key as it is committed, for a token that is still valid.
Result<secrets::Transit::Found> find_key(const Target& target) {
  const VaultCall& call = *target.call;
  TRY(const auto view, call.deps.store.read());
  TRY_OK(call.deps.tokens.require(*view, *call.token, call.now));
  return call.deps.transit.find(*view, target.place());
}

std::size_t items_in(const VaultCall& call) {
  const auto list = call.member("batch_input");
  return list ? std::max<std::size_t>(1, list->size()) : 1;
}

/// Goes on with the key: here, or on the lane where the whole batch takes long.
void with_found(const TargetPtr& target, Result<secrets::Transit::Found> found,
                std::function<void(const secrets::Transit::Found&)> go_on) {
  if (!found) return target->call->fail(found.error());
  const auto cost = items_in(*target->call) * secrets::cost_of(found->key.type);
  transit_run(target->call, cost, [go_on = std::move(go_on), found = *std::move(found)] { go_on(found); });
}

/// Computes from what is committed, and answers.
void use_found(const TargetPtr& target, Result<secrets::Transit::Found> key, const Use& use) {
  with_found(target, std::move(key), [target, use](const secrets::Transit::Found& found) {
    auto results = run(*target->call, found.key, use);
    if (!results) return target->call->fail(results.error());
    target->call->send(results_response(*target->call, *results));
  });
}

void use_key(const TargetPtr& target, const Use& use) { use_found(target, find_key(*target), use); }

/// The same where something is released: computed before, because signatures would hold up the store, and given out in
/// a transaction that sees that key and token are what they were.
void release_with_key(const TargetPtr& target, std::string_view leaf_type, const Use& use, int tries = 0) {
  with_found(target, find_key(*target), [target, leaf_type, use, tries](const secrets::Transit::Found& found) {
    auto results = run(*target->call, found.key, use);
    if (!results) return target->call->fail(results.error());
    auto shared = std::make_shared<std::pair<Results, base::Bytes>>(*std::move(results), found.record);
    const auto latest = found.key.latest();
    commit(target->call, [target, leaf_type, use, tries, shared, latest](state::WriteTxn& txn) -> Answer {
      const auto same = target->call->deps.transit.unchanged(txn, target->place(), shared->second);
      if (!same && tries < kTransitTries) {
        target->call->again = [=] { release_with_key(target, leaf_type, use, tries + 1); };
      }
      TRY_OK(same);
      auto response = results_response(*target->call, shared->first);
      const auto subject = target->subject(latest);
      TRY_OK(add_leaf(*target->call, txn,
                      {.type = leaf_type, .subject = subject, .value = shared->first.released.bytes()}, response));
      return response;
    });
  });
}

Result<Outcome> encrypt_one(const Target& target, const TransitKey& key, const Item& item) {
  const VaultCall& call = *target.call;
  TRY(auto bytes, item.wanted("plaintext"));
  const auto plaintext = crypto::Secret::absorb(bytes);
  TRY(const auto context, item.bytes("context"));
  TRY(const auto associated, item.bytes("associated_data"));
  TRY(const auto nonce, item.bytes("nonce"));
  if (!nonce.empty()) return Error{Code::malformed, "provided nonce not allowed for this key"};
  TRY(const auto version, item.number("key_version"));
  TRY_OK(call.deps.transit.count(target.place(), key, version, 1));
  TRY(auto text, key.encrypt(plaintext.reveal(), context, associated, version, call.deps.random));
  return Outcome{.object = {{"ciphertext", std::move(text)}, {"key_version", version == 0 ? key.latest() : version}}};
}

/// Makes the key first where there is none: Vault does so for those who may create one.
void encrypt(const TargetPtr& target, int tries = 0) {
  const CallPtr& call = target->call;
  const Use use = [target](const TransitKey& key, const Item& item) { return encrypt_one(*target, key, item); };
  auto found = find_key(*target);
  if (found || found.error().code != Code::not_found || tries == kTransitTries) {
    if (const auto may = found ? allowed(*call, Capability::update) : base::done(); !may && tries == 0) {
      return call->fail(may.error());
    }
    return use_found(target, std::move(found), use);
  }
  if (const auto may = allowed(*call, Capability::create); !may) return call->fail(may.error());
  create_transit_key(target, [target, tries] { encrypt(target, tries + 1); });
}

Result<Outcome> decrypt_one(const TransitKey& key, const Item& item) {
  TRY(const auto ciphertext, item.text("ciphertext"));
  if (!ciphertext) return Error{Code::malformed, "missing ciphertext to decrypt"};
  TRY(const auto context, item.bytes("context"));
  TRY(const auto associated, item.bytes("associated_data"));
  TRY(const auto plain, key.decrypt(*ciphertext, context, associated));
  return Outcome{.object = {}, .released = SecretText{base::base64(plain.reveal())}, .secret = "plaintext"};
}

Result<Outcome> rewrap_one(const Target& target, const TransitKey& key, const Item& item) {
  const VaultCall& call = *target.call;
  TRY(const auto ciphertext, item.text("ciphertext"));
  if (!ciphertext) return Error{Code::malformed, "missing ciphertext to decrypt"};
  TRY(const auto context, item.bytes("context"));
  TRY(const auto associated, item.bytes("associated_data"));
  TRY(const auto version, item.number("key_version"));
  TRY(const auto plain, key.decrypt(*ciphertext, context, associated));
  TRY_OK(call.deps.transit.count(target.place(), key, version, 1));
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
  bool pkcs1 = false;
  crypto::PssSalt salt{};

  TransitKey::SignInput input(base::ByteView message, base::ByteView context) const {
    return {.input = message,
            .context = context,
            .hash = hash,
            .prehashed = prehashed,
            .marshaling = marshaling,
            .pkcs1 = pkcs1,
            .salt = salt};
  }
};

/// How RSA signs; other keys do not look at it.
Status read_padding(const VaultCall& call, Signing& out) {
  TRY(const auto algorithm, text_of(call, "signature_algorithm"));
  const std::string name = algorithm.value_or("");
  if (!name.empty() && name != "pss" && name != "pkcs1v15") {
    return Error{Code::malformed, "signature_algorithm", "pss or pkcs1v15", name.substr(0, 32)};
  }
  out.pkcs1 = name == "pkcs1v15";
  const auto salt = call.member("salt_length");
  const auto word = salt ? salt->plain_string().value_or(std::string_view{}) : std::string_view{"auto"};
  if (word == "auto" || word == "hash") {
    out.salt.bytes = word == "auto" ? crypto::PssSalt::kAuto : crypto::PssSalt::kHash;
    return base::done();
  }
  TRY(const auto bytes, number_of(*salt, "salt_length"));
  if (*bytes < 0 || *bytes > 512) return Error{Code::malformed, "salt_length", "auto, hash or 0 to 512 bytes"};
  out.salt.bytes = static_cast<int>(*bytes);
  return base::done();
}

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
  TRY_OK(read_padding(call, out));
  return out;
}

void sign(const TargetPtr& target, std::string_view in_path) {
  const auto how = signing_of(*target->call, in_path);
  if (!how) return target->call->fail(how.error());
  release_with_key(target, "transit.sign", [how = *how](const TransitKey& key, const Item& item) -> Result<Outcome> {
    TRY(const auto input, item.wanted("input"));
    TRY(const auto context, item.bytes("context"));
    TRY(const auto version, item.number("key_version"));
    TRY(auto text, key.sign(how.input(input, context), version));
    return Outcome{.object = {{"signature", text}, {"key_version", version == 0 ? key.latest() : version}},
                   .released = SecretText{text}};
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
    TRY(const bool valid, key.verify(how.input(input, context), *signature));
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
    return Outcome{.object = {{"hmac", text}}, .released = SecretText{text}};
  });
}

void data_key(const CallPtr& call, const TargetPtr& target, std::string_view kind) {
  const bool plaintext = kind == "plaintext";
  if (!plaintext && kind != "wrapped")
    return call->fail(Error{Code::malformed, "Invalid path, must be 'plaintext' or 'wrapped'"});
  release_with_key(
      target, "transit.datakey", [call, target, plaintext](const TransitKey& key, const Item& item) -> Result<Outcome> {
        TRY(const auto bits, item.number("bits"));
        if (bits != 0 && bits != 128 && bits != 256 && bits != 512)
          return Error{Code::malformed, "invalid bit length", "128, 256 or 512"};
        TRY(const auto context, item.bytes("context"));
        TRY(const auto associated, item.bytes("associated_data"));
        const auto fresh = call->deps.random.secret(bits == 0 ? 32 : bits / 8);
        TRY_OK(call->deps.transit.count(target->place(), key, 0, 1));
        TRY(auto text, key.encrypt(fresh.reveal(), context, associated, 0, call->deps.random));
        JsonOutObject object{{"ciphertext", text}, {"key_version", key.latest()}};
        if (!plaintext) return Outcome{.object = std::move(object), .released = SecretText{text}};
        return Outcome{
            .object = std::move(object), .released = SecretText{base::base64(fresh.reveal())}, .secret = "plaintext"};
      });
}

void random_bytes(const CallPtr& call, std::string_view rest) {
  const auto made = [&]() -> Answer {
    // random, random/BYTES, random/SOURCE, random/SOURCE/BYTES: there is one source here.
    if (const auto slash = rest.find('/'); slash != std::string_view::npos) rest = rest.substr(slash + 1);
    TRY(const auto sent, number_of(*call, "bytes"));
    std::int64_t count = sent.value_or(32);
    if (!rest.empty() && rest != "platform" && rest != "seal" && rest != "all") {
      TRY(count, whole_number(rest, "bytes"));
    }
    if (count < 1 || count > static_cast<std::int64_t>(kMaxRandom)) {
      return Error{Code::malformed, "\"bytes\" cannot be less than 1 or more than 131072"};
    }
    TRY(const auto format, text_of(*call, "format"));
    const auto bytes = call->deps.random.secret(static_cast<std::size_t>(count));
    const std::string kind = format.value_or("base64");
    if (kind != "base64" && kind != "hex")
      return Error{Code::malformed, "unsupported encoding format", "hex or base64", kind};
    const SecretText text{kind == "hex" ? base::hex(bytes.reveal()) : base::base64(bytes.reveal())};
    SecretText json;
    json.append(R"({"random_bytes":")").append(text.view()).append("\"}");
    return vault_secret(*call, json, kTransit);
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
                                    {"datakey", 3, 3}, {"hash", 1, 2},    {"random", 1, 3},  {"backup", 2, 2},
                                    {"restore", 1, 2}};
  for (const auto& form : kForms) {
    if (form.what == what) return parts >= form.least && parts <= form.most;
  }
  return true;  // refused by name elsewhere
}

/// True when the request was one with a key's name and was answered.
void with_key(const TargetPtr& target, std::string_view what, std::string_view more) {
  const CallPtr& call = target->call;
  if (what == "keys") return serve_transit_keys(target, more);
  if (call->verb != VaultVerb::write) return call->fail(unsupported());
  if (what == "encrypt") return encrypt(target);
  if (what == "decrypt") return release_with_key(target, "transit.decrypt", decrypt_one);
  if (what == "rewrap") {
    return use_key(target,
                   [target](const TransitKey& key, const Item& item) { return rewrap_one(*target, key, item); });
  }
  if (what == "sign") return sign(target, more);
  if (what == "verify") return verify(target, more);
  if (what == "hmac") return hmac(target, more);
  call->fail(unsupported_path(*call));
}

void list_keys(const CallPtr& call, const secrets::Mount& mount) {
  answer(call, [&](const state::ReadView& view) -> Answer {
    TRY(const auto names, secrets::Transit::list(view, *call->space, mount, kMaxListed));
    if (names.empty()) return vault_errors(404, {});
    return data(*call, {{"keys", json_texts(names)}});
  });
}

}  // namespace

net::Response transit_data(const VaultCall& call, JsonOutObject object) {
  return vault_data(call, JsonOut{std::move(object)}.compact(), kTransit);
}

void transit_run(const CallPtr& call, std::size_t cost, FairLane::Task work) {
  if (cost <= kCheap) return work();
  later(call, std::move(work));
}

void vault_transit(const CallPtr& call, const secrets::Mount& mount, std::string_view rest) {
  const auto parts = split(rest);
  const auto part = [&](std::size_t at) { return at < parts.size() ? parts[at] : std::string_view{}; };
  const auto what = part(0);
  // These make a key that is not there.
  const bool looked_at = what == "encrypt" || (what == "keys" && parts.size() == 2);
  if (const auto may = looked_at ? allowed_to_try(*call) : allowed(*call); !may) return call->fail(may.error());
  if (!has_parts_of(what, parts.size())) return call->fail(unsupported_path(*call));
  if (what == "keys" && parts.size() == 1) {
    return call->verb == VaultVerb::list ? list_keys(call, mount) : call->fail(unsupported());
  }
  if (what == "random" && call->verb == VaultVerb::write)
    return random_bytes(call, rest.substr(std::min<std::size_t>(7, rest.size())));
  if (what == "hash" && call->verb == VaultVerb::write) return hash_data(call, part(1));
  if (what == "restore" && parts.size() == 1 && call->verb == VaultVerb::write) {
    return restore_transit_key(call, mount, {});
  }
  const bool kind_first = what == "export" || what == "datakey";
  const std::string name{part(kind_first ? 2 : 1)};
  if (const auto good = secrets::check_transit_name(name); !good) {
    return call->fail(parts.size() < 2 ? unsupported_path(*call) : good.error());
  }
  if (what == "restore" && call->verb == VaultVerb::write) return restore_transit_key(call, mount, name);
  const auto target = std::make_shared<const Target>(Target{.call = call, .mount = mount, .name = name});
  if (what == "export" && call->verb == VaultVerb::read) return export_transit_key(target, part(1), part(3));
  if (what == "backup" && call->verb == VaultVerb::read) return back_up_transit_key(target);
  if (what == "datakey" && call->verb == VaultVerb::write) {
    // Without a body the key has 256 bits.
    if (!call->body) call->body = *base::JsonDocument::parse("{}");
    return data_key(call, target, part(1));
  }
  with_key(target, what, part(2));
}

}  // namespace attestry::api
