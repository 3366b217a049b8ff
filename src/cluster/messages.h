// What is said in the session of two nodes, as bytes (docs/formats/threshold.md, "Between nodes"). Strict: whatever is
// read is written again as the same bytes. Values and pure functions: thread-safe, nothing blocks.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "cluster/node.h"
#include "crypto/ec.h"
#include "keys/ckd.h"

namespace attestry::cluster {

/// Bytes of one message, pieces put together: an epoch of 255 members has some 11 MB.
inline constexpr std::size_t kMostMessage = 16u << 20;
inline constexpr std::size_t kMostHello = 256;
inline constexpr std::size_t kMostApplication = 1u << 20;

/// The first message each way: who is at this end of the session. A node signs the report data that its evidence for
/// this session carries, so that its key belongs to what was attested, in this session and in no other.
struct Hello {
  /// Nothing for a server that uses the cluster, and is no node.
  struct Who {
    std::uint32_t id = 0;
    base::FixedBytes<32> signing_key{};
    bool operator==(const Who&) const = default;
  };
  std::optional<Who> node;
  base::FixedBytes<64> signature{};

  static Hello sign(std::uint32_t id, const base::FixedBytes<64>& own_report_data,
                    const crypto::Ed25519PrivateKey& key);
  /// Error `evidence_false` when it is not signed for the session in which the other end attested `peer_report_data`.
  base::Status check(const base::FixedBytes<64>& peer_report_data) const;
  base::Bytes bytes() const;
  static base::Result<Hello> parse(base::ByteView bytes);
};

namespace ask {
struct Offer {
  base::FixedBytes<32> cluster{}, session{};
};
struct Propose {
  Plan plan;
  Approval approval;
};
struct Check {
  Plan plan;
  Approval approval;
  std::vector<Deal> deals;
};
struct Prepare {
  Plan plan;
  Approval approval;
  std::vector<Deal> deals;
};
struct Activate {
  Epoch epoch;
};
/// The epoch in force, unless it is the one with the outcome that the caller knows.
struct Current {
  std::optional<base::Digest32> known{};
};
/// "I am here": by the node that says it, whose Hello named its id and key. The answer is the epoch in force.
struct Join {
  std::string address;
};
/// A nonce for a workload's evidence.
struct Challenge {};
/// `application`: what the workload asked every node for (application.h); empty when a server asks for itself.
struct Derive {
  Node::Request request;
  base::Bytes application;
};
struct Prove {
  Node::Request request;
  base::Bytes application;
};
}  // namespace ask

using Question = std::variant<ask::Offer, ask::Propose, ask::Check, ask::Prepare, ask::Activate, ask::Current,
                              ask::Join, ask::Challenge, ask::Derive, ask::Prove>;
base::Bytes encode(const Question& question);
/// `check`: looked at before any point of a deal is decoded; may be empty.
base::Result<Question> parse_question(base::ByteView bytes, const PlanCheck& check = {});

namespace answer {
struct Nothing {};  ///< done; or no complaint; or no epoch in force
struct Known {};    ///< the epoch in force is the one that the caller knows
using Nonce = base::FixedBytes<42>;
}  // namespace answer
using Answer = std::variant<base::Error, answer::Nothing, answer::Known, Offer, Deal, Complaint, Stored, Epoch,
                            answer::Nonce, keys::ckd::Ciphertext, keys::ckd::ShareProof>;
base::Bytes encode(const Answer& answer);
base::Result<Answer> parse_answer(base::ByteView bytes);

}  // namespace attestry::cluster
