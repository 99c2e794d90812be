import Foundation
import Testing

@Suite struct TidyTests {
    private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    /// Swift files below a folder, with their paths from the root.
    private func sources(below folder: String) throws -> [(path: String, text: String)] {
        let base = Self.root.appending(path: folder)
        guard let walk = FileManager.default.enumerator(at: base, includingPropertiesForKeys: nil) else { return [] }
        return try walk.compactMap { $0 as? URL }
            .filter { $0.pathExtension == "swift" && !$0.lastPathComponent.hasSuffix(".pb.swift") }
            .map { (String($0.path.dropFirst(Self.root.path.count + 1)), try String(contentsOf: $0, encoding: .utf8)) }
    }

    @Test("a core imports nothing but Swift and other cores, and holds no I/O, clock or randomness")
    func coresArePure() throws {
        for (core, side) in Tidiness.cores.sorted(by: { $0.key < $1.key }) {
            let found = try sources(below: "\(side)/\(core)").flatMap { Tidiness.findings(inCore: $0.text, file: $0.path) }
            #expect(found.isEmpty, "\(found.map(\.description).joined(separator: "\n"))")
        }
    }

    @Test("no source holds what is banned everywhere")
    func nothingBanned() throws {
        for folder in ["Shared", "Agent", "Coordinator"] {
            let found = try sources(below: folder).flatMap { Tidiness.findings(inSource: $0.text, file: $0.path) }
            #expect(found.isEmpty, "\(found.map(\.description).joined(separator: "\n"))")
        }
    }

    @Test("the top level holds only what was agreed")
    func topLevel() throws {
        let agreed: Set = [
            "Package.swift", "Agent", "Coordinator", "Shared", "Tests", "README.md", "Makefile", "Package.resolved",
        ]
        let extra = try FileManager.default.contentsOfDirectory(atPath: Self.root.path)
            .filter { !$0.hasPrefix(".") && !agreed.contains($0) }
        #expect(extra.isEmpty, "\(extra.sorted())")
    }

    @Test(
        "an import of Foundation or NIO in a core is found, in every spelling",
        arguments: [
            "import Foundation", "package import NIOCore", "@preconcurrency import Dispatch", "import struct Foundation.Date",
        ])
    func findsImport(line: String) {
        #expect(Tidiness.findings(inCore: line, file: "a.swift").count == 1)
        #expect(Tidiness.findings(inCore: "package import Model", file: "a.swift").isEmpty)
    }

    @Test("each banned thing is found, and not in a comment or a literal", arguments: Tidiness.coreBans + Tidiness.bans)
    func findsBan(ban: String) {
        let check = { (text: String) in
            Tidiness.findings(inCore: text, file: "a.swift") + Tidiness.findings(inSource: text, file: "a.swift")
        }
        #expect(!check("let x = 1; \(ban) ").isEmpty)
        #expect(check("// \(ban)").isEmpty)
        #expect(check("let x = \"\(ban)\"").isEmpty)
    }
}
