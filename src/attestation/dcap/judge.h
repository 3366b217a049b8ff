// One verification of one quote: the checks in catalogue order. Internal to the DCAP verifier; the parts are in
// verify.cpp (quote and quoting enclave), judge_collateral.cpp and judge_tcb.cpp.
#pragma once
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "attestation/dcap/tcb_level.h"
#include "attestation/dcap/verify.h"

namespace attestry::attestation::dcap {

class Judge {
 public:
  Judge(base::ByteView evidence, const Collateral& collateral, base::UtcTime at, const TrustAnchors& anchors,
        Caches& caches, CheckRecorder& recorder, Verdict& verdict);
  void run();

 private:
  void header();
  void structure();
  void load_platform();
  void load_collateral();
  void keep_collateral();
  void pck_chain();
  void quoting_enclave();
  void qe_binding();
  void qe_miscselect();
  void qe_attributes();
  void quote_signature();

  // judge_collateral.cpp
  void revocation();
  void root_crl();
  void pck_crl();
  void tcb_info();
  void qe_identity();
  void crl_validity(CheckId check, const crypto::Crl& crl);
  void document_validity(CheckId check, base::UtcTime issued, base::UtcTime next);
  void signing_chain(CheckId check, const SigningChain& chain);
  void not_revoked(CheckId check, const crypto::Crl& crl, const crypto::Certificate& certificate);
  void summarize();

  // judge_tcb.cpp
  void tdx_module();
  void tcb();
  void relaunch();
  TcbStatus final_status() const;
  std::string whose_revoked() const;
  void write_tcb_summary(TcbStatus status);
  bool collateral_is_authentic() const;
  bool verdict_tee_is_tdx() const;

  void require(CheckId check, bool good, std::string_view expected, std::string_view actual,
               std::string_view detail = {});
  void record(CheckId check, const ChainVerdict& fault);
  /// The result that was found when the signed things were examined.
  void replay(const std::vector<CheckResult>& results, CheckId check);

  base::ByteView evidence_;
  const Collateral& collateral_;
  base::UtcTime at_;
  const TrustAnchors& anchors_;
  Caches& caches_;
  CheckRecorder& recorder_;
  Verdict& verdict_;
  Signatures signatures_;

  std::optional<Quote> quote_;
  std::shared_ptr<const Platform> platform_;  ///< null when the quote carries no chain
  std::shared_ptr<const CollateralSet> set_;  ///< never null after load_collateral()
  bool new_set_ = false;                      ///< set_ was not in the cache and may be kept
  const IsvLevel* qe_level_ = nullptr;
  TcbMatch launch_;
  std::optional<TcbMatch> current_;  ///< TD report 1.5: under TEE_TCB_SVN2
};

}  // namespace attestry::attestation::dcap
