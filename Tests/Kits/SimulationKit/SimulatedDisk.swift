// One machine's disk: files of bytes, what of them would survive a crash, and what a bad disk does to them.
//
// Every write goes to a cache first; `sync` makes one file's bytes durable, `syncFolder` the names. A machine's crash takes each write
// that was not synced whole, in part (by sectors) or not at all, independently of the others, and a prefix of the changes of names.
// A process's crash takes nothing that was written. That is as little as POSIX promises, and what file systems have been seen to do.

package import Model

package enum DiskStep: Hashable, Sendable {
    /// Makes the file when there is none; zeros fill a gap before `at`.
    case write(file: String, at: Int, [UInt8])
    case sync(file: String)
    case rename(String, to: String)
    case remove(String)
    case syncFolder
}

package enum DiskFailure: Error, Hashable, Sendable {
    /// What was on its way may or may not be on the disk; nothing may be concluded but by reading.
    case inputOutput
    /// Nothing of this step was done.
    case full
}

package struct SimulatedDisk: Sendable {
    /// A disk writes these whole or not at all.
    package static let sectorBytes = 512

    private struct Write: Sendable {
        let offset: Int
        let bytes: [UInt8]
    }

    private struct Inode: Sendable {
        var durable: [UInt8] = []
        var cached: [UInt8] = []
        var dirty: [Write] = []
    }

    private enum NameChange: Sendable {
        case create(String, Int)
        case rename(String, String)
        case remove(String)
    }

    private var inodes: [Inode] = []
    /// Sorted by name.
    private var names = Names()
    private var durableNames = Names()
    private var changes: [NameChange] = []

    // What is wrong with it at the moment.
    package var isFull = false
    /// Draws where the next write goes instead of its place.
    package var misdirects: UInt64?

    package init() {}

    // MARK: - Reading

    package var files: [String] { names.sorted }
    package func bytes(of file: String) -> [UInt8]? { names[file].map { inodes[$0].cached } }
    /// Whether a crash of the machine could take anything of `file`.
    package func isDurable(_ file: String) -> Bool {
        guard let inode = names[file] else { return false }
        return inodes[inode].dirty.isEmpty && durableNames[file] == inode
    }
    /// Whether a crash of the machine could take no byte of any file that is there now.
    package var isAllDurable: Bool {
        names.items.allSatisfy { inodes[$0.inode].dirty.isEmpty && durableNames[$0.name] == $0.inode }
    }

    // MARK: - Writing

    package mutating func perform(_ step: DiskStep) throws(DiskFailure) {
        switch step {
        case .write(let file, let offset, let bytes): try write(bytes, to: file, at: offset)
        case .sync(let file):
            guard let inode = names[file] else { throw .inputOutput }
            sync(inode)
        case .rename(let from, let to):
            guard let inode = names[from] else { throw .inputOutput }
            names[from] = nil
            names[to] = inode
            changes.append(.rename(from, to))
        case .remove(let file):
            names[file] = nil
            changes.append(.remove(file))
        case .syncFolder:
            for change in changes { Self.apply(change, to: &durableNames) }
            changes = []
        }
    }

    private mutating func write(_ bytes: [UInt8], to file: String, at place: Int) throws(DiskFailure) {
        var inode = names[file]
        let end = inode.map { inodes[$0].cached.count } ?? 0
        if isFull, inode == nil || place + bytes.count > end { throw .full }
        if inode == nil {
            inodes.append(Inode())
            inode = inodes.count - 1
            names[file] = inode
            changes.append(.create(file, inodes.count - 1))
        }
        guard let inode else { return }
        var offset = place
        if let misdirects, end >= 2 * Self.sectorBytes, place + bytes.count <= end {
            // Within the same file: a write that vanishes without a trace is beyond what a log alone can find out.
            let places = (end - bytes.count) / Self.sectorBytes + 1
            offset = Int(misdirects % UInt64(places)) * Self.sectorBytes
            self.misdirects = nil
        }
        Self.put(bytes, at: offset, in: &inodes[inode].cached)
        inodes[inode].dirty.append(Write(offset: offset, bytes: bytes))
    }

    private mutating func sync(_ inode: Int) {
        for write in inodes[inode].dirty { Self.put(write.bytes, at: write.offset, in: &inodes[inode].durable) }
        inodes[inode].dirty = []
    }

    private static func put(_ bytes: [UInt8], at offset: Int, in file: inout [UInt8]) {
        let end = offset + bytes.count
        if file.count < end { file.append(contentsOf: repeatElement(0, count: end - file.count)) }
        file.withUnsafeMutableBufferPointer { file in
            for at in 0..<bytes.count { file[offset + at] = bytes[at] }
        }
    }

    private static func apply(_ change: NameChange, to names: inout Names) {
        switch change {
        case .create(let name, let inode): names[name] = inode
        case .rename(let from, let to):
            guard let inode = names[from] else { return }
            names[from] = nil
            names[to] = inode
        case .remove(let name): names[name] = nil
        }
    }

    // MARK: - What goes wrong

    /// The power fails: luck decides about everything that was not synced.
    package mutating func losePower(_ random: inout SeededGenerator) {
        for inode in inodes.indices {
            if !inodes[inode].dirty.isEmpty { settle(inode, &random) }
            inodes[inode].cached = inodes[inode].durable
        }
        for change in changes.prefix(Int(random.next() % UInt64(changes.count + 1))) { Self.apply(change, to: &durableNames) }
        changes = []
        names = durableNames
    }

    /// A step fails with an error: what was not synced is partly there, and the cache holds it no longer (as kernels do, who mark the
    /// pages clean).
    package mutating func failWrites(_ random: inout SeededGenerator) {
        for inode in inodes.indices where !inodes[inode].dirty.isEmpty {
            settle(inode, &random)
            inodes[inode].cached = inodes[inode].durable
        }
    }

    /// The process dies in the middle of a write: some of its bytes have gone to the cache.
    package mutating func tear(_ step: DiskStep, _ random: inout SeededGenerator) {
        guard case .write(let file, let offset, let bytes) = step, !bytes.isEmpty, !isFull else { return }
        // A copy stops between two aligned words.
        let part = Int(random.next() % UInt64(bytes.count)) & ~7
        guard part > 0 else { return }
        try? perform(.write(file: file, at: offset, Array(bytes[..<part])))
    }

    private mutating func settle(_ inode: Int, _ random: inout SeededGenerator) {
        for write in inodes[inode].dirty {
            switch random.next() % 3 {
            case 0: break
            case 1: Self.put(write.bytes, at: write.offset, in: &inodes[inode].durable)
            default:
                var offset = write.offset
                let end = write.offset + write.bytes.count
                // The file's length is its own matter: it may have grown without its bytes.
                Self.put([], at: end, in: &inodes[inode].durable)
                while offset < end {
                    let next = min((offset / Self.sectorBytes + 1) * Self.sectorBytes, end)
                    if random.next() % 2 == 0 {
                        let piece = Array(write.bytes[offset - write.offset..<next - write.offset])
                        Self.put(piece, at: offset, in: &inodes[inode].durable)
                    }
                    offset = next
                }
            }
        }
        inodes[inode].dirty = []
    }

    /// One bit rots, somewhere among the bytes that are not zero.
    /// - Returns: where, or nil when there is nothing to rot.
    package mutating func flipBit(_ random: inout SeededGenerator) -> (file: String, offset: Int)? {
        let files = names.sorted
        guard !files.isEmpty else { return nil }
        let file = files[Int(random.next() % UInt64(files.count))]
        guard let inode = names[file] else { return nil }
        let used = inodes[inode].durable.indices.filter { inodes[inode].durable[$0] != 0 }
        guard !used.isEmpty else { return nil }
        let offset = used[Int(random.next() % UInt64(used.count))]
        let bit = UInt8(1) << UInt8(random.next() % 8)
        inodes[inode].durable[offset] ^= bit
        if offset < inodes[inode].cached.count { inodes[inode].cached[offset] ^= bit }
        return (file, offset)
    }

    /// A new disk under the old name.
    package mutating func wipe() { self = SimulatedDisk() }
}

/// A folder's names; few, so an array that is searched.
private struct Names: Sendable {
    private(set) var items: [(name: String, inode: Int)] = []

    var sorted: [String] { items.map(\.name).sorted() }

    subscript(name: String) -> Int? {
        get { items.first { $0.name == name }?.inode }
        set {
            items.removeAll { $0.name == name }
            if let newValue { items.append((name, newValue)) }
        }
    }
}
