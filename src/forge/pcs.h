// Intel's Provisioning Certification Service, API version 4, as a pure function over the forge's PKI: what
// `attestry dev` serves over HTTP, so that the real collateral client runs everywhere.
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"
#include "forge/pki.h"

namespace attestry::forge {

struct PcsReply {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers{};  ///< names in Intel's spelling
  base::Bytes body{};
};

/// Thread-safe; `pki` must outlive it.
class ForgePcs {
 public:
  explicit ForgePcs(const ForgePki& pki, base::FixedBytes<6> fmspc = kForgeFmspc) : pki_(pki), fmspc_(fmspc) {}

  /// Answers GET `target` ("/sgx/certification/v4/tcb?fmspc=…"). `at` decides the dates of what it signs.
  /// 400 for missing or wrong parameters, 404 for unknown FMSPCs and paths, as Intel's service.
  PcsReply get(std::string_view target, base::UtcTime at) const;

 private:
  const ForgePki& pki_;
  base::FixedBytes<6> fmspc_;
};

}  // namespace attestry::forge
