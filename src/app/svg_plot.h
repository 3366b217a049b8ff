// Plots as SVG, for documents: bars or lines over a few places on the x axis. They are readable in light and dark
// (prefers-color-scheme), and series differ by more than colour. SVG 1.1, CSS media queries.
//
// Pure; thread-safe.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace attestry::app {

/// One value per place; what is not finite is left out.
struct PlotSeries {
  std::string name;
  std::vector<double> values;
};

struct Plot {
  enum class Kind : std::uint8_t { bars, lines };
  Kind kind = Kind::bars;
  std::string title;
  std::string note{};  ///< under the title
  std::string x_label{};
  std::string y_label{};
  bool log_y = false;               ///< decades; values that are not positive are left out
  std::vector<std::string> places;  ///< on the x axis, at equal distances
  std::vector<PlotSeries> series;   ///< at most six are told apart
  /// A horizontal line for what somebody claims, with its name.
  std::optional<std::pair<double, std::string>> claim{};
};

/// A whole document. Without anything to show it is an empty frame.
std::string to_svg(const Plot& plot);

/// Three significant digits without an exponent: "0.0123", "4.5", "12,300".
std::string short_number(double value);

}  // namespace attestry::app
