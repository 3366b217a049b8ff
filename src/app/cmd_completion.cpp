// `attestry completion` and `attestry man`: made from the commands themselves, so they cannot lag behind.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <ostream>

#include "app/cli.h"
#include "app/version.h"

namespace attestry::app {
namespace {

/// "attestry app show" -> words that may follow.
void walk(const CLI::App& command, const std::string& path,
          const std::function<void(const std::string&, const CLI::App&)>& visit) {
  visit(path, command);
  for (const auto* sub : command.get_subcommands([](const CLI::App*) { return true; }))
    walk(*sub, path + " " + sub->get_name(), visit);
}

std::string words_of(const CLI::App& command) {
  std::string words;
  for (const auto* sub : command.get_subcommands([](const CLI::App*) { return true; })) words += sub->get_name() + " ";
  for (const auto* option : command.get_options()) {
    for (const auto& name : option->get_lnames()) words += "--" + name + " ";
  }
  return words;
}

/// bash; zsh reads it through bashcompinit.
void print_completion(const CLI::App& root, std::ostream& out) {
  out << "# bash completion of attestry; for zsh: autoload -U bashcompinit && bashcompinit first\n"
         "_attestry() {\n"
         "  local cur=${COMP_WORDS[COMP_CWORD]} path=attestry word\n"
         "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do [[ $word == -* ]] || { case \"$path $word\" in\n";
  std::string known;
  walk(root, "attestry", [&](const std::string& path, const CLI::App&) {
    if (path != "attestry") known += (known.empty() ? "    " : "|") + ("\"" + path + "\"");
  });
  out << known << ") path=\"$path $word\";;\n    esac; }; done\n  case \"$path\" in\n";
  walk(root, "attestry", [&](const std::string& path, const CLI::App& command) {
    out << "    \"" << path << "\") COMPREPLY=($(compgen -W \"" << words_of(command) << "\" -- \"$cur\"));;\n";
  });
  out << "  esac\n  [[ ${#COMPREPLY[@]} -gt 0 ]] || COMPREPLY=($(compgen -f -- \"$cur\"))\n}\ncomplete -F _attestry "
         "attestry\n";
}

/// A character beyond ASCII by its number: what troff reads is Latin-1 otherwise. `text` begins with its lead byte.
std::string unicode_escape(std::string_view& text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const std::size_t more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
  std::uint32_t code = lead & (0x3fu >> more);
  text.remove_prefix(1);
  for (std::size_t i = 0; i < more && !text.empty(); ++i) {
    code = (code << 6) | (static_cast<unsigned char>(text[0]) & 0x3fu);
    text.remove_prefix(1);
  }
  char hex[8];
  const auto end = std::to_chars(hex, hex + sizeof(hex), code, 16).ptr;
  std::string digits{hex, end};
  std::ranges::transform(digits, digits.begin(),
                         [](char c) { return c >= 'a' ? static_cast<char>(c - 'a' + 'A') : c; });
  return "\\[u" + std::string(digits.size() < 4 ? 4 - digits.size() : 0, '0') + digits + "]";
}

std::string escaped(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const char c = text[0];
    if (static_cast<unsigned char>(c) >= 0x80) {
      out += unicode_escape(text);
      continue;
    }
    text.remove_prefix(1);
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else if ((c == '.' || c == '\'') && (out.empty() || out.back() == '\n')) {
      out += std::string{"\\&"} + c;
    } else {
      out += c;
    }
  }
  return out;
}

void print_man(const CLI::App& root, std::ostream& out) {
  out << ".TH ATTESTRY 1 \"\" \"attestry " << kVersion
      << "\" \"User Commands\"\n.SH NAME\nattestry \\- the trust plane for confidential computing\n"
      << ".SH SYNOPSIS\n.B attestry\n.I COMMAND\n[options]\n.SH DESCRIPTION\n"
      << escaped(root.get_description()) << "\n.SH COMMANDS\n";
  walk(root, "attestry", [&](const std::string& path, const CLI::App& command) {
    if (path == "attestry") return;
    out << ".SS " << escaped(path) << "\n" << escaped(command.get_description()) << "\n";
    for (const auto* option : command.get_options()) {
      if (option->get_name() == "--help" || option->get_name() == "-h,--help") continue;
      out << ".TP\n.B " << escaped(option->get_name()) << "\n" << escaped(option->get_description()) << "\n";
    }
  });
  out << ".SH EXIT STATUS\n0 done or accepted, 1 refused, 2 wrong use, 3 undecided or unavailable, 4 defect.\n";
}

}  // namespace

void add_completion(CLI::App& app, Context& context) {
  app.add_subcommand("completion", "Print the completion script for bash (and zsh by bashcompinit)")
      ->callback([&app, &context] { print_completion(app, context.out); });
  app.add_subcommand("man", "Print the manual page: attestry man | man -l -")->callback([&app, &context] {
    print_man(app, context.out);
  });
}

}  // namespace attestry::app
