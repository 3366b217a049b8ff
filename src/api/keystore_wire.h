// How the keystore's dialect reads and answers: JSON bodies as its first server's framework takes them, {"error": text}
// for refusals, bearer tokens by hash (keystore_ckd.md 1.2, 1.3, 3.1; docs/formats/keystore-wire.md). Private to api.
#pragma once
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "base/reason.h"
#include "crypto/secret.h"
#include "net/http.h"

namespace attestry::api {

/// Of a body; beyond: 413 as plain text.
inline constexpr std::size_t kKeystoreBody = 2u << 20;

template <class T>
using KeystoreAnswer = std::expected<T, net::Response>;

net::Response keystore_error(int status, std::string_view text);
/// Never stored by caches.
net::Response keystore_json(base::JsonOutObject body);
/// The bytes of a base64 text that holds values; 400 "Invalid base64: …".
KeystoreAnswer<crypto::Secret> keystore_secret_base64(const crypto::Secret& text);

/// 415, 413, 400 and 422 as plain text, in this order; the request's body is taken. `secret`: it is overwritten later.
KeystoreAnswer<std::shared_ptr<const base::JsonDocument>> keystore_body(net::Request& request, bool secret = false);

/// Members of an object; the first that is missing or of another type is kept and becomes 422. Unknown members are not
/// looked at, as in every generation.
class KeystoreFields {
 public:
  explicit KeystoreFields(const base::JsonValue& object) : object_(object) { expect(object.is_object(), "an object"); }
  std::string text(std::string_view name);
  /// A text that nothing is left of in ordinary memory.
  crypto::Secret secret(std::string_view name);
  std::optional<std::string> optional_text(std::string_view name);
  std::uint64_t number(std::string_view name);
  std::optional<base::JsonValue> value(std::string_view name);
  std::optional<base::JsonValue> optional_value(std::string_view name) const;
  void fail(std::string text);
  bool ok() const noexcept { return failed_.empty(); }
  net::Response refusal() const;

 private:
  void expect(bool right, std::string_view what);
  const base::JsonValue object_;
  std::string failed_;
};

/// Which callers a route is for (keystore_ckd.md 3.1).
enum class KeystoreCaller : std::uint8_t { worker, coordinator, either };

/// Lower-case hex SHA-256 of tokens, as operators list them.
struct KeystoreTokens {
  std::vector<std::string> workers{};
  std::vector<std::string> coordinators{};
};
/// Who has proved a token: its hash, and in which lists it stands.
struct KeystorePrincipal {
  std::string hash;
  bool worker = false;
  bool coordinator = false;
};
/// 401 in the words of the wire. Every entry of both lists is compared, in constant time. `v0_words`: those of the
/// first generation.
KeystoreAnswer<KeystorePrincipal> keystore_principal(const KeystoreTokens& tokens, const net::Request& request,
                                                     KeystoreCaller caller, bool v0_words);

}  // namespace attestry::api
