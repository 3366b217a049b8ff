// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";

/// @title Who may change what, and the brake.
/// @notice The owner decides what may run; roles do the daily work; a guardian can only stop things. The owner may be a
/// multi-signature wallet or a timelock: nothing here asks who signed a transaction, only who calls.
abstract contract Governed is Ownable2Step, AccessControl, Pausable {
    /// May register domain names and ask for onboarding; workloads started by these accounts are served.
    bytes32 public constant ROLE_OPERATOR = keccak256("ROLE_OPERATOR");
    /// May add artifacts.
    bytes32 public constant ROLE_METADATA = keccak256("ROLE_METADATA");
    /// Known to old clients; grants nothing.
    bytes32 public constant ROLE_INSTANCE = keccak256("ROLE_INSTANCE");
    /// May freeze, and nothing else. For a key that is quicker at hand than the owner's: taken by a thief it can stop
    /// releases but cannot cause one.
    bytes32 public constant ROLE_GUARDIAN = keccak256("ROLE_GUARDIAN");

    /// Largest byte string that is stored, so that one transaction cannot make reading it back impossible.
    uint256 public constant MAX_BYTES_SIZE = 20480;
    /// Most entries of a list that is read back in one call, for the same reason.
    uint256 public constant MAX_LIST_LENGTH = 1024;

    /// Digest of the policy document that this contract's owner has put in force; zero when there is none.
    bytes32 public policy;

    event PolicySet(bytes32 policy, address by);

    /// The admin of all roles is the owner and nobody else; it cannot be granted, revoked or renounced by itself.
    error AdminFollowsOwnership();

    constructor() Ownable(msg.sender) {}

    /// @notice Stops every answer that leads to a release of keys or configuration, and every write that is not the
    /// owner's. Only the owner can lift it, so that a guardian's mistake costs time and never secrets.
    function freeze() external {
        if (_msgSender() != owner()) _checkRole(ROLE_GUARDIAN);
        _pause();
    }

    function unfreeze() external onlyOwner {
        _unpause();
    }

    function setPolicy(bytes32 digest) external onlyOwner {
        policy = digest;
        emit PolicySet(digest, _msgSender());
    }

    /// @notice Offers the ownership; it moves when the new owner calls acceptOwnership. An address that cannot call (a
    /// typing mistake) therefore never becomes owner. To withdraw an offer, offer it to the present owner.
    function transferOwnership(address newOwner) public override(Ownable2Step) onlyOwner {
        if (newOwner == address(0)) revert OwnableInvalidOwner(address(0));
        super.transferOwnership(newOwner);
    }

    /// The right to grant roles goes with the ownership: a former owner who kept it could make itself operator again.
    function _transferOwnership(address newOwner) internal override(Ownable2Step) {
        address former = owner();
        super._transferOwnership(newOwner);
        if (former == newOwner) return;
        if (former != address(0)) _revokeRole(DEFAULT_ADMIN_ROLE, former);
        if (newOwner != address(0)) _grantRole(DEFAULT_ADMIN_ROLE, newOwner);
    }

    function _grantRole(bytes32 role, address account) internal override returns (bool) {
        if (role == DEFAULT_ADMIN_ROLE && account != owner()) revert AdminFollowsOwnership();
        return super._grantRole(role, account);
    }

    function _revokeRole(bytes32 role, address account) internal override returns (bool) {
        if (role == DEFAULT_ADMIN_ROLE && account == owner()) revert AdminFollowsOwnership();
        return super._revokeRole(role, account);
    }

    /// A text instead of the library's error code: clients that know nothing of freezing show it to their users.
    function _requireNotPaused() internal view override {
        require(!paused(), "Contract is frozen");
    }

    function _requireOperator(address operator) internal view {
        require(hasRole(ROLE_OPERATOR, operator), "Operator not authorized");
    }

    function _requireSize(bytes calldata data) internal pure {
        require(data.length <= MAX_BYTES_SIZE, "Data size exceeds limit");
    }
}
