// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

/// As every reader since the first generation has it.
struct UserData {
    string username;
    string salt;
    bytes32 passwordHash;
    uint256 downloadSize;
    uint256 uploadSize;
}

/// What a Reputation rests on: whose word its owner's evidence is, and who may help when the owner's key is lost.
interface IReputationFactory {
    function governance() external view returns (address);
    function recoveryDelay() external view returns (uint32);
    function attestedAs(address owner) external view returns (bytes32);
    function made(address reputation) external view returns (bool);
}

/// @title What one tracker says of its members, and what it took over from the tracker before it.
/// @notice Keeps the interface of the first generation. Each one is a small proxy that a ReputationFactory has made of one
/// implementation and remembers, so that it can say which are genuine; but anybody may have one made, so genuine does not
/// mean honest: members are taken over only from a referrer whose owner is attested, or whom this contract's own owner
/// vouches for.
contract Reputation {
    /// 2^128-1 bytes are enough for each direction: both fit into one word, which halves what an update costs. The name
    /// is the key of the entry and is not stored beside it.
    struct Entry {
        bytes32 passwordHash;
        uint128 downloadSize;
        uint128 uploadSize;
        string salt;
    }

    /// Contracts that are asked one after the other for a member who is to be taken over.
    uint256 public constant MAX_HOPS = 8;

    IReputationFactory public immutable factory;

    address public owner;
    bool public frozen;
    /// The tracker before this one.
    address public referrerReputation;
    /// SHA-256 of the owner's evidence, which stands in an event; zero when this owner has shown none.
    bytes32 public attestation;
    /// What this contract's owner vouches for: Keccak-256 of the referrer's code hash, owner and attestation.
    bytes32 public referrerVouched;
    address public pendingOwner;
    address private _guardian;
    uint32 private _recoveryDelay;
    address public recoveryOwner;
    uint64 public recoveryTime;
    string public offchainDataUrl;
    mapping(string username => Entry) private _users;

    event OwnershipTransferStarted(address indexed previousOwner, address indexed newOwner);
    event OwnershipTransferred(address indexed previousOwner, address indexed newOwner);
    event RecoveryStarted(address newOwner, uint64 notBefore, address by);
    event RecoveryCancelled(address newOwner, address by);
    event Attested(address owner, bytes32 attestationHash, bytes attestation);
    event ReferrerSet(address referrer, address itsOwner, bytes32 itsAttestation);
    event UserMigrated(string username, address from);
    event Frozen(address by);
    event Unfrozen(address by);

    modifier onlyOwner() {
        require(msg.sender == owner, "Only the owner can call this function.");
        _;
    }

    modifier onlyGuardian() {
        require(msg.sender == guardian(), "Only the guardian can call this function.");
        _;
    }

    modifier whenNotFrozen() {
        require(!frozen, "Contract is frozen");
        _;
    }

    /// Of the implementation, which stays without an owner: nobody can do anything with it.
    constructor() {
        factory = IReputationFactory(msg.sender);
    }

    /// @notice Once, by the factory, in the transaction that makes the proxy. Returns the referrer that was accepted:
    /// one of the same factory, attested, not frozen. Whether it is trusted is asked whenever a member is taken over.
    function initialize(address owner_, address referrer, bytes32 attestation_, address guardian_, uint32 delay)
        external
        returns (address accepted)
    {
        require(msg.sender == address(factory), "Only the factory can call this function.");
        owner = owner_;
        if (attestation_ != 0) attestation = attestation_;
        if (guardian_ != address(0)) (_guardian, _recoveryDelay) = (guardian_, delay);
        if (referrer == address(this) || !_isGenuine(referrer)) return address(0);
        (address itsOwner, bytes32 its, bool stopped) = Reputation(referrer).standing();
        if (itsOwner == address(0) || its == 0 || stopped) return address(0);
        referrerReputation = accepted = referrer;
    }

    // -- members

    function allUsers(string calldata _username)
        external
        view
        returns (string memory username, string memory salt, bytes32 passwordHash, uint256 downloadSize, uint256 uploadSize)
    {
        UserData memory user = getUserData(_username);
        return (user.username, user.salt, user.passwordHash, user.downloadSize, user.uploadSize);
    }

    /// @notice What this contract itself has: an empty structure when it has nothing.
    function getUserData(string calldata _username) public view returns (UserData memory user) {
        Entry storage entry = _users[_username];
        user.passwordHash = entry.passwordHash;
        if (user.passwordHash == 0) return user;
        (user.username, user.salt) = (_username, entry.salt);
        (user.downloadSize, user.uploadSize) = (entry.downloadSize, entry.uploadSize);
    }

    /// @notice Never overwrites: a member's history ends only with updateUser, which says so by its name.
    function addUser(
        string calldata _username,
        string calldata _salt,
        bytes32 _passwordHash,
        uint256 _downloadSize,
        uint256 _uploadSize
    ) external onlyOwner whenNotFrozen {
        _store(_username, _salt, _passwordHash, _downloadSize, _uploadSize);
    }

    function updateUser(string calldata _username, uint256 _downloadSize, uint256 _uploadSize)
        external
        onlyOwner
        whenNotFrozen
    {
        Entry storage entry = _users[_username];
        require(entry.passwordHash != 0, "User does not exist");
        (entry.downloadSize, entry.uploadSize) = (_size(_downloadSize), _size(_uploadSize));
    }

    /// @notice Takes a member over from the referrer, or from whom that one refers to, and so on. Anybody may ask; but
    /// every contract on the way must be trusted by the one before it, and one that is frozen ends the search.
    function migrateUserData(string calldata _username) external whenNotFrozen {
        require(_users[_username].passwordHash == 0, "User exists");
        (UserData memory user, address from) = _ask(_username, MAX_HOPS);
        require(user.passwordHash != 0, "User not found");
        _store(_username, user.salt, user.passwordHash, user.downloadSize, user.uploadSize);
        emit UserMigrated(_username, from);
    }

    /// @notice What a successor asks: the member from here, or from one of the next `hops` referrers; and for whom this
    /// contract's owner is to be held.
    function lookUp(string calldata _username, uint256 hops)
        external
        view
        returns (UserData memory user, address from, address itsOwner, bytes32 itsAttestation)
    {
        require(!frozen, "Referrer is frozen");
        (user, from) = (getUserData(_username), address(this));
        if (user.passwordHash == 0 && referrerReputation != address(0)) {
            require(hops != 0, "Too many referrers");
            (user, from) = _ask(_username, hops);
        }
        return (user, from, owner, attestation);
    }

    // -- the referrer

    /// @notice The owner vouches for a referrer, which it has appraised: for this owner and this evidence of it, and no
    /// others that may come after. A contract of another kind (the first generation's) has no evidence: zero. The zero
    /// address takes the referrer away.
    function setReferrer(address referrer, address itsOwner, bytes32 itsAttestation) external onlyOwner whenNotFrozen {
        require(referrer != address(this), "A contract cannot refer to itself");
        require(referrer == address(0) || attestation != 0, "Owner is not attested");
        referrerReputation = referrer;
        referrerVouched = referrer == address(0) ? bytes32(0) : _vouched(referrer, itsOwner, itsAttestation);
        if (referrer != address(0)) {
            (address found, bytes32 shown) = (Reputation(referrer).owner(), bytes32(0));
            if (_isGenuine(referrer)) shown = Reputation(referrer).attestation();
            require(found == itsOwner && shown == itsAttestation, "Referrer is not as said");
        }
        emit ReferrerSet(referrer, itsOwner, itsAttestation);
    }

    function standing() external view returns (address, bytes32, bool) {
        return (owner, attestation, frozen);
    }

    // -- the owner

    /// @notice Shows evidence of this owner, after its key has changed or for a newer one.
    function attest(bytes calldata evidence) external onlyOwner whenNotFrozen {
        require(evidence.length != 0, "Empty attestation");
        attestation = sha256(evidence);
        emit Attested(msg.sender, attestation, evidence);
    }

    /// @notice Offers the ownership; it moves when the new owner accepts. Offer it to the present owner to withdraw.
    function transferOwnership(address newOwner) external onlyOwner whenNotFrozen {
        pendingOwner = newOwner;
        emit OwnershipTransferStarted(msg.sender, newOwner);
    }

    function acceptOwnership() external whenNotFrozen {
        require(msg.sender == pendingOwner, "Only the pending owner can call this function.");
        _moveTo(msg.sender);
    }

    // -- the guardian

    /// Chosen at the creation, else the factory's governance of the day.
    function guardian() public view returns (address) {
        return _guardian == address(0) ? factory.governance() : _guardian;
    }

    /// Seconds between a recovery's start and its end.
    function recoveryDelay() public view returns (uint32) {
        return _guardian == address(0) ? factory.recoveryDelay() : _recoveryDelay;
    }

    /// @notice For a tracker that came back with another key. It takes time, so that an owner who is alive can object.
    function startRecovery(address newOwner) external onlyGuardian {
        require(newOwner != address(0), "Zero address");
        (recoveryOwner, recoveryTime) = (newOwner, uint64(block.timestamp) + recoveryDelay());
        emit RecoveryStarted(newOwner, recoveryTime, msg.sender);
    }

    function cancelRecovery() external {
        require(msg.sender == owner || msg.sender == guardian(), "Only the owner or the guardian can call this function.");
        require(recoveryOwner != address(0), "No recovery");
        emit RecoveryCancelled(recoveryOwner, msg.sender);
        (recoveryOwner, recoveryTime) = (address(0), 0);
    }

    /// @notice By the new owner itself: a key that nobody has never becomes owner.
    function finishRecovery() external {
        require(msg.sender == recoveryOwner, "Only the recovering owner can call this function.");
        require(block.timestamp >= recoveryTime, "Too early");
        _moveTo(msg.sender);
    }

    /// @notice Stops every change of members here and every migration from here. The owner may too (a key that was
    /// stolen); only the guardian lifts it.
    function freeze() external {
        require(msg.sender == owner || msg.sender == guardian(), "Only the owner or the guardian can call this function.");
        frozen = true;
        emit Frozen(msg.sender);
    }

    function unfreeze() external onlyGuardian {
        frozen = false;
        emit Unfrozen(msg.sender);
    }

    // -- where more is kept

    function getOffchainDataUrl() external view returns (string memory) {
        return offchainDataUrl;
    }

    function setOffchainDataUrl(string calldata _offchainDataUrl) external onlyOwner whenNotFrozen {
        offchainDataUrl = _offchainDataUrl;
    }

    // -- inside

    /// The former owner's evidence says nothing of the new one, and nothing that was begun before goes on.
    function _moveTo(address newOwner) private {
        emit OwnershipTransferred(owner, newOwner);
        (owner, pendingOwner, attestation) = (newOwner, address(0), 0);
        (recoveryOwner, recoveryTime) = (address(0), 0);
    }

    function _store(string calldata username, string memory salt, bytes32 passwordHash, uint256 down, uint256 up) private {
        Entry storage entry = _users[username];
        require(entry.passwordHash == 0, "User exists");
        require(bytes(username).length != 0, "Username is empty");
        // Zero is how an entry that is not there looks.
        require(passwordHash != 0, "Password hash is zero");
        (entry.downloadSize, entry.uploadSize) = (_size(down), _size(up));
        entry.passwordHash = passwordHash;
        if (bytes(salt).length != 0) entry.salt = salt;
    }

    function _ask(string calldata username, uint256 hops) private view returns (UserData memory user, address from) {
        address referrer = referrerReputation;
        require(referrer != address(0), "No referrer");
        address itsOwner;
        bytes32 its;
        if (_isGenuine(referrer)) {
            (user, from, itsOwner, its) = Reputation(referrer).lookUp(username, hops - 1);
            if (its != 0 && factory.attestedAs(itsOwner) == its) return (user, from);
        } else {
            (user, from) = (Reputation(referrer).getUserData(username), referrer);
            itsOwner = Reputation(referrer).owner();
            try Reputation(referrer).frozen() returns (bool stopped) {
                require(!stopped, "Referrer is frozen");
            } catch {}  // the first generation cannot be
        }
        require(referrerVouched == _vouched(referrer, itsOwner, its), "Referrer is not trusted");
    }

    /// Made by the same factory. The code does not say so: whoever makes a proxy by himself fills its storage first.
    function _isGenuine(address other) private view returns (bool) {
        return factory.made(other);
    }

    function _vouched(address referrer, address itsOwner, bytes32 its) private view returns (bytes32) {
        return keccak256(abi.encode(referrer.codehash, itsOwner, its));
    }

    function _size(uint256 size) private pure returns (uint128) {
        require(size <= type(uint128).max, "Size too large");
        return uint128(size);
    }
}
