#include "app/dev_vendors.h"

#include <functional>
#include <utility>

#include "base/encoding.h"
#include "forge/nitro.h"
#include "forge/pcs.h"
#include "net/router.h"

namespace attestry::app {

using base::Result;

namespace {

constexpr std::uint32_t kChips = 64;

using Answer = std::function<forge::PcsReply(std::string_view target)>;

net::Response http_reply(const forge::PcsReply& reply) {
  net::Response response{
      .status = reply.status, .content_type = {}, .body = std::string{base::as_text(reply.body)}, .headers = {}};
  for (const auto& [name, value] : reply.headers) {
    if (name == "Content-Type") {
      response.content_type = value;
    } else {
      response.headers.add(name, value);
    }
  }
  return response;
}

Result<std::unique_ptr<net::Server>> serve(std::string id, const base::Clock& clock, Answer answer) {
  auto router = std::make_shared<net::Router>();
  TRY_OK(router->add({.path = "/{rest*}",
                      .auth = net::Auth::none,
                      .operation_id = std::move(id),
                      .summary = "Simulated service of a vendor",
                      .any_query = true,
                      .handler = [answer = std::move(answer)](net::Request request, net::Responder responder) {
                        responder.send(http_reply(answer(request.target)));
                      }}));
  net::ServerOptions options{
      .listeners = {{"127.0.0.1:0", {net::Role::public_}}}, .limits = {}, .workers = 2, .clock = &clock};
  return net::Server::start(std::move(options), router);
}

}  // namespace

Result<std::unique_ptr<DevVendors>> DevVendors::start(const forge::ForgePki& pki, base::ByteView seed,
                                                      const base::Clock& clock) {
  std::unique_ptr<DevVendors> out{new DevVendors(pki)};
  for (const auto product : {forge::SnpProduct::milan, forge::SnpProduct::genoa, forge::SnpProduct::turin}) {
    TRY(auto made, forge::SnpPki::make(seed, product), "simulated AMD");
    out->amd_.push_back(std::move(made));
  }
  TRY(const auto nitro, forge::make_nitro_case(seed, {.at = clock.now()}), "simulated AWS");
  TRY(const auto blocks, base::pem_decode(nitro.root_pem), "simulated AWS");
  TRY(auto aws, attestation::TestRoot::from_certificate(blocks.front().der));
  out->others_.push_back(std::move(aws));
  std::vector<const forge::SnpPki*> products;
  for (const auto& product : out->amd_) products.push_back(&product);
  out->keys_ = std::make_unique<forge::ForgeKds>(std::move(products), kChips);
  TRY(out->pcs_,
      serve("forge_pcs", clock,
            [&pki, &clock](std::string_view t) { return forge::ForgePcs{pki}.get(t, clock.now()); }),
      "simulated PCS");
  TRY(out->kds_,
      serve("forge_kds", clock, [&keys = *out->keys_, &clock](std::string_view t) { return keys.get(t, clock.now()); }),
      "simulated KDS");
  return out;
}

Result<std::vector<attestation::TestRoot>> DevVendors::roots() const {
  std::vector<attestation::TestRoot> out;
  TRY(auto intel, attestation::TestRoot::from_certificate(intel_.root().der));
  out.push_back(std::move(intel));
  for (const auto& product : amd_) {
    TRY(auto root, attestation::TestRoot::from_certificate(product.ark().der));
    out.push_back(std::move(root));
  }
  out.insert(out.end(), others_.begin(), others_.end());
  return out;
}

}  // namespace attestry::app
