// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {EnumerableSet} from "@openzeppelin/contracts/utils/structs/EnumerableSet.sol";
import {Governed} from "./Governed.sol";
import {AppPKI} from "./Types.sol";

/// @title What relying parties look up: the application's keys and the names under which its instances answer.
abstract contract Discovery is Governed {
    using EnumerableSet for EnumerableSet.StringSet;

    /// Longest name: a host name of DNS (253) and a port.
    uint256 public constant MAX_DOMAIN_SIZE = 260;

    AppPKI public app_pki;
    EnumerableSet.StringSet private _domains;
    mapping(bytes32 nameHash => address) private _registrars;

    event PKIUpdated(address by, AppPKI pki);
    event InstanceDomainRegistered(string domain, address by);
    event InstanceDomainRemoved(string domain, address by);

    function setPKI(AppPKI calldata pki) external onlyOwner {
        _requireSize(pki.ca);
        _requireSize(pki.pubkey);
        _requireSize(pki.attestation);
        app_pki = pki;
        emit PKIUpdated(_msgSender(), pki);
    }

    function PKI() external view returns (AppPKI memory) {
        return app_pki;
    }

    /// The name of PKI in the first generation of clients.
    function getPKI() external view returns (AppPKI memory) {
        return app_pki;
    }

    /// @notice Adds a name, once: a name that is there stays with whoever registered it first.
    function registerInstanceDomainName(string calldata domain) external onlyRole(ROLE_OPERATOR) whenNotPaused {
        uint256 size = bytes(domain).length;
        require(size > 0 && size <= MAX_DOMAIN_SIZE, "Invalid domain name");
        if (_domains.add(domain)) {
            require(_domains.length() <= MAX_LIST_LENGTH, "Too many entries");
            _registrars[keccak256(bytes(domain))] = _msgSender();
        }
        emit InstanceDomainRegistered(domain, _msgSender());
    }

    /// @notice Takes a name away: the owner any, an operator only its own, so that no operator can hide another's
    /// instances.
    function removeInstanceDomainName(string calldata domain) external {
        bytes32 nameHash = keccak256(bytes(domain));
        if (_msgSender() != owner()) {
            _checkRole(ROLE_OPERATOR);
            require(_registrars[nameHash] == _msgSender(), "Domain name of another operator");
        }
        require(_domains.remove(domain), "Domain name not registered");
        delete _registrars[nameHash];
        emit InstanceDomainRemoved(domain, _msgSender());
    }

    function InstanceDomainNames() external view returns (string[] memory) {
        return _domains.values();
    }

    /// The name of InstanceDomainNames in the first generation of clients.
    function allInstanceDomainNames() external view returns (string[] memory) {
        return _domains.values();
    }

    function m_instanceDomainNames(uint256 index) external view returns (string memory) {
        return _domains.at(index);
    }

    /// The name of m_instanceDomainNames in the first generation of clients.
    function instanceDomainNames(uint256 index) external view returns (string memory) {
        return _domains.at(index);
    }
}
