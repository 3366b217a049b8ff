#include "attestation/nitro/verify.h"

#include "attestation/signature_fault.h"
#include "base/encoding.h"

namespace attestry::attestation::nitro {
namespace {

using base::ByteView;

constexpr std::array<std::string_view, kPcrs> kPcrNames{
    "pcr0",  "pcr1",  "pcr2",  "pcr3",  "pcr4",  "pcr5",  "pcr6",  "pcr7",  "pcr8",  "pcr9",  "pcr10",
    "pcr11", "pcr12", "pcr13", "pcr14", "pcr15", "pcr16", "pcr17", "pcr18", "pcr19", "pcr20", "pcr21",
    "pcr22", "pcr23", "pcr24", "pcr25", "pcr26", "pcr27", "pcr28", "pcr29", "pcr30", "pcr31"};

void add_bytes(std::vector<Claim>& out, std::string_view name, const std::optional<ByteView>& value) {
  if (value) out.push_back({.name = name, .value = base::hex(*value)});
}

void add_claims(const Document& d, std::vector<Claim>& out) {
  out.push_back({.name = "module_id", .value = std::string{d.module_id}});
  if (!d.digest_fault) out.push_back({.name = "digest", .value = std::string{d.digest}});
  if (!d.timestamp_fault) {
    out.push_back({.name = "timestamp_ms", .value = std::to_string(d.timestamp_ms), .is_number = true});
  }
  for (std::size_t i = 0; i < kPcrs && !d.pcr_fault; ++i) add_bytes(out, kPcrNames[i], d.pcrs[i]);
  add_bytes(out, "public_key", d.public_key);
  add_bytes(out, "user_data", d.user_data);
  add_bytes(out, "nonce", d.nonce);
}

class Judge {
 public:
  Judge(ByteView evidence, base::UtcTime at, const TrustAnchors& anchors, Caches& caches, CheckRecorder& recorder,
        Verdict& verdict)
      : evidence_(evidence), at_(at), anchors_(anchors), caches_(caches), recorder_(recorder), verdict_(verdict) {}

  void run() {
    envelope();
    document();
    chain();
    signature();
  }

 private:
  template <class AnyFault>
  void record(CheckId check, const std::optional<AnyFault>& fault) {
    if (!recorder_.may_run(check)) return;
    if (!fault) return recorder_.pass(check);
    recorder_.fail(check, fault->expected, fault->actual, fault->detail);
  }

  void envelope() {
    auto parsed = parse_cose(evidence_);
    std::optional<Fault> fault;
    if (parsed) {
      cose_ = *parsed;
    } else {
      fault = std::move(parsed).error();
    }
    record(CheckId::nitro_cose_structure, fault);
    record(CheckId::nitro_cose_algorithm, cose_ ? algorithm_fault() : std::nullopt);
    std::optional<Fault> size;
    if (cose_ && cose_->signature.size() != kSignatureBytes) {
      size = Fault{"96 bytes, r and s", std::to_string(cose_->signature.size()) + " bytes",
                   "signature, " + bytes_at(evidence_, cose_->signature)};
    }
    record(CheckId::nitro_cose_signature_size, size);
  }

  std::optional<Fault> algorithm_fault() const {
    auto fault = judge_algorithm(cose_->protected_header);
    if (fault) fault->detail = "protected header, " + bytes_at(evidence_, cose_->protected_header);
    return fault;
  }

  void document() {
    std::optional<Fault> fault;
    if (cose_) {
      auto parsed = parse_document(cose_->payload);
      if (parsed) {
        document_ = *std::move(parsed);
      } else {
        fault = std::move(parsed).error();
      }
    }
    record(CheckId::nitro_document_structure, fault);
    static const std::optional<Fault> none;
    record(CheckId::nitro_document_digest, document_ ? document_->digest_fault : none);
    record(CheckId::nitro_document_timestamp, document_ ? document_->timestamp_fault : none);
    record(CheckId::nitro_document_pcrs, document_ ? document_->pcr_fault : none);
    if (!document_) return;
    verdict_.platform = Platform::nitro;
    verdict_.debug = document_->debug();
    if (document_->user_data) verdict_.report_data = base::to_bytes(*document_->user_data);
    add_claims(*document_, verdict_.claims);
  }

  void chain() {
    std::optional<Fault> fault;
    if (document_) {
      auto found = chain_of(*document_, anchors_, caches_);
      if (found) {
        chain_ = *std::move(found);
      } else {
        fault = std::move(found).error();
      }
    }
    record(CheckId::nitro_chain_format, fault);
    static const Chain none;
    const Chain& chain = chain_ ? *chain_ : none;
    record(CheckId::nitro_chain_root, chain.root);
    record(CheckId::nitro_chain_names, chain.names);
    record(CheckId::nitro_chain_signatures, chain.signatures);
    record(CheckId::nitro_chain_constraints, chain.constraints);
    // On every call, never from a cache.
    record(CheckId::nitro_chain_validity, chain_ ? judge_validity(chain_->path, at_) : std::nullopt);
    record(CheckId::nitro_chain_leaf_key, chain.leaf_key);
    if (chain_) verdict_.valid_until = validity_of(chain_->path).to;
  }

  void signature() {
    if (!recorder_.may_run(CheckId::nitro_cose_signature)) return;
    const crypto::EcPublicKey& key = *chain_->leaf().ec_key();
    const base::Bytes message = signed_bytes(*cose_);
    if (key.verify_raw(message, cose_->signature)) return recorder_.pass(CheckId::nitro_cose_signature);
    recorder_.fail(CheckId::nitro_cose_signature, "the signature verifies under the enclave certificate's key",
                   describe_signature_fault(key, message, cose_->signature),
                   "covers protected header, " + bytes_at(evidence_, cose_->protected_header) + ", and payload, " +
                       bytes_at(evidence_, cose_->payload) + "; signature, " + bytes_at(evidence_, cose_->signature));
  }

  ByteView evidence_;
  base::UtcTime at_;
  const TrustAnchors& anchors_;
  Caches& caches_;
  CheckRecorder& recorder_;
  Verdict& verdict_;
  std::optional<CoseSign1> cose_;
  std::optional<Document> document_;
  std::shared_ptr<const Chain> chain_;
};

}  // namespace

void judge_document(ByteView evidence, base::UtcTime at, const TrustAnchors& anchors, Caches& caches,
                    CheckRecorder& recorder, Verdict& verdict) {
  Judge{evidence, at, anchors, caches, recorder, verdict}.run();
}

}  // namespace attestry::attestation::nitro
