#include "api/keymanager_public.h"

#include <string>

#include "api/keymanager_wire.h"
#include "base/encoding.h"

namespace attestry::api {

using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutObject;
using base::Result;
using base::Status;
using provision::KeyManagerAttested;
using provision::KeyManagerDialect;
using provision::KeyManagerKey;
using provision::KeyManagerWorkload;

namespace {

constexpr std::string_view kSealing = "sealing";
constexpr std::string_view kAttest = "attest";

std::string hex0x(base::ByteView bytes) { return "0x" + base::hex(bytes); }

void name_leaf(net::Response& response, const provision::KeyManagerLeaf& leaf) {
  // For who wants to prove what was released: the leaf, and the key of what it commits to (docs/formats/log.md).
  response.headers.set("X-Attestry-Leaf", std::to_string(leaf.index));
  response.headers.set("X-Attestry-Leaf-Key", base::base64url(leaf.key.reveal()));
}

net::Response raw(base::ByteView bytes) {
  auto out = keymanager_text(200, std::string{base::as_text(bytes)});
  out.content_type = "application/octet-stream";
  return out;
}

struct Handlers {
  KeyManagerPublicDeps deps;

  KeyManagerDialect dialect() const { return deps.manager.options().dialect; }
  void refuse(net::Responder& responder, const Error& error) const {
    const auto trace = responder.trace();
    responder.send(keymanager_error(error, dialect(), trace));
  }

  /// Finds out who asks, then goes on with `act`.
  template <class F>
  void as_workload(net::Request request, net::Responder responder, F act) const {
    if (const auto ready = deps.manager.ready(); !ready) return refuse(responder, ready.error());
    if (auto known = deps.identities.at_hand(request.peer)) {
      if (!*known) return refuse(responder, known->error());
      return act(std::move(request), std::move(responder), **known);
    }
    struct Asked {
      net::Request request;
      net::Responder responder;
    };
    auto asked = std::make_shared<Asked>(Asked{std::move(request), std::move(responder)});
    std::move_only_function<void()> task = [this, asked, act] {
      deps.identities.find(asked->request.peer, asked->request.deadline, [this, asked, act](auto workload) {
        if (!workload) return refuse(asked->responder, workload.error());
        act(std::move(asked->request), std::move(asked->responder), *workload);
      });
    };
    if (deps.run_waiting(task)) return;
    refuse(asked->responder, {Code::unavailable, "too many ask at the same time"});
  }

  void send_key(net::Responder& responder, bool json, Result<KeyManagerKey> made, const KeyManagerWorkload& workload,
                const std::string& purpose) const {
    if (!made) return refuse(responder, made.error());
    std::string digits = base::hex(made->key.reveal());
    // The tree of a document would hold copies that nobody wipes: the key takes the place of zeros in its text.
    const std::string zeros(digits.size(), '0');
    auto response = json ? secret_json(JsonOut{JsonOutObject{{"key", zeros},
                                                             {"workload", workload.name},
                                                             {"purpose", purpose},
                                                             {"epoch", made->epoch},
                                                             {"by", std::string{to_text(workload.voucher)}}}})
                         : secret_text(zeros);
    response.body.replace(response.body.find(zeros), zeros.size(), digits);
    net::wipe_text(digits);
    name_leaf(response, made->leaf);
    responder.send(std::move(response));
  }

  void give_key(const net::Request& request, net::Responder responder, const KeyManagerWorkload& workload,
                std::string purpose) const {
    const auto epoch = provision::parse_keymanager_epoch(request.query_value("epoch"));
    if (!epoch) return refuse(responder, epoch.error());
    const bool json = wants_json(request);
    auto shared = std::make_shared<net::Responder>(std::move(responder));
    deps.manager.key(workload, {.purpose = purpose, .epoch = *epoch},
                     [this, shared, json, workload, purpose](Result<KeyManagerKey> made) {
                       send_key(*shared, json, std::move(made), workload, purpose);
                     });
  }

