// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

/// One entry of a TDX event log. The contracts take logs because the known interface has them; an identity does not
/// depend on them (docs/formats/registry.md).
struct DCAPEvent {
    uint32 Index;
    uint32 EventType;
    bytes EventPayload;
    bytes32 Digest;
}

/// Measurements of a TDX guest; each field is 48 bytes.
struct DCAPReport {
    bytes mrTd;
    bytes[4] RTMRs;
    bytes mrOwner;
    bytes mrConfigId;
    bytes mrConfigOwner;
}

/// Measurements of an Azure confidential VM: the platform configuration registers of its virtual TPM.
struct MAAReport {
    bytes32[24] PCRs;
}

/// What relying parties need of an application: its certificate authority (PEM), its public key (PEM) and evidence for
/// both.
struct AppPKI {
    bytes ca;
    bytes pubkey;
    bytes attestation;
}

/// A key management replica asks for the root key: its ephemeral public key (PEM), a nonce above zero, the operator who
/// answers for it, and its evidence.
struct OnboardRequest {
    bytes pubkey;
    int256 nonce;
    address operator;
    bytes attestation;
}
