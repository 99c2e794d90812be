import Foundation
import Testing

@Suite struct TidyTests {
    private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    /// Files below a folder, with their paths from the root; Swift that people wrote unless other kinds are asked for.
    private func sources(
        below folder: String, kinds: Set<String> = ["swift"]
    ) throws -> [(path: String, text: String)] {
        let base = Self.root.appending(path: folder)
        guard let walk = FileManager.default.enumerator(at: base, includingPropertiesForKeys: nil) else { return [] }
        return try walk.compactMap { $0 as? URL }
            .filter { kinds.contains($0.pathExtension) && !$0.lastPathComponent.hasSuffix(".pb.swift") }
            .map { (String($0.path.dropFirst(Self.root.path.count + 1)), try String(contentsOf: $0, encoding: .utf8)) }
    }

    @Test("a core imports nothing but Swift, its collections and other cores, and holds no I/O, clock or randomness")
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

    @Test("nothing names a folder of one machine")
    func noMachinePaths() throws {
        var files = try ["Shared", "Agent", "Coordinator", "Tests"].flatMap {
            try sources(below: $0, kinds: ["swift", "md", "proto", "sh"])
        }
        for name in ["Package.swift", "Makefile", "README.md"] {
            files.append((name, try String(contentsOf: Self.root.appending(path: name), encoding: .utf8)))
        }
        let found = files.filter { !$0.path.hasPrefix("Tests/TidyTests/") }
            .flatMap { Tidiness.findings(ofMachinePathsIn: $0.text, file: $0.path, root: Self.root.path) }
        #expect(found.isEmpty, "\(found.map(\.description).joined(separator: "\n"))")
    }

    @Test(
        "a machine's folder is found in code, comment and literal; common folders and longer paths are not",
        arguments: [
            ("/yard/coxswain", "// see /yard/notes", 1), ("/yard/coxswain", "let a = \"/yard/x\"", 1),
            ("/yard/coxswain", "let a = \"/home/ada/x\"", 1), ("/tmp/clone", "open /tmp/clone/a", 1),
            ("/tmp/clone", "let a = \"/tmp/coxswain\"", 0), ("/yard/coxswain", "let a = \"/usr/bin/yard/x\"", 0),
            ("/home/ada/coxswain", "/home/ada/coxswain/a", 1),
        ])
    func findsMachinePath(root: String, line: String, count: Int) {
        #expect(Tidiness.findings(ofMachinePathsIn: line, file: "a.swift", root: root).count == count)
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
