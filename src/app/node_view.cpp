#include "app/node_view.h"

#include <algorithm>
#include <ostream>

#include "base/encoding.h"
#include "base/ids.h"
#include "base/json.h"
#include "keys/ckd.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::JsonValue;
using base::Result;

namespace {

/// Of 255 members and as many approvals, in base64url.
constexpr std::size_t kMostAnswer = 4u << 20;

Result<std::int64_t> number_of(const JsonValue& object, std::string_view name) {
  TRY(const auto value, object.get(name));
  return value.integer(name, 0, UINT32_MAX);
}

Result<std::string> text_of(const JsonValue& object, std::string_view name) {
  const auto value = object.find(name);
  if (!value) return std::string{};
  return value->string(name);
}

Result<std::vector<cluster::Member>> members_of(const JsonValue& object, std::string_view name) {
  std::vector<cluster::Member> out;
  const auto list = object.find(name);
  if (!list) return out;
  for (auto value = list->first(); value; value = value->next()) {
    cluster::Member one;
    TRY(const auto id, number_of(*value, "id"));
    one.id = static_cast<std::uint32_t>(id);
    TRY(one.address, text_of(*value, "address"));
    TRY(const auto key, text_of(*value, "signing_key"));
    TRY_OK(base::hex_decode_into(key, one.signing_key), "signing_key");
    out.push_back(std::move(one));
  }
  return out;
}

/// Members as people compare them, without what belongs to one plan's session.
std::vector<cluster::Member> known(const cluster::Plan& plan) {
  std::vector<cluster::Member> out;
  out.reserve(plan.members.size());
  for (const auto& one : plan.members) out.push_back({one.id, one.signing_key, {}, {}, one.address});
  return out;
}

Result<cluster::CertifiedEpoch> certified(const JsonValue& root) {
  TRY(const auto value, root.get("certified_epoch"));
  TRY(const auto text, value.string("certified_epoch"));
  TRY(const auto bytes, base::base64url_decode(text), "certified_epoch");
  return cluster::CertifiedEpoch::parse(bytes);
}

const char* mark(const NodeView& now, const cluster::Member& member, bool proved) {
  const auto before = std::ranges::find(now.members, member.id, &cluster::Member::id);
  if (before == now.members.end()) return "new      ";
  if (before->signing_key != member.signing_key) return "NEW KEY  ";
  if (!proved) return "UNSIGNED ";
  return before->address != member.address ? "moved    " : "as before";
}

}  // namespace

Result<NodeView> NodeView::parse(const std::string& answer) {
  TRY(const auto document, base::JsonDocument::parse(answer, {.max_bytes = kMostAnswer}), "the node's answer");
  const auto root = document->root();
  NodeView out;
  TRY(const auto id, number_of(root, "id"));
  out.id = static_cast<std::uint32_t>(id);
  TRY(const auto epoch, number_of(root, "epoch"));
  TRY(out.signing_key, text_of(root, "signing_key"));
  TRY(out.address, text_of(root, "address"));
  TRY(out.app, text_of(root, "app"));
  TRY(out.not_approved, text_of(root, "not_approved"));
  TRY(out.joined, text_of(root, "joined"));
  TRY(out.realm, text_of(root, "realm"));
  TRY(out.operators_needed, number_of(root, "operators_needed"));
  TRY(const auto holds, root.get("holds_share"));
  TRY(out.holds_share, holds.boolean("holds_share"));
  TRY(const auto operators, root.get("operators"));
  for (auto value = operators.first(); value; value = value->next()) {
    TRY(const auto key, value->string("operators"));
    TRY_OK(base::hex_decode_into(key, out.operators.emplace_back()), "operators");
  }
  TRY(out.candidates, members_of(root, "candidates"));
  if (epoch == 0) return out;
  TRY(out.in_force, certified(root), "the epoch in force, as the node gives it");
  const cluster::Plan& plan = out.in_force->plan;
  out.epoch = plan.epoch;
  out.threshold = plan.threshold;
  out.realm = base::to_text(plan.realm);
  out.cluster = base::hex(plan.cluster);
  out.outcome = base::hex(out.in_force->outcome.digest());
  out.master = keys::ckd::to_text(out.in_force->outcome.commitments().constant().encode());
  out.members = known(plan);
  return out;
}

