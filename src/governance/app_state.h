// How an AppState is stored: version u8 ‖ fields (FORMATS 7). Private to governance.
#pragma once
#include "governance/registry.h"

namespace attestry::governance {

base::Bytes encode_app_state(const AppState& state);
base::Result<AppState> decode_app_state(base::ByteView stored, const base::Tenant& tenant, const base::AppRef& app);

/// What an accepted approval does to the state; checks only what the state itself can tell.
base::Status apply_approval(AppState& state, const Approval& approval);

}  // namespace attestry::governance
