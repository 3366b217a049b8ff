// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {EnumerableSet} from "@openzeppelin/contracts/utils/structs/EnumerableSet.sol";
import {Discovery} from "./Discovery.sol";
import {Measured} from "./Measured.sol";
import {DCAPEvent, DCAPReport, MAAReport} from "./Types.sol";

/// @title Governance of one application: which identities may run it and with which configuration.
/// @notice Getters have the names of both generations of clients. Every change of state leaves an event; the events
/// that old clients know are emitted on every successful call, also when it changed nothing.
contract Registry is Discovery, Measured {
    using EnumerableSet for EnumerableSet.StringSet;

    /// Identity to the SHA-256 of its configuration template; zero: not allowed. For reading what is set: whether to
    /// serve somebody is answered by IdentityAllowed, which knows of operators and of the freeze.
    mapping(bytes32 identity => bytes32) public identityConfigMap;
    /// SHA-256 to content.
    mapping(bytes32 contentHash => bytes) public artifacts;
    EnumerableSet.StringSet private _backends;

    event IdentityConfigSet(bytes32 identity, bytes32 configHash, address by);
    event IdentityConfigRemoved(bytes32 identity, address by);
    event ArtifactAdded(bytes32 contentHash, address by);
    event ArtifactRemoved(bytes32 contentHash, address by);
    event StorageBackendSet(string location, address by);
    event StorageBackendRemoved(string location, address by);

    constructor() {
        _grantRole(ROLE_OPERATOR, msg.sender);
        _grantRole(ROLE_METADATA, msg.sender);
        _grantRole(ROLE_INSTANCE, msg.sender);
    }

    /// @notice Whether a workload with this identity, started by this operator, may have keys and configuration.
    function IdentityAllowed(bytes32 identity, address operator) external view whenNotPaused returns (bool) {
        _requireOperator(operator);
        return identityConfigMap[identity] != 0;
    }

    function ConfigForIdentity(bytes32 identity, address operator) external view returns (bytes32) {
        return _configFor(identity, operator);
    }

    /// The name of ConfigForIdentity in the first generation of clients.
    function getConfigForIdentity(bytes32 identity, address operator) external view returns (bytes32) {
        return _configFor(identity, operator);
    }

    function setConfigForIdentity(bytes32 identity, bytes32 configHash) external onlyOwner {
        _setConfig(identity, configHash);
    }

    function setConfigForDCAP(DCAPReport calldata report, DCAPEvent[] calldata, bytes32 configHash) external onlyOwner {
        _setConfig(_dcapIdentity(report), configHash);
    }

    function setConfigForMAA(MAAReport calldata report, bytes32 configHash) external onlyOwner {
        _setConfig(_maaIdentity(report), configHash);
    }

    function removeConfigMapForIdentity(bytes32 identity) external onlyOwner {
        if (identityConfigMap[identity] == 0) return;
        delete identityConfigMap[identity];
        emit IdentityConfigRemoved(identity, _msgSender());
    }

    /// @notice Adds a place where configuration and secrets are kept. A place that is there is not added again: a second
    /// copy would survive its removal.
    function setStorageBackend(string calldata location) external onlyOwner {
        _requireSize(bytes(location));
        if (_backends.add(location)) require(_backends.length() <= MAX_LIST_LENGTH, "Too many entries");
        emit StorageBackendSet(location, _msgSender());
    }

    function removeStorageBackend(string calldata location) external onlyOwner {
        _backends.remove(location);
        emit StorageBackendRemoved(location, _msgSender());
    }

    function StorageBackends() external view returns (string[] memory) {
        return _backends.values();
    }

    /// The name of StorageBackends in the first generation of clients.
    function allStorageBackends() external view returns (string[] memory) {
        return _backends.values();
    }

    function m_storageBackends(uint256 index) external view returns (string memory) {
        return _backends.at(index);
    }

    /// The name of m_storageBackends in the first generation of clients.
    function storageBackends(uint256 index) external view returns (string memory) {
        return _backends.at(index);
    }

    /// @notice Keeps content on chain under its SHA-256, so that whoever reads it can check it.
    function addArtifact(bytes calldata data) external onlyRole(ROLE_METADATA) whenNotPaused returns (bytes32) {
        _requireSize(data);
        bytes32 contentHash = sha256(data);
        if (artifacts[contentHash].length == 0) artifacts[contentHash] = data;
        emit ArtifactAdded(contentHash, _msgSender());
        return contentHash;
    }

    function removeArtifact(bytes32 contentHash) external onlyOwner {
        require(artifacts[contentHash].length != 0, "Artifact does not exist");
        delete artifacts[contentHash];
        emit ArtifactRemoved(contentHash, _msgSender());
    }

    function getArtifact(bytes32 contentHash) external view returns (bytes memory) {
        bytes memory data = artifacts[contentHash];
        require(data.length != 0, "Artifact does not exist");
        return data;
    }

    function _setConfig(bytes32 identity, bytes32 configHash) private {
        identityConfigMap[identity] = configHash;
        emit IdentityConfigSet(identity, configHash, _msgSender());
    }

    function _configFor(bytes32 identity, address operator) private view whenNotPaused returns (bytes32) {
        _requireOperator(operator);
        bytes32 configHash = identityConfigMap[identity];
        require(configHash != 0, "Config not mapped");
        return configHash;
    }
}
