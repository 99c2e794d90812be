/// Why a frame was not made or not read. A decoder that threw is spent: what it gave out before is to be thrown away too.
package enum CompressionError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The bytes end before the frame does.
    case truncated
    /// The bytes are no frame, or a checksum in them does not match.
    case corrupt(String)
    /// The frame says that its content is larger than the reader takes; nothing was unpacked.
    case declaredTooLarge(bytes: UInt64, limit: Int)
    /// The content grew beyond what the reader takes.
    case tooLarge(limit: Int)
    /// Bytes follow the end of the frame.
    case trailing(bytes: Int)
    /// liblz4 refused on its own side, as for want of memory.
    case failed(String)

    package var description: String {
        switch self {
        case .truncated: "the LZ4 frame ends early"
        case .corrupt(let detail): "the bytes are no good LZ4 frame: \(detail)"
        case .declaredTooLarge(let bytes, let limit): "the LZ4 frame declares \(bytes) bytes; at most \(limit) are taken"
        case .tooLarge(let limit): "the LZ4 frame holds more than \(limit) bytes"
        case .trailing(let bytes): "\(bytes) bytes follow the LZ4 frame"
        case .failed(let detail): "LZ4 failed: \(detail)"
        }
    }
}
