#include "chain/blob_transaction.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "base/encoding.h"
#include "chain/blob_data.h"
#include "chain/rlp.h"
#include "curves/keccak.h"

namespace attestry::chain {
namespace {

using base::Bytes;
using base::ByteView;
using base::Code;
using ::testing::HasSubstr;

curves::Secp256k1PrivateKey key() {
  Bytes scalar(32, 0x46);
  return *curves::Secp256k1PrivateKey::from_scalar(scalar);
}

BlobTransaction example(SidecarForm form) {
  return {.call = {.chain_id = 31337,
                   .nonce = 3,
                   .max_priority_fee = 1,
                   .max_fee = 2,
                   .gas_limit = 3,
                   .to = Address{0xaa},
                   .data = {1, 2}},
          .max_fee_per_blob = 7,
          .sidecar = *make_sidecar(base::to_bytes("a quote"), form)};
}

std::vector<RlpItem> items_of(ByteView raw) { return *rlp_items(*rlp_decode(raw.subspan(1)), 256); }

TEST(BlobTransactionTest, ASidecarHoldsWhatWasPacked) {
  const auto sidecar = make_sidecar(base::to_bytes("a quote"), SidecarForm::blob_proof);
  ASSERT_TRUE(sidecar.ok());
  EXPECT_EQ(*blob_unpack(sidecar->blob), base::to_bytes("a quote"));
  EXPECT_EQ(sidecar->versioned_hash[0], 1);
  ASSERT_EQ(sidecar->proofs.size(), 1u);
  EXPECT_TRUE(*kzg_verify_blob(sidecar->blob, sidecar->commitment, sidecar->proofs[0]));
  EXPECT_EQ(make_sidecar(base::to_bytes("a quote"), SidecarForm::cell_proofs)->proofs.size(), kCellsPerBlob);
  EXPECT_EQ(make_sidecar(Bytes(kBlobDataBytes + 1), SidecarForm::blob_proof).error().code, Code::too_large);
}

TEST(BlobTransactionTest, TheFieldsStandInTheOrderOfEip4844) {
  const auto t = example(SidecarForm::blob_proof);
  const auto made = sign(t, key());
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(made->raw.front(), 3);
  const auto parts = items_of(made->raw);
  ASSERT_EQ(parts.size(), 4u);  // body, blobs, commitments, proofs
  const auto body = *rlp_items(parts[0]);
  ASSERT_EQ(body.size(), 14u);
  EXPECT_EQ(*rlp_u64(body[1], "nonce"), 3u);
  EXPECT_EQ(*rlp_u64(body[9], "fee"), 7u);
  const auto hashes = *rlp_items(body[10]);
  ASSERT_EQ(hashes.size(), 1u);
  EXPECT_TRUE(base::equal(hashes[0].payload, t.sidecar.versioned_hash));
  EXPECT_TRUE(base::equal((*rlp_items(parts[1]))[0].payload, t.sidecar.blob));
  EXPECT_EQ(rlp_items(parts[3])->size(), 1u);

  // Its hash is the body's alone, and who signed it is the key's owner.
  Bytes bare{3};
  base::append(bare, parts[0].encoded);
  EXPECT_EQ(made->hash, curves::keccak256(bare));
  base::FixedBytes<65> signature{};
  std::ranges::copy(*rlp_word(body[12], "r"), signature.begin());
  std::ranges::copy(*rlp_word(body[13], "s"), signature.begin() + 32);
  signature[64] = static_cast<std::uint8_t>(*rlp_u64(body[11], "parity"));
  EXPECT_EQ(curves::ethereum_address(*curves::secp256k1_recover(signing_hash(t), signature)),
            curves::ethereum_address(key().public_key_raw()));
}

TEST(BlobTransactionTest, CellProofsComeInAVersionedWrapper) {
  const auto t = example(SidecarForm::cell_proofs);
  const auto made = sign(t, key());
  ASSERT_TRUE(made.ok());
  const auto parts = items_of(made->raw);
  ASSERT_EQ(parts.size(), 5u);
  EXPECT_EQ(*rlp_u64(parts[1], "version"), 1u);
  EXPECT_EQ(rlp_items(parts[4], 256)->size(), kCellsPerBlob);
  EXPECT_EQ(made->hash, sign(example(SidecarForm::blob_proof), key())->hash);  // the form is no part of it
}

TEST(BlobTransactionTest, BlobsCreateNoContract) {
  auto t = example(SidecarForm::blob_proof);
  t.call.to.reset();
  EXPECT_EQ(sign(t, key()).error().code, Code::usage);
}

// -- fetching

/// A consensus node behind the transport's interface: bodies by path, 404 for the rest.
class Beacon final : public net::HttpTransport {
 public:
  base::Result<net::Response> send(const net::HttpRequest& request) override {
    if (dead) return base::Error{Code::unavailable, "connection refused"};
    const std::string path = request.url.substr(request.url.find('/', 8));
    asked.push_back(path);
    net::Response out;
    const auto found = bodies.find(path.substr(0, path.find('?')));
    out.status = found == bodies.end() ? 404 : 200;
    if (found != bodies.end()) out.body = found->second;
    return out;
  }
  bool dead = false;
  std::map<std::string, std::string> bodies;
  std::vector<std::string> asked;
};

class FetchBlobTest : public ::testing::Test {
 protected:
  FetchBlobTest() {
    const auto sidecar = *make_sidecar(base::to_bytes("a quote"), SidecarForm::blob_proof);
    blob = sidecar.blob;
    name = sidecar.versioned_hash;
  }
  static std::string answer(const std::vector<Bytes>& blobs) {
    std::string out = R"({"execution_optimistic":false,"finalized":true,"data":[)";
    for (const Bytes& one : blobs) out += (out.back() == '[' ? "\"" : ",\"") + hex_data(one) + "\"";
    return out + "]}";
  }
  base::Result<Bytes> fetch() {
    const BlobSources sources{.beacons = {"http://beacon.test"}, .endpoints = {}, .http = &beacon};
    return fetch_blob(sources, {.number = 77, .hash = {}, .time = {1'000'120}}, name,
                      base::system_clock().steady() + std::chrono::seconds(30));
  }
  Beacon beacon;
  Bytes blob;
  base::Digest32 name{};
};

TEST_F(FetchBlobTest, TheSlotIsThatOfTheBlocksTime) {
  beacon.bodies["/eth/v1/config/spec"] = R"({"data":{"SECONDS_PER_SLOT":"12"}})";
  beacon.bodies["/eth/v1/beacon/genesis"] = R"({"data":{"genesis_time":"1000000"}})";
  beacon.bodies["/eth/v1/beacon/blobs/10"] = answer({Bytes(kBlobBytes, 0), blob});
  const auto found = fetch();
  ASSERT_TRUE(found.ok()) << found.error().text();
  EXPECT_EQ(*found, blob);
  EXPECT_THAT(beacon.asked.back(), HasSubstr("?versioned_hashes=0x" + base::hex(name)));
}

TEST_F(FetchBlobTest, ADevelopmentNodeIsAskedByTheNumberOfTheBlock) {
  beacon.bodies["/eth/v1/beacon/blobs/77"] = answer({blob});
  EXPECT_EQ(*fetch(), blob);
}

TEST_F(FetchBlobTest, AnotherBlobIsPassedOver) {
  Bytes other = blob;
  other[40] ^= 1;
  beacon.bodies["/eth/v1/beacon/blobs/77"] = answer({other});
  EXPECT_EQ(fetch().error().code, Code::not_found);
}

TEST_F(FetchBlobTest, WhatNobodyHasIsNotAnOutage) {
  EXPECT_EQ(fetch().error().code, Code::not_found);
  beacon.dead = true;
  EXPECT_EQ(fetch().error().code, Code::unavailable);
}

}  // namespace
}  // namespace attestry::chain
