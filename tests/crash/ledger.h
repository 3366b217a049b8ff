// A small release service for the kill test: what it writes, what it acknowledges, and what must hold after every kill.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "audit/log.h"
#include "base/result.h"
#include "state/file.h"
#include "state/store.h"

namespace attestry::crash {

/// What a client has in its hands once a release is acknowledged.
struct Acknowledged {
  std::string nonce;
  std::uint64_t index = 0;
  std::string receipt;

  /// One line without the newline, and back.
  std::string line() const;
  static base::Result<Acknowledged> parse(const std::string& line);
};

/// Store and log in a folder, as the server has them.
class Ledger {
 public:
  static base::Result<std::unique_ptr<Ledger>> open(const std::string& folder, state::Files& files);
  /// Spends the nonce and adds the leaf in one transaction; returns when the receipt may leave.
  base::Result<Acknowledged> release(const std::string& nonce);

  state::Store& store() noexcept { return *store_; }
  audit::Log& log() noexcept { return *log_; }

 private:
  std::unique_ptr<state::Store> store_;
  std::unique_ptr<audit::Log> log_;
};

audit::LogTrust ledger_trust();
std::string checkpoint_path(const std::string& folder);

/// Looks at a folder whose process was killed: opens it anew and checks that no acknowledged release is lost, that each
/// has its leaf and is covered by the checkpoint that lay outside, that no nonce can be spent again and that the log
/// only ever grew. The first thing that is wrong, or nothing.
std::string first_violation(const std::string& folder, const std::vector<Acknowledged>& acknowledged);

}  // namespace attestry::crash
