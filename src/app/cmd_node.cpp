// `attestry node status|join|reshare|retire`: operators of a threshold root (docs/how-to/run-a-threshold-root.md).
#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <chrono>
#include <optional>
#include <ostream>
#include <thread>

#include "app/cli.h"
#include "app/node_commands.h"
#include "app/node_view.h"
#include "app/operator.h"
#include "app/outputs.h"
#include "app/paths.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "base/reader.h"
#include "base/reason.h"
#include "cluster/proposal.h"
#include "crypto/hash.h"
#include "state/file.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutObject;
using base::JsonValue;
using base::Result;

namespace {

constexpr std::chrono::milliseconds kLookAgain{150};
constexpr std::size_t kMostProposal = 256 * 1024;

bool as_json(const OperatorOptions& options) { return options.format == "json"; }

void print_json(Context& context, JsonOutObject members) {
  context.out << JsonOut{std::move(members)}.compact() << "\n";
}

Result<std::int64_t> number_of(const JsonValue& object, std::string_view name) {
  TRY(const auto value, object.get(name));
  return value.integer(name, 0, INT64_MAX);
}

Result<std::string> text_of(const JsonValue& object, std::string_view name) {
  const auto value = object.find(name);
  if (!value) return std::string{};
  return value->string(name);
}

Result<NodeView> view_of(const OperatorSession& session, std::string* raw = nullptr) {
  TRY(const auto answer, session.api().call(net::Method::get, "/v1/node", {}));
  if (raw != nullptr) *raw = answer;
  return NodeView::parse(answer);
}

/// How the members answer now.
struct Seen {
  std::string json;           ///< as the node gave it
  std::string text;           ///< a line for each
  std::size_t answering = 0;  ///< in the epoch in force: the others are of no use to it
};

Result<Seen> look_at_members(const OperatorSession& session, std::uint32_t in_force) {
  TRY(const auto answer, session.api().json(net::Method::get, "/v1/node/members"));
  TRY(const auto list, answer->root().get("members"));
  Seen out{.json = std::string{list.source()}, .text = {}};
  for (auto value = list.first(); value; value = value->next()) {
    TRY(const auto id, number_of(*value, "id"));
    TRY(const auto address, text_of(*value, "address"));
    TRY(const auto answers, value->get("answers"));
    TRY(const bool there, answers.boolean("answers"));
    TRY(const auto epoch, number_of(*value, "epoch"));
    TRY(const auto reason, text_of(*value, "reason"));
    const bool counts = there && epoch == static_cast<std::int64_t>(in_force);
    out.answering += counts ? 1 : 0;
    std::string how = there ? "answers, epoch " + std::to_string(epoch) : "does not answer: " + reason;
    if (there && !counts) {
      how +=
          ": does not count. It follows by itself within seconds, or its log says why it does not (node.operators, "
          "the approvals of node.app)";
    }
    out.text.append("  node ").append(std::to_string(id)).append("  ").append(address);
    out.text.append("  ").append(how).append("\n");
  }
  return out;
}

/// Others look as if they were away, and are not.
void print_not_approved(Context& context, const NodeView& now) {
  if (now.not_approved.empty()) return;
  context.out << "NOT APPROVED HERE: " << now.not_approved << "\n"
              << "  this node (" << now.id << ") calls no other one and lets none in until its operators have approved "
              << now.app << " here\n"
              << "  what to do  At this node: attestry app create " << now.app
              << ", approve policy, approve identity; the apps of workloads, too\n";
}

void print_quorum(Context& context, const NodeView& now, std::size_t answering) {
  if (answering >= now.threshold) {
    context.out << "quorum      " << answering << " of " << now.members.size() << " answer, " << now.threshold
                << " are needed\n";
    return;
  }
  context.out
      << "QUORUM LOST: " << answering << " of " << now.members.size() << " answer, " << now.threshold << " are needed\n"
      << "  works       keys that workloads and servers have; what servers derived since they started; the log\n"
      << "  does not    derivations for others, changes of the cluster\n"
      << "  what to do  "
      << (now.not_approved.empty() ? "" : "First approve what is missing here: the others may well be there. Then: ")
      << "Start the nodes that are away: with " << now.threshold
      << " disks nothing is lost. Otherwise bring exports back: attestry node import --help\n";
}

/// The exit code is 3 where the quorum is lost: for who watches it.
Result<int> status(Context& context, const OperatorOptions& options) {
  TRY(const auto session, OperatorSession::open(options));
  std::string raw;
  TRY(const auto now, view_of(*session, &raw));
  Seen seen;
  if (now.epoch != 0) {
    TRY(seen, look_at_members(*session, now.epoch));
  }
  const bool lost = now.epoch != 0 && seen.answering < now.threshold;
  const int code = lost ? kExitUndecided : kExitOk;
  if (options.format == "json") {
    // What the node says of itself, and what it sees of the others beside it.
    raw.resize(raw.find_last_of('}'));
    context.out << raw << ",\"seen\":" << (seen.json.empty() ? "[]" : seen.json) << ",\"answering\":" << seen.answering
                << ",\"quorum_lost\":" << (lost ? "true" : "false") << "}\n";
    return code;
  }
  context.out << "node        " << now.id << " at " << now.address << "\n"
              << "signing key " << now.signing_key << "\n";
  print_not_approved(context, now);
  for (const auto& one : now.candidates) {
    context.out << "candidate   node " << one.id << "  " << base::hex(one.signing_key) << "  " << one.address << "\n";
  }
  if (now.epoch == 0) {
    context.out << "epoch       none yet\n"
                << "what to do  ";
    if (!now.joined.empty()) {
      context.out << "It has joined " << now.joined << ". There: attestry node reshare --add " << now.id
                  << " --key OPERATOR.key\n";
      return kExitOk;
    }
    context.out << "A new cluster: have the other nodes join this one (attestry node join), then: attestry "
                   "node reshare --threshold T --add ID...\n"
                << "            A cluster that is there: have this one join a node of it, and --add it there\n";
    return kExitOk;
  }
  context.out << "cluster     " << now.cluster << "\n"
              << "epoch       " << now.epoch << ", threshold " << now.threshold << " of " << now.members.size() << "\n"
              << "operators   " << now.operators.size() << ", of whom " << now.operators_needed << " sign a change\n"
              << "master key  " << now.master << "\n"
              << "share       "
              << (now.holds_share ? "held" : "none: this node is no member, or gets one with the next epoch") << "\n"
              << seen.text;
  print_quorum(context, now, seen.answering);
  return code;
}

Result<int> join(Context& context, const OperatorOptions& options, const std::string& peer) {
  TRY(const auto session, OperatorSession::open(options));
  TRY([[maybe_unused]] const auto joined,
      session->api().call(net::Method::post, "/v1/node/join", JsonOut{JsonOutObject{{"peer", peer}}}.compact()));
  TRY(const auto now, view_of(*session));
  if (as_json(options)) {
    print_json(context, {{"id", now.id}, {"joined", peer}, {"epoch", now.epoch}});
    return kExitOk;
  }
  context.out << "node " << now.id << " is known to the cluster"
              << (now.epoch == 0 ? ", which has no epoch yet" : ", which is in epoch " + std::to_string(now.epoch))
              << "\n";
  context.err << "To make it a member, at the node that it called:\n  attestry node reshare "
              << (now.epoch == 0 ? "--threshold T --add ID... --add " : "--add ") << now.id << " --key OPERATOR.key\n";
  return kExitOk;
}

struct ChangeOptions {
  OperatorOptions server;
  std::vector<std::string> add;  ///< ID or ID=KEY
  std::vector<std::uint32_t> remove;
  std::uint16_t threshold = 0;
  std::vector<std::string> keys;
  std::string from, out;
  std::int64_t wait = 120;
  bool compared = false;  ///< the operator has compared members that no key of his proves
};

/// "3" or "3=KEY". An id is what a node says of itself: where several say the same, the key decides.
Result<cluster::Member> candidate(const std::vector<cluster::Member>& known, const std::string& said,
                                  const std::string& address) {
  const auto equals = said.find('=');
  std::uint32_t id = 0;
  const std::string number = said.substr(0, equals);
  const auto [end, problem] = std::from_chars(number.data(), number.data() + number.size(), id);
  if (problem != std::errc{} || end != number.data() + number.size() || id >= cluster::kMostNodes) {
    return Error{Code::usage, "--add", "ID or ID=SIGNING_KEY", said};
  }
  std::vector<cluster::Member> fitting;
  for (const auto& one : known) {
    const bool key_fits = equals == std::string::npos || base::hex(one.signing_key) == said.substr(equals + 1);
    if (one.id == id && key_fits) fitting.push_back(one);
  }
  if (fitting.size() == 1) return fitting.front();
  if (fitting.empty()) {
    return Error{Code::not_found, "node " + said, "one that has joined", "unknown here",
                 "At that node: attestry node join " + address};
  }
  std::string keys;
  for (const auto& one : fitting) keys += " " + base::hex(one.signing_key) + " at " + one.address;
  return Error{Code::conflict, "several nodes say that they are node " + number, "one", "these:" + keys,
               "`attestry node status` at the right one shows its key: give --add " + number + "=KEY"};
}

/// No other cluster has it, as no other nodes have these keys. The same said again is the same plan, so that a first
/// epoch that was interrupted is gone on with: members store their share of one only.
base::FixedBytes<32> new_cluster(const cluster::Plan& plan) {
  base::LpWriter out;
  out.lp("attestry/threshold-cluster/1").u16(plan.threshold);
  for (const auto& one : plan.members) out.u32(one.id).raw(one.signing_key).lp(one.address);
  return crypto::sha256(out.bytes());
}

/// Who is to be in, from who is.
Result<cluster::Proposal> propose(const NodeView& now, const ChangeOptions& options) {
  cluster::Proposal out;
  TRY(out.plan.realm, base::realm_from(now.realm));
  out.plan.epoch = now.epoch + 1;
  out.plan.threshold = options.threshold != 0 ? options.threshold : now.threshold;
  if (now.epoch > 0) {
    out.plan.cluster = now.in_force->plan.cluster;
    out.plan.previous = now.in_force->outcome.digest();
  }
  std::vector<cluster::Member> known = now.candidates;
  cluster::Member self{now.id, {}, {}, {}, now.address};
  TRY_OK(base::hex_decode_into(now.signing_key, self.signing_key), "signing_key");
  known.push_back(self);
  for (const auto& one : now.members) {
    // Who has joined again, or is set up anew, is a candidate with what is new.
    if (std::ranges::find(known, one.id, &cluster::Member::id) == known.end()) known.push_back(one);
  }
  out.plan.members = now.members;
  for (const std::uint32_t id : options.remove) {
    if (std::erase_if(out.plan.members, [&](const auto& one) { return one.id == id; }) == 0) {
      return Error{Code::usage, "node " + std::to_string(id), "a member", "none"};
    }
  }
  for (const std::string& said : options.add) {
    TRY(auto one, candidate(known, said, now.address));
    const auto present = std::ranges::find(now.members, one.id, &cluster::Member::id);
    const bool other_key = present != now.members.end() && present->signing_key != one.signing_key;
    if (other_key && said.find('=') == std::string::npos) {
      return Error{Code::conflict, "node " + said + " has another key than the member with that id",
                   base::hex(present->signing_key), base::hex(one.signing_key) + " at " + one.address,
                   "If it was set up anew, `attestry node status` there shows its key: give --add " + said + "=KEY"};
    }
    std::erase_if(out.plan.members, [&](const auto& member) { return member.id == one.id; });
    out.plan.members.push_back(std::move(one));
  }
  std::ranges::sort(out.plan.members, {}, &cluster::Member::id);
  if (now.epoch == 0) out.plan.cluster = new_cluster(out.plan);
  if (out.plan.threshold < 2 || out.plan.members.size() < out.plan.threshold) {
    return Error{Code::usage, "threshold", "2 to the number of members, " + std::to_string(out.plan.members.size()),
                 std::to_string(out.plan.threshold), "Give --threshold, and --add each member of a first epoch."};
  }
  return out;
}

Result<cluster::Proposal> proposal_of(Context& context, const NodeView& now, const ChangeOptions& options) {
  if (!options.from.empty() && (!options.add.empty() || !options.remove.empty() || options.threshold != 0)) {
    return Error{Code::usage, "--from", "a proposal as it is", "--add, --remove or --threshold beside it"};
  }
  if (options.from.empty()) return propose(now, options);
  TRY(const auto bytes, read_input(context, options.from, kMostProposal));
  return cluster::Proposal::parse(std::string{base::as_text(bytes)});
}

/// Whoever says again what is done already hears that: the command before may have been interrupted, the change not.
bool is_done_already(const NodeView& now, const cluster::Plan& plan, const ChangeOptions& options) {
  return now.epoch > 0 && !options.add.empty() && plan.members == now.members && plan.threshold == now.threshold;
}

/// What it means for who may be lost, or lie: said where it is less than the number suggests (docs/models).
void print_margins(std::ostream& out, const cluster::Plan& plan) {
  const std::size_t members = plan.members.size();
  if (plan.threshold == members) {
    out << "  ATTENTION  each of these " << members << " disks is needed: one that is lost loses every key for ever\n";
  } else if (std::size_t{2} * plan.threshold > members + 1) {
    out << "  ATTENTION  " << members - plan.threshold + 1
        << " nodes, fewer than the threshold, that say they have stored "
        << "their shares and have not can destroy the keys at a change; with at least " << 2 * plan.threshold - 1
        << " members they cannot\n";
  }
}

/// Says each step as it comes.
Result<int> wait_for_change(Context& context, const OperatorSession& session, const ChangeOptions& options,
                            const cluster::Plan& plan) {
  context.err << "  (Ctrl-C ends this command and not the change: attestry node status shows how that ends)\n";
  const auto until = context.clock.steady() + std::chrono::seconds(options.wait);
  std::size_t said = 0;
  while (true) {
    TRY(const auto raw, session.api().call(net::Method::get, "/v1/node/change", {}));
    TRY(const auto document, base::JsonDocument::parse(raw), "the node's answer");
    const auto root = document->root();
    TRY(const auto steps, root.get("steps"));
    std::size_t number = 0;
    for (auto value = steps.first(); value; value = value->next(), ++number) {
      if (number < said) continue;
      TRY(const auto step, value->string("step"));
      context.err << "  " << step << "\n";
      ++said;
    }
    TRY(const auto state, text_of(root, "state"));
    if (state == "failed") {
      TRY(const auto error, text_of(root, "error"));
      TRY(const auto code, text_of(root, "code"));
      return Error{base::code_from_slug(code).value_or(Code::unavailable),
                   "the cluster was not changed: " + error,
                   {},
                   {},
                   "Mend what is named and say the same again: nothing is lost, and it is gone on with."};
    }
    if (state == "done") {
      if (options.server.format == "json") {
        context.out << raw << "\n";
        return kExitOk;
      }
      TRY(const auto epoch, number_of(root, "epoch"));
      context.out << "epoch " << epoch << " is in force\n";
      TRY(const auto not_told, root.get("not_told"));
      for (auto value = not_told.first(); value; value = value->next()) {
        const std::string id{value->source()};
        const bool stays =
            std::ranges::any_of(plan.members, [&](const cluster::Member& one) { return std::to_string(one.id) == id; });
        context.out
            << "node " << id
            << (stays ? " has not heard of it: start it; it follows by itself\n"
                      : " has not heard that it is out. Its share is worthless; a lost node stays off for ever\n");
      }
      return kExitOk;
    }
    if (context.clock.steady() >= until) {
      return Error{Code::deadline_exceeded, "the change still runs", {}, {}, "attestry node status shows its end."};
    }
    std::this_thread::sleep_for(kLookAgain);
  }
}

Result<int> change(Context& context, const ChangeOptions& options) {
  if (!options.out.empty()) TRY_OK(check_output(options.out), "--out");
  TRY(const auto session, OperatorSession::open(options.server));
  TRY(const auto now, view_of(*session));
  TRY(auto proposal, proposal_of(context, now, options));
  if (is_done_already(now, proposal.plan, options)) {
    if (as_json(options.server)) {
      print_json(context, {{"state", "done"}, {"epoch", now.epoch}, {"changed", false}});
      return kExitOk;
    }
    context.out << "nothing to change: the members of epoch " << now.epoch
                << " are these already, and the threshold is " << now.threshold << "\n";
    context.err << "For new shares of the same members: attestry node reshare, without --add\n";
    return kExitOk;
  }
  TRY_OK(check_follows(now, proposal.plan));
  std::vector<base::FixedBytes<32>> mine;
  for (const std::string& path : options.keys) {
    TRY(const auto key, read_operator_key(path));
    mine.push_back(key.public_key());
    const auto signature = cluster::Approval::sign(proposal.plan, key);
    std::erase_if(proposal.approval.signatures, [&](const auto& one) { return one.key == signature.key; });
    proposal.approval.signatures.push_back(signature);
  }
  print_plan(context.err, now, proposal.plan, mine);
  print_margins(context.err, proposal.plan);
  const auto signatures = static_cast<std::int64_t>(proposal.approval.signers(proposal.plan, now.operators));
  if (options.out.empty() && signatures < now.operators_needed) {
    TRY_OK(check_signers(now, proposal.approval));
    return Error{Code::usage, "signatures of operators", std::to_string(now.operators_needed),
                 std::to_string(signatures),
                 "Give --key for each operator whose key is here, or --out FILE for the next one to sign. Those of "
                 "others than node.operators at this node do not count."};
  }
  for (const auto& key : strangers(now, proposal.approval)) {
    context.err << "  the signature of " << base::hex(key) << " does not count: that key is none of node.operators\n";
  }
  if (!options.out.empty()) {
    const std::string text = proposal.json() + "\n";
    TRY_OK(state::replace_file(state::system_files(), options.out, base::as_bytes(text)), options.out);
    context.err << signatures << " of " << now.operators_needed
                << " signatures; the next operator:\n  attestry node reshare --from " << options.out
                << " --key OPERATOR.key\n";
    if (as_json(options.server)) {
      print_json(context, {{"proposal", options.out},
                           {"epoch", proposal.plan.epoch},
                           {"signatures", signatures},
                           {"operators_needed", now.operators_needed}});
    }
    return kExitOk;
  }
  if (!options.compared) TRY_OK(check_signed(now, mine));
  TRY([[maybe_unused]] const auto begun, session->api().call(net::Method::post, "/v1/node/change", proposal.json()));
  return wait_for_change(context, *session, options, proposal.plan);
}

constexpr const char* kFooter =
    "A new cluster, at each node and then at one of them:\n"
    "  attestry node init DIR --id 0 --listen 10.0.0.1:9447 --operator HEX --attestation URL\n"
    "  attestry node run DIR\n"
    "  attestry node join 10.0.0.1:9447\n"
    "  attestry node reshare --threshold 4 --add 0 1 2 3 4 5 6 --key OPERATOR.key\n"
    "docs/how-to/run-a-threshold-root.md";

void add_change_options(CLI::App& command, ChangeOptions& options) {
  add_operator_options(command, options.server, false);
  command.add_option("--threshold", options.threshold, "so many nodes derive a key; as before when it is not given");
  command.add_option("--key", options.keys, "operator's key file (attestry operator keygen); again for each operator")
      ->allow_extra_args(false);
  command.add_option("--out", options.out, "write the signed proposal there and change nothing: for the next operator");
  command.add_flag("--compared", options.compared,
                   "send it although no --key signed the epoch in force: you have compared the members' keys with what "
                   "the other operators have");
  command.add_option("--wait", options.wait, "seconds until it is to be done")->capture_default_str();
}

}  // namespace

