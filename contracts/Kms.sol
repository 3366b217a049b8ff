// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {EnumerableSet} from "@openzeppelin/contracts/utils/structs/EnumerableSet.sol";
import {Discovery} from "./Discovery.sol";
import {Measured} from "./Measured.sol";
import {DCAPReport, MAAReport, OnboardRequest} from "./Types.sol";

/// @title Governance of the key management service itself: which replicas may hold the root key, and which applications
/// they serve.
contract Kms is Discovery, Measured {
    using EnumerableSet for EnumerableSet.AddressSet;

    /// For reading what is set: whether to serve a replica is answered by IdentityAllowed.
    mapping(bytes32 identity => bool) public allowlistedIdentities;
    mapping(bytes32 requestHash => OnboardRequest) public onboardRequests;
    /// Digest of the policy document under which an application is served; zero when there is none.
    mapping(address application => bytes32) public applicationPolicy;
    EnumerableSet.AddressSet private _applications;

    event IdentityAllowlisted(bytes32 identity, address by);
    event AllowlistedIdentityRemoved(bytes32 identity, address by);
    event ApplicationAllowlisted(address application, address by);
    event AllowlistedApplicationRemoved(address application, address by);
    event ApplicationPolicySet(address application, bytes32 policy, address by);
    event OnboardRequested(bytes32 requestHash, address operator);
    event OnboardRequestRemoved(bytes32 requestHash, address by);

    constructor() {
        _grantRole(ROLE_OPERATOR, msg.sender);
    }

    /// @notice Whether a replica with this identity, started by this operator, may have the root key.
    function IdentityAllowed(bytes32 identity, address operator) external view whenNotPaused returns (bool) {
        _requireOperator(operator);
        return allowlistedIdentities[identity];
    }

    function allowlistIdentity(bytes32 identity) external onlyOwner {
        _allow(identity);
    }

    function allowlistDCAP(DCAPReport calldata report) external onlyOwner {
        _allow(_dcapIdentity(report));
    }

    function allowlistMAA(MAAReport calldata report) external onlyOwner {
        _allow(_maaIdentity(report));
    }

    function removeAllowlistedIdentity(bytes32 identity) external onlyOwner {
        if (!allowlistedIdentities[identity]) return;
        delete allowlistedIdentities[identity];
        emit AllowlistedIdentityRemoved(identity, _msgSender());
    }

    function ApplicationAllowed(address application) external view whenNotPaused returns (bool) {
        return _applications.contains(application);
    }

    function AllowApplication(address application) external onlyOwner {
        if (!_applications.add(application)) return;
        require(_applications.length() <= MAX_LIST_LENGTH, "Too many entries");
        emit ApplicationAllowlisted(application, _msgSender());
    }

    /// @notice Takes an application away, and its policy with it: allowed again, it starts without one.
    function RemoveAllowlistedApplication(address application) external onlyOwner {
        if (!_applications.remove(application)) return;
        if (applicationPolicy[application] != 0) {
            delete applicationPolicy[application];
            emit ApplicationPolicySet(application, 0, _msgSender());
        }
        emit AllowlistedApplicationRemoved(application, _msgSender());
    }

    function AllowlistedApplications() external view returns (address[] memory) {
        return _applications.values();
    }

    function setApplicationPolicy(address application, bytes32 digest) external onlyOwner {
        require(_applications.contains(application), "Application not allowlisted");
        applicationPolicy[application] = digest;
        emit ApplicationPolicySet(application, digest, _msgSender());
    }

    /// @notice The operator of a replica asks for the root key in its name. Whoever holds the root key then judges the
    /// evidence inside; being stored here authorises nothing.
    function requestOnboard(OnboardRequest calldata request) external onlyRole(ROLE_OPERATOR) whenNotPaused {
        require(request.operator == _msgSender(), "operator must be the sender");
        // A nonce of zero is how clients see that there is no request.
        require(request.nonce > 0, "nonce must be positive");
        _requireSize(request.pubkey);
        _requireSize(request.attestation);
        bytes32 requestHash = HashOnboardRequest(request);
        onboardRequests[requestHash] = request;
        emit OnboardRequested(requestHash, _msgSender());
    }

    /// @notice Withdraws a request: its operator, or the owner.
    function removeOnboardRequest(bytes32 requestHash) external {
        address operator = onboardRequests[requestHash].operator;
        require(operator != address(0), "Onboard request does not exist");
        if (_msgSender() != operator) _checkOwner();
        delete onboardRequests[requestHash];
        emit OnboardRequestRemoved(requestHash, _msgSender());
    }

    /// All fields are zero when there is no such request.
    function fetchOnboardRequest(bytes32 requestHash) external view whenNotPaused returns (OnboardRequest memory) {
        return onboardRequests[requestHash];
    }

    function HashOnboardRequest(OnboardRequest calldata request) public pure returns (bytes32) {
        return keccak256(abi.encode(request.pubkey, request.nonce, request.operator, request.attestation));
    }

    function _allow(bytes32 identity) private {
        allowlistedIdentities[identity] = true;
        emit IdentityAllowlisted(identity, _msgSender());
    }
}
