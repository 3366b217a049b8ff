#include "collateral/shelf.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <optional>
#include <utility>

#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "collateral/artefacts.h"
#include "collateral/internal/take_apart.h"
#include "crypto/hash.h"

namespace attestry::collateral {
namespace {

using attestation::Artefact;
using attestation::Collateral;
using attestation::CollateralItem;
using attestation::CollateralKind;
using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutArray;
using base::JsonOutObject;
using base::JsonValue;
using base::Result;

constexpr int kVersion = 1;
constexpr std::size_t kMaxArtefacts = 100'000;
constexpr std::size_t kMaxText = 2048;
constexpr std::array kChains{CollateralKind::amd_chain, CollateralKind::tcb_info_chain,
                             CollateralKind::qe_identity_chain, CollateralKind::pck_crl_chain};

Result<std::string> text_of(const JsonValue& object, std::string_view key) {
  TRY(const JsonValue value, object.get(key));
  TRY(std::string text, value.string(key));
  if (text.size() > kMaxText) return Error{Code::malformed, std::string{key} + " is too long"};
  return text;
}

Result<base::UtcTime> time_of(const JsonValue& object, std::string_view key) {
  TRY(const std::string text, text_of(object, key));
  TRY(const base::UtcTime time, base::parse_rfc3339(text), key);
  return time;
}

JsonOut document_json(const CollateralItem& item) {
  return JsonOutObject{{"kind", to_text(item.kind)},
                       {"sha256", base::hex(crypto::sha256(item.bytes))},
                       {"bytes", base::base64url(item.bytes)}};
}

Result<CollateralItem> read_document(const JsonValue& value, std::span<const CollateralKind> expected) {
  TRY_OK(value.only({"kind", "sha256", "bytes"}), "document");
  TRY(const std::string name, text_of(value, "kind"));
  const auto kind = std::ranges::find(expected, name, [](CollateralKind k) { return to_text(k); });
  if (kind == expected.end()) return Error{Code::malformed, "document", "a kind of this artefact", name};
  TRY(const JsonValue bytes, value.get("bytes"));
  const auto encoded = bytes.plain_string();
  if (!encoded) return Error{Code::malformed, "document bytes", "base64url without padding", {}};
  CollateralItem item{.kind = *kind, .bytes = {}};
  TRY(item.bytes, base::base64url_decode(*encoded), "document bytes");
  item.sha256 = crypto::sha256(item.bytes);
  TRY(const std::string digest, text_of(value, "sha256"));
  if (digest != base::hex(item.sha256)) {
    return Error{Code::malformed, "document " + name + ": its bytes have another digest", digest,
                 base::hex(item.sha256)};
  }
  return item;
}

/// Chains that are none of the artefact's own, at most one of a kind.
Result<std::vector<CollateralItem>> read_context(const JsonValue& list, std::span<const CollateralKind> own) {
  if (!list.is_array() || list.size() == 0 || list.size() > kChains.size()) {
    return Error{Code::malformed, "context", "one chain or some, an array", {}};
  }
  std::vector<CollateralItem> out;
  for (auto one = list.first(); one; one = one->next()) {
    TRY(CollateralItem item, read_document(*one, kChains));
    const bool twice = std::ranges::find(out, item.kind, &CollateralItem::kind) != out.end();
    if (twice || std::ranges::find(own, item.kind) != own.end()) {
      return Error{Code::malformed, "context", "one of a kind", std::string{to_text(item.kind)} + " again"};
    }
    out.push_back(std::move(item));
  }
  return out;
}

Result<ShelfItem> read_item(const JsonValue& value, const Artefact& artefact) {
  ShelfItem out;
  TRY(out.source, text_of(value, "source"));
  TRY(out.fetched_at, time_of(value, "fetched_at"));
  TRY(const JsonValue documents, value.get("documents"));
  const auto expected = documents_of(artefact);
  if (!documents.is_array() || documents.size() != expected.size()) {
    return Error{Code::malformed, "documents", std::to_string(expected.size()) + " of them", "another number"};
  }
  std::size_t index = 0;
  for (auto one = documents.first(); one; one = one->next(), ++index) {
    TRY(CollateralItem item, read_document(*one, expected.subspan(index, 1)));
    out.documents.push_back(std::move(item));
  }
  if (const auto context = value.find("context")) {
    TRY(out.context, read_context(*context, expected));
  }
  return out;
}

/// Intel's root is the last certificate of every chain of Intel's.
bool is_intel_chain(CollateralKind kind) {
  return kind == CollateralKind::qe_identity_chain || kind == CollateralKind::tcb_info_chain ||
         kind == CollateralKind::pck_crl_chain;
}

/// Later ones are judged by earlier ones.
int rank(const Artefact& artefact) {
  if (signer_of(artefact)) return 2;
  return std::holds_alternative<attestation::RootCrlOf>(artefact) ? 1 : 0;
}

/// Those of a signer that stands on the shelf; none: it has none, or it does not stand there.
std::vector<CollateralItem> signers_on(const Shelf& shelf, const Artefact& artefact) {
  if (const auto signer = signer_of(artefact)) {
    const auto chain = shelf.items.find(*signer);
    if (chain != shelf.items.end()) return chain->second.documents;
  }
  if (!std::holds_alternative<attestation::RootCrlOf>(artefact)) return {};
  for (const auto& [other, item] : shelf.items) {
    const auto chain = std::ranges::find_if(item.documents, [](const auto& d) { return is_intel_chain(d.kind); });
    if (chain != item.documents.end()) return {*chain};
  }
  return {};
}

std::vector<CollateralItem> joined(std::vector<CollateralItem> documents, const std::vector<CollateralItem>& more) {
  documents.insert(documents.end(), more.begin(), more.end());
  return documents;
}

/// These documents and those of a signer that stands on the shelf, or else what came along with them.
std::vector<CollateralItem> beside_signer(const Artefact& artefact, const ShelfItem& item, const Shelf& shelf) {
  const auto signers = signers_on(shelf, artefact);
  return joined(item.documents, signers.empty() ? item.context : signers);
}

/// `item` as of `artefact`, under the signers of `shelf`.
Result<attestation::Accepted> judge_item(const Shelf& shelf, const Artefact& artefact, const ShelfItem& item,
                                         const attestation::Verifier& verifier, base::UtcTime now) {
  auto judged = verifier.accept(artefact, *Collateral::make(beside_signer(artefact, item, shelf)), now);
  // What stands on the shelf may have run out.
  if (!judged.ok() && !item.context.empty()) {
    auto by_context = verifier.accept(artefact, *Collateral::make(joined(item.documents, item.context)), now);
    if (by_context.ok()) judged = std::move(by_context);
  }
  TRY(attestation::Accepted accepted, std::move(judged));
  TRY_OK(date_key_set(artefact, item.fetched_at, now, kKeySetSeconds, accepted));
  return accepted;
}

/// Every chain of Intel's ends in the certificate that the root's list is judged by.
void add_intel_chain(const Shelf& from, Shelf& out) {
  if (!out.items.contains(attestation::RootCrlOf{})) return;
  const auto has_chain = [](const auto& entry) {
    return std::ranges::any_of(entry.second.documents, [](const CollateralItem& d) { return is_intel_chain(d.kind); });
  };
  if (std::ranges::any_of(out.items, has_chain)) return;
  if (const auto any = std::ranges::find_if(from.items, has_chain); any != from.items.end()) out.items.insert(*any);
}

}  // namespace

std::string Shelf::to_json() const {
  JsonOutArray list;
  for (const auto& [artefact, item] : items) {
    JsonOutArray documents;
    for (const CollateralKind kind : documents_of(artefact)) {
      const auto found = std::ranges::find(item.documents, kind, &CollateralItem::kind);
      if (found != item.documents.end()) documents.push_back(document_json(*found));
    }
    JsonOutObject one{{"artefact", to_text(artefact)},
                      {"source", item.source},
                      {"fetched_at", base::to_rfc3339(item.fetched_at)},
                      {"documents", std::move(documents)}};
    JsonOutArray context;
    for (const CollateralItem& document : item.context) context.push_back(document_json(document));
    if (!context.empty()) one.emplace_back("context", std::move(context));
    list.emplace_back(std::move(one));
  }
  return JsonOut{JsonOutObject{{"v", kVersion},
                               {"realm", base::to_text(realm)},
                               {"origin", origin},
                               {"created", base::to_rfc3339(created)},
                               {"artefacts", std::move(list)}}}
      .compact();
}

Result<Shelf> Shelf::parse(std::string_view json) {
  if (json.size() > kMaxShelfBytes) return Error{Code::too_large, "collateral bundle", "at most 64 MiB", {}};
  TRY(const auto document,
      base::JsonDocument::parse(std::string{json}, {.max_bytes = kMaxShelfBytes, .max_nodes = 40 * kMaxArtefacts}));
  const JsonValue root = document->root();
  TRY_OK(root.only({"v", "realm", "origin", "created", "artefacts"}));
  TRY(const JsonValue version, root.get("v"));
  TRY([[maybe_unused]] const auto v, version.integer("v", kVersion, kVersion));
  Shelf out;
  TRY(const std::string realm_text, text_of(root, "realm"));
  TRY(out.realm, base::realm_from(realm_text));
  TRY(out.origin, text_of(root, "origin"));
  TRY(out.created, time_of(root, "created"));
  TRY(const JsonValue list, root.get("artefacts"));
  if (!list.is_array() || list.size() > kMaxArtefacts) {
    return Error{Code::malformed, "artefacts", "an array of at most " + std::to_string(kMaxArtefacts), {}};
  }
  for (auto one = list.first(); one; one = one->next()) {
    TRY_OK(one->only({"artefact", "source", "fetched_at", "documents", "context"}), "artefact");
    TRY(const std::string name, text_of(*one, "artefact"));
    TRY(Artefact artefact, attestation::parse_artefact(name));
    TRY(ShelfItem item, read_item(*one, artefact), name);
    if (!out.items.emplace(std::move(artefact), std::move(item)).second) {
      return Error{Code::malformed, name + " stands there twice"};
    }
  }
  return out;
}

std::vector<std::string> Shelf::add(const std::vector<CollateralItem>& documents, const std::string& source,
                                    const TimesOfKinds& fetched_at, base::UtcTime now, const std::string& issuer) {
  std::vector<CollateralItem> given = documents;
  for (CollateralItem& item : given) item.sha256 = crypto::sha256(item.bytes);
  const internal::Apart apart = internal::take_apart(given, issuer);
  std::vector<std::string> left;
  for (const internal::Part& part : apart.parts) {
    // One list stands for both chains of a product; it counts where the chain is at hand.
    if (const auto* crl = std::get_if<attestation::AmdCrlOf>(&part.artefact)) {
      const attestation::AmdChainOf chain{crl->product, crl->vlek};
      const auto is_chain = [&](const internal::Part& other) { return other.artefact == Artefact{chain}; };
      const bool one = std::ranges::any_of(apart.parts, [](const internal::Part& other) {
        return std::holds_alternative<attestation::AmdChainOf>(other.artefact);
      });
      if (one && std::ranges::none_of(apart.parts, is_chain) && !items.contains(chain)) continue;
    }
    if (part.documents.size() != documents_of(part.artefact).size()) {
      left.push_back(to_text(part.artefact) + ": not all of its documents are there");
      continue;
    }
    items[part.artefact] = {
        .source = source, .fetched_at = oldest_of(part.documents, fetched_at, now), .documents = part.documents};
  }
  for (const auto& [kind, why] : apart.refused) left.push_back(std::string{to_text(kind)} + ": " + why);
  return left;
}

std::shared_ptr<const Collateral> Shelf::collateral_for(const attestation::Evidence& evidence,
                                                        std::span<const std::string> whose, base::UtcTime now) const {
  const auto ways = needs_of(evidence, whose);
  if (ways.empty()) return Collateral::none();
  const auto whole = [this](const attestation::Needs& needs) {
    return std::ranges::all_of(needs.artefacts, [this](const Artefact& a) { return items.contains(a); });
  };
  const auto found = std::ranges::find_if(ways, whole);
  const attestation::Needs& needs = found == ways.end() ? ways.front() : *found;
  std::vector<CollateralItem> documents;
  auto problems = needs.problems;
  for (const Artefact& artefact : needs.artefacts) {
    const auto item = items.find(artefact);
    attestation::Accepted dates;
    const auto dated = item == items.end()
                           ? base::done()
                           : date_key_set(artefact, item->second.fetched_at, now, kKeySetSeconds, dates);
    if (item != items.end() && dated.ok()) {
      auto own = item->second.documents;
      attestation::name_key_origin(artefact, own);
      documents.insert(documents.end(), std::make_move_iterator(own.begin()), std::make_move_iterator(own.end()));
      continue;
    }
    for (const CollateralKind kind : documents_of(artefact)) {
      const std::string what =
          dated.ok() ? to_text(artefact) + " is not in the imported collateral" : dated.error().text();
      problems.push_back({.kind = kind, .what = what, .missing = true});
    }
  }
  return Collateral::make(std::move(documents), std::move(problems));
}

std::vector<CollateralItem> Shelf::with_signer(const Artefact& artefact) const {
  const auto found = items.find(artefact);
  if (found == items.end()) return {};
  return beside_signer(artefact, found->second, *this);
}

Shelf Shelf::chosen(const std::function<bool(const Artefact&)>& wanted) const {
  Shelf out{.realm = realm, .created = created, .origin = origin, .items = {}};
  for (const auto& [artefact, item] : items) {
    if (!wanted(artefact)) continue;
    out.items.emplace(artefact, item);
    if (const auto signer = signer_of(artefact)) {
      if (const auto chain = items.find(*signer); chain != items.end()) out.items.insert(*chain);
    }
  }
  add_intel_chain(*this, out);
  for (auto& [artefact, item] : out.items) {
    if (!signers_on(out, artefact).empty()) item.context.clear();
  }
  return out;
}

std::vector<std::string> Shelf::issuers() const {
  std::vector<std::string> out;
  for (const auto& [artefact, item] : items) {
    if (const auto* keys = std::get_if<attestation::JwksOf>(&artefact)) out.push_back(keys->issuer);
  }
  return out;
}

Result<attestation::Accepted> judge(const Shelf& shelf, const Artefact& artefact, const attestation::Verifier& verifier,
                                    base::UtcTime now) {
  const auto found = shelf.items.find(artefact);
  if (found == shelf.items.end()) return Error{Code::not_found, to_text(artefact) + " is not there"};
  return judge_item(shelf, artefact, found->second, verifier, now);
}

namespace {

/// Of something authentic: whether it takes the place of what is held, and what to say of it.
Imported::Outcome compare(const Shelf& into, const Artefact& artefact, const ShelfItem& item,
                          const attestation::Accepted& accepted, const attestation::Verifier& verifier,
                          base::UtcTime now) {
  const auto held = into.items.find(artefact);
  if (held == into.items.end()) return Imported::Outcome::added;
  const auto digest = [](const ShelfItem& i) { return Collateral::make(i.documents)->digest(); };
  if (digest(held->second) == digest(item)) return Imported::Outcome::same;
  const auto before = judge(into, artefact, verifier, now);
  return before.ok() && older(accepted, *before) ? Imported::Outcome::older : Imported::Outcome::replaced;
}

/// Judged under the signers of `into`, where those of the same bundle stand already if they are good: what is forged
/// hides nothing.
Imported put_one(Shelf& into, const Artefact& artefact, ShelfItem item, const attestation::Verifier& verifier,
                 base::UtcTime now) {
  Imported out{.name = to_text(artefact), .artefact = artefact, .outcome = Imported::Outcome::refused, .reason = {}};
  item.fetched_at = std::min(item.fetched_at, now);
  const auto accepted = judge_item(into, artefact, item, verifier, now);
  if (!accepted.ok()) {
    out.reason = accepted.error().text();
    return out;
  }
  out.outcome = compare(into, artefact, item, *accepted, verifier, now);
  if (out.outcome == Imported::Outcome::older) return out;
  // The same bytes, seen later at their source, are fresher.
  if (out.outcome == Imported::Outcome::same && item.fetched_at <= into.items[artefact].fetched_at) return out;
  into.items[artefact] = std::move(item);
  return out;
}

}  // namespace

std::vector<Imported> put(Shelf& into, const Shelf& from, const attestation::Verifier& verifier, base::UtcTime now) {
  std::vector<Imported> out;
  for (const Artefact& artefact : in_order_of_trust(from)) {
    out.push_back(put_one(into, artefact, from.items.at(artefact), verifier, now));
  }
  return out;
}

std::optional<CollateralKind> collateral_kind_from(std::string_view text) noexcept {
  for (int i = 0; i <= static_cast<int>(CollateralKind::jwks); ++i) {
    const auto kind = static_cast<CollateralKind>(i);
    if (to_text(kind) == text) return kind;
  }
  return std::nullopt;
}

std::vector<Artefact> in_order_of_trust(const Shelf& shelf) {
  std::vector<Artefact> out;
  for (const auto& [artefact, item] : shelf.items) out.push_back(artefact);
  std::ranges::sort(out, {}, [](const Artefact& a) { return std::pair{rank(a), a}; });
  return out;
}

}  // namespace attestry::collateral
