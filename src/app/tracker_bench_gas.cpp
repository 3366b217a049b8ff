// What reputations cost on a chain (the original's benchmark_gas): measured at an endpoint, or the figures of the
// documents.
#include <array>
#include <optional>

#include "app/registry_chain.h"
#include "app/registry_contracts.h"
#include "app/tracker_bench.h"
#include "base/encoding.h"
#include "chain/abi.h"
#include "chain/transaction.h"
#include "crypto/hash.h"
#include "tracker/reputation_contract.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr double kGwei = 30;       ///< of gas, as the original projects
constexpr double kDollars = 3000;  ///< of an ether, likewise
constexpr std::uint64_t kDelay = 7 * 86'400;
constexpr std::size_t kQuote = 5006;  ///< bytes of the original's example
constexpr chain::registry::Function<chain::registry::Nothing, curves::Address, chain::Word> kSetAttested{
    "setAttested(address,bytes32)", 0x51c05129};

/// Gas of the original's contracts and of ours: docs/reference/reputation-contract.md, which a test compares.
struct Known {
  std::string_view call;
  std::string_view with;
  std::uint64_t ours;
  std::uint64_t first;
};
constexpr std::array kKnown{
    Known{"deployment of the factory", "", 2'905'204, 1'030'862},
    Known{"createReputation", "a quote of 5,006 bytes", 263'410, 1'062'648},
    Known{"createReputation", "the same, with a referrer", 293'705, 1'090'484},
    Known{"addUser", "a salt, one size", 96'066, 117'840},
    Known{"updateUser", "one size for the first time", 34'905, 54'483},
    Known{"updateUser", "again", 34'905, 37'383},
    Known{"migrateUserData", "the referrer's owner is attested", 125'755, 154'006},
};

struct Spent {
  std::string call;
  std::string with;
  double gas = 0;    ///< of one, the median
  double first = 0;  ///< the original's
  BenchTimes ms{};   ///< until its receipt; nothing without a chain
};

double dollars(double gas) { return gas * kGwei * 1e-9 * kDollars; }

/// One account on one chain.
class Contracts {
 public:
  static Result<std::unique_ptr<Contracts>> open(BenchRun& run) {
    const auto& said = run.options().gas;
    TRY(auto key, read_chain_key(said.key_file, {}), "--key");
    std::unique_ptr<Contracts> out{new Contracts(run, std::move(key))};
    auto options = said.chain;
    options.clock = &run.context().clock;
    options.head_ttl = std::chrono::milliseconds(0);
    options.max_head_age = 0;  // a development chain makes blocks on demand
    options.max_final_age = 0;
    std::vector<chain::Endpoint*> endpoints;
    for (const auto& endpoint : options.endpoints) {
      out->endpoints_.push_back(std::make_unique<chain::Endpoint>(run.http(), endpoint));
      endpoints.push_back(out->endpoints_.back().get());
    }
    const std::uint64_t id = options.chain_id;
    TRY(out->reader_, chain::QuorumReader::make(run.http(), std::move(options)), "--rpc");
    out->sender_ = std::make_unique<chain::Sender>(std::move(endpoints), out->key_,
                                                   chain::SenderOptions{.chain_id = id, .clock = &run.context().clock});
    out->chain_ = std::make_unique<tracker::ReputationChain>(*out->reader_, out->reader_->for_strangers(),
                                                             *out->reader_, tracker::send_with(*out->sender_));
    return out;
  }

  Status deploy_factory() {
    TRY(const auto code, contract_code(ContractKind::reputation_factory));
    base::Bytes data = code.creation;
    base::append(data, chain::to_word(sender_->address()));
    base::append(data, chain::to_word(kDelay));
    return one("deployment of the factory", "", [&]() -> Result<chain::Receipt> {
      TRY(auto receipt, sender_->send(std::nullopt, data, {}, run_.soon()));
      if (!receipt.contract) return Error{Code::unavailable, "the receipt names no contract"};
      factory_ = *receipt.contract;
      return receipt;
    });
  }
  Status create(const char* with, const curves::Address& referrer, curves::Address& made) {
    return one("createReputation", with, [&]() -> Result<chain::Receipt> {
      TRY(const auto created, chain_->create(factory_, referrer, evidence(), run_.soon()));
      made = created.contract;
      return created.receipt;
    });
  }
  Status add(const curves::Address& at, unsigned users) {
    const auto password = crypto::sha256(base::as_bytes("password"));
    return many("addUser", "a salt, one size", users, [&](const std::string& name) {
      return chain_->add(at, {.username = name, .salt = "salt0", .password_hash = password, .upload_size = 1024},
                         run_.soon());
    });
  }
  Status update(const curves::Address& at, const char* with, std::uint64_t factor, unsigned users) {
    return many("updateUser", with, users, [&](const std::string& name) {
      return chain_->update(at, name, factor * 1024, factor * 2048, run_.soon());
    });
  }
  Status migrate(const curves::Address& to, unsigned users) {
    const auto shown = crypto::sha256(evidence());
    const auto call = kSetAttested.at(factory_, sender_->address(), shown);
    TRY_OK(sender_->send(factory_, call.data, {}, run_.soon()), "setAttested");
    return many("migrateUserData", "the referrer's owner is attested", users,
                [&](const std::string& name) { return chain_->migrate(to, name, run_.soon()); });
  }
  const std::vector<Spent>& spent() const noexcept { return spent_; }

 private:
  Contracts(BenchRun& run, curves::Secp256k1PrivateKey key) : run_(run), key_(std::move(key)) {}
  static const base::Bytes& evidence() {
    static const base::Bytes bytes = [] {
      base::Bytes out(kQuote);
      for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::uint8_t>(i);
      return out;
    }();
    return bytes;
  }
  template <class Send>
  Status one(const char* call, const char* with, Send send) {
    return many(call, with, 1, [&](const std::string&) { return send(); });
  }
  template <class Send>
  Status many(const char* call, const char* with, unsigned count, Send send) {
    run_.progress("  " + std::string{call} + (count == 1 ? "" : ", " + std::to_string(count) + " times"));
    std::vector<double> ms;
    std::vector<double> gas;
    for (unsigned i = 0; i < count; ++i) {
      BenchWatch watch;
      TRY(const chain::Receipt receipt, send("user" + std::to_string(i)), call);
      ms.push_back(watch.ms());
      gas.push_back(static_cast<double>(receipt.gas_used));
    }
    Spent out{.call = call, .with = with, .gas = BenchTimes::of(std::move(gas)).median, .ms = BenchTimes::of(ms)};
    for (const Known& known : kKnown) {
      if (known.call == call && known.with == with) out.first = static_cast<double>(known.first);
    }
    spent_.push_back(std::move(out));
    return base::done();
  }

  BenchRun& run_;
  const curves::Secp256k1PrivateKey key_;
  std::vector<std::unique_ptr<chain::Endpoint>> endpoints_;
  std::unique_ptr<chain::QuorumReader> reader_;
  std::unique_ptr<chain::Sender> sender_;
  std::unique_ptr<tracker::ReputationChain> chain_;
  curves::Address factory_{};
  std::vector<Spent> spent_;
};

Result<std::vector<Spent>> measured(BenchRun& run) {
  const unsigned users = run.options().gas.users;
  TRY(const auto contracts, Contracts::open(run));
  TRY_OK(contracts->deploy_factory());
  curves::Address first{};
  curves::Address second{};
  TRY_OK(contracts->create("a quote of 5,006 bytes", {}, first));
  TRY_OK(contracts->create("the same, with a referrer", first, second));
  TRY_OK(contracts->add(first, users));
  TRY_OK(contracts->update(first, "one size for the first time", 1, users));
  TRY_OK(contracts->update(first, "again", 2, users));
  TRY_OK(contracts->migrate(second, users));
  return contracts->spent();
}

std::vector<Spent> documented() {
  std::vector<Spent> out;
  out.reserve(kKnown.size());
  for (const Known& known : kKnown) {
    out.push_back({.call = std::string{known.call},
                   .with = std::string{known.with},
                   .gas = static_cast<double>(known.ours),
                   .first = static_cast<double>(known.first)});
  }
  return out;
}

std::string plot_name(const Spent& spent) {
  if (spent.with.contains("referrer") && spent.call == "createReputation") return "create, referrer";
  if (spent.call == "createReputation") return "create";
  if (spent.call == "updateUser") return spent.with == "again" ? "update, again" : "update";
  if (spent.call == "addUser") return "add";
  return spent.call == "migrateUserData" ? "migrate" : "factory";
}

}  // namespace

Result<BenchOutcome> bench_gas(BenchRun& run) {
  const auto& said = run.options().gas;
  const bool on_chain = !said.chain.endpoints.empty();
  auto spent = documented();
  if (on_chain) {
    TRY(spent, measured(run));
  }
  BenchOutcome out;
  base::JsonOutArray rows;
  Table table{.columns = {"call", "with", "gas", "first generation", "dollars", "until its receipt"}, .rows = {}};
  Plot plot{.kind = Plot::Kind::bars,
            .title = "Gas of reputations",
            .note = on_chain ? "Measured; the first generation's as documented" : "The documents' figures",
            .y_label = "gas (decades)",
            .log_y = true,
            .places = {},
            .series = {{"attestry", {}}, {"first generation", {}}}};
  double per_user = 0;
  for (const Spent& one : spent) {
    const auto gas = static_cast<std::uint64_t>(one.gas);
    rows.emplace_back(base::JsonOutObject{{"call", one.call},
                                          {"with", one.with},
                                          {"gas", gas},
                                          {"first_generation", static_cast<std::uint64_t>(one.first)},
                                          {"cost_usd", dollars(one.gas)},
                                          {"first_generation_usd", dollars(one.first)},
                                          {"time", on_chain ? base::JsonOut{one.ms.json()} : base::JsonOut{nullptr}}});
    table.rows.push_back({one.call, one.with.empty() ? "-" : one.with, std::to_string(gas),
                          std::to_string(static_cast<std::uint64_t>(one.first)), short_number(dollars(one.gas)),
                          on_chain ? short_number(one.ms.median) + " ms" : "-"});
    plot.places.push_back(plot_name(one));
    plot.series[0].values.push_back(one.gas);
    plot.series[1].values.push_back(one.first);
    if (one.call == "addUser" || one.with == "again") per_user += one.gas;
  }
  out.json = {{"measured", on_chain},
              {"source", on_chain ? "transactions at the endpoint" : "docs/reference/reputation-contract.md"},
              {"users", said.users},
              {"gas_price_gwei", kGwei},
              {"eth_price_usd", kDollars},
              {"operations", std::move(rows)},
              {"projection", base::JsonOutObject{{"users", said.users},
                                                 {"gas", per_user * said.users},
                                                 {"cost_usd", dollars(per_user * said.users)}}}};
  out.notes.push_back(on_chain ? "gas was measured at the endpoint"
                               : "gas is not measured but the documents'; --rpc URL --key FILE measures it");
  out.notes.push_back(std::to_string(said.users) + " members, added and updated once: " +
                      short_number(dollars(per_user * said.users)) + " dollars at 30 gwei and 3,000 dollars an ether");
  out.tables.emplace_back("Gas", std::move(table));
  out.plots.emplace_back("gas", std::move(plot));
  return out;
}

}  // namespace attestry::app