bool is_signed_by(const NodeView& now, std::span<const base::FixedBytes<32>> mine) {
  return now.in_force && now.in_force->approval.signers(now.in_force->plan, mine) > 0;
}

base::Status check_follows(const NodeView& now, const cluster::Plan& plan) {
  const bool follows = now.in_force ? plan.previous == now.in_force->outcome.digest() &&
                                          plan.cluster == now.in_force->plan.cluster &&
                                          plan.realm == now.in_force->plan.realm && plan.epoch == now.epoch + 1
                                    : plan.epoch == 1 && plan.previous == base::Digest32{};
  if (follows) return base::done();
  return Error{Code::conflict, "proposal of epoch " + std::to_string(plan.epoch) + ", which was not signed",
               now.in_force ? "one that follows what this node shows: epoch " + std::to_string(now.epoch) +
                                  " with the outcome " + now.outcome
                            : "one of a first epoch: this node has none yet",
               plan.epoch == 1 ? "one of a first epoch" : "one that follows the outcome " + base::hex(plan.previous),
               "Either is old, or that node lies or is behind: compare the epoch that `attestry node status` shows at "
               "other nodes, and sign at one that shows the newest, or make the proposal anew."};
}

base::Status check_signed(const NodeView& now, std::span<const base::FixedBytes<32>> mine) {
  if (!now.in_force || is_signed_by(now, mine)) return base::done();
  std::string found;
  for (const auto& one : now.in_force->approval.signatures) {
    if (is_signed_by(now, std::span{&one.key, 1})) found += (found.empty() ? "" : " and ") + base::hex(one.key);
  }
  return Error{Code::denied,
               "epoch " + std::to_string(now.epoch) + ", which this node shows as the one in force, is signed by " +
                   (mine.empty() ? "no key of yours: none was given" : "none of the keys you gave") +
                   "; nothing was sent",
               "an epoch that one of your --key files has signed: that proves who its members are",
               found.empty() ? "no signature that verifies" : "signatures of " + found,
               "Compare the members above, key by key, with what the other operators have and with what `attestry node "
               "status` shows at each node; only if they are the same, say it again with --compared."};
}

void print_plan(std::ostream& out, const NodeView& now, const cluster::Plan& plan,
                std::span<const base::FixedBytes<32>> mine) {
  const bool proved = is_signed_by(now, mine);
  if (proved) {
    out << "epoch " << now.epoch << ", in force, is signed by you\n";
  } else if (now.in_force) {
    out << "epoch " << now.epoch << ", in force, is NOT signed by "
        << (mine.empty() ? "you: no --key was given\n" : "any key you gave\n")
        << "  ATTENTION  this node alone says who its members are: compare each key with what `attestry node status` "
           "shows at that node\n";
  }
  out << "epoch " << plan.epoch << ": any " << plan.threshold << " of " << plan.members.size() << " nodes\n";
  const auto line = [&out](const char* how, const cluster::Member& one) {
    out << "  " << how << " node " << one.id << "  " << base::hex(one.signing_key) << "  " << one.address << "\n";
  };
  for (const auto& one : plan.members) line(mark(now, one, proved), one);
  for (const auto& one : now.members) {
    if (plan.find(one.id) == nullptr) line("goes     ", one);
  }
}

std::vector<base::FixedBytes<32>> strangers(const NodeView& now, const cluster::Approval& approval) {
  std::vector<base::FixedBytes<32>> out;
  out.reserve(approval.signatures.size());
  for (const auto& one : approval.signatures) {
    if (std::ranges::find(now.operators, one.key) == now.operators.end()) out.push_back(one.key);
  }
  return out;
}

base::Status check_signers(const NodeView& now, const cluster::Approval& approval) {
  std::string found, expected;
  for (const auto& one : strangers(now, approval)) found += " " + base::hex(one);
  if (found.empty()) return base::done();
  for (const auto& one : now.operators) expected += (expected.empty() ? "" : " or ") + base::hex(one);
  return Error{Code::usage, "a signature of the change", "of the key " + expected + " (node.operators)", "of" + found,
               "Give the --key of one of this node's operators: those of others do not count."};
}

}  // namespace attestry::app
