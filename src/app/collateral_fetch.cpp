// `attestry collateral fetch`: by evidence or by name, through a server's vault or from the vendors into a folder.
#include <algorithm>
#include <charconv>
#include <chrono>
#include <ostream>
#include <thread>

#include "app/collateral_commands.h"
#include "app/evidence_files.h"
#include "app/shelf_files.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "collateral/artefacts.h"
#include "collateral/vendors.h"

namespace attestry::app {

using attestation::Artefact;
using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr std::chrono::seconds kOneFetch{20};
constexpr std::int64_t kFirstPause = 2;
constexpr std::int64_t kLongestPause = 15;

/// Ways to serve what is asked for; the next one counts when the former does not exist.
using Ways = std::vector<std::vector<Artefact>>;

/// Gets one artefact. `again` is set when it is worth waiting, to the seconds that the vendor named.
using FetchOne = std::function<base::Status(const Artefact& artefact, std::optional<std::int64_t>& again)>;

Result<std::vector<Artefact>> of_intel(const CollateralOptions& options) {
  attestation::DcapNeeds needs{.tdx = options.tee == "tdx", .fmspc = {}, .platform_ca = options.ca == "platform"};
  if (const auto read = base::hex_decode_into(options.fmspc, needs.fmspc); !read) {
    return Error{Code::usage, "--fmspc", "12 hex digits", options.fmspc};
  }
  return needs_of(needs).front().artefacts;
}

/// Written as the artefact's name, which says what is wrong with any part of it.
Result<std::vector<Artefact>> of_amd(const CollateralOptions& options) {
  TRY(const auto chain, attestation::parse_artefact("amd_chain/" + options.product + "/vcek"), "--product");
  TRY(const auto list, attestation::parse_artefact("amd_crl/" + options.product + "/vcek"), "--product");
  std::vector<Artefact> out{chain};
  if (options.hwid.empty() != options.tcb.empty()) {
    return Error{Code::usage, "--hwid and --tcb belong together", "both, or neither", "one of them"};
  }
  if (!options.hwid.empty()) {
    TRY(const auto certificate,
        attestation::parse_artefact("vcek/" + options.product + "/" + options.hwid + "/" + options.tcb),
        "--hwid, --tcb");
    out.push_back(certificate);
  }
  out.push_back(list);
  return out;
}

/// What is asked for by flags, in one way only.
Result<std::vector<Artefact>> named(const CollateralOptions& options) {
  std::vector<Artefact> out;
  for (const auto& name : options.artefacts) {
    TRY(auto artefact, attestation::parse_artefact(name), "--artefact");
    out.push_back(std::move(artefact));
  }
  if (!options.fmspc.empty()) {
    TRY(const auto more, of_intel(options));
    out.insert(out.end(), more.begin(), more.end());
  }
  if (!options.product.empty()) {
    TRY(const auto more, of_amd(options));
    out.insert(out.end(), more.begin(), more.end());
  }
  if (options.names.empty()) {
    for (const auto& issuer : options.issuers) out.emplace_back(attestation::JwksOf{issuer});
  }
  return out;
}

Result<Ways> ways_by_server(const OperatorSession& session, const attestation::Evidence& evidence) {
  const std::string body = base::JsonOut{base::JsonOutObject{{"evidence", base::base64url(evidence.bytes)}}}.compact();
  TRY(const auto doc, session.api().json(net::Method::post, "/v1/collateral/needs", body));
  TRY(const auto list, doc->root().get("ways"));
  Ways out;
  for (auto way = list.first(); way; way = way->next()) {
    TRY(const auto names, way->get("artefacts"));
    std::vector<Artefact> artefacts;
    for (auto name = names.first(); name; name = name->next()) {
      TRY(const auto text, name->string("artefact"));
      TRY(auto artefact, attestation::parse_artefact(text));
      artefacts.push_back(std::move(artefact));
    }
    out.push_back(std::move(artefacts));
  }
  return out;
}

Ways ways_here(const attestation::Evidence& evidence, const std::vector<std::string>& issuers) {
  Ways out;
  for (auto& way : needs_of(evidence, issuers)) out.push_back(std::move(way.artefacts));
  return out;
}

/// Keeps asking a vendor that is busy or away, as long as --wait says.
class Patience {
 public:
  Patience(Context& context, const CollateralOptions& options)
      : context_(context), ends_(context.clock.steady() + std::chrono::seconds(options.wait_seconds)) {}

