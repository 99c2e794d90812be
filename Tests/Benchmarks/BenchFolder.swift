import FoundationEssentials

/// A folder for one measurement, on the disk of the working directory: a temporary folder is memory on many machines.
enum BenchFolder {
    static func make() throws -> String {
        let folder = "\(FileManager.default.currentDirectoryPath)/.build/bench-\(UInt32.random(in: 0 ... .max))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        return folder
    }

    static func remove(_ folder: String) {
        // What cannot be removed is seen by whoever looks into .build; a measurement is not lost for it.
        try? FileManager.default.removeItem(atPath: folder)
    }

    static func with<Result>(_ work: (String) async throws -> Result) async throws -> Result {
        let folder = try make()
        defer { remove(folder) }
        return try await work(folder)
    }
}
