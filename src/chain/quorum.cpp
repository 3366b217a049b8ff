#include "chain/quorum.h"

#include <algorithm>
#include <charconv>

#include "base/log.h"
#include "chain/internal/quorum_impl.h"

namespace attestry::chain {

using base::Code;
using base::Error;
using base::LogLevel;
using base::Result;

namespace {

constexpr std::size_t kMaxEndpoints = 16;
constexpr std::size_t kWatchThreads = 2;  // one may hang on an old head while the next is asked for

Error bad(std::string what, std::string remedy = {}) {
  return {.code = Code::configuration, .what = "chain: " + std::move(what), .remedy = std::move(remedy)};
}

/// Two endpoints of one host are told apart in the log.
void name_endpoints(std::vector<EndpointOptions>& endpoints, net::HttpTransport& transport) {
  std::vector<std::string> taken;
  for (EndpointOptions& options : endpoints) {
    options.name = Endpoint{transport, options}.name();
    const auto count = std::ranges::count(taken, options.name);
    taken.push_back(options.name);
    if (count > 0) options.name += "#" + std::to_string(count + 1);
  }
}

}  // namespace

std::vector<Error> mistakes_in(const QuorumOptions& options) {
  std::vector<Error> out;
  const auto& endpoints = options.endpoints;
  if (endpoints.empty()) out.push_back(bad("no endpoint", "Name a JSON-RPC endpoint of the chain."));
  if (endpoints.size() > kMaxEndpoints) out.push_back(bad("more than 16 endpoints"));
  if (!endpoints.empty() && options.quorum > endpoints.size()) {
    Error error = bad("the quorum is larger than the number of endpoints");
    error.expected = "at most " + std::to_string(endpoints.size());
    error.found = std::to_string(options.quorum);
    out.push_back(std::move(error));
  }
  const auto repeated = [&](const EndpointOptions& one) {
    return std::ranges::count(endpoints, one.url, &EndpointOptions::url) > 1;
  };
  if (std::ranges::any_of(endpoints, repeated)) {
    out.push_back(bad("the same endpoint twice", "One that lies would agree with itself: name each once."));
  }
  if (options.chain_id == 0)
    out.push_back(bad("no chain id", "Say which chain it is: every endpoint is asked for it."));
  if (options.max_head_age < 0 || options.max_final_age < 0 || options.max_clock_skew < 0) {
    out.push_back(bad("a negative age"));
  }
  if (options.round_timeout.count() <= 0) out.push_back(bad("the round's timeout is not positive"));
  if (options.poll.count() > 0 && options.poll >= options.head_ttl) {
    out.push_back(bad("the head is kept for less time than passes between two polls"));
  }
  return out;
}

Result<Finality> Finality::parse(std::string_view text) {
  if (text == "finalized") return Finality{.kind = Kind::finalized, .depth = 0};
  if (text == "safe") return Finality{.kind = Kind::safe, .depth = 0};
  constexpr std::string_view kDepth = "depth:";
  std::uint64_t depth = 0;
  const auto digits = text.substr(std::min(kDepth.size(), text.size()));
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), depth);
  constexpr std::uint64_t kMostBlocks = 1'000'000;
  const bool whole = error == std::errc{} && end == digits.data() + digits.size();
  if (!text.starts_with(kDepth) || !whole || depth > kMostBlocks) {
    Error error_text = bad("not a finality: " + std::string{text});
    error_text.expected = "finalized, safe or depth:N";
    return error_text;
  }
  return Finality{.kind = Kind::depth, .depth = depth};
}

std::string Finality::text() const {
  if (kind == Kind::depth) return "depth:" + std::to_string(depth);
  return kind == Kind::safe ? "safe" : "finalized";
}

Result<std::unique_ptr<QuorumReader>> QuorumReader::make(net::HttpTransport& transport, QuorumOptions options) {
  if (const auto mistakes = mistakes_in(options); !mistakes.empty()) return mistakes.front();
  if (options.quorum == 0) options.quorum = options.endpoints.size() / 2 + 1;
  name_endpoints(options.endpoints, transport);
  return std::unique_ptr<QuorumReader>{new QuorumReader{std::make_unique<Impl>(transport, std::move(options))}};
}

QuorumReader::QuorumReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
QuorumReader::~QuorumReader() = default;

Result<BlockRef> QuorumReader::head(base::Deadline deadline) { return impl_->head(deadline, false); }
Result<BlockRef> QuorumReader::refresh(base::Deadline deadline) { return impl_->head(deadline, true); }
Result<BlockRef> QuorumReader::known_head() const { return impl_->known_head(); }
std::optional<std::uint64_t> QuorumReader::newest_number() const { return impl_->newest_number(); }
Result<std::vector<CallOutcome>> QuorumReader::call(const BlockRef& at, std::span<const Call> calls,
                                                    base::Deadline deadline) {
  return impl_->call(at, calls, deadline, Impl::Asker::release);
}
ChainReader& QuorumReader::for_strangers() { return impl_->strangers(); }
Result<ProvedStorage> QuorumReader::storage(const BlockRef& at, const Address& contract, std::span<const Word> slots,
                                            base::Deadline deadline) {
  return impl_->storage(at, contract, slots, deadline);
}
void QuorumReader::trust_events(const Address& address, bool trusted) { impl_->trust_events(address, trusted); }
ChainStatus QuorumReader::status() const { return impl_->status(); }

