#include "net/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <set>

#include "base/json_writer.h"
#include "base/log.h"

namespace attestry::net {
namespace {

enum class Kind { counter, gauge, histogram };

bool valid_name(std::string_view name, bool colon) {
  auto letter = [colon](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (colon && c == ':');
  };
  return !name.empty() && letter(name[0]) && !name.starts_with("__") &&
         std::all_of(name.begin(), name.end(), [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

}  // namespace

struct Metrics::Impl {
  struct Entry {
    Kind kind;
    void* family;
    std::vector<double> buckets;
    std::set<Labels> series;
  };
  std::size_t max_series = 0;
  base::Mutex mutex;
  prometheus::Registry registry;
  std::map<std::string, Entry> entries ATTESTRY_GUARDED_BY(mutex);

  /// The family of that name, or null; `labels` become "other" when the name has enough series.
  template <class Make>
  Entry* entry(const std::string& name, Kind kind, Labels& labels, const Make& make) ATTESTRY_REQUIRES(mutex) {
    const bool valid = valid_name(name, true) && std::all_of(labels.begin(), labels.end(),
                                                             [](const auto& l) { return valid_name(l.first, false); });
    auto found = entries.find(name);
    if (!valid || (found != entries.end() && found->second.kind != kind)) {
      base::log(base::LogLevel::warning, "metric not counted: bad name, or the name has another kind",
                {{"name", name}});
      return nullptr;
    }
    if (found == entries.end()) found = entries.emplace(name, make()).first;
    auto& series = found->second.series;
    if (series.contains(labels)) return &found->second;
    if (series.size() >= max_series) {
      for (auto& [key, value] : labels) value = "other";
    } else {
      series.insert(labels);
    }
    return &found->second;
  }
};

Metrics::Metrics(std::size_t max_series) : impl_(std::make_unique<Impl>()) { impl_->max_series = max_series; }
Metrics::~Metrics() = default;

Counter Metrics::counter(const std::string& name, const std::string& help, const Labels& labels) {
  const base::MutexLock lock{impl_->mutex};
  auto bounded = labels;
  auto* entry = impl_->entry(name, Kind::counter, bounded, [&] {
    return Impl::Entry{
        Kind::counter, &prometheus::BuildCounter().Name(name).Help(help).Register(impl_->registry), {}, {}};
  });
  if (entry == nullptr) return Counter{nullptr};
  return Counter{&static_cast<prometheus::Family<prometheus::Counter>*>(entry->family)->Add(bounded)};
}

Gauge Metrics::gauge(const std::string& name, const std::string& help, const Labels& labels) {
  const base::MutexLock lock{impl_->mutex};
  auto bounded = labels;
  auto* entry = impl_->entry(name, Kind::gauge, bounded, [&] {
    return Impl::Entry{Kind::gauge, &prometheus::BuildGauge().Name(name).Help(help).Register(impl_->registry), {}, {}};
  });
  if (entry == nullptr) return Gauge{nullptr};
  return Gauge{&static_cast<prometheus::Family<prometheus::Gauge>*>(entry->family)->Add(bounded)};
}

Histogram Metrics::histogram(const std::string& name, const std::string& help, const std::vector<double>& bucket_bounds,
                             const Labels& labels) {
  const base::MutexLock lock{impl_->mutex};
  auto bounded = labels;
  auto* entry = impl_->entry(name, Kind::histogram, bounded, [&] {
    auto& family = prometheus::BuildHistogram().Name(name).Help(help).Register(impl_->registry);
    return Impl::Entry{Kind::histogram, &family, bucket_bounds, {}};
  });
  if (entry == nullptr) return Histogram{nullptr};
  auto* family = static_cast<prometheus::Family<prometheus::Histogram>*>(entry->family);
  return Histogram{&family->Add(bounded, entry->buckets)};
}

std::string Metrics::render() const { return prometheus::TextSerializer{}.Serialize(impl_->registry.Collect()); }

void Counter::add(double amount) noexcept {
  if (series_ != nullptr) static_cast<prometheus::Counter*>(series_)->Increment(amount);
}
void Gauge::set(double value) noexcept {
  if (series_ != nullptr) static_cast<prometheus::Gauge*>(series_)->Set(value);
}
void Gauge::add(double amount) noexcept {
  if (series_ != nullptr) static_cast<prometheus::Gauge*>(series_)->Increment(amount);
}
void Histogram::observe(double value) noexcept {
  if (series_ != nullptr) static_cast<prometheus::Histogram*>(series_)->Observe(value);
}

void Health::set(const std::string& part, bool ready, std::string reason) {
  const base::MutexLock lock{mutex_};
  parts_.insert_or_assign(part, Part{ready, std::move(reason)});
}

void Health::shut_down() {
  const base::MutexLock lock{mutex_};
  shut_down_ = true;
}

bool Health::ready() const {
  const base::MutexLock lock{mutex_};
  return !shut_down_ && std::all_of(parts_.begin(), parts_.end(), [](const auto& p) { return p.second.ready; });
}

std::string Health::json() const {
  const bool is_ready = ready();
  const base::MutexLock lock{mutex_};
  base::JsonOutObject parts;
  for (const auto& [name, part] : parts_) {
    base::JsonOutObject out{{"ready", part.ready}};
    if (!part.reason.empty()) out.emplace_back("reason", part.reason);
    parts.emplace_back(name, std::move(out));
  }
  if (shut_down_) parts.emplace_back("server", base::JsonOutObject{{"ready", false}, {"reason", "shutting down"}});
  return base::JsonOut{base::JsonOutObject{{"status", is_ready ? "ready" : "not_ready"}, {"parts", std::move(parts)}}}
      .compact();
}

}  // namespace attestry::net
