import Compression
import Foundation
import Testing

@Suite struct FrameTests {
    private static let sizes = [0, 1, 15, 4_096, 1 << 20, (1 << 20) + 1, 9_000_001]

    @Test("what is packed unpacks to itself, at every size and with every option", arguments: sizes)
    func roundTrip(size: Int) throws {
        let content = rows(size)
        for options in [
            FrameOptions(), FrameOptions(blockSize: .fourMebibytes), FrameOptions(contentChecksum: false),
        ] {
            let frame = try Frame.pack(content, options)
            #expect(try Frame.unpack(frame, limit: size) == content)
        }
        if size >= 4_096 { #expect(try Frame.pack(content).count < size / 2) }
    }

    @Test("a stream packed in pieces unpacks in other pieces")
    func streaming() throws {
        let content = rows(3_500_000)
        var encoder = try FrameEncoder()
        var frame: [UInt8] = []
        for start in stride(from: 0, to: content.count, by: 700_001) {
            frame += try encoder.write(Array(content[start..<min(start + 700_001, content.count)]))
        }
        frame += try encoder.finish()
        for piece in [1_013, 65_536, frame.count] {
            var decoder = try FrameDecoder(limit: content.count)
            var out: [UInt8] = []
            for start in stride(from: 0, to: frame.count, by: piece) {
                out += try decoder.write(Array(frame[start..<min(start + piece, frame.count)]))
            }
            try decoder.finish()
            #expect(out == content)
        }
    }

    @Test("the header may come byte by byte")
    func slowHeader() throws {
        let frame = try Frame.pack(rows(100))
        var decoder = try FrameDecoder(limit: 100)
        var out: [UInt8] = []
        for byte in frame { out += try decoder.write([byte]) }
        try decoder.finish()
        #expect(out == rows(100))
    }

    @Test("the lz4 tool reads our frames and we read its", arguments: sizes)
    func tool(size: Int) throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "lz4-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let content = rows(size)
        let (ours, theirs, plain) = (
            folder.appending(path: "o.lz4"), folder.appending(path: "t.lz4"), folder.appending(path: "p")
        )
        try Data(try Frame.pack(content)).write(to: ours)
        try lz4(["-d", "-q", "-f", ours.path, plain.path])
        #expect(try [UInt8](Data(contentsOf: plain)) == content)
        for options in [["-1"], ["-9", "--content-size"], ["-BD", "-B4"]] {
            try lz4(options + ["-q", "-f", plain.path, theirs.path])
            #expect(try Frame.unpack([UInt8](Data(contentsOf: theirs)), limit: size) == content)
        }
    }

    @Test("every truncation is refused as one, and every longer frame too")
    func truncations() throws {
        let frame = try Frame.pack(rows(3_000))
        for length in 0..<frame.count {
            #expect(throws: CompressionError.truncated) { try Frame.unpack(Array(frame.prefix(length)), limit: 3_000) }
        }
        #expect(throws: CompressionError.trailing(bytes: 2)) { try Frame.unpack(frame + [1, 2], limit: 3_000) }
    }

    @Test("a flipped bit never changes the content unseen")
    func bitFlips() throws {
        let content = rows(2_000)
        let frame = try Frame.pack(content)
        var unharmed = 0
        for bit in 0..<(frame.count * 8) {
            var flipped = frame
            flipped[bit / 8] ^= 1 << (bit % 8)
            // Rows repeat, so a match may be moved to another place that reads the same.
            guard let unpacked = try? Frame.unpack(flipped, limit: 2_000) else { continue }
            unharmed += 1
            #expect(unpacked == content, "bit \(bit)")
        }
        #expect(unharmed < 8)
    }

    @Test("a frame that declares, or holds, more than the reader takes is refused")
    func limits() throws {
        let content = rows(500_000)
        #expect(throws: CompressionError.declaredTooLarge(bytes: 500_000, limit: 499_999)) {
            try Frame.unpack(try Frame.pack(content), limit: 499_999)
        }
        var encoder = try FrameEncoder()
        var undeclared = try encoder.write(content)
        undeclared += try encoder.finish()
        #expect(throws: CompressionError.tooLarge(limit: 499_999)) { try Frame.unpack(undeclared, limit: 499_999) }
        #expect(try Frame.unpack(undeclared, limit: 500_000) == content)
    }

    @Test("other bytes are no frame")
    func garbage() {
        for bytes in [
            [UInt8](repeating: 0, count: 64), Array("GET / HTTP/1.1\r\n\r\n".utf8),
            [0x50, 0x2A, 0x4D, 0x18, 4, 0, 0, 0, 1, 2, 3, 4],
        ] {
            #expect(throws: CompressionError.self) { try Frame.unpack(bytes, limit: 1_000) }
        }
    }

    /// Bytes that pack, as rows do.
    private func rows(_ size: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(size + 64)
        var number: UInt64 = 1
        while bytes.count < size {
            number = number &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            bytes += "user\(number >> 40),some repeated field,\(number >> 50)\n".utf8
        }
        return Array(bytes.prefix(size))
    }

    private func lz4(_ arguments: [String]) throws {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/lz4")
        process.arguments = arguments
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0, "lz4 \(arguments)")
    }
}
