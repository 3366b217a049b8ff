// What a workload asks every node of a threshold root for, in one piece that each of them judges by itself: evidence
// made for its own blinding key and for a nonce of each node. FORMATS 3, 5 and 10; docs/formats/threshold.md
// Values and pure functions: thread-safe, nothing blocks.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "appraisal/challenge.h"
#include "attestation/binding.h"
#include "attestation/evidence.h"
#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "crypto/secret.h"
#include "keys/ckd.h"
#include "keys/mpc_shapes.h"

namespace attestry::cluster {

using appraisal::combined_nonce;
using appraisal::NodeNonce;
using keys::ckd::AppKey;
using keys::ckd::kMostPath;
using keys::ckd::MpcRequest;

/// What the shares are shares of. An app of a NEAR account has NEAR's id of account and path, and no epochs; since that
/// id has no tenant, it is `denied` to all tenants but "default". All other apps have realm, tenant, app and epoch in
/// it (FORMATS 5), and no path. Error `malformed` for a path or an epoch where there is none.
base::Result<base::Bytes> app_id_of(base::Realm realm, const base::Tenant& tenant, const base::AppRef& app,
                                    std::uint32_t epoch, std::string_view path);

/// What an application makes of `opened` (Blinding::open): for an account of NEAR NEAR's key, for all others the
/// app_root of FORMATS 5, with the 48 bytes in the place of a root. 32 bytes.
crypto::Secret key_of(const base::AppRef& app, base::ByteView app_id, const crypto::Secret& opened);

/// The audience of evidence for a cluster: its master public key, which a workload knows from its own measured bytes.
std::string audience_of(const curves::bls::G2::Encoded& master);
inline std::string audience_of(const keys::ckd::MasterPublicKey& master) { return audience_of(master.encoded()); }

/// Who asks, for what, and why he may. The epoch is always said: nodes hear of approvals at different times, and nodes
/// that each took their own newest epoch would answer for different keys.
struct Application {
  static constexpr std::size_t kMaxBytes = 1u << 20;  ///< of bytes()
  static constexpr std::size_t kMaxBody = 2u << 20;   ///< of the JSON that says the same

  std::vector<NodeNonce> nonces;   ///< of every node that was asked for one: ids ascending, distinct, below kMostNodes
  attestation::Evidence evidence;  ///< with the event logs, which the evidence vouches for
  AppKey key;                      ///< A, and A2
  base::Tenant tenant = base::Tenant::standard();
  base::AppRef app;
  std::uint32_t epoch = 0;  ///< of the app; for an app of a NEAR account 0
  std::string path{};       ///< derivation path; only for an app of a NEAR account

  /// As one node sends it to another.
  base::Bytes bytes() const;
  /// Strict: exactly what bytes() makes. Errors `malformed`, `too_large`, `denied` (app_id_of).
  static base::Result<Application> parse(base::ByteView bytes);
  /// The body of an HTTP request, strict JSON: `nonces` [{node, nonce}], `evidence`, `event_logs` (optional), `tenant`
  /// (optional), `app`, `epoch` (not for an app of a NEAR account), and either `app_public_key` and `derivation_path`
  /// (optional) or `request`, as the MPC contract takes it. Binary in base64url. Errors as above, and check_domain().
  static base::Result<Application> parse_json(std::string body);

  /// Such a body.
  std::string json() const;

  /// 0xFF01 ‖ A [‖ A2] (FORMATS 10).
  base::Bytes recipient() const;
  /// What the evidence must be made for, by the cluster with this master public key. Error `malformed`: the nonces.
  base::Result<attestation::BindingStatement> statement(const curves::bls::G2::Encoded& master) const;
  /// The same for a master public key whose text is there already.
  base::Result<attestation::BindingStatement> statement(const keys::ckd::MasterPublicKey& master) const {
    return statement_for("threshold:" + master.text());
  }
  base::Result<base::Bytes> app_id(base::Realm realm) const { return app_id_of(realm, tenant, app, epoch, path); }
  /// The key of the commitments in the leaves about it (FORMATS 6): who has the request can make it, who reads the log
  /// cannot, since nonces and evidence are not there.
  crypto::Secret leaf_key() const;

 private:
  base::Result<attestation::BindingStatement> statement_for(std::string audience) const;
};

}  // namespace attestry::cluster
