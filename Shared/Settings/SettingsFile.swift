package import FoundationEssentials
import LogStorage
package import Model

/// A settings file as it lies on disk: its text, and the folder to which the paths in it are relative.
package struct SettingsFile: Sendable {
    package let json: Data
    package let folder: String

    /// - Throws: `InvalidValue` that names `--config`: there is no such file, or it cannot be read.
    package init(_ path: String) throws(InvalidValue) {
        folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
        let bytes: [UInt8]?
        do {
            bytes = try DurableFile.read(path)
        } catch {
            throw InvalidValue(field: "--config", detail: "\(error)")
        }
        guard let bytes else { throw InvalidValue(field: "--config", detail: "there is no file '\(path)'") }
        json = Data(bytes)
    }
}
