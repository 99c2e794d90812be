// Which data folders the other members had when they were heard last, and how often those had been started (rule E4).
//
// A data folder that is copied back from a backup has forgotten what it promised since. The one that `cluster init` made, copied to its
// machine once more after the disk was lost, has forgotten everything and carries the mark of a founding store. Both come under the
// name of a member that has voted and acknowledged, and could vote again, or elect a leader that lacks what is committed (dragonboat
// #256). Their start counters, or their stores, give them away to whoever has heard the true one; he does not listen.

package import Consensus
package import LogStorage
package import Model

package struct KnownStores: Hashable, Sendable {
    package struct Known: Hashable, Sendable {
        package let store: StoreID
        /// The highest start counter that was heard of.
        package let generation: Generation

        package init(store: StoreID, generation: Generation) {
            self.store = store
            self.generation = generation
        }
    }

    /// The file in the member's data folder.
    static let name = "peers"
    private static let heading = "coxswain peers 1"

    private let path: String
    private var known: [MemberID: Known] = [:]

    /// - Throws: `.unreadable`.
    package init(in folder: String) throws(StorageError) {
        path = "\(folder)/\(Self.name)"
        guard let bytes = try DurableFile.read(path) else { return }
        guard let lines = CheckedText.decode(bytes), lines.first == Self.heading[...] else { throw .unreadable(path: path) }
        for line in lines.dropFirst() {
            let words = line.split(separator: " ").map(String.init)
            guard words.count == 3, let member = try? MemberID(text: words[0]), let store = UInt64(words[1], radix: 16),
                let generation = UInt64(words[2])
            else { throw .unreadable(path: path) }
            known[member] = Known(store: StoreID(store), generation: Generation(generation))
        }
    }

    /// Whether what comes from the data folder `store` in its start `generation` may count as from `member`. What is newer than what
    /// was known is remembered, durably, before it counts.
    ///
    /// Of a node's later stores the newest is remembered, for an older one is no member any more.
    /// - Throws: when it could not be remembered, and nothing is changed; it does not count then. A store that is known counts on a full
    ///   disk too.
    package mutating func admits(_ member: MemberID, store: StoreID, generation: Generation) throws(StorageError) -> Bool {
        if let before = known[member] {
            guard before.store == store, before.generation <= generation else { return false }
            if before.generation == generation { return true }
        }
        var grown = known.filter { $0.key.node != member.node || $0.key.isFounding }
        grown[member] = Known(store: store, generation: generation)
        let lines = grown.sorted { $0.key < $1.key }.map { member, known in
            "\(member) \(String(known.store.number, radix: 16)) \(known.generation.number)"
        }
        do throws(StorageError) {
            try DurableFile.replace(path, with: CheckedText.encode([Self.heading] + lines))
        } catch {
            // A newer start of a store that is known is no reason for suspicion: a full disk must not keep it out.
            guard case .noSpace = error, known[member] != nil else { throw error }
        }
        known = grown
        return true
    }

    /// What was heard last of a member; nil when it never was.
    package subscript(member: MemberID) -> Known? { known[member] }
}
