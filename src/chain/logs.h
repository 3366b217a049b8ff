// Events of contracts (eth_getLogs), by the word of a quorum.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/json.h"
#include "base/result.h"
#include "base/time.h"
#include "chain/rpc.h"

namespace attestry::chain {

struct LogRecord {
  Address address{};
  std::vector<base::Digest32> topics{};  ///< at most 4; the first is the event's
  base::Bytes data{};
  std::uint64_t block = 0;  ///< its number
  base::Digest32 block_hash{};
  base::Digest32 transaction{};
  std::uint64_t index = 0;  ///< in the block
  friend bool operator==(const LogRecord&, const LogRecord&) = default;
};

/// Logs of one contract in the blocks `from` to `to`, both included.
struct LogFilter {
  Address address{};
  std::uint64_t from = 0;
  std::uint64_t to = 0;
  std::vector<base::Digest32> events{};  ///< first topics, any of them; empty: all
};

/// One log as eth_getLogs and receipts write it. Strict: `malformed`; a log that was taken back (`removed`) is too.
base::Result<LogRecord> read_log(const base::JsonValue& value);

/// Thread-safe.
class LogReader {
 public:
  virtual ~LogReader() = default;
  /// In the order of the chain. Asked in ranges of at most 2,000 blocks, less where endpoints refuse that many;
  /// each range counts only when a quorum gives the same logs, byte for byte, and has the block `to`. `unavailable`
  /// without such a quorum, `too_large` above a million logs, `deadline_exceeded`.
  virtual base::Result<std::vector<LogRecord>> logs(const LogFilter& filter, base::Deadline deadline) = 0;
};

}  // namespace attestry::chain
