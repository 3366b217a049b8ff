// An attested session between two services (FORMATS 9): a TLS 1.3 connection in which both ends have shown evidence,
// made for this connection, that the other one's policy accepts.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "attestation/evidence.h"
#include "attestation/key_binding.h"
#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "channel/messages.h"
#include "channel/statement.h"
#include "crypto/random.h"
#include "crypto/secret.h"
#include "net/peer.h"

namespace attestry::channel {

/// What one end brings. The functions are called on the thread that opens the session.
struct End {
  std::string audience;                         ///< both ends must have the same: printable ASCII, at most 255 bytes
  base::Realm realm = base::Realm::production;  ///< evidence of another one is refused
  std::function<base::Result<attestation::Evidence>(const base::FixedBytes<64>& report_data)> attest;
  /// Verifies, and appraises by this end's policy.
  std::function<base::Result<attestation::VerifiedReport>(
      const attestation::Evidence& evidence, const base::FixedBytes<64>& report_data, base::Deadline deadline)>
      verify;
  std::shared_ptr<net::PeerStop> stop{};  ///< ends what a caller waits for; may be null
  crypto::Random* random = &crypto::system_random();
  const base::Clock* clock = &base::system_clock();
};

/// Only connect() and accept() make one, once both ends are verified. Move-only; one thread at a time.
/// Errors: `denied` and `evidence_false` when this end refuses, `denied` when the other one does; `malformed` when the
/// other end breaks the protocol; `unavailable`, `collateral_missing`, `deadline_exceeded` when nothing was decided.
class Session {
 public:
  /// A fresh key for this session alone. What it refuses it tells the other end before it hangs up.
  static base::Result<Session> connect(const std::string& address, const End& end, base::Deadline deadline);
  /// `patience`: until the caller's evidence has arrived and is accepted.
  static base::Result<Session> accept(net::PeerSocket socket, const End& end, base::Deadline patience,
                                      base::Deadline deadline);

  /// Of the other end: carries peer_report_data().
  const attestation::VerifiedReport& peer() const noexcept { return peer_; }
  const base::FixedBytes<64>& peer_report_data() const noexcept { return peer_.report_data(); }
  const base::FixedBytes<64>& own_report_data() const noexcept { return own_report_data_; }

  /// At most kMaxData bytes.
  base::Status send(base::ByteView data, base::Deadline deadline);
  base::Result<crypto::Secret> receive(base::Deadline deadline);
  /// Tells the other end why there is no answer.
  void refuse(const base::Error& error, base::Deadline deadline);

 private:
  Session(std::unique_ptr<net::PeerConnection> connection, attestation::VerifiedReport peer,
          const base::FixedBytes<64>& own_report_data)
      : connection_(std::move(connection)), peer_(std::move(peer)), own_report_data_(own_report_data) {}
  std::unique_ptr<net::PeerConnection> connection_;
  attestation::VerifiedReport peer_;
  base::FixedBytes<64> own_report_data_;
};

}  // namespace attestry::channel
