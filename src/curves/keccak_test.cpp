#include "curves/keccak.h"

#include <gtest/gtest.h>

#include "base/encoding.h"

namespace attestry::curves {
namespace {

std::string digest(std::string_view text) { return base::hex(keccak256(base::as_bytes(text))); }

TEST(Keccak256, KnownAnswers) {
  EXPECT_EQ(digest(""), "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
  EXPECT_EQ(digest("abc"), "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45");
  EXPECT_EQ(digest("testing"), "5f16f4c7f149ac4f9510d9cf8cf384038ad348b3bcdc01915f95de12df9d1b02");
}

// The selectors and topics that every Ethereum tool shows for these signatures.
TEST(Keccak256, EthereumSelectors) {
  EXPECT_EQ(digest("transfer(address,uint256)").substr(0, 8), "a9059cbb");
  EXPECT_EQ(digest("Transfer(address,address,uint256)"),
            "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");
}

TEST(Keccak256, BlockBoundaries) {
  EXPECT_EQ(digest(std::string(135, 'a')), "34367dc248bbd832f4e3e69dfaac2f92638bd0bbd18f2912ba4ef454919cf446");
  EXPECT_EQ(digest(std::string(136, 'a')), "a6c4d403279fe3e0af03729caada8374b5ca54d8065329a3ebcaeb4b60aa386e");
  EXPECT_EQ(digest(std::string(137, 'a')), "d869f639c7046b4929fc92a4d988a8b22c55fbadb802c0c66ebcd484f1915f39");
  EXPECT_EQ(digest(std::string(1000, 'a')), "b6a4ac1f51884d71f30fa397a5e155de3099e11fc0edef5d08b646e621e19de9");
}

}  // namespace
}  // namespace attestry::curves
