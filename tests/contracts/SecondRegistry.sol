// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {FirstRegistry} from "./FirstRegistry.sol";

/// @title As the registries of the second generation look from outside, for tests: the older names of the getters, and an
/// IdentityAllowed that alone says who is allowed.
contract SecondRegistry is FirstRegistry {
    mapping(bytes32 identity => bool) private _allowed;

    function allowIdentity(bytes32 identity, bool allowed) external onlyOwner {
        _allowed[identity] = allowed;
    }

    function IdentityAllowed(bytes32 identity, address operator) external view returns (bool) {
        _requireOperator(operator);
        return _allowed[identity];
    }
}
