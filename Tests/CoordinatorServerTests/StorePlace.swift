import Consensus
import DiskKit
import Foundation
import LogStorage

@testable import CoordinatorServer

/// A member's data folder of a test's own; gone when the test is.
final class StorePlace {
    let path: String
    private let isOurs: Bool

    /// - Parameter disk: what the folder is to lie on; it goes with it.
    init(on disk: SmallDisk? = nil) {
        path = (disk?.path ?? FileManager.default.temporaryDirectory.path) + "/member-\(UUID().uuidString)"
        isOurs = disk == nil
    }

    deinit { if isOurs { try? FileManager.default.removeItem(atPath: path) } }

    func names(_ inner: String = "") throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: path + "/" + inner).sorted()
    }

    func edit(_ name: String, _ change: (inout Data) -> Void) throws {
        let url = URL(fileURLWithPath: path + "/" + name)
        var data = try Data(contentsOf: url)
        change(&data)
        try data.write(to: url)
    }
}

extension RaftStore {
    func write(_ persist: Persist) async throws {
        let result = await withCheckedContinuation { continuation in
            write(persist) { continuation.resume(returning: $0) }
        }
        try result.get()
    }

    func condemn(because reason: String) async -> Result<Void, StorageError> {
        await withCheckedContinuation { continuation in
            condemn(because: reason) { continuation.resume(returning: $0) }
        }
    }
}
