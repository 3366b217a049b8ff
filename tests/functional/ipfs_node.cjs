// An IPFS node for tests: the RPC of a node, and a gateway, around the real CID, UnixFS and block store code of the
// packages that tools/deps/npm.sh unpacks (their own bundles, which need nothing else).
//   node ipfs_node.cjs FOLDER_OF_PACKAGES        prints "listening PORT"
"use strict";
const fs = require("node:fs");
const http = require("node:http");
const path = require("node:path");
const vm = require("node:vm");
const { createHash } = require("node:crypto");

const packages = process.argv[2];
// The bundles are scripts that leave one global each, in packages whose other files are modules.
const load = (name) =>
  vm.runInThisContext(fs.readFileSync(path.join(packages, name, "dist", "index.min.js"), "utf8"), { filename: name });
["multiformats", "blockstore-core", "ipfs-unixfs-importer", "ipfs-unixfs-exporter"].forEach(load);
const { CID, digest } = globalThis.Multiformats;
const { MemoryBlockstore } = globalThis.BlockstoreCore;
const { importer } = globalThis.IpfsUnixfsImporter;
const { exporter } = globalThis.IpfsUnixfsExporter;

const RAW = 0x55;
const SHA2_256 = 0x12;
const MAX_BLOCK = 1 << 20;
const blocks = new MemoryBlockstore();

async function collect(source) {
  const parts = [];
  for await (const part of source) parts.push(part);
  return Buffer.concat(parts);
}

async function blockOf(cid) {
  try {
    return await collect(blocks.get(cid));
  } catch (error) {
    if (error.name !== "NotFoundError") throw error;
    throw new Error(`block was not found locally (offline): ipld: could not find ${cid}`);
  }
}

function fileOf(body, type) {
  const boundary = /^multipart\/form-data;.*boundary="?([^";]+)/.exec(type ?? "")?.[1];
  const start = body.indexOf("\r\n\r\n") + 4;
  const end = boundary ? body.lastIndexOf(`\r\n--${boundary}--`) : -1;
  if (!boundary || start < 4 || end < start || !body.subarray(0, boundary.length + 2).equals(Buffer.from(`--${boundary}`)))
    throw new Error("file argument 'data' is required");
  return body.subarray(start, end);
}

const commands = {
  version: async () => ({ Version: "0.0.0-test" }),
  add: async (query, file) => {
    let last;
    const options = { cidVersion: Number(query.get("cid-version") ?? 0), rawLeaves: query.get("raw-leaves") === "true" };
    for await (const entry of importer([{ path: "file", content: [file()] }], blocks, options)) last = entry;
    return { Name: "file", Hash: last.cid.toString(), Size: String(last.size) };
  },
  cat: async (query) => {
    const entry = await exporter(query.get("arg").replace(/^\/ipfs\//, ""), blocks);
    return collect(entry.content());
  },
  "block/put": async (query, file) => {
    if (query.get("cid-codec") !== "raw" || query.get("mhtype") !== "sha2-256") throw new Error("only raw blocks here");
    const data = file();
    if (data.length > MAX_BLOCK) throw new Error("produced block is over 1MiB: big blocks can't be exchanged with other peers");
    const cid = CID.createV1(RAW, digest.create(SHA2_256, createHash("sha256").update(data).digest()));
    await blocks.put(cid, data);
    return { Key: cid.toString(), Size: data.length };
  },
  "block/get": async (query) => blockOf(CID.parse(query.get("arg"))),
};

async function answer(request) {
  const url = new URL(request.url, "http://node");
  const body = await collect(request);
  if (request.method === "GET" && url.pathname.startsWith("/ipfs/")) {
    if (url.searchParams.get("format") !== "raw") return [406, "text/plain", "only raw blocks here"];
    try {
      return [200, "application/vnd.ipld.raw", await blockOf(CID.parse(url.pathname.slice(6)))];
    } catch (error) {
      return [404, "text/plain", error.message];
    }
  }
  if (request.method !== "POST") return [405, "text/plain", "405 - Method Not Allowed"];
  const command = commands[url.pathname.replace(/^\/api\/v0\//, "")];
  if (!command || !url.pathname.startsWith("/api/v0/")) return [404, "text/plain", "404 page not found"];
  try {
    const result = await command(url.searchParams, () => fileOf(body, request.headers["content-type"]));
    if (Buffer.isBuffer(result)) return [200, "text/plain", result];
    return [200, "application/json", JSON.stringify(result)];
  } catch (error) {
    return [500, "application/json", JSON.stringify({ Message: error.message, Code: 0, Type: "error" })];
  }
}

const server = http.createServer(async (request, response) => {
  const [status, type, body] = await answer(request);
  response.writeHead(status, { "content-type": type });
  response.end(body);
});
server.listen(0, "127.0.0.1", () => console.log(`listening ${server.address().port}`));