  void sealkey(net::Request request, net::Responder responder) const {
    as_workload(std::move(request), std::move(responder),
                [this](const net::Request& asked, net::Responder to, const KeyManagerWorkload& workload) {
                  const auto purpose = asked.query_value("purpose");
                  // The second generation has no key without a tag: the workload's own.
                  if (dialect() == KeyManagerDialect::dstack_vm)
                    return give_key(asked, std::move(to), workload, workload.name);
                  give_key(asked, std::move(to), workload, std::string{purpose.value_or(kSealing)});
                });
  }

  void tagged_key(net::Request request, net::Responder responder) const {
    as_workload(std::move(request), std::move(responder),
                [this](const net::Request& asked, net::Responder to, const KeyManagerWorkload& workload) {
                  const std::string tag{asked.parameter("tag")};
                  if (dialect() != KeyManagerDialect::dstack_vm) return give_key(asked, std::move(to), workload, tag);
                  if (const auto own = provision::check_tag(workload.name, tag, deps.tags); !own)
                    return refuse(to, own.error());
                  give_key(asked, std::move(to), workload, tag);
                });
  }

  static JsonOut attested_json(const KeyManagerAttested& made, const KeyManagerWorkload& workload,
                               std::string_view purpose) {
    JsonOutObject out{{"digest", hex0x(made.plain.digest)},
                      {"sig_vrs", hex0x(made.plain.vrs)},
                      {"sig_rsv", hex0x(made.plain.rsv)},
                      {"signer", curves::address_checksum_text(made.signer)},
                      {"workload", workload.name},
                      {"appdata", hex0x(made.app_data)},
                      {"epoch", made.epoch}};
    if (made.bound) {
      out.emplace_back("bound", JsonOutObject{{"digest", hex0x(made.bound->digest)},
                                              {"sig_vrs", hex0x(made.bound->vrs)},
                                              {"sig_rsv", hex0x(made.bound->rsv)},
                                              {"purpose", purpose},
                                              {"expires", made.expires}});
    }
    if (made.emitted) {
      out.emplace_back("emitted",
                       JsonOutObject{{"digest", hex0x(made.emitted->digest)}, {"sig_rsv", hex0x(made.emitted->rsv)}});
    }
    return out;
  }

  net::Response attested_response(const KeyManagerAttested& made, bool json, bool emitted, std::string_view app_data,
                                  const KeyManagerWorkload& workload, std::string_view purpose) const {
    if (json) return secret_json(attested_json(made, workload, purpose));
    if (dialect() != KeyManagerDialect::keymanager) return secret_text(hex0x(made.plain.vrs));
    // The first service's line. What it put there is verified by no contract; ?form=vrs is what its contract takes.
    const std::string sig = base::hex(emitted ? made.emitted->rsv : made.plain.vrs);
    return secret_text("/attest/" + std::string{app_data} + ": " + sig);
  }

  void attest(net::Request request, net::Responder responder) const {
    as_workload(std::move(request), std::move(responder),
                [this](const net::Request& asked, net::Responder to, const KeyManagerWorkload& workload) {
                  const std::string purpose{asked.query_value("purpose").value_or(kAttest)};
                  const std::string app_data{asked.parameter("appdata")};
                  const bool json = wants_json(asked);
                  const bool emitted = asked.query_value("form") != "vrs";
                  auto shared = std::make_shared<net::Responder>(std::move(to));
                  deps.manager.attest(workload, purpose, app_data,
                                      [this, shared, json, emitted, app_data, workload,
                                       purpose](const Result<KeyManagerAttested>& made) {
                                        if (!made) return refuse(*shared, made.error());
                                        auto out = attested_response(*made, json, emitted, app_data, workload, purpose);
                                        name_leaf(out, made->leaf);
                                        shared->send(std::move(out));
                                      });
                });
  }

