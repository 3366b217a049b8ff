// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";
import {Reputation} from "./Reputation.sol";

/// @title Makes Reputations, and says which owners of theirs were appraised.
/// @notice Governance appraises quotes outside of the chain (each stands in an event) and writes down for which owner it
/// found which one good. It can never write members, and never take a Reputation from an owner who objects.
contract ReputationFactory {
    /// A recovery must leave an owner who is alive the time to notice.
    uint32 public constant MIN_RECOVERY_DELAY = 1 days;

    /// What all the proxies run.
    Reputation public immutable implementation = new Reputation();
    /// Of Reputations that named none.
    uint32 public immutable recoveryDelay;
    address public governance;
    address public pendingGovernance;
    /// SHA-256 of the evidence with which an owner was found good; zero: none.
    mapping(address owner => bytes32) public attestedAs;
    /// The Reputations of this factory. Their code alone does not say so: others can make a proxy with the same.
    mapping(address reputation => bool) public made;

    event ReputationCreated(address newReputationAddress, address owner, address referrer, bytes attestation);
    event AttestedSet(address owner, bytes32 attestationHash, address by);
    event GovernanceTransferStarted(address governance, address to);
    event GovernanceTransferred(address former, address governance);

    modifier onlyGovernance() {
        require(msg.sender == governance, "Only governance can call this function.");
        _;
    }

    constructor(address governance_, uint32 recoveryDelay_) {
        require(governance_ != address(0), "Zero address");
        _requireDelay(recoveryDelay_);
        (governance, recoveryDelay) = (governance_, recoveryDelay_);
    }

    /// @notice The event names the referrer that was accepted: zero when the one that was asked for is not of this factory,
    /// has shown no evidence, or is frozen. The evidence is kept as its SHA-256; an empty one counts as none.
    function createReputation(address _referrerReputation, bytes calldata _attestation) external returns (address) {
        return _create(_referrerReputation, _attestation, address(0), 0);
    }

    /// @notice The same with a guardian of its own, for good.
    function createGuarded(address referrer, bytes calldata attestation, address guardian, uint32 delay)
        external
        returns (address)
    {
        require(guardian != address(0), "Zero address");
        _requireDelay(delay);
        return _create(referrer, attestation, guardian, delay);
    }

    /// @notice Says for which evidence an owner was found good; zero takes it back.
    function setAttested(address owner, bytes32 attestationHash) external onlyGovernance {
        attestedAs[owner] = attestationHash;
        emit AttestedSet(owner, attestationHash, msg.sender);
    }

    function transferGovernance(address to) external onlyGovernance {
        pendingGovernance = to;
        emit GovernanceTransferStarted(msg.sender, to);
    }

    function acceptGovernance() external {
        require(msg.sender == pendingGovernance, "Only the pending governance can call this function.");
        emit GovernanceTransferred(governance, msg.sender);
        (governance, pendingGovernance) = (msg.sender, address(0));
    }

    function _create(address referrer, bytes calldata attestation, address guardian, uint32 delay)
        private
        returns (address created)
    {
        created = Clones.clone(address(implementation));
        made[created] = true;
        bytes32 shown = attestation.length == 0 ? bytes32(0) : sha256(attestation);
        address accepted = Reputation(created).initialize(msg.sender, referrer, shown, guardian, delay);
        emit ReputationCreated(created, msg.sender, accepted, attestation);
    }

    function _requireDelay(uint32 delay) private pure {
        require(delay >= MIN_RECOVERY_DELAY, "Recovery delay below one day");
    }
}
