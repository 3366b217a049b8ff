// A request that is accepted keeps its body as received and holds what the body's members say: written anew from its
// parts it is the same request.
#include "base/encoding.h"
#include "base/json_writer.h"
#include "provision/registrar.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace attestry;
  const base::ByteView body{data, size};
  const auto request = provision::InstanceRequest::parse(base::to_bytes(body));
  if (!request) {
    REQUIRE(request.error().code == base::Code::malformed || request.error().code == base::Code::too_large);
    return 0;
  }
  REQUIRE(base::equal(request->body, body));
  base::JsonOutArray logs;
  for (const auto& log : request->evidence.supplements) logs.emplace_back(base::base64url(log.bytes));
  const std::string written = base::JsonOut{base::JsonOutObject{{"evidence", base::base64url(request->evidence.bytes)},
                                                                {"csr", base::base64url(request->csr)},
                                                                {"recipient", base::base64url(request->recipient)},
                                                                {"nonce", base::base64url(request->nonce)},
                                                                {"tenant", request->tenant.text()},
                                                                {"app", request->app.text()},
                                                                {"event_logs", std::move(logs)}}}
                                  .compact();
  const auto again = provision::InstanceRequest::parse(base::to_bytes(written));
  REQUIRE(again.ok());
  REQUIRE(again->evidence.bytes == request->evidence.bytes);
  REQUIRE(again->evidence.format == request->evidence.format);
  REQUIRE(again->evidence.supplements.size() == request->evidence.supplements.size());
  for (std::size_t i = 0; i < request->evidence.supplements.size(); ++i) {
    REQUIRE(again->evidence.supplements[i].kind == request->evidence.supplements[i].kind);
    REQUIRE(again->evidence.supplements[i].bytes == request->evidence.supplements[i].bytes);
    REQUIRE(i == 0 || request->evidence.supplements[0].kind != request->evidence.supplements[i].kind);
  }
  REQUIRE(again->csr == request->csr);
  REQUIRE(again->recipient == request->recipient);
  REQUIRE(again->nonce == request->nonce);
  REQUIRE(again->tenant == request->tenant);
  REQUIRE(again->app == request->app);
  return 0;
}
