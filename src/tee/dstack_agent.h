// dstack's guest agent, over its unix socket: the keys of this app, quotes of this machine, and who the app is. What it
// answers is read strictly: an answer that is not what the agent's interface promises is no answer.
// dstack guest agent API, service DstackGuest: GetKey, GetQuote, Info
#pragma once
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "attestation/binding.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/secret.h"
#include "net/client.h"

namespace attestry::tee {

/// Movable.
struct DstackKey {
  crypto::Secret key;  ///< 32 bytes
  /// 65 bytes each (r ‖ s ‖ v, v 0 or 1): the app's, and the key service's when the app's keys come from one.
  std::vector<base::Bytes> signature_chain{};
};
struct DstackQuote {
  base::Bytes quote;
  std::string event_log{};             ///< JSON; may be empty
  base::FixedBytes<64> report_data{};  ///< as it was asked for, where the agent does not repeat it
};
struct DstackInfo {
  base::FixedBytes<20> app_id{};
  base::Bytes instance_id;  ///< 20 bytes, or none
  std::string app_name;
  base::Bytes compose_hash;  ///< 32 bytes, or none: old agents do not say it
};

/// Bodies of status 200. Members that they do not know are passed over, as newer agents say more. Errors:
/// `unavailable`, naming the member; never the key. The key's text is wiped.
base::Result<DstackKey> parse_dstack_key(std::string body);
/// `asked`: an answer for other report data is an error.
base::Result<DstackQuote> parse_dstack_quote(std::string body, const base::FixedBytes<64>& asked);
base::Result<DstackInfo> parse_dstack_info(std::string body);

/// Thread-safe; every call blocks for at most `patience`. The transport and the clock outlive it. Errors: `unavailable`
/// whenever the agent does not give what it was asked for, with what it said.
class DstackAgent final : public attestation::Attester {
 public:
  DstackAgent(net::HttpTransport& http, std::string socket, std::chrono::milliseconds patience,
              const base::Clock& clock)
      : http_(http), socket_(std::move(socket)), patience_(patience), clock_(clock) {}

  /// The same for this app and path; the purpose is what the signatures are about, the key does not depend on it.
  base::Result<DstackKey> key(std::string_view path, std::string_view purpose) const;
  base::Result<DstackQuote> quote(const base::FixedBytes<64>& report_data) const;
  base::Result<DstackInfo> info() const;
  /// quote(), without the event log.
  base::Result<attestation::Evidence> attest(const base::FixedBytes<64>& report_data) override;

 private:
  base::Result<std::string> call(std::string_view method, std::string body, std::size_t most) const;

  net::HttpTransport& http_;
  const std::string socket_;
  const std::chrono::milliseconds patience_;
  const base::Clock& clock_;
};

}  // namespace attestry::tee
