#include "chain/keymanager_abi.h"

#include <algorithm>
#include <limits>

namespace attestry::chain::registry {

using base::Code;
using base::Error;
using base::Result;

namespace {

template <class T>
Result<T> small(AbiReader& r, std::uint64_t most) {
  TRY(const std::uint64_t value, r.u64("number"));
  if (value > most) return Error{Code::malformed, "ABI: a number above " + std::to_string(most)};
  return static_cast<T>(value);
}

}  // namespace

Result<keymanager::FmspcWord> Abi<keymanager::FmspcWord>::get(AbiReader& r) {
  TRY(const Word word, r.word("bytes16"));
  keymanager::FmspcWord out{};
  std::ranges::copy(base::ByteView{word}.first(out.size()), out.begin());
  return out;  // what follows must be zeros: whoever reads compares with the canonical spelling
}

Result<std::uint32_t> Abi<std::uint32_t>::get(AbiReader& r) {
  return small<std::uint32_t>(r, std::numeric_limits<std::uint32_t>::max());
}

Result<std::uint16_t> Abi<std::uint16_t>::get(AbiReader& r) {
  return small<std::uint16_t>(r, std::numeric_limits<std::uint16_t>::max());
}

Result<keymanager::Membership> Abi<keymanager::Membership>::get(AbiReader& r) {
  return small<keymanager::Membership>(r, static_cast<std::uint64_t>(keymanager::Membership::rejected));
}

}  // namespace attestry::chain::registry

namespace attestry::chain::keymanager {

using base::Result;
using registry::Abi;

namespace {

// What of an event is in its topics (all are addresses) and what in its data, in the order of the contract.
template <class T>
struct Shape {
  static constexpr bool kMemberIndexed = false;
};
template <>
struct Shape<Requested> {
  static constexpr bool kMemberIndexed = true;
};
template <>
struct Shape<Onboarded> {
  static constexpr bool kMemberIndexed = true;
};

auto data_of(auto& e) {
  using T = std::remove_cvref_t<decltype(e)>;
  if constexpr (std::is_same_v<T, BootstrapComplete>) return std::tie(e.key);
  if constexpr (std::is_same_v<T, XPubRotated>) return std::tie(e.epoch, e.former, e.key, e.by);
  if constexpr (std::is_same_v<T, EvidencePosted>) return std::tie(e.subject, e.evidence_hash, e.blob_hash, e.by);
  if constexpr (std::is_same_v<T, Requested>) return std::tuple<>{};
  if constexpr (std::is_same_v<T, KeyRequested>) return std::tie(e.box_key, e.by);
  if constexpr (std::is_same_v<T, JoinRequested>)
    return std::tie(e.member, e.box_key, e.evidence_hash, e.blob_hash, e.by);
  if constexpr (std::is_same_v<T, Onboarded>) return std::tie(e.fmspc, e.measurement, e.response);
  if constexpr (std::is_same_v<T, OnboardedKey>) return std::tie(e.box_key, e.response);
  if constexpr (std::is_same_v<T, Deregistered>) return std::tie(e.member, e.by);
  if constexpr (std::is_same_v<T, KeyDeregistered>) return std::tie(e.box_key, e.by);
  if constexpr (std::is_same_v<T, MrtdAllowed>) return std::tie(e.measurement, e.allowed, e.by);
  if constexpr (std::is_same_v<T, MrenclaveAllowed>) return std::tie(e.measurement, e.allowed, e.by);
  if constexpr (std::is_same_v<T, MachineAllowed>) return std::tie(e.rootfs, e.mrtd, e.rtmr0, e.rtmr3, e.allowed);
  if constexpr (std::is_same_v<T, TcbAllowed>) return std::tie(e.fmspc, e.rule.min_evaluation, e.rule.statuses, e.by);
  if constexpr (std::is_same_v<T, ContainerChanged>) return std::tie(e.container);
  if constexpr (std::is_same_v<T, UnboundOnboardingSet>) return std::tie(e.accepted, e.by);
}

template <class... T>
void put(AbiWriter& w, const std::tuple<const T&...>& values) {
  std::apply([&](const T&... value) { (Abi<T>::put(w, value), ...); }, values);
}

template <class T>
base::Status get_one(AbiReader& r, T& out) {
  TRY(out, Abi<T>::get(r));
  return base::done();
}

template <class... T>
base::Status get(AbiReader& r, const std::tuple<T&...>& values) {
  base::Status status = base::done();
  std::apply([&](T&... value) { ((status.ok() ? void(status = get_one(r, value)) : void()), ...); }, values);
  return status;
}

template <class T>
LogRecord written(const T& event) {
  LogRecord log;
  log.topics.push_back(topic<T>());
  if constexpr (Shape<T>::kMemberIndexed) log.topics.push_back(to_word(event.member));
  AbiWriter writer;
  put(writer, data_of(event));
  log.data = writer.encode();
  return log;
}

/// Whether the log is that event; `out` is set then.
template <class T>
base::Status try_read(const LogRecord& log, std::optional<Event>& out) {
  if (log.topics.front() != topic<T>()) return base::done();
  T event;
  AbiReader reader{log.data};
  auto status = get(reader, data_of(event));
  if constexpr (Shape<T>::kMemberIndexed) {
    if (log.topics.size() == 2) {
      TRY(event.member, to_address(log.topics[1]));
    }
  }
  const LogRecord again = written(event);
  if (!status.ok() || again.topics != log.topics || again.data != log.data) {
    return registry::answer_error(T::kSignature, base::as_bytes("log"), status.ok() ? nullptr : &status.error());
  }
  out = std::move(event);
  return base::done();
}

template <class... T>
base::Status read_any(const LogRecord& log, std::optional<Event>& out, const std::variant<T...>* /*types*/) {
  base::Status status = base::done();
  ((status.ok() && !out ? void(status = try_read<T>(log, out)) : void()), ...);
  return status;
}

}  // namespace

std::string_view name_of(Membership membership) {
  constexpr std::array<std::string_view, 4> kNames{"not yet", "requested", "onboarded", "rejected"};
  return kNames.at(static_cast<std::size_t>(membership));
}

bool takes(const TcbRule& rule, std::string_view tcb_status, std::uint32_t evaluation) {
  const auto bit = std::ranges::find(kTcbStatusNames, tcb_status);
  if (bit == kTcbStatusNames.end() || evaluation < rule.min_evaluation) return false;
  return (rule.statuses >> (bit - kTcbStatusNames.begin()) & 1) != 0;
}

Result<std::optional<Event>> read(const LogRecord& log) {
  std::optional<Event> out;
  if (log.topics.empty()) return out;
  TRY_OK(read_any(log, out, static_cast<const Event*>(nullptr)));
  return out;
}

LogRecord write(const Event& event) {
  return std::visit([](const auto& e) { return written(e); }, event);
}

}  // namespace attestry::chain::keymanager
