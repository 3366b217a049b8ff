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

std::string workload_of(const base::AppRef& app) {
  const std::string text = app.text();
  return text.substr(text.find(':') + 1);
}

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
    case KeyManagerVoucher::approval:
      return "approval";
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
  constexpr std::string_view kExpected = "UID=NAME or gid:GID=NAME";
  constexpr std::string_view kGroup = "gid:";
  TRY(auto said, pair_of(text, kExpected));
  std::string_view who = said.first;
  const bool group = who.starts_with(kGroup);
  if (group) who.remove_prefix(kGroup.size());
  const auto id = number<std::uint32_t>(who);
  if (!id) return Error{Code::malformed, "process of a workload", std::string{kExpected}, std::string{text}};
  if ((group ? groups_ : users_).try_emplace(*id, std::move(said.second)).second) return base::done();
  return Error{Code::conflict, group ? "two workloads of one group" : "two workloads of one user", "one",
               std::string{text}};
}

const std::string* KeyManagerProcesses::find(std::uint32_t uid, std::optional<std::uint32_t> gid) const {
  if (const auto found = users_.find(uid); found != users_.end()) return &found->second;
  const auto found = gid ? groups_.find(*gid) : groups_.end();
  return found == groups_.end() ? nullptr : &found->second;
}

std::vector<std::string> KeyManagerProcesses::names() const {
  std::vector<std::string> out;
  for (const auto* table : {&users_, &groups_}) {
    for (const auto& [id, name] : *table) out.push_back(name);
  }
  return out;
}

std::vector<std::string> KeyManagerSources::names() const {
  std::vector<std::string> out;
  for (const Network& one : networks_) out.push_back(one.workload);
  return out;
}

Status check_names_apart(const KeyManagerIdentityOptions& options) {
  std::vector<std::string> names = options.sources.names();
  std::ranges::copy(options.processes.names(), std::back_inserter(names));
  if (options.policy) {
    for (const auto& identity : options.policy->identities()) names.push_back(identity.name);
  }
  for (const auto& app : options.apps) names.push_back(workload_of(app));
  std::ranges::sort(names);
  // Of sorted names those that begin with one stand behind it.
  const auto bad = std::ranges::adjacent_find(
      names, [](const std::string& one, const std::string& next) { return one != next && next.starts_with(one); });
  if (bad == names.end()) return base::done();
  return Error{Code::conflict, "one workload's name begins with another's",
               "names of which none begins with another, where tags are bare", *bad + ", " + *std::next(bad),
               "Rename one, or use keymanager.compat = native."};
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
    const auto& approval = found->second.workload.approval;
    if (approval && !still_approved(*approval)) return std::nullopt;
    return found->second.workload;
  }
  if (peer.uid) {
    if (const auto* name = options_.processes.find(*peer.uid, peer.gid)) {
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

bool KeyManagerIdentities::still_approved(const KeyManagerApproval& approval) const {
  const auto app = registry_.app(approval.tenant, approval.app);
  return app.ok() && app->version == approval.version;
}

namespace {

/// The name of the identity that matched.
std::optional<std::string> matched_in(const attestation::Verdict& verdict) {
  const auto found = std::ranges::find(verdict.checks, attestation::CheckId::policy_measurement_allowed,
                                       &attestation::CheckResult::check);
  return found == verdict.checks.end() ? std::nullopt : std::optional{found->actual};
}

}  // namespace

/// The first app whose approvals take the evidence. An outage of one is none of the others' refusals.
Result<KeyManagerWorkload> KeyManagerIdentities::by_approval(const Work& work,
                                                             const attestation::Verdict& verdict) const {
  Error last{Code::denied, "nothing that operators have approved has this evidence"};
  for (const base::AppRef& app : options_.apps) {
    const auto approved = registry_.policy_of(base::Tenant::standard(), app, work.now);
    if (!approved) {
      if (approved.error().code != Code::denied && approved.error().code != Code::not_found) last = approved.error();
      continue;
    }
    attestation::Verdict judged = verdict;
    const auto key = attestation::appraise_key(approved->policy(), judged, work.spki, {.lists = approved->lists()});
    if (!key) {
      if (key.error().code != Code::denied) return key.error();
      continue;
    }
    const auto identity = matched_in(key->verdict());
    if (!identity) continue;  // a policy that names nobody lets everybody in
    const governance::AppState& state = approved->state();
    return KeyManagerWorkload{.name = workload_of(app),
                              .voucher = KeyManagerVoucher::approval,
                              .approval = KeyManagerApproval{.tenant = state.tenant,
                                                             .app = app,
                                                             .version = state.version,
                                                             .references = state.references,
                                                             .policy = key->policy_sha256()}};
  }
  return last;
}

Result<KeyManagerWorkload> KeyManagerIdentities::judge(const Work& work, Result<appraisal::Examined> examined) const {
  if (!examined) return std::move(examined).error();
  if (examined->verdict.simulated != (options_.realm == base::Realm::simulated)) {
    return Error{Code::denied, "evidence of another realm", std::string{base::to_text(options_.realm)},
                 examined->verdict.simulated ? "simulated" : "production"};
  }
  Result<KeyManagerWorkload> out = Error{Code::denied, "the policy of workloads names no identity for this evidence"};
  if (options_.policy) {
    attestation::Verdict verdict = examined->verdict;
    const auto key = attestation::appraise_key(*options_.policy, verdict, work.spki);
    const auto identity = key ? matched_in(key->verdict()) : std::nullopt;
    if (identity) {
      TRY_OK(check_workload_name(*identity), "identity of keymanager.workloads");
      out = KeyManagerWorkload{.name = *identity, .voucher = KeyManagerVoucher::evidence};
    } else if (!key) {
      out = key.error();
      out.error().at("client certificate");
    }
  }
  if (!out && out.error().code == Code::denied && !options_.apps.empty()) out = by_approval(work, examined->verdict);
  if (!out) return out;
  Known known{*out, work.now + options_.believed.count()};
  if (examined->verdict.valid_until && *examined->verdict.valid_until < known.until) {
    known.until = *examined->verdict.valid_until;
  }
  keep(work.certificate, known);
  return out;
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
  if (!options_.policy && options_.apps.empty()) {
    return done(Error{Code::denied, "this server knows no workload by evidence",
                      "keymanager.workloads or keymanager.apps", "neither"});
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
