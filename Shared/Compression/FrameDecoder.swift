import CLZ4

/// Unpacks one frame from a stream of bytes that somebody else made. Not for concurrent use.
///
/// The reader's limit holds twice: against the size that the header declares, before anything is unpacked, and against what comes
/// out, because a header may lie or declare nothing.
package struct FrameDecoder: ~Copyable {
    private let context: OpaquePointer
    private let limit: Int
    private var produced = 0
    private var header: [UInt8] = []
    private var hasHeader = false
    /// The frame has been read to its end.
    package private(set) var isComplete = false

    /// - Parameter limit: bytes of content that the reader takes.
    package init(limit: Int) throws(CompressionError) {
        var made: OpaquePointer?
        let code = LZ4F_createDecompressionContext(&made, UInt32(LZ4F_VERSION))
        guard LZ4F_isError(code) == 0, let made else { throw .failed(String(cString: LZ4F_getErrorName(code))) }
        context = made
        self.limit = limit
    }

    deinit { LZ4F_freeDecompressionContext(context) }

    /// The content that the frame's next bytes hold.
    /// - Throws: `trailing` when bytes follow the frame.
    package mutating func write(_ bytes: [UInt8]) throws(CompressionError) -> [UInt8] {
        var input = bytes
        if !hasHeader {
            header += bytes
            guard try readHeader() else { return [] }
            swap(&input, &header)
        }
        return try unpack(input)
    }

    /// Ends the stream.
    /// - Throws: `truncated` when the frame has not ended.
    package consuming func finish() throws(CompressionError) {
        if !isComplete { throw .truncated }
    }

    /// Checks the header once all of it is there, before the first byte of it reaches the unpacking.
    private mutating func readHeader() throws(CompressionError) -> Bool {
        guard header.count >= Int(LZ4F_MIN_SIZE_TO_KNOW_HEADER_LENGTH) else { return false }
        let size = LZ4F_headerSize(header, header.count)
        if LZ4F_isError(size) != 0 { throw .corrupt(String(cString: LZ4F_getErrorName(size))) }
        guard header.count >= size else { return false }
        // Skippable frames carry no content; whoever sends one here sends something else than a frame.
        guard header.starts(with: [0x04, 0x22, 0x4D, 0x18]) else { throw .corrupt("not the magic number of a frame") }
        var info = LZ4F_frameInfo_t()
        var consumed = header.count
        let code = LZ4F_getFrameInfo(context, &info, header, &consumed)
        if LZ4F_isError(code) != 0 { throw .corrupt(String(cString: LZ4F_getErrorName(code))) }
        if info.contentSize > UInt64(limit) { throw .declaredTooLarge(bytes: info.contentSize, limit: limit) }
        header.removeFirst(consumed)
        hasHeader = true
        return true
    }

    private mutating func unpack(_ input: [UInt8]) throws(CompressionError) -> [UInt8] {
        var out: [UInt8] = []
        var consumed = 0
        while !isComplete {
            let room = min(Self.step, limit - produced + 1)
            var (code, taken, written) = (0, input.count - consumed, room)
            let (context, offset) = (context, consumed)
            let part = [UInt8](unsafeUninitializedCapacity: room) { target, count in
                input.withUnsafeBytes { source in
                    code = LZ4F_decompress(
                        context, target.baseAddress, &written, source.baseAddress.map { $0 + offset }, &taken, nil)
                }
                count = LZ4F_isError(code) == 0 ? written : 0
            }
            if LZ4F_isError(code) != 0 { throw .corrupt(String(cString: LZ4F_getErrorName(code))) }
            consumed += taken
            produced += written
            if produced > limit { throw .tooLarge(limit: limit) }
            if out.isEmpty { out = part } else { out += part }
            isComplete = code == 0
            // Input is used up and nothing more comes out of what was kept: the next call brings more.
            if written < room && consumed == input.count && !isComplete { break }
        }
        if consumed < input.count { throw .trailing(bytes: input.count - consumed) }
        return out
    }

    /// Bytes unpacked at a time: one block of ours.
    private static let step = 1 << 20
}
