// Names that every room shares: tenant, application, purpose, realm (FORMATS 2).
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace attestry::base {

/// `[a-z0-9-]{1,63}`; "default" when nobody says.
class Tenant {
 public:
  static Result<Tenant> parse(std::string_view text);
  static Tenant standard();  ///< "default"
  const std::string& text() const noexcept { return text_; }
  friend auto operator<=>(const Tenant&, const Tenant&) = default;

 private:
  explicit Tenant(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

/// Which application a release is for. Bytes: kind u8 ‖ payload. Text: `name:x`, `evm:1:0x…`, `near:x`, `dstack:…`.
/// A name is `[a-z0-9][a-z0-9._-]{0,62}`; a bare name without a prefix is read as `name:`.
class AppRef {
 public:
  enum class Kind : std::uint8_t { name = 1, evm = 2, near = 3, dstack = 4 };
  static Result<AppRef> parse(std::string_view text);
  static Result<AppRef> from_bytes(ByteView bytes);
  Kind kind() const noexcept { return static_cast<Kind>(bytes_.front()); }
  const Bytes& bytes() const noexcept { return bytes_; }
  std::string text() const;
  friend auto operator<=>(const AppRef&, const AppRef&) = default;

 private:
  explicit AppRef(Bytes bytes) : bytes_(std::move(bytes)) {}
  Bytes bytes_;
};

/// What a nonce, a binding and a grant are for. The one registry of purposes; values are never reused.
enum class Purpose : std::uint8_t {
  instance_release = 1,
  secret_read = 2,
  replica_onboarding = 3,
  confidential_key_derivation = 4,
  token = 5,
  channel = 6,
};
std::string_view to_text(Purpose purpose) noexcept;
Result<Purpose> purpose_from(std::uint8_t value);

/// Fixed for ever when a store and a root file are created; a mismatch refuses the start.
enum class Realm : std::uint8_t { production, simulated };
std::string_view to_text(Realm realm) noexcept;
Result<Realm> realm_from(std::string_view text);

}  // namespace attestry::base
