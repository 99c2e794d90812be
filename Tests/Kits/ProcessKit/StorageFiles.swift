import Foundation

/// The databases on agents' disks, against those that a cluster says are there.
package enum StorageFiles {
    /// Storages on a disk that no replica is said to have there, and the other way round.
    ///
    /// - Parameters:
    ///   - wanted: the numbers of each agent's storages, by its name.
    ///   - folders: where each agent's data are.
    package static func differences(from wanted: [String: Set<UInt64>], in folders: [String: String]) throws -> [String] {
        var found: [String] = []
        for (agent, data) in folders.sorted(by: { $0.key < $1.key }) {
            let files = try FileManager.default.contentsOfDirectory(atPath: "\(data)/storages")
            let databases = Set(files.filter { !$0.hasSuffix("-wal") && !$0.hasSuffix("-shm") })
            let expected = Set((wanted[agent] ?? []).map { "storage-\($0).sqlite" })
            for file in databases.subtracting(expected).sorted() { found.append("\(agent) still has \(file)") }
            for file in expected.subtracting(databases).sorted() { found.append("\(agent) lacks \(file)") }
        }
        return found
    }
}
