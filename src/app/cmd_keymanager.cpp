// `attestry keymanager`: the contract of a key manager, for its owner and for the hosts of its members: deploy it, say
// what may run, put keys in force, bring what servers have signed. Only `audit` judges evidence.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <ostream>

#include "app/keymanager_commands.h"
#include "app/registry_contracts.h"
#include "app/typed_text.h"
#include "base/encoding.h"
#include "chain/blob_data.h"
#include "chain/keymanager_abi.h"
#include "crypto/hash.h"
#include "keys/keymanager_dialects.h"

namespace attestry::app {
namespace {

using base::Bytes;
using base::Code;
using base::Error;
using base::Result;
namespace abi = chain::keymanager;

/// Of call data: more costs too much gas for one block of most chains.
constexpr std::size_t kMaxCallEvidence = 64u << 10;
constexpr std::size_t kSignatureBytes = 65;

struct Options : KeyManagerOptions {
  std::string subject;
  std::string signature;
  std::string evidence;
  std::string carrier = "calldata";
  std::string sidecar = "cells";
  std::string box_key;
  std::string fmspc;
  std::string measurement;
  std::string response;
  std::vector<std::string> statuses{"UpToDate"};
  std::uint32_t min_evaluation = 0;
  std::string rootfs, mrtd, rtmr0, rtmr3;
};
using Shared = std::shared_ptr<Options>;
using Command = Result<int> (*)(Context&, const Options&);

std::string text_of(const curves::Address& address) { return curves::address_checksum_text(address); }

// -- what a person typed

Result<Bytes> typed_signature(const std::string& text) {
  TRY(Bytes out, base::hex_decode(std::string_view{text}.substr(text.starts_with("0x") ? 2 : 0)), "--signature");
  if (out.size() == kSignatureBytes && (out[0] == 27 || out[0] == 28)) return out;
  return Error{Code::usage, "--signature is not one of a key manager", "65 bytes: v (1b or 1c), r, s",
               std::to_string(out.size()) + " bytes", "Take it as the server printed it; r, s, v is another order."};
}

Result<Bytes> typed_bytes(const std::string& text, std::size_t size, const char* what) {
  TRY(Bytes out, base::hex_decode(std::string_view{text}.substr(text.starts_with("0x") ? 2 : 0)), what);
  if (size != 0 && out.size() != size) {
    return Error{Code::usage, what, std::to_string(size) + " bytes in hex", std::to_string(out.size()) + " bytes"};
  }
  return out;
}

/// 6 bytes, or the 16 with zeros behind them that the contract has.
Result<abi::FmspcWord> typed_fmspc(const std::string& text) {
  TRY(const Bytes bytes, typed_bytes(text, 0, "FMSPC"));
  constexpr std::size_t kFmspc = 6;
  const bool good = (bytes.size() == kFmspc || bytes.size() == std::tuple_size_v<abi::FmspcWord>) &&
                    std::all_of(bytes.begin() + kFmspc, bytes.end(), [](std::uint8_t b) { return b == 0; });
  if (!good) return Error{Code::usage, "FMSPC", "6 bytes in hex", text};
  abi::FmspcWord out{};
  std::ranges::copy(bytes, out.begin());
  return out;
}

Result<std::uint16_t> typed_statuses(const std::vector<std::string>& names) {
  unsigned out = 0;
  for (const std::string& name : names) {
    const auto found = std::ranges::find(abi::kTcbStatusNames, name);
    if (found == abi::kTcbStatusNames.end()) {
      return Error{Code::usage, "--status: no such TCB status",
                   "UpToDate, SWHardeningNeeded, ConfigurationNeeded, ConfigurationAndSWHardeningNeeded, OutOfDate or "
                   "OutOfDateConfigurationNeeded",
                   name, name == "Revoked" ? "A revoked platform can never be allowed." : ""};
    }
    out |= 1u << (found - abi::kTcbStatusNames.begin());
  }
  return static_cast<std::uint16_t>(out);
}

/// Evidence as it travels: its hash and either its bytes or its blob.
struct Carried {
  chain::Word hash{};
  Bytes in_call{};
  std::optional<chain::BlobSidecar> blob{};
  const chain::BlobSidecar* sidecar() const { return blob ? &*blob : nullptr; }
  void say(Facts& facts) const {
    facts.emplace_back("evidence", "SHA-256 " + base::hex(hash));
    if (blob) facts.emplace_back("blob", "0x" + base::hex(blob->versioned_hash) + ", kept by nodes for about 18 days");
  }
};

Result<Carried> carry(Context& context, const Options& options) {
  const bool as_blob = options.carrier == "blob";
  const std::size_t most = as_blob ? chain::kBlobDataBytes : kMaxCallEvidence;
  TRY(const Bytes bytes, read_input(context, options.evidence, most), "--evidence");
  if (bytes.empty() || bytes.size() > most) {
    return Error{Code::too_large, "--evidence " + options.evidence, "1 to " + std::to_string(most) + " bytes",
                 std::to_string(bytes.size()) + " bytes"};
  }
  Carried out{.hash = crypto::sha256(bytes)};
  if (!as_blob) {
    out.in_call = bytes;
    return out;
  }
  if (!options.network.empty()) {
    TRY(const NetworkProfile profile, network_profile(options.network));
    if (!profile.blobs) {
      return Error{Code::usage, "--carrier blob: " + options.network + " takes no blobs from its users", "calldata"};
    }
  }
  const auto form = options.sidecar == "cells" ? chain::SidecarForm::cell_proofs : chain::SidecarForm::blob_proof;
  TRY(out.blob, chain::make_sidecar(bytes, form));
  return out;
}

template <class... A>
Result<int> call(Context& context, const Options& options,
                 const chain::registry::Function<chain::registry::Nothing, A...>& function, Facts facts,
                 const Carried* carried, const Effect& effect, const std::type_identity_t<A>&... arguments) {
  TRY(const auto session, ChainSession::open(options.chain, context));
  base::JsonOutObject extra;
  if (carried != nullptr) {
    carried->say(facts);
    extra.emplace_back("evidence_sha256", base::hex(carried->hash));
    if (carried->blob) extra.emplace_back("blob", chain::hex_data(carried->blob->versioned_hash));
  }
  return session->send_and_print(function(arguments...), function.signature, std::move(facts), effect, std::move(extra),
                                 carried != nullptr ? carried->sidecar() : nullptr);
}

Effect is_master(const curves::Address& key) { return Effect::of(abi::kXPub, key, "xPub() is " + text_of(key)); }

Effect has_come_to(const curves::Address& member, abi::Membership membership) {
  return Effect::of(abi::kRequested, membership,
                    "requested(" + text_of(member) + ") is " + std::string{abi::name_of(membership)}, member);
}

Effect is_listed(const chain::registry::Function<bool, chain::Word>& list, const chain::Word& entry, bool allowed) {
  return Effect::of(list, allowed, std::string{allowed ? "on the list: 0x" : "not on the list: 0x"} + base::hex(entry),
                    entry);
}

Effect has_rule(const abi::FmspcWord& fmspc, std::uint32_t least, std::uint16_t statuses) {
  return Effect::of(abi::kAllowedTcbs, std::tuple{least, statuses},
                    "allowed_tcbs is " + std::to_string(least) + ", " + std::to_string(statuses), fmspc);
}

/// Nothing else on the chain keeps it.
Effect has_posted(const curves::Address& subject, const Carried& carried) {
  const chain::Word blob = carried.blob ? carried.blob->versioned_hash : chain::Word{};
  return {.says = "an event EvidencePosted about " + text_of(subject) + " with SHA-256 " + base::hex(carried.hash),
          .event = Effect::Event{
              .topic = abi::topic<abi::EvidencePosted>(), .is = [subject, blob, hash = carried.hash](const auto& log) {
                const auto event = abi::read(log);
                const auto* posted =
                    event.ok() && event->has_value() ? std::get_if<abi::EvidencePosted>(&**event) : nullptr;
                return posted != nullptr && posted->subject == subject && posted->evidence_hash == hash &&
                       posted->blob_hash == blob;
              }}};
}

/// The box is in the event alone, from where the newcomer's host and auditors take it.
Effect has_onboarded(const abi::Onboarded& brought) {
  Effect out = has_come_to(brought.member, abi::Membership::onboarded);
  out.says +=
      ", and its sealed key, SHA-256 " + base::hex(crypto::sha256(brought.response)) + ", is in an event Onboarded";
  out.event = Effect::Event{.topic = abi::topic<abi::Onboarded>(), .is = [brought](const auto& log) {
                              const auto event = abi::read(log);
                              const auto* found =
                                  event.ok() && event->has_value() ? std::get_if<abi::Onboarded>(&**event) : nullptr;
                              return found != nullptr && *found == brought;
                            }};
  return out;
}

// -- the contract

Result<int> deploy(Context& context, const Options& options) {
  TRY(const auto code, contract_code(ContractKind::key_manager));
  TRY(const auto session, ChainSession::open(options.chain, context));
  TRY(const Sent sent, session->send(std::nullopt, code.creation,
                                     {{"creates", "key manager contract, which belongs to the sender"},
                                      {"code", std::to_string(code.creation.size()) + " bytes, SHA-256 " +
                                                   base::hex(crypto::sha256(code.creation))}}));
  base::JsonOutObject extra{{"kind", "key manager"}};
  std::string address;
  if (sent.receipt) {
    if (!sent.receipt->contract) return Error{Code::unavailable, "the receipt names no contract"};
    TRY(const Bytes found, session->code(*sent.receipt->contract, sent.receipt->block), "deployed code");
    if (!base::equal(found, code.deployed)) {
      return Error{Code::denied, "what stands on the chain is not what was sent",
                   base::hex(crypto::sha256(code.deployed)), base::hex(crypto::sha256(found)),
                   "Do not use this contract; ask another endpoint."};
    }
    address = text_of(*sent.receipt->contract);
    extra.emplace_back("contract", address);
    extra.emplace_back("code_verified", true);
  }
  session->print_sent(sent, std::move(extra));
  if (!address.empty() && options.chain.format == "text") {
    context.out << "contract " << address << ", its code is this program's\n"
                << "next: allow what may run (attestry keymanager allow), then bootstrap\n";
  }
  return kExitOk;
}

Result<int> show(Context& context, const Options& options) {
  TRY(const auto session, ChainSession::open(options.chain, context));
  TRY(const auto at, session->find_contract());
  TRY(const auto code, contract_code(ContractKind::key_manager));
  TRY(const Bytes found, session->code(session->contract(), at), "code");
  const curves::Address& contract = session->contract();
  const std::vector<chain::Call> calls{abi::kXPub.at(contract), abi::kEpoch.at(contract),
                                       chain::registry::kOwner.at(contract), chain::registry::kPaused.at(contract),
                                       abi::kUnboundOnboarding.at(contract)};
  TRY(const auto outcomes, session->reader().call(at, calls, session->deadline()));
  TRY(const auto key, abi::kXPub.result(outcomes[0]));
  TRY(const auto epoch, abi::kEpoch.result(outcomes[1]));
  TRY(const auto owner, chain::registry::kOwner.result(outcomes[2]));
  TRY(const bool paused, chain::registry::kPaused.result(outcomes[3]));
  TRY(const bool unbound, abi::kUnboundOnboarding.result(outcomes[4]));
  const bool own = base::equal(found, code.deployed);
  if (options.chain.format == "json") {
    context.out << base::JsonOut{base::JsonOutObject{{"contract", text_of(contract)},
                                                     {"block", at.number},
                                                     {"code_verified", own},
                                                     {"xPub", text_of(key)},
                                                     {"epoch", std::uint64_t{epoch}},
                                                     {"owner", text_of(owner)},
                                                     {"frozen", paused},
                                                     {"unbound_onboarding", unbound}}}
                       .pretty()
                << "\n";
    return kExitOk;
  }
  context.out << "contract   " << text_of(contract) << " at block " << at.number << "\n"
              << "code       " << (own ? "this program's" : "another one") << "\n"
              << "master key " << (epoch == 0 ? "none yet" : text_of(key) + ", epoch " + std::to_string(epoch)) << "\n"
              << "owner      " << text_of(owner) << "\n"
              << "frozen     " << (paused ? "yes" : "no") << "\n";
  if (unbound) context.out << "warning    onboardings of the known generations count; their digests name no contract\n";
  return kExitOk;
}

Result<int> bootstrap(Context& context, const Options& options) {
  TRY(const auto key, typed_address(options.subject), "KEY");
  Facts facts{{"master key", text_of(key)}};
  const Effect effect = is_master(key);
  if (options.evidence.empty()) {
    facts.emplace_back("note", "without evidence nobody can audit where this key is");
    return call(context, options, abi::kBootstrap, std::move(facts), nullptr, effect, key);
  }
  TRY(const Carried carried, carry(context, options));
  return call(context, options, abi::kBootstrapWithEvidence, std::move(facts), &carried, effect, key, carried.hash,
              carried.in_call);
}

Result<int> rotate(Context& context, const Options& options) {
  TRY(const auto key, typed_address(options.subject), "KEY");
  TRY(const Bytes signature, typed_signature(options.signature));
  TRY(const Carried carried, carry(context, options));
  const Effect effect = is_master(key);
  return call(context, options, abi::kRotate,
              {{"new master key", text_of(key)}, {"note", "every member has to join again"}}, &carried, effect, key,
              signature, carried.hash, carried.in_call);
}

Result<int> post_evidence(Context& context, const Options& options) {
  TRY(const auto subject, typed_address(options.subject), "SUBJECT");
  TRY(const Carried carried, carry(context, options));
  return call(context, options, abi::kPostEvidence, {{"about", text_of(subject)}}, &carried,
              has_posted(subject, carried), subject, carried.hash, carried.in_call);
}

// -- members

Result<int> join(Context& context, const Options& options) {
  TRY(const auto member, typed_address(options.subject), "MEMBER");
  TRY(const auto box_key, parse_word(options.box_key, "--box-key"));
  TRY(const Bytes signature, typed_signature(options.signature));
  TRY(const Carried carried, carry(context, options));
  const Effect effect = has_come_to(member, abi::Membership::requested);
  return call(context, options, abi::kJoin, {{"newcomer", text_of(member)}}, &carried, effect, member, box_key,
              signature, carried.hash, carried.in_call);
}

Result<int> onboard(Context& context, const Options& options) {
  TRY(const auto member, typed_address(options.subject), "MEMBER");
  TRY(const auto fmspc, typed_fmspc(options.fmspc));
  TRY(const auto measurement, parse_word(options.measurement, "--measurement"));
  TRY(const Bytes response, typed_bytes(options.response, 0, "--response"));
  TRY(const Bytes signature, typed_signature(options.signature));
  const Effect effect = has_onboarded({member, fmspc, measurement, response});
  TRY(const int code,
      call(context, options, abi::kOnboard, {{"newcomer", text_of(member)}, {"measurement", options.measurement}},
           nullptr, effect, member, fmspc, measurement, response, signature));
  if (options.chain.format == "text" && !options.chain.dry_run) {
    context.out << "next: at the newcomer's server, POST /register/" << base::hex(response) << "\n";
  }
  return code;
}

Result<int> deregister(Context& context, const Options& options) {
  TRY(const auto member, typed_address(options.subject), "MEMBER");
  TRY(const auto session, ChainSession::open(options.chain, context));
  TRY(const auto membership, session->ask(abi::kRequested, member));
  if (membership == abi::Membership::rejected) return session->print_unchanged("has sent it away already");
  Facts facts{{"member", text_of(member)},
              {"note", "for good; it keeps the key that it has, only a rotation makes that worthless"}};
  if (membership == abi::Membership::not_yet) facts.emplace_back("and", "it has never asked: compare the address");
  const Effect effect = has_come_to(member, abi::Membership::rejected);
  return session->send_and_print(abi::kDeregister(member), abi::kDeregister.signature, std::move(facts), effect);
}

Result<int> resign(Context& context, const Options& options) {
  TRY(const auto member, typed_address(options.subject), "MEMBER");
  TRY(const Bytes signature, typed_signature(options.signature));
  const Effect effect = has_come_to(member, abi::Membership::rejected);
  return call(context, options, abi::kResign, {{"member", text_of(member)}}, nullptr, effect, member, signature);
}

// -- lists

Result<int> set_mrtd(Context& context, const Options& options, bool allowed) {
  TRY(const Bytes mrtd, typed_bytes(options.subject, 48, "MRTD"));
  const chain::Word hash = crypto::sha256(mrtd);
  const Effect effect = is_listed(abi::kAllowedMrtds, hash, allowed);
  return call(context, options, abi::kAllowMrtd, {{"MRTD", base::hex(mrtd)}, {"on the list", base::hex(hash)}}, nullptr,
              effect, hash, allowed);
}
Result<int> set_mrenclave(Context& context, const Options& options, bool allowed) {
  TRY(const auto word, parse_word(options.subject, "MRENCLAVE"));
  const Effect effect = is_listed(abi::kAllowedMrenclaves, word, allowed);
  return call(context, options, abi::kAllowMrenclave, {{"MRENCLAVE", base::hex(word)}}, nullptr, effect, word, allowed);
}
/// Of 48 bytes, which typed_bytes() has seen to.
base::FixedBytes<48> register_of(const Bytes& typed) {
  base::FixedBytes<48> out{};
  std::ranges::copy(typed, out.begin());
  return out;
}
Result<int> set_machine(Context& context, const Options& options, bool allowed) {
  TRY(const auto rootfs, parse_word(options.rootfs, "--rootfs"));
  TRY(const Bytes mrtd, typed_bytes(options.mrtd, 48, "--mrtd"));
  TRY(const Bytes rtmr0, typed_bytes(options.rtmr0, 48, "--rtmr0"));
  TRY(const Bytes rtmr3, typed_bytes(options.rtmr3, 48, "--rtmr3"));
  // Not get_mrtd(): a frozen contract does not answer that.
  const auto machine =
      keys::replicatoor::machine_key(rootfs, register_of(mrtd), register_of(rtmr0), register_of(rtmr3));
  return call(context, options, abi::kSetMrtd, {{"root file system", base::hex(rootfs)}, {"MRTD", base::hex(mrtd)}},
              nullptr, is_listed(abi::kRtmrs, machine, allowed), rootfs, mrtd, rtmr0, rtmr3, allowed);
}
template <Result<int> (*Set)(Context&, const Options&, bool), bool Allowed>
Result<int> listed(Context& context, const Options& options) {
  return Set(context, options, Allowed);
}

Result<int> allow_tcb(Context& context, const Options& options) {
  TRY(const auto fmspc, typed_fmspc(options.subject));
  TRY(const auto statuses, typed_statuses(options.statuses));
  std::string names;
  for (const auto& name : options.statuses) names += (names.empty() ? "" : ", ") + name;
  const Effect effect = has_rule(fmspc, options.min_evaluation, statuses);
  return call(context, options, abi::kAllowTcb,
              {{"FMSPC", options.subject},
               {"TCB status", names},
               {"at least", "TCB evaluation " + std::to_string(options.min_evaluation)}},
              nullptr, effect, fmspc, options.min_evaluation, statuses);
}
Result<int> disallow_tcb(Context& context, const Options& options) {
  TRY(const auto fmspc, typed_fmspc(options.subject));
  const Effect effect = has_rule(fmspc, 0, 0);
  return call(context, options, abi::kAllowTcb, {{"FMSPC", options.subject}, {"TCB status", "none"}}, nullptr, effect,
              fmspc, 0u, std::uint16_t{0});
}

Result<int> profiles(Context& context, const std::string& format) {
  if (format == "json") {
    base::JsonOutArray out;
    for (const auto& one : network_profiles()) {
      out.emplace_back(base::JsonOutObject{{"name", std::string{one.name}},
                                           {"chain_id", one.chain_id},
                                           {"finality", std::string{one.finality}},
                                           {"blobs", one.blobs},
                                           {"rpc", std::string{one.rpc}},
                                           {"ended", one.ended},
                                           {"note", std::string{one.note}}});
    }
    context.out << base::JsonOut{std::move(out)}.pretty() << "\n";
    return kExitOk;
  }
  const auto pad = [](const std::string& text, std::size_t width) {
    return text + std::string(text.size() < width ? width - text.size() : 1, ' ');
  };
  context.out << pad("NETWORK", 14) << pad("CHAIN", 10) << pad("FINALITY", 11) << pad("BLOBS", 7) << "\n";
  for (const auto& one : network_profiles()) {
    context.out << pad(std::string{one.name}, 14) << pad(std::to_string(one.chain_id), 10)
                << pad(std::string{one.finality}, 11)
                << pad(one.ended   ? "ended"
                       : one.blobs ? "yes"
                                   : "no",
                       7)
                << one.note << "\n";
  }
  return kExitOk;
}

// -- the command line

CLI::App& group_of(CLI::App& parent, const char* name, const char* help) {
  auto* group = parent.add_subcommand(name, help);
  group->require_subcommand(1);
  return *group;
}

Shared add(CLI::App& parent, Context& context, const char* name, const char* help, Command command, bool sends = true,
           bool contract = true) {
  auto options = std::make_shared<Options>();
  auto* sub = parent.add_subcommand(name, help);
  add_keymanager_chain(*sub, *options);
  if (contract) add_contract_option(*sub, options->chain);
  if (sends) add_sending_options(*sub, options->chain);
  sub->callback([options, command, &context] {
    finish(context, [&]() -> Result<int> {
      TRY_OK(resolve_network(*options));
      return command(context, *options);
    });
  });
  return options;
}

Shared with_subject(CLI::App& parent, Context& context, const char* name, const char* help, Command command,
                    const char* subject, const char* about) {
  auto options = add(parent, context, name, help, command);
  parent.get_subcommand(name)->add_option(subject, options->subject, about)->required();
  return options;
}

void add_evidence(CLI::App& command, Options& options, bool required = true) {
  command.add_option("--evidence", options.evidence, "file with the quote, or -")
      ->type_name("FILE")
      ->required(required);
  command.add_option("--carrier", options.carrier, "calldata (kept for ever) or blob (cheaper, kept about 18 days)")
      ->check(CLI::IsMember({"calldata", "blob"}))
      ->capture_default_str();
  command
      .add_option("--sidecar", options.sidecar, "proofs of a blob: cells (EIP-7594), or blob before Fusaka (EIP-4844)")
      ->check(CLI::IsMember({"cells", "blob"}))
      ->capture_default_str();
}

void add_signature(CLI::App& command, Options& options, const char* about) {
  command.add_option("--signature", options.signature, about)->type_name("HEX")->required();
}

void add_key(CLI::App& group, Context& context) {
  auto first = with_subject(group, context, "bootstrap", "Put the first master key in force (owner)", bootstrap, "KEY",
                            "its address, as the server says");
  add_evidence(*group.get_subcommand("bootstrap"), *first, false);
  auto next = with_subject(group, context, "rotate", "Put another master key in force (owner)", rotate, "KEY",
                           "its address, as the server says");
  add_evidence(*group.get_subcommand("rotate"), *next);
  add_signature(*group.get_subcommand("rotate"), *next, "of the new key over the rotation: v, r, s");
  auto evidence = with_subject(group, context, "post-evidence", "Leave evidence for auditors (anybody)", post_evidence,
                               "SUBJECT", "address that it is about");
  add_evidence(*group.get_subcommand("post-evidence"), *evidence);
}

void add_members(CLI::App& group, Context& context) {
  auto joining = with_subject(group, context, "join", "Bring a newcomer's request (its host, who pays)", join, "MEMBER",
                              "its address");
  auto* join_command = group.get_subcommand("join");
  join_command->add_option("--box-key", joining->box_key, "its X25519 key, 64 hex digits")->required();
  add_signature(*join_command, *joining, "of the newcomer over the request: v, r, s");
  add_evidence(*join_command, *joining);
  auto giving = with_subject(group, context, "onboard", "Bring a newcomer the sealed master key (anybody)", onboard,
                             "MEMBER", "its address");
  auto* onboard_command = group.get_subcommand("onboard");
  onboard_command->add_option("--fmspc", giving->fmspc, "family of its platform")->required();
  onboard_command->add_option("--measurement", giving->measurement, "what it runs, as listed: 64 hex digits")
      ->required();
  onboard_command->add_option("--response", giving->response, "the sealed box, hex")->required();
  add_signature(*onboard_command, *giving, "of the master key over the answer: v, r, s");
  with_subject(group, context, "deregister", "Send a member away for good (owner)", deregister, "MEMBER",
               "its address");
  auto going = with_subject(group, context, "resign", "Bring a member's own farewell (anybody)", resign, "MEMBER",
                            "its address");
  add_signature(*group.get_subcommand("resign"), *going, "of the member: v, r, s");
}

void add_lists(CLI::App& group, Context& context) {
  auto& allow = group_of(group, "allow", "Put on the lists of what may hold the master key (owner)");
  auto& disallow = group_of(group, "disallow", "Take off those lists (owner)");
  with_subject(allow, context, "mrtd", "A TDX machine", listed<set_mrtd, true>, "MRTD", "96 hex digits");
  with_subject(disallow, context, "mrtd", "A TDX machine", listed<set_mrtd, false>, "MRTD", "96 hex digits");
  with_subject(allow, context, "mrenclave", "An SGX enclave", listed<set_mrenclave, true>, "MRENCLAVE",
               "64 hex digits");
  with_subject(disallow, context, "mrenclave", "An SGX enclave", listed<set_mrenclave, false>, "MRENCLAVE",
               "64 hex digits");
  for (const bool allowed : {true, false}) {
    auto& parent = allowed ? allow : disallow;
    auto options = add(parent, context, "machine",
                       "A TDX machine by MRTD, RTMR0 and RTMR3 (not its kernel), as the replicatoor has it",
                       allowed ? listed<set_machine, true> : listed<set_machine, false>);
    auto* command = parent.get_subcommand("machine");
    command->add_option("--rootfs", options->rootfs, "hash of the root file system, 64 hex digits")->required();
    command->add_option("--mrtd", options->mrtd, "96 hex digits")->required();
    command->add_option("--rtmr0", options->rtmr0, "96 hex digits")->required();
    command->add_option("--rtmr3", options->rtmr3, "96 hex digits")->required();
  }
  auto rule = with_subject(allow, context, "tcb", "A family of platforms, patched as said", allow_tcb, "FMSPC",
                           "12 hex digits");
  auto* tcb = allow.get_subcommand("tcb");
  tcb->add_option("--status", rule->statuses, "TCB status that is taken; again for each further one")
      ->allow_extra_args(false)
      ->capture_default_str();
  tcb->add_option("--min-evaluation", rule->min_evaluation, "least tcbEvaluationDataNumber of the TCB info")
      ->capture_default_str();
  with_subject(disallow, context, "tcb", "A family of platforms", disallow_tcb, "FMSPC", "12 hex digits");
}

constexpr const char* kFooter =
    "Examples:\n"
    "  attestry keymanager deploy --network sepolia --rpc URL --key owner.key\n"
    "  attestry keymanager allow mrtd MRTD --contract ADDRESS --network sepolia --rpc URL --key owner.key\n"
    "  attestry keymanager bootstrap KEY --evidence quote.bin --contract ADDRESS --network sepolia --rpc URL --key "
    "owner.key\n"
    "  attestry keymanager audit ADDRESS --network sepolia --rpc URL --save folder\n"
    "Roles, ownership and the brake are those of every contract of ours: attestry registry grant, owner, freeze.";

}  // namespace

void add_keymanager_chain(CLI::App& command, KeyManagerOptions& options) {
  options.chain.rpc.clear();
  add_chain_options(command, options.chain);
  command.get_option("--chain-id")->required(false);
  command.get_option("--rpc")->default_str("");
  command.add_option("--network", options.network, "a network by name (attestry keymanager profiles)")
      ->envname("ATTESTRY_NETWORK");
  command.add_option("--finality", options.finality, "which blocks count: finalized, safe or depth:N")
      ->default_str("what the network says, else depth:0");
}

base::Status resolve_network(KeyManagerOptions& options) {
  ChainOptions& chain = options.chain;
  std::string finality = "depth:0";
  if (!options.network.empty()) {
    TRY(const NetworkProfile profile, network_profile(options.network));
    if (chain.chain_id != 0 && chain.chain_id != profile.chain_id) {
      return Error{Code::usage, "--network and --chain-id name different chains",
                   std::to_string(profile.chain_id) + " for " + options.network, std::to_string(chain.chain_id),
                   "Give one of them."};
    }
    chain.chain_id = profile.chain_id;
    finality = profile.finality;
    if (chain.rpc.empty() && !profile.rpc.empty()) chain.rpc = {std::string{profile.rpc}};
  }
  if (chain.chain_id == 0) {
    return Error{Code::usage,
                 "which chain?",
                 "--network NAME or --chain-id N",
                 {},
                 "`attestry keymanager profiles` lists the names."};
  }
  if (chain.rpc.empty()) {
    return Error{Code::usage,
                 "which endpoint?",
                 "--rpc URL",
                 {},
                 "Give one, or better several that do not belong together; more than half must agree."};
  }
  chain.finality = options.finality.empty() ? finality : options.finality;
  return base::done();
}

void add_keymanager(CLI::App& app, Context& context) {
  auto& group = group_of(app, "keymanager", "The contract of a key manager: deploy, govern, audit");
  group.footer(kFooter);
  add(group, context, "deploy", "Create a contract and compare its code on the chain", deploy, true, false);
  add(group, context, "show", "The master key in force, owner and brake", show, false);
  auto format = std::make_shared<std::string>("text");
  auto* listing = group.add_subcommand("profiles", "Networks by name");
  listing->add_option("--format", *format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  listing->callback([format, &context] { finish(context, [&] { return profiles(context, *format); }); });
  add_key(group, context);
  add_members(group, context);
  add_lists(group, context);
  add_keymanager_audit(group, context);
}

}  // namespace attestry::app
