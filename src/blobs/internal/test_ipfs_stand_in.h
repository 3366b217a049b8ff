// An IPFS node's RPC and gateway for raw blocks, as strict as Kubo: POST only, known options, real CIDs.
#pragma once
#include "blobs/internal/cid.h"
#include "blobs/testing/support.h"

namespace attestry::blobs::testing {

class IpfsStandIn final : public StandIn {
 public:
  std::map<std::string, std::string> blocks{};  ///< by CID
  bool gateway = false;
  bool only_cat = false;
  std::string wrong_key{};  ///< what block/put answers in place of the CID

  net::Response answer(const net::HttpRequest& request, const net::ClientOptions&) override {
    const auto parts = parts_of(request.url);
    if (gateway) return from_gateway(request, parts);
    if (!parts.path.starts_with("/api/v0/")) return plain(404, "404 page not found");
    if (request.method != net::Method::post) return plain(405, "405 - Method Not Allowed");
    const auto command = parts.path.substr(8);
    if (command == "version") return plain(200, R"({"Version":"0.39.0"})");
    if (command == "block/put" && !only_cat) return put(request, parts);
    if (command == "block/get" && !only_cat) return get(parts, "");
    if (command == "cat") return get(parts, "/ipfs/");
    return plain(404, "404 page not found");
  }

 private:
  static net::Response trouble(const std::string& message) {
    return plain(500, R"({"Message":")" + message + R"(","Code":0,"Type":"error"})");
  }

  net::Response get(const Parts& parts, const std::string& prefix) const {
    const auto arg = parts.query.count("arg") != 0 ? parts.query.at("arg") : "";
    if (!arg.starts_with(prefix)) return trouble("invalid path");
    const auto cid = arg.substr(prefix.size());
    if (!sha256_of_cid(cid)) return trouble("invalid cid: " + cid);
    const auto found = blocks.find(cid);
    if (found == blocks.end()) return trouble("block was not found locally (offline): ipld: could not find " + cid);
    return plain(200, found->second);
  }

  net::Response put(const net::HttpRequest& request, const Parts& parts) {
    const auto option = [&parts](const char* name) { return parts.query.count(name) != 0 ? parts.query.at(name) : ""; };
    if (option("cid-codec") != "raw" || option("mhtype") != "sha2-256") return trouble("not a raw block");
    const std::string type{request.headers.get("content-type")};
    const auto mark = type.find("boundary=");
    if (!type.starts_with("multipart/form-data") || mark == std::string::npos) return plain(400, "no multipart body");
    const auto boundary = "--" + type.substr(mark + 9);
    const auto& body = request.body;
    const auto head = body.find("\r\n\r\n");
    const auto end = body.rfind("\r\n" + boundary + "--");
    if (!body.starts_with(boundary + "\r\n") || head == std::string::npos || end == std::string::npos ||
        end < head + 4) {
      return plain(400, "multipart: NextPart: EOF");
    }
    const auto content = body.substr(head + 4, end - head - 4);
    if (content.size() > (1u << 20)) return trouble("produced block is over 1MiB");
    const auto cid = raw_cid(id_of(content));
    blocks[cid] = content;
    return plain(200, R"({"Key":")" + (wrong_key.empty() ? cid : wrong_key) + R"(","Size":1})");
  }

  net::Response from_gateway(const net::HttpRequest& request, const Parts& parts) const {
    if (request.method != net::Method::get || !parts.path.starts_with("/ipfs/")) return plain(404);
    if (parts.query.count("format") == 0 || parts.query.at("format") != "raw") return plain(406);
    const auto found = blocks.find(parts.path.substr(6));
    return found == blocks.end() ? plain(404, "not found") : plain(200, found->second);
  }
};

}  // namespace attestry::blobs::testing
