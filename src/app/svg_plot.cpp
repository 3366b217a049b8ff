#include "app/svg_plot.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <initializer_list>
#include <string_view>

namespace attestry::app {
namespace {

constexpr double kWidth = 760;
constexpr double kHeight = 430;
constexpr double kLeft = 78;
constexpr double kRight = 20;
constexpr double kTop = 92;
constexpr double kBottom = 62;
constexpr std::size_t kColours = 6;
constexpr double kGap = 0.28;  ///< of a place that bars leave free
constexpr std::size_t kMostLabelledBars = 24;

// Colours that people tell apart who see few of them (Okabe and Ito), darker on white and lighter on black.
constexpr std::string_view kStyle =
    "<style>"
    "text{font-family:system-ui,sans-serif;font-size:12px;fill:#1f2328}"
    ".t{font-size:16px;font-weight:600}.n,.v{fill:#59636e}.v{font-size:10px}"
    ".bg{fill:#ffffff}.g{stroke:#d1d9e0;stroke-width:1}.a{stroke:#59636e;stroke-width:1}"
    ".c{stroke:#59636e;stroke-width:1.5;stroke-dasharray:6 4}"
    ".l{fill:none;stroke-width:2}"
    ".s0{fill:#0072b2;stroke:#0072b2}.s1{fill:#d55e00;stroke:#d55e00}.s2{fill:#009e73;stroke:#009e73}"
    ".s3{fill:#a8487e;stroke:#a8487e}.s4{fill:#8a6d00;stroke:#8a6d00}.s5{fill:#1f2328;stroke:#1f2328}"
    "@media (prefers-color-scheme:dark){"
    "text{fill:#f0f6fc}.n,.v{fill:#9198a1}.bg{fill:#0d1117}.g{stroke:#3d444d}.a,.c{stroke:#9198a1}"
    ".s0{fill:#56b4e9;stroke:#56b4e9}.s1{fill:#ff9a4d;stroke:#ff9a4d}.s2{fill:#2fd0a0;stroke:#2fd0a0}"
    ".s3{fill:#e59cc6;stroke:#e59cc6}.s4{fill:#f0e442;stroke:#f0e442}.s5{fill:#f0f6fc;stroke:#f0f6fc}"
    "}.l{fill:none}</style>";

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        // XML has no way to say control characters.
        out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
    }
  }
  return out;
}

std::string fixed(double value, int digits) {
  std::array<char, 64> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed, digits);
  return {text.data(), end.ptr};
}
/// A coordinate.
std::string num(double value) { return fixed(value, 1); }

/// The pattern with its "@" replaced, one after the other.
std::string fill(std::string_view pattern, std::initializer_list<std::string> values) {
  std::string out;
  const auto* next = values.begin();
  for (const char c : pattern) {
    if (c == '@' && next != values.end()) {
      out += *next++;
    } else {
      out += c;
    }
  }
  return out;
}

std::string text_at(double x, double y, std::string_view anchor, std::string_view style, std::string_view text) {
  return fill("<text x=\"@\" y=\"@\" text-anchor=\"@\" class=\"@\">@</text>\n",
              {num(x), num(y), std::string{anchor}, std::string{style.empty() ? "p" : style}, escaped(text)});
}

std::string line_at(double x1, double y1, double x2, double y2, std::string_view style) {
  return fill("<line x1=\"@\" y1=\"@\" x2=\"@\" y2=\"@\" class=\"@\"/>\n",
              {num(x1), num(y1), num(x2), num(y2), std::string{style}});
}

std::string digits(double value, int count);

/// For narrow places: "2.9 M", "34.9 k", "0.051".
std::string compact(double value, int count) {
  constexpr double kMillion = 1e6;
  constexpr double kThousand = 1e3;
  constexpr double kLeast = 1e4;
  if (std::abs(value) >= kMillion) return digits(value / kMillion, count) + " M";
  if (std::abs(value) >= kLeast) return digits(value / kThousand, count) + " k";
  return digits(value, count);
}

/// Values to heights, and where its ticks are.
class Axis {
 public:
  explicit Axis(const Plot& plot) : log_(plot.log_y) {
    double low = INFINITY;
    double high = -INFINITY;
    const auto see = [&](double value) {
      if (!shows(value)) return;
      low = std::min(low, value);
      high = std::max(high, value);
    };
    for (const auto& series : plot.series) std::ranges::for_each(series.values, see);
    if (plot.claim) see(plot.claim->first);
    if (!std::isfinite(low)) low = high = 1;
    log_ ? decades(low, high) : steps(low, high);
  }
  bool shows(double value) const { return std::isfinite(value) && (!log_ || value > 0); }
  double y(double value) const {
    const double at = log_ ? std::log10(value) : value;
    return kHeight - kBottom - (at - low_) / (high_ - low_) * (kHeight - kTop - kBottom);
  }
  /// Where bars stand.
  double base() const { return log_ ? kHeight - kBottom : y(std::clamp(0.0, low_, high_)); }
  const std::vector<double>& ticks() const { return ticks_; }

