#include "cluster/deal.h"

#include <algorithm>

#include "base/reader.h"
#include "crypto/aead.h"
#include "crypto/hash.h"

namespace attestry::cluster {

using base::ByteView;
using base::Code;
using base::Error;
using base::Result;
using base::Status;
using curves::bls::G1;
using curves::bls::G2;
using curves::bls::Scalar;

namespace {

constexpr std::string_view kDealTag = "attestry/threshold-deal/1";
constexpr std::string_view kKnowledgeTag = "attestry/threshold-deal/1/knowledge";
constexpr std::string_view kValueTag = "attestry/threshold-deal/1/value";
constexpr std::string_view kComplaintTag = "attestry/threshold-complaint/1";
constexpr std::string_view kCommonTag = "attestry/threshold-complaint/1/common";
// A value's key is of that value alone.
constexpr base::FixedBytes<12> kNonce{};

Error wrong(std::uint32_t node, std::string what, std::string expected = {}, std::string found = {}) {
  return Error{Code::evidence_false, "node " + std::to_string(node) + ": " + std::move(what), std::move(expected),
               std::move(found)};
}

Scalar challenge_of(const base::LpWriter& transcript) { return Scalar::from_wide(crypto::sha512(transcript.bytes())); }

/// In its own bytes, below the order.
Result<base::FixedBytes<32>> read_scalar(base::Reader& reader) {
  TRY(const auto out, reader.take_array<32>("proof"));
  TRY_OK(Scalar::from_big_endian(out), "proof");
  return out;
}

Result<SchnorrProof> read_proof(base::Reader& reader) {
  SchnorrProof out;
  TRY(out.challenge, read_scalar(reader));
  TRY(out.answer, read_scalar(reader));
  return out;
}

struct ProofScalars {
  Scalar challenge, answer;
};
ProofScalars scalars_of(const SchnorrProof& proof) {
  return {*Scalar::from_big_endian(proof.challenge), *Scalar::from_big_endian(proof.answer)};
}

// Knowledge of the shared secret: nobody can deal what others have committed to, or the negative of their sum. And of
// the ephemeral scalar: whoever took another deal's R would have honest nodes open that deal's values by their
// complaints.
Scalar knowledge_challenge(const base::Digest32& plan, std::uint32_t dealer, const G2& constant,
                           const G1::Encoded& ephemeral, const G2& first, const G1& second) {
  base::LpWriter out;
  out.lp(kKnowledgeTag).raw(plan).u32(dealer).raw(constant.encode()).raw(ephemeral);
  out.raw(first.encode()).raw(second.encode());
  return challenge_of(out);
}

// log of box key to the generator = log of common to ephemeral (Chaum and Pedersen).
Scalar common_challenge(const base::Digest32& deal, std::uint32_t receiver, const G1::Encoded& box,
                        const G1::Encoded& ephemeral, const G1::Encoded& common, const G1& first, const G1& second) {
  base::LpWriter out;
  out.lp(kCommonTag).raw(deal).u32(receiver).raw(box).raw(ephemeral).raw(common);
  out.raw(first.encode()).raw(second.encode());
  return challenge_of(out);
}

crypto::Secret value_key(const base::Digest32& plan, std::uint32_t dealer, const Member& receiver,
                         const G1::Encoded& ephemeral, const G1& common) {
  base::LpWriter info;
  info.raw(plan).u32(dealer).u32(receiver.id).raw(ephemeral).raw(receiver.box_key);
  G1::Encoded secret = common.encode();
  crypto::Secret key = crypto::hkdf_sha256(crypto::sha256(base::as_bytes(kValueTag)), secret, info.bytes(), 32);
  crypto::wipe(secret);
  return key;
}

}  // namespace

Result<Deal> Deal::make(const Plan& plan, std::uint32_t dealer, const Polynomial& polynomial,
                        const crypto::Ed25519PrivateKey& key, crypto::Random& random) {
  Deal out{polynomial.commitments()};
  if (out.commitments_.threshold() != plan.threshold) {
    return Error{Code::usage, "deal", "a polynomial of the plan's threshold",
                 std::to_string(out.commitments_.threshold())};
  }
  out.plan_ = plan.digest();
  out.dealer_ = dealer;
  const Scalar ephemeral = Scalar::random(random);
  out.ephemeral_ = G1::times_generator(ephemeral).encode();
  const Scalar first = Scalar::random(random);
  const Scalar second = Scalar::random(random);
  const Scalar challenge = knowledge_challenge(out.plan_, dealer, out.commitments_.constant(), out.ephemeral_,
                                               G2::times_generator(first), G1::times_generator(second));
  out.knowledge_ = {challenge.public_bytes(), (first + challenge * polynomial.secret()).public_bytes(),
                    (second + challenge * ephemeral).public_bytes()};
  for (const Member& member : plan.members) {
    TRY(const G1 box, G1::decode(member.box_key), "box key");
    G1 common = box * ephemeral;
    const crypto::Secret value_key_bytes = value_key(out.plan_, dealer, member, out.ephemeral_, common);
    common.wipe();
    const crypto::Secret value = polynomial.at(member.id).big_endian();
    TRY(const base::Bytes sealed, crypto::aes256gcm_seal(value_key_bytes.reveal(), kNonce, value.reveal(), {}));
    Value& next = out.values_.emplace_back();
    next.receiver = member.id;
    std::ranges::copy(sealed, next.sealed.begin());
  }
  base::Bytes bytes = out.unsigned_bytes();
  out.signature_ = key.sign(bytes);
  base::append(bytes, out.signature_);
  out.bytes_ = std::move(bytes);
  return out;
}

base::Bytes Deal::unsigned_bytes() const {
  base::LpWriter out;
  out.lp(kDealTag).raw(plan_).u32(dealer_).raw(commitments_.bytes());
  out.raw(knowledge_.challenge).raw(knowledge_.secret).raw(knowledge_.ephemeral).raw(ephemeral_);
  out.u16(static_cast<std::uint16_t>(values_.size()));
  for (const Value& value : values_) out.u32(value.receiver).raw(value.sealed);
  return std::move(out).take();
}

Result<Deal> Deal::parse(ByteView bytes, std::size_t most_threshold) {
  base::Reader reader{bytes};
  TRY(const ByteView tag, reader.lp("tag", kDealTag.size()));
  if (base::as_text(tag) != kDealTag) return Error{Code::malformed, "deal", std::string{kDealTag}, "another tag"};
  TRY(const base::Digest32 plan, reader.take_array<32>("plan"));
  TRY(const std::uint32_t dealer, reader.u32be("dealer"));
  TRY(Commitments commitments, Commitments::read(reader, most_threshold));
  Deal out{std::move(commitments)};
  out.plan_ = plan;
  out.dealer_ = dealer;
  TRY(out.knowledge_.challenge, read_scalar(reader));
  TRY(out.knowledge_.secret, read_scalar(reader));
  TRY(out.knowledge_.ephemeral, read_scalar(reader));
  TRY(out.ephemeral_, reader.take_array<48>("ephemeral key"));
  TRY_OK(G1::decode(out.ephemeral_), "ephemeral key");
  TRY(const std::uint16_t count, reader.u16be("number of values"));
  if (count > kMostNodes) return Error{Code::malformed, "number of values", "at most 255", std::to_string(count)};
  for (std::uint16_t i = 0; i < count; ++i) {
    Value& value = out.values_.emplace_back();
    TRY(value.receiver, reader.u32be("receiver"));
    TRY(value.sealed, reader.take_array<48>("value"));
  }
  TRY(out.signature_, reader.take_array<64>("signature"));
  TRY_OK(reader.finish("deal"));
  out.bytes_ = base::to_bytes(bytes);
  return out;
}

base::Digest32 Deal::digest() const { return crypto::sha256(bytes_); }

Status Deal::check(const Plan& plan, ByteView dealer_key, const std::optional<G2>& constant) const {
  if (plan_ != plan.digest()) return wrong(dealer_, "its deal is of another plan");
  if (!crypto::ed25519_verify(dealer_key, unsigned_bytes(), signature_))
    return wrong(dealer_, "it did not sign this deal");
  if (commitments_.threshold() != plan.threshold) {
    return wrong(dealer_, "threshold of its deal", std::to_string(plan.threshold),
                 std::to_string(commitments_.threshold()));
  }
  if (!std::ranges::equal(values_, plan.members, {}, &Value::receiver, &Member::id)) {
    return wrong(dealer_, "receivers of its deal", "the members of the plan", "others");
  }
  if (constant && !(commitments_.constant() == *constant)) {
    return wrong(dealer_, "it deals something else than its share of the epoch before");
  }
  const Scalar challenge = *Scalar::from_big_endian(knowledge_.challenge);
  TRY(const G1 ephemeral, G1::decode(ephemeral_));
  const G2 first =
      G2::times_generator(*Scalar::from_big_endian(knowledge_.secret)) - commitments_.constant() * challenge;
  const G1 second = G1::times_generator(*Scalar::from_big_endian(knowledge_.ephemeral)) - ephemeral * challenge;
  if (!(knowledge_challenge(plan_, dealer_, commitments_.constant(), ephemeral_, first, second) == challenge)) {
    return wrong(dealer_, "it does not prove that it knows what it deals and encrypts with");
  }
  return base::done();
}

Result<Scalar> Deal::open_with(const Member& receiver, const G1& common) const {
  const auto value = std::ranges::find(values_, receiver.id, &Value::receiver);
  if (value == values_.end()) return wrong(dealer_, "no value for node " + std::to_string(receiver.id));
  const crypto::Secret key = value_key(plan_, dealer_, receiver, ephemeral_, common);
  const auto opened = crypto::aes256gcm_open(key.reveal(), kNonce, value->sealed, {});
  if (!opened) return wrong(dealer_, "its value for node " + std::to_string(receiver.id) + " does not open");
  auto scalar = Scalar::from_big_endian(opened->reveal());
  if (!scalar || !commitments_.holds(receiver.id, *scalar)) {
    return wrong(dealer_, "its value for node " + std::to_string(receiver.id) + " is not the one it committed to");
  }
  return *std::move(scalar);
}

Result<Scalar> Deal::open(const Plan& plan, std::uint32_t receiver, const Scalar& box_secret) const {
  const Member* member = plan.find(receiver);
  if (member == nullptr) return Error{Code::usage, "deal", "a member of the plan", std::to_string(receiver)};
  TRY(const G1 ephemeral, G1::decode(ephemeral_));
  G1 common = ephemeral * box_secret;
  auto out = open_with(*member, common);
  common.wipe();
  return out;
}

Result<Complaint> Complaint::make(const Plan& plan, const Deal& deal, std::uint32_t receiver, const Scalar& box_secret,
                                  const crypto::Ed25519PrivateKey& key, crypto::Random& random) {
  if (deal.open(plan, receiver, box_secret).ok()) {
    return Error{Code::usage, "complaint", "a value that is wrong", "a right one, which would be given away"};
  }
  const Member* member = plan.find(receiver);
  if (member == nullptr) return Error{Code::usage, "complaint", "a member of the plan", std::to_string(receiver)};
  TRY(const G1 ephemeral, G1::decode(deal.ephemeral_));
  Complaint out;
  out.deal_ = deal.digest();
  out.dealer_ = deal.dealer();
  out.receiver_ = receiver;
  out.common_ = (ephemeral * box_secret).encode();
  const Scalar nonce = Scalar::random(random);
  const Scalar challenge = common_challenge(out.deal_, receiver, member->box_key, deal.ephemeral_, out.common_,
                                            G1::times_generator(nonce), ephemeral * nonce);
  out.proof_ = {challenge.public_bytes(), (nonce + challenge * box_secret).public_bytes()};
  base::Bytes bytes = out.unsigned_bytes();
  out.signature_ = key.sign(bytes);
  base::append(bytes, out.signature_);
  out.bytes_ = std::move(bytes);
  return out;
}

base::Bytes Complaint::unsigned_bytes() const {
  base::LpWriter out;
  out.lp(kComplaintTag).raw(deal_).u32(dealer_).u32(receiver_).raw(common_).raw(proof_.challenge).raw(proof_.answer);
  return std::move(out).take();
}

Result<Complaint> Complaint::parse(ByteView bytes) {
  base::Reader reader{bytes};
  Complaint out;
  TRY(const ByteView tag, reader.lp("tag", kComplaintTag.size()));
  if (base::as_text(tag) != kComplaintTag) {
    return Error{Code::malformed, "complaint", std::string{kComplaintTag}, "another tag"};
  }
  TRY(out.deal_, reader.take_array<32>("deal"));
  TRY(out.dealer_, reader.u32be("dealer"));
  TRY(out.receiver_, reader.u32be("receiver"));
  TRY(out.common_, reader.take_array<48>("common point"));
  TRY_OK(G1::decode(out.common_), "common point");
  TRY(out.proof_, read_proof(reader));
  TRY(out.signature_, reader.take_array<64>("signature"));
  TRY_OK(reader.finish("complaint"));
  out.bytes_ = base::to_bytes(bytes);
  return out;
}

Result<Complaint::Fault> Complaint::judge(const Plan& plan, const Deal& deal) const {
  const Member* member = plan.find(receiver_);
  if (member == nullptr) return wrong(receiver_, "its complaint", "of a member of the plan", "of somebody else");
  if (deal_ != deal.digest() || dealer_ != deal.dealer())
    return wrong(receiver_, "its complaint is about another deal");
  if (!crypto::ed25519_verify(member->signing_key, unsigned_bytes(), signature_)) {
    return wrong(receiver_, "it did not sign this complaint");
  }
  TRY(const G1 box, G1::decode(member->box_key));
  TRY(const G1 ephemeral, G1::decode(deal.ephemeral_));
  TRY(const G1 common, G1::decode(common_));
  const ProofScalars proof = scalars_of(proof_);
  const G1 first = G1::times_generator(proof.answer) - box * proof.challenge;
  const G1 second = ephemeral * proof.answer - common * proof.challenge;
  if (!(common_challenge(deal_, receiver_, member->box_key, deal.ephemeral_, common_, first, second) ==
        proof.challenge)) {
    return Fault::receiver;  // signed, and not proved
  }
  return deal.open_with(*member, common).ok() ? Fault::receiver : Fault::dealer;
}

}  // namespace attestry::cluster
