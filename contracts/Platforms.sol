// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {Governed} from "./Governed.sol";

/// What a platform of a family (FMSPC) must be patched to. Advice to members, who see the quote: the contract itself looks
/// only whether the family is listed.
struct TcbRule {
    /// Least tcbEvaluationDataNumber of the TCB info by which its quote is judged.
    uint32 minEvaluation;
    /// Bit 0 UpToDate, 1 SWHardeningNeeded, 2 ConfigurationNeeded, 3 ConfigurationAndSWHardeningNeeded, 4 OutOfDate,
    /// 5 OutOfDateConfigurationNeeded. Zero: no platform of that family. Revoked has no bit.
    uint16 statuses;
}

/// @title Which software may hold the master key, and on which platforms.
/// @notice Members read these lists before they hand the key on. The contract cannot see the newcomer's quote: of what a
/// member says it looks whether the measurement and the family are listed.
abstract contract Platforms is Governed {
    uint16 private constant STATUS_BITS = 0x3f;
    uint256 private constant REGISTER_SIZE = 48;

    /// By SHA-256 of the 48 bytes.
    mapping(bytes32 mrtd => bool) public allowed_mrtds;
    mapping(bytes32 mrenclave => bool) public allowed_mrenclaves;
    /// By the hash of four measurements of a virtual machine; see set_mrtd.
    mapping(bytes32 key => bool) public rtmrs;
    /// By FMSPC: 6 bytes and 10 zero bytes.
    mapping(bytes16 fmspc => TcbRule) public allowed_tcbs;

    event MrtdAllowed(bytes32 mrtd, bool allowed, address by);
    event MrenclaveAllowed(bytes32 mrenclave, bool allowed, address by);
    event SetMRTD(bytes32 rootfs_hash, bytes mrtd, bytes rtmr0, bytes rtmr3, bool allowed);
    event TcbAllowed(bytes16 fmspc, uint32 minEvaluation, uint16 statuses, address by);

    function allowMrtd(bytes32 mrtd, bool allowed) external onlyOwner {
        require(mrtd != 0, "Zero measurement");
        allowed_mrtds[mrtd] = allowed;
        emit MrtdAllowed(mrtd, allowed, _msgSender());
    }

    function allowMrenclave(bytes32 mrenclave, bool allowed) external onlyOwner {
        require(mrenclave != 0, "Zero measurement");
        allowed_mrenclaves[mrenclave] = allowed;
        emit MrenclaveAllowed(mrenclave, allowed, _msgSender());
    }

    /// @notice Allows a virtual machine by its root file system, MRTD, RTMR0 and RTMR3. As known clients call it, but
    /// with lengths that are checked: without them two different machines could have the same bytes in a row.
    function set_mrtd(
        bytes32 rootfs_hash,
        bytes calldata mrtd,
        bytes calldata rtmr0,
        bytes calldata rtmr3,
        bool allowed
    ) external onlyOwner {
        rtmrs[_machine(rootfs_hash, mrtd, rtmr0, rtmr3)] = allowed;
        emit SetMRTD(rootfs_hash, mrtd, rtmr0, rtmr3, allowed);
    }

    function get_mrtd(bytes32 rootfs_hash, bytes calldata mrtd, bytes calldata rtmr0, bytes calldata rtmr3)
        external
        view
        whenNotPaused
        returns (bool)
    {
        return rtmrs[_machine(rootfs_hash, mrtd, rtmr0, rtmr3)];
    }

    /// @notice Sets what platforms of a family must fulfil to be onboarded from now on; statuses of zero take the family
    /// away. A stricter rule ends no membership: only taking the family or the measurement away, sending the member away,
    /// or a rotation does.
    function allowTcb(bytes16 fmspc, uint32 minEvaluation, uint16 statuses) external onlyOwner {
        require(statuses & ~STATUS_BITS == 0, "Unknown TCB status");
        if (statuses == 0) {
            minEvaluation = 0;
            delete allowed_tcbs[fmspc];
        } else {
            allowed_tcbs[fmspc] = TcbRule(minEvaluation, statuses);
        }
        emit TcbAllowed(fmspc, minEvaluation, statuses, _msgSender());
    }

    function _allowed(bytes16 fmspc, bytes32 measurement) internal view returns (bool) {
        return _measurementAllowed(measurement) && allowed_tcbs[fmspc].statuses != 0;
    }

    /// One word stands for a machine by any of the three lists: all are hashes of different things.
    function _measurementAllowed(bytes32 measurement) internal view returns (bool) {
        return allowed_mrtds[measurement] || allowed_mrenclaves[measurement] || rtmrs[measurement];
    }

    function _requireAllowed(bytes16 fmspc, bytes32 measurement) internal view {
        require(_measurementAllowed(measurement), "Measurement not allowed");
        require(allowed_tcbs[fmspc].statuses != 0, "TCB configuration not allowed");
    }

    function _machine(bytes32 rootfs_hash, bytes calldata mrtd, bytes calldata rtmr0, bytes calldata rtmr3)
        private
        pure
        returns (bytes32)
    {
        require(mrtd.length == REGISTER_SIZE, "incorrect mrtd length");
        require(rtmr0.length == REGISTER_SIZE, "incorrect RTMR[0] length");
        require(rtmr3.length == REGISTER_SIZE, "incorrect RTMR[3] length");
        return keccak256(abi.encodePacked(rootfs_hash, mrtd, rtmr0, rtmr3));
    }
}
