// The rooms behind the routes, as every test of this room needs them, and the receiver of one answer.
#pragma once
#include <future>

#include "api/api.h"
#include "api/handlers.h"
#include "collateral/fixed_source.h"
#include "governance/testing/support.h"
#include "keys/derivation.h"
#include "net/router.h"

namespace attestry::api::testing {

/// Keeps the answer of one request.
class Sink final : public net::ResponseSink {
 public:
  void complete(std::uint64_t, net::Response response) noexcept override { promise.set_value(std::move(response)); }
  std::promise<net::Response> promise;
};

/// Everything that Deps refers to, on a store of its own.
struct Rooms {
  governance::testing::House house{};
  crypto::SeededRandom random{base::as_bytes("api")};
  secrets::SecretStore secrets{*house.store, crypto::Secret::copy_of(base::Bytes(32, 2)), random};
  appraisal::Challenges challenges{crypto::Secret::copy_of(base::Bytes(32, 1)), random};
  attestation::Verifier verifier{attestation::TrustAnchors::production()};
  collateral::FixedSource source{attestation::Collateral::none()};
  appraisal::Appraiser appraiser{verifier, source};
  keys::LocalRoot roots{crypto::Secret::copy_of(base::Bytes(32, 7))};
  appraisal::AppraisalStore appraisals{*house.store};
  provision::Registrar registrar{{*house.store, *house.log, challenges, appraiser, *house.registry, roots, secrets,
                                  random, house.clock, appraisals}};
  net::Metrics metrics{};
  net::Health health{};
  Deps deps{*house.store, *house.log, *house.registry, secrets,
            challenges,   appraiser,  registrar,       appraisals,
            metrics,      health,     "1.2.3",         crypto::Secret::copy_of(base::Bytes(32, 3))};
  net::Router router{};

  /// Sends a request to a listener of that role and waits for its answer.
  net::Response send(net::Role role, net::Request request) {
    request.deadline = governance::testing::patient();
    auto sink = std::make_shared<Sink>();
    auto answer = sink->promise.get_future();
    router.dispatch({role}, std::move(request), net::Responder{sink, 1, {}});
    return answer.get();
  }
};

}  // namespace attestry::api::testing
