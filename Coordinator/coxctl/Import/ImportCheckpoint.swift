import Client
import FoundationEssentials

/// How far an import has come: a file beside its input. Everything before `offset` is acknowledged or reported as bad.
struct ImportCheckpoint: Codable, Hashable {
    var table: String
    /// Of the input, so that another file under its name is not taken up in the middle.
    var inputBytes: Int
    var inputModified: Int64
    var header: String
    var offset: Int
    var line: Int
    var rows: Int
    var badLines: Int

    /// Whether this is the import that `other` would begin.
    func isOf(_ other: ImportCheckpoint) -> Bool {
        (table, inputBytes, inputModified, header) == (other.table, other.inputBytes, other.inputModified, other.header)
    }

    static func path(of input: String) -> String { input + ".coxctl-import.json" }

    static func load(of input: String) -> ImportCheckpoint? {
        guard let bytes = try? Data(contentsOf: URL(filePath: path(of: input))) else { return nil }
        return try? JSONDecoder().decode(ImportCheckpoint.self, from: bytes)
    }

    func save(beside input: String) throws {
        try JSONEncoder().encode(self).write(to: URL(filePath: Self.path(of: input)), options: .atomic)
    }

    static func remove(of input: String) { try? FileManager.default.removeItem(atPath: path(of: input)) }
}