 private:
  void decades(double low, double high) {
    low_ = std::floor(std::log10(low) - 0.05);  // the lowest bar is to be seen, too
    high_ = std::max(low_ + 1, std::ceil(std::log10(high)));
    for (double at = low_; at <= high_; at += 1) ticks_.push_back(std::pow(10.0, at));
  }
  void steps(double low, double high) {
    constexpr double kSteps = 5;
    low_ = std::min(0.0, low);
    high_ = std::max({0.0, high, low_ + 1e-9});
    const double rough = (high_ - low_) / kSteps;
    const double decade = std::pow(10.0, std::floor(std::log10(rough)));
    double step = 10 * decade;
    for (const double nice : {1.0, 2.0, 5.0}) {
      if (nice * decade >= rough) {
        step = nice * decade;
        break;
      }
    }
    low_ = std::floor(low_ / step) * step;
    high_ = std::ceil(high_ / step) * step;
    const auto count = static_cast<int>(std::lround((high_ - low_) / step));
    for (int i = 0; i <= count; ++i) ticks_.push_back(low_ + i * step);
  }

  bool log_;
  double low_ = 0;
  double high_ = 1;
  std::vector<double> ticks_;
};

double place_width(const Plot& plot) {
  return (kWidth - kLeft - kRight) / static_cast<double>(std::max<std::size_t>(1, plot.places.size()));
}

double place_middle(const Plot& plot, std::size_t place) {
  return kLeft + (static_cast<double>(place) + 0.5) * place_width(plot);
}

std::string style_of(std::size_t series) { return "s" + std::to_string(series % kColours); }

/// Of another shape for each series.
std::string marker(double x, double y, std::size_t series) {
  const std::string style = style_of(series);
  switch (series % 4) {
    case 0:
      return fill("<circle cx=\"@\" cy=\"@\" r=\"4\" class=\"@\"/>\n", {num(x), num(y), style});
    case 1:
      return fill("<rect x=\"@\" y=\"@\" width=\"8\" height=\"8\" class=\"@\"/>\n", {num(x - 4), num(y - 4), style});
    case 2:
      return fill("<path d=\"M@ @l5 9h-10z\" class=\"@\"/>\n", {num(x), num(y - 5), style});
    default:
      return fill("<path d=\"M@ @l5 5l-5 5l-5 -5z\" class=\"@\"/>\n", {num(x), num(y - 5), style});
  }
}

std::string bars(const Plot& plot, const Axis& axis) {
  std::string out;
  const double room = place_width(plot) * (1 - kGap);
  const double width = room / static_cast<double>(std::max<std::size_t>(1, plot.series.size()));
  const bool labelled = plot.places.size() * plot.series.size() <= kMostLabelledBars;
  for (std::size_t s = 0; s < plot.series.size(); ++s) {
    for (std::size_t p = 0; p < std::min(plot.places.size(), plot.series[s].values.size()); ++p) {
      const double value = plot.series[s].values[p];
      if (!axis.shows(value)) continue;
      const double x = place_middle(plot, p) - room / 2 + static_cast<double>(s) * width;
      const double end = axis.y(value);
      const double top = std::min(end, axis.base());
      out += fill("<rect x=\"@\" y=\"@\" width=\"@\" height=\"@\" class=\"@\"><title>@, @: @</title></rect>\n",
                  {num(x + 1), num(top), num(std::max(1.0, width - 2)), num(std::abs(axis.base() - end)), style_of(s),
                   escaped(plot.series[s].name), escaped(plot.places[p]), short_number(value)});
      if (labelled) out += text_at(x + width / 2, top - 4, "middle", "v", compact(value, 2));
    }
  }
  return out;
}

