// A shared value and its message. Writing cannot fail; reading is total and refuses with a `WireError`. The two directions of one
// type stand side by side in one extension, so that a forgotten field shows.
//
// Sizes: a link refuses frames above `Limits.frameBytes` before anything is decoded, so what a message can make us allocate is
// bounded by that and by the count limits that the readers check.

package import SwiftProtobuf

/// A value that travels as a protocol buffers message.
package protocol WireCodable {
    associatedtype Wire: SwiftProtobuf.Message

    /// - Throws: `WireError` naming the field at fault.
    init(wire: Wire) throws(WireError)
    var wire: Wire { get }
}

extension WireCodable {
    /// Reads a message.
    ///
    /// - Throws: `WireError` when `bytes` are not such a message or a field holds what it may not.
    package init(bytes: [UInt8]) throws(WireError) {
        let message: Wire
        do {
            message = try Wire(serializedBytes: bytes, options: .strict)
        } catch {
            throw WireError(Wire.protoMessageName, .malformed)
        }
        try self.init(wire: message)
    }

    /// The message's bytes. One value has one form: writers of the same version agree byte by byte.
    package func serialized() -> [UInt8] {
        do {
            return try wire.serializedBytes()
        } catch {
            // Only a missing required field or 2 GiB can cause it: proto3 has no required fields, and no value is that large.
            preconditionFailure("\(Wire.protoMessageName) cannot be written: \(error)")
        }
    }
}

extension BinaryDecodingOptions {
    /// How every message of ours is read: not deep, and nothing is kept that this version does not know.
    package static var strict: Self {
        var options = BinaryDecodingOptions()
        options.messageDepthLimit = 16
        options.discardUnknownFields = true
        return options
    }
}

/// An enumeration that travels as a number. The reader looks the number up among `allCases`, so each case is written down once.
package protocol WireEnumeration: CaseIterable {
    associatedtype Wire: SwiftProtobuf.Enum

    var wire: Wire { get }
}

extension WireEnumeration {
    /// - Throws: `WireError` when `wire` is unspecified or unknown to this version.
    package init(wire: Wire, _ field: String) throws(WireError) {
        for candidate in Self.allCases where candidate.wire == wire {
            self = candidate
            return
        }
        throw WireError(field, .unknown(wire.rawValue))
    }
}
