#include "provision/keymanager_identity.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "attestation/key_binding.h"
#include "crypto/hash.h"
#include "crypto/x509.h"
#include "keys/keymanager_dialects.h"
#include "provision/registry_evidence.h"

namespace attestry::provision {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t kMostKnown = 8192;
constexpr unsigned kV4Prefix = 96;

struct Ip {
  base::FixedBytes<16> bytes{};
  bool v4 = false;
};

/// IPv4 as IPv6 writes it (::ffff:0:0/96), so that both are compared alike.
std::optional<Ip> parse_ip(const std::string& text) {
  Ip out;
  if (::inet_pton(AF_INET6, text.c_str(), out.bytes.data()) == 1) return out;
  if (::inet_pton(AF_INET, text.c_str(), out.bytes.data() + kV4Prefix / 8) != 1) return std::nullopt;
  out.bytes[10] = out.bytes[11] = 0xff;
  out.v4 = true;
  return out;
}

/// "127.0.0.1:40022", "[::1]:40022"
std::string without_port(std::string_view address) {
  std::string_view host = address.substr(0, address.rfind(':'));
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return std::string{host};
}

bool inside(const base::FixedBytes<16>& ip, const base::FixedBytes<16>& prefix, unsigned bits) {
  const std::size_t whole = bits / 8;
  if (!std::equal(ip.begin(), ip.begin() + static_cast<std::ptrdiff_t>(whole), prefix.begin())) return false;
  if (bits % 8 == 0) return true;
  const auto mask = static_cast<std::uint8_t>(0xff << (8 - bits % 8));
  return (ip[whole] & mask) == (prefix[whole] & mask);
}

template <class T>
std::optional<T> number(std::string_view text) {
  T out{};
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (text.empty() || failed != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return out;
}

Result<std::pair<std::string, std::string>> pair_of(std::string_view text, std::string_view expected) {
  const auto equal = text.find('=');
  if (equal == std::string_view::npos)
    return Error{Code::malformed, "workload", std::string{expected}, std::string{text}};
  TRY_OK(check_workload_name(text.substr(equal + 1)));
  return std::pair{std::string{text.substr(0, equal)}, std::string{text.substr(equal + 1)}};
}

}  // namespace

Status check_workload_name(std::string_view name) {
  if (name == "unknown") {
    return Error{Code::denied, "no workload is called unknown", "the name of one workload", std::string{name}};
  }
  TRY_OK(keys::keymanager_v1::attest_digest(name, {}), "workload");
  return base::done();
}

std::string_view to_text(KeyManagerVoucher voucher) noexcept {
  switch (voucher) {
    case KeyManagerVoucher::evidence:
      return "evidence";
    case KeyManagerVoucher::process:
      return "process";
    case KeyManagerVoucher::source:
      return "source";
    case KeyManagerVoucher::reverse_dns:
      return "reverse-dns";
  }
  return "";
}

Status KeyManagerSources::add(std::string_view text) {
  constexpr std::string_view kExpected = "ADDRESS=NAME or NETWORK/BITS=NAME";
  TRY(auto said, pair_of(text, kExpected));
  const auto slash = said.first.find('/');
  const auto ip = parse_ip(said.first.substr(0, slash));
  const unsigned most = ip && ip->v4 ? 32 : 128;
  const auto bits = slash == std::string::npos ? std::optional{most} : number<unsigned>(said.first.substr(slash + 1));
  if (!ip || !bits || *bits > most) {
    return Error{Code::malformed, "source of a workload", std::string{kExpected}, std::string{text}};
  }
  Network made{ip->bytes, *bits + (ip->v4 ? kV4Prefix : 0), std::move(said.second)};
  const auto same = [&](const Network& one) {
    return one.bits == made.bits && inside(one.prefix, made.prefix, made.bits);
  };
  if (std::ranges::any_of(networks_, same)) {
    return Error{Code::conflict, "two workloads from one network", "one", std::string{text}};
  }
  const auto narrower = [&](const Network& one) { return one.bits < made.bits; };
  networks_.insert(std::ranges::find_if(networks_, narrower), std::move(made));
  return base::done();
}

const std::string* KeyManagerSources::find(std::string_view address) const {
  if (networks_.empty()) return nullptr;
  const auto ip = parse_ip(without_port(address));
  if (!ip) return nullptr;
  for (const Network& one : networks_) {
    if (inside(ip->bytes, one.prefix, one.bits)) return &one.workload;
  }
  return nullptr;
}

Status KeyManagerProcesses::add(std::string_view text) {
  constexpr std::string_view kExpected = "UID=NAME";
  TRY(auto said, pair_of(text, kExpected));
  const auto uid = number<std::uint32_t>(said.first);
  if (!uid) return Error{Code::malformed, "process of a workload", std::string{kExpected}, std::string{text}};
  if (users_.try_emplace(*uid, std::move(said.second)).second) return base::done();
  return Error{Code::conflict, "two workloads of one user", "one", std::string{text}};
}

const std::string* KeyManagerProcesses::find(std::uint32_t uid) const {
  const auto found = users_.find(uid);
  return found == users_.end() ? nullptr : &found->second;
}

struct KeyManagerIdentities::Work {
  base::Digest32 certificate{};
  base::Bytes spki;
  attestation::Evidence evidence;
  base::UtcTime now{};
  Done done;
};

std::optional<Result<KeyManagerWorkload>> KeyManagerIdentities::at_hand(const net::Peer& peer) const {
  if (peer.certificate) {
    const base::Digest32 id = crypto::sha256(*peer.certificate);
    const auto now = clock_.now();
    const base::MutexLock lock(mutex_);
    const auto found = known_.find(id);
    if (found == known_.end() || !(now < found->second.until)) return std::nullopt;
    return found->second.workload;
  }
  if (peer.uid) {
    if (const auto* name = options_.processes.find(*peer.uid)) {
      return KeyManagerWorkload{*name, KeyManagerVoucher::process};
    }
  } else if (const auto* name = options_.sources.find(peer.address)) {
    return KeyManagerWorkload{*name, KeyManagerVoucher::source};
  }
  if (options_.reverse_dns && !peer.uid) return std::nullopt;
  return Error{Code::unauthenticated, "nothing says which workload this is",
               "a client certificate with evidence, a user of keymanager.users, or an address of keymanager.sources",
               peer.uid ? "user " + std::to_string(*peer.uid) : without_port(peer.address)};
}

Result<KeyManagerWorkload> KeyManagerIdentities::by_reverse_dns(const net::Peer& peer) const {
  TRY(auto name, options_.reverse_dns(without_port(peer.address)), "name of " + without_port(peer.address));
  TRY_OK(check_workload_name(name));
  return KeyManagerWorkload{std::move(name), KeyManagerVoucher::reverse_dns};
}

void KeyManagerIdentities::keep(const base::Digest32& certificate, const Known& known) const {
  const base::MutexLock lock(mutex_);
  if (known_.size() >= kMostKnown) known_.clear();
  known_[certificate] = known;
}

Result<KeyManagerWorkload> KeyManagerIdentities::judge(const Work& work, Result<appraisal::Examined> examined) const {
  if (!examined) return std::move(examined).error();
  TRY(const auto key, attestation::appraise_key(*options_.policy, examined->verdict, work.spki), "client certificate");
  const attestation::Verdict& verdict = key.verdict();
  if (verdict.simulated != (options_.realm == base::Realm::simulated)) {
    return Error{Code::denied, "evidence of another realm", std::string{base::to_text(options_.realm)},
                 verdict.simulated ? "simulated" : "production"};
  }
  for (const auto& check : verdict.checks) {
    if (check.check != attestation::CheckId::policy_measurement_allowed) continue;
    TRY_OK(check_workload_name(check.actual), "identity of keymanager.workloads");
    Known known{{check.actual, KeyManagerVoucher::evidence}, work.now + options_.believed.count()};
    if (verdict.valid_until && *verdict.valid_until < known.until) known.until = *verdict.valid_until;
    keep(work.certificate, known);
    return known.workload;
  }
  return Error{Code::denied, "the policy of workloads names no identity for this evidence"};
}

void KeyManagerIdentities::find(const net::Peer& peer, base::Deadline deadline, Done done) const {
  if (auto known = at_hand(peer)) return done(*std::move(known));
  if (!peer.certificate) return done(by_reverse_dns(peer));
  const auto certificate = crypto::Certificate::parse(*peer.certificate);
  if (!certificate) return done(certificate.error());
  auto evidence = evidence_in_certificate(*certificate);
  if (!evidence) return done(std::move(evidence).error());
  if (!*evidence) {  // a client that has one for something else
    net::Peer plain = peer;
    plain.certificate.reset();
    return find(plain, deadline, std::move(done));
  }
  if (!options_.policy) {
    return done(Error{Code::denied, "this server knows no workload by evidence", "keymanager.workloads", "nothing"});
  }
  auto work = std::make_shared<Work>(Work{.certificate = crypto::sha256(*peer.certificate),
                                          .spki = base::to_bytes(certificate->spki()),
                                          .evidence = **std::move(evidence),
                                          .now = clock_.now(),
                                          .done = std::move(done)});
  appraiser_.examine_when_ready(
      work->evidence, work->now, work->now, deadline,
      [this, work](Result<appraisal::Examined> examined) { work->done(judge(*work, std::move(examined))); });
}

}  // namespace attestry::provision
