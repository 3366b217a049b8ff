// Requests to a keystore that carry evidence of their own, made before the load: each a body with a TDX quote for just
// this request (docs/formats/keystore-wire.md), one file each.
//   keystore_requests BODY_FILE AUDIENCE SEED_FILE COUNT FOLDER
// BODY_FILE holds the request without its member "attestation"; "task_id" is made different in each.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "base/reader.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "forge/attester.h"
#include "forge/scenario.h"
#include "load.h"

namespace {

using namespace attestry;
using bench::must;

/// The members of the given body, with a task of its own.
base::JsonOutObject body_of(const base::JsonValue& given, std::size_t number) {
  base::JsonOutObject out;
  for (auto member = given.first(); member; member = member->next()) {
    if (member->key() == "task_id") continue;
    out.emplace_back(std::string{member->key()}, base::JsonOut::Raw{std::string{member->source()}});
  }
  out.emplace_back("task_id", std::to_string(number));
  return out;
}

base::FixedBytes<64> report_data(base::ByteView key, std::uint64_t time, const std::string& canonical,
                                 const std::string& audience) {
  base::LpWriter out;
  out.lp(std::string_view{"attestry/keystore/request/1"}).lp(key).u64(time);
  out.lp(crypto::sha256(base::as_bytes(canonical))).lp(audience);
  return crypto::sha512(out.bytes());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fprintf(stderr, "usage: keystore_requests BODY_FILE AUDIENCE SEED_FILE COUNT FOLDER\n");
    return 2;
  }
  const auto given = must(base::JsonDocument::parse(bench::read_file(argv[1])), "body");
  const std::string audience = argv[2];
  auto pki = must(forge::ForgePki::make(base::as_bytes(bench::read_file(argv[3]))), "seed");
  auto attester =
      must(forge::ForgeAttester::make(pki, forge::default_quote(pki, forge::QuoteKind::tdx_v4)), "attester");
  const auto now = static_cast<std::uint64_t>(base::system_clock().now().seconds);
  const auto count = static_cast<std::size_t>(std::atoll(argv[4]));
  for (std::size_t i = 0; i < count; ++i) {
    // Any 32 bytes are a key of X25519, and nobody opens the replies.
    const auto key = crypto::system_random().bytes<32>();
    auto body = body_of(given->root(), i);
    const auto data = report_data(key, now, base::JsonOut{body}.canonical(), audience);
    const auto evidence = must(attester.attest(data), "evidence");
    body.emplace_back("attestation", base::JsonOutObject{{"tee_type", "tdx"},
                                                         {"quote", base::base64(evidence.bytes)},
                                                         {"worker_pubkey", base::hex(key)},
                                                         {"timestamp", now}});
    std::ofstream file(std::string{argv[5]} + "/" + std::to_string(i) + ".json", std::ios::binary);
    file << base::JsonOut{std::move(body)}.compact();
    if (!file) {
      std::fprintf(stderr, "keystore_requests: cannot write %s\n", argv[5]);
      return 2;
    }
  }
  return 0;
}