  void tagged_attest(net::Request request, net::Responder responder, bool only_app_data) const {
    as_workload(
        std::move(request), std::move(responder),
        [this, only_app_data](const net::Request& asked, net::Responder to, const KeyManagerWorkload& workload) {
          const std::string tag{asked.parameter("tag")};
          const auto data = base::hex_decode(asked.parameter("data"));
          if (!data) return refuse(to, data.error());
          const auto own = provision::check_signed_tag(workload.name, tag, *data, deps.tags);
          if (!own) return refuse(to, own.error());
          const bool json = wants_json(asked);
          auto shared = std::make_shared<net::Responder>(std::move(to));
          deps.manager.attest_tag(
              workload, tag, *data,
              [this, shared, json, only_app_data, workload, tag](const Result<KeyManagerAttested>& made) {
                if (!made) return refuse(*shared, made.error());
                auto out = json            ? secret_json(attested_json(*made, workload, tag))
                           : only_app_data ? raw(made->app_data)
                                           : raw(made->plain.vrs);
                name_leaf(out, made->leaf);
                shared->send(std::move(out));
              });
        });
  }
};

using Shared = std::shared_ptr<const Handlers>;

template <class F>
Status add(net::Router& router, const Shared& handlers, std::string path, std::string_view id, std::string summary,
           F act, std::vector<net::QueryParameter> query = {}) {
  auto route = keymanager_route(net::Role::keymanager, net::Method::get, std::move(path), id, std::move(summary));
  know_query(route, handlers->dialect(), std::move(query));
  route.handler = [handlers, act](net::Request request, net::Responder responder) {
    act(*handlers, std::move(request), std::move(responder));
  };
  return router.add(std::move(route));
}

}  // namespace

Status register_keymanager_public(net::Router& router, const KeyManagerPublicDeps& deps) {
  const auto handlers = std::make_shared<const Handlers>(Handlers{deps});
  TRY_OK(add(
      router, handlers, "/", "greeting", "Says what this is",
      [](const Handlers&, const net::Request&, net::Responder to) { to.send(keymanager_text(200, "keymanager")); }));
  const net::QueryParameter purpose{"purpose", "What the key or the signature is for"};
  const net::QueryParameter epoch{"epoch", "Of the master key; the present one when it is not given"};
  const net::QueryParameter form{"form", "vrs: the signature as contracts take it"};
  const auto sealkey = [](const Handlers& on, net::Request request, net::Responder to) {
    on.sealkey(std::move(request), std::move(to));
  };
  TRY_OK(add(router, handlers, "/sealkey", "sealkey", "The workload's sealing key", sealkey, {purpose, epoch}));
  TRY_OK(add(router, handlers, "/getkey", "getkey", "The same, as the first service called it", sealkey,
             {purpose, epoch}));
  TRY_OK(add(router, handlers, "/getkey/{tag}", "getkey_tag", "The workload's key for a purpose, or of a tag",
             [](const Handlers& on, net::Request request, net::Responder to) {
               on.tagged_key(std::move(request), std::move(to));
             },
             {epoch}));
  TRY_OK(add(
      router, handlers, "/attest/{appdata}", "attest", "A signature that contracts verify",
      [](const Handlers& on, net::Request request, net::Responder to) { on.attest(std::move(request), std::move(to)); },
      {purpose, form}));
  TRY_OK(add(router, handlers, "/attest/{tag}/{data}", "attest_tag", "The same, in the second generation's form",
             [](const Handlers& on, net::Request request, net::Responder to) {
               on.tagged_attest(std::move(request), std::move(to), false);
             }));
  TRY_OK(add(router, handlers, "/appdata/{tag}/{data}", "appdata", "What the second generation's contract is given",
             [](const Handlers& on, net::Request request, net::Responder to) {
               on.tagged_attest(std::move(request), std::move(to), true);
             }));
  return add_keymanager_standing(router, net::Role::keymanager, deps.manager, StatusDetail::little);
}

}  // namespace attestry::api
