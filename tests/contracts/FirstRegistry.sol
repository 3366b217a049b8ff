// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

struct Published {
    bytes ca;
    bytes pubkey;
    bytes attestation;
}

/// @title As the registries of the first generation look from outside, for tests: the older names of the getters and no
/// IdentityAllowed. Whoever has a configuration is allowed.
contract FirstRegistry {
    address private immutable _owner = msg.sender;
    mapping(address account => bool) private _operators;
    mapping(bytes32 identity => bytes32) internal _configs;
    string[] private _backends;
    string[] private _domains;
    Published private _published;

    modifier onlyOwner() {
        require(msg.sender == _owner, "Owner only");
        _;
    }

    constructor() {
        _operators[msg.sender] = true;
    }

    function setConfigForIdentity(bytes32 identity, bytes32 configHash) external onlyOwner {
        _configs[identity] = configHash;
    }

    function setStorageBackend(string calldata location) external onlyOwner {
        _backends.push(location);
    }

    function registerInstanceDomainName(string calldata domain) external onlyOwner {
        _domains.push(domain);
    }

    function setPKI(Published calldata published) external onlyOwner {
        _published = published;
    }

    function getConfigForIdentity(bytes32 identity, address operator) external view returns (bytes32) {
        _requireOperator(operator);
        require(_configs[identity] != 0, "Config not mapped");
        return _configs[identity];
    }

    function allStorageBackends() external view returns (string[] memory) {
        return _backends;
    }

    function allInstanceDomainNames() external view returns (string[] memory) {
        return _domains;
    }

    function getPKI() external view returns (Published memory) {
        return _published;
    }

    function _requireOperator(address operator) internal view {
        require(_operators[operator], "Operator not authorized");
    }
}