void add_node_format(CLI::App& command, std::string& format) {
  command.add_option("--format", format, "text or json")->check(CLI::IsMember({"text", "json"}))->capture_default_str();
}

void add_node(CLI::App& app, Context& context) {
  auto* group =
      app.add_subcommand("node", "A threshold root: nodes that derive keys together, none of which has the key");
  group->require_subcommand(1);
  group->footer(kFooter);
  add_node_setup(*group, context);
  {
    auto options = std::make_shared<OperatorOptions>();
    auto* command = group->add_subcommand("status", "This node, the epoch in force, and which nodes answer");
    add_operator_options(*command, *options, false);
    command->callback([&context, options] { finish(context, [&] { return status(context, *options); }); });
  }
  {
    auto options = std::make_shared<OperatorOptions>();
    auto peer = std::make_shared<std::string>();
    auto* command = group->add_subcommand("join", "Make this node known to a cluster: both ends show their evidence");
    add_operator_options(*command, *options, false);
    command->add_option("peer", *peer, "HOST:PORT of a node of the cluster (its node.address)")->required();
    command->callback([&context, options, peer] { finish(context, [&] { return join(context, *options, *peer); }); });
  }
  {
    auto options = std::make_shared<ChangeOptions>();
    auto* command = group->add_subcommand(
        "reshare", "The next epoch: other members or threshold, or new shares for the same ones; derived keys stay");
    add_change_options(*command, *options);
    command->add_option("--add", options->add,
                        "ids of nodes that have joined; ID=SIGNING_KEY where several say the same id");
    command->add_option("--remove", options->remove, "ids of members that are to go");
    command->add_option("--from", options->from, "a proposal that another operator has signed");
    command->callback([&context, options] { finish(context, [&] { return change(context, *options); }); });
  }
  {
    auto options = std::make_shared<ChangeOptions>();
    auto* command =
        group->add_subcommand("retire", "The next epoch without these nodes: their shares become worthless");
    add_change_options(*command, *options);
    command->add_option("ids", options->remove, "ids of members that are to go")->required();
    command->callback([&context, options] { finish(context, [&] { return change(context, *options); }); });
  }
  add_node_derive(*group, context);
  add_node_recovery(*group, context);
}

}  // namespace attestry::app
