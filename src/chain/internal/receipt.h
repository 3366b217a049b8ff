// A transaction's receipt as an endpoint shows it. Pure.
#pragma once
#include "base/json.h"
#include "base/result.h"
#include "chain/transaction.h"

namespace attestry::chain::internal {

base::Result<Receipt> read_receipt(const base::JsonValue& value);

}  // namespace attestry::chain::internal
