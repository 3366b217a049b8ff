#include <CLI/CLI.hpp>

#include <ostream>

#include "app/cli.h"
#include "app/version.h"
#include "attestation/catalogue.h"
#include "base/json_writer.h"

namespace attestry::app {

void add_version(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand("version", "Print the version of the program and of the catalogue of checks");
  auto format = std::make_shared<std::string>("text");
  command->add_option("--format", *format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  command->callback([&context, format] {
    if (*format == "json") {
      context.out << base::JsonOut(
                         base::JsonOutObject{{"version", kVersion}, {"catalogue", attestation::kCatalogueVersion}})
                         .compact()
                  << "\n";
      return;
    }
    context.out << "attestry " << kVersion << "\ncatalogue of checks " << attestation::kCatalogueVersion << "\n";
  });
}

}  // namespace attestry::app
