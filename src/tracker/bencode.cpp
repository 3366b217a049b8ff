#include "tracker/bencode.h"

#include <algorithm>
#include <charconv>

#include "base/reader.h"

namespace attestry::tracker {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t kMostDigits = 20;  ///< of an integer with its sign

class Parser {
 public:
  Parser(base::ByteView bytes, const BencodeLimits& limits) : all_(bytes), reader_(bytes), limits_(limits) {}

  Result<Bencode> value(std::size_t depth) {
    if (depth > limits_.max_depth)
      return bad("values nested too deeply", std::to_string(limits_.max_depth) + " levels");
    if (++nodes_ > limits_.max_nodes) return bad("too many values", "at most " + std::to_string(limits_.max_nodes));
    const auto begin = reader_.offset();
    Bencode out;
    switch (peek()) {
      case 'i':
        TRY_OK(integer(out));
        break;
      case 'l':
        TRY_OK(list(out, depth));
        break;
      case 'd':
        TRY_OK(dictionary(out, depth));
        break;
      default:
        out.kind = BencodeKind::string;
        TRY(out.string, string());
    }
    out.source = all_.subspan(begin, reader_.offset() - begin);
    return out;
  }

  Status finish() const { return reader_.finish("bencoded value"); }

 private:
  Error bad(std::string what, std::string expected) const {
    return {Code::malformed, std::move(what) + " at offset " + std::to_string(reader_.offset()), std::move(expected)};
  }
  /// 0 at the end, which begins no value.
  char peek() const { return reader_.remaining() == 0 ? '\0' : static_cast<char>(reader_.rest().front()); }
  Status skip() { return reader_.take(1, "bencoding").ok() ? base::done() : Status{bad("the bytes end", "a value")}; }

  /// Digits up to `end`, which is taken, too. A sign only where `negative` allows it.
  Result<std::int64_t> number(char end, bool negative) {
    const auto rest = base::as_text(reader_.rest().first(std::min(reader_.remaining(), kMostDigits + 1)));
    const auto size = rest.find(end);
    if (size == std::string_view::npos || size == 0) return bad("no number", "digits and '" + std::string{end} + "'");
    const auto text = rest.substr(0, size);
    const auto digits = negative && text.front() == '-' ? text.substr(1) : text;
    std::int64_t out = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    const bool whole = error == std::errc{} && stop == text.data() + text.size() && !digits.empty() &&
                       std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; });
    if (!whole) return bad("no number of 64 bits", "digits and '" + std::string{end} + "'");
    if (digits.front() == '0' && text.size() > 1) return bad("a number with a leading zero or \"-0\"", "its one form");
    TRY_OK(reader_.take(size + 1, "number"));
    return out;
  }

  Status integer(Bencode& out) {
    TRY_OK(skip());
    TRY(out.integer, number('e', true));
    return base::done();
  }

  Result<std::string_view> string() {
    TRY(const auto size, number(':', false));
    if (static_cast<std::uint64_t>(size) > reader_.remaining()) {
      return bad("a string longer than what is there", std::to_string(reader_.remaining()) + " bytes at most");
    }
    TRY(const auto bytes, reader_.take(static_cast<std::size_t>(size), "string"));
    return base::as_text(bytes);
  }

  Status list(Bencode& out, std::size_t depth) {
    out.kind = BencodeKind::list;
    TRY_OK(skip());
    while (peek() != 'e') {
      TRY(auto one, value(depth + 1));
      out.list.push_back(std::move(one));
    }
    return skip();
  }

  Status dictionary(Bencode& out, std::size_t depth) {
    out.kind = BencodeKind::dictionary;
    TRY_OK(skip());
    while (peek() != 'e') {
      TRY(const auto key, string());
      // BEP 3: "Keys must be strings and appear in sorted order (sorted as raw strings, not alphanumerics)".
      if (!out.keys.empty() && key <= out.keys.back()) return bad("keys out of order or given twice", "ascending keys");
      TRY(auto one, value(depth + 1));
      out.keys.push_back(key);
      out.list.push_back(std::move(one));
    }
    return skip();
  }

  base::ByteView all_;
  base::Reader reader_;
  const BencodeLimits& limits_;
  std::size_t nodes_ = 0;
};

Error absent(std::string_view key, std::string_view kind) {
  return {Code::malformed, "no " + std::string{kind} + " \"" + std::string{key} + "\" in the dictionary"};
}

}  // namespace

const Bencode* Bencode::find(std::string_view key) const noexcept {
  const auto at = std::ranges::lower_bound(keys, key);
  return at == keys.end() || *at != key ? nullptr : &list[static_cast<std::size_t>(at - keys.begin())];
}

Result<std::int64_t> Bencode::get_integer(std::string_view key, std::int64_t min, std::int64_t max) const {
  const auto* found = find(key);
  if (found == nullptr || found->kind != BencodeKind::integer) return absent(key, "integer");
  if (found->integer < min || found->integer > max) {
    return Error{Code::malformed, "\"" + std::string{key} + "\" is out of range",
                 std::to_string(min) + " to " + std::to_string(max), std::to_string(found->integer)};
  }
  return found->integer;
}

Result<std::string_view> Bencode::get_string(std::string_view key) const {
  const auto* found = find(key);
  if (found == nullptr || found->kind != BencodeKind::string) return absent(key, "string");
  return found->string;
}

Result<Bencode> parse_bencode(base::ByteView bytes, const BencodeLimits& limits) {
  if (bytes.size() > limits.max_bytes) {
    return Error{Code::too_large, "too many bencoded bytes", std::to_string(limits.max_bytes),
                 std::to_string(bytes.size())};
  }
  Parser parser{bytes, limits};
  TRY(auto out, parser.value(1));
  TRY_OK(parser.finish());
  return out;
}

void append_bencoded(std::string& out, std::string_view text) {
  out.append(std::to_string(text.size())).append(":").append(text);
}

void append_bencoded(std::string& out, std::int64_t number) {
  out.append("i").append(std::to_string(number)).append("e");
}

}  // namespace attestry::tracker
