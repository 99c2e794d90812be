// What a start must find before it may speak for its replicas (rule E4). A node that cannot vouch for all that it has acknowledged
// would, as a primary, serve without it; so it does not start, its replicas elsewhere take over, and it comes back as an empty disk
// once somebody says so. A storage that is there and does not read is another matter: which partitions are lost with it is known, so
// they are given up, and the rest is served (rule F6).

import AgentCore
import Engine
import LogStorage
import Model
import Replication

/// The data folder does not hold all that this node acknowledged.
package struct DamagedStore: Error, CustomStringConvertible {
    package let folder: String
    /// Never empty.
    package let findings: [String]

    package var description: String {
        "the data in '\(folder)' is damaged: \(findings.joined(separator: "; ")). This node cannot vouch for what it has "
            + "acknowledged, so it does not start; its partitions go on with their other replicas. Started once with "
            + "--replace-damaged it sets this data aside and has it copied anew"
    }
}

enum StoreCheck {
    /// What is wrong: storages that could not be opened for a reason that is not their file's, and storages that are not there though the
    /// node's log has entries of an in-sync replica in them. Where the log knows of a later epoch than the mirror the replica may have been
    /// given up since, and its file be gone for the copy that takes its place: of one that is in sync still the core says that it is lost.
    static func findings(
        in inventory: StorageInventory, _ recovered: [PartitionID: RecoveredPartition], _ core: AgentCore
    ) -> [String] {
        let known = Set(inventory.storages.map(\.storage) + inventory.damaged.map(\.storage))
        let missing = core.topology.partitions.values.compactMap { partition -> String? in
            guard partition.status == .active, let own = partition.replica(on: core.identity.node), own.role == .inSync,
                own.store == core.identity.store, !known.contains(own.storage),
                let records = recovered[partition.id], !records.isDropped, records.hard.epoch <= partition.epoch
            else { return nil }
            return "storage \(own.storage) of partition \(partition.id) is not there"
        }
        let refused = inventory.damaged.filter { !$0.error.losesStorage }.map { "storage \($0.storage): \($0.error)" }
        return refused.sorted() + missing.sorted()
    }

    /// A full disk is no damage: what is there is whole, and is opened by a later start.
    ///
    /// - Throws: why a storage could not be opened, if it was for lack of space.
    static func requireSpace(_ inventory: StorageInventory) throws(EngineError) {
        for (_, error) in inventory.damaged where error.isForLackOfSpace { throw error }
    }

    /// Reads the mirror of the topology, or says what is wrong with it. Without it this node would not know which leases it must not give,
    /// nor what it held.
    static func topology(in file: TopologyFile, of folder: DataFolder) throws -> Topology {
        do { return try file.load() } catch let damage as TopologyFile.Damage {
            throw DamagedStore(folder: folder.path, findings: ["\(damage)"])
        }
    }

    /// Opens the node's log, or says what is wrong with it.
    static func openLog(in folder: DataFolder, options: LogOptions = LogOptions()) throws -> RecoveredNodeLog {
        do {
            return try NodeLog.open(folder: try folder.folder("log"), store: folder.store, options: options)
        } catch let error as StorageError {
            switch error {
            case .damaged, .unreadable: throw DamagedStore(folder: folder.path, findings: ["its log: \(error)"])
            default: throw error
            }
        } catch let unknown as NodeLog.UnknownRecord {
            throw DamagedStore(folder: folder.path, findings: ["its log: \(unknown)"])
        }
    }
}