  Outcome get(const Artefact& artefact, const FetchOne& fetch_one) {
    const std::string name = to_text(artefact);
    std::int64_t pause = kFirstPause;
    while (true) {
      std::optional<std::int64_t> again;
      const auto got = fetch_one(artefact, again);
      if (got.ok()) {
        context_.err << name << ": fetched\n";
        return {.artefact = name, .outcome = "fetched"};
      }
      const std::int64_t seconds = std::clamp<std::int64_t>(again.value_or(0), pause, 3600);
      if (!again || context_.clock.steady() + std::chrono::seconds(seconds) > ends_) {
        missing_ = got.error().code == Code::collateral_missing || got.error().code == Code::not_found;
        return {.artefact = name, .outcome = "failed", .reason = got.error().text()};
      }
      context_.err << name << ": " << got.error().what << "; again in " << seconds << " s\n";
      std::this_thread::sleep_for(std::chrono::seconds(seconds));
      pause = std::min(2 * pause, kLongestPause);
    }
  }
  /// Whether the last failure was that nobody has it.
  bool missing() const { return missing_; }

 private:
  Context& context_;
  base::Deadline ends_;
  bool missing_ = false;
};

std::vector<Outcome> get_ways(Context& context, const CollateralOptions& options, const Ways& ways,
                              const FetchOne& fetch_one) {
  Patience patience{context, options};
  std::vector<Outcome> out;
  for (std::size_t way = 0; way < ways.size(); ++way) {
    out.clear();
    bool missing = false;
    for (const Artefact& artefact : ways[way]) {
      out.push_back(patience.get(artefact, fetch_one));
      missing = out.back().outcome == "failed" && patience.missing();
      if (missing && way + 1 < ways.size()) break;
    }
    if (!missing) return out;
  }
  return out;
}

Result<std::vector<attestation::Evidence>> read_all(Context& context, const CollateralOptions& options) {
  std::vector<attestation::Evidence> out;
  for (const auto& path : options.names) {
    TRY(auto evidence, read_evidence(context, path));
    out.push_back(std::move(evidence));
  }
  return out;
}

Error nothing_to_do() {
  return {.code = Code::usage,
          .what = "there is nothing to fetch",
          .expected = "EVIDENCE, --artefact, --fmspc, --product or --issuer",
          .found = "none of them",
          .remedy = "`attestry collateral fetch --help` has examples."};
}

// -- Through a server
// --------------------------------------------------------------------------------------------------

FetchOne by_server(const OperatorSession& session, bool refresh) {
  return [&session, refresh](const Artefact& artefact, std::optional<std::int64_t>& again) -> base::Status {
    const std::string body =
        base::JsonOut{base::JsonOutObject{{"artefact", to_text(artefact)}, {"refresh", refresh}}}.compact();
    const auto answer = session.api().call(net::Method::post, "/v1/collateral/fetch", body);
    if (answer.ok()) return base::done();
    const Code code = answer.error().code;
    // The server goes on with the fetch while nobody waits.
    if (code == Code::unavailable || code == Code::deadline_exceeded || code == Code::rate_limited) again = 0;
    return answer.error();
  };
}

Result<int> fetch_by_server(Context& context, const CollateralOptions& options) {
  TRY(const auto session, OperatorSession::open(options.connection));
  TRY(const auto evidence, read_all(context, options));
  TRY(const auto more, named(options));
  if (evidence.empty() && more.empty()) return nothing_to_do();
  const auto fetch_one = by_server(*session, options.refresh);
  std::vector<Outcome> all;
  for (const auto& one : evidence) {
    TRY(const auto ways, ways_by_server(*session, one));
    const auto outcomes = get_ways(context, options, ways, fetch_one);
    all.insert(all.end(), outcomes.begin(), outcomes.end());
  }
  if (!more.empty()) {
    const auto outcomes = get_ways(context, options, {more}, fetch_one);
    all.insert(all.end(), outcomes.begin(), outcomes.end());
  }
  return print_outcomes(context, options, "fetched", all);
}

// -- From the vendors into a folder
// ------------------------------------------------------------------------------------

std::optional<std::int64_t> seconds_in(const std::string& header) {
  std::int64_t seconds = 0;
  const auto [end, error] = std::from_chars(header.data(), header.data() + header.size(), seconds);
  if (error != std::errc{} || end != header.data() + header.size()) return std::nullopt;
  return seconds;
}

/// What a chip's certificate or list is judged by comes with it.
std::vector<Artefact> with_signers(std::vector<Artefact> artefacts) {
  std::vector<Artefact> signers;
  for (const Artefact& artefact : artefacts) {
    if (auto signer = collateral::signer_of(artefact)) {
      signers.push_back(*std::move(signer));
    } else if (std::holds_alternative<attestation::RootCrlOf>(artefact)) {
      signers.emplace_back(attestation::QeIdentityOf{true});
    }
  }
  for (const Artefact& signer : signers) {
    if (std::ranges::find(artefacts, signer) == artefacts.end()) artefacts.insert(artefacts.begin(), signer);
  }
  return artefacts;
}

Result<int> fetch_into_folder(Context& context, const CollateralOptions& options) {
  TRY(const auto http, net::HttpClient::make({.ca_file = options.vendor_ca}), "--vendor-ca");
  collateral::PcsOptions pcs_options;
  if (options.pcs) pcs_options.base_url = *options.pcs;
  collateral::KdsOptions kds_options;
  if (options.kds) kds_options.base_url = *options.kds;
  const collateral::PcsClient pcs{*http, pcs_options};
  const collateral::KdsClient kds{*http, kds_options};
  const collateral::JwksClient jwks{*http};
  const collateral::Vendors vendors{&pcs, &kds, &jwks};
  collateral::Shelf got{.realm = realm_of(options), .created = {}, .origin = "fetched", .items = {}};
  const FetchOne fetch_one = [&](const Artefact& artefact, std::optional<std::int64_t>& again) -> base::Status {
    collateral::Trouble trouble;
    const auto fetched = vendors.fetch(artefact, context.clock.steady() + kOneFetch, trouble);
    if (!fetched.ok()) {
      if (trouble.throttled) again = seconds_in(trouble.retry_after).value_or(0);
      return fetched.error();
    }
    got.items[artefact] = {.source = fetched->source, .fetched_at = context.clock.now(), .documents = fetched->items};
    return base::done();
  };
  TRY(const auto evidence, read_all(context, options));
  TRY(const auto more, named(options));
  if (evidence.empty() && more.empty()) return nothing_to_do();
  std::vector<Outcome> failed;
  const auto get = [&](const Ways& ways) {
    for (auto& one : get_ways(context, options, ways, fetch_one)) {
      if (one.outcome == "failed") failed.push_back(std::move(one));
    }
  };
  for (const auto& one : evidence) {
    auto ways = ways_here(one, options.issuers);
    for (auto& way : ways) way = with_signers(std::move(way));
    get(ways);
  }
  if (!more.empty()) get({with_signers(more)});
  TRY(auto outcomes, put_in_folder(context, options, options.out, got));
  outcomes.insert(outcomes.end(), failed.begin(), failed.end());
  return print_outcomes(context, options, "fetched", outcomes);
}

}  // namespace

Result<int> collateral_fetch(Context& context, const CollateralOptions& options) {
  return options.out.empty() ? fetch_by_server(context, options) : fetch_into_folder(context, options);
}

}  // namespace attestry::app
