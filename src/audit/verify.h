// Proves a whole log offline: every leaf is hashed again and the root compared with the signed checkpoint.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "audit/checkpoint.h"
#include "audit/merkle.h"
#include "base/result.h"
#include "state/store.h"

namespace attestry::audit {

struct LogReport {
  TreeHead head;  ///< what the checkpoint signs
  bool witnessed = false;
  std::uint64_t leaves = 0;       ///< found; those beyond head.size are not published yet
  std::uint64_t unpublished = 0;  ///< leaves - head.size
};

/// Recomputes the log of a store (opened read-only or not) against a signed checkpoint. `known` are heads from receipts
/// or earlier checkpoints that the log must contain as prefixes. Errors: `denied` when the log is not the one that was
/// signed, with the first wrong place where that can be said; `malformed`; the store's.
base::Result<LogReport> verify_log(const state::ReadView& store, std::string_view signed_checkpoint,
                                   const LogTrust& trust, const std::vector<TreeHead>& known = {});

/// The same for an export: "attestry-log@v1", one leaf per line, an empty line, the signed checkpoint verbatim.
base::Result<LogReport> verify_export(std::string_view text, const LogTrust& trust,
                                      const std::vector<TreeHead>& known = {});

/// Writes that form, the leaves that `signed_checkpoint` covers.
base::Status export_log(const state::ReadView& store, std::string_view signed_checkpoint,
                        const std::function<base::Status(std::string_view)>& write);

}  // namespace attestry::audit
