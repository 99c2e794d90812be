// A process's data folder: held by one process at a time, with an identity that is made once and a counter of starts (rule E4).
// A folder whose identity is gone while its data is there is refused rather than given a new one: to its peers a new identity
// says "this disk is empty".

import Glibc
package import Model
import Synchronization

/// Keeps the folder locked as long as it lives.
package final class DataFolder: Sendable {
    /// The file by which whoever founds a cluster tells an empty folder that its store is one of the first.
    private static let foundingMark = "founding"
    /// Space that is given up for a start on a full disk: to count a start takes a block or two.
    private static let reserve = (name: "reserve", bytes: 64 * 1_024)
    private static let asidePrefix = "set-aside-"
    /// How many folders with damaged data are kept: the newest and the one before it. Each is as large as what was damaged, and a disk
    /// that damages data may do so again and again.
    private static let asideKept = 2

    package let path: String
    package let store: StoreID
    private let current: Mutex<Generation>
    /// Whether this store was there when the cluster was founded: it counts from the start, while any other must be let in.
    package let isFounding: Bool
    private let lock: Lock

    /// Opens the folder, making it and its identity if there is nothing yet, and raises its counter durably.
    ///
    /// - Parameter random: the identity of a new store; the caller's, so that tests are repeatable.
    /// - Throws: `.locked` while another process, or this one, holds it; `.identityMissing`, `.unreadable`, `.otherFormat`;
    ///   `.startsUsedUp`, and the folder is as it was.
    package init(_ path: String, random: UInt64 = .random(in: 1 ... .max)) throws(StorageError) {
        try SystemCall.makeFolder(path)
        let lock = try Lock(path + "/lock")
        let identityPath = path + "/store"
        let identity: StoreIdentity
        if let known = try Self.identity(at: identityPath) {
            // No peer would believe in the next one.
            guard known.generation.number < Limits.latestStart else {
                throw .startsUsedUp(path: identityPath, start: known.generation.number + 1)
            }
            identity = StoreIdentity(
                store: known.store, generation: Generation(known.generation.number + 1), isFounding: known.isFounding)
        } else {
            let names = try SystemCall.names(in: path)
            guard names.allSatisfy({ ["lock", "store.tmp", Self.reserve.name, Self.foundingMark].contains($0) }) else {
                throw .identityMissing(path: path)
            }
            identity = StoreIdentity(
                store: StoreID(random), generation: Generation(1), isFounding: names.contains(Self.foundingMark))
        }
        try Self.write(identity, in: path)
        try DurableFile.synchronizeFolder(of: path)
        // The mark is good for one store. Its identity says from now on what it was made for.
        try Self.removeMark(in: path)
        self.path = path
        self.store = identity.store
        self.current = Mutex(identity.generation)
        self.isFounding = identity.isFounding
        self.lock = lock
    }

    /// How often a process has opened this folder, this time included; more where it was raised.
    package var generation: Generation { current.withLock { $0 } }

    /// Goes on from a higher number, durably: another store of this name had the present one.
    ///
    /// - Throws: `.startsUsedUp` for a number behind which too few starts are left, and the present one stands: who got so far may have been a
    ///   mistake, and a folder that has counted so far would never be opened again.
    package func raise(to generation: Generation) throws(StorageError) {
        try current.withLock { current throws(StorageError) in
            guard generation > current else { return }
            guard generation.number <= Limits.latestStart - Limits.startsLeft else {
                throw .startsUsedUp(path: path + "/store", start: generation.number)
            }
            try Self.write(StoreIdentity(store: store, generation: generation, isFounding: isFounding), in: path)
            current = generation
        }
    }

    /// Leaves the mark of a founding member in a folder that no process has used yet, making the folder.
    ///
    /// - Throws: `.locked` for a folder that has a store: nothing makes a founding member of it any more.
    package static func markFounding(_ path: String) throws(StorageError) {
        try SystemCall.makeFolder(path)
        guard !SystemCall.exists(path + "/store") else { throw .locked(path: path) }
        try DurableFile.replace(path + "/" + foundingMark, with: Array("coxswain founding member\n".utf8))
    }

    private static func write(_ identity: StoreIdentity, in path: String) throws(StorageError) {
        let reserve = path + "/" + Self.reserve.name
        do throws(StorageError) {
            try DurableFile.replace(path + "/store", with: identity.encoded)
        } catch {
            guard case .noSpace = error, SystemCall.exists(reserve) else { throw error }
            try DurableFile.remove(reserve)
            try DurableFile.replace(path + "/store", with: identity.encoded)
        }
        guard !SystemCall.exists(reserve) else { return }
        do throws(StorageError) { try File(reserve, .create).reserve(Self.reserve.bytes) } catch {
            // Made by a later start, when there is space.
            guard case .noSpace = error else { throw error }
            try SystemCall.remove(reserve)
        }
    }

    private static func removeMark(in path: String) throws(StorageError) {
        let mark = path + "/" + foundingMark
        if SystemCall.exists(mark) { try DurableFile.remove(mark) }
    }

    private static func identity(at path: String) throws(StorageError) -> StoreIdentity? {
        guard let bytes = try DurableFile.read(path) else { return nil }
        if let known = StoreIdentity(bytes) { return known }
        if let version = StoreIdentity.otherFormat(bytes) { throw .otherFormat(path: path, found: version, known: 2) }
        throw .unreadable(path: path)
    }

    /// Makes an empty store out of a damaged one: `names`, and the floors of the logs among them, go into a folder of their own
    /// inside, with the reason in a file beside them, under a new identity of the store. No founding member any more: what it had
    /// promised went with its data.
    ///
    /// Of earlier damaged data the newest folder stays, and older ones go.
    ///
    /// The identity comes first. A crash after it leaves data of another store, which no log accepts as its own; the other order
    /// could leave an empty store under the old identity, which would speak for data that it does not have (rule E4).
    /// - Returns: where the old data is.
    /// - Throws: `.locked` while a process holds the folder.
    package static func setAside(
        _ names: [String], in path: String, because reason: String, random: UInt64 = .random(in: 1 ... .max)
    ) throws(StorageError) -> String {
        let lock = try Lock(path + "/lock")
        defer { withExtendedLifetime(lock) {} }
        let earlier = try removeAsides(in: path, but: asideKept - 1)
        let identityPath = path + "/store"
        let known = try DurableFile.read(identityPath).flatMap { StoreIdentity($0) }
        let fresh = StoreIdentity(
            store: StoreID(random), generation: known?.generation ?? Generation(0), isFounding: false)
        try DurableFile.replace(identityPath, with: fresh.encoded)
        try removeMark(in: path)
        let aside = path + "/" + asidePrefix + "\(earlier + 1)-" + String(fresh.store.number, radix: 16)
        try SystemCall.makeFolder(aside)
        for name in names + names.map(LogFloor.path(besides:)) where SystemCall.exists(path + "/" + name) {
            try SystemCall.rename(path + "/" + name, to: aside + "/" + name)
        }
        try DurableFile.replace(aside + "/reason", with: Array((reason + "\n").utf8))
        try DurableFile.synchronizeFolder(path)
        return aside
    }

    /// Removes the oldest folders of damaged data but `count`.
    /// - Returns: the number of the newest one; zero when there was none.
    private static func removeAsides(in path: String, but count: Int) throws(StorageError) -> UInt64 {
        let asides = try SystemCall.names(in: path)
            .filter { $0.hasPrefix(asidePrefix) }
            .map { name in
                (name: name, number: name.dropFirst(asidePrefix.count).split(separator: "-").first.flatMap { UInt64($0) } ?? 0)
            }
            .sorted { ($0.number, $0.name) < ($1.number, $1.name) }
        for aside in asides.dropLast(count) { try SystemCall.removeTree(path + "/" + aside.name) }
        return asides.last?.number ?? 0
    }

    /// A folder inside, made if it is not there.
    package func folder(_ name: String) throws(StorageError) -> String {
        let inner = path + "/" + name
        try SystemCall.makeFolder(inner)
        try DurableFile.synchronizeFolder(path)
        return inner
    }

    private final class Lock: Sendable {
        private let file: File

        init(_ path: String) throws(StorageError) {
            file = try File(path, SystemCall.exists(path) ? .readWrite : .create)
            try file.lock()
        }
    }
}

