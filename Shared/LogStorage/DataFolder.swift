// A process's data folder: held by one process at a time, with an identity that is made once and a counter of starts (rule E4).
// A folder whose identity is gone while its data is there is refused rather than given a new one: to its peers a new identity
// says "this disk is empty".

import Glibc
package import Model

/// Keeps the folder locked as long as it lives.
package final class DataFolder: Sendable {
    package let path: String
    package let store: StoreID
    /// How often a process has opened this folder, this time included.
    package let generation: Generation
    private let lock: Lock

    /// Opens the folder, making it and its identity if there is nothing yet, and raises its counter durably.
    ///
    /// - Parameter random: the identity of a new store; the caller's, so that tests are repeatable.
    /// - Throws: `.locked` while another process, or this one, holds it; `.identityMissing`, `.unreadable`.
    package init(_ path: String, random: UInt64 = .random(in: 1 ... .max)) throws(StorageError) {
        try SystemCall.makeFolder(path)
        let lock = try Lock(path + "/lock")
        let identityPath = path + "/store"
        let identity: StoreIdentity
        if let bytes = try DurableFile.read(identityPath) {
            guard let known = StoreIdentity(bytes) else { throw .unreadable(path: identityPath) }
            identity = StoreIdentity(store: known.store, generation: Generation(known.generation.number + 1))
        } else {
            let others = try SystemCall.names(in: path).filter { $0 != "lock" && $0 != "store.tmp" }
            guard others.isEmpty else { throw .identityMissing(path: path) }
            identity = StoreIdentity(store: StoreID(random), generation: Generation(1))
        }
        try DurableFile.replace(identityPath, with: identity.encoded)
        try DurableFile.synchronizeFolder(of: path)
        self.path = path
        self.store = identity.store
        self.generation = identity.generation
        self.lock = lock
    }

    /// Makes an empty store out of a damaged one: `names` go into a folder of their own inside, under a new identity of the store.
    ///
    /// The identity comes first. A crash after it leaves data of another store, which no log accepts as its own; the other order
    /// could leave an empty store under the old identity, which would speak for data that it does not have (rule E4).
    /// - Returns: where the old data is.
    /// - Throws: `.locked` while a process holds the folder.
    package static func setAside(
        _ names: [String], in path: String, random: UInt64 = .random(in: 1 ... .max)
    ) throws(StorageError) -> String {
        let lock = try Lock(path + "/lock")
        defer { withExtendedLifetime(lock) {} }
        let identityPath = path + "/store"
        let known = try DurableFile.read(identityPath).flatMap { StoreIdentity($0) }
        let fresh = StoreIdentity(store: StoreID(random), generation: known?.generation ?? Generation(0))
        try DurableFile.replace(identityPath, with: fresh.encoded)
        let aside = path + "/set-aside-" + String(fresh.store.number, radix: 16)
        try SystemCall.makeFolder(aside)
        for name in names where SystemCall.exists(path + "/" + name) {
            try SystemCall.rename(path + "/" + name, to: aside + "/" + name)
        }
        try DurableFile.synchronizeFolder(aside)
        try DurableFile.synchronizeFolder(path)
        return aside
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

/// The content of the file `store`: three lines that a person can read.
struct StoreIdentity: Hashable {
    let store: StoreID
    let generation: Generation

    init(store: StoreID, generation: Generation) {
        self.store = store
        self.generation = generation
    }

    private var body: String {
        "coxswain store 1\nid \(String(store.number, radix: 16))\ngeneration \(generation.number)\n"
    }

    var encoded: [UInt8] {
        let bytes = Array(body.utf8)
        return bytes + Array("crc32c \(String(CRC32C.of(bytes), radix: 16))\n".utf8)
    }

    init?(_ bytes: [UInt8]) {
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count == 5, let id = Self.value(lines[1], "id ", radix: 16),
            let generation = Self.value(lines[2], "generation ", radix: 10), generation < .max
        else { return nil }
        self.init(store: StoreID(id), generation: Generation(generation))
        guard encoded == bytes else { return nil }
    }

    private static func value(_ line: Substring, _ name: String, radix: Int) -> UInt64? {
        line.hasPrefix(name) ? UInt64(line.dropFirst(name.count), radix: radix) : nil
    }
}
