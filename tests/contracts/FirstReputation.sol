// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {UserData} from "../../contracts/Reputation.sol";

/// @title As a reputation of the first generation looks to a successor, for tests: whoever deploys it says of its members
/// what it likes.
contract FirstReputation {
    address public owner = msg.sender;
    mapping(string username => UserData) public allUsers;

    function getUserData(string calldata username) external view returns (UserData memory) {
        return allUsers[username];
    }

    function addUser(string calldata username, string calldata salt, bytes32 passwordHash, uint256 down, uint256 up)
        external
    {
        allUsers[username] = UserData(username, salt, passwordHash, down, up);
    }

    function give(address newOwner) external {
        owner = newOwner;
    }
}