// -- what all questions share

QuorumReader::Impl::Impl(net::HttpTransport& transport, QuorumOptions given)
    : options_(std::move(given)), quorum_(options_.quorum), floor_(options_.floor), cache_(options_.cache_bytes) {
  voters_.resize(options_.endpoints.size());
  for (std::size_t i = 0; i < options_.endpoints.size(); ++i) {
    endpoints_.push_back(std::make_unique<Endpoint>(transport, options_.endpoints[i]));
    voters_[i].status.name = options_.endpoints[i].name;
    lanes_.push_back({std::make_unique<internal::Lane>(kWatchThreads),
                      std::make_unique<internal::Lane>(std::max<std::size_t>(1, options_.lanes)),
                      std::make_unique<internal::Lane>(1, options_.stranger_waiting)});
  }
  keeper_ = std::thread{[this] { keep_fresh(); }};
}

QuorumReader::Impl::~Impl() {
  {
    const base::MutexLock lock{mutex_};
    stopping_ = true;
  }
  changed_.notify_all();
  keeper_.join();
  lanes_.clear();  // before anything that their tasks use
}

std::string in_words(const Error& error) {
  std::string out = error.what;
  if (!error.expected.empty()) out += ", expected " + error.expected;
  if (!error.found.empty()) out += ", found " + error.found;
  return out;
}

void QuorumReader::Impl::count_round() {
  const base::MutexLock lock{mutex_};
  ++counters_.rounds;
}

void QuorumReader::Impl::note(std::size_t voter, const Error* error) {
  const base::MutexLock lock{mutex_};
  Voter& v = voters_[voter];
  ++v.status.asked;
  const bool was_well = v.status.trouble.empty();
  v.suspect = error != nullptr;
  v.status.trouble = error == nullptr ? std::string{} : in_words(*error);
  v.status.wrong_chain = error != nullptr && error->code == Code::configuration;
  if (error != nullptr) {
    ++v.status.failed;
    if (error->code == Code::deadline_exceeded) ++v.status.timed_out;
    if (was_well) {
      base::log(LogLevel::warning, "chain.endpoint_trouble",
                {{"endpoint", v.status.name}, {"error", v.status.trouble}});
    }
  } else if (!was_well) {
    base::log(LogLevel::info, "chain.endpoint_back", {{"endpoint", v.status.name}});
  }
}

void QuorumReader::Impl::note_vote(std::size_t voter, bool contradicts) {
  const base::MutexLock lock{mutex_};
  Voter& v = voters_[voter];
  if (contradicts) {
    ++v.status.disagreed;
    if (!v.disagrees) base::log(LogLevel::warning, "chain.endpoint_disagrees", {{"endpoint", v.status.name}});
  }
  v.disagrees = contradicts;
}

/// Nobody is still out who answered last time.
bool QuorumReader::Impl::worth_waiting_for_none(const std::vector<bool>& cast) const {
  const base::MutexLock lock{mutex_};
  for (std::size_t i = 0; i < cast.size(); ++i) {
    if (!cast[i] && !voters_[i].suspect) return false;
  }
  return true;
}

Error QuorumReader::Impl::no_quorum(std::string what, std::string found) {
  {
    const base::MutexLock lock{mutex_};
    ++counters_.without_quorum;
  }
  return {.code = Code::unavailable,
          .what = "chain: " + std::move(what),
          .expected = std::to_string(quorum_) + " of " + std::to_string(endpoints_.size()) + " endpoints that agree",
          .found = std::move(found),
          .remedy = "Look at the endpoints that are named; `attestry chain head` asks each of them."};
}

std::optional<Error> QuorumReader::Impl::alarm() const {
  const base::MutexLock lock{mutex_};
  if (alarm_.empty()) return std::nullopt;
  return Error{.code = Code::unavailable,
               .what = "chain: a reorganisation below the finality: " + alarm_,
               .remedy =
                   "Find out which branch is the chain, raise the finality if it is too shallow, and restart; a server "
                   "also with registry.floor = forgotten."};
}

ChainStatus QuorumReader::Impl::status() const {
  const base::MutexLock lock{mutex_};
  ChainStatus out = counters_;
  for (const Voter& voter : voters_) {
    EndpointStatus endpoint = voter.status;
    if (newest_ && endpoint.newest) endpoint.lag = newest_->number - std::min(newest_->number, *endpoint.newest);
    out.endpoints.push_back(std::move(endpoint));
  }
  out.quorum = quorum_;
  out.head = head_;
  out.newest = newest_;
  out.agreeing = agreeing_;
  out.stalled = stale().has_value();
  out.alarm = alarm_;
  out.cached_bytes = cache_.bytes();
  return out;
}

}  // namespace attestry::chain
