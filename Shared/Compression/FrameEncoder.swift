// LZ4 frames, as the `lz4` tool reads and writes them. Blocks are independent, so that a reader may hold one block at a time;
// the content checksum is a choice, because a transfer whose own frames are authenticated would pay for it twice (it costs a
// quarter of the speed of packing and half of that of unpacking).

import CLZ4

/// How a frame is made.
package struct FrameOptions: Hashable, Sendable {
    package enum BlockSize: Hashable, Sendable {
        case oneMebibyte, fourMebibytes

        var code: LZ4F_blockSizeID_t { self == .oneMebibyte ? LZ4F_max1MB : LZ4F_max4MB }
    }

    package var blockSize: BlockSize
    /// xxHash-32 of the content at the end of the frame.
    package var contentChecksum: Bool

    package init(blockSize: BlockSize = .oneMebibyte, contentChecksum: Bool = true) {
        self.blockSize = blockSize
        self.contentChecksum = contentChecksum
    }

    func preferences(contentSize: Int) -> LZ4F_preferences_t {
        var preferences = LZ4F_preferences_t()
        preferences.frameInfo.blockSizeID = blockSize.code
        preferences.frameInfo.blockMode = LZ4F_blockIndependent
        preferences.frameInfo.contentChecksumFlag =
            contentChecksum ? LZ4F_contentChecksumEnabled : LZ4F_noContentChecksum
        preferences.frameInfo.contentSize = UInt64(contentSize)
        // Whatever was written comes out at once; nothing is held back for a fuller block.
        preferences.autoFlush = 1
        return preferences
    }
}

/// Packs a stream into one frame: `write` as often as there is something, then `finish`. Not for concurrent use.
package struct FrameEncoder: ~Copyable {
    private let context: OpaquePointer
    private let preferences: LZ4F_preferences_t
    private var hasBegun = false

    /// - Parameter contentSize: declared in the header when it is known; `finish` then fails unless just as much was written.
    package init(_ options: FrameOptions = FrameOptions(), contentSize: Int? = nil) throws(CompressionError) {
        var made: OpaquePointer?
        try check(LZ4F_createCompressionContext(&made, UInt32(LZ4F_VERSION)))
        guard let made else { throw .failed("no context") }
        context = made
        preferences = options.preferences(contentSize: contentSize ?? 0)
    }

    deinit { LZ4F_freeCompressionContext(context) }

    /// The frame's next bytes.
    package mutating func write(_ content: [UInt8]) throws(CompressionError) -> [UInt8] {
        var out = try header()
        if content.isEmpty { return out }
        var preferences = preferences
        let bound = LZ4F_compressBound(content.count, &preferences)
        let context = context
        out.append(
            contentsOf: try bytes(upTo: bound) { target in
                LZ4F_compressUpdate(context, target.baseAddress, target.count, content, content.count, nil)
            })
        return out
    }

    /// The frame's last bytes.
    package consuming func finish() throws(CompressionError) -> [UInt8] {
        var out = try header()
        var preferences = preferences
        let bound = LZ4F_compressBound(0, &preferences)
        let context = context
        out.append(
            contentsOf: try bytes(upTo: bound) { target in
                LZ4F_compressEnd(context, target.baseAddress, target.count, nil)
            })
        return out
    }

    private mutating func header() throws(CompressionError) -> [UInt8] {
        if hasBegun { return [] }
        hasBegun = true
        let context = context
        return try withUnsafePointer(to: preferences) { preferences throws(CompressionError) in
            try bytes(upTo: Int(LZ4F_HEADER_SIZE_MAX)) { target in
                LZ4F_compressBegin(context, target.baseAddress, target.count, preferences)
            }
        }
    }
}

/// Bytes that a call of liblz4 writes into a buffer of its asking.
private func bytes(
    upTo capacity: Int, _ fill: (UnsafeMutableBufferPointer<UInt8>) -> Int
) throws(CompressionError) -> [UInt8] {
    var code = 0
    let bytes = [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
        code = fill(buffer)
        count = LZ4F_isError(code) == 0 ? code : 0
    }
    try check(code)
    return bytes
}

private func check(_ code: Int) throws(CompressionError) {
    if LZ4F_isError(code) != 0 { throw .failed(String(cString: LZ4F_getErrorName(code))) }
}
