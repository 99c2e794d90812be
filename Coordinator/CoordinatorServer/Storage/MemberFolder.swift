// A coordinator's data folder, opened as it was left, or begun anew where it is damaged (rule C2).
//
// A damaged member cannot tell any more what it has promised: with what is left it could vote twice, or elect a leader that lacks
// what is committed. So its data goes into a folder of its own, for whoever wants to look, and in its place an empty store begins
// under another identity: to the group another member, which it takes in anew. Nobody has to do anything for it.

package import Consensus
package import LogStorage
import Logging
package import Model

package struct MemberFolder: Sendable {
    /// What became of the data that was there.
    package struct SetAside: Hashable, Sendable {
        package let reason: String
        /// Where it is now.
        package let folder: String
    }

    package let folder: DataFolder
    package let store: RaftStore
    package let recovered: RaftStore.Recovered
    package let peers: KnownStores
    package let setAside: SetAside?

    /// Opens the folder at `path`, making it if there is nothing yet.
    ///
    /// - Throws: what `DataFolder` and `RaftStore` throw but damage. Nothing was set aside then.
    package static func open(_ path: String, options: LogOptions = LogOptions()) async throws -> MemberFolder {
        let damage: DamagedMember
        do {
            return try await open(path, options, after: nil)
        } catch let found as DamagedMember {
            damage = found
        }
        let aside = try DataFolder.setAside(
            RaftStore.names + [RaftStore.verdict, KnownStores.name], in: path, because: damage.reason)
        return try await open(path, options, after: SetAside(reason: damage.reason, folder: aside))
    }

    private static func open(_ path: String, _ options: LogOptions, after setAside: SetAside?) async throws -> MemberFolder {
        let folder: DataFolder
        let peers: KnownStores
        do throws(StorageError) {
            folder = try DataFolder(path)
            peers = try KnownStores(in: path)
        } catch {
            // Whose data it is can be told no more, so it is nobody's.
            guard case .unreadable = error else { throw error }
            throw DamagedMember(reason: "\(error)")
        }
        if let word = try DurableFile.read("\(path)/\(RaftStore.verdict)") {
            throw DamagedMember(reason: String(decoding: word, as: UTF8.self))
        }
        let (store, recovered) = try await RaftStore.open(in: folder, options: options)
        return MemberFolder(folder: folder, store: store, recovered: recovered, peers: peers, setAside: setAside)
    }

    /// Whom this store makes of the node.
    package func id(of node: NodeID) -> MemberID { MemberID(node, store: folder.isFounding ? nil : folder.store) }

    func tell(_ logger: Logger) {
        for repair in recovered.repairs { logger.warning("mended", metadata: ["what": "\(repair)"]) }
        guard let setAside else { return }
        logger.critical(
            "damaged data set aside: this member waits to be taken in anew",
            metadata: ["reason": "\(setAside.reason)", "folder": "\(setAside.folder)", "store": "\(folder.store)"])
    }
}
