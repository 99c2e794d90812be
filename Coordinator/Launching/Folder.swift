import FoundationEssentials
import Glibc
import Identity

/// A folder that is made for one member, and the settings in it.
enum Folder {
    /// Makes `path`, for its owner alone, unless it is there.
    static func make(_ path: String) throws(IdentityError) {
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else {
            throw .file(path: path, reason: String(cString: strerror(errno)))
        }
    }

    /// Writes `value` as JSON that people can read and edit.
    static func write(_ value: some Encodable, to path: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try SecretFile.write(Array(try encoder.encode(value)) + [0x0A], to: path, mode: 0o644)
    }
}
