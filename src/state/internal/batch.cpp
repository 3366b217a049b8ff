#include "state/internal/batch.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "state/spaces.h"

namespace attestry::state {
namespace {

/// Below SQLite's own limit of 10^9: what it refused would take the writes of all others along.
constexpr std::size_t kMostInOneRecord = 512u << 20;

bool begins_with(base::ByteView key, base::ByteView prefix) noexcept {
  return key.size() >= prefix.size() && std::equal(prefix.begin(), prefix.end(), key.begin());
}

}  // namespace

bool Batch::Less::operator()(base::ByteView a, base::ByteView b) const noexcept {
  const auto common = std::min(a.size(), b.size());
  const int order = common == 0 ? 0 : std::memcmp(a.data(), b.data(), common);
  return order != 0 ? order < 0 : a.size() < b.size();
}

base::Result<std::optional<base::Bytes>> Batch::get(base::ByteView key) const {
  if (const auto found = pending_.find(key); found != pending_.end()) return found->second.value;
  return connection_.get(key);
}

base::Status Batch::scan(base::ByteView prefix, base::ByteView from, std::size_t limit, const Visitor& visit) const {
  const Less less;
  auto next = pending_.lower_bound(less(prefix, from) ? from : prefix);
  const auto is_pending = [&] { return next != pending_.end() && begins_with(next->first, prefix); };
  if (!is_pending()) return connection_.scan(prefix, from, limit, visit);
  std::size_t left = limit;
  // False: the scan is over. The visitor may write, so what it sees is a copy.
  const auto show_pending = [&] {
    const auto at = next++;
    if (!at->second.value) return true;
    const auto value = *at->second.value;
    if (!visit(at->first, value)) left = 0;
    return left != 0 && --left != 0;
  };
  if (left == 0) return base::done();
  TRY_OK(connection_.scan(prefix, from, std::numeric_limits<std::size_t>::max(),
                          [&](base::ByteView key, base::ByteView value) {
                            while (is_pending() && less(next->first, key)) {
                              if (!show_pending()) return false;
                            }
                            if (is_pending() && !less(key, next->first)) return show_pending();
                            if (!visit(key, value)) left = 0;
                            return left != 0 && --left != 0;
                          }));
  while (left != 0 && is_pending() && show_pending()) {
  }
  return base::done();
}

base::Status Batch::set(base::ByteView key, std::optional<base::Bytes> value, bool is_new) {
  const auto size = key.size() + (value ? value->size() : 0);
  if (size > kMostInOneRecord) {
    return base::Error{base::Code::too_large, "a record is larger than the store takes",
                       "at most " + std::to_string(kMostInOneRecord) + " bytes", std::to_string(size)};
  }
  bytes_ += size;
  auto at = pending_.lower_bound(key);
  if (at != pending_.end() && base::equal(at->first, key)) {
    undo_.push_back({at, std::exchange(at->second, Entry{std::move(value), at->second.is_new})});
  } else {
    at = pending_.emplace_hint(at, base::to_bytes(key), Entry{std::move(value), is_new});
    undo_.push_back({at, std::nullopt});
  }
  return base::done();
}

base::Status Batch::put(base::ByteView key, base::ByteView value) { return set(key, base::to_bytes(value), false); }

namespace {

/// What is erased of these is to be gone from the disk, the write-ahead log included.
bool holds_keys(Space space) {
  return space == Space::keys || space == Space::keystore_masters || space == Space::keymanager ||
         space == Space::threshold;
}

}  // namespace

base::Status Batch::erase(base::ByteView key) {
  if (!key.empty() && holds_keys(static_cast<Space>(key[0]))) keys_erased_ = true;
  return set(key, std::nullopt, false);
}

base::Status Batch::insert(base::ByteView key, base::ByteView value) {
  const auto found = pending_.find(key);
  bool taken = false;
  if (found != pending_.end()) {
    taken = found->second.value.has_value();
  } else {
    TRY(taken, connection_.has(key));
  }
  if (taken) return base::Error{base::Code::conflict, "the record is already there"};
  return set(key, base::to_bytes(value), true);
}

void Batch::undo() {
  while (!undo_.empty()) {
    auto& last = undo_.back();
    if (last.before) {
      last.at->second = *std::move(last.before);
    } else {
      pending_.erase(last.at);
    }
    undo_.pop_back();
  }
}

base::Status Batch::flush() {
  for (const auto& [key, entry] : pending_) {
    if (!entry.value) {
      if (!entry.is_new) TRY_OK(connection_.erase(key));
    } else if (entry.is_new) {
      TRY_OK(connection_.insert(key, *entry.value));
    } else {
      TRY_OK(connection_.put(key, *entry.value));
    }
  }
  pending_.clear();
  bytes_ = 0;
  return base::done();
}

}  // namespace attestry::state
