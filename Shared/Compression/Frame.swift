/// Whole frames in memory.
package enum Frame {
    /// One frame that declares its content's size.
    package static func pack(
        _ content: [UInt8], _ options: FrameOptions = FrameOptions()
    ) throws(CompressionError) -> [UInt8] {
        var encoder = try FrameEncoder(options, contentSize: content.count)
        var packed = try encoder.write(content)
        packed += try encoder.finish()
        return packed
    }

    /// The content of just one frame.
    /// - Parameter limit: bytes of content that the caller takes.
    package static func unpack(_ frame: [UInt8], limit: Int) throws(CompressionError) -> [UInt8] {
        var decoder = try FrameDecoder(limit: limit)
        let content = try decoder.write(frame)
        try decoder.finish()
        return content
    }
}
