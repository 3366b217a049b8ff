#include "app/tracker_bench_server.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <sstream>

#include "attestation/policy.h"
#include "base/encoding.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "forge/scenario.h"
#include "state/file.h"
#include "tracker/ledger.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::chrono::seconds kStart{60};
constexpr std::chrono::seconds kPatience{60};
constexpr std::chrono::milliseconds kAgentPatience{10'000};
constexpr std::string_view kReady = "Serving until";
constexpr std::string_view kTrackerLine = "  tracker ";

std::string text_of_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Everything but the dialect that is measured is as `attestry dev` has it.
std::vector<std::string> arguments_of(const BenchTracker::Spec& spec, const std::string& folder) {
  std::vector<std::string> out{"attestry", "dev", "--data", folder, "--any-port", "--set", "tracker.listen=127.0.0.1:0",
                               "--set", "tracker.plaintext=true",
                               // All peers and members of an experiment are on one address.
                               "--set", "tracker.peers_per_address=0", "--set", "tracker.registrations_per_hour=0",
                               // /keygen, beside which /keygen-tee is measured.
                               "--set", "tracker.test_routes=true", "--set", "log.level=error"};
  if (!spec.tee) return out;
  const std::string tee = spec.dstack.empty() ? "simulated:" + folder + "/forge.seed" : "dstack:" + spec.dstack;
  for (const std::string& set : {"tracker.attestation=" + tee, std::string{"tracker.tee_mode=enabled"}}) {
    out.emplace_back("--set");
    out.push_back(set);
  }
  return out;
}

}  // namespace

Result<std::unique_ptr<BenchTracker>> BenchTracker::start(const Spec& spec) {
  std::unique_ptr<BenchTracker> out{new BenchTracker()};
  TRY_OK(out->launch(spec), "tracker of the experiments");
  return out;
}

std::unique_ptr<BenchTracker> BenchTracker::running(std::string url) {
  std::unique_ptr<BenchTracker> out{new BenchTracker()};
  while (url.ends_with('/')) url.pop_back();
  out->url_ = std::move(url);
  return out;
}

Status BenchTracker::launch(const Spec& spec) {
  std::error_code failed;
  const auto temporary = std::filesystem::temp_directory_path(failed);
  if (failed) return Error{Code::io, "no folder for temporary files (TMPDIR)", {}, failed.message()};
  folder_ = (temporary / ("attestry-bench-" + base::hex(crypto::system_random().bytes<8>()))).string();
  const auto arguments = arguments_of(spec, folder_);
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return Error{Code::io, "no pipe", {}, std::strerror(errno)};
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ == 0) {
    // Only what is safe between fork and exec. It ends with us, whatever ends us.
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != parent) ::_exit(1);
    ::dup2(ends[1], STDOUT_FILENO);
    ::dup2(ends[1], STDERR_FILENO);
    ::execv("/proc/self/exe", argv.data());
    ::_exit(1);
  }
  ::close(ends[1]);
  if (pid_ < 0) {
    ::close(ends[0]);
    return Error{Code::io, "no process", {}, std::strerror(errno)};
  }
  output_ = ends[0];  // open as long as it may write
  TRY_OK(wait_until_ready());
  seed_ = text_of_file(folder_ + "/forge.seed");
  return base::done();
}

Status BenchTracker::wait_until_ready() {
  const auto end = std::chrono::steady_clock::now() + kStart;
  std::string said;
  while (!said.contains(kReady)) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    pollfd wait{.fd = output_, .events = POLLIN, .revents = 0};
    std::array<char, 4096> part{};
    const bool some = left.count() > 0 && ::poll(&wait, 1, static_cast<int>(left.count())) > 0;
    const ssize_t got = some ? ::read(output_, part.data(), part.size()) : 0;
    if (got <= 0) {
      return Error{Code::unavailable, "it did not start", "\"" + std::string{kReady} + "\" in what it says", said,
                   "Start `attestry dev` by hand to see why; --tracker-url measures one that runs."};
    }
    said.append(part.data(), static_cast<std::size_t>(got));
  }
  std::istringstream lines{said};
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(kTrackerLine)) continue;
    url_ = line.substr(line.find_first_not_of(' ', kTrackerLine.size()));
    return base::done();
  }
  return Error{Code::internal, "it says no tracker's address", std::string{kTrackerLine} + "URL", said};
}

BenchTracker::~BenchTracker() {
  if (pid_ > 0) {
    ::kill(pid_, SIGTERM);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  if (output_ >= 0) ::close(output_);
  std::error_code ignored;
  if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
}

double BenchTracker::cpu_ms() const {
  if (pid_ <= 0) return std::numeric_limits<double>::quiet_NaN();
  // The sum over its threads, which live as long as it does: to the nanosecond, where stat counts in hundredths.
  double nanoseconds = 0;
  std::error_code failed;
  for (const auto& task : std::filesystem::directory_iterator{"/proc/" + std::to_string(pid_) + "/task", failed}) {
    double one = 0;
    std::istringstream{text_of_file(task.path().string() + "/schedstat")} >> one;
    nanoseconds += one;
  }
  constexpr double kMilli = 1e6;
  return failed || nanoseconds == 0 ? std::numeric_limits<double>::quiet_NaN() : nanoseconds / kMilli;
}

double BenchTracker::memory_mib() const {
  if (pid_ <= 0) return std::numeric_limits<double>::quiet_NaN();
  std::istringstream lines{text_of_file("/proc/" + std::to_string(pid_) + "/status")};
  constexpr std::string_view kName = "VmRSS:";
  constexpr double kKib = 1024;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(kName)) continue;
    double kib = 0;
    std::istringstream{line.substr(kName.size())} >> kib;
    return kib / kKib;
  }
  return std::numeric_limits<double>::quiet_NaN();
}

