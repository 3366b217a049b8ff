// Receipts: C2SP tlog-proof with the leaf as its extra data (FORMATS 6). Verification is pure and works offline.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "audit/checkpoint.h"
#include "audit/leaf.h"
#include "audit/merkle.h"
#include "base/result.h"

namespace attestry::audit {

/// A parsed receipt, nothing checked yet.
struct Receipt {
  std::string leaf;  ///< the bytes that were hashed
  std::uint64_t index = 0;
  std::vector<Hash> proof;
  std::string checkpoint;  ///< the signed note, verbatim

  std::string encode() const;
  /// Strict: encode() gives the same bytes back. At most 256 KiB. Error `malformed`.
  static base::Result<Receipt> parse(std::string_view text);
};

struct VerifiedReceipt {
  Leaf leaf;
  std::uint64_t index = 0;
  TreeHead head;
  bool witnessed = false;  ///< without a witness's cosignature a log can show different views to different people
};

/// Signature, cosignatures, inclusion, form of the leaf, and leaf.audience = origin. What the leaf says about *this*
/// request (binding, tenant, app, type, reply, realm) the caller compares (FORMATS 4). Errors: `malformed`, `denied`.
base::Result<VerifiedReceipt> verify_receipt(std::string_view receipt, const LogTrust& trust);

}  // namespace attestry::audit
