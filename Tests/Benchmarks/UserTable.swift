import Client
import FoundationEssentials
import KeyEncoding
import Launching
import Model
import NIOHTTP1

/// A table of rows of some hundred bytes in three partitions, and clients that hold a connection to one gateway each.
struct UserTable: Sendable {
    static let keys = 12_000
    private static let partitions = 3

    let name: String
    private let cluster: BenchCluster
    private let token: String

    static func make(_ name: String, factor: Int = 3, on cluster: BenchCluster) async throws -> UserTable {
        try await cluster.makeTable(name, cuts: (1..<partitions).map { key($0 * keys / partitions) }, factor: factor)
        let token = try await cluster.control.token(table: name, principal: cluster.context.principal, seconds: 3_600)
        return UserTable(name: name, cluster: cluster, token: token)
    }

    private static func key(_ number: Int) -> String {
        let digits = String(number)
        return "user" + String(repeating: "0", count: max(0, 8 - digits.count)) + digits
    }

    private static func row(_ key: String, _ turn: Int) -> JSONValue {
        .object(["id": .string(key), "body": .string("\(turn) " + String(repeating: "x", count: 90))])
    }

    /// Every key of the partition in turn, in no order: 7,919 is prime.
    private static func key(in place: Int, _ client: Int, _ turn: Int) -> String {
        key(place * keys / partitions + (turn * 7_919 + client * 131) % (keys / partitions))
    }

    private func path(_ key: String) -> String {
        "/v1/tables/\(name)/rows?key=" + ControlClient.encode(JSONValue.array([.string(key)]).text)
    }

    /// Puts every row.
    func fill() async throws {
        let client = cluster.client()
        let size = 200
        for first in stride(from: 0, to: Self.keys, by: size) {
            let names = (first..<min(Self.keys, first + size)).map(Self.key)
            _ = try await client.batch(
                names.map { "{\"op\":\"put\",\"row\":\(Self.row($0, 0).text)}" },
                firstKey: JSONValue.array([.string(names[0])]).text, in: name)
        }
    }

    /// Each with a connection to the primary of one partition.
    func writers(_ count: Int, areKeyed: Bool = false) async throws -> [ClosedLoop.Client] {
        try await clients(count) {
            $0.gateway
        } request: { place, client, turn in
            let key = Self.key(in: place, client, turn)
            var random = SystemRandomNumberGenerator()
            let once =
                areKeyed
                ? IdempotencyKey(madeAt: WallTime(milliseconds: Int64(Date().timeIntervalSince1970 * 1_000)), random: &random)
                : nil
            return .init(
                method: .PUT, path: path(key), body: Self.row(key, turn).text,
                headers: once.map { [("idempotency-key", $0.description)] } ?? [])
        }
    }

    /// Strong ones ask the primaries, the others each replica in turn.
    func readers(_ count: Int, _ consistency: RowConsistency) async throws -> [ClosedLoop.Client] {
        var next = 0
        return try await clients(count) { partition in
            guard consistency != .strong, !partition.readable.isEmpty else { return partition.gateway }
            next += 1
            return partition.readable[next / Self.partitions % partition.readable.count]
        } request: { place, client, turn in
            let path = path(Self.key(in: place, client, turn)) + "&consistency=\(consistency.rawValue)"
            return .init(method: .GET, path: path, body: "")
        }
    }

    private func clients(
        _ count: Int, at gateway: (PartitionRoute) -> String?,
        request: @escaping @Sendable (_ place: Int, _ client: Int, _ turn: Int) -> ClosedLoop.Request
    ) async throws -> [ClosedLoop.Client] {
        let route = try await cluster.route(of: name)
        return try (0..<count).map { number in
            let place = number % route.partitions.count
            let partition = route.partitions[place]
            guard let agent = gateway(partition).flatMap(cluster.agent(atGateway:)) else {
                throw BenchFailure("partition \(partition.id) of \(name) has no primary")
            }
            let headers = [("authorization", "Bearer \(token)"), ("coxswain-epoch", String(partition.epoch))]
            return ClosedLoop.Client(host: "127.0.0.1", port: agent.gateway, headers: headers) { request(place, number, $0) }
        }
    }
}
