// The claims of a report and of its key, under the names of docs/explanation/evidence.md.
#pragma once
#include <vector>

#include "attestation/snp/report.h"
#include "attestation/snp/vek.h"
#include "attestation/verdict.h"

namespace attestry::attestation::snp {

void add_report_claims(const Report& report, std::vector<Claim>& out);
/// Product and the components of REPORTED_TCB in the product's layout.
void add_product_claims(const Report& report, Product product, std::vector<Claim>& out);
void add_vek_claims(const VekExtensions& extensions, std::vector<Claim>& out);

}  // namespace attestry::attestation::snp
