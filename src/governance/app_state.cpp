#include "governance/app_state.h"

#include <algorithm>
#include <charconv>

#include "base/encoding.h"
#include "state/keys.h"

namespace attestry::governance {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::uint8_t kVersion = 2;
/// Without the oldest epoch: only keys of the present one were given out.
constexpr std::uint8_t kVersionBefore = 1;
/// Releases carry the keys of every epoch that is not retired.
constexpr std::uint32_t kMaxFormerEpochs = 32;
constexpr std::size_t kMaxListed = 4096;
constexpr std::uint32_t kMaxThreshold = 64;

void put_optional(base::LpWriter& out, const std::optional<base::Digest32>& digest) {
  out.lp(digest ? base::ByteView{*digest} : base::ByteView{});
}

void put_list(base::LpWriter& out, const std::vector<base::Digest32>& list) {
  out.u32(static_cast<std::uint32_t>(list.size()));
  for (const auto& digest : list) out.raw(digest);
}

Result<std::optional<base::Digest32>> take_optional(base::Reader& in, std::string_view field) {
  TRY(const auto bytes, in.lp(field, 32));
  if (bytes.empty()) return std::optional<base::Digest32>{};
  base::Reader inner{bytes};
  TRY(const auto digest, inner.take_array<32>(field));
  return std::optional{digest};
}

Result<std::vector<base::Digest32>> take_list(base::Reader& in, std::string_view field) {
  TRY(const auto count, in.u32be(field));
  if (count > kMaxListed) return Error{Code::corrupt, std::string{field} + ": too many entries"};
  std::vector<base::Digest32> list;
  for (std::uint32_t i = 0; i < count; ++i) {
    TRY(const auto digest, in.take_array<32>(field));
    list.push_back(digest);
  }
  return list;
}

Result<base::Digest32> digest_subject(const Approval& approval) {
  base::Digest32 digest{};
  TRY_OK(base::hex_decode_into(approval.subject, digest), "subject");
  return digest;
}

Status add_once(std::vector<base::Digest32>& list, const base::Digest32& digest) {
  if (std::ranges::find(list, digest) != list.end()) return base::done();
  if (list.size() >= kMaxListed) return Error{Code::too_large, "too many approved subjects", "at most 4096"};
  list.push_back(digest);
  return base::done();
}

void revoke(AppState& state, const base::Digest32& digest) {
  std::erase(state.identities, digest);
  std::erase(state.secrets, digest);
  if (state.policy == digest) state.policy.reset();
  if (state.configuration == digest) state.configuration.reset();
}

Result<std::uint32_t> number_subject(const std::string& subject, std::string_view what) {
  std::uint32_t out = 0;
  const auto* end = subject.data() + subject.size();
  const auto [at, error] = std::from_chars(subject.data(), end, out);
  if (error == std::errc{} && at == end && std::to_string(out) == subject) return out;
  return Error{Code::malformed, std::string{what}, "a decimal number", subject};
}

/// FORMATS 5: revoking an identity only proposes this, because data may have been written under keys of the old epoch.
Status advance_epoch(AppState& state, const std::string& subject) {
  if (subject != std::to_string(state.epoch + 1)) {
    return Error{Code::conflict, "the epoch advances by one", std::to_string(state.epoch + 1), subject};
  }
  if (state.epoch - state.oldest_epoch >= kMaxFormerEpochs) {
    return Error{Code::conflict, "too many epochs are not retired", "at most " + std::to_string(kMaxFormerEpochs),
                 std::to_string(state.epoch - state.oldest_epoch),
                 "Retire those that no data needs: approve retirement."};
  }
  ++state.epoch;
  return base::done();
}

/// Everything before the epoch `subject`.
Status retire_epochs(AppState& state, const std::string& subject) {
  TRY(const auto oldest, number_subject(subject, "epoch"));
  if (oldest <= state.oldest_epoch || oldest > state.epoch) {
    return Error{Code::conflict, "the oldest epoch whose keys are still given out",
                 state.oldest_epoch == state.epoch
                     ? "no number: only the present epoch is left"
                     : "a number from " + std::to_string(state.oldest_epoch + 1) + " to " + std::to_string(state.epoch),
                 subject};
  }
  state.oldest_epoch = oldest;
  return base::done();
}

}  // namespace

base::Bytes encode_app_state(const AppState& state) {
  auto out = state::value(kVersion);
  out.u64(state.version).u64(state.seq).lp(state.prev).u32(state.epoch).u32(state.oldest_epoch).u32(state.threshold);
  put_optional(out, state.policy);
  put_optional(out, state.configuration);
  put_list(out, state.identities);
  put_list(out, state.secrets);
  return std::move(out).take();
}

Result<AppState> decode_app_state(base::ByteView stored, const base::Tenant& tenant, const base::AppRef& app) {
  const bool before = !stored.empty() && stored.front() == kVersionBefore;
  TRY(auto in, state::open_value(stored, before ? kVersionBefore : kVersion, "app"));
  AppState state{
      .tenant = tenant, .app = app, .prev = {}, .policy = {}, .identities = {}, .configuration = {}, .secrets = {}};
  TRY(state.version, in.u64be("version"));
  TRY(state.seq, in.u64be("seq"));
  TRY(const auto prev, in.lp("prev", 64));
  state.prev = std::string{base::as_text(prev)};
  TRY(state.epoch, in.u32be("epoch"));
  state.oldest_epoch = state.epoch;
  if (!before) {
    TRY(state.oldest_epoch, in.u32be("oldest epoch"));
    if (state.oldest_epoch > state.epoch) return Error{Code::corrupt, "app: the oldest epoch is after the present one"};
  }
  TRY(state.threshold, in.u32be("threshold"));
  TRY(state.policy, take_optional(in, "policy"));
  TRY(state.configuration, take_optional(in, "configuration"));
  TRY(state.identities, take_list(in, "identities"));
  TRY(state.secrets, take_list(in, "secrets"));
  TRY_OK(in.finish("app"));
  return state;
}

Status apply_approval(AppState& state, const Approval& approval) {
  switch (approval.action) {
    case Action::app_create:
      if (approval.subject != approval.app.text()) {
        return Error{Code::malformed, "the subject of app.create is the app itself", approval.app.text(),
                     approval.subject};
      }
      return base::done();
    case Action::policy_approve: {
      TRY(state.policy, digest_subject(approval));
      return base::done();
    }
    case Action::configuration_approve: {
      TRY(state.configuration, digest_subject(approval));
      return base::done();
    }
    case Action::identity_approve: {
      TRY(const auto digest, digest_subject(approval));
      return add_once(state.identities, digest);
    }
    case Action::secret_approve: {
      TRY(const auto digest, digest_subject(approval));
      // In the order of their last approval: of several values of one name that decides which is released.
      std::erase(state.secrets, digest);
      return add_once(state.secrets, digest);
    }
    case Action::threshold_set: {
      TRY(const auto m, number_subject(approval.subject, "threshold"));
      if (m < 1 || m > kMaxThreshold) {
        return Error{Code::malformed, "threshold", "a number from 1 to 64", approval.subject};
      }
      state.threshold = m;
      return base::done();
    }
    case Action::revoke: {
      TRY(const auto digest, digest_subject(approval));
      revoke(state, digest);
      return base::done();
    }
    case Action::epoch_advance:
      return advance_epoch(state, approval.subject);
    case Action::epoch_retire:
      return retire_epochs(state, approval.subject);
  }
  return Error{Code::internal, "unknown action"};
}

}  // namespace attestry::governance