std::string lines(const Plot& plot, const Axis& axis) {
  static constexpr std::array<std::string_view, kColours> kDashes{"", "7 3", "2 3", "9 3 2 3", "4 2", "1 2"};
  std::string out;
  for (std::size_t s = 0; s < plot.series.size(); ++s) {
    std::string points;
    std::string markers;
    for (std::size_t p = 0; p < std::min(plot.places.size(), plot.series[s].values.size()); ++p) {
      const double value = plot.series[s].values[p];
      if (!axis.shows(value)) continue;
      const double x = place_middle(plot, p);
      points += (points.empty() ? "" : " ") + num(x) + "," + num(axis.y(value));
      markers += marker(x, axis.y(value), s);
    }
    const std::string_view dash = kDashes[s % kColours];
    out += fill("<polyline points=\"@\" class=\"@ l\"@/>\n",
                {points, style_of(s), dash.empty() ? "" : fill(" stroke-dasharray=\"@\"", {std::string{dash}})});
    out += markers;
  }
  return out;
}

std::string frame(const Plot& plot, const Axis& axis) {
  std::string out;
  for (const double tick : axis.ticks()) {
    const double y = axis.y(tick);
    out += line_at(kLeft, y, kWidth - kRight, y, "g");
    out += text_at(kLeft - 8, y + 4, "end", "", compact(tick, 3));
  }
  for (std::size_t p = 0; p < plot.places.size(); ++p) {
    out += text_at(place_middle(plot, p), kHeight - kBottom + 18, "middle", "", plot.places[p]);
  }
  out += line_at(kLeft, kHeight - kBottom, kWidth - kRight, kHeight - kBottom, "a");
  out += line_at(kLeft, kTop, kLeft, kHeight - kBottom, "a");
  out += text_at((kLeft + kWidth - kRight) / 2, kHeight - 16, "middle", "n", plot.x_label);
  out += fill(
      "<text x=\"0\" y=\"0\" text-anchor=\"middle\" class=\"n\" transform=\"translate(18 @) rotate(-90)\">@</text>\n",
      {num((kTop + kHeight - kBottom) / 2), escaped(plot.y_label)});
  return out;
}

std::string legend(const Plot& plot) {
  constexpr double kLetter = 7;
  constexpr double kY = 68;
  std::string out;
  double x = kLeft;
  for (std::size_t s = 0; s < plot.series.size(); ++s) {
    out += plot.kind == Plot::Kind::lines ? marker(x + 5, kY, s)
                                          : fill("<rect x=\"@\" y=\"@\" width=\"10\" height=\"10\" class=\"@\"/>\n",
                                                 {num(x), num(kY - 5), style_of(s)});
    out += text_at(x + 15, kY + 4, "start", "", plot.series[s].name);
    x += 36 + kLetter * static_cast<double>(plot.series[s].name.size());
  }
  return out;
}

/// So many significant digits, without zeros behind a point.
std::string digits(double value, int count) {
  if (value == 0) return "0";
  const int magnitude = static_cast<int>(std::floor(std::log10(std::abs(value))));
  std::string text = fixed(value, std::max(0, count - 1 - magnitude));
  if (text.contains('.')) {
    text.erase(text.find_last_not_of('0') + 1);
    if (text.ends_with('.')) text.pop_back();
  }
  return text;
}

}  // namespace

std::string short_number(double value) {
  if (!std::isfinite(value)) return "-";
  constexpr int kDigits = 3;
  std::string text = digits(value, kDigits);
  const std::size_t sign = text.starts_with('-') ? 1 : 0;
  for (std::size_t at = std::min(text.find('.'), text.size()); at > sign + 3;) {
    at -= 3;
    text.insert(at, ",");
  }
  return text;
}

std::string to_svg(const Plot& plot) {
  const Axis axis{plot};
  const std::string width = fixed(kWidth, 0);
  const std::string height = fixed(kHeight, 0);
  std::string out = fill(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 @ @\" "
      "width=\"@\" height=\"@\" role=\"img\">\n<title>@</title>\n<desc>@</desc>\n",
      {width, height, width, height, escaped(plot.title), escaped(plot.note)});
  out += kStyle;
  out += fill("\n<rect x=\"0\" y=\"0\" width=\"@\" height=\"@\" class=\"bg\"/>\n", {width, height});
  out += text_at(kLeft, 26, "start", "t", plot.title);
  out += text_at(kLeft, 46, "start", "n", plot.note);
  out += legend(plot);
  out += frame(plot, axis);
  out += plot.kind == Plot::Kind::bars ? bars(plot, axis) : lines(plot, axis);
  if (plot.claim && axis.shows(plot.claim->first)) {
    const double y = axis.y(plot.claim->first);
    out += line_at(kLeft, y, kWidth - kRight, y, "c");
    out += text_at(kWidth - kRight - 4, y - 5, "end", "n", plot.claim->second);
  }
  return out + "</svg>\n";
}

}  // namespace attestry::app