/// The content of the file `store`: lines that a person can read.
struct StoreIdentity: Hashable {
    let store: StoreID
    let generation: Generation
    let isFounding: Bool

    init(store: StoreID, generation: Generation, isFounding: Bool) {
        self.store = store
        self.generation = generation
        self.isFounding = isFounding
    }

    var encoded: [UInt8] {
        CheckedText.encode([
            "coxswain store 2", "id \(String(store.number, radix: 16))", "generation \(generation.number)",
            "founding \(isFounding ? "yes" : "no")",
        ])
    }

    init?(_ bytes: [UInt8]) {
        guard let lines = CheckedText.decode(bytes), lines.count == 4,
            let id = CheckedText.number("id", in: lines[1], radix: 16),
            let generation = CheckedText.number("generation", in: lines[2]), generation < Limits.generation
        else { return nil }
        self.init(store: StoreID(id), generation: Generation(generation), isFounding: lines[3] == "founding yes")
        guard encoded == bytes else { return nil }
    }

    /// The version of a file that is whole and not of ours.
    static func otherFormat(_ bytes: [UInt8]) -> UInt32? {
        guard let line = CheckedText.decode(bytes)?.first,
            let version = CheckedText.number("coxswain store", in: line), version != 2
        else { return nil }
        return UInt32(exactly: version)
    }
}
