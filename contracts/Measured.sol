// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {DCAPEvent, DCAPReport, MAAReport} from "./Types.sol";

/// @title Measurements to identities.
/// @notice An identity is 32 bytes that stand for "this software, under this contract". The address is part of it, so
/// that an approval cannot be copied to another contract. The formula is the known one: it leaves out MRTD, RTMR3, the
/// configuration registers and the debug bit. A server must check these by itself or use its extended identities, which
/// are allowed by the same functions because to a contract an identity is only a number.
abstract contract Measured {
    uint256 private constant REGISTER_SIZE = 48;

    function DCAPIdentity(DCAPReport calldata report, DCAPEvent[] calldata) external view returns (bytes32) {
        return _dcapIdentity(report);
    }

    function MAAIdentity(MAAReport calldata report) external view returns (bytes32) {
        return _maaIdentity(report);
    }

    function _dcapIdentity(DCAPReport calldata report) internal view returns (bytes32) {
        require(report.mrTd.length == REGISTER_SIZE, "incorrect mrtd length");
        require(report.RTMRs[0].length == REGISTER_SIZE, "incorrect RTMR[0] length");
        require(report.RTMRs[1].length == REGISTER_SIZE, "incorrect RTMR[1] length");
        require(report.RTMRs[2].length == REGISTER_SIZE, "incorrect RTMR[2] length");
        require(report.RTMRs[3].length == REGISTER_SIZE, "incorrect RTMR[3] length");
        require(report.mrOwner.length == REGISTER_SIZE, "incorrect mrOwner length");
        require(report.mrConfigId.length == REGISTER_SIZE, "incorrect mrConfigId length");
        require(report.mrConfigOwner.length == REGISTER_SIZE, "incorrect mrConfigOwner length");
        return keccak256(abi.encodePacked(address(this), report.RTMRs[0], report.RTMRs[1], report.RTMRs[2]));
    }

    /// The boot loader (4), the kernel and initial file system (9) and the unified kernel image (11).
    function _maaIdentity(MAAReport calldata report) internal view returns (bytes32) {
        return keccak256(abi.encodePacked(address(this), report.PCRs[4], report.PCRs[9], report.PCRs[11]));
    }
}