Result<std::unique_ptr<BenchTee>> BenchTee::forged(std::string_view seed, const base::Clock& clock) {
  std::unique_ptr<BenchTee> out{new BenchTee(clock)};
  TRY(auto pki, forge::ForgePki::make(base::as_bytes(seed)));
  out->pki_ = std::make_unique<forge::ForgePki>(std::move(pki));
  auto quote = forge::default_quote(*out->pki_, *forge::parse_quote_kind("tdx-v4"));
  TRY(auto attester, forge::ForgeAttester::make(*out->pki_, std::move(quote)));
  out->forged_ = std::make_unique<forge::ForgeAttester>(std::move(attester));
  out->attester_ = out->forged_.get();
  TRY(out->vendors_, DevVendors::start(*out->pki_, base::as_bytes(seed), clock));
  TRY(out->http_, net::HttpClient::make({.clock = &clock}));
  out->pcs_url_ = out->vendors_->pcs_url();
  out->keys_ = tracker::local_key_source(crypto::system_random().secret(32));
  out->says_ = "simulated: the forge stands in, on this machine; a real TEE adds its own time to keys and quotes";
  return out;
}

Result<std::unique_ptr<BenchTee>> BenchTee::dstack(const std::string& socket, const std::string& pcs,
                                                   const base::Clock& clock) {
  std::unique_ptr<BenchTee> out{new BenchTee(clock)};
  TRY(out->http_, net::HttpClient::make({.clock = &clock}));
  out->agent_ = std::make_unique<tee::DstackAgent>(*out->http_, socket, kAgentPatience, clock);
  out->attester_ = out->agent_.get();
  out->pcs_url_ = pcs.empty() ? std::string{collateral::kIntelPcs} : pcs;
  out->keys_ = [agent = out->agent_.get()](std::string_view path,
                                           std::string_view purpose) -> Result<tracker::DerivedSecret> {
    TRY(auto key, agent->key(path, purpose));
    return tracker::DerivedSecret{.key = std::move(key.key), .signature_chain = std::move(key.signature_chain)};
  };
  out->says_ = "dstack's guest agent at " + socket;
  return out;
}

Result<base::Bytes> BenchTee::quote(std::string_view payload) {
  TRY(auto evidence, attester_->attest(tracker::payload_report_data(payload)));
  tracker::cut_padding(evidence.bytes);
  return std::move(evidence.bytes);
}

Result<BenchTee::Warm> BenchTee::fetch(base::ByteView quote) {
  attestation::TrustAnchors anchors = attestation::TrustAnchors::production();
  if (simulated()) {
    TRY(auto roots, vendors_->roots());
    anchors = attestation::TrustAnchors::simulated(std::move(roots));
  }
  const collateral::PcsClient pcs{*http_, {.base_url = pcs_url_}};
  TRY(const auto needs, attestation::dcap_needs(quote));
  TRY(const auto bundle, pcs.fetch(needs, std::chrono::steady_clock::now() + kPatience));
  Warm out;
  out.collateral = bundle.collateral();
  out.verifier = std::make_unique<attestation::Verifier>(std::move(anchors));
  return out;
}

Status BenchTee::verify(const Warm& warm, const base::Bytes& quote, std::string_view payload) const {
  const attestation::Evidence evidence{attestation::detect_format(quote), quote};
  TRY(auto verdict, warm.verifier->verify(evidence, *warm.collateral, clock_.now()));
  return tracker::judge_evidence(attestation::Policy::standard(), verdict, tracker::payload_report_data(payload),
                                 simulated() ? base::Realm::simulated : base::Realm::production);
}

BenchMember::BenchMember(std::string name)
    : name_(std::move(name)),
      key_(curves::bls::SigningKey::random(crypto::system_random())),
      public_(key_.public_key()) {}

base::JsonOutObject BenchMember::registration(const tracker::InstanceId& instance) const {
  return {{"user_id", name_},
          {"public_key", base::base64(public_.encoded())},
          {"signature", base::base64(key_.sign(tracker::registration_message(instance, name_)))}};
}

tracker::Receipt BenchMember::receipt(const BenchMember& sender, std::uint32_t index, std::uint32_t size,
                                      base::ByteView hash, std::uint64_t now) const {
  tracker::Receipt out;
  const auto torrent = crypto::sha256(base::as_bytes("attestry tracker bench"));
  std::copy_n(torrent.begin(), out.infohash.size(), out.infohash.begin());
  out.sender = sender.public_.encoded();
  out.receiver = public_.encoded();
  if (auto piece = tracker::PieceHash::create(hash)) out.piece_hash = *piece;
  out.piece_index = index;
  out.time = now;
  out.piece_size = size;
  out.signature = key_.sign(tracker::signed_message(out, {}));
  return out;
}

base::JsonOut json_of(const tracker::Receipt& receipt) {
  return base::JsonOutObject{{"receiver_public_key", base::base64(receipt.receiver)},
                             {"sender_pk", base::base64(receipt.sender)},
                             {"piece_hash", base::hex(receipt.piece_hash.bytes())},
                             {"piece_index", std::uint64_t{receipt.piece_index}},
                             {"infohash", base::hex(receipt.infohash)},
                             {"timestamp", receipt.time},
                             {"piece_size", std::uint64_t{receipt.piece_size}},
                             {"signature", base::base64(receipt.signature)}};
}

}  // namespace attestry::app
