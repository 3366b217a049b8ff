#!/usr/bin/env bash
# Makes tests/data anew: forged cases, good and wrong on purpose, in the layout of the test vectors.
#   tools/make_test_data.sh [FOLDER]     default tests/data; ATTESTRY names the program (default build/attestry)
# The same program gives the same bytes, so `git diff` shows what a change of the forge does to them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
attestry=${ATTESTRY:-build/attestry}
out=${1:-tests/data}

forge() {  # platform, case, then flags of attestry forge
  local folder=$out/$1/$2
  shift 2
  "$attestry" forge --seed "attestry test data" --at "${at:-2026-06-15T12:00:00Z}" --out "$folder" "$@" >/dev/null
}

rm -rf "$out/tdx" "$out/sgx"
forge tdx forged-v4 --kind tdx-v4
forge tdx forged-v5-td10 --kind tdx-v5-td10
forge tdx forged-v5-td15 --kind tdx-v5
forge tdx forged-v5-td15ex --kind tdx-v5-td15ex
forge tdx forged-v4-processor-ca --kind tdx-v4 --ca processor --platform 7
forge tdx forged-v4-report-data --kind tdx-v4 --report-data 0102030405060708
for fault in sw-hardening-needed module-out-of-date platform-revoked tcb-not-supported quote-signature \
  other-attestation-key qe-report-signature qe-mrsigner module-unknown foreign-root pck-revoked tcb-signing-revoked \
  tcb-info-expired qe-identity-signature debug; do
  forge tdx "forged-v4-$fault" --kind tdx-v4 --fault $fault
done
forge tdx forged-v5-relaunch-advised --kind tdx-v5 --fault relaunch-advised
at=2026-06-12T12:00:00Z forge tdx forged-v4-earlier --kind tdx-v4
forge sgx forged-v3 --kind sgx-v3
forge sgx forged-v4 --kind sgx-v4
forge sgx forged-v5 --kind sgx-v5
for fault in out-of-date qe-out-of-date quote-signature qe-report-data-tail other-tee pck-crl-expired debug; do
  forge sgx "forged-v3-$fault" --kind sgx-v3 --fault $fault
done
