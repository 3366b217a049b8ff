#include "chain/near_rpc.h"

#include <set>

#include "base/base58.h"
#include "chain/json_rpc.h"

namespace attestry::chain::near {

using base::Bytes;
using base::Code;
using base::Error;
using base::Result;

// -- one endpoint

Endpoint::Endpoint(net::HttpTransport& transport, EndpointOptions options)
    : transport_(transport), options_(std::move(options)) {
  if (options_.name.empty()) options_.name = endpoint_name(options_.url);
}

Result<Reply> Endpoint::ask(std::string_view method, base::JsonOut params, base::Deadline deadline) {
  net::HttpRequest request{.method = net::Method::post,
                           .url = options_.url,
                           .headers = options_.headers,
                           .body = rpc_request(method, std::move(params)),
                           .deadline = deadline,
                           .max_bytes = options_.max_bytes,
                           .if_too_large = Code::too_large,
                           .shown_as = options_.name};
  request.headers.set("Content-Type", "application/json");
  TRY(net::Response response, transport_.send(request));
  auto reply = parse_reply(std::move(response.body), options_.max_bytes);
  // Nodes give some failures (time-outs, unknown blocks) a status of their own; a result comes with 200.
  if (response.status != 200 && (!reply.ok() || !reply->failure)) {
    return Error{Code::unavailable, options_.name + " answers with status " + std::to_string(response.status)};
  }
  if (!reply.ok()) return reply.error().at(options_.name);
  return reply;
}

std::vector<Error> mistakes_in(const std::string& chain_id, const std::vector<EndpointOptions>& endpoints,
                               std::size_t quorum) {
  std::vector<Error> out;
  const auto mistake = [&](std::string what) { out.push_back({Code::configuration, "NEAR: " + std::move(what)}); };
  if (chain_id.empty()) mistake("the network has no name");
  if (endpoints.empty()) mistake("there is no endpoint");
  if (quorum > endpoints.size()) mistake("the quorum is larger than the number of endpoints");
  std::set<std::string> urls;
  for (const auto& endpoint : endpoints) {
    // One that is named twice would have two votes.
    if (!urls.insert(endpoint.url).second) mistake("the same endpoint twice");
  }
  return out;
}

// -- answers of one kind

namespace {

template <class T>
Result<T> expect(Result<Answer> answer, std::string_view subject) {
  TRY(Answer given, std::move(answer), subject);
  if (auto* value = std::get_if<T>(&given)) return std::move(*value);
  const auto* refusal = std::get_if<Refusal>(&given);
  if (refusal == nullptr) return Error{Code::internal, std::string{subject} + ": an answer of another kind"};
  return Error{refusal->code, std::string{subject} + ": " + refusal->what, {}, refusal->found};
}

}  // namespace

Result<Account> ChainReader::account(const Block& at, const AccountId& account, base::Deadline deadline) {
  return expect<Account>(ask(at, ViewAccount{account}, deadline), account.text());
}

Result<Bytes> ChainReader::call(const Block& at, const AccountId& contract, std::string method, Bytes args,
                                base::Deadline deadline) {
  const std::string subject = contract.text() + "." + method;
  return expect<Bytes>(ask(at, ViewCall{contract, std::move(method), std::move(args)}, deadline), subject);
}

Result<AccessKey> ChainReader::access_key(const Block& at, const AccountId& account, const PublicKey& key,
                                          base::Deadline deadline) {
  return expect<AccessKey>(ask(at, ViewAccessKey{account, key}, deadline), key.text() + " of " + account.text());
}

Result<std::vector<AccountKey>> ChainReader::access_keys(const Block& at, const AccountId& account,
                                                         base::Deadline deadline) {
  return expect<std::vector<AccountKey>>(ask(at, ViewAccessKeys{account}, deadline), account.text());
}

// -- transactions

Result<SignedTransaction> prepare(ChainReader& reader, const AccountId& signer, const SecretKey& key,
                                  const AccountId& receiver, std::vector<Action> actions, base::Deadline deadline) {
  TRY(const Block head, reader.head(deadline));
  TRY(const AccessKey access, reader.access_key(head, signer, key.public_key(), deadline));
  return sign({.signer = signer,
               .key = key.public_key(),
               .nonce = access.nonce + 1,
               .receiver = receiver,
               .block_hash = head.hash,
               .actions = std::move(actions)},
              key);
}

}  // namespace attestry::chain::near
