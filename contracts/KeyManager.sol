// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {MasterKey} from "./MasterKey.sol";
import {Platforms} from "./Platforms.sol";

/// How far a newcomer has come. Rejected is for good: whoever was sent away comes back with another key.
enum Membership {
    NotYet,
    Requested,
    Onboarded,
    Rejected
}

/// @title Governance of a key manager of the dstack family: its master key, who holds it, and what they must run.
/// @notice Keeps the interface of both known generations. A newcomer is known by an Ethereum address (second generation,
/// ours) or by its X25519 key (first generation).
contract KeyManager is MasterKey, Platforms {
    struct Member {
        bytes16 fmspc;
        /// In which it asked last, or was onboarded.
        uint32 epoch;
        Membership status;
        bytes32 measurement;
    }

    bytes32 private constant JOIN_TYPE =
        keccak256("Join(address member,bytes32 boxKey,address payer,bytes32 evidence,uint32 epoch)");
    bytes32 private constant ONBOARD_TYPE =
        keccak256("Onboard(address member,bytes16 fmspc,bytes32 measurement,bytes response,uint32 epoch)");
    bytes32 private constant ONBOARD_KEY_TYPE =
        keccak256("OnboardKey(bytes32 boxKey,bytes16 fmspc,bytes32 measurement,bytes response,uint32 epoch)");
    bytes32 private constant RESIGN_TYPE = keccak256("Resign(address member,uint32 epoch)");

    /// What the members' machines should run, by name.
    string public container;
    /// Whether onboardings signed as in the known generations count. Those digests name no chain and no contract, and
    /// the first generation's not even the platform and the measurement that are written down.
    bool public unboundOnboarding;
    mapping(address member => Member) private _members;
    mapping(bytes32 boxKey => Member) private _keys;

    event ContainerChanged(string container);
    event UnboundOnboardingSet(bool accepted, address by);
    event Requested(address indexed addr);
    event KeyRequested(bytes32 myPub, address by);
    event JoinRequested(address member, bytes32 boxKey, bytes32 evidenceHash, bytes32 blobHash, address by);
    event Onboarded(address indexed addr, bytes16 fmspc, bytes32 mrtd, bytes ciph);
    event Onboard(bytes32 myPub, bytes resp);
    event Deregistered(address member, address by);
    event KeyDeregistered(bytes32 myPub, address by);

    function set_container(string calldata name) external onlyOwner {
        _requireSize(bytes(name));
        container = name;
        emit ContainerChanged(name);
    }

    function setUnboundOnboarding(bool accepted) external onlyOwner {
        unboundOnboarding = accepted;
        emit UnboundOnboardingSet(accepted, _msgSender());
    }

    /// @notice A newcomer asks for the master key. It has signed for who pays, so that nobody else can use the request.
    function register(address addr, bytes calldata sig) external {
        require(_signed(addr, register_appdata(_msgSender()), sig), "Signature does not verify");
        _request(_members[addr]);
        emit Requested(addr);
    }

    /// @notice The first generation's request: nothing is signed, and being written down here proves nothing.
    function register(bytes32 myPub) external {
        require(myPub != 0, "Zero key");
        _request(_keys[myPub]);
        emit KeyRequested(myPub, _msgSender());
    }

    /// @notice Ours: the newcomer signs for its encryption key, its evidence, who pays, this contract and the epoch; and
    /// the evidence comes along, in the call data or as a blob.
    function join(address member, bytes32 boxKey, bytes calldata sig, bytes32 evidenceHash, bytes calldata evidence)
        external
    {
        require(boxKey != 0, "Zero key");
        bytes32 message = keccak256(abi.encode(JOIN_TYPE, member, boxKey, _msgSender(), evidenceHash, epoch));
        require(_signed(member, _typed(message), sig), "Signature does not verify");
        _request(_members[member]);
        emit Requested(member);
        emit JoinRequested(member, boxKey, evidenceHash, _carrier(evidenceHash, evidence), _msgSender());
    }

    /// @notice Hands a newcomer the encrypted master key. Whoever holds that key has signed for it; anybody may send it.
    /// Once for each request, so that the first answer is the only one.
    function onboard(address addr, bytes16 fmspc, bytes32 mrtd, bytes calldata ciph, bytes calldata sig) external {
        bytes32 message = keccak256(abi.encode(ONBOARD_TYPE, addr, fmspc, mrtd, keccak256(ciph), epoch));
        bool good = _signed(xPub, _typed(message), sig)
            || (unboundOnboarding && _signed(xPub, onboard_appdata(addr, fmspc, mrtd, ciph), sig));
        _admit(_members[addr], fmspc, mrtd, ciph, good);
        emit Onboarded(addr, fmspc, mrtd, ciph);
    }

    /// @notice The same for a newcomer of the first generation.
    function onboard(bytes32 myPub, bytes16 fmspc, bytes32 mrtd, bytes calldata resp, bytes calldata att) external {
        bytes32 message = keccak256(abi.encode(ONBOARD_KEY_TYPE, myPub, fmspc, mrtd, keccak256(resp), epoch));
        bool good = _signed(xPub, _typed(message), att);
        if (!good && unboundOnboarding) {
            bytes32 answer = keccak256(abi.encodePacked("onboard", myPub, resp));
            good = _signed(xPub, keccak256(abi.encodePacked("dstack-keymanager", answer)), att);
        }
        _admit(_keys[myPub], fmspc, mrtd, resp, good);
        emit Onboard(myPub, resp);
    }

    /// @notice Sends a member, or a newcomer, away for good. It keeps what it has; only a rotation makes that worthless.
    function deregister(address member) external onlyOwner {
        if (_reject(_members[member])) emit Deregistered(member, _msgSender());
    }

    function deregisterKey(bytes32 myPub) external onlyOwner {
        if (_reject(_keys[myPub])) emit KeyDeregistered(myPub, _msgSender());
    }

    /// @notice A member goes by itself. Anybody may send its signature: a machine seldom has money.
    function resign(address member, bytes calldata sig) external {
        bytes32 message = keccak256(abi.encode(RESIGN_TYPE, member, epoch));
        require(_signed(member, _typed(message), sig), "Signature does not verify");
        if (_reject(_members[member])) emit Deregistered(member, _msgSender());
    }

    function requested(address addr) external view returns (Membership) {
        return _members[addr].status;
    }

    function requestedKey(bytes32 myPub) external view returns (Membership) {
        return _keys[myPub].status;
    }

    /// What was said of a member when it was onboarded. Whether it may still have the key is what memberAllowed says.
    function registry(address addr) external view returns (bytes16 fmspc, bytes32 mrtd) {
        return (_members[addr].fmspc, _members[addr].measurement);
    }

    function registryOfKey(bytes32 myPub) external view returns (bytes16 fmspc, bytes32 mrtd) {
        return (_keys[myPub].fmspc, _keys[myPub].measurement);
    }

    /// @notice Whether it was onboarded in the present epoch, and its measurement and family are still listed. What the
    /// family's rule became since (see allowTcb) has no part in it.
    function memberAllowed(address addr) external view whenNotPaused returns (bool) {
        return _isAllowed(_members[addr]);
    }

    function keyAllowed(bytes32 myPub) external view whenNotPaused returns (bool) {
        return _isAllowed(_keys[myPub]);
    }

    /// What a newcomer of the second generation signs: who pays. Members compute digests themselves; a node that could
    /// choose what they sign would be their master.
    function register_appdata(address payer) public pure returns (bytes32) {
        return keccak256(abi.encodePacked("register", payer));
    }

    function onboard_appdata(address addr, bytes16 fmspc, bytes32 mrtd, bytes calldata ciph)
        public
        pure
        returns (bytes32)
    {
        return keccak256(abi.encodePacked("onboard", addr, fmspc, mrtd, ciph));
    }

    /// Whoever was a member, or asked, in a former epoch may ask again: it has no part in the present key. The epoch of
    /// whoever never asked is zero.
    function _request(Member storage member) private whenNotPaused {
        require(epoch != 0, "Not bootstrapped");
        require(member.status != Membership.Rejected, "Sent away");
        require(member.epoch < epoch, "Already requested");
        (member.epoch, member.status) = (epoch, Membership.Requested);
    }

    function _admit(Member storage member, bytes16 fmspc, bytes32 measurement, bytes calldata answer, bool good)
        private
        whenNotPaused
    {
        require(member.status == Membership.Requested, "Not requested");
        _requireSize(answer);
        _requireAllowed(fmspc, measurement);
        require(good, "Signature does not verify");
        (member.fmspc, member.epoch, member.status) = (fmspc, epoch, Membership.Onboarded);
        member.measurement = measurement;
    }

    function _reject(Member storage member) private returns (bool changed) {
        changed = member.status != Membership.Rejected;
        member.status = Membership.Rejected;
    }

    function _isAllowed(Member storage member) private view returns (bool) {
        return member.status == Membership.Onboarded && member.epoch == epoch
            && _allowed(member.fmspc, member.measurement);
    }
}
