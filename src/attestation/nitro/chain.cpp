#include "attestation/nitro/chain.h"

#include "crypto/hash.h"

namespace attestry::attestation::nitro {
namespace {

using crypto::Certificate;

base::Digest32 key_of(const Document& document) {
  base::LpWriter all;
  for (const base::ByteView der : document.cabundle) all.lp(der);
  all.lp(document.certificate);
  return crypto::sha256(all.bytes());
}

std::expected<std::vector<Certificate>, Fault> read_path(const Document& document) {
  std::vector<Certificate> out;
  out.reserve(document.cabundle.size() + 1);
  for (std::size_t i = 0; i <= document.cabundle.size(); ++i) {
    const bool leaf = i == document.cabundle.size();
    const auto certificate = Certificate::parse(leaf ? document.certificate : document.cabundle[i]);
    if (!certificate) {
      const base::Error& error = certificate.error();
      return std::unexpected(Fault{error.expected.empty() ? "an X.509 certificate" : error.expected,
                                   error.found.empty() ? "unreadable" : error.found,
                                   (leaf ? "certificate: " : "cabundle[" + std::to_string(i) + "]: ") + error.what});
    }
    out.push_back(*certificate);
  }
  return out;
}

/// The pinned key, not whatever stands in the bundle, is where the walk begins.
ChainVerdict judge_root(const Certificate& root, const TrustAnchors& anchors) {
  if (anchors.trusts(Vendor::aws, root.spki())) return std::nullopt;
  return ChainFault{"a trusted root key", "\"" + root.subject_cn() + "\" with another key", "cabundle[0]"};
}

/// With where in the document the certificate stands: the last one of the path is the enclave's own.
ChainVerdict at(ChainVerdict fault, std::size_t i, std::size_t size) {
  if (fault) fault->detail.append(i + 1 == size ? ", field certificate" : ", cabundle[" + std::to_string(i) + "]");
  return fault;
}

ChainVerdict judge_names(std::span<const Certificate> path) {
  for (std::size_t i = 1; i < path.size(); ++i) {
    if (auto fault = judge_link(path[i], path[i - 1])) return at(std::move(fault), i, path.size());
  }
  return at(judge_link(path.front(), path.front()), 0, path.size());  // a root is self-issued
}

ChainVerdict judge_constraints(std::span<const Certificate> path) {
  for (std::size_t i = 0; i + 1 < path.size(); ++i) {
    auto fault = judge_ca(path[i], static_cast<unsigned>(path.size() - 2 - i));
    if (fault) return at(std::move(fault), i, path.size());
  }
  return at(judge_end_entity(path.back()), path.size() - 1, path.size());
}

bool is_p384(const Certificate& c) { return c.ec_key() && c.ec_key()->curve() == crypto::Curve::p384; }

ChainVerdict judge_leaf_key(const Certificate& leaf) {
  if (is_p384(leaf)) return std::nullopt;
  return ChainFault{"P-384", leaf.ec_key() ? "another curve" : "another algorithm", leaf.subject_cn()};
}

bool signed_once(const Certificate& ca, const Certificate& issuer, Caches& caches) {
  const base::Digest32 key = crypto::sha256({ca.sha256(), issuer.spki()});
  if (caches.ca_signatures.find(key)) return true;
  if (!ca.signed_by(*issuer.ec_key())) return false;
  caches.ca_signatures.put(key, std::make_shared<const bool>(true));
  return true;
}

/// The root's own signature is not computed: what makes it trusted is its key. Nothing is computed, or kept, for a path
/// from elsewhere beyond what a verdict says about it.
ChainVerdict judge_signatures(std::span<const Certificate> path, bool trusted, Caches& caches) {
  for (std::size_t i = 1; i < path.size(); ++i) {
    const Certificate& issuer = path[i - 1];
    if (!is_p384(issuer)) return ChainFault{"an issuer's key on P-384", "another key", issuer.subject_cn()};
    const bool ca = i + 1 < path.size();
    const bool good = ca && trusted ? signed_once(path[i], issuer, caches) : path[i].signed_by(*issuer.ec_key());
    if (!good) return at(not_signed(path[i], issuer), i, path.size());
  }
  return std::nullopt;
}

}  // namespace

std::expected<std::shared_ptr<const Chain>, Fault> chain_of(const Document& document, const TrustAnchors& anchors,
                                                            Caches& caches) {
  const base::Digest32 key = key_of(document);
  if (auto known = caches.chains.find(key)) return known;
  auto path = read_path(document);
  if (!path) return std::unexpected(std::move(path).error());
  auto chain = std::make_shared<Chain>();
  chain->path = *std::move(path);
  chain->root = judge_root(chain->path.front(), anchors);
  chain->names = judge_names(chain->path);
  chain->signatures = judge_signatures(chain->path, !chain->root, caches);
  chain->constraints = judge_constraints(chain->path);
  chain->leaf_key = judge_leaf_key(chain->leaf());
  if (chain->sound()) caches.chains.put(key, chain);
  return chain;
}

}  // namespace attestry::attestation::nitro
