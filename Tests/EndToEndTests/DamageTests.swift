import Foundation
import NIOHTTP1
import Synchronization
import Testing

/// A disk that cannot be trusted any more, against real processes (rule E4).
@Suite(.serialized, .enabled(if: Programs.areBuilt, "the programs are not built"), .cluster) struct DamageTests {
    /// What becomes of a file.
    enum Damage: String, CaseIterable {
        /// A bit of it turns over.
        case flipped
        /// Its end is gone, and something with it that was written.
        case cut
    }

    @Test(
        "an agent whose log has rotted does not start, and names file and byte; set aside, it leaves every in-sync set, is filled again and joins",
        .timeLimit(.minutes(10)), arguments: Damage.allCases)
    func rottenLog(_ damage: Damage) async throws {
        let cluster = try await Cluster.whole()
        let table = "rotten_\(damage)"
        let rows = try await cluster.makeTable(table)
        for index in 0..<20 { #expect(try await rows.put("r\(index)", index) == .acknowledged) }
        let primary = try #require(try await cluster.route(table, key: #"["r0"]"#)["primary"]?.string)
        let victim = try #require(try await inSync(cluster, table).first { $0 != primary })
        let store = try await cluster.status(of: victim)["identity"]?["store"]?.string
        cluster.kill([victim])
        let segment = try self.damage(cluster.folder.appending(path: "\(victim)/data/log"), damage)

        let configuration = cluster.folder.appending(path: "\(victim)/agent.json").path
        let refused = try await Programs.run("coxswain-agent", ["--config", configuration])
        #expect(refused.status == 1)
        #expect(refused.error.contains("--replace-damaged"), "\(refused.error)")
        #expect(refused.error.contains("\(victim)/data/log/\(segment), byte "), "\(refused.error)")
        // The cluster goes on without it.
        #expect(try await rows.put("meanwhile", 1) == .acknowledged)

        try cluster.start(victim, arguments: ["--replace-damaged"])
        try await expectEventually("\(victim) is in sync again, with another store", within: 60) {
            let now = try await cluster.status(of: victim)["identity"]?["store"]?.string
            guard now != nil, now != store else { return false }
            return try await inSync(cluster, table).contains(victim)
        }
        for index in 0..<20 { #expect(try await rows.get("r\(index)") == index) }
        // What it was filled with is all that there is.
        cluster.kill([primary])
        try await expectEventually("a write goes through without the old primary", within: 30) {
            try await rows.put("after", 1, within: 2) == .acknowledged
        }
        for index in 0..<20 { #expect(try await rows.get("r\(index)") == index) }
        try cluster.start(primary)
    }

    @Test(
        "an agent whose log lost its acknowledged end without a trace names the copies that this cost it, and has them built anew from peers",
        .timeLimit(.minutes(10)), arguments: [false, true])
    func forgottenEnd(isPrimary: Bool) async throws {
        let cluster = try await Cluster.whole()
        let table = isPrimary ? "forgotten_by_primary" : "forgotten"
        let rows = try await cluster.makeTable(table)
        for index in 0..<10 { #expect(try await rows.put("r\(index)", index) == .acknowledged) }
        let primary = try #require(try await cluster.route(table, key: #"["r0"]"#)["primary"]?.string)
        let victim = try #require(try await inSync(cluster, table).first { ($0 == primary) == isPrimary })
        let log = cluster.folder.appending(path: "\(victim)/data/log")
        let kept = try end(of: log)
        for index in 10..<20 { #expect(try await rows.put("r\(index)", index) == .acknowledged) }
        try await expectEventually("\(victim) has applied them", within: 20) {
            try await self.rows(of: rows, at: victim, in: cluster).count == 20
        }
        cluster.kill([victim])
        // A disk that said it had written them, and had not.
        let lost = try end(of: log)
        #expect(lost.segment == kept.segment && lost.bytes > kept.bytes)
        let file = try FileHandle(forUpdating: log.appending(path: kept.segment))
        try file.seek(toOffset: UInt64(kept.bytes))
        try file.write(contentsOf: Data(count: lost.bytes - kept.bytes))
        try file.close()

        let said = namedLosses(by: victim, of: cluster)
        try cluster.start(victim)
        try await expectEventually("\(victim) names what it has lost", within: 60) {
            namedLosses(by: victim, of: cluster) > said
        }
        try await expectEventually("\(victim) is whole and in sync again", within: 60) {
            let damaged = try await cluster.status(of: victim)["engine"]?["damaged"]?.array ?? []
            let members = try await inSync(cluster, table)
            return damaged.isEmpty && members.contains(victim)
        }
        #expect(try await rows.put("after", 1) == .acknowledged)
        for index in 0..<20 { #expect(try await rows.get("r\(index)") == index) }
        for name in try await inSync(cluster, table) {
            try await expectEventually("\(name) has every row", within: 20) {
                let found = try await self.rows(of: rows, at: name, in: cluster)
                return found.count == 21 && (0..<20).allSatisfy { (index: Int) in found["r\(index)"] == index }
            }
        }
    }

    @Test(
        "a node that is back with an empty disk before anybody missed it is another store: it leads nothing until it is filled again",
        .timeLimit(.minutes(10)))
    func emptyDisk() async throws {
        let cluster = try await Cluster.whole()
        let rows = try await cluster.makeTable("empty_disk")
        for index in 0..<20 { #expect(try await rows.put("r\(index)", index) == .acknowledged) }
        let victim = try #require(try await cluster.route("empty_disk", key: #"["r0"]"#)["primary"]?.string)
        let store = try await cluster.status(of: victim)["identity"]?["store"]?.string
        cluster.kill([victim])
        // A new disk counts its starts from the first, but for those of the one before it.
        try FileManager.default.removeItem(at: cluster.folder.appending(path: "\(victim)/data"))
        try await cluster.join(victim)
        try await expectEventually("\(victim) is in sync again, with another store", within: 60) {
            let now = try await cluster.status(of: victim)["identity"]?["store"]?.string
            guard now != nil, now != store else { return false }
            // By its own word too: for a moment the others do not know yet.
            let held = try await cluster.status(of: victim)["partitions"]?.array ?? []
            let members = try await inSync(cluster, "empty_disk")
            return !held.isEmpty && members.contains(victim)
        }
        for index in 0..<20 { #expect(try await rows.get("r\(index)") == index) }
        #expect(try await rows.put("after", 1) == .acknowledged)
        // Its peers watch over it again: who is held dead in an earlier life would be missed by nobody.
        let life = try await cluster.status(of: victim)["identity"]?["generation"]?.number
        for other in Cluster.agents where other != victim {
            try await expectEventually("\(victim) is alive for \(other) in its new life", within: 20) {
                let entry = try await cluster.status(of: other)["members"]?.array.first { $0["node_id"]?.string == victim }
                return entry?["status"]?.string == "alive" && entry?["generation"]?.number == life && life != nil
            }
        }
    }

    @Test(
        "a page that rots in a live replica, or goes with its file's end, is found and named, and the replica, the primary too, is built anew",
        .timeLimit(.minutes(10)), arguments: Damage.allCases)
    func rottenPage(_ damage: Damage) async throws {
        let cluster = try await Cluster.whole()
        let table = "rotten_page_\(damage)"
        let rows = try await cluster.makeTable(table)
        for index in 0..<200 { #expect(try await rows.put("\(damage)-\(index)", index) == .acknowledged) }
        try await settle(table, in: cluster)
        let primary = try #require(try await cluster.route(table, key: #"["\#(damage)-0"]"#)["primary"]?.string)
        let follower = try #require(try await inSync(cluster, table).first { $0 != primary })
        for victim in [follower, primary] {
            let place = try damageRow("\(damage)-77", on: victim, of: cluster, damage)
            // Of the pages that went with the end, whoever looks first names one.
            let what = damage == .flipped ? "page \(place.page) of its file is not what was written" : "page "
            try await expectToBeSaid("(\(place.file)) is damaged: \(what)", by: victim, of: cluster)
            #expect(try await cluster.meter("scrub_damaged_pages_total", of: victim) >= 1)
            try await expectToBeWhole(victim, of: cluster, with: table)
        }
        #expect(try await cluster.route(table, key: #"["\#(damage)-0"]"#)["primary"]?.string != primary)
        // Not before: a page that is in the log as well is not in use in the database.
        for index in 0..<2 { #expect(try await rows.put("after-\(index)", 1) == .acknowledged) }
        for index in 0..<200 { #expect(try await rows.get("\(damage)-\(index)") == index) }
        // Each replica by itself.
        for name in try await inSync(cluster, table) {
            try await expectEventually("\(name) has every row", within: 20) {
                let found = try await self.rows(of: rows, at: name, in: cluster)
                return found.count == 202 && (0..<200).allSatisfy { (index: Int) in found["\(damage)-\(index)"] == index }
            }
        }
    }

    @Test(
        "whoever reads while a page is rotten, from the primary or from any replica, is told what was written or is told nothing",
        .timeLimit(.minutes(10)), arguments: Damage.allCases)
    func neverServed(_ damage: Damage) async throws {
        let cluster = try await Cluster.whole()
        let table = "served_\(damage)"
        let rows = try await cluster.makeTable(table, more: [("pad", "text")])
        let readers = Readers(rows, prefix: "served-\(damage)")
        for index in 0..<Readers.rows { #expect(try await readers.put(index) == .acknowledged) }
        try await settle(table, in: cluster)
        let primary = try #require(try await cluster.route(table, key: #"["served-\#(damage)-0"]"#)["primary"]?.string)
        let follower = try #require(try await inSync(cluster, table).first { $0 != primary })
        try await readers.during {
            for victim in [follower, primary] {
                try await readers.expectAnswers("before \(victim) is struck")
                let place = try damageRow("served-\(damage)-77", on: victim, of: cluster, damage)
                // By a reader or by who looks for it, whoever comes first.
                try await expectToBeSaid("(\(place.file)) is damaged", by: victim, of: cluster)
                try await expectToBeWhole(victim, of: cluster, with: table)
            }
            try await readers.expectAnswers("when all are whole")
        }
        #expect(readers.wrong == [])
    }

    /// Restarts each replica: what a stopping engine leaves is all in the database, and none of it in the log.
    private func settle(_ table: String, in cluster: Cluster) async throws {
        for name in try await inSync(cluster, table) {
            cluster.process(name)?.terminate()
            _ = cluster.process(name)?.waitForStatus()
            try cluster.start(name)
            try await expectEventually("\(name) is in sync", within: 60) {
                _ = try await cluster.status(of: name)
                return try await inSync(cluster, table).count == 3
            }
        }
    }

    private func expectToBeSaid(_ what: String, by agent: String, of cluster: Cluster) async throws {
        try await expectEventually("\(agent) says '\(what)'", within: 60) {
            cluster.tail(of: agent, lines: 100_000).contains(what)
        }
    }

    /// How often an agent said that a log ends before what its engine has applied.
    private func namedLosses(by agent: String, of cluster: Cluster) -> Int {
        cluster.tail(of: agent, lines: 100_000).components(separatedBy: ", and the engine has applied ").count
    }

    private func expectToBeWhole(_ agent: String, of cluster: Cluster, with table: String) async throws {
        try await expectEventually("\(agent) is whole and in sync again", within: 60) {
            let damaged = try await cluster.status(of: agent)["engine"]?["damaged"]?.array ?? []
            let members = try await inSync(cluster, table)
            return damaged.isEmpty && members.contains(agent)
        }
    }

    /// What one replica holds, by its own word.
    private func rows(of rows: Rows, at agent: String, in cluster: Cluster) async throws -> [String: Int] {
        guard let port = cluster.agentPorts[agent]?.gateway else { throw Failure("no agent \(agent)") }
        let answer = try await cluster.clients.send(
            .GET, "https://127.0.0.1:\(port)/v1/tables/\(rows.table)/rows?limit=1000&consistency=eventual",
            headers: [("authorization", "Bearer \(rows.token)")])
        guard answer.status == 200 else { throw Failure("\(agent): \(answer.status) \(answer.text)") }
        var found: [String: Int] = [:]
        for row in answer.json["rows"]?.array ?? [] {
            if let name = row["name"]?.string, let value = row["value"]?.number { found[name] = Int(value) }
        }
        return found
    }

    /// Turns a bit over in the name of a row, in the database of a running agent, or cuts the file in front of that page.
    /// - Returns: the file, and the number of the page.
    private func damageRow(
        _ name: String, on agent: String, of cluster: Cluster, _ damage: Damage
    ) throws -> (file: String, page: Int) {
        let folder = cluster.folder.appending(path: "\(agent)/data/storages")
        for file in try FileManager.default.contentsOfDirectory(atPath: folder.path) where file.hasSuffix(".sqlite") {
            let path = folder.appending(path: file)
            guard let found = try Data(contentsOf: path).range(of: Data(name.utf8)) else { continue }
            let page = found.lowerBound / 8_192
            switch damage {
            case .flipped: try flip(path, at: found.lowerBound)
            case .cut: try cut(path, to: page * 8_192)
            }
            return (file, page + 1)
        }
        throw Failure("no '\(name)' in any file below \(folder.path)")
    }

    private func inSync(_ cluster: Cluster, _ table: String) async throws -> [String] {
        let partitions = try await cluster.api(.GET, "/tables/\(table)/partitions").json["partitions"]?.array ?? []
        return partitions.first?["in_sync"]?.array.compactMap(\.string) ?? []
    }

    /// Turns one bit of the first record over, or takes the end of the last one away.
    /// - Returns: the name of the segment.
    private func damage(_ log: URL, _ damage: Damage) throws -> String {
        switch damage {
        case .flipped:
            guard let first = try segments(of: log).first else { throw Failure("no segment in \(log.path)") }
            try flip(log.appending(path: first), at: 100)
            return first
        case .cut:
            let (last, bytes) = try end(of: log)
            try cut(log.appending(path: last), to: bytes - 20)
            return last
        }
    }

    private func segments(of log: URL) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: log.path).filter { $0.hasPrefix("segment-") }.sorted()
    }

    /// Where in its last segment a log ends, but for what is reserved.
    private func end(of log: URL) throws -> (segment: String, bytes: Int) {
        guard let last = try segments(of: log).last else { throw Failure("no segment in \(log.path)") }
        let data = try Data(contentsOf: log.appending(path: last))
        // Records end at multiples of eight.
        let end = data.lastIndex { $0 != 0 }.map { data.distance(from: data.startIndex, to: $0) + 1 } ?? 0
        return (last, (end + 7) / 8 * 8)
    }

    private func flip(_ path: URL, at offset: Int) throws {
        let file = try FileHandle(forUpdating: path)
        try file.seek(toOffset: UInt64(offset))
        let byte = try file.read(upToCount: 1)?.first ?? 0
        try file.seek(toOffset: UInt64(offset))
        try file.write(contentsOf: Data([byte ^ 0x01]))
        try file.close()
    }

    private func cut(_ path: URL, to bytes: Int) throws {
        let file = try FileHandle(forUpdating: path)
        try file.truncate(atOffset: UInt64(bytes))
        try file.close()
    }
}

/// Clients that read the same rows over and over, each at one gateway, strongly or as it is there. All rows are written before they begin,
/// but for those of a writer that has readers' connections forget their pages.
private final class Readers: Sendable {
    static let rows = 200

    private struct Book {
        var wrong: [String] = []
        /// By agent and consistency.
        var right: [String: Int] = [:]
    }

    private let rows: Rows
    private let prefix: String
    private let book = Mutex(Book())
    private let stopping = Mutex(false)

    init(_ rows: Rows, prefix: String) {
        self.rows = rows
        self.prefix = prefix
    }

    /// Answers that were none of what was written.
    var wrong: [String] { book.withLock { $0.wrong } }

    /// Some of them fill a page.
    private static func pad(_ index: Int) -> String { String(repeating: "\(index)-", count: 200) }

    func put(_ index: Int) async throws -> Rows.Outcome {
        try await rows.put("\(prefix)-\(index)", index, more: ",\"pad\":\"\(Self.pad(index))\"")
    }

    func during(_ body: () async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (agent, ports) in rows.cluster.agentPorts {
                for consistency in ["strong", "eventual"] {
                    group.addTask { try await self.read(at: agent, "https://127.0.0.1:\(ports.gateway)", consistency) }
                }
            }
            group.addTask {
                var round = 0
                while !self.stopping.withLock({ $0 }) {
                    round += 1
                    _ = try await self.rows.put("zz-\(round % 3)", round, within: 2)
                    try await Task.sleep(for: .milliseconds(20))
                }
            }
            let result: Result<Void, any Error>
            do { result = .success(try await body()) } catch { result = .failure(error) }
            stopping.withLock { $0 = true }
            try await group.waitForAll()
            try result.get()
        }
    }

    /// Waits until three replicas have answered eventual reads and one has answered strong ones, from now on.
    func expectAnswers(_ occasion: String) async throws {
        book.withLock { $0.right = [:] }
        try await expectEventually("readers are answered \(occasion)", within: 60) {
            let right = book.withLock { $0.right }
            return right.count { $0.key.hasSuffix("eventual") && $0.value > 10 } >= 3
                && right.contains { $0.key.hasSuffix("strong") && $0.value > 10 }
        }
    }

    private func read(at agent: String, _ gateway: String, _ consistency: String) async throws {
        var round = 0
        while !stopping.withLock({ $0 }) {
            round += 1
            // Mostly what is to rot, and its neighbours.
            let index = round.isMultiple(of: 3) ? round % Self.rows : 70 + round % 15
            let name = "\(prefix)-\(index)"
            let query = round.isMultiple(of: 8) ? "limit=1000" : "key=\("[\"\(name)\"]".percentEncoded)"
            let answer = try? await rows.cluster.clients.send(
                .GET, "\(gateway)/v1/tables/\(rows.table)/rows?\(query)&consistency=\(consistency)",
                headers: [("authorization", "Bearer \(rows.token)")], within: 2)
            guard let answer else {
                try await Task.sleep(for: .milliseconds(10))
                continue
            }
            let found =
                round.isMultiple(of: 8) ? answer.json["rows"]?.array ?? [] : [answer.json["row"] ?? .object(answer.json)]
            let isRight = round.isMultiple(of: 8) ? areAll(found) : found.first.map { isRow($0, index) } ?? false
            let isMissed = answer.status == 404 && answer.code == "ROW_NOT_FOUND"
            book.withLock { book in
                if answer.status == 200, isRight {
                    book.right["\(agent) \(consistency)", default: 0] += 1
                } else if answer.status == 200 || isMissed {
                    book.wrong.append("\(agent), \(consistency), \(query): \(answer.status) \(answer.text.prefix(300))")
                }
            }
            try await Task.sleep(for: .milliseconds(answer.status == 200 ? 2 : 10))
        }
    }

    private func isRow(_ row: JSON, _ index: Int) -> Bool {
        row["name"]?.string == "\(prefix)-\(index)" && row["value"]?.number == Double(index)
            && row["pad"]?.string == Self.pad(index)
    }

    private func areAll(_ rows: [JSON]) -> Bool {
        let own = rows.filter { $0["name"]?.string?.hasPrefix("zz-") == false }
        let indices = own.compactMap { $0["value"]?.number.map { Int($0) } }
        return own.count == Self.rows && Set(indices).count == Self.rows && zip(own, indices).allSatisfy { isRow($0, $1) }
    }
}
