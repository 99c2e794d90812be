import FoundationEssentials
import Glibc
import GossipKit
import Launching
import Synchronization

/// Agents of serf as Debian packages it: one process each. What they believe is read from their logs.
final class SerfCrowd: ComparedCrowd {
    private static let program = "/usr/bin/serf"
    static var isInstalled: Bool { access(program, X_OK) == 0 }

    let title = "serf"
    let count: Int
    let sightings: Sightings
    private let folder: String
    private let basePort: Int
    private let children: Children
    private let reader = Mutex<Task<Void, Never>?>(nil)
    private let packetsBefore: Double

    init(_ count: Int, basePort: Int) throws {
        self.count = count
        self.basePort = basePort
        sightings = Sightings(members: count)
        folder = try BenchFolder.make()
        children = Children(removing: folder)
        packetsBefore = try Self.packetsOfMachine()
        let (folder, sightings) = (folder, sightings)
        reader.withLock {
            $0 = Task {
                var logs = (0..<count).map { Log(path: Self.log($0, in: folder)) }
                while !Task.isCancelled {
                    for member in logs.indices {
                        for line in logs[member].news() {
                            guard let (subject, belief) = Self.belief(line), subject < count, subject != member else {
                                continue
                            }
                            sightings.note(Sighting(observer: member, subject: subject, belief: belief, at: .now))
                        }
                    }
                    try? await Task.sleep(for: .milliseconds(10))
                }
            }
        }
    }

    private static func log(_ member: Int, in folder: String) -> String { "\(folder)/n\(member).log" }

    /// Whom a line is about, and what it says. A suspicion says nothing here: serf writes no line when it is refuted, so one that
    /// was ever suspected would never be seen up again.
    private static func belief(_ line: Substring) -> (Int, Belief)? {
        let words = line.split(separator: " ")
        func number(_ word: Int) -> Int? { word < words.count ? Int(words[word].dropFirst()) : nil }
        guard words.count > 4 else { return nil }
        switch words[4] {
        case "EventMemberJoin:": return number(5).map { ($0, .up) }
        case "EventMemberFailed:": return number(5).map { ($0, .down) }
        case "EventMemberLeave:": return number(5).map { ($0, .left) }
        default: return nil
        }
    }

    func start(_ member: Int) throws {
        var arguments = [
            "agent", "-node=n\(member)", "-bind=127.0.0.1:\(basePort + member)",
            "-rpc-addr=127.0.0.1:\(basePort + count + member)", "-profile=lan",
        ]
        if member > 0 { arguments.append("-join=127.0.0.1:\(basePort)") }
        try children.start("n\(member)", Self.program, arguments, log: Self.log(member, in: folder))
    }

    func kill(_ member: Int) async {
        children.kill("n\(member)")
        sightings.forget(observer: member)
    }

    func leave(_ member: Int) async throws {
        guard let process = children.process(of: "n\(member)") else { return }
        Glibc.kill(process, SIGINT)
        _ = try await awaited(within: 10) { children.isRunning("n\(member)") ? nil : true }
        sightings.forget(observer: member)
    }

    func stall(_ members: [Int], for time: Duration) async throws {
        let processes = members.compactMap { children.process(of: "n\($0)") }
        for process in processes { Glibc.kill(process, SIGSTOP) }
        defer { for process in processes { Glibc.kill(process, SIGCONT) } }
        try await Task.sleep(for: time)
    }

    func usage() throws -> CrowdUsage {
        let processes = everybody.compactMap { children.process(of: "n\($0)") }
        return CrowdUsage(
            processor: try processes.reduce(0) { $0 + (try ProcessFigures.processor(of: $1)) },
            packets: try Self.packetsOfMachine() - packetsBefore, bytes: nil,
            memory: try processes.reduce(0) { $0 + (try ProcessFigures.memory(of: $1)).total })
    }

    func end() async {
        children.killAll()
        reader.withLock { $0 }?.cancel()
        BenchFolder.remove(folder)
    }

    /// Datagrams that this machine has sent: while they run, nearly all are theirs.
    private static func packetsOfMachine() throws -> Double {
        let lines = String(decoding: try Data(contentsOf: URL(filePath: "/proc/net/snmp")), as: UTF8.self)
            .split(separator: "\n").filter { $0.hasPrefix("Udp:") }.map { $0.split(separator: " ") }
        guard lines.count == 2, let place = lines[0].firstIndex(of: "OutDatagrams"), place < lines[1].count else { return .nan }
        return Double(lines[1][place]) ?? .nan
    }
}

/// The whole lines that came to the end of a file since it was last looked at.
private struct Log {
    private let path: String
    private var offset = 0
    private var rest: [UInt8] = []

    init(path: String) { self.path = path }

    mutating func news() -> [Substring] {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return [] }
        defer { close(file) }
        var buffer = [UInt8](repeating: 0, count: 64 * 1_024)
        let read = pread(file, &buffer, buffer.count, offset)
        guard read > 0 else { return [] }
        offset += read
        rest += buffer[..<read]
        guard let end = rest.lastIndex(of: UInt8(ascii: "\n")) else { return [] }
        defer { rest.removeSubrange(...end) }
        return String(decoding: rest[..<end], as: UTF8.self).split(separator: "\n")
    }
}
