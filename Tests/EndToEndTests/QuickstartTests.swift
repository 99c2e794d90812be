// The README's quickstart by hand, run as it stands there. Nothing is changed but addresses: each machine of 10.0.0.0/24 becomes a
// loopback address of its own, so that all of them can use the same ports, and a folder; the status endpoints, which are all on
// 127.0.0.1, get free ports; and `scp` copies between those folders.

import Foundation
import ProcessKit
import Synchronization
import Testing

@Suite(.enabled(if: Programs.areBuilt, "the programs are not built")) struct QuickstartTests {
    @Test("the quickstart by hand works as it stands in the README")
    func byHand() async throws {
        let steps = try Quickstart.steps(of: String(contentsOf: Self.readme, encoding: .utf8))
        #expect(steps.count { $0.isService } == 6)
        let machines = try Machines()
        defer { machines.tearDown() }
        for step in steps { try await machines.perform(step) }

        let said = machines.output
        #expect(said.contains("n1 n2 n3: healthy"), "\(said)")
        #expect(said.contains("table users is ACTIVE"), "\(said)")
        #expect(said.contains(#"{"id":"ada","name":"Ada"}"#), "\(said)")
        #expect(said.contains("3/3") || said.contains("HEALTH"), "\(said)")
    }

    private static let readme = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "README.md")

    @Test("commands are read block by block, with the machine that each is for")
    func reading() throws {
        let steps = try Quickstart.steps(
            of: """
                ## By hand, on three machines
                Words.
                ```sh
                # operator
                one a \\
                    b
                two
                # 10.0.0.1
                three &
                ```
                ## Next
                ```sh
                # operator
                four
                ```
                """)
        #expect(
            steps == [
                .init(machine: "operator", command: "one a \\\n    b", isService: false),
                .init(machine: "operator", command: "two", isService: false),
                .init(machine: "10.0.0.1", command: "three", isService: true),
            ])
    }
}

enum Quickstart {
    struct Step: Equatable {
        let machine: String
        let command: String
        /// Ends with `&`: runs until it is killed.
        let isService: Bool
    }

    /// The commands in the fenced blocks of the section "By hand".
    static func steps(of readme: String) throws -> [Step] {
        var steps: [Step] = []
        var machine: String?
        var command = ""
        var (isInSection, isInBlock) = (false, false)
        for line in readme.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) {
            if line.hasPrefix("## ") { isInSection = line.hasPrefix("## By hand") }
            guard isInSection else { continue }
            if line.hasPrefix("```") {
                isInBlock = line == "```sh"
            } else if isInBlock, line.hasPrefix("# ") {
                machine = String(line.dropFirst(2))
            } else if isInBlock {
                command += command.isEmpty ? line : "\n" + line
                if line.hasSuffix("\\") { continue }
                guard let machine else { throw Failure("no machine for: \(command)") }
                let isService = command.hasSuffix(" &")
                steps.append(
                    Step(machine: machine, command: isService ? String(command.dropLast(2)) : command, isService: isService))
                command = ""
            }
        }
        return steps
    }
}

/// The operator's machine and three others, as folders.
private final class Machines {
    private let folder: URL
    private var exports: [String] = []
    private var services: [Running] = []
    private(set) var output = ""

    init() throws {
        folder = FileManager.default.temporaryDirectory.appending(path: "coxswain-quickstart-\(UUID().uuidString.prefix(8))")
        for name in ["operator", "bin"] {
            try FileManager.default.createDirectory(at: folder.appending(path: name), withIntermediateDirectories: true)
        }
        // scp -rp SOURCE MACHINE:
        let scp = folder.appending(path: "bin/scp")
        try Data("#!/bin/sh -e\nto=\"\(folder.path)/${3%:}\"\nmkdir -p \"$to\"\nexec cp \"$1\" \"$2\" \"$to\"\n".utf8).write(
            to: scp)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: scp.path)
    }

    func perform(_ step: Quickstart.Step) async throws {
        if step.command.hasPrefix("export ") { exports.append(step.command) }
        let machine = step.machine.replacing("10.0.0.", with: network)
        let place = folder.appending(path: machine)
        try giveStatusPorts(in: place)
        let programs = URL(filePath: try Programs.path("coxctl")).deletingLastPathComponent().path
        let lines =
            ["cd '\(place.path)'", "PATH='\(folder.path)/bin:\(programs)':$PATH"]
            + exports.map { line in
                line.replacing("$PWD", with: folder.appending(path: "operator").path)
            }
        let command = step.command.replacing("10.0.0.", with: network)
        let script = (lines + [step.isService ? "exec \(command)" : command]).joined(separator: "\n")
        guard !step.isService else {
            let log = folder.appending(path: "\(machine)-\(services.count).log")
            services.append(try Running(path: "/bin/sh", ["-ec", script], log: log))
            return
        }
        let outcome = try await Programs.run(path: "/bin/sh", ["-ec", script], within: 90)
        output += "$ \(step.command)\n\(outcome.output)\(outcome.error)"
        guard outcome.status == 0 else { throw Failure("\(output)\(tails())") }
    }

    /// Not 127.0.0.1, where other clusters may be.
    private let network = "127.\(Int.random(in: 64...127)).\(Int.random(in: 0...255))."

    /// Status endpoints are on 127.0.0.1 of their machine, which is the same for all of ours.
    private func giveStatusPorts(in place: URL) throws {
        let folders = (try? FileManager.default.contentsOfDirectory(atPath: place.path)) ?? []
        for file in folders.map({ place.appending(path: "\($0)/agent.json") })
        where FileManager.default.fileExists(atPath: file.path) {
            let text = try String(contentsOf: file, encoding: .utf8)
            let port = Ports.free(1)[0]
            try Data(text.replacing("127.0.0.1:7471", with: "127.0.0.1:\(port)").utf8).write(to: file)
        }
    }

    private func tails() -> String {
        services.enumerated().map { index, service in
            let ended = service.isRunning ? "" : " has ended"
            return "--- \(index)\(ended)\n" + ((try? String(contentsOf: service.log, encoding: .utf8))?.suffix(600) ?? "")
        }.joined(separator: "\n")
    }

    func tearDown() {
        for service in services { service.kill() }
        try? FileManager.default.removeItem(at: folder)
    }
}
