// `attestry chain`: what the endpoints of a chain say, each by itself and together. For whoever is woken up by "chain:
// no quorum", and for scripts that send a transaction.
#include <CLI/CLI.hpp>

#include <istream>
#include <ostream>

#include "app/cli.h"
#include "app/tables.h"
#include "app/typed_text.h"
#include "base/encoding.h"
#include "base/json_writer.h"
#include "chain/quorum.h"
#include "chain/transaction.h"
#include "net/client.h"

namespace attestry::app {
namespace {

using base::Code;
using base::Error;
using base::Result;
using chain::Address;
using chain::Word;

constexpr std::size_t kMaxFile = 1024;
constexpr std::size_t kDigits = 12;

struct Options {
  std::vector<std::string> rpc;
  std::string ca;
  std::uint64_t chain_id = 0;
  std::size_t quorum = 0;
  std::string finality = "finalized";
  std::int64_t max_head_age = 120;
  std::int64_t max_final_age = 3600;
  std::int64_t seconds = 10;
  std::string format = "text";
  std::string to;
  std::string data;
  std::string key;
  std::vector<std::string> slots;
  bool trust_events = false;
};
using Shared = std::shared_ptr<Options>;

base::Deadline deadline_of(Context& context, const Options& options) {
  return context.clock.steady() + std::chrono::seconds(options.seconds);
}

Result<base::Bytes> hex_argument(std::string_view text, std::string_view name) {
  if (text.starts_with("0x")) text.remove_prefix(2);
  auto bytes = base::hex_decode(text);
  if (bytes.ok()) return bytes;
  return Error{.code = Code::usage, .what = std::string{name} + ": not hex digits"};
}

/// The chain is known by name or, for a look around, by what the first endpoint says.
Result<std::uint64_t> chain_id_of(Context& context, const Options& options, net::HttpTransport& http) {
  if (options.chain_id != 0) return options.chain_id;
  Error last{Code::usage, "no endpoint"};
  for (const auto& url : options.rpc) {
    chain::Endpoint endpoint{http, {.url = url}};
    const auto answers = endpoint.ask({"eth_chainId", {}}, deadline_of(context, options));
    if (answers.ok()) return chain::parse_quantity(*answers->answers.front().result, "eth_chainId");
    last = answers.error();
  }
  return last;
}

/// A reader with what it needs.
struct Session {
  std::unique_ptr<net::HttpClient> http;
  std::unique_ptr<chain::QuorumReader> reader;
};

Result<Session> open(Context& context, const Options& options) {
  Session session;
  TRY(session.http, net::HttpClient::make({.ca_file = options.ca}), "--ca");
  chain::QuorumOptions quorum;
  TRY(quorum.chain_id, chain_id_of(context, options, *session.http));
  for (const auto& url : options.rpc) quorum.endpoints.push_back({.url = url});
  quorum.quorum = options.quorum;
  TRY(quorum.finality, chain::Finality::parse(options.finality), "--finality");
  quorum.max_head_age = options.max_head_age;
  quorum.max_final_age = options.max_final_age;
  quorum.round_timeout = std::chrono::milliseconds(std::min<std::int64_t>(options.seconds * 1000, 5000));
  quorum.clock = &context.clock;
  TRY(session.reader, chain::QuorumReader::make(*session.http, std::move(quorum)));
  return session;
}

base::JsonOut block_json(const std::optional<chain::BlockRef>& block) {
  if (!block) return nullptr;
  return base::JsonOutObject{
      {"number", block->number}, {"hash", chain::hex_data(block->hash)}, {"time", base::to_rfc3339(block->time)}};
}

base::JsonOut status_json(const chain::ChainStatus& status) {
  base::JsonOutArray endpoints;
  for (const auto& e : status.endpoints) {
    endpoints.emplace_back(base::JsonOutObject{
        {"name", e.name},
        {"newest", e.newest ? base::JsonOut{*e.newest} : base::JsonOut{}},
        {"lag", e.lag},
        {"wrong_chain", e.wrong_chain},
        {"asked", e.asked},
        {"failed", e.failed},
        {"timed_out", e.timed_out},
        {"disagreed", e.disagreed},
        {"trouble", e.trouble},
    });
  }
  return base::JsonOutObject{{"head", block_json(status.head)}, {"newest", block_json(status.newest)},
                             {"quorum", status.quorum},         {"agreeing", status.agreeing},
                             {"stalled", status.stalled},       {"alarm", status.alarm},
                             {"rounds", status.rounds},         {"cache_hits", status.cache_hits},
                             {"carried", status.carried},       {"endpoints", std::move(endpoints)}};
}

base::JsonOut error_json(const Error& error) {
  return base::JsonOutObject{{"code", base::slug(error.code)}, {"what", error.what}, {"found", error.found}};
}

base::JsonOut outcome_json(const chain::CallOutcome& outcome) {
  return base::JsonOutObject{
      {"reverted", outcome.reverted}, {"data", chain::hex_data(outcome.data)}, {"reason", outcome.reason}};
}

// -- head

void print_status(std::ostream& out, const chain::ChainStatus& status, const Options& options) {
  Table table{{"endpoint", "newest", "lag", "disagreed", "trouble"}, {}};
  for (const auto& e : status.endpoints) {
    table.rows.push_back({e.name, e.newest ? std::to_string(*e.newest) : "-", std::to_string(e.lag),
                          std::to_string(e.disagreed), e.trouble.empty() ? "-" : e.trouble});
  }
  table.print(out, "endpoint");
  if (!status.head) return;
  out << "\nhead " << status.head->number << " 0x" << base::hex(status.head->hash).substr(0, kDigits) << "… of "
      << base::to_rfc3339(status.head->time) << " (" << options.finality << "), a quorum of " << status.quorum << " of "
      << status.endpoints.size() << "\n";
}

Result<int> head(Context& context, const Options& options) {
  TRY(const Session session, open(context, options));
  const auto found = session.reader->refresh(deadline_of(context, options));
  const auto status = session.reader->status();
  if (options.format == "json") {
    context.out << status_json(status).pretty() << "\n";
  } else {
    print_status(context.out, status, options);
  }
  if (!found.ok()) return found.error();
  return kExitOk;
}

// -- call

Result<chain::Call> call_of(const Options& options) {
  chain::Call call;
  TRY(call.to, typed_address(options.to), "--to");
  TRY(call.data, hex_argument(options.data, "--data"));
  return call;
}

Result<int> call(Context& context, const Options& options) {
  TRY(const chain::Call question, call_of(options));
  TRY(const Session session, open(context, options));
  const auto deadline = deadline_of(context, options);
  TRY(const chain::BlockRef at, session.reader->refresh(deadline));
  TRY(const auto outcomes, session.reader->call(at, {&question, 1}, deadline));
  const auto& outcome = outcomes.front();
  if (options.format == "json") {
    context.out
        << base::JsonOut{base::JsonOutObject{{"block", block_json(at)}, {"outcome", outcome_json(outcome)}}}.pretty()
        << "\n";
  } else if (outcome.reverted) {
    context.out << "reverted: " << (outcome.reason.empty() ? "no reason" : outcome.reason) << "\n";
  } else {
    context.out << chain::hex_data(outcome.data) << "\n";
  }
  return outcome.reverted ? kExitRefused : kExitOk;
}

// -- storage

Result<Word> slot_of(std::string text) {
  if (text.starts_with("0x")) text.erase(0, 2);
  if (text.size() > 64) return Error{.code = Code::usage, .what = "--slot: more than 32 bytes"};
  text.insert(0, 64 - text.size(), '0');
  TRY(const auto bytes, hex_argument(text, "--slot"));
  Word word{};
  std::ranges::copy(bytes, word.begin());
  return word;
}

Result<int> storage(Context& context, const Options& options) {
  TRY(const Address contract, typed_address(options.to), "--to");
  std::vector<Word> slots;
  for (const auto& text : options.slots) {
    TRY(const Word slot, slot_of(text));
    slots.push_back(slot);
  }
  TRY(const Session session, open(context, options));
  const auto deadline = deadline_of(context, options);
  TRY(const chain::BlockRef at, session.reader->refresh(deadline));
  TRY(const auto proved, session.reader->storage(at, contract, slots, deadline));
  for (const Word& word : proved.words) context.out << chain::hex_data(word) << "\n";
  return kExitOk;
}

// -- watch

/// One line of JSON for every line of input, all by one reader: what the server does from block to block.
Result<int> watch(Context& context, const Options& options) {
  std::optional<chain::Call> question;
  if (!options.to.empty()) {
    TRY(question, call_of(options));
  }
  TRY(const Session session, open(context, options));
  if (question) session.reader->trust_events(question->to, options.trust_events);
  std::string line;
  do {
    const auto deadline = deadline_of(context, options);
    base::JsonOutObject out;
    const auto at = session.reader->refresh(deadline);
    if (!at.ok()) {
      out.emplace_back("error", error_json(at.error()));
    } else if (question) {
      const auto outcomes = session.reader->call(*at, {&*question, 1}, deadline);
      if (outcomes.ok()) {
        out.emplace_back("outcome", outcome_json(outcomes->front()));
      } else {
        out.emplace_back("error", error_json(outcomes.error()));
      }
    }
    out.emplace_back("status", status_json(session.reader->status()));
    context.out << base::JsonOut{std::move(out)}.compact() << "\n" << std::flush;
  } while (std::getline(context.in, line));
  return kExitOk;
}

// -- send

Result<curves::Secp256k1PrivateKey> read_key(Context& context, const std::string& path) {
  TRY(base::Bytes text, read_input(context, path, kMaxFile));
  std::string_view digits = base::as_text(text);
  while (!digits.empty() && (digits.back() == '\n' || digits.back() == '\r' || digits.back() == ' ')) {
    digits.remove_suffix(1);
  }
  auto scalar = hex_argument(digits, "--key");
  crypto::wipe(text);
  if (!scalar.ok()) return scalar.error();
  auto key = curves::Secp256k1PrivateKey::from_scalar(*scalar);
  crypto::wipe(*scalar);
  if (key.ok()) return key;
  return Error{.code = Code::usage, .what = path + " is not a private key", .expected = "32 bytes in hex digits"};
}

Result<int> send(Context& context, const Options& options) {
  std::optional<Address> to;
  if (!options.to.empty()) {
    TRY(to, typed_address(options.to), "--to");
  }
  TRY(const auto data, hex_argument(options.data, "--data"));
  TRY(const auto key, read_key(context, options.key));
  TRY(const auto http, net::HttpClient::make({.ca_file = options.ca}), "--ca");
  TRY(const std::uint64_t chain_id, chain_id_of(context, options, *http));
  std::vector<std::unique_ptr<chain::Endpoint>> owned;
  std::vector<chain::Endpoint*> endpoints;
  for (const auto& url : options.rpc) {
    owned.push_back(std::make_unique<chain::Endpoint>(*http, chain::EndpointOptions{.url = url}));
    endpoints.push_back(owned.back().get());
  }
  chain::Sender sender{endpoints, key, {.chain_id = chain_id, .clock = &context.clock}};
  TRY(const auto receipt, sender.send(to, data, {}, deadline_of(context, options)));
  base::JsonOutObject out{{"transaction", chain::hex_data(receipt.transaction)},
                          {"from", chain::hex_data(sender.address())},
                          {"block", receipt.block.number},
                          {"block_hash", chain::hex_data(receipt.block.hash)},
                          {"gas_used", receipt.gas_used}};
  if (receipt.contract) out.emplace_back("contract", chain::hex_data(*receipt.contract));
  context.out << base::JsonOut{std::move(out)}.pretty() << "\n";
  return kExitOk;
}

// -- options

using Command = Result<int> (*)(Context&, const Options&);

CLI::App* add_command(CLI::App& group, Context& context, const Shared& o, const char* name, const char* about,
                      Command run) {
  CLI::App* command = group.add_subcommand(name, about);
  command->add_option("--rpc", o->rpc, "URL of an endpoint, http or https; several by repeating it")
      ->required()
      ->allow_extra_args(false);
  command->add_option("--ca", o->ca, "PEM file of the CA that issued the endpoints' certificates");
  command->add_option("--chain-id", o->chain_id, "the chain; without it, what the first endpoint says");
  command->add_option("--timeout", o->seconds, "seconds for everything")->check(CLI::Range(1, 3600));
  command->callback([&context, o, run] { finish(context, [&] { return run(context, *o); }); });
  return command;
}

void add_quorum_options(CLI::App& command, const Shared& o) {
  command.add_option("--quorum", o->quorum, "endpoints that must agree (default: more than half)");
  command.add_option("--finality", o->finality, "finalized, safe or depth:N")->capture_default_str();
  command.add_option("--max-head-age", o->max_head_age, "seconds; 0 for development chains without regular blocks")
      ->capture_default_str();
  command.add_option("--max-final-age", o->max_final_age, "seconds that the final block may be old; 0: any age")
      ->capture_default_str();
}

}  // namespace

void add_chain(CLI::App& app, Context& context) {
  CLI::App* group = app.add_subcommand("chain", "What the endpoints of an EVM chain say, each and together");
  group->require_subcommand(1);
  const auto o = std::make_shared<Options>();

  CLI::App* heads =
      add_command(*group, context, o, "head", "The newest block of each endpoint and of the quorum", head);
  add_quorum_options(*heads, o);
  heads->add_option("--format", o->format, "text or json")->check(CLI::IsMember({"text", "json"}));

  CLI::App* calls = add_command(*group, context, o, "call", "Ask a contract at the head of the quorum", call);
  add_quorum_options(*calls, o);
  calls->add_option("--to", o->to, "the contract's address")->required();
  calls->add_option("--data", o->data, "the call's data, hex")->required();
  calls->add_option("--format", o->format, "text or json")->check(CLI::IsMember({"text", "json"}));

  CLI::App* slots = add_command(*group, context, o, "storage",
                                "Storage slots of a contract, each proved against the block's hash", storage);
  add_quorum_options(*slots, o);
  slots->add_option("--to", o->to, "the contract's address")->required();
  slots->add_option("--slot", o->slots, "number of a slot, hex; several by repeating it")
      ->required()
      ->allow_extra_args(false);

  CLI::App* watches = add_command(*group, context, o, "watch",
                                  "Ask now and again at every line of standard input; prints lines of JSON", watch);
  add_quorum_options(*watches, o);
  watches->add_option("--to", o->to, "a contract to ask at every head");
  watches->add_option("--data", o->data, "the call's data, hex");
  watches->add_flag("--trust-events", o->trust_events, "ask it anew only after a block with an event of it");

  CLI::App* sends = add_command(*group, context, o, "send", "Send a transaction and wait for its receipt", send);
  sends->add_option("--to", o->to, "the recipient; without it, the data creates a contract");
  sends->add_option("--data", o->data, "hex")->required();
  sends->add_option("--key", o->key, "file with the private key of the sender, hex; - for standard input")->required();
}

}  // namespace attestry::app
