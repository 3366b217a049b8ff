// Every space of the store's keys: one byte, one owner (FORMATS 7). A value is never reused for something else.
#pragma once
#include <cstdint>

namespace attestry::state {

enum class Space : std::uint8_t {
  meta = 0x01,               ///< state: realm, highest time seen
  nonces = 0x10,             ///< appraisal: consumed nonces with the reply they were answered with
  appraisals = 0x11,         ///< appraisal: stored appraisals by id
  idempotency = 0x12,        ///< api: Idempotency-Key of other writes (FORMATS 12)
  appraisal_blobs = 0x13,    ///< appraisal: bytes that appraisals rest on, by digest, with how many do
  appraisal_times = 0x14,    ///< appraisal: newest first, with what a list shows
  appraisal_order = 0x15,    ///< appraisal: oldest first by what is kept alike
  appraisal_counts = 0x16,   ///< appraisal: number and bytes of what is kept alike
  audit_leaves = 0x20,       ///< audit: index u64 -> leaf
  audit_head = 0x21,         ///< audit: the one head row
  audit_nodes = 0x22,        ///< audit: level u8, index u64 -> hash of a complete subtree
  approvals = 0x30,          ///< governance: approvals by application and sequence number
  approval_heads = 0x31,     ///< governance: last sequence number and payload digest per application
  operators = 0x32,          ///< governance: operators and their keys
  apps = 0x33,               ///< governance: applications
  identities = 0x34,         ///< governance: approved identities and revocations
  policies = 0x35,           ///< governance: policy versions
  governance_state = 0x36,   ///< governance: version of a tenant's sets and lists, which a release's leaf re-reads
  measurement_sets = 0x37,   ///< governance: head of each measurement set
  measurements = 0x38,       ///< governance: entries of measurement sets by set and id
  set_changes = 0x39,        ///< governance: signed changes of measurement sets by set and number
  lists = 0x3a,              ///< governance: signed lists by name
  barred = 0x3b,             ///< governance: what let instances in and was taken back, by application and source
  chain_floor = 0x3c,        ///< governance: newest final block that was seen, by chain
  blobs = 0x40,              ///< provision: templates by content id
  secrets = 0x41,            ///< secrets: values sealed at rest, by content id
  secret_names = 0x42,       ///< secrets: names, versions, access rules
  kv_values = 0x43,          ///< secrets: versions of a versioned secret
  kv_names = 0x44,           ///< secrets: metadata of versioned secrets by namespace, mount and path
  kv_namespaces = 0x45,      ///< secrets: namespaces with their quotas and mounts
  tokens = 0x46,             ///< secrets: tokens of clients by digest, with their leases
  transit_keys = 0x47,       ///< secrets: keys of the transit engine by name and version
  keystore_masters = 0x48,   ///< secrets: masters of a keystore by vault and epoch, sealed
  keystore_sessions = 0x49,  ///< secrets: workers' sessions by digest of their id
  keystore_state = 0x4a,     ///< secrets: bans, rotation jobs, what was used up, counts of wallets, the pair's term
  instances = 0x50,          ///< provision: registered instances
  used_evidence = 0x52,      ///< provision: evidence of the registry's dialect that was used, by digest
  resting_on = 0x51,         ///< provision: instances by the measurement that let them in
  contract_grants = 0x53,    ///< provision: whom contracts let in, for the day on which they no longer do
  collateral = 0x60,         ///< collateral: cache by kind and platform
  keys = 0x70,               ///< keys: wrapped service keys
  epochs = 0x71,             ///< keys: epoch per application
  pki = 0x72,                ///< provision: CA certificates and issued certificates
  bootstrap = 0x73,          ///< keys: the set of shares of the registry's master key, what admins asked for
  admin_requests = 0x74,     ///< keys: signed admin requests that were used, by admin
  keymanager = 0x77,         ///< provision: master, membership and requests of a key manager, sealed
  threshold = 0x78,          ///< cluster: a node's epoch, its shares and keys of plans, sealed, and deals that it made
  onboarded = 0x76,          ///< provision: servers that were given the registry's master, by request
  rotation = 0x75,           ///< keys: what is being sealed anew, by application
  tracker_members = 0x80,    ///< tracker: members by user id, and user ids by public key
  tracker_spent = 0x81,  ///< tracker: receipts that were claimed or credited, by id and by when they may be forgotten
  tracker_torrents = 0x82,  ///< tracker: what is known of torrents
  tracker_state = 0x83,     ///< tracker: instance id, configuration, what was forgotten of receipts
};

}  // namespace attestry::state
