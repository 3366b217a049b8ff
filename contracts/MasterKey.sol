// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {Governed} from "./Governed.sol";

/// @title The public side of a key manager's master key, epoch by epoch, and what it has signed.
/// @notice Signatures are v(27 or 28) ‖ r ‖ s with a low s, 65 bytes, as both known generations write them. Digests of the
/// known generations name neither a chain nor a contract: what one deployment attested holds on every other with the
/// same key. verifyBound is for who can choose.
abstract contract MasterKey is Governed {
    bytes32 private constant DOMAIN_TYPE =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant DOMAIN_NAME = keccak256("attestry key manager");
    bytes32 private constant DOMAIN_VERSION = keccak256("1");
    bytes32 private constant ATTESTATION_TYPE =
        keccak256("Attestation(string workload,string purpose,bytes32 appData,uint32 epoch,uint64 expires)");
    bytes32 private constant ROTATION_TYPE = keccak256("Rotation(address xPub,uint32 epoch)");
    uint256 private constant SIGNATURE_SIZE = 65;

    /// Address of the present master key; zero before the bootstrap.
    address public xPub;
    /// Counts from 1 with the bootstrap; each rotation begins a new one.
    uint32 public epoch;
    /// For whoever audits: which key was in force.
    mapping(uint32 epoch => address) public xPubOfEpoch;
    mapping(address key => bool) private _used;

    /// Not indexed, as in the first generation. The second indexed it; the topic is the same, one event can have one
    /// shape, and both generations' programs read xPub() and no log.
    event BootstrapComplete(address xPub);
    event XPubRotated(uint32 epoch, address former, address xPub, address by);
    event EvidencePosted(address subject, bytes32 evidenceHash, bytes32 blobHash, address by);

    /// @notice Puts the first master key in force. Once: later ones come by rotate, which leaves a trace.
    function bootstrap(address key) external onlyOwner {
        _bootstrap(key);
    }

    /// @notice The same together with the quote that was made for the key.
    function bootstrapWithEvidence(address key, bytes32 evidenceHash, bytes calldata evidence) external onlyOwner {
        _bootstrap(key);
        _postEvidence(key, evidenceHash, evidence);
    }

    /// @notice Puts another master key in force: what the former one signs counts no more, and every member has to join
    /// again. The new key signs, so that an address without a key behind it cannot stop everything.
    function rotate(address key, bytes calldata sig, bytes32 evidenceHash, bytes calldata evidence) external onlyOwner {
        require(xPub != address(0), "Not bootstrapped");
        require(!_used[key], "Key was in force before");
        bytes32 digest = _typed(keccak256(abi.encode(ROTATION_TYPE, key, epoch + 1)));
        require(_signed(key, digest, sig), "Signature does not verify");
        address former = xPub;
        _begin(key);
        emit XPubRotated(epoch, former, key, _msgSender());
        _postEvidence(key, evidenceHash, evidence);
    }

    /// @notice Leaves evidence for auditors: in the call data, in the transaction's first blob, or both. Anybody may:
    /// evidence speaks for itself, since the hardware has signed for whom it was made.
    function postEvidence(address subject, bytes32 evidenceHash, bytes calldata evidence) external whenNotPaused {
        _postEvidence(subject, evidenceHash, evidence);
    }

    /// @notice First generation: whether the key manager says appData for the workload of that name. Write the name
    /// into the contract that calls this; a name that comes with the signature proves nothing.
    function verify(string calldata caller, bytes32 appData, bytes calldata sig) external view returns (bool) {
        return _verifyNamed(caller, appData, sig);
    }

    /// The name under which the first generation's description calls it.
    function verifyAttestation(string calldata hostname, bytes32 appdata, bytes calldata sig)
        external
        view
        returns (bool)
    {
        return _verifyNamed(hostname, appdata, sig);
    }

    /// @notice Second generation: appData is a hash of the workload's tag and data.
    function verify(bytes32 appData, bytes calldata sig) external view whenNotPaused returns (bool) {
        return _signed(xPub, keccak256(abi.encodePacked("attest", appData)), sig);
    }

    /// @notice Ours: for this chain, this contract, the present epoch, one purpose, and until a time.
    function verifyBound(
        string calldata workload,
        string calldata purpose,
        bytes32 appData,
        uint64 expires,
        bytes calldata sig
    ) external view whenNotPaused returns (bool) {
        if (block.timestamp > expires) return false;
        bytes32 message = keccak256(
            abi.encode(ATTESTATION_TYPE, keccak256(bytes(workload)), keccak256(bytes(purpose)), appData, epoch, expires)
        );
        return _signed(xPub, _typed(message), sig);
    }

    /// EIP-712. Computed at each call, so that a fork of the chain has its own, and the code holds no address.
    function domainSeparator() public view returns (bytes32) {
        return keccak256(abi.encode(DOMAIN_TYPE, DOMAIN_NAME, DOMAIN_VERSION, block.chainid, address(this)));
    }

    function _bootstrap(address key) private {
        require(xPub == address(0), "Already bootstrapped");
        require(key != address(0), "Zero address");
        _begin(key);
        emit BootstrapComplete(key);
    }

    function _begin(address key) private {
        xPub = key;
        ++epoch;
        xPubOfEpoch[epoch] = key;
        _used[key] = true;
    }

    function _postEvidence(address subject, bytes32 evidenceHash, bytes calldata evidence) private {
        emit EvidencePosted(subject, evidenceHash, _carrier(evidenceHash, evidence), _msgSender());
    }

    /// The versioned hash of the first blob, zero when there is none. The contract sees no bytes of a blob: whether they
    /// have the hash that is named is for its readers to check.
    function _carrier(bytes32 evidenceHash, bytes calldata evidence) internal view returns (bytes32 blobHash) {
        blobHash = blobhash(0);
        if (evidence.length == 0) require(blobHash != 0, "No evidence attached");
        else require(sha256(evidence) == evidenceHash, "Evidence does not match its hash");
    }

    function _verifyNamed(string calldata caller, bytes32 appData, bytes calldata sig)
        private
        view
        whenNotPaused
        returns (bool)
    {
        return _signed(xPub, keccak256(abi.encodePacked(caller, appData)), sig);
    }

    function _typed(bytes32 message) internal view returns (bytes32) {
        return keccak256(abi.encodePacked(hex"1901", domainSeparator(), message));
    }

    /// Never for the zero address, which is also what a failed recovery gives.
    function _signed(address signer, bytes32 digest, bytes calldata sig) internal pure returns (bool) {
        if (signer == address(0) || sig.length != SIGNATURE_SIZE) return false;
        (address found, ECDSA.RecoverError failure,) =
            ECDSA.tryRecover(digest, uint8(sig[0]), bytes32(sig[1:33]), bytes32(sig[33:65]));
        return failure == ECDSA.RecoverError.NoError && found == signer;
    }
}
