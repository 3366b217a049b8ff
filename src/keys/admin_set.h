// The admins among whom the registry's master key is split.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/ec.h"

namespace attestry::keys {

/// One admin of the file {"admins":[{"id":...,"pubkey":PEM}]} (docs/formats/registry.md).
struct Admin {
  std::string id;
  std::string pem;  ///< SPKI PEM as the file has it
  crypto::EcPublicKey key;
  base::Digest32 fingerprint() const;  ///< SHA-256 of the DER SPKI: what a share is bound to, besides the id
};

/// 2 to 255 admins with ids and keys of their own. Immutable.
class AdminSet {
 public:
  /// `configuration` for a file that is no such file, or in which one id or one key stands twice: one person would sit
  /// on two seats.
  static base::Result<AdminSet> parse(std::string_view json);
  const std::vector<Admin>& all() const noexcept { return admins_; }
  const Admin* find(std::string_view id) const noexcept;
  /// Of ids and keys, in the file's order.
  base::Digest32 digest() const;

 private:
  std::vector<Admin> admins_;
};

}  // namespace attestry::keys
